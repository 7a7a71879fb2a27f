"""Responses that are compressed: which coding, which responses, what their heads say, and that the bytes are the same."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from raw_peer import run
from web_ask import Reply, get, serving, site
from wirebird import HTTPClient, web
from wirebird.errors import UsageError
from wirebird.models.headers import add_vary
from wirebird.net import encoding
from wirebird.protocol.codings import decode_body, make_decoder
from wirebird.testing import TestServer
from wirebird.web import compression
from wirebird.web.compression import is_compressible
from wirebird.web.opened_file import SMALL

TEXT = "All work and no play makes Jack a dull boy.\n" * 100
LONG = TEXT * 60  # beyond what is compressed in the loop
CODINGS = ("gzip", "br", "zstd")
ALL = "Accept-Encoding: gzip, deflate, br, zstd"

Make = Callable[[web.Request], Any]


def plain(reply: Reply) -> bytes:
    coding = reply.headers.get("content-encoding")
    return reply.body if coding is None else decode_body(reply.body, coding)


def check(make: Make, main: Callable[[TestServer], Awaitable[None]], *, kind: str = "asyncio", **options: Any) -> None:
    """Run `main` with a server that answers everything with what `make` makes."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = make(request)
        return await response if asyncio.iscoroutine(response) else response  # type: ignore[no-any-return]

    async def framed() -> None:
        async with serving(site(web.route("*", "/", handler), **options)) as server:
            await main(server)

    run(framed, kind=kind)


def compressed(text: str = TEXT, force: str | None = None, **options: Any) -> web.Response:
    response = web.Response(text=text, **options)
    response.enable_compression(force)
    return response


async def streamed(request: web.Request, **options: Any) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/plain", "ETag": '"a"'}, **options)
    response.enable_compression()
    await response.prepare(request)
    for at in range(0, len(LONG), 50_000):
        await response.write(LONG[at : at + 50_000].encode())
    return response


@pytest.fixture
def static_file(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text(TEXT)
    return path


# -- what is sent ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("text", [TEXT, LONG], ids=["short", "long"])
def test_whole_responses(kind: str, text: str) -> None:
    async def main(server: TestServer) -> None:
        for accept, coding in [
            (ALL, "zstd"),
            *((f"Accept-Encoding: {one}", one) for one in CODINGS),
            ("Accept-Encoding: gzip;q=0.9, br;q=0.8", "gzip"),
            ("Accept-Encoding: *", "zstd"),
            ("Accept-Encoding: identity;q=0", None),
            ("Accept-Encoding: identity;q=0, gzip;q=0.1", "gzip"),
            ("Accept-Encoding: deflate, compress", None),
            ("X: y", None),
        ]:
            reply = await get(server, "/", accept)
            assert (reply.status, reply.headers.get("content-encoding")) == (200, coding)
            assert plain(reply) == text.encode()
            assert reply.headers["content-length"] == str(len(reply.body))
            assert reply.headers["vary"] == "Accept-Encoding"
            assert reply.headers["etag"] == ('"a"' if coding is None else 'W/"a"')
            assert reply.headers["content-type"] == "text/plain; charset=utf-8"
            head = await get(server, "/", accept, method="HEAD")
            for name in ("content-length", "content-encoding", "etag", "vary"):
                assert head.headers.get(name) == reply.headers.get(name)
            assert head.body == b""

    def make(request: web.Request) -> web.Response:
        response = web.Response(text=text)
        response.headers["ETag"] = '"a"'
        response.enable_compression()
        return response

    check(make, main, kind=kind)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_streamed_responses(kind: str) -> None:
    async def main(server: TestServer) -> None:
        for coding in CODINGS:
            reply = await get(server, "/", f"Accept-Encoding: {coding}")
            assert reply.headers["content-encoding"] == coding
            assert "content-length" not in reply.headers
            assert (reply.headers["etag"], reply.headers["vary"]) == ('W/"a"', "Accept-Encoding")
            assert plain(reply) == LONG.encode()
            assert len(reply.body) < len(LONG) / 10
            old = await get(server, "/", f"Accept-Encoding: {coding}", version="1.0")
            assert plain(old) == LONG.encode()
            head = await get(server, "/", f"Accept-Encoding: {coding}", method="HEAD")
            assert (head.headers["content-encoding"], head.body) == (coding, b"")
        bare = await get(server, "/")
        assert (bare.body, bare.headers.get("content-encoding"), bare.headers["etag"]) == (LONG.encode(), None, '"a"')

    check(streamed, main, kind=kind)


@pytest.mark.parametrize("coding", CODINGS)
def test_flush(coding: str) -> None:
    """What was written before it can be read; what was not flushed may wait."""
    go_on = asyncio.Event()

    async def make(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_compression()
        await response.flush()
        await response.prepare(request)
        await response.write(b"first")
        await response.flush()
        await go_on.wait()
        await response.write(b"second")
        await response.write_eof(b"third")
        await response.flush()
        return response

    async def main(server: TestServer) -> None:
        async with HTTPClient(auto_decompress=False) as client:
            got = await client.get(server.url("/"), headers={"Accept-Encoding": coding})
            decoder = make_decoder(coding)
            assert decoder is not None
            seen = b""
            async for piece in got.iter_bytes():
                decoder.feed(piece)
                while out := decoder.pull():
                    seen += out
                if seen == b"first":
                    go_on.set()
            decoder.finish()
            assert seen == b"firstsecondthird"

    check(make, main)


def test_force() -> None:
    async def main(server: TestServer) -> None:
        for fields in ((), ("Accept-Encoding: identity",), ("Accept-Encoding: gzip",)):
            reply = await get(server, "/", *fields)
            assert reply.headers["content-encoding"] == "deflate"
            assert "vary" not in reply.headers
            assert plain(reply) == b"x"

    check(lambda request: compressed("x", "Deflate"), main)


def test_body_and_length_of_the_response_stay() -> None:
    async def make(request: web.Request) -> web.StreamResponse:
        response = compressed()
        await response.prepare(request)
        assert response.text == TEXT
        assert response.content_length == len(TEXT)
        return response

    async def main(server: TestServer) -> None:
        assert plain(await get(server, "/", ALL)) == TEXT.encode()

    check(make, main)


@pytest.mark.parametrize(
    ("options", "varies"),
    [
        ({"headers": {"Content-Encoding": "x"}}, False),
        ({"headers": {"Cache-Control": "public, No-Transform"}}, False),
        ({"headers": {"Content-Digest": "sha-256=:AA==:"}}, False),
        ({"headers": {"Content-Range": "bytes 0-1/2"}, "status": 206}, False),
        ({"text": ""}, False),
        ({"text": "short"}, True),
    ],
)
def test_what_is_left_alone(options: dict[str, Any], varies: bool) -> None:
    options = {"text": TEXT, **options}

    async def main(server: TestServer) -> None:
        reply = await get(server, "/", ALL)
        assert reply.body == options["text"].encode()
        assert reply.headers.get("content-encoding") == options.get("headers", {}).get("Content-Encoding")
        assert ("vary" in reply.headers) is varies

    check(lambda request: compressed(**options), main)


@pytest.mark.parametrize("status", [204, 304])
def test_no_body(status: int) -> None:
    async def main(server: TestServer) -> None:
        reply = await get(server, "/", ALL)
        assert (reply.status, reply.body, reply.headers.get("content-encoding")) == (status, b"", None)

    check(lambda request: compressed("", status=status), main)


def test_a_large_body_is_compressed_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    real = compression.make_encoder

    class Seen:
        def __init__(self, *arguments: Any) -> None:
            self._encoder = real(*arguments)

        def encode(self, data: bytes) -> bytes:
            threads.append((len(data) < 32768, threading.current_thread() is threading.main_thread()))
            return self._encoder.encode(data)

        def flush(self, final: bool = True) -> bytes:
            return self._encoder.flush(final)

    monkeypatch.setattr(compression, "make_encoder", Seen)

    async def main(server: TestServer) -> None:
        for length in (100, 32767, 32768, 100_000):
            assert plain(await get(server, f"/?{length}", "Accept-Encoding: gzip")) == LONG[:length].encode()

    def make(request: web.Request) -> web.StreamResponse:
        return compressed(LONG[: int(request.query_string)])

    check(make, main)
    assert threads == [(True, True), (True, True), (False, False), (False, False)]
    assert encoding._THREAD == 32768


# -- files -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("large", [False, True])
def test_files(large: bool, static_file: Path) -> None:
    """Compressed on the way a file has no ranges; as it is, it has them; one that lies there compressed is sent as that."""
    text = TEXT * 30 if large else TEXT
    assert (len(text) > SMALL) is large
    static_file.write_text(text)

    def make(request: web.Request) -> web.StreamResponse:
        response = web.FileResponse(static_file)
        response.enable_compression()
        return response

    async def main(server: TestServer) -> None:
        for coding in CODINGS:
            reply = await get(server, "/", f"Accept-Encoding: {coding}", "Range: bytes=0-3")
            assert (reply.status, reply.headers["content-encoding"], reply.headers["vary"]) == (200, coding, "Accept-Encoding")
            assert plain(reply) == text.encode()
            assert reply.headers["etag"].startswith("W/")
            assert "accept-ranges" not in reply.headers
            again = await get(server, "/", f"Accept-Encoding: {coding}", f"If-None-Match: {reply.headers['etag']}")
            assert (again.status, again.headers["vary"]) == (304, "Accept-Encoding")
            head = await get(server, "/", f"Accept-Encoding: {coding}", method="HEAD")
            assert (head.status, head.headers["content-encoding"], head.body) == (200, coding, b"")
        only = await get(server, "/", "Accept-Encoding: gzip, identity;q=0")
        assert (only.status, plain(only)) == (200, text.encode())
        assert (await get(server, "/", "Accept-Encoding: identity;q=0")).body == text.encode()
        part = await get(server, "/", "Range: bytes=0-3")
        assert (part.status, part.body, part.headers["vary"]) == (206, text[:4].encode(), "Accept-Encoding")
        Path(f"{static_file}.gz").write_bytes(b"made before")
        made = await get(server, "/", "Accept-Encoding: gzip")
        assert (made.body, made.headers["content-encoding"], made.headers["accept-ranges"]) == (b"made before", "gzip", "bytes")

    check(make, main)


# -- the middleware --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "coding"),
    [
        (lambda: web.Response(text=TEXT), "zstd"),
        (lambda: web.json_response([1] * 1000), "zstd"),
        (lambda: web.Response(body=b"x" * 2000, content_type="image/svg+xml"), "zstd"),
        (lambda: web.Response(body=b"x" * 1024, content_type="application/problem+json"), "zstd"),
        (lambda: web.Response(body=b"x" * 1023, content_type="text/plain"), None),
        (lambda: web.Response(body=b"x" * 2000, content_type="image/png"), None),
        (lambda: web.Response(body=b"x" * 2000), None),
        (lambda: web.Response(text=TEXT, headers={"Content-Encoding": "gzip"}), "gzip"),
        (lambda: web.Response(text=TEXT, headers={"Cache-Control": "no-transform"}), None),
        (lambda: web.Response(body=b"x" * 2000, content_type="text/event-stream"), None),
        (lambda: compressed("x" * 2000, "gzip"), "gzip"),
        (lambda: web.Response(text=TEXT, status=404), "zstd"),
        (lambda: web.Response(), None),
    ],
)
def test_what_the_middleware_compresses(make: Callable[[], web.Response], coding: str | None) -> None:
    async def main(server: TestServer) -> None:
        reply = await get(server, "/", ALL)
        assert reply.headers.get("content-encoding") == coding

    check(lambda request: make(), main, middlewares=[web.compress_middleware()])


def test_the_middleware_and_responses_that_are_raised_streamed_or_sent() -> None:
    async def make(request: web.Request) -> web.StreamResponse:
        if request.query_string == "raised":
            raise web.HTTPForbidden(text=TEXT)  # type: ignore[attr-defined]
        response = web.StreamResponse(headers={"Content-Type": "text/csv"})
        if request.query_string == "sent":
            await response.prepare(request)
            await response.write(b"x" * 2000)
        return response

    async def main(server: TestServer) -> None:
        raised = await get(server, "/?raised", ALL)
        assert (raised.status, raised.headers["content-encoding"], plain(raised)) == (403, "zstd", TEXT.encode())
        assert (await get(server, "/?later", ALL)).headers["content-encoding"] == "zstd"
        assert "content-encoding" not in (await get(server, "/?sent", ALL)).headers

    check(make, main, middlewares=[web.compress_middleware()])


def test_settings_of_the_middleware(tmp_path: Path) -> None:
    async def main(server: TestServer) -> None:
        assert (await get(server, "/", ALL)).headers["content-encoding"] == "br"
        assert "content-encoding" not in (await get(server, "/", "Accept-Encoding: gzip, zstd")).headers

    own = web.compress_middleware(min_size=0, codings=["br"], level=1, compressible=lambda kind: kind == "image/png")
    check(lambda request: web.Response(body=b"x" * 100, content_type="image/png"), main, middlewares=[own])
    order = web.compress_middleware(codings=("gzip", "br"))

    async def ordered(server: TestServer) -> None:
        assert (await get(server, "/", ALL)).headers["content-encoding"] == "gzip"

    check(lambda request: web.Response(text=TEXT), ordered, middlewares=[order])


def test_the_middleware_and_a_folder(tmp_path: Path) -> None:
    for name in ("a.txt", "a.png"):
        (tmp_path / name).write_text(TEXT)
    (tmp_path / "small.txt").write_text("x" * 1023)
    app = site(web.static("/s", tmp_path), middlewares=[web.compress_middleware()])

    async def main() -> None:
        async with serving(app) as server:
            text = await get(server, "/s/a.txt", ALL)
            assert (text.headers["content-encoding"], plain(text)) == ("zstd", TEXT.encode())
            assert (await get(server, "/s/small.txt", ALL)).body == b"x" * 1023
            image = await get(server, "/s/a.png", ALL)
            assert (image.body, "content-encoding" in image.headers, "vary" in image.headers) == (TEXT.encode(), False, False)

    run(main)


def test_what_is_not_installed_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "is_installed", lambda coding: coding == "gzip")

    async def main(server: TestServer) -> None:
        assert (await get(server, "/", ALL)).headers["content-encoding"] == "gzip"

    check(lambda request: web.Response(text=TEXT), main, middlewares=[web.compress_middleware()])


def test_on_response_prepare_may_enable_it() -> None:
    async def tell(request: web.Request, response: web.StreamResponse) -> None:
        response.enable_compression()

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text=TEXT)

    app = site(web.get("/", handler))
    app.on_response_prepare.append(tell)

    async def main() -> None:
        async with serving(app) as server:
            assert plain(await get(server, "/", "Accept-Encoding: br")) == TEXT.encode()

    run(main)


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: web.Response().enable_compression("x"), "force"),
        (lambda: web.Response().enable_compression("gzip", level=10), "level"),
        (lambda: web.Response().enable_compression(level=1), "level"),
        (lambda: web.compress_middleware(codings=()), "codings"),
        (lambda: web.compress_middleware(codings="gzip"), "codings"),
        (lambda: web.compress_middleware(codings=["gzip", "x"]), "codings"),
        (lambda: web.compress_middleware(level=1), "level"),
        (lambda: web.compress_middleware(min_size=-1), "min_size"),
    ],
)
def test_bad_arguments(call: Callable[[], object], argument: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert caught.value.argument == argument


def test_too_late() -> None:
    async def make(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with pytest.raises(RuntimeError):
            response.enable_compression()
        return response

    async def main(server: TestServer) -> None:
        assert (await get(server, "/")).status == 200

    check(make, main)


@pytest.mark.parametrize(
    ("there", "then"),
    [
        ({}, "Accept-Encoding"),
        ({"Vary": "Cookie"}, "Cookie, Accept-Encoding"),
        ({"Vary": "accept-encoding, Cookie"}, "accept-encoding, Cookie"),
        ({"Vary": "*"}, "*"),
        ({"Vary": ""}, ", Accept-Encoding"),
    ],
)
def test_vary(there: dict[str, str], then: str) -> None:
    response = web.Response(headers=there)
    add_vary(response.headers, "Accept-Encoding")
    assert ", ".join(response.headers.get_list("vary")) == then


def test_types() -> None:
    for kind in ("text/html", "text/css", "application/json", "application/ld+json", "image/svg+xml", "application/wasm"):
        assert is_compressible(kind)
    for kind in ("image/png", "video/mp4", "application/zip", "application/octet-stream", "font/woff2", "text/event-stream"):
        assert not is_compressible(kind)


# -- peers -----------------------------------------------------------------------------------------------------------------


def test_our_client_decodes_it() -> None:
    async def main(server: TestServer) -> None:
        async with HTTPClient() as client:
            response = await client.get(server.url("/"))
            assert await response.text() == LONG

    check(lambda request: compressed(LONG), main)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl() -> None:
    async def main(server: TestServer) -> None:
        process = await asyncio.create_subprocess_exec(
            *("curl", "-sS", "--max-time", "10", "--compressed", server.url("/")), stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
        assert said.decode() == LONG

    check(streamed, main)
