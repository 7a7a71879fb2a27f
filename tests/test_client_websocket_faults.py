"""`client.websocket` when something goes wrong: a bad 101, another answer, a peer that leaves, a cancellation, the end."""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import warnings
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import wirebird
from raw_peer import Link, Peer, answer, check_settled, run, sockets
from websocket_origin import WebSocketOrigin
from wirebird import HttpResponse, Request, Timeouts
from wirebird.errors import (
    ClientClosed,
    ConnectionLost,
    IncompleteBody,
    InvalidResponse,
    LimitExceeded,
    NetworkError,
    ReadTimeout,
    RequestTimeout,
    StatusError,
    UsageError,
    WebSocketClosed,
    WebSocketError,
    WirebirdError,
)
from wirebird.protocol.websocket_frames import encode_frame

BOTH = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
Handler = Callable[[Request], Awaitable[HttpResponse]]


def accept(head: bytes) -> bytes:
    """The field that answers the key in `head`; computed here and not by the library."""
    key = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:")).split(b": ")[1]
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return b"Sec-WebSocket-Accept: " + base64.b64encode(digest)


def switch(head: bytes, *more: bytes, **other: bytes) -> bytes:
    """A 101 for `head`.  `other` replaces its fields, which are upgrade, connection and accept, or its status line."""
    fields = {
        "status": b"HTTP/1.1 101 Go",
        "upgrade": b"Upgrade: websocket",
        "connection": b"Connection: Upgrade",
        "accept": accept(head),
        **other,
    }
    return b"\r\n".join([*(field for field in fields.values() if field), *more, b"", b""])


async def refused(peer: Peer, kind: type[WirebirdError], path: str = "/ws", **options: Any) -> Any:
    """The error of a handshake, after which the client is as it was before, and the connection closed."""
    async with wirebird.HTTPClient() as client:
        with pytest.raises(kind) as caught:
            await client.websocket(peer.url(path).replace("http", "ws"), **options)
        check_settled(client)
        assert client.stats()["open"] == 0
        assert not client.connector._sockets or await asyncio.wait(list(client.connector._sockets), timeout=5)
        assert not client.connector._upgraded
    return caught.value


# -- a bad 101 ---------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("other", "more"),
    [
        ({"accept": b"Sec-WebSocket-Accept: c3VyZWx5IG5vdCB0aGlzIG9uZQo="}, ()),
        ({"accept": b""}, ()),
        ({"upgrade": b"Upgrade: h2c"}, ()),
        ({"upgrade": b""}, ()),
        ({"connection": b"Connection: keep-alive"}, ()),
        ({"connection": b""}, ()),
        ({"status": b"HTTP/1.0 101 Go"}, ()),
        ({}, (b"Sec-WebSocket-Protocol: other",)),
        ({}, (b"Sec-WebSocket-Protocol: CHAT",)),
        ({}, (b"Sec-WebSocket-Protocol: chat, chat2",)),
        ({}, (b"Sec-WebSocket-Extensions: x-other",)),
        ({}, (b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=7",)),
        ({}, (b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",)),
        ({}, (b"Sec-WebSocket-Extensions: permessage-deflate; unheard_of",)),
    ],
    ids=str,
)
def test_a_101_that_does_not_answer_what_was_asked(loop: str, other: dict[str, bytes], more: tuple[bytes, ...]) -> None:
    async def main() -> None:
        async def script(link: Link) -> None:
            await link.request()
            await link.send(switch(link.head, *more, **other) + b"\x81\x05hello")
            assert await link.gone() == b""

        async with Peer(script) as peer:
            error = await refused(peer, InvalidResponse, protocols=["chat", "chat2"])
            assert error.peer == peer.name
            assert error.phase == "opening the WebSocket"

    run(main, kind=loop)


def test_an_extension_that_was_not_offered() -> None:
    async def main() -> None:
        async def script(link: Link) -> None:
            await link.request()
            await link.send(switch(link.head, b"Sec-WebSocket-Extensions: permessage-deflate"))
            await link.gone()

        async with Peer(script) as peer:
            await refused(peer, InvalidResponse, compression=False)

    run(main)


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 101\x00Go\r\n\r\n",
        b"HTTP/1.1 101 Go\r\nUpgrade : websocket\r\n\r\n",
        b"HTTP/1.1 101 Go\nUpgrade: websocket\n\n",
        b"HTTP/2 101 Go\r\n\r\n",
        b"garbage\r\n\r\n",
        b"\x88\x02\x03\xe8",
        b"HTTP/1.1 103 Early\r\n\r\n" * 200,
    ],
)
def test_what_is_no_head(wire: bytes) -> None:
    async def main() -> None:
        async def script(link: Link) -> None:
            await link.request()
            await link.send(wire)
            await link.gone()

        async with Peer(script) as peer:
            error = await refused(peer, wirebird.ProtocolError)
            assert isinstance(error, InvalidResponse | LimitExceeded)

    run(main)


@BOTH
def test_a_101_in_single_bytes_behind_other_1xx(loop: str) -> None:
    async def main() -> None:
        async def script(link: Link) -> None:
            await link.request()
            await link.drip(b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" + switch(link.head) + b"\x81\x05hello")
            await link.gone()

        async with Peer(script) as peer, wirebird.HTTPClient() as client:
            ws = await client.websocket(peer.url("/"), close_timeout=0.01)
            assert await ws.receive_text() == "hello"
            await ws.close()

    run(main, kind=loop)


@BOTH
def test_garbage_behind_the_101(loop: str) -> None:
    async def main() -> None:
        async def script(link: Link) -> None:
            await link.request()
            await link.send(switch(link.head) + b"\x81\x02ok" + b"\xff" * 1000)
            await link.gone()

        async with Peer(script) as peer, wirebird.HTTPClient() as client:
            async with client.websocket(peer.url("/")) as ws:
                assert await ws.receive_text() == "ok"
                with pytest.raises(WebSocketError) as caught:
                    await ws.receive()
                assert caught.value.code == 1002
            check_settled(client)

    run(main, kind=loop)


@BOTH
@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
def test_a_101_a_message_and_the_end_in_one_segment(loop: str, secure: bool, contexts: Any) -> None:
    async def main() -> None:
        async def script(link: Link) -> None:
            await link.request()
            await link.send(switch(link.head) + b"\x81\x02ok\x88\x05\x03\xe9bye")
            link.writer.close()
            await link.gone()

        server, trusting = contexts
        connector = wirebird.TCPConnector(ssl=trusting)
        async with Peer(script, ssl=server if secure else None) as peer, wirebird.HTTPClient(connector) as client:
            async with client.websocket(peer.url("/")) as ws:
                assert [message.data async for message in ws] == ["ok"]
                assert (ws.close_code, ws.close_reason) == (1001, "bye")
            check_settled(client)

    run(main, kind=loop)


def test_a_101_that_was_not_asked_for() -> None:
    async def main() -> None:
        async def script(link: Link) -> None:
            await link.request()
            await link.send(b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            await link.gone()

        async with Peer(script) as peer, wirebird.HTTPClient() as client:
            with pytest.raises(InvalidResponse):
                await client.get(peer.url("/"), headers={"Upgrade": "websocket", "Connection": "Upgrade"})
            check_settled(client)

    run(main)


# -- another answer ----------------------------------------------------------------------------------------------------


def test_a_refusal_carries_its_response_and_gives_the_connection_back() -> None:
    async def main() -> None:
        async def script(link: Link) -> None:
            while path := await link.request():
                status = b"200 OK" if path == "/fine" else b"403 No"
                body = b"why" if path != "/long" else b"y" * 60_000
                head, rest = answer(body, b"X-Why: policy", status=status).split(b"\r\n\r\n", 1)
                await link.send(head + b"\r\n\r\n")  # the body comes later, or in parts
                await link.drip(rest, 30_000)

        async with Peer(script) as peer, wirebird.HTTPClient(raise_for_status=False) as client:
            for path, status in (("/no", 403), ("/fine", 200), ("/long", 403)):
                with pytest.raises(StatusError, match="where 101 would open a WebSocket") as caught:
                    await client.websocket(peer.url(path))
                assert caught.value.status_code == status
                assert client.stats()["idle"] == 1
                response = caught.value.response
                assert response.headers["x-why"] == "policy"
                assert await response.content() == (b"y" * 60_000 if path == "/long" else b"why")
                assert await response.content()
            assert peer.accepted == 1
            check_settled(client)

    run(main)


@pytest.mark.parametrize("framing", [b"Content-Length: 1000000", b"Transfer-Encoding: chunked", b"Connection: close"])
def test_a_refusal_that_is_long_is_not_read_to_its_end(framing: bytes) -> None:
    async def main() -> None:
        async def script(link: Link) -> None:
            await link.request()
            await link.send(b"HTTP/1.1 403 No\r\n" + framing + b"\r\n\r\n")
            try:
                while True:
                    await link.send(b"%x\r\n%b\r\n" % (10_000, b"y" * 10_000) if b"chunked" in framing else b"y" * 10_000)
            except ConnectionError:
                pass

        async with Peer(script) as peer:
            error = await refused(peer, StatusError)
            with pytest.raises(LimitExceeded):
                await error.response.content()

    run(main)


def test_a_refusal_whose_body_never_comes() -> None:
    async def main() -> None:
        async def script(link: Link) -> None:
            await link.request()
            await link.send(b"HTTP/1.1 403 No\r\nContent-Length: 10\r\n\r\nhalf")
            if link.number:
                link.finish()
            await link.gone()

        async with Peer(script) as peer:
            error = await refused(peer, StatusError, timeouts=Timeouts(sock_read=0.2))
            with pytest.raises(ReadTimeout):
                await error.response.content()
            async with wirebird.HTTPClient() as client:
                with pytest.raises(StatusError) as caught:
                    await client.websocket(peer.url("/"))
                with pytest.raises(IncompleteBody):
                    await caught.value.response.content()
                check_settled(client)

    run(main)


def test_a_middleware_that_answers_in_the_peers_place() -> None:
    async def main() -> None:
        async def replaces(request: Request, handler: Handler) -> HttpResponse:
            await handler(request)
            return HttpResponse.make(403, body=b"mine")

        async def closes(request: Request, handler: Handler) -> HttpResponse:
            response = await handler(request)
            await response.close()
            return response

        async def invents(request: Request, handler: Handler) -> HttpResponse:
            return HttpResponse.make(101)

        async with WebSocketOrigin() as origin:
            kinds: list[tuple[Any, type[BaseException]]] = [
                (replaces, StatusError),
                (closes, ConnectionLost),
                (invents, UsageError),
            ]
            for middleware, error in kinds:
                async with wirebird.HTTPClient(middlewares=[middleware]) as client:
                    with pytest.raises(error):
                        await client.websocket(origin.url())
                    gc.collect()
                    await origin.until(lambda: origin.open == 0)
                    if client.connector.peek() is not None:
                        check_settled(client)

    run(main)


def test_the_peer_leaves_while_a_middleware_takes_its_time() -> None:
    async def main() -> None:
        left = asyncio.Event()

        async def script(link: Link) -> None:
            await link.request()
            await link.send(switch(link.head) + b"\x81\x02ok")
            link.reset()
            left.set()

        async def slow(request: Request, handler: Handler) -> HttpResponse:
            response = await handler(request)
            await left.wait()
            await asyncio.sleep(0.01)
            return response

        async with Peer(script) as peer, wirebird.HTTPClient(middlewares=[slow]) as client:
            ws = await client.websocket(peer.url("/"))
            assert await ws.receive_text() == "ok"
            with pytest.raises(ConnectionLost):
                await ws.receive()
            await ws.close()
            check_settled(client)

    run(main)


# -- a peer that leaves or is silent -----------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("part", [0, 1, 20, 90], ids=lambda part: f"after {part} bytes")
@pytest.mark.parametrize("how", ["finish", "reset"])
def test_a_peer_that_vanishes_during_the_handshake(loop: str, part: int, how: str) -> None:
    async def main() -> None:
        async def script(link: Link) -> None:
            await link.request()
            await link.send(switch(link.head)[:part])
            getattr(link, how)()
            if how == "finish":
                await link.gone()

        async with Peer(script) as peer:
            await refused(peer, ConnectionLost)

    run(main, kind=loop)


def test_a_peer_that_says_nothing() -> None:
    async def main() -> None:
        async def script(link: Link) -> None:
            await link.request()
            await link.send(b"HTTP/1.1 10")
            await link.gone()

        async with Peer(script) as peer:
            await refused(peer, ReadTimeout, timeouts=Timeouts(sock_read=0.02))
            await refused(peer, RequestTimeout, timeouts=Timeouts(request_timeout=0.02))

    run(main)


def test_no_time_limit_of_the_handshake_holds_afterwards() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient(timeouts=Timeouts(5, 0.2, 5, 0.4)) as client:
            async with client.websocket(origin.url()) as ws:
                with pytest.raises(ReadTimeout):
                    await ws.receive(timeout=0.25)
                await asyncio.sleep(0.2)
                await ws.send("x")
                assert await ws.receive_text() == "x"

    run(main)


def test_a_stale_connection_is_replaced() -> None:
    async def main() -> None:
        async def script(link: Link) -> None:
            await link.request()
            if link.number == 0:
                await link.send(answer(b"fine"))
                await link.request()  # the handshake arrives, and gets no answer
                link.finish()
                await link.gone()
                return
            await link.send(switch(link.head) + b"\x81\x02ok")
            await link.gone()

        async with Peer(script) as peer, wirebird.HTTPClient() as client:
            assert await (await client.get(peer.url("/"))).text() == "fine"
            async with client.websocket(peer.url("/"), close_timeout=0.01) as ws:
                assert await ws.receive_text() == "ok"
            assert peer.accepted == 2
            check_settled(client)

    run(main)


# -- cancellation and the end of the client ----------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
def test_cancelled_at_every_step(loop: str, secure: bool, contexts: Any) -> None:
    """Whatever turn of the loop it is cancelled in: the pool is whole, the connection closed, and the next handshake succeeds."""

    async def main() -> None:
        server, trusting = contexts
        connector = wirebird.TCPConnector(pool_size=1, ssl=trusting)

        async def pause(request: Request, handler: Handler) -> HttpResponse:
            response = await handler(request)
            await asyncio.sleep(0)
            return response

        async with (
            WebSocketOrigin(tls=server if secure else None) as origin,
            wirebird.HTTPClient(connector, middlewares=[pause], network_middlewares=[pause]) as client,
        ):
            origin.always("/echo2", b"HTTP/1.1 302 Go\r\nLocation: /echo\r\nContent-Length: 0\r\n\r\n")
            for steps in range(200):
                task = asyncio.ensure_future(asyncio.create_task(client.websocket(origin.url("/echo2"))))
                for _ in range(steps):
                    await asyncio.sleep(0)
                if task.done():
                    break
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                if client.connector.peek() is not None:
                    check_settled(client)
            else:
                raise AssertionError("it never came to an end")
            assert steps > 4
            ws = task.result()
            await ws.close()
            assert not client.connector._upgraded
            async with client.websocket(origin.url()) as ws:
                await ws.send("x")
                assert await ws.receive_text() == "x"
            await origin.until(lambda: origin.open <= 1)

    run(main, kind=loop)


@pytest.mark.parametrize("where", ["middlewares", "network_middlewares"])
def test_cancelled_behind_the_101_and_what_was_raised_is_kept(where: str) -> None:
    async def main() -> None:
        arrived = asyncio.Event()

        async def holds(request: Request, handler: Handler) -> HttpResponse:
            response = await handler(request)
            arrived.set()
            await asyncio.Event().wait()
            return response

        options: dict[str, Any] = {where: [holds]}
        async with WebSocketOrigin() as origin, wirebird.HTTPClient(**options) as client:
            task = asyncio.create_task(client.websocket(origin.url()))
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            await origin.until(lambda: origin.open == 0)
            assert caught.value.__traceback__ is not None  # whose frames hold the response
            check_settled(client)

    run(main)


def test_cancelled_in_the_turn_in_which_the_101_arrives() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient() as client:
            for _ in range(3):
                task = asyncio.create_task(client.websocket(origin.url()))
                await origin.until(lambda: bool(origin.sockets))
                pool = client.connector.peek()
                while pool is not None and pool.connections:  # until it has left the pool
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await origin.until(lambda: origin.open == 0)
                origin.sockets.clear()
                check_settled(client)

    run(main)


@BOTH
def test_closing_the_client_during_a_handshake(loop: str) -> None:
    async def main() -> None:
        async def script(link: Link) -> None:
            await link.request()
            asked.set()
            await link.gone()

        async with Peer(script) as peer:
            asked = asyncio.Event()
            client = wirebird.HTTPClient()
            task = asyncio.create_task(client.websocket(peer.url("/")))
            await asked.wait()
            await client.close()
            with pytest.raises(NetworkError):
                await task

    run(main, kind=loop)


def test_closing_the_client_between_the_101_and_the_handover() -> None:
    async def main() -> None:
        arrived, go = asyncio.Event(), asyncio.Event()

        async def slow(request: Request, handler: Handler) -> HttpResponse:
            response = await handler(request)
            arrived.set()
            await go.wait()
            return response

        async with WebSocketOrigin() as origin:
            client = wirebird.HTTPClient(middlewares=[slow])
            task = asyncio.create_task(client.websocket(origin.url()))
            await arrived.wait()
            await client.close()
            go.set()
            with pytest.raises((ConnectionLost, ClientClosed)):
                await task
            await origin.until(lambda: origin.open == 0)

    run(main)


@BOTH
def test_closing_the_client_is_bounded_where_peers_do_not_answer(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wirebird.client.upgraded._GOODBYE", 0.05)

    async def main() -> None:
        heard: list[bytes] = []

        async def script(link: Link) -> None:
            await link.request()
            await link.send(switch(link.head))
            heard.append(await link.gone())

        async with Peer(script) as peer:
            client = wirebird.HTTPClient()
            opened = await asyncio.gather(*(client.websocket(peer.url("/"), close_timeout=60) for _ in range(3)))
            async with asyncio.timeout(2):
                await client.close()
            assert all(ws.closed and ws.connection.transport is None for ws in opened)
            await client.close()
            while len(heard) < 3:
                await asyncio.sleep(0)
        assert [len(data) for data in heard] == [8, 8, 8]  # a masked close frame with a code

    run(main, kind=loop)


@BOTH
def test_a_loop_that_is_closed_with_sockets_open(loop: str) -> None:
    client = wirebird.HTTPClient()
    left: list[wirebird.WebSocket] = []
    before = sockets()

    async def first() -> None:
        origin = WebSocketOrigin()
        await origin.__aenter__()
        left.append(await client.websocket(origin.url()))
        for ws in origin.sockets:  # the server's side ends with its loop, and is none of this test's business
            ws.abort()
        origin._server.close()  # type: ignore[union-attr]

    async def second() -> None:
        async with WebSocketOrigin() as origin:
            async with client.websocket(origin.url()) as ws:
                await ws.send("x")
                assert await ws.receive_text() == "x"
            assert left[0].closed
            with pytest.raises(ConnectionLost):
                await left[0].receive()
            await client.close()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the loop's, of what it was closed with
        from origin import run as run_plainly

        run_plainly(first, loop)
        gc.collect()
    run(second, kind=loop)
    assert sockets() == before


def test_a_websocket_that_is_forgotten_is_closed_and_said_so() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient() as client:
            with pytest.warns(ResourceWarning, match="unclosed"):
                await client.websocket(origin.url("/held"))
                gc.collect()
            await origin.until(lambda: origin.open == 0)
            assert not client.connector._upgraded

    run(main)


@BOTH
@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("way", ["block", "reconnect", "client"])
def test_a_conversation_that_is_cancelled_at_every_step(loop: str, secure: bool, way: str, contexts: Any) -> None:
    """In whatever turn of the loop: no task, no timer and no connection is left, and the peer is told within its time."""

    async def main() -> None:
        server, trusting = contexts
        running = asyncio.get_running_loop()

        async def talk(ws: wirebird.WebSocket) -> None:
            await ws.send("x" * 150_000)
            await ws.send_fragments(["a", "b", "c"])
            await ws.ping()
            assert len(await ws.receive_text(timeout=9)) == 150_000
            async for message in ws:
                assert message.data == "abc"
                break

        async def conversation(client: wirebird.HTTPClient, url: str) -> None:
            if way == "reconnect":
                async for ws in client.websocket(url, reconnect=wirebird.Reconnect(backoff=0)):
                    await talk(ws)
                    if ws.connection.latency is not None and len(origin.sockets) % 2:
                        break
            elif way == "client":
                async with wirebird.HTTPClient(wirebird.TCPConnector(ssl=trusting)) as own:
                    ws = await own.websocket(url)
                    await talk(ws)
            else:
                async with client.websocket(url, heartbeat=9) as ws:
                    await talk(ws)

        async with (
            WebSocketOrigin(tls=server if secure else None, max_queue=50_000) as origin,
            wirebird.HTTPClient(wirebird.TCPConnector(pool_size=1, ssl=trusting)) as client,
        ):
            before = len(asyncio.all_tasks())
            for steps in range(400):
                task = asyncio.create_task(conversation(client, origin.url("/echo")))
                for _ in range(steps):
                    await asyncio.sleep(0)
                if task.done():
                    break
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                gc.collect(0)
                await origin.until(lambda: origin.open == 0)
                while client.connector._upgraded or client.connector._sockets:
                    await asyncio.sleep(0)
                if client.connector.peek() is not None:
                    check_settled(client)
                assert not origin.faults
            else:
                raise AssertionError("it never came to an end")
            await task
            await origin.until(lambda: origin.open == 0)
            assert steps > 8
            await asyncio.sleep(0)
            assert len(asyncio.all_tasks()) <= before + 1
            if loop == "asyncio":
                assert len([timer for timer in running._scheduled if not timer.cancelled()]) <= 3

    run(main, kind=loop)


@BOTH
@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("orderly", [False, True])
def test_a_peer_that_leaves_while_what_it_sent_is_not_all_inflated(loop: str, secure: bool, orderly: bool, contexts: Any) -> None:
    """With TLS the end is known before the reader has had what came ahead of it."""

    async def main() -> None:
        server, trusting = contexts
        compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
        messages = [b"%08d" % number + bytes(900_000) for number in range(20)]
        wire = b"".join(
            encode_frame(2, (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4], rsv1=True)
            for message in messages
        )

        async def script(link: Link) -> None:
            await link.request()
            await link.send(switch(link.head, b"Sec-WebSocket-Extensions: permessage-deflate"))
            await link.send(wire + (encode_frame(8, b"\x03\xe8") if orderly else b""))
            link.writer.close()

        async with (
            Peer(script, ssl=server if secure else None) as peer,
            wirebird.HTTPClient(wirebird.TCPConnector(ssl=trusting)) as client,
        ):
            for leave in (False, True):
                ws = await client.websocket(peer.url("/").replace("http", "ws"))
                for message in messages[: 3 if leave else None]:
                    assert await ws.receive_bytes(timeout=5) == message
                    await asyncio.sleep(0.002)
                if leave:
                    await asyncio.wait_for(ws.close(), 5)
                    assert ws.close_code is not None
                with pytest.raises(WebSocketClosed if orderly or leave else ConnectionLost):
                    while True:
                        await ws.receive(timeout=5)
                await asyncio.wait_for(ws.close(), 5)
                assert not client.connector._upgraded and ws.connection._timer is None

    run(main, kind=loop)


def test_whoever_closes_the_client_too_waits_until_it_is_closed() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin:
            client = wirebird.HTTPClient()
            ws = await client.websocket(origin.url("/held"))
            origin.sockets[0].connection._pause()  # it does not answer
            first, second = asyncio.create_task(client.close()), asyncio.create_task(client.close())
            while ws.connection.protocol.close_sent is None:
                await asyncio.sleep(0)
            assert not first.done() and not second.done()
            origin.sockets[0].connection.emptied()
            await asyncio.wait_for(second, 5)
            assert ws.close_code == 1001 and ws.connection.transport is None
            await first
            await client.close()

            client = wirebird.HTTPClient()
            ws = await client.websocket(origin.url("/held"))
            origin.sockets[1].connection._pause()
            first, second = asyncio.create_task(client.close()), asyncio.create_task(client.close())
            while ws.connection.protocol.close_sent is None:
                await asyncio.sleep(0)
            first.cancel()
            await asyncio.wait_for(second, 5)
            await asyncio.wait_for(ws.connection.when_gone(), 5)
            with pytest.raises(asyncio.CancelledError):
                await first

    run(main)
