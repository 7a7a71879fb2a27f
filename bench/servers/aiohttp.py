from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler

from ..loops import new_loop
from .app import BODY

__all__ = ["serve"]


@web.middleware
async def _middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    return await handler(request)


async def _hello(request: web.Request) -> web.Response:
    return web.Response(text=BODY.decode())


async def _serve(port: int) -> None:
    app = web.Application(middlewares=[_middleware])
    app.add_routes([web.get("/", _hello)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=2048).start()
    await asyncio.Event().wait()


def serve(operation: str, loop: str, port: int) -> None:
    with asyncio.Runner(loop_factory=new_loop(loop)) as runner:
        runner.run(_serve(port))
