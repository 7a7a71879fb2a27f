"""One measurement of a server, which is a process on the servers' core; wrk asks from the clients' core.

First some thousand connections are opened, one after the other, each with one request: they warm the server up, and what it has
grown by, divided by their number, is what an idle connection holds.  When it has seen them off, wrk comes.
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
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, Any

from .cores import pin_to
from .limits import raise_open_files
from .nginx import free_ports
from .tree import open_files, processor_seconds, resident_size
from .workloads import Workload
from .wrk import find_wrk, load

__all__ = ["measure_server"]

_REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_FAREWELL = 2.0  # seconds that a server has to close what its clients have closed


def measure_server(
    name: str,
    workload: Workload,
    loop: str,
    seconds: float,
    limit: float,
    cores: tuple[int | None, int | None],
    environment: Mapping[str, str],
) -> dict[str, Any]:
    """The figures of `bench.run`, of a server in place of a client; `cores` are the servers' and the clients'.

    The server has `limit` seconds to begin and to meet its crowd; wrk takes as long as it takes.
    """
    wrk = find_wrk()
    if wrk is None:
        return {"failed": "not installed: wrk (Debian: wrk)"}
    raise_open_files()
    (port,) = free_ports(1)
    deadline = time.monotonic() + limit
    command = [sys.executable, "-m", "bench.served", name, workload.operation, loop, str(port)]
    with tempfile.TemporaryFile() as said:
        try:
            with _running(command, said, cores[0], environment) as process:
                if _is_listening(process, port, deadline):
                    return _measure(process, port, workload, seconds, deadline, cores[1], wrk)
        except (TimeoutError, subprocess.TimeoutExpired):
            return {"failed": f"no result within {limit:.0f} s"}
        except (OSError, ValueError) as error:
            return {"failed": f"{type(error).__name__}: {error}"[:300]}
        return {"failed": _reason(process, said)}


@contextmanager
def _running(
    command: list[str], said: IO[bytes], core: int | None, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended with all that it has started: its group is made with it, and holds nobody else."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=said,
        stderr=said,
        env=dict(environment),
        preexec_fn=pin_to(core),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(2)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)
        assert process.stdin is not None
        process.stdin.close()


def _measure(
    process: subprocess.Popen[bytes],
    port: int,
    workload: Workload,
    seconds: float,
    deadline: float,
    core: int | None,
    wrk: str,
) -> dict[str, Any]:
    result = _crowd(process.pid, port, workload.idle, deadline)
    cpu = processor_seconds(process.pid)
    told = load(wrk, f"http://127.0.0.1:{port}/", seconds, workload.connections, core)
    used = processor_seconds(process.pid) - cpu
    if process.poll() is not None:
        return {"failed": f"ended by itself, exit status {process.returncode}"}
    if not told.requests:
        return {"failed": next(iter(told.errors), "no request was answered")}
    return result | {
        "cpu": used,
        "seconds": told.seconds,
        "requests": told.requests,
        "errors": told.errors,
        "rss": resident_size(process.pid),
    }


def _is_listening(process: subprocess.Popen[bytes], port: int, deadline: float) -> bool:
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with _connect(port, deadline) as connection:
                _ask(connection)
            return True
        except TimeoutError:
            break
        except OSError:
            time.sleep(0.02)
    return False


def _connect(port: int, deadline: float) -> socket.socket:
    """A connection on which every step may take the time that is left."""
    return socket.create_connection(("127.0.0.1", port), max(0.1, deadline - time.monotonic()))


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


def _crowd(server: int, port: int, number: int, deadline: float) -> dict[str, Any]:
    """Open so many connections, see what each takes, and wait until the server has closed them like the clients."""
    with ExitStack() as stack:
        first = stack.enter_context(_connect(port, deadline))
        _ask(first)
        files, before = open_files(server), _size(server, first)
        for _ in range(number):
            if time.monotonic() > deadline:
                raise TimeoutError
            _ask(stack.enter_context(_connect(port, deadline)))
        grown = _size(server, first) - before
    farewell = time.monotonic() + _FAREWELL  # what it does now must not be counted with what comes next
    while open_files(server) > files and time.monotonic() < farewell:
        time.sleep(0.01)
    return {"open": number, "per_idle": grown / max(1, number)}


def _size(server: int, connection: socket.socket) -> int:
    """What it holds without garbage: it has collected that when it answers the next request, unless a child of it serves."""
    os.kill(server, signal.SIGUSR1)
    _ask(connection)
    return resident_size(server)


def _reason(process: subprocess.Popen[bytes], said: IO[bytes]) -> str:
    """Why it does not listen, now that it has ended."""
    said.seek(0)
    lines = said.read().decode("utf-8", "replace").strip().splitlines()
    last = lines[-1] if lines else f"exit status {process.returncode}"
    try:
        return str(json.loads(last)["failed"])
    except (KeyError, TypeError, ValueError):
        return f"does not listen: {last}"[:300]
