"""The response as the caller sees it: the head at once, the body when it is asked for."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ..errors import BodyConsumed, ProtocolError, StatusError, UsageError
from ..models.charset import check_encoding, codec_name, guess_codec
from ..models.headers import HeadersLike, HttpHeaders, decode_fields, decode_value
from ..models.message import CHUNKED, Request, ResponseHead
from .body import Claim, Incoming

if TYPE_CHECKING:
    from http.cookies import SimpleCookie
    from types import TracebackType

    from yarl import URL

    from ..protocol.codings import Decoder
    from .made import BodyLike

__all__ = ["HttpResponse"]

_charset = re.compile(r";[ \t]*charset[ \t]*=[ \t]*(?:\"([^\"]*)\"|([^\s;\"]+))", re.IGNORECASE).search


class HttpResponse:
    """A response.  Its status and headers are there; its body is read by one of the methods, whole or in pieces.

    `content`, `text` and `json` may be called again and together.  The pieces of `iter_bytes`, `iter_text`, `iter_lines`,
    `read_chunks`, `read` and `readline` are given out once.  All of them decode `Content-Encoding` (RFC 9110 8.4) unless the
    client was made with `auto_decompress=False`.

    `head` is the parsed head, `history` the responses that redirected here, oldest first, `elapsed` the seconds from sending the
    request to the arrival of the head.
    """

    __slots__ = (
        "_at",
        "_body",
        "_claim",
        "_collecting",
        "_decoded",
        "_decoder",
        "_incoming",
        "_rest",
        "_source",
        "_streamed",
        "elapsed",
        "head",
        "history",
    )

    _decoded: bytes
    _decoder: Decoder | None
    _rest: bytes  # a piece that was given out in part: from `_at` on it still is to be
    _at: int

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
        return self.headers.get("content-type", "").partition(";")[0].strip(" \t").lower()

    @property
    def charset(self) -> str | None:
        """The `charset` parameter of `Content-Type`."""
        found = _charset(self.headers.get("content-type", ""))
        return (found[1] or found[2] or None) if found else None

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
            request = self.request
            raise StatusError(
                f"{request.method} {request.url.with_user(None)} was answered with {self.head.status} {self.reason}".rstrip(),
                response=self,
                peer=request.destination.authority,
            )
        return self

    # -- the body, whole -----------------------------------------------------------------------------------------------

    async def content(self) -> bytes:
        """The whole body.

        Raises `IncompleteBody`, `DecodingError`, `LimitExceeded`, `ReadTimeout`, `RequestTimeout` or `ConnectionLost`, and
        `BodyConsumed` if pieces of it were given out before.
        """
        body = self._body
        if body is None:
            body = await self._collected()
        head = self.head
        if head.coded is False or not head.is_coded():
            return body
        return self._decode(body)

    async def text(self, encoding: str | None = None) -> str:
        """The whole body as text: by `encoding`, else by its charset, else UTF-8, else what `charset-normalizer` makes of it.

        Raises `UsageError` for an `encoding` that Python does not know, else what `content` raises.  Bytes that do not fit are
        replaced with U+FFFD.
        """
        codec = check_encoding(encoding) if encoding is not None else None
        body = await self.content()
        return body.decode(codec or guess_codec(self.charset, body), "replace")

    async def json(self, json_decoder: Callable[..., Any] | None = None) -> Any:
        """The whole body decoded as JSON, by `json_decoder`, the client's, or `json.loads`.

        Raises what the decoder raises, and what `content` raises.
        """
        body = await self.content()
        decoder = json_decoder or self._setting("json_decoder", json.loads)
        try:
            return decoder(body)
        except UnicodeDecodeError:
            return decoder(body.decode(guess_codec(self.charset, body), "replace"))

    async def _collected(self) -> bytes:
        if self._streamed:
            raise BodyConsumed("the body, or a part of it, was read in pieces before")
        incoming = self._incoming
        if incoming is None:
            raise BodyConsumed("the response has no body to read")
        try:
            body = await incoming.collect(self._setting("max_body_size", None))
        except ProtocolError as error:
            raise self._located(error)
        self._body = body
        return body

    def _decode(self, body: bytes) -> bytes:
        try:
            return self._decoded
        except AttributeError:
            pass
        if self._setting("auto_decompress", True) and body:
            from ..protocol.codings import decode_body

            try:
                body = decode_body(body, self.head.codings(), max_size=self._setting("max_body_size", None))
            except ProtocolError as error:
                raise self._located(error)
        self._decoded = body
        return body

    def limit(self, max_size: int) -> None:
        """Refuse to give a body of more than `max_size` bytes that is here already."""
        if self._body is not None and len(self._body) > max_size:
            self._incoming = Incoming(None, self._body)
            self._body = None

    # -- the body, in pieces -------------------------------------------------------------------------------------------

    async def iter_bytes(self, size: int | None = None) -> AsyncIterator[bytes]:
        """The body in pieces: of `size` bytes (the last may be shorter), or as they come.  Raises what `content` raises."""
        if size is None:
            while piece := await self._piece():
                yield piece
            return
        _check_size(size)
        if self._piece_decoder() is None and self._incoming is not None and not getattr(self, "_rest", b""):
            self._incoming.deliver_in(size)
        parts: list[bytes | memoryview] = []
        missing = size
        try:
            while piece := await self._piece():
                if missing == size == len(piece):
                    yield piece
                    continue
                parts.append(memoryview(piece))
                while len(parts[-1]) >= missing:
                    view = parts.pop()
                    whole = b"".join([*parts, view[:missing]])
                    parts, missing = [view[missing:]], size
                    yield whole
                missing -= len(parts[-1])
            if missing < size:
                last = b"".join(parts)
                parts = []
                yield last
        finally:
            if parts:
                self._rest = b"".join(parts)  # left early: what is here can still be read

    async def read_chunks(self) -> AsyncIterator[bytes]:
        """The body in pieces as they come."""
        while piece := await self._piece():
            yield piece

    async def iter_text(self, encoding: str | None = None) -> AsyncIterator[str]:
        """The body as text, in pieces as they come; characters that are split between pieces come out whole."""
        codec = check_encoding(encoding) if encoding is not None else codec_name(self.charset or "")
        decoder = codecs.getincrementaldecoder(codec or "utf-8")("replace")
        while piece := await self._piece():
            if text := decoder.decode(piece):
                yield text
        if text := decoder.decode(b"", True):
            yield text

    async def iter_lines(self) -> AsyncIterator[str]:
        """The body as text, line by line, without the line ends: CRLF, LF or CR."""
        kept = ""
        async for text in self.iter_text():
            kept += text
            if "\n" not in text and "\r" not in text:
                continue
            # A CR at the end may be half of a CRLF.
            end = len(kept) - 1 if kept.endswith("\r") else len(kept)
            lines = re.split("\r\n|\n|\r", kept[:end])
            kept = lines.pop() + kept[end:]
            for line in lines:
                yield line
        if kept:
            for line in re.split("\r\n|\n|\r", kept.removesuffix("\r")):
                yield line

    async def read(self, n: int = -1) -> bytes:
        """Up to `n` bytes, at least one unless the body has ended; all that is left for -1."""
        if n < 0:
            return b"".join([piece async for piece in self.iter_bytes()])
        if n == 0:
            return b""
        piece, at = await self._open_piece()
        self._leave(piece, at + n)
        return piece[at : at + n]

    async def readline(self) -> bytes:
        """Up to and with the next LF, or all that is left; b"" at the end."""
        parts: list[bytes] = []
        while True:
            piece, at = await self._open_piece()
            end = piece.find(b"\n", at) + 1
            self._leave(piece, end or len(piece))
            parts.append(piece[at : end or len(piece)])
            if end or not piece:
                return b"".join(parts)

    async def _open_piece(self) -> tuple[bytes, int]:
        """The piece that is being given out, and how far it was: short reads do not copy what they leave."""
        rest: bytes = getattr(self, "_rest", b"")
        return (rest, self._at) if rest else (await self._piece(), 0)

    def _leave(self, piece: bytes, at: int) -> None:
        self._rest, self._at = (piece, at) if at < len(piece) else (b"", 0)

    def _take_rest(self) -> bytes:
        rest: bytes = getattr(self, "_rest", b"")
        if rest:
            rest = rest[self._at :]
        self._rest, self._at = b"", 0
        return rest

    async def _piece(self) -> bytes:
        """The next piece, decoded; b"" at the end."""
        if rest := self._take_rest():
            return rest
        decoder = self._piece_decoder()
        if decoder is None:
            return await self._raw_piece()
        try:
            while not (piece := decoder.pull()):
                raw = await self._raw_piece()
                if not raw:
                    if decoder.received:
                        decoder.finish()
                    return b""
                decoder.feed(raw)
        except ProtocolError as error:
            raise self._located(error)
        return piece

    def _located(self, error: ProtocolError) -> ProtocolError:
        """The error of a body that cannot be decoded, of which no more is wanted then."""
        if self._incoming is not None:
            self._incoming.drop(error)
        return error.locate(self.request.destination.authority, "reading the body")

    async def _raw_piece(self) -> bytes:
        body, self._body = self._body, None
        if body is not None:  # it is here already; what matters is that it is given out once
            return body
        incoming = self._incoming
        return await incoming.next() if incoming is not None else b""

    def _piece_decoder(self) -> Decoder | None:
        try:
            return self._decoder
        except AttributeError:
            self._streamed = True
        self._decoder = None
        if self.head.is_coded() and self._setting("auto_decompress", True):
            from ..protocol.codings import DEFAULT_CODING_LIMITS, make_decoder

            limits = self._setting("coding_limits", None) or DEFAULT_CODING_LIMITS
            self._decoder = make_decoder(self.head.codings(), limits=limits, max_size=self._setting("max_body_size", None))
        return self._decoder

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

    def _setting(self, name: str, default: Any) -> Any:
        return getattr(self._source.options, name, default) if self._source is not None else default


def _check_size(size: int) -> None:
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise UsageError(f"size must be a positive number of bytes, not {size!r}", argument="size")
