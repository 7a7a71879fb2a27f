"""`aiohttp.web_fileresponse`: a file as a response; conditions and ranges are wirebird's (`web/files.py`)."""

from __future__ import annotations

import os
from typing import Any

from ...models.headers import HeadersLike
from ...web.files import CHUNK_SIZE, media_type
from ...web.files import FileResponse as _FileResponse
from . import hdrs
from .payload_writer import StreamWriter
from .web_response import StreamResponse

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

    def _size(self, request: Any) -> int | None:
        return self._length if self.coding is None or self._length == 0 else None

    async def prepare(self, request: Any) -> StreamWriter | None:  # type: ignore[override]
        """Send all of it; idempotent."""
        if not self.prepared:
            self._take(request)
            if (coding := self._choose_coding(request)) is not None:
                _FileResponse.enable_compression(self, coding)
        await _FileResponse.prepare(self, request)
        return None if self.eof_sent else self._writer

    async def deliver(self, request: Any) -> None:
        """Send all of it, unless that was done."""
        await self.prepare(request)
        await self.write_eof()
