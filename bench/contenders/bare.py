"""The yardstick: no library at all, the least that Python can do on this loop.

A `BufferedProtocol` sends fixed request bytes, counts the bytes of the answer, whose length it has learnt from the first one, and
writes the next request from `buffer_updated`.  It parses nothing, checks nothing and can fail to notice anything: no client can
reach it, and the distance to it is the price of being one.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import urlsplit

from ..phase import Phase, gather_in_bursts
from ..workloads import LARGE, Workload
from .pieces import pieces

__all__ = ["Bare"]


class Counting(asyncio.BufferedProtocol):
    """Requests without callers; every connection receives into the same buffer."""

    __slots__ = ("count", "done", "got", "head", "phase", "request", "size", "transport")

    buffer = memoryview(bytearray(256 * 1024))

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.size = 0  # of an answer, head and body; 0 until the first one has been read
        self.got = 0
        self.count = 0
        self.phase: Phase | None = None
        self.head = b""  # what has come of the first answer
        self.done: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))

    def start(self, phase: Phase) -> asyncio.Future[None]:
        """Ask until the phase is over."""
        self.phase = phase
        self.done = asyncio.get_running_loop().create_future()
        self.ask()
        return self.done

    def ask(self) -> None:
        self.transport.write(self.request)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, count: int) -> None:
        self.got += count
        if self.got >= self.size:
            if not self.size:
                self.learn(count)
                if self.got < self.size or not self.size:
                    return
            self.got = 0
            self.count += 1
            if self.phase.over:  # type: ignore[union-attr]
                self.done.set_result(None)  # type: ignore[union-attr]
            else:
                self.ask()

    def learn(self, count: int) -> None:
        """Find out how long an answer is, from the first."""
        self.head += bytes(self.get_buffer(0)[:count]) if not isinstance(self, Filling) else bytes(self.whole[: self.got])
        head, found, _ = self.head.partition(b"\r\n\r\n")
        if found:
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    self.size = len(head) + 4 + int(line[15:])
                    self.head = b""


class Filling(Counting):
    """A large answer, received straight into its place in one buffer that is used again and again."""

    __slots__ = ("whole",)

    def __init__(self, request: bytes) -> None:
        super().__init__(request)
        self.whole = memoryview(bytearray(LARGE + 16384))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.whole[self.got :]


class Uploading(Counting):
    """A file, read and written piece by piece, no faster than the peer takes it."""

    __slots__ = ("path", "paused", "source")

    def __init__(self, request: bytes, path: str) -> None:
        super().__init__(request)
        self.path = path
        self.paused = False
        self.source: Iterator[bytes] = iter(())

    def ask(self) -> None:
        self.source = pieces(self.path)
        self.transport.write(self.request)
        self.resume_writing()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        while not self.paused and (piece := next(self.source, None)) is not None:
            self.transport.write(piece)


class Bare:
    """All connections of one workload."""

    def __init__(self, workload: Workload, url: str, authority: str | None, upload: str) -> None:
        self.workload = workload
        self.url = urlsplit(url)
        self.context = ssl.create_default_context(cafile=authority) if self.url.scheme == "https" else None
        self.upload = upload
        self.active: list[Counting] = []
        self.idle: list[Counting] = []

    def request(self, path: str) -> bytes:
        workload = self.workload
        head = f"Host: {self.url.netloc}\r\nAccept: */*\r\nUser-Agent: bare\r\n"
        if workload.operation == "post_json":
            body = json.dumps(workload.expected).encode()
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body
        if workload.operation == "upload":
            return f"POST {path} HTTP/1.1\r\n{head}Content-Length: {workload.expected}\r\n\r\n".encode()
        return f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()

    def build(self) -> Counting:
        request = self.request(self.url.path)
        if self.workload.operation == "upload":
            return Uploading(request, self.upload)
        return Filling(request) if self.workload.target == "1mb" else Counting(request)

    async def connect(self) -> Counting:
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(self.build, self.url.hostname or "", self.url.port or 0, ssl=self.context)
        return protocol

    async def hold(self, request: bytes) -> Counting:
        """Open a connection and ask once for what is answered when all connections ask."""
        connection = await self.connect()
        usual, connection.request = connection.request, request
        phase = Phase()
        phase.over = True
        await connection.start(phase)
        connection.request = usual
        return connection

    async def fill(self) -> None:
        """Open all connections at once, in the way that the callers of a client do."""
        wanted = self.workload.connections
        request = self.request(f"/hold/{wanted}")
        opened = await gather_in_bursts(wanted, lambda: self.hold(request))
        self.active = opened[: self.workload.callers]
        self.idle = opened[self.workload.callers :]

    async def turn(self, seconds: float) -> tuple[int, dict[str, int]]:
        """Ask for `seconds`; return the number of answers, and no errors: there is nobody to find them."""
        while len(self.active) < self.workload.callers:
            self.active.append(await self.connect())
        before = sum(connection.count for connection in self.active)
        phase = Phase()
        waits: list[Any] = [connection.start(phase) for connection in self.active]
        phase.end_in(seconds)
        await asyncio.gather(*waits)
        return sum(connection.count for connection in self.active) - before, {}
