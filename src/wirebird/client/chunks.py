"""The chunks of a response as the peer framed them, for code that depends on them, as HTTP says none should (RFC 9112 7.1).

    connector = TCPConnector(connection_cls=ChunkConnection)
    async for chunk in iter_chunks(response): ...

The connection keeps the positions at which chunks end beside the body; `iter_chunks` cuts the body along them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from ..models.limits import Limits
from ..models.message import ResponseHead
from ..net.incoming import Incoming
from ..protocol.http1_chunks import ChunkParser
from .http1 import Http1Connection
from .response import HttpResponse

__all__ = ["LARGEST_CHUNK", "ChunkConnection", "iter_chunks"]

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
