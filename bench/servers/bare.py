"""The yardstick: a `BufferedProtocol` that writes a ready answer for each read.  It parses nothing and checks nothing."""

from __future__ import annotations

import asyncio
from typing import cast

from ..loops import new_loop
from .app import BODY

__all__ = ["serve"]

# As long as wirebird's, with the same fields.
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 12\r\n"
    b"Date: Thu, 26 Nov 2026 12:00:00 GMT\r\nServer: wirebird/0.1.0\r\n\r\n" + BODY
)


class Answering(asyncio.BufferedProtocol):
    """One answer for each request, which comes in one piece; every connection receives into the same buffer."""

    __slots__ = ("transport",)

    buffer = memoryview(bytearray(256 * 1024))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.transport.write(_ANSWER)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


def serve(operation: str, loop: str, port: int) -> None:
    with asyncio.Runner(loop_factory=new_loop(loop)) as runner:
        runner.run(_serve(port))
