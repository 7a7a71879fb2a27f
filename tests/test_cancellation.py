"""Cancellation at every point: the slot comes back, nothing leaks, nobody else notices, and the next request works.

Cancelled at random for a while, and systematically at the k-th turn of the loop; and, by way of a pool and a connection that say
when something is handed over, exactly in the turn in which a connection, a slot or a response arrives.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import socket
import sys
import warnings
from time import monotonic

import pytest

from raw_peer import OK, Peer, answer, cancelled_after, check_settled, chunked, run, sockets
from wirebird import ClientClosed, ConnectionLost, HTTPClient, PoolTimeout, TCPConnector, Timeouts, WirebirdError
from wirebird.client.http1 import Http1Connection
from wirebird.net.pool import CyclicQueuePool, SmartPool

LOOPS = ["asyncio", "uvloop"]
BIG = bytes(range(256)) * 2048


def need(kind):
    if kind == "uvloop":
        pytest.importorskip("uvloop")


ANSWERS = {
    "/big": answer(BIG),
    "/chunked": chunked(*[BIG[at : at + 9999] for at in range(0, len(BIG), 9999)]),
    "/medium": answer(b"m" * 5000),
    "/redirect": answer(b"gone", b"Location: /small", status=b"302 Found"),
}


async def world(link):
    while path := await link.request():
        if path == "/medium":
            head, _, body = ANSWERS[path].partition(b"\r\n\r\n")
            await link.send(head + b"\r\n\r\n")
            await asyncio.sleep(0)
            await link.send(body)
        else:
            await link.send(ANSWERS.get(path, OK))


# -- what is cancelled -----------------------------------------------------------------------------------------------------


async def small(client, peer):
    assert await (await client.get(peer.url("/small"))).content() == b"fine"


async def small_by_pipeline(client, peer):
    assert await (await client.get(peer.url("/small"), headers={"A": "b"})).content() == b"fine"


async def small_in_context(client, peer):
    async with client.get(peer.url("/small")) as response:
        assert await response.text() == "fine"


async def post(client, peer):
    assert await (await client.post(peer.url("/post"), data=b"abc")).content() == b"fine"


async def post_much(client, peer):
    assert await (await client.post(peer.url("/post"), data=BIG)).content() == b"fine"


async def upload(client, peer):
    async def pieces():
        for _ in range(5):
            yield b"x" * 30_000
            await asyncio.sleep(0)

    assert await (await client.put(peer.url("/put"), data=pieces())).content() == b"fine"


async def upload_for_much(client, peer):
    async def pieces():
        yield b"x"

    assert await (await client.put(peer.url("/big"), data=pieces())).content() == BIG


async def download(client, peer):
    async with client.get(peer.url("/big")) as response:
        assert b"".join([piece async for piece in response.iter_bytes(50_000)]) == BIG


async def download_chunks(client, peer):
    async with client.get(peer.url("/chunked")) as response:
        assert b"".join([piece async for piece in response.iter_bytes()]) == BIG


async def download_some(client, peer):
    async with client.get(peer.url("/big"), headers={"A": "b"}) as response:
        assert await response.read(1000) == BIG[:1000]


async def content(client, peer):
    assert await (await client.get(peer.url("/big"))).content() == BIG


async def content_together(client, peer):
    response = await client.get(peer.url("/big"))
    assert await asyncio.gather(response.content(), response.content()) == [BIG, BIG]


async def body_later(client, peer):
    response = await client.get(peer.url("/medium"))
    await asyncio.sleep(0)
    assert await response.content() == b"m" * 5000


async def unread(client, peer):
    await client.get(peer.url("/medium"))
    await client.get(peer.url("/big"))


async def redirected(client, peer):
    assert await (await client.get(peer.url("/redirect"), follow=True)).content() == b"fine"


WORKS = [
    small,
    small_by_pipeline,
    small_in_context,
    post,
    post_much,
    upload,
    upload_for_much,
    download,
    download_chunks,
    download_some,
    content,
    content_together,
    body_later,
    unread,
    redirected,
]


async def check_afterwards(client, peer):
    """The pool comes to rest, and the next request is quick."""
    assert await client.wait_requests(3)
    check_settled(client)
    took = []
    while len(took) < 5 and (not took or took[-1] >= 0.05):  # on a busy machine one may come at a bad moment
        began = monotonic()
        await small(client, peer)
        took.append(monotonic() - began)
    assert took[-1] < 0.05, took
    check_settled(client)


# -- at random -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("pool", [SmartPool, CyclicQueuePool])
def test_fuzz(kind, pool, contexts):
    """20 tasks on a pool of 10, 5 seconds in all four; those that are not cancelled must succeed."""
    need(kind)
    seed = int(os.environ.get("WIREBIRD_SEED", random.randrange(10**6)))
    chance = random.Random(seed)
    print("WIREBIRD_SEED =", seed)
    counts = {"done": 0, "cancelled": 0}

    async def cancelled_somewhere(work, client, peer):
        task = asyncio.create_task(work(client, peer))
        how = chance.random()
        if how < 0.4:
            for _ in range(chance.randrange(40)):
                await asyncio.sleep(0)
            task.cancel()
        elif how < 0.8:
            await asyncio.sleep(chance.random() * 0.01)
            task.cancel()
        elif how < 0.85:
            task.get_loop().call_later(chance.random() * 0.01, task.cancel)
            task.get_loop().call_later(chance.random() * 0.01, task.cancel)
        try:
            await task
            counts["done"] += 1
        except asyncio.CancelledError:
            assert how < 0.85
            counts["cancelled"] += 1

    async def main():
        server, trusting = contexts
        async with Peer(world) as plain, Peer(world, ssl=server) as secure:
            connector = TCPConnector(pool_size=10, ssl=trusting, pool_cls=pool, conn_max_requests=50)
            async with HTTPClient(connector, timeouts=Timeouts(sock_connect=5, sock_read=5)) as client:
                await small(client, plain)
                end = monotonic() + 1.25

                async def worker():
                    while monotonic() < end:
                        peer = secure if chance.random() < 0.2 else plain
                        await cancelled_somewhere(chance.choice(WORKS), client, peer)

                await asyncio.gather(*[worker() for _ in range(20)])
                await check_afterwards(client, plain)
                await check_afterwards(client, secure)

    run(main, kind=kind)
    assert counts["cancelled"] > 20
    assert counts["done"] > 20


# -- at every turn ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("work", WORKS)
def test_every_turn(work, kind):
    need(kind)

    async def main():
        async with Peer(world) as peer, HTTPClient(TCPConnector(pool_size=2)) as client:
            await small(client, peer)
            kept = []  # with their tracebacks, whose frames may hold a response: that must not hold a slot
            for k in range(61):
                task = await cancelled_after(k, work(client, peer))
                if work is not content_together:  # whose callers' frames hold it
                    kept.append(task)
                del task
                if k % 10 == 0:
                    await check_afterwards(client, peer)
            await check_afterwards(client, peer)

    run(main, kind=kind)


@pytest.mark.parametrize("kind", LOOPS)
def test_every_turn_of_a_dial(kind, contexts):
    """Name, TCP, TLS: what was opened half way is closed."""
    need(kind)

    async def main():
        server, trusting = contexts
        async with Peer(world) as plain, Peer(world, ssl=server) as secure:
            for peer in (plain, secure):
                before = sockets()
                for k in range(40):
                    async with HTTPClient(TCPConnector(pool_size=1, ssl=trusting)) as client:
                        task = asyncio.create_task(small(client, peer))
                        for _ in range(k):
                            await asyncio.sleep(0)
                        task.cancel()
                        await asyncio.wait([task])
                        assert (pool := client.connector.peek()) is None or (pool.in_use, pool.waiting) == (0, 0)
                for _ in range(200):
                    if sockets() == before:
                        break
                    await asyncio.sleep(0.005)  # until the peer has closed its ends
                assert sockets() == before

    run(main, kind=kind)


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("work", [small, small_by_pipeline, content, post, upload])
def test_every_turn_in_line(work, kind):
    """One slot, three in line for it, the one in the middle cancelled: those before and behind it are served."""
    need(kind)

    async def main():
        async with Peer(world) as peer, HTTPClient(TCPConnector(pool_size=1)) as client:
            await small(client, peer)
            for k in range(31):
                first, middle, last = (asyncio.create_task(work(client, peer)) for _ in range(3))
                for _ in range(k):
                    await asyncio.sleep(0)
                middle.cancel()
                await asyncio.wait([first, middle, last])
                first.result()
                last.result()
            await check_afterwards(client, peer)

    run(main, kind=kind)


# -- in the turn of a handover ---------------------------------------------------------------------------------------------


class Trigger:
    """Cancels `task` when the named thing happens, once."""

    def __init__(self):
        self.task = None
        self.on = ""
        self.hit = False

    def __call__(self, event):
        if self.task is not None and event == self.on:
            task, self.task = self.task, None
            self.hit = True
            task.cancel()


def traced(trigger):
    """A pool and a connection that tell the trigger what happens, before and after."""

    def telling(name, method):
        def call(self, *args, **keywords):
            trigger(f"before {name}")
            try:
                return method(self, *args, **keywords)
            finally:
                trigger(f"after {name}")

        return call

    pool = type("TracedPool", (SmartPool,), {})
    for name in ("release", "discard", "admit", "give_back", "queue"):
        setattr(pool, name, telling(name, getattr(SmartPool, name)))
    connection = type("TracedConnection", (Http1Connection,), {})
    for name in ("begin", "buffer_updated", "_on_head", "_finish", "connection_lost", "eof_received"):
        setattr(connection, name, telling(name, getattr(Http1Connection, name)))
    return pool, connection


EVENTS = [
    f"{when} {name}"
    for name in ("release", "discard", "admit", "queue", "begin", "buffer_updated", "_on_head", "_finish", "eof_received")
    for when in ("before", "after")
]


@pytest.mark.parametrize("event", EVENTS)
def test_in_the_turn_of_a_handover(event):
    hits = []

    async def main():
        trigger = Trigger()
        pool, connection = traced(trigger)
        async with Peer(world) as peer:
            connector = TCPConnector(pool_size=1, pool_cls=pool, connection_cls=connection, conn_max_requests=3)
            async with HTTPClient(connector) as client:
                await small(client, peer)
                for work in WORKS:
                    for position in (0, 1):
                        tasks = [asyncio.create_task(work(client, peer)) for _ in range(2)]
                        trigger.task, trigger.on = tasks[position], event
                        done, _ = await asyncio.wait(tasks, timeout=5)
                        trigger.task = None
                        assert len(done) == 2, (work, position)
                        tasks[1 - position].result()
                        if not tasks[position].cancelled():
                            tasks[position].result()
                hits.append(trigger.hit)
                assert await client.wait_requests(3)
                check_settled(client)
                await small(client, peer)

    run(main)
    assert hits == [True] or "eof" in event


def test_a_slot_that_is_handed_over_to_a_cancelled_call():
    """The connection that was waited for dies, so that its slot is what is handed over: it goes on to the next in line."""

    async def main():
        die = asyncio.Event()

        async def script(link):
            while path := await link.request():
                if path == "/hold":
                    await die.wait()
                    return
                await link.send(OK)

        trigger = Trigger()
        pool, connection = traced(trigger)
        async with Peer(script) as peer:
            connector = TCPConnector(pool_size=1, pool_cls=pool, connection_cls=connection)
            async with HTTPClient(connector) as client:
                for work in (small, small_by_pipeline, post):
                    await small(client, peer)
                    holder = asyncio.create_task(client.post(peer.url("/hold")))
                    while not peer.requests or peer.requests[-1][1] != b"/hold":
                        await asyncio.sleep(0.001)
                    first, second = (asyncio.create_task(work(client, peer)) for _ in range(2))
                    while client.stats()["waiting"] < 2:
                        await asyncio.sleep(0)
                    trigger.task, trigger.on = first, "after discard"
                    die.set()
                    with pytest.raises(ConnectionLost):
                        await holder
                    with pytest.raises(asyncio.CancelledError):
                        await first
                    await second
                    die.clear()
                    check_settled(client)

    run(main)


# -- timeouts around calls -------------------------------------------------------------------------------------------------


def test_timeout_scopes_around_calls():
    async def main():
        async with Peer(world) as peer, HTTPClient(TCPConnector(pool_size=3)) as client:
            await small(client, peer)
            late = 0
            for work in WORKS:
                for k in range(12):
                    try:
                        async with asyncio.timeout(k * 0.0002):
                            await work(client, peer)
                    except TimeoutError as error:
                        assert not isinstance(error, WirebirdError)
                        late += 1
                    assert asyncio.current_task().cancelling() == 0
                try:
                    await asyncio.wait_for(work(client, peer), 0.0005)
                except TimeoutError:
                    late += 1
            assert late
            await check_afterwards(client, peer)

    run(main)


def test_a_cancellation_is_not_swallowed_by_a_time_limit():
    """The wait for a slot runs out in the very turn in which the call is cancelled: it ends cancelled."""

    async def main():
        hold = asyncio.Event()

        async def script(link):
            while path := await link.request():
                if path == "/hold":
                    await hold.wait()
                await link.send(OK)

        class Expiring(SmartPool):
            def withdraw(self, ticket):
                if expiring:
                    expiring.pop().cancel()  # the task, just before it is told that its time is up
                return super().withdraw(ticket)

        expiring = []
        async with Peer(script) as peer:
            timeouts = Timeouts(pool_acquire=0.03)
            async with HTTPClient(TCPConnector(pool_size=1, pool_cls=Expiring), timeouts=timeouts) as client:
                await small(client, peer)
                holder = asyncio.create_task(client.get(peer.url("/hold")))
                while not client.stats()["in_use"]:
                    await asyncio.sleep(0)
                for work in (small, small_by_pipeline):
                    with pytest.raises(PoolTimeout):
                        await work(client, peer)
                    task = asyncio.create_task(work(client, peer))
                    for _ in range(3):
                        await asyncio.sleep(0)
                    ticket = next(iter(next(iter(client.connector.peek()._queues.values()))))
                    ticket.expire(monotonic())
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                    task = asyncio.create_task(work(client, peer))
                    expiring.append(task)
                    with pytest.raises(asyncio.CancelledError):
                        await task
                    assert not expiring
                hold.set()
                assert (await holder).status_code == 200
                check_settled(client)

    run(main)


# -- close -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOOPS)
def test_close_with_requests_running_waiting_and_dialling(kind, contexts):
    """Each gets a typed error at once, nothing is opened afterwards, and nothing is sent twice."""
    need(kind)
    _server, trusting = contexts

    async def main():
        arrived = asyncio.Event()

        async def script(link):
            while path := await link.request():
                if path == "/small":
                    await link.send(OK)
                    continue
                if path == "/body":
                    await link.send(ANSWERS["/big"][:2000])
                arrived.set()
                await link.gone()
                return

        mute = await asyncio.start_server(lambda reader, writer: writers.append(writer), "127.0.0.1", 0)
        writers = []
        async with Peer(script) as peer:
            connector = TCPConnector(pool_size=6, pool_size_per_host=5, ssl=trusting)
            client = HTTPClient(connector)
            await asyncio.gather(*[small(client, peer) for _ in range(5)])
            port = mute.sockets[0].getsockname()[1]

            async def read(path):
                response = await client.get(peer.url(path))
                return await response.content()

            async def streamed():
                async with client.get(peer.url("/body"), headers={"A": "b"}) as response:
                    async for _ in response.iter_bytes():
                        pass

            async def feed():
                while True:
                    yield b"x" * 1000
                    await asyncio.sleep(0.001)

            running = [
                asyncio.create_task(read("/hold")),
                asyncio.create_task(client.get(peer.url("/hold"), headers={"A": "b"})),
                asyncio.create_task(read("/body")),
                asyncio.create_task(streamed()),
                asyncio.create_task(client.put(peer.url("/hold"), data=feed())),
            ]
            dialling = [asyncio.create_task(client.get(f"https://127.0.0.1:{port}/"))]
            await arrived.wait()
            await asyncio.sleep(0.02)
            waiting = [
                asyncio.create_task(small(client, peer)),
                asyncio.create_task(small_by_pipeline(client, peer)),
                asyncio.create_task(post(client, peer)),
            ]
            await asyncio.sleep(0)
            pool = connector.peek()
            assert (pool.in_use, pool.waiting) == (6, 3)
            began = monotonic()
            await client.close()
            assert monotonic() - began < 1
            errors = await asyncio.wait_for(
                asyncio.gather(*running, *dialling, *waiting, return_exceptions=True),
                1,
            )
            assert [type(error) for error in errors] == [ConnectionLost] * 5 + [ClientClosed] * 4
            assert all("closed" in str(error) for error in errors)
            assert (pool.in_use, pool.waiting, pool._reserved, len(pool.connections)) == (0, 0, 0, 0)
            assert client.connector.peek() is None
            accepted = peer.accepted
            for work in WORKS:
                with pytest.raises(ClientClosed):
                    await work(client, peer)
            assert peer.accepted == accepted == 5
            await client.close()
        for writer in writers:
            writer.transport.abort()
        mute.close()
        await mute.wait_closed()

    run(main, kind=kind)


def test_close_in_the_turn_of_every_handover():
    """Whatever is on its way just then ends, one way or the other, and a client that is closed opens nothing."""

    async def main():
        async with Peer(world) as peer:
            for work in (small, small_by_pipeline, content, redirected, upload, unread):
                for event in EVENTS[:-2]:
                    trigger = Trigger()
                    pool, connection = traced(trigger)
                    connector = TCPConnector(pool_size=1, pool_cls=pool, connection_cls=connection, conn_max_requests=4)
                    client = HTTPClient(connector)
                    await small(client, peer)
                    closing = []

                    class Closer:
                        def cancel(self, client=client, closing=closing):
                            closing.append(asyncio.create_task(client.close()))

                    tasks = [asyncio.create_task(work(client, peer)) for _ in range(3)]
                    trigger.task, trigger.on = Closer(), event
                    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 3)
                    for result in results:
                        assert result is None or isinstance(result, (ClientClosed, ConnectionLost)), (work, event, result)
                    trigger.task = None
                    await asyncio.gather(*closing)
                    if closing:
                        assert connector.peek() is None or not connector.peek().connections, (work, event)
                    await client.close()

    run(main, limit=30)


def test_close_that_is_cancelled():
    """Whatever turn it is cancelled in, a second one finishes the job."""

    async def main():
        async with Peer(world) as peer:
            for k in range(8):
                client = HTTPClient()
                await asyncio.gather(*[small(client, peer) for _ in range(5)])
                task = asyncio.create_task(client.close())
                for _ in range(k):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                await client.close()
                with pytest.raises(ClientClosed):
                    await small(client, peer)

    run(main)


def test_a_call_cancelled_while_its_client_closes():
    async def main():
        async with Peer(world) as peer:
            for k in range(6):
                client = HTTPClient(TCPConnector(pool_size=2))
                await small(client, peer)
                tasks = [asyncio.create_task(work(client, peer)) for work in WORKS]
                for _ in range(k):
                    await asyncio.sleep(0)
                closing = asyncio.create_task(client.close())
                for task in tasks[::2]:
                    task.cancel()
                for result in await asyncio.gather(*tasks, return_exceptions=True):
                    assert result is None or isinstance(result, (asyncio.CancelledError, ConnectionLost, ClientClosed)), result
                await closing
                assert client.connector.peek() is None

    run(main)


# -- calls that are given up otherwise -------------------------------------------------------------------------------------


def test_a_call_that_is_closed_half_way():
    """As a coroutine that nobody runs to its end."""

    async def main():
        async with Peer(world) as peer, HTTPClient() as client:
            for keywords in ({}, {"headers": {"A": "b"}}):
                await small(client, peer)
                call = client.get(peer.url("/small"), **keywords)
                call.send(None)
                assert client.stats()["in_use"] == 1
                call.close()
                assert client.stats()["in_use"] == 0
            client.get(peer.url("/small")).close()
            await check_afterwards(client, peer)

    run(main)


def test_a_reader_whose_response_is_closed_by_another_task():
    async def main():
        more = asyncio.Event()

        async def script(link):
            while await link.request():
                await link.send(ANSWERS["/big"][:1000])
                await more.wait()
                await link.send(ANSWERS["/big"][1000:])

        async with Peer(script) as peer, HTTPClient() as client:
            for read in (lambda response: response.content(), lambda response: response.read()):
                response = await client.get(peer.url("/big"))
                task = asyncio.create_task(read(response))
                await asyncio.sleep(0.01)
                await response.close()
                with pytest.raises(WirebirdError):
                    await asyncio.wait_for(task, 1)
                del task
            assert await client.wait_requests(3)
            check_settled(client)

    run(main)


def test_one_of_two_readers_is_cancelled():
    """The other still gets the whole."""

    async def main():
        more = asyncio.Event()

        async def script(link):
            while await link.request():
                await link.send(ANSWERS["/big"][:100_000])
                await more.wait()
                await link.send(ANSWERS["/big"][100_000:])

        async with Peer(script) as peer, HTTPClient() as client:
            for stays in (0, 1):
                more.clear()
                response = await client.get(peer.url("/big"))
                tasks = [asyncio.create_task(response.content()) for _ in range(2)]
                await asyncio.sleep(0.01)
                tasks[1 - stays].cancel()
                await asyncio.sleep(0)
                more.set()
                assert await tasks[stays] == BIG
                assert await response.content() == BIG
            check_settled(client)

    run(main)


@pytest.mark.parametrize("kind", LOOPS)
def test_a_response_that_outlives_its_loop(kind, monkeypatch):
    """The client was never closed, but its loop: a body half way is dropped in silence, and another loop begins anew."""
    need(kind)
    factory = __import__("uvloop").new_event_loop if kind == "uvloop" else asyncio.new_event_loop
    said = []
    monkeypatch.setattr(sys, "unraisablehook", lambda event: said.append(event.exc_value))
    with socket.create_server(("127.0.0.1", 0)) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of the transport that the closed loop left behind
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        client = HTTPClient()
        peers = []

        def answer_half():
            peers.append(server.accept()[0])
            peers[-1].recv(4096)
            peers[-1].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

        async def half():
            loop = asyncio.get_running_loop()
            answering = loop.run_in_executor(None, answer_half)
            response = await client.get(url)
            await answering
            return response

        for _ in range(2):
            loop = factory()
            response = loop.run_until_complete(half())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
            assert client.stats()["in_use"] == 1
            del response
            gc.collect()
        loop = factory()
        loop.run_until_complete(client.close())
        loop.close()
        for peer in peers:
            peer.close()
        gc.collect()
    assert said == []
