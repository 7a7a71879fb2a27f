"""The cookie jar: which cookies to keep, and which to send where (RFC 6265 5.3 and 5.4).

A cookie belongs to a domain and a path, not to an origin: ports are shared, and so are schemes unless it is `Secure`.  It is
*host-only*, sent to the one host that set it, unless a `Domain` attribute widened it to that domain and all below; how wide is
the question on which cookie security hangs.  A server may widen to its own parents, never to a sibling, an address or a public
suffix (`com`, `co.uk`), and from plain http it may neither set a Secure cookie nor lay one over it (RFC 6265bis 5.7).  A name
that begins with `__Secure-` or `__Host-` promises how the cookie was set, and one that breaks the promise is refused.

Two maps with the same keys (domain, path, name), both in order of creation: all cookies, and those of one domain.  A lookup asks
for the host and for each of its parents, so it costs the labels of the host and the cookies found, however full the jar.
A peer's cookie is kept or silently dropped; a caller's that cannot be kept raises.  The time is always an argument.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from functools import cache
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

from yarl import URL

from ..errors import InvalidHeader, UsageError
from .cookie_parsing import (
    MAX_PAIR,
    SAME_SITE,
    SetCookie,
    add_morsel,
    parse_response_cookies,
    parse_set_cookie,
)
from .dates import format_http_date
from .headers import check_token
from .url import destination

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from http.cookies import SimpleCookie

__all__ = ["MAX_COOKIES", "MAX_PER_DOMAIN", "Cookie", "CookieJar", "check_cookie", "check_cookie_value", "parse_response_cookies"]

MAX_PER_DOMAIN = 50  # RFC 6265 6.1
MAX_COOKIES = 3000

_LAST_SECOND = 253402300799.0  # the end of 9999, the last year a cookie-date can name
_SCHEMES = {"http": False, "https": True, "ws": False, "wss": True}  # whether a Secure cookie may travel
_is_value = re.compile(r"[^\x00-\x1f\x7f;]*").fullmatch
_is_stored_name = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f;=]+").fullmatch
_is_stored_value = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f;]*").fullmatch
_is_domain = re.compile(r"[a-z0-9_:][a-z0-9_.:%~\-]{0,252}").fullmatch
_is_path = re.compile(r"/[^\x00-\x08\x0a-\x1f\x7f]*").fullmatch
_FORMAT = "wirebird-cookies-1"

_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True, repr=False)
class Cookie:
    """One cookie.  `domain` is a lower-case ASCII host without a leading dot; `value` is as received, quotes included.

    `expires` is in POSIX seconds, None for a session cookie.  `same_site` is "Strict", "Lax", "None" or None and only recorded:
    this library knows no sites.  `created` counts the cookies of one jar in the order of their creation.
    """

    name: str
    value: str
    domain: str
    path: str = "/"
    expires: float | None = None
    secure: bool = False
    http_only: bool = False
    same_site: str | None = None
    host_only: bool = True
    created: int = field(default=0, compare=False)

    def attributes(self) -> dict[str, str | bool]:
        """The attributes by their names in `http.cookies`, those that it has; a Domain only if it goes to the hosts below too."""
        found: dict[str, str | bool] = {"path": self.path}
        if not self.host_only:
            found["domain"] = self.domain
        if self.expires is not None:
            found["expires"] = format_http_date(max(0.0, min(self.expires, _LAST_SECOND)))
        if self.same_site is not None:
            found["samesite"] = self.same_site
        return found | {key: True for key, on in (("secure", self.secure), ("httponly", self.http_only)) if on}

    def __repr__(self) -> str:
        # A cookie is a credential: its value has no place in a log.
        words = [f"{self.name}=({len(self.value)} characters)", f"{'' if self.host_only else '*.'}{self.domain}{self.path}"]
        words += [flag for flag, on in (("secure", self.secure), ("http_only", self.http_only)) if on]
        if self.same_site is not None:
            words.append(f"same_site={self.same_site}")
        words.append("session" if self.expires is None else f"expires={self.expires:.0f}")
        return f"<Cookie {' '.join(words)}>"


class CookieJar:
    """The cookies of one client, at most 50 of a domain and 3000 in all: the expired go first, then the oldest.

    `public_suffix` says whether nobody may set a cookie for a whole domain, such as `co.uk`; None takes the Public Suffix List
    where `publicsuffixlist` is installed (the extra `psl`; read once per process, when the first Domain attribute arrives).
    Domains of one label are refused with or without it.
    """

    def __init__(self, *, public_suffix: Callable[[str], bool] | None = None) -> None:
        self._public_suffix = public_suffix
        self._cookies: dict[_Key, Cookie] = {}
        self._domains: dict[str, dict[_Key, Cookie]] = {}
        self._secure_names: dict[str, int] = {}  # how many Secure cookies have that name
        self._created = 0
        self._next_expiry = inf  # no cookie expires before

    # --- what a peer sends ---

    def store(self, url: URL, set_cookie_values: Iterable[str], now: float) -> None:
        """Take in the Set-Cookie fields of a response from `url` (RFC 6265 5.3); `now` is in POSIX seconds.

        Never raises for what a peer may send.  A cookie that expired already deletes the one of its name, domain and path.
        """
        if isinstance(set_cookie_values, str):
            raise UsageError("set_cookie_values must be an iterable of field values, not one str", argument="set_cookie_values")
        secure_origin = _SCHEMES.get(url.scheme)
        host = (url.raw_host or "").lower()
        path = url.raw_path or "/"
        if secure_origin is None or not _is_domain(host) or not _is_path(path) or not _is_encodable(path):
            return
        self.discard_expired(now)
        for text in set_cookie_values:
            parsed = parse_set_cookie(text)
            if parsed is None:
                continue
            cookie = self._accept(parsed, host, path, secure_origin, now)
            if cookie is None:
                continue
            if cookie.expires is not None and cookie.expires <= now:
                self._discard((cookie.domain, cookie.path, cookie.name))
            else:
                self._keep(cookie)

    def _accept(self, parsed: SetCookie, host: str, request_path: str, secure_origin: bool, now: float) -> Cookie | None:
        """The cookie that `parsed` makes when `host` sends it, None if that host may not set it."""
        name, value, attributes, expires = parsed
        secure = "secure" in attributes
        if secure and not secure_origin:
            return None  # RFC 6265bis 5.7
        domain, host_only = host, True
        if "domain" in attributes:
            wanted = attributes["domain"]
            parent = wanted.lower().removeprefix(".")
            if _is_address(host):
                if wanted.lower() != host:
                    return None  # an address has no parents
            elif not wanted.isascii() or parent.endswith(".") or not host_matches(host, parent):
                return None
            elif not self._is_public(parent):
                domain, host_only = parent, False
            elif parent != host:
                return None  # RFC 6265 5.3, step 5
        path = attributes.get("path", "")
        if path[:1] != "/":
            path = request_path[: request_path.rfind("/")] or "/"  # the default-path (RFC 6265 5.1.4)
        prefix = name[:9].lower()
        if prefix == "__secure-" and not secure:
            return None
        if prefix.startswith("__host-") and not (secure and "domain" not in attributes and attributes.get("path") == "/"):
            return None
        if not secure_origin and name in self._secure_names and self._covers_secure(name, domain, path):
            return None
        if "max-age" in attributes:  # wins over Expires, wherever it stands
            seconds = int(attributes["max-age"])
            expires = now if seconds <= 0 else min(now + min(seconds, 1e12), _LAST_SECOND)
        same_site = attributes.get("samesite")
        return Cookie(name, value, domain, path, expires, secure, "httponly" in attributes, same_site, host_only)

    def _covers_secure(self, name: str, domain: str, path: str) -> bool:
        """Whether one of that name, domain and path would hide or replace a Secure cookie (RFC 6265bis 5.7)."""
        for other, cookies in self._domains.items():
            if host_matches(other, domain) or host_matches(domain, other):
                for cookie in cookies.values():
                    if cookie.secure and cookie.name == name and path_matches(path, cookie.path):
                        return True
        return False

    def _is_public(self, domain: str) -> bool:
        if "." not in domain:
            return True
        return (self._public_suffix or _listed_suffixes())(domain)

    # --- what a caller adds ---

    def set(
        self,
        name: str,
        value: str,
        *,
        domain: str,
        path: str = "/",
        expires: float | None = None,
        secure: bool = False,
        http_only: bool = False,
        same_site: str | None = None,
        host_only: bool = True,
    ) -> Cookie:
        """Add one cookie, or replace the one of this name, domain and path, and return it.

        `domain` is a host name or address; `host_only=False` sends the cookie to all hosts below it too.  `expires` is in POSIX
        seconds, None for as long as the jar lives.  Raises `InvalidHeader` naming the argument for a name that is no token, a
        value with a control character or `;`, more than 4096 octets of both, a domain that is no host or (not host-only) a public
        suffix, a path without a leading `/`, and for flags that a `__Secure-` or `__Host-` name forbids.
        """
        check_token(name, "name")
        check_cookie_value(name, value, "value")
        try:
            host = destination(URL.build(scheme="http", host=domain)).host
        except (ValueError, TypeError):
            raise InvalidHeader(f"domain must be a host name without a leading dot, not {domain!r}", argument="domain") from None
        if not isinstance(path, str) or not _is_path(path) or ";" in path or "\t" in path or not _is_encodable(path):
            raise InvalidHeader(f"path must begin with '/' and hold no control or ';', not {path!r}", argument="path")
        if same_site is not None and (not isinstance(same_site, str) or same_site.lower() not in SAME_SITE):
            raise InvalidHeader(f"same_site must be Strict, Lax or None, not {same_site!r}", argument="same_site")
        site = None if same_site is None else SAME_SITE[same_site.lower()]
        if expires is not None and not _is_time(expires):
            raise InvalidHeader(f"expires must be a finite number of POSIX seconds, not {expires!r}", argument="expires")
        if not host_only and (_is_address(host) or self._is_public(host)):
            raise InvalidHeader(f"domain {domain!r} has no hosts below it that may share a cookie", argument="domain")
        when = None if expires is None else float(expires)
        cookie = Cookie(name, value, host, path, when, bool(secure), bool(http_only), site, bool(host_only))
        if not keeps_promise(cookie):
            raise InvalidHeader(f"name {name!r} asks for secure, and __Host- for host_only and path '/' too", argument="name")
        return self._keep(cookie)

    # --- what is sent ---

    def cookies_for(self, url: URL, now: float) -> list[Cookie]:
        """The cookies to send to `url` at `now` (POSIX seconds), longer paths first, then older ones (RFC 6265 5.4)."""
        domains = self._domains
        if not domains:
            return []
        secure = _SCHEMES.get(url.scheme)
        host = (url.raw_host or "").lower()
        if secure is None or len(host) > 253:
            return []
        found: list[Cookie] = []
        domain = host
        while True:
            if domain in domains:  # of an address, only the whole: no cookie is widened to a domain that ends in a number
                path = url.raw_path or "/"
                found += [
                    cookie
                    for cookie in domains[domain].values()
                    if (domain is host or not cookie.host_only)
                    and (secure or not cookie.secure)
                    and (cookie.expires is None or cookie.expires > now)
                    and path_matches(path, cookie.path)
                ]
            dot = domain.find(".")
            if dot < 0:
                break
            domain = domain[dot + 1 :]
        if len(found) > 1:
            found.sort(key=_send_order)
        return found

    def header(self, url: URL, now: float, extra: Mapping[str, str] | None = None) -> str | None:
        """The `Cookie` field value for a request to `url` at `now` (POSIX seconds), None if there is nothing to send.

        `extra` are the cookies of this one request: they come last, take the place of the jar's of the same name, and are not
        kept.  Raises `InvalidHeader` if one of them may not be sent.
        """
        cookies = self.cookies_for(url, now) if self._domains else []
        if not extra:
            return "; ".join([f"{cookie.name}={cookie.value}" for cookie in cookies]) or None
        for name, value in extra.items():
            check_cookie(name, value, "cookies")
        pairs = [f"{cookie.name}={cookie.value}" for cookie in cookies if cookie.name not in extra]
        pairs += [f"{name}={value}" for name, value in extra.items()]
        return "; ".join(pairs)

    # --- the jar as a collection ---

    def __iter__(self) -> Iterator[Cookie]:
        """Every cookie, oldest first, those that expired since the last `store` included."""
        return iter(list(self._cookies.values()))

    def __len__(self) -> int:
        return len(self._cookies)

    def __bool__(self) -> bool:
        return True  # an empty jar is a jar

    def __repr__(self) -> str:
        shown = [f"{domain} {len(cookies)}" for domain, cookies in list(self._domains.items())[:10]]
        more = ", …" if len(self._domains) > 10 else ""
        return f"<CookieJar {len(self)} cookies{': ' if shown else ''}{', '.join(shown)}{more}>"

    def remove(self, name: str, *, domain: str, path: str = "/") -> bool:
        """Drop one cookie, and say whether it was there.  `domain` and `path` are those the cookie has, not those of a URL."""
        return self._discard((domain.lower(), path, name))

    def clear(self, domain: str | None = None) -> None:
        """Drop every cookie, or those of `domain` and of all hosts below it."""
        for key in [key for key in self._cookies if domain is None or host_matches(key[0], domain.lower())]:
            self._discard(key)

    def discard_expired(self, now: float) -> None:
        """Drop what has expired at `now` (POSIX seconds).  `store` does so too; an expired cookie is never sent either way."""
        if now < self._next_expiry:
            return
        self._next_expiry = inf
        for key, cookie in list(self._cookies.items()):
            if cookie.expires is None:
                continue
            if cookie.expires <= now:
                self._discard(key)
            else:
                self._next_expiry = min(self._next_expiry, cookie.expires)

    def by_host(self) -> dict[str, SimpleCookie]:
        """A copy of the jar as domain -> `http.cookies.SimpleCookie`; of two cookies with one name it shows the younger."""
        from http.cookies import SimpleCookie

        hosts: dict[str, SimpleCookie] = {}
        for cookie in self._cookies.values():
            add_morsel(hosts.setdefault(cookie.domain, SimpleCookie()), cookie.name, cookie.value, cookie.attributes())
        return hosts

    # --- as text ---

    def to_json(self) -> str:
        """Every cookie, session cookies and every flag included, as JSON text for `from_json`."""
        names = [name for name in Cookie.__slots__ if name != "created"]  # the order of the list tells it
        rows = [{name: getattr(cookie, name) for name in names} for cookie in self._cookies.values()]
        return json.dumps({"format": _FORMAT, "cookies": rows}, indent=1)

    @classmethod
    def from_json(cls, text: str, *, public_suffix: Callable[[str], bool] | None = None) -> CookieJar:
        """The jar that `to_json` wrote.  Raises `UsageError` if `text` is anything else, in whole or in one field.

        A cookie for a domain that is a public suffix by now is left out.
        """
        try:
            data = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise UsageError(f"text is not JSON: {error}", argument="text") from None
        if not isinstance(data, dict) or data.get("format") != _FORMAT or not isinstance(data.get("cookies"), list):
            raise UsageError(f"text is not a cookie jar of the format {_FORMAT!r}", argument="text")
        jar = cls(public_suffix=public_suffix)
        for index, row in enumerate(data["cookies"]):
            cookie = _read_cookie(row)
            if cookie is None:
                raise UsageError(f"text has no valid cookie at index {index}", argument="text")
            if cookie.host_only or not jar._is_public(cookie.domain):
                jar._keep(cookie)
        return jar

    # --- the two maps, changed here and nowhere else ---

    def _keep(self, cookie: Cookie) -> Cookie:
        key = (cookie.domain, cookie.path, cookie.name)
        old = self._cookies.get(key)
        if old is None:
            self._created += 1
            created = self._created
        else:
            created = old.created  # and its place in the maps: a new value does not make a cookie younger
            self._count_secure(old, -1)
        cookie = replace(cookie, created=created)
        self._cookies[key] = cookie
        domain = self._domains.setdefault(cookie.domain, {})
        domain[key] = cookie
        self._count_secure(cookie, 1)
        if cookie.expires is not None and cookie.expires < self._next_expiry:
            self._next_expiry = cookie.expires
        if len(domain) > MAX_PER_DOMAIN:
            # Plain cookies before Secure ones: who can only speak http is not to push them out (RFC 6265bis 5.7).
            self._discard(min(domain, key=lambda key: (domain[key].secure, domain[key].created)))
        if len(self._cookies) > MAX_COOKIES:
            self._discard(next(iter(self._cookies)))
        return cookie

    def _discard(self, key: _Key) -> bool:
        cookie = self._cookies.pop(key, None)
        if cookie is None:
            return False
        domain = self._domains[cookie.domain]
        del domain[key]
        if not domain:
            del self._domains[cookie.domain]
        self._count_secure(cookie, -1)
        return True

    def _count_secure(self, cookie: Cookie, change: int) -> None:
        if cookie.secure:
            count = self._secure_names.get(cookie.name, 0) + change
            if count:
                self._secure_names[cookie.name] = count
            else:
                del self._secure_names[cookie.name]


def host_matches(host: str, domain: str) -> bool:
    """Whether `host` is `domain` or below it, on a label boundary (RFC 6265 5.1.3); both in lower case, `host` no address."""
    return host == domain or (host.endswith(domain) and host[-len(domain) - 1 : -len(domain)] == ".")


def path_matches(path: str, cookie_path: str) -> bool:
    """Whether a cookie of `cookie_path` goes to `path`: the same, or below it on a `/` boundary (RFC 6265 5.1.4)."""
    if not path.startswith(cookie_path):
        return False
    return len(path) == len(cookie_path) or cookie_path[-1] == "/" or path[len(cookie_path)] == "/"


def check_cookie(name: str, value: str, argument: str = "cookies") -> None:
    """Raise `InvalidHeader` naming `argument` if a caller's cookie may not be sent; the name must be a token (RFC 6265 4.1.1)."""
    check_token(name, f"{argument} name")
    check_cookie_value(name, value, argument)


def check_cookie_value(name: str, value: str, argument: str) -> None:
    """Raise `InvalidHeader` naming `argument` unless `value` is what browsers let pass: any text but controls and `;`."""
    if not isinstance(value, str) or not _is_value(value) or not _is_encodable(value):
        raise InvalidHeader(f"{argument} must be text without controls and ';' for the cookie {name!r}", argument=argument)
    if len(name) + len(value.encode()) > MAX_PAIR:
        raise InvalidHeader(
            f"{argument} of the cookie {name!r} is longer than {MAX_PAIR} octets with its name", argument=argument
        )


def _send_order(cookie: Cookie) -> tuple[int, int]:
    return -len(cookie.path), cookie.created


def _is_address(host: str) -> bool:
    return ":" in host or host.rpartition(".")[2].isdecimal()


def _is_encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_time(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return isfinite(value)
    except OverflowError:
        return False


def keeps_promise(cookie: Cookie) -> bool:
    """Whether a cookie is what the prefix of its name says (RFC 6265bis 4.1.3); case does not matter, as servers ignore it."""
    prefix = cookie.name[:9].lower()
    if prefix.startswith("__host-"):
        return cookie.secure and cookie.host_only and cookie.path == "/"
    return prefix != "__secure-" or cookie.secure


def _read_cookie(row: Any) -> Cookie | None:
    """One object of a saved jar, None unless each field has the type and form that the jar itself would store."""
    if not isinstance(row, dict) or row.keys() != set(Cookie.__slots__) - {"created"}:
        return None
    cookie = Cookie(**row)
    texts = (cookie.name, cookie.value, cookie.domain, cookie.path)
    if not all(isinstance(text, str) and _is_encodable(text) for text in texts):
        return None
    if not all(isinstance(flag, bool) for flag in (cookie.secure, cookie.http_only, cookie.host_only)):
        return None
    sound = (
        _is_stored_name(cookie.name)
        and _is_stored_value(cookie.value)
        and len(cookie.name.encode()) + len(cookie.value.encode()) <= MAX_PAIR
        and _is_domain(cookie.domain)
        and _is_path(cookie.path)
        and (cookie.expires is None or _is_time(cookie.expires))
        and (cookie.same_site is None or cookie.same_site in ("Strict", "Lax", "None"))
        and (cookie.host_only or not _is_address(cookie.domain))
        and keeps_promise(cookie)
    )
    if not sound:
        return None
    return cookie if cookie.expires is None else replace(cookie, expires=float(cookie.expires))


@cache
def _listed_suffixes() -> Callable[[str], bool]:
    """The Public Suffix List, private section included (`github.io`), if it is installed; else no domain of two labels is one."""
    try:
        from publicsuffixlist import PublicSuffixList
    except ImportError:
        return lambda domain: False
    is_public: Callable[[str], bool] = PublicSuffixList().is_public
    return is_public
