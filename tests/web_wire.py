"""A web application on a real server, and a raw socket to it that cuts what it sends as it likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from wirebird import web
from wirebird.testing import TestServer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Answer(NamedTuple):
    """What came back."""

    status: int
    head: str
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@asynccontextmanager
async def serving(handler: Handler, *, errors: int = 0, **options: Any) -> AsyncIterator[TestServer]:
    """`handler` for every path and method, on a real server; it may raise `errors` exceptions that are nobody else's fault."""
    settings = {name: options.pop(name) for name in ("max_body_size", "middlewares") if name in options}
    app = web.Application(**settings)
    app.add_routes([web.route("*", "/{rest:.*}", handler)])
    async with TestServer(app, **options) as server:
        yield server
    if len(server.errors) != errors:
        raise AssertionError(server.errors)


def request(body: bytes = b"", *fields: str, method: str = "POST", length: int | None = None) -> bytes:
    """A request with that body."""
    lines = [f"{method} / HTTP/1.1", "Host: a", f"Content-Length: {len(body) if length is None else length}", *fields]
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(pieces: Iterable[bytes], *fields: str) -> bytes:
    """A request whose body has these chunks."""
    head = "\r\n".join(["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", *fields, "", ""]).encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


class Line:
    """A raw connection to a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send it, and let it leave."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> Answer:
        """The next response."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = next(
            (int(line.partition(":")[2]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0
        )
        return Answer(int(head[9:12]), head, await self.reader.readexactly(length))


@asynccontextmanager
async def line(server: TestServer) -> AsyncIterator[Line]:
    """A raw connection."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()
        await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])


async def ask(server: TestServer, data: bytes, size: int | None = None) -> Answer:
    """The answer to `data`, which is sent in pieces of `size`, each in a turn of its own."""
    async with line(server) as wire:
        for at in range(0, len(data), size or len(data)):
            await wire.send(data[at : at + (size or len(data))])
            await asyncio.sleep(0)
        return await wire.answer()


def cut(data: bytes, size: int) -> list[bytes]:
    """`data` in pieces of `size`."""
    return [data[at : at + size] for at in range(0, len(data), size)]
