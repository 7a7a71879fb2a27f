"""Runs handlers: at once, where the request has arrived, and in a task only from where they wait.

Most handlers of a small request never wait.  A task for each would cost more than many of them do: it is made, scheduled, and
run in another turn of the loop.  So a connection has one task for all its requests, which rests, and a handler's first step is
taken in its name: to the handler it is the current task, then as later, so that what is bound to it, as `asyncio.timeout` is,
works.  If the handler waits, the task wakes and takes the other steps.

A handler that cancels its own task in its first step cancels the rest of the one that rests.  If it then waits, it is cancelled
there, as in any task; if it ends, that task is given up, and the next handler gets another.

A handler that waits can be parted with: it keeps the task for itself, and the next one gets another.

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

# What ends the loop, raised by a handler or not.
_ENDS = (KeyboardInterrupt, SystemExit)

# What the first step of a handler gives that is also its last.
_ENDED = object()

# A handler, its context, what it waits for, and whether its task was cancelled meanwhile.
_Work: TypeAlias = "tuple[Coroutine[Any, Any, Any], Context, Any, bool]"

_enter, _leave = asyncio.tasks._enter_task, asyncio.tasks._leave_task


class Driver:
    """What runs the handlers of one connection, one at a time.  `done(error)` is called when one has ended that had to wait."""

    __slots__ = ("_begun", "_context", "_done", "_inside", "_parted", "_rest", "_work", "loop", "task")

    def __init__(self, loop: asyncio.AbstractEventLoop, done: Done) -> None:
        self.loop = loop
        self.task: asyncio.Task[None] | None = None
        self._done: Done | None = done
        self._inside: asyncio.Task[None] | None = None  # the task in which `done` is being called
        self._context: Context | None = None
        self._rest: asyncio.Future[None]
        self._parted: dict[asyncio.Task[None], _Work] | None = None  # what is no business of ours any more
        self._begun = False  # whether the task has taken its own first step: before that it cannot be cancelled and live
        self._work: _Work | None = None

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
        if inside is not task:
            if inside is not None:  # which was parted with
                _leave(self.loop, inside)
            _enter(self.loop, task)
        try:
            # Not `send`, at the end of which an exception is raised, and caught: as dear as a third of all this.
            waited_for: Any = context.run(next, handler.__await__(), _ENDED)
            if waited_for is _ENDED:
                if task.cancelling():
                    self._give_up(task)
                return None
        except BaseException as error:
            if task.cancelling():
                self._give_up(task)
            if isinstance(error, _ENDS):
                self.loop.call_soon(_raise, error)  # it ends the loop, and for its client it is a failure like any other
            return error
        finally:
            if inside is not task:
                _leave(self.loop, task)
                if inside is not None:
                    _enter(self.loop, inside)
        if getattr(waited_for, "_asyncio_future_blocking", False):
            waited_for._asyncio_future_blocking = False  # or nobody else could wait for it until the task does
        cancelled = not self._begun and task.cancelling() > 0
        if cancelled:
            self._start()
        self._work = handler, context, waited_for, cancelled
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

    def part(self) -> asyncio.Task[None]:
        """Let go of the handler that waits: its task, which ends as it does.  `done` is not called for it."""
        task, work = self.task, self._work
        if task is None or work is None:
            raise RuntimeError("no handler waits")
        self.task = self._work = None
        if self._parted is None:
            self._parted = {}
        self._parted[task] = work
        return task

    def stop(self) -> None:
        """There will be no more handlers; one that waits is not stopped."""
        task, self.task = self.task, None
        self._done = self._done if self._work is not None else None
        if task is not None and self._work is None and self._inside is None:
            task.cancel()

    def _start(self) -> asyncio.Task[None]:
        if self._context is None:
            self._context = copy_context()
        self._begun = False
        self._rest = self.loop.create_future()
        self.task = None
        task = self.task = self.loop.create_task(self._take_over())
        task.add_done_callback(self._replace)
        return task

    def _replace(self, task: asyncio.Task[None]) -> None:
        """If it was cancelled before it began, by a handler that then took it back, another goes on."""
        if self.task is task:
            self.task = None
            if self._work is not None:
                self._work = *self._work[:3], True
                self._start()
                self._rest.set_result(None)

    def _give_up(self, task: asyncio.Task[None]) -> None:
        """A handler has cancelled its task, and is done: that was not meant for the next."""
        if self._inside is task:
            while task.cancelling():
                task.uncancel()
        self.task = None

    async def _take_over(self) -> None:
        """Rest until a handler waits, and go on with it."""
        me: asyncio.Task[None] = asyncio.current_task()  # type: ignore[assignment]
        if self.task is me or self.task is None:  # an eager task begins before anybody has it
            self._begun = True
        while True:
            cancelled = False
            if not self._is_parted(me):
                try:
                    await self._rest
                except asyncio.CancelledError:
                    if not self._is_parted(me) and (self._work is None or self.task is not me):
                        if self.task is me:
                            self.task = None
                        return
                    cancelled = True  # by the handler itself, in its first step
            if self._is_parted(me):
                work: _Work | None = self._parted[me]  # type: ignore[index]
            else:
                work = self._work
                self._rest = self.loop.create_future()
            if work is None:
                return
            failure: BaseException | None = None
            try:
                await _go_on(*work[:3], cancelled or work[3])
            except BaseException as error:
                failure = error
            work = None
            if self._is_parted(me):
                del self._parted[me]  # type: ignore[union-attr]
                if failure is not None:
                    raise failure
                return
            self._work = None
            while me.cancelling():
                me.uncancel()  # that was meant for the handler
            self._inside = me
            try:
                if self._done is not None:
                    self._done(failure)
            finally:
                self._inside = None
            if isinstance(failure, _ENDS):
                raise failure
            failure = None
            if self.task is not me and not self._is_parted(me):
                return

    def _is_parted(self, task: asyncio.Task[None]) -> bool:
        return self._parted is not None and task in self._parted


def _raise(error: BaseException) -> None:
    raise error


@coroutine
def _go_on(handler: Coroutine[Any, Any, Any], context: Context, waited_for: Any, cancelled: bool) -> Generator[Any, Any, None]:
    """The steps of `handler` behind the first, each in its `context`; `cancelled` says that its task was, meanwhile."""
    if cancelled and waited_for is not None:
        cancelled = not waited_for.cancel()
    if getattr(waited_for, "_asyncio_future_blocking", None) is False:
        waited_for._asyncio_future_blocking = True  # as `await` had left it
    while True:
        try:
            if cancelled:
                cancelled = False
                waited_for = context.run(handler.throw, asyncio.CancelledError())
                continue
            try:
                value = yield waited_for
            except BaseException as error:
                waited_for = None  # which keeps the error, whose traceback leads here
                waited_for = context.run(handler.throw, error)
            else:
                waited_for = context.run(handler.send, value)
        except StopIteration:
            return
