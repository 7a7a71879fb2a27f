"""The server: what listens, the connections that came of it, and their end.

    server = Server(app)
    await server.listen("127.0.0.1", 8080)
    ...
    await server.close(grace=30)

`close` is graceful: nothing more is accepted, connections between two requests are closed at once, requests under way get their
answer (with `Connection: close`), WebSockets are told 1001.  What is not done after the grace is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
import socket as _socket
import ssl as _ssl
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from os import PathLike, fspath
from pathlib import Path
from time import time
from typing import Any, Final, Protocol

from .._version import VERSION
from ..errors import ProtocolError, UsageError
from ..net.timeouts import Watch
from .connection import ServerConnection
from .exchange import Exchange
from .settings import Settings

__all__ = ["Served", "Server"]

# How long a TLS peer may take to say goodbye, and the last bytes to leave, when the server is closed, seconds.
_GOODBYE: Final = 1.0

_log = logging.getLogger("wirebird.server")


class Served(Protocol):
    """What a server serves."""

    def serve(self, exchange: Exchange) -> Coroutine[Any, Any, None]:
        """Answer one request.  What it raises becomes a 500, unless it says itself whose fault it is."""

    async def startup(self, server: Server) -> None:
        """The server is about to listen."""

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
    on_done     called with each exchange that is over, for an access log

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
        self.upgraded: set[Closeable] = set()  # WebSockets
        self.stopping = False
        self.watch: Watch
        self.serve = app.serve
        self._name = b"Server: %b\r\n" % name.encode("ascii") if name else b""
        self._on_error = on_error or _log_error
        self._on_done = on_done
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: list[asyncio.Server] = []
        self._paths: list[str] = []
        self._stamp = b""
        self._stamped_at = 0
        self._started = False

    def __repr__(self) -> str:
        doing = "stopping" if self.stopping else "listening" if self._listeners else "not listening"
        return f"<Server {doing}, {len(self.connections)} connections>"

    # -- what a connection needs ---------------------------------------------------------------------------------------

    def failed(self, exchange: Exchange, error: BaseException) -> None:
        """The application has raised."""
        self._on_error(exchange, error)

    def stamp(self) -> bytes:
        """The lines of Date and Server, made once a second."""
        now = int(time())
        if now != self._stamped_at:
            self._stamped_at = now
            self._stamp = b"Date: %b\r\n%b" % (formatdate(now, usegmt=True).encode(), self._name)
        return self._stamp

    def done(self, exchange: Exchange) -> None:
        """An exchange is over."""
        if self._on_done is not None:
            self._on_done(exchange)

    def refused(self, peer: str, error: ProtocolError) -> None:
        """What has arrived from `peer` was no request."""
        _log.info("refused: %s", error)

    # -- start ---------------------------------------------------------------------------------------------------------

    @property
    def listeners(self) -> tuple[asyncio.Server, ...]:
        """What it listens with, in the order in which it began to."""
        return tuple(self._listeners)

    async def start(self) -> None:
        """Start the application, if it is not; `listen` does so too.  Raises what that raises."""
        if not self._started:
            self._started = True
            try:
                await self.app.startup(self)
            except BaseException:
                self._started = False
                raise

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
        if self._loop is None:
            self._loop = loop
            self.watch = Watch(loop, lambda: self.connections)
        await self.start()
        tls: dict[str, Any] = {} if ssl is None else {"ssl": ssl, "ssl_shutdown_timeout": _GOODBYE}
        if sock is not None:
            listener = await loop.create_server(self._accept, sock=sock, backlog=backlog, **tls)
        elif path is not None:
            listener = await loop.create_unix_server(self._accept, fspath(path), backlog=backlog, **tls)
            self._paths.append(fspath(path))
        else:
            listener = await loop.create_server(self._accept, host, port, backlog=backlog, reuse_port=reuse_port or None, **tls)
        self._listeners.append(listener)
        return [one.getsockname() for one in listener.sockets]

    def _accept(self) -> ServerConnection:
        return ServerConnection(self._loop, self, self.settings.limits)  # type: ignore[arg-type]

    # -- the end -------------------------------------------------------------------------------------------------------

    async def close(self, grace: float = 30.0) -> None:
        """Stop; idempotent.  Requests under way, WebSockets and the application have `grace` seconds, each."""
        listeners, self._listeners = self._listeners, []
        self.stopping = True
        for listener in listeners:
            listener.close()
        try:
            for connection in list(self.connections):
                connection.stop()
            await self._finish(grace)
        finally:
            try:
                if self._started:
                    self._started = False
                    await self.app.shutdown(grace)
            finally:
                await self._part(listeners)

    async def _finish(self, grace: float) -> None:
        """Let what is under way come to its end."""
        closing = [asyncio.ensure_future(one.close(1001, "the server is going away")) for one in list(self.upgraded)]
        gone = [connection.when_gone() for connection in self.connections]
        waiting: list[asyncio.Future[Any]] = [*closing, *gone]
        if not waiting:
            return
        _, late = await asyncio.wait(waiting, timeout=grace)
        if not late:
            return
        for one in closing:
            one.cancel()
        for upgraded in list(self.upgraded):
            upgraded.abort()
        for connection in list(self.connections):
            connection.cancel()
        await asyncio.wait(late, timeout=_GOODBYE)

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
        self._unlink()

    def _unlink(self) -> None:
        paths, self._paths = self._paths, []
        for path in paths:
            Path(path).unlink(missing_ok=True)


def _log_error(exchange: Exchange, error: BaseException) -> None:
    _log.error("the application raised %s, asked for %r", type(error).__name__, exchange, exc_info=error)
