"""The engine with an echo behind it, and a peer's view of it: bytes go in, in some segmentation, and frames come out.

The echo behaves as a connection does.  It hands over a buffer that is bigger than what it holds and is overwritten afterwards; it
sends `replies` first, takes up what is pending, and sends no message behind a close frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

from websocket_wire import Frame, close, decode, encode, keys
from wirebird.protocol.websocket import Protocol
from wirebird.protocol.websocket_messages import Close, Event, Message, MessageType, Ping, Pong

ROLES = ("server", "client")


def describe(event: Event) -> tuple[Any, ...]:
    """An event as `judge` writes it."""
    if isinstance(event, Message):
        assert type(event.data) is (str if event.type is MessageType.TEXT else bytes)
        return (event.type.name.lower(), event.data)
    if isinstance(event, Close):
        return ("close", event.code, event.reason)
    assert isinstance(event, Ping | Pong) and type(event.data) is bytes
    return ("ping" if isinstance(event, Ping) else "pong", event.data)


class Subject:
    """`role` is that of the engine; `masks` are those of the peer.

    With `landing`, a payload that lacks more than so many bytes is put together here, as a connection does with long ones.
    """

    def __init__(
        self, role: str, *, compress: bool | None = None, echo: bool = True, landing: int | None = None, **options: Any
    ) -> None:
        self.server = role == "server"
        self.protocol = Protocol(server=self.server, masks=keys(Random(6455)), **options)
        self.masks: Iterator[bytes] | None = keys(Random(7692)) if self.server else None
        self.compress = compress
        self.echo = echo
        self.landing = landing
        self.events: list[tuple[Any, ...]] = []
        self.out = bytearray()
        self._buffer = bytearray(64)
        self._landed: bytearray | None = None

    @property
    def code(self) -> int:
        """What the connection was failed with, or 0."""
        error = self.protocol.error
        return 0 if error is None else error.code

    def wire(self, frame: Frame, **how: Any) -> bytes:
        """A frame as the peer of this role sends it."""
        return encode(frame, next(self.masks) if self.masks is not None else None, **how)

    def feed(self, pieces: bytes | Iterable[bytes]) -> None:
        """One segment, or several."""
        for piece in (pieces,) if isinstance(pieces, bytes) else pieces:
            if self._landed is not None:
                piece = self._land(piece, self._landed)
                if not piece:
                    continue
            size = len(piece)
            if size + 8 > len(self._buffer):
                self._buffer = bytearray(size + 8)
            self._buffer[:size] = piece
            events = self.protocol.receive(self._buffer, size)
            self._buffer[: size + 8] = b"\xaa" * (size + 8)
            self._take(events)
            while self.protocol.pending:
                self._take(self.protocol.proceed())
            if self.landing is not None and self.protocol.missing > self.landing:
                self._landed = self.protocol.take_partial()
                self._whole = len(self._landed) + self.protocol.missing

    def _land(self, piece: bytes, landed: bytearray) -> bytes:
        """Add to the payload under way; what is left of the segment is returned."""
        lacks = self._whole - len(landed)
        landed += piece[:lacks]
        if len(landed) == self._whole:
            self._landed = None
            self._take(self.protocol.landed(bytes(landed)))
        return piece[lacks:]

    def _take(self, events: list[Event]) -> None:
        protocol = self.protocol
        self.out += protocol.replies
        protocol.replies.clear()
        for event in events:
            self.events.append(describe(event))
            if self.echo and isinstance(event, Message) and protocol.close_sent is None:
                self.out += protocol.message(event.data, compress=self.compress)

    def send(self, *frames: Frame) -> None:
        """Each frame in a segment of its own."""
        for frame in frames:
            self.feed(self.wire(frame))

    def sent(self) -> list[Frame]:
        """What it has sent so far."""
        return decode(self.out, masked=not self.server)

    def closes_well(self) -> None:
        """It is open: it answers a close frame, and then is silent."""
        before = self.sent()
        assert self.protocol.error is None
        self.send(close(1000))
        assert self.sent() == [*before, close(1000)]
        assert self.protocol.error is None and self.protocol.close_received == Close(1000, "")
        self.is_silent()

    def is_silent(self) -> None:
        """It has failed the connection, or closed it, and reads no more."""
        events, out, error = list(self.events), bytes(self.out), self.protocol.error
        self.send(Frame(1, b"too late"), Frame(9, b"too late"), close(1001))
        self.feed(b"\xff" * 20)
        assert (self.events, bytes(self.out), self.protocol.error) == (events, out, error)
        assert not self.protocol.pending and not self.protocol.replies


def outcome(role: str, pieces: Iterable[bytes], **options: Any) -> tuple[list[tuple[Any, ...]], int, bytes]:
    """What came of it: the events, the code of the failure, what was sent but for echoes."""
    subject = Subject(role, echo=False, **options)
    subject.feed(pieces)
    return subject.events, subject.code, bytes(subject.out)
