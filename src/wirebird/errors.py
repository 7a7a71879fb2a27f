"""The errors of wirebird, one tree.  The type says whose fault it was and how much of the work died with it.

    WirebirdError
    ├── UsageError (ValueError)        the caller passed something wrong; nothing was sent
    │   ├── InvalidURL                 a URL that cannot be requested
    │   ├── InvalidHeader              a header, method, cookie or form name that may not go on the wire
    │   ├── BodyConsumed               a body that can be read once was wanted a second time
    │   └── ClientClosed               the client was closed before the call
    ├── NetworkError (OSError)         the network failed; the connection is gone
    │   ├── DNSError                   the name did not resolve
    │   ├── ConnectError               no connection could be made
    │   ├── TLSError                   the handshake or the certificate failed
    │   │   └── CertificateMismatch    the certificate is not the one that was pinned
    │   ├── ConnectionLost             the peer went away, or the connection broke, mid-exchange
    │   └── ProxyError                 the proxy refused, or is none
    ├── TimeoutError (TimeoutError)    a limit of `Timeouts` ran out; the connection is gone
    │   ├── ConnectTimeout             sock_connect: DNS, TCP, TLS and proxy handshakes of one dial
    │   ├── ReadTimeout                sock_read: one wait for the peer's next bytes
    │   ├── PoolTimeout                pool_acquire: waiting for a free connection
    │   └── RequestTimeout             request_timeout: the whole call
    ├── ProtocolError                  the peer broke HTTP; the connection is gone
    │   ├── InvalidRequest             server role: what arrived is not a request; carries the status to answer
    │   ├── InvalidResponse            client role: what arrived is not a response
    │   ├── IncompleteBody             the body ended before its framing said so
    │   ├── InvalidMultipart           the body is not made of parts as its Content-Type says
    │   ├── DecodingError              the body is not what its Content-Encoding says
    │   ├── CorruptBody                a download is not of the size or digest that it should be
    │   ├── WebSocketError             the peer broke the rules of WebSocket; carries the close code
    │   └── LimitExceeded              a limit of `Limits`, or a body size limit, was passed
    ├── WebSocketClosed                a WebSocket is closed; carries the code and the reason
    ├── TooManyRedirects               `max_redirects` was passed
    └── StatusError                    `raise_for_status` met a 4xx or 5xx

Every error says in one line what happened, with which peer and in which phase, and keeps those as the fields `peer` and `phase`
(empty strings where they do not apply).  Protocol code has no peer: it raises, and the layer that knows adds it with `locate`.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BodyConsumed",
    "CertificateMismatch",
    "ClientClosed",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionLost",
    "CorruptBody",
    "DNSError",
    "DecodingError",
    "IncompleteBody",
    "InvalidHeader",
    "InvalidMultipart",
    "InvalidRequest",
    "InvalidResponse",
    "InvalidURL",
    "LimitExceeded",
    "NetworkError",
    "PoolTimeout",
    "ProtocolError",
    "ProxyError",
    "ReadTimeout",
    "RequestTimeout",
    "StatusError",
    "TLSError",
    "TimeoutError",
    "TooManyRedirects",
    "UsageError",
    "WebSocketClosed",
    "WebSocketError",
    "WirebirdError",
]

_Located = TypeVar("_Located", bound="WirebirdError")


class WirebirdError(Exception):
    """The root of everything that wirebird raises on purpose.

    `message` says what happened; `peer` is `host:port` of the other side and `phase` what was being done, each empty if unknown.
    """

    def __init__(self, message: str, *, peer: str = "", phase: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.peer = peer
        self.phase = phase

    def locate(self: _Located, peer: str, phase: str) -> _Located:
        """Fill in `peer` and `phase` where the code that raised could not know them; what is already known stays."""
        self.peer = self.peer or peer
        self.phase = self.phase or phase
        return self

    def __str__(self) -> str:
        where = [part for part in (self.phase and f"while {self.phase}", self.peer and f"peer {self.peer}") if part]
        return f"{self.message} ({', '.join(where)})" if where else self.message


class UsageError(WirebirdError, ValueError):
    """What the caller passed is wrong, and nothing was sent.  `argument` names the parameter at fault."""

    def __init__(self, message: str, *, argument: str = "", peer: str = "", phase: str = "") -> None:
        super().__init__(message, peer=peer, phase=phase)
        self.argument = argument


class InvalidURL(UsageError):
    """A URL, base URL or redirect target that cannot be requested (RFC 3986, RFC 9110 4.2)."""


class InvalidHeader(UsageError):
    """A method, header, cookie, form or file name with bytes that RFC 9110 5.5 and 5.6.2 forbid."""


class BodyConsumed(UsageError):
    """A request body to be sent again, or a response body to be read again, can only be read once."""


class ClientClosed(UsageError):
    """The client was closed before this call."""


class NetworkError(WirebirdError, OSError):
    """The network failed.  The cause from the operating system is `__cause__`."""


class DNSError(NetworkError):
    """The host name did not resolve."""


class ConnectError(NetworkError, ConnectionError):
    """No connection could be made to any address of the host.  Also the builtin `ConnectionError`."""


class TLSError(NetworkError):
    """The TLS handshake or the certificate check failed."""


class CertificateMismatch(TLSError):
    """The peer has another certificate than the pinned one: the SHA-256 digests `expected` and `got`."""

    def __init__(self, message: str, *, expected: bytes = b"", got: bytes = b"", peer: str = "", phase: str = "") -> None:
        super().__init__(message, peer=peer, phase=phase)
        self.expected = expected
        self.got = got


class ConnectionLost(NetworkError, ConnectionError):
    """The connection broke, or the peer closed it, before the response was complete.  Also the builtin `ConnectionError`."""


class ProxyError(NetworkError):
    """The proxy cannot be reached, refuses, or answers with something else than its protocol.

    `status` is the status with which it refused a tunnel, None where there is none (SOCKS has none); `reason` and `headers` are
    what came with it.  A proxy that was given credentials may repeat them: its `reason` is that of the status.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        reason: str = "",
        headers: Any = None,
        peer: str = "",
        phase: str = "",
    ) -> None:
        super().__init__(message, peer=peer, phase=phase)
        self.status = status
        self.reason = reason
        self.headers = headers


class TimeoutError(WirebirdError, builtins.TimeoutError):
    """A limit of `Timeouts` ran out.  `limit` is that limit in seconds."""

    def __init__(self, message: str, *, limit: float | None = None, peer: str = "", phase: str = "") -> None:
        super().__init__(message, peer=peer, phase=phase)
        self.limit = limit


class ConnectTimeout(TimeoutError):
    """`Timeouts.sock_connect` ran out: DNS, TCP, TLS and proxy handshakes of one dial."""


class ReadTimeout(TimeoutError):
    """`Timeouts.sock_read` ran out: the peer sent nothing for that long."""


class PoolTimeout(TimeoutError):
    """`Timeouts.pool_acquire` ran out: no connection became free."""


class RequestTimeout(TimeoutError):
    """`Timeouts.request_timeout` ran out: the call, with its redirects and retries, took too long."""


class ProtocolError(WirebirdError):
    """The peer broke HTTP.  The connection was closed."""


class InvalidRequest(ProtocolError):
    """Server role: the peer sent something that is not an acceptable request; `status` is the answer it deserves."""

    def __init__(self, message: str, *, status: int = 400, peer: str = "", phase: str = "") -> None:
        super().__init__(message, peer=peer, phase=phase)
        self.status = status


class InvalidResponse(ProtocolError):
    """Client role: the peer sent something that is not an acceptable response."""


class IncompleteBody(ProtocolError):
    """The connection ended before the body was complete.  `expected` is None where the length was not announced."""

    def __init__(self, message: str, *, received: int = 0, expected: int | None = None, peer: str = "", phase: str = "") -> None:
        super().__init__(message, peer=peer, phase=phase)
        self.received = received
        self.expected = expected

    @classmethod
    def after(cls, received: int, left: int | None, *, peer: str = "", phase: str = "") -> IncompleteBody:
        """The connection ended after `received` bytes of body, where `left` more were announced, None for no announcement."""
        expected = None if left is None else received + left
        of = "" if expected is None else f" of {expected}"
        message = f"the connection ended after {received}{of} bytes of body"
        return cls(message, received=received, expected=expected, peer=peer, phase=phase)


class InvalidMultipart(ProtocolError, ValueError):
    """A multipart body that cannot be taken apart (RFC 2046 5.1).  Also a `ValueError`."""


class DecodingError(ProtocolError):
    """The body is not what `Content-Encoding` (or its charset, for text) says.  `coding` names the one that failed."""

    def __init__(self, message: str, *, coding: str = "", peer: str = "", phase: str = "") -> None:
        super().__init__(message, peer=peer, phase=phase)
        self.coding = coding


class CorruptBody(ProtocolError):
    """A download is complete, and not what it should be: its size or digest is `actual`, not `expected`.

    `path` is where what came was put aside, None if nothing was kept.
    """

    def __init__(
        self, message: str, *, expected: Any = None, actual: Any = None, path: Any = None, peer: str = "", phase: str = ""
    ) -> None:
        super().__init__(message, peer=peer, phase=phase)
        self.expected = expected
        self.actual = actual
        self.path = path


class WebSocketError(ProtocolError):
    """The peer broke the rules of WebSocket (RFC 6455, RFC 7692) or passed a limit, and the connection was failed.

    `code` is the close code that says so (RFC 6455 7.4.1), 1002, 1007 or 1009, and `reason` the words that went with it.
    """

    def __init__(self, message: str, *, code: int = 1002, reason: str = "", peer: str = "", phase: str = "") -> None:
        super().__init__(message, peer=peer, phase=phase)
        self.code = code
        self.reason = reason or message


class LimitExceeded(ProtocolError):
    """The peer sent more than a limit allows.  `limit` names it, `maximum` is its value, `status` what a server answers."""

    def __init__(
        self, message: str, *, limit: str = "", maximum: int = 0, status: int = 400, peer: str = "", phase: str = ""
    ) -> None:
        super().__init__(message, peer=peer, phase=phase)
        self.limit = limit
        self.maximum = maximum
        self.status = status


class WebSocketClosed(WirebirdError):
    """The WebSocket is closed, or about to be: there is nothing more to receive, and nothing may be sent.

    `code` and `reason` are those of the close frame (RFC 6455 7.1.5, 7.1.6); 1005 stands for a frame without a code.
    """

    def __init__(self, message: str, *, code: int = 1005, reason: str = "", peer: str = "", phase: str = "") -> None:
        super().__init__(message, peer=peer, phase=phase)
        self.code = code
        self.reason = reason


class TooManyRedirects(WirebirdError):
    """More than `max_redirects` redirects.  `history` holds the responses that were followed, `url` the one not requested."""

    def __init__(self, message: str, *, history: Sequence[Any] = (), url: Any = None, peer: str = "", phase: str = "") -> None:
        super().__init__(message, peer=peer, phase=phase)
        self.history = tuple(history)
        self.url = url


class StatusError(WirebirdError):
    """`raise_for_status` met a 4xx or 5xx.  `response` is that response, `status_code` its status."""

    def __init__(self, message: str, *, response: Any = None, peer: str = "", phase: str = "") -> None:
        super().__init__(message, peer=peer, phase=phase)
        self.response = response
        self.status_code: int | None = getattr(response, "status_code", None)
