"""What a request and a response have in common: middlewares and handlers tell each other things by them."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

__all__ = ["Keeping"]


class Keeping(MutableMapping[str, Any]):
    """A mapping that costs nothing until something is kept in it.  It equals itself only, and is true though it is empty."""

    __slots__ = ()

    _kept: dict[str, Any] | None

    def __getitem__(self, key: str) -> Any:
        if self._kept is None:
            raise KeyError(key)
        return self._kept[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if self._kept is None:
            self._kept = {}
        self._kept[key] = value

    def __delitem__(self, key: str) -> None:
        if self._kept is None:
            raise KeyError(key)
        del self._kept[key]

    def __len__(self) -> int:
        return len(self._kept or ())

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept or ())

    def __bool__(self) -> bool:
        return True

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other
