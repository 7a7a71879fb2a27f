"""What the development server remembers of requests: what each asked and got, and how long that took."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from time import time
from typing import Final

from ...web.failures import Failure
from .failures import failures_of

__all__ = ["Record", "Records"]

_MOST: Final = 200

# Exceptions with all their variables are large: of older requests the last one is kept, without its frames.
_MOST_WITH_FRAMES: Final = 20


@dataclass
class Record:
    """One request.  Times in seconds since the request had arrived; None for what did not happen."""

    number: int
    method: str
    target: str
    version: str
    peer: str
    fields: list[tuple[str, str]]
    moment: float = field(default_factory=time)
    status: int = 0
    answer: list[tuple[str, str]] = field(default_factory=list)
    route: str = ""
    size: int = 0
    injected: bool = False
    head_at: float | None = None
    end_at: float | None = None
    failures: list[Failure] = field(default_factory=list)

    def fail(self, error: Exception) -> None:
        """Take note of what the handler has raised."""
        self.failures = failures_of(error)

    @property
    def outcome(self) -> str:
        """Its status, or why there is none."""
        if self.failures and not self.status:
            return "failed"
        return str(self.status) if self.status else "…"


class Records:
    """The last requests."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque(maxlen=_MOST)
        self._count = 0

    def add(self, method: str, target: str, version: str, peer: str, fields: list[tuple[str, str]]) -> Record:
        """A request has arrived."""
        self._count += 1
        record = Record(self._count, method, target, version, peer, fields)
        self._records.append(record)
        if len(self._records) > _MOST_WITH_FRAMES:
            old = self._records[-1 - _MOST_WITH_FRAMES]
            old.failures = [one._replace(frames=[]) for one in old.failures[-1:]]
        return record

    def latest(self) -> list[Record]:
        """The latest first."""
        return list(reversed(self._records))

    def find(self, number: int) -> Record | None:
        """The one with that number, if it is remembered."""
        return next((record for record in self._records if record.number == number), None)
