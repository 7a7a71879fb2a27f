"""`wirebird dev` without a browser: what is added to pages, who sees what is inside, and processes that are started anew."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Mount
from starlette.routing import Route as StarletteRoute

import wirebird
from programs import Program, python
from raw_peer import run
from wirebird import web
from wirebird.cli.dev.app import DevApp
from wirebird.cli.dev.command import is_open, read_folders
from wirebird.cli.dev.failures import failures_of
from wirebird.cli.dev.guard import Guard
from wirebird.cli.dev.live import sort_changes
from wirebird.cli.dev.route_table import list_routes
from wirebird.cli.dev.supervisor import Child, Supervisor, missing_watcher
from wirebird.compat.aiohttp import web as aiohttp_web
from wirebird.protocol.http1_heads import parse_request_head
from wirebird.server.asgi import AsgiApp
from wirebird.server.server import Server

HTML = {"Accept": "text/html"}


def serving(app: Any, use: Callable[[wirebird.HTTPClient, str, DevApp], Awaitable[None]], **options: Any) -> None:
    """Serve `app` as the development server does."""

    async def main() -> None:
        served = app if isinstance(app, web.Application) else AsgiApp(app)
        dev = DevApp(served, app, **options)
        server = Server(dev)
        address = (await server.listen())[0]
        try:
            async with wirebird.HTTPClient() as client:
                await use(client, f"http://127.0.0.1:{address[1]}", dev)
        finally:
            await server.close(0)

    run(main)


def page_of(body: bytes, **fields: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(request: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": "text/html", **{name.replace("_", "-"): value for name, value in fields.items()}}
        return web.Response(body=body, headers=headers)

    return handler


async def streamed(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/html; charset=utf-8"})
    if "length" in request.query:
        response.content_length = 6
    await response.prepare(request)
    await response.write(b"abc")
    await response.write(b"def")
    return response


async def fails(request: web.Request) -> web.StreamResponse:
    name, password = "<script>alert(1)</script>", "geheim"
    raise ValueError(f"{name} has {len(password)} letters <b>")


async def refuses(request: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound


async def deliberate(request: web.Request) -> web.StreamResponse:
    return web.Response(status=500, text="as it is meant")


def shop(folder: Path | None = None) -> web.Application:
    app = web.Application()
    app.add_routes(
        [
            web.get("/", page_of(b"<p>Hello")),
            web.get("/gzip", page_of(gzip.compress(b"<p>"), Content_Encoding="gzip")),
            web.get("/attached", page_of(b"<p>", Content_Disposition="attachment")),
            web.get("/streamed", streamed),
            web.get("/fails/{what}", fails, name="fails"),
            web.get("/refuses", refuses),
            web.get("/deliberate", deliberate),
            *([web.static("/files", folder)] if folder is not None else ()),
        ]
    )
    return app


SCRIPT = re.compile(rb'<script src="/__wirebird__/live\.js\?of=[0-9a-f]{16}"></script>$')


# -- what is added -----------------------------------------------------------------------------------------------------


def test_pages_get_the_script_and_nothing_else_does(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(b"<p>" * 50_000)
    (tmp_path / "data.bin").write_bytes(b"<p>")

    async def use(client: wirebird.HTTPClient, base: str, dev: DevApp) -> None:
        async def body(path: str, **fields: str) -> bytes:
            response = await client.get(base + path, headers={name.replace("_", "-"): value for name, value in fields.items()})
            found = await response.content()
            length = response.headers.get("content-length")
            assert length is None or response.headers.get("content-encoding") or int(length) == len(found)
            return found

        for path, text in (("/", b"<p>Hello"), ("/streamed", b"abcdef"), ("/streamed?length=1", b"abcdef")):
            found = await body(path)
            assert found.startswith(text)
            assert SCRIPT.search(found), path
        assert SCRIPT.search(await body("/files/page.html"))
        assert len(await body("/files/page.html")) > 150_000
        for path in ("/gzip", "/attached", "/files/data.bin", "/refuses"):
            assert b"<script" not in await body(path), path
        # What a script asked for is put into a page that has it.
        assert await body("/", Sec_Fetch_Dest="empty") == b"<p>Hello"
        assert await body("/files/page.html", Range="bytes=0-2") == b"<p>"
        head = await client.head(base + "/")
        assert head.status_code == 200
        # The record of it knows.
        record = dev.records.find(1)
        assert record is not None
        assert (record.target, record.status, record.injected) == ("/", 200, True)
        assert record.head_at is not None
        assert record.end_at is not None

    serving(shop(tmp_path), use)


def test_a_compressed_page_gets_it_because_it_is_not_compressed() -> None:
    async def use(client: wirebird.HTTPClient, base: str, dev: DevApp) -> None:
        response = await client.get(base + "/", headers={"Accept-Encoding": "gzip"})
        assert "content-encoding" not in response.headers
        assert SCRIPT.search(await response.content())
        response = await client.get(base + "/", headers={"Accept-Encoding": "gzip", "Sec-Fetch-Dest": "empty"})
        assert response.headers["content-encoding"] == "gzip"

    app = web.Application(middlewares=[web.compress_middleware(min_size=1)])
    app.add_routes([web.get("/", page_of(b"<p>" * 1000))])
    serving(app, use)


def test_a_page_that_a_browser_knows_is_sent_again() -> None:
    """Else it keeps the script that names a process before, with which it loads itself anew for ever."""

    async def page(request: web.Request) -> web.StreamResponse:
        if request.headers.get("If-None-Match") == '"a"' or "If-Modified-Since" in request.headers:
            raise web.HTTPNotModified(headers={"ETag": '"a"'})
        return web.Response(text="<p>", content_type="text/html", headers={"ETag": '"a"'})

    async def use(client: wirebird.HTTPClient, base: str, dev: DevApp) -> None:
        for known in ({"If-None-Match": '"a"'}, {"If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}):
            shown = await client.get(base + "/", headers={**HTML, **known, "Sec-Fetch-Dest": "document"})
            assert SCRIPT.search(await shown.content())
            for asks in ({"Sec-Fetch-Dest": "style"}, {}):  # what has no script may be known, and curl can see what is answered
                assert (await client.get(base + "/", headers={**asks, **known})).status_code == 304

    app = web.Application()
    app.add_routes([web.get("/", page)])
    serving(app, use)


def test_what_a_page_loads_is_asked_for_again_unless_the_application_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("1")

    async def moved(request: web.Request) -> web.StreamResponse:
        raise web.HTTPMovedPermanently("/")

    async def use(client: wirebird.HTTPClient, base: str, dev: DevApp) -> None:
        async def said(path: str, **fields: str) -> str | None:
            response = await client.get(base + path, headers={**fields}, follow=False)
            return response.headers.get("cache-control")

        for path in ("/", "/streamed", "/files/a.js", "/moved", "/refuses"):
            assert await said(path) == "no-cache", path
        assert await said("/cached") == "max-age=60"
        assert await said("/files/a.js", Via="1.1 proxy") is None  # others get what they would
        record = dev.records.find(1)
        assert record is not None
        assert "Cache-Control" not in dict(record.answer)

    app = shop(tmp_path)
    app.add_routes([web.get("/moved", moved), web.get("/cached", page_of(b"<p>", Cache_Control="max-age=60"))])
    serving(app, use)


def test_a_page_in_words_of_two_bytes_gets_no_script() -> None:
    async def use(client: wirebird.HTTPClient, base: str, dev: DevApp) -> None:
        for path, text in (("/wide", "<p>wide".encode("utf-16")), ("/latin", b"<p>\xe9")):
            found = await (await client.get(base + path)).content()
            assert found.startswith(text)
            assert bool(SCRIPT.search(found)) is (path == "/latin")

    app = web.Application()
    for name, body, charset in (("wide", "<p>wide".encode("utf-16"), "UTF-16"), ("latin", b"<p>\xe9", "iso-8859-1")):
        app.add_routes([web.get(f"/{name}", page_of(body, Content_Type=f"text/html; charset={charset}"))])
    serving(app, use)


def test_folders_are_served_besides(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("p { color: red }")
    (tmp_path / "page.html").write_text("<p>")

    async def use(client: wirebird.HTTPClient, base: str, dev: DevApp) -> None:
        assert await (await client.get(base + "/static/a.css")).text() == "p { color: red }"
        assert SCRIPT.search(await (await client.get(base + "/static/page.html")).content())
        assert (await client.get(base + "/static/none")).status_code == 404
        assert (await client.get(base + "/staticity")).status_code == 404
        assert await (await client.get(base + "/", headers={"Sec-Fetch-Dest": "empty"})).content() == b"<p>Hello"

    serving(shop(), use, folders={"/static": tmp_path})


@pytest.mark.parametrize("text", ["static=.", "/=.", "/static", "/static=nowhere", "/a b=.", "/../x=."])
def test_folders_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--static"):
        read_folders([text])


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_watcher() is None
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    assert "pip install 'wirebird[reload]'" in (missing_watcher() or "")


@pytest.mark.parametrize(("host", "open"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_whether_others_can_reach_it_is_known(host: str, open: bool) -> None:
    with socket.create_server((host, 0)) as sock:
        assert is_open(sock) is open


def test_fastapi_with_a_websocket_and_a_stream() -> None:
    app = FastAPI()

    @app.get("/fails")
    async def fails() -> None:
        raise LookupError("in FastAPI")

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text() + "!")
        await websocket.close()

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def pieces() -> AsyncIterator[str]:
            yield "<p>a"
            yield "b"

        return StreamingResponse(pieces(), media_type="text/html")

    async def use(client: wirebird.HTTPClient, base: str, dev: DevApp) -> None:
        async with client.websocket(base.replace("http", "ws") + "/ws") as socket:
            await socket.send("hello")
            assert await socket.receive_text() == "hello!"
        text = await (await client.get(base + "/stream")).content()
        assert text.startswith(b"<p>ab<script")
        assert "in FastAPI" in await (await client.get(base + "/fails")).text()
        assert ("WebSocket", "/ws") in [(row.methods, row.path) for row in list_routes(app)]

    serving(app, use)


# -- failures ----------------------------------------------------------------------------------------------------------


def test_what_an_application_raises_is_a_page() -> None:
    async def use(client: wirebird.HTTPClient, base: str, dev: DevApp) -> None:
        response = await client.get(base + "/fails/<i>?token=abc", headers=HTML)
        text = await response.text()
        assert response.status_code == 500
        assert response.headers["content-security-policy"].startswith("default-src 'none'")
        assert "ValueError" in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt; has 6 letters &lt;b&gt;" in text
        assert "<script>alert" not in text
        assert "<i>" not in text
        assert '<th>password</th><td class="code">***</td>' in text
        assert "<th>name</th>" in text
        assert "raise ValueError(f&quot;" in text
        plain = await client.get(base + "/fails/x")
        assert plain.headers["content-type"] == "text/plain; charset=utf-8"
        assert (await plain.text()).startswith("Traceback (most recent call last):\n")
        # What is meant so stays so.
        assert await (await client.get(base + "/deliberate", headers=HTML)).text() == "as it is meant"
        assert (await client.get(base + "/refuses", headers=HTML)).status_code == 404
        # And it can be looked at later.
        listing = await (await client.get(base + "/__wirebird__/")).text()
        assert "/fails/%3Ci%3E?token=***" in listing
        detail = await (await client.get(base + "/__wirebird__/requests/1")).text()
        assert "ValueError" in detail
        assert "test_dev.fails" in detail
        assert (await client.get(base + "/__wirebird__/requests/999")).status_code == 404
        assert (await client.post(base + "/__wirebird__/")).status_code == 405
        routes = await (await client.get(base + "/__wirebird__/routes")).text()
        assert "/fails/{what}" in routes
        for name in ("live.js", "dev.css"):
            assert (await client.get(f"{base}/__wirebird__/{name}")).status_code == 200
        for name in ("../app.py", "assets/live.js", "live.js/../../app.py"):
            asked = await client.get(f"{base}/__wirebird__/{name}")
            assert asked.status_code == 404

    serving(shop(), use)


def test_the_page_of_a_framework_that_answers_first_is_replaced() -> None:
    async def bad(request: Any) -> Any:
        raise KeyError("from Starlette")

    async def good(request: Any) -> Any:
        return HTMLResponse("<p>")

    async def use(client: wirebird.HTTPClient, base: str, dev: DevApp) -> None:
        text = await (await client.get(base + "/below/bad", headers=HTML)).text()
        assert "KeyError" in text
        assert "from Starlette" in text
        assert SCRIPT.search(await (await client.get(base + "/good", headers=HTML)).content())
        rows = [(row.methods, row.path) for row in list_routes(app)]
        assert rows == [("GET, HEAD", "/good"), ("GET, HEAD", "/below/bad")]

    app = Starlette(routes=[StarletteRoute("/good", good), Mount("/below", routes=[StarletteRoute("/bad", bad)])])
    serving(app, use)


def test_what_an_application_of_aiohttp_raises_is_a_page() -> None:
    async def bad(request: Any) -> Any:
        raise KeyError("from a handler")

    async def deliberate(request: Any) -> Any:
        return aiohttp_web.Response(status=500, text="as it is meant")

    async def streams(request: Any) -> Any:
        response = aiohttp_web.StreamResponse(headers={"Content-Type": "text/html"})
        await response.prepare(request)
        await response.write(b"<p>")
        return response

    async def prepared(request: Any, response: Any) -> None:
        del response.headers["Server"]

    async def use(client: wirebird.HTTPClient, base: str, dev: DevApp) -> None:
        text = await (await client.get(base + "/bad", headers=HTML)).text()
        assert "from a handler" in text
        assert "raise KeyError" in text
        hidden = await (await client.get(base + "/bad", headers={**HTML, "Via": "1.1 proxy"})).text()
        assert "wirebird dev" not in hidden
        assert await (await client.get(base + "/deliberate", headers=HTML)).text() == "as it is meant"
        assert [bool(record.failures) for record in dev.records.latest()] == [False, True, True]
        response = await client.get(base + "/streams", headers=HTML)
        assert SCRIPT.search(await response.content())
        assert "Server" not in response.headers

    app = aiohttp_web.Application()
    app.on_response_prepare.append(prepared)
    for handler in (bad, deliberate, streams):
        app.router.add_get(f"/{handler.__name__}", handler)
    serving(app, use)


def test_a_start_that_fails_is_a_page() -> None:
    async def connect(app: web.Application) -> None:
        raise ConnectionError("no database")

    async def use(client: wirebird.HTTPClient, base: str, dev: DevApp) -> None:
        response = await client.get(base + "/anything", headers=HTML)
        assert response.status_code == 500
        assert "no database" in await response.text()

    app = web.Application()
    app.on_startup.append(connect)
    serving(app, use)


# -- who may look ------------------------------------------------------------------------------------------------------


def test_only_this_machines_names_are_answered_and_only_its_pages_connect() -> None:
    async def use(client: wirebird.HTTPClient, base: str, dev: DevApp) -> None:
        for path in ("/", "/__wirebird__/", "/__wirebird__/live"):
            response = await client.get(base + path, headers={"Host": "rebound.example"})
            assert response.status_code == 403, path
        assert "rebound.example" in await response.text()
        assert (await client.get(base + "/", headers={"Host": "shop.test:8080"})).status_code == 200
        # A page of another site may have the browser ask, and sees nothing.
        other = {"Sec-Fetch-Site": "cross-site", **HTML}
        assert (await client.get(base + "/__wirebird__/", headers=other)).status_code == 403
        hidden = await client.get(base + "/fails/x", headers=other)
        assert (hidden.status_code, b"ValueError" in await hidden.content()) == (500, False)
        assert await (await client.get(base + "/", headers=other)).content() == b"<p>Hello"
        with pytest.raises(wirebird.WirebirdError, match="403"):
            await client.websocket(base.replace("http", "ws") + "/__wirebird__/live", origin="http://evil.example")
        live = await client.websocket(base.replace("http", "ws") + "/__wirebird__/live", origin=base)
        assert (await live.receive_json())["hello"] == dev.live.name
        await dev.live.tell({"css": ["a.css"]})
        assert await live.receive_json() == {"css": ["a.css"]}
        await live.close()

    serving(shop(), use, guard=Guard(["Shop.test"]))


def test_websockets_of_the_application_work_and_are_noted() -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(f"{message.data}!")
        return ws

    async def use(client: wirebird.HTTPClient, base: str, dev: DevApp) -> None:
        async with client.websocket(base.replace("http", "ws") + "/echo") as ws:
            await ws.send("hello")
            assert await ws.receive_text() == "hello!"
        record = dev.records.find(1)
        assert record is not None
        assert record.status == 101

    app = web.Application()
    app.add_routes([web.get("/echo", echo)])
    serving(app, use)


def test_no_more_is_remembered_than_is_bounded() -> None:
    async def use(client: wirebird.HTTPClient, base: str, dev: DevApp) -> None:
        for _ in range(25):
            await client.get(base + "/fails/x")
        records = dev.records.latest()
        assert [bool(record.failures[0].frames) for record in records] == [True] * 20 + [False] * 5
        for _ in range(200):
            await client.get(base + "/")
        assert (len(dev.records.latest()), dev.records.find(25)) == (200, None)

    serving(shop(), use)


@pytest.mark.parametrize(
    ("fields", "looks"),
    [
        (("X-Forwarded-For: 192.0.2.1",), False),
        (("X-Forwarded-Proto: https",), False),
        (("X-Real-IP: 192.0.2.1",), False),
        (("Forwarded: for=192.0.2.1",), False),
        (("Via: 1.1 proxy",), False),
        (("Sec-Fetch-Site: cross-site",), False),
        (("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"), False),
        (("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: document"), False),
        # A link on a page of another site, or the way back from where somebody logged in: that site sees nothing of it.
        (("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"), True),
        (("Sec-Fetch-Site: same-origin",), True),
    ],
)
def test_who_may_look_by_what_it_says(fields: tuple[str, ...], looks: bool) -> None:
    head = parse_request_head("\r\n".join(["GET / HTTP/1.1", "Host: x", *fields, "", ""]).encode())
    exchange: Any = SimpleNamespace(head=head, connection=SimpleNamespace(peer="127.0.0.1:5"))
    assert Guard().may_look(exchange) is looks


@pytest.mark.parametrize(
    ("host", "known"),
    [
        *(("localhost", True), ("localhost:8080", True), ("app.localhost", True), ("LOCALHOST.", True), ("127.0.0.1:80", True)),
        *(("192.0.2.7", True), ("[::1]:8080", True), ("mine.example", True), ("evil.example", False)),
        *(("localhost.evil.example", False), ("127.0.0.1.evil.example", False), ("xlocalhost", False), ("0x7f.1", False)),
    ],
)
def test_known_hosts(host: str, known: bool) -> None:
    head = parse_request_head(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert Guard(["mine.example"]).is_known(head) is known


@pytest.mark.parametrize(
    ("peer", "looks"),
    [
        *(("127.0.0.1:5", True), ("127.8.8.8:5", True), ("[::1]:5", True), ("[::ffff:127.0.0.1]:5", True), ("unix", True)),
        *(("192.0.2.7:5", False), ("[fe80::1%eth0]:5", False), ("10.0.0.1:5", False), ("nonsense:5", False)),
    ],
)
def test_who_may_look(peer: str, looks: bool) -> None:
    head = parse_request_head(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    exchange: Any = SimpleNamespace(head=head, connection=SimpleNamespace(peer=peer))
    assert Guard().may_look(exchange) is looks


# -- parts -------------------------------------------------------------------------------------------------------------


def test_changes_are_sorted() -> None:
    paths = ["/a/app.py", "/a/x.css", "/a/page.html", "/a/logo.svg", "/a/app.log", "/a/data.db", "/a/.env", "/a/state.json"]
    assert sort_changes(paths) == {
        "restart": ["/a/.env", "/a/app.py", "/a/page.html"],
        "css": ["/a/x.css"],
        "reload": ["/a/logo.svg"],
    }
    assert sort_changes(paths, also=[".json"])["restart"] == ["/a/.env", "/a/app.py", "/a/page.html", "/a/state.json"]
    assert sort_changes(["/a/page.html", "/a/x.css"], is_folder=True) == {
        "restart": [],
        "css": ["/a/x.css"],
        "reload": ["/a/page.html"],
    }


def supervisor(folder: Path, **options: Any) -> tuple[Supervisor, list[str]]:
    said: list[str] = []
    return Supervisor([], {}, [folder], say=said.append, ready=lambda: None, **options), said


def test_what_is_watched(tmp_path: Path) -> None:
    root = tmp_path / "node_modules" / "project"  # where it is does not matter
    watching, _ = supervisor(root, ignore=[root / "data"])
    for name in ("app.py", "database.py", "data.py", "a/b.html", ".env"):
        assert watching.is_watched(str(root / name)), name
    for name in (
        "data/x.py",
        "data",
        "node_modules/a.js",
        ".git/HEAD",
        "app.py~",
        ".app.py.swp",
        ".#app.py",
        "__pycache__/a.pyc",
    ):
        assert not watching.is_watched(str(root / name)), name


def test_files_that_cannot_be_watched_are_said_to_be_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*paths: Any, **options: Any) -> AsyncIterator[Any]:
        raise OSError("OS file watch limit reached.")
        yield

    async def no_child(*given: Any) -> None:
        pass

    monkeypatch.setattr("watchfiles.awatch", full)
    monkeypatch.setattr(Supervisor, "_start", no_child)
    watching, said = supervisor(tmp_path)
    assert asyncio.run(watching.run()) == 1
    [line] = said
    assert "OS file watch limit reached" in line
    assert "WATCHFILES_FORCE_POLLING" in line


def test_a_process_that_is_not_ready_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is importing something large, and will not listen before it has."""
    monkeypatch.setattr("wirebird.cli.dev.supervisor.PATIENCE", 60)

    async def main() -> None:
        child = await Child.start([sys.executable, "-S", "-c", "import time; time.sleep(100)"], {}, [])
        assert await child.end() == -signal.SIGTERM

    run(main)


def test_exceptions_are_shown_from_where_the_application_begins() -> None:
    def inner() -> None:
        api_token = "t0p"
        raise ValueError(len(api_token))

    try:
        inner()
    except ValueError as error:
        [failure] = failures_of(error)
    frame = failure.frames[-1]
    assert dict(frame.variables)["api_token"] == "***"
    assert frame.own
    assert not Path(frame.file).is_absolute() or not Path(__file__).is_relative_to(Path.cwd())


# -- processes ---------------------------------------------------------------------------------------------------------

APP = """
import os
from wirebird import web

async def page(request):
    return web.Response(text=f"one {os.getpid()}")

async def die(request):
    if os.fork():
        os._exit(7)
    import time  # a worker of its, which has all that it had, but for the connection
    os.close(request.get_extra_info("socket").fileno())
    with open("worker", "w") as file:
        file.write(str(os.getpid()))
    time.sleep(60)

async def slow(request):
    import asyncio
    await asyncio.sleep(0.5)
    return web.Response(text="slow but whole")

app = web.Application()
app.add_routes([web.get("/", page), web.get("/die", die), web.get("/slow", slow)])
"""


def ask(url: str, path: str = "/", accept: str = "*/*") -> tuple[int, str]:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
    try:
        connection.request("GET", path, headers={"Accept": accept})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def until(url: str, wanted: Callable[[str], bool]) -> str:
    """Ask until the answer is what is wanted; no connection is ever refused."""
    for _ in range(400):
        text = ask(url)[1]
        if wanted(text):
            return text
        threading.Event().wait(0.02)
    raise AssertionError(f"never: {text}")


def test_code_that_changes_is_served_and_no_connection_refused(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP)
    with Program(python("-m", "wirebird", "dev", "app.py", "--port", "0"), tmp_path) as program:
        url = program.url()
        first = ask(url)[1]
        slow: list[Any] = []
        asking = threading.Thread(target=lambda: slow.append(ask(url, "/slow")))
        asking.start()
        app.write_text(APP.replace('"one ', '"two '))
        second = until(url, lambda text: text.startswith("two"))
        assert first.split()[1] != second.split()[1]
        asking.join(20)
        assert slow == [(200, "slow but whole")]

        # What cannot be imported is shown, and put right.
        app.write_text("import nonsense_for_tests\n")
        assert "nonsense_for_tests" in until(url, lambda text: "Traceback" in text)
        assert "app cannot be imported" in program.said
        app.write_text(APP)
        third = until(url, lambda text: text.startswith("one"))

        # A process that dies is said to have.
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            ask(url, "/die")
        try:
            assert "ended with exit code 7" in until(url, lambda text: "exit code" in text)
        finally:
            os.kill(int((tmp_path / "worker").read_text()), signal.SIGKILL)
        app.write_text(APP.replace('"one ', '"four '))
        fourth = until(url, lambda text: text.startswith("four"))
        assert len({text.split()[1] for text in (first, second, third, fourth)}) == 4
        program.signal(signal.SIGINT)
        assert program.wait() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(fourth.split()[1]), 0)


def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with Program(python("-m", "wirebird", "serve", "app.py", "--reload", "--port", "0"), tmp_path) as program:
        url = program.url()
        answer = ask(url)[1]
        assert answer.startswith("one")  # and no script, nor debug pages
        assert ask(url, "/__wirebird__/")[0] == 404
        (tmp_path / "app.py").write_text("1 / 0")
        program.wait_for("exit code 1; waiting for a change")  # and who connects waits as well
        (tmp_path / "app.py").write_text(APP.replace('"one ', '"two '))
        pid = int(until(url, lambda text: text.startswith("two")).split()[1])
        program.signal(signal.SIGKILL)
        program.wait()
    for _ in range(500):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            break
        if Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            break
        threading.Event().wait(0.02)
    else:
        raise AssertionError("the child is still there")


def test_a_folder_is_watched_too(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>Hello")
    with Program(python("-m", "wirebird", "dev", "--port", "0"), tmp_path) as program:
        url = program.url()
        assert ask(url)[1].startswith("<p>Hello<script")
        pages = socket.create_connection((urlsplit(url).hostname or "", urlsplit(url).port or 0), 20)

        async def listen() -> Any:
            async with wirebird.HTTPClient() as client:
                live = await client.websocket(url.replace("http", "ws") + "/__wirebird__/live")
                await live.receive_json()
                (tmp_path / "index.html").write_text("<p>Bye")
                said = await live.receive_json(timeout=10)
                await live.close()
                return said

        with pages:
            assert asyncio.run(listen()) == {"reload": ["index.html"]}
        program.signal()
        assert program.wait() == 0
    assert "index.html changed" in program.said


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = str(held.getsockname()[1])
        with Program(python("-m", "wirebird", "dev", "--port", port), tmp_path) as program:
            assert program.wait() == 1
    assert program.said == f"wirebird: port {port} of 127.0.0.1 is in use by another program; --port chooses another\n"
