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
    _iterator: Generator[Any, Any, _T]

    def __await__(self) -> Generator[Any, Any, _T]:
        raise NotImplementedError

    def _start(self) -> None:
        if self._started:
            raise RuntimeError(f"cannot reuse {self!r}: it was awaited before")
        self._started = True

    def send(self, value: Any) -> Any:
        """Go on; what a task calls."""
        if not self._started:
            self._iterator = self.__await__()
        return self._iterator.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise `error` where the call waits."""
        if not self._started:
            self._iterator = self.__await__()
        return self._iterator.throw(*error)

    def close(self) -> None:
        """Give the call up."""
        if self._started:
            self._iterator.close()
        self._started = True
