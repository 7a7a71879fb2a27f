"""`aiohttp.client_reqrep`: a request on its way to the connection, which middlewares see and may change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from http.cookies import BaseCookie, Morsel, SimpleCookie
from typing import TYPE_CHECKING, Any

from multidict import CIMultiDict, CIMultiDictProxy, MultiDict, MultiDictProxy
from yarl import URL

from ...errors import UsageError
from ...models.headers import check_token
from ...models.url import destination, extend_params
from ...protocol.codings import accept_encoding
from .client_exceptions import InvalidURL
from .fingerprint import Fingerprint, SSLLike
from .formdata import FormData
from .helpers import BasicAuth
from .http import SERVER_SOFTWARE, HttpVersion, HttpVersion11
from .payload import PAYLOAD_REGISTRY, Payload
from .payload import LookupError as NoPayload
from .request_info import ConnectionKey, RequestInfo
from .response import ClientResponse
from .upload_tracker import UploadTracker

if TYPE_CHECKING:
    from .tracing import Tracer

__all__ = ["ClientRequest", "ClientResponse", "ConnectionKey", "Fingerprint", "RequestInfo", "UploadTracker"]


class ClientRequest:
    """One request as it goes out: `method`, `url`, `headers`, `body` and how to send them.

    A middleware may change `headers`, `url` and, with `update_body`, the body; `session` is where it came from.
    """

    GET_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
    POST_METHODS = frozenset({"PATCH", "POST", "PUT"})
    ALL_METHODS = GET_METHODS | POST_METHODS | {"DELETE"}
    DEFAULT_HEADERS: Mapping[str, str] = {"Accept": "*/*", "Accept-Encoding": accept_encoding()}

    def __init__(
        self,
        method: str,
        url: URL,
        *,
        params: Any = None,
        headers: Any = None,
        skip_auto_headers: Iterable[str] | None = None,
        data: Any = None,
        cookies: Any = None,
        auth: BasicAuth | None = None,
        version: HttpVersion = HttpVersion11,
        compress: str | bool | None = None,
        chunked: bool | None = None,
        expect100: bool = False,
        loop: asyncio.AbstractEventLoop | None = None,
        response_class: type[ClientResponse] | None = None,
        proxy: URL | None = None,
        proxy_auth: BasicAuth | None = None,
        timer: Any = None,
        session: Any = None,
        ssl: SSLLike = True,
        proxy_headers: Any = None,
        traces: list[Tracer] | None = None,
        trust_env: bool = False,
        server_hostname: str | None = None,
    ) -> None:
        self.method = check_token(method, "method").upper()
        if params:
            url = with_params(url, params)
        if not url.raw_host:
            raise InvalidURL(url)
        self.original_url = url
        self.url = url.with_fragment(None) if url.raw_fragment else url
        self.version = version
        self.chunked = chunked
        self.compress = compress
        self.loop = loop
        self.response_class: type[ClientResponse] = response_class or ClientResponse
        self.server_hostname = server_hostname
        self.proxy = proxy
        self.proxy_auth = proxy_auth if proxy is not None else None
        self.proxy_headers = _fields(proxy_headers) if proxy is not None and proxy_headers is not None else None
        self.timer = timer
        self._session = session
        self._ssl = ssl
        self._traces: list[Tracer] = traces if traces is not None else []
        self._skip = frozenset(name.lower() for name in skip_auto_headers or ())
        self._body: Payload | None = None
        self._upload_tracker: UploadTracker | None = None
        self.headers: CIMultiDict[str] = CIMultiDict()
        self._write_headers(headers)
        if cookies:
            self._write_cookies(cookies)
        self._write_coding(data)
        self._write_auth(auth)
        self._write_body(data)
        if expect100:
            self.headers["Expect"] = "100-continue"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.method} {self.url}>"

    # -- what there is to see ------------------------------------------------------------------------------------------

    @property
    def session(self) -> Any:
        """The `ClientSession`, for a middleware that wants to ask for something else."""
        return self._session

    @property
    def skip_auto_headers(self) -> CIMultiDict[None]:
        """The fields that are not to be added."""
        return CIMultiDict((name, None) for name in sorted(self._skip))

    def skips(self, name: str) -> bool:
        """Whether the field `name` is not to be added."""
        return bool(self._skip) and name.lower() in self._skip

    @property
    def ssl(self) -> SSLLike:
        """The request's own `ssl`; True for the connector's."""
        return self._ssl

    @property
    def host(self) -> str:
        """The host."""
        return self.url.raw_host or ""

    @property
    def port(self) -> int | None:
        """The port."""
        return self.url.port

    def is_ssl(self) -> bool:
        """Whether there is to be TLS."""
        return self.url.scheme in ("https", "wss")

    @property
    def connection_key(self) -> ConnectionKey:
        """What tells connections apart."""
        proxy_headers = hash(tuple(self.proxy_headers.items())) if self.proxy_headers else None
        return ConnectionKey(
            self.host,
            self.port,
            self.is_ssl(),
            self._ssl,
            self.proxy,
            self.proxy_auth,
            proxy_headers,
            self.server_hostname,
        )

    @property
    def request_info(self) -> RequestInfo:
        """What was asked for, as responses and errors say it."""
        return RequestInfo(self.url, self.method, CIMultiDictProxy(self.headers), self.original_url)

    # -- the fields ----------------------------------------------------------------------------------------------------

    def _write_headers(self, headers: Any) -> None:
        self.headers["Host"] = destination(self.url).authority
        for name, value in _fields(headers).items() if headers else ():
            if name.lower() == "host":
                self.headers[name] = value
            else:
                self.headers.add(name, value)
        for name, value in (*self.DEFAULT_HEADERS.items(), ("User-Agent", SERVER_SOFTWARE)):
            if name not in self.headers and not self.skips(name):
                self.headers[name] = value

    def _write_cookies(self, cookies: Any) -> None:
        """One field of the request's own cookies and the given ones, which count where both have one of the same name."""
        found: dict[str, str] = {}
        for own in self.headers.popall("Cookie", []):
            for pair in own.split(";"):
                name, mark, value = pair.strip(" \t").partition("=")
                if mark:
                    found[name] = value
        for name, given in cookies.items() if isinstance(cookies, Mapping) else cookies:
            if isinstance(given, BaseCookie):
                found.update((key, morsel.coded_value) for key, morsel in given.items())
            elif isinstance(given, Morsel):
                found[given.key or name] = given.coded_value
            else:
                found[name] = _coded(name, given)
        self.headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in found.items())

    def _write_coding(self, data: Any) -> None:
        if not data:
            self.compress = None
        elif self.compress:
            if self.headers.get("Content-Encoding"):
                raise ValueError("headers hold a Content-Encoding, and compress would add another")
            self.compress = self.compress if isinstance(self.compress, str) else "deflate"
            self.headers["Content-Encoding"] = self.compress
            self.chunked = True

    def _write_auth(self, auth: BasicAuth | None) -> None:
        where = destination(self.original_url)
        if auth is not None:
            if not isinstance(auth, BasicAuth):
                raise TypeError(f"auth must be a BasicAuth, not {type(auth).__name__}")
            self.headers["Authorization"] = auth.encode()
        elif where.credentials:
            self.headers["Authorization"] = where.credentials
        self.url = self.url.with_user(None) if self.url.raw_user is not None or self.url.raw_password is not None else self.url

    # -- the body ------------------------------------------------------------------------------------------------------

    @property
    def body(self) -> Any:
        """The body: a `Payload`, or b"" if there is none.  A middleware changes it with `update_body`."""
        return self._body if self._body is not None else b""

    @body.setter
    def body(self, value: Any) -> None:
        self._write_body(value, anew=True)

    async def update_body(self, body: Any) -> None:
        """Put another body in the place of this one, which is closed; `body` is what `data=` takes, or None."""
        if self._body is not None:
            await self._body.close()
        self._write_body(body, anew=True)

    def _write_body(self, data: Any, *, anew: bool = False) -> None:
        headers = self.headers
        if anew:
            headers.popall("Content-Length", None)
            headers.popall("Transfer-Encoding", None)
        self._body = None
        if data is None:
            if self.method not in self.GET_METHODS and not self.chunked and "Content-Length" not in headers:
                headers["Content-Length"] = "0"
        else:
            self._body = body = _payload(data)
            if not self.chunked and "Content-Length" not in headers and "Transfer-Encoding" not in headers:
                if (size := body.size) is not None:
                    headers["Content-Length"] = str(size)
                else:
                    self.chunked = True
            for name, value in body.headers.items():
                if name not in headers and not self.skips(name):
                    headers[name] = value
        if data is not None or self.method not in self.GET_METHODS:
            self._write_framing()

    def _write_framing(self) -> None:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            if self.chunked:
                raise ValueError("headers hold a Transfer-Encoding, and chunked would add another")
        elif self.chunked:
            if "Content-Length" in self.headers:
                raise ValueError("headers hold a Content-Length, and chunked excludes it")
            self.headers["Transfer-Encoding"] = "chunked"


def with_params(url: URL, params: Any) -> URL:
    """The URL with `params` behind its query.  Raises `TypeError` for values that are no str, int or float, as aiohttp does."""
    try:
        return extend_params(url, params)
    except UsageError as error:
        if isinstance(error.__cause__, TypeError):
            raise error.__cause__
        raise


def _payload(data: Any) -> Payload:
    given: Any = data() if isinstance(data, FormData) else data
    try:
        return PAYLOAD_REGISTRY.get(given, disposition=None)
    except NoPayload:
        return FormData(given)()


def _fields(headers: Any) -> MultiDict[str] | MultiDictProxy[str] | CIMultiDictProxy[str]:
    return headers if isinstance(headers, MultiDict | MultiDictProxy) else CIMultiDict(headers)


def _coded(name: str, value: object) -> str:
    """The value as `http.cookies` would quote it."""
    cookie = SimpleCookie({name: str(value)})
    return cookie[name].coded_value
