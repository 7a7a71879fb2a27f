"""What one side of a WebSocket sends: messages, whole or in fragments, and control frames (RFC 6455 5.2 to 5.5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .websocket_frames import CLOSE, CONTINUATION, PING, PONG, SHORT_HEADS, TEXT, apply_mask, encode_frame, frame_pieces
from .websocket_messages import Close, check_close, encode_text, read_control, read_data

if TYPE_CHECKING:
    from .websocket_deflate import Agreed, Deflater

__all__ = ["Sending"]


class Sending:
    """The sending half of a `Protocol`, which tells of the arguments.  `close_sent` is the close frame, once there was one."""

    __slots__ = ("_agreed", "_compressing", "_deflater", "close_sent", "masks", "server")

    def __init__(self, server: bool, masks: Iterator[bytes], deflate: Agreed | None) -> None:
        self.server = server
        self.masks = masks
        self.close_sent: Close | None = None
        self._agreed = deflate
        self._deflater: Deflater | None = None  # made when it is needed: most sockets never see a compressed message
        self._compressing = False  # the message that is sent in fragments

    @property
    def agreed(self) -> Agreed | None:
        """What was agreed upon of permessage-deflate."""
        return self._agreed

    def message(self, data: str | bytes | bytearray | memoryview, *, compress: bool | None = None) -> bytes:
        """The frame of a whole message.

        `compress` is None to decide by its length, where compression was agreed upon.  Raises `UsageError` for anything that is
        neither str nor bytes, and for text that is not to be had in UTF-8.
        """
        if type(data) is str:
            opcode, payload = TEXT, encode_text(data, "data")
        else:
            opcode, payload = read_data(data)
        if len(payload) < 126 and self._agreed is None:  # the short way of most messages
            if self.server:
                return SHORT_HEADS[opcode][len(payload)] + payload
            key = next(self.masks)
            return SHORT_HEADS[opcode][0x80 | len(payload)] + key + apply_mask(payload, key)
        return b"".join(self._whole(opcode, payload, compress))

    def message_pieces(self, data: str | bytes | bytearray | memoryview, *, compress: bool | None = None) -> tuple[bytes, bytes]:
        """What `message` gives, in two pieces: a long one need not be copied for a transport that writes both as one."""
        opcode, payload = read_data(data)
        return self._whole(opcode, payload, compress)

    def _whole(self, opcode: int, payload: bytes, compress: bool | None) -> tuple[bytes, bytes]:
        rsv1 = self._compresses(payload, compress)
        if rsv1:
            payload = self._deflate(payload)
        return frame_pieces(opcode, payload, key=None if self.server else next(self.masks), rsv1=rsv1)

    def fragment(
        self, data: str | bytes | bytearray | memoryview, *, first: bool, last: bool, compress: bool | None = None
    ) -> bytes:
        """The frame of one fragment of a message: the `first` says of what type it is, the `last` ends it.

        `compress` counts for the first: None to decide by its length, where compression was agreed upon.
        """
        opcode, payload = read_data(data)
        if first:
            self._compressing = self._compresses(payload, compress)
        if self._compressing:
            payload = self._deflate(payload, last)
        key = None if self.server else next(self.masks)
        return encode_frame(opcode if first else CONTINUATION, payload, key=key, fin=last, rsv1=first and self._compressing)

    def ping(self, data: bytes | bytearray | memoryview) -> bytes:
        """The frame of a ping.  Raises `UsageError` for more than 125 bytes."""
        return self._frame(PING, read_control(data))

    def pong(self, data: bytes | bytearray | memoryview) -> bytes:
        """The frame of a pong.  Raises `UsageError` for more than 125 bytes."""
        return self._frame(PONG, read_control(data))

    def close(self, code: int = 1000, reason: str = "") -> bytes:
        """The close frame, behind which nothing may be sent; b"" if there was one.  Raises `UsageError`, as `check_close`."""
        payload = check_close(code, reason)
        if self.close_sent is not None:
            return b""
        self.close_sent = Close(code, reason)
        return self._frame(CLOSE, payload)

    def _frame(self, opcode: int, payload: bytes) -> bytes:
        return encode_frame(opcode, payload, key=None if self.server else next(self.masks))

    def _compresses(self, payload: bytes, compress: bool | None) -> bool:
        agreed = self._agreed
        return agreed is not None and (len(payload) >= agreed.threshold if compress is None else compress)

    def _deflate(self, payload: bytes, last: bool = True) -> bytes:
        deflater = self._deflater
        if deflater is None and self._agreed is not None:
            deflater = self._deflater = self._agreed.deflater(server=self.server)
        if deflater is None:
            raise RuntimeError("compression without an agreement")
        return deflater.deflate(payload, last=last)
