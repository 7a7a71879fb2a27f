"""Cookies of a server: those that a request brings (RFC 6265 5.4), and those that a response sets (RFC 6265 4.1).

What a client sends is read leniently: a pair without a name, or without `=`, is not there, and of two with one name the first
counts, which has the longer path.  A semicolon always ends a pair, in quotes too, as it does for every browser; else a cookie
that an attacker plants could swallow those behind it.  A value in quotes is given without them.

What is set is checked where it is set: a name is a token, nothing holds a control or `;`, and what a browser would silently drop
(a `__Host-` name with a domain, `SameSite=None` without Secure) is an error at once.  A value that is not made of the octets of
RFC 6265 4.1.1 is quoted as `http.cookies` does it, and `read_cookies` gives it back as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from datetime import datetime
from math import isfinite
from types import MappingProxyType
from typing import Any, Final

from ..errors import UsageError
from ..models.cookie_parsing import MAX_ATTRIBUTE, SAME_SITE, parse_cookie_date
from ..models.cookies import Cookie, check_cookie_value, keeps_promise
from ..models.dates import format_http_date
from ..models.headers import check_token

__all__ = ["ResponseCookie", "ResponseCookies", "read_cookies"]

_LAST_SECOND: Final = 253402300799  # of the year 9999

_is_plain = re.compile(r"[\x21\x23-+\--:<-\[\]-~]*").fullmatch  # cookie-octets
_is_attribute = re.compile(r"[\x20-:<-~]*").fullmatch
_is_domain = re.compile(r"[A-Za-z0-9_.\-]+").fullmatch
_is_seconds = re.compile(r"-?[0-9]{1,18}").fullmatch
_has_control = re.compile(r"[\x00-\x1f\x7f]").search
_escaped = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))", re.DOTALL).sub
_ESCAPES: Final = str.maketrans({'"': '\\"', "\\": "\\\\", ",": "\\054"})

# As they are spelled, in the order in which they are written.
_SPELLING: Final = {
    "expires": "Expires",
    "max-age": "Max-Age",
    "domain": "Domain",
    "path": "Path",
    "secure": "Secure",
    "httponly": "HttpOnly",
    "samesite": "SameSite",
    "partitioned": "Partitioned",
}


def read_cookies(values: Iterable[str]) -> Mapping[str, str]:
    """The cookies of the Cookie fields of one request.  Never raises; takes linear time."""
    found: dict[str, str] = {}
    for field in values:
        for pair in field.split(";"):
            name, equals, value = pair.partition("=")
            name = name.strip(" \t")
            if equals and name and name not in found:
                value = value.strip(" \t")
                found[name] = _unquoted(value) if value[:1] == '"' else value
    return MappingProxyType(found)


def _unquoted(value: str) -> str:
    """A value without its quotes; as it is, if they are not a pair, or would hide a control."""
    if len(value) < 2 or value[-1] != '"':
        return value
    text = value[1:-1]
    if "\\" in text:
        text = _escaped(lambda match: chr(int(match[1], 8)) if match[1] else match[2], text)
        if _has_control(text):
            return value
    return text


def _quoted(value: str) -> str:
    return value if _is_plain(value) else f'"{value.translate(_ESCAPES)}"'


class ResponseCookie(MutableMapping[str, Any]):
    """One cookie that a response sets: `name`, `value`, and as a mapping its attributes, by the names of `http.cookies`:
    `expires`, `max-age`, `domain`, `path`, `secure`, `httponly`, `samesite`, `partitioned`.  One that is not set is "".

    To put "", None or False takes an attribute away.  Raises `UsageError` for an unknown one, or a value that it cannot have.
    """

    __slots__ = ("_attributes", "coded_value", "name", "value")

    def __init__(self, name: str, value: str) -> None:
        if not isinstance(value, str):
            raise UsageError(f"value must be str, not {type(value).__name__}", argument="value")
        check_token(name, "name")
        check_cookie_value(name, value, "value")
        self.name = name
        self.value = value
        self.coded_value = _quoted(value)
        check_cookie_value(name, self.coded_value, "value")  # which may be longer
        self._attributes: dict[str, str | bool] = {}

    def __repr__(self) -> str:
        return f"<ResponseCookie {self.name} {self._attributes}>"

    @property
    def key(self) -> str:
        """The name."""
        return self.name

    def __getitem__(self, attribute: str) -> Any:
        return self._attributes.get(_known(attribute), "")

    def __setitem__(self, attribute: str, value: Any) -> None:
        attribute = _known(attribute)
        if value is None or value is False or value == "":
            self._attributes.pop(attribute, None)
        elif attribute in ("secure", "httponly", "partitioned"):
            if value is not True and value != 1:
                raise UsageError(f"{attribute} must be True or False, not {value!r}", argument=attribute)
            self._attributes[attribute] = True
        else:
            self._attributes[attribute] = _READ[attribute](value)

    def __delitem__(self, attribute: str) -> None:
        del self._attributes[_known(attribute)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._attributes)

    def __len__(self) -> int:
        return len(self._attributes)

    def __bool__(self) -> bool:
        return True

    def check(self) -> None:
        """Raise `UsageError` if browsers would drop it: for what its name promises, or for a flag that asks for Secure."""
        has = self._attributes
        secure = "secure" in has
        if not keeps_promise(Cookie(self.name, "", "", str(has.get("path", "")), None, secure, host_only="domain" not in has)):
            raise UsageError(f"name {self.name!r} asks for secure, and __Host- for path '/' and no domain too", argument="name")
        for attribute, value in (("samesite", "None"), ("partitioned", True)):
            if has.get(attribute) == value and not secure:
                raise UsageError(f"{attribute}={value} asks for secure", argument=attribute)

    def line(self) -> str:
        """The value of its Set-Cookie field.  Raises what `check` raises."""
        self.check()
        words = [f"{self.name}={self.coded_value}"]
        for attribute, spelling in _SPELLING.items():
            value = self._attributes.get(attribute)
            if value is not None:
                words.append(spelling if value is True else f"{spelling}={value}")
        return "; ".join(words)


class ResponseCookies(MutableMapping[str, ResponseCookie]):
    """The cookies that a response sets, one of each name (RFC 6265 4.1.1).

    `cookies["a"] = "1"` is `set("a", "1")`, and `cookies["a"]` a `ResponseCookie`, whose attributes can be changed.
    """

    __slots__ = ("_cookies",)

    def __init__(self) -> None:
        self._cookies: dict[str, ResponseCookie] = {}

    def __repr__(self) -> str:
        return f"<ResponseCookies {', '.join(self._cookies) or 'none'}>"

    def __getitem__(self, name: str) -> ResponseCookie:
        return self._cookies[name]

    def __setitem__(self, name: str, value: str | ResponseCookie) -> None:
        if isinstance(value, ResponseCookie):
            if value.name != name:
                raise UsageError(f"name must be that of the cookie, {value.name!r}, not {name!r}", argument="name")
            self._cookies[name] = value
        else:
            self.set(name, value)

    def __delitem__(self, name: str) -> None:
        del self._cookies[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._cookies)

    def __len__(self) -> int:
        return len(self._cookies)

    def set(
        self,
        name: str,
        value: str,
        *,
        expires: datetime | float | str | None = None,
        max_age: int | str | None = None,
        domain: str | None = None,
        path: str | None = "/",
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = None,
        partitioned: bool = False,
    ) -> None:
        """Set a cookie, in place of another of this name.

        value        text without controls and `;`, with the name at most 4096 octets
        expires      when it ends: an aware `datetime`, POSIX seconds, or a date as it is written; None with the browser
        max_age      the seconds until it ends, which overrules `expires`; 0 or less ends it at once
        domain       the host that gets it, with all hosts below; None for the host of this response alone
        path         the path below which it is sent
        secure       send it over TLS only
        httponly     keep it from scripts
        samesite     `Strict`, `Lax` or `None`: whether it is sent with requests from other sites
        partitioned  keep it apart for each site that embeds this one (CHIPS)

        Raises `UsageError` naming what is wrong: a name that is no token, a value or attribute with a control or `;`, a
        `__Secure-` or `__Host-` name without what it promises, `SameSite=None` or `partitioned` without `secure`.
        """
        cookie = ResponseCookie(name, value)
        cookie["expires"] = expires
        if max_age is not None:
            cookie["max-age"] = max_age
        cookie["domain"] = domain
        cookie["path"] = path
        cookie["secure"] = secure
        cookie["httponly"] = httponly
        cookie["samesite"] = samesite
        cookie["partitioned"] = partitioned
        cookie.check()
        self._cookies[name] = cookie

    def delete(
        self,
        name: str,
        *,
        domain: str | None = None,
        path: str | None = "/",
        secure: bool | None = None,
        httponly: bool = False,
        samesite: str | None = None,
        partitioned: bool = False,
    ) -> None:
        """Have the client forget a cookie; `domain` and `path` have to be those that it was set with.  `secure` is by default
        what its name asks for.  Raises what `set` raises."""
        if secure is None:
            secure = isinstance(name, str) and name.lower().startswith(("__secure-", "__host-"))
        self.set(
            name,
            "",
            expires=0,
            max_age=0,
            domain=domain,
            path=path,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
        )

    def lines(self) -> list[str]:
        """The values of the Set-Cookie fields.  Raises `UsageError` for a cookie whose attributes were changed for the worse."""
        return [cookie.line() for cookie in self._cookies.values()]


def _known(attribute: str) -> str:
    if isinstance(attribute, str):
        attribute = attribute.lower().replace("_", "-")
    if attribute not in _SPELLING:
        raise UsageError(f"attribute must be one of {', '.join(_SPELLING)}, not {attribute!r}", argument="attribute")
    return attribute


def _read_expires(value: Any) -> str:
    if isinstance(value, str):
        if parse_cookie_date(value) is not None and _is_attribute(value):
            return value
    elif isinstance(value, datetime):
        if value.tzinfo is not None:
            return format_http_date(max(0.0, value.timestamp()))
    elif isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return format_http_date(max(0.0, min(float(value), _LAST_SECOND)))
    raise UsageError(f"expires must be an aware datetime, POSIX seconds or a date, not {value!r}", argument="expires")


def _read_max_age(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(min(value, 10**18 - 1)) if value > 0 else "0" if value == 0 else "-1"
    if not isinstance(value, str) or not _is_seconds(value):
        raise UsageError(f"max_age must be a whole number of seconds, not {value!r}", argument="max_age")
    return value


def _read_domain(value: Any) -> str:
    if not isinstance(value, str) or not _is_domain(value) or len(value) > 254 or value.strip(".") == "":
        raise UsageError(f"domain must be a host name in ASCII, not {value!r}", argument="domain")
    return value


def _read_path(value: Any) -> str:
    if not isinstance(value, str) or value[:1] != "/" or not _is_attribute(value) or len(value) > MAX_ATTRIBUTE:
        raise UsageError(f"path must begin with '/' and hold no control and no ';', not {value!r}", argument="path")
    return value


def _read_same_site(value: Any) -> str:
    known = SAME_SITE.get(value.lower()) if isinstance(value, str) else None
    if known is None:
        raise UsageError(f"samesite must be Strict, Lax or None, not {value!r}", argument="samesite")
    return known


_READ: Final = {
    "expires": _read_expires,
    "max-age": _read_max_age,
    "domain": _read_domain,
    "path": _read_path,
    "samesite": _read_same_site,
}
