"""Running an application in one call: `web.run_app(app, port=8080)`.

SIGINT and SIGTERM end it in good order: nothing more is accepted, requests under way get their answers, the application is shut
down.  A second one does not wait for requests any more, and a third ends the process as if nobody listened.
"""

from __future__ import annotations

import asyncio
import builtins
import inspect
import logging
import signal
import socket as _socket
import ssl as _ssl
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from os import PathLike
from typing import TYPE_CHECKING, Any

from ..server.settings import Settings
from .app import Application
from .runner import BACKLOG, SIGNALS, AppRunner, GracefulExit, ServerRunner, Site, SockSite, TCPSite, UnixSite

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["Stop", "run_app", "serve_sites"]

_log = logging.getLogger("wirebird.server")


class Stop:
    """What SIGINT and SIGTERM do to a runner that serves: end it in good order, then at once, then as the system has it.

    As a context manager it listens to the signals; `wanted` is done when the first came, and `hurried` says that a second did.
    """

    def __init__(self, runner: ServerRunner) -> None:
        self.wanted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.hurried = False
        self._runner = runner
        self._loop = asyncio.get_running_loop()
        self._before: dict[signal.Signals, Any] = {}
        self._hurrying: asyncio.Task[None] | None = None

    def __enter__(self) -> Stop:
        for number in SIGNALS:
            try:
                self._loop.add_signal_handler(number, self.on_signal, number)
            except NotImplementedError:  # on Windows
                self._before[number] = signal.signal(number, self._on_frame)
        return self

    def __exit__(self, *_: object) -> None:
        for number in SIGNALS:
            if number in self._before:
                signal.signal(number, self._before[number])
            else:
                self._loop.remove_signal_handler(number)

    def _on_frame(self, number: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self.on_signal, number)

    def on_signal(self, number: int) -> None:
        """A signal has come."""
        if not self.wanted.done():
            self.wanted.set_result(number)
        elif not self.hurried:
            self.hurried = True
            _log.warning("a second signal: requests under way are cancelled")
            self._hurrying = self._loop.create_task(self._runner.hurry())
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


async def serve_sites(
    runner: ServerRunner,
    make_sites: Callable[[ServerRunner], Iterable[Site]],
    *,
    print: Callable[..., Any] | None,
    handle_signals: bool,
) -> bool:
    """Set `runner` up, start its sites, serve until a signal comes or the task is cancelled, and clean up.

    Whether all was done in good order: False if a second signal came.  Raises what the start raises.
    """
    if not handle_signals:
        try:
            await _start(runner, make_sites, print)
            await asyncio.get_running_loop().create_future()
        finally:
            await runner.cleanup()
    with Stop(runner) as stop:
        try:
            starting: asyncio.Future[Any] = asyncio.ensure_future(_start(runner, make_sites, print))
            await asyncio.wait([starting, stop.wanted], return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await stop.wanted
            else:
                starting.cancel()
                await asyncio.wait([starting])
        finally:
            await runner.cleanup()
    return not stop.hurried


async def _start(
    runner: ServerRunner, make_sites: Callable[[ServerRunner], Iterable[Site]], print: Callable[..., Any] | None
) -> None:
    await runner.setup()
    sites = list(make_sites(runner))
    for site in sites:
        await site.start()
    if print is not None:
        more = {"flush": True} if print is builtins.print else {}
        print(f"Running on {', '.join(site.name for site in sites)}\n(Press CTRL+C to quit)", **more)


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
    backlog: int = BACKLOG,
    settings: Settings | None = None,
    print: Callable[..., Any] | None = builtins.print,
    loop: asyncio.AbstractEventLoop | None = None,
) -> None:
    """Serve an application until SIGINT or SIGTERM comes.

    app                a `web.Application`, or a coroutine that gives one, so that it can be made within the loop
    host               where to listen, one or several; 127.0.0.1, unless `path` or `sock` say where
    port               8080, or 8443 with TLS; 0 for any that is free
    path               a Unix socket, or several
    sock               a socket that is bound already, or several
    ssl_context        for TLS
    shutdown_timeout   how long requests under way may take at the end, seconds, 60
    keepalive_timeout  how long the next request on a connection is waited for, seconds, 75
    handle_signals     False where the program handles SIGINT and SIGTERM itself, or this is not the main thread
    reuse_port         share the port with other processes that say so too
    backlog            how many connections may wait to be accepted, 2048
    settings           what a client is granted beside that, `Settings`
    print              what says where it listens, None for silence
    loop               the event loop, which is closed at the end; by default a new one

    Raises `OSError` where it cannot listen, what the start of the application raises, and `UsageError` for a bad argument.
    """
    hosts, paths, socks = _several(host, str), _several(path, str | PathLike), _several(sock, _socket.socket)
    if not hosts and (port is not None or not (paths or socks)):
        hosts = ["127.0.0.1"]

    def make_sites(runner: ServerRunner) -> Iterable[Site]:
        tls: dict[str, Any] = {"ssl_context": ssl_context, "backlog": backlog}
        return [
            *(TCPSite(runner, one, port, reuse_port=reuse_port, **tls) for one in hosts),
            *(UnixSite(runner, one, **tls) for one in paths),
            *(SockSite(runner, one, **tls) for one in socks),
        ]

    async def main() -> None:
        made = await app if inspect.isawaitable(app) else app
        runner = AppRunner(made, settings=settings, shutdown_timeout=shutdown_timeout, keepalive_timeout=keepalive_timeout)
        await serve_sites(runner, make_sites, print=print, handle_signals=handle_signals)

    with suppress(GracefulExit, KeyboardInterrupt), asyncio.Runner(loop_factory=None if loop is None else lambda: loop) as own:
        own.run(main())


def _several(value: Any, kind: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, kind) else list(value)
