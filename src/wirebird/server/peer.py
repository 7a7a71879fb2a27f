"""The names of peers: as asyncio gives them, and as proxies write them (RFC 7239 6)."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["UNIX", "address_of", "host_of", "node_v4", "node_v6", "peer_of"]

# Whoever comes over a Unix socket has no address.
UNIX: Final = "unix"

node_v4 = re.compile(r"([0-9.]{7,15})(?::([0-9]{1,5}|_[A-Za-z0-9._\-]+))?").fullmatch
node_v6 = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}|_[A-Za-z0-9._\-]+))?").fullmatch


def peer_of(name: object) -> str:
    """`host:port` for the address of a socket, brackets around IPv6."""
    if not isinstance(name, tuple):
        return UNIX
    host, port = name[0], name[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def host_of(peer: str) -> str:
    """The host of `host:port`, without brackets; what has no port is a host."""
    found = node_v4(peer) or node_v6(peer)
    return found[1] if found is not None else peer


def address_of(peer: str) -> tuple[str, int] | None:
    """Host and port of `host:port`, 0 for a port that is not there; None for what is no address."""
    found = node_v4(peer) or node_v6(peer)
    if found is not None:
        port = found[2] or ""
        return found[1], int(port) if port.isascii() and port.isdigit() else 0
    return (peer, 0) if ":" in peer else None
