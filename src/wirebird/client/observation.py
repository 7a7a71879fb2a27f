"""Observers, and how they are told: the innermost layer of the pipeline of a client that has some.

The transport marks what it does on an `Observation`, the dial through it, and a response's body tells it what is read and how it
ends.  It never holds the response itself: the connection holds the body, the body holds the observation, and a response that
nobody else holds must be seen to be gone.

Whatever happens, `done` is told once for each exchange that began: when the body has arrived, when it is let go of, or when what
should have become a response was raised instead.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from inspect import iscoroutinefunction
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final

from ..errors import UsageError
from ..models.redaction import printable
from .exchange import STEPS, ConnectionInfo, Exchange, Observer
from .response import HttpResponse

if TYPE_CHECKING:
    from ..models.message import Request
    from ..pipeline import Handler
    from .http1 import Http1Connection

__all__ = ["Observation", "observed", "read_observers"]

_log: Final = logging.getLogger("wirebird")
_numbers = itertools.count(1)


def read_observers(observers: Sequence[Observer]) -> tuple[Observer, ...]:
    """The observers, checked.  Raises `UsageError` for what cannot be called, or would have to be awaited."""
    try:
        found = tuple(observers)
    except TypeError:
        raise UsageError(f"observers must be a list of callables, not {observers!r}", argument="observers") from None
    for observer in found:
        if not callable(observer) or isinstance(observer, type):
            raise UsageError(
                f"observers must be callables that take an exchange and a phase, not {observer!r}", argument="observers"
            )
        if iscoroutinefunction(observer) or iscoroutinefunction(type(observer).__call__):
            raise UsageError(f"observers must not be coroutine functions, as {observer!r} is", argument="observers")
    return found


def observed(send: Callable[..., Any], observers: tuple[Observer, ...], *, over_network: bool) -> Handler[Request, HttpResponse]:
    """`send`, with `observers` told of each exchange; over the network it takes the observation as `observed`."""

    async def observe(request: Request) -> HttpResponse:
        observation = Observation(request, observers)
        try:
            response: HttpResponse = await (send(request, observed=observation) if over_network else send(request))
            observation.answered(response)
        except BaseException as error:
            observation.ended(error, 0)
            # The frames in the traceback hold the observation.  Without this it would hold them, and all that is in them.
            observation.detach()
            raise
        return response

    return observe


class Observation:
    """What is seen of one exchange on its way; a `Watcher` of its body."""

    __slots__ = ("_began", "_exchange", "_faulty", "_observers")

    def __init__(self, request: Request, observers: tuple[Observer, ...]) -> None:
        self._exchange: Exchange | None = None
        self._observers = observers
        self._faulty: list[object] = []
        self._began = 0.0  # when the request began to be written
        self._exchange = Exchange(request.copy(), time(), monotonic())
        self._tell("started")

    # -- told by the transport -----------------------------------------------------------------------------------------

    def mark(self, phase: str) -> None:
        """A phase is over, or a step within one is."""
        exchange = self._exchange
        if exchange is None or "done" in exchange.marks:
            return
        if phase in STEPS:
            self._hand_on("step", phase)
            return
        exchange.marks[phase] = monotonic()
        if phase == "sent" and isinstance(exchange.request.body, bytes):
            exchange.sent = len(
                exchange.request.body
            )  # what was counted had the framing of chunks in it, if the caller asked for it
        self._tell(phase)

    def written(self, connection: Http1Connection, head: bytes, now: float) -> None:
        """The request begins to be written on `connection`, with this head; `now` is `time.monotonic`."""
        exchange = self._exchange
        if exchange is None:
            return
        exchange.connection = connection.facts = connection.facts or _facts(connection)
        exchange.reused = connection.requests > 0
        exchange.head = head
        self._began = now
        if "queued" not in exchange.marks:
            self.mark("queued")
        self.mark("ready")
        if isinstance(exchange.request.body, bytes) and exchange.request.body:
            self._hand_on("request_data", exchange.request.body)

    def count(self, size: int) -> None:
        """`size` bytes of the body were written."""
        if self._exchange is not None:
            self._exchange.sent += size

    def uploaded(self, piece: bytes) -> None:
        """A piece of a body that is not simply bytes was written."""
        if self._exchange is not None:
            self._exchange.sent += len(piece)
            self._hand_on("request_data", piece)

    def again(self, request: Request) -> None:
        """The request goes out once more, on another connection or without its expectation."""
        exchange = self._exchange
        if exchange is not None:
            exchange.request = request.copy()
            exchange.marks = {"started": exchange.marks["started"]}
            exchange.connection, exchange.reused, exchange.head = None, False, b""
            exchange.sent = 0
            exchange.attempt += 1

    # -- the response --------------------------------------------------------------------------------------------------

    def answered(self, response: HttpResponse) -> None:
        """The head is here, the body perhaps."""
        exchange = self._exchange
        if exchange is None:
            return
        exchange.response = HttpResponse(response.head, None, exchange.request, None, response.elapsed)
        exchange.marks["first_byte"] = self._began + response.elapsed if self._began else monotonic()
        self._tell("first_byte")
        body, incoming = response._body, response._incoming
        if body is not None:
            if body:
                self._hand_on("response_data", body)
            self.ended(None, len(body))
        elif incoming is not None:
            incoming.watch(self)
        else:
            self.ended(None, 0)

    def read(self, piece: bytes) -> None:
        """The caller was given a piece of the body."""
        self._hand_on("response_data", piece)

    def ended(self, error: BaseException | None, received: int) -> None:
        """The exchange is over; that counts once."""
        exchange = self._exchange
        if exchange is None or "done" in exchange.marks:
            return
        exchange.error = error
        exchange.received = received
        exchange.marks["done"] = monotonic()
        self._tell("done")

    def detach(self) -> None:
        """Let go of the exchange, of which there is no more to tell."""
        self._exchange = None

    # -- the observers -------------------------------------------------------------------------------------------------

    def _tell(self, phase: str) -> None:
        for observer in self._observers:
            self._call(observer, observer, phase)

    def _hand_on(self, method: str, data: str | bytes) -> None:
        for observer in self._observers:
            if (taker := getattr(observer, method, None)) is not None:
                self._call(observer, taker, data)

    def _call(self, observer: object, method: Callable[[Exchange, Any], object], argument: str | bytes) -> None:
        """Call an observer.  What it raises is its own affair: said once for each exchange, and never heard by the request."""
        if self._exchange is None:
            return
        try:
            method(self._exchange, argument)
        except (Exception, asyncio.CancelledError) as error:
            if observer not in self._faulty:
                self._faulty.append(observer)
                _log.error("the observer %r raised %s", observer, type(error).__name__, exc_info=error)


def _facts(connection: Http1Connection) -> ConnectionInfo:
    """What there is to know of a connection, asked for once."""
    ask = connection.transport.get_extra_info  # type: ignore[union-attr]
    tls = ask("ssl_object")
    cipher = tls.cipher() if tls is not None else None
    return ConnectionInfo(
        next(_numbers),
        connection.peer,
        _address(ask("peername")),
        _address(ask("sockname")),
        tls.version() if tls is not None else None,
        cipher[0] if cipher else None,
        tls.selected_alpn_protocol() if tls is not None else None,
        _subject(tls) if tls is not None else None,
    )


def _address(name: Any) -> tuple[str, int] | None:
    """The host and port of a socket address; a Unix socket has none."""
    return (name[0], name[1]) if isinstance(name, tuple) and len(name) >= 2 else None


def _subject(tls: Any) -> str | None:
    """The subject of the peer's certificate as text, the most special part first (RFC 4514 2.1)."""
    try:
        certificate = tls.getpeercert()
    except (OSError, ValueError):  # whatever may be in a certificate: it was accepted, and this is only to be shown
        return None
    if not certificate:
        return None
    return printable(", ".join(f"{kind}={value}" for part in reversed(certificate.get("subject", ())) for kind, value in part))
