"""`aiohttp.test_utils`: an application, a server and a client for tests, over real sockets; and requests without a connection."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import socket
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from types import GenericAlias
from typing import Any, NoReturn, Self
from unittest import IsolatedAsyncioTestCase

from yarl import URL

from ...errors import UsageError
from .call import Awaited
from .client import ClientSession
from .client_reqrep import ClientResponse
from .client_ws import ClientWebSocketResponse
from .cookiejar import CookieJar
from .mocked_request import make_mocked_coro, make_mocked_request
from .web_app import Application
from .web_runner import AppRunner, BaseRunner, ServerRunner, SockSite
from .web_server import Server

__all__ = [
    "AioHTTPTestCase",
    "BaseTestServer",
    "RawTestServer",
    "TestClient",
    "TestServer",
    "loop_context",
    "make_mocked_coro",
    "make_mocked_request",
    "setup_test_loop",
    "teardown_test_loop",
    "unittest_run_loop",
    "unused_port",
]


def get_port_socket(host: str, port: int, family: socket.AddressFamily) -> socket.socket:
    """A socket that is bound to a port, 0 for any."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    return sock


def get_unused_port_socket(host: str, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """A socket that is bound to a port that was free."""
    return get_port_socket(host, 0, family)


def unused_port() -> int:
    """A port that nobody uses at the moment."""
    with get_port_socket("127.0.0.1", 0, socket.AF_INET) as sock:
        port: int = sock.getsockname()[1]
        return port


class BaseTestServer(ABC):
    """A server for a test: `async with`, or `start_server()` and `close()`."""

    __test__ = False

    def __init__(
        self,
        *,
        scheme: str = "",
        loop: asyncio.AbstractEventLoop | None = None,
        host: str = "127.0.0.1",
        port: int | None = None,
        skip_url_asserts: bool = False,
        socket_factory: Callable[[str, int, socket.AddressFamily], socket.socket] = get_port_socket,
        **kwargs: Any,
    ) -> None:
        self.runner: BaseRunner | None = None
        self.host = host
        self.port = port
        self.scheme = scheme
        self.skip_url_asserts = skip_url_asserts
        self.socket_factory = socket_factory
        self._root: URL | None = None
        self._closed = False

    async def start_server(self, loop: asyncio.AbstractEventLoop | None = None, **kwargs: Any) -> None:
        """Listen on a port that is free; `kwargs` are those of the runner, and `ssl`."""
        if self.runner is not None:
            return
        tls = kwargs.pop("ssl", None)
        self.runner = await self._make_runner(handler_cancellation=True, **kwargs)
        await self.runner.setup()
        try:
            is_v6 = ipaddress.ip_address(self.host).version == 6
        except ValueError:
            is_v6 = False
        sock = self.socket_factory(self.host, self.port or 0, socket.AF_INET6 if is_v6 else socket.AF_INET)
        named = f"[{self.host}]" if is_v6 else self.host
        self.host, self.port = sock.getsockname()[:2]
        await SockSite(self.runner, sock=sock, ssl_context=tls).start()
        self.scheme = self.scheme or ("https" if tls else "http")
        self._root = URL(f"{self.scheme}://{named}:{self.port}")

    @abstractmethod
    async def _make_runner(self, **kwargs: Any) -> BaseRunner:
        """What runs."""

    def make_url(self, path: str | URL) -> URL:
        """The URL of `path` here."""
        if self._root is None:
            raise RuntimeError("the server is not running")
        if self.skip_url_asserts:
            return URL(f"{self._root}{path}")
        url = URL(path)
        if url.absolute:
            raise UsageError(f"path must be relative, not {path!r}", argument="path")
        return self._root.join(url)

    @property
    def started(self) -> bool:
        """Whether it was started."""
        return self.runner is not None

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    @property
    def handler(self) -> Any:
        """The `web.Server`."""
        return self.runner.server if self.runner is not None else None

    async def close(self) -> None:
        """Stop; idempotent."""
        if self.runner is not None and not self._closed:
            await self.runner.cleanup()
            self._root = None
            self.port = None
            self._closed = True

    def __enter__(self) -> NoReturn:
        raise TypeError("Use async with instead")

    def __exit__(self, *error: object) -> None:  # noqa: B027 - never entered
        """It is never entered."""

    async def __aenter__(self) -> Self:
        await self.start_server()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


class TestServer(BaseTestServer):
    """A server for an application."""

    def __init__(
        self, app: Application, *, scheme: str = "", host: str = "127.0.0.1", port: int | None = None, **kwargs: Any
    ) -> None:
        self.app = app
        super().__init__(scheme=scheme, host=host, port=port, **kwargs)

    async def _make_runner(self, **kwargs: Any) -> BaseRunner:
        return AppRunner(self.app, **kwargs)


class RawTestServer(BaseTestServer):
    """A server for a handler."""

    def __init__(
        self, handler: Any, *, scheme: str = "", host: str = "127.0.0.1", port: int | None = None, **kwargs: Any
    ) -> None:
        self._handler = handler
        super().__init__(scheme=scheme, host=host, port=port, **kwargs)

    async def _make_runner(self, debug: bool = True, **kwargs: Any) -> BaseRunner:
        return ServerRunner(Server(self._handler, debug=debug, **kwargs))


class TestClient:
    """A session whose paths are those of a server, which it starts and closes with itself."""

    __test__ = False
    __class_getitem__: Any = classmethod(GenericAlias)

    def __init__(
        self,
        server: BaseTestServer,
        *,
        cookie_jar: Any = None,
        loop: asyncio.AbstractEventLoop | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(server, BaseTestServer):
            raise TypeError(f"server must be TestServer instance, found type: {type(server)!r}")
        self._server = server
        self._session = ClientSession(cookie_jar=CookieJar(unsafe=True) if cookie_jar is None else cookie_jar, **kwargs)
        self._closed = False
        self._responses: list[ClientResponse] = []
        self._websockets: list[ClientWebSocketResponse] = []

    @property
    def host(self) -> str:
        """Where the server is."""
        return self._server.host

    @property
    def port(self) -> int | None:
        """Its port."""
        return self._server.port

    @property
    def server(self) -> BaseTestServer:
        """The server."""
        return self._server

    @property
    def app(self) -> Any:
        """Its application, None if it has none."""
        return getattr(self._server, "app", None)

    @property
    def session(self) -> ClientSession:
        """The session; it knows nothing of the server."""
        return self._session

    async def start_server(self) -> None:
        """Start the server."""
        await self._server.start_server()

    def make_url(self, path: str | URL) -> URL:
        """The URL of `path` at the server."""
        return self._server.make_url(path)

    def request(self, method: str, path: str | URL, **kwargs: Any) -> Awaited[ClientResponse]:
        """What `ClientSession.request` gives."""
        return Awaited(self._request(method, path, kwargs))

    async def _request(self, method: str, path: str | URL, kwargs: dict[str, Any]) -> ClientResponse:
        response = await self._session.request(method, self.make_url(path), **kwargs)
        self._responses.append(response)
        return response

    def get(self, path: str | URL, **kwargs: Any) -> Awaited[ClientResponse]:
        """GET."""
        return self.request("GET", path, **kwargs)

    def post(self, path: str | URL, **kwargs: Any) -> Awaited[ClientResponse]:
        """POST."""
        return self.request("POST", path, **kwargs)

    def options(self, path: str | URL, **kwargs: Any) -> Awaited[ClientResponse]:
        """OPTIONS."""
        return self.request("OPTIONS", path, **kwargs)

    def head(self, path: str | URL, **kwargs: Any) -> Awaited[ClientResponse]:
        """HEAD; redirects are not followed."""
        return self.request("HEAD", path, **{"allow_redirects": False, **kwargs})

    def put(self, path: str | URL, **kwargs: Any) -> Awaited[ClientResponse]:
        """PUT."""
        return self.request("PUT", path, **kwargs)

    def patch(self, path: str | URL, **kwargs: Any) -> Awaited[ClientResponse]:
        """PATCH."""
        return self.request("PATCH", path, **kwargs)

    def delete(self, path: str | URL, **kwargs: Any) -> Awaited[ClientResponse]:
        """DELETE."""
        return self.request("DELETE", path, **kwargs)

    def ws_connect(self, path: str | URL, **kwargs: Any) -> Awaited[ClientWebSocketResponse]:
        """What `ClientSession.ws_connect` gives."""
        return Awaited(self._ws_connect(path, kwargs))

    async def _ws_connect(self, path: str | URL, kwargs: dict[str, Any]) -> ClientWebSocketResponse:
        websocket = await self._session.ws_connect(self.make_url(path), **kwargs)
        self._websockets.append(websocket)
        return websocket

    async def close(self) -> None:
        """Close what was opened, the session, and the server; idempotent."""
        if self._closed:
            return
        self._closed = True
        for response in self._responses:
            response.close()
        for websocket in self._websockets:
            await websocket.close()
        await self._session.close()
        await self._server.close()

    def __enter__(self) -> NoReturn:
        raise TypeError("Use async with instead")

    def __exit__(self, *error: object) -> None:
        """It is never entered."""

    async def __aenter__(self) -> Self:
        await self.start_server()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


class AioHTTPTestCase(IsolatedAsyncioTestCase):
    """A test case with `app`, that which `get_application` gives, `server` and `client`."""

    async def get_application(self) -> Application:
        """The application; to be overridden."""
        return self.get_app()

    def get_app(self) -> Application:
        """The older way to say which."""
        raise RuntimeError("Did you forget to define get_application()?")

    async def asyncSetUp(self) -> None:
        """Start."""
        self.loop = asyncio.get_running_loop()
        await self.setUpAsync()

    async def setUpAsync(self) -> None:
        """Start; the older name."""
        self.app = await self.get_application()
        self.server = await self.get_server(self.app)
        self.client = await self.get_client(self.server)
        await self.client.start_server()

    async def asyncTearDown(self) -> None:
        """End."""
        await self.tearDownAsync()

    async def tearDownAsync(self) -> None:
        """End; the older name."""
        await self.client.close()

    async def get_server(self, app: Application) -> TestServer:
        """The server for `app`."""
        return TestServer(app)

    async def get_client(self, server: TestServer) -> TestClient:
        """The client for `server`."""
        return TestClient(server)


def unittest_run_loop(func: Any, *args: Any, **kwargs: Any) -> Any:
    """It does nothing any more."""
    warnings.warn("Decorator `@unittest_run_loop` is no longer needed in aiohttp 3.8+", DeprecationWarning, stacklevel=2)
    return func


@contextlib.contextmanager
def loop_context(
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop, fast: bool = False
) -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop, which is closed at the end."""
    loop = setup_test_loop(loop_factory)
    try:
        yield loop
    finally:
        teardown_test_loop(loop, fast=fast)


def setup_test_loop(
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> asyncio.AbstractEventLoop:
    """An event loop, which is set as that of this thread."""
    loop = loop_factory()
    asyncio.set_event_loop(loop)
    return loop


def teardown_test_loop(loop: asyncio.AbstractEventLoop, fast: bool = False) -> None:
    """Close it."""
    if not loop.is_closed():
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
    if not fast:
        gc.collect()
    asyncio.set_event_loop(None)
