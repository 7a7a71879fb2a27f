"""A server's side of one HTTP/1.1 connection over the pump: requests one after the other, each answered before the next is read
(RFC 9112 9.3.2), until something says close (9.6).

Everything happens where bytes arrive, and where a handler ends that had to wait: what answers at once is answered in the same
turn of the loop, pipelined requests too.  A body is read as it is asked for, with the same read-ahead as a client's, and the 100
(Continue) is sent when somebody waits for it (RFC 9110 10.1.1).  Whatever cannot be parsed is answered once and closes the
connection; a close lets the peer read the answer first (RFC 9112 9.6).

What is read behind the request under way is kept as bytes, no more than a read beyond `PIPELINE`; then the socket is left alone.
The parser is asked for the next request only when the one before is answered.  So there is no queue, and a fault in the third
request comes to light when the second is done.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final

from ..errors import ConnectionLost, InvalidRequest, ProtocolError, WirebirdError
from ..models.message import RequestHead
from ..net.incoming import PieceSupply
from ..net.timeouts import NEVER
from ..protocol.http1_events import END, End, Event, State
from .driver import Driver
from .exchange import Exchange
from .host import Host, Phase
from .lingering import LingeringStream
from .peer import peer_of
from .refusal import NOBODY, is_of_client, refusal, status_of, too_large

__all__ = ["ServerConnection"]

# What may arrive behind a request while it is served, bytes: then reading stops.
PIPELINE: Final = 65536
_TURN: Final = 64  # requests that are answered in one turn of the loop

IDLE, SERVING, DRAINING, LINGERING, GONE = Phase
_DONE: Final = State.DONE
_HEAD: Final = State.HEAD


class ServerConnection(PieceSupply, LingeringStream):
    """One connection of a client to `host`."""

    __slots__ = (
        "_cancelled",
        "_discarded",
        "_driver",
        "_expecting",
        "_fault",
        "_handler",
        "_proxies",
        "_run",
        "exchange",
        "stamp",
        "total_at",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, host: Host) -> None:
        super().__init__(loop, host)
        self._driver = Driver(loop, self._on_end)
        self._run = self._driver.run
        self._handler = host.serve
        self._proxies = host.settings.proxies
        self._cancelled = False  # the handler, by us
        self._discarded = 0  # bytes of a body that nobody wanted
        self._expecting = False  # the client waits for a 100
        self._fault: ProtocolError | None = None
        self.exchange: Exchange | None = None
        self.stamp = host.stamp
        self.total_at = NEVER

    def __repr__(self) -> str:
        return f"<ServerConnection {self.peer} {self.phase.name}, {self.requests} requests>"

    # -- called by asyncio ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there."""
        super().connection_made(transport)
        host = self._host
        self.peer = peer_of(transport.get_extra_info("peername"))
        self.secure = transport.get_extra_info("sslcontext") is not None
        self.parser.secure = self.secure or self._proxies is not None  # a proxy may have taken TLS off
        most = host.settings.max_connections
        if most is not None and host.busy() >= most:
            self._turn_away()
            return
        host.connections.add(self)
        self.idle_begins(first=True)

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have arrived."""
        phase = self.phase
        if phase > DRAINING:
            return
        try:
            events = self.parser.receive(self._buffer, nbytes)
        except ProtocolError as error:
            self._break(error)
            return
        if phase is not IDLE:
            self._more(events)
        elif events:
            self._serve(events)
        elif self.parser.state is _DONE:
            self._check_pipeline()
        else:
            self._await_head()

    def eof_received(self) -> bool:
        """The client will send no more; it may still read what it asked for, but for TLS, which knows no half-close."""
        self.ended = True
        if self.phase >= DRAINING:
            self.close()
            return False
        exchange = self.exchange
        if exchange is None and self.parser.state is _DONE:
            return not self.secure  # there are requests that wait for their turn
        try:
            self.parser.eof()
        except ProtocolError as error:
            self._break(error)
        if exchange is None:
            if self.phase is IDLE:
                self.close()
            return False
        if exchange.left is not None:
            exchange.left(False)
        return not self.secure and self.exchange is not None

    def lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        if exc is not None:
            exc.with_traceback(None)
        self.ended = True
        self.forget_deadlines()
        host = self._host
        host.connections.discard(self)
        host.past_requests += self.requests
        exchange = self.exchange
        gone = self.phase is GONE
        self.phase = GONE
        if exchange is None:
            self._driver.stop()
        else:
            host.orphans.add(self)
            if not gone:
                self._fail_body(ConnectionLost("the client has left", peer=self.peer, phase="reading the request"))
                if exchange.left is not None:
                    exchange.left(True)
                if host.settings.cancel_on_disconnect and not self._cancelled:
                    self.cancel()
        if host.stopping:
            host.settle()

    def resume_writing(self) -> None:
        """It has read what was too much."""
        super().resume_writing()
        if self.phase is IDLE:
            self.loop.call_soon(self._next)

    # -- requests ------------------------------------------------------------------------------------------------------

    def _serve(self, events: list[Event]) -> None:
        """Answer the request that `events` begin with, and those behind it, as far as that goes without waiting."""
        host, parser, run, serve = self._host, self.parser, self._run, self._handler
        proxies = self._proxies
        left = _TURN
        while True:
            head: RequestHead = events[0]  # type: ignore[assignment]
            whole: bytes | None = None
            if len(events) == 2 and events[1] is END:
                whole = b""
            elif not self._is_granted(head):
                return
            elif len(events) == 3 and events[2] is END:
                whole = events[1]  # type: ignore[assignment]
            if self.paused and len(parser.leftover) <= PIPELINE:
                self.resume()
            self.requests += 1
            self.head_began = 0.0
            self.phase = SERVING
            now = self.active_at = monotonic()
            exchange = self.exchange = Exchange(self, head, whole, now)
            if proxies is not None and not self._look_behind(exchange):
                return
            if whole is None:
                self._open(exchange, events)
            outcome = run(serve(exchange))
            if outcome is False:
                if exchange.parted is None or not exchange.finished:
                    if not self._wait_began:
                        self.due_at(NEVER)
                    return
                exchange.parted(exchange, self._driver.part())
                outcome = None
            if (
                outcome is None
                and exchange.finished
                and exchange.keep_alive
                and host.done is None
                and self.phase is SERVING
                and parser.state is _DONE
                and self.read_by != NEVER
            ):
                self.exchange = None  # `_conclude`, where there is nothing to conclude
                self.phase = IDLE
            elif not self._conclude(exchange, outcome):  # type: ignore[arg-type]
                outcome = None  # whose traceback leads here
                return
            outcome = None
            if not parser.leftover:
                parser.state = _HEAD  # as `proceed` does, where there is nothing yet
                if self.paused:
                    self.resume()
                return
            if not self.writable:
                return
            left -= 1
            if not left:
                self.loop.call_soon(self._next)  # let others have their turn
                return
            try:
                events = parser.proceed()
            except ProtocolError as error:
                self._break(error)
                return
            if not events:
                self._await_head()
                return

    def _look_behind(self, exchange: Exchange) -> bool:
        """Find out who the client is behind a proxy; whether that can be told."""
        try:
            exchange.look_behind(self._proxies)  # type: ignore[arg-type]
        except InvalidRequest as error:
            self.exchange = None
            self._break(error, exchange.head)
            return False
        return True

    def _open(self, exchange: Exchange, events: list[Event]) -> None:
        """Begin to receive the body of the exchange that `events` begin with."""
        head = exchange.head
        self._expecting = head.expect_continue and head.length != 0
        self._discarded = 0
        self.due_at(NEVER)
        self.body_begins(head.length)
        self._more(events[1:])
        if self.ended:  # what the client said last is not the whole of a request
            try:
                self.parser.eof()
            except ProtocolError as error:
                self._break(error)

    def _is_granted(self, head: RequestHead) -> bool:
        """Whether a request that may have a body is served."""
        if head.method == b"CONNECT":
            self._break(InvalidRequest("CONNECT is not served here", status=501), head)
            return False
        limit = self._host.settings.max_body_size
        if limit is not None and (head.length > limit or self.parser.received > limit):
            self._break(too_large(limit), head)
            return False
        return True

    def _more(self, events: list[Event]) -> None:
        """What has arrived of the body of the request under way."""
        exchange = self.exchange
        limit = self._host.settings.max_body_size
        for event in events:
            if type(event) is bytes:
                self._expecting = False
                self.body_arrived(len(event))
                if limit is not None and self.parser.received > limit:
                    self._break(too_large(limit))
                    return
                if exchange is not None and exchange.body.error is None and not exchange.body.unwanted:
                    exchange.body.feed(event)
                else:
                    self._discarded += len(event)
            elif type(event) is End:
                self.body_arrived(0)
                if exchange is not None and exchange.body.error is None:
                    exchange.body.finish(event.trailers)
        if self.phase is not DRAINING:
            self._check_pipeline()
        elif self.parser.state is _DONE:
            self.phase = IDLE
            if self.is_to_stay():
                self.idle_begins()
                self._next()
        elif self._discarded > self._host.settings.drain_size:
            self.linger()

    def _check_pipeline(self) -> None:
        if len(self.parser.leftover) > PIPELINE:
            self.pause()

    # -- the end of an exchange ----------------------------------------------------------------------------------------

    def _on_end(self, error: BaseException | None) -> None:
        """A handler has ended that had to wait."""
        exchange = self.exchange
        if exchange is not None and self._conclude(exchange, error):
            self._next()

    def part(self, exchange: Exchange) -> None:
        """Its response is complete: if its handler does not end in this turn of the loop, go on without it."""
        if self._driver.waits:
            self.loop.call_soon(self._part, exchange)

    def _part(self, exchange: Exchange) -> None:
        if self.exchange is exchange and exchange.parted is not None and self._driver.waits:
            exchange.parted(exchange, self._driver.part())
            self._on_end(None)

    def _next(self) -> None:
        """Go on with what has arrived behind the last request."""
        parser = self.parser
        if self.phase is not IDLE or not self.writable or self.transport is None or parser.state is not _DONE:
            return
        try:
            events = parser.proceed()
        except ProtocolError as error:
            self._break(error)
            return
        if events:
            self._serve(events)
        else:
            self._await_head()

    def _await_head(self) -> None:
        """The next request is not here, or not all of its head."""
        if self.ended:
            self.eof_received()
        elif size := self.parser.begun():
            self.head_goes_on(size)
        if self.paused:
            self.resume()

    def _conclude(self, exchange: Exchange, error: BaseException | None) -> bool:
        """The handler has ended; whether the next request may be read at once."""
        host = self._host
        if error is not None or not exchange.finished:
            self._failed(exchange, error or RuntimeError("the request was served without a whole response"))
        self.exchange = None
        if self.parser.state is not _DONE:
            exchange.body.drop()  # whoever still reads it
        if host.done is not None:
            self.tell(exchange)
        if self.phase is not SERVING:
            self.orphan_ended(exchange.websocket, error)
            if self.transport is None:
                self._driver.stop()
            return False
        if not exchange.keep_alive or self._fault is not None or not exchange.finished:
            self.linger(exchange.head.keep_alive)
            return False
        if self.parser.state is _DONE:
            self.phase = IDLE
            if host.stopping and not self.is_to_stay():
                return False
            if self.read_by == NEVER:
                self.idle_begins()
            # Otherwise the deadline of the request before stands; when it has come, `overdue` sees that there were others.
            return True
        # Nobody read the whole body.  A little is received, so that the connection can be used again.
        self.phase = DRAINING
        self.resume()
        self.due(host.settings.drain_time)
        return False

    def _failed(self, exchange: Exchange, error: BaseException) -> None:
        """`serve` has raised, which is somebody's fault: the client's if its request was at fault, or if it has left."""
        fault: BaseException | None = self._fault
        if isinstance(error, asyncio.CancelledError):
            if self._cancelled or self.is_going():
                if self.is_going() or not exchange.finished:
                    self.break_off()
                return
            error = RuntimeError("the application cancelled itself")
        if fault is None:
            if not is_of_client(error, exchange):
                self._host.failed(exchange, error)
            elif not isinstance(error, ConnectionLost):
                fault = error
                self._host.refused(self.peer, error)  # type: ignore[arg-type]
            elif not (exchange.finished or self.ended or self.is_going()):
                self._host.failed(exchange, error)
        if fault is not None or isinstance(error, ConnectionLost):
            error.with_traceback(None)  # it holds the handler, which holds the body, which holds the error
        if exchange.finished:
            return
        if self.is_going() or not exchange.is_unsent():
            self.break_off()  # the client must not take it for whole
        elif fault is None:
            self._refuse(exchange, 500, "")
        else:
            self._refuse(exchange, status_of(fault), getattr(fault, "message", ""))

    def _refuse(self, exchange: Exchange, status: int, said: str) -> None:
        """Answer with an error, and close."""
        exchange.keep_alive = False
        exchange.restart()
        exchange.respond(status, *refusal(status, said))

    def _break(self, error: ProtocolError, head: RequestHead = NOBODY) -> None:
        """What has arrived cannot be read, or may not be: nothing that follows is."""
        if self._fault is not None:
            return
        self._fault = error.locate(self.peer, "reading the request")
        error.with_traceback(None)  # which would hold what it was read from
        self._host.refused(self.peer, error)
        if self.exchange is not None:
            self.pause()
            self._fail_body(error)
        elif self.phase is DRAINING:
            self.linger()
        else:
            exchange = Exchange(self, head, b"", monotonic())
            self._refuse(exchange, status_of(error), error.message)
            if self._host.done is not None:
                self.tell(exchange)
            self.linger()

    def _turn_away(self) -> None:
        """There are too many connections already."""
        if not self._host.crowded(self.peer):
            self.break_off()
            return
        self._host.connections.add(self)
        Exchange(self, NOBODY, b"", 0.0).respond(503, *refusal(503, "there are too many connections"))
        self.linger()

    def _fail_body(self, error: WirebirdError) -> None:
        body = self.exchange.body if self.exchange is not None else None
        if body is not None and not body.complete and body.error is None:
            body.fail(error)

    # -- closing -------------------------------------------------------------------------------------------------------

    def may_go_on(self) -> bool:
        """Whether, as far as can be told when a response begins, another request may follow."""
        parser = self.parser
        if self._fault is not None or self._host.stopping:
            return False
        if parser.state is _DONE:
            return not self.ended or bool(parser.leftover)
        unread = parser.left if parser.state is State.SIZED else 0
        return not (self._expecting or self.ended or unread > self._host.settings.drain_size)

    def stop(self) -> None:
        """Close when the request under way is answered; at once if there is none."""
        if self.phase is IDLE and self.parser.state is not _DONE and not self.parser.begun():
            if self.requests:
                self.close()
            else:
                self.idle_begins(first=True)  # whoever has just come is about to say something
        elif self.exchange is not None and self.exchange.told is not None:
            self.exchange.told()

    def cancel(self) -> None:
        """Do not wait for the handler any longer."""
        self._cancelled = True
        self._driver.cancel()

    def overdue(self, now: float) -> None:
        """The client took too long."""
        phase = self.phase
        if phase is IDLE:
            size = self.parser.begun()
            if not size:
                if self.is_idle_too_long(now, first=not self.requests):
                    self.close()
            elif self.is_head_late(size, now):
                self._break(InvalidRequest("the head of the request took too long", status=408))
        elif phase is SERVING:
            self._break(InvalidRequest("the body of the request took too long", status=408))
        elif phase is DRAINING:
            self.linger()
        else:
            super().overdue(now)

    # -- what makes it a `Supply`: the body's side ---------------------------------------------------------------------

    def await_bytes(self) -> None:
        """A reader waits: from now on the client's pace counts.  If the client waits too, it is told to go on."""
        self.body_awaited()
        exchange = self.exchange
        if self._expecting and (exchange is None or not exchange.begun):
            self._expecting = False
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
