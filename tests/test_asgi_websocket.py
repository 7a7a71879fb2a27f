"""WebSockets of ASGI applications behind the server: the handshake, messages both ways, and every way to end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import wirebird as library
from asgi_servers import talk, wirebird
from asgi_subjects import talker
from origin import run
from websocket_wire import CLOSE, KEY, TEXT, Frame, close, decode, encode, text
from wirebird.errors import StatusError
from wirebird.protocol.websocket_deflate import Deflate
from wirebird.server.asgi import AsgiApp
from wirebird.server.asgi_messages import ApplicationError
from wirebird.server.server import Server
from wirebird.server.settings import Settings

BOTH = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


def handshake(path: str = "/", *fields: str) -> bytes:
    lines = [
        *(f"GET {path} HTTP/1.1", "Host: h", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
        *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *fields, "", ""),
    ]
    return "\r\n".join(lines).encode()


def messages(*given: dict[str, Any], log: list[Any] | None = None) -> Any:
    """Sends them, once it knows that there is a client; then receives up to the end."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for message in given:
            await send(dict(message))
        while log is not None:
            log.append(await receive())
            if log[-1]["type"] == "websocket.disconnect":
                return

    return app


ACCEPT = {"type": "websocket.accept"}


@asynccontextmanager
async def opened(app: Any, options: dict[str, Any] | None = None, **more: Any) -> AsyncIterator[Any]:
    async with wirebird(app, lifespan=False, **(options or {})) as port:
        async with library.HTTPClient() as client, client.websocket(f"ws://127.0.0.1:{port}/", **more) as ws:
            yield ws


async def until(found: Any) -> None:
    async with asyncio.timeout(5):
        while not found():
            await asyncio.sleep(0.001)


# -- the handshake ----------------------------------------------------------------------------------------------------------


def test_the_scope() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        assert await receive() == {"type": "websocket.connect"}
        await send({"type": "websocket.close"})

    async def main() -> None:
        nonlocal port
        async with wirebird(app, lifespan=False, root_path="/api") as port:
            await talk(port, handshake("/%C3%BC?a=1", "Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol: c", "X-A: 1"))

    port = 0
    run(main)
    (scope,) = scopes
    headers = scope.pop("headers")
    assert (b"x-a", b"1") in headers
    assert scope.pop("client")[0] == "127.0.0.1"
    assert scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/api/ü",
        "raw_path": b"/api/%C3%BC",
        "query_string": b"a=1",
        "root_path": "/api",
        "subprotocols": ["a", "b", "c"],
        "server": ("127.0.0.1", port),
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }


@BOTH
def test_accept(loop: str) -> None:
    log: list[Any] = []
    app = messages({**ACCEPT, "subprotocol": "b", "headers": [(b"x-a", b"1"), [b"set-cookie", b"a=b"]]}, log=log)

    async def main() -> None:
        async with opened(app, protocols=["a", "b"]) as ws:
            assert ws.subprotocol == "b"
            assert ws.response.headers["x-a"] == "1"
            assert ws.response.headers["set-cookie"] == "a=b"
            await ws.send("grüße")
            await ws.send(b"\x00\xff")
        await until(lambda: len(log) == 3)

    run(main, loop)
    assert log == [
        {"type": "websocket.receive", "text": "grüße"},
        {"type": "websocket.receive", "bytes": b"\x00\xff"},
        {"type": "websocket.disconnect", "code": 1000, "reason": ""},
    ]


@pytest.mark.parametrize(
    ("accept", "said"),
    [
        ({"subprotocol": "other"}, "not offered"),
        ({"subprotocol": "a, b"}, "not offered"),
        ({"headers": [(b"Sec-WebSocket-Accept", b"x")]}, "handshake"),
        ({"headers": [(b"connection", b"close")]}, "handshake"),
        ({"headers": [(b"sec-websocket-extensions", b"x")]}, "handshake"),
        ({"headers": [(b"a", b"b\r\nc: d")]}, "none"),
        ({"headers": [(b"a b", b"c")]}, "none"),
        ({"headers": [("a", "b")]}, "pair of bytes"),
    ],
)
def test_what_is_no_accept(accept: dict[str, Any], said: str) -> None:
    async def main() -> None:
        async with wirebird(messages({**ACCEPT, **accept}), errors=errors, lifespan=False) as port:
            sent = await talk(port, handshake("/", "Sec-WebSocket-Protocol: a, b"))
            assert sent.startswith(b"HTTP/1.1 500 ")

    errors: list[BaseException] = []
    run(main)
    (error,) = errors
    assert isinstance(error, ApplicationError)
    assert said in str(error)


def test_refusals() -> None:
    told: list[Any] = []

    async def main() -> None:
        async with wirebird(talker(told), lifespan=False) as port:
            for path, status in (("/refuse", 403), ("/answer", 401)):
                async with library.HTTPClient() as client:
                    with pytest.raises(StatusError) as caught:
                        await client.websocket(f"ws://127.0.0.1:{port}{path}")
                assert caught.value.response.status_code == status
            sent = await talk(port, handshake("/answer"))
            assert sent.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
            assert b"\r\nx-why: so\r\n" in sent and b"\r\nConnection: close\r\n" in sent

    run(main)
    assert {"type": "websocket.disconnect", "code": 1006, "reason": ""} in told


def test_a_handshake_that_is_none_is_refused_before_the_application_hears_of_it() -> None:
    called: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        called.append(scope)

    async def main() -> None:
        async with wirebird(app, lifespan=False) as port:
            for data, status in (
                (handshake().replace(b"Version: 13", b"Version: 12"), b"426 Upgrade Required"),
                (handshake().replace(b"dGhl", b"d"), b"400 Bad Request"),
                (handshake().replace(b"GET", b"POST"), b"405 Method Not Allowed"),
                (handshake("/", "Content-Length: 3") + b"abc", b"400 Bad Request"),
                (handshake("/", "Sec-WebSocket-Protocol: a b"), b"400 Bad Request"),
            ):
                assert (await talk(port, data)).startswith(b"HTTP/1.1 " + status)

    run(main)
    assert called == []


def test_another_protocol_to_switch_to_is_not_looked_at() -> None:
    kinds: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kinds.append(scope["type"])
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    async def main() -> None:
        async with wirebird(app, lifespan=False) as port:
            await talk(port, b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\n\r\n")
            await talk(port, b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n")

    run(main)
    assert kinds == ["http", "http"]


def test_a_client_that_leaves_before_it_is_accepted() -> None:
    told: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        told.append(await receive())
        here.set()
        told.append(await receive())
        try:
            await send(dict(ACCEPT))
        except OSError:
            told.append("OSError")
            raise

    async def main() -> None:
        nonlocal here
        here = asyncio.Event()
        async with wirebird(app, errors=errors, lifespan=False) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(handshake())
            await here.wait()
            writer.transport.abort()
            await until(lambda: len(told) == 3)

    here: asyncio.Event
    errors: list[BaseException] = []
    run(main)
    assert told == [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1006, "reason": ""}, "OSError"]
    assert errors == []


def test_too_many() -> None:
    async def main() -> None:
        async with wirebird(talker([]), errors=[], lifespan=False, settings=Settings(max_websockets=1)) as port:
            async with library.HTTPClient() as client, client.websocket(f"ws://127.0.0.1:{port}/echo"):
                sent = await talk(port, handshake("/echo"))
                assert sent.startswith(b"HTTP/1.1 503 ")

    run(main)


# -- messages ---------------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("deflate", [True, False, Deflate(threshold=0)])
def test_echo(deflate: Any, loop: str) -> None:
    async def main() -> None:
        async with opened(talker([]), {"compression": deflate}) as ws:
            assert (ws.compression is not None) is bool(deflate)
            for data in ("", "grüße", b"", b"\x00" * 300_000, "x" * 100_000):
                await ws.send(data)
                assert (await ws.receive()).data == data

    run(main, loop)


def test_what_arrives_with_the_handshake() -> None:
    log: list[Any] = []

    async def main() -> None:
        async with wirebird(messages(ACCEPT, log=log), lifespan=False) as port:
            sent = await talk(port, handshake() + encode(text("a"), KEY) + encode(close(1000), KEY))
        assert sent.startswith(b"HTTP/1.1 101 ")
        assert decode(sent.partition(b"\r\n\r\n")[2], masked=False) == [close(1000)]

    run(main)
    assert [message.get("text", message.get("code")) for message in log] == ["a", 1000]


def test_a_message_that_is_too_large_closes_with_1009() -> None:
    log: list[Any] = []

    async def main() -> None:
        async with opened(messages(ACCEPT, log=log), {"max_message_size": 1000}, compression=False) as ws:
            await ws.send("x" * 1000)
            await ws.send("x" * 1001)
            async for _ in ws:
                pass
            assert ws.close_code == 1009
        await until(lambda: len(log) == 2)

    run(main)
    assert log[1]["code"] == 1009


def test_a_reader_that_is_behind_makes_the_client_wait() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(dict(ACCEPT))
        await go_on.wait()
        size = 0
        while (message := await receive())["type"] == "websocket.receive":
            size += len(message["bytes"])
            if size == 40_000_000:
                await send({"type": "websocket.send", "text": str(size)})

    async def main() -> None:
        nonlocal go_on
        go_on = asyncio.Event()
        async with opened(app, compression=False) as ws:
            sending = asyncio.create_task(send_all(ws))
            _, pending = await asyncio.wait([sending], timeout=0.1)
            assert pending
            go_on.set()
            await sending
            assert await ws.receive_text() == "40000000"

    async def send_all(ws: Any) -> None:
        for _ in range(400):
            await ws.send(bytes(100_000))

    go_on: asyncio.Event
    run(main)


def test_a_client_that_is_slow_to_read_makes_send_wait() -> None:
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await receive()
        await send(dict(ACCEPT))
        for _ in range(400):
            await send({"type": "websocket.send", "bytes": bytes(100_000)})
            sent += 1
        await send({"type": "websocket.close"})

    async def main() -> None:
        async with opened(app, compression=False, max_queue=100_000) as ws:
            before = -1
            while before != sent or not sent:
                before = sent
                await asyncio.sleep(0.02)
            assert sent < 200
            assert sum([len(message.data) async for message in ws]) == 40_000_000

    run(main)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.send"},
        {"type": "websocket.send", "text": None, "bytes": None},
        {"type": "websocket.send", "text": b"bytes"},
        {"type": "websocket.send", "bytes": "text"},
        {"type": "websocket.accept"},
        {"type": "http.response.start", "status": 200},
        {"type": "websocket.close", "code": 1005},
        {"type": "websocket.close", "code": 70_000},
        {"type": "websocket.close", "code": "1000"},
        {"type": "websocket.close", "reason": "x" * 124},
    ],
)
def test_what_may_not_be_sent(message: dict[str, Any]) -> None:
    """It raises where it was sent, is told again if it was swallowed there, and closes with 1011."""

    async def swallows(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(dict(ACCEPT))
        try:
            await send(dict(message))
        except ApplicationError:
            pass

    for app in (messages(ACCEPT, message), swallows):
        errors: list[BaseException] = []

        async def main(app: Any = app, errors: list[BaseException] = errors) -> None:
            async with opened(app, {"errors": errors}) as ws:
                async for _ in ws:
                    pass
                assert ws.close_code == 1011

        run(main)
        assert [type(error) for error in errors] == [ApplicationError]


@pytest.mark.parametrize(
    "given",
    [
        [{"type": "websocket.send", "text": "early"}],
        [{"type": "http.response.start", "status": 200}],
        [{"type": "websocket.http.response.body"}],
        [{"type": "websocket.http.response.start", "status": 200}, ACCEPT],
        [{"type": "websocket.http.response.start", "status": 99}],
        [{"type": "websocket.http.response.start", "status": 200}],
        [],
    ],
)
def test_what_is_no_handshake(given: list[dict[str, Any]]) -> None:
    async def main() -> None:
        async with wirebird(messages(*given), errors=errors, lifespan=False) as port:
            assert (await talk(port, handshake())).startswith(b"HTTP/1.1 500 ")

    errors: list[BaseException] = []
    run(main)
    assert [type(error) for error in errors] == [ApplicationError]


# -- the end ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", [{}, {"code": 4001, "reason": "grüße"}, {"code": 1000, "reason": None}])
def test_the_application_closes(message: dict[str, Any]) -> None:
    log: list[Any] = []

    async def main() -> None:
        async with opened(messages(ACCEPT, {"type": "websocket.close", **message}, log=log)) as ws:
            async for _ in ws:
                pass
            assert (ws.close_code, ws.close_reason) == (message.get("code", 1000), message.get("reason") or "")

    run(main)
    assert log == [{"type": "websocket.disconnect", "code": message.get("code", 1000), "reason": message.get("reason") or ""}]


def test_nothing_may_be_sent_behind_the_close() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(dict(ACCEPT))
        await send({"type": "websocket.close"})
        await send({"type": "websocket.send", "text": "late"})

    async def main() -> None:
        async with opened(app, {"errors": errors}) as ws:
            async for _ in ws:
                pass
            assert ws.close_code == 1000

    errors: list[BaseException] = []
    run(main)
    assert [type(error) for error in errors] == [ApplicationError]


def test_the_application_does_not_wait_for_a_client_that_does_not_answer_its_close() -> None:
    returned = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await messages(ACCEPT, {"type": "websocket.close"}, log=[])(scope, receive, send)
        returned.set()

    async def main() -> None:
        async with wirebird(app, lifespan=False, close_timeout=0.2) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(handshake())
            async with asyncio.timeout(0.15):
                await returned.wait()
            rest = await reader.read()  # it was given its time, and then left
            assert decode(rest.partition(b"\r\n\r\n")[2], masked=False) == [close(1000)]
            writer.close()

    run(main)


@pytest.mark.parametrize(
    ("frame", "end"),
    [
        (close(), {"code": 1005, "reason": ""}),
        (close(4000), {"code": 4000, "reason": ""}),
        (close(1001, "bye"), {"code": 1001, "reason": "bye"}),
        (Frame(TEXT, b"\xff"), {"code": 1007}),
        (Frame(CLOSE, b"\x03"), {"code": 1002}),
        (None, {"code": 1006, "reason": ""}),
    ],
)
def test_the_client_ends_it(frame: Frame | None, end: dict[str, Any]) -> None:
    log: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await messages(ACCEPT, log=log)(scope, receive, send)
        try:
            await send({"type": "websocket.send", "text": "late"})
        except OSError:
            log.append("OSError")
            raise

    async def main() -> None:
        async with wirebird(app, errors=errors, lifespan=False) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(handshake())
            await reader.readuntil(b"\r\n\r\n")
            if frame is not None:
                writer.write(encode(frame, KEY))
            else:
                writer.transport.abort()
            await until(lambda: len(log) == 2)
            writer.close()

    errors: list[BaseException] = []
    run(main)
    assert log[0]["type"] == "websocket.disconnect"
    assert log[0].items() >= end.items()
    assert log[1] == "OSError"
    assert errors == []


@pytest.mark.parametrize(("raises", "code"), [(False, 1000), (True, 1011)])
def test_the_application_ends(raises: bool, code: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(dict(ACCEPT))
        await receive()
        if raises:
            raise RuntimeError("odd")

    async def main() -> None:
        async with opened(app, {"errors": errors}) as ws:
            await ws.send("now")
            async for _ in ws:
                pass
            assert ws.close_code == code

    errors: list[BaseException] = []
    run(main)
    assert [type(error) for error in errors] == ([RuntimeError] if raises else [])


@pytest.mark.parametrize("heeds", [True, False])
def test_the_server_ends(heeds: bool) -> None:
    log: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(dict(ACCEPT))
        log.append(await receive())
        try:
            await asyncio.sleep(0 if heeds else 30)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    async def main() -> None:
        server = Server(AsgiApp(app, lifespan=False))
        port = (await server.listen())[0][1]
        async with library.HTTPClient() as client, client.websocket(f"ws://127.0.0.1:{port}/") as ws:
            closing = asyncio.create_task(server.close(5.0 if heeds else 0.05))
            async for _ in ws:
                pass
            assert ws.close_code == 1001
            await closing
        assert len(asyncio.all_tasks()) == 1

    run(main)
    assert log[0]["code"] == 1001
    assert log[1:] == ([] if heeds else ["cancelled"])
