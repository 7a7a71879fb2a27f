"""`aiohttp.abc`: what a resolver, a cookie jar, a view and an access log of one's own have to have."""

from __future__ import annotations

import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import Any, TypedDict

from .cookiejar import AbstractCookieJar

__all__ = [
    "AbstractAccessLogger",
    "AbstractCookieJar",
    "AbstractMatchInfo",
    "AbstractResolver",
    "AbstractRouter",
    "AbstractStreamWriter",
    "AbstractView",
    "ResolveResult",
]


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


class AbstractAccessLogger(ABC):
    """What writes the access log: made with a logger and a format."""

    __slots__ = ("log_format", "logger")

    def __init__(self, logger: logging.Logger, log_format: str) -> None:
        self.logger = logger
        self.log_format = log_format

    @abstractmethod
    def log(self, request: Any, response: Any, time: float) -> None:
        """Log a request that was answered, after `time` seconds."""

    @property
    def enabled(self) -> bool:
        """Whether `log` wants to be called."""
        return True


class AbstractStreamWriter(ABC):
    """What the body of a message is written to."""

    length: int | None = 0

    @abstractmethod
    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Write a piece."""

    @abstractmethod
    async def write_eof(self, chunk: bytes = b"") -> None:
        """Write the last piece, and the end."""

    @abstractmethod
    async def drain(self) -> None:
        """Wait until what was written may be followed by more."""


class AbstractRouter(ABC):
    """What finds the handler for a request."""

    frozen = False

    def freeze(self) -> None:
        """Let it not be changed any more."""
        self.frozen = True

    @abstractmethod
    async def resolve(self, request: Any) -> Any:
        """What the request is for: an `AbstractMatchInfo`."""


class AbstractMatchInfo(ABC):
    """What a request is for."""

    @property
    @abstractmethod
    def handler(self) -> Any:
        """The handler."""

    @abstractmethod
    def get_info(self) -> dict[str, Any]:
        """What is known of the route."""


class AbstractView(ABC):
    """A handler that is a class: made with the request, then awaited."""

    def __init__(self, request: Any) -> None:
        self._request = request

    @property
    def request(self) -> Any:
        """The request."""
        return self._request

    @abstractmethod
    def __await__(self) -> Generator[Any, None, Any]:
        """Answer it."""
