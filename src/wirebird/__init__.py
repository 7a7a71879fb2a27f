"""wirebird: the HTTP library for asyncio.

    async with wirebird.HTTPClient() as client:
        response = await client.get("https://example.org/items", params={"page": 2})
        items = await response.json()

The names below are imported when they are first asked for, so that a program pays for what it uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import VERSION as __version__

if TYPE_CHECKING:
    from .client.auth import Auth, BasicAuth, BearerAuth, ReadBody
    from .client.client import HTTPClient
    from .client.connector import TCPConnector
    from .client.digest_auth import DigestAuth
    from .client.download import Download
    from .client.exchange import ConnectionInfo, Exchange
    from .client.forms import MultipartForm
    from .client.har import HarRecorder
    from .client.http1 import Http1Connection
    from .client.log_observer import LogObserver
    from .client.middleware.rate_limit import RateLimit
    from .client.netrc_auth import NetrcAuth
    from .client.progress import ProgressBar
    from .client.reconnect import Reconnect
    from .client.response import HttpResponse
    from .client.retry import Backoff, Retry, RetryBudget
    from .client.sse import EventStream
    from .client.upload import Upload
    from .errors import (
        BodyConsumed,
        CertificateMismatch,
        ClientClosed,
        ConnectError,
        ConnectionLost,
        ConnectTimeout,
        CorruptBody,
        DecodingError,
        DNSError,
        IncompleteBody,
        InvalidHeader,
        InvalidMultipart,
        InvalidRequest,
        InvalidResponse,
        InvalidURL,
        LimitExceeded,
        NetworkError,
        PoolTimeout,
        ProtocolError,
        ProxyError,
        ReadTimeout,
        RequestTimeout,
        StatusError,
        TimeoutError,
        TLSError,
        TooManyRedirects,
        UsageError,
        WebSocketClosed,
        WebSocketError,
        WirebirdError,
    )
    from .models.cookies import Cookie, CookieJar
    from .models.headers import HttpHeaders
    from .models.limits import Limits
    from .models.message import Request
    from .net.cookie_file import load_cookies, save_cookies
    from .net.pool import CyclicQueuePool, SmartPool
    from .net.proxy import Proxy
    from .net.resolver import AsyncResolver, ThreadedResolver
    from .net.timeouts import Timeouts
    from .net.tls import tls_context
    from .net.websocket import WebSocket
    from .protocol.sse import ServerEvent
    from .protocol.websocket_deflate import Deflate
    from .protocol.websocket_messages import Message, MessageType

__all__ = [
    "AsyncResolver",
    "Auth",
    "Backoff",
    "BasicAuth",
    "BearerAuth",
    "BodyConsumed",
    "CertificateMismatch",
    "ClientClosed",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionInfo",
    "ConnectionLost",
    "Cookie",
    "CookieJar",
    "CorruptBody",
    "CyclicQueuePool",
    "DNSError",
    "DecodingError",
    "Deflate",
    "DigestAuth",
    "Download",
    "EventStream",
    "Exchange",
    "HTTPClient",
    "HarRecorder",
    "Http1Connection",
    "HttpHeaders",
    "HttpResponse",
    "IncompleteBody",
    "InvalidHeader",
    "InvalidMultipart",
    "InvalidRequest",
    "InvalidResponse",
    "InvalidURL",
    "LimitExceeded",
    "Limits",
    "LogObserver",
    "Message",
    "MessageType",
    "MultipartForm",
    "NetrcAuth",
    "NetworkError",
    "PoolTimeout",
    "ProgressBar",
    "ProtocolError",
    "Proxy",
    "ProxyError",
    "RateLimit",
    "ReadBody",
    "ReadTimeout",
    "Reconnect",
    "Request",
    "RequestTimeout",
    "Retry",
    "RetryBudget",
    "ServerEvent",
    "SmartPool",
    "StatusError",
    "TCPConnector",
    "TLSError",
    "ThreadedResolver",
    "TimeoutError",
    "Timeouts",
    "TooManyRedirects",
    "Upload",
    "UsageError",
    "WebSocket",
    "WebSocketClosed",
    "WebSocketError",
    "WirebirdError",
    "__version__",
    "load_cookies",
    "save_cookies",
    "tls_context",
]

_homes = {
    "AsyncResolver": "net.resolver",
    "Auth": "client.auth",
    "Backoff": "client.retry",
    "BasicAuth": "client.auth",
    "BearerAuth": "client.auth",
    "ConnectionInfo": "client.exchange",
    "Cookie": "models.cookies",
    "CookieJar": "models.cookies",
    "CyclicQueuePool": "net.pool",
    "Deflate": "protocol.websocket_deflate",
    "DigestAuth": "client.digest_auth",
    "Download": "client.download",
    "EventStream": "client.sse",
    "Exchange": "client.exchange",
    "HTTPClient": "client.client",
    "HarRecorder": "client.har",
    "Http1Connection": "client.http1",
    "HttpHeaders": "models.headers",
    "HttpResponse": "client.response",
    "Limits": "models.limits",
    "LogObserver": "client.log_observer",
    "Message": "protocol.websocket_messages",
    "MessageType": "protocol.websocket_messages",
    "MultipartForm": "client.forms",
    "NetrcAuth": "client.netrc_auth",
    "ProgressBar": "client.progress",
    "Proxy": "net.proxy",
    "RateLimit": "client.middleware.rate_limit",
    "ReadBody": "client.auth",
    "Reconnect": "client.reconnect",
    "Request": "models.message",
    "Retry": "client.retry",
    "RetryBudget": "client.retry",
    "ServerEvent": "protocol.sse",
    "SmartPool": "net.pool",
    "TCPConnector": "client.connector",
    "ThreadedResolver": "net.resolver",
    "Timeouts": "net.timeouts",
    "Upload": "client.upload",
    "WebSocket": "net.websocket",
    "load_cookies": "net.cookie_file",
    "save_cookies": "net.cookie_file",
    "tls_context": "net.tls",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_homes.get(name, 'errors')}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
