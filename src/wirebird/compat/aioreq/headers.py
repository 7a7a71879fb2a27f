"""`aioreq.headers`: header fields as a dict, and fields that spell their own value."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, MutableMapping
from enum import Enum
from typing import Any

from ...errors import UsageError
from ...models.headers import HttpHeaders

__all__ = ["Accept", "AcceptEncoding", "BaseHeader", "Header", "Headers", "MimeType"]

_SEVERAL = frozenset({"set-cookie", "www-authenticate"})


class Headers(MutableMapping[str, Any]):
    """Header fields by name, in any case; the names come out in lower case.

    Each has one value, and the last that is set counts; but `set-cookie` and `www-authenticate` have a list of them, and setting
    another adds it.  `fields` are the same as wirebird has them.
    """

    def __init__(self, initial_headers: Mapping[str, Any] | None = None) -> None:
        self.fields = HttpHeaders()
        if initial_headers is not None:
            self.update(initial_headers)

    @classmethod
    def over(cls, fields: HttpHeaders) -> Headers:
        """Those that are a view of `fields`: what changes in one changes in the other."""
        headers = cls()
        headers.fields = fields
        return headers

    def __getitem__(self, name: str) -> Any:
        values = self.fields.getall(name)
        return values if name.lower() in _SEVERAL else values[-1]

    def __setitem__(self, name: str, value: Any) -> None:
        if name.lower() not in _SEVERAL:
            self.fields[name] = value
            return
        for one in value if isinstance(value, list) else [value]:
            self.fields.add(name, one)

    def __delitem__(self, name: str) -> None:
        del self.fields[name]

    def __contains__(self, name: object) -> bool:
        return name in self.fields

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower() for name in self.fields))

    def __len__(self) -> int:
        return len(set(map(str.lower, self.fields)))

    def __or__(self, other: Mapping[str, Any]) -> Headers:
        both = Headers(self)
        both.update(other)
        return both

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and self.dict() == Headers(other).dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "\n".join(["Headers:", *(f" {name}: {value}" for name, value in self.items())])

    def add_header(self, header: Header) -> None:
        """Set the field that `header` spells."""
        self[header.key] = header.value

    def dict(self) -> dict[str, Any]:
        """The fields as a dict of its own."""
        return dict(self.items())


class Header(ABC):
    """A field that knows its name, `key`, and spells its `value`."""

    key = ""

    @property
    @abstractmethod
    def value(self) -> str:
        """The value as it is sent."""


BaseHeader = Header


class MimeType(Enum):
    """Media types, for `Accept`."""

    json = "application/json"
    html = "text/html"
    css = "text/css"
    csv = "text/csv"
    js = "text/javascript"
    gif = "image/gif"
    png = "image/png"
    avif = "image/avif"
    gzip = "application/gzip"
    binary = "application/octet-stream"


class _Weighted(Header):
    """A list of choices, each with a weight from 0 to 1 (RFC 9110 12.4.2), None for 1."""

    def __init__(self, *choices: tuple[Any, float | None]) -> None:
        for _, weight in choices:
            if weight is not None and not 0 <= weight <= 1:
                raise UsageError(f"a weight must be a number from 0 to 1, not {weight!r}", argument="choices")
        self._choices = [(_spelled(choice), 1 if weight is None else weight) for choice, weight in choices]

    @property
    def value(self) -> str:
        """The choices with their weights."""
        return ", ".join(f"{choice}; q={weight:g}" for choice, weight in self._choices)


class Accept(_Weighted):
    """The media types that are wanted: `Accept((MimeType.json, 1), ("text/*", 0.5))`."""

    key = "Accept"


class AcceptEncoding(_Weighted):
    """The content codings that are wanted: `AcceptEncoding(("gzip", 1))`."""

    key = "Accept-Encoding"


def _spelled(choice: Any) -> str:
    return str(choice.value) if isinstance(choice, Enum) else str(choice)
