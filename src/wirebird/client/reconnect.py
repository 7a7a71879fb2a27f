"""When a WebSocket is opened again, decided with nothing but values.  What may be tried again is what `client/retry.py` says."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import inf
from typing import Final

from ..errors import ConnectionLost, TimeoutError, UsageError
from ..models.numbers import check_count, check_number
from .retry import Attempt, Backoff, Outcome, Retry

__all__ = ["Reconnect", "read_reconnect"]

# As good as none: a connection a second would take longer than there are computers.
_NO_LIMIT: Final = 10**12

_BACKOFF: Final = Backoff(0.5, 2, 30)


@dataclass(frozen=True, slots=True)
class Reconnect:
    """When a WebSocket that came to an end is opened again.  A value.

    attempts         how many connections in a row may fail, or end before they are `stable`; then the last error is raised.  None
                     for no limit
    backoff          how long to wait before each: a `Backoff`, or seconds; half a second, doubled up to half a minute, of which a
                     random part is waited
    statuses         of answers to the handshake after which to try again: 408, 425, 429, 500, 502, 503 and 504, no sooner than
                     their `Retry-After` says
    stable           seconds from the handshake to its end that a connection has to last to count as a success, 5: a server that
                     takes connections and drops them is not asked ever faster
    at_first         also go on where the very first connection fails, False: a wrong URL is an error, and no reason to try for
                     ever
    max_retry_after  but do not try again if `Retry-After` asks for more than so many seconds, 300

    What is tried again: what `Retry` would repeat, and time limits.  Raises `UsageError` for a bad argument.
    """

    attempts: int | None = None
    backoff: Backoff | float = _BACKOFF
    statuses: Collection[int] = frozenset({408, 425, 429, 500, 502, 503, 504})
    stable: float = 5.0
    at_first: bool = False
    max_retry_after: float = 300

    def __post_init__(self) -> None:
        if self.attempts is not None:
            check_count("attempts", self.attempts, 1, "None or a number")
        check_number("stable", self.stable, "seconds")
        object.__setattr__(self, "statuses", self._policy().statuses)

    def _policy(self) -> Retry:
        return Retry(
            self.attempts or _NO_LIMIT,
            statuses=self.statuses,
            backoff=self.backoff,
            budget=None,
            max_retry_after=self.max_retry_after,
        )

    def delay(self, number: int, outcome: Outcome, chance: float, today: float) -> float | None:
        """How many seconds after the connection `number`, counted from 1 since the last success, to open another; None for never.

        `outcome` is what became of it, `chance` a random number from 0 to 1, `today` POSIX seconds.
        """
        if isinstance(outcome, TimeoutError):
            outcome = ConnectionLost("out of time")
        return self._policy().delay(Attempt(number, "GET", True, 0.0, inf, today, chance), outcome)


def read_reconnect(reconnect: object) -> Reconnect | None:
    """`reconnect` as a caller may give it.  Raises `UsageError` for anything but a `Reconnect`, a bool or None."""
    if reconnect is None or reconnect is False:
        return None
    if reconnect is True:
        return Reconnect()
    if isinstance(reconnect, Reconnect):
        return reconnect
    raise UsageError(f"reconnect must be True, False or a Reconnect, not {reconnect!r}", argument="reconnect")
