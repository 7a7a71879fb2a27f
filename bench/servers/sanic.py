from __future__ import annotations

import asyncio

from sanic import Request, Sanic, text
from sanic.response import HTTPResponse

from ..loops import new_loop
from .app import BODY

__all__ = ["serve"]


async def _hello(request: Request) -> HTTPResponse:
    return text(BODY.decode())


async def _serve(port: int) -> None:
    app = Sanic("bench", configure_logging=False)
    app.add_route(_hello, "/")
    app.register_middleware(lambda request: None, "request")
    server = await app.create_server("127.0.0.1", port, access_log=False, return_asyncio_server=True, backlog=2048)
    if server is None:
        raise RuntimeError("sanic made no server")
    await server.startup()
    await server.serve_forever()


def serve(operation: str, loop: str, port: int) -> None:
    with asyncio.Runner(loop_factory=new_loop(loop)) as runner:
        runner.run(_serve(port))
