"""What the tests of the HTTP/1.1 parser share: bytes in some segmentation, run through a `Parser`, and what came of it.

A driver behaves as a connection does: it hands over a buffer that is bigger than what it holds and is overwritten afterwards, and
as a server it goes on to the next request as soon as one is complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import Any, NamedTuple

from wirebird.errors import IncompleteBody, LimitExceeded, ProtocolError
from wirebird.models.limits import DEFAULT_LIMITS, Limits
from wirebird.models.message import CHUNKED, TUNNEL, UNTIL_CLOSE, Head, RequestHead, ResponseHead
from wirebird.protocol.http1_events import End, Event, State
from wirebird.protocol.http1_parser import Parser

_FRAMING = {CHUNKED: "chunked", UNTIL_CLOSE: "eof", TUNNEL: "tunnel"}


class Outcome(NamedTuple):
    """`events` with body pieces joined, or the `error`; `leftover` is what a client finds behind its message.

    `state` says HEAD for READY too: the two differ in speed alone.
    """

    events: list[Any]
    error: tuple[Any, ...] | None
    leftover: bytes
    state: State


def describe(head: Head) -> str:
    """A head in one line: `200 OK 1.1 keep 5`, or `GET / 1.1 keep 0 host=a` with `expect` and `upgrade=` where they apply."""
    framing = _FRAMING.get(head.length) or str(head.length)
    rest = f"{head.version} {'keep' if head.keep_alive else 'close'} {framing}"
    if isinstance(head, ResponseHead):
        return f"{head.status} {head.reason.decode('latin-1')} {rest}"
    if not isinstance(head, RequestHead):
        raise TypeError(f"{head!r} is not a head")
    line = f"{head.method.decode()} {head.target.decode()} {rest} host={head.host.decode()}"
    if head.expect_continue:
        line += " expect"
    if head.upgrade:
        line += f" upgrade={head.upgrade.decode('latin-1')}"
    return line


def blame(error: ProtocolError) -> tuple[Any, ...]:
    """What must not depend on how the bytes came: the class, the status to answer, and the numbers that go with it."""
    if isinstance(error, IncompleteBody):
        return (IncompleteBody, error.received, error.expected)
    if isinstance(error, LimitExceeded):
        return (LimitExceeded, error.status, error.limit)
    return (type(error), getattr(error, "status", None))


def whole(data: bytes) -> list[bytes]:
    return [data]


def every_byte(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def every_two(data: bytes) -> Iterator[list[bytes]]:
    """All the ways to cut once."""
    return ([data[:i], data[i:]] for i in range(1, len(data)))


def at_random(data: bytes, random: Random) -> list[bytes]:
    pieces = []
    pos = 0
    while pos < len(data):
        size = random.choice((1, 1, 2, 3, 5, 17, 64, 1000))
        pieces.append(data[pos : pos + size])
        pos += size
    return pieces


class Driver:
    """One connection's worth of reading.  `heads` keeps the head objects for those who want more than a line of them."""

    def __init__(
        self,
        role: str,
        method: bytes = b"GET",
        *,
        switching: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        in_place: bool = False,
    ) -> None:
        self.parser = Parser(server=role == "server", limits=limits)
        self.in_place = in_place
        self.events: list[Any] = []
        self.heads: list[Head] = []
        if role == "client":
            self.parser.expect(method, switching=switching)

    def receive(self, piece: bytes) -> None:
        parser = self.parser
        if self.in_place and parser.state is State.SIZED:
            into = piece[: parser.left]
            self._add([into] if into else [])
            self._add(parser.advance(len(into)))
            self._proceed()
            piece = piece[len(into) :]
            if not piece:
                return
        buffer = bytearray(piece + b"\r\n\r\n: behind the end\n")
        self._add(parser.receive(buffer, len(piece)))
        buffer[:] = bytes(len(buffer))
        self._proceed()

    def _proceed(self) -> None:
        while self.parser.server and self.parser.state is State.DONE:
            self._add(self.parser.proceed())

    def eof(self) -> None:
        self._add(self.parser.eof())

    def _add(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Head):
                self.heads.append(event)
                self.events.append(describe(event))
            elif isinstance(event, End):
                self.events.append(event)
            elif type(event) is not bytes or not event:
                raise TypeError(f"{event!r} is not an event")
            elif self.events and isinstance(self.events[-1], bytes):
                self.events[-1] += event
            else:
                self.events.append(event)


def run(
    role: str,
    pieces: Iterable[bytes],
    method: bytes = b"GET",
    *,
    eof: bool = False,
    switching: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    in_place: bool = False,
) -> Outcome:
    """Feed the pieces, and the end of the connection if `eof`.  After an error only complete messages count as events."""
    driver = Driver(role, method, switching=switching, limits=limits, in_place=in_place)
    error = None
    try:
        for piece in pieces:
            driver.receive(piece)
        if eof:
            driver.eof()
    except ProtocolError as caught:
        error = blame(caught)
        ends = [i for i, event in enumerate(driver.events) if isinstance(event, End)]
        del driver.events[ends[-1] + 1 if ends else 0 :]
    state = driver.parser.state
    return Outcome(driver.events, error, driver.parser.leftover, State.HEAD if state is State.READY else state)
