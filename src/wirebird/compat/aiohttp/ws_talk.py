"""A WebSocket that says how it ended with messages, and not with errors: what both sides of aiohttp have in common."""

from __future__ import annotations

import asyncio
import json as _json
from collections.abc import Callable
from time import monotonic
from types import GenericAlias
from typing import Any, ClassVar, Final, Self

from ...errors import ReadTimeout, UsageError, WebSocketClosed, WirebirdError
from ...errors import WebSocketError as _WebSocketError
from ...net.websocket import WebSocket
from ...protocol.websocket_messages import NO_CODE, Message, MessageType
from .client_exceptions import ClientConnectionResetError, WSMessageTypeError
from .http_websocket import (
    WS_CLOSED_MESSAGE,
    WS_CLOSING_MESSAGE,
    WebSocketError,
    WSCloseCode,
    WSMessage,
    WSMessageTextBytes,
    WSMsgType,
)

__all__ = ["WebSocketTalk"]

_TYPES: Final = {
    MessageType.TEXT: WSMsgType.TEXT,
    MessageType.BINARY: WSMsgType.BINARY,
    MessageType.PING: WSMsgType.PING,
    MessageType.PONG: WSMsgType.PONG,
}
_ENDS: Final = frozenset({WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED})


class WebSocketTalk:
    """Messages both ways: an async iterator, which ends when the peer closes.

    One task receives, any number may send.  How it ends is told by a last message: CLOSE with the peer's code and reason;
    CLOSING if another task closes; ERROR with the exception; and CLOSED from then on.
    """

    __class_getitem__: Any = classmethod(GenericAlias)
    timeout_error: ClassVar[type[Exception]] = TimeoutError  # where a heartbeat finds nobody

    _opened: WebSocket | None = None
    _autoclose = True
    _decode_text = True
    _heartbeat: float | None = None
    _receive_timeout: float | None = None
    _closed = False
    _closing = False
    _close_code: int | None = None
    _exception: BaseException | None = None
    _receiver: asyncio.Future[None] | None = None  # done when the task that receives has noticed

    @property
    def _socket(self) -> WebSocket:
        if self._opened is None:
            raise RuntimeError("Call .prepare() first")
        return self._opened

    # -- what there is to see ------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent or received any more, or a heartbeat found nobody."""
        return self._closed or self._is_deaf()

    @property
    def close_code(self) -> int | None:
        """The code of the peer's close frame, 0 if it had none; 1006 if there was no close frame; None before the end."""
        if self._close_code is None and self._is_deaf():
            return WSCloseCode.ABNORMAL_CLOSURE
        return self._close_code

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport knows, as `peername`."""
        transport = self._opened.connection.transport if self._opened is not None else None
        return default if transport is None else transport.get_extra_info(name, default)

    def exception(self) -> BaseException | None:
        """What ended it, if that was not a close."""
        return self._exception

    def _is_deaf(self) -> bool:
        """Whether a heartbeat went unanswered, which shows without anybody receiving."""
        return self._opened is not None and isinstance(self._opened.connection.failure, ReadTimeout)

    # -- sending -------------------------------------------------------------------------------------------------------

    async def ping(self, message: bytes | str = b"") -> None:
        """Send a ping; its pong is not waited for."""
        await self._guarded(self._socket.send_ping(_bytes(message)))

    async def pong(self, message: bytes | str = b"") -> None:
        """Send a pong."""
        await self._guarded(self._socket.pong(_bytes(message)))

    async def send_frame(self, message: bytes, opcode: WSMsgType, compress: int | None = None) -> None:
        """Send a message by its opcode: TEXT, BINARY, PING or PONG."""
        if opcode is WSMsgType.PING:
            await self.ping(message)
        elif opcode is WSMsgType.PONG:
            await self.pong(message)
        elif opcode is WSMsgType.TEXT:
            await self._send(bytes(message).decode(), compress)
        elif opcode is WSMsgType.BINARY:
            await self._send(message, compress)
        else:
            raise UsageError(f"opcode must be TEXT, BINARY, PING or PONG, not {opcode!r}", argument="opcode")

    async def send_str(self, data: str, compress: int | None = None) -> None:
        """Send a text.  `compress` is None for what was agreed upon, else whether to compress this message, where it was."""
        if not isinstance(data, str):
            raise TypeError(f"data argument must be str ({type(data)!r})")
        await self._send(data, compress)

    async def send_bytes(self, data: bytes | bytearray | memoryview, compress: int | None = None) -> None:
        """Send a binary message."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data argument must be byte-ish ({type(data)!r})")
        await self._send(data, compress)

    async def send_json(self, data: Any, compress: int | None = None, *, dumps: Callable[[Any], str] = _json.dumps) -> None:
        """Send JSON as a text."""
        await self.send_str(dumps(data), compress)

    async def send_json_bytes(self, data: Any, compress: int | None = None, *, dumps: Callable[[Any], bytes]) -> None:
        """Send JSON as a binary message."""
        await self.send_bytes(dumps(data), compress)

    async def _send(self, data: str | bytes | bytearray | memoryview, compress: int | None) -> None:
        wanted = None if compress is None or self._socket.compression is None else bool(compress)
        await self._guarded(self._socket.send(data, compress=wanted))

    async def _guarded(self, sending: Any) -> None:
        try:
            await sending
        except UsageError:
            raise
        except WirebirdError as error:
            if isinstance(error, WebSocketClosed) and self._is_unaware():
                return
            raise ClientConnectionResetError("Cannot write to closing transport") from error

    def _is_unaware(self) -> bool:
        """Whether the peer has closed, and nobody has received that yet: what is sent until then is lost, and is no error.

        Whoever answers messages is to come to the last of them.  That ends when the peer would have left an aiohttp that did
        not answer the close, so that those learn of it, too, who never receive.
        """
        connection = self._socket.connection
        if self._closed or self._closing or connection.protocol.close_received is None:
            return False
        return monotonic() - connection.ended_at < connection.close_timeout

    # -- receiving -----------------------------------------------------------------------------------------------------

    async def receive(self, timeout: float | None = None) -> WSMessage | WSMessageTextBytes:
        """The next message.  Raises `TimeoutError` if there is none within `timeout` seconds, or `ws_receive`."""
        if self._receiver is not None:
            raise RuntimeError("Concurrent call to receive() is not allowed")
        over = await self._over()
        if over is not None:
            return over
        self._receiver = asyncio.get_running_loop().create_future()
        limit = timeout or self._receive_timeout
        try:
            if limit:
                async with asyncio.timeout(limit):
                    message = await self._next()
            else:
                message = await self._next()
        except (asyncio.CancelledError, TimeoutError):
            self._gave_up()
            raise
        finally:
            self._receiver.set_result(None)
            self._receiver = None
        if message is not None:
            return self._shown(message)
        return await self._end()

    async def _over(self) -> WSMessage | None:
        """What is said where nothing can come any more."""
        if self._closed:
            return WS_CLOSED_MESSAGE
        if self._closing:
            await self.close()
            return WS_CLOSED_MESSAGE
        return None

    def _gave_up(self) -> None:
        """Nobody waits for a message any more."""

    async def _next(self) -> Message | None:
        """The next message; None at the end, or if another task closes."""
        connection = self._socket.connection
        messages = connection.messages
        while not messages and not connection.ended and not self._closing:
            await connection.news()
        if self._closing or not messages:
            return None
        message = messages.popleft()
        if not messages and connection.paused:
            connection.emptied()
        return message

    def _shown(self, message: Message) -> WSMessage | WSMessageTextBytes:
        kind, data = message
        if kind is MessageType.TEXT and not self._decode_text:
            return WSMessageTextBytes(WSMsgType.TEXT, _bytes(data), "")
        return WSMessage(_TYPES[kind], data, "")

    async def _end(self) -> WSMessage:
        """The message that says how it ended."""
        connection = self._socket.connection
        failure = connection.failure
        if self._closing:
            return WS_CLOSING_MESSAGE
        close = connection.protocol.close_received
        if failure is None and close is not None:
            self._closing = True
            self._close_code = 0 if close.code == NO_CODE else close.code
            if self._autoclose:
                await self.close()
            return WSMessage(WSMsgType.CLOSE, self._close_code, close.reason)
        self._closed = True
        self._close_code = WSCloseCode.ABNORMAL_CLOSURE
        if isinstance(failure, _WebSocketError):
            self._close_code = failure.code
            self._exception = WebSocketError(failure.code, failure.message)
        elif isinstance(failure, ReadTimeout):
            self._exception = self.timeout_error(f"No PONG received after {(self._heartbeat or 0) / 2} seconds")
        else:
            return WS_CLOSED_MESSAGE
        self._exception.__cause__ = failure
        await asyncio.wait([connection.when_gone()])
        return WSMessage(WSMsgType.ERROR, self._exception, None)

    async def receive_str(self, *, timeout: float | None = None) -> Any:
        """The next message, which has to be a text.  Raises `WSMessageTypeError` if it is not."""
        return await self._of_type(WSMsgType.TEXT, timeout)

    async def receive_bytes(self, *, timeout: float | None = None) -> bytes:
        """The next message, which has to be binary.  Raises `WSMessageTypeError` if it is not."""
        data: bytes = await self._of_type(WSMsgType.BINARY, timeout)
        return data

    async def receive_json(self, *, loads: Callable[[Any], Any] = _json.loads, timeout: float | None = None) -> Any:
        """The next message, a text, decoded as JSON."""
        return loads(await self.receive_str(timeout=timeout))

    async def _of_type(self, kind: WSMsgType, timeout: float | None) -> Any:
        message = await self.receive(timeout)
        if message.type is not kind:
            raise WSMessageTypeError(f"Received message {message.type}:{message.data!r} is not WSMsgType.{kind.name}")
        return message.data

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WSMessage | WSMessageTextBytes:
        message = await self.receive()
        if message.type in _ENDS:
            raise StopAsyncIteration
        return message

    # -- the end -------------------------------------------------------------------------------------------------------

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes | str = b"") -> bool:
        """Close, and wait for the peer's answer; False if it was closed before."""
        if self._closed:
            return False
        self._closed = True
        if self._receiver is not None and not self._closing:
            self._closing = True
            self._socket.connection.wake()
        reason = message if isinstance(message, str) else bytes(message).decode()
        connection = self._socket.connection
        begun = monotonic()
        try:
            await self._socket.close(int(code), reason)
        except UsageError:
            self._closed = False
            raise
        except asyncio.CancelledError:
            self._close_code = WSCloseCode.ABNORMAL_CLOSURE
            raise
        if self._close_code is None:
            seen = connection.close_code
            if seen == WSCloseCode.ABNORMAL_CLOSURE and monotonic() - begun >= connection.close_timeout:
                self._exception = TimeoutError()
            self._close_code = WSCloseCode.ABNORMAL_CLOSURE if seen is None else 0 if seen == NO_CODE else seen
        return True


def _bytes(data: Any) -> bytes:
    return data.encode() if isinstance(data, str) else bytes(data)
