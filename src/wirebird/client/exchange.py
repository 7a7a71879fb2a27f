"""One exchange, for those who watch: a request, its response, and when each phase of it was over.

Every hop of a redirect, every attempt of a retry and every round of an authentication is an exchange of its own.  The phases, in
their order; those that did not happen have no mark:

    started      the transport has the request
    queued       there is a connection for it, or a slot to open one in
    dns          the name is resolved
    connect      the transport is connected, to the origin or the proxy
    tls          the handshake is done
    sent         the request is written whole
    first_byte   the head of the response is here
    done         the body is complete, or let go of, or the exchange failed

The marks are on the clock of `time.monotonic`.  `timings` derives from them what the HAR format calls so (HAR 1.2, "timings").
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from ..errors import BodyConsumed
from ..models.redaction import printable, shown_url

if TYPE_CHECKING:
    from ..models.message import Request
    from .response import HttpResponse

__all__ = ["PHASES", "STEPS", "ConnectionInfo", "Exchange", "Observer"]

PHASES: Final = ("started", "queued", "dns", "connect", "tls", "sent", "first_byte", "done")

# What happens within a phase, for observers that want to know it: the method `step` of one that has it is called with these.
#
#     waiting            every connection and slot that the request could have is in use
#     dns_hit, dns_miss  the addresses of the name are remembered, or not
#     dns_ask            the resolver is asked
#     ready              there is a connection, and the request is about to be written: `connection`, `reused`, `head` are known
STEPS: Final = ("waiting", "dns_hit", "dns_miss", "dns_ask", "ready")


class ConnectionInfo(NamedTuple):
    """The connection that an exchange went over.

    `id` is a number that no other connection of this process has.  `peer` is the `host:port` that was dialled, `remote` and
    `local` are the addresses of its two ends, `(host, port)`, None for a Unix socket.  The rest is None without TLS: its
    version, the cipher suite, the protocol agreed on by ALPN (RFC 7301), and the subject of the peer's certificate (also None if
    it was not verified).
    """

    id: int
    peer: str
    remote: tuple[str, int] | None
    local: tuple[str, int] | None
    tls_version: str | None
    cipher: str | None
    alpn: str | None
    subject: str | None


class Exchange:
    """A request on its way, and the response to it.

    request     a copy of the request as it is sent, cookies and credentials included
    response    status and headers of the response, without its body; None before `first_byte`
    error       what the exchange failed with; None before `done`, and if it did not fail.  `BodyConsumed` for a response that was
                closed, or forgotten, before its body had arrived; `asyncio.CancelledError` if that was because of a cancellation
    started     when it began, seconds since the epoch
    marks       when each phase was over, by name, on the clock of `time.monotonic`
    connection  the `ConnectionInfo`; None before the request is written, and where something stands in for the network
    reused      whether the connection had carried a request before
    attempt     how many times the request was written: 2 after a connection that turned out to be closed, or a 417
    sent        bytes of the request's body that were written, coded as they are sent, without the framing of chunks
    received    the same of the response's body, once it is done
    head        the head of the request as bytes; empty before it is written
    notes       for observers: what one wants to keep with the exchange, by itself as the key
    """

    __slots__ = (
        "attempt",
        "connection",
        "error",
        "head",
        "marks",
        "notes",
        "received",
        "request",
        "response",
        "reused",
        "sent",
        "started",
    )

    def __init__(self, request: Request, started: float, mark: float) -> None:
        self.request = request
        self.response: HttpResponse | None = None
        self.error: BaseException | None = None
        self.started = started
        self.marks = {"started": mark}
        self.connection: ConnectionInfo | None = None
        self.reused = False
        self.attempt = 1
        self.sent = 0
        self.received = 0
        self.head = b""
        self.notes: dict[Any, Any] = {}

    def __repr__(self) -> str:
        """One line: what was asked, what came of it, and where the time went, in milliseconds; without secrets."""
        request = self.request
        status = f" {self.response.status_code}" if self.response is not None else ""
        parts = " | ".join(f"{phase} {seconds * 1000:.1f}" for phase, seconds in self.timings.items())
        shown = f"{printable(request.method)} {shown_url(request.destination)}"
        return f"<Exchange {shown}{status} {self.outcome}, {self.duration * 1000:.1f} ms: {parts}>"

    @property
    def outcome(self) -> str:
        """`pending`; `complete`; `closed` if the body was let go of before its end; `cancelled`; or `failed`."""
        if "done" not in self.marks:
            return "pending"
        if self.error is None:
            return "complete"
        if self.response is not None and isinstance(self.error, BodyConsumed):
            return "closed"
        return "cancelled" if isinstance(self.error, (asyncio.CancelledError, GeneratorExit)) else "failed"

    @property
    def duration(self) -> float:
        """Seconds from the start to the end, or to the last phase so far."""
        return max(self.marks.values()) - self.marks["started"]

    @property
    def timings(self) -> dict[str, float]:
        """Seconds in each stage that there was, in their order, as HAR names them; but for `ssl` they add up to `duration`.

            blocked      waiting for a connection or a slot; with that, what an earlier attempt took
            dns          resolving the name
            connect      TCP, the proxy's handshakes, TLS
            ssl          the part of `connect` that was TLS
            send         writing the request
            wait         from the end of the request to the head of the response
            receive      the body

        The stage in which an exchange failed ends with it.
        """
        marks = self.marks
        at = marks["started"]
        found: dict[str, float] = {}

        def stage(name: str, end: float | None) -> None:
            nonlocal at
            if end is not None:
                found[name] = max(0.0, end - at)
                at = max(at, end)

        stage("blocked", marks.get("queued"))
        stage("dns", marks.get("dns"))
        connected = marks.get("connect")
        stage("connect", marks.get("tls", connected))
        if connected is not None and "tls" in marks:
            found["ssl"] = max(0.0, marks["tls"] - connected)
        answered = marks.get("first_byte")
        sent = marks.get("sent")
        if answered is not None:
            # A response may come before the request is written whole, and end its sending.
            stage("send", answered if sent is None else min(sent, answered))
            stage("wait", answered)
            stage("receive", marks.get("done"))
            return found
        stage("send", sent)
        if (done := marks.get("done")) is not None:
            last = "wait" if sent is not None else "send" if self.head else "connect" if "queued" in marks else "blocked"
            found[last] = found.get(last, 0.0) + max(0.0, done - at)
        return found


Observer: TypeAlias = Callable[[Exchange, str], object]
