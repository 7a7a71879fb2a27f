"""The response as the caller sees it: the head at once, the body when it is asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ..errors import StatusError
from ..models.charset import media_type_of
from ..models.headers import HeadersLike, HttpHeaders, decode_fields, decode_value
from ..models.message import CHUNKED, Request, ResponseHead
from ..net.incoming import Claim, Incoming
from .reading import Reading

if TYPE_CHECKING:
    from http.cookies import SimpleCookie
    from types import TracebackType

    from yarl import URL

    from .made import BodyLike

__all__ = ["HttpResponse", "status_error"]


class HttpResponse(Reading):
    """A response.  Its status and headers are there; its body is read by one of the methods, whole or in pieces.

    `content`, `text` and `json` may be called again and together.  The pieces of `iter_bytes`, `iter_text`, `iter_lines`,
    `read_chunks`, `read` and `readline` are given out once.  All of them decode `Content-Encoding` (RFC 9110 8.4) unless the
    client was made with `auto_decompress=False`.

    `head` is the parsed head, `history` the responses that redirected here, oldest first, `elapsed` the seconds from sending the
    request to the arrival of the head.
    """

    __slots__ = ("_claim", "elapsed", "history")

    def __init__(
        self,
        head: ResponseHead,
        body: bytes | None,
        source: Any,
        incoming: Incoming | None = None,
        elapsed: float = 0.0,
    ) -> None:
        self.head = head
        self._body = body  # as it came, complete; None while it is on its way
        self._source = source  # the request, or the call that stands for a plain one
        self._incoming = incoming
        self._streamed = False  # read in pieces
        self.history: tuple[HttpResponse, ...] = ()
        self.elapsed = elapsed
        if incoming is not None:
            self._claim = Claim(incoming)

    def __repr__(self) -> str:
        return f"<HttpResponse {self.head.status} {self.reason}>".replace(" >", ">")

    @classmethod
    def make(
        cls,
        status: int = 200,
        headers: HeadersLike | None = None,
        body: BodyLike = b"",
        *,
        text: str | None = None,
        json: Any = None,
        reason: str | None = None,
        request: Request | None = None,
    ) -> HttpResponse:
        """A response that no peer sent, for a middleware that answers itself.

        `body` is bytes, or a sync or async iterator of bytes, which is read as far as somebody wants its pieces, and closed.
        `text` and `json` stand for a body with its `Content-Type`.  Content-Length, or for an iterator Transfer-Encoding, is set
        unless `headers` hold one.  `reason` is the usual one for the status.  Raises `UsageError` for a bad status and two
        bodies, `InvalidHeader` for bad headers.
        """
        from .made import make_response

        head, content, incoming = make_response(status, headers, body, text, json, reason, request)
        return cls(head, content, request, incoming)

    def replaced(
        self,
        status: int | None = None,
        headers: HeadersLike | None = None,
        body: bytes | None = None,
        *,
        reason: str | None = None,
    ) -> HttpResponse:
        """This response with another status, other headers or another body, for a middleware; what is not given stays as it is.

        `headers` are all of them, in place of the old.  A body that is not given is the same one, on its way or read; the old
        response should not be read then.  One that is given is not coded, and the old one is let go of.  Raises what `make` does.
        """
        from copy import copy

        from .made import replace_head

        head = replace_head(self.head, status, headers, body, reason)
        if body is None:
            replaced = copy(self)  # which has the same hold on the body
            replaced.head = head
        else:
            replaced = HttpResponse(head, body, self._source, None, self.elapsed)
            replaced.history = self.history
            self.abandon()
        return replaced

    def belong_to(self, request: Request) -> None:
        """This is the answer to `request`; without effect if it is one to another already."""
        if self._source is None:
            self._source = request

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call `callback()` once the body is complete, failed or closed; at once if it is.  It must not raise."""
        if self._incoming is None:
            callback()
        else:
            self._incoming.on_end(callback)

    # -- the head ------------------------------------------------------------------------------------------------------

    @property
    def status_code(self) -> int:
        """The status, 200 to 999 (or 101 after an upgrade)."""
        return self.head.status

    @property
    def reason(self) -> str:
        """The reason phrase, as the peer sent it."""
        return decode_value(self.head.reason)

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.head.status < 300

    @property
    def headers(self) -> HttpHeaders:
        """The header fields: case-insensitive, in order."""
        return self.head.fields

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The header fields as bytes, spelled as received."""
        return self.head.raw_fields

    @property
    def http_version(self) -> str:
        """`"1.1"` or `"1.0"`."""
        return self.head.version

    @property
    def url(self) -> URL:
        """The URL that was requested in the end, after redirects."""
        return self.request.url

    @property
    def request(self) -> Request:
        """The request that this is the answer to."""
        source = self._source
        if isinstance(source, Request):
            return source
        request: Request = source.as_request()
        self._source = request
        return request

    @property
    def cookies(self) -> SimpleCookie:
        """The cookies that this response sets; empty if none."""
        from ..models.cookie_parsing import parse_response_cookies

        return parse_response_cookies(self.headers.get_list("set-cookie"))

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case; empty if there is none."""
        return media_type_of(self.headers.get("content-type", ""))

    @property
    def content_length(self) -> int | None:
        """The length that the head announces, in bytes as sent; None if it does not."""
        value = self.headers.get("content-length", "").partition(",")[0]
        return int(value) if value.isascii() and value.isdigit() else None

    @property
    def chunked(self) -> bool:
        """Whether the body came in chunks (RFC 9112 7.1)."""
        return self.head.length == CHUNKED

    @property
    def links(self) -> dict[str, dict[str, str]]:
        """The `Link` fields (RFC 8288) by relation, or by target where there is none; `url` is resolved against the request's."""
        from ..models.links import parse_links

        return parse_links(self.headers.get_list("link"), self.url)

    @property
    def trailers(self) -> HttpHeaders:
        """The trailer fields (RFC 9110 6.5) once the body was read; empty before, and if there are none."""
        return decode_fields(self._incoming.trailers) if self._incoming is not None else HttpHeaders()

    def raise_for_status(self) -> HttpResponse:
        """Raise `StatusError` for 4xx and 5xx; else give the response itself."""
        if self.head.status >= 400:
            raise status_error(self)
        return self

    # -- the end -------------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Let go of a body that is not wanted.  What is here can still be read; the connection is closed if the rest is long."""
        if (ending := self.abandon()) is not None:
            await ending

    def abandon(self, *, at_once: bool = False) -> Awaitable[Any] | None:
        """`close` where nothing can be awaited.  With `at_once` the connection is closed, however short the rest may be.

        Gives what there is to wait for, in the rare case that there is something.
        """
        incoming = self._incoming
        if incoming is None or incoming.complete:
            return None
        return incoming.drop() if at_once else incoming.dismiss()

    async def __aenter__(self) -> HttpResponse:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


def status_error(response: HttpResponse, but: str = "") -> StatusError:
    """The error of a response that is refused for its status, whatever that is; `but` says what was expected."""
    from ..models.redaction import shown_url

    request = response.request
    url = shown_url(request.destination)
    message = f"{request.method} {url} was answered with {response.head.status} {response.reason}".rstrip() + but
    return StatusError(message, response=response, peer=request.destination.authority)
