"""`aiohttp.client_middlewares`: what stands around each request that goes out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from ...pipeline import compose
from .client_reqrep import ClientRequest, ClientResponse

__all__ = ["ClientHandlerType", "ClientMiddlewareType", "build_client_middlewares"]

ClientHandlerType: TypeAlias = Callable[[ClientRequest], Awaitable[ClientResponse]]
ClientMiddlewareType: TypeAlias = Callable[[ClientRequest, ClientHandlerType], Awaitable[ClientResponse]]


def build_client_middlewares(handler: ClientHandlerType, middlewares: Sequence[ClientMiddlewareType]) -> ClientHandlerType:
    """`handler` with `middlewares` in front of it; the first is the outermost."""
    return compose(middlewares, handler)
