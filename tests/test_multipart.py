"""Forms: what the multipart writer puts on the wire, where its bytes come from, and urlencoded bodies."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import re
import tempfile
import threading
import tracemalloc
import urllib.parse
import zlib
from email import message_from_bytes
from email.policy import HTTP
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import MultiDict

from wirebird.client.forms import MultipartForm, make_form
from wirebird.client.sources import DataSource, FileSource, IteratorSource, PathSource, make_source
from wirebird.errors import BodyConsumed, InvalidHeader, UsageError
from wirebird.models.form_encoding import form_fields, urlencode_form
from wirebird.protocol.multipart import check_boundary, closing_delimiter, multipart_type, part_head

MIB = 1024 * 1024


def body_of(form: MultipartForm) -> bytes:
    body, size = asyncio.run(form.get_body_size())
    assert size == len(body)
    return body


def parts_of(form: MultipartForm) -> list[tuple[dict[str, str], bytes]]:
    """The parts by the letter of RFC 2046, no leniency."""
    body = body_of(form)
    dash = b"--" + form.boundary.encode()
    assert body.startswith(dash)
    assert body.endswith(b"\r\n" + dash + b"--\r\n") or body == dash + b"--\r\n"
    parts = []
    for part in (b"\r\n" + body).split(b"\r\n" + dash)[1:-1]:
        assert part.startswith(b"\r\n")
        head, _, data = part[2:].partition(b"\r\n\r\n")
        fields = dict(line.decode().split(": ", 1) for line in head.split(b"\r\n"))
        parts.append((fields, data))
    return parts


def disposition(fields: dict[str, str]) -> tuple[str, str | None]:
    found = re.fullmatch(r'form-data; name="([^"\r\n]*)"(?:; filename="([^"\r\n]*)")?', fields["Content-Disposition"])
    assert found
    name, filename = found[1], found[2]
    return name.replace("%22", '"'), filename and filename.replace("%22", '"')


async def pieces_of(source) -> list[bytes]:
    return [piece async for piece in source.pieces()]


# ------------------------------------------------------------------------------------------------------- the wire, exactly


def test_the_bytes_of_a_form():
    form = MultipartForm()
    form.add_field("field1", "value1")
    form.add_field("upload", b"\x00\xff\r\n", filename="a.bin")
    form.add_field("note", "grün", content_type="text/plain; charset=utf-8", headers={"X-Part": "1"})
    b = form.boundary
    assert re.fullmatch("[0-9a-f]{32}", b)
    expected = (
        f'--{b}\r\nContent-Disposition: form-data; name="field1"\r\n\r\nvalue1\r\n'.encode()
        + f'--{b}\r\nContent-Disposition: form-data; name="upload"; filename="a.bin"\r\n'.encode()
        + b"Content-Type: application/octet-stream\r\n\r\n\x00\xff\r\n\r\n"
        + f'--{b}\r\nContent-Disposition: form-data; name="note"\r\nContent-Type: text/plain; charset=utf-8\r\n'.encode()
        + "X-Part: 1\r\n\r\ngrün\r\n".encode()
        + f"--{b}--\r\n".encode()
    )
    assert body_of(form) == expected
    assert form.size() == len(expected)
    assert form.get_headers() == {"Content-Type": f"multipart/form-data; boundary={b}"}
    assert form.get_headers(0)["Content-Length"] == "0"
    assert form.get_headers(form.size())["Content-Length"] == str(len(expected))


def test_a_form_without_parts():
    form = MultipartForm()
    assert body_of(form) == f"--{form.boundary}--\r\n".encode()
    assert form.size() == len(body_of(form))


def test_boundaries_differ():
    assert len({MultipartForm().boundary for _ in range(100)}) == 100


def test_the_content_length_is_checked():
    for size in (-1, True, 1.0, "1"):
        with pytest.raises(UsageError) as caught:
            MultipartForm().get_headers(size)
        assert caught.value.argument == "size"


@pytest.mark.parametrize("boundary", ["x", "a" * 70, "0'()+_,-./:=?Z", "with space", "--"])
def test_boundaries(boundary):
    assert check_boundary(boundary) == boundary
    parsed = message_from_bytes(f"Content-Type: {multipart_type(boundary)}\r\n\r\n".encode(), policy=HTTP)
    assert parsed.get_boundary() == boundary
    assert closing_delimiter(boundary) == f"--{boundary}--\r\n".encode()
    assert part_head(boundary, "n").startswith(f"--{boundary}\r\n".encode())


@pytest.mark.parametrize("boundary", ["", "a" * 71, "x ", "a\r\nb", 'a"b', "é", "a;b", "x\n", None, b"x"])
def test_bad_boundaries(boundary):
    for use in (check_boundary, multipart_type, closing_delimiter, lambda boundary: part_head(boundary, "n")):
        with pytest.raises(InvalidHeader) as caught:
            use(boundary)
        assert caught.value.argument == "boundary"


CONTROLS = [chr(code) for code in [*range(32), 127] if code != 9]


@pytest.mark.parametrize("argument", ["name", "filename", "content_type"])
def test_controls_never_reach_the_wire(argument):
    for control in CONTROLS:
        for text in (f"a{control}b", control, f"a{control}", f"a\r\nX-Y: z{control}"):
            form = MultipartForm()
            with pytest.raises(InvalidHeader) as caught:
                form.add_field(**{"name": "n", "value": "v", argument: text})
            assert caught.value.argument == argument
            assert form.size() == MultipartForm().size()


@pytest.mark.parametrize(
    "headers",
    [
        {"X\r\nY": "z"},
        {"X": "a\r\nY: z"},
        {"X": "a\0"},
        {"X": "\n"},
        {"": "z"},
        {"X ": "z"},
        {"X:": "z"},
        {"é": "z"},
        {"X": 1},
        {1: "X"},
        [("X",)],
        [("X", "a\rb")],
        ["XY", "ab\n"],
        {"content-disposition": "form-data"},
        {"X": "\ud800"},
        "X: y",
        5,
    ],
)
def test_bad_part_headers(headers):
    form = MultipartForm()
    with pytest.raises(InvalidHeader) as caught:
        form.add_field("n", "v", headers=headers)
    assert caught.value.argument.startswith("headers")
    assert body_of(form) == body_of_nothing(form)


def body_of_nothing(form: MultipartForm) -> bytes:
    return closing_delimiter(form.boundary)


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"name": None}, "name"),
        ({"name": b"n"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"filename": 5}, "filename"),
        ({"filename": "\udcff"}, "filename"),
        ({"content_type": ""}, "content_type"),
        ({"content_type": 5}, "content_type"),
        ({"content_type": "text/plain", "headers": {"Content-Type": "x/y"}}, "headers"),
    ],
)
def test_bad_arguments(arguments, argument):
    with pytest.raises(InvalidHeader) as caught:
        MultipartForm().add_field(**({"name": "n", "value": "v"} | arguments))
    assert caught.value.argument == argument


@pytest.mark.parametrize(
    "value", [None, True, False, float("nan"), float("inf"), {}, [b"x"], ("x",), {1}, object(), "\ud800", Path("x")]
)
def test_bad_values(value):
    form = MultipartForm()
    with pytest.raises(UsageError) as caught:
        form.add_field("n", value)
    assert caught.value.argument == "value"
    assert form.size() == MultipartForm().size()


def test_headers_may_be_an_iterator_and_may_name_the_type():
    form = MultipartForm()
    form.add_field("a", b"1", filename="x.txt", headers=iter([("X-A", "1"), ("content-TYPE", "x/y"), ("X-A", "2")]))
    head = body_of(form).partition(b"\r\n\r\n")[0]
    assert head.split(b"\r\n")[2:] == [b"X-A: 1", b"content-TYPE: x/y", b"X-A: 2"]


def test_numbers():
    form = MultipartForm()
    form.add_field("i", -7)
    form.add_field("f", 1.5)
    assert [data for _, data in parts_of(form)] == [b"-7", b"1.5"]


NAMES = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=30)


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, st.none() | NAMES, st.binary(max_size=100) | st.text(max_size=50)), max_size=5))
def test_names_and_values_come_back(fields):
    fields = [(name, filename, value) for name, filename, value in fields if "%22" not in name + (filename or "")]
    fields = [(n, f, v.encode(errors="replace").decode() if isinstance(v, str) else v) for n, f, v in fields]
    form = MultipartForm()
    for name, filename, value in fields:
        form.add_field(name, value, filename)
    parts = parts_of(form)
    assert [(*disposition(head), data) for head, data in parts] == [
        (name, filename, value.encode() if isinstance(value, str) else value) for name, filename, value in fields
    ]
    assert ["Content-Type" in head for head, _ in parts] == [filename is not None for _, filename, _ in fields]


def aiohttp_parts(form: MultipartForm):
    async def read():
        stream = aiohttp.StreamReader(aiohttp.base_protocol.BaseProtocol(asyncio.get_running_loop()), 2**30)
        async for piece in form.get_buffer():
            stream.feed_data(piece)
        stream.feed_eof()
        reader = aiohttp.MultipartReader(form.get_headers(), stream)
        parts = []
        while (part := await reader.next()) is not None:
            parts.append((part.name, part.filename, part.headers.get("Content-Type"), bytes(await part.read())))
        return parts

    return asyncio.run(read())


def test_other_parsers_understand_it(tmp_path):
    (tmp_path / "bild größe.png").write_bytes(bytes(range(256)) * 600)
    form = MultipartForm()
    form.add_field("text", "line 1\r\nline 2")
    form.add_field("имя", "значение")
    form.add_field("empty", "")
    form.add_file("file", tmp_path / "bild größe.png")
    form.add_field("last", b"--", filename="no-extension")
    expected = [
        ("text", None, None, b"line 1\r\nline 2"),
        ("имя", None, None, "значение".encode()),
        ("empty", None, None, b""),
        ("file", "bild größe.png", "image/png", bytes(range(256)) * 600),
        ("last", "no-extension", "application/octet-stream", b"--"),
    ]
    assert aiohttp_parts(form) == expected
    message = message_from_bytes(b"Content-Type: " + form.get_headers()["Content-Type"].encode() + b"\r\n\r\n" + body_of(form))
    payloads = [part.get_payload(decode=True) for part in message.get_payload()]
    assert payloads == [data for *_, data in expected]


# ------------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a.txt", "text/plain"),
        ("a.b.JSON", "application/json"),
        ("a", "application/octet-stream"),
        (".txt", "application/octet-stream"),
        ("a.tar.gz", "application/octet-stream"),
        ("a.nothing-like-it", "application/octet-stream"),
    ],
)
def test_types_and_names_of_files(tmp_path, path, kind):
    file = tmp_path / path
    file.write_bytes(b"data")
    form = MultipartForm()
    form.add_file("f", str(file))
    form.add_file("f", file, filename="other/name.html")
    form.add_file("f", file, content_type="x/y")
    with file.open("rb") as opened, open(os.fsencode(file), "rb") as by_bytes:
        form.add_field("f", opened)
        form.add_field("f", by_bytes, "given", "x/z")
        heads = [head for head, data in parts_of(form) if data == b"data"]
    assert [disposition(head)[1] for head in heads] == [path, "other/name.html", path, path, "given"]
    assert [head["Content-Type"] for head in heads] == [kind, "text/html", "x/y", kind, "x/z"]


def test_files_without_a_name_of_their_own(tmp_path):
    form = MultipartForm()
    form.add_field("buffer", io.BytesIO(b"1"))
    with tempfile.TemporaryFile() as file:
        file.write(b"2")
        file.seek(0)
        form.add_field("temporary", file)
        assert [disposition(head) for head, _ in parts_of(form)] == [("buffer", "buffer"), ("temporary", "temporary")]


def test_the_path_is_checked_at_once(tmp_path):
    missing, closed = tmp_path / "missing", tmp_path / "closed"
    closed.write_bytes(b"")
    closed.chmod(0)
    os.mkfifo(tmp_path / "fifo")
    paths = [missing, tmp_path, tmp_path / "fifo", "nul\0byte", None, 5, ""]
    if os.geteuid() != 0:
        paths.append(closed)
    for path in paths:
        form = MultipartForm()
        with pytest.raises(UsageError) as caught:
            form.add_file("f", path)
        assert caught.value.argument == "file_path"
        assert form.size() == MultipartForm().size()


def test_a_path_is_opened_late_and_closed_early(tmp_path, monkeypatch):
    file = tmp_path / "f"
    file.write_bytes(b"x" * 300_000)
    form = MultipartForm()
    form.add_file("a", file)
    opened = []
    real = Path.open

    def counted(path, *args, **kwargs):
        opened.append(real(path, *args, **kwargs))
        return opened[-1]

    monkeypatch.setattr(Path, "open", counted)

    async def main():
        stream = form.get_buffer()
        assert not opened
        assert len(await anext(stream)) < 1000
        assert len(await anext(stream)) > 1000
        assert [file.closed for file in opened] == [False]
        async for _ in stream:
            pass
        assert [file.closed for file in opened] == [True]
        stream = form.get_buffer()
        await anext(stream)
        await stream.aclose()
        assert [file.closed for file in opened] == [True, True]

    asyncio.run(main())
    assert form.replayable()
    assert body_of(form) == body_of(form)


def test_a_relative_path_stays_what_it_was(tmp_path, monkeypatch):
    (tmp_path / "f").write_bytes(b"here")
    monkeypatch.chdir(tmp_path)
    form = MultipartForm()
    form.add_file("a", "f")
    monkeypatch.chdir("/")
    assert parts_of(form)[0][1] == b"here"


def test_a_path_that_went_away(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(b"x")
    form = MultipartForm()
    form.add_file("a", file)
    file.unlink()
    for use in (form.size, lambda: body_of(form)):
        with pytest.raises(UsageError) as caught:
            use()
        assert caught.value.argument == "file_path"


@pytest.mark.parametrize("make", ["file", "unbuffered", "path", "buffer", "named", "spooled"])
def test_files_are_sent_from_where_they_are_and_again(tmp_path, make):
    data = bytes(range(256)) * 3000
    file = tmp_path / "f"
    file.write_bytes(data)
    opened = {
        "file": lambda: file.open("rb"),
        "unbuffered": lambda: file.open("rb", buffering=0),
        "path": lambda: None,
        "buffer": lambda: io.BytesIO(data),
        "named": tempfile.NamedTemporaryFile,
        "spooled": tempfile.SpooledTemporaryFile,
    }[make]()
    form = MultipartForm()
    form.add_field("before", "x")
    if opened is None:
        form.add_file("f", file)
    else:
        if make in ("named", "spooled"):
            opened.write(data)
        opened.seek(1000)
        form.add_field("f", opened)
        data = data[1000:]
    size = form.size()
    body = body_of(form)
    assert size == len(body) == form.size()
    assert parts_of(form)[1][1] == data
    assert body_of(form) == body
    assert form.replayable()
    asyncio.run(form.close())
    if opened is not None:
        assert opened.closed
        assert not form.replayable()
        with pytest.raises(BodyConsumed):
            body_of(form)
    asyncio.run(form.close())


def test_one_file_twice_in_a_form():
    file = io.BytesIO(b"0123456789")
    file.seek(2)
    form = MultipartForm()
    form.add_field("a", file)
    form.add_field("b", file)
    assert [data for _, data in parts_of(form)] == [b"23456789"] * 2
    assert [data for _, data in parts_of(form)] == [b"23456789"] * 2


def test_the_position_counts_when_it_is_sent_first():
    file = io.BytesIO()
    form = MultipartForm()
    form.add_field("a", file)
    file.write(b"skipped, sent")
    file.seek(9)
    assert form.size() == len(body_of(form))
    file.seek(3)
    assert parts_of(form)[0][1] == b"sent"


def test_text_files(tmp_path):
    file = tmp_path / "f.txt"
    file.write_text("grüße\n" * 100_000, encoding="utf-16")
    with file.open(encoding="utf-16") as opened:
        form = MultipartForm()
        form.add_field("a", opened)
        form.add_field("b", io.StringIO("größe"))
        assert form.size() is None
        for _ in range(2):
            assert [data for _, data in parts_of(form)] == ["grüße\n".encode() * 100_000, "größe".encode()]


def test_files_that_cannot_be_read(tmp_path):
    file = (tmp_path / "f").open("wb")
    for use in (lambda: None, file.close):
        use()
        with pytest.raises(UsageError) as caught:
            MultipartForm().add_field("a", file)
        assert caught.value.argument == "value"


class Odd:
    """Something with read() that gives what it was told to."""

    def __init__(self, *blocks):
        self.blocks = list(blocks)

    def read(self, size=-1):
        return self.blocks.pop(0) if self.blocks else b""


def test_things_with_read():
    assert asyncio.run(pieces_of(make_source(Odd(b"ab", bytearray(b"c")), "data"))) == [b"ab", b"c"]
    for block in (None, 5, object()):
        with pytest.raises(UsageError, match="not bytes"):
            asyncio.run(pieces_of(make_source(Odd(block), "data")))
    source = make_source(Odd(b"x"), "data")
    assert source.size() is None
    assert not source.replayable()
    asyncio.run(pieces_of(source))
    with pytest.raises(BodyConsumed):
        asyncio.run(pieces_of(source))


def test_a_pipe():
    read, write = os.pipe()
    with open(read, "rb") as reader:
        form = MultipartForm()
        form.add_field("a", reader)
        os.write(write, b"through the pipe")
        os.close(write)
        assert form.size() is None
        assert not form.replayable()
        body = body_of(form)
        assert b'filename="a"' in body
        assert b"\r\n\r\nthrough the pipe\r\n--" in body
        with pytest.raises(BodyConsumed):
            body_of(form)


@pytest.mark.parametrize("by", ["path", "file"])
@pytest.mark.parametrize("length", [0, 10, 600_000])
def test_a_file_that_shrinks(tmp_path, by, length):
    file = tmp_path / "f"
    file.write_bytes(b"x" * 700_000)
    with file.open("rb") as opened:
        form = MultipartForm()
        form.add_file("a", file) if by == "path" else form.add_field("a", opened)
        promised = form.size()
        os.truncate(file, length)
        sent = 0

        async def main():
            nonlocal sent
            async for piece in form.get_buffer():
                sent += len(piece)

        with pytest.raises(UsageError, match="shrank"):
            asyncio.run(main())
        assert sent < promised


@pytest.mark.parametrize("by", ["path", "file"])
def test_a_file_that_grows(tmp_path, by):
    file = tmp_path / "f"
    file.write_bytes(b"x" * 300_000)
    with file.open("rb") as opened:
        form = MultipartForm()
        form.add_file("a", file) if by == "path" else form.add_field("a", opened)
        promised = form.size()
        with file.open("ab") as more:
            more.write(b"y" * 300_000)
        assert len(body_of(form)) == promised
        assert form.size() == promised + 300_000
        assert len(body_of(form)) == promised + 300_000


@pytest.mark.parametrize("by", ["path", "file"])
def test_a_large_file_is_never_here_whole(tmp_path, by):
    file = tmp_path / "sparse"
    with file.open("wb") as made:
        made.truncate(64 * MIB)
    checksum = 0
    total = 0

    async def main(form):
        nonlocal checksum, total
        async for piece in form.get_buffer():
            total += len(piece)
            checksum = zlib.crc32(piece[:1], checksum)
            del piece

    with file.open("rb") as opened:
        form = MultipartForm()
        form.add_file("a", file) if by == "path" else form.add_field("a", opened)
        size = form.size()
        tracemalloc.start()
        try:
            asyncio.run(main(form))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert total == size > 64 * MIB
    assert peak < 800 * 1024


class Held(io.FileIO):
    """A file of the operating system whose read can be held."""

    def __init__(self, path):
        super().__init__(path, "rb")
        self.entered = threading.Event()
        self.go = threading.Event()

    def read(self, size=-1):
        self.entered.set()
        assert self.go.wait(10)
        return super().read(size)


def test_a_cancelled_read_does_not_disturb_the_next(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(bytes(range(256)) * 2000)
    held = Held(file)

    async def main():
        source = FileSource(held, "data")
        first = asyncio.create_task(pieces_of(source))
        await asyncio.to_thread(held.entered.wait, 10)
        size = source.size()  # known, though a thread has the file
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        second = asyncio.create_task(pieces_of(source))
        await asyncio.sleep(0)
        held.go.set()
        assert b"".join(await second) == file.read_bytes()
        assert size == len(file.read_bytes())
        await source.close()
        assert held.closed

    asyncio.run(main())


def test_a_file_is_not_closed_under_a_thread(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(b"x" * 1000)
    held = Held(file)

    async def main():
        source = FileSource(held, "data")
        task = asyncio.create_task(pieces_of(source))
        await asyncio.to_thread(held.entered.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await source.close()
        assert not held.closed
        held.go.set()
        while not held.closed:
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(main(), 10))


def test_one_file_sent_twice_at_once(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(bytes(range(256)) * 4000)

    async def main(opened):
        form = MultipartForm()
        form.add_field("a", opened)
        first = form.get_buffer()
        begun = await anext(first) + await anext(first)
        second = form.get_buffer()
        again = await anext(second) + await anext(second)
        with pytest.raises(UsageError, match="twice"):
            await anext(first)
        assert again == begun
        assert file.read_bytes() in again + b"".join([piece async for piece in second])

    with file.open("rb") as opened:
        asyncio.run(main(opened))


def test_nothing_is_left_open(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(b"x" * 600_000)

    async def main():
        form = MultipartForm()
        form.add_file("a", file)
        left = form.get_buffer()
        await anext(left)
        await anext(left)
        await left.aclose()
        abandoned = form.get_buffer()
        await anext(abandoned)
        await anext(abandoned)
        await form.close()  # closes it for the one that was forgotten
        with pytest.raises(BodyConsumed):
            await anext(abandoned)

    asyncio.run(main())
    gc.collect()  # with -W error a file that was not closed fails the test


# --------------------------------------------------------------------------------------------------------------- iterators


def test_iterators():
    closed = []

    async def numbers():
        try:
            for number in range(3):
                yield b"%d" % number
                yield b""
        finally:
            closed.append("async")

    form = MultipartForm()
    form.add_field("a", numbers())
    form.add_field("b", iter([b"x", bytearray(b"y"), memoryview(b"z")]), filename="n.txt")
    assert form.size() is None
    assert not form.replayable()
    assert [data for _, data in parts_of(form)] == [b"012", b"xyz"]
    assert closed == ["async"]
    for _ in range(2):
        with pytest.raises(BodyConsumed):
            body_of(form)


def test_what_an_iterator_gives_does_not_wait():
    async def main():
        arrived = []

        async def slow():
            for letter in (b"a", b"b", b"c"):
                arrived.append(letter)
                yield letter

        form = MultipartForm()
        form.add_field("a", slow())
        stream = form.get_buffer()
        first = await anext(stream)
        assert first.endswith(b"\r\n\r\na")
        assert arrived == [b"a"]
        assert await anext(stream) == b"b"
        await stream.aclose()

    asyncio.run(main())


def test_an_iterator_of_something_else():
    for value in (iter([1]), iter(["text"]), (piece for piece in [b"fine", None])):
        form = MultipartForm()
        form.add_field("a", value)
        with pytest.raises(UsageError, match="must give bytes"):
            body_of(form)


def test_small_parts_leave_together_and_large_ones_uncopied():
    async def main(form):
        return [piece async for piece in form.get_buffer()]

    form = MultipartForm()
    for number in range(100):
        form.add_field(f"field{number}", "value")
    assert len(asyncio.run(main(form))) == 1
    large = b"x" * MIB
    form.add_field("large", large)
    pieces = asyncio.run(main(form))
    assert len(pieces) == 3
    assert pieces[1] is large


def test_iterators_are_closed():
    closed = []

    def sync():
        try:
            yield b"1"
            yield b"2"
        finally:
            closed.append("sync")

    async def main():
        form = MultipartForm()
        form.add_field("a", sync())
        stream = form.get_buffer()
        await anext(stream)
        await stream.aclose()
        await form.close()
        assert closed == ["sync"]
        unused = asynchronous()
        await IteratorSource(unused, "data").close()
        with pytest.raises(StopAsyncIteration):
            await anext(unused)

    async def asynchronous():
        yield b""

    asyncio.run(main())


def test_which_source():
    assert isinstance(make_source("x", "data"), DataSource)
    assert isinstance(make_source(5, "data"), DataSource)
    assert isinstance(make_source(io.BytesIO(), "data"), FileSource)
    assert isinstance(make_source(iter([]), "data"), IteratorSource)
    assert PathSource(Path(__file__), "data").size() == len(Path(__file__).read_bytes())
    for value in ([], {}, None):
        with pytest.raises(UsageError) as caught:
            make_source(value, "data")
        assert caught.value.argument == "data"


def test_make_form():
    form = make_form({"a": ["1", 2], "b": io.BytesIO(b"3")}, {"c": ("n.txt", b"4"), "d": [b"5", ("m", "6", "x/y", {"X-A": "b"})]})
    parts = [(*disposition(head), head.get("Content-Type"), data) for head, data in parts_of(form)]
    octets = "application/octet-stream"
    assert parts == [
        ("a", None, None, b"1"),
        ("a", None, None, b"2"),
        ("b", "b", octets, b"3"),
        ("c", "n.txt", "text/plain", b"4"),
        ("d", "d", octets, b"5"),
        ("d", "m", "x/y", b"6"),
    ]
    for files in ({"a": ()}, {"a": ("x",)}, {"a": ("x", b"", "y/z", {}, 5)}, "text", [("a", b"", 3)], 5):
        with pytest.raises(UsageError) as caught:
            make_form(files=files)
        assert caught.value.argument == "files"


# -------------------------------------------------------------------------------------------------------------- urlencoded


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({}, b""),
        ({"a": "1", "b": "two words"}, b"a=1&b=two+words"),
        ({"a": ["1", "2"], "b": ("3",), "c": []}, b"a=1&a=2&b=3"),
        ([("a", "1"), ["b", 2], ("a", 3.5)], b"a=1&b=2&a=3.5"),
        (MultiDict([("a", "1"), ("b", "2"), ("a", "3")]), b"a=1&b=2&a=3"),
        ((pair for pair in [("a", "")]), b"a="),
        ({"": ""}, b"="),
        ({"a+b": "1&2=3;4#5%"}, b"a%2Bb=1%262%3D3%3B4%235%25"),
        ({"é": "ü€😀"}, b"%C3%A9=%C3%BC%E2%82%AC%F0%9F%98%80"),
        ({"safe": "AZaz09*-._"}, b"safe=AZaz09*-._"),
        ({"x": "~!'()/\r\n\0"}, b"x=%7E%21%27%28%29%2F%0D%0A%00"),
        ({"x": b"\xff "}, b"x=%FF+"),
        ({"x": -5, "y": 10**30}, b"x=-5&y=1" + b"0" * 30),
    ],
)
def test_urlencoded(form, expected):
    assert urlencode_form(form) == expected


@given(
    st.lists(st.tuples(st.text(st.characters(blacklist_categories=["Cs"])), st.text(st.characters(blacklist_categories=["Cs"]))))
)
def test_urlencoded_comes_back(pairs):
    encoded = urlencode_form(pairs)
    assert re.fullmatch(rb"[A-Za-z0-9*\-._+%&=]*", encoded)
    assert urllib.parse.parse_qsl(encoded.decode(), keep_blank_values=True, strict_parsing=bool(pairs)) == pairs


@pytest.mark.parametrize(
    "value", [True, False, None, float("nan"), float("inf"), -float("inf"), object(), {}, {"a"}, "\ud800", [["x"]]]
)
def test_values_that_mean_nothing_in_a_form(value):
    with pytest.raises(UsageError) as caught:
        urlencode_form({"fine": "x", "key": value})
    assert caught.value.argument == "data['key']"


def test_a_number_that_is_too_long():
    with pytest.raises(UsageError):
        urlencode_form({"x": 10**5000})


@pytest.mark.parametrize("form", ["a=b", b"a=b", 5, None, [("a",)], ["ab"], [("a", "b", "c")], {1: "x"}, [(None, "x")], [1]])
def test_what_is_no_form(form):
    for use in (urlencode_form, form_fields):
        with pytest.raises(UsageError) as caught:
            use(form)
        assert caught.value.argument == "data"


def test_a_long_value():
    assert urlencode_form({"x": "é " * 50_000}) == b"x=" + b"%C3%A9+" * 50_000
