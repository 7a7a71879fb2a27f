"""What wirebird raises, as what aiohttp raises: the one place where that is decided.

Nothing is lost on the way: the error of wirebird is the `__cause__` of the other.  What is a caller's mistake stays the
`UsageError` that it is, which is a `ValueError`; what took longer than `ClientTimeout.total` stays a `RequestTimeout`, which is
a `TimeoutError`.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import TYPE_CHECKING, Protocol

from multidict import CIMultiDictProxy

from ...errors import (
    BodyConsumed,
    CertificateMismatch,
    ClientClosed,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    DNSError,
    InvalidURL,
    LimitExceeded,
    NetworkError,
    PoolTimeout,
    ProtocolError,
    ProxyError,
    ReadTimeout,
    RequestTimeout,
    TLSError,
    UsageError,
    WirebirdError,
)
from .client_exceptions import (
    ClientConnectionError,
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientHttpProxyError,
    ClientOSError,
    ClientPayloadError,
    ClientProxyConnectionError,
    ClientResponseError,
    ConnectionTimeoutError,
    InvalidUrlClientError,
    ServerDisconnectedError,
    ServerFingerprintMismatch,
    SocketTimeoutError,
    UnixClientConnectorError,
)

if TYPE_CHECKING:
    from yarl import URL

    from .request_info import ConnectionKey, RequestInfo

__all__ = ["Asked", "of_body", "of_exchange", "of_upload"]


class Asked(Protocol):
    """What an error says of the request: a `ClientRequest`, which is made above of this."""

    url: URL

    @property
    def connection_key(self) -> ConnectionKey: ...

    @property
    def request_info(self) -> RequestInfo: ...


def of_exchange(error: Exception, request: Asked, path: str | None = None) -> Exception:
    """What aiohttp raises where wirebird raised `error` before there was a response; `path` is that of a Unix socket."""
    if isinstance(error, RequestTimeout) or not isinstance(error, WirebirdError):
        return error
    if isinstance(error, UsageError):
        return _of_usage(error, request)
    if isinstance(error, PoolTimeout | ConnectTimeout):
        return ConnectionTimeoutError(f"Connection timeout to host {request.url}")
    if isinstance(error, ReadTimeout):
        return SocketTimeoutError("Timeout on reading data from socket")
    if isinstance(error, ProxyError):
        return _of_proxy(error, request)
    if isinstance(error, ConnectionLost):
        if error.phase == "connecting":
            return ClientConnectorError(request.connection_key, _os_error(error))
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno is not None:
            return ClientOSError(cause.errno, cause.strerror)
        return ServerDisconnectedError()
    if isinstance(error, NetworkError):
        return _of_connecting(error, request.connection_key, path)
    if isinstance(error, ProtocolError):
        return ClientResponseError(request.request_info, (), status=400, message=error.message, headers=None)
    return ClientConnectionError(str(error))


def of_body(error: Exception) -> Exception:
    """The same for an `error` that ended the body of a response."""
    if isinstance(error, RequestTimeout):
        return error
    if isinstance(error, ReadTimeout):
        return SocketTimeoutError("Timeout on reading data from socket")
    if isinstance(error, BodyConsumed):
        return ClientConnectionError("Connection closed")
    if isinstance(error, LimitExceeded):
        return ClientPayloadError(f"400, message: {error.message}")
    if isinstance(error, ProtocolError | NetworkError):
        return ClientPayloadError(f"Response payload is not completed: {error}")
    return error


def of_upload(error: Exception, request: Asked) -> Exception:
    """The same for an `error` of the body of a request, which is the caller's own code."""
    if isinstance(error, OSError) and error.errno is not None:
        return ClientOSError(error.errno, f"Can not write request body for {request.url}")
    return ClientConnectionError(f"Failed to send bytes into the underlying connection: {error!r}")


def _of_usage(error: UsageError, request: Asked) -> Exception:
    if isinstance(error, InvalidURL):
        return InvalidUrlClientError(request.url, error.message)
    if isinstance(error, ClientClosed):
        return ClientConnectionError("Connector is closed.")
    if isinstance(error, BodyConsumed):
        return ClientPayloadError(error.message)
    return error


def _of_proxy(error: ProxyError, request: Asked) -> Exception:
    cause = error.__cause__
    if error.status is not None:
        headers = CIMultiDictProxy(error.headers) if error.headers is not None else None
        return ClientHttpProxyError(request.request_info, (), status=error.status, message=error.reason, headers=headers)
    if isinstance(cause, ProtocolError) or (isinstance(cause, ConnectionLost) and cause.phase != "connecting"):
        return of_exchange(cause, request)
    key = _key_of_proxy(request.connection_key)
    if isinstance(cause, DNSError | TLSError):
        return _of_connecting(cause, key, None)
    return ClientProxyConnectionError(key, _os_error(error))


def _key_of_proxy(key: ConnectionKey) -> ConnectionKey:
    """The connection that could not be made was the one to the proxy."""
    proxy = key.proxy
    if proxy is None:
        return key
    return key._replace(
        host=proxy.raw_host or "",
        port=proxy.port,
        is_ssl=proxy.scheme == "https",
        proxy=None,
        proxy_auth=None,
        proxy_headers_hash=None,
        server_hostname=None,
    )


def _of_connecting(error: NetworkError, key: ConnectionKey, path: str | None) -> Exception:
    cause = error.__cause__
    if isinstance(error, CertificateMismatch):
        return ServerFingerprintMismatch(error.expected, error.got, key.host, key.port or 443)
    if isinstance(error, DNSError):
        return ClientConnectorDNSError(key, _os_error(error))
    if isinstance(error, TLSError):
        if isinstance(cause, ssl.CertificateError):
            return ClientConnectorCertificateError(key, cause)
        if isinstance(cause, ssl.SSLError):
            return ClientConnectorSSLError(key, cause)
        return ClientConnectorError(key, _os_error(error))
    if isinstance(error, ConnectError) and path is not None:
        return UnixClientConnectorError(path, key, _os_error(error))
    return ClientConnectorError(key, _os_error(error))


def _os_error(error: BaseException) -> OSError:
    """What the operating system said, at the bottom of `error`; or something as it would have said it."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, OSError) and below.errno is not None and not isinstance(below, WirebirdError):
            return below
        below = below.__cause__
    message = error.message if isinstance(error, WirebirdError) else str(error)
    number = socket.EAI_NONAME if isinstance(error, DNSError) else errno.ECONNREFUSED
    return OSError(number, message or os.strerror(number))
