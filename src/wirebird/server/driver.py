"""Runs handlers: at once, where the request has arrived, and in a task only from where they wait.

Most handlers of a small request never wait.  A task for each would cost more than many of them do: it is made, scheduled, and
run in another turn of the loop.  So a connection has one task for all its requests, which rests, and a handler's first step is
taken in its name: to the handler it is the current task, then as later, so that what is bound to it, as `asyncio.timeout` is,
works.  If the handler waits, the task wakes and takes the other steps.

A handler that cancels its own task in its first step cancels the rest of the one that rests.  If it then waits, it is cancelled
there, as in any task; if it ends, that task is given up, and the next handler gets another.

The steps are taken through one generator for all handlers: it learns of the end of a coroutine without an exception, which
`coroutine.send` has to raise, and which costs as much as the rest.

Each handler has a context of its own (PEP 567): what one leaves in a context variable, the next request does not see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from types import coroutine
from typing import Any, Final, TypeAlias

__all__ = ["Driver"]

Done: TypeAlias = "Callable[[BaseException | None], None]"

_enter, _leave = asyncio.tasks._enter_task, asyncio.tasks._leave_task


class _Ended:
    """What the generator gives when a handler has ended; `error` is what it raised, None if it did not."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


_ENDED: Final = _Ended(None)


class Driver:
    """What runs the handlers of one connection, one at a time.  `done(error)` is called when one has ended that had to wait."""

    __slots__ = ("_begun", "_context", "_done", "_inside", "_rest", "_steps", "_work", "loop", "task")

    def __init__(self, loop: asyncio.AbstractEventLoop, done: Done) -> None:
        self.loop = loop
        self.task: asyncio.Task[None] | None = None
        self._done: Done | None = done
        self._inside = False  # whether `done` is being called, in the task
        self._context: Context | None = None
        self._rest: asyncio.Future[None]
        self._begun = False  # whether the task has taken its own first step: before that it cannot be cancelled and live
        self._steps: Generator[Any, Any, None] | None = None
        self._work: tuple[Generator[Any, Any, None], Context, Any, bool] | None = None

    @property
    def waits(self) -> bool:
        """Whether a handler is running that has waited."""
        return self._work is not None

    def run(self, handler: Coroutine[Any, Any, Any]) -> BaseException | bool | None:
        """Take the first step of `handler`: False if it waits, and else None, or what it raised."""
        task = self.task
        if task is None:
            task = self._start()
        context = self._context.copy()  # type: ignore[union-attr]
        inside = self._inside
        if not inside:
            _enter(self.loop, task)
        steps = self._steps
        if steps is None:
            steps = self._steps = _step_through()
            next(steps)
        try:
            waited_for = context.run(steps.send, handler)
        except BaseException as error:
            self._steps = None
            if not isinstance(error, GeneratorExit):
                raise  # what ends the program
            waited_for = _Ended(error)
        finally:
            if not inside:
                _leave(self.loop, task)
        if type(waited_for) is _Ended:
            if task.cancelling():
                self._give_up(task)
            return waited_for.error
        cancelled = not self._begun and task.cancelling() > 0
        if cancelled:
            self._start()
        self._work = steps, context, waited_for, cancelled
        if not self._rest.done():
            self._rest.set_result(None)
        return False

    def cancel(self) -> None:
        """Cancel the handler that is running, if it waits."""
        if self._work is None or self.task is None:
            return
        if self._begun:
            self.task.cancel()
        else:
            self._work = *self._work[:3], True

    def stop(self) -> None:
        """There will be no more handlers; one that waits is not stopped."""
        task, self.task = self.task, None
        self._done = self._done if self._work is not None else None
        if task is not None and self._work is None and not self._inside:
            task.cancel()

    def _start(self) -> asyncio.Task[None]:
        if self._context is None:
            self._context = copy_context()
        self._begun = False
        self._rest = self.loop.create_future()
        task = self.task = self.loop.create_task(self._take_over())
        return task

    def _give_up(self, task: asyncio.Task[None]) -> None:
        """A handler has cancelled its task, and is done: that was not meant for the next."""
        if self._inside:
            while task.cancelling():
                task.uncancel()
        self.task = None

    async def _take_over(self) -> None:
        """Rest until a handler waits, and go on with it."""
        me = asyncio.current_task()
        if self.task is me:
            self._begun = True
        while True:
            cancelled = False
            try:
                await self._rest
            except asyncio.CancelledError:
                if self._work is None or self.task is not me:
                    if self.task is me:
                        self.task = None
                    return
                cancelled = True  # by the handler itself, in its first step
            if self._work is None:
                return
            self._rest = self.loop.create_future()
            failure: BaseException | None
            try:
                failure = await _go_on(*self._work[:3], cancelled or self._work[3])
            except BaseException as error:
                self._steps = None
                if not isinstance(error, GeneratorExit) or me is None or me.done():
                    raise
                failure = error
            self._work = None
            while me.cancelling():  # type: ignore[union-attr]
                me.uncancel()  # type: ignore[union-attr]  # that was meant for the handler
            self._inside = True
            try:
                if self._done is not None:
                    self._done(failure)
            finally:
                self._inside = False
            failure = None
            if self.task is not me:
                return


@coroutine
def _step_through() -> Generator[Any, Any, None]:
    """Takes a handler, gives what that waits for, and `_Ended` at its end."""
    failed: list[_Ended] = []  # emptied before it rests: its frame is part of the traceback
    while True:
        handler = yield failed.pop() if failed else _ENDED
        try:
            yield from handler
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            failed.append(_Ended(error))
        handler = None


@coroutine
def _go_on(
    steps: Generator[Any, Any, None], context: Context, waited_for: Any, cancelled: bool
) -> Generator[Any, Any, BaseException | None]:
    """The steps of a handler behind the first, each in its `context`: what it raises.

    `cancelled` says that its task was, meanwhile.
    """
    if cancelled and waited_for is not None:
        cancelled = not waited_for.cancel()
    while True:
        if cancelled:
            cancelled = False
            waited_for = context.run(steps.throw, asyncio.CancelledError())
        else:
            try:
                value = yield waited_for
            except BaseException as error:
                waited_for = context.run(steps.throw, error)
            else:
                waited_for = context.run(steps.send, value)
        if type(waited_for) is _Ended:
            return waited_for.error
