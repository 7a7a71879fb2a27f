"""`aiohttp.multipart`: bodies of parts, to write and to read."""

from __future__ import annotations

from .multipart_writer import MultipartPayloadWriter, MultipartWriter

__all__ = ["MultipartPayloadWriter", "MultipartWriter"]
