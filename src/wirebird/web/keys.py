"""Keys of what an application keeps, with the type of the value for a type checker."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["AppKey"]

_T = TypeVar("_T")


class AppKey(Generic[_T]):
    """A key that equals nothing but itself: `DB = web.AppKey("db", Database)`, `app[DB]` is a `Database`.

    `name` is for whoever reads it; `kind` is for type checkers, and nothing else looks at it.
    """

    __slots__ = ("_name", "kind")

    def __init__(self, name: str, kind: type[_T] | None = None) -> None:
        self._name = name
        self.kind = kind

    def __repr__(self) -> str:
        return f"<AppKey {self._name}>"
