"""What one call of a session may say, and what it is when it is awaited or entered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .helpers import BasicAuth, sentinel
from .upload_tracker import UploadTracker

if TYPE_CHECKING:
    from .client_middlewares import ClientMiddlewareType
    from .response import ClientResponse

__all__ = ["Awaited", "CallOptions"]

_T = TypeVar("_T")


@dataclass(slots=True, kw_only=True)
class CallOptions:
    """The keywords of `ClientSession.request`, which documents them."""

    params: Any = None
    data: Any = None
    json: Any = None
    cookies: Any = None
    headers: Any = None
    skip_auto_headers: Iterable[str] | None = None
    auth: BasicAuth | None = None
    allow_redirects: bool = True
    max_redirects: int = 10
    compress: str | bool | None = None
    chunked: bool | None = None
    expect100: bool = False
    raise_for_status: bool | Callable[[ClientResponse], Awaitable[None]] | None = None
    read_until_eof: bool = True
    proxy: Any = None
    proxy_auth: BasicAuth | None = None
    timeout: Any = sentinel
    verify_ssl: bool | None = None
    fingerprint: bytes | None = None
    ssl_context: Any = None
    ssl: Any = True
    server_hostname: str | None = None
    proxy_headers: Any = None
    trace_request_ctx: object = None
    read_bufsize: int | None = None
    auto_decompress: bool | None = None
    max_line_size: int | None = None
    max_field_size: int | None = None
    max_headers: int | None = None
    middlewares: Sequence[ClientMiddlewareType] | None = None
    upload_tracker: UploadTracker | None = None


class Awaited(Coroutine[Any, Any, _T], Generic[_T]):
    """A coroutine whose result is an async context manager: it may be awaited, or entered with `async with`."""

    __slots__ = ("_coroutine", "_result")

    def __init__(self, coroutine: Coroutine[Any, Any, _T]) -> None:
        self._coroutine = coroutine
        self._result: Any = None

    def send(self, value: Any) -> Any:
        """Go on; what a task calls."""
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise `error` where it waits."""
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """Give it up."""
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, _T]:
        return self._coroutine.__await__()

    __iter__ = __await__

    async def __aenter__(self) -> _T:
        self._result = await self._coroutine
        return await self._result.__aenter__()  # type: ignore[no-any-return]

    async def __aexit__(self, *error: Any) -> None:
        await self._result.__aexit__(*error)
