"""A multipart body as it arrives: the events of its parser, and the data of one part as a stream."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from ..errors import InvalidMultipart
from ..protocol.multipart_reader import PART_OVER, MultipartEvent, MultipartParser

__all__ = ["PartContent", "PartFeed"]

_PIECE: Final = 65_536


class PartFeed:
    """The events of one multipart body, read from a stream as they are wanted."""

    def __init__(self, content: Any, parser: MultipartParser) -> None:
        self._content = content
        self._parser = parser
        self._events: deque[MultipartEvent] = deque()

    async def next(self) -> MultipartEvent | None:
        """The next event, None behind the last delimiter.  Raises what broke the rules, after what came before it."""
        while not self._events:
            if self._parser.error is not None:
                raise self._parser.error
            if self._parser.complete:
                return None
            if (readany := getattr(self._content, "readany", None)) is not None:
                piece = await readany()
            else:
                piece = await self._content.read(_PIECE)
            if piece:
                self._events.extend(self._parser.receive(bytes(piece)))
            else:
                self._parser.finish()
        return self._events.popleft()


class PartContent:
    """The data of one part, as a stream."""

    def __init__(self, feed: PartFeed) -> None:
        self._feed = feed
        self._over = False

    def at_eof(self) -> bool:
        """Whether it was read to its end."""
        return self._over

    async def readany(self) -> bytes:
        """The next piece, b"" at the end."""
        while not self._over:
            event = await self._feed.next()
            if type(event) is bytes:
                return event
            self._over = True
            if event is not PART_OVER:  # cannot be: the parser ends a part before it begins another
                raise InvalidMultipart("a part that does not end")
        return b""

    async def drain(self) -> None:
        """Let the rest go by."""
        while await self.readany():
            pass
