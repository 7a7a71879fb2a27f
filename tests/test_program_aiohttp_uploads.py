"""What aiohttp's quickstart says of request bodies: S3-28, S3-29, S3-40 to S3-51.

The examples are in `tests/seed_programs/aiohttp/`, with the import line changed and nothing else; `seed` runs each by the façade
and by aiohttp itself.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiohttp_seed import AiohttpSeed, origin, place, seed
from origin import pattern

URL = "http://httpbin.org/post"
# A file for a form is read as one of Excel's is: not as text.
SHEET = b"\xd0\xcf\x11\xe0" + pattern(5000)


def test_json_request(seed: AiohttpSeed):
    seed.type("json_request", url=URL)
    assert (seed.asked.headers["content-type"], seed.asked.body) == ("application/json", b'{"test": "object"}')


def test_json_serialize(seed: AiohttpSeed):
    """ujson leaves no blank behind the colon."""
    pytest.importorskip("ujson")
    seed.type("json_serialize", url=URL)
    assert (seed.asked.headers["content-type"], seed.asked.body) == ("application/json", b'{"test":"object"}')


def test_form(seed: AiohttpSeed, capsys):
    seed.type("form")
    assert json.loads(capsys.readouterr().out)["form"] == {"key1": "value1", "key2": "value2"}
    assert seed.asked.headers["content-type"] == "application/x-www-form-urlencoded"


def test_binary_body(seed: AiohttpSeed):
    seed.type("binary_body", url=URL)
    assert (seed.asked.headers["content-type"], seed.asked.body) == ("application/octet-stream", b"\x00Binary-data\x00")


def test_json_body(seed: AiohttpSeed):
    seed.type("json_body", url=URL)
    assert json.loads(seed.asked.body) == {"example": "test"}


def test_text_body(seed: AiohttpSeed):
    seed.type("text_body", url=URL)
    assert (seed.asked.headers["content-type"], seed.asked.body) == ("text/plain; charset=utf-8", "Тест".encode())
    assert seed.asked.headers["content-length"] == "8"


@pytest.mark.parametrize("name", ["multipart_file", "multipart_form_data"])
def test_multipart(name: str, seed: AiohttpSeed):
    """The type of the file is guessed from its name, or given; a file that is sent is closed."""
    Path("report.xls").write_bytes(SHEET)
    names = seed.type(name)
    file = {"field": "file", "type": "application/vnd.ms-excel", "data": SHEET.decode("latin-1")}
    assert seed.asked.echo("http")["files"] == {"report.xls": file}
    assert names["_"].status == 200
    if name == "multipart_file":
        assert names["files"]["file"].closed


def test_upload_file(seed: AiohttpSeed):
    """Streamed, with a length that is known."""
    Path("massive-body").write_bytes(pattern(700_000))
    seed.type("upload_file")
    assert (seed.asked.body, seed.asked.chunked) == (pattern(700_000), False)
    assert seed.asked.headers["content-length"] == "700000"


def test_upload_generator(seed: AiohttpSeed, capsys):
    aiofiles = pytest.importorskip("aiofiles")
    Path("huge_file").write_bytes(pattern(300_000))
    seed.type("upload_generator", aiofiles=aiofiles)
    assert json.loads(capsys.readouterr().out)["data"] == pattern(300_000).decode()
    assert seed.asked.chunked


def test_chain(seed: AiohttpSeed):
    """One response's stream is the next request's body; a session call without a block is awaited."""
    names = seed.type("chain")
    assert [asked.method for asked in seed.place.asked] == ["GET", "POST"]
    assert seed.asked.body == b"<title>Google</title>"
    assert (names["resp"].status, seed.place.hosts) == (200, ["python.org", "httpbin.org"])
