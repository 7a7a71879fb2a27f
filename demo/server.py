"""The server of the demo: `python -m demo.server LOOP [CERTIFICATE]`, built on wirebird's own pump and its parser's server role.

It prints its ports as one line of JSON, and ends when its standard input does, so that it cannot outlive who started it.

    GET  /small            a small JSON answer
    POST /echo             the body, as it came
    POST /upload           how many bytes came
    GET  /stream/{bytes}   that many bytes, as fast as they are taken
    GET  /file/{bytes}     a file of that size, with ranges; a transfer is cut after half of what it was to bring, twice
    GET  /events/{n}       so many events of a chat, in chunks
    GET  /chat             a WebSocket that says back what is said
    GET  /hop/{n}          302 to /hop/{n-1}, with a cookie each; /hop/0 says which cookies came back
    GET  /bomb             20 kilobytes that gzip made of 20 MB
    GET  /cut              half of the body that it announces, and the end of the connection
    GET  /garbage          something that is not HTTP
    GET  /silence          nothing
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import ssl
import sys
import threading
from typing import Any

from bench.limits import raise_open_files
from bench.loops import new_loop

from wirebird.errors import ProtocolError, WirebirdError
from wirebird.models.message import RequestHead
from wirebird.net.stream import Stream
from wirebird.net.websocket import WebSocket
from wirebird.protocol.http1 import LAST_CHUNK, chunk, response_line
from wirebird.protocol.http1_events import End, Event, State
from wirebird.protocol.http1_parser import Parser
from wirebird.protocol.websocket_deflate import Deflate
from wirebird.protocol.websocket_handshake import Accepted, ServerHandshake

__all__ = ["SMALL", "main"]

SMALL = b'{"hello": "world", "from": "the demo of wirebird", "size": "small"}'
_PIECE = bytes(262_144)
_EVENT = b'data: {"id": "chat-1", "choices": [{"index": 0, "delta": {"content": "word"}}]}\n\n'
_EVENTS = 25  # of one write: as many as a fast model says at a time
_LIFETIME = 600.0  # seconds; nobody watches a demo for longer


def answer(body: bytes, status: int = 200, reason: str = "OK", *more: str) -> bytes:
    """A whole response."""
    fields = ["Content-Type: application/json", *more, f"Content-Length: {len(body)}"]
    return response_line(status, reason) + "".join(f"{field}\r\n" for field in fields).encode() + b"\r\n" + body


_SMALL_ANSWER = answer(SMALL)
_BOMB_ANSWER = answer(gzip.compress(bytes(20_000_000)), 200, "OK", "Content-Encoding: gzip")


_HANDSHAKE = ServerHandshake(deflate=Deflate(), origins=None)
_TALKS: set[asyncio.Future[None]] = set()


async def echo(ws: WebSocket) -> None:
    """Say back what is said, until the client closes, or is gone."""
    with contextlib.suppress(WirebirdError):
        async for message in ws:
            await ws.send(message.data)


class Visitor(Stream):
    """One connection of a client."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop, "")
        self.parser = Parser(server=True)
        self.head: RequestHead | None = None
        self.body: list[bytes] = []
        self.received = 0
        self.pending = 0  # bytes of a stream that are still to be written
        self.cut = False  # the connection ends with them

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have arrived."""
        try:
            self.handle(self.parser.receive(self._buffer, nbytes))
            while self.parser.state is State.DONE and not self.pending and self.transport is not None:
                self.handle(self.parser.proceed())
        except ProtocolError as error:
            self.write(answer(str(error).encode(), 400, "Bad Request", "Connection: close"))
            self.shut()

    def handle(self, events: list[Event]) -> None:
        """What the parser made of them."""
        for event in events:
            if isinstance(event, bytes):
                self.received += len(event)
                if self.head is not None and self.head.target == b"/echo":
                    self.body.append(event)
            elif isinstance(event, End):
                self.respond()
            elif isinstance(event, RequestHead):
                self.head, self.body, self.received = event, [], 0
                if event.expect_continue:
                    self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def respond(self) -> None:
        """The request is complete."""
        head = self.head
        if head is None:
            return
        target = head.target
        if target == b"/small":
            self.write(_SMALL_ANSWER)
        elif target == b"/echo":
            self.write(answer(b"".join(self.body)))
        elif target == b"/upload":
            self.write(answer(json.dumps({"received": self.received}).encode()))
        elif target.startswith(b"/stream/"):
            self.pending = int(target[8:])
            self.write(response_line(200, "OK") + b"Content-Length: %d\r\n\r\n" % self.pending)
            self.resume_writing()
        elif target.startswith(b"/file/"):
            self.file(int(target[6:]))
        elif target.startswith(b"/events/"):
            self.events(int(target[8:]))
        elif target.startswith(b"/hop/"):
            self.hop(int(target[5:]))
        elif target == b"/chat":
            self.chat(head)
        elif target == b"/bomb":
            self.write(_BOMB_ANSWER)
        elif target == b"/cut":
            self.write(response_line(200, "OK") + b"Content-Length: 1000\r\n\r\n" + bytes(500))
            self.shut()
        elif target == b"/garbage":
            self.write(b"SSH-2.0-demo\r\n\r\n")
        elif target != b"/silence":
            self.write(answer(b'{"error": "nothing here"}', 404, "Not Found"))

    def file(self, size: int) -> None:
        """What is missing of a file, or half of it (RFC 9110 14)."""
        start = int(self.head.fields.get("range", "bytes=0-")[6:-1]) if self.head is not None else 0
        missing = size - start
        fields = [f"Content-Length: {missing}", 'ETag: "1"', "Accept-Ranges: bytes"]
        if start:
            fields.append(f"Content-Range: bytes {start}-{size - 1}/{size}")
        line = response_line(206, "Partial Content") if start else response_line(200, "OK")
        self.write(line + "".join(f"{field}\r\n" for field in fields).encode() + b"\r\n")
        self.cut = missing > size // 4
        self.pending = missing // 2 if self.cut else missing
        self.resume_writing()

    def events(self, count: int) -> None:
        """An event stream, each event a chunk of its own."""
        self.write(response_line(200, "OK") + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.write((chunk(_EVENT) * _EVENTS) * (count // _EVENTS) + chunk(_EVENT) * (count % _EVENTS) + LAST_CHUNK)

    def chat(self, head: RequestHead) -> None:
        """A WebSocket: everything said is said back."""
        answered = _HANDSHAKE.answer(head)
        if not isinstance(answered, Accepted):
            self.write(answer(answered.message.encode(), answered.status, "Refused", "Connection: close"))
            return
        lines = "".join(f"{name}: {value}\r\n" for name, value in answered.fields)
        self.write(f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n".encode())
        behind, self.parser.leftover = self.parser.leftover, b""
        talk = asyncio.ensure_future(echo(WebSocket.over(self, behind, server=True, deflate=answered.agreed)))
        _TALKS.add(talk)
        talk.add_done_callback(_TALKS.discard)

    def hop(self, left: int) -> None:
        """One step of a chain of redirects."""
        if left:
            self.write(answer(b"", 302, "Found", f"Location: /hop/{left - 1}", f"Set-Cookie: step{left}=done; Path=/"))
        else:
            cookies = self.head.fields.get("cookie", "") if self.head is not None else ""
            self.write(answer(json.dumps({"cookies": cookies}).encode()))

    def write(self, data: bytes) -> None:
        """Send bytes, if there is still somebody."""
        if self.transport is not None and not self.closing:
            self.transport.write(data)

    def resume_writing(self) -> None:
        """There is room for more of a stream."""
        super().resume_writing()
        while self.pending and self.writable and not self.closing:
            piece = min(self.pending, len(_PIECE))
            self.pending -= piece
            self.write(_PIECE if piece == len(_PIECE) else _PIECE[:piece])
        if self.cut and not self.pending:
            self.shut()


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A client that does not trust the certificate, or leaves, is no fault of the server's."""
    if not isinstance(context.get("exception"), OSError):
        loop.default_exception_handler(context)


async def serve(certificate: str | None) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def watch() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=watch, daemon=True).start()
    loop.call_later(_LIFETIME, ended.set)
    loop.set_exception_handler(_report)
    plain = await loop.create_server(lambda: Visitor(loop), "127.0.0.1", 0, backlog=4096)
    ports = {"http": plain.sockets[0].getsockname()[1]}
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        secure = await loop.create_server(lambda: Visitor(loop), "127.0.0.1", 0, ssl=context, backlog=1024)
        ports["https"] = secure.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await ended.wait()


def main() -> None:
    """The command."""
    raise_open_files()
    with asyncio.Runner(loop_factory=new_loop(sys.argv[1])) as runner:
        runner.run(serve(sys.argv[2] if len(sys.argv) > 2 else None))


if __name__ == "__main__":
    main()
