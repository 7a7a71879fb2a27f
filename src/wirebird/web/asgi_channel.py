"""What stands for the connection of a request that came over ASGI: the server in front has the real one.

The body of a request is fetched in a task, from the moment that somebody wants it; so is the news that the client has left, where
somebody listens for that, or where a response is streamed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ..errors import ConnectionLost, UsageError
from ..net.incoming import PieceSupply
from ..net.timeouts import NEVER
from ..server.peer import UNIX, peer_of

if TYPE_CHECKING:
    from ..net.websocket import WebSocket
    from ..server.asgi_messages import Message, Receive, Scope, Send
    from ..server.exchange import Exchange

__all__ = ["AsgiChannel"]


class AsgiChannel(PieceSupply):
    """What stands for the connection: `receive` and `send`, and who is at the other end.

    `gone` says that the client has left.
    """

    secure: bool
    stopping = False
    cancels = False
    transport = None
    total_at = NEVER

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.loop = asyncio.get_running_loop()
        client = scope.get("client")
        self.peer = peer_of(tuple(client)) if client else UNIX
        self.secure = scope.get("scheme") in ("https", "wss")
        self.stamp: Callable[[], bytes] = bytes  # nothing: Date and Server are the server's
        self.exchange: Exchange | None = None
        self.gone = False
        self._send = send
        self._handler = asyncio.current_task()
        self._cancelled = False
        self._fetching: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None  # while the reader of the body is behind
        self._listens = False

    def listens_at(self) -> tuple[str, int | None]:
        """Address and port of the server, as it says."""
        server = self.scope.get("server") or ("", None)
        return server[0], server[1]

    def authority(self) -> str:
        """`host:port` of the server."""
        host, port = self.listens_at()
        return "localhost" if port is None else peer_of((host, port))

    def may_go_on(self) -> bool:
        """True: what becomes of the connection is the server's affair."""
        return True

    async def send(self, message: Any) -> None:
        """Send a message.  Raises `ConnectionLost` if the client has left, as far as the server says."""
        if self.gone:
            raise self.broken()
        try:
            await self._send(message)
        except OSError as error:
            self.gone = True
            raise self.broken() from error

    def broken(self) -> ConnectionLost:
        """What a writer is told whose bytes will not arrive."""
        return ConnectionLost("the client has left", peer=self.peer, phase="sending the response")

    # -- the handler ---------------------------------------------------------------------------------------------------

    def part(self, exchange: Exchange) -> None:
        """Not needed: the server waits for nobody."""

    def cancel(self) -> None:
        """Cancel the handler, if it waits."""
        if self._handler is not None and self._handler is not asyncio.current_task():
            self._cancelled = True
            self._handler.cancel()

    def forgive_cancellation(self) -> bool:
        """Whether it was cancelled by us, and not by the server."""
        return self._cancelled and self._handler is not None and self._handler.uncancel() == 0

    # -- what makes it a `Supply`: the body's side ---------------------------------------------------------------------

    def pause(self) -> None:
        """The reader is behind."""
        if self._room is None:
            self._room = self.loop.create_future()

    def resume(self) -> None:
        """The reader wants more."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def await_bytes(self) -> None:
        """A reader waits."""
        self._fetch()

    def give_up(self) -> Awaitable[Any] | None:
        """Nobody wants the rest of the body: it is received for nobody."""
        self.resume()
        return None

    def listen(self) -> None:
        """Find out when the client leaves."""
        self._listens = True
        self._fetch()

    def _fetch(self) -> None:
        if self._fetching is None and not self.gone:
            self._fetching = self.loop.create_task(self._take_messages())

    async def _take_messages(self) -> None:
        while True:
            exchange = self.exchange
            if exchange is None:
                return
            try:
                message = await self.receive()
            except Exception:
                self._take({"type": "http.disconnect"}, exchange)  # nobody waits for what does not come
                raise
            if self._take(message, exchange):
                return
            if exchange.body.complete and not self._listens:
                self._fetching = None  # until somebody does
                return
            if self._room is not None:
                await self._room

    def _take(self, message: Message, exchange: Exchange) -> bool:
        """What the server says; whether that was the last."""
        body = exchange.body
        if message["type"] == "http.request":
            if body.complete or body.error is not None:
                return False
            if piece := message.get("body"):
                body.feed(bytes(piece))
            if not message.get("more_body"):
                body.finish(b"")
            return False
        self.gone = not exchange.finished
        if not body.complete and body.error is None:
            body.fail(ConnectionLost("the client has left", peer=self.peer, phase="reading the request"))
        if self.gone and exchange.left is not None:
            exchange.left(True)
        return True

    async def end(self, failed: bool) -> None:
        """The exchange is over."""
        exchange, self.exchange = self.exchange, None
        fetching, self._fetching = self._fetching, None
        if fetching is not None:
            fetching.cancel()
            await asyncio.wait([fetching])
            if not fetching.cancelled() and (error := fetching.exception()) is not None:
                raise error
        if exchange is not None and exchange.websocket is not None and not exchange.websocket.closed:
            await exchange.websocket.close(1011 if failed else 1000)
        if exchange is not None and exchange.websocket is not None:
            await exchange.websocket.connection.part_with_server()  # type: ignore[attr-defined]

    # -- what a server of our own has ----------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Not asked for: nothing is written here but messages."""

    async def send_file(self, file: int, offset: int, count: int) -> int:
        """0: the server does not send files by descriptor."""
        return 0

    def release(self) -> bytes:
        """Raise `UsageError`: the transport is the server's."""
        raise UsageError("an ASGI server gives no transport away")

    def adopt(self, websocket: WebSocket) -> None:
        """Not needed: the server knows it."""

    def abort(self) -> None:
        """Not needed: the server does."""

    def check_upgrade(self) -> None:
        """Not needed: how many there may be is the server's affair."""
