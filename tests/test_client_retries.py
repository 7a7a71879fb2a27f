"""Retries as a client makes them: what the peer sees, what the caller gets, and what is left behind."""

from __future__ import annotations

import asyncio
import socket
import ssl
from time import monotonic
from typing import Any

import pytest
import trustme

import raw_peer
import wirebird
from origin import Asked, Origin, Wire, run
from raw_peer import OK, Peer, answer, check_settled
from wirebird import Backoff, HTTPClient, HttpResponse, Request, Retry, RetryBudget, TCPConnector, Timeouts
from wirebird.client.middleware.retries import Retries

AT_ONCE = Retry(backoff=0)


def failing(times: int, status: int = 503, *fields: tuple[str, str], body: bytes = b"later") -> Any:
    """A handler that answers `status` so many times, and then says what it was sent."""
    left = [times]

    async def handler(asked: Asked, wire: Wire) -> None:
        left[0] -= 1
        if left[0] >= 0:
            await wire.respond(status, fields, body)
        else:
            await wire.respond(200, [], asked.method.encode() + b" " + asked.body)

    return handler


class World:
    """A clock that only sleeping moves, and a network that does what it is told: for a middleware without a client."""

    def __init__(self, *outcomes: Any, random: float = 0.0) -> None:
        self.now = 1000.0
        self.outcomes = list(outcomes)
        self.sent: list[Request] = []
        self.slept: list[float] = []
        self.given: list[HttpResponse] = []
        self.retries = Retries(sleep=self.sleep, random=lambda: random, clock=lambda: self.now, today=lambda: self.now)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def handler(self, request: Request) -> HttpResponse:
        self.sent.append(request)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        status, headers = outcome if isinstance(outcome, tuple) else (outcome, {})
        self.given.append(HttpResponse.make(status, headers, request=request))
        return self.given[-1]

    async def call(
        self, policy: Retry | None = AT_ONCE, method: str = "GET", limit: float = 60, body: Any = None
    ) -> HttpResponse:
        request = make_request(policy)
        request.deadline = self.now + limit
        return await self.retries(request, self.handler)


def make_request(policy: Retry) -> Request:
    return HTTPClient().prepare("GET", "http://example.org/", {"retries": policy})


# -- the loop of attempts ----------------------------------------------------------------------------------------------------


def test_the_waits_are_those_of_the_policy():
    async def main():
        world = World(503, wirebird.ConnectError("refused"), (429, {"Retry-After": "5"}), 200, random=0.5)
        response = await world.call(Retry(5, backoff=Backoff(1)))
        assert response.status_code == 200
        assert world.slept == [0.5, 1.0, 5 + 2.0]
        assert len(world.sent) == 4

    run(main)


def test_the_last_response_is_given_whatever_its_status():
    async def main():
        world = World(503, 502, 504)
        assert (await world.call()).status_code == 504
        assert not world.outcomes

    run(main)


def test_the_last_error_is_raised_and_says_how_often_it_was_tried():
    async def main():
        errors = [wirebird.ConnectError(f"refused {number}") for number in (1, 2, 3)]
        world = World(*errors)
        with pytest.raises(wirebird.ConnectError, match="refused 3") as caught:
            await world.call()
        assert caught.value.__notes__ == ["this was attempt 3 of 3, after ConnectError, ConnectError"]
        assert not hasattr(errors[0], "__notes__")
        many = World(*[503] * 7, wirebird.ConnectError("refused"))
        with pytest.raises(wirebird.ConnectError) as caught:
            await many.call(Retry(7, backoff=0))
        assert caught.value.__notes__ == ["this was attempt 8 of 8, after …, 503, 503, 503, 503, 503"]
        alone = World(wirebird.InvalidResponse("garbage"))
        with pytest.raises(wirebird.InvalidResponse) as caught_too:
            await alone.call()
        assert not hasattr(caught_too.value, "__notes__")

    run(main)


def test_an_error_that_is_not_ours_passes():
    async def main():
        world = World(ValueError("mine"))
        with pytest.raises(ValueError, match="mine"):
            await world.call()
        assert len(world.sent) == 1

    run(main)


def test_each_attempt_gets_the_request_as_it_came():
    async def main():
        world = World(503, 503, 200)

        async def handler(request: Request) -> HttpResponse:
            assert "x-seen" not in request.headers
            request.headers.add("X-Seen", "1")
            request.method = "HEAD"
            return await world.handler(request)

        request = make_request(AT_ONCE)
        response = await world.retries(request, handler)
        assert [one.headers.get_list("x-seen") for one in world.sent] == [["1"]] * 3
        assert request.method == "GET"
        assert response.request is world.sent[2]

    run(main)


def test_no_time_is_spent_on_what_comes_too_late():
    async def main():
        world = World((503, {"Retry-After": "30"}), 200)
        response = await world.call(limit=20)
        assert (response.status_code, world.slept) == (503, [])
        failed = World(wirebird.ConnectError("refused"))
        with pytest.raises(wirebird.ConnectError):
            await failed.call(Retry(backoff=20), limit=20)
        assert failed.slept == []

    run(main)


def test_a_storm_is_stopped_by_the_budget():
    """A server that always answers 503, and three attempts each: a fifth more, not three times as many."""

    async def main():
        world = World(*[503] * 600)
        calls = [world.call(Retry(2, backoff=0)) for _ in range(200)]
        assert {response.status_code for response in await asyncio.gather(*calls)} == {503}
        assert 240 <= len(world.sent) <= 250

        free = World(*[503] * 300)
        await asyncio.gather(*[free.call(Retry(2, backoff=0, budget=None)) for _ in range(100)])
        assert len(free.sent) == 300

    run(main)


def test_a_few_failures_among_many_that_are_sent_at_once_are_no_storm():
    async def main():
        world = World()
        failed = set()

        async def handler(request: Request) -> HttpResponse:
            await asyncio.sleep(0)
            number = int(request.headers["X-Number"])
            if number % 10 or number in failed:
                return HttpResponse.make(200)
            failed.add(number)
            return HttpResponse.make(503)

        async def call(number: int) -> HttpResponse:
            request = make_request(AT_ONCE)
            request.headers["X-Number"] = str(number)
            return await world.retries(request, handler)

        assert {response.status_code for response in await asyncio.gather(*map(call, range(1000)))} == {200}
        assert len(failed) == 100

    run(main)


def test_a_storm_is_stopped_on_the_wire_too():
    async def script(link):
        while await link.request():
            await link.send(answer(b"", status=b"503 No"))

    async def main():
        async with Peer(script) as peer, HTTPClient(retries=Retry(backoff=0)) as client:
            began = monotonic()
            calls = [client.get(peer.url()) for _ in range(1000)]
            assert {response.status_code for response in await asyncio.gather(*calls)} == {503}
            earned = RetryBudget().per_second * (monotonic() - began)
            assert 1200 <= len(peer.requests) <= 1211 + earned
            check_settled(client)

    raw_peer.run(main)


def test_an_error_says_that_the_budget_is_used_up():
    async def main():
        policy = Retry(2, backoff=0, budget=RetryBudget(reserve=1, share=0, per_second=0))
        world = World(*[wirebird.ConnectError("refused") for _ in range(3)], 200)
        with pytest.raises(wirebird.ConnectError) as caught:
            await world.call(policy)
        used_up = "it was not tried again: the retry budget of the client is used up"
        assert caught.value.__notes__ == ["this was attempt 2 of 3, after ConnectError", used_up]
        with pytest.raises(wirebird.ConnectError) as caught:
            await world.call(policy)
        assert caught.value.__notes__ == [used_up]
        assert (await world.call(policy)).status_code == 200

    run(main)


def test_equal_budgets_are_one():
    async def main():
        tight = RetryBudget(reserve=1, share=0, per_second=0)
        world = World(503, 503, 503)
        await world.call(Retry(1, backoff=0, budget=tight))
        await world.call(Retry(5, backoff=0, budget=RetryBudget(reserve=1, share=0, per_second=0)))
        assert len(world.sent) == 3
        for number in range(200):  # a program that makes one for each call
            world.outcomes = [200]
            await world.call(Retry(budget=RetryBudget(reserve=number)))
        assert len(world.retries._balances) <= 64

    run(main)


def test_cancelled_while_it_waits():
    async def main():
        asleep = asyncio.Event()

        async def sleep(seconds: float) -> None:
            asleep.set()
            await asyncio.Event().wait()

        world = World(503, 200)
        world.retries._sleep = sleep
        task = asyncio.ensure_future(world.call())
        await asleep.wait()
        assert len(world.retries._pauses) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not world.retries._pauses
        assert len(world.sent) == 1

    run(main)


def test_a_time_limit_around_the_call_is_the_caller_s_own():
    async def main():
        async def sleep(seconds: float) -> None:
            await asyncio.Event().wait()

        world = World(503, 200)
        world.retries._sleep = sleep
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.01):
                await world.call()
        assert type(caught.value) is TimeoutError
        assert not world.retries._pauses

        async def fail(seconds: float) -> None:
            raise TimeoutError("of the sleep itself")

        world = World(503, 200)
        world.retries._sleep = fail
        with pytest.raises(TimeoutError, match="of the sleep itself"):
            await world.call()

    run(main)


# -- over connections --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_503_twice_and_then_200(loop):
    async def main():
        async with Origin() as origin, HTTPClient(retries=AT_ONCE) as client:
            origin.on("/flaky", failing(2))
            response = await client.get(origin.url("/flaky"))
            assert (response.status_code, await response.content()) == (200, b"GET ")
            assert [asked.connection for asked in origin.asked] == [1, 1, 1]
            assert str(response.url) == origin.url("/flaky")

    run(main, loop)


def test_the_call_may_say_otherwise():
    async def main():
        async with Origin() as origin, HTTPClient(retries=Retry(1, backoff=0)) as client, HTTPClient() as plain:
            for count, caller, keywords in [
                (2, client, {}),
                (2, client, {"retries": None}),
                (1, client, {"retries": 0}),
                (1, client, {"retries": False}),
                (4, client, {"retries": Retry(3, backoff=0)}),
                (1, plain, {}),
                (3, plain, {"retries": AT_ONCE}),
                (1, plain, {}),
            ]:
                origin.asked.clear()
                response = await caller.get(origin.url("/status/503"), **keywords)
                assert (response.status_code, len(origin.asked)) == (503, count), keywords
            with pytest.raises(wirebird.UsageError, match="retries must be"):
                await plain.get(origin.url("/echo"), retries="many")

    run(main)


def test_the_number_of_attempts_alone_is_a_policy():
    async def main():
        async with Origin() as origin, HTTPClient(retries=1) as client:
            assert client.settings.retries == Retry(1)
            origin.on("/flaky", failing(1))
            assert (await client.get(origin.url("/flaky"))).status_code == 200

    run(main)


def test_refused_and_then_up():
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as place:
            port = place.getsockname()[1]
        tried = []
        server = None

        async def serve(reader, writer):
            head = await reader.readuntil(b"\r\n\r\n")
            tried.append(head.split(b" ")[0] + await reader.readexactly(4))
            writer.write(OK)
            writer.close()

        async def sleep(seconds):
            nonlocal server
            server = await asyncio.start_server(serve, "127.0.0.1", port)

        async with HTTPClient(retries=AT_ONCE) as client:
            client._retrying = Retries(sleep=sleep)
            response = await client.post(f"http://127.0.0.1:{port}/", data=b"body")
            assert await response.content() == b"fine"
            assert tried == [b"POSTbody"]
        server.close()
        await server.wait_closed()

    run(main)


def test_a_name_that_resolves_the_second_time():
    async def main():
        class Resolver:
            asked = 0

            async def resolve(self, host, port=0, family=socket.AF_INET):
                self.asked += 1
                if self.asked == 1:
                    raise wirebird.DNSError("try again")
                return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": family, "proto": 0, "flags": 0}]

            async def close(self):
                pass

        resolver = Resolver()
        async with Origin() as origin, HTTPClient(TCPConnector(resolver=resolver), retries=AT_ONCE) as client:
            assert (await client.post(origin.url("/echo", "some.test"), data=b"x")).status_code == 200
            assert resolver.asked == 2

    run(main)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_what_was_delivered_is_not_sent_again(method):
    async def script(link):
        await link.request()  # and leave

    async def main():
        async with Peer(script) as peer, HTTPClient(retries=AT_ONCE) as client:
            with pytest.raises(wirebird.ConnectionLost):
                await client.request(peer.url(), method, data=b"once")
            assert len(peer.requests) == 1
            with pytest.raises(wirebird.ConnectionLost) as caught:
                await client.request(peer.url(), "PUT", data=b"more than once")
            assert len(peer.requests) == 4
            assert caught.value.__notes__ == ["this was attempt 3 of 3, after ConnectionLost, ConnectionLost"]
            check_settled(client)

    raw_peer.run(main)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_handshake_that_is_broken_off_is_begun_again_and_one_that_fails_is_not(loop):
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def script(link):
        if link.number == 0:
            await link.reader.read(100)
            link.reset()
            return
        try:
            await link.writer.start_tls(server)
        except ssl.SSLError:
            return  # the client does not trust us
        await link.request()
        await link.send(OK)

    async def main():
        async with Peer(script) as peer, HTTPClient(retries=AT_ONCE) as client:
            url = f"https://127.0.0.1:{peer.port}/"
            response = await client.post(url, data=b"once", ssl=trusting)
            assert await response.content() == b"fine"
            assert (peer.accepted, len(peer.requests)) == (2, 1)
            with pytest.raises(wirebird.TLSError) as caught:
                await client.get(url)
            assert peer.accepted == 3
            assert not hasattr(caught.value, "__notes__")

    raw_peer.run(main, kind=loop)


def test_silence_and_a_reset():
    async def script(link):
        await link.request()
        if link.number == 0:
            await link.gone()
        elif link.number == 1:
            link.reset()
        else:
            await link.send(OK)

    async def main():
        async with Peer(script) as peer, HTTPClient(retries=AT_ONCE, timeouts=Timeouts(sock_read=0.05)) as client:
            assert await (await client.get(peer.url())).content() == b"fine"
            assert len(peer.requests) == 3

    raw_peer.run(main)


def test_stale_connections_do_not_multiply():
    """A reused connection that the peer has closed is replaced once within an attempt, as without retries."""

    async def script(link):
        await link.request()
        if link.number < 4:
            await link.send(OK)
            await link.request()  # the next on the same connection finds it closing
        else:
            await link.send(answer(b"", status=b"503 No"))
            await link.request()

    async def main():
        async with Peer(script) as peer, HTTPClient(retries=AT_ONCE) as client:
            for _ in range(4):  # each begins on the connection of the one before, which fails, and goes on with a new one
                assert await (await client.get(peer.url(), headers={"X": "y"})).content() == b"fine"
            assert len(peer.requests) == 1 + 3 * 2
            peer.requests.clear()
            assert (await client.get(peer.url())).status_code == 503
            # Three attempts, each of them on a stale connection and then on a new one.
            assert len(peer.requests) == 3 * 2
            check_settled(client)

    raw_peer.run(main)


def test_bodies_are_given_again(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"0123456789" * 20_000)

    async def main():
        async with Origin() as origin, HTTPClient(retries=AT_ONCE) as client:
            begun = path.open("rb")
            begun.seek(5)
            for data in (b"bytes", {"a": "form"}, path.open("rb"), begun):
                origin.on("/flaky", failing(2))
                origin.asked.clear()
                response = await client.put(origin.url("/flaky"), data=data)
                assert response.status_code == 200
                assert len({asked.body for asked in origin.asked}) == 1
                assert len(origin.asked) == 3
                if not isinstance(data, bytes | dict):
                    assert data.closed
                    assert origin.asked[0].body == path.read_bytes()[5 if data is begun else 0 :]
            form = wirebird.MultipartForm()
            form.add_file("file", str(path))
            origin.on("/flaky", failing(1))
            origin.asked.clear()
            assert (await client.put(origin.url("/flaky"), data=form)).status_code == 200
            assert origin.asked[0].body == origin.asked[1].body
            assert path.read_bytes() in origin.asked[0].body

    run(main)


def test_what_can_be_read_once_is_sent_once():
    async def pieces():
        yield b"once"

    async def main():
        async with Origin() as origin, HTTPClient(retries=AT_ONCE) as client:
            response = await client.put(origin.url("/status/503"), data=pieces())
            assert response.status_code == 503
            assert len(origin.asked) == 1
            with socket.create_server(("127.0.0.1", 0)) as place:
                port = place.getsockname()[1]
            with pytest.raises(wirebird.ConnectError) as caught:
                await client.put(f"http://127.0.0.1:{port}/", data=pieces())
            assert caught.value.__notes__ == ["it was not tried again: its body can be read only once"]
            with pytest.raises(wirebird.InvalidURL) as caught_too:
                await client.put("http://127.0.0.1:99999/", data=pieces())
            assert not hasattr(caught_too.value, "__notes__")

    run(main)


def test_responses_that_are_not_the_last_are_let_go_of():
    """Small ones keep their connection, long ones cost it; none is in use while the call waits."""

    async def main():
        async with Origin() as origin, HTTPClient(retries=AT_ONCE) as client:
            in_use = []

            async def sleep(seconds):
                while client.stats()["in_use"]:
                    await asyncio.sleep(0)
                in_use.append(client.stats()["in_use"])

            client._retrying = Retries(sleep=sleep)
            for size, connections in ((1000, 1), (10_000_000, 2)):
                origin.on("/flaky", failing(1, body=b"x" * size))
                assert (await client.get(origin.url("/flaky"))).status_code == 200
                assert origin.connections == connections
            assert in_use == [0, 0]

    run(main)


def test_each_attempt_gets_fresh_cookies():
    async def main():
        async with Origin() as origin, HTTPClient(handle_cookies=True, retries=AT_ONCE) as client:

            async def handler(asked: Asked, wire: Wire) -> None:
                turn = len(origin.asked)
                await wire.respond(503 if turn < 3 else 200, [("Set-Cookie", f"turn={turn}")])

            origin.on("/turns", handler)
            assert (await client.get(origin.url("/turns"))).status_code == 200
            assert [asked.headers.get_list("cookie") for asked in origin.asked] == [[], ["turn=1"], ["turn=2"]]

    run(main)


def test_every_hop_has_its_own_attempts_and_every_attempt_its_middlewares():
    async def main():
        seen: list[str] = []

        async def each(request: Request, handler: Any) -> HttpResponse:
            seen.append(request.url.path)
            return await handler(request)

        async with Origin() as origin, HTTPClient(retries=AT_ONCE, follow=True, network_middlewares=[each]) as client:
            left = {"/a": 2, "/b": 1}

            async def handler(asked: Asked, wire: Wire) -> None:
                left[asked.path] -= 1
                if left[asked.path] >= 0:
                    await wire.respond(503)
                elif asked.path == "/a":
                    await wire.respond(302, [("Location", "/b")])
                else:
                    await wire.respond(200)

            origin.on("/a", handler)
            origin.on("/b", handler)
            response = await client.get(origin.url("/a"))
            assert (response.status_code, len(response.history)) == (200, 1)
            assert seen == ["/a"] * 3 + ["/b"] * 2

    run(main)


def test_the_deadline_is_over_all_attempts():
    async def main():
        world = World(*[503] * 100)
        response = await world.call(Retry(10**6, backoff=1, budget=None), limit=10.5)
        assert response.status_code == 503
        assert (len(world.sent), sum(world.slept)) == (11, 10)

        limits = Timeouts(request_timeout=0.1)
        async with Origin() as origin, HTTPClient(retries=AT_ONCE, timeouts=limits) as client:
            with pytest.raises(wirebird.RequestTimeout):
                await client.get(origin.url("/silent"))
            assert len(origin.asked) == 1

    run(main)


def test_raise_for_status_is_about_the_last():
    async def main():
        async with Origin() as origin, HTTPClient(retries=AT_ONCE, raise_for_status=True) as client:
            origin.on("/flaky", failing(2))
            assert (await client.get(origin.url("/flaky"))).status_code == 200
            with pytest.raises(wirebird.StatusError):
                await client.get(origin.url("/status/503"))
            assert len(origin.asked) == 6

    run(main)


def test_closing_the_client_ends_the_waits():
    async def main():
        async with Origin() as origin:
            client = HTTPClient(retries=Retry(backoff=Backoff(20, maximum=20, jitter=False)))
            task = asyncio.ensure_future(client.get(origin.url("/status/503")))
            await origin.until(lambda: len(origin.asked) == 1)
            while not client.pauses:
                await asyncio.sleep(0)
            await client.close()
            with pytest.raises(wirebird.ClientClosed):
                await task
            assert await client.wait_requests(0)

            # And one that waits for its response is told by its connection, and is not sent again.
            client = HTTPClient(retries=Retry(backoff=20))
            task = asyncio.ensure_future(client.get(origin.url("/silent")))
            await origin.until(lambda: len(origin.asked) == 2)
            await client.close()
            with pytest.raises(wirebird.ConnectionLost, match="the client was closed"):
                await task

    run(main)


def test_cancelled_at_every_turn_of_the_loop():
    async def script(link):
        while await link.request():
            await link.send(answer(b"x" * 3000, status=b"503 No"))

    async def main():
        async with Peer(script) as peer, HTTPClient(retries=Retry(2, backoff=0, budget=None)) as client:
            for turns in range(60):
                task = asyncio.ensure_future(client.get(peer.url()))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
            assert not client.pauses
            assert (await client.get(peer.url())).status_code == 503
            assert await client.wait_requests(5)
            check_settled(client)

    raw_peer.run(main)


def test_on_one_loop_after_the_other():
    client = HTTPClient(retries=AT_ONCE)

    async def main():
        async with Origin() as origin:
            origin.on("/flaky", failing(2))
            assert (await client.get(origin.url("/flaky"))).status_code == 200
            await client.wait_requests(5)

    run(main)
    run(main, "uvloop")


def test_a_client_without_retries_does_not_load_them():
    """And keeps its short cut; one with retries must not take it."""

    async def main():
        async with Origin() as origin, HTTPClient() as plain, HTTPClient(retries=AT_ONCE) as client:
            for one in (plain, client):
                for _ in range(3):
                    await one.get(origin.url("/echo"))
            assert len(plain.plans) == 1
            assert plain._retrying is None
            assert not client.plans

    run(main)
