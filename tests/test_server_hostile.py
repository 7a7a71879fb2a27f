"""What a reviewer who wanted to reject the server found, and what he tried besides: one test for each that failed."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import uvloop

from server_wire import GET, TEXT, App, Hub, run, serve, served, settle
from wirebird.errors import ConnectionLost, LimitExceeded
from wirebird.protocol.http1_parser import Parser
from wirebird.server.asgi import AsgiApp
from wirebird.server.forwarded import TrustedProxies
from wirebird.server.server import Server
from wirebird.server.settings import Settings


def get(path: bytes) -> bytes:
    return GET.replace(b" / ", b" %b " % path)


POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_an_empty_line_before_a_request_that_is_known() -> None:
    """RFC 9112 2.2: one in front of each, however it is cut."""
    for pieces in ([GET, b"\r\n", GET, b"\r\n", GET], [GET, b"\r\n" + GET, b"\r", b"\n", GET, b"\r\n" + GET]):
        parser = Parser(server=True)
        asked = 0
        for piece in pieces:
            if parser.state.name == "DONE":
                assert not parser.proceed()
            asked += len(parser.receive(piece, len(piece))) // 2
        assert asked == sum(piece.count(b"GET") for piece in pieces)


@pytest.mark.parametrize("leaves", [False, True])
def test_a_body_whose_last_piece_is_too_much(leaves: bool) -> None:
    """The reader is told, though the parser has seen the end of the body."""
    app = App()
    last = b"64\r\n" + b"x" * 100 + b"\r\n0\r\n\r\n"
    _, wire = serve(
        app,
        POST + b"32\r\n" + b"x" * 50 + b"\r\n",
        last,
        settings=Settings(max_body_size=100),
        apart=True,
        then=lambda hub, wire: wire.leave() if leaves else None,
    )
    assert wire.statuses == [413]
    (error,) = app.raised
    assert isinstance(error, LimitExceeded) and not app.bodies


def test_handlers_that_wait_for_the_same() -> None:
    """As for a value that one of them fetches: an asyncio future keeps note of who begins to wait, until a task has seen it."""

    async def main() -> None:
        shared: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def handler(exchange: Any) -> None:
            exchange.respond(200, TEXT, await shared)

        hub = Hub(App({"/shared": handler}))
        wires = [hub.connect() for _ in range(3)]
        for wire in wires:
            wire.feed(get(b"/shared"))
        others = [asyncio.ensure_future(asyncio.wait_for(shared, 5)), asyncio.ensure_future(_wait_for(shared))]
        await settle()
        shared.set_result(b"found")
        await settle()
        assert [wire.statuses for wire in wires] == [[200]] * 3 and not hub.errors
        assert await asyncio.gather(*others) == [b"found"] * 2
        for wire in wires:
            wire.leave()
        await settle()
        hub.watch.stop()

    run(main)


async def _wait_for(future: asyncio.Future[bytes]) -> bytes:
    return await future


@pytest.mark.parametrize("waits", [False, True])
def test_an_error_hook_that_raises_does_not_leave_the_client_without_an_answer(
    waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(exchange: Any) -> None:
        if waits:
            await asyncio.sleep(0)
        raise ValueError("on purpose")

    def hook(exchange: Any, error: BaseException) -> None:
        raise RuntimeError("the hook")

    _, wire = serve(App({"/raises": handler}), get(b"/raises") + GET, on_error=hook)
    assert wire.statuses == [500]
    assert "on_error has raised RuntimeError" in caplog.text


def test_an_exchange_that_is_over_cancels_nobody_else() -> None:
    kept: list[Any] = []

    async def first(exchange: Any) -> None:
        kept.append(exchange)
        exchange.respond(200, TEXT, b"first")

    async def second(exchange: Any) -> None:
        kept[0].cancel()
        await asyncio.sleep(0)
        kept[0].cancel()
        await asyncio.sleep(0)
        exchange.respond(200, TEXT, b"second")

    _, wire = serve(App({"/1": first, "/2": second}), get(b"/1") + get(b"/2"))
    assert wire.statuses == [200, 200]


@pytest.mark.parametrize("fields", [b"", b"X-Forwarded-For: 192.0.2.9\r\n"])
@pytest.mark.parametrize("whose", ["client", "upstream"])
def test_who_has_left(whose: str, fields: bytes) -> None:
    """What an application hears of its client is no fault of its own, behind a proxy too; what it hears of others is."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            if whose == "upstream":
                raise ConnectionLost("it broke", peer="upstream:80")
            while (await receive())["type"] != "http.disconnect":
                pass
            await send({"type": "http.response.start", "status": 200})
        except ConnectionLost as error:
            raise ValueError("in words of its own") from error

    settings = Settings(proxies=TrustedProxies(["10.0.0.0/8"]))
    leave = (lambda hub, wire: wire.leave()) if whose == "client" else None
    hub, wire = serve(AsgiApp(application), GET[:-2] + fields + b"\r\n", settings=settings, then=leave)
    if whose == "client":
        assert not hub.errors and not wire.sent
    else:
        (error,) = hub.errors
        assert isinstance(error, ValueError) and wire.statuses == [500]


def test_a_url_of_https_is_not_asked_for_in_the_clear() -> None:
    """RFC 9110 7.4; and the host is that of the target (RFC 9112 3.2.2)."""
    seen: list[Any] = []

    async def handler(exchange: Any) -> None:
        seen.append((str(exchange.where.url), exchange.scheme, exchange.authority))
        exchange.respond(200, TEXT, b"")

    async def main() -> list[list[int]]:
        found = []
        targets = [b"https://a/", b"HTTPS://a/", b"http://a/"]
        app = App(dict.fromkeys(map(bytes.decode, targets), handler))
        trusting = Settings(proxies=TrustedProxies(["10.0.0.1"]))
        for settings, extra, fields in (
            (None, {}, b""),
            (None, {"sslcontext": "some"}, b""),
            (trusting, {}, b""),
            (trusting, {}, b"X-Forwarded-Proto: https\r\n"),
        ):
            hub = Hub(app, settings)
            statuses = []
            for target in targets:
                wire = hub.connect(**extra)
                wire.feed(b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (target, fields))
                wire.feed(b"GET %b HTTP/1.0\r\n%b\r\n" % (target, fields))
                await settle()
                statuses.append(wire.statuses)
                wire.leave()
            await settle()
            hub.watch.stop()
            found.append(statuses)
        return found

    no, yes = [421], [200, 200]
    assert run(main) == [[no, no, yes], [yes, yes, yes], [no, no, yes], [yes, yes, yes]]
    assert {(url, authority) for url, _, authority in seen} == {("https://a/", "a"), ("http://a/", "a")}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_no_file_can_be_opened_any_more(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """EMFILE: others are served, the log is not flooded, and newcomers are served when there is room again."""
    import resource

    monkeypatch.setattr("asyncio.constants.ACCEPT_RETRY_DELAY", 0.05)
    problems: list[Any] = []

    async def main() -> list[bytes]:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: problems.append(context["message"]))
        server = Server(App())
        (address,) = await server.listen()
        clients = [socket.socket() for _ in range(40)]
        early = clients.pop()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            for client in [*clients, early]:
                client.setblocking(False)
            await loop.sock_connect(early, address)
            early_one = await _ask(early)
            highest = os.dup(early.fileno())
            os.close(highest)
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
            for client in clients:
                await loop.sock_connect(client, address)
            while kind == "asyncio" and not problems:
                await asyncio.sleep(0)
            during = await _ask(early)
            count = len(problems)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            late = await _ask(clients[0]) if kind == "asyncio" else during  # libuv closes who cannot be served
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for client in [*clients, early]:
                client.close()
            await server.close(1)
        assert count <= 16
        return [early_one, during, late]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if kind == "uvloop" else None) as runner:
        assert [answer[:15] for answer in runner.run(main())] == [b"HTTP/1.1 200 OK"] * 3


async def _ask(sock: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(5):
        await loop.sock_sendall(sock, GET)
        return await loop.sock_recv(sock, 1000)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_path_that_another_server_listens_at_by_now(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "socket"

    async def main() -> None:
        loop = asyncio.get_running_loop()
        release = asyncio.Event()

        async def slow(exchange: Any) -> None:
            await release.wait()
            exchange.respond(200, TEXT, b"slow")

        first, second = Server(App({"/": slow})), Server(App())
        await first.listen(path=path)
        with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as late:
            for sock in (busy, late):
                sock.setblocking(False)
            await loop.sock_connect(busy, str(path))
            asked = asyncio.ensure_future(_ask(busy))
            while not any(one.exchange for one in first.connections):
                await asyncio.sleep(0)
            ending = asyncio.ensure_future(first.close())
            while path.exists():
                await asyncio.sleep(0)
            await second.listen(path=path)
            release.set()
            assert b"slow" in await asked
            await ending
            await loop.sock_connect(late, str(path))
            assert b"hello" in await _ask(late)
        await second.close(1)
        assert not path.exists()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if kind == "uvloop" else None) as runner:
        runner.run(main())


def test_a_handler_that_takes_back_that_it_cancelled_itself() -> None:
    """Whatever becomes of it, the next one is served."""

    async def handler(exchange: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        task.uncancel()
        await asyncio.sleep(0)
        exchange.respond(200, TEXT, b"all the same")

    hub, wire = serve(App({"/odd": handler}), get(b"/odd") + get(b"/late"))
    # Before Python 3.13, what was taken back happens nevertheless.
    assert wire.statuses == [200, 200] if sys.version_info >= (3, 13) else [500]
    assert len(hub.errors) == 2 - len(wire.statuses)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="there are no eager tasks")
def test_a_handler_can_be_cancelled_where_tasks_are_eager() -> None:
    heard: list[str] = []

    async def handler(exchange: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            heard.append("cancelled")

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        await served(App({"/": handler}), GET, then=lambda hub, wire: wire.connection.cancel())

    run(main)
    assert heard == ["cancelled"]
