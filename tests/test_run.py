"""`run_app`, runners and sites: in processes that get signals, and beside those of aiohttp."""

from __future__ import annotations

import asyncio
import http.client
import logging
import signal
import socket
import ssl
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme
from aiohttp import web as aiohttp_web

import wirebird
from programs import Program, python
from wirebird import web
from wirebird.compat.aiohttp import web as facade
from wirebird.errors import UsageError

PROGRAM = """
import asyncio, signal, sys
from wirebird import web

async def hello(request):
    return web.Response(text="Hello")

async def slow(request):
    print("waiting", flush=True)
    try:
        await asyncio.sleep(float(request.query["seconds"]))
    except asyncio.CancelledError:
        print("cancelled", flush=True)
        raise
    return web.Response(text="late")

async def leave(request):
    raise web.GracefulExit

async def start_and_end(app):
    print("started", flush=True)
    yield
    print("ended", flush=True)

async def tell(app):
    print("told", flush=True)

async def make():
    app = web.Application()
    app.add_routes([web.get("/", hello), web.get("/slow", slow), web.get("/leave", leave)])
    app.cleanup_ctx.append(start_and_end)
    app.on_shutdown.append(tell)
    return app

web.run_app(make(), port=0)
print("returned", flush=True)
"""


@pytest.fixture
def program(tmp_path: Path) -> Any:
    (tmp_path / "program.py").write_text(PROGRAM)
    with Program(python("program.py"), tmp_path) as program:
        yield program


def get(url: str, path: str = "/") -> str:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


class Asking(threading.Thread):
    """A request that is under way; `answer` is its body, or what went wrong."""

    def __init__(self, url: str, path: str) -> None:
        super().__init__(daemon=True)
        self.answer: str | Exception = ""
        self._url, self._path = url, path
        self.start()

    def run(self) -> None:
        try:
            self.answer = get(self._url, self._path)
        except Exception as error:
            self.answer = error


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_requests_end_and_the_program_go_on(program: Program, number: int) -> None:
    url = program.url()
    assert get(url) == "Hello"
    asking = Asking(url, "/slow?seconds=0.3")
    program.wait_for("waiting")
    program.signal(number)
    assert program.wait() == 0
    asking.join(5)
    assert asking.answer == "late"
    words = [line for line in program.said.splitlines() if line.isalpha()]
    assert words == ["started", "waiting", "told", "ended", "returned"]


def test_a_second_signal_cancels_what_is_under_way(program: Program) -> None:
    asking = Asking(program.url(), "/slow?seconds=60")
    program.wait_for("waiting")
    program.signal(signal.SIGINT)
    program.wait_for("told")
    program.signal(signal.SIGINT)
    assert program.wait() == 0
    asking.join(5)
    assert isinstance(asking.answer, Exception) or "late" not in asking.answer
    assert "cancelled" in program.said
    assert "ended" in program.said


def test_a_handler_can_end_the_server(program: Program) -> None:
    asking = Asking(program.url(), "/leave")
    assert program.wait() == 0
    asking.join(5)
    assert program.said.split()[-2:] == ["ended", "returned"]


def test_a_port_in_use_is_an_os_error_before_anything_starts() -> None:
    started: list[str] = []

    async def note(app: web.Application) -> None:
        started.append("started")

    app = web.Application()
    app.on_startup.append(note)
    with socket.create_server(("127.0.0.1", 0)) as held, pytest.raises(OSError, match="in use"):
        web.run_app(app, port=held.getsockname()[1], print=None)
    assert started == []


def test_a_start_that_fails_is_raised_and_leaves_no_loop() -> None:
    async def fail(app: web.Application) -> None:
        raise LookupError("no database")

    app = web.Application()
    app.on_startup.append(fail)
    loop = asyncio.new_event_loop()
    with pytest.raises(LookupError, match="no database"):
        web.run_app(app, port=0, loop=loop, print=None)
    assert loop.is_closed()


def test_several_places_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    said: list[str] = []
    answers: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as sock:

        async def ask(app: web.Application) -> None:
            async def later() -> None:
                while not said:
                    await asyncio.sleep(0)
                places = list(said[0].splitlines()[0].removeprefix("Running on ").split(", "))
                assert places[1:] == [f"http://unix:{tmp_path}/a:", f"http://127.0.0.1:{sock.getsockname()[1]}"]
                async with wirebird.HTTPClient() as client:
                    answers.extend([await (await client.get(place)).content() for place in (places[0], places[2])])
                async with wirebird.HTTPClient(wirebird.TCPConnector(uds=str(tmp_path / "a"))) as client:
                    answers.append(await (await client.get("http://localhost/")).content())
                signal.raise_signal(signal.SIGTERM)

            tasks.append(asyncio.create_task(later()))

        async def hello(request: web.Request) -> web.Response:
            return web.Response(text="Hello")

        tasks: list[asyncio.Task[None]] = []
        app = web.Application()
        app.add_routes([web.get("/", hello)])
        app.on_startup.append(ask)
        logger = logging.getLogger("shop.access")
        places: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "path": tmp_path / "a", "sock": sock}
        web.run_app(app, **places, print=said.append, access_log=logger, access_log_format="short")
    assert answers == [b"Hello"] * 3
    assert tasks[0].exception() is None
    assert not (tmp_path / "a").exists()
    logged = [record.message for record in caplog.records if record.name == "shop.access"]
    assert [message.rpartition(" B ")[0] for message in logged] == ["GET / 200 5"] * 3


def test_in_a_thread_without_signals() -> None:
    loop = asyncio.new_event_loop()
    said: list[str] = []
    listening, ended = threading.Event(), []

    def say(text: str) -> None:
        said.append(text)
        listening.set()

    async def note(app: web.Application) -> None:
        ended.append("cleaned up")

    def leave() -> None:
        raise web.GracefulExit

    app = web.Application()
    app.on_cleanup.append(note)
    options: dict[str, Any] = {"port": 0, "handle_signals": False, "loop": loop, "print": say}
    thread = threading.Thread(target=lambda: web.run_app(app, **options))
    thread.start()
    assert listening.wait(20)
    loop.call_soon_threadsafe(leave)
    thread.join(20)
    assert not thread.is_alive()
    assert loop.is_closed()
    assert ended == ["cleaned up"]


def test_bad_arguments_are_named() -> None:
    with pytest.raises(UsageError, match="app"):
        web.run_app("app", print=None)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="workers"):
        web.run_app(web.Application(), workers=2, handle_signals=False)
    with pytest.raises(UsageError, match="format"):
        web.run_app(web.Application(), access_log=True, access_log_format="%a")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="shutdown_timeout"):
        web.AppRunner(web.Application(), shutdown_timeout=-1)
    with pytest.raises(UsageError, match="app"):
        web.ServerRunner(object())  # type: ignore[arg-type]


# -- runners and sites, beside aiohttp's ---------------------------------------------------------------------------------


def server_context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    return context


@pytest.mark.parametrize("module", [web, aiohttp_web], ids=["wirebird", "aiohttp"])
def test_sites_are_named_alike(module: Any, tmp_path: Path) -> None:
    async def main() -> None:
        runner = module.AppRunner(module.Application())
        with pytest.raises(RuntimeError):
            module.TCPSite(runner)
        assert runner.server is None
        await runner.setup()
        assert runner.server is not None
        tls = server_context()
        assert module.TCPSite(runner).name == "http://0.0.0.0:8080"
        assert module.TCPSite(runner, ssl_context=tls).name == "https://0.0.0.0:8443"
        assert module.TCPSite(runner, "::1", 80).name == "http://[::1]"
        unix = module.UnixSite(runner, str(tmp_path / "s"))
        assert unix.name == f"http://unix:{tmp_path}/s:"
        site = module.TCPSite(runner, "127.0.0.1", 0)
        assert (site.port, runner.sites, runner.addresses) == (0, set(), [])
        await site.start()
        await unix.start()
        assert site.port > 0
        assert site.name == f"http://127.0.0.1:{site.port}"
        assert runner.sites == {site, unix}
        assert runner.addresses == [("127.0.0.1", site.port), str(tmp_path / "s")]
        with pytest.raises(RuntimeError):
            await site.start()
        await site.stop()
        assert runner.sites == {unix}
        with pytest.raises(RuntimeError):
            await site.stop()
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection("127.0.0.1", site.port)
        await runner.cleanup()
        await runner.cleanup()
        assert (runner.server, runner.sites, runner.addresses) == (None, set(), [])
        with socket.create_server(("127.0.0.1", 0)) as sock:
            again = module.AppRunner(module.Application())
            await again.setup()
            on_sock = module.SockSite(again, sock)
            assert on_sock.name == f"http://127.0.0.1:{sock.getsockname()[1]}"
            await on_sock.start()
            await again.cleanup()

    asyncio.run(main())


@pytest.mark.parametrize("module", [web, aiohttp_web], ids=["wirebird", "aiohttp"])
def test_an_application_that_never_listened_is_ended_too(module: Any) -> None:
    steps: list[str] = []

    def note(step: str) -> Any:
        async def take(app: Any) -> None:
            steps.append(step)

        return take

    async def main() -> None:
        app = module.Application()
        for name in ("startup", "shutdown", "cleanup"):
            getattr(app, f"on_{name}").append(note(name))
        runner = module.AppRunner(app)
        await runner.setup()
        await runner.cleanup()

    asyncio.run(main())
    assert steps == ["startup", "shutdown", "cleanup"]


@pytest.mark.parametrize("module", [web, aiohttp_web], ids=["wirebird", "aiohttp"])
def test_on_shutdown_comes_while_requests_are_under_way(module: Any) -> None:
    """As the documents of aiohttp have it: that is where an application ends what would last for ever."""

    async def main() -> None:
        leaving, asked = asyncio.Event(), asyncio.Event()

        async def wait(request: Any) -> Any:
            asked.set()
            await leaving.wait()
            return module.Response(text="told")

        async def tell(app: Any) -> None:
            leaving.set()

        app = module.Application()
        app.add_routes([module.get("/", wait)])
        app.on_shutdown.append(tell)
        runner = module.AppRunner(app, shutdown_timeout=20)
        await runner.setup()
        site = module.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        async with wirebird.HTTPClient() as client:
            asking = asyncio.create_task(_text(client, site.name))
            await asked.wait()
            await runner.cleanup()
            assert await asking == "told"

    asyncio.run(main())


async def _text(client: wirebird.HTTPClient, url: str) -> str:
    return await (await client.get(url)).text()


@pytest.mark.parametrize("library", [web, facade])
def test_within_a_loop_it_is_said_what_to_do(library: Any) -> None:
    """As where a module that calls it is imported by `wirebird serve`, which somebody may try first of all."""

    async def main() -> None:
        with pytest.raises(RuntimeError, match='below `if __name__ == "__main__":`'):
            library.run_app(library.Application(), port=0, print=None)

    asyncio.run(main())
