"""What a reviewer who wanted to reject the server found, and what he tried besides: one test for each that failed."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop

from server_wire import GET, TEXT, App, Hub, run, serve, served, settle
from wirebird import web
from wirebird.errors import ConnectionLost, InvalidRequest, LimitExceeded, UsageError
from wirebird.models.limits import DEFAULT_LIMITS
from wirebird.protocol.http1_heads import parse_request_head
from wirebird.protocol.http1_parser import Parser
from wirebird.server.asgi import AsgiApp
from wirebird.server.asgi_messages import ApplicationError
from wirebird.server.forwarded import Seen, TrustedProxies
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
            count = len(problems)
            during = await _ask(early)
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

        first, second = Server(App({"/": slow}), Settings(linger_time=0.01)), Server(App(), Settings(linger_time=0.01))
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


def test_no_request_of_an_application_leaves_a_circle_behind() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        if scope["path"] == "/late":
            await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"one", "more_body": scope["path"] == "/stream"})
        if scope["path"] == "/stream":
            await send({"type": "http.response.body", "body": b"two"})
        if scope["path"] == "/background":
            await asyncio.sleep(0)

    async def main() -> None:
        hub = Hub(AsgiApp(application))
        wire = hub.connect()
        data = [GET, get(b"/late"), get(b"/stream"), get(b"/background"), POST + b"3\r\nabc\r\n0\r\n\r\n"]
        gc.disable()
        try:
            for count in (1, 3):  # the first time, to be warm
                gc.collect()
                for piece in count * data:
                    wire.feed(piece[:-1])
                    await settle(2)
                    wire.feed(piece[-1:])
                    await settle(8)
            found = gc.collect()
        finally:
            gc.enable()
        assert found == 0, found
        assert len(wire.responses()) == 4 * len(data) and not hub.errors
        wire.leave()
        await settle()
        hub.watch.stop()

    run(main)


@pytest.mark.parametrize("what", ["hook", "events"])
def test_nobody_keeps_the_server_from_ending(what: str, caplog: pytest.LogCaptureFixture) -> None:
    """Not who raises when it is told, and no event stream whose end a client is slow to take."""

    async def raises(exchange: Any) -> None:
        def told() -> None:
            raise ValueError("on purpose")

        exchange.told = told
        await asyncio.Event().wait()

    async def streams(request: web.Request) -> web.EventStreamResponse:
        events = web.EventStreamResponse()
        await events.prepare(request)
        wires[0].stuck = True
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                await events.send("x" * 100_000)
        return events

    async def late(request: web.Request) -> web.Response:
        await asyncio.sleep(0.01)
        return web.Response(text="late")

    app: Any = App({"/": raises})
    if what == "events":
        app = web.Application()
        app.add_routes([web.get("/", streams), web.get("/late", late)])
    wires: list[Any] = []

    async def main() -> None:
        hub = Hub(app, Settings(linger_time=0.01))
        await hub.start()
        wires.extend(hub.connect() for _ in range(2))
        wires[0].feed(GET)
        wires[1].feed(get(b"/late"))
        await settle(5)
        assert wires[0].connection.exchange.told is not None
        ending = asyncio.ensure_future(hub.close(0.1))
        await asyncio.sleep(0.02)
        wires[0].take()
        await ending
        assert wires[1].statuses == [200]
        if what == "events":
            assert wires[0].sent.endswith(b"0\r\n\r\n")

    run(main)
    assert ("has raised ValueError" in caplog.text) == (what == "hook")


def test_handlers_whose_client_has_left_count() -> None:
    """Or they could be had without end, one connection after the other."""

    async def main() -> None:
        release = asyncio.Event()

        async def slow(exchange: Any) -> None:
            await release.wait()
            exchange.respond(200, TEXT, b"slow")

        hub = Hub(App({"/slow": slow}), Settings(max_connections=2))
        for _ in range(2):
            wire = hub.connect()
            wire.feed(get(b"/slow"))
            await settle(5)
            wire.leave()
            await settle(5)
        answered = []
        for _ in range(2):
            wire = hub.connect()
            wire.feed(GET)
            await settle(5)
            answered += wire.statuses
            wire.leave()
            release.set()
            await settle()
        assert answered == [503, 200] and not hub.errors
        hub.watch.stop()

    run(main)


@pytest.mark.parametrize("name", ["a\r\nSet-Cookie: a=b", "\0", 5])
def test_a_name_that_is_none(name: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Server(App(), name=name)
    assert caught.value.argument.startswith("name")


@pytest.mark.parametrize("zone", [b'x - - [x] "GET /', b'x"', b"\xa0"])
def test_a_forwarded_address_whose_zone_is_none(zone: bytes) -> None:
    proxies = TrustedProxies(hops=1)
    head = parse_request_head(GET[:-2] + b"X-Forwarded-For: fe80::1%%%b\r\n\r\n" % zone)
    with pytest.raises(InvalidRequest):
        proxies.look("10.0.0.1:80", head)
    head = parse_request_head(GET[:-2] + b"X-Forwarded-For: fe80::1%eth0\r\n\r\n")
    assert proxies.look("10.0.0.1:80", head) == Seen("fe80::1%eth0", "", "")


def test_background_tasks_cannot_be_had_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection makes as many as are allowed; then it waits for its own."""
    monkeypatch.setattr("wirebird.server.asgi._MOST_PARTED", 2)

    async def main() -> None:
        release = asyncio.Event()

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"done"})
            await release.wait()

        def then(hub: Hub, wire: Any) -> None:
            assert wire.statuses == [200] * 3
            release.set()

        hub, wire = await served(AsgiApp(application), 6 * GET, then=then, turns=40)
        assert wire.statuses == [200] * 6 and not hub.errors

    run(main)


@pytest.mark.parametrize("name", ["rate_grace", "drain_size", "drain_time", "linger_time", "limits", "cancel_on_disconnect"])
def test_settings_that_cannot_be_none(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        Settings(**{name: None})  # type: ignore[arg-type]
    assert caught.value.argument == name


def test_proxies_that_are_none() -> None:
    with pytest.raises(UsageError) as caught:
        Settings(proxies=["10.0.0.1"])  # type: ignore[arg-type]
    assert caught.value.argument == "proxies"


@pytest.mark.parametrize("fails", [False, True])
def test_nobody_is_served_before_the_application_has_started(fails: bool) -> None:
    """Wherever the server begins to listen meanwhile."""

    async def main() -> None:
        began: list[int] = []
        release = asyncio.Event()

        class Slow(App):
            async def startup(self, server: Server) -> None:
                began.append(len(began))
                await release.wait()
                if fails and len(began) == 1:
                    raise OSError("the first time")

        server = Server(Slow())
        listening = [asyncio.ensure_future(server.listen()) for _ in range(2)]
        await settle()
        assert not server.listeners and began == [0]
        release.set()
        found = await asyncio.gather(*listening, return_exceptions=True)
        assert [isinstance(one, OSError) for one in found] == [fails, False]
        assert len(server.listeners) == 2 - fails and len(began) == 1 + fails
        await server.close(0)

    run(main)


def test_a_websocket_that_is_accepted_while_the_server_ends_is_told() -> None:
    switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

    async def main() -> None:
        release = asyncio.Event()

        async def handler(exchange: Any) -> None:
            await release.wait()
            async for _ in exchange.accept_websocket(switch):
                pass

        server = Server(App({"/": handler}))
        (address,) = await server.listen()
        reader, writer = await asyncio.open_connection(*address)
        writer.write(GET)
        while not any(one.exchange for one in server.connections):
            await asyncio.sleep(0)
        ending = asyncio.ensure_future(server.close(30))
        await settle()
        release.set()
        assert await reader.readexactly(len(switch)) == switch
        assert await reader.readexactly(4) == b"\x88\x02\x03\xe9"
        writer.write(b"\x88\x82\0\0\0\0\x03\xe9")
        async with asyncio.timeout(5):
            await ending
        writer.close()
        await writer.wait_closed()

    run(main)


def test_empty_extensions_are_counted() -> None:
    """A line that has one is read three times as slowly as one that has none."""
    parser = Parser(server=True)
    most = DEFAULT_LIMITS.extensions_total
    data = POST + most * b"1;\r\na\r\n"
    assert len(b"".join(parser.receive(data, len(data))[1:])) == most  # type: ignore[arg-type]
    with pytest.raises(LimitExceeded) as caught:
        parser.receive(b"1;\r\n", 4)
    assert caught.value.limit == "extensions_total"


def test_half_a_head_behind_pipelined_requests_and_then_nothing() -> None:
    """The client has closed its side before its turn came: it is not waited for."""
    _, wire = serve(App(), get(b"/late") + GET + b"GET / HT", eof=True, then=lambda hub, wire: ends.append(wire.gone))
    assert wire.statuses == [200, 200, 400] and ends == [True]


ends: list[bool] = []


def test_a_client_that_resets_when_its_last_answer_leaves() -> None:
    """asyncio shuts the socket down when its handler ends, which raised: the connection was kept for ever."""

    async def main() -> None:
        release = asyncio.Event()

        async def handler(exchange: Any) -> None:
            exchange.respond(200, TEXT, b"")
            await release.wait()

        server = Server(App({"/": handler}))
        (address,) = await server.listen()
        with socket.socket() as client:
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, address)
            # So much is behind the request that the server does not read, and so does not see the reset.
            await loop.sock_sendall(client, GET[:-2] + b"Connection: close\r\n\r\n" + b"x" * 400_000)
            while not any(one.paused for one in server.connections):
                await asyncio.sleep(0)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        release.set()
        async with asyncio.timeout(5):
            while server.connections:
                await asyncio.sleep(0)
        await server.close(0)

    run(main)


@pytest.mark.parametrize("where", ["lifespan", "background", "web"])
def test_what_does_not_heed_that_it_is_cancelled_is_not_waited_for_without_end(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("lifespan.SHUTDOWN_TIME", "lifespan.CANCEL_TIME", "server._APPLICATION"):
        monkeypatch.setattr(f"wirebird.server.{name}", 0.01)

    async def main() -> None:
        release = asyncio.Event()

        async def stays() -> None:
            while not release.is_set():
                with suppress(asyncio.CancelledError):
                    await release.wait()

        async def application(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                await receive()
                await send({"type": "lifespan.startup.complete"})
                if where == "lifespan":
                    await stays()
                await receive()
                await send({"type": "lifespan.shutdown.complete"})
                return
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body"})
            if where == "background":
                await stays()

        async def cleans_up(app: web.Application) -> None:
            await release.wait()

        app = web.Application()
        app.on_cleanup.append(cleans_up)
        hub = Hub(app if where == "web" else AsgiApp(application))
        await hub.start()
        wire = hub.connect()
        wire.feed(GET)
        await settle()
        async with asyncio.timeout(5):
            with suppress(ApplicationError):
                await hub.close(0.01)
        release.set()
        await settle()
        hub.watch.stop()

    run(main)


def test_no_request_has_two_answers() -> None:
    """A second one would be taken for that of the next request, which may be another's."""
    said: list[type] = []

    async def handler(exchange: Any) -> None:
        exchange.respond(200, TEXT, b"one")
        for again in (exchange.restart, lambda: exchange.respond(200, TEXT, b"two"), exchange.cut_short):
            try:
                again()
            except UsageError as error:
                said.append(type(error))

    _, wire = serve(App({"/odd": handler}), get(b"/odd") + GET)
    assert [response.body for response in wire.responses()] == [b"one", b"hello"] and len(said) == 3


def test_how_much_is_read_at_once() -> None:
    """S21, CVE-2025-69229: what may be made of tiny chunks is read in smaller parts than what cannot be."""
    sizes: list[int] = []

    async def handler(exchange: Any) -> None:
        await asyncio.sleep(0)
        exchange.respond(200, TEXT, b"")

    def look(hub: Hub, wire: Any) -> None:
        sizes.append(len(wire.connection.get_buffer(-1)))

    for request in (b"", POST, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"):
        serve(App({"/": handler}), request, turns=2, then=look)
    assert sizes == [65536, 65536, 262144]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="whether it is inherited depends on the system")
@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_client_that_vanishes_without_a_word_is_noticed(kind: str) -> None:
    """By TCP, however long its handler waits."""

    async def main() -> None:
        server = Server(App())
        (address,) = await server.listen()
        _, writer = await asyncio.open_connection(*address)
        while not server.connections:
            await asyncio.sleep(0)
        (connection,) = server.connections
        sock = connection.transport.get_extra_info("socket")  # type: ignore[union-attr]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        writer.close()
        await writer.wait_closed()
        await server.close(0)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if kind == "uvloop" else None) as runner:
        runner.run(main())


@pytest.mark.parametrize("framing", [b"Content-Length: 100\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n64\r\n"])
def test_a_body_that_is_larger_than_its_handler_takes(framing: bytes) -> None:
    async def handler(exchange: Any) -> None:
        exchange.respond(200, TEXT, await exchange.body.collect(10))

    request = b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"x" * 100
    for cut in (len(request), len(request) - 95, len(request) - 60):
        hub, wire = serve(App({"/": handler}), request[:cut], request[cut:], apart=True)
        assert wire.statuses == [413] and not hub.errors
