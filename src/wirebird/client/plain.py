"""The short cut: a plain GET of a URL that was requested before.

Nothing else said in the call, and no policy configured in the client: then the request goes out as the same bytes as the last
time.  `__await__` takes a connection, writes them, and waits.  If all connections are busy, the call stands in line with its
bytes, and the connection that becomes free sends them at once, before the caller wakes up.

Every other call goes through the pipeline, and this one too as soon as anything is unusual: the two end in the same connections,
parser and response, and `bench/` measures what the short cut saves.
"""

from __future__ import annotations

from asyncio import Future, get_running_loop
from collections.abc import Generator
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..errors import ClientClosed, ConnectionLost
from ..net.pool import SmartPool, Ticket
from .call import Call
from .response import HttpResponse

if TYPE_CHECKING:
    from yarl import URL

    from ..models.message import Request
    from .client import HTTPClient
    from .connector import Route
    from .http1 import Http1Connection
    from .options import Options

__all__ = ["PlainGet", "Plan"]


class Plan:
    """How a plain GET of one URL goes out: the pool, the route, and the whole request as bytes."""

    __slots__ = ("key", "loop", "pool", "route", "wire")

    def __init__(self, pool: SmartPool, route: Route, wire: bytes) -> None:
        self.pool = pool
        self.loop = pool.loop
        self.route = route
        self.key = route.key
        self.wire = wire


class PlainGet(Call):
    """A GET with nothing said but its URL."""

    __slots__ = ()

    method = "GET"

    def __init__(self, client: HTTPClient, url: str | URL) -> None:
        # Three slots are all it needs: the time to fill more would show.
        self._client = client
        self._started = False
        self.url = url

    def __await__(self) -> Generator[Any, Any, HttpResponse]:
        if self._started:
            self._start()  # raises
        self._started = True
        client = self._client
        plan = client.plans.get(self.url)
        if plan is None or plan.loop is not get_running_loop():
            return (yield from client.perform("GET", self.url, {}).__await__())
        pool = plan.pool
        now = monotonic()
        waiter: Future[HttpResponse | None] = Future(loop=plan.loop)
        ticket: _Queued | None = None
        connection = pool.checkout(plan.key, now)
        if connection is None:
            if not pool.is_full(plan.key):
                return (yield from client.transport.send(self.as_request(now)).__await__())
            ticket = _Queued(self, plan, waiter, client.settings, now, now + client.total)
            pool.queue(ticket)
        try:
            if connection is not None:
                connection.begin(b"GET", plan.wire, waiter, self, now, now + client.first_wait, now + client.total)
            response = yield from waiter
        except ConnectionLost:
            if ticket is not None:
                connection = ticket.connection
            if connection is None or not connection.stale:
                raise
            return (yield from client.transport.send(self.as_request(now), fresh=True).__await__())
        except BaseException:
            if ticket is not None:
                ticket.leave()
            elif connection is not None:
                connection.cancel(waiter)
            raise
        if response is None:  # a slot is free, and reserved for this call to dial with
            return (yield from client.transport.send(self._redeem(plan, now), reserved=True).__await__())
        return response

    def _redeem(self, plan: Plan, began: float) -> Request:
        """The request for a reserved slot, which is given back if there can be none."""
        try:
            if plan.pool.closed:
                raise ClientClosed("the client was closed", phase="connecting")
            return self.as_request(began)
        except BaseException:
            plan.pool.give_back(plan.key)
            raise

    # -- what a response asks of its source ----------------------------------------------------------------------------

    @property
    def options(self) -> Options:
        """The settings of the client, for there are no others."""
        return self._client.settings

    def as_request(self, began: float | None = None) -> Request:
        """The request that the bytes of the plan stand for; `began` is when its time began to run."""
        request = self._client.prepare("GET", self.url, {})
        if began is not None:
            request.deadline = began + self._client.total
        return request


class _Queued(Ticket):
    """A call in line for a connection, with the bytes to send on it."""

    __slots__ = ("call", "connection", "plan")

    def __init__(
        self,
        call: PlainGet,
        plan: Plan,
        waiter: Future[HttpResponse | None],
        settings: Options,
        now: float,
        total_at: float,
    ) -> None:
        super().__init__(plan.pool, plan.key, waiter, settings.timeouts, now, total_at)
        self.call = call
        self.plan = plan
        self.connection: Http1Connection | None = None

    def grant(self, connection: Any) -> None:
        """Send at once; or, given a slot without a connection, let the call dial."""
        if connection is None:
            self.future.set_result(None)
            return
        self.connection = connection
        now = monotonic()
        first = min(now + self.timeouts.read, self.total_at)
        connection.begin(b"GET", self.plan.wire, self.future, self.call, now, first, self.total_at)

    def leave(self) -> None:
        """The call was cancelled, or failed, somewhere between the line and the response."""
        future = self.future
        if self.pool.withdraw(self):
            return
        if self.connection is not None:
            self.connection.cancel(future)
        elif future.done() and not future.cancelled() and future.exception() is None:
            self.pool.give_back(self.key)
