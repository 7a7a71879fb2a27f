"""The parts that an application is run with: a runner, which starts and ends it, and sites, where it listens.

runner = web.AppRunner(app)
await runner.setup()
site = web.TCPSite(runner, "127.0.0.1", 8080)
await site.start()
...
await runner.cleanup()
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket as _socket
import ssl as _ssl
from contextlib import suppress
from dataclasses import replace
from os import PathLike, fspath
from typing import Any, Final

from yarl import URL

from ..errors import UsageError
from ..models.numbers import check_number
from ..server.access_log import AccessLog
from ..server.server import Served, Server
from ..server.settings import Settings
from .app import Application

__all__ = [
    "BACKLOG",
    "SIGNALS",
    "AppRunner",
    "GracefulExit",
    "ServerRunner",
    "Site",
    "SockSite",
    "TCPSite",
    "UnixSite",
    "as_access_log",
    "name_of",
]

# How many connections may wait to be accepted.
BACKLOG: Final = 2048

# What ends a server.
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class GracefulExit(SystemExit):
    """Raised anywhere in the loop, it ends `run_app` as SIGTERM does."""

    code = 1


class ServerRunner:
    """A server for anything that can be served, without a place to listen yet: that is what sites are for.

    app               what answers: a `Served`
    settings          what a client is granted, `Settings`
    shutdown_timeout  how long requests under way may take at the end, seconds, 60
    handle_signals    have SIGINT and SIGTERM raise `GracefulExit` in the loop
    access_log        an `AccessLog`, or where one goes: a `logging.Logger`, or True for the logger `wirebird.access`

    `server` is the `Server` between `setup` and `cleanup`, None else.  Raises `UsageError` for a bad argument.
    """

    def __init__(
        self,
        app: Served,
        *,
        settings: Settings | None = None,
        shutdown_timeout: float = 60.0,
        handle_signals: bool = False,
        access_log: AccessLog | logging.Logger | bool | None = None,
    ) -> None:
        check_number("shutdown_timeout", shutdown_timeout, "seconds")
        if not callable(getattr(app, "serve", None)):
            raise UsageError(f"app must be something that can be served, not {app!r}", argument="app")
        self.server: Server | None = None
        self._app = app
        self._settings = settings
        self._shutdown_timeout = shutdown_timeout
        self._handle_signals = handle_signals
        self._access_log = as_access_log(access_log)
        self._sites: list[Site] = []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(site.name for site in self._sites) or 'nowhere'}>"

    @property
    def app(self) -> Any:
        """What is served."""
        return self._app

    @property
    def sites(self) -> set[Site]:
        """The sites that were started."""
        return set(self._sites)

    @property
    def addresses(self) -> list[Any]:
        """The addresses of all sites, as sockets have them."""
        return [address for site in self._sites for address in site.addresses]

    async def setup(self) -> None:
        """Start the application.  Raises what that raises."""
        if self.server is not None:
            raise RuntimeError(f"{self!r} was set up already")
        server = self._make_server()
        if self._handle_signals:
            loop = asyncio.get_running_loop()
            for number in SIGNALS:
                with suppress(NotImplementedError):  # on Windows
                    loop.add_signal_handler(number, _raise_graceful_exit)
        await server.start()
        self.server = server

    def _make_server(self) -> Server:
        return Server(self._app, self._settings, on_done=self._access_log)

    async def shutdown(self) -> None:
        """Tell the application that the end is near; `cleanup` does so too."""

    async def cleanup(self) -> None:
        """Stop all sites, let requests under way come to their end, and shut the application down; idempotent."""
        server = self.server
        if self._handle_signals:
            loop = asyncio.get_running_loop()
            for number in SIGNALS:
                with suppress(NotImplementedError):
                    loop.remove_signal_handler(number)
        if server is None:
            return
        try:
            await server.close(self._shutdown_timeout)
        finally:
            self.server = None
            self._sites.clear()

    def add_site(self, site: Site) -> None:
        """Take note of a site that starts.  Raises `RuntimeError` if it was started already."""
        if site in self._sites:
            raise RuntimeError(f"{site!r} was started already")
        self._sites.append(site)

    def remove_site(self, site: Site) -> None:
        """Take note of one that stops.  Raises `RuntimeError` if it was not started."""
        if site not in self._sites:
            raise RuntimeError(f"{site!r} was not started")
        self._sites.remove(site)


class AppRunner(ServerRunner):
    """A server for a `web.Application`; see `ServerRunner`.

    app                the application
    keepalive_timeout  how long the next request on a connection is waited for, seconds, 75

    Raises `UsageError` for what is no application.
    """

    def __init__(
        self,
        app: Application,
        *,
        settings: Settings | None = None,
        shutdown_timeout: float = 60.0,
        handle_signals: bool = False,
        keepalive_timeout: float | None = None,
        access_log: AccessLog | logging.Logger | bool | None = None,
    ) -> None:
        if not isinstance(app, Application):
            raise UsageError(f"app must be a web.Application, not {app!r}", argument="app")
        if keepalive_timeout is not None:
            settings = replace(settings or Settings(), keepalive_timeout=keepalive_timeout)
        super().__init__(
            app, settings=settings, shutdown_timeout=shutdown_timeout, handle_signals=handle_signals, access_log=access_log
        )

    async def shutdown(self) -> None:
        """Call `on_shutdown`, once; `cleanup` does so too."""
        await self.app.leave()


class Site:
    """A place where a runner listens.  `name` is its URL; raises `RuntimeError` for a runner that is not set up."""

    name: str

    def __init__(self, runner: ServerRunner, *, ssl_context: _ssl.SSLContext | None = None, backlog: int = BACKLOG) -> None:
        if runner.server is None:
            raise RuntimeError("a site comes after runner.setup()")
        self._runner = runner
        self._ssl = ssl_context
        self._backlog = backlog
        self._listener: asyncio.Server | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "http" if self._ssl is None else "https"

    @property
    def addresses(self) -> list[Any]:
        """The addresses it listens on, as sockets have them; empty before it is started."""
        return [sock.getsockname() for sock in self._listener.sockets] if self._listener is not None else []

    async def start(self) -> None:
        """Listen.  Raises `OSError` where that is not possible."""
        server = self._runner.server
        if server is None:
            raise RuntimeError("the runner was cleaned up")
        self._runner.add_site(self)
        try:
            await server.listen(ssl=self._ssl, backlog=self._backlog, **self._where())
        except BaseException:
            self._runner.remove_site(self)
            raise
        self._listener = server.listeners[-1]

    async def stop(self) -> None:
        """Listen no more; connections stay.  Raises `RuntimeError` if it was not started."""
        self._runner.remove_site(self)
        if self._listener is not None:
            self._listener.close()

    def _where(self) -> dict[str, Any]:
        """The arguments of `Server.listen`."""
        raise NotImplementedError


class TCPSite(Site):
    """A port.

    host           where, None for all addresses of this machine
    port           8080 by default, or 8443 with TLS; 0 for any that is free: `port` then says which, once it is started
    ssl_context    for TLS
    backlog        how many connections may wait to be accepted, 2048
    reuse_port     share the port with other processes that say so too
    """

    def __init__(
        self,
        runner: ServerRunner,
        host: str | None = None,
        port: int | None = None,
        *,
        ssl_context: _ssl.SSLContext | None = None,
        backlog: int = BACKLOG,
        reuse_port: bool | None = None,
    ) -> None:
        super().__init__(runner, ssl_context=ssl_context, backlog=backlog)
        self._host = host
        self._port = port if port is not None else 8443 if ssl_context is not None else 8080
        self._reuse_port = bool(reuse_port)

    @property
    def port(self) -> int:
        """The port: the one that was asked for, and once it is started, the one it is."""
        addresses = self.addresses
        return addresses[0][1] if addresses else self._port

    @property
    def name(self) -> str:  # type: ignore[override]
        """`http://host:port`."""
        return str(URL.build(scheme=self.scheme, host=self._host or "0.0.0.0", port=self.port))

    def _where(self) -> dict[str, Any]:
        return {"host": self._host, "port": self._port, "reuse_port": self._reuse_port}


class UnixSite(Site):
    """A Unix socket at `path`, which is removed at the end."""

    def __init__(
        self,
        runner: ServerRunner,
        path: str | PathLike[str],
        *,
        ssl_context: _ssl.SSLContext | None = None,
        backlog: int = BACKLOG,
    ) -> None:
        super().__init__(runner, ssl_context=ssl_context, backlog=backlog)
        self._path = fspath(path)
        self.name = f"{self.scheme}://unix:{self._path}:"

    def _where(self) -> dict[str, Any]:
        return {"path": self._path}


class SockSite(Site):
    """A socket that exists already, bound to where it should be."""

    def __init__(
        self,
        runner: ServerRunner,
        sock: _socket.socket,
        *,
        ssl_context: _ssl.SSLContext | None = None,
        backlog: int = BACKLOG,
    ) -> None:
        super().__init__(runner, ssl_context=ssl_context, backlog=backlog)
        self._sock = sock
        self.name = name_of(sock.getsockname(), self.scheme)

    def _where(self) -> dict[str, Any]:
        return {"sock": self._sock}


def as_access_log(given: AccessLog | logging.Logger | bool | None, format: str = "combined") -> AccessLog | None:
    """The access log that is meant: one that is there, or one of that format for a logger."""
    if given is None or given is False:
        return None
    if isinstance(given, AccessLog):
        return given
    return AccessLog(format, logger=None if given is True else given)  # type: ignore[arg-type]


def name_of(address: Any, scheme: str) -> str:
    """The URL of what listens at `address`, which is as sockets have it."""
    if isinstance(address, tuple):
        return str(URL.build(scheme=scheme, host=address[0], port=address[1]))
    return f"{scheme}://unix:{address}:"


def _raise_graceful_exit() -> None:
    raise GracefulExit
