"""`aiosonic.HttpHeaders`: a case-insensitive dict with one value for each name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import TypeAlias

__all__ = ["HeadersType", "HttpHeaders"]


class HttpHeaders(MutableMapping[str, str]):
    """Header fields, one value for each name; the name is spelled as it was when it was set last.

    Built from a mapping, pairs, or keywords; of several values for one name the last counts.
    """

    def __init__(self, data: Mapping[str, str] | Iterable[tuple[str, str]] | None = None, **kwargs: str) -> None:
        self._fields: dict[str, tuple[str, str]] = {}
        self.update(() if data is None else data, **kwargs)

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()][1]

    def __setitem__(self, name: str, value: str) -> None:
        self._fields[name.lower()] = (name, value)

    def __delitem__(self, name: str) -> None:
        del self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return dict(self.lower_items()) == dict(HttpHeaders(other).lower_items())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self.items())!r})"

    def lower_items(self) -> Iterator[tuple[str, str]]:
        """The names in lower case, and their values."""
        return ((name, value) for name, (_, value) in self._fields.items())

    def copy(self) -> HttpHeaders:
        """The same fields, to be changed separately."""
        return HttpHeaders(self.items())


HeadersType: TypeAlias = Mapping[str, str] | list[tuple[str, str]] | HttpHeaders
