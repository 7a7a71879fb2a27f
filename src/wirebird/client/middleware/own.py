"""The caller's own middlewares: checked when they are given, and what they give back checked each time."""

from __future__ import annotations

from typing import Any

from ...errors import UsageError
from ...models.message import Request
from ...pipeline import Handler, Middleware
from ..response import HttpResponse

__all__ = ["read_middlewares"]


def read_middlewares(given: Any, argument: str) -> tuple[Middleware[Request, HttpResponse], ...]:
    """`given` as the pipeline takes it.  Raises `UsageError`, naming `argument`, for what is no list of middlewares.

    Each is wrapped: one that gives no response, as when a `return` was forgotten, is named; and a response that it made without
    saying for which request gets the one that it was given.
    """
    if isinstance(given, (str, bytes)) or callable(given):
        raise UsageError(f"{argument} must be a list, as in [{given!r}]", argument=argument)
    try:
        middlewares = tuple(given)
    except TypeError:
        raise UsageError(f"{argument} must be a list of functions, not {given!r}", argument=argument)
    for one in middlewares:
        if not callable(one) or isinstance(one, type):
            raise UsageError(f"{argument} must hold functions or objects that can be called, not {one!r}", argument=argument)
    return tuple(_checked(one, argument) for one in middlewares)


def _checked(middleware: Middleware[Request, HttpResponse], argument: str) -> Middleware[Request, HttpResponse]:
    async def checked(request: Request, handler: Handler[Request, HttpResponse]) -> HttpResponse:
        response: Any = await middleware(request, handler)
        if not isinstance(response, HttpResponse):
            name = getattr(middleware, "__qualname__", repr(middleware))
            kind = type(response).__name__
            raise UsageError(f"{name} of {argument} gave {kind} instead of a response: is its return missing?", argument=argument)
        response.belong_to(request)
        return response

    return checked
