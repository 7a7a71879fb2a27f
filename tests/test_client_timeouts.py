"""Time limits: each of the four, its class, its limit and its phase (T18).  The origin is silent until an event is set, not slow.

What a hostile peer does with time is in test_faults.py.
"""

from __future__ import annotations

import asyncio
import builtins
from time import monotonic

import pytest

import wirebird
from origin import Origin, pattern, run
from wirebird import Timeouts

BOTH = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
SHORT = 0.05
ROOMY = 0.25  # for a limit within which something else must happen first, on a busy machine too


def only(**limits: float) -> Timeouts:
    """These limits and no others."""
    return Timeouts(**{"sock_connect": None, "sock_read": None, "pool_acquire": None, "request_timeout": None, **limits})


async def expires(error: type[Exception], phase: str, call, limit: float = SHORT) -> None:
    """The call raises the error with the limit and phase, soon after the limit and not before."""
    start = monotonic()
    with pytest.raises(error) as caught:
        await call
    spent = monotonic() - start
    assert limit * 0.8 <= spent < limit + 2
    assert isinstance(caught.value, wirebird.TimeoutError)
    assert isinstance(caught.value, builtins.TimeoutError)
    assert (caught.value.limit, caught.value.phase) == (limit, phase)
    assert caught.value.peer
    assert f"{limit:g} s" in str(caught.value)


class Stuck:
    """A resolver that never answers."""

    async def resolve(self, host, port=0, family=0):
        await asyncio.Event().wait()

    async def close(self):
        pass


@BOTH
def test_sock_connect(loop):
    """DNS, TCP and TLS are one limit."""

    async def main():
        connector = wirebird.TCPConnector(resolver=Stuck())
        async with wirebird.HTTPClient(connector, timeouts=only(sock_connect=SHORT)) as client:
            await expires(wirebird.ConnectTimeout, "connecting", client.get("http://example.test/"))
            assert client.stats()["in_use"] == 0
        silent = await asyncio.start_server(lambda reader, writer: writers.append(writer), "127.0.0.1", 0)
        writers: list[asyncio.StreamWriter] = []
        async with wirebird.HTTPClient(timeouts=only(sock_connect=SHORT)) as client:
            port = silent.sockets[0].getsockname()[1]
            await expires(wirebird.ConnectTimeout, "connecting", client.get(f"https://127.0.0.1:{port}/"))
            assert client.stats()["in_use"] == 0
        silent.close()
        for writer in writers:
            writer.transport.abort()
        await silent.wait_closed()

    run(main, loop)


@BOTH
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_sock_read_for_the_head(loop, method):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(timeouts=only(sock_read=SHORT)) as client:
            for _ in range(2):
                call = client.get(origin.url("/silent")) if method == "GET" else client.post(origin.url("/silent"), data=b"x")
                await expires(wirebird.ReadTimeout, "waiting for the response", call)
                assert client.stats()["open"] == 0
                await client.get(origin.url("/echo"), timeouts=only())
            await origin.until(lambda: origin.open == 1)

    run(main, loop)


@BOTH
@pytest.mark.parametrize("way", ["content", "read", "iter"])
def test_sock_read_for_the_body(loop, way):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(timeouts=only(sock_read=ROOMY)) as client:
            await client.get(origin.url("/echo"))
            response = await client.get(origin.url("/held?first=10"))
            if way == "content":
                reading = response.content()
            else:
                assert await response.read(10) == pattern(10)
                reading = response.read(10) if way == "read" else anext(response.iter_bytes())
            await expires(wirebird.ReadTimeout, "reading the body", reading, ROOMY)
            assert client.stats()["open"] == 0

    run(main, loop)


def test_the_short_cut_has_limits_too():
    async def main():
        async with Origin() as origin:

            async def second_time(asked, wire):
                if len(origin.asked) > 1:
                    await origin.release.wait()
                await wire.respond(200)

            origin.on("/second", second_time)
            for error, limits in (
                (wirebird.ReadTimeout, only(sock_read=ROOMY)),
                (wirebird.RequestTimeout, only(request_timeout=ROOMY)),
            ):
                origin.asked.clear()
                async with wirebird.HTTPClient(timeouts=limits) as client:
                    await client.get(origin.url("/second"))
                    await expires(error, "waiting for the response", client.get(origin.url("/second")), ROOMY)

    run(main)


@BOTH
@pytest.mark.parametrize("warm", [False, True])
def test_pool_acquire(loop, warm):
    async def main():
        connector = wirebird.TCPConnector(pool_size=1)
        async with Origin() as origin, wirebird.HTTPClient(connector, timeouts=only(pool_acquire=SHORT)) as client:
            if warm:
                await client.get(origin.url("/echo"))
            held = await client.get(origin.url("/held?first=1"))
            await expires(wirebird.PoolTimeout, "waiting for a connection", client.get(origin.url("/echo")))
            await expires(wirebird.PoolTimeout, "waiting for a connection", client.post(origin.url("/echo")))
            assert client.stats()["waiting"] == 0
            origin.release.set()
            assert await held.content() == pattern(100_000)
            assert (await client.get(origin.url("/echo"))).ok

    run(main, loop)


@BOTH
def test_request_timeout(loop):
    async def main():
        connector = wirebird.TCPConnector(pool_size=1)
        async with Origin() as origin, wirebird.HTTPClient(connector, timeouts=only(request_timeout=SHORT)) as client:
            await expires(wirebird.RequestTimeout, "waiting for the response", client.get(origin.url("/silent")))
            response = await client.get(origin.url("/held?first=10"), timeouts=only())
            await expires(wirebird.RequestTimeout, "waiting for a connection", client.get(origin.url("/echo")))
            await response.close()
            await client.wait_requests(5)
        connector = wirebird.TCPConnector(resolver=Stuck())
        async with wirebird.HTTPClient(connector, timeouts=only(request_timeout=SHORT)) as client:
            await expires(wirebird.RequestTimeout, "connecting", client.get("http://example.test/"))

    run(main, loop)


def test_request_timeout_spans_redirects():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(follow=True) as client:

            async def slow(asked, wire):
                """Each hop takes most of the limit: it waits for nothing but the clock of the client, read off a deadline."""
                loop = asyncio.get_running_loop()
                waited = loop.create_future()
                loop.call_later(ROOMY * 0.6, waited.set_result, None)
                await waited
                await wire.respond(302, [("Location", "/slow")])

            origin.on("/slow", slow)
            start = monotonic()
            with pytest.raises(wirebird.RequestTimeout):
                await client.get(origin.url("/slow"), timeouts=only(request_timeout=ROOMY))
            assert monotonic() - start < ROOMY + 1
            assert len(origin.asked) == 2

    run(main)


def test_request_timeout_goes_on_through_content_but_not_through_a_stream():
    async def main():
        async with Origin() as origin:
            async with wirebird.HTTPClient(timeouts=only(request_timeout=ROOMY)) as client:
                for read in ("content", "text", "json"):
                    response = await client.get(origin.url("/held?first=10"))
                    with pytest.raises(wirebird.RequestTimeout) as caught:
                        await getattr(response, read)()
                    assert (caught.value.limit, caught.value.phase) == (ROOMY, "reading the body")
                    assert client.stats()["open"] == 0
                response = await client.get(origin.url("/held?first=10"))
                assert await response.read(10) == pattern(10)
                reading = asyncio.ensure_future(response.read())
                done, _ = await asyncio.wait([reading], timeout=ROOMY * 1.5)
                assert not done
                origin.release.set()
                assert await reading == pattern(100_000)[10:]

    run(main)


def test_silence_counts_only_while_somebody_reads():
    """While the consumer is behind, the peer owes nothing; and an idle connection may rest for longer than sock_read."""

    async def main():
        async with Origin() as origin, wirebird.HTTPClient(timeouts=only(sock_read=ROOMY)) as client:
            response = await client.get(origin.url("/bytes/5000000"))
            assert len(await response.read(1000)) == 1000
            await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=ROOMY * 1.5)
            assert len(await response.read()) == 4_999_000
            await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=ROOMY * 1.5)
            assert client.stats()["idle"] == 1
            assert (await client.get(origin.url("/echo"))).ok
            assert origin.connections == 1

    run(main)


def test_a_slow_body_of_the_caller_is_not_the_peers_silence():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(timeouts=only(sock_read=ROOMY)) as client:

            async def slow():
                yield b"a"
                await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=ROOMY * 1.5)
                yield b"b"

            response = await client.post(origin.url("/post"), data=slow())
            assert (await response.json())["data"] == "ab"

    run(main)


@pytest.mark.parametrize("limit", [None, 0])
def test_no_limit(limit):
    async def main():
        limits = Timeouts(limit, limit, limit, limit)
        async with Origin() as origin, wirebird.HTTPClient(timeouts=limits) as client:
            for _ in range(2):
                assert (await client.get(origin.url("/echo"))).ok
            waiting = asyncio.ensure_future(client.get(origin.url("/silent")))
            await origin.until(lambda: len(origin.asked) == 3)
            origin.release.set()
            assert (await waiting).status_code == 204

    run(main)


def test_whose_limits_apply():
    """The call's, else the client's, else the connector's."""

    async def main():
        connector = wirebird.TCPConnector(timeouts=only(sock_read=SHORT))
        async with Origin() as origin:
            async with wirebird.HTTPClient(connector) as client:
                await expires(wirebird.ReadTimeout, "waiting for the response", client.get(origin.url("/silent")))
            connector = wirebird.TCPConnector(timeouts=only(sock_read=60))
            async with wirebird.HTTPClient(connector, timeouts=only(sock_read=SHORT)) as client:
                await expires(wirebird.ReadTimeout, "waiting for the response", client.get(origin.url("/silent")))
            async with wirebird.HTTPClient() as client:
                call = client.get(origin.url("/silent"), timeouts=only(sock_read=SHORT))
                await expires(wirebird.ReadTimeout, "waiting for the response", call)
        assert Timeouts() == Timeouts(5, 30, None, 60)

    run(main)


@BOTH
def test_an_outer_limit_is_the_callers_own(loop):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(SHORT):
                    await client.get(origin.url("/silent"))
            assert not isinstance(caught.value, wirebird.TimeoutError)
            assert client.stats()["open"] == 0
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.post(origin.url("/silent")), SHORT)
            assert client.stats()["open"] == 0

    run(main, loop)


@pytest.mark.parametrize("phase", ["connecting", "waiting for the response", "waiting for a connection", "reading the body"])
def test_a_deadline_that_a_middleware_sets_holds_where_there_is_no_limit(phase):
    """There is no number in `Timeouts` to tell then."""

    async def hurried(request, handler):
        request.deadline = monotonic() + SHORT
        return await handler(request)

    async def main():
        connector = wirebird.TCPConnector(1, resolver=Stuck() if phase == "connecting" else None)
        async with Origin() as origin, wirebird.HTTPClient(connector, timeouts=only(), network_middlewares=[hurried]) as client:
            held = None
            if phase == "waiting for a connection":
                held = await connector.pool.acquire(origin.url("/"))
            path = "/held?first=10" if phase == "reading the body" else "/silent"
            url = "http://example.test/" if phase == "connecting" else origin.url(path)

            async def call():
                return await (await client.get(url)).content()

            async with asyncio.timeout(5):
                with pytest.raises(wirebird.RequestTimeout) as caught:
                    await call()
            assert caught.value.phase == phase
            if held is not None:
                connector.pool.release(held)

    run(main)
