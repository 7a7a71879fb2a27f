"""Limits on how often, and how many at once, requests go to each host: a bucket and a line in front of it for each.

A request that may go, goes, and costs a look into a dictionary and a few additions.  One that may not stands in line, first
come, first served; one timer for each line that is not empty lets the first go when its time comes, so nobody wakes up in vain.
Whoever would come too late for the deadline of the request is told at once, and whoever is cancelled leaves what it had to the
next.

A host that answers 429 or 503 with `Retry-After` is left alone by everybody until then (RFC 6585 4, RFC 9110 10.2.3).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from math import inf
from time import monotonic, time

from ...errors import RequestTimeout, UsageError
from ...models.bucket import Bucket, check_rate
from ...models.dates import retry_after
from ...models.message import Request
from ...models.numbers import check_number
from ...pipeline import Handler
from ..response import HttpResponse

__all__ = ["RateLimit"]

# So many hosts are remembered before those are forgotten about which there is nothing to remember.
_HOSTS = 1024

# A host that pushes its `Retry-After` ahead with every answer has those in line looked over once in so many seconds.
_GLANCE = 1.0


class RateLimit:
    """A middleware that spaces out the requests to each host, for `HTTPClient(network_middlewares=[RateLimit(10)])`.

    rate             requests in every `per` seconds, on average; None for no limit
    per              seconds, 1
    burst            requests that may go at once after a pause; `rate`, and at least 1.  So in any `per` seconds there are at
                     most `rate` and `burst` together; with 1 they are evenly spaced
    concurrency      requests at work at once, each until its response is complete or closed; None for no limit
    by               what shares a limit: `"host"` (the name, whatever the port), `"origin"` (scheme, host and port), or a
                     function that gives a name for a request, None for no limit at all
    max_retry_after  the longest `Retry-After` that is heeded, seconds, 60; a longer one counts as this

    Raises `RequestTimeout`, at once, if a request cannot go before its time is over.  Among `network_middlewares` it counts what
    goes to the network, redirects and retries one by one; among `middlewares` it counts calls.  May be shared by clients of one
    event loop.  Raises `UsageError` for a bad argument.  `clock` (of the deadlines) and `today` (POSIX seconds) are for tests.
    """

    def __init__(
        self,
        rate: float | None = None,
        per: float = 1.0,
        burst: int | None = None,
        concurrency: int | None = None,
        by: str | Callable[[Request], str | None] = "host",
        *,
        max_retry_after: float = 60.0,
        clock: Callable[[], float] = monotonic,
        today: Callable[[], float] = time,
    ) -> None:
        self._interval, self.burst = check_rate(rate, per, burst, concurrency)
        check_number("max_retry_after", max_retry_after, "seconds", above=True)
        if by not in ("host", "origin") and not callable(by):
            raise UsageError(f"by must be 'host', 'origin' or a function, not {by!r}", argument="by")
        self.rate = rate
        self.per = per
        self.concurrency = concurrency
        self.by = by
        self.max_retry_after = max_retry_after
        self._clock = clock
        self._today = today
        self._gates: dict[str, _Gate] = {}
        self._room = _HOSTS

    def __repr__(self) -> str:
        rate = "" if self.rate is None else f" {self.rate:g} per {self.per:g} s"
        at_once = "" if self.concurrency is None else f" {self.concurrency} at once"
        return f"<RateLimit{rate}{at_once}, {len(self._gates)} hosts>"

    async def __call__(self, request: Request, handler: Handler[Request, HttpResponse]) -> HttpResponse:
        """Send `request` when it is its turn."""
        key = self._key(request)
        if key is None:
            return await handler(request)
        now = self._clock()
        gate = self._gate(key, now)
        if not gate.open(now):
            await gate.wait(now, request)
        try:
            response = await handler(request)
            if response.status_code in (429, 503):
                asked = retry_after(response.headers.get_list("retry-after"), self._today())
                if asked:
                    gate.block(self._clock(), min(asked, self.max_retry_after))
        except BaseException:
            gate.leave()
            raise
        if self.concurrency is None:
            gate.leave()
        else:
            response.on_end(gate.leave)
        return response

    def _key(self, request: Request) -> str | None:
        where = request.destination
        if self.by == "host":
            return where.host
        return where.origin if isinstance(self.by, str) else self.by(request)

    def _gate(self, key: str, now: float) -> _Gate:
        gate = self._gates.get(key)
        loop = asyncio.get_running_loop()
        if gate is not None and gate.loop is loop:
            return gate
        if gate is None and len(self._gates) >= self._room:
            self._gates = {name: one for name, one in self._gates.items() if not one.is_idle(now)}
            self._room = max(_HOSTS, 2 * len(self._gates))  # so that looking them over costs each new one a constant
        # The time that was used up on another loop was used up all the same; whoever stands in line there has a gate of his own.
        bucket = gate.bucket if gate is not None else Bucket(self._interval, self.burst)
        gate = self._gates[key] = _Gate(key, loop, bucket, self.concurrency, self._clock)
        return gate


class _Gate:
    """The way to one host, on one event loop: who is through, and who stands in line."""

    __slots__ = ("_clock", "_concurrency", "_glanced", "_key", "_line", "_running", "_timer", "_timer_at", "bucket", "loop")

    def __init__(
        self,
        key: str,
        loop: asyncio.AbstractEventLoop,
        bucket: Bucket,
        concurrency: int | None,
        clock: Callable[[], float],
    ) -> None:
        self.loop = loop
        self.bucket = bucket
        self._key = key
        self._concurrency = concurrency if concurrency is not None else inf
        self._clock = clock
        self._running = 0
        self._line: OrderedDict[asyncio.Future[None], Request] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._glanced = -inf

    def is_idle(self, now: float) -> bool:
        """Whether nothing is lost if this is forgotten."""
        at_work = (self._running or self._line) and not self.loop.is_closed()
        return not at_work and self.bucket.is_full(now)

    def open(self, now: float) -> bool:
        """Go through, if nobody is in line and it need not be waited for."""
        if self._line or self._running >= self._concurrency or self.bucket.ready_at(now) > now:
            return False
        self.bucket.take(now)
        self._running += 1
        return True

    async def wait(self, now: float, request: Request) -> None:
        """Stand in line, and go through.  Raises `RequestTimeout` if that cannot be, or was not, before the deadline."""
        deadline = request.deadline
        ready_at = self.bucket.ready_at(now, len(self._line))
        if ready_at >= deadline:
            raise self._too_late(request, ready_at, now)
        future: asyncio.Future[None] = self.loop.create_future()
        self._line[future] = request
        expiry = self.loop.call_later(deadline - now, self._expire, future) if deadline < inf else None
        try:
            self._let_through()
            await future
        except asyncio.CancelledError:
            if not self._leave_line(future) and not future.cancelled() and future.exception() is None:
                self.bucket.give_back()  # let through and cancelled in the same turn of the loop
                self.leave()
            raise
        finally:
            if expiry is not None:
                expiry.cancel()

    def leave(self) -> None:
        """One that went through is done."""
        self._running -= 1
        if self._line:
            self._let_through()

    def block(self, now: float, seconds: float) -> None:
        """Let nobody through for so long; those for whom that is too long are told now."""
        self.bucket.block(now + seconds)
        if self.bucket.ready_at(now) < self._glanced + _GLANCE:
            return
        self._glanced = self.bucket.ready_at(now)
        ahead = 0
        for future, request in list(self._line.items()):
            ready_at = self.bucket.ready_at(now, ahead)
            if ready_at < request.deadline:
                ahead += 1
                continue
            self._leave_line(future)
            if not future.done():
                future.set_exception(self._too_late(request, ready_at, now))

    def _leave_line(self, future: asyncio.Future[None]) -> bool:
        """Leave without having been let through; False if that was so before.  Nothing runs where nobody waits."""
        if self._line.pop(future, None) is None:
            return False
        if not self._line:
            self._set_timer(inf)
        return True

    def _let_through(self) -> None:
        """Whoever may go, goes; the timer is set for the next, if it is time that is waited for."""
        if self.loop.is_closed():
            self._line.clear()  # there is nobody left
            return
        line = self._line
        while line:
            future = next(iter(line))
            if future.done():  # cancelled, and about to notice
                del line[future]
                continue
            if self._running >= self._concurrency:
                break
            now = self._clock()
            ready_at = self.bucket.ready_at(now)
            if ready_at > now:
                self._set_timer(ready_at, ready_at - now)
                return
            del line[future]
            self.bucket.take(now)
            self._running += 1
            future.set_result(None)
        self._set_timer(inf)

    def _set_timer(self, at: float, seconds: float = 0.0) -> None:
        """One timer or none.  One that is due before `at` stays: it will look again."""
        timer = self._timer
        if timer is not None:
            if self._timer_at <= at < inf:
                return
            timer.cancel()
        self._timer = self.loop.call_later(seconds, self._on_timer) if at < inf else None
        self._timer_at = at

    def _on_timer(self) -> None:
        self._timer = None
        self._let_through()

    def _expire(self, future: asyncio.Future[None]) -> None:
        request = self._line.get(future)
        if request is not None:
            self._leave_line(future)
            if not future.done():
                future.set_exception(self._error(f"the rate limit of {self._key} did not let the request go in time", request))

    def _too_late(self, request: Request, ready_at: float, now: float) -> RequestTimeout:
        wait, left = ready_at - now, max(0.0, request.deadline - now)
        return self._error(f"the rate limit of {self._key} lets the request go in {wait:.3g} s, and it has {left:.3g} s", request)

    def _error(self, message: str, request: Request) -> RequestTimeout:
        limit = request.options.timeouts.request_timeout
        peer = request.destination.authority
        return RequestTimeout(message, limit=limit, peer=peer, phase="waiting for the rate limit")
