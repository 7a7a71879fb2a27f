"""Two ends of one WebSocket in one loop, over a pair of sockets, with no handshake; and a raw far end in place of the second."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from wirebird.net.stream import Stream
from wirebird.net.websocket import WebSocket

__all__ = ["over_socket", "raw_end", "websocket_pair"]


async def over_socket(sock: socket.socket, **options: Any) -> WebSocket:
    """A WebSocket over a connected socket."""
    loop = asyncio.get_running_loop()
    sock.setblocking(False)
    _, stream = await loop.create_connection(lambda: Stream(loop, "the-peer:1"), sock=sock)
    try:
        return WebSocket.over(stream, **options)
    except BaseException:
        stream.abort()
        await asyncio.wait([stream.when_gone()])
        raise


@asynccontextmanager
async def websocket_pair(
    client: dict[str, Any] | None = None, server: dict[str, Any] | None = None, **both: Any
) -> AsyncIterator[tuple[WebSocket, WebSocket]]:
    """A client's and a server's end; whatever is left open at the end is closed at once."""
    ends: list[WebSocket] = []
    near, far = socket.socketpair()
    try:
        with far:
            ends.append(await over_socket(near, server=False, **{**both, **(client or {})}))
            ends.append(await over_socket(far.dup(), server=True, **{**both, **(server or {})}))
        yield ends[0], ends[1]
    finally:
        for end in ends:
            end.abort()
            await asyncio.wait([end.connection.when_gone()])


@asynccontextmanager
async def raw_end(**options: Any) -> AsyncIterator[tuple[WebSocket, socket.socket]]:
    """A WebSocket and the non-blocking socket at its far end."""
    near, far = socket.socketpair()
    far.setblocking(False)
    end = await over_socket(near, **options)
    try:
        yield end, far
    finally:
        end.abort()
        await asyncio.wait([end.connection.when_gone()])
        far.close()
