"""Responses as a handler makes them (RFC 9110 6, RFC 9112 6): a small one leaves in one write, a streamed one in pieces."""

from __future__ import annotations

import json as _json
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from ..errors import InvalidHeader, UsageError
from ..models.charset import charset_of, codec_name, media_type_of
from ..models.headers import HeadersLike, HttpHeaders, check_value, encode_fields
from ..protocol.http1 import response_line
from ..protocol.http1_heads import parse_response_head
from .keeping import Keeping

if TYPE_CHECKING:
    from ..protocol.codings import Encoder
    from .compression import Compression
    from .cookies import ResponseCookies
    from .request import Request

__all__ = ["Response", "StreamResponse", "json_response", "phrase"]

# RFC 9110 6.4.1: these have no content, so no field that describes one.
_EMPTY: Final = frozenset({204, 304})

_FRAMING: Final = ("content-length", "transfer-encoding")


def phrase(status: int) -> str:
    """The reason phrase that goes with a status, empty for an unknown one."""
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""


class StreamResponse(Keeping):
    """A response whose body is written piece by piece:

        response = web.StreamResponse(headers={"Content-Type": "text/csv"})
        await response.prepare(request)
        await response.write(b"a,b\\n")
        return response

    status   200 to 599, 200
    reason   the reason phrase; by default the one that goes with the status
    headers  fields of the response

    As a mapping it keeps what middlewares and handlers want to tell each other.  A length that was set (`content_length`) is
    kept to; else the body is chunked, or ends with the connection for a client of HTTP/1.0.  Raises `UsageError`.
    """

    # What most responses never look at, or set when they are sent.
    coding: Compression | None = None  # how it is to be compressed, if it is
    eof_sent = False
    switches = False  # whether it may be 101, behind which HTTP ends
    stamp: bytes | None = None  # the lines of Date and Server, None for the server's
    _encoder: Encoder | None = None
    _kept: dict[str, Any] | None = None
    _length: int | None = None
    _request: Request | None = None

    def __init__(self, *, status: int = 200, reason: str | None = None, headers: HeadersLike | None = None) -> None:
        self._headers = HttpHeaders(headers) if headers is not None else None
        self._cookies: ResponseCookies | None = None
        self.prepared = False
        self.set_status(status, reason)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._status} {self.reason}{'' if self.prepared else ', not prepared'}>"

    # -- the head ------------------------------------------------------------------------------------------------------

    @property
    def status(self) -> int:
        """The status."""
        return self._status

    def set_status(self, status: int, reason: str | None = None) -> None:
        """Set it before the response is prepared.  Raises `UsageError` for what is no final status, or a reason with controls."""
        if (
            not isinstance(status, int)
            or isinstance(status, bool)
            or not (200 <= status <= 999 or (status == 101 and self.switches))
        ):
            raise UsageError(f"status must be a number from 200 to 999, not {status!r}", argument="status")
        if self.prepared:
            raise RuntimeError("the head of the response was sent already")
        self._status = int(status)
        self.reason = phrase(status) if reason is None else check_value(reason, "reason")

    @property
    def headers(self) -> HttpHeaders:
        """The fields, to be changed until the response is prepared."""
        if self._headers is None:
            self._headers = self._first_headers()
        return self._headers

    def _first_headers(self) -> HttpHeaders:
        return HttpHeaders()

    @property
    def content_type(self) -> str:
        """The media type; `application/octet-stream` if none was set."""
        return media_type_of(self.headers.get("content-type", "")) or "application/octet-stream"

    @content_type.setter
    def content_type(self, value: str) -> None:
        charset = self.charset
        self.headers["Content-Type"] = value if charset is None else f"{value}; charset={charset}"

    @property
    def charset(self) -> str | None:
        """The `charset` parameter of Content-Type."""
        return charset_of(self.headers.get("content-type", ""))

    @charset.setter
    def charset(self, value: str | None) -> None:
        kind = self.content_type
        self.headers["Content-Type"] = kind if value is None else f"{kind}; charset={value}"

    @property
    def content_length(self) -> int | None:
        """The length that the body will have, None if it is not known before."""
        return self._length

    @content_length.setter
    def content_length(self, value: int | None) -> None:
        if value is not None and (not isinstance(value, int) or value < 0):
            raise UsageError(f"content_length must be None or a number of bytes, not {value!r}", argument="content_length")
        self._length = value

    @property
    def cookies(self) -> ResponseCookies:
        """The cookies that it sets."""
        if self._cookies is None:
            from .cookies import ResponseCookies

            self._cookies = ResponseCookies()
        return self._cookies

    def set_cookie(self, name: str, value: str, **attributes: Any) -> None:
        """Set a cookie (RFC 6265 4.1); see `ResponseCookies.set` for its attributes."""
        self.cookies.set(name, value, **attributes)

    def del_cookie(self, name: str, **attributes: Any) -> None:
        """Have the client forget a cookie: domain and path have to be those that it was set with."""
        self.cookies.delete(name, **attributes)

    def enable_compression(self, force: str | None = None, *, level: int | None = None) -> None:
        """Compress the body, with the coding that the client likes best: `zstd`, `br` or `gzip`, or not at all.

        force  a coding that is used whatever the client says
        level  the library's own, for `force`; by default the one for which it is quick

        Nothing happens to a response that has a Content-Encoding or a digest, `Cache-Control: no-transform`, or no body.  What is
        written in pieces is sent when the coding has enough of it, or at `flush`.  Raises `UsageError` for what is no coding.
        """
        from .compression import compression_by

        if self.prepared:
            raise RuntimeError("the head of the response was sent already")
        self.coding = compression_by(force, level)

    def _fields(self) -> bytes:
        """The field lines, without those that frame the body."""
        headers = self.headers
        for name in _FRAMING:
            if name in headers:
                raise InvalidHeader(f"headers must leave {name} to the server; set content_length", argument="headers")
        block = encode_fields(tuple(headers.items()))
        if self._cookies is not None:
            block += encode_fields([("Set-Cookie", line) for line in self._cookies.lines()])
        return block

    # -- the body ------------------------------------------------------------------------------------------------------

    async def prepare(self, request: Request) -> None:
        """Send the head, with the first piece of the body if that comes at once; idempotent.  Raises what is wrong with it."""
        if self.prepared:
            return
        self._request = request
        await request.app.prepare_response(request, self)
        await self._start(request, self._length)
        await request.exchange.announce()

    async def _start(self, request: Request, size: int | None) -> None:
        if "content-type" not in self.headers and self._status not in _EMPTY and size != 0:
            self.headers["Content-Type"] = "application/octet-stream"
        if (
            self.coding is not None
            and size != 0
            and (coding := self.coding.choose(request.headers, self._status, self.headers)) is not None
        ):
            from .compression import describe_coding

            describe_coding(self.headers, coding)
            size = None
            if request.method != "HEAD":
                self._encoder = self.coding.start(coding)
        self.prepared = True
        await self._begin(request, self._fields(), size)

    async def _begin(self, request: Request, fields: bytes, size: int | None) -> None:
        head = parse_response_head(response_line(self._status, self.reason) + fields + b"\r\n")
        if self.stamp is None:
            await request.exchange.begin(head, size)
        else:
            await request.exchange.begin(head, size, self.stamp)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send a piece of the body, and wait while the client is slow to take it.

        Raises `ConnectionLost` once the client has left, `UsageError` for more than was promised, `RuntimeError` out of turn.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise UsageError(f"data must be bytes, not {type(data).__name__}", argument="data")
        if self.eof_sent:
            raise RuntimeError("the response has ended")
        if self._request is None or not self.prepared:
            raise RuntimeError("write comes after prepare")
        data = bytes(data)
        if data and self._encoder is not None:
            from ..net.encoding import encode

            data = await encode(self._encoder, data)
        if data:
            await self._request.exchange.write(data)

    async def flush(self) -> None:
        """Send what compression holds back of what was written; else there is nothing to do.  Raises what `write` raises."""
        if self._encoder is not None and self._request is not None and not self.eof_sent:
            await self._request.exchange.write(self._encoder.flush(final=False))

    async def write_eof(self, data: bytes = b"") -> None:
        """Send the last piece, if there is one, and the end; idempotent.  Raises what `write` raises."""
        if self.eof_sent:
            return
        if data:
            await self.write(data)
        if self._request is None:
            raise RuntimeError("write_eof comes after prepare")
        self.eof_sent = True
        if self._encoder is not None:
            await self._request.exchange.write(self._encoder.flush())
        await self._request.exchange.finish()

    async def deliver(self, request: Request) -> None:
        """Send what of it was not sent yet: what becomes of a response that a handler returns."""
        await self.prepare(request)
        await self.write_eof()

    async def _send_whole(self, request: Request, body: bytes) -> None:
        """The whole response: in one write, unless one of its fields is the server's business, or its status has no body."""
        fields = self._fields()
        status = self._status
        exchange = request.exchange
        if status in _EMPTY or b"\nconnection:" in (low := b"\n" + fields.lower()) or b"\ndate:" in low or b"\nserver:" in low:
            await self._begin(request, fields, len(body))
            await exchange.write(body)
            await exchange.finish()
            return
        exchange.respond(status, response_line(status, self.reason) + fields, body)


class Response(StreamResponse):
    """A response that is here whole.

    body          bytes
    text          in place of `body`: text, encoded by `charset`, utf-8
    content_type  the media type; by default `text/plain` for text, `application/octet-stream` for a body that is not empty
    status, reason, headers  as for `StreamResponse`

    Raises `UsageError` for both, or for values of other types.
    """

    def __init__(
        self,
        *,
        body: bytes | bytearray | memoryview | None = None,
        status: int = 200,
        reason: str | None = None,
        text: str | None = None,
        headers: HeadersLike | None = None,
        content_type: str | None = None,
        charset: str | None = None,
    ) -> None:
        self._headers = self._cookies = self.coding = None
        self.prepared = False
        if status == 200 and reason is None:
            self._status = 200
            self.reason = "OK"
        else:
            self.set_status(status, reason)
        self._type = content_type
        self._charset = charset
        if text is not None:
            if body is not None:
                raise UsageError("body and text exclude each other", argument="text")
            if not isinstance(text, str):
                raise UsageError(f"text must be str, not {type(text).__name__}", argument="text")
            if content_type is None:
                self._type = "text/plain"
            if charset is None:
                self._charset = "utf-8"
                self._body = text.encode()
            else:
                self._body = text.encode(_codec(charset))
        elif body is None:
            self._body = b""
        elif isinstance(body, bytes | bytearray | memoryview):
            self._body = bytes(body)
        else:
            raise UsageError(f"body must be bytes, not {type(body).__name__}", argument="body")
        if headers is not None:
            self._take_headers(headers, content_type, charset)

    def _take_headers(self, headers: HeadersLike, content_type: str | None, charset: str | None) -> None:
        own = HttpHeaders(headers)
        if "content-type" in own:
            if content_type is not None or charset is not None:
                raise UsageError("content_type and a Content-Type among headers exclude each other", argument="headers")
        elif self._type is not None or self._body:
            own["Content-Type"] = _media_type(self._type or "application/octet-stream", self._charset)
        self._headers = own

    def _first_headers(self) -> HttpHeaders:
        if self._type is None and not self._body:
            return HttpHeaders()
        return HttpHeaders({"Content-Type": _media_type(self._type or "application/octet-stream", self._charset)})

    @property
    def body(self) -> bytes:
        """The body."""
        return self._body

    @body.setter
    def body(self, value: bytes | None) -> None:
        if value is not None and not isinstance(value, bytes | bytearray | memoryview):
            raise UsageError(f"body must be bytes, not {type(value).__name__}", argument="body")
        if not self.prepared:
            self.headers  # noqa: B018  (they are made for the body that was there)
        self._body = bytes(value or b"")

    @property
    def text(self) -> str:
        """The body as text, by its charset, utf-8 if none is set."""
        return self._body.decode(_codec(self.charset or "utf-8"))

    @text.setter
    def text(self, value: str) -> None:
        charset = self.charset
        self.body = value.encode(_codec(charset or "utf-8"))
        if charset is None:
            kind = self.content_type
            self.headers["Content-Type"] = f"{'text/plain' if kind == 'application/octet-stream' else kind}; charset=utf-8"

    @property
    def content_length(self) -> int | None:
        """The length of the body."""
        return len(self._body)

    @content_length.setter
    def content_length(self, value: int | None) -> None:
        raise RuntimeError("the length of the body is known")

    async def prepare(self, request: Request) -> None:
        """Send all of it; idempotent.  Raises what is wrong with it."""
        if not self.prepared:
            await self.deliver(request)

    def deliver_at_once(self, request: Request) -> bool:
        """Send it if there is nothing unusual about it, and nobody to be told first; whether it was sent."""
        if (
            self.prepared
            or self._headers is not None
            or self._cookies is not None
            or self.coding is not None
            or self._status in _EMPTY
            or request.app.prepares
        ):
            return False
        self.prepared = self.eof_sent = True
        body = self._body
        head = _plain_head(self._status, self.reason, self._type, self._charset, not body)
        request.exchange.respond(self._status, head, body)
        return True

    async def deliver(self, request: Request) -> None:
        """Send it: in one write, unless something about it is unusual."""
        if self.prepared:
            if not self.eof_sent:
                await self.write_eof()
            return
        if self.deliver_at_once(request):
            return
        self._request = request
        await request.app.prepare_response(request, self)
        body = self._body
        if self.coding is not None and body:
            body = await self._compressed(request, self.coding)
        self.prepared = self.eof_sent = True
        await self._send_whole(request, body)

    async def _compressed(self, request: Request, compression: Compression) -> bytes:
        """The body as it is sent, which its fields then say."""
        coding = compression.choose(request.headers, self._status, self.headers)
        if coding is None:
            return self._body
        from ..net.encoding import encode_whole
        from .compression import describe_coding

        coded = await encode_whole(compression.start(coding), self._body)
        if len(coded) >= len(self._body) and compression.force is None:
            return self._body
        describe_coding(self.headers, coding)
        return coded


def json_response(
    data: Any = None,
    *,
    text: str | None = None,
    body: bytes | None = None,
    status: int = 200,
    reason: str | None = None,
    headers: HeadersLike | None = None,
    content_type: str = "application/json",
    dumps: Callable[[Any], str | bytes] = _json.dumps,
) -> Response:
    """A response of JSON: `data`, encoded by `dumps`, or a `text` or `body` that is JSON already.

    Raises `UsageError` for more than one of them, and what `dumps` raises.
    """
    if text is not None or body is not None:
        if data is not None or (text is not None and body is not None):
            raise UsageError("data, text and body exclude each other", argument="data")
    else:
        encoded = dumps(data)
        if isinstance(encoded, bytes):
            body = encoded
        else:
            text = encoded
    return Response(text=text, body=body, status=status, reason=reason, headers=headers, content_type=content_type)


@lru_cache(maxsize=512)
def _plain_head(status: int, reason: str, kind: str | None, charset: str | None, is_empty: bool) -> bytes:
    """Status line and field of a response that has no fields of its own."""
    line = response_line(status, reason)
    if kind is None and is_empty:
        return line
    return line + encode_fields([("Content-Type", _media_type(kind or "application/octet-stream", charset))])


def _media_type(kind: str, charset: str | None) -> str:
    return kind if charset is None else f"{kind}; charset={charset}"


def _codec(charset: str) -> str:
    codec = codec_name(charset)
    if codec is None:
        raise UsageError(f"charset must be one that Python knows, not {charset!r}", argument="charset")
    return codec
