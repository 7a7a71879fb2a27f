"""`aiosonic.pools`: the two pools, which are wirebird's but for what `release` gives."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from ...net.pool import CyclicQueuePool as _CyclicQueuePool
from ...net.pool import SmartPool

if TYPE_CHECKING:
    from urllib.parse import ParseResult

    from yarl import URL

__all__ = ["CyclicQueuePool", "SmartPool"]


class _Released:
    """What may be awaited, and need not be."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, None]:
        yield from ()


_RELEASED = _Released()


class CyclicQueuePool(_CyclicQueuePool):
    """A pool that takes its slots in turn.  `release` was a coroutine once, and became a function: both ways to call it work."""

    __slots__ = ()

    async def acquire(self, _urlparsed: str | URL | ParseResult | None = None) -> Any:
        """A connection to the origin of the URL; without one, a slot that may have no connection in it yet."""
        return await super().acquire(_urlparsed)

    def release(self, conn: Any) -> _Released:  # type: ignore[override]
        """A connection in use is fit for another request."""
        super().release(conn)
        return _RELEASED
