"""A small origin server for the tests: strict, well-behaved, and in the same event loop as the test.

    async with Origin() as origin:
        async with wirebird.HTTPClient() as client:
            response = await client.get(origin.url("/echo"))

It reads with our own parser in the server role, so whatever a client sends that is not HTTP/1.1 to the letter is answered with
400, and kept in `faults`.  It has no clock: what is slow waits for `release`, an event that a test sets or does not set.
`asked` holds every request in order of arrival, `connections` counts those accepted, `open` those not yet closed.

    /echo, /anything/…          what was asked, as JSON: method, url, args, form, json, files, data, headers (also `/get`, …)
    /status/{code}?to=          an empty answer, with a Location if there is a `to`
    /chain/{n}                  302 to /chain/{n-1}; /chain/0 is an echo
    /cookies/set?name=value     Set-Cookie for each pair, and a redirect to /cookies, which shows what came back
    /headers?name=value         a 200 with these fields
    /bytes/{n} /chunked/{n} /eof/{n}    n bytes of `pattern(n)`: with Content-Length, in chunks of `?size=`, up to the close
    /coded/{codings}            "the quick brown fox …" coded with each of a comma-separated list
    /held                       `?first=` bytes of a body of 100,000, the rest once `release` is set
    /silent                     nothing before `release` is set, then an empty 204

Anything else is what `origin.on(path, handler)` says; a handler is `async def handler(asked, wire)`.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote

import uvloop

from wirebird.errors import ProtocolError
from wirebird.models.headers import HttpHeaders
from wirebird.models.message import CHUNKED, RequestHead
from wirebird.protocol.http1_events import End
from wirebird.protocol.http1_parser import Parser

__all__ = ["FOX", "Asked", "Origin", "Wire", "code", "pattern", "run"]

FOX = b"the quick brown fox jumps over the lazy dog; " * 50

_LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

_T = TypeVar("_T")


def run(main: Callable[[], Coroutine[Any, Any, _T]], loop: str = "asyncio") -> _T:
    """Run `main()` to its end on a loop of its own, with a limit that only a hanging test meets."""

    async def limited() -> _T:
        async with asyncio.timeout(20):
            return await main()

    with asyncio.Runner(loop_factory=_LOOPS[loop]) as runner:
        return runner.run(limited())


@lru_cache(maxsize=32)
def pattern(size: int) -> bytes:
    """`size` bytes in which no two places look alike."""
    words = b"".join(b"%07x " % i for i in range(size // 8 + 1))
    return words[:size]


def code(data: bytes, coding: str) -> bytes:
    """`data` in one content coding, made by the libraries and not by us."""
    if coding in ("gzip", "x-gzip"):
        return gzip.compress(data, mtime=0)  # or a second later it is another body
    if coding == "deflate":
        return zlib.compress(data)
    if coding == "raw-deflate":
        compressor = zlib.compressobj(wbits=-15)
        return compressor.compress(data) + compressor.flush()
    if coding == "br":
        import brotli

        return bytes(brotli.compress(data))
    if coding == "zstd":
        from backports import zstd

        return bytes(zstd.compress(data))
    return data


class Asked:
    """A request as the origin read it.  `connection` is the number of the connection it came on, from 1."""

    def __init__(self, head: RequestHead, connection: int) -> None:
        self.head = head
        self.connection = connection
        self.method = head.method.decode()
        self.target = head.target.decode()
        self.path, _, self.query = self.target.partition("?")
        self.args = parse_qsl(self.query, keep_blank_values=True)
        self.headers: HttpHeaders = head.fields
        self.chunked = head.length == CHUNKED
        self.body = b""
        self.complete = False

    def __repr__(self) -> str:
        return f"<{self.method} {self.target} on {self.connection}>"

    def arg(self, name: str, default: str = "") -> str:
        return dict(self.args).get(name, default)

    def echo(self, scheme: str) -> dict[str, Any]:
        """What the echo services of the seeds answer."""
        kind = self.headers.get("content-type", "")
        seen: dict[str, Any] = {
            "method": self.method,
            "url": f"{scheme}://{self.headers.get('host', '')}{self.target}",
            "args": _together(self.args),
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "form": {},
            "files": {},
            "json": None,
            "data": "",
        }
        if kind.startswith("application/x-www-form-urlencoded"):
            seen["form"] = _together(parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=bool(self.body)))
        elif kind.startswith("multipart/form-data"):
            seen["form"], seen["files"] = read_multipart(self.body, kind)
        elif kind.startswith("application/json"):
            seen["json"] = json.loads(self.body)
            seen["data"] = self.body.decode()
        else:
            seen["data"] = self.body.decode("latin-1")
        return seen


def _together(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def read_multipart(body: bytes, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields and files of a form, read to the letter: every delimiter on a line of its own, nothing around."""
    boundary = kind.partition("boundary=")[2].encode()
    start, end = b"--" + boundary + b"\r\n", b"--" + boundary + b"--\r\n"
    if body == end:
        return {}, {}
    if not body.startswith(start) or not body.endswith(b"\r\n" + end):
        raise ValueError(f"not a form: {body[:80]!r} … {body[-80:]!r}")
    form: list[tuple[str, str]] = []
    files: dict[str, Any] = {}
    for part in body[len(start) : -len(end) - 2].split(b"\r\n" + start):
        head, _, data = part.partition(b"\r\n\r\n")
        fields = HttpHeaders([tuple(line.decode().split(": ", 1)) for line in head.split(b"\r\n")])  # type: ignore[misc]
        names = dict(piece.split("=", 1) for piece in fields["content-disposition"].split("; ")[1:])
        name = names["name"].strip('"')
        if "filename" in names:
            files[names["filename"].strip('"')] = {
                "field": name,
                "type": fields.get("content-type"),
                "data": data.decode("latin-1"),
            }
        else:
            form.append((name, data.decode()))
    return _together(form), files


class Wire:
    """The way back: what a handler answers with."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: Asked | None = None) -> None:
        self.reader = reader
        self.writer = writer
        self.asked = asked
        self.closed = False

    async def send(self, data: bytes) -> None:
        """Bytes, whatever they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def respond(
        self,
        status: int = 200,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        length: bool = True,
        reason: str = "Fine",
    ) -> None:
        """A whole response."""
        fields = [*headers]
        if length and status != 204:
            fields.append(("Content-Length", str(len(body))))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        if self.asked is not None and self.asked.method == "HEAD":
            body = b""
        await self.send(f"HTTP/1.1 {status} {reason}\r\n{head}\r\n".encode() + body)

    def close(self) -> None:
        """End the connection behind what was sent."""
        self.closed = True
        self.writer.close()

    def abort(self) -> None:
        """Break the connection."""
        self.closed = True
        self.writer.transport.abort()


Handler = Callable[[Asked, Wire], Awaitable[None]]


class Origin:
    """One server.  `tls`: a server's `ssl.SSLContext`; `uds`: the path of a Unix socket; `host`: where to listen."""

    def __init__(self, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, uds: str | None = None) -> None:
        self.host = host
        self.tls = tls
        self.uds = uds
        self.port = 0
        self.scheme = "https" if tls else "http"
        self.asked: list[Asked] = []
        self.faults: list[ProtocolError] = []
        self.connections = 0
        self.open = 0
        self.release = asyncio.Event()
        self.closed_one = asyncio.Condition()
        self._handlers: dict[str, tuple[Handler, bool]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Origin:
        if self.uds is not None:
            self._server = await asyncio.start_unix_server(self._serve, self.uds, ssl=self.tls)
        else:
            self._server = await asyncio.start_server(self._serve, self.host, 0, ssl=self.tls)
            self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._server is not None:
            self._server.close()
        self.release.set()
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)
        if self._server is not None:
            await self._server.wait_closed()

    def url(self, path: str = "/", host: str | None = None) -> str:
        """The URL of `path` here, under another name for the host if one is given."""
        host = host or (f"[{self.host}]" if ":" in self.host else self.host)
        return f"{self.scheme}://{host}:{self.port}{path}"

    @property
    def address(self) -> str:
        """`host:port`, for `connect_to`."""
        return f"{self.host}:{self.port}"

    def on(self, path: str, handler: Handler, *, early: bool = False) -> None:
        """Have `path` answered by `handler`; with `early` before the body is read, which then is `wire`'s business."""
        self._handlers[path] = (handler, early)

    def always(self, path: str, data: bytes, *, close: bool = False) -> None:
        """Have `path` answered with these bytes, and the connection closed behind them if `close`."""

        async def answer(asked: Asked, wire: Wire) -> None:
            await wire.send(data)
            if close:
                wire.close()

        self.on(path, answer)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition()` holds; it is looked at whenever a connection ends or a request arrives."""
        async with self.closed_one:
            await self.closed_one.wait_for(condition)

    # -- the connection ------------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        self.open += 1
        try:
            await self._converse(reader, writer, self.connections)
        except (ConnectionError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            self.open -= 1
            self._writers.discard(writer)
            if task is not None:
                self._tasks.discard(task)
            writer.close()
            try:
                await writer.wait_closed()
            except (ConnectionError, asyncio.CancelledError, ssl.SSLError):
                pass
            await self._tell()

    async def _tell(self) -> None:
        async with self.closed_one:
            self.closed_one.notify_all()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        parser = Parser(server=True)
        asked: Asked | None = None
        pieces: list[bytes] = []
        events: list[Any] = []
        reading: asyncio.Task[bytes] | None = None
        try:
            while True:
                if not events:
                    if reading is None:
                        reading = asyncio.create_task(reader.read(65536))
                    data = await reading
                    reading = None
                    if not data:
                        return
                    events = parser.receive(data, len(data))
                for event in events:
                    if isinstance(event, RequestHead):
                        asked = Asked(event, number)
                        self.asked.append(asked)
                        pieces = []
                        await self._tell()
                        if self._handlers.get(asked.path, (None, False))[1]:
                            await self._answer(asked, Wire(reader, writer, asked))
                            return
                        if event.expect_continue:
                            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    elif isinstance(event, End) and asked is not None:
                        asked.body = b"".join(pieces)
                        asked.complete = True
                        wire = Wire(reader, writer, asked)
                        # While the answer is on its way, see whether anybody is still there.
                        reading = asyncio.create_task(reader.read(65536))
                        answering = asyncio.create_task(self._answer(asked, wire))
                        try:
                            await asyncio.wait([reading, answering], return_when=asyncio.FIRST_COMPLETED)
                            if not answering.done() and not reading.result():
                                return
                            await answering
                        finally:
                            answering.cancel()
                        if wire.closed or not asked.head.keep_alive:
                            return
                    else:
                        pieces.append(event)
                events = parser.proceed() if asked is not None and asked.complete else []
                if asked is not None and asked.complete:
                    asked = None
        except ProtocolError as error:
            self.faults.append(error)
            await Wire(reader, writer).respond(400, [("Connection", "close")], str(error).encode())
        finally:
            if reading is not None and reading.cancel():
                await asyncio.wait([reading])

    async def _answer(self, asked: Asked, wire: Wire) -> None:
        handler = self._handlers.get(asked.path)
        if handler is not None:
            await handler[0](asked, wire)
            return
        first, _, rest = asked.path[1:].partition("/")
        built_in = getattr(self, f"_{first}", None)
        if built_in is not None:
            await built_in(asked, wire, unquote(rest))
        elif first in ("", "echo", "anything", "get", "post", "put", "patch", "delete"):
            await self._echo(asked, wire)
        else:
            await wire.respond(404, body=b"nothing here")

    # -- what is always there ------------------------------------------------------------------------------------------

    async def _echo(self, asked: Asked, wire: Wire, rest: str = "") -> None:
        try:
            body = json.dumps(asked.echo(self.scheme)).encode()
        except ValueError as error:
            await wire.respond(422, body=str(error).encode())
            return
        await wire.respond(200, [("Content-Type", "application/json; charset=utf-8")], body)

    async def _status(self, asked: Asked, wire: Wire, rest: str) -> None:
        to = asked.arg("to")
        await wire.respond(int(rest), [("Location", to)] if to else [])

    async def _chain(self, asked: Asked, wire: Wire, rest: str) -> None:
        if rest == "0":
            await self._echo(asked, wire)
        else:
            await wire.respond(302, [("Location", f"/chain/{int(rest) - 1}")])

    async def _cookies(self, asked: Asked, wire: Wire, rest: str) -> None:
        if rest == "set":
            fields = [("Set-Cookie", f"{name}={value}; Path=/") for name, value in asked.args]
            await wire.respond(302, [*fields, ("Location", "/cookies")])
        elif rest == "raw":
            await wire.respond(200, [("Set-Cookie", value) for name, value in asked.args])
        else:
            pairs = [pair.split("=", 1) for line in asked.headers.get_list("cookie") for pair in line.split("; ")]
            body = json.dumps({"cookies": dict(pairs), "raw": asked.headers.get_list("cookie")})
            await wire.respond(200, [("Content-Type", "application/json")], body.encode())

    async def _headers(self, asked: Asked, wire: Wire, rest: str) -> None:
        await wire.respond(200, asked.args, b"body")

    async def _bytes(self, asked: Asked, wire: Wire, rest: str) -> None:
        await wire.respond(200, [("Content-Type", "application/octet-stream")], pattern(int(rest)))

    async def _chunked(self, asked: Asked, wire: Wire, rest: str) -> None:
        data, size = pattern(int(rest)), int(asked.arg("size", "1000"))
        chunks = [data[at : at + size] for at in range(0, len(data), size)]
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
        await wire.send(head + body + b"0\r\nX-Checked: yes\r\n\r\n")

    async def _eof(self, asked: Asked, wire: Wire, rest: str) -> None:
        await wire.respond(200, [], pattern(int(rest)), length=False)
        wire.close()

    async def _coded(self, asked: Asked, wire: Wire, rest: str) -> None:
        data = FOX
        for coding in rest.split(","):
            data = code(data, coding.strip())
        shown = rest.replace("raw-deflate", "deflate")
        await wire.respond(200, [("Content-Encoding", shown), ("Content-Type", "text/plain")], data)

    async def _held(self, asked: Asked, wire: Wire, rest: str) -> None:
        first = int(asked.arg("first", "0"))
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + pattern(100_000)[:first])
        await self.release.wait()
        await wire.send(pattern(100_000)[first:])

    async def _silent(self, asked: Asked, wire: Wire, rest: str) -> None:
        await self.release.wait()
        await wire.respond(204)
