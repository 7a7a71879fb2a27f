"""Ten thousand idle connections, a thousand WebSockets and a hundred event streams at once, and then SIGTERM.

Nobody is lost: each idle connection is closed in order, each WebSocket is told 1001, each event stream comes to its end, and the
server, a process of its own, ends within its grace with exit code 0 and without a word.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crowd_program import GRACE
from raw_peer import require, run

PROGRAM = Path(__file__).with_name("crowd_program.py")
IDLE, SOCKETS, STREAMS = 10_000, 1_000, 100
AT_ONCE = 200  # that come together: more would be a test of the kernel's queue

GET = b"GET %b HTTP/1.1\r\nHost: crowd\r\n\r\n"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: crowd\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
GOING_AWAY = re.compile(rb"\x88[\x02-\x7d]\x03\xe9[ -~]*").fullmatch
FAREWELL = b"\x88\x82\x00\x00\x00\x00\x03\xe9"  # the same of a client: under a mask that changes nothing


class Guest(asyncio.Protocol):
    """A client that asks once, and then only listens."""

    def __init__(self, request: bytes, ending: bytes) -> None:
        loop = asyncio.get_running_loop()
        self.request = request
        self.ending = ending  # of what the server says at once
        self.said = b""
        self.later = b""
        self.served = loop.create_future()
        self.gone = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if self.served.done():
            self.later += data
            if self.request is UPGRADE and GOING_AWAY(self.later):
                self.transport.write(FAREWELL)
            return
        self.said += data
        if self.said.endswith(self.ending):
            self.served.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.served.done():
            self.served.set_exception(error or ConnectionError(f"closed behind {self.said!r}"))
        self.gone.set_result(error)


async def invite(number: int, address: tuple[str, int], request: bytes, ending: bytes) -> list[Guest]:
    guests: list[Guest] = []
    loop = asyncio.get_running_loop()
    while len(guests) < number:
        some = range(min(AT_ONCE, number - len(guests)))
        came = await asyncio.gather(*[loop.create_connection(lambda: Guest(request, ending), *address) for _ in some])
        guests.extend(guest for _, guest in came)
        await asyncio.gather(*[guest.served for _, guest in came])
    return guests


def resident(process: int) -> int:
    """Bytes."""
    return int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def lacking() -> Iterator[int]:
    """How many files a process may have open is raised, here and for the server; what is still lacking is given back."""
    wanted = IDLE + SOCKETS + STREAMS + 500
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    yield wanted - allowed
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.timeout(120)
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize(("kind", "share"), [("asyncio", 1), ("uvloop", 10)])
def test_a_crowd_is_sent_home(kind: str, share: int, lacking: int) -> None:
    """All of it on asyncio, the slower of the two, and a tenth on uvloop."""
    number = min(IDLE // share, IDLE - lacking)
    if number < 1000:
        pytest.skip(f"no process may open more than {IDLE + SOCKETS + STREAMS + 500 - lacking} files here")
    command = [sys.executable, "-X", "dev", "-W", "error", str(PROGRAM), kind]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    async def main() -> None:
        address = tuple(json.loads(process.stdout.readline())[0])  # type: ignore[union-attr]
        (first,) = await invite(1, address, GET % b"/", b"hello")
        empty = resident(process.pid)
        idle = await invite(number, address, GET % b"/", b"hello")
        each = (resident(process.pid) - empty) / len(idle)
        require(each < 8 * 1024, each)
        sockets = await invite(SOCKETS // share, address, UPGRADE, b"\r\n\r\n")
        streams = await invite(STREAMS // share, address, GET % b"/events", b"data: first\n\n\r\n")
        require(not any(guest.gone.done() for guest in [first, *idle, *sockets, *streams]))

        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        ends = await asyncio.gather(*[guest.gone for guest in [first, *idle, *sockets, *streams]])
        require(set(ends) == {None}, {type(end) for end in ends})
        require({guest.later for guest in [first, *idle]} == {b""})
        require(all(GOING_AWAY(guest.later) for guest in sockets), {guest.later for guest in sockets})
        require({guest.later for guest in streams} == {b"0\r\n\r\n"})
        while process.poll() is None:
            require(time.monotonic() - began < GRACE)
            await asyncio.sleep(0.01)

    try:
        run(main, limit=100, kind="uvloop")
        assert process.wait(1) == 0
        assert process.communicate(timeout=5) == ("", "")
    finally:
        process.kill()
        process.communicate()
    if number < IDLE // share:
        pytest.skip(f"all went well, but with {number} idle connections: no process may open more files here")
