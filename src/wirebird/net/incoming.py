"""The body of a response that did not come with its head: filled by the connection, emptied by the caller.

The connection reads ahead, but no further than `READ_AHEAD`: a body that fits completes, and frees its connection, without
being asked for; a longer one pauses the socket until somebody reads.  Collected whole, a body of known length is received
straight into its final place.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..errors import BodyConsumed, LimitExceeded, WirebirdError
from .landing import Landing
from .timeouts import NEVER

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["READ_AHEAD", "WINDOW", "Claim", "Incoming", "PieceSupply", "Supply", "Watcher"]

READ_AHEAD: Final = 65536

# A body that is not received in place is taken from the socket in parts of this size: larger ones would each be memory fresh from
# the operating system, which costs more than the copy.
WINDOW: Final = 65536

# How long an unwanted rest is waited for, seconds.
DRAIN_TIME: Final = 1.0

# Below this, collecting pieces and joining them is cheaper than preparing a place.
_WORTHWHILE: Final = 65536
_WORTHWHILE_PIECE: Final = 16384


class Watcher(Protocol):
    """What wants to know how a body fares.  It may be told of the end more than once, and of reading after the end."""

    def read(self, piece: bytes) -> None:
        """The caller was given `piece`, as it came."""

    def ended(self, error: BaseException | None, received: int) -> None:
        """There is no more to come from the connection, which brought `received` bytes; `error` is None if that was all."""


class Supply(Protocol):
    """What fills an `Incoming`: a connection, or a `Feed` where there is none.

    `peer` is for messages, and `total_at` when the time is over for a body that is collected whole.
    """

    peer: str
    total_at: float

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop on which it fills, and is read."""

    def pause(self) -> None:
        """The reader is behind."""

    def resume(self) -> None:
        """The reader wants more."""

    def await_bytes(self) -> None:
        """A reader waits."""

    def left(self) -> int:
        """Bytes that a body of known length still lacks; 0 of any other."""

    def land(self, landing: Landing) -> None:
        """Receive the rest of a body of known length in place."""

    def may_outlive_body(self) -> bool:
        """Whether it is worth waiting for the rest of an unwanted body."""

    def drain_body(self, seconds: float) -> None:
        """Receive the rest of the body for nobody, for no longer than `seconds`."""

    def give_up(self) -> Awaitable[Any] | None:
        """Nobody wants the rest.  What there is to wait for until everything has come to its end, None for nothing."""


class PieceSupply:
    """The part of a `Supply` that brings pieces of its own making, and is of no use behind the body."""

    __slots__ = ()

    def left(self) -> int:
        """0: nothing is received in place."""
        return 0

    def land(self, landing: Landing) -> None:
        """Not asked for, since `left` is 0."""

    def may_outlive_body(self) -> bool:
        """False: there is nothing to be used again."""
        return False

    def drain_body(self, seconds: float) -> None:
        """Not asked for, since nothing is to be used again."""


class Incoming:
    """A response body on its way.  One reader at a time, or several who collect it whole."""

    __slots__ = (
        "_buffered",
        "_collecting",
        "_connection",
        "_endings",
        "_piece_size",
        "_pieces",
        "_readers",
        "_waiters",
        "_whole",
        "chunk_ends",
        "complete",
        "error",
        "patient",
        "paused",
        "received",
        "total_at",
        "trailers",
        "unwanted",
        "watchers",
    )

    def __init__(self, connection: Supply | None, whole: bytes | None = None) -> None:
        self._connection = connection
        self._pieces: deque[bytes | Landing] = deque()
        self._piece_size = 0  # of the pieces that are received in place; 0 if they come as they come
        self._buffered = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._readers = 0  # those who wait, and those who were woken and did not run yet
        self._whole: bytes | None = None  # collected, and there is another reader who wants it
        self._collecting = False
        self._endings: list[Callable[[], None]] | None = None  # who wants to know of the end
        self.paused = False
        self.complete = False
        self.error: BaseException | None = None
        self.patient = False  # whether a reader may give up waiting, and come back
        self.trailers = b""
        self.received = 0
        self.unwanted = False
        self.watchers: tuple[Watcher, ...] = ()  # several, where one client hands on what another received
        self.chunk_ends: deque[int] | None = None  # for a connection that keeps chunks apart (client/chunks.py)
        # The request's: binding for a body that is collected, not for one that is streamed.
        self.total_at = connection.total_at if connection is not None else NEVER
        if whole is not None:
            self._pieces.append(whole)
            self._buffered = len(whole)
            self.complete = True

    @property
    def supply(self) -> Supply | None:
        """What fills it; None once nothing more will come."""
        return self._connection

    # -- the connection's side -----------------------------------------------------------------------------------------

    def feed(self, piece: bytes) -> None:
        """A piece has arrived."""
        if self.unwanted:
            self._drain(len(piece))
            return
        self._pieces.append(piece)
        self._buffered += len(piece)
        self.received += len(piece)
        self._check_read_ahead()
        self._wake()

    def landed(self, landing: Landing, left: int) -> Landing | None:
        """A piece was received in place, and `left` bytes of the body are to come: where to, or None for anywhere."""
        self._pieces.append(landing)
        self._buffered += landing.total
        if not left or not self._piece_size:
            return None
        self._check_read_ahead()
        self._wake()
        return Landing(min(self._piece_size, left), b"")

    def _check_read_ahead(self) -> None:
        limit = max(READ_AHEAD, 2 * self._piece_size)
        if self._buffered >= limit and not self._collecting and not self.paused and self._connection is not None:
            self.paused = True
            self._connection.pause()

    def finish(self, trailers: bytes) -> None:
        """That was the last piece."""
        self.complete = True
        self.trailers = trailers
        for watcher in self.watchers:
            watcher.ended(None, self._count())
        self._connection = None
        self._wake()
        if self._endings:
            self._end()

    def fail(self, error: BaseException, landing: Landing | None = None) -> None:
        """There will be no more, and it is not complete; `landing` is where a piece was being received."""
        if landing is not None and self._piece_size and landing.received:
            self._pieces.append(landing)
            self._buffered += landing.received
        self.error = error
        for watcher in self.watchers:
            watcher.ended(error, self._count())
        self._connection = None
        self._wake()
        if self._endings:
            self._end()

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for more of it."""
        return self._readers > 0

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call `callback` once nothing more will come, or nobody wants it; at once if that is so."""
        if self.complete or self.error is not None:
            callback()
        elif self._endings is None:
            self._endings = [callback]
        else:
            self._endings.append(callback)

    def _end(self) -> None:
        endings, self._endings = self._endings, None
        for callback in endings or ():
            callback()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # -- the observers' side -------------------------------------------------------------------------------------------

    def watch(self, watcher: Watcher) -> None:
        """Have `watcher` told what is read and how it ended; at once, if it has."""
        self.watchers += (watcher,)
        if self.complete or (self.error is not None and self._connection is None):
            watcher.ended(None if self.complete else self.error, self._count())

    def _count(self) -> int:
        """Bytes of the body that have arrived.  Once the connection is gone, and before anything is read: what is here."""
        parser = getattr(self._connection, "parser", None)
        return parser.received if parser is not None else max(self.received, self._buffered)

    # -- the reader's side ---------------------------------------------------------------------------------------------

    async def next(self) -> bytes:
        """The next piece as it arrived, b"" at the end.  Raises what ended the body early, after what came before it."""
        while (piece := self.take()) is None:
            await self.arrival()
        return piece

    def take(self) -> bytes | None:
        """The next piece if it is here, b"" at the end, None if it is yet to come, or never will."""
        if self._collecting and (self._pieces or not self.complete):
            raise self.error or BodyConsumed("the body is being read whole")
        if not self._pieces:
            return b"" if self.complete else None
        first = self._pieces.popleft()
        piece = first.finish() if isinstance(first, Landing) else first
        self._buffered -= len(piece)
        self._check_room()
        for watcher in self.watchers:
            watcher.read(piece)
        return piece

    def is_exhausted(self) -> bool:
        """Whether `next` has nothing more to give."""
        return self.complete and not self._pieces

    def _check_room(self) -> None:
        if self.paused and self._buffered < READ_AHEAD:
            self.paused = False
            if self._connection is not None:
                self._connection.resume()

    def deliver_in(self, size: int) -> None:
        """Receive the rest of a body of known length in pieces of `size`, in place, where that is worth while."""
        connection = self._connection
        if connection is None or size < _WORTHWHILE_PIECE or self._piece_size or not connection.left():
            return
        begin = self._joined()
        whole = len(begin) - len(begin) % size
        self._pieces.extend(begin[at : at + size] for at in range(0, whole, size))
        self._buffered = whole
        rest = begin[whole:]
        self._piece_size = size
        connection.land(Landing(min(size, len(rest) + connection.left()), rest))
        self._check_room()

    def _joined(self) -> bytes:
        """All that is here, as one."""
        pieces = [piece.finish() if isinstance(piece, Landing) else piece for piece in self._pieces]
        self._pieces.clear()
        self._buffered = 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def collect(self, max_size: int | None) -> bytes:
        """All that is left, as one, within the total time limit.  Raises `LimitExceeded` as soon as it must pass `max_size`."""
        connection = self._connection
        if connection is not None and not self._collecting:
            left = connection.left()
            if max_size is not None and self._buffered + left > max_size:
                raise self._too_large(max_size)
            self._collecting = True
            connection.total_at = self.total_at
            if left >= _WORTHWHILE:
                begin = self._joined()
                connection.land(Landing(len(begin) + left, begin))
            self.paused = False
            connection.resume()
        while not self.complete:
            await self.arrival()
            if max_size is not None and self._buffered > max_size:
                raise self._too_large(max_size)
        if max_size is not None and self._buffered > max_size:
            raise self._too_large(max_size)
        whole = self._whole
        if whole is None:
            whole = self._joined()
            for watcher in self.watchers:
                watcher.read(whole)
        self._whole = whole if self._readers else None
        return whole

    def _too_large(self, max_size: int) -> WirebirdError:
        message = f"a body of more than {max_size} bytes"
        error = LimitExceeded(message, limit="max_body_size", maximum=max_size, status=413)
        if self._connection is not None:
            error.locate(self._connection.peer, "reading the body")
        self.drop(error)
        self.error = error
        return error

    async def arrival(self, *, resumable: bool = False) -> None:
        """Wait until something has arrived.  Raises what ended the body early.

        If all who wait are cancelled the connection is closed, for the rest would arrive for nobody; but not for one who is
        `resumable`: who may ask again, and holds a `Claim` until then.
        """
        if self.error is not None:
            raise self.error
        connection = self._connection
        if connection is None:
            return
        waiter = connection.loop.create_future()
        self._waiters.append(waiter)
        self._readers += 1
        connection.await_bytes()
        try:
            await waiter
        except asyncio.CancelledError:
            self._readers -= 1
            if not (self._readers or self.patient or resumable):
                self.drop(asyncio.CancelledError())  # the rest would arrive for nobody
            raise
        self._readers -= 1
        error: BaseException | None = self.error  # meanwhile
        if error is not None and not self._pieces:
            raise error

    def drop(self, reason: BaseException | None = None) -> Awaitable[Any] | None:
        """Nobody wants the rest, and nobody waits for it: close the connection.  `reason` is what a watcher hears.

        Gives what `Supply.give_up` gives.
        """
        connection = self._connection
        if connection is None:
            return None
        self.error = BodyConsumed("the response was closed before its body was read")
        for watcher in self.watchers:
            watcher.ended(reason or self.error, self._count())
        self._connection = None
        ending = connection.give_up()
        self._wake()
        self._end()
        return ending

    def dismiss(self) -> Awaitable[Any] | None:
        """Nobody wants the rest.  A little of it is waited for, so that the connection can be used again; else it is closed.

        Gives what `Supply.give_up` gives.
        """
        connection = self._connection
        if connection is None or self.unwanted:
            return None
        if connection.left() > READ_AHEAD or not connection.may_outlive_body() or connection.loop.is_closed():
            return self.drop()
        self.unwanted = True
        self.received = 0
        self._pieces.clear()
        self.error = BodyConsumed("the response was closed before its body was read")
        connection.drain_body(DRAIN_TIME)
        self.paused = False
        self._end()
        return None

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
