"""The body of a request as a stream: cut anywhere, decoded, bounded, and left alone."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin import code, pattern
from raw_peer import resident, run
from web_wire import ask, chunked, line, request, serving
from wirebird import HTTPClient, web
from wirebird.errors import BodyConsumed, UsageError, WirebirdError
from wirebird.net.incoming import Incoming
from wirebird.web.byte_stream import MAX_LINE
from wirebird.web.content import Content

TEXT = b"one\ntwo\r\n\nthree" * 10


def content(pieces: list[bytes], coding: str = "") -> Content:
    incoming = Incoming(None)
    for piece in pieces:
        incoming.feed(piece)
    incoming.finish(b"")
    return Content(incoming, [coding] if coding else [])


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


async def by_lines(body: Content) -> list[bytes]:
    return [one async for one in body]


async def by_chunks(body: Content) -> list[bytes]:
    return [one async for one in body.iter_chunked(7)]


async def by_any(body: Content) -> list[bytes]:
    return [one async for one in body.iter_any()]


async def by_read(body: Content) -> list[bytes]:
    return [await body.read()]


async def by_exactly(body: Content) -> list[bytes]:
    found = []
    try:
        while True:
            found.append(await body.readexactly(9))
    except asyncio.IncompleteReadError as error:
        found.append(error.partial)
    return found


async def by_separator(body: Content) -> list[bytes]:
    found = []
    while one := await body.readuntil(b"\r\n\n"):
        found.append(one)
    return found


WAYS = [by_lines, by_chunks, by_any, by_read, by_exactly, by_separator]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("coding", ["", "gzip", "deflate", "br", "zstd", "gzip, br"])
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_every_way_gives_all(way: Callable[[Content], Awaitable[list[bytes]]], coding: str, size: int) -> None:
    wire = TEXT
    for one in coding.split(", ") if coding else []:
        wire = code(wire, one)

    async def main() -> list[bytes]:
        body = content(cut(wire, size), coding)
        assert not body.is_begun
        assert not body.at_eof()
        found = await way(body)
        assert body.at_eof()
        assert body.is_begun
        assert body.total_bytes == len(TEXT)
        assert await body.read() == await body.readany() == await body.read(5) == await body.readline() == b""
        return found

    found = asyncio.run(main())
    assert b"".join(found) == TEXT
    if way is by_lines:
        assert found == TEXT.splitlines(keepends=True)
    if way is by_separator:
        assert found == [part + b"\r\n\n" for part in TEXT.split(b"\r\n\n")[:-1]] + [b"three"]
    if way is by_exactly:
        assert found == [*cut(TEXT, 9)[:-1], TEXT[len(TEXT) - len(TEXT) % 9 :]]
    if way is by_chunks:
        assert max(map(len, found)) <= 7


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=9), st.lists(st.integers(0, 4), max_size=20))
def test_any_mixture_gives_all_in_order(pieces: list[bytes], steps: list[int]) -> None:
    async def main() -> bytes:
        body = content(pieces)
        found = b""
        for step in steps:
            if step == 0:
                found += await body.read(3)
            elif step == 1:
                found += await body.readline()
            elif step == 2:
                found += await body.readany()
            elif step == 3:
                found += await body.readuntil(b"ab")
            else:
                try:
                    found += await body.readexactly(2)
                except asyncio.IncompleteReadError as error:
                    found += error.partial
        return found + await body.read()

    assert asyncio.run(main()) == b"".join(pieces)


def test_bad_arguments() -> None:
    async def main() -> None:
        body = content([b"x"])
        with pytest.raises(UsageError):
            await body.readexactly(-1)
        with pytest.raises(UsageError):
            await body.readuntil(b"")
        with pytest.raises(UsageError):
            await anext(body.iter_chunked(0))
        assert await body.read(0) == b""
        assert await body.readexactly(0) == b""
        assert await body.read() == b"x"

    asyncio.run(main())


def test_a_line_without_end_is_bounded() -> None:
    async def main() -> None:
        body = content([b"x" * 1000] * 400)
        with pytest.raises(web.HTTPRequestEntityTooLarge):
            await body.readline()
        body = content([b"x" * MAX_LINE + b"\n"])
        assert len(await body.readline()) == MAX_LINE + 1
        body = content([b"x" * MAX_LINE + b"y\n"])
        with pytest.raises(web.HTTPRequestEntityTooLarge):
            await body.readline()

    asyncio.run(main())


# -- over the network ----------------------------------------------------------------------------------------------------------


async def count(asked: web.Request) -> web.Response:
    size = 0
    check = 0
    async for piece in asked.content.iter_any():
        size += len(piece)
        check = zlib.crc32(piece, check)
    return web.Response(text=f"{size} {check}")


async def whole(asked: web.Request) -> web.Response:
    return web.Response(body=await asked.read())


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_large_body_flows_through(kind: str) -> None:
    data = pattern(2_000_000)

    async def main() -> None:
        async with serving(count) as server, HTTPClient() as client:
            for body in (data, code(data, "gzip")):
                headers = {"Content-Encoding": "gzip"} if body is not data else {}
                response = await client.post(server.url(), body, headers=headers)
                assert await response.text() == f"{len(data)} {zlib.crc32(data)}"

    run(main, kind=kind)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "x-gzip", "identity", "GZIP"])
def test_a_coded_body_is_decoded(coding: str) -> None:
    plain = {"x-gzip": "gzip", "GZIP": "gzip"}.get(coding, coding)

    async def main() -> None:
        async with serving(whole) as server:
            wire = TEXT if coding == "identity" else code(TEXT, plain)
            for size in (None, 7):
                answer = await ask(server, request(wire, f"Content-Encoding: {coding}"), size)
                assert (answer.status, answer.body) == (200, TEXT)

    run(main)


@pytest.mark.parametrize("handler", [whole, count])
@pytest.mark.parametrize(
    ("coding", "body", "status", "said"),
    [
        ("lzma", b"x", 415, "lzma"),
        ("gzip, lzma", b"x", 415, "lzma"),
        ("gzip, gzip, gzip, gzip, gzip, gzip", b"x", 415, "codings"),
        ("gzip", b"no gzip", 400, "not valid gzip"),
        ("gzip", gzip.compress(b"x" * 100, mtime=0)[:-3], 400, "stops before its end"),
        ("gzip", gzip.compress(b"x", mtime=0) + b"rest", 400, "behind the end"),
        ("br", b"\xff" * 50, 400, "br"),
    ],
)
def test_a_body_that_cannot_be_decoded(handler: Any, coding: str, body: bytes, status: int, said: str) -> None:
    async def main() -> None:
        async with serving(handler) as server:
            answer = await ask(server, request(body, f"Content-Encoding: {coding}"))
            assert (answer.status, said in answer.text) == (status, True), answer
            if said == "lzma":
                assert "\r\nAccept-Encoding: gzip, deflate" in answer.head

    run(main)


def test_an_unknown_coding_is_refused_before_the_body_is_asked_for() -> None:
    async def main() -> None:
        async with serving(whole) as server, line(server) as wire:
            await wire.send(request(b"", "Expect: 100-continue", "Content-Encoding: lzma", length=100))
            assert (await wire.answer()).status == 415

    run(main)


@pytest.mark.parametrize("limit", [1000, 100_000])
def test_a_bomb_goes_off_nowhere(limit: int) -> None:
    bomb = gzip.compress(bytes(50_000_000))

    async def main() -> None:
        async with serving(whole, max_body_size=limit) as server:
            before = resident()
            answer = await ask(server, request(bomb, "Content-Encoding: gzip"))
            assert answer.status == 413
            assert resident() - before < 20_000_000

    run(main)


def test_what_is_too_large() -> None:
    async def handler(asked: web.Request) -> web.Response:
        if "X-Limit" in asked.headers:
            asked.max_body_size = int(asked.headers["X-Limit"])
        try:
            return web.Response(body=await asked.read())
        except web.HTTPRequestEntityTooLarge as error:
            assert error.max_size in (10, 20)
            raise

    async def main() -> None:
        async with serving(handler, max_body_size=10) as server:
            assert (await ask(server, request(b"x" * 10))).status == 200
            assert (await ask(server, request(b"x" * 11))).status == 413
            assert (await ask(server, chunked([b"x" * 5] * 2))).status == 200
            assert (await ask(server, chunked([b"x" * 5] * 3))).status == 413
            assert (await ask(server, request(b"x" * 20, "X-Limit: 20"))).status == 200
            assert (await ask(server, request(b"x" * 21, "X-Limit: 20"))).status == 413
            assert (await ask(server, request(b"", length=10**9))).status == 413

    run(main)


def test_the_whole_and_the_stream_exclude_each_other() -> None:
    async def handler(asked: web.Request) -> web.Response:
        assert asked.can_read_body
        first = await asked.content.readany()
        with pytest.raises(BodyConsumed):
            await asked.read()
        rest = await asked.content.read()
        assert not asked.can_read_body
        return web.Response(body=first + rest)

    async def main() -> None:
        async with serving(handler) as server:
            assert (await ask(server, request(TEXT), 10)).body == TEXT

    run(main)


def test_a_reader_that_gave_up_may_come_back() -> None:
    async def handler(asked: web.Request) -> web.Response:
        found = b""
        tries = 0
        while len(found) < 6:
            try:
                async with asyncio.timeout(0.02):
                    found = await asked.content.readexactly(6)
            except TimeoutError:
                tries += 1
                later.set()
        return web.Response(text=f"{found.decode()} {tries > 0}")

    later = asyncio.Event()

    async def main() -> None:
        async with serving(handler) as server, line(server) as wire:
            await wire.send(request(b"abc", length=6))
            await later.wait()
            await wire.send(b"def")
            assert (await wire.answer()).text == "abcdef True"
            await wire.send(request(b"ghijkl"))
            assert (await wire.answer()).text == "ghijkl False"

    run(main)


def test_a_client_that_leaves_is_noticed() -> None:
    seen: list[BaseException] = []

    async def handler(asked: web.Request) -> web.Response:
        try:
            await asked.content.read()
        except WirebirdError as error:
            seen.append(error)
            raise
        raise AssertionError("there was more to come")

    async def main() -> None:
        async with serving(handler) as server:
            async with line(server) as wire:
                await wire.send(request(b"abc", length=6))
            while not seen:
                await asyncio.sleep(0.01)

    run(main)


def test_lines_of_a_chunked_body_as_they_come() -> None:
    async def handler(asked: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 8
        await response.prepare(asked)
        async for one in asked.content:
            await response.write(one)
        return response

    async def main() -> None:
        async with serving(handler) as server, line(server) as wire:
            await wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n")
            assert (await wire.reader.readuntil(b"one\n")).endswith(b"\r\n\r\none\n")
            await wire.send(b"4\r\ntwo\n\r\n0\r\n\r\n")
            assert await wire.reader.readexactly(4) == b"two\n"

    run(main)


def test_the_head_waits_for_nothing_but_a_body_that_is_there() -> None:
    pieces: list[asyncio.Future[bytes]] = []

    async def handler(asked: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 5
        await response.prepare(asked)
        if asked.path == "/fault":
            raise ZeroDivisionError
        if asked.path == "/at-once":
            await response.write(b"piece")
        else:
            pieces.append(asyncio.get_running_loop().create_future())
            await response.write(await pieces[-1])
        return response

    async def main() -> None:
        async with serving(handler, errors=1) as server:
            async with line(server) as wire:
                await wire.send(b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
                head = await wire.reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200 OK\r\n")
                pieces[0].set_result(b"piece")
                assert await wire.reader.readexactly(5) == b"piece"
                await wire.send(b"GET /at-once HTTP/1.1\r\nHost: a\r\n\r\n")
                assert (await wire.reader.read(1000)).endswith(b"\r\n\r\npiece"), "in one write"
                await wire.send(b"GET /fault HTTP/1.1\r\nHost: a\r\n\r\n")
                assert (await wire.answer()).status == 500, "nothing has left yet"

    run(main)
