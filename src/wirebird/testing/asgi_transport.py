"""An ASGI application at the end of the pipeline, in the same process and loop, with no socket.

Each request runs the application in a task of its own.  The client has the response as soon as its head and the first piece of
its body are there; the application waits while the client is 64 KiB behind, and is told when the client leaves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, MutableMapping
from time import monotonic
from types import TracebackType
from typing import Any

from ..client.feed import Feed
from ..client.response import HttpResponse
from ..client.transport import encode_head
from ..errors import ConnectionLost, IncompleteBody
from ..models.message import Request
from ..protocol.http1 import Writer
from ..protocol.http1_heads import parse_request_head, parse_response_head
from ..protocol.http1_responses import encode_response, response_framing
from ..server.asgi_conversation import Conversation, tells_of_leaving
from ..server.asgi_messages import Application, ApplicationError, Start, asgi_scope, check_application
from ..server.lifespan import Lifespan, LifespanMode
from .delivery import answer_within, send_within, sent_pieces

__all__ = ["ASGITransport"]

# How long what an application still does after its response may take when the client is closed, seconds.
CLOSE_TIME = 5.0

_log = logging.getLogger("wirebird.testing")


class ASGITransport:
    """Runs an ASGI 3 application in the same process: `HTTPClient(connector=ASGITransport(app))`.

    app                   an ASGI 3 application
    raise_app_exceptions  True raises what the application raises from the client's call, or from the body it reads; False
                          answers 500, or breaks the body off, as a server does
    root_path             where the application is mounted
    client                the `(host, port)` that the application sees
    lifespan              True if the application must have one, False to leave it alone, "auto" if it may
    state                 what the lifespan keeps for requests; `state` holds it

    Startup happens before the first request or with `async with`, shutdown when the client is closed.  Closing waits 5 s for
    what the application still does, then cancels it.  `errors` are the exceptions of the application.  Raises `UsageError` for a
    bad argument; `send` raises `ApplicationError` for an application that breaks its contract or does not start.
    """

    def __init__(
        self,
        app: Application,
        *,
        raise_app_exceptions: bool = True,
        root_path: str = "",
        client: tuple[str, int] = ("127.0.0.1", 123),
        lifespan: LifespanMode = "auto",
        state: MutableMapping[str, Any] | None = None,
    ) -> None:
        check_application(app)
        self._app = app
        self._raise = raise_app_exceptions
        self._root_path = root_path
        self._client = client
        self.state: dict[str, Any] = dict(state or {})
        self._lifespan = Lifespan(app, lifespan, self.state)
        self._running: dict[asyncio.Task[None], _Exchange] = {}
        self._untold: list[BaseException] = []
        self.errors: list[BaseException] = []

    def __repr__(self) -> str:
        return f"<ASGITransport {getattr(self._app, '__name__', type(self._app).__name__)}, {len(self._running)} running>"

    async def __aenter__(self) -> ASGITransport:
        await self._lifespan.startup()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def send(self, request: Request) -> HttpResponse:
        """The application's answer.

        Raises what a request that may not be sent raises, what the application raises, `ApplicationError`, and `ReadTimeout` or
        `RequestTimeout` if there is no answer in time; then the application is cancelled.
        """
        head, length = encode_head(request)
        read = parse_request_head(head)
        async with send_within(request):
            await self._lifespan.startup()
        where = request.destination
        scope = asgi_scope(
            "http",
            method=request.method,
            target=read.target,
            minor=1,
            scheme=where.scheme,
            fields=read.raw_fields,
            root_path=self._root_path,
            client=self._client,
            server=(where.host, where.port),
            state=self.state,
            extensions=("http.response.trailers",),
        )
        exchange = _Exchange(request, length)
        task = asyncio.create_task(self._run(exchange, scope))
        self._running[task] = exchange
        task.add_done_callback(self._running.pop)
        # While a body is sent, the peer owes nothing but to take it.
        streams = request.body is not None and not isinstance(request.body, bytes)
        try:
            async with send_within(request) if streams else answer_within(request):
                return await exchange.response
        except BaseException:
            exchange.leave()
            task.cancel()
            await asyncio.wait([task])
            raise

    async def _run(self, exchange: _Exchange, scope: dict[str, Any]) -> None:
        try:
            await exchange.conversation.run(self._app, scope)
        except asyncio.CancelledError:
            exchange.fail(ConnectionLost("the application was cancelled", peer=exchange.peer, phase="waiting for the response"))
            raise
        except BaseException as error:
            self._settle(exchange, error)
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
        finally:
            await exchange.end()

    def _settle(self, exchange: _Exchange, error: BaseException) -> None:
        """The application has raised."""
        if exchange.body_error is not None:
            exchange.fail(exchange.body_error)  # which was the body of the request before
            return
        if exchange.left and tells_of_leaving(error):
            return
        self.errors.append(error)
        if self._raise:
            if not exchange.fail(error):
                self._untold.append(error)
                _log.error("the application raised after its response", exc_info=error)
            return
        _log.error("the application raised", exc_info=error)
        exchange.break_off()

    async def wait_done(self, timeout: float | None = 30) -> bool:
        """Wait until the application has returned from every request, background tasks included; False after `timeout` seconds.

        Raises what it raised after a response was complete.
        """
        late: set[asyncio.Task[None]] = set()
        if self._running:
            _, late = await asyncio.wait(list(self._running), timeout=timeout)
        if self._untold:
            raise self._untold.pop(0)
        return not late

    async def close(self) -> None:
        """End what is running, and shut the application down.  Raises what it raised after a response was complete."""
        loop = asyncio.get_running_loop()
        running = [task for task in self._running if task.get_loop() is loop]
        for task in running:
            self._running[task].leave()
            self._running[task].give_up()
        await self._lifespan.shutdown_behind(running, CLOSE_TIME)
        if self._untold:
            raise self._untold.pop(0)


class _Exchange:
    """One request and its response: what carries a `Conversation` to the client in this process."""

    def __init__(self, request: Request, length: int) -> None:
        self.request = request
        self.peer = request.destination.authority
        self.response: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
        self.conversation = Conversation(self)
        self.body_error: Exception | None = None
        self.left = False  # the client wants no more
        self.begun = False  # there is a head
        self._began = monotonic()
        self._whole = request.body if isinstance(request.body, bytes) else b"" if request.body is None else None
        self._reading: asyncio.Task[bytes] | None = None  # the next piece, which outlives whoever waits for it
        self._waiting = 0  # those who do
        self._pieces: AsyncGenerator[bytes, None] = sent_pieces(request.body, length)
        self._feed: Feed | None = None
        self._writer: Writer | None = None  # None if there is no body, whatever the application sends

    # -- the request ---------------------------------------------------------------------------------------------------

    async def next(self) -> tuple[bytes, bool]:
        if self._whole is not None:
            return self._whole, False
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        reading = self._reading
        if not reading.done():
            self._waiting += 1
            try:
                await asyncio.wait([reading])
            finally:
                self._waiting -= 1
        if reading is self._reading:
            self._reading = None
        elif not reading.cancelled():  # another has taken it
            return await self.next()
        if not reading.cancelled():
            if self.body_error is None:
                return reading.result(), self._whole is None
            self._tell_of_body()  # before the caller, who is done then, the application
        raise ConnectionLost("the client has left", phase="reading the request")

    async def _read(self) -> bytes:
        try:
            return await anext(self._pieces)
        except StopAsyncIteration:
            self._whole = b""
        except Exception as error:
            # The body is at fault, not the application: the request cannot be completed, and the caller is told why.
            self.body_error = error
            if not self._waiting:
                self._tell_of_body()
        return b""

    def _tell_of_body(self) -> None:
        self.leave()
        if self.body_error is not None:
            self.fail(self.body_error)

    def leave(self) -> None:
        """The client is gone, and the rest of its body with it."""
        self.conversation.disconnect()
        self.ended()

    def ended(self) -> None:
        """Nobody is given the rest of the body."""
        if self._reading is not None and self._reading is not asyncio.current_task():
            self._reading.cancel()

    # -- the response --------------------------------------------------------------------------------------------------

    def respond(self, start: Start, body: bytes) -> bool:
        """False: a response is begun first, and ended then."""
        return False

    async def send_path(self, start: Start, path: str, complete: bool) -> None:
        """Not asked for, since it is not offered."""

    async def begin(self, start: Start, body: bytes, complete: bool) -> None:
        head = start.head
        method = self.request.method.encode()
        block, length = response_framing(head, method, 1, len(body) if complete else None)
        head = parse_response_head(b"%b%b\r\n" % (head.raw[: head.start], block))
        if method != b"HEAD" and head.status not in (204, 304):
            self._writer = Writer(length)
            self._count(body)
            if complete:
                self._count_end()
        elapsed = monotonic() - self._began
        if complete or self._writer is None:
            response = HttpResponse(head, body if self._writer is not None else b"", self.request, None, elapsed)
        else:
            self._feed = Feed(self.request, self._dropped)
            response = HttpResponse(head, None, self.request, self._feed.body, elapsed)
        self.begun = True
        if self.response.done():
            await response.close()
            raise ConnectionLost("the client has left", phase="sending the response")
        if self._feed is not None:
            self.response.set_result(response)
            await self._feed.push(body)
        else:
            # A framework answers 500 and raises at once: the exception says more than the answer.
            asyncio.get_running_loop().call_soon(self._tell, response)

    def _tell(self, response: HttpResponse) -> None:
        if not self.response.done():
            self.response.set_result(response)

    async def write(self, body: bytes) -> None:
        if self._feed is not None:
            self._count(body)
            await self._feed.push(body)

    async def finish(self, trailers: bytes) -> None:
        if self._feed is not None:
            self._count_end()
            self._feed.finish(trailers)

    def _count(self, body: bytes) -> None:
        """Hold the application to its Content-Length."""
        if self._writer is not None:
            try:
                self._writer.data(body)
            except ValueError as error:
                raise ApplicationError(f"the application sent too much: {error}") from error

    def _count_end(self) -> None:
        if self._writer is not None:
            try:
                self._writer.end()
            except ValueError as error:
                raise ApplicationError(f"the application sent too little: {error}") from error

    def _dropped(self) -> Awaitable[Any] | None:
        self.left = True
        self.leave()
        return None

    def break_off(self) -> None:
        """Do what a server does whose application has raised: answer 500, or no more."""
        if self.begun:
            if self._feed is not None:
                self.fail(IncompleteBody("the application broke its response off", peer=self.peer, phase="reading the body"))
            return
        body = b"" if self.request.method == "HEAD" else b"Internal Server Error"
        fields = [(b"Content-Type", b"text/plain; charset=utf-8"), (b"Content-Length", b"21")]
        head = encode_response(500, "Internal Server Error", fields)
        self._tell(HttpResponse(head, body, self.request, None, monotonic() - self._began))

    def fail(self, error: BaseException) -> bool:
        """Tell the client; False if it has the whole response."""
        if not self.response.done():
            self.response.set_exception(error)
            self.response.exception()  # a caller who was cancelled does not fetch it
            return True
        if self._feed is not None and not self._feed.body.complete and self._feed.body.error is None:
            self._feed.fail(error)
            return True
        return False

    def give_up(self) -> None:
        """The client is closed."""
        self.left = True
        self.fail(ConnectionLost("the client was closed", peer=self.peer, phase="reading the body"))
        if self._feed is not None:
            self._feed.resume()

    async def end(self) -> None:
        """The application has come to its end."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        try:
            await self._pieces.aclose()
        except RuntimeError:
            pass  # a task that the application left behind still waits for a piece, and will get none
