"""The body of a response, read: whole as often as it is asked for, or in pieces that are given out once.

Content codings are taken off on the way (RFC 9110 8.4), unless the settings of the request say otherwise.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from ..errors import BodyConsumed, ProtocolError
from ..models.charset import charset_of, check_encoding, codec_name, guess_codec
from ..models.message import ResponseHead
from ..models.numbers import check_count
from ..net.incoming import Incoming

if TYPE_CHECKING:
    from ..models.headers import HttpHeaders
    from ..models.message import Request
    from ..protocol.codings import Decoder

__all__ = ["Reading"]


class Reading:
    """The ways to read the body of an `HttpResponse`, which fills the slots."""

    __slots__ = ("_at", "_body", "_decoded", "_decoder", "_incoming", "_rest", "_source", "_streamed", "head")

    head: ResponseHead
    _source: Any  # whose `options` say how to read
    _body: bytes | None  # as it came, complete; None while it is on its way
    _incoming: Incoming | None
    _streamed: bool  # read in pieces
    _decoded: bytes
    _decoder: Decoder | None
    _rest: bytes  # a piece that was given out in part: from `_at` on it still is to be
    _at: int

    if TYPE_CHECKING:

        @property
        def request(self) -> Request: ...

        @property
        def headers(self) -> HttpHeaders: ...

    def _setting(self, name: str, default: Any) -> Any:
        return getattr(self._source.options, name, default) if self._source is not None else default

    @property
    def charset(self) -> str | None:
        """The `charset` parameter of `Content-Type`."""
        return charset_of(self.headers.get("content-type", ""))

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
        check_count("size", size, 1, "a number of bytes")
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
        while (piece := self._piece_now()) is None:
            await self._arrival()
        return piece

    async def _arrival(self, *, resumable: bool = False) -> None:
        """Wait until more of the body is here; cancelled, a `resumable` wait leaves it as it is.  Raises what ended it early."""
        if self._incoming is not None:
            await self._incoming.arrival(resumable=resumable)

    def _piece_now(self) -> bytes | None:
        """The next piece, decoded, without waiting: b"" at the end, None if it is yet to come, or never will."""
        if rest := self._take_rest():
            return rest
        decoder = self._piece_decoder()
        if decoder is None:
            return self._raw_now()
        try:
            while not (piece := decoder.pull()):
                raw = self._raw_now()
                if raw is None:
                    return None
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
        while (piece := self._raw_now()) is None:
            await self._arrival()
        return piece

    def _raw_now(self) -> bytes | None:
        body, self._body = self._body, None
        if body is not None:  # it is here already; what matters is that it is given out once
            return body
        incoming = self._incoming
        return incoming.take() if incoming is not None else b""

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
