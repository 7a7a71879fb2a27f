"""Content codings: gzip, deflate, br and zstd, as streams, both ways (RFC 9110 8.4, RFC 1950-1952, RFC 7932, RFC 8878).

A decoder is a chain that is pulled from its end: wire ← stage ← stage.  A stage asks what is before it for input only when it
has nothing left to give, and gives no more than it was asked for, so that nothing is inflated which nobody reads.

    decoder.feed(data)                  # bytes off the wire, any cut
    while piece := decoder.pull():      # at most 64 KiB; b"" = needs more input
        ...
    decoder.finish()                    # after the last byte: raises where the body stopped half way

What ends a body:
  - gzip    one member or more (RFC 1952 2.2); zero bytes may pad the end, as gzip(1) allows; anything else behind is an error;
  - deflate one zlib stream (RFC 1950); a raw one (RFC 1951) is taken too, since servers send it: the low nibble of a zlib
            stream's first byte is 8, which a raw stream cannot begin with unless it wastes its padding bits;
  - br      one stream;
  - zstd    one frame or more; windows beyond 8 MiB are refused (RFC 9659 3).
Bytes behind the end are an error, except for no bytes at all: an empty body is an empty body whatever its coding.

Every stage is held to a limit, or a body could grow in the middle of the list and be small again at its end.  A library's
window is its own: 32 KiB for zlib, up to 8 MiB for zstd and 16 MiB for br, whatever the size of the pieces.
"""

from __future__ import annotations

import zlib
from collections import deque
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING

from ..errors import DecodingError, LimitExceeded, ProtocolError, UsageError
from ..models.headers import split_list
from ..models.numbers import check_count
from .coding_streams import OPEN, ZSTD_WINDOW_LOG, Stream, errors_of, is_installed, is_usable, load_brotli, load_zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "DEFAULT_CODING_LIMITS",
    "STEP",
    "CodingLimits",
    "Decoder",
    "Encoder",
    "accept_encoding",
    "decode_body",
    "make_decoder",
    "make_encoder",
]

STEP = 65536
"""The largest piece, in bytes, that one step of a decoder gives."""

_SLICE = 16384  # input of one step: libraries copy what is left over at each step, which over a large input would be quadratic
_BROTLI_LEVEL = 5  # its own default, 11, is made for files that are compressed once
_ALIASES = {"x-gzip": "gzip"}  # RFC 9110 8.4.1.3


@dataclass(frozen=True, slots=True)
class CodingLimits:
    """Limits of one coded body; passing one raises `LimitExceeded`.

    ratio    decoded bytes per byte received, 10; applies beyond `free` only
    free     decoded bytes that are allowed whatever the ratio, 100 MiB
    codings  entries of Content-Encoding, `identity` not counted, 5
    members  gzip members, or zstd frames, of one coding, 10,000
    """

    ratio: int = 10
    free: int = 100 * 1024 * 1024
    codings: int = 5
    members: int = 10_000

    def __post_init__(self) -> None:
        for field in fields(self):
            least = 1 if field.name in ("codings", "members") else 0
            check_count(field.name, getattr(self, field.name), least)


DEFAULT_CODING_LIMITS = CodingLimits()


@cache
def accept_encoding() -> str:
    """The value of Accept-Encoding (RFC 9110 12.5.3): every coding that can be decoded here; found out at the first call."""
    return ", ".join(coding for coding in OPEN if is_installed(coding))


class _Wire:
    """The beginning of the chain: what was received and not yet decoded."""

    __slots__ = ("_at", "_chunk", "_chunks", "received")

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._chunk = b""
        self._at = 0
        self.received = 0

    def feed(self, data: bytes) -> None:
        self._chunks.append(data)
        self.received += len(data)

    def take(self) -> bytes:
        if not self._chunk:
            if not self._chunks:
                return b""
            chunk = self._chunks.popleft()
            if len(chunk) <= _SLICE:
                return chunk
            self._chunk = chunk
        at = self._at
        piece = self._chunk[at : at + _SLICE]
        self._at = at + _SLICE
        if self._at >= len(self._chunk):
            self._chunk = b""
            self._at = 0
        return piece

    def has_more(self) -> bool:
        return bool(self._chunk or self._chunks)


class _Stage:
    """One coding of the list: the streams of that coding, one after the other, and the limit on what comes out of them."""

    def __init__(
        self, coding: str, source: _Wire | _Stage, wire: _Wire, limits: CodingLimits, free: int, cap: int | None
    ) -> None:
        self.coding = coding
        self.free = free
        self.cap = cap
        self.produced = 0
        self._source = source
        self._wire = wire
        self._limits = limits
        self._open = OPEN[coding]
        self._errors = errors_of(coding)
        self._stream: Stream | None = None  # None between streams
        self._left = b""  # input behind the end of a stream
        self._members = 0

    def take(self, size: int = _SLICE) -> bytes:
        """The next decoded bytes, at most `size` of them; b"" where more input is needed."""
        maximum = max(self._limits.ratio * self._wire.received, self.free)
        capped = self.cap is not None and self.cap < maximum
        if self.cap is not None and capped:
            maximum = self.cap
        # One byte more than is allowed shows that there is one, and no second.
        out = self._decode(min(size, maximum - self.produced + 1))
        self.produced += len(out)
        if self.produced > maximum:
            name = "max_body_size" if capped else "decompressed body"
            raise LimitExceeded(f"the {self.coding} body is larger than {maximum} bytes", limit=name, maximum=maximum, status=413)
        return out

    def _decode(self, size: int) -> bytes:
        stream = self._stream
        data, self._left = self._left, b""
        while True:
            if stream is None:
                data = self._next_stream(data or self._source.take())
                if not data:
                    return b""
                stream = self._stream = self._open(data)
            elif stream.hungry and not (data := self._source.take()):
                return b""
            try:
                out = stream.step(data, size)
            except self._errors as error:
                raise DecodingError(f"the body is not valid {self.coding}: {error}", coding=self.coding) from error
            data = b""
            if stream.finished:
                data = stream.rest
                stream = self._stream = None
            if out:
                self._left = data
                return out

    def _next_stream(self, data: bytes) -> bytes:
        """The beginning of the next stream in `data`: b"" if there is none yet; raises where there may be none any more."""
        if not data:
            return b""
        if self._members:
            if self.coding == "gzip":
                while data and not (data := data.lstrip(b"\0")):
                    data = self._source.take()
                if not data:
                    return b""
            if self.coding != "zstd" and (self.coding != "gzip" or data[0] != 0x1F):
                raise DecodingError(f"there are bytes behind the end of the {self.coding} body", coding=self.coding)
        self._members += 1
        if self._members > self._limits.members:
            maximum = self._limits.members
            raise LimitExceeded(f"the {self.coding} body has more than {maximum} members", limit="members", maximum=maximum)
        return data

    def is_drained(self) -> bool:
        return not self._left and (self._stream is None or self._stream.hungry)

    def finish(self) -> None:
        if self._stream is not None:
            raise DecodingError(f"the {self.coding} body stops before its end", coding=self.coding)

    def drop(self) -> None:
        self._stream = None
        self._left = b""


class Decoder:
    """Takes the codings off one body.  Made by `make_decoder`; any error leaves it unusable, its streams dropped.

    `codings` are the codings in the order they were applied, `received` and `produced` the bytes in and out so far.
    """

    __slots__ = ("_dropped", "_stages", "_wire", "codings")

    def __init__(self, codings: tuple[str, ...], limits: CodingLimits, max_size: int | None) -> None:
        self.codings = codings
        self._wire = wire = _Wire()
        # Between two codings the body is compressed still, so hardly larger than what comes out in the end.
        between = limits.free if max_size is None else min(limits.free, max_size + STEP)
        stages: list[_Stage] = []
        source: _Wire | _Stage = wire
        for coding in codings[:0:-1]:
            source = _Stage(coding, source, wire, limits, between, None)
            stages.append(source)
        stages.append(_Stage(codings[0], source, wire, limits, limits.free, max_size))
        self._stages = stages
        self._dropped = False

    def __repr__(self) -> str:
        end = ", dropped" if self._dropped else ""
        return f"<Decoder {', '.join(self.codings)}: {self.received} bytes in, {self.produced} out{end}>"

    @property
    def received(self) -> int:
        """Bytes fed so far."""
        return self._wire.received

    @property
    def produced(self) -> int:
        """Bytes pulled so far."""
        return self._stages[-1].produced

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Give the next bytes of the body; nothing is decoded yet."""
        if self._dropped:
            raise self._unusable()
        if data:
            self._wire.feed(data if type(data) is bytes else bytes(data))

    def pull(self, size: int = STEP) -> bytes:
        """The next decoded bytes: at least one and at most `size`, never more than 64 KiB; b"" where more input is needed.

        Raises `DecodingError` where the body is not what its Content-Encoding says, `LimitExceeded` where it grows too large.
        """
        if size < 1:
            raise UsageError(f"size must be at least 1, not {size!r}", argument="size")
        if self._dropped:
            raise self._unusable()
        try:
            return self._stages[-1].take(min(size, STEP))
        except (ProtocolError, MemoryError):
            # A stream that ran out of memory half way may not be touched again (CVE-2026-6100).
            self._dropped = True
            for stage in self._stages:
                stage.drop()
            raise

    def finish(self) -> None:
        """The body has ended and everything was pulled.  Raises `DecodingError` where a coding had not come to its end."""
        if self._dropped:
            raise self._unusable()
        if self._wire.has_more() or not all(stage.is_drained() for stage in self._stages):
            raise UsageError("a decoder is finished after pull() gave b'', not before")
        for stage in self._stages:
            stage.finish()

    def decode(self, data: bytes | bytearray | memoryview) -> Iterator[bytes]:
        """The pieces, of at most 64 KiB, that `data` decodes to; `finish` is left to the caller."""
        self.feed(data)
        while piece := self.pull():
            yield piece

    def decode_whole(self, data: bytes | bytearray | memoryview) -> bytes:
        """The whole decoded body, for one that is here completely: `feed`, `pull` and `finish` in one call."""
        self.feed(data)
        pieces = [*iter(self.pull, b"")]
        self.finish()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _unusable(self) -> DecodingError:
        return DecodingError("the decoder was dropped after an error", coding=self.codings[0])


def decode_body(
    data: bytes,
    content_encoding: str | Sequence[str],
    *,
    limits: CodingLimits = DEFAULT_CODING_LIMITS,
    max_size: int | None = None,
) -> bytes:
    """A complete body with its codings taken off, or as it is where `make_decoder` gives None; raises what a decoder raises.

    The short cut: a small body of one coding that one step decodes to its end needs no chain.  What that step does not settle,
    errors and limits among it, is begun again by a decoder.
    """
    if not isinstance(content_encoding, str) and len(content_encoding) == 1:
        content_encoding = content_encoding[0]
    if isinstance(content_encoding, str) and content_encoding in _SIMPLE and 0 < len(data) <= _SLICE:
        if not is_usable(content_encoding):
            return data
        try:
            stream = OPEN[content_encoding](data)
            whole = stream.step(data, STEP)
        except errors_of(content_encoding):
            pass
        else:
            size = len(whole)
            if stream.finished and not stream.rest and size <= limits.free and (max_size is None or size <= max_size):
                return whole
    decoder = make_decoder(content_encoding, limits=limits, max_size=max_size)
    return data if decoder is None else decoder.decode_whole(data)


def make_decoder(
    content_encoding: str | Sequence[str], *, limits: CodingLimits = DEFAULT_CODING_LIMITS, max_size: int | None = None
) -> Decoder | None:
    """A decoder for the codings of Content-Encoding (RFC 9110 8.4), listed in the order they were applied.

    `content_encoding` is the value of that field, or several of them.  `max_size` limits the decoded body, in bytes, below what
    `limits` would allow.  None where the body is to be left as it is: nothing but `identity`, or a coding among the others that
    is unknown or whose library is not installed.  Raises `LimitExceeded` for a list longer than `limits.codings`.
    """
    coded = _SIMPLE.get(content_encoding) if isinstance(content_encoding, str) else None
    if coded is None:
        values = [content_encoding] if isinstance(content_encoding, str) else content_encoding
        members = [coding for value in values for coding in split_list(value)]
        coded = tuple(_ALIASES.get(coding, coding) for coding in members if coding != "identity")
    if len(coded) > limits.codings:
        message = f"the body has {len(coded)} content codings, more than {limits.codings}"
        raise LimitExceeded(message, limit="content codings", maximum=limits.codings, status=415)
    if not coded or not all(is_usable(coding) for coding in coded):
        return None
    return Decoder(coded, limits, max_size)


_SIMPLE: dict[str, tuple[str, ...]] = {coding: (coding,) for coding in OPEN}  # what nearly every body says


class Encoder:
    """Puts one coding on one body.  Made by `make_encoder`."""

    __slots__ = ("_compress", "_end", "_ended", "_sync", "coding")

    def __init__(
        self, coding: str, compress: Callable[[bytes], bytes], sync: Callable[[], bytes], end: Callable[[], bytes]
    ) -> None:
        self.coding = coding
        self._compress = compress
        self._sync = sync
        self._end = end
        self._ended = False

    def encode(self, data: bytes) -> bytes:
        """The coded bytes that are ready after `data`; often none yet."""
        if self._ended:
            raise UsageError(f"the {self.coding} body has ended already")
        return self._compress(data)

    def flush(self, final: bool = True) -> bytes:
        """The end of the coded body; or, with `final=False`, all that decodes to what was given so far, and more may follow."""
        if self._ended:
            raise UsageError(f"the {self.coding} body has ended already")
        if not final:
            return self._sync()
        self._ended = True
        return self._end()


_LEVELS = {"gzip": (0, 9), "deflate": (0, 9), "br": (0, 11), "zstd": (1, 22)}


def make_encoder(coding: str, level: int | None = None) -> Encoder:
    """An encoder for one coding: `gzip` (or `x-gzip`), `deflate` (the zlib form), `br` or `zstd`, in any case.

    `level` is the library's own: 0-9 for gzip and deflate (6), 0-11 for br (5), 1-22 for zstd (3).
    Raises `UsageError` for a coding that is unknown or whose library is not installed, and for a level beyond its range.
    """
    name = coding.lower() if isinstance(coding, str) else ""
    name = _ALIASES.get(name, name)
    if name not in _LEVELS:
        raise UsageError(f"coding must be one of {', '.join(_LEVELS)}, not {coding!r}", argument="coding")
    if not is_usable(name):
        raise UsageError(f"the coding {name} needs the extra wirebird[compression]", argument="coding")
    low, high = _LEVELS[name]
    if level is not None and (type(level) is not int or not low <= level <= high):
        raise UsageError(f"level must be from {low} to {high} for {name}, not {level!r}", argument="level")
    if name == "br":
        brotli = load_brotli().Compressor(quality=_BROTLI_LEVEL if level is None else level)
        return Encoder(name, brotli.process, brotli.flush, brotli.finish)
    if name == "zstd":
        library = load_zstd()
        options = {library.CompressionParameter.compression_level: library.COMPRESSION_LEVEL_DEFAULT if level is None else level}
        if level is not None and level > 19:  # these would take a larger window than a recipient need accept
            options[library.CompressionParameter.window_log] = ZSTD_WINDOW_LOG
        zstd = library.ZstdCompressor(options=options)
        return Encoder(name, zstd.compress, lambda: zstd.flush(zstd.FLUSH_BLOCK), zstd.flush)
    stream = zlib.compressobj(-1 if level is None else level, zlib.DEFLATED, 31 if name == "gzip" else 15)
    return Encoder(name, stream.compress, lambda: stream.flush(zlib.Z_SYNC_FLUSH), stream.flush)
