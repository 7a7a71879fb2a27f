"""permessage-deflate: the compression of WebSocket messages, negotiated and done, for both roles (RFC 7692).

    wish = Deflate(client_max_window_bits=12)
    wish.offer()                        ->  "permessage-deflate; client_max_window_bits=12"      client, in its request
    Deflate().answer([offer])           ->  (Agreed, "permessage-deflate; client_max_…")         server, in its answer
    agreed = wish.accept([answer])      ->  Agreed                                               client, from that answer
    agreed.deflater(server=False).deflate(b"Hello")  ->  b"\\xf2\\x48\\xcd\\xc9\\xc9\\x07\\x00"

Four parameters say, for each direction, whether the window of one message is the next one's too (`…_no_context_takeover`), and
how large it is (`…_max_window_bits`).  A message on the wire is a DEFLATE stream up to a sync flush, without the `00 00 FF FF` at
the end of that (7.2.1).

Inflating is held to a limit: zlib is asked for one byte more than is allowed, and never gives more than that.  Nothing is
allocated before the first message: a compressor takes `2**(bits + 2) + 2**(mem_level + 9)` bytes, a decompressor `2**bits` and
some 10 KiB.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ..errors import InvalidRequest, InvalidResponse, UsageError, WebSocketError
from ..models.numbers import check_count
from .websocket_extensions import Extension, parse_extensions

__all__ = ["Agreed", "Deflate", "Deflater", "Inflater"]

_NAME: Final = "permessage-deflate"
_SERVER_TAKEOVER: Final = "server_no_context_takeover"
_CLIENT_TAKEOVER: Final = "client_no_context_takeover"
_SERVER_BITS: Final = "server_max_window_bits"
_CLIENT_BITS: Final = "client_max_window_bits"

_LARGEST: Final = 15
_WINDOW_BITS: Final = {str(bits): bits for bits in range(8, _LARGEST + 1)}  # RFC 7692 7.1.2: without leading zeros

_TAIL: Final = b"\x00\x00\xff\xff"
_END: Final = b"\x03\x00"  # an empty last block, which zlib finds only where a block may begin
_SMALL: Final = 2048  # up to here adding the tail to a copy is cheaper than a second call
_UNLIMITED: Final = sys.maxsize
_STEP: Final = 256  # the first piece of input behind a final block; what zlib leaves of a piece it copies
_DATA_SETS: Final = 4096  # final blocks in one message: nobody has use for them, and each costs a decompressor


@dataclass(frozen=True, slots=True)
class Agreed:
    """What both sides agreed on.

    `server_takeover`, `client_takeover`: whether the window of what that side sends lives on from message to message.
    `server_bits`, `client_bits`: the size of that window as a power of two, 8 to 15.
    `level`, `mem_level`, `threshold`: as in `Deflate`; they concern this side alone.
    """

    server_takeover: bool = True
    client_takeover: bool = True
    server_bits: int = _LARGEST
    client_bits: int = _LARGEST
    level: int = 1
    mem_level: int = 5
    threshold: int = 256

    def inflater(self, *, server: bool) -> Inflater:
        """What inflates the messages that the server, or else the client, receives."""
        if server:
            return Inflater(self.client_bits, self.client_takeover)
        return Inflater(self.server_bits, self.server_takeover)

    def deflater(self, *, server: bool) -> Deflater:
        """What deflates the messages that the server, or else the client, sends."""
        if server:
            return Deflater(self.server_bits, self.server_takeover, self.level, self.mem_level, self.threshold)
        return Deflater(self.client_bits, self.client_takeover, self.level, self.mem_level, self.threshold)


@dataclass(frozen=True, slots=True)
class Deflate:
    """What one side wishes of permessage-deflate; the same for a client and a server.

    server_no_context_takeover, client_no_context_takeover
                what that side sends is compressed message by message: worse, but nothing is held in between; False
    server_max_window_bits, client_max_window_bits
                the largest window that side may use, as a power of two, 8 to 15; None leaves it to the peer.  With 8, zlib
                can compress nothing but runs of one byte.
    level       effort of compression, 0 to 9, or -1 for zlib's own default; 1
    mem_level   memory of the compressor, 1 to 9; 5, which compresses as well as 8 and is made ten times as fast
    threshold   messages of fewer bytes are sent uncompressed, 256

    The windows are wishes where the peer decides: a server may leave a client's window as large as the client likes, and a
    client that cannot limit its window is taken all the same.  Raises `UsageError` for what is out of range.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = None
    level: int = 1
    mem_level: int = 5
    threshold: int = 256

    def __post_init__(self) -> None:
        for name in (_SERVER_TAKEOVER, _CLIENT_TAKEOVER):
            if not isinstance(getattr(self, name), bool):
                raise UsageError(f"{name} must be a bool, not {getattr(self, name)!r}", argument=name)
        for name in (_SERVER_BITS, _CLIENT_BITS):
            if getattr(self, name) is not None:
                _check_range(name, getattr(self, name), 8, _LARGEST)
        _check_range("level", self.level, -1, 9)
        _check_range("mem_level", self.mem_level, 1, 9)
        check_count("threshold", self.threshold, 0, "a number of bytes")

    def offer(self) -> str:
        """The client's value of Sec-WebSocket-Extensions: one offer, in which the server may limit this side's window."""
        return _describe(
            self.server_no_context_takeover,
            self.client_no_context_takeover,
            self.server_max_window_bits,
            self.client_max_window_bits,
            may_limit=True,
        )

    def accept(self, fields: Iterable[str]) -> Agreed | None:
        """Client: what the server answered to `offer`, in the values of Sec-WebSocket-Extensions; None if it declined.

        Raises `InvalidResponse` for an extension that was not offered, and for parameters that are unknown, repeated,
        malformed, or not what was offered (RFC 7692 7.1).
        """
        extensions = parse_extensions(fields, InvalidResponse)
        if not extensions:
            return None
        for extension in extensions:
            if extension.name != _NAME:
                raise InvalidResponse(f"the server answered with an extension that was not offered: {extension.name[:60]!r}")
        if len(extensions) > 1:
            raise InvalidResponse(f"the server answered {_NAME} more than once")
        try:
            answered = _read(extensions[0])
        except ValueError as fault:
            raise InvalidResponse(f"the server answered {_NAME} with {fault}") from None
        if self.server_no_context_takeover and not answered.server_no_takeover:
            raise InvalidResponse(f"the server's {_NAME} lacks {_SERVER_TAKEOVER}, which was asked for")
        wanted = self.server_max_window_bits
        server_bits = answered.server_bits
        if wanted is not None and (server_bits is None or server_bits > wanted):
            raise InvalidResponse(f"the server's {_NAME} has {_SERVER_BITS}={server_bits}, asked for was {wanted}")
        own = self.client_max_window_bits or _LARGEST
        client_bits = answered.client_bits
        if answered.may_limit:
            raise InvalidResponse(f"the server's {_NAME} has {_CLIENT_BITS} without a value")
        if client_bits is not None and client_bits > own:
            raise InvalidResponse(f"the server's {_NAME} has {_CLIENT_BITS}={client_bits}, offered was {own}")
        return Agreed(
            not answered.server_no_takeover,
            not (answered.client_no_takeover or self.client_no_context_takeover),
            server_bits or _LARGEST,
            client_bits or own,
            self.level,
            self.mem_level,
            self.threshold,
        )

    def answer(self, fields: Iterable[str]) -> tuple[Agreed, str] | None:
        """Server: the first offer in the values of Sec-WebSocket-Extensions that can be taken, and the value to answer.

        Other extensions are passed over, and offers with parameters that are unknown, repeated or malformed.  None if nothing
        is left.  Raises `InvalidRequest` for fields that break the grammar of extensions.
        """
        for extension in parse_extensions(fields, InvalidRequest):
            if extension.name != _NAME:
                continue
            try:
                return self._take(_read(extension))
            except ValueError:
                continue
        return None

    def _take(self, offered: _Parameters) -> tuple[Agreed, str]:
        server_no_takeover = self.server_no_context_takeover or offered.server_no_takeover
        # A hint that the client will not make use of its window: then none has to be held for it.
        client_no_takeover = self.client_no_context_takeover or offered.client_no_takeover
        server_bits = _smaller(self.server_max_window_bits, offered.server_bits)
        client_bits = None
        if offered.may_limit or offered.client_bits is not None:
            client_bits = _smaller(self.client_max_window_bits, offered.client_bits)
        agreed = Agreed(
            not server_no_takeover,
            not client_no_takeover,
            server_bits or _LARGEST,
            client_bits or _LARGEST,
            self.level,
            self.mem_level,
            self.threshold,
        )
        return agreed, _describe(server_no_takeover, client_no_takeover, server_bits, client_bits)


@dataclass(slots=True)
class _Parameters:
    """The parameters of one offer or answer; `may_limit` is `client_max_window_bits` without a value."""

    server_no_takeover: bool = False
    client_no_takeover: bool = False
    server_bits: int | None = None
    client_bits: int | None = None
    may_limit: bool = False


def _read(extension: Extension) -> _Parameters:
    """The parameters, checked each for itself.  Raises `ValueError`, which says what is wrong with them."""
    found = _Parameters()
    seen: set[str] = set()
    for name, value in extension.parameters:
        if name in seen:
            raise ValueError(f"{name[:60]} more than once")
        seen.add(name)
        if name in (_SERVER_TAKEOVER, _CLIENT_TAKEOVER):
            if value is not None:
                raise ValueError(f"a value for {name}: {value[:60]!r}")
            if name == _SERVER_TAKEOVER:
                found.server_no_takeover = True
            else:
                found.client_no_takeover = True
        elif name in (_SERVER_BITS, _CLIENT_BITS):
            bits = None if value is None else _WINDOW_BITS.get(value)
            if name == _CLIENT_BITS and value is None:
                found.may_limit = True
            elif bits is None:
                raise ValueError(f"{name} that is not 8 to 15: {'no value' if value is None else repr(value[:60])}")
            elif name == _SERVER_BITS:
                found.server_bits = bits
            else:
                found.client_bits = bits
        else:
            raise ValueError(f"an unknown parameter: {name[:60]!r}")
    return found


def _describe(
    server_no_takeover: bool, client_no_takeover: bool, server_bits: int | None, client_bits: int | None, may_limit: bool = False
) -> str:
    parts = [_NAME]
    if server_no_takeover:
        parts.append(_SERVER_TAKEOVER)
    if client_no_takeover:
        parts.append(_CLIENT_TAKEOVER)
    if server_bits is not None:
        parts.append(f"{_SERVER_BITS}={server_bits}")
    if client_bits is not None:
        parts.append(f"{_CLIENT_BITS}={client_bits}")
    elif may_limit:
        parts.append(_CLIENT_BITS)
    return "; ".join(parts)


def _smaller(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _check_range(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise UsageError(f"{name} must be from {low} to {high}, not {value!r}", argument=name)


class Inflater:
    """Inflates the messages of one direction.  Made by `Agreed.inflater`; after an error it may not be used again.

    A block that says it is the last one ends a set of data (RFC 1951 3.2.3), and what follows it begins with an empty window, as
    it does in browsers: whoever sends such blocks has begun anew there.
    """

    __slots__ = ("_ending", "_raw", "_takeover", "_window")

    def __init__(self, bits: int, takeover: bool) -> None:
        self._window = -bits
        self._takeover = takeover
        # Where nothing follows, the stream is ended, and so shows whether the message was whole.
        self._ending = _TAIL if takeover else _TAIL + _END
        self._raw: zlib._Decompress | None = None

    def inflate(self, payload: bytes, limit: int | None) -> bytes:
        """One message, of at most `limit` bytes if that is not None.

        Raises `WebSocketError`: code 1009 as soon as the message is larger than `limit`, 1007 if it is no DEFLATE.
        """
        if not payload:
            raise _corrupt("it is empty")
        raw = self._raw
        if raw is None:
            raw = zlib.decompressobj(self._window)
            if self._takeover:
                self._raw = raw
        ending = self._ending
        # One byte more than is allowed shows that there is one, and no second.
        most = _UNLIMITED if limit is None or limit >= _UNLIMITED else limit + 1
        try:
            if self._takeover and len(payload) < _SMALL:
                out = raw.decompress(payload + ending, most)
                if len(out) == most:
                    raise _too_large(limit)
                if raw.eof:
                    if raw.unused_data:
                        return self._go_on(out, raw.unused_data, most)
                    if out.endswith(ending):  # taken for the content of a block
                        raise _corrupt("it ends within a block")
                    self._raw = None
                return out
            out = raw.decompress(payload, most)
            if len(out) == most:
                raise _too_large(limit)
            if raw.eof:
                return self._go_on(out, raw.unused_data + ending, most)
            # All that there is of the message has been given out, unless it was cut.
            if raw.decompress(ending, 1):
                raise _corrupt("it ends within a block")
            self._finish(raw)
            return out
        except zlib.error as error:
            raise _corrupt(str(error)) from None

    def _finish(self, raw: zlib._Decompress) -> None:
        """`raw` has been given a message and then the ending: whether that was the end of it.

        The last block may be a final one without content, of which the ending is all but the first bits: `01` is an empty
        message.
        """
        rest = raw.unused_data
        if self._takeover:
            if rest:
                raise _corrupt("it ends within a block")
            self._raw = None if raw.eof else raw
        elif not raw.eof or (rest and rest != _END):
            raise _corrupt("it ends within a block")

    def _go_on(self, out: bytes, rest: bytes, most: int) -> bytes:
        """The message that begins with `out`, after which there was a final block, and then `rest`, the ending included.

        The input is given in pieces that grow, since zlib copies what it leaves of one: linear, however short the sets are.
        """
        ending = self._ending
        data = memoryview(rest)
        end = len(data) - len(ending)
        at = 0
        size = len(out)
        pieces = [out]
        for _ in range(_DATA_SETS):
            if at >= end:
                raise _corrupt("it ends with a final block")
            raw = zlib.decompressobj(self._window)
            step = _STEP
            while at < end and not raw.eof:
                given = data[at : min(at + step, end)]
                piece = raw.decompress(given, most - size)
                pieces.append(piece)
                size += len(piece)
                if size == most:
                    raise _too_large(most - 1)
                at += len(given) - len(raw.unused_data)
                step *= 2
            if raw.eof:
                continue
            if raw.decompress(ending, 1):
                raise _corrupt("it ends within a block")
            self._finish(raw)
            return b"".join(pieces)
        raise WebSocketError(f"a compressed message with more than {_DATA_SETS} final blocks", code=1009)


class Deflater:
    """Deflates the messages of one direction.  Made by `Agreed.deflater`.

    `threshold` is for the caller to heed: a message of fewer bytes is better sent as it is.
    """

    __slots__ = ("_level", "_mem_level", "_raw", "_strategy", "_takeover", "_window", "threshold")

    def __init__(self, bits: int, takeover: bool, level: int = 1, mem_level: int = 5, threshold: int = 256) -> None:
        # zlib has no raw stream with a window of 256 bytes.  One of 512 that only repeats the byte before stays within it.
        self._window = -max(bits, 9)
        self._strategy = zlib.Z_RLE if bits == 8 else zlib.Z_DEFAULT_STRATEGY
        self._takeover = takeover
        self._level = level
        self._mem_level = mem_level
        self._raw: zlib._Compress | None = None
        self.threshold = threshold

    def deflate(self, payload: bytes, *, last: bool = True) -> bytes:
        """One message, without the `00 00 FF FF` at its end; or a piece of one, which can be read without the `last` of them."""
        raw = self._raw
        if not payload:
            out = b"\x00" if last else b""  # RFC 7692 7.2.3.6; zlib has nothing to flush twice
        else:
            if raw is None:
                raw = zlib.compressobj(self._level, zlib.DEFLATED, self._window, self._mem_level, self._strategy)
            out = raw.compress(payload) + raw.flush(zlib.Z_SYNC_FLUSH)
            if last:
                out = out[:-4]
        self._raw = raw if self._takeover or not last else None
        return out


def _corrupt(what: str) -> WebSocketError:
    return WebSocketError(f"a compressed message that is no DEFLATE: {what}", code=1007)


def _too_large(limit: int | None) -> WebSocketError:
    return WebSocketError(f"a compressed message of more than {limit} bytes", code=1009)
