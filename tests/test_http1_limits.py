"""Limits of the HTTP/1.1 parser: where exactly they lie, that they hold in every segmentation, and that time stays linear."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from time import process_time
from typing import Any

import pytest

from effort import some
from http1_triples import CHUNKED, GET, OK, POST_CHUNKED
from wire import Driver, at_random, every_byte, run, whole
from wirebird.errors import InvalidRequest, InvalidResponse, LimitExceeded, ProtocolError, UsageError
from wirebird.models.limits import DEFAULT_LIMITS, Limits
from wirebird.protocol.http1_events import END
from wirebird.protocol.http1_parser import Parser

START = (LimitExceeded, 414, "start_line")
SIZE = (LimitExceeded, 431, "head_size")
FIELDS = (LimitExceeded, 431, "head_fields")
EXTENSION = (LimitExceeded, 400, "chunk_extension")
EXTENSIONS = (LimitExceeded, 413, "extensions_total")
BAD = {"server": (InvalidRequest, 400), "client": (InvalidResponse, None)}


def _segmentations(data: bytes) -> Iterator[list[bytes]]:
    yield whole(data)
    if len(data) < 20_000:
        yield every_byte(data)
    else:  # at the start, where lines are long, and around the size of a head
        yield [*every_byte(data[:300]), data[300:65400], *every_byte(data[65400:])]
    for seed in range(some(6, 2)):
        yield at_random(data, Random(seed))
    for size in (8191, 8192, 8193, 65535, 65536, 65537):
        if size < len(data):
            yield [data[:size], data[size:]]
            yield [data[: size - 1], data[size - 1 : size + 1], data[size + 1 :]]


def _always(role: str, data: bytes, error: tuple[Any, ...] | None, limits: Limits = DEFAULT_LIMITS) -> None:
    for pieces in _segmentations(data):
        assert run(role, pieces, limits=limits).error == error, (data[:40], [len(piece) for piece in pieces][:10])


def _request_line(size: int) -> bytes:
    """A request line of so many bytes, its CRLF included."""
    return b"GET /" + b"a" * (size - 16) + b" HTTP/1.1\r\n"


def _status_line(size: int) -> bytes:
    return b"HTTP/1.1 200 " + b"a" * (size - 15) + b"\r\n"


def _head_of(size: int, opening: bytes) -> bytes:
    return opening + b"X: " + b"x" * (size - len(opening) - 7) + b"\r\n\r\n"


# -- where they lie ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "error"), [(8191, None), (8192, None), (8193, START), (8194, START), (20000, START)])
def test_start_line(size: int, error: tuple[Any, ...] | None) -> None:
    assert len(_request_line(size)) == len(_status_line(size)) == size
    _always("server", _request_line(size) + b"Host: a\r\n\r\n", error)
    _always("client", _status_line(size) + b"X: y\r\n\r\n", error)


@pytest.mark.parametrize(("size", "error"), [(65535, None), (65536, None), (65537, SIZE), (65538, SIZE), (70000, SIZE)])
def test_head_size(size: int, error: tuple[Any, ...] | None) -> None:
    assert len(_head_of(size, GET)) == size
    _always("server", _head_of(size, GET), error)
    _always("client", _head_of(size, OK), error)
    _always("client", b"HTTP/1.1 103 E\r\n\r\n" + _head_of(size, OK), error)


@pytest.mark.parametrize(("number", "error"), [(128, None), (129, FIELDS), (1000, FIELDS)])
def test_head_fields(number: int, error: tuple[Any, ...] | None) -> None:
    _always("server", GET + b"A:\r\n" * (number - 1) + b"\r\n", error)
    _always("client", OK + b"A:\r\n" * number + b"\r\n", error)
    _always("server", POST_CHUNKED + b"0\r\n" + b"A:\r\n" * number + b"\r\n", error)
    _always("client", CHUNKED + b"0\r\n" + b"A:\r\n" * number + b"\r\n", error)


@pytest.mark.parametrize(("size", "error"), [(65536, None), (65537, SIZE), (70000, SIZE)])
def test_trailer_size(size: int, error: tuple[Any, ...] | None) -> None:
    _always("server", POST_CHUNKED + b"0\r\n" + _head_of(size, b""), error)
    _always("client", CHUNKED + b"0\r\n" + _head_of(size, b""), error)


@pytest.mark.parametrize("digits", [1, 8, 16])
@pytest.mark.parametrize(
    ("size", "error"), [(0, None), (255, None), (256, None), (257, EXTENSION), (271, EXTENSION), (273, EXTENSION)]
)
def test_chunk_extension(digits: int, size: int, error: tuple[Any, ...] | None) -> None:
    line = b"0" * (digits - 1) + b"1;" + b"e" * size + b"\r\n"
    _always("server", POST_CHUNKED + line + b"x\r\n0\r\n\r\n", error)
    _always("client", CHUNKED + line + b"x\r\n0\r\n\r\n", error)


@pytest.mark.parametrize(("number", "error"), [(64, None), (65, EXTENSIONS)])
def test_extensions_of_a_body(number: int, error: tuple[Any, ...] | None) -> None:
    body = (b"1;" + b"e" * 256 + b"\r\nx\r\n") * number + b"0\r\n\r\n"
    _always("server", POST_CHUNKED + body, error)
    _always("client", CHUNKED + body, error)


def test_informational() -> None:
    one = b"HTTP/1.1 102 P\r\n\r\n"
    _always("client", one * 16 + OK + b"\r\n", None)
    _always("client", one * 17 + OK + b"\r\n", (LimitExceeded, 400, "informational"))
    _always("client", one * 2, (LimitExceeded, 400, "informational"), Limits(informational=1))
    _always("client", one, (LimitExceeded, 400, "informational"), Limits(informational=0))


@pytest.mark.parametrize("cut", [whole, every_byte, lambda data: data.splitlines(True), lambda data: [data[:-18], data[-18:]]])
def test_informational_counts_per_request(cut: Callable[[bytes], list[bytes]]) -> None:
    driver = Driver("client")
    data = b"HTTP/1.1 102 P\r\n\r\n" * 16 + b"HTTP/1.1 204 N\r\n\r\n"
    for _ in range(3):
        assert driver.parser.untouched()
        for piece in cut(data):
            driver.receive(piece)
        driver.parser.expect(b"GET")
        assert driver.parser.untouched()
    assert driver.events == (["102 P 1.1 keep 0"] * 16 + ["204 N 1.1 keep 0", END]) * 3


@pytest.mark.parametrize("allowed", [0, 1, 2, 5])
def test_empty_lines(allowed: int) -> None:
    limits = Limits(empty_lines=allowed)
    _always("server", b"\r\n" * allowed + GET + b"\r\n", None, limits)
    _always("server", (b"\r\n" * allowed + GET + b"\r\n") * 3, None, limits)
    _always("server", b"\r\n" * (allowed + 1) + GET + b"\r\n", (InvalidRequest, 400), limits)
    _always("server", b"\r\n" * (allowed + 1), (InvalidRequest, 400), limits)


@pytest.mark.parametrize("role", ["server", "client"])
def test_small_limits_hold_in_every_segmentation(role: str) -> None:
    data = GET + b"A: b\r\nC: d\r\n\r\n"
    if role == "client":
        data = data.replace(b"GET / HTTP/1.1", b"HTTP/1.1 204 N")
    size = len(data)
    _always(role, data, None, Limits(head_size=size))
    _always(role, data, SIZE, Limits(head_size=size - 1))
    _always(role, data, None, Limits(head_fields=3))
    _always(role, data, FIELDS, Limits(head_fields=2))
    _always(role, data, None, Limits(start_line=16))
    _always(role, data, START, Limits(start_line=15))


@pytest.mark.parametrize(
    "name", ["start_line", "head_size", "head_fields", "chunk_extension", "extensions_total", "informational"]
)
@pytest.mark.parametrize("value", [-1, 1.5, "8", None, True])
def test_a_limit_is_a_number(name: str, value: object) -> None:
    with pytest.raises(UsageError) as caught:
        Limits(**{name: value})  # type: ignore[arg-type]
    assert caught.value.argument == name


def test_an_error_names_its_limit() -> None:
    with pytest.raises(LimitExceeded) as caught:
        Driver("server").receive(_request_line(9000) + b"\r\n")
    assert (caught.value.limit, caught.value.maximum, caught.value.status) == ("start_line", 8192, 414)
    assert "8192" in str(caught.value)


# -- two faults in one message: the first byte at fault decides, however it comes -----------------------------------------

FIELD_LINES = b"A: b\r\n" * 200
LONG = b"x" * 9000
TWO_FAULTS = [
    ("server", b"GET /" + b"a" * 100 + b"\n" + LONG + b"\r\n\r\n", BAD["server"]),
    ("server", b"GET /" + LONG + b"\n" + b"\r\n\r\n", START),
    ("server", b"GET /" + b"a" * 8186 + b"\n\r\n\r\n", BAD["server"]),
    ("server", b"GET /" + b"a" * 8187 + b"\n\r\n\r\n", START),
    ("server", b"\x16" + LONG + b"\r\n\r\n", BAD["server"]),
    ("server", b"\x16" + FIELD_LINES + b"\r\n", BAD["server"]),
    ("server", b"(GET / HTTP/1.1\r\n" + FIELD_LINES + b"\r\n", BAD["server"]),
    ("server", b"\r\n\r\n" + GET + FIELD_LINES + b"\r\n", BAD["server"]),
    ("server", b"\r" + GET + FIELD_LINES + b"\r\n", BAD["server"]),
    ("server", GET + FIELD_LINES + b"A: b\n" + FIELD_LINES + b"\r\n", BAD["server"]),
    ("server", GET + b"A: b\n" + FIELD_LINES + b"\r\n", BAD["server"]),
    ("server", GET + b"A : b\r\n" + FIELD_LINES + b"\r\n", FIELDS),  # the grammar is looked at when all of it is there
    ("server", GET + b"A: " + b"x" * 65504 + b"\n" + b"x" * 100 + b"\r\n\r\n", BAD["server"]),
    ("server", GET + b"A: " + b"x" * 65508 + b"\n" + b"x" * 100 + b"\r\n\r\n", BAD["server"]),
    ("server", GET + b"A: " + b"x" * 65509 + b"\n" + b"x" * 100 + b"\r\n\r\n", SIZE),
    ("server", GET + b"A: " + b"x" * 70000 + b"\n" + b"\r\n\r\n", SIZE),
    ("server", GET + FIELD_LINES * 100 + b"\r\n", SIZE),
    ("client", b"HTTP/2.0 200 OK\r\n" + FIELD_LINES + b"\r\n", BAD["client"]),
    ("client", b"HTTP/2.0 " + LONG + b"\r\n\r\n", BAD["client"]),
    ("client", b"X" * 70000, BAD["client"]),
    ("client", b"HTTP/1.1 200 " + LONG + b"\n\r\n\r\n", START),
    ("client", OK + FIELD_LINES + b"A: b\n\r\n\r\n", BAD["client"]),
    ("client", OK + b"A: " + b"x" * 70000 + b"\n\r\n\r\n", SIZE),
    ("client", b"HTTP/1.1 103 E\r\n\r\n" + OK + FIELD_LINES + b"A: b\n\r\n\r\n", BAD["client"]),
]
for _role, _start in (("server", POST_CHUNKED), ("client", CHUNKED)):
    TWO_FAULTS += [
        (_role, _start + b"0\r\n" + FIELD_LINES + b"A: b\nA: b\r\n\r\n", BAD[_role]),
        (_role, _start + b"0\r\n" + b"\r" + FIELD_LINES + b"\r\n", BAD[_role]),
        (_role, _start + b"0\r\n" + b"A: " + b"x" * 70000 + b"\n\r\n\r\n", SIZE),
        (_role, _start + b"0\r\n" + b"A: " + b"x" * 65000 + b"\n" + b"x" * 1000 + b"\r\n\r\n", BAD[_role]),
        (_role, _start + b"z" * 300 + b"\r\n", BAD[_role]),
        (_role, _start + b"5;\0" + b"e" * 300 + b"\r\n", BAD[_role]),
        (_role, _start + b"5;" + b"e" * 265 + b"\0" + b"e" * 30 + b"\r\n", BAD[_role]),
        (_role, _start + b"5;" + b"e" * 300 + b"\0\r\n", EXTENSION),
        (_role, _start + b"5;" + b"e" * 272 + b"\n", BAD[_role]),
        (_role, _start + b"5;" + b"e" * 273 + b"\n", EXTENSION),
        (_role, _start + b"5;" + b"e" * 272 + b"\r\n", EXTENSION),
        (_role, _start + b"5;" + b"e" * 273 + b"\r\n", EXTENSION),
        (_role, _start + b"5\n" + b"e" * 300 + b"\r\n", BAD[_role]),
        (_role, _start + b"f" * 300 + b"\r\n", BAD[_role]),
    ]


@pytest.mark.parametrize(("role", "data", "error"), TWO_FAULTS)
def test_two_faults(role: str, data: bytes, error: tuple[Any, ...]) -> None:
    _always(role, data, error)


# -- bounded memory ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "opening", "more"),
    [
        ("server", b"GET /", b"a"),
        ("server", GET + b"A: ", b"a"),
        ("server", GET, b"A: b\r\n"),
        ("server", POST_CHUNKED, b"0"),
        ("server", POST_CHUNKED + b"1;", b"e"),
        ("server", POST_CHUNKED, b"1;e=f\r\nx\r\n"),
        ("server", POST_CHUNKED + b"0\r\n", b"A: b\r\n"),
        ("server", POST_CHUNKED + b"0\r\nA: ", b"a"),
        ("server", b"", b"\r\n"),
        ("client", b"HTTP/1.1 200 ", b"a"),
        ("client", OK, b"A: b\r\n"),
        ("client", b"", b"HTTP/1.1 100 C\r\n\r\n"),
        ("client", CHUNKED + b"1;", b"e"),
        ("client", CHUNKED + b"0\r\n", b"A: b\r\n"),
    ],
)
@pytest.mark.parametrize("size", [100, 5000, 100_000])
def test_what_never_ends_is_refused_at_its_limit(role: str, opening: bytes, more: bytes, size: int) -> None:
    """No more is kept than the limit, no more is read than the limit and the one segment that passed it."""
    driver = Driver(role)
    piece = more * (size // len(more) + 1)
    received = 0
    with pytest.raises(ProtocolError):
        driver.receive(opening)
        while received < 10_000_000:
            driver.receive(piece)
            received += len(piece)
            assert len(driver.parser._pending) <= 65537
    assert received <= 65536 + 16384 * 5 + len(piece)
    assert not driver.parser._pending


# -- linear time -------------------------------------------------------------------------------------------------------


def _linear(work: Callable[[int], object], n: int) -> None:
    """Four times the work takes about four times as long; sixteen times would be quadratic.  The best of some rounds counts."""
    for _ in range(3):
        best = []
        for size in (n, 4 * n):
            times = []
            for _ in range(some(3, 2)):
                start = process_time()
                work(size)
                times.append(process_time() - start)
            best.append(min(times))
        if best[1] < 9 * best[0]:
            return
    raise AssertionError(f"{best[0] * 1000:.1f} ms for {n}, {best[1] * 1000:.1f} ms for four times that")


def _fed(role: str, opening: bytes, data: bytes, step: int) -> Parser:
    parser = Parser(server=role == "server")
    if role == "client":
        parser.expect(b"GET")
    parser.receive(opening, len(opening))
    for pos in range(0, len(data), step):
        piece = data[pos : pos + step]
        parser.receive(piece, len(piece))
    return parser


@pytest.mark.parametrize(("role", "opening"), [("server", GET + b"X: "), ("client", OK + b"X: ")])
def test_a_long_head_byte_by_byte(role: str, opening: bytes) -> None:
    _linear(lambda n: _fed(role, opening, b"x" * n + b"\r\n\r\n", 1), 15_000)


def test_a_long_request_line_byte_by_byte() -> None:
    _linear(lambda n: _fed("server", b"GET /", b"x" * n, 1), 2000)


def test_a_long_trailer_section_byte_by_byte() -> None:
    _linear(lambda n: _fed("server", POST_CHUNKED + b"0\r\n", b"X: " + b"x" * n + b"\r\n\r\n", 1), 15_000)


@pytest.mark.parametrize("step", [7, 65536])
@pytest.mark.parametrize(("role", "opening"), [("server", POST_CHUNKED), ("client", CHUNKED)])
def test_tiny_chunks(role: str, opening: bytes, step: int) -> None:
    _linear(lambda n: _fed(role, opening, b"1\r\nx\r\n" * n + b"0\r\n\r\n", step), 8000)


def test_a_pipeline_of_tiny_requests() -> None:
    """What is left of one receive is handed on from request to request: quadratic, if at all, in the size of a buffer alone."""

    def work(n: int) -> None:
        driver = Driver("server")
        for _ in range(n // 1000):
            driver.receive((GET + b"\r\n") * 1000)

    _linear(work, 1000)


@pytest.mark.parametrize(
    "data",
    [
        lambda n: b"x" * n + b"\x10\r\n\r\n",
        lambda n: GET + b"x" * n + b"\x10\r\n\r\n",
        lambda n: GET + b"X:" + b" " * n + b"\x10\r\n\r\n",
        lambda n: GET + b"X: " + b"\t " * (n // 2) + b"\r\n\r\n",
        lambda n: GET + b"Connection: " + b"," * n + b"\r\n\r\n",
        lambda n: GET + b"Connection: " + b"a," * (n // 2) + b"upgrade\r\nUpgrade: x\r\n\r\n",
        lambda n: GET + b"Content-Length: " + b"1" * n + b"\r\n\r\n",
        lambda n: GET + b"Content-Length: " + b"1," * (n // 2) + b"\r\n\r\n",
        lambda n: GET + b"Transfer-Encoding: " + b"chunked," * (n // 8) + b"\r\n\r\n",
        lambda n: b"GET / HTTP/1.1\r\nHost: " + b"a" * n + b"@\r\n\r\n",
        lambda n: b"GET / HTTP/1.1\r\nHost: " + b"[" * n + b"\r\n\r\n",
    ],
)
def test_hostile_heads(data: Callable[[int], bytes]) -> None:
    def work(n: int) -> None:
        hostile = data(n)
        for _ in range(30):
            run("server", whole(hostile))
            run("client", whole(hostile.replace(b"GET / HTTP/1.1", b"HTTP/1.1 200 OK")))

    _linear(work, 15_000)


def test_a_request_line_that_turns_bad_at_its_end() -> None:
    """S71: 8 KiB of x and a control byte; a backtracking pattern takes minutes for it."""

    def work(n: int) -> None:
        for _ in range(200):
            run("server", whole(b"GET /" + b"x" * n + b"\x10 HTTP/1.1\r\n\r\n"))
            run("server", whole(b"x" * n + b"\x10"))

    _linear(work, 2000)


def test_forbidden_trailers_are_dropped_in_linear_time() -> None:
    def work(n: int) -> None:
        for _ in range(30):
            run("client", whole(CHUNKED + b"0\r\nHost: " + b"x" * n + b"\r\nX: " + b"host:" * (n // 5) + b"\r\n\r\n"))

    _linear(work, 7000)
