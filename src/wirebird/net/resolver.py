"""Names to addresses: two resolvers, and the cache that the connector asks.

A resolver is any object with `await resolve(host, port, family)` and `await close()`.  `ThreadedResolver` asks the operating
system (`getaddrinfo`, so /etc/hosts and the rest of its configuration count); `AsyncResolver` asks name servers itself.

`NameCache` stands between a resolver and `dial`.  It asks for both address families at once (RFC 8305 wants to choose late),
lets any number of concurrent callers share one look-up, keeps successes for a time, never failures, and never more than a fixed
number of names.  An IP literal is its own answer: no resolver is asked.

A shared look-up belongs to its callers together: one that is cancelled just leaves, and the last to leave cancels it.
"""

from __future__ import annotations

import asyncio
import socket
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ..errors import DNSError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["AddrInfo", "AsyncResolver", "DefaultResolver", "NameCache", "Resolver", "ThreadedResolver", "literal_address"]

# What `socket.getaddrinfo` gives: family, type, protocol, canonical name, socket address.
AddrInfo: TypeAlias = "tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]"

_PHASE = "resolving"
# A DNS answer may name thousands of addresses; a dial that has failed this often per family has failed.
_MAX_PER_FAMILY = 16


class Resolver(Protocol):
    """What a connector takes as its `resolver`.

    `resolve` gives one mapping per address with the keys `hostname`, `host` (an IP literal), `port` (0: as asked), `family`,
    `proto` and `flags`; only `host` is required.  `family` may be `AF_UNSPEC`: addresses of both families are wanted.
    """

    async def resolve(self, host: str, port: int, family: int, /) -> Sequence[Mapping[str, Any]]: ...

    async def close(self) -> None: ...


class ThreadedResolver:
    """The operating system's resolver, in the event loop's executor."""

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[dict[str, Any]]:
        """The addresses of `host`, one dict each; `DNSError` if there are none."""
        _check_host(host)
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            raise _failure(host, exc) from exc
        answers = []
        for family_, _, proto, _, address in infos:
            if family_ in (socket.AF_INET, socket.AF_INET6):
                literal = str(address[0])
                if len(address) == 4 and address[3] and "%" not in literal:  # type: ignore[misc, unused-ignore]
                    literal = f"{literal}%{address[3]}"  # a link-local address is nothing without its zone (RFC 4007)
                answers.append(_answer(host, literal, port, family_, proto))
        return answers

    async def close(self) -> None:
        """Nothing is held open."""


class AsyncResolver:
    """Name servers asked directly, through aiodns (`pip install wirebird[dns]`).

    `nameservers` are IP addresses, each optionally with `:port` (aiodns 4 and later); None takes the system's.  Further keywords
    go to `aiodns.DNSResolver`.  Raises `RuntimeError` if aiodns is not installed, `UsageError` for what is no name server.
    """

    def __init__(self, nameservers: Sequence[str] | None = None, **options: Any) -> None:
        try:
            import aiodns
        except ImportError as exc:
            raise RuntimeError("AsyncResolver needs aiodns: pip install wirebird[dns]") from exc
        self._make = aiodns.DNSResolver
        self._error: type[Exception] = aiodns.error.DNSError
        self._nameservers = _check_nameservers(nameservers)
        self._options = options
        # The channel belongs to a loop, and a resolver may be built before there is one.
        self._channel: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[dict[str, Any]]:
        """The addresses of `host`, one dict each; `DNSError` if there are none."""
        _check_host(host)
        loop = asyncio.get_running_loop()
        if self._channel is None or self._loop is not loop:
            self._channel = self._make(nameservers=self._nameservers, loop=loop, **self._options)
            self._loop = loop
        try:
            result = await self._channel.getaddrinfo(host, port=port, family=family, type=socket.SOCK_STREAM)
        except (self._error, OSError, ValueError) as exc:
            raise _failure(host, exc) from exc
        answers = []
        for node in result.nodes:
            literal = node.addr[0]
            if isinstance(literal, bytes):
                literal = literal.decode("ascii")
            answers.append(_answer(host, literal, port, node.family, socket.IPPROTO_TCP))
        return answers

    async def close(self) -> None:
        """Give the channel back.  A resolver that is used again opens another."""
        channel, self._channel, self._loop = self._channel, None, None
        if channel is not None:
            channel.cancel()
            if hasattr(channel, "close"):  # aiodns before 3.3 has none
                await channel.close()


DefaultResolver = ThreadedResolver


class _Flight:
    """One look-up on its way, and how many callers wait for it."""

    __slots__ = ("task", "waiting")

    def __init__(self, task: asyncio.Task[list[list[AddrInfo]]]) -> None:
        self.task = task
        self.waiting = 0


class _Entry:
    """One remembered answer: a list of addresses per family, in the resolver's order of families."""

    __slots__ = ("deadline", "families", "turn")

    def __init__(self, families: list[list[AddrInfo]], deadline: float | None) -> None:
        self.families = families
        self.deadline = deadline
        self.turn = 0

    def addresses(self) -> list[AddrInfo]:
        """All addresses; each family starts one further than the last time, so that connections spread over the hosts."""
        turn = self.turn
        self.turn = turn + 1
        return [family[(turn + i) % len(family)] for family in self.families for i in range(len(family))]


class NameCache:
    """The addresses of names, for `dial`.

    `resolver`: any `Resolver`; None makes a `DefaultResolver`, which `close` then closes (a given one is the caller's).
    `ttl`: seconds an answer is kept, None for ever, 0 not at all (concurrent callers still share one look-up).
    `use_cache`: False asks the resolver every time.  `max_entries`: names kept, the oldest goes first.
    `family`: `AF_INET` or `AF_INET6` for addresses of that family only.  `clock`: monotonic seconds.
    """

    def __init__(
        self,
        resolver: Resolver | None = None,
        *,
        ttl: float | None = 10.0,
        use_cache: bool = True,
        max_entries: int = 1024,
        family: int = socket.AF_UNSPEC,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if resolver is not None and not callable(getattr(resolver, "resolve", None)):
            raise UsageError(f"resolver must have a method resolve, {resolver!r} has not", argument="resolver")
        if max_entries < 1:
            raise UsageError(f"max_entries must be at least 1, not {max_entries!r}", argument="max_entries")
        self.resolver: Resolver = resolver if resolver is not None else DefaultResolver()
        self._owned = resolver is None
        self._ttl = ttl
        self._use_cache = use_cache
        self._max_entries = max_entries
        self._family = family
        self._clock = clock
        # A resolver may answer with another port, so the port is part of the question.
        self._entries: dict[tuple[str, int], _Entry] = {}
        self._flights: dict[tuple[str, int], _Flight] = {}

    def __repr__(self) -> str:
        return f"<NameCache {self.resolver!r}: {len(self._entries)} names, {len(self._flights)} look-ups>"

    @property
    def size(self) -> int:
        """How many names are remembered, the expired ones among them until they are asked for or pushed out."""
        return len(self._entries)

    async def lookup(self, host: str, port: int, mark: Callable[[str], object] | None = None) -> list[AddrInfo]:
        """The addresses of `host` as `getaddrinfo` tuples for TCP, never empty; `DNSError` with the cause if there are none.

        `mark` is told how they are had: `dns_hit` if they are remembered, or somebody else is asking already; else `dns_miss`,
        if there is a cache, and `dns_ask`.
        """
        literal = literal_address(host, port)
        if literal is not None:
            return [literal]
        _check_host(host)
        if not self._use_cache:
            if mark is not None:
                mark("dns_ask")
            return _Entry(await self._ask(host, port), None).addresses()
        key = (host.lower(), port)
        entry = self._entries.get(key)
        if entry is not None:
            if entry.deadline is None or self._clock() < entry.deadline:
                if mark is not None:
                    mark("dns_hit")
                return entry.addresses()
            del self._entries[key]
        if mark is not None:
            for step in ("dns_hit",) if key in self._flights else ("dns_miss", "dns_ask"):
                mark(step)
        return await self._join(key, host, port)

    def forget(self, host: str, port: int) -> None:
        """Forget the answer for one name; a look-up on its way goes on."""
        self._entries.pop((host.lower(), port), None)

    def clear(self) -> None:
        """Forget every answer; look-ups on their way go on."""
        self._entries.clear()

    async def close(self) -> None:
        """Forget every answer, end every look-up (its callers get `DNSError`), and close the resolver if it was made here."""
        self._entries.clear()
        flights, self._flights = self._flights, {}
        loop = asyncio.get_running_loop()
        for flight in flights.values():
            if flight.task.get_loop() is loop:
                flight.task.cancel()
        if self._owned:
            await self.resolver.close()

    async def _join(self, key: tuple[str, int], host: str, port: int) -> list[AddrInfo]:
        """Wait for the look-up of `key` with everybody else who wants it, starting it if this is the first caller."""
        loop = asyncio.get_running_loop()
        flight = self._flights.get(key)
        if flight is None or flight.task.get_loop() is not loop:
            flight = _Flight(loop.create_task(self._ask(host, port), name=f"wirebird look-up of {host}"))
            self._flights[key] = flight
            flight.task.add_done_callback(partial(self._land, key, flight))
        task = flight.task
        flight.waiting += 1
        try:
            await asyncio.wait((task,))  # unlike `await task`, a cancelled wait leaves the task alone
        finally:
            flight.waiting -= 1
            if not flight.waiting and not task.done():
                self._drop(key, flight)  # first, so that nobody joins a look-up that is being cancelled
                task.cancel()
        if task.cancelled():
            raise DNSError(f"the look-up of {host} was abandoned", peer=host, phase=_PHASE)
        error = task.exception()
        if isinstance(error, DNSError):
            # A new one for each caller: a shared one would collect all their tracebacks.
            raise DNSError(error.message, peer=host, phase=_PHASE) from error.__cause__
        entry = self._entries.get(key)
        return (entry if entry is not None else _Entry(task.result(), None)).addresses()

    def _drop(self, key: tuple[str, int], flight: _Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    def _land(self, key: tuple[str, int], flight: _Flight, task: asyncio.Task[list[list[AddrInfo]]]) -> None:
        """The look-up ended: remember its answer.  Runs before the callers wake, which were added to the task after this."""
        self._drop(key, flight)
        # `exception()` also marks it as seen, should every caller have left.
        if task.cancelled() or task.exception() is not None or self._ttl == 0:
            return
        self._entries.pop(key, None)
        while len(self._entries) >= self._max_entries:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = _Entry(task.result(), None if self._ttl is None else self._clock() + self._ttl)

    async def _ask(self, host: str, port: int) -> list[list[AddrInfo]]:
        """The resolver's answer, by family."""
        try:
            try:
                answers = await self.resolver.resolve(host, port, self._family)
            except (NotImplementedError, ValueError):
                if self._family != socket.AF_UNSPEC:
                    raise
                # A resolver that knows single families only says so in one of these ways.
                answers = await self.resolver.resolve(host, port, socket.AF_INET)
            found = [_read_answer(answer, port) for answer in answers]
        except DNSError as exc:
            raise DNSError(exc.message, peer=host, phase=_PHASE) from (exc.__cause__ or exc)
        except Exception as exc:  # a resolver is the caller's code: whatever stopped it, the name did not resolve
            raise _failure(host, exc) from exc
        families: dict[int, list[AddrInfo]] = {}
        for info in found:
            if info is None:
                raise DNSError(f"the resolver answered {host} with something that is no address", peer=host, phase=_PHASE)
            family = families.setdefault(info[0], [])
            if len(family) < _MAX_PER_FAMILY and info not in family:
                family.append(info)
        if not families:
            raise DNSError(f"{host} has no address", peer=host, phase=_PHASE)
        return list(families.values())


def literal_address(host: str, port: int) -> AddrInfo | None:
    """`host` as the address it spells, None if it is a name.

    Dotted decimal with four parts, or RFC 4291 2.2 with an optional zone; the legacy forms (`127.1`, `2130706433`) are names.
    """
    try:
        socket.inet_pton(socket.AF_INET, host)
        return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))
    except (OSError, ValueError):
        pass
    address, percent, zone = host.partition("%")
    try:
        socket.inet_pton(socket.AF_INET6, address)
        scope = 0
        if percent:
            scope = int(zone) if zone.isascii() and zone.isdigit() else socket.if_nametoindex(zone)
        return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, scope))
    except (OSError, ValueError, OverflowError):
        return None


def _read_answer(answer: Mapping[str, Any], port: int) -> AddrInfo | None:
    """One answer of a resolver as an address, None if it is not one."""
    answered = answer.get("port") or port
    return literal_address(answer["host"], answered) if isinstance(answered, int) and 0 <= answered < 65536 else None


def _check_host(host: str) -> None:
    if not isinstance(host, str) or not host or min(host) <= " " or "\x7f" in host:  # getaddrinfo would end the name at a NUL
        raise UsageError(f"host must be a str without spaces and control characters, not {host!r}", argument="host")
    if not host.isascii():  # getaddrinfo would apply IDNA 2003 (RFC 3490), which names other hosts than IDNA 2008 (RFC 5891)
        raise UsageError(f"host must be ASCII, in its IDNA form, not {host!r}", argument="host")


def _check_nameservers(nameservers: Sequence[str] | None) -> list[str] | None:
    if nameservers is None:
        return None
    servers = [""] if isinstance(nameservers, str) else list(nameservers)  # a str would be one server per character
    for server in servers:
        address, _, port = server.rpartition(":")
        with_port = port.isascii() and port.isdigit() and literal_address(address.removeprefix("[").removesuffix("]"), 53)
        if not (literal_address(server, 53) or with_port):
            raise UsageError(f"nameservers must be a list of IP addresses, not {nameservers!r}", argument="nameservers")
    return servers


def _answer(hostname: str, literal: str, port: int, family: int, proto: int) -> dict[str, Any]:
    return {
        "hostname": hostname,
        "host": literal,
        "port": port,
        "family": family,
        "proto": proto,
        "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    }


def _failure(host: str, exc: BaseException) -> DNSError:
    reason = getattr(exc, "strerror", None) or (exc.args[1] if len(exc.args) > 1 else str(exc)) or type(exc).__name__
    return DNSError(f"{host} did not resolve: {reason}", peer=host, phase=_PHASE)
