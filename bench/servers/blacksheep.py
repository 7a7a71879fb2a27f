"""Under uvicorn, as its documentation has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from blacksheep import Application, Request, Response, text

from .app import BODY
from .uvicorn import serve_app

__all__ = ["serve"]


async def _middleware(request: Request, handler: Callable[[Request], Awaitable[Response]]) -> Response:
    return await handler(request)


async def _hello(request: Request) -> Response:
    return text(BODY.decode())


def serve(operation: str, loop: str, port: int) -> None:
    app = Application()
    app.middlewares.append(_middleware)
    app.router.add_get("/", _hello)
    serve_app(app, loop, port)
