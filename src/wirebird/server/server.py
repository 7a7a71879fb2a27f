"""The server: what listens, the connections that came of it, and their end.

    server = Server(app)
    await server.listen("127.0.0.1", 8080)
    ...
    await server.close(grace=30)

`close` is graceful: what the kernel has accepted already is taken, then nothing more; connections between two requests are closed
at once, those that never had one a second later; requests under way get their answer (with `Connection: close`), WebSockets are
told 1001.  What is not done after the grace is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
import socket as _socket
import ssl as _ssl
import sys
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from os import PathLike, dup, fspath
from pathlib import Path
from time import time
from typing import Any, Final, Protocol

from .._version import VERSION
from ..errors import ProtocolError, UsageError
from ..models.headers import encode_fields
from ..net.timeouts import Watch
from .connection import ServerConnection
from .exchange import Exchange
from .in_own_task import lead
from .settings import Settings

__all__ = ["Served", "Server"]

# How long the last bytes may take to leave when the server is closed, seconds.
_GOODBYE: Final = 1.0

# How long an application may take to end, beyond its grace: that is for what it still does, and an ASGI application has 5 for its
# lifespan, seconds.
_APPLICATION: Final = 10.0

# asyncio's own limit for the end of TLS counts from the close, however much there is still to send: a day is none, seconds.
_UNHURRIED: Final = 86400.0

# Above `max_connections`, as many more are told so before they are closed; those beyond are not.
_TOLD: Final = 1024

# How many asyncio accepts in one turn.  It would try `backlog` times, and where no file can be opened any more, log each try.
_ACCEPTED: Final = 16

# A minute of silence, and 75 seconds without an answer to probes: then the system takes a client for gone.
_PROBES: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 5))

# How many that wait in the kernel are accepted when the server is closed.
_LAST: Final = 4096

_log = logging.getLogger("wirebird.server")


class Served(Protocol):
    """What a server serves."""

    def serve(self, exchange: Exchange) -> Coroutine[Any, Any, None]:
        """Answer one request.  What it raises becomes a 500, unless it says itself whose fault it is."""

    async def startup(self, server: Server) -> None:
        """The server is about to listen."""

    # It may have `async def leave(self)`, called when the server is being closed and requests are still under way.

    async def shutdown(self, grace: float) -> None:
        """The last request was answered; what still runs may take `grace` seconds."""


class Closeable(Protocol):
    """A connection that speaks another protocol by now, and has to be told of the end."""

    async def close(self, code: int = ..., reason: str = ...) -> None:
        """Close it."""

    def abort(self) -> None:
        """Close it at once."""


class Server:
    """Serves `app` on the sockets it listens on.

    app         what answers: a `Served`
    settings    what a client is granted: `Settings`
    name        the value of the Server field; "" for none
    on_error    called with the exchange and the exception that `app` raised; by default it is logged
    on_done     called with each exchange that is over, and those that were refused: an `AccessLog`

    `connections` are the open ones, `upgraded` the WebSockets, `orphans` those without a connection whose handler still runs.
    Belongs to the loop on which it first listens.  Raises `UsageError` for a bad argument, naming it.
    """

    def __init__(
        self,
        app: Served,
        settings: Settings | None = None,
        *,
        name: str = f"wirebird/{VERSION}",
        on_error: Callable[[Exchange, BaseException], None] | None = None,
        on_done: Callable[[Exchange], None] | None = None,
    ) -> None:
        if settings is not None and not isinstance(settings, Settings):
            raise UsageError(f"settings must be Settings, not {settings!r}", argument="settings")
        self.app = app
        self.settings = settings or Settings()
        self.connections: set[ServerConnection] = set()
        self.past_requests = 0
        self.orphans: set[Any] = set()
        self.upgraded: set[Closeable] = set()
        self.stopping = False
        self.done = on_done
        self.watch: Watch
        self.serve = app.serve
        self._name = encode_fields([("Server", name)], "name") if name else b""
        self._on_error = on_error or _log_error
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: list[asyncio.Server] = []
        self._paths: list[str] = []
        self._tls: dict[asyncio.AbstractServer, dict[str, Any]] = {}
        self._settled: asyncio.Future[None] | None = None  # done when there is nothing left, while the server stops
        self._hurry: asyncio.Future[None] | None = None  # while it is being closed: done when there is no grace any more
        self._closed: asyncio.Future[None]  # done when it is
        self._leaving: asyncio.Future[Any] | None = None
        self._is_crowded = False
        self._stamp = b""
        self._stamp_timer: asyncio.TimerHandle | None = None
        self._started = False
        self._starting: asyncio.Future[None] | None = None  # while it does

    def __repr__(self) -> str:
        doing = "stopping" if self.stopping else "listening" if self._listeners else "not listening"
        return f"<Server {doing}, {len(self.connections)} connections>"

    # -- what a connection needs ---------------------------------------------------------------------------------------

    def failed(self, exchange: Exchange, error: BaseException) -> None:
        """The application has raised."""
        try:
            self._on_error(exchange, error)
        except Exception as fault:
            _log.error("on_error has raised %s", type(fault).__name__, exc_info=fault)

    def stamp(self) -> bytes:
        """The lines of Date and Server, made once a second."""
        return self._stamp or self._make_stamp()

    def _make_stamp(self) -> bytes:
        now = time()
        stamp = self._stamp = b"Date: %b\r\n%b" % (formatdate(int(now), usegmt=True).encode(), self._name)
        self._stamp_timer = self._loop.call_later(1.001 - now % 1, self._forget_stamp)  # type: ignore[union-attr]
        return stamp

    def _forget_stamp(self) -> None:
        self._stamp = b""

    def refused(self, peer: str, error: ProtocolError) -> None:
        """What has arrived from `peer` was no request."""
        _log.info("refused: %s", error)

    def crowded(self, peer: str) -> bool:
        """There are too many connections: whether there is still room to say so."""
        most = self.settings.max_connections or 0
        if not self._is_crowded:
            self._is_crowded = True
            _log.warning("there are %d connections, as many as are allowed: %s is turned away, and so are others", most, peer)
        return self.busy() < most + _TOLD

    def busy(self) -> int:
        """How many connections there are, and handlers whose client has left: it would not do to have those without end."""
        return len(self.connections) + max(0, len(self.orphans) - len(self.upgraded))

    def settle(self) -> None:
        """Something has come to its end, while the server is stopping."""
        settled = self._settled
        if settled is not None and not settled.done() and not (self.connections or self.orphans or self.upgraded):
            settled.set_result(None)

    # -- start ---------------------------------------------------------------------------------------------------------

    @property
    def listeners(self) -> tuple[asyncio.Server, ...]:
        """What it listens with, in the order in which it began to."""
        return tuple(self._listeners)

    async def start(self) -> None:
        """Start the application, if it is not; `listen` does so too.  Raises what that raises."""
        while self._starting is not None:  # by somebody else, who may fail
            await asyncio.wait([self._starting])
        if self._started:
            return
        starting = self._starting = asyncio.get_running_loop().create_future()
        try:
            await self.app.startup(self)
            self._started = True
        finally:
            self._starting = None
            starting.set_result(None)

    async def listen(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        path: str | PathLike[str] | None = None,
        sock: _socket.socket | None = None,
        ssl: _ssl.SSLContext | None = None,
        reuse_port: bool = False,
        backlog: int = 2048,
    ) -> list[Any]:
        """Listen on a port of `host`, a free one for 0, or on the Unix socket `path`, or on `sock`; the addresses, as sockets
        have them.  May be called several times.  Raises what the loop raises, and what the start of the application raises.
        """
        loop = asyncio.get_running_loop()
        if ssl is not None and not isinstance(ssl, _ssl.SSLContext):
            raise UsageError(f"ssl must be an ssl.SSLContext, not {ssl!r}", argument="ssl")
        self.stopping = False
        self._bind(loop)
        await self.start()
        tls: dict[str, Any] = {}
        if ssl is not None:
            tls = {
                "ssl": ssl,
                "ssl_handshake_timeout": self.settings.header_timeout or 60.0,
                "ssl_shutdown_timeout": _UNHURRIED,
            }
        is_asyncio = isinstance(loop, asyncio.BaseEventLoop)
        tries = min(backlog, _ACCEPTED) if is_asyncio and sys.platform != "win32" else backlog
        if sock is not None and sock.family == getattr(_socket, "AF_UNIX", None) and not is_asyncio:
            listener = await self._listen_unix(loop, sock, backlog, tls)
        elif sock is not None:  # asyncio's other method would remove the path, which may be that of other processes too
            listener = await loop.create_server(self._accept, sock=sock, backlog=tries, **tls)
        elif path is not None:
            listener = await loop.create_unix_server(self._accept, fspath(path), backlog=tries, **tls)
            if not fspath(path).startswith("\0"):  # the abstract names of Linux are no files
                self._paths.append(fspath(path))
        else:
            listener = await loop.create_server(self._accept, host, port, backlog=tries, reuse_port=reuse_port or None, **tls)
        self._listeners.append(listener)
        self._tls[listener] = tls
        for one in listener.sockets if sys.platform != "win32" else ():
            with _socket.socket(fileno=dup(one.fileno())) as twin:
                if tries < backlog:
                    twin.listen(backlog)
                if twin.family in (_socket.AF_INET, _socket.AF_INET6):
                    _have_probed(twin)
        return [one.getsockname() for one in listener.sockets]

    def connection(self) -> ServerConnection:
        """A protocol for a connection that somebody else accepts, say `loop.create_server`; the application is not started."""
        self._bind(asyncio.get_running_loop())
        return self._accept()

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is None:
            self._loop = loop
            self.watch = Watch(loop, lambda: self.connections)

    async def _listen_unix(
        self, loop: asyncio.AbstractEventLoop, sock: _socket.socket, backlog: int, tls: dict[str, Any]
    ) -> asyncio.Server:
        """Listen with another loop than asyncio's on a Unix socket whose path is not ours to remove."""
        try:
            return await loop.create_unix_server(  # type: ignore[call-arg]
                self._accept, sock=sock, backlog=backlog, cleanup_socket=False, **tls
            )
        except TypeError:  # it knows no such argument, and does not remove it
            return await loop.create_unix_server(self._accept, sock=sock, backlog=backlog, **tls)

    def _accept(self) -> ServerConnection:
        loop: asyncio.AbstractEventLoop = self._loop  # type: ignore[assignment]
        if self._is_crowded and self.busy() < (self.settings.max_connections or 0):
            self._is_crowded = False
        return ServerConnection(loop, self)

    # -- the end -------------------------------------------------------------------------------------------------------

    async def close(self, grace: float = 30.0) -> None:
        """Stop; idempotent.  Requests under way and WebSockets have `grace` seconds, then the application as many and 10 more.

        While it is being closed, another call waits for the same end, and one with 0 takes the rest of the grace away.
        """
        hurry = self._hurry
        if hurry is not None:
            if grace <= 0 and not hurry.done():
                hurry.set_result(None)
            await asyncio.shield(self._closed)
            return
        loop = asyncio.get_running_loop()
        hurry = self._hurry = loop.create_future()
        self._closed = loop.create_future()
        listeners, self._listeners = self._listeners, []
        self.stopping = True
        late: list[asyncio.Task[Any]] = []
        try:
            self._unlink()  # now: in the end, the paths may be those of another server
            for listener in listeners:
                late += self._stop_listening(listener)
            self._tell_of_the_end()
            await self._finish(grace, hurry)
        finally:
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            try:
                await self._shut_down(grace, hurry)
            finally:
                try:
                    await self._part(listeners)
                finally:
                    self._hurry = None
                    self._closed.set_result(None)

    def _tell_of_the_end(self) -> None:
        """Have an application that wants to hear of it end what would last for ever, while requests are under way."""
        leave = getattr(self.app, "leave", None)
        if leave is None or not self._started:
            return
        self._leaving = asyncio.ensure_future(leave())
        self._leaving.add_done_callback(_heed)  # the application's own shutdown waits for it, and raises what it raised

    def _stop_listening(self, listener: asyncio.Server) -> list[asyncio.Task[Any]]:
        """Close a listening socket, but first accept those who are connected already, as far as they know."""
        tls = self._tls.pop(listener, {})
        waiting: list[_socket.socket] = []
        for sock in listener.sockets if sys.platform != "win32" else ():
            try:
                with _socket.socket(fileno=dup(sock.fileno())) as twin:
                    twin.setblocking(False)
                    while len(waiting) < _LAST:
                        waiting.append(twin.accept()[0])
            except OSError:
                pass  # there are none, or no more
        listener.close()
        return [asyncio.ensure_future(self._take_in(one, tls)) for one in waiting]

    async def _take_in(self, sock: _socket.socket, tls: dict[str, Any]) -> None:
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._accept, sock, **tls)
        except (OSError, TimeoutError):
            sock.close()  # a handshake that failed
        except asyncio.CancelledError:
            sock.close()
            raise

    async def _finish(self, grace: float, hurry: asyncio.Future[None]) -> None:
        """Let what is under way come to its end."""
        for _ in range(3):
            await asyncio.sleep(0)  # what has arrived is read: who is idle is known only then
        for connection in list(self.connections):
            try:
                connection.stop()
            except Exception as fault:  # of whoever wanted to be told
                _log.error("an exchange that was told of the end has raised %s", type(fault).__name__, exc_info=fault)
        closing = [asyncio.ensure_future(one.close(1001, "the server is going away")) for one in list(self.upgraded)]
        settled = self._settled = asyncio.get_running_loop().create_future()
        self.settle()
        try:
            await asyncio.wait([settled, hurry], timeout=max(0.0, grace), return_when=asyncio.FIRST_COMPLETED)
            if not settled.done():
                for one in closing:
                    one.cancel()
                for upgraded in list(self.upgraded):
                    upgraded.abort()
                for connection in [*self.connections, *self.orphans]:
                    connection.cancel()
                await asyncio.wait([settled], timeout=_GOODBYE)
        finally:
            self._settled = None
            for one in closing:
                one.cancel()
            await asyncio.gather(*closing, return_exceptions=True)

    async def _shut_down(self, grace: float, hurry: asyncio.Future[None]) -> None:
        """Have the application end."""
        if not self._started:
            return
        self._started = False
        if hurry.done():
            grace = 0.0
        if not await lead(self.app.shutdown(grace), hurry, grace + _APPLICATION, _GOODBYE):
            _log.error("the application does not end, and is not waited for any longer")

    async def _part(self, listeners: list[asyncio.Server]) -> None:
        """See the sockets closed."""
        gone = [connection.when_gone() for connection in self.connections]
        for connection in list(self.connections):
            connection.abort()
        if gone:
            await asyncio.wait(gone, timeout=_GOODBYE)
        for listener in listeners:
            try:
                # Since Python 3.12 this waits for handshakes as well, which nobody can end.
                async with asyncio.timeout(_GOODBYE):
                    await listener.wait_closed()
            except TimeoutError:
                pass
        if self._loop is not None:
            self.watch.stop()
        if self._stamp_timer is not None:
            self._stamp_timer.cancel()
            self._forget_stamp()
        for _ in range(2):
            await asyncio.sleep(0)  # a handshake that was broken off closes its socket in a turn of its own

    def _unlink(self) -> None:
        paths, self._paths = self._paths, []
        for path in paths:
            Path(path).unlink(missing_ok=True)


def _have_probed(sock: _socket.socket) -> None:
    """Have TCP find out about clients that are gone without a word, or a handler that waits would wait for ever (RFC 9293 3.8.4).

    What is set for a listening socket holds for those that it accepts, on Linux and the BSDs.
    """
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1)
    for name, value in _PROBES:
        if (option := getattr(_socket, name, None)) is not None:
            sock.setsockopt(_socket.IPPROTO_TCP, option, value)


def _heed(task: asyncio.Future[Any]) -> None:
    """Take note of what a task raised, so that nobody complains that nobody did."""
    if not task.cancelled():
        task.exception()


def _log_error(exchange: Exchange, error: BaseException) -> None:
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return  # the end of the program, as it wishes
    _log.error("the application raised %s, asked for %r", type(error).__name__, exchange, exc_info=error)
