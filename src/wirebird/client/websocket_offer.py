"""What a client offers a server to switch to: the part of a WebSocket handshake that is known before it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..protocol.websocket_handshake import ClientHandshake

if TYPE_CHECKING:
    from ..protocol.websocket_deflate import Deflate

__all__ = ["Offer"]


@dataclass(frozen=True, slots=True)
class Offer:
    """A WebSocket: the subprotocols, the preferred one first, and the compression, None for none.

    A request with an offer among its options is its handshake, whose fields are put in for each attempt and hop with a key of its
    own, as RFC 6455 4.1 wants it for each connection.
    """

    protocols: tuple[str, ...] = ()
    deflate: Deflate | None = None

    def handshake(self, key: bytes) -> ClientHandshake:
        """The handshake with this key, 16 random bytes.  Raises `UsageError` for subprotocols that cannot be offered."""
        return ClientHandshake(key, self.protocols, self.deflate)
