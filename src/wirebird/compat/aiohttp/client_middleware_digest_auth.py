"""`aiohttp.DigestAuthMiddleware`: credentials that are proved without being sent (RFC 7616), by wirebird's `DigestAuth`."""

from __future__ import annotations

from ...client.digest_auth import DigestAuth
from ...client.middleware.auth import authenticate
from ...client.options import Options
from ...client.response import HttpResponse
from ...errors import WirebirdError
from ...models.headers import HttpHeaders
from ...models.message import Request
from ...models.url import destination
from ...net.timeouts import NEVER, Timeouts
from .client_middlewares import ClientHandlerType
from .client_reqrep import ClientRequest, ClientResponse
from .errors import of_exchange
from .payload_body import body_of

__all__ = ["DigestAuthMiddleware"]

_TIMEOUTS = Timeouts(None, None, None, None)


class DigestAuthMiddleware:
    """A middleware that answers challenges with what `login` and `password` prove.

    `preemptive`: answer without being asked once a challenge was seen, True.  It answers the origin of its first request and no
    other, wherever a redirect leads.  Raises what `wirebird.DigestAuth` raises.
    """

    def __init__(self, login: str, password: str, preemptive: bool = True) -> None:
        self._credentials = login, password
        self._auth = DigestAuth(login, password)
        self._preemptive = preemptive
        self._origin: str | None = None

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        where = destination(request.url)
        self._origin = self._origin or where.origin
        if where.origin != self._origin:
            return await handler(request)
        auth = self._auth if self._preemptive else DigestAuth(*self._credentials)
        body = body_of(request._body) if request._body is not None else None
        options = Options(_TIMEOUTS, auth=auth)
        latest: ClientResponse | None = None

        async def send(step: Request) -> HttpResponse:
            nonlocal latest
            request.headers.popall("Authorization", None)
            if (value := step.headers.get("Authorization")) is not None:
                request.headers["Authorization"] = value
            latest = await handler(request)
            return latest.response

        try:
            await authenticate(Request(request.method, HttpHeaders(request.headers), body, where, options, NEVER), send)
        except WirebirdError as error:
            raise of_exchange(error, request) from error
        return latest  # type: ignore[return-value]  # a flow without a request raises
