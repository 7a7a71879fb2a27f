"""Memory for what is received in place: no piece is copied, and none is trusted to be as long as the peer says."""

from __future__ import annotations

from io import BytesIO
from typing import Final

__all__ = ["Landing"]

# A length that the peer merely claims is given this much memory at first, and then four times what has arrived.
_FIRST: Final = 4 * 1024 * 1024
_GROWTH: Final = 4


class _Room(BytesIO):
    """The garbage collector closes what it finds in a cycle, and a BytesIO of which there is a view may not be closed."""

    def close(self) -> None:
        """Close if that is possible; there is nothing to flush."""
        try:
            super().close()
        except BufferError:
            pass


class Landing:
    """A place of known size that bytes are received into, and that becomes `bytes` without another copy.

    A `BytesIO` holds a bytes object, lets it be written through a view, and gives it away as it is, once no view is left.  A
    transport lets go of the view it writes to after `buffer_updated`: so room is made, and the whole is taken, only later.
    """

    __slots__ = ("_at", "_io", "_room", "_view", "total")

    def __init__(self, total: int, begin: bytes | bytearray) -> None:
        self.total = total
        self._room = max(min(total, _FIRST), len(begin))
        self._io = _Room(bytes(self._room))
        self._at = len(begin)
        view = self._io.getbuffer()
        view[: self._at] = begin
        self._view = view[self._at :]

    def room(self) -> memoryview:
        """Where the next bytes go."""
        if self._at == self._room:
            self._view.release()
            self._room = min(self.total, self._at * _GROWTH)
            self._io.seek(self._room - 1)
            self._io.write(b"\0")
            self._view = self._io.getbuffer()[self._at :]
        return self._view

    def advance(self, size: int) -> bool:
        """`size` bytes were received at the start of `room()`; whether that was all."""
        self._at += size
        self._view = self._view[size:]
        return self._at == self.total

    @property
    def received(self) -> int:
        """How many bytes are there."""
        return self._at

    def finish(self) -> bytes:
        """The whole, or what has arrived of it."""
        self._view.release()
        whole = self._io.getvalue()
        return whole if self._at == len(whole) else whole[: self._at]
