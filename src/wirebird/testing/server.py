"""A server for tests: real sockets on a free port, in the loop of the test, gone when the test is over."""

from __future__ import annotations

import logging
import ssl as _ssl
from os import PathLike, fspath
from types import TracebackType

from ..errors import UsageError
from ..models.limits import DEFAULT_LIMITS, Limits
from ..models.message import Request
from ..server.asgi_messages import Application
from ..server.lifespan import LifespanMode
from ..server.server import Served, Server
from ..server.settings import Settings
from .delivery import Answerer
from .mock import MockTransport
from .server_apps import AsgiGuest, HandlerGuest, ServedGuest, is_handler, is_served
from .throwaway_tls import ThrowawayTLS

__all__ = ["TestServer"]

# How long a TLS peer may take to say goodbye when the server is closed, seconds.
_GOODBYE = 1.0

_log = logging.getLogger("wirebird.testing")


class TestServer:
    """Serves over real sockets while it is entered: `async with TestServer(app) as server`.

    app                a `web.Application`, an ASGI 3 application, `def handler(request) -> HttpResponse` (sync or async), or a
                       `MockTransport`
    host, port         where to listen, 127.0.0.1 and a free port
    path               a Unix socket to listen on in place of those
    ssl                an `ssl.SSLContext` for servers, or a `ThrowawayTLS`
    max_body_size      bytes of a request's body, 64 MiB, else 413; None for no limit
    limits             what a client may send: `Limits`
    keepalive_timeout  how long the next request on a connection is waited for, seconds, 75; more of a body that is read, 30
    shutdown_timeout   how long requests under way may take at the end before they are cancelled, seconds, 5
    lifespan           for ASGI: True if the application must have one, False to leave it alone, "auto" if it may
    root_path          for ASGI: where the application is mounted

    `requests` are those that arrived, with their bodies as bytes (None for ASGI and web, where the application reads them), and
    `errors` the exceptions of the application, which are logged too; the client gets 500.  Raises `UsageError` for a bad
    argument, `ApplicationError` if the application does not start.
    """

    __test__ = False  # not a class of tests, whatever its name

    def __init__(
        self,
        app: Served | Application | Answerer | MockTransport,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        path: str | PathLike[str] | None = None,
        ssl: _ssl.SSLContext | ThrowawayTLS | None = None,
        max_body_size: int | None = 64 * 1024 * 1024,
        limits: Limits | None = None,
        keepalive_timeout: float = 75.0,
        shutdown_timeout: float = 5.0,
        lifespan: LifespanMode = "auto",
        root_path: str = "",
    ) -> None:
        if ssl is not None and not isinstance(ssl, _ssl.SSLContext | ThrowawayTLS):
            raise UsageError(f"ssl must be an ssl.SSLContext or a ThrowawayTLS, not {ssl!r}", argument="ssl")
        self.host = host
        self.port = port
        self.path = fspath(path) if path is not None else None
        self.tls = ssl if isinstance(ssl, ThrowawayTLS) else None
        self.scheme = "https" if ssl is not None else "http"
        self.requests: list[Request] = []
        self.errors: list[BaseException] = []
        self._wanted_port = port
        self._ssl = ssl.server if isinstance(ssl, ThrowawayTLS) else ssl
        self._settings = Settings(
            max_body_size=max_body_size,
            limits=limits or DEFAULT_LIMITS,
            keepalive_timeout=keepalive_timeout,
            header_timeout=min(keepalive_timeout, 30.0),
        )
        self._shutdown_timeout = shutdown_timeout
        self._guest: AsgiGuest | HandlerGuest | ServedGuest
        if isinstance(app, MockTransport):
            self._guest = HandlerGuest(app.send, self)
        elif is_served(app):
            self._guest = ServedGuest(app, self)  # type: ignore[arg-type]
        elif is_handler(app):
            self._guest = HandlerGuest(app, self)  # type: ignore[arg-type]
        else:
            self._guest = AsgiGuest(app, self, root_path, lifespan)  # type: ignore[arg-type]
        self._server: Server | None = None

    def __repr__(self) -> str:
        return f"<TestServer {self.url() if self._server is not None else 'not running'}, {len(self.requests)} requests>"

    @property
    def is_running(self) -> bool:
        """Whether it listens."""
        return self._server is not None

    @property
    def authority(self) -> str:
        """`host:port`; a Unix socket has the name of this machine."""
        if self.path is not None:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def url(self, path: str = "/") -> str:
        """The URL of `path` here."""
        if not path.startswith("/"):
            raise UsageError(f"path must begin with /, not {path!r}", argument="path")
        return f"{self.scheme}://{self.authority}{path}"

    def failed(self, error: BaseException) -> None:
        """Take an exception of the application."""
        self.errors.append(error)
        _log.error("the application raised %s", type(error).__name__, exc_info=error)

    # -- start and stop ------------------------------------------------------------------------------------------------

    async def start(self) -> TestServer:
        """Start the application, and listen.  The same as entering."""
        if self._server is not None:
            raise UsageError(f"{self!r} is running already")
        server = Server(self._guest, self._settings, on_error=lambda _, error: self.failed(error))
        try:
            if self.path is not None:
                await server.listen(path=self.path, ssl=self._ssl)
            else:
                self.port = (await server.listen(self.host, self._wanted_port, ssl=self._ssl))[0][1]
        except BaseException:
            await server.close(self._shutdown_timeout)
            raise
        self._server = server
        return self

    async def close(self) -> None:
        """Stop listening, let requests under way end, and shut the application down; idempotent."""
        server, self._server = self._server, None
        if server is not None:
            await server.close(self._shutdown_timeout)

    async def __aenter__(self) -> TestServer:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
