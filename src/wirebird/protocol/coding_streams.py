"""The compression libraries behind one small face: a `Stream` decodes one gzip member, zlib stream, br stream or zstd frame.

The face hides how each library says that it has more to give: zlib hands back the input it did not use, zstd has `needs_input`,
brotli is asked until it gives nothing.  brotli and zstd are loaded when they are first needed, and may be missing.
"""

from __future__ import annotations

import sys
import zlib
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import DecodingError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OPEN", "ZSTD_WINDOW_LOG", "Stream", "errors_of", "is_installed", "is_usable", "load_brotli", "load_zstd"]

ZSTD_WINDOW_LOG = 23
"""RFC 9659 3: a content coding's window is at most 8 MiB; a decoder refuses more, an encoder takes no more."""

_BROTLI_STEP = 32752  # one output block of the C binding: asked for less it gives this, asked for more up to twice as much
_ZSTD_NAME = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"


@cache
def load_brotli() -> Any:
    """The brotli library, or None where there is none whose output can be limited (1.2 and later can)."""
    for name in ("brotli", "brotlicffi"):
        try:
            library = import_module(name)
        except ImportError:
            continue
        if hasattr(library.Decompressor, "can_accept_more_data"):
            return library
    return None


@cache
def load_zstd() -> Any:
    """The zstd library: the standard one from Python 3.14, its backport before; None where it is missing."""
    try:
        return import_module(_ZSTD_NAME)
    except ImportError:
        return None


def is_usable(coding: str) -> bool:
    """Whether `coding` is known and its library can be loaded; loads it."""
    if coding in ("gzip", "deflate"):
        return True
    if coding == "br":
        return load_brotli() is not None
    return coding == "zstd" and load_zstd() is not None


@cache
def is_installed(coding: str) -> bool:
    """Whether `coding` can be decoded here.  br is loaded to learn whether its output can be limited; zstd need only be there."""
    if coding != "zstd":
        return is_usable(coding)
    try:
        return find_spec(_ZSTD_NAME) is not None and (sys.version_info < (3, 14) or find_spec("_zstd") is not None)
    except ImportError:  # not even the package around it
        return False


class Stream(Protocol):
    """One stream of one coding.  `step` gets data only when `hungry`, and b"" to go on with what it has."""

    hungry: bool  # all that was given is used up, and there is nothing more to give out
    finished: bool  # the end of the stream was met
    rest: bytes  # what was given beyond that end

    def step(self, data: bytes, size: int) -> bytes: ...


class _Inflate:
    __slots__ = ("_raw", "_tail", "finished", "hungry", "rest")

    def __init__(self, window: int) -> None:
        self._raw = zlib.decompressobj(window)
        self._tail = b""
        self.hungry = True
        self.finished = False
        self.rest = b""

    def step(self, data: bytes, size: int) -> bytes:
        raw = self._raw
        out = raw.decompress(self._tail or data, size)
        tail = self._tail = raw.unconsumed_tail
        # A full piece may have left output inside the stream even where the input is used up.
        self.hungry = not tail and len(out) < size
        if raw.eof:
            self.finished = True
            self.rest = raw.unused_data
        return out


class _Brotli:
    __slots__ = ("_held", "_raw", "finished", "hungry", "rest")

    def __init__(self, library: Any) -> None:
        self._raw = library.Decompressor()
        self._held = b""  # what the library gave beyond the size that was asked for
        self.hungry = True
        self.finished = False
        self.rest = b""

    def step(self, data: bytes, size: int) -> bytes:
        raw = self._raw
        out: bytes = self._held or raw.process(data, output_buffer_limit=min(size, _BROTLI_STEP))
        if not out and not raw.is_finished() and not raw.can_accept_more_data():
            raise DecodingError("the br library neither gives nor takes", coding="br")
        self._held = out[size:]
        self.hungry = not out
        self.finished = not self._held and raw.is_finished()
        return out[:size]


class _Unzstd:
    __slots__ = ("_raw", "finished", "hungry", "rest")

    def __init__(self, library: Any) -> None:
        self._raw = library.ZstdDecompressor(options={library.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG})
        self.hungry = True
        self.finished = False
        self.rest = b""

    def step(self, data: bytes, size: int) -> bytes:
        raw = self._raw
        out: bytes = raw.decompress(data, size)
        self.hungry = raw.needs_input
        if raw.eof:
            self.finished = True
            self.rest = raw.unused_data
        return out


OPEN: dict[str, Callable[[bytes], Stream]] = {
    "gzip": lambda data: _Inflate(31),
    "deflate": lambda data: _Inflate(15 if data[0] & 0x0F == 8 else -15),
    "br": lambda data: _Brotli(load_brotli()),
    "zstd": lambda data: _Unzstd(load_zstd()),
}
"""A new stream of each coding, for the data that it begins with."""


@cache
def errors_of(coding: str) -> tuple[type[Exception], ...]:
    """What the library of `coding` raises over bytes that are not that coding."""
    if coding == "br":
        return (load_brotli().error,)
    if coding == "zstd":
        return (load_zstd().ZstdError, EOFError)
    return (zlib.error,)
