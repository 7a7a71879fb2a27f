"""What the parser of HTTP/1.1 gives out, and what it waits for."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, TypeAlias

from ..models.message import Head

__all__ = ["END", "End", "Event", "State"]


class State(IntEnum):
    """What the parser waits for."""

    READY = 0  # the first byte of a head, of a response whose declared framing is the real one
    HEAD = 1  # (the rest of) a head
    SIZED = 2  # bytes of a body of known length
    CHUNK_SIZE = 3  # a chunk-size line
    CHUNK_DATA = 4  # bytes of a chunk
    CHUNK_END = 5  # the CRLF behind a chunk
    TRAILERS = 6  # the trailer section
    TO_EOF = 7  # bytes of a body that ends with the connection
    DONE = 8  # to be asked for the next message
    TUNNEL = 9  # nothing: the bytes belong to another protocol
    FAILED = 10  # nothing any more


class End:
    """The end of a message.  `trailers` is the block of trailer field lines, empty for almost every message."""

    __slots__ = ("trailers",)

    def __init__(self, trailers: bytes = b"") -> None:
        self.trailers = trailers

    def __repr__(self) -> str:
        return f"End({self.trailers!r})" if self.trailers else "END"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, End) and other.trailers == self.trailers

    __hash__ = None  # type: ignore[assignment]


END: Final = End()

Event: TypeAlias = "Head | bytes | End"
