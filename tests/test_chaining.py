"""A response's body as that of a request: what is carried over, who waits for whom, what becomes of one when the other fails."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from origin import pattern
from raw_peer import OK, Peer, answer, check_settled, chunked, run
from wirebird import BodyConsumed, ConnectionLost, HTTPClient, IncompleteBody, Timeouts, Upload

BODY = pattern(300_000)
LOOPS = ["asyncio", "uvloop"]


class Sink:
    """A peer that keeps what it is sent."""

    def __init__(self):
        self.heads = []
        self.bodies = []

    async def serve(self, link):
        while await link.request_head():
            self.heads.append(link.head.decode().lower())
            body = []
            if "transfer-encoding: chunked" in self.heads[-1]:
                while size := int(await link.reader.readuntil(b"\n"), 16):
                    body.append(await link.reader.readexactly(size))
                    await link.reader.readexactly(2)
                await link.reader.readuntil(b"\n")
            elif link.length:
                body.append(await link.reader.readexactly(link.length))
            self.bodies.append(b"".join(body))
            await link.send(OK)


def relay(source, main, sink=None, kind="asyncio", **settings):
    """Run `main(client, source_url, sink_url)`; `source` is what the first peer sends, or its script."""
    if kind == "uvloop":
        pytest.importorskip("uvloop")
    sink = sink or Sink().serve

    async def script(link):
        while await link.request():
            await link.send(source)

    async def framed():
        async with Peer(source if callable(source) else script) as first, Peer(sink) as second:
            async with HTTPClient(**settings) as client:
                await main(client, first.url("/"), second.url("/"))
                assert await client.wait_requests(2)
                check_settled(client)

    run(framed, kind=kind)


# -- what is carried over --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("size", [0, 10, 65_536, 300_000])
def test_length_and_type(size, kind):
    sink = Sink()

    async def main(client, source, target):
        async with client.get(source) as response:
            await client.put(target, data=response)
        response = await client.get(source)
        await client.put(target, data=Upload(response))
        await client.put(target, data=await client.get(source), headers={"Content-Type": "text/own"})
        assert client.stats()["in_use"] == 0

    relay(answer(BODY[:size], b"Content-Type: image/png"), main, sink.serve, kind)
    assert sink.bodies == [BODY[:size]] * 3
    for head, kind_of in zip(sink.heads, ("image/png", "image/png", "text/own"), strict=True):
        assert f"\r\ncontent-length: {size}\r\n" in head
        assert f"\r\ncontent-type: {kind_of}\r\n" in head
        assert "transfer-encoding" not in head


def test_a_length_that_is_not_known():
    sink = Sink()

    async def main(client, source, target):
        async with client.get(source) as response:
            await client.put(target, data=response)
        async with client.get(source) as response:
            await client.put(target, data=response.iter_bytes(10_000))

    relay(chunked(BODY[:100_000], BODY[100_000:]), main, sink.serve)
    assert sink.bodies == [BODY] * 2
    assert all("transfer-encoding: chunked" in head for head in sink.heads)
    assert all("content-type: application/octet-stream" in head for head in sink.heads)


@pytest.mark.parametrize("decompress", [True, False])
def test_a_coded_body(decompress):
    """Decoded on the way, its length is not known; left as it is, its length and its coding are those it came with."""
    sink = Sink()
    coded = gzip.compress(BODY)

    async def main(client, source, target):
        async with client.get(source) as response:
            await client.put(target, data=response)
        async with client.get(source) as response:
            await client.put(target, data=Upload(response))

    relay(answer(coded, b"Content-Encoding: gzip"), main, sink.serve, auto_decompress=decompress)
    assert sink.bodies == [BODY if decompress else coded] * 2
    for head in sink.heads:
        assert ("\r\ncontent-encoding: gzip\r\n" in head) is not decompress
        assert (f"\r\ncontent-length: {len(coded)}\r\n" in head) is not decompress


def test_an_unknown_coding_goes_along():
    sink = Sink()

    async def main(client, source, target):
        await client.put(target, data=await client.get(source))

    relay(answer(BODY, b"Content-Encoding: rot13"), main, sink.serve)
    assert sink.bodies == [BODY]
    assert "\r\ncontent-encoding: rot13\r\n" in sink.heads[0]
    assert "\r\ncontent-length: 300000\r\n" in sink.heads[0]


def test_what_is_left_of_a_body():
    sink = Sink()

    async def main(client, source, target):
        async with client.get(source) as response:
            assert await response.read(1000) == BODY[:1000]
            await client.put(target, data=response)
        async with client.get(source) as response:
            assert await response.content() == BODY
            await client.put(target, data=response)  # it is here, and can be given once more

    relay(answer(BODY), main, sink.serve)
    assert sink.bodies == [BODY[1000:], BODY]
    assert "transfer-encoding: chunked" in sink.heads[0]
    assert "content-length: 300000" in sink.heads[1]


def test_a_body_is_given_once():
    async def moves(link):
        while path := await link.request():
            await link.send(answer(b"", b"Location: /there", status=b"307 Moved") if path == "/" else OK)

    async def main(client, source, target):
        with pytest.raises(BodyConsumed):
            await client.put(target, data=await client.get(source), follow=True)
        assert client.stats()["in_use"] == 0

    relay(answer(BODY), main, moves)


# -- who waits for whom ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOOPS)
def test_a_slow_sink_holds_up_the_source(kind):
    """What is on its way is in the buffers of the two connections, and no more of it."""
    total, piece, given = 60_000_000, bytes(100_000), [0]

    async def source(link):
        await link.request()
        await link.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        while given[0] < total:
            await link.send(piece)
            given[0] += len(piece)

    async def main():
        gate = asyncio.Event()

        async def sink(link):
            await link.request_head()
            await gate.wait()
            left = link.length
            while left:
                left -= len(await link.reader.read(1_000_000))
            await link.send(OK)

        async with Peer(source) as first, Peer(sink, limit=1024) as second, HTTPClient() as client:
            response = await client.get(first.url("/"))
            task = asyncio.create_task(client.put(second.url("/"), data=response))
            before, still = -1, 0
            while still < 20:
                still = still + 1 if given[0] == before and given[0] else 0
                before = given[0]
                await asyncio.sleep(0.002)
            assert given[0] < 40_000_000  # four socket buffers, of some megabytes each
            assert response._incoming.paused
            assert not task.done()
            gate.set()
            assert await (await task).content() == b"fine"
            assert given[0] == total
            check_settled(client)

    if kind == "uvloop":
        pytest.importorskip("uvloop")
    run(main, kind=kind)


# -- when one fails --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("sized", [True, False])
def test_the_source_is_cut(sized, kind):
    """Its error is the one that is raised, and the sink does not see a body that looks complete."""
    seen = []

    async def source(link):
        await link.request()
        wire = answer(BODY) if sized else chunked(BODY[:200_000], BODY[200_000:])
        await link.send(wire[:-1000])

    async def sink(link):
        await link.request_head()
        seen.append(await link.gone())

    async def main(client, source, target):
        with pytest.raises(IncompleteBody) as info:
            await client.put(target, data=await client.get(source))
        assert info.value.peer == source.split("/")[2]
        assert client.stats()["open"] == 0

    relay(source, main, sink, kind)
    assert len(seen[0]) < 300_000
    assert b"\r\n0\r\n\r\n" not in seen[0]


def test_the_source_says_nothing_more():
    async def source(link):
        await link.request()
        await link.send(answer(BODY)[:-1000])
        await link.gone()

    async def sink(link):
        await link.request_head()
        await link.gone()

    async def main(client, source, target):
        with pytest.raises(TimeoutError):
            await client.put(target, data=await client.get(source))
        assert client.stats()["open"] == 0

    relay(source, main, sink, timeouts=Timeouts(sock_read=0.1))


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_sink_answers_early(wrapped, kind):
    """Its answer is delivered, and the source is let go of, though its response is still held."""

    async def source(link):
        await link.request()
        await link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 60000000\r\n\r\n")
        while True:
            await link.send(bytes(100_000))

    async def sink(link):
        await link.request_head()
        await link.send(answer(b"too large", status=b"413 Content Too Large"))
        await link.gone()

    async def main(client, source, target):
        response = await client.get(source)
        refusal = await client.put(target, data=Upload(response) if wrapped else response)
        assert (refusal.status_code, await refusal.content()) == (413, b"too large")
        assert client.stats()["in_use"] == 0
        with pytest.raises(BodyConsumed):
            await response.content()

    relay(source, main, sink, kind)


def test_the_sink_breaks_or_is_not_there():
    async def sink(link):
        await link.request_head()
        link.reset()

    async def main(client, source, target):
        with pytest.raises(ConnectionLost):
            await client.put(target, data=await client.get(source))
        assert client.stats()["in_use"] == 0
        response = await client.get(source)
        with pytest.raises(OSError, match=r"127\.0\.0\.1:9"):
            await client.put("http://127.0.0.1:9/", data=response)
        assert client.stats()["in_use"] == 0
        response = await client.get(source)
        with pytest.raises(ValueError, match="header"):
            await client.put(target, data=response, headers={"a": "b\n"})
        assert client.stats()["in_use"] == 0

    relay(answer(BODY), main, sink)


@pytest.mark.parametrize("kind", LOOPS)
def test_cancelled_in_the_middle(kind):
    async def source(link):
        await link.request()
        await link.send(answer(BODY)[:-1000])
        await link.gone()

    async def main(client, source, target):
        for turns in range(12):
            response = await client.get(source)
            task = asyncio.create_task(client.put(target, data=response))
            for _ in range(turns * 3):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await response.close()
            assert client.stats()["in_use"] == 0

    async def sink(link):
        await link.request_head()
        await link.gone()

    relay(source, main, sink, kind)
