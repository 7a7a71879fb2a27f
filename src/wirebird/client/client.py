"""The client: verbs, defaults, and the pipeline they go through."""

from __future__ import annotations

import asyncio
import json as _json
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from yarl import URL

from ..errors import ClientClosed
from ..models.headers import HeadersLike
from ..models.message import Body, Request
from ..models.numbers import check_count
from ..models.url import ParamsLike, destination
from ..net.pool import Stats
from ..net.timeouts import Timeouts
from ..pipeline import Handler, Middleware, compose
from .connector import TCPConnector
from .defaults import Defaults, check_cookies, check_timeouts
from .options import Options
from .plain import Plan
from .response import HttpResponse
from .services import Services
from .transport import Sender, Transport, close_bodies, encode_head, has_to_close
from .verbs import Verbs

if TYPE_CHECKING:
    from http.cookies import SimpleCookie

    from ..models.cookies import CookieJar
    from ..net.proxy import ProxyLike
    from .auth import AuthLike
    from .exchange import Observer
    from .middleware.retries import Retries
    from .pauses import Pauses
    from .retry import Retry


__all__ = ["HTTPClient", "Stats"]

# URLs of which is remembered how a plain GET of them goes out as bytes.
PLANS = 1024


class HTTPClient(Verbs, Services):
    """An HTTP client: one per application, shared by all its tasks.

    connector         a `TCPConnector`; one with the defaults.  Or what stands in for the network, as in `wirebird.testing`
    handle_cookies    keep the cookies of responses in `cookies`, and send them where they belong
    verify_ssl        False accepts any certificate; a request verifies if it and the client both say so
    proxy             a `Proxy` or its URL, for every request
    base_url          what relative URLs are resolved against (RFC 3986 5.2); ws and wss stand for http and https
    headers           sent with every request, unless it has its own of that name; None in a mapping leaves a default one out
    params            added to the query of every request
    cookies           a `CookieJar` to use, or cookies for the host of `base_url` (for every request if there is none)
    auth              credentials, as `request` takes them: for the origin of `base_url`, or the one that each call names; a user
                      in the URL or an `Authorization` field takes their place
    timeouts          `Timeouts` of every request, in place of the connector's
    follow            follow redirects, False
    max_redirects     how many; the next raises `TooManyRedirects`, 10
    retries           try again what may pass: a `Retry`, or how many times; None sends each request once
    trust_env         without a `proxy`, use those that the environment names: HTTPS_PROXY, http_proxy, ALL_PROXY, NO_PROXY;
                      without `auth`, the credentials in its netrc file
    raise_for_status  raise `StatusError` for 4xx and 5xx, False
    json_serializer   `json.dumps`, or a faster one that gives str or bytes
    json_decoder      `json.loads`, or a faster one that takes bytes
    auto_decompress   ask for content codings and take them off again, True
    max_body_size     bytes that `content`, `text` and `json` take at the most, after decoding; None for no limit
    middlewares       `async def mw(request, handler) -> response` around each call; the first is the outermost
    network_middlewares  the same around each exchange: every hop of a redirect, every attempt of a retry
    observers         `def observer(exchange, phase)`, told of every phase of each exchange, as `LogObserver` and `HarRecorder`

    May be made before an event loop runs; it belongs to the loop of its first request, and begins anew on another one.
    Raises `UsageError` for a bad argument, naming it.
    """

    def __init__(
        self,
        connector: TCPConnector | Sender | None = None,
        handle_cookies: bool = False,
        verify_ssl: bool = True,
        proxy: ProxyLike | None = None,
        *,
        base_url: str | URL | None = None,
        headers: HeadersLike | Mapping[str, str | None] | None = None,
        params: ParamsLike | None = None,
        cookies: Mapping[str, str] | CookieJar | None = None,
        auth: AuthLike | Literal[False] | None = None,
        timeouts: Timeouts | None = None,
        follow: bool = False,
        max_redirects: int = 10,
        retries: Retry | int | None = None,
        trust_env: bool = False,
        raise_for_status: bool = False,
        json_serializer: Callable[[Any], str | bytes] = _json.dumps,
        json_decoder: Callable[..., Any] = _json.loads,
        auto_decompress: bool = True,
        max_body_size: int | None = None,
        middlewares: Sequence[Middleware[Request, HttpResponse]] = (),
        network_middlewares: Sequence[Middleware[Request, HttpResponse]] = (),
        observers: Sequence[Observer] = (),
    ) -> None:
        check_timeouts(timeouts)
        check_count("max_redirects", max_redirects)
        # With a stand-in for the network there are no connections: the connector stays unused, and says so when it is asked.
        self._sender: Sender | None = None if connector is None or isinstance(connector, TCPConnector) else connector
        self.connector = connector if isinstance(connector, TCPConnector) else TCPConnector()
        self.transport = Transport(self.connector)
        self.timeouts = timeouts if timeouts is not None else self.connector.timeouts
        self.total = self.timeouts.total
        self.first_wait = min(self.timeouts.read, self.total)
        self.plans: dict[str | URL, Plan] = {}
        self._defaults = Defaults(
            base_url=base_url,
            headers=headers,
            params=params,
            auth=auth,
            timeouts=self.timeouts,
            verify=verify_ssl,
            proxy=proxy,
            trust_env=trust_env,
            over_unix=self.connector.uds is not None,
            retries=retries,
            json_serializer=json_serializer,
            json_decoder=json_decoder,
            auto_decompress=auto_decompress,
            max_body_size=max_body_size,
        )
        self.prepare = self._defaults.prepare
        self.settings = self._defaults.settings
        self._follow = follow
        self._max_redirects = max_redirects
        self._raise_for_status = raise_for_status
        self._retrying: Retries | None = None
        self._paused: Pauses | None = None
        self._jar: CookieJar | None = None
        if handle_cookies or cookies is not None:
            self._take_cookies(cookies, handle_cookies)
        self._middlewares = _own(middlewares, "middlewares")
        self._network_middlewares = _own(network_middlewares, "network_middlewares")
        self._observers: tuple[Observer, ...] = ()
        if observers:
            from .observation import read_observers

            self._observers = read_observers(observers)
        self._handlers: dict[tuple[bool, int, bool, bool, bool, bool], Handler[Request, HttpResponse]] = {}
        self._plain = max_body_size is None and not (
            self._middlewares
            or self._network_middlewares
            or self._observers
            or self._sender
            or self._defaults.auth
            or self._jar is not None
            or self._defaults.cookies
            or follow
            or raise_for_status
            or self.settings.retries
            or self.timeouts.connect
            or self.timeouts.ceil_threshold is not None
        )
        self._closed = False
        self._closing: asyncio.Future[None] | None = None  # done when the task that closes has closed
        self._pending = 0
        self._quiet: asyncio.Event | None = None

    def _take_cookies(self, cookies: Mapping[str, str] | CookieJar | None, keep: bool) -> None:
        from ..models.cookies import CookieJar

        if isinstance(cookies, CookieJar):
            self._jar = cookies
            return
        if keep:
            self._jar = CookieJar()
        if not cookies:
            return
        check_cookies(cookies)
        base = self._defaults.base
        if base is None:
            self._defaults.cookies = dict(cookies)
            return
        # They belong to the origin of the base URL, and to no other that a request may name.
        self._jar = self._jar or CookieJar()
        for name, text in cookies.items():
            self._jar.set(name, text, domain=destination(base).host)

    def __repr__(self) -> str:
        return f"<HTTPClient {'closed' if self._closed else repr(self.connector.peek() or 'unused')}>"

    # -- the way of a request ------------------------------------------------------------------------------------------

    async def perform(self, method: str, url: str | URL, given: Mapping[str, Any]) -> HttpResponse:
        """What a call does when it is awaited, unless it may take the short cut."""
        if self._closed:
            raise ClientClosed("the client is closed")
        self._pending += 1
        request: Request | None = None
        response: HttpResponse | None = None
        content: bytes | Body | None = None
        try:
            request = self.prepare(method, url, given)
            content = request.body
            follow = given.get("follow")
            if (limit := given.get("max_redirects")) is not None:
                check_count("max_redirects", limit)
            options: Options = request.options
            response = await self._handler(self._follow if follow is None else bool(follow), limit, options)(request)
            if self.settings.max_body_size is not None:
                response.limit(self.settings.max_body_size)
            if self._plain and not given and method == "GET":
                self._plan(url, request)
            strict = given.get("raise_for_status")
            if self._raise_for_status if strict is None else strict:
                response.raise_for_status()
            return response
        finally:
            self._pending -= 1
            if not self._pending and self._quiet is not None:
                self._quiet.set()
            last = request.body if request is not None else None  # a middleware may have put another in its place
            if has_to_close(last) or (content is not last and has_to_close(content)):
                try:
                    await asyncio.shield(close_bodies(content, last))
                except asyncio.CancelledError:
                    if response is not None:
                        await response.close()  # what was raised may keep it alive for long
                    raise

    def _handler(self, follow: bool, max_redirects: int | None, options: Options) -> Handler[Request, HttpResponse]:
        """The pipeline: only the policies that this request uses, composed once for each combination."""
        limit = self._max_redirects if max_redirects is None else max_redirects
        cookies, auth, retries = options.cookies is not None, options.auth is not None, options.retries is not None
        upgrade = options.upgrade is not None
        key = (follow, limit, cookies, auth, retries, upgrade)
        handler = self._handlers.get(key)
        if handler is None:
            layers: list[Middleware[Request, HttpResponse]] = list(self._middlewares)
            if follow:
                from .middleware.redirects import follow_redirects

                layers.append(follow_redirects(limit))
            if retries:
                from .middleware.retries import Retries

                self._retrying = self._retrying or Retries(self.pauses)
                layers.append(self._retrying)
            if upgrade:
                from .middleware.handshake import shake_hands

                layers.append(shake_hands)
            if auth:  # within retries: what a server has seen once, a nonce count or a time, is not for a second attempt
                from .middleware.auth import authenticate

                layers.append(authenticate)
            if cookies or self._jar is not None:
                from .middleware.cookies import handle_cookies

                layers.append(handle_cookies(self._jar))
            layers += self._network_middlewares
            send: Handler[Request, HttpResponse] = self.transport.send
            if self._sender is not None:
                from .middleware.own import checked_sender

                send = checked_sender(self._sender)
            if self._observers:
                from .observation import observed

                send = observed(send, self._observers, over_network=self._sender is None)
            handler = self._handlers[key] = compose(layers, send)
        return handler

    def _plan(self, url: str | URL, request: Request) -> None:
        """Remember how a plain GET of `url` went out, unless its head says more about the exchange than that it happens."""
        if "connection" in request.headers or "transfer-encoding" in request.headers:
            return
        if len(self.plans) >= PLANS:
            self.plans.clear()
        options = request.options
        route = self.connector.route(request.destination, options.ssl, options.verify, options.proxy)
        if route.detour is None or not route.detour.forwards:  # whose errors are told apart in the transport
            self.plans[url] = Plan(self.connector.pool, route, encode_head(request)[0])

    @property
    def pauses(self) -> Pauses:
        """Where to wait for the next attempt, so that `close` ends it."""
        if self._paused is None:
            from .pauses import Pauses

            self._paused = Pauses()
            self._paused.closed = self._closed
        return self._paused

    # -- what there is to see ------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def cookies(self) -> CookieJar:
        """The cookie jar; empty and unused unless the client handles cookies."""
        if self._jar is None:
            from ..models.cookies import CookieJar

            self._jar = CookieJar()
            self._plain = False
            self.plans.clear()
            self._handlers.clear()
        return self._jar

    @property
    def cookies_map(self) -> dict[str, SimpleCookie]:
        """The cookies by host or domain, as `http.cookies.SimpleCookie`."""
        return self._jar.by_host() if self._jar is not None else {}

    def stats(self) -> Stats:
        """How the connections are used: open, idle, in use; requests waiting, requests sent, connections opened and reused."""
        pool = self.connector.peek()
        if pool is None:
            return Stats(open=0, idle=0, in_use=0, waiting=0, requests=0, opened=0, reused=0)
        return pool.stats()

    # -- the end -------------------------------------------------------------------------------------------------------

    async def wait_requests(self, timeout: float | None = 30) -> bool:
        """Wait until every request is done and its body read or let go of; False if that takes longer than `timeout` seconds."""
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            pool = self.connector.peek()
            if pool is None or self.connector.loop is not asyncio.get_running_loop():
                busy = False
            else:
                busy = bool(pool.in_use or pool.waiting)
            if not busy and not self._pending:
                return True
            left = None if deadline is None else deadline - monotonic()
            if left is not None and left <= 0:
                return False
            if busy and pool is not None:
                await asyncio.wait([pool.when_quiet()], timeout=left)
            else:
                self._quiet = asyncio.Event()
                try:
                    async with asyncio.timeout(left):
                        await self._quiet.wait()
                except TimeoutError:
                    return False
                finally:
                    self._quiet = None

    async def close(self) -> None:
        """Close every connection and wait until the sockets are closed; idempotent.  Requests under way get `ConnectionLost`."""
        self._closed = True
        self.plans.clear()
        if self._paused is not None:
            self._paused.close()
        loop = asyncio.get_running_loop()
        while self._closing is not None and self._closing.get_loop() is loop:
            await asyncio.wait([self._closing])  # another task is at it
        closing = self._closing = loop.create_future()
        try:
            await self.connector.close()  # first, for it says goodbye also where another has opened the connection
        finally:
            closing.set_result(None)
            self._closing = None
            if self._sender is not None:
                await self._sender.close()

    shutdown = close

    async def __aenter__(self) -> HTTPClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


def _own(
    middlewares: Sequence[Middleware[Request, HttpResponse]], argument: str
) -> tuple[Middleware[Request, HttpResponse], ...]:
    if not middlewares:
        return ()
    from .middleware.own import read_middlewares

    return read_middlewares(middlewares, argument)
