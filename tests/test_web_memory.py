"""What a request to a web application leaves behind: nothing, as soon as it is answered, by reference counting alone.

Objects that point at each other in a circle are freed when the cycle collector comes around: a server that makes such circles
pays for it with memory, and with pauses.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import wirebird
from origin import run
from wirebird import web
from wirebird.compat.aiohttp import web as aiohttp_web
from wirebird.server.asgi import AsgiApp
from wirebird.server.server import Server
from wirebird.server.settings import Settings

OURS = str(Path(wirebird.__file__).parent)


def name_of(thing: Any) -> str | None:
    """What it is called, if it is of this library, or of a handler below."""
    if isinstance(thing, FrameType):
        code = thing.f_code
        return f"frame of {code.co_qualname}" if code.co_filename.startswith((OURS, __file__)) else None
    kind = type(thing)
    if isinstance(thing, BaseException) or kind.__module__.startswith("wirebird") or kind.__name__ == "coroutine":
        return f"{kind.__module__}.{kind.__qualname__}"
    return None


@contextmanager
def leaving_nothing(leftover: Counter[str]) -> Iterator[None]:
    """Count what only the collector can free of what is made meanwhile."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
        gc.collect()
        leftover.update(name for thing in gc.garbage if (name := name_of(thing)) is not None)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


# -- what is served ----------------------------------------------------------------------------------------------------


async def text(request: web.Request) -> web.StreamResponse:
    return web.Response(text="Hello")


async def fields(request: web.Request) -> web.StreamResponse:
    response = web.json_response({"a": request.query.get("a")}, headers={"X-Field": "b"})
    response.set_cookie("seen", request.cookies.get("seen", "never"))
    response.enable_compression()
    return response


async def waits(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(0)
    return web.Response(text="at last")


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(3):
        await response.write(b"piece")
        await asyncio.sleep(0)
    return response


async def form(request: web.Request) -> web.StreamResponse:
    given = await request.post()
    return web.json_response(sorted(given))


async def body(request: web.Request) -> web.StreamResponse:
    count = 0
    async for piece in request.content:
        count += len(piece)
    return web.Response(text=str(count))


async def file(request: web.Request) -> web.StreamResponse:
    return web.FileResponse(__file__)


async def no_file(request: web.Request) -> web.StreamResponse:
    return web.FileResponse("/nothing/there")


async def read(request: web.Request) -> web.StreamResponse:
    return web.Response(body=await request.read())


async def events(request: web.Request) -> web.StreamResponse:
    told = web.EventStreamResponse()
    await told.prepare(request)
    await told.send("one")
    return told


async def websocket(request: web.Request) -> web.StreamResponse:
    response = web.WebSocketResponse()
    await response.prepare(request)
    async for message in response:
        await response.send_str(str(message.data))
    return response


async def raises(request: web.Request) -> web.StreamResponse:
    local = request  # noqa: F841
    raise ValueError("out of range")


async def refuses(request: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound(text="there is none")


async def refuses_later(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(0)
    raise web.HTTPFound("/text")


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"piece")
    await asyncio.get_running_loop().create_future()
    return response


@web.middleware
async def around(request: web.Request, handler: Any) -> web.StreamResponse:
    response: web.StreamResponse = await handler(request)
    request["response"] = len(response)
    return response


def site(folder: Path, **options: Any) -> web.Application:
    app = web.Application(max_body_size=1000, **options)
    handlers = (
        text,
        fields,
        waits,
        stream,
        form,
        body,
        file,
        no_file,
        read,
        events,
        websocket,
        raises,
        refuses,
        refuses_later,
        endless,
    )
    app.add_routes([web.route("*", f"/{handler.__name__}", handler) for handler in handlers])
    app.add_routes([web.static("/static", folder)])
    return app


def asking(path: str, *fields: str, body: bytes = b"", method: str = "") -> bytes:
    """A request, on a connection that stays."""
    method = method or ("POST" if body else "GET")
    sized = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{method} /{path} HTTP/1.1", "Host: a", *sized, *fields, "", ""]).encode() + body


MULTIPART = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\ncontent\r\n--x--\r\n'
UPGRADE = (
    *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
# A text frame "a", masked with zeros, and a close frame.
FRAMES = b"\x81\x81\0\0\0\0a" + b"\x88\x82\0\0\0\0\x03\xe8"

# What is sent, what is waited for in what comes back, and whether the client then breaks off.
TALKS = {
    "text": (asking("text"), b"Hello", False),
    "pipelined": (asking("text") * 2, b"Hello", False),
    "fields": (asking("fields?a=b", "Accept-Encoding: gzip", "Cookie: seen=once"), b"seen=once", False),
    "waits": (asking("waits"), b"at last", False),
    "stream": (asking("stream"), b"\r\n0\r\n\r\n", False),
    "form": (asking("form", "Content-Type: application/x-www-form-urlencoded", body=b"a=b&c=d"), b'["a", "c"]', False),
    "upload": (asking("form", "Content-Type: multipart/form-data; boundary=x", body=MULTIPART), b'["f"]', False),
    "broken form": (asking("form", "Content-Type: multipart/form-data; boundary=x", body=MULTIPART[:-9]), b" 400 ", False),
    "body": (asking("body", body=b"a" * 100), b"100", False),
    "broken coding": (asking("read", "Content-Encoding: gzip", body=b"nonsense"), b" 400 ", False),
    "broken coding, in pieces": (asking("body", "Content-Encoding: gzip", body=b"nonsense"), b" 400 ", False),
    "too much": (asking("read", body=b"a" * 2000), b" 413 ", False),
    "too much of a form": (asking("form", "Content-Type: multipart/form-data; boundary=x", body=b"a" * 2000), b" 413 ", False),
    "broken chunks": (asking("read", "Transfer-Encoding: chunked", method="POST") + b"x\r\n", b" 400 ", False),
    "no such file": (asking("no_file"), b" 404 ", False),
    "file": (asking("file"), b"Content-Length", False),
    "static": (asking("static/data.txt"), b"content", False),
    "no file": (asking("static/nothing.txt"), b" 404 ", False),
    "listed": (asking("static/data.txt", "Range: bytes=1-2"), b"\r\n\r\non", False),
    "head": (asking("stream", method="HEAD"), b"\r\n\r\n", False),
    "events": (asking("events"), b"\r\n0\r\n\r\n", False),
    "events, left": (asking("events"), b"data: one", True),
    "websocket": (asking("websocket", *UPGRADE) + FRAMES, b"\x88\x02\x03\xe8", False),
    "websocket, lost": (asking("websocket", *UPGRADE), b"\r\n\r\n", True),
    "no websocket": (asking("websocket"), b" 426 ", False),
    "raises": (asking("raises"), b" 500 ", False),
    "raises, as a page": (asking("raises", "Accept: text/html"), b" 500 ", False),
    "refuses": (asking("refuses"), b"there is none", False),
    "refuses later": (asking("refuses_later"), b" 302 ", False),
    "not found": (asking("nothing"), b" 404 ", False),
    "no path": (asking("%ff"), b" 400 ", False),
    "no request": (b"nonsense\r\n\r\n", b" 400 ", False),
    "left": (asking("endless"), b"piece", True),
    "left while it sends": (asking("body", "Content-Length: 100"), b"", True),
}


async def talk(address: Any, data: bytes, wanted: bytes, leaves: bool) -> None:
    """Say it, and wait for the answer, by sockets alone: what is left behind is the server's."""
    loop = asyncio.get_running_loop()
    with socket.create_connection(address) as client:
        client.setblocking(False)
        await loop.sock_sendall(client, data)
        received = b""
        while wanted not in received:
            piece = await loop.sock_recv(client, 65536)
            if not piece:
                raise AssertionError(f"{wanted!r} is not in {received!r}")
            received += piece
        if leaves:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            client.shutdown(socket.SHUT_WR)
            while await loop.sock_recv(client, 65536):
                pass


@pytest.fixture
def quiet() -> Iterator[None]:
    """Nothing is logged: what keeps records keeps tracebacks, too."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


async def leftovers(app: Any, talks: Iterable[str]) -> dict[str, dict[str, int]]:
    """What each of these leaves behind."""
    found: dict[str, dict[str, int]] = {}
    server = Server(app, Settings(cancel_on_disconnect=True))
    address = (await server.listen())[0]
    try:
        for name in talks:
            data, wanted, leaves = TALKS[name]
            for _ in ("what is made once is made", "what is left is counted"):
                with leaving_nothing(left := Counter()):
                    await talk(address, data, wanted, leaves)
                    while server.connections or server.orphans or server.upgraded:
                        await asyncio.sleep(0)
                    for _ in range(5):
                        await asyncio.sleep(0)
            if left:
                found[name] = dict(left)
    finally:
        await server.close(0)
    return found


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_request_leaves_nothing_for_the_collector(loop: str, debug: bool, tmp_path: Path, quiet: None) -> None:
    (tmp_path / "data.txt").write_text("content")

    async def main() -> None:
        app = site(tmp_path, debug=debug, middlewares=[around] if debug else [])
        assert await leftovers(app, TALKS) == {}

    run(main, loop)


PLAIN = ("text", "pipelined", "waits", "body", "too much", "raises", "not found", "left", "no request")


def test_neither_does_one_to_an_asgi_application(tmp_path: Path, quiet: None) -> None:
    """`Application` as one, which is called by way of the server's adapter, and calls itself by way of its own."""

    async def main() -> None:
        app = site(tmp_path)
        assert await leftovers(AsgiApp(app), [*PLAIN, "stream", "form", "events", "websocket", "refuses", "file"]) == {}

    run(main)


def test_neither_does_one_to_the_server_of_aiohttp(quiet: None) -> None:
    async def text(request: Any) -> Any:
        return aiohttp_web.Response(text="Hello")

    async def waits(request: Any) -> Any:
        await asyncio.sleep(0)
        return aiohttp_web.Response(text="at last")

    async def body(request: Any) -> Any:
        return aiohttp_web.Response(text=str(len(await request.read())))

    async def read(request: Any) -> Any:
        return await body(request)

    async def stream(request: Any) -> Any:
        response = aiohttp_web.StreamResponse()
        await response.prepare(request)
        await response.write(b"piece")
        return response

    async def form(request: Any) -> Any:
        return aiohttp_web.json_response(sorted(await request.post()))

    async def websocket(request: Any) -> Any:
        response = aiohttp_web.WebSocketResponse()
        await response.prepare(request)
        async for message in response:
            await response.send_str(message.data)
        return response

    async def raises(request: Any) -> Any:
        raise ValueError("out of range")

    async def refuses(request: Any) -> Any:
        raise aiohttp_web.HTTPNotFound(text="there is none")

    async def endless(request: Any) -> Any:
        response = await stream(request)
        await asyncio.get_running_loop().create_future()
        return response

    handlers = (text, waits, body, read, stream, form, websocket, raises, refuses, endless)

    async def main() -> None:
        app = aiohttp_web.Application(client_max_size=1000)
        app.add_routes([aiohttp_web.route("*", f"/{handler.__name__}", handler) for handler in handlers])
        runner = aiohttp_web.AppRunner(app)
        await runner.setup()
        try:
            assert await leftovers(app, [*PLAIN, "stream", "form", "upload", "websocket", "refuses"]) == {}
        finally:
            await runner.cleanup()

    run(main)
