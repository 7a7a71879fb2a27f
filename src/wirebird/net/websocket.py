"""A WebSocket as its user sees it, in either role (RFC 6455).

    await ws.send("text")
    async for message in ws: ...

One task receives, any number may send: a message is written in one piece, and one that is sent in fragments has the others wait.
"""

from __future__ import annotations

import asyncio
import json as _json
import warnings
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..errors import ReadTimeout, UsageError, WebSocketClosed
from ..models.numbers import check_count, check_number
from ..protocol.websocket import Protocol
from ..protocol.websocket_messages import Message
from .websocket_connection import WebSocketConnection, masking_keys

if TYPE_CHECKING:
    from ..protocol.websocket_deflate import Agreed
    from .stream import Stream

__all__ = ["WebSocket"]

# Bytes of a message beyond which a copy of it costs more than writing it in pieces.
_LONG = 16384


class WebSocket:
    """An open WebSocket, as `client.websocket` gives it: messages both ways, an async iterator, an async context manager.

    `async for message in ws` ends when the peer closes, and raises what broke the connection if that was not in good order:
    `ConnectionLost`, `WebSocketError`, or `ReadTimeout` where a heartbeat found nobody there.  At the end of `async with` it is
    closed, with 1000, with 1011 where the block raised, or with 1001 where it was cancelled, and then nothing is waited for.

    subprotocol  the one agreed upon, None for none
    response     the response of the handshake (client), or None
    """

    __slots__ = ("_connection", "_fragments", "_messages", "response", "subprotocol")

    def __init__(self, connection: WebSocketConnection, *, subprotocol: str | None = None, response: Any = None) -> None:
        self._connection = connection
        self._messages = connection.messages
        self._fragments: asyncio.Lock | None = None  # held by who sends a message in fragments
        self.subprotocol = subprotocol
        self.response = response

    @classmethod
    def over(
        cls,
        stream: Stream,
        received: bytes = b"",
        *,
        server: bool,
        subprotocol: str | None = None,
        deflate: Agreed | None = None,
        heartbeat: float | None = None,
        ask_after: float | None = None,
        close_timeout: float = 10.0,
        max_size: int | None = 1024 * 1024,
        max_fragments: int = 131072,
        max_queue: int = 262144,
        auto_pong: bool = True,
        response: Any = None,
    ) -> WebSocket:
        """The WebSocket that a handshake over `stream` has made of it, whose transport it takes over.

        received       what has arrived behind the handshake
        server         which role this side has
        deflate        what was agreed upon of permessage-deflate; None for no compression
        heartbeat      seconds of silence after which the peer is given up for gone; it is asked for a sign of life after half of
                       them, or after `ask_after`; None to wait for ever
        close_timeout  seconds that the peer has to answer a close and end the connection, 10
        max_size       bytes of one message, after inflating, 1 MiB; None for no limit; else it is closed with 1009
        max_fragments  frames of one message
        max_queue      bytes of messages that a slow reader may be behind, 256 KiB, before the socket is left alone
        auto_pong      False gives pings and pongs out as messages, and leaves the answer to the caller

        Raises `UsageError` for a bad argument, naming it.
        """
        check_options(
            heartbeat=heartbeat,
            close_timeout=close_timeout,
            max_size=max_size,
            max_fragments=max_fragments,
            max_queue=max_queue,
        )
        protocol = Protocol(
            server=server,
            masks=masking_keys(),
            max_size=max_size,
            max_fragments=max_fragments,
            deflate=deflate,
            auto_pong=auto_pong,
        )
        connection = WebSocketConnection(
            stream.loop,
            stream.peer,
            protocol,
            heartbeat=heartbeat,
            ask_after=ask_after,
            close_timeout=close_timeout,
            max_queue=max_queue,
        )
        connection.take_over(stream)
        connection.begin(received)
        return cls(connection, subprotocol=subprotocol, response=response)

    def __repr__(self) -> str:
        return f"<WebSocket {self._connection!r:.200}>"

    def __del__(self) -> None:
        connection = getattr(self, "_connection", None)
        if connection is None or connection.transport is None or connection.ended or connection.protocol.close_sent is not None:
            return
        warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        if not connection.loop.is_closed():
            connection.loop.call_soon_threadsafe(connection.abort)

    # -- what there is to see ------------------------------------------------------------------------------------------

    @property
    def connection(self) -> WebSocketConnection:
        """What it is made of; for those who keep account of connections."""
        return self._connection

    @property
    def peer(self) -> str:
        """`host:port` of the other side."""
        return self._connection.peer

    @property
    def closed(self) -> bool:
        """Whether it is closed or being closed, by either side: nothing may be sent any more."""
        return self._connection.ended or self._connection.closing or self._connection.protocol.close_sent is not None

    @property
    def close_code(self) -> int | None:
        """The code of the peer's close frame (RFC 6455 7.1.5), 1005 if it had none; None as long as there was no end.

        1006 if there was no close frame, and the code that the peer was told where it had broken the rules.
        """
        return self._connection.close_code

    @property
    def close_reason(self) -> str | None:
        """The words that came with `close_code`; None as long as there was no end."""
        return self._connection.close_reason

    @property
    def latency(self) -> float | None:
        """Seconds between the last ping that was answered, the heartbeat's too, and its pong; None before the first."""
        return self._connection.latency

    @property
    def compression(self) -> Agreed | None:
        """What was agreed upon of permessage-deflate, None for no compression."""
        return self._connection.protocol.agreed

    # -- receiving -----------------------------------------------------------------------------------------------------

    def __aiter__(self) -> WebSocket:
        return self

    async def __anext__(self) -> Message:
        messages = self._messages
        if not messages:
            connection = self._connection
            while not messages and not connection.ended:
                await connection.news()
            if not messages:
                if connection.failure is not None:
                    raise connection.broken()
                raise StopAsyncIteration
        message = messages.popleft()
        if not messages and self._connection.paused:
            self._connection.emptied()
        return message

    async def receive(self, timeout: float | None = None) -> Message:
        """The next message.

        Raises `WebSocketClosed` once the peer has closed and its last message was given out, what broke the connection, as
        iteration does, `ReadTimeout` if there is none within `timeout` seconds, after which it may be called again, `UsageError`
        for a timeout that is none, and `RuntimeError` if another task is receiving.
        """
        if timeout is not None:
            check_number("timeout", timeout, "None or seconds")
        messages = self._messages
        if not messages:
            connection = self._connection
            if timeout is not None:
                await self._wait_for(timeout)
            while not messages and not connection.ended:
                await connection.news()
            if not messages:
                raise connection.broken()
        message = messages.popleft()
        if not messages and self._connection.paused:
            self._connection.emptied()
        return message

    async def _wait_for(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout) as scope:
                while not self._messages and not self._connection.ended:
                    await self._connection.news()
        except TimeoutError:
            if not scope.expired():
                raise
            message = f"the peer sent no message for {timeout:g} s"
            raise ReadTimeout(message, limit=timeout, peer=self.peer, phase="receiving a message") from None

    async def receive_text(self, timeout: float | None = None) -> str:
        """The next message, which has to be a text.  Raises `TypeError` if it is not, and what `receive` raises."""
        data = (await self.receive(timeout)).data
        if not isinstance(data, str):
            raise TypeError("the message is no text but bytes")
        return data

    async def receive_bytes(self, timeout: float | None = None) -> bytes:
        """The next message, which has to be binary.  Raises `TypeError` if it is not, and what `receive` raises."""
        data = (await self.receive(timeout)).data
        if not isinstance(data, bytes):
            raise TypeError("the message is not bytes but a text")
        return data

    async def receive_json(self, timeout: float | None = None, *, json_decoder: Callable[..., Any] = _json.loads) -> Any:
        """The next message, decoded as JSON.  Raises what the decoder raises, and what `receive` raises."""
        return json_decoder((await self.receive(timeout)).data)

    # -- sending -------------------------------------------------------------------------------------------------------

    async def send(self, data: str | bytes | bytearray | memoryview, *, compress: bool | None = None) -> None:
        """Send a message: text for str, binary for bytes.  It waits while the peer is slow to take what was sent before.

        `compress` is None to compress what is long enough for that, where compression was agreed upon, and else the caller's
        decision.  Raises `WebSocketClosed`, what broke the connection, and `UsageError` for data of another type.
        """
        if compress is not None:
            _check_compress(compress)
        connection = self._connection
        if (lock := self._fragments) is not None and lock.locked():
            async with lock:
                pass  # what follows is one step
        protocol = connection.protocol
        if connection.ended or connection.closing or protocol.close_sent is not None:
            raise connection.broken()
        transport: asyncio.Transport = connection.transport  # type: ignore[assignment]
        if connection.gathers and type(data) is bytes and len(data) > _LONG:
            transport.writelines(protocol.message_pieces(data, compress=compress))
        else:
            transport.write(protocol.message(data, compress=compress))
        if not connection.writable or transport.is_closing():
            await connection.drain()

    async def send_json(
        self, value: Any, *, json_serializer: Callable[[Any], str | bytes] = _json.dumps, compress: bool | None = None
    ) -> None:
        """Send `value` as a text of JSON.  Raises what the serializer raises, and what `send` raises."""
        text = json_serializer(value)
        await self.send(text.decode() if isinstance(text, bytes | bytearray) else text, compress=compress)

    async def send_fragments(
        self,
        pieces: Iterable[str]
        | Iterable[bytes | bytearray | memoryview]
        | AsyncIterable[str]
        | AsyncIterable[bytes | bytearray | memoryview],
        *,
        compress: bool | None = None,
    ) -> None:
        """Send one message in as many frames as there are pieces, all str or all bytes, each as soon as the next one is there.

        Other messages wait meanwhile; pings and pongs do not.  If the pieces fail, or this is cancelled, the message can be
        neither completed nor taken back: the WebSocket is closed with 1011.  `compress` is as for `send`, and None goes by the
        first piece; each costs some five bytes then.  Raises what `send` raises and what the pieces raise, and `UsageError` where
        there are none.
        """
        if isinstance(pieces, str | bytes | bytearray | memoryview) or not isinstance(pieces, Iterable | AsyncIterable):
            raise UsageError("pieces must be an iterable, or an async iterable, of str or bytes", argument="pieces")
        _check_compress(compress)
        lock = self._fragments = self._fragments or asyncio.Lock()
        begun = False
        async with lock:
            self._connection.check_open()
            try:
                kept: Any = None  # the last piece has to say that it is the last
                async for piece in _each(pieces):
                    if not isinstance(piece, str | bytes | bytearray | memoryview):
                        raise UsageError(f"pieces must hold str or bytes, not {type(piece).__name__}", argument="pieces")
                    if kept is not None:
                        await self._fragment(kept, first=not begun, last=False, compress=compress)
                        begun = True
                        if isinstance(kept, str) is not isinstance(piece, str):
                            raise UsageError("pieces must be all str or all bytes", argument="pieces")
                    kept = piece if isinstance(piece, str) else bytes(piece)  # it may be overwritten by then
                if kept is None:
                    raise UsageError("pieces must hold at least one piece", argument="pieces")
                await self._fragment(kept, first=not begun, last=True, compress=compress)
            except BaseException:
                if begun and not self.closed:
                    self._connection.start_closing(self._connection.protocol.close(1011, "a message cannot be completed"))
                raise

    async def _fragment(self, data: Any, *, first: bool, last: bool, compress: bool | None) -> None:
        connection = self._connection
        frame = connection.protocol.fragment(data, first=first, last=last, compress=compress)
        connection.check_open()
        connection.transport.write(frame)  # type: ignore[union-attr]
        await connection.drain()

    # -- control frames ------------------------------------------------------------------------------------------------

    async def ping(self, data: bytes | bytearray | memoryview | None = None, *, timeout: float | None = None) -> float:
        """Send a ping and wait for its pong: the seconds between them.

        The pong comes behind what the peer has sent before: while more than `max_queue` bytes of messages are there and nobody
        receives them, it does not.

        `data`, 125 bytes at the most, comes back with the pong; random by default.  Raises `ReadTimeout` after `timeout` seconds,
        what `send` raises, and `UsageError` for data that another ping waits for.
        """
        if timeout is not None:
            check_number("timeout", timeout, "None or seconds")
        connection = self._connection
        connection.check_open()
        payload = next(masking_keys()) if data is None else data
        waiter: asyncio.Future[float] = connection.loop.create_future()
        connection.ping(payload, waiter)
        began = monotonic()
        try:
            async with asyncio.timeout(timeout) as scope:
                return await waiter
        except TimeoutError:
            if not scope.expired():
                raise
            raise ReadTimeout(
                f"no pong within {monotonic() - began:.3g} s", limit=timeout, peer=self.peer, phase="waiting for a pong"
            ) from None
        finally:
            if waiter.cancelled() or not waiter.done():
                connection.forget(bytes(payload))

    async def send_ping(self, data: bytes | bytearray | memoryview = b"") -> None:
        """Send a ping and do not wait for its pong.  Raises what `send` raises."""
        connection = self._connection
        connection.check_open()
        connection.transport.write(connection.protocol.ping(data))  # type: ignore[union-attr]
        await connection.drain()

    async def pong(self, data: bytes | bytearray | memoryview = b"") -> None:
        """Send a pong that nobody asked for (RFC 6455 5.5.3), or the answer to a ping with `auto_pong` off."""
        connection = self._connection
        connection.check_open()
        connection.transport.write(connection.protocol.pong(data))  # type: ignore[union-attr]
        await connection.drain()

    # -- the end -------------------------------------------------------------------------------------------------------

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close: send a close frame, wait for the peer's, and for the end of the connection; idempotent.

        A peer that does not answer within `close_timeout` is left.  What arrives meanwhile can be received, unless more than
        `max_queue` is waiting.  Raises `UsageError` for a code or a reason that may not be sent (RFC 6455 7.4).
        """
        connection = self._connection
        frame = connection.protocol.close(code, reason)
        if frame:
            connection.start_closing(frame)
        try:
            await asyncio.wait([connection.when_gone()])
        except asyncio.CancelledError:
            connection.abort()
            raise

    def abort(self) -> None:
        """Close the connection at once, with no close frame."""
        self._connection.abort()

    async def __aenter__(self) -> WebSocket:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if kind is None or issubclass(kind, Exception):
            await self.close(1000 if kind is None or issubclass(kind, WebSocketClosed) else 1011)
        else:
            self._connection.part(1001)  # cancelled: there is no time to wait for an answer


async def _each(pieces: Any) -> AsyncIterator[Any]:
    if isinstance(pieces, AsyncIterable):
        async for piece in pieces:
            yield piece
    else:
        for piece in pieces:
            yield piece


def _check_compress(compress: object) -> None:
    if compress is not None and not isinstance(compress, bool):
        raise UsageError(f"compress must be None, True or False, not {compress!r}", argument="compress")


def check_options(
    *, heartbeat: float | None, close_timeout: float, max_size: int | None, max_fragments: int, max_queue: int
) -> None:
    """Raise `UsageError` for a setting of a WebSocket that is none, naming it."""
    if heartbeat is not None:
        check_number("heartbeat", heartbeat, "None or seconds", above=True)
    check_number("close_timeout", close_timeout, "seconds")
    if max_size is not None:
        check_count("max_size", max_size, 1, "None or a number of bytes")
    check_count("max_fragments", max_fragments, 1)
    check_count("max_queue", max_queue, 1, "a number of bytes")
