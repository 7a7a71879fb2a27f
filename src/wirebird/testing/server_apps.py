"""What a server can serve: a handler from `Request` to `HttpResponse`, an ASGI application, or one of this library's `web`."""

from __future__ import annotations

import inspect
from typing import Any, Final, Protocol

from ..client.options import Options
from ..client.raw import raw_body, raw_pieces, raw_trailers
from ..errors import UsageError
from ..models.headers import HttpHeaders
from ..models.message import Request
from ..net.timeouts import NEVER, Timeouts
from ..server.asgi import AsgiApp
from ..server.asgi_messages import Application
from ..server.exchange import Exchange
from ..server.lifespan import LifespanMode
from ..server.server import Served, Server
from .delivery import Answerer, ask

__all__ = ["AsgiGuest", "HandlerGuest", "Place", "ServedGuest", "is_handler", "is_served"]

# A request that arrived has no time limits of its own, and no settings of a client.
_OPTIONS: Final = Options(Timeouts(None, None, None, None))


class Place(Protocol):
    """Where requests arrive."""

    requests: list[Request]

    def failed(self, error: BaseException) -> None:
        """Take an exception of the application."""


def is_served(app: Any) -> bool:
    """Whether `app` answers exchanges itself, as a `web.Application` does."""
    return all(hasattr(app, name) for name in ("serve", "startup", "shutdown"))


def is_handler(app: Any) -> bool:
    """Whether `app` takes a request, rather than the scope, receive and send of ASGI.  Raises `UsageError` for neither."""
    try:
        signature = inspect.signature(app)
    except (TypeError, ValueError):
        if callable(app):
            return False
        raise UsageError(f"app must be an ASGI application, a handler or a MockTransport, not {app!r}", argument="app") from None
    for count, answer in ((3, False), (1, True)):
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        return answer
    raise UsageError(f"app must take a request, or scope, receive and send, and {app!r} does neither", argument="app")


class HandlerGuest:
    """Serves a handler: the body of a request is read whole, then the handler is asked."""

    def __init__(self, handler: Answerer, place: Place) -> None:
        self._handler = handler
        self._place = place

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request."""
        head = exchange.head
        where = exchange.where
        body = await exchange.body.collect(None)
        request = Request(head.method.decode(), HttpHeaders(head.fields), body, where, _OPTIONS, NEVER)
        self._place.requests.append(request)
        response = await ask(self._handler, request)
        whole = raw_body(response)
        try:
            await exchange.begin(response.head, len(whole) if whole is not None else None)
            if whole is not None:
                await exchange.write(whole)
            elif exchange.has_body():
                async for piece in raw_pieces(response):
                    await exchange.write(piece)
            await exchange.finish(raw_trailers(response))
        finally:
            await response.close()

    async def startup(self, server: Server) -> None:
        """There is nothing to start."""

    async def shutdown(self, grace: float) -> None:
        """There is nothing to end."""


class ServedGuest:
    """Serves what a server serves by itself, and keeps its requests, whose bodies it leaves to the application."""

    def __init__(self, app: Served, place: Place) -> None:
        self._place = place
        self._serve = app.serve
        self.startup = app.startup
        self.shutdown = app.shutdown

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request."""
        self._place.requests.append(_without_body(exchange))
        await self._serve(exchange)


def _without_body(exchange: Exchange) -> Request:
    head = exchange.head
    return Request(head.method.decode(), HttpHeaders(head.fields), None, exchange.where, _OPTIONS, NEVER)


class AsgiGuest(AsgiApp):
    """Serves an ASGI application, and keeps its requests, whose bodies it leaves to the application."""

    def __init__(self, application: Application, place: Place, root_path: str, lifespan: LifespanMode) -> None:
        super().__init__(application, root_path=root_path, lifespan=lifespan)
        self._place = place

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request.  Raises what the application raises before its response is complete."""
        self._place.requests.append(_without_body(exchange))
        await super().serve(exchange)
