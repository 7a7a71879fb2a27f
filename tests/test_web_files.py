"""`FileResponse`: what of a file is sent, how, and what becomes of it when the file, the client or the disk are not as hoped.

The grammar of conditions and ranges is in `test_preconditions.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import errno
import os
import shutil
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from daemons import Daemon, free_ports
from origin import pattern
from raw_peer import resident, run
from web_ask import Reply, fetch, get, serving, site
from wirebird import HTTPClient, web
from wirebird.errors import UsageError
from wirebird.models.dates import format_http_date
from wirebird.server import file_sending
from wirebird.server.server import Server
from wirebird.server.settings import Settings
from wirebird.testing import TestClient, TestServer, ThrowawayTLS
from wirebird.web import files, opened_file
from wirebird.web.opened_file import SMALL

LOOPS = ("asyncio", "uvloop")
MODIFIED = 1_000_000_000  # Sun, 09 Sep 2001 01:46:40 GMT
LARGE = pattern(5 * SMALL + 7)
HELLO = b"hello, world"


def make(path: Path, data: bytes, modified: float = MODIFIED) -> Path:
    path.write_bytes(data)
    os.utime(path, (modified, modified))
    return path


def files_open(folder: Path) -> int:
    """How many files of `folder` this process has open."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            count += str(entry.readlink()).startswith(str(folder))
    return count


def files_of(folder: Path, **options: Any) -> web.Application:
    """An application with the files of `folder`, as they are called."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(folder / request.match_info["name"], **options)

    return site(web.route("*", "/{name}", handler))


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that a test has just made counts as one that is at rest."""
    monkeypatch.setattr(opened_file, "_SETTLED", -1e9)


def check(
    folder: Path, main: Callable[[TestServer], Awaitable[None]], *, kind: str = "asyncio", errors: int = 0, **options: Any
) -> None:
    """Run `main` with a server of the files in `folder`; no file may be open in the end."""

    async def framed() -> None:
        async with serving(files_of(folder, **options), errors=errors) as server:
            await main(server)

    run(framed, kind=kind)
    assert files_open(folder) == 0


# -- what is sent ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("size", [0, 1, SMALL - 1, SMALL, SMALL + 1, SMALL + 16384, len(LARGE)])
def test_whole_files(kind: str, size: int, tmp_path: Path) -> None:
    make(tmp_path / "a.txt", LARGE[:size])

    async def main(server: TestServer) -> None:
        reply = await get(server, "/a.txt")
        assert (reply.status, reply.body) == (200, LARGE[:size])
        fields = dict(reply.headers)
        assert fields.pop("ETag").startswith('"')
        assert fields.pop("Date")
        assert fields.pop("Server")
        assert fields == {
            "Content-Type": "text/plain",
            "Last-Modified": "Sun, 09 Sep 2001 01:46:40 GMT",
            "Accept-Ranges": "bytes",
            "Content-Length": str(size),
            "Connection": "close",
        }
        bare = await get(server, "/a.txt", method="HEAD")
        assert (bare.status, bare.body) == (200, b"")
        assert {name: value for name, value in bare.headers.items() if name != "Date"} == {
            name: value for name, value in reply.headers.items() if name != "Date"
        }
        old = await get(server, "/a.txt", version="1.0")
        assert (old.status, old.body, old.headers["content-length"]) == (200, LARGE[:size], str(size))

    check(tmp_path, main, kind=kind)


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("way", ["tls", "unix", "no sendfile", "sendfile fails", "sendfile stops", "cold", "unknown"])
def test_every_way(kind: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "a", LARGE)
    calls = []
    real = os.sendfile

    def sendfile(out: int, file: int, offset: int, count: int) -> int:
        calls.append(offset)
        if way == "sendfile fails" or (way == "sendfile stops" and len(calls) > 1):
            raise OSError(errno.EINVAL, "not here")
        return real(out, file, offset, min(count, 70_000))

    monkeypatch.setattr(os, "sendfile", sendfile)
    asked = []

    def preadv(file: int, buffers: list[bytearray], offset: int, flags: int) -> int:
        asked.append(offset)
        raise BlockingIOError if way == "cold" else OSError(errno.EOPNOTSUPP, "not here")

    if way in ("cold", "unknown"):
        monkeypatch.setattr(os, "preadv", preadv)
        monkeypatch.setattr(file_sending, "_AHEAD", 100_000)
    if way == "no sendfile":
        monkeypatch.setattr(file_sending, "_sendfile", None)

    async def main() -> None:
        options: dict[str, Any] = {}
        if way == "tls":
            options["ssl"] = ThrowawayTLS()
        if way == "unix":
            options["path"] = tmp_path / "socket"
        async with TestClient(TestServer(files_of(tmp_path, chunk_size=30_000), **options)) as client:
            response = await client.get("/a")
            assert await response.content() == LARGE
            part = await client.get("/a", headers={"Range": "bytes=70000-299999"})
            assert (part.status_code, await part.content()) == (206, LARGE[70000:300000])

    run(main, kind=kind)
    assert files_open(tmp_path) == 0
    assert bool(calls) is (way not in ("tls", "no sendfile"))
    assert bool(asked) is (way in ("cold", "unknown"))


@pytest.mark.parametrize("kind", LOOPS)
def test_a_connection_goes_on_after_a_file(kind: str, tmp_path: Path) -> None:
    """Pipelined: files and other answers in their order, each where the one before ends."""
    make(tmp_path / "large", LARGE)
    make(tmp_path / "small", HELLO)
    names = ["large", "small", "none", "large", "large", "small"]

    async def main(server: TestServer) -> None:
        reader, writer = await asyncio.open_connection(server.host, server.port, limit=2**21)
        for index, name in enumerate(names):
            close = "Connection: close\r\n" if index == len(names) - 1 else ""
            writer.write(f"GET /{name} HTTP/1.1\r\nHost: a\r\n{close}\r\n".encode())
        for name in names:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            assert body == {"large": LARGE, "small": HELLO, "none": b"404: Not Found"}[name]
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    check(tmp_path, main, kind=kind)


def test_types() -> None:
    wanted = {
        "a.js": "text/javascript",
        "a.MJS": "text/javascript",
        "a.css": "text/css",
        "a.html": "text/html",
        "a.json": "application/json",
        "a.wasm": "application/wasm",
        "a.woff2": "font/woff2",
        "a.svg": "image/svg+xml",
        "a.tar.gz": "application/gzip",
        "a.gz": "application/gzip",
        "a.zst": "application/zstd",
        "a.png": "image/png",
        "a": "application/octet-stream",
        ".html": "application/octet-stream",
        "a.unheardof": "application/octet-stream",
    }
    assert {name: files.media_type(name) for name in wanted} == wanted
    assert web.FileResponse("a.css").content_type == "text/css"
    assert web.FileResponse("a.css", headers={"Content-Type": "text/x; charset=utf-8"}).content_type == "text/x"


def test_fields_of_the_caller(tmp_path: Path) -> None:
    make(tmp_path / "a", HELLO)
    given = {"ETag": '"mine"', "Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT", "Content-Disposition": "attachment", "X-A": "b"}

    async def main(server: TestServer) -> None:
        reply = await get(server, "/a")
        assert {name: reply.headers[name] for name in given} == given
        assert (await get(server, "/a", 'If-None-Match: W/"mine"')).status == 304
        assert (await get(server, "/a", f"If-Modified-Since: {format_http_date(MODIFIED)}")).status == 304
        assert (await get(server, "/a", 'If-Range: "mine"', "Range: bytes=0-1")).status == 206
        refused = await get(server, "/a", 'If-Match: "other"')
        assert (refused.status, refused.headers["x-a"], refused.headers.get("content-disposition")) == (412, "b", None)

    check(tmp_path, main, headers=given)


@pytest.mark.parametrize("argument", [{"path": ""}, {"path": b"a"}, {"path": "a\0b"}, {"chunk_size": 0}, {"chunk_size": True}])
def test_bad_arguments(argument: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        web.FileResponse(**{"path": "a", **argument})
    assert caught.value.argument == next(iter(argument))


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    (tmp_path / "loop").symlink_to("loop")
    make(tmp_path / "closed", HELLO).chmod(0)
    wanted = {"none": 404, "folder": 403, "pipe": 403, "socket": 403, "loop": 404, "x" * 300: 404}
    if os.geteuid():
        wanted["closed"] = 403

    async def main(server: TestServer) -> None:
        for name, status in wanted.items():
            reply = await get(server, f"/{name}")
            assert reply.status == status, name
            assert reply.headers["content-type"] == "text/plain; charset=utf-8"
            assert "last-modified" not in reply.headers
            assert "cache-control" not in reply.headers
            assert (await get(server, f"/{name}", method="HEAD")).body == b""
        assert (await get(server, "/none")).body == b"404: Not Found"

    check(tmp_path, main, headers={"Cache-Control": "immutable"})


def test_another_status_has_no_conditions(tmp_path: Path) -> None:
    make(tmp_path / "gone.html", HELLO)

    async def main(server: TestServer) -> None:
        reply = await get(server, "/gone.html", "Range: bytes=0-1", "If-None-Match: *")
        assert (reply.status, reply.body) == (410, HELLO)
        assert "accept-ranges" not in reply.headers

    check(tmp_path, main, status=410)


def test_other_methods_have_no_conditions(tmp_path: Path) -> None:
    make(tmp_path / "a", HELLO)

    async def main(server: TestServer) -> None:
        reply = await get(server, "/a", "Range: bytes=0-1", "If-None-Match: *", "Content-Length: 0", method="POST")
        assert (reply.status, reply.body) == (200, HELLO)

    check(tmp_path, main)


@pytest.mark.parametrize("name", ["small", "large"])
def test_prepare_sends_it_and_signals_see_it(name: str, tmp_path: Path) -> None:
    """`on_response_prepare` sees the status and the fields that are sent, whatever becomes of the file, and may add to them."""
    make(tmp_path / "small", HELLO)
    make(tmp_path / "large", LARGE)
    seen = []

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.FileResponse(tmp_path / request.match_info["name"])
        await response.prepare(request)
        await response.prepare(request)
        assert response.eof_sent
        return response

    async def tell(request: web.Request, response: web.StreamResponse) -> None:
        seen.append((response.status, response.content_length, "etag" in response.headers))
        response.headers["X-Seen"] = "yes"

    app = site(web.get("/{name}", handler))
    app.on_response_prepare.append(tell)

    async def main() -> None:
        async with serving(app) as server:
            for fields in ([], ["Range: bytes=2-3"], ["Range: bytes=999999-"], ["If-None-Match: *"], ["If-Match: x"]):
                assert (await get(server, f"/{name}", *fields)).headers["x-seen"] == "yes"
            assert (await get(server, "/none")).headers["x-seen"] == "yes"

    run(main)
    size = len(HELLO if name == "small" else LARGE)
    assert seen == [
        (200, size, True),
        (206, 2, True),
        (416, len(f"416: {HTTPStatus(416).phrase}"), False),
        (304, 0, True),
        (412, 24, False),
        (404, 14, False),
    ]
    assert files_open(tmp_path) == 0


# -- conditions and ranges -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("name", ["small", "large"])
def test_ranges(kind: str, name: str, tmp_path: Path) -> None:
    """Those that are malformed are ignored (B5), digits of other scripts among them (S17)."""
    data = {"small": pattern(1000), "large": LARGE}[name]
    size = len(data)
    make(tmp_path / f"{name}.html", data)

    async def main(server: TestServer) -> None:
        path = f"/{name}.html"
        for value, start, stop in [
            ("0-0", 0, 1),
            ("0-", 0, size),
            (f"{size - 1}-", size - 1, size),
            ("-100", size - 100, size),
            ("10-99999999999999999999", 10, size),
            (f"5-{size - 20}", 5, size - 19),
        ]:
            reply = await get(server, path, f"Range: bytes={value}")
            assert (reply.status, reply.body) == (206, data[start:stop])
            assert reply.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
            assert reply.headers["content-type"] == "text/html"
        for value in (f"bytes={size}-", "bytes=-0"):
            reply = await get(server, path, f"Range: {value}")
            assert (reply.status, reply.headers["content-range"]) == (416, f"bytes */{size}")
            assert reply.body == f"416: {HTTPStatus(416).phrase}".encode()  # another one in Python 3.13
            assert "etag" not in reply.headers
        for value in ("foo", "bytes=5-2", "items=0-1", "bytes=a", "bytes=\u0660-\u0669", "bytes=0-5,3-9"):
            reply = await get(server, path, f"Range: {value}")
            assert (reply.status, reply.body, reply.headers.get("content-range")) == (200, data, None)
        head = await get(server, path, "Range: bytes=0-1", method="HEAD")
        assert (head.status, head.headers["content-length"]) == (200, str(size))

    check(tmp_path, main, kind=kind)


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("name", ["small", "large"])
def test_several_ranges(kind: str, name: str, tmp_path: Path) -> None:
    data = {"small": pattern(1000), "large": LARGE}[name]
    size = len(data)
    make(tmp_path / f"{name}.html", data)
    asked = [(0, 9), (size - 500, size - 100), (100, min(size - 600, 200_000)), (size - 1, size - 1)]

    async def main(server: TestServer) -> None:
        value = ",".join(f"{first}-{last}" for first, last in asked)
        reply = await get(server, f"/{name}.html", f"Range: bytes={value}, 99999999-")
        assert reply.status == 206
        assert "content-range" not in reply.headers
        assert reply.headers["content-length"] == str(len(reply.body))
        message = email.message_from_bytes(b"Content-Type: %b\r\n%b" % (reply.headers["content-type"].encode(), reply.body))
        boundary = message.get_boundary()
        assert boundary is not None
        assert reply.body.endswith(f"\r\n--{boundary}--\r\n".encode())
        parts = reply.body.split(f"\r\n--{boundary}".encode())[1:-1]
        assert len(parts) == len(asked)
        for part, (first, last) in zip(parts, asked, strict=True):
            head, _, body = part.partition(b"\r\n\r\n")
            assert head == f"\r\nContent-Type: text/html\r\nContent-Range: bytes {first}-{last}/{size}".encode()
            assert body == data[first : last + 1]
        one = await get(server, f"/{name}.html", "Range: bytes=1-2, 99999999-")
        assert (one.status, one.headers["content-range"], one.body) == (206, f"bytes 1-2/{size}", data[1:3])

    check(tmp_path, main, kind=kind)


def test_a_flood_of_ranges(tmp_path: Path) -> None:
    """S44, and the amplification of many ranges over the same bytes: ignored, once, quickly."""
    make(tmp_path / "large", LARGE)

    async def main(server: TestServer) -> None:
        begun = time.perf_counter()
        for value in (",".join(f"{at}-{at}" for at in range(0, 9_000, 2)), "0-," * 1300, "5-,0-", "-1," * 100):
            reply = await get(server, "/large", f"Range: bytes={value}")
            assert (reply.status, len(reply.body)) == (200, len(LARGE))
        assert time.perf_counter() - begun < 2

    check(tmp_path, main)


def test_not_modified(tmp_path: Path) -> None:
    make(tmp_path / "large.html", LARGE)
    fields = {"Cache-Control": "max-age=60", "Vary": "Cookie", "Content-Disposition": "inline"}

    async def main(server: TestServer) -> None:
        whole = await get(server, "/large.html")
        for condition in (f"If-None-Match: {whole.headers['etag']}", f"If-Modified-Since: {whole.headers['last-modified']}"):
            for method in ("GET", "HEAD"):
                reply = await get(server, "/large.html", condition, "Range: bytes=0-1", method=method)
                assert (reply.status, reply.body) == (304, b"")
                kept = {name: value for name, value in reply.headers.items() if name not in ("Date", "Server", "Connection")}
                assert kept == {name: whole.headers[name] for name in ("Cache-Control", "Vary", "ETag", "Last-Modified")}

    check(tmp_path, main, headers=fields)


def test_conditions(tmp_path: Path) -> None:
    make(tmp_path / "a", HELLO)
    older, same, newer = (format_http_date(MODIFIED + more) for more in (-1, 0, 1))

    async def main(server: TestServer) -> None:
        etag = (await get(server, "/a")).headers["etag"]
        for status, *given in [
            (200, f"If-Match: {etag}"),
            (412, f"If-Match: W/{etag}"),
            (412, 'If-Match: "x"'),
            (304, f"If-None-Match: W/{etag}"),
            (200, 'If-None-Match: "x"'),
            (200, 'If-None-Match: "x"', f"If-Modified-Since: {newer}"),
            (304, f"If-Modified-Since: {same}"),
            (200, f"If-Modified-Since: {older}"),
            (200, f"If-Unmodified-Since: {same}"),
            (412, f"If-Unmodified-Since: {older}"),
            (206, "Range: bytes=0-1", f"If-Range: {etag}"),
            (206, "Range: bytes=0-1", f"If-Range: {same}"),
            (200, "Range: bytes=0-1", f"If-Range: {newer}"),
            (200, "Range: bytes=0-1", f"If-Range: W/{etag}"),
            (200, "Range: bytes=99-", 'If-Range: "x"'),
            (416, "Range: bytes=99-", f"If-Range: {etag}"),
            (304, "Range: bytes=99-", f"If-None-Match: {etag}"),
            (412, "Range: bytes=99-", 'If-Match: "x"', f"If-None-Match: {etag}"),
        ]:
            assert (await get(server, "/a", *given)).status == status, given

    check(tmp_path, main)


def test_tags_name_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another inode, size or time is another tag, also when somebody sets the time back; it is weak until the file is at rest."""
    path = make(tmp_path / "a", b"one")

    async def main(server: TestServer) -> None:
        tags = [(await get(server, "/a")).headers["etag"]]
        make(path, b"two")
        tags.append((await get(server, "/a")).headers["etag"])
        make(tmp_path / "b", b"two").rename(path)
        tags.append((await get(server, "/a")).headers["etag"])
        assert len({*tags}) == 3
        assert all(tag.startswith('"') for tag in tags)
        monkeypatch.setattr(opened_file, "_SETTLED", 2.0)
        fresh = await get(server, "/a", "Range: bytes=0-1")
        assert fresh.headers["etag"] == f"W/{tags[-1]}"
        assert (fresh.status, fresh.body) == (206, b"tw")
        assert (await get(server, "/a", f"If-Range: {tags[-1]}", "Range: bytes=0-1")).status == 200
        assert (await get(server, "/a", f"If-None-Match: {tags[-1]}")).status == 304

    check(tmp_path, main)


@pytest.mark.parametrize(("modified", "shown"), [(4e9, None), (0.5, 0), (-86400.5, -86401), (12e9, None)])
def test_odd_times(modified: float, shown: int | None, tmp_path: Path) -> None:
    """A time in the future is now (RFC 9110 8.8.2.1); one before 1970 is one."""
    make(tmp_path / "a", HELLO, modified)

    async def main(server: TestServer) -> None:
        begun = int(time.time())
        reply = await get(server, "/a")
        if shown is not None:
            assert reply.headers["last-modified"] == format_http_date(shown)
        else:
            assert reply.headers["last-modified"] in [format_http_date(begun + more) for more in range(5)]

    check(tmp_path, main)


# -- compressed siblings ---------------------------------------------------------------------------------------------------


def test_siblings(tmp_path: Path) -> None:
    make(tmp_path / "a.js", LARGE)
    make(tmp_path / "a.js.br", b"brotli")
    make(tmp_path / "a.js.gz", b"gzip!!!")
    make(tmp_path / "b.js", LARGE)

    async def main(server: TestServer) -> None:
        tags = set()
        for accept, coding, body in [
            (["Accept-Encoding: gzip, deflate, br, zstd"], "br", b"brotli"),
            (["Accept-Encoding: gzip, zstd"], "gzip", b"gzip!!!"),
            (["Accept-Encoding: gzip;q=1, br;q=0.5"], "gzip", b"gzip!!!"),
            (["Accept-Encoding: zstd"], None, LARGE),
            (["Accept-Encoding: identity, br;q=0.5"], None, LARGE),
            ([], None, LARGE),
        ]:
            reply = await get(server, "/a.js", *accept)
            assert (reply.status, reply.body) == (200, body)
            assert reply.headers.get("content-encoding") == coding
            assert reply.headers["vary"] == "Accept-Encoding"
            assert reply.headers["content-type"] == "text/javascript"
            tags.add(reply.headers["etag"])
            again = await get(server, "/a.js", *accept, f"If-None-Match: {reply.headers['etag']}")
            assert (again.status, again.headers["vary"]) == (304, "Accept-Encoding")
            assert "content-encoding" not in again.headers
        assert len(tags) == 3
        part = await get(server, "/a.js", "Accept-Encoding: gzip", "Range: bytes=1-2")
        assert (part.status, part.body, part.headers["content-range"]) == (206, b"zi", "bytes 1-2/7")
        none = await get(server, "/a.js", "Accept-Encoding: identity;q=0, zstd")
        assert (none.status, none.headers["vary"]) == (406, "Accept-Encoding")
        assert "vary" not in (await get(server, "/b.js", "Accept-Encoding: br")).headers
        archive = await get(server, "/a.js.gz", "Accept-Encoding: gzip")
        assert (archive.body, archive.headers["content-type"]) == (b"gzip!!!", "application/gzip")
        assert "content-encoding" not in archive.headers

    check(tmp_path, main)


def test_siblings_of_nothing(tmp_path: Path) -> None:
    """A folder that has everything compressed need not have it twice."""
    make(tmp_path / "a.js.br", b"brotli")
    make(tmp_path / "a.js.gz", b"gzip!!!")

    async def main(server: TestServer) -> None:
        for coding, body in (("br", b"brotli"), ("gzip", b"gzip!!!")):
            reply = await get(server, "/a.js", f"Accept-Encoding: {coding}")
            assert (reply.status, reply.body, reply.headers["content-encoding"]) == (200, body, coding)
            assert (reply.headers["vary"], reply.headers["content-type"]) == ("Accept-Encoding", "text/javascript")
        for refused in ([], ["Accept-Encoding: zstd"], ["Accept-Encoding: br;q=0, gzip;q=0"]):
            assert (await get(server, "/a.js", *refused)).status == 404
        assert (await get(server, "/b.js", "Accept-Encoding: br")).status == 404

    check(tmp_path, main)


def test_siblings_that_are_not_taken(tmp_path: Path) -> None:
    """S11: one that is older, or a link, or none at all."""
    make(tmp_path / "secret", b"secret")
    for name in ("old", "link", "folder"):
        make(tmp_path / f"{name}.js", HELLO)
    make(tmp_path / "old.js.gz", b"stale", MODIFIED - 10)
    (tmp_path / "link.js.gz").symlink_to("secret")
    (tmp_path / "folder.js.gz").mkdir()

    async def main(server: TestServer) -> None:
        for name in ("old", "link", "folder"):
            reply = await get(server, f"/{name}.js", "Accept-Encoding: gzip")
            assert (reply.status, reply.body, reply.headers.get("vary")) == (200, HELLO, None)

    check(tmp_path, main)


def test_no_siblings_where_they_are_not_wanted(tmp_path: Path) -> None:
    make(tmp_path / "a.js", HELLO)
    make(tmp_path / "a.js.gz", b"gzip")

    async def main(server: TestServer) -> None:
        assert (await get(server, "/a.js", "Accept-Encoding: gzip")).body == HELLO

    check(tmp_path, main, precompressed=False)
    check(tmp_path, main, headers={"Content-Encoding": "x-mine"})


# -- files that do not stay as they are ------------------------------------------------------------------------------------


def after_first(action: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `action` happen after the first piece of a file has left."""
    real = os.sendfile
    done: list[object] = []

    def sendfile(out: int, file: int, offset: int, count: int) -> int:
        if done:
            return real(out, file, offset, count)
        sent = real(out, file, offset, min(count, 10_000))
        done.append(action())
        return sent

    monkeypatch.setattr(os, "sendfile", sendfile)


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("way", ["plain", "read"])
@pytest.mark.parametrize(
    ("what", "whole"),
    [
        ("truncated", False),
        ("truncated at the end", False),
        ("written over", False),
        ("written over with more", False),
        ("grown", True),
        ("replaced", True),
        ("gone", True),
    ],
)
def test_a_file_that_changes_while_it_is_sent(
    kind: str, way: str, what: str, whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "a", LARGE)

    def change() -> None:
        if what.startswith("truncated"):
            os.truncate(path, 20_000 if what == "truncated" else len(LARGE) - 1)
        elif what == "written over":
            path.write_bytes(b"x" * len(LARGE))
        elif what == "written over with more":
            path.write_bytes(b"x" * len(LARGE) * 2)
        elif what == "grown":
            with path.open("ab") as file:
                file.write(b"more")
        elif what == "gone":
            path.unlink()
        else:
            make(tmp_path / "b", b"other").rename(path)

    if way == "plain":
        after_first(change, monkeypatch)
    else:
        monkeypatch.setattr(file_sending, "_sendfile", None)
        real = opened_file.read_at
        changed: list[object] = []

        def read(fd: int, offset: int, count: int) -> bytes:
            data = real(fd, offset, count)
            if not changed and not offset:
                changed.append(change())
            return data

        monkeypatch.setattr(opened_file, "read_at", read)

    async def main(server: TestServer) -> None:
        reply = await get(server, "/a")
        assert reply.headers["content-length"] == str(len(LARGE))
        if whole:
            assert reply.body == LARGE
        else:
            assert len(reply.body) < len(LARGE)

    check(tmp_path, main, kind=kind, errors=0 if whole else 1, chunk_size=20_000)


def test_a_small_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent as it was read, and with no name for its state."""
    path = make(tmp_path / "a", HELLO)
    real = opened_file.read_at

    def read(fd: int, offset: int, count: int) -> bytes:
        path.write_bytes(b"hello, World!")
        return real(fd, offset, count)

    monkeypatch.setattr(opened_file, "read_at", read)

    async def main(server: TestServer) -> None:
        reply = await get(server, "/a")
        assert (reply.status, reply.body) == (200, b"hello, World!")
        assert "etag" not in reply.headers
        assert "last-modified" not in reply.headers

    check(tmp_path, main)


def test_a_file_of_which_the_size_is_not_known(tmp_path: Path) -> None:
    """Its content is all that there is to go by."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.FileResponse("/proc/self/status")

    async def main() -> None:
        async with serving(site(web.get("/", handler))) as server:
            reply = await get(server, "/")
            assert (reply.status, reply.headers.get("etag")) == (200, None)
            assert b"VmRSS" in reply.body

    run(main)


def test_a_disk_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "large", LARGE)
    make(tmp_path / "small", HELLO)

    real = opened_file.read_at

    def read(fd: int, offset: int, count: int) -> bytes:
        if offset == len(LARGE) - 4096:  # looked at when it is opened
            return real(fd, offset, count)
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(opened_file, "read_at", read)

    async def main(server: TestServer) -> None:
        reply = await get(server, "/large")
        assert reply.status == 200
        assert len(reply.body) < len(LARGE)
        assert (await get(server, "/small")).status == 500

    check(tmp_path, main, errors=2)


# -- clients that do not stay ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("way", ["sendfile", "read"])
def test_clients_that_vanish(kind: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S32: in the middle of a file that is too large for the buffers of sockets; files and sockets are closed."""
    path = tmp_path / "a"
    with path.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    if way == "read":
        monkeypatch.setattr(file_sending, "_sendfile", None)

    async def main(server: TestServer) -> None:
        for reset in [True, False] * 10:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.readexactly(300)
            if reset:
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        async with asyncio.timeout(5):
            while files_open(tmp_path):
                await asyncio.sleep(0.005)
        assert (await get(server, "/a", "Range: bytes=5-6")).body == b"\0\0"

    check(tmp_path, main, kind=kind)


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("way", ["sendfile", "read"])
def test_a_client_that_takes_nothing(kind: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the write timeout for each piece, and is cut off then."""
    with (tmp_path / "a").open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    if way == "read":
        monkeypatch.setattr(file_sending, "_sendfile", None)

    async def main() -> None:
        server = Server(files_of(tmp_path), Settings(write_timeout=0.1))
        host, port = (await server.listen("127.0.0.1", 0))[0][:2]
        reader, writer = await asyncio.open_connection(host, port, limit=1000)
        writer.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readexactly(300)
        async with asyncio.timeout(5):
            while not files_open(tmp_path):
                await asyncio.sleep(0.005)
            while files_open(tmp_path):
                await asyncio.sleep(0.005)
        with contextlib.suppress(ConnectionError):
            count = 300
            while piece := await reader.read(1 << 20):
                count += len(piece)
            assert count < 64 * 1024 * 1024
        writer.transport.abort()
        await server.close(1)

    run(main, kind=kind)


@pytest.mark.parametrize("kind", LOOPS)
def test_a_slow_client_is_not_cut_off(kind: str, tmp_path: Path) -> None:
    """It takes longer than the limit for the whole, and never that long for a piece."""
    size = 24 * 1024 * 1024
    with (tmp_path / "a").open("wb") as file:
        file.truncate(size)

    async def main() -> None:
        server = Server(files_of(tmp_path), Settings(write_timeout=0.25))
        host, port = (await server.listen("127.0.0.1", 0))[0][:2]
        reader, writer = await asyncio.open_connection(host, port, limit=1 << 20)
        writer.write(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        count, begun = 0, time.monotonic()
        while count < size:
            piece = await reader.readexactly(min(1 << 20, size - count))
            count += len(piece)
            await asyncio.sleep(0.02)
        assert time.monotonic() - begun > 0.25
        writer.close()
        await writer.wait_closed()
        await server.close(1)

    run(main, kind=kind)
    assert files_open(tmp_path) == 0


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("where", ["opening", "sending", "reading", "waiting for the disk"])
def test_a_handler_that_is_cancelled(kind: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every place where it waits the file is closed, also what a thread opens after that."""
    with (tmp_path / "a").open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    held, go_on = threading.Event(), threading.Event()

    def hold(real: Callable[..., Any]) -> Callable[..., Any]:
        def held_up(*arguments: Any) -> Any:
            result = real(*arguments)
            held.set()
            go_on.wait(5)
            return result

        return held_up

    if where == "opening":
        monkeypatch.setattr(opened_file, "_open", hold(opened_file._open))
    elif where == "waiting for the disk":
        monkeypatch.setattr(file_sending, "_is_in_memory", lambda file, at: False)
        monkeypatch.setattr(file_sending, "_bring", hold(file_sending._bring))
    elif where == "reading":
        monkeypatch.setattr(file_sending, "_sendfile", None)
        monkeypatch.setattr(opened_file, "read_at", hold(opened_file.read_at))

    async def main() -> None:
        server = Server(files_of(tmp_path, precompressed=False), Settings(cancel_on_disconnect=True))
        host, port = (await server.listen("127.0.0.1", 0))[0][:2]
        _, writer = await asyncio.open_connection(host, port, limit=1000)
        writer.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(5):
            while not (files_open(tmp_path) if where == "sending" else held.is_set()):
                await asyncio.sleep(0.005)
            writer.transport.abort()
            await asyncio.sleep(0.02)
            go_on.set()
            while files_open(tmp_path):
                await asyncio.sleep(0.005)
        await server.close(1)

    run(main, kind=kind)
    assert files_open(tmp_path) == 0


@pytest.mark.parametrize("kind", LOOPS)
def test_a_server_that_is_closed(kind: str, tmp_path: Path) -> None:
    """At once, while a file is under way."""
    with (tmp_path / "a").open("wb") as file:
        file.truncate(64 * 1024 * 1024)

    async def main() -> None:
        server = Server(files_of(tmp_path))
        host, port = (await server.listen("127.0.0.1", 0))[0][:2]
        reader, writer = await asyncio.open_connection(host, port, limit=1000)
        writer.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readexactly(300)
        async with asyncio.timeout(5):
            await server.close(0)
        assert files_open(tmp_path) == 0
        writer.transport.abort()

    run(main, kind=kind)


@pytest.mark.parametrize("way", ["sendfile", "read"])
def test_memory_is_flat_and_the_loop_is_free(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 40 * 1024 * 1024
    with (tmp_path / "a").open("wb") as file:
        file.truncate(size)
    if way == "read":
        monkeypatch.setattr(file_sending, "_sendfile", None)

    async def main(server: TestServer) -> None:
        before, most = resident(), 0
        reader, writer = await asyncio.open_connection(server.host, server.port, limit=1 << 18)
        writer.write(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        count, turns = 0, 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        while piece := await reader.read(1 << 18):
            count += len(piece)
            most = max(most, resident())
        task.cancel()
        assert count > size
        assert turns > 100
        assert most - before < 12 * 1024 * 1024
        writer.close()
        await writer.wait_closed()

    check(tmp_path, main)


# -- peers -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOOPS)
def test_our_client_goes_on_where_it_was_cut(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`client.download` resumes by the tag and Range, and begins anew where the file is another."""
    folder = tmp_path / "served"
    folder.mkdir()
    asked = []
    cut_at = [100_000]

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("range"))
        if len(asked) in (1, 4):
            make(folder / "a.bin", LARGE if len(asked) == 1 else LARGE[::-1])
        return web.FileResponse(folder / "a.bin")

    real = os.sendfile

    def sendfile(out: int, file: int, offset: int, count: int) -> int:
        if cut_at and offset >= cut_at[0]:
            cut_at.pop()
            raise ConnectionResetError
        return real(out, file, offset, min(count, cut_at[0] - offset) if cut_at else count)

    monkeypatch.setattr(os, "sendfile", sendfile)

    async def main() -> None:
        async with serving(site(web.get("/a.bin", handler))) as server, HTTPClient() as client:
            await client.download(server.url("/a.bin"), tmp_path / "one.bin")
            assert (tmp_path / "one.bin").read_bytes() == LARGE
            cut_at.append(200_000)
            await client.download(server.url("/a.bin"), tmp_path / "two.bin")
            assert (tmp_path / "two.bin").read_bytes() == LARGE[::-1]

    run(main, kind=kind)
    assert asked == [None, "bytes=100000-", None, "bytes=200000-"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(tmp_path: Path) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    make(folder / "a.bin", LARGE)
    got = tmp_path / "got"

    async def curl(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            "curl", "-sS", "--max-time", "10", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
        return said.decode("latin-1")

    async def main(server: TestServer) -> None:
        url, code = server.url("/a.bin"), "%{http_code}"
        got.write_bytes(LARGE[:1000])
        assert await curl("-C", "-", "-o", str(got), "-w", code, url) == "206"
        assert got.read_bytes() == LARGE
        assert await curl("-z", str(got), "-o", str(got), "-w", code, url) == "304"
        etag = tmp_path / "etag"
        assert await curl("--etag-save", str(etag), "-o", str(got), "-w", code, url) == "200"
        assert await curl("--etag-compare", str(etag), "-o", os.devnull, "-w", code, url) == "304"
        assert "200 OK" in await curl("-I", url)
        assert await curl("-r", "5-9", url) == LARGE[5:10].decode("latin-1")

    check(folder, main)


NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
CONFIGURATION = """\
daemon off; master_process off; pid {root}/pid; error_log {root}/error.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off; client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3;
    uwsgi_temp_path {root}/t4; scgi_temp_path {root}/t5; default_type application/octet-stream;
    server {{ listen 127.0.0.1:{port}; root {root}/www; }}
}}
"""

# What is asked of both; {etag} is the tag that the server gave, {same}, {older} and {newer} dates around that of the file.
ASKED = [
    [],
    *([f"Range: bytes={one}"] for one in ("0-0", "5-", "-5", "-99999", "3-99999", "11-11", "12-", "99-100", "1-2,99-")),
    *([f"Range: {one}"] for one in ("items=0-1", "foo", "bytes", "bytes 0-1")),
    *([f"If-None-Match: {one}"] for one in ("{etag}", "W/{etag}", '"x"', '"x", {etag}', "*")),
    *([f"If-Match: {one}"] for one in ("{etag}", '"x"', '"x", {etag}', "*", "W/{etag}")),
    *([f"If-Modified-Since: {one}"] for one in ("{same}", "{older}")),
    *([f"If-Unmodified-Since: {one}"] for one in ("{same}", "{older}", "{newer}")),
    ["If-None-Match: {etag}", "If-Modified-Since: {same}"],
    ['If-None-Match: "x"', "If-Modified-Since: {older}"],
    ['If-Match: "x"', "If-None-Match: {etag}"],
    *(["Range: bytes=1-2", f"If-Range: {one}"] for one in ("{etag}", '"x"', "{same}", "{older}", "{newer}")),
    ["Range: bytes=99-", 'If-Range: "x"'],
    ["Range: bytes=99-", "If-None-Match: {etag}"],
    ["Range: bytes=99-", 'If-Match: "x"'],
]


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_nginx_answers_the_same(tmp_path: Path) -> None:
    root = tmp_path / "nginx"
    (root / "www").mkdir(parents=True)
    root.chmod(0o755)
    tmp_path.chmod(0o755)
    make(root / "www" / "a", HELLO)
    port = free_ports(1)[0]
    (root / "conf").write_text(CONFIGURATION.format(root=root, port=port))
    dates = {name: format_http_date(MODIFIED + more) for name, more in (("same", 0), ("older", -1), ("newer", 1))}

    async def main(server: TestServer) -> None:
        async def ask(at: int, fields: list[str], etag: str) -> Reply:
            lines = [field.format(etag=etag, **dates) for field in fields]
            text = "\r\n".join(["GET /a HTTP/1.1", "Host: a", "Connection: close", *lines, "", ""])
            return await fetch("127.0.0.1", at, text.encode())

        tags = {at: (await ask(at, [], "")).headers["etag"] for at in (port, server.port)}

        for fields in ASKED:
            theirs, ours = [await ask(at, fields, etag) for at, etag in tags.items()]
            assert ours.status == theirs.status, fields
            for name in ("content-range", "last-modified", "content-type"):
                if ours.status < 300:
                    assert ours.headers.get(name) == theirs.headers.get(name), fields
            assert ours.headers.get("content-range") == theirs.headers.get("content-range"), fields
            if ours.status < 300:
                assert ours.body == theirs.body, fields

    command = [str(NGINX), "-p", str(root), "-c", str(root / "conf")]
    with Daemon(command, [port], root / "log"):
        check(root / "www", main)
