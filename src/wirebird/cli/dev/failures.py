"""What an exception says to a developer: from where the application begins, with variables, and paths as seen from here."""

from __future__ import annotations

from pathlib import Path

from ...web.failures import Failure, explain
from ..loading import without_caller

__all__ = ["failures_of"]


def failures_of(error: BaseException) -> list[Failure]:
    """The chain of exceptions that ends with `error`, which comes last."""
    here = Path.cwd()
    return [
        one._replace(frames=[frame._replace(file=_seen_from(here, frame.file)) for frame in one.frames])
        for one in explain(error, variables=True, trim=without_caller)
    ]


def _seen_from(here: Path, file: str) -> str:
    path = Path(file)
    return str(path.relative_to(here)) if path.is_relative_to(here) else file
