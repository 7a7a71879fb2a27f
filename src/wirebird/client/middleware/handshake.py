"""The handshake of a WebSocket as a policy of the pipeline (RFC 6455 4.1): its fields into each request, its check of each 101.

It stands within redirects and retries, so that every hop and every attempt has a key of its own, and around authentication, so
that what is signed is what is sent.
"""

from __future__ import annotations

from os import urandom

from ...errors import InvalidResponse, WirebirdError
from ...models.message import Request
from ...pipeline import Handler
from ..response import HttpResponse
from ..upgraded import UpgradedResponse

__all__ = ["shake_hands"]


async def shake_hands(request: Request, handler: Handler[Request, HttpResponse]) -> HttpResponse:
    """Send `request` as the handshake of what it offers.  A 101 that does not answer it raises `InvalidResponse`."""
    offer = request.options.upgrade
    if offer is None:
        return await handler(request)
    handshake = offer.handshake(urandom(16))
    for name, value in handshake.fields():
        request.headers[name] = value
    response = await handler(request)
    if isinstance(response, UpgradedResponse):
        try:
            if response.http_version != "1.1":
                raise InvalidResponse("a 101 in HTTP/1.0, which knows no change of protocols")
            response.accepted = handshake.check(response.status_code, response.headers)
        except WirebirdError as error:
            response.abandon()
            raise error.locate(response.tunnel.peer, "opening the WebSocket")
    return response
