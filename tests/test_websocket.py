"""The WebSocket object in both roles: messages, pings, heartbeat, close, back-pressure, and what goes wrong."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
import sys
import zlib
from collections.abc import AsyncIterator
from itertools import repeat
from typing import Any

import pytest

from origin import run
from websocket_pair import raw_end, websocket_pair
from wirebird.errors import ConnectionLost, ReadTimeout, UsageError, WebSocketClosed, WebSocketError
from wirebird.net.websocket_connection import gathers
from wirebird.protocol.websocket import Protocol
from wirebird.protocol.websocket_deflate import Deflate
from wirebird.protocol.websocket_frames import encode_frame
from wirebird.protocol.websocket_messages import Message, MessageType

LOOPS = ("asyncio", "uvloop")
KEY = b"\x01\x02\x03\x04"


def protocol(*, server: bool) -> Protocol:
    """An engine to speak with from a raw socket."""
    return Protocol(server=server, masks=repeat(KEY), max_size=None)


async def read_frames(sock: socket.socket, engine: Protocol, until: int) -> list[Any]:
    """Read until there are so many events, or the end."""
    loop = asyncio.get_running_loop()
    events: list[Any] = []
    while len(events) < until:
        data = await loop.sock_recv(sock, 65536)
        if not data:
            break
        events += engine.receive(data, len(data))
    return events


async def read_to_end(sock: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while piece := await loop.sock_recv(sock, 65536):
        data += piece
    return data


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 1_000_000, 16 * 2**20])
def test_messages_of_every_size_go_both_ways(loop: str, size: int) -> None:
    async def main() -> None:
        async with websocket_pair(max_size=None) as (client, server):
            text, data = "x" * size, bytes(range(256)) * (size // 256) + b"y" * (size % 256)
            for near, far in ((client, server), (server, client)):
                sending = asyncio.create_task(near.send(text))
                assert await far.receive() == Message(MessageType.TEXT, text)
                await sending
                sending = asyncio.create_task(near.send(data))
                assert (await far.receive()).data == data
                await sending

    run(main, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_an_orderly_close_is_told_to_both(loop: str) -> None:
    async def main() -> None:
        async with websocket_pair() as (client, server):
            await client.send("last")
            closing = asyncio.create_task(client.close(3000, "enough"))
            assert [message.data async for message in server] == ["last"]
            await closing
            assert (server.close_code, server.close_reason) == (3000, "enough")
            assert (client.close_code, client.close_reason) == (3000, "")
            assert client.closed and server.closed
            await client.close()
            for end in (client, server):
                with pytest.raises(WebSocketClosed) as caught:
                    await end.send("more")
                assert caught.value.code == 3000
                with pytest.raises(WebSocketClosed):
                    await end.receive()
                with pytest.raises(WebSocketClosed):
                    await end.ping()
                assert [message async for message in end] == []

    run(main, loop)


def test_messages_before_the_close_are_given_out() -> None:
    async def main() -> None:
        async with websocket_pair() as (client, server):
            for number in range(5):
                await server.send(str(number))
            await server.close(1001)
            assert [message.data async for message in client] == ["0", "1", "2", "3", "4"]
            assert client.close_code == 1001

    run(main)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_vanished_peer_is_no_end_but_an_error(loop: str) -> None:
    async def main() -> None:
        async with raw_end(server=False) as (end, far):
            reading = asyncio.create_task(end.receive())
            pinging = asyncio.create_task(end.ping())
            await read_frames(far, protocol(server=True), 1)
            far.close()
            with pytest.raises(ConnectionLost, match="receiving a message"):
                await reading
            with pytest.raises(ConnectionLost):
                await pinging
            with pytest.raises(ConnectionLost):
                async for _ in end:
                    pass
            with pytest.raises(ConnectionLost):
                await end.send("x")
            assert (end.close_code, end.close_reason) == (1006, "")

    run(main, loop)


FAULTS = {
    "masked by a server": (False, encode_frame(1, b"x", key=KEY), 1002),
    "not masked by a client": (True, encode_frame(1, b"x"), 1002),
    "a reserved bit": (False, b"\xc1\x00", 1002),
    "no UTF-8": (False, encode_frame(1, b"\xff"), 1007),
    "too long": (False, encode_frame(2, bytes(2000)), 1009),
    "a length that never comes": (False, b"\x82\x7f" + struct.pack(">Q", 2**62), 1009),
    "a wrong close code": (False, encode_frame(8, b"\x03\xed"), 1002),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("loop", LOOPS)
def test_what_the_peer_does_wrong_is_told_to_both(loop: str, fault: str) -> None:
    async def main() -> None:
        server, wire, code = FAULTS[fault]
        async with raw_end(server=server, max_size=1000) as (end, far):
            before = encode_frame(1, b"fine", key=KEY if server else None)
            await asyncio.get_running_loop().sock_sendall(far, before + wire + before)
            assert (await end.receive()).data == "fine"
            with pytest.raises(WebSocketError) as caught:
                await end.receive()
            assert caught.value.code == code == end.close_code
            assert caught.value.peer == "the-peer:1"
            data = await read_to_end(far)
            events = protocol(server=not server).receive(data, len(data))
            assert [event.code for event in events] == [code]
            far.close()
            await end.connection.when_gone()

    run(main, loop)


def test_a_failed_connection_is_closed_also_by_a_peer_that_stays() -> None:
    async def main() -> None:
        async with raw_end(server=True) as (end, far):
            await asyncio.get_running_loop().sock_sendall(far, b"\xc1\x00")
            with pytest.raises(WebSocketError):
                await end.receive()
            await asyncio.wait_for(end.connection.when_gone(), 5)

    run(main)


@pytest.mark.parametrize("loop", LOOPS)
def test_pings_are_answered_in_order_and_timed(loop: str) -> None:
    async def main() -> None:
        async with raw_end(server=False) as (_, far):
            wire = b"".join(encode_frame(9, str(number).encode()) for number in range(50))
            await asyncio.get_running_loop().sock_sendall(far, wire)
            events = await read_frames(far, protocol(server=True), 50)
            assert [event.data for event in events] == [str(number).encode() for number in range(50)]
        async with websocket_pair() as (client, server):
            assert client.latency is None
            seconds = await client.ping()
            assert 0 < seconds == client.latency < 5
            assert 0 < await server.ping(b"here", timeout=5) < 5
            first, second = asyncio.create_task(client.ping(b"1")), asyncio.create_task(client.ping(b"2"))
            await asyncio.gather(first, second)
            await client.send_ping(b"nobody waits")
            await client.pong(b"nobody asked")
            await client.send("after")
            assert (await server.receive()).data == "after"

    run(main, loop)


def test_a_pong_answers_the_pings_before_its_own() -> None:
    async def main() -> None:
        async with raw_end(server=True) as (end, far):
            pings = [asyncio.create_task(end.ping(data)) for data in (b"a", b"b", b"c")]
            await read_frames(far, protocol(server=False), 3)
            await asyncio.get_running_loop().sock_sendall(far, encode_frame(10, b"b", key=KEY))
            await asyncio.gather(*pings[:2])
            assert not pings[2].done()
            with pytest.raises(UsageError, match="data"):
                await end.ping(b"c")
            pings[2].cancel()
            with pytest.raises(ReadTimeout, match="pong"):
                await end.ping(b"d", timeout=0.01)
            assert not end.connection._pings

    run(main)


def test_without_auto_pong_the_caller_answers() -> None:
    async def main() -> None:
        async with websocket_pair(client={"auto_pong": False}) as (client, server):
            pinging = asyncio.create_task(server.ping(b"mine"))
            message = await client.receive()
            assert message == Message(MessageType.PING, b"mine")
            await client.pong(b"mine")
            await pinging

    run(main)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_heartbeat_finds_that_nobody_is_there(loop: str) -> None:
    async def main() -> None:
        async with raw_end(server=False, heartbeat=0.2) as (end, far):
            began = asyncio.get_running_loop().time()
            with pytest.raises(ReadTimeout) as caught:
                await end.receive()
            assert 0.15 < asyncio.get_running_loop().time() - began < 2
            assert caught.value.limit == 0.2
            assert [type(event).__name__ for event in await read_frames(far, protocol(server=True), 2)] == ["Ping"]
            assert end.close_code == 1006

    run(main, loop)


def test_a_heartbeat_is_content_with_any_sign_of_life() -> None:
    async def main() -> None:
        async with websocket_pair(client={"heartbeat": 0.05}) as (client, server):
            reading = asyncio.create_task(client.receive())
            for _ in range(4):
                assert await server.ping(timeout=5) > 0
            with pytest.raises(ReadTimeout):
                await server.receive(0.3)
            assert not reading.done()
            assert client.latency is not None
            await server.send("there")
            assert (await reading).data == "there"

    run(main)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_slow_reader_holds_up_its_peer_and_loses_nothing(loop: str) -> None:
    async def main() -> None:
        async with websocket_pair(max_queue=65536) as (client, server):

            async def send() -> None:
                for number in range(3000):
                    await server.send(f"{number:>1000}")

            sending = asyncio.create_task(send())
            while server.connection.writable:
                await asyncio.sleep(0)
            assert client.connection.backlog < 200_000
            assert not sending.done()
            for number in range(3000):
                assert int((await client.receive()).data) == number
            await sending

    run(main, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_flood_of_pings_that_nobody_takes_the_pongs_of_is_bounded(loop: str) -> None:
    async def main() -> None:
        async with raw_end(server=True) as (end, far):
            wire = encode_frame(9, bytes(125), key=KEY) * 500
            running = asyncio.get_running_loop()
            sent = 0
            try:
                async with asyncio.timeout(0.3):
                    while sent < 200:
                        await running.sock_sendall(far, wire)
                        sent += 1
            except TimeoutError:
                pass
            assert sent < 200
            transport = end.connection.transport
            assert transport is not None and transport.get_write_buffer_size() < 400_000

    run(main, loop)


def test_concurrent_senders_and_a_message_in_fragments() -> None:
    async def main() -> None:
        async with websocket_pair() as (client, server):
            gate = asyncio.Event()

            async def pieces() -> AsyncIterator[str]:
                yield "one "
                yield "two "
                await gate.wait()
                yield "three"

            long = asyncio.create_task(client.send_fragments(pieces()))
            await server.ping()
            others = [asyncio.create_task(client.send(str(number))) for number in range(3)]
            more = asyncio.create_task(client.send_fragments([b"a", bytearray(b"b"), b"c"]))
            await server.ping()
            assert not any(task.done() for task in others)
            gate.set()
            await asyncio.gather(long, more, *others)
            got = [(await server.receive()).data for _ in range(5)]
            assert got[0] == "one two three"
            assert sorted(got[1:], key=str) == sorted(["0", "1", "2", b"abc"], key=str)

    run(main)


@pytest.mark.parametrize("loop", LOOPS)
def test_of_several_blocked_senders_one_may_be_cancelled(loop: str) -> None:
    async def main() -> None:
        async with websocket_pair(max_size=None, max_queue=1) as (client, server):
            await server.send("in the way")
            blocked = [asyncio.create_task(client.send(bytes(4 * 2**20))) for _ in range(3)]
            while client.connection.writable:
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            blocked[1].cancel()
            await asyncio.sleep(0)
            received = [len((await server.receive()).data) for _ in range(3)]
            assert received == [4 * 2**20] * 3  # a message that is under way arrives, whoever stops to wait for that
            await asyncio.gather(blocked[0], blocked[2])
            assert blocked[1].cancelled()

    run(main, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_sender_that_never_waits_learns_of_the_end(loop: str) -> None:
    async def main() -> None:
        async with raw_end(server=False) as (end, far):
            far.close()
            with pytest.raises(ConnectionLost):
                while True:
                    await end.send("x" * 1000)

    run(main, loop)


@pytest.mark.parametrize("how", ["raises", "cancelled", "mixed"])
def test_a_message_that_cannot_be_completed_ends_the_connection(how: str) -> None:
    async def main() -> None:
        async with websocket_pair() as (client, server):
            begun = asyncio.Event()

            async def pieces() -> AsyncIterator[Any]:
                yield "one"
                yield "two"
                begun.set()
                if how == "raises":
                    raise LookupError
                if how == "mixed":
                    yield b"three"
                    yield b"four"
                await asyncio.Event().wait()

            sending = asyncio.create_task(client.send_fragments(pieces()))
            await begun.wait()
            if how == "cancelled":
                sending.cancel()
            with pytest.raises({"raises": LookupError, "mixed": UsageError, "cancelled": asyncio.CancelledError}[how]):
                await sending
            assert [message async for message in server] == []
            assert server.close_code == 1011
            with pytest.raises(WebSocketClosed):
                await client.send("x")

    run(main)


def test_bad_arguments_are_named() -> None:
    async def main() -> None:
        async with websocket_pair() as (client, server):
            calls = {
                "data": [client.send(5), client.send("\ud800"), client.ping(bytes(126)), client.send_ping("x"), client.pong(5)],  # type: ignore[arg-type]
                "code": [client.close(1005), client.close(999), client.close(5000), client.close("1000")],  # type: ignore[arg-type]
                "reason": [client.close(1000, "x" * 124), client.close(1000, b"x"), client.close(1000, "\udfff")],  # type: ignore[arg-type]
                "pieces": [client.send_fragments("text"), client.send_fragments([]), client.send_fragments(5)],  # type: ignore[arg-type]
                "timeout": [client.receive(-1), client.ping(timeout="x")],  # type: ignore[arg-type]
            }
            for argument, coroutines in calls.items():
                for coroutine in coroutines:
                    with pytest.raises(UsageError) as caught:
                        await coroutine
                    assert caught.value.argument == argument
            await client.send_json({"still": "open"})
            assert await server.receive_json() == {"still": "open"}
        for option in ({"heartbeat": 0}, {"close_timeout": -1}, {"max_size": 0}, {"max_fragments": 0}, {"max_queue": 0}):
            with pytest.raises(UsageError) as caught:
                async with websocket_pair(**option):
                    pass
            assert caught.value.argument in option

    run(main)


def test_the_typed_ways_to_receive() -> None:
    async def main() -> None:
        async with websocket_pair() as (client, server):
            for data in ("a", b"b", '{"c": 1}', "d", b"e"):
                await client.send(data)
            assert await server.receive_text() == "a"
            assert await server.receive_bytes() == b"b"
            assert await server.receive_json() == {"c": 1}
            with pytest.raises(TypeError):
                await server.receive_bytes()
            with pytest.raises(TypeError):
                await server.receive_text()
            with pytest.raises(ReadTimeout) as caught:
                await server.receive(timeout=0.01)
            assert caught.value.limit == 0.01
            await client.send(memoryview(b"late"))
            assert await server.receive(timeout=5) == Message(MessageType.BINARY, b"late")
            await client.send_json([1], json_serializer=lambda value: repr(value).encode())
            assert await server.receive_text() == "[1]"

    run(main)


def test_only_one_task_receives_and_a_cancelled_one_loses_nothing() -> None:
    async def main() -> None:
        async with websocket_pair() as (client, server):
            first = asyncio.create_task(server.receive())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another task"):
                await server.receive()
            first.cancel()
            await client.send("x")
            with pytest.raises(asyncio.CancelledError):
                await first
            assert (await server.receive()).data == "x"

    run(main)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_close_that_the_peer_ignores_takes_no_longer_than_it_may(loop: str) -> None:
    async def main() -> None:
        async with raw_end(server=False, close_timeout=0.1) as (end, far):
            await asyncio.wait_for(end.close(1000, "bye"), 5)
            assert end.close_code == 1006
            assert [message async for message in end] == []
            events = await read_frames(far, protocol(server=True), 1)
            assert events[0].reason == "bye"

    run(main, loop)


def test_a_close_is_not_held_up_by_what_nobody_reads() -> None:
    async def main() -> None:
        async with websocket_pair(max_queue=1000) as (client, server):
            pieces = [bytes(50_000)] * 100
            sending: asyncio.Task[None] = asyncio.create_task(server.send_fragments(pieces))
            while not client.connection.backlog and server.connection.writable:
                await asyncio.sleep(0)
            await asyncio.wait_for(client.close(), 5)
            with pytest.raises((WebSocketClosed, ConnectionLost)):
                await sending
            assert server.close_code == 1000

    run(main)


def test_a_cancelled_close_leaves_nothing_open() -> None:
    async def main() -> None:
        async with raw_end(server=False) as (end, far):
            closing = asyncio.create_task(end.close())
            await read_frames(far, protocol(server=True), 1)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            await asyncio.wait_for(end.connection.when_gone(), 5)
            assert await read_to_end(far) == b""

    run(main)


def test_the_block_says_how_it_ended() -> None:
    async def main() -> None:
        async with websocket_pair() as (client, server):
            reading = asyncio.create_task(anext(server, None))
            async with client:
                pass
            assert await reading is None
            assert server.close_code == 1000
        async with websocket_pair() as (client, server):
            reading = asyncio.create_task(anext(server, None))
            with pytest.raises(LookupError):
                async with client:
                    raise LookupError
            assert await reading is None
            assert server.close_code == 1011

    run(main)


def test_one_that_nobody_holds_is_closed_and_says_so() -> None:
    async def main() -> None:
        async with raw_end(server=False) as (end, far):
            gone = end.connection.when_gone()
            with pytest.warns(ResourceWarning, match="unclosed"):
                from wirebird.net.websocket import WebSocket

                forgotten = WebSocket(end.connection)
                del forgotten
                gc.collect()
            await asyncio.wait_for(asyncio.shield(gone), 5)
            assert await read_to_end(far) == b""

    run(main)


@pytest.mark.parametrize("last", [(0x88, b"\x03\xe8"), (0x83, b"")], ids=["close", "fault"])
def test_messages_ahead_of_the_end_are_kept_however_many_they_are(last: tuple[int, bytes]) -> None:
    async def main() -> None:
        async with raw_end(server=False, max_queue=100) as (end, far):
            far.send(b"".join(encode_frame(1, b"%03d" % number + b"x" * 97) for number in range(50)) + encode_frame(*last))
            while not end.closed:
                await asyncio.sleep(0)
            assert [(await end.receive()).data[:3] for _ in range(50)] == [f"{number:03}" for number in range(50)]
            with pytest.raises(WebSocketClosed if last[1] else WebSocketError):
                await end.receive()

    run(main)


@pytest.mark.parametrize("deflate", [False, True])
def test_a_close_goes_on_behind_what_nobody_reads_any_more(deflate: bool) -> None:
    async def main() -> None:
        agreed = Deflate().accept(["permessage-deflate"]) if deflate else None
        async with raw_end(server=False, max_queue=1000, max_size=None, deflate=agreed) as (end, far):
            closing = asyncio.create_task(end.close())
            await read_frames(far, protocol(server=True), 1)
            frames = encode_frame(2, bytes(5000)) * 80
            if deflate:
                packed = zlib.compressobj(wbits=-15)
                payload = packed.compress(bytes(3_000_000)) + packed.flush(zlib.Z_SYNC_FLUSH)
                frames = encode_frame(2, payload[:-4], rsv1=True) * 2
            frames += encode_frame(8, b"\x03\xe8")
            await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(far, frames), 5)
            while end.close_code is None:
                await asyncio.sleep(0)
            assert end.close_code == 1000
            far.shutdown(socket.SHUT_WR)
            await asyncio.wait_for(closing, 5)

    run(lambda: asyncio.wait_for(main(), 8))


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("size", [100, 20_000, 200_000])
def test_a_sender_is_held_up_by_a_peer_that_does_not_read(loop: str, size: int) -> None:
    async def main() -> None:
        async with raw_end(server=False) as (end, far):
            engine, data, count = protocol(server=True), b"m" * size, 0

            async def send() -> None:
                nonlocal count
                for number in range(40_000_000 // size):
                    await end.send(b"%08d" % number + data)
                    count = number + 1

            sending = asyncio.create_task(send())
            while end.connection.writable:
                await asyncio.sleep(0)
            assert count * size < 20_000_000
            last = count
            for number, message in enumerate(await read_frames(far, engine, last)):
                assert message.data == b"%08d" % number + data
            sending.cancel()

    run(main, loop)


class Gathering(asyncio.Transport):
    def writelines(self, list_of_data: Any) -> None: ...


def test_pieces_are_for_transports_that_write_them_as_one() -> None:
    class Joining(asyncio.Transport):
        pass

    assert gathers(Gathering)
    assert not gathers(Joining)
    ours, stdlib = type("Ours", (Gathering,), {"__module__": "asyncio.of_ours"}), sys.version_info[:2]
    assert gathers(ours) == (sys.version_info >= (3, 13, 1) or (stdlib == (3, 12) and sys.version_info >= (3, 12, 8)))


@pytest.mark.parametrize("data", ["", "é" * 70_000, b"", b"x" * 125, b"x" * 126, b"x" * 65535, b"x" * 65536])
@pytest.mark.parametrize("server", [False, True])
def test_a_message_in_pieces_is_the_same_message(data: str | bytes, server: bool) -> None:
    assert b"".join(protocol(server=server).message_pieces(data)) == protocol(server=server).message(data)
