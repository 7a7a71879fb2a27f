"""The embedded server: `python -m bench.server`, a bare `asyncio.BufferedProtocol` that knows a handful of paths.

It echoes, swallows uploads and holds connections open, as nginx cannot, and serves every other workload where there is no nginx.
It is no HTTP server: it trusts its clients, which are the contenders, and remembers the heads that it has seen.  It prints one
JSON line with its ports, and ends when its standard input does, so that it cannot outlive the process that started it.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import threading
from typing import cast

from .frames import handshake
from .limits import raise_open_files
from .loops import new_loop
from .workloads import EVENT_BLOCK, EVENTS, HUGE, LARGE, SMALL_BODY, event

__all__ = ["main"]

_BUFFER = memoryview(bytearray(256 * 1024))
_ZEROS = bytes(LARGE)
_FIXED = b"".join(
    (
        b"HTTP/1.1 200 OK\r\nServer: embedded\r\nDate: Mon, 02 Nov 2026 10:00:00 GMT\r\nContent-Type: application/json\r\n",
        b"Content-Length: %d\r\nConnection: keep-alive\r\n",
        b"Cache-Control: no-cache\r\nVary: Accept-Encoding\r\nX-Frame-Options: DENY\r\nX-Content-Type-Options: nosniff\r\n\r\n",
    )
)
_VARYING = _FIXED[:-2] + b'X-Request-Id: %032x\r\nETag: "%032x"\r\nX-Trace: %032x\r\n\r\n'
_SMALL = _FIXED % len(SMALL_BODY) + SMALL_BODY
_STREAM = b"".join(
    (
        b"HTTP/1.1 200 OK\r\nServer: embedded\r\nDate: Mon, 02 Nov 2026 10:00:00 GMT\r\nConnection: keep-alive\r\n",
        b"Content-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n",
    )
)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_EVENTS = b"".join([chunk(event(number)) for number in range(EVENT_BLOCK)])
_LAST_EVENTS = b"".join([chunk(event(number)) for number in range(EVENT_BLOCK - 1)]) + chunk(b"data: [DONE]\n\n") + chunk(b"")
_QUIET = 3.0  # seconds without a newcomer after which the held answers are given anyway


class Exchange(asyncio.BufferedProtocol):
    """One connection."""

    open_connections = 0
    serial = 0
    held: list[Exchange] = []  # noqa: RUF012 - shared by all connections: those that wait at the barrier
    release: asyncio.TimerHandle | None = None
    known: dict[bytes, tuple[bytes, int | None]] = {}  # noqa: RUF012 - shared: head -> path, body length (None = chunked)

    def __init__(self) -> None:
        self.rest = b""  # bytes of an unfinished head
        self.path = b""  # of the request whose body is arriving
        self.left = 0  # body bytes still to come; of the chunk, where the body is chunked
        self.chunked = False
        self.body: list[bytes] | None = None  # kept for the echo only
        self.received = 0
        self.pending = 0  # body bytes still to be written
        self.blocks = 0  # of events, still to be written
        self.paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        Exchange.open_connections += 1

    def connection_lost(self, error: Exception | None) -> None:
        Exchange.open_connections -= 1

    def get_buffer(self, sizehint: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, count: int) -> None:
        if self.left >= count and not self.chunked and self.body is None:  # the bulk of an upload
            self.left -= count
            self.received += count
            if not self.left:
                self.answer_upload()
            return
        data = self.rest + _BUFFER[:count]
        self.rest = b""
        while data:
            data = self.feed_chunks(data) if self.chunked else self.feed_body(data) if self.left else self.feed_head(data)

    def feed_head(self, data: bytes) -> bytes:
        """Consume one head; return what comes after it."""
        end = data.find(b"\r\n\r\n") + 4
        if end == 3:
            self.rest = data
            return b""
        head = data[:end]
        seen = self.known.get(head)
        if seen is None:
            seen = read_head(head)
            if len(self.known) < 1000:
                self.known[head] = seen
        self.path, length = seen
        if length == 0:
            self.answer(head)
        else:
            self.received = 0
            self.body = [] if self.path == b"/echo" else None
            self.left, self.chunked = length or 0, length is None
            if b"\r\nexpect: 100-continue\r\n" in head.lower():
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return data[end:]

    def feed_body(self, data: bytes) -> bytes:
        """Consume body bytes of a known length; return what comes after the body."""
        piece = data[: self.left]
        self.left -= len(piece)
        self.received += len(piece)
        if self.body is not None:
            self.body.append(piece)
        if not self.left:
            self.answer_upload()
        return data[len(piece) :]

    def feed_chunks(self, data: bytes) -> bytes:
        """Consume a chunked body; `left` counts the CRLF after each chunk too."""
        position = 0
        while position < len(data):
            if self.left:
                step = min(self.left, len(data) - position)
                if self.body is not None and self.left > 2:
                    self.body.append(data[position : position + min(step, self.left - 2)])
                self.left -= step
                position += step
                continue
            end = data.find(b"\r\n", position)
            if end < 0:
                break
            size = int(data[position:end], 16)
            if size:
                self.received += size
                self.left = size + 2
                position = end + 2
            elif len(data) >= end + 4:
                self.chunked = False
                self.answer_upload()
                return data[end + 4 :]
            else:
                break
        self.rest = data[position:]
        return b""

    def answer_upload(self) -> None:
        body = b'{"received": %d}' % self.received if self.body is None else b"".join(self.body)
        self.body = None
        self.transport.write(_FIXED % len(body) + body)

    def answer(self, head: bytes) -> None:
        """Answer a request without a body."""
        if self.path == b"/small":
            self.transport.write(_SMALL)
        elif self.path == b"/varying":
            Exchange.serial = serial = Exchange.serial + 1
            self.transport.write(_VARYING % (len(SMALL_BODY), serial, serial * 3, serial * 7) + SMALL_BODY)
        elif self.path == b"/1mb":
            self.transport.write(_FIXED % LARGE + _ZEROS)
        elif self.path == b"/100mb":
            self.transport.write(_FIXED % HUGE)
            self.pending = HUGE
            self.resume_writing()
        elif self.path == b"/events":
            self.transport.write(_STREAM)
            self.blocks = EVENTS // EVENT_BLOCK
            self.resume_writing()
        elif self.path == b"/open":
            body = b"%d" % Exchange.open_connections
            self.transport.write(_FIXED % len(body) + body)
        elif self.path.startswith(b"/hold/"):
            self.hold(int(self.path[6:]))
        elif self.path.startswith(b"/ws/"):
            Exchange.open_connections -= 1
            handshake(self.transport, self.path, head)
        else:
            self.transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        while self.pending and not self.paused:
            piece = min(self.pending, LARGE)
            self.pending -= piece
            self.transport.write(_ZEROS if piece == LARGE else _ZEROS[:piece])
        while self.blocks and not self.paused:
            self.blocks -= 1
            self.transport.write(_EVENTS if self.blocks else _LAST_EVENTS)

    def hold(self, wanted: int) -> None:
        """Answer when `wanted` connections wait, or when no other has come for a while."""
        held = Exchange.held
        held.append(self)
        if Exchange.release is not None:
            Exchange.release.cancel()
            Exchange.release = None
        if len(held) >= wanted:
            self.let_go()
        else:
            Exchange.release = asyncio.get_running_loop().call_later(_QUIET, self.let_go)

    def let_go(self) -> None:
        held, Exchange.held, Exchange.release = Exchange.held, [], None
        for connection in held:
            if not connection.transport.is_closing():
                connection.transport.write(_SMALL)


def read_head(head: bytes) -> tuple[bytes, int | None]:
    """The path and the length of the body, `None` if it is chunked."""
    path = head.split(b" ", 2)[1]
    if path.startswith(b"http://"):
        path = b"/" + path.split(b"/", 3)[3]
    for line in head.lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return path, int(value)
        if name == b"transfer-encoding":
            return path, None
    return path, 0


async def serve(certificate: str | None) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def watch() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=watch, daemon=True).start()
    plain = await loop.create_server(Exchange, "127.0.0.1", 0, backlog=8192)
    ports = {"http": plain.sockets[0].getsockname()[1]}
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        secure = await loop.create_server(Exchange, "127.0.0.1", 0, ssl=context, backlog=1024)
        ports["https"] = secure.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await ended.wait()


def main() -> None:
    raise_open_files()
    with asyncio.Runner(loop_factory=new_loop(sys.argv[1])) as runner:
        runner.run(serve(sys.argv[2] if len(sys.argv) > 2 else None))


if __name__ == "__main__":
    main()
