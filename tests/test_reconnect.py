"""One WebSocket after the other: when another is opened, how long is waited, and how it ends."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

import wirebird
from raw_peer import check_settled, run
from websocket_origin import WebSocketOrigin, answer
from wirebird import Backoff, Reconnect
from wirebird.client.reconnect import read_reconnect
from wirebird.errors import (
    ClientClosed,
    ConnectError,
    ConnectionLost,
    DNSError,
    InvalidResponse,
    PoolTimeout,
    ProxyError,
    ReadTimeout,
    RequestTimeout,
    StatusError,
    TLSError,
    TooManyRedirects,
    UsageError,
)

BOTH = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
TODAY = 1_750_000_000.0
STEADY = Reconnect(backoff=Backoff(1, 2, 10, jitter=False))


# -- the decision ------------------------------------------------------------------------------------------------------


def test_waits_become_longer_up_to_a_limit() -> None:
    lost = ConnectionLost("gone")
    assert [STEADY.delay(number, lost, 0.5, TODAY) for number in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    assert STEADY.delay(10**9, lost, 0.5, TODAY) == 10
    usual = Reconnect()
    assert [usual.delay(number, lost, chance, TODAY) for number, chance in ((1, 0.0), (1, 1.0), (3, 0.5), (50, 1.0))] == [
        0,
        0.5,
        1,
        30,
    ]
    assert Reconnect(backoff=3).delay(7, lost, 0.1, TODAY) == 3


def test_how_many_in_a_row() -> None:
    few = Reconnect(attempts=2, backoff=1)
    assert [few.delay(number, ConnectionLost("gone"), 0.5, TODAY) for number in (1, 2, 3)] == [1, 1, None]


@pytest.mark.parametrize(
    ("outcome", "again"),
    [
        (ConnectError("refused"), True),
        (DNSError("unknown"), True),
        (ConnectionLost("gone"), True),
        (ReadTimeout("silent"), True),
        (RequestTimeout("long"), True),
        (PoolTimeout("full"), True),
        (ProxyError("busy", status=503), True),
        (ProxyError("who", status=407), False),
        (TLSError("bad certificate"), False),
        (InvalidResponse("nonsense"), False),
        (TooManyRedirects("round"), False),
        (UsageError("wrong"), False),
        (ClientClosed("closed"), False),
        ((503, []), True),
        ((429, ["2"]), True),
        ((429, ["301"]), False),
        ((403, []), False),
        ((404, []), False),
        ((200, []), False),
    ],
    ids=repr,
)
def test_what_is_tried_again(outcome: Any, again: bool) -> None:
    assert (STEADY.delay(1, outcome, 0.5, TODAY) is not None) is again


def test_retry_after_is_waited_for() -> None:
    wait = STEADY.delay(1, (503, ["7"]), 0.5, TODAY)
    assert wait is not None and wait >= 7


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"attempts": 0}, "attempts"),
        ({"attempts": 1.5}, "attempts"),
        ({"backoff": -1}, "backoff"),
        ({"backoff": "x"}, "backoff"),
        ({"statuses": ["x"]}, "statuses"),
        ({"stable": -1}, "stable"),
        ({"max_retry_after": None}, "max_retry_after"),
    ],
    ids=str,
)
def test_bad_arguments(arguments: dict[str, Any], name: str) -> None:
    with pytest.raises(UsageError) as caught:
        Reconnect(**arguments)
    assert caught.value.argument == name


def test_what_a_caller_may_say() -> None:
    assert read_reconnect(None) is read_reconnect(False) is None
    assert read_reconnect(True) == Reconnect()
    assert read_reconnect(STEADY) is STEADY
    assert hash(Reconnect(statuses=[503])) == hash(Reconnect(statuses={503}))
    with pytest.raises(UsageError):
        read_reconnect(5)


# -- the doing ---------------------------------------------------------------------------------------------------------


class Waits(list[float]):
    """The waits that were asked for, in place of waiting; `after` is done in each."""

    def __init__(self, sockets: Any, after: Any = None) -> None:
        super().__init__()
        self.after = after
        sockets.sleep = self.sleep

    async def sleep(self, seconds: float) -> None:
        self.append(seconds)
        await asyncio.sleep(0)
        if self.after is not None:
            await self.after()


@BOTH
def test_a_new_one_whenever_the_loop_comes_back(loop: str) -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient() as client:
            sockets = aiter(client.websocket(origin.url("/echo"), reconnect=STEADY))
            waits = Waits(sockets)
            seen = []
            async for ws in sockets:
                assert len(client.connector._upgraded) == 1
                seen.append(ws)
                if len(seen) == 2:
                    origin.sockets[-1].abort()
                    with pytest.raises(ConnectionLost):
                        await ws.receive()
                    continue
                if len(seen) == 4:
                    break
                await ws.send("x")
                assert await ws.receive_text() == "x"
            assert len({id(ws) for ws in seen}) == 4
            assert waits == [1, 2, 4]  # for none of them lasted
            assert sockets.opened == 4
            await sockets.aclose()
            assert [ws.close_code for ws in seen] == [1000, 1006, 1000, 1000]
            check_settled(client)

    run(main, kind=loop)


def test_a_connection_that_lasted_begins_the_count_anew() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient() as client:
            policy = Reconnect(backoff=Backoff(1, 2, 10, jitter=False), stable=0)
            sockets = aiter(client.websocket(origin.url("/bye/1012"), reconnect=policy))
            waits = Waits(sockets)
            async for ws in sockets:
                assert [message async for message in ws] == []
                assert ws.close_code == 1012
                if sockets.opened == 4:
                    break
            assert waits == [1, 1, 1]
            del sockets, ws

    run(main)


@pytest.mark.parametrize("heartbeat", [None, 60])
def test_a_connection_lasts_until_its_end_though_nothing_was_said(heartbeat: float | None) -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient() as client:
            policy = Reconnect(backoff=Backoff(1, 2, 10, jitter=False), stable=0.05)
            sockets = aiter(client.websocket(origin.url("/held"), reconnect=policy, heartbeat=heartbeat))
            waits = Waits(sockets)
            async for ws in sockets:
                if sockets.opened == 4:
                    break
                if sockets.opened < 3:
                    await asyncio.sleep(0.06)
                await ws.close()
                if sockets.opened == 3:
                    await asyncio.sleep(0.06)  # that the program takes its time is no merit of the connection
            assert waits == [1, 1, 2]
            await sockets.aclose()

    run(main)


@BOTH
def test_leaving_the_loop_closes_without_waiting(loop: str) -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient() as client:
            async for ws in client.websocket(origin.url("/held"), reconnect=True):
                await ws.send("x")
                break
            assert ws.closed
            with pytest.raises(KeyError):
                async for _ in client.websocket(origin.url("/held"), reconnect=True):
                    raise KeyError("mine")
            gc.collect()
            await origin.until(lambda: origin.open == 0)
            assert [ws.close_code for ws in origin.sockets] == [1000, 1000]

    run(main, kind=loop)


def test_failures_are_waited_out() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient() as client:
            answers: list[Any] = [None, answer("503 Later", "Retry-After: 20"), answer("502 Later"), None]
            origin.first("/echo", lambda head: answers.pop(0))
            sockets = aiter(client.websocket(origin.url(), reconnect=STEADY))
            waits = Waits(sockets)
            async for _ in sockets:
                if sockets.opened == 2:
                    break
            assert waits == [1, 22, 4]
            await sockets.aclose()
            check_settled(client)

    run(main)


def test_the_last_error_is_raised_when_enough_were_made() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient() as client:
            answers: list[Any] = [None]
            origin.first("/echo", lambda head: answers.pop(0) if answers else answer("503 Later", body=b"later"))
            sockets = aiter(client.websocket(origin.url(), reconnect=Reconnect(attempts=2, backoff=0)))
            Waits(sockets)
            with pytest.raises(StatusError) as caught:
                async for ws in sockets:
                    await ws.close()
            assert await caught.value.response.text() == "later"
            assert caught.value.__notes__ == ["this was connection 3 in a row that came to nothing"]
            assert len(origin.asked) == 3
            sockets = aiter(client.websocket(origin.url("/bye/1001"), reconnect=Reconnect(attempts=2, backoff=0)))
            with pytest.raises(ConnectionLost, match="closed with 1001"):
                async for ws in sockets:
                    assert [message async for message in ws] == []
            assert sockets.opened == 3
            check_settled(client)

    run(main)


def test_what_will_not_pass_is_raised_at_once() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient() as client:
            answers: list[Any] = [None, answer("403 No")]
            origin.first("/echo", lambda head: answers.pop(0))
            sockets = aiter(client.websocket(origin.url(), reconnect=STEADY))
            Waits(sockets)
            with pytest.raises(StatusError) as caught:
                async for _ in sockets:
                    pass
            assert caught.value.status_code == 403

    run(main)


def test_the_first_connection_has_to_succeed_unless_the_policy_says_otherwise() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient() as client:
            answers: list[Any] = [answer("503 Later"), answer("503 Later"), None]
            origin.first("/echo", lambda head: answers.pop(0))
            with pytest.raises(StatusError):
                async for _ in client.websocket(origin.url(), reconnect=True):
                    pass
            sockets = aiter(client.websocket(origin.url(), reconnect=Reconnect(at_first=True, backoff=1)))
            waits = Waits(sockets)
            async for _ in sockets:
                break
            assert waits == [1]
            await sockets.aclose()

    run(main)


@BOTH
def test_closing_the_client_ends_the_iteration(loop: str) -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin:
            client = wirebird.HTTPClient()
            started = asyncio.Event()

            async def read() -> list[int | None]:
                codes = []
                async for ws in client.websocket(origin.url("/held"), reconnect=True):
                    started.set()
                    assert [message async for message in ws] == []
                    codes.append(ws.close_code)
                return codes

            task = asyncio.create_task(read())
            await started.wait()
            await client.close()
            assert await task == [1001]
            assert len(origin.sockets) == 1

            client = wirebird.HTTPClient()
            sockets = aiter(client.websocket(origin.url("/bye/1001"), reconnect=Reconnect(backoff=1000)))
            await anext(sockets)
            waiting = asyncio.create_task(anext(sockets))  # type: ignore[arg-type]
            while not client.pauses:
                await asyncio.sleep(0)
            await client.close()
            with pytest.raises(StopAsyncIteration):
                await waiting
            with pytest.raises(ClientClosed):
                async for _ in client.websocket(origin.url(), reconnect=True):
                    pass

    run(main, kind=loop)


def test_cancelled_while_it_waits() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient() as client:
            sockets = aiter(client.websocket(origin.url("/bye/1001"), reconnect=Reconnect(backoff=1000)))
            await anext(sockets)
            waiting = asyncio.create_task(anext(sockets))  # type: ignore[arg-type]
            while not client.pauses:
                await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another task"):
                await anext(sockets)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert not client.pauses
            check_settled(client)

    run(main)


def test_what_is_one_and_what_is_many() -> None:
    async def main() -> None:
        client = wirebird.HTTPClient()
        many = client.websocket("ws://localhost/", reconnect=True)
        with pytest.raises(UsageError, match="async for"):
            await many
        with pytest.raises(UsageError):
            async with client.websocket("ws://localhost/", reconnect=True):
                pass
        with pytest.raises(UsageError, match="reconnect"):
            aiter(client.websocket("ws://localhost/"))
        sockets = aiter(many)
        assert "not connected" in repr(sockets)
        with pytest.raises(RuntimeError):
            aiter(many)

    run(main)
