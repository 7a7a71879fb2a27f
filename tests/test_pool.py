"""The pool's decisions, with connections that are nothing but names: no socket, and no time but what the test says."""

from __future__ import annotations

import asyncio
import random
from time import monotonic, perf_counter
from types import SimpleNamespace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from effort import examples
from wirebird.errors import ClientClosed, PoolTimeout, RequestTimeout, UsageError
from wirebird.net.pool import STREAK, CyclicQueuePool, SmartPool, Ticket
from wirebird.net.timeouts import NEVER, Timeouts

NO_LIMITS = Timeouts(None, None, None, None)


class Fake:
    """A connection, to a pool."""

    count = 0

    def __init__(self, key):
        self.key = key
        self.deadline = NEVER
        self.closing = False
        self.requests = 0
        self.ends = 0
        self.pool = None
        Fake.count += 1
        self.name = f"{key}{Fake.count}"

    def __repr__(self):
        return self.name

    def shut(self):
        self.closing = True
        self.ends += 1

    abort = shut

    def expire(self, now):
        self.closing = True
        self.pool.discard(self)

    def when_gone(self):
        future = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future


class Line(Ticket):
    """A ticket that remembers what it was granted, and may answer at once, as a short cut does."""

    def __init__(self, pool, key, future, at_once=None, timeouts=NO_LIMITS, total_at=NEVER):
        super().__init__(pool, key, future, timeouts, monotonic(), total_at)
        self.granted = None
        self.at_once = at_once

    def grant(self, connection):
        assert self.granted is None, "granted twice"
        self.granted = (connection,)
        if self.at_once is not None:
            self.at_once(self)
        super().grant(connection)


def make(size=2, per_host=None, kind=SmartPool, keepalive=60.0):
    return kind(SimpleNamespace(pool_size_per_host=per_host, keepalive_timeout=keepalive), size, Fake)


def dial(pool, key):
    """What a request without a connection does: a new one in a slot of its own."""
    assert pool.reserve(key)
    return admit(pool, key)


def admit(pool, key):
    connection = Fake(key)
    connection.pool = pool
    pool.admit(connection)
    return connection


def stand(pool, key, **keywords):
    ticket = Line(pool, key, pool.loop.create_future(), **keywords)
    pool.queue(ticket)
    return ticket


def balanced(pool, used, reserved):
    """The invariants; `used` are the connections in use, `reserved` the keys of slots being dialled with."""
    idle = [connection for stack in pool._idle.values() for connection in stack]
    assert 0 <= pool.in_use <= pool.pool_size
    assert len(pool.connections) + pool._reserved <= pool.pool_size
    assert pool.in_use == len(used) + len(reserved)
    assert pool._reserved == len(reserved)
    assert set(idle) | set(used) == pool.connections
    assert len(idle) == len(set(idle))
    assert not set(idle) & set(used)
    taken = {}
    for key in [connection.key for connection in pool.connections] + list(reserved):
        taken[key] = taken.get(key, 0) + 1
    assert pool._taken == taken
    assert all(count <= pool.per_host for count in taken.values())
    assert all(key in taken for key in pool._idle)
    assert all(connection in pool._idle[connection.key] for connection in idle)
    assert not any(connection.closing for connection in idle)
    assert pool.waiting == sum(map(len, pool._queues.values()))
    assert all(pool._queues.values())
    stats = pool.stats()
    assert (stats["open"], stats["idle"], stats["in_use"]) == (len(pool.connections), len(idle), pool.in_use)


def in_loop(function):
    """Run the test within a loop, whose exceptions count."""

    def test(*arguments, **keywords):
        async def main():
            reports = []
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: reports.append(context))
            result = function(*arguments, **keywords)
            if result is not None:
                await result
            assert reports == []

        asyncio.run(main())

    test.__name__ = function.__name__
    test.__doc__ = function.__doc__
    test.__wrapped__ = function
    return test


# -- any sequence of events ------------------------------------------------------------------------------------------------


class PoolMachine(RuleBasedStateMachine):
    """Requests come, wait, dial, finish, fail and are cancelled in any order."""

    kind = SmartPool

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.pool = None
        self.used = []
        self.reserved = []
        self.line = []
        self.time = monotonic()

    @rule(size=st.integers(1, 4), per_host=st.sampled_from([None, 1, 2]))
    @precondition(lambda self: self.pool is None)
    def begin(self, size, per_host):
        # The pool wants a running loop when it is made, and afterwards only for timers.
        async def build():
            return make(size, per_host, self.kind)

        self.pool = self.loop.run_until_complete(build())

    def collect(self):
        """Tickets that were served become what they were served with."""
        for ticket in list(self.line):
            if ticket.granted is None:
                continue
            self.line.remove(ticket)
            (connection,) = ticket.granted
            if connection is None:
                self.reserved.append(ticket.key)
            else:
                assert connection.key == ticket.key
                assert connection not in self.used
                assert not connection.closing
                self.used.append(connection)

    @rule(key=st.sampled_from("abc"))
    @precondition(lambda self: self.pool is not None)
    def ask(self, key):
        connection = self.pool.checkout(key, self.time)
        if connection is not None:
            assert connection.key == key
            assert connection not in self.used
            self.used.append(connection)
            return
        full = self.pool.is_full(key)
        if self.pool.reserve(key):
            assert not full
            self.reserved.append(key)
        else:
            assert full
            self.line.append(stand(self.pool, key))
        self.collect()

    @rule(data=st.data(), good=st.booleans())
    @precondition(lambda self: self.reserved)
    def dialled(self, data, good):
        key = self.reserved.pop(data.draw(st.integers(0, len(self.reserved) - 1)))
        if good:
            self.used.append(admit(self.pool, key))
        else:
            self.pool.give_back(key)
            self.collect()

    @rule(data=st.data(), how=st.sampled_from(["release", "release", "release", "discard", "closing", "twice"]))
    @precondition(lambda self: self.used)
    def finish(self, data, how):
        connection = self.used.pop(data.draw(st.integers(0, len(self.used) - 1)))
        if how == "discard":
            connection.closing = True
            self.pool.discard(connection)
        elif how == "closing":
            connection.closing = True
            self.pool.release(connection)
        else:
            self.pool.release(connection)
            served = [ticket for ticket in self.line if ticket.granted is not None]
            assert len(served) <= 1
            if connection.closing:  # in favour of another key
                assert served[0].granted == (None,)
                assert served[0].key != connection.key
            elif how == "twice" and not served:
                self.pool.release(connection)
        self.collect()

    @rule(data=st.data())
    @precondition(lambda self: self.pool is not None and len(self.pool.connections) > len(self.used))
    def die(self, data):
        idle = [connection for connection in self.pool.connections if connection not in self.used]
        connection = data.draw(st.sampled_from(sorted(idle, key=repr)))
        connection.closing = True
        self.pool.discard(connection)
        self.pool.discard(connection)
        self.collect()

    @rule(data=st.data(), late=st.booleans())
    @precondition(lambda self: self.line)
    def cancel(self, data, late):
        """`late`: its task was cancelled, and has not run yet; the pool has to notice by itself."""
        ticket = self.line.pop(data.draw(st.integers(0, len(self.line) - 1)))
        ticket.future.cancel()
        if not late:
            assert self.pool.withdraw(ticket)
        assert not self.pool.withdraw(ticket) or late

    @rule(data=st.data())
    @precondition(lambda self: self.line)
    def time_out(self, data):
        ticket = self.line.pop(data.draw(st.integers(0, len(self.line) - 1)))
        ticket.timeouts = Timeouts(pool_acquire=1)
        ticket.expire(self.time)
        assert isinstance(ticket.future.exception(), PoolTimeout)
        ticket.expire(self.time)

    @invariant()
    def books_balance(self):
        if self.pool is None:
            return
        balanced(self.pool, self.used, self.reserved)
        live = [ticket for ticket in self.line if not ticket.future.done()]
        queued = [ticket for queue in self.pool._queues.values() for ticket in queue if not ticket.future.done()]
        assert sorted(map(id, live)) == sorted(map(id, queued))  # every ticket is in line or was served
        for ticket in live:  # and nobody waits in vain
            assert not self.pool._idle.get(ticket.key)
            slots = len(self.pool.connections) + self.pool._reserved
            assert self.pool._taken.get(ticket.key, 0) >= self.pool.per_host or self.pool.in_use == slots == self.pool.pool_size
        for queue in self.pool._queues.values():
            order = [self.line.index(ticket) for ticket in queue if ticket in self.line]
            assert order == sorted(order)

    def teardown(self):
        if self.pool is not None:
            for ticket in self.line:
                ticket.future.cancel()
            self.pool.watch.stop()
        self.loop.close()


class CyclicMachine(PoolMachine):
    kind = CyclicQueuePool


TestSmartPool = PoolMachine.TestCase
TestCyclicQueuePool = CyclicMachine.TestCase
TestSmartPool.settings = TestCyclicQueuePool.settings = settings(
    max_examples=examples(60), stateful_step_count=50, deadline=None, derandomize=True
)


# -- order -----------------------------------------------------------------------------------------------------------------


@in_loop
def test_the_connection_used_last_is_used_next():
    pool = make(3)
    first, second, third = (dial(pool, "a") for _ in range(3))
    for connection in (second, first, third):
        pool.release(connection)
    now = monotonic()
    assert [pool.checkout("a", now) for _ in range(4)] == [third, first, second, None]


@in_loop
def test_a_cyclic_pool_opens_all_and_takes_turns():
    pool = make(3, kind=CyclicQueuePool)
    opened = []
    for _ in range(3):
        assert pool.checkout("a", monotonic()) is None
        opened.append(dial(pool, "a"))
        pool.release(opened[-1])
    order = []
    for _ in range(7):
        connection = pool.checkout("a", monotonic())
        order.append(connection)
        pool.release(connection)
    assert order == [*opened, *opened, opened[0]]


@in_loop
def test_first_come_first_served():
    pool = make(1)
    connection = dial(pool, "a")
    tickets = [stand(pool, "a") for _ in range(5)]
    for ticket in tickets:
        pool.release(connection)
        assert ticket.granted == (connection,)
    pool.release(connection)
    balanced(pool, [], [])
    assert pool.checkout("a", monotonic()) is connection


@in_loop
def test_two_keys_on_one_slot_take_turns():
    """One key never comes to an end with its tickets; the other is served after a streak, and the streak begins anew."""
    pool = make(1)
    connection = dial(pool, "a")
    waiting = [stand(pool, "b") for _ in range(3)]
    served = 0
    for _ in range(3 * (STREAK + 3)):
        stand(pool, "a")
        pool.release(connection)
        if connection.closing:
            assert waiting.pop(0).granted == (None,)
            other = admit(pool, "b")
            # b has its streak too: what it does not use of it goes back.
            while (ticket := next((t for t in waiting if t.granted is None), None)) is not None:
                pool.release(other)
                assert ticket.granted == (other,)
                waiting.remove(ticket)
            pool.release(other)
            assert other.closing
            connection = admit(pool, "a")
            served += 1
            waiting = [stand(pool, "b") for _ in range(3)]
    assert served >= 2


@in_loop
def test_slots_of_dead_connections_go_round_the_keys():
    pool = make(1)
    holder = dial(pool, "a")
    line = [stand(pool, key) for key in "aaabbc"]
    order = []
    while line:
        holder.closing = True
        pool.discard(holder)
        ticket = next(ticket for ticket in line if ticket.granted is not None)
        line.remove(ticket)
        assert ticket.granted == (None,)
        order.append(ticket.key)
        holder = admit(pool, ticket.key)
    assert "".join(order) == "abcaba"


@in_loop
def test_a_key_at_its_own_limit_does_not_hold_up_others():
    pool = make(3, per_host=1)
    connection = dial(pool, "a")
    blocked = stand(pool, "a")
    assert pool.is_full("a")
    assert not pool.is_full("b")
    other = dial(pool, "b")
    pool.release(other)  # a waits, but not for a slot: b becomes idle
    assert pool.checkout("b", monotonic()) is other
    pool.release(connection)
    assert blocked.granted == (connection,)
    balanced(pool, [connection, other], [])


@in_loop
def test_a_connection_is_not_closed_for_one_like_it():
    """Its own key is the only one that can use the slot: it gets the connection, streak or no streak."""
    pool = make(2, per_host=1)
    mine, other = dial(pool, "a"), dial(pool, "b")
    stand(pool, "b")  # at its limit, so it has no use for a's slot
    for _ in range(3 * STREAK):
        ticket = stand(pool, "a")
        pool.release(mine)
        assert ticket.granted == (mine,)
    assert not mine.closing
    balanced(pool, [mine, other], [])


@in_loop
def test_room_is_made_of_idle_connections_only():
    pool = make(2)
    idle, used = dial(pool, "a"), dial(pool, "b")
    pool.release(idle)
    connection = dial(pool, "c")
    assert (idle.closing, used.closing) == (True, False)
    assert not pool.reserve("d")
    balanced(pool, [used, connection], [])


@in_loop
def test_what_is_no_longer_good_is_not_given_out():
    pool = make(3)
    late, closing, good = (dial(pool, "a") for _ in range(3))
    for connection in (good, closing, late):
        pool.release(connection)
    late.deadline = monotonic() - 1
    closing.closing = True
    assert pool.checkout("a", monotonic()) is good
    assert late.closing
    balanced(pool, [good], [])


@in_loop
def test_a_grant_may_use_the_connection_at_once():
    """As the short cut does: the exchange begins, and may even end, within `release`."""
    pool = make(1)
    connection = dial(pool, "a")
    order = []

    def finish(ticket):
        order.append(ticket)
        pool.release(ticket.granted[0])

    tickets = [stand(pool, "a", at_once=finish) for _ in range(3)]
    pool.release(connection)
    assert order == tickets
    balanced(pool, [], [])

    def fail(ticket):
        order.append(ticket)
        connection.closing = True
        pool.discard(connection)

    assert pool.checkout("a", monotonic()) is connection
    first, second = stand(pool, "a", at_once=fail), stand(pool, "a")
    pool.release(connection)
    assert order[-1] is first
    assert second.granted == (None,)
    balanced(pool, [], ["a"])


@in_loop
def test_a_connection_that_is_released_twice_counts_once():
    pool = make(2)
    connection = dial(pool, "a")
    other = dial(pool, "a")
    pool.release(connection)
    pool.release(connection)
    balanced(pool, [other], [])


# -- waiting ---------------------------------------------------------------------------------------------------------------


@in_loop
async def test_wait_and_its_time_limits():
    pool = make(1)
    connection = dial(pool, "a")
    with pytest.raises(PoolTimeout) as info:
        await pool.wait("a", Timeouts(pool_acquire=0.01))
    assert (info.value.limit, info.value.phase) == (0.01, "waiting for a connection")
    with pytest.raises(RequestTimeout) as info:
        await pool.wait("a", Timeouts(pool_acquire=5, request_timeout=0.01), monotonic() + 0.01)
    assert info.value.limit == 0.01
    balanced(pool, [connection], [])
    task = asyncio.create_task(pool.wait("a", Timeouts(pool_acquire=5)))
    await asyncio.sleep(0)
    pool.release(connection)
    assert await task is connection
    balanced(pool, [connection], [])
    pool.watch.stop()


@pytest.mark.parametrize("how", ["before", "granted a connection", "granted a slot", "timed out", "granted and dead"])
def test_a_wait_that_is_cancelled(how):
    async def main():
        pool = make(1)
        connection = dial(pool, "a")
        task = asyncio.create_task(pool.wait("a", Timeouts(pool_acquire=5)))
        await asyncio.sleep(0)
        behind = stand(pool, "b" if how == "granted a slot" else "a")
        if how in ("granted a connection", "granted and dead"):
            pool.release(connection)
        elif how == "granted a slot":
            connection.closing = True
            pool.discard(connection)
        elif how == "timed out":
            next(iter(pool._queues["a"])).expire(monotonic())
        task.cancel()
        if how == "granted and dead":
            connection.closing = True
            pool.discard(connection)
        with pytest.raises(asyncio.CancelledError):
            await task
        if how in ("before", "timed out"):
            assert behind.granted is None
            balanced(pool, [connection], [])
            pool.release(connection)
        slot = how in ("granted a slot", "granted and dead")
        assert behind.granted == ((None,) if slot else (connection,))
        balanced(pool, [] if slot else [connection], [behind.key] if slot else [])
        pool.watch.stop()

    asyncio.run(main())


@in_loop
async def test_quiet():
    pool = make(2)
    assert pool.when_quiet().done()
    connection = dial(pool, "a")
    quiet = pool.when_quiet()
    assert pool.when_quiet() is quiet
    pool.release(connection)
    assert quiet.done()
    assert pool.reserve("b")
    quiet = pool.when_quiet()
    assert not quiet.done()
    pool.give_back("b")
    assert quiet.done()
    pool.watch.stop()


@in_loop
async def test_cleanup():
    pool = make(3)
    used, idle = dial(pool, "a"), dial(pool, "b")
    pool.release(idle)
    assert pool.reserve("c")
    waiting = [asyncio.create_task(pool.wait("a", NO_LIMITS)) for _ in range(2)]
    await asyncio.sleep(0)
    cleaning = asyncio.create_task(pool.cleanup())
    await asyncio.sleep(0)
    assert not cleaning.done()  # somebody is dialling still
    pool.give_back("c")
    await cleaning
    for task in waiting:
        with pytest.raises(ClientClosed):
            await task
    assert used.closing
    assert idle.closing
    balanced(pool, [], [])
    with pytest.raises(ClientClosed):
        pool.reserve("a")
    with pytest.raises(ClientClosed):
        await pool.wait("a", NO_LIMITS)
    pool.release(used)
    pool.discard(idle)
    balanced(pool, [], [])
    await pool.cleanup()


@in_loop
def test_arguments():
    for size in (0, -1, True, 1.5, "2", None):
        with pytest.raises(UsageError):
            make(size)


# -- cost ------------------------------------------------------------------------------------------------------------------


def _cost(kind, idle, keys):
    """Seconds for one round of everything, with so many idle connections."""
    pool = make(idle + 1, kind=kind)
    connections = [dial(pool, f"k{n % keys}") for n in range(idle)]
    for connection in connections:
        pool.release(connection)
    now = monotonic()
    rounds = 300
    best = NEVER
    for _ in range(5):
        began = perf_counter()
        for n in range(rounds):
            key = f"k{n % keys}"
            connection = pool.checkout(key, now)
            if connection is None:
                connection = dial(pool, key)
            pool.release(connection)
            fresh = dial(pool, f"new{n % 7}")  # evicts, the second time
            assert pool.is_full("x") is (pool.in_use == pool.pool_size)
            fresh.closing = True
            pool.discard(fresh)
        best = min(best, perf_counter() - began)
    pool.watch.stop()
    return best / rounds


@pytest.mark.parametrize("kind", [SmartPool, CyclicQueuePool])
@pytest.mark.parametrize("keys", ["one", "many"])
def test_the_cost_does_not_depend_on_how_many_are_idle(kind, keys):
    async def main():
        few, many = _cost(kind, 10, 1 if keys == "one" else 10), _cost(kind, 10_000, 1 if keys == "one" else 10_000)
        print(f"{kind.__name__}, {keys}: {few * 1e6:.2f} us at 10, {many * 1e6:.2f} us at 10,000")
        assert many < 6 * few + 20e-6

    asyncio.run(main())


def test_eviction_costs_the_same_every_time():
    """Each origin is asked once: every request makes room by closing the oldest connection of all."""

    async def main():
        pool = make(10_000)
        for n in range(10_000):
            pool.release(dial(pool, f"k{n}"))
        costs = []
        for n in range(10_000, 18_000):
            began = perf_counter()
            connection = dial(pool, f"k{n}")
            costs.append(perf_counter() - began)
            pool.release(connection)
            assert len(pool.connections) == 10_000
        costs.sort()
        print(f"median {costs[len(costs) // 2] * 1e6:.2f} us")
        assert costs[len(costs) // 2] < 30e-6
        pool.watch.stop()

    asyncio.run(main())


def test_random_work_at_scale():
    """A long run over many keys, checked as it goes."""
    chance = random.Random(7)

    async def main():
        pool = make(50, per_host=10)
        used, reserved, line = [], [], []

        def collect():
            for ticket in [ticket for ticket in line if ticket.granted is not None]:
                line.remove(ticket)
                (connection,) = ticket.granted
                (reserved if connection is None else used).append(ticket.key if connection is None else connection)

        for step in range(5_000):
            action = chance.random()
            if action < 0.5:
                key = f"k{int(chance.random() ** 3 * 20)}"
                connection = pool.checkout(key, 0)
                if connection is not None:
                    used.append(connection)
                elif pool.reserve(key):
                    reserved.append(key)
                else:
                    line.append(stand(pool, key))
            elif action < 0.7 and reserved:
                used.append(admit(pool, reserved.pop(chance.randrange(len(reserved)))))
            elif action < 0.73 and reserved:
                pool.give_back(reserved.pop(chance.randrange(len(reserved))))
            elif action < 0.95 and used:
                connection = used.pop(chance.randrange(len(used)))
                connection.requests += 1
                connection.closing = chance.random() < 0.1
                pool.release(connection)
            elif line:
                ticket = line.pop(chance.randrange(len(line)))
                ticket.future.cancel()
            collect()
            if step % 20 == 0:
                balanced(pool, used, reserved)
        for ticket in line:
            ticket.future.cancel()
        for connection in used:
            pool.release(connection)
        for key in reserved:
            pool.give_back(key)
        assert (pool.in_use, pool.waiting) == (0, 0)
        balanced(pool, [], [])
        pool.watch.stop()

    asyncio.run(main())
