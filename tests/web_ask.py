"""One request over a connection of its own, and all that comes back until it is closed, chunked or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from wirebird import HttpHeaders, web
from wirebird.models.message import CHUNKED
from wirebird.protocol.http1_heads import parse_response_head
from wirebird.testing import TestServer

__all__ = ["Reply", "fetch", "get", "serving", "site"]


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: HttpHeaders
    body: bytes


async def fetch(host: str, port: int, data: bytes) -> Reply:
    """The answer to `data`, which has to ask for the connection to be closed."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(data)
        raw = await reader.readuntil(b"\r\n\r\n")
        body = await reader.read()
    finally:
        writer.close()
        await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])
    head = parse_response_head(raw)
    if head.length == CHUNKED and not data.startswith(b"HEAD "):
        body = _joined(body)
    return Reply(head.status, head.fields, body)


async def get(server: TestServer, target: str, *fields: str, method: str = "GET", version: str = "1.1") -> Reply:
    """The answer to a request for `target`, sent as it is spelled."""
    lines = [f"{method} {target} HTTP/{version}", "Host: a", "Connection: close", *fields, "", ""]
    return await fetch(server.host, server.port, "\r\n".join(lines).encode())


def _joined(body: bytes) -> bytes:
    pieces, at = [], 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end], 16)
        if not size:
            if body[end + 2 :] != b"\r\n":
                raise AssertionError(body[end:])
            return b"".join(pieces)
        pieces.append(body[end + 2 : end + 2 + size])
        at = end + 4 + size


def site(*routes: Any, **options: Any) -> web.Application:
    """An application with these routes."""
    app = web.Application(**options)
    app.add_routes(routes)
    return app


@asynccontextmanager
async def serving(app: web.Application, *, errors: int = 0, **options: Any) -> AsyncIterator[TestServer]:
    """`app` on a real server; it may raise `errors` exceptions that are nobody else's fault."""
    async with TestServer(app, **options) as server:
        yield server
    if len(server.errors) != errors:
        raise AssertionError(server.errors)
