"""A WebSocket over ASGI: messages come and go whole, and all that is below them is the server's.

The server masks, compresses, answers pings and closes the connection; so `ping` and `pong` are not to be had here, and the
heartbeat is the server's too.  All else is as it is over a connection of our own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from ..errors import ConnectionLost, UsageError, WebSocketError
from ..models.headers import split_fields
from ..net.websocket import WebSocket
from ..net.websocket_connection import WebSocketConnection, masking_keys
from ..protocol.websocket import Protocol
from ..protocol.websocket_messages import Close, Message, MessageType, encode_text

if TYPE_CHECKING:
    from .asgi_channel import AsgiChannel

__all__ = ["accept"]

# Close codes that stand for none (RFC 6455 7.4.1).
_LOST: Final = 1006
_SILENT: Final = 1005

# What of the 101 is the server's.
_OF_THE_SERVER: Final = frozenset(
    {b"connection", b"upgrade", b"sec-websocket-accept", b"sec-websocket-protocol", b"sec-websocket-extensions"}
)


def accept(
    channel: AsgiChannel,
    head: bytes,
    *,
    subprotocol: str | None = None,
    max_size: int | None = 1024 * 1024,
    max_queue: int = 262144,
    close_timeout: float = 10.0,
    **of_the_server: Any,
) -> WebSocket:
    """The WebSocket that the server has offered, accepted with the fields of `head`."""
    fields = [field for field in split_fields(head[head.find(b"\n") + 1 :]) if field[0].lower() not in _OF_THE_SERVER]
    protocol = AsgiMessages(max_size)
    connection = AsgiWebSocketConnection(channel, protocol, max_queue, close_timeout)
    connection.start({"type": "websocket.accept", "subprotocol": subprotocol, "headers": fields})
    return WebSocket(connection, subprotocol=subprotocol)


class AsgiMessages(Protocol):
    """In place of frames: messages of ASGI."""

    def __init__(self, max_size: int | None) -> None:
        super().__init__(server=True, masks=masking_keys(), max_size=max_size)
        self._kept: list[Any] = []

    def message(self, data: Any, *, compress: bool | None = None) -> Any:
        """A whole message.  Raises `UsageError` as `Protocol.message` does."""
        if isinstance(data, str):
            encode_text(data, "data")
            return {"type": "websocket.send", "text": data}
        super().message(data)  # which looks at its type
        return {"type": "websocket.send", "bytes": bytes(data)}

    def fragment(self, data: Any, *, first: bool, last: bool, compress: bool | None = None) -> Any:
        """A fragment, which is kept until the last; then the whole message."""
        if first:
            self._kept = []
        self._kept.append(data)
        if not last:
            return None
        pieces, self._kept = self._kept, []
        return self.message("".join(pieces) if isinstance(data, str) else b"".join(pieces))

    def ping(self, data: Any) -> bytes:
        """Raise `UsageError`."""
        raise UsageError("pings are the affair of the ASGI server")

    def pong(self, data: Any) -> bytes:
        """Raise `UsageError`."""
        raise UsageError("pongs are the affair of the ASGI server")

    def close(self, code: int = 1000, reason: str = "") -> Any:
        """The end; nothing if there was one.  Raises `UsageError`, as `Protocol.close` does."""
        if not super().close(code, reason):
            return b""
        return {"type": "websocket.close", "code": code, "reason": reason}


class AsgiWebSocketConnection(WebSocketConnection):
    """The pump: `receive` on one side, the queue of messages on the other; and what is sent, one after the other."""

    def __init__(self, channel: AsgiChannel, protocol: AsgiMessages, max_queue: int, close_timeout: float) -> None:
        super().__init__(channel.loop, channel.peer, protocol, close_timeout=close_timeout, max_queue=max_queue)
        self._channel = channel
        self._outgoing: deque[Any] = deque()
        self._sending = asyncio.Lock()
        self._room = asyncio.Event()
        self._room.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.writable = False  # whoever sends waits until it is sent
        self.transport = _Outlet(self)

    def start(self, message: Any) -> None:
        """Begin, with what accepts it."""
        self._outgoing.append(message)
        self._spawn(self._take_messages())

    def _spawn(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- out -----------------------------------------------------------------------------------------------------------

    def put(self, message: Any) -> None:
        """Have it sent by whoever waits for that, and by nobody in particular if it is the end."""
        if not message:
            return  # a fragment
        self._outgoing.append(message)
        if message["type"] == "websocket.close":
            self._spawn(self._send_all())

    async def drain(self) -> None:
        """Wait until everything is sent.  Raises what a writer is told whose messages will not arrive."""
        await self._send_all()
        if self.failure is not None:
            raise self.failure

    async def _send_all(self) -> None:
        async with self._sending:
            while self._outgoing:
                message = self._outgoing.popleft()
                try:
                    await self._channel.send(message)
                except ConnectionLost:
                    self.close_transport()
                if message["type"] == "websocket.close":
                    self._over(message["code"], message["reason"])  # what follows is between the server and the client

    # -- in ------------------------------------------------------------------------------------------------------------

    async def _take_messages(self) -> None:
        await self._send_all()
        while self.transport is not None:
            try:
                message = await self._channel.receive()
            except Exception:
                self.close_transport()
                raise
            if message["type"] != "websocket.receive":
                code = message.get("code")
                self._over(_SILENT if code is None else code, message.get("reason") or "")
                return
            text = message.get("text")
            if text is None:
                self._add(MessageType.BINARY, bytes(message.get("bytes") or b""))
            else:
                self._add(MessageType.TEXT, text)
            await self._room.wait()

    def _add(self, kind: MessageType, data: Any) -> None:
        size = len(data)
        most = self.protocol.max_size
        if self.ended:
            return
        if most is not None and (size > most or (kind is MessageType.TEXT and 4 * size > most and len(data.encode()) > most)):
            self.protocol.error = WebSocketError(f"a message of more than {most} bytes", code=1009, peer=self.peer)
            self._fail(self.protocol.error)
            if end := self.protocol.close(1009, ""):
                self.start_closing(end)
            return
        self._take([Message(kind, data)], size)

    def _pause(self) -> None:
        self.paused = True
        self._room.clear()

    def _go_on(self) -> None:
        super()._go_on()
        if not self.paused:
            self._room.set()

    def _over(self, code: int, reason: str) -> None:
        """The server says that there will be no more."""
        if code != _LOST and self.protocol.error is None:
            self.protocol.close_received = Close(code, reason)
            if self.protocol.close_sent is None:
                self.protocol.close_sent = Close(code, reason)
        self.close_transport()

    def close_transport(self) -> None:
        """There is nothing at the other end any more."""
        if self.transport is not None:
            self._room.set()
            self.connection_lost(None)

    async def part_with_server(self) -> None:
        """The handler is done, and so is this."""
        await self._send_all()
        self.close_transport()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class _Outlet(asyncio.Transport):
    """What stands for the transport of an `AsgiWebSocketConnection`."""

    def __init__(self, connection: AsgiWebSocketConnection) -> None:
        super().__init__()
        self._connection = connection

    def write(self, data: Any) -> None:
        self._connection.put(data)

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        for data in list_of_data:
            self.write(data)

    def is_closing(self) -> bool:
        return False

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self._connection.loop.call_soon(self._connection.close_transport)

    def abort(self) -> None:
        self.close()

    def pause_reading(self) -> None:
        """Not asked for."""

    def resume_reading(self) -> None:
        """Not asked for."""
