"""An HTTP server in the event loop of the test that opens WebSockets, and answers with what a test wants where it does not.

    async with WebSocketOrigin() as origin:
        async with client.websocket(origin.url("/echo")) as ws: ...

It reads with our parser and answers with our handshake; `tests/test_client_websocket.py` has the `websockets` library beside it.
`asked` holds the head of every request, `sockets` every WebSocket that was opened, `connections` counts those accepted and `open`
those not yet closed.

    /echo       gives every message back
    /greeting   sends "hello" and "again" in the segment of the 101, then echoes
    /held       receives, and gives nothing back
    /bye/{n}    closes with the code n at once

Anything else is what `origin.on(path, handler)` says, `async def handler(ws, head)`, or `origin.always(path, bytes)`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from wirebird.errors import WirebirdError
from wirebird.models.message import RequestHead
from wirebird.net.stream import Stream
from wirebird.net.websocket import WebSocket
from wirebird.protocol.http1_events import END
from wirebird.protocol.http1_parser import Parser
from wirebird.protocol.websocket_deflate import Deflate
from wirebird.protocol.websocket_frames import encode_frame
from wirebird.protocol.websocket_handshake import Refusal, ServerHandshake

__all__ = ["WebSocketOrigin", "answer"]

Handler = Callable[[WebSocket, RequestHead], Awaitable[None]]

BACKLOG = 4096  # a thousand clients may come at once


def answer(status: str, *fields: str, body: bytes = b"") -> bytes:
    """A response as bytes, with its Content-Length."""
    lines = "".join(f"{field}\r\n" for field in (*fields, f"Content-Length: {len(body)}"))
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


async def _echo(ws: WebSocket, head: RequestHead) -> None:
    async for message in ws:
        await ws.send(message.data)


async def _held(ws: WebSocket, head: RequestHead) -> None:
    async for _ in ws:
        pass


class _Guest(Stream):
    """One connection until it is a WebSocket."""

    def __init__(self, origin: WebSocketOrigin) -> None:
        super().__init__(asyncio.get_running_loop(), "the-client:1")
        self.origin = origin
        self.parser = Parser(server=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.origin.accepted(self)

    def buffer_updated(self, nbytes: int) -> None:
        try:
            events = self.parser.receive(self._buffer, nbytes)
        except WirebirdError as error:
            self.origin.faults.append(error)
            self.abort()
            return
        while events:
            if events[-1] is not END:
                return
            if self.origin.asked_for(self, events[0], self.parser.leftover):  # type: ignore[arg-type]
                return
            events = self.parser.proceed()


class WebSocketOrigin:
    """One server.  `tls`: a server's context; `protocols`, `deflate`, `origins`: as `ServerHandshake` has them."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        protocols: Iterable[str] = (),
        deflate: Deflate | None = None,
        uds: str | None = None,
        **options: Any,
    ) -> None:
        self.tls = tls
        self.uds = uds
        self.handshake = ServerHandshake(list(protocols), deflate, None)
        self.options = options
        self.port = 0
        self.asked: list[RequestHead] = []
        self.sockets: list[WebSocket] = []
        self.faults: list[BaseException] = []
        self.connections = 0
        self.open = 0
        self.changed = asyncio.Condition()
        self.fields: dict[str, list[tuple[str, str]]] = {}
        self._answers: dict[str, Callable[[RequestHead], bytes | None]] = {}
        self._handlers: dict[str, Handler] = {"/echo": _echo, "/greeting": _echo, "/held": _held}
        self._tasks: set[asyncio.Task[None]] = set()
        self._guests: set[_Guest] = set()
        self._gone: set[asyncio.Future[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> WebSocketOrigin:
        loop = asyncio.get_running_loop()
        if self.uds is not None:
            self._server = await loop.create_unix_server(lambda: _Guest(self), self.uds)
        else:
            self._server = await loop.create_server(lambda: _Guest(self), "127.0.0.1", 0, ssl=self.tls, backlog=BACKLOG)
            self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: object, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        for ws in self.sockets:
            ws.abort()
        for guest in self._guests:
            guest.abort()
        for task in list(self._tasks):
            task.cancel()
        if waiting := [*self._tasks, *self._gone]:
            await asyncio.wait(waiting, timeout=5)
        await self._server.wait_closed()
        if self.faults and kind is None:
            raise self.faults[0]

    def url(self, path: str = "/echo", scheme: str | None = None) -> str:
        """The ws or wss URL of `path`."""
        return f"{scheme or ('wss' if self.tls else 'ws')}://127.0.0.1:{self.port}{path}"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def on(self, path: str, handler: Handler) -> None:
        """Have the WebSocket of `path` served by `handler`."""
        self._handlers[path] = handler

    def always(self, path: str, data: bytes) -> None:
        """Have `path` answered with these bytes and no WebSocket."""
        self._answers[path] = lambda head: data

    def first(self, path: str, answers: Callable[[RequestHead], bytes | None]) -> None:
        """Have `path` answered by what the function says; None opens the WebSocket."""
        self._answers[path] = answers

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition()` holds; it is looked at whenever something begins or ends."""
        async with self.changed:
            await self.changed.wait_for(condition)

    # -- connections ---------------------------------------------------------------------------------------------------

    def accepted(self, guest: _Guest) -> None:
        self.connections += 1
        self.open += 1
        self._guests.add(guest)
        gone = guest.when_gone()
        self._gone.add(gone)
        gone.add_done_callback(self._left)

    def _left(self, gone: asyncio.Future[None]) -> None:
        self._gone.discard(gone)
        self.open -= 1
        self._tell()

    def _tell(self) -> None:
        async def tell() -> None:
            async with self.changed:
                self.changed.notify_all()

        self._start(tell())

    def _start(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def asked_for(self, guest: _Guest, head: RequestHead, leftover: bytes) -> bool:
        """Answer a request; whether the connection is a WebSocket now."""
        self.asked.append(head)
        path = head.target.decode().partition("?")[0]
        said = self._answers[path](head) if path in self._answers else None
        if said is None and path not in self._handlers and not path.startswith("/bye/"):
            said = answer("404 Not Found", body=b"nothing here")
        accepted = self.handshake.answer(head)
        if said is None and isinstance(accepted, Refusal):
            said = answer(f"{accepted.status} No", *(f"{name}: {value}" for name, value in accepted.fields))
        assert guest.transport is not None
        if said is not None or isinstance(accepted, Refusal):
            guest.transport.write(said or b"")
            self._tell()
            return False
        fields = [*accepted.fields, *self.fields.get(path, [])]
        wire = ("HTTP/1.1 101 Go\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n").encode()
        if path == "/greeting":
            wire += encode_frame(1, b"hello") + encode_frame(1, b"again")
        guest.transport.write(wire)
        self._guests.discard(guest)
        ws = WebSocket.over(
            guest, leftover, server=True, subprotocol=accepted.subprotocol, deflate=accepted.agreed, **self.options
        )
        self.sockets.append(ws)
        self._start(self._serve(ws, head, path))
        self._tell()
        return True

    async def _serve(self, ws: WebSocket, head: RequestHead, path: str) -> None:
        try:
            if path.startswith("/bye/"):
                await ws.close(int(path.removeprefix("/bye/")), "as asked")
            else:
                await self._handlers[path](ws, head)
        except WirebirdError:
            pass  # the client left, or broke the rules: that is what the test looks at
        except Exception as error:
            self.faults.append(error)
        finally:
            if not ws.closed:
                ws.abort()
            self._tell()
