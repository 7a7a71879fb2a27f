"""What a client offers a server to switch to: the part of a WebSocket handshake that is known before it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..protocol.websocket_handshake import ClientHandshake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..protocol.websocket_deflate import Deflate

__all__ = ["Offer", "Passage"]


class Passage(Protocol):
    """A connection on which a server has switched protocols, and that somebody may take over."""

    def drop(self) -> None:
        """Close it, unless it was taken over."""


class Offer:
    """A WebSocket: the subprotocols, the preferred one first, and the compression, None for none.

    A request with an offer among its options is its handshake, whose fields are put in for each attempt and hop with a key of its
    own, as RFC 6455 4.1 wants it for each connection.  An offer is for one call, and knows every connection that was switched
    for it: a response may be lost on its way through the pipeline, by a cancellation for one, and held by what was raised.
    """

    __slots__ = ("_passages", "deflate", "protocols")

    def __init__(self, protocols: Sequence[str] = (), deflate: Deflate | None = None) -> None:
        self.protocols = protocols
        self.deflate = deflate
        self._passages: list[Passage] = []

    def __repr__(self) -> str:
        return f"<Offer protocols={self.protocols!r} deflate={self.deflate!r}>"

    def handshake(self, key: bytes) -> ClientHandshake:
        """The handshake with this key, 16 random bytes.  Raises `UsageError` for subprotocols that cannot be offered."""
        return ClientHandshake(key, self.protocols, self.deflate)

    def switched(self, passage: Passage) -> None:
        """A server has switched."""
        self._passages.append(passage)

    def end(self) -> None:
        """The call is over: close what nobody took over."""
        passages, self._passages = self._passages, []
        for passage in passages:
            passage.drop()
