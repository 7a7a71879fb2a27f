"""One timer for all deadlines: it fires in time, never for nothing twice, and loses none."""

from __future__ import annotations

import asyncio
import random
from time import monotonic

import pytest

from wirebird.errors import UsageError
from wirebird.net import timeouts as module
from wirebird.net.timeouts import GRAIN, NEVER, Timeouts, Watch


class Item:
    """Something with a deadline; `again` is where it moves it when it expires."""

    def __init__(self, deadline, again=NEVER):
        self.deadline = deadline
        self.again = again
        self.expired = []

    def expire(self, now):
        self.expired.append(now)
        self.deadline = self.again


class Handle:
    def __init__(self, at, callback):
        self.at = at
        self.callback = callback
        self.cancelled = False

    def cancel(self):
        self.cancelled = True


class Clock:
    """A loop that has nothing but a clock, which the test moves."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        self.handles = []
        self.made = 0
        monkeypatch.setattr(module, "monotonic", lambda: self.now)

    def call_later(self, delay, callback):
        assert delay >= 0
        self.made += 1
        self.handles.append(Handle(self.now + delay, callback))
        return self.handles[-1]

    def move(self, seconds):
        """Let time pass, and the timers of that time fire."""
        end = self.now + seconds
        while due := [handle for handle in self.handles if handle.at <= end and not handle.cancelled]:
            handle = min(due, key=lambda handle: handle.at)
            self.handles.remove(handle)
            self.now = max(self.now, handle.at)
            handle.callback()
        self.now = end

    @property
    def armed(self):
        return [handle.at for handle in self.handles if not handle.cancelled]


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def watching(clock, *items):
    watch = Watch(clock, lambda: iter(items))
    for item in items:
        if item.deadline < watch.next_at:
            watch.arm(item.deadline)
    return watch


def test_everything_expires_in_its_time(clock):
    items = [Item(clock.now + delay) for delay in (3, 1, 2, NEVER)]
    watch = watching(clock, *items)
    for passed, expected in ((0.9, 0), (0.2, 1), (1, 2), (1, 3), (100, 3)):
        clock.move(passed)
        assert sum(len(item.expired) for item in items) == expected
    assert (clock.armed, watch.next_at) == ([], NEVER)


def test_there_is_never_more_than_one_timer(clock):
    items = [Item(clock.now + 10 - n) for n in range(9)]
    watching(clock, *items)
    assert clock.armed == [clock.now + 2]


def test_a_later_deadline_costs_nothing(clock):
    item = Item(clock.now + 1)
    watch = watching(clock, item)
    made = clock.made
    for n in range(100):
        watch.arm(clock.now + 1 + n)
    assert clock.made == made


def test_a_deadline_that_was_moved_is_noticed_when_the_timer_fires(clock):
    item = Item(clock.now + 1)
    watch = watching(clock, item)
    clock.move(0.5)
    item.deadline = clock.now + 5  # nobody told the watch
    clock.move(1)
    assert item.expired == []
    assert clock.armed == [pytest.approx(item.deadline)]
    assert watch.next_at == item.deadline
    clock.move(4.6)
    assert len(item.expired) == 1


def test_one_that_moves_its_own_deadline(clock):
    item = Item(clock.now + 1, again=clock.now + 2)
    watching(clock, item)
    clock.move(1.5)
    assert len(item.expired) == 1
    item.again = NEVER
    clock.move(1)
    assert len(item.expired) == 2
    assert clock.armed == []


def test_one_that_keeps_a_deadline_in_the_past_does_not_spin(clock):
    item = Item(clock.now - 1, again=clock.now - 1)
    watching(clock, item)
    clock.move(1)
    assert len(item.expired) <= 1 / GRAIN + 2


def test_close_deadlines_share_a_sweep(clock):
    start = clock.now + 1
    items = [Item(start + n * GRAIN / 1000) for n in range(1000)]
    watching(clock, *items)
    made = clock.made
    clock.move(2)
    assert all(len(item.expired) == 1 for item in items)
    assert clock.made - made <= 2


def test_ten_thousand_deadlines_cost_no_ten_thousand_sweeps(clock):
    items = [Item(clock.now + n / 10_000) for n in range(10_000)]
    watching(clock, *items)
    made = clock.made
    clock.move(2)
    assert all(len(item.expired) == 1 for item in items)
    assert clock.made - made <= 1 / GRAIN + 2


def test_nothing_expires_much_too_early_or_late(clock):
    chance = random.Random(3)
    items = [Item(clock.now + chance.random() * 5) for _ in range(500)]
    due = {item: item.deadline for item in items}
    watching(clock, *items)
    for _ in range(600):
        clock.move(0.01)
    for item in items:
        assert len(item.expired) == 1
        assert abs(item.expired[0] - due[item]) <= 2.1 * GRAIN


def test_things_come_and_go_while_it_sweeps(clock):
    items = []

    class Parent(Item):
        def expire(self, now):
            super().expire(now)
            items.remove(self)
            items.append(Item(clock.now + 1))
            if clock.now + 1 < watch.next_at:
                watch.arm(clock.now + 1)

    watch = Watch(clock, lambda: iter(items))
    items.extend(Parent(clock.now + 1) for _ in range(3))
    watch.arm(clock.now + 1)
    clock.move(1.5)
    children = list(items)
    assert len(children) == 3
    assert len(clock.armed) == 1
    clock.move(1)
    assert all(len(child.expired) == 1 for child in children)


def test_stop(clock):
    item = Item(clock.now + 1)
    watch = watching(clock, item)
    watch.stop()
    watch.stop()
    assert (clock.armed, watch.next_at) == ([], NEVER)
    clock.move(5)
    assert item.expired == []
    watch.arm(item.deadline)  # long past: as soon as can be
    clock.move(0)
    assert len(item.expired) == 1


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_on_a_real_loop(kind):
    factory = pytest.importorskip("uvloop").new_event_loop if kind == "uvloop" else asyncio.new_event_loop

    async def main():
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        items = [Item(monotonic() + delay) for delay in (0.03, 0.01, 0.02)]
        due = [item.deadline for item in items]

        class Last(Item):
            def expire(self, now):
                super().expire(now)
                done.set_result(None)

        items.append(Last(monotonic() + 0.04))
        watch = Watch(loop, lambda: items)
        for item in items:
            if item.deadline < watch.next_at:
                watch.arm(item.deadline)
        await asyncio.wait_for(done, 2)
        for item, at in zip(items, due, strict=False):
            assert len(item.expired) == 1
            assert item.expired[0] >= at

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


def test_timeouts():
    assert Timeouts() == Timeouts(5, 30, None, 60)
    assert (Timeouts().read, Timeouts().total, Timeouts().pool) == (30, 60, NEVER)
    for nothing in (None, 0, 0.0):
        limits = Timeouts(nothing, nothing, nothing, nothing)
        assert (limits.read, limits.total, limits.pool) == (NEVER, NEVER, NEVER)
    for name in ("sock_connect", "sock_read", "pool_acquire", "request_timeout"):
        for value in (-1, -0.1, float("inf"), float("nan"), "1", True, [1]):
            with pytest.raises(UsageError) as info:
                Timeouts(**{name: value})
            assert info.value.argument == name
    with pytest.raises(AttributeError):
        Timeouts().sock_read = 1
