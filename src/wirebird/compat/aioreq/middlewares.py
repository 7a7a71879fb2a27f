"""`aioreq.middlewares`: what stands between a client and the network, a linked list.

    client.middlewares                                          the one that is closest to the caller
    client.middlewares = client.middlewares.next_middleware     without it
    Client(middlewares=(Own, *default_middlewares))             with one more

Each but `DecodeMiddleWare` and `TimeoutMiddleWare` is one of wirebird's middlewares in Aioreq's clothes: it works on the `native`
requests and responses, and what comes back up the list stays the object that a middleware below it gave.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from typing import Any, Final, Protocol

from ...client.client import HTTPClient
from ...client.middleware.auth import authenticate
from ...client.middleware.cookies import handle_cookies
from ...client.middleware.redirects import follow_redirects
from ...client.middleware.retries import Retries
from ...client.response import HttpResponse
from ...client.retry import Retry
from ...errors import TooManyRedirects
from ...models.cookies import CookieJar
from ...models.message import Request as _Request
from ...net.timeouts import NEVER
from ...pipeline import Middleware
from ...protocol.codings import accept_encoding
from .messages import Request, Response

__all__ = [
    "AuthenticationMiddleWare",
    "CookiesMiddleWare",
    "DecodeMiddleWare",
    "MiddleWare",
    "RedirectMiddleWare",
    "RequestMiddleWare",
    "RetryMiddleWare",
    "TimeoutMiddleWare",
    "default_middlewares",
]

default_middlewares: Final = (
    "RetryMiddleWare",
    "RedirectMiddleWare",
    "CookiesMiddleWare",
    "DecodeMiddleWare",
    "AuthenticationMiddleWare",
)


class Client(Protocol):
    """What a middleware may ask of the client."""

    native: HTTPClient
    cookies: CookieJar
    redirect: int
    retry: int
    timeout: float | None


class MiddleWare(ABC):
    """One link: `process` changes the request, answers it, or asks `next_middleware`, and may change the response."""

    def __init__(self, next_middleware: MiddleWare | None = None) -> None:
        self.next_middleware = next_middleware

    @abstractmethod
    async def process(self, request: Request, client: Any) -> Response:
        """The response to `request`."""

    async def next(self, request: Request, client: Any) -> Response:
        """What the rest of the list makes of the request."""
        if self.next_middleware is None:
            raise RuntimeError(f"{type(self).__name__} is the last middleware, and cannot send")
        return await self.next_middleware.process(request, client)

    @staticmethod
    def build(middlewares: Sequence[str | type[MiddleWare]]) -> MiddleWare:
        """The list of `middlewares`, each a class or its name, with what sends the request at its end."""
        first: MiddleWare = TimeoutMiddleWare(RequestMiddleWare())
        for one in reversed(middlewares):
            first = (_named(one) if isinstance(one, str) else one)(first)
        return first


class RequestMiddleWare(MiddleWare):
    """The end of the list: the request goes out, and the response comes in with its body."""

    async def process(self, request: Request, client: Client) -> Response:
        """Send the request."""
        native = await client.native.transport.send(request.native)
        return Response.of(native, await native.content(), request)


class TimeoutMiddleWare(MiddleWare):
    """The time limit of one exchange: the request's, or else the client's."""

    async def process(self, request: Request, client: Client) -> Response:
        """Ask the next, within the time."""
        request.timeout = request.timeout or client.timeout
        request.native.deadline = monotonic() + (request.timeout or NEVER)
        return await self.next(request, client)


class _Native(MiddleWare):
    """A middleware of wirebird in the list."""

    async def _through(self, policy: Middleware[_Request, HttpResponse], request: Request, client: Client) -> Response:
        given: list[Response] = []

        async def handler(native: _Request) -> HttpResponse:
            response = await self.next(request.following(native), client)
            given.append(response)
            return response.native

        native = await policy(request.native, handler)
        return next(response for response in reversed(given) if response.native is native)


class RetryMiddleWare(_Native):
    """Tries again after a failure of the network, where doing it twice cannot do harm: never a POST that was sent."""

    def __init__(self, next_middleware: MiddleWare | None = None) -> None:
        super().__init__(next_middleware)
        self._retries = Retries()

    async def process(self, request: Request, client: Client) -> Response:
        """Ask the next, up to `retry` times more, at once and whatever the status is."""
        attempts = client.retry if request.retry is None else request.retry
        policy = Retry(attempts, statuses=(), backoff=0, budget=None) if attempts > 0 else None
        request.native.options = replace(request.native.options, retries=policy)
        return await self._through(self._retries, request, client)


class RedirectMiddleWare(_Native):
    """Follows redirects; when there are too many, the last of them is the response."""

    async def process(self, request: Request, client: Client) -> Response:
        """Ask the next, up to `redirect` times more."""
        limit = client.redirect if request.redirect is None else request.redirect
        if limit <= 0:
            return await self.next(request, client)
        try:
            response = await self._through(follow_redirects(limit), request, client)
        except TooManyRedirects as error:
            native: HttpResponse = error.history[-1]
            response = Response.of(native, await native.content(), request.following(native.request))
        urls = [str(earlier.request.url) for earlier in response.native.history[1:]]
        if response.native.history:
            response.redirects = [*urls, str(response.native.request.url)]
        return response


class CookiesMiddleWare(_Native):
    """Keeps the cookies of responses in `client.cookies`, and sends them where they belong (RFC 6265)."""

    async def process(self, request: Request, client: Client) -> Response:
        """Ask the next, with cookies."""
        return await self._through(handle_cookies(client.cookies), request, client)


class DecodeMiddleWare(MiddleWare):
    """Asks for content codings, and takes them off again."""

    async def process(self, request: Request, client: Client) -> Response:
        """Ask the next, with `Accept-Encoding`."""
        request.native.headers.setdefault("Accept-Encoding", accept_encoding())
        request.native.options = replace(request.native.options, auto_decompress=True)
        return await self.next(request, client)


class AuthenticationMiddleWare(_Native):
    """Sends the request again with its credentials if the server asks for them."""

    async def process(self, request: Request, client: Client) -> Response:
        """Ask the next, once or as often as the scheme needs."""
        return await self._through(authenticate, request, client)


def _named(name: str) -> type[MiddleWare]:
    """The class that `name` stands for: one of this module's, or one of any module, with its path."""
    from importlib import import_module

    module, _, attribute = name.rpartition(".")
    found: type[MiddleWare] = getattr(import_module(module or __name__), attribute)
    return found
