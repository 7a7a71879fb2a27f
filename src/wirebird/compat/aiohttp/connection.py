"""What `ClientResponse.connection` and others give: the connection under a response, as aiohttp's code knows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ...client.chunks import incoming_of
from ...client.http1 import Http1Connection
from ...client.response import HttpResponse

__all__ = ["Connection"]


class Connection:
    """A connection that a response is coming from."""

    __slots__ = ("_connection", "_response")

    def __init__(self, response: HttpResponse, connection: Http1Connection) -> None:
        self._response = response
        self._connection = connection

    @classmethod
    def under(cls, response: HttpResponse) -> Connection | None:
        """That of `response`, as long as its body is on its way."""
        incoming = incoming_of(response)
        below = incoming.supply if incoming is not None else None
        return cls(response, below) if isinstance(below, Http1Connection) else None

    def __repr__(self) -> str:
        return f"Connection<{self._connection.key}>"

    @property
    def transport(self) -> asyncio.Transport | None:
        """The transport."""
        return self._connection.transport

    @property
    def protocol(self) -> Any:
        """The protocol."""
        return self._connection

    @property
    def closed(self) -> bool:
        """Whether the connection is of no more use."""
        return self._connection.closing

    def add_callback(self, callback: Callable[[], None]) -> None:
        """Call `callback()` once the body is complete, failed or let go of."""
        self._response.on_end(callback)

    def close(self) -> None:
        """Close it."""
        self._response.abandon(at_once=True)

    def release(self) -> None:
        """Let go of it; it is used again if little of the body is left."""
        self._response.abandon()
