"""An ASGI 3 application behind the server (asgi.readthedocs.io, "HTTP & WebSocket" 2.5).

The application runs where the request has arrived, as any handler does (`driver.py`): one that answers at once costs no task.
One that goes on when its response is complete keeps the task that it has, and the connection goes on without it.

A client that asks for the same again and again sends the same head, which the parser knows: what the scope is made of is kept
with it, and only copied for the next request.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..errors import ConnectionLost, ProtocolError, UsageError
from ..models.numbers import check_count, check_number
from .asgi_conversation import Conversation, State, tells_of_leaving
from .asgi_messages import Application, Start, asgi_scope, check_application
from .exchange import Exchange
from .lifespan import Lifespan, LifespanMode
from .path_sending import send_path
from .peer import address_of

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from ..protocol.websocket_deflate import Deflate
    from .server import Server

__all__ = ["AsgiApp"]

DONE: Final = State.DONE

# How many may go on when their response is complete: with more, connections wait for them, and cannot make others.
_MOST_PARTED: Final = 1000

_HTTP: Final = ("http.response.trailers", "http.response.pathsend")
_WEBSOCKET: Final = ("websocket.http.response",)


class AsgiApp:
    """Serves an ASGI application: `Server(AsgiApp(app))`.

    application       an ASGI 3 application; what else it does when its response is complete is waited for at the end
    root_path         where it is mounted: a proxy takes this from the path before it comes here
    lifespan          True if the application must have one, "auto" if it may, False to leave it alone
    compression       of WebSockets: True for permessage-deflate where the client offers it, False for none, or a `Deflate`
    max_message_size  bytes of a WebSocket's message, after inflating, 16 MiB; None for no limit; a longer one closes it with 1009
    heartbeat         seconds of silence after which the client of a WebSocket is given up for gone, 40; it is asked for a sign of
                      life after half of them; None to wait for ever
    close_timeout     seconds that the client of a WebSocket has to answer a close, 10

    Pages of any origin may open a WebSocket: the application has to look at Origin, if it knows its users by cookies.
    Raises `UsageError` for a bad argument, naming it.
    """

    def __init__(
        self,
        application: Application,
        *,
        root_path: str = "",
        lifespan: LifespanMode = "auto",
        compression: bool | Deflate = True,
        max_message_size: int | None = 16 * 1024 * 1024,
        heartbeat: float | None = 40.0,
        close_timeout: float = 10.0,
    ) -> None:
        check_application(application)
        if not isinstance(root_path, str) or (root_path and not root_path.startswith("/")) or root_path.endswith("/"):
            raise UsageError(f"root_path must be empty, or begin with / and not end so, not {root_path!r}", argument="root_path")
        if max_message_size is not None:
            check_count("max_message_size", max_message_size, 1, "None or a number of bytes")
        if heartbeat is not None:
            check_number("heartbeat", heartbeat, "None or seconds", above=True)
        check_number("close_timeout", close_timeout, "seconds")
        if not isinstance(compression, bool):
            from ..protocol.websocket_deflate import Deflate

            if not isinstance(compression, Deflate):
                raise UsageError(f"compression must be True, False or a Deflate, not {compression!r}", argument="compression")
        self.application = application
        self._root_path = root_path
        self._state: dict[str, Any] = {}
        self._lifespan = Lifespan(application, lifespan, self._state)
        self._compression = compression
        self._options = {"max_size": max_message_size, "heartbeat": heartbeat, "close_timeout": close_timeout}
        self._handshake: Any = None
        self._server: Server | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._parted = self._go_on  # bound once

    def __repr__(self) -> str:
        return f"<AsgiApp {getattr(self.application, '__name__', type(self.application).__name__)}>"

    async def startup(self, server: Server) -> None:
        """Start the application's lifespan.  Raises `ApplicationError` if it does not start."""
        self._server = server
        await self._lifespan.startup()

    async def shutdown(self, grace: float) -> None:
        """Wait for what is still running, cancel what takes longer than `grace`, and end the lifespan."""
        await self._lifespan.shutdown_behind(list(self._running), grace)

    def serve(self, exchange: Exchange) -> Coroutine[Any, Any, None]:
        """Answer one request.  Raises what the application raises before its response is complete."""
        head = exchange.head
        if head.upgrade and head.upgrade.lower() == b"websocket":
            return self._serve_websocket(exchange)
        return self._serve(exchange)

    async def _serve(self, exchange: Exchange) -> None:
        kept = exchange.head.kept
        if kept is None:
            kept = exchange.head.kept = self._make_scope(exchange, "http", _HTTP)
        scope = kept.copy()
        scope["asgi"] = kept["asgi"].copy()
        scope["headers"] = kept["headers"].copy()
        scope["extensions"] = kept["extensions"].copy()
        scope["state"] = self._state.copy()
        conversation = Conversation(_Wire(exchange), paths=True)
        exchange.left = conversation.disconnect
        if len(self._running) < _MOST_PARTED:
            exchange.parted = self._parted
        try:
            await self.application(scope, conversation.receive, conversation.send)
            if conversation.state is not DONE or conversation.fault is not None:
                conversation.check()
                raise ConnectionLost("the client has left", phase="sending the response")
        except Exception as error:
            if tells_of_leaving(error, exchange):  # in words of the framework's own
                raise ConnectionLost("the client has left", peer=exchange.peer, phase="sending the response") from None
            raise
        finally:
            exchange.left = None  # it leads back here
            if conversation.state is not DONE:
                conversation.disconnect()  # a task that the application left behind may still want to receive
            exchange.left = None  # or it would be a circle

    async def _serve_websocket(self, exchange: Exchange) -> None:
        from .asgi_websocket import WebSocketConversation, answer_handshake, make_handshake

        if self._handshake is None:
            self._handshake = make_handshake(self._compression)
        accepted = await answer_handshake(self._handshake, exchange)
        if accepted is None:
            return
        conversation = WebSocketConversation(exchange, accepted, Conversation(_Wire(exchange)), self._options)
        exchange.left = conversation.disconnect
        try:
            await conversation.run(self.application, self._make_scope(exchange, "websocket", _WEBSOCKET))
        except Exception as error:
            if tells_of_leaving(error, exchange):
                raise ConnectionLost("the client has left", peer=exchange.peer, phase="sending a message") from None
            raise
        finally:
            exchange.left = None

    def _make_scope(self, exchange: Exchange, kind: str, extensions: tuple[str, ...]) -> dict[str, Any]:
        head = exchange.head
        scheme = exchange.scheme
        server = exchange.connection.listens_at()
        if exchange.seen is not None and exchange.seen.host:
            where = exchange.where
            server = where.host, where.port
        return asgi_scope(
            kind,
            method=head.method.decode(),
            target=head.target,
            minor=head.minor,
            scheme=scheme if kind == "http" else "wss" if scheme == "https" else "ws",
            fields=head.raw_fields,
            client=address_of(exchange.peer),
            server=server,
            state=self._state,
            root_path=self._root_path,
            prefix=self._root_path,
            extensions=extensions,
        )

    # -- what goes on when the response is complete --------------------------------------------------------------------

    def _go_on(self, exchange: Exchange, task: asyncio.Task[None]) -> None:
        self._running.add(task)
        task.add_done_callback(partial(self._over, exchange))

    def _over(self, exchange: Exchange, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not tells_of_leaving(error, exchange) and self._server is not None:
            self._server.failed(exchange, error)


class _Wire:
    """Carries a `Conversation` over a connection."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def next(self) -> tuple[bytes, bool]:
        if not self._exchange.head.length:
            return b"", False
        body = self._exchange.body
        body.patient = True
        try:
            piece = await body.next()
        except ProtocolError as error:
            # The client is told by the connection; to the application it has left.
            raise ConnectionLost(error.message, phase="reading the request") from error
        except UsageError as error:
            raise ConnectionLost("the response was complete before the request", phase="reading the request") from error
        return piece, bool(piece) and not body.is_exhausted()

    def respond(self, start: Start, body: bytes) -> bool:
        plain = start.plain
        if plain is None or (start.length >= 0 and start.length != len(body)):
            return False
        self._exchange.respond(start.head.status, plain, body)
        return True

    async def begin(self, start: Start, body: bytes, complete: bool) -> None:
        await self._exchange.begin(start.head, len(body) if complete else None)
        await self._exchange.write(body)
        if complete:
            await self.finish(b"")

    async def write(self, body: bytes) -> None:
        await self._exchange.write(body)

    async def send_path(self, start: Start, path: str, complete: bool) -> None:
        await send_path(self._exchange, start, path)
        if complete:
            await self._exchange.finish()

    async def finish(self, trailers: bytes) -> None:
        await self._exchange.finish(trailers)

    def ended(self) -> None:
        self._exchange.connection.part(self._exchange)
