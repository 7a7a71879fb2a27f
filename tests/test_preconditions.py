"""Conditions of requests, which ranges, which coding: decided without I/O (RFC 9110 12.5.3, 13, 14)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirebird import HttpHeaders
from wirebird.models.dates import format_http_date
from wirebird.protocol.byte_ranges import MOST_RANGES, ByteRange, byte_ranges, content_range
from wirebird.protocol.negotiation import acceptable_codings, choose_coding
from wirebird.protocol.preconditions import Validators, failed_condition, is_entity_tag, may_be_a_part, weak_tag

MODIFIED = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT
CLOCK = MODIFIED + 1_000_000.0
SAME, OLDER, NEWER = (format_http_date(MODIFIED + more) for more in (0, -1, 1))
STRONG = Validators('"a"', MODIFIED)
WEAK = Validators('W/"a"', MODIFIED)
NONE = Validators()


def fields(**given: str) -> HttpHeaders:
    return HttpHeaders([(name.replace("_", "-"), value) for name, value in given.items()])


@pytest.mark.parametrize(
    ("given", "state", "status"),
    [
        ({}, STRONG, None),
        # If-Match: strongly
        ({"if_match": '"a"'}, STRONG, None),
        ({"if_match": '"b"'}, STRONG, 412),
        ({"if_match": '"b", "a"'}, STRONG, None),
        ({"if_match": '"b",,"a"'}, STRONG, None),
        ({"if_match": 'W/"a"'}, STRONG, 412),
        ({"if_match": 'W/"a"'}, WEAK, 412),
        ({"if_match": '"a"'}, WEAK, 412),
        ({"if_match": "*"}, STRONG, None),
        ({"if_match": "*"}, NONE, None),
        ({"if_match": '"a"'}, NONE, 412),
        ({"if_match": "a"}, STRONG, 412),
        ({"if_match": '"a" "b"'}, STRONG, 412),
        ({"if_match": ""}, STRONG, 412),
        # If-Unmodified-Since, only where there is no If-Match
        ({"if_unmodified_since": SAME}, STRONG, None),
        ({"if_unmodified_since": NEWER}, STRONG, None),
        ({"if_unmodified_since": OLDER}, STRONG, 412),
        ({"if_unmodified_since": "yesterday"}, STRONG, None),
        ({"if_unmodified_since": OLDER}, NONE, None),
        ({"if_match": '"a"', "if_unmodified_since": OLDER}, STRONG, None),
        ({"if_match": '"b"', "if_unmodified_since": NEWER}, STRONG, 412),
        # If-None-Match: weakly
        ({"if_none_match": '"a"'}, STRONG, 304),
        ({"if_none_match": 'W/"a"'}, STRONG, 304),
        ({"if_none_match": '"a"'}, WEAK, 304),
        ({"if_none_match": '"b"'}, STRONG, None),
        ({"if_none_match": '"b", W/"a"'}, STRONG, 304),
        ({"if_none_match": "*"}, STRONG, 304),
        ({"if_none_match": "*"}, NONE, 304),
        ({"if_none_match": "a"}, STRONG, None),
        ({"if_none_match": 'w/"a"'}, STRONG, None),
        ({"if_none_match": '"a'}, STRONG, None),
        # If-Modified-Since, only where there is no If-None-Match
        ({"if_modified_since": SAME}, STRONG, 304),
        ({"if_modified_since": NEWER}, STRONG, 304),
        ({"if_modified_since": OLDER}, STRONG, None),
        ({"if_modified_since": "Sunday, 06-Nov-94 08:49:37 GMT"}, STRONG, 304),
        ({"if_modified_since": "Sun Nov  6 08:49:37 1994"}, STRONG, 304),
        ({"if_modified_since": "784111777"}, STRONG, None),
        ({"if_modified_since": SAME}, NONE, None),
        ({"if_none_match": '"b"', "if_modified_since": NEWER}, STRONG, None),
        ({"if_none_match": '"a"', "if_modified_since": OLDER}, STRONG, 304),
        # the order of RFC 9110 13.2.2
        ({"if_match": '"b"', "if_none_match": '"a"'}, STRONG, 412),
        ({"if_match": '"a"', "if_none_match": '"a"'}, STRONG, 304),
        ({"if_unmodified_since": OLDER, "if_none_match": '"a"'}, STRONG, 412),
        ({"if_unmodified_since": SAME, "if_modified_since": SAME}, STRONG, 304),
    ],
)
def test_conditions(given: dict[str, str], state: Validators, status: int | None) -> None:
    assert failed_condition("GET", fields(**given), state, CLOCK) == status
    assert failed_condition("HEAD", fields(**given), state, CLOCK) == status


def test_conditions_of_other_methods() -> None:
    assert failed_condition("PUT", fields(if_none_match="*"), STRONG, CLOCK) == 412
    assert failed_condition("PUT", fields(if_modified_since=NEWER), STRONG, CLOCK) is None
    assert failed_condition("DELETE", fields(if_match='"b"'), STRONG, CLOCK) == 412


def test_a_field_that_is_there_twice() -> None:
    twice = HttpHeaders([("If-Modified-Since", SAME), ("If-Modified-Since", SAME)])
    assert failed_condition("GET", twice, STRONG, CLOCK) is None
    assert failed_condition("GET", HttpHeaders([("If-None-Match", '"b"'), ("If-None-Match", '"a"')]), STRONG, CLOCK) == 304


@pytest.mark.parametrize(
    ("value", "state", "heeded"),
    [
        ('"a"', STRONG, True),
        ('"b"', STRONG, False),
        ('W/"a"', STRONG, False),
        ('W/"a"', WEAK, False),
        ('"a"', WEAK, False),
        ('"a', STRONG, False),
        ('"a", "b"', STRONG, False),
        (SAME, STRONG, True),
        (OLDER, STRONG, False),
        (NEWER, STRONG, False),
        ("*", STRONG, False),
        ("", STRONG, False),
        (SAME, NONE, False),
    ],
)
def test_if_range(value: str, state: Validators, heeded: bool) -> None:
    assert may_be_a_part(fields(if_range=value), state, CLOCK) is heeded


def test_if_range_missing_or_twice() -> None:
    assert may_be_a_part(HttpHeaders(), STRONG, CLOCK)
    assert not may_be_a_part(HttpHeaders([("If-Range", '"a"'), ("If-Range", '"a"')]), STRONG, CLOCK)


def test_tags() -> None:
    assert weak_tag('"a"') == weak_tag('W/"a"') == 'W/"a"'
    for tag in ('""', '"a,b"', 'W/""', '"\u00fc"'):
        assert is_entity_tag(tag)
    for tag in ("a", '"a b"', '"a"b"', 'w/"a"', "", '"\x7f"'):
        assert not is_entity_tag(tag)


# -- ranges ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "size", "ranges"),
    [
        ("bytes=0-0", 10, [(0, 1)]),
        ("bytes=0-9", 10, [(0, 10)]),
        ("bytes=0-", 10, [(0, 10)]),
        ("bytes=3-99", 10, [(3, 10)]),
        ("bytes=-3", 10, [(7, 10)]),
        ("bytes=-99", 10, [(0, 10)]),
        ("BYTES = 1-2", 10, [(1, 3)]),
        ("bytes=1-2 , 4-5", 10, [(1, 3), (4, 6)]),
        ("bytes=4-5,1-2", 10, [(4, 6), (1, 3)]),
        ("bytes=,1-2,,", 10, [(1, 3)]),
        ("bytes=1-2,50-60", 10, [(1, 3)]),
        ("bytes=0000001-0000002", 10, [(1, 3)]),
        # not to be satisfied
        ("bytes=10-", 10, []),
        ("bytes=10-20", 10, []),
        ("bytes=-0", 10, []),
        ("bytes=0-", 0, []),
        ("bytes=0-0", 0, []),
        ("bytes=50-60,70-", 10, []),
        (f"bytes={'9' * 4000}-", 10, []),
        # ignored
        ("bytes=-5", 0, None),
        ("foo", 10, None),
        ("items=0-1", 10, None),
        ("bytes", 10, None),
        ("bytes=", 10, None),
        ("bytes=,", 10, None),
        ("bytes=a-b", 10, None),
        ("bytes=-", 10, None),
        ("bytes=5-2", 10, None),
        ("bytes=1-2,5-2", 10, None),
        ("bytes=1-2-3", 10, None),
        ("bytes=+1-2", 10, None),
        ("bytes=1 -2", 10, None),
        ("bytes=0x1-2", 10, None),
        ("bytes=1_0-20", 100, None),
        ("bytes=\u0660-\u0669", 10, None),
        ("bytes=\uff11-\uff12", 10, None),
        ("bytes=0-4,5-9", 10, None),  # all of it
        ("bytes=0-3,2-5", 10, None),  # the same twice
        ("bytes=" + ",".join(f"{at}-{at}" for at in range(0, 2 * MOST_RANGES + 2, 2)), 1000, None),
    ],
)
def test_ranges(value: str, size: int, ranges: list[tuple[int, int]] | None) -> None:
    assert byte_ranges([value], size) == ranges


def test_most_ranges_and_a_second_field() -> None:
    most = "bytes=" + ",".join(f"{at}-{at}" for at in range(0, 2 * MOST_RANGES, 2))
    assert len(byte_ranges([most], 1000) or ()) == MOST_RANGES
    assert byte_ranges(["bytes=0-0", "bytes=2-2"], 10) is None
    assert content_range(ByteRange(2, 5), 10) == "bytes 2-4/10"


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=6), st.integers(0, 50))
def test_any_ranges(asked: list[tuple[int, int]], size: int) -> None:
    """Whatever is asked: parts are inside, none is empty, no byte is sent twice, and the whole is never shorter."""
    ranges = byte_ranges(["bytes=" + ",".join(f"{start}-{stop}" for start, stop in asked)], size)
    if any(stop < start for start, stop in asked):
        assert ranges is None
        return
    wanted = [set(range(start, min(stop + 1, size))) for start, stop in asked if start < size]
    if ranges is None:
        assert len(wanted) > 1
        assert sum(map(len, wanted)) >= size or any(one & other for one in wanted for other in wanted if one is not other)
    else:
        assert [set(range(*part)) for part in ranges] == wanted


def test_hostile_fields_take_no_time() -> None:
    """S44: ten thousand ranges, and the like for the others."""
    ranges = "bytes=" + ",".join(f"{at}-{at + 5}" for at in range(10_000))
    tags = '"' * 60_000
    begun = time.perf_counter()
    assert byte_ranges([ranges], 1 << 40) is None
    assert byte_ranges(["bytes=" + "0-," * 2_700], 1 << 40) is None
    for text in (tags, 'W/"a ' * 12_000, '"a",' * 15_000, ", \t" * 20_000):
        failed_condition("GET", fields(if_none_match=text), STRONG, CLOCK)
    for text in ("a;q=0." * 10_000, "gzip," * 12_000, " \t" * 30_000, "q" * 60_000):
        choose_coding([text], ("gzip",))
    assert time.perf_counter() - begun < 0.1


# -- codings ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ([], "identity"),
        ([""], "identity"),
        (["gzip"], "gzip"),
        (["GZIP"], "gzip"),
        (["x-gzip"], "gzip"),
        (["gzip, deflate, br, zstd"], "br"),
        (["gzip", "br"], "br"),
        (["br;q=0.5, gzip;q=0.8"], "gzip"),
        (["br; q=0.5 , gzip ;Q=1.000"], "gzip"),
        (["br;q=0, gzip"], "gzip"),
        (["*"], "br"),
        (["*;q=0.5, br;q=0"], "zstd"),
        (["*;q=0"], None),
        (["identity;q=0"], None),
        (["identity;q=0, gzip;q=0.001"], "gzip"),
        (["identity, *;q=0"], "identity"),
        (["*;q=0, identity;q=0.1"], "identity"),
        (["identity;q=1, gzip;q=0.5"], "identity"),
        (["identity, gzip"], "gzip"),
        (["identity;q=0.5, gzip;q=0.4"], "identity"),
        (["deflate"], "identity"),
        (["compress, sdch"], "identity"),
        (["gzip;q=2"], "identity"),
        (["gzip;q=0.0001, br"], "br"),
        (["gzip;q=-1"], "identity"),
        (["gzip;q=\u0661"], "identity"),
        (["gzip;level=1"], "identity"),
        (["g zip"], "identity"),
        (["gzip;q=0.000"], "identity"),
    ],
)
def test_codings(accept: list[str], coding: str | None) -> None:
    assert choose_coding(accept, ("br", "zstd", "gzip")) == coding


def test_weights() -> None:
    assert acceptable_codings(["gzip;q=0.8, br, gzip;q=0.1, ?"]) == {"gzip": 0.8, "br": 1.0}
    assert choose_coding(["gzip"], ()) == "identity"
