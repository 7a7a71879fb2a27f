"""A peer that does exactly what a script says: bytes, pauses, half-closes, resets; and the frame that tests of faults run in.

    async def script(link):
        await link.request()
        await link.send(b"HTTP/1.1 200 OK\r\n")
        link.reset()

    async with Peer(script) as peer:
        await client.get(peer.url("/"))

One `Link` is one accepted connection.  Everything that goes wrong in a script fails the test, but for the client leaving.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import struct
import sys
from pathlib import Path

__all__ = ["OK", "Link", "Peer", "answer", "cancelled_after", "check_settled", "chunked", "resident", "run", "sockets"]


def answer(body=b"", *fields, status=b"200 OK"):
    """A response with a Content-Length."""
    head = b"".join(b"%b\r\n" % field for field in (b"Content-Length: %d" % len(body), *fields))
    return b"HTTP/1.1 %b\r\n%b\r\n%b" % (status, head, body)


def chunked(*pieces, fields=b""):
    """A response in chunks."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (fields, body)


OK = answer(b"fine")


class Link:
    """One connection, from the peer's side."""

    def __init__(self, peer, reader, writer, number):
        self.peer = peer
        self.reader = reader
        self.writer = writer
        self.number = number  # 0 for the first connection of the peer
        self.head = b""

    async def request(self):
        """The next request, head and body; the path is given back, "" if the client has left."""
        path = await self.request_head()
        if not path:
            return ""
        lower = self.head.lower()
        if b"transfer-encoding: chunked" in lower:
            while size := int(await self.reader.readuntil(b"\n"), 16):
                await self.reader.readexactly(size + 2)
            await self.reader.readuntil(b"\n")
        else:
            left = self.length
            while left:
                left -= len(await self.reader.readexactly(min(left, 65536)))
        return path

    @property
    def length(self):
        """The Content-Length of the request, 0 if it has none."""
        return int(self.head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)

    async def request_head(self):
        """The head of the next request; its path is given back, "" if the client has left."""
        try:
            self.head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            return ""
        self.peer.requests.append(self.head.split(b" ", 2)[:2])
        return self.head.split(b" ", 2)[1].decode()

    async def send(self, data):
        """All of `data`, as fast as the client takes it."""
        self.writer.write(data)
        await self.writer.drain()

    async def drip(self, data, size=1):
        """`data` in pieces that arrive one by one."""
        for at in range(0, len(data), size):
            await self.send(data[at : at + size])
            await asyncio.sleep(0)

    def finish(self):
        """Half-close: nothing more will be sent, reading goes on."""
        self.writer.write_eof()

    def reset(self):
        """Send RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def gone(self):
        """Wait until the client has closed; gives back what it sent before."""
        parts = []
        with contextlib.suppress(ConnectionError):
            while data := await self.reader.read(65536):
                parts.append(data)
        return b"".join(parts)


class Peer:
    """A listening socket on loopback, and the script for each of its connections."""

    def __init__(self, script, *, ssl=None, limit=65536):
        self._script = script
        self._ssl = ssl
        self._limit = limit
        self._tasks = set()
        self.errors = []
        self.accepted = 0
        self.requests = []  # [method, target] of every request

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._ssl, limit=self._limit)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def url(self, path="/"):
        return f"http{'s' if self._ssl else ''}://127.0.0.1:{self.port}{path}"

    @property
    def name(self):
        return f"127.0.0.1:{self.port}"

    def _accept(self, reader, writer):
        link = Link(self, reader, writer, self.accepted)
        self.accepted += 1
        task = asyncio.create_task(self._run(link))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, link):
        try:
            await self._script(link)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left, as most of these tests want it to
        except Exception as error:
            self.errors.append(error)
        finally:
            link.writer.close()
            with contextlib.suppress(ConnectionError, OSError):
                await link.writer.wait_closed()

    async def __aexit__(self, kind, error, traceback):
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()
        if self.errors and kind is None:
            raise self.errors[0]


def sockets():
    """How many sockets this process has open."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            count += str(entry.readlink()).startswith("socket:")
    return count


def require(condition, *facts):
    """An assertion that `python -O` does not remove."""
    if not condition:
        raise AssertionError(*facts)


def resident():
    """Bytes of memory in use."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run(main, *, limit=20, kind="asyncio"):
    """Run the coroutine function `main`: no error may reach the loop's exception handler, no socket may stay open."""
    if kind == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    else:
        factory = asyncio.new_event_loop
    reports = []
    unraisable = []
    before = sockets()

    def report(loop, context):
        if "incoming connection" not in context["message"]:  # the peer's side of a handshake that was broken off
            reports.append(context)

    async def framed():
        asyncio.get_running_loop().set_exception_handler(report)
        async with asyncio.timeout(limit):
            await main()

    hook, sys.unraisablehook = sys.unraisablehook, lambda event: unraisable.append((event.exc_value, event.object))
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(framed())
            gc.collect()
    finally:
        sys.unraisablehook = hook
    require(not reports, reports)
    require(not unraisable, unraisable)
    require(sockets() == before, "sockets", before, sockets())


def check_settled(client):
    """Nothing is in use, nobody waits, and the books of the pool balance."""
    pool = client.connector.peek()
    require((pool.in_use, pool.waiting, pool._reserved) == (0, 0, 0), pool)
    require(sum(pool._taken.values()) == len(pool.connections), pool._taken)
    require(sum(map(len, pool._idle.values())) == len(pool.connections), pool._idle)
    require(not pool._queues, pool._queues)


async def cancelled_after(turns, work):
    """The task of the coroutine `work`, cancelled after so many turns of the loop, unless it has ended; it may not raise."""
    task = asyncio.create_task(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return task
