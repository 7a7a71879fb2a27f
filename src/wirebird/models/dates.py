"""Dates as HTTP writes them (RFC 9110 5.6.7), and the wait that a `Retry-After` asks for (RFC 9110 10.2.3).

A recipient takes all three forms, which are case-sensitive and in GMT:

    Sun, 06 Nov 1994 08:49:37 GMT    IMF-fixdate, the one that is sent
    Sunday, 06-Nov-94 08:49:37 GMT   RFC 850, with two digits of the year
    Sun Nov  6 08:49:37 1994         asctime

The calendar is computed here and not asked of the operating system, whose years end where its integers do.  Whether the name of
the day is the right one is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import inf
from typing import Final

__all__ = ["MONTHS", "format_http_date", "parse_http_date", "posix_seconds", "retry_after"]

_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTHS: Final = {name.lower(): number for number, name in enumerate(_MONTH_NAMES, 1)}
_DAY_NAMES = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")  # the first day of 1970 was a Thursday
_LONG_DAY_NAMES = ("Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday")
_DAYS_IN_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

_DAY, _LONG_DAY, _MONTH = "|".join(_DAY_NAMES), "|".join(_LONG_DAY_NAMES), "|".join(_MONTH_NAMES)
_TIME = "([0-9]{2}):([0-9]{2}):([0-9]{2})"
_fixdate = re.compile(f"(?:{_DAY}), ([0-9]{{2}}) ({_MONTH}) ([0-9]{{4}}) {_TIME} GMT").fullmatch
_rfc850 = re.compile(f"(?:{_LONG_DAY}), ([0-9]{{2}})-({_MONTH})-([0-9]{{2}}) {_TIME} GMT").fullmatch
_asctime = re.compile(f"(?:{_DAY}) ({_MONTH}) ([0-9]{{2}}| [0-9]) {_TIME} ([0-9]{{4}})").fullmatch
_seconds = re.compile("(?=[0-9])0*+([0-9]*+)").fullmatch

# More digits than this are more seconds than anybody waits, and need not be counted.
_MOST_DIGITS = 15


def parse_http_date(text: str, now: float) -> float | None:
    """An HTTP-date as POSIX seconds, None if it is none.

    `now`, POSIX seconds too, tells the century of a year of two digits: the one that is not more than 50 years ahead.
    """
    if found := _fixdate(text):
        day, month, year, hour, minute, second = found.groups()
    elif found := _asctime(text):
        month, day, hour, minute, second, year = found.groups()
    elif found := _rfc850(text):
        day, month, year, hour, minute, second = found.groups()
        this_year = _civil_from_days(int(now // 86400))[0]
        ahead = (int(year) - this_year) % 100
        year = str(this_year + (ahead if ahead <= 50 else ahead - 100))
    else:
        return None
    return posix_seconds(int(year), MONTHS[month.lower()], int(day), int(hour), int(minute), int(second))


def format_http_date(seconds: float) -> str:
    """POSIX seconds, of the years 1 to 9999, as IMF-fixdate."""
    days, rest = divmod(int(seconds // 1), 86400)
    year, month, day = _civil_from_days(days)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{_DAY_NAMES[days % 7]}, {day:02} {_MONTH_NAMES[month - 1]} {year:04} {clock} GMT"


def retry_after(values: Iterable[str], now: float) -> float | None:
    """How many seconds the `Retry-After` fields ask to wait, from `now` in POSIX seconds: 0 for what is past, None if none does.

    A delay is digits and a date one of the three forms; anything else says nothing.  Of several fields the longest wait counts.
    """
    longest: float | None = None
    for value in values:
        if found := _seconds(value):
            wait = inf if len(found[1]) > _MOST_DIGITS else float(found[1] or 0)
        elif (moment := parse_http_date(value, now)) is not None:
            wait = max(0.0, moment - now)
        else:
            continue
        longest = wait if longest is None else max(longest, wait)
    return longest


def posix_seconds(year: int, month: int, day: int, hour: int, minute: int, second: int) -> float | None:
    """The seconds from 1970 to that moment, None if there is no such day or time.  A minute may have its leap second."""
    if hour > 23 or minute > 59 or second > 60 or not 1 <= day <= _DAYS_IN_MONTH[month - 1]:
        return None
    if month == 2 and day == 29 and (year % 4 or (year % 100 == 0 and year % 400)):
        return None
    return float(_days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second)


# The year is counted from March, so that the leap day is its last; 400 such years, an era, are always 146097 days.


def _days_from_civil(year: int, month: int, day: int) -> int:
    if month <= 2:
        year -= 1
    day_of_year = (153 * ((month - 3) % 12) + 2) // 5 + day - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + day_of_year - 719468  # days from 1 March of year 0 to 1970


def _civil_from_days(days: int) -> tuple[int, int, int]:
    era, day_of_era = divmod(days + 719468, 146097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    from_march = (5 * day_of_year + 2) // 153
    month = from_march + 3 if from_march < 10 else from_march - 9
    return era * 400 + year_of_era + (month <= 2), month, day_of_year - (153 * from_march + 2) // 5 + 1
