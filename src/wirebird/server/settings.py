"""What a server grants its clients: sizes, rates, times and numbers of connections."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..models.limits import DEFAULT_LIMITS, Limits
from ..models.numbers import check_count, check_number

if TYPE_CHECKING:
    from .forwarded import TrustedProxies

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The limits of a server and of each of its connections; times in seconds, sizes in bytes; None for no limit.

    keepalive_timeout     how long the next request is waited for, 75
    header_timeout        from the first byte of a head to its last, and from the connection to the first head, 10; else 408
    body_timeout          each wait for the next bytes of a body that is being read, 30; else 408
    min_rate              bytes a second that a client must send of a head, and of a body while somebody waits for it, and must
                          take of a response, 240; else 408, or the connection is broken
    rate_grace            how long it may send nothing at the beginning, 5
    write_timeout         how long a client may take less than that of what it is sent, 60; then the connection is broken
    max_body_size         a request's body, 64 MiB; else 413
    drain_size            how much of a body that nobody read is received, so that the connection can be used again, 256 KiB
    drain_time            and for how long, 1
    linger_time           how long a client may take to read the last answer before the connection is closed, 1
    max_connections       open at once, WebSockets not counted, but handlers whose client has left, 20,000; those beyond are
                          answered 503
    max_websockets        open at once, 10,000; else 503 in place of the handshake
    cancel_on_disconnect  cancel the handler whose client has left, False
    limits                of heads: `Limits`
    proxies               whose word about clients is taken: `TrustedProxies`, or None for nobody's

    Raises `UsageError` for a bad value, naming it.
    """

    keepalive_timeout: float | None = 75.0
    header_timeout: float | None = 10.0
    body_timeout: float | None = 30.0
    min_rate: float | None = 240.0
    rate_grace: float = 5.0
    write_timeout: float | None = 60.0
    max_body_size: int | None = 64 * 1024 * 1024
    drain_size: int = 262144
    drain_time: float = 1.0
    linger_time: float = 1.0
    max_connections: int | None = 20_000
    max_websockets: int | None = 10_000
    cancel_on_disconnect: bool = False
    limits: Limits = field(default=DEFAULT_LIMITS)
    proxies: TrustedProxies | None = None

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if value is None and one.default is not None and "None" not in str(one.type):
                raise UsageError(f"{one.name} must not be None", argument=one.name)
            if one.name.endswith(("timeout", "time", "grace")) and value is not None:
                check_number(one.name, value, "None or seconds")
            elif one.name.endswith("size") and value is not None:
                check_count(one.name, value, 0, "None or a number of bytes")
            elif one.name.startswith("max_") and value is not None:
                check_count(one.name, value, 1, "None or a number")
        if self.min_rate is not None:
            check_number("min_rate", self.min_rate, "None or bytes a second", above=True)
        if not isinstance(self.cancel_on_disconnect, bool):
            raise UsageError("cancel_on_disconnect must be True or False", argument="cancel_on_disconnect")
        if self.proxies is not None and not callable(getattr(self.proxies, "look", None)):
            raise UsageError(f"proxies must be None or TrustedProxies, not {self.proxies!r}", argument="proxies")
        if not isinstance(self.limits, Limits):
            raise UsageError(f"limits must be Limits, not {self.limits!r}", argument="limits")
