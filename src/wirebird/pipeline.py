"""The shape of everything between a request and its response, for client and server alike.

A `Handler` answers a request.  A `Middleware` stands in front of one: it may change the request, answer itself, call the handler
once, again or not at all, and change the response.  A pipeline is composed once, not per request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

__all__ = ["Handler", "Middleware", "compose"]

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")

Handler = Callable[[_Request], Awaitable[_Response]]
Middleware = Callable[[_Request, Handler[_Request, _Response]], Awaitable[_Response]]


def compose(
    middlewares: Sequence[Middleware[_Request, _Response]], handler: Handler[_Request, _Response]
) -> Handler[_Request, _Response]:
    """One handler out of `middlewares` in front of `handler`; the first is the outermost."""
    for middleware in reversed(middlewares):
        handler = _stand_in_front(middleware, handler)
    return handler


def _stand_in_front(
    middleware: Middleware[_Request, _Response], handler: Handler[_Request, _Response]
) -> Handler[_Request, _Response]:
    def call(request: _Request) -> Awaitable[_Response]:
        return middleware(request, handler)

    return call
