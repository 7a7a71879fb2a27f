"""`aioreq.http`: the clients.

A `Client` reads every response whole; a `StreamClient` gives its body in pieces.  Both belong to no event loop until they send,
and begin anew on another one, so `asyncio.run(client.get(url))` may be written again and again.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from types import TracebackType
from typing import Any, Final, TypeVar

from ...client.client import HTTPClient
from ...client.connector import TCPConnector
from ...client.middleware.auth import authenticate
from ...client.middleware.cookies import handle_cookies
from ...client.middleware.redirects import follow_redirects
from ...client.response import HttpResponse
from ...errors import UsageError
from ...models.cookies import CookieJar
from ...models.message import Request as _Request
from ...models.url import ParamsLike
from ...net.timeouts import NEVER
from ...pipeline import Middleware, compose
from .headers import Header, Headers
from .messages import JsonRequest, Request, Response, StreamResponse, UrlEncodedRequest
from .middlewares import MiddleWare, default_middlewares

__all__ = [
    "BaseClient",
    "Client",
    "Headers",
    "JsonRequest",
    "Request",
    "Response",
    "StreamClient",
    "StreamResponse",
    "UrlEncodedRequest",
]

# Connections at the same time.  Aioreq has no limit, and a server that is sent a hundred requests at once gets a hundred.
_POOL_SIZE: Final = 100

_Send = TypeVar("_Send", bound=Callable[..., Any])

_FIELDS: Final = {"User-Agent": "python/aioreq", "Accept": "*/*"}


def _request(
    defaults: Headers,
    method: str,
    url: str,
    content: str | bytes | None = None,
    headers: Mapping[str, Any] | None = None,
    path_parameters: ParamsLike | None = None,
    obj_headers: Iterable[Header] | None = None,
    timeout: float | None = 0,
    redirect: int | None = None,
    retry: int | None = None,
    *,
    json: Any = None,
    urlencoded: Any = None,
    body: str | bytes | None = None,
    **more: Any,
) -> Request:
    """The request that a verb stands for; the parameters are documented at `Client`."""
    bodies: dict[type[Request], Any] = {}
    for kind, value in ((Request, content), (Request, body), (JsonRequest, json), (UrlEncodedRequest, urlencoded)):
        if value not in (None, "", b""):
            if bodies:
                raise UsageError("a request has one body: content, json or urlencoded", argument="content")
            bodies[kind] = value
    kind, value = next(iter(bodies.items()), (Request, None))
    fields = defaults | (headers or {})
    for header in obj_headers or ():
        fields[header.key] = header.value
    return kind(
        url=url,
        method=method,
        headers=fields,
        content=value,
        path_parameters=path_parameters,
        timeout=timeout,
        redirect=redirect,
        retry=retry,
        **more,
    )


class _Connected:
    """What both clients are: settings, and wirebird's client, `native`."""

    def __init__(
        self,
        headers: Mapping[str, Any] | None = None,
        persistent_connections: bool = False,
        redirect_count: int = 3,
        retry_count: int = 3,
        timeout: float | None = None,
        auth: tuple[str, str] | None = None,
        middlewares: Sequence[str | type[MiddleWare]] | None = None,
        cookies: CookieJar | None = None,
    ) -> None:
        self.headers = Headers(_FIELDS) | (headers or {})
        self.persistent_connections = persistent_connections
        self.redirect = redirect_count
        self.retry = retry_count
        self.timeout = timeout
        self.auth = auth
        self.middlewares = MiddleWare.build(default_middlewares if middlewares is None else middlewares)
        self.cookies = cookies if cookies is not None else CookieJar()
        self.native = HTTPClient(TCPConnector(_POOL_SIZE, conn_max_requests=None if persistent_connections else 1))

    def build(self, method: str, url: str, *arguments: Any, **keywords: Any) -> Request:
        """The request that a verb stands for."""
        keywords.setdefault("auth", self.auth)
        return _request(self.headers, method, url, *arguments, **keywords)

    async def close(self) -> None:
        """Close every connection.  The client is of no use afterwards."""
        await self.native.close()


BaseClient = _Connected


def _verb(method: str) -> Callable[..., Coroutine[Any, Any, Response]]:
    async def send(self: Client, url: str, *arguments: Any, **keywords: Any) -> Response:
        return await self.send_request(self.build(method, url, *arguments, **keywords))

    return _introduced(send, "Client", method)


def _stream(method: str) -> Callable[..., Stream]:
    def send(self: StreamClient, url: str, *arguments: Any, **keywords: Any) -> Stream:
        return Stream(self, self.build(method, url, *arguments, **keywords))

    return _introduced(send, "StreamClient", method)


def _introduced(send: _Send, owner: str, method: str) -> _Send:
    """`send` with its own name, signature and docstring."""
    parameters = list(inspect.signature(_request).parameters.values())[2:]
    first = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    send.__name__ = method.lower()
    send.__qualname__ = f"{owner}.{send.__name__}"
    send.__doc__ = f"{method}; the parameters are those of `Client`."
    send.__signature__ = inspect.Signature([first, *parameters])  # type: ignore[attr-defined]
    return send


class Client(_Connected):
    """A client whose responses come whole.

    headers                 sent with every request, unless it has its own of that name
    persistent_connections  keep connections for the next request, False
    redirect_count          redirects that are followed, 3; behind them the last 3xx is the response
    retry_count             failures of the network that are tried again where that can do no harm, 3
    timeout                 seconds for each exchange; None or 0 for no limit
    auth                    `(user, password)`, for servers that ask for them
    middlewares             classes or their names, in place of `default_middlewares`
    cookies                 the `wirebird.CookieJar` that cookies are kept in

    Each verb takes `(url, content, headers, path_parameters, obj_headers, timeout, redirect, retry)`, and as keywords `json`,
    `urlencoded`, `params`, `auth`, `check_hostname`, `verify_mode` and `keylog_filename`.  It gives a coroutine.
    """

    get = _verb("GET")
    post = _verb("POST")
    put = _verb("PUT")
    delete = _verb("DELETE")
    options = _verb("OPTIONS")
    head = _verb("HEAD")
    patch = _verb("PATCH")
    link = _verb("LINK")

    async def send_request(self, request: Request) -> Response:
        """The response to `request`, by way of the middlewares.  Raises what `aioreq.errors` names."""
        return await self.middlewares.process(request, self)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


class StreamClient(_Connected):
    """A client whose responses come in pieces, so that no body is ever in memory as a whole.

        async with StreamClient() as client:
            async for chunk in client.get(url): ...

        async with StreamClient(request=Request(url=url)) as response:
            async for chunk in response.content: ...

    Redirects, cookies and credentials are as of `Client`; other middlewares do not apply.
    """

    def __init__(self, request: Request | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self._stream = Stream(self, request) if request is not None else None

    get = _stream("GET")
    post = _stream("POST")
    put = _stream("PUT")
    delete = _stream("DELETE")
    options = _stream("OPTIONS")
    head = _stream("HEAD")
    patch = _stream("PATCH")
    link = _stream("LINK")

    async def __aenter__(self) -> Any:
        if self._stream is None:
            return self
        try:
            return await self._stream.__aenter__()
        except BaseException:
            await self.close()
            raise

    async def __aexit__(self, *error: Any) -> None:
        try:
            if self._stream is not None:
                await self._stream.__aexit__(*error)
        finally:
            await self.close()


class Stream:
    """A request that is sent when it is iterated, which can be done once, or entered: then it gives the `StreamResponse`."""

    def __init__(self, client: StreamClient, request: Request) -> None:
        self._client = client
        self._request = request
        self._response: HttpResponse | None = None
        self._pieces: AsyncGenerator[bytes, None] | None = None

    def __repr__(self) -> str:
        return f"<Stream {self._request!r}>"

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        if self._pieces is None:
            self._pieces = _pieces(self._client, self._request)
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """Let go of what was not read yet."""
        if self._pieces is not None:
            await self._pieces.aclose()

    async def __aenter__(self) -> StreamResponse:
        client, request = self._client, self._request
        request.timeout = request.timeout or client.timeout
        native = request.native
        native.deadline = monotonic() + (request.timeout or NEVER)
        native.options = replace(native.options, auto_decompress=True)
        limit = client.redirect if request.redirect is None else request.redirect
        policies: list[Middleware[_Request, HttpResponse]] = [handle_cookies(client.cookies), authenticate]
        if limit > 0:
            policies.insert(0, follow_redirects(limit))
        self._response = await compose(policies, client.native.transport.send)(native)
        return StreamResponse(self._response, request.following(self._response.request))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._response is not None:
            await self._response.close()


async def _pieces(client: StreamClient, request: Request) -> AsyncGenerator[bytes, None]:
    """The body.  This knows nothing of the `Stream` that is iterated, so that dropping that one ends this, in the same moment."""
    async with Stream(client, request) as response:
        async for piece in response.content:
            yield piece
