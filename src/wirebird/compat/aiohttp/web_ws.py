"""`aiohttp.web_ws`: the server's side of a WebSocket, as a response that is prepared and then talked over.

Pages of any origin may connect, as with aiohttp: whoever uses cookies has to look at `Origin`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ...errors import LimitExceeded
from ...protocol.http1 import response_line
from ...protocol.websocket_deflate import Deflate
from ...protocol.websocket_handshake import Accepted, Refusal, ServerHandshake
from .http_websocket import WS_CLOSED_MESSAGE, WS_CLOSING_MESSAGE, WSMessage, WSMsgType
from .payload_writer import StreamWriter
from .web_exceptions import HTTPBadRequest, HTTPServiceUnavailable
from .web_response import StreamResponse
from .ws_talk import WebSocketTalk

if TYPE_CHECKING:
    from ...server.exchange import Exchange

__all__ = ["WSMsgType", "WebSocketReady", "WebSocketResponse"]

# So many times a handler is told that it is closed before that is an error: it does not listen.
_PATIENCE: Final = 5


@dataclass(frozen=True, slots=True)
class WebSocketReady:
    """Whether a handshake would be taken, and the subprotocol."""

    ok: bool
    protocol: str | None

    def __bool__(self) -> bool:
        return self.ok


class WebSocketResponse(WebSocketTalk, StreamResponse):
    """A WebSocket: `await ws.prepare(request)`, then messages both ways, and it is returned at the end.

    timeout          seconds that the client has to answer a close, 10
    receive_timeout  seconds to wait for each message: `TimeoutError`
    autoclose        answer a close by itself
    autoping         answer pings by itself
    heartbeat        seconds of silence before a ping, which has to be answered within half of them
    protocols        the subprotocols that there are
    compress         whether to agree to compression
    max_msg_size     bytes of a message, 4 MiB; 0 for any number
    """

    def __init__(
        self,
        *,
        timeout: float = 10.0,
        receive_timeout: float | None = None,
        autoclose: bool = True,
        autoping: bool = True,
        heartbeat: float | None = None,
        protocols: Iterable[str] = (),
        compress: bool = True,
        max_msg_size: int = 4 * 1024 * 1024,
        writer_limit: int = 2**16,
        decode_text: bool = True,
    ) -> None:
        StreamResponse.__init__(self, status=101)
        self._handshake = ServerHandshake(tuple(protocols), Deflate() if compress else None, None)
        self._receive_timeout = receive_timeout
        self._autoclose = autoclose
        self._heartbeat = heartbeat
        self._decode_text = decode_text
        self._told = 0
        self._options: dict[str, Any] = {
            "heartbeat": heartbeat * 1.5 if heartbeat else None,
            "ask_after": heartbeat,
            "close_timeout": timeout,
            "max_size": max_msg_size or None,
            "auto_pong": autoping,
        }

    # -- the handshake -------------------------------------------------------------------------------------------------

    def can_prepare(self, request: Any) -> WebSocketReady:
        """Whether `prepare` would take the request.  Raises `RuntimeError` once it is prepared."""
        if self._opened is not None:
            raise RuntimeError("Already started")
        answer = self._handshake.answer(request.head, request.host)
        return WebSocketReady(True, answer.subprotocol) if isinstance(answer, Accepted) else WebSocketReady(False, None)

    async def prepare(self, request: Any) -> StreamWriter | None:  # type: ignore[override]
        """Answer the handshake; idempotent.  Raises `HTTPBadRequest` for a request that is none."""
        if self._opened is None:
            answer = self._handshake.answer(request.head, request.host)
            if isinstance(answer, Refusal):
                raise HTTPBadRequest(text=answer.message, headers=answer.fields)
            for name, value in answer.fields:
                self._headers[name] = value
            self.set_status(101)
            await self._announce(request)
            transport = request.transport
            if transport is None or transport.is_closing():
                raise ConnectionResetError("Connection lost")
            self._headers["Connection"] = "upgrade"
            head = response_line(101, self.reason) + self._fields() + b"\r\n"
            try:
                self._opened = request.exchange.accept_websocket(
                    head, subprotocol=answer.subprotocol, deflate=answer.agreed, **self._options
                )
            except LimitExceeded as error:
                raise HTTPServiceUnavailable(text=error.message) from error
            self.prepared = True
            if request.exchange.connection.cancels:
                self._opened.connection.when_gone().add_done_callback(lambda _: self._gone(request.exchange))
        return self._writer

    def _gone(self, exchange: Exchange) -> None:
        """The client has left: a handler that does not know is cancelled, where that is wanted.

        One whose client has closed has the time for what it does that an aiohttp would have waited for the answer.
        """
        connection = self._socket.connection
        if connection.protocol.close_received is None:
            self._cancel(exchange)
        else:
            connection.loop.call_later(connection.close_timeout, self._cancel, exchange)

    def _cancel(self, exchange: Exchange) -> None:
        if not self._closed and not self._closing and self._receiver is None:
            exchange.cancel()

    # -- what there is to see ------------------------------------------------------------------------------------------

    @property
    def ws_protocol(self) -> str | None:
        """The subprotocol that was agreed upon."""
        return self._opened.subprotocol if self._opened is not None else None

    @property
    def compress(self) -> int | bool:
        """The window of what is sent compressed, 9 to 15 bits; 0 for no compression."""
        agreed = self._opened.compression if self._opened is not None else None
        return agreed.server_bits if agreed is not None else 0

    # -- messages ------------------------------------------------------------------------------------------------------

    async def _over(self) -> WSMessage | None:
        if self._closed:
            self._told += 1
            if self._told >= _PATIENCE:
                raise RuntimeError("WebSocket connection is closed.")
            return WS_CLOSED_MESSAGE
        return WS_CLOSING_MESSAGE if self._closing else None

    async def close(self, *, code: int = 1000, message: bytes | str = b"", drain: bool = True) -> bool:
        """Close, and wait for the client's answer; False if it was closed before."""
        self._socket  # noqa: B018 - raises before `prepare`
        return await super().close(code=code, message=message)

    async def write(self, data: Any) -> NoReturn:
        """There is no body: raises `RuntimeError`."""
        raise RuntimeError("Cannot call .write() for websocket")

    async def write_eof(self, data: bytes = b"") -> None:
        """Close it."""
        if self.eof_sent:
            return
        if self._opened is None:
            raise RuntimeError("Response has not been started")
        await self.close()
        self.eof_sent = True

    async def deliver(self, request: Any) -> None:
        """The handler is done with it: close it."""
        await self.prepare(request)
        await self.write_eof()
