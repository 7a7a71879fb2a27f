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
    from .content import Content
    from .cookies import ResponseCookie, ResponseCookies
    from .events import EventStreamResponse
    from .files import FileResponse
    from .forms import FormData, FormLimits
    from .keys import AppKey
    from .limits import RateLimit
    from .middlewares import compress_middleware, middleware, normalize_path_middleware
    from .multipart import MultipartReader, Part
    from .request import Request
    from .response import Response, StreamResponse, json_response
    from .routes import RouteDef, RouteTableDef, View, delete, get, head, options, patch, post, put, route, static, view
    from .run import run_app
    from .runner import AppRunner, GracefulExit, ServerRunner, Site, SockSite, TCPSite, UnixSite
    from .uploads import FileField, safe_filename
    from .websocket import WebSocketReady, WebSocketResponse

__all__ = [
    "AppKey",
    "AppRunner",
    "Application",
    "Content",
    "EventStreamResponse",
    "FileField",
    "FileResponse",
    "FormData",
    "FormLimits",
    "GracefulExit",
    "MultipartReader",
    "Part",
    "RateLimit",
    "Request",
    "Response",
    "ResponseCookie",
    "ResponseCookies",
    "RouteDef",
    "RouteTableDef",
    "ServerRunner",
    "Site",
    "SockSite",
    "StreamResponse",
    "TCPSite",
    "UnixSite",
    "View",
    "WebSocketReady",
    "WebSocketResponse",
    "compress_middleware",
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
    "run_app",
    "safe_filename",
    "static",
    "view",
]

_homes = {
    "AppKey": "keys",
    "AppRunner": "runner",
    "Application": "app",
    "Content": "content",
    "EventStreamResponse": "events",
    "FileField": "uploads",
    "FileResponse": "files",
    "FormData": "forms",
    "FormLimits": "forms",
    "GracefulExit": "runner",
    "MultipartReader": "multipart",
    "Part": "multipart",
    "RateLimit": "limits",
    "Request": "request",
    "Response": "response",
    "ResponseCookie": "cookies",
    "ResponseCookies": "cookies",
    "ServerRunner": "runner",
    "Site": "runner",
    "SockSite": "runner",
    "StreamResponse": "response",
    "TCPSite": "runner",
    "UnixSite": "runner",
    "WebSocketReady": "websocket",
    "WebSocketResponse": "websocket",
    "compress_middleware": "middlewares",
    "json_response": "response",
    "middleware": "middlewares",
    "normalize_path_middleware": "middlewares",
    "run_app": "run",
    "safe_filename": "uploads",
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
