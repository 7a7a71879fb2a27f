"""`aiohttp.web.StreamResponse`: a response whose fields are a multidict and whose cookies are those of `http.cookies`.

How it is sent is wirebird's (`web/response.py`).
"""

from __future__ import annotations

import asyncio
import enum
import math
import warnings
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from time import time
from typing import Any, ClassVar, Final

from ...errors import ConnectionLost
from ...models.dates import format_http_date, parse_http_date
from ...models.headers import HeadersLike, HttpHeaders, check_value, encode_fields
from ...protocol.codings import make_encoder
from ...web.response import StreamResponse as _StreamResponse
from ...web.response import phrase
from . import hdrs
from .app_keys import warn_of_text
from .client_exceptions import ClientConnectionResetError
from .helpers import ETAG_ANY, ETag
from .payload_writer import StreamWriter

__all__ = ["ContentCoding", "StreamResponse", "read_date"]

_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})
_EMPTY: Final = frozenset({204, 304})
_EPOCH: Final = "Thu, 01 Jan 1970 00:00:00 GMT"


class ContentCoding(enum.Enum):
    """The codings that `enable_compression` has, the first where a client takes several."""

    deflate = "deflate"
    gzip = "gzip"
    identity = "identity"


class StreamResponse(_StreamResponse):
    """A response that is written piece by piece: `prepare(request)`, `write(data)`, `write_eof()`.

    A length that was set is kept to: more or less raises `ValueError`, where aiohttp cuts off or leaves the client waiting.
    """

    _cookies: SimpleCookie | None  # type: ignore[assignment]
    _keep_alive: bool | None = None
    _chunked = False
    _compression = False
    _early = True  # whether the head leaves before there is a body
    _compression_force: ContentCoding | None = None
    _writer: StreamWriter | None = None
    _seen_str_keys: ClassVar[set[Any]] = set()

    switches = True  # there no status is refused

    def __init__(self, *, status: int = 200, reason: str | None = None, headers: HeadersLike | None = None) -> None:
        self._headers: HttpHeaders = HttpHeaders(headers)
        self._cookies = None
        self._kept: dict[Any, Any] | None = None
        self._request: Any = None
        self._length: int | None = None
        self.prepared = False
        self.eof_sent = False
        self._status = int(status)
        self.reason = phrase(self._status) if reason is None else check_value(reason, "reason")

    def __repr__(self) -> str:
        if self.eof_sent:
            info = "eof"
        elif self.prepared and self._request is not None:
            info = f"{self._request.method} {self._request.path} "
        else:
            info = "not prepared"
        return f"<{type(self).__name__} {self.reason} {info}>"

    def __setitem__(self, key: Any, value: Any) -> None:
        warn_of_text(key, "ResponseKey", StreamResponse._seen_str_keys)
        super().__setitem__(key, value)

    # -- the head ------------------------------------------------------------------------------------------------------

    @property
    def task(self) -> asyncio.Task[Any] | None:
        """The task of the request that it was prepared for."""
        return self._request.task if self._request is not None else None

    @property
    def headers(self) -> HttpHeaders:
        """The fields, a `CIMultiDict`."""
        return self._headers

    @property
    def chunked(self) -> bool:
        """Whether `enable_chunked_encoding` was called."""
        return self._chunked

    @property
    def compression(self) -> bool:
        """Whether `enable_compression` was called."""
        return self._compression

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection stays open; None for what the client wishes."""
        return self._keep_alive

    def force_close(self) -> None:
        """Close the connection behind this response."""
        self._keep_alive = False

    @property
    def body_length(self) -> int:
        """The bytes of the body that were sent."""
        return self._request.exchange.sent if self._request is not None else 0

    def enable_chunked_encoding(self, chunk_size: int | None = None) -> None:
        """Send the body in chunks.  Raises `RuntimeError` if it has a length."""
        if hdrs.CONTENT_LENGTH in self._headers:
            raise RuntimeError("You can't enable chunked encoding when a content length is set")
        if chunk_size is not None:
            warnings.warn("Chunk size is deprecated #1615", DeprecationWarning, stacklevel=2)
        self._chunked = True

    def enable_compression(  # type: ignore[override]
        self, force: bool | ContentCoding | None = None, strategy: int | None = None
    ) -> None:
        """Compress the body: with `force`, or what the client takes of deflate and gzip.  `strategy` is not used."""
        if isinstance(force, bool):
            warnings.warn("Using boolean for force is deprecated #3318", DeprecationWarning, stacklevel=2)
            force = ContentCoding.deflate if force else ContentCoding.identity
        elif force is not None and not isinstance(force, ContentCoding):
            raise TypeError(f"force should be None or a ContentCoding, not {force!r}")
        self._compression = True
        self._compression_force = force

    @property
    def cookies(self) -> SimpleCookie:  # type: ignore[override]
        """The cookies that it sets."""
        if self._cookies is None:
            self._cookies = SimpleCookie()
        return self._cookies

    def set_cookie(  # type: ignore[override]
        self,
        name: str,
        value: str,
        *,
        expires: str | None = None,
        domain: str | None = None,
        max_age: int | str | None = None,
        path: str = "/",
        secure: bool | None = None,
        httponly: bool | None = None,
        version: str | None = None,
        samesite: str | None = None,
        partitioned: bool | None = None,
    ) -> None:
        """Set a cookie; of one that is set already the attributes that are given are changed."""
        cookies = self.cookies
        cookies[name] = value
        cookie = cookies[name]
        if expires is None and cookie["expires"] == _EPOCH:
            cookie["expires"] = ""
        cookie["max-age"] = "" if max_age is None else str(max_age)
        cookie["path"] = path
        given = {
            "expires": expires,
            "domain": domain,
            "secure": secure,
            "httponly": httponly,
            "version": version,
            "samesite": samesite,
            "partitioned": partitioned,
        }
        for attribute, one in given.items():
            if one is not None:
                # Python 3.14 knows it; before, the attribute is added to the line.
                dict.__setitem__(cookie, attribute, one)

    def del_cookie(  # type: ignore[override]
        self,
        name: str,
        *,
        domain: str | None = None,
        path: str = "/",
        secure: bool | None = None,
        httponly: bool | None = None,
        samesite: str | None = None,
    ) -> None:
        """Have the client forget a cookie."""
        self.cookies.pop(name, None)
        self.set_cookie(
            name,
            "",
            max_age=0,
            expires=_EPOCH,
            domain=domain,
            path=path,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
        )

    @property
    def content_length(self) -> int | None:
        """The value of Content-Length."""
        value = self._headers.get(hdrs.CONTENT_LENGTH)
        return None if value is None else int(value)

    @content_length.setter
    def content_length(self, value: int | None) -> None:
        if value is None:
            self._headers.pop(hdrs.CONTENT_LENGTH, None)
            return
        if self._chunked:
            raise RuntimeError("You can't set content length when chunked encoding is enable")
        self._headers[hdrs.CONTENT_LENGTH] = str(int(value))

    @property
    def charset(self) -> str | None:
        """The `charset` parameter of Content-Type."""
        return super().charset

    @charset.setter
    def charset(self, value: str | None) -> None:
        kind = self.content_type
        if kind == "application/octet-stream":
            raise RuntimeError("Setting charset for application/octet-stream doesn't make sense, setup content_type first")
        self._headers[hdrs.CONTENT_TYPE] = kind if value is None else f"{kind}; charset={value.lower()}"

    @property
    def last_modified(self) -> datetime | None:
        """The value of Last-Modified."""
        return read_date(self._headers.get(hdrs.LAST_MODIFIED))

    @last_modified.setter
    def last_modified(self, value: float | datetime | str | None) -> None:
        if value is None:
            self._headers.pop(hdrs.LAST_MODIFIED, None)
        elif isinstance(value, str):
            self._headers[hdrs.LAST_MODIFIED] = value
        elif isinstance(value, datetime):
            moment = (value if value.tzinfo is not None else value.replace(tzinfo=UTC)).timestamp()
            self._headers[hdrs.LAST_MODIFIED] = format_http_date(math.ceil(moment))
        elif isinstance(value, int | float):
            self._headers[hdrs.LAST_MODIFIED] = format_http_date(math.ceil(value))
        else:
            raise TypeError(f"Unsupported type for last_modified: {type(value).__name__}")

    @property
    def etag(self) -> ETag | None:
        """The value of ETag."""
        value = self._headers.get(hdrs.ETAG)
        if not value:
            return None
        if value == ETAG_ANY:
            return ETag(ETAG_ANY)
        weak = value.startswith("W/")
        tag = value.removeprefix("W/")
        return ETag(tag[1:-1], weak) if len(tag) > 1 and tag[0] == tag[-1] == '"' and '"' not in tag[1:-1] else None

    @etag.setter
    def etag(self, value: ETag | str | None) -> None:
        if value is None:
            self._headers.pop(hdrs.ETAG, None)
            return
        tag = ETag(value) if isinstance(value, str) else value
        if not isinstance(tag, ETag) or not isinstance(tag.value, str):
            raise ValueError(f"Unsupported etag type: {type(value)}. etag must be str, ETag or None")
        if tag.value == ETAG_ANY:
            self._headers[hdrs.ETAG] = ETAG_ANY
            return
        if '"' in tag.value or not tag.value.isprintable() or " " in tag.value:
            raise ValueError(f"Value {tag.value!r} is not a valid etag")
        self._headers[hdrs.ETAG] = f'{"W/" if tag.is_weak else ""}"{tag.value}"'

    def _fields(self) -> bytes:
        fields = [(name, value) for name, value in self._headers.items() if name.lower() not in _FRAMING]
        if self._keep_alive is False and hdrs.CONNECTION not in self._headers:
            fields.append(("Connection", "close"))
        fields += [("Set-Cookie", _cookie_line(cookie)) for cookie in (self._cookies or {}).values()]
        return encode_fields(fields)

    # -- sending -------------------------------------------------------------------------------------------------------

    async def prepare(self, request: Any) -> StreamWriter | None:  # type: ignore[override]
        """Send the head, with the first piece of the body if that comes at once; idempotent."""
        if self.eof_sent:
            return None
        if not self.prepared:
            self._compress(request)
            await self._announce(request)
            await self._start(request, self._size(request))
            if self._early:
                await request.exchange.announce()
        return self._writer

    def _size(self, request: Any) -> int | None:
        if self._chunked:
            if request.version < (1, 1):
                raise RuntimeError(f"Using chunked encoding is forbidden for HTTP/1.{request.version.minor}")
            return None
        return self.content_length

    def _compress(self, request: Any) -> None:
        """Choose a coding; for a body that is written it has to be before its length is told."""
        coding = self._choose_coding(request)
        if coding is not None:
            self._headers[hdrs.CONTENT_ENCODING] = coding
            self._headers.pop(hdrs.CONTENT_LENGTH, None)
            if request.method != "HEAD":
                self._encoder = make_encoder(coding)

    def _choose_coding(self, request: Any) -> str | None:
        if not self._compression:
            return None
        chosen = self._compression_force
        if chosen is None:
            accepted = request.headers.get(hdrs.ACCEPT_ENCODING, "").lower()
            chosen = next((one for one in ContentCoding if one.value in accepted), ContentCoding.identity)
        return None if chosen is ContentCoding.identity else chosen.value

    async def _announce(self, request: Any) -> None:
        """Take the request, and tell those who want to hear of it, with all fields that it will have."""
        self._take(request)
        await self._tell(request)

    async def _tell(self, request: Any) -> None:
        if request.has_receivers:
            for line in request.exchange.connection.stamp().decode("latin-1").split("\r\n")[:-1]:
                name, _, value = line.partition(": ")
                self._headers.setdefault(name, value)
            self.stamp = b""  # what they take away is not added again
            self._tell_of_body(request)
            await request._prepare_hook(self)

    def _tell_of_body(self, request: Any) -> None:
        """Have the fields say how the body will be sent; what is said of that is the server's in the end."""
        if self._status in _EMPTY or self._status < 200:
            return
        size = self._size(request)
        if size is not None:
            self._headers[hdrs.CONTENT_LENGTH] = str(size)
        elif request.version >= (1, 1):
            self._headers[hdrs.TRANSFER_ENCODING] = "chunked"
        if size != 0:
            self._headers.setdefault(hdrs.CONTENT_TYPE, "application/octet-stream")

    def _take(self, request: Any) -> None:
        self._request = request
        self._writer = request.writer
        if self._keep_alive is None:
            self._keep_alive = request.keep_alive

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send a piece of the body.  Raises `ConnectionResetError` once the client has left, `RuntimeError` out of turn."""
        if self.eof_sent:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not self.prepared:
            raise RuntimeError("Cannot call write() before prepare()")
        try:
            await super().write(data)
        except ConnectionLost as error:
            raise ClientConnectionResetError("Cannot write to closing transport") from error

    async def drain(self) -> None:
        """Nothing: `write` waits already."""
        warnings.warn("drain method is deprecated, use await resp.write()", DeprecationWarning, stacklevel=2)

    async def write_eof(self, data: bytes = b"") -> None:
        """Send the end; idempotent."""
        try:
            await super().write_eof(data)
        except ConnectionLost as error:
            raise ClientConnectionResetError("Cannot write to closing transport") from error


def read_date(text: str | None) -> datetime | None:
    """An HTTP date, None for what is none."""
    seconds = parse_http_date(text, time()) if text else None
    return None if seconds is None else datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)


def _cookie_line(cookie: Any) -> str:
    line: str = cookie.OutputString()
    if cookie.get("partitioned") and "partitioned" not in line.lower():
        line += "; Partitioned"
    return line
