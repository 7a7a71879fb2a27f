"""`aiohttp.payload`: values as bodies: which class stands for a value, what headers go with it, how its bytes are written.

A payload pushes: `write(writer)` awaits `writer.write(chunk)`.  wirebird's client pulls the pieces of a `Body`; what turns one
into the other, and gives whole bytes where there are just these, is `body_of` in `payload_body.py`.  A class of the caller's
own that overrides `write` is asked there too.

What is left out: a warning for bytes of more than 1 MiB, which do not hold up wirebird's loop.  What is different: the size of a
text file is not known (aiohttp takes that of the file, whatever its encoding makes of it); headers with control characters, and
names that are no tokens, raise `wirebird.InvalidHeader`, which is a `ValueError`.
"""

from __future__ import annotations

import asyncio
import enum
import io
import json
import mimetypes
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from itertools import chain
from pathlib import PurePath
from typing import IO, Any, Final, Protocol, TextIO, runtime_checkable

from multidict import CIMultiDict

from ...client.sources import FileSource
from ...models.headers import encode_fields
from . import hdrs
from .helpers import _SENTINEL, content_disposition_header, guess_filename, parse_mimetype, sentinel

__all__ = [
    "PAYLOAD_REGISTRY",
    "AsyncIterablePayload",
    "BufferedReaderPayload",
    "BytesIOPayload",
    "BytesPayload",
    "IOBasePayload",
    "JsonBytesPayload",
    "JsonPayload",
    "LookupError",
    "Order",
    "Payload",
    "PayloadRegistry",
    "PayloadWriter",
    "StreamReaderPayload",
    "StringIOPayload",
    "StringPayload",
    "TextIOPayload",
    "get_payload",
    "is_plain",
    "payload_type",
    "register_payload",
]


class LookupError(Exception):
    """No payload class stands for a value of this type."""


class Order(str, enum.Enum):  # noqa: UP042 - as aiohttp's, `str()` of it is `Order.normal`
    """When a payload class is asked whether it stands for a value: before or after the others."""

    normal = "normal"
    try_first = "try_first"
    try_last = "try_last"


class PayloadWriter(Protocol):
    """What a payload writes to."""

    async def write(self, chunk: bytes | bytearray | memoryview, /) -> None: ...


class PayloadRegistry:
    """Which payload class stands for values of which type."""

    __slots__ = ("_exact", "_first", "_last", "_normal")

    def __init__(self) -> None:
        self._first: list[tuple[type[Payload], Any]] = []
        self._normal: list[tuple[type[Payload], Any]] = []
        self._last: list[tuple[type[Payload], Any]] = []
        self._exact: dict[Any, type[Payload]] = {}

    def get(self, data: Any, *args: Any, **kwargs: Any) -> Payload:
        """The payload for `data`, made with the other arguments; a payload is its own.  Raises this module's `LookupError`."""
        for factory, kind in self._first:
            if isinstance(data, kind):
                return factory(data, *args, **kwargs)
        if (exact := self._exact.get(type(data))) is not None:
            return exact(data, *args, **kwargs)
        if isinstance(data, Payload):
            return data
        for factory, kind in chain(self._normal, self._last):
            if isinstance(data, kind):
                return factory(data, *args, **kwargs)
        raise LookupError(f"no payload class stands for {type(data).__name__}")

    def register(self, factory: type[Payload], type: Any, *, order: Order = Order.normal) -> None:
        """Have `factory` stand for values of `type`, which may be a tuple of types."""
        if order is Order.try_first:
            self._first.append((factory, type))
        elif order is Order.normal:
            self._normal.append((factory, type))
            for kind in type if isinstance(type, Iterable) else (type,):
                self._exact[kind] = factory
        elif order is Order.try_last:
            self._last.append((factory, type))
        else:
            raise ValueError(f"Unsupported order {order!r}")


def get_payload(data: Any, *args: Any, **kwargs: Any) -> Payload:
    """The payload for `data`.  Raises this module's `LookupError` if no class stands for its type."""
    return PAYLOAD_REGISTRY.get(data, *args, **kwargs)


def register_payload(factory: type[Payload], type: Any, *, order: Order = Order.normal) -> None:
    """Have `factory` stand for values of `type`."""
    PAYLOAD_REGISTRY.register(factory, type, order=order)


class payload_type:
    """A decorator: the class stands for values of `type`."""

    def __init__(self, type: Any, *, order: Order = Order.normal) -> None:
        self.type = type
        self.order = order

    def __call__(self, factory: type[Payload]) -> type[Payload]:
        register_payload(factory, self.type, order=self.order)
        return factory


class Payload(ABC):
    """A value as a body or a part of one.

    value         what is to be sent
    headers       further header fields
    content_type  the `Content-Type`; else what the extension of `filename` stands for, else the default of the class
    """

    _default_content_type: str = "application/octet-stream"
    _size: int | None = None
    _consumed: bool = False
    _autoclose: bool = False
    _once: bool = False  # whether it can be written once only, and knows so before
    _writing: AsyncGenerator[bytes, None] | None = None  # what writes it as the body of a request

    def __init__(
        self,
        value: Any,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        content_type: str | _SENTINEL | None = sentinel,
        filename: str | None = None,
        encoding: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._encoding = encoding
        self._filename = filename
        self._headers: CIMultiDict[str] = CIMultiDict()
        self._value = value
        if content_type is sentinel or content_type is None:
            content_type = (_type_of(filename) if filename is not None else None) or self._default_content_type
        self._headers[hdrs.CONTENT_TYPE] = content_type
        if headers:
            self._headers.update(headers)

    @property
    def size(self) -> int | None:
        """How many bytes will be written, None if that is not known before."""
        return self._size

    @property
    def filename(self) -> str | None:
        """The name of the file, if it is one."""
        return self._filename

    @property
    def headers(self) -> CIMultiDict[str]:
        """The header fields that go with it."""
        return self._headers

    @property
    def _binary_headers(self) -> bytes:
        return encode_fields(self._headers.items()) + b"\r\n"

    @property
    def encoding(self) -> str | None:
        """The charset of a text."""
        return self._encoding

    @property
    def content_type(self) -> str:
        """The `Content-Type` field."""
        return self._headers[hdrs.CONTENT_TYPE]

    @property
    def consumed(self) -> bool:
        """Whether it was written, or closed, and cannot be written again."""
        return self._consumed

    @property
    def _spent(self) -> bool:
        """Whether it cannot be written any more."""
        return self.consumed

    @property
    def autoclose(self) -> bool:
        """Whether it holds nothing that has to be closed."""
        return self._autoclose

    def set_content_disposition(self, disptype: str, quote_fields: bool = True, _charset: str = "utf-8", **params: Any) -> None:
        """Set the `Content-Disposition` field; see `content_disposition_header`."""
        self._headers[hdrs.CONTENT_DISPOSITION] = content_disposition_header(
            disptype, quote_fields=quote_fields, _charset=_charset, **params
        )

    @abstractmethod
    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The value as text.  Reads a file where it stands: not for use in an event loop."""

    @abstractmethod
    async def write(self, writer: PayloadWriter) -> None:
        """Write all of it to `writer`."""

    async def write_with_length(self, writer: PayloadWriter, content_length: int | None) -> None:
        """Write at most `content_length` bytes of it; all of it for None."""
        await self.write(writer if content_length is None else _Shortened(writer, content_length))

    async def as_bytes(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """All of it, as bytes."""
        encoding = self._encoding or encoding
        return self.decode(encoding, errors).encode(encoding)

    def _close(self) -> None:  # noqa: B027 - nothing, unless a class has something
        """What `close` does, for classes that have to wait for nothing."""

    async def close(self) -> None:
        """Close what it holds."""
        self._close()


class _Shortened:
    """A writer that takes so many bytes, and lets the rest go by."""

    def __init__(self, writer: PayloadWriter, size: int) -> None:
        self._writer = writer
        self._left = size

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        if self._left > 0:
            await self._writer.write(chunk[: self._left])
            self._left -= len(chunk)


class BytesPayload(Payload):
    """Bytes."""

    _autoclose = True

    def __init__(self, value: bytes | bytearray | memoryview, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("content_type", "application/octet-stream")
        super().__init__(value, *args, **kwargs)
        if isinstance(value, memoryview):
            self._size = value.nbytes
        elif isinstance(value, (bytes, bytearray)):
            self._size = len(value)
        else:
            raise TypeError(f"value argument must be byte-ish, not {type(value)!r}")

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return bytes(self._value).decode(encoding, errors)

    async def as_bytes(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return self._value  # type: ignore[no-any-return]

    async def write(self, writer: PayloadWriter) -> None:
        await writer.write(self._value)


class StringPayload(BytesPayload):
    """Text, in `encoding`, else in the charset that `content_type` names, else in UTF-8."""

    def __init__(
        self, value: str, *args: Any, encoding: str | None = None, content_type: str | None = None, **kwargs: Any
    ) -> None:
        encoding, content_type = _text_type(encoding, content_type)
        super().__init__(value.encode(encoding), encoding=encoding, content_type=content_type, *args, **kwargs)  # noqa: B026


class StringIOPayload(StringPayload):
    """What an `io.StringIO` holds, from where it stands."""

    def __init__(self, value: IO[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(value.read(), *args, **kwargs)


class IOBasePayload(Payload):
    """An open file, from where it stood at first; read in a thread, a block at a time.

    `disposition` is the type of the `Content-Disposition` that a file with a name gets.
    """

    def __init__(self, value: IO[Any], disposition: str = "attachment", *args: Any, **kwargs: Any) -> None:
        if "filename" not in kwargs:
            kwargs["filename"] = guess_filename(value)
        super().__init__(value, *args, **kwargs)
        self._file: FileSource | None = None
        if self._filename is not None and disposition is not None and hdrs.CONTENT_DISPOSITION not in self.headers:
            self.set_content_disposition(disposition, filename=self._filename)

    @property
    def _source(self) -> FileSource:
        if self._file is None:
            self._file = FileSource(self._value, "data", self._encoding or "utf-8")
        return self._file

    @property
    def size(self) -> int | None:
        """Bytes from where the file stood at first to its end; None for text, and for what cannot seek."""
        return None if getattr(self._value, "closed", False) else self._source.size()

    @property
    def consumed(self) -> bool:
        """Whether it was written and cannot seek, or was closed."""
        return self._consumed or (self._file is not None and self._file.is_spent())

    async def write(self, writer: PayloadWriter) -> None:
        async with aclosing(self._source.pieces()) as pieces:
            async for piece in pieces:
                await writer.write(piece)
                del piece  # or two blocks are held while the next is read

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        data = self._read_all()
        return data if isinstance(data, str) else bytes(data).decode(encoding, errors)

    async def as_bytes(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        data = await asyncio.get_running_loop().run_in_executor(None, self._read_all)
        return data.encode(self._encoding or encoding, errors) if isinstance(data, str) else bytes(data)

    def _read_all(self) -> Any:
        self._source.rewind()
        return self._value.read()

    async def close(self) -> None:
        """Close the file, once no thread reads it any more."""
        if not self._consumed:
            self._consumed = True
            if self._file is not None:
                await self._file.close()
            else:
                self._value.close()


class TextIOPayload(IOBasePayload):
    """A file open as text, in `encoding`, else in the charset that `content_type` names, else in UTF-8."""

    def __init__(
        self, value: TextIO, *args: Any, encoding: str | None = None, content_type: str | None = None, **kwargs: Any
    ) -> None:
        encoding, content_type = _text_type(encoding, content_type)
        super().__init__(value, content_type=content_type, encoding=encoding, *args, **kwargs)  # noqa: B026


class BytesIOPayload(IOBasePayload):
    """What an `io.BytesIO` holds, from where it stood at first.  It is not closed."""

    _autoclose = True

    async def close(self) -> None:
        """Nothing is closed: it is memory."""


class BufferedReaderPayload(IOBasePayload):
    """A file open for reading bytes."""


class JsonPayload(BytesPayload):
    """A value as JSON; `dumps` makes the text."""

    def __init__(
        self,
        value: Any,
        encoding: str = "utf-8",
        content_type: str = "application/json",
        dumps: Callable[[Any], str] = json.dumps,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(dumps(value).encode(encoding), content_type=content_type, encoding=encoding, *args, **kwargs)  # noqa: B026


class JsonBytesPayload(BytesPayload):
    """A value as JSON; `dumps` makes the bytes."""

    def __init__(
        self,
        value: Any,
        dumps: Callable[[Any], bytes],
        content_type: str = "application/json",
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(dumps(value), content_type=content_type, *args, **kwargs)  # noqa: B026


class AsyncIterablePayload(Payload):
    """What an async iterable gives, which can be had once; or again after `as_bytes`, which keeps it."""

    _autoclose = True
    _once = True

    def __init__(self, value: AsyncIterable[bytes], *args: Any, **kwargs: Any) -> None:
        if not isinstance(value, AsyncIterable):
            raise TypeError(f"value argument must support collections.abc.AsyncIterable interface, got {type(value)!r}")
        kwargs.setdefault("content_type", "application/octet-stream")
        super().__init__(value, *args, **kwargs)
        self._iter: AsyncIterator[bytes] | None = value.__aiter__()
        self._cached_chunks: list[bytes] | None = None

    async def write(self, writer: PayloadWriter) -> None:
        for chunk in self._cached_chunks or ():
            await writer.write(chunk)
        if self._iter is None:
            return
        self._consumed = True
        async for chunk in self._iter:
            await writer.write(chunk)
        self._iter = None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """What `as_bytes` kept.  Raises `TypeError` if it was not called."""
        if self._cached_chunks is None:
            raise TypeError("Unable to decode - content not cached. Call as_bytes() first.")
        return b"".join(self._cached_chunks).decode(encoding, errors)

    async def as_bytes(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """All of it, which is kept from here on."""
        if self._cached_chunks is None and self._iter is not None:
            self._cached_chunks = [chunk async for chunk in self._iter]
            self._iter = None
            self._once = False
        return b"".join(self._cached_chunks or ())

    async def close(self) -> None:
        """Close the iterable if it was begun, or never will be."""
        if self._iter is not None and (aclose := getattr(self._iter, "aclose", None)) is not None:
            await aclose()


@runtime_checkable
class _Stream(Protocol):
    """A `StreamReader`, whoever's it is."""

    def iter_any(self) -> AsyncIterable[bytes]: ...


class StreamReaderPayload(AsyncIterablePayload):
    """What a `StreamReader` receives, in pieces as they arrive."""

    def __init__(self, value: _Stream, *args: Any, **kwargs: Any) -> None:
        super().__init__(value.iter_any(), *args, **kwargs)


def is_plain(payload: Payload) -> bool:
    """Whether what is written of a payload is the bytes that it holds: no class of the caller's own says otherwise."""
    kind = type(payload)
    return kind.write is BytesPayload.write and kind.write_with_length is Payload.write_with_length


def _type_of(filename: str) -> str | None:
    """The media type that the extensions stand for.  The dot keeps a name from being taken for a `data:` URL."""
    return mimetypes.guess_type(f"./{PurePath(filename).name}")[0]


def _text_type(encoding: str | None, content_type: str | None) -> tuple[str, str]:
    """The encoding and the Content-Type of a text of which perhaps one is given."""
    if encoding is None:
        encoding = "utf-8" if content_type is None else parse_mimetype(content_type).parameters.get("charset", "utf-8")
    return encoding, f"text/plain; charset={encoding}" if content_type is None else content_type


PAYLOAD_REGISTRY: Final = PayloadRegistry()
PAYLOAD_REGISTRY.register(BytesPayload, (bytes, bytearray, memoryview))
PAYLOAD_REGISTRY.register(StringPayload, str)
PAYLOAD_REGISTRY.register(StringIOPayload, io.StringIO)
PAYLOAD_REGISTRY.register(TextIOPayload, io.TextIOBase)
PAYLOAD_REGISTRY.register(BytesIOPayload, io.BytesIO)
PAYLOAD_REGISTRY.register(BufferedReaderPayload, (io.BufferedReader, io.BufferedRandom))
PAYLOAD_REGISTRY.register(IOBasePayload, io.IOBase)
PAYLOAD_REGISTRY.register(StreamReaderPayload, _Stream)
PAYLOAD_REGISTRY.register(AsyncIterablePayload, AsyncIterable, order=Order.try_last)
