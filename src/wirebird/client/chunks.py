"""The chunks of a response as the peer framed them, for code that depends on them, as HTTP says none should (RFC 9112 7.1).

    connector = TCPConnector(connection_cls=ChunkConnection)
    async for chunk in iter_chunks(response): ...

The connection keeps the positions at which chunks end beside the body; `iter_chunks` cuts the body along them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from ..errors import ProtocolError
from ..models.limits import Limits
from ..models.message import ResponseHead
from ..net.incoming import Incoming
from ..protocol.http1_chunks import ChunkParser
from .http1 import Http1Connection
from .response import HttpResponse

__all__ = ["LARGEST_CHUNK", "ChunkConnection", "ChunkReader", "forget_chunks", "incoming_of", "iter_chunks"]

# A chunk that is larger than this is given out in pieces, for the peer chooses its size, up to 2**64.
LARGEST_CHUNK: Final = 1_048_576


class ChunkConnection(Http1Connection):
    """A connection that tells the body of each chunked response where its chunks end."""

    __slots__ = ()

    parser: ChunkParser

    @staticmethod
    def make_parser(limits: Limits) -> ChunkParser:
        """What reads its responses."""
        return ChunkParser(limits)

    def _on_head(self, head: ResponseHead) -> Incoming | None:
        body = super()._on_head(head)
        if body is not None:
            body.chunk_ends = self.parser.chunk_ends
        return body


async def iter_chunks(response: HttpResponse) -> AsyncIterator[bytes]:
    """The body as it came, content codings and all, chunk by chunk; it can be read once.

    In pieces as they come if the body is not chunked, the connection is no `ChunkConnection`, or a chunk is larger than
    `LARGEST_CHUNK`.  Raises what `HttpResponse.content` raises for a body that does not arrive.
    """
    incoming = response._incoming
    ends = incoming.chunk_ends if incoming is not None else None
    response._streamed = True
    given = 0  # bytes of the body that were given out
    kept: list[bytes] = []  # the beginning of a chunk
    size = 0
    while piece := await response._raw_piece():
        if not ends:
            yield piece
            continue
        pos = 0
        while pos < len(piece) and ends:
            missing = ends[0] - given - size
            part = piece[pos : pos + missing]
            pos += len(part)
            kept.append(part)
            size += len(part)
            if len(part) == missing:
                ends.popleft()
            elif size < LARGEST_CHUNK:
                continue
            yield part if len(kept) == 1 else b"".join(kept)
            given += size
            kept.clear()
            size = 0


class ChunkReader:
    """The body of `response` piece by piece, decoded, with the ends of the chunks in it, for one reader.

    The connection must be a `ChunkConnection`; of another one, and of a body that is not chunked, no ends are known.
    """

    __slots__ = ("_ahead", "_at_end", "_given", "_rest", "response")

    def __init__(self, response: HttpResponse) -> None:
        self.response = response
        self._given = 0  # bytes of the body, as it came, that were given to the decoder
        self._rest = b""
        self._at_end = False  # what the decoder holds is the end of a chunk
        self._ahead = b""  # decoded already

    @property
    def taken(self) -> int:
        """Bytes of the body, as it came, that were read so far."""
        return self._given

    def take(self) -> tuple[bytes, bool] | None:
        """The next piece, and whether a chunk ends with it; an empty piece without an end is the end of the body.

        Does not wait: None if the piece is yet to come, or never will.  Raises `DecodingError`, `LimitExceeded`.
        """
        response = self.response
        decoder = response._piece_decoder()
        if decoder is None:
            return self._cut()
        try:
            while not (piece := self._ahead or decoder.pull()):
                if self._at_end:
                    self._at_end = False
                    return b"", True
                raw = self._cut()
                if raw is None:
                    return None
                if not raw[0]:
                    if decoder.received:
                        decoder.finish()
                    return raw
                decoder.feed(raw[0])
                self._at_end = raw[1]
            self._ahead = decoder.pull() if self._at_end else b""
        except ProtocolError as error:
            raise response._located(error)
        if self._at_end and not self._ahead:
            self._at_end = False
            return piece, True
        return piece, False

    async def arrival(self) -> None:
        """Wait for more.  Raises what `HttpResponse.content` raises for a body that does not arrive.

        Whoever is cancelled here may go on later: what comes meanwhile is kept, as far as `READ_AHEAD`.
        """
        await self.response._arrival(resumable=True)

    def _cut(self) -> tuple[bytes, bool] | None:
        """The next piece as it came, up to the end of a chunk."""
        piece = self._rest or self.response._raw_now()
        if piece is None:
            return None
        incoming = self.response._incoming
        ends = incoming.chunk_ends if incoming is not None else None
        if not ends or not piece:
            self._rest = b""
            self._given += len(piece)
            return piece, False
        missing = ends[0] - self._given
        part, self._rest = piece[:missing], piece[missing:]
        self._given += len(part)
        if len(part) < missing:
            return part, False
        ends.popleft()
        return part, True


def incoming_of(response: HttpResponse) -> Incoming | None:
    """The body of `response` as its connection fills it; None if it came with the head."""
    return response._incoming


def forget_chunks(response: HttpResponse) -> None:
    """Do not count the chunks of `response` any longer, of which nothing was read: it will be read whole."""
    incoming = response._incoming
    if incoming is not None and incoming.chunk_ends is not None:
        incoming.chunk_ends = None
        if isinstance(incoming._connection, ChunkConnection):
            incoming._connection.parser.chunk_ends = None
