"""One call of a session: a request, and those that redirects make of it.

What is asked next, and what of the request may go there, is decided in `client/middleware/redirects.py`.  Here each of them gets
its cookies, credentials and proxy, its `ClientRequest`, and the middlewares around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from http.cookies import Morsel
from typing import TYPE_CHECKING, Any, Final

from multidict import CIMultiDict
from yarl import URL

from ...client.middleware.redirects import redirected
from ...client.options import Options
from ...errors import BodyConsumed, InvalidResponse
from ...errors import InvalidURL as _InvalidURL
from ...models.headers import HttpHeaders
from ...models.message import Request
from ...models.url import destination
from ...pipeline import compose
from .client_exceptions import (
    ClientPayloadError,
    InvalidURL,
    InvalidUrlClientError,
    InvalidUrlRedirectClientError,
    NonHttpUrlRedirectClientError,
    TooManyRedirects,
)
from .client_reqrep import ClientRequest, ClientResponse, with_params
from .fingerprint import merge_ssl
from .helpers import BasicAuth, get_env_proxy_for_url
from .payload_body import body_of, close_if_sent
from .sending import Sending

if TYPE_CHECKING:
    from .call import CallOptions
    from .tracing import Tracer

__all__ = ["Journey", "scheme_of"]

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Journey:
    """The requests of one call, one after the other.

    `session` is the `ClientSession`; `method`, `url` and `headers` are those of the request that is under way.  Raises
    `ValueError` or `TypeError` for what cannot be sent, and `InvalidURL`.
    """

    def __init__(self, session: Any, method: str, url: str | URL, call: CallOptions, sending: Sending) -> None:
        if call.data is not None and call.json is not None:
            raise ValueError("data and json parameters can not be used at the same time")
        self._session = session
        self._call = call
        self._traces: list[Tracer] = []
        self._sending = sending
        self._ssl = merge_ssl(call.ssl, call.verify_ssl, call.ssl_context, call.fingerprint, 4)
        self._data = session._json_payload(call.json) if call.json is not None else call.data
        self._cookies = call.cookies
        self._server_hostname = call.server_hostname
        self._proxy = _read_proxy(call.proxy if call.proxy is not None else session._default_proxy)
        self._proxy_auth = call.proxy_auth if call.proxy_auth is not None else session._default_proxy_auth
        if self._proxy_auth is not None and not isinstance(self._proxy_auth, BasicAuth):
            raise ValueError("proxy_auth must be None or BasicAuth() tuple")
        self._proxy_headers = session._prepare_headers(call.proxy_headers) if self._proxy is not None else None
        self._request: ClientRequest | None = None
        target = session._build_url(url)
        if call.params:
            target = with_params(target, call.params)
        headers = HttpHeaders(session._prepare_headers(call.headers))
        try:
            where = destination(target)
        except _InvalidURL as error:
            raise InvalidUrlClientError(url, error.message) from error
        auth = call.auth
        if auth is not None and where.credentials:
            raise ValueError("auth and credentials in the URL exclude each other")
        base = session._base_url
        if auth is None and not where.credentials and (base is None or destination(base).origin == where.origin):
            auth = session._default_auth
        if auth is not None and not isinstance(auth, BasicAuth):
            raise TypeError(f"auth must be a BasicAuth, not {type(auth).__name__}")
        credentials = auth.encode() if auth is not None else where.credentials
        if credentials:
            if "Authorization" in headers:
                raise ValueError("Cannot combine AUTHORIZATION header with AUTH argument or credentials encoded in URL")
            headers["Authorization"] = credentials
        options = Options(sending.timeouts)
        self._next = Request(method, headers, None, where, options, sending.deadline)

    @property
    def method(self) -> str:
        """The method of the request under way."""
        return self._next.method

    @property
    def url(self) -> URL:
        """Its URL."""
        return self._next.url

    @property
    def headers(self) -> CIMultiDict[str]:
        """The caller's fields of it."""
        return self._next.headers

    async def run(self, tracer: Tracer | None = None) -> ClientResponse:
        """The response that is not a redirect, or not to be followed."""
        if tracer is not None:
            self._traces.append(tracer)
        session, call = self._session, self._call
        middlewares = session._middlewares if call.middlewares is None else call.middlewares
        handler: Any = compose(middlewares, self._sending.send) if middlewares else self._sending.send
        history: list[ClientResponse] = []
        while True:
            req = self._request = self._make()
            response: ClientResponse = await handler(req)
            try:
                if set_cookie := response.headers.getall("Set-Cookie", ()):
                    session._cookie_jar.update_cookies_from_headers(list(set_cookie), response.url)
                location = response.headers.get("Location") or response.headers.get("URI")
                if response.status in _REDIRECTS and call.allow_redirects:
                    for trace in self._traces:
                        await trace.request_redirect(self.method, self.url, self.headers, response)
                    if call.max_redirects and len(history) + 1 >= call.max_redirects:
                        raise TooManyRedirects(
                            (history[0] if history else response).request_info,
                            (*history, response),
                            status=response.status,
                            message=f"more than {call.max_redirects - 1} redirects",
                            headers=response.headers,
                        )
                    if location is not None:
                        history.append(response)
                        self._turn(req, response, location)
                        continue
                if req._body is not None:
                    await close_if_sent(req._body)
            except BaseException:
                response.close()
                raise
            response._history = tuple(history)
            return response

    def _own_cookies(self, url: URL) -> Iterator[tuple[str, Any]]:
        """The cookies of the call.  A Secure one goes by plain http only where the jar has that origin for secure."""
        cookies = self._cookies or ()
        trusted = getattr(self._session._cookie_jar, "treat_as_secure_origin", ())
        secure = url.scheme in ("https", "wss") or url.origin() in trusted
        for name, given in cookies.items() if hasattr(cookies, "items") else cookies:
            if secure or not (isinstance(given, Morsel) and given["secure"]):
                yield name, given

    async def abandon(self) -> None:
        """The call has failed: close what the body of the request under way has open, and let go of its response."""
        if self._sending.latest is not None:
            self._sending.latest.close()
        if self._request is not None and self._request._body is not None:
            await close_if_sent(self._request._body)

    def _make(self) -> ClientRequest:
        """The request that is to go out next."""
        session, call, following = self._session, self._call, self._next
        url = following.url
        cookies = session._cookie_jar.filter_cookies(url)
        headers: Any = following.headers
        value = session._netrc_credentials(following.destination.host) if session._trust_env else None
        if value is not None and "Authorization" not in headers:
            headers = HttpHeaders(headers)
            headers["Authorization"] = value
        proxy, proxy_auth = self._proxy, self._proxy_auth
        if proxy is None and session._trust_env:
            try:
                proxy, proxy_auth = get_env_proxy_for_url(url)
            except LookupError:
                proxy = None
            else:
                if proxy_auth is None and (found := session._netrc_credentials(proxy.host)) is not None:
                    proxy_auth = BasicAuth.decode(found)
        made: ClientRequest = session._request_class(
            following.method,
            url,
            params=None,
            headers=headers,
            skip_auto_headers={*session._skip_auto_headers, *(call.skip_auto_headers or ())},
            data=self._data,
            cookies=[*cookies.items(), *self._own_cookies(url)],
            auth=None,
            version=session._version,
            compress=call.compress,
            chunked=call.chunked,
            expect100=call.expect100,
            loop=session._loop,
            response_class=session._response_class,
            proxy=proxy,
            proxy_auth=proxy_auth,
            timer=None,
            session=session,
            ssl=self._ssl,
            server_hostname=self._server_hostname,
            proxy_headers=self._proxy_headers,
            traces=self._traces,
            trust_env=session._trust_env,
        )
        made._upload_tracker = call.upload_tracker
        return made

    def _turn(self, req: ClientRequest, response: ClientResponse, location: str) -> None:
        """Make the next request of a redirect; `response` is let go of."""
        response.release()
        before = self._next
        if scheme_of(location) not in ("", "http", "https"):
            raise NonHttpUrlRedirectClientError(location)
        before.body = body_of(req._body) if req._body is not None else None
        try:
            self._next = redirected(before, response.status, location, requote=self._session._requote_redirect_url)
        except InvalidResponse as error:
            raise InvalidUrlRedirectClientError(location, error.message) from error
        except BodyConsumed as error:
            raise ClientPayloadError(error.message) from error
        if self._next.body is None:
            self._data = None
        else:
            self._data = req._body
            self._next.body = None
        if self._next.destination.origin != before.destination.origin:
            self._cookies = None
            self._server_hostname = None


def scheme_of(url: str) -> str:
    """What is in front of the first colon, in lower case, if that is no part of a path; also of what is no URL otherwise."""
    return url.partition(":")[0].lower() if ":" in url.partition("/")[0] else ""


def _read_proxy(proxy: Any) -> URL | None:
    if proxy is None:
        return None
    try:
        url = URL(proxy)
    except ValueError as error:
        raise InvalidURL(proxy) from error
    if url.raw_host is None:  # a host alone is none to aiohttp
        raise InvalidURL(proxy)
    return url
