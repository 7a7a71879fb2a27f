"""Whom a development server answers, and to whom it shows what is inside.

A page of another site can have the browser send requests to this machine.  What it must not get is an answer it may read: by a
name that it has resolved to 127.0.0.1 itself (DNS rebinding), so only names that mean this machine are answered; or through a
WebSocket, which is for pages of the same origin (`live.py`).  Tracebacks and requests are for programs on this machine alone,
and not for those that speak for others.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from ...models.headers import HttpHeaders
from ...models.message import RequestHead
from ...server.exchange import Exchange

__all__ = ["Guard"]

# What proxies set, each its own.
_PROXIED: Final = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")


class Guard:
    """`allow` are names of hosts that are answered besides localhost, this machine's name excepted, and addresses."""

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self._allow = frozenset(name.lower().rstrip(".") for name in allow)

    def is_known(self, head: RequestHead) -> bool:
        """Whether the request is for a host that nobody else can have a name for."""
        host = head.host.decode("latin-1").lower()
        if not host:
            return head.minor == 0  # no browser
        name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
        name = name.rstrip(".")
        return name == "localhost" or name.endswith(".localhost") or name in self._allow or _is_address(name)

    def may_look(self, exchange: Exchange) -> bool:
        """Whether whoever asks may see what is inside: a program on this machine, and no page of another site."""
        fields = exchange.head.fields
        if fields.get("sec-fetch-site", "none") not in ("none", "same-origin", "same-site") and not _is_visit(fields):
            return False
        if any(name in fields for name in _PROXIED):
            return False  # who knows for whom
        peer = exchange.connection.peer
        if ":" not in peer:
            return True  # over a Unix socket
        host = peer.rpartition(":")[0].strip("[]").partition("%")[0]
        try:
            address = ip_address(host)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return address.is_loopback or (mapped is not None and mapped.is_loopback)


def _is_visit(fields: HttpHeaders) -> bool:
    """Whether the answer will be a page of its own, whoever led there: no other page sees anything of it."""
    return fields.get("sec-fetch-mode") == "navigate" and fields.get("sec-fetch-dest") == "document"


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
