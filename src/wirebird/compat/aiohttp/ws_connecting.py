"""How `ClientSession.ws_connect` opens a WebSocket: a call like any other whose request is a handshake (RFC 6455 4.1).

The fields of the handshake, and what is checked of the answer, are wirebird's.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from ...client.upgraded import UpgradedResponse
from ...client.websocket_offer import Offer
from ...errors import WirebirdError
from ...models.headers import split_list
from ...protocol.websocket_deflate import Deflate
from .call import CallOptions
from .client_exceptions import WSServerHandshakeError
from .client_ws import DEFAULT_WS_CLIENT_TIMEOUT, ClientWebSocketResponse, ClientWSTimeout
from .connector import BaseConnector
from .errors import of_exchange
from .helpers import sentinel
from .response import ClientResponse

__all__ = ["WebSocketOptions"]

_CLOSE_TIME: Final = 10.0  # seconds for a close, where `ws_close` sets no limit


@dataclass(slots=True, kw_only=True)
class WebSocketOptions:
    """The keywords of `ClientSession.ws_connect`, which documents them."""

    method: str = "GET"
    protocols: Iterable[str] = ()
    timeout: Any = sentinel
    receive_timeout: float | None = None
    autoclose: bool = True
    autoping: bool = True
    heartbeat: float | None = None
    auth: Any = None
    origin: str | None = None
    params: Any = None
    headers: Any = None
    proxy: Any = None
    proxy_auth: Any = None
    ssl: Any = True
    verify_ssl: bool | None = None
    fingerprint: bytes | None = None
    ssl_context: Any = None
    server_hostname: str | None = None
    proxy_headers: Any = None
    compress: int = 0
    max_msg_size: int = 4 * 1024 * 1024
    decode_text: bool = True

    def call(self, headers: Any) -> CallOptions:
        """The call that carries the handshake; `headers` are the session's way to read `headers`."""
        if self.origin is not None:
            headers["Origin"] = self.origin
        return CallOptions(
            params=self.params,
            headers=headers,
            auth=self.auth,
            proxy=self.proxy,
            proxy_auth=self.proxy_auth,
            ssl=self.ssl,
            verify_ssl=self.verify_ssl,
            fingerprint=self.fingerprint,
            ssl_context=self.ssl_context,
            server_hostname=self.server_hostname,
            proxy_headers=self.proxy_headers,
            read_until_eof=False,
        )

    def offer(self, headers: Any) -> Offer:
        """What is offered.  Subprotocols may also be named by the field.  Raises `ValueError` for what cannot be offered."""
        protocols = tuple(self.protocols)
        if not protocols:
            protocols = tuple(name for value in headers.popall("Sec-WebSocket-Protocol", ()) for name in split_list(value))
        bits = self.compress
        if bits and not 9 <= bits <= 15:
            raise ValueError("compress must be 0, or the bits of a window, 9 to 15")
        return Offer(protocols, Deflate(server_max_window_bits=bits if bits < 15 else None) if bits else None)

    def limits(self) -> ClientWSTimeout:
        """The time limits, out of `timeout` and its older forms."""
        if self.timeout is sentinel:
            found = DEFAULT_WS_CLIENT_TIMEOUT
        elif isinstance(self.timeout, ClientWSTimeout):
            found = self.timeout
        else:
            _deprecated("timeout of type float", "timeout=ClientWSTimeout(ws_close=...)")
            found = ClientWSTimeout(ws_close=self.timeout)
        if self.receive_timeout is not None:
            _deprecated("receive_timeout", "timeout=ClientWSTimeout(ws_receive=...)")
            found = ClientWSTimeout(self.receive_timeout, found.ws_close)
        return found

    def open(
        self, response: ClientResponse, connector: BaseConnector, timeout: ClientWSTimeout, made: type[ClientWebSocketResponse]
    ) -> ClientWebSocketResponse:
        """The WebSocket that the answer to the handshake opens.  Raises `WSServerHandshakeError`."""
        below = response.response
        if not isinstance(below, UpgradedResponse):
            response.release()
            raise WSServerHandshakeError(
                response.request_info,
                response.history,
                message="Invalid response status",
                status=response.status,
                headers=response.headers,
            )
        try:
            socket = below.open_websocket(
                connector,
                heartbeat=self.heartbeat * 1.5 if self.heartbeat else None,
                ask_after=self.heartbeat,
                close_timeout=_CLOSE_TIME if timeout.ws_close is None else timeout.ws_close,
                max_size=self.max_msg_size or None,
                auto_pong=self.autoping,
            )
        except WirebirdError as error:
            raise of_exchange(error, response) from error  # type: ignore[arg-type]
        try:
            return made(
                socket,
                response,
                timeout,
                autoclose=self.autoclose,
                decode_text=self.decode_text,
                heartbeat=self.heartbeat,
            )
        except BaseException:
            socket.abort()
            raise


def _deprecated(name: str, newer: str) -> None:
    warnings.warn(f"{name} is deprecated, use {newer} instead", DeprecationWarning, stacklevel=4)
