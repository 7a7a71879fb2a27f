"""Event streams without I/O: (bytes, events) pairs at every cut, the fast way against the plain one, limits, and time."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wirebird.errors import LimitExceeded, ProtocolError, UsageError
from wirebird.protocol.sse import EventParser, ServerEvent


def events_of(data: bytes, size: int = 0, parser: EventParser | None = None) -> list[ServerEvent]:
    parser = parser or EventParser()
    size = size or max(1, len(data))
    return [event for at in range(0, len(data), size) for event in parser.receive(data[at : at + size])]


def by_the_book(data: bytes) -> tuple[list[ServerEvent], str, int | None]:
    """WHATWG HTML 9.2.6, step by step, for a stream that is there as a whole."""
    lines = re.split("\r\n|\n|\r", data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace"))[:-1]
    found: list[ServerEvent] = []
    buffer, kind, identity, last, retry, time_of = "", "", "", "", None, None
    for line in lines:
        if line == "":
            last = identity
            if buffer:
                found.append(ServerEvent(kind or "message", buffer[:-1], identity, time_of))
            buffer, kind, time_of = "", "", None
            continue
        if line.startswith(":"):
            continue
        name, colon, value = line.partition(":")
        if colon and value[:1] == " ":
            value = value[1:]
        if name == "event":
            kind = value
        elif name == "data":
            buffer += value + "\n"
        elif name == "id" and "\0" not in value:
            identity = value
        elif name == "retry" and re.fullmatch("[0-9]+", value):
            retry = time_of = int(value)
    return found, last, retry


def message(data: str, identity: str = "", event: str = "message", retry: int | None = None) -> ServerEvent:
    return ServerEvent(event, data, identity, retry)


TRIPLES = {
    "one": (b"data: a\n\n", [message("a")]),
    "no space": (b"data:a\n\n", [message("a")]),
    "two spaces": (b"data:  a\n\n", [message(" a")]),
    "tab": (b"data:\ta\n\n", [message("\ta")]),
    "only a field name": (b"data\n\n", [message("")]),
    "two lines": (b"data: a\ndata: b\n\n", [message("a\nb")]),
    "two empty lines of data": (b"data:\ndata\n\n", [message("\n")]),
    "cr": (b"data: a\rdata: b\r\rdata: c\r\r", [message("a\nb"), message("c")]),
    "crlf": (b"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", [message("a\nb"), message("c")]),
    "all line ends": (b"data: a\r\ndata: b\rdata: c\n\r\n", [message("a\nb\nc")]),
    "cr lf lf is two ends": (b"data: a\r\n\n", [message("a")]),
    "a last cr": (b"data: a\n\r", [message("a")]),
    "bom": (b"\xef\xbb\xbfdata: a\n\n", [message("a")]),
    "a bom later": (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [message("a")]),
    "half a bom": (b"\xef\xbbdata: a\n\ndata: b\n\n", [message("b")]),
    "comments": (b": hello\n:\ndata: a\n: b\n\n", [message("a")]),
    "a comment is no event": (b": hello\n\n", []),
    "unknown fields": (b"Data: a\ndata : b\n data: c\nfoo\ndata: d\n\n", [message("d")]),
    "event": (b"event: x\ndata: a\n\ndata: b\n\n", [message("a", event="x"), message("b")]),
    "an event without data": (b"event: x\n\ndata: b\n\n", [message("b")]),
    "an empty event": (b"event:\ndata: a\n\n", [message("a")]),
    "id": (b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", [message("a", "1"), message("b", "1"), message("c")]),
    "id without data": (b"id: 1\n\ndata: a\n\n", [message("a", "1")]),
    "id with nul": (b"id: 1\ndata: a\n\nid: 2\x00\ndata: b\n\n", [message("a", "1"), message("b", "1")]),
    "retry": (b"retry: 10\ndata: a\n\ndata: b\n\n", [message("a", retry=10), message("b")]),
    "bad retries": ("retry: 1.0\nretry: -1\nretry: +1\nretry: 1 \nretry: ٣\nretry:\ndata: a\n\n".encode(), [message("a")]),
    "no end": (b"data: a\n\ndata: b\n", [message("a")]),
    "colons": (b"data: a: b:c\n\n", [message("a: b:c")]),
    "utf-8": ("data: ä€😀\n\n".encode(), [message("ä€😀")]),
    "bad utf-8": (b"data: \xff\xc3\n\ndata: \xe2\x82\n\n", [message("�\ufffd"), message("�")]),
    "other line ends are none": ("data: a\x0bb\x0cc\x85d\u2028e\n\n".encode(), [message("a\x0bb\x0cc\x85d\u2028e")]),
    "nul": (b"data: a\x00b\n\n", [message("a\0b")]),
    "what looks like two": (b"data: a\n\ndata: b\nid: 7\n\n", [message("a"), message("b", "7")]),
    "without the space": (b"data: a\n\ndata:b\n\n", [message("a"), message("b")]),
    "empty data": (b"data: \n\ndata: \n\n", [message(""), message("")]),
}


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("name", TRIPLES)
def test_streams(name: str, size: int) -> None:
    data, expected = TRIPLES[name]
    assert events_of(data, size) == expected
    assert by_the_book(data)[0] == expected


@pytest.mark.parametrize("name", TRIPLES)
def test_streams_cut_in_two_anywhere(name: str) -> None:
    data, expected = TRIPLES[name]
    for at in range(len(data) + 1):
        parser = EventParser()
        assert parser.receive(data[:at]) + parser.receive(b"") + parser.receive(data[at:]) == expected


_PARTS = (
    *("data: ", "data:", "data", "event: ", "id: ", "id", "retry: ", "retry:", ":", " ", "\n", "\n\n", "\r", "\r\n", "\r\n\r\n"),
    *("12", "{}", "\0", "\ufeff", "ä", "😀", "x"),
)
STREAMS = st.lists(
    st.one_of(
        st.sampled_from([part.encode() for part in _PARTS]),
        st.sampled_from([b"data: a\n\n", b'data: {"a": 1}\n\n', b"data: a\ndata: b\n\n", b"event: e\ndata: a\n\n", b": c\n\n"]),
        st.binary(max_size=3),
    ),
    max_size=30,
).map(b"".join)


@given(STREAMS, st.lists(st.integers(0, 60), max_size=12))
@example(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\r", [1, 2, 3])
def test_any_cut_gives_what_the_standard_says(data: bytes, cuts: list[int]) -> None:
    expected = by_the_book(data)
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))], list(cut_at(data, cuts))):
        parser = EventParser()
        assert [event for piece in pieces for event in parser.receive(piece)] == expected[0]
        assert (parser.last_event_id, parser.retry) == expected[1:]


@given(STREAMS, st.lists(st.integers(0, 60), max_size=12), st.integers(1, 12), st.integers(1, 12))
def test_limits_do_not_depend_on_the_cut(data: bytes, cuts: list[int], max_line: int, max_event: int) -> None:
    outcomes = []
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))], list(cut_at(data, cuts))):
        parser = EventParser(max_line, max_event)
        events: list[ServerEvent] = []
        try:
            for piece in pieces:
                events += parser.receive(piece)
            parser.receive(b"")
        except LimitExceeded as error:
            outcomes.append((events, error.limit, error.maximum))
        else:
            outcomes.append((events, "", 0))
    assert outcomes[1:] == outcomes[:-1]


def cut_at(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    at = 0
    for size in cuts:
        yield data[at : at + size]
        at += size
    yield data[at:]


def test_what_an_event_is() -> None:
    (event,) = events_of(b'event: delta\nid: 7\nretry: 20\ndata: {"a": [1]}\n\n')
    assert (event.event, event.data, event.id, event.retry) == ("delta", '{"a": [1]}', "7", 20)
    assert event.json() == {"a": [1]}
    assert event.json(len) == 10
    assert repr(event) == """ServerEvent(event='delta', data='{"a": [1]}', id='7', retry=20)"""
    with pytest.raises(ValueError):
        message("[DONE]").json()
    with pytest.raises(AttributeError):
        event.data = ""  # type: ignore[misc]
    assert ServerEvent("message", "a") == message("a")


def test_a_stream_goes_on_from_an_id() -> None:
    parser = EventParser(last_event_id="41")
    assert parser.receive(b"data: a\n\nid: 42\ndata: b\n") == [message("a", "41")]
    assert parser.last_event_id == "41"  # the event with the other is not complete
    assert parser.receive(b"\n") == [message("b", "42")]
    assert parser.last_event_id == "42"


def test_an_id_of_the_event_under_way_is_not_that_of_simple_events() -> None:
    parser = EventParser()
    assert parser.receive(b"id: 1\n") == []
    assert parser.receive(b"data: a\n\ndata: b\n\n") == [message("a", "1"), message("b", "1")]


@pytest.mark.parametrize("name", ["max_line", "max_event"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5, None, "7"])
def test_limits_are_positive_numbers(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=name) as caught:
        EventParser(**{name: value})  # type: ignore[arg-type]
    assert caught.value.argument == name


# -- limits ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 5])
@pytest.mark.parametrize(
    ("data", "limit"),
    [
        (b"data: 012345678901234\n\n", "max_line"),
        (b": a comment that is too long\n\n", "max_line"),
        (b"012345678901234567890", "max_line"),
        (b"data: 0123456\ndata: 0123456\n\n", "max_event"),
        (b"data\n" * 10, "max_event"),
        (b"data:\n" * 10, "max_event"),
    ],
)
def test_what_is_too_long(data: bytes, limit: str, size: int) -> None:
    parser = EventParser(max_line=20, max_event=25)
    good = b"data: 01234567890123\n\n"
    assert events_of(good, size, parser) == [message("01234567890123")]
    with pytest.raises(LimitExceeded, match="event stream") as caught:
        events_of(data, size, parser)
    assert (caught.value.limit, caught.value.maximum) == (limit, getattr(parser, limit))
    assert isinstance(caught.value, ProtocolError)
    with pytest.raises(LimitExceeded):  # and it stays so
        parser.receive(good)


@pytest.mark.parametrize("bad", [b": 01234567890123456789\n", b"data: 0123456\ndata: 0123456\n", b"0123456789012345678901"])
def test_what_came_before_is_given_out(bad: bytes) -> None:
    parser = EventParser(max_line=20, max_event=25)
    assert parser.receive(b"data: a\n\nid: 1\ndata: b\n\n" + bad + b"data: c\n\n") == [message("a"), message("b", "1")]
    assert parser.error is not None
    assert parser.last_event_id == "1"
    with pytest.raises(LimitExceeded):
        parser.receive(b"")


def test_the_limits_are_for_one_line_and_one_event() -> None:
    parser = EventParser(max_line=20, max_event=25)
    assert len(events_of(b"data: 01234567890123\n\n" * 1000, 0, parser)) == 1000
    assert len(events_of(b"event: a\ndata: 01234567\n\n" * 1000, 0, parser)) == 1000
    assert events_of(b": 0123456789\n" * 1000, 0, parser) == []


# -- time and memory ---------------------------------------------------------------------------------------------------------

HOSTILE = {
    "no line end": b"x",
    "noise": bytes(range(14, 256)),
    "invalid utf-8": b"\xe2\x82",
    "empty lines": b"\n",
    "carriage returns": b"\r",
    "lines without meaning": b"x\n",
    "empty data": b"data\n",
    "comments": b":\n",
    "ids": b"id: 0123456789\n",
    "retries": b"retry: 0\n",
    "events": b"data:\n\n",
    "unfinished simple ones": b"data: x\n",
}


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_streams_take_linear_time(name: str, size: int) -> None:
    def cost(total: int) -> float:
        data = (HOSTILE[name] * total)[:total]
        best = 9e9
        for _ in range(2):
            parser = EventParser()
            began = time.process_time()
            events_of(data, size, parser)
            best = min(best, time.process_time() - began)
        return best

    few = 4_000 if size == 1 else 40_000
    assert cost(4 * few) < 4 * cost(few) * 3 + 0.01


def test_a_huge_retry_takes_no_time() -> None:
    """A number of a million digits would take Python seconds, or raise ValueError."""
    parser = EventParser()
    assert parser.receive(b"retry: " + b"9" * 1_000_000 + b"\ndata: a\n\n")[0].retry == 10**300
    assert parser.retry == 10**300


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_streams_take_bounded_memory(name: str) -> None:
    """400 KB in reads of 4 KB, against limits of 20 KB."""
    parser = EventParser(max_line=20_000, max_event=20_000)
    piece = (HOSTILE[name] * 4096)[:4096]
    tracemalloc.start()
    try:
        for _ in range(100):
            parser.receive(piece)
    except LimitExceeded:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 250_000


def test_many_lines_of_one_event_take_little_more_than_their_characters() -> None:
    parser = EventParser()
    piece = b"data:ab\n" * 512
    tracemalloc.start()
    try:
        for _ in range(200):
            assert parser.receive(piece) == []
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 600_000
    (event,) = parser.receive(b"\n")
    assert event.data == "\n".join(["ab"] * 102_400)


def test_tiny_pieces_of_a_long_line_take_no_memory_of_their_own() -> None:
    parser = EventParser(max_line=50_000)
    tracemalloc.start()
    try:
        for at in range(20_000):
            parser.receive(b"%02d" % (at % 100))
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 80_000
