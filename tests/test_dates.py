"""HTTP dates in their three forms, and what `Retry-After` asks for."""

from __future__ import annotations

import datetime
from email.utils import format_datetime
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirebird.models.dates import format_http_date, parse_http_date, retry_after

NOW = 1_750_000_000.0  # 2025-06-15 15:06:40
EXAMPLE = 784_111_777.0  # the moment that RFC 9110 5.6.7 shows in all three forms
UTC = datetime.UTC


@pytest.mark.parametrize(
    "text",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun Nov 06 08:49:37 1994"],
)
def test_the_three_forms_of_one_moment(text: str) -> None:
    assert parse_http_date(text, NOW) == EXAMPLE


@given(st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59)))
def test_what_is_written_is_read_again(moment: datetime.datetime) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    seconds = (moment - datetime.datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    text = format_http_date(seconds)
    assert text == format_datetime(moment, usegmt=True)
    assert parse_http_date(text, NOW) == seconds
    assert parse_http_date(f"{moment:%a %b} {moment.day:2} {moment:%H:%M:%S} {moment.year:04}", NOW) == seconds


@pytest.mark.parametrize(("year", "full"), [("25", 2025), ("75", 2075), ("76", 1976), ("94", 1994), ("00", 2000), ("24", 2024)])
def test_a_year_of_two_digits_is_not_more_than_50_years_ahead(year: str, full: int) -> None:
    expected = datetime.datetime(full, 11, 6, 8, 49, 37, tzinfo=UTC).timestamp()
    assert parse_http_date(f"Sunday, 06-Nov-{year} 08:49:37 GMT", NOW) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 gmt",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov ١٩٩٤ 08:49:37 GMT",
        "Sunday, 06 Nov 94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 GMT",
        "1994-11-06T08:49:37Z",
    ],
)
def test_what_is_no_date(text: str) -> None:
    assert parse_http_date(text, NOW) is None


@pytest.mark.parametrize(
    ("values", "wait"),
    [
        ([], None),
        (["0"], 0.0),
        (["120"], 120.0),
        (["0000000000000000000000000000000120"], 120.0),
        (["9" * 15], 999_999_999_999_999.0),
        (["9" * 16], inf),
        (["9" * 100_000], inf),
        (["0" * 100_000], 0.0),
        (["-1"], None),
        (["+1"], None),
        (["1.5"], None),
        (["1_0"], None),
        (["١٢"], None),
        (["²"], None),
        ([" 1"], None),
        ([""], None),
        (["Sun, 15 Jun 2025 15:06:50 GMT"], 10.0),
        (["Sunday, 15-Jun-25 15:06:50 GMT"], 10.0),
        (["Sun Jun 15 15:06:50 2025"], 10.0),
        (["Sun, 06 Nov 1994 08:49:37 GMT"], 0.0),
        (["Fri, 31 Dec 9999 23:59:59 GMT"], 253_402_300_799.0 - NOW),
        (["soon", "3"], 3.0),
        (["3", "5", "4"], 5.0),
        (["3, 5"], None),
    ],
)
def test_retry_after(values: list[str], wait: float | None) -> None:
    assert retry_after(values, NOW) == wait


@given(st.lists(st.text()), st.floats(0, 1e11))
def test_whatever_a_peer_sends_is_a_wait_or_none(values: list[str], now: float) -> None:
    wait = retry_after(values, now)
    assert wait is None or wait >= 0
