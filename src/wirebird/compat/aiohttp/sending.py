"""The innermost handler of a session: a `ClientRequest` becomes wirebird's request, and its response a `ClientResponse`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from yarl import URL

from ...client.options import Options
from ...client.response import HttpResponse
from ...client.upload import Upload, UploadBody
from ...client.websocket_offer import Offer
from ...errors import InvalidResponse, WirebirdError
from ...models.headers import HttpHeaders
from ...models.limits import Limits
from ...models.message import Body, Request
from ...models.url import destination
from ...net.proxy import Proxy
from ...net.timeouts import Timeouts
from ...pipeline import Handler
from .client_exceptions import WSServerHandshakeError
from .client_reqrep import ClientRequest, ClientResponse
from .errors import of_exchange, of_upload
from .fingerprint import SSLLike, read_ssl
from .payload_body import body_of
from .upload_tracker import UploadTracker

if TYPE_CHECKING:
    from .connector import BaseConnector

__all__ = ["Sending"]


@dataclass(slots=True)
class Sending:
    """How the requests of one call are sent: its settings, and when its time is over."""

    session: Any  # a ClientSession, which is above
    connector: BaseConnector
    timeouts: Timeouts
    deadline: float
    limits: Limits
    read_bufsize: int
    read_until_eof: bool
    auto_decompress: bool
    tracker: UploadTracker | None
    upgrade: Offer | None = None  # for the handshake of a WebSocket
    latest: ClientResponse | None = None  # which a middleware may lose

    async def send(self, req: ClientRequest) -> ClientResponse:
        """Send `req`, and give the response as soon as its head is there.  Raises what `client_exceptions` lists."""
        connector = self.connector
        try:
            request = self.prepare(req)
        except WirebirdError as error:
            failure = of_exchange(error, req, connector.uds)
            if failure is error:
                raise
            raise failure from error
        try:
            if req._traces or self.tracker is not None:
                response = await self._watched(req, request)
            else:
                response = await self._send(request)
        except WirebirdError as error:
            if self.upgrade is not None and isinstance(error, InvalidResponse):
                raise WSServerHandshakeError(req.request_info, (), message=error.message, status=101) from error
            failure = of_exchange(error, req, connector.uds)
            if failure is error:
                raise
            raise failure from error
        except TimeoutError:
            raise
        except Exception as error:
            if request.body is None or isinstance(request.body, bytes):
                raise  # who was told of the request, then
            raise of_upload(error, req) from error
        try:
            self.latest = self._started(req, response)
            return self.latest
        except BaseException:
            response.abandon(at_once=True)
            raise

    def _started(self, req: ClientRequest, response: HttpResponse) -> ClientResponse:
        made = req.response_class(
            req.method,
            req.original_url,
            writer=None,
            continue100=None,
            timer=req.timer,
            request_info=req.request_info,
            traces=req._traces,
            loop=asyncio.get_running_loop(),
            session=self.session,
        )
        return made.start_with(response, limit=self.read_bufsize, read_until_eof=self.read_until_eof)

    async def _watched(self, req: ClientRequest, request: Request) -> HttpResponse:
        """Send `request`, with those told of it who want to be."""
        from ...client.observation import observed

        observers: list[Any] = [] if self.tracker is None else [self.tracker]
        for tracer in req._traces:
            from .tracing import trace_observer

            request.body = tracer.traced(request.body, req.method, req.url)
            observers.append(trace_observer)
        return await self._send(request, observed(self.connector.transport.send, tuple(observers), over_network=True))

    async def _send(self, request: Request, send: Handler[Request, HttpResponse] | None = None) -> HttpResponse:
        if send is None:
            send = self.connector.transport.send
        if self.upgrade is None:
            return await send(request)
        from ...client.middleware.handshake import shake_hands

        return await shake_hands(request, send)

    def prepare(self, req: ClientRequest) -> Request:
        """`req` as wirebird sends it."""
        if req.method in req.POST_METHODS and "Content-Type" not in req.headers and not req.skips("Content-Type"):
            req.headers["Content-Type"] = "application/octet-stream"
        http10 = tuple(req.version) == (1, 0)
        if "Connection" not in req.headers and self.connector.force_close != http10:
            req.headers["Connection"] = "keep-alive" if http10 else "close"
        context, verify = read_ssl(req.ssl, self.connector.given_ssl)
        options = Options(
            self.timeouts,
            context,
            verify,
            self.auto_decompress,
            proxy=_proxy_of(req),
            server_hostname=req.server_hostname,
            limits=self.limits,
            http10=http10,
            duplex=True,
            upgrade=self.upgrade,
        )
        return Request(req.method, HttpHeaders(req.headers), _body_of(req), destination(req.url), options, self.deadline)


def _body_of(req: ClientRequest) -> bytes | Body | None:
    payload = req._body
    if payload is None:
        return None
    body = body_of(payload)
    return UploadBody(Upload(payload, compress=str(req.compress)), body) if req.compress else body


def _proxy_of(req: ClientRequest) -> Proxy | None:
    if req.proxy is None:
        return None
    auth = f"{req.proxy_auth.login}:{req.proxy_auth.password}" if req.proxy_auth is not None else None
    return _proxy(req.proxy, auth, tuple(req.proxy_headers.items()) if req.proxy_headers else (), req.ssl)


@lru_cache(maxsize=64)
def _proxy(url: URL, auth: str | None, headers: Sequence[tuple[str, str]], ssl: SSLLike) -> Proxy:
    """The proxy at `url`; TLS with it goes by the request's `ssl` too, as it does in aiohttp."""
    context = read_ssl(ssl, True)[0] if ssl is not True and url.scheme == "https" else None
    return Proxy(url.with_user(None) if auth is not None else url, auth, ssl=context, headers=headers or None)
