"""A `web.Application` as an ASGI application: under uvicorn, hypercorn and our own server, in a process, and by hand."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("hypercorn")

import wirebird
from asgi_servers import SERVERS, talk
from origin import run
from wirebird import web
from wirebird.errors import ConnectionLost, InvalidRequest, StatusError, UsageError, WebSocketClosed
from wirebird.testing import ASGITransport

EACH = pytest.mark.parametrize("name", SERVERS)


def make(log: list[Any]) -> web.Application:
    async def hello(request: web.Request) -> web.Response:
        return web.json_response(
            {
                "path": request.path,
                "query": dict(request.query),
                "url": str(request.url),
                "remote": request.remote,
                "host": request.host,
            }
        )

    async def echo(request: web.Request) -> web.Response:
        data = await request.read()
        return web.Response(body=data, headers={"X-Length": str(len(data)), "X-Exists": str(request.body_exists)})

    async def pieces(request: web.Request) -> web.Response:
        size = 0
        async for piece in request.content.iter_any():
            size += len(piece)
        return web.Response(text=str(size))

    async def unread(request: web.Request) -> web.Response:
        return web.Response(text="unread")

    async def form(request: web.Request) -> web.Response:
        fields = await request.post()
        return web.Response(text=f"{fields['a']} {fields['file'].filename} {fields['file'].size}")

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/csv"})
        await response.prepare(request)
        for number in range(3):
            await response.write(b"%d," % number)
        return response

    async def sized(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 4
        await response.prepare(request)
        await response.write(b"ab")
        await response.write(b"cd")
        return response

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 1000)
                await asyncio.sleep(0.001)
        except ConnectionLost:
            log.append("left")
            raise

    async def cookies(request: web.Request) -> web.Response:
        response = web.Response(text=repr(sorted(request.cookies.items())))
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    async def empty(request: web.Request) -> web.Response:
        return web.Response(status=204)

    async def raises(request: web.Request) -> web.Response:
        raise RuntimeError("odd")

    async def refuses(request: web.Request) -> web.Response:
        raise web.HTTPConflict(text="no")

    async def wrong(request: web.Request) -> web.Response:
        raise InvalidRequest("not so", status=422)

    async def breaks(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"abc")
        raise RuntimeError("odd")

    async def file(request: web.Request) -> web.FileResponse:
        return web.FileResponse(__file__)

    async def events(request: web.Request) -> web.StreamResponse:
        response = web.EventStreamResponse()
        await response.prepare(request)
        await response.send("one")
        await response.send("two", event="named")
        return response

    async def talks(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(protocols=["b"], max_size=1000, headers={"X-A": "1"})
        await ws.prepare(request)
        try:
            async for message in ws:
                if message.data == "close":
                    await ws.close(4001, "why")
                elif message.data == "raise":
                    raise RuntimeError("odd")
                elif message.data == "return":
                    break
                elif message.data == "fragments":
                    await ws.send_fragments(["frag", "men", "ts"])
                elif isinstance(message.data, str):
                    await ws.send_str(message.data)
                else:
                    await ws.send_bytes(message.data)
        finally:
            log.append(("talked", ws.close_code))
        return ws

    async def start(app: web.Application) -> AsyncIterator[None]:
        log.append("start")
        yield
        log.append("end")

    app = web.Application()
    app.cleanup_ctx.append(start)
    app.add_routes(
        [
            *(web.get("/", hello), web.get("/a b/{rest:.*}", hello), web.get("/stream", stream), web.get("/sized", sized)),
            *(web.post("/echo", echo), web.post("/pieces", pieces), web.post("/unread", unread), web.post("/form", form)),
            *(web.get("/endless", endless), web.get("/cookies", cookies), web.get("/empty", empty), web.get("/raises", raises)),
            *(web.get("/refuses", refuses), web.get("/wrong", wrong), web.get("/breaks", breaks), web.get("/file", file)),
            *(web.get("/events", events), web.get("/talks", talks)),
        ]
    )
    return app


def serve(name: str, app: web.Application, **options: Any) -> Any:
    if name == "wirebird":
        options.setdefault("errors", [])
    return SERVERS[name](app, **options)


async def until(found: Any) -> None:
    async with asyncio.timeout(5):
        while not found():
            await asyncio.sleep(0.001)


# -- under servers ----------------------------------------------------------------------------------------------------------


@EACH
def test_exchanges(name: str) -> None:
    log: list[Any] = []

    async def gives() -> AsyncIterator[bytes]:
        yield b"a" * 100_000
        yield b"b"

    async def main() -> None:
        async with serve(name, make(log)) as port, wirebird.HTTPClient(base_url=f"http://127.0.0.1:{port}") as client:
            response = await client.get("/a%20b/c%2Fd?x=1&y=%C3%BC", headers={"Host": "example.org:81"})
            assert await response.json() == {
                "path": "/a b/c%2Fd",
                "query": {"x": "1", "y": "ü"},
                "url": "http://example.org:81/a%20b/c%2Fd?x=1&y=%C3%BC",
                "remote": "127.0.0.1",
                "host": "example.org:81",
            }
            assert log == ["start"]
            response = await client.head("/")
            assert int(response.headers["content-length"]) > 50
            assert await response.content() == b""
            response = await client.post("/echo", data=b"z" * 300_000)
            assert (response.headers["x-length"], response.headers["x-exists"]) == ("300000", "True")
            response = await client.post("/echo", data=gives())
            assert await response.content() == b"a" * 100_000 + b"b"
            response = await client.post("/echo")
            assert (response.headers["x-length"], response.headers["x-exists"]) == ("0", "False")
            async with wirebird.HTTPClient() as another:  # what becomes of the connection is the server's affair
                response = await another.post(f"http://127.0.0.1:{port}/echo", data=bytes(2_000_000))
                assert response.status_code == 413
            response = await client.post("/pieces", data=bytes(3_000_000))
            assert await response.text() == "3000000"
            response = await client.post("/unread", data=b"abc")
            assert await response.text() == "unread"
            upload = wirebird.MultipartForm()
            upload.add_field("a", "1")
            upload.add_field("file", b"abc", filename="a.txt")
            assert await (await client.post("/form", data=upload)).text() == "1 a.txt 3"
            response = await client.get("/stream")
            assert await response.content() == b"0,1,2,"
            assert response.headers["content-type"] == "text/csv"
            response = await client.get("/sized")
            assert (await response.content(), response.headers["content-length"]) == (b"abcd", "4")
            response = await client.get("/cookies", headers={"Cookie": "x=1; y=2"})
            assert await response.text() == "[('x', '1'), ('y', '2')]"
            assert len(response.headers.get_list("set-cookie")) == 2
            response = await client.get("/file")
            assert await response.content() == Path(__file__).read_bytes()
            response = await client.get("/file", headers={"Range": "bytes=3-9"})
            assert (response.status_code, await response.content()) == (206, Path(__file__).read_bytes()[3:10])
            response = await client.get("/events")
            assert b"data: one" in await response.content()
            for path, status in (("/empty", 204), ("/refuses", 409), ("/wrong", 422), ("/none", 404), ("/raises", 500)):
                assert (await client.get(path)).status_code == status
            response = await client.delete("/")
            assert (response.status_code, response.headers["allow"]) == (405, "GET,HEAD")
            with pytest.raises(wirebird.errors.WirebirdError):
                await (await client.get("/breaks")).content()
        assert log == ["start", "end"]

    run(main)


@EACH
def test_a_client_that_leaves_a_stream(name: str) -> None:
    log: list[Any] = []

    async def main() -> None:
        async with serve(name, make(log)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /endless HTTP/1.1\r\nHost: h\r\n\r\n")
            await reader.readuntil(b"xxx")
            writer.close()
            await until(lambda: "left" in log)

    run(main)


@EACH
def test_a_client_that_leaves_its_body(name: str) -> None:
    told: list[Any] = []

    async def reads(request: web.Request) -> web.Response:
        try:
            return web.Response(body=await request.read())
        except BaseException as error:
            told.append(type(error).__name__)
            raise

    async def main() -> None:
        app = web.Application()
        app.add_routes([web.post("/", reads)])
        async with serve(name, app) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            writer.write(b"abc")
            await writer.drain()
            writer.close()
            await until(lambda: told)

    run(main)
    assert told[0] in ("ConnectionLost", "IncompleteBody", "CancelledError")  # one of them cancels


@EACH
def test_websockets(name: str) -> None:
    log: list[Any] = []

    async def main() -> None:
        async with serve(name, make(log)) as port, wirebird.HTTPClient(base_url=f"http://127.0.0.1:{port}") as client:
            url = f"ws://127.0.0.1:{port}/talks"
            async with client.websocket(url, protocols=["a", "b"]) as ws:
                assert ws.subprotocol == "b"
                assert ws.response.headers["x-a"] == "1"
                for data in ("grüße", b"\x00\xff", "", b"", "x" * 1000):
                    await ws.send(data)
                    assert (await ws.receive()).data == data
                await ws.send("fragments")
                assert await ws.receive_text() == "fragments"
            await until(lambda: len(log) == 2)
            assert log[1] == ("talked", 1006 if name == "hypercorn" else 1000)  # which does not say how the client has closed
            for said, end in (("close", (4001, "why")), ("return", (1000, "")), ("raise", (1011, ""))):
                del log[1:]
                async with client.websocket(url) as ws:
                    await ws.send(said)
                    with pytest.raises(WebSocketClosed):
                        await ws.receive()
                    assert (ws.close_code, ws.close_reason) == end
                await until(lambda: len(log) == 2)
            del log[1:]
            async with client.websocket(url) as ws:
                await ws.send("x" * 1001)
                with pytest.raises(WebSocketClosed):
                    await ws.receive()
                assert ws.close_code == 1009
            await until(lambda: len(log) == 2)
            assert log[1] == ("talked", 1009)
            for path, status in (("/talks", 403), ("/none", 404)):
                with pytest.raises(StatusError) as caught:
                    await client.websocket(f"ws://127.0.0.1:{port}{path}", origin="https://evil.example")
                assert caught.value.response.status_code == status
            assert (await client.get("/talks")).status_code == 426

    run(main)


def test_several_requests_on_one_connection() -> None:
    async def main() -> None:
        async with serve("uvicorn", make([])) as port:
            sent = await talk(
                port,
                b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
                b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\nGET /refuses HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
            )
            assert sent.count(b"HTTP/1.1 200 OK") == 2
            assert sent.endswith(b"\r\n\r\nno")

    run(main)


def _speaks_http_2() -> bool:
    curl = shutil.which("curl")
    return curl is not None and b"HTTP2" in subprocess.run([curl, "--version"], capture_output=True, check=False).stdout


@pytest.mark.skipif(not _speaks_http_2(), reason="no curl that speaks HTTP/2")
def test_over_http_2() -> None:
    async def curl(url: str, *options: str, data: bytes = b"") -> tuple[str, bytes]:
        command = ["curl", "-s", "-i", "--http2-prior-knowledge", *options, url]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        answer, _ = await process.communicate(data)
        head, _, body = answer.partition(b"\r\n\r\n")
        return head.decode(), body

    async def main() -> None:
        async with serve("hypercorn", make([])) as port:
            url = f"http://127.0.0.1:{port}"
            head, body = await curl(f"{url}/?a=1")
            assert head.startswith("HTTP/2 200")
            assert json.loads(body)["url"] == f"{url}/?a=1"
            head, body = await curl(f"{url}/echo", "-T", "-", "-X", "POST", data=b"hello")  # with no length
            assert body == b"hello"
            assert (await curl(f"{url}/stream"))[1] == b"0,1,2,"
            assert (await curl(f"{url}/cookies", "-H", "Cookie: x=1", "-H", "Cookie: y=2"))[1] == b"[('x', '1'), ('y', '2')]"
            assert (await curl(f"{url}/refuses"))[0].startswith("HTTP/2 409")

    run(main)


# -- in a process -----------------------------------------------------------------------------------------------------------


def test_behind_the_transport_of_httpx() -> None:
    httpx = pytest.importorskip("httpx")
    log: list[Any] = []

    async def main() -> None:
        transport = httpx.ASGITransport(make(log))
        async with httpx.AsyncClient(transport=transport, base_url="http://app.example") as client:
            response = await client.get("/", params={"a": "b"})
            assert response.json()["url"] == "http://app.example/?a=b"
            assert (await client.post("/echo", content=b"abc")).content == b"abc"
            assert (await client.get("/stream")).content == b"0,1,2,"
            assert (await client.get("/none")).status_code == 404
            with pytest.raises(RuntimeError, match="odd"):
                await client.get("/raises")

    run(main)
    assert log == []  # it knows no lifespan


def test_behind_the_transport_of_our_own() -> None:
    log: list[Any] = []

    async def main() -> None:
        async with wirebird.HTTPClient(connector=ASGITransport(make(log)), base_url="http://app.example") as client:
            assert (await (await client.get("/")).json())["path"] == "/"
            assert log == ["start"]
            with pytest.raises(RuntimeError, match="odd"):
                await client.get("/raises")
        assert log == ["start", "end"]

    run(main)


def test_mounted_in_starlette() -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    async def main() -> None:
        outer = Starlette(routes=[Mount("/in ner", app=make([]))])
        async with wirebird.HTTPClient(connector=ASGITransport(outer), base_url="http://app.example") as client:
            for path, status, seen in (
                ("/in%20ner/", 200, "/"),
                ("/in%20ner/a%20b/x", 200, "/a b/x"),
                ("/in%20ner/none", 404, ""),
            ):
                response = await client.get(path)
                assert response.status_code == status
                if seen:
                    assert (await response.json())["path"] == seen

    run(main)


# -- by hand ----------------------------------------------------------------------------------------------------------------


def scope(path: str = "/", *headers: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"h"), *headers],
        "client": ("192.0.2.1", 7),
        "server": ("127.0.0.1", 80),
        **more,
    }


def call(app: Any, given: dict[str, Any], *received: dict[str, Any]) -> list[dict[str, Any]]:
    """What it sends.  Behind what it is to receive there is nothing more."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def main() -> None:
        await app(given, receive, send)
        assert len(asyncio.all_tasks()) == 1

    waiting = list(received)
    run(main)
    return sent


def handler(answer: Any) -> web.Application:
    app = web.Application()
    app.add_routes([web.route("*", "/{rest:.*}", answer)])
    return app


async def about(request: web.Request) -> web.Response:
    return web.json_response(
        {
            "target": request.raw_path,
            "url": str(request.url),
            "remote": request.remote,
            "version": request.version,
            "cookies": dict(request.cookies),
            "body": (await request.read()).decode(),
            "exists": request.body_exists,
            "transport": request.transport is None,
        }
    )


def seen(given: dict[str, Any], *received: dict[str, Any]) -> dict[str, Any]:
    first, body = call(handler(about), given, *received)
    assert first["status"] == 200
    return json.loads(body["body"])  # type: ignore[no-any-return]


def test_a_small_response_is_two_messages() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text="x", headers={"X-A": "1"})

    assert call(handler(answer), scope()) == [
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"x-a", b"1"), (b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"1")],
        },
        {"type": "http.response.body", "body": b"x", "more_body": False},
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            scope("/a"),
            {"target": "/a", "url": "http://h/a", "remote": "192.0.2.1", "version": "1.1", "body": "", "exists": False},
        ),
        (scope("/ü b", raw_path=None, query_string=b"a=%20"), {"target": "/%C3%BC%20b?a=%20"}),
        (scope("/a", raw_path=b"/a?x=1", query_string=b"x=1"), {"target": "/a?x=1"}),
        (scope("/a", scheme="https"), {"url": "https://h/a"}),
        (scope("/a", client=None), {"remote": None}),
        (scope("/a", client=("::1", 7)), {"remote": "::1"}),
        (scope("/a", headers=[]), {"url": "http://127.0.0.1/a"}),
        (scope("/a", headers=[], server=("::1", 81)), {"url": "http://[::1]:81/a"}),
        (scope("/a", headers=[], server=("/tmp/socket", None)), {"url": "http://localhost/a"}),
        (scope("/a", headers=[], server=None), {"url": "http://localhost/a"}),
        (scope("/api/a", root_path="/api"), {"target": "/a"}),
        (scope("/api", root_path="/api"), {"target": "/"}),
        (scope("/apis", root_path="/api"), {"target": "/apis"}),
        (scope("/ü/a", raw_path=b"/%C3%BC/a", root_path="/ü"), {"target": "/a"}),
        (scope("/a/b", raw_path=b"/%61/b", root_path="/a"), {"target": "/b"}),
        (scope("/a", http_version="1.0"), {"version": "1.0"}),
        (scope("/a", (b"cookie", b"a=1"), (b"cookie", b"b=2"), http_version="2"), {"cookies": {"a": "1", "b": "2"}}),
        (scope("/a", (b"connection", b"Upgrade"), (b"upgrade", b"h2c")), {"transport": True}),
        (scope("/a", extensions=None), {"transport": True}),
    ],
)
def test_scopes(given: dict[str, Any], expected: dict[str, Any]) -> None:
    found = seen(given, {"type": "http.request"}) if given["http_version"] == "2" else seen(given)
    assert found.items() >= expected.items()


def test_a_body_over_http_2_may_have_no_length() -> None:
    pieces = [{"type": "http.request", "body": b"ab", "more_body": True}, {"type": "http.request", "body": b"c"}]
    assert seen(scope("/a", http_version="2", method="POST"), *pieces)["body"] == "abc"


@pytest.mark.parametrize(
    "given",
    [
        scope("/a", (b"x", b"a\r\nb: c")),
        scope("/a", (b"x y", b"a")),
        scope("/a", (b"x", b"a\x00")),
        scope("/a", (b"content-length", b"1"), (b"transfer-encoding", b"chunked")),
        scope("/a", (b"content-length", b"x")),
        scope("/a", (b"host", b"other")),
        scope("/a", raw_path=b"/a b"),
        scope("/a", method="GE T"),
        scope("/a", method="GET / HTTP/1.1\r\nX:"),
        scope("/a", raw_path=b"/ HTTP/1.1\r\nX: y"),
        scope("/a", query_string=b"x HTTP/1.1\r\nX: y"),
    ],
)
def test_what_is_no_request(given: dict[str, Any]) -> None:
    first, body = call(handler(about), given)
    assert first["status"] == 400
    assert body["body"].startswith(b"400 ")


def test_scopes_of_other_kinds() -> None:
    with pytest.raises(UsageError):
        call(handler(about), scope(type="mqtt"))


def test_a_websocket_whose_client_has_left() -> None:
    assert call(make([]), scope("/talks", type="websocket"), {"type": "websocket.disconnect", "code": 1006}) == []


def test_a_server_that_can_only_refuse_a_websocket() -> None:
    """One without `websocket.http.response`: whatever the answer is, it is 403."""
    for path in ("/none", "/stream", "/refuses"):
        sent = call(make([]), scope(path, type="websocket", scheme="ws"), {"type": "websocket.connect"})
        assert [message["type"] for message in sent] == ["websocket.close"]


def test_a_websocket_without_the_fields_of_a_handshake() -> None:
    """As over HTTP/2 (RFC 8441)."""
    given = scope("/talks", type="websocket", scheme="wss", http_version="2", subprotocols=["a", "b"])
    end = {"type": "websocket.disconnect", "code": 1001}
    sent = call(
        make(log := []), given, {"type": "websocket.connect"}, {"type": "websocket.receive", "bytes": b"x", "text": None}, end
    )
    assert sent[0] == {"type": "websocket.accept", "subprotocol": "b", "headers": [(b"X-A", b"1")]}
    assert log == [("talked", 1001)]


def test_pings_are_the_affair_of_the_server() -> None:
    raised: list[Exception] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        for action in (ws.ping, ws.pong, ws.websocket.ping):
            try:
                await action()
            except UsageError as error:
                raised.append(error)
        for data in ("\ud800", 3):
            try:
                await ws.websocket.send(data)  # type: ignore[arg-type]
            except UsageError as error:
                raised.append(error)
        return ws

    sent = call(handler(answer), scope("/", type="websocket"), {"type": "websocket.connect"})
    assert len(raised) == 5
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]


def test_a_reader_that_is_behind() -> None:
    """Of a body, and of messages: no more is asked for than it may be behind."""
    given: list[int] = []

    async def slow(request: web.Request) -> web.StreamResponse:
        if request.headers.get("upgrade"):
            ws = web.WebSocketResponse(max_queue=1000)
            await ws.prepare(request)
            await asyncio.sleep(0.01)
            given.append(-1)
            assert len([message async for message in ws]) == 50
            return ws
        content = request.content
        assert await content.readany()
        await asyncio.sleep(0.01)
        given.append(-1)
        assert len(await content.read()) > 40 * 10_000
        return web.Response()

    async def main() -> None:
        async def receive() -> dict[str, Any]:
            given.append(1)
            count = given.count(1)
            if kind == "http":
                return {"type": "http.request", "body": bytes(10_000), "more_body": count < 50}
            if count == 1:
                return {"type": "websocket.connect"}
            if count > 51:
                return {"type": "websocket.disconnect", "code": 1000}
            return {"type": "websocket.receive", "bytes": bytes(500)}

        async def send(message: dict[str, Any]) -> None:
            pass

        for kind, most in (("http", 12), ("websocket", 8)):
            given.clear()
            fields = [(b"transfer-encoding", b"chunked")] if kind == "http" else []
            await handler(slow)(scope("/", *fields, type=kind, method="POST"), receive, send)
            assert given.index(-1) < most
            assert given.count(1) >= 50

    run(main)


def test_a_send_that_fails() -> None:
    told: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        try:
            await response.prepare(request)
            await response.write(b"x")
        except ConnectionLost:
            told.append("left")
            raise
        return response

    async def main() -> None:
        async def receive() -> dict[str, Any]:
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            raise OSError("gone")

        await handler(answer)(scope(), receive, send)

    run(main)
    assert told == ["left"]


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_receive_that_fails(kind: str) -> None:
    told: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            if kind == "http":
                await request.read()
            ws = web.WebSocketResponse()
            await ws.prepare(request)
            await ws.receive()
        except ConnectionLost:
            told.append("lost")
            raise
        return ws

    async def main() -> None:
        async def receive() -> dict[str, Any]:
            if kind == "websocket" and not sent:
                sent.append({})
                return {"type": "websocket.connect"}
            raise RuntimeError("odd")

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        sent: list[dict[str, Any]] = []
        fields = [(b"content-length", b"3")] if kind == "http" else []
        async with asyncio.timeout(5):
            await asyncio.wait([asyncio.ensure_future(handler(answer)(scope("/", *fields, type=kind), receive, send))])

    run(main)
    assert told == ["lost"]


def test_trailers() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Trailer": "X-Sum"})
        await response.prepare(request)
        await response.write(b"x")
        await request.exchange.finish(b"X-Sum: 1\r\n")
        response.eof_sent = True
        return response

    sent = call(handler(answer), scope(extensions={"http.response.trailers": {}}))
    assert sent[0]["trailers"] is True
    assert sent[-1] == {"type": "http.response.trailers", "headers": [(b"X-Sum", b"1")], "more_trailers": False}
    assert [message["type"] for message in call(handler(answer), scope())][-1] == "http.response.body"


def test_a_handler_that_is_cancelled() -> None:
    """By its server: it is cancelled.  By itself: it is an error like any other."""
    told: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            told.append("cancelled")
            raise
        return web.Response()

    async def main() -> None:
        async def receive() -> dict[str, Any]:
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            raise AssertionError

        task = asyncio.ensure_future(handler(answer)(scope(), receive, send))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run(main)
    assert told == ["cancelled"]


def test_the_lifespan() -> None:
    log: list[Any] = []
    sent = call(make(log), {"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert log == ["start", "end"]


@pytest.mark.parametrize("when", ["startup", "cleanup"])
def test_a_lifespan_that_fails(when: str) -> None:
    async def fails(app: web.Application) -> None:
        raise RuntimeError("odd")

    app = web.Application()
    getattr(app, f"on_{when}").append(fails)
    sent: list[dict[str, Any]] = []

    async def main() -> None:
        async def receive() -> dict[str, Any]:
            return waiting.pop(0)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        waiting = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        with pytest.raises(RuntimeError, match="odd"):
            await app({"type": "lifespan"}, receive, send)

    run(main)
    failed = "startup" if when == "startup" else "shutdown"
    assert sent[-1] == {"type": f"lifespan.{failed}.failed", "message": "RuntimeError: odd"}
