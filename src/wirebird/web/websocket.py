"""The server's side of a WebSocket, as a response that a handler prepares and then talks over (RFC 6455).

    async def chat(request):
        ws = web.WebSocketResponse(heartbeat=30)
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(message.data)
        return ws

The handler goes on for as long as the WebSocket is open.  When it returns, the WebSocket is closed with 1000, if it is
open still, and with 1011 when it raises; when the server is closed, it is told 1001 and the handler sees its end like any other.

A browser sends the cookies of a site along with a handshake whatever page asks for it, and lets that page read the answers.  So
what the handshake of a foreign page gets is decided here (`origins`), and by default it is 403.
"""

from __future__ import annotations

import json as _json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from ..errors import InvalidHeader, UsageError, WebSocketClosed
from ..models.headers import HeadersLike, encode_fields
from ..models.numbers import check_number
from ..net.websocket import WebSocket, check_options
from ..protocol.http1 import response_line
from ..protocol.websocket_deflate import Deflate
from ..protocol.websocket_handshake import SAME_ORIGIN, Accepted, Refusal, ServerHandshake
from ..protocol.websocket_messages import Message
from .exceptions import HTTPSystemError
from .response import StreamResponse

if TYPE_CHECKING:
    from ..protocol.websocket_deflate import Agreed
    from .request import Request

__all__ = ["WebSocketReady", "WebSocketResponse"]

# Fields of the handshake itself.
_RESERVED: Final = ("connection", "upgrade", "sec-websocket-accept", "sec-websocket-protocol", "sec-websocket-extensions")


class WebSocketReady(NamedTuple):
    """What would come of a handshake: whether it would be taken, and the subprotocol, None for none.  True if `ok` is."""

    ok: bool
    protocol: str | None

    def __bool__(self) -> bool:
        return self.ok


class WebSocketResponse(StreamResponse):
    """A WebSocket: `await ws.prepare(request)`, then messages both ways, and it is returned at the end.

    protocols        the subprotocols it speaks, the preferred one first; the first that the client offers is chosen
    heartbeat        seconds of silence after which the client is given up for gone; it is asked for a sign of life after half of
                     them; None to wait for ever
    compression      True for permessage-deflate where the client offers it, False for none, or a `Deflate`
    max_size         bytes of one message, after inflating, 4 MiB; None for no limit; a longer one closes it with 1009
    max_queue        bytes of messages that the handler may be behind, 256 KiB, before the socket is left alone
    origins          whose pages may connect: `scheme://host[:port]`, `"null"`, or `"same-origin"`, which is the default; None for
                     anybody's.  Others get 403.  Clients that are no browsers send no Origin, and are taken
    auto_pong        False gives pings and pongs out as messages, and leaves the answer to the handler
    close_timeout    seconds that the client has to answer a close, 10
    receive_timeout  seconds to wait for each message, unless `receive` says otherwise; None for no limit
    headers          further fields of the 101

    `async for message in ws` ends when the client closes, and raises what broke the connection if that was not in good order:
    `ConnectionLost`, `WebSocketError`, or `ReadTimeout`.  Nothing of that is logged as an error of the application when the
    handler lets it pass.  One task receives, any number may send.  Raises `UsageError` for a bad argument, naming it.
    """

    switches = True

    def __init__(
        self,
        *,
        protocols: Sequence[str] = (),
        heartbeat: float | None = None,
        compression: bool | Deflate = True,
        max_size: int | None = 4 * 1024 * 1024,
        max_queue: int = 262144,
        origins: Collection[str] | None = (SAME_ORIGIN,),
        auto_pong: bool = True,
        close_timeout: float = 10.0,
        receive_timeout: float | None = None,
        headers: HeadersLike | None = None,
    ) -> None:
        super().__init__(status=101, headers=headers)
        if not isinstance(compression, bool | Deflate):
            raise UsageError(f"compression must be True, False or a Deflate, not {compression!r}", argument="compression")
        if not isinstance(auto_pong, bool):
            raise UsageError(f"auto_pong must be True or False, not {auto_pong!r}", argument="auto_pong")
        if receive_timeout is not None:
            check_number("receive_timeout", receive_timeout, "None or seconds", above=True)
        self._options: dict[str, Any] = {
            "heartbeat": heartbeat,
            "close_timeout": close_timeout,
            "max_size": max_size,
            "max_queue": max_queue,
        }
        check_options(**self._options, max_fragments=1)
        self._options["auto_pong"] = auto_pong
        deflate = compression if isinstance(compression, Deflate) else Deflate() if compression else None
        self._handshake = ServerHandshake(protocols, deflate, origins)
        self._receive_timeout = receive_timeout
        self._websocket: WebSocket | None = None

    # -- the handshake -------------------------------------------------------------------------------------------------

    def can_prepare(self, request: Request) -> WebSocketReady:
        """Whether `prepare` would take the request, and with which subprotocol.  Raises `RuntimeError` once it is prepared."""
        if self._websocket is not None:
            raise RuntimeError("the WebSocket is prepared already")
        answer = self._handshake.answer(request.head, request.host)
        return WebSocketReady(True, answer.subprotocol) if isinstance(answer, Accepted) else WebSocketReady(False, None)

    async def prepare(self, request: Request) -> None:
        """Answer the handshake; idempotent.

        Raises an `HTTPException` for a request that is none, or one of a foreign page, which is its answer if the handler lets it
        pass: 400, 403, 405 or 426.  Raises `LimitExceeded`, which becomes 503, if the server has too many WebSockets.
        """
        if self._websocket is not None:
            return
        answer = self._handshake.answer(request.head, request.host)
        if isinstance(answer, Refusal):
            refusal = HTTPSystemError.for_status(answer.status, answer.message)
            for name, value in answer.fields:
                refusal.headers.add(name, value)
            raise refusal
        await request.app.prepare_response(request, self)
        for name in _RESERVED:
            if name in self.headers:
                raise InvalidHeader(f"headers must leave {name} to the handshake", argument="headers")
        head = response_line(101, self.reason) + self._fields() + encode_fields(answer.fields) + b"\r\n"
        self._websocket = request.exchange.accept_websocket(
            head, subprotocol=answer.subprotocol, deflate=answer.agreed, **self._options
        )
        self._request = request
        self.prepared = True

    @property
    def websocket(self) -> WebSocket:
        """What it is made of: the same object that a client has.  Raises `RuntimeError` before `prepare`."""
        if self._websocket is None:
            raise RuntimeError("nothing can be done with a WebSocket before `prepare`")
        return self._websocket

    # -- what there is to see ------------------------------------------------------------------------------------------

    @property
    def protocol(self) -> str | None:
        """The subprotocol that was agreed upon, None for none."""
        return self._websocket.subprotocol if self._websocket is not None else None

    @property
    def compression(self) -> Agreed | None:
        """What was agreed upon of permessage-deflate, None for no compression."""
        return self._websocket.compression if self._websocket is not None else None

    @property
    def closed(self) -> bool:
        """Whether it is closed or being closed, by either side: nothing may be sent any more."""
        return self._websocket is not None and self._websocket.closed

    @property
    def close_code(self) -> int | None:
        """The code of the client's close frame, 1005 if it had none, 1006 if there was no frame; None as long as it is open."""
        return self._websocket.close_code if self._websocket is not None else None

    @property
    def close_reason(self) -> str | None:
        """The words that came with `close_code`."""
        return self._websocket.close_reason if self._websocket is not None else None

    @property
    def latency(self) -> float | None:
        """Seconds between the last ping that was answered, the heartbeat's too, and its pong; None before the first."""
        return self._websocket.latency if self._websocket is not None else None

    def exception(self) -> Exception | None:
        """What broke it; None if it is open, or was closed in good order."""
        return self._websocket.connection.failure if self._websocket is not None else None

    # -- receiving -----------------------------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[Message]:
        websocket = self.websocket
        return websocket if self._receive_timeout is None else _each_within(websocket, self._receive_timeout)

    async def receive(self, timeout: float | None = None) -> Message:
        """The next message: `type`, a `MessageType`, and `data`, str or bytes.

        Raises `WebSocketClosed` once the client has closed and its last message was given out, what broke the connection, as
        iteration does, and `ReadTimeout` if there is none within `timeout` seconds, after which it may be called again.
        """
        return await self.websocket.receive(self._receive_timeout if timeout is None else timeout)

    async def receive_str(self, timeout: float | None = None) -> str:
        """The next message, which has to be a text.  Raises `TypeError` if it is not, and what `receive` raises."""
        return await self.websocket.receive_text(self._receive_timeout if timeout is None else timeout)

    async def receive_bytes(self, timeout: float | None = None) -> bytes:
        """The next message, which has to be binary.  Raises `TypeError` if it is not, and what `receive` raises."""
        return await self.websocket.receive_bytes(self._receive_timeout if timeout is None else timeout)

    async def receive_json(self, timeout: float | None = None, *, loads: Callable[..., Any] = _json.loads) -> Any:
        """The next message, decoded as JSON.  Raises what `loads` raises, and what `receive` raises."""
        wait = self._receive_timeout if timeout is None else timeout
        return await self.websocket.receive_json(wait, json_decoder=loads)

    # -- sending -------------------------------------------------------------------------------------------------------

    async def send_str(self, data: str, *, compress: bool | None = None) -> None:
        """Send a text.  It waits while the client is slow to take what was sent before.

        `compress` is None to compress what is long enough for that, where compression was agreed upon, and else the caller's
        decision.  Raises `WebSocketClosed`, what broke the connection, and `UsageError` for data that is no str.
        """
        if not isinstance(data, str):
            raise UsageError(f"data must be str, not {type(data).__name__}", argument="data")
        await self.websocket.send(data, compress=compress)

    async def send_bytes(self, data: bytes | bytearray | memoryview, *, compress: bool | None = None) -> None:
        """Send a binary message.  Raises what `send_str` raises."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise UsageError(f"data must be bytes, not {type(data).__name__}", argument="data")
        await self.websocket.send(data, compress=compress)

    async def send_json(
        self, value: Any, *, dumps: Callable[[Any], str | bytes] = _json.dumps, compress: bool | None = None
    ) -> None:
        """Send `value` as a text of JSON.  Raises what `dumps` raises, and what `send_str` raises."""
        await self.websocket.send_json(value, json_serializer=dumps, compress=compress)

    async def send_fragments(self, pieces: Iterable[str] | Iterable[bytes] | AsyncIterable[str] | AsyncIterable[bytes]) -> None:
        """Send one message in as many frames as there are pieces, all of them str or all of them bytes, each as it comes.

        If the pieces fail, the message can be neither completed nor taken back, and the WebSocket is closed with 1011.  Raises
        what they raise, and what `send_str` raises.
        """
        await self.websocket.send_fragments(pieces)

    async def ping(self, data: bytes = b"") -> None:
        """Send a ping and do not wait for its pong; `ws.websocket.ping()` does.  Raises what `send_str` raises."""
        await self.websocket.send_ping(data)

    async def pong(self, data: bytes = b"") -> None:
        """Send a pong that nobody asked for, or the answer to a ping with `auto_pong` off.  Raises what `send_str` raises."""
        await self.websocket.pong(data)

    # -- the end -------------------------------------------------------------------------------------------------------

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close: send a close frame, wait for the client's, and for the end of the connection; idempotent.

        A client that does not answer within `close_timeout` is left.  Raises `UsageError` for a code or a reason that may not be
        sent (RFC 6455 7.4), `RuntimeError` before `prepare`.
        """
        await self.websocket.close(code, reason)

    def enable_compression(self, force: str | None = None, *, level: int | None = None) -> NoReturn:
        """There is no body: raises `RuntimeError`.  Messages are compressed by `compression`."""
        raise RuntimeError("a WebSocket has messages and no body: say compression=True")

    async def write(self, data: object) -> NoReturn:
        """There is no body: raises `RuntimeError`."""
        raise RuntimeError("a WebSocket has messages and no body: use send_str or send_bytes")

    async def write_eof(self, data: bytes = b"") -> None:
        """Close it, in place of the end of a body."""
        if data:
            raise RuntimeError("a WebSocket has messages and no body")
        websocket = self.websocket
        self.eof_sent = True
        if not websocket.closed:
            await websocket.close()


async def _each_within(websocket: WebSocket, timeout: float) -> AsyncIterator[Message]:
    """The messages, each of which has to come within `timeout` seconds."""
    while True:
        try:
            message = await websocket.receive(timeout)
        except WebSocketClosed:
            return
        yield message
