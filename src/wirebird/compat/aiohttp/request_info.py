"""What responses and errors say of a request: what was asked for, and over which kind of connection."""

from __future__ import annotations

from typing import Any, NamedTuple

from multidict import CIMultiDictProxy
from yarl import URL

__all__ = ["ConnectionKey", "RequestInfo"]


class _RequestInfo(NamedTuple):
    url: URL
    method: str
    headers: CIMultiDictProxy[str]
    real_url: URL


class RequestInfo(_RequestInfo):
    """What was asked for: `url` without its fragment, `method`, `headers` and `real_url`."""

    __slots__ = ()

    def __new__(cls, url: URL, method: str, headers: CIMultiDictProxy[str], real_url: URL | None = None) -> RequestInfo:
        return tuple.__new__(cls, (url, method, headers, url if real_url is None else real_url))


class ConnectionKey(NamedTuple):
    """What tells connections apart; errors say with it where they come from."""

    host: str
    port: int | None
    is_ssl: bool
    ssl: Any
    proxy: URL | None
    proxy_auth: Any
    proxy_headers_hash: int | None
    server_hostname: str | None = None
