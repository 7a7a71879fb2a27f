"""Every exchange that began is told to be done, once, whatever happens: cancelled at every turn, failed, forgotten, closed."""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import warnings

import pytest

import wirebird
from raw_peer import OK, Peer, answer, cancelled_after, check_settled, run
from test_cancellation import WORKS, download_some, small, upload, world
from wirebird import HTTPClient, HttpResponse, TCPConnector, Timeouts
from wirebird.client.exchange import PHASES
from wirebird.testing import MockTransport

LOOPS = ["asyncio", "uvloop"]
_ORDER = {phase: at for at, phase in enumerate(PHASES)}


class Books:
    """Keeps count of what begins and ends, and checks the order of what it is told."""

    def __init__(self):
        self.open = {}
        self.ended = []

    def __call__(self, exchange, phase):
        told = self.open.get(id(exchange))
        if phase == "started":
            assert told is None
            self.open[id(exchange)] = (exchange, 1, ["started"])
            return
        assert told is not None, f"{phase} of an exchange that is over, or never began"
        _, attempt, phases = told
        if exchange.attempt != attempt:
            phases = ["started"]
        assert _ORDER[phase] > _ORDER[phases[-1]] or phase == "queued", (phases, phase)
        self.open[id(exchange)] = (exchange, exchange.attempt, [*phases, phase])
        assert all(exchange.marks[one] >= exchange.marks["started"] for one in exchange.marks)
        if phase == "done":
            del self.open[id(exchange)]
            self.ended.append(exchange)
            assert exchange.outcome in ("complete", "closed", "cancelled", "failed")
            assert (exchange.outcome == "complete") == (exchange.error is None)
            assert min(exchange.timings.values(), default=0) >= 0
            whole = sum(exchange.timings.values()) - exchange.timings.get("ssl", 0)
            assert whole == pytest.approx(exchange.duration, abs=1e-6), exchange

    def request_data(self, exchange, data):
        assert id(exchange) in self.open

    def response_data(self, exchange, data):
        assert exchange.response is not None

    def outcomes(self):
        return [exchange.outcome for exchange in self.ended]


@pytest.fixture(autouse=True)
def no_observer_fails(caplog):
    """An assertion in `Books` is an error of an observer, which is only logged."""
    yield
    assert [record.getMessage() for record in caplog.records if record.name == "wirebird"] == []


async def settle(client, books):
    """Let everything come to rest: then nothing may be open."""
    gc.collect()
    assert await client.wait_requests(5)
    if client.connector.peek() is not None:
        check_settled(client)
    assert not books.open, books.open


# -- cancelled -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("work", "kind"), [*((work, "asyncio") for work in WORKS), *((work, "uvloop") for work in (small, upload, download_some))]
)
def test_cancelled_at_every_turn(work, kind):
    async def main():
        books = Books()
        async with Peer(world) as peer, HTTPClient(TCPConnector(pool_size=2), observers=[books]) as client:
            for k in range(22):
                await cancelled_after(k, work(client, peer))
            await settle(client, books)
            assert len(books.ended) > 20

    run(main, kind=kind)


@pytest.mark.parametrize("kind", LOOPS)
def test_cancelled_at_every_turn_of_a_dial(kind, contexts):
    async def main():
        server, trusting = contexts
        books = Books()
        async with Peer(world, ssl=server) as peer:
            for k in range(0, 40, 3):
                async with HTTPClient(TCPConnector(pool_size=1, ssl=trusting), observers=[books]) as client:
                    task = asyncio.create_task(small(client, peer))
                    for _ in range(k):
                        await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.wait([task])
                assert not books.open
            assert "cancelled" in books.outcomes()

    run(main, kind=kind)


@pytest.mark.parametrize("kind", LOOPS)
def test_cancelled_at_random_with_few_slots(kind):
    chance = random.Random(7)

    async def main():
        books = Books()
        async with Peer(world) as peer, HTTPClient(TCPConnector(pool_size=3, conn_max_requests=9), observers=[books]) as client:

            async def worker():
                for _ in range(8):
                    task = asyncio.create_task(chance.choice(WORKS)(client, peer))
                    for _ in range(chance.randrange(60)):
                        await asyncio.sleep(0)
                    if chance.random() < 0.7:
                        task.cancel()
                    await asyncio.wait([task])

            await asyncio.gather(*[worker() for _ in range(7)])
            await settle(client, books)
            assert {"complete", "cancelled"} <= set(books.outcomes())

    run(main, kind=kind)


# -- failed ----------------------------------------------------------------------------------------------------------------


async def _broken_head(link):
    while await link.request():
        await link.send(b"HTTP/1.1 nonsense\r\n\r\n")


async def _gone_at_once(link):
    await link.request()
    link.reset()


async def _cut_body(link):
    await link.request()
    await link.send(answer(b"x" * 1000)[:-500])


async def _silent(link):
    await link.request()
    await link.gone()


async def _half_a_body(link):
    await link.request()
    await link.send(answer(b"x" * 1000)[:-500])
    await link.gone()


async def _bad_chunk(link):
    await link.request()
    await link.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    await asyncio.sleep(0)
    await link.send(b"nonsense\r\n")
    await link.gone()


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize(
    ("script", "error", "answered"),
    [
        (_broken_head, wirebird.InvalidResponse, False),
        (_gone_at_once, wirebird.ConnectionLost, False),
        (_cut_body, wirebird.IncompleteBody, True),
        (_silent, wirebird.ReadTimeout, False),
        (_half_a_body, wirebird.ReadTimeout, True),
        (_bad_chunk, wirebird.InvalidResponse, None),
    ],
)
def test_a_peer_that_fails(script, error, answered, kind):
    async def main():
        books = Books()
        limits = Timeouts(sock_read=0.05)
        async with Peer(script) as peer, HTTPClient(timeouts=limits, observers=[books]) as client:
            with pytest.raises(error) as caught:
                await (await client.get(peer.url())).content()
            assert books.outcomes() == ["failed"]
            [exchange] = books.ended
            assert type(exchange.error) is error is type(caught.value)
            if answered is not None:  # else the fault may come with the head
                assert (exchange.response is not None) == answered
                assert list(exchange.timings)[-1] == ("receive" if answered else "wait")
            if answered:
                assert exchange.received == 500
            await settle(client, books)

    run(main, kind=kind)


class Nowhere:
    async def resolve(self, host, port=0, family=0):
        raise OSError("no such name")

    async def close(self):
        pass


def test_a_name_that_does_not_resolve():
    async def main():
        books = Books()
        async with HTTPClient(TCPConnector(resolver=Nowhere()), observers=[books]) as client:
            with pytest.raises(wirebird.DNSError):
                await client.get("http://nowhere.example/")
            [exchange] = books.ended
            assert set(exchange.marks) == {"started", "queued", "done"}
            assert exchange.connection is None

    run(main)


def test_nobody_listens():
    async def main():
        books = Books()
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        async with HTTPClient(observers=[books]) as client:
            with pytest.raises(wirebird.ConnectError):
                await client.get(f"http://127.0.0.1:{port}/")
            assert list(books.ended[0].timings) == ["blocked", "connect"]

    run(main)


def test_a_certificate_that_is_refused(contexts):
    async def main():
        books = Books()
        async with Peer(world, ssl=contexts[0]) as peer, HTTPClient(observers=[books]) as client:
            with pytest.raises(wirebird.TLSError):
                await client.get(peer.url())
            [exchange] = books.ended
            assert set(exchange.marks) == {"started", "queued", "connect", "done"}
            assert list(exchange.timings) == ["blocked", "connect"]

    run(main)


def test_no_slot_in_time():
    async def main():
        books = Books()
        limits = Timeouts(pool_acquire=0.02)
        connector = TCPConnector(pool_size=1)
        async with Peer(_silent) as peer, HTTPClient(connector, timeouts=limits, observers=[books]) as client:
            first = asyncio.create_task(client.get(peer.url()))
            await asyncio.sleep(0)
            with pytest.raises(wirebird.PoolTimeout):
                await client.get(peer.url())
            assert books.outcomes() == ["failed"]
            assert list(books.ended[0].timings) == ["blocked"]
            first.cancel()
            await asyncio.wait([first])
            assert books.outcomes() == ["failed", "cancelled"]

    run(main)


def test_a_request_that_cannot_be_written():
    async def main():
        books = Books()
        async with Peer(world) as peer, HTTPClient(observers=[books]) as client:
            with pytest.raises(wirebird.InvalidHeader):
                await client.get(peer.url(), headers={"A": "b\nc"})
            assert books.outcomes() == ["failed"]
            assert set(books.ended[0].marks) == {"started", "done"}

    run(main)


def test_a_body_that_fails():
    async def main():
        books = Books()

        async def broken():
            yield b"x"
            raise ZeroDivisionError

        async with Peer(world) as peer, HTTPClient(observers=[books]) as client:
            with pytest.raises(ZeroDivisionError):
                await client.post(peer.url(), data=broken())
            assert books.outcomes() == ["failed"]
            assert books.ended[0].sent == 1
            await settle(client, books)

    run(main)


def test_a_body_that_is_too_long_for_the_caller():
    async def main():
        books = Books()

        async def script(link):
            while await link.request():
                await link.send(answer(b"x" * 300_000))

        async with Peer(script) as peer, HTTPClient(observers=[books], max_body_size=1000) as client:
            with pytest.raises(wirebird.LimitExceeded):
                await (await client.get(peer.url())).content()
            assert books.outcomes() == ["failed"]
            assert isinstance(books.ended[0].error, wirebird.LimitExceeded)
            await settle(client, books)

    run(main)


def test_a_body_that_cannot_be_decoded():
    async def main():
        books = Books()

        async def script(link):
            await link.request()
            await link.send(answer(b"x" * 1000, b"Content-Encoding: gzip")[:-500])
            await link.gone()

        async with Peer(script) as peer, HTTPClient(observers=[books]) as client:
            async with client.get(peer.url()) as response:
                with pytest.raises(wirebird.DecodingError):
                    await response.read(1)
            assert books.outcomes() == ["failed"]
            assert isinstance(books.ended[0].error, wirebird.DecodingError)
            await settle(client, books)

    run(main)


def test_a_reader_that_is_cancelled():
    async def main():
        books = Books()
        async with Peer(_half_a_body) as peer, HTTPClient(observers=[books]) as client:
            response = await client.get(peer.url())
            reading = asyncio.create_task(response.content())
            await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait([reading])
            assert books.outcomes() == ["cancelled"]
            await settle(client, books)

    run(main)


def test_what_stands_in_for_the_network_gives_no_response():
    class Fake:
        async def send(self, request):
            return None

        async def close(self):
            pass

    async def main():
        books = Books()
        async with HTTPClient(Fake(), observers=[books]) as client:
            with pytest.raises(wirebird.UsageError):  # the client's, of what the connector gave
                await client.get("http://fake.example/")
            assert books.outcomes() == ["failed"]

    run(main)


@pytest.mark.parametrize("reads", [True, False])
def test_a_response_that_one_client_hands_on_to_another(reads):
    async def pieces():
        for _ in range(3):
            yield b"x" * 1000

    async def main():
        inside, outside = Books(), Books()
        origin = MockTransport(lambda request: HttpResponse.make(body=pieces()))
        async with HTTPClient(connector=origin, observers=[inside]) as inner:
            hand_on = MockTransport(lambda request: inner.get("http://inner.example/"))
            async with HTTPClient(connector=hand_on, observers=[outside]) as outer:
                response = await outer.get("http://outer.example/")
                if reads:
                    assert len(await response.content()) == 3000
                await response.close()
        for books in (inside, outside):
            assert not books.open
            assert books.outcomes() == ["complete" if reads else "closed"]
            assert books.ended[0].received == (3000 if reads else 0)

    run(main)


# -- let go of -------------------------------------------------------------------------------------------------------------


def test_a_rest_that_is_waited_for_in_vain(monkeypatch):
    """The response is closed, the peer sends neither the little that is left nor its end."""
    monkeypatch.setattr("wirebird.net.incoming.DRAIN_TIME", 0.03)

    async def main():
        books = Books()
        async with Peer(_half_a_body) as peer, HTTPClient(observers=[books]) as client:
            async with client.get(peer.url()):
                pass
            assert not books.ended
            await settle(client, books)
            assert books.outcomes() == ["closed"]
            assert books.ended[0].received == 500

    run(main)


def test_a_rest_that_comes():
    async def main():
        books = Books()
        more = asyncio.Event()

        async def later(link):
            while await link.request():
                await link.send(answer(b"x" * 1000)[:-500])
                await more.wait()
                await link.send(b"x" * 500)

        async with Peer(later) as peer, HTTPClient(observers=[books]) as client:
            async with client.get(peer.url()):
                pass
            assert not books.ended
            more.set()
            await settle(client, books)
            assert books.outcomes() == ["complete"]
            assert books.ended[0].received == 1000
            assert client.stats()["idle"] == 1

    run(main)


@pytest.mark.parametrize("kind", LOOPS)
def test_the_client_is_closed_under_them(kind):
    async def main():
        books = Books()
        async with Peer(_half_a_body) as half, Peer(_silent) as silent:
            client = HTTPClient(TCPConnector(pool_size=2), observers=[books])
            response = await client.get(half.url())
            waiting = asyncio.create_task(client.get(silent.url()))
            in_line = asyncio.create_task(client.get(silent.url()))
            for _ in range(20):
                await asyncio.sleep(0)
            await client.close()
            await asyncio.wait([waiting, in_line])
            assert sorted(books.outcomes()) == ["failed"] * 3
            assert not books.open
            with pytest.raises(wirebird.WirebirdError):
                await response.content()
            waiting.exception(), in_line.exception()

    run(main, kind=kind)


def test_the_loop_is_gone():
    """Neither closed nor read: it is over when the response is, or when another loop takes over."""
    books = Books()
    client = HTTPClient(observers=[books])
    kept = []
    accepted = []

    async def first():
        loop = asyncio.get_running_loop()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        for _ in range(2):
            call = asyncio.create_task(client.get(url))
            link, _ = await loop.sock_accept(listener)
            accepted.append(link)
            await loop.sock_sendall(link, answer(b"x" * 1000)[:-500])
            kept.append(await call)
        await asyncio.sleep(0)

    async def second():
        async with Peer(world) as peer:
            await small(client, peer)
            await client.close()

    with socket.create_server(("127.0.0.1", 0)) as listener, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of the loop that left its transports behind
        listener.setblocking(False)
        asyncio.run(first())
        assert not books.ended
        kept.pop(0)
        gc.collect()
        assert books.outcomes() == ["closed"]
        asyncio.run(second())
        assert books.outcomes() == ["closed", "failed", "complete"]
        assert not books.open
        for link in accepted:
            link.close()


def test_a_call_that_is_closed_where_it_waits():
    """As the loop does with what is left when it ends."""

    async def main():
        books = Books()
        async with Peer(world) as peer, HTTPClient(observers=[books]) as client:
            await small(client, peer)
            call = client.get(peer.url("/big"))
            call.send(None)
            call.close()
            assert books.outcomes() == ["complete", "cancelled"]
            await settle(client, books)

    run(main)


def test_a_call_that_is_never_awaited_is_no_exchange():
    async def main():
        books = Books()
        async with Peer(world) as peer, HTTPClient(observers=[books]) as client:
            client.get(peer.url()).close()
            assert not books.open
            assert not books.ended

    run(main)


def test_what_was_observed_is_not_kept():
    """Nothing of an exchange stays behind but what an observer keeps."""

    async def main():
        alive = []

        def count(exchange, phase):
            if phase == "started":
                exchange.notes[count] = Note()
                alive.append(1)

        class Note:
            def __del__(self):
                alive.pop()

        async def script(link):
            while await link.request():
                await link.send(OK)

        async with Peer(script) as peer, HTTPClient(observers=[count]) as client:
            for _ in range(20):
                assert await (await client.get(peer.url())).content() == b"fine"
            await asyncio.sleep(0)
            assert len(alive) <= 1

    run(main)
