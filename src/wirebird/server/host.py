"""What a connection needs of its server, and what it tells it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from enum import IntEnum
from typing import Any, Protocol

from ..errors import ProtocolError
from ..net.timeouts import Watch
from .exchange import Exchange
from .settings import Settings

__all__ = ["Host", "Phase"]


class Phase(IntEnum):
    """What a connection is doing."""

    IDLE = 0  # between requests; a part of the next head may be here
    SERVING = 1  # a request is being answered
    DRAINING = 2  # it is answered, and the rest of its body is received for nobody
    LINGERING = 3  # the last answer is sent, and what still comes is received for nobody
    GONE = 4  # closed, or another protocol's


class Host(Protocol):
    """What a connection needs of its server.

    connections    those with a transport
    past_requests  how many requests came over those that are gone
    orphans        those without, as the client has left or has a WebSocket by now, whose handler still runs
    upgraded       the WebSockets
    done           told of every exchange that is over, however it ended; None for nobody
    """

    settings: Settings
    watch: Watch
    connections: set[Any]
    past_requests: int
    orphans: set[Any]
    upgraded: set[Any]
    stopping: bool
    done: Callable[[Exchange], None] | None

    def serve(self, exchange: Exchange) -> Coroutine[Any, Any, None]:
        """Answer it."""

    def failed(self, exchange: Exchange, error: BaseException) -> None:
        """Take what `serve` has raised, when it is nobody else's fault."""

    def stamp(self) -> bytes:
        """The lines of Date and Server."""

    def refused(self, peer: str, error: ProtocolError) -> None:
        """Take note of something that was no request."""

    def busy(self) -> int:
        """How many connections count."""

    def crowded(self, peer: str) -> bool:
        """There are too many connections: whether there is still room to say so."""

    def settle(self) -> None:
        """Something has come to its end, while the server is stopping."""
