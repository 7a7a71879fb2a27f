"""Servers that others made, run by a test: started, waited for by connecting, and ended by their process id.

with Daemon(["microsocks", "-p", str(port)], [port]): ...
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Daemon", "free_ports"]

START_LIMIT = 15.0


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


class Daemon:
    """One process in the foreground.  Entering waits until every port of it takes connections; what it says goes to `log`."""

    def __init__(self, command: Sequence[str], ports: Sequence[int], log: Path) -> None:
        self._command = command
        self._ports = ports
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Daemon:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + START_LIMIT
            for port in self._ports:
                self._wait_for(port, deadline)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait_for(self, port: int, deadline: float) -> None:
        assert self._process is not None
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    said = self._log.read_text("utf-8", "replace")[-2000:]
                    raise RuntimeError(f"{self._command[0]} did not start: {said}") from None
                time.sleep(0.01)

    def __exit__(self, *error: object) -> None:
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
