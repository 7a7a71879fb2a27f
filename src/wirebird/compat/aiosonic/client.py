"""`aiosonic.HTTPClient`: the verbs with aiosonic's parameters and defaults.

What is different from wirebird's own client: the body of a response that is not chunked is read before a call returns, so that
its connection is free; bodies and fields have aiosonic's defaults; nothing is asked for with `Accept` and `Accept-Encoding`.
Redirects follow RFC 9110 and leave credentials behind, as those of later versions of aiosonic do.
"""

from __future__ import annotations

import ssl as _ssl
from collections.abc import Callable
from http.cookies import SimpleCookie
from json import dumps
from typing import Any
from urllib.parse import urlencode

from ...client.client import HTTPClient as _HTTPClient
from ...errors import UsageError
from .connectors import TCPConnector
from .headers import HeadersType, HttpHeaders
from .multipart import MultipartForm
from .proxy import Proxy
from .response import HttpResponse
from .timeout import Timeouts
from .types import DataType, ParamsType
from .version import VERSION

__all__ = ["HTTPClient", "HttpClient"]

# Redirects that are followed; the next raises `MaxRedirects`.
_MAX_REDIRECTS = 30

_FIELDS = {"User-Agent": f"aioload/{VERSION}", "Connection": "keep-alive", "Accept": None, "Accept-Encoding": None}


class HTTPClient:
    """A client with aiosonic's parameters and defaults.

    connector       a `TCPConnector`; one with the defaults
    handle_cookies  keep the cookies of responses, and send them where they belong
    verify_ssl      False accepts any certificate; a request verifies if it and the client both say so
    proxy           a `Proxy` for every request

    May be made outside an event loop.  Raises `wirebird.UsageError`, which is a `ValueError`, for a bad argument.
    """

    def __init__(
        self,
        connector: TCPConnector | None = None,
        handle_cookies: bool = False,
        verify_ssl: bool = True,
        proxy: Proxy | None = None,
    ) -> None:
        self.connector = connector or TCPConnector()
        self.handle_cookies = handle_cookies
        self.verify_ssl = verify_ssl
        self.proxy = proxy
        self._client = _HTTPClient(
            self.connector, handle_cookies, verify_ssl, proxy, headers=_FIELDS, max_redirects=_MAX_REDIRECTS
        )

    @property
    def cookies_map(self) -> dict[str, SimpleCookie]:
        """The cookies that were kept, by host."""
        return self._client.cookies_map

    async def request(
        self,
        url: str,
        method: str = "GET",
        headers: HeadersType | None = None,
        params: ParamsType | None = None,
        data: DataType | None = None,
        json: Any = None,
        json_serializer: Callable[[Any], str | bytes] = dumps,
        multipart: bool = False,
        verify: bool = True,
        ssl: _ssl.SSLContext | None = None,
        timeouts: Timeouts | None = None,
        follow: bool = False,
        http2: bool = False,
    ) -> HttpResponse:
        """Send a request, and give the response with its body, or before its body if that is chunked.

        url              the URL
        method           sent in upper case
        headers          a mapping, pairs, or `HttpHeaders`
        params           a mapping or pairs; they extend the query of the URL
        data             str or bytes (text/plain), a dict or a tuple of pairs (a form), an iterator of bytes (chunked), a
                         `MultipartForm`; ignored for GET
        json             what `json_serializer` takes, in place of `data`
        multipart        send `data`, which must be a dict, as multipart/form-data; open files in it are closed afterwards
        verify, ssl      False accepts any certificate; an `ssl.SSLContext` of its own
        timeouts         `Timeouts`, in place of the connector's
        follow           follow redirects, 30 of them
        http2            accepted; the request goes out over HTTP/1.1, as it does where a server has nothing newer

        Raises `TypeError` for `json` with `data`, `ValueError` for other bad arguments, and what `aiosonic.exceptions` names.
        """
        fields = HttpHeaders(headers)
        body, kind = _content(method, data, json, json_serializer, multipart)
        if kind is not None:
            fields.setdefault("Content-Type", kind)
        response = await self._client.request(
            url,
            method,
            fields,
            params if params is None or isinstance(params, str) else urlencode(params),
            body,
            multipart=isinstance(body, dict),
            verify=verify,
            ssl=ssl,
            timeouts=timeouts,
            follow=bool(follow),
        )
        if not response.chunked:
            await response.content()
        return HttpResponse(response, self.connector)

    async def get(
        self,
        url: str,
        headers: HeadersType | None = None,
        params: ParamsType | None = None,
        verify: bool = True,
        ssl: _ssl.SSLContext | None = None,
        timeouts: Timeouts | None = None,
        follow: bool = False,
        http2: bool = False,
    ) -> HttpResponse:
        """GET; see `request`."""
        return await self.request(
            url,
            "GET",
            headers,
            params,
            verify=verify,
            ssl=ssl,
            timeouts=timeouts,
            follow=follow,
            http2=http2,
        )

    async def post(
        self,
        url: str,
        data: DataType | None = None,
        headers: HeadersType | None = None,
        json: Any = None,
        params: ParamsType | None = None,
        json_serializer: Callable[[Any], str | bytes] = dumps,
        multipart: bool = False,
        verify: bool = True,
        ssl: _ssl.SSLContext | None = None,
        timeouts: Timeouts | None = None,
        follow: bool = False,
        http2: bool = False,
    ) -> HttpResponse:
        """POST; see `request`."""
        return await self.request(
            url,
            "POST",
            headers,
            params,
            data,
            json,
            json_serializer,
            multipart,
            verify,
            ssl,
            timeouts,
            follow,
            http2,
        )

    async def put(
        self,
        url: str,
        data: DataType | None = None,
        headers: HeadersType | None = None,
        json: Any = None,
        params: ParamsType | None = None,
        json_serializer: Callable[[Any], str | bytes] = dumps,
        multipart: bool = False,
        verify: bool = True,
        ssl: _ssl.SSLContext | None = None,
        timeouts: Timeouts | None = None,
        follow: bool = False,
        http2: bool = False,
    ) -> HttpResponse:
        """PUT; see `request`."""
        return await self.request(
            url,
            "PUT",
            headers,
            params,
            data,
            json,
            json_serializer,
            multipart,
            verify,
            ssl,
            timeouts,
            follow,
            http2,
        )

    async def patch(
        self,
        url: str,
        data: DataType | None = None,
        headers: HeadersType | None = None,
        json: Any = None,
        params: ParamsType | None = None,
        json_serializer: Callable[[Any], str | bytes] = dumps,
        multipart: bool = False,
        verify: bool = True,
        ssl: _ssl.SSLContext | None = None,
        timeouts: Timeouts | None = None,
        follow: bool = False,
        http2: bool = False,
    ) -> HttpResponse:
        """PATCH; see `request`."""
        return await self.request(
            url,
            "PATCH",
            headers,
            params,
            data,
            json,
            json_serializer,
            multipart,
            verify,
            ssl,
            timeouts,
            follow,
            http2,
        )

    async def delete(
        self,
        url: str,
        data: DataType | None = b"",
        headers: HeadersType | None = None,
        json: Any = None,
        params: ParamsType | None = None,
        json_serializer: Callable[[Any], str | bytes] = dumps,
        multipart: bool = False,
        verify: bool = True,
        ssl: _ssl.SSLContext | None = None,
        timeouts: Timeouts | None = None,
        follow: bool = False,
        http2: bool = False,
    ) -> HttpResponse:
        """DELETE; see `request`."""
        return await self.request(
            url,
            "DELETE",
            headers,
            params,
            data,
            json,
            json_serializer,
            multipart,
            verify,
            ssl,
            timeouts,
            follow,
            http2,
        )

    async def wait_requests(self, timeout: float | None = 30) -> bool:
        """Wait until every request is done and its body read; False if that takes longer than `timeout` seconds."""
        return await self._client.wait_requests(timeout)

    async def shutdown(self) -> None:
        """Close every connection.  The client is of no use afterwards."""
        await self._client.close()

    async def __aenter__(self) -> HTTPClient:
        return self

    async def __aexit__(self, *error: object) -> None:
        pool = self.connector.peek()
        if pool is not None and pool.in_use:
            await self.connector.retire()  # a chunked response may be read behind the block
        else:
            await self.shutdown()


# As its first documentation spells it.
HttpClient = HTTPClient


def _content(
    method: str, data: Any, json: Any, json_serializer: Callable[[Any], str | bytes], multipart: bool
) -> tuple[Any, str | None]:
    """The body as wirebird's client takes it, a dict only for a multipart form, and the Content-Type that goes with it."""
    kind = "text/plain"
    if json is not None:
        if data is not None and data != b"":
            raise TypeError("json and data are both given, and a request has one body")
        data, kind = json_serializer(json), "application/json"
    if method.upper() == "GET":
        return None, None
    if json is None and multipart:
        if not isinstance(data, MultipartForm | dict):
            raise UsageError(f"data must be a dict for a multipart request, not {type(data).__name__}", argument="data")
        return data, None
    if isinstance(data, dict | tuple):
        data, kind = urlencode(data), "application/x-www-form-urlencoded"
    if isinstance(data, str):
        data = data.encode()
    return data, kind if data and isinstance(data, bytes) else None
