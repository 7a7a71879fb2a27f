"""WebSocket frames as bytes (RFC 6455 5.2), and their masking (5.3); no I/O.

Masking is an XOR with four bytes, over and over.  Python has no such operation on bytes.  `websockets` brings one in C, which is
taken where that library is installed; otherwise there are two ways.  Both numbers as integers is the faster for a short payload,
for its cost is one multiplication of everything; beyond that each byte of the key is a translation table for every fourth byte.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "SHORT_HEADS",
    "TEXT",
    "apply_mask",
    "encode_frame",
    "frame_fault",
    "frame_pieces",
    "mask_in_python",
]

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

# By opcode and second byte, the head of a frame that is a whole short message: to look it up is faster than to put it together.
SHORT_HEADS: Final = [[bytes((0x80 | opcode, second)) for second in range(256)] for opcode in (CONTINUATION, TEXT, BINARY)]

# Up to here the XOR of two integers is the faster of the two.
_SHORT: Final = 512


def mask_in_python(data: bytes | bytearray, mask: bytes | bytearray) -> bytes:
    """`data` masked, or unmasked, with the four bytes of `mask`: it is the same."""
    size = len(data)
    if size <= _SHORT:
        keys = (mask * ((size + 3) >> 2))[:size]
        return (int.from_bytes(data, "little") ^ int.from_bytes(keys, "little")).to_bytes(size, "little")
    masked = bytearray(size)
    for at in range(4):
        masked[at::4] = data[at::4].translate(_table(mask[at]))
    return bytes(masked)


@lru_cache(maxsize=256)
def _table(key: int) -> bytes:
    return bytes(byte ^ key for byte in range(256))


apply_mask: Callable[[bytes | bytearray, bytes | bytearray], bytes]
try:
    from websockets.speedups import apply_mask as _compiled
except ImportError:
    apply_mask = mask_in_python
else:
    apply_mask = _compiled


def encode_frame(opcode: int, payload: bytes, *, key: bytes | None = None, fin: bool = True, rsv1: bool = False) -> bytes:
    """A frame: masked with `key`, as a client's must be, or not masked, as a server's."""
    return b"".join(frame_pieces(opcode, payload, key=key, fin=fin, rsv1=rsv1))


def frame_pieces(
    opcode: int, payload: bytes, *, key: bytes | None = None, fin: bool = True, rsv1: bool = False
) -> tuple[bytes, bytes]:
    """The same in two pieces: the head, and the payload as it is sent."""
    first = (0x80 if fin else 0) | (0x40 if rsv1 else 0) | opcode
    size = len(payload)
    if size < 126:
        second, extended = size, b""
    elif size < 65536:
        second, extended = 126, size.to_bytes(2, "big")
    else:
        second, extended = 127, size.to_bytes(8, "big")
    if key is None:
        return b"%c%c%b" % (first, second, extended), payload
    return b"%c%c%b%b" % (first, 0x80 | second, extended, key), apply_mask(payload, key)


def frame_fault(first: int, second: int, server: bool, deflated: bool, unfinished: bool) -> str | None:
    """What is wrong with the first two bytes of a frame, None if nothing is (RFC 6455 5.1, 5.2, 5.4, 5.5; RFC 7692 6).

    `server` is the role of the one who reads it, `deflated` whether messages may be compressed, and `unfinished` whether a
    message has begun in an earlier frame.
    """
    opcode = first & 0x0F
    if first & 0x70 and (first & 0x30 or not deflated or (opcode != TEXT and opcode != BINARY)):
        return "a reserved bit is set"
    if (second >= 0x80) is not server:
        return "a client's frame is not masked" if server else "a server's frame is masked"
    if opcode >= 8:
        if opcode > PONG:
            return f"the unknown opcode {opcode}"
        if first < 0x80:
            return "a fragmented control frame"
        if second & 0x7F > 125:
            return "a control frame of more than 125 bytes"
    elif opcode > BINARY:
        return f"the unknown opcode {opcode}"
    elif unfinished and opcode != CONTINUATION:
        return "a new message before the end of the last"
    elif not unfinished and opcode == CONTINUATION:
        return "a continuation of nothing"
    return None
