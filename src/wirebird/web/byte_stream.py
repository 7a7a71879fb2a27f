"""Bytes that arrive, read by number, by line or as they come."""

from __future__ import annotations

from asyncio import IncompleteReadError
from collections.abc import AsyncIterator
from typing import Final

from ..errors import UsageError
from .exceptions import HTTPRequestEntityTooLarge

__all__ = ["MAX_LINE", "ByteStream"]

MAX_LINE: Final = 262144
"""Bytes that `readline` and `readuntil` look through for the end of a line."""


class ByteStream:
    """What there is to read of something that arrives: `_next` says where from.

    A reader that is cancelled, say by a timeout, has lost nothing and may read again.
    """

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    async def _next(self) -> bytes:
        """The next piece that is not in the buffer, b"" at the end, then and ever after."""
        raise NotImplementedError

    def _take(self, size: int) -> bytes:
        buffer = self._buffer
        if size >= len(buffer):
            piece = bytes(buffer)
            buffer.clear()
        else:
            piece = bytes(buffer[:size])
            del buffer[:size]
        return piece

    # -- reading -------------------------------------------------------------------------------------------------------

    async def readany(self) -> bytes:
        """What is here, at least a byte; b"" at the end."""
        return self._take(len(self._buffer)) if self._buffer else await self._next()

    async def read(self, n: int = -1) -> bytes:
        """At most `n` bytes as soon as there are some; everything for -1; b"" at the end."""
        if n < 0:
            pieces = self._buffer
            while piece := await self._next():
                pieces += piece
            return self._take(len(pieces))
        if n == 0:
            return b""
        if not self._buffer:
            piece = await self._next()
            if len(piece) <= n:
                return piece
            self._buffer += piece
        return self._take(n)

    async def readexactly(self, n: int) -> bytes:
        """Just `n` bytes.  Raises `asyncio.IncompleteReadError`, with what there was, if the body ends before."""
        if n < 0:
            raise UsageError(f"n must be 0 or more, not {n!r}", argument="n")
        while len(self._buffer) < n:
            piece = await self._next()
            if not piece:
                raise IncompleteReadError(self._take(n), n)
            self._buffer += piece
        return self._take(n)

    async def readline(self) -> bytes:
        """The next line, with its end; the last one may have none; b"" behind it.  Raises what `readuntil` raises."""
        return await self.readuntil(b"\n")

    async def readuntil(self, separator: bytes = b"\n") -> bytes:
        """What comes up to `separator`, with it, or up to the end of the body, where there is none.

        Raises `HTTPRequestEntityTooLarge` if it does not come within 256 KiB, `UsageError` for an empty separator.
        """
        if not separator:
            raise UsageError("separator must not be empty", argument="separator")
        buffer = self._buffer
        searched = 0
        while True:
            at = buffer.find(separator, searched)
            if 0 <= at <= MAX_LINE:
                return self._take(at + len(separator))
            if len(buffer) >= MAX_LINE + len(separator):
                raise HTTPRequestEntityTooLarge(MAX_LINE, len(buffer), text=f"413: a line of more than {MAX_LINE} bytes")
            searched = max(0, len(buffer) - len(separator) + 1)
            piece = await self._next()
            if not piece:
                return self._take(len(buffer))
            buffer += piece

    # -- iterating -----------------------------------------------------------------------------------------------------

    async def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        """Pieces of at most `n` bytes."""
        if n < 1:
            raise UsageError(f"n must be 1 or more, not {n!r}", argument="n")
        while piece := await self.read(n):
            yield piece

    async def iter_any(self) -> AsyncIterator[bytes]:
        """Pieces as they come."""
        while piece := await self.readany():
            yield piece
