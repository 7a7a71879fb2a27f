"""A server as a process: it listens, serves until a signal says otherwise, and ends in good order.

    raise SystemExit(serve(lambda: Server(app), [Place(port=8080)], workers=4))

SIGTERM and SIGINT end it gracefully: see `Server.close`.  A second signal takes the grace away, and ends a start that takes
long; a third kills.  Whatever way it took, the exit code is 0, unless it did not start.

With several workers, this process listens and starts the others (`server/workers.py`), which inherit the sockets: a request that
the kernel has accepted belongs to all of them, and none is lost when a worker ends or dies.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket as _socket
import ssl as _ssl
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from errno import ECONNREFUSED
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final

from ..errors import UsageError
from ..models.numbers import check_count, check_number
from .door import shut_door
from .server import Server

__all__ = ["Place", "run", "serve"]

BACKLOG: Final = 2048

# How long those have who are in the door when it is shut: the last packet of their handshake is on its way, seconds.
_IN_THE_DOOR: Final = 0.1

# How long the rest of a hard end may take, seconds.
_AT_ONCE: Final = 2.0

_log = logging.getLogger("wirebird.server")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens: a port, a Unix socket `path`, or a socket that somebody else has bound.

    host        of the port; "" for every interface; 127.0.0.1
    port        0 for a free one
    reuse_port  share the port with processes that are not related (SO_REUSEPORT)
    ssl         an `ssl.SSLContext` for servers
    """

    host: str = "127.0.0.1"
    port: int = 0
    path: str | PathLike[str] | None = None
    sock: _socket.socket | None = None
    ssl: _ssl.SSLContext | None = None
    reuse_port: bool = False

    def __str__(self) -> str:
        if self.sock is not None:
            return "the socket that was given"
        return f"port {self.port} of {self.host or 'this machine'}" if self.path is None else fspath(self.path)

    def bind(self) -> list[_socket.socket]:
        """The sockets, listening.  Raises `OSError` for what the system does not grant; its `filename` says where."""
        try:
            return self._bind()
        except OSError as error:
            if error.errno is not None:  # else it is all words, which would not be shown any more
                error.filename = str(self)
            raise
        except UnicodeError:  # of the codec for names of hosts
            raise _socket.gaierror(_socket.EAI_NONAME, "this cannot be a name", str(self)) from None

    def close(self, sock: _socket.socket) -> None:
        """Close a socket of `bind`; the path of a Unix socket goes with it."""
        if self.path is not None and sock.fileno() >= 0:  # else the door was shut, and the path may be that of the next by now
            Path(fspath(self.path)).unlink(missing_ok=True)
        sock.close()

    def _bind(self) -> list[_socket.socket]:
        if self.sock is not None:
            self.sock.listen(BACKLOG)
            return [self.sock]
        if self.path is not None:
            return [_bind_unix(Path(fspath(self.path)))]
        found = _socket.getaddrinfo(self.host or None, self.port, type=_socket.SOCK_STREAM, flags=_socket.AI_PASSIVE)
        opened: list[_socket.socket] = []
        port = self.port
        try:
            for family, kind, protocol, _, address in dict.fromkeys(found):
                sock = _socket.socket(family, kind, protocol)
                opened.append(sock)
                if sys.platform != "win32":
                    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
                if self.reuse_port:
                    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEPORT, 1)
                if family == _socket.AF_INET6:
                    sock.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
                sock.bind((address[0], port, *address[2:]))
                port = sock.getsockname()[1]  # the same free one for every family
                sock.listen(BACKLOG)
        except BaseException:
            for sock in opened:
                sock.close()
            raise
        return opened


def _bind_unix(path: Path) -> _socket.socket:
    """A Unix socket; one that was left behind, and on which nobody listens, is replaced."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        if path.is_socket():
            with _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM) as probe:
                probe.setblocking(False)  # whose queue is full listens, too
                if probe.connect_ex(str(path)) == ECONNREFUSED:
                    path.unlink()
        sock.bind(str(path))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def serve(
    make: Callable[[], Server],
    places: Sequence[Place] = (),
    *,
    workers: int = 1,
    grace: float = 30.0,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ready: Callable[[list[Any]], None] | None = None,
) -> int:
    """Serve at `places` until a signal comes; the exit code.

    make          gives the server: in each worker anew, so that nothing of it is shared
    workers       processes; 1 is this one
    grace         seconds that requests under way, WebSockets and the application have when it ends, each
    loop_factory  what makes the event loop, as `uvloop.new_event_loop`
    ready         called once with the addresses when it listens, in this process

    Raises `UsageError` for a bad argument, naming it, `OSError` if it cannot listen, and, with one worker, what the start of the
    application raises; with several that is logged, and the exit code is 1.
    """
    check_count("workers", workers, 1)
    check_number("grace", grace, "a number of seconds")
    if workers > 1 and sys.platform == "win32":
        raise UsageError("workers must be 1 where there is no fork", argument="workers")
    chosen = list(places) or [Place()]
    _raise_open_files()
    with ExitStack() as opened:
        bound: list[tuple[_socket.socket, _ssl.SSLContext | None]] = []
        doors: list[_socket.socket] = []
        for place in chosen:
            for sock in place.bind():
                opened.callback(place.close, sock)
                bound.append((sock, place.ssl))
                if place.sock is None:
                    doors.append(sock)

        def work(stop: Callable[[Callable[[bool], None]], None] | None, begun: Callable[[], None] | None) -> None:
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(run(make(), bound, grace=grace, stop=stop, begun=begun, doors=() if stop is not None else doors))

        names = [sock.getsockname() for sock, _ in bound]
        if workers > 1:
            from .workers import Workers

            closing = opened.pop_all()

            def close() -> None:
                for sock in doors:
                    shut_door(sock)  # which is that of the workers
                closing.close()  # nobody accepts from these

            return Workers(work, workers, grace, close).run(lambda: ready(names) if ready is not None else None)
        work(None, (lambda: ready(names)) if ready is not None else None)
    return 0


def _raise_open_files() -> None:
    """Have as many files open as the system allows: its first limit is for programs that still use `select`."""
    try:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ImportError, OSError, ValueError):
        pass  # then it is as it is


async def run(
    server: Server,
    bound: Iterable[tuple[_socket.socket, _ssl.SSLContext | None]],
    *,
    grace: float = 30.0,
    stop: Callable[[Callable[[bool], None]], None] | None = None,
    begun: Callable[[], None] | None = None,
    doors: Sequence[_socket.socket] = (),
) -> None:
    """Serve on sockets that listen already, until a signal comes, and end in good order.  The sockets are closed then.

    stop   has the end come from somewhere else than signals: called with a function that takes whether to end at once
    begun  called when it listens
    doors  the sockets that nobody else listens on, now or later: newcomers are kept away from them in the end
    """
    loop = asyncio.get_running_loop()
    wanted: asyncio.Future[None] = loop.create_future()
    hurried: asyncio.Future[None] = loop.create_future()

    def end(at_once: bool = False) -> None:
        if not wanted.done():
            wanted.set_result(None)
        if at_once and not hurried.done():
            hurried.set_result(None)

    def on_signal(number: int) -> None:
        if wanted.done():
            loop.remove_signal_handler(number)  # the third has its usual effect
        end(at_once=wanted.done())

    numbers = (signal.SIGTERM, signal.SIGINT)
    if stop is not None:
        stop(end)
    else:
        for number in numbers:
            loop.add_signal_handler(number, on_signal, number)
    places = list(bound)
    try:
        try:
            await _listen(server, places, hurried)
            if begun is not None and not hurried.done():
                begun()
            await wanted
        finally:
            for sock in doors:
                shut_door(sock)
            if doors and wanted.done():
                await asyncio.wait([hurried], timeout=_IN_THE_DOOR)
            await _end(server, grace, hurried)
    finally:
        if stop is None:
            for number in numbers:
                loop.remove_signal_handler(number)


async def _listen(server: Server, places: list[tuple[_socket.socket, Any]], hurried: asyncio.Future[None]) -> None:
    """Start, which may take the application as long as it likes, but no longer than until it has to end at once."""

    async def listen() -> None:
        for sock, context in places:
            await server.listen(sock=sock, ssl=context, backlog=BACKLOG)

    listening = asyncio.ensure_future(listen())
    try:
        await asyncio.wait([listening, hurried], return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not listening.done():
            listening.cancel()
            await asyncio.wait([listening], timeout=_AT_ONCE)
    if listening.done() and not listening.cancelled():
        listening.result()


async def _end(server: Server, grace: float, hurried: asyncio.Future[None]) -> None:
    closing = asyncio.ensure_future(server.close(grace))
    await asyncio.wait([closing, hurried], return_when=asyncio.FIRST_COMPLETED)
    if not closing.done():
        hurry = asyncio.ensure_future(server.close(0))
        await asyncio.wait([closing, hurry], timeout=_AT_ONCE)
        for task in (closing, hurry):
            task.cancel()
        await asyncio.wait([closing, hurry], timeout=_AT_ONCE)
    if closing.done() and not closing.cancelled() and (error := closing.exception()) is not None:
        _log.error("the end of the server has raised %s", type(error).__name__, exc_info=error)
