"""Other parsers of HTTP/1.1, behind one face: what h11, httptools and we read of the first message in some bytes."""

from __future__ import annotations

from typing import Any, NamedTuple

import h11
import httptools

from wirebird.errors import ProtocolError
from wirebird.models.limits import Limits
from wirebird.models.message import Head, RequestHead, ResponseHead
from wirebird.protocol.http1_events import End
from wirebird.protocol.http1_parser import Parser

Fields = list[tuple[bytes, bytes]]


class Reading(NamedTuple):
    """What became of the first message: `complete`, `partial` (more is awaited) or `reject`.

    `start` is None before the head is complete, else (method, target) or (number of 1xx, status); `fields` has its names in lower
    case, and the two that frame the body folded to one value each.
    """

    verdict: str
    start: tuple[Any, ...] | None = None
    fields: Fields | None = None
    body: bytes = b""


REJECT = Reading("reject")


def _folded(fields: Fields) -> Fields:
    """h11 gives `Content-Length` once and `Transfer-Encoding` in lower case: so do we all, to compare."""
    folded = []
    lengths = 0
    for name, value in fields:
        name = name.lower()
        if name == b"content-length":
            lengths += 1
            if lengths > 1:
                continue
            value = value.split(b",")[0].strip(b" \t")
        folded.append((name, value.lower() if name == b"transfer-encoding" else value))
    return folded


def ours(role: str, method: bytes, data: bytes) -> Reading:
    parser = Parser(server=role == "server", limits=Limits(informational=1000))
    head: Head | None = None
    start: tuple[Any, ...] = ()
    interim = 0
    body = b""
    complete = False
    try:
        if role == "client":
            parser.expect(method)
        for event in parser.receive(data, len(data)):
            if isinstance(event, RequestHead):
                head, start = event, (event.method, event.target)
            elif isinstance(event, ResponseHead):
                if event.status < 200:
                    interim += 1
                else:
                    head, start = event, (interim, event.status)
            elif isinstance(event, End):
                complete = True
            else:
                body += event
    except ProtocolError:
        return REJECT
    if head is None:
        return Reading("partial")
    return Reading("complete" if complete else "partial", start, _folded(head.raw_fields), body)


def by_h11(role: str, method: bytes, data: bytes) -> Reading:
    start: tuple[Any, ...] | None = None
    fields: Fields | None = None
    body = b""
    interim = 0
    connection = h11.Connection(h11.SERVER if role == "server" else h11.CLIENT, max_incomplete_event_size=1 << 20)
    try:
        if role == "client":
            target = b"a:1" if method == b"CONNECT" else b"/"
            connection.send(h11.Request(method=method, target=target, headers=[("Host", "a")]))
            connection.send(h11.EndOfMessage())
        if data:  # nothing means the end of the connection here
            connection.receive_data(data)
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                start, fields = (event.method, event.target), list(event.headers)
            elif isinstance(event, h11.InformationalResponse):
                interim += 1
            elif isinstance(event, h11.Response):
                start, fields = (interim, event.status_code), list(event.headers)
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return Reading("complete", start, _folded(fields or []), body)
            else:
                break
    except h11.ProtocolError:
        return REJECT
    if start is None:
        return Reading("partial")
    return Reading("partial", start, _folded(fields or []), body)


class _Callbacks:
    """What httptools calls.  Interim responses are messages of their own to it."""

    def __init__(self) -> None:
        self.parser: Any = None
        self.target = b""
        self.interim = 0
        self.complete = False
        self._restart()

    def _restart(self) -> None:
        self.fields: Fields = []
        self.start: tuple[Any, ...] | None = None
        self.body = b""

    def on_url(self, url: bytes) -> None:
        if not self.complete:
            self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.complete and self.start is None:  # trailers are fields to it too
            self.fields.append((name, value.rstrip(b" \t")))  # which it leaves there

    def on_headers_complete(self) -> None:
        if not self.complete:
            if isinstance(self.parser, httptools.HttpRequestParser):
                self.start = (self.parser.get_method(), self.target)
            else:
                self.start = (self.interim, self.parser.get_status_code())

    def on_body(self, body: bytes) -> None:
        if not self.complete:
            self.body += body

    def on_message_complete(self) -> None:
        if not self.complete and self.start is not None:
            if isinstance(self.parser, httptools.HttpResponseParser) and 100 <= self.start[1] < 200:
                self.interim += 1
                self._restart()
            else:
                self.complete = True


def by_httptools(role: str, method: bytes, data: bytes) -> Reading:
    callbacks = _Callbacks()
    callbacks.parser = (httptools.HttpRequestParser if role == "server" else httptools.HttpResponseParser)(callbacks)
    try:
        callbacks.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        if not callbacks.complete:  # what comes behind the first message is not compared
            return REJECT
    if callbacks.start is None:
        return Reading("partial")
    return Reading("complete" if callbacks.complete else "partial", callbacks.start, _folded(callbacks.fields), callbacks.body)
