"""The caller's own middlewares, and what stands in for the network: what they give back is checked each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from ...models.message import Request
from ...pipeline import Handler, Middleware
from ..response import HttpResponse

if TYPE_CHECKING:
    from ..transport import Sender

__all__ = ["checked_sender", "read_middlewares"]


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
        return _answer(await middleware(request, handler), request, middleware, argument)

    return checked


def checked_sender(sender: Sender) -> Handler[Request, HttpResponse]:
    """`sender.send`, whose responses are checked as those of a middleware are."""

    async def checked(request: Request) -> HttpResponse:
        response = _answer(await sender.send(request), request, sender.send, "connector")
        if request.options.upgrade is not None and response.status_code < 300:
            await _check_upgraded(response)
        return response

    return checked


async def _check_upgraded(response: HttpResponse) -> None:
    """Raise `UsageError` unless this answer to a handshake carries a connection.  A refusal need not."""
    from ..upgraded import UpgradedResponse

    if not isinstance(response, UpgradedResponse):
        await response.close()
        raise UsageError("connector stands in for the network, and its responses carry no WebSocket", argument="connector")


def _answer(response: Any, request: Request, maker: object, argument: str) -> HttpResponse:
    if not isinstance(response, HttpResponse):
        name = getattr(maker, "__qualname__", repr(maker))
        kind = type(response).__name__
        raise UsageError(f"{name} of {argument} gave {kind} instead of a response: is its return missing?", argument=argument)
    response.belong_to(request)
    return response
