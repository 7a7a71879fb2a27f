"""The way to an origin through a proxy: reach the proxy, have it connect, secure what comes out at the other end.

`dial_through` is `dial` with a stop on the way: the same arguments, one limit for all of it, and the same promise that nothing
stays open when it raises.  What goes wrong before the tunnel stands is the proxy's: `ProxyError` with its name as the peer,
`TLSError` for an https proxy's certificate.  What goes wrong within the tunnel is the origin's, as in `dial`.

The handshakes themselves are `protocol/connect.py` and `protocol/socks5.py`; they do no I/O.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from ..errors import ConnectError, ConnectTimeout, DNSError, ProxyError, TLSError
from ..models.limits import DEFAULT_LIMITS, Limits
from ..protocol.connect import Connect
from ..protocol.socks5 import Socks5
from .dial import Target, dial, marked, peer_name, start_tls
from .tls import server_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from .proxy import Proxy
    from .resolver import NameCache

__all__ = ["Detour", "dial_through"]

_P = TypeVar("_P", bound=asyncio.BaseProtocol)

_PHASE = "connecting through a proxy"
# REP codes of SOCKS5 after which another address of the same host is worth a try (RFC 1928 6).
_UNREACHABLE = frozenset({1, 3, 4, 5, 6, 8})


@dataclass(frozen=True, slots=True)
class Detour:
    """The proxy on the way to an origin, and how it is connected to.

    `forwards`: it is an HTTP proxy that is asked for URLs, so the connection to it is the one that requests are written on;
    otherwise it is asked to connect, and then out of the way.
    """

    proxy: Proxy
    hop: Target
    forwards: bool


class Handshake(Protocol):
    """What both protocols are to this module."""

    rest: bytes
    code: int | None

    @property
    def done(self) -> bool:
        """Whether the proxy has connected."""

    def begin(self) -> bytes:
        """What is said first."""

    def receive(self, data: bytes) -> bytes:
        """Take bytes; gives the answer to them."""


async def dial_through(
    loop: asyncio.AbstractEventLoop,
    factory: Callable[[], _P],
    target: Target,
    *,
    detour: Detour,
    names: NameCache,
    timeout: float | None = None,
    limits: Limits = DEFAULT_LIMITS,
    mark: Callable[[str], object] | None = None,
    **how: Any,
) -> tuple[asyncio.Transport, _P]:
    """Open one connection to `target` by way of `detour`.

    `names`, `timeout` and the further keywords are those of `dial`; the latter, `connect_to` among them, are about the connection
    to the proxy.  `limits`: what the answer to a CONNECT may have.  `mark` is told of `connect` when the proxy has connected.

    Raises `ProxyError`, `ConnectTimeout`, `TLSError`, `DNSError` for a target that is to be resolved here and is not, and
    `UsageError` if TLS is wanted with what is no name.
    """
    proxy, hop = detour.proxy, detour.hop
    name = ""
    if target.context is not None:
        name = server_name(target.server_hostname if target.server_hostname is not None else target.host)
    limit = timeout or None
    step = "connecting to the proxy"
    scope = asyncio.timeout(limit)

    def mark_name(phase: str) -> None:
        if mark is not None and phase.startswith("dns"):  # how the proxy itself was reached is a part of connecting
            mark(phase)

    async def reach(make: Callable[[], Any]) -> tuple[asyncio.Transport, Any]:
        try:
            return await dial(loop, make, hop, names=names, mark=mark if detour.forwards else mark_name, **how)
        except (ConnectError, DNSError, TLSError) as exc:
            if isinstance(exc.__cause__, ssl.SSLCertVerificationError):
                raise  # somebody stands in its place, perhaps
            raise ProxyError(f"the proxy cannot be reached: {exc.message}", peer=hop.peer, phase=_PHASE) from exc

    try:
        async with scope:
            if detour.forwards:
                return await reach(factory)
            hosts = await _hosts(proxy, target, names)
            for host in hosts:
                step = "connecting to the proxy"
                handshake = _handshake(proxy, host, target.port, limits)
                transport, talk = await reach(partial(_Talk, loop, handshake))
                step = "waiting for the proxy to connect"
                try:
                    await talk.converse()
                except BaseException as exc:
                    transport.abort()
                    if isinstance(exc, ProxyError):
                        if host is not hosts[-1] and proxy.is_socks and handshake.code in _UNREACHABLE:
                            continue
                        exc.locate(hop.peer, _PHASE)
                    raise
                break
            marked(mark, "connect", None)
            if target.context is None:
                return transport, _hand_over(transport, factory)
            step = f"in the TLS handshake with {target.peer}"
            _mend(transport)
            return marked(mark, "tls", await start_tls(loop, transport, factory, target.context, name, peer=target.peer))
    except TimeoutError as exc:
        if not scope.expired():
            raise
        message = f"not connected within {limit:g} s, still {step}"
        raise ConnectTimeout(message, limit=limit, peer=hop.peer, phase=_PHASE) from exc


async def _hosts(proxy: Proxy, target: Target, names: NameCache) -> list[str]:
    """What the proxy is to connect to: the host as it is, or where it is to be resolved here one address of each family."""
    if proxy.scheme != "socks5":
        return [target.host]
    first: dict[int, str] = {}
    for info in await names.lookup(target.host, target.port):
        first.setdefault(info[0], info[4][0])
    return list(first.values())


def _handshake(proxy: Proxy, host: str, port: int, limits: Limits) -> Handshake:
    if proxy.is_socks:
        return Socks5(host, port, proxy.user, proxy.password)
    # The zone of a link-local address means something on this machine only (RFC 6874 4).
    return Connect(peer_name(host.partition("%")[0], port), proxy.credentials, limits, proxy.headers)


def _mend(transport: asyncio.Transport) -> None:
    """TLS within TLS, in CPython before 3.11.8 and 3.12.2: a handshake that fails stumbles over a TypeError (gh-113214)."""
    if sys.version_info < (3, 12, 2) and type(transport).__module__ == "asyncio.sslproto":
        transport._force_close = lambda exc: transport.abort()  # type: ignore[attr-defined]


def _hand_over(transport: asyncio.Transport, factory: Callable[[], _P]) -> _P:
    """Put the real protocol in the place of a `_Talk`.

    Reading rests meanwhile, because uvloop chooses how to read when it begins to.
    """
    try:
        protocol = factory()
        transport.pause_reading()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        transport.resume_reading()
    except BaseException:
        transport.abort()
        raise
    return protocol


class _Talk(asyncio.Protocol):
    """The protocol of a connection to a proxy until the tunnel stands: the handshake, and what becomes of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, handshake: Handshake) -> None:
        self._handshake = handshake
        self._over: asyncio.Future[None] = loop.create_future()
        self._error: Exception | None = None
        self._begun = False
        self._transport: asyncio.Transport | None = None

    async def converse(self) -> None:
        """The whole handshake.  Raises `ProxyError`, without a peer; the transport is the caller's to close then."""
        if self._error is None and self._transport is not None:
            self._begun = True
            self._transport.write(self._handshake.begin())
        await self._over
        if self._error is None and self._handshake.rest:
            self._error = ProxyError("the proxy sent something behind its answer")
        if self._error is None and self._transport is not None and self._transport.is_closing():
            self._error = ProxyError("the proxy closed the connection")
        if self._error is not None:
            raise self._error

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._over.done():
            # Not the target's: with TLS it may not speak first, and without nobody has asked it anything yet.
            self._end(ProxyError("the proxy sent something behind its answer"))
            return
        if not self._begun:
            self._end(ProxyError("the proxy spoke before it was asked"))
            return
        try:
            answer = self._handshake.receive(data)
        except ProxyError as error:
            self._end(error)
            return
        if answer and self._transport is not None:
            self._transport.write(answer)
        if self._handshake.done:
            self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        error = ProxyError(f"the proxy {'closed' if exc is None else 'broke'} the connection")
        error.__cause__ = exc
        self._end(error)

    def _end(self, error: Exception | None) -> None:
        if self._error is None:
            self._error = error
        if not self._over.done():
            self._over.set_result(None)
