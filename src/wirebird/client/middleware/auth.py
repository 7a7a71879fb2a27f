"""Authentication: the driver of the flows of `client/auth.py`."""

from __future__ import annotations

from ...models.message import Request
from ...pipeline import Handler
from ..response import HttpResponse

__all__ = ["authenticate"]


async def authenticate(request: Request, handler: Handler[Request, HttpResponse]) -> HttpResponse:
    """Send `request` as the flow of its credentials wants it; without credentials, as it is."""
    auth = request.options.auth
    if auth is None:
        return await handler(request)
    flow = auth.flow(request)
    try:
        outgoing = next(flow)
        while True:
            response = await handler(outgoing)
            try:
                outgoing = flow.send(response)
            except StopIteration:
                return response
            except BaseException:
                await response.close()  # nobody gets to see it
                raise
            await response.close()
    finally:
        flow.close()
