"""A request that was asked for and not yet sent: awaitable, and an async context manager.

    response = await client.get(url)            the response; its body is read when it is asked for
    async with client.get(url) as response:     the same, and the body is let go of at the end

A call is a coroutine: `asyncio.create_task`, `gather` and `run` take it.  That part of it is `Deferred`.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from ..models.url import hide_userinfo
from .response import HttpResponse

if TYPE_CHECKING:
    from yarl import URL

    from .client import HTTPClient

__all__ = ["Call", "Deferred"]

_T = TypeVar("_T")


class Deferred(Coroutine[Any, Any, _T]):
    """What happens when it is awaited, once, as a coroutine does, and without a warning if it never is.

    A class derived from it has `__await__`, which begins with `_start`, and sets `_started` to False when it is made.
    """

    __slots__ = ("_iterator", "_started")

    _started: bool
    _iterator: Generator[Any, Any, _T]

    def __await__(self) -> Generator[Any, Any, _T]:
        raise NotImplementedError

    def _start(self) -> None:
        if self._started:
            raise RuntimeError(f"cannot reuse {self!r}: it was awaited before")
        self._started = True

    def send(self, value: Any) -> Any:
        """Go on; what a task calls."""
        if not self._started:
            self._iterator = self.__await__()
        return self._iterator.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise `error` where the call waits."""
        if not self._started:
            self._iterator = self.__await__()
        return self._iterator.throw(*error)

    def close(self) -> None:
        """Give the call up."""
        if self._started:
            self._iterator.close()
        self._started = True


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
