"""`aiohttp.CookieJar`, over wirebird's own jar (`models/cookies.py`), which decides what is kept and what is sent where.

What aiohttp's jar has besides: cookies without a domain, for every host (`update_cookies({"a": "1"})` without a URL); hosts that
are addresses, unless `unsafe`, are left out; plain-http origins that count as secure; values are quoted when they are sent; the
cookies as `http.cookies.Morsel`.

What is different is stricter (RFC 6265bis): no cookie for a public suffix, no Secure cookie from a plain-http response nor over
one that is Secure, `__Host-` and `__Secure-` names keep their promise; 50 cookies for one domain, 3000 in all.  A file is JSON in
aiohttp's form, and never unpickled.  A jar can be made outside an event loop.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from http.cookies import BaseCookie, CookieError, Morsel, SimpleCookie
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from yarl import URL

from ...errors import UsageError
from ...models.cookie_parsing import add_morsel, parse_response_cookies
from ...models.cookies import Cookie
from ...models.cookies import CookieJar as Store
from ...net.private_file import write_private
from .helpers import is_ip_address
from .typedefs import LooseCookies, PathLike, StrOrURL

__all__ = ["AbstractCookieJar", "CookieJar", "DummyCookieJar", "response_cookies"]

_ATTRIBUTES: Final = ("path", "domain", "max-age", "expires", "secure", "httponly", "samesite")
_is_sendable = re.compile(r"[^\x00-\x1f\x7f;]*").fullmatch
_SECURE: Final = {"http": "https", "ws": "wss"}
_NO_URL: Final = URL()
_QUOTING: Final = SimpleCookie()  # never filled: it knows how values are quoted


class AbstractCookieJar(Sized, Iterable[Any]):
    """What a session takes as its `cookie_jar`."""

    def __init__(self, *, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop

    @property
    @abstractmethod
    def unsafe(self) -> bool:
        """Whether hosts that are addresses may have cookies."""

    @property
    @abstractmethod
    def quote_cookie(self) -> bool:
        """Whether values are quoted when they are sent."""

    @property
    def treat_as_secure_origin(self) -> frozenset[URL]:
        """Origins that get Secure cookies though their scheme is plain."""
        return frozenset()

    @property
    @abstractmethod
    def cookies(self) -> MappingProxyType[tuple[str, str], SimpleCookie]:
        """The cookies by domain and path."""

    @property
    @abstractmethod
    def host_only_cookies(self) -> frozenset[tuple[str, str, str]]:
        """Domain, path and name of those that are for one host alone."""

    @abstractmethod
    def clear(self, predicate: Callable[[Morsel[str]], bool] | None = None) -> None:
        """Drop every cookie, or those of which `predicate` is true."""

    @abstractmethod
    def clear_domain(self, domain: str) -> None:
        """Drop the cookies of `domain` and of all hosts below it."""

    @abstractmethod
    def update_cookies(self, cookies: LooseCookies, response_url: URL = _NO_URL) -> None:
        """Take in cookies, as if a response from `response_url` had set them."""

    def update_cookies_from_headers(self, headers: Sequence[str], response_url: URL) -> None:
        """Take in the Set-Cookie fields of a response."""
        if headers and (cookies := response_cookies(headers)):
            self.update_cookies(cookies, response_url)

    @abstractmethod
    def filter_cookies(self, request_url: URL) -> BaseCookie[str]:
        """The cookies to send to `request_url`."""


class CookieJar(AbstractCookieJar):
    """Cookies by the rules of RFC 6265.

    unsafe                  whether hosts that are addresses may have cookies
    quote_cookie            False sends values without their quotes; True as they were set, which a caller's are in quotes where
                            they have characters that need it
    treat_as_secure_origin  URLs of plain-http origins that are as secure as others
    """

    def __init__(
        self,
        *,
        unsafe: bool = False,
        quote_cookie: bool = True,
        treat_as_secure_origin: StrOrURL | Iterable[StrOrURL] | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(loop=loop)
        self._unsafe = unsafe
        self._quote_cookie = quote_cookie
        if treat_as_secure_origin is None:
            treat_as_secure_origin = ()
        elif isinstance(treat_as_secure_origin, str | URL):
            treat_as_secure_origin = (treat_as_secure_origin,)
        self._secure_origins = frozenset(URL(url).origin() for url in treat_as_secure_origin)
        self._store = Store()
        self._shared = SimpleCookie()  # for every host

    @property
    def unsafe(self) -> bool:
        """Whether hosts that are addresses may have cookies."""
        return self._unsafe

    @property
    def quote_cookie(self) -> bool:
        """Whether values are sent with their quotes."""
        return self._quote_cookie

    @property
    def treat_as_secure_origin(self) -> frozenset[URL]:
        """Origins that get Secure cookies though their scheme is plain."""
        return self._secure_origins

    @property
    def cookies(self) -> MappingProxyType[tuple[str, str], SimpleCookie]:
        """The cookies by domain and path; a copy.  Those for every host are under `("", "")`."""
        found: dict[tuple[str, str], SimpleCookie] = {}
        if self._shared:
            found["", ""] = self._shared
        for cookie in self._live():
            _add(found.setdefault((cookie.domain, cookie.path.rstrip("/")), SimpleCookie()), cookie)
        return MappingProxyType(found)

    @property
    def host_only_cookies(self) -> frozenset[tuple[str, str, str]]:
        """Domain, path and name of those that are for one host alone."""
        return frozenset((cookie.domain, cookie.path.rstrip("/"), cookie.name) for cookie in self._live() if cookie.host_only)

    def _live(self) -> Iterator[Cookie]:
        self._store.discard_expired(time.time())
        return iter(self._store)

    def __iter__(self) -> Iterator[Morsel[str]]:
        yield from list(self._shared.values())
        for cookie in self._live():
            yield from _add(SimpleCookie(), cookie).values()

    def __len__(self) -> int:
        return len(self._store) + len(self._shared)

    def __repr__(self) -> str:
        return f"<CookieJar {len(self)} cookies>"

    # -- what comes in -------------------------------------------------------------------------------------------------

    def update_cookies(self, cookies: LooseCookies, response_url: URL = _NO_URL) -> None:
        """Take in cookies: a mapping or pairs of names and values or Morsels, or a `SimpleCookie`.

        Without a URL, one without a domain is for every host.  One that may not be set, or could not be sent, is left out.
        Raises `http.cookies.CookieError` for a name that may not be one.
        """
        host = response_url.raw_host
        if not self._unsafe and is_ip_address(host):
            return
        pairs: Iterable[tuple[str, Any]] = cookies.items() if isinstance(cookies, Mapping) else cookies
        for name, value in pairs:
            morsel = value if isinstance(value, Morsel) else _morsel(name, value)
            if not _may_be_sent(morsel):
                continue
            domain = morsel["domain"]
            if domain.endswith("."):
                domain = ""
            if host is None and not domain:
                self._share(name, morsel)
            else:
                self._keep(morsel, domain, response_url, time.time())

    def _share(self, name: str, morsel: Morsel[str]) -> None:
        if not morsel["path"].startswith("/"):
            morsel = morsel.copy()
            morsel["path"] = "/"
        dict.__setitem__(self._shared, name, morsel)

    def _keep(self, morsel: Morsel[str], domain: str, url: URL, now: float) -> None:
        """Hand a cookie to the store, which decides.  It is the program that sets it, so Secure may come by plain http."""
        if url.raw_host is None:
            try:
                url = URL.build(scheme="https", host=domain.removeprefix("."), path="/")
            except ValueError:
                return  # what is no host has no cookies
        text = [f"{morsel.key}={morsel.coded_value}"]
        for name in _ATTRIBUTES:
            value = domain if name == "domain" else morsel[name]
            if value and name in ("secure", "httponly"):
                text.append(name)
            elif value or value == 0:
                text.append(f"{name}={value}")
        secure = url.with_scheme(_SECURE[url.scheme]) if morsel["secure"] and url.scheme in _SECURE else url
        self._store.store(secure, ["; ".join(text)], now)

    def update_cookies_from_headers(self, headers: Sequence[str], response_url: URL) -> None:
        """Take in the Set-Cookie fields of a response.  Never raises for what a peer may send."""
        if headers and (self._unsafe or not is_ip_address(response_url.raw_host)):
            self._store.store(self._as_secure(response_url), headers, time.time())

    def _as_secure(self, url: URL) -> URL:
        if self._secure_origins and url.scheme in _SECURE and url.origin() in self._secure_origins:
            return url.with_scheme(_SECURE[url.scheme])
        return url

    # -- what goes out -------------------------------------------------------------------------------------------------

    def filter_cookies(self, request_url: URL = _NO_URL) -> BaseCookie[str]:
        """The cookies to send to `request_url`, longer paths first; of several with one name the first of these."""
        filtered: BaseCookie[str] = BaseCookie()
        if not self._shared and not len(self._store):
            return filtered
        url = self._as_secure(URL(request_url))
        if self._unsafe or not is_ip_address(url.raw_host):
            for cookie in self._store.cookies_for(url, time.time()):
                if cookie.name not in filtered:
                    dict.__setitem__(filtered, cookie.name, self._outgoing(cookie.name, cookie.value))
        for name, morsel in self._shared.items():
            if name not in filtered and (not morsel["secure"] or url.scheme in _SECURE.values()):
                dict.__setitem__(filtered, name, self._outgoing(morsel.key, morsel.coded_value))
        return filtered

    def _outgoing(self, name: str, coded: str) -> Morsel[str]:
        """A Morsel whose `coded_value` is to be sent: quoted as it came, or not at all if that can be."""
        value = _unquoted(coded)
        if not self._quote_cookie and _is_sendable(value):
            coded = value
        return _made(name, value, coded)

    # -- what is dropped -----------------------------------------------------------------------------------------------

    def clear(self, predicate: Callable[[Morsel[str]], bool] | None = None) -> None:
        """Drop every cookie, or those of which `predicate` is true."""
        if predicate is None:
            self._store.clear()
            self._shared.clear()
            return
        for name, morsel in list(self._shared.items()):
            if predicate(morsel):
                del self._shared[name]
        for cookie in self._live():
            for morsel in _add(SimpleCookie(), cookie).values():
                if predicate(morsel):
                    self._store.remove(cookie.name, domain=cookie.domain, path=cookie.path)

    def clear_domain(self, domain: str) -> None:
        """Drop the cookies of `domain` and of all hosts below it."""
        self._store.clear(domain)

    # -- as a file -----------------------------------------------------------------------------------------------------

    def save(self, file_path: PathLike) -> None:
        """Write the cookies to a file, as JSON in aiohttp's form, in one step and for its owner alone.  Blocks."""
        data: dict[str, dict[str, dict[str, Any]]] = {}
        for name, morsel in self._shared.items():
            data.setdefault("|", {})[name] = _row(morsel)
        for cookie in self._live():
            rows = data.setdefault(f"{cookie.domain}|{cookie.path.rstrip('/')}", {})
            for name, morsel in _add(SimpleCookie(), cookie).items():
                rows[name] = _row(morsel)
                if cookie.host_only:
                    rows[name]["host_only"] = True
                if cookie.expires is not None:
                    rows[name]["expires_timestamp"] = cookie.expires
        write_private(file_path, json.dumps(data, indent=2))

    def load(self, file_path: PathLike) -> None:
        """Replace the cookies by those of a file that `save` wrote, or aiohttp's; a pickle is refused.  Blocks.

        Raises `wirebird.UsageError`, a `ValueError`, for any other file, and then keeps the cookies that are here; `OSError` if
        it cannot be read.
        """
        raw = Path(file_path).read_bytes()
        try:
            data = json.loads(raw.decode())
            loaded = CookieJar(unsafe=self._unsafe, quote_cookie=self._quote_cookie)
            for place, rows in data.items():
                domain, _, path = place.partition("|")
                for name, row in rows.items():
                    loaded._load(name, row, domain, path)
        except (AttributeError, TypeError, KeyError, ValueError, RecursionError, OverflowError, CookieError) as error:
            raise UsageError(f"file_path is not a saved cookie jar: {error}", argument="file_path") from None
        self._store, self._shared = loaded._store, loaded._shared

    def _load(self, name: str, row: dict[str, Any], domain: str, path: str) -> None:
        morsel = _made(row["key"], row["value"], row["coded_value"])
        for attribute in ("path", "secure", "httponly", "samesite"):
            if attribute in row:
                morsel[attribute] = row[attribute]
        if not isinstance(morsel["path"], str) or not _may_be_sent(morsel):
            raise UsageError(f"the cookie {name!r} could not be sent", argument="file_path")
        if not domain:
            self._share(name, morsel)
            return
        now = time.time()
        expires = row.get("expires_timestamp")
        if expires is not None:
            morsel["max-age"] = str(int(min(float(expires) - now, 1e12)))
        if not self._unsafe and is_ip_address(domain):
            return
        self._keep(morsel, "" if row.get("host_only") else domain, URL.build(scheme="https", host=domain, path=f"{path}/"), now)


class DummyCookieJar(AbstractCookieJar):
    """A jar that keeps nothing."""

    def __iter__(self) -> Iterator[Morsel[str]]:
        return iter(())

    def __len__(self) -> int:
        return 0

    @property
    def unsafe(self) -> bool:
        return False

    @property
    def quote_cookie(self) -> bool:
        return True

    @property
    def cookies(self) -> MappingProxyType[tuple[str, str], SimpleCookie]:
        return MappingProxyType({})

    @property
    def host_only_cookies(self) -> frozenset[tuple[str, str, str]]:
        return frozenset()

    def clear(self, predicate: Callable[[Morsel[str]], bool] | None = None) -> None:
        pass

    def clear_domain(self, domain: str) -> None:
        pass

    def update_cookies(self, cookies: LooseCookies, response_url: URL = _NO_URL) -> None:
        pass

    def update_cookies_from_headers(self, headers: Sequence[str], response_url: URL) -> None:
        pass

    def filter_cookies(self, request_url: URL) -> BaseCookie[str]:
        return SimpleCookie()


def response_cookies(headers: Sequence[str]) -> SimpleCookie:
    """The Set-Cookie fields of one response as a `SimpleCookie`, values without quotes; raises for nothing in them."""
    jar = parse_response_cookies(headers)
    for name, morsel in jar.items():
        if morsel.value.startswith('"'):
            morsel.__setstate__(  # type: ignore[attr-defined]
                {"key": name, "value": _unquoted(morsel.value), "coded_value": morsel.value}
            )
    return jar


def _morsel(name: str, value: Any) -> Morsel[str]:
    """A caller's cookie, its value quoted if it needs that."""
    jar = SimpleCookie()
    jar[name] = value
    return jar[name]


def _made(name: str, value: str, coded: str) -> Morsel[str]:
    """A Morsel of any name, which `Morsel.set` would refuse, as some of those are that servers use."""
    morsel: Morsel[str] = Morsel()
    morsel.__setstate__({"key": name, "value": value, "coded_value": coded})  # type: ignore[attr-defined]
    return morsel


def _add(jar: SimpleCookie, cookie: Cookie) -> SimpleCookie:
    """Put a cookie into `jar` as aiohttp has it, with its domain always; not one that `http.cookies` cannot hold."""
    add_morsel(jar, cookie.name, cookie.value, cookie.attributes() | {"domain": cookie.domain}, _unquoted(cookie.value))
    return jar


def _unquoted(coded: str) -> str:
    """A value without its quotes and what is escaped in them.  It is no longer than 4096 characters."""
    return str(_QUOTING.value_decode(coded)[0])


def _row(morsel: Morsel[str]) -> dict[str, Any]:
    """A Morsel as it is saved.  When it expires is saved beside, once and absolute."""
    kept = {name: morsel[name] for name in _ATTRIBUTES if morsel[name] and name not in ("max-age", "expires")}
    return {"key": morsel.key, "value": morsel.value, "coded_value": morsel.coded_value, **kept}


def _may_be_sent(morsel: Morsel[str]) -> bool:
    """Whether a Morsel has a name, and nothing that would end the field or begin another attribute."""
    texts = [morsel.key, morsel.coded_value, *(str(morsel[name]) for name in _ATTRIBUTES)]
    if not all(isinstance(text, str) and _is_sendable(text) for text in texts) or not morsel.key or "=" in morsel.key:
        return False
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True
