"""Files as responses (RFC 9110 8, 13, 14): conditions, ranges, compressed siblings; sent without passing through this process.

What was promised of a file is kept or the connection is broken off: one that becomes shorter while it is sent, or whose bytes are
written over, ends in an incomplete response, never in one that looks whole.  The last bytes are held back until that is known.
A file that only grows, as a log does, is sent as far as it went when it was opened; one that is replaced by another is sent as
it was.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from errno import ESTALE
from functools import cache
from http import HTTPStatus
from mimetypes import MimeTypes
from pathlib import PurePath
from secrets import token_hex
from time import time
from typing import TYPE_CHECKING, Final

from ..errors import UsageError
from ..models.dates import format_http_date, parse_http_date
from ..models.headers import HeadersLike, add_vary
from ..models.numbers import check_count
from ..protocol.byte_ranges import ByteRange, byte_ranges, content_range, part_head, parts_end, unsatisfied_range
from ..protocol.preconditions import Validators, failed_condition, may_be_a_part, weak_tag
from .opened_file import FileChanged, OpenedFile, open_in_thread, status_of
from .response import StreamResponse

if TYPE_CHECKING:
    from .request import Request

__all__ = ["CHUNK_SIZE", "FileResponse", "media_type"]

CHUNK_SIZE: Final = 262144
"""Bytes that are read at once where the operating system does not send the file itself."""

# What is sent last, when it is known that the file is the same still.
_HELD_BACK: Final = 16384

# What describes the file, and not an answer that says why it is not sent.
_OF_THE_FILE: Final = (
    *("Content-Type", "Content-Encoding", "Content-Disposition", "Content-Language", "ETag", "Last-Modified", "Cache-Control"),
    *("Expires", "Accept-Ranges", "Content-Range"),
)

# What the standard library's list, the oldest that is supported, does not have, or has otherwise (RFC 9239, RFC 8081, IANA).  A
# file that is compressed is one: with a Content-Encoding, clients would unpack it.
_TYPES: Final = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".ttf": "font/ttf",
    ".otf": "font/otf",
    ".md": "text/markdown",
    ".avif": "image/avif",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".webmanifest": "application/manifest+json",
    ".map": "application/json",
    ".jsonld": "application/ld+json",
    ".ico": "image/vnd.microsoft.icon",
    ".opus": "audio/ogg",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".mkv": "video/matroska",
    ".gz": "application/gzip",
    ".tgz": "application/gzip",
    ".br": "application/octet-stream",
    ".zst": "application/zstd",
    ".bz2": "application/x-bzip2",
    ".xz": "application/x-xz",
    ".7z": "application/x-7z-compressed",
}


@cache
def _types() -> dict[str, str]:
    known = MimeTypes()  # its own list: not what a machine, or a registry, says besides
    return {**known.types_map[True], **_TYPES}


def media_type(name: str) -> str:
    """The media type that goes with the name of a file, `application/octet-stream` for an unknown ending."""
    return _types().get(PurePath(name).suffix.lower(), "application/octet-stream")


class FileResponse(StreamResponse):
    """A file.

    path           where it is; app code chooses it, so it is not checked: never a part of a request (see `static`)
    status         200; ranges and conditions apply to that only
    headers        fields of the response; they may hold the Content-Type, ETag or Last-Modified in place of those of the file
    chunk_size     bytes that are read at once where the operating system does not send the file itself, 262,144
    precompressed  whether `path.br`, `path.zst` and `path.gz` are sent to clients that like them better

    The type goes by the name.  GET is answered with what was asked for by If-Match, If-None-Match, If-Modified-Since,
    If-Unmodified-Since, Range and If-Range; several ranges as multipart/byteranges; a Range that is malformed, asks for more
    than 16 ranges, or for the same bytes twice, is ignored.  No file is 404, one that cannot be read, or is none, 403.

    Raises `UsageError` for a bad argument.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        status: int = 200,
        reason: str | None = None,
        headers: HeadersLike | None = None,
        chunk_size: int = 262144,
        precompressed: bool = True,
    ) -> None:
        super().__init__(status=status, reason=reason, headers=headers)
        check_count("chunk_size", chunk_size, 1, "a number of bytes")
        name = os.fspath(path)
        if not isinstance(name, str) or "\0" in name or not name:
            raise UsageError(f"path must be that of a file, not {path!r}", argument="path")
        self.path = name
        self.chunk_size = chunk_size
        self.precompressed = precompressed
        self._opened: OpenedFile | None = None
        if "content-type" not in self.headers:
            self.headers["Content-Type"] = media_type(name)

    @classmethod
    def of(cls, file: OpenedFile, *, headers: HeadersLike | None, chunk_size: int) -> FileResponse:
        """One of a file that is open already."""
        response = cls(file.path, headers=headers, chunk_size=chunk_size)
        response._opened = file
        return response

    # -- sending -------------------------------------------------------------------------------------------------------

    async def prepare(self, request: Request) -> None:
        """Send all of it; idempotent.  Raises what is wrong with it, `OSError` if the file cannot be read, `ConnectionLost`."""
        if self.prepared:
            return
        self._request = request
        try:
            file = self._opened or await self._open(request)
        except OSError as error:
            if (status := status_of(error)) is None:
                raise
            await self._refuse(request, status)
            return
        try:
            await self._answer(request, file)
        finally:
            self._opened = None
            file.close()

    async def _open(self, request: Request) -> OpenedFile:
        looks = self.precompressed and "content-encoding" not in self.headers
        return await open_in_thread(self.path, request.headers.get_list("accept-encoding") if looks else None)

    async def _answer(self, request: Request, file: OpenedFile) -> None:
        """Decide what of the file is sent, and send that."""
        headers = self.headers
        if file.varies:
            add_vary(headers, "Accept-Encoding")
        if file.coding is None and self.coding is None:
            await self._refuse(request, 406)
            return
        is_coded = file.coding not in (None, "identity")
        if file.coding is not None and is_coded:
            headers["Content-Encoding"] = file.coding
        if "etag" not in headers:
            if file.etag is not None:
                headers["ETag"] = file.etag
        elif is_coded:
            headers["ETag"] = weak_tag(headers["etag"])  # it is that of other bytes
        if file.modified is not None and "last-modified" not in headers:
            headers["Last-Modified"] = format_http_date(file.modified)
        parts: list[ByteRange] = [ByteRange(0, file.size)]
        if self._status == 200 and request.method in ("GET", "HEAD"):
            clock = time()
            if self.coding is not None and file.size < self.coding.min_size:
                self.coding = None
            ranged = self.coding is None or self.coding.choose(request.headers, 200, headers) is None
            if ranged:
                self.coding = None
            elif "etag" in headers:
                headers["ETag"] = weak_tag(headers["etag"])  # as it will be, when it is compressed
            modified = parse_http_date(headers.get("last-modified", ""), clock)
            state = Validators(headers.get("etag"), None if modified is None else int(modified))
            failed = failed_condition(request.method, request.headers, state, clock)
            if failed == 412:
                await self._refuse(request, 412)
                return
            if failed == 304:
                await self._not_modified(request)
                return
            if ranged:
                headers["Accept-Ranges"] = "bytes"
            if ranged and request.method == "GET" and "range" in request.headers and may_be_a_part(request.headers, state, clock):
                asked = byte_ranges(request.headers.get_list("range"), file.size)
                if asked == []:
                    headers["Content-Range"] = unsatisfied_range(file.size)
                    await self._refuse(request, 416)
                    return
                if asked is not None:
                    parts = asked
                    self.set_status(206)
        await self._send(request, file, parts)

    async def _send(self, request: Request, file: OpenedFile, parts: list[ByteRange]) -> None:
        headers = self.headers
        segments: Sequence[bytes | ByteRange] = parts
        if self._status == 206 and len(parts) == 1:
            headers["Content-Range"] = content_range(parts[0], file.size)
        elif self._status == 206:
            boundary = token_hex(16)
            kind = headers["Content-Type"]
            headers["Content-Type"] = f"multipart/byteranges; boundary={boundary}"
            segments = [one for part in parts for one in (part_head(boundary, part, file.size, kind), part)]
            segments = [*segments, parts_end(boundary)]
        self._length = sum(len(one) if isinstance(one, bytes) else one.stop - one.start for one in segments)
        await request.app.prepare_response(request, self)
        if file.data is not None and self.coding is None:
            data = file.data
            body = b"".join([one if isinstance(one, bytes) else data[one.start : one.stop] for one in segments])
            self.prepared = self.eof_sent = True
            await self._send_whole(request, body)
            return
        await self._start(request, self._length)
        if request.method != "HEAD":
            for index, segment in enumerate(segments):
                if isinstance(segment, bytes):
                    await self.write(segment)
                else:
                    await self._send_part(request, file, segment, is_last=index >= len(segments) - 2)
        await self.write_eof()

    async def _send_part(self, request: Request, file: OpenedFile, part: ByteRange, *, is_last: bool) -> None:
        at, stop = part
        held_back = min(stop - at, _HELD_BACK) if is_last else 0
        stop -= held_back
        if (
            self._encoder is None
            and file.data is None
            and (send_file := getattr(request.exchange, "send_file", None)) is not None
        ):
            at += await send_file(file.fileno(), at, stop - at)
        while at < stop:
            piece = await file.read(at, min(self.chunk_size, stop - at))
            if not piece:
                raise FileChanged(ESTALE, "the file became shorter while it was sent", self.path)
            await self.write(piece)
            at += len(piece)
        if held_back:
            await self.write(await file.read_last(stop, held_back))

    # -- sending something else ----------------------------------------------------------------------------------------

    async def _not_modified(self, request: Request) -> None:
        """304 with what a 200 would say of caching, and not of the content (RFC 9110 15.4.5)."""
        for name in ("Content-Type", "Content-Encoding", "Content-Disposition", "Content-Language"):
            self.headers.pop(name, None)
        await self._finish(request, 304, b"")

    async def _refuse(self, request: Request, status: int) -> None:
        """An error in place of the file, with those of its fields that are not about the file."""
        unsatisfied = self.headers.get("content-range")
        for name in _OF_THE_FILE:
            self.headers.pop(name, None)
        if unsatisfied is not None:
            self.headers["Content-Range"] = unsatisfied
        self.headers["Content-Type"] = "text/plain; charset=utf-8"
        await self._finish(request, status, f"{status}: {HTTPStatus(status).phrase}".encode())

    async def _finish(self, request: Request, status: int, body: bytes) -> None:
        self.set_status(status)
        self.coding = None
        self._length = len(body)
        await request.app.prepare_response(request, self)
        self.prepared = self.eof_sent = True
        await self._send_whole(request, body)
