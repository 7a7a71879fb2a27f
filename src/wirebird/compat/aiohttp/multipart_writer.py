"""`aiohttp.MultipartWriter`: a body of parts, each of which is a payload, nested ones among them (RFC 2046 5.1, RFC 7578).

The bytes are aiohttp's but for the data of a part in quoted-printable, which is encoded line by line here, not block by block.
Boundaries are those that RFC 2046 allows; part headers go through wirebird's validator.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import zlib
from binascii import b2a_base64, b2a_qp
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlencode

from multidict import CIMultiDict

from ...errors import InvalidHeader, UsageError
from ...protocol.multipart import PART_END, check_boundary, closing_delimiter, multipart_type
from . import hdrs
from .payload import (
    BytesPayload,
    IOBasePayload,
    JsonPayload,
    LookupError,
    Payload,
    PayloadWriter,
    StringPayload,
    get_payload,
    is_plain,
)

__all__ = ["MultipartPayloadWriter", "MultipartWriter"]

_log: Final = logging.getLogger("wirebird")

_CODINGS: Final = ("deflate", "gzip", "identity")
_TRANSFER_CODINGS: Final = ("", "base64", "quoted-printable", "binary")
# A piece of this size takes longer to compress than the way to a thread and back.
_THREAD_FROM: Final = 65_536
# Pieces below this leave together.
_SMALL: Final = 65_536
# A line of a text in quoted-printable is waited for, but not for ever.
_MOST_LINE: Final = 65_536

_Part = tuple[Payload, str | None, str | None]


class MultipartWriter(Payload):
    """A body of parts.

    subtype   `mixed`, `form-data`, `related`, …
    boundary  what stands between the parts, 1 to 70 characters of RFC 2046 5.1.1; 128 random bits unless given

    A part has the headers of its payload.  `Content-Encoding` (deflate, gzip) and `Content-Transfer-Encoding` (base64,
    quoted-printable) among them have its data encoded, but in form-data, where neither may be (RFC 7578 4.7, 4.8).
    Raises `wirebird.InvalidHeader`, a `ValueError`, for what may not be sent.
    """

    _autoclose = True

    def __init__(self, subtype: str = "mixed", boundary: str | None = None) -> None:
        self._boundary = check_boundary(secrets.token_hex(16) if boundary is None else boundary)
        super().__init__(None, content_type=multipart_type(self._boundary, subtype))
        self._parts: list[_Part] = []
        self._is_form_data = subtype == "form-data"

    def __enter__(self) -> MultipartWriter:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None) -> None:
        pass

    def __iter__(self) -> Iterator[_Part]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __bool__(self) -> bool:
        return True

    @property
    def boundary(self) -> str:
        """What stands between the parts."""
        return self._boundary

    @property
    def consumed(self) -> bool:
        """Whether it, or one of its parts, cannot be written again."""
        return self._consumed or any(part.consumed for part, _, _ in self._parts)

    @property
    def _spent(self) -> bool:
        """Whether one of the parts cannot be written any more; what is in memory can, also after `close`."""
        return any(part._spent for part, _, _ in self._parts)

    @property
    def _once(self) -> bool:  # type: ignore[override]
        return any(part._once for part, _, _ in self._parts)

    def append(self, obj: Any, headers: Mapping[str, str] | None = None) -> Payload:
        """Add a part: a payload, or a value that a payload class stands for, with these header fields besides.

        Gives the payload.  Raises `TypeError` for a value that no payload class stands for.
        """
        if isinstance(obj, Payload):
            if headers is not None:
                obj.headers.update(headers)
            return self.append_payload(obj)
        try:
            return self.append_payload(get_payload(obj, headers=CIMultiDict() if headers is None else headers))
        except LookupError as error:
            raise TypeError(f"Cannot create payload from {obj!r}") from error

    def append_payload(self, payload: Payload) -> Payload:
        """Add a payload as a part, and give it."""
        coding: str | None = None
        transfer_coding: str | None = None
        headers = payload.headers
        if self._is_form_data:
            forbidden = {hdrs.CONTENT_ENCODING, hdrs.CONTENT_LENGTH, hdrs.CONTENT_TRANSFER_ENCODING} & headers.keys()
            if forbidden:
                raise InvalidHeader(f"headers of a part of form-data may not hold {sorted(forbidden)[0]}", argument="headers")
            if hdrs.CONTENT_DISPOSITION not in headers:
                payload.set_content_disposition("form-data", name=f"section-{len(self._parts)}")
        else:
            coding = _checked(headers, hdrs.CONTENT_ENCODING, ("", *_CODINGS), "content encoding")
            transfer_coding = _checked(headers, hdrs.CONTENT_TRANSFER_ENCODING, _TRANSFER_CODINGS, "content transfer encoding")
            coding = None if coding in ("", "identity") else coding
            transfer_coding = None if transfer_coding in ("", "binary") else transfer_coding
            size = payload.size
            if size is not None and not (coding or transfer_coding):
                headers[hdrs.CONTENT_LENGTH] = str(size)
        self._parts.append((payload, coding, transfer_coding))
        return payload

    def append_json(self, obj: Any, headers: Mapping[str, str] | None = None) -> Payload:
        """Add a value as JSON."""
        return self.append_payload(JsonPayload(obj, headers=headers))

    def append_form(
        self, obj: Sequence[tuple[str, str]] | Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> Payload:
        """Add pairs as application/x-www-form-urlencoded."""
        if not isinstance(obj, (Sequence, Mapping)):
            raise UsageError(f"obj must be a mapping or a sequence of pairs, not {type(obj).__name__}", argument="obj")
        text = urlencode(list(obj.items()) if isinstance(obj, Mapping) else obj, doseq=True)
        return self.append_payload(StringPayload(text, headers=headers, content_type="application/x-www-form-urlencoded"))

    @property
    def size(self) -> int | None:
        """Bytes of the body, None if a part's are not known."""
        delimiter = len(self._delimiter)
        total = len(closing_delimiter(self._boundary))
        for part, coding, transfer_coding in self._parts:
            size = part.size
            if coding or transfer_coding or size is None:
                return None
            total += delimiter + len(part._binary_headers) + size + len(PART_END)
        return total

    def whole(self) -> bytes | None:
        """The body, if it is small and all of it is in memory; else None."""
        size = self.size
        if size is None or size >= _SMALL or not all(is_plain(part) for part, _, _ in self._parts):
            return None
        memory = _Memory()
        writing = self.write(memory)
        try:
            writing.send(None)  # there is nothing to wait for
        except StopIteration:
            return b"".join(memory.chunks)
        finally:
            writing.close()
        return None

    @property
    def _delimiter(self) -> bytes:
        return b"--%b\r\n" % self._boundary.encode()

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The parts as text, as they are before they are encoded.  Reads files where they stand."""
        begin = f"--{self._boundary}\r\n"
        return "".join(begin + part._binary_headers.decode(encoding, errors) + part.decode() for part, _, _ in self._parts)

    async def as_bytes(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """The body as bytes."""
        whole = _Memory()
        await self.write(whole)
        return b"".join(whole.chunks)

    async def write(self, writer: PayloadWriter, close_boundary: bool = True) -> None:
        """Write the body; without the last boundary if `close_boundary` is False.  Small pieces are written together."""
        gathered = _Gathered(writer)
        for part, coding, transfer_coding in self._parts:
            if self._is_form_data and "name=" not in part.headers.get(hdrs.CONTENT_DISPOSITION, ""):
                raise InvalidHeader("headers of a part of form-data must hold a Content-Disposition with a name (RFC 7578 4.2)")
            await gathered.write(self._delimiter + part._binary_headers)
            target: PayloadWriter = gathered
            if not is_here(part):  # it gives what it gives when it has it
                await gathered.flush()
                target = writer
            if coding or transfer_coding:
                encoded = MultipartPayloadWriter(target)
                if coding:
                    encoded.enable_compression(coding)
                if transfer_coding:
                    encoded.enable_encoding(transfer_coding)
                await part.write(encoded)
                await encoded.write_eof()
            else:
                await part.write(target)
            await gathered.write(PART_END)
        if close_boundary:
            await gathered.write(closing_delimiter(self._boundary))
        await gathered.flush()

    async def close(self) -> None:
        """Close the parts that hold something open, every one of them whatever happens."""
        if self._consumed:
            return
        self._consumed = True
        for number, (part, _, _) in enumerate(self._parts):
            if not part.autoclose and not part.consumed:
                try:
                    await part.close()
                except Exception as error:
                    _log.error("part %d of a multipart body cannot be closed: %s", number, error, exc_info=error)


def _checked(headers: CIMultiDict[str], name: str, known: tuple[str, ...], what: str) -> str:
    """The coding that a field names.  Raises `RuntimeError`, as aiohttp does, for one that is not known."""
    coding = headers.get(name, "").lower()
    if coding not in known:
        raise RuntimeError(f"unknown {what}: {coding}")
    return coding


def is_here(part: Payload) -> bool:
    """Whether a payload need not wait for anybody to have its data: it is memory, or a file that can seek."""
    return isinstance(part, BytesPayload) or (isinstance(part, IOBasePayload) and not part._source.live)


class _Gathered:
    """A writer that hands on small pieces together."""

    def __init__(self, writer: PayloadWriter) -> None:
        self._writer = writer
        self._pieces: list[bytes] = []
        self._size = 0

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        if len(chunk) >= _SMALL:
            await self.flush()
            await self._writer.write(chunk)
            return
        self._pieces.append(bytes(chunk))
        self._size += len(chunk)
        if self._size >= _SMALL:
            await self.flush()

    async def flush(self) -> None:
        pieces, self._pieces, self._size = self._pieces, [], 0
        if pieces:
            await self._writer.write(b"".join(pieces))


class _Memory:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        self.chunks.append(bytes(chunk))


class MultipartPayloadWriter:
    """A writer that compresses and encodes what it hands on to another; `write_eof` hands on the rest."""

    def __init__(self, writer: PayloadWriter) -> None:
        self._writer = writer
        self._encoding: str | None = None
        self._compress: Any = None
        self._pending = b""  # what is not a whole group, or line, yet

    def enable_encoding(self, encoding: str) -> None:
        """Encode as `base64` or `quoted-printable`, after compression."""
        if encoding in ("base64", "quoted-printable"):
            self._encoding = encoding

    def enable_compression(self, encoding: str = "deflate", strategy: int | None = None) -> None:
        """Compress as `gzip` or as `deflate`, which in a part is DEFLATE without the zlib header, as aiohttp sends it."""
        bits = 16 + zlib.MAX_WBITS if encoding == "gzip" else -zlib.MAX_WBITS
        self._compress = zlib.compressobj(wbits=bits, strategy=zlib.Z_DEFAULT_STRATEGY if strategy is None else strategy)

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take a piece."""
        if self._compress is not None:
            if len(chunk) < _THREAD_FROM:
                chunk = self._compress.compress(chunk)
            else:
                chunk = await asyncio.get_running_loop().run_in_executor(None, self._compress.compress, chunk)
        await self._encode(bytes(chunk), last=False)

    async def write_eof(self) -> None:
        """That was the last piece."""
        rest = b""
        if self._compress is not None:
            rest = self._compress.flush()
            self._compress = None
        await self._encode(rest, last=True)

    async def _encode(self, data: bytes, *, last: bool) -> None:
        if self._encoding is not None:
            data = self._pending + data
            if last:
                end = len(data)
            elif self._encoding == "base64":
                end = len(data) - len(data) % 3
            else:
                end = data.rfind(b"\n") + 1 or (len(data) - 1 if len(data) > _MOST_LINE else 0)
            self._pending = data[end:]
            data = b2a_base64(data[:end], newline=False) if self._encoding == "base64" else b2a_qp(data[:end])
        if data:
            await self._writer.write(data)
