"""aiohttp's server (3.14) over wirebird.

from wirebird.compat.aiohttp import web

async def hello(request):
    return web.Response(text="Hello, world")

app = web.Application()
app.add_routes([web.get("/", hello)])
web.run_app(app)
"""

from __future__ import annotations

import asyncio
import builtins
import inspect
import logging
import sys
from argparse import ArgumentParser
from collections.abc import Awaitable, Callable, Iterable
from importlib import import_module
from typing import Any

from ...server.late import LateApp
from ...server.server import Server as _Server
from ...web.run import places_of, run_places
from ...web.runner import name_of
from . import web_exceptions
from .app_keys import AppKey, NotAppKeyWarning, RequestKey, ResponseKey
from .http_websocket import WSMsgType
from .log import access_logger
from .web_app import Application, CleanupError
from .web_exceptions import *  # noqa: F403 - one class for each status
from .web_fileresponse import FileResponse
from .web_log import AccessLogger
from .web_middlewares import middleware, normalize_path_middleware
from .web_protocol import PayloadAccessError, RequestHandler, RequestPayloadError
from .web_request import BaseRequest, FileField, Request
from .web_response import ContentCoding, Response, StreamResponse, json_bytes_response, json_response
from .web_routedef import (
    AbstractRouteDef,
    RouteDef,
    RouteTableDef,
    StaticDef,
    delete,
    get,
    head,
    options,
    patch,
    post,
    put,
    route,
    static,
    view,
)
from .web_runner import (
    BACKLOG,
    AppRunner,
    BaseRunner,
    BaseSite,
    GracefulExit,
    NamedPipeSite,
    ServerRunner,
    SockSite,
    TCPSite,
    UnixSite,
)
from .web_server import Server, server_of, set_up, settings_of
from .web_urldispatcher import (
    AbstractResource,
    AbstractRoute,
    DynamicResource,
    PlainResource,
    PrefixedSubAppResource,
    Resource,
    ResourceRoute,
    StaticResource,
    UrlDispatcher,
    UrlMappingMatchInfo,
    View,
)
from .web_ws import WebSocketReady, WebSocketResponse

__all__ = [
    "AbstractResource",
    "AbstractRoute",
    "AbstractRouteDef",
    "AppKey",
    "AppRunner",
    "Application",
    "BaseRequest",
    "BaseRunner",
    "BaseSite",
    "CleanupError",
    "ContentCoding",
    "DynamicResource",
    "FileField",
    "FileResponse",
    "GracefulExit",
    "NamedPipeSite",
    "NotAppKeyWarning",
    "PayloadAccessError",
    "PlainResource",
    "PrefixedSubAppResource",
    "Request",
    "RequestHandler",
    "RequestKey",
    "RequestPayloadError",
    "Resource",
    "ResourceRoute",
    "Response",
    "ResponseKey",
    "RouteDef",
    "RouteTableDef",
    "Server",
    "ServerRunner",
    "SockSite",
    "StaticDef",
    "StaticResource",
    "StreamResponse",
    "TCPSite",
    "UnixSite",
    "UrlDispatcher",
    "UrlMappingMatchInfo",
    "View",
    "WSMsgType",
    "WebSocketReady",
    "WebSocketResponse",
    "delete",
    "get",
    "head",
    "json_bytes_response",
    "json_response",
    "middleware",
    "normalize_path_middleware",
    "options",
    "patch",
    "post",
    "put",
    "route",
    "run_app",
    "static",
    "view",
]
__all__ += [name for name in web_exceptions.__all__ if name.startswith("HTTP")]


def run_app(
    app: Application | Awaitable[Application],
    *,
    host: str | Iterable[str] | None = None,
    port: int | None = None,
    path: Any = None,
    sock: Any = None,
    shutdown_timeout: float = 60.0,
    keepalive_timeout: float = 75.0,
    ssl_context: Any = None,
    print: Callable[..., Any] | None = builtins.print,
    backlog: int = BACKLOG,
    access_log_class: Any = AccessLogger,
    access_log_format: str = AccessLogger.LOG_FORMAT,
    access_log: logging.Logger | None = access_logger,
    handle_signals: bool = True,
    reuse_address: bool | None = None,
    reuse_port: bool | None = None,
    handler_cancellation: bool = False,
    loop: asyncio.AbstractEventLoop | None = None,
    **kwargs: Any,
) -> None:
    """Serve an application until SIGINT or SIGTERM comes; by default on all addresses of this machine, port 8080.

    `app` may be a coroutine that gives one.  `kwargs` are those of aiohttp's server; `loop` is closed at the end.
    """
    if not isinstance(app, Application) and not inspect.isawaitable(app):
        raise TypeError(f"The first argument should be web.Application instance, got {app!r}")
    options = {
        "keepalive_timeout": keepalive_timeout,
        "access_log_class": access_log_class,
        "access_log_format": access_log_format,
        "access_log": access_log,
        "handler_cancellation": handler_cancellation,
        **kwargs,
    }

    async def made() -> Application:
        given: Application = await app  # type: ignore[misc]
        set_up(given, options)
        return given

    def make() -> _Server:
        return server_of(app, **options) if isinstance(app, Application) else _Server(LateApp(made), settings_of(options))

    def ready(addresses: list[Any]) -> None:
        if access_log is not None and asyncio.get_running_loop().get_debug():
            _show(access_log)
        if print is not None:
            names = ", ".join(sorted(name_of(one, "http" if ssl_context is None else "https") for one in addresses))
            text = f"======== Running on {names} ========\n(Press CTRL+C to quit)"
            print(text, **({"flush": True} if print is builtins.print else {}))

    run_places(
        make,
        places_of(host, port, path, sock, ssl_context, bool(reuse_port), default=""),
        grace=shutdown_timeout,
        ready=ready,
        handle_signals=handle_signals,
        loop=loop,
    )


def _show(log: logging.Logger) -> None:
    """In debug mode the access log is seen, unless it is set up otherwise."""
    if log.name == "aiohttp.access":
        if log.level == logging.NOTSET:
            log.setLevel(logging.DEBUG)
        if not log.hasHandlers():
            log.addHandler(logging.StreamHandler())


def main(argv: list[str]) -> None:
    """`python -m wirebird.compat.aiohttp.web [-H HOST] [-P PORT] [-U PATH] module:function`."""
    parser = ArgumentParser(description="aiohttp.web Application server", prog="aiohttp.web")
    parser.add_argument("entry_func", metavar="entry-func", help="module:function, which gives the web.Application to run")
    parser.add_argument("-H", "--hostname", help="TCP/IP hostname to serve on (default: localhost)")
    parser.add_argument("-P", "--port", type=int, default=8080, help="TCP/IP port to serve on (default: %(default)r)")
    parser.add_argument("-U", "--path", help="Unix file system path to serve on")
    given, rest = parser.parse_known_args(argv)
    module, _, function = given.entry_func.partition(":")
    if not module or not function:
        parser.error("'entry-func' not in 'module:function' syntax")
    if module.startswith("."):
        parser.error("relative module names not supported")
    try:
        make = getattr(import_module(module), function)
    except ImportError as error:
        parser.error(f"unable to import {module}: {error}")
    except AttributeError:
        parser.error(f"module {module!r} has no attribute {function!r}")
    logging.basicConfig(level=logging.DEBUG)
    only_path = given.path and given.hostname is None
    run_app(
        make(rest),
        host=None if only_path else given.hostname or "localhost",
        port=None if only_path else given.port,
        path=given.path,
    )
    parser.exit(message="Stopped\n")


if __name__ == "__main__":
    main(sys.argv[1:])
