"""How far a transfer has come, told to a function now and then, or shown as a bar (with tqdm, the extra `wirebird[cli]`)."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from time import monotonic
from typing import Any, Final, TypeAlias

from ..errors import UsageError

__all__ = ["Meter", "Progress", "ProgressBar"]

Progress: TypeAlias = "Callable[[int, int | None], object]"

# Seconds between two calls, the first and the last apart.
EVERY: Final = 0.1


class ProgressBar:
    """A progress bar in the terminal, for `progress=`: a function of the bytes done and the bytes in all, None if not known.

    `description` stands in front of it; `options` are those of `tqdm.tqdm`.  A bar is drawn at its first call and ends with the
    transfer; used again, it begins anew.  Needs tqdm, the extra `wirebird[cli]`: raises `UsageError` where that is missing.
    """

    def __init__(self, description: str = "", **options: Any) -> None:
        try:
            from tqdm import tqdm
        except ImportError:
            raise UsageError("a progress bar needs tqdm: install wirebird[cli]", argument="progress") from None
        self._make: Callable[..., Any] = tqdm
        self._options = {"unit": "B", "unit_scale": True, "unit_divisor": 1024, "desc": description or None, **options}
        self._bar: Any = None

    def __repr__(self) -> str:
        return f"<ProgressBar {self._bar if self._bar is not None else 'not shown'}>"

    def __call__(self, done: int, total: int | None) -> None:
        """Show that `done` of `total` bytes are there.  It may become fewer: a transfer that begins anew."""
        bar = self._bar
        if bar is None:
            bar = self._bar = self._make(total=total, initial=done, **self._options)
        if bar.total != total:
            bar.total = total
            bar.refresh()
        if done != bar.n:
            bar.update(done - bar.n)

    def close(self) -> None:
        """End the bar as it is; idempotent."""
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()


class Meter:
    """Calls `progress` at a bounded rate; True stands for a bar.  Raises `UsageError` for anything that is no function."""

    __slots__ = ("_next", "_progress", "_said")

    def __init__(self, progress: Progress | bool) -> None:
        if progress is True:
            progress = ProgressBar()
        if not callable(progress) or iscoroutinefunction(progress):
            raise UsageError(f"progress must be a plain function or True, not {progress!r}", argument="progress")
        self._progress = progress
        self._next = 0.0
        self._said: tuple[int, int | None] | None = None

    def report(self, done: int, total: int | None) -> None:
        """Say so, if it is time."""
        now = monotonic()
        if now >= self._next:
            self._next = now + EVERY
            self.tell(done, total)

    def tell(self, done: int, total: int | None) -> None:
        """Say so, unless that was the last that was said."""
        if self._said != (done, total):
            self._said = (done, total)
            self._progress(done, total)

    def close(self) -> None:
        """It is over: the bar ends."""
        self._said = None
        if isinstance(self._progress, ProgressBar):
            self._progress.close()
