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
import socket as _socket
import sys
from argparse import ArgumentParser
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from importlib import import_module
from os import PathLike
from typing import Any

from ...web.run import serve_sites
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
from .web_server import Server
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
    hosts: list[Any] = [host] if isinstance(host, str) else list(host or ())
    paths, socks = _several(path, str | PathLike), _several(sock, _socket.socket)
    if not hosts and (port is not None or not (paths or socks)):
        hosts = [None]

    def make_sites(runner: BaseRunner) -> list[BaseSite]:
        tls: dict[str, Any] = {"ssl_context": ssl_context, "backlog": backlog}
        return [
            *(TCPSite(runner, one, port, reuse_address=reuse_address, reuse_port=reuse_port, **tls) for one in hosts),
            *(UnixSite(runner, one, **tls) for one in paths),
            *(SockSite(runner, one, **tls) for one in socks),
        ]

    async def main() -> None:
        made = await app if inspect.isawaitable(app) else app
        if access_log is not None and asyncio.get_running_loop().get_debug():
            _show(access_log)
        runner = AppRunner(
            made,
            shutdown_timeout=shutdown_timeout,
            keepalive_timeout=keepalive_timeout,
            access_log_class=access_log_class,
            access_log_format=access_log_format,
            access_log=access_log,
            handler_cancellation=handler_cancellation,
            **kwargs,
        )
        await serve_sites(runner, make_sites, print=_framed(print), handle_signals=handle_signals)

    with suppress(GracefulExit, KeyboardInterrupt), asyncio.Runner(loop_factory=None if loop is None else lambda: loop) as own:
        own.run(main())


def _several(value: Any, kind: Any) -> list[Any]:
    return [] if value is None else [value] if isinstance(value, kind) else list(value)


def _show(log: logging.Logger) -> None:
    """In debug mode the access log is seen, unless it is set up otherwise."""
    if log.name == "aiohttp.access":
        if log.level == logging.NOTSET:
            log.setLevel(logging.DEBUG)
        if not log.hasHandlers():
            log.addHandler(logging.StreamHandler())


def _framed(print: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """Says where it listens as aiohttp does."""
    if print is None:
        return None

    def say(text: str, **options: Any) -> None:
        where, _, hint = text.partition("\n")
        print(f"======== {where} ========\n{hint}", **({"flush": True} if print is builtins.print else {}))

    return say


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
