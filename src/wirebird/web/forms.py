"""Forms: `request.post()` reads a whole one, `request.multipart()` its parts as they come (RFC 7578, WHATWG URL 5.1).

A form that is read whole is bounded in every direction: `max_body_size` counts all of it, `FormLimits` the rest.  The limits are
the same however it is encoded.  What breaks them is answered with 413, what is no form with 400.

A field without a file name is text; one of another media type is bytes, as it came.  One with a file name, be it empty, is a
`FileField`: browsers send an empty name where no file was chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from io import BytesIO
from typing import TYPE_CHECKING, Final, TypeAlias

from multidict import MultiDict, MultiDictProxy

from ..errors import BodyConsumed, LimitExceeded
from ..models.charset import codec_name
from ..models.form_encoding import decode_form
from ..models.numbers import check_count
from ..net.incoming import Incoming
from .content import Content, decode_text, refusal
from .exceptions import HTTPBadRequest, HTTPRequestEntityTooLarge, HTTPUnsupportedMediaType
from .multipart import MAX_PART_HEADER_SIZE, MAX_PART_HEADERS, MAX_PARTS, MultipartReader, Part
from .uploads import FileField, Spool, close_spools

if TYPE_CHECKING:
    from .request import Request

__all__ = ["DEFAULT_FORM_LIMITS", "FormData", "FormLimits", "FormValue", "multipart_reader", "read_form"]

FormValue: TypeAlias = "str | bytes | FileField"

_MOST_CHARSET: Final = 40


@dataclass(frozen=True, slots=True)
class FormLimits:
    """What a form may have that is read whole, besides `max_body_size`, which is for all of it; sizes in bytes.

    fields       fields, those with a file among them, 1000
    files        of these, 100: each may be a temporary file
    field_size   a field that is no file, 1 MiB
    file_size    a file, None for no limit but that of the body
    headers      header fields of a part, 8
    header_size  one of these, 4096
    spool_size   a file that is kept in memory; a larger one goes to a temporary file, 1 MiB
    memory       what is kept in memory of all together, 4 MiB; beyond, files go to disk, and anything else is refused

    Raises `UsageError` for a bad value, naming it.
    """

    fields: int = MAX_PARTS
    files: int = 100
    field_size: int = 1024 * 1024
    file_size: int | None = None
    headers: int = MAX_PART_HEADERS
    header_size: int = MAX_PART_HEADER_SIZE
    spool_size: int = 1024 * 1024
    memory: int = 4 * 1024 * 1024

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if value is not None or one.name != "file_size":
                check_count(one.name, value)


DEFAULT_FORM_LIMITS: Final = FormLimits()


class FormData(MultiDictProxy[FormValue]):
    """The fields of a form, in order; immutable.  `form[name]` is the first of that name, `form.getall(name)` are all of them.

    data    the pairs of name and value
    spools  what is to be closed with it, besides the files in memory
    """

    __slots__ = ("_spools",)

    def __init__(self, data: Iterable[tuple[str, FormValue]] = (), spools: Iterable[Spool] = ()) -> None:
        super().__init__(MultiDict(data))
        self._spools = list(spools)  # the files that are on disk

    @property
    def files(self) -> list[FileField]:
        """The files, in order."""
        return [value for value in self.values() if isinstance(value, FileField)]

    async def close(self) -> None:
        """Close its files; the end of the request does it too.  Idempotent."""
        spools, self._spools = self._spools, []
        for one in self.files:
            if isinstance(one.file, BytesIO):
                one.file.close()
        await close_spools(spools)


def multipart_reader(request: Request) -> MultipartReader:
    """The parts of the body of `request`, as they come.  Raises `HTTPUnsupportedMediaType` if it is not multipart, and
    `HTTPBadRequest` if it does not say what stands between them."""
    return MultipartReader.of(_unread(request), request.headers, max_size=request.body_limit())


def _unread(request: Request) -> Content:
    """The body from its beginning.  Raises `BodyConsumed` if a part of it was read as a stream."""
    body = request.read_already()
    if body is not None:
        return Content(Incoming(None, body))
    if request.content.is_begun:
        raise BodyConsumed("the body, or a part of it, was read before")
    return request.content


async def read_form(request: Request, limits: FormLimits = DEFAULT_FORM_LIMITS) -> FormData:
    """The form that `request` brings; empty for a body of another type.

    Raises `HTTPBadRequest` for what is no form, `HTTPRequestEntityTooLarge` for more than is allowed, `HTTPUnsupportedMediaType`
    for a charset or a coding that is not known, and `BodyConsumed` if the body was read as a stream.
    """
    kind = request.content_type
    if kind == "multipart/form-data":
        return await _read_parts(request, limits)
    if kind == "application/x-www-form-urlencoded":
        return FormData(await _read_pairs(request, limits))
    return FormData()


async def _read_pairs(request: Request, limits: FormLimits) -> list[tuple[str, str]]:
    limit = request.body_limit()
    body = await request.read(limits.memory if limit is None else min(limit, limits.memory))
    charset = request.charset or "utf-8"
    codec = codec_name(charset)
    if codec is None:
        raise HTTPUnsupportedMediaType(text=f"415: the charset {charset!r} is not known")
    try:
        return decode_form(body, codec, max_fields=limits.fields, max_size=limits.field_size)
    except LimitExceeded as error:
        raise refusal(error) from error
    except UnicodeDecodeError:
        raise HTTPBadRequest(text=f"400: a form that is not {charset}") from None


class _Bounded:
    """A body of which there may be no more than `limit` bytes."""

    __slots__ = ("_content", "_limit")

    def __init__(self, content: Content, limit: int) -> None:
        self._content = content
        self._limit = limit

    async def readany(self) -> bytes:
        """The next piece, b"" at the end.  Raises `HTTPRequestEntityTooLarge`."""
        piece = await self._content.readany()
        if self._content.total_bytes > self._limit:
            raise HTTPRequestEntityTooLarge(self._limit, self._content.total_bytes)
        return piece


async def _read_parts(request: Request, limits: FormLimits) -> FormData:
    content = _unread(request)
    limit = request.body_limit()
    if limit is not None and request.head.length > limit:
        raise HTTPRequestEntityTooLarge(limit, request.head.length)
    source = content if limit is None else _Bounded(content, limit)
    reader = MultipartReader.of(
        source,
        request.headers,
        max_parts=limits.fields,
        max_headers=limits.headers,
        max_header_size=limits.header_size,
    )
    form = _Form(limits)
    try:
        async for part in reader:
            await form.add(part)
        while await source.readany():  # what is behind the last part
            pass
    except BaseException:
        await close_spools(form.spools)
        raise
    return FormData(form.found, form.spools)


class _Form:
    """A multipart form that is being read."""

    __slots__ = ("_charset", "_files", "_kept", "_limits", "found", "spools")

    def __init__(self, limits: FormLimits) -> None:
        self._limits = limits
        self._charset = "utf-8"
        self._files = 0
        self._kept = 0  # bytes in memory
        self.found: list[tuple[str, FormValue]] = []
        self.spools: list[Spool] = []

    async def add(self, part: Part) -> None:
        """Read the next field."""
        kind, name, filename = part.disposition
        if kind != "form-data" or name is None:
            raise HTTPBadRequest(text="400: a part of a form without a name")
        self._keep(len(name))
        if filename is None:
            self.found.append((name, await self._read_field(part, name)))
        else:
            self._keep(sum(map(len, part.headers.values())))
            self.found.append((name, await self._read_file(part, name, filename)))

    def _keep(self, size: int) -> None:
        self._kept += size
        maximum = self._limits.memory
        if self._kept > maximum:
            raise _too_large(f"a form that needs more than {maximum} bytes of memory", maximum)

    async def _read_field(self, part: Part, name: str) -> str | bytes:
        maximum = self._limits.field_size
        pieces: list[bytes] = []
        size = 0
        while piece := await part.readany():
            size += len(piece)
            if size > maximum:
                raise _too_large(f"the field {name!r} has more than {maximum} bytes", maximum)
            self._keep(len(piece))
            pieces.append(piece)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if not part.content_type.startswith("text/"):
            return data
        text = decode_text(data, part.charset or self._charset)
        if name == "_charset_" and size <= _MOST_CHARSET:  # RFC 7578 4.6
            self._charset = text
        return text

    async def _read_file(self, part: Part, name: str, filename: str) -> FileField:
        limits = self._limits
        self._files += 1
        if self._files > limits.files:
            raise _too_large(f"a form of more than {limits.files} files", limits.files)
        maximum = limits.file_size
        spool = Spool(min(limits.spool_size, limits.memory - self._kept))
        self.spools.append(spool)
        while piece := await part.readany():
            await spool.write(piece)
            if maximum is not None and spool.size > maximum:
                raise _too_large(f"the file {name!r} has more than {maximum} bytes", maximum)
        file = await spool.finish()
        if spool.in_memory:
            self._keep(spool.size)
            self.spools.pop()
        return FileField(name, filename, file, part.content_type, part.headers, spool.size)


def _too_large(message: str, maximum: int) -> HTTPRequestEntityTooLarge:
    return HTTPRequestEntityTooLarge(maximum, maximum + 1, text=f"413: {message}")
