"""A small WebSocket server for the tests, in the same event loop as the test: a handshake to the letter, then a handler.

    async def echo(ws):
        async for message in ws:
            await ws.send(message.data)

    async with WebSocketOrigin(echo) as origin:
        async with client.websocket(origin.url("/chat")) as ws: ...
        await origin.settled()

It reads heads with our own parser and answers with our own handshake, each in the server's role; what it refuses is kept in
`faults`.  `on(path, handler)` has a path served by another handler.  `answer(path, data)` has it answered with these bytes in place
of a handshake, and the connection kept: a redirect, say, or a refusal.  `heads` holds every request in order of arrival, `accepted`
counts the connections, `open` those still there.

A handler that returns has its WebSocket closed with 1000.  What a handler raises fails the test at the end of the block, but for
the client having left (`lost`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from wirebird.errors import ConnectionLost, InvalidRequest, ProtocolError, WebSocketClosed
from wirebird.models.message import RequestHead
from wirebird.net.stream import Stream
from wirebird.net.websocket import WebSocket
from wirebird.protocol.http1_parser import Parser
from wirebird.protocol.websocket_deflate import Deflate
from wirebird.protocol.websocket_handshake import SAME_ORIGIN, Refusal, ServerHandshake

__all__ = ["WebSocketOrigin", "echo"]

Handler = Callable[[WebSocket], Awaitable[None]]

# Enough for a thousand clients that come at once.
BACKLOG = 4096


async def echo(ws: WebSocket) -> None:
    """Send every message back."""
    async for message in ws:
        await ws.send(message.data)


class WebSocketOrigin:
    """One server.  `tls` is a server's `ssl.SSLContext`, `options` are those of `WebSocket.over`, all else is the handshake's."""

    def __init__(
        self,
        handler: Handler = echo,
        *,
        tls: ssl.SSLContext | None = None,
        protocols: Sequence[str] = (),
        deflate: Deflate | None = Deflate(),
        origins: Collection[str] | None = (SAME_ORIGIN,),
        **options: Any,
    ) -> None:
        self.handler = handler
        self.tls = tls
        self.handshake = ServerHandshake(protocols, deflate, origins)
        self.options = options
        self.port = 0
        self.accepted = 0
        self.heads: list[RequestHead] = []
        self.faults: list[ProtocolError] = []
        self.lost: list[Exception] = []
        self.errors: list[BaseException] = []
        self._handlers: dict[str, Handler] = {}
        self._answers: dict[str, bytes] = {}
        self._connections: set[_Opening] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> WebSocketOrigin:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Opening(self), "127.0.0.1", 0, ssl=self.tls, backlog=BACKLOG)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        assert self._server is not None
        self._server.close()
        for connection in list(self._connections):
            connection.link.abort()  # type: ignore[union-attr]
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)
        await self._server.wait_closed()
        if kind is None and self.errors:
            raise self.errors[0]

    def url(self, path: str = "/", *, host: str = "127.0.0.1") -> str:
        """The URL of `path` here."""
        return f"{'wss' if self.tls else 'ws'}://{host}:{self.port}{path}"

    def on(self, path: str, handler: Handler) -> None:
        """Have the WebSockets of `path` served by `handler`."""
        self._handlers[path] = handler

    def answer(self, path: str, data: bytes) -> None:
        """Have requests for `path` answered with these bytes, a whole response, in place of a handshake."""
        self._answers[path] = data

    @property
    def open(self) -> int:
        """How many connections there are at the moment."""
        return len(self._connections)

    async def settled(self) -> None:
        """Wait until every connection is closed and every handler has returned."""
        while self._connections:
            self._changed.clear()
            await self._changed.wait()

    # -- called by the connections -------------------------------------------------------------------------------------

    def begin(self, connection: _Opening) -> None:
        """A connection was accepted."""
        self.accepted += 1
        self._connections.add(connection)

    def end(self, connection: _Opening) -> None:
        """Its transport is gone."""
        self._connections.discard(connection)
        self._changed.set()

    def reply(self, head: RequestHead) -> bytes | None:
        """What this request is answered with in place of a handshake."""
        self.heads.append(head)
        return self._answers.get(_path(head))

    def serve(self, connection: _Opening, ws: WebSocket, head: RequestHead) -> None:
        """Run the handler of a WebSocket in a task of its own."""
        task = asyncio.create_task(self._run(connection, ws, self._handlers.get(_path(head), self.handler)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, connection: _Opening, ws: WebSocket, handler: Handler) -> None:
        try:
            await handler(ws)
        except (ConnectionLost, WebSocketClosed) as error:
            self.lost.append(error)
        except Exception as error:
            self.errors.append(error)
            ws.abort()
        finally:
            try:
                await ws.close()
            finally:
                self.end(connection)


def _path(head: RequestHead) -> str:
    return head.target.decode().partition("?")[0]


class _Opening(Stream):
    """A connection before its handshake: requests, one after the other, until one of them is a handshake that is taken."""

    __slots__ = ("_origin", "_parser", "link")

    def __init__(self, origin: WebSocketOrigin) -> None:
        super().__init__(asyncio.get_running_loop(), "")
        self._origin = origin
        self._parser = Parser(server=True)
        self.link: asyncio.BaseTransport | None = None  # the transport, also when the WebSocket has taken it over

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.peer = "{}:{}".format(*transport.get_extra_info("peername")[:2])
        self.link = transport
        self._origin.begin(self)

    def lost(self, exc: Exception | None) -> None:
        self._origin.end(self)

    def buffer_updated(self, nbytes: int) -> None:
        parser = self._parser
        try:
            events = parser.receive(self._buffer, nbytes)
            while events and self.transport is not None:
                head = events[0]
                if not isinstance(head, RequestHead) or len(events) != 2:
                    raise TypeError(f"not a request without a body: {events}")  # only those are sent here
                if self._answer(head):
                    return
                events = parser.proceed()
        except ProtocolError as error:
            self._origin.faults.append(error)
            self._refuse(400, str(error), ())
        except Exception as error:
            self._origin.errors.append(error)
            self.abort()

    def _answer(self, head: RequestHead) -> bool:
        """Answer one request; True if that is the end of HTTP here."""
        assert self.transport is not None
        data = self._origin.reply(head)
        if data is not None:
            self.transport.write(data)
            return False
        answer = self._origin.handshake.answer(head)
        if isinstance(answer, Refusal):
            self._origin.faults.append(InvalidRequest(answer.message, status=answer.status))
            self._refuse(answer.status, answer.message, answer.fields)
            return True
        lines = "".join(f"{name}: {value}\r\n" for name, value in answer.fields)
        self.transport.write(f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n".encode())
        rest, self._parser.leftover = self._parser.leftover, b""
        ws = WebSocket.over(
            self, rest, server=True, subprotocol=answer.subprotocol, deflate=answer.agreed, **self._origin.options
        )
        self._origin.serve(self, ws, head)
        return True

    def _refuse(self, status: int, message: str, fields: Sequence[tuple[str, str]]) -> None:
        assert self.transport is not None
        body = message.encode()
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        if "connection:" not in lines.lower():
            lines += "Connection: close\r\n"
        self.transport.write(f"HTTP/1.1 {status} Refused\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self.shut()
