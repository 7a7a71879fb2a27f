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
    import os

    from yarl import URL

    from ..net.proxy import ProxyLike
    from .auth import AuthLike
    from .download import Download
    from .keywords import BodyOptions, GetOptions, MoreOptions
    from .progress import Progress
    from .retry import Retry
    from .sse import EventStream

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

    async def download(
        self,
        url: str | URL,
        path: str | os.PathLike[str],
        *,
        resume: bool = True,
        progress: Progress | bool | None = None,
        digest: str | None = None,
        size: int | None = None,
        overwrite: bool | None = None,
        attempts: int = 5,
        fsync: bool = False,
        **options: Unpack[GetOptions],
    ) -> Download:
        """GET `url` into the file `path`, which is there when it is complete and right, and not before.

        What is not complete is in `path` with `.part` behind it, with a small record of what it is a part of (`.part.json`).

        path       where the file goes; in a folder that is there, under the last segment of `url`, whatever a redirect or the
                   server says
        resume     go on with what an earlier call has left, if the server confirms that the file is the same
        progress   a function of the bytes done and the bytes in all (None if not known), called ten times a second at the most;
                   a `ProgressBar`; or True for one
        digest     `"sha256:…"`, in hexadecimal, of the file that is expected, or `"sha256"` to have it computed; any algorithm
                   that `hashlib` guarantees
        size       the length in bytes that is expected
        overwrite  replace a file that is there; None: if `path` named it, but not in a folder
        attempts   how many times in a row a transfer that was cut may bring nothing new before its error is raised
        fsync      have the operating system write all to the disk before the file appears
        options    as for `get`; `request_timeout` bounds each request until its head is there

        Raises `StatusError` for any status but 2xx, `CorruptBody` where size or digest (also that of `Repr-Digest` and
        `Content-Digest`, RFC 9530) differ, after which what came is in `path` with `.corrupt` behind it; `UsageError` if the file
        is being downloaded already; `FileExistsError` and any other `OSError` of the file system; and what `request` and
        `HttpResponse.iter_bytes` raise.
        """
        from .download import fetch

        return await fetch(
            self,  # type: ignore[arg-type]
            url,
            path,
            resume=resume,
            progress=progress,
            digest=digest,
            size=size,
            overwrite=overwrite,
            attempts=attempts,
            fsync=fsync,
            options=options,
        )

    def stream(self, method: str, url: str | URL, **options: Any) -> Stream:
        """`async with client.stream("GET", url) as response`: `request` as a context manager and nothing else."""
        return Stream(self.request(url, method, **options))

    def events(
        self,
        url: str | URL,
        method: str = "GET",
        *,
        last_event_id: str = "",
        reconnect: bool | None = None,
        max_reconnects: int | None = None,
        reconnection_time: float = 3.0,
        max_wait: float = 60.0,
        heartbeat: float | None = None,
        max_line: int = 4_194_304,
        max_event: int = 16_777_216,
        follow: bool = True,
        **options: Any,
    ) -> EventStream:
        """Server-Sent Events: `async for event in client.events(url)`, or `async with` it, which connects at once.

        last_event_id      sent as `Last-Event-ID`: where an earlier stream ended
        reconnect          ask again when the stream ends or breaks; None is True for GET and False for other methods, which would
                           do again what they did.  The first connection must succeed
        max_reconnects     so many in a row that bring nothing; None for no limit
        reconnection_time  seconds before the next connection, unless the server says `retry`; doubled while they bring nothing
        max_wait           seconds that it is never longer, whatever the server says
        heartbeat          seconds without a byte, be it a comment, after which the connection is given up for dead; None is
                           `sock_read` of the time limits
        max_line, max_event  bytes of one line, characters of the data lines of one event
        follow             redirects, True here
        options            the keywords of `request`, data and json for a POST among them

        204 ends the stream.  Raises `UsageError` for a bad argument; in iteration `StatusError` for any status but 200 (after the
        first connection 408, 425, 429, 500, 502, 503 and 504 are asked again), `InvalidResponse` for a body that is not
        `text/event-stream`, `LimitExceeded`, and without `reconnect` what ended the body early.
        """
        from ..protocol.sse import EventParser
        from .sse import EventStream, Reconnection

        call = self.request(url, method, follow=follow, **options)
        return EventStream(
            self,  # type: ignore[arg-type]
            call.method,
            url,
            call.given,
            EventParser(max_line, max_event, last_event_id),
            Reconnection(reconnection_time, max_wait),
            reconnect=reconnect,
            max_reconnects=max_reconnects,
            heartbeat=heartbeat,
        )


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
