"""The body of a response that did not come with its head: filled by the connection, emptied by the caller.

The connection reads ahead, but no further than `READ_AHEAD`: a body that fits completes, and frees its connection, without
being asked for; a longer one pauses the socket until somebody reads.  Collected whole, a body of known length is received
straight into its final place.
"""

from __future__ import annotations

import asyncio
from collections import deque
from io import BytesIO
from typing import TYPE_CHECKING, Final

from ..errors import BodyConsumed, LimitExceeded, WirebirdError

if TYPE_CHECKING:
    from .http1 import Http1Connection

__all__ = ["READ_AHEAD", "Claim", "Incoming", "Landing"]

READ_AHEAD: Final = 65536

# A length that the peer merely claims is given this much memory at first, and then four times what has arrived.
_FIRST: Final = 4 * 1024 * 1024
_GROWTH: Final = 4

# How long an unwanted rest is waited for, seconds.
DRAIN_TIME: Final = 1.0

# Below this, collecting pieces and joining them is cheaper than preparing a place.
_WORTHWHILE: Final = 65536


class Landing:
    """A place of known size that bytes are received into, and that becomes `bytes` without another copy.

    A `BytesIO` holds a bytes object, lets it be written through a view, and gives it away as it is.
    """

    __slots__ = ("_io", "_room", "_total", "view")

    def __init__(self, total: int, begin: bytes) -> None:
        self._total = total
        self._room = max(min(total, _FIRST), len(begin))
        self._io = BytesIO(bytes(self._room))
        self.view = self._io.getbuffer()
        self.view[: len(begin)] = begin
        self.view = self.view[len(begin) :]

    def advance(self, size: int) -> None:
        """`size` bytes were received at the start of `view`."""
        self.view = self.view[size:]
        if not self.view and self._room < self._total:
            at = self._room
            self._room = min(self._total, at * _GROWTH)
            self.view.release()
            self._io.seek(self._room - 1)
            self._io.write(b"\0")
            self.view = self._io.getbuffer()[at:]

    def finish(self) -> bytes:
        """The whole."""
        self.view.release()
        self.view = memoryview(b"")
        return self._io.getvalue()


class Incoming:
    """A response body on its way.  One reader at a time."""

    __slots__ = (
        "_buffered",
        "_collecting",
        "_connection",
        "_pieces",
        "_waiter",
        "complete",
        "error",
        "paused",
        "received",
        "total_at",
        "trailers",
        "unwanted",
    )

    def __init__(self, connection: Http1Connection) -> None:
        self._connection: Http1Connection | None = connection
        self._pieces: deque[bytes] = deque()
        self._buffered = 0
        self._waiter: asyncio.Future[None] | None = None
        self._collecting = False
        self.paused = False
        self.complete = False
        self.error: BaseException | None = None
        self.trailers = b""
        self.received = 0
        self.unwanted = False
        self.total_at = connection.total_at  # of the request; binding for a body that is collected, not for one that is streamed

    # -- the connection's side -----------------------------------------------------------------------------------------

    def feed(self, piece: bytes) -> None:
        """A piece has arrived."""
        if self.unwanted:
            self._drain(len(piece))
            return
        self._pieces.append(piece)
        self._buffered += len(piece)
        self.received += len(piece)
        if self._buffered >= READ_AHEAD and not self._collecting and not self.paused and self._connection is not None:
            self.paused = True
            self._connection.pause()
        self._wake()

    def land(self, whole: bytes) -> None:
        """All of it was received in place."""
        self._pieces.append(whole)
        self._buffered = len(whole)
        self.received = len(whole)

    def finish(self, trailers: bytes) -> None:
        """That was the last piece."""
        self.complete = True
        self.trailers = trailers
        self._connection = None
        self._wake()

    def fail(self, error: BaseException) -> None:
        """There will be no more, and it is not complete."""
        self.error = error
        self._connection = None
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # -- the reader's side ---------------------------------------------------------------------------------------------

    async def next(self) -> bytes:
        """The next piece as it arrived, b"" at the end.  Raises what ended the body early, after what came before it."""
        while not self._pieces:
            if self.complete:
                return b""
            await self._wait()
        piece = self._pieces.popleft()
        self._buffered -= len(piece)
        if self.paused and self._buffered < READ_AHEAD:
            self.paused = False
            if self._connection is not None:
                self._connection.resume()
        return piece

    async def collect(self, max_size: int | None) -> bytes:
        """All that is left, as one, within the total time limit.  Raises `LimitExceeded` as soon as it must pass `max_size`."""
        if self.complete and not self._pieces:
            return b""
        connection = self._connection
        if connection is not None:
            left = connection.parser.left if connection.is_sized() else 0
            if max_size is not None and self._buffered + left > max_size:
                raise self._too_large(max_size)
            self._collecting = True
            connection.total_at = self.total_at
            if left >= _WORTHWHILE:
                begin = b"".join(self._pieces)
                self._pieces.clear()
                connection.land(Landing(len(begin) + left, begin))
            self.paused = False
            connection.resume()
            while not self.complete:
                await self._wait()
                if max_size is not None and self._buffered > max_size:
                    raise self._too_large(max_size)
        elif self.error is not None:
            raise self.error
        whole = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._buffered = 0
        return whole

    def _too_large(self, max_size: int) -> WirebirdError:
        error = LimitExceeded(f"a body of more than {max_size} bytes", limit="max_body_size", maximum=max_size)
        if self._connection is not None:
            error.locate(self._connection.peer, "reading the body")
        self.drop()
        return error

    async def _wait(self) -> None:
        if self.error is not None:
            raise self.error
        connection = self._connection
        if connection is None:
            return
        waiter = self._waiter = connection.loop.create_future()
        connection.await_bytes()
        try:
            await waiter
        except asyncio.CancelledError:
            # The rest would arrive for nobody.
            self.drop()
            raise
        error: BaseException | None = self.error  # meanwhile
        if error is not None and not self._pieces:
            raise error

    def drop(self) -> None:
        """Nobody wants the rest, and nobody waits for it: close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self.error = BodyConsumed("the response was closed before its body was read")
            connection.give_up()

    def dismiss(self) -> None:
        """Nobody wants the rest.  A little of it is waited for, so that the connection can be used again; else it is closed."""
        connection = self._connection
        if connection is None or self.unwanted:
            return
        left = connection.parser.left if connection.is_sized() else 0
        if left > READ_AHEAD or not connection.may_outlive_body():
            self.drop()
            return
        self.unwanted = True
        self.received = 0
        self._pieces.clear()
        self.error = BodyConsumed("the response was closed before its body was read")
        connection.drain_body(DRAIN_TIME)
        self.paused = False

    def _drain(self, size: int) -> None:
        self.received += size
        if self.received > READ_AHEAD:
            self.drop()


class Claim:
    """A reader's hold on a body.  The connection holds the body too, so it takes this to notice that no reader is left."""

    __slots__ = ("body",)

    def __init__(self, body: Incoming) -> None:
        self.body = body

    def __del__(self) -> None:
        if not self.body.complete:
            self.body.dismiss()
