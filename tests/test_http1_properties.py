"""Properties of the HTTP/1.1 parser: any bytes, any cuts.  The examples are the same in every run."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effort import examples
from http1_triples import REQUESTS, RESPONSES, Triple
from wire import Driver, at_random, every_byte, run, whole
from wirebird.errors import ProtocolError
from wirebird.models.limits import DEFAULT_LIMITS, Limits
from wirebird.protocol.http1_events import END, End, State

each = settings(max_examples=examples(300), deadline=None, derandomize=True, database=None)
roles = st.sampled_from(["client", "server"])
methods = st.sampled_from([b"GET", b"HEAD", b"POST", b"CONNECT"])

# -- arbitrary bytes ---------------------------------------------------------------------------------------------------

FRAGMENTS = [
    *(b"GET / HTTP/1.1\r\n", b"POST /x HTTP/1.0\r\n", b"CONNECT a:1 HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200\r\n"),
    *(
        b"HTTP/1.1 204 N\r\n",
        b"HTTP/1.1 100 C\r\n\r\n",
        b"Host: a\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
    ),
    *(b"Connection: close\r\n", b"Upgrade: x\r\n", b"Expect: 100-continue\r\n", b"X: y\r\n", b"\r\n", b"\r\n\r\n", b"0\r\n\r\n"),
    *(b"3\r\nabc\r\n", b"abc", b"5;a=b\r\n", b"0\r\n", b"\r", b"\n", b" ", b":", b"\t", b"\0", b"\xff"),
]
wild = st.one_of(st.binary(max_size=80), st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=3), max_size=14).map(b"".join))


@each
@given(roles, methods, st.lists(wild, max_size=6), st.booleans())
def test_any_bytes_give_events_or_a_protocol_error(role: str, method: bytes, pieces: list[bytes], eof: bool) -> None:
    driver = Driver(role, method)
    sent = sum(len(piece) for piece in pieces)
    try:
        for piece in pieces:
            driver.receive(piece)
        if eof:
            driver.eof()
    except ProtocolError as error:
        assert driver.parser.state is State.FAILED
        assert str(error)
        assert "\n" not in str(error) and "\r" not in str(error)  # a log stays a log
    body = sum(len(event) for event in driver.events if isinstance(event, bytes))
    assert body + sum(head.size for head in driver.heads) + len(driver.parser.leftover) + len(driver.parser._pending) <= sent
    assert len(driver.events) <= sent + 2


@each
@given(roles, methods, wild, st.integers(0, 2**32))
def test_any_cut_gives_the_same(role: str, method: bytes, data: bytes, seed: int) -> None:
    for eof in (False, True):
        expected = run(role, whole(data), method, eof=eof)
        assert run(role, every_byte(data), method, eof=eof) == expected
        assert run(role, at_random(data, Random(seed)), method, eof=eof) == expected


@each
@given(
    roles,
    st.lists(wild, max_size=8),
    st.builds(Limits, start_line=st.integers(20, 40), head_size=st.integers(40, 80), chunk_extension=st.integers(0, 9)),
)
def test_memory_is_bounded(role: str, pieces: list[bytes], limits: Limits) -> None:
    """What is kept is an element that is not complete, within its limit, and what one receive brought behind a message."""
    driver = Driver(role, limits=limits)
    limit = max(limits.head_size, 16 + 1 + limits.chunk_extension + 2)
    try:
        for piece in pieces:
            if driver.parser.state is State.DONE:
                break
            driver.receive(piece)
            assert len(driver.parser._pending) <= limit
            assert len(driver.parser.leftover) <= len(piece)
    except ProtocolError:
        assert not driver.parser._pending


# -- mutated messages --------------------------------------------------------------------------------------------------

triples = [triple for triple in [*RESPONSES.values(), *REQUESTS.values()] if len(triple.data) < 600 and triple.data]


@each
@given(st.sampled_from(triples), st.integers(0, 2**32))
def test_any_cut_of_a_mutated_message_gives_the_same(triple: Triple, seed: int) -> None:
    random = Random(seed)
    data = bytearray(triple.data)
    for _ in range(random.randrange(4)):
        at = random.randrange(len(data) + 1)
        data[at : at + random.randrange(3)] = random.choice([b"", *FRAGMENTS])
    more: dict[str, Any] = {"switching": triple.switching, "limits": triple.limits, "eof": random.random() < 0.5}
    expected = run(triple.role, whole(bytes(data)), triple.method, **more)
    for _ in range(3):
        pieces = at_random(bytes(data), random)
        assert run(triple.role, pieces, triple.method, **more) == expected
        assert run(triple.role, pieces, triple.method, in_place=True, **more) == expected


# -- messages as they should be ----------------------------------------------------------------------------------------

token = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=12).map(str.encode)
text = st.binary(max_size=20).map(lambda value: bytes(byte for byte in value if byte == 9 or 32 <= byte != 127).strip(b" \t"))
names = token.filter(
    lambda name: (
        name.lower()
        not in (b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade", b"content-type")
    )
)
fields = st.lists(st.tuples(names, text), max_size=6)
spaces = st.sampled_from([b"", b" ", b"\t", b" \t "])
bodies = st.lists(st.binary(min_size=1, max_size=40), max_size=5)


def _lines(pairs: list[tuple[bytes, bytes]], space: bytes) -> bytes:
    return b"".join(name + b":" + space + value + space + b"\r\n" for name, value in pairs)


def _chunked(pieces: list[bytes], extension: bytes, trailers: bytes) -> bytes:
    return b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"


@each
@given(
    fields,
    spaces,
    bodies,
    st.sampled_from(["sized", "chunked", "eof"]),
    text,
    fields,
    st.integers(200, 599),
    st.randoms(use_true_random=False),
)
def test_a_response_comes_as_it_was_sent(
    pairs: list[tuple[bytes, bytes]],
    space: bytes,
    pieces: list[bytes],
    framing: str,
    reason: bytes,
    trailers: list[tuple[bytes, bytes]],
    status: int,
    random: Random,
) -> None:
    if status in (204, 304):
        pieces, framing = [], "sized"
    body = b"".join(pieces)
    sent = list(pairs)
    wire = body
    end = END
    if framing == "sized":
        sent.insert(random.randrange(len(sent) + 1), (b"content-LENGTH", b"%d" % len(body)))
    elif framing == "chunked":
        sent.insert(random.randrange(len(sent) + 1), (b"Transfer-Encoding", b"Chunked"))
        lines = _lines(trailers, space)
        wire = _chunked(pieces, random.choice([b"", b";a=b"]), lines)
        end = End(lines) if lines else END
    data = b"HTTP/1.1 %d %b\r\n" % (status, reason) + _lines(sent, space) + b"\r\n" + wire
    for pieces in (whole(data), every_byte(data), at_random(data, random)):
        driver = Driver("client")
        for piece in pieces:
            driver.receive(piece)
        if framing == "eof":
            driver.eof()
        (head,) = driver.heads
        assert (head.status, head.reason) == (status, reason)  # type: ignore[attr-defined]
        assert head.raw_fields == sent
        assert [name for name, _ in head.raw_fields] == [name.encode() for name, _ in head.fields.items()]
        assert driver.events[1:] == ([body, end] if body else [end])
        assert driver.parser.leftover == b""


@each
@given(
    st.lists(
        st.tuples(token, fields, spaces, bodies, st.booleans(), fields).filter(lambda message: message[0] != b"CONNECT"),
        min_size=1,
        max_size=3,
    ),
    st.randoms(use_true_random=False),
)
def test_requests_come_as_they_were_sent(messages: list[Any], random: Random) -> None:
    data = b""
    expected: list[Any] = []
    for method, pairs, space, pieces, chunked, trailers in messages:
        body = b"".join(pieces)
        sent = [*pairs, (b"Host", b"a.test:80")]
        end = END
        wire = body
        if chunked:
            sent.append((b"transfer-encoding", b"chunked"))
            lines = _lines(trailers, space)
            wire = _chunked(pieces, b"", lines)
            end = End(lines) if lines else END
        elif body:
            sent.append((b"Content-Length", b"%d" % len(body)))
        random.shuffle(sent)
        data += random.choice([b"", b"\r\n"]) + method + b" /a?b HTTP/1.1\r\n" + _lines(sent, space) + b"\r\n" + wire
        expected.append((method, sent, [body] if body else [], end))
    for pieces in (whole(data), every_byte(data), at_random(data, random)):
        driver = Driver("server")
        for piece in pieces:
            driver.receive(piece)
        found = []
        heads = iter(driver.heads)
        body_events: list[bytes] = []
        for event in driver.events:
            if isinstance(event, End):
                head = next(heads)
                found.append((head.method, head.raw_fields, body_events, event))  # type: ignore[attr-defined]
                body_events = []
            elif isinstance(event, bytes):
                body_events.append(event)
        assert found == expected


@pytest.mark.parametrize("role", ["client", "server"])
def test_every_two_bytes_at_the_start(role: str) -> None:
    """All the ways to open a connection, and all to go on behind a line: never anything but an event or an error."""
    openings = [b""] if role == "client" else [b"", b"\r\n"]
    openings.append(b"HTTP/1.1 200 OK\r\n" if role == "client" else b"GET / HTTP/1.1\r\n")
    for opening in openings:
        for first in range(256):
            for second in (0, 9, 10, 13, 32, 47, 58, 65, 72, 127, 128, 255):
                data = opening + bytes((first, second))
                assert run(role, whole(data)) == run(role, every_byte(data))


def test_default_limits_are_those_of_the_documentation() -> None:
    assert Limits(8192, 65536, 128, 256, 16384, 16, 1) == DEFAULT_LIMITS
