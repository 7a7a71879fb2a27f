"""`StreamReader` of `wirebird.compat.aiohttp` beside aiohttp's: the body of a response bit by bit, and a reader fed by hand."""

from __future__ import annotations

import asyncio
import gzip
import warnings
from typing import Any

import aiohttp
import pytest

from origin import FOX, Asked, Origin, Wire, pattern, run
from wirebird.compat import aiohttp as ours

LIBRARIES = {"aiohttp": aiohttp, "wirebird": ours}

both = pytest.mark.parametrize("lib", list(LIBRARIES.values()), ids=list(LIBRARIES))


async def collect(iterator: Any) -> list[Any]:
    return [piece async for piece in iterator]


@both
@pytest.mark.parametrize("path", ["/bytes/100000", "/chunked/100000", "/eof/100000"])
def test_every_way_to_read(lib: Any, path: str) -> None:
    data = pattern(100_000)

    async def main() -> None:
        async with Origin() as origin, lib.ClientSession() as session:

            async def opened() -> Any:
                return (await session.get(origin.url(path))).content

            content = await opened()
            assert isinstance(content, lib.StreamReader)
            assert await content.read(10) == data[:10]
            assert await content.readexactly(90_000) == data[10:90_010]
            assert await content.read() == data[90_010:]
            assert await content.read() == b""
            assert content.at_eof()
            assert content.is_eof()
            assert content.exception() is None
            assert content.total_bytes == len(data)
            content = await opened()
            pieces = await collect(content.iter_chunked(1024))
            assert b"".join(pieces) == data
            assert max(map(len, pieces)) <= 1024
            content = await opened()
            assert b"".join(await collect(content.iter_any())) == data
            content = await opened()
            with pytest.raises(asyncio.IncompleteReadError) as info:
                await content.readexactly(100_001)
            assert (info.value.partial, info.value.expected) == (data, 100_001)
            content = await opened()
            found = await content.readuntil(b" 0000")
            assert found.endswith(b" 0000")
            assert data.startswith(found)
            assert await content.read(0) == b""
            content = await opened()
            pieces = []
            while not content.at_eof():
                pieces.append(await content.readany())
            assert b"".join(pieces) == data
            response = await session.get(origin.url(path))
            assert await response.content.read(5) == data[:5]
            assert await response.read() == data[5:]
            assert response.closed

    run(main)


@both
def test_lines(lib: Any) -> None:
    text = b"one\n\ntwo\r\nthree"

    async def main() -> None:
        async with Origin() as origin, lib.ClientSession() as session:

            async def handler(asked: Asked, wire: Wire) -> None:
                await wire.respond(200, [], text)

            origin.on("/lines", handler)
            async with session.get(origin.url("/lines")) as response:
                assert await collect(response.content) == [b"one\n", b"\n", b"two\r\n", b"three"]
            async with session.get(origin.url("/lines")) as response:
                assert await response.content.readline() == b"one\n"
                assert await response.content.readuntil(b"\r\n") == b"\ntwo\r\n"
                assert await response.content.readline() == b"three"
                assert await response.content.readline() == b""
                with pytest.raises(ValueError):
                    await response.content.readuntil(b"")
            async with session.get(origin.url("/bytes/400000"), read_bufsize=1024) as response:
                with pytest.raises(Exception, match="Got more than 2048 bytes") as info:
                    await response.content.readline()
                assert type(info.value).__name__ == "LineTooLong"
            async with session.get(origin.url("/bytes/4000")) as response:
                with pytest.raises(Exception, match="Got more than 100 bytes"):
                    await response.content.readline(max_line_length=100)

    run(main)


def slowly(pieces: list[bytes], released: list[asyncio.Event]) -> Any:
    """Send each piece when its turn has come."""

    async def handler(asked: Asked, wire: Wire) -> None:
        for piece, event in zip(pieces, released, strict=True):
            await event.wait()
            await wire.send(piece)

    return handler


@both
def test_separators_between_pieces(lib: Any) -> None:
    async def main() -> None:
        async with Origin() as origin, lib.ClientSession() as session:
            events = [asyncio.Event() for _ in range(4)]
            head = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n"
            origin.on("/slow", slowly([head + b"ab-", b"-", b"-cd--", b"-ef"], events))
            events[0].set()
            async with session.get(origin.url("/slow")) as response:
                content = response.content
                reading = asyncio.create_task(content.readuntil(b"---"))
                for event in events[1:3]:
                    await asyncio.sleep(0)
                    event.set()
                assert await reading == b"ab---"
                events[3].set()
                assert await content.readuntil(b"---") == b"cd---"
                assert await content.readuntil(b"---") == b"ef"

    run(main)


@both
@pytest.mark.parametrize("coded", [False, True])
def test_chunks(lib: Any, coded: bool) -> None:
    async def main() -> None:
        async with Origin() as origin, lib.ClientSession() as session:
            data = [b"first", b"the second", b"x" * 3000]
            if coded:
                import zlib

                compressor = zlib.compressobj(wbits=31)
                sent = [compressor.compress(piece) + compressor.flush(zlib.Z_SYNC_FLUSH) for piece in data]
                sent[-1] += compressor.flush()
            else:
                sent = data

            async def handler(asked: Asked, wire: Wire) -> None:
                coding = b"Content-Encoding: gzip\r\n" if coded else b""
                body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in sent)
                await wire.send(b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (coding, body))

            origin.on("/chunks", handler)
            async with session.get(origin.url("/chunks")) as response:
                whole, parts = b"", []
                async for piece, ends in response.content.iter_chunks():
                    whole += piece
                    if ends:
                        parts.append(whole)
                        whole = b""
                assert parts == data
                assert whole == b""
                assert await response.content.readchunk() == (b"", False)
            async with session.get(origin.url("/bytes/10")) as response:
                assert await collect(response.content.iter_chunks()) == [(pattern(10), False)]
            async with session.get(origin.url("/chunks")) as response:
                assert await response.content.read(2) == b"fi"
                assert await response.content.readchunk() == (b"rst", True)
                assert await response.content.read(12) in (b"the second", b"the secondxx")

    run(main)


@both
def test_what_is_here_without_waiting(lib: Any) -> None:
    async def main() -> None:
        async with Origin() as origin, lib.ClientSession() as session:
            async with session.get(origin.url("/held?first=1000")) as response:
                content = response.content
                assert await content.read(1) == pattern(1)
                assert not content.is_eof()
                assert not content.at_eof()
                got = b""
                while len(got) < 999:
                    got += content.read_nowait(500) or content.read_nowait()
                    await asyncio.sleep(0)
                assert got == pattern(1000)[1:]
                assert content.read_nowait() == b""
                reading = asyncio.create_task(content.read(10))
                await asyncio.sleep(0)
                with pytest.raises(RuntimeError):
                    content.read_nowait()
                with pytest.raises(RuntimeError):
                    await content.readany()
                origin.release.set()
                assert len(await reading) == 10
                ended = []
                content.on_eof(lambda: ended.append(True))
                await content.read()
                assert ended == [True]
                content.on_eof(lambda: ended.append(True))
                assert ended == [True, True]

    run(main)


@both
def test_decoded_on_the_way(lib: Any) -> None:
    async def main() -> None:
        async with Origin() as origin, lib.ClientSession() as session:
            for coding in ("gzip", "deflate", "raw-deflate", "br", "zstd"):
                async with session.get(origin.url(f"/coded/{coding}")) as response:
                    assert await response.content.read(10) == FOX[:10]
                    assert b"".join(await collect(response.content.iter_chunked(100))) == FOX[10:]
            async with session.get(origin.url("/coded/gzip"), auto_decompress=False) as response:
                assert gzip.decompress(await response.content.read()) == FOX

    run(main)


@both
def test_fed_by_hand(lib: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        protocol = aiohttp.base_protocol.BaseProtocol(loop)
        protocol.transport = object()  # as if it were connected
        reader = lib.StreamReader(protocol, 2**16, loop=loop)
        reading = asyncio.create_task(reader.read(5))
        await asyncio.sleep(0)
        reader.feed_data(b"abc")
        assert await reading == b"abc"
        reader.feed_data(b"line\nrest")
        assert await reader.readline() == b"line\n"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader.unread_data(b"li")
        assert await reader.read(4) == b"lire"
        reader.feed_eof()
        assert not reader.at_eof()
        assert await reader.readany() == b"st"
        assert reader.at_eof()
        await reader.wait_eof()
        assert reader.total_bytes == 12
        assert "eof" in repr(reader)
        reader = lib.StreamReader(protocol, 2**16, loop=loop)
        reading = asyncio.create_task(reader.readany())
        await asyncio.sleep(0)
        reader.set_exception(LookupError("gone"))
        with pytest.raises(LookupError):
            await reading
        with pytest.raises(LookupError):
            await reader.read()
        assert isinstance(reader.exception(), LookupError)
        reader = lib.StreamReader(protocol, 2**16, loop=loop)
        reader.begin_http_chunk_receiving()
        reader.feed_data(b"one")
        reader.feed_data(b"two")
        reader.end_http_chunk_receiving()
        reader.feed_data(b"three")
        reader.feed_eof()
        assert await collect(reader.iter_chunks()) == [(b"onetwo", True), (b"three", False)]

    run(main)


@both
def test_an_empty_stream(lib: Any) -> None:
    async def main() -> None:
        empty = lib.EMPTY_PAYLOAD
        assert await empty.read() == await empty.readany() == await empty.readline() == b""
        assert empty.at_eof()
        assert empty.exception() is None
        await empty.wait_eof()

    run(main)


@both
def test_queues(lib: Any) -> None:
    async def main() -> None:
        queue = lib.DataQueue(asyncio.get_running_loop())
        reading = asyncio.create_task(queue.read())
        await asyncio.sleep(0)
        queue.feed_data("a", 1)
        assert await reading == "a"
        queue.feed_data("b", 1)
        queue.feed_data("c", 1)
        assert len(queue) == 2
        queue.feed_eof()
        assert await collect(queue) == ["b", "c"]
        assert queue.at_eof()
        with pytest.raises(lib.EofStream):
            await queue.read()
        queue = lib.DataQueue(asyncio.get_running_loop())
        queue.set_exception(LookupError("gone"))
        with pytest.raises(LookupError):
            await queue.read()

    run(main)


@both
def test_a_reader_that_is_slow_holds_up_the_peer(lib: Any) -> None:
    async def main() -> None:
        async with Origin() as origin, lib.ClientSession() as session:
            sent = 0

            async def flood(asked: Asked, wire: Wire) -> None:
                nonlocal sent
                await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
                for _ in range(100):
                    await wire.send(bytes(1_000_000))
                    sent += 1

            origin.on("/flood", flood)
            async with session.get(origin.url("/flood")) as response:
                assert len(await response.content.readexactly(1_000_000)) == 1_000_000
                for _ in range(200):
                    await asyncio.sleep(0)
                assert sent < 20
            async with session.get(origin.url("/bytes/1")) as response:
                assert response.status == 200

    run(main)


def test_a_bomb_is_not_inflated_at_once() -> None:
    async def main() -> None:
        async with Origin() as origin, ours.ClientSession() as session:
            bomb = gzip.compress(bytes(10_000_000), 1)

            async def handler(asked: Asked, wire: Wire) -> None:
                await wire.respond(200, [("Content-Encoding", "gzip")], bomb)

            origin.on("/bomb", handler)
            async with session.get(origin.url("/bomb")) as response:
                assert len(await response.content.readany()) <= 400_000

    run(main)


def test_many_short_lines_take_linear_time() -> None:
    async def main() -> None:
        reader = ours.StreamReader()
        reader.feed_data(b"\n" * 2000 + bytes(20_000_000))  # which must not be looked at, or copied, for each of them
        for _ in range(2000):
            assert await reader.readline() == b"\n"

    run(main)


def test_what_came_before_an_error_can_be_read() -> None:
    async def main() -> None:
        async with Origin() as origin, ours.ClientSession() as session:

            async def handler(asked: Asked, wire: Wire) -> None:
                await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
                wire.close()

            origin.on("/cut", handler)
            for read in ("read", "readany", "readline"):
                async with session.get(origin.url("/cut")) as response:
                    content = response.content
                    if read != "readline":
                        assert await getattr(content, read)(*(100,) if read == "read" else ()) == b"12345"
                    with pytest.raises(ours.ClientPayloadError):
                        await getattr(content, read)()
                    with pytest.raises(ours.ClientPayloadError):
                        await content.read()

    run(main)


@pytest.mark.parametrize("size", [1000, 100_000])
def test_pieces_have_the_size_that_was_asked_for_where_there_is_as_much(size: int) -> None:
    async def main() -> None:
        async with Origin() as origin, ours.ClientSession() as session:
            async with session.get(origin.url("/chunked/50000?size=700")) as response:
                while not response.closed:
                    await asyncio.sleep(0)
                pieces = await collect(response.content.iter_chunked(size))
            assert b"".join(pieces) == pattern(50_000)
            assert {len(piece) for piece in pieces[:-1]} <= {size}

    run(main, "uvloop")


@both
@pytest.mark.parametrize("how", ["read", "readany", "readline", "readchunk", "readexactly", "iter_chunked", "wait_eof"])
def test_a_read_that_took_too_long_is_taken_up_again(lib: Any, how: str) -> None:
    """`asyncio.wait_for(content.readline(), …)` around each line of a stream that is silent now and then loses nothing."""

    async def main() -> None:
        async with Origin() as origin, lib.ClientSession() as session:
            async with session.get(origin.url("/held?first=10")) as response:
                content = response.content
                assert await content.readexactly(10) == pattern(10)
                arguments = {"read": (1000,), "readexactly": (1000,)}.get(how, ())
                read = content.iter_chunked(1000).__anext__ if how == "iter_chunked" else getattr(content, how)
                for _ in range(2):
                    with pytest.raises(TimeoutError):
                        await asyncio.wait_for(read(*arguments), 0.01)
                origin.release.set()
                await read(*arguments)
                await content.read()
                assert content.at_eof()
                assert content.total_bytes == 100_000
            assert origin.connections == 1

    run(main)


@both
def test_what_came_over_the_wire_is_counted(lib: Any) -> None:
    text = b"the same again, " * 5_000

    async def handler(asked: Asked, wire: Wire) -> None:
        await wire.respond(200, [("Content-Encoding", "gzip")], gzip.compress(text))

    async def main() -> None:
        async with Origin() as origin, lib.ClientSession() as session:
            origin.on("/coded", handler)
            for auto_decompress in (True, False):
                async with session.get(origin.url("/coded"), auto_decompress=auto_decompress) as response:
                    data = await response.content.read()
                    assert (data == text) is auto_decompress
                    assert response.content.total_raw_bytes == int(response.headers["Content-Length"]) < len(text)
            async with session.get(origin.url("/chunked/5000")) as response:
                await response.content.read()
                assert response.content.total_raw_bytes == 5000

    run(main)
