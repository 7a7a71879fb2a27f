"""`wirebird.compat.aiohttp`'s multipart bodies: the same assertions for aiohttp's own and for ours, and the same bytes."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import inspect
import io
import json
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from aiohttp_sink import Sink
from origin import Origin, run
from wirebird.compat.aiohttp import multipart as ours
from wirebird.errors import DecodingError, InvalidHeader, InvalidMultipart, LimitExceeded, UsageError

aiohttp = importlib.import_module("aiohttp.multipart")
BOTH = [aiohttp, ours]


@pytest.fixture(params=BOTH, ids=["aiohttp", "wirebird"])
def module(request: pytest.FixtureRequest) -> Any:
    return request.param


class Stream:
    """As much of a `StreamReader` as a multipart reader of aiohttp's asks for; it gives `size` bytes at a time."""

    def __init__(self, body: bytes, size: int = 1 << 30) -> None:
        self._body = io.BytesIO(body)
        self._size = size
        self._unread = b""

    async def read(self, size: int = -1) -> bytes:
        size = self._size if size < 0 else min(size, self._size)
        if self._unread:
            data, self._unread = self._unread[:size], self._unread[size:]
            return data
        return self._body.read(size)

    async def readline(self, **_: Any) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            piece = self._unread[:1] or self._body.read(1)
            self._unread = self._unread[1:]
            if not piece:
                break
            line += piece
        return line

    def unread_data(self, data: bytes) -> None:
        self._unread = data + self._unread

    def at_eof(self) -> bool:
        return not self._unread and self._body.tell() == len(self._body.getbuffer())


def sent(payload: Any) -> bytes:
    async def run() -> bytes:
        sink = Sink()
        await payload.write(sink)
        assert payload.size in (None, len(sink.data))
        return sink.data

    return asyncio.run(run())


def headers(kind: str = "mixed", boundary: str = "b") -> dict[str, str]:
    return {"Content-Type": f'multipart/{kind}; boundary="{boundary}"'}


# -- the writer ----------------------------------------------------------------------------------------------------------------


def nested(module: Any) -> Any:
    inner = module.MultipartWriter("related", "inner")
    inner.append("text")
    inner.append_json({"a": 1})
    outer = module.MultipartWriter("mixed", "outer")
    outer.append(inner, {"X-Part": "1"})
    outer.append(b"end")
    return outer


def writer(*parts: tuple[Any, dict[str, str] | None], kind: str = "mixed", boundary: str = "b") -> Callable[[Any], Any]:
    def make(module: Any) -> Any:
        made = module.MultipartWriter(kind, boundary)
        for value, fields in parts:
            made.append(value() if callable(value) else value, fields)
        return made

    return make


def helpers(module: Any) -> Any:
    made = module.MultipartWriter(boundary="b")
    made.append_json([1, "ä"], {"X": "y"})
    made.append_form({"a": "1", "b": "ä &"})
    made.append_form([("a", "1"), ("a", "2")])
    return made


LONG = bytes(range(256)) * 40
TEXT = "Zeile mit ä = und " * 10 + "\r\nkurz\r\n"
BODIES: dict[str, Callable[[Any], Any]] = {
    "empty": writer(),
    "kinds": writer(("text", None), (b"bytes", None), (lambda: io.BytesIO(b"file"), None), (lambda: io.StringIO("ä"), None)),
    "headers": writer(
        ("text", {"Content-Type": "text/html", "X-A": "b"}), ("ä", {"Content-Type": "text/plain; charset=latin-1"})
    ),
    "nested": nested,
    "helpers": helpers,
    "base64": writer((LONG, {"Content-Transfer-Encoding": "base64"}), ("a", {"Content-Transfer-Encoding": "base64"})),
    "quoted-printable": writer((TEXT, {"Content-Transfer-Encoding": "quoted-printable"})),
    "binary": writer((LONG, {"Content-Transfer-Encoding": "binary"})),
    "gzip": writer((LONG, {"Content-Encoding": "gzip"})),
    "deflate": writer((LONG, {"Content-Encoding": "deflate"})),
    "identity": writer((LONG, {"Content-Encoding": "identity"})),
    "gzip, base64": writer((LONG, {"Content-Encoding": "gzip", "Content-Transfer-Encoding": "base64"})),
    "form-data": writer(("a", None), ("b", {"Content-Disposition": 'form-data; name="x"'}), kind="form-data"),
    "odd boundary": writer(("a", None), boundary="(a b)'?"),
}


@pytest.mark.parametrize("name", BODIES)
def test_the_bytes_are_those_of_aiohttp(name: str) -> None:
    theirs, mine = (BODIES[name](module) for module in BOTH)
    assert sent(mine) == sent(theirs)
    assert list(mine.headers.items()) == list(theirs.headers.items())
    assert mine.size == theirs.size
    assert len(mine) == len(theirs)
    assert [list(part.headers.items()) for part, _, _ in mine] == [list(part.headers.items()) for part, _, _ in theirs]
    assert mine.boundary == theirs.boundary
    assert bool(mine)


def test_it_can_be_written_again_and_had_as_bytes() -> None:
    made = nested(ours)
    first = sent(made)
    assert sent(made) == first
    assert asyncio.run(made.as_bytes()) == first
    assert made.decode().count("--outer\r\n") == 2
    without = Sink()
    asyncio.run(made.write(without, close_boundary=False))
    assert without.data + b"--outer--\r\n" == first


def test_large_parts_are_encoded_in_pieces_and_read_back() -> None:
    data = bytes(range(256)) * 1000
    for fields in (
        {"Content-Transfer-Encoding": "base64"},
        {"Content-Transfer-Encoding": "quoted-printable"},
        {"Content-Encoding": "gzip", "Content-Transfer-Encoding": "base64"},
        {"Content-Encoding": "deflate"},
    ):
        made = ours.MultipartWriter(boundary="b")
        made.append(io.BytesIO(data), fields)
        body = sent(made)

        async def back(body: bytes = body) -> bytes:
            part = await ours.MultipartReader(headers(), Stream(body, 1000), client_max_size=10**7).next()
            assert isinstance(part, ours.BodyPartReader)
            return await part.read(decode=True)

        assert asyncio.run(back()) == data


@pytest.mark.parametrize("boundary", ["a\r\nX: y", "ä", "a\0", "a\n"])
def test_a_boundary_that_may_not_be_one(module: Any, boundary: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        module.MultipartWriter(boundary=boundary)


@pytest.mark.parametrize("boundary", ["", "x" * 71, 'a"b', "a ", "a;b"])
def test_a_boundary_that_rfc_2046_does_not_allow(boundary: str) -> None:
    with pytest.raises(InvalidHeader):
        ours.MultipartWriter(boundary=boundary)


@pytest.mark.parametrize("fields", [{"X": "a\r\nY: b"}, {"X": "a\nb"}, {"X": "a\0"}, {"X\r\n": "a"}, {"Content-Type": "a\r\n"}])
def test_nobody_can_add_a_header(module: Any, fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        made = module.MultipartWriter()
        made.append("a", fields)
        sent(made)


def test_what_cannot_be_a_part(module: Any) -> None:
    with pytest.raises(TypeError):
        module.MultipartWriter().append(object())
    for field in ("Content-Encoding", "Content-Transfer-Encoding"):
        with pytest.raises(RuntimeError):
            module.MultipartWriter().append("a", {field: "unknown"})


def test_what_a_form_may_not_have() -> None:
    for field in ("Content-Encoding", "Content-Transfer-Encoding", "Content-Length"):
        with pytest.raises(InvalidHeader):
            ours.MultipartWriter("form-data").append("a", {field: "gzip"})
    made = ours.MultipartWriter("form-data")
    made.append("a", {"Content-Disposition": "form-data"})
    with pytest.raises(InvalidHeader):
        sent(made)
    with pytest.raises(UsageError):
        ours.MultipartWriter().append_form(1)  # type: ignore[arg-type]
    with pytest.raises(InvalidHeader):
        ours.MultipartWriter("mixed; x=y")


def test_closing_closes_what_is_open(tmp_path: Any) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"1")
    file = path.open("rb")
    made = ours.MultipartWriter()
    made.append(file)
    asyncio.run(made.close())
    assert file.closed
    assert made.consumed


@pytest.mark.parametrize("name", ["aiohttp", "wirebird.compat.aiohttp"])
def test_what_is_in_memory_is_sent_again_and_again(name: str) -> None:
    """A retry with the same `FormData` sends the same file, unless that was closed with the first request."""

    module = importlib.import_module(name)

    async def main() -> None:
        async with Origin() as origin, module.ClientSession() as session:
            form = module.FormData()
            form.add_field("file", io.BytesIO(b"some file"), filename="a.txt")
            writer = module.MultipartWriter()
            writer.append("text")
            writer.append(io.BytesIO(b"some file"))
            for body in (form, writer):
                for _ in range(3):
                    async with session.post(origin.url("/anything"), data=body) as response:
                        assert response.status == 200
            bodies = [asked.body for asked in origin.asked]
            assert len(set(bodies[:3])) == len(set(bodies[3:])) == 1
            assert all(b"some file" in body for body in bodies)

    run(main)


def test_a_part_that_can_be_sent_once_makes_the_whole_so() -> None:
    async def pieces() -> Any:
        yield b"1"

    made = ours.MultipartWriter()
    made.append(pieces())
    assert made._once
    assert made.size is None
    sent(made)
    assert made.consumed


# -- the reader ----------------------------------------------------------------------------------------------------------------


async def whole(reader: Any) -> list[Any]:
    found: list[Any] = []
    while (part := await reader.next()) is not None:
        found.append(await whole(part) if hasattr(part, "fetch_next_part") else bytes(await part.read()))
    assert reader.at_eof()
    return found


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("name", [name for name in BODIES if name not in ("empty", "odd boundary")])
def test_what_was_written_is_read(module: Any, name: str, size: int) -> None:
    made = BODIES[name](module)
    if size < 100 and name in ("base64", "binary", "gzip", "deflate", "identity", "gzip, base64"):
        size = 100
    found = asyncio.run(whole(module.MultipartReader(made.headers, Stream(sent(made), size))))
    if name == "nested":
        assert found == [[b"text", b'{"a": 1}'], b"end"]
    else:
        assert len(found) == len(made)


@pytest.mark.parametrize("size", [1, 3, 100_000])
def test_an_inner_body_ends_with_the_outer_part(size: int) -> None:
    inner = b"--i\r\n\r\n1\r\n--i"  # without its last delimiter
    body = b"--b\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n" + inner + b"\r\n--b\r\n\r\n2\r\n--b--"

    async def run() -> None:
        outer = ours.MultipartReader(headers(), Stream(body, size))
        reader = await outer.next()
        assert isinstance(reader, ours.MultipartReader)
        part = await reader.next()
        assert isinstance(part, ours.BodyPartReader)
        assert await part.read_chunk() == b"1"
        with pytest.raises(InvalidMultipart):
            await part.read()
        with pytest.raises(InvalidMultipart):
            await reader.next()
        second = await outer.next()
        assert isinstance(second, ours.BodyPartReader)
        assert await second.text() == "2"
        assert await outer.next() is None

    asyncio.run(run())


def test_epilogue_and_preamble(module: Any) -> None:
    body = b"preamble\r\n--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--\r\nepilogue\r\n"
    assert asyncio.run(whole(module.MultipartReader(headers(), Stream(body)))) == [b"1", b"2"]


def one(module: Any, fields: dict[str, str], data: bytes, kind: str = "mixed", **options: Any) -> Any:
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode()
    body = b"--b\r\n" + head + b"\r\n" + data + b"\r\n--b--\r\n"
    return module.MultipartReader(headers(kind), Stream(body), **options).next()


@pytest.mark.parametrize(
    ("method", "fields", "data", "expected"),
    [
        ("text", {}, "ä".encode(), "ä"),
        ("text", {"Content-Type": "text/plain; charset=latin-1"}, b"\xe4", "ä"),
        ("text", {"Content-Transfer-Encoding": "base64"}, b"YcOk", "aä"),
        ("text", {"Content-Transfer-Encoding": "quoted-printable"}, b"=C3=A4=20b", "ä b"),
        ("text", {"Content-Transfer-Encoding": "8bit"}, b"a", "a"),
        ("text", {"Content-Encoding": "gzip"}, gzip.compress(b"abc", mtime=0), "abc"),
        ("text", {"Content-Encoding": "deflate"}, zlib.compress(b"abc")[2:-4], "abc"),
        ("text", {"Content-Encoding": "identity"}, b"abc", "abc"),
        ("json", {}, b'{"a": [1]}', {"a": [1]}),
        ("json", {"Content-Type": "application/json; charset=utf-16"}, "[1]".encode("utf-16"), [1]),
        ("json", {}, b"", None),
        ("form", {}, b"a=1&b=%C3%A4&c=", [("a", "1"), ("b", "ä"), ("c", "")]),
        ("form", {}, b"", []),
        ("release", {}, b"abc", None),
    ],
)
def test_one_part(module: Any, method: str, fields: dict[str, str], data: bytes, expected: Any) -> None:
    async def run() -> None:
        part = await one(module, fields, data)
        assert await getattr(part, method)() == expected
        assert part.at_eof()
        assert await part.read() == b""
        assert await part.next() is None

    asyncio.run(run())


def test_what_looks_like_a_delimiter_is_data() -> None:
    async def run() -> None:
        assert await (await one(ours, {}, b"\r\n--bb\r\n")).read() == b"\r\n--bb\r\n"

    asyncio.run(run())


def test_a_part_in_pieces(module: Any) -> None:
    async def run() -> None:
        part = await one(module, {}, LONG)
        pieces = []
        while chunk := await part.read_chunk(1000):
            assert len(chunk) <= 1000
            pieces.append(bytes(chunk))
        assert b"".join(pieces) == LONG
        part = await one(module, {}, b"one\r\ntwo\nthree")
        assert [await part.readline() for _ in range(4)] == [b"one\r\n", b"two\n", b"three", b""]
        assert [bytes(data) async for data in await one(module, {}, b"12")] == [b"12"]

    asyncio.run(run())


@pytest.mark.parametrize("size", [100, 101, 102, 103, 7])
def test_base64_in_pieces_that_can_be_decoded(size: int) -> None:
    import base64

    data = base64.encodebytes(LONG)

    async def run() -> bytes:
        part = await one(ours, {"Content-Transfer-Encoding": "base64"}, data)
        decoded = b""
        while chunk := await part.read_chunk(size):
            assert len(chunk) <= size
            decoded += part.decode(chunk)
        return decoded

    assert asyncio.run(run()) == LONG


def test_parts_that_are_not_read_go_by(module: Any) -> None:
    body = b"--b\r\n\r\n" + b"x" * 100_000 + b"\r\n--b\r\n\r\n2\r\n--b--\r\n"

    async def run() -> None:
        reader = module.MultipartReader(headers(), Stream(body))
        first = await reader.next()
        await first.read_chunk(100)
        second = await reader.next()
        assert await second.read() == b"2"
        assert await reader.next() is None
        reader = module.MultipartReader(headers(), Stream(body))
        await reader.release()
        assert reader.at_eof()
        assert [part async for part in reader] == []

    asyncio.run(run())


@pytest.mark.parametrize(
    ("value", "name", "filename"),
    [
        ('form-data; name="a"; filename="b.txt"', "a", "b.txt"),
        ("form-data; name=a", "a", None),
        ("attachment; filename*=utf-8''%C3%A4.txt", None, "ä.txt"),
        ("attachment; filename*0=a; filename*1=b.txt", None, "ab.txt"),
        ("", None, None),
    ],
)
def test_names(module: Any, value: str, name: str | None, filename: str | None) -> None:
    async def run() -> None:
        part = await one(module, {"Content-Disposition": value} if value else {}, b"", "form-data")
        assert (part.name, part.filename) == (name, filename)

    asyncio.run(run())


def test_of_two_file_names_of_a_form_the_plain_one_counts() -> None:
    value = "form-data; name=a; filename=safe.txt; filename*=utf-8''evil.exe"

    async def run() -> None:
        assert (await one(ours, {"Content-Disposition": value}, b"", "form-data")).filename == "safe.txt"
        assert (await one(ours, {"Content-Disposition": value}, b"", "mixed")).filename == "evil.exe"

    asyncio.run(run())


def test_the_charset_of_a_form() -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    body = part % (b"_charset_", b"latin-1") + part % (b"a", b"\xe4") + b"--b--\r\n"

    async def run() -> None:
        reader = ours.MultipartReader(headers("form-data"), Stream(body))
        first = await reader.next()
        assert first.name == "a"
        assert await first.text() == "ä"
        long = part % (b"_charset_", b"x" * 40) + b"--b--\r\n"
        with pytest.raises(RuntimeError):
            await ours.MultipartReader(headers("form-data"), Stream(long)).next()

    asyncio.run(run())


def test_from_a_response(module: Any) -> None:
    class Response:
        headers = headers()
        released = 0

        def __init__(self) -> None:
            self.content = Stream(b"--b\r\n\r\n1\r\n--b--\r\n")

        async def release(self) -> None:
            self.released += 1

    async def run() -> None:
        response = Response()
        wrapper = module.MultipartReader.from_response(response)
        assert not wrapper.at_eof()
        assert [bytes(await part.read()) async for part in wrapper] == [b"1"]
        assert response.released == 1

    asyncio.run(run())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x\r\n",
        b"--b\r\n\r\n1",
        b"--b\r\n\r\n1\r\n",
        b"--b\r\nContent-Length: 5\r\n\r\n123\r\n--b--\r\n",
        b"--b\r\nContent-Length: +3\r\n\r\n123\r\n--b--\r\n",
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_broken_is_a_value_error(module: Any, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        asyncio.run(asyncio.wait_for(whole(module.MultipartReader(headers(), Stream(body, 5))), 2))


def test_a_length_that_is_wrong_does_not_move_the_end_of_a_part() -> None:
    body = b"--b\r\nContent-Length: 20\r\n\r\n12\r\n--b\r\n\r\n2\r\n--b--\r\n"

    async def run() -> None:
        reader = ours.MultipartReader(headers(), Stream(body))
        first = await reader.next()
        with pytest.raises(InvalidMultipart):
            await first.read()  # type: ignore[union-attr]
        second = await reader.next()
        assert await second.read() == b"2"  # type: ignore[union-attr]

    asyncio.run(run())


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/mixed", "multipart/mixed; boundary=", "multipart/mixed; boundary=" + "x" * 300]
)
def test_a_content_type_that_is_not_multipart(kind: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ours.MultipartReader({"Content-Type": kind}, Stream(b""))
    with pytest.raises(KeyError):
        ours.MultipartReader({}, Stream(b""))


def test_limits(module: Any) -> None:
    class TooLarge(Exception):
        pass

    async def run() -> None:
        with pytest.raises(TooLarge):
            await (await one(module, {}, b"x" * 101, client_max_size=100, max_size_error_cls=TooLarge)).read()
        for data in (gzip.compress(b"x" * 200_000),):
            part = await one(module, {"Content-Encoding": "gzip"}, data, client_max_size=1000, max_size_error_cls=TooLarge)
            with pytest.raises(TooLarge):
                await part.read(decode=True)
        with pytest.raises(Exception, match=r".") as caught:
            await one(module, {f"x{number}": "y" for number in range(11)}, b"", max_headers=10)
        assert not isinstance(caught.value, AssertionError)

    asyncio.run(run())


def test_what_comes_out_of_a_bomb_is_bounded() -> None:
    async def run() -> None:
        part = await one(ours, {"Content-Encoding": "gzip"}, b"")
        with pytest.raises(LimitExceeded):
            part.decode(gzip.compress(b"\0" * 10_000_000))
        size = 0
        async for piece in part.decode_iter(gzip.compress(b"\0" * 1_000_000)):
            assert len(piece) <= 2**18
            size += len(piece)
        assert size == 1_000_000
        with pytest.raises(DecodingError):
            part.decode(b"no gzip")
        long = await one(ours, {}, b"x" * 300_000)
        with pytest.raises(ValueError, match="too big"):
            await long.readline()
        with pytest.raises(UsageError):
            await part.read_chunk(0)
        with pytest.raises(LimitExceeded):
            await one(ours, {"x": "y" * 1000}, b"", max_field_size=100)

    asyncio.run(run())


@pytest.mark.parametrize("field", ["Content-Encoding", "Content-Transfer-Encoding"])
def test_codings_that_are_not_known(module: Any, field: str) -> None:
    async def run() -> None:
        with pytest.raises(RuntimeError):
            await (await one(module, {field: "unknown"}, b"abc")).text()

    asyncio.run(run())


def test_in_a_form_nothing_is_decompressed(module: Any) -> None:
    async def run() -> None:
        part = await one(module, {"Content-Encoding": "gzip", "Content-Length": "77"}, b"abc", "form-data")
        assert await part.text() == "abc"

    asyncio.run(run())


def test_classes_of_the_callers_own(module: Any) -> None:
    class Part(module.BodyPartReader):  # type: ignore[misc, name-defined]
        async def shout(self) -> bytes:
            return bytes(await self.read()).upper()

    class Reader(module.MultipartReader):  # type: ignore[misc, name-defined]
        part_reader_cls = Part

    async def run() -> None:
        part = await Reader(headers(), Stream(b"--b\r\n\r\na\r\n--b--\r\n")).next()
        assert await part.shout() == b"A"

    asyncio.run(run())


def test_a_part_by_itself(module: Any) -> None:
    async def run() -> None:
        part = module.BodyPartReader(b"--b", CIMultiDictProxy(CIMultiDict()), Stream(b"data\r\n--b--\r\n"))
        assert await part.read() == b"data"

    asyncio.run(run())


def test_a_part_is_sent_on(module: Any) -> None:
    async def run() -> bytes:
        fields = {"Content-Disposition": 'form-data; name="a"; filename="f"', "Content-Transfer-Encoding": "base64"}
        part = await one(module, fields, b"YWJj")
        made = module.MultipartWriter(boundary="x")
        made.append(part)
        sink = Sink()
        await made.write(sink)
        return sink.data

    assert asyncio.run(run()) == (
        b"--x\r\nContent-Type: application/octet-stream\r\n"
        b'Content-Disposition: attachment; name="a"; filename="f"\r\n\r\nabc\r\n--x--\r\n'
    )


# -- Content-Disposition -------------------------------------------------------------------------------------------------------

DISPOSITIONS = [
    None, '', 'inline', 'attachment;', '"inline"', 'inline; ', 'inline; filename="f.html"', 'attachment; filename=f.html',
    'attachment; filename="a;b.txt"', 'attachment; filename="a\\"b"', 'attachment; filename="a\\\\b"',
    'attachment; FILENAME=x', 'attachment; filename = x', 'attachment; filename = "x" ', 'attachment; filename=a b',
    'attachment; filename=[x]', 'attachment; filename="a"b', "attachment; filename='x'", 'attachment; filename=x; filename=y',
    'attachment; filename', 'attachment; =x', 'attachment; filename="/etc/passwd"', 'attachment; filename="\\\\host\\x"',
    "attachment; filename*=utf-8''a%20b", "attachment; filename*=iso-8859-1''%E4", "attachment; filename*=''x",
    "attachment; filename*=utf-8''%E4", "attachment; filename*=nix''x", 'attachment; filename*=x',
    'attachment; filename*="utf-8\'\'x"', 'attachment; filename*0=a; filename*1=b', 'attachment; filename*1=a',
    'attachment; filename*0="a"; filename*1*=%20b', "attachment; filename*0*=utf-8''%C3%A4; filename*1=b",
    'attachment; filename*00=a', "attachment; filename*0*=nix''a", 'attachment; b@d=x; filename=y',
    "attachment; filename=x; filename*=utf-8''y", 'form-data; name="ä"', 'attachment; filename=ä', 'foo bar; x=y',
    'attachment; filename=', 'attachment;; filename=x', 'attachment; filename="', 'FORM-DATA; name=a',
]  # fmt: skip


@pytest.mark.parametrize("value", DISPOSITIONS)
def test_dispositions_are_read_as_aiohttp_reads_them(value: str | None) -> None:
    found = []
    for module in BOTH:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            kind, parameters = module.parse_content_disposition(value)
        names = [type(one.message).__name__ for one in warned]
        found.append(
            (kind, parameters, names, [module.content_disposition_filename(parameters, name) for name in ("filename", "name")])
        )
    assert found[1] == found[0]


def test_more_than_one_semicolon_in_a_name() -> None:
    assert ours.parse_content_disposition('form-data; name="a;b;c;d"; x=y') == ("form-data", {"name": "a;b;c;d", "x": "y"})


@pytest.mark.parametrize(
    "value", ['a; b="' + "\\" * 1_000_000, "a" + ";b=c" * 200_000, 'a; b="' + '\\"' * 50_000, "a;" + '"' * 1_000_000]
)
def test_dispositions_take_linear_time(value: str) -> None:
    import time

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        began = time.process_time()
        ours.parse_content_disposition(value)
        assert time.process_time() - began < 0.5


# -- the shape -----------------------------------------------------------------------------------------------------------------


def test_the_shape_is_that_of_aiohttp() -> None:
    for name in aiohttp.__all__:
        theirs, mine = getattr(aiohttp, name), getattr(ours, name)
        if not inspect.isclass(theirs):
            assert list(inspect.signature(mine).parameters) == list(inspect.signature(theirs).parameters)
            continue
        assert [base.__name__ for base in mine.__mro__] == [base.__name__ for base in theirs.__mro__]
        for method, function in inspect.getmembers(theirs, inspect.isfunction):
            if method.startswith("_") and method != "__init__":
                continue
            expected, found = (inspect.signature(getattr(cls, method)).parameters.values() for cls in (theirs, mine))
            assert [(p.name, p.kind) for p in found] == [(p.name, p.kind) for p in expected], (name, method)


def test_json_of_a_part_is_what_json_makes_of_it() -> None:
    async def run() -> None:
        part = await one(ours, {}, b"no json")
        with pytest.raises(json.JSONDecodeError):
            await part.json()

    asyncio.run(run())


def test_parts_that_have_gone_by_are_at_their_end(module: Any) -> None:
    async def main() -> None:
        body = b"--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n"
        reader = module.MultipartReader(headers(), Stream(body))
        first = await reader.next()
        assert not first.at_eof()
        second = await reader.next()
        assert first.at_eof()
        assert not second.at_eof()
        assert await reader.next() is None
        assert second.at_eof()

    run(main)
