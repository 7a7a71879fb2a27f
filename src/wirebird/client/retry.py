"""Retries, decided: whether a request is sent again, and after how long.  Nothing here waits, sends, or looks at a clock.

What makes it safe to send a request twice (RFC 9110 9.2.2):

    nothing of it was sent                      any method: no connection came about, or it was lost before the request
    it may have arrived, and have been done     idempotent methods only: a lost connection, silence, a status that may pass
    it will not become right by being repeated  never: bad arguments, bad certificates, bad HTTP, too many redirects, no time left

In each case the body must be one that can be given again, the wait must end before the request's deadline, and the budget must
allow it: where most requests fail, a retry is no remedy but a second load on top of the first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from ..errors import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    DNSError,
    IncompleteBody,
    ProxyError,
    ReadTimeout,
    TLSError,
    UsageError,
)
from ..models.dates import retry_after
from ..models.headers import check_token
from ..models.message import IDEMPOTENT
from ..models.numbers import check_count, check_number

__all__ = ["Attempt", "Backoff", "Balance", "Outcome", "Retry", "RetryBudget", "read_retries"]

_NEVER_SENT: Final = (ConnectError, DNSError, ConnectTimeout)
_PERHAPS_SENT: Final = (ConnectionLost, ReadTimeout, IncompleteBody)

# What came of an attempt: the status and the `Retry-After` fields of a response, or what was raised.
Outcome: TypeAlias = "tuple[int, Sequence[str]] | Exception"


def _read_statuses(statuses: Any) -> frozenset[int]:
    try:
        found = frozenset(statuses)
        if all(isinstance(one, int) and not isinstance(one, bool) and 100 <= one <= 999 for one in found):
            return frozenset(int(one) for one in found)
    except TypeError:
        pass
    raise UsageError(f"statuses must be numbers from 100 to 999, not {statuses!r}", argument="statuses")


def _read_methods(methods: Any) -> frozenset[str]:
    if isinstance(methods, str):
        raise UsageError(f"methods must be several, as in ({methods!r},)", argument="methods")
    try:
        found = list(methods)
    except TypeError:
        raise UsageError(f"methods must be names of methods, not {methods!r}", argument="methods")
    return frozenset(check_token(one, "methods").upper() for one in found)


class Attempt(NamedTuple):
    """One sending of a request, and the moment after it.

    `number` counts from 1; `replayable` says whether the body can be given again; `now` and `deadline` are on the clock of the
    request's deadline, `today` is POSIX seconds, and `random` a number from 0 to 1.
    """

    number: int
    method: str
    replayable: bool
    now: float
    deadline: float
    today: float
    random: float


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before each retry, in seconds: an exponential series, of which a random part is waited.

    first    before the first retry, 0.1
    factor   how many times longer before each further one, 2
    maximum  never more than that, 10
    jitter   wait a random part of it, from nothing to all, so that many clients do not come back together; True

    Raises `UsageError` for a number that is negative or not finite, and for a factor below 1.
    """

    first: float = 0.1
    factor: float = 2
    maximum: float = 10
    jitter: bool = True

    def __post_init__(self) -> None:
        for name, value, least in (("first", self.first, 0), ("factor", self.factor, 1), ("maximum", self.maximum, 0)):
            check_number(name, value, least=least)

    def delay(self, retry: int, random: float = 1.0) -> float:
        """The wait before retry number `retry`, counted from 1; `random`, from 0 to 1, is the part of it that jitter leaves."""
        try:
            wait = min(self.first * float(self.factor) ** (retry - 1), self.maximum)
        except OverflowError:
            wait = self.maximum if self.first else 0.0
        return wait * random if self.jitter else wait


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """How many retries a client may make in all, so that they cannot become a storm.

    share       each request earns this part of a retry, 0.2: in the long run a fifth more requests, not three times as many
    reserve     so many retries may be made at once, 10; no more than that are saved
    per_second  so many are earned by time alone, 1, for clients that seldom send

    Kept for each client, and shared by its tasks and the calls whose budgets are equal.  Raises `UsageError` for a number that
    is negative or not finite.
    """

    share: float = 0.2
    reserve: float = 10
    per_second: float = 1

    def __post_init__(self) -> None:
        for name in ("share", "reserve", "per_second"):
            check_number(name, getattr(self, name))


class Balance:
    """What is left of a budget.  `now` is seconds on any clock that does not run backwards."""

    __slots__ = ("_at", "_budget", "tokens")

    def __init__(self, budget: RetryBudget, now: float) -> None:
        self._budget = budget
        self._at = now
        self.tokens = float(budget.reserve)

    def __repr__(self) -> str:
        return f"<Balance {self.tokens:g} of {self._budget!r}>"

    def earn(self, now: float) -> None:
        """A request was sent for the first time, and something came of it."""
        self._add(self._budget.share, now)

    def spend(self, now: float) -> bool:
        """A request would be sent again: whether it may."""
        self._add(0.0, now)
        if self.tokens < 1 - 1e-9:  # five fifths are one
            return False
        self.tokens = max(0.0, self.tokens - 1)
        return True

    def _add(self, earned: float, now: float) -> None:
        earned += max(0.0, now - self._at) * self._budget.per_second
        self._at = max(self._at, now)
        # Less than a whole retry would never become one if it could not be kept.
        self.tokens = min(self.tokens + earned, max(self._budget.reserve, 1.0) if self._budget.reserve else 0.0)


@dataclass(frozen=True, slots=True)
class Retry:
    """When a request is sent again.  A value: the client's, or a call's own.

    attempts             how many times more, at the most, after the first; 2
    statuses             of responses after which to try again: 408, 429, 502, 503 and 504
    methods              that may be repeated although the first may have been carried out: the idempotent ones, GET, HEAD,
                         OPTIONS, TRACE, PUT and DELETE.  Where nothing was sent, every method is repeated
    backoff              how long to wait: a `Backoff`, or seconds for a wait that is always the same
    respect_retry_after  wait at least as long as a `Retry-After` of the response says (RFC 9110 10.2.3), True
    max_retry_after      but if that is more than so many seconds, do not try again, 60
    budget               a `RetryBudget` over all requests of the client; None for no limit

    Errors that are tried again: `ConnectError`, `DNSError` and `ConnectTimeout`, for any method; `ConnectionLost`, `ReadTimeout`
    and `IncompleteBody`, for `methods`; a `ProxyError` with one of `statuses`, or with one of these as its cause.  Raises
    `UsageError` for a bad argument.
    """

    attempts: int = 2
    statuses: Collection[int] = frozenset({408, 429, 502, 503, 504})
    methods: Collection[str] = IDEMPOTENT
    backoff: Backoff | float = Backoff()
    respect_retry_after: bool = True
    budget: RetryBudget | None = RetryBudget()
    max_retry_after: float = 60

    def __post_init__(self) -> None:
        check_count("attempts", self.attempts, 0, "a number of retries")
        object.__setattr__(self, "statuses", _read_statuses(self.statuses))
        object.__setattr__(self, "methods", _read_methods(self.methods))
        if not isinstance(self.backoff, Backoff):
            check_number("backoff", self.backoff, "a Backoff or seconds")
        if self.budget is not None and not isinstance(self.budget, RetryBudget):
            raise UsageError(f"budget must be a RetryBudget or None, not {self.budget!r}", argument="budget")
        check_number("max_retry_after", self.max_retry_after)

    def delay(self, attempt: Attempt, outcome: Outcome) -> float | None:
        """How many seconds after `attempt` to send the request again; None if it is not."""
        if attempt.number > self.attempts or not attempt.replayable or not self._may_pass(attempt.method, outcome):
            return None
        backoff = self.backoff
        wait = backoff.delay(attempt.number, attempt.random) if isinstance(backoff, Backoff) else float(backoff)
        if self.respect_retry_after and isinstance(outcome, tuple):
            asked = retry_after(outcome[1], attempt.today)
            if asked is not None:
                if asked > self.max_retry_after:
                    return None
                wait += asked  # not before that time, and not all at that time
        # A wait that leaves no time for an answer is not begun: what is there is given at once.
        return wait if attempt.now + wait < attempt.deadline else None

    def _may_pass(self, method: str, outcome: Outcome) -> bool:
        if isinstance(outcome, tuple):
            return outcome[0] in self.statuses and method in self.methods
        if isinstance(outcome, ProxyError):
            if outcome.status in self.statuses:
                return True  # the tunnel was refused, so the request stayed here
            return isinstance(outcome.__cause__, Exception) and self._may_pass(method, outcome.__cause__)
        return _was_never_sent(outcome) or (isinstance(outcome, _PERHAPS_SENT) and method in self.methods)


def read_retries(retries: object, argument: str = "retries") -> Retry | None:
    """`retries` as a caller may give it: a `Retry`, a number of attempts, or 0, False and None for none.

    Raises `UsageError` for anything else.
    """
    if retries is None or retries is False:
        return None
    if isinstance(retries, int) and not isinstance(retries, bool) and retries >= 0:
        return Retry(retries) if retries else None
    if isinstance(retries, Retry):
        return retries if retries.attempts else None
    raise UsageError(f"{argument} must be a Retry or a number of attempts, not {retries!r}", argument=argument)


def _was_never_sent(error: Exception) -> bool:
    if isinstance(error, ConnectionLost):
        return error.phase == "connecting"  # the peer left at once
    if isinstance(error, TLSError):
        # The peer left in the middle of the handshake.  A handshake that failed will fail again.
        return isinstance(error.__cause__, ConnectionError)
    return isinstance(error, _NEVER_SENT)
