"""Lists of coroutine functions that an application calls at one moment of its life, in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

from ..errors import UsageError

__all__ = ["Signal"]

Receiver: TypeAlias = "Callable[..., Awaitable[None]]"


class Signal(list[Receiver]):
    """`async def receiver(*arguments)`, called one after the other by `send`.  Frozen, it cannot be changed any more."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self._frozen = False

    def __repr__(self) -> str:
        return f"<Signal {self.name} {'frozen ' if self._frozen else ''}{list(self)!r}>"

    @property
    def frozen(self) -> bool:
        """Whether it can be changed no more."""
        return self._frozen

    def freeze(self) -> None:
        """Let it not be changed any more."""
        self._frozen = True

    def append(self, receiver: Receiver) -> None:
        """Add a receiver behind the others.  Raises `UsageError` for what cannot be called, `RuntimeError` once it is frozen."""
        if not callable(receiver):
            raise UsageError(f"receiver must be a coroutine function, not {receiver!r}", argument="receiver")
        if self._frozen:
            raise RuntimeError(f"{self.name} can be changed no more: the application has started")
        super().append(receiver)

    async def send(self, *arguments: Any) -> None:
        """Call the receivers, each with the same arguments.  The first that raises is the last."""
        for receiver in list(self):
            await receiver(*arguments)

    async def send_to_all(self, *arguments: Any) -> None:
        """The same, whichever of them raises: the last error is raised at the end, with those before it as its context."""
        async with AsyncExitStack() as ending:  # which goes backwards
            for receiver in reversed(self):
                ending.push_async_callback(receiver, *arguments)
