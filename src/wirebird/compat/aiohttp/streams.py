"""`aiohttp.streams`: a body that is read bit by bit.

A `StreamReader` has a buffer and, unless it is fed by hand, a source that it takes pieces from when the buffer is empty: so what
is not asked for stays where it is, and the peer waits.
"""

from __future__ import annotations

import asyncio
import sys
import warnings
from collections import deque
from collections.abc import AsyncIterator, Callable
from math import inf
from time import monotonic
from typing import Any, Final, Protocol

from .errors import of_body
from .http_exceptions import LineTooLong
from .queues import DataQueue, EofStream, FlowControlDataQueue, ReadIterator

__all__ = [
    "EMPTY_PAYLOAD",
    "AsyncStreamReaderMixin",
    "DataQueue",
    "EmptyStreamReader",
    "EofStream",
    "FlowControlDataQueue",
    "StreamReader",
]

# `readany` and `read_nowait` take no more than this at once from a source, for a decoder could go on for long.
_AT_ONCE: Final = 262_144


class Source(Protocol):
    """What a `StreamReader` reads: `client/chunks.py` has one."""

    def take(self) -> tuple[bytes, bool] | None:
        """The next piece, and whether a chunk ends with it; an empty one without an end is the end; None: wait for `arrival`."""

    async def arrival(self) -> None:
        """Wait for more.  Raises what ended the body."""


class StreamReader:
    """A stream of bytes, read by one task at a time.

    `limit` is the longest line of `readline` and `readuntil`, twice over; the other arguments are there for code that feeds a
    reader by hand, with `feed_data` and `feed_eof`.
    """

    total_bytes = 0
    total_compressed_bytes: int | None = None
    _deadline = inf
    _expire: Callable[[], object] | None = None

    def __init__(
        self,
        protocol: Any = None,
        limit: int = 2**18,
        *,
        timer: Any = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._source: Source | None = None
        self._low_water = limit
        self._high_water = limit * 2
        self._buffer: deque[bytes] = deque()
        self._offset = 0  # in the first piece of the buffer
        self._size = 0
        self._cursor = 0  # bytes that were read
        self._ends: deque[int] | None = None  # where chunks end
        self._eof = False
        self._exception: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._waiting = False
        self._eof_waiters: list[asyncio.Future[None]] = []
        self._eof_callbacks: list[Callable[[], object]] = []
        self.total_bytes = 0

    @classmethod
    def over(cls, source: Source, limit: int, deadline: float = inf, expire: Callable[[], object] | None = None) -> StreamReader:
        """A reader of what `source` gives.

        Whoever reads behind the `deadline` (of `time.monotonic`) has `TimeoutError` raised, even if there are data: a consumer
        who is slow uses up the time as well.  `expire` is called then, and `arrived` lifts the limit.
        """
        reader = cls(limit=limit)
        reader._source = source
        reader._deadline, reader._expire = deadline, expire
        return reader

    def arrived(self) -> None:
        """Everything is here, and may be read at leisure."""
        self._deadline = inf

    def __repr__(self) -> str:
        parts = [type(self).__name__]
        if self._size:
            parts.append(f"{self._size} bytes")
        if self._eof:
            parts.append("eof")
        if self._exception is not None:
            parts.append(f"e={self._exception!r}")
        return f"<{' '.join(parts)}>"

    # -- the ways to iterate -------------------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[bytes]:
        return ReadIterator(self.readline)

    def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        """Pieces of at most `n` bytes."""
        self.set_read_chunk_size(n)
        return ReadIterator(lambda: self.read(n))

    def iter_any(self) -> AsyncIterator[bytes]:
        """Whatever is here, each time."""
        return ReadIterator(self.readany)

    def iter_chunks(self) -> AsyncIterator[tuple[bytes, bool]]:
        """What `readchunk` gives."""
        return ReadIterator(self.readchunk)

    # -- the state -----------------------------------------------------------------------------------------------------

    def exception(self) -> BaseException | None:
        """What ended the stream early."""
        return self._exception

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """End the stream early."""
        if exc_cause is not None:
            exc.__cause__ = exc_cause
        self._exception = exc
        self._eof_callbacks.clear()
        for waiter in self._take_waiters():
            waiter.set_exception(exc)

    def is_eof(self) -> bool:
        """Whether everything has arrived, read or not."""
        self._look()
        return self._eof

    def at_eof(self) -> bool:
        """Whether everything was read."""
        self._look()
        return self._eof and not self._buffer

    def on_eof(self, callback: Callable[[], object]) -> None:
        """Call `callback()` at the end."""
        if self._eof:
            callback()
        else:
            self._eof_callbacks.append(callback)

    async def wait_eof(self) -> None:
        """Wait until everything has arrived."""
        while not self._eof:
            if self._source is not None:
                await self._more("wait_eof", always=True)
            else:
                waiter = asyncio.get_running_loop().create_future()
                self._eof_waiters.append(waiter)
                await waiter

    def get_read_buffer_limits(self) -> tuple[int, int]:
        """The limit, and twice the limit."""
        return self._low_water, self._high_water

    def set_read_chunk_size(self, n: int) -> None:
        """Raise the limit to `n`."""
        if n > self._low_water:
            self._low_water, self._high_water = n, n * 2

    @property
    def total_raw_bytes(self) -> int:
        """Bytes that were read, before decoding where that is known."""
        taken: int | None = getattr(self._source, "taken", self.total_compressed_bytes)
        return self.total_bytes if taken is None else taken

    # -- feeding by hand -----------------------------------------------------------------------------------------------

    def feed_data(self, data: bytes, size: int = 0) -> bool:
        """More has arrived."""
        if self._eof:
            raise RuntimeError("feed_data after feed_eof")
        if data:
            self._put(data)
            self._wake()
        return False

    def feed_eof(self) -> None:
        """That was all."""
        self._eof = True
        for waiter in self._take_waiters():
            waiter.set_result(None)
        callbacks, self._eof_callbacks = self._eof_callbacks, []
        for callback in callbacks:
            callback()

    def begin_http_chunk_receiving(self) -> None:
        """A chunk begins."""
        if self._ends is None:
            if self.total_bytes:
                raise RuntimeError("a chunk must not begin when other data was fed before")
            self._ends = deque()

    def end_http_chunk_receiving(self) -> None:
        """A chunk ends."""
        if self._ends is None:
            raise RuntimeError("a chunk must begin before it ends")
        self._mark_end()
        self._wake()

    def unread_data(self, data: bytes) -> None:
        """Put back what was read; deprecated."""
        warnings.warn("unread_data is deprecated", DeprecationWarning, stacklevel=2)
        if not data:
            return
        if self._offset:
            self._buffer[0] = self._buffer[0][self._offset :]
            self._offset = 0
        self._buffer.appendleft(data)
        self._size += len(data)
        self._cursor -= len(data)

    # -- reading -------------------------------------------------------------------------------------------------------

    async def read(self, n: int = -1) -> bytes:
        """Up to `n` bytes, at least one unless the stream has ended; for -1 all that is left."""
        self._check()
        if not n:
            return b""
        if n < 0:
            blocks = []
            while block := await self.readany():
                blocks.append(block)
            return b"".join(blocks)
        while not self._buffer and not self._eof:
            await self._more("read")
        if self._size < n:
            self._fill(min(n, _AT_ONCE))
        return self._give(n)

    async def readany(self) -> bytes:
        """Whatever is here, or comes next; b"" at the end."""
        self._check()
        while not self._buffer and not self._eof:
            await self._more("readany")
        self._fill()
        return self._give(sys.maxsize)

    async def readexactly(self, n: int) -> bytes:
        """Just `n` bytes.  Raises `asyncio.IncompleteReadError` if the stream ends before."""
        self._check()
        blocks: list[bytes] = []
        missing = n
        while missing > 0:
            block = await self.read(missing)
            if not block:
                partial = b"".join(blocks)
                raise asyncio.IncompleteReadError(partial, len(partial) + missing)
            blocks.append(block)
            missing -= len(block)
        return b"".join(blocks)

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        """Up to and with the next LF, or all that is left."""
        return await self.readuntil(max_size=max_line_length)

    async def readuntil(self, separator: bytes = b"\n", *, max_size: int | None = None) -> bytes:
        """Up to and with the next `separator`, or all that is left.  Raises `ValueError` beyond `max_size` bytes."""
        if not separator:
            raise ValueError("separator must be at least one byte")
        self._check()
        limit = max_size or self._high_water
        found = bytearray()
        while True:
            while self._buffer:
                end = _end_of(separator, found, self._buffer[0], self._offset)
                part = self._buffer[0][self._offset : end if end >= 0 else None]
                found += part
                self._skip(len(part))
                if len(found) > limit:
                    raise LineTooLong(bytes(found[:100]) + b"...", limit)
                if end >= 0:
                    return bytes(found)
            if self._eof:
                return bytes(found)
            await self._more("readuntil")

    async def readchunk(self) -> tuple[bytes, bool]:
        """What is here of a chunk, and whether it ends with it; `(b"", False)` at the end of the stream."""
        while True:
            self._check()
            while self._ends:
                end = self._ends.popleft()
                if end >= self._cursor:
                    return self._give(end - self._cursor), True
            if self._buffer:
                return self._give(len(self._buffer[0]) - self._offset), False
            if self._eof:
                return b"", False
            await self._more("readchunk")

    def read_nowait(self, n: int = -1) -> bytes:
        """What is here, up to `n` bytes for an `n` that is not -1."""
        self._check()
        if self._waiting:
            raise RuntimeError("read_nowait was called while a coroutine waits for data")
        self._fill(_AT_ONCE if n < 0 else min(n, _AT_ONCE))
        return self._give(sys.maxsize if n < 0 else n)

    # -- the buffer ----------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self._exception is not None:
            raise self._exception
        if self._deadline < inf and monotonic() > self._deadline:
            self._deadline = inf
            self.set_exception(late := TimeoutError("the time for the whole request is over"))
            if self._expire is not None:
                self._expire()
            raise late

    def _put(self, data: bytes) -> None:
        self._buffer.append(data)
        self._size += len(data)
        self.total_bytes += len(data)

    def _mark_end(self) -> None:
        if self._ends is None:
            self._ends = deque()
        position = self._ends[-1] if self._ends else 0
        if self.total_bytes != position:  # a chunk may be all coding, and nothing in it
            self._ends.append(self.total_bytes)

    def _give(self, n: int) -> bytes:
        """Up to `n` bytes of the buffer."""
        buffer = self._buffer
        if len(buffer) == 1 and not self._offset and len(buffer[0]) <= n:
            piece = buffer[0]
            self._skip(len(piece))
            return piece
        parts = []
        while buffer and n > 0:
            part = buffer[0][self._offset : self._offset + n]
            parts.append(part)
            n -= len(part)
            self._skip(len(part))
        return b"".join(parts)

    def _skip(self, n: int) -> None:
        """`n` bytes of the first piece were read."""
        self._offset += n
        self._size -= n
        self._cursor += n
        if self._offset == len(self._buffer[0]):
            self._buffer.popleft()
            self._offset = 0
        while self._ends and self._ends[0] < self._cursor:
            self._ends.popleft()

    def _fill(self, limit: int = _AT_ONCE) -> None:
        """Take what the source has, if it has anything.  An error comes after what came before it."""
        try:
            while self._size < limit and not self._eof and self._take():
                pass
        except Exception:
            if not self._size:
                raise

    def _look(self) -> None:
        """Notice the end, if it is there."""
        if not self._buffer and not self._eof and self._exception is None:
            try:
                self._take()
            except Exception:  # it will be raised where somebody reads
                return

    def _take(self) -> bool:
        """One piece from the source into the buffer; False if there is none yet.  Raises what the body is at fault with."""
        if self._source is None:
            return False
        try:
            taken = self._source.take()
        except Exception as error:
            raise self._fail(error)
        if taken is None:
            return False
        piece, ends = taken
        if piece:
            self._put(piece)
        if ends:
            self._mark_end()
        elif not piece:
            self.feed_eof()
        return True

    def _fail(self, error: Exception) -> BaseException:
        failure = of_body(error)
        if failure is not error:
            failure.__cause__ = error
        if self._exception is None:
            self.set_exception(failure)
        return self._exception or failure

    # -- waiting -------------------------------------------------------------------------------------------------------

    async def _more(self, what: str, *, always: bool = False) -> None:
        """Wait until there is more in the buffer, or the end is there."""
        if self._waiting:
            raise RuntimeError(f"{what}() was called while another coroutine waits for data")
        source = self._source
        if source is not None and self._take():
            return
        self._waiting = True
        try:
            if source is None:
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
            else:
                await source.arrival()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if source is None or self._exception is error:
                raise
            raise self._fail(error)
        finally:
            self._waiting = False
            self._waiter = None
        self._check()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _take_waiters(self) -> list[asyncio.Future[None]]:
        waiters = [*self._eof_waiters, *([self._waiter] if self._waiter is not None else [])]
        self._eof_waiters, self._waiter = [], None
        return [waiter for waiter in waiters if not waiter.done()]


AsyncStreamReaderMixin = StreamReader


class EmptyStreamReader(StreamReader):
    """A stream in which nothing ever was."""

    def __init__(self) -> None:
        super().__init__()
        self._eof = True

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """Nothing can go wrong with it."""

    def feed_eof(self) -> None:
        """It has ended already."""

    def feed_data(self, data: bytes, size: int = 0) -> bool:
        """It takes nothing."""
        return False


EMPTY_PAYLOAD: Final[StreamReader] = EmptyStreamReader()


def _end_of(separator: bytes, before: bytearray, piece: bytes, at: int) -> int:
    """Where `separator` ends in `piece`, from `at` on; it may begin in what was `before`.  -1 if it is not there."""
    size = len(separator)
    if before and size > 1:
        tail = bytes(before[1 - size :])
        found = (tail + piece[at : at + size - 1]).find(separator)
        if found >= 0:
            return at + found + size - len(tail)
    found = piece.find(separator, at)
    return found + size if found >= 0 else -1
