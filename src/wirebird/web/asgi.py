"""A web application as an ASGI 3 application (asgi.readthedocs.io), behind somebody else's server.

That server speaks HTTP, and its limits hold: of heads, of bodies, of time.  A request comes here as a scope; what is made of it
is an exchange like that of a server of our own, so that nothing of the application knows the difference.

A scope whose fields are no clean HTTP is answered 400, as a parser of our own would.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import quote

from ..errors import ConnectionLost, InvalidRequest, UsageError
from ..models.message import CHUNKED, RequestHead
from ..protocol.http1_heads import parse_request_head
from ..protocol.websocket_handshake import VERSION
from ..server.asgi_conversation import tells_of_leaving
from ..server.refusal import NOBODY, is_of_client, refusal, status_of
from .asgi_channel import AsgiChannel
from .asgi_exchange import AsgiExchange

if TYPE_CHECKING:
    from ..server.asgi_messages import Message, Receive, Scope, Send

__all__ = ["answer"]

# Fields that are between the client and the server in front.
_HOP: Final = frozenset({b"connection", b"upgrade", b"keep-alive", b"proxy-connection", b"http2-settings"})

# What a handshake is made of where the server in front has dealt with it.  The key of RFC 6455 1.3: nobody sees the answer to it.
_KEY: Final = b"dGhlIHNhbXBsZSBub25jZQ=="
_HANDSHAKE: Final = frozenset({b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions"})

# What a path may hold as it is (RFC 3986 3.3).
_PATH: Final = "/!$&'()*+,;=:@-._~"


class Application(Protocol):
    """What is to be served: a `web.Application`."""

    def freeze(self) -> None:
        """From now on it is as it is."""

    async def serve(self, exchange: AsgiExchange) -> None:
        """Answer one request."""

    async def startup(self) -> None:
        """Start."""

    async def shutdown(self) -> None:
        """End."""


async def answer(app: Application, scope: Scope, receive: Receive, send: Send) -> None:
    """Do what the scope asks `app` for.  Raises what the application raises, for the server to answer."""
    kind = scope["type"]
    if kind == "lifespan":
        await _live(app, receive, send)
    elif kind in ("http", "websocket"):
        await _serve(app, scope, receive, send)
    else:
        raise UsageError(f"scope must be of the type http, websocket or lifespan, not {kind!r}", argument="scope")


async def _live(app: Application, receive: Receive, send: Send) -> None:
    """The lifespan: startup, then shutdown."""
    while True:
        message = await receive()
        doing = message["type"]
        try:
            if doing == "lifespan.startup":
                await app.startup()
            else:
                await app.shutdown()
        except Exception as error:
            await send({"type": f"{doing}.failed", "message": f"{type(error).__name__}: {error}"})
            raise
        await send({"type": f"{doing}.complete"})
        if doing == "lifespan.shutdown":
            return


async def _serve(app: Application, scope: Scope, receive: Receive, send: Send) -> None:
    app.freeze()
    if scope["type"] == "websocket":
        first: Message = await receive()
        if first["type"] != "websocket.connect":
            return  # it has left already
    channel = AsgiChannel(scope, receive, send)
    try:
        head = request_head(scope)
    except InvalidRequest as error:
        exchange = AsgiExchange(channel, NOBODY, b"", monotonic())
        exchange.respond(error.status, *refusal(error.status, error.message))
        await exchange.flush()
        return
    exchange = AsgiExchange(channel, head, b"" if head.length == 0 else None, monotonic())
    channel.exchange = exchange
    failed = True
    try:
        try:
            await app.serve(exchange)
            failed = False
        except asyncio.CancelledError:
            if not channel.forgive_cancellation():
                raise
        except Exception as error:
            if not await _answer_failure(exchange, error):
                raise
        await exchange.flush()
        if not exchange.finished and not channel.gone and not failed:
            raise RuntimeError("the request was served without a whole response")
    finally:
        await channel.end(failed)


async def _answer_failure(exchange: AsgiExchange, error: Exception) -> bool:
    """The application has raised.  Answer what is its client's fault; False for what is the server's to answer."""
    if exchange.connection.gone and tells_of_leaving(error, exchange):
        return True
    if not is_of_client(error, exchange):
        if exchange.finished:
            await exchange.flush()  # it was answered all the same, with a page that shows what went wrong
        return False
    if exchange.websocket is not None:
        return True  # it has broken
    if isinstance(error, ConnectionLost) or not exchange.is_unsent():
        return False
    status = status_of(error)
    exchange.restart()
    exchange.respond(status, *refusal(status, getattr(error, "message", "")))
    return True


def request_head(scope: Scope) -> RequestHead:
    """The head of the request that `scope` tells of, as a parser would have read it.  Raises `InvalidRequest` if it is none."""
    websocket = scope["type"] == "websocket"
    version = str(scope.get("http_version", "1.1"))
    minor = 0 if version == "1.0" else 1
    drop = _HOP | _HANDSHAKE if websocket else _HOP
    fields: list[tuple[bytes, bytes]] = []
    cookies: list[bytes] = []
    names: set[bytes] = set()
    for raw_name, raw_value in scope.get("headers", ()):
        name, value = bytes(raw_name).lower(), bytes(raw_value)
        if name in drop or name[:1] == b":":
            continue
        names.add(name)
        if name == b"cookie":
            cookies.append(value)  # several in HTTP/2, of which there is one in HTTP/1.1 (RFC 9113 8.2.3)
        else:
            fields.append((name, value))
    if cookies:
        fields.append((b"cookie", b"; ".join(cookies)))
    if b"host" not in names and minor:
        fields.append((b"host", _host(scope)))
    if websocket:
        fields += [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]
        fields += [(b"sec-websocket-version", VERSION.encode()), (b"sec-websocket-key", _KEY)]
        offered = scope.get("subprotocols") or ()
        if b"sec-websocket-protocol" not in names and offered:
            fields.append((b"sec-websocket-protocol", ", ".join(offered).encode()))
    method = b"GET" if websocket else str(scope["method"]).encode()
    lines = b"".join([b"%b: %b\r\n" % field for field in fields])
    target = _target(scope)
    if lines.count(b"\n") != len(fields) or b"\n" in method or b"\n" in target:
        raise InvalidRequest("a line break in a field, the method or the path")
    head = parse_request_head(b"%b %b HTTP/1.%d\r\n%b\r\n" % (method, target, minor, lines))
    if version[:1] not in ("0", "1") and not websocket and b"content-length" not in names:
        head.length = CHUNKED  # RFC 9113 8.1: where it ends is known when it does
    return head


def _target(scope: Scope) -> bytes:
    """Path and query, without the path that the application is mounted at."""
    path = scope["path"]
    raw: bytes | None = scope.get("raw_path")
    root = scope.get("root_path") or ""
    if raw is None:
        raw = quote(path, safe=_PATH).encode()
    raw = raw.partition(b"?")[0]
    if root:
        mount = quote(root, safe=_PATH).encode()
        if raw.startswith(mount) and raw[len(mount) : len(mount) + 1] in (b"", b"/"):
            raw = raw[len(mount) :] or b"/"
        elif path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
            raw = quote(path[len(root) :] or "/", safe=_PATH).encode()
    query = scope.get("query_string") or b""
    return raw + b"?" + query if query else raw


def _host(scope: Scope) -> bytes:
    server = scope.get("server")
    if not server or server[1] is None:
        return b"localhost"
    host = str(server[0])
    return (f"[{host}]:{server[1]}" if ":" in host else f"{host}:{server[1]}").encode()
