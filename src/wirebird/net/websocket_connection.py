"""The pump of a WebSocket, both roles: a transport on one side, a queue of messages on the other (RFC 6455 5 to 7).

Everything happens where bytes arrive: no task, and no timer but one for a heartbeat or a close that is under way.  The messages
of one read go into the queue together, and their reader wakes once.

The socket is left alone while the reader is more than `max_queue` bytes behind, while one read has brought much that is inflated,
and while the peer does not take the pongs that it asks for.

How it ends (7.1): a close frame is answered, and then the server closes the connection; the client waits for that for as long as
`close_timeout`.  What the peer does wrong is answered with a close frame; what still arrives is then read for nobody for a short
time, because an unread rest would make the kernel break the connection, and the peer lose the frame that tells it why.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Iterator
from os import urandom
from time import monotonic
from typing import TYPE_CHECKING, Final

from ..errors import ConnectionLost, ReadTimeout, UsageError, WebSocketClosed, WirebirdError
from ..protocol.websocket_messages import Event, Message, Pong
from .landing import Landing
from .stream import Stream

if TYPE_CHECKING:
    from ..protocol.websocket import Protocol

__all__ = ["WebSocketConnection", "gathers", "masking_keys"]

# Bytes that are read at once: a message of 64 KiB with its head, but no more short ones than a processor's cache holds.
_WINDOW: Final = 131072

# A payload that lacks more than this is received in its final place.
_LANDING: Final = 32768

# Before these versions asyncio's own `writelines` held up no writer, however much was waiting (CVE-2024-12254).
_SAFE: Final = sys.version_info >= (3, 13, 1) or (3, 12, 8) <= sys.version_info < (3, 13)

# Bytes of pongs that wait behind what the program sends, beyond which the peer has to take them before it is read again.
_OWED: Final = 65536

# How long a connection that has failed is read for nobody, seconds.
_LINGER: Final = 1.0

_LOST: Final = 1006  # in place of a close code: there was no close frame; never sent


def masking_keys() -> Iterator[bytes]:
    """Masking keys from the operating system's randomness (RFC 6455 10.3), a few at a time."""
    while True:
        block = urandom(256)
        for at in range(0, 256, 4):
            yield block[at : at + 4]


def gathers(kind: type[asyncio.WriteTransport]) -> bool:
    """Whether transports of this kind write several pieces as one without joining them first, and can be relied on for it."""
    return kind.writelines is not asyncio.WriteTransport.writelines and (_SAFE or not kind.__module__.startswith("asyncio."))


class WebSocketConnection(Stream):
    """One WebSocket's transport.

    `messages` is the queue, `backlog` counts the bytes that came for it since it was empty.  `ended` says that there is nothing
    more to receive, `ended_at` since when (`time.monotonic`), and `failure` why, None if it was closed in good order.  `gathers`
    says that a long message is better written in pieces.
    """

    __slots__ = (
        "_asked_at",
        "_asked_with",
        "_choked",
        "_cut_by",
        "_cut_off",
        "_landing",
        "_leaving",
        "_owed",
        "_pings",
        "_timer",
        "_waiter",
        "_window",
        "ask_after",
        "backlog",
        "close_timeout",
        "ended",
        "ended_at",
        "failure",
        "gathers",
        "heard_at",
        "heartbeat",
        "latency",
        "max_queue",
        "messages",
        "paused",
        "protocol",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        peer: str,
        protocol: Protocol,
        *,
        heartbeat: float | None = None,
        ask_after: float | None = None,
        close_timeout: float = 10.0,
        max_queue: int = 262144,
    ) -> None:
        super().__init__(loop, peer)
        self.protocol = protocol
        self.heartbeat = heartbeat
        self.ask_after = ask_after or (heartbeat or 0.0) / 2
        self.close_timeout = close_timeout
        self.max_queue = max_queue
        self.messages: deque[Message] = deque()
        self.backlog = 0
        self.ended = False
        self.ended_at = 0.0
        self.failure: WirebirdError | None = None
        self.latency: float | None = None
        self.heard_at = monotonic()
        self.gathers = False
        self._window = self._view[:_WINDOW]
        self._landing: Landing | None = None
        self._leaving = False  # our close frame was the first
        self.paused = False
        self._choked = False  # paused until the peer takes its pongs
        self._cut_off = False  # there is no more to come than what the engine still has to go through
        self._cut_by: Exception | None = None
        self._owed = 0  # bytes of pongs since the transport was full
        self._waiter: asyncio.Future[None] | None = None
        self._pings: dict[bytes, tuple[asyncio.Future[float] | None, float]] = {}  # those without a pong, the oldest first
        self._timer: asyncio.TimerHandle | None = None
        self._asked_at = 0.0  # when the heartbeat last asked the peer for a sign of life
        self._asked_with = b""

    def __repr__(self) -> str:
        state = "closed" if self.transport is None else "closing" if self.ended or self.protocol.close_sent else "open"
        return f"<WebSocketConnection {self.peer} {state}, {len(self.messages)} messages>"

    def begin(self, received: bytes = b"") -> None:
        """The transport is there, and `received` has come over it already."""
        self.gathers = gathers(type(self.transport))  # type: ignore[arg-type]
        if self.heartbeat is not None:
            self._timer = self.loop.call_later(self.ask_after, self._beat)
        if received:
            self._take(self.protocol.receive(received, len(received)), len(received))

    # -- input ---------------------------------------------------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> memoryview:
        """The loop's buffer, or the final place of a long payload."""
        landing = self._landing
        return self._window if landing is None else landing.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have arrived in what `get_buffer` gave."""
        if self.heartbeat is not None:
            self.heard_at = monotonic()
        landing = self._landing
        if landing is None:
            self._take(self.protocol.receive(self._buffer, nbytes), nbytes)
        elif landing.advance(nbytes):
            self._landing = None
            self._take(self.protocol.landed(landing.finish()), landing.received)
        if self._leaving and self.paused:
            self._go_on()  # the peer's close frame may be behind what nobody reads any more

    def _take(self, events: list[Event], size: int) -> None:
        """Hand over what `size` bytes have brought."""
        protocol = self.protocol
        messages: list[Message] = self._sort(events) if protocol.controls else events  # type: ignore[assignment]
        if messages:
            self.backlog = size + protocol.inflated + (self.backlog if self.messages else 0)
            # Who has closed is owed no more than that, and the first.
            if not self._leaving or self.backlog <= self.max_queue or not self.messages:
                self.messages.extend(messages)
            waiter = self._waiter
            if waiter is not None:
                self._waiter = None
                if not waiter.done():
                    waiter.set_result(None)
        if self.backlog > self.max_queue or protocol.pending:
            self._pause()
        if protocol.missing > _LANDING and not self.ended:
            begun = protocol.take_partial()
            self._landing = Landing(len(begun) + protocol.missing, begun)

    def _sort(self, events: list[Event]) -> list[Message]:
        """Deal with all that is no message, and with the end."""
        protocol = self.protocol
        for event in events:
            if type(event) is Pong:
                self._on_pong(event.data)
        if protocol.replies and self.transport is not None:
            self.transport.write(bytes(protocol.replies))
            if not self.writable:
                # It may be what the program sends that the peer does not take, and the peer wait for us to read before it does.
                self._owed += len(protocol.replies)
                if self._owed > _OWED:
                    self._choked = True
                    self._pause()
        protocol.replies.clear()
        if protocol.error is not None:
            self._fail(protocol.error.locate(self.peer, "receiving a message"))
            self._linger()
        elif protocol.close_received is not None:
            self._end()
            if not self._leaving:  # else the time is running already
                self._close_within(self.close_timeout)
            if protocol.server:
                self.shut()
        return [event for event in events if type(event) is Message]

    def _on_pong(self, data: bytes) -> None:
        """RFC 6455 5.5.3: a pong answers its ping and, where there were several, those before it."""
        if data not in self._pings:
            return
        now = monotonic()
        while self._pings:
            asked = next(iter(self._pings))
            waiter, at = self._pings.pop(asked)
            self.latency = now - at
            if waiter is not None and not waiter.done():
                waiter.set_result(now - at)
            if asked == data:
                return

    # -- the reader ----------------------------------------------------------------------------------------------------

    def news(self) -> asyncio.Future[None]:
        """A future that is done with the next message, or the end.  Raises `RuntimeError` if somebody waits for one already."""
        if self._waiter is not None and not self._waiter.done():
            raise RuntimeError("another task is receiving from this WebSocket")
        waiter = self._waiter = self.loop.create_future()
        return waiter

    def wake(self) -> None:
        """Let whoever waits look around, though nothing has come."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def emptied(self) -> None:
        """The reader has taken all there was, while the socket was left alone."""
        self.backlog = 0
        self._go_on()

    def _go_on(self) -> None:
        """Take up again what was left alone, as far as nothing speaks against it any more."""
        closing = self.protocol.close_sent is not None
        while self.protocol.pending and not self.ended and (closing or not self.messages):
            self._take(self.protocol.proceed(), 0)
        if self._cut_off and not self.protocol.pending:
            self._cut(self._cut_by)
        if (self.backlog > self.max_queue and not closing) or self._choked or self.protocol.pending:
            return
        self.paused = False
        self.heard_at = monotonic()  # until now it was us
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def _pause(self) -> None:
        if not self.paused:
            self.paused = True
            if self.transport is not None and not self.transport.is_closing():
                self.transport.pause_reading()

    def resume_writing(self) -> None:
        """The transport's buffer has room again."""
        super().resume_writing()
        self._owed = 0
        if self._choked:
            self._choked = False
            if self.paused:
                self._go_on()

    # -- the writer ----------------------------------------------------------------------------------------------------

    def check_open(self) -> None:
        """Raise what a sender is told: nothing may be sent any more."""
        if self.ended or self.closing or self.protocol.close_sent is not None:
            raise self.broken()

    def broken(self) -> WirebirdError:
        """What a writer is told whose bytes will not arrive."""
        if self.failure is not None:
            return self.failure.with_traceback(None)  # it may be raised many times, and would hold every frame that it passed
        close = self.protocol.close_received or self.protocol.close_sent
        if close is None:
            return ConnectionLost("the connection broke", peer=self.peer, phase="sending a message")
        return WebSocketClosed("the WebSocket is closed", code=close.code, reason=close.reason, peer=self.peer)

    def ping(self, data: bytes | bytearray | memoryview, waiter: asyncio.Future[float] | None) -> None:
        """Send a ping, whose round-trip time is for `waiter`.  Raises `UsageError` if one with the same data is under way."""
        frame = self.protocol.ping(data)
        data = bytes(data)
        if data in self._pings:
            raise UsageError("data must not be that of a ping which waits for its pong", argument="data")
        self._pings[data] = waiter, monotonic()
        if self.transport is not None:
            self.transport.write(frame)

    def forget(self, data: bytes) -> None:
        """Nobody waits for that pong any more."""
        self._pings.pop(data, None)

    # -- time ----------------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        """Silence for as long as `ask_after`: ask.  For a whole interval: the peer is gone."""
        self._timer = None
        interval = self.heartbeat
        if interval is None or self.ended or self.protocol.close_sent is not None:
            return
        now = monotonic()
        if self.paused:
            self.heard_at = now  # it is we who do not listen
        asked = self._asked_at > self.heard_at
        due = self.heard_at + (interval if asked else self.ask_after)
        if now >= due:
            if asked:
                self._fail(
                    ReadTimeout(
                        f"the peer sent nothing for {interval:g} s", limit=interval, peer=self.peer, phase="waiting for a pong"
                    )
                )
                self.abort()
                return
            self._asked_at = now
            self.forget(self._asked_with)  # it may have gone without its answer, where the peer said something else since
            self._asked_with = urandom(8)
            self.ping(self._asked_with, None)
            due = self.heard_at + interval
        self._timer = self.loop.call_later(max(due - now, 0.001), self._beat)

    def _close_within(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.transport is None:
            return
        self._timer = self.loop.call_later(seconds, self.abort)

    # -- the end -------------------------------------------------------------------------------------------------------

    def start_closing(self, frame: bytes) -> None:
        """Send the close frame `frame`; the peer has `close_timeout` for its own, and for the end of the connection."""
        if self.transport is None:
            self._end()
            return
        self._leaving = True
        self.transport.write(frame)
        self._close_within(self.close_timeout)
        self._choked = False
        if self.paused:
            self._go_on()

    def part(self, code: int) -> None:
        """Begin to close with `code`, if that was not begun, and wait for nothing."""
        frame = self.protocol.close(code, "")
        if frame:
            self.start_closing(frame)

    async def go_away(self) -> None:
        """Close with 1001 (RFC 6455 7.4.1), and wait for the end."""
        self.part(1001)
        await asyncio.wait([self.when_gone()])

    def _linger(self) -> None:
        """The peer is told why; let it read that before the connection is closed."""
        if self.transport is None or self.transport.is_closing():
            return
        self._close_within(_LINGER)
        if self.paused:
            self.paused = False
            self.transport.resume_reading()
        self.end_writing()

    def _fail(self, failure: WirebirdError) -> None:
        if not self.ended:
            self.failure = failure
            self._end()

    def _end(self) -> None:
        """There is nothing more to receive."""
        if not self.ended:
            self.ended = True
            self.ended_at = monotonic()
        self._landing = None
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        pings, self._pings = self._pings, {}
        for asked, _ in pings.values():
            if asked is not None and not asked.done():
                asked.set_exception(self.broken())
                asked.exception()  # a cancelled one will not fetch it

    def eof_received(self) -> None:
        """The peer will send no more, and the transport closes: once it has sent what it holds, which may be never."""
        if self.protocol.close_sent is None:
            self._close_within(self.close_timeout)
        self._cut(None)

    def lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if exc is not None:
            exc.with_traceback(None)  # it ends in the transport's read, which holds the place that was read into
        self._cut(exc)

    def _cut(self, exc: Exception | None) -> None:
        """Nothing more will come, whether or not there was a close frame.

        What has come is given out first.  With TLS the end is known though the reading is paused, and there may be a close frame.
        """
        if self.protocol.pending and not self.ended:
            self._cut_off, self._cut_by = True, exc
            return
        if self.protocol.close_sent is not None:
            self._end()  # the peer answered, or it did not want to
            return
        error = ConnectionLost("the peer is gone without a close frame", peer=self.peer, phase="receiving a message")
        error.__cause__ = exc
        self._fail(error)

    def abort(self) -> None:
        """Close at once."""
        super().abort()
        if self.protocol.close_sent is None:
            self._fail(ConnectionLost("the WebSocket was closed at once", peer=self.peer, phase="receiving a message"))
        else:
            self._end()

    def forsake(self) -> None:
        """The loop is gone, and the transport with it."""
        self.transport = None
        self.closing = True
        self._timer = None
        self._fail(ConnectionLost("the event loop was closed", peer=self.peer, phase="receiving a message"))

    @property
    def close_code(self) -> int | None:
        """The code of the peer's close frame, 1005 where it had none; ours where it did wrong; 1006 without any; None before."""
        if not self.ended:
            return None
        if self.protocol.close_received is not None:
            return self.protocol.close_received.code
        if self.protocol.error is not None:
            return self.protocol.error.code
        return _LOST

    @property
    def close_reason(self) -> str | None:
        """The reason that goes with `close_code`."""
        if not self.ended:
            return None
        if self.protocol.close_received is not None:
            return self.protocol.close_received.reason
        return self.protocol.error.reason if self.protocol.error is not None else ""
