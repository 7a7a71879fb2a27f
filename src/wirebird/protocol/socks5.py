"""SOCKS5, the client's half of the handshake: bytes in, bytes out, no I/O (RFC 1928, RFC 1929).

    socks = Socks5("example.org", 443, "user", "password")
    send(socks.begin())
    send(socks.receive(data))        until `done`; `rest` is what came behind the last reply

Both methods are offered where there are credentials: no authentication, and user and password; the proxy takes its pick.  The
host goes out as it is given: an address as an address, a name as a name, for the proxy to resolve.
"""

from __future__ import annotations

from enum import IntEnum
from ipaddress import ip_address
from typing import Final

from ..errors import ProxyError, UsageError

__all__ = ["REFUSALS", "Socks5", "check_credential"]

# RFC 1928 6: the REP field.
REFUSALS: Final = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}

_VERSION: Final = 5
_AUTH_VERSION: Final = 1  # RFC 1929 2: of the sub-negotiation
_NO_AUTH: Final = 0
_PASSWORD: Final = 2
_CONNECT: Final = 1
_IPV4: Final = 1
_NAME: Final = 3
_IPV6: Final = 4
_ADDRESS_SIZES: Final = {_IPV4: 4, _IPV6: 16}


class State(IntEnum):
    """What is awaited."""

    METHOD = 0
    GRANT = 1
    REPLY = 2
    DONE = 3


class Socks5:
    """One handshake.  `host` is an ASCII name or an IP address without brackets; no `user` means no credentials.

    `code` is the REP field of a refusal, None before there is one.
    """

    __slots__ = ("_host", "_offer", "_password", "_pending", "_port", "_state", "_user", "code", "rest")

    def __init__(self, host: str, port: int, user: str = "", password: str = "") -> None:
        self._host = host
        self._port = port
        self._user = check_credential(user, "user") if user or password else b""
        self._password = check_credential(password, "password") if user or password else b""
        self._offer = bytes([_NO_AUTH, _PASSWORD]) if self._user else bytes([_NO_AUTH])
        self._state = State.METHOD
        self._pending = b""
        self.code: int | None = None
        self.rest = b""

    def __repr__(self) -> str:
        return f"<Socks5 {self._host}:{self._port} {self._state.name}>"

    @property
    def done(self) -> bool:
        """Whether the proxy has connected: from here on the bytes are the target's."""
        return self._state is State.DONE

    def begin(self) -> bytes:
        """What the client says first: the version and the methods it offers."""
        return bytes([_VERSION, len(self._offer)]) + self._offer

    def receive(self, data: bytes) -> bytes:
        """Take bytes of the proxy; gives what is to be sent to it now.  Raises `ProxyError` for a refusal or for no SOCKS5."""
        self._pending += data
        answer = b""
        while self._state is not State.DONE:
            size = self._needed()
            if len(self._pending) < size:
                return answer
            element, self._pending = self._pending[:size], self._pending[size:]
            if self._state is State.METHOD:
                answer += self._on_method(element[1])
            elif self._state is State.GRANT:
                answer += self._on_grant(element[1])
            else:
                self._state = State.DONE
        self.rest += self._pending
        self._pending = b""
        return answer

    # -- the elements --------------------------------------------------------------------------------------------------

    def _needed(self) -> int:
        """How many bytes the awaited element has, as far as it says so yet; what cannot be one is refused at its first bytes."""
        pending = self._pending
        version = _AUTH_VERSION if self._state is State.GRANT else _VERSION
        if pending and pending[0] != version:
            # Later there are credentials on the wire, and what echoes them is not to be shown.
            shown = pending[:20] if self._state is State.METHOD else pending[:1]
            raise ProxyError(f"the proxy's answer is no SOCKS5: {shown!r}")
        if self._state is not State.REPLY:
            return 2
        if len(pending) >= 2 and pending[1]:
            self.code = pending[1]  # some proxies say no more than this, and close
            reason = REFUSALS.get(self.code, "for a reason that has no name")
            raise ProxyError(f"the proxy did not connect: {reason} ({self.code})")
        if len(pending) < 5:
            return 5
        kind = pending[3]
        if kind == _NAME:
            return 7 + pending[4]
        if kind not in _ADDRESS_SIZES:
            raise ProxyError(f"the proxy's answer is no SOCKS5: an address of the type {kind}")
        return 6 + _ADDRESS_SIZES[kind]

    def _on_method(self, method: int) -> bytes:
        if method not in self._offer:
            wants = "" if self._user else ", it wants credentials"
            raise ProxyError(f"the proxy took none of the authentication methods offered{wants}")
        if method == _NO_AUTH:
            return self._request()
        self._state = State.GRANT
        user, password = self._user, self._password
        return bytes([_AUTH_VERSION, len(user)]) + user + bytes([len(password)]) + password

    def _on_grant(self, status: int) -> bytes:
        if status:
            raise ProxyError("the proxy refused the user and password")
        return self._request()

    def _request(self) -> bytes:
        self._state = State.REPLY
        return bytes([_VERSION, _CONNECT, 0]) + _address(self._host) + self._port.to_bytes(2, "big")


def check_credential(text: str, name: str) -> bytes:
    """`text` as bytes of a SOCKS5 user or password.  Raises `UsageError`, without showing it, unless they are 1 to 255."""
    data = text.encode()
    if not 1 <= len(data) <= 255:
        raise UsageError(f"the {name} of a SOCKS5 proxy must have 1 to 255 bytes, not {len(data)} (RFC 1929)", argument="auth")
    return data


def _address(host: str) -> bytes:
    """ATYP and DST.ADDR (RFC 1928 5)."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        name = host.encode("ascii")
        if not 1 <= len(name) <= 255:
            raise UsageError(f"a host name must have 1 to 255 bytes, not {len(name)}", argument="url") from None
        return bytes([_NAME, len(name)]) + name
    return bytes([_IPV4 if address.version == 4 else _IPV6]) + address.packed
