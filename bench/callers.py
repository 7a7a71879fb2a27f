"""The callers of a client: as many coroutines as the workload has, each asking again as soon as it has its answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from .contenders import Contender
from .phase import Phase, gather_in_bursts
from .workloads import Workload

__all__ = ["Callers"]


class Callers:
    """One workload on one client.  `upload` is the path of the file to send."""

    def __init__(self, workload: Workload, client: Contender, urls: dict[str, str], upload: str) -> None:
        self.workload = workload
        self.client = client
        self.urls = urls
        self.upload = upload

    def call(self) -> Callable[[], Awaitable[Any]]:
        workload, client = self.workload, self.client
        url = self.urls[workload.target]
        if workload.operation == "post_json":
            return partial(client.post_json, url, workload.expected)
        if workload.operation == "upload":
            return partial(client.upload, url, self.upload)
        if workload.operation == "stream":
            return partial(client.stream, url)
        if workload.operation == "events":
            return partial(client.events, url)
        return partial(client.get, url)

    async def fill(self) -> None:
        """Make the client open all its connections at once: each request is held until all of them are there."""
        wanted = self.workload.connections
        url = f"{self.urls['hold']}/{wanted}"
        await gather_in_bursts(wanted, lambda: self.client.get(url))

    async def turn(self, seconds: float) -> tuple[int, dict[str, int]]:
        """Ask for `seconds`; return the number of right answers, and how often which error occurred."""
        phase = Phase()
        errors: Counter[str] = Counter()
        call, expected = self.call(), self.workload.expected

        async def caller() -> int:
            count = 0
            while not phase.over:
                try:
                    answer = await call()
                except Exception as error:
                    errors[f"{type(error).__name__}: {error}"[:200]] += 1
                    if errors.total() > 100:
                        break
                    await asyncio.sleep(0)  # a client that fails at once must not keep the loop from ending the phase
                    continue
                if answer != expected:
                    errors[f"wrong answer: {answer!r}"[:200]] += 1
                else:
                    count += 1
            return count

        phase.end_in(seconds)
        return sum(await asyncio.gather(*[caller() for _ in range(self.workload.callers)])), dict(errors)
