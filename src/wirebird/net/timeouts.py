"""Time limits: the four that a caller sets, and the one timer that enforces them.

A deadline is a number on the thing that has it, in seconds of `time.monotonic`.  No request arms a timer: a `Watch` keeps a
single one, set for the earliest deadline it was told of.  A deadline that was met or moved meanwhile is noticed only when the
timer fires; then everything watched is looked over once and the timer set anew.  So a request costs two comparisons, and 10,000
idle connections cost nothing between two sweeps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from math import ceil, inf
from time import monotonic
from typing import Protocol

from ..errors import ReadTimeout, RequestTimeout, UsageError
from ..models.numbers import check_number

__all__ = ["NEVER", "Timeouts", "Watch", "Watched", "within"]

NEVER = inf

# Deadlines closer together than this share a sweep, so that ten thousand distinct ones cannot cost ten thousand sweeps.
GRAIN = 0.005


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits of a request, in seconds; None or 0 for no limit.

    sock_connect     DNS, TCP, TLS and proxy handshakes of one dial: `ConnectTimeout`
    sock_read        each wait for the peer's next bytes: `ReadTimeout`
    pool_acquire     waiting for a free connection: `PoolTimeout`
    request_timeout  the call with its redirects and retries until the response head is there, and on through `content()`,
                     `text()` and `json()`; a body that is streamed is bounded by `sock_read` alone: `RequestTimeout`
    connect          waiting for a free connection and the dial together: `PoolTimeout` or `ConnectTimeout`
    whole_body       `request_timeout` bounds a body that is streamed as well, False
    ceil_threshold   what is as long as this, or longer, ends at the next whole second of the clock, so that many that began at
                     about the same time end at the same; None for never

    Raises `UsageError` for anything but None or a finite number that is not negative.
    """

    sock_connect: float | None = 5
    sock_read: float | None = 30
    pool_acquire: float | None = None
    request_timeout: float | None = 60
    connect: float | None = None
    whole_body: bool = False
    ceil_threshold: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "whole_body":
                if not isinstance(value, bool):
                    raise UsageError(f"whole_body must be True or False, not {value!r}", argument="whole_body")
            elif value is not None:
                check_number(field.name, value, "None or seconds")

    @property
    def read(self) -> float:
        """`sock_read`, infinite for no limit."""
        return self.sock_read or NEVER

    @property
    def total(self) -> float:
        """`request_timeout`, infinite for no limit."""
        return self.request_timeout or NEVER

    @property
    def pool(self) -> float:
        """`pool_acquire`, or `connect` if that is less; infinite for no limit."""
        return min(self.pool_acquire or NEVER, self.connect or NEVER)

    def after(self, now: float, seconds: float) -> float:
        """When `seconds` that begin to run `now` are over."""
        deadline = now + seconds
        if self.ceil_threshold is None or not self.ceil_threshold <= seconds < NEVER:
            return deadline
        return float(ceil(deadline))

    def exceeded(self, *, total: bool, peer: str, phase: str) -> RequestTimeout | ReadTimeout:
        """The error of a request whose time is over: that for all of it (`total`), or that for the peer's next bytes."""
        if total:
            limit = self.request_timeout
            return RequestTimeout(f"the request was not done {within(limit)}", limit=limit, peer=peer, phase=phase)
        return ReadTimeout(f"the peer sent nothing for {self.read:g} s", limit=self.sock_read, peer=peer, phase=phase)


def within(limit: float | None) -> str:
    """How long that was, for messages.  Where there is no limit, a middleware may have set a deadline."""
    return f"within {limit:g} s" if limit else "in time"


class Watched(Protocol):
    """Something with a deadline."""

    deadline: float

    def expire(self, now: float) -> None:
        """The deadline has passed.  May move it; must not raise."""


class Watch:
    """The one timer of a pool.  `watched` gives, at each sweep, everything that may have a deadline."""

    __slots__ = ("_handle", "_loop", "_watched", "next_at")

    def __init__(self, loop: asyncio.AbstractEventLoop, watched: Callable[[], Iterable[Watched]]) -> None:
        self._loop = loop
        self._watched = watched
        self._handle: asyncio.TimerHandle | None = None
        self.next_at = NEVER

    def arm(self, deadline: float) -> None:
        """See to it that a sweep happens no later than at `deadline`.  Callers compare with `next_at` first, to be fast."""
        if deadline >= self.next_at:
            return
        if self._handle is not None:
            self._handle.cancel()
        self.next_at = deadline
        self._handle = self._loop.call_later(max(0.0, deadline - monotonic()), self._sweep)

    def stop(self) -> None:
        """Let go of the timer."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self.next_at = NEVER

    def _sweep(self) -> None:
        self._handle = None
        self.next_at = NEVER
        # A loop may wake a little early: what is due within the grain is due.
        now = monotonic() + GRAIN
        earliest = NEVER
        for item in list(self._watched()):
            if item.deadline <= now:
                item.expire(now)
            earliest = min(earliest, item.deadline)
        if earliest < NEVER:
            self.arm(max(earliest, now))
