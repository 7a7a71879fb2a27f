"""URLs, as far as HTTP needs them: what was asked for, and what of it goes on the wire (RFC 3986, RFC 9110 4.2, RFC 9112 3.2).

yarl does the parsing, IDNA 2008 and the canonical quoting.  This module refuses what yarl lets pass (white space and controls,
a port that is not 1*DIGIT, numbers that only look like an IPv4 address) and computes, once per URL, everything a request needs
from it: the `Destination`.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Any, TypeAlias
from urllib.parse import quote

from yarl import URL

from ..errors import InvalidHeader, InvalidURL, UsageError

__all__ = [
    "Destination",
    "ParamsLike",
    "as_http",
    "basic_credentials",
    "basic_value",
    "check_host",
    "destination",
    "extend_params",
    "hide_userinfo",
    "join_url",
    "parse_url",
]

ParamsLike: TypeAlias = "str | Mapping[str, Any] | Sequence[tuple[str, Any]]"

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

# Controls and spaces anywhere would be stripped or quoted silently; a backslash is a slash to some parsers and not to others.
_forbidden = re.compile(r"[\x00-\x20\x7f\\]").search
_authority = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.\-]*:)?//([^/?#]*)").match
_port = re.compile(r"(?:\[[^\]:]*:[^\]]*\]|[^:\[\]]*)(?::([0-9]*))?").fullmatch
_reg_name = re.compile(r"[a-z0-9_](?:[a-z0-9_.\-]*[a-z0-9_.])?").fullmatch
_ends_in_number = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?", re.DOTALL).fullmatch
_octet = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_ipv4 = re.compile(rf"{_octet}(?:\.{_octet}){{3}}").fullmatch
_zone = re.compile(r"[0-9A-Za-z._~%\-]+").fullmatch  # RFC 6874 2: ZoneID, also percent-encoded
_visible = re.compile(r"[\x21-\x7e]+").fullmatch
_host_field = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+;=%]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?").fullmatch
# No user and no password: an @ behind this is one of the path.  Else all up to the last @ may be a password, slashes included.
_bare = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*+://(?:[^/?#@:\[\]]++|\[[^\]@/]*+\])(?::[0-9]*+)?(?:[/?#]|$)|/(?!/)|[?#]").match
_userinfo = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]*+:)?(//)?.*@", re.DOTALL)
_control = re.compile(r"[\x00-\x1f\x7f]").search
_bad_percent = re.compile("%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True, eq=False)
class Destination:
    """What a request needs to know of its URL.

    `url` is what was asked for without user and password, which become `credentials`: the value of `Authorization` (RFC 7617),
    empty if there are none.  So whoever prints a URL prints no password.

    `host` is the ASCII name or address without brackets, `authority` the `Host` field value, `target` the origin-form
    request target, and `origin` the text `scheme://host:port` (RFC 6454) with the port always there.
    """

    url: URL
    scheme: str
    host: str
    port: int
    authority: str
    target: str
    origin: str
    credentials: str

    @property
    def secure(self) -> bool:
        """Whether the scheme asks for TLS."""
        return self.scheme in ("https", "wss")


def parse_url(url: str | URL, argument: str = "url") -> URL:
    """The URL as a value.  Raises `InvalidURL` for what is no URL or not to be trusted as one; a relative one is let through."""
    if isinstance(url, URL):
        return url
    if not isinstance(url, str):
        raise InvalidURL(f"{argument} must be str or yarl.URL, not {type(url).__name__}", argument=argument)
    # Everything after the authority may hold spaces, which yarl quotes; CR, LF, tabs and lone surrogates it would drop without a
    # word, those of a password that is no UTF-8 in the environment, for one.
    found = _authority(url)
    authority = found[1] if found else ""
    bad = _forbidden(authority) or re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", url)
    if bad or url[:1] == " ":
        raise InvalidURL(f"{argument} holds a control character, space, backslash or surrogate: {_shown(url)}", argument=argument)
    if found and not authority:
        raise InvalidURL(f"{argument} has no host: {_shown(url)}", argument=argument)
    if authority:
        port = _port(authority.rpartition("@")[2])
        if port is None or (port[1] and (len(port[1]) > 5 or int(port[1]) > 65535)):
            raise InvalidURL(f"{argument} has a bad host or port: {_shown(url)}", argument=argument)
        host = authority.rpartition("@")[2]
        if len(host) > 300 or any(len(label) > 63 for label in host.split(".")):
            raise InvalidURL(f"{argument} has a host name longer than DNS allows: {_shown(url)}", argument=argument)
    try:
        return URL(url)
    except (ValueError, TypeError) as error:
        why = "" if "@" in str(error) else f" ({error})"
        raise InvalidURL(f"{argument} is not a URL: {_shown(url)}{why}", argument=argument) from None


def as_http(url: URL) -> URL:
    """A ws or wss URL as the http or https URL that its handshake is a request for (RFC 6455 3); any other as it is."""
    scheme = {"ws": "http", "wss": "https"}.get(url.scheme)
    return url if scheme is None else url.with_scheme(scheme)


def join_url(base: URL, reference: str | URL, argument: str = "url") -> URL:
    """Resolve `reference` against `base` (RFC 3986 5.2)."""
    return base.join(parse_url(reference, argument))


def extend_params(url: URL, params: ParamsLike, argument: str = "params") -> URL:
    """The URL with `params` behind its own query, which stays as it is.

    A mapping (values may be lists) or pairs are encoded: space as `+`; `+ & = ; # %` as %XX.  A string is taken as already
    encoded: only what may not stand in a query is quoted.  Raises `UsageError` for bool, None, NaN and infinite values.
    """
    if isinstance(params, str):
        text = _bad_percent.sub("%25", params.removeprefix("?"))
        query = quote(text, safe="%/:?@!$&'()*+,;=~-._[]")
    else:
        try:
            query = URL.build(query=params).raw_query_string
        except (TypeError, ValueError) as error:
            raise UsageError(f"{argument} must be pairs of str, int or float: {error}", argument=argument) from error
    if not query:
        return url
    text = str(url.with_fragment(None))
    head, mark, old = text.partition("?")
    joined = f"{head}?{old}&{query}" if mark and old else f"{head}?{query}"
    return URL(joined, encoded=True).with_fragment(url.raw_fragment or None)


@lru_cache(maxsize=1024)
def destination(url: URL, argument: str = "url") -> Destination:
    """Where a request for `url` goes.  Raises `InvalidURL` unless it is an absolute http(s) or ws(s) URL with a sound host."""
    scheme = url.scheme
    if scheme not in DEFAULT_PORTS:
        what = f"has the scheme {scheme!r}" if scheme else "is not absolute"
        raise InvalidURL(f"{argument} {what}, where http or https is needed: {_shown(str(url))}", argument=argument)
    host = url.raw_host
    if not host:
        raise InvalidURL(f"{argument} has no host: {_shown(str(url))}", argument=argument)
    bracketed = ":" in host
    if not (_sound_address(host) if bracketed else _sound_host(host)):
        raise InvalidURL(f"{argument} has an unusable host {host[:80]!r}", argument=argument)
    try:
        port = url.port
    except ValueError as error:
        raise InvalidURL(f"{argument} has a bad port: {_shown(str(url))}", argument=argument) from error
    if port is None or not 0 < port <= 65535:
        raise InvalidURL(f"{argument} has the port {port}, where 1 to 65535 is needed", argument=argument)
    # The zone of a link-local address means something on this machine only (RFC 6874 4).
    shown = f"[{host.partition('%')[0]}]" if bracketed else host
    target = url.raw_path_qs
    if target[:1] != "/":
        target = "/" + target
    if not _visible(target):
        raise InvalidURL(f"{argument} has a path or query that is not encoded: {_shown(target)}", argument=argument)
    authority = shown if port == DEFAULT_PORTS[scheme] else f"{shown}:{port}"
    credentials = ""
    if url.raw_user is not None or url.raw_password is not None:
        if ":" in (url.user or "") or _control(f"{url.user}{url.password}"):
            raise InvalidURL(f"{argument} has a user with a colon, or a control in user or password", argument=argument)
        credentials = basic_credentials(url)
        url = url.with_user(None)
    return Destination(url, scheme, host, port, authority, target, f"{scheme}://{shown}:{port}", credentials)


def basic_credentials(url: URL) -> str:
    """The `Authorization` value for the userinfo of `url` (RFC 7617)."""
    return basic_value(url.user or "", url.password or "")


def basic_value(user: str, password: str) -> str:
    """The field value that holds a user and a password (RFC 7617 2)."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def check_host(value: str, argument: str = "headers") -> None:
    """Raise `InvalidHeader` unless `value` may be the value of a Host field: a host, and a port if it is not the usual one."""
    if not _host_field(value):
        raise InvalidHeader(f"{argument} must have a Host that is host[:port], not {_shown(value)}", argument=argument)


def _sound_host(host: str) -> bool:
    if len(host) > 253 or any(len(label) > 63 for label in host.split(".")):
        return False
    if _ends_in_number(host):
        return _ipv4(host) is not None
    return _reg_name(host) is not None and ".." not in host


def _sound_address(host: str) -> bool:
    address, _, zone = host.partition("%")
    try:
        IPv6Address(address)
    except ValueError:
        return False
    return "%" not in host or _zone(zone) is not None


def hide_userinfo(text: str) -> str:
    """`text`, which may be a URL or be meant as one, without its user, its password, and the values of secret parameters: for
    what is shown to people and logs."""
    if "=" in text:
        from .redaction import hidden_params, read_hide

        text = hidden_params(text, read_hide(True))
    return text if "@" not in text or _bare(text) else _userinfo.sub(r"\1\2…@", text, count=1)


def _shown(text: str) -> str:
    text = hide_userinfo(text)
    return repr(text if len(text) <= 200 else text[:200] + "…")
