"""The proxies that the environment names, and the hosts that it excepts.

There is no standard for these variables; this is what most programs agree upon.  The lower-case name comes first.

    http_proxy                  for http origins.  Only in lower case: in a CGI program a client of the server sets HTTP_PROXY,
                                by sending a `Proxy` field (CVE-2016-5385, "httpoxy")
    https_proxy, HTTPS_PROXY    for https origins
    all_proxy, ALL_PROXY        for those that the others say nothing about
    no_proxy, NO_PROXY          what is asked directly: a list, separated by commas or spaces, of

        example.org             that host, and those under it; with a dot or `*.` in front it is the same
        10.1.2.3  [2001:db8::1] that address, however it is spelled
        10.0.0.0/8  fd00::/8    every address in that block.  Names are not looked up for this
        example.org:8080        any of these but a block, and that port only
        *                       everything

The variables are read once.  What is decided depends on them and the destination alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ..errors import InvalidURL, UsageError
from ..models.url import destination, parse_url
from .proxy import Proxy

if TYPE_CHECKING:
    from ..models.url import Destination

__all__ = ["EnvironmentProxies", "read_environment"]

_Network: TypeAlias = "IPv4Network | IPv6Network"
_Address: TypeAlias = "IPv4Address | IPv6Address"

_VARIABLES = {"http": ("http_proxy",), "https": ("https_proxy", "HTTPS_PROXY")}
_ANY = ("all_proxy", "ALL_PROXY")
_EXCEPT = ("no_proxy", "NO_PROXY")
_KINDS = {"http": "http", "ws": "http", "https": "https", "wss": "https"}

_separators = re.compile(r"[,\x20\t\r\n]+").split
_with_port = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?").fullmatch


class _Exception(NamedTuple):
    """One entry of no_proxy: a block of addresses, or a name and those under it (empty: everything); `port` None for any."""

    network: _Network | None
    name: str
    port: int | None

    def covers(self, host: str, address: _Address | None, port: int) -> bool:
        if self.port is not None and self.port != port:
            return False
        if self.network is not None:
            return address is not None and address.version == self.network.version and address in self.network
        return not self.name or (address is None and (host == self.name or host.endswith(f".{self.name}")))


class EnvironmentProxies:
    """Which proxy an environment asks to use for which destination.  Raises `UsageError`, naming the variable, for rubbish."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._proxies = {kind: _read_proxy(environment, names) for kind, names in _VARIABLES.items()}
        self._exceptions = _read_exceptions(environment)

    def __repr__(self) -> str:
        shown = ", ".join(f"{kind}: {proxy!r}" for kind, proxy in self._proxies.items() if proxy is not None)
        return f"<EnvironmentProxies {shown or 'none'}>"

    def __bool__(self) -> bool:
        return any(self._proxies.values())

    def choose(self, where: Destination) -> Proxy | None:
        """The proxy for a destination, None for none."""
        proxy = self._proxies[_KINDS[where.scheme]]
        if proxy is None:
            return None
        host = where.host.removesuffix(".").lower()
        address = _address(host)
        if any(one.covers(host, address, where.port) for one in self._exceptions):
            return None
        return proxy


def read_environment(environment: Mapping[str, str]) -> EnvironmentProxies | None:
    """What `environment` says of proxies, None if nothing."""
    return EnvironmentProxies(environment) or None


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str]:
    """The first of the variables that holds something, and what; both empty if none does."""
    for name in names:
        raw = environment.get(name, "")
        value = raw.strip(" \t\r\n")
        # Windows makes no difference between the two cases, so there the lower-case one may be what a client of the server sent.
        if value and not (name == "http_proxy" and "REQUEST_METHOD" in environment and environment.get("HTTP_PROXY") == raw):
            return name, value
    return "", ""


def _read_proxy(environment: Mapping[str, str], names: tuple[str, ...]) -> Proxy | None:
    name, value = _first(environment, names + _ANY)
    if not name:
        return None
    try:
        return Proxy(value)
    except UsageError as error:
        raise UsageError(f"the environment variable {name} names no proxy: {error.message}", argument=name) from None


def _read_exceptions(environment: Mapping[str, str]) -> tuple[_Exception, ...]:
    name, value = _first(environment, _EXCEPT)
    found: list[_Exception] = []
    for entry in filter(None, _separators(value)):
        one = _read_exception(entry)
        if one is None:  # it is not shown: it may be a URL with a password, or what a comma in one has left of it
            number = len(found) + 1
            raise UsageError(f"entry {number} of the environment variable {name} is no host or block", argument=name)
        found.append(one)
    return tuple(found)


def _read_exception(entry: str) -> _Exception | None:
    """One entry, None for rubbish."""
    if "/" in entry:
        try:
            return _Exception(ip_network(entry, strict=False), "", None)
        except ValueError:
            return None
    address = _address(entry)  # an IPv6 address may stand without brackets; then there is no port
    port = None
    if address is None:
        parts = _with_port(entry)
        if parts is None:
            return None
        host = parts[1]
        if parts[2]:
            port = int(parts[2])
            if not 0 < port < 65536:
                return None
        if host == "*":
            return _Exception(None, "", port)
        if host.startswith("["):
            address = _address(host[1:-1])
            if address is None or address.version == 4:
                return None
        else:
            address = _address(host)
    if address is not None:
        return _Exception(ip_network(address), "", port)
    return _read_name(host, port)


def _read_name(host: str, port: int | None) -> _Exception | None:
    name = host.removeprefix("*").removeprefix(".").removesuffix(".")
    if not name or (host.startswith("*") and not host.startswith("*.")):
        return None
    try:
        where = destination(parse_url(f"http://{name}"))
    except InvalidURL:
        return None
    return None if where.credentials or where.target != "/" else _Exception(None, where.host.lower(), port)


def _address(text: str) -> _Address | None:
    """`text` as an IP address, None if it is none; an IPv4 address that is spelled as IPv6 is one of the former."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
