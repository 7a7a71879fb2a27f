"""The way out of a server's connection, and the end of it (RFC 9112 9.6).

A connection is closed in one of three ways.  *Closed*: nothing is unread; what was written is sent first.  *Lingering*: the
client may have sent more than was read, and a socket that is closed with bytes unread sends a reset, which may overtake the
answer; so only the sending half is closed, and what comes is read for nobody, for a short time.  *Broken off*: at once, because
the client must not take what it has for whole, or is gone.

Or it is given away to another protocol.  Then, as when the client has left, its handler may still run, an orphan that the server
knows, and waits for when it is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ..errors import ConnectionLost, InvalidRequest, LimitExceeded, WirebirdError
from ..protocol.http1_events import State
from ..protocol.http1_parser import Parser
from .file_sending import FileSending, can_send_files
from .host import Host, Phase
from .pace import PacedStream
from .peer import peer_of

if TYPE_CHECKING:
    from ..net.websocket import WebSocket
    from .exchange import Exchange

__all__ = ["GOODBYE", "LingeringStream"]

# How long a TLS client may take to say goodbye when everything has been sent to it, seconds.
GOODBYE: Final = 1.0

LINGERING, GONE = Phase.LINGERING, Phase.GONE


class LingeringStream(PacedStream):
    """A stream with a parser, of which the client gets to read the end.

    `ended` says that the client sends no more, `paused` that the socket is left alone; `requests` counts.
    """

    __slots__ = ("_is_sent", "ended", "parser", "paused", "phase", "requests", "secure")

    def __init__(self, loop: asyncio.AbstractEventLoop, host: Host) -> None:
        super().__init__(loop, host)
        self._is_sent = False  # everything, for as far as was seen at the end
        self.ended = False
        self.parser = Parser(server=True, limits=host.settings.limits)
        self.paused = False
        self.phase = Phase.IDLE
        self.requests = 0
        self.secure = False

    # -- in ------------------------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """The reader is behind: leave the rest in the socket."""
        if not self.paused and self.transport is not None and not self.transport.is_closing():
            self.paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """The reader wants more."""
        if self.paused and self.transport is not None and not self.transport.is_closing():
            self.paused = False
            self.transport.resume_reading()

    def give_up(self) -> Awaitable[Any] | None:
        """Nobody wants the rest of the body: it is received for nobody."""
        self.resume()
        return None

    # -- out -----------------------------------------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        """Write, and wait until the transport takes more.  Raises `ConnectionLost` if the client has left."""
        if self.is_going():
            raise self.broken()
        if data:
            self.transport.write(data)  # type: ignore[union-attr]
            await self.drain()

    async def send_file(self, file: int, offset: int, count: int) -> int:
        """As much of an open file as can be sent without reading it, and how much that was.  Raises `ConnectionLost`.

        Meanwhile the connection is as one whose client is slow to read: what is written by others would wait.
        """
        transport = self.transport
        if transport is None or self.is_going():
            raise self.broken()
        if not count or not can_send_files(transport):
            return 0
        transport.set_write_buffer_limits(0)
        try:
            await self.drain()  # all that was written before
        finally:
            transport.set_write_buffer_limits()
        sending = FileSending(self, file, offset, count)
        try:
            await self.drain()
        finally:
            sending.stop()
        return sending.sent

    def write(self, data: bytes) -> None:
        """Write, if there is somebody to read it."""
        if not self.closing and self.transport is not None:
            self.transport.write(data)

    def broken(self) -> WirebirdError:
        """What a writer is told whose bytes will not arrive."""
        return ConnectionLost("the client has left", peer=self.peer, phase="sending the response")

    def authority(self) -> str:
        """`host:port` of this side, for a request that names none."""
        name = self.transport.get_extra_info("sockname") if self.transport is not None else None
        return peer_of(name) if isinstance(name, tuple) else "localhost"

    def listens_at(self) -> tuple[str, int | None]:
        """Address and port of this side; the path of a Unix socket, and None."""
        name = self.transport.get_extra_info("sockname") if self.transport is not None else None
        return (name[0], name[1]) if isinstance(name, tuple) else (str(name or ""), None)

    def tell(self, exchange: Exchange) -> None:
        """Say that an exchange is over."""
        try:
            self._host.done(exchange)  # type: ignore[misc]
        except Exception as error:
            self.loop.call_exception_handler({"message": "on_done has raised", "exception": error, "protocol": self})

    def is_to_stay(self) -> bool:
        """Whether there may be another request; if not, the connection is closed."""
        if self._host.stopping and not self.parser.leftover:
            self.linger()
            return False
        return True

    # -- the end -------------------------------------------------------------------------------------------------------

    def is_going(self) -> bool:
        """Whether nothing that is written would be sent."""
        return self.closing or self.transport is None or self.transport.is_closing()

    def linger(self, more: bool = True) -> None:
        """Let the client read the last answer: a socket that is closed with bytes unread sends a reset, which may overtake it.

        `more` says that the client may have sent more, as far as it knows.
        """
        transport = self.transport
        unread = self.parser.state is not State.DONE or bool(self.parser.leftover) or self.paused
        if transport is None or self.ended or self.is_going() or not (unread or (more and not self.secure)):
            self.close()
            return
        self.phase = LINGERING
        self.end_writing()
        self.resume()
        self.due(self._host.settings.linger_time)
        self.must_take_the_rest()

    def close(self) -> None:
        """Close, once everything is sent."""
        self.phase = GONE
        self.must_take_the_rest()
        self.shut()
        self.due(GOODBYE)

    def break_off(self) -> None:
        """Close at once."""
        self.phase = GONE
        self.abort()

    def overdue(self, now: float) -> None:
        """The end takes too long."""
        if self.phase is LINGERING and not self.untaken():
            self.close()
        elif self.phase is LINGERING:
            self.due(self._host.settings.linger_time)  # it is still reading
        elif self.untaken():
            self._is_sent = False
            self.due(GOODBYE)
        elif not self._is_sent:
            # Not at the first look that finds nothing: between the layers of TLS there may be something that is not counted.
            self._is_sent = True
            self.due(GOODBYE)
        else:
            self.abort()

    @property
    def stopping(self) -> bool:
        """Whether the server is being closed."""
        return self._host.stopping

    @property
    def cancels(self) -> bool:
        """Whether a handler whose client has left is cancelled."""
        return self._host.settings.cancel_on_disconnect

    # -- another protocol ----------------------------------------------------------------------------------------------

    def release(self) -> bytes:
        """Give the transport away to another protocol, with what has arrived for it.

        Raises `ConnectionLost` if it is gone, or the client has closed its side: the other protocol would not be told any more.
        Raises `InvalidRequest` if the body of the request is not all here yet.
        """
        if self.is_going() or self.ended:
            raise self.broken()
        if self.parser.state is not State.DONE:
            raise InvalidRequest("an upgrade behind which the request goes on (RFC 9110 7.8)", peer=self.peer)
        self.phase = GONE
        self.forget_deadlines()
        self._host.connections.discard(self)
        self._host.past_requests += self.requests
        self._host.orphans.add(self)
        self.resume()
        received, self.parser.leftover = self.parser.leftover, b""
        return received

    def check_upgrade(self) -> None:
        """Raise `LimitExceeded`, with 503, if there are too many WebSockets."""
        most = self._host.settings.max_websockets
        if most is not None and len(self._host.upgraded) >= most:
            raise LimitExceeded("there are too many WebSockets", limit="max_websockets", maximum=most, status=503, peer=self.peer)

    def adopt(self, websocket: WebSocket) -> None:
        """Have the server know it for as long as it is open."""
        host = self._host
        host.upgraded.add(websocket)

        def forget(_: object) -> None:
            host.upgraded.discard(websocket)
            if host.stopping:
                host.settle()

        websocket.connection.when_gone().add_done_callback(forget)
        if host.stopping:  # the others were told before it was there
            self._say_goodbye(websocket, 1001)

    def orphan_ended(self, websocket: WebSocket | None, error: BaseException | None) -> None:
        """The handler has ended, and the transport is gone, or another protocol's."""
        host = self._host
        host.orphans.discard(self)
        if websocket is not None and not websocket.closed:
            self._say_goodbye(websocket, 1000 if error is None else 1011)
        if host.stopping:
            host.settle()

    def _say_goodbye(self, websocket: WebSocket, code: int) -> None:
        closing = self.loop.create_task(_close(websocket, code))
        self._host.orphans.add(closing)
        closing.add_done_callback(self._forget)

    def _forget(self, orphan: object) -> None:
        self._host.orphans.discard(orphan)
        if self._host.stopping:
            self._host.settle()


async def _close(websocket: WebSocket, code: int) -> None:
    with suppress(WirebirdError):
        await websocket.close(code)
