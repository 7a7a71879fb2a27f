"""The end of an application, in the task that ends it, for as long as that may take.

What an application holds open from its start to its end, such as a group of tasks or a limit of time, has to be left in the task
in which it was entered.  So its end is not given a task of its own, which could be waited for as long as one likes: its coroutine
is led from here, step by step, and what it waits for is waited for in its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from ..net.step import Step

__all__ = ["lead"]


async def lead(coroutine: Coroutine[Any, Any, Any], hurry: asyncio.Future[None], limit: float, patience: float) -> bool:
    """Run `coroutine` to its end, for `limit` seconds; whether it kept to that.

    Once `hurry` is done, or this task is cancelled and it goes on all the same, it has `patience` seconds instead.  Then it is
    cancelled, and given up after `patience` seconds more.  Raises what it raises, and `CancelledError` if this task was cancelled
    by somebody else.
    """
    loop = asyncio.get_running_loop()
    task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]
    before = task.cancelling()
    pushes = 0  # how often it was cancelled from here
    timer: asyncio.TimerHandle | None = None
    in_time = True

    def push() -> None:
        nonlocal pushes, timer
        pushes += 1
        task.cancel()
        timer = loop.call_later(patience, push)

    def press(_: object = None) -> None:
        nonlocal timer
        if timer is None:
            timer = loop.call_later(patience, push)

    def overdue() -> None:
        nonlocal in_time
        if timer is None:
            in_time = False
            push()

    ending = loop.call_later(limit, overdue)
    hurry.add_done_callback(press)
    thrown: BaseException | None = None
    try:
        while True:
            try:
                step = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
            except StopIteration:
                return in_time
            thrown = None
            if task.cancelling() > before + pushes:  # and not by a limit of its own, which would have taken that back by now
                press()
            try:
                await Step(step)
            except BaseException as error:
                if pushes > 1:
                    _give_up(coroutine)
                    return in_time
                thrown = error
    except asyncio.CancelledError:
        if task.cancelling() > before + pushes or not pushes:
            raise
        return in_time
    finally:
        ending.cancel()
        hurry.remove_done_callback(press)
        if timer is not None:
            timer.cancel()
        for _ in range(pushes):
            task.uncancel()


def _give_up(coroutine: Coroutine[Any, Any, Any]) -> None:
    """It does not want to end: it is told to, once more, and does not get to wait for anything."""
    with suppress(RuntimeError):
        coroutine.close()
