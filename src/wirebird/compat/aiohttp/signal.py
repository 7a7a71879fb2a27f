"""`frozenlist.FrozenList` and `aiosignal.Signal`: lists that can be frozen, and coroutine functions in one that is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableSequence
from typing import Any, Self

__all__ = ["FrozenList", "Signal"]


class FrozenList(MutableSequence[Any]):
    """A list that can be changed until it is frozen: then that raises `RuntimeError`."""

    __slots__ = ("_receivers", "frozen")

    def __init__(self, items: Iterable[Any] = ()) -> None:
        self._receivers: list[Any] = list(items)
        self.frozen = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(frozen={self.frozen}, {self._receivers!r})>"

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
        """Put one in at `index`."""
        self._check_open()
        self._receivers.insert(index, value)

    def __iadd__(self, receivers: Iterable[Any]) -> Self:
        self.extend(receivers)
        return self

    def __eq__(self, other: object) -> bool:
        return self._receivers == (other._receivers if isinstance(other, FrozenList) else other)

    __hash__ = None  # type: ignore[assignment]

    def freeze(self) -> None:
        """Let nothing be changed any more."""
        self.frozen = True

    def _check_open(self) -> None:
        if self.frozen:
            raise RuntimeError("Cannot modify frozen list.")


class Signal(FrozenList):
    """Coroutine functions that are called when something happens, one after the other.

    Filled by the methods of a list, or as a decorator; `freeze` ends that, and has to come before `send`.
    """

    __slots__ = ("_owner",)

    def __init__(self, owner: object) -> None:
        super().__init__()
        self._owner = owner

    def __repr__(self) -> str:
        return f"<Signal owner={self._owner}, frozen={self.frozen}, {self._receivers!r}>"

    def __call__(self, func: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Add a receiver, and give it back: a decorator."""
        self.append(func)
        return func

    async def send(self, *args: Any, **kwargs: Any) -> None:
        """Call the receivers in their order, and await each.  Raises `RuntimeError` if the signal is not frozen."""
        if not self.frozen:
            raise RuntimeError("Cannot send non-frozen signal.")
        for receiver in self._receivers:
            await receiver(*args, **kwargs)
