"""Aioreq's requests and responses: each a view of one of wirebird's, which is its `native`."""

from __future__ import annotations

import json as _json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from typing import Any

from yarl import URL

from ...client.auth import Auth
from ...client.options import Options
from ...client.response import HttpResponse
from ...errors import UsageError
from ...models.form_encoding import FormLike, urlencode_form
from ...models.headers import HttpHeaders
from ...models.message import Request as _Request
from ...models.url import ParamsLike, destination, extend_params, parse_url
from ...net.timeouts import NEVER, Timeouts
from ...net.tls import tls_context
from .challenges import ChallengeAuth
from .headers import Headers

__all__ = ["JsonRequest", "Request", "Response", "StreamResponse", "UrlEncodedRequest"]


class Request:
    """A request, made from a URL, or from a method, a host and a path:

        Request("https://example.org/", method="GET")
        Request("GET", "https://example.org", {"accept": "*/*"}, "/")

    headers           a mapping
    content           the body: str (sent as UTF-8) or bytes
    params            what extends the query of the URL: a mapping or pairs; `path_parameters` is another name for it
    auth              `(user, password)`, for when the server asks for them
    timeout           seconds for each exchange; 0 or None for no limit
    redirect, retry   redirects that are followed, failures that are tried again; None for as many as the client says
    verify_mode       False accepts any certificate
    check_hostname    False accepts a certificate for any name
    keylog_filename   a file that the TLS secrets are appended to

    `native` is wirebird's request.  Raises `UsageError`, a `ValueError`, for a bad argument.
    """

    def __init__(
        self,
        target: str | URL = "GET",
        /,
        host: str | None = None,
        headers: Mapping[str, Any] | None = None,
        path: str | None = None,
        *,
        url: str | URL | None = None,
        method: str | None = None,
        content: Any = None,
        params: ParamsLike | None = None,
        path_parameters: ParamsLike | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = 0,
        redirect: int | None = None,
        retry: int | None = None,
        check_hostname: bool = True,
        verify_mode: bool = True,
        keylog_filename: str | None = None,
    ) -> None:
        if url is None and "://" in str(target):
            url, target = target, "GET"
        if url is None:
            if host is None:
                raise UsageError("a request needs a url, or a host", argument="url")
            url = (host if "://" in host else f"https://{host}") + (path or "")
        where = parse_url(url)
        for more in (params, path_parameters):
            if more:
                where = extend_params(where, more if isinstance(more, str | Mapping) else list(more))
        context = None
        if verify_mode and not (check_hostname and keylog_filename is None):
            context = tls_context(check_hostname=check_hostname, keylog=keylog_filename)
        options = Options(
            _limits(timeout),
            context,
            bool(verify_mode),
            auto_decompress=False,
            auth=None if auth is None else ChallengeAuth(*auth),
        )
        fields = Headers(headers)
        body, kind = self._encoded(content)
        if kind is not None:
            fields.setdefault("Content-Type", kind)
        self.native = _Request(str(method or target).upper(), fields.fields, body, destination(where), options, NEVER)
        self.redirect = redirect
        self.retry = retry

    def _encoded(self, content: Any) -> tuple[bytes | None, str | None]:
        """The body, and its Content-Type."""
        if content is None or isinstance(content, str | bytes | bytearray):
            return (content.encode() if isinstance(content, str) else bytes(content) if content else None) or None, None
        raise UsageError(f"content must be str or bytes, not {type(content).__name__}", argument="content")

    def following(self, native: _Request) -> Request:
        """The same request on its next hop."""
        if native is self.native:
            return self
        request = object.__new__(type(self))
        request.native, request.redirect, request.retry = native, self.redirect, self.retry
        return request

    def __repr__(self) -> str:
        where = self.native.destination
        return f"<{type(self).__name__} {self.method} {where.scheme}://{where.authority}>"

    @property
    def method(self) -> str:
        """The method."""
        return self.native.method

    @method.setter
    def method(self, method: str) -> None:
        self.native.method = method

    @property
    def url(self) -> URL:
        """The URL; setting another one changes where the request goes."""
        return self.native.url

    @url.setter
    def url(self, url: str | URL) -> None:
        self.native.url = url

    @property
    def host(self) -> str:
        """The name of the host."""
        return self.native.destination.host

    @property
    def path(self) -> str:
        """The path of the URL."""
        return self.native.url.path

    @property
    def headers(self) -> Headers:
        """The header fields, to be changed in place."""
        return Headers.over(self.native.headers)

    @property
    def content(self) -> bytes:
        """The body; empty if there is none."""
        body = self.native.body
        return body if isinstance(body, bytes) else b""

    @content.setter
    def content(self, content: Any) -> None:
        self.native.body = self._encoded(content)[0]

    body = content

    @property
    def timeout(self) -> float:
        """Seconds for each exchange; 0 for no limit."""
        timeouts: Timeouts = self.native.options.timeouts
        return timeouts.request_timeout or 0

    @timeout.setter
    def timeout(self, timeout: float | None) -> None:
        options: Options = self.native.options
        self.native.options = replace(options, timeouts=_limits(timeout))

    @property
    def auth(self) -> Auth | None:
        """The credentials, None once the request was redirected to another origin."""
        auth: Auth | None = self.native.options.auth
        return auth

    @auth.setter
    def auth(self, auth: tuple[str, str] | Auth | None) -> None:
        made = ChallengeAuth(*auth) if isinstance(auth, tuple) else auth
        self.native.options = replace(self.native.options, auth=made)


class JsonRequest(Request):
    """A request whose `content` is sent as JSON."""

    def _encoded(self, content: Any) -> tuple[bytes | None, str | None]:
        return (None, None) if content is None else (_json.dumps(content).encode(), "application/json")


class UrlEncodedRequest(Request):
    """A request whose `content`, a mapping or pairs, is sent as a form."""

    def _encoded(self, content: FormLike | None) -> tuple[bytes | None, str | None]:
        return (None, None) if content is None else (urlencode_form(content, "content"), "application/x-www-form-urlencoded")


class Response:
    """A response with its body.

    status, status_message  the status and its reason phrase
    headers                 `Headers`, a dict whose names may be asked for in any case
    content, body           the body, decoded if the client asked for codings
    request                 the `Request` that was answered, after redirects the last one
    redirects               the URLs that were redirected to, None if there were none
    """

    def __init__(
        self,
        status: int,
        status_message: str,
        headers: Mapping[str, Any] | None = None,
        content: bytes = b"",
        request: Request | None = None,
    ) -> None:
        fields = Headers(headers)
        native = HttpResponse.make(status, _plain(fields), content, reason=status_message)
        self._take(native, content, request)

    @classmethod
    def of(cls, native: HttpResponse, content: bytes, request: Request) -> Response:
        """The response that was received as `native`, whose body is `content`."""
        response = object.__new__(cls)
        response._take(native, content, request)
        return response

    def _take(self, native: HttpResponse, content: bytes, request: Request | None) -> None:
        self.native = native
        self.status = native.status_code
        self.status_message = native.reason
        self.headers = Headers.over(HttpHeaders(native.headers))  # of its own: a head may be shared
        self.content = content
        self.request = request
        self.redirects: list[str] | None = None

    @property
    def body(self) -> bytes:
        """The same as `content`."""
        return self.content

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.status_message}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Response):
            return NotImplemented
        mine = (self.status, self.status_message, self.headers, self.content, self.request)
        return mine == (other.status, other.status_message, other.headers, other.content, other.request)

    __hash__ = None  # type: ignore[assignment]


class StreamResponse:
    """The response of a `StreamClient`: as `Response`, but `content` is iterated, once, and never in memory as a whole."""

    def __init__(self, native: HttpResponse, request: Request) -> None:
        self.native = native
        self.status = native.status_code
        self.status_message = native.reason
        self.headers = Headers.over(HttpHeaders(native.headers))
        self.content: AsyncIterator[bytes] = native.iter_bytes()
        self.request = request

    def __repr__(self) -> str:
        return f"<StreamResponse {self.status} {self.status_message}>"


def _limits(timeout: float | None) -> Timeouts:
    """One limit for everything; a dial has its own even without one."""
    return Timeouts(timeout or 5, timeout or None, timeout or None, timeout or None)


def _plain(headers: Headers) -> Iterable[tuple[str, str]]:
    return list(headers.fields.items())
