"""What users of aiohttp's server, its test client and its pytest plugin rely on, by `wirebird.compat.aiohttp` and aiohttp itself.

The assertions are the same for both.  Found by running the tests of aiohttp 3.14 against the façade.
"""

from __future__ import annotations

import asyncio
import gzip
import importlib
import subprocess
import sys
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from aiohttp_seed import LIBRARIES
from aiohttp_served import Served, seed
from origin import run
from wirebird import HTTPClient

__all__ = ["seed"]

ROOT = Path(__file__).resolve().parents[1]


def utils_of(seed: Served) -> Any:
    return importlib.import_module(f"{LIBRARIES[seed.name]}.test_utils")


def client_for(seed: Served, handler: Any, **options: Any) -> Any:
    """A `TestClient` of an application with one handler."""
    utils = utils_of(seed)
    app = seed.web.Application(**options)
    app.router.add_route("*", "/", handler)
    return utils.TestClient(utils.TestServer(app))


def test_the_head_is_sent_before_there_is_a_body(seed: Served):
    async def handler(request: Any) -> Any:
        response = seed.web.StreamResponse()
        await response.prepare(request)
        await go_on.wait()
        await response.write(b"at last")
        return response

    async def main() -> None:
        nonlocal go_on
        go_on = asyncio.Event()
        async with client_for(seed, handler) as client:
            response = await client.get("/")
            assert response.status == 200
            go_on.set()
            assert await response.text() == "at last"

    go_on = asyncio.Event()
    run(main)


def test_receivers_of_on_response_prepare_see_how_the_body_is_sent(seed: Served, tmp_path: Path):
    web = seed.web
    (tmp_path / "file.txt").write_bytes(b"a file")
    seen: dict[str, Any] = {}

    async def prepare(request: Any, response: Any) -> None:
        fields = response.headers
        length, coding = fields.get("Content-Length"), fields.get("Transfer-Encoding")
        seen[request.path] = (length, coding, fields.get("Content-Type"), response.content_length)

    async def stream(request: Any) -> Any:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"piece")
        return response

    async def text(request: Any) -> Any:
        return web.Response(text="text")

    async def coded(request: Any) -> Any:
        response = web.Response(text="text" * 100)
        response.enable_compression(web.ContentCoding.deflate)
        return response

    async def file(request: Any) -> Any:
        return web.FileResponse(tmp_path / "file.txt")

    async def nothing(request: Any) -> Any:
        return web.Response(status=204)

    app = web.Application()
    app.on_response_prepare.append(prepare)
    app.add_routes([web.get(f"/{one.__name__}", one) for one in (stream, text, coded, file, nothing)])

    async def use(client: HTTPClient) -> None:
        for path, body in (("stream", "piece"), ("text", "text"), ("coded", "text" * 100), ("file", "a file"), ("nothing", "")):
            assert await (await client.get(f"/{path}", headers={"Accept-Encoding": "identity"})).text() == body
        await client.get("/nowhere")

    seed.ask(app, use)
    size = seen["/coded"][3]
    assert size < 100
    assert seen == {
        "/stream": (None, "chunked", "application/octet-stream", None),
        "/text": ("4", None, "text/plain; charset=utf-8", 4),
        "/coded": (str(size), None, "text/plain; charset=utf-8", size),
        "/file": ("6", None, "text/plain", 6),
        "/nothing": (None, None, None, 0),
        "/nowhere": ("14", None, "text/plain; charset=utf-8", 14),
    }


def test_calls_of_a_test_client_are_coroutines(seed: Served):
    async def handler(request: Any) -> Any:
        return seed.web.Response(text=request.method)

    async def main() -> None:
        async with client_for(seed, handler) as client:
            first = asyncio.create_task(client.get("/"))
            responses = await asyncio.gather(first, client.post("/"))
            assert [await response.text() for response in responses] == ["GET", "POST"]
            unused = client.get("/")
            assert asyncio.iscoroutine(unused)
            unused.close()

    run(main)


def test_a_server_counts(seed: Served):
    async def handler(request: Any) -> Any:
        return seed.web.Response()

    async def main() -> None:
        async with client_for(seed, handler) as client:
            server = client.server.handler
            assert (server.requests_count, len(server.connections)) == (0, 0)
            for _ in range(3):
                async with client.get("/") as response:
                    await response.read()
            assert (server.requests_count, len(server.connections)) == (3, 1)
            async with client.get("/", headers={"Connection": "close"}) as response:
                await response.read()
            await client.session.close()
            while server.connections:
                await asyncio.sleep(0)
            assert server.requests_count == 4

    run(main)


def test_a_websocket_has_the_transport_of_its_request(seed: Served):
    async def handler(request: Any) -> Any:
        ws = seed.web.WebSocketResponse()
        await ws.prepare(request)
        name = request.transport.get_extra_info("peername")
        assert request.remote == name[0] == request.get_extra_info("peername")[0]
        await ws.send_str(name[0])
        if await ws.receive_str() == "away":
            request.transport.close()
        return ws

    async def main() -> None:
        async with client_for(seed, handler) as client, client.ws_connect("/") as ws:
            assert await ws.receive_str() == "127.0.0.1"
            await ws.send_str("away")
            message = await ws.receive()
            assert message.type is seed.aiohttp.WSMsgType.CLOSED
            assert ws.close_code == 1006

    run(main)


@pytest.mark.parametrize("last", ["a message", "a ping"])
def test_messages_are_answered_though_the_peer_has_closed(seed: Served, last: str):
    """It has closed, and whoever receives does not know yet."""

    async def handler(request: Any) -> Any:
        ws = seed.web.WebSocketResponse()
        await ws.prepare(request)
        for text in ("one", "two"):
            await ws.send_str(text)
        if last == "a ping":
            await ws.ping()
        await ws.close(code=4000)
        return ws

    async def main() -> None:
        async with client_for(seed, handler) as client:
            ws = await client.ws_connect("/", autoping=False)
            seen: list[Any] = []
            async for message in ws:
                seen.append(message.data)
                while not seen[1:] and request_is_under_way(client):
                    await asyncio.sleep(0)
                await (ws.pong() if message.type is seed.aiohttp.WSMsgType.PING else ws.send_str("seen"))
            assert seen[:2] == ["one", "two"]
            assert len(seen) == (3 if last == "a ping" else 2)
            assert ws.close_code == 4000
            with pytest.raises(seed.aiohttp.ClientConnectionResetError):
                await ws.send_str("too late")

    def request_is_under_way(client: Any) -> bool:
        # The façade's connection answers the close frame by itself, so that there is nobody left to send to; aiohttp's waits.
        return seed.name == "wirebird" and bool(client.server.handler.upgraded)

    run(main)


def test_a_handler_answers_messages_though_the_client_has_closed(seed: Served):
    seen: list[Any] = []

    async def handler(request: Any) -> Any:
        ws = seed.web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            seen.append(message.data)
            await has_closed.wait()
            await asyncio.sleep(0)
            await ws.send_str("seen")
        seen.append(ws.close_code)
        return ws

    async def main() -> None:
        nonlocal has_closed
        has_closed = asyncio.Event()
        async with client_for(seed, handler) as client:
            ws = await client.ws_connect("/", autoclose=False)
            for text in ("one", "two"):
                await ws.send_str(text)
            closing = asyncio.create_task(ws.close(code=4001))
            await asyncio.sleep(0)
            has_closed.set()
            await closing
        assert seen == ["one", "two", 4001]

    has_closed = asyncio.Event()
    run(main)


@pytest.mark.parametrize("clean", [True, False], ids=["closed", "broken off"])
def test_a_handler_is_cancelled_whose_websocket_is_left(seed: Served, clean: bool):
    """Where that is wanted, as it is of servers for tests; one that is closed has time until then."""
    cancelled: list[str] = []

    async def handler(request: Any) -> Any:
        ws = seed.web.WebSocketResponse(timeout=0.05)
        await ws.prepare(request)
        await ws.send_str("busy")
        if not clean:
            request.transport.abort()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("busy")
            raise

    async def main() -> None:
        async with client_for(seed, handler) as client:
            ws = await client.ws_connect("/", timeout=seed.aiohttp.ClientWSTimeout(ws_close=0.05))
            if clean:
                assert await ws.receive_str() == "busy"
            await ws.close()
        assert cancelled == ["busy"]

    run(main)


def test_a_close_that_nobody_answers(seed: Served):
    async def handler(request: Any) -> Any:
        ws = seed.web.WebSocketResponse()
        await ws.prepare(request)
        deaf.append(ws)
        request.transport.pause_reading()
        await done.wait()
        request.transport.abort()
        return ws

    async def main() -> None:
        nonlocal done
        done = asyncio.Event()
        async with client_for(seed, handler) as client:
            ws = await client.ws_connect("/", timeout=seed.aiohttp.ClientWSTimeout(ws_close=0.05))
            while not deaf:
                await asyncio.sleep(0)
            assert await ws.close()
            assert ws.closed
            assert isinstance(ws.exception(), asyncio.TimeoutError)
            assert ws.close_code == 1006
            done.set()

    deaf: list[Any] = []
    done = asyncio.Event()
    run(main)


def test_a_cleanup_context_is_left_where_it_was_entered(seed: Served):
    """In the same task, and the same context, or what it holds open could not be closed."""
    held: ContextVar[str] = ContextVar("held", default="nothing")
    seen: list[Any] = []

    async def hold(app: Any) -> Any:
        task, token = asyncio.current_task(), held.set("held")
        async with asyncio.timeout(None):
            yield
        held.reset(token)
        seen.append(asyncio.current_task() is task)

    async def handler(request: Any) -> Any:
        return seed.web.Response(text=held.get())

    app = seed.web.Application()
    app.cleanup_ctx.append(hold)
    app.router.add_get("/", handler)

    async def use(client: HTTPClient) -> None:
        assert await (await client.get("/")).text() == "held"

    seed.ask(app, use)
    assert seen == [True]


def test_files_that_are_there_compressed_only(seed: Served, tmp_path: Path):
    (tmp_path / "page.txt.gz").write_bytes(gzip.compress(b"the page"))

    async def handler(request: Any) -> Any:
        return seed.web.FileResponse(tmp_path / "page.txt")

    app = seed.web.Application()
    app.router.add_get("/file", handler)

    async def use(client: HTTPClient) -> None:
        async with await client.get("/file", headers={"Accept-Encoding": "gzip"}) as response:
            assert (response.status_code, response.headers["Content-Encoding"]) == (200, "gzip")
            assert response.headers["Content-Type"].startswith("text/plain")
            assert await response.text() == "the page"
        assert (await client.get("/file", headers={"Accept-Encoding": "identity"})).status_code == 404

    seed.ask(app, use)


def test_a_file_that_is_compressed_as_it_is_sent(seed: Served, tmp_path: Path):
    """By the codings that `enable_compression` has, whatever else the client takes."""
    (tmp_path / "page.txt").write_bytes(b"the page " * 1000)

    async def handler(request: Any) -> Any:
        response = seed.web.FileResponse(tmp_path / "page.txt")
        response.enable_compression()
        return response

    app = seed.web.Application()
    app.router.add_get("/", handler)

    async def use(client: HTTPClient) -> None:
        for accept, coding in (("zstd, br, gzip, deflate", "deflate"), ("zstd, gzip", "gzip"), ("zstd, br", None)):
            response = await client.get("/", headers={"Accept-Encoding": accept})
            assert response.headers.get("Content-Encoding") == coding
            assert await response.text() == "the page " * 1000

    seed.ask(app, use)


def test_how_bodies_are_read_is_said_to_the_server(seed: Served):
    coded = gzip.compress(b"the same " * 100)

    async def handler(request: Any) -> Any:
        assert request.content.get_read_buffer_limits() == (16, 32)
        return seed.web.Response(body=await request.read())

    async def use(client: HTTPClient) -> None:
        response = await client.post("/", data=coded, headers={"Content-Encoding": "gzip"})
        assert response.status_code == 200
        assert await response.content() == coded

    async def raw() -> None:
        utils = utils_of(seed)
        server = utils.RawTestServer(handler)
        await server.start_server(auto_decompress=False, read_bufsize=16)
        async with HTTPClient(base_url=str(server.make_url("/"))) as client:
            await use(client)
        await server.close()

    for options in ({"handler_args": {"auto_decompress": False, "read_bufsize": 16}}, {}):
        app = seed.web.Application(**options)
        app.router.add_post("/", handler)
        seed.ask(app, use, **({} if options else {"auto_decompress": False, "read_bufsize": 16}))
    run(raw)


def test_requests_without_a_connection(seed: Served):
    make = utils_of(seed).make_mocked_request
    request = make("GET", "https://example.com/path/to?a=1")
    assert (request.host, request.path, request.query["a"], request.scheme) == ("example.com", "/path/to", "1", "http")
    assert request.clone(scheme="https").url == seed.aiohttp.client.URL("https://example.com/path/to?a=1")
    assert make("GET", "/").raw_headers == ()
    assert make("GET", "/", headers={"X-A": "1"}).raw_headers == ((b"X-A", b"1"),)


def test_a_loop_is_closed_though_a_test_fails(seed: Served):
    with pytest.raises(ZeroDivisionError), utils_of(seed).loop_context() as loop:
        try:
            raise ZeroDivisionError
        finally:
            if seed.name == "aiohttp":  # leaves it to whoever finds it
                loop.close()
    assert loop.is_closed()


PLUGIN = """
import asyncio
import pytest
{imported}

async def hello(request):
    return web.Response(text=request.app["greeting"])

def make_app(loop=None, greeting="hello"):
    app = web.Application()
    app["greeting"] = greeting
    app.router.add_get("/", hello)
    return app

async def raw(request):
    return web.Response(text="raw")

@pytest.fixture
async def client(aiohttp_client):
    yield await aiohttp_client(make_app())
    ended.append("client")

@pytest.fixture
async def answer(loop, request):
    assert asyncio.get_running_loop() is loop
    return request.node.name

@pytest.fixture
async def alone():
    return 1

ended = []

async def test_app(aiohttp_client):
    client = await aiohttp_client(make_app())
    assert await (await client.get("/")).text() == "hello"

async def test_function(aiohttp_client, aiohttp_unused_port):
    port = aiohttp_unused_port()
    client = await aiohttp_client(make_app, greeting="hi")
    assert await (await client.get("/")).text() == "hi"
    server = await aiohttp_client(make_app(), server_kwargs={{"port": port}})
    assert server.port == port

async def test_what_is_none(aiohttp_client):
    with pytest.raises(AssertionError):
        await aiohttp_client(make_app(), 1)
    with pytest.raises(ValueError):
        await aiohttp_client("app")

async def test_servers(aiohttp_server, aiohttp_raw_server, aiohttp_client):
    server = await aiohttp_server(make_app())
    assert await (await (await aiohttp_client(server)).get("/")).text() == "hello"
    client = await aiohttp_client(await aiohttp_raw_server(raw))
    assert await (await client.get("/anywhere")).text() == "raw"

async def test_fixtures(client, answer):
    assert answer.startswith("test_fixtures")
    assert await (await client.get("/")).text() == "hello"

async def test_their_end():
    assert ended == ["client"]

async def test_the_loop(loop):
    assert asyncio.get_running_loop() is loop

def test_plain(loop, answer):
    assert answer.startswith("test_plain")

def test_without_a_loop(alone):
    pass

class TestMethods:
    @pytest.fixture
    async def own(self, loop):
        return self

    async def test_method(self, own):
        assert isinstance(own, TestMethods)

async def test_forgotten():
    raw(None)

@pytest.mark.parametrize("number", [1, 2])
async def test_parameters(number):
    assert number
"""


def test_the_pytest_plugin(seed: Served, tmp_path: Path):
    """In a pytest of its own, which the façade's plugin finds under aiohttp's name, too."""
    text = PLUGIN.format(imported="from aiohttp import web")
    plugin = "aiohttp.pytest_plugin"
    stand_in = ["-m", "wirebird.compat.aiohttp"] if seed.name == "wirebird" else []
    (tmp_path / "test_it.py").write_text(text)
    command = [sys.executable, *stand_in, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-p", plugin, "test_it.py"]
    environment = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT / "src"), "PATH": ""}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=50)
    last = done.stdout.splitlines()[-1]
    assert "11 passed" in last, done.stdout
    assert "1 failed" in last, done.stdout
    assert "1 error" in last, done.stdout
    assert "PASSED test_it.py::test_plain[pyloop]" in done.stdout
    assert "ERROR test_it.py::test_without_a_loop" in done.stdout
    assert "must depend on the 'loop' fixture" in done.stdout
    assert "FAILED test_it.py::test_forgotten - RuntimeError: 1 Runtime Warning" in done.stdout


def test_what_pytest_aiohttp_imports_is_there(seed: Served):
    protocol = importlib.import_module(f"{LIBRARIES[seed.name]}.web_protocol")
    assert protocol._RequestHandler is not None
    for name in ("BaseTestServer", "RawTestServer", "TestClient", "TestServer"):
        assert hasattr(utils_of(seed), name)


def test_the_pytest_plugin_by_its_own_name(tmp_path: Path):
    text = PLUGIN.format(imported="from wirebird.compat.aiohttp import web")
    (tmp_path / "test_it.py").write_text(text)
    plugin = "wirebird.compat.aiohttp.pytest_plugin"
    loops = ["--aiohttp-loop=all", "--aiohttp-enable-loop-debug", "--aiohttp-fast", "-k", "test_app or test_the_loop"]
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-p", plugin, *loops, "test_it.py"]
    environment = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT / "src"), "PATH": ""}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=50)
    assert "4 passed" in done.stdout.splitlines()[-1], done.stdout
    assert "PASSED test_it.py::test_the_loop[uvloop]" in done.stdout
