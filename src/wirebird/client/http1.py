"""A client's HTTP/1.1 connection: one exchange at a time over the pump (RFC 9112 9).

`begin` writes a request and names the future its response is for; from then on everything happens in `buffer_updated`.  The
connection goes back to its pool before the caller wakes up, and only if nothing is left over, nothing was ambiguous, the request
was written whole, and neither side said close.  Whatever else happens ends in `_fail`: the caller gets the error, the pool its
slot, and the socket is closed.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..errors import ConnectionLost, IncompleteBody, NetworkError, ProtocolError, WirebirdError
from ..models.limits import DEFAULT_LIMITS, Limits
from ..models.message import ResponseHead
from ..net.incoming import WINDOW, Incoming
from ..net.landing import Landing
from ..net.stream import Stream
from ..net.timeouts import NEVER, Timeouts, Watch
from ..protocol.http1_events import END, End, Event, State
from ..protocol.http1_parser import Parser
from .response import HttpResponse

if TYPE_CHECKING:
    from ..net.pool import SmartPool

__all__ = ["Http1Connection"]

SIZED = State.SIZED


class Http1Connection(Stream):
    """One connection of a client to one origin, HTTP/1.1.

    `key` names the connections it may stand in for, `requests` counts those it carried, `deadline` is when the pool's watch
    looks at it next.  Owned by the pool while idle, by one exchange otherwise.
    """

    __slots__ = (
        "_began",
        "_behind",
        "_body",
        "_continue",
        "_landing",
        "_last",
        "_source",
        "_waiter",
        "deadline",
        "key",
        "max_requests",
        "parser",
        "pool",
        "requests",
        "secure",
        "sending",
        "stale",
        "total_at",
        "watch",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        peer: str,
        key: str = "",
        pool: SmartPool | None = None,
        max_requests: float = NEVER,
        secure: bool = False,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        super().__init__(loop, peer)
        self.key = key
        self.pool = pool
        self.watch: Watch = pool.watch if pool is not None else Watch(loop, tuple)
        self.max_requests = max_requests
        self.secure = secure
        self.requests = 0
        self.parser = self.make_parser(limits)
        self.deadline = NEVER
        self.total_at = NEVER
        self.sending = False  # the request is not written whole yet
        self.stale = False  # it failed in a way that a reused connection may, with no byte of response
        self._began = 0.0
        self._last = False  # nothing may follow the exchange under way
        self._source: Any = None
        self._waiter: asyncio.Future[Any] | None = None
        self._continue: asyncio.Future[None] | None = None
        self._body: Incoming | None = None
        self._landing: Landing | None = None
        self._behind: bytearray | None = None  # the peer has switched protocols, and this is what it said then

    @staticmethod
    def make_parser(limits: Limits) -> Parser:
        """What reads its responses."""
        return Parser(server=False, limits=limits)

    @classmethod
    def unconnected(cls, pool: SmartPool) -> Http1Connection:
        """One that has a pool's slot and no transport."""
        connection = cls(pool.loop, "", pool=pool)
        connection.closing = True
        return connection

    def __repr__(self) -> str:
        doing = "closed" if self.closing else "idle" if self._waiter is None and self._body is None else self.parser.state.name
        return f"<{type(self).__name__} {self.key} {doing}, {self.requests} requests>"

    # -- the seam of net/pool.py ---------------------------------------------------------------------------------------

    def capacity(self) -> int:
        """How many exchanges could begin now: 1 when idle, else 0."""
        return int(self.is_open() and self._waiter is None and self._body is None)

    def is_open(self) -> bool:
        """Whether the transport is there and not closing."""
        return self.transport is not None and not self.closing and not self.transport.is_closing()

    def expire(self, now: float) -> None:
        """The watch found the deadline passed: the exchange is over, or the idle connection has rested long enough."""
        body = self._body
        if self._waiter is None and (body is None or body.unwanted):
            if body is not None:
                body.drop()
            self._leave_pool()
            self.shut()
            return
        if body is not None and body.paused:
            self.deadline = NEVER  # it is the consumer who is slow
            return
        self._fail(self._timeouts().exceeded(total=now >= self.total_at, peer=self.peer, phase=self._phase()))

    # -- an exchange ---------------------------------------------------------------------------------------------------

    def begin(
        self,
        method: bytes,
        wire: bytes,
        waiter: asyncio.Future[Any],
        source: Any,
        now: float,
        deadline: float,
        total_at: float,
        switching: bool = False,
    ) -> None:
        """Write a request, or the head of one, whose response is for `waiter`.

        `source` is what the response will say it came from, and has the `options`.  On the clock of `time.monotonic`: `now`,
        the `deadline` for the first byte of the response, `total_at` for the whole request.  `switching` protocols is offered.
        """
        self.requests = requests = self.requests + 1
        if requests >= self.max_requests:
            self._last = True
        self.parser.expect(method, switching)
        self._waiter = waiter
        self._source = source
        self._began = now
        self.total_at = total_at
        self.deadline = deadline
        watch = self.watch
        if deadline < watch.next_at:
            watch.arm(deadline)
        self.transport.write(wire)  # type: ignore[union-attr]

    def is_last(self) -> None:
        """The exchange under way said `close`: nothing may follow it."""
        self._last = True

    def on_continue(self) -> asyncio.Future[None]:
        """A future that is done at the first 100 (RFC 9110 10.1.1), or as soon as the response is there."""
        self._continue = self.loop.create_future()
        return self._continue

    def sent(self) -> None:
        """The request is written whole.  Only then may the connection be used again."""
        self.sending = False
        if self._waiter is not None or self._body is not None:
            self._rearm()
        elif not self.closing:
            self._settle(self._last)

    def break_off(self) -> None:
        """The rest of the request will not be sent: this is the last exchange, and it ends with its response."""
        self.sending = False
        self._last = True
        if self._waiter is not None or self._body is not None:
            self._rearm()
        elif not self.closing:
            self._settle(True)

    def write(self, data: bytes) -> None:
        """Write a part of the request's body."""
        if self.transport is not None and not self.closing:
            self.transport.write(data)

    async def drain(self) -> None:
        """Wait until the transport takes more: as long as the peer may be silent, and no longer than the request may take."""
        if not self.writable:
            self._rearm()
        await super().drain()
        if self.sending and not getattr(self._body, "awaited", False):
            self.deadline = self.total_at  # while the caller produces the next piece, the peer owes nothing

    def cancel(self, waiter: asyncio.Future[Any]) -> None:
        """Whoever awaited `waiter` has stopped to.  If its response is there already, this has another owner by now."""
        if self._waiter is waiter:
            self.give_up()
        elif (
            waiter.done() and not waiter.cancelled() and waiter.exception() is None and (response := waiter.result()) is not None
        ):
            # It arrived in the turn of the loop in which the wait was given up, and what was raised may keep it alive for long.
            response.abandon()

    def give_up(self) -> None:
        """Nobody waits for the response, or for the rest of its body, any more."""
        self._waiter = self._body = self._landing = None
        self._leave_pool()
        if not self.loop.is_closed():
            self.abort()

    # -- input ---------------------------------------------------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> memoryview:
        """The loop's buffer, or the final place of a body that is collected whole."""
        if self._body is None:
            return self._view
        landing = self._landing
        return self._view[:WINDOW] if landing is None else landing.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have arrived in what `get_buffer` gave."""
        try:
            events = self.parser.receive(self._buffer, nbytes) if self._landing is None else self._land(nbytes)
        except ProtocolError as error:
            self._fail(error.locate(self.peer, self._phase()))
            return
        waiter = self._waiter
        if waiter is not None and events and events[-1] is END:
            head = events[0]
            count = len(events)
            if count == 2 or (count == 3 and type(events[1]) is bytes):
                # The whole response at once: the way of nearly every small one.
                self._waiter = None
                now = monotonic()
                if not waiter.done():
                    body = events[1] if count == 3 else b""
                    waiter.set_result(HttpResponse(head, body, self._source, None, now - self._began))  # type: ignore[arg-type]
                if self._last or self.sending or not head.keep_alive or self.parser.leftover:  # type: ignore[union-attr]
                    self._settle(True)
                else:
                    self._source = None
                    self.pool.release(self)  # type: ignore[union-attr]
                return
        self._dispatch(events)

    def _land(self, size: int) -> list[Event]:
        """Bytes have arrived where they stay."""
        landing = self._landing
        events = self.parser.advance(size)
        if landing is not None and landing.advance(size):
            self._landing = self._body.landed(landing, self.parser.left) if self._body is not None else None
        return events

    def _dispatch(self, events: list[Event]) -> None:
        if self._waiter is None and self._body is None and self._behind is None:
            # Bytes that nobody asked for: on an idle connection they would answer the next request.
            self._leave_pool()
            self.abort()
            return
        body = self._body
        for event in events:
            if type(event) is bytes:
                if body is not None:
                    body.feed(event)
                elif self._behind is not None:
                    self._behind += event
            elif type(event) is End:
                self._finish(event)
                return
            else:
                body = self._on_head(event)  # type: ignore[arg-type]
        if self._behind is None:
            self._rearm()

    def _on_head(self, head: ResponseHead) -> Incoming | None:
        if self._continue is not None and not self._continue.done() and (head.status == 100 or head.status >= 200):
            self._continue.set_result(None)
        waiter = self._waiter
        if head.status < 200 or waiter is None:
            if head.status == 101 and waiter is not None:
                self._switch(head, waiter)
            return None
        self._waiter = None
        body = self._body = Incoming(self)
        self._last = self._last or not head.keep_alive
        if not self._timeouts().whole_body:
            self.total_at = NEVER  # from here on only `collect` has a total limit
        if not waiter.done():
            waiter.set_result(HttpResponse(head, None, self._source, body, monotonic() - self._began))
        else:
            body.dismiss()  # whoever waited was cancelled in this turn of the loop, and will find somebody else's connection
        return body

    def _switch(self, head: ResponseHead, waiter: asyncio.Future[Any]) -> None:
        """The peer has switched protocols: the response takes the connection along, out of the pool, and nothing is received."""
        from .upgraded import UpgradedResponse

        self._behind = bytearray()
        response = UpgradedResponse.on(self, self._behind, head, self._source, monotonic() - self._began)
        self._waiter = self._source = None
        self.pause()
        self.pool.discard(self)  # type: ignore[union-attr]
        if waiter.done():
            self.abort()
        else:
            waiter.set_result(response)

    def _finish(self, end: End) -> None:
        body, self._body = self._body, None
        self._landing = None
        if body is None:
            return
        if body.paused:
            self.resume()
        body.finish(end.trailers)
        self._settle(self._last)

    def _settle(self, last: bool) -> None:
        """The response is complete: back to the pool, if everything allows it."""
        pool = self.pool
        if pool is None:
            return
        if self.sending:
            # The peer answered before it had the whole request.  Whoever sends it is told, and closes or completes.
            self._last = True
            if self._continue is not None and not self._continue.done():
                self._continue.set_result(None)
            self.deadline = NEVER
            return
        if last or self._last or self.closing or self.parser.leftover:
            pool.discard(self)
            self.shut()
        else:
            self._source = None
            pool.release(self)

    def eof_received(self) -> None:
        """The peer will send no more: the end of a body that ends so, and a fault anywhere else."""
        if self._waiter is not None:
            self._fail(self._lost_error(None))
            return
        if self.parser.state is State.TO_EOF and self.secure and self.transport is not None:
            from ..net.last_words import is_cut_short

            if is_cut_short(self.transport):
                self.lost(None)
                return
        try:
            events = self.parser.eof()
        except IncompleteBody as error:
            # Its traceback would keep the frame of the transport's read, and with it the place that was read into.
            self._fail(error.locate(self.peer, self._phase()).with_traceback(None))
            return
        self._last = True
        self.closing = True
        if events:
            self._dispatch(events)
        else:
            self._leave_pool()

    def lost(self, exc: Exception | None) -> None:
        """The transport is gone; with TLS, also when the peer left without close_notify, so that its body may be cut short."""
        if exc is not None:
            exc.with_traceback(None)  # it ends in the transport's read, which holds the place that was read into
        if self.sending and self._waiter is not None and not self.secure and self.transport is not None:
            self._salvage(self.transport)
        if self._waiter is not None or (self._body is not None and self._is_shut_down()):
            self._fail(self._lost_error(exc))
        elif self._body is not None:
            parser = self.parser
            left = parser.left if parser.state is SIZED else None
            error = IncompleteBody.after(parser.received, left, peer=self.peer, phase="reading the body")
            error.__cause__ = exc
            self._fail(error)
        else:
            self._leave_pool()

    def _salvage(self, transport: asyncio.Transport) -> None:
        """The peer broke off while it was being sent a body: read what it said before that, most often a 4xx."""
        from ..net.last_words import unread

        try:
            for data in unread(transport):
                if data:
                    self._dispatch(self.parser.receive(data, len(data)))
                elif self._body is not None:
                    self._dispatch(self.parser.eof())
                    return
                if not data or (self._waiter is None and self._body is None):
                    return
        except (OSError, ProtocolError):
            pass

    def _is_shut_down(self) -> bool:
        return self.pool is not None and self.pool.closed

    def _lost_error(self, exc: BaseException | None) -> NetworkError:
        if self._is_shut_down():
            return ConnectionLost("the client was closed", peer=self.peer, phase=self._phase())
        said = "closed the connection" if exc is None else "broke the connection"
        error = ConnectionLost(f"the peer {said} without a response", peer=self.peer, phase=self._phase())
        error.__cause__ = exc
        # RFC 9112 9.3.1: the peer may have closed an idle connection just as it was used again, and seen nothing of the request.
        self.stale = self.requests > 1 and self.parser.untouched()
        return error

    # -- time and flow -------------------------------------------------------------------------------------------------

    def _rearm(self) -> None:
        """The peer has just done something: its time to do the next thing begins.  None is set while it has to wait for us."""
        waits, timeouts = self.sending and self.writable and not getattr(self._body, "awaited", False), self._timeouts()
        self.deadline = self.total_at if waits else min(timeouts.after(monotonic(), timeouts.read), self.total_at)
        if self.deadline < self.watch.next_at:
            self.watch.arm(self.deadline)

    def _timeouts(self) -> Timeouts:
        timeouts: Timeouts = self._source.options.timeouts
        return timeouts

    def await_bytes(self) -> None:
        """A reader waits: from now on the peer's silence counts."""
        self._rearm()

    def pause(self) -> None:
        """The reader is behind: leave the rest in the socket."""
        if self.transport is not None and not self.closing:
            self.transport.pause_reading()

    def resume(self) -> None:
        """The reader wants more."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()
            self._rearm()

    def left(self) -> int:
        """Bytes that a body of known length still lacks; 0 of any other."""
        return self.parser.left if self.parser.state is SIZED else 0

    def land(self, landing: Landing) -> None:
        """Receive the rest of the body in place."""
        self._landing = landing

    # -- the end -------------------------------------------------------------------------------------------------------

    def may_outlive_body(self) -> bool:
        """Whether the connection could be used again after the body under way."""
        return not (self._last or self.closing or self.sending or self.parser.state is State.TO_EOF)

    def drain_body(self, seconds: float) -> None:
        """Receive the rest of the body for nobody, for no longer than `seconds`."""
        self._landing = None
        self.total_at = monotonic() + seconds
        self.resume()

    def forsake(self) -> None:
        """The loop is gone, and the transport with it."""
        error = ConnectionLost("the event loop was closed", peer=self.peer, phase=self._phase())
        if self._body is not None:
            self._body.fail(error)
        self._waiter = self._body = self.transport = None
        self.closing = True

    def _fail(self, error: WirebirdError) -> None:
        waiter, self._waiter = self._waiter, None
        body, self._body = self._body, None
        landing, self._landing = self._landing, None
        if self._continue is not None and not self._continue.done():
            self._continue.set_result(None)
        self.closing = True
        self._leave_pool()
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
        if body is not None:
            body.fail(error, landing)
        self.abort()

    def _leave_pool(self) -> None:
        self.closing = True
        if self.pool is not None:
            self.pool.discard(self)

    def _phase(self) -> str:
        if self._body is not None:
            return "reading the body"
        if self._waiter is not None:
            return "sending the request" if self.sending else "waiting for the response"
        return ""
