"""Rate and concurrency limits: the bucket with time as an argument, the lines on a virtual clock, the client on a real one."""

from __future__ import annotations

import asyncio
import gc
import random
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import raw_peer
import wirebird
from origin import Asked, Origin, Wire, run
from raw_peer import Peer, answer, check_settled
from virtual_time import run_virtual
from wirebird import HTTPClient, HttpResponse, RateLimit, Request, Retry, Timeouts, UsageError
from wirebird.models.bucket import Bucket

TODAY = 1_750_000_000.0
CLIENT = HTTPClient()  # to make requests with; it sends none


# -- the bucket --------------------------------------------------------------------------------------------------------------


def test_a_burst_and_then_one_by_one():
    bucket = Bucket(0.5, 3)
    taken = []
    now = 10.0
    for _ in range(6):
        now = bucket.ready_at(now)
        bucket.take(now)
        taken.append(now)
    assert taken == pytest.approx([10, 10, 10, 10.5, 11, 11.5])
    assert bucket.ready_at(100) == 100
    assert bucket.is_full(100)


def test_those_ahead_are_reckoned_with():
    bucket = Bucket(0.5, 2)
    assert [bucket.ready_at(10, ahead) for ahead in range(4)] == pytest.approx([10, 10, 10.5, 11])
    bucket.take(10)
    assert [bucket.ready_at(10.25, ahead) for ahead in range(3)] == pytest.approx([10.25, 10.5, 11])


def test_given_back_is_as_if_never_taken():
    bucket = Bucket(1, 1)
    bucket.take(5)
    assert bucket.ready_at(5) == 6
    bucket.give_back()
    assert bucket.ready_at(5) == 5


def test_blocked_and_then_not_all_at_once():
    bucket = Bucket(1, 10)
    bucket.block(20)
    assert not bucket.is_full(19)
    assert [bucket.ready_at(10, ahead) for ahead in range(3)] == [20, 21, 22]
    bucket.block(15)  # an earlier one changes nothing
    assert bucket.ready_at(10) == 20
    bucket.give_back()  # nor does a token that comes back
    assert bucket.ready_at(10) == 20
    free = Bucket(0, 1)  # no rate, so nothing to space out
    free.block(20)
    assert [free.ready_at(10), free.ready_at(10, 5), free.ready_at(20)] == [20, 20, 20]


@given(st.floats(0.01, 10), st.integers(1, 20), st.lists(st.floats(0, 5), max_size=100))
def test_it_is_the_bucket_of_the_textbook(interval: float, burst: int, pauses: list[float]) -> None:
    """Beside one that counts tokens; and never more than it should be, in any window of time."""
    bucket = Bucket(interval, burst)
    tokens, now, taken = float(burst), 100.0, []
    for pause in pauses:
        now += pause
        tokens = min(float(burst), tokens + pause / interval)
        if abs(tokens - 1) < 1e-3:
            continue  # too close to call in floating point
        assert (bucket.ready_at(now) == now) == (tokens >= 1)
        if tokens >= 1:
            bucket.take(now)
            tokens -= 1
            taken.append(now)
        else:
            assert bucket.ready_at(now) - now == pytest.approx((1 - tokens) * interval, abs=1e-5)
    for start, begin in enumerate(taken):
        for end in range(start, len(taken)):
            assert end - start + 1 <= burst + (taken[end] - begin) / interval + 1e-3


# -- the lines, on a virtual clock -------------------------------------------------------------------------------------------


class World:
    """A middleware around a network that answers what it is told, after so many seconds, and notes when it was asked."""

    def __init__(self, limit: RateLimit, seconds: float = 0.0) -> None:
        self.limit = limit
        self.seconds = seconds
        self.asked: list[tuple[str, float]] = []
        self.at_work = self.most_at_work = 0
        self.answers: list[HttpResponse] = []
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        limit._clock = self._loop.time
        limit._today = lambda: TODAY + self._loop.time() - self._began

    @property
    def now(self) -> float:
        return round(self._loop.time() - self._began, 6)

    @property
    def times(self) -> list[float]:
        return [at for _, at in self.asked]

    async def handler(self, request: Request) -> HttpResponse:
        self.asked.append((request.url.path, self.now))
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.at_work -= 1
        return self.answers.pop(0) if self.answers else HttpResponse.make(request=request)

    async def get(self, url: str = "http://a.test/", limit: float = inf) -> HttpResponse:
        request = CLIENT.prepare("GET", url, {"timeouts": Timeouts(request_timeout=limit if limit < inf else None)})
        request.deadline = self._loop.time() + limit
        return await self.limit(request, self.handler)

    def start(self, url: str = "http://a.test/", limit: float = inf) -> asyncio.Task[HttpResponse]:
        return asyncio.ensure_future(self.get(url, limit))


def test_so_many_per_second():
    async def main():
        world = World(RateLimit(10, burst=5))
        await asyncio.gather(*[world.get() for _ in range(25)])
        assert world.times == pytest.approx([0.0] * 5 + [number / 10 for number in range(1, 21)])
        await asyncio.sleep(10)
        await asyncio.gather(*[world.get() for _ in range(6)])
        assert world.times[25:] == pytest.approx([12.0] * 5 + [12.1])

    run_virtual(main)


def test_the_rate_may_be_slow_and_even():
    async def main():
        world = World(RateLimit(2, per=60, burst=1))
        await asyncio.gather(*[world.get() for _ in range(4)])
        assert world.times == pytest.approx([0, 30, 60, 90])
        assert RateLimit(2, per=60).burst == 2
        assert RateLimit(0.5).burst == 1
        assert RateLimit(2.7).burst == 2

    run_virtual(main)


@pytest.mark.parametrize(
    ("by", "urls", "at_once"),
    [
        ("host", ["http://a.test/", "https://a.test/", "http://a.test:81/", "http://A.TEST/"], 1),
        ("host", ["http://a.test/", "http://b.test/", "http://www.a.test/"], 3),
        ("origin", ["http://a.test/", "https://a.test/", "http://a.test:81/", "http://A.TEST:80/"], 3),
        (lambda request: request.url.path, ["http://a.test/x", "http://b.test/x", "http://a.test/y"], 2),
        (lambda request: None, ["http://a.test/x", "http://a.test/x"], 2),
    ],
)
def test_by_what(by, urls, at_once):
    async def main():
        world = World(RateLimit(1, burst=1, by=by))
        await asyncio.gather(*[world.get(url) for url in urls])
        assert sum(at == 0 for at in world.times) == at_once

    run_virtual(main)


def test_first_come_first_served_also_behind_a_line():
    async def main():
        world = World(RateLimit(10, burst=1, concurrency=2), seconds=0.15)
        tasks = [world.start(f"http://a.test/{number}") for number in range(10)]
        await asyncio.sleep(0.5)  # a moment at which one could go, were nobody in line
        tasks += [world.start(f"http://a.test/{number}") for number in range(10, 20)]
        await asyncio.gather(*tasks)
        assert [path for path, _ in world.asked] == [f"/{number}" for number in range(20)]

    run_virtual(main)


def test_so_many_at_once():
    async def main():
        world = World(RateLimit(concurrency=3), seconds=1)
        await asyncio.gather(*[world.get() for _ in range(10)])
        assert world.most_at_work == 3
        assert world.now == 4
        both = World(RateLimit(10, burst=10, concurrency=2), seconds=1)
        await asyncio.gather(*[both.get() for _ in range(4)])
        assert both.times == [0, 0, 1, 1]

    run_virtual(main)


def test_what_fails_makes_room():
    async def main():
        world = World(RateLimit(concurrency=1))

        async def fail(request):
            await asyncio.sleep(1)
            raise ValueError("mine")

        world.handler = fail
        results = await asyncio.gather(*[world.get() for _ in range(3)], return_exceptions=True)
        assert [type(result) for result in results] == [ValueError] * 3
        assert world.now == 3
        assert world.limit._gates["a.test"]._running == 0

        async def nothing(request):
            return None  # a middleware that forgot its return

        world.handler = nothing
        with pytest.raises(AttributeError):
            await world.get()
        assert world.limit._gates["a.test"]._running == 0

    run_virtual(main)


def test_too_late_is_said_at_once():
    async def main():
        world = World(RateLimit(1, per=10, burst=1))
        tasks = [world.start(limit=25) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(wirebird.RequestTimeout) as caught:
            await world.get(limit=25)
        assert world.now == 0
        assert caught.value.message == "the rate limit of a.test lets the request go in 30 s, and it has 25 s"
        assert (caught.value.limit, caught.value.peer, caught.value.phase) == (25, "a.test", "waiting for the rate limit")
        await asyncio.gather(*tasks)
        assert world.times == [0, 10, 20]

    run_virtual(main)


def test_a_place_that_does_not_become_free_in_time():
    async def main():
        world = World(RateLimit(concurrency=1), seconds=10)
        first = world.start()
        await asyncio.sleep(0)
        late = world.start(limit=3)
        patient = world.start()
        with pytest.raises(wirebird.RequestTimeout, match=r"the rate limit of a\.test did not let the request go in time"):
            await late
        assert world.now == 3
        await asyncio.gather(first, patient)
        assert world.times == [0, 10]

    run_virtual(main)


@pytest.mark.parametrize(
    ("status", "value", "until"),
    [
        (429, "7", 7),
        (503, "7", 7),
        (503, "Sun, 15 Jun 2025 15:06:47 GMT", 7),
        (429, "Sunday, 15-Jun-25 15:06:47 GMT", 7),
        (429, "Sun Jun 15 15:06:47 2025", 7),
        (429, "1000", 60),
        (429, "9" * 5000, 60),
        (429, "Fri, 31 Dec 9999 23:59:59 GMT", 60),
        (429, "0", 0),
        (429, "Sun, 15 Jun 2025 15:06:30 GMT", 0),
        (429, "whenever", 0),
        (500, "7", 0),
        (200, "7", 0),
    ],
)
def test_retry_after_holds_for_everybody(status, value, until):
    async def main():
        world = World(RateLimit(10, burst=10))
        world.answers.append(HttpResponse.make(status, {"Retry-After": value}))
        assert (await world.get()).status_code == status
        await asyncio.gather(*[world.get() for _ in range(3)], world.get("http://b.test/"))
        at_b = [at for path, at in world.asked[1:] if at == 0]
        if until:
            assert len(at_b) == 1  # the other host has nothing to do with it
            assert sorted(world.times)[2:] == pytest.approx([until, until + 0.1, until + 0.2])
        else:
            assert world.times == [0] * 5

    run_virtual(main)


def test_retry_after_for_those_who_are_in_line():
    async def main():
        world = World(RateLimit(1, burst=1), seconds=0.5)
        world.answers.append(HttpResponse.make(429, {"Retry-After": "20"}))
        tasks = [world.start(limit=limit) for limit in (30, 10, 30, 21.4, 21.6)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [getattr(result, "status_code", type(result).__name__) for result in results] == [
            *(429, "RequestTimeout", 200, "RequestTimeout", 200)
        ]
        assert world.times == pytest.approx([0, 20.5, 21.5])
        assert "lets the request go in 20 s, and it has 9.5 s" in str(results[1])

    run_virtual(main)


def test_a_block_that_is_pushed_ahead_again_and_again():
    """Many answers, each a little later: those in line are looked over now and then, and nobody goes too early."""

    async def main():
        world = World(RateLimit(10, burst=60))
        sent = 0

        async def handler(request):
            nonlocal sent
            sent += 1
            world.asked.append((request.url.path, world.now))
            await asyncio.sleep(0.3 + sent / 1000)
            return HttpResponse.make(429 if world.now < 1 else 200, {"Retry-After": "5"} if world.now < 1 else {})

        world.handler = handler
        results = await asyncio.gather(*[world.get(limit=5.9) for _ in range(80)], return_exceptions=True)
        assert world.times[:63] == pytest.approx([0] * 60 + [0.1, 0.2, 0.3])
        until = 0.3 + 0.3 + 0.063 + 5  # the last answer counts
        assert world.times[63:] == pytest.approx([until, until + 0.1, until + 0.2])
        kinds = [getattr(result, "status_code", type(result).__name__) for result in results]
        assert kinds == [429] * 63 + [200] * 3 + ["RequestTimeout"] * 14

    run_virtual(main)


def test_cancelled_in_line():
    async def main():
        world = World(RateLimit(1, burst=1))
        tasks = [world.start(f"http://a.test/{number}") for number in range(5)]
        await asyncio.sleep(0.5)
        tasks[1].cancel()  # the next
        tasks[3].cancel()
        await asyncio.wait(tasks)
        assert world.asked == [("/0", 0), ("/2", 1), ("/4", 2)]
        alone = world.start()
        await asyncio.sleep(0)
        alone.cancel()
        await asyncio.wait([alone])
        assert world.limit._gates["a.test"]._timer is None

    run_virtual(main)


def test_cancelled_in_the_turn_in_which_it_was_let_through():
    async def main():
        class Fatal(asyncio.Future):
            """Whoever it lets through is cancelled before it can run."""

            def set_result(self, result):
                super().set_result(result)
                second.cancel()

        for limits in ({"rate": 1, "burst": 1}, {"concurrency": 1}, {"rate": 1, "burst": 1, "concurrency": 1}):
            loop = asyncio.get_running_loop()
            world = World(RateLimit(**limits), seconds=1)
            first = world.start()
            await asyncio.sleep(0)
            loop.create_future = lambda: Fatal(loop=asyncio.get_running_loop())
            second = world.start("http://a.test/2")
            await asyncio.sleep(0)
            del loop.create_future
            third = world.start("http://a.test/3")
            await asyncio.wait([first, second, third])
            assert second.cancelled()
            assert world.asked == [("/", 0), ("/3", 1)]  # the token and the place were passed on, not lost
            assert world.limit._gates["a.test"]._running == 0

    run_virtual(main)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_cancelled_the_books_balance(seed):
    async def main():
        chance = random.Random(seed)
        world = World(RateLimit(20, burst=3, concurrency=4), seconds=0.2)
        tasks = []
        for number in range(100):
            tasks.append(world.start(f"http://a.test/{number}", limit=chance.choice([0.5, 3, inf])))
            if chance.random() < 0.4:
                chance.choice(tasks).cancel()
            await asyncio.sleep(chance.choice([0, 0, 0.01, 0.1]))
        await asyncio.wait(tasks)
        gate = world.limit._gates["a.test"]
        assert (gate._running, len(gate._line), gate._timer) == (0, 0, None)
        assert world.most_at_work <= 4
        let_through = [at for _, at in sorted(world.asked, key=lambda one: int(one[0][1:]))]
        assert let_through == sorted(let_through)  # first come, first served
        for begin in range(len(world.times)):
            for end in range(begin + 1, len(world.times)):
                assert end - begin + 1 <= 3 + (world.times[end] - world.times[begin]) * 20 + 1e-3
        await asyncio.sleep(10)
        assert gate.is_idle(asyncio.get_running_loop().time())

    run_virtual(main)


def test_hosts_are_forgotten_when_there_is_nothing_to_remember(monkeypatch):
    monkeypatch.setattr("wirebird.client.middleware.rate_limit._HOSTS", 64)

    async def main():
        world = World(RateLimit(1, concurrency=5))
        for number in range(600):
            await world.get(f"http://h{number}.test/")
            if number % 10 == 0:
                await asyncio.sleep(1)
            assert len(world.limit._gates) <= 64
        # Those about whom there is something to remember are not.
        world = World(RateLimit(1, per=10_000, burst=1))
        for number in range(300):
            await world.get(f"http://h{number}.test/")
        assert len(world.limit._gates) == 300
        with pytest.raises(wirebird.RequestTimeout):
            await world.get("http://h0.test/", limit=5)

    run_virtual(main)


def test_a_wait_costs_the_same_however_long_the_line():
    async def main():
        world = World(RateLimit(1000, burst=1))
        loop = asyncio.get_running_loop()
        calls = 0
        call_later = loop.call_later

        def counted(*args: Any, **keywords: Any) -> Any:
            nonlocal calls
            calls += 1
            return call_later(*args, **keywords)

        loop.call_later = counted
        await asyncio.gather(*[world.get() for _ in range(500)])
        assert calls <= 510  # one timer for each that was let through, none for those behind
        assert world.now == pytest.approx(0.499)

    run_virtual(main)


# -- in a client -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_client_with_a_rate(loop):
    async def main():
        limit = RateLimit(100, burst=5)
        async with Origin() as origin, HTTPClient(network_middlewares=[limit]) as client:
            started = asyncio.get_running_loop().time()
            responses = await asyncio.gather(*[client.get(origin.url("/echo")) for _ in range(15)])
            assert [response.status_code for response in responses] == [200] * 15
            assert asyncio.get_running_loop().time() - started > 0.09
            assert repr(limit) == "<RateLimit 100 per 1 s, 1 hosts>"

    run(main, loop)


@pytest.mark.parametrize("how", ["read", "iterate", "close", "leave", "forget", "break", "cancel"])
def test_a_place_is_taken_until_the_body_is_done(how):
    async def script(link):
        while await link.request():
            await link.send(answer(b"x" * 300_000)[: 200_000 if how == "break" else None])
            if how == "break":
                link.reset()

    async def main():
        limit = RateLimit(concurrency=1)
        async with Peer(script) as peer, HTTPClient(network_middlewares=[limit]) as client:
            response = await client.get(peer.url())
            waiting = asyncio.ensure_future(client.get(peer.url()))
            for _ in range(20):
                await asyncio.sleep(0)
            assert not waiting.done()
            assert len(limit._gates["127.0.0.1"]._line) == (how != "break" or not response._incoming.error)
            if how == "read":
                assert len(await response.content()) == 300_000
            elif how == "iterate":
                async for _ in response.iter_bytes(1000):
                    pass
            elif how == "close":
                await response.close()
            elif how == "leave":
                async with response:
                    await response.read(5)
            elif how == "forget":
                del response
                gc.collect()
            elif how == "break":
                with pytest.raises(wirebird.WirebirdError):
                    await response.content()
            else:
                reader = asyncio.ensure_future(response.content())
                await asyncio.sleep(0)
                reader.cancel()
                await asyncio.wait([reader])
            second = await waiting
            await second.close()
            assert limit._gates["127.0.0.1"]._running == 0
            del second
            await client.wait_requests(5)
            check_settled(client)

    raw_peer.run(main)


def test_cancelled_at_every_turn_of_the_loop():
    async def script(link):
        while await link.request():
            await link.send(answer(b"x" * 3000))

    async def main():
        limit = RateLimit(rate=100_000, burst=1, concurrency=1)
        async with Peer(script) as peer, HTTPClient(network_middlewares=[limit]) as client:
            for turns in range(40):
                tasks = [asyncio.ensure_future(client.get(peer.url())) for _ in range(3)]
                for _ in range(turns):
                    await asyncio.sleep(0)
                for task in tasks[turns % 2 :]:
                    task.cancel()
                await asyncio.wait(tasks)
                assert tasks[0].cancelled() or tasks[0].result().status_code == 200
                del tasks, task
            await asyncio.sleep(0)
            gc.collect()
            gate = limit._gates["127.0.0.1"]
            assert (gate._running, len(gate._line), gate._timer) == (0, 0, None)
            assert await client.wait_requests(5)
            check_settled(client)

    raw_peer.run(main)


def test_redirects_and_retries_are_counted_one_by_one():
    async def main():
        limit = RateLimit(1, per=1000, burst=6, concurrency=1)
        client = HTTPClient(network_middlewares=[limit], follow=True, retries=Retry(2, backoff=0))
        async with Origin() as origin, client:
            assert (await client.get(origin.url("/chain/2"))).status_code == 200
            assert (await client.get(origin.url("/status/503"))).status_code == 503
            with pytest.raises(wirebird.RequestTimeout, match="lets the request go in"):
                await client.get(origin.url("/echo"))
            assert len(origin.asked) == 6

    run(main)


def test_a_retry_waits_for_what_the_limit_waits_for():
    async def main():
        async with Origin() as origin:

            async def handler(asked: Asked, wire: Wire) -> None:
                first = len(origin.asked) == 1
                await wire.respond(429 if first else 200, [("Retry-After", "1")] if first else [])

            origin.on("/busy", handler)
            limit = RateLimit(100, max_retry_after=0.05)
            policy = Retry(1, backoff=0, respect_retry_after=False)
            async with HTTPClient(network_middlewares=[limit], retries=policy) as client:
                began = asyncio.get_running_loop().time()
                assert (await client.get(origin.url("/busy"))).status_code == 200
                assert asyncio.get_running_loop().time() - began > 0.045

    run(main)


def test_from_one_loop_to_another():
    limit = RateLimit(1, per=1000, burst=3, concurrency=1)
    client = HTTPClient(network_middlewares=[limit])
    held: list[HttpResponse] = []

    async def first():
        async with Origin() as origin:
            held.append(await client.get(origin.url("/bytes/1000000")))  # never read: takes the one place with it
            waiting = asyncio.ensure_future(client.get(origin.url("/echo")))
            await asyncio.sleep(0)
            assert limit._gates["127.0.0.1"]._line
            waiting.cancel()
            await asyncio.wait([waiting])

    async def second():
        async with Origin() as origin:
            for _ in range(2):
                assert (await client.get(origin.url("/echo"))).status_code == 200
            with pytest.raises(wirebird.RequestTimeout):  # what was used up is used up
                await client.get(origin.url("/echo"))
            held.clear()
            gc.collect()
            assert limit._gates["127.0.0.1"]._running == 0

    run(first)
    run(second, "uvloop")


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("rate", {"rate": None}),
        *[("rate", {"rate": value}) for value in (0, -1, nan, inf, "1", True)],
        *[("per", {"rate": 1, "per": value}) for value in (0, -1, nan, inf, None)],
        *[("burst", {"rate": 1, "burst": value}) for value in (0, 1.5, True, "1")],
        *[("concurrency", {"concurrency": value}) for value in (0, -1, 1.5, True)],
        *[("by", {"rate": 1, "by": value}) for value in ("port", None, 3)],
        *[("max_retry_after", {"rate": 1, "max_retry_after": value}) for value in (0, -1, inf, None)],
    ],
)
def test_bad_arguments_are_named(argument: str, values: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        RateLimit(**values)
    assert caught.value.argument == argument
