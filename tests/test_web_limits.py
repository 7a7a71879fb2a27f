"""`web.RateLimit`: how often and how many at once, whose requests are whose, and what is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from origin import run
from web_wire import Answer, ask
from wirebird import web
from wirebird.errors import UsageError
from wirebird.server.forwarded import TrustedProxies
from wirebird.server.server import Server
from wirebird.server.settings import Settings
from wirebird.testing import TestServer
from wirebird.web.limits import client_network


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def by_name(request: web.Request) -> str | None:
    return request.headers.get("x-name")


async def done(request: web.Request) -> web.StreamResponse:
    return web.Response(text="done")


@asynccontextmanager
async def serving(limit: web.RateLimit, handler: Any = done) -> AsyncIterator[TestServer]:
    app = web.Application(middlewares=[limit])
    app.add_routes([web.get("/", handler)])
    async with TestServer(app) as server:
        yield server
    assert server.errors == []


async def get(server: TestServer, name: str = "a") -> Answer:
    return await ask(server, f"GET / HTTP/1.1\r\nHost: a\r\nX-Name: {name}\r\n\r\n".encode())


def test_so_many_and_no_more() -> None:
    async def main() -> None:
        clock = Clock()
        async with serving(web.RateLimit(2, 10, burst=3, by=by_name, clock=clock)) as server:
            assert [(await get(server)).status for _ in range(4)] == [200, 200, 200, 429]
            answer = await get(server)
            assert answer.text == "429: Too Many Requests"
            assert "Retry-After: 5\r\n" in answer.head
            assert (await get(server, "b")).status == 200
            clock.now += 4.2
            assert "Retry-After: 1\r\n" in (await get(server)).head
            clock.now += 0.8
            assert [(await get(server)).status for _ in range(2)] == [200, 429]
            clock.now += 1000
            assert [(await get(server)).status for _ in range(4)] == [200, 200, 200, 429]

    run(main)


def test_so_many_at_once() -> None:
    async def main() -> None:
        go = asyncio.Event()
        begun = asyncio.Semaphore(0)

        async def slow(request: web.Request) -> web.StreamResponse:
            begun.release()
            await go.wait()
            if by_name(request) == "fails":
                raise web.HTTPNotFound
            return web.Response()

        async with serving(web.RateLimit(concurrency=2, by=by_name), slow) as server:
            for name in ("a", "fails"):
                go.clear()
                working = [asyncio.ensure_future(get(server, name)) for _ in range(2)]
                for _ in working:
                    await begun.acquire()
                answer = await get(server, name)
                assert answer.status == 429
                assert "Retry-After: 1\r\n" in answer.head
                go.set()
                await asyncio.gather(*working)
                assert (await get(server, name)).status in (200, 404)
                await begun.acquire()

    run(main)


def test_what_does_not_count() -> None:
    async def main() -> None:
        async with serving(web.RateLimit(1, by=lambda request: None)) as server:
            assert [(await get(server)).status for _ in range(3)] == [200] * 3

    run(main)


def test_only_so_many_clients_are_remembered() -> None:
    async def main() -> None:
        limit = web.RateLimit(1, 1000, by=by_name, max_clients=3)
        async with serving(limit) as server:
            for name in "abca":
                await get(server, name)
            await get(server, "d")  # b was silent for the longest time
            assert [(await get(server, name)).status for name in "acdb"] == [429, 429, 429, 200]
        assert "3 clients" in repr(limit)

    run(main)


@pytest.mark.parametrize(
    ("remote", "client"),
    [
        (None, ""),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "20010db800010002::"),
        ("2001:db8:1:2::", "20010db800010002::"),
        ("2001:db8:1:3::", "20010db800010003::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::1", "0::"),
        ("fe80::1%eth0", "fe80000000000000::"),
        ("no:address", "no:address"),
    ],
)
def test_who_is_one_client(remote: str | None, client: str) -> None:
    assert client_network(SimpleNamespace(remote=remote)) == client  # type: ignore[arg-type]


def test_a_client_behind_a_trusted_proxy_is_the_one_that_the_proxy_names() -> None:
    async def main() -> None:
        app = web.Application(middlewares=[web.RateLimit(1, 1000)])
        app.add_routes([web.get("/", done)])
        for proxies, expected in ((TrustedProxies(["127.0.0.1"]), [200, 200, 429, 200, 429]), (None, [200] + [429] * 4)):
            app = web.Application(middlewares=[web.RateLimit(1, 1000)])
            app.add_routes([web.get("/", done)])
            server = Server(app, Settings(proxies=proxies))
            port = (await server.listen())[0][1]
            try:
                got = []
                for client in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1", "2001:db8::2"):
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(f"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\n\r\n".encode())
                    got.append(int((await reader.readline())[9:12]))
                    writer.close()
                    await writer.wait_closed()
                assert got == expected
            finally:
                await server.close(1)

    run(main)


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({}, "rate"),
        ({"rate": 0}, "rate"),
        ({"rate": 1, "per": 0}, "per"),
        ({"rate": 1, "burst": 0}, "burst"),
        ({"concurrency": 0}, "concurrency"),
        ({"rate": 1, "by": "host"}, "by"),
        ({"rate": 1, "max_clients": 0}, "max_clients"),
    ],
)
def test_what_is_no_argument(options: dict[str, Any], argument: str) -> None:
    with pytest.raises(UsageError) as caught:
        web.RateLimit(**options)
    assert caught.value.argument == argument
