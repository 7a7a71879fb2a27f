"""`server/in_own_task.py`: the end of an application in the task that ends it, bounded all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest

from origin import run
from wirebird import web
from wirebird.server.in_own_task import lead

PATIENCE = 0.02


def led(ending: Callable[[], Coroutine[Any, Any, Any]], *, hurry: bool = False, limit: float = 10, in_time: bool = True) -> None:
    async def main() -> None:
        hurried: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if hurry:
            hurried.set_result(None)
        assert await lead(ending(), hurried, limit, PATIENCE) is in_time
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0)  # nothing is left that would cancel this

    run(main)


def test_what_is_held_open_from_start_to_end_is_left_where_it_was_entered() -> None:
    held: ContextVar[str] = ContextVar("held", default="nothing")
    seen: list[Any] = []

    async def hold(app: web.Application) -> AsyncIterator[None]:
        task, token = asyncio.current_task(), held.set("held")
        async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as group:
            waiting = group.create_task(asyncio.Event().wait())
            yield
            waiting.cancel()
            limit.reschedule(None)
        held.reset(token)
        seen.append(asyncio.current_task() is task)

    async def main() -> None:
        app = web.Application()
        app.cleanup_ctx.append(hold)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await runner.cleanup()
        assert seen == [True]

    run(main)


@pytest.mark.parametrize("hurry", [False, True])
def test_it_runs_to_its_end(hurry: bool) -> None:
    ended: list[str] = []

    async def ending() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):  # cancels this task, and takes that back
                await asyncio.Event().wait()
        await asyncio.sleep(0)
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
        if not hurry:
            await asyncio.sleep(3 * PATIENCE)
        ended.append("ended")

    led(ending, hurry=hurry)
    assert ended == ["ended"]


def test_what_it_raises_is_raised() -> None:
    async def ending() -> None:
        await asyncio.sleep(0)
        raise KeyError("no")

    with pytest.raises(KeyError):
        led(ending)


@pytest.mark.parametrize("hurry", [False, True])
def test_who_takes_long_is_cancelled(hurry: bool) -> None:
    ended: list[str] = []

    async def ending() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("ended")

    led(ending, hurry=hurry, limit=10 if hurry else 0, in_time=hurry)
    assert ended == ["ended"]


def test_who_does_not_want_to_end_is_given_up() -> None:
    told: list[str] = []

    async def ending() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                told.append("cancelled")
            except GeneratorExit:
                told.append("given up")
                raise

    led(ending, hurry=True)
    assert told == ["cancelled", "given up"]


@pytest.mark.parametrize("stubborn", [False, True])
def test_who_is_cancelled_is_cancelled(stubborn: bool) -> None:
    async def ending() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            if stubborn:
                await asyncio.Event().wait()
            ended.append("ended")

    async def main() -> None:
        nonlocal begun
        begun = asyncio.Event()
        task = asyncio.create_task(lead(ending(), asyncio.get_running_loop().create_future(), 10, PATIENCE))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == ([] if stubborn else ["ended"])

    ended: list[str] = []
    begun = asyncio.Event()
    run(main)
