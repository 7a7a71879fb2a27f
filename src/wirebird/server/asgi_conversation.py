"""One HTTP exchange with an ASGI 3 application, whoever carries it: the scope, and what may be received and sent when.

The specification is at asgi.readthedocs.io, "HTTP & WebSocket" 2.5.  What an application sends is checked message by message; the
first that breaks the contract raises `ApplicationError` where it was sent, and again for the client if it was swallowed there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from enum import IntEnum
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import unquote

from ..errors import ConnectionLost, InvalidHeader, NetworkError, ProtocolError, UsageError, WirebirdError
from ..models.message import ResponseHead
from ..protocol.http1_heads import check_trailers
from ..protocol.http1_responses import encode_response, join_fields

__all__ = [
    "Application",
    "ApplicationError",
    "Carrier",
    "Conversation",
    "Message",
    "check_application",
    "http_scope",
    "tells_of_leaving",
]

Message: TypeAlias = "MutableMapping[str, Any]"
Receive: TypeAlias = "Callable[[], Awaitable[Message]]"
Send: TypeAlias = "Callable[[Message], Awaitable[None]]"
Application: TypeAlias = "Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]"

VERSIONS: Final = {"version": "3.0", "spec_version": "2.5"}


class ApplicationError(WirebirdError):
    """The application broke the contract of ASGI, or did not start."""


class Carrier(Protocol):
    """What carries the messages of a `Conversation`: to a client in this process, or over a connection."""

    async def next(self) -> tuple[bytes, bool]:
        """The next piece of the request's body, and whether more may follow.  Raises `NetworkError` if there will be none."""

    async def begin(self, head: ResponseHead, body: bytes, complete: bool) -> None:
        """The head of the response, and the first piece of its body; `complete` if that is all of it."""

    async def write(self, body: bytes) -> None:
        """A further piece.  Raises `ConnectionLost` if nobody wants it."""

    async def finish(self, trailers: bytes) -> None:
        """The end of a response that was not complete at once."""


class State(IntEnum):
    """What the application has to send next."""

    START = 0
    FIRST_BODY = 1
    BODY = 2
    TRAILERS = 3
    DONE = 4


class Conversation:
    """The two callables that an application is given, and what it said so far."""

    def __init__(self, carrier: Carrier) -> None:
        self.carrier = carrier
        self.state = State.START
        self.fault: ApplicationError | None = None
        self._gone = asyncio.Event()  # what `receive` says
        self._lost = False  # what `send` says
        self._receiving = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()  # somebody has asked for a piece of the request's body
        self._here = asyncio.Event()  # there is one, or will be none
        self._piece: tuple[bytes, bool] | None = None
        self._more = True
        self._head: ResponseHead | None = None
        self._has_trailers = False
        self._trailers: list[tuple[bytes, bytes]] = []

    async def run(self, application: Application, scope: MutableMapping[str, Any]) -> None:
        """Call the application.  Raises what it raises, and `ApplicationError` if it did not send a whole response."""
        try:
            await application(scope, self.receive, self.send)
            if self.fault is not None:
                raise self.fault
            if self.state is State.DONE or self._lost:
                return
            if self.state <= State.FIRST_BODY:
                raise ApplicationError("the application returned without a response")
            raise ApplicationError("the application returned before its response was complete")
        finally:
            if self._reading is not None:
                self._reading.cancel()
                await asyncio.wait([self._reading])
            self.disconnect()  # a task that the application left behind may still want to receive

    def disconnect(self, *, lost: bool = True) -> None:
        """The client has left; or, without `lost`, will send no more, and perhaps still reads."""
        self._lost = lost
        self._gone.set()
        if lost:
            self._here.set()

    async def _read(self) -> None:
        """Read the body of the request, each piece when it is asked for.

        In a task of its own: a `receive` that is cancelled, as by whoever looks whether the client is still there, loses nothing.
        """
        more = True
        try:
            while more:
                await self._wanted.wait()
                self._piece = await self.carrier.next()
                more = self._piece[1]
                self._wanted.clear()
                self._here.set()
        except NetworkError:
            pass
        finally:
            if more:
                self.disconnect()

    # -- what the application calls ------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """The next event: a piece of the request's body, or that the client has left."""
        async with self._receiving:
            if self._more and not self._lost and self.state is not State.DONE:
                if self._reading is None:
                    self._reading = asyncio.create_task(self._read())
                if self._piece is None:
                    self._wanted.set()
                    await self._here.wait()
                if self._piece is not None:
                    (body, self._more), self._piece = self._piece, None
                    self._here.clear()
                    return {"type": "http.request", "body": body, "more_body": self._more}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take an event of the response.  Raises `ApplicationError` if it may not be sent now, `ConnectionLost` to nobody."""
        if self._lost and self.state is not State.DONE:
            raise ConnectionLost("the client has left", phase="sending the response")
        try:
            await self._take(message)
        except ApplicationError as error:
            self.fault = self.fault or error
            raise

    async def _take(self, message: Message) -> None:
        kind = message.get("type") if isinstance(message, Mapping) else None
        state = self.state
        if state is State.START and kind == "http.response.start":
            self._head = _read_start(message)
            self._has_trailers = bool(message.get("trailers", False))
            self.state = State.FIRST_BODY
        elif state in (State.FIRST_BODY, State.BODY) and kind == "http.response.body":
            await self._take_body(message)
        elif state is State.TRAILERS and kind == "http.response.trailers":
            self._trailers += _read_fields(message)
            if not message.get("more_trailers", False):
                self.state = State.DONE
                await self.carrier.finish(_encode_trailers(self._trailers))
                self._end()
        else:
            raise ApplicationError(f"the application sent {kind!r} where {_EXPECTED[state]}")

    async def _take_body(self, message: Message) -> None:
        body = message.get("body", b"")
        if not isinstance(body, bytes | bytearray | memoryview):
            raise ApplicationError(f"the application sent a body that is {type(body).__name__}, not bytes")
        more = bool(message.get("more_body", False))
        first = self.state is State.FIRST_BODY
        self.state = State.BODY if more else State.TRAILERS if self._has_trailers else State.DONE
        if first and self._head is not None:
            await self.carrier.begin(self._head, bytes(body), self.state is State.DONE)
        else:
            if body:
                await self.carrier.write(bytes(body))
            if self.state is State.DONE:
                await self.carrier.finish(b"")
        if self.state is State.DONE:
            self._end()

    def _end(self) -> None:
        """The response is complete: to an application that listens, the end of the exchange."""
        self._gone.set()
        self._here.set()


_EXPECTED: Final = {
    State.START: "'http.response.start' comes first",
    State.FIRST_BODY: "'http.response.body' comes next",
    State.BODY: "'http.response.body' comes next",
    State.TRAILERS: "'http.response.trailers' comes next",
    State.DONE: "the response is complete already",
}


def _read_start(message: Message) -> ResponseHead:
    status = message.get("status")
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 999:
        raise ApplicationError(f"the application sent a status that is no number from 200 to 999: {status!r}")
    reason = HTTPStatus(int(status)).phrase if status in HTTPStatus._value2member_map_ else ""
    try:
        return encode_response(int(status), reason, _read_fields(message))
    except (UsageError, ProtocolError) as error:
        raise ApplicationError(f"the application sent a head that is none: {error}") from error


def _read_fields(message: Message) -> list[tuple[bytes, bytes]]:
    fields = []
    given = message.get("headers", ())
    if not isinstance(given, Iterable):
        raise ApplicationError(f"the application sent headers that are {type(given).__name__}")
    for field in given:
        if not isinstance(field, tuple | list) or len(field) != 2 or not all(isinstance(part, bytes) for part in field):
            raise ApplicationError(f"the application sent a header that is not a pair of bytes: {field!r}")
        fields.append((field[0], field[1]))
    return fields


def _encode_trailers(fields: list[tuple[bytes, bytes]]) -> bytes:
    try:
        return check_trailers(join_fields(fields) + b"\r\n", ProtocolError)
    except (InvalidHeader, ProtocolError) as error:
        raise ApplicationError(f"the application sent trailers that are none: {error}") from error


def http_scope(
    *,
    method: str,
    target: bytes,
    minor: int,
    scheme: str,
    fields: list[tuple[bytes, bytes]],
    root_path: str,
    client: tuple[str, int] | None,
    server: tuple[str, int | None],
    state: Mapping[str, Any],
) -> dict[str, Any]:
    """The connection scope of a request, with a copy of the lifespan's `state`."""
    if not target.startswith(b"/") and b"://" in target:
        rest = target.partition(b"://")[2]
        at = min((rest.find(mark) for mark in (b"/", b"?") if mark in rest), default=len(rest))
        target = rest[at:] if rest[at : at + 1] == b"/" else b"/" + rest[at:]
    raw_path, _, query = target.partition(b"?")
    return {
        "type": "http",
        "asgi": dict(VERSIONS),
        "http_version": f"1.{minor}",
        "method": method.upper(),
        "scheme": scheme,
        "path": unquote(raw_path.decode("latin-1")),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": root_path,
        "headers": [(name.lower(), value) for name, value in fields],
        "client": client,
        "server": server,
        "state": dict(state),
        "extensions": {"http.response.trailers": {}},
    }


def check_application(application: object) -> None:
    """Raise `UsageError` for what cannot be called."""
    if not callable(application):
        raise UsageError(f"app must be an ASGI application, not {type(application).__name__}", argument="app")


def tells_of_leaving(error: BaseException) -> bool:
    """Whether an application was told that its client has left, and passes it on: nothing to complain of."""
    return any(isinstance(one, ConnectionLost) for one in (error, error.__cause__, error.__context__))
