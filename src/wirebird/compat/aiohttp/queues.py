"""`aiohttp.DataQueue`: a queue with one reader; and how what has a `read` is iterated."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, TypeVar

__all__ = ["DataQueue", "EofStream", "FlowControlDataQueue", "ReadIterator"]

_T = TypeVar("_T")


class EofStream(Exception):
    """A `DataQueue` has ended."""


class ReadIterator(Generic[_T]):
    """Calls a coroutine function until it gives nothing, or raises `EofStream`."""

    __slots__ = ("_read",)

    def __init__(self, read: Callable[[], Awaitable[_T]]) -> None:
        self._read = read

    def __aiter__(self) -> ReadIterator[_T]:
        return self

    async def __anext__(self) -> _T:
        try:
            value = await self._read()
        except EofStream:
            raise StopAsyncIteration from None
        if value == b"" or value == (b"", False):
            raise StopAsyncIteration
        return value


class DataQueue(Generic[_T]):
    """A queue with one reader."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._eof = False
        self._exception: BaseException | None = None
        self._buffer: deque[_T] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._buffer)

    def __aiter__(self) -> AsyncIterator[_T]:
        return ReadIterator(self.read)

    def is_eof(self) -> bool:
        """Whether nothing more will come."""
        return self._eof

    def at_eof(self) -> bool:
        """Whether everything was read."""
        return self._eof and not self._buffer

    def exception(self) -> BaseException | None:
        """What ended it early."""
        return self._exception

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """End it early."""
        if exc_cause is not None:
            exc.__cause__ = exc_cause
        self._eof, self._exception = True, exc
        self._wake()

    def feed_data(self, data: _T, size: int = 0) -> None:
        """Put something in."""
        self._buffer.append(data)
        self._wake()

    def feed_eof(self) -> None:
        """That was all."""
        self._eof = True
        self._wake()

    async def read(self) -> _T:
        """What comes next.  Raises `EofStream` at the end."""
        while not self._buffer and not self._eof:
            if self._waiter is not None:
                raise RuntimeError("read() was called while another coroutine waits for data")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._buffer:
            return self._buffer.popleft()
        raise self._exception or EofStream

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class FlowControlDataQueue(DataQueue[_T]):
    """The same with aiohttp's older arguments; deprecated there."""

    def __init__(self, protocol: Any, limit: int, *, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(loop)
