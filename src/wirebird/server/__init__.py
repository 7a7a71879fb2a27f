"""The server: HTTP/1.1 connections, what they serve, and where they come from.

    server = Server(app, Settings(max_connections=1000), on_done=AccessLog())
    await server.listen("127.0.0.1", 8080)          # in a loop of yours
    ...
    await server.close(grace=30)

    server = Server(AsgiApp(app))          # an ASGI application

    raise SystemExit(serve(lambda: Server(app), [Place(port=8080)], workers=4))          # or as a program of its own

The names below are imported when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .access_log import AccessLog
    from .asgi import AsgiApp
    from .exchange import Exchange
    from .forwarded import TrustedProxies
    from .runner import Place, serve
    from .server import Served, Server
    from .settings import Settings

__all__ = ["AccessLog", "AsgiApp", "Exchange", "Place", "Served", "Server", "Settings", "TrustedProxies", "serve"]

_homes = {
    "AccessLog": "access_log",
    "AsgiApp": "asgi",
    "Exchange": "exchange",
    "Place": "runner",
    "Served": "server",
    "Server": "server",
    "Settings": "settings",
    "TrustedProxies": "forwarded",
    "serve": "runner",
}


def __getattr__(name: str) -> Any:
    if name not in _homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_homes[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
