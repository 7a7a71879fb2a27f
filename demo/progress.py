"""A progress bar: tqdm's on a terminal where it is installed, else a plain one; a few lines where there is no terminal."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TextIO

__all__ = ["Counter", "show_progress"]

_WIDTH = 24
_LINES = 5  # how many lines stand for the bar where there is no terminal
_TURN = 0.05  # seconds between two looks at the counter


class Counter:
    """What the work counts up, and the bar looks at."""

    __slots__ = ("done", "total", "unit")

    def __init__(self, total: int, unit: str) -> None:
        self.done = 0
        self.total = total
        self.unit = unit  # "" for things, "B" for bytes


@asynccontextmanager
async def show_progress(title: str, total: int, unit: str = "", out: TextIO = sys.stderr) -> AsyncIterator[Counter]:
    """Show how far the counter has come, as long as the block runs."""
    counter = Counter(total, unit)
    bar: Bar | Tqdm = Bar(title, counter, out)
    if out.isatty():
        try:
            bar = Tqdm(title, counter, out)
        except ImportError:
            pass

    async def watch() -> None:
        while True:
            await asyncio.sleep(_TURN)
            bar.draw()

    watcher = asyncio.create_task(watch())
    try:
        yield counter
    finally:
        watcher.cancel()
        await asyncio.wait([watcher])
        bar.end()


class Tqdm:
    """tqdm's bar.  Raises `ImportError` where it is not installed."""

    def __init__(self, title: str, counter: Counter, out: TextIO) -> None:
        from tqdm import tqdm

        self._counter = counter
        self._bar = tqdm(
            total=counter.total,
            desc=f"  {title}",
            unit=counter.unit or " req",
            unit_scale=True,
            unit_divisor=1000,
            file=out,
            leave=True,
            ncols=100,
            nrows=20,  # or it is silent on a terminal that does not say how many it has
        )

    def draw(self) -> None:
        """Bring the bar up to date."""
        self._bar.update(self._counter.done - self._bar.n)

    def end(self) -> None:
        """Draw it for the last time."""
        self.draw()
        self._bar.close()


class Bar:
    """A plain bar: one line that is drawn over on a terminal, a few lines elsewhere."""

    def __init__(self, title: str, counter: Counter, out: TextIO) -> None:
        self._title = title
        self._counter = counter
        self._out = out
        self._began = time.monotonic()
        self._lines = -1

    def draw(self) -> None:
        """Bring the bar up to date."""
        if self._out.isatty():
            self._out.write(f"\r{self.text()}")
            self._out.flush()
        elif (lines := self._counter.done * _LINES // self._counter.total) > self._lines:
            self._lines = lines
            print(self.text(), file=self._out, flush=True)

    def end(self) -> None:
        """Draw it for the last time."""
        self.draw()
        if self._out.isatty():
            print(file=self._out)

    def text(self) -> str:
        """The bar as it is now."""
        counter = self._counter
        part = min(1.0, counter.done / counter.total)
        full = round(part * _WIDTH)
        rate = counter.done / max(time.monotonic() - self._began, 0.001)
        if counter.unit == "B":
            shown = f"{counter.done / 1e6:7,.0f} of {counter.total / 1e6:,.0f} MB  {rate / 1e6:7,.0f} MB/s"
        else:
            shown = f"{counter.done:7,} of {counter.total:,}  {rate:7,.0f}/s"
        return f"  {self._title:<32} [{'#' * full}{'.' * (_WIDTH - full)}] {part:4.0%} {shown}"
