"""One measurement of a server, which is a process on the servers' core; wrk asks from the clients' core.

First some thousand connections are opened, one after the other, each with one request: they warm the server up, and what it has
grown by, divided by their number, is what an idle connection holds.  Then they are closed, and wrk comes.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import IO, Any

from .cores import pin_to
from .limits import raise_open_files
from .nginx import free_ports
from .tree import processor_seconds, resident_size
from .workloads import Workload
from .wrk import find_wrk, load

__all__ = ["measure_server"]

_START = 20.0  # seconds that a server has to begin to listen
_REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def measure_server(
    name: str,
    workload: Workload,
    loop: str,
    seconds: float,
    cores: tuple[int | None, int | None],
    environment: Mapping[str, str],
) -> dict[str, Any]:
    """The figures of `bench.run`, of a server in place of a client; `cores` are the servers' and the clients'."""
    wrk = find_wrk()
    if wrk is None:
        return {"failed": "not installed: wrk"}
    raise_open_files()
    (port,) = free_ports(1)
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.served", name, workload.operation, loop, str(port)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=dict(environment),
            preexec_fn=pin_to(cores[0]),
            start_new_session=True,
        )
        try:
            if not _is_listening(process, port):
                return {"failed": _reason(process, said)}
            return _measure(process, port, workload, seconds, cores[1], wrk)
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            return {"failed": f"{type(error).__name__}: {error}"[:300]}
        finally:
            _stop(process)


def _measure(
    process: subprocess.Popen[bytes], port: int, workload: Workload, seconds: float, core: int | None, wrk: str
) -> dict[str, Any]:
    result = _crowd(process.pid, port, workload.idle)
    cpu = processor_seconds(process.pid)
    told = load(wrk, f"http://127.0.0.1:{port}/", seconds, workload.connections, core)
    if not told.requests:
        return {"failed": next(iter(told.errors), "no request was answered")}
    return result | {
        "cpu": processor_seconds(process.pid) - cpu,
        "seconds": told.seconds,
        "requests": told.requests,
        "errors": told.errors,
        "rss": resident_size(process.pid),
    }


def _is_listening(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + _START
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                _ask(connection)
            return True
        except OSError:
            time.sleep(0.02)
    return False


def _ask(connection: socket.socket) -> None:
    connection.sendall(_REQUEST)
    answer = b""
    while b"\r\n\r\n" not in answer or not answer.endswith(b"Hello, World"):
        piece = connection.recv(4096)
        if not piece:
            raise ConnectionError("the server has closed the connection")
        answer += piece
    if not answer.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(f"the server says {answer[:40]!r}")


def _crowd(server: int, port: int, number: int) -> dict[str, Any]:
    """Open so many connections, and see what each takes."""
    before = resident_size(server)
    connections = []
    try:
        for _ in range(number):
            connection = socket.create_connection(("127.0.0.1", port), 5)
            connections.append(connection)
            _ask(connection)
        return {"open": number, "per_idle": (resident_size(server) - before) / max(1, number)}
    finally:
        for connection in connections:
            connection.close()


def _reason(process: subprocess.Popen[bytes], said: IO[bytes]) -> str:
    """Why it does not listen."""
    _stop(process)
    said.seek(0)
    lines = said.read().decode("utf-8", "replace").strip().splitlines()
    last = lines[-1] if lines else f"exit status {process.returncode}"
    try:
        return str(json.loads(last)["failed"])
    except (KeyError, TypeError, ValueError):
        return f"does not listen: {last}"[:300]


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End it, and what it has started: its group was made with it, and holds nobody else."""
    process.terminate()
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait(5)
