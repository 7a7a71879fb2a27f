"""The client: verbs, defaults, and the pipeline they go through."""

from __future__ import annotations

import asyncio
import json as _json
import ssl as _ssl
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any

from yarl import URL

from .._version import VERSION
from ..errors import ClientClosed, InvalidHeader, UsageError
from ..models.headers import HeadersLike, HttpHeaders, encode_fields
from ..models.message import Body, Request
from ..models.url import Destination, ParamsLike, basic_credentials, destination, extend_params, join_url, parse_url
from ..net.pool import Stats
from ..net.timeouts import Timeouts
from ..pipeline import Handler, Middleware, compose
from ..protocol.codings import accept_encoding
from .connector import TCPConnector
from .options import Options
from .plain import Plan
from .response import HttpResponse
from .transport import Sender, Transport, encode_head
from .verbs import Verbs

if TYPE_CHECKING:
    from http.cookies import SimpleCookie

    from ..models.cookies import CookieJar
    from .auth import Auth, AuthLike


__all__ = ["HTTPClient", "Stats"]

# URLs that are remembered: where they lead, and how a plain GET of them goes out as bytes.
PLANS = 1024

# Keywords of a call that do not make its options differ from the client's.
_NO_OPTIONS = frozenset(
    {"headers", "params", "data", "json", "json_serializer", "multipart", "files", "follow", "max_redirects", "raise_for_status"}
)

_SOMEWHERE = URL("http://localhost/")


class HTTPClient(Verbs):
    """An HTTP client: one per application, shared by all its tasks.

    connector         a `TCPConnector`; one with the defaults.  Or what stands in for the network, as in `wirebird.testing`
    handle_cookies    keep the cookies of responses in `cookies`, and send them where they belong
    verify_ssl        False accepts any certificate; a request verifies if it and the client both say so
    base_url          what relative URLs are resolved against (RFC 3986 5.2)
    headers           sent with every request, unless it has its own of that name
    params            added to the query of every request
    cookies           a `CookieJar` to use, or cookies for the host of `base_url` (for every request if there is none)
    auth              credentials, as `request` takes them: for the origin of `base_url`, or the one that each call names
    timeouts          `Timeouts` of every request, in place of the connector's
    follow            follow redirects, False
    max_redirects     how many; the next raises `TooManyRedirects`, 10
    raise_for_status  raise `StatusError` for 4xx and 5xx, False
    json_serializer   `json.dumps`, or a faster one that gives str or bytes
    json_decoder      `json.loads`, or a faster one that takes bytes
    auto_decompress   ask for content codings and take them off again, True
    max_body_size     bytes that `content`, `text` and `json` take at the most, after decoding; None for no limit
    middlewares       `async def mw(request, handler) -> response` around each call; the first is the outermost
    network_middlewares  the same around each exchange: every hop of a redirect, every attempt of a retry

    May be made before an event loop runs; it belongs to the loop of its first request, and begins anew on another one.
    Raises `UsageError` for a bad argument, naming it.
    """

    def __init__(
        self,
        connector: TCPConnector | Sender | None = None,
        handle_cookies: bool = False,
        verify_ssl: bool = True,
        *,
        base_url: str | URL | None = None,
        headers: HeadersLike | None = None,
        params: ParamsLike | None = None,
        cookies: Mapping[str, str] | CookieJar | None = None,
        auth: AuthLike | None = None,
        timeouts: Timeouts | None = None,
        follow: bool = False,
        max_redirects: int = 10,
        raise_for_status: bool = False,
        json_serializer: Callable[[Any], str | bytes] = _json.dumps,
        json_decoder: Callable[..., Any] = _json.loads,
        auto_decompress: bool = True,
        max_body_size: int | None = None,
        middlewares: Sequence[Middleware[Request, HttpResponse]] = (),
        network_middlewares: Sequence[Middleware[Request, HttpResponse]] = (),
    ) -> None:
        _check_timeouts(timeouts)
        _check_number("max_redirects", max_redirects)
        if max_body_size is not None:
            _check_number("max_body_size", max_body_size)
        if params is not None:
            extend_params(_SOMEWHERE, params)
        # With a stand-in for the network there are no connections: the connector stays unused, and says so when it is asked.
        self._sender: Sender | None = None if connector is None or isinstance(connector, TCPConnector) else connector
        self.connector = connector if isinstance(connector, TCPConnector) else TCPConnector()
        self.transport = Transport(self.connector)
        self.timeouts = timeouts if timeouts is not None else self.connector.timeouts
        self.total = self.timeouts.total
        self.first_wait = min(self.timeouts.read, self.total)
        self.plans: dict[str | URL, Plan] = {}
        self._known: dict[str | URL, Destination] = {}
        self._base = parse_url(base_url, "base_url") if base_url is not None else None
        if self._base is not None:
            destination(self._base, "base_url")
        self._params = params
        self._follow = follow
        self._max_redirects = max_redirects
        self._raise_for_status = raise_for_status
        self._json_serializer = json_serializer
        self._headers = HttpHeaders({"User-Agent": f"wirebird/{VERSION}", "Accept": "*/*"})
        if auto_decompress:
            self._headers["Accept-Encoding"] = accept_encoding()
        if headers is not None:
            own = HttpHeaders()
            _override(own, headers)
            encode_fields(own.items())
            self._headers.update(own)
        self.settings = Options(
            self.timeouts,
            verify=verify_ssl,
            auto_decompress=auto_decompress,
            json_decoder=json_decoder,
            max_body_size=max_body_size,
        )
        self._jar: CookieJar | None = None
        self._cookies: dict[str, str] | None = None
        if handle_cookies or cookies is not None:
            self._take_cookies(cookies, handle_cookies)
        self._auth: Auth | None = None
        if auth is not None:
            from .auth import read_auth

            self._auth = read_auth(auth)
        self._middlewares = tuple(middlewares)
        self._network_middlewares = tuple(network_middlewares)
        self._handlers: dict[tuple[bool, int, bool, bool], Handler[Request, HttpResponse]] = {}
        self._plain = max_body_size is None and not (
            self._middlewares
            or self._network_middlewares
            or self._sender
            or self._auth
            or self._jar is not None
            or self._cookies
            or follow
            or raise_for_status
        )
        self._closed = False
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
        _check_cookies(cookies)
        if self._base is None:
            self._cookies = dict(cookies)
            return
        # They belong to the origin of the base URL, and to no other that a request may name.
        self._jar = self._jar or CookieJar()
        for name, text in cookies.items():
            self._jar.set(name, text, domain=destination(self._base).host)

    def __repr__(self) -> str:
        return f"<HTTPClient {'closed' if self._closed else repr(self.connector.peek() or 'unused')}>"

    # -- the way of a request ------------------------------------------------------------------------------------------

    def prepare(self, method: str, url: str | URL, given: Mapping[str, Any]) -> Request:
        """The request that a call stands for, complete but for what the pipeline adds.  Raises `UsageError`."""
        where = self._known.get(url) if "params" not in given else None
        if where is None:
            where = self._destination(url, given.get("params"))
        headers = HttpHeaders(self._headers)
        if (own := given.get("headers")) is not None:
            _override(headers, own)
        body: bytes | Body | None = None
        if "data" in given or "json" in given or "files" in given or "multipart" in given:
            body, kind = _content_maker()(
                given.get("data"),
                given.get("json"),
                given.get("files"),
                given.get("multipart", False),
                given.get("json_serializer") or self._json_serializer,
            )
            if kind is not None and "content-type" not in headers:
                headers["Content-Type"] = kind
            if (describe := getattr(body, "describe", None)) is not None:
                describe(headers)
        if where.userinfo and "authorization" not in headers:
            headers["Authorization"] = basic_credentials(where.url)
        if given.keys() <= _NO_OPTIONS and not self._cookies and self._auth is None:
            options = self.settings
        else:
            options = self._options(given, where, "authorization" in headers)
        return Request(method, headers, body, where, options, monotonic() + options.timeouts.total)

    def _destination(self, url: str | URL, params: ParamsLike | None) -> Destination:
        """Where `url` leads, with the client's base and parameters; remembered, for most URLs are asked for again."""
        target = parse_url(url)
        if self._base is not None:
            target = join_url(self._base, target)
        if self._params is not None:
            target = extend_params(target, self._params)
        if params is not None:
            return destination(extend_params(target, params))
        where = destination(target)
        if len(self._known) >= PLANS:
            self._known.clear()
        self._known[url] = where
        return where

    def _options(self, given: Mapping[str, Any], where: Destination, authorized: bool) -> Options:
        """The settings of a call; `authorized` if its headers hold credentials, which the client's do not replace then."""
        settings = self.settings
        timeouts = given.get("timeouts", settings.timeouts)
        _check_timeouts(timeouts)
        ssl = given.get("ssl")
        if ssl is not None and not isinstance(ssl, _ssl.SSLContext):
            raise UsageError(f"ssl must be an ssl.SSLContext, not {ssl!r}", argument="ssl")
        cookies = given.get("cookies")
        if cookies is not None:
            _check_cookies(cookies)
        if self._cookies:
            cookies = {**self._cookies, **(cookies or {})}
        return Options(
            timeouts,
            ssl,
            settings.verify and given.get("verify", True),
            settings.auto_decompress,
            settings.json_decoder,
            settings.max_body_size,
            cookies,
            self._credentials(given.get("auth"), where, authorized),
        )

    def _credentials(self, auth: AuthLike | None, where: Destination, authorized: bool) -> Auth | None:
        """The call's credentials, or the client's where they belong."""
        if auth is not None:
            from .auth import read_auth

            return read_auth(auth)
        if authorized or (self._base is not None and where.origin != destination(self._base).origin):
            return None
        return self._auth

    async def perform(self, method: str, url: str | URL, given: Mapping[str, Any]) -> HttpResponse:
        """What a call does when it is awaited, unless it may take the short cut."""
        if self._closed:
            raise ClientClosed("the client is closed")
        self._pending += 1
        request: Request | None = None
        response: HttpResponse | None = None
        try:
            request = self.prepare(method, url, given)
            follow = given.get("follow")
            if (limit := given.get("max_redirects")) is not None:
                _check_number("max_redirects", limit)
            options: Options = request.options
            response = await self._handler(
                self._follow if follow is None else bool(follow), limit, options.cookies is not None, options.auth is not None
            )(request)
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
            body = request.body if request is not None else None
            if body is not None and not isinstance(body, bytes):
                try:
                    await asyncio.shield(body.close())
                except asyncio.CancelledError:
                    if response is not None:
                        await response.close()  # what was raised may keep it alive for long
                    raise

    def _handler(self, follow: bool, max_redirects: int | None, cookies: bool, auth: bool) -> Handler[Request, HttpResponse]:
        """The pipeline: only the policies that this request uses, composed once for each combination."""
        limit = self._max_redirects if max_redirects is None else max_redirects
        key = (follow, limit, cookies, auth)
        handler = self._handlers.get(key)
        if handler is None:
            layers: list[Middleware[Request, HttpResponse]] = list(self._middlewares)
            if follow:
                from .middleware.redirects import follow_redirects

                layers.append(follow_redirects(limit))
            if auth:
                from .middleware.auth import authenticate

                layers.append(authenticate)
            if cookies or self._jar is not None:
                from .middleware.cookies import handle_cookies

                layers.append(handle_cookies(self._jar))
            layers += self._network_middlewares
            send = self.transport.send if self._sender is None else self._sender.send
            handler = self._handlers[key] = compose(layers, send)
        return handler

    def _plan(self, url: str | URL, request: Request) -> None:
        """Remember how a plain GET of `url` went out, unless its head says more about the exchange than that it happens."""
        if "connection" in request.headers or "transfer-encoding" in request.headers:
            return
        if len(self.plans) >= PLANS:
            self.plans.clear()
        options = request.options
        route = self.connector.route(request.destination, options.ssl, options.verify)
        self.plans[url] = Plan(self.connector.pool, route, encode_head(request)[0])

    # -- what there is to see ------------------------------------------------------------------------------------------

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
        if self._sender is not None:
            await self._sender.close()
        await self.connector.close()

    shutdown = close

    async def __aenter__(self) -> HTTPClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


@cache
def _content_maker() -> Callable[..., tuple[bytes | Body | None, str | None]]:
    """`make_content`, which a program that sends no body need not load."""
    from .content import make_content

    return make_content


def _override(headers: HttpHeaders, own: HeadersLike) -> None:
    try:
        fields = HttpHeaders(own)
    except (TypeError, ValueError) as error:
        raise UsageError(f"headers must be a mapping or pairs of str: {error}", argument="headers") from error
    for name, value in fields.items():
        if not isinstance(value, str):
            raise InvalidHeader(f"headers[{name!r}] must be str, not {type(value).__name__}", argument="headers")
    headers.update(fields)


def _check_number(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UsageError(f"{name} must be a number, not {value!r}", argument=name)


def _check_timeouts(timeouts: object) -> None:
    if timeouts is not None and not isinstance(timeouts, Timeouts):
        raise UsageError(f"timeouts must be Timeouts, not {timeouts!r}", argument="timeouts")


def _check_cookies(cookies: Mapping[str, str]) -> None:
    if not isinstance(cookies, Mapping):
        raise UsageError(f"cookies must be a mapping, not {type(cookies).__name__}", argument="cookies")
    from ..models.cookies import check_cookie

    for name, value in cookies.items():
        check_cookie(name, value)
