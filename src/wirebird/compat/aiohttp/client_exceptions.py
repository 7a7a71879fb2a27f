"""`aiohttp.client_exceptions`: the tree of what a client raises, with aiohttp's names, bases and arguments.

    ClientError
    ├── ClientResponseError                what a server answered: status, message, headers, request_info, history
    │   ├── ContentTypeError               `json()` of what is no JSON
    │   ├── WSServerHandshakeError
    │   ├── ClientHttpProxyError           a proxy refused a tunnel
    │   └── TooManyRedirects
    ├── ClientConnectionError
    │   ├── ClientConnectionResetError     (ConnectionResetError)
    │   ├── ClientOSError                  (OSError)
    │   │   └── ClientConnectorError       no connection: host, port, ssl, os_error
    │   │       ├── ClientConnectorDNSError  ClientProxyConnectionError  UnixClientConnectorError
    │   │       └── ClientSSLError: ClientConnectorSSLError (ssl.SSLError), ClientConnectorCertificateError
    │   └── ServerConnectionError
    │       ├── ServerDisconnectedError
    │       ├── ServerTimeoutError         (TimeoutError): ConnectionTimeoutError, SocketTimeoutError
    │       └── ServerFingerprintMismatch
    ├── ClientPayloadError                 a body that did not arrive whole
    ├── UploadAbortedError
    ├── InvalidURL                         (ValueError): InvalidUrlClientError
    ├── NonHttpUrlClientError
    └── RedirectClientError                InvalidUrlRedirectClientError, NonHttpUrlRedirectClientError

`errors.py` makes them of what wirebird raises.
"""

from __future__ import annotations

import ssl as _ssl
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from yarl import URL

__all__ = [
    "ClientConnectionError",
    "ClientConnectionResetError",
    "ClientConnectorCertificateError",
    "ClientConnectorDNSError",
    "ClientConnectorError",
    "ClientConnectorSSLError",
    "ClientError",
    "ClientHttpProxyError",
    "ClientOSError",
    "ClientPayloadError",
    "ClientProxyConnectionError",
    "ClientResponseError",
    "ClientSSLError",
    "ConnectionTimeoutError",
    "ContentTypeError",
    "InvalidURL",
    "InvalidUrlClientError",
    "InvalidUrlRedirectClientError",
    "NonHttpUrlClientError",
    "NonHttpUrlRedirectClientError",
    "RedirectClientError",
    "ServerConnectionError",
    "ServerDisconnectedError",
    "ServerFingerprintMismatch",
    "ServerTimeoutError",
    "SocketTimeoutError",
    "TooManyRedirects",
    "UnixClientConnectorError",
    "UploadAbortedError",
    "WSMessageTypeError",
    "WSServerHandshakeError",
]

_StrOrURL: TypeAlias = "str | URL"


class ClientError(Exception):
    """Everything that a client raises on its own account."""


class ClientResponseError(ClientError):
    """Something about a response: `status` and `message`, its `headers`, the `request_info` and the `history` of its request."""

    def __init__(
        self,
        request_info: Any,
        history: tuple[Any, ...],
        *,
        code: int | None = None,
        status: int | None = None,
        message: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if code is not None:
            if status is not None:
                raise ValueError("code and status are both given, and mean the same")
            warnings.warn("code is deprecated, use status instead", DeprecationWarning, stacklevel=2)
            status = code
        self.request_info = request_info
        self.history = history
        self.status = status or 0
        self.message = message
        self.headers = headers
        self.args = (request_info, history)

    def __str__(self) -> str:
        return f"{self.status}, message={self.message!r}, url={str(self.request_info.real_url)!r}"

    def __repr__(self) -> str:
        said = {"status": self.status or None, "message": self.message or None, "headers": self.headers}
        more = "".join(f", {name}={value!r}" for name, value in said.items() if value is not None)
        return f"{type(self).__name__}({self.request_info!r}, {self.history!r}{more})"

    @property
    def code(self) -> int:
        """The status; deprecated."""
        warnings.warn("code is deprecated, use status instead", DeprecationWarning, stacklevel=2)
        return self.status

    @code.setter
    def code(self, value: int) -> None:
        warnings.warn("code is deprecated, use status instead", DeprecationWarning, stacklevel=2)
        self.status = value


class ContentTypeError(ClientResponseError):
    """A body that was to be JSON has another media type."""


class WSServerHandshakeError(ClientResponseError):
    """The server did not agree to a WebSocket."""


class ClientHttpProxyError(ClientResponseError):
    """A proxy refused to open a tunnel."""


class TooManyRedirects(ClientResponseError):
    """`max_redirects` was reached."""


class ClientConnectionError(ClientError):
    """Something about the connection."""


class ClientConnectionResetError(ClientConnectionError, ConnectionResetError):
    """The connection was lost while something was sent."""


class ClientOSError(ClientConnectionError, OSError):
    """The operating system said so; `errno` and `strerror`."""


class ClientConnectorError(ClientOSError):
    """No connection could be made; `os_error` says why."""

    def __init__(self, connection_key: Any, os_error: OSError) -> None:
        self._conn_key = connection_key
        self._os_error = os_error
        super().__init__(os_error.errno, os_error.strerror)
        self.args = (connection_key, os_error)

    @property
    def os_error(self) -> OSError:
        """What the operating system said."""
        return self._os_error

    @property
    def host(self) -> str:
        """The host."""
        return self._conn_key.host  # type: ignore[no-any-return]

    @property
    def port(self) -> int | None:
        """The port."""
        return self._conn_key.port  # type: ignore[no-any-return]

    @property
    def ssl(self) -> Any:
        """The `ssl` of the request."""
        return self._conn_key.ssl

    def _shown_ssl(self) -> object:
        return "default" if self.ssl is True else self.ssl

    def __str__(self) -> str:
        return f"Cannot connect to host {self.host}:{self.port} ssl:{self._shown_ssl()} [{self.strerror}]"

    # That of OSError makes another one of errno and strerror alone.
    __reduce__ = BaseException.__reduce__


class ClientConnectorDNSError(ClientConnectorError):
    """The name of the host did not resolve."""


class ClientProxyConnectionError(ClientConnectorError):
    """The proxy could not be reached."""


class UnixClientConnectorError(ClientConnectorError):
    """No connection to a Unix socket; `path` is where it should be."""

    def __init__(self, path: str, connection_key: Any, os_error: OSError) -> None:
        self._path = path
        super().__init__(connection_key, os_error)

    @property
    def path(self) -> str:
        """The path of the socket."""
        return self._path

    def __str__(self) -> str:
        return f"Cannot connect to unix socket {self.path} ssl:{self._shown_ssl()} [{self.strerror}]"


class ServerConnectionError(ClientConnectionError):
    """The server's side of the connection is at fault."""


class ServerDisconnectedError(ServerConnectionError):
    """The server closed the connection without an answer."""

    def __init__(self, message: Any = None) -> None:
        self.message = "Server disconnected" if message is None else message
        self.args = (self.message,)


class ServerTimeoutError(ServerConnectionError, TimeoutError):
    """The server took too long."""


class ConnectionTimeoutError(ServerTimeoutError):
    """There was no connection in time."""


class SocketTimeoutError(ServerTimeoutError):
    """The server was silent for too long."""


class ServerFingerprintMismatch(ServerConnectionError):
    """The server has another certificate than the one whose fingerprint is known."""

    def __init__(self, expected: bytes, got: bytes, host: str, port: int) -> None:
        self.expected = expected
        self.got = got
        self.host = host
        self.port = port
        self.args = (expected, got, host, port)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} expected={self.expected!r} got={self.got!r} host={self.host!r} port={self.port!r}>"


class ClientPayloadError(ClientError):
    """A body that is incomplete, or not what its coding says."""


class UploadAbortedError(ClientError):
    """The body of the request was not sent whole."""


class InvalidURL(ClientError, ValueError):
    """A URL that cannot be asked for: `url`, and what is wrong with it in `description`."""

    def __init__(self, url: _StrOrURL, description: str | None = None) -> None:
        self._url = url
        self._description = description
        super().__init__(*((url, description) if description else (url,)))

    @property
    def url(self) -> _StrOrURL:
        """The URL as it was given."""
        return self._url

    @property
    def description(self) -> str | None:
        """What is wrong with it."""
        return self._description

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    def __str__(self) -> str:
        return f"{self._url} - {self._description}" if self._description else str(self._url)


class InvalidUrlClientError(InvalidURL):
    """The URL of a request."""


class RedirectClientError(ClientError):
    """A redirect that cannot be followed."""


class NonHttpUrlClientError(ClientError):
    """A URL with another scheme than http, https, ws or wss."""


class InvalidUrlRedirectClientError(InvalidUrlClientError, RedirectClientError):
    """A redirect to what is no URL."""


class NonHttpUrlRedirectClientError(NonHttpUrlClientError, RedirectClientError):
    """A redirect to another scheme than http and https."""


class ClientSSLError(ClientConnectorError):
    """TLS is at fault."""


class ClientConnectorSSLError(ClientSSLError, _ssl.SSLError):
    """The TLS handshake failed."""


class ClientConnectorCertificateError(ClientSSLError, _ssl.CertificateError):
    """The certificate of the server is not accepted; `certificate_error` says why."""

    def __init__(self, connection_key: Any, certificate_error: Exception) -> None:
        super().__init__(connection_key, certificate_error if isinstance(certificate_error, OSError) else OSError())
        self._certificate_error = certificate_error
        self.args = (connection_key, certificate_error)

    @property
    def certificate_error(self) -> Exception:
        """What is wrong with it."""
        return self._certificate_error

    @property
    def ssl(self) -> bool:
        """Whether there was to be TLS."""
        return self._conn_key.is_ssl  # type: ignore[no-any-return]

    def __str__(self) -> str:
        error = self.certificate_error
        return f"Cannot connect to host {self.host}:{self.port} ssl:{self.ssl} [{type(error).__name__}: {error.args}]"


class WSMessageTypeError(TypeError):
    """A message of a WebSocket has another type than the one that was asked for."""
