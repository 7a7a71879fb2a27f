"""Runs handlers: at once, where the request has arrived, and in a task only from where they wait.

Most handlers of a small request never wait.  A task for each would cost more than many of them do: it is made, scheduled, and
run in another turn of the loop.  So a connection has one task for all its requests, which rests, and a handler's first step is
taken in its name: to the handler it is the current task, then as later, so that what is bound to it, as `asyncio.timeout` is,
works.  If the handler waits, the task wakes and takes the other steps.

Each handler has a context of its own (PEP 567): what one leaves in a context variable, the next request does not see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from types import coroutine
from typing import Any, TypeAlias

__all__ = ["Driver"]

Done: TypeAlias = "Callable[[BaseException | None], None]"


class Driver:
    """What runs the handlers of one connection, one at a time.  `done(error)` is called when one has ended that had to wait."""

    __slots__ = ("_context", "_done", "_inside", "_rest", "_work", "loop", "task")

    def __init__(self, loop: asyncio.AbstractEventLoop, done: Done) -> None:
        self.loop = loop
        self.task: asyncio.Task[None] | None = None
        self._done = done
        self._inside = False  # whether `done` is being called, in the task
        self._context: Context | None = None
        self._rest: asyncio.Future[None] | None = None
        self._work: tuple[Coroutine[Any, Any, Any], Context, Any] | None = None

    @property
    def waits(self) -> bool:
        """Whether a handler is running that has waited."""
        return self._work is not None

    def run(self, handler: Coroutine[Any, Any, Any]) -> BaseException | bool | None:
        """Take the first step of `handler`: False if it waits, and else None, or what it raised."""
        task = self.task
        if task is None:
            task = self.task = self._start()
        context = self._context.copy()  # type: ignore[union-attr]
        inside = self._inside
        if not inside:
            asyncio.tasks._enter_task(self.loop, task)
        try:
            waited_for = context.run(handler.send, None)
        except StopIteration:
            return None
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            return error
        finally:
            if not inside:
                asyncio.tasks._leave_task(self.loop, task)
        self._work = handler, context, waited_for
        rest = self._rest
        if rest is not None and not rest.done():
            rest.set_result(None)
        return False

    def cancel(self) -> None:
        """Cancel the handler that is running, if it waits."""
        if self._work is not None and self.task is not None:
            self.task.cancel()

    def stop(self) -> None:
        """There will be no more handlers; one that waits is not stopped."""
        task, self.task = self.task, None
        if task is not None and self._work is None:
            task.cancel()

    def _start(self) -> asyncio.Task[None]:
        self._context = copy_context()
        self._rest = self.loop.create_future()
        return self.loop.create_task(self._take_over())

    async def _take_over(self) -> None:
        """Rest until a handler waits, and go on with it."""
        while True:
            cancelled: BaseException | None = None
            try:
                await self._rest  # type: ignore[misc]
            except asyncio.CancelledError as error:
                if self._work is None:
                    return
                cancelled = error  # by the handler itself, in its first step
            if self._work is None:
                return
            self._rest = self.loop.create_future()
            failure: BaseException | None = None
            try:
                await _go_on(*self._work, cancelled)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                failure = error
            self._work = None
            if (task := self.task) is not None:
                while task.cancelling():  # that was meant for the handler
                    task.uncancel()
            self._inside = True
            try:
                self._done(failure)
            finally:
                self._inside = False
            failure = None
            if self.task is None:
                return


@coroutine
def _go_on(
    handler: Coroutine[Any, Any, Any], context: Context, waited_for: Any, cancelled: BaseException | None
) -> Generator[Any, Any, None]:
    """The steps of `handler` behind the first, each in its `context`."""
    while True:
        try:
            if cancelled is not None:
                error, cancelled = cancelled, None
                waited_for = context.run(handler.throw, error)
                continue
            try:
                value = yield waited_for
            except BaseException as error:
                waited_for = context.run(handler.throw, error)
            else:
                waited_for = context.run(handler.send, value)
        except StopIteration:
            return
