"""A token bucket, as one number: when it will be full again.

It holds `burst` tokens, and one is added every `interval` seconds.  Instead of counting them, the bucket keeps the time at which
nothing would be missing any more (the theoretical arrival time of the generic cell rate algorithm, ITU-T I.371).  A token taken
moves that time by an interval; one may be taken if it does not move further ahead than the bucket is deep.  So a bucket needs no
timer and no refill, and whatever is asked of it takes a few additions.

Times are seconds on any clock that does not run backwards, and are arguments.
"""

from __future__ import annotations

from typing import Final

from ..errors import UsageError
from .numbers import check_count, check_number

__all__ = ["Bucket", "check_rate"]

# Sums of intervals are rounded: what is due within so many seconds is due.
_GRAIN: Final = 1e-6


class Bucket:
    """Tokens for a host, or a client.  `interval`: seconds for each token, 0 for no limit; `burst`: how many it holds."""

    __slots__ = ("_blocked_until", "_depth", "_full_at", "_interval")

    def __init__(self, interval: float, burst: float) -> None:
        self._interval = interval
        self._depth = interval * burst
        self._full_at = float("-inf")
        self._blocked_until = float("-inf")

    def __repr__(self) -> str:
        return f"<Bucket full at {self._full_at:g}, blocked until {self._blocked_until:g}>"

    def ready_at(self, now: float, ahead: int = 0) -> float:
        """When a token can be taken, if `ahead` others are taken before, each as soon as it can: `now`, or later."""
        full_at = max(self._full_at, now) + (ahead + 1) * self._interval
        ready_at = max(full_at - self._depth, self._blocked_until)
        return ready_at if ready_at - now > _GRAIN else now

    def take(self, now: float) -> None:
        """Take a token, whether there is one or not: the caller has asked `ready_at`."""
        self._full_at = max(self._full_at, now) + self._interval

    def give_back(self) -> None:
        """A token that was taken was not used."""
        self._full_at -= self._interval

    def block(self, until: float) -> None:
        """Give nothing out before `until`, and then one token, not all that would have come together in the meantime."""
        if until > self._blocked_until:
            self._blocked_until = until
            self._full_at = max(self._full_at, until + self._depth - self._interval)

    def is_full(self, now: float) -> bool:
        """Whether a new bucket would be just like this one."""
        return max(self._full_at, self._blocked_until) <= now


def check_rate(rate: float | None, per: float, burst: int | None, concurrency: int | None) -> tuple[float, int]:
    """Interval and burst of the buckets that let `rate` through in every `per` seconds, as many as `rate` at once by default.

    Raises `UsageError` for a bad one, naming it, and if neither `rate` nor `concurrency` limits anything.
    """
    if rate is None and concurrency is None:
        raise UsageError("rate or concurrency must be given, or nothing is limited", argument="rate")
    if rate is not None:
        check_number("rate", rate, "a number of requests", above=True)
    check_number("per", per, "seconds", above=True)
    for name, value in (("burst", burst), ("concurrency", concurrency)):
        if value is not None:
            check_count(name, value, 1)
    return per / rate if rate is not None else 0.0, burst if burst is not None else max(1, int(rate or 1))
