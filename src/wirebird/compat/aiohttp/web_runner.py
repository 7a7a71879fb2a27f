"""`aiohttp.web_runner`: runners and sites, which are wirebird's (`web/runner.py`) with aiohttp's arguments and defaults."""

from __future__ import annotations

import warnings
from typing import Any

from ...server.server import Server as _Server
from ...web import runner as _runner
from ...web.runner import GracefulExit
from .web_app import Application
from .web_log import AccessLogger
from .web_server import Server, server_of

__all__ = [
    "AppRunner",
    "BaseRunner",
    "BaseSite",
    "GracefulExit",
    "NamedPipeSite",
    "ServerRunner",
    "SockSite",
    "TCPSite",
    "UnixSite",
]

BaseRunner = _runner.ServerRunner
BaseSite = _runner.Site

BACKLOG = 128


class ServerRunner(BaseRunner):
    """A runner of a `web.Server`."""

    def __init__(
        self, web_server: Server, *, handle_signals: bool = False, shutdown_timeout: float = 60.0, **kwargs: Any
    ) -> None:
        super().__init__(web_server.app, handle_signals=handle_signals, shutdown_timeout=shutdown_timeout)
        self._web_server = web_server

    def _make_server(self) -> _Server:
        return self._web_server


class AppRunner(BaseRunner):
    """A runner of an application; `kwargs` are those of aiohttp's server: `access_log`, `keepalive_timeout`…"""

    def __init__(
        self,
        app: Application,
        *,
        handle_signals: bool = False,
        access_log_class: Any = AccessLogger,
        shutdown_timeout: float = 60.0,
        **kwargs: Any,
    ) -> None:
        if not isinstance(app, Application):
            raise TypeError(f"The first argument should be web.Application instance, got {app!r}")
        super().__init__(app, handle_signals=handle_signals, shutdown_timeout=shutdown_timeout)
        self._kwargs = {"access_log_class": access_log_class, **kwargs}

    def _make_server(self) -> _Server:
        return server_of(self._app, **self._kwargs)


def _options(runner: Any, shutdown_timeout: float, given: dict[str, Any]) -> dict[str, Any]:
    if shutdown_timeout != 60.0:
        warnings.warn("shutdown_timeout should be set on BaseRunner", DeprecationWarning, stacklevel=3)
        runner._shutdown_timeout = shutdown_timeout
    return given


class TCPSite(_runner.TCPSite):
    """A port, 8080 or with TLS 8443 by default, on all addresses of this machine by default."""

    def __init__(
        self,
        runner: BaseRunner,
        host: str | None = None,
        port: int | None = None,
        *,
        shutdown_timeout: float = 60.0,
        ssl_context: Any = None,
        backlog: int = BACKLOG,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
    ) -> None:
        given = _options(runner, shutdown_timeout, {"ssl_context": ssl_context, "backlog": backlog})
        super().__init__(runner, host, port, reuse_port=reuse_port, **given)


class UnixSite(_runner.UnixSite):
    """A Unix socket."""

    def __init__(
        self,
        runner: BaseRunner,
        path: Any,
        *,
        shutdown_timeout: float = 60.0,
        ssl_context: Any = None,
        backlog: int = BACKLOG,
    ) -> None:
        super().__init__(runner, path, **_options(runner, shutdown_timeout, {"ssl_context": ssl_context, "backlog": backlog}))


class SockSite(_runner.SockSite):
    """A socket that exists already."""

    def __init__(
        self,
        runner: BaseRunner,
        sock: Any,
        *,
        shutdown_timeout: float = 60.0,
        ssl_context: Any = None,
        backlog: int = BACKLOG,
    ) -> None:
        super().__init__(runner, sock, **_options(runner, shutdown_timeout, {"ssl_context": ssl_context, "backlog": backlog}))


class NamedPipeSite(BaseSite):
    """A named pipe of Windows, which wirebird does not serve: raises `RuntimeError`."""

    def __init__(self, runner: BaseRunner, path: str, *, shutdown_timeout: float = 60.0) -> None:
        raise RuntimeError("Named Pipes only available in proactor loop under windows")
