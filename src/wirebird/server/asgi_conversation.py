"""One HTTP exchange with an ASGI 3 application, whoever carries it: what may be received and sent when.

What an application sends is checked message by message; the first that breaks the contract raises `ApplicationError` where it was
sent, and again for the client if it was swallowed there.

A small response, which is a head and all of its body, is given to the carrier as one, and nothing is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Protocol

from ..errors import ConnectionLost, NetworkError
from .asgi_messages import (
    Application,
    ApplicationError,
    Message,
    Scope,
    Start,
    encode_trailers,
    read_body,
    read_fields,
    read_start,
)
from .refusal import is_of_client

if TYPE_CHECKING:
    from .exchange import Exchange

__all__ = ["Carrier", "Conversation", "State", "tells_of_leaving"]


class Carrier(Protocol):
    """What carries the messages of a `Conversation`: to a client in this process, or over a connection."""

    async def next(self) -> tuple[bytes, bool]:
        """The next piece of the request's body, and whether more may follow.  Raises `NetworkError` if there will be none.

        It may be cancelled, and asked again: nothing is lost.
        """

    def respond(self, start: Start, body: bytes) -> bool:
        """The whole response, in one write: whether that was possible."""

    async def begin(self, start: Start, body: bytes, complete: bool) -> None:
        """The head of the response, and the first piece of its body; `complete` if that is all of it."""

    async def write(self, body: bytes) -> None:
        """A further piece.  Raises `ConnectionLost` if nobody wants it."""

    async def send_path(self, start: Start, path: str, complete: bool) -> None:
        """The head of the response, and the file `path` for a body.  Raises `OSError` if there is none, and nothing is sent."""

    async def finish(self, trailers: bytes) -> None:
        """The end of a response that was not complete at once."""

    def ended(self) -> None:
        """The response is complete, and the application may go on."""


class State(IntEnum):
    """What the application has to send next."""

    START = 0
    FIRST_BODY = 1
    BODY = 2
    TRAILERS = 3
    DONE = 4


START, FIRST_BODY, BODY, TRAILERS, DONE = State


class Conversation:
    """The two callables that an application is given, and what it said so far.

    `paths` says that it may name a file to be sent.
    """

    __slots__ = (
        "_event",
        "_gone",
        "_has_trailers",
        "_lost",
        "_more",
        "_start",
        "_told",
        "_trailers",
        "carrier",
        "fault",
        "paths",
        "state",
    )

    def __init__(self, carrier: Carrier, *, paths: bool = False) -> None:
        self.carrier = carrier
        self.paths = paths
        self.state = START
        self.fault: ApplicationError | None = None
        self._gone = False  # what `receive` says
        self._lost = False  # what `send` says
        self._told = False  # whether `receive` has said it
        self._event: asyncio.Event | None = None  # set when it is gone, if somebody waits for that
        self._more = True
        self._start: Start | None = None
        self._has_trailers = False
        self._trailers: list[tuple[bytes, bytes]] | None = None

    async def run(self, application: Application, scope: Scope) -> None:
        """Call the application.  Raises what it raises, and `ApplicationError` if it did not send a whole response."""
        try:
            await application(scope, self.receive, self.send)
            if self.state is not DONE or self.fault is not None:
                self.check()
        finally:
            self.disconnect()  # a task that the application left behind may still want to receive

    def check(self) -> None:
        """The application has returned.  Raises `ApplicationError` if it did not send a whole response, or swallowed a fault."""
        if self.fault is not None:
            raise self.fault
        if self._lost or self.state is DONE:
            return
        if self._told:
            raise ConnectionLost("the client has left", phase="sending the response")
        if self.state <= FIRST_BODY:
            raise ApplicationError("the application returned without a response")
        raise ApplicationError("the application returned before its response was complete")

    def disconnect(self, lost: bool = True) -> None:
        """The client has left; or, without `lost`, will send no more, and perhaps still reads."""
        self._lost = lost
        self._gone = True
        if self._event is not None:
            self._event.set()

    # -- what the application calls ------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """The next event: a piece of the request's body, or that the client has left."""
        if self._more and not self._lost and self.state is not DONE:
            try:
                body, more = await self.carrier.next()
            except NetworkError:
                if not self._gone:
                    self.disconnect()
            else:
                if self._more and self.state is not DONE:
                    self._more = more
                    return {"type": "http.request", "body": body, "more_body": more}
        if not self._gone and self.state is not DONE:
            if self._event is None:
                self._event = asyncio.Event()
            await self._event.wait()
        self._told = True
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take an event of the response.  Raises `ApplicationError` if it may not be sent now, `ConnectionLost` to nobody."""
        state = self.state
        if self._lost and state is not DONE:
            raise ConnectionLost("the client has left", phase="sending the response")
        try:
            kind = message.get("type") if type(message) is dict or isinstance(message, Mapping) else None
            if state is START and kind == "http.response.start":
                self._start = read_start(message)
                self._has_trailers = bool(message.get("trailers", False))
                self.state = FIRST_BODY
            elif (state is FIRST_BODY or state is BODY) and kind == "http.response.body":
                body = message.get("body", b"")
                if type(body) is not bytes:
                    body = read_body(message)
                more = message.get("more_body", False)
                start = self._start
                if start is not None and not more and not self._has_trailers and self.carrier.respond(start, body):
                    self._end()
                else:
                    await self._take_body(body, more)
            elif state is FIRST_BODY and kind == "http.response.pathsend" and self.paths:
                await self._take_path(message)
            elif state is TRAILERS and kind == "http.response.trailers":
                await self._take_trailers(message)
            else:
                raise ApplicationError(f"the application sent {kind!r} where {_EXPECTED[state]}")
        except ApplicationError as error:
            self.fault = self.fault or error
            raise

    async def _take_body(self, body: bytes, more: bool) -> None:
        state = self.state = BODY if more else TRAILERS if self._has_trailers else DONE
        start, self._start = self._start, None
        if start is not None:
            await self.carrier.begin(start, body, state is DONE)
        else:
            if body:
                await self.carrier.write(body)
            if state is DONE:
                await self.carrier.finish(b"")
        if state is DONE:
            self._end()

    async def _take_path(self, message: Message) -> None:
        path = message.get("path")
        if not isinstance(path, str) or not path or "\0" in path:
            raise ApplicationError(f"the application sent a path that is none: {path!r}")
        complete = not self._has_trailers
        await self.carrier.send_path(self._start, path, complete)  # type: ignore[arg-type]
        self._start = None
        self.state = TRAILERS
        if complete:
            self._end()

    async def _take_trailers(self, message: Message) -> None:
        self._trailers = (self._trailers or []) + read_fields(message)
        if not message.get("more_trailers", False):
            self.state = DONE
            await self.carrier.finish(encode_trailers(self._trailers))
            self._end()

    def _end(self) -> None:
        """The response is complete: to an application that listens, the end of the exchange."""
        self.state = DONE
        self._gone = True
        if self._event is not None:
            self._event.set()
        self.carrier.ended()


_EXPECTED: Final = {
    START: "'http.response.start' comes first",
    FIRST_BODY: "'http.response.body' comes next",
    BODY: "'http.response.body' comes next",
    TRAILERS: "'http.response.trailers' comes next",
    DONE: "the response is complete already",
}


def tells_of_leaving(error: BaseException, exchange: Exchange | None = None) -> bool:
    """Whether an application was told that its client has left, and passes it on: nothing to complain of.

    That somebody else has left, whose client the application itself is, is another matter where the `exchange` is known.
    """
    causes = [one for one in (error, error.__cause__, error.__context__) if isinstance(one, ConnectionLost)]
    return any(exchange is None or is_of_client(one, exchange) for one in causes)
