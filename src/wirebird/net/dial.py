"""One connection, opened: name, TCP with happy eyeballs (RFC 8305) or a Unix socket, TLS.

`dial` has one limit for all of it, and one promise: when it raises, for whatever reason and wherever it was cancelled, nothing
stays open.  What it raises says which step failed: `DNSError`, `ConnectError`, `TLSError`, or `ConnectTimeout` for the limit.

TLS is always an upgrade of a connected transport (`start_tls`), never asked of `create_connection`: so the plain transport is in
hand and can be aborted whatever state the handshake is in, and a tunnel through a proxy takes the same path.  Between the end
of the handshake and the moment the real protocol takes over the peer may already speak; `_Threshold` keeps what it says.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..errors import ConnectError, ConnectTimeout, TLSError, UsageError
from .resolver import literal_address
from .tls import check_pin, server_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .resolver import AddrInfo, NameCache

__all__ = ["Target", "dial", "marked", "peer_name", "read_connect_to", "start_tls"]

_P = TypeVar("_P", bound=asyncio.BaseProtocol)
_R = TypeVar("_R")

# The limit of `dial` is the one that counts; asyncio has another for the handshake, whose default of 60 s would cut a longer one.
_HANDSHAKE_BACKSTOP = 86_400.0
# Seconds for the peer to answer close_notify (RFC 8446 6.1) before a closed connection is cut; asyncio's 30 hold dead sockets.
_SHUTDOWN_LIMIT = 5.0
_ERROR_TEXT = 300


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect to, and how: everything of a dial that also tells two connections apart.

    `host` (a name in its IDNA form, or an IP address without brackets) and `port` are the origin's, or the proxy's.
    `context`: TLS with this context, None for none.  `server_hostname`: the name to verify and to send as SNI, instead of `host`.
    `uds`: the path of a Unix socket to connect to, in place of `host` and `port`.
    `local_addr`: `(address, port)` to connect from, port 0 for any.
    """

    host: str
    port: int
    context: ssl.SSLContext | None = None
    server_hostname: str | None = None
    uds: str | None = None
    local_addr: tuple[str, int] | None = None

    @property
    def peer(self) -> str:
        """`host:port`, for errors."""
        return peer_name(self.host, self.port)


def peer_name(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def read_connect_to(
    mapping: Mapping[str | tuple[str, int], str | tuple[str, int]] | None,
) -> dict[tuple[str, int], tuple[str, int]]:
    """`connect_to` as `dial` takes it, from `{"host:port": "other:port"}` or `{(host, port): (other, port)}`.

    Raises `UsageError` for what is neither.
    """
    return {_read_endpoint(key): _read_endpoint(value) for key, value in (mapping or {}).items()}


def _read_endpoint(endpoint: str | tuple[str, int]) -> tuple[str, int]:
    host: object
    port: object
    if isinstance(endpoint, str):
        host, _, digits = endpoint.rpartition(":")
        port = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 5 else None
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            host = ""  # an IPv6 address without brackets: where it ends is a guess
    else:
        try:
            host, port = endpoint
        except (TypeError, ValueError):
            host = port = None
    if not isinstance(host, str) or not host or not isinstance(port, int) or not 0 < port < 65536:
        raise UsageError(f"connect_to takes 'host:port' or (host, port), not {endpoint!r}", argument="connect_to")
    return host.lower(), port


async def dial(
    loop: asyncio.AbstractEventLoop,
    factory: Callable[[], _P],
    target: Target,
    *,
    names: NameCache,
    connect_to: Mapping[tuple[str, int], tuple[str, int]] | None = None,
    happy_eyeballs_delay: float | None = 0.25,
    interleave: int = 1,
    socket_factory: Callable[[AddrInfo], socket.socket] | None = None,
    timeout: float | None = None,
    mark: Callable[[str], object] | None = None,
) -> tuple[asyncio.Transport, _P]:
    """Open one connection to `target` and give it to the protocol that `factory` makes, once it is connected and secured.

    `connect_to` (see `read_connect_to`) sends the TCP connection elsewhere; name, SNI and certificate check stay those of
    `target`.  `happy_eyeballs_delay`: seconds before the next address is tried beside the last; None tries one after the other.
    `interleave`: addresses of the first family before one of the other is tried.  `socket_factory` makes sockets, of addresses.
    `timeout`: seconds for all of it, None or 0 for no limit.  `mark` is called with the name of each step that is done: `dns` (if
    there was a name to resolve), `connect` and `tls`; and before with how the name is resolved, see `NameCache.lookup`.  Raises
    `UsageError` if TLS is wanted with what is no name.
    """
    name = ""
    if target.context is not None:
        name = server_name(target.server_hostname if target.server_hostname is not None else target.host)
    limit = timeout or None
    step = "resolving"
    scope = asyncio.timeout(limit)
    try:
        async with scope:
            if target.uds is None:
                host, port = (connect_to or {}).get((target.host.lower(), target.port), (target.host, target.port))
                remote = await names.lookup(host, port, mark)
                local = await names.lookup(*target.local_addr) if target.local_addr is not None else None
                if mark is not None and literal_address(host, port) is None:
                    mark("dns")
            step = "connecting"
            if target.uds is not None:
                if target.context is None:
                    return marked(mark, "connect", await _connect_unix(loop, factory, target.uds, target.peer))
                transport, threshold = await _connect_unix(loop, _Threshold, target.uds, target.peer)
            else:
                race: dict[str, Any] = {"happy_eyeballs_delay": happy_eyeballs_delay or None, "interleave": interleave}
                if socket_factory is not None:
                    race["socket_factory"] = socket_factory
                sock = await _connect_tcp(loop, remote, local, race, target.peer)
                if target.context is None:
                    return marked(mark, "connect", await _adopt(loop, factory, sock, target.peer))
                transport, threshold = await _adopt(loop, _Threshold, sock, target.peer)
            marked(mark, "connect", None)
            step = "in the TLS handshake"
            if threshold.early:
                transport.abort()
                raise TLSError(f"{target.peer} spoke first, so it speaks no TLS", peer=target.peer, phase="handshaking")
            return marked(mark, "tls", await start_tls(loop, transport, factory, target.context, name, peer=target.peer))
    except TimeoutError as exc:
        if not scope.expired():
            raise
        message = f"not connected within {limit:g} s, still {step}"
        raise ConnectTimeout(message, limit=limit, peer=target.peer, phase="connecting") from exc


def marked(mark: Callable[[str], object] | None, step: str, result: _R) -> _R:
    """`result`, after `mark` was told that `step` is done."""
    if mark is not None:
        mark(step)
    return result


async def start_tls(
    loop: asyncio.AbstractEventLoop,
    transport: asyncio.Transport,
    factory: Callable[[], _P],
    context: ssl.SSLContext,
    host: str,
    *,
    peer: str,
) -> tuple[asyncio.Transport, _P]:
    """Secure a connected `transport`, and give it to the protocol that `factory` makes (`connection_made` first, as always).

    `host`: the name or IP address to verify and to send as SNI.  Raises `TLSError`; the transport is then gone, as it is after
    any other error or a cancellation; but for `UsageError` if `host` is no name, which touches nothing.
    """
    name = server_name(host)
    threshold = _Threshold()
    secured: asyncio.Transport | None
    try:
        if transport.is_closing():
            raise _tls_error(ConnectionResetError(), peer)
        try:
            secured = await loop.start_tls(
                transport,
                threshold,
                context,
                server_hostname=name,
                ssl_handshake_timeout=_HANDSHAKE_BACKSTOP,
                ssl_shutdown_timeout=_SHUTDOWN_LIMIT,
            )
        except (OSError, ValueError) as exc:  # ValueError: a name that OpenSSL refuses
            raise _tls_error(exc, peer) from exc
        # A connection that is lost without an error ends the handshake as if it had succeeded: asyncio gives None then, uvloop a
        # closed transport.  TLS 1.3 servers refuse a client's certificate after the handshake: if that is here already, say so.
        if secured is None or secured.is_closing() or threshold.lost:
            raise _tls_error(threshold.error or ConnectionResetError(), peer) from threshold.error
        check_pin(context, secured.get_extra_info("ssl_object"), peer)
        protocol = factory()
        threshold.hand_over(secured, protocol)
        return secured, protocol
    except BaseException:
        transport.abort()
        raise


class _Threshold(asyncio.Protocol):
    """Holds the place of the real protocol until TLS stands, and keeps what comes in the meantime.

    One of them stands on the plain transport until the handshake begins, another on the secured one from its end until the real
    protocol is there: a turn or two of the loop each, enough for a peer to speak or to leave.
    """

    def __init__(self) -> None:
        self.early: list[bytes] = []
        self.lost = False
        self.error: Exception | None = None

    def data_received(self, data: bytes) -> None:
        self.early.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.error = exc

    def hand_over(self, transport: asyncio.Transport, protocol: asyncio.BaseProtocol) -> None:
        """Put `protocol` in place, in the order of events that every protocol expects."""
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        for data in self.early:
            if isinstance(protocol, asyncio.BufferedProtocol):
                rest = memoryview(data)
                while rest:
                    buffer = memoryview(protocol.get_buffer(len(rest)))
                    size = min(len(buffer), len(rest))
                    buffer[:size] = rest[:size]
                    protocol.buffer_updated(size)
                    rest = rest[size:]
            else:
                cast("asyncio.Protocol", protocol).data_received(data)


async def _connect_tcp(
    loop: asyncio.AbstractEventLoop,
    remote: list[AddrInfo],
    local: list[AddrInfo] | None,
    race: dict[str, Any],
    peer: str,
) -> socket.socket:
    """A socket connected to the first of `remote` that answers."""
    import aiohappyeyeballs  # 5 ms, and not needed before the first dial

    task = cast("asyncio.Task[object]", asyncio.current_task())
    cancels = task.cancelling()
    try:
        sock = await aiohappyeyeballs.start_connection(remote, local_addr_infos=local, loop=loop, **race)
    except (OSError, RuntimeError) as exc:  # uvloop: RuntimeError for a file descriptor in use
        raise _connect_error(exc, peer, [info[4][0] for info in remote]) from exc
    if task.cancelling() > cancels:
        # While the race waits for its losers to end, a cancellation reaches them in place of this task, and is lost with them.
        sock.close()
        raise asyncio.CancelledError
    return sock


async def _adopt(
    loop: asyncio.AbstractEventLoop, factory: Callable[[], _P], sock: socket.socket, peer: str
) -> tuple[asyncio.Transport, _P]:
    """A transport and protocol on a connected socket, which is the transport's from here on."""
    try:
        protocol = factory()
    except BaseException:
        sock.close()
        raise
    # Every failure from here on closes the socket in the loop; closing it again might hit another one with the same number.
    try:
        transport, _ = await loop.create_connection(lambda: protocol, sock=sock)
    except BaseException as exc:
        if any(base.__module__.partition(".")[0] in ("uvloop", "winloop") for base in type(loop).__mro__):
            sock.detach()  # up to uvloop 0.22 the socket object still holds the closed number, and would close it once more
        if isinstance(exc, OSError):
            raise _connect_error(exc, peer, []) from exc
        raise
    return transport, protocol


async def _connect_unix(
    loop: asyncio.AbstractEventLoop, factory: Callable[[], _P], path: str, peer: str
) -> tuple[asyncio.Transport, _P]:
    """A transport and protocol on a Unix socket."""
    try:
        return await loop.create_unix_connection(factory, path)
    except OSError as exc:
        raise _connect_error(exc, peer, [path]) from exc


def _connect_error(exc: OSError | RuntimeError, peer: str, tried: list[str]) -> ConnectError:
    """Why no connection was made: one reason for all addresses, or the list of reasons that aiohappyeyeballs makes."""
    number = getattr(exc, "errno", None)
    if number:
        listed = ", ".join(tried[:4]) + (f" and {len(tried) - 4} more" if len(tried) > 4 else "")
        reason = os.strerror(number) + (f" ({listed})" if listed else "")
    else:
        reason = str(exc)[:_ERROR_TEXT] or type(exc).__name__
    return ConnectError(f"no connection to {peer}: {reason}", peer=peer, phase="connecting")


def _tls_error(exc: Exception, peer: str) -> TLSError:
    """What went wrong in the handshake, in words."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        message = f"the certificate of {peer} is not accepted: {exc.verify_message.rstrip('.')}"
    elif isinstance(exc, ssl.SSLError):
        message = f"the TLS handshake with {peer} failed: {(exc.reason or str(exc)).lower().replace('_', ' ')}"
    elif isinstance(exc, OSError):
        message = f"{peer} closed the connection in the TLS handshake"
    else:
        message = f"no TLS handshake with {peer}: {exc}"
    return TLSError(message, peer=peer, phase="handshaking")
