"""One request and the way back, as whatever serves it sees it.

head = exchange.head
exchange.respond(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/plain\\r\\n", b"Hello")     a small response, in one write

await exchange.begin(head, None)                                                  any other
await exchange.write(b"...")
await exchange.finish()

websocket = exchange.accept_websocket(head)                                       another protocol
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from yarl import URL

from ..errors import InvalidRequest, UsageError
from ..models.message import CHUNKED, UNTIL_CLOSE, RequestHead, ResponseHead
from ..models.url import Destination, destination
from ..net.incoming import Incoming, Supply
from ..protocol.http1 import Writer
from ..protocol.http1_heads import check_scheme, parse_response_head
from ..protocol.http1_responses import response_framing
from .peer import address_of, host_of

if TYPE_CHECKING:
    from ..net.websocket import WebSocket
    from .forwarded import Seen, TrustedProxies

__all__ = ["Channel", "Exchange"]

_connection_field = re.compile(rb"^connection:[ \t]*([^\r\n]*)\r\n", re.IGNORECASE | re.MULTILINE)
_date_field = re.compile(rb"^date:", re.IGNORECASE | re.MULTILINE).search
_server_field = re.compile(rb"^server:", re.IGNORECASE | re.MULTILINE).search


# The lines of short bodies, ready.
_COUNT: Final = 512
_LENGTHS: Final = [b"Content-Length: %d\r\n" % size for size in range(_COUNT)]


class Channel(Supply, Protocol):
    """What an exchange needs of its connection: whether it is `secure`, by TLS, and `stamp`, the lines of Date and Server."""

    secure: bool
    stamp: Callable[[], bytes]

    @property
    def stopping(self) -> bool:
        """Whether the server is being closed."""

    @property
    def cancels(self) -> bool:
        """Whether a handler whose client has left is cancelled."""

    def authority(self) -> str:
        """`host:port` of this side, for a request that names none."""

    def listens_at(self) -> tuple[str, int | None]:
        """Address and port of this side; the path of a Unix socket, and None."""

    def part(self, exchange: Exchange) -> None:
        """Its response is complete: if its handler does not end in this turn of the loop, go on without it."""

    def may_go_on(self) -> bool:
        """Whether another request may follow."""

    def write(self, data: bytes) -> None:
        """Write, if there is somebody to read it."""

    async def send(self, data: bytes) -> None:
        """Write, and wait until the transport takes more.  Raises `ConnectionLost` if the client has left."""

    async def send_file(self, file: int, offset: int, count: int) -> int:
        """As much of an open file as can be sent without reading it, and how much that was.  Raises `ConnectionLost`."""

    def release(self) -> bytes:
        """Give the transport away to another protocol, with what has arrived for it."""

    def adopt(self, websocket: WebSocket) -> None:
        """Take note of what it was given to."""

    def abort(self) -> None:
        """Break it off."""

    def cancel(self) -> None:
        """Cancel the handler, if it waits."""

    def check_upgrade(self) -> None:
        """Raise `LimitExceeded`, with 503, if there are too many WebSockets."""


class Exchange:
    """A request that has arrived, and its response.

    `head` is the request's, `status` the response's, 0 before it is begun, `sent` counts the bytes of its body.  `left(lost)` is
    called if the client goes away meanwhile: `lost` says that it takes nothing any more.  `told()` is called if the server is
    closed meanwhile: a response without end should come to one.  `seen` is what trusted proxies say of the client, None if there
    are none.  If the handler may go on when its response is complete, `parted(exchange, task)` is set: it is called with the task
    in which it does, and the connection waits for it no longer.  `raised(error)` is called with what an application raised that
    answers for it itself.
    """

    # No slots: these keep their first value in a small request, or are not looked at before they are set, and cost it nothing.
    finished = False
    upgraded = False
    status = 0
    sent = 0
    left: Callable[[bool], None] | None = None
    told: Callable[[], None] | None = None
    parted: Callable[[Exchange, asyncio.Task[None]], None] | None = None
    raised: Callable[[Exception], None] | None = None
    seen: Seen | None = None
    websocket: WebSocket | None = None
    _body: Incoming | None = None
    _head = b""  # of the response, not written yet: it leaves with what comes first
    _writer: Writer | None = None  # None where the response has no body

    def __init__(self, connection: Channel, head: RequestHead, whole: bytes | None, began: float) -> None:
        self.connection = connection
        self.head = head
        self.began = began
        self.begun = False
        self.keep_alive = head.keep_alive
        self._whole = whole  # the body, if it is here already

    def __repr__(self) -> str:
        return f"<Exchange {self.head.method.decode()} {self.head.target.decode('latin-1')} {self.status or 'unanswered'}>"

    def look_behind(self, proxies: TrustedProxies) -> None:
        """Find out what trusted proxies say of the client.  Raises `InvalidRequest` if that cannot be told."""
        self.seen = proxies.look(self.connection.peer, self.head)
        if self.scheme == "http":
            check_scheme(self.head.target)

    @property
    def body(self) -> Incoming:
        """The body of the request, on its way."""
        if self._body is None:
            self._body = Incoming(None, self._whole) if self._whole else Incoming(self.connection)
            if self._whole == b"":
                self._body.finish(b"")
        return self._body

    @property
    def peer(self) -> str:
        """`host:port` of the client; the host alone where trusted proxies name it and do not say its port."""
        return self.connection.peer if self.seen is None else self.seen.peer

    @property
    def remote(self) -> str:
        """The address of the client, without its port; "unix" for a Unix socket."""
        return host_of(self.peer)

    @property
    def client(self) -> tuple[str, int] | None:
        """Address and port of the client, 0 for a port that is not known; None for a Unix socket, and for one that is hidden."""
        return address_of(self.peer)

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        if self.seen is not None and self.seen.scheme:
            return self.seen.scheme
        return "https" if self.connection.secure else "http"

    @property
    def authority(self) -> str:
        """`host[:port]` as it was asked for; that of this side if the request names none."""
        if self.seen is not None and self.seen.host:
            return self.seen.host
        return self.head.host.decode("latin-1") or self.connection.authority()

    @property
    def where(self) -> Destination:
        """The URL that was asked for (RFC 9110 7.1).  Raises `InvalidRequest` if its host is none."""
        target = self.head.target.decode("ascii")
        authority = self.authority
        try:
            if target.startswith("/"):
                return destination(URL(f"{self.scheme}://{authority}{target}", encoded=True))
            if target == "*":
                return replace(destination(URL(f"{self.scheme}://{authority}/", encoded=True)), target=target)
            return destination(URL(target, encoded=True))
        except ValueError as error:
            raise InvalidRequest(f"the request is for no host: {authority!r}") from error

    @property
    def stopping(self) -> bool:
        """Whether the server is being closed."""
        return self.connection.stopping

    @property
    def transport(self) -> Any:
        """The transport, though it may be a WebSocket's by now; None once it is closed, and where there is none."""
        websocket = self.websocket
        return getattr(self.connection if websocket is None else websocket.connection, "transport", None)

    def has_body(self) -> bool:
        """Whether the response has a body, as it has not after HEAD; known when it is begun."""
        return self._writer is not None

    def is_unsent(self) -> bool:
        """Whether nothing of the response has left, so that there can be another."""
        return not self.finished and (not self.begun or bool(self._head))

    def restart(self) -> None:
        """Forget the response of which nothing has left.  Raises `UsageError` for another."""
        if not self.is_unsent():
            raise UsageError("the response is on its way")
        self.begun = self.finished = False
        self._head = b""
        self._writer = None

    # -- a small response ----------------------------------------------------------------------------------------------

    def respond(self, status: int, head: bytes, body: bytes, stamp: bytes | None = None) -> None:
        """The whole response: `head` is its status line and its field lines, valid as they are, without any that frames it.

        `stamp` are the lines of Date and Server, the server's if it is None.  For a status that has a body.
        Raises `UsageError` if the response has begun already.
        """
        if self.begun:
            raise UsageError("the response has begun already")
        connection = self.connection
        if not self.keep_alive or not connection.may_go_on():
            self.keep_alive = False
            head += b"Connection: close\r\n"
        elif not self.head.minor:
            head += b"Connection: keep-alive\r\n"
        self.status = status
        self.begun = self.finished = True
        size = len(body)
        line = _LENGTHS[size] if size < _COUNT else b"Content-Length: %d\r\n" % size
        if stamp is None:
            stamp = connection.stamp()
        if self.head.method == b"HEAD":
            wire = b"".join((head, line, stamp, b"\r\n"))
        else:
            self.sent = size
            wire = b"".join((head, line, stamp, b"\r\n", body))
        connection.write(wire)

    # -- any response --------------------------------------------------------------------------------------------------

    async def begin(self, head: ResponseHead, size: int | None, stamp: bytes | None = None) -> None:
        """The head of the response; `size` is the length of its body, None if unknown, and `stamp` as for `respond`.

        Raises `InvalidResponse` for a head with two framings, `UsageError` where the size is not the one that it promises.
        """
        if self.begun:
            raise UsageError("the response has begun already")
        request = self.head
        head = parse_response_head(head.raw)  # as it is, not as whoever made it remembers it
        block, length = response_framing(head, request.method, request.minor, size)
        has_body = request.method != b"HEAD" and head.status not in (204, 304)
        if has_body and size is not None and length >= 0 and length < size:
            raise UsageError(f"the response promises a body of {length} bytes and has {size}", argument="body")
        tokens = [token.strip(b" \t") for token in b",".join(_connection_field.findall(block)).lower().split(b",")]
        self.keep_alive &= b"close" not in tokens and (length != UNTIL_CLOSE or not has_body) and self.connection.may_go_on()
        block = _connection_field.sub(b"", block)
        kept = b"Upgrade, " if b"upgrade" in tokens else b""  # RFC 9110 7.8: it goes with the field of that name
        if not self.keep_alive:
            block += b"Connection: %bclose\r\n" % kept
        elif kept or not request.minor:
            block += b"Connection: %bkeep-alive\r\n" % kept
        if stamp is None:
            stamp = self.connection.stamp()
        if stamp and (_date_field(block) or _server_field(block)):
            lines = stamp.splitlines(keepends=True)
            stamp = b"".join(lines[index] for index, there in enumerate((_date_field, _server_field)) if not there(block))
        self._head = b"HTTP/1.1%b%b%b\r\n" % (
            head.raw[8 : head.start],
            block,
            stamp,
        )  # whatever an origin spoke that it came from
        self._writer = Writer(length) if has_body else None
        self.status = head.status
        self.begun = True

    async def announce(self) -> None:
        """Have the head leave in the next turn of the loop, unless the first piece takes it along: that may be long in coming."""
        asyncio.get_running_loop().call_soon(self._announce)

    def _announce(self) -> None:
        head, self._head = self._head, b""
        if head:
            self.connection.write(head)

    async def write(self, data: bytes) -> None:
        """A piece of the body; nothing where there is none, as after HEAD.

        Raises `ConnectionLost` if the client has left, `UsageError` if it is more than was promised.
        """
        if self.finished or not self.begun:
            raise UsageError("the response is complete" if self.finished else "the response has not begun")
        wire = b""
        if self._writer is not None:
            wire = self._writer.data(data)
            self.sent += len(data)
        await self._send(wire)

    async def send_file(self, file: int, offset: int, count: int) -> int:
        """`count` bytes of an open file, which the operating system takes from there (sendfile(2)), as the next of the body.

        How many went: fewer where the file has no more, or where that is not possible, as over TLS.  What is missing may be
        written.  The head is written even if nothing else is.  Raises what `write` raises.
        """
        writer = self._writer
        if self._head or writer is None:
            await self._send(b"")
        if writer is None or writer.length == CHUNKED:
            return 0
        writer.check(count)
        sent = await self.connection.send_file(file, offset, count)
        writer.skip(sent)
        self.sent += sent
        return sent

    async def finish(self, trailers: bytes = b"") -> None:
        """The end of the response.  Raises `UsageError` if the body was shorter than was promised."""
        if self.finished or not self.begun:
            raise UsageError("the response is complete" if self.finished else "the response has not begun")
        ending = b""
        writer = self._writer
        if writer is not None:
            ending = writer.end(trailers if writer.length == CHUNKED else b"")
        self.finished = True
        await self._send(ending)

    def cut_short(self) -> None:
        """End the response here and now, whatever its handler is about to write; for one without a length.  Nobody waits."""
        if self.finished or not self.begun:
            raise UsageError("the response is complete" if self.finished else "the response has not begun")
        ending = self._writer.end(b"") if self._writer is not None else b""
        self.finished = True
        head, self._head = self._head, b""
        self.connection.write(head + ending)

    async def _send(self, data: bytes) -> None:
        head, self._head = self._head, b""
        await self.connection.send(head + data if head else data)

    def cancel(self) -> None:
        """Cancel the handler where it waits; not that of another exchange, which may have followed."""
        if getattr(self.connection, "exchange", self) is self:
            self.connection.cancel()

    # -- another protocol ----------------------------------------------------------------------------------------------

    def upgrade(self, head: bytes) -> bytes:
        """Answer 101 with this whole head: the connection is the caller's, and so is what has arrived behind the request.

        Raises `UsageError` if the response has begun already, `ConnectionLost` if the client has left, and `InvalidRequest` if
        the request has a body that is not read yet.
        """
        if self.begun:
            raise UsageError("the response has begun already")
        received = self.connection.release()
        self.begun = self.finished = self.upgraded = True
        self.keep_alive = False
        self.status = 101
        self.connection.write(head)
        return received

    def accept_websocket(self, head: bytes, **options: Any) -> WebSocket:
        """Answer 101 with this whole head, which completes the handshake: the WebSocket, with the `options` of `WebSocket.over`.

        The server knows of it: it is told 1001 when the server is closed, and is closed when the handler ends.  Raises what
        `WebSocket.over` raises, and `LimitExceeded`, which is a 503, if there are too many.
        """
        from ..net.websocket import WebSocket

        self.connection.check_upgrade()
        received = self.upgrade(head)
        try:
            websocket = WebSocket.over(self.connection, received, server=True, **options)  # type: ignore[arg-type]
        except BaseException:
            self.connection.abort()
            raise
        self.websocket = websocket
        self.connection.adopt(websocket)
        return websocket
