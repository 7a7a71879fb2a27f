"""`ClientSession.ws_connect` of `wirebird.compat.aiohttp` beside aiohttp's, with our server."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import aiohttp
import pytest

from origin import run
from websocket_origin import WebSocketOrigin, answer
from wirebird.compat import aiohttp as ours
from wirebird.models.message import RequestHead
from wirebird.net.websocket import WebSocket
from wirebird.protocol.websocket_deflate import Deflate

LIBRARIES = {"aiohttp": aiohttp, "wirebird": ours}

both = pytest.mark.parametrize("lib", list(LIBRARIES.values()), ids=list(LIBRARIES))


@both
def test_the_loop_of_the_quickstart(lib: Any) -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, lib.ClientSession() as session:

            async def talk(ws: WebSocket, head: RequestHead) -> None:
                await ws.send("hello")
                async for message in ws:
                    if message.data == "hello/answer":
                        await ws.send("close cmd")

            origin.on("/ws", talk)
            seen = []
            async with session.ws_connect(origin.url("/ws")) as ws:
                async for msg in ws:
                    seen.append(msg.data)
                    if msg.type == lib.WSMsgType.TEXT:
                        if msg.data == "close cmd":
                            assert await ws.close()
                            break
                        await ws.send_str(msg.data + "/answer")
                    elif msg.type == lib.WSMsgType.ERROR:
                        break
            assert seen == ["hello", "close cmd"]
            assert ws.closed
            assert ws.close_code == 1000
            assert not await ws.close()
            assert await ws.receive() == (lib.WSMsgType.CLOSED, None, None)

    run(main)


@both
@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_messages_of_every_kind(lib: Any, scheme: str) -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, lib.ClientSession() as session:
            url = origin.url("/echo").replace("ws://", f"{scheme}://").replace("http://", f"{scheme}://")
            ws = await session.ws_connect(url)
            await ws.send_str("text é")
            assert await ws.receive() == (lib.WSMsgType.TEXT, "text é", "")
            await ws.send_bytes(b"\0\1")
            assert await ws.receive() == (lib.WSMsgType.BINARY, b"\0\1", "")
            await ws.send_json({"a": [1]})
            assert await ws.receive_json() == {"a": [1]}
            await ws.send_json({"a": 1}, dumps=lambda value: "[5]")
            message = await ws.receive()
            assert message.json() == [5]
            assert message.json(loads=len) == 3
            await ws.send_json_bytes(5, dumps=lambda value: b"[5]")
            assert await ws.receive_bytes() == b"[5]"
            await ws.send_str("x")
            assert await ws.receive_str() == "x"
            await ws.send_frame(b"x", lib.WSMsgType.TEXT)
            await ws.send_frame(b"y", lib.WSMsgType.BINARY)
            assert (await ws.receive()).data == "x"
            assert (await ws.receive()).data == b"y"
            await ws.ping(b"p")
            await ws.pong(b"q")
            await ws.send_bytes(b"bytes")
            with pytest.raises(TypeError, match="is not WSMsgType"):
                await ws.receive_str()
            await ws.send_str("str")
            with pytest.raises(lib.WSMessageTypeError, match="is not WSMsgType"):
                await ws.receive_bytes()
            for send, data in ((ws.send_str, b"x"), (ws.send_bytes, "x")):
                with pytest.raises(TypeError):
                    await send(data)
            assert (ws.protocol, ws.compress, ws.exception(), ws.close_code, ws.closed) == (None, 0, None, None, False)
            assert ws.get_extra_info("peername")[0] == "127.0.0.1"
            assert ws.get_extra_info("no such thing", 5) == 5
            assert await ws.close(code=4000, message=b"bye")
            assert origin.sockets[0].close_code == 4000
            assert origin.sockets[0].close_reason == "bye"
            with pytest.raises(lib.ClientConnectionResetError):
                await ws.send_str("too late")
            assert isinstance(lib.ClientConnectionResetError(), ConnectionResetError)

    run(main)


@both
def test_the_peer_closes(lib: Any) -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, lib.ClientSession() as session:

            async def bye(ws: WebSocket, head: RequestHead) -> None:
                await ws.send("last")
                await ws.close(4321, "enough")

            origin.on("/close", bye)
            async with session.ws_connect(origin.url("/close")) as ws:
                assert (await ws.receive()).data == "last"
                assert await ws.receive() == (lib.WSMsgType.CLOSE, 4321, "enough")
                assert ws.closed
                assert ws.close_code == 4321
                assert (await ws.receive()).type is lib.WSMsgType.CLOSED
                assert ws.exception() is None
            async with session.ws_connect(origin.url("/close")) as ws:
                assert [msg.data async for msg in ws] == ["last"]
            async with session.ws_connect(origin.url("/close"), autoclose=False) as ws:
                assert (await ws.receive()).data == "last"
                assert (await ws.receive()).type is lib.WSMsgType.CLOSE
                assert not ws.closed
                assert (await ws.receive()).type is lib.WSMsgType.CLOSED
                assert ws.closed

    run(main)


@both
def test_closed_while_another_task_receives(lib: Any) -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, lib.ClientSession() as session:
            ws = await session.ws_connect(origin.url("/held"))
            receiving = asyncio.create_task(ws.receive())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="Concurrent call"):
                await ws.receive()
            assert await ws.close()
            assert (await receiving).type is lib.WSMsgType.CLOSING
            assert ws.closed
            assert (await ws.receive()).type is lib.WSMsgType.CLOSED

    run(main)


@both
def test_a_connection_that_is_gone(lib: Any) -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, lib.ClientSession() as session:

            async def vanish(ws: WebSocket, head: RequestHead) -> None:
                ws.abort()

            origin.on("/gone", vanish)
            ws = await session.ws_connect(origin.url("/gone"))
            assert (await ws.receive()).type is lib.WSMsgType.CLOSED
            assert ws.closed
            assert ws.close_code in (1000, 1006)
            assert (await ws.receive()).type is lib.WSMsgType.CLOSED
            async with session.ws_connect(origin.url("/gone")) as ws:
                assert [msg async for msg in ws] == []

    run(main)


@both
def test_a_peer_that_breaks_the_rules(lib: Any) -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, lib.ClientSession() as session:

            async def wrong(ws: WebSocket, head: RequestHead) -> None:
                ws.connection.transport.write(b"\x83\x00")  # type: ignore[union-attr]
                await ws.connection.when_gone()

            origin.on("/wrong", wrong)
            ws = await session.ws_connect(origin.url("/wrong"))
            message = await ws.receive()
            assert message.type is lib.WSMsgType.ERROR
            assert isinstance(message.data, lib.WebSocketError)
            assert message.data.code == lib.WSCloseCode.PROTOCOL_ERROR
            assert ws.closed
            assert ws.close_code == 1002
            assert (await ws.receive()).type is lib.WSMsgType.CLOSED

    run(main)


@both
def test_a_message_that_is_too_big(lib: Any) -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, lib.ClientSession() as session:

            async def large(ws: WebSocket, head: RequestHead) -> None:
                await ws.send(bytes(5_000_000))
                async for _ in ws:
                    pass

            origin.on("/large", large)
            ws = await session.ws_connect(origin.url("/large"))
            message = await ws.receive()
            assert message.type is lib.WSMsgType.ERROR
            assert message.data.code == ws.close_code == 1009
            async with session.ws_connect(origin.url("/large"), max_msg_size=0) as ws:
                assert len((await ws.receive()).data) == 5_000_000

    run(main)


@both
def test_compression(lib: Any) -> None:
    async def main() -> None:
        async with WebSocketOrigin(deflate=Deflate()) as origin, lib.ClientSession() as session:
            async with session.ws_connect(origin.url("/echo"), compress=15) as ws:
                assert ws.compress == 15
                assert not ws.client_notakeover
                for text in ("x" * 10_000, "short"):
                    await ws.send_str(text)
                    assert await ws.receive_str() == text
                await ws.send_str("y" * 1000, compress=9)
                assert await ws.receive_str() == "y" * 1000
            assert origin.asked[-1].fields["sec-websocket-extensions"] == "permessage-deflate; client_max_window_bits"
            async with session.ws_connect(origin.url("/echo"), compress=10) as ws:
                assert ws.compress == 15
                await ws.send_str("z" * 1000)
                assert await ws.receive_str() == "z" * 1000
            assert "server_max_window_bits=10" in origin.asked[-1].fields["sec-websocket-extensions"]
            async with session.ws_connect(origin.url("/echo")) as ws:
                assert ws.compress == 0
                assert "sec-websocket-extensions" not in origin.asked[-1].fields
            for bits in (8, 16):
                with pytest.raises(ValueError):
                    await session.ws_connect(origin.url("/echo"), compress=bits)

    run(main)


@both
def test_the_handshake(lib: Any) -> None:
    async def main() -> None:
        async with WebSocketOrigin(protocols=("chat", "other")) as origin, lib.ClientSession(headers={"X-S": "1"}) as session:
            arguments = {
                "protocols": ("nothing", "chat"),
                "origin": "http://example.org",
                "headers": {"X-H": "2"},
                "params": {"a": "b"},
            }
            async with session.ws_connect(origin.url("/echo"), **arguments) as ws:
                assert ws.protocol == "chat"
            fields = origin.asked[-1].fields
            assert fields["origin"] == "http://example.org"
            assert (fields["x-s"], fields["x-h"]) == ("1", "2")
            assert fields["sec-websocket-version"] == "13"
            assert origin.asked[-1].target == b"/echo?a=b"
            for status in ("403 Forbidden", "200 OK"):
                origin.always("/refused", answer(status, "X-Why: because", body=b"no"))
                with pytest.raises(lib.WSServerHandshakeError) as info:
                    await session.ws_connect(origin.url("/refused"))
                assert info.value.status == int(status[:3])
                assert info.value.message == "Invalid response status"
                assert info.value.headers["x-why"] == "because"
            accept = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            origin.always("/liar", f"{accept}Sec-WebSocket-Accept: AAAA\r\n\r\n".encode())
            with pytest.raises(lib.WSServerHandshakeError) as info:
                await session.ws_connect(origin.url("/liar"))
            assert info.value.status == 101
            async with session.ws_connect(origin.url("/greeting")) as ws:
                assert await ws.receive_str() == "hello"
                assert await ws.receive_str() == "again"
            with pytest.raises(TypeError):
                session.ws_connect(origin.url("/echo"), no_such_thing=1)

    run(main)


@both
def test_through_middlewares_and_redirects(lib: Any) -> None:
    async def main() -> None:
        async def mark(request: Any, handler: Any) -> Any:
            request.headers["X-Mark"] = "1"
            return await handler(request)

        async with WebSocketOrigin() as origin, lib.ClientSession(middlewares=[mark], cookies={"a": "1"}) as session:
            origin.always("/away", answer("302 Found", "Location: /echo"))
            async with session.ws_connect(origin.url("/away")) as ws:
                await ws.send_str("x")
                assert await ws.receive_str() == "x"
            assert origin.asked[-1].fields["x-mark"] == "1"
            assert origin.asked[-1].fields["cookie"] == "a=1"

    run(main)


@both
def test_time_limits(lib: Any) -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, lib.ClientSession() as session:
            timeout = lib.ClientWSTimeout(ws_receive=0.05, ws_close=0.05)
            ws = await session.ws_connect(origin.url("/held"), timeout=timeout)
            with pytest.raises(asyncio.TimeoutError):
                await ws.receive()
            with pytest.raises(asyncio.TimeoutError):
                await ws.receive(timeout=0.01)
            await ws.close()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                ws = await session.ws_connect(origin.url("/held"), timeout=1.0, receive_timeout=0.05)
                with pytest.raises(asyncio.TimeoutError):
                    await ws.receive()
                await ws.close()
            assert {one.category for one in caught} == {DeprecationWarning}

    run(main)


@both
def test_heartbeats(lib: Any) -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, lib.ClientSession() as session:

            async def deaf(ws: WebSocket, head: RequestHead) -> None:
                ws.connection.transport.pause_reading()  # type: ignore[union-attr]
                await ws.connection.when_gone()

            origin.on("/deaf", deaf)
            ws = await session.ws_connect(origin.url("/deaf"), heartbeat=0.05)
            message = await ws.receive()
            assert message.type is lib.WSMsgType.ERROR
            assert isinstance(message.data, lib.ServerTimeoutError)
            assert "No PONG received after 0.025 seconds" in str(message.data)
            assert isinstance(ws.exception(), lib.ServerTimeoutError)
            assert ws.closed
            assert ws.close_code == 1006
            async with session.ws_connect(origin.url("/held"), heartbeat=0.05) as ws:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.3):  # the peer answers pings, each of which aiohttp waits for anew
                        await ws.receive()
                assert not ws.closed

    run(main)


@both
def test_pings_by_hand(lib: Any) -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, lib.ClientSession() as session:

            async def ask(ws: WebSocket, head: RequestHead) -> None:
                assert await ws.ping(b"there?") >= 0
                await ws.send("thanks")
                async for _ in ws:
                    pass

            origin.on("/ask", ask)
            async with session.ws_connect(origin.url("/ask"), autoping=False) as ws:
                assert await ws.receive() == (lib.WSMsgType.PING, b"there?", "")
                await ws.pong(b"there?")
                assert (await ws.receive()).data == "thanks"
                await ws.ping(b"me?")
                assert await ws.receive() == (lib.WSMsgType.PONG, b"me?", "")
            async with session.ws_connect(origin.url("/ask")) as ws:
                assert (await ws.receive()).data == "thanks"

    run(main)


@both
def test_texts_as_bytes(lib: Any) -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, lib.ClientSession() as session:
            async with session.ws_connect(origin.url("/echo"), decode_text=False) as ws:
                await ws.send_str("é")
                message = await ws.receive()
                assert (message.type, message.data) == (lib.WSMsgType.TEXT, "é".encode())
                await ws.send_str("[1]")
                assert await ws.receive_json() == [1]

    run(main)


@both
def test_a_session_that_is_closed_closes_its_sockets(lib: Any) -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin:
            session = lib.ClientSession()
            ws = await session.ws_connect(origin.url("/held"))
            receiving = asyncio.create_task(ws.receive())
            await asyncio.sleep(0)
            await session.close()
            assert (await receiving).type in (lib.WSMsgType.CLOSED, lib.WSMsgType.CLOSE, lib.WSMsgType.ERROR)
            await ws.close()
            assert ws.closed

    run(main)


def test_names_and_numbers() -> None:
    for name in ("WSMsgType", "WSCloseCode"):
        theirs, mine = getattr(aiohttp, name), getattr(ours, name)
        assert {key: int(value) for key, value in mine.__members__.items()} == {
            key: int(value) for key, value in theirs.__members__.items()
        }
    assert ours.WSMessage._fields == aiohttp.WSMessage._fields
    assert ours.ClientWSTimeout() == ours.ClientWSTimeout(None, None)
    assert str(ours.WebSocketError(1002, "wrong")) == str(aiohttp.WebSocketError(1002, "wrong")) == "wrong"
