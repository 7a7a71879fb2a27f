"""How long a client may take, on a clock of its own: heads, bodies, answers, and what comes after the last one.

No test here waits: time passes where everybody sleeps (`virtual_time.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from server_wire import GET, App, Hub, Wire, head_of
from virtual_time import run_virtual
from wirebird.net.timeouts import NEVER
from wirebird.server.settings import Settings

TEXT = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextmanager
def _clock() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in ("pace", "connection"):
            patch.setattr(f"wirebird.server.{module}.monotonic", lambda: asyncio.get_running_loop().time())
        patch.setattr("wirebird.net.timeouts.monotonic", lambda: asyncio.get_running_loop().time())
        yield


def virtually(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with _clock():
        run_virtual(main)


def now() -> float:
    return asyncio.get_running_loop().time()


async def ended(wire: Wire, limit: float = 10_000) -> float:
    """How long it takes until the connection is closed, or its sending half is."""
    began = now()
    while not (wire.gone or wire.half_closed):
        await asyncio.sleep(0.25)
        if now() - began > limit:
            raise AssertionError(f"{wire.connection} is still there")
    return now() - began


async def drip(wire: Wire, data: bytes, size: int, pause: float) -> float:
    """Send `data` in parts until the connection ends, and how long that took."""
    began = now()
    for at in range(0, len(data), size):
        if wire.gone or wire.half_closed:
            break
        wire.feed(data[at : at + size])
        await asyncio.sleep(pause)
    return now() - began


async def leave(hub: Hub, wire: Wire) -> None:
    if not wire.gone:
        wire.leave()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not hub.connections and not hub.orphans
    hub.watch.stop()


def long_head(size: int) -> bytes:
    return GET[:-2] + b"".join(b"X-%04d: %b\r\n" % (number, b"x" * 90) for number in range(size // 100)) + b"\r\n"


# -- heads -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "size", "pause", "least", "most", "statuses"),
    [
        (GET * 100, 1, 1.0, 5, 6, [408]),  # B26: a byte a second
        (long_head(4000), 10, 1.0, 5, 6, [408]),
        (long_head(4000), 300, 1.0, 9.5, 11, [408]),  # fast enough, and yet it takes too long
        (long_head(2000), 300, 1.0, 6, 9, [200]),
        (GET, 1, 0.01, 0, 1, [200]),
    ],
)
@pytest.mark.parametrize("first", [False, True])
def test_a_head_that_comes_slowly(
    data: bytes, size: int, pause: float, least: float, most: float, statuses: list[int], first: bool
) -> None:
    """The same on a connection that is new, and on one that has been idle for a while."""

    async def main() -> None:
        hub = Hub(App())
        wire = hub.connect()
        if not first:
            wire.feed(GET)
            await asyncio.sleep(40)
        took = await drip(wire, data, size, pause)
        assert least <= took <= most, took
        assert wire.statuses == [200] * (not first) + statuses
        assert len(hub.refusals) == statuses.count(408)
        if 408 in statuses:
            assert wire.responses()[-1].fields["connection"] == "close"
        await leave(hub, wire)

    virtually(main)


def test_a_client_that_says_nothing_is_closed_without_a_word() -> None:
    async def main() -> None:
        hub = Hub(App())
        wire = hub.connect()
        assert 10 <= await ended(wire) <= 10.5
        assert not wire.sent and not hub.refusals
        wire = hub.connect()
        wire.feed(GET)
        assert 75 <= await ended(wire) <= 75.5
        assert wire.statuses == [200] and not hub.refusals
        await leave(hub, wire)

    virtually(main)


def test_without_limits_nobody_is_hurried() -> None:
    async def main() -> None:
        free = Settings(keepalive_timeout=None, header_timeout=None, body_timeout=None, min_rate=None, write_timeout=None)
        hub = Hub(App(), free)
        wire = hub.connect()
        await asyncio.sleep(10_000)
        await drip(wire, GET, 1, 1000.0)
        await drip(wire, POST % 3 + b"abc", 1, 1000.0)
        assert wire.statuses == [200, 200]
        assert wire.connection.deadline == NEVER
        await leave(hub, wire)

    virtually(main)


# -- bodies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "size", "pause", "least", "most", "statuses"),
    [
        (bytes(1000), 1, 1.0, 5, 6, [408]),
        (bytes(10_000), 100, 1.0, 5, 15, [408]),
        (bytes(10_000), 300, 1.0, 30, 40, [200]),  # fast enough, and as long as it takes
        (bytes(60_000), 30_000, 29.0, 50, 60, [200]),  # a fast part pays for a pause
        (bytes(60_000), 30_000, 31.0, 31, 32, [408]),  # and not for any pause
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_comes_slowly(
    data: bytes, size: int, pause: float, least: float, most: float, statuses: list[int], chunked: bool
) -> None:
    async def main() -> None:
        app = App()
        hub = Hub(app)
        wire = hub.connect()
        wire.feed(CHUNKED if chunked else POST % len(data))
        took = 0.0
        for at in range(0, len(data), size):
            if wire.half_closed:
                break
            piece = data[at : at + size]
            took += await drip(wire, b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece, size + 20, pause)
        if not wire.half_closed:
            wire.feed(b"0\r\n\r\n" if chunked else b"")
            await asyncio.sleep(0.1)
        assert least <= took <= most, took
        assert wire.statuses == statuses
        assert len(hub.refusals) == statuses.count(408) and not hub.errors
        await leave(hub, wire)

    virtually(main)


@pytest.mark.parametrize("line", [b"5;" + b"e" * 250, b"0\r\nX: " + b"y" * 1000])
def test_a_body_whose_framing_comes_slowly(line: bytes) -> None:
    """Bytes that bring no body do not count."""

    async def main() -> None:
        hub = Hub(App())
        wire = hub.connect()
        wire.feed(CHUNKED)
        assert 5 <= await drip(wire, line, 1, 1.0) <= 6
        assert wire.statuses == [408] and len(hub.refusals) == 1
        await leave(hub, wire)

    virtually(main)


def test_a_reader_that_is_slow_is_not_the_clients_fault() -> None:
    async def slow(exchange: Any) -> None:
        size = 0
        while piece := await exchange.body.next():
            size += len(piece)
            await asyncio.sleep(1000)
        exchange.respond(200, TEXT, b"%d" % size)

    async def main() -> None:
        hub = Hub(App({"/": slow}))
        wire = hub.connect()
        wire.feed(POST % 500_000)
        for _ in range(5):
            wire.feed(bytes(100_000))
        await asyncio.sleep(20_000)
        assert [response.body for response in wire.responses()] == [b"500000"]
        await leave(hub, wire)

    virtually(main)


def test_a_client_that_takes_its_answer_still_owes_its_body() -> None:
    """What is written while a body is awaited does not take the limit of the body away."""

    async def both(exchange: Any) -> None:
        await exchange.begin(head_of(), None)
        await exchange.write(bytes(100_000))
        await exchange.body.collect(None)

    async def main() -> None:
        hub = Hub(App({"/": both}))
        wire = hub.connect()
        wire.stuck = True
        wire.feed(POST % 10 + b"x")
        await asyncio.sleep(1)
        wire.take()
        assert 4 <= await ended(wire) <= 5.5
        assert wire.aborted and len(hub.refusals) == 1 and not hub.errors
        await leave(hub, wire)

    virtually(main)


# -- answers -----------------------------------------------------------------------------------------------------------


async def big(exchange: Any) -> None:
    exchange.respond(200, TEXT, bytes(1_000_000))


async def streamed(exchange: Any) -> None:
    await exchange.begin(head_of(), None)
    for _ in range(10):
        await exchange.write(bytes(100_000))
    await exchange.finish()


async def last(exchange: Any) -> None:
    exchange.keep_alive = False
    exchange.respond(200, TEXT, bytes(1_000_000))


async def last_and_small(exchange: Any) -> None:
    exchange.keep_alive = False
    exchange.respond(200, TEXT, bytes(10_000))


ANSWERS = {"/big": big, "/streamed": streamed, "/last": last, "/small": last_and_small}


@pytest.mark.parametrize("path", ANSWERS)
def test_an_answer_that_nobody_takes(path: str) -> None:
    async def main() -> None:
        hub = Hub(App(ANSWERS))
        wire = hub.connect()
        wire.stuck = True
        wire.feed(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
        began = now()
        while not wire.aborted:
            await asyncio.sleep(0.5)
            assert now() - began < 140
        assert now() - began >= 60
        assert not hub.errors and not hub.refusals
        await leave(hub, wire)

    virtually(main)


@pytest.mark.parametrize("path", ["/big", "/last"])
@pytest.mark.parametrize(("rate", "whole"), [(1000, True), (100, False)])
def test_an_answer_that_is_taken_slowly(path: str, rate: int, whole: bool) -> None:
    """As long as it takes, if that is more than the least rate; the end of the connection waits for it, too."""

    async def main() -> None:
        hub = Hub(App(ANSWERS))
        wire = hub.connect()
        wire.stuck = True
        wire.feed(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        taken = 0
        while wire.unsent and not wire.aborted:
            await asyncio.sleep(1)
            wire.sent += wire.unsent[:rate]
            taken += len(wire.unsent[:rate])
            was_full = len(wire.unsent) > 65536
            del wire.unsent[:rate]
            if was_full and len(wire.unsent) <= 65536 and not wire.aborted:
                wire.connection.resume_writing()
        if whole:
            assert taken > 1_000_000 and not wire.aborted
            wire.take()
        else:
            assert taken < 10_000 and wire.aborted
        assert not hub.errors
        await leave(hub, wire)

    virtually(main)


# -- the rest ----------------------------------------------------------------------------------------------------------


def test_the_rest_of_an_unread_body_is_waited_for_a_second() -> None:
    async def main() -> None:
        hub = Hub(App())
        wire = hub.connect()
        wire.feed(POST.replace(b" / ", b" /ignore ") % 100 + b"some")
        began = now()
        while wire.statuses != [200]:
            await asyncio.sleep(0)
        await drip(wire, bytes(90), 1, 0.2)
        assert 1 <= now() - began <= 1.5 and wire.half_closed
        # And then it lingers, for as long again, if the client does not close.
        while not wire.gone:
            await asyncio.sleep(0.1)
        assert 2 <= now() - began <= 2.5
        assert not hub.refusals
        await leave(hub, wire)

    virtually(main)


def test_a_client_that_closes_is_not_lingered_for() -> None:
    async def main() -> None:
        hub = Hub(App())
        wire = hub.connect()
        wire.feed(b"bad\r\n\r\n")
        began = now()
        await asyncio.sleep(0.1)
        assert wire.half_closed and not wire.gone
        wire.finish()
        await asyncio.sleep(0.1)
        assert wire.gone and now() - began < 0.5
        await leave(hub, wire)

    virtually(main)


def test_one_timer_for_thousands() -> None:
    async def main() -> None:
        hub = Hub(App())
        wires = [hub.connect() for _ in range(1000)]
        for wire in wires:
            wire.feed(GET)
        await asyncio.sleep(1)
        loop: Any = asyncio.get_running_loop()
        assert len([handle for handle in loop._scheduled if not handle.cancelled()]) <= 1
        await asyncio.sleep(80)
        assert all(wire.gone for wire in wires)
        await leave(hub, wires[0])

    virtually(main)
