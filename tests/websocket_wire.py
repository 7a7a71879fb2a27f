"""WebSocket frames, read and written slowly and plainly, and what a reader makes of them (RFC 6455, 7692).

None of this is the library's: it is what the tests hold the library against.  `encode` writes one frame, a wrong one too;
`decode` reads what a correct peer sent, and asserts that it is correct; `judge` says what a receiver has to make of bytes that it
has all at once.  `Squeezer` and `Expander` are permessage-deflate as the other side does it.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any, NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = b"\x37\xfa\x21\x3d"  # the one in the examples of RFC 6455 5.7
RSV1, RSV2, RSV3 = 4, 2, 1


class Frame(NamedTuple):
    """One frame.  `rsv` is the three bits as a number from 0 to 7, RSV1 the highest, as Autobahn counts."""

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0


def text(data: str | bytes, *, fin: bool = True, rsv: int = 0) -> Frame:
    return Frame(TEXT, data.encode() if isinstance(data, str) else data, fin, rsv)


def binary(data: bytes, *, fin: bool = True, rsv: int = 0) -> Frame:
    return Frame(BINARY, data, fin, rsv)


def more(data: str | bytes, *, fin: bool = False, rsv: int = 0) -> Frame:
    """A continuation, and with `fin` the last."""
    return Frame(CONTINUATION, data.encode() if isinstance(data, str) else data, fin, rsv)


def ping(data: bytes = b"") -> Frame:
    return Frame(PING, data)


def pong(data: bytes = b"") -> Frame:
    return Frame(PONG, data)


def close(code: int | None = None, reason: str | bytes = b"") -> Frame:
    body = b"" if code is None else code.to_bytes(2, "big")
    return Frame(CLOSE, body + (reason.encode() if isinstance(reason, str) else reason))


def split(frame: Frame, size: int) -> list[Frame]:
    """The message of `frame`, in fragments of `size` bytes."""
    pieces = [frame.payload[i : i + size] for i in range(0, len(frame.payload), size)] or [b""]
    last = len(pieces) - 1
    return [
        Frame(CONTINUATION if i else frame.opcode, piece, frame.fin and i == last, 0 if i else frame.rsv)
        for i, piece in enumerate(pieces)
    ]


def mask(data: bytes, key: bytes) -> bytes:
    """RFC 6455 5.3, as one long number: byte i of `data` with byte i modulo 4 of `key`."""
    if not data or not any(key):
        return data
    stream = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(data), "big")


def encode(frame: Frame, key: bytes | None = None, *, width: int | None = None, claim: int | None = None) -> bytes:
    """One frame; masked, if there is a key.

    For frames that are wrong: `width` is how many bytes the length takes behind the second (0, 2 or 8), the least that will do
    if it is not given; `claim` is the length that the header tells, and not that of the payload.
    """
    length = len(frame.payload) if claim is None else claim
    if width is None:
        width = _least_width(length)
    short = {0: length, 2: 126, 8: 127}[width]
    head = bytes([frame.fin << 7 | frame.rsv << 4 | frame.opcode, (key is not None) << 7 | short])
    if width:
        head += length.to_bytes(width, "big")
    return head + frame.payload if key is None else head + key + mask(frame.payload, key)


class Header(NamedTuple):
    """What is before a payload: the bits, the length, where the payload begins; `minimal` if the length took the least bytes."""

    fin: bool
    rsv: int
    opcode: int
    key: bytes | None
    length: int
    start: int
    minimal: bool


def header_at(data: bytes, pos: int) -> Header | None:
    """The header at `pos`, or None if some of it is missing."""
    if len(data) < pos + 2:
        return None
    first, second = data[pos], data[pos + 1]
    short = second & 0x7F
    width = {126: 2, 127: 8}.get(short, 0)
    start = pos + 2 + width
    masked = bool(second & 0x80)
    if len(data) < start + 4 * masked:
        return None
    length = int.from_bytes(data[pos + 2 : start], "big") if width else short
    minimal = width == _least_width(length)
    key = data[start : start + 4] if masked else None
    return Header(bool(first & 0x80), first >> 4 & 7, first & 15, key, length, start + 4 * masked, minimal)


def decode(data: bytes | bytearray, *, masked: bool) -> list[Frame]:
    """The frames that a correct peer sent, all of them whole."""
    data = bytes(data)
    frames = []
    pos = 0
    while pos < len(data):
        head = header_at(data, pos)
        assert head is not None, f"half a header at {pos}"
        assert head.minimal, f"a length of {head.length} that takes too many bytes at {pos}"
        assert (head.key is not None) == masked, f"a mask where none may be, or none where it must be, at {pos}"
        payload = data[head.start : head.start + head.length]
        assert len(payload) == head.length, f"half a payload at {pos}"
        frames.append(Frame(head.opcode, payload if head.key is None else mask(payload, head.key), head.fin, head.rsv))
        pos = head.start + head.length
    return frames


# -- what a receiver makes of it ---------------------------------------------------------------------------------------

# RFC 6455 7.4, and what IANA registered since (1012 to 1014); 1004 to 1006 and 1015 are never sent.
CLOSE_CODES = {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}


class Verdict(NamedTuple):
    """The events as tuples, `("text", "a")`, `("close", 1000, "")`; `code` is what the connection is failed with, or 0.

    `rest` is true if some frame is not complete, or a message.
    """

    events: list[tuple[Any, ...]]
    code: int
    rest: bool


class _Failure(Exception):
    pass


def judge(
    data: bytes,
    *,
    server: bool,
    max_size: int = 2**20,
    max_fragments: int = 4096,
    expander: Expander | None = None,
) -> Verdict:
    """What `server`, or else a client, has to make of `data`."""
    events: list[tuple[Any, ...]] = []
    try:
        return Verdict(events, 0, _read_all(data, events, server, max_size, max_fragments, expander))
    except _Failure as failure:
        return Verdict(events, failure.args[0], False)


def _read_all(
    data: bytes, events: list[tuple[Any, ...]], server: bool, max_size: int, max_fragments: int, expander: Expander | None
) -> bool:
    pos = 0
    pieces: list[bytes] = []
    kind = 0  # the opcode of the message whose fragments these are
    compressed = False
    while pos < len(data):
        # What is wrong shows as early as can be: in the first two bytes, then in the length, then in the payload.
        if len(data) < pos + 2:
            return True
        first, second = data[pos], data[pos + 1]
        _check_bits(first, second, server, bool(kind), compressible=expander is not None)
        opcode = first & 15
        start = pos + 2 + {126: 2, 127: 8}.get(second & 0x7F, 0)
        if len(data) < start:
            return True
        length = int.from_bytes(data[pos + 2 : start], "big") if start > pos + 2 else second & 0x7F
        if length >> 63 or start - pos != {0: 2, 2: 4, 8: 10}[_least_width(length)]:
            raise _Failure(1002)
        if opcode < 8 and ((kind and len(pieces) == max_fragments) or sum(map(len, pieces)) + length > max_size):
            raise _Failure(1009)
        head = header_at(data, pos)
        if head is None or len(data) < head.start + length:
            return True
        payload = data[head.start : head.start + length]
        payload = mask(payload, head.key) if head.key else payload
        pos = head.start + length
        if opcode == CLOSE:
            events.append(("close", *_close(payload)))
            return False  # whatever follows is not read (RFC 6455 1.4)
        if opcode >= 8:
            events.append(("ping" if opcode == PING else "pong", payload))
            continue
        if opcode:
            kind, compressed = opcode, bool(head.rsv)
        pieces.append(payload)
        if head.fin:
            events.append(_message(kind, b"".join(pieces), expander if compressed else None, max_size))
            kind, pieces = 0, []
        elif kind == TEXT and not compressed:
            _utf8(b"".join(pieces), final=False)
    return bool(kind)


def _least_width(length: int) -> int:
    return 0 if length < 126 else 2 if length < 65536 else 8


def _check_bits(first: int, second: int, server: bool, begun: bool, *, compressible: bool) -> None:
    """The first two bytes (RFC 6455 5.2, 5.4, 5.5; RFC 7692 6.1); `begun` says that a message is."""
    opcode = first & 15
    fin = first >= 0x80
    allowed = RSV1 if compressible and opcode in (TEXT, BINARY) else 0
    wrong = (
        (first >> 4 & 7) & ~allowed
        or opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG)
        or (second >= 0x80) != server
        or (opcode >= 8 and (not fin or second & 0x7F > 125))
        or (opcode == CONTINUATION and not begun)
        or (opcode in (TEXT, BINARY) and begun)
    )
    if wrong:
        raise _Failure(1002)


def _close(payload: bytes) -> tuple[int, str]:
    if not payload:
        return 1005, ""
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or code not in CLOSE_CODES:
        raise _Failure(1002)
    return code, _utf8(payload[2:])


def _message(kind: int, payload: bytes, expander: Expander | None, max_size: int) -> tuple[str, str | bytes]:
    if expander:
        try:
            payload = expander.expand(payload)
        except zlib.error:
            raise _Failure(1007) from None
        if len(payload) > max_size:
            raise _Failure(1009)
    return ("text", _utf8(payload)) if kind == TEXT else ("binary", payload)


def _utf8(data: bytes, *, final: bool = True) -> str:
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(data, final)
    except UnicodeDecodeError:
        raise _Failure(1007) from None


# -- permessage-deflate ------------------------------------------------------------------------------------------------


class Squeezer:
    """What the sender of compressed messages does (RFC 7692 7.2.1)."""

    def __init__(self, bits: int = 15, *, takeover: bool = True, level: int = 1) -> None:
        self.bits, self.takeover, self.level = bits, takeover, level
        self.stream = zlib.compressobj(level, zlib.DEFLATED, -bits)

    def squeeze(self, data: bytes) -> bytes:
        if not self.takeover:
            self.stream = zlib.compressobj(self.level, zlib.DEFLATED, -self.bits)
        out = self.stream.compress(data) + self.stream.flush(zlib.Z_SYNC_FLUSH)
        assert out.endswith(b"\x00\x00\xff\xff")
        return out[:-4]


class Expander:
    """What their receiver does (RFC 7692 7.2.2), where a block may be a final one: after that all begins anew (7.2.3.4)."""

    def __init__(self, bits: int = 15, *, takeover: bool = True) -> None:
        self.bits, self.takeover = bits, takeover
        self.stream = zlib.decompressobj(-bits)

    def expand(self, data: bytes) -> bytes:
        if not data:
            raise zlib.error("an empty message is one byte when compressed (RFC 7692 7.2.3.6)")
        if not self.takeover:
            self.stream = zlib.decompressobj(-self.bits)
        data += b"\x00\x00\xff\xff"
        out = self._read(data)
        while self.stream.eof:
            rest = self.stream.unused_data
            self.stream = zlib.decompressobj(-self.bits)
            if not rest and out.endswith(b"\x00\x00\xff\xff"):
                raise zlib.error("the ending was taken for the content of a block")
            if not rest:  # it was the rest of a final block without content
                break
            if len(rest) <= 4:
                raise zlib.error("the message has to end with an empty block without compression (RFC 7692 7.2.1)")
            out += self._read(rest)
        return out

    def _read(self, data: bytes) -> bytes:
        if self.bits == 15:
            return self.stream.decompress(data)
        # In small steps: within one of them zlib lets any distance pass that lies in what it has just put out.
        step = 1 << self.bits - 1
        out = []
        for piece in chops(data, 1024):
            while piece and not self.stream.eof:
                out.append(self.stream.decompress(piece, step))
                piece = self.stream.unconsumed_tail
        while last := self.stream.decompress(b"", step):
            out.append(last)
        return b"".join(out)


# -- segments ----------------------------------------------------------------------------------------------------------


def octets(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def chops(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def at_random(data: bytes, random: Random, most: int = 1000) -> list[bytes]:
    """Cut at random: mostly small pieces, some of them big."""
    sizes = [size for size in (1, 1, 2, 3, 5, 17, 64, 1000, 65536) if size <= most]
    pieces = []
    pos = 0
    while pos < len(data):
        size = random.choice(sizes)
        pieces.append(data[pos : pos + size])
        pos += size
    return pieces


def keys(random: Random) -> Iterator[bytes]:
    """Masking keys, without end."""
    while True:
        yield random.randbytes(4)


def wire(frames: Iterable[Frame], masks: Iterator[bytes] | None) -> list[bytes]:
    """The bytes of each frame; masked, if there are masks."""
    return [encode(frame, next(masks) if masks is not None else None) for frame in frames]
