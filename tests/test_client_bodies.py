"""Bodies of requests: every kind, how it is framed and typed, and what is refused."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import pytest
from multidict import MultiDict

import wirebird
from origin import FOX, Origin, pattern, run

CONTROLS = ["\r\nX-Evil: 1", "\r", "\n", "\0"]


async def gives(*pieces: bytes):
    for piece in pieces:
        yield piece


def post(data: Any = None, **keywords: Any) -> tuple[Any, Any]:
    """The request as the origin read it, and the echo of it.  `data` may be a function, called inside the loop."""

    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            response = await client.post(origin.url("/post"), data=data() if callable(data) else data, **keywords)
            assert response.status_code == 200, await response.text()
            assert not origin.faults
            seen = await response.json()
            assert client.stats()["in_use"] == 0
            return origin.asked[0], seen

    return run(main)


def refused(argument: str, error: type[Exception] = wirebird.UsageError, **keywords: Any) -> None:
    """`UsageError` naming the argument, before a connection is opened."""

    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            with pytest.raises(error) as caught:
                await client.post(
                    origin.url("/post"), **{name: value() if callable(value) else value for name, value in keywords.items()}
                )
            assert caught.value.argument.startswith(argument), caught.value.argument
            assert origin.connections == 0
            assert client.stats()["in_use"] == 0

    run(main)


# -- kinds ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "sent", "kind"),
    [
        (b"bytes", b"bytes", "application/octet-stream"),
        (bytearray(b"bytes"), b"bytes", "application/octet-stream"),
        (memoryview(b"bytes"), b"bytes", "application/octet-stream"),
        ("grüße", "grüße".encode(), "text/plain; charset=utf-8"),
        ("", b"", "text/plain; charset=utf-8"),
        (b"", b"", None),
        (None, b"", None),
        ({"a": "1", "b": 2}, b"a=1&b=2", "application/x-www-form-urlencoded"),
        ([("a", "1"), ("a", "2")], b"a=1&a=2", "application/x-www-form-urlencoded"),
        ((("a", "1"),), b"a=1", "application/x-www-form-urlencoded"),
        ({"a": ["1", "2"], "b": ""}, b"a=1&a=2&b=", "application/x-www-form-urlencoded"),
        (MultiDict([("a", "1"), ("b", "2"), ("a", "3")]), b"a=1&b=2&a=3", "application/x-www-form-urlencoded"),
        ({"a b": "c&d=e ä"}, b"a+b=c%26d%3De+%C3%A4", "application/x-www-form-urlencoded"),
        ({}, b"", "application/x-www-form-urlencoded"),
    ],
)
def test_sized(data, sent, kind):
    asked, _ = post(data)
    assert asked.body == sent
    assert asked.headers.get("content-type") == kind
    assert asked.headers["content-length"] == str(len(sent))
    assert not asked.chunked


@pytest.mark.parametrize(
    "data",
    [
        lambda: iter([b"foo", b"", bytearray(b"bar"), memoryview(b"!")]),
        lambda: (piece for piece in (b"foo", b"bar!")),
        lambda: gives(b"foo", b"", b"bar!"),
        lambda: gives(b"foob", b"", b"", b"ar", b"!", b""),
    ],
)
def test_iterators_are_sent_in_chunks(data):
    asked, seen = post(data)
    assert asked.body == b"foobar!"
    assert asked.chunked
    assert "content-length" not in asked.headers
    assert seen["data"] == "foobar!"


def test_empty_iterators():
    assert post(lambda: iter([]))[0].body == b""
    asked, _ = post(lambda: gives(b"", b""))
    assert (asked.body, asked.chunked) == (b"", True)


@pytest.mark.parametrize("size", [0, 10, 300_000])
def test_files(tmp_path, size):
    path = tmp_path / "some file.bin"
    path.write_bytes(pattern(size))
    file = path.open("rb")
    asked, _ = post(file)
    assert asked.body == pattern(size)
    assert asked.headers["content-length"] == str(size)
    assert file.closed
    asked, _ = post(io.BytesIO(pattern(size)))
    assert asked.body == pattern(size)
    assert asked.headers["content-length"] == str(size)
    buffer = io.BytesIO(b"skipped" + pattern(size))
    buffer.seek(7)
    assert post(buffer)[0].body == pattern(size)


def test_text_files(tmp_path):
    path = tmp_path / "text"
    path.write_text("grüße", encoding="utf-8")
    with path.open(encoding="utf-8") as file:
        asked, _ = post(file)
    assert asked.body == "grüße".encode()
    assert post(io.StringIO("grüße"))[0].body == "grüße".encode()


@pytest.mark.parametrize("value", [{}, [], {"a": [1, None, "ä"]}, 0, False, "", "text", 1.5])
def test_json(value):
    asked, seen = post(json=value)
    assert json.loads(asked.body) == value == seen["json"]
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["content-length"] == str(len(asked.body))


def test_json_serializers():
    def shout(value):
        return json.dumps(value).upper().encode()

    assert post(json={"a": 1}, json_serializer=shout)[0].body == b'{"A": 1}'
    assert post(json={"a": 1}, json_serializer=lambda value: "[1]")[0].body == b"[1]"

    async def main():
        async with Origin() as origin, wirebird.HTTPClient(json_serializer=shout) as client:
            await client.post(origin.url("/post"), json=["a"])
            await client.post(origin.url("/post"), json=["a"], json_serializer=json.dumps)
            assert [asked.body for asked in origin.asked] == [b'["A"]', b'["a"]']

    run(main)


def test_own_content_type_wins():
    asked, _ = post(b"<a/>", headers={"content-type": "application/xml"})
    assert asked.headers.get_list("content-type") == ["application/xml"]
    asked, _ = post(json=[1], headers={"Content-Type": "application/vnd.api+json"})
    assert asked.headers.get_list("content-type") == ["application/vnd.api+json"]


def test_a_response_as_the_body_of_another_request():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            for path in ("/bytes/200000", "/chunked/200000?size=7000", "/eof/200000", "/bytes/10"):
                async with client.get(origin.url(path)) as source:
                    response = await client.post(origin.url("/post"), data=source)
                assert response.ok
                assert origin.asked[-1].body == pattern(200000 if path != "/bytes/10" else 10)
            source = await client.get(origin.url("/coded/gzip"))
            await client.post(origin.url("/post"), data=source.iter_bytes(100))
            assert origin.asked[-1].body == FOX
            await client.post(origin.url("/post"), data=await client.get(origin.url("/coded/br")))
            assert origin.asked[-1].body == FOX
            assert origin.asked[-1].headers["content-type"] == "text/plain"
            assert client.stats()["in_use"] == 0

    run(main)


def test_large_bodies():
    size = 3_000_000
    assert post(pattern(size))[0].body == pattern(size)
    assert post(lambda: gives(*[pattern(1000)] * 300))[0].body == pattern(1000) * 300
    assert post(lambda: gives(pattern(size)))[0].body == pattern(size)


def test_bodies_with_other_methods():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS"):
                response = await client.request(origin.url("/echo"), method, data=b"body")
                assert (await response.json())["data"] == "body"
            response = await client.get(origin.url("/echo"), json={"a": 1})
            assert (await response.json())["json"] == {"a": 1}

    run(main)


# -- forms with files -------------------------------------------------------------------------------------------------------


def test_multipart(tmp_path):
    path = tmp_path / "data.txt"
    path.write_bytes(b"file content\r\n--")
    form = wirebird.MultipartForm()
    form.add_field("text", "grüße")
    form.add_field("number", 5)
    form.add_field("blob", b"\0\1", filename="blob.bin", content_type="application/x-blob")
    form.add_file("file", path)
    form.add_file("again", str(path), filename='we"ird.txt')
    asked, seen = post(form)
    assert seen["form"] == {"text": "grüße", "number": "5"}
    assert seen["files"] == {
        "blob.bin": {"field": "blob", "type": "application/x-blob", "data": "\0\1"},
        "data.txt": {"field": "file", "type": "text/plain", "data": "file content\r\n--"},
        "we%22ird.txt": {"field": "again", "type": "text/plain", "data": "file content\r\n--"},
    }
    assert int(asked.headers["content-length"]) == len(asked.body)


def test_forms_of_every_spelling(tmp_path):
    def opened():
        return io.BytesIO(b"content")

    _, seen = post({"a": "1", "f": opened()})
    assert (seen["form"], seen["files"]["f"]["data"]) == ({"a": "1"}, "content")
    _, seen = post([("a", "1"), ("a", "2"), ("f", opened())])
    assert seen["form"] == {"a": ["1", "2"]}
    _, seen = post({"a": "1", "b": ["2", "3"]}, multipart=True)
    assert (seen["form"], seen["files"]) == ({"a": "1", "b": ["2", "3"]}, {})
    _, seen = post(files={"f": opened()})
    assert seen["files"]["f"]["data"] == "content"
    _, seen = post(files={"f": ("name.txt", opened(), "text/x-mine")})
    assert seen["files"]["name.txt"] == {"field": "f", "type": "text/x-mine", "data": "content"}
    _, seen = post(files=[("f", ("1.txt", b"one")), ("f", ("2.txt", "two"))])
    assert (seen["files"]["1.txt"]["data"], seen["files"]["2.txt"]["data"]) == ("one", "two")
    path = tmp_path / "on-disk.txt"
    path.write_bytes(b"content")
    file = path.open("rb")
    _, seen = post({"f": file})
    assert seen["files"]["on-disk.txt"]["data"] == "content"
    assert file.closed


def test_a_form_with_a_part_of_unknown_length_is_chunked():
    form = wirebird.MultipartForm()
    form.add_field("a", "1")
    form.add_field("f", gives(b"con", b"tent"), filename="f.txt")
    asked, seen = post(form)
    assert asked.chunked
    assert (seen["form"], seen["files"]["f.txt"]["data"]) == ({"a": "1"}, "content")


def test_large_files_in_forms(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(pattern(1_500_000))
    form = wirebird.MultipartForm()
    form.add_file("f", path)
    _, seen = post(form)
    assert seen["files"]["large"]["data"].encode() == pattern(1_500_000)


# -- what is refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "argument"),
    [
        ({"data": b"x", "json": {}}, "json"),
        ({"data": {}, "json": []}, "json"),
        ({"data": b"", "files": {}}, "files"),
        ({"json": {}, "files": {"f": b"x"}}, "files"),
        ({"data": 5}, "data"),
        ({"data": 1.5}, "data"),
        ({"data": True}, "data"),
        ({"data": object}, "data"),
        ({"data": {1, 2}}, "data"),
        ({"data": ["pair"]}, "data"),
        ({"data": [("a", "b", "c")]}, "data"),
        ({"data": {"a": None}}, "data"),
        ({"data": {"a": True}}, "data"),
        ({"data": {"a": float("nan")}}, "data"),
        ({"data": {5: "a"}}, "data"),
        ({"data": {"a": {"b": "c"}}}, "data"),
        ({"data": "\ud800"}, "data"),
        ({"data": b"x", "multipart": True}, "data"),
        ({"json": {}, "multipart": True}, "multipart"),
        ({"json": object()}, "json"),
        ({"json": {1: {2, 3}}}, "json"),
        ({"json": {}, "json_serializer": lambda: lambda value: 5}, "json_serializer"),
        ({"files": "x"}, "files"),
        ({"files": {"f": ("a",)}}, "files"),
        ({"files": {"f": ("a", b"b", None, None, None)}}, "files"),
    ],
)
def test_refused_before_anything_is_opened(keywords, argument):
    refused(argument, **keywords)


@pytest.mark.parametrize("control", CONTROLS)
def test_no_injection_through_forms(control):
    """Names and file names of parts are escaped or refused; types and part headers are refused (WHATWG, RFC 7578)."""
    for files in (
        {"f": ("n", b"x", f"text/plain{control}")},
        {"f": ("n", b"x", None, {"X": control})},
        {"f": ("n", b"x", None, {control: "X"})},
    ):
        refused("", wirebird.InvalidHeader, files=files)
    for keywords in (
        {"files": {f"f{control}": b"x"}},
        {"files": {"f": (f"n{control}", b"x")}},
        {"data": {f"a{control}": "b"}, "multipart": True},
    ):
        refused("", wirebird.InvalidHeader, **keywords)
    asked, seen = post({f"a{control}": f"b{control}"})
    assert seen["form"] == {f"a{control}": f"b{control}"}
    assert control.encode() not in asked.body


def test_closed_and_unreadable_files(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"x")
    with path.open("rb") as file:
        pass
    refused("data", data=file)
    with path.open("ab") as writable:
        refused("data", data=writable)
    with pytest.raises(wirebird.UsageError):
        wirebird.MultipartForm().add_file("f", tmp_path / "missing")
    with pytest.raises(wirebird.UsageError):
        wirebird.MultipartForm().add_file("f", tmp_path)


# -- the caller's own framing ---------------------------------------------------------------------------------------------------


def test_own_content_length():
    asked, _ = post(b"12345", headers={"Content-Length": "5"})
    assert asked.headers.get_list("content-length") == ["5"]
    asked, _ = post(lambda: gives(b"123", b"45"), headers={"Content-Length": "5"})
    assert (asked.body, asked.chunked) == (b"12345", False)
    for value in ("4", "6", "0", "-5", "+5", "5 ", "5,5", "0x5", "", "five", "９"):
        refused("headers", wirebird.InvalidHeader, data=b"12345", headers={"Content-Length": value})
    refused("headers", wirebird.InvalidHeader, data=b"12345", headers=[("Content-Length", "5"), ("Content-Length", "5")])
    refused("headers", wirebird.InvalidHeader, headers={"Content-Length": "5"})


def test_own_transfer_encoding():
    for data in (b"12345", lambda: iter([b"12345"]), b"", None, pattern(200_000), {"a": "b"}):
        asked, _ = post(data, headers={"Transfer-Encoding": "chunked"})
        assert asked.chunked
        assert asked.headers.get_list("transfer-encoding") == ["chunked"]
        if isinstance(data, bytes):
            assert asked.body == data
    refused("headers", wirebird.InvalidHeader, data=b"x", headers={"Transfer-Encoding": "chunked", "Content-Length": "1"})
    for value in ("gzip", "gzip, chunked", "chunked, chunked", "identity", "", "xchunked", "chunked;q=1"):
        refused("headers", wirebird.InvalidHeader, data=b"x", headers={"Transfer-Encoding": value})


@pytest.mark.parametrize("pieces", [(b"123",), (b"123", b"456"), (), (b"123456",)])
def test_an_iterator_that_breaks_the_promised_length(pieces):
    """Not more than promised is written, and the connection is not used again."""

    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            await client.get(origin.url("/echo"))
            with pytest.raises(wirebird.UsageError) as caught:
                await client.post(origin.url("/post"), data=gives(*pieces), headers={"Content-Length": "5"})
            assert caught.value.argument == "data"
            assert len(b"".join(asked.body for asked in origin.asked)) <= 5
            assert client.stats()["in_use"] == 0
            assert (await client.get(origin.url("/echo"))).ok
            assert not origin.faults
            assert origin.connections == 2

    run(main)


def test_an_iterator_that_fails():
    closed = []

    async def fails():
        try:
            yield b"first"
            raise LookupError("my own fault")
        finally:
            closed.append(1)

    async def lost():
        yield b"first"
        raise wirebird.ConnectionLost("of another connection")

    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            with pytest.raises(LookupError, match="my own fault"):
                await client.post(origin.url("/post"), data=fails())
            assert closed == [1]
            with pytest.raises(wirebird.ConnectionLost, match="of another connection"):
                await client.post(origin.url("/post"), data=lost())
            for piece in ("text", 5, None):
                with pytest.raises(wirebird.UsageError) as caught:
                    await client.post(origin.url("/post"), data=iter([b"x", piece]))
                assert caught.value.argument == "data"
            assert client.stats()["in_use"] == 0
            assert not any(asked.complete for asked in origin.asked)
            assert (await client.get(origin.url("/echo"))).ok

    run(main)


def test_files_and_iterators_are_closed_when_nothing_was_sent(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"x")

    async def main():
        async with wirebird.HTTPClient() as client:
            file = path.open("rb")
            with pytest.raises(wirebird.ConnectError):
                await client.post("http://127.0.0.1:1/", data=file)
            assert file.closed
            file = path.open("rb")
            with pytest.raises(wirebird.InvalidHeader):
                await client.post("http://127.0.0.1:1/", data=file, headers={"Content-Length": "7"})
            assert file.closed

    run(main)


# -- the peer has had enough ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", ["close", "abort", "stay"])
def test_an_early_answer_ends_the_upload(tail):
    """RFC 9112 9.5: the response is delivered, what is left of the body is not sent, and the connection is not used again."""

    async def main():
        async def refuse(asked, wire):
            await wire.respond(413, [("Connection", "close")] if tail == "close" else [], b"too much")
            if tail == "stay":
                await origin.release.wait()
            elif tail == "abort":
                wire.close()

        async def endless():
            while True:
                yield b"x" * 10_000
                await asyncio.sleep(0)

        async with Origin() as origin, wirebird.HTTPClient() as client:
            origin.on("/refuse", refuse, early=True)
            response = await client.post(origin.url("/refuse"), data=endless())
            assert response.status_code == 413
            assert await response.text() == "too much"
            assert client.stats()["in_use"] == 0
            assert (await client.get(origin.url("/echo"))).ok
            assert origin.connections == 2

    run(main)


def test_a_peer_that_goes_away_during_the_upload():
    async def main():
        async def vanish(asked, wire):
            await wire.reader.read(1000)
            wire.abort()

        async with Origin() as origin, wirebird.HTTPClient() as client:
            origin.on("/vanish", vanish, early=True)
            with pytest.raises(wirebird.ConnectionLost) as caught:
                await client.post(origin.url("/vanish"), data=pattern(5_000_000))
            assert caught.value.peer == origin.address
            assert client.stats()["in_use"] == 0

    run(main)
