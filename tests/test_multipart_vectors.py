"""The vectors of multipart bodies, as forms that a real server receives: whole, and cut into pieces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raw_peer import run
from web_wire import Answer, ask, chunked, cut, request, serving
from wirebird import web

_places = [folder / "shared" / "vectors" / "multipart.json" for folder in Path(__file__).resolve().parents]
VECTORS = next((place for place in _places if place.exists()), None)

# Where this library decides otherwise than a vector; none of these is of grade A.
OTHERWISE = {
    "bad_initial_boundary": "another boundary in front of the first delimiter is preamble, which is ignored (RFC 2046 5.1.1)",
    "single_field_blocks": "the boundary that is announced is not the one in the body; no parser agrees",
}


def vectors() -> list[dict[str, Any]]:
    return json.loads(VECTORS.read_text())["vectors"] if VECTORS is not None else []


async def echo(asked: web.Request) -> web.Response:
    form = await asked.post()
    parts = []
    for name, value in form.items():
        if isinstance(value, web.FileField):
            data = await value.read()
            assert value.size == len(data)
            parts.append([name, value.filename, value.content_type, data.decode("latin-1")])
        else:
            parts.append([name, None, None, (value.encode() if isinstance(value, str) else value).decode("latin-1")])
    return web.json_response(parts)


@pytest.mark.skipif(VECTORS is None, reason="the vectors do not stand beside the project")
def test_the_vectors_are_there() -> None:
    assert len(vectors()) > 90
    assert {one["name"] for one in vectors()} >= OTHERWISE.keys()


@pytest.fixture(scope="module")
def answers() -> dict[str, list[Answer]]:
    """What one server says to each vector: whole, and in chunks of 1 and 7 bytes (of a long one 500 and 3500)."""
    found: dict[str, list[Answer]] = {}

    async def main() -> None:
        async with serving(echo) as server:
            for vector in vectors():
                raw = vector["raw"].encode("latin-1")
                kind = f'Content-Type: multipart/form-data; boundary="{vector["boundary"]}"'
                scale = 1 if len(raw) < 5000 else 500
                sent = [request(raw, kind), *(chunked(cut(raw, size * scale), kind) for size in (1, 7))]
                found[vector["id"]] = [await ask(server, data, 1000) for data in sent]

    run(main)
    return found


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: f"{vector['id']} {vector['name']}")
def test_vector(vector: dict[str, Any], answers: dict[str, list[Answer]]) -> None:
    first, *others = [(one.status, one.body) for one in answers[vector["id"]]]
    assert others == [first, first]
    check(vector, *first)


def check(vector: dict[str, Any], status: int, body: bytes) -> None:
    expected = vector["expect"]
    if vector["name"] in OTHERWISE:
        assert vector["grade"] != "A"
        return
    assert status in (200, 400), body
    if status == 400:
        assert expected["outcome"] != "ok"
        return
    assert expected["outcome"] != "error"
    wanted = expected.get("parts") or []
    found = [tuple(one) for one in json.loads(body)]
    if wanted:
        described = [describe(one) for one in wanted]
        assert found in ([[one] for one in described] if vector.get("alternatives") else [described])


def describe(part: dict[str, Any]) -> tuple[str, str | None, str | None, str]:
    kind = None
    if part["filename"] is not None:
        kind = (part["content_type"] or "application/octet-stream").partition(";")[0]
    return part["name"], part["filename"], kind, part["data"]
