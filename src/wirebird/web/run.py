"""Running an application in one call: `web.run_app(app, port=8080)`."""

from __future__ import annotations

import asyncio
import builtins
import inspect
import logging
import socket as _socket
import ssl as _ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from os import PathLike
from typing import Any, Literal

from ..errors import UsageError
from ..server.access_log import AccessLog
from ..server.late import LateApp
from ..server.runner import Place, run, serve
from ..server.server import Server
from ..server.settings import Settings
from .app import Application
from .runner import GracefulExit, as_access_log, name_of

__all__ = ["announce", "places_of", "run_app", "run_places"]


def run_app(
    app: Application | Awaitable[Application],
    *,
    host: str | Iterable[str] | None = None,
    port: int | None = None,
    path: str | PathLike[str] | Iterable[str | PathLike[str]] | None = None,
    sock: _socket.socket | Iterable[_socket.socket] | None = None,
    ssl_context: _ssl.SSLContext | None = None,
    shutdown_timeout: float = 60.0,
    keepalive_timeout: float = 75.0,
    handle_signals: bool = True,
    reuse_port: bool | None = None,
    workers: int = 1,
    access_log: AccessLog | logging.Logger | bool | None = None,
    access_log_format: Literal["common", "combined", "json", "short"] = "combined",
    settings: Settings | None = None,
    print: Callable[..., Any] | None = builtins.print,
    loop: asyncio.AbstractEventLoop | None = None,
) -> None:
    """Serve an application until SIGINT or SIGTERM comes.

    app                a `web.Application`, or a coroutine that gives one, so that it can be made within the loop
    host               where to listen, one or several, "" for everywhere; 127.0.0.1, unless `path` or `sock` say where
    port               8080, or 8443 with TLS; 0 for any that is free
    path               a Unix socket, or several
    sock               a socket that is bound already, or several; closed at the end
    ssl_context        for TLS
    shutdown_timeout   how long requests under way may take at the end, seconds, 60
    keepalive_timeout  how long the next request on a connection is waited for, seconds, 75
    handle_signals     False where the program handles SIGINT and SIGTERM itself, or this is not the main thread
    reuse_port         share the port with other processes that say so too
    workers            how many processes serve; each has the application as it is now, and starts it for itself
    access_log         an `AccessLog`, or where one goes: a `logging.Logger`, or True for the logger `wirebird.access`
    access_log_format  its format, where it is not an `AccessLog`: "common", "combined", "json", "short"
    settings           what a client is granted beside that, `Settings`
    print              what says where it listens, None for silence
    loop               the event loop, which is closed at the end; by default a new one

    A signal ends it in good order: nothing more is accepted, `on_shutdown` is called, requests under way get their answers, the
    application is cleaned up.  A second one does not wait for requests any more.  Then the program goes on behind the call.

    Raises `OSError` where it cannot listen, what the start of the application raises, `UsageError` for a bad argument, naming it,
    `RuntimeError` where an event loop is running already, and `SystemExit` with 1 if its workers did not start.
    """
    if not isinstance(app, Application) and not inspect.isawaitable(app):
        raise UsageError(f"app must be a web.Application, or a coroutine that gives one, not {app!r}", argument="app")
    if workers > 1 and (loop is not None or not handle_signals):
        raise UsageError("workers have loops of their own, and this process handles signals for them", argument="workers")
    places = places_of(host, port, path, sock, ssl_context, bool(reuse_port))
    granted = replace(settings or Settings(), keepalive_timeout=keepalive_timeout)
    done = as_access_log(access_log, access_log_format)

    async def made() -> Application:
        given = await app  # type: ignore[misc]
        if not isinstance(given, Application):
            raise UsageError(f"app must give a web.Application, not {given!r}", argument="app")
        return given

    def make() -> Server:
        return Server(app if isinstance(app, Application) else LateApp(made), granted, on_done=done)

    def ready(addresses: list[Any]) -> None:
        if print is not None:
            announce(addresses, "https" if ssl_context is not None else "http", print)

    run_places(
        make,
        places,
        grace=shutdown_timeout,
        ready=ready,
        handle_signals=handle_signals,
        workers=workers,
        loop=loop,
    )


def run_places(
    make: Callable[[], Server],
    places: Sequence[Place],
    *,
    grace: float,
    ready: Callable[[list[Any]], None],
    handle_signals: bool = True,
    workers: int = 1,
    loop: asyncio.AbstractEventLoop | None = None,
) -> None:
    """Serve what `make` gives at `places` until the end; the rest is as for `run_app`, and `ready` is told the addresses.

    Raises `RuntimeError` where an event loop is running already.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(
            "run_app runs an event loop of its own, and one is running already: use AppRunner there; "
            'in a module that is imported, call it below `if __name__ == "__main__":`'
        )

    def new_loop() -> asyncio.AbstractEventLoop:
        return loop if loop is not None else asyncio.new_event_loop()

    with suppress(GracefulExit, KeyboardInterrupt):
        if not handle_signals:
            _run_without_signals(make, places, grace, new_loop, ready)
        elif serve(make, places, workers=workers, grace=grace, loop_factory=new_loop, ready=ready):
            raise SystemExit(1)


def _run_without_signals(
    make: Callable[[], Server],
    places: Iterable[Place],
    grace: float,
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    ready: Callable[[list[Any]], None],
) -> None:
    """Serve until the task is cancelled, or the loop raises."""
    with ExitStack() as opened:
        bound = [(opened.enter_context(sock), place.ssl) for place in places for sock in place.bind()]
        addresses = [sock.getsockname() for sock, _ in bound]
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(run(make(), bound, grace=grace, stop=lambda end: None, begun=lambda: ready(addresses)))


def announce(addresses: Iterable[Any], scheme: str, print: Callable[..., Any] = builtins.print) -> None:
    """Say where a server listens."""
    more = {"flush": True} if print is builtins.print else {}
    print(f"Running on {', '.join(name_of(one, scheme) for one in addresses)}\n(Press CTRL+C to quit)", **more)


def places_of(
    host: Any,
    port: int | None,
    path: Any,
    sock: Any,
    context: _ssl.SSLContext | None,
    reuse_port: bool,
    default: str = "127.0.0.1",
) -> list[Place]:
    """The places that the arguments of `run_app` mean, at `default` if they name none."""
    hosts, paths, socks = _several(host, str), _several(path, str | PathLike), _several(sock, _socket.socket)
    if not hosts and (port is not None or not (paths or socks)):
        hosts = [default]
    chosen = port if port is not None else 8080 if context is None else 8443
    return [
        *(Place(one, chosen, ssl=context, reuse_port=reuse_port) for one in hosts),
        *(Place(path=one, ssl=context) for one in paths),
        *(Place(sock=one, ssl=context) for one in socks),
    ]


def _several(value: Any, kind: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, kind) else list(value)
