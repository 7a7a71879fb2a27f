"""One other implementation of WebSocket as a process, server and client at once: python websocket_peer.py KIND SECONDS

KIND is `websockets`, `aiohttp` or `picows`; tests/ws_peer.js is the same for node's ws.  The process ends when its standard input
does, and after SECONDS in any case.  It says what it has to say as lines of JSON:

    {"plain": port, "deflate": port}                              it listens, without and with permessage-deflate
    {"tag": …, "code": …, "reason": …, "received": …}             a connection has ended: the close frame that came, messages read
    {"tag": …, "error": …}                                        it could not be opened

and reads lines of JSON: {"connect": url, "count": n, "deflate": bool, "protocols": [...]} opens `count` connections.

On a connection both roles do the same.  Its tag is the path of the URL.  With `?greet=n` there are n messages at once, `hello 0`
and so on, right behind the handshake.  Each message is sent back as it came, but for texts that are orders:

    !facts              answered with JSON: subprotocol, and whether messages may be compressed
    !ping data          a ping; once its pong is there, the text `pong data`
    !split n            the next message comes back in fragments of n bytes
    !flood n size       n binary messages of `size` bytes, the i-th filled with the byte i % 256
    !close code reason  the close handshake is begun
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

MAX_SIZE = 32 * 2**20
PROTOCOLS = ["chat.v2", "chat.v1"]
BACKLOG = 4096

Message = str | bytes


def say(**record: Any) -> None:
    os.write(1, json.dumps(record).encode() + b"\n")


def pieces_of(message: Message, size: int) -> list[bytes]:
    data = message.encode() if isinstance(message, str) else message
    return [data[at : at + size] for at in range(0, len(data), size)]


class Link:
    """One connection, whoever opened it.  The kinds fill this in.  `end` is what the close frame said that came."""

    end: tuple[int | None, str] = (None, "")

    async def receive(self) -> Message | None:
        """The next message, None at the end."""
        raise NotImplementedError

    async def send(self, message: Message) -> None:
        raise NotImplementedError

    async def send_pieces(self, pieces: list[bytes], text: bool) -> None:
        raise NotImplementedError

    async def ping(self, data: bytes) -> None:
        """Send a ping.  The pong is awaited here, or told to `self.ponged`."""
        raise NotImplementedError

    async def close(self, code: int, reason: str) -> None:
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        raise NotImplementedError


async def converse(link: Link, target: str) -> None:
    tag = urlsplit(target).path
    received = split = 0
    try:
        for number in range(int(parse_qs(urlsplit(target).query).get("greet", ["0"])[0])):
            await link.send(f"hello {number}")
        while (message := await link.receive()) is not None:
            received += 1
            if split:
                await link.send_pieces(pieces_of(message, split), isinstance(message, str))
                split = 0
            elif isinstance(message, str) and message.startswith("!"):
                order, _, rest = message[1:].partition(" ")
                if order == "facts":
                    await link.send(json.dumps(link.facts()))
                elif order == "ping":
                    await link.ping(rest.encode())
                elif order == "split":
                    split = int(rest)
                elif order == "flood":
                    count, size = map(int, rest.split(" "))
                    for number in range(count):
                        await link.send(bytes([number % 256]) * size)
                elif order == "close":
                    code, _, reason = rest.partition(" ")
                    await link.close(int(code), reason)
                else:
                    raise ValueError(f"no such order: {message}")
            else:
                await link.send(message)
        say(tag=tag, code=link.end[0], reason=link.end[1], received=received)
    except Exception as error:
        say(tag=tag, error=repr(error), received=received)


def options(deflate: bool) -> dict[str, Any]:
    """For both of those that have the interface of websockets."""
    return {"compression": "deflate" if deflate else None, "max_size": MAX_SIZE, "ping_interval": None}


def choose(connection: Any, offered: Sequence[str]) -> Any:
    """The first of ours that is offered; by default they refuse a client that offers none."""
    return next((name for name in PROTOCOLS if name in offered), None)


SERVING: dict[str, Any] = {"backlog": BACKLOG, "subprotocols": PROTOCOLS, "select_subprotocol": choose}


# -- websockets, and what picows has with the same interface -------------------------------------------------------------------


class AsWebsockets(Link):
    def __init__(self, kind: str, connection: Any) -> None:
        self.connection = connection
        if kind == "websockets":
            from websockets.exceptions import ConnectionClosed
        else:
            from picows.websockets import ConnectionClosed
        self.closed = ConnectionClosed

    async def receive(self) -> Message | None:
        try:
            return await self.connection.recv()
        except self.closed as error:
            self.end = (error.rcvd.code, error.rcvd.reason or "") if error.rcvd else (None, "")
            return None

    async def send(self, message: Message) -> None:
        await self.connection.send(message)

    async def send_pieces(self, pieces: list[bytes], text: bool) -> None:
        await self.connection.send(pieces, text=text)

    async def ping(self, data: bytes) -> None:
        ponged = await self.connection.ping(data)

        async def tell() -> None:
            await ponged
            await self.send("pong " + data.decode())

        self.telling = asyncio.create_task(tell())

    async def close(self, code: int, reason: str) -> None:
        await self.connection.close(code, reason)

    def facts(self) -> dict[str, Any]:
        extensions = self.connection.response.headers.get("Sec-WebSocket-Extensions", "")
        return {"subprotocol": self.connection.subprotocol, "deflate": "permessage-deflate" in extensions}


class Websockets:
    kind = "websockets"

    async def serve(self, deflate: bool) -> int:
        from websockets.asyncio.server import serve

        server = await serve(self.handle, "127.0.0.1", 0, **options(deflate), **SERVING)
        self.server = server
        return server.sockets[0].getsockname()[1]

    async def handle(self, connection: Any) -> None:
        await converse(AsWebsockets(self.kind, connection), connection.request.path)

    async def connect(self, url: str, deflate: bool, protocols: list[str]) -> None:
        from websockets.asyncio.client import connect

        async with connect(url, **options(deflate), subprotocols=protocols or None, proxy=None) as connection:
            await converse(AsWebsockets(self.kind, connection), url)


# -- picows: its own interface, and for permessage-deflate the one that it has in the manner of websockets -----------------------


class AsPicows(Link):
    def __init__(self) -> None:
        import picows

        link = self

        class Listener(picows.WSListener):
            def __init__(self) -> None:
                self.kind: Any = None
                self.parts: list[bytes] = []

            def on_ws_connected(self, transport: Any) -> None:
                link.transport = transport
                link.opened.set()

            def on_ws_frame(self, transport: Any, frame: Any) -> None:
                kinds = picows.WSMsgType
                kind = frame.msg_type
                if kind == kinds.PONG:
                    link.queue.put_nowait(("pong", frame.get_payload_as_bytes()))
                elif kind == kinds.CLOSE:
                    code = frame.get_close_code()
                    link.end = (int(code) or 1005, frame.get_close_reason() or "")
                    if transport.is_close_frame_sent:
                        transport.disconnect()
                    else:
                        transport.send_close(code if code else 1000, frame.get_close_message())
                        if not transport.is_client_side:
                            transport.disconnect()
                elif kind != kinds.PING:
                    self.kind = kind if kind != kinds.CONTINUATION else self.kind
                    self.parts.append(frame.get_payload_as_bytes())
                    if frame.fin:
                        message = b"".join(self.parts)
                        self.parts.clear()
                        link.queue.put_nowait(message.decode() if self.kind == kinds.TEXT else message)

            def on_ws_disconnected(self, transport: Any) -> None:
                link.queue.put_nowait(None)

        self.types = picows.WSMsgType
        self.listener = Listener()
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.opened = asyncio.Event()
        self.transport: Any = None

    async def receive(self) -> Message | None:
        while isinstance(item := await self.queue.get(), tuple):
            await self.send("pong " + item[1].decode())
        return item

    async def send(self, message: Message) -> None:
        text = isinstance(message, str)
        self.transport.send(self.types.TEXT if text else self.types.BINARY, message.encode() if text else message)

    async def send_pieces(self, pieces: list[bytes], text: bool) -> None:
        kind = self.types.TEXT if text else self.types.BINARY
        for number, piece in enumerate(pieces):
            self.transport.send(kind if number == 0 else self.types.CONTINUATION, piece, fin=number == len(pieces) - 1)

    async def ping(self, data: bytes) -> None:
        self.transport.send_ping(data)

    async def close(self, code: int, reason: str) -> None:
        self.transport.send_close(code, reason.encode())

    def facts(self) -> dict[str, Any]:
        return {"subprotocol": self.transport.response.headers.get("Sec-WebSocket-Protocol"), "deflate": False}


class Picows:
    kind = "picows"

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self, deflate: bool) -> int:
        if deflate:
            from picows.websockets import serve

            self.deflating = await serve(self.handle, "127.0.0.1", 0, **options(True), **SERVING)
            return self.deflating.sockets[0].getsockname()[1]
        import picows

        self.plain = await picows.ws_create_server(self.accept, "127.0.0.1", 0, max_frame_size=MAX_SIZE, backlog=BACKLOG)
        return self.plain.sockets[0].getsockname()[1]

    async def handle(self, connection: Any) -> None:
        await converse(AsWebsockets(self.kind, connection), connection.request.path)

    def accept(self, request: Any) -> Any:
        import picows

        link = AsPicows()
        wanted = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        chosen = [choose(None, wanted)] if choose(None, wanted) else []
        response = picows.WSUpgradeResponse.create_101_response([("Sec-WebSocket-Protocol", name) for name in chosen])

        async def talk() -> None:
            await link.opened.wait()
            await converse(link, request.path.decode())

        task = asyncio.create_task(talk())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return picows.WSUpgradeResponseWithListener(response, link.listener)

    async def connect(self, url: str, deflate: bool, protocols: list[str]) -> None:
        if deflate:
            from picows.websockets import connect

            async with connect(url, **options(True), subprotocols=protocols or None, proxy=None) as connection:
                await converse(AsWebsockets(self.kind, connection), url)
            return
        import picows

        link = AsPicows()
        fields = [("Sec-WebSocket-Protocol", ", ".join(protocols))] if protocols else []
        transport, _ = await picows.ws_connect(lambda: link.listener, url, max_frame_size=MAX_SIZE, extra_headers=fields)
        await converse(link, url)
        await transport.wait_disconnected()


# -- aiohttp --------------------------------------------------------------------------------------------------------------------


class AsAiohttp(Link):
    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def receive(self) -> Message | None:
        from aiohttp import WSMsgType

        while True:
            message = await self.connection.receive()
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                return message.data
            if message.type is WSMsgType.PING:
                await self.connection.pong(message.data)
            elif message.type is WSMsgType.PONG:
                await self.send("pong " + message.data.decode())
            else:
                if message.type is WSMsgType.CLOSE:
                    self.end = (message.data or 1005, message.extra or "")
                    await self.connection.close(code=message.data or 1000)
                elif message.type is WSMsgType.ERROR:
                    raise message.data
                return None

    async def send(self, message: Message) -> None:
        await (self.connection.send_str if isinstance(message, str) else self.connection.send_bytes)(message)

    async def send_pieces(self, pieces: list[bytes], text: bool) -> None:
        raise NotImplementedError("aiohttp has no way to send fragments")

    async def ping(self, data: bytes) -> None:
        await self.connection.ping(data)

    async def close(self, code: int, reason: str) -> None:
        await self.connection.close(code=code, message=reason.encode())
        self.end = (self.connection.close_code, "")  # it does not tell the reason

    def facts(self) -> dict[str, Any]:
        connection = self.connection
        protocol = connection.ws_protocol if hasattr(connection, "ws_protocol") else connection.protocol
        return {"subprotocol": protocol, "deflate": bool(connection.compress)}


class Aiohttp:
    kind = "aiohttp"

    def __init__(self) -> None:
        self.session: Any = None
        self.runners: list[Any] = []

    async def serve(self, deflate: bool) -> int:
        from aiohttp import web

        async def handle(request: web.Request) -> web.StreamResponse:
            connection = web.WebSocketResponse(
                protocols=PROTOCOLS, compress=deflate, max_msg_size=MAX_SIZE, autoping=False, autoclose=False
            )
            await connection.prepare(request)
            await converse(AsAiohttp(connection), request.path_qs)
            return connection

        app = web.Application()
        app.router.add_get("/{tag:.*}", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=BACKLOG)
        await site.start()
        self.runners.append(runner)
        return runner.addresses[0][1]

    async def connect(self, url: str, deflate: bool, protocols: list[str]) -> None:
        import aiohttp

        if self.session is None:
            self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        async with self.session.ws_connect(
            url, protocols=protocols, compress=15 if deflate else 0, max_msg_size=MAX_SIZE, autoping=False, autoclose=False
        ) as connection:
            await converse(AsAiohttp(connection), url)


# -- the process ----------------------------------------------------------------------------------------------------------------

KINDS: dict[str, Any] = {"websockets": Websockets, "aiohttp": Aiohttp, "picows": Picows}


async def main(kind: str) -> None:
    peer = KINDS[kind]()
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def connect(url: str, deflate: bool, protocols: list[str]) -> None:
        try:
            await peer.connect(url, deflate, protocols)
        except Exception as error:
            say(tag=urlsplit(url).path, error=repr(error))

    def obey(line: str) -> None:
        order = json.loads(line)
        for _ in range(order["count"]):
            task = loop.create_task(connect(order["connect"], order["deflate"], order["protocols"]))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def listen() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(obey, line)
        os._exit(0)

    say(plain=await peer.serve(False), deflate=await peer.serve(True))
    threading.Thread(target=listen, daemon=True).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    watchdog = threading.Timer(float(sys.argv[2]), os._exit, [3])
    watchdog.daemon = True
    watchdog.start()
    try:
        import uvloop
    except ImportError:
        asyncio.run(main(sys.argv[1]))
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main(sys.argv[1]))
