"""The shared vectors for event streams, 116 of them, each read whole, byte by byte, and in pieces of random size."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wirebird.protocol.sse import EventParser

PATH = Path(__file__).resolve().parents[2] / "shared" / "vectors" / "sse.json"
VECTORS: list[Any] = json.loads(PATH.read_text(encoding="utf-8"))["vectors"] if PATH.exists() else []

needs_vectors = pytest.mark.skipif(not VECTORS, reason="the conformance vectors do not stand beside the project")


def whole(data: bytes) -> Iterator[bytes]:
    yield data


def single(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        yield data[at : at + 1]


def scattered(data: bytes) -> Iterator[bytes]:
    sizes = random.Random(len(data))
    at = 0
    while at < len(data):
        size = sizes.choice((1, 2, 3, 7, 50))
        yield data[at : at + size]
        at += size


@needs_vectors
def test_the_corpus_is_whole() -> None:
    assert len(VECTORS) == 116
    assert len({vector["id"] for vector in VECTORS}) == 116


@needs_vectors
@pytest.mark.parametrize("cut", [whole, single, scattered])
@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_stream(vector: dict[str, Any], cut: Callable[[bytes], Iterator[bytes]]) -> None:
    parser = EventParser()
    events = []
    for piece in cut(vector["raw"].encode("latin-1")):
        events += parser.receive(piece)
    assert [{"event": event.event, "data": event.data, "id": event.id} for event in events] == vector["events"]
    assert parser.last_event_id == vector["last_event_id"]
    assert len(vector["retry"]) <= 1  # so that the last one is all of them
    # As JavaScript has them, where the largest were written down: a double.
    assert ([] if parser.retry is None else [float(parser.retry)]) == vector["retry"]
