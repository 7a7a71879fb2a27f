"""The waits of a client between two requests, which end when the client is closed, or whoever waits is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

__all__ = ["Pauses"]


class Pauses:
    """Who waits, and how to wake them.  Once it is `closed`, nobody waits."""

    __slots__ = ("_scopes", "closed")

    def __init__(self) -> None:
        self._scopes: dict[object, tuple[asyncio.Timeout, asyncio.AbstractEventLoop]] = {}
        self.closed = False

    def __repr__(self) -> str:
        return f"<Pauses {len(self._scopes)} under way>"

    def __len__(self) -> int:
        return len(self._scopes)

    async def wait(self, owner: object, pause: Awaitable[object]) -> None:
        """Await `pause`, or until `end(owner)` or `close`; an owner has one pause at a time.  Raises what `pause` raises."""
        try:
            async with asyncio.timeout(0 if self.closed else None) as scope:
                self._scopes[owner] = scope, asyncio.get_running_loop()
                try:
                    await pause
                finally:
                    del self._scopes[owner]
        except TimeoutError:
            if not scope.expired():
                raise

    def end(self, owner: object) -> None:
        """Wake `owner`, if it waits; from the loop on which it does."""
        if owner in self._scopes:
            scope, loop = self._scopes[owner]
            if loop is asyncio.get_running_loop() and not scope.expired():
                scope.reschedule(0)

    def close(self) -> None:
        """Wake all of them."""
        self.closed = True
        for owner in self._scopes:
            self.end(owner)
