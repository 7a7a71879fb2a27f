"""`aiohttp.web_protocol`: what `request.protocol` is, and what ends the body of a request early."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ...errors import BodyConsumed, NetworkError, ProtocolError, WirebirdError
from ...net.incoming import Incoming
from ...protocol.codings import Decoder, make_decoder

if TYPE_CHECKING:
    from ...server.exchange import Exchange

__all__ = ["BodySource", "PayloadAccessError", "RequestHandler", "RequestPayloadError"]


class RequestPayloadError(Exception):
    """The body is not what it should be."""


class PayloadAccessError(Exception):
    """The body was read when the request was over."""


# What a handler is, for those who annotate with it, as pytest-aiohttp does.
_RequestHandler = Callable[[Any], Awaitable[Any]]


class RequestHandler:
    """The connection of a request, as far as code looks at it; nothing here parses anything."""

    max_field_size = 8190
    max_headers = 128

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    @property
    def transport(self) -> Any:
        """The transport, None once it is closed."""
        return self._exchange.transport

    def _extra(self, name: str) -> Any:
        transport = self.transport
        return None if transport is None else transport.get_extra_info(name)

    @property
    def ssl_context(self) -> Any:
        """The TLS context, None without TLS."""
        return self._extra("sslcontext")

    @property
    def peername(self) -> Any:
        """The client's address, as sockets have it."""
        return self._extra("peername")

    @property
    def sockname(self) -> Any:
        """This side's address, as sockets have it."""
        return self._extra("sockname")

    @property
    def connected(self) -> bool:
        """Whether there is a transport."""
        return self.transport is not None

    def keep_alive(self, val: bool) -> None:
        """Whether another request may follow."""
        if not val:
            self._exchange.keep_alive = False

    def close(self) -> None:
        """Close the connection behind this request."""
        self._exchange.keep_alive = False

    def force_close(self) -> None:
        """Close the connection now."""
        transport = self.transport
        if transport is not None:
            transport.close()


class BodySource:
    """Where a `StreamReader` reads the body of a request from: decoded, where its coding is known."""

    def __init__(self, incoming: Incoming, codings: list[str]) -> None:
        incoming.patient = True
        self._incoming = incoming
        self._decoder: Decoder | None = make_decoder(codings) if codings else None

    def take(self) -> tuple[bytes, bool] | None:
        """The next piece, b"" at the end; None if it is yet to come."""
        try:
            piece = self._taken()
        except WirebirdError as error:
            raise _of_body(error) from error
        return None if piece is None else (piece, False)

    def _taken(self) -> bytes | None:
        decoder = self._decoder
        if decoder is None:
            return self._incoming.take()
        while not (piece := decoder.pull()):
            wire = self._incoming.take()
            if wire is None:
                return None
            if not wire:
                decoder.finish()
                return b""
            decoder.feed(wire)
        return piece

    async def arrival(self) -> None:
        """Wait for more.  Raises what ended the body."""
        try:
            await self._incoming.arrival()
        except asyncio.CancelledError:
            raise
        except WirebirdError as error:
            raise _of_body(error) from error


def _of_body(error: WirebirdError) -> Exception:
    if isinstance(error, BodyConsumed):
        return PayloadAccessError(error.message)
    if isinstance(error, NetworkError):
        return ConnectionResetError("Connection lost")
    return RequestPayloadError(error.message) if isinstance(error, ProtocolError) else error
