"""For whoever leads a coroutine by its steps, within a coroutine of his own."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

__all__ = ["Step"]


class Step:
    """What a coroutine waits for, waited for in its place."""

    __slots__ = ("future",)

    def __init__(self, future: Any) -> None:
        self.future = future

    def __await__(self) -> Generator[Any, Any, None]:
        yield self.future
