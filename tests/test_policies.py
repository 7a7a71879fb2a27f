"""All policies of a client at once, cancelled anywhere: redirects, credentials, retries, a rate limit, cookies, middlewares,
observers.

Whatever they do to each other, in the end every exchange was told to be done, once; no place of the limit and no slot of the
pool is taken; the budget is within its bounds; every body of a request was closed; and no task is left.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from origin import run
from wirebird import (
    Backoff,
    BodyConsumed,
    DigestAuth,
    HarRecorder,
    HTTPClient,
    HttpResponse,
    RateLimit,
    Request,
    Retry,
    TCPConnector,
    Timeouts,
    WirebirdError,
)
from wirebird.testing import MockTransport, TestServer


class Books:
    """An observer that counts what begins and ends."""

    def __init__(self) -> None:
        self.open: dict[int, Any] = {}
        self.ended = 0
        self.faults: list[str] = []

    def __call__(self, exchange: Any, phase: str) -> None:
        if (phase == "started") == (id(exchange) in self.open):
            self.faults.append(f"{phase} of {exchange!r}")
        if phase == "started":
            self.open[id(exchange)] = exchange
        elif phase == "done":
            del self.open[id(exchange)]
            self.ended += 1


class Upload:
    """The body of a request, which knows whether it is being read, and whether it was closed."""

    def __init__(self, again: bool) -> None:
        self.again = again
        self.begun = self.closed = False
        self.reading = 0

    def size(self) -> int | None:
        return None

    def replayable(self) -> bool:
        return self.again

    async def pieces(self):
        if self.begun and not self.again:
            raise BodyConsumed("begun before")
        self.begun = True
        self.reading += 1
        try:
            for _ in range(3):
                await asyncio.sleep(0)
                yield b"x" * 100
        finally:
            self.reading -= 1

    async def close(self) -> None:
        self.closed = True


def answering(chance: random.Random) -> Callable[[Request], HttpResponse]:
    async def pieces():
        for _ in range(20):
            yield b"y" * 9000
            await asyncio.sleep(0)

    def handler(request: Request) -> HttpResponse:
        path, luck = request.url.path, chance.random()
        if path == "/moved":
            return HttpResponse.make(302 if luck < 0.5 else 307, {"Location": "/flaky", "Set-Cookie": f"a={luck}"})
        if path == "/closed" and "Digest" not in request.headers.get("authorization", ""):
            asks = f'Digest realm="r", nonce="{luck}", qop="auth", algorithm=SHA-256'
            return HttpResponse.make(401, {"WWW-Authenticate": asks}, body=b"n" * int(luck * 1000))
        if luck < 0.25:
            return HttpResponse.make(503 if luck < 0.2 else 429, {"Retry-After": "0"}, body=b"x" * int(luck * 500_000))
        return HttpResponse.make(body=pieces() if luck < 0.4 else b"z" * int(luck * 200_000))

    return handler


class World:
    """A client with everything, and what it leaves behind."""

    def __init__(self, chance: random.Random, connector: Any, places: list[str]) -> None:
        self.chance = chance
        self.connector = connector
        self.places = places
        self.books, self.har, self.limit = Books(), HarRecorder(max_size=100_000), RateLimit(3000, concurrency=4)
        self.uploads: list[Upload] = []
        self.client = HTTPClient(
            connector,
            handle_cookies=True,
            follow=True,
            retries=Retry(3, backoff=Backoff(0.001)),
            middlewares=[self.bring_upload, self.meddle],
            network_middlewares=[self.limit, self.meddle],
            observers=[self.books, self.har],
        )

    async def bring_upload(self, request: Request, handler: Any) -> HttpResponse:
        if request.method == "PUT":
            request.body = Upload(self.chance.random() < 0.5)
            self.uploads.append(request.body)
        return await handler(request)

    async def meddle(self, request: Request, handler: Any) -> HttpResponse:
        if self.chance.random() < 0.03:
            return HttpResponse.make(text="an answer of its own")
        response: HttpResponse = await handler(request)
        luck = self.chance.random()
        if response.ok and luck < 0.3:
            return response.replaced(headers=[*response.headers.items(), ("X-Seen", "1")])
        return response.replaced(body=b"another") if response.ok and luck < 0.4 else response

    async def call(self) -> None:
        luck = self.chance.random()
        url = self.chance.choice(self.places) + self.chance.choice(["/moved", "/closed", "/flaky"])
        said: dict[str, Any] = {"timeouts": Timeouts(request_timeout=0.01)} if luck < 0.1 else {}
        if self.chance.random() < 0.6:
            said["auth"] = DigestAuth("user", "password")
        try:
            response = await self.client.request(url, self.chance.choice(["GET", "PUT", "HEAD"]), **said)
            if luck < 0.6:
                await response.content()
            elif luck < 0.75:
                async with response:
                    await response.read(10)
            elif luck < 0.85:
                await response.close()
            # else it is forgotten
        except WirebirdError:
            pass

    async def worker(self, calls: int) -> None:
        for _ in range(calls):
            task = asyncio.create_task(self.call())
            if self.chance.random() < 0.5:
                for _ in range(self.chance.randrange(60)):
                    await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()
            del task

    async def check(self) -> None:
        if isinstance(self.connector, MockTransport):
            self.connector.calls.clear()  # which hold the responses that were forgotten
        gc.collect()
        assert await self.client.wait_requests(5)
        for _ in range(10):
            await asyncio.sleep(0)
        assert not self.books.open
        assert self.books.faults == []
        assert all(gate._running == 0 and not gate._line for gate in self.limit._gates.values())
        assert (self.client.stats()["in_use"], self.client.stats()["waiting"]) == (0, 0)
        assert not self.client.pauses
        retrying = self.client._retrying
        assert retrying is not None
        assert all(0 <= balance.tokens <= 10 for balance in retrying._balances.values())
        json.dumps(self.har.to_dict())
        assert all(upload.closed and not upload.reading for upload in self.uploads)
        assert self.books.ended > 50


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("wire", [False, True])
def test_all_at_once(wire: bool, kind: str) -> None:
    seed = int(os.environ.get("WIREBIRD_SEED", random.randrange(10**6)))
    print("WIREBIRD_SEED =", seed)
    chance = random.Random(seed)

    async def at(connector: Any, places: list[str]) -> None:
        world = World(chance, connector, places)
        async with world.client:
            await asyncio.gather(*[world.worker(10) for _ in range(8)])
            await world.check()

    async def main() -> None:
        handler = answering(chance)
        if wire:
            async with TestServer(handler) as one, TestServer(handler) as other:
                await at(TCPConnector(pool_size=3), [server.url().rstrip("/") for server in (one, other)])
            assert one.errors == other.errors == []
        else:
            await at(MockTransport(handler), ["http://one.example", "http://other.example"])
        for _ in range(10):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main, kind)
