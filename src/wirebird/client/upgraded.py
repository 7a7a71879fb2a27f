"""A connection that has left HTTP: the response that says so, and the way to take the connection over (RFC 9110 7.8, 15.2.2).

After a 101 the connection belongs to no pool, and nothing is received on it.  The response holds it, in a `Tunnel`, on its way
out through the pipeline; whoever speaks the new protocol takes it from there.  A response that is closed instead, or that nobody
holds any more, takes the connection with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..errors import ConnectionLost
from .response import HttpResponse

if TYPE_CHECKING:
    from ..models.message import ResponseHead
    from ..net.stream import Stream
    from ..net.websocket import WebSocket

__all__ = ["Adopting", "Tunnel", "Upgraded", "UpgradedResponse", "say_goodbye"]


# How long those who speak another protocol may take to say goodbye, seconds.
_GOODBYE: Final = 2.0


class Upgraded(Protocol):
    """A connection that has left the pool for another protocol, as far as a connector has to do with it."""

    async def go_away(self) -> None:
        """Tell the peer that this side is going away, and close."""

    def abort(self) -> None:
        """Close at once."""

    def forsake(self) -> None:
        """The loop is gone, and the transport with it."""


class Adopting(Protocol):
    """A connector: see `TCPConnector.adopt`."""

    def adopt(self, gone: asyncio.Future[None], successor: Upgraded) -> None:
        """A connection has left the pool for another protocol: from now on `successor` is who closes it."""


async def say_goodbye(upgraded: Mapping[asyncio.Future[None], Upgraded]) -> None:
    """End what speaks another protocol, in the words of that protocol if there is time; by the futures of when each is gone."""
    loop = asyncio.get_running_loop()
    leaving = dict(upgraded)
    going = [loop.create_task(one.go_away()) for one in leaving.values()]
    try:
        await asyncio.wait(going, timeout=_GOODBYE)
    finally:
        for task, one in zip(going, leaving.values(), strict=True):
            task.cancel()
            one.abort()
        await asyncio.wait([*going, *leaving], timeout=_GOODBYE)


class Tunnel:
    """A connection on which the peer has switched protocols, until somebody takes it over.

    `stream` does not read; `received` is what it had received behind the 101.
    """

    __slots__ = ("_received", "_stream", "loop", "peer")

    def __init__(self, stream: Stream, received: bytearray) -> None:
        self._stream: Stream | None = stream
        self._received = received
        self.loop: asyncio.AbstractEventLoop = stream.loop
        self.peer = stream.peer

    def __repr__(self) -> str:
        return f"<Tunnel {self.peer} {'open' if self.is_open() else 'closed or taken'}>"

    def is_open(self) -> bool:
        """Whether there is something to take over."""
        return self._stream is not None and self._stream.transport is not None

    def take(self) -> tuple[Stream, bytes]:
        """The stream, reading again, and what it had received.  Its transport is to be taken over in this turn of the loop.

        Raises `ConnectionLost` if the connection broke, or was closed or taken before.
        """
        stream, self._stream = self._stream, None
        transport = stream.transport if stream is not None else None
        if stream is None or transport is None:
            raise ConnectionLost(
                "the connection was closed as soon as protocols were switched", peer=self.peer, phase="connecting"
            )
        if not transport.is_closing():
            transport.resume_reading()
        return stream, bytes(self._received)

    def drop(self) -> None:
        """Nobody wants it: close the connection."""
        stream, self._stream = self._stream, None
        if stream is not None and not stream.loop.is_closed():
            stream.abort()

    __del__ = drop


class UpgradedResponse(HttpResponse):
    """A 101, with the connection that it was received on.  It has no body.

    `accepted` is what its fields say of the new protocol, once they were looked at.
    """

    __slots__ = ("accepted", "tunnel")

    def __init__(self, head: ResponseHead, source: Any, elapsed: float, tunnel: Tunnel) -> None:
        super().__init__(head, b"", source, None, elapsed)
        self.tunnel = tunnel
        self.accepted: Any = None

    @classmethod
    def on(cls, stream: Stream, received: bytearray, head: ResponseHead, source: Any, elapsed: float) -> UpgradedResponse:
        """The answer to `source`, which has offered it, on `stream`; its offer is told.

        `received` is filled with what comes behind the head, as long as nobody has taken the connection over.
        """
        tunnel = Tunnel(stream, received)
        source.options.upgrade.switched(tunnel)
        return cls(head, source, elapsed, tunnel)

    def open_websocket(self, connector: Adopting, **settings: Any) -> WebSocket:
        """Take the connection over for the WebSocket that was agreed upon, which `connector` closes from now on.

        `settings` are those of `WebSocket.over`.  Raises `ConnectionLost` if the connection is gone.
        """
        from ..net.websocket import WebSocket

        stream, received = self.tunnel.take()
        accepted = self.accepted
        socket = WebSocket.over(
            stream,
            received,
            server=False,
            subprotocol=accepted.subprotocol,
            deflate=accepted.agreed,
            response=self,
            **settings,
        )
        try:
            connector.adopt(socket.connection.when_gone(), socket.connection)
        except BaseException:
            socket.abort()
            raise
        return socket

    def abandon(self, *, at_once: bool = False) -> Awaitable[Any] | None:
        """Close the connection, unless it was taken over."""
        self.tunnel.drop()
        return None
