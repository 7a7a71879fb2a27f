"""What is awaited once, as a coroutine is: `asyncio.create_task`, `gather` and `run` take it."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

__all__ = ["Deferred"]

_T = TypeVar("_T")


class Deferred(Coroutine[Any, Any, _T]):
    """What happens when it is awaited, once, as a coroutine does, and without a warning if it never is.

    A class derived from it has `__await__`, which begins with `_start`, and sets `_started` to False when it is made.
    """

    __slots__ = ("_iterator", "_started")

    _started: bool
    _iterator: Generator[Any, Any, _T]  # of a task that took this for its coroutine; who awaits it has one of his own

    def __await__(self) -> Generator[Any, Any, _T]:
        raise NotImplementedError

    def _start(self) -> None:
        if self._started:
            raise RuntimeError(f"cannot reuse {self!r}: it was awaited before")
        self._started = True

    def _running(self) -> Generator[Any, Any, _T]:
        if not hasattr(self, "_iterator"):
            self._iterator = self.__await__()
        return self._iterator

    def send(self, value: Any) -> Any:
        """Go on; what a task calls.  Raises `RuntimeError` if it was awaited before."""
        return self._running().send(value)

    def throw(self, *error: Any) -> Any:
        """Raise `error` where the call waits.  Raises `RuntimeError` if it was awaited before."""
        return self._running().throw(*error)

    def close(self) -> None:
        """Give the call up, unless somebody else awaits it."""
        if hasattr(self, "_iterator"):
            self._iterator.close()
        self._started = True
