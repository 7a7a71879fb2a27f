"""`aiosignal.Signal`, as far as tracing needs it: a list of coroutine functions, which is frozen before it is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableSequence
from typing import Any

__all__ = ["Signal"]


class Signal(MutableSequence[Callable[..., Awaitable[Any]]]):
    """Coroutine functions that are called when something happens, one after the other.

    Filled by the methods of a list, or as a decorator; `freeze` ends that, and has to come before `send`.
    """

    __slots__ = ("_owner", "_receivers", "frozen")

    def __init__(self, owner: object) -> None:
        self._owner = owner
        self._receivers: list[Callable[..., Awaitable[Any]]] = []
        self.frozen = False

    def __repr__(self) -> str:
        return f"<Signal owner={self._owner}, frozen={self.frozen}, {self._receivers!r}>"

    def __len__(self) -> int:
        return len(self._receivers)

    def __getitem__(self, index: Any) -> Any:
        return self._receivers[index]

    def __setitem__(self, index: Any, receiver: Any) -> None:
        self._check_open()
        self._receivers[index] = receiver

    def __delitem__(self, index: Any) -> None:
        self._check_open()
        del self._receivers[index]

    def insert(self, index: int, value: Callable[..., Awaitable[Any]]) -> None:
        """Put a receiver in at `index`."""
        self._check_open()
        self._receivers.insert(index, value)

    def __iadd__(self, receivers: Iterable[Callable[..., Awaitable[Any]]]) -> Signal:
        self.extend(receivers)
        return self

    def __eq__(self, other: object) -> bool:
        return self._receivers == (other._receivers if isinstance(other, Signal) else other)

    __hash__ = None  # type: ignore[assignment]

    def __call__(self, func: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Add a receiver, and give it back: a decorator."""
        self.append(func)
        return func

    def freeze(self) -> None:
        """Let nothing be changed any more."""
        self.frozen = True

    async def send(self, *args: Any, **kwargs: Any) -> None:
        """Call the receivers in their order, and await each.  Raises `RuntimeError` if the signal is not frozen."""
        if not self.frozen:
            raise RuntimeError("Cannot send non-frozen signal.")
        for receiver in self._receivers:
            await receiver(*args, **kwargs)

    def _check_open(self) -> None:
        if self.frozen:
            raise RuntimeError("Cannot modify frozen list.")
