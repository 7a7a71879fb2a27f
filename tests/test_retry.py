"""The decision to send a request again, with no loop, no clock and no chance."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wirebird
from wirebird import Backoff, Retry, RetryBudget, UsageError
from wirebird.client.retry import Attempt, Balance, read_retries
from wirebird.errors import (
    BodyConsumed,
    ClientClosed,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    DecodingError,
    DNSError,
    IncompleteBody,
    InvalidHeader,
    InvalidResponse,
    LimitExceeded,
    PoolTimeout,
    ProxyError,
    ReadTimeout,
    RequestTimeout,
    StatusError,
    TLSError,
    TooManyRedirects,
    WirebirdError,
)

IDEMPOTENT = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE")
OTHERS = ("POST", "PATCH", "LOCK", "get")
TODAY = 1_750_000_000.0  # Sun, 15 Jun 2025 15:06:40 GMT
AT_ONCE = Retry(backoff=0, budget=None)


def attempt(number: int = 1, method: str = "GET", **facts: Any) -> Attempt:
    usual = {"replayable": True, "now": 100.0, "deadline": 160.0, "today": TODAY, "random": 0.5}
    return Attempt(number, method, **(usual | facts))  # type: ignore[arg-type]


def tls_error(cause: BaseException | None) -> TLSError:
    error = TLSError("the handshake failed", phase="handshaking")
    error.__cause__ = cause
    return error


def proxy_error(cause: BaseException | None) -> ProxyError:
    error = ProxyError("the proxy cannot be reached")
    error.__cause__ = cause
    return error


# -- what may pass -----------------------------------------------------------------------------------------------------------

NEVER_SENT = [
    ConnectError("refused"),
    DNSError("no such name"),
    ConnectTimeout("slow"),
    ConnectionLost("the peer left", phase="connecting"),
    tls_error(ConnectionResetError()),
    ProxyError("refused", status=503),
    proxy_error(ConnectError("refused")),
    proxy_error(DNSError("no such name")),
]
PERHAPS_SENT = [
    ConnectionLost("gone", phase="waiting for the response"),
    ConnectionLost("gone"),
    ReadTimeout("silent"),
    IncompleteBody("cut"),
]
NO_USE = [
    UsageError("wrong"),
    InvalidHeader("wrong"),
    BodyConsumed("wrong"),
    ClientClosed("closed"),
    tls_error(None),
    tls_error(OSError()),
    ProxyError("who are you", status=407),
    ProxyError("refused"),
    proxy_error(InvalidResponse("garbage")),
    PoolTimeout("all busy"),
    RequestTimeout("over"),
    InvalidResponse("garbage"),
    DecodingError("garbage"),
    LimitExceeded("too much"),
    TooManyRedirects("in circles"),
    StatusError("503"),
    WirebirdError("?"),
    ValueError("not ours"),
    OSError("not ours"),
]


@pytest.mark.parametrize("error", NEVER_SENT, ids=repr)
@pytest.mark.parametrize("method", IDEMPOTENT + OTHERS)
def test_what_was_never_sent_is_sent_again_whatever_the_method(error: Exception, method: str) -> None:
    assert AT_ONCE.delay(attempt(method=method), error) == 0


@pytest.mark.parametrize("error", PERHAPS_SENT, ids=repr)
def test_what_may_have_arrived_is_sent_again_if_that_does_no_harm(error: Exception) -> None:
    assert all(AT_ONCE.delay(attempt(method=method), error) == 0 for method in IDEMPOTENT)
    assert all(AT_ONCE.delay(attempt(method=method), error) is None for method in OTHERS)
    assert Retry(methods=["post"], backoff=0).delay(attempt(method="POST"), error) == 0
    assert Retry(methods=["post"], backoff=0).delay(attempt(method="GET"), error) is None


@pytest.mark.parametrize("error", NO_USE, ids=repr)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_will_not_become_right_is_not_tried_again(error: Exception, method: str) -> None:
    assert AT_ONCE.delay(attempt(method=method), error) is None


def test_statuses() -> None:
    for status in range(100, 600):
        may_pass = status in (408, 429, 502, 503, 504)
        for method in IDEMPOTENT:
            assert (AT_ONCE.delay(attempt(method=method), (status, [])) == 0) == may_pass
        for method in OTHERS:
            assert AT_ONCE.delay(attempt(method=method), (status, [])) is None
        assert (Retry(statuses={500}, backoff=0).delay(attempt(), (status, [])) == 0) == (status == 500)


def test_a_body_that_is_gone_is_not_sent_again() -> None:
    for outcome in (ConnectError("refused"), ConnectionLost("gone"), (503, ["0"])):
        assert AT_ONCE.delay(attempt(replayable=False), outcome) is None


def test_so_many_attempts_and_no_more() -> None:
    assert [AT_ONCE.delay(attempt(number), (503, [])) for number in (1, 2, 3, 4)] == [0, 0, None, None]
    assert Retry(0).delay(attempt(), (503, [])) is None
    assert Retry(10_000, backoff=Backoff(jitter=False)).delay(attempt(10_000), (503, [])) == 10


# -- how long ----------------------------------------------------------------------------------------------------------------


def test_the_wait_doubles_up_to_its_maximum() -> None:
    plain = Backoff(jitter=False)
    assert [plain.delay(retry) for retry in range(1, 10)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10])
    assert [Backoff(1, 3, 5, jitter=False).delay(retry) for retry in (1, 2, 3)] == [1, 3, 5]
    assert [Backoff(20).delay(1, random) for random in (0.0, 0.25, 1.0)] == [0, 2.5, 10]
    assert Retry(5, backoff=plain).delay(attempt(3), ConnectError("refused")) == pytest.approx(0.4)
    assert Retry(5, backoff=7).delay(attempt(3), ConnectError("refused")) == 7


@given(
    st.builds(Backoff, st.floats(0, 1e300), st.floats(1, 1e300), st.floats(0, 1e300), st.booleans()),
    st.integers(1, 10**6),
    st.floats(0, 1),
)
def test_a_wait_is_never_more_than_its_maximum(backoff: Backoff, retry: int, random: float) -> None:
    wait = backoff.delay(retry, random)
    assert 0 <= wait <= backoff.maximum
    assert wait <= backoff.delay(retry + 1, random)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("7", 7),
        ("0", 0),
        ("60", None),  # nothing would be left of the time for the request
        ("59", 59),
        ("61", None),
        ("9" * 5000, None),
        ("Sun, 15 Jun 2025 15:06:47 GMT", 7),
        ("Sunday, 15-Jun-25 15:06:47 GMT", 7),
        ("Sun Jun 15 15:06:47 2025", 7),
        ("Sun, 15 Jun 2025 15:06:33 GMT", 0),
        ("Mon, 15 Jun 2026 15:06:40 GMT", None),
        ("in a moment", 0),
        ("-7", 0),
    ],
)
def test_retry_after_is_waited_for(value: str, wait: float | None) -> None:
    assert AT_ONCE.delay(attempt(), (503, [value])) == wait
    assert Retry(backoff=0, respect_retry_after=False).delay(attempt(), (503, [value])) == 0


def test_retry_after_is_the_least_and_jitter_comes_on_top() -> None:
    policy = Retry(backoff=Backoff(2))
    assert [policy.delay(attempt(random=random), (429, ["7"])) for random in (0.0, 0.5, 1.0)] == [7, 8, 9]


def test_retry_after_has_a_limit_of_its_own() -> None:
    policy = Retry(backoff=0, max_retry_after=5)
    assert policy.delay(attempt(deadline=inf), (503, ["5"])) == 5
    assert policy.delay(attempt(deadline=inf), (503, ["6"])) is None
    assert AT_ONCE.delay(attempt(deadline=inf), (503, ["60"])) == 60
    assert AT_ONCE.delay(attempt(deadline=inf), (503, ["61"])) is None


def test_a_wait_that_would_pass_the_deadline_is_not_begun() -> None:
    policy = Retry(backoff=2)
    for outcome in ((503, []), ConnectError("refused")):
        assert policy.delay(attempt(now=100, deadline=102.5), outcome) == 2
        assert policy.delay(attempt(now=100, deadline=102), outcome) is None
        assert policy.delay(attempt(now=103, deadline=102), outcome) is None
        assert policy.delay(attempt(now=100, deadline=inf), outcome) == 2


_retries = st.builds(
    Retry,
    st.integers(0, 5),
    st.frozensets(st.integers(400, 599)),
    st.frozensets(st.sampled_from(IDEMPOTENT + OTHERS)),
    st.one_of(st.floats(0, 1e6), st.builds(Backoff, st.floats(0, 1e6), st.floats(1, 10), st.floats(0, 1e6), st.booleans())),
    st.booleans(),
    st.none(),
    st.floats(0, 1e6),
)
_outcomes = st.one_of(
    st.sampled_from([*NEVER_SENT, *PERHAPS_SENT, *NO_USE]),
    st.tuples(st.integers(100, 599), st.lists(st.one_of(st.text(), st.integers(-1, 10**9).map(str)))),
)
_attempts = st.builds(
    Attempt,
    st.integers(1, 7),
    st.sampled_from(IDEMPOTENT + OTHERS),
    st.booleans(),
    st.floats(0, 1e9),
    st.floats(0, 1e9),
    st.floats(0, 1e11),
    st.floats(0, 1),
)


@given(_retries, _attempts, _outcomes)
def test_whatever_happens_the_decision_holds(policy: Retry, what: Attempt, outcome: Any) -> None:
    delay = policy.delay(what, outcome)
    if delay is None:
        return
    assert delay >= 0
    assert what.now + delay < what.deadline
    assert what.replayable
    assert what.number <= policy.attempts
    if isinstance(outcome, tuple):
        assert outcome[0] in policy.statuses
        assert what.method in policy.methods
    else:
        assert outcome in NEVER_SENT or what.method in policy.methods


# -- the budget --------------------------------------------------------------------------------------------------------------


def test_the_reserve_and_a_fifth_more() -> None:
    balance = Balance(RetryBudget(), 0)
    spent = 0
    for _ in range(1000):
        balance.earn(0)
        spent += sum(balance.spend(0) for _ in range(2))
    assert spent == 10 + 200 - 1  # what the first earned did not fit


def test_time_alone_earns_a_retry_now_and_then() -> None:
    balance = Balance(RetryBudget(), 0)
    while balance.spend(0):
        pass
    assert [balance.spend(at) for at in (0.5, 1.0, 1.5, 2.0)] == [False, True, False, True]
    assert sum(balance.spend(1e6) for _ in range(100)) == 10  # saved, but no more than the reserve
    assert not balance.spend(0)  # a clock that ran backwards earns nothing


def test_budgets_at_the_edges() -> None:
    nothing = Balance(RetryBudget(share=0, reserve=0, per_second=0), 0)
    nothing.earn(0)
    assert not nothing.spend(1e9)
    small = Balance(RetryBudget(share=0.2, reserve=0.5, per_second=0), 0)
    for _ in range(3):
        small.earn(0)
    assert small.spend(0)  # half of one, and three fifths
    fifths = Balance(RetryBudget(share=0.1, reserve=1, per_second=0), 0)
    assert fifths.spend(0)
    for _ in range(9):
        fifths.earn(0)
        assert not fifths.spend(0)
    fifths.earn(0)
    assert fifths.spend(0)


@given(
    st.builds(RetryBudget, st.floats(0, 3), st.floats(0, 50), st.floats(0, 50)),
    st.lists(st.tuples(st.booleans(), st.floats(0, 10)), max_size=200),
)
def test_never_more_than_was_earned(budget: RetryBudget, events: list[tuple[bool, float]]) -> None:
    balance = Balance(budget, 0)
    now, earned, spent = 0.0, budget.reserve, 0
    for is_new, later in events:
        now += later
        if is_new:
            balance.earn(now)
            earned += budget.share
        else:
            spent += balance.spend(now)
        assert spent <= earned + now * budget.per_second + 1e-6
        assert 0 <= balance.tokens <= max(budget.reserve, 1)


# -- as a value --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *[("attempts", value) for value in (-1, 1.0, True, None, "2")],
        *[("statuses", value) for value in (503, None, ["503"], [True], [99], [1000], "503")],
        *[("methods", value) for value in ("GET", None, 3, ["GE T"], [3], [""])],
        *[("backoff", value) for value in (-1, nan, inf, "1", None, True)],
        *[("budget", value) for value in (0.2, True, "x")],
        *[("max_retry_after", value) for value in (-1, nan, inf, None, True)],
    ],
)
def test_bad_arguments_are_named(argument: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Retry(**{argument: value})
    assert caught.value.argument == argument


@pytest.mark.parametrize(
    ("kind", "argument", "value"),
    [
        *[(Backoff, name, value) for name in ("first", "maximum", "factor") for value in (-1, nan, inf, "1", None, True)],
        (Backoff, "factor", 0.5),
        *[(RetryBudget, name, value) for name in ("share", "reserve", "per_second") for value in (-1, nan, inf, "1", None)],
    ],
)
def test_so_are_those_of_its_parts(kind: Any, argument: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        kind(**{argument: value})
    assert caught.value.argument == argument


def test_a_policy_is_a_value() -> None:
    assert Retry() == Retry(2, [408, 429, 502, 503, 504], list(IDEMPOTENT))
    assert hash(Retry(methods=["get"])) == hash(Retry(methods=("GET",)))
    with pytest.raises(AttributeError):
        Retry().attempts = 3  # type: ignore[misc]


def test_how_a_caller_may_say_it() -> None:
    assert read_retries(None) is read_retries(0) is read_retries(False) is read_retries(Retry(0)) is None
    assert read_retries(3) == Retry(attempts=3)
    policy = Retry(budget=None)
    assert read_retries(policy) is policy
    for wrong in (-1, True, 1.5, "3", [3]):
        with pytest.raises(UsageError) as caught:
            read_retries(wrong)
        assert caught.value.argument == "retries"
        with pytest.raises(UsageError):
            wirebird.HTTPClient(retries=wrong)  # type: ignore[arg-type]
