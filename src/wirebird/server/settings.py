"""What a server grants its clients: sizes and times."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from ..models.limits import DEFAULT_LIMITS, Limits
from ..models.numbers import check_count, check_number

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The limits of each connection of a server; times in seconds, sizes in bytes; None for no limit.

    keepalive_timeout     how long the next request is waited for, 75
    header_timeout        from the first byte of a head to its last, and from the connection to the first head, 30; else 408
    body_timeout          each wait for the next bytes of a body that is being read, 30; else 408
    write_timeout         how long a client may take nothing of what it is sent, 60; then the connection is broken
    max_body_size         a request's body, 64 MiB; else 413
    drain_size            how much of a body that nobody read is received, so that the connection can be used again, 256 KiB
    drain_time            and for how long, 1
    linger_time           how long a client may take to read the last answer before the connection is closed, 1
    cancel_on_disconnect  cancel the handler whose client has left, False
    limits                of heads: `Limits`

    Raises `UsageError` for a bad value, naming it.
    """

    keepalive_timeout: float | None = 75.0
    header_timeout: float | None = 30.0
    body_timeout: float | None = 30.0
    write_timeout: float | None = 60.0
    max_body_size: int | None = 64 * 1024 * 1024
    drain_size: int = 262144
    drain_time: float = 1.0
    linger_time: float = 1.0
    cancel_on_disconnect: bool = False
    limits: Limits = field(default=DEFAULT_LIMITS)

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name.endswith(("timeout", "time")) and value is not None:
                check_number(one.name, value, "None or seconds")
            elif one.name.endswith("size") and value is not None:
                check_count(one.name, value, 0, "None or a number of bytes")
