"""The WebSocket object where things go wrong at both ends at once: ends while it is blocked, cancellations, odd arguments."""

from __future__ import annotations

import asyncio
import socket
import zlib
from collections.abc import Awaitable, Iterator
from itertools import repeat
from random import Random
from typing import Any

import pytest

from origin import run
from websocket_pair import raw_end, websocket_pair
from wirebird.errors import ConnectionLost, UsageError
from wirebird.net.websocket import WebSocket
from wirebird.protocol.websocket import Protocol
from wirebird.protocol.websocket_deflate import Deflate, Deflater
from wirebird.protocol.websocket_frames import encode_frame

LOOPS = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
KEY = b"\x01\x02\x03\x04"


async def fill(end: WebSocket) -> asyncio.Task[None]:
    """Send until the transport takes no more; the task of who waits."""

    async def send() -> None:
        while True:
            await end.send(bytes(50_000))

    sending = asyncio.create_task(send())
    while end.connection.writable:
        await asyncio.sleep(0)
    return sending


@LOOPS
def test_a_peer_that_ends_its_side_and_reads_nothing_is_gone(loop: str) -> None:
    """The transport closes only once it has sent what it holds, and that may be never."""

    async def main() -> None:
        async with raw_end(server=False, close_timeout=0.1) as (end, far):
            sending = await fill(end)
            far.sendall(encode_frame(1, b"last words"))
            far.shutdown(socket.SHUT_WR)
            assert (await asyncio.wait_for(end.receive(), 5)).data == "last words"
            with pytest.raises(ConnectionLost):
                await asyncio.wait_for(end.receive(), 5)
            with pytest.raises(ConnectionLost):
                await asyncio.wait_for(sending, 5)
            await asyncio.wait_for(end.connection.when_gone(), 5)

    run(main, loop)


@LOOPS
def test_a_ping_does_not_stop_the_reading_while_the_program_is_held_up(loop: str) -> None:
    """A peer that waits for us to read before it reads on would wait for ever, for one ping."""

    async def main() -> None:
        async with raw_end(server=False) as (end, far):
            sending = await fill(end)
            far.sendall(encode_frame(1, b"one") + encode_frame(9, b"there?"))
            assert (await asyncio.wait_for(end.receive(), 5)).data == "one"
            far.sendall(encode_frame(1, b"two"))
            assert (await asyncio.wait_for(end.receive(), 5)).data == "two"
            assert not sending.done()
            sending.cancel()

    run(main, loop)


@LOOPS
def test_a_cancelled_block_says_1001_and_waits_for_nothing(loop: str) -> None:
    async def main() -> None:
        async with raw_end(server=False, close_timeout=60) as (end, far):

            async def block() -> None:
                async with end:
                    await end.receive()

            task = asyncio.create_task(block())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, 5)
            wire = await asyncio.get_running_loop().sock_recv(far, 100)
            engine = Protocol(server=True, masks=repeat(KEY))
            assert engine.receive(wire, len(wire))[0] == (1001, "")

    run(main, loop)


def test_the_time_to_close_is_one_time() -> None:
    """A peer that answers late, and then does not close the connection, gets no second `close_timeout`."""

    async def main() -> None:
        async with raw_end(server=False, close_timeout=60) as (end, far):
            closing = asyncio.create_task(end.close())
            await asyncio.sleep(0)
            timer = end.connection._timer
            far.sendall(encode_frame(8, b"\x03\xe8"))
            with pytest.raises(Exception, match="closed"):
                await end.receive()
            assert end.connection._timer is timer is not None
            closing.cancel()

    run(main)


def test_a_message_that_is_longer_than_the_queue_comes_while_it_is_closed() -> None:
    async def main() -> None:
        async with raw_end(server=False, max_queue=100) as (end, far):
            closing = asyncio.create_task(end.close())
            await asyncio.sleep(0)
            far.sendall(encode_frame(2, bytes(1000)))
            assert (await asyncio.wait_for(end.receive(), 5)).data == bytes(1000)
            far.close()
            await asyncio.wait_for(closing, 5)

    run(main)


@pytest.mark.parametrize("data", [bytearray(b"data"), memoryview(bytearray(b"data")), memoryview(b"data")])
def test_a_ping_takes_any_bytes(data: Any) -> None:
    async def main() -> None:
        async with websocket_pair() as (client, server):
            reading = asyncio.create_task(anext(server, None))
            listening = asyncio.create_task(anext(client, None))
            assert await client.ping(data, timeout=5) >= 0
            await client.send_ping(data)
            await client.pong(data)
            reading.cancel()
            listening.cancel()

    run(main)


@pytest.mark.parametrize("data", ["text", 5, [], {}])
def test_a_ping_of_anything_else_is_refused(data: Any) -> None:
    async def main() -> None:
        async with websocket_pair() as (client, _):
            for ping in (client.ping, client.send_ping, client.pong):
                with pytest.raises(UsageError) as caught:
                    await ping(data)
                assert caught.value.argument == "data"

    run(main)


@pytest.mark.parametrize("timeout", ["5", -1, float("nan"), True])
def test_a_time_limit_is_looked_at_also_where_a_message_is_there(timeout: Any) -> None:
    async def main() -> None:
        async with websocket_pair() as (client, server):
            await server.send("x")
            while not client.connection.messages:
                await asyncio.sleep(0)
            with pytest.raises(UsageError) as caught:
                await client.receive(timeout)
            assert caught.value.argument == "timeout"
            assert await client.receive_text() == "x"

    run(main)


@pytest.mark.parametrize("deflate", [Deflate(threshold=0), Deflate(mem_level=1), Deflate(mem_level=9, level=9)], ids=repr)
@pytest.mark.parametrize("pieces", [1, 3, 1000])
def test_what_cannot_be_compressed_may_be_as_long_as_the_limit(deflate: Deflate, pieces: int) -> None:
    """Compression makes it longer on the wire, by what depends on its memory and on the pieces; the limit is for the message."""
    size = 256 * 1024
    noise = Random(1).randbytes(size)
    step = -(-size // pieces)
    agreed = deflate.accept([deflate.offer().partition(";")[0]])

    async def main() -> None:
        async with websocket_pair(deflate=agreed, max_size=size) as (client, server):
            for sender, receiver in ((client, server), (server, client)):
                if pieces == 1:
                    sending = asyncio.create_task(sender.send(noise))
                else:
                    parts = [noise[at : at + step] for at in range(0, size, step)]
                    sending = asyncio.create_task(sender.send_fragments(parts, compress=True))
                assert await receiver.receive_bytes(timeout=9) == noise
                await sending

    run(main)


@pytest.mark.parametrize("takeover", [True, False])
def test_a_message_in_fragments_is_compressed(takeover: bool) -> None:
    """RFC 7692 6.1: the first frame says so, and each piece can be read as soon as it is there."""
    wish = Deflate(client_no_context_takeover=not takeover)
    agreed = wish.accept([wish.offer().replace("; client_max_window_bits", "")])
    assert agreed is not None

    async def main() -> None:
        async with raw_end(server=False, deflate=agreed) as (end, far):
            engine = Protocol(server=True, masks=repeat(KEY), deflate=agreed, max_fragments=10)
            text = "many words, and the same words " * 20

            async def on_the_wire(sent: Awaitable[None]) -> tuple[bytes, list[Any]]:
                await sent
                wire = await asyncio.get_running_loop().sock_recv(far, 262144)
                return wire, engine.receive(wire, len(wire))

            for pieces, compress, marked in (
                ([text, text, text], None, True),
                (["short", text], None, False),  # the first piece decides
                (["short", "", text, ""], True, True),
                (["", ""], True, True),
                ([""], True, True),
                ([text, "", ""], None, True),
                ([text, text], False, False),
                ([text], None, True),
            ):
                wire, events = await on_the_wire(end.send_fragments(pieces, compress=compress))
                assert events == [(1, "".join(pieces))]
                assert bool(wire[0] & 0x40) is marked
                if pieces[:1] == [text] and marked:
                    assert len(wire) < 300
            wire, events = await on_the_wire(end.send(text))
            assert events == [(1, text)]
            assert (len(wire) < 40) is takeover  # the window of the fragments is that of the next message
            if takeover:
                return
            assert engine.receive(wire, len(wire)) == events  # and needs nothing of what was before

    run(main)


def test_each_compressed_piece_can_be_read_when_it_comes() -> None:
    deflater, raw = Deflater(15, False), zlib.decompressobj(-15)
    for piece in (b"one", b"", b"two" * 200):
        assert raw.decompress(deflater.deflate(piece, last=False)) == piece
    assert raw.decompress(deflater.deflate(b"three") + b"\0\0\xff\xff") == b"three"
    assert Deflater(15, False).deflate(b"three") == deflater.deflate(b"three")


@pytest.mark.parametrize("pieces", [[None, "x"], ["x", None], [1, 2], [b"x", 5], [["x"]]], ids=repr)
def test_pieces_of_another_kind_are_refused(pieces: Any) -> None:
    async def main() -> None:
        async with websocket_pair() as (client, _):
            with pytest.raises(UsageError) as caught:
                await client.send_fragments(pieces)
            assert caught.value.argument == "pieces"

    run(main)


def test_a_piece_is_sent_as_it_was_when_it_was_given() -> None:
    """Who reads into the same place again and again has overwritten it by the time the next piece is there."""

    async def main() -> None:
        async with websocket_pair() as (client, server):
            place = bytearray(4)

            def read() -> Iterator[memoryview]:
                for word in (b"one ", b"two ", b"more"):
                    place[:] = word
                    yield memoryview(place)

            await client.send_fragments(read())
            assert await server.receive_bytes() == b"one two more"

    run(main)


@pytest.mark.parametrize("compress", ["no", 0, 1])
def test_compress_is_a_choice_of_three(compress: Any) -> None:
    async def main() -> None:
        async with websocket_pair() as (client, _):
            for sending in (client.send("x", compress=compress), client.send_fragments(["x"], compress=compress)):
                with pytest.raises(UsageError) as caught:
                    await sending
                assert caught.value.argument == "compress"

    run(main)


def test_an_error_that_is_raised_again_and_again_does_not_grow() -> None:
    async def main() -> None:
        async with raw_end(server=False) as (end, far):
            far.close()
            for use in (end.receive, end.__anext__, end.ping):
                for _ in range(3):
                    with pytest.raises(ConnectionLost) as caught:
                        await use()
                    assert len(caught.traceback) < 6

    run(main)
