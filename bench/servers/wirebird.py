from __future__ import annotations

import asyncio

from wirebird import web
from wirebird.server import AsgiApp, Server

from ..loops import new_loop
from .app import BODY, asgi

__all__ = ["serve"]


async def _middleware(request: web.Request, handler: web.Handler) -> web.StreamResponse:
    return await handler(request)


async def _hello(request: web.Request) -> web.Response:
    return web.Response(text=BODY.decode())


def _application() -> web.Application:
    app = web.Application(middlewares=[_middleware])
    app.add_routes([web.get("/", _hello)])
    return app


async def _serve(operation: str, port: int) -> None:
    server = Server(_application() if operation == "serve_text" else AsgiApp(asgi))
    await server.listen("127.0.0.1", port)
    await asyncio.Event().wait()


def serve(operation: str, loop: str, port: int) -> None:
    with asyncio.Runner(loop_factory=new_loop(loop)) as runner:
        runner.run(_serve(operation, port))
