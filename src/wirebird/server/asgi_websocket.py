"""One WebSocket with an ASGI 3 application (asgi.readthedocs.io, "HTTP & WebSocket" 2.5).

The handshake is looked at first: one that is none is refused (RFC 6455 4.2.1) before the application hears of it.  The
application accepts it, with a subprotocol of those offered, or refuses: with `websocket.close`, which is 403, or with a response
of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from ..errors import ConnectionLost, ProtocolError, ReadTimeout, UsageError, WebSocketClosed, WebSocketError, WirebirdError
from ..models.headers import encode_fields
from ..protocol.http1 import response_line
from ..protocol.http1_heads import parse_response_head
from ..protocol.http1_responses import join_fields
from ..protocol.websocket_deflate import Deflate
from ..protocol.websocket_handshake import Accepted, ServerHandshake
from .asgi_conversation import Conversation
from .asgi_conversation import State as ResponseState
from .asgi_messages import Application, ApplicationError, Message, Scope, read_fields
from .refusal import refusal

if TYPE_CHECKING:
    from ..net.websocket import WebSocket
    from .exchange import Exchange

__all__ = ["WebSocketConversation", "answer_handshake", "make_handshake"]

# RFC 6455 7.4.1: there was no close frame.
_LOST: Final = 1006

# What is the handshake's own in a 101.
_RESERVED: Final = frozenset(
    {
        b"connection",
        b"upgrade",
        b"content-length",
        b"transfer-encoding",
        b"sec-websocket-accept",
        b"sec-websocket-extensions",
        b"sec-websocket-protocol",
    }
)


def make_handshake(compression: bool | Deflate) -> ServerHandshake:
    """The handshake of a server whose application chooses the subprotocol, and looks at origins."""
    deflate = compression if isinstance(compression, Deflate) else Deflate() if compression else None
    return ServerHandshake((), deflate, None)


async def answer_handshake(handshake: ServerHandshake, exchange: Exchange) -> Accepted | None:
    """The handshake that `exchange` asks for; None if it is none, which was answered."""
    answer = handshake.answer(exchange.head, exchange.authority)
    if isinstance(answer, Accepted):
        return answer
    head, body = refusal(answer.status, answer.message)
    exchange.keep_alive = False
    await exchange.begin(parse_response_head(head + encode_fields(answer.fields) + b"\r\n"), len(body))
    await exchange.write(body)
    await exchange.finish()
    return None


class State(IntEnum):
    """How far it has come."""

    CONNECTING = 0
    OPEN = 1
    REFUSED = 2  # by a response of the application, which may be on its way
    CLOSED = 3  # by the application


CONNECTING, OPEN, REFUSED, CLOSED = State


class WebSocketConversation:
    """The two callables that an application is given, and the WebSocket between them and the client.

    `refusing` carries a response in place of the 101; `options` are those of `Exchange.accept_websocket`.
    """

    __slots__ = ("_accepted", "_close", "_decided", "_exchange", "_options", "_refusing", "_told", "_websocket", "fault", "state")

    def __init__(self, exchange: Exchange, accepted: Accepted, refusing: Conversation, options: Mapping[str, Any]) -> None:
        self.state = CONNECTING
        self.fault: ApplicationError | None = None
        self._exchange = exchange
        self._accepted = accepted
        self._refusing = refusing
        self._options = options
        self._told = False  # whether the application knows that there is a client
        self._decided: asyncio.Event | None = None  # set when it was accepted or refused, or the client has left
        self._close: tuple[int, str] | None = None  # what `receive` says of the end, before anything is asked of the WebSocket
        self._websocket: WebSocket | None = None

    async def run(self, application: Application, scope: Scope) -> None:
        """Call the application.  Raises what it raises, and `ApplicationError` if it neither accepted nor refused."""
        try:
            await application(scope, self.receive, self.send)
            if self.fault is not None:
                raise self.fault
            if self.state is CONNECTING and self._close is None:
                raise ApplicationError("the application returned and has neither accepted nor refused the WebSocket")
            if self.state is REFUSED and self._refusing.state is not ResponseState.DONE and self._close is None:
                raise ApplicationError("the application returned before its response was complete")
        finally:
            if self._websocket is None:
                self.disconnect()

    def disconnect(self, lost: bool = True) -> None:
        """The client has left before it was accepted, or will send no more."""
        self._close = self._close or (_LOST, "")
        self._refusing.disconnect(lost)
        self._decide()

    def _decide(self) -> None:
        if self._decided is not None:
            self._decided.set()

    # -- what the application calls ------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """The next event: that there is a client, a message, or the end."""
        if not self._told:
            self._told = True
            return {"type": "websocket.connect"}
        if self._websocket is None and self._close is None:
            if self._decided is None:
                self._decided = asyncio.Event()
            await self._decided.wait()
        websocket = self._websocket
        if websocket is not None and self._close is None:
            try:
                data = (await websocket.receive()).data
            except WirebirdError:
                code = websocket.close_code
                self._close = self._close or (_LOST if code is None else code, websocket.close_reason or "")
            else:
                if isinstance(data, str):
                    return {"type": "websocket.receive", "text": data}
                return {"type": "websocket.receive", "bytes": data}
        code, reason = self._close or (_LOST, "")
        return {"type": "websocket.disconnect", "code": code, "reason": reason}

    async def send(self, message: Message) -> None:
        """Take an event.  Raises `ApplicationError` if it may not be sent now, `ConnectionLost` to nobody."""
        try:
            await self._take(message)
        except ApplicationError as error:
            self.fault = self.fault or error
            raise
        except (WebSocketClosed, WebSocketError, ReadTimeout) as error:
            raise ConnectionLost("the client has left", peer=self._exchange.peer, phase="sending a message") from error

    async def _take(self, message: Message) -> None:
        kind = message.get("type") if isinstance(message, Mapping) else None
        state = self.state
        if state is OPEN:
            if kind == "websocket.send":
                await self._send(message)
            elif kind == "websocket.close":
                self._shut(message)
            else:
                raise ApplicationError(f"the application sent {kind!r} where 'websocket.send' or 'websocket.close' may come")
            return
        if state is CONNECTING and self._close is not None:
            raise ConnectionLost("the client has left", peer=self._exchange.peer, phase="waiting for the handshake")
        if state is CONNECTING and kind == "websocket.accept":
            self._accept(message)
        elif state is CONNECTING and kind == "websocket.close":
            self._refuse()
        elif state <= REFUSED and isinstance(kind, str) and kind.startswith("websocket.http.response."):
            await self._respond(message, kind)
        else:
            raise ApplicationError(f"the application sent {kind!r} where {_EXPECTED[state]}")

    # -- the handshake -------------------------------------------------------------------------------------------------

    def _accept(self, message: Message) -> None:
        subprotocol = message.get("subprotocol")
        fields = read_fields(message)
        for name, _ in fields:
            if name.lower() in _RESERVED:
                raise ApplicationError(f"the application sent {name!r}, which is the handshake's")
        lines = encode_fields(self._accepted.fields)
        if subprotocol is not None:
            offered = [part.strip(" \t") for value in self._offered() for part in value.split(",")]
            if subprotocol not in offered:
                raise ApplicationError(f"the application chose {subprotocol!r}, which the client has not offered")
            lines += encode_fields([("Sec-WebSocket-Protocol", subprotocol)])
        try:
            head = response_line(101, "Switching Protocols") + lines + join_fields(fields) + b"\r\n"
            parse_response_head(head)
        except (UsageError, ProtocolError) as error:
            raise ApplicationError(f"the application sent a head that is none: {error}") from error
        self._websocket = self._exchange.accept_websocket(
            head, subprotocol=subprotocol, deflate=self._accepted.agreed, **self._options
        )
        self.state = OPEN
        self._decide()

    def _offered(self) -> list[str]:
        return self._exchange.head.fields.get_list("sec-websocket-protocol")

    def _refuse(self) -> None:
        self.state = REFUSED
        self._exchange.keep_alive = False
        self._refusing.state = ResponseState.DONE
        self._exchange.respond(403, b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\n", b"")
        self.disconnect()

    async def _respond(self, message: Message, kind: str) -> None:
        self.state = REFUSED
        self._exchange.keep_alive = False
        await self._refusing.send({**message, "type": kind.removeprefix("websocket.")})
        if self._refusing.state is ResponseState.DONE:
            self.disconnect()

    # -- messages ------------------------------------------------------------------------------------------------------

    async def _send(self, message: Message) -> None:
        data = message.get("bytes")
        if data is None:
            data = message.get("text")
            if not isinstance(data, str):
                raise ApplicationError("the application sent a message with neither bytes nor a text")
        elif not isinstance(data, bytes | bytearray | memoryview):
            raise ApplicationError(f"the application sent bytes that are {type(data).__name__}")
        await self._websocket.send(data)  # type: ignore[union-attr]

    def _shut(self, message: Message) -> None:
        """Begin to close, and wait for nothing: the client has its time to answer, whatever the application does."""
        code = message.get("code", 1000)
        reason = message.get("reason") or ""
        connection = self._websocket.connection  # type: ignore[union-attr]
        if not isinstance(code, int) or not isinstance(reason, str):
            raise ApplicationError(f"the application closed with a code or a reason that is none: {code!r}, {reason!r}")
        connection.check_open()
        try:
            frame = connection.protocol.close(code, reason)
        except UsageError as error:
            raise ApplicationError(f"the application closed with a code or a reason that is none: {error}") from error
        self.state = CLOSED
        self._close = self._close or (code, reason)
        if frame:
            connection.start_closing(frame)


_EXPECTED: Final = {
    CONNECTING: "'websocket.accept', 'websocket.close' or 'websocket.http.response.start' comes first",
    REFUSED: "the WebSocket was refused",
    CLOSED: "the WebSocket is closed already",
}
