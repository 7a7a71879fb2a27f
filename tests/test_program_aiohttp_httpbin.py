"""The quickstart's examples for httpbin.org, with httpbin itself, as its package has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from aiohttp_seed import AiohttpSeed, origin, place, seed
from httpd import httpbin
from program_origin import ProgramResolver


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with httpbin() as base:
        yield urlsplit(base).port or 80


def test_httpbin(port: int, seed: AiohttpSeed, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setitem(ProgramResolver.ports, 80, port)
    seed.run("first_request")
    status, _, text = capsys.readouterr().out.partition("\n")
    assert status == "200"
    assert json.loads(text)["headers"]["Host"] == "httpbin.org"
    for name in ("post", "other_methods", "base_url", "params_dict", "params_pairs", "params_text"):
        seed.type(name)
    seed.type("form")
    told = json.loads(capsys.readouterr().out)
    assert (told["form"], told["files"]) == ({"key1": "value1", "key2": "value2"}, {})
    Path("report.xls").write_text("one;two\n")

    async def use(session):
        form = seed.aiohttp.FormData()
        with Path("report.xls").open("rb") as file:
            form.add_field("file", file, filename="report.xls", content_type="application/vnd.ms-excel")
            form.add_field("text", "Тест")
            async with session.post("http://httpbin.org/post", data=form) as response:
                return await response.json()

    told = seed.with_session(use)
    assert (told["form"], told["files"]) == ({"text": "Тест"}, {"file": "one;two\n"})
    assert seed.place.asked == []
