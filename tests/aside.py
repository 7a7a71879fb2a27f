"""Servers beside a test: in a thread with an event loop of its own, so that what asks them may block or run a loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Self

__all__ = ["Aside"]

START_LIMIT = 20.0


class Aside:
    """Entered, it serves; left, it has ended.  `serve` is to be defined: it calls `ready`, and returns when that does."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None
        self._ready = threading.Event()
        # asyncio's debugging, which is slow, is for what is tested.
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(), debug=False), name=type(self).__name__)

    async def serve(self) -> None:
        """Open everything, await `ready()`, and close everything."""
        raise NotImplementedError

    async def ready(self) -> None:
        """Everything is open: it stays so until the end."""
        assert self._ended is not None
        self._ready.set()
        await self._ended.wait()

    def call(self, function: Callable[[], object]) -> None:
        """Have the servers' own loop call it."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(function)

    async def _run(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        await self.serve()

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(START_LIMIT):
            raise RuntimeError("the servers did not start")
        return self

    def __exit__(self, *error: object) -> None:
        if self._loop is not None and self._ended is not None:
            self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(START_LIMIT)
