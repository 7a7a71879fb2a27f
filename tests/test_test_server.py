"""`TestServer` and `TestClient`: a server on real sockets, asked by our client, by curl, and by raw sockets that mean no good.

What may be parsed is proven in `test_http1_matrix.py`; here is what the server does about it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import shutil
import socket
import ssl
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvloop
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

import wirebird
from raw_peer import require, sockets
from wirebird import HTTPClient, HttpResponse, Limits, Request, TCPConnector, web
from wirebird.models.message import CHUNKED, TUNNEL, UNTIL_CLOSE
from wirebird.protocol.http1_heads import parse_response_head
from wirebird.protocol.http1_responses import response_framing
from wirebird.server.settings import Settings
from wirebird.testing import ApplicationError, ASGITransport, MockTransport, TestClient, TestServer, ThrowawayTLS

OK = {"type": "http.response.start", "status": 200, "headers": []}
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


class OddError(Exception):
    pass


def run(main: Callable[[], Awaitable[None]], *, kind: str = "asyncio") -> None:
    """Run `main()`: no error may reach the loop's exception handler, no socket may stay open, no task be left."""
    reports: list[dict[str, Any]] = []
    before = sockets()

    def report(loop: Any, context: dict[str, Any]) -> None:
        if "incoming connection" not in context["message"]:  # a handshake that was broken off
            reports.append(context)

    async def framed() -> None:
        asyncio.get_running_loop().set_exception_handler(report)
        async with asyncio.timeout(20):
            await main()
        for _ in range(10):
            await asyncio.sleep(0)
        require(len(asyncio.all_tasks()) == 1, asyncio.all_tasks())

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if kind == "uvloop" else asyncio.new_event_loop) as runner:
        runner.run(framed())
    require(not reports, reports)
    require(sockets() == before, "sockets", before, sockets())


def body(data: bytes = b"", more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def gives(*pieces: bytes):
    for piece in pieces:
        yield piece


def echo(request: Request) -> HttpResponse:
    """What was asked, as the handler sees it."""
    return HttpResponse.make(
        headers={"X-Method": request.method, "X-URL": str(request.url), "X-Target": request.destination.target},
        body=request.body if isinstance(request.body, bytes) else b"no bytes",
    )


async def asgi_echo(scope: Any, receive: Any, send: Any) -> None:
    """The body as it comes in, sent back piece by piece."""
    await send(OK)
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message["more_body"]
        await send(body(message["body"], True))
    await send(body())


class Wire:
    """A raw connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self, *, head_only: bool = False) -> tuple[int, dict[str, str], bytes]:
        """The next response, read to the letter."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        assert first.startswith("HTTP/1.1 ")
        fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        assert len(fields) == len(lines), lines
        status = int(first.split(" ")[1])
        if head_only or status in (100, 204, 304):
            return status, fields, b""
        if fields.get("transfer-encoding") == "chunked":
            assert "content-length" not in fields
            data = b""
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                data += await self.reader.readexactly(size)
                assert await self.reader.readexactly(2) == b"\r\n"
            trailers = await self.reader.readuntil(b"\r\n")
            while trailers != b"\r\n":
                name, _, value = trailers.decode().rstrip("\r\n").partition(": ")
                fields[name] = value
                trailers = await self.reader.readuntil(b"\r\n")
            return status, fields, data
        if "content-length" in fields:
            return status, fields, await self.reader.readexactly(int(fields["content-length"]))
        return status, fields, await self.reader.read()

    async def rest(self) -> bytes:
        """All that comes up to the end of the connection."""
        return await self.reader.read()

    async def ended(self) -> None:
        """The server closes, and says nothing before."""
        assert await self.rest() == b""


async def connect(server: TestServer) -> Wire:
    if server.path is not None:
        return Wire(*await asyncio.open_unix_connection(server.path))
    return Wire(*await asyncio.open_connection(server.host, server.port))


def converse(
    app: Any, script: Callable[[Wire, TestServer], Awaitable[None]], *, kind: str = "asyncio", quiet: bool = True, **options: Any
) -> TestServer:
    """Run `script` on one raw connection to a server for `app`; in the end nothing is left of either."""
    servers: list[TestServer] = []

    async def main() -> None:
        async with TestServer(app, **options) as server:
            servers.append(server)
            wire = await connect(server)
            try:
                await script(wire, server)
            finally:
                wire.writer.close()
                try:
                    await wire.writer.wait_closed()
                except ConnectionError:
                    pass
        if quiet:
            assert server.errors == []

    run(main, kind=kind)
    return servers[0]


def exchange(app: Any, sent: bytes, **options: Any) -> tuple[int, dict[str, str], bytes]:
    """The one response to `sent`, after which the server closes."""
    got: list[Any] = []

    async def script(wire: Wire, server: TestServer) -> None:
        wire.send(sent)
        got.append(await wire.response())
        await wire.ended()

    converse(app, script, **options)
    return got[0]


# -- with our own client ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_handler(kind: str) -> None:
    async def main() -> None:
        async with TestServer(echo) as server, HTTPClient(base_url=server.url()) as client:
            response = await client.post("/a%20b?x=1", data=b"hello")
            assert await response.content() == b"hello"
            assert response.headers["x-url"] == server.url("/a%20b?x=1")
            assert response.headers["content-length"] == "5"
            assert "date" in response.headers
            response = await client.post("/", data=gives(b"one", b"two"))
            assert await response.content() == b"onetwo"
            assert [(request.method, request.url.path, request.body) for request in server.requests] == [
                ("POST", "/a b", b"hello"),
                ("POST", "/", b"onetwo"),
            ]
            assert client.stats()["opened"] == 1
        assert not server.is_running

    run(main, kind=kind)


def test_an_async_handler_that_streams() -> None:
    async def handler(request: Request) -> HttpResponse:
        await asyncio.sleep(0)
        return HttpResponse.make(body=gives(*[b"x" * 50_000] * 10))

    async def main() -> None:
        async with TestClient(handler) as client:
            response = await client.get("/")
            assert response.chunked
            assert len(await response.content()) == 500_000

    run(main)


def test_a_mock_transport_over_the_wire() -> None:
    async def main() -> None:
        with MockTransport() as mock:
            mock.get("/items", json=[1])
            mock.on("POST", "/items", json={"a": 1}).respond(201)
            async with TestClient(mock) as client:
                assert await (await client.get("/items")).json() == [1]
                assert (await client.post("/items", json={"a": 1})).status_code == 201
                assert (await client.head("/items")).status_code == 500
            assert [call.request.method for call in mock.calls] == ["GET", "POST", "HEAD"]
            mock.unmatched.clear()

    run(main)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_starlette_with_lifespan_streams_and_background(kind: str) -> None:
    log: list[str] = []

    async def main() -> None:
        waits = asyncio.Event()

        async def lifespan(app: Any) -> Any:
            log.append("startup")
            yield
            log.append("shutdown")

        async def show(request: Any) -> JSONResponse:
            return JSONResponse({"url": str(request.url), "body": (await request.body()).decode()})

        async def later() -> None:
            await waits.wait()
            log.append("background")

        routes = [
            Route("/", show, methods=["GET", "POST"]),
            Route("/stream", lambda request: StreamingResponse(gives(*[b"x" * 50_000] * 10))),
            Route("/background", lambda request: PlainTextResponse("first", background=BackgroundTask(later))),
        ]
        app = Starlette(routes=routes, lifespan=contextlib.asynccontextmanager(lifespan))
        tester = TestClient(app)
        async with tester as client:
            assert log == ["startup"]
            response = await client.post("/?a=1", data=gives(b"a", b"b"))
            assert await response.json() == {"url": tester.server.url("/?a=1"), "body": "ab"}
            assert len(await (await client.get("/stream")).content()) == 500_000
            assert await (await client.get("/background")).text() == "first"
            assert (await client.get("/")).status_code == 200  # on the same connection, while the task still runs
            assert client.stats()["opened"] == 1
            waits.set()
        assert log == ["startup", "background", "shutdown"]

    run(main, kind=kind)


def test_an_upload_is_echoed_while_it_comes_in() -> None:
    async def main() -> None:
        turn = asyncio.Event()

        async def pieces():
            yield b"one"
            await turn.wait()
            yield b"two"

        async with TestServer(asgi_echo) as server:
            wire = await connect(server)
            wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
            head = await wire.reader.readuntil(b"\r\n\r\n")
            assert b"Transfer-Encoding: chunked" in head
            assert await wire.reader.readexactly(8) == b"3\r\none\r\n"
            wire.send(b"3\r\ntwo\r\n0\r\n\r\n")
            assert await wire.reader.readuntil(b"0\r\n\r\n") == b"3\r\ntwo\r\n0\r\n\r\n"
            wire.writer.close()

    run(main)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_tls(kind: str) -> None:
    async def main() -> None:
        tls = ThrowawayTLS()
        async with TestClient(TestServer(echo, ssl=tls)) as client:
            response = await client.post("/", data=b"x" * 100_000)
            assert await response.content() == b"x" * 100_000
            assert response.url.scheme == "https"
        async with TestServer(asgi_echo, ssl=tls.server) as server, HTTPClient() as stranger:
            with pytest.raises(wirebird.TLSError):
                await stranger.get(server.url())
            assert not server._server.connections

    run(main, kind=kind)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_unix_socket(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "s.sock"

    async def main() -> None:
        async with TestClient(TestServer(echo, path=path)) as client:
            assert path.is_socket()
            response = await client.get("/x")
            assert response.headers["x-url"] == "http://localhost/x"
        assert not path.exists()

    run(main, kind=kind)


def test_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")

    async def main() -> None:
        try:
            server = await TestServer(echo, host="::1").start()
        except OSError:
            pytest.skip("no IPv6 here")
        async with HTTPClient() as client:
            assert (await client.get(server.url("/x"))).headers["x-url"] == server.url("/x")
            assert server.url().startswith("http://[::1]:")
        await server.close()

    run(main)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_curl() -> None:
    async def main() -> None:
        async with TestServer(echo) as server:
            data = b"x" * 3_000_000  # curl says Expect: 100-continue for it
            process = await asyncio.create_subprocess_exec(
                *("curl", "-sS", "-i", "--noproxy", "*", "--max-time", "15", "--data-binary", "@-", server.url("/a?b")),
                *("--next", "-sS", "-I", server.url("/c")),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            out, _ = await process.communicate(data)
            assert process.returncode == 0
            assert out.count(b"HTTP/1.1 200 OK\r\n") == 2
            assert out.count(b"HTTP/1.1 100 Continue\r\n") == 1
            assert data in out

    run(main)


# -- one connection, to the letter ------------------------------------------------------------------------------------------


def test_requests_one_after_the_other() -> None:
    async def script(wire: Wire, server: TestServer) -> None:
        for number in range(3):
            wire.send(b"GET /%d HTTP/1.1\r\nHost: a.example\r\n\r\n" % number)
            status, fields, _ = await wire.response()
            assert (status, fields["x-url"]) == (200, f"http://a.example/{number}")
            assert "connection" not in fields
        wire.send(CLOSE)
        assert (await wire.response())[1]["connection"] == "close"
        await wire.ended()

    converse(echo, script)


def test_pipelined_requests_are_answered_in_order() -> None:
    async def handler(request: Request) -> HttpResponse:
        if request.url.path == "/0":
            await asyncio.sleep(0.02)
        return HttpResponse.make(text=request.url.path)

    async def script(wire: Wire, server: TestServer) -> None:
        wire.send(b"".join(b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab" % number for number in range(50)))
        for number in range(50):
            assert (await wire.response())[2] == b"/%d" % number

    converse(handler, script)


def test_a_long_pipeline_is_read_no_further_than_it_is_served() -> None:
    held: list[int] = []

    async def main() -> None:
        go_on = asyncio.Event()

        async def handler(request: Request) -> HttpResponse:
            await go_on.wait()
            return HttpResponse.make()

        async with TestServer(handler) as server:
            wire = await connect(server)
            wire.send(GET.replace(b"Host", b"X: %b\r\nHost" % (b"x" * 8000)) * 500)
            while not server.requests:
                await asyncio.sleep(0)
            (connection,) = server._server.connections
            go_on.set()
            for _ in range(500):
                held.append(len(connection.parser.leftover))
                await wire.response()
            wire.writer.transport.abort()

    run(main)
    assert max(held) < 400_000


def test_half_closed_behind_the_requests() -> None:
    async def script(wire: Wire, server: TestServer) -> None:
        wire.send(GET + GET)
        wire.writer.write_eof()
        assert (await wire.response())[0] == 200
        assert (await wire.response())[0] == 200
        await wire.ended()

    converse(echo, script)


def test_head_and_bodiless_answers() -> None:
    def handler(request: Request) -> HttpResponse:
        if request.method == "HEAD":
            return HttpResponse.make(body=b"hello")
        return HttpResponse.make(int(request.url.path[1:]), {"Content-Length": "5"}, b"hello")

    async def script(wire: Wire, server: TestServer) -> None:
        wire.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        _, fields, _ = await wire.response(head_only=True)
        assert fields["content-length"] == "5"
        for status in (204, 304):
            wire.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % status)
            got, fields, _ = await wire.response()
            assert got == status
            assert not {"content-length", "transfer-encoding"} & fields.keys()
        wire.send(b"GET /200 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await wire.response())[2] == b"hello"

    converse(handler, script)


def test_head_of_a_stream() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(OK)
        await send(body(b"one", True))
        await send(body(b"two"))

    async def script(wire: Wire, server: TestServer) -> None:
        wire.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        _, fields, _ = await wire.response(head_only=True)
        assert fields["transfer-encoding"] == "chunked"
        wire.send(GET)
        assert (await wire.response())[2] == b"onetwo"

    converse(app, script, lifespan=False)


def test_http_1_0() -> None:
    status, fields, data = exchange(echo, b"GET /x HTTP/1.0\r\n\r\n")
    assert (status, fields["connection"], data) == (200, "close", b"")
    assert fields["x-url"].startswith("http://127.0.0.1:")

    async def script(wire: Wire, server: TestServer) -> None:
        for _ in range(2):
            wire.send(b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            _, fields, _ = await wire.response()
            assert fields["connection"] == "keep-alive"

    converse(echo, script)


def test_a_stream_for_http_1_0_ends_with_the_connection() -> None:
    def handler(request: Request) -> HttpResponse:
        return HttpResponse.make(body=[b"one", b"two"])

    status, fields, data = exchange(handler, b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert (status, fields["connection"], data) == (200, "close", b"onetwo")
    assert "transfer-encoding" not in fields


def test_trailers() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**OK, "trailers": True})
        await send(body(b"one"))
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})

    async def script(wire: Wire, server: TestServer) -> None:
        wire.send(GET)
        _, fields, data = await wire.response()
        assert (data, fields["x-sum"]) == (b"one", "1")

    converse(app, script, lifespan=False)


@pytest.mark.parametrize(
    ("target", "host", "url"),
    [
        (b"/a%2Fb;c?d=%20", b"x.example", "http://x.example/a%2Fb;c?d=%20"),
        (b"http://x.example/a", b"x.example", "http://x.example/a"),
        (b"*", b"x.example", "http://x.example/"),
        (b"//evil/a", b"x.example", "http://x.example//evil/a"),
    ],
)
def test_targets(target: bytes, host: bytes, url: str) -> None:
    request = b"OPTIONS %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (target, host)
    status, fields, _ = exchange(echo, request)
    assert (status, fields["x-url"]) == (200, url)
    assert fields["x-target"] == (target.decode() if not target.startswith(b"http") else "/a")
    mock = MockTransport(echo)
    assert exchange(mock, request)[1]["x-target"] == fields["x-target"]


def test_the_scope_over_the_wire() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await send(OK)
        await send(body())

    exchange(
        app, b"GET http://x.example:81?q HTTP/1.1\r\nHost: x.example:81\r\nX-A: \xff\r\nConnection: close\r\n\r\n", lifespan=False
    )
    (scope,) = scopes
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/", b"/", b"q")
    assert scope["server"][0] == "127.0.0.1"  # where it listens, whatever the client calls it
    assert (b"x-a", b"\xff") in scope["headers"]
    assert scope["client"][0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("fields", "method", "minor", "size", "framed"),
    [
        (b"", b"GET", 1, 3, b"Content-Length: 3\r\n"),
        (b"", b"GET", 0, 3, b"Content-Length: 3\r\n"),
        (b"", b"GET", 1, None, b"Transfer-Encoding: chunked\r\n"),
        (b"", b"GET", 0, None, b""),
        (b"", b"HEAD", 1, 3, b"Content-Length: 3\r\n"),
        (b"Content-Length: 3\r\n", b"GET", 1, None, b"Content-Length: 3\r\n"),
        (b"content-length:  3 \r\nCONTENT-LENGTH: 3\r\n", b"GET", 1, 3, b"Content-Length: 3\r\n"),
        (b"Content-Length: 3, 3\r\n", b"GET", 1, 3, b"Content-Length: 3\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"GET", 1, 3, b"Transfer-Encoding: chunked\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"GET", 0, 3, b"Content-Length: 3\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"GET", 0, None, b""),
        (b"Content-Length: 0\r\n", b"CONNECT", 1, None, b""),
    ],
)
def test_how_a_response_is_framed(fields: bytes, method: bytes, minor: int, size: int | None, framed: bytes) -> None:
    for raw in (b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nX: y\r\n"):
        block, length = response_framing(parse_response_head(raw + fields + b"\r\n"), method, minor, size)
        assert block.removeprefix(b"X: y\r\n") == framed
        expected = {b"C": 3, b"T": CHUNKED, b"": UNTIL_CLOSE}[framed[:1]] if method != b"CONNECT" else TUNNEL
        assert length == expected


def test_the_answer_of_an_old_origin_is_handed_on() -> None:
    """HTTP/1.0, with a body that ends with the connection, and a coding that means nothing there."""

    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 Fine\r\nTransfer-Encoding: chunked\r\nX-Old: 1\r\n\r\none")
        await writer.drain()
        writer.write(b"two")
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        origin = await asyncio.start_server(old, "127.0.0.1", 0)
        async with origin, HTTPClient() as upstream:

            async def relay(request: Request) -> HttpResponse:
                return await upstream.get(f"http://127.0.0.1:{origin.sockets[0].getsockname()[1]}/")

            async with TestClient(relay) as client:
                response = await client.get("/")
                assert (response.http_version, response.reason, response.chunked) == ("1.1", "Fine", True)
                assert response.headers["x-old"] == "1"
                assert await response.content() == b"onetwo"

    run(main)


# -- Expect, and bodies that nobody reads -----------------------------------------------------------------------------------


def upload(size: int, *fields: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%b\r\n" % (size, b"".join(b"%b\r\n" % field for field in fields))


EXPECT = b"Expect: 100-continue"


def test_the_100_is_sent_when_the_body_is_wanted() -> None:
    async def main() -> None:
        go_on = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await go_on.wait()
            message = await receive()
            await send(OK)
            await send(body(message["body"]))

        async with TestServer(app, lifespan=False) as server:
            wire = await connect(server)
            wire.send(upload(5, EXPECT))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.03):
                    await wire.response()
            go_on.set()
            assert (await wire.response())[0] == 100
            wire.send(b"hello")
            assert (await wire.response())[2] == b"hello"
            wire.send(upload(5, EXPECT) + b"hello")  # not waited for, so not said
            assert (await wire.response())[0] == 200
            wire.writer.close()

    run(main)


def test_a_final_answer_in_place_of_the_100() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**OK, "status": 403})
        await send(body(b"no"))

    status, fields, data = exchange(app, upload(10_000_000, EXPECT), lifespan=False)
    assert (status, fields["connection"], data) == (403, "close", b"no")


def ignore(scope: Any, receive: Any, send: Any) -> Any:
    async def answer() -> None:
        if scope["type"] == "http":
            await send(OK)
            await send(body(b"fine"))

    return answer()


def test_a_short_body_that_nobody_reads_is_received_all_the_same() -> None:
    async def script(wire: Wire, server: TestServer) -> None:
        wire.send(upload(200_000))
        wire.send(b"x" * 100)
        status, fields, _ = await wire.response()
        assert (status, "connection" in fields) == (200, False)
        wire.send(b"x" * 199_900)
        wire.send(GET)
        assert (await wire.response())[0] == 200

    converse(ignore, script)


def test_a_long_body_that_nobody_reads_closes_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wirebird.testing.server.Settings", partial(Settings, linger_time=0.1))

    async def script(wire: Wire, server: TestServer) -> None:
        wire.send(upload(60 * 1024 * 1024))
        wire.send(b"x" * 100_000)
        status, fields, data = await wire.response()
        assert (status, fields["connection"], data) == (200, "close", b"fine")
        await wire.ended()

    converse(ignore, script)


def test_a_body_without_end_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wirebird.testing.server.Settings", partial(Settings, linger_time=0.1))

    async def script(wire: Wire, server: TestServer) -> None:
        wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert (await wire.response())[0] == 200
        with pytest.raises(ConnectionError):
            while True:
                wire.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                await wire.writer.drain()

    converse(ignore, script)


CHUNKED_POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"400\r\n%b\r\n" % (b"x" * 1024)


@pytest.mark.parametrize("app", [echo, asgi_echo])
@pytest.mark.parametrize("sent", [upload(1025, EXPECT), CHUNKED_POST + CHUNK + CHUNK])
def test_a_body_beyond_the_limit(app: Any, sent: bytes) -> None:
    status, fields, data = exchange(app, sent, max_body_size=1024, lifespan=False)
    assert (status, fields["connection"]) == (413, "close")
    assert b"more than 1024 bytes" in data


@pytest.mark.parametrize("answers_first", [False, True])
def test_a_body_that_grows_beyond_the_limit_while_it_is_read(answers_first: bool) -> None:
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if answers_first:
            await send(OK)
            await send(body(b"one", True))
        while (message := await receive())["type"] == "http.request":
            told.append(message["type"])
        told.append(message["type"])

    async def script(wire: Wire, server: TestServer) -> None:
        wire.send(CHUNKED_POST + CHUNK)
        while not told:
            await asyncio.sleep(0)
        wire.send(CHUNK)
        if answers_first:
            assert b"\r\n0\r\n" not in await wire.rest()  # not to be taken for whole
        else:
            assert (await wire.response())[0] == 413
            await wire.ended()

    converse(app, script, max_body_size=1024, lifespan=False)
    assert told == ["http.request", "http.disconnect"]


# -- what is not HTTP -------------------------------------------------------------------------------------------------------


BAD = {
    "B1 length and coding": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "B2 obfuscated coding": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501),
    "B3 coding in 1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "B4 two lengths": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", 400),
    "B5 odd length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", 400),
    "B6 bare LF": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "B7 bare CR": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
    "B8 NUL": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
    "B9 folding": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
    "B10 space before colon": (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    "B11 empty name": (b"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400),
    "B12 version": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "B14 no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "B14 bad host": (b"GET / HTTP/1.1\r\nHost: 1.2.3\r\n\r\n", 400),
    "B15 chunk size": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", 400),
    "TLS on a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01", 400),
    "long target": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n", 414),
    "long head": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000, 431),
    "many fields": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 200 + b"\r\n", 431),
    "expectation": (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", 417),
    "CONNECT": (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_request_is_answered_once_and_closes(name: str) -> None:
    sent, expected = BAD[name]
    asked: list[str] = []

    def handler(request: Request) -> HttpResponse:
        asked.append(str(request.url))
        return HttpResponse.make()

    # B21: what comes behind it in the same packet is not looked at.
    status, fields, data = exchange(handler, sent + b"\r\n\r\n" + GET)
    assert (status, fields["connection"]) == (expected, "close")
    assert data.startswith(b"%d " % expected)
    assert asked == []


@pytest.mark.parametrize("app", [echo, asgi_echo, MockTransport(echo)])
def test_a_good_request_before_a_bad_one_is_answered(app: Any) -> None:
    async def script(wire: Wire, server: TestServer) -> None:
        wire.send(GET + b"GET / HTTP/9\r\n\r\n")
        assert (await wire.response())[0] == 200
        assert (await wire.response())[0] == 400
        await wire.ended()

    converse(app, script, **({"lifespan": False} if app is asgi_echo else {}))


def test_an_upgrade_is_not_heeded() -> None:
    """B22"""
    sent = (
        b"POST / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings, close\r\nContent-Length: 2\r\n\r\nab"
    )
    status, answer, data = exchange(echo, sent)
    assert (status, data) == (200, b"ab")
    assert "upgrade" not in answer


def test_limits_of_its_own() -> None:
    sent = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 200
    assert exchange(echo, sent, limits=Limits(head_size=100))[0] == 431


def test_a_request_in_single_bytes() -> None:
    async def script(wire: Wire, server: TestServer) -> None:
        for byte in b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
            wire.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await wire.response())[2] == b"abc"

    converse(echo, script)


async def listener(scope: Any, receive: Any, send: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@pytest.mark.parametrize("app", [echo, listener])
@pytest.mark.parametrize("sent", [b"Content-Length: 10\r\n\r\nab", b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"])
def test_a_body_that_stalls(app: Any, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wirebird.testing.server.Settings", partial(Settings, body_timeout=0.03))

    async def script(wire: Wire, server: TestServer) -> None:
        wire.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + sent)
        assert (await wire.response())[0] == 408
        await wire.ended()

    converse(app, script, lifespan=False)


@pytest.mark.parametrize("begun", [False, True])
def test_a_client_that_says_nothing(begun: bool) -> None:
    async def script(wire: Wire, server: TestServer) -> None:
        if begun:
            wire.send(b"GET / HT")
            assert (await wire.response())[0] == 408
        await wire.ended()

    converse(echo, script, keepalive_timeout=0.05)


@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_a_client_that_leaves_at_any_time(how: str) -> None:
    sent = GET + b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\nX-Long-Field: %b\r\n\r\n" % (b"x" * 50) + b"x" * 20

    async def leave(server: TestServer, at: int) -> None:
        wire = await connect(server)
        wire.send(sent[:at])
        await wire.writer.drain()
        await asyncio.sleep(0)
        if how == "half":
            wire.writer.write_eof()
            await wire.rest()
        elif how == "reset":
            sock = wire.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.writer.transport.abort()
        wire.writer.close()

    async def main() -> None:
        for app in (echo, asgi_echo):
            async with TestServer(app, lifespan=False) as server:
                for at in (0, 1, 10, len(GET), len(GET) + 1, len(GET) + 80, len(GET) + 110, len(sent)):
                    await leave(server, at)
                async with HTTPClient() as client:
                    assert (await client.get(server.url())).status_code == 200
            assert server.errors == []

    run(main)


# -- what goes wrong in the application -------------------------------------------------------------------------------------


@pytest.mark.parametrize("asgi", [False, True])
def test_an_exception(asgi: bool, caplog: pytest.LogCaptureFixture) -> None:
    error = OddError("odd")

    def handler(request: Request) -> HttpResponse:
        raise error

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    servers: list[TestServer] = []

    async def main() -> None:
        tester = TestClient(TestServer(app if asgi else handler, lifespan=False))
        servers.append(tester.server)
        async with tester as client:
            response = await client.get("/")
            assert (response.status_code, response.headers["connection"]) == (500, "close")
            assert b"odd" not in await response.content()
            assert (await client.get("/")).status_code == 500

    run(main)
    assert servers[0].errors == [error, error]
    assert error.__traceback__ is not None
    assert "OddError: odd" in caplog.text


def test_a_handler_that_gives_no_response() -> None:
    server: list[TestServer] = []

    async def script(wire: Wire, one: TestServer) -> None:
        server.append(one)
        wire.send(GET)
        assert (await wire.response())[0] == 500

    converse(lambda request: None, script, quiet=False)
    assert "HttpResponse" in str(server[0].errors[0])


class Outcome(BaseException):
    """What `pytest.fail` and `pytest.skip` raise is no Exception."""


@pytest.mark.parametrize("asgi", [False, True])
@pytest.mark.parametrize("error", [Outcome, asyncio.CancelledError])
def test_what_is_no_exception_is_told_as_well(asgi: bool, error: type[BaseException]) -> None:
    def handler(request: Request) -> HttpResponse:
        raise error

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    async def main() -> None:
        tester = TestClient(TestServer(app if asgi else handler, lifespan=False))
        async with tester as client:
            assert (await client.get("/")).status_code == 500
        assert [type(one) for one in tester.server.errors] == [RuntimeError if error is asyncio.CancelledError else error]

    run(main)


async def breaks_off():
    yield b"one"
    raise OddError("odd")


@pytest.mark.parametrize("asgi", [False, True])
def test_an_exception_in_the_middle_of_the_response(asgi: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(OK)
        await send(body(b"one", True))
        raise OddError("odd")

    async def main() -> None:
        tester = TestClient(TestServer(app if asgi else lambda request: HttpResponse.make(body=breaks_off()), lifespan=False))
        async with tester as client:
            response = await client.get("/")
            with pytest.raises((wirebird.IncompleteBody, wirebird.ConnectionLost)):
                await response.content()
        assert [type(error) for error in tester.server.errors] == [OddError]

    run(main)


@pytest.mark.parametrize(
    "response",
    [
        lambda: HttpResponse.make(body=b"abc", headers={"Content-Length": "10"}),
        lambda: HttpResponse.make(body=b"abc", headers={"Content-Length": "2"}),
        lambda: HttpResponse.make(body=b"abc", headers={"Content-Length": "3", "Transfer-Encoding": "chunked"}),
        lambda: HttpResponse.make(body=[b"abc"], headers={"Content-Length": "10"}),
        lambda: HttpResponse.make(body=[b"abc"], headers={"Content-Length": "2"}),
    ],
)
def test_a_response_that_is_not_what_it_says(response: Any) -> None:
    async def main() -> None:
        tester = TestClient(lambda request: response())
        async with tester as client:
            answer = await client.get("/")
            if answer.status_code != 500:
                with pytest.raises((wirebird.IncompleteBody, wirebird.ConnectionLost)):
                    await answer.content()
        assert len(tester.server.errors) == 1

    run(main)


def test_a_background_task_that_raises() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(OK)
        await send(body(b"fine"))
        await asyncio.sleep(0)
        raise OddError("odd")

    async def main() -> None:
        tester = TestClient(TestServer(app, lifespan=False))
        async with tester as client:
            assert await (await client.get("/")).content() == b"fine"
        assert [type(error) for error in tester.server.errors] == [OddError]

    run(main)


def test_an_application_that_returns_without_a_response() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        pass

    async def main() -> None:
        tester = TestClient(TestServer(app, lifespan=False))
        async with tester as client:
            assert (await client.get("/")).status_code == 500
        assert [type(error) for error in tester.server.errors] == [ApplicationError]

    run(main)


def test_the_application_hears_that_its_client_has_left() -> None:
    async def main() -> None:
        told: list[str] = []
        over = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send(OK)
            await send(body(b"one", True))
            told.append((await receive())["type"])
            try:
                while True:
                    await send(body(b"x" * 65536, True))
            except OSError:
                told.append("left")
                raise
            finally:
                over.set()

        async with TestServer(app, lifespan=False) as server:
            wire = await connect(server)
            wire.send(GET)
            await wire.reader.readuntil(b"one")
            wire.writer.close()
            await over.wait()
        assert told == ["http.disconnect", "left"]
        assert server.errors == []

    run(main)


# -- beginning and end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", [False, True])
def test_an_application_that_looks_whether_there_is_something_to_receive(wire: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        got = []
        message = {"more_body": True}
        while message["more_body"]:
            try:
                async with asyncio.timeout(0):
                    message = await receive()
            except TimeoutError:
                await asyncio.sleep(0.001)
                looked.set()
            else:
                got.append(message["body"])
        await send(OK)
        await send(body(b"".join(got)))

    looked = asyncio.Event()

    async def pieces():
        for piece in (b"one", b"two", b"three"):
            looked.clear()
            await looked.wait()
            yield piece

    async def main() -> None:
        if wire:
            async with TestServer(app, lifespan=False) as server, HTTPClient() as client:
                response = await client.post(server.url(), data=pieces())
                assert await response.content() == b"onetwothree"
            assert server.errors == []
        else:
            async with HTTPClient(connector=ASGITransport(app, lifespan=False)) as client:
                response = await client.post("http://app.example/", data=pieces())
                assert await response.content() == b"onetwothree"
        assert len(asyncio.all_tasks()) == 1

    run(main)


def test_a_framework_that_tells_of_leaving_in_its_own_words() -> None:
    async def endless():
        while True:
            yield b"x" * 10000
            await asyncio.sleep(0)

    async def stream(request: Any) -> StreamingResponse:
        return StreamingResponse(endless())

    async def main() -> None:
        async with TestServer(Starlette(routes=[Route("/", stream)])) as server, HTTPClient() as client:
            response = await client.get(server.url())
            await response.read(1)
            await response.close()
        assert server.errors == []

    run(main)


def test_an_application_that_does_not_start() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async def main() -> None:
        with pytest.raises(ApplicationError, match="no database"):
            async with TestServer(app):
                pass

    run(main)


def test_a_port_that_is_taken_shuts_the_application_down() -> None:
    log: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        log.append("startup")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        log.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})

    async def main() -> None:
        async with TestServer(echo) as first:
            with pytest.raises(OSError, match="in use"):
                await TestServer(app, port=first.port).start()
        assert log == ["startup", "shutdown"]

    run(main)


def test_requests_under_way_are_answered_before_the_end() -> None:
    async def main() -> None:
        arrived, go_on = asyncio.Event(), asyncio.Event()

        async def handler(request: Request) -> HttpResponse:
            arrived.set()
            await go_on.wait()
            return HttpResponse.make(text="done")

        server = await TestServer(handler).start()
        async with HTTPClient() as client:
            call = asyncio.create_task(client.get(server.url()))
            await arrived.wait()
            closing = asyncio.create_task(server.close())
            await asyncio.sleep(0)
            go_on.set()
            response = await call
            assert (await response.text(), response.headers["connection"]) == ("done", "close")
            await closing
            with pytest.raises(wirebird.NetworkError):
                await client.get(server.url())

    run(main)


@pytest.mark.parametrize("asgi", [False, True])
def test_what_takes_too_long_at_the_end_is_cancelled(asgi: bool) -> None:
    async def main() -> None:
        arrived = asyncio.Event()
        told: list[str] = []

        async def wait() -> None:
            arrived.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                told.append("cancelled")
                raise

        async def handler(request: Request) -> HttpResponse:
            await wait()
            return HttpResponse.make()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await wait()

        server = await TestServer(app if asgi else handler, shutdown_timeout=0.02, lifespan=False).start()
        async with HTTPClient() as client:
            call = asyncio.create_task(client.get(server.url()))
            await arrived.wait()
            await server.close()
            with pytest.raises(wirebird.ConnectionLost):
                await call
        assert told == ["cancelled"]
        assert server.errors == []
        await server.close()

    run(main)


@pytest.mark.parametrize("tls", [False, True])
def test_idle_connections_do_not_hold_the_end_up(tls: bool) -> None:
    async def main() -> None:
        throwaway = ThrowawayTLS() if tls else None
        server = await TestServer(echo, ssl=throwaway).start()
        connector = TCPConnector(ssl=throwaway.client if throwaway else None)
        async with HTTPClient(connector) as client:
            assert (await client.get(server.url())).status_code == 200
            running = server._server
            await server.close()
            assert running is not None and not running.connections

    run(main)


def test_a_handshake_that_never_ends_does_not_hold_the_end_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wirebird.testing.server._GOODBYE", 0.1)

    async def main() -> None:
        async with TestServer(echo, ssl=ThrowawayTLS()) as server:
            wire = await connect(server)
            wire.send(b"\x16\x03")
            await asyncio.sleep(0.02)
        wire.writer.close()

    run(main)


def test_a_server_can_be_started_again() -> None:
    async def main() -> None:
        server = TestServer(echo)
        for _ in range(2):
            async with server, HTTPClient() as client:
                assert (await client.get(server.url())).status_code == 200
                with pytest.raises(wirebird.UsageError, match="running already"):
                    await server.start()
        assert len(server.requests) == 2

    run(main)


def test_mistakes() -> None:
    for app in (5, None, "x"):
        with pytest.raises(wirebird.UsageError) as caught:
            TestServer(app)  # type: ignore[arg-type]
        assert caught.value.argument == "app"
    with pytest.raises(wirebird.UsageError):
        TestServer(lambda a, b: None)  # type: ignore[arg-type, misc]
    with pytest.raises(wirebird.UsageError):
        TestServer(echo, ssl=True)  # type: ignore[arg-type]
    with pytest.raises(wirebird.UsageError):
        TestServer(echo).url("x")
    with pytest.raises(wirebird.UsageError) as caught:
        TestClient(echo, base_url="http://x")
    assert caught.value.argument == "base_url"

    async def main() -> None:
        with pytest.raises(wirebird.UsageError):
            async with TestClient(echo, max_redirects=-1):
                pass

    run(main)


def test_a_throwaway_certificate_is_for_its_names_alone() -> None:
    async def main() -> None:
        tls = ThrowawayTLS("a.example")
        async with TestServer(echo, ssl=tls) as server:
            connector = TCPConnector(ssl=tls.client, connect_to={"a.example:443": f"127.0.0.1:{server.port}"})
            async with HTTPClient(connector) as client:
                assert (await client.get("https://a.example/")).status_code == 200
                with pytest.raises(wirebird.TLSError):
                    await client.get(server.url())
        assert isinstance(tls.server, ssl.SSLContext)

    run(main)


def test_a_throwaway_certificate_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(wirebird.UsageError, match=r"wirebird\[testing\]"):
        ThrowawayTLS()


def test_no_class_of_tests() -> None:
    assert TestServer.__test__ is TestClient.__test__ is False
    gc.collect()


def test_an_application_of_web_is_served() -> None:
    seen: list[str] = []

    async def around(app: web.Application) -> AsyncIterator[None]:
        seen.append("start")
        yield
        seen.append("end")

    async def handler(asked: web.Request) -> web.Response:
        if asked.path == "/boom":
            raise OddError
        return web.Response(body=await asked.read())

    async def main() -> None:
        app = web.Application()
        app.cleanup_ctx.append(around)
        app.add_routes([web.post("/", handler), web.get("/boom", handler)])
        tester = TestClient(app)
        async with tester as client:
            assert seen == ["start"]
            assert await (await client.post("/", b"body")).text() == "body"
            assert (await client.get("/boom")).status_code == 500
        assert seen == ["start", "end"]
        assert [(one.method, one.url.path, one.body) for one in tester.server.requests] == [
            ("POST", "/", None),
            ("GET", "/boom", None),
        ]
        assert [type(error) for error in tester.server.errors] == [OddError]

    run(main)
