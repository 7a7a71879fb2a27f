"""`wirebird.compat.aiohttp`'s forms: the same assertions for aiohttp's own and for ours, and the same bytes."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import io
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from multidict import MultiDict

from aiohttp_sink import Sink
from wirebird.errors import InvalidHeader

BOTH = ["aiohttp", "wirebird.compat.aiohttp"]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:aiohttp", "ignore:In v4", "ignore:content_transfer_encoding")


@pytest.fixture(params=BOTH)
def form_class(request: pytest.FixtureRequest) -> Any:
    return importlib.import_module(f"{request.param}.formdata").FormData


def body_of(form: Any) -> tuple[bytes, dict[str, str]]:
    """The body with the boundary replaced, and the headers that go with it."""

    async def run() -> tuple[bytes, dict[str, str]]:
        payload = form()
        sink = Sink()
        await payload.write(sink)
        assert payload.size in (None, len(sink.data))
        boundary = getattr(payload, "boundary", None)
        if boundary is None:
            return sink.data, dict(payload.headers)
        assert re.fullmatch("[0-9a-f]{32}", boundary)
        return sink.data.replace(boundary.encode(), b"B"), {
            name: value.replace(boundary, "B") for name, value in payload.headers.items()
        }

    return asyncio.run(run())


async def numbers() -> Any:
    yield b"1"
    yield b"2"


class Named(io.BytesIO):
    name = "/folder/report.xls"


FORMS: dict[str, Any] = {
    "empty": lambda make: make(),
    "dict": lambda make: make({"key1": "value1", "key2": "ä &="}),
    "pairs": lambda make: make([("a", "1"), ("a", "2")]),
    "numbers": lambda make: make({"n": 1, "x": 1.5}),
    "lists": lambda make: make({"n": ["1", "2"]}),
    "multidict": lambda make: make(MultiDict([("a", "1"), ("a", "2")])),
    "mixed": lambda make: make([MultiDict([("a", "1"), ("a", "2")]), ("b", "3")]),
    "charset": lambda make: make({"a": "ä"}, charset="latin-1"),
    "multipart by wish": lambda make: make({"a": "ä"}, default_to_multipart=True),
    "multipart, charset": lambda make: make({"a": "ä"}, charset="latin-1", default_to_multipart=True),
    "empty multipart": lambda make: make(default_to_multipart=True),
    "file": lambda make: make({"file": io.BytesIO(b"\x00\xff")}),
    "named file": lambda make: make({"file": Named(b"\x00\xff")}),
    "a file alone": lambda make: make(Named(b"x")),
    "text file": lambda make: make({"file": io.StringIO("ä")}),
    "bytes": lambda make: make({"b": b"\r\n--"}),
    "bytearray": lambda make: make({"b": bytearray(b"1")}),
    "memoryview": lambda make: make({"b": memoryview(b"1")}),
    "async iterable": lambda make: added(make(default_to_multipart=True), "n", numbers()),
}


def added(form: Any, *args: Any, **kwargs: Any) -> Any:
    form.add_field(*args, **kwargs)
    return form


FORMS |= {
    "file name": lambda make: added(make(), "file", io.BytesIO(b"1"), filename="report.xls"),
    "file name, type": lambda make: added(make(), "f", Named(b"1"), filename="a.xls", content_type="application/vnd.ms-excel"),
    "file name not ASCII": lambda make: added(make(), "f", "1", filename='ä "b".txt'),
    "name not ASCII": lambda make: added(make(), "ä", "1", filename="x"),
    "name to be escaped": lambda make: added(make(), 'a "b\\', "1", filename="x"),
    "not quoted": lambda make: added(make(quote_fields=False), 'ä"\\', "1", filename='ö"\\'),
    "type": lambda make: added(make(), "json", '{"a": 1}', content_type="application/json"),
    "type with a charset": lambda make: added(make(), "t", "ä", content_type="text/plain; charset=latin-1"),
    "transfer encoding": lambda make: added(make(), "b", b"1", content_transfer_encoding="base64"),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_bytes_are_those_of_aiohttp(form: str) -> None:
    theirs, ours = (body_of(FORMS[form](importlib.import_module(f"{module}.formdata").FormData)) for module in BOTH)
    assert ours == theirs


@pytest.mark.parametrize("control", ["\r\n", "\r", "\n", "\0", "\x0b", "\x7f", "a\r\nX-Evil: 1"])
@pytest.mark.parametrize("place", ["name", "filename", "content_type"])
@pytest.mark.parametrize("quoted", [True, False])
def test_nobody_can_add_a_header(form_class: Any, control: str, place: str, quoted: bool) -> None:
    fields = {"name": "n", "value": "v", "filename": "f", "content_type": "text/plain"} | {place: f"a{control}b"}
    with pytest.raises(ValueError, match=r"."):
        form_class(quote_fields=quoted).add_field(**fields)


def test_what_may_not_be_sent_is_named() -> None:
    form = importlib.import_module("wirebird.compat.aiohttp.formdata").FormData()
    for place in ("name", "filename", "content_type"):
        with pytest.raises(InvalidHeader) as caught:
            form.add_field(**({"name": "n", "value": "v"} | {place: "a\r\n"}))
        assert caught.value.argument == place


@pytest.mark.parametrize("keyword", ["filename", "content_type", "content_transfer_encoding"])
def test_a_keyword_that_is_no_text(form_class: Any, keyword: str) -> None:
    with pytest.raises(TypeError):
        form_class().add_field("name", "value", **{keyword: 1})


@pytest.mark.parametrize("fields", ["text", 1, [("a", "b", "c")], ["a"], None])
def test_fields_that_are_none(form_class: Any, fields: Any) -> None:
    with pytest.raises(TypeError):
        form_class(fields)


@pytest.mark.parametrize("value", [1, None, {"a": 1}, object()])
def test_a_value_that_no_part_can_hold(form_class: Any, value: Any) -> None:
    form = form_class({"a": value}, default_to_multipart=True)
    with pytest.raises(TypeError):
        form()


def test_a_form_can_be_made_twice_and_is_the_same(form_class: Any) -> None:
    form = form_class({"a": io.BytesIO(b"1")})
    first = body_of(form)
    assert body_of(form) == first
    form.add_field("b", "2")
    assert b'name="b"' in body_of(form)[0]


def test_is_multipart(form_class: Any) -> None:
    assert not form_class({"a": "1"}).is_multipart
    assert form_class({"a": io.BytesIO()}).is_multipart
    assert form_class(default_to_multipart=True).is_multipart


def test_a_file_of_the_disk(form_class: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.xls"
    path.write_bytes(b"\0" * 700_000)
    with path.open("rb") as file:
        form = form_class({"file": file})
        body, headers = body_of(form)
    assert body.count(b"\0") == 700_000
    assert b'; filename="report.xls"' in body
    assert headers == {"Content-Type": "multipart/form-data; boundary=B"}


def test_nothing_is_said_aloud() -> None:
    form = importlib.import_module("wirebird.compat.aiohttp.formdata").FormData
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        form({"a": b"1" * 2_000_000})()


def test_the_signatures_are_those_of_aiohttp() -> None:
    theirs, ours = (importlib.import_module(f"{module}.formdata").FormData for module in BOTH)
    for name in ("__init__", "add_field", "add_fields"):
        expected, found = (inspect.signature(getattr(cls, name)).parameters for cls in (theirs, ours))
        assert [(p.name, p.kind, p.default) for p in found.values()] == [(p.name, p.kind, p.default) for p in expected.values()]
