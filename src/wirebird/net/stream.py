"""The pump between an asyncio transport and a protocol that does no I/O; both roles build on it.

`BufferedProtocol`, because the stdlib transport would otherwise allocate 256 KiB for every read (PERFORMANCE: three times the
cost of a small exchange).  All streams of a loop share one receive buffer: a selector loop and uvloop call `get_buffer` and
`buffer_updated` back to back, and what is not consumed by then is copied.  (The proactor loop of Windows does not promise that,
so there each stream has a buffer of its own.)
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any
from weakref import WeakKeyDictionary

from ..errors import ConnectionLost, WirebirdError

__all__ = ["READ_SIZE", "Stream"]

READ_SIZE = 262144

# asyncio's TLS slices what `get_buffer` gives and reads into the slice: of a bytearray that would be a copy, so it gets a view.
_buffers: WeakKeyDictionary[asyncio.AbstractEventLoop, memoryview] = WeakKeyDictionary()


def _view(loop: asyncio.AbstractEventLoop) -> memoryview:
    if sys.platform == "win32":
        return memoryview(bytearray(READ_SIZE))
    view = _buffers.get(loop)
    if view is None:
        view = _buffers[loop] = memoryview(bytearray(READ_SIZE))
    return view


class Stream(asyncio.BufferedProtocol):
    """One transport's protocol: receive buffer, write back-pressure, the end.  A role adds `buffer_updated` and `lost`."""

    __slots__ = ("_buffer", "_drained", "_gone", "_view", "closing", "facts", "loop", "peer", "transport", "writable")

    def __init__(self, loop: asyncio.AbstractEventLoop, peer: str) -> None:
        self.loop = loop
        self.peer = peer  # host:port, for messages
        self.transport: asyncio.Transport | None = None
        self.closing = False
        self.facts: Any = None  # what an observer found out about the connection
        self._view = _view(loop)
        self._buffer: bytearray = self._view.obj  # type: ignore[assignment]
        self.writable = True
        self._drained: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] | None = None

    # -- called by asyncio ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there."""
        self.transport = transport  # type: ignore[assignment]

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self._view

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone; `exc` says why, None for an orderly end."""
        self.closing = True
        self.lost(exc)
        self._release_writer(self.broken())
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        self.transport = None

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        self.writable = False

    def resume_writing(self) -> None:
        """The transport's buffer has room again."""
        self.writable = True
        self._release_writer(None)

    # -- for the role --------------------------------------------------------------------------------------------------

    def lost(self, exc: Exception | None) -> None:
        """The role's part of `connection_lost`; nothing here."""

    def broken(self) -> WirebirdError:
        """What a writer is told whose bytes will not arrive."""
        return ConnectionLost("the connection broke", peer=self.peer, phase="sending the request")

    def take_over(self, other: Stream) -> None:
        """Become the protocol of `other`'s transport, which is open; `other` has none from here on.

        Whoever waits for the end of `other` waits for that of this one.
        """
        transport = other.transport
        if transport is None:
            raise RuntimeError(f"{other!r} has no transport")
        self.facts = other.facts
        self.transport, other.transport = transport, None
        self.writable = other.writable
        self._gone, other._gone = other._gone, None
        other.closing = True
        transport.set_protocol(self)

    async def drain(self) -> None:
        """Wait until the transport takes more.  Raises `ConnectionLost` if it never will."""
        if self.transport is not None and not self.closing and self.transport.is_closing():
            # A write has failed.  `connection_lost` comes in a turn of the loop that a writer who never waits would not give it.
            await asyncio.wait([self.when_gone()])
        if self.transport is None or self.closing:
            raise self.broken()
        if not self.writable:
            if self._drained is None:
                self._drained = self.loop.create_future()
            await asyncio.shield(self._drained)  # for several may wait, and one of them be cancelled

    def _release_writer(self, error: Exception | None) -> None:
        waiter, self._drained = self._drained, None
        if waiter is None or waiter.done():
            return
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
            waiter.exception()  # a cancelled writer will not fetch it

    # -- the end -------------------------------------------------------------------------------------------------------

    def end_writing(self) -> None:
        """Close the sending half once what was written is sent, where there are halves, and the peer has not reset both."""
        transport = self.transport
        if transport is not None and transport.can_write_eof():
            try:
                transport.write_eof()
            except OSError:
                transport.abort()

    def shut(self) -> None:
        """Close once what was written is sent."""
        self.closing = True
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Close at once; nothing more is sent or received."""
        self.closing = True
        if self.transport is not None:
            self.transport.abort()

    def when_gone(self) -> asyncio.Future[None]:
        """A future that is done when the transport has closed its socket."""
        if self._gone is None:
            self._gone = self.loop.create_future()
            if self.transport is None:
                self._gone.set_result(None)
        return self._gone
