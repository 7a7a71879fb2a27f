"""The embedded server's side of a WebSocket: it counts frames, and answers with frames that were made beforehand.

It is no WebSocket server: it trusts its clients, which are the contenders.  All the frames of a connection are as long as the
first, so it counts bytes and never reads them: unmasking would cost it as much as the client, and it has to be the faster one.
Only the first frame of every connection is unmasked and compared with what it should be, so that no contender gets by with less.
No extension is agreed to, so nothing is compressed.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib

from .workloads import BINARY, MESSAGE_BLOCK, MESSAGES, message

__all__ = ["Counting", "Echoing", "Sending", "accept", "frame", "handshake", "unmask"]

_BUFFER = memoryview(bytearray(256 * 1024))
_CLOSE = b"\x88\x02\x03\xe8"


def frame(payload: str | bytes) -> bytes:
    """A whole text or binary message as a server sends it."""
    data = payload.encode() if isinstance(payload, str) else payload
    length = len(data)
    if length < 126:
        size = bytes([length])
    else:
        size = b"\x7e" + length.to_bytes(2, "big") if length < 65536 else b"\x7f" + length.to_bytes(8, "big")
    return (b"\x81" if isinstance(payload, str) else b"\x82") + size + data


def unmask(data: bytes) -> tuple[bytes, int] | None:
    """The first frame of a client's `data` as a server would have sent it, and its length there; `None` if more must come."""
    if len(data) < 2:
        return None
    length = data[1] & 127
    start = 2 if length < 126 else 4 if length == 126 else 10
    if len(data) < start + 4:
        return None
    if start > 2:
        length = int.from_bytes(data[2:start], "big")
    key, payload = data[start : start + 4], data[start + 4 : start + 4 + length]
    if len(payload) < length:
        return None
    mask = int.from_bytes((key * (length // 4 + 1))[:length], "big")
    clear = (int.from_bytes(payload, "big") ^ mask).to_bytes(length, "big")
    return bytes([data[0], data[1] ^ 128]) + data[2:start] + clear, start + 4 + length


_BLOCK = b"".join([frame(message(number)) for number in range(MESSAGE_BLOCK)])


def accept(head: bytes) -> bytes:
    """The response to the opening handshake in `head`."""
    key = b""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"sec-websocket-key":
            key = value.strip()
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
    return b"".join(
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % base64.b64encode(digest),
        )
    )


class Counting(asyncio.BufferedProtocol):
    """Takes `count` messages equal to `payload`, then closes; a client that sends another frame loses its connection at once."""

    def __init__(self, transport: asyncio.Transport, payload: str | bytes, count: int) -> None:
        self.transport = transport
        self.payload = frame(payload)
        self.count = count
        self.first = b""  # what has come of the first frame
        self.size = 0  # of a client's frame; 0 until the first one is complete
        self.got = 0
        self.closed = False

    def get_buffer(self, sizehint: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, count: int) -> None:
        if not self.got and _BUFFER[0] == 0x88:  # the client is done, or answers that we are
            self.close()
            self.transport.close()
            return
        self.got += count
        if not self.size:
            self.first += _BUFFER[:count]
            seen = unmask(self.first)
            if seen is None:
                return
            if seen[0] != self.payload:
                self.transport.abort()
                return
            self.first, self.size = b"", seen[1]
        if self.got >= self.size:
            complete, self.got = divmod(self.got, self.size)
            self.take(complete)

    def take(self, complete: int) -> None:
        """So many further messages are here."""
        self.count -= complete
        if self.count <= 0:
            self.close()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.transport.write(_CLOSE)


class Echoing(Counting):
    """Answers every message with its like."""

    def take(self, complete: int) -> None:
        self.transport.write(self.payload if complete == 1 else self.payload * complete)


class Sending(asyncio.BufferedProtocol):
    """Sends as fast as the socket takes it, then closes."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.blocks = MESSAGES // MESSAGE_BLOCK

    def get_buffer(self, sizehint: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, count: int) -> None:
        self.transport.close()  # the answer to our close frame

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        while self.blocks and not self.paused:
            self.blocks -= 1
            self.transport.write(_BLOCK if self.blocks else _BLOCK + _CLOSE)


def handshake(transport: asyncio.Transport, path: bytes, head: bytes) -> None:
    """Answer the opening handshake, and let `transport` have the protocol that `path` asks for."""
    transport.write(accept(head))
    protocol: asyncio.BufferedProtocol
    if path == b"/ws/receive":
        protocol = Sending(transport)
    elif path == b"/ws/send":
        protocol = Counting(transport, message(0), MESSAGES)
    else:
        protocol = Echoing(transport, BINARY if path == b"/ws/echo_64k" else message(0), 0)
    transport.set_protocol(protocol)
    protocol.resume_writing()
