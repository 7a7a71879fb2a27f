"""`aiohttp.ClientSession`: the verbs with aiohttp's parameters and defaults, over wirebird's transport."""

from __future__ import annotations

import asyncio
import json as _json
import logging
import sys
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from multidict import CIMultiDict, istr
from yarl import URL

from ...errors import InvalidURL as _InvalidURL
from ...errors import UsageError
from ...models.limits import Limits
from ...models.url import destination, join_url, parse_url
from .call import Awaited, CallOptions
from .client_exceptions import InvalidUrlClientError, NonHttpUrlClientError
from .client_reqrep import ClientRequest, ClientResponse
from .client_ws import ClientWebSocketResponse
from .connector import BaseConnector, TCPConnector
from .cookiejar import AbstractCookieJar, CookieJar
from .helpers import DEFAULT_CHUNK_SIZE, BasicAuth, sentinel
from .http import HttpVersion, HttpVersion11
from .journey import Journey, scheme_of
from .payload import JsonBytesPayload, JsonPayload
from .sending import Sending
from .session_view import SessionView
from .timeout import ClientTimeout, read_timeout, session_timeout

if TYPE_CHECKING:
    from ...client.websocket_offer import Offer
    from .client_middlewares import ClientMiddlewareType
    from .tracing import TraceConfig, Tracer
    from .ws_connecting import WebSocketOptions

__all__ = ["ClientSession", "ClientTimeout", "request"]

_log: Final = logging.getLogger("wirebird")

# Per request, wirebird limits the whole head; aiohttp each line of it.
_HEAD_SIZE: Final = 65536

# The names of aiohttp's for what the verbs give, which programs know from annotations.
_RequestContextManager = Awaited[ClientResponse]
_WSRequestContextManager = Awaited[ClientWebSocketResponse]

# What a URL may begin with; the connector may know more.
_SCHEMES: Final = frozenset({"", "http", "https", "ws", "wss"})

# URLs that are remembered as they were read.
_KNOWN_URLS: Final = 1024


class ClientSession(SessionView):
    """Requests that share connections, cookies and settings.

    base_url              what relative URLs are resolved against; its path must end with a slash
    connector             a `TCPConnector` or `UnixConnector`, closed with the session unless `connector_owner` is False
    cookies               put into the `cookie_jar`, which is a `CookieJar()` unless there is another
    headers               sent with every request, unless it has its own of that name
    skip_auto_headers     names of fields that are not to be added by themselves
    auth                  a `BasicAuth`, for the origin of `base_url`, or the one that each call names
    proxy, proxy_auth     the proxy of every request
    json_serialize        `json.dumps`, or another that gives str; `json_serialize_bytes` one that gives bytes
    request_class, response_class, ws_response_class
                          classes derived from `ClientRequest`, `ClientResponse` and `ClientWebSocketResponse`
    raise_for_status      whether to raise `ClientResponseError` for a status of 400 and above; or a coroutine function of the
                          response that decides
    timeout               a `ClientTimeout`; 300 s in all, 30 s for a connection
    auto_decompress       take content codings off, True
    trust_env             without a proxy or credentials, use those that the environment and its netrc file name
    requote_redirect_url  quote in a Location what may not stand in a URL, True
    trace_configs         `TraceConfig`s, told of every phase
    read_bufsize          half of the longest line that `content.readline` takes, 64 KiB
    max_line_size, max_headers, max_field_size
                          limits of the head of a response
    fallback_charset_resolver
                          `def resolver(response, body) -> str`: the encoding where nobody names one
    middlewares           `async def middleware(request, handler) -> response`, around each request that goes out

    version               `HttpVersion11`, or `HttpVersion10`, which has no chunks

    `loop` and `ssl_shutdown_timeout` are accepted; `read_timeout` and `conn_timeout` are deprecated.  Raises `ValueError`.
    """

    def __init__(
        self,
        base_url: str | URL | None = None,
        *,
        connector: BaseConnector | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        cookies: Any = None,
        headers: Any = None,
        proxy: str | URL | None = None,
        proxy_auth: BasicAuth | None = None,
        skip_auto_headers: Iterable[str] | None = None,
        auth: BasicAuth | None = None,
        json_serialize: Callable[[Any], str] = _json.dumps,
        json_serialize_bytes: Callable[[Any], bytes] | None = None,
        request_class: type[ClientRequest] = ClientRequest,
        response_class: type[ClientResponse] = ClientResponse,
        ws_response_class: type[ClientWebSocketResponse] = ClientWebSocketResponse,
        version: HttpVersion | str = HttpVersion11,
        cookie_jar: AbstractCookieJar | None = None,
        connector_owner: bool = True,
        raise_for_status: bool | Callable[[ClientResponse], Awaitable[None]] = False,
        read_timeout: Any = sentinel,
        conn_timeout: float | None = None,
        timeout: Any = sentinel,
        auto_decompress: bool = True,
        trust_env: bool = False,
        requote_redirect_url: bool = True,
        trace_configs: list[TraceConfig] | None = None,
        read_bufsize: int = DEFAULT_CHUNK_SIZE,
        max_line_size: int = 8190,
        max_field_size: int = 8190,
        max_headers: int = 128,
        fallback_charset_resolver: Callable[[ClientResponse, bytes], str] = lambda response, body: "utf-8",
        middlewares: Sequence[ClientMiddlewareType] = (),
        ssl_shutdown_timeout: Any = sentinel,
    ) -> None:
        self._base_url = _read_base(base_url)
        self._timeout = session_timeout(timeout, read_timeout, conn_timeout)
        self._loop = loop or _running_loop()
        self._cookie_jar = CookieJar() if cookie_jar is None else cookie_jar
        if cookies:
            self._cookie_jar.update_cookies(cookies)
        self._connector_owner = connector_owner
        self._default_auth = auth
        if isinstance(version, str):  # as gql's users are told to write it
            version = HttpVersion(*map(int, version.split(".")))
        if tuple(version) not in ((1, 0), (1, 1)):
            raise ValueError(f"version must be HttpVersion10 or HttpVersion11, not {version!r}")
        self._version = version
        self._json_serialize = json_serialize
        self._json_serialize_bytes = json_serialize_bytes
        self._raise_for_status = raise_for_status
        self._auto_decompress = auto_decompress
        self._trust_env = trust_env
        self._requote_redirect_url = requote_redirect_url
        self._read_bufsize = read_bufsize
        self._head_limits = (max_line_size, max_field_size, max_headers)
        self._default_headers = CIMultiDict(headers or ())
        self._skip_auto_headers = frozenset(istr(name) for name in skip_auto_headers or ())
        self._request_class = request_class
        self._response_class = response_class
        self._ws_response_class = ws_response_class
        self._trace_configs = list(trace_configs or ())
        for config in self._trace_configs:
            config.freeze()
        self._resolve_charset = fallback_charset_resolver
        self._default_proxy = proxy
        self._default_proxy_auth = proxy_auth
        self._middlewares = middlewares
        self._netrc: Any = None
        self._known_urls: dict[str | URL, URL] = {}
        self._connector = connector if connector is not None else TCPConnector()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'closed' if self.closed else repr(self._connector)}>"

    def __del__(self) -> None:
        if self.closed:
            return
        warnings.warn(f"Unclosed client session {self!r}", ResourceWarning, stacklevel=1, source=self)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_exception_handler({"client_session": self, "message": "Unclosed client session"})
        connector = self._connector
        if connector is None or not self._connector_owner:
            return
        # The loop holds what is open, and by that the pool: nobody else would close it.  What is in use is somebody's.
        pool, loop = connector.peek(), connector.loop
        if pool is not None and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(pool.shut_idle)

    # -- the verbs -----------------------------------------------------------------------------------------------------

    def request(self, method: str, url: str | URL, **kwargs: Any) -> Awaited[ClientResponse]:
        """Send a request; awaited it gives the `ClientResponse`, as `async with` it lets go of it at the end.

        params                 behind the query of the URL: a mapping (values may be lists), pairs, or an encoded str
        data                   bytes, str, a dict or pairs (a form), an open file, an async iterable, a `FormData`, a `Payload`,
                               the `content` of a response
        json                   what the session's `json_serialize` takes, in place of `data`
        cookies                for this request and its origin only
        headers, skip_auto_headers, auth, proxy, proxy_auth, timeout, raise_for_status, auto_decompress, read_bufsize,
        max_line_size, max_field_size, max_headers, middlewares
                               in place of the session's, which headers add to; `timeout` may be a number of seconds in all
        allow_redirects        follow redirects, True but for HEAD; `max_redirects` of them and no more is one too many, 10
        compress               "deflate" (or True), "gzip", "br", "zstd": code the body
        chunked                send it in chunks, whatever its size
        expect100              ask before sending it (RFC 9110 10.1.1)
        read_until_eof         read a body that nothing says the length of, True
        proxy_headers          for the proxy, where it is asked for a tunnel
        ssl                    True for the connector's, False to accept any certificate, an `ssl.SSLContext`, a `Fingerprint`
        server_hostname        the name to verify, and to send as SNI
        trace_request_ctx      for the callbacks of `trace_configs`
        upload_tracker         an `UploadTracker`
        verify_ssl, ssl_context, fingerprint
                               deprecated, in favour of `ssl`

        Raises what `aiohttp.client_exceptions` lists, `TimeoutError`, and `ValueError` or `TypeError` for what cannot be sent.
        """
        return Awaited(self._request(method, url, **kwargs))

    def get(self, url: str | URL, *, allow_redirects: bool = True, **kwargs: Any) -> Awaited[ClientResponse]:
        """GET; see `request`."""
        return Awaited(self._request("GET", url, allow_redirects=allow_redirects, **kwargs))

    def options(self, url: str | URL, *, allow_redirects: bool = True, **kwargs: Any) -> Awaited[ClientResponse]:
        """OPTIONS; see `request`."""
        return Awaited(self._request("OPTIONS", url, allow_redirects=allow_redirects, **kwargs))

    def head(self, url: str | URL, *, allow_redirects: bool = False, **kwargs: Any) -> Awaited[ClientResponse]:
        """HEAD; see `request`."""
        return Awaited(self._request("HEAD", url, allow_redirects=allow_redirects, **kwargs))

    def post(self, url: str | URL, *, data: Any = None, **kwargs: Any) -> Awaited[ClientResponse]:
        """POST; see `request`."""
        return Awaited(self._request("POST", url, data=data, **kwargs))

    def put(self, url: str | URL, *, data: Any = None, **kwargs: Any) -> Awaited[ClientResponse]:
        """PUT; see `request`."""
        return Awaited(self._request("PUT", url, data=data, **kwargs))

    def patch(self, url: str | URL, *, data: Any = None, **kwargs: Any) -> Awaited[ClientResponse]:
        """PATCH; see `request`."""
        return Awaited(self._request("PATCH", url, data=data, **kwargs))

    def delete(self, url: str | URL, **kwargs: Any) -> Awaited[ClientResponse]:
        """DELETE; see `request`."""
        return Awaited(self._request("DELETE", url, **kwargs))

    # -- the way of a request ------------------------------------------------------------------------------------------

    def _request(self, method: str, str_or_url: str | URL, **kwargs: Any) -> Coroutine[Any, Any, ClientResponse]:
        """What every verb comes to."""
        return self._perform(method, str_or_url, CallOptions(**kwargs))

    def ws_connect(self, url: str | URL, **kwargs: Any) -> Awaited[ClientWebSocketResponse]:
        """Open a WebSocket; awaited it gives the `ClientWebSocketResponse`, as `async with` it closes it at the end.

        url                  its scheme may be http, https, ws or wss
        protocols            subprotocols, the preferred one first
        timeout              a `ClientWSTimeout`; 10 s for a close, and no limit for a message
        autoclose, autoping  answer a close, and pings, without being asked; a close is answered in any case
        heartbeat            ask for a sign of life after so many seconds of silence; it has half of them to come
        origin               the `Origin` field
        compress             offer permessage-deflate: 15, or fewer bits for the window of what the server sends; 0 for none
        max_msg_size         bytes of one message, after inflating, 4 MiB; 0 for no limit
        decode_text          False gives texts as bytes
        method, auth, params, headers, proxy, proxy_auth, proxy_headers, ssl, server_hostname
                             as for `request`
        receive_timeout      deprecated, as is a number for `timeout`

        Raises `WSServerHandshakeError`, and what `request` raises.
        """
        return Awaited(self._ws_connect(url, **kwargs))

    def _ws_connect(self, url: str | URL, **kwargs: Any) -> Coroutine[Any, Any, ClientWebSocketResponse]:
        """What `ws_connect` comes to."""
        from .ws_connecting import WebSocketOptions

        return self._open(url, WebSocketOptions(**kwargs))

    async def _open(self, url: str | URL, options: WebSocketOptions) -> ClientWebSocketResponse:
        timeout = options.limits()
        headers: CIMultiDict[str] = CIMultiDict(options.headers or ())
        offer = options.offer(headers)
        connector = self._connector
        response = await self._perform(options.method, url, options.call(headers), offer)
        return options.open(response, connector, timeout, self._ws_response_class)  # type: ignore[arg-type]

    async def _perform(self, method: str, url: str | URL, call: CallOptions, upgrade: Offer | None = None) -> ClientResponse:
        tracker = call.upload_tracker
        if tracker is not None:
            tracker.bind()
        journey: Journey | None = None
        try:
            journey = Journey(self, method.upper(), url, call, self._sending(call, upgrade))
            if self._trace_configs:
                from .tracing import Tracer

                contexts = [(config, config.trace_config_ctx(call.trace_request_ctx)) for config in self._trace_configs]
                with Tracer(self, contexts) as tracer:
                    response = await self._traced(journey, call, tracer)
            else:
                response = await journey.run()
                await self._judge(response, call)
        except BaseException as error:
            if tracker is not None:
                tracker.end(error)
            if journey is not None:
                await journey.abandon()
            raise
        if tracker is not None:
            tracker.end()
        return response

    async def _traced(self, journey: Journey, call: CallOptions, tracer: Tracer) -> ClientResponse:
        """The response of a journey that somebody is told of."""
        response: ClientResponse | None = None
        try:
            await tracer.request_start(journey.method, journey.url, journey.headers)
            response = await journey.run(tracer)
            await self._judge(response, call)
            await tracer.request_end(journey.method, journey.url, journey.headers, response)
        except BaseException as error:
            if response is not None:
                response.close()
            await tracer.request_exception(journey.method, journey.url, journey.headers, error)
            raise
        return response

    def _sending(self, call: CallOptions, upgrade: Offer | None = None) -> Sending:
        """How the requests of a call are sent.  Raises `RuntimeError` if the session is closed."""
        connector = self._connector
        if connector is None or connector.closed:
            raise RuntimeError("Session is closed")
        timeout = self._timeout
        if call.timeout is not sentinel:
            timeout = call.timeout if isinstance(call.timeout, ClientTimeout) else ClientTimeout(total=call.timeout)
        timeouts = read_timeout(timeout)
        line, field, fields = (
            own if own is not None else usual
            for own, usual in zip((call.max_line_size, call.max_field_size, call.max_headers), self._head_limits, strict=True)
        )
        return Sending(
            session=self,
            connector=connector,
            timeouts=timeouts,
            deadline=timeouts.after(monotonic(), timeouts.total),
            limits=_limits(line, field, fields),
            read_bufsize=call.read_bufsize or self._read_bufsize,
            read_until_eof=call.read_until_eof,
            auto_decompress=self._auto_decompress if call.auto_decompress is None else call.auto_decompress,
            tracker=call.upload_tracker,
            upgrade=upgrade,
        )

    async def _judge(self, response: ClientResponse, call: CallOptions) -> None:
        strict = self._raise_for_status if call.raise_for_status is None else call.raise_for_status
        try:
            if callable(strict):
                await strict(response)
            elif strict:
                response.raise_for_status()
        except BaseException:
            response.close()
            raise

    def _build_url(self, str_or_url: str | URL) -> URL:
        """The absolute URL that is meant.  Raises `InvalidUrlClientError`, `NonHttpUrlClientError`."""
        found = self._known_urls.get(str_or_url)
        if found is not None:
            return found
        try:
            url = parse_url(str_or_url)
            if self._base_url is not None and not url.absolute:
                url = join_url(self._base_url, url)
        except _InvalidURL as error:
            if not isinstance(str_or_url, str):
                raise TypeError(error.message) from error
            if scheme_of(str_or_url) not in _SCHEMES:
                raise NonHttpUrlClientError(str_or_url) from error
            raise InvalidUrlClientError(str_or_url, error.message) from error
        schemes = self._connector.allowed_protocol_schema_set if self._connector is not None else ()
        if url.scheme not in schemes:
            raise NonHttpUrlClientError(url)
        if len(self._known_urls) >= _KNOWN_URLS:
            self._known_urls.clear()
        self._known_urls[str_or_url] = url
        return url

    def _prepare_headers(self, headers: Any) -> CIMultiDict[str]:
        """The session's fields, with those of the same names in `headers` in their place."""
        prepared = CIMultiDict(self._default_headers)
        if headers:
            own: CIMultiDict[str] = CIMultiDict(headers)
            prepared.update(own)
        return prepared

    def _json_payload(self, value: Any) -> Any:
        if self._json_serialize_bytes is not None:
            return JsonBytesPayload(value, dumps=self._json_serialize_bytes)
        return JsonPayload(value, dumps=self._json_serialize)

    def _netrc_credentials(self, host: str) -> str | None:
        """What the netrc file of the environment says for `host`; a file that cannot be used is as none."""
        from ...client.netrc_auth import environment_netrc

        if self._netrc is None:
            self._netrc = environment_netrc()
        try:
            return self._netrc.credentials(host) if self._netrc is not None else None
        except UsageError as error:
            _log.warning("%s", error)
            return None

    # -- the end -------------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Close the connector, unless it is somebody else's."""
        connector, self._connector = self._connector, None
        if connector is not None and self._connector_owner and not connector.closed:
            await connector.close()

    def detach(self) -> None:
        """Let go of the connector without closing it.  The session is closed then."""
        self._connector = None

    def __enter__(self) -> None:
        raise TypeError("Use async with instead")

    def __exit__(self, *error: object) -> None:
        """There is `__enter__`, so there is this."""

    async def __aenter__(self) -> ClientSession:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


@lru_cache(maxsize=64)
def _limits(line: int, field: int, fields: int) -> Limits:
    # aiohttp's is for the reason alone.
    return Limits(start_line=line + len("HTTP/1.1 200 \r\n"), head_fields=fields, head_size=max(_HEAD_SIZE, field + line))


class _OneRequest:
    """A request with a session of its own, as an async context manager."""

    def __init__(self, coroutine: Coroutine[Any, Any, ClientResponse], session: ClientSession) -> None:
        self._coroutine = coroutine
        self._session = session
        self._response: ClientResponse | None = None

    async def __aenter__(self) -> ClientResponse:
        try:
            self._response = await self._coroutine
        except BaseException:
            await self._session.close()
            raise
        return self._response

    async def __aexit__(self, *error: object) -> None:
        if self._response is not None:
            self._response.close()
        await self._session.close()


def request(
    method: str,
    url: str | URL,
    *,
    version: HttpVersion = HttpVersion11,
    connector: BaseConnector | None = None,
    loop: asyncio.AbstractEventLoop | None = None,
    **kwargs: Any,
) -> _OneRequest:
    """One request with a session of its own, with its keywords: `async with request("GET", url) as response`."""
    session = ClientSession(
        cookies=kwargs.pop("cookies", None),
        version=version,
        timeout=kwargs.pop("timeout", sentinel),
        connector=connector if connector is not None else TCPConnector(force_close=True),
        connector_owner=connector is None,
    )
    return _OneRequest(session._request(method, url, **kwargs), session)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _read_base(base_url: str | URL | None) -> URL | None:
    if base_url is None:
        return None
    base = parse_url(base_url, "base_url")
    destination(base, "base_url")
    if not base.path.endswith("/"):
        raise ValueError("base_url must have a trailing '/'")
    return base


def __getattr__(name: str) -> Any:  # aiohttp's module has the errors and the connectors, too
    package = sys.modules[__package__]
    if name not in package.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(package, name)
