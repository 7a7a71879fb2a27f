"""`aiosonic.connectors`: what opens connections."""

from __future__ import annotations

from typing import Any

from ...client.connector import TCPConnector as _TCPConnector
from ...net.pool import SmartPool
from ...net.resolver import Resolver
from ...net.timeouts import Timeouts
from .connection import Connection

__all__ = ["TCPConnector"]


class TCPConnector(_TCPConnector):
    """A connector with aiosonic's parameters and defaults; `ttl_dns_cache` in milliseconds.

    Raises `wirebird.UsageError`, which is a `ValueError`, for a bad argument.
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
    ) -> None:
        super().__init__(
            pool_size,
            timeouts,
            connection_cls or Connection,
            pool_cls,
            resolver,
            ttl_dns_cache,
            use_dns_cache,
            conn_max_requests,
        )
