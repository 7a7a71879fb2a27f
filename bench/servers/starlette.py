"""Under uvicorn; the middleware is a plain ASGI one, which Starlette recommends for speed."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from .app import BODY
from .uvicorn import serve_app

__all__ = ["serve"]


class _Passing:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


async def _hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse(BODY)


def serve(operation: str, loop: str, port: int) -> None:
    serve_app(Starlette(routes=[Route("/", _hello)], middleware=[Middleware(_Passing)]), loop, port)
