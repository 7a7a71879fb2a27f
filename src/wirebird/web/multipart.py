"""Multipart bodies part by part, as they come (RFC 7578, RFC 2046 5.1): nothing is kept that the handler does not keep.

    async for part in await request.multipart():
        if part.filename is None:
            fields[part.name] = await part.text()
        else:
            async for piece in part:
                ...

The reader stands at one part at a time: to go on is to let go of the rest of the one before.
"""

from __future__ import annotations

import json as _json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, Protocol, Self

from ..errors import BodyConsumed, DecodingError, InvalidMultipart, LimitExceeded, ProtocolError
from ..models.charset import media_type_of
from ..models.headers import HttpHeaders
from ..net.part_feed import PartContent, PartFeed
from ..protocol.content_disposition import Disposition, read_disposition
from ..protocol.multipart_reader import MultipartParser, PartHead, read_boundary, read_parameters
from ..protocol.part_encodings import PartDecoder, make_part_decoder
from .byte_stream import ByteStream
from .content import decode_text, refusal
from .exceptions import HTTPBadRequest, HTTPRequestEntityTooLarge, HTTPUnsupportedMediaType

__all__ = ["MAX_PARTS", "MAX_PART_HEADERS", "MAX_PART_HEADER_SIZE", "MultipartReader", "Part"]

MAX_PARTS: Final = 1000
MAX_PART_HEADERS: Final = 8
MAX_PART_HEADER_SIZE: Final = 4096
MAX_DEPTH: Final = 8

_FAULTS: Final = (InvalidMultipart, DecodingError, LimitExceeded)


class Pieces(Protocol):
    """Where a body comes from."""

    async def readany(self) -> bytes:
        """The next piece, b"" at the end."""


class Part(ByteStream):
    """One part of a multipart body.  Iterated it gives its data in pieces, as they come; it has the ways to read of `Content`.

    headers   its header fields
    name      the name of the field, None if it says none
    filename  the name of the file as the client says it, None if it is none.  Not to be trusted: see `safe_filename`

    A Content-Transfer-Encoding (base64, quoted-printable) is taken off.  Reading raises `HTTPBadRequest` for what is not
    well-formed, `HTTPRequestEntityTooLarge` for what is too much, and `BodyConsumed` once the reader has gone on.
    """

    __slots__ = ("_content", "_decoder", "_depth", "_ended", "_fault", "_let_go", "_max_size", "disposition", "headers")

    def __init__(self, headers: HttpHeaders, content: PartContent, max_size: int | None, depth: int = 0) -> None:
        super().__init__()
        self.headers = headers
        self.disposition: Disposition = read_disposition(headers)
        self._content = content
        self._decoder = None
        if "content-transfer-encoding" in headers:
            self._decoder = make_part_decoder(headers["content-transfer-encoding"])
        self._max_size = max_size
        self._depth = depth
        self._ended = False
        self._fault: DecodingError | LimitExceeded | None = None
        self._let_go = False

    def __repr__(self) -> str:
        return f"<Part name={self.name!r} filename={self.filename!r} {self.content_type}>"

    @property
    def name(self) -> str | None:
        """The name of the field, None if it says none."""
        return self.disposition.name

    @property
    def filename(self) -> str | None:
        """The name of the file as the client says it, None if it is none."""
        return self.disposition.filename

    @property
    def content_type(self) -> str:
        """The media type, in lower case; if it says none, `application/octet-stream` of a file and else `text/plain`."""
        kind = media_type_of(self.headers.get("content-type", ""))
        return kind or ("text/plain" if self.filename is None else "application/octet-stream")

    @property
    def charset(self) -> str | None:
        """The `charset` parameter of Content-Type."""
        if "content-type" not in self.headers:
            return None
        read = read_parameters(self.headers["content-type"])
        return next((value for name, value in read[1] if name == "charset" and value), None) if read is not None else None

    def at_eof(self) -> bool:
        """Whether it was read to its end."""
        return not self._buffer and (self._ended or self._content.at_eof())

    async def _next(self) -> bytes:
        if self._let_go:
            raise BodyConsumed("the reader has gone on to the next part")
        if self._ended:
            return b""
        try:
            piece = await self._content.readany()
            if self._decoder is not None:
                piece = await self._decoded(self._decoder, piece)
        except _FAULTS as error:
            raise refusal(error) from error
        self._ended = not piece
        return piece

    async def _decoded(self, decoder: PartDecoder, piece: bytes) -> bytes:
        if self._fault is not None:
            raise self._fault  # nothing is read behind it
        try:
            while piece:
                if decoded := decoder.decode(piece):
                    return decoded
                piece = await self._content.readany()
            return decoder.finish()
        except (DecodingError, LimitExceeded) as error:
            self._fault = error
            raise

    async def read(self, n: int = -1) -> bytes:
        """At most `n` bytes as soon as there are some, b"" at the end.  For -1 everything, if that is no more than the limit for
        a body that is read whole, else it raises `HTTPRequestEntityTooLarge`."""
        if n >= 0:
            return await super().read(n)
        buffer = self._buffer
        limit = self._max_size
        while piece := await self._next():
            if limit is not None and len(buffer) + len(piece) > limit:
                raise HTTPRequestEntityTooLarge(limit, len(buffer) + len(piece), text=f"413: a part of more than {limit} bytes")
            buffer += piece
        return self._take(len(buffer))

    async def read_chunk(self, n: int = 65536) -> bytes:
        """At most `n` bytes as soon as there are some, b"" at the end."""
        return await self.read(n)

    async def text(self, *, encoding: str | None = None) -> str:
        """All of it as text: by `encoding`, else the charset that it says, else UTF-8.  Raises `HTTPBadRequest` for bytes that do
        not fit, `HTTPUnsupportedMediaType` for a charset that is not known."""
        return decode_text(await self.read(), encoding or self.charset or "utf-8")

    async def json(self, *, loads: Callable[[str], Any] = _json.loads) -> Any:
        """All of it decoded as JSON.  Raises what `loads` raises, and what `text` raises."""
        return loads(await self.text())

    async def release(self) -> None:
        """Let the rest of it go by."""
        self._buffer.clear()
        try:
            await self._content.drain()
        except _FAULTS as error:
            raise refusal(error) from error
        self._ended = True

    async def let_go(self) -> None:
        """Let the rest of it go by, and give nothing more: the reader goes on."""
        self._let_go = True
        self._buffer.clear()
        await self._content.drain()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.iter_any()

    @property
    def is_multipart(self) -> bool:
        """Whether it is itself made of parts."""
        return self.content_type.startswith("multipart/")

    def multipart(self) -> MultipartReader:
        """Its parts, if it is multipart itself.  Raises `HTTPUnsupportedMediaType` if not, and `HTTPBadRequest` for parts within
        parts that are deeper than 8."""
        if self._depth == MAX_DEPTH:
            raise HTTPBadRequest(text="400: a multipart body that is too deep")
        return MultipartReader.of(self, self.headers, max_size=self._max_size, depth=self._depth + 1)


class MultipartReader:
    """The parts of a body, one after the other: `async for part in reader`, or `await reader.next()`.

    source           where the body comes from
    boundary         what stands between its parts
    max_size         bytes of a part that is read whole, None for any number
    max_parts        how many there may be, 1000
    max_headers      header fields of a part, 8
    max_header_size  bytes of one, 4096
    depth            how many multipart bodies it is within

    What is no multipart body raises `HTTPBadRequest`, and so does a part with too many header fields, or too large ones; more
    parts than are allowed raise `HTTPRequestEntityTooLarge`.
    """

    __slots__ = ("_depth", "_fault", "_feed", "_max_size", "_part")

    def __init__(
        self,
        source: Pieces,
        boundary: str,
        *,
        max_size: int | None = None,
        max_parts: int = MAX_PARTS,
        max_headers: int = MAX_PART_HEADERS,
        max_header_size: int = MAX_PART_HEADER_SIZE,
        depth: int = 0,
    ) -> None:
        parser = MultipartParser(boundary, max_parts=max_parts, max_headers=max_headers, max_header_size=max_header_size)
        self._feed = PartFeed(source, parser)
        self._part: Part | None = None
        self._fault: ProtocolError | None = None
        self._max_size = max_size
        self._depth = depth

    @classmethod
    def of(cls, source: Pieces, headers: HttpHeaders, **options: Any) -> Self:
        """The reader of a body with these header fields.  Raises `HTTPUnsupportedMediaType` if it is not multipart, and
        `HTTPBadRequest` if it does not say what stands between its parts."""
        kinds = headers.get_list("content-type")
        if not kinds or not kinds[0].lower().startswith("multipart/"):
            raise HTTPUnsupportedMediaType(text="415: the body is not multipart")
        try:
            if len(kinds) > 1:
                raise InvalidMultipart("a body with more than one Content-Type")
            return cls(source, read_boundary(kinds[0]), **options)
        except InvalidMultipart as error:
            raise refusal(error) from error

    def __repr__(self) -> str:
        return f"<MultipartReader at {self._part!r}>"

    async def next(self) -> Part | None:
        """The next part, None behind the last one."""
        if self._fault is not None:
            raise refusal(self._fault)
        part = self._part
        try:
            if part is not None:
                await part.let_go()
                self._part = None
            event = await self._feed.next()
            if isinstance(event, PartHead):
                self._part = Part(event.fields, PartContent(self._feed), self._max_size, self._depth)
        except _FAULTS as error:
            self._fault = error  # nothing is read behind it
            raise refusal(error) from error
        return self._part

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Part:
        part = await self.next()
        if part is None:
            raise StopAsyncIteration
        return part
