"""`aiohttp.BodyPartReader`: one part of a multipart body, read as it arrives.  `multipart.py` says what is different."""

from __future__ import annotations

import binascii
import json
import sys
from base64 import b64decode
from collections.abc import AsyncIterator
from functools import cached_property
from typing import Any, Final, Self
from urllib.parse import parse_qsl

from multidict import CIMultiDictProxy

from ...errors import InvalidMultipart, LimitExceeded, UsageError
from ...net.part_feed import PartContent, PartFeed
from ...protocol.codings import decode_body, make_decoder
from ...protocol.multipart_reader import MultipartParser
from . import hdrs
from .content_disposition import content_disposition_filename, parse_content_disposition
from .helpers import DEFAULT_CHUNK_SIZE, parse_mimetype
from .payload import Order, Payload, PayloadWriter, payload_type

__all__ = ["BodyPartReader", "BodyPartReaderPayload"]

_PIECE: Final = 65_536
_MOST_LINE: Final = 2**18
_BASE64: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
_NOT_BASE64: Final = bytes(byte for byte in range(256) if byte not in _BASE64)


class BodyPartReader:
    """One part.

    boundary             the delimiter, with its two dashes; of interest if `content` is not a reader's own
    headers              the header fields of the part
    content              the stream that holds it
    max_decompress_size  bytes that `decode` may give for compressed data, and `decode_iter` in one piece
    client_max_size      bytes that `read` may give; more raise `max_size_error_cls`
    """

    chunk_size = 8192

    def __init__(
        self,
        boundary: bytes,
        headers: CIMultiDictProxy[str],
        content: Any,
        *,
        subtype: str = "mixed",
        default_charset: str | None = None,
        max_decompress_size: int = DEFAULT_CHUNK_SIZE,
        client_max_size: int = sys.maxsize,
        max_size_error_cls: type[Exception] = ValueError,
    ) -> None:
        self.headers = headers
        if not isinstance(content, PartContent):
            content = PartContent(PartFeed(content, MultipartParser(boundary[2:].decode(), inside=True)))
        self._content: PartContent = content
        self._is_form_data = subtype == "form-data"
        self._default_charset = default_charset
        self._max_decompress_size = max_decompress_size
        self._client_max_size = client_max_size
        self._max_size_error_cls = max_size_error_cls
        self._at_eof = False
        self._pending = b""
        self._received = 0
        self._length: int | None = None
        length = None if self._is_form_data else headers.get(hdrs.CONTENT_LENGTH)  # RFC 7578 4.8
        if length is not None:
            if not (length.isascii() and length.isdigit() and len(length) < 20):
                raise InvalidMultipart(f"a part whose Content-Length is {length!r}")
            self._length = int(length)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        part = await self.next()
        if part is None:
            raise StopAsyncIteration
        return part

    async def next(self) -> bytes | None:
        """All of the part, None if there is nothing more of it."""
        return await self.read() or None

    async def _more(self) -> bool:
        """Read a piece into `_pending`; False at the end of the part."""
        piece = await self._content.readany()
        self._pending += piece
        self._received += len(piece)
        if self._length is not None and (self._received > self._length if piece else self._received != self._length):
            raise InvalidMultipart(f"a part that is not of the {self._length} bytes that it says it has")
        return bool(piece)

    async def read(self, *, decode: bool = False) -> bytes:
        """The rest of the part; with `decode` what `Content-Transfer-Encoding` and `Content-Encoding` did is undone."""
        pieces: list[bytes] = []
        size = 0
        while not self._at_eof:
            pieces.append(await self.read_chunk(_PIECE))
            size += len(pieces[-1])
            if size > self._client_max_size:
                raise self._max_size_error_cls(self._client_max_size)
        data = b"".join(pieces)
        if not decode or not data:
            return data
        decoded = self._transfer_decoded(data)
        if not self._is_coded():
            return decoded
        coding = self._coding()
        try:
            return decode_body(decoded, coding, max_size=self._client_max_size)
        except LimitExceeded as error:
            if self._client_max_size == sys.maxsize:
                raise  # it was not this limit
            raise self._max_size_error_cls(self._client_max_size) from error

    async def read_chunk(self, size: int = chunk_size) -> bytes:
        """At most `size` bytes as they arrive, b"" at the end.

        Of data in base64 whole groups of four characters, which can be decoded one by one; where `size` holds none, fewer.
        """
        if size < 1:
            raise UsageError(f"size must be at least 1, not {size!r}", argument="size")
        aligned = self._transfer_coding() == "base64"
        looked_at = 0
        while not self._at_eof:
            end = min(size, len(self._pending))
            if aligned and end:
                if end < min(size, 2 * looked_at):
                    end = 0  # what was in vain is not done again for every byte
                else:
                    looked_at = end
                    end = _whole_groups(self._pending, end) or (size if len(self._pending) >= size else 0)
            if end:
                chunk, self._pending = self._pending[:end], self._pending[end:]
                return chunk
            if not await self._more():
                self._at_eof = not aligned or len(self._pending) <= size
                chunk, self._pending = self._pending[:size], self._pending[size:]
                return chunk
        return b""

    async def readline(self) -> bytes:
        """The next line with its end, b"" behind the last one.  Raises `ValueError` for one of more than 256 KiB."""
        searched = 0
        while not self._at_eof:
            end = self._pending.find(b"\n", searched) + 1
            if end:
                line, self._pending = self._pending[:end], self._pending[end:]
                return line
            searched = len(self._pending)
            if searched > _MOST_LINE:
                raise ValueError("Chunk too big")
            if not await self._more():
                self._at_eof = True
                line, self._pending = self._pending, b""
                return line
        return b""

    async def release(self) -> None:
        """Let the rest of the part go by."""
        self._pending = b""
        self._at_eof = True
        await self._content.drain()

    async def text(self, *, encoding: str | None = None) -> str:
        """The part as text: by `encoding`, else by the charset it says it has, else that of its form, else as UTF-8."""
        data = await self.read(decode=True)
        return data.decode(encoding or self.get_charset(default="utf-8"))

    async def json(self, *, encoding: str | None = None) -> Any:
        """The part decoded as JSON, None if it is empty."""
        data = await self.read(decode=True)
        return json.loads(data.decode(encoding or self.get_charset(default="utf-8"))) if data else None

    async def form(self, *, encoding: str | None = None) -> list[tuple[str, str]]:
        """The pairs of a part that is application/x-www-form-urlencoded."""
        data = await self.read(decode=True)
        if not data:
            return []
        charset = encoding if encoding is not None else self.get_charset(default="utf-8")
        try:
            text = data.rstrip().decode(charset)
        except UnicodeDecodeError:
            raise ValueError(f"data cannot be decoded with {charset} encoding") from None
        return parse_qsl(text, keep_blank_values=True, encoding=charset)

    def at_eof(self) -> bool:
        """Whether the part was read to its end, or has gone by."""
        return self._at_eof or (not self._pending and self._content.at_eof())

    def decode(self, data: bytes) -> bytes:
        """`data`, which is all of the part, with its codings undone; at most `max_decompress_size` bytes if it is compressed."""
        data = self._transfer_decoded(data)
        return decode_body(data, self._coding(), max_size=self._max_decompress_size) if self._is_coded() else data

    async def decode_iter(self, data: bytes) -> AsyncIterator[bytes]:
        """The same in pieces, each of at most `max_decompress_size` bytes."""
        data = self._transfer_decoded(data)
        decoder = make_decoder(self._coding()) if self._is_coded() else None
        if decoder is None:
            yield data
            return
        decoder.feed(data)
        while piece := decoder.pull(self._max_decompress_size):
            yield piece
        decoder.finish()

    def _is_coded(self) -> bool:
        return not self._is_form_data and hdrs.CONTENT_ENCODING in self.headers

    def _coding(self) -> str:
        coding = self.headers.get(hdrs.CONTENT_ENCODING, "").lower()
        if coding not in ("identity", "deflate", "gzip"):
            raise RuntimeError(f"unknown content encoding: {coding}")
        return coding

    def _transfer_coding(self) -> str:
        return self.headers.get(hdrs.CONTENT_TRANSFER_ENCODING, "").lower()

    def _transfer_decoded(self, data: bytes) -> bytes:
        if hdrs.CONTENT_TRANSFER_ENCODING not in self.headers:
            return data
        coding = self._transfer_coding()
        if coding == "base64":
            return b64decode(data)
        if coding == "quoted-printable":
            return binascii.a2b_qp(data)
        if coding in ("binary", "8bit", "7bit"):
            return data
        raise RuntimeError(f"unknown content transfer encoding: {coding}")

    def get_charset(self, default: str) -> str:
        """The charset that the part says it has, else that of its form, else `default`."""
        parameters = parse_mimetype(self.headers.get(hdrs.CONTENT_TYPE, "")).parameters
        return parameters.get("charset", self._default_charset or default)

    @cached_property
    def _disposition(self) -> dict[str, str]:
        return parse_content_disposition(self.headers.get(hdrs.CONTENT_DISPOSITION))[1]

    @cached_property
    def name(self) -> str | None:
        """The name of the field, None if there is none."""
        return self._named("name")

    @cached_property
    def filename(self) -> str | None:
        """The name of the file as it was sent, None if there is none.  It may hold a path, and it may be meant to."""
        return self._named("filename")

    def _named(self, name: str) -> str | None:
        if self._is_form_data and name in self._disposition:
            return self._disposition[name]
        return content_disposition_filename(self._disposition, name)


def _whole_groups(data: bytes, size: int) -> int:
    """How much of the first `size` bytes is whole groups of four characters of base64; 0 for none.  Others do not count."""
    end = size
    left = len(data[:end].translate(None, _NOT_BASE64)) % 4
    while left:
        end -= 1
        left -= data[end] in _BASE64
    return end


@payload_type(BodyPartReader, order=Order.try_first)
class BodyPartReaderPayload(Payload):
    """A part that is being read, to be sent on, decoded.  It can be written once."""

    _once = True

    def __init__(self, value: BodyPartReader, *args: Any, **kwargs: Any) -> None:
        super().__init__(value, *args, **kwargs)
        names = {"name": value.name, "filename": value.filename}
        if given := {key: text for key, text in names.items() if text is not None}:
            self.set_content_disposition("attachment", True, **given)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Raises `TypeError`: the part is read when it is written."""
        raise TypeError("Unable to decode.")

    async def as_bytes(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Raises `TypeError`: the part is read when it is written."""
        raise TypeError("Unable to read body part as bytes. Use write() to consume.")

    async def write(self, writer: PayloadWriter) -> None:
        part: BodyPartReader = self._value
        self._consumed = True
        decoder = make_decoder(part._coding()) if part._is_coded() else None
        while chunk := await part.read_chunk(DEFAULT_CHUNK_SIZE):
            data = part._transfer_decoded(chunk)
            for piece in decoder.decode(data) if decoder is not None else (data,):
                await writer.write(piece)
        if decoder is not None:
            decoder.finish()
