"""Forms and uploads over a real server, sent by curl, aiohttp, httpx, our own client, and by those who mean no good."""

from __future__ import annotations

import asyncio
import base64
import gc
import gzip
import json
import os
import quopri
import shutil
import threading
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin import pattern
from raw_peer import resident, run
from web_wire import Answer, ask, chunked, cut, line, request, serving
from wirebird import HTTPClient, MultipartForm, web
from wirebird.errors import DecodingError, InvalidMultipart, LimitExceeded, UsageError
from wirebird.models.form_encoding import decode_form, urlencode_form
from wirebird.models.headers import HttpHeaders
from wirebird.protocol.content_disposition import read_disposition
from wirebird.protocol.part_encodings import make_part_decoder
from wirebird.web import uploads

MULTIPART = "Content-Type: multipart/form-data; boundary=b"
URLENCODED = "Content-Type: application/x-www-form-urlencoded"
MEGABYTE = 1024 * 1024


def part(name: str, data: bytes = b"1", *, filename: str | None = None, fields: tuple[str, ...] = ()) -> bytes:
    disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename is not None else "")
    head = "\r\n".join([f"Content-Disposition: {disposition}", *fields])
    return b"--b\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--b--\r\n"


def temporary_files() -> int:
    """How many unnamed files this process has open; those that other tests have forgotten are closed first."""
    gc.collect()
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            count += str(entry.readlink()).endswith("(deleted)") and not str(entry.readlink()).startswith("/dev")
        except OSError:
            pass
    return count


async def echo(asked: web.Request) -> web.Response:
    found = []
    for name, value in (await asked.post()).items():
        if isinstance(value, web.FileField):
            data = value.file.read()
            found.append([name, value.filename, value.content_type, len(data), data[:20].decode("latin-1")])
        elif isinstance(value, bytes):
            found.append([name, "bytes", value.decode("latin-1")])
        else:
            found.append([name, value])
    return web.json_response(found)


def answers(body: bytes, *fields: str, handler: Any = echo, size: int | None = None, **options: Any) -> Answer:
    """What the server says to that body."""
    got: list[Answer] = []

    async def main() -> None:
        async with serving(handler, **options) as server:
            got.append(await ask(server, request(body, *fields), size))

    run(main)
    return got[0]


# -- who sends -----------------------------------------------------------------------------------------------------------------

DATA = pattern(300_000)
EXPECTED = [
    ["name", "Ada & Zoë + 1"],
    ["empty", ""],
    ["tag", "1"],
    ["tag", "2"],
    ["photo", "photo.png", "image/png", len(DATA), DATA[:20].decode("latin-1")],
    ["text", "a b;c.txt", "text/plain", 3, "x\ny"],
]
FIELDS = [("name", "Ada & Zoë + 1"), ("empty", ""), ("tag", "1"), ("tag", "2")]


async def by_curl(url: str, folder: Path) -> Any:
    (folder / "photo.png").write_bytes(DATA)
    (folder / "t").write_bytes(b"x\ny")
    options = [option for name, value in FIELDS for option in ("-F", f"{name}={value}")]
    options += ["-F", "photo=@photo.png;type=image/png", "-F", 'text=@t;type=text/plain;filename="a b;c.txt"']
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "--noproxy", "*", *options, url, cwd=folder, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return json.loads(out)


async def by_aiohttp(url: str, folder: Path) -> Any:
    data = aiohttp.FormData(quote_fields=False)
    for name, value in FIELDS:
        data.add_field(name, value)
    data.add_field("photo", DATA, filename="photo.png", content_type="image/png")
    data.add_field("text", b"x\ny", filename="a b;c.txt", content_type="text/plain")
    data._is_multipart = True
    async with aiohttp.ClientSession() as session, session.post(url, data=data) as response:
        return await response.json()


async def by_httpx(url: str, folder: Path) -> Any:
    files = [(name, (None, value)) for name, value in FIELDS]
    files += [("photo", ("photo.png", DATA, "image/png")), ("text", ("a b;c.txt", b"x\ny", "text/plain"))]  # type: ignore[list-item]
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.post(url, files=files)).json()


async def by_us(url: str, folder: Path) -> Any:
    data = MultipartForm()
    for name, value in FIELDS:
        data.add_field(name, value)
    data.add_field("photo", DATA, filename="photo.png", content_type="image/png")
    data.add_field("text", iter([b"x", b"\n", b"y"]), filename="a b;c.txt", content_type="text/plain")
    async with HTTPClient() as client:
        return await (await client.post(url, data)).json()


@pytest.mark.parametrize("sender", [by_curl, by_aiohttp, by_httpx, by_us])
@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_form_arrives(sender: Any, kind: str, tmp_path: Path) -> None:
    if sender is by_curl and shutil.which("curl") is None:
        pytest.skip("curl is not installed")

    async def main() -> None:
        async with serving(echo) as server:
            assert await sender(server.url(), tmp_path) == EXPECTED

    run(main, kind=kind)


def test_urlencoded_forms_arrive() -> None:
    async def main() -> None:
        async with serving(echo) as server, HTTPClient() as ours, httpx.AsyncClient(trust_env=False) as theirs:
            expected = [list(pair) for pair in FIELDS]
            assert await (await ours.post(server.url(), FIELDS)).json() == expected
            data = {"name": "Ada & Zoë + 1", "empty": "", "tag": ["1", "2"]}
            assert (await theirs.post(server.url(), data=data)).json() == expected
            async with aiohttp.ClientSession() as session, session.post(server.url(), data=FIELDS) as response:
                assert await response.json() == expected

    run(main)


# -- URL-encoded ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", []),
        (b"&&", []),
        (b"a", [("a", "")]),
        (b"a=1&a=2&&b=", [("a", "1"), ("a", "2"), ("b", "")]),
        (b"=1", [("", "1")]),
        (b"a+b=c%20d%2B", [("a b", "c d+")]),
        (b"a=b=c;d=e", [("a", "b=c;d=e")]),
        (b"%zz=%1&x=%", [("%zz", "%1"), ("x", "%")]),
        ("ä=%C3%B6".encode(), [("ä", "ö")]),
        (b"a=1\r\n", [("a", "1\r\n")]),
    ],
)
def test_what_is_in_a_urlencoded_form(body: bytes, expected: list[tuple[str, str]]) -> None:
    assert decode_form(body, max_fields=9) == expected


@given(st.lists(st.tuples(st.text(), st.text())))
def test_what_was_encoded_is_decoded(fields: list[tuple[str, str]]) -> None:
    try:
        body = urlencode_form(fields)
    except UsageError:
        return  # a lone surrogate
    assert decode_form(body, max_fields=len(fields)) == fields


def test_a_charset() -> None:
    assert answers(b"a=%E4&b=\xe4", f"{URLENCODED}; charset=iso-8859-1").body == b'[["a", "\\u00e4"], ["b", "\\u00e4"]]'
    assert answers(b"a=%E4", URLENCODED).status == 400
    assert answers(b"a=1", f"{URLENCODED}; charset=rot13").status == 415
    assert answers(form(part("a", b"\xe4")), MULTIPART).status == 400
    assert answers(form(part("a", fields=("Content-Type: text/plain; charset=rot13",))), MULTIPART).status == 415
    body = form(part("a", b"\xe4", fields=('Content-Type: text/plain; x="; charset=no"; charset="latin-1"',)))
    assert answers(body, MULTIPART).body == b'[["a", "\\u00e4"]]'
    body = form(part("_charset_", b"latin-1"), part("a", b"\xe4"))
    assert answers(body, MULTIPART).body == b'[["_charset_", "latin-1"], ["a", "\\u00e4"]]'


# -- what is in a form -----------------------------------------------------------------------------------------------------------


FORMS: list[tuple[bytes, list[Any]]] = [
    (form(), []),
    (b"preamble\r\n" + form(part("a")) + b"epilogue", [["a", "1"]]),
    (form(part("a", b"")), [["a", ""]]),
    (form(part("a", filename="")), [["a", "", "application/octet-stream", 1, "1"]]),
    (form(part("a", fields=("Content-Type: application/json",))), [["a", "bytes", "1"]]),
    (form(part("a", fields=("Content-Type: text/csv",))), [["a", "1"]]),
    (form(part("a", b"aGk=", fields=("Content-Transfer-Encoding: base64",))), [["a", "hi"]]),
    (form(part("a", b"h=69", fields=("Content-Transfer-Encoding: Quoted-Printable",))), [["a", "hi"]]),
    (form(part("a", fields=("Content-Transfer-Encoding: 8bit",))), [["a", "1"]]),
]


def test_forms() -> None:
    async def main() -> None:
        async with serving(echo) as server:
            for body, expected in FORMS:
                for size in (None, 1):
                    assert json.loads((await ask(server, request(body, MULTIPART), size)).body) == expected, body

    run(main)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], (None, None, None)),
        (['form-data; name="a"'], ("form-data", "a", None)),
        (['Form-Data; NAME="a"; FileName="b"'], ("form-data", "a", "b")),
        (["form-data; name=a; filename*=UTF-8''%e2%82%ac.txt"], ("form-data", "a", "€.txt")),
        # GHSA-vffw-93wf-4j4q: the plain one is what everybody else looks at.
        (["form-data; name=a; filename*=UTF-8''evil.exe; filename=\"good.txt\""], ("form-data", "a", "good.txt")),
        (["form-data; name=a; filename=\"good.txt\"; filename*=UTF-8''evil.exe"], ("form-data", "a", "good.txt")),
        (["form-data; name=a; filename*=%e2%82%ac"], ("form-data", "a", None)),
        (["form-data; name=a; filename*=UTF-8''%e2"], ("form-data", "a", None)),
        (["form-data; name=a; filename*=zlib''x"], ("form-data", "a", None)),
        (['form-data; name="a\\"b"; filename="C:\\dir\\x"'], ("form-data", 'a"b', "C:\\dir\\x")),
        (["attachment; filename=a b.txt"], ("attachment", None, "a b.txt")),
        (['form-data; name="a'], InvalidMultipart),
        (["form-data; name=a; name=b"], InvalidMultipart),
        (["form-data; name=a; filename=b; FILENAME=c"], InvalidMultipart),
        (["form-data; name=a", "form-data; name=b"], InvalidMultipart),
        (["form-data" + ";a=b" * 100_000], InvalidMultipart),
    ],
)
def test_what_a_part_says_it_is(headers: list[str], expected: Any) -> None:
    fields = HttpHeaders([("Content-Disposition", value) for value in headers])
    if isinstance(expected, tuple):
        assert read_disposition(fields) == expected
    else:
        with pytest.raises(expected):
            read_disposition(fields)


NO_FORMS: list[tuple[bytes, str, int]] = [
    (form(part("a")), "Content-Type: multipart/form-data", 400),
    (form(part("a")), "Content-Type: multipart/form-data; boundary=", 400),
    (form(part("a")), "Content-Type: multipart/form-data; boundary=b; boundary=c", 400),
    (form(part("a")), "Content-Type: multipart/form-data; boundary=" + "b" * 257, 400),
    (form(part("a")), MULTIPART + "\r\n" + MULTIPART, 400),
    (form(part("a"))[:-4], MULTIPART, 400),
    (part("a"), MULTIPART, 400),
    (part("a")[:20], MULTIPART, 400),
    (part("a", filename="x"), MULTIPART, 400),
    (b"", MULTIPART, 400),
    (b"x" * 100, MULTIPART, 400),
    (form(b"--b\r\n\r\n1\r\n"), MULTIPART, 400),
    (form(b"--b\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n"), MULTIPART, 400),
    (form(b"--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n"), MULTIPART, 400),
    (form(part("a", fields=("broken",))), MULTIPART, 400),
    (form(part("a", fields=("X: \0",))), MULTIPART, 400),
    (form(part("a", b"?", fields=("Content-Transfer-Encoding: base64",))), MULTIPART, 400),
    (form(part("a", fields=("Content-Transfer-Encoding: x-zip",))), MULTIPART, 400),
    (form(part("a", fields=("X: y",) * 8)), MULTIPART, 400),
    (form(part("a", fields=("X: y",) * 10_000)), MULTIPART, 400),
    (form(part("a", fields=("X: " + "y" * 4096,))), MULTIPART, 400),
    (form(part("a", fields=("X: " + "y" * 1_000_000,))), MULTIPART, 400),
    (form(*[part("a")] * 1001), MULTIPART, 413),
    (form(*[part("a", filename="x")] * 101), MULTIPART, 413),
    (b"--b\r\n\r\n" * 100_000, MULTIPART, 400),
    (b"a&" * 100_000, URLENCODED, 413),
    (b"a=" + b"x" * MEGABYTE, URLENCODED, 413),
    (form(part("a", b"x" * MEGABYTE)), MULTIPART, 413),
    (form(part("a", b"x" * MEGABYTE, filename="x")), MULTIPART, 413),
    (form(*[part("a", b"x" * 1100)] * 1000), MULTIPART, 413),
    (form(part("a")) + b"\r\n" * MEGABYTE, MULTIPART, 413),
    (b"\r\n" * MEGABYTE + form(part("a")), MULTIPART, 413),
]


def test_what_is_no_form() -> None:
    async def main() -> None:
        async with serving(echo) as server:
            for body, kind, status in NO_FORMS:
                pieces = cut(body, 1 + len(body) // 20)
                for data in (request(body, kind), chunked(pieces, *kind.split("\r\n"))):
                    began = time.process_time()
                    assert (await ask(server, data)).status == status, body[:100]
                    assert time.process_time() - began < 2

    run(main)


def test_a_broken_form_is_no_log_record(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "wirebird"):
        assert answers(b"--b\r\nbroken\r\n" * 1000, MULTIPART).status == 400
        assert answers(b"a=%ff", URLENCODED).status == 400
    assert [record for record in caplog.records if record.name.startswith("wirebird")] == []


LIMITS: list[tuple[dict[str, Any], bytes, str, int]] = [
    ({"fields": 2}, form(part("a"), part("b")), MULTIPART, 200),
    ({"fields": 2}, form(part("a"), part("b"), part("c")), MULTIPART, 413),
    ({"fields": 2}, b"a=1&b=2", URLENCODED, 200),
    ({"fields": 2}, b"a=1&b=2&c=3", URLENCODED, 413),
    ({"files": 1}, form(part("a", filename="x"), part("b")), MULTIPART, 200),
    ({"files": 1}, form(part("a", filename="x"), part("b", filename="y")), MULTIPART, 413),
    ({"field_size": 3}, form(part("a", b"123")), MULTIPART, 200),
    ({"field_size": 3}, form(part("a", b"1234")), MULTIPART, 413),
    ({"field_size": 3}, form(part("a", b"1234", filename="x")), MULTIPART, 200),
    ({"field_size": 3}, b"a=12345", URLENCODED, 413),
    ({"file_size": 3}, form(part("a", b"123", filename="x")), MULTIPART, 200),
    ({"file_size": 3}, form(part("a", b"1234", filename="x")), MULTIPART, 413),
    ({"file_size": 3, "spool_size": 0}, form(part("a", b"1234", filename="x")), MULTIPART, 413),
    ({"memory": 4}, form(part("a"), part("b")), MULTIPART, 200),
    ({"memory": 4}, form(part("a"), part("b"), part("c")), MULTIPART, 413),
    ({"memory": 4}, b"a=12", URLENCODED, 200),
    ({"memory": 4}, b"a=123", URLENCODED, 413),
    ({"memory": 60}, form(part("a", b"1" * 1000, filename="x")), MULTIPART, 200),
    ({"memory": 60}, form(part("a", b"1", filename="x"), part("b", b"1", filename="y")), MULTIPART, 413),
    ({"headers": 1}, form(part("a")), MULTIPART, 200),
    ({"headers": 1}, form(part("a", fields=("X: y",))), MULTIPART, 400),
    ({"header_size": 20}, form(part("a")), MULTIPART, 400),
]


def test_limits() -> None:
    async def handler(asked: web.Request) -> web.Response:
        await asked.post(web.FormLimits(**json.loads(asked.headers["X-Limits"])))
        return web.Response()

    async def main() -> None:
        async with serving(handler) as server:
            for limits, body, kind, status in LIMITS:
                for size in (None, 9):
                    answer = await ask(server, request(body, kind, f"X-Limits: {json.dumps(limits)}"), size)
                    assert answer.status == status, (limits, body)

    run(main)


def test_limits_that_are_none() -> None:
    for bad in ({"fields": -1}, {"memory": None}, {"file_size": -1}, {"headers": True}):
        with pytest.raises(UsageError):
            web.FormLimits(**bad)
    web.FormLimits(file_size=None)


def test_a_form_that_is_too_large_is_refused_before_it_is_sent() -> None:
    async def main() -> None:
        async with serving(echo, max_body_size=100) as server, line(server) as wire:
            await wire.send(request(b"", MULTIPART, "Expect: 100-continue", length=101))
            assert (await wire.answer()).status == 413

    run(main)


def test_a_coded_form_is_decoded_and_bounded() -> None:
    body = gzip.compress(form(part("a", b"x" * 1000)))
    assert answers(body, MULTIPART, "Content-Encoding: gzip").status == 200
    assert answers(body, MULTIPART, "Content-Encoding: gzip", max_body_size=900).status == 413
    assert answers(gzip.compress(b"a=1"), URLENCODED, "Content-Encoding: gzip").body == b'[["a", "1"]]'
    assert answers(gzip.compress(b"a=" + b"1" * 2 * MEGABYTE), URLENCODED, "Content-Encoding: gzip").status == 413
    assert answers(form(part("a")), MULTIPART, "Content-Encoding: lzma").status == 415


def test_what_is_no_form_is_an_empty_one() -> None:
    async def handler(asked: web.Request) -> web.Response:
        found = await asked.post()
        return web.Response(text=f"{len(found)} {await asked.text()}")

    assert answers(b"a=1", "Content-Type: text/plain", handler=handler).text == "0 a=1"
    assert answers(b"a=1", handler=handler).text == "0 a=1"
    assert answers(b"", handler=handler).text == "0 "


def test_post_and_its_siblings() -> None:
    async def handler(asked: web.Request) -> web.Response:
        order = asked.query["do"].split(",")
        for what in order[:-1]:
            if what == "read":
                await asked.read()
            elif what == "post":
                await asked.post()
            elif what == "any":
                await asked.content.readany()
            else:
                async for one in await asked.multipart():
                    await one.release()
        if order[-1] == "parts":
            return web.Response(text="".join([await one.text() async for one in await asked.multipart()]))
        found = await asked.post()
        assert found is await asked.post()
        return web.Response(text=str(found["a"]))

    async def main() -> None:
        async with serving(handler, errors=3) as server, HTTPClient() as client:
            for order, status in [
                ("post,post", 200),
                ("read,post", 200),
                ("read,parts", 200),
                ("read,parts,parts", 200),
                ("any,post", 500),
                ("parts,post", 500),
                ("post,parts", 500),
            ]:
                response = await client.post(server.url(f"/?do={order}"), form(part("a")), headers=dict([MULTIPART.split(": ")]))
                assert (order, response.status_code) == (order, status)
                if status == 200:
                    assert await response.text() == "1"

    run(main)


def test_a_form_cannot_be_changed() -> None:
    found = web.FormData([("a", "1"), ("a", "2"), ("b", b"3")])
    assert found["a"] == "1"
    assert found.getall("a") == ["1", "2"]
    assert list(found.items()) == [("a", "1"), ("a", "2"), ("b", b"3")]
    assert found.get("z") is None
    assert found.files == []
    with pytest.raises(TypeError):
        found["a"] = "3"  # type: ignore[index]


# -- files ---------------------------------------------------------------------------------------------------------------------


def test_a_large_file_is_on_disk_and_gone_with_the_request() -> None:
    kept: list[web.FormData] = []

    async def handler(asked: web.Request) -> web.Response:
        found = await asked.post()
        kept.append(found)
        small, large = found.files
        assert isinstance(small.file, BytesIO)
        assert not isinstance(large.file, BytesIO)
        assert large.size == 2 * MEGABYTE
        assert temporary_files() == before + 1
        assert large.file.tell() == 0
        return web.Response(body=await large.read())

    async def main() -> None:
        body = form(part("s", b"small", filename="s"), part("l", pattern(2 * MEGABYTE), filename="l"))
        async with serving(handler, max_body_size=None) as server:
            assert (await ask(server, request(body, MULTIPART), 100_000)).body == pattern(2 * MEGABYTE)
            assert temporary_files() == before
            assert all(one.file.closed for one in kept[0].files)

    before = temporary_files()
    run(main)


@pytest.mark.parametrize("how", ["raises", "too large", "broken", "left", "cancelled"])
def test_however_it_ends_no_file_is_left(how: str) -> None:
    begun = asyncio.Event()
    over = asyncio.Event()

    async def handler(asked: web.Request) -> web.Response:
        try:
            begun.set()
            if how == "cancelled":
                async with asyncio.timeout(0.05):
                    await asked.post()
            await asked.post(web.FormLimits(spool_size=1000))
            assert temporary_files() == before + 1
            raise ZeroDivisionError
        finally:
            over.set()

    async def main() -> None:
        body = form(part("l", pattern(500_000), filename="l"))
        async with serving(handler, errors=how in ("raises", "cancelled"), max_body_size=600_000) as server:
            async with line(server) as wire:
                if how == "too large":
                    await wire.send(chunked([body[:-4]] * 2, MULTIPART))
                elif how == "broken":
                    await wire.send(request(body[:-4], MULTIPART))
                elif how == "raises":
                    await wire.send(request(body, MULTIPART))
                else:
                    await wire.send(request(body, MULTIPART)[:-4])
                await begun.wait()
                if how != "left":
                    assert (await wire.answer()).status == {"too large": 413, "broken": 400}.get(how, 500)
            await over.wait()
            while temporary_files() != before:
                await asyncio.sleep(0.005)

    before = temporary_files()
    run(main)


def test_a_form_takes_no_more_memory_than_its_limit() -> None:
    async def handler(asked: web.Request) -> web.Response:
        found = await asked.post()
        return web.Response(text=f"{len(found.files)} {sum(isinstance(one.file, BytesIO) for one in found.files)}")

    async def main() -> None:
        data = pattern(900_000)
        async with serving(handler, max_body_size=None) as server:
            head = "\r\n".join(["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", MULTIPART, "", ""]).encode()
            async with line(server) as wire:
                await wire.send(head)
                used = resident()
                for piece in [part("a", data, filename="x")] * 18 + [b"--b--"]:
                    await wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
                await wire.send(b"0\r\n\r\n")
                assert (await wire.answer()).text == "18 4"
                assert resident() - used < 12_000_000
            assert (await ask(server, request(form(*[part("a", data)] * 5), MULTIPART))).status == 413

    run(main)


class Watched:
    """A temporary file that tells which threads call it, and may fail."""

    threads: list[int]

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.file = BytesIO()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            Watched.threads.append(threading.get_ident())
            if name == self.fails:
                raise OSError(28, "No space left on device")
            return getattr(self.file, name)(*arguments)

        return call

    @property
    def closed(self) -> bool:
        return self.file.closed


def test_no_disk_is_waited_for_in_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(asked: web.Request) -> web.Response:
        await asked.post()
        return web.Response()

    monkeypatch.setattr(Watched, "threads", [], raising=False)
    monkeypatch.setattr(uploads, "TemporaryFile", lambda **options: Watched())
    body = form(part("l", pattern(2 * MEGABYTE), filename="l"))
    assert answers(body, MULTIPART, handler=handler, max_body_size=None).status == 200
    used = set(Watched.threads)
    assert len(Watched.threads) > 3
    assert threading.get_ident() not in used


@pytest.mark.parametrize("fails", ["writelines", "seek"])
def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    monkeypatch.setattr(Watched, "threads", [], raising=False)
    monkeypatch.setattr(uploads, "TemporaryFile", lambda **options: Watched(fails))
    body = form(part("l", pattern(2 * MEGABYTE), filename="l"))
    assert answers(body, MULTIPART, max_body_size=None, errors=1).status == 500


def test_saving(tmp_path: Path) -> None:
    async def handler(asked: web.Request) -> web.Response:
        for one in (await asked.post(web.FormLimits(spool_size=10))).files:
            target = tmp_path / one.safe_filename
            await one.save(target)
            with pytest.raises(FileExistsError):
                await one.save(target)
            await one.save(str(target), overwrite=True)
            with pytest.raises(FileNotFoundError):
                await one.save(tmp_path / "no" / "x")
            with pytest.raises(UsageError):
                await one.save(1)  # type: ignore[arg-type]
            assert await one.read() == await one.read() == target.read_bytes()
        return web.Response()

    body = form(part("a", b"small", filename="../a"), part("b", b"larger than ten", filename="/etc/b"))
    assert answers(body, MULTIPART, handler=handler).status == 200
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == {"a": b"small", "b": b"larger than ten"}


def test_what_cannot_be_saved_leaves_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        file = BytesIO(b"x")
        file.close()
        field = web.FileField("a", "a", file, "text/plain", HttpHeaders(), 1)
        with pytest.raises(ValueError, match="closed"):
            await field.save(tmp_path / "a")
        assert list(tmp_path.iterdir()) == []

    asyncio.run(main())


@pytest.mark.parametrize(
    ("filename", "safe"),
    [
        ("a.txt", "a.txt"),
        ("../../x", "x"),
        ("/x", "x"),
        ("C:\\x", "x"),
        ("..\\x", "x"),
        ("C:x", "C_x"),
        ("x\0.txt", "x.txt"),
        ("a\r\nb", "ab"),
        ("..", "file"),
        ("", "file"),
        ("a/", "file"),
        (".htaccess", "htaccess"),
        (" x. ", "x"),
        ("NUL.txt", "_NUL.txt"),
        ("com1", "_com1"),
        ("lpt1 .x", "_lpt1 .x"),
        ('a<b>:"|?*', "a_b______"),
        ("fran\u00e7ais \u65e5\u672c.pdf", "fran\u00e7ais \u65e5\u672c.pdf"),
        ("evil\u202etxt.exe", "eviltxt.exe"),
        ("\ud800", "file"),
    ],
)
def test_safe_filenames(filename: str, safe: str) -> None:
    assert web.safe_filename(filename) == safe


@given(st.text(max_size=400))
def test_a_safe_filename_is_safe(filename: str) -> None:
    name = web.safe_filename(filename)
    assert 1 <= len(name.encode()) <= 255
    assert name not in (".", "..")
    assert Path("/d", name).parent == Path("/d")
    assert os.path.basename(name) == name  # noqa: PTH119
    assert web.safe_filename(name) == name


def test_a_long_filename_keeps_its_suffix() -> None:
    name = web.safe_filename("ä" * 300 + ".tar")
    assert name.endswith("ä.tar")
    assert len(name.encode()) in (254, 255)
    assert web.safe_filename("x" * 300 + "." + "y" * 300).startswith("xxx")


# -- parts as they come --------------------------------------------------------------------------------------------------------


def test_parts_are_read_as_they_come() -> None:
    async def handler(asked: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 9
        await response.prepare(asked)
        async for one in await asked.multipart():
            async for piece in one:
                await response.write(piece)
        return response

    async def main() -> None:
        async with serving(handler) as server, line(server) as wire:
            body = form(part("a", b"abc"), part("b", b"defghi"))
            at = body.index(b"\r\n--b\r\n", 5)
            data = request(body, MULTIPART)
            begin = len(data) - len(body)
            await wire.send(data[: begin + at])
            assert (await wire.reader.readuntil(b"abc")).endswith(b"\r\n\r\nabc")
            middle = begin + body.index(b"ghi")
            await wire.send(data[begin + at : middle])
            assert await wire.reader.readexactly(3) == b"def"
            await wire.send(data[middle:])
            assert await wire.reader.readexactly(3) == b"ghi"

    run(main)


@pytest.mark.parametrize("size", [None, 1, 5])
def test_ways_to_read_a_part(size: int | None) -> None:
    async def handler(asked: web.Request) -> web.Response:
        reader = await asked.multipart()
        one = await reader.next()
        assert one is not None
        assert (one.name, one.filename, one.content_type, one.charset) == ("a", None, "text/plain", None)
        assert await one.text() == "text"
        assert await one.read() == await one.read_chunk() == b""
        assert one.at_eof()
        one = await anext(reader)
        assert await one.json() == {"x": 1}
        assert one.content_type == "application/json"
        one = await anext(reader)
        assert (one.filename, one.content_type) == ("f", "application/octet-stream")
        assert await one.readexactly(2) == b"li"
        assert await one.readline() == b"ne 1\n"
        assert await one.read(2) in (b"li", b"l")
        assert not one.at_eof()
        await one.release()
        assert await one.read() == b""
        skipped = await anext(reader)
        assert await skipped.read_chunk(1) == b"s"
        one = await anext(reader)
        assert one.headers["x-y"] == "z"
        with pytest.raises(UsageError, match="gone on"):
            await skipped.read()
        assert b"".join([piece async for piece in one.iter_chunked(2)]) == b"last"
        assert await reader.next() is None
        assert await reader.next() is None
        return web.Response()

    body = form(
        part("a", b"text"),
        part("b", b'{"x": 1}', fields=("Content-Type: application/json",)),
        part("c", b"line 1\nline 2\nline 3", filename="f"),
        part("d", b"skipped" * 20),
        part("e", b"last", fields=("X-Y: z",)),
    )
    assert answers(body, MULTIPART, handler=handler, size=size).status == 200


def test_parts_within_parts() -> None:
    async def handler(asked: web.Request) -> web.Response:
        found: list[Any] = []

        async def take(reader: web.MultipartReader, depth: int) -> None:
            async for one in reader:
                if one.is_multipart:
                    await take(one.multipart(), depth + 1)
                else:
                    found.append([depth, one.name, await one.text()])

        await take(await asked.multipart(), 0)
        return web.json_response(found)

    deepest = b"--d\r\n\r\n3\r\n--d--"
    inner = b"--c\r\n\r\n1\r\n--c\r\nContent-Type: multipart/mixed; boundary=d\r\n\r\n" + deepest + b"\r\n--c--\r\n"
    body = form(part("a"), part("files", inner, fields=("Content-Type: multipart/mixed; boundary=c",)), part("z"))
    for size in (None, 1):
        answer = answers(body, "Content-Type: multipart/mixed; boundary=b", handler=handler, size=size)
        assert answer.body == b'[[0, "a", "1"], [1, null, "1"], [2, null, "3"], [0, "z", "1"]]'
    deep = b"x"
    for name in "zyxwvutsrq":
        one = name.encode()
        deep = b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n--%b\r\n%b\r\n--%b--" % (one, one, deep, one)
    answer = answers(b"--b\r\n" + deep + b"\r\n--b--", MULTIPART, handler=handler)
    assert (answer.status, answer.text) == (400, "400: a multipart body that is too deep")
    broken = body.replace(b"--d--", b"--d  ")
    assert answers(broken, MULTIPART, handler=handler).status == 400


def test_a_part_that_is_not_multipart_has_no_parts() -> None:
    async def handler(asked: web.Request) -> web.Response:
        async for one in await asked.multipart():
            one.multipart()
        return web.Response()

    assert answers(form(part("a")), MULTIPART, handler=handler).status == 415
    assert answers(b"x", "Content-Type: text/plain", handler=handler).status == 415
    assert answers(b"x", handler=handler).status == 415
    kind = "Content-Type: multipart/mixed; boundary=c; boundary=d"
    assert answers(form(part("a", fields=(kind,))), MULTIPART, handler=handler).status == 400


def test_the_whole_of_a_part_is_bounded_and_its_stream_is_not() -> None:
    async def whole(asked: web.Request) -> web.Response:
        return web.Response(text=str([len(await one.read()) async for one in await asked.multipart()]))

    async def stream(asked: web.Request) -> web.Response:
        sizes = []
        async for one in await asked.multipart():
            sizes.append(0)
            async for piece in one:
                sizes[-1] += len(piece)
        return web.Response(text=str(sizes))

    body = form(*[part("a", b"x" * 1000)] * 3)
    assert answers(body, MULTIPART, handler=whole, max_body_size=1000).text == "[1000, 1000, 1000]"
    assert answers(body, MULTIPART, handler=whole, max_body_size=999).status == 413
    assert answers(body, MULTIPART, handler=stream, max_body_size=999).text == "[1000, 1000, 1000]"


def test_behind_what_cannot_be_decoded_there_is_nothing() -> None:
    async def handler(asked: web.Request) -> web.Response:
        reader = await asked.multipart()
        one = await anext(reader)
        for _ in range(3):
            with pytest.raises(web.HTTPBadRequest):
                await one.read()
        assert await (await anext(reader)).text() == "1"
        return web.Response()

    body = form(part("a", b"????" + b"QUJD" * 20_000, fields=("Content-Transfer-Encoding: base64",)), part("b"))
    assert answers(body, MULTIPART, handler=handler).status == 200


@pytest.mark.parametrize(
    "fault", [b"broken\r\n\r\n1\r\n", b"Content-Disposition: x; a\r\n\r\n1\r\n", b"A: b\r\n" * 9 + b"\r\n1\r\n"]
)
def test_behind_a_fault_there_is_nothing(fault: bytes) -> None:
    async def handler(asked: web.Request) -> web.Response:
        reader = await asked.multipart()
        assert await (await anext(reader)).text() == "1"
        for _ in range(3):
            with pytest.raises(web.HTTPException) as caught:
                await reader.next()
            assert caught.value.status == 400
        return web.Response()

    assert answers(form(part("a"), b"--b\r\n" + fault, part("b")), MULTIPART, handler=handler).status == 200


def test_a_reader_that_gave_up_may_come_back() -> None:
    waited = asyncio.Event()

    async def handler(asked: web.Request) -> web.Response:
        reader = await asked.multipart()
        found = []
        while True:
            try:
                async with asyncio.timeout(0.02):
                    one = await reader.next()
                    if one is None:
                        break
                    if one.name != "skipped":
                        found.append(await one.readexactly(6))
            except TimeoutError:
                waited.set()
        return web.json_response([piece.decode() for piece in found])

    async def main() -> None:
        async with serving(handler) as server, line(server) as wire:
            data = request(form(part("skipped", b"x" * 100), part("a", b"abcdef")), MULTIPART)
            await wire.send(data[:-150])
            await waited.wait()
            await wire.send(data[-150:])
            assert (await wire.answer()).body == b'["abcdef"]'

    run(main)


def test_data_that_looks_like_delimiters_takes_linear_time() -> None:
    async def handler(asked: web.Request) -> web.Response:
        size = 0
        async for one in await asked.multipart():
            async for piece in one:
                size += len(piece)
        return web.Response(text=str(size))

    for hostile in (b"\r\n--bx" * 100_000, b"\r" * 500_000, b"\r\n-" * 150_000, (b"\r\n--b" + b" " * 65) * 5_000):
        began = time.process_time()
        answer = answers(form(part("a", hostile + b"x")), MULTIPART, handler=handler)
        assert answer.text == str(len(hostile) + 1)
        assert time.process_time() - began < 2


WORDS = [
    b"--b\r\n",
    b"\r\n--b\r\n",
    b"\r\n--b--",
    b"\r\n",
    b"Content-Disposition: form-data; name=a\r\n",
    b'Content-Disposition: form-data; name="b"; filename="f"\r\n',
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"Content-Type: text/plain; charset=latin-1\r\n",
    b"QUJD",
    b"QQ==",
    b"=41",
    b"=",
    b"\xff",
    b"x" * 30,
]


class Cut:
    """A body that comes in these pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    async def readany(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(b"".join), st.integers(1, 9))
def test_the_outcome_is_the_same_for_every_segmentation(body: bytes, size: int) -> None:
    async def take(pieces: list[bytes]) -> list[Any]:
        found: list[Any] = []
        try:
            async for one in web.MultipartReader(Cut(pieces), "b", max_size=40):
                found.append([one.name, one.filename])
                found[-1].append(await one.text())
        except web.HTTPException as error:
            found.append([error.status, error.text])
        return found

    async def main() -> None:
        assert await take([body]) == await take(cut(body, size))

    asyncio.run(main())


# -- encodings of parts --------------------------------------------------------------------------------------------------------


def decoded(data: bytes, encoding: str, size: int) -> bytes:
    decoder = make_part_decoder(encoding)
    assert decoder is not None
    return b"".join(decoder.decode(piece) for piece in cut(data, size)) + decoder.finish()


@given(st.binary(max_size=300), st.integers(1, 50))
def test_encodings(data: bytes, size: int) -> None:
    assert decoded(base64.encodebytes(data), "base64", size) == data
    assert decoded(base64.b64encode(data), " Base64 ", size) == data
    assert decoded(quopri.encodestring(data), "quoted-printable", size) == quopri.decodestring(quopri.encodestring(data))


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"QQ==QUJD", "base64"),
        (b"QUJ", "base64"),
        (b"QU-D", "base64"),
        (b"Q===", "base64"),
        (b"=AAA", "base64"),
        (b"a=zz", "quoted-printable"),
        (b"a=4", "quoted-printable"),
        (b"a=", "quoted-printable"),
        (b"a\r\nb=x\r\nc", "quoted-printable"),
    ],
)
def test_what_is_not_of_the_encoding(data: bytes, encoding: str) -> None:
    said = set()
    for size in (1, 2, 3, 4, 100):
        with pytest.raises(DecodingError) as caught:
            decoded(data, encoding, size)
        said.add(str(caught.value))
    assert len(said) == 1


def test_encodings_are_bounded() -> None:
    for size in (1000, 100_000):
        with pytest.raises(LimitExceeded):
            decoded(b"x" * 50_000, "quoted-printable", size)
    with pytest.raises(DecodingError):
        make_part_decoder("x-zip")
    assert make_part_decoder("") is make_part_decoder("Binary") is None
