"""What a connection that has ended still tells: how it ended, and what of the peer's words is left in the socket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    import socket

__all__ = ["is_cut_short", "unread"]

_READ = 65536


def is_cut_short(transport: asyncio.Transport) -> bool:
    """Whether TCP ended before TLS did, as anybody on the way can bring about (RFC 8446 6.1, RFC 9112 9.8).

    asyncio reports both ends alike, but its TLS object knows: behind a close_notify there is nothing to read, without one it
    wants more.  uvloop reports the early end as a connection that is lost.
    """
    tls = transport.get_extra_info("ssl_object")
    try:
        return tls is not None and tls.read(1) != b""
    except OSError:  # which the errors of TLS are
        return True


def unread(transport: asyncio.Transport) -> Iterator[bytes]:
    """What has arrived and was not read when a write failed and the transport gave up; b"" is the end of it.

    A peer that breaks off while it is sent a body has most often said why before that (RFC 9112 9.5, 9.6).  Raises `OSError`
    where the socket has no more.
    """
    sock: socket.socket | None = transport.get_extra_info("socket")
    while sock is not None:
        yield os.read(sock.fileno(), _READ)
