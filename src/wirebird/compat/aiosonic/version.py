"""`aiosonic.version`: the version that the `User-Agent` field names, which is wirebird's."""

from __future__ import annotations

from ..._version import VERSION

__all__ = ["VERSION"]
