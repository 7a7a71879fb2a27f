"""An application, a server for it, and a client for the server: all three in one `async with`."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from ..client.client import HTTPClient
from ..client.connector import TCPConnector
from ..errors import UsageError
from ..server.asgi_messages import Application
from .delivery import Answerer
from .mock import MockTransport
from .server import TestServer

__all__ = ["TestClient"]


class TestClient:
    """A `TestServer` for `app`, and an `HTTPClient` whose `base_url` is that server: `async with TestClient(app) as client`.

    app             what `TestServer` takes, or a `TestServer` that is not running, for one with options of its own
    client_options  what `HTTPClient` takes, but for `base_url`

    Entering gives the client; `server` is the server.  The client trusts the certificate of a server with a `ThrowawayTLS`, and
    finds the one on a Unix socket, unless it is given a `connector`.
    """

    __test__ = False  # not a class of tests, whatever its name

    def __init__(self, app: Application | Answerer | MockTransport | TestServer, **client_options: Any) -> None:
        if "base_url" in client_options:
            raise UsageError("base_url is that of the server", argument="base_url")
        self.server = app if isinstance(app, TestServer) else TestServer(app)
        self._options = client_options
        self._client: HTTPClient | None = None

    def __repr__(self) -> str:
        return f"<TestClient of {self.server!r}>"

    async def __aenter__(self) -> HTTPClient:
        server = await self.server.start()
        try:
            options = dict(self._options)
            if "connector" not in options and (server.tls is not None or server.path is not None):
                options["connector"] = TCPConnector(ssl=server.tls.client if server.tls is not None else None, uds=server.path)
            self._client = HTTPClient(base_url=server.url(), **options)
        except BaseException:
            await server.close()
            raise
        return self._client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        try:
            if client is not None:
                await client.close()
        finally:
            await self.server.close()
