"""Bodies of responses that no connection brings: from an application in the same process, or from an iterator.

To whoever reads such a body it is one like any other: the same read-ahead, time limits and errors.  `Feed` is what its producer
holds, and waits on for as long as the reader is behind.  `IteratorFeed` is its own producer: it reads an iterator, in a task that
begins when somebody first wants a piece, and that has ended when `HttpResponse.close` returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing
from time import monotonic
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from ..errors import ConnectionLost, IncompleteBody, UsageError
from ..models.message import Request
from ..net.incoming import Incoming, PieceSupply
from ..net.timeouts import NEVER, Timeouts, Watch
from .sources import IteratorSource

__all__ = ["Feed", "IteratorFeed"]

_NO_LIMITS = Timeouts(None, None, None, None)


class Feed(PieceSupply):
    """The producer's side of a body.  `dropped` is called if nobody wants the rest; it gives what there is to wait for then."""

    __slots__ = ("_dropped", "_loop", "_room", "_timeouts", "_watch", "body", "deadline", "peer", "total_at")

    def __init__(self, request: Request | None, dropped: Callable[[], Awaitable[Any] | None] | None = None) -> None:
        self.peer = ""
        self.deadline = self.total_at = NEVER
        self.body = Incoming(self)
        self._timeouts = _NO_LIMITS
        self._dropped = dropped
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watch: Watch | None = None
        self._room: asyncio.Future[None] | None = None
        if request is not None:
            self.answer(request)

    def answer(self, request: Request) -> None:
        """Take the time limits of the request that this is the answer to."""
        self.peer = request.destination.authority
        self.body.total_at = request.deadline
        self._timeouts = request.options.timeouts
        if self._timeouts.whole_body:
            self.total_at = request.deadline

    # -- the producer's side -------------------------------------------------------------------------------------------

    async def push(self, piece: bytes) -> None:
        """Give the reader a piece, and wait until it may have the next.  Raises `ConnectionLost` if it wants none."""
        body = self.body
        self.deadline = NEVER  # until the reader waits again, nothing is owed
        self._check_reader()
        if piece:
            body.feed(piece)
        if not body.paused:
            await asyncio.sleep(0)  # a producer that never waits would not let the reader see that this is enough
            return
        while body.paused and body.error is None:
            self._room = self.loop.create_future()
            await self._room
        self._check_reader()

    def _check_reader(self) -> None:
        if self.body.error is not None:
            raise ConnectionLost("the reader of the body has left", peer=self.peer, phase="sending the body")

    def finish(self, trailers: bytes = b"") -> None:
        """That was the last piece."""
        self._rest()
        if self.body.error is None:
            self.body.finish(trailers)

    def fail(self, error: BaseException) -> None:
        """There will be no more, and it is not complete."""
        self._rest()
        if self.body.error is None and not self.body.complete:
            self.body.fail(error)

    def _rest(self) -> None:
        self.deadline = NEVER
        if self._watch is not None:
            self._watch.stop()

    # -- the reader's side: what makes it a `Supply` -------------------------------------------------------------------

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of whoever came first, reader or producer."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def pause(self) -> None:
        """The reader is behind: `push` will see it."""

    def resume(self) -> None:
        """The reader wants more."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def await_bytes(self) -> None:
        """A reader waits: from now on silence counts."""
        deadline = min(self._timeouts.after(monotonic(), self._timeouts.read), self.total_at)
        self.deadline = deadline
        if deadline < NEVER:
            if self._watch is None:
                self._watch = Watch(self.loop, lambda: (self,))
            self._watch.arm(deadline)

    def expire(self, now: float) -> None:
        """The reader has waited for too long."""
        self.fail(self._timeouts.exceeded(total=now >= self.total_at, peer=self.peer, phase="reading the body"))
        self.give_up()

    def give_up(self) -> Awaitable[Any] | None:
        """Nobody wants the rest: the producer is told."""
        self._rest()
        self.resume()
        return self._dropped() if self._dropped is not None else None


class IteratorFeed(Feed):
    """A body from an iterator.

    `length` is what its Content-Length promises, negative for none: an iterator that gives less makes an `IncompleteBody`, as
    a peer that gives less does, and one that gives more a `UsageError`.  `trailers` is asked at the end.
    """

    __slots__ = ("_left", "_length", "_native", "_source", "_task", "_trailers")

    def __init__(
        self,
        pieces: AsyncIterable[bytes] | Iterable[bytes],
        length: int,
        request: Request | None = None,
        trailers: Callable[[], bytes] = bytes,
    ) -> None:
        super().__init__(request)
        self._source = IteratorSource(pieces, "body")
        self._native = isinstance(pieces, GeneratorType | AsyncGeneratorType | list | tuple)
        self._length = self._left = length
        self._trailers = trailers
        self._task: asyncio.Task[None] | None = None

    def resume(self) -> None:
        """The reader wants more: begin, if that is not done yet."""
        if self._task is None:
            self._task = self.loop.create_task(self._run())
        super().resume()

    def await_bytes(self) -> None:
        """A reader waits: begin, if that is not done yet."""
        self.resume()
        super().await_bytes()

    async def _run(self) -> None:
        try:
            async with aclosing(self._source.pieces()) as pieces:
                async for piece in pieces:
                    self._count(len(piece))
                    await self.push(piece)
        except asyncio.CancelledError:
            self.fail(ConnectionLost("the body was cancelled", peer=self.peer, phase="reading the body"))
            raise
        except BaseException as error:
            self.fail(error)  # which says no more to a reader that has left
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
        else:
            self._conclude()

    def _count(self, size: int) -> None:
        if self._length < 0:
            return
        self._left -= size
        if self._left < 0:
            raise UsageError(f"the body is longer than the {self._length} bytes of its Content-Length", argument="body")

    def _conclude(self) -> None:
        if self._left > 0:
            received = self._length - self._left
            message = f"the connection ended after {received} of {self._length} bytes of body"
            error = IncompleteBody(message, received=received, expected=self._length)
            self.fail(error.locate(self.peer, "reading the body"))
        else:
            self.finish(self._trailers())

    def give_up(self) -> Awaitable[Any] | None:
        """Nobody wants the rest: stop the iterator, and close it."""
        self._rest()
        task = self._task
        if task is None:
            return self._close_unread()
        if task.done() or self.loop.is_closed():
            return None
        task.cancel()
        return _end_of(task)

    def _close_unread(self) -> Awaitable[Any] | None:
        """A generator that was never begun has nothing to close; another iterator may have."""
        if self._native:
            return None
        try:
            self._task = asyncio.get_running_loop().create_task(self._source.close())
        except RuntimeError:  # collected as garbage, with no loop running
            return None
        return _end_of(self._task)


def _end_of(task: asyncio.Task[None]) -> asyncio.Future[None]:
    """A future that is done when `task` is, and that nobody needs to await."""
    end: asyncio.Future[None] = task.get_loop().create_future()

    def tell(task: asyncio.Task[None]) -> None:
        if not end.done():
            end.set_result(None)

    task.add_done_callback(tell)
    return end
