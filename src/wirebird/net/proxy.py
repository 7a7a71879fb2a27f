"""Proxies: what stands between a client and the origins it talks to (RFC 9110 3.7, RFC 1928).

A proxy is a value, read and checked where it is named.  How one is used depends on the two schemes:

    proxy              http origin                                   https origin
    http, https        asked for the absolute URL (RFC 9112 3.2.2)   asked for a tunnel (CONNECT), TLS within
    socks5, socks5h    asked to connect, HTTP within                 asked to connect, TLS within

To an https proxy all of that goes within TLS of its own.
"""

from __future__ import annotations

import ssl as _ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from yarl import URL

from ..errors import InvalidHeader, InvalidURL, UsageError
from ..models.headers import HeadersLike, HttpHeaders, check_value, encode_fields
from ..models.url import basic_value, destination, parse_url
from ..protocol.socks5 import check_credential
from .dial import peer_name

if TYPE_CHECKING:
    from ..models.url import Destination

__all__ = ["Proxy", "ProxyLike", "read_proxy"]

# The scheme's own (RFC 9110 4.2), and the port that RFC 1928 3 gives to SOCKS.
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Proxy:
    """A proxy, and the credentials for it.

    host     its URL: `http://`, `https://`, `socks5://` (names are resolved here) or `socks5h://` (the proxy resolves them).
             `host:port` alone means http.  The port may be left out: 80, 443, or 1080 for SOCKS
    auth  `"user:password"`; or they are in the URL, percent-encoded
    ssl   the `ssl.SSLContext` for an https proxy, whose certificate is otherwise verified against the system's authorities
    headers  sent along where it is asked for a tunnel; `Proxy-Authorization` among them also with the requests that it forwards

    The certificate of an https proxy is verified by the proxy's own host name.  Only `ssl` can change that: `verify=False` and
    the contexts of requests and connectors are about origins.  Raises `UsageError` for what is no proxy.
    """

    scheme: str
    host: str
    port: int
    user: str
    password: str
    ssl: _ssl.SSLContext | None
    headers: tuple[tuple[str, str], ...]

    def __init__(
        self,
        host: str | URL,
        auth: str | None = None,
        *,
        ssl: _ssl.SSLContext | None = None,
        headers: HeadersLike | None = None,
    ) -> None:
        scheme, url = _read_url(host)
        given = _read_auth(auth) if auth is not None else None
        if url.raw_user is not None or url.raw_password is not None:
            if given is not None:
                raise UsageError("auth and a user in the URL exclude each other", argument="auth")
            given = url.user or "", url.password or ""
        user, password = given or ("", "")
        if given is not None:
            _check_credentials(scheme, user, password)
        if ssl is not None and not isinstance(ssl, _ssl.SSLContext):
            raise UsageError(f"ssl must be an ssl.SSLContext, not {ssl!r}", argument="ssl")
        if ssl is not None and scheme != "https":
            raise UsageError(f"ssl is for https proxies, not for {scheme}", argument="ssl")
        where = _destination(url)
        port = url.explicit_port
        fields = _read_headers(scheme, headers) if headers is not None else ()
        values = (scheme, where.host, _PORTS[scheme] if port is None else port, user, password, ssl, fields)
        for name, value in zip(self.__slots__, values, strict=True):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"Proxy({self.url!r}{', auth=…' if self.user or self.password else ''})"

    @property
    def url(self) -> str:
        """Scheme, host and port, without credentials."""
        return f"{self.scheme}://{self.peer}"

    @property
    def peer(self) -> str:
        """`host:port`, for errors."""
        return peer_name(self.host, self.port)

    @property
    def is_socks(self) -> bool:
        """Whether SOCKS5 is spoken with it, and not HTTP."""
        return self.scheme in ("socks5", "socks5h")

    @property
    def credentials(self) -> str | None:
        """The value of `Proxy-Authorization`: that of `headers`, or of user and password (RFC 7617); None without any."""
        for name, value in self.headers:
            if name.lower() == "proxy-authorization":
                return value
        return basic_value(self.user, self.password) if self.user or self.password else None

    def choose(self, where: Destination) -> Proxy | None:
        """The proxy for a destination: this one for every one."""
        return self


ProxyLike: TypeAlias = "Proxy | str | URL | Literal[False]"


def read_proxy(proxy: object, argument: str = "proxy") -> Proxy:
    """`proxy` as a caller may give it.  Raises `UsageError` for what is none."""
    if isinstance(proxy, Proxy):
        return proxy
    if isinstance(proxy, str | URL):
        return Proxy(proxy)
    raise UsageError(f"{argument} must be a Proxy or its URL, not {type(proxy).__name__}", argument=argument)


def _read_url(host: object) -> tuple[str, URL]:
    """The scheme, and the rest as the http URL that it would be: what is wrong with one is wrong with the other."""
    if not isinstance(host, str | URL):
        raise UsageError(f"host must be a URL or host:port, not {type(host).__name__}", argument="host")
    text = str(host)
    scheme, mark, rest = text.partition("://")
    if not mark:
        scheme, rest = "http", text
    scheme = scheme.lower()
    if scheme not in _PORTS:
        raise UsageError("host must be the URL of an http, https, socks5 or socks5h proxy", argument="host")
    url = _parse(rest)
    if url.raw_path_qs not in ("", "/") or url.raw_fragment:
        raise UsageError("host must be a URL without path, query and fragment", argument="host")
    return scheme, url


def _parse(rest: str) -> URL:
    """What stands behind the scheme.  An error does not show it: a password may stand in any part of what is no URL."""
    try:
        url = parse_url(f"http://{rest}", "host")
        _destination(url)
    except InvalidURL:
        raise UsageError("host must be a URL or host:port, with a host and a port from 1 to 65535", argument="host") from None
    return url


def _destination(url: URL) -> Destination:
    return destination(url.with_user(None), "host")


def _read_headers(scheme: str, headers: HeadersLike) -> tuple[tuple[str, str], ...]:
    if scheme in ("socks5", "socks5h"):
        raise UsageError(f"headers are for http and https proxies, not for {scheme}", argument="headers")
    try:
        fields = tuple(HttpHeaders(headers).items())
    except (TypeError, ValueError):
        raise UsageError("headers must be a mapping or pairs of str", argument="headers") from None
    encode_fields(fields)
    return fields


def _read_auth(auth: object) -> tuple[str, str]:
    if not isinstance(auth, str) or ":" not in auth:
        raise UsageError("auth must be 'user:password'", argument="auth")
    user, _, password = auth.partition(":")
    return user, password


def _check_credentials(scheme: str, user: str, password: str) -> None:
    """Raise `UsageError`, without showing them, for credentials that cannot be sent."""
    socks = scheme in ("socks5", "socks5h")
    fault = ""
    try:
        f"{user}{password}".encode()
        if not socks:
            check_value(f"{user}{password}", "auth")
    except UnicodeEncodeError:
        fault = "auth must be text that UTF-8 can encode"
    except InvalidHeader:
        fault = "auth must be text without control characters"
    if fault:  # raised here, for those errors hold the credentials, and would be its context
        raise UsageError(fault, argument="auth")
    if socks:
        check_credential(user, "user")
        check_credential(password, "password")
    elif ":" in user:
        raise UsageError("the user of an HTTP proxy must not hold a colon (RFC 7617 2)", argument="auth")
