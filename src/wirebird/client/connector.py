"""What opens connections, and the pool that keeps them; one connector serves one client, on one event loop at a time."""

from __future__ import annotations

import asyncio
import gc
import ssl as _ssl
import warnings
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from socket import AF_UNSPEC, socket
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import ParseResult

from yarl import URL

from ..errors import ClientClosed, ConnectionLost, ConnectTimeout, UsageError
from ..models.limits import DEFAULT_LIMITS, Limits
from ..models.numbers import check_count
from ..models.url import Destination, destination, parse_url
from ..net.dial import Target, dial, read_connect_to
from ..net.pool import SmartPool
from ..net.resolver import AddrInfo, NameCache, Resolver
from ..net.timeouts import NEVER, Timeouts
from ..net.tls import context_serial, tls_context
from .http1 import Http1Connection

if TYPE_CHECKING:
    from os import PathLike

    from ..net.proxy import Proxy
    from ..net.proxy_environment import EnvironmentProxies
    from ..net.tunnel import Detour
    from .upgraded import Upgraded

__all__ = ["Route", "TCPConnector"]


@dataclass(frozen=True, slots=True)
class Route:
    """How a destination is reached: what to dial, and the key of the connections that may stand in for each other.

    The key holds all that tells two connections apart: scheme, host, port, the TLS context, the name it verifies, the proxy and
    the credentials for it.  `target` is what HTTP is spoken with: the origin, or a proxy that forwards.  `detour` is the proxy
    on the way, if there is one.
    """

    key: str
    target: Target
    detour: Detour | None = None


class TCPConnector:
    """Opens connections over TCP or a Unix socket, with or without TLS, and keeps them in a pool.

    pool_size             connections open at once, 25
    timeouts              the default `Timeouts` of the client's requests
    connection_cls        what a connection is made of: `Http1Connection`, or a class derived from it
    pool_cls              `SmartPool`, `CyclicQueuePool`, or a class derived from one of them
    resolver              an object with `resolve` and `close`; `ThreadedResolver()`.  The caller closes one that is passed in
    ttl_dns_cache         how long an answer of the resolver is kept, milliseconds, 10000
    use_dns_cache         False asks the resolver for every new connection
    conn_max_requests     requests that one connection carries before it is replaced, 100; None for no limit
    pool_size_per_host    connections open at once to one origin; None for no limit but `pool_size`
    keepalive_timeout     how long an idle connection is kept, seconds, 15
    ssl                   the `ssl.SSLContext` of every TLS connection, in place of the shared default ones
    local_addr            `(host, port)` to connect from
    uds                   the path of a Unix socket that every connection goes to
    happy_eyeballs_delay  head start of one address over the next, seconds, 0.25 (RFC 8305)
    interleave            addresses of the first family before one of the other is tried, 1
    family                `AF_INET` or `AF_INET6`: look up addresses of that family only
    socket_factory        makes the sockets, of what `getaddrinfo` gives for an address
    max_dns_cache         names whose addresses are kept at the most, 1024
    connect_to            `{"host:port": "other:port"}`: dial elsewhere; Host, SNI and verification stay
    limits                what a peer may send: `Limits`

    Raises `UsageError` for a bad argument, naming it.
    """

    def __init__(
        self,
        pool_size: int = 25,
        timeouts: Timeouts | None = None,
        connection_cls: type[Any] | None = None,
        pool_cls: type[SmartPool] | None = None,
        resolver: Resolver | None = None,
        ttl_dns_cache: float | None = 10000,
        use_dns_cache: bool = True,
        conn_max_requests: int | None = 100,
        *,
        pool_size_per_host: int | None = None,
        keepalive_timeout: float = 15.0,
        ssl: _ssl.SSLContext | None = None,
        local_addr: tuple[str, int] | None = None,
        uds: str | PathLike[str] | None = None,
        happy_eyeballs_delay: float | None = 0.25,
        interleave: int = 1,
        family: int = AF_UNSPEC,
        socket_factory: Callable[[AddrInfo], socket] | None = None,
        max_dns_cache: int = 1024,
        connect_to: Mapping[str | tuple[str, int], str | tuple[str, int]] | None = None,
        limits: Limits | None = None,
    ) -> None:
        check_count("pool_size", pool_size, 1)
        if pool_size_per_host is not None:
            check_count("pool_size_per_host", pool_size_per_host, 1)
        if conn_max_requests is not None:
            check_count("conn_max_requests", conn_max_requests, 1)
        if timeouts is not None and not isinstance(timeouts, Timeouts):
            raise UsageError(f"timeouts must be Timeouts, not {timeouts!r}", argument="timeouts")
        _check_class("connection_cls", connection_cls, Http1Connection)
        _check_class("pool_cls", pool_cls, SmartPool)
        if ssl is not None and not isinstance(ssl, _ssl.SSLContext):
            raise UsageError(f"ssl must be an ssl.SSLContext, not {ssl!r}", argument="ssl")
        if ttl_dns_cache is not None:
            _check_time("ttl_dns_cache", ttl_dns_cache, "milliseconds")
        _check_time("keepalive_timeout", keepalive_timeout, "seconds")
        check_count("interleave", interleave, 1)
        check_count("max_dns_cache", max_dns_cache, 1)
        self.pool_size = pool_size
        self.timeouts = timeouts if timeouts is not None else Timeouts()
        self.connection_cls = connection_cls or Http1Connection
        self.pool_cls = pool_cls or SmartPool
        self.conn_max_requests = conn_max_requests
        self.pool_size_per_host = pool_size_per_host
        self.keepalive_timeout = keepalive_timeout
        self.ssl = ssl
        self.local_addr = local_addr
        self.uds = str(uds) if uds is not None else None
        self.happy_eyeballs_delay = happy_eyeballs_delay
        self.interleave = interleave
        self.family = family
        self.socket_factory = socket_factory
        self.max_dns_cache = max_dns_cache
        self.limits = limits if limits is not None else DEFAULT_LIMITS
        self._connect_to = read_connect_to(connect_to)
        self._resolver = resolver
        self._ttl = None if ttl_dns_cache is None else ttl_dns_cache / 1000
        self._use_dns_cache = use_dns_cache
        self._names: NameCache | None = None
        self._pool: SmartPool | None = None
        self._routes: dict[tuple[str, int, str | None], Route] = {}
        self._detours: dict[tuple[str, int, Proxy, bool], Route] = {}
        self._proxies: dict[tuple[int, Proxy], int] = {}  # a number for each, for keys do not hold credentials
        self._next_proxy = 1
        self._dials: set[asyncio.Timeout] = set()  # what stops those under way
        self._sockets: dict[asyncio.Future[None], Any] = {}  # when each is closed, and its connection
        self._upgraded: dict[asyncio.Future[None], Upgraded] = {}  # the same of those that speak another protocol by now
        self.closed = False  # nothing more is opened, until another client takes over
        self.loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"<TCPConnector {self._pool!r}>" if self._pool is not None else f"<TCPConnector pool_size={self.pool_size} unused>"

    @property
    def pool(self) -> SmartPool:
        """The pool of the running loop.  Raises `RuntimeError` if there is none."""
        loop = asyncio.get_running_loop()
        pool = self._pool
        if pool is None or self.loop is not loop:
            pool = self._bind(loop)
        return pool

    def peek(self) -> SmartPool | None:
        """The pool, if there is one yet, whatever loop it belongs to."""
        return self._pool

    def _bind(self, loop: asyncio.AbstractEventLoop) -> SmartPool:
        """Begin anew on `loop`: connections of another loop are of no use on this one."""
        old = self._pool
        if old is not None:
            self._drop(old)
        self.loop = loop
        self._pool = self.pool_cls(self, self.pool_size, self.connection_cls)
        self._names = NameCache(
            self._resolver,
            ttl=self._ttl,
            use_cache=self._use_dns_cache,
            max_entries=self.max_dns_cache,
            family=self.family,
        )
        return self._pool

    def _drop(self, pool: SmartPool) -> None:
        """Let go of a pool whose loop does not run."""
        loop = self.loop
        self._pool = self._names = None
        leaving: list[Any] = [*self._sockets.values(), *self._upgraded.values()]
        self._sockets, self._upgraded = {}, {}
        if loop is not None and not loop.is_closed():
            for connection in leaving:
                connection.abort()
        # A loop that was closed with connections open leaves their transports to the garbage collector, which would say so.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            pool.abandon()
            if leaving:
                for connection in leaving:
                    connection.forsake()
                del connection
                leaving.clear()
                gc.collect()

    # -- routes --------------------------------------------------------------------------------------------------------

    def route(
        self,
        where: Destination,
        ssl: _ssl.SSLContext | None,
        verify: bool,
        proxies: Proxy | EnvironmentProxies | None = None,
        tunnel: bool = False,
        name: str | None = None,
    ) -> Route:
        """How `where` is reached; `ssl` and `verify` are the request's, `proxies` chooses a proxy, TLS verifies `name`.

        With `tunnel` the proxy has to connect, also where it could be asked for the URL: it is no party to what follows a 101.
        """
        if where.secure:
            context = ssl or self.ssl or tls_context(verify)
            serial = context_serial(context)
        else:
            context = None
            name = None
            serial = 0
        route = self._routes.get((where.origin, serial, name))
        if route is None or route.target.context is not context:
            key = f"{where.origin} tls={serial}" if serial else where.origin
            if name is not None:
                key = f"{key} name={name}"
            route = Route(key, Target(where.host, where.port, context, name, self.uds, self.local_addr))
            if len(self._routes) >= 1024:
                self._routes.clear()
            self._routes[where.origin, serial, name] = route
        if proxies is None or (proxy := proxies.choose(where)) is None:
            return route
        return self._detour(where, route, proxy, tunnel)

    def _detour(self, where: Destination, direct: Route, proxy: Proxy, tunnel: bool) -> Route:
        """The same by way of `proxy`.  TLS with it depends on it alone, not on the request."""
        context = (proxy.ssl or tls_context()) if proxy.scheme == "https" else None
        serial = context_serial(context) if context is not None else 0
        forwards = where.scheme == "http" and not proxy.is_socks and not tunnel
        found = self._detours.get((direct.key, serial, proxy, forwards))
        if found is not None:
            return found
        from ..net.tunnel import Detour

        if len(self._detours) >= 1024:
            self._detours.clear()
            self._proxies.clear()
        number = self._proxies.get((serial, proxy))
        if number is None:
            number = self._proxies[serial, proxy] = self._next_proxy  # never used again, for connections may outlive their entry
            self._next_proxy += 1
        hop = Target(proxy.host, proxy.port, context, None, None, self.local_addr)
        key = f"{direct.key} {'by' if forwards else 'via'} {proxy.url} #{number}"
        route = Route(key, hop if forwards else direct.target, Detour(proxy, hop, forwards))
        self._detours[direct.key, serial, proxy, forwards] = route
        return route

    # -- connections ---------------------------------------------------------------------------------------------------

    def idle(self, route: Route) -> Any | None:
        """An idle connection for `route`, without waiting for anything; None if there is none."""
        return None if self.closed else self.pool.checkout(route.key, monotonic())

    async def acquire(
        self,
        route: Route,
        timeouts: Timeouts,
        total_at: float,
        *,
        fresh: bool = False,
        reserved: bool = False,
        mark: Callable[[str], object] | None = None,
        pool: SmartPool | None = None,
    ) -> Any:
        """A connection for `route`: idle, handed over, or new.

        `total_at` is the deadline of the request, `fresh` wants a connection that carried nothing yet, `reserved` says that a
        slot is reserved for it already, `mark` is called with the steps of a dial as they are done, `queued` the first of them,
        and with `waiting` before another request is waited for, `pool` is another one of this connector's than its own.  Raises
        `PoolTimeout`, `RequestTimeout`, `ClientClosed`, and what a dial raises.
        """
        if self.closed:
            raise ClientClosed("the client was closed", phase="connecting")
        pool = pool or self.pool
        key = route.key
        connect_at = timeouts.after(monotonic(), timeouts.connect) if timeouts.connect else NEVER
        if reserved:
            return await self._dial(route, pool, timeouts, total_at, connect_at, mark)
        while (connection := pool.checkout(key, monotonic())) is not None:
            if not fresh:
                return connection
            pool.discard(connection)
            connection.shut()
        if not pool.reserve(key):
            if mark is not None:
                mark("waiting")
            connection = await pool.wait(key, timeouts, total_at)
            if connection is not None:
                return connection
        return await self._dial(route, pool, timeouts, total_at, connect_at, mark)

    async def _dial(
        self,
        route: Route,
        pool: SmartPool,
        timeouts: Timeouts,
        total_at: float,
        connect_at: float = NEVER,
        mark: Callable[[str], object] | None = None,
    ) -> Any:
        """Open a connection in a slot that was reserved for it."""
        loop = asyncio.get_running_loop()
        target = route.target
        names = self._names
        scope = asyncio.timeout(None)

        def make() -> Any:
            return (pool.connection_cls or self.connection_cls)(
                loop,
                target.peer,
                route.key,
                pool,
                self.conn_max_requests or NEVER,
                target.context is not None,
                self.limits,
            )

        opening: Callable[..., Awaitable[tuple[Any, Any]]] = dial
        if route.detour is not None:
            from ..net.tunnel import dial_through

            opening = partial(dial_through, detour=route.detour, limits=self.limits)
        now = monotonic()
        limit = timeouts.sock_connect or NEVER
        if connect_at < NEVER or timeouts.ceil_threshold is not None:
            limit = max(min(timeouts.after(now, limit), connect_at) - now, 0.001)
        left = max(total_at - now, 0.001)
        admitted = False
        try:
            async with scope:
                self._dials.add(scope)
                if mark is not None:
                    mark("queued")
                if names is None or pool.closed:
                    raise TimeoutError
                _, connection = await opening(
                    loop,
                    make,
                    target,
                    names=names,
                    connect_to=self._connect_to,
                    happy_eyeballs_delay=self.happy_eyeballs_delay,
                    interleave=self.interleave,
                    socket_factory=self.socket_factory,
                    timeout=None if limit == left == NEVER else min(limit, left),
                    mark=mark,
                )
            if not connection.is_open():
                connection.abort()
                raise ConnectionLost("the peer spoke, or left, before it was asked", peer=target.peer, phase="connecting")
            pool.admit(connection)
            admitted = True
            if self.closed:  # retired meanwhile
                connection.is_last()
            gone = connection.when_gone()
            self._sockets[gone] = connection
            gone.add_done_callback(partial(_without, self._sockets))
        except ConnectTimeout as error:
            if limit <= left:
                raise
            raise timeouts.exceeded(total=True, peer=error.peer, phase="connecting") from error
        except TimeoutError:
            if not pool.closed:
                raise
            raise ClientClosed("the client was closed", peer=target.peer, phase="connecting") from None
        finally:
            self._dials.discard(scope)
            if not admitted:
                pool.give_back(route.key)
        return connection

    def adopt(self, gone: asyncio.Future[None], successor: Upgraded) -> None:
        """A connection has left the pool for another protocol: from now on `successor` is who closes it.

        `gone` is the future of its `when_gone`.  Raises `ClientClosed` once the connector is closed.
        """
        if self.closed and self._pool is None:
            raise ClientClosed("the client was closed", phase="switching protocols")
        _ = self.pool  # there is none yet if another connector opened the connection
        self._sockets.pop(gone, None)
        self._upgraded[gone] = successor
        gone.add_done_callback(partial(_without, self._upgraded))

    async def open_url(self, url: str | URL | ParseResult, pool: SmartPool) -> Any:
        """A connection to the origin of `url`, as `SmartPool.acquire` gives it."""
        text = url.geturl() if isinstance(url, ParseResult) else url
        where = destination(parse_url(text, "urlparsed"), "urlparsed")
        route = self.route(where, None, True)
        if pool is self.pool or (pool.connector is self and pool.loop is self.loop):
            return await self.acquire(route, self.timeouts, NEVER, pool=pool)
        raise UsageError("the pool belongs to another connector or event loop", argument="urlparsed")

    async def close(self) -> None:
        """Close the pool and its connections, stop what is being dialled, and forget the names; idempotent."""
        self.closed = True
        pool, names = self._pool, self._names
        if pool is None:
            return
        if self.loop is not asyncio.get_running_loop():
            self._drop(pool)
            return
        self._pool = self._names = None
        for scope in self._dials:
            if not scope.expired():
                scope.reschedule(0)
        try:
            await pool.cleanup()
            # Those that were on their way out, which with TLS takes an answer of the peer.
            for connection in list(self._sockets.values()):
                connection.abort()
            if self._sockets:
                await asyncio.wait(list(self._sockets), timeout=5)
            if self._upgraded:
                from .upgraded import say_goodbye

                await say_goodbye(self._upgraded)
        finally:
            for one in list(self._upgraded.values()):
                one.abort()
            if names is not None:
                await names.close()

    async def retire(self) -> None:
        """Open nothing more, close what is idle, and every other connection as soon as the body on it is read or let go of.

        Unlike `close`, it takes nothing away from those who have a response and not read it yet.
        """
        self.closed = True
        pool = self._pool
        if pool is None or self.loop is not asyncio.get_running_loop():
            return
        going = []
        for connection in list(pool.connections):
            if connection.capacity():
                going.append(connection.when_gone())
                pool.discard(connection)
                connection.shut()
            else:
                connection.is_last()
        if going:
            await asyncio.wait(going, timeout=5)

    # `cleanup` is what the pools call it, and what code that holds a connector may know.
    cleanup = close


def _without(sockets: dict[asyncio.Future[None], Any], gone: asyncio.Future[None]) -> None:
    sockets.pop(gone, None)


def _check_time(name: str, value: object, unit: str) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
        raise UsageError(f"{name} must be {unit}, not {value!r}", argument=name)


def _check_class(name: str, value: object, base: type) -> None:
    if value is not None and not (isinstance(value, type) and issubclass(value, base)):
        raise UsageError(f"{name} must be {base.__name__} or a class derived from it, not {value!r}", argument=name)
