"""CONNECT, the client's half of opening a tunnel through an HTTP proxy: bytes in, bytes out, no I/O (RFC 9110 9.3.6).

The request holds what is meant for the proxy and nothing else: the target, its credentials, and who asks.  Any 2xx opens the
tunnel, whatever its reason phrase and its fields say; 1xx are passed over; anything else is a refusal.

Once credentials were sent, errors quote nothing of the answer: it may send them back.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from .._version import VERSION
from ..errors import LimitExceeded, ProtocolError, ProxyError
from ..models.headers import encode_fields
from ..models.limits import DEFAULT_LIMITS, Limits
from ..models.message import ResponseHead
from ..models.redaction import printable
from .http1 import request_line
from .http1_events import State
from .http1_parser import Parser

__all__ = ["Connect"]

_REASON = 80


class Connect:
    """One handshake.  `authority` is the target as `host:port`, `credentials` the value of `Proxy-Authorization`, if any.

    `headers` are sent along, but for a `Host` and a `Proxy-Authorization` among them.
    """

    __slots__ = ("_authority", "_credentials", "_headers", "_parser", "code", "rest")

    def __init__(
        self,
        authority: str,
        credentials: str | None = None,
        limits: Limits = DEFAULT_LIMITS,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._authority = authority
        self._credentials = credentials
        self._headers = headers
        self._parser = Parser(server=False, limits=limits)
        self._parser.expect(b"CONNECT")
        self.code: int | None = None
        self.rest = b""

    def __repr__(self) -> str:
        return f"<Connect {self._authority} {self._parser.state.name}>"

    @property
    def done(self) -> bool:
        """Whether the tunnel is open: from here on the bytes are the target's."""
        return self._parser.state is State.TUNNEL

    def begin(self) -> bytes:
        """The request.  Raises `InvalidHeader` for a target or credentials that may not go on the wire."""
        own = [(name, value) for name, value in self._headers if name.lower() not in ("host", "proxy-authorization")]
        fields = [("Host", self._authority)]
        if not any(name.lower() == "user-agent" for name, _ in own):
            fields.append(("User-Agent", f"wirebird/{VERSION}"))
        fields += own
        if self._credentials is not None:
            fields.append(("Proxy-Authorization", self._credentials))
        return request_line("CONNECT", self._authority) + encode_fields(fields) + b"\r\n"

    def receive(self, data: bytes) -> bytes:
        """Take bytes of the proxy; there is nothing to answer.  Raises `ProxyError` for a refusal or for what is no HTTP."""
        try:
            events = self._parser.receive(data, len(data))
        except LimitExceeded as error:
            raise ProxyError(f"the proxy's answer is too large: {error.message}") from error
        except ProtocolError as error:
            if self._credentials is not None:
                raise ProxyError("the proxy's answer is no HTTP/1.1") from None
            raise ProxyError(f"the proxy's answer is no HTTP/1.1: {error.message}") from error
        for event in events:
            if isinstance(event, bytes):
                self.rest += event
            elif isinstance(event, ResponseHead) and event.status >= 200 and not self.done:
                raise self._refusal(event)
        return b""

    def _refusal(self, head: ResponseHead) -> ProxyError:
        self.code = head.status
        message = f"the proxy refused the tunnel: {head.status}"
        reason = HTTPStatus(head.status).phrase if head.status in HTTPStatus._value2member_map_ else ""
        if self._credentials is None:
            reason = printable(head.reason.decode("latin-1"), _REASON)
            hint = ", it wants credentials: Proxy(host, auth)" if head.status == 407 else ""
            message += (f" {reason}" if reason else "") + hint
        return ProxyError(message, status=head.status, reason=reason, headers=head.fields)
