"""An event loop whose time passes only where everybody sleeps, and then at once: hours of waiting take no time, and are exact.

    assert run_virtual(main) == ...      # `asyncio.sleep`, `call_later` and `loop.time()` are on the virtual clock

For what has no sockets.  A program that would sleep for ever fails instead.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["VirtualLoop", "run_virtual"]

_T = TypeVar("_T")


class _Selector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Where the loop would block, the clock is moved."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found:
            if timeout is None:
                raise RuntimeError("everybody sleeps, and nobody would ever wake up")
            self.loop.now += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop; `now` is its time, 1000 at first."""

    def __init__(self) -> None:
        self.now = 1000.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def run_virtual(main: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run `main()` on a loop of its own.  Nothing may be left behind: no task, no timer."""

    async def framed() -> _T:
        result = await main()
        loop = asyncio.get_running_loop()
        left = [handle for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
        if left:
            raise AssertionError(f"timers are left: {left}")
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            raise AssertionError(f"tasks are left: {others}")
        return result

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(framed())
