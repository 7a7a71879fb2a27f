"""`web.WebSocketResponse`: the handshake and its refusals, both directions, every way to end, and other people's clients."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import wirebird
from origin import run
from web_wire import Line, ask, line
from websocket_peers import KINDS, Peer, missing, peers_as_needed
from websocket_wire import CLOSE, PING, PONG, TEXT, Frame, decode, encode
from websocket_wire import KEY as FRAME_KEY
from wirebird import web
from wirebird.errors import ConnectionLost, InvalidHeader, ReadTimeout, UsageError, WebSocketClosed, WebSocketError
from wirebird.protocol.websocket_deflate import Deflate
from wirebird.server.server import Server
from wirebird.server.settings import Settings
from wirebird.testing import TestServer

BOTH = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
KEY = "dGhlIHNhbXBsZSBub25jZQ=="

Talk = Callable[[web.WebSocketResponse], Awaitable[None]]


def handshake(*fields: str, host: str = "a", method: str = "GET", path: str = "/ws", version: str | None = "13") -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY}",
    ]
    if version is not None:
        lines.append(f"Sec-WebSocket-Version: {version}")
    return "\r\n".join([*lines, *fields, "", ""]).encode()


def app_for(talk: Talk | None = None, path: str = "/ws", **options: Any) -> web.Application:
    """An application whose `path` is a WebSocket that `talk` talks over, or that echoes."""

    async def echo(ws: web.WebSocketResponse) -> None:
        async for message in ws:
            if isinstance(message.data, str):
                await ws.send_str(message.data)
            else:
                await ws.send_bytes(message.data)

    async def handler(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(**options)
        await ws.prepare(request)
        await (talk or echo)(ws)
        return ws

    app = web.Application()
    app.add_routes([web.route("*", path, handler)])
    return app


@asynccontextmanager
async def serving(talk: Talk | None = None, *, errors: int = 0, **options: Any) -> AsyncIterator[TestServer]:
    async with TestServer(app_for(talk, **options)) as server:
        yield server
    assert len(server.errors) == errors, server.errors


@asynccontextmanager
async def opened(server: TestServer, **options: Any) -> AsyncIterator[wirebird.WebSocket]:
    async with wirebird.HTTPClient() as client, client.websocket(server.url("/ws"), **options) as ws:
        yield ws


async def frame(wire: Line) -> Frame:
    """The next frame of a server, which masks nothing."""
    head = await wire.reader.readexactly(2)
    size = head[1]
    if size == 126:
        more = await wire.reader.readexactly(2)
        head += more
        size = int.from_bytes(more, "big")
    return decode(head + await wire.reader.readexactly(size), masked=False)[0]


@asynccontextmanager
async def raw(server: TestServer, *fields: str) -> AsyncIterator[Line]:
    """A connection on which the handshake is done."""
    async with line(server) as wire:
        await wire.send(handshake(*fields))
        head = await wire.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n"), head
        yield wire


def quiet(caplog: pytest.LogCaptureFixture) -> bool:
    """Whether nobody was told of anything; asyncio complains of slow machines."""
    return not [one for one in caplog.records if one.levelno >= logging.WARNING and one.name.startswith("wirebird")]


# -- the handshake -----------------------------------------------------------------------------------------------------------


def test_the_answer_is_that_of_the_rfc() -> None:
    async def main() -> None:
        async with serving(protocols=["chat.v2", "chat.v1"]) as server, line(server) as wire:
            await wire.send(handshake("Sec-WebSocket-Protocol: chat.v1, other", "Sec-WebSocket-Extensions: permessage-deflate"))
            head = (await wire.reader.readuntil(b"\r\n\r\n")).decode()
        assert head.split("\r\n")[0] == "HTTP/1.1 101 Switching Protocols"
        assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
        assert "Sec-WebSocket-Protocol: chat.v1\r\n" in head
        assert "Sec-WebSocket-Extensions: permessage-deflate" in head
        assert "content-" not in head.lower()

    run(main)


def test_a_request_has_the_transport_of_its_websocket() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        before = request.get_extra_info("peername")
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.send_str(str(request.get_extra_info("peername") == before == request.transport.get_extra_info("peername")))
        return ws

    async def main() -> None:
        app = web.Application()
        app.add_routes([web.get("/ws", handler)])
        async with TestServer(app) as server, raw(server) as wire:
            assert (await frame(wire)).payload == b"True"

    run(main)


@pytest.mark.parametrize(
    ("data", "status", "field"),
    [
        (b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n", 426, "Upgrade: websocket"),
        (handshake(version="12"), 426, "Sec-WebSocket-Version: 13"),
        (handshake(version=None), 426, "Sec-WebSocket-Version: 13"),
        (handshake(method="POST"), 405, "Allow: GET"),
        (handshake().replace(KEY.encode(), b"short"), 400, ""),
        (handshake(f"Sec-WebSocket-Key: {KEY}"), 400, ""),
        (handshake("Origin: https://evil.example"), 403, ""),
        (handshake("Origin: null"), 403, ""),
        (handshake("Origin: http://a.evil.example"), 403, ""),
        (handshake("Origin: http://a:81"), 403, ""),
        (handshake("Origin: http://a", "Origin: http://a"), 400, ""),
        (handshake("Content-Length: 5") + b"GET /", 400, ""),
    ],
)
def test_what_is_refused(data: bytes, status: int, field: str) -> None:
    async def main() -> None:
        async with serving() as server:
            answer = await ask(server, data)
        assert answer.status == status
        assert field in answer.head
        assert "sec-websocket-accept" not in answer.head.lower()
        if "Upgrade: " in answer.head:  # RFC 9110 7.8
            assert "Connection: Upgrade, " in answer.head

    run(main)


@pytest.mark.parametrize(
    ("origins", "origin", "status"),
    [
        (("same-origin",), "https://A", 101),
        (("same-origin",), "http://a:80", 101),
        (None, "https://evil.example", 101),
        (("https://app.example",), "https://app.example", 101),
        (("https://app.example",), "http://app.example", 403),
        (("https://app.example",), "http://a", 403),
        (("null",), "null", 101),
        ((), "http://a", 403),
    ],
)
def test_whose_pages_may_connect(origins: Any, origin: str, status: int) -> None:
    async def main() -> None:
        async with serving(origins=origins) as server, line(server) as wire:
            await wire.send(handshake(f"Origin: {origin}", "Cookie: session=secret"))
            assert (await wire.reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 %d" % status)

    run(main)


def test_can_prepare_says_what_would_come_of_it() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(protocols=["b"])
        ready = ws.can_prepare(request)
        if not ready:
            return web.Response(text=f"no, {ready.protocol}")
        assert ready == (True, "b")
        await ws.prepare(request)
        await ws.prepare(request)  # once is enough
        with pytest.raises(RuntimeError):
            ws.can_prepare(request)
        await ws.send_str(ws.protocol or "none")
        return ws

    async def main() -> None:
        app = web.Application()
        app.add_routes([web.get("/ws", handler)])
        async with TestServer(app) as server:
            assert (await ask(server, b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n")).body == b"no, None"
            async with opened(server, protocols=["a", "b"]) as ws:
                assert (await ws.receive()).data == "b"
                assert ws.subprotocol == "b"
        assert server.errors == []

    run(main)


def test_fields_and_cookies_of_the_101_and_who_hears_of_it() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(headers={"X-Own": "1"})
        ws.set_cookie("seen", "yes")
        await ws.prepare(request)
        return ws

    async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-Signal"] = str(response.status)

    async def main() -> None:
        app = web.Application()
        app.on_response_prepare.append(on_prepare)
        app.add_routes([web.get("/ws", handler)])
        async with TestServer(app) as server, line(server) as wire:
            await wire.send(handshake())
            head = await wire.reader.readuntil(b"\r\n\r\n")
            await wire.send(encode(Frame(CLOSE, b"\x03\xe8"), FRAME_KEY))
        for field in (b"X-Own: 1\r\n", b"Set-Cookie: seen=yes; Path=/\r\n", b"X-Signal: 101\r\n"):
            assert field in head
        assert server.errors == []

    run(main)


def test_fields_of_the_handshake_are_not_the_handlers() -> None:
    async def talk(ws: web.WebSocketResponse) -> None:
        """It does not come to that."""

    async def main() -> None:
        async with serving(talk, errors=1, headers={"Sec-WebSocket-Accept": "x"}) as server:
            assert (await ask(server, handshake())).status == 500
        assert isinstance(server.errors[0], InvalidHeader)

    run(main)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("protocols", "chat"),
        ("protocols", ["a", "a"]),
        ("heartbeat", 0),
        ("compression", 9),
        ("max_size", 0),
        ("max_queue", 0),
        ("origins", "http://a"),
        ("origins", ["*"]),
        ("auto_pong", 1),
        ("close_timeout", -1),
        ("receive_timeout", 0),
    ],
)
def test_what_is_no_argument(argument: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        web.WebSocketResponse(**{argument: value})
    assert caught.value.argument == argument


def test_nothing_works_before_prepare() -> None:
    ws = web.WebSocketResponse()
    assert (ws.closed, ws.close_code, ws.close_reason, ws.protocol, ws.latency, ws.exception()) == (False, *(None,) * 5)
    assert ws.compression is None

    async def main() -> None:
        for call in (ws.send_str("a"), ws.send_bytes(b"a"), ws.receive(), ws.ping(), ws.close(), ws.write_eof(), ws.write(b"")):
            with pytest.raises(RuntimeError):
                await call
        with pytest.raises(RuntimeError):
            ws.__aiter__()

    run(main)


# -- messages ----------------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("compression", [True, False, Deflate(server_no_context_takeover=True)])
def test_messages_both_ways(loop: str, compression: Any) -> None:
    async def talk(ws: web.WebSocketResponse) -> None:
        assert (ws.compression is not None) is (compression is not False)
        assert await ws.receive_str() == "text ü"
        assert await ws.receive_bytes() == b"\0bytes"
        assert await ws.receive_json() == {"a": [1, 2]}
        await ws.send_str("text ü")
        await ws.send_bytes(bytearray(b"\0bytes"))
        await ws.send_json({"a": [1, 2]})
        await ws.send_fragments(["one", "two"])
        await ws.send_str("x" * 100_000, compress=True)
        with pytest.raises(TypeError):
            await ws.receive_str()
        with pytest.raises(TypeError):
            await ws.receive_bytes()
        with pytest.raises(UsageError):
            await ws.send_str(b"bytes")  # type: ignore[arg-type]
        with pytest.raises(UsageError):
            await ws.send_bytes("str")  # type: ignore[arg-type]
        with pytest.raises(RuntimeError):
            await ws.write(b"")

    async def main() -> None:
        async with serving(talk, compression=compression) as server, opened(server) as ws:
            await ws.send("text ü")
            await ws.send(b"\0bytes")
            await ws.send_json({"a": [1, 2]})
            assert await ws.receive_text() == "text ü"
            assert await ws.receive_bytes() == b"\0bytes"
            assert await ws.receive_json() == {"a": [1, 2]}
            assert await ws.receive_text() == "onetwo"
            assert len(await ws.receive_text()) == 100_000
            await ws.send(b"no text")
            await ws.send("no bytes")
            assert [message async for message in ws] == []
            assert ws.close_code == 1000

    run(main, loop)


def test_what_comes_with_the_handshake_is_received() -> None:
    async def main() -> None:
        async with serving() as server, line(server) as wire:
            await wire.send(handshake() + encode(Frame(TEXT, b"early"), FRAME_KEY))
            await wire.reader.readuntil(b"\r\n\r\n")
            assert await frame(wire) == Frame(TEXT, b"early")

    run(main)


def test_pings_are_answered_or_given_out() -> None:
    async def talk(ws: web.WebSocketResponse) -> None:
        message = await ws.receive()
        assert message == (wirebird.MessageType.PING, b"asked")
        await ws.pong(b"answer")
        await ws.ping(b"ping")
        assert await ws.receive() == (wirebird.MessageType.PONG, b"ping")

    async def main() -> None:
        async with serving(talk, auto_pong=False) as server, raw(server) as wire:
            await wire.send(encode(Frame(PING, b"asked"), FRAME_KEY))
            assert await frame(wire) == Frame(PONG, b"answer")
            assert await frame(wire) == Frame(PING, b"ping")
            await wire.send(encode(Frame(PONG, b"ping"), FRAME_KEY))
            assert (await frame(wire)).opcode == CLOSE
        async with serving() as server, raw(server) as wire:
            await wire.send(encode(Frame(PING, b"asked"), FRAME_KEY))
            assert await frame(wire) == Frame(PONG, b"asked")

    run(main)


def test_a_message_beyond_the_limit_is_closed_with_1009(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[web.WebSocketResponse] = []

    async def talk(ws: web.WebSocketResponse) -> None:
        seen.append(ws)
        async for _ in ws:
            raise AssertionError

    async def main() -> None:
        for options in ({"compression": False}, {}):
            async with serving(talk, max_size=1000, **options) as server, opened(server) as ws:
                await ws.send("x" * 1001)
                with pytest.raises(WebSocketClosed):
                    await ws.receive()
                assert ws.close_code == 1009

    run(main)
    assert isinstance(seen[0].exception(), WebSocketError)
    assert seen[0].close_code == 1009
    assert quiet(caplog)


def test_the_limit_is_four_mebibytes() -> None:
    async def main() -> None:
        async with serving() as server, opened(server, max_size=None) as ws:
            await ws.send(bytes(4 * 2**20))
            assert len(await ws.receive_bytes()) == 4 * 2**20
            await ws.send(bytes(4 * 2**20 + 1))
            with pytest.raises(WebSocketClosed):
                await ws.receive()
            assert ws.close_code == 1009

    run(main)


def test_time_limits_of_receiving() -> None:
    async def talk(ws: web.WebSocketResponse) -> None:
        with pytest.raises(ReadTimeout):
            await ws.receive(0.001)
        with pytest.raises(ReadTimeout):
            await ws.receive_str()
        await ws.send_str("go on")
        data = []
        with pytest.raises(ReadTimeout):
            async for message in ws:
                data.append(message.data)  # noqa: PERF401  (it is kept though the loop raises)
        assert data == ["here"]
        await ws.send_str("and end")
        async for _ in ws:
            raise AssertionError

    async def main() -> None:
        async with serving(talk, receive_timeout=0.05) as server, opened(server) as ws:
            assert await ws.receive_text() == "go on"
            await ws.send("here")
            assert await ws.receive_text() == "and end"

    run(main)


# -- the end -----------------------------------------------------------------------------------------------------------------


@BOTH
def test_a_handler_that_returns_closes_it(loop: str) -> None:
    async def talk(ws: web.WebSocketResponse) -> None:
        await ws.send_str("bye")

    async def main() -> None:
        async with serving(talk) as server, opened(server) as ws:
            assert [message.data async for message in ws] == ["bye"]
            assert ws.close_code == 1000

    run(main, loop)


def test_a_response_that_is_not_prepared_is_when_it_is_returned() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.WebSocketResponse()

    async def main() -> None:
        app = web.Application()
        app.add_routes([web.get("/ws", handler)])
        async with TestServer(app) as server, opened(server) as ws:
            with pytest.raises(WebSocketClosed):
                await ws.receive()
            assert ws.close_code == 1000
        assert server.errors == []

    run(main)


@pytest.mark.parametrize("error", [ValueError("secret"), web.HTTPNotFound(text="secret")])
def test_a_handler_that_raises_closes_it_with_1011(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    async def talk(ws: web.WebSocketResponse) -> None:
        await ws.receive()
        raise error

    async def main() -> None:
        async with serving(talk, errors=1) as server, opened(server) as ws:
            await ws.send("x")
            with pytest.raises(WebSocketClosed):
                await ws.receive()
            assert (ws.close_code, ws.close_reason) == (1011, "")

    run(main)
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1


@pytest.mark.parametrize("code", [1000, 4321])
def test_the_handler_closes(code: int) -> None:
    async def talk(ws: web.WebSocketResponse) -> None:
        with pytest.raises(UsageError):
            await ws.close(1005)
        await ws.close(code, "enough")
        assert ws.closed
        assert (ws.close_code, ws.exception()) == (code, None)
        await ws.close()
        with pytest.raises(WebSocketClosed):
            await ws.send_str("late")

    async def main() -> None:
        async with serving(talk) as server, opened(server) as ws:
            with pytest.raises(WebSocketClosed):
                await ws.receive()
            assert (ws.close_code, ws.close_reason) == (code, "enough")

    run(main)


def test_the_client_closes(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[tuple[int | None, str | None]] = []

    async def talk(ws: web.WebSocketResponse) -> None:
        async for _ in ws:
            raise AssertionError
        seen.append((ws.close_code, ws.close_reason))
        await ws.send_str("to nobody")  # which is quiet

    async def main() -> None:
        async with serving(talk) as server, opened(server) as ws:
            await ws.close(3000, "tired")

    run(main)
    assert seen == [(3000, "tired")]
    assert quiet(caplog)


@BOTH
def test_a_client_that_vanishes(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Any] = []

    async def talk(ws: web.WebSocketResponse) -> None:
        await ws.send_str("here")
        try:
            async for _ in ws:
                raise AssertionError
        finally:
            seen.append((ws.close_code, type(ws.exception()), ws.closed))

    async def main() -> None:
        async with serving(talk) as server:
            async with raw(server) as wire:
                await frame(wire)
            async with raw(server) as wire:
                await frame(wire)
                wire.writer.transport.abort()

    run(main, loop)
    assert seen == [(1006, ConnectionLost, True)] * 2
    assert quiet(caplog)


def test_a_client_that_leaves_before_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    begun, left, over = asyncio.Event(), asyncio.Event(), asyncio.Event()
    seen: list[type[BaseException]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        begun.set()
        await left.wait()
        ws = web.WebSocketResponse()
        try:
            await ws.prepare(request)
            await ws.receive()
        except BaseException as error:
            seen.append(type(error))
            raise
        finally:
            over.set()
        return ws

    async def main() -> None:
        app = web.Application()
        app.add_routes([web.get("/ws", handler)])
        for _ in range(2):
            async with TestServer(app) as server:
                async with line(server) as wire:
                    await wire.send(handshake())
                    await begun.wait()
                    wire.writer.transport.abort()
                await asyncio.sleep(0.01)  # for the news to arrive, which makes no difference
                left.set()
                async with asyncio.timeout(5):
                    await over.wait()
                over.clear()
            assert server.errors == []

    run(main)
    assert seen == [ConnectionLost] * 2
    assert quiet(caplog)


def test_a_heartbeat_finds_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def talk(ws: web.WebSocketResponse) -> None:
        async for _ in ws:
            raise AssertionError

    async def main() -> None:
        async with serving(talk, heartbeat=0.1) as server, raw(server) as wire:
            assert (await frame(wire)).opcode == PING
            assert await wire.reader.read() == b""

    run(main)
    assert quiet(caplog)


def test_a_slow_reader_holds_the_handler_up() -> None:
    sent = 0

    async def talk(ws: web.WebSocketResponse) -> None:
        nonlocal sent
        for _ in range(200):
            await ws.send_bytes(bytes(2**20), compress=False)
            sent += 1

    async def main() -> None:
        async with serving(talk) as server, raw(server) as wire:
            before = -1
            while before != sent or not sent:
                before = sent
                await asyncio.sleep(0.05)
            assert 0 < sent < 50
            wire.writer.transport.abort()

    run(main)


@BOTH
def test_the_server_is_closed(loop: str) -> None:
    seen: list[int | None] = []

    async def talk(ws: web.WebSocketResponse) -> None:
        await ws.send_str("here")
        async for _ in ws:
            raise AssertionError
        await asyncio.sleep(0)
        seen.append(ws.close_code)

    async def main() -> None:
        async with TestServer(app_for(talk)) as server, wirebird.HTTPClient() as client:
            sockets = [await client.websocket(server.url("/ws")) for _ in range(3)]
            for ws in sockets:
                await ws.receive()
            closing = asyncio.ensure_future(server.close())
            for ws in sockets:
                with pytest.raises(WebSocketClosed):
                    await ws.receive()
                assert ws.close_code == 1001
            await closing
        assert server.errors == []

    run(main, loop)
    assert seen == [1001] * 3


def test_a_handler_that_does_not_end_is_cancelled_when_the_server_is_closed() -> None:
    seen: list[str] = []

    async def talk(ws: web.WebSocketResponse) -> None:
        await ws.send_str("here")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def main() -> None:
        async with TestServer(app_for(talk), shutdown_timeout=0.1) as server, opened(server) as ws:
            await ws.receive()
            await server.close()
        assert server.errors == []

    run(main)
    assert seen == ["cancelled"]


def test_only_so_many_at_once() -> None:
    async def main() -> None:
        server = Server(app_for(), Settings(max_websockets=2))
        port = (await server.listen())[0][1]
        url = f"ws://127.0.0.1:{port}/ws"
        try:
            async with wirebird.HTTPClient() as client:
                first = await client.websocket(url)
                second = await client.websocket(url)
                with pytest.raises(wirebird.StatusError) as caught:
                    await client.websocket(url)
                assert caught.value.response.status_code == 503
                await first.close()
                while len(server.upgraded) > 1:
                    await asyncio.sleep(0)
                third = await client.websocket(url)
                await asyncio.gather(second.close(), third.close())
        finally:
            await server.close(1)

    run(main)


def test_a_websocket_over_tls() -> None:
    async def main() -> None:
        async with TestServer(app_for(), ssl=wirebird.testing.ThrowawayTLS()) as server:
            async with (
                wirebird.HTTPClient() as client,
                client.websocket(server.url("/ws"), ssl=server.tls.client) as ws,  # type: ignore[union-attr]
            ):
                await ws.send("safe")
                assert await ws.receive_text() == "safe"
        assert server.errors == []

    run(main)


# -- other people's clients --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def peers() -> Iterator[dict[str, Peer]]:
    with peers_as_needed() as started:
        yield started


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.skipif(missing(kind) != "", reason=missing(kind))) for kind in KINDS]
)
@pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflate"])
def test_a_conversation_with_others(kind: str, deflate: bool, peers: dict[str, Peer]) -> None:
    async def talk(ws: web.WebSocketResponse) -> None:
        assert ws.protocol == "chat.v1"
        assert (ws.compression is not None) is deflate
        for data in ("naïve 漢字", "", "x" * 70_000):
            await ws.send_str(data)
            assert await ws.receive_str() == data
        for data in (b"", bytes(range(256)) * 1000):
            await ws.send_bytes(data)
            assert await ws.receive_bytes() == data
        await ws.send_fragments(["in ", "pieces"])
        assert await ws.receive_str() == "in pieces"
        assert await ws.websocket.ping() > 0
        await ws.send_str("!close 4001 done")
        with pytest.raises(WebSocketClosed):
            await ws.receive()
        assert (ws.close_code, ws.close_reason) == (4001, "done")

    async def main() -> None:
        tag = f"/ws-{kind}-{deflate}"
        async with TestServer(app_for(talk, tag, protocols=["chat.v1"])) as server:
            peer = peers[kind]
            peer.connect(f"ws://127.0.0.1:{server.port}{tag}", deflate=deflate, protocols=("chat.v2", "chat.v1"))
            record = await peer.report(tag)
            assert record.get("code") == 4001, record
        assert server.errors == []

    run(main)
