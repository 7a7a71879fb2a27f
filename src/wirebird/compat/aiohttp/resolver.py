"""`aiohttp.resolver`: from names to addresses."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from ...net.resolver import AsyncResolver as _AsyncResolver
from ...net.resolver import ThreadedResolver as _ThreadedResolver
from .abc import AbstractResolver, ResolveResult

__all__ = ["AsyncResolver", "DefaultResolver", "ThreadedResolver"]


class ThreadedResolver(_ThreadedResolver, AbstractResolver):
    """The operating system's resolver, in the event loop's executor."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__()

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:  # type: ignore[override]
        """The addresses of `host`, one dict each.  Raises `OSError`."""
        return await super().resolve(host, port, family)  # type: ignore[return-value]


class AsyncResolver(_AsyncResolver, AbstractResolver):
    """Name servers asked directly, by aiodns.  Arguments beside `loop` are those of `wirebird.AsyncResolver`."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:  # type: ignore[override]
        """The addresses of `host`, one dict each.  Raises `OSError`."""
        return await super().resolve(host, port, family)  # type: ignore[return-value]


DefaultResolver = ThreadedResolver
