"""What a reverse proxy says of the client that it speaks for: `Forwarded` (RFC 7239), or the `X-Forwarded-*` fields.

Anybody can send these fields.  So nothing is believed unless the peer of the connection is a proxy that is trusted, and then no
more than trusted proxies have written.  Each proxy adds the address that it was asked from at the right end, so the list is read
from right to left, for as long as the one who speaks is trusted: the first address that is not a trusted proxy's is the client,
and whatever stands left of it is the client's own invention.

`Settings(proxies=TrustedProxies(["10.0.0.0/8"]))` trusts addresses; `TrustedProxies(hops=1)` the nearest one, whatever its
address.  One kind of field is heeded and never both, since a proxy that sets the one may hand on the other as the client sent it.

A field that should be believed and cannot be read is a fault of the request (400): who the client is would be a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Literal, NamedTuple, TypeAlias

from ..errors import InvalidRequest, UsageError
from ..models.message import RequestHead
from ..models.numbers import check_count
from .peer import UNIX, host_of, node_v4, node_v6

__all__ = ["Seen", "TrustedProxies"]

Network: TypeAlias = "IPv4Network | IPv6Network"
Address: TypeAlias = "IPv4Address | IPv6Address"

_KINDS: Final = ("x-forwarded", "forwarded")

_token = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_pair = re.compile(
    rb"(" + _token + rb")=(?:(" + _token + rb")|\"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+)\")"
)
_unescape = re.compile(rb"\\(.)").sub
_authority = re.compile(r"(?:[A-Za-z0-9\-._~]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?").fullmatch
_zone = re.compile(r"[A-Za-z0-9._\-]+").fullmatch
_hidden = re.compile(r"unknown|_[A-Za-z0-9._\-]+", re.IGNORECASE).fullmatch
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class Seen(NamedTuple):
    """A client as trusted proxies saw it: `peer` is `host:port`, or the host alone, `scheme` and `host` are "" if nobody said."""

    peer: str
    scheme: str
    host: str


class Hop(NamedTuple):
    """What one proxy says: whom it was asked by, how, and for which host; "" where it does not say."""

    node: str
    scheme: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True, init=False)
class TrustedProxies:
    """Whose word about clients is taken.

    networks  addresses and networks of proxies ("10.0.0.7", "fd00::/8"); "unix" for whoever comes over a Unix socket.
              None trusts by `hops` alone
    hops      how many proxies there are at the most, None for as many as `networks` say
    fields    "x-forwarded" for `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`; "forwarded" for `Forwarded`

    Raises `UsageError` for a bad argument, naming it, and if neither `networks` nor `hops` is given.
    """

    networks: tuple[Network, ...] | None
    hops: int | None
    fields: Literal["x-forwarded", "forwarded"]
    unix: bool

    def __init__(
        self,
        networks: Iterable[str] | None = None,
        *,
        hops: int | None = None,
        fields: Literal["x-forwarded", "forwarded"] = "x-forwarded",
    ) -> None:
        if fields not in _KINDS:
            raise UsageError(f"fields must be 'x-forwarded' or 'forwarded', not {fields!r}", argument="fields")
        if hops is not None:
            check_count("hops", hops, 1)
        elif networks is None:
            raise UsageError("there must be networks or hops, or nobody is trusted", argument="networks")
        if isinstance(networks, str):
            raise UsageError(f"networks must be several strings, not {networks!r}", argument="networks")
        names = None if networks is None else list(networks)
        object.__setattr__(self, "unix", names is None or UNIX in names)
        found = None if names is None else tuple(_network(name) for name in names if name != UNIX)
        object.__setattr__(self, "networks", found)
        object.__setattr__(self, "hops", hops)
        object.__setattr__(self, "fields", fields)

    def look(self, peer: str, head: RequestHead) -> Seen | None:
        """Who made this request that came from `peer`; None if that is no trusted proxy, or says nothing.

        Raises `InvalidRequest` for a field that is not what it should be.
        """
        if not self._is_trusted(host_of(peer)):
            return None
        hops = iter(_forwarded(head) if self.fields == "forwarded" else _x_forwarded(head))
        seen: Hop | None = None
        left = self.hops
        for hop in hops:
            seen = hop
            if left is not None:
                left -= 1
                if not left:
                    break
            if not self._is_trusted(host_of(hop.node)):
                break
        if seen is None:
            return None
        return Seen(seen.node or peer, seen.scheme, seen.host)

    def _is_trusted(self, host: str) -> bool:
        if self.networks is None:
            return True
        try:
            address = ip_address(host)
        except ValueError:
            return self.unix and host == UNIX
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self.networks)


def _network(name: str) -> Network:
    try:
        return ip_network(name, strict=False)
    except (ValueError, TypeError):
        raise UsageError(f"networks must hold addresses, networks or 'unix', not {name!r}", argument="networks") from None


# -- X-Forwarded-* -----------------------------------------------------------------------------------------------------


def _x_forwarded(head: RequestHead) -> Iterator[Hop]:
    """What each proxy says, the nearest first."""
    fields = head.fields
    nodes = _values(fields.get_list("x-forwarded-for"))
    schemes = _values(fields.get_list("x-forwarded-proto"))
    hosts = _values(fields.get_list("x-forwarded-host"))
    ports = _values(fields.get_list("x-forwarded-port"))
    for back in range(1, max(len(nodes), 1 if schemes or hosts or ports else 0) + 1):
        node = _node(nodes[-back], bare=True) if nodes else ""
        yield Hop(node, _scheme(_from_right(schemes, back)), _with_port(_from_right(hosts, back), _from_right(ports, back)))


def _values(lines: list[str]) -> list[str]:
    return [value.strip(" \t") for line in lines for value in line.split(",")]


def _from_right(values: list[str], back: int) -> str:
    """What the proxy says that is so far away; where only some say it, the last of them."""
    return values[max(0, len(values) - back)] if values else ""


def _with_port(host: str, port: str) -> str:
    if host and not _authority(host):
        raise InvalidRequest("an X-Forwarded-Host that is not host[:port]")
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise InvalidRequest("an X-Forwarded-Port that is no port")
    return f"{host}:{port}" if host and port and not re.search(r":[0-9]+$", host) else host


# -- Forwarded ---------------------------------------------------------------------------------------------------------


def _forwarded(head: RequestHead) -> Iterator[Hop]:
    """What each proxy says, the nearest first (RFC 7239 4)."""
    for line in reversed([value for name, value in head.raw_fields if name.lower() == b"forwarded"]):
        yield from reversed(_elements(line))


def _elements(line: bytes) -> list[Hop]:
    found: list[Hop] = []
    pairs: dict[str, str] = {}
    at = 0
    while True:
        while line[at : at + 1] in (b" ", b"\t"):
            at += 1
        if (pair := _pair.match(line, at)) is not None:
            at = pair.end()
            name = pair[1].decode().lower()
            if name in pairs:
                raise InvalidRequest("a Forwarded field that says something twice (RFC 7239 4)")
            raw = pair[2] if pair[2] is not None else _unescape(rb"\1", pair[3])
            pairs[name] = raw.decode("latin-1")
            while line[at : at + 1] in (b" ", b"\t"):
                at += 1
        mark = line[at : at + 1]
        at += 1
        if mark in (b",", b""):
            if pairs:
                found.append(_hop(pairs))
                pairs = {}
            if not mark:
                return found
        elif mark != b";":
            raise InvalidRequest("a Forwarded field that cannot be read (RFC 7239 4)")


def _hop(pairs: dict[str, str]) -> Hop:
    host = pairs.get("host", "")
    if host and not _authority(host):
        raise InvalidRequest("a Forwarded field whose host is not host[:port]")
    return Hop(_node(pairs.get("for", "unknown"), bare=False), _scheme(pairs.get("proto", "")), host)


# -- values ------------------------------------------------------------------------------------------------------------


def _scheme(text: str) -> str:
    if not text:
        return ""
    scheme = _SCHEMES.get(text.lower())
    if scheme is None:
        raise InvalidRequest("a forwarded protocol other than http and https")
    return scheme


def _node(text: str, *, bare: bool) -> str:
    """An address with or without a port, or a name that hides it (RFC 7239 6); `bare` allows IPv6 without brackets."""
    if _hidden(text):
        return text
    found = node_v6(text) or node_v4(text)
    address = found[1] if found is not None else text if bare else ""
    try:
        parsed = ip_address(address)
        zone = getattr(parsed, "scope_id", None)
        if zone is not None and not _zone(zone):  # which may be anything, to `ipaddress`
            raise ValueError
    except ValueError:
        raise InvalidRequest("a forwarded address that is none") from None
    return text
