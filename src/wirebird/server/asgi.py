"""An ASGI 3 application behind the server (asgi.readthedocs.io, "HTTP & WebSocket" 2.5)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..errors import ConnectionLost, ProtocolError
from ..models.message import ResponseHead
from .asgi_conversation import Application, Conversation, check_application, http_scope, tells_of_leaving
from .exchange import Exchange
from .lifespan import Lifespan, LifespanMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from .server import Server

__all__ = ["AsgiApp"]


class AsgiApp:
    """Serves an ASGI application, which may go on when its response is complete.

    `failed(error)` is told of what a background task raises.
    """

    def __init__(
        self,
        application: Application,
        *,
        root_path: str = "",
        lifespan: LifespanMode = "auto",
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        check_application(application)
        self.application = application
        self._root_path = root_path
        self._state: dict[str, Any] = {}
        self._lifespan = Lifespan(application, lifespan, self._state)
        self._failed = failed
        self._running: set[asyncio.Task[None]] = set()

    async def startup(self, server: Server) -> None:
        """Start the application's lifespan.  Raises `ApplicationError` if it does not start."""
        await self._lifespan.startup()

    async def shutdown(self, grace: float) -> None:
        """Wait for what is still running, cancel what takes longer than `grace`, and end the lifespan."""
        try:
            if self._running:
                _, late = await asyncio.wait(list(self._running), timeout=grace)
                for task in late:
                    task.cancel()
                if late:
                    await asyncio.wait(late)
        finally:
            await self._lifespan.shutdown()

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request.  Raises what the application raises before its response is complete."""
        head = exchange.head
        where = exchange.where
        scope = http_scope(
            method=head.method.decode(),
            target=head.target,
            minor=head.minor,
            scheme=exchange.scheme,
            fields=head.raw_fields,
            root_path=self._root_path,
            client=exchange.client,
            server=(where.host, where.port),
            state=self._state,
        )
        carrier = _Wire(exchange)
        conversation = Conversation(carrier)
        exchange.left = lambda lost: conversation.disconnect(lost=lost)
        task = asyncio.create_task(conversation.run(self.application, scope))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            await asyncio.wait([task, carrier.done], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            conversation.disconnect()
            task.cancel()
            await asyncio.wait([task])
            raise
        if task.done():
            try:
                task.result()
            except Exception as error:
                if tells_of_leaving(error):  # in words of the framework's own
                    raise ConnectionLost("the client has left", peer=exchange.peer, phase="sending the response") from None
                raise
        else:
            task.add_done_callback(self._note)  # a background task

    def _note(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not tells_of_leaving(error) and self._failed is not None:
            self._failed(error)


class _Wire:
    """Carries a `Conversation` over a connection."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def next(self) -> tuple[bytes, bool]:
        body = self._exchange.body
        try:
            piece = await body.next()
        except ProtocolError as error:
            # The client is told by the connection; to the application it has left.
            raise ConnectionLost(error.message, phase="reading the request") from error
        return piece, bool(piece) and not body.is_exhausted()

    async def begin(self, head: ResponseHead, body: bytes, complete: bool) -> None:
        await self._exchange.begin(head, len(body) if complete else None)
        await self._exchange.write(body)
        if complete:
            await self.finish(b"")

    async def write(self, body: bytes) -> None:
        await self._exchange.write(body)

    async def finish(self, trailers: bytes) -> None:
        await self._exchange.finish(trailers)
        if not self.done.done():
            self.done.set_result(None)
