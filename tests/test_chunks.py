"""Chunks kept apart: as the peer framed them, whatever the segmentation, coded as they came, and none unbounded."""

from __future__ import annotations

import gzip

import pytest

import wirebird
from origin import run
from raw_peer import Peer, chunked
from wirebird.client.chunks import LARGEST_CHUNK, ChunkConnection, iter_chunks
from wirebird.models.limits import Limits
from wirebird.protocol.http1_chunks import ChunkParser
from wirebird.protocol.http1_events import End
from wirebird.protocol.http1_parser import Parser

CHUNKS = [b"abc", b"d", b"e" * 300, b"f" * 5000, b"\r\n", b"g"]


def client() -> wirebird.HTTPClient:
    return wirebird.HTTPClient(wirebird.TCPConnector(connection_cls=ChunkConnection))


async def chunks_of(wire: bytes, step: int | None = None, *, fresh: bool = True) -> list[bytes]:
    """What `iter_chunks` gives of a response that arrives `step` bytes at a time."""

    async def script(link):
        while await link.request():
            for at in range(0, len(wire), step or len(wire)):
                await link.send(wire[at : at + (step or len(wire))])

    async with Peer(script) as peer, client() as one:
        if not fresh:
            await (await one.get(peer.url("/"))).content()
        response = await one.get(peer.url("/"))
        found = [chunk async for chunk in iter_chunks(response)]
        assert one.stats()["in_use"] == 0
        with pytest.raises(wirebird.BodyConsumed):
            await response.content()
        return found


@pytest.mark.parametrize("step", [None, 1, 7, 4096])
@pytest.mark.parametrize("fresh", [True, False])
def test_chunks_are_those_of_the_peer(step, fresh):
    assert run(lambda: chunks_of(chunked(*CHUNKS), step, fresh=fresh)) == CHUNKS


def test_extensions_and_trailers_are_no_part_of_them():
    wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n002\r\nde\r\n0\r\nX: y\r\n\r\n"
    assert run(lambda: chunks_of(wire)) == [b"abc", b"de"]
    assert run(lambda: chunks_of(wire, 1)) == [b"abc", b"de"]


def test_chunks_stay_coded():
    coded = gzip.compress(b"text" * 100)
    halves = [coded[:20], coded[20:]]
    assert run(lambda: chunks_of(chunked(*halves, fields=b"Content-Encoding: gzip\r\n"))) == halves


def test_an_empty_body_has_none():
    assert run(lambda: chunks_of(chunked())) == []


@pytest.mark.parametrize("connection_cls", [ChunkConnection, None])
def test_other_bodies_come_as_they_come(connection_cls):
    async def script(link):
        await link.request()
        await link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole")
        await link.request()
        await link.send(chunked(b"a", b"b"))

    async def main():
        connector = wirebird.TCPConnector(connection_cls=connection_cls)
        async with Peer(script) as peer, wirebird.HTTPClient(connector) as one:
            assert [chunk async for chunk in iter_chunks(await one.get(peer.url("/")))] == [b"whole"]
            found = [chunk async for chunk in iter_chunks(await one.get(peer.url("/")))]
            assert found == ([b"a", b"b"] if connection_cls else [b"ab"])

    run(main)


def test_a_huge_chunk_comes_in_pieces():
    huge = bytes(2 * LARGEST_CHUNK + 5)
    found = run(lambda: chunks_of(chunked(b"small", huge, b"small")))
    assert (found[0], found[-1]) == (b"small", b"small")
    assert b"".join(found[1:-1]) == huge
    assert len(found) > 3
    assert max(map(len, found)) < LARGEST_CHUNK + 100_000


def test_many_tiny_chunks_cost_time_in_proportion():
    assert run(lambda: chunks_of(chunked(*[b"x"] * 50_000))) == [b"x"] * 50_000


def test_a_body_that_breaks_off_says_so_behind_what_came():
    async def script(link):
        await link.request()
        await link.send(chunked(b"abc", b"def")[:-10])

    async def main():
        async with Peer(script) as peer, client() as one:
            found = []
            with pytest.raises(wirebird.IncompleteBody):
                async for chunk in iter_chunks(await one.get(peer.url("/"))):
                    found += [chunk]
            assert found[:1] == [b"abc"]
            assert one.stats()["in_use"] == 0

    run(main)


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_events_are_those_of_the_parser(step):
    """But for the identity of the last, which the connection looks at."""
    wire = chunked(*CHUNKS)
    plain, kept = Parser(server=False), ChunkParser(Limits())
    seen = []
    for parser in (plain, kept):
        parser.expect(b"GET")
        seen.append([event for at in range(0, len(wire), step) for event in parser.receive(wire[at:], min(step, len(wire) - at))])
    assert seen[0][1:] == seen[1][1:]
    assert isinstance(seen[1][-1], End)
    ends, at = [], 0
    for chunk in CHUNKS:
        at += len(chunk)
        ends.append(at)
    assert list(kept.chunk_ends or ()) == ends
