"""Requests that came over no connection, for tests of handlers: `aiohttp.test_utils.make_mocked_request`."""

from __future__ import annotations

import inspect
from time import monotonic
from typing import Any, Final
from unittest import mock
from urllib.parse import quote

from multidict import CIMultiDict

from ...errors import ConnectionLost
from ...models.headers import encode_fields
from ...protocol.http1_heads import parse_request_head
from ...server.exchange import Exchange
from .helpers import sentinel
from .http import HttpVersion, HttpVersion11
from .route_defs import UrlMappingMatchInfo
from .signal import Signal
from .streams import StreamReader
from .web_app import Application
from .web_request import Request

__all__ = ["make_mocked_coro", "make_mocked_request"]

_AS_THEY_ARE: Final = "".join(map(chr, range(0x21, 0x7F)))


class _Nowhere:
    """The connection of a request that came over none: what is written is in `written`."""

    secure = False
    peer = "127.0.0.1:0"
    total_at = monotonic() + 1e9

    def __init__(self, transport: Any, sslcontext: Any) -> None:
        self.transport = transport
        self.secure = bool(sslcontext)
        self.written = bytearray()

    def stamp(self) -> bytes:
        """Neither Date nor Server."""
        return b""

    def authority(self) -> str:
        """This side."""
        return "127.0.0.1"

    def may_go_on(self) -> bool:
        """Nothing follows."""
        return False

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.written += data

    async def send(self, data: bytes) -> None:
        """Keep it."""
        self.written += data

    async def send_file(self, file: int, offset: int, count: int) -> int:
        """Nothing can be sent that way."""
        return 0

    def release(self) -> bytes:
        """There is no transport to give away."""
        raise ConnectionLost("a request without a connection")

    def check_upgrade(self) -> None:
        """There is nothing to check."""

    def abort(self) -> None:
        """There is nothing to break off."""


def make_mocked_request(
    method: str,
    path: str,
    headers: Any = None,
    *,
    match_info: Any = sentinel,
    version: HttpVersion = HttpVersion11,
    closing: bool = False,
    app: Any = None,
    writer: Any = sentinel,
    protocol: Any = sentinel,
    transport: Any = sentinel,
    payload: StreamReader | None = None,
    sslcontext: Any = None,
    client_max_size: int = 1024**2,
    client_max_fields: int = 1000,
    loop: Any = ...,
) -> Request:
    """A request that came over no connection, for tests of handlers; `app` and `transport` are mocks by default."""
    if transport is sentinel:
        transport = mock.Mock()
        known = {"sslcontext": sslcontext, "sockname": ("127.0.0.1", 80)}
        transport.get_extra_info.side_effect = lambda name, default=None: known.get(name, default)
    given: CIMultiDict[str] = CIMultiDict(headers or ())
    path = quote(path, safe=_AS_THEY_ARE)
    fields = [(name, value) for name, value in given.items() if name.lower() not in ("host", "connection")]
    named = path.split("/", 3)[2] if "://" in path else ""
    host = given.get("Host") or named or "127.0.0.1"
    connection = [("Connection", given["Connection"])] if "Connection" in given else []
    if closing and not connection:
        connection = [("Connection", "close")]
    line = f"{method.upper()} {path} HTTP/{version.major}.{version.minor}\r\n".encode()
    head = parse_request_head(line + encode_fields([("Host", host), *fields, *connection]) + b"\r\n")
    exchange = Exchange(_Nowhere(transport, sslcontext), head, b"", monotonic())  # type: ignore[arg-type]
    request = Request(exchange, client_max_size=client_max_size, client_max_fields=client_max_fields)
    if headers is None or "Host" not in given:
        # Nobody has named a host: what a handler sees of the fields is what was given.
        request.__dict__["headers"] = type(request.headers)(given)
        request.__dict__["raw_headers"] = tuple((name.encode(), value.encode()) for name, value in given.items())
    if payload is not None:
        request.__dict__["content"] = payload
    for name, one in (("writer", writer), ("protocol", protocol)):
        if one is not sentinel:
            request.__dict__[name] = one
    request.match_info = UrlMappingMatchInfo({} if match_info is sentinel else match_info, mock.Mock())
    request.match_info.add_app(_mocked_app() if app is None else app)
    return request


def _mocked_app() -> Any:
    kept: dict[Any, Any] = {}
    app = mock.MagicMock(spec=Application)
    app.__getitem__.side_effect = kept.__getitem__
    app.__setitem__.side_effect = kept.__setitem__
    app.on_response_prepare = Signal(app)
    app.on_response_prepare.freeze()
    return app


def make_mocked_coro(return_value: Any = sentinel, raise_exception: Any = sentinel) -> Any:
    """A coroutine function that gives or raises what it is told, as a mock."""

    async def mock_coro(*args: Any, **kwargs: Any) -> Any:
        if raise_exception is not sentinel:
            raise raise_exception
        return await return_value if inspect.isawaitable(return_value) else return_value

    return mock.Mock(wraps=mock_coro)
