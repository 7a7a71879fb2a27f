"""A server as processes: signals, workers that die, and that no request is lost when it ends.

Each program is `served_program.py`, started here and ended by its number.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server_wire import GET, read_responses
from wirebird.errors import UsageError
from wirebird.server.door import shut_door
from wirebird.server.runner import Place, serve

PROGRAM = Path(__file__).with_name("served_program.py")
KINDS = [(1, "asyncio"), (1, "uvloop"), (2, "asyncio"), (2, "uvloop")]


class Program:
    """The process, its address, and what it said."""

    def __init__(self, workers: int, loop: str, grace: float = 5.0, path: str = "", **env: str) -> None:
        arguments = [sys.executable, str(PROGRAM), str(workers), str(grace), loop, *([path] if path else [])]
        self.process = subprocess.Popen(
            arguments,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **env},
            start_new_session=True,
            pass_fds=[int(path)] if path.isdigit() else [],
        )
        try:
            line = self.process.stdout.readline()  # type: ignore[union-attr]
        except BaseException:  # the test took too long: nobody else knows this process
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()
            raise
        self.address: Any = json.loads(line)[0] if line else None
        self.out = self.err = ""

    def connect(self) -> socket.socket:
        if isinstance(self.address, str):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(self.address)
        else:
            sock = socket.create_connection(tuple(self.address))
        sock.settimeout(10)
        return sock

    def ask(self, path: bytes = b"/", sock: socket.socket | None = None) -> bytes:
        """The body of an answer, on a connection of its own or on `sock`."""
        with contextlib.ExitStack() as stack:
            if sock is None:
                sock = stack.enter_context(self.connect())
            sock.sendall(GET.replace(b" / ", b" %b " % path))
            return answer(sock)[1]

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def signal_group(self, number: int) -> None:
        os.killpg(self.process.pid, number)

    def end(self, limit: float = 10) -> int:
        """Its exit code, when it has ended by itself."""
        self.out, self.err = self.process.communicate(timeout=limit)
        return self.process.returncode


def answer(sock: socket.socket) -> tuple[int, bytes]:
    """Status and body of an answer; 0 if there is none at all.  Half an answer is an error."""
    data = b""
    while True:
        head, found, body = data.partition(b"\r\n\r\n")
        if found:
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            if len(body) == length:
                (response,) = read_responses(data)
                return response.status, response.body
        part = sock.recv(65536)
        if not part:
            if data:
                raise AssertionError(f"half an answer: {data!r}")
            return 0, b""
        data += part


@pytest.fixture
def start() -> Iterator[Any]:
    programs: list[Program] = []

    def begin(*arguments: Any, **more: Any) -> Program:
        programs.append(Program(*arguments, **more))
        return programs[-1]

    yield begin
    for program in programs:
        if program.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.process.pid, signal.SIGKILL)
            program.process.communicate()


@pytest.mark.parametrize(
    ("workers", "loop", "number"),
    [(1, "asyncio", signal.SIGTERM), (1, "uvloop", signal.SIGINT), (2, "asyncio", signal.SIGINT), (2, "uvloop", signal.SIGTERM)],
)
def test_a_signal_ends_it_in_good_order(workers: int, loop: str, number: int, start: Any) -> None:
    program = start(workers, loop)
    pids = {program.ask() for _ in range(20)}
    assert (program.process.pid in map(int, pids)) == (workers == 1) and len(pids) <= workers
    idle, busy, socket_of_its_own = program.connect(), program.connect(), program.connect()
    with idle, busy, socket_of_its_own:
        program.ask(sock=idle)
        socket_of_its_own.sendall(GET.replace(b" / ", b" /ws "))
        assert socket_of_its_own.recv(1000).startswith(b"HTTP/1.1 101 ")
        busy.sendall(GET.replace(b" / ", b" /slow "))
        time.sleep(0.03)  # it has arrived, most likely; if not, it is served all the same
        # From a terminal, and from many service managers, a signal comes to all processes of the group.
        program.signal_group(number)
        assert answer(busy)[0] == 200
        busy.close()
        assert idle.recv(100) == b""
        assert socket_of_its_own.recv(100) == b"\x88\x1a\x03\xe9" + b"the server is going away"
        socket_of_its_own.sendall(b"\x88\x82\0\0\0\0\x03\xe9")
        assert program.end() == 0
    assert program.out.count("shut down") == workers
    assert not program.err, program.err


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_ends_it_at_once(workers: int, start: Any) -> None:
    program = start(workers, "asyncio", grace=60.0)
    with program.connect() as sock:
        sock.sendall(GET.replace(b" / ", b" /stuck "))
        time.sleep(0.1)
        program.signal()
        time.sleep(0.2)
        assert program.process.poll() is None
        began = time.monotonic()
        program.signal()
        assert program.end() == 0
        assert time.monotonic() - began < 5
        with contextlib.suppress(ConnectionError):
            assert sock.recv(100) == b""
    assert program.out.count("shut down") == workers


@pytest.mark.parametrize("workers", [1, 2])
def test_what_takes_longer_than_the_grace(workers: int, start: Any) -> None:
    program = start(workers, "asyncio", grace=0.2)
    with program.connect() as sock:
        sock.sendall(GET.replace(b" / ", b" /stuck "))
        time.sleep(0.1)
        began = time.monotonic()
        program.signal()
        assert program.end() == 0
        assert time.monotonic() - began < 5


def test_a_worker_that_dies_is_replaced(start: Any) -> None:
    program = start(2, "asyncio")
    before = {int(program.ask()) for _ in range(30)}
    with program.connect() as sock, contextlib.suppress(ConnectionError):
        sock.sendall(GET.replace(b" / ", b" /die "))
        assert sock.recv(100) == b""
    # Nobody notices: what the one cannot accept is accepted by another.
    assert all(program.ask() for _ in range(20))
    if len(before) == 1:
        with contextlib.suppress(ProcessLookupError):  # it may be the one that has died
            os.kill(next(iter(before)), signal.SIGKILL)
    deadline = time.monotonic() + 5
    while not {int(program.ask()) for _ in range(20)} - before:
        assert time.monotonic() < deadline
    program.signal()
    assert program.end() == 0
    assert "has died (exit code 3), and is replaced" in program.err


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_worker_that_is_told_to_end_by_others_is_replaced(start: Any) -> None:
    program = start(2, "asyncio")
    children = Path(f"/proc/{program.process.pid}/task/{program.process.pid}/children")
    first, second = children.read_text("ascii").split()
    os.kill(int(first), signal.SIGTERM)
    while first in (now := children.read_text("ascii").split()) or len(now) < 2:
        time.sleep(0.01)
    assert second in now
    assert program.ask().decode() in now
    program.signal()
    assert program.end() == 0
    assert program.err.count("has ended without being asked by this process, and is replaced") == 1


def test_a_worker_that_cannot_be_replaced_at_once(start: Any) -> None:
    """There are too many processes: those that there are serve on, and it is tried again."""
    program = start(2, "asyncio", WIREBIRD_TEST_NO_FORK="1")
    with program.connect() as sock, contextlib.suppress(ConnectionError):
        sock.sendall(GET.replace(b" / ", b" /die "))
        assert sock.recv(100) == b""
    deadline = time.monotonic() + 5
    while len({program.ask() for _ in range(20)}) < 2:
        assert time.monotonic() < deadline
    program.signal()
    assert program.end() == 0
    assert program.err.count("cannot be replaced yet: no more processes") == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_what_does_not_start(workers: int, start: Any) -> None:
    program = start(workers, "asyncio", WIREBIRD_TEST_FAIL="1")
    assert program.end() == 1
    assert "it does not start" in program.err and program.address is None


def test_a_signal_that_reaches_a_worker_when_it_comes_into_being(start: Any) -> None:
    """As from a terminal: it is for the parent, which gets it too, and not once more for each worker."""
    program = start(2, "asyncio", WIREBIRD_TEST_FORK="1")
    assert program.ask()
    program.signal()
    assert program.end() == 0
    assert program.out.count("shut down") == 2 and not program.err, program.err


def test_workers_end_with_their_parent(start: Any) -> None:
    program = start(2, "asyncio")
    workers = {int(program.ask()) for _ in range(30)}
    program.signal(signal.SIGKILL)
    program.process.communicate()
    deadline = time.monotonic() + 5
    for pid in workers:
        while Path(f"/proc/{pid}").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.parametrize(("workers", "loop"), KINDS)
def test_a_unix_socket(workers: int, loop: str, start: Any, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    left_behind = socket.socket(socket.AF_UNIX)
    left_behind.bind(str(path))
    left_behind.close()  # as by a process that was killed
    program = start(workers, loop, path=str(path))
    assert program.ask()
    program.signal()
    assert program.end() == 0
    assert not path.exists() and not program.err, program.err


def test_the_path_of_the_next_is_left_alone(start: Any, tmp_path: Path) -> None:
    """One listens where another did, which still has a request to answer."""
    path = str(tmp_path / "socket")
    first = start(1, "asyncio", path=path)
    with first.connect() as busy:
        busy.sendall(GET.replace(b" / ", b" /stuck "))
        first.ask()
        first.signal()
        deadline = time.monotonic() + 5
        while Path(path).exists():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        second = start(1, "asyncio", path=path)
        first.signal()
        assert first.end() == 0
        assert second.ask() == b"%d" % second.process.pid
    second.signal()
    assert second.end() == 0 and not Path(path).exists()


def test_a_unix_socket_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as other, contextlib.ExitStack() as waiting:
        other.bind(str(path))
        other.listen(0)
        for _ in range(3):  # more than its queue takes
            client = waiting.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            client.connect_ex(str(path))
        with pytest.raises(OSError):
            Place(path=path).bind()
        assert path.is_socket()


def test_a_start_that_cannot_be_told_leaves_nothing_behind(tmp_path: Path) -> None:
    """Whoever was to read where it listens has gone."""
    path = tmp_path / "socket"
    arguments = [sys.executable, str(PROGRAM), "2", "5", "asyncio", str(path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()  # type: ignore[union-attr]
        _, said = process.communicate(timeout=20)
    assert process.returncode == 1 and "BrokenPipeError" in said
    assert not path.exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_socket_that_was_lent_is_given_back_as_it_was(workers: int, start: Any) -> None:
    """As by a service manager, which gives it to the next process."""
    with socket.socket() as lent:
        lent.bind(("127.0.0.1", 0))
        for _ in range(2):
            program = start(workers, "asyncio", path=str(lent.fileno()))
            assert program.ask()
            program.signal()
            assert program.end() == 0
        with socket.create_connection(lent.getsockname(), timeout=0.5):
            pass  # for the one after those


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_ends_a_start_too(workers: int, start: Any) -> None:
    program = start(workers, "asyncio", grace=60.0, WIREBIRD_TEST_HANG="1")
    program.signal()
    time.sleep(0.1)
    assert program.process.poll() is None
    program.signal()
    assert program.end() == 0


@pytest.mark.parametrize(("workers", "loop"), KINDS)
def test_no_request_is_lost_at_the_end(workers: int, loop: str, start: Any) -> None:
    """`kill -TERM` under load: whoever was connected, and had not been told that this was all, gets an answer."""
    program = start(workers, loop)
    faults: list[str] = []
    counts = [0] * 8

    def client(number: int) -> None:
        keeps = number % 2
        try:
            while True:
                try:
                    sock = program.connect()
                except OSError:
                    return  # nobody listens any more
                with sock:
                    for asked in range(20 if keeps else 1):
                        try:
                            sock.sendall(GET.replace(b" / ", b" /slow " if number == 7 else b" / "))
                            status, _ = answer(sock)
                        except ConnectionError:
                            status = 0
                        if not status:
                            if not asked:
                                faults.append(f"client {number} got no answer")
                            break  # an idle connection may be closed at any time (RFC 9112 9.3.1)
                        counts[number] += 1
        except Exception as error:
            faults.append(f"client {number}: {error!r}")

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.4)
    program.signal()
    for thread in threads:
        thread.join(10)
    assert program.end() == 0
    assert not faults, faults
    assert all(counts), counts
    assert not program.err, program.err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no packet filter")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_door_that_is_shut_keeps_newcomers_away_and_throws_nobody_out(family: int) -> None:
    with socket.socket(family) as door:
        door.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        door.listen()
        with socket.create_connection(door.getsockname()[:2]) as inside:
            inside.sendall(b"early")
            assert shut_door(door)
            with pytest.raises(TimeoutError):
                socket.create_connection(door.getsockname()[:2], timeout=0.05)
            accepted, _ = door.accept()
            with accepted:
                inside.sendall(b" and late")
                inside.shutdown(socket.SHUT_WR)
                data = b""
                while part := accepted.recv(100):
                    data += part
                assert data == b"early and late"


def test_places() -> None:
    (sock,) = Place().bind()
    with sock:
        host, port = sock.getsockname()
        assert host == "127.0.0.1" and port
        with pytest.raises(OSError):
            Place(port=port).bind()
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(one) for one in Place(host="").bind()]
        assert len({one.getsockname()[1] for one in opened}) == 1
        shared = [stack.enter_context(one) for one in Place(reuse_port=True).bind()]
        stack.enter_context(Place(port=shared[0].getsockname()[1], reuse_port=True).bind()[0])


@pytest.mark.parametrize(
    ("arguments", "named"), [({"workers": 0}, "workers"), ({"grace": -1}, "grace"), ({"grace": "1"}, "grace")]
)
def test_mistakes(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError) as caught:
        serve(lambda: None, **arguments)  # type: ignore[arg-type,return-value]
    assert caught.value.argument == named


def test_a_port_that_is_taken_is_told_at_once() -> None:
    (sock,) = Place().bind()
    with sock, pytest.raises(OSError):
        serve(lambda: None, [Place(port=sock.getsockname()[1])])  # type: ignore[arg-type,return-value]
