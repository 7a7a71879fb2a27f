"""A request that was asked for and not yet sent: awaitable, and an async context manager.

    response = await client.get(url)            the response; its body is read when it is asked for
    async with client.get(url) as response:     the same, and the body is let go of at the end

A call is a coroutine: `asyncio.create_task`, `gather` and `run` take it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..models.url import hide_userinfo
from .deferred import Deferred
from .response import HttpResponse

if TYPE_CHECKING:
    from yarl import URL

    from .client import HTTPClient

__all__ = ["Call"]


class Call(Deferred[HttpResponse]):
    """One request, sent when it is awaited or entered, once.

    `given` holds the keywords of the verb that say anything.
    """

    __slots__ = ("_client", "_response", "given", "method", "url")

    def __init__(self, client: HTTPClient, method: str, url: str | URL, given: Mapping[str, Any]) -> None:
        self._client = client
        self.given = given
        self._started = False
        self.method = method
        self.url = url

    def __repr__(self) -> str:
        return f"<Call {self.method} {hide_userinfo(str(self.url))}>"

    def __await__(self) -> Generator[Any, Any, HttpResponse]:
        self._start()
        return self._client.perform(self.method, self.url, self.given).__await__()

    async def __aenter__(self) -> HttpResponse:
        self._response = await self
        return self._response

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._response.close()
