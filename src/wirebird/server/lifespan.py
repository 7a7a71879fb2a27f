"""The lifespan of an ASGI application (asgi.readthedocs.io, "Lifespan Protocol" 2.0): startup, then shutdown, in one task."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, Literal

from ..errors import UsageError
from .asgi_messages import Application, ApplicationError, Message

__all__ = ["CANCEL_TIME", "Lifespan", "LifespanMode"]

LifespanMode = bool | Literal["auto"]

# How long an application may take to shut down before its task is cancelled, seconds.
SHUTDOWN_TIME = 5.0

# And how long what was cancelled is waited for, seconds.
CANCEL_TIME = 1.0


class Lifespan:
    """Runs the lifespan of `application`: True if it must have one, "auto" if it may, False to leave it alone.

    `state` is what the application keeps in it for its requests.  An application that raises before it asks for the first event
    has no lifespan; one that raises after that did not start.
    """

    def __init__(self, application: Application, mode: LifespanMode, state: dict[str, Any]) -> None:
        if mode not in (True, False, "auto"):
            raise UsageError(f"lifespan must be True, False or 'auto', not {mode!r}", argument="lifespan")
        self.state = state
        self._application = application
        self._mode = mode
        self._task: asyncio.Task[None] | None = None
        self._started: asyncio.Event
        self._stopping: asyncio.Event
        self._asked = False
        self._failed: ApplicationError | None = None
        self._failed_late: ApplicationError | None = None

    async def startup(self) -> None:
        """Start the application, once; whoever comes meanwhile waits.  Raises `ApplicationError` if it does not start."""
        if self._mode is False:
            return
        if self._task is None or self._task.get_loop() is not asyncio.get_running_loop():
            self._asked = False
            self._failed = self._failed_late = None
            self._started, self._stopping = asyncio.Event(), asyncio.Event()
            self._task = asyncio.create_task(self._run())
        await self._started.wait()
        if self._failed is not None:
            raise ApplicationError(self._failed.message) from (self._failed.__cause__ or self._failed)

    async def shutdown_behind(self, running: Collection[asyncio.Task[None]], grace: float) -> None:
        """Wait for what is `running` of the application, cancel what takes longer than `grace`, and shut it down."""
        try:
            if running:
                _, late = await asyncio.wait(running, timeout=grace)
                for task in late:
                    task.cancel()
                if late:
                    await asyncio.wait(late, timeout=CANCEL_TIME)  # they may not heed that
        finally:
            await self.shutdown()

    async def shutdown(self) -> None:
        """Shut the application down, if it was started here.  Raises `ApplicationError` if it says that it could not."""
        task, self._task = self._task, None
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            return
        self._stopping.set()
        _, late = await asyncio.wait([task], timeout=SHUTDOWN_TIME)
        if late:
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL_TIME)  # it may not heed that
            raise ApplicationError(f"the application did not shut down within {SHUTDOWN_TIME:g} s")
        if self._failed_late is not None:
            raise self._failed_late

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._application(scope, self._receive, self._send)
        except asyncio.CancelledError:
            self._fail("the start of the application was cancelled", None)
            raise
        except Exception as error:
            self._fail(f"the application raised {type(error).__name__}: {error}", error)
        else:
            self._fail("the application has no lifespan", None)
        finally:
            self._started.set()

    def _fail(self, message: str, cause: BaseException | None) -> None:
        """The lifespan came to its end: whether that is a fault depends on how far it got."""
        error = ApplicationError(message)
        error.__cause__ = cause
        if self._started.is_set():
            if cause is not None and self._failed_late is None and self._failed is None:
                self._failed_late = error
        elif self._failed is None and (self._mode is True or (self._asked and cause is not None)):
            self._failed = error

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        kind = message.get("type")
        said = str(message.get("message", "")) or "and does not say why"
        if kind == "lifespan.startup.complete" and not self._started.is_set():
            self._started.set()
        elif kind == "lifespan.startup.failed" and not self._started.is_set():
            self._failed = ApplicationError(f"the application did not start: {said}")
            self._started.set()
        elif kind == "lifespan.shutdown.failed" and self._started.is_set():
            self._failed_late = ApplicationError(f"the application did not shut down: {said}")
        elif kind != "lifespan.shutdown.complete" or not self._started.is_set():
            raise ApplicationError(f"the application sent {kind!r} in its lifespan")
