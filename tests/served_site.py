"""A small site with something of everything, for clients and proxies that others made, and what is asked of it."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wirebird import web
from wirebird.server import Server, Settings

LARGE = bytes(range(256)) * 800  # 200 KiB: more than one read
TEXT = "what is worth compressing " * 200


@dataclass
class Ask:
    """A request, and what has to come of it: `expected` body, and the fields in `says`, by lower-case name."""

    method: str
    path: str
    status: int
    expected: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    chunked: bool = False  # send the body without a length
    says: Mapping[str, str | None] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path} {dict(self.headers)}"


@dataclass
class Answer:
    """What a client has got: names in lower case, content decoded if it was coded."""

    status: int
    headers: dict[str, str]
    body: bytes

    def check(self, ask: Ask) -> None:
        if self.headers.get("content-encoding") == "gzip" and self.body.startswith(b"\x1f\x8b"):
            self.body = gzip.decompress(self.body)
        assert (self.status, self.body) == (ask.status, ask.expected), ask
        assert {name: self.headers.get(name) for name in ask.says} == ask.says, ask


def asks(file: Path) -> list[Ask]:
    """All that is asked, `file` being the one that is served."""
    whole = file.read_bytes()
    os.utime(file, (1_000_000_000, 1_000_000_000))
    changed = {"last-modified": "Sun, 09 Sep 2001 01:46:40 GMT"}
    return [
        Ask("GET", "/text", 200, b"hello", says={"content-length": "5", "content-type": "text/plain; charset=utf-8"}),
        Ask("HEAD", "/text", 200, b"", says={"content-length": "5"}),
        Ask("GET", "/json", 200, b'{"ok": true}', says={"content-type": "application/json; charset=utf-8"}),
        Ask("GET", "/stream", 200, b"onetwothree", says={"transfer-encoding": "chunked"}),
        Ask("POST", "/echo", 200, LARGE, body=LARGE),
        Ask("POST", "/echo", 200, LARGE, body=LARGE, chunked=True),
        Ask("POST", "/echo", 200, b"", body=b""),
        Ask("POST", "/echo", 200, LARGE, {"Expect": "100-continue"}, LARGE),
        Ask("POST", "/refuse", 403, b"403: Forbidden", body=b"unread"),
        Ask("GET", "/file", 200, whole, says={"accept-ranges": "bytes", **changed}),
        Ask("GET", "/file", 206, whole[5:1000], {"Range": "bytes=5-999"}, says={"content-range": f"bytes 5-999/{len(whole)}"}),
        Ask("GET", "/file", 304, b"", {"If-None-Match": "*"}, says={"content-type": None}),
        Ask("GET", "/compressed", 200, TEXT.encode(), {"Accept-Encoding": "gzip"}, says={"content-encoding": "gzip"}),
        Ask("GET", "/redirect", 302, b"302: Found", says={"location": "/text"}),
        Ask("GET", "/cookie", 200, b"", says={"set-cookie": "taste=sweet; Path=/"}),
        Ask("GET", "/events", 200, b"event: greeting\ndata: hello\n\ndata: bye\n\n", says={"content-type": "text/event-stream"}),
        Ask("DELETE", "/nothing", 204, b""),
        Ask("GET", "/missing", 404, b"404: Not Found"),
        Ask("PUT", "/text", 405, b"405: Method Not Allowed", body=b"x", says={"allow": "GET,HEAD"}),
        Ask("GET", "/fails", 500, b"500 Internal Server Error\n"),
        Ask("GET", "/text", 200, b"hello"),
    ]


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for piece in (b"one", b"two", b"three"):
        await response.write(piece)
    return response


async def echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


async def refuse(request: web.Request) -> web.Response:
    raise web.HTTPForbidden


async def compressed(request: web.Request) -> web.Response:
    response = web.Response(text=TEXT)
    response.enable_compression()
    return response


async def redirect(request: web.Request) -> web.Response:
    raise web.HTTPFound("/text")


async def cookie(request: web.Request) -> web.Response:
    response = web.Response()
    response.set_cookie("taste", "sweet")
    return response


async def events(request: web.Request) -> web.EventStreamResponse:
    response = web.EventStreamResponse()
    await response.prepare(request)
    await response.send("hello", event="greeting")
    await response.send("bye")
    return response


async def fails(request: web.Request) -> web.Response:
    raise RuntimeError("meant to fail")


async def breaks(request: web.Request) -> web.StreamResponse:
    """Half a response: of a length with ?sized, else of chunks."""
    response = web.StreamResponse()
    if "sized" in request.query:
        response.content_length = 100
    await response.prepare(request)
    await response.write(b"only this")
    raise RuntimeError("meant to fail")


async def login(request: web.Request) -> web.Response:
    response = web.HTTPSeeOther("/cookies")
    response.set_cookie("user", (await request.post())["user"], httponly=True)
    response.set_cookie("elsewhere", "x", path="/elsewhere")
    raise response


async def cookies(request: web.Request) -> web.Response:
    return web.json_response(dict(request.cookies))


async def client(request: web.Request) -> web.Response:
    return web.json_response([request.remote, request.scheme, request.host])


async def slow(request: web.Request) -> web.Response:
    await asyncio.sleep(0.05)
    return web.Response(text="at last")


async def socket(request: web.Request) -> web.WebSocketResponse:
    response = web.WebSocketResponse()
    await response.prepare(request)
    async for message in response:
        send = response.send_str if isinstance(message.data, str) else response.send_bytes
        await send(message.data)
    return response


class Site:
    """The application, and the peers of the connections that it was asked on.

    `asked` are the paths with their queries; `written` counts the bytes of /endless, `read` those of /taken.
    """

    def __init__(self, file: Path) -> None:
        self.peers: list[tuple[str, Any]] = []
        self.asked: list[str] = []
        self.written = 0
        self.read = 0

        async def text(request: web.Request) -> web.Response:
            return web.Response(text="hello")

        async def json(request: web.Request) -> web.Response:
            return web.json_response({"ok": True})

        async def file_response(request: web.Request) -> web.FileResponse:
            return web.FileResponse(file)

        async def nothing(request: web.Request) -> web.Response:
            return web.Response(status=204)

        async def endless(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"X-Accel-Buffering": "no"})  # nginx would keep it in a file
            await response.prepare(request)
            for _ in range(int(request.query["size"]) // len(LARGE)):
                await response.write(LARGE)
                self.written += len(LARGE)
            return response

        async def taken(request: web.Request) -> web.Response:
            async for piece in request.content.iter_any():
                self.read += len(piece)
            return web.Response(text=str(self.read))

        async def note(request: web.Request, handler: Any) -> web.StreamResponse:
            self.asked.append(request.path_qs)
            self.peers.append((request.path, request.get_extra_info("peername")))
            return await handler(request)  # type: ignore[no-any-return]

        self.app = web.Application(middlewares=[note])
        self.app.add_routes(
            [
                *(web.get(f"/{one.__name__}", one) for one in (text, json, stream, compressed, redirect, cookie, cookies)),
                *(web.get(f"/{one.__name__}", one) for one in (events, fails, breaks, client, slow, socket)),
                web.get("/file", file_response),
                web.get("/health", text),
                web.get("/endless", endless),
                web.post("/taken", taken),
                web.post("/echo", echo),
                web.post("/refuse", refuse),
                web.post("/login", login),
                web.delete("/nothing", nothing),
            ]
        )

    def connections(self, path: str | None = None) -> int:
        """On how many it was asked (for `path`)."""
        return len({peer for asked, peer in self.peers if path in (None, asked)})


@asynccontextmanager
async def serving(file: Path, settings: Settings | None = None) -> AsyncIterator[tuple[Site, Server, int]]:
    """The site on a port of 127.0.0.1."""
    site = Site(file)
    server = Server(site.app, settings, on_error=lambda exchange, error: None)
    ((_, port),) = await server.listen()
    try:
        yield site, server, port
    finally:
        await server.close(5)
