"""The Set-Cookie field as a peer sends it: its pair, its attributes, and its dates (RFC 6265 5.1.1 and 5.2).

Servers send what they like, so reading never fails: a field is a `SetCookie` or it is None and forgotten, without a log line.
What is kept, is kept as it came: quotes are part of the value, and `%0d%0a` stays six characters.  Every step is one pass over
the text.  RFC 6265bis (5.6) adds the limits, 4096 octets of name and value and 1024 of an attribute, and bans control characters.

Three choices where servers, RFC 6265 and RFC 6265bis differ:

* a cookie without a name is ignored (RFC 6265): `=__Host-x=1` would come back to the server as `__Host-x=1`;
* CR, LF and NUL end the pair, as they did for every browser; any other control, or one in an attribute, voids the cookie;
* an attribute whose value says nothing (`Expires=never`, `SameSite=Sometimes`, `Domain=`) leaves the earlier one standing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ..errors import UsageError
from .dates import MONTHS, posix_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable
    from http.cookies import SimpleCookie

__all__ = ["SetCookie", "add_morsel", "parse_cookie_date", "parse_response_cookies", "parse_set_cookie"]

MAX_PAIR = 4096  # octets of name and value together (RFC 6265bis 5.6)
MAX_ATTRIBUTE = 1024  # octets of one attribute's value

_has_control = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search  # TAB is white space here
_end_of_pair = re.compile(r"[\x00\r\n]").split
_find_attributes = re.compile(
    r";[ \t]*+(domain|expires|httponly|max-age|path|samesite|secure)[ \t]*+(?:=([^;]*+))?+(?=;|\Z)", re.IGNORECASE | re.ASCII
).findall
_is_max_age = re.compile(r"-?[0-9]+").fullmatch
SAME_SITE = {"strict": "Strict", "lax": "Lax", "none": "None"}


class SetCookie(NamedTuple):
    """One Set-Cookie field.  `attributes` has lower-case names and holds only those that were sent and mean something.

    `expires` is the Expires attribute as POSIX seconds, None without one; whether Max-Age overrules it is the jar's business.
    """

    name: str
    value: str
    attributes: dict[str, str]
    expires: float | None


def parse_set_cookie(text: str) -> SetCookie | None:
    """Read one Set-Cookie field value (RFC 6265 5.2), None if it is to be ignored.  Never raises, in linear time."""
    pair, _, rest = text.partition(";")
    if _has_control(text):
        pair = _end_of_pair(pair, 1)[0]
        if _has_control(pair) or _has_control(rest):
            return None
    name, equals, value = pair.partition("=")
    name = name.strip(" \t")
    value = value.strip(" \t")
    if not equals or not name or len(name) + len(value) > MAX_PAIR:
        return None
    if not text.isascii():
        try:
            text.encode()  # a lone surrogate could never be sent back
        except UnicodeEncodeError:
            return None
        if len(name.encode()) + len(value.encode()) > MAX_PAIR:
            return None
    attributes: dict[str, str] = {}
    expires = None
    # The last one of a name wins (RFC 6265 5.3), so from the end on only the first that means something is needed.
    for key, argument in reversed(_find_attributes(text, len(pair))) if rest else ():
        key = key.lower()
        argument = argument.strip(" \t")
        if key in attributes:
            continue
        if len(argument) > MAX_ATTRIBUTE or (not argument.isascii() and len(argument.encode()) > MAX_ATTRIBUTE):
            continue
        if key == "expires":
            date = parse_cookie_date(argument)
            if date is None:
                continue
            expires = date
        elif key == "max-age":
            if not _is_max_age(argument):
                continue
        elif key == "domain":
            if not argument:
                continue
        elif key == "samesite":
            known = SAME_SITE.get(argument.lower())
            if known is None:
                continue
            argument = known
        attributes[key] = argument
    return SetCookie(name, value, attributes, expires)


# --- dates ------------------------------------------------------------------------------------------------------------------

_date_tokens = re.compile(r"[^\t\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+").findall
_time_token = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])").match
_day_token = re.compile(r"([0-9]{1,2})(?![0-9])").match
_year_token = re.compile(r"([0-9]{2,4})(?![0-9])").match


def parse_cookie_date(text: str) -> float | None:
    """A cookie-date as POSIX seconds, None if it is none (RFC 6265 5.1.1).

    The first token that looks like a time, a day, a month or a year is that; the order is free and the rest, time zones
    included, says nothing.
    """
    time: tuple[int, int, int] | None = None
    day = month = year = None
    for token in _date_tokens(text):
        if time is None and (found := _time_token(token)):
            time = int(found[1]), int(found[2]), int(found[3])
        elif day is None and (found := _day_token(token)):
            day = int(found[1])
        elif month is None and (number := MONTHS.get(token[:3].lower())):
            month = number
        elif year is None and (found := _year_token(token)):
            year = int(found[1])
    if time is None or day is None or month is None or year is None:
        return None
    if year < 100:
        year += 1900 if year >= 70 else 2000
    hour, minute, second = time
    return posix_seconds(year, month, day, hour, minute, second) if year >= 1601 and second < 60 else None


# --- for eyes used to http.cookies ------------------------------------------------------------------------------------------


def parse_response_cookies(set_cookie_values: Iterable[str]) -> SimpleCookie:
    """The Set-Cookie fields of one response as a `SimpleCookie`; of two with one name it shows the later.

    Values are as received, quotes included.  What `parse_set_cookie` ignores is not there, and neither is what `http.cookies`
    refuses to hold; nothing raises.  `SimpleCookie.load` is not used: it takes quadratic time and stops at the first odd pair.
    """
    from http.cookies import SimpleCookie

    if isinstance(set_cookie_values, str):
        raise UsageError("set_cookie_values must be an iterable of field values, not one str", argument="set_cookie_values")
    jar = SimpleCookie()
    for text in set_cookie_values:
        cookie = parse_set_cookie(text)
        if cookie is not None:
            attributes: dict[str, str | bool] = {**cookie.attributes}
            attributes.update({key: True for key in ("secure", "httponly") if key in attributes})
            add_morsel(jar, cookie.name, cookie.value, attributes)
    return jar


def add_morsel(jar: SimpleCookie, name: str, value: str, attributes: dict[str, str | bool], plain: str | None = None) -> None:
    """Put one cookie into `jar`, or leave it out if `http.cookies` cannot hold it (newer versions refuse a TAB).

    `plain` is the value without its quotes, if the Morsel is to have it so.
    """
    from http.cookies import CookieError, Morsel

    morsel: Morsel[str] = Morsel()
    try:
        # Not `set()`, which refuses names that browsers and servers use, such as `a[1]`.
        morsel.__setstate__({"key": name, "value": value if plain is None else plain, "coded_value": value})  # type: ignore[attr-defined]
        for key, argument in attributes.items():
            morsel[key] = argument
    except CookieError:
        return
    jar[name] = morsel
