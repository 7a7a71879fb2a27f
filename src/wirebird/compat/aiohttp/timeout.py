"""`aiohttp.ClientTimeout`, and what it means as wirebird's `Timeouts`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ...net.timeouts import Timeouts

__all__ = ["DEFAULT_TIMEOUT", "ClientTimeout", "read_timeout"]


@dataclass(frozen=True, slots=True)
class ClientTimeout:
    """Time limits of a request, in seconds; None or 0 for no limit.

    total           the whole of it, from the call to the end of the body, with its redirects: `TimeoutError`
    connect         waiting for a free connection, and making one: `ConnectionTimeoutError`
    sock_read       each wait for the peer's next bytes: `SocketTimeoutError`
    sock_connect    making one connection: `ConnectionTimeoutError`
    ceil_threshold  a limit of more than this ends at the next whole second of the event loop's clock, 5
    """

    total: float | None = None
    connect: float | None = None
    sock_read: float | None = None
    sock_connect: float | None = None
    ceil_threshold: float = 5


DEFAULT_TIMEOUT = ClientTimeout(total=5 * 60, sock_connect=30)


@lru_cache(maxsize=64)
def read_timeout(timeout: ClientTimeout) -> Timeouts:
    """The same as `Timeouts`."""
    return Timeouts(
        sock_connect=_limit(timeout.sock_connect),
        sock_read=_limit(timeout.sock_read),
        connect=_limit(timeout.connect),
        request_timeout=_limit(timeout.total),
        whole_body=True,
        ceil_threshold=timeout.ceil_threshold,
    )


def _limit(seconds: float | None) -> float | None:
    return seconds if seconds is not None and seconds > 0 else None
