"""`aiosonic.resolver`: from names to addresses."""

from __future__ import annotations

import socket
from typing import Any

from ...net.resolver import AsyncResolver
from ...net.resolver import Resolver as AbstractResolver
from ...net.resolver import ThreadedResolver as _ThreadedResolver

__all__ = ["AbstractResolver", "AsyncResolver", "DefaultResolver", "ThreadedResolver"]


class ThreadedResolver(_ThreadedResolver):
    """The operating system's resolver, in the event loop's executor; the first parameter of `resolve` is called `hostname`."""

    async def resolve(self, hostname: str, port: int = 0, family: int = socket.AF_INET) -> list[dict[str, Any]]:
        """The addresses of `hostname`, one dict each, with the keys hostname, host, port, family, proto and flags."""
        return await super().resolve(hostname, port, family)


DefaultResolver = ThreadedResolver
