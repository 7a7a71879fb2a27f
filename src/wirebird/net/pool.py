"""Connection pools: who may use which connection, decided purely and in constant time; waiting is the only thing that awaits.

A pool has `pool_size` slots.  A slot is taken by a connection from the moment it is dialled until it is discarded, and there is
one place where it is given back: `discard`.  Connections are kept by key (origin, TLS, route); one that is not in use is idle.

    checkout(key)    an idle connection, if there is one                       O(1)
    reserve(key)     a slot to dial with, if there is one; may evict an idle connection of another key
    queue(ticket)    otherwise: wait.  First come, first served for each key; keys take turns
    release(conn)    a finished connection goes straight to the next ticket, or becomes idle
    discard(conn)    a dead one gives its slot back, to the next ticket if there is one

`SmartPool` reuses the connection that was used last (the least likely to be stale); `CyclicQueuePool` opens all its slots and
takes them in turn.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

from ..errors import ClientClosed, PoolTimeout, RequestTimeout, TimeoutError
from ..models.numbers import check_count
from .timeouts import NEVER, Timeouts, Watch, within

if TYPE_CHECKING:
    from urllib.parse import ParseResult

    from yarl import URL

__all__ = ["Connection", "Connector", "CyclicQueuePool", "SmartPool", "Stats", "Ticket"]

# How often the next ticket of the same key may be preferred, because it saves a dial, while other keys wait for a slot.
STREAK = 16


class Connection(Protocol):
    """All that a pool knows of a connection, whatever it speaks."""

    key: str
    deadline: float
    closing: bool
    requests: int

    def shut(self) -> None:
        """Close once what was written is sent."""

    def abort(self) -> None:
        """Close at once."""

    def expire(self, now: float) -> None:
        """The deadline has passed."""

    def when_gone(self) -> asyncio.Future[None]:
        """Done when the socket is closed."""


class Connector(Protocol):
    """What opens a pool's connections."""

    pool_size_per_host: int | None
    keepalive_timeout: float

    async def open_url(self, url: str | URL | ParseResult, pool: SmartPool) -> Any:
        """A connection to the origin of `url`, from the pool or new."""


class Ticket:
    """A place in the queue.  `grant` is called with a connection, or with None for a reserved slot to dial with."""

    __slots__ = ("deadline", "future", "key", "pool", "timeouts", "total_at")

    def __init__(
        self, pool: SmartPool, key: str, future: asyncio.Future[Any], timeouts: Timeouts, now: float, total_at: float
    ) -> None:
        self.pool = pool
        self.key = key
        self.future = future
        self.timeouts = timeouts
        self.total_at = total_at
        self.deadline = min(timeouts.after(now, timeouts.pool), total_at)

    def grant(self, connection: Any) -> None:
        """It is this ticket's turn."""
        self.future.set_result(connection)

    def expire(self, now: float) -> None:
        """The wait took too long."""
        self.deadline = NEVER
        if not self.pool.withdraw(self):
            return  # served, in the same sweep
        kind: type[TimeoutError] = PoolTimeout
        limit: float | None = self.timeouts.pool
        if now >= self.total_at:
            kind, limit = RequestTimeout, self.timeouts.request_timeout
        message = f"no connection became free {within(limit)}"
        self.fail(kind(message, limit=limit, peer=self.key, phase="waiting for a connection"))

    def fail(self, error: Exception) -> None:
        """The wait is over without a connection."""
        if not self.future.done():
            self.future.set_exception(error)


class Stats(TypedDict):
    """Counts: connections and requests at this moment; requests sent, connections opened, and requests that reused one so far."""

    open: int
    idle: int
    in_use: int
    waiting: int
    requests: int
    opened: int
    reused: int


class SmartPool:
    """A pool that reuses the connection used last.

    `connector` opens connections, `pool_size` is the number of slots, `connection_cls` what a connection is made of.  Raises
    `UsageError` for a size that is not a positive number.
    """

    __slots__ = (
        "_idle",
        "_queues",
        "_quiet",
        "_reserved",
        "_streak",
        "_taken",
        "carried",
        "closed",
        "connection_cls",
        "connections",
        "connector",
        "in_use",
        "keepalive_timeout",
        "loop",
        "opened",
        "per_host",
        "pool_size",
        "waiting",
        "watch",
    )

    _new_stack: Any = dict

    def __init__(self, connector: Connector, pool_size: int = 25, connection_cls: Any = None) -> None:
        check_count("pool_size", pool_size, 1)
        self.connector = connector
        self.pool_size = pool_size
        self.connection_cls = connection_cls
        self.per_host = connector.pool_size_per_host or pool_size
        self.keepalive_timeout = connector.keepalive_timeout
        self.loop = asyncio.get_running_loop()
        self.watch = Watch(self.loop, self._watched)
        self.connections: set[Any] = set()  # every open connection
        self.in_use = 0  # slots at work: connections that are not idle, and dials
        self.waiting = 0
        self.opened = 0  # connections opened so far
        self.carried = 0  # requests carried by connections that are gone
        self.closed = False
        self._reserved = 0  # slots taken by dials
        self._idle: dict[str, dict[Any, None]] = {}  # by key, in order of last use
        self._taken: dict[str, int] = {}  # slots taken, by key
        self._queues: OrderedDict[str, OrderedDict[Ticket, None]] = OrderedDict()
        self._streak = 0
        self._quiet: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        size = f"{len(self.connections)}/{self.pool_size} open"
        return f"<{type(self).__name__} {size}, {self.in_use} in use, {self.waiting} waiting>"

    # -- decisions -----------------------------------------------------------------------------------------------------

    def checkout(self, key: str, now: float) -> Any | None:
        """An idle connection for `key`, now in use, or None; `now` is `time.monotonic`."""
        stack = self._idle.get(key)
        while stack:
            connection = stack.popitem()[0]
            self.in_use += 1
            if connection.deadline > now and not connection.closing:
                return connection
            self.discard(connection)
            connection.shut()
        return None

    def reserve(self, key: str) -> bool:
        """Take a slot to dial with; to be followed by `admit` or `give_back`."""
        if self.closed:
            raise ClientClosed("the pool is closed")
        if not self._has_room(key):
            return False
        if len(self.connections) + self._reserved >= self.pool_size and not self._evict():
            return False
        self._reserved += 1
        self.in_use += 1
        self._taken[key] = self._taken.get(key, 0) + 1
        return True

    def is_full(self, key: str) -> bool:
        """Whether a request for `key` that finds no idle connection has to wait."""
        if not self._has_room(key):
            return True
        slots = len(self.connections) + self._reserved
        return slots >= self.pool_size and self.in_use >= slots

    def _has_room(self, key: str) -> bool:
        return self._taken.get(key, 0) < self.per_host

    def _evict(self) -> bool:
        """Close an idle connection, of whichever key comes first, to make room."""
        while self._idle:
            key = next(iter(self._idle))
            stack = self._idle[key]
            if stack:
                connection = next(iter(stack))
                self._forget(connection)
                connection.shut()
                return True
            del self._idle[key]
        return False

    def shut_idle(self) -> None:
        """Close every idle connection."""
        while self._evict():
            pass

    # -- what happened -------------------------------------------------------------------------------------------------

    def admit(self, connection: Any) -> None:
        """A dial has succeeded: its slot is the connection's now, and the connection is in use."""
        self._reserved -= 1
        self.connections.add(connection)
        self.opened += 1

    def give_back(self, key: str) -> None:
        """A dial has failed: its slot is free again."""
        self._reserved -= 1
        self.in_use -= 1
        self._leave(key)
        self._serve_any()
        self._check_quiet()

    def release(self, conn: Any) -> None:
        """A connection in use is fit for another request.

        One that is closing, as every discarded one is, is discarded.
        """
        if conn.closing:
            self.discard(conn)
            conn.shut()
        elif not self.waiting or not self._pass_on(conn):
            deadline = conn.deadline = monotonic() + self.keepalive_timeout
            if deadline < self.watch.next_at:
                self.watch.arm(deadline)
            key = conn.key
            if key in self._idle:
                stack = self._idle[key]
                if conn in stack:
                    return  # released twice
                stack[conn] = None
            else:
                stack = self._idle[key] = self._new_stack()
                stack[conn] = None
            self.in_use -= 1
            if not self.in_use:
                self._check_quiet()

    def discard(self, connection: Any) -> None:
        """A connection, in use or idle, is of no more use.  May be called again."""
        if connection in self.connections:
            self._forget(connection)
            self._serve_any()
            self._check_quiet()

    def _forget(self, connection: Any) -> None:
        """The one place where a slot is released."""
        self.connections.discard(connection)
        key = connection.key
        stack = self._idle.get(key)
        if stack is not None and connection in stack:
            del stack[connection]
        else:
            self.in_use -= 1
        connection.deadline = NEVER
        self.carried += connection.requests
        self._leave(key)

    def _leave(self, key: str) -> None:
        taken = self._taken[key] - 1
        if taken:
            self._taken[key] = taken
        else:
            del self._taken[key]
            self._idle.pop(key, None)

    def when_quiet(self) -> asyncio.Future[None]:
        """A future that is done as soon as no slot is in use and nobody waits for one."""
        quiet = self._quiet
        if quiet is None:
            quiet = self._quiet = self.loop.create_future()
            self._check_quiet()
        return quiet

    def _check_quiet(self) -> None:
        if not self.in_use and not self.waiting and self._quiet is not None:
            quiet, self._quiet = self._quiet, None
            if not quiet.done():
                quiet.set_result(None)

    # -- waiting -------------------------------------------------------------------------------------------------------

    def queue(self, ticket: Ticket) -> None:
        """Stand in line.  A pool that is closed turns the ticket away."""
        if self.closed:
            ticket.fail(ClientClosed("the client was closed", phase="waiting for a connection"))
            return
        queue = self._queues.get(ticket.key)
        if queue is None:
            queue = self._queues[ticket.key] = OrderedDict()
        queue[ticket] = None
        self.waiting += 1
        if ticket.deadline < self.watch.next_at:
            self.watch.arm(ticket.deadline)

    def withdraw(self, ticket: Ticket) -> bool:
        """Leave the line; False if the ticket was served before."""
        queue = self._queues.get(ticket.key)
        if queue is None or ticket not in queue:
            return False
        del queue[ticket]
        self.waiting -= 1
        if not queue:
            del self._queues[ticket.key]
        return True

    def _awaited(self, key: str) -> bool:
        """Whether anybody is in line for `key`.  Those who were cancelled and have not left yet are sent away."""
        queue = self._queues.get(key)
        while queue:
            ticket = next(iter(queue))
            if not ticket.future.done():
                return True
            self.withdraw(ticket)
        return False

    def _next(self, key: str) -> Ticket:
        queue = self._queues[key]
        ticket = queue.popitem(last=False)[0]
        self.waiting -= 1
        if queue:
            self._queues.move_to_end(key)  # keys take turns
        else:
            del self._queues[key]
        return ticket

    def _pass_on(self, connection: Any) -> bool:
        """Give a finished connection to the next ticket; False if it is to become idle."""
        key = connection.key
        awaited = self._awaited(key)
        if awaited and (len(self._queues) == 1 or self._streak < STREAK):
            self._streak += 1
            self._next(key).grant(connection)
            return True
        if not any(other != key and self._awaited(other) and self._has_room(other) for other in list(self._queues)):
            if awaited:
                self._next(key).grant(connection)
            return awaited
        if awaited:
            self._queues.move_to_end(key)  # or the connection would be closed for one just like it
        self._streak = 0
        self.discard(connection)  # whoever is next dials with the slot
        connection.shut()
        return True

    def _serve_any(self) -> None:
        """A slot is free: it belongs to the first key in line that may have it."""
        for key in list(self._queues) if self.waiting else ():
            if self._awaited(key) and self.reserve(key):
                self._next(key).grant(None)
                return

    async def wait(self, key: str, timeouts: Timeouts, total_at: float = NEVER) -> Any | None:
        """Wait for a connection, or for None, which stands for a reserved slot.

        Raises `PoolTimeout` after `timeouts.pool`, `RequestTimeout` at `total_at`.
        """
        future: asyncio.Future[Any] = self.loop.create_future()
        ticket = Ticket(self, key, future, timeouts, monotonic(), total_at)
        self.queue(ticket)
        try:
            return await future
        except asyncio.CancelledError:
            if not self.withdraw(ticket) and not future.cancelled() and future.exception() is None:
                # Served and cancelled in the same turn of the loop: pass on what nobody takes.
                if future.result() is None:
                    self.give_back(key)
                else:
                    self.release(future.result())
            raise

    def stats(self) -> Stats:
        """How the connections are used."""
        requests = self.carried + sum(connection.requests for connection in self.connections)
        return Stats(
            open=len(self.connections),
            idle=len(self.connections) + self._reserved - self.in_use,
            in_use=self.in_use,
            waiting=self.waiting,
            requests=requests,
            opened=self.opened,
            reused=max(0, requests - self.opened),
        )

    # -- the public face -----------------------------------------------------------------------------------------------

    async def acquire(self, urlparsed: str | URL | ParseResult | None = None) -> Any:
        """A connection to the origin of `urlparsed`: idle, new, or handed over by whoever has it now.

        Without a URL: the idle connection that comes first, of whatever origin, or else a slot with no connection in it yet.
        Give either back with `release`.
        """
        if urlparsed is not None:
            return await self.connector.open_url(urlparsed, self)
        for key, stack in list(self._idle.items()):
            if stack and (connection := self.checkout(key, monotonic())) is not None:
                return connection
        if not self.reserve("") and (connection := await self.wait("", Timeouts())) is not None:
            return connection
        connection = self.connection_cls.unconnected(self)
        self.admit(connection)
        return connection

    def free_conns(self) -> int:
        """How many slots are not in use."""
        return self.pool_size - self.in_use

    def is_all_free(self) -> bool:
        """Whether no slot is in use."""
        return self.in_use == 0

    async def cleanup(self) -> None:
        """Close every connection, in use or not, and wait until their sockets are closed.  The pool is of no use afterwards."""
        self.closed = True
        for ticket in [ticket for queue in self._queues.values() for ticket in queue]:
            self.withdraw(ticket)
            ticket.fail(ClientClosed("the client was closed while this request waited for a connection"))
        going = []
        for connection in list(self.connections):
            going.append(connection.when_gone())
            self.discard(connection)
            connection.abort()
        self.watch.stop()
        going.append(self.when_quiet())  # those who are dialling notice, and give their slots back
        await asyncio.wait(going, timeout=5)

    def abandon(self) -> None:
        """Drop everything without I/O, because the loop is gone."""
        self.closed = True
        self.watch.stop()
        self._queues.clear()
        self._idle.clear()
        for connection in self.connections:
            connection.forsake()
        self.connections.clear()
        self.in_use = self.waiting = 0

    def _watched(self) -> Iterable[Any]:
        yield from self.connections
        for queue in self._queues.values():
            yield from queue


class CyclicQueuePool(SmartPool):
    """A pool that opens all its slots before it reuses one, and then takes them in turn."""

    __slots__ = ()

    _new_stack = OrderedDict

    def checkout(self, key: str, now: float) -> Any | None:
        """The idle connection that has rested longest, or None, also while there are slots that were never used."""
        if len(self.connections) + self._reserved < self.pool_size and self._has_room(key):
            return None
        stack = self._idle.get(key)
        while stack:
            connection = next(iter(stack))
            del stack[connection]
            self.in_use += 1
            if connection.deadline > now and not connection.closing:
                return connection
            self.discard(connection)
            connection.shut()
        return None
