"""Observers: which phases they are told of and when, what an exchange says of itself, and that nobody else notices them."""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

import wirebird
from origin import FOX, Asked, Origin, Wire, pattern, run
from proxies import HttpProxy, SocksProxy
from wirebird import Exchange, HTTPClient, HttpResponse, Request, TCPConnector, UsageError
from wirebird.client.exchange import PHASES

LOOPS = ["asyncio", "uvloop"]


class Recorder:
    """Keeps what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[Exchange, str]] = []
        self.sent: list[tuple[Exchange, bytes]] = []
        self.read: list[tuple[Exchange, bytes]] = []

    def __call__(self, exchange: Exchange, phase: str) -> None:
        self.told.append((exchange, phase))

    def request_data(self, exchange: Exchange, data: bytes) -> None:
        self.sent.append((exchange, data))

    def response_data(self, exchange: Exchange, data: bytes) -> None:
        self.read.append((exchange, data))

    @property
    def exchanges(self) -> list[Exchange]:
        return list(dict.fromkeys(exchange for exchange, _ in self.told))

    @property
    def last(self) -> Exchange:
        return self.told[-1][0]

    def phases(self, exchange: Exchange | None = None) -> list[str]:
        wanted = exchange or self.last
        return [phase for one, phase in self.told if one is wanted]


class Names:
    """A resolver that knows one host."""

    async def resolve(self, host: str, port: int = 0, family: int = 2) -> list[dict[str, Any]]:
        await asyncio.sleep(0)
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": family, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("secure.example", common_name="secure.example").configure_cert(server)
    server.set_alpn_protocols(["http/1.1"])
    client = ssl.create_default_context()
    client.set_alpn_protocols(["http/1.1"])
    authority.configure_trust(client)
    return server, client


# -- the phases ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_a_new_connection_and_a_used_one(loop: str) -> None:
    async def main() -> None:
        seen = Recorder()
        async with Origin() as origin, HTTPClient(observers=[seen]) as client:
            before = time.time()
            response = await client.get(origin.url("/bytes/100"))
            first = seen.last
            assert seen.phases() == ["started", "queued", "connect", "sent", "first_byte", "done"]
            assert await response.content() == pattern(100)
            await client.get(origin.url("/bytes/100"))
            second = seen.last
            assert seen.phases() == ["started", "queued", "sent", "first_byte", "done"]
            assert (first.reused, second.reused) == (False, True)
            assert first.connection is second.connection is not None
            assert first.connection.peer == first.request.destination.authority == origin.address
            assert first.connection.remote == ("127.0.0.1", origin.port)
            assert first.connection.local is not None
            assert first.connection.local[0] == "127.0.0.1"
            assert first.connection[4:] == (None, None, None, None)
            assert before <= first.started <= second.started <= time.time()

    run(main, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_every_phase_there_is(loop: str, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    server, trusting = contexts

    async def main() -> None:
        seen = Recorder()
        connector = TCPConnector(resolver=Names(), ssl=trusting)
        async with Origin(tls=server) as origin, HTTPClient(connector, observers=[seen]) as client:
            await client.get(origin.url("/bytes/10", "secure.example"))
            exchange = seen.last
            assert tuple(seen.phases()) == PHASES
            times = [exchange.marks[phase] for phase in PHASES]
            assert times == sorted(times)
            assert exchange.connection is not None
            assert exchange.connection.tls_version in ("TLSv1.2", "TLSv1.3")
            assert exchange.connection.cipher
            assert exchange.connection.alpn == "http/1.1"
            assert exchange.connection.subject is not None
            assert "commonName=secure.example" in exchange.connection.subject
            stages = exchange.timings
            assert list(stages) == ["blocked", "dns", "connect", "ssl", "send", "wait", "receive"]
            assert sum(stages.values()) - stages["ssl"] == pytest.approx(exchange.duration)
            assert stages["ssl"] < stages["connect"]

    run(main, loop)


def test_a_unix_socket_has_no_addresses(tmp_path: Path) -> None:
    async def main() -> None:
        seen = Recorder()
        path = str(tmp_path / "s")
        async with Origin(uds=path), HTTPClient(TCPConnector(uds=path), observers=[seen]) as client:
            await client.get("http://any.example/bytes/3")
            assert seen.phases() == ["started", "queued", "connect", "sent", "first_byte", "done"]
            assert seen.last.connection is not None
            assert (seen.last.connection.remote, seen.last.connection.local) == (None, None)

    run(main)


def test_a_wait_for_a_slot_is_time_blocked() -> None:
    async def main() -> None:
        seen = Recorder()
        async with Origin() as origin, HTTPClient(TCPConnector(pool_size=1), observers=[seen]) as client:
            first = asyncio.create_task(client.get(origin.url("/silent")))
            await origin.until(lambda: len(origin.asked) == 1)
            second = asyncio.create_task(client.get(origin.url("/bytes/1")))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            waiting = seen.exchanges[1]
            assert seen.phases(waiting) == ["started"]
            assert waiting.outcome == "pending"
            origin.release.set()
            await asyncio.gather(first, second)
            assert seen.phases(waiting) == ["started", "queued", "sent", "first_byte", "done"]
            assert waiting.timings["blocked"] > 0

    run(main)


def test_every_hop_every_round_and_every_try_is_an_exchange() -> None:
    async def main() -> None:
        seen = Recorder()

        async def twice(request: Request, handler: Any) -> HttpResponse:
            await handler(request)
            request.headers["X-Second"] = "yes"
            return await handler(request)

        async with Origin() as origin, HTTPClient(observers=[seen], middlewares=[twice], follow=True) as client:
            await client.get(origin.url("/chain/2"))
            shown = [(str(one.request.url.path), one.response.status_code) for one in seen.exchanges if one.response]
            hops = [("/chain/2", 302), ("/chain/1", 302), ("/chain/0", 200)]
            assert shown == [*hops, *hops]
            # What was sent then, not what the request became.
            assert [one.request.headers.get("x-second") for one in seen.exchanges] == [None, None, None, "yes", "yes", "yes"]

    run(main)


def test_a_stale_connection_is_one_exchange_in_two_attempts() -> None:
    async def main() -> None:
        seen = Recorder()
        async with Origin() as origin, HTTPClient(observers=[seen]) as client:

            async def close_at_once(asked: Asked, wire: Wire) -> None:
                if asked.connection == 1:
                    wire.abort()
                else:
                    await wire.respond(200, body=b"fine")

            origin.on("/stale", close_at_once)
            await client.get(origin.url("/bytes/1"))
            await client.put(origin.url("/stale"), data=b"abc")
            exchange = seen.last
            assert len(seen.exchanges) == 2
            assert (exchange.attempt, exchange.reused, exchange.sent, exchange.outcome) == (2, False, 3, "complete")
            assert seen.phases() == ["started", "queued", "sent", "queued", "connect", "sent", "first_byte", "done"]
            assert [data for one, data in seen.sent if one is exchange] == [b"abc", b"abc"]
            times = [exchange.marks[phase] for phase in ("started", "queued", "connect", "sent", "first_byte", "done")]
            assert times == sorted(times)

    run(main)


def test_a_417_is_one_exchange_in_two_attempts() -> None:
    async def main() -> None:
        seen = Recorder()

        async def refuse(asked: Asked, wire: Wire) -> None:
            await wire.respond(417 if "expect" in asked.headers else 200, [("Connection", "close")])
            wire.close()

        async with Origin() as origin, HTTPClient(observers=[seen]) as client:
            origin.on("/refused", refuse, early=True)
            await client.post(origin.url("/refused"), headers={"Expect": "100-continue"}, data=b"x" * 100_000)
            assert len(seen.exchanges) == 1
            assert seen.last.attempt == 2
            assert "expect" not in seen.last.request.headers
            assert seen.last.response is not None
            assert seen.last.response.status_code == 200

    run(main)


# -- bodies ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/bytes/0", "/bytes/50", "/bytes/300000", "/chunked/300000?size=7000", "/eof/100000"])
@pytest.mark.parametrize("way", ["content", "iter_bytes", "large", "read_chunks", "together"])
def test_what_is_received_and_what_is_read(path: str, way: str) -> None:
    async def main() -> None:
        seen = Recorder()
        async with Origin() as origin, HTTPClient(observers=[seen]) as client:
            response = await client.get(origin.url(path))
            if way == "content":
                body = await response.content()
            elif way == "together":
                body, again = await asyncio.gather(response.content(), response.content())
                assert body == again
            elif way == "read_chunks":
                body = b"".join([piece async for piece in response.read_chunks()])
            else:
                body = b"".join([piece async for piece in response.iter_bytes(100_000 if way == "large" else None)])
            size = int("".join(c for c in path.partition("?")[0] if c.isdigit()))
            assert body == pattern(size)
            assert seen.phases() == ["started", "queued", "connect", "sent", "first_byte", "done"]
            assert seen.last.received == size
            assert b"".join(data for _, data in seen.read) == body

    run(main)


def test_what_is_not_read_is_not_handed_on() -> None:
    async def main() -> None:
        seen = Recorder()
        async with Origin() as origin, HTTPClient(observers=[seen]) as client:
            async with client.get(origin.url("/bytes/1000000")) as response:
                assert await response.read(10) == pattern(10)
            read = b"".join(data for _, data in seen.read)
            assert pattern(1_000_000).startswith(read)
            assert 10 <= len(read) <= 262_144
            assert seen.last.outcome == "closed"
            assert isinstance(seen.last.error, wirebird.BodyConsumed)
            assert len(read) <= seen.last.received < 1_000_000

    run(main)


def test_a_body_may_be_read_after_the_exchange_is_done() -> None:
    async def main() -> None:
        seen = Recorder()
        async with Origin() as origin, HTTPClient(observers=[seen]) as client:
            response = await client.get(origin.url("/chunked/20000"))
            await client.wait_requests()
            assert seen.phases()[-1] == "done"
            assert await response.content() == pattern(20_000)
            assert b"".join(data for _, data in seen.read) == pattern(20_000)
            assert seen.phases().count("done") == 1

    run(main)


def test_sizes_are_of_the_bodies_as_they_are_coded() -> None:
    async def main() -> None:
        seen = Recorder()
        async with Origin() as origin, HTTPClient(observers=[seen]) as client:
            response = await client.get(origin.url("/coded/gzip"))
            assert await response.content() == FOX
            assert seen.last.received == response.content_length != len(FOX)

    run(main)


@pytest.mark.parametrize("kind", ["bytes", "many bytes", "iterator", "own chunks"])
def test_what_is_sent(kind: str) -> None:
    async def main() -> None:
        seen = Recorder()
        data = pattern(200_000 if kind in ("many bytes", "own chunks") else 5000)
        async with Origin() as origin, HTTPClient(observers=[seen]) as client:
            given: Any = iter([data[:1000], data[1000:]]) if kind == "iterator" else data
            headers = {"Transfer-Encoding": "chunked"} if kind == "own chunks" else {}
            await (await client.post(origin.url("/post"), data=given, headers=headers)).content()
            assert origin.asked[0].body == data
            assert seen.phases() == ["started", "queued", "connect", "sent", "first_byte", "done"]
            assert seen.last.sent == len(data)
            assert b"".join(data for _, data in seen.sent) == data

    run(main)


def test_a_response_during_the_upload() -> None:
    async def main() -> None:
        seen = Recorder()

        async def refuse(asked: Asked, wire: Wire) -> None:
            await wire.respond(413, [("Connection", "close")])

        async def endless() -> Any:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0)

        async with Origin() as origin, HTTPClient(observers=[seen]) as client:
            origin.on("/upload", refuse, early=True)
            assert (await client.post(origin.url("/upload"), data=endless())).status_code == 413
            assert seen.phases() == ["started", "queued", "connect", "first_byte", "done"]
            assert seen.last.sent > 0
            assert seen.last.timings["send"] > 0
            assert sum(seen.last.timings.values()) == pytest.approx(seen.last.duration)

    run(main)


def test_the_head_is_what_was_sent() -> None:
    async def main() -> None:
        seen = Recorder()
        async with Origin() as origin, HTTPClient(observers=[seen], cookies={"a": "b"}) as client:
            await client.post(origin.url("/post"), data=b"abc", auth=("u", "p"))
            assert seen.last.head == origin.asked[0].head.raw
            assert b"Cookie: a=b" in seen.last.head

    run(main)


# -- observers and the rest of the world --------------------------------------------------------------------------------------


def test_the_response_of_an_exchange_has_no_body() -> None:
    async def main() -> None:
        seen = Recorder()
        async with Origin() as origin, HTTPClient(observers=[seen]) as client:
            response = await client.get(origin.url("/bytes/100"))
            shown = seen.last.response
            assert shown is not None
            assert shown is not response
            assert (shown.status_code, shown.headers, shown.elapsed) == (200, response.headers, response.elapsed)
            with pytest.raises(wirebird.BodyConsumed):
                await shown.content()
            assert await response.content() == pattern(100)

    run(main)


@pytest.mark.parametrize("error", [ValueError("oops"), asyncio.CancelledError()])
def test_an_observer_that_fails_is_logged_once_and_hurts_nobody(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        class Bad:
            def __call__(self, exchange: Exchange, phase: str) -> None:
                raise error

            response_data = request_data = __call__

        seen = Recorder()
        async with Origin() as origin, HTTPClient(observers=[Bad(), seen]) as client:
            response = await client.post(origin.url("/chunked/100000"), data=iter([b"x"]))
            assert await response.content() == pattern(100_000)
            assert seen.phases()[-1] == "done"
            assert client.stats()["idle"] == 1

    with caplog.at_level(logging.ERROR, "wirebird"):
        run(main)
    assert [record.name for record in caplog.records] == ["wirebird"]
    assert type(error).__name__ in caplog.records[0].getMessage()


def test_an_observer_may_close_what_it_hears_of() -> None:
    """What it does from inside is as if the caller had done it."""

    async def main() -> None:
        seen = Recorder()
        async with Origin() as origin, HTTPClient(observers=[seen]) as client:

            def stop(exchange: Exchange, data: bytes) -> None:
                tasks[0].cancel()

            seen.response_data = stop  # type: ignore[method-assign]

            async def work() -> None:
                response = await client.get(origin.url("/chunked/1000000"))
                async for _ in response.iter_bytes():
                    await asyncio.sleep(0)

            tasks = [asyncio.create_task(work())]
            await asyncio.wait(tasks)
            assert tasks[0].cancelled()
            tasks.clear()
            gc.collect()
            assert await client.wait_requests(5)
            assert seen.phases().count("done") == 1
            assert client.stats()["in_use"] == 0

    run(main)


def test_a_response_that_is_forgotten_is_let_go_of_at_once() -> None:
    """The observation does not keep it, nor does the garbage collector have to find it."""

    async def main() -> None:
        seen = Recorder()
        async with Origin() as origin, HTTPClient(observers=[seen]) as client:
            gc.disable()
            try:
                response: HttpResponse | None = await client.get(origin.url("/held?first=10"))
                assert seen.phases()[-1] == "first_byte"
                await asyncio.sleep(0)  # the loop held the future that it came in
                response = None
                assert response is None
                assert seen.phases()[-1] == "done"
                assert seen.last.outcome == "closed"
                assert client.stats()["in_use"] == 0
            finally:
                gc.enable()

    run(main)


def test_a_failure_leaves_no_cycle() -> None:
    async def main() -> None:
        gone: list[weakref.ref[Any]] = []

        class Note:
            pass

        def note(exchange: Exchange, phase: str) -> None:
            if phase == "started":
                exchange.notes[note] = Note()
                gone.append(weakref.ref(exchange.notes[note]))

        async with Origin() as origin, HTTPClient(observers=[note]) as client:
            origin.always("/broken", b"HTTP/1.1 nonsense\r\n\r\n", close=True)
            gc.collect()
            gc.disable()
            try:
                with pytest.raises(wirebird.InvalidResponse):
                    await client.get(origin.url("/broken"))
                assert [one() for one in gone] == [None]
            finally:
                gc.enable()

    run(main)


def test_something_that_stands_in_for_the_network_is_observed_too() -> None:
    class Fake:
        async def send(self, request: Request) -> HttpResponse:
            if request.url.path == "/broken":
                raise wirebird.ConnectionLost("gone")
            return HttpResponse.make(200, text="made", request=request)

        async def close(self) -> None:
            """Nothing to close."""

    async def main() -> None:
        seen = Recorder()
        async with HTTPClient(Fake(), observers=[seen]) as client:
            assert await (await client.get("http://fake.example/")).text() == "made"
            assert seen.phases() == ["started", "first_byte", "done"]
            assert (seen.last.received, seen.last.connection, seen.last.outcome) == (4, None, "complete")
            with pytest.raises(wirebird.ConnectionLost):
                await client.get("http://fake.example/broken")
            assert seen.phases() == ["started", "done"]
            assert seen.last.outcome == "failed"

    run(main)


def test_without_observers_the_short_cut_is_open_and_with_them_it_is_not() -> None:
    async def main() -> None:
        async with Origin() as origin:
            async with HTTPClient() as client:
                await client.get(origin.url("/bytes/1"))
                assert client.plans
            seen = Recorder()
            async with HTTPClient(observers=(one for one in [seen])) as client:  # type: ignore[arg-type]
                await client.get(origin.url("/bytes/1"))
                await client.get(origin.url("/bytes/1"))
                assert not client.plans
                assert len(seen.exchanges) == 2

    run(main)


async def _awaited(exchange: Exchange, phase: str) -> None:
    """No observer."""


class _Awaited:
    async def __call__(self, exchange: Exchange, phase: str) -> None:
        """No observer."""


@pytest.mark.parametrize("observers", [[None], 7, ["name"], [_awaited], [_Awaited()], [Recorder], [wirebird.LogObserver]])
def test_what_is_no_observer(observers: Any) -> None:
    with pytest.raises(UsageError, match="observers") as caught:
        HTTPClient(observers=observers)
    assert caught.value.argument == "observers"


def test_the_line_of_an_exchange_has_no_secrets_and_is_one_line() -> None:
    async def main() -> None:
        seen = Recorder()
        async with Origin() as origin, HTTPClient(observers=[seen]) as client:
            url = origin.url("/bytes/1?token=hunter2&x=%1b%5B2J#fragment").replace("//", "//user:hunter2@")
            await client.get(url)
            line = repr(seen.last)
            assert line.startswith(f"<Exchange GET {origin.url('/bytes/1?token=***&x=%1B%5B2J')} 200 complete, ")
            assert "blocked" in line
            assert "hunter2" not in line
            assert line.isprintable()

    run(main)


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "fails" not in request.node.name:
        assert [record for record in caplog.records if record.name == "wirebird"] == []


@pytest.mark.parametrize("loop", LOOPS)
def test_the_phases_of_a_tunnel(loop: str) -> None:
    """The proxy has connected, however many steps it took to reach it, and TLS is with the target."""

    async def main() -> None:
        authority = trustme.CA()
        server, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
        authority.issue_cert("127.0.0.1").configure_cert(server)
        authority.configure_trust(trusting)
        async with Origin(tls=server) as origin, HttpProxy(tls=server) as outer, SocksProxy() as socks:
            for proxy in (wirebird.Proxy(outer.url, ssl=trusting), wirebird.Proxy(socks.url)):
                recorder = Recorder()
                async with HTTPClient(TCPConnector(ssl=trusting), proxy=proxy, observers=[recorder]) as client:
                    response = await client.get(origin.url("/echo"))
                    assert (await response.json())["method"] == "GET"
                assert recorder.phases() == ["started", "queued", "connect", "tls", "sent", "first_byte", "done"]

    run(main, loop)
