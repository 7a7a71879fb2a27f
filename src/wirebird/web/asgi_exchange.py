"""An exchange over ASGI: an `Exchange` like that of a server of our own, which says in messages what that writes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ..errors import ConnectionLost, UsageError
from ..models.headers import split_fields
from ..models.message import CHUNKED, UNTIL_CLOSE, RequestHead, ResponseHead
from ..protocol.http1 import Writer
from ..protocol.http1_heads import parse_response_head
from ..protocol.http1_responses import response_framing
from ..server.exchange import Exchange
from .asgi_channel import AsgiChannel

if TYPE_CHECKING:
    from ..net.websocket import WebSocket
    from ..server.asgi_messages import Message

__all__ = ["AsgiExchange"]

# Fields that are between the client and the server in front.
_HOP: Final = frozenset({b"transfer-encoding", b"connection", b"keep-alive"})


class AsgiExchange(Exchange):
    """A request that has arrived over ASGI, and its response.

    What `respond` takes is sent by `flush`, when the handler has returned.
    """

    connection: AsgiChannel

    def __init__(self, channel: AsgiChannel, head: RequestHead, whole: bytes | None, began: float) -> None:
        super().__init__(channel, head, whole, began)
        self._start: Message | None = None  # not sent yet: it leaves with what comes first
        self._last: bytes | None = None  # what ends the response, and is to be sent by `flush`
        self._trailers = False
        self._left: Callable[[bool], None] | None = None
        scope = channel.scope
        extensions = scope.get("extensions") or {}
        self._takes_trailers = "http.response.trailers" in extensions
        self._prefix = ""
        self._refuses = False  # in place of any response to a handshake there is only 403
        if scope["type"] == "websocket":
            self._prefix = "websocket."
            self._refuses = "websocket.http.response" not in extensions

    @property
    def left(self) -> Callable[[bool], None] | None:
        """Called if the client goes away meanwhile."""
        return self._left

    @left.setter
    def left(self, callback: Callable[[bool], None] | None) -> None:
        self._left = callback
        if callback is not None and not self._prefix:
            self.connection.listen()

    def is_unsent(self) -> bool:
        """Whether nothing of the response has left, so that there can be another."""
        return self._start is not None or not self.begun

    def restart(self) -> None:
        """Forget the response of which nothing has left."""
        self.begun = self.finished = False
        self._start = self._last = None

    def respond(self, status: int, head: bytes, body: bytes, stamp: bytes | None = None) -> None:
        """The whole response: `head` is its status line and its field lines, valid as they are, without any that frames it.

        It leaves when the handler has returned.  Raises `UsageError` if the response has begun already.
        """
        if self.begun:
            raise UsageError("the response has begun already")
        fields = head[head.find(b"\n") + 1 :] + b"Content-Length: %d\r\n\r\n" % len(body)
        self._begin(status, fields)
        self.finished = True
        self._last = b""
        if self.head.method != b"HEAD":
            self.sent = len(body)
            self._last = body

    async def begin(self, head: ResponseHead, size: int | None, stamp: bytes | None = None) -> None:
        """The head of the response; `size` is the length of its body, None if unknown.  The server has a `stamp` of its own.

        Raises `InvalidResponse` for a head with two framings, `UsageError` where the size is not the one that it promises.
        """
        if self.begun:
            raise UsageError("the response has begun already")
        method = self.head.method
        head = parse_response_head(head.raw)
        block, length = response_framing(head, method, 1, size)
        has_body = method != b"HEAD" and head.status not in (204, 304)
        if has_body and size is not None and length >= 0 and length < size:
            raise UsageError(f"the response promises a body of {length} bytes and has {size}", argument="body")
        self._begin(head.status, block + b"\r\n")
        if self._trailers and self._start is not None:
            self._start["trailers"] = True
        self._writer = Writer(UNTIL_CLOSE if length == CHUNKED else length) if has_body else None

    def _begin(self, status: int, block: bytes) -> None:
        fields = [(name.lower(), value) for name, value in split_fields(block)]
        self._trailers = self._takes_trailers and any(name == b"trailer" for name, _ in fields)
        close = [(b"connection", b"close")] if self._asks_for_the_end(fields) else []
        fields = [field for field in fields if field[0] not in _HOP] + close
        self._start = {"type": f"{self._prefix}http.response.start", "status": status, "headers": fields}
        self.status = status
        self.begun = True

    def _asks_for_the_end(self, fields: list[tuple[bytes, bytes]]) -> bool:
        if str(self.connection.scope.get("http_version", "1.1"))[:1] != "1":
            return False
        return any(name == b"connection" and b"close" in value.lower() for name, value in fields)

    async def announce(self) -> None:
        """Send the head.  Raises `ConnectionLost` if the client has left."""
        await self._send(b"")

    async def finish(self, trailers: bytes = b"") -> None:
        """The end of the response.  Raises `UsageError` if the body was shorter than was promised."""
        await super().finish(b"")
        if self._trailers:
            fields = split_fields(trailers + b"\r\n")
            await self.connection.send({"type": "http.response.trailers", "headers": fields, "more_trailers": False})

    def cut_short(self) -> None:
        """End the response here and now; it leaves when the handler has returned."""
        if self.finished or not self.begun:
            raise UsageError("the response is complete" if self.finished else "the response has not begun")
        self.finished = True
        self._last = b""

    async def _send(self, data: bytes) -> None:
        if self._refuses:
            await self._refuse()
            return
        channel = self.connection
        start, self._start = self._start, None
        if start is not None:
            await channel.send(start)
        elif not self.finished and not self._prefix:
            channel.listen()
        if data or self.finished:
            kind = f"{self._prefix}http.response.body"
            await channel.send({"type": kind, "body": data, "more_body": not self.finished})

    async def _refuse(self) -> None:
        start, self._start = self._start, None
        if start is not None:
            await self.connection.send({"type": "websocket.close", "code": 1008, "reason": ""})

    async def flush(self) -> None:
        """Send what is to be sent still, if there is somebody to read it."""
        last, self._last = self._last, None
        if last is not None and not self.connection.gone:
            with suppress(ConnectionLost):  # the channel takes note of that
                await self._send(last)

    # -- another protocol ----------------------------------------------------------------------------------------------

    def upgrade(self, head: bytes) -> bytes:
        """Raise `UsageError`: the transport is the server's."""
        raise UsageError("an ASGI server gives no transport away")

    def accept_websocket(self, head: bytes, **options: Any) -> WebSocket:
        """Accept the WebSocket, with the fields of this head: the server makes the 101, and frames.

        Of the options of `WebSocket.over` those hold that are no affair of the server: `max_size`, `max_queue`, `close_timeout`
        and the subprotocol.  Raises `UsageError` if the response has begun already, or there is no handshake.
        """
        from .asgi_websocket import accept

        if self.begun:
            raise UsageError("the response has begun already")
        if not self._prefix:
            raise UsageError("the server has offered no WebSocket")
        self.begun = self.finished = self.upgraded = True
        self.status = 101
        self.websocket = accept(self.connection, head, **options)
        return self.websocket
