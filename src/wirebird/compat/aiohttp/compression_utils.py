"""`aiohttp.compression_utils`: the one name of it that programs use."""

from __future__ import annotations

from typing import Any

__all__ = ["set_zlib_backend"]


def set_zlib_backend(new_zlib_backend: Any) -> None:
    """Accepted, and without effect: `zlib` is the standard library's."""
