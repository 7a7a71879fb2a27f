"""One user's session during one request: a mapping, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from ..errors import UsageError
from ..models.numbers import check_count

__all__ = ["Session"]


class Session(MutableMapping[str, Any]):
    """What is kept for one user from request to request: names and values, of which JSON has to be able to hold everything.

    new       whether it begins with this request: there was none, or none that is valid
    identity  what the user's cookie names it by, None for one that has none yet, or is all in the cookie
    created   when it began, POSIX seconds

    It is saved when the head of the response is sent.  What changes it after that raises `RuntimeError`, for it would be lost.
    """

    __slots__ = ("_changed", "_loaded", "_max_age", "_renewed", "_sealed", "_values", "created", "identity", "new")

    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        *,
        created: float,
        identity: str | None = None,
        max_age: int | None = None,
        new: bool = True,
    ) -> None:
        self._values: dict[str, Any] = dict(values or {})
        self._loaded = self.encode()
        self._changed = False
        self._renewed = False
        self._sealed = False
        self._max_age = max_age
        self.created = created
        self.identity = identity
        self.new = new

    def __repr__(self) -> str:
        return f"<Session {'new' if self.new else 'known'}, {len(self._values)} values>"  # which are nobody's business

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if not isinstance(name, str):
            raise UsageError(f"name must be str, not {name!r}", argument="name")
        self.changed()
        self._values[name] = value

    def __delitem__(self, name: str) -> None:
        del self._values[name]
        self.changed()

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def max_age(self) -> int | None:
        """Seconds from when it is saved until it ends; None for what the storage says.  Raises `UsageError`."""
        return self._max_age

    @max_age.setter
    def max_age(self, seconds: int | None) -> None:
        if seconds is not None:
            check_count("max_age", seconds, 1, "None or a number of seconds")
        self.changed()
        self._max_age = seconds

    def changed(self) -> None:
        """Have it saved though it is as it was, so that its time begins anew.  What is changed within a value is seen anyway."""
        if self._sealed:
            raise RuntimeError("the head of the response was sent, and with it the session: it can be changed no more")
        self._changed = True

    def invalidate(self) -> None:
        """End it: nothing is left of it, and the user's cookie is deleted, unless something is put in again."""
        self.renew()
        self._values.clear()
        self._max_age = None

    def renew(self) -> None:
        """Go on by another identity, and let the one before be nobody's: what to do when a user logs in, or gains rights.

        Else whoever planted that identity on him would have them too (session fixation).
        """
        self.changed()
        self._renewed = True

    # -- for the storage -----------------------------------------------------------------------------------------------

    @property
    def is_changed(self) -> bool:
        """Whether there is something to save."""
        return self._changed or self.encode() != self._loaded

    @property
    def is_renewed(self) -> bool:
        """Whether what it was named by before is to be forgotten."""
        return self._renewed

    @property
    def is_sealed(self) -> bool:
        """Whether the head of a response was sent with it."""
        return self._sealed

    def seal(self) -> None:
        """It was saved, or did not have to be."""
        self._sealed = True

    def encode(self) -> str:
        """Its values as JSON.  Raises `UsageError` for what JSON cannot hold."""
        if not self._values:
            return "{}"
        try:
            return json.dumps(self._values, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"the session holds what JSON cannot: {error}", argument="session") from error
