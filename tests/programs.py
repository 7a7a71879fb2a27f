"""Programs in processes of their own, run by a test: what they say is collected, and they are ended by their process id.

with Program([sys.executable, "app.py"], folder) as program:
    url = program.url()          # of the line that says where it listens
    program.signal(signal.SIGTERM)
    assert program.wait() == 0
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Program", "python"]

LIMIT = 20.0

_running = re.compile(r"Running on (\S+?)[,\s]")


def python(*arguments: str) -> list[str]:
    """A command that runs this Python, with warnings as errors."""
    return [sys.executable, "-W", "error", *arguments]


class Program:
    """One process.  `said` is what it wrote so far, on either output."""

    def __init__(self, command: Sequence[str], folder: Path, **environment: str) -> None:
        self.said = ""
        self._news = threading.Condition()
        source = str(Path(__file__).resolve().parents[1] / "src")
        self.process = subprocess.Popen(
            list(command),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": source, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", **environment},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(5)
        assert self.process.stdout is not None
        if not self._reader.is_alive():
            self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while data := os.read(self.process.stdout.fileno(), 65536):
            with self._news:
                self.said += data.decode("utf-8", "replace")
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def wait_for(self, pattern: str, *, count: int = 1) -> re.Match[str]:
        """Wait until it has said something that fits, `count` times; the last of them."""
        deadline = time.monotonic() + LIMIT
        with self._news:
            while True:
                found = list(re.finditer(pattern, self.said))
                if len(found) >= count:
                    return found[count - 1]
                left = deadline - time.monotonic()
                if left <= 0 or (not self._reader.is_alive() and self.process.poll() is not None):
                    raise AssertionError(f"it never said {pattern!r}, but:\n{self.said[-4000:]}")
                self._news.wait(min(left, 0.2))

    def url(self) -> str:
        """Where it listens."""
        return self.wait_for(_running.pattern)[1]

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, limit: float = LIMIT) -> int:
        """Its exit code; all that it said is in `said` then."""
        code = self.process.wait(limit)
        self._reader.join(5)
        return code
