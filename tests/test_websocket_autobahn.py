"""The Autobahn catalogue: the cases of `autobahn.py`, in both roles and several segmentations."""

from __future__ import annotations

import os
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from random import Random

import pytest

from autobahn import (
    BIG,
    COMPRESSED,
    COUNTS,
    FAIL_FAST,
    FAIL_FAST_CHOPS,
    FRAME,
    MANY,
    SMALL,
    Big,
    Case,
    Compressed,
    Many,
    catalogue,
)
from compressible import compressible
from effort import ALL
from websocket_subject import ROLES, Subject
from websocket_wire import (
    BINARY,
    CLOSE,
    KEY,
    RSV1,
    TEXT,
    Expander,
    Frame,
    Squeezer,
    at_random,
    chops,
    encode,
    mask,
    octets,
    split,
)
from wirebird.protocol.websocket_deflate import Agreed, Deflate

roles = pytest.mark.parametrize("role", ROLES)


def test_every_case_is_there() -> None:
    ids = catalogue()
    assert len(ids) == len(set(ids)) == 301 + 90 + 126
    assert Counter(int(each.partition(".")[0]) for each in ids) == COUNTS
    # Within each group the numbers run on from 1 with no gap.
    last: dict[str, int] = {}
    for each in ids:
        group, _, number = each.rpartition(".")
        assert int(number) == last.get(group, 0) + 1, each
        last[group] = int(number)
    sizes = {
        ("2", "3", "5"): (11, 7, 20),
        ("1.1", "1.2", "4.1", "4.2"): (8, 8, 5, 5),
        tuple(f"6.{n}" for n in range(1, 24)): (3, 4, 2, 4, 5, 11, 4, 2, 4, 3, 5, 8, 5, 10, 1, 3, 5, 5, 5, 7, 8, 34, 7),
        ("7.1", "7.3", "7.5", "7.7", "7.9", "7.13"): (6, 6, 1, 13, 9, 2),
        tuple(f"9.{n}" for n in range(1, 9)): (6, 6, 9, 9, 6, 6, 6, 6),
        ("10.1",): (1,),
        tuple(f"12.{n}" for n in range(1, 6)): (18,) * 5,
        tuple(f"13.{n}" for n in range(1, 8)): (18,) * 7,
    }
    assert last == {group: size for groups, row in sizes.items() for group, size in zip(groups, row, strict=True)}


def test_the_page_says_what_is_run() -> None:
    """docs/websocket-conformance.md: a row for each group, the numbers of its cases, and the tests that run them."""
    page = (Path(__file__).resolve().parents[1] / "docs" / "websocket-conformance.md").read_text("utf-8")
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in re.findall(r"^\| \d.*$", page, re.MULTILINE)]
    assert {int(row[0]): int(row[2]) for row in rows} == COUNTS
    assert f"That is {sum(COUNTS.values())} cases." in page
    run = {"test_case": SMALL, "test_big": BIG, "test_many": MANY, "test_compressed": COMPRESSED}
    for group, _, count, both, passed, tests in rows:
        assert both == "both" and passed.split(",")[0] == count
        assert ("of which 2 non-strict" in passed) == (group == "6") and len(FAIL_FAST_CHOPS) == 2
        named = [cases for test in re.findall(r"`(\w+)`", tests) for cases in [run[test]]]
        assert sum(case.id.partition(".")[0] == group for cases in named for case in cases) == int(count)
    early = [case.id for case in SMALL if case.early]
    assert f"({', '.join(early[:-1])})" in page and f"({early[-1]})" in page


def test_python_agrees_about_utf8() -> None:
    """The marks in the table are right: 6.5 and on are what Python's own decoder takes, and only that."""
    for case in SMALL:
        if case.group == 6:
            payload = b"".join(frame.payload for frame in case.frames)
            assert (payload.decode("utf-8", "ignore").encode() == payload) == (not case.fails), case.id


# -- 1 to 7 ------------------------------------------------------------------------------------------------------------


def _ways(case: Case, subject: Subject) -> Iterator[tuple[str, list[bytes]]]:
    """The stream of a case: as Autobahn cuts it, whole, by frames, by octets, and at random."""
    frames = [subject.wire(frame) for frame in case.frames]
    stream = b"".join(frames)
    if isinstance(case.chop, int):
        yield "chop", chops(stream, case.chop)
    yield "whole", [stream]
    yield FRAME, frames
    if len(stream) < 2000:
        yield "octet", octets(stream)
    random = Random(case.id)
    if ALL:
        yield "random", at_random(stream, random)
    yield "random", at_random(stream, random, most=5 if len(stream) < 2000 else 1000)


@roles
@pytest.mark.parametrize("case", SMALL, ids=[case.id for case in SMALL])
def test_case(case: Case, role: str) -> None:
    for way, pieces in _ways(case, Subject(role)):
        subject = Subject(role)
        subject.feed(pieces)
        _check(case, subject, each_on_its_own=way in (FRAME, "octet"))


def _check(case: Case, subject: Subject, *, each_on_its_own: bool) -> None:
    messages = [
        ("text", frame.payload.decode()) if frame.opcode == TEXT else ("binary", frame.payload)
        for frame in case.answers
        if frame.opcode in (TEXT, BINARY)
    ]
    assert [event for event in subject.events if event[0] in ("text", "binary")] == messages
    sent = subject.sent()
    if not case.fails and not case.closes:
        assert sent == list(case.answers)
        subject.closes_well()
        return
    last = sent.pop()
    answers = list(case.answers)
    assert sent == (answers[: len(sent)] if case.early and not each_on_its_own else answers)
    if case.fails:
        assert subject.code == case.fails
        assert (last.opcode, last.payload[:2]) == (CLOSE, case.fails.to_bytes(2, "big"))
        assert last.payload[2:].decode()  # why
    else:
        assert subject.protocol.error is None
        assert last in case.closes
    subject.is_silent()


@roles
@pytest.mark.parametrize("number", FAIL_FAST)
def test_invalid_utf8_fails_with_its_frame(number: str, role: str) -> None:
    """6.4.1 and 6.4.2 strictly: with the second of three frames, by which it is clear that the text is not UTF-8."""
    frames, failing = FAIL_FAST[number]
    subject = Subject(role)
    for part, frame in enumerate(frames, 1):
        subject.send(frame)
        assert subject.code == (1007 if part >= failing else 0)


@roles
@pytest.mark.parametrize("number", FAIL_FAST_CHOPS)
def test_invalid_utf8_fails_at_the_end_of_its_frame(number: str, role: str) -> None:
    """6.4.3 and 6.4.4, "non-strict": a payload is looked at when it is complete, not piece by piece."""
    case = next(case for case in SMALL if case.id == number)
    (first, second), failing = FAIL_FAST_CHOPS[number]
    subject = Subject(role)
    stream = subject.wire(case.frames[0])
    before = len(stream) - len(case.frames[0].payload)
    parts = (stream[: before + first], stream[before + first : before + second], stream[before + second :])
    for part, piece in enumerate(parts, 1):
        subject.feed(piece)
        assert subject.code == (1007 if part >= failing else 0)


# -- 9 and 10 ----------------------------------------------------------------------------------------------------------

_READ = 256 * 1024  # as much as a loop reads at once


@lru_cache
def _payload(opcode: int, size: int) -> bytes:
    """Any bytes, or text; that of up to 4 MiB has letters of one to three bytes, which fragments cut through."""
    random = Random(opcode)
    letters = "abcdefgh \xe9\u20ac" if size <= 4 * 2**20 else "abcdefgh "
    block = random.randbytes(65521) if opcode == BINARY else "".join(random.choices(letters, k=40000)).encode()
    data = (block * (size // len(block) + 1))[:size]
    if opcode == TEXT:
        data = data.decode("utf-8", "ignore").encode()
        data += b"*" * (size - len(data))
    return data


def _stream(subject: Subject, message: Frame, size: int) -> bytes:
    """`message` in fragments of `size` bytes (0: in one frame).  Very many have one key, for the time's sake."""
    if not size or len(message.payload) // size < 1000:
        return b"".join(map(subject.wire, split(message, size) if size else [message]))
    key = KEY if subject.server else None
    payload = message.payload if key is None else mask(message.payload, key)
    first, middle, last = (
        encode(Frame(opcode, fin=fin), key, claim=size) for opcode, fin in ((message.opcode, False), (0, False), (0, True))
    )
    pieces = chops(payload, size)  # all of one size, which is a multiple of four
    return first + middle.join(pieces[:-1]) + last + pieces[-1]


@roles
@pytest.mark.parametrize("case", BIG, ids=[case.id for case in BIG])
def test_big(case: Big, role: str) -> None:
    message = Frame(case.opcode, _payload(case.opcode, case.size))
    assert len(message.payload) == case.size
    subject = Subject(role, max_size=16 * 2**20)
    subject.feed(chops(_stream(subject, message, case.fragment), case.chop or _READ))
    kind, data = subject.events[0]
    assert len(subject.events) == 1 and kind == ("text" if case.opcode == TEXT else "binary")
    assert (data.encode() if case.opcode == TEXT else data) == message.payload
    assert subject.sent() == [message]
    subject.out.clear()
    subject.closes_well()


@roles
@pytest.mark.parametrize("case", MANY, ids=[case.id for case in MANY])
def test_many(case: Many, role: str) -> None:
    subject = Subject(role)
    block = _payload(case.opcode, 2 * 4096)
    for number in range(1000):
        payload = block[number : number + case.size] if case.opcode == BINARY else (b"%d" % number * case.size)[: case.size]
        message = Frame(case.opcode, payload)
        subject.send(message)
        assert subject.sent() == [message]
        subject.out.clear()
    assert len(subject.events) == 1000
    subject.closes_well()


# -- 12 and 13 ---------------------------------------------------------------------------------------------------------

# Autobahn sends 1000 messages in each of these cases, 10.9 GB in all.  A run of the tests sends 2 to 30 of them, 28 MB to each
# role; `AUTOBAHN_MESSAGES=1000` has them all.
_MESSAGES = int(os.environ.get("AUTOBAHN_MESSAGES", 0))


def _parameters(value: str) -> dict[str, str]:
    name, *rest = (part.strip(" ") for part in value.split(";"))
    assert name == "permessage-deflate"
    pairs = (part.partition("=") for part in rest)
    return {key: number for key, _, number in pairs}


def _agree(case: Compressed, role: str) -> tuple[Agreed, Squeezer, Expander]:
    """What the two agree on: the subject by the library, the peer by its own reading of the words on the wire."""
    if role == "server":
        answered = Deflate().answer([case.offer])
        assert answered is not None
        agreed, answer = answered
        words, asked = _parameters(answer), _parameters(case.offer.partition(",")[0])
        assert "server_no_context_takeover" not in asked or "server_no_context_takeover" in words
        assert int(words.get("server_max_window_bits", 15)) <= int(asked.get("server_max_window_bits", 15))
        assert "client_max_window_bits" not in words  # it was not offered
        expander = Expander(int(words.get("server_max_window_bits", 15)), takeover="server_no_context_takeover" not in words)
        return agreed, Squeezer(takeover="client_no_context_takeover" not in words), expander
    deflate = Deflate(client_max_window_bits=15)
    assert "client_max_window_bits" in _parameters(deflate.offer())
    agreed = deflate.accept([case.answer])
    assert agreed is not None
    words = _parameters(case.answer)
    return (
        agreed,
        Squeezer(),
        Expander(int(words.get("client_max_window_bits", 15)), takeover="client_no_context_takeover" not in words),
    )


@roles
@pytest.mark.parametrize("case", COMPRESSED, ids=[case.id for case in COMPRESSED])
def test_compressed(case: Compressed, role: str) -> None:
    agreed, squeezer, expander = _agree(case, role)
    subject = Subject(role, deflate=agreed, compress=True)
    kind, data = compressible(case.data)
    random = Random(case.id)
    pos = 0
    sent = got = 0
    for _ in range(_MESSAGES or min(30, max(2, 98304 // case.size))):
        payload = (data[pos:] + data)[: case.size]
        pos = (pos + case.size) % len(data)
        frame = Frame(kind, squeezer.squeeze(payload), rsv=RSV1)
        frames = split(frame, case.fragment) if case.fragment else [frame]
        sent += len(frame.payload)
        stream = b"".join([subject.wire(each) for each in frames])
        subject.feed(at_random(stream, random) if len(stream) < 1000 else chops(stream, _READ))
        assert subject.events.pop() == (("text", payload.decode()) if kind == TEXT else ("binary", payload))
        echo, *rest = subject.sent()
        assert (echo.opcode, echo.fin, echo.rsv, rest) == (kind, True, RSV1, [])
        assert expander.expand(echo.payload) == payload
        got += len(echo.payload)
        subject.out.clear()
    assert not subject.events
    assert got < 2 * sent + 100 * agreed.threshold  # it does compress
    subject.closes_well()


def test_the_peer_of_these_tests_notices_a_window_that_is_too_wide() -> None:
    """13.3 and 13.5 can fail: what was compressed with a window of 15 bits is not to be had with one of 9."""
    _, data = compressible("json")
    with pytest.raises(zlib.error):
        Expander(9).expand(Squeezer(15).squeeze(data[:8192]))
    with pytest.raises(zlib.error):
        expander, squeezer = Expander(15, takeover=False), Squeezer(15)
        for _ in range(2):
            expander.expand(squeezer.squeeze(data[:8192]))
