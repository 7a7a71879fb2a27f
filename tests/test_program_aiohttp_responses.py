"""What aiohttp's quickstart says of responses: S3-23 to S3-37.

The examples are in `tests/seed_programs/aiohttp/`, with the import line changed and nothing else; `seed` runs each by the façade
and by aiohttp itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiohttp_seed import EVENTS, AiohttpSeed, origin, place, seed


async def events(session: Any) -> dict[str, Any]:
    """The response that an example takes for granted: that of the example before it."""
    return {"resp": await session.get("https://api.github.com/events")}


def test_events_text(seed: AiohttpSeed, capsys):
    """Over TLS; the charset is that of the Content-Type."""
    seed.type("events_text")
    assert capsys.readouterr().out == f"200\n{EVENTS}\n"


def test_encoding(seed: AiohttpSeed):
    """UTF-8 read as something else."""
    assert seed.type("encoding", events)["_"] == EVENTS.encode().decode("windows-1251")


def test_binary_response(seed: AiohttpSeed, capsys):
    seed.type("binary_response", events)
    assert capsys.readouterr().out == f"{EVENTS.encode()!r}\n"


def test_events_json(seed: AiohttpSeed, capsys):
    seed.type("events_json")
    assert capsys.readouterr().out == f"{json.loads(EVENTS)}\n"


def test_stream_some(seed: AiohttpSeed):
    """The rest is left unread, and the session closes with nothing left open."""
    names = seed.type("stream_some")
    assert isinstance(names["resp"].content, seed.aiohttp.StreamReader)
    assert names["resp"].closed


def test_stream_to_file(seed: AiohttpSeed, tmp_path: Path):
    seed.type("stream_to_file", events, filename=tmp_path / "events.json", chunk_size=100)
    assert (tmp_path / "events.json").read_text("utf-8") == EVENTS
