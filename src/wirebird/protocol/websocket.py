"""WebSocket, both roles: bytes in, messages out, and back; no I/O, no clock, no randomness (RFC 6455 5 to 8).

    protocol = Protocol(server=False, masks=masks)
    protocol.receive(data, len(data))  ->  [Message(TEXT, "hello"), Ping(b""), ...]
    protocol.message("hello")          ->  the bytes of a frame

A frame that is complete in what has arrived, and is a whole message of its own, takes a short way: nearly all do.  Any other is
put together in one growing place, so that neither tiny pieces nor tiny fragments cost more memory than their bytes.

Every limit is counted at the head of a frame, before its payload is kept.  What the peer does wrong ends in `error`, once: the
events before it are still given out, the close frame that names it is in `replies`, and nothing is read any more.  The outcome is
the same for every segmentation of the input.
"""

from __future__ import annotations

import sys
from codecs import utf_8_decode
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ..errors import WebSocketError
from .websocket_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    apply_mask,
    frame_fault,
)
from .websocket_messages import (
    Close,
    Event,
    Message,
    MessageType,
    Ping,
    Pong,
    check_close,
    read_close,
)
from .websocket_sending import Sending

if TYPE_CHECKING:
    from .websocket_deflate import Agreed, Inflater

__all__ = ["Protocol"]

# How much may be inflated in one go; the rest of what has arrived then waits for `proceed`.
_AT_ONCE: Final = 1024 * 1024

# Payloads below this are copied twice, for a view of them costs more.
_COPIED: Final = 4096

_TYPES: Final = {int(member): member for member in MessageType}
_TEXT: Final = MessageType.TEXT  # an enumeration is slow to ask
_BINARY: Final = MessageType.BINARY
_new = tuple.__new__  # what `Message(...)` does, without the call of a Python function


class Protocol(Sending):
    """One WebSocket's engine.

    server         which role it has: a server's peer masks its frames, a client masks its own
    masks          gives a client's masking keys, four bytes each that nobody can foresee (RFC 6455 10.3)
    max_size       bytes of one message, after inflating; None for no limit
    max_fragments  frames that one message may come in
    deflate        what was agreed upon of permessage-deflate (RFC 7692)
    auto_pong      False gives pings and pongs out as messages, and answers none

    `replies` holds what has to be sent because of what was received.  `controls` says that the last call gave out more than
    messages, or that there is an error or a reply.  `missing` counts the bytes that the
    frame under way still lacks, `inflated` those that the last call has inflated, and `pending` is what waits for `proceed`.
    """

    __slots__ = (
        "_fin",
        "_fragments",
        "_head",
        "_inflater",
        "_key",
        "_message",
        "_message_rsv1",
        "_message_type",
        "_opcode",
        "_partial",
        "_rsv1",
        "_short",
        "_validated",
        "auto_pong",
        "close_received",
        "controls",
        "error",
        "inflated",
        "max_fragments",
        "max_size",
        "missing",
        "pending",
        "replies",
    )

    def __init__(
        self,
        *,
        server: bool,
        masks: Iterator[bytes],
        max_size: int | None = 1024 * 1024,
        max_fragments: int = 131072,
        deflate: Agreed | None = None,
        auto_pong: bool = True,
    ) -> None:
        super().__init__(server, masks, deflate)
        self.max_size = max_size
        self.max_fragments = max_fragments
        self.auto_pong = auto_pong
        self.replies = bytearray()
        self.controls = False
        self.error: WebSocketError | None = None
        self.close_received: Close | None = None
        self.missing = 0
        self.pending = b""
        self._inflater: Inflater | None = None  # made when it is needed: most sockets never see a compressed message
        self.inflated = 0  # bytes, by this call
        self._short = sys.maxsize if max_size is None else max_size  # payloads that need no closer look
        self._head = b""  # of a frame: the part that has arrived
        # The frame whose payload is on its way.
        self._opcode = 0
        self._fin = self._rsv1 = False
        self._key: bytes | None = None
        self._partial = bytearray()
        # The message whose fragments are on their way; `_validated` counts the bytes of it that are known to be UTF-8.
        self._message: bytearray | None = None
        self._message_type = 0
        self._message_rsv1 = False
        self._fragments = 0
        self._validated = 0

    def __repr__(self) -> str:
        role = "server" if self.server else "client"
        state = "failed" if self.error else "closing" if self.close_sent or self.close_received else "open"
        return f"<Protocol {role} {state}>"

    # -- input ---------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes | bytearray, size: int) -> list[Event]:
        """The events of the first `size` bytes of `data`, to which nothing refers afterwards."""
        events: list[Event] = []
        self.controls = False
        self.inflated = 0
        if self.error is not None or self.close_received is not None:
            return events
        pos = 0
        if self.pending:
            self.pending += memoryview(data)[:size]
            return events
        if self.missing:
            pos = min(self.missing, size)
            self._partial += memoryview(data)[:pos]
            self.missing -= pos
            if self.missing:
                return events
            self._complete(events)
            if pos == size or self.error is not None or self.close_received is not None:
                return events
        elif self._head:
            data = self._head + data[:size]
            size = len(data)
            self._head = b""
        self._frames(data, pos, size, events)
        return events

    def proceed(self) -> list[Event]:
        """The events of what was left when there was enough for one call."""
        events: list[Event] = []
        self.controls = False
        self.inflated = 0
        data, self.pending = self.pending, b""
        self._frames(data, 0, len(data), events)
        return events

    def take_partial(self) -> bytearray:
        """What has arrived of the payload under way: from now on it is received elsewhere, and the whole goes to `landed`."""
        partial, self._partial = self._partial, bytearray()
        return partial

    def landed(self, payload: bytes) -> list[Event]:
        """The payload under way was received elsewhere: the events of it."""
        events: list[Event] = []
        self.controls = False
        self.inflated = 0
        self.missing = 0
        if self._key is not None:
            payload = apply_mask(payload, self._key)
        self._on_frame(self._opcode, self._fin, self._rsv1, payload, events)
        return events

    def _frames(self, data: bytes | bytearray, pos: int, size: int, events: list[Event]) -> None:
        """All frames in `data` from `pos` to `size`; what is not complete at its end is kept."""
        server = self.server
        masked, before = (0x80, 6) if server else (0, 2)
        short = self._short if self._message is None else -1
        while pos < size - 1:
            # A whole message in one frame that is all there.  Whatever else it may be, right or wrong, is seen to below.
            length = data[pos + 1] ^ masked
            begin = pos + before
            if length > 125:
                wide = 2 if length == 126 else 8
                extended = int.from_bytes(data[pos + 2 : pos + 2 + wide], "big") if length < 128 and begin + wide <= size else 0
                length = extended if extended > (125 if wide == 2 else 65535) else size
                begin += wide
            end = begin + length
            if end <= size and length <= short:
                first = data[pos]
                if first == 0x81 or first == 0x82:
                    payload = data[begin:end] if length < _COPIED else memoryview(data)[begin:end].tobytes()
                    if server:
                        payload = apply_mask(payload, data[begin - 4 : begin])
                    if first == 0x81:
                        try:
                            events.append(_new(Message, (_TEXT, payload.decode())))
                        except UnicodeDecodeError:
                            self._fail(1007, "a text message that is not UTF-8")
                            return
                    else:
                        events.append(_new(Message, (_BINARY, bytes(payload))))
                    pos = end
                    continue
            begin = self._begin(data, pos, size)
            if begin < 0:
                break
            pos = begin + self.missing
            if pos > size:
                self._partial = bytearray(memoryview(data)[begin:size])
                self.missing = pos - size
                return
            self.missing = 0
            payload = memoryview(data)[begin:pos].tobytes()
            if self._key is not None:
                payload = apply_mask(payload, self._key)
            self._on_frame(self._opcode, self._fin, self._rsv1, payload, events)
            if self.error is not None or self.close_received is not None:
                return
            if self.inflated > _AT_ONCE:
                self.pending = bytes(data[pos:size])
                return
            short = self._short if self._message is None else -1
        if pos < size and self.error is None:
            self._head = bytes(data[pos:size])

    def _begin(self, data: bytes | bytearray, pos: int, size: int) -> int:
        """Read the head of a frame at `pos`: where its payload begins, or -1 if the head is incomplete or wrong."""
        first, second = data[pos], data[pos + 1]
        opcode = first & 0x0F
        length = second & 0x7F
        fault = frame_fault(first, second, self.server, self._agreed is not None, self._message is not None)
        if fault is not None:
            self._fail(1002, fault)
            return -1
        begin = pos + 2
        if length >= 126:
            wide = 2 if length == 126 else 8
            begin += wide
            if begin > size:
                return -1
            length = int.from_bytes(data[begin - wide : begin], "big")
            if length >> 63:
                self._fail(1002, "a frame length of 64 bits")
                return -1
            if length < (126 if wide == 2 else 65536):
                self._fail(1002, "a frame length that is longer than it needs to be")
                return -1
        if opcode < 8 and not self._admit(opcode, length, bool(first & 0x40)):
            return -1
        if self.server:
            begin += 4
            if begin > size:
                return -1
            self._key = bytes(data[begin - 4 : begin])
        self._opcode = opcode
        self._fin = first >= 0x80
        self._rsv1 = bool(first & 0x40)
        self.missing = length
        return begin

    def _admit(self, opcode: int, length: int, compressed: bool) -> bool:
        """Whether a data frame of this length is within the limits."""
        limit, total, pieces = self.max_size, length, 0
        if opcode == CONTINUATION:
            pieces, compressed = self._fragments, self._message_rsv1
            total += len(self._message or b"")
            if pieces >= self.max_fragments:
                self._fail(1009, f"a message of more than {self.max_fragments} fragments")
                return False
        if limit is None:
            return True
        if compressed:
            # What cannot be compressed becomes longer: a twenty-fifth with little memory, and some bytes for each piece.
            limit += limit // 25 + 64 + 16 * pieces
        if total > limit:
            self._fail(1009, f"a message of more than {self.max_size} bytes")
            return False
        return True

    def _complete(self, events: list[Event]) -> None:
        """The payload under way is whole."""
        payload, self._partial = self._partial, bytearray()
        whole = bytes(payload) if self._key is None else apply_mask(payload, self._key)
        del payload
        self._on_frame(self._opcode, self._fin, self._rsv1, whole, events)

    def _on_frame(self, opcode: int, fin: bool, rsv1: bool, payload: bytes, events: list[Event]) -> None:
        if opcode >= 8:
            self._control(opcode, payload, events)
            return
        if opcode == CONTINUATION:
            message = self._message
            if message is None:
                raise RuntimeError("a continuation of nothing")
            self._fragments += 1
            message += payload
            opcode, rsv1 = self._message_type, self._message_rsv1
        elif fin:
            self._finish(opcode, rsv1, payload, events)
            return
        else:
            message = self._message = bytearray(payload)
            self._message_type, self._message_rsv1 = opcode, rsv1
            self._fragments = 1
            self._validated = 0
        if fin:
            self._message = None
            self._finish(opcode, rsv1, message, events)
        elif opcode == TEXT and not rsv1:
            try:  # no later than here, though the message is not complete (RFC 6455 8.1)
                self._validated += utf_8_decode(memoryview(message)[self._validated :], "strict", False)[1]
            except UnicodeDecodeError:
                self._fail(1007, "a text message that is not UTF-8")

    def _finish(self, opcode: int, rsv1: bool, payload: bytes | bytearray, events: list[Event]) -> None:
        """A message is complete."""
        if rsv1:
            inflater = self._inflater
            if inflater is None and self._agreed is not None:
                inflater = self._inflater = self._agreed.inflater(server=self.server)
            if inflater is None:
                raise RuntimeError("a compressed message without an agreement")
            try:
                payload = inflater.inflate(bytes(payload), self.max_size)
            except WebSocketError as error:
                self._fail(error.code, error.message)
                return
            self.inflated += len(payload)
        if opcode == BINARY:
            events.append(Message(MessageType.BINARY, bytes(payload)))
            return
        try:
            text = payload.decode()
        except UnicodeDecodeError:
            self._fail(1007, "a text message that is not UTF-8")
            return
        events.append(Message(MessageType.TEXT, text))

    def _control(self, opcode: int, payload: bytes, events: list[Event]) -> None:
        if opcode == CLOSE:
            self.controls = True
            self._on_close(payload, events)
        elif not self.auto_pong:
            events.append(Message(_TYPES[opcode], payload))
        elif opcode == PING:
            self.controls = True
            self.replies += self._frame(PONG, payload)  # until the peer's close frame comes, which ends the reading (5.5.2)
            events.append(Ping(payload))
        else:
            self.controls = True
            events.append(Pong(payload))

    def _on_close(self, payload: bytes, events: list[Event]) -> None:
        """RFC 6455 5.5.1, 7.4: the peer closes; it gets its own code back."""
        try:
            close = read_close(payload)
        except WebSocketError as error:
            self._fail(error.code, error.message)
            return
        self.close_received = close
        events.append(close)
        if self.close_sent is None:
            self.close_sent = Close(close.code, "")
            self.replies += self._frame(CLOSE, payload[:2])

    def _fail(self, code: int, message: str) -> None:
        """RFC 6455 7.1.7: say why, and read no more."""
        self.controls = True
        self.error = WebSocketError(message, code=code)
        self._message = None
        self._partial = bytearray()
        self.missing = 0
        if self.close_sent is None:
            self.close_sent = Close(code, message)
            self.replies += self._frame(CLOSE, check_close(code, message))
