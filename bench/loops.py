"""The event loops that the workloads run on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.util import find_spec

__all__ = ["LOOPS", "fastest_loop", "new_loop"]

LOOPS = ("asyncio", "uvloop")


def new_loop(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """The factory of the loop called `name`; `ModuleNotFoundError` if it is not installed."""
    if name == "asyncio":
        return asyncio.new_event_loop
    if name != "uvloop":
        raise ValueError(f"loop must be one of {', '.join(LOOPS)}, not {name!r}")
    import uvloop

    return uvloop.new_event_loop


def fastest_loop() -> str:
    """For the embedded server."""
    return "uvloop" if find_spec("uvloop") else "asyncio"
