"""A server's side of one HTTP/1.1 connection over the pump: requests one after the other, each answered before the next is read
(RFC 9112 9.3.2), until something says close (9.6).

Everything happens where bytes arrive, and where a handler ends that had to wait: what answers at once is answered in the same
turn of the loop, pipelined requests too.  A body is read as it is asked for, with the same read-ahead as a client's, and the 100
(Continue) is sent when somebody waits for it (RFC 9110 10.1.1).  Whatever cannot be parsed is answered once and closes the
connection; a close lets the peer read the answer first (RFC 9112 9.6).

Time limits are numbers: `deadline` is looked at by the one timer of the server (`net/timeouts.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from http import HTTPStatus
from time import monotonic
from typing import Any, Final

from ..errors import ConnectionLost, InvalidRequest, LimitExceeded, ProtocolError, WirebirdError
from ..models.limits import Limits
from ..models.message import RequestHead
from ..net.incoming import PieceSupply
from ..net.stream import Stream
from ..net.timeouts import NEVER
from ..protocol.http1_events import END, End, Event, State
from ..protocol.http1_parser import Parser
from .driver import Driver
from .exchange import Exchange
from .file_sending import FileSending, can_send_files
from .host import Host, Phase

__all__ = ["ServerConnection"]

# What may arrive behind a request while it is served, bytes: then reading stops.
PIPELINE: Final = 65536

# Requests that are answered in one turn of the loop.
_TURN: Final = 64


class ServerConnection(PieceSupply, Stream):
    """One connection of a client to `host`."""

    __slots__ = (
        "_cancelled",
        "_discarded",
        "_driver",
        "_eof",
        "_expecting",
        "_fault",
        "_host",
        "_paused",
        "deadline",
        "exchange",
        "parser",
        "phase",
        "requests",
        "secure",
        "stamp",
        "total_at",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, host: Host, limits: Limits) -> None:
        super().__init__(loop, "")
        self._host = host
        self._driver = Driver(loop, self._on_end)
        self._cancelled = False  # the handler, by us
        self._discarded = 0  # bytes of bodies that nobody wanted
        self._eof = False
        self._expecting = False  # the client waits for a 100
        self._fault: ProtocolError | None = None
        self._paused = False
        self.deadline = NEVER
        self.exchange: Exchange | None = None
        self.parser = Parser(server=True, limits=limits)
        self.phase = Phase.IDLE
        self.requests = 0
        self.secure = False
        self.stamp = host.stamp
        self.total_at = NEVER

    def __repr__(self) -> str:
        return f"<ServerConnection {self.peer} {self.phase.name}, {self.requests} requests>"

    # -- called by asyncio ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there."""
        super().connection_made(transport)
        name = transport.get_extra_info("peername")
        self.peer = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "a Unix socket"
        self.secure = transport.get_extra_info("sslcontext") is not None
        self._host.connections.add(self)
        self._due(self._host.settings.header_timeout)

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have arrived."""
        phase = self.phase
        if phase > Phase.DRAINING:
            return
        try:
            events = self.parser.receive(self._buffer, nbytes)
        except ProtocolError as error:
            self._break(error)
            return
        if phase is not Phase.IDLE:
            self._more(events)
        elif events:
            self._serve(events)
        elif self.deadline == NEVER or not self.parser.is_begun():
            self._due(self._host.settings.header_timeout)

    def eof_received(self) -> bool:
        """The client will send no more; it may still read what it asked for, but for TLS, which knows no half-close."""
        self._eof = True
        exchange = self.exchange
        if self.phase is Phase.LINGERING:
            self._close()
            return False
        try:
            self._more(self.parser.eof())
        except ProtocolError as error:
            self._break(error)
        if exchange is None:
            if self.phase is Phase.IDLE:
                self._close()
            return False
        if exchange.left is not None:
            exchange.left(False)
        return not self.secure and self.exchange is not None

    def lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        if exc is not None:
            exc.with_traceback(None)
        self._eof = True
        self.deadline = NEVER
        self._host.connections.discard(self)
        exchange = self.exchange
        if exchange is not None and self.phase is not Phase.GONE:
            self._fail_body(ConnectionLost("the client has left", peer=self.peer, phase="reading the request"))
            if exchange.left is not None:
                exchange.left(True)
            if self._host.settings.cancel_on_disconnect:
                self.cancel()
        if exchange is None:
            self._driver.stop()
        self.phase = Phase.GONE

    def pause_writing(self) -> None:
        """The client is slow to read: from now on there is a limit to that."""
        super().pause_writing()
        self._due(self._host.settings.write_timeout)

    def resume_writing(self) -> None:
        """It has read."""
        super().resume_writing()
        if self.phase is Phase.SERVING:
            self.deadline = NEVER
        elif self.phase is Phase.IDLE:
            self._due(self._host.settings.keepalive_timeout)
            self.loop.call_soon(self._next)

    # -- requests ------------------------------------------------------------------------------------------------------

    def _serve(self, events: list[Event]) -> None:
        """Answer the request that `events` begin with, and those behind it, as far as that goes without waiting."""
        for _ in range(_TURN):
            head = events[0]
            exchange = self._open(head, events)  # type: ignore[arg-type]
            if exchange is None:
                return
            outcome = self._driver.run(self._host.serve(exchange))
            if outcome is False:
                return
            if not self._conclude(exchange, outcome):  # type: ignore[arg-type]
                return
            parser = self.parser
            if not parser.leftover:
                parser.proceed()
                return
            if not self.writable:
                return
            try:
                events = parser.proceed()
            except ProtocolError as error:
                self._break(error)
                return
            if not events:
                return
            self._resume_if_paused()
        self.phase = Phase.IDLE
        self._keep(events)

    def _open(self, head: RequestHead, events: list[Event]) -> Exchange | None:
        """The exchange that begins with `head`, unless the request is refused at once."""
        count = len(events)
        settings = self._host.settings
        if head.method == b"CONNECT":
            self._break(InvalidRequest("CONNECT is not served here", status=501))
            return None
        limit = settings.max_body_size
        if limit is not None and head.length > limit:
            self._break(self._too_large(limit))
            return None
        whole: bytes | None = None
        if events[-1] is END:
            whole = b"" if count == 2 else events[1] if count == 3 else None  # type: ignore[assignment]
        self.requests += 1
        self.phase = Phase.SERVING
        self.deadline = NEVER
        exchange = self.exchange = Exchange(self, head, whole, monotonic())
        if whole is None:
            self._expecting = head.expect_continue and head.length != 0
            self._discarded = 0
            self._more(events[1:])
            if self._eof:  # what the client said last is not the whole of a request
                try:
                    self.parser.eof()
                except ProtocolError as error:
                    self._break(error)
        return exchange

    def _more(self, events: list[Event]) -> None:
        """What has arrived of the body of the request under way."""
        exchange = self.exchange
        if self.phase is Phase.SERVING and self.writable:
            self.deadline = NEVER
        for event in events:
            if type(event) is bytes:
                self._expecting = False
                limit = self._host.settings.max_body_size
                if limit is not None and self.parser.received > limit:
                    self._break(self._too_large(limit))
                    return
                if exchange is not None and exchange.body.error is None and not exchange.body.unwanted:
                    exchange.body.feed(event)
                else:
                    self._discarded += len(event)
            elif type(event) is End and exchange is not None and exchange.body.error is None:
                exchange.body.finish(event.trailers)
        if self.phase is Phase.DRAINING:
            if self.parser.state is State.DONE:
                self._again()
            elif self._discarded > self._host.settings.drain_size or self._eof:
                self._linger()
        elif len(self.parser.leftover) > PIPELINE:
            self.pause()

    def _too_large(self, limit: int) -> LimitExceeded:
        message = f"a request body of more than {limit} bytes"
        return LimitExceeded(message, limit="max_body_size", maximum=limit, status=413)

    # -- the end of an exchange ----------------------------------------------------------------------------------------

    def _on_end(self, error: BaseException | None) -> None:
        """A handler has ended that had to wait."""
        exchange = self.exchange
        if exchange is not None and self._conclude(exchange, error):
            self._next()
        if self.transport is None:
            self._driver.stop()

    def _next(self) -> None:
        """Go on with what has arrived behind the last request."""
        if self.phase is not Phase.IDLE or not self.writable or self.parser.state is not State.DONE:
            return
        try:
            events = self.parser.proceed()
        except ProtocolError as error:
            self._break(error)
            return
        if self._eof and not events:
            self._close()
            return
        self._resume_if_paused()
        if events:
            self._serve(events)

    def _keep(self, events: list[Event]) -> None:
        """There were many requests at once: let others have their turn."""
        self.loop.call_soon(self._serve_later, events)
        self.phase = Phase.SERVING

    def _serve_later(self, events: list[Event]) -> None:
        if self.transport is not None and self.phase is Phase.SERVING:
            self._serve(events)

    def _conclude(self, exchange: Exchange, error: BaseException | None) -> bool:
        """The handler has ended; whether the next request may be read at once."""
        host = self._host
        if error is not None or not exchange.finished:
            self._failed(exchange, error or RuntimeError("the request was served without a whole response"))
        self.exchange = None
        host.done(exchange)
        if exchange.upgraded or self.phase is Phase.GONE:
            return False
        if self.transport is None:
            return False
        if self._fault is not None or not exchange.finished:
            self._linger()
            return False
        if self.parser.state is State.DONE:
            if not exchange.keep_alive:
                self._linger()
                return False
            self.phase = Phase.IDLE
            self._due(host.settings.keepalive_timeout)
            return True
        # Nobody read the whole body.  A little is received, so that the connection can be used again.
        if not exchange.keep_alive:
            self._linger()
            return False
        self.phase = Phase.DRAINING
        self.resume()
        self._due(host.settings.drain_time)
        return False

    def _again(self) -> None:
        """The rest of the body is here: the next request may come."""
        self.phase = Phase.IDLE
        self._due(self._host.settings.keepalive_timeout)
        self._next()

    def _failed(self, exchange: Exchange, error: BaseException) -> None:
        """`serve` has raised, which is somebody's fault: the client's if its request was at fault, or if it has left."""
        fault = self._fault
        if isinstance(error, InvalidRequest | LimitExceeded):
            fault = fault or error
        if isinstance(error, asyncio.CancelledError):
            if self._cancelled or self._is_going():
                self.abort()
                return
            error = RuntimeError("the application cancelled itself")
        if fault is None and not (isinstance(error, ConnectionLost) and (self._eof or self._is_going())):
            self._host.failed(exchange, error)
        if exchange.finished:
            return
        if self._is_going() or not exchange.is_unsent():
            self.abort()  # the client must not take it for whole
            return
        status = getattr(fault, "status", 400) if fault is not None else 500
        self._refuse(exchange, status, fault.message if fault is not None else "")

    def _refuse(self, exchange: Exchange, status: int, said: str) -> None:
        """Answer with an error, and close."""
        phrase = HTTPStatus(status).phrase
        body = f"{status} {said or phrase}\n".encode()
        exchange.keep_alive = False
        exchange.respond(
            status, b"HTTP/1.1 %d %b\r\nContent-Type: text/plain; charset=utf-8\r\n" % (status, phrase.encode()), body
        )

    def _break(self, error: ProtocolError) -> None:
        """What has arrived cannot be read, or may not be: nothing that follows is."""
        if self._fault is not None:
            return
        self._fault = error.locate(self.peer, "reading the request")
        if self.exchange is not None:
            self._fail_body(error)
            if self.phase is Phase.DRAINING:
                self._linger()
            return
        self._host.refused(self.peer, error)
        nobody = RequestHead(b"GET", b"/", 1, b"", 0, 0, False, b"", False, b"")
        exchange = Exchange(self, nobody, b"", monotonic())
        self._refuse(exchange, getattr(error, "status", 400), error.message)
        self._host.done(exchange)
        self._linger()

    def _fail_body(self, error: WirebirdError) -> None:
        exchange = self.exchange
        if exchange is not None and self.parser.state is not State.DONE:
            body = exchange.body
            if not body.complete and body.error is None:
                body.fail(error)

    # -- closing -------------------------------------------------------------------------------------------------------

    def may_go_on(self) -> bool:
        """Whether, as far as can be told when a response begins, another request may follow."""
        if self._host.stopping or self._fault is not None:
            return False
        parser = self.parser
        if parser.state is State.DONE:
            return not self._eof or bool(parser.leftover)
        unread = parser.left if parser.state is State.SIZED else 0
        return not (self._expecting or self._eof or unread > self._host.settings.drain_size)

    def _linger(self) -> None:
        """Let the client read the last answer: a socket that is closed with bytes unread sends a reset, which may overtake it."""
        transport = self.transport
        if transport is None or self._eof or (self.parser.state is State.DONE and not self.parser.leftover):
            self._close()  # nothing is unread
            return
        self.phase = Phase.LINGERING
        if transport.can_write_eof() and not transport.is_closing():
            transport.write_eof()
        self.resume()
        self._due(self._host.settings.linger_time)

    def _close(self) -> None:
        self.phase = Phase.GONE
        self._due(self._host.settings.linger_time)  # for what is still to be written
        self.shut()

    def stop(self) -> None:
        """Close when the request under way is answered; at once if there is none."""
        if self.phase is Phase.IDLE and not self.parser.is_begun():
            self._close()

    def cancel(self) -> None:
        """Do not wait for the handler any longer."""
        self._cancelled = True
        self._driver.cancel()

    def release(self) -> bytes:
        """Give the transport away to another protocol, with what has arrived for it."""
        self.phase = Phase.GONE
        self.deadline = NEVER
        self._host.connections.discard(self)
        received, self.parser.leftover = self.parser.leftover, b""
        return received

    def _is_going(self) -> bool:
        return self.closing or self.transport is None or self.transport.is_closing()

    # -- time ----------------------------------------------------------------------------------------------------------

    def _due(self, seconds: float | None) -> None:
        """From now on the client has so many seconds."""
        if seconds is None:
            self.deadline = NEVER
            return
        deadline = self.deadline = monotonic() + seconds
        watch = self._host.watch
        if deadline < watch.next_at:
            watch.arm(deadline)

    def expire(self, now: float) -> None:
        """The client took too long."""
        self.deadline = NEVER
        phase = self.phase
        if phase is Phase.IDLE:
            if self.parser.is_begun():
                self._break(InvalidRequest("the head of the request took too long", status=408))
            else:
                self._close()
        elif phase is Phase.SERVING:
            if not self.writable:
                self.abort()
            else:
                self._break(InvalidRequest("the body of the request took too long", status=408))
        elif phase is Phase.DRAINING:
            self._linger()
        elif phase is Phase.LINGERING:
            self._close()
        else:
            self.abort()

    # -- what makes it a `Supply`: the body's side ---------------------------------------------------------------------

    def pause(self) -> None:
        """The reader is behind: leave the rest in the socket."""
        if not self._paused and self.transport is not None and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """The reader wants more."""
        if self._paused and self.transport is not None and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def _resume_if_paused(self) -> None:
        if self._paused and len(self.parser.leftover) <= PIPELINE:
            self.resume()

    def await_bytes(self) -> None:
        """A reader waits: from now on silence counts.  If the client waits too, it is told to go on."""
        self._due(self._host.settings.body_timeout)
        exchange = self.exchange
        if self._expecting and (exchange is None or not exchange.begun):
            self._expecting = False
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def give_up(self) -> Awaitable[Any] | None:
        """Nobody wants the rest of the body: it is received for nobody."""
        self.resume()
        return None

    def authority(self) -> str:
        """`host:port` of this side, for a request that names none."""
        name = self.transport.get_extra_info("sockname") if self.transport is not None else None
        if not isinstance(name, tuple):
            return "localhost"
        return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"

    # -- output --------------------------------------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        """Write, and wait until the transport takes more.  Raises `ConnectionLost` if the client has left."""
        if self._is_going():
            raise self.broken()
        if data:
            self.transport.write(data)  # type: ignore[union-attr]
            await self.drain()

    async def send_file(self, file: int, offset: int, count: int) -> int:
        """As much of an open file as can be sent without reading it, and how much that was.  Raises `ConnectionLost`.

        Meanwhile the connection is as one whose client is slow to read: what is written by others would wait.
        """
        transport = self.transport
        if transport is None or self._is_going():
            raise self.broken()
        if not count or not can_send_files(transport):
            return 0
        transport.set_write_buffer_limits(0)
        try:
            await self.drain()  # all that was written before
        finally:
            transport.set_write_buffer_limits()
        sending = FileSending(self, file, offset, count)
        try:
            await self.drain()
        finally:
            sending.stop()
        return sending.sent

    def write(self, data: bytes) -> None:
        """Write, if there is somebody to read it."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def broken(self) -> WirebirdError:
        """What a writer is told whose bytes will not arrive."""
        return ConnectionLost("the client has left", peer=self.peer, phase="sending the response")
