"""Responses: the head as the caller sees it, and every way to read the body."""

from __future__ import annotations

import asyncio
import gc
import json
import time
import tracemalloc
import zlib
from contextlib import aclosing
from http.cookies import SimpleCookie
from typing import Any

import brotli
import pytest

import wirebird
from origin import FOX, Origin, code, pattern, run


def answered(
    raw: bytes, look, *, close: bool = False, method: str = "GET", settings: dict[str, Any] | None = None, **keywords: Any
) -> Any:
    """What `look(response)` gives for a response of these bytes; the first time, and again through the short cut."""

    async def main():
        async with Origin() as origin, wirebird.HTTPClient(**(settings or {})) as client:
            origin.always("/x", raw, close=close)
            seen = []
            for _ in range(2):
                response = (
                    await client.request(origin.url("/x"), method, **keywords)
                    if method != "GET"
                    else await client.get(origin.url("/x"))
                )
                found = look(response)
                seen.append(await found if asyncio.iscoroutine(found) else found)
                await response.close()
                del response
            assert client.stats()["in_use"] == 0
            assert repr(seen[0]) == repr(seen[1])
            return seen[0]

    return run(main)


def head(*fields: str, status: str = "200 OK", body: bytes = b"") -> bytes:
    lines = "".join(f"{field}\r\n" for field in fields)
    return f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(*pieces: bytes, trailers: bytes = b"", fields: bytes = b"") -> bytes:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + fields + b"\r\n" + chunks + b"0\r\n" + trailers + b"\r\n"


# -- the head ---------------------------------------------------------------------------------------------------------------


def test_head():
    def look(response):
        assert isinstance(response.headers, wirebird.HttpHeaders)
        assert response.headers["x-two"] == "1"
        assert response.headers.get_list("X-TWO") == ["1", "2"]
        assert response.raw_headers == [
            (b"X-Two", b"1"),
            (b"x-two", b"2"),
            (b"X-Latin", b"gr\xfc\xdfe"),
            (b"X-Utf", "grüße".encode()),
            (b"Content-Length", b"2"),
        ]
        assert response.headers["x-latin"] == response.headers["x-utf"] == "grüße"
        assert response.content_length == 2
        assert response.chunked is False
        assert response.history == ()
        assert 0 <= response.elapsed < 5
        assert response.request.method == "GET"
        assert str(response.url).endswith("/x")
        assert response.cookies == SimpleCookie()
        assert not response.trailers
        assert response.links == {}
        return response.status_code, response.reason, response.ok, response.http_version, repr(response)

    raw = (
        b"HTTP/1.1 201 Very  Good\r\nX-Two: 1\r\nx-two:2 \r\nX-Latin: gr\xfc\xdfe\r\nX-Utf: "
        + "grüße".encode()
        + b"\r\nContent-Length: 2\r\n\r\nhi"
    )
    assert answered(raw, look) == (201, "Very  Good", True, "1.1", "<HttpResponse 201 Very  Good>")


@pytest.mark.parametrize(
    ("status", "ok"), [(200, True), (204, True), (299, True), (300, False), (404, False), (599, False), (999, False)]
)
def test_ok(status, ok):
    raw = f"HTTP/1.1 {status} \r\n\r\n".encode() if status == 204 else head(status=f"{status} ")
    assert answered(raw, lambda r: (r.status_code, r.ok, r.reason)) == (status, ok, "")


@pytest.mark.parametrize(
    ("value", "content_type", "charset"),
    [
        ("text/html; charset=utf-8", "text/html", "utf-8"),
        ('Text/HTML;Charset="ISO-8859-1"', "text/html", "ISO-8859-1"),
        ("text/html ; a=b; charset=latin-1 ; c=d", "text/html", "latin-1"),
        ("application/json", "application/json", None),
        ("text/plain; charset=", "text/plain", None),
        ("text/plain; charset", "text/plain", None),
        ("text/plain; xcharset=a", "text/plain", None),
        ("", "", None),
    ],
)
def test_content_type(value, content_type, charset):
    assert answered(head(f"Content-Type: {value}"), lambda r: (r.content_type, r.charset)) == (content_type, charset)


def test_no_content_type():
    assert answered(head(), lambda r: (r.content_type, r.charset)) == ("", None)


def test_cookies():
    def look(response):
        cookies = response.cookies
        assert isinstance(cookies, SimpleCookie)
        return {name: (morsel.value, morsel["path"], morsel["secure"]) for name, morsel in cookies.items()}

    raw = head("Set-Cookie: a=1; Path=/x; Secure", "Set-Cookie: b=2=3", "Set-Cookie: =bad", "Set-Cookie: b\x01=c")
    assert answered(raw.replace(b"\x01", b" "), look)["a"] == ("1", "/x", True)


def test_links():
    raw = head(
        'Link: </items?page=2>; rel="next"; title="a, b", <https://other.example/x>;rel="last prev"',
        "Link: <here>; REL=self",
        "Link: <no-relation>",
    )

    def look(response):
        base = str(response.url).removesuffix("/x")
        return {
            relation: (link["url"].removeprefix(base), link.get("title"), link.get("rel"))
            for relation, link in response.links.items()
        }

    assert answered(raw, look) == {
        "next": ("/items?page=2", "a, b", "next"),
        "last": ("https://other.example/x", None, "last prev"),
        "prev": ("https://other.example/x", None, "last prev"),
        "self": ("/here", None, "self"),
        "no-relation": ("/no-relation", None, None),
    }


@pytest.mark.parametrize("filler", ["<", "<a", ";", "; a", ', ;a="', "<a>;", "<a>,", "   ", ";a=", ' ;rel="'])
def test_hostile_links_take_no_time(filler):
    raw = head(*["Link: " + (filler * 60_000)[:7000]] * 8)

    def look(response):
        start = time.process_time()
        count = len(response.links)
        assert time.process_time() - start < 0.5
        return count

    answered(raw, look)


def test_informational_responses_are_passed_over():
    raw = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" + head("X: final", body=b"ok")
    assert answered(raw, lambda r: (r.status_code, list(r.headers))) == (200, ["X", "Content-Length"])


# -- the body, whole --------------------------------------------------------------------------------------------------------

BODIES = [
    "/bytes/0",
    "/bytes/10",
    "/bytes/70000",
    "/bytes/1000000",
    "/chunked/0",
    "/chunked/10",
    "/chunked/500000",
    "/eof/0",
    "/eof/500000",
]


@pytest.mark.parametrize("path", BODIES)
def test_content(path):
    size = int(path.rpartition("/")[2])

    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            for _ in range(2):
                response = await client.get(origin.url(path))
                assert response.chunked == path.startswith("/chunked")
                for _ in range(2):
                    assert await response.content() == pattern(size)
                assert await response.text() == pattern(size).decode()
                assert client.stats()["in_use"] == 0
                assert response.content_length == (size if path.startswith("/bytes") else None)
            assert origin.connections == (2 if path.startswith("/eof") else 1)

    run(main)


@pytest.mark.parametrize(
    "path", ["/bytes/10", "/bytes/1000000", "/chunked/1000000", "/eof/1000000", "/held?first=10", "/held?first=99999"]
)
def test_content_from_several_tasks_at_once(path):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            response = await client.get(origin.url(path))
            readers = [
                asyncio.ensure_future(read()) for read in (response.content, response.text, response.content, response.text)
            ]
            await asyncio.sleep(0)
            origin.release.set()
            bodies = await asyncio.gather(*readers)
            size = 100_000 if "held" in path else int(path.rpartition("/")[2])
            assert bodies == [pattern(size), pattern(size).decode()] * 2
            assert client.stats()["in_use"] == 0
            assert await response.content() == pattern(size)

    run(main)


@pytest.mark.parametrize("path", ["/held?first=10", "/held?first=90000"])
@pytest.mark.parametrize("leaving", [0, 1, 2])
def test_one_of_several_readers_is_cancelled(path, leaving):
    """Those who still wait get the body; only when the last one leaves is the connection given up."""

    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            response = await client.get(origin.url(path))
            readers = [asyncio.ensure_future(response.content()) for _ in range(3)]
            await asyncio.sleep(0)
            readers[leaving].cancel()
            await asyncio.wait([readers[leaving]])
            origin.release.set()
            for at, reader in enumerate(readers):
                if at != leaving:
                    assert await reader == pattern(100_000)
            assert client.stats()["in_use"] == 0
            origin.release.clear()
            response = await client.get(origin.url(path))
            readers = [asyncio.ensure_future(response.content()) for _ in range(3)]
            await asyncio.sleep(0)
            for reader in readers:
                reader.cancel()
            await asyncio.wait(readers)
            assert client.stats()["open"] == 0
            with pytest.raises(wirebird.BodyConsumed):
                await response.content()

    run(main)


def test_a_body_is_not_read_whole_and_in_pieces_at_once():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            response = await client.get(origin.url("/held?first=10"))
            whole = asyncio.ensure_future(response.content())
            await asyncio.sleep(0)
            with pytest.raises(wirebird.BodyConsumed):
                await response.read(5)
            origin.release.set()
            assert await whole == pattern(100_000)

    run(main)


def test_json():
    value = {"a": [1, "ä"]}
    assert answered(head(body=json.dumps(value).encode()), lambda r: r.json()) == value
    assert answered(head("Content-Type: text/plain", body=b"[]"), lambda r: r.json()) == []
    assert answered(head(body=b"\xef\xbb\xbf[1]"), lambda r: r.json()) == [1]
    assert answered(head(body='["ä"]'.encode("utf-16")), lambda r: r.json()) == ["ä"]
    assert answered(
        head("Content-Type: application/json; charset=latin-1", body='["ä"]'.encode("latin-1")), lambda r: r.json()
    ) == ["ä"]
    assert answered(head(body=b"[1.5]"), lambda r: r.json(lambda body: body)) == b"[1.5]"
    assert answered(head(body=b"[1.5]"), lambda r: r.json(), settings={"json_decoder": lambda body: ("mine", body)}) == (
        "mine",
        b"[1.5]",
    )

    async def fails(response):
        with pytest.raises(ValueError):
            await response.json()
        return await response.content()

    assert answered(head(body=b"{"), fails) == b"{"


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/plain", "grüße €".encode(), "grüße €"),
        ("text/plain; charset=iso-8859-1", b"gr\xfc\xdfe", "grüße"),
        ("text/plain; charset=UTF-16", "grüße".encode("utf-16"), "grüße"),
        ("text/plain; charset=utf-8", b"a\xffb", "a\ufffdb"),
        ("text/plain; charset=no-such-thing", "grüße".encode(), "grüße"),
        ("text/plain; charset=hex", b"6162", "6162"),
        ("text/plain; charset=zlib", b"x", "x"),
        ("text/plain; charset=rot13", b"abc", "abc"),
        ("text/plain; charset=undefined", b"abc", "abc"),
        ("text/plain; charset=idna", b"a..b", "a..b"),
        ("text/plain; charset=unicode_escape", b"\\q\\x41", "\\q\\x41"),
        ("text/plain; charset=" + "x" * 5000, b"abc", "abc"),
        ("text/plain; charset=../../etc/passwd", b"abc", "abc"),
        ("text/plain; charset=ü", b"abc", "abc"),
        ("", b"", ""),
    ],
)
def test_text(kind, body, text):
    raw = head(f"Content-Type: {kind}", body=body)
    assert answered(raw, lambda r: r.text()) == text

    async def streamed(response):
        return "".join([piece async for piece in response.iter_text()])

    assert answered(raw, streamed) == text


def test_text_in_an_encoding_of_choice():
    raw = head("Content-Type: text/plain; charset=utf-8", body=b"gr\xfc\xdfe")
    assert answered(raw, lambda r: r.text("latin-1")) == "grüße"
    for bad in ("no-such-thing", 5, "hex"):

        async def look(response, bad=bad):
            with pytest.raises(wirebird.UsageError) as caught:
                await response.text(bad)
            assert caught.value.argument == "encoding"

        answered(raw, look)


def test_unlabelled_text_that_is_not_utf_8():
    text = "Die größten Bäume wachsen über die Dächer hinaus, und für schöne Blüten müßte man früher säen. " * 5
    assert answered(head("Content-Type: text/plain", body=text.encode("cp1252")), lambda r: r.text()) == text


# -- the body, in pieces ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*BODIES, "/coded/gzip"])
@pytest.mark.parametrize("size", [1, 7, 4096, 65536, 10_000_000])
def test_iter_bytes_of_a_size(path, size):
    if size < 100 and path.endswith("0000"):
        size *= 997

    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            whole = FOX if "coded" in path else pattern(int(path.rpartition("/")[2]))
            response = await client.get(origin.url(path))
            pieces = [piece async for piece in response.iter_bytes(size)]
            assert b"".join(pieces) == whole
            assert all(len(piece) == size for piece in pieces[:-1])
            assert not pieces or 0 < len(pieces[-1]) <= size
            assert all(type(piece) is bytes for piece in pieces)
            assert [piece async for piece in response.iter_bytes(size)] == []
            with pytest.raises(wirebird.BodyConsumed):
                await response.content()
            assert client.stats()["in_use"] == 0

    run(main)


@pytest.mark.parametrize("path", BODIES)
def test_pieces_as_they_come(path):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            whole = pattern(int(path.rpartition("/")[2]))
            for way in ("iter_bytes", "read_chunks"):
                response = await client.get(origin.url(path))
                pieces = [piece async for piece in getattr(response, way)()]
                assert b"".join(pieces) == whole
                assert b"" not in pieces
            response = await client.get(origin.url(path))
            assert await response.read() == whole
            assert await response.read() == b""
            response = await client.get(origin.url(path))
            found = b""
            while piece := await response.read(999):
                assert len(piece) <= 999
                found += piece
            assert found == whole
            assert await response.read(0) == b""
            response = await client.get(origin.url(path))
            await response.content()
            assert b"".join([piece async for piece in response.iter_bytes(1000)]) == whole

    run(main)


@pytest.mark.parametrize("path", [*BODIES, "/coded/gzip"])
@pytest.mark.parametrize("taken", [1, 2, 3])
def test_what_an_iteration_left_can_still_be_read(path, taken):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            whole = FOX if "coded" in path else pattern(int(path.rpartition("/")[2]))
            for size in (1, 7, 1000, 65536, 100_000):
                response = await client.get(origin.url(path))
                found = b""
                for _ in range(taken):
                    async with aclosing(response.iter_bytes(size)) as pieces:
                        async for piece in pieces:
                            found += piece
                            break
                assert found == whole[: size * taken]
                assert found + await response.read() == whole

    run(main)


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "1"])
def test_bad_sizes(size):
    async def look(response):
        with pytest.raises(wirebird.UsageError) as caught:
            await anext(response.iter_bytes(size))
        assert caught.value.argument == "size"

    answered(head(body=b"body"), look)


LINES = "one\ntwo\r\nthree\rfour\n\n\r\n\r\r\nfünf\r\n\rlast"


@pytest.mark.parametrize(
    "text", [LINES, LINES + "\n", LINES + "\r", LINES + "\r\n", "\r", "\n", "\r\n", "\r\r", "a", "", "a\r\rb\r\n\n"]
)
def test_lines_split_at_every_byte(text):
    expected = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not expected[-1]:
        expected.pop()
    body = text.encode()

    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            origin.on("/parts", in_parts(body))
            for at in range(-1, len(body) + 1):
                url = origin.url(f"/parts?at={at}")
                pieces = [piece async for piece in (await client.get(url)).read_chunks()]
                assert len(pieces) == (len(body) if at < 0 else len([part for part in (body[:at], body[at:]) if part]))
                assert [line async for line in (await client.get(url)).iter_lines()] == expected
                assert "".join([piece async for piece in (await client.get(url)).iter_text()]) == text
                response = await client.get(url)
                lines = []
                while line := await response.readline():
                    lines.append(line)
                assert lines == [line for line in body.replace(b"\n", b"\n\0").split(b"\0") if line]

    run(main)


def in_parts(body: bytes):
    """A handler that sends the body in chunks, each of which arrives on its own: cut at `?at=`, or after every byte."""

    async def parts(asked, wire):
        at = int(asked.arg("at"))
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in [body[i : i + 1] for i in range(len(body))] if at < 0 else [body[:at], body[at:]]:
            for _ in range(3):
                await asyncio.sleep(0)  # the loop looks at the sockets
            if piece:
                await wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await wire.send(b"0\r\n\r\n")

    return parts


def test_lines_come_as_soon_as_they_are_complete():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:

            async def lines(asked, wire):
                await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\none\r\nt\r\n")
                await origin.release.wait()
                await wire.send(b"4\r\nwo\r\n\r\n0\r\n\r\n")

            origin.on("/lines", lines)
            async with client.get(origin.url("/lines")) as response:
                found = response.iter_lines()
                assert await anext(found) == "one"
                origin.release.set()
                assert [line async for line in found] == ["two"]

    run(main)


def test_many_short_reads_of_a_long_piece_take_linear_time():
    """8 MB in 20,000 lines, here whole: if each line cost a copy of the rest, they would copy 80 GB."""

    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:

            async def lines(asked, wire):
                await wire.respond(200, [], (b"x" * 399 + b"\n") * 20_000)

            origin.on("/lines", lines)
            for way in ("readline", "read"):
                response = await client.get(origin.url("/lines"))
                await response.content()
                start = time.process_time()
                count = 0
                while await (response.readline() if way == "readline" else response.read(400)):
                    count += 1
                assert count == 20_000
                assert time.process_time() - start < 4

    run(main)


def test_mixed_reading():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:

            async def lines(asked, wire):
                await wire.respond(200, [], b"first\nsecond line\nthe rest")

            origin.on("/lines", lines)
            response = await client.get(origin.url("/lines"))
            assert await response.readline() == b"first\n"
            assert await response.read(6) == b"second"
            assert await response.readline() == b" line\n"
            assert [piece async for piece in response.iter_bytes(3)] == [b"the", b" re", b"st"]
            assert await response.readline() == b""

    run(main)


def test_trailers():
    async def look(response):
        body = await response.content()
        return body, list(response.trailers.items()), response.headers.get("x-sum")

    raw = chunked(b"body", trailers=b"X-Sum: 1\r\nX-Two: 2\r\nContent-Length: 5\r\n")
    assert answered(raw, look) == (b"body", [("X-Sum", "1"), ("X-Two", "2")], None)
    assert answered(chunked(b"body"), look) == (b"body", [], None)


# -- letting go -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/bytes/100", "/bytes/100000", "/bytes/5000000", "/chunked/5000000", "/eof/5000000", "/held?first=5"]
)
def test_a_body_that_nobody_wants(path):
    """Closed, left, or forgotten half way: the slot comes back, and the next request works."""

    async def main():
        connector = wirebird.TCPConnector(pool_size=1)
        async with Origin() as origin, wirebird.HTTPClient(connector, timeouts=wirebird.Timeouts(pool_acquire=5)) as client:
            url = origin.url(path)
            for _ in range(2):
                response = await client.get(url)
                await response.close()
                await response.close()
                async with client.get(url) as response:
                    pass
                async with client.get(url) as response:
                    await response.read(10 if "held" not in path else 5)
                async with client.get(url) as response:
                    async for _piece in response.iter_bytes(5):
                        break
                with pytest.raises(LookupError):
                    async with client.get(url):
                        raise LookupError
                await client.get(url)
                response = await client.get(url)
                del response
                gc.collect()
                assert (await client.get(origin.url("/echo"))).ok
            origin.release.set()
            assert await client.wait_requests(5)
            assert client.stats()["in_use"] == 0

    run(main)


def test_a_closed_response_cannot_be_read():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            for path in ("/bytes/5000000", "/held"):
                response = await client.get(origin.url(path))
                await response.close()
                for read in (response.content, response.text, response.json, response.read, response.readline):
                    with pytest.raises(wirebird.BodyConsumed):
                        await read()
            response = await client.get(origin.url("/bytes/10"))
            await response.close()
            assert await response.content() == pattern(10)  # it was here, and costs nobody anything

    run(main)


def test_a_short_rest_is_waited_for_so_that_the_connection_lives_on():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            response = await client.get(origin.url("/held?first=90000"))
            await response.close()
            origin.release.set()
            assert await client.wait_requests(5)
            assert (await client.get(origin.url("/echo"))).ok
            assert origin.connections == 1

    run(main)


# -- content codings --------------------------------------------------------------------------------------------------------

CODINGS = [
    "gzip",
    "x-gzip",
    "deflate",
    "raw-deflate",
    "br",
    "zstd",
    "gzip, br",
    "deflate, gzip, zstd",
    "identity",
    "gzip, gzip",
    "GZip",
]


@pytest.mark.parametrize("codings", CODINGS)
def test_codings(codings):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            body = FOX
            for coding in codings.lower().split(", "):
                body = code(body, coding)
            origin.always("/coded", head(f"Content-Encoding: {codings.replace('raw-', '')}", body=body))
            for _ in range(2):
                response = await client.get(origin.url("/coded"))
                assert await response.content() == await response.content() == FOX
                assert response.headers["content-encoding"] == codings.replace("raw-", "")
                assert response.content_length == len(body)
                response = await client.get(origin.url("/coded"))
                assert b"".join([piece async for piece in response.iter_bytes()]) == FOX
                response = await client.get(origin.url("/coded"))
                assert await response.read() == FOX
            origin.always(
                "/chunked",
                chunked(
                    *[body[i : i + 1] for i in range(len(body))],
                    fields=f"Content-Encoding: {codings.replace('raw-', '')}\r\n".encode(),
                ),
            )
            response = await client.get(origin.url("/chunked"))
            assert await response.text() == FOX.decode()
            async with wirebird.HTTPClient(auto_decompress=False) as raw:
                for _ in range(2):
                    assert await (await raw.get(origin.url("/coded"))).content() == body
                    assert await (await raw.get(origin.url("/coded"))).read() == body

    run(main)


def test_an_unknown_coding_is_left_alone():
    assert answered(head("Content-Encoding: mystery", body=b"raw"), lambda r: r.content()) == b"raw"


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_nothing_is_decoded_where_there_is_nothing(method):
    async def look(response):
        return await response.content(), b"".join([piece async for piece in response.iter_bytes()])

    raw = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n"
    assert answered(raw, look, method=method) == (b"", b"")
    raw = b"HTTP/1.1 304 Not Modified\r\nContent-Encoding: gzip\r\nContent-Length: 500\r\n\r\n"
    assert answered(raw, look, method=method) == (b"", b"")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("fault", ["truncated", "garbage", "behind"])
def test_what_is_not_in_the_coding(coding, fault):
    body = code(FOX, coding)
    if fault == "truncated":
        body = body[:-5]
    elif fault == "garbage":
        body = b"certainly not compressed"
    else:
        body += b"something behind"

    async def look(response):
        for _ in range(2):
            with pytest.raises(wirebird.DecodingError) as caught:
                await response.content()
            assert caught.value.peer.startswith("127.0.0.1:")
            assert caught.value.phase

    answered(head(f"Content-Encoding: {coding}", body=body), look)
    answered(chunked(body, fields=f"Content-Encoding: {coding}\r\n".encode()), look)

    async def streamed(response):
        with pytest.raises(wirebird.DecodingError) as caught:
            async for _ in response.iter_bytes():
                pass
        assert caught.value.peer.startswith("127.0.0.1:")

    answered(head(f"Content-Encoding: {coding}", body=body), streamed)


def test_a_fault_in_the_coding_ends_a_long_body():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:

            async def endless(asked, wire):
                await wire.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
                while True:
                    await wire.send(b"x" * 10_000)

            origin.on("/endless", endless)
            response = await client.get(origin.url("/endless"))
            with pytest.raises(wirebird.DecodingError):
                await response.read()
            assert client.stats()["open"] == 0

    run(main)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_bomb_is_bounded(coding):
    """A gigabyte of zeros in a megabyte or less: an error within bounded memory, or small pieces for who reads them."""
    if coding == "gzip":
        packer = zlib.compressobj(9, wbits=31)
        start = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
        bomb = start + (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)) * 1023
    elif coding == "br":
        bomb = bytes(brotli.compress(bytes(1 << 28), quality=1))
    else:
        bomb = code(bytes(1 << 28), coding)

    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            origin.always("/bomb", head(f"Content-Encoding: {coding}", body=bomb))
            tracemalloc.start()
            try:
                response = await client.get(origin.url("/bomb"))
                raw = len(bomb)
                tracemalloc.reset_peak()
                with pytest.raises(wirebird.LimitExceeded):
                    await response.content()
                assert tracemalloc.get_traced_memory()[1] < 250_000_000
                response = await client.get(origin.url("/bomb"))
                await response.read(1024)
                tracemalloc.reset_peak()
                before = tracemalloc.get_traced_memory()[0]
                assert await response.read(1024) == bytes(1024)
                assert tracemalloc.get_traced_memory()[1] - before < 2 * raw + 2_000_000
                await response.close()
            finally:
                tracemalloc.stop()

    run(main)


# -- limits -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/bytes/1001", "/bytes/1000000", "/chunked/1001", "/chunked/1000000", "/eof/1001", "/coded/gzip"]
)
def test_max_body_size(path):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(max_body_size=1000) as client:
            for _ in range(2):
                response = await client.get(origin.url(path))
                for read in (response.content, response.text, response.json):
                    with pytest.raises((wirebird.LimitExceeded, wirebird.BodyConsumed)) as caught:
                        await read()
                    if read == response.content:
                        assert isinstance(caught.value, wirebird.LimitExceeded)
                        assert (caught.value.limit, caught.value.maximum) == ("max_body_size", 1000)
                assert client.stats()["in_use"] == 0
                small = await client.get(origin.url("/bytes/1000"))
                assert await small.content() == pattern(1000)

    run(main)


@pytest.mark.parametrize(
    ("raw", "received", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", 4, 10),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\nhalf", 4, 10**12),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", 0, 10),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", 3, None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 5, None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", 5, None),
    ],
)
def test_bodies_that_end_early(raw, received, expected):
    async def whole(response):
        for _ in range(2):
            with pytest.raises(wirebird.IncompleteBody) as caught:
                await response.content()
            assert (caught.value.received, caught.value.expected) == (received, expected)
            assert caught.value.peer.startswith("127.0.0.1:")
            assert caught.value.phase == "reading the body"

    answered(raw, whole, close=True)

    async def pieces(response):
        found = []
        with pytest.raises(wirebird.IncompleteBody):
            async for piece in response.iter_bytes():
                found.append(len(piece))  # noqa: PERF401
        assert sum(found) == received

    answered(raw, pieces, close=True)


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 17,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,
    ],
)
def test_what_is_no_response(raw):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            origin.always("/x", raw)
            for call in (client.get, client.get, client.post):
                with pytest.raises(wirebird.ProtocolError) as caught:
                    await call(origin.url("/x"))
                assert isinstance(caught.value, wirebird.InvalidResponse | wirebird.LimitExceeded)
                assert caught.value.peer == origin.address
                assert client.stats()["open"] == 0
            assert (await client.get(origin.url("/echo"))).ok

    run(main)


def test_garbage_in_the_body():
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX"

    async def look(response):
        with pytest.raises(wirebird.InvalidResponse):
            await response.content()

    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            origin.always("/x", raw)
            for _ in range(2):
                try:
                    response = await client.get(origin.url("/x"))
                except wirebird.InvalidResponse:
                    pass  # all of it came at once
                else:
                    await look(response)
                assert client.stats()["open"] == 0

    run(main)
