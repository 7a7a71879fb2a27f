"""`aiohttp.ClientTimeout`, and what it means as wirebird's `Timeouts`."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib import import_module
from typing import Any

from ...net.timeouts import Timeouts
from .helpers import sentinel

__all__ = ["DEFAULT_TIMEOUT", "ClientTimeout", "read_timeout", "session_timeout"]


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


class _Attributes:
    """The fields as `attrs` lists them: aiohttp's is one of its classes, and programs say `attr.evolve(timeout, total=5)`."""

    def __get__(self, instance: object, owner: type) -> Any:
        try:
            attr = import_module("attr")
        except ImportError:
            raise AttributeError("__attrs_attrs__") from None
        return attr.make_class("ClientTimeout", {one.name: attr.ib(default=one.default) for one in fields(owner)}).__attrs_attrs__


ClientTimeout.__attrs_attrs__ = _Attributes()  # type: ignore[attr-defined]


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


def session_timeout(timeout: Any, read_timeout: Any, conn_timeout: float | None) -> ClientTimeout:
    """That of a session, by these three arguments of it.  Raises `ValueError`."""
    given = timeout is not sentinel and timeout is not None
    if given and not isinstance(timeout, ClientTimeout):
        raise ValueError(f"timeout must be a ClientTimeout, not {type(timeout).__name__}: use ClientTimeout(total=…)")
    if given and (read_timeout is not sentinel or conn_timeout is not None):
        raise ValueError("read_timeout and conn_timeout are deprecated, and exclude timeout")
    if given:
        return timeout  # type: ignore[no-any-return]
    for name, old in (("read_timeout", read_timeout is not sentinel), ("conn_timeout", conn_timeout is not None)):
        if old:
            warnings.warn(f"{name} is deprecated, use timeout argument instead", DeprecationWarning, stacklevel=3)
    total = DEFAULT_TIMEOUT.total if read_timeout is sentinel else read_timeout
    return ClientTimeout(total, conn_timeout, None, DEFAULT_TIMEOUT.sock_connect)


def _limit(seconds: float | None) -> float | None:
    return seconds if seconds is not None and seconds > 0 else None
