"""`aiohttp.connector`: what opens connections, and keeps them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Any, Final, TypeAlias

from ...client.chunks import ChunkConnection
from ...client.connector import TCPConnector as _TCPConnector
from ...client.transport import Transport
from ...net.resolver import AddrInfo
from .abc import AbstractResolver
from .connection import Connection
from .fingerprint import Fingerprint, SSLLike, merge_ssl
from .helpers import sentinel

__all__ = [
    "AddrInfoType",
    "BaseConnector",
    "Connection",
    "Fingerprint",
    "NamedPipeConnector",
    "SocketFactoryType",
    "TCPConnector",
    "UnixConnector",
]

AddrInfoType: TypeAlias = AddrInfo
SocketFactoryType: TypeAlias = Callable[[AddrInfo], socket.socket]

_NO_LIMIT: Final = 2**31 - 1
_SCHEMES: Final = frozenset({"", "http", "https", "ws", "wss"})


class _Connector(_TCPConnector):
    """What all connectors have in common: wirebird's connector with aiohttp's arguments and defaults.

    keepalive_timeout       how long an idle connection is kept, seconds, 15; None for ever
    force_close             use each connection once
    limit                   connections open at once, 100; 0 for no limit
    limit_per_host          the same to one host, port and TLS; 0 for no limit but `limit`
    enable_cleanup_closed, loop, timeout_ceil_threshold
                            accepted: closed connections are always cleaned up, and the loop is the running one
    """

    allowed_protocol_schema_set = _SCHEMES

    def __init__(
        self,
        *,
        keepalive_timeout: Any = sentinel,
        force_close: bool = False,
        limit: int = 100,
        limit_per_host: int = 0,
        enable_cleanup_closed: bool = False,
        loop: asyncio.AbstractEventLoop | None = None,
        timeout_ceil_threshold: float = 5,
        **more: Any,
    ) -> None:
        if force_close and keepalive_timeout is not None and keepalive_timeout is not sentinel:
            raise ValueError("keepalive_timeout and force_close exclude each other")
        if keepalive_timeout is sentinel:
            keepalive_timeout = 15.0
        super().__init__(
            limit or _NO_LIMIT,
            connection_cls=ChunkConnection,
            conn_max_requests=1 if force_close else None,
            pool_size_per_host=limit_per_host or None,
            keepalive_timeout=inf if keepalive_timeout is None else keepalive_timeout,
            **more,
        )
        self.force_close = force_close
        self.limit = limit
        self.limit_per_host = limit_per_host
        self.transport = Transport(self)
        self.given_ssl: SSLLike = True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.peek() or 'unused'}>"

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close every connection."""
        await super().close()

    def _close(self) -> None:
        """Let go of every connection without a loop, whose end has come: fsspec's file systems call this then."""
        self.closed = True
        if (pool := self.peek()) is not None:
            self._drop(pool)

    @property
    def _conns(self) -> Mapping[object, Iterable[tuple[Any, float]]]:
        """Idle connections to wait for when the session is closed, as gql does: none, for `close` waits for all of them."""
        return {}

    async def __aenter__(self) -> _Connector:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


BaseConnector = _Connector


class TCPConnector(_Connector):
    """A connector over TCP.

    ssl                    True, False to accept any certificate, an `ssl.SSLContext`, or a `Fingerprint`; for requests that say
                           nothing of their own
    resolver               an object with `resolve` and `close`, which stays the caller's; `ThreadedResolver()`
    use_dns_cache, ttl_dns_cache, dns_cache_max_size
                           whether and how long addresses are kept, seconds, 10, None for ever; and how many
    family                 `AF_INET` or `AF_INET6` for addresses of that family only
    local_addr             `(host, port)` to connect from
    happy_eyeballs_delay   head start of one address over the next, seconds, 0.25; None tries one after the other
    interleave             addresses of the first family before one of the other is tried
    socket_factory         makes the sockets, of what `getaddrinfo` gives for an address
    ssl_shutdown_timeout   accepted
    verify_ssl, ssl_context, fingerprint
                           deprecated, in favour of `ssl`

    The other arguments are those of `BaseConnector`.  Raises `ValueError`, `TypeError`.
    """

    allowed_protocol_schema_set = _SCHEMES | {"tcp"}

    def __init__(
        self,
        *,
        verify_ssl: bool = True,
        fingerprint: bytes | None = None,
        use_dns_cache: bool = True,
        ttl_dns_cache: float | None = 10,
        dns_cache_max_size: int = 1000,
        family: int = socket.AF_UNSPEC,
        ssl_context: Any = None,
        ssl: Any = True,
        local_addr: tuple[str, int] | None = None,
        resolver: AbstractResolver | None = None,
        keepalive_timeout: Any = sentinel,
        force_close: bool = False,
        limit: int = 100,
        limit_per_host: int = 0,
        enable_cleanup_closed: bool = False,
        loop: asyncio.AbstractEventLoop | None = None,
        timeout_ceil_threshold: float = 5,
        happy_eyeballs_delay: float | None = 0.25,
        interleave: int | None = None,
        socket_factory: SocketFactoryType | None = None,
        ssl_shutdown_timeout: Any = sentinel,
    ) -> None:
        super().__init__(
            keepalive_timeout=keepalive_timeout,
            force_close=force_close,
            limit=limit,
            limit_per_host=limit_per_host,
            resolver=resolver,
            ttl_dns_cache=None if ttl_dns_cache is None else ttl_dns_cache * 1000,
            use_dns_cache=use_dns_cache,
            max_dns_cache=dns_cache_max_size,
            family=family,
            local_addr=local_addr,
            happy_eyeballs_delay=happy_eyeballs_delay,
            interleave=interleave or 1,
            socket_factory=socket_factory,
        )
        self.given_ssl = merge_ssl(ssl, verify_ssl, ssl_context, fingerprint, 3)

    @property
    def use_dns_cache(self) -> bool:
        """Whether addresses are kept."""
        return self._use_dns_cache

    def clear_dns_cache(self, host: str | None = None, port: int | None = None) -> None:
        """Forget the addresses of all names, or of one.  Raises `ValueError` if only one of `host` and `port` is given."""
        if (host is None) != (port is None):
            raise ValueError("either both host and port or none of them are allowed")
        if self._names is not None:
            self._names.clear() if host is None or port is None else self._names.forget(host, port)


class UnixConnector(_Connector):
    """A connector to the Unix socket at `path`.  The other arguments are those of `BaseConnector`."""

    allowed_protocol_schema_set = _SCHEMES | {"unix"}

    def __init__(
        self,
        path: str,
        force_close: bool = False,
        keepalive_timeout: Any = sentinel,
        limit: int = 100,
        limit_per_host: int = 0,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(
            uds=path, force_close=force_close, keepalive_timeout=keepalive_timeout, limit=limit, limit_per_host=limit_per_host
        )

    @property
    def path(self) -> str:
        """Where the socket is."""
        return self.uds or ""


class NamedPipeConnector(_Connector):
    """A connector to a named pipe, which there is on Windows only; raises `RuntimeError`."""

    allowed_protocol_schema_set = _SCHEMES | {"npipe"}

    def __init__(self, path: str, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("Named Pipes only available in proactor loop under windows")
