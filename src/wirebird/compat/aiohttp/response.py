"""`aiohttp.ClientResponse`: the head at once, the body as it is read."""

from __future__ import annotations

import asyncio
import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from http.cookies import SimpleCookie
from json import loads as _loads
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from weakref import ref

from multidict import CIMultiDict, CIMultiDictProxy, MultiDict, MultiDictProxy
from yarl import URL

from ...client.chunks import ChunkReader, forget_chunks, incoming_of
from ...client.response import HttpResponse
from ...models.charset import media_type_of
from ...models.links import parse_links
from ...models.message import UNTIL_CLOSE
from .client_exceptions import ClientConnectionError, ClientResponseError, ContentTypeError
from .connection import Connection
from .cookiejar import response_cookies
from .errors import of_body
from .http import HttpVersion
from .streams import EMPTY_PAYLOAD, StreamReader

if TYPE_CHECKING:
    from .request_info import RequestInfo
    from .tracing import Tracer

__all__ = ["ClientResponse", "ContentDisposition"]

_is_json = re.compile(r"application/(?:[a-z0-9_.+\-]+?\+)?json").match
_OCTETS = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class ContentDisposition:
    """What `Content-Disposition` says: its type, its parameters, and the file name that they come to."""

    type: str | None
    parameters: MappingProxyType[str, str]
    filename: str | None


class _Nothing:
    """What may be awaited, and need not be."""

    __slots__ = ()

    def __await__(self) -> Any:
        yield from ()


class ClientResponse:
    """A response.  `status`, `reason`, `headers` and so on are there; the body is read with `read`, `text` or `json`, or from
    `content` bit by bit.

    The arguments are aiohttp's, for classes that are derived from this one; what `start_with` is given makes it a response.
    """

    version: HttpVersion | None = None
    status: int = 0
    reason: str | None = None
    content: StreamReader = EMPTY_PAYLOAD

    def __init__(
        self,
        method: str,
        url: URL,
        *,
        writer: Any = None,
        continue100: Any = None,
        timer: Any = None,
        request_info: RequestInfo,
        traces: list[Tracer] | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        session: Any = None,
        stream_writer: Any = None,
    ) -> None:
        self.method = method
        self._real_url = url
        self._url = url.with_fragment(None) if url.raw_fragment else url
        self._request_info = request_info
        self._traces: list[Tracer] = traces if traces is not None else []
        self._loop = loop
        self._session = session
        self._resolve_charset: Callable[[ClientResponse, bytes], str] = _utf8
        if session is not None:
            self._resolve_charset = session._resolve_charset
        self._response: HttpResponse | None = None
        self._headers: CIMultiDictProxy[str] = _NO_HEADERS
        self._raw_headers: tuple[tuple[bytes, bytes], ...] | None = None
        self._history: tuple[ClientResponse, ...] = ()
        self._body: bytes | None = None
        self._cookies: SimpleCookie | None = None
        self._closed = False
        self._released = False
        self._in_context = False

    def start_with(self, response: HttpResponse, *, limit: int = 2**16, read_until_eof: bool = True) -> ClientResponse:
        """Become `response`."""
        self._response = response
        self.version = HttpVersion(1, response.head.minor)
        self.status = response.status_code
        self.reason = response.reason
        self._headers = CIMultiDictProxy(response.headers)
        deadline = response.request.deadline
        self.content = StreamReader.over(ChunkReader(response), limit, deadline, response.abandon)
        response.on_end(_when_ended(self))
        if not read_until_eof and response.head.length == UNTIL_CLOSE:
            response.abandon()
            self.content = EMPTY_PAYLOAD
        return self

    @property
    def response(self) -> HttpResponse:
        """What is below: wirebird's response.  Raises `RuntimeError` if there is none."""
        if self._response is None:
            raise RuntimeError("the response was not started")
        return self._response

    def _ended(self) -> None:
        self._closed = True
        self._session = None

    def __repr__(self) -> str:
        reason = (self.reason or "None").encode("ascii", "backslashreplace").decode()
        return f"<ClientResponse({self.url}) [{self.status} {reason}]>\n{self.headers}\n"

    # -- the head ------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> URL:
        """The URL that was requested in the end, without its fragment."""
        return self._url

    @property
    def real_url(self) -> URL:
        """The same with its fragment."""
        return self._real_url

    @property
    def host(self) -> str:
        """The host of the URL."""
        return self._url.host or ""

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status < 400

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The header fields."""
        return self._headers

    @property
    def raw_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The header fields as they came."""
        if self._raw_headers is None:
            self._raw_headers = tuple(self._response.raw_headers) if self._response is not None else ()
        return self._raw_headers

    @property
    def request_info(self) -> RequestInfo:
        """What was asked for."""
        return self._request_info

    @property
    def history(self) -> tuple[ClientResponse, ...]:
        """The responses that redirected here."""
        return self._history

    @property
    def cookies(self) -> SimpleCookie:
        """The cookies that this response sets."""
        if self._cookies is None:
            self._cookies = response_cookies(self._headers.getall("Set-Cookie", []))
        return self._cookies

    @cookies.setter
    def cookies(self, cookies: SimpleCookie) -> None:
        self._cookies = cookies

    @property
    def content_type(self) -> str:
        """The media type, application/octet-stream if there is none."""
        return media_type_of(self._headers.get("Content-Type", "")) or _OCTETS

    @property
    def charset(self) -> str | None:
        """The charset that `Content-Type` names."""
        return self._response.charset if self._response is not None else None

    @property
    def content_length(self) -> int | None:
        """The number in `Content-Length`."""
        return self._response.content_length if self._response is not None else None

    @cached_property
    def content_disposition(self) -> ContentDisposition | None:
        """What `Content-Disposition` says; None if there is none."""
        from .multipart import content_disposition_filename, parse_content_disposition

        field = self._headers.get("Content-Disposition")
        if field is None:
            return None
        kind, given = parse_content_disposition(field)
        parameters: MappingProxyType[str, str] = MappingProxyType(given)
        return ContentDisposition(kind, parameters, content_disposition_filename(parameters))

    @property
    def links(self) -> MultiDictProxy[MultiDictProxy[str | URL]]:
        """The `Link` fields by relation, each with its parameters and its `url`."""
        links: MultiDict[MultiDictProxy[str | URL]] = MultiDict()
        for relation, link in parse_links(self._headers.getall("Link", []), self._url).items():
            links.add(relation, MultiDictProxy(_link(link)))
        return MultiDictProxy(links)

    @property
    def connection(self) -> Connection | None:
        """The connection, as long as the body is on its way."""
        return Connection.under(self._response) if self._response is not None else None

    # -- the end -------------------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether nothing is on its way any more."""
        return self._closed

    def close(self) -> None:
        """Let go of the body, and close the connection."""
        self._let_go()
        if self._response is not None:
            self._response.abandon(at_once=True)

    def release(self) -> Any:
        """Let go of the body; the connection is used again if little of it is left."""
        self._let_go()
        if self._response is not None:
            self._response.abandon()
        return _NOTHING

    def _let_go(self) -> None:
        if not self._released and self.content.exception() is None:
            self.content.set_exception(ClientConnectionError("Connection closed"))
        self._released = self._closed = True
        self._session = None

    async def wait_for_close(self) -> None:
        """The same as `release`."""
        self.release()

    async def __aenter__(self) -> ClientResponse:
        self._in_context = True
        return self

    async def __aexit__(self, *error: object) -> None:
        self._in_context = False
        self.release()

    def raise_for_status(self) -> None:
        """Raise `ClientResponseError` for a status of 400 and above."""
        if self.ok:
            return
        if not self._in_context:
            self.release()
        raise ClientResponseError(
            self.request_info, self.history, status=self.status, message=self.reason or "", headers=self.headers
        )

    # -- the body ------------------------------------------------------------------------------------------------------

    async def read(self) -> bytes:
        """The whole body, or what is left of it."""
        if self._body is None:
            try:
                self._body = await self._whole()
                for trace in self._traces:
                    await trace.response_chunk_received(self.method, self.url, self._body)
            except BaseException:
                self.close()
                raise
        elif self._released:
            raise ClientConnectionError("Connection closed")
        return self._body

    async def _whole(self) -> bytes:
        response, content = self._response, self.content
        if response is None or content.total_bytes or content.exception() is not None or content is EMPTY_PAYLOAD:
            return await content.read()
        forget_chunks(response)
        try:
            body = await response.content()
        except Exception as error:
            failure = of_body(error)
            content.set_exception(failure)
            if failure is error:
                raise
            raise failure from error
        content.total_bytes = len(body)
        content.feed_eof()
        return body

    def get_encoding(self) -> str:
        """The codec for `text`: by `Content-Type`, else what the session's `fallback_charset_resolver` says of the body.

        Raises `RuntimeError` if that takes the body and it was not read.
        """
        if charset := self.charset:
            try:
                return codecs.lookup(charset).name
            except (LookupError, ValueError):
                pass
        if media_type_of(self._headers.get("Content-Type", "")) in _UTF8_BY_DEFINITION:
            return "utf-8"
        if self._body is None:
            raise RuntimeError("the encoding depends on the body, which was not read yet")
        return self._resolve_charset(self, self._body)

    async def text(self, encoding: str | None = None, errors: str = "strict") -> str:
        """The whole body as text, by `encoding` or `get_encoding`.  Raises `UnicodeDecodeError`, unless for `errors`."""
        body = self._body if self._body is not None else await self.read()
        return body.decode(encoding or self.get_encoding(), errors)

    async def json(
        self,
        *,
        encoding: str | None = None,
        loads: Callable[[str], Any] = _loads,
        content_type: str | None = "application/json",
    ) -> Any:
        """The whole body decoded as JSON; None if it is empty.

        Raises `ContentTypeError` unless the body is of `content_type`, which None lets be anything, and what `loads` raises.
        """
        body = self._body if self._body is not None else await self.read()
        if content_type:
            given = self._headers.get("Content-Type", "").lower()
            if not (_is_json(given) if content_type == "application/json" else content_type in given):
                raise ContentTypeError(
                    self.request_info,
                    self.history,
                    status=self.status,
                    message=f"Attempt to decode JSON with unexpected mimetype: {given}",
                    headers=self.headers,
                )
        stripped = body.strip()
        return loads(stripped.decode(encoding or self.get_encoding())) if stripped else None


_UTF8_BY_DEFINITION = frozenset({"application/json", "application/rdap"})
_NOTHING = _Nothing()
_NO_HEADERS: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())


def _link(link: dict[str, str]) -> MultiDict[str | URL]:
    parameters: MultiDict[str | URL] = MultiDict(link)
    parameters["url"] = URL(link["url"])
    return parameters


def _when_ended(response: ClientResponse) -> Callable[[], None]:
    """What the body tells its end to, which must not keep the response: one that nobody holds is to be noticed."""
    response_ref, content_ref = ref(response), ref(response.content)
    below = incoming_of(response.response)

    def ended() -> None:
        content = content_ref()
        if content is not None and (below is None or below.error is None):
            content.arrived()
        seen = response_ref()
        if seen is not None:
            seen._ended()

    return ended


def _utf8(response: ClientResponse, body: bytes) -> str:
    return "utf-8"
