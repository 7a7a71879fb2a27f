"""The web framework.

from wirebird import web

async def hello(request):
    return web.Response(text="Hello, world")

app = web.Application()
app.add_routes([web.get("/", hello)])
web.run_app(app)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import Application
    from .keys import AppKey
    from .middleware import middleware, normalize_path_middleware
    from .request import Request
    from .response import Response, StreamResponse, json_response
    from .routes import RouteDef, RouteTableDef, View, delete, get, head, options, patch, post, put, route, static, view
    from .websocket import WebSocketReady, WebSocketResponse

__all__ = [
    "AppKey",
    "Application",
    "Request",
    "Response",
    "RouteDef",
    "RouteTableDef",
    "StreamResponse",
    "View",
    "WebSocketReady",
    "WebSocketResponse",
    "delete",
    "get",
    "head",
    "json_response",
    "middleware",
    "normalize_path_middleware",
    "options",
    "patch",
    "post",
    "put",
    "route",
    "static",
    "view",
]

_homes = {
    "AppKey": "keys",
    "Application": "app",
    "Request": "request",
    "Response": "response",
    "StreamResponse": "response",
    "json_response": "response",
    "middleware": "middleware",
    "normalize_path_middleware": "middleware",
    "WebSocketReady": "websocket",
    "WebSocketResponse": "websocket",
}


def __getattr__(name: str) -> Any:
    if name.startswith("HTTP"):
        home = "exceptions"
    elif name in __all__:
        home = _homes.get(name, "routes")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
