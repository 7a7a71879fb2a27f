"""`aiohttp.web_fileresponse`: a file as a response; conditions and ranges are wirebird's (`web/files.py`)."""

from __future__ import annotations

import os
from typing import Any

from ...models.headers import HeadersLike
from ...web.files import CHUNK_SIZE, media_type
from ...web.files import FileResponse as _FileResponse
from . import hdrs
from .payload_writer import StreamWriter
from .web_response import ContentCoding, StreamResponse

__all__ = ["FileResponse"]


class FileResponse(StreamResponse, _FileResponse):
    """A file at `path`, with ranges, conditions, and `path.gz` or `path.br` for clients that like these better."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        chunk_size: int = CHUNK_SIZE,
        status: int = 200,
        reason: str | None = None,
        headers: HeadersLike | None = None,
    ) -> None:
        StreamResponse.__init__(self, status=status, reason=reason, headers=headers)
        self._path = path
        self.path = os.fspath(path)
        self.chunk_size = chunk_size
        self.precompressed = True
        self._opened = None
        self._headers.setdefault(hdrs.CONTENT_TYPE, media_type(self.path))

    def enable_compression(  # type: ignore[override]
        self, force: bool | ContentCoding | None = None, strategy: int | None = None
    ) -> None:
        """Compress the file as it is sent; with a length that is not known before, and no ranges."""
        super().enable_compression(force, strategy)
        chosen = self._compression_force
        if chosen is not ContentCoding.identity:
            _FileResponse.enable_compression(self, None if chosen is None else chosen.value)

    async def prepare(self, request: Any) -> StreamWriter | None:  # type: ignore[override]
        """Send all of it; idempotent."""
        if not self.prepared:
            self._take(request)
        await _FileResponse.prepare(self, request)
        return None if self.eof_sent else self._writer

    async def deliver(self, request: Any) -> None:
        """Send all of it, unless that was done."""
        await self.prepare(request)
        await self.write_eof()
