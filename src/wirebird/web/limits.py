"""Limits on how often, and how many at once, each client may ask (RFC 6585 4).

    app = web.Application(middlewares=[web.RateLimit(10, burst=20, concurrency=5)])

Who asks too often is told 429 at once, and when to come back; nobody waits in a line, which would cost the server what the limit
is to save.  A client is an address, and of IPv6 a network of 64 bits, since everybody there has so many addresses.  Behind a
proxy that is not among the server's trusted ones, all clients are the one that the proxy is.

This bounds what one client may have of an application.  What connections may do that send no whole request is the server's
business.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..models.bucket import Bucket, check_rate
from ..models.numbers import check_count
from .exceptions import HTTPTooManyRequests

if TYPE_CHECKING:
    from .request import Request
    from .response import StreamResponse
    from .routing import Handler

__all__ = ["RateLimit", "client_network"]

# Bits of an IPv6 address that say whose it is; the rest the owner chooses.
_NETWORK_BITS = 64


def client_network(request: Request) -> str:
    """The address that a request came from, of IPv6 the network; "" where there is none, as over a Unix socket."""
    remote = request.remote or ""
    if ":" not in remote:
        return remote
    try:
        address = ip_address(remote)
    except ValueError:
        return remote
    if not isinstance(address, IPv6Address):
        return remote
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{int(address) >> (128 - _NETWORK_BITS):x}::"


class _Client:
    """What is known of one client: its tokens, and how many of its requests are at work."""

    __slots__ = ("bucket", "working")

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.working = 0


class RateLimit:
    """A middleware that answers 429 to clients that ask for too much.

    rate         requests in every `per` seconds, on average; None for no limit
    per          seconds, 1
    burst        requests that may come at once after a pause; `rate`, and at least 1
    concurrency  requests at work at once, each until its handler is done; None for no limit
    by           who counts as one client: a function of the request that gives a name, None for no limit at all; by default
                 `client_network`, the address
    max_clients  clients that are remembered, 10,000: beyond that those are forgotten that were silent for the longest time

    One object is one account, also where several applications have it.  Raises `UsageError` for a bad argument, naming it.
    `clock` is for tests.
    """

    def __init__(
        self,
        rate: float | None = None,
        per: float = 1.0,
        burst: int | None = None,
        concurrency: int | None = None,
        by: Callable[[Request], str | None] = client_network,
        *,
        max_clients: int = 10_000,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._interval, self.burst = check_rate(rate, per, burst, concurrency)
        check_count("max_clients", max_clients, 1)
        if not callable(by):
            raise UsageError(f"by must be a function of a request, not {by!r}", argument="by")
        self.rate = rate
        self.per = per
        self.concurrency = concurrency
        self.by = by
        self.max_clients = max_clients
        self._clock = clock
        self._clients: OrderedDict[str, _Client] = OrderedDict()  # the one that was silent for the longest time first

    def __repr__(self) -> str:
        return f"<RateLimit rate={self.rate} per={self.per:g} concurrency={self.concurrency}, {len(self._clients)} clients>"

    async def __call__(self, request: Request, handler: Handler) -> StreamResponse:
        """Have the request handled.  Raises `HTTPTooManyRequests`, with Retry-After."""
        name = self.by(request)
        if name is None:
            return await handler(request)
        client = self._client(name)
        if self.concurrency is not None and client.working >= self.concurrency:
            raise _refusal(1.0)
        now = self._clock()
        ready_at = client.bucket.ready_at(now)
        if ready_at > now:
            raise _refusal(ready_at - now)
        client.bucket.take(now)
        client.working += 1
        try:
            return await handler(request)
        finally:
            client.working -= 1

    def _client(self, name: str) -> _Client:
        clients = self._clients
        client = clients.get(name)
        if client is not None:
            clients.move_to_end(name)
            return client
        while len(clients) >= self.max_clients:
            clients.popitem(last=False)
        client = clients[name] = _Client(Bucket(self._interval, self.burst))
        return client


def _refusal(seconds: float) -> HTTPTooManyRequests:
    return HTTPTooManyRequests(headers={"Retry-After": str(max(1, ceil(seconds)))})
