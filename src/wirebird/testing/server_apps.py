"""What a server can serve: a handler from `Request` to `HttpResponse`, or an ASGI application, each behind a `ServerExchange`."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import replace
from typing import Any, Final, Protocol

from yarl import URL

from ..client.options import Options
from ..client.raw import raw_body, raw_pieces, raw_trailers
from ..errors import ConnectionLost, InvalidRequest, ProtocolError, UsageError
from ..models.headers import HttpHeaders
from ..models.message import Request, RequestHead, ResponseHead
from ..models.url import Destination, destination
from ..net.timeouts import NEVER, Timeouts
from .asgi import Application, Conversation, http_scope, tells_of_leaving
from .delivery import Answerer, ask
from .server_connection import ServerExchange

__all__ = ["AsgiGuest", "HandlerGuest", "Place", "is_handler"]

# A request that arrived has no time limits of its own, and no settings of a client.
_OPTIONS: Final = Options(Timeouts(None, None, None, None))


class Place(Protocol):
    """Where requests arrive."""

    scheme: str
    requests: list[Request]

    @property
    def authority(self) -> str:
        """`host:port`, for a request that does not say."""

    def failed(self, error: BaseException) -> None:
        """Take an exception of the application."""


def is_handler(app: Any) -> bool:
    """Whether `app` takes a request, rather than the scope, receive and send of ASGI.  Raises `UsageError` for neither."""
    try:
        signature = inspect.signature(app)
    except (TypeError, ValueError):
        if callable(app):
            return False
        raise UsageError(f"app must be an ASGI application, a handler or a MockTransport, not {app!r}", argument="app") from None
    for count, answer in ((3, False), (1, True)):
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        return answer
    raise UsageError(f"app must take a request, or scope, receive and send, and {app!r} does neither", argument="app")


def _where(head: RequestHead, place: Place) -> Destination:
    """The URL that was asked for (RFC 9110 7.1).  Raises `InvalidRequest` if its host is none."""
    target = head.target.decode("ascii")
    authority = head.host.decode("latin-1") or place.authority
    try:
        if target.startswith("/"):
            return destination(URL(f"{place.scheme}://{authority}{target}", encoded=True))
        if target == "*":
            return replace(destination(URL(f"{place.scheme}://{authority}/", encoded=True)), target=target)
        return destination(URL(target, encoded=True))
    except ValueError as error:
        raise InvalidRequest(f"the request is for no host: {authority!r}") from error


class HandlerGuest:
    """Serves a handler: the body of a request is read whole, then the handler is asked."""

    def __init__(self, handler: Answerer, place: Place) -> None:
        self._handler = handler
        self._place = place

    async def serve(self, exchange: ServerExchange) -> None:
        """Answer one request."""
        head = exchange.head
        where = _where(head, self._place)
        body = await exchange.body.collect(None)
        request = Request(head.method.decode(), HttpHeaders(head.fields), body, where, _OPTIONS, NEVER)
        self._place.requests.append(request)
        response = await ask(self._handler, request)
        whole = raw_body(response)
        try:
            await exchange.begin(response.head, len(whole) if whole is not None else None)
            if whole is not None:
                await exchange.write(whole)
            elif exchange.has_body():
                async for piece in raw_pieces(response):
                    await exchange.write(piece)
            await exchange.finish(raw_trailers(response))
        finally:
            await response.close()

    async def close(self, seconds: float) -> None:
        """There is nothing to end."""


class AsgiGuest:
    """Serves an ASGI application, which may go on when its response is complete."""

    def __init__(self, application: Application, place: Place, root_path: str, state: dict[str, Any]) -> None:
        self._application = application
        self._place = place
        self._root_path = root_path
        self._state = state
        self._running: set[asyncio.Task[None]] = set()

    async def serve(self, exchange: ServerExchange) -> None:
        """Answer one request.  Raises what the application raises before its response is complete."""
        head = exchange.head
        where = _where(head, self._place)
        self._place.requests.append(Request(head.method.decode(), HttpHeaders(head.fields), None, where, _OPTIONS, NEVER))
        scope = http_scope(
            method=head.method.decode(),
            target=head.target,
            minor=head.minor,
            scheme=self._place.scheme,
            fields=head.raw_fields,
            root_path=self._root_path,
            client=_address(exchange.peer),
            server=(where.host, where.port),
            state=self._state,
        )
        carrier = _Wire(exchange)
        conversation = Conversation(carrier)
        exchange.left = lambda lost: conversation.disconnect(lost=lost)
        task = asyncio.create_task(conversation.run(self._application, scope))
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
        if error is not None and not tells_of_leaving(error):
            self._place.failed(error)

    async def close(self, seconds: float) -> None:
        """Wait for what is still running, and cancel what takes longer than `seconds`."""
        if not self._running:
            return
        _, late = await asyncio.wait(list(self._running), timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)


class _Wire:
    """Carries a `Conversation` over a connection."""

    def __init__(self, exchange: ServerExchange) -> None:
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


def _address(peer: str) -> tuple[str, int] | None:
    host, colon, port = peer.rpartition(":")
    return (host, int(port)) if colon and port.isascii() and port.isdigit() else None
