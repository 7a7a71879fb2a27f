"""The body of a request as a stream, with its content codings taken off (RFC 9110 8.4).

What arrives is read as it is asked for: while nobody reads, the client is not read from.  A body that says
`Content-Encoding: gzip` (or deflate, br, zstd, several of them) is decoded as it is read, within the limits of `CodingLimits`, so
that a small body cannot fill the memory.  One with a coding that is not known is answered with 415, which says which are (RFC
9110 15.5.16), one that is not what it says with 400.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from ..errors import DecodingError, LimitExceeded, ProtocolError
from ..models.charset import codec_name
from ..models.headers import split_list
from ..net.incoming import Incoming
from ..protocol.codings import Decoder, accept_encoding, decode_body, make_decoder
from .byte_stream import ByteStream
from .exceptions import HTTPBadRequest, HTTPException, HTTPRequestEntityTooLarge, HTTPSystemError, HTTPUnsupportedMediaType

__all__ = ["Content", "collect", "decode_text", "refusal"]


def refusal(error: ProtocolError) -> HTTPException:
    """The answer to a body that is not as it has to be."""
    error.with_traceback(None)  # which leads to the reader, which keeps the error
    if isinstance(error, LimitExceeded):
        if error.status == 413 or error.limit == "max_body_size":
            return HTTPRequestEntityTooLarge(error.maximum, error.maximum + 1, text=f"413: {error.message}")
        return HTTPSystemError.for_status(error.status, error.message)
    return HTTPBadRequest(text=f"400: {error.message}")


async def collect(body: Incoming, codings: Sequence[str], max_size: int | None) -> bytes:
    """The whole body of those codings, decoded: at most `max_size` bytes of it, as it arrives and as it is then.

    Raises `HTTPRequestEntityTooLarge`, `HTTPUnsupportedMediaType` for a coding that is not known, and `HTTPBadRequest` for a body
    that is not what its coding says.
    """
    _find_decoder(codings, max_size)  # rather than after the whole body has arrived
    try:
        whole = await body.collect(max_size)
    except LimitExceeded as error:
        raise refusal(error) from error
    try:
        return decode_body(whole, codings, max_size=max_size)
    except (DecodingError, LimitExceeded) as error:
        raise refusal(error) from error


def _find_decoder(codings: Sequence[str], max_size: int | None) -> Decoder | None:
    """The decoder for these codings, None where there is nothing to decode.  Raises `HTTPUnsupportedMediaType`."""
    try:
        decoder = make_decoder(codings, max_size=max_size)
    except LimitExceeded as error:
        raise refusal(error) from error
    if decoder is None and any(coding != "identity" for value in codings for coding in split_list(value)):
        raise HTTPUnsupportedMediaType(
            text=f"415: the content coding {', '.join(codings)!r} is not known",
            headers={"Accept-Encoding": accept_encoding()},
        )
    return decoder


def decode_text(data: bytes, charset: str) -> str:
    """Bytes that a client sent as text of that charset.  Raises `HTTPUnsupportedMediaType` for one that Python does not know, and
    `HTTPBadRequest` for bytes that do not fit."""
    codec = "utf-8" if charset == "utf-8" else codec_name(charset)
    if codec is None:
        raise HTTPUnsupportedMediaType(text=f"415: the charset {charset!r} is not known")
    try:
        return data.decode(codec)
    except UnicodeError:
        raise HTTPBadRequest(text=f"400: text that is not {charset}") from None


class Content(ByteStream):
    """The body of a request, read piece by piece.  Iterated it gives lines, each with its end.

    incoming   the body on its way
    codings    the values of Content-Encoding; empty to read the body as it is

    Besides what is said at each method, reading raises `HTTPUnsupportedMediaType` for a coding that is not known,
    `HTTPBadRequest` for a body that is not what its coding says, `HTTPRequestEntityTooLarge` for one that decodes to too much,
    and `ConnectionLost` or a `ProtocolError` where the body does not arrive as it should.
    """

    __slots__ = ("_begun", "_codings", "_decoder", "_ended", "_incoming", "total_bytes")

    def __init__(self, incoming: Incoming, codings: Sequence[str] = ()) -> None:
        super().__init__()
        incoming.patient = True
        self._incoming = incoming
        self._codings = codings
        self._decoder: Decoder | None = None
        self._begun = False
        self._ended = False
        self.total_bytes = 0  # that were read, decoded

    def __repr__(self) -> str:
        state = "ended" if self.at_eof() else "begun" if self._begun else "not begun"
        return f"<Content {state}, {self.total_bytes} bytes read>"

    @property
    def is_begun(self) -> bool:
        """Whether a part of it was read."""
        return self._begun

    def at_eof(self) -> bool:
        """Whether everything was read.  The end may still be on its way: then reading gives b""."""
        return not self._buffer and (self._ended or (self._decoder is None and self._incoming.is_exhausted()))

    async def _next(self) -> bytes:
        """The next piece that is not in the buffer, b"" at the end."""
        if self._ended:
            return b""
        if not self._begun:
            if self._codings:
                self._decoder = _find_decoder(self._codings, None)
            self._begun = True
        decoder = self._decoder
        if decoder is None:
            piece = await self._incoming.next()
        else:
            piece = await self._decoded(decoder)
        self.total_bytes += len(piece)
        self._ended = not piece
        return piece

    async def _decoded(self, decoder: Decoder) -> bytes:
        try:
            while not (piece := decoder.pull()):
                wire = await self._incoming.next()
                if not wire:
                    decoder.finish()
                    return b""
                decoder.feed(wire)
        except (DecodingError, LimitExceeded) as error:
            if error is self._incoming.error:
                raise  # the connection has said it, and it knows the answer
            raise refusal(error) from error
        return piece

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line
