"""The pool as a client shows it: reuse, limits, turns, ends; and the pools used by hand, as the seeds have them."""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import urlparse

import pytest
import trustme

import wirebird
from origin import Origin, pattern, run
from raw_peer import sockets

BOTH = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
POOLS = pytest.mark.parametrize("pool_cls", [wirebird.SmartPool, wirebird.CyclicQueuePool])


def counts(client: wirebird.HTTPClient, *names: str) -> tuple[int, ...]:
    stats = client.stats()
    return tuple(stats[name] for name in names)  # type: ignore[literal-required]


@BOTH
def test_one_after_the_other_on_one_connection(loop):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            assert counts(client, "open", "idle", "in_use", "waiting", "requests", "opened", "reused") == (0,) * 7
            for _ in range(5):
                await client.get(origin.url("/echo"))
                await client.post(origin.url("/echo"), data=b"x")
            assert counts(client, "open", "idle", "in_use", "waiting", "requests", "opened", "reused") == (1, 1, 0, 0, 10, 1, 9)
            assert origin.connections == 1
            assert "1 open" in repr(client) or "1/25" in repr(client)

    run(main, loop)


@POOLS
def test_at_once_no_more_than_pool_size(pool_cls):
    async def main():
        connector = wirebird.TCPConnector(pool_size=3, pool_cls=pool_cls)
        async with Origin() as origin, wirebird.HTTPClient(connector) as client:
            calls = [asyncio.ensure_future(client.get(origin.url("/silent"))) for _ in range(10)]
            await origin.until(lambda: len(origin.asked) == 3)
            assert counts(client, "open", "idle", "in_use", "waiting") == (3, 0, 3, 7)
            origin.release.set()
            assert [response.status_code for response in await asyncio.gather(*calls)] == [204] * 10
            assert origin.connections == 3
            assert counts(client, "open", "idle", "in_use", "waiting", "requests") == (3, 3, 0, 0, 10)

    run(main)


@pytest.mark.parametrize("plain", [True, False])
def test_first_come_first_served(plain):
    async def main():
        connector = wirebird.TCPConnector(pool_size=1)
        async with Origin() as origin, wirebird.HTTPClient(connector) as client:
            for at in range(20):
                await client.get(origin.url(f"/echo?{at}"))
            origin.asked.clear()
            first = asyncio.ensure_future(client.get(origin.url("/silent")))
            await origin.until(lambda: len(origin.asked) == 1)
            calls = []
            for at in range(20):
                keywords = {} if plain or at % 2 else {"headers": {"X": "y"}}
                calls.append(asyncio.ensure_future(client.get(origin.url(f"/echo?{at}"), **keywords)))
                await asyncio.sleep(0)
            calls[5].cancel()
            origin.release.set()
            await asyncio.wait([first, *calls])
            assert [asked.query for asked in origin.asked[1:]] == [str(at) for at in range(20) if at != 5]
            assert origin.connections == 1

    run(main)


def test_pool_size_per_host():
    async def main():
        connector = wirebird.TCPConnector(pool_size=5, pool_size_per_host=2)
        async with Origin() as a, Origin() as b, wirebird.HTTPClient(connector) as client:
            calls = [asyncio.ensure_future(client.get(origin.url("/silent"))) for origin in (a, b) for _ in range(4)]
            await a.until(lambda: len(a.asked) == 2)
            await b.until(lambda: len(b.asked) == 2)
            assert counts(client, "open", "in_use", "waiting") == (4, 4, 4)
            a.release.set()
            await a.until(lambda: len(a.asked) == 4)
            assert (len(b.asked), b.connections) == (2, 2)
            b.release.set()
            await asyncio.gather(*calls)
            assert (a.connections, b.connections) == (2, 2)

    run(main)


def test_another_origin_takes_the_place_of_an_idle_connection():
    async def main():
        connector = wirebird.TCPConnector(pool_size=1)
        async with Origin() as a, Origin() as b, wirebird.HTTPClient(connector) as client:
            for _ in range(3):
                assert (await client.get(a.url("/echo"))).ok
                assert (await client.get(b.url("/echo"))).ok
            assert (a.connections, b.connections) == (3, 3)
            await a.until(lambda: a.open == 0)
            waiting = asyncio.ensure_future(client.get(a.url("/silent")))
            await a.until(lambda: len(a.asked) == 4)
            other = asyncio.ensure_future(client.get(b.url("/echo")))
            await asyncio.sleep(0)
            assert counts(client, "open", "waiting") == (1, 1)
            a.release.set()
            assert (await other).ok
            assert (await waiting).status_code == 204

    run(main)


@pytest.mark.parametrize(("limit", "connections"), [(1, 6), (2, 3), (4, 2), (None, 1)])
def test_conn_max_requests(limit, connections):
    async def main():
        connector = wirebird.TCPConnector(conn_max_requests=limit)
        async with Origin() as origin, wirebird.HTTPClient(connector) as client:
            for at in range(6):
                assert (await client.get(origin.url("/echo"))).ok if at % 2 else (await client.post(origin.url("/echo"))).ok
            assert origin.connections == connections
            await origin.until(lambda: origin.open <= 1)

    run(main)


@BOTH
def test_keepalive_timeout(loop):
    async def main():
        connector = wirebird.TCPConnector(keepalive_timeout=0.2)
        async with Origin() as origin, wirebird.HTTPClient(connector) as client:
            for number in (1, 2):
                await client.get(origin.url("/echo"))
                assert counts(client, "idle") == (1,)
                await origin.until(lambda: origin.open == 0)
                assert counts(client, "open", "idle", "in_use") == (0, 0, 0)
                assert origin.connections == number

    run(main, loop)


@pytest.mark.parametrize(
    ("head", "reused"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: Upgrade, CLOSE\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n", True),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", True),
    ],
)
@pytest.mark.parametrize("size", [4, 300_000])
def test_which_connections_are_used_again(head, reused, size):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            origin.always("/x", head + b"Content-Length: %d\r\n\r\n" % size + pattern(size))
            for _ in range(3):
                assert await (await client.get(origin.url("/x"))).content() == pattern(size)
            assert origin.connections == (1 if reused else 3)

    run(main)


def test_the_caller_may_ask_to_close():
    async def main():
        async with Origin() as origin:
            async with wirebird.HTTPClient() as client:
                await client.get(origin.url("/echo"), headers={"Connection": "close"})
                assert counts(client, "open") == (0,)
                await client.get(origin.url("/echo"))
            async with wirebird.HTTPClient(headers={"Connection": "close"}) as client:
                for _ in range(3):
                    await client.get(origin.url("/echo"))
                    assert counts(client, "open") == (0,)
            assert origin.connections == 5

    run(main)


@BOTH
def test_cyclic_queue_pool_takes_turns(loop):
    async def main():
        connector = wirebird.TCPConnector(pool_size=3, pool_cls=wirebird.CyclicQueuePool)
        async with Origin() as origin, wirebird.HTTPClient(connector) as client:
            for _ in range(9):
                await client.get(origin.url("/echo"))
            assert [asked.connection for asked in origin.asked] == [1, 2, 3] * 3

    run(main, loop)


def test_smart_pool_prefers_the_freshest():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            calls = [asyncio.ensure_future(client.get(origin.url("/silent"))) for _ in range(3)]
            await origin.until(lambda: len(origin.asked) == 3)
            origin.release.set()
            await asyncio.gather(*calls)
            for _ in range(4):
                await client.get(origin.url("/echo"))
            assert len({asked.connection for asked in origin.asked[3:]}) == 1

    run(main)


# -- stale connections ----------------------------------------------------------------------------------------------------------


async def once_and_away(origin: Origin, path: str = "/x") -> None:
    """Have the first request on each connection answered, and the connection closed at the second."""
    seen: dict[int, int] = {}

    async def answer(asked, wire):
        seen[asked.connection] = seen.get(asked.connection, 0) + 1
        if seen[asked.connection] == 1:
            await wire.respond(200, [], b"fine")
        else:
            wire.abort()

    origin.on(path, answer)


@BOTH
def test_a_connection_closed_just_as_it_is_used_again(loop):
    """What may be repeated is, once and unseen; what may not says so (T7, RFC 9110 9.2.2)."""

    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            await once_and_away(origin)
            for _ in range(3):
                assert await (await client.get(origin.url("/x"))).content() == b"fine"
            assert (len(origin.asked), origin.connections) == (5, 3)
            for method in ("HEAD", "OPTIONS", "PUT", "DELETE"):
                assert (await client.request(origin.url("/x"), method, data=b"x" if method == "PUT" else None)).ok
            for method in ("POST", "PATCH"):
                asked = len(origin.asked)
                with pytest.raises(wirebird.ConnectionLost) as caught:
                    await client.request(origin.url("/x"), method, data=b"x")
                assert (caught.value.peer, caught.value.phase) == (origin.address, "waiting for the response")
                assert len(origin.asked) == asked + 1
                assert counts(client, "open", "in_use") == (0, 0)
                await client.get(origin.url("/x"))
            with pytest.raises(wirebird.ConnectionLost):
                await client.put(origin.url("/x"), data=iter([b"x"]))

    run(main, loop)


def test_a_new_connection_that_is_closed_is_not_tried_again():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:

            async def vanish(asked, wire):
                wire.abort()

            origin.on("/vanish", vanish)
            with pytest.raises(wirebird.ConnectionLost):
                await client.get(origin.url("/vanish"))
            assert len(origin.asked) == 1
            await client.get(origin.url("/echo"))
            with pytest.raises(wirebird.ConnectionLost):
                await client.get(origin.url("/vanish"))
            assert len(origin.asked) == 4  # once on the reused connection, once on a fresh one

    run(main)


@BOTH
def test_an_idle_connection_that_is_closed_or_speaks_is_discarded(loop):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:

            async def more(asked, wire):
                await wire.respond(200, [], b"fine")
                await origin.release.wait()
                if asked.arg("how") == "speak":
                    await wire.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nevil")
                else:
                    wire.close()

            origin.on("/more", more)
            for how in ("close", "speak"):
                origin.release.clear()
                assert await (await client.get(origin.url(f"/more?how={how}"))).content() == b"fine"
                assert counts(client, "idle") == (1,)
                origin.release.set()
                await origin.until(lambda: origin.open == 0)
                assert counts(client, "open", "in_use") == (0, 0)
                assert await (await client.post(origin.url("/post"), data=b"mine")).content() != b"evil"
                await client.get(origin.url("/echo"), headers={"Connection": "close"})

    run(main, loop)


def test_bytes_behind_a_response_are_not_the_next_one():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
            for head in (
                b"HTTP/1.1 204 No\r\n\r\n",
                b"HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            ):
                origin.always("/x", head + evil)
                for _ in range(2):
                    assert await (await client.get(origin.url("/x"))).content() in (b"", b"ok")
            assert origin.connections == 6

    run(main)


# -- the end --------------------------------------------------------------------------------------------------------------------


@BOTH
def test_close(loop):
    async def main():
        async with Origin() as origin:
            client = wirebird.HTTPClient()
            await client.close()  # before anything was opened
            client = wirebird.HTTPClient()
            for _ in range(2):
                await client.get(origin.url("/echo"))
            running = [asyncio.ensure_future(client.get(origin.url("/silent"))) for _ in range(3)]
            running.append(asyncio.ensure_future(client.post(origin.url("/silent"))))
            await origin.until(lambda: len(origin.asked) == 6)
            response = await client.get(origin.url("/held?first=10"))
            await client.close()
            await client.close()
            await client.shutdown()
            for call in running:
                with pytest.raises(wirebird.ConnectionLost):
                    await call
            with pytest.raises((wirebird.ConnectionLost, wirebird.IncompleteBody)):
                await response.content()
            await origin.until(lambda: origin.open == 0)
            for call in (client.get, client.get, client.post):
                with pytest.raises(wirebird.ClientClosed):
                    await call(origin.url("/echo"))
            with pytest.raises(wirebird.ClientClosed):
                async with client.get(origin.url("/echo")):
                    pass
            assert counts(client, "open", "in_use", "waiting") == (0, 0, 0)
            assert len(origin.asked) == 7
            assert "closed" in repr(client)

    run(main, loop)


def test_close_with_calls_in_line():
    async def main():
        connector = wirebird.TCPConnector(pool_size=1)
        async with Origin() as origin, wirebird.HTTPClient(connector) as client:
            await client.get(origin.url("/echo"))
            running = asyncio.ensure_future(client.get(origin.url("/silent")))
            await origin.until(lambda: len(origin.asked) == 2)
            waiting = [
                asyncio.ensure_future(client.get(origin.url("/echo"))),
                asyncio.ensure_future(client.post(origin.url("/echo"))),
            ]
            await asyncio.sleep(0)
            await client.close()
            for call in waiting:
                with pytest.raises(wirebird.ClientClosed):
                    await call
            with pytest.raises(wirebird.ConnectionLost):
                await running

    run(main)


def test_a_client_is_closed_by_its_context_and_by_its_errors():
    async def main():
        async with Origin() as origin:
            with pytest.raises(LookupError):
                async with wirebird.HTTPClient() as client:
                    await client.get(origin.url("/echo"))
                    raise LookupError
            await origin.until(lambda: origin.open == 0)
            with pytest.raises(wirebird.ClientClosed):
                await client.get(origin.url("/echo"))

    run(main)


@BOTH
def test_wait_requests(loop):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            assert await client.wait_requests() is True
            for _ in range(2):
                origin.release.clear()
                origin.asked.clear()
                running = [
                    asyncio.ensure_future(client.get(origin.url("/silent"))),
                    asyncio.ensure_future(client.post(origin.url("/silent"))),
                ]
                await origin.until(lambda: len(origin.asked) == 2)
                assert await client.wait_requests(0.02) is False
                assert await client.wait_requests(0) is False
                waiting = asyncio.ensure_future(client.wait_requests(timeout=5))
                await asyncio.sleep(0)
                assert not waiting.done()
                origin.release.set()
                assert await waiting is True
                await asyncio.gather(*running)
            origin.release.clear()
            response = await client.get(origin.url("/held?first=5"))
            assert await client.wait_requests(0.02) is False
            origin.release.set()
            await response.content()
            assert await client.wait_requests(None) is True

    run(main, loop)


# -- by hand --------------------------------------------------------------------------------------------------------------------


@BOTH
@POOLS
def test_pools_by_hand(loop, pool_cls):
    async def main():
        async with Origin() as origin:
            connector = wirebird.TCPConnector(pool_size=2, pool_cls=pool_cls)
            pool = connector.pool
            assert isinstance(pool, pool_cls)
            assert (pool.free_conns(), pool.is_all_free()) == (2, True)
            first = await pool.acquire(urlparse(origin.url("/")))
            assert isinstance(first, wirebird.Http1Connection)
            assert (pool.free_conns(), pool.is_all_free()) == (1, False)
            second = await pool.acquire(origin.url("/"))
            assert second is not first
            assert pool.free_conns() == 0
            waiting = asyncio.ensure_future(pool.acquire(urlparse(origin.url("/"))))
            await asyncio.sleep(0)
            assert not waiting.done()
            pool.release(first)
            assert await waiting is first
            pool.release(first)
            pool.release(second)
            pool.release(second)
            assert (pool.free_conns(), pool.is_all_free()) == (2, True)
            again = await pool.acquire(urlparse(origin.url("/other")))
            assert again is (second if pool_cls is wirebird.SmartPool else first)
            pool.release(again)
            anything = await pool.acquire()
            pool.release(anything)
            assert pool.is_all_free()
            with pytest.raises(wirebird.InvalidURL):
                await pool.acquire("ftp://x/")
            with pytest.raises(wirebird.ConnectError):
                await pool.acquire("http://127.0.0.1:1/")
            assert pool.is_all_free()
            await pool.cleanup()
            await origin.until(lambda: origin.open == 0)
            await connector.close()

    run(main, loop)


@POOLS
def test_pools_as_the_seeds_build_them(pool_cls):
    async def main():
        connector = wirebird.TCPConnector()
        pool = pool_cls(connector, 3, wirebird.Http1Connection)
        held = [await pool.acquire() for _ in range(3)]
        assert (pool.free_conns(), pool.is_all_free()) == (0, False)
        for connection in held:
            pool.release(connection)
        assert (pool.free_conns(), pool.is_all_free()) == (3, True)
        await pool.cleanup()

    run(main)


@BOTH
def test_retiring_leaves_the_bodies_under_way(loop):
    async def main():
        async with Origin() as origin:
            client = wirebird.HTTPClient()
            await asyncio.gather(*[client.get(origin.url("/echo")) for _ in range(3)])
            response = await client.get(origin.url("/bytes/500000"))
            assert counts(client, "open", "in_use") == (3, 1)
            await client.connector.retire()
            assert counts(client, "open", "in_use") == (1, 1)
            with pytest.raises(wirebird.ClientClosed):
                await client.get(origin.url("/echo"))
            assert await response.content() == pattern(500_000)
            assert counts(client, "open", "in_use") == (0, 0)
            await origin.until(lambda: origin.open == 0)
            await client.connector.retire()
            await client.close()

    run(main, loop)


def test_retiring_an_unread_body_that_nobody_holds_closes_its_connection():
    async def main():
        async with Origin() as origin:
            client = wirebird.HTTPClient()
            response = await client.get(origin.url("/bytes/5000000"))
            await client.connector.retire()
            await response.close()
            assert counts(client, "open", "in_use") == (0, 0)
            await origin.until(lambda: origin.open == 0)
            await client.close()

    run(main)


def test_retiring_leaves_those_who_dial_or_wait_their_turn():
    class Slow(wirebird.ThreadedResolver):
        async def resolve(self, host, port=0, family=0):
            asked.set()
            await go_on.wait()
            return await super().resolve("127.0.0.1", port, family)

    async def main():
        async with Origin() as origin:
            client = wirebird.HTTPClient(wirebird.TCPConnector(pool_size=1, resolver=Slow()))
            url = origin.url("/echo", host="example.test")
            calls = [asyncio.create_task(client.get(url)) for _ in range(3)]
            await asked.wait()
            await client.connector.retire()
            go_on.set()
            assert [response.status_code for response in await asyncio.gather(*calls)] == [200] * 3
            await origin.until(lambda: origin.open == 0)
            assert (origin.connections, counts(client, "open", "in_use", "waiting")) == (3, (0, 0, 0))
            await client.close()

    asked, go_on = asyncio.Event(), asyncio.Event()
    run(main)


def test_retiring_what_was_never_used():
    connector = wirebird.TCPConnector()
    run(connector.retire)
    assert connector.closed
    assert connector.peek() is None


@POOLS
def test_a_pool_of_ones_own(pool_cls):
    """It opens connections through its connector, and shares nothing with the connector's own pool."""

    async def main():
        connector = wirebird.TCPConnector()
        async with Origin() as origin:
            pool = pool_cls(connector, 2)
            first, second = await pool.acquire(urlparse(origin.url("/"))), await pool.acquire(urlparse(origin.url("/")))
            assert (pool.free_conns(), pool.is_all_free(), first is second) == (0, False, False)
            assert connector.pool.free_conns() == 25
            pool.release(first)
            pool.release(second)
            assert pool.is_all_free()
            await pool.cleanup()
            await origin.until(lambda: origin.open == 0)
            with pytest.raises(wirebird.UsageError):
                await connector.open_url(origin.url("/"), wirebird.TCPConnector().pool)
        await connector.close()

    run(main)


@BOTH
def test_closing_waits_for_what_is_on_its_way_out(loop):
    """With TLS a connection that was used up is closed only when the peer has answered."""

    async def main():
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
        async with Origin(tls=context) as origin:
            before = sockets()
            client = wirebird.HTTPClient(wirebird.TCPConnector(conn_max_requests=1), verify_ssl=False)
            await asyncio.gather(*[client.get(origin.url("/echo")) for _ in range(4)])
            await client.close()
            await origin.until(lambda: origin.open == 0)
            assert sockets() <= before

    run(main, loop)
