"""Retries, made: what `client/retry.py` decides is done, in the task of the call.

Every attempt is a copy of the request that came in, so that what is further inside, cookies and the caller's
`network_middlewares`, finds each as the first.  A response that is not the last is let go of before the wait, so that its
connection serves somebody else meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import random as random_number
from time import monotonic, time

from ...errors import ClientClosed, WirebirdError
from ...models.message import Request
from ...pipeline import Handler
from ..pauses import Pauses
from ..response import HttpResponse
from ..retry import Attempt, Balance, Outcome, Retry, RetryBudget

__all__ = ["Retries"]

# How many of the attempts before it an error tells of.
_TOLD = 5

# A client has one budget, or a few.  A program that makes one for each call has none, but memory.
_BUDGETS = 64


class Retries:
    """The middleware, and what the calls of one client share: the balances of their budgets, and `pauses`, the waits under way.

    `sleep`, `random`, `clock` (of the deadlines) and `today` (POSIX seconds) are the world's, unless a test brings its own.
    """

    def __init__(
        self,
        pauses: Pauses | None = None,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: Callable[[], float] = random_number,
        clock: Callable[[], float] = monotonic,
        today: Callable[[], float] = time,
    ) -> None:
        self._pauses = pauses if pauses is not None else Pauses()
        self._sleep = sleep
        self._random = random
        self._clock = clock
        self._today = today
        self._balances: dict[RetryBudget, Balance] = {}

    async def __call__(self, request: Request, handler: Handler[Request, HttpResponse]) -> HttpResponse:
        """Send `request` as often as its policy wants; without a policy, once."""
        policy: Retry | None = request.options.retries
        if policy is None:
            return await handler(request)
        balance = self._balance(policy.budget)
        before: list[str] = []  # what came of the attempts before this one
        while True:
            failure: WirebirdError | None = None
            try:
                response = await handler(request.copy())
            except WirebirdError as error:
                delay = self._decide(policy, balance, before, request, error)
                if delay is None:
                    raise
                failure = error
                before.append(type(error).__name__)
            else:
                if response.status_code not in policy.statuses:
                    if balance is not None and not before:
                        balance.earn(self._clock())
                    return response
                outcome = (response.status_code, response.headers.get_list("retry-after"))
                delay = self._decide(policy, balance, before, request, outcome)
                if delay is None:
                    return response
                before.append(str(response.status_code))
                await response.close()
                del response  # or it would outlive the wait
            try:
                await self._wait(delay, request, failure)
            finally:
                del failure  # which refers to this frame, and this frame to it

    def _decide(
        self, policy: Retry, balance: Balance | None, before: list[str], request: Request, outcome: Outcome
    ) -> float | None:
        """The wait before the next attempt, paid for; None if there is none, of which an error then tells."""
        number = len(before) + 1
        body = request.body
        replayable = body is None or isinstance(body, bytes) or body.replayable()
        now = self._clock()
        attempt = Attempt(number, request.method, replayable, now, request.deadline, self._today(), self._random())
        delay = None if self._pauses.closed else policy.delay(attempt, outcome)
        # Earned with the outcome and not with the sending: a thousand that are sent at once would earn what cannot be kept.
        if balance is not None and not before:
            balance.earn(now)
        broke = delay is not None and balance is not None and not balance.spend(now)
        if (delay is None or broke) and isinstance(outcome, Exception):
            if before:
                so_far = ", ".join(["…", *before[-_TOLD:]] if number > _TOLD + 1 else before)
                outcome.add_note(f"this was attempt {number} of {1 + policy.attempts}, after {so_far}")
            if not replayable and policy.delay(attempt._replace(replayable=True), outcome) is not None:
                outcome.add_note("it was not tried again: its body can be read only once")
            if broke:
                outcome.add_note("it was not tried again: the retry budget of the client is used up")
        return None if broke else delay

    def _balance(self, budget: RetryBudget | None) -> Balance | None:
        if budget is None:
            return None
        balance = self._balances.get(budget)
        if balance is None:
            if len(self._balances) >= _BUDGETS:
                self._balances.clear()
            balance = self._balances[budget] = Balance(budget, self._clock())
        return balance

    async def _wait(self, seconds: float, request: Request, failure: WirebirdError | None) -> None:
        await self._pauses.wait(object(), self._sleep(seconds))
        if self._pauses.closed:
            peer = request.destination.authority
            raise ClientClosed("the client was closed", peer=peer, phase="waiting to try again") from failure
