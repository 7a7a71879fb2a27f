"""`aiohttp.abc`: what a resolver and a cookie jar of one's own have to have."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from typing import TypedDict

from .cookiejar import AbstractCookieJar

__all__ = ["AbstractCookieJar", "AbstractResolver", "ResolveResult"]


class ResolveResult(TypedDict):
    """One address: `host` is an IP literal, `port` 0 for the one that was asked for."""

    hostname: str
    host: str
    port: int
    family: int
    proto: int
    flags: int


class AbstractResolver(ABC):
    """Names to addresses."""

    @abstractmethod
    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """The addresses of `host`.  Raises `OSError`."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of what is held open."""
