"""A request that was asked for and not yet sent: awaitable, and an async context manager.

    response = await client.get(url)            the response; its body is read when it is asked for
    async with client.get(url) as response:     the same, and the body is let go of at the end

A call is a coroutine: `asyncio.create_task`, `gather` and `run` take it.

The short cut.  A GET of a URL that was requested before, with nothing else said and no policy configured, goes out as the bytes
it went out as the last time: `__await__` takes a connection, writes them, and waits.  If all connections are busy it stands in line
with its bytes, and the connection that becomes free sends them at once, before the caller wakes up.  `bench/` measures what this
saves against the way through the pipeline, which every other call takes, and this one too as soon as anything is unusual.
"""

from __future__ import annotations

import asyncio
from asyncio import Future, get_running_loop
from collections.abc import Coroutine, Generator
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..errors import ConnectionLost
from ..net.pool import SmartPool, Ticket
from .response import HttpResponse

if TYPE_CHECKING:
    from yarl import URL

    from ..models.message import Request
    from ..net.timeouts import Timeouts
    from .client import HTTPClient
    from .connector import Route
    from .http1 import Http1Connection
    from .options import Options

__all__ = ["Call", "Plan"]


class Plan:
    """How a plain GET of one URL goes out: the pool, the route, and the whole request as bytes."""

    __slots__ = ("key", "pool", "route", "wire")

    def __init__(self, pool: SmartPool, route: Route, wire: bytes) -> None:
        self.pool = pool
        self.route = route
        self.key = route.key
        self.wire = wire


class Call(Coroutine[Any, Any, HttpResponse]):
    """One request, sent when it is awaited or entered, once."""

    __slots__ = ("_client", "_given", "_iterator", "_response", "_started", "method", "url")

    def __init__(self, client: HTTPClient, method: str, url: str | URL, given: dict[str, Any] | None) -> None:
        self._client = client
        self._given = given  # the keywords of the call; None for a GET that has none, which may take the short cut
        self._started = False
        self._iterator: Generator[Any, Any, HttpResponse] | None = None
        self.method = method
        self.url = url

    def __repr__(self) -> str:
        return f"<Call {self.method} {self.url}>"

    # -- as an awaitable -----------------------------------------------------------------------------------------------

    def __await__(self) -> Generator[Any, Any, HttpResponse]:
        if self._started:
            raise RuntimeError(f"cannot reuse {self!r}: it was awaited before")
        self._started = True
        client = self._client
        plan = client.plans.get(self.url) if self._given is None else None
        if plan is None or (pool := plan.pool).loop is not get_running_loop() or pool.closed:
            return (yield from client.perform(self.method, self.url, self._given or {}).__await__())

        # The short cut.
        now = monotonic()
        timeouts = client.timeouts
        total_at = now + client.total
        waiter: asyncio.Future[HttpResponse | None] = Future(loop=pool.loop)
        ticket: _Queued | None = None
        connection = pool.checkout(plan.key, now)
        if connection is None:
            if pool.is_full(plan.key):
                ticket = _Queued(self, plan, waiter, timeouts, now, total_at)
                pool.queue(ticket)
            else:
                connection = yield from client.connector.acquire(plan.route, timeouts, total_at).__await__()
                now = monotonic()
        try:
            if connection is not None:
                connection.begin(b"GET", plan.wire, waiter, self, timeouts, now, total_at)
            response = yield from waiter
        except ConnectionLost:
            if ticket is not None:
                connection = ticket.connection
            if connection is None or not connection.stale:
                raise
            return (yield from client.transport.send(self.as_request(total_at), fresh=True).__await__())
        except BaseException:
            if ticket is not None:
                ticket.leave()
            elif connection is not None:
                connection.cancel(waiter)
            raise
        if response is None:  # a slot is free, and reserved for this call to dial with
            return (yield from client.transport.send(self.as_request(total_at), reserved=True).__await__())
        return response

    # -- as a coroutine ------------------------------------------------------------------------------------------------

    def send(self, value: Any) -> Any:
        """Go on; what a task calls."""
        if self._iterator is None:
            self._iterator = self.__await__()
        return self._iterator.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise `error` where the call waits."""
        if self._iterator is None:
            self._iterator = self.__await__()
        return self._iterator.throw(*error)

    def close(self) -> None:
        """Give the call up."""
        self._started = True
        if self._iterator is not None:
            self._iterator.close()

    # -- as a context manager ------------------------------------------------------------------------------------------

    async def __aenter__(self) -> HttpResponse:
        self._response = await self
        return self._response

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._response.close()

    # -- what a response asks of its source ----------------------------------------------------------------------------

    @property
    def options(self) -> Options:
        """The settings of the client, for there are no others."""
        return self._client.settings

    def as_request(self, total_at: float | None = None) -> Request:
        """The request that the bytes of the plan stand for."""
        request = self._client.prepare(self.method, self.url, {})
        if total_at is not None:
            request.options.total_at = total_at
        return request


class _Queued(Ticket):
    """A call in line for a connection, with the bytes to send on it."""

    __slots__ = ("call", "connection", "plan")

    def __init__(
        self,
        call: Call,
        plan: Plan,
        waiter: asyncio.Future[HttpResponse | None],
        timeouts: Timeouts,
        now: float,
        total_at: float,
    ) -> None:
        super().__init__(plan.pool, plan.key, waiter, timeouts, now, total_at)
        self.call = call
        self.plan = plan
        self.connection: Http1Connection | None = None

    def grant(self, connection: Any) -> None:
        """Send at once; or, given a slot without a connection, let the call dial."""
        if connection is None:
            self.future.set_result(None)
            return
        self.connection = connection
        connection.begin(b"GET", self.plan.wire, self.future, self.call, self.timeouts, monotonic(), self.total_at)

    def leave(self) -> None:
        """The call was cancelled, or failed, somewhere between the line and the response."""
        future = self.future
        if self.pool.withdraw(self):
            return
        if self.connection is not None:
            self.connection.cancel(future)
        elif future.done() and not future.cancelled() and future.exception() is None:
            self.pool.give_back(self.key)
