"""A stretch of time during which callers ask, and a crowd that comes all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["Phase", "gather_in_bursts"]

_Answer = TypeVar("_Answer")
_BURST = 200  # connections dialed at once: more would test the kernel's accept queue instead of the client


class Phase:
    """Callers look at `over` before each request, which costs less than the clock."""

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False

    def end_in(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._end)

    def _end(self) -> None:
        self.over = True


async def gather_in_bursts(count: int, call: Callable[[], Coroutine[Any, Any, _Answer]]) -> list[_Answer]:
    """The answers to `count` calls, all of which are under way at the same time in the end."""
    tasks = []
    for number in range(count):
        tasks.append(asyncio.ensure_future(call()))
        if number % _BURST == 0:
            await asyncio.sleep(0.01)
    return await asyncio.gather(*tasks)
