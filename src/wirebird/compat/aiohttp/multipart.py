"""`aiohttp.multipart`: bodies of parts, to write (`multipart_writer.py`) and to read, as they arrive.

What takes a body apart is `protocol/multipart_reader.py`.  A part that is itself multipart is read by a reader of its own, whose
input is the data of the part: the end of the outer one ends the inner one, whatever that holds.

What is different from aiohttp: a delimiter ends a part always, and a `Content-Length` that says otherwise is an error, not the
truth; decompression is bounded; the boundary may have 256 characters; where a form has `filename` and `filename*`, the plain one
counts (RFC 7578 4.2); errors are `wirebird.InvalidMultipart`, a `ValueError`, and `wirebird.LimitExceeded`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final, Self

from multidict import CIMultiDictProxy

from ...net.part_feed import PartContent, PartFeed
from ...protocol.multipart_reader import MultipartParser, PartHead, read_boundary
from . import hdrs
from .body_part import BodyPartReader, BodyPartReaderPayload
from .content_disposition import (
    BadContentDispositionHeader,
    BadContentDispositionParam,
    content_disposition_filename,
    parse_content_disposition,
)
from .helpers import parse_mimetype
from .multipart_writer import MultipartPayloadWriter, MultipartWriter

__all__ = [
    "BadContentDispositionHeader",
    "BadContentDispositionParam",
    "BodyPartReader",
    "BodyPartReaderPayload",
    "MultipartPayloadWriter",
    "MultipartReader",
    "MultipartResponseWrapper",
    "MultipartWriter",
    "content_disposition_filename",
    "parse_content_disposition",
]

# Parts are read one by one by whoever wants them: what bounds their number is the body.
_ALL_PARTS: Final = sys.maxsize


class MultipartResponseWrapper:
    """A reader of a response, which is released when its last part was read."""

    def __init__(self, resp: Any, stream: MultipartReader) -> None:
        self.resp = resp
        self.stream = stream

    def __aiter__(self) -> MultipartResponseWrapper:
        return self

    async def __anext__(self) -> MultipartReader | BodyPartReader:
        part = await self.next()
        if part is None:
            raise StopAsyncIteration
        return part

    def at_eof(self) -> bool:
        """Whether the body of the response was read whole."""
        return bool(self.resp.content.at_eof())

    async def next(self) -> MultipartReader | BodyPartReader | None:
        """The next part, None behind the last one."""
        item = await self.stream.next()
        if self.stream.at_eof():
            await self.release()
        return item

    async def release(self) -> None:
        """Let go of the response."""
        await self.resp.release()


class MultipartReader:
    """A multipart body: its parts, one after the other.

    headers          those of the message or part; `Content-Type` names the boundary
    content          a stream: what has `readany()`, or `read(size)`
    client_max_size  bytes that reading one part whole may give; more raise `max_size_error_cls`
    max_field_size   bytes of one header field of a part
    max_headers      header fields of a part

    The next part can be had once this one is done with; what was not read of it goes by.
    """

    response_wrapper_cls = MultipartResponseWrapper
    multipart_reader_cls: type[MultipartReader] | None = None
    part_reader_cls = BodyPartReader

    def __init__(
        self,
        headers: Mapping[str, str],
        content: Any,
        *,
        client_max_size: int = sys.maxsize,
        max_field_size: int = 8190,
        max_headers: int = 128,
        max_size_error_cls: type[Exception] = ValueError,
    ) -> None:
        self._mimetype = parse_mimetype(headers[hdrs.CONTENT_TYPE])
        boundary = read_boundary(headers[hdrs.CONTENT_TYPE])
        self.headers = headers
        self._boundary = b"--" + boundary.encode()
        self._content = content
        self._feed = PartFeed(
            content,
            MultipartParser(boundary, max_parts=_ALL_PARTS, max_headers=max_headers, max_header_size=max_field_size),
        )
        self._limits: dict[str, Any] = {"client_max_size": client_max_size, "max_size_error_cls": max_size_error_cls}
        self._head_limits: dict[str, Any] = {"max_field_size": max_field_size, "max_headers": max_headers}
        self._default_charset: str | None = None
        self._part: PartContent | None = None
        self._first = True
        self._at_eof = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> MultipartReader | BodyPartReader:
        part = await self.next()
        if part is None:
            raise StopAsyncIteration
        return part

    @classmethod
    def from_response(cls, response: Any) -> MultipartResponseWrapper:
        """A reader of the body of a response, which is released after its last part."""
        return cls.response_wrapper_cls(response, cls(response.headers, response.content))

    def at_eof(self) -> bool:
        """Whether the last delimiter was read."""
        return self._at_eof

    async def next(self) -> MultipartReader | BodyPartReader | None:
        """The next part, None behind the last one."""
        part = await self.fetch_next_part()
        first, self._first = self._first, False
        if first and isinstance(part, BodyPartReader) and part._is_form_data and part._disposition.get("name") == "_charset_":
            charset = b""
            while not part.at_eof() and len(charset) < 32:  # RFC 7578 4.6
                charset += await part.read_chunk(32)
            if len(charset) > 31:
                raise RuntimeError("Invalid default charset")
            self._default_charset = charset.strip().decode()
            return await self.fetch_next_part()
        return part

    async def fetch_next_part(self) -> MultipartReader | BodyPartReader | None:
        """The next part, whatever it is for."""
        if self._at_eof:
            return None
        if self._part is not None:
            await self._part.drain()
        event = await self._feed.next()
        if not isinstance(event, PartHead):
            self._at_eof = True
            return None
        self._part = PartContent(self._feed)
        return self._get_part_reader(CIMultiDictProxy(event.fields))

    def _get_part_reader(self, headers: CIMultiDictProxy[str]) -> MultipartReader | BodyPartReader:
        if parse_mimetype(headers.get(hdrs.CONTENT_TYPE, "")).type == "multipart":
            nested = self.multipart_reader_cls or type(self)
            return nested(headers, self._part, **self._limits, **self._head_limits)
        return self.part_reader_cls(
            self._boundary,
            headers,
            self._part,
            subtype=self._mimetype.subtype,
            default_charset=self._default_charset,
            **self._limits,
        )

    async def release(self) -> None:
        """Let everything up to the last delimiter go by."""
        while not self._at_eof:
            self._at_eof = await self._feed.next() is None
