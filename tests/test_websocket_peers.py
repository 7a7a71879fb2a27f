"""WebSockets with those that others made, in both roles: websockets, aiohttp, picows, node's ws.

What a peer does on a connection is told in websocket_peer.py: it sends back what it gets, and obeys orders.  So here the same
conversation is held whoever opened the connection.  `opened` holds it open for a test, and gives what the peer makes of its end.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

import pytest

import effort
import wirebird
from origin import pattern
from raw_peer import check_settled, run
from websocket_origin import WebSocketOrigin
from websocket_peers import KINDS, Peer, missing, peers_as_needed
from wirebird.errors import ConnectionLost, WebSocketClosed, WebSocketError
from wirebird.models.message import RequestHead
from wirebird.net.websocket import WebSocket
from wirebird.protocol.websocket_deflate import Deflate
from wirebird.protocol.websocket_messages import MessageType

LARGEST = effort.some(16, 4) * 2**20
PARALLEL = effort.some(1000, 300)

ALL = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.skipif(missing(kind) != "", reason=missing(kind))) for kind in KINDS]
)
ROLES = pytest.mark.parametrize("role", ["client", "server"])
CODED = pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflate"])
BOTH = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])

# aiohttp has no way to send fragments.
SENDS_FRAGMENTS = {"websockets", "picows", "ws"}
_numbers = itertools.count()

TEXT = "naïve — 漢字 😀 "


@lru_cache
def text(size: int) -> str:
    """A text of about `size` bytes, with characters of one to four."""
    whole = TEXT * (size // len(TEXT.encode()) + 1)
    return whole.encode()[:size].decode(errors="ignore")


@pytest.fixture(scope="module")
def peers() -> Iterator[dict[str, Peer]]:
    with peers_as_needed() as started:
        yield started


@pytest.fixture(scope="module", autouse=True)
def many_files() -> Iterator[int]:
    """How many files a process may have open: enough for a thousand sockets, if that can be had.  The peers inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * PARALLEL
    allowed = (
        soft if soft == resource.RLIM_INFINITY else max(soft, wanted if hard == resource.RLIM_INFINITY else min(hard, wanted))
    )
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    yield wanted if allowed == resource.RLIM_INFINITY else allowed
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Opened:
    """One connection: our end, and what the peer reports once its own has ended."""

    def __init__(self, peer: Peer, tag: str) -> None:
        self.peer = peer
        self.tag = tag
        self.ws: WebSocket

    async def report(self) -> dict[str, Any]:
        return await self.peer.report(self.tag)


@asynccontextmanager
async def opened(
    peer: Peer,
    role: str,
    deflate: bool | Deflate,
    *,
    query: str = "",
    protocols: tuple[str, ...] = (),
    speaks: bool = True,
    max_size: int | None = 2 * LARGEST,
) -> AsyncIterator[Opened]:
    """A WebSocket with the peer, in which we have this role.  `speaks` says whether the peer does permessage-deflate at all."""
    link = Opened(peer, f"/{next(_numbers)}")
    target = link.tag + query
    if role == "client":
        async with wirebird.HTTPClient() as client:
            url = peer.url(target, deflate=speaks and bool(deflate))
            async with client.websocket(url, protocols=protocols, compression=deflate, max_size=max_size) as ws:
                link.ws = ws
                yield link
            check_settled(client)
        return
    arrived: asyncio.Future[WebSocket] = asyncio.get_running_loop().create_future()
    finished = asyncio.Event()

    async def handler(ws: WebSocket, head: RequestHead) -> None:
        arrived.set_result(ws)
        await finished.wait()

    wish = deflate if isinstance(deflate, Deflate) else Deflate() if deflate else None
    async with WebSocketOrigin(protocols=PROTOCOLS, deflate=wish, max_size=max_size) as origin:
        origin.on(link.tag, handler)
        peer.connect(origin.url(target), deflate=speaks and bool(deflate), protocols=protocols)
        link.ws = await arrived
        try:
            async with link.ws:
                yield link
        finally:
            finished.set()
        await origin.until(lambda: origin.open == 0)
        assert (origin.connections, origin.faults) == (1, [])


PROTOCOLS = ("chat.v1", "chat.v2")


async def check_echo(ws: WebSocket, *messages: str | bytes) -> None:
    for message in messages:
        await ws.send(message)
        answer = await ws.receive()
        assert answer.type is (MessageType.TEXT if isinstance(message, str) else MessageType.BINARY)
        assert answer.data == message


async def ask(ws: WebSocket, order: str) -> str:
    await ws.send(order)
    return await ws.receive_text()


# -- the conversation -----------------------------------------------------------------------------------------------------------


@BOTH
@CODED
@ROLES
@ALL
def test_conversation(peers, kind, role, deflate, loop):
    async def main() -> None:
        async with opened(peers[kind], role, deflate, query="?greet=3", protocols=("chat.v2", "strange")) as link:
            ws = link.ws
            assert [await ws.receive_text() for _ in range(3)] == ["hello 0", "hello 1", "hello 2"]

            # What was agreed upon, as both sides see it.
            assert json.loads(await ask(ws, "!facts")) == {"subprotocol": "chat.v2", "deflate": deflate}
            assert ws.subprotocol == "chat.v2"
            assert (ws.compression is not None) is deflate

            # Every form of a frame's length, and both sides of the borders between them.
            for size in (0, 1, 125, 126, 65535, 65536):
                await check_echo(ws, pattern(size), text(size))
            await check_echo(ws, pattern(2**20))
            if deflate:
                await check_echo(ws, random.Random(1).randbytes(100_000))  # cannot be compressed
                await ws.send(pattern(1000), compress=False)
                assert await ws.receive_bytes() == pattern(1000)
                await ws.send("short", compress=True)
                assert await ws.receive_text() == "short"

            # In fragments, ours: empty ones too, and more of them than anybody's queue holds.
            long = text(50_000)
            await ws.send_fragments([long[at : at + 999] for at in range(0, len(long), 999)])
            assert await ws.receive_text() == long
            await ws.send_fragments([b"", pattern(100_000), b"", b"end"])
            assert await ws.receive_bytes() == pattern(100_000) + b"end"
            if kind in SENDS_FRAGMENTS:
                # And the peer's, cut in the middle of characters.
                for size, message in ((1, text(200)), (7, text(20_000)), (1000, pattern(100_000)), (65536, pattern(300_000))):
                    await ws.send(f"!split {size}")
                    await check_echo(ws, message)

            # Pings both ways.
            for data in (b"", b"data", pattern(125)):
                assert 0 <= await ws.ping(data, timeout=5) < 5
            assert await ask(ws, "!ping data") == "pong data"
            assert await ask(ws, f"!ping {'x' * 125}") == f"pong {'x' * 125}"

            # Many small messages, of which each read brings a lot.
            await ws.send("!flood 1000 20")
            for number in range(1000):
                assert await ws.receive_bytes() == bytes([number % 256]) * 20

            # Many senders at once, while the answers are read.
            senders = [asyncio.create_task(ws.send(f"{number} " + "x" * number * 10)) for number in range(200)]
            answers = [await ws.receive_text() for _ in senders]
            assert answers == [f"{number} " + "x" * number * 10 for number in range(200)]
            await asyncio.gather(*senders)
        assert await link.report() == {"code": 1000, "reason": "", "received": received(kind, deflate)}

    run(main, kind=loop)


def received(kind: str, deflate: bool) -> int:
    """How many messages the peer has got in the conversation."""
    return 1 + 13 + 3 * deflate + 2 + 8 * (kind in SENDS_FRAGMENTS) + 2 + 1 + 200


@pytest.mark.parametrize("deflate", [False, True] if effort.ALL else [False], ids=["plain", "deflate"][: 1 + effort.ALL])
@ROLES
@ALL
def test_sixteen_mebibytes(peers, kind, role, deflate):
    """The largest: whole, and in fragments both ways."""

    async def main() -> None:
        data = pattern(2**12) * (LARGEST // 2**12)  # which repeats itself soon, or the peers would do nothing but compress
        piece = text(2**12) * 2**4
        pieces = [piece] * (LARGEST // len(piece.encode()))
        async with opened(peers[kind], role, deflate) as link:
            await check_echo(link.ws, data)
            if kind in SENDS_FRAGMENTS:
                await link.ws.send(f"!split {2**20}")
            await link.ws.send_fragments(pieces)
            assert await link.ws.receive_text() == "".join(pieces)
        assert (await link.report())["code"] == 1000

    run(main, kind="uvloop")


@BOTH
@ROLES
@ALL
def test_nobody_reads_for_a_while(peers, kind, role, loop):
    """We send until no more is taken either way, or all is sent, and only then read what came back."""

    async def main() -> None:
        messages = [bytes([number]) * 250_000 for number in range(40)]

        async def send() -> None:
            for message in messages:
                await link.ws.send(message)

        async with opened(peers[kind], role, False) as link:
            sending = asyncio.create_task(send())
            connection = link.ws.connection
            while not sending.done() and (connection.writable or connection.backlog <= connection.max_queue):
                await asyncio.sleep(0)
            assert connection.backlog <= connection.max_queue + 250_000 + 65536
            for message in messages:
                assert await link.ws.receive_bytes() == message
            await sending
        assert await link.report() == {"code": 1000, "reason": "", "received": 40}

    run(main, kind=loop)


# -- compression ----------------------------------------------------------------------------------------------------------------

WISHES = [
    Deflate(server_no_context_takeover=True),
    Deflate(client_no_context_takeover=True),
    Deflate(server_max_window_bits=10),
    Deflate(client_max_window_bits=10),
    Deflate(True, True, 9, 9),
]


@ROLES
@ALL
def test_parameters(peers, kind, role):
    """Those of permessage-deflate, one by one and together: agreed upon as they were wished for, and kept to."""

    async def main() -> None:
        for wish in WISHES:
            if kind == "picows" and role == "client" and (wish.server_no_context_takeover or wish.server_max_window_bits):
                # It accepts every offer and promises nothing, though RFC 7692 7.1.1.1 and 7.1.2.1 have it decline or promise.
                with pytest.raises(wirebird.InvalidResponse):
                    async with opened(peers[kind], role, wish):
                        raise AssertionError("unreachable")
                continue
            async with opened(peers[kind], role, wish) as link:
                agreed = link.ws.compression
                assert agreed is not None
                assert not (wish.server_no_context_takeover and agreed.server_takeover)
                assert not (wish.client_no_context_takeover and agreed.client_takeover)
                assert agreed.server_bits <= (wish.server_max_window_bits or 15)
                assert agreed.client_bits <= (wish.client_max_window_bits or 15)
                for _ in range(3):  # what one message leaves behind is the next one's
                    await check_echo(link.ws, pattern(3000), text(100_000), "x" * 100_000)
                if kind in SENDS_FRAGMENTS:
                    await link.ws.send("!split 777")
                    await check_echo(link.ws, pattern(30_000))
            assert (await link.report())["code"] == 1000

    run(main)


@ROLES
@ALL
def test_compression_that_the_peer_does_not_want(peers, kind, role):
    async def main() -> None:
        async with opened(peers[kind], role, True, speaks=False) as link:
            assert link.ws.compression is None
            assert json.loads(await ask(link.ws, "!facts")) == {"subprotocol": None, "deflate": False}
            await check_echo(link.ws, text(100_000))
            await link.ws.send(text(1000), compress=True)
            assert await link.ws.receive_text() == text(1000)
        assert await link.report() == {"code": 1000, "reason": "", "received": 3}

    run(main)


# -- the end --------------------------------------------------------------------------------------------------------------------

CLOSES = [(1000, ""), (1001, "going — away"), (3000, "x" * 123), (4999, "0")]


@BOTH
@ROLES
@ALL
def test_we_close(peers, kind, role, loop):
    async def main() -> None:
        for code, reason in CLOSES:
            async with opened(peers[kind], role, False) as link:
                await check_echo(link.ws, "before")
                await link.ws.close(code, reason)
                assert link.ws.closed
                assert link.ws.close_code == code  # the peer's answer
                with pytest.raises(WebSocketClosed) as caught:
                    await link.ws.send("after")
                assert caught.value.code == code
                with pytest.raises(WebSocketClosed):
                    await link.ws.receive()
            assert await link.report() == {"code": code, "reason": reason, "received": 1}

    run(main, kind=loop)


@BOTH
@ROLES
@ALL
def test_the_peer_closes(peers, kind, role, loop):
    async def main() -> None:
        for code, reason in CLOSES:
            async with opened(peers[kind], role, False) as link:
                await link.ws.send("last words")
                await link.ws.send(f"!close {code} {reason}".rstrip(" "))
                assert [message.data async for message in link.ws] == ["last words"]
                assert (link.ws.close_code, link.ws.close_reason) == (code, reason)
                with pytest.raises(WebSocketClosed) as caught:
                    await link.ws.receive()
                assert (caught.value.code, caught.value.reason) == (code, reason)
            report = await link.report()
            assert report["code"] == code  # our answer
            assert report["received"] == 2

    run(main, kind=loop)


@ROLES
@ALL
def test_a_peer_that_is_gone(kind, role):
    """Its process is killed: there is no close frame."""

    async def main() -> None:
        with Peer(kind) as peer:
            async with opened(peer, role, False) as link:
                await check_echo(link.ws, "before")
                waiting = asyncio.create_task(link.ws.receive())
                await asyncio.sleep(0)
                peer.kill()
                with pytest.raises(ConnectionLost):
                    await waiting
                assert (link.ws.close_code, link.ws.close_reason) == (1006, "")
                with pytest.raises(ConnectionLost):
                    await link.ws.send("after")
                with pytest.raises(ConnectionLost):
                    async for _ in link.ws:
                        pass

    run(main)


@ROLES
@pytest.mark.skipif(missing("ws") != "", reason=missing("ws"))
def test_a_close_frame_without_a_code(peers, role):
    """Of the four, only node's ws sends one."""

    async def main() -> None:
        async with opened(peers["ws"], role, False) as link:
            await link.ws.send("!close")
            assert [message async for message in link.ws] == []
            assert (link.ws.close_code, link.ws.close_reason) == (1005, "")
        assert await link.report() == {"code": 1005, "reason": "", "received": 1}

    run(main)


@CODED
@ROLES
@ALL
def test_too_large_a_message(peers, kind, role, deflate):
    """It is refused with 1009, which the peer gets to know though it is still sending."""

    async def main() -> None:
        async with opened(peers[kind], role, deflate, max_size=100_000) as link:
            await check_echo(link.ws, pattern(100_000))
            await link.ws.send("!flood 1 3000000")
            with pytest.raises(WebSocketError) as caught:
                await link.ws.receive()
            assert caught.value.code == link.ws.close_code == 1009
        report = await link.report()
        assert report["code"] == 1009, report

    run(main)


# -- many -----------------------------------------------------------------------------------------------------------------------


@ALL
def test_a_thousand_sockets_to_a_peer(peers, kind, many_files):
    if many_files < 2 * PARALLEL:
        pytest.skip(f"a process may open only {many_files} files here")

    async def main() -> None:
        asyncio.get_running_loop().set_debug(False)  # it would remember where each of thousands of tasks was made
        peer = peers[kind]
        tag = f"/{next(_numbers)}"
        connector = wirebird.TCPConnector(pool_size=PARALLEL)
        ready = 0
        all_ready = asyncio.Event()

        async def one(client: wirebird.HTTPClient, number: int) -> None:
            nonlocal ready
            async with client.websocket(peer.url(tag, deflate=False), compression=False) as ws:
                ready += 1
                if ready == PARALLEL:
                    all_ready.set()
                await all_ready.wait()
                await check_echo(ws, f"number {number}", pattern(number))
                await ws.close(4000, str(number))

        async with wirebird.HTTPClient(connector) as client:
            async with asyncio.TaskGroup() as group:
                for number in range(PARALLEL):
                    group.create_task(one(client, number))
            check_settled(client)
        reports = [await peer.report(tag) for _ in range(PARALLEL)]
        assert sorted(int(report["reason"]) for report in reports) == list(range(PARALLEL))
        assert {(report["code"], report["received"]) for report in reports} == {(4000, 2)}

    run(main, kind="uvloop")


@ALL
def test_a_thousand_sockets_from_a_peer(peers, kind, many_files):
    if many_files < 2 * PARALLEL:
        pytest.skip(f"a process may open only {many_files} files here")

    async def main() -> None:
        asyncio.get_running_loop().set_debug(False)  # it would remember where each of thousands of tasks was made
        peer = peers[kind]
        tag = f"/{next(_numbers)}"
        ready = 0
        all_ready = asyncio.Event()

        async def handler(ws: WebSocket, head: RequestHead) -> None:
            nonlocal ready
            number = ready
            ready += 1
            if ready == PARALLEL:
                all_ready.set()
            await all_ready.wait()
            await check_echo(ws, f"number {number}", pattern(number))
            await ws.close(4000, str(number))

        async with WebSocketOrigin() as origin:
            origin.on(tag, handler)
            peer.connect(origin.url(tag), count=PARALLEL)
            reports = [await peer.report(tag) for _ in range(PARALLEL)]
            await origin.until(lambda: origin.open == 0)
            assert (origin.connections, origin.faults) == (PARALLEL, [])
        assert sorted(int(report["reason"]) for report in reports) == list(range(PARALLEL))
        assert {(report["code"], report["received"]) for report in reports} == {(4000, 2)}

    run(main, kind="uvloop")
