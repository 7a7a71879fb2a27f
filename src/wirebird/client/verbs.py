"""The verbs of the client: every way to say what is to be requested, and nothing else."""

from __future__ import annotations

import ssl as _ssl
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Unpack

from ..errors import UsageError
from ..models.headers import HeadersLike, check_token
from ..models.url import ParamsLike
from ..net.timeouts import Timeouts
from .call import Call
from .plain import PlainGet
from .response import HttpResponse

if TYPE_CHECKING:
    from yarl import URL

    from ..net.proxy import ProxyLike
    from .auth import AuthLike
    from .keywords import BodyOptions, MoreOptions
    from .retry import Retry

__all__ = ["Stream", "Verbs"]


class Verbs:
    """`request`, and one method for each verb, with the arguments in the order of what that verb needs first."""

    __slots__ = ()

    def request(
        self,
        url: str | URL,
        method: str = "GET",
        headers: HeadersLike | None = None,
        params: ParamsLike | None = None,
        data: Any = None,
        json: Any = None,
        json_serializer: Callable[[Any], str | bytes] | None = None,
        multipart: bool = False,
        verify: bool = True,
        ssl: _ssl.SSLContext | None = None,
        timeouts: Timeouts | None = None,
        follow: bool | None = None,
        http2: bool = False,
        *,
        files: Any = None,
        cookies: Mapping[str, str] | None = None,
        max_redirects: int | None = None,
        raise_for_status: bool | None = None,
        auth: AuthLike | Literal[False] | None = None,
        proxy: ProxyLike | None = None,
        retries: Retry | int | None = None,
    ) -> Call:
        """Send a request; awaited it gives the `HttpResponse`, as `async with` it closes it at the end.

        url               `str` or `yarl.URL`; one made with `encoded=True` goes out byte for byte
        method            a token but CONNECT, sent in upper case
        headers           a mapping, pairs, or `HttpHeaders`; they replace the client's of the same name
        params            a mapping (values may be lists), pairs, or an encoded string; they extend the query
        data              bytes, str, a dict or pairs (a form; multipart if a value is a file or `multipart` is set), an open
                          file, a sync or async iterator of bytes (chunked), a `MultipartForm`, an `HttpResponse`; or an
                          `Upload` of any of these
        json              any value that `json_serializer` takes
        files             `{name: file}` or `{name: (filename, file, content_type)}`
        cookies           for this request and its origin only
        verify, ssl       False accepts any certificate; an `ssl.SSLContext` of its own
        timeouts          `Timeouts`, in place of the client's
        follow            whether to follow redirects, `max_redirects` how many; None is the client's setting
        auth              `(user, password)`, `BasicAuth`, `BearerAuth`, `DigestAuth`, `NetrcAuth`, or a function that changes the
                          request; for the origin of `url` only, in place of all other credentials.  False for none at all
        proxy             a `Proxy` or its URL; False for none; None is the client's
        retries           a `Retry`, or how many times to try again, 0 for never; None is the client's setting
        http2             must be False: this version speaks HTTP/1.1
        raise_for_status  raise `StatusError` for 4xx and 5xx; None is the client's setting

        Raises `UsageError` before anything is sent, and `NetworkError`, `TimeoutError`, `ProtocolError` or `TooManyRedirects`.
        """
        method = check_token(method, "method").upper()
        if method == "CONNECT":
            raise UsageError("method must not be CONNECT: a tunnel is no request for a URL", argument="method")
        given: dict[str, Any] = {}
        if headers is not None:
            given["headers"] = headers
        if params is not None:
            given["params"] = params
        if data is not None:
            given["data"] = data
        if json is not None:
            given["json"] = json
        if json_serializer is not None:
            given["json_serializer"] = json_serializer
        if multipart:
            given["multipart"] = True
        if not verify:
            given["verify"] = False
        if ssl is not None:
            given["ssl"] = ssl
        if timeouts is not None:
            given["timeouts"] = timeouts
        if follow is not None:
            given["follow"] = follow
        if http2:
            raise UsageError("http2 must be False: this version speaks HTTP/1.1", argument="http2")
        if files is not None:
            given["files"] = files
        if cookies is not None:
            given["cookies"] = cookies
        if max_redirects is not None:
            given["max_redirects"] = max_redirects
        if raise_for_status is not None:
            given["raise_for_status"] = raise_for_status
        if auth is not None:
            given["auth"] = auth
        if proxy is not None:
            given["proxy"] = proxy
        if retries is not None:
            given["retries"] = retries
        return Call(self, method, url, given)  # type: ignore[arg-type]

    def get(
        self,
        url: str | URL,
        headers: HeadersLike | None = None,
        params: ParamsLike | None = None,
        verify: bool = True,
        ssl: _ssl.SSLContext | None = None,
        timeouts: Timeouts | None = None,
        follow: bool | None = None,
        http2: bool = False,
        **more: Unpack[BodyOptions],
    ) -> Call:
        """GET; see `request`."""
        if (
            headers is None
            and params is None
            and verify
            and ssl is None
            and timeouts is None
            and follow is None
            and not http2
            and not more
        ):
            return PlainGet(self, url)  # type: ignore[arg-type]
        return self.request(
            url,
            "GET",
            headers,
            params,
            verify=verify,
            ssl=ssl,
            timeouts=timeouts,
            follow=follow,
            http2=http2,
            **more,
        )

    def head(
        self,
        url: str | URL,
        headers: HeadersLike | None = None,
        params: ParamsLike | None = None,
        verify: bool = True,
        ssl: _ssl.SSLContext | None = None,
        timeouts: Timeouts | None = None,
        follow: bool | None = None,
        http2: bool = False,
        **more: Unpack[BodyOptions],
    ) -> Call:
        """HEAD; see `request`."""
        return self.request(
            url,
            "HEAD",
            headers,
            params,
            verify=verify,
            ssl=ssl,
            timeouts=timeouts,
            follow=follow,
            http2=http2,
            **more,
        )

    def options(
        self,
        url: str | URL,
        headers: HeadersLike | None = None,
        params: ParamsLike | None = None,
        verify: bool = True,
        ssl: _ssl.SSLContext | None = None,
        timeouts: Timeouts | None = None,
        follow: bool | None = None,
        http2: bool = False,
        **more: Unpack[BodyOptions],
    ) -> Call:
        """OPTIONS; see `request`."""
        return self.request(
            url,
            "OPTIONS",
            headers,
            params,
            verify=verify,
            ssl=ssl,
            timeouts=timeouts,
            follow=follow,
            http2=http2,
            **more,
        )

    def post(
        self,
        url: str | URL,
        data: Any = None,
        headers: HeadersLike | None = None,
        json: Any = None,
        params: ParamsLike | None = None,
        json_serializer: Callable[[Any], str | bytes] | None = None,
        multipart: bool = False,
        verify: bool = True,
        ssl: _ssl.SSLContext | None = None,
        timeouts: Timeouts | None = None,
        follow: bool | None = None,
        http2: bool = False,
        **more: Unpack[MoreOptions],
    ) -> Call:
        """POST; see `request`."""
        return self.request(
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
            **more,
        )

    def put(
        self,
        url: str | URL,
        data: Any = None,
        headers: HeadersLike | None = None,
        json: Any = None,
        params: ParamsLike | None = None,
        json_serializer: Callable[[Any], str | bytes] | None = None,
        multipart: bool = False,
        verify: bool = True,
        ssl: _ssl.SSLContext | None = None,
        timeouts: Timeouts | None = None,
        follow: bool | None = None,
        http2: bool = False,
        **more: Unpack[MoreOptions],
    ) -> Call:
        """PUT; see `request`."""
        return self.request(
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
            **more,
        )

    def patch(
        self,
        url: str | URL,
        data: Any = None,
        headers: HeadersLike | None = None,
        json: Any = None,
        params: ParamsLike | None = None,
        json_serializer: Callable[[Any], str | bytes] | None = None,
        multipart: bool = False,
        verify: bool = True,
        ssl: _ssl.SSLContext | None = None,
        timeouts: Timeouts | None = None,
        follow: bool | None = None,
        http2: bool = False,
        **more: Unpack[MoreOptions],
    ) -> Call:
        """PATCH; see `request`."""
        return self.request(
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
            **more,
        )

    def delete(
        self,
        url: str | URL,
        data: Any = None,
        headers: HeadersLike | None = None,
        json: Any = None,
        params: ParamsLike | None = None,
        json_serializer: Callable[[Any], str | bytes] | None = None,
        multipart: bool = False,
        verify: bool = True,
        ssl: _ssl.SSLContext | None = None,
        timeouts: Timeouts | None = None,
        follow: bool | None = None,
        http2: bool = False,
        **more: Unpack[MoreOptions],
    ) -> Call:
        """DELETE; see `request`."""
        return self.request(
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
            **more,
        )

    def stream(self, method: str, url: str | URL, **options: Any) -> Stream:
        """`async with client.stream("GET", url) as response`: `request` as a context manager and nothing else."""
        return Stream(self.request(url, method, **options))


class Stream:
    """A call that can only be entered, so that its body is let go of for certain."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    async def __aenter__(self) -> HttpResponse:
        return await self._call.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._call.__aexit__(kind, error, traceback)
