"""A server's side of one HTTP/1.1 connection over the pump: requests one after the other, each answered before the next is read
(RFC 9112 9.3.2), until something says close (9.6).

One task per connection reads a head, has it served, and settles what is left of it.  A body is read as it is asked for, with the
same read-ahead as a client's, and the 100 (Continue) is sent when somebody waits for it (RFC 9110 10.1.1).  Whatever cannot be
parsed is answered once and closes the connection; a close lets the peer read the answer first (RFC 9112 9.6).
"""

from __future__ import annotations

import asyncio
import builtins
import re
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final

from .._version import VERSION
from ..client.body import Incoming, PieceSupply
from ..errors import ConnectionLost, InvalidRequest, LimitExceeded, ProtocolError, UsageError
from ..models.limits import DEFAULT_LIMITS, Limits
from ..models.message import CHUNKED, UNTIL_CLOSE, RequestHead, ResponseHead
from ..net.stream import Stream
from ..net.timeouts import NEVER
from ..protocol.http1 import Writer
from ..protocol.http1_heads import parse_response_head
from ..protocol.http1_parser import End, Event, Parser, State
from ..protocol.http1_responses import encode_response, response_framing

__all__ = ["ServerConnection", "ServerExchange"]

# What may arrive behind a request while it is served, bytes: then reading stops.
PIPELINE: Final = 65536
# How much of a body that nobody read is received, so that the connection can be used again, and for how long: bytes, seconds.
DRAIN_SIZE: Final = 262144
DRAIN_TIME: Final = 1.0
# How long somebody who reads the body of a request waits for its next bytes, seconds: then the answer is 408.
BODY_TIME: Final = 30.0
# How long the peer may take to read the last answer before the connection is closed, seconds.
LINGER_TIME: Final = 1.0

_connection_field = re.compile(rb"^connection:[ \t]*([^\r\n]*)\r\n", re.IGNORECASE | re.MULTILINE)
_date_field = re.compile(rb"^date:", re.IGNORECASE | re.MULTILINE).search
_server_field = re.compile(rb"^server:", re.IGNORECASE | re.MULTILINE).search


class ServerExchange:
    """One request, and the way back.  `head` is the request's; `left` is called if the client goes away meanwhile."""

    __slots__ = ("_connection", "_head", "_writer", "begun", "body", "finished", "head", "keep_alive", "left")

    def __init__(self, connection: ServerConnection, head: RequestHead, body: Incoming, keep_alive: bool) -> None:
        self._connection = connection
        self.head = head
        self.body = body
        self.keep_alive = keep_alive
        self.begun = False
        self.finished = False
        self.left: Callable[[bool], None] = lambda lost: None
        self._head = b""  # of the response, not written yet: it leaves with what comes first
        self._writer: Writer | None = None  # None where the response has no body

    @property
    def peer(self) -> str:
        """`host:port` of the client."""
        return self._connection.peer

    def has_body(self) -> bool:
        """Whether the response has a body, as it has not after HEAD; known when it is begun."""
        return self._writer is not None

    def is_unsent(self) -> bool:
        """Whether nothing of the response has left, so that there can be another."""
        return self.begun and bool(self._head)

    async def begin(self, head: ResponseHead, size: int | None) -> None:
        """The head of the response; `size` is the length of its body, None if unknown.

        Raises `InvalidResponse` for a head with two framings, `UsageError` where the size is not the one that it promises.
        """
        request = self.head
        head = parse_response_head(head.raw)  # as it is, not as whoever made it remembers it
        block, length = response_framing(head, request.method, request.minor, size)
        has_body = request.method != b"HEAD" and head.status not in (204, 304)
        if has_body and size is not None and length >= 0 and length < size:
            raise UsageError(f"the response promises a body of {length} bytes and has {size}", argument="body")
        tokens = [token.strip(b" \t") for token in b",".join(_connection_field.findall(block)).lower().split(b",")]
        self.keep_alive &= b"close" not in tokens and (length != UNTIL_CLOSE or not has_body) and self._connection.may_go_on()
        block = _connection_field.sub(b"", block)
        if not self.keep_alive:
            block += b"Connection: close\r\n"
        elif not request.minor:
            block += b"Connection: keep-alive\r\n"
        if not _date_field(block):
            block += b"Date: %b\r\n" % formatdate(usegmt=True).encode()
        if not _server_field(block):
            block += b"Server: wirebird/%b\r\n" % VERSION.encode()
        self._head = b"HTTP/1.1%b%b\r\n" % (head.raw[8 : head.start], block)  # whatever an origin spoke that it came from
        self._writer = Writer(length) if has_body else None
        self.begun = True

    async def write(self, data: bytes) -> None:
        """A piece of the body; nothing where there is none, as after HEAD.

        Raises `ConnectionLost` if the client has left, `UsageError` if it is more than was promised.
        """
        wire = self._writer.data(data) if self._writer is not None else b""
        await self._send(wire)

    async def finish(self, trailers: bytes = b"") -> None:
        """The end of the response.  Raises `UsageError` if the body was shorter than was promised."""
        ending = b""
        writer = self._writer
        if writer is not None:
            ending = writer.end(trailers if writer.length == CHUNKED else b"")
        self.finished = True
        await self._send(ending)

    async def _send(self, data: bytes) -> None:
        head, self._head = self._head, b""
        await self._connection.send(head + data if head else data)


class ServerConnection(PieceSupply, Stream):
    """One connection, served by `serve(exchange)` in a task of its own.

    `failed(error)` is told of what `serve` raises, and the client gets 500.  `opened` holds the connection while its transport is
    there.  `max_body_size` bounds a request's body, None for no limit; `idle_time` is how long the next head may take, seconds.
    """

    __slots__ = (
        "_body",
        "_discarded",
        "_eof",
        "_exchange",
        "_expecting",
        "_failed",
        "_fault",
        "_head",
        "_idle_time",
        "_max_body_size",
        "_opened",
        "_serve",
        "_silence",
        "_stopping",
        "_waiter",
        "parser",
        "secure",
        "task",
        "total_at",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        serve: Callable[[ServerExchange], Awaitable[None]],
        failed: Callable[[BaseException], None],
        opened: set[ServerConnection],
        *,
        limits: Limits = DEFAULT_LIMITS,
        max_body_size: int | None = None,
        idle_time: float = 75.0,
    ) -> None:
        super().__init__(loop, "")
        self._serve = serve
        self._failed = failed
        self._opened = opened
        self._max_body_size = max_body_size
        self._idle_time = idle_time
        self.parser = Parser(server=True, limits=limits)
        self.secure = False
        self.total_at = NEVER
        self.task: asyncio.Task[None] | None = None
        self._head: RequestHead | None = None  # read, and not yet served
        self._body: Incoming | None = None
        self._exchange: ServerExchange | None = None
        self._fault: ProtocolError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._silence: asyncio.TimerHandle | None = None  # of a client whose body is waited for
        self._expecting = False  # the client waits for a 100
        self._discarded = 0
        self._eof = False
        self._stopping = False

    # -- called by asyncio ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there: begin."""
        super().connection_made(transport)
        name = transport.get_extra_info("peername")
        self.peer = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "a Unix socket"
        self.secure = transport.get_extra_info("sslcontext") is not None
        self._opened.add(self)
        self.task = self.loop.create_task(self._converse())

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have arrived."""
        if self._fault is not None or self.closing:
            return  # what comes behind an error is not looked at
        self._take(lambda: self.parser.receive(self._buffer, nbytes))
        if len(self.parser.leftover) > PIPELINE:
            self.pause()

    def eof_received(self) -> bool:
        """The client will send no more; it may still read what it asked for, but for TLS, which knows no half-close."""
        self._eof = True
        self._take(self.parser.eof)
        if self._exchange is not None:
            self._exchange.left(False)
        self._wake()
        busy = self._exchange is not None or self._head is not None
        return busy and not self.secure and self._fault is None

    def lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        self._eof = True
        self._break_silence()
        if self._body is not None and not self._body.complete and self._body.error is None:
            self._body.fail(ConnectionLost("the client has left", peer=self.peer, phase="reading the request"))
        if self._exchange is not None:
            self._exchange.left(True)
        self._wake()
        self._opened.discard(self)

    # -- input ---------------------------------------------------------------------------------------------------------

    def _take(self, parse: Callable[[], list[Event]]) -> None:
        self._break_silence()
        try:
            for event in parse():
                if type(event) is bytes:
                    self._on_piece(event)
                elif type(event) is End:
                    if self._body is not None and self._body.error is None:
                        self._body.finish(event.trailers)
                elif isinstance(event, RequestHead):
                    self._on_head(event)
        except ProtocolError as error:
            self._break(error)
        self._wake()

    def _on_head(self, head: RequestHead) -> None:
        self._head = head
        self._expecting = head.expect_continue and head.length != 0
        self._discarded = 0
        self._body = Incoming(self)
        if head.method == b"CONNECT":
            raise InvalidRequest("CONNECT is not served here", status=501)
        if self._max_body_size is not None and head.length > self._max_body_size:
            raise self._too_large(self._max_body_size)

    def _on_piece(self, piece: bytes) -> None:
        self._expecting = False
        if self._max_body_size is not None and self.parser.received > self._max_body_size:
            raise self._too_large(self._max_body_size)
        if self._body is not None and self._body.error is None:
            self._body.feed(piece)
        else:
            self._discarded += len(piece)

    def _break_silence(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _on_silence(self) -> None:
        self._break(InvalidRequest("the body of the request took too long", status=408))
        self._wake()

    def _too_large(self, limit: int) -> LimitExceeded:
        message = f"a request body of more than {limit} bytes"
        return LimitExceeded(message, limit="max_body_size", maximum=limit, status=413)

    def _break(self, error: ProtocolError) -> None:
        """Nothing that follows can be read."""
        self._fault = error.locate(self.peer, "reading the request")
        if self._body is not None and not self._body.complete and self._body.error is None:
            self._body.fail(error)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until `condition()` holds; it is looked at whenever something arrives.  False after that time."""
        try:
            async with asyncio.timeout(seconds) as limit:
                while not condition():
                    self._waiter = self.loop.create_future()
                    await self._waiter
        except builtins.TimeoutError:
            if not limit.expired():
                raise
            return False
        return True

    # -- the conversation ----------------------------------------------------------------------------------------------

    async def _converse(self) -> None:
        try:
            while await self._next_request() and await self._answer():
                self._exchange = None
                self._take(self.parser.proceed)
                if self._eof:
                    self._take(self.parser.eof)  # what the client said last is not the whole of a request
                if len(self.parser.leftover) <= PIPELINE and not (self._body is not None and self._body.paused):
                    self.resume()
            if self._fault is not None and self._exchange is None:
                await self._refuse(self._fault.message, getattr(self._fault, "status", 400), self._nobodys_exchange())
            if self._fault is not None or self._exchange is not None:
                await self._linger()
        except ConnectionLost:
            pass
        finally:
            self.shut()

    async def _next_request(self) -> bool:
        """Wait for the next head; False if there will be none that can be served."""
        here = await self._until(lambda: self._head is not None or self._fault is not None or self._eof, self._idle_time)
        if not here and self.parser.is_begun():
            self._fault = InvalidRequest("the head of the request took too long", status=408)
        return here and self._fault is None and self._head is not None

    async def _answer(self) -> bool:
        """Have the request served; whether another may follow."""
        head, body, self._head = self._head, self._body, None
        if head is None or body is None:
            return False
        exchange = self._exchange = ServerExchange(self, head, body, head.keep_alive)
        try:
            await self._serve(exchange)
            if not exchange.finished:
                raise RuntimeError("the request was served without a whole response")
        except asyncio.CancelledError:
            if self.task is None or self.task.cancelling():
                self.abort()
                raise
            await self._fail(exchange, RuntimeError("the application cancelled itself"))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            await self._fail(exchange, error)
        return exchange.finished and exchange.keep_alive and await self._settle()

    async def _fail(self, exchange: ServerExchange, error: BaseException) -> None:
        """`serve` has raised, which is somebody's fault: the client's if its request was at fault, or if it has left."""
        fault = error if isinstance(error, InvalidRequest) else self._fault
        if fault is None and not (isinstance(error, ConnectionLost) and (self._eof or self._is_going())):
            self._failed(error)
        if exchange.finished:
            return
        if self._is_going() or (exchange.begun and not exchange.is_unsent()):
            self.abort()  # the client must not take it for whole
            return
        if fault is not None:
            await self._refuse(fault.message, getattr(fault, "status", 400), exchange)
        else:
            await self._refuse(HTTPStatus(500).phrase, 500, exchange)

    async def _refuse(self, said: str, status: int, exchange: ServerExchange) -> None:
        """Answer with an error, and close."""
        phrase = HTTPStatus(status).phrase
        body = f"{status} {said}\n".encode()
        exchange.keep_alive = False
        await exchange.begin(encode_response(status, phrase, [(b"Content-Type", b"text/plain; charset=utf-8")]), len(body))
        await exchange.write(body)
        await exchange.finish()

    def _nobodys_exchange(self) -> ServerExchange:
        """What an answer to something that is no request is written with."""
        return ServerExchange(self, RequestHead(b"GET", b"/", 1, b"", 0, 0, False, b"", False, b""), Incoming(None, b""), False)

    def may_go_on(self) -> bool:
        """Whether, as far as can be told when a response begins, another request may follow."""
        unread = self.parser.left if self.parser.state is State.SIZED else 0
        if self._eof and not self.parser.leftover:
            return False
        return not (self._stopping or self._fault is not None or self._expecting or unread > DRAIN_SIZE)

    async def _settle(self) -> bool:
        """Receive what is left of a body that nobody read; whether that was all."""
        if not self._is_read():
            self.give_up()
            over = lambda: self._is_read() or self._fault is not None or self._eof or self._discarded > DRAIN_SIZE  # noqa: E731
            await self._until(over, DRAIN_TIME)
        return self._is_read() and not self.closing

    def _is_read(self) -> bool:
        return self.parser.state is State.DONE

    async def _linger(self) -> None:
        """Let the client read the last answer: a socket that is closed with bytes unread sends a reset, which may overtake it."""
        transport = self.transport
        if transport is None or self._eof or (self._is_read() and not self.parser.leftover):
            return  # nothing is unread
        if transport.can_write_eof():
            transport.write_eof()
        self._fault = self._fault or InvalidRequest("nothing more is read")
        self.resume()
        await self._until(lambda: self._eof, LINGER_TIME)

    # -- what makes it a `Supply`: the body's side ---------------------------------------------------------------------

    def pause(self) -> None:
        """The reader is behind: leave the rest in the socket."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self) -> None:
        """The reader wants more."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def await_bytes(self) -> None:
        """A reader waits: from now on silence counts.  If the client waits too, it is told to go on."""
        self._break_silence()
        self._silence = self.loop.call_later(BODY_TIME, self._on_silence)
        if self._expecting and (self._exchange is None or not self._exchange.begun):
            self._expecting = False
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def give_up(self) -> Awaitable[Any] | None:
        """Nobody wants the rest of the body: it is received for nobody."""
        self._body = None
        self._break_silence()
        self.resume()
        return None

    # -- output, and the end -------------------------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        """Write, and wait until the transport takes more.  Raises `ConnectionLost` if the client has left."""
        if self._is_going():
            raise ConnectionLost("the client has left", peer=self.peer, phase="sending the response")
        if data:
            self.write(data)
            await self.drain()

    def write(self, data: bytes) -> None:
        """Write, if there is somebody to read it."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def _is_going(self) -> bool:
        return self.closing or self.transport is None or self.transport.is_closing()

    def stop(self) -> None:
        """Close when the request under way is answered; at once if there is none."""
        self._stopping = True
        if self._exchange is None and self._head is None:
            self._eof = True
            self._wake()
