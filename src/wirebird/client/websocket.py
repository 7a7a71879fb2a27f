"""A WebSocket that is to be opened: `client.websocket`, from its arguments to the connection (RFC 6455 4.1).

The handshake is a request like any other, which goes through the client's whole pipeline; `client/middleware/handshake.py` puts
its fields in, and looks at the 101.  What comes out of the pipeline then carries the connection, and it changes hands here.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..errors import InvalidHeader, InvalidURL, StatusError, UsageError, WirebirdError
from ..models.headers import HttpHeaders, check_value
from ..models.numbers import check_count
from ..models.url import as_http, hide_userinfo, parse_url
from ..net.websocket import WebSocket, check_options
from ..protocol.websocket_deflate import Deflate
from .caller import Caller
from .defaults import override
from .deferred import Deferred
from .reconnect import Reconnect, read_reconnect
from .reconnecting import Reconnecting
from .response import HttpResponse, status_error
from .upgraded import UpgradedResponse
from .websocket_offer import Offer

if TYPE_CHECKING:
    from types import TracebackType

    from yarl import URL

    from .connector import TCPConnector
    from .pauses import Pauses

__all__ = ["WebSocketCall", "prepare_websocket"]

# The body of a refusal is read up to here, so that it can be looked at when its connection is somebody else's.
_REFUSAL: Final = 65536

# Keywords of a request that a handshake has no use for.
_NO_PART: Final = ("data", "json", "json_serializer", "multipart", "files", "raise_for_status")

# Fields that would make it another handshake, or give it a body.
_RESERVED: Final = frozenset({"connection", "upgrade", "content-length", "transfer-encoding", "expect"})


class Client(Caller, Protocol):
    """What a WebSocket needs of its client."""

    connector: TCPConnector


def prepare_websocket(
    client: Client,
    url: str | URL,
    given: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    auto_pong: bool,
    protocols: Any,
    compression: Any,
    origin: str | None,
    reconnect: Any,
) -> WebSocketCall:
    """The call that the arguments of `client.websocket` stand for.

    `given` are those of its request, `settings` what `WebSocket.over` takes.  Raises `UsageError` for what is wrong with them.
    """
    for name in _NO_PART:
        if name in given:
            raise UsageError(f"{name} has no part in the handshake of a WebSocket", argument=name)
    check_options(**settings)
    if not isinstance(auto_pong, bool):
        raise UsageError(f"auto_pong must be True or False, not {auto_pong!r}", argument="auto_pong")
    target = as_http(parse_url(url))
    if target.raw_fragment:
        raise InvalidURL(f"url has a fragment, which a WebSocket cannot have: {hide_userinfo(str(url))}", argument="url")
    # The key is the business of each handshake; this one is for what it says beside that.
    handshake = Offer(protocols, _read_compression(compression)).handshake(bytes(16))
    fields = [field for field in handshake.fields() if field[0] != "Sec-WebSocket-Key"]
    request = {
        **given,
        "headers": _headers(given.get("headers"), fields, origin),
        "raise_for_status": False,
        "upgrade": Offer(handshake.protocols, handshake.deflate),
    }
    if (limit := given.get("max_redirects")) is not None:
        check_count("max_redirects", limit)
    client.prepare("GET", target, request)
    return WebSocketCall(client, target, request, {**settings, "auto_pong": auto_pong}, read_reconnect(reconnect))


def _read_compression(compression: Any) -> Deflate | None:
    if compression is True:
        return Deflate()
    if compression is False or compression is None:
        return None
    if isinstance(compression, Deflate):
        return compression
    raise UsageError(f"compression must be True, False or a Deflate, not {compression!r}", argument="compression")


def _headers(own: Any, fields: list[tuple[str, str]], origin: str | None) -> HttpHeaders:
    headers = HttpHeaders()
    if own is not None:
        override(headers, own)
    for name in headers:
        if name.lower() in _RESERVED or name.lower().startswith("sec-websocket-"):
            raise InvalidHeader(f"headers must not hold {name}: what a handshake is, is not for them to say", argument="headers")
    if origin is not None:
        if not isinstance(origin, str):
            raise UsageError(f"origin must be str, not {type(origin).__name__}", argument="origin")
        headers["Origin"] = check_value(origin, "origin")
    for name, value in fields:
        headers[name] = value
    return headers


class WebSocketCall(Deferred[WebSocket]):
    """A WebSocket that is opened when this is awaited or entered, once, and closed when it is left.

    Left by an exception it is closed with 1011; by a cancellation with 1001, and then nothing is waited for.
    """

    __slots__ = ("_client", "_given", "_reconnect", "_settings", "_socket", "url")

    def __init__(
        self,
        client: Client,
        url: URL,
        given: Mapping[str, Any],
        settings: Mapping[str, Any],
        reconnect: Reconnect | None = None,
    ) -> None:
        self._client = client
        self._started = False
        self._given = given
        self._settings = settings
        self._reconnect = reconnect
        self.url = url

    def __repr__(self) -> str:
        return f"<WebSocketCall {hide_userinfo(str(self.url))}>"

    @property
    def closed(self) -> bool:
        """Whether the client is."""
        return self._client.closed

    @property
    def pauses(self) -> Pauses:
        """The client's."""
        return self._client.pauses

    def __await__(self) -> Generator[Any, Any, WebSocket]:
        if self._reconnect is not None:
            raise UsageError("reconnect gives several WebSockets: async for ws in client.websocket(…)", argument="reconnect")
        self._start()
        return self.connect().__await__()

    def __aiter__(self) -> Reconnecting:
        if self._reconnect is None:
            raise UsageError("reconnect must be set to iterate over connections", argument="reconnect")
        self._start()
        return Reconnecting(self, self._reconnect)

    async def connect(self) -> WebSocket:
        """One handshake, and what comes of it."""
        general: Offer = self._given["upgrade"]
        offer = Offer(general.protocols, general.deflate)
        try:
            response = await self._client.perform("GET", self.url, {**self._given, "upgrade": offer})
            if not isinstance(response, UpgradedResponse):
                raise await _refused(response)
            return response.open_websocket(self._client.connector, **self._settings)
        finally:
            offer.end()

    async def __aenter__(self) -> WebSocket:
        self._socket = await self
        return self._socket

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._socket.__aexit__(kind, error, traceback)


async def _refused(response: HttpResponse) -> StatusError:
    """The error of an answer that opens no WebSocket, after its connection was let go of."""
    if response.status_code == 101:
        raise UsageError("a middleware answered with a 101 that carries no connection", argument="middlewares")
    request = response.request
    limit = request.options.max_body_size
    request.options = replace(request.options, max_body_size=_REFUSAL if limit is None else min(limit, _REFUSAL))
    try:
        response.limit(request.options.max_body_size)
        await response.content()
    except WirebirdError:
        await response.close()  # who wants to read it is told then
    return status_error(response, ", where 101 would open a WebSocket")
