"""Where the chunks of a body end, for those who must have them as the peer framed them (RFC 9112 7.1).

Chunks mean nothing in HTTP: an intermediary may join and split them, and `Parser` gives the data of all that have arrived as one
piece.  There are protocols that cut their messages along them nevertheless.  This parser gives the same events, and remembers the
position in the body at which each chunk ends, as soon as its size line is there.
"""

from __future__ import annotations

from collections import deque

from ..models.limits import DEFAULT_LIMITS, Limits
from ..models.message import CHUNKED
from .http1_events import END, End, Event
from .http1_parser import Parser

__all__ = ["ChunkParser"]


class ChunkParser(Parser):
    """A client's parser that knows where chunks end: `chunk_ends`, of the chunked body under way or just read, else None."""

    __slots__ = ("chunk_ends",)

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__(server=False, limits=limits)
        self.chunk_ends: deque[int] | None = None

    def _begin_body(self, length: int, events: list[Event]) -> None:
        self.chunk_ends = deque() if length == CHUNKED else None
        super()._begin_body(length, events)

    def _whole_chunks(self, data: bytes, pos: int, pieces: list[bytes]) -> int:
        return pos if self.chunk_ends is not None else super()._whole_chunks(data, pos, pieces)  # one line after the other

    def _chunk_line(self, line: bytes) -> None:
        super()._chunk_line(line)
        if self.left and self.chunk_ends is not None:
            self.chunk_ends.append(self.received + self.left)

    def receive(self, data: bytes | bytearray, size: int) -> list[Event]:
        """The events, as of `Parser`; raises what it raises."""
        events = super().receive(data, size)
        # The connection takes its short cut only for the one END there is, and would give the body away without the ends.
        if self.chunk_ends is not None and events and events[-1] is END:
            events[-1] = End()
        return events
