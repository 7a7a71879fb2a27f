"""`aiohttp.ClientWebSocketResponse`: a WebSocket that says how it ended with messages, and not with errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...net.websocket import WebSocket
from .client_exceptions import ServerTimeoutError
from .http_websocket import WSCloseCode
from .response import ClientResponse
from .ws_talk import WebSocketTalk

__all__ = ["DEFAULT_WS_CLIENT_TIMEOUT", "ClientWSTimeout", "ClientWebSocketResponse"]


@dataclass(frozen=True, slots=True)
class ClientWSTimeout:
    """Time limits of a WebSocket, in seconds; None for none.

    ws_receive  for one message: `TimeoutError`
    ws_close    for the peer's answer to a close; then the connection is closed without
    """

    ws_receive: float | None = None
    ws_close: float | None = None


DEFAULT_WS_CLIENT_TIMEOUT: Final = ClientWSTimeout(ws_receive=None, ws_close=10.0)


class ClientWebSocketResponse(WebSocketTalk):
    """An open WebSocket, as `ClientSession.ws_connect` gives it; also an async context manager."""

    timeout_error = ServerTimeoutError

    def __init__(
        self,
        socket: WebSocket,
        response: ClientResponse,
        timeout: ClientWSTimeout,
        *,
        autoclose: bool = True,
        decode_text: bool = True,
        heartbeat: float | None = None,
    ) -> None:
        self._opened = socket
        self._response = response
        self._timeout = timeout
        self._receive_timeout = timeout.ws_receive
        self._autoclose = autoclose
        self._decode_text = decode_text
        self._heartbeat = heartbeat

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._socket.connection!r}>"

    @property
    def protocol(self) -> str | None:
        """The subprotocol agreed upon."""
        return self._socket.subprotocol

    @property
    def compress(self) -> int:
        """The window of what is sent compressed, 9 to 15 bits; 0 for no compression."""
        agreed = self._socket.compression
        return agreed.client_bits if agreed is not None else 0

    @property
    def client_notakeover(self) -> bool:
        """Whether each message is compressed by itself."""
        agreed = self._socket.compression
        return agreed is not None and not agreed.client_takeover

    def _gave_up(self) -> None:
        self._close_code = WSCloseCode.ABNORMAL_CLOSURE

    async def __aenter__(self) -> ClientWebSocketResponse:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()
