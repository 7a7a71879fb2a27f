"""A server's connection without a socket: bytes in, bytes out, in one turn of the loop after the other.

    wire = serve(app, GET, settings=…)         # feeds, lets everything come to rest, and gives back the wire
    wire.responses()                           # what a client would read, to the letter

`Wire` is a transport as asyncio's are: it can be paused, it buffers what is written while `stuck`, it tells of its end in another
turn.  `App` answers by path.  Nothing here has a clock, but for the limits of time that a test sets itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, NamedTuple, TypeVar

from wirebird.models.message import ResponseHead
from wirebird.net.timeouts import Watch
from wirebird.protocol.http1_events import End
from wirebird.protocol.http1_parser import Parser
from wirebird.protocol.http1_responses import encode_response
from wirebird.server.connection import ServerConnection
from wirebird.server.server import Server
from wirebird.server.settings import Settings

__all__ = ["GET", "App", "Hub", "Response", "Wire", "head_of", "read_responses", "run", "serve", "served", "settle"]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
T = TypeVar("T")

TEXT = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


class Response(NamedTuple):
    status: int
    fields: dict[str, str]
    body: bytes


def head_of(status: int = 200, *fields: tuple[bytes, bytes]) -> ResponseHead:
    return encode_response(status, "", list(fields))


def read_responses(sent: bytes, methods: Iterable[bytes] = (), eof: bool = False) -> list[Response]:
    """The responses in `sent`, read strictly; nothing may be behind them."""
    found = []
    wanted = iter(methods)
    while sent:
        parser = Parser(server=False)
        parser.expect(next(wanted, b"GET"), switching=True)
        events = parser.receive(sent, len(sent))
        if eof and parser.state.name == "TO_EOF":
            events += parser.eof()
        while events and isinstance(events[0], ResponseHead) and events[0].status == 100:
            head = events.pop(0)
            found.append(Response(100, {}, b""))
        if not events:
            return found
        head = events[0]
        if not isinstance(head, ResponseHead) or not isinstance(events[-1], End):
            raise AssertionError(f"not a whole response: {sent!r}")
        lines = [line.split(": ", 1) for line in head.raw[:-4].decode("latin-1").split("\r\n")[1:]]
        fields = {name.lower(): value for name, value in lines}
        if len(fields) != len(lines):
            raise AssertionError(f"a field twice: {head.raw!r}")
        body = b"".join(event for event in events[1:-1] if isinstance(event, bytes))
        found.append(Response(head.status, fields, body))
        sent = parser.leftover
    return found


class Wire(asyncio.Transport):
    """The transport of one connection, and the client at its other end."""

    def __init__(self, connection: ServerConnection, extra: dict[str, Any]) -> None:
        super().__init__(extra)
        self.connection: Any = connection
        self.sent = bytearray()  # what has come out
        self.unsent = bytearray()  # what is written while `stuck`
        self.stuck = False
        self.reading = True
        self.half_closed = False
        self.closing = False
        self.aborted = False
        self.gone = False
        self.waiting: list[bytes] = []  # what came while it was paused
        self.ended = False
        connection.connection_made(self)

    # what a connection asks

    def write(self, data: Any) -> None:
        if self.half_closed:
            raise RuntimeError("written behind the end")
        if self.closing:
            return
        if self.stuck:
            self.unsent += data
            if len(self.unsent) > 65536:
                self.connection.pause_writing()
        else:
            self.sent += data

    def get_write_buffer_size(self) -> int:
        return len(self.unsent)

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return self.get_extra_info("sslcontext") is None

    def write_eof(self) -> None:
        self.half_closed = True

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            if not self.unsent:
                self._end()

    def abort(self) -> None:
        self.aborted = self.closing = True
        self.unsent.clear()
        self._end()

    def _end(self, exc: Exception | None = None) -> None:
        if not self.gone:
            self.gone = True
            asyncio.get_running_loop().call_soon(lambda: self.connection.connection_lost(exc))

    def pause_reading(self) -> None:
        if not self.reading:
            raise RuntimeError("paused twice")
        self.reading = False

    def resume_reading(self) -> None:
        if self.reading:
            raise RuntimeError("resumed twice")
        self.reading = True
        asyncio.get_running_loop().call_soon(self._go_on)

    def set_protocol(self, protocol: Any) -> None:
        self.connection = protocol

    # what a client does

    def feed(self, data: bytes) -> None:
        """Send these bytes."""
        self.waiting.append(data)
        asyncio.get_running_loop().call_soon(self._go_on)

    def finish(self) -> None:
        """Send no more."""
        self.ended = True
        asyncio.get_running_loop().call_soon(self._go_on)

    def leave(self, exc: Exception | None = None) -> None:
        """Be gone."""
        self.closing = True
        self._end(exc)

    def take(self) -> None:
        """Take everything that could not be sent."""
        self.stuck = False
        self.sent += self.unsent
        was_full = len(self.unsent) > 65536
        self.unsent.clear()
        if was_full and not self.gone:
            self.connection.resume_writing()
        if self.closing:
            self._end()

    def _go_on(self) -> None:
        while self.waiting and self.reading and not self.closing:
            view = self.connection.get_buffer(-1)
            data = self.waiting[0][: len(view)]
            if len(data) == len(self.waiting[0]):
                self.waiting.pop(0)
            else:
                self.waiting[0] = self.waiting[0][len(data) :]
            view[: len(data)] = data
            self.connection.buffer_updated(len(data))
        if self.ended and not self.waiting and self.reading and not self.closing:
            self.ended = False
            if not self.connection.eof_received():
                self.close()

    def responses(self, *methods: bytes) -> list[Response]:
        return read_responses(bytes(self.sent), methods, eof=self.gone or self.half_closed)

    @property
    def statuses(self) -> list[int]:
        return [response.status for response in self.responses()]


class App:
    """Answers by path; `served` are the targets that a handler was begun for, `bodies` what it read."""

    def __init__(self, handlers: dict[str, Callable[[Any], Awaitable[None]]] | None = None) -> None:
        self.handlers = handlers or {}
        self.served: list[str] = []
        self.bodies: list[bytes] = []
        self.raised: list[BaseException] = []
        self.server: Any = None

    async def startup(self, server: Server) -> None:
        self.server = server

    async def shutdown(self, grace: float) -> None:
        pass

    async def serve(self, exchange: Any) -> None:
        path = exchange.head.target.decode()
        self.served.append(path)
        handler = self.handlers.get(path)
        if handler is not None:
            await handler(exchange)
        elif path == "/ignore":
            exchange.respond(200, TEXT, b"ignored")
        elif path == "/late":
            for _ in range(3):
                await asyncio.sleep(0)
            exchange.respond(200, TEXT, b"late")
        elif path == "/stream":
            await exchange.begin(head_of(), None)
            for piece in (b"a", b"b", b"c"):
                await exchange.write(piece)
                await asyncio.sleep(0)
            await exchange.finish()
        elif path == "/raise":
            raise ValueError("on purpose")
        else:
            try:
                body = await exchange.body.collect(None)
            except BaseException as error:
                self.raised.append(error)
                raise
            self.bodies.append(body)
            exchange.respond(200, TEXT, body or b"hello")


class Hub(Server):
    """A server that listens nowhere, and remembers what it was told."""

    def __init__(self, app: Any, settings: Settings | None = None, **more: Any) -> None:
        self.errors: list[BaseException] = []
        self.refusals: list[Any] = []
        more.setdefault("on_error", lambda exchange, error: self.errors.append(error))
        super().__init__(app, settings, **more)
        self._loop = asyncio.get_running_loop()
        self.watch = Watch(self._loop, lambda: self.connections)

    def stamp(self) -> bytes:
        return b"Date: Thu, 26 Nov 2026 20:00:00 GMT\r\n"

    def refused(self, peer: str, error: Any) -> None:
        super().refused(peer, error)
        self.refusals.append(error)

    def connect(self, peer: Any = ("10.0.0.1", 4711), **extra: Any) -> Wire:
        connection = ServerConnection(asyncio.get_running_loop(), self)
        return Wire(connection, {"peername": peer, "sockname": ("10.0.0.2", 80), **extra})


async def settle(turns: int = 20) -> None:
    """Let everything that can happen without time happen."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def served(
    app: Any,
    *pieces: bytes,
    settings: Settings | None = None,
    eof: bool = False,
    turns: int = 12,
    then: Callable[[Hub, Wire], None] | None = None,
    apart: bool = False,
    **more: Any,
) -> tuple[Hub, Wire]:
    """Serve one connection that sends these pieces; `apart` lets the loop turn between them.  Nothing may be left of it."""
    problems: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
    hub = Hub(app, settings, **more)
    wire = hub.connect()
    for piece in pieces:
        wire.feed(piece)
        if apart:
            await asyncio.sleep(0)
    if eof:
        wire.finish()
    await settle(turns)
    if then is not None:
        then(hub, wire)
        await settle(turns)
    if not wire.gone:
        wire.leave()
    await settle(max(turns, 20))
    hub.watch.stop()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left or hub.connections or hub.orphans or problems:
        raise AssertionError(f"left behind: {left} {hub.connections} {hub.orphans} {problems}")
    return hub, wire


def serve(app: Any, *pieces: bytes, **more: Any) -> tuple[Hub, Wire]:
    """The same, in a loop of its own."""
    return run(lambda: served(app, *pieces, **more))


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `main()` in a loop of its own, without the loop's own checks: they cost more than all the rest."""
    with asyncio.Runner(debug=False) as runner:
        return runner.run(main())
