"""What the tests of hostile input share: a message is refused, however it is cut, and nothing behind it is read.

Written without `assert`, so that they hold in an optimised run too.
"""

from __future__ import annotations

from collections.abc import Iterable

from http1_triples import GET, OK, POST
from wire import Outcome, every_byte, run, whole
from wirebird.errors import IncompleteBody, InvalidRequest, InvalidResponse, LimitExceeded
from wirebird.protocol.http1_events import State

_AT_ONCE = 30_000  # bytes above which cutting at every byte takes too long


def request(fields: bytes = b"", body: bytes = b"") -> bytes:
    return POST + fields + b"\r\n" + body


def response(fields: bytes = b"", body: bytes = b"") -> bytes:
    return OK + fields + b"\r\n" + body


def outcome(role: str, data: bytes, method: bytes = b"GET") -> Outcome:
    """What comes of the data, the same whole and cut at every byte."""
    at_once = run(role, whole(data), method)
    if len(data) <= _AT_ONCE and (cut := run(role, every_byte(data), method)) != at_once:
        raise AssertionError(f"{data[:300]!r} gives {at_once} whole and {cut} cut")
    return at_once


def refused_request(data: bytes, *statuses: int, before: Iterable[object] = ()) -> None:
    """The request is answered with one of the statuses (400 if none is named); none behind it is read, only those `before`."""
    good = GET + b"\r\n"
    for pieces in ([data], [data + good], [data, good]):
        if len(pieces) == 1:
            events, error, _, state = outcome("server", pieces[0])
        else:
            events, error, _, state = run("server", pieces)
        if error is None or error[0] not in (InvalidRequest, LimitExceeded) or state is not State.FAILED:
            raise AssertionError(f"{data[:300]!r} was not refused: {events} {error}")
        if error[1] not in (statuses or (400,)):
            raise AssertionError(f"{data[:300]!r} was refused with {error}")
        if events != list(before):
            raise AssertionError(f"{data[:300]!r} was read as {events}")


def refused_response(data: bytes, method: bytes = b"GET") -> None:
    """The response is an error, with a good one behind it too."""
    for sent in (data, data + OK + b"Content-Length: 0\r\n\r\n"):
        events, error, _, state = outcome("client", sent, method)
        if error is None or error[0] not in (InvalidResponse, LimitExceeded) or state is not State.FAILED:
            raise AssertionError(f"{sent[:300]!r} was not refused: {events} {error}")


def both_refuse(fields: bytes, body: bytes = b"", *statuses: int) -> None:
    """A request, and a response, with these fields and this body are refused."""
    refused_request(request(fields, body), *statuses)
    refused_response(response(fields, body))


def incomplete(role: str, data: bytes) -> None:
    """The connection ends too early."""
    for pieces in (whole(data), every_byte(data)):
        events, error, _, _ = run(role, pieces, eof=True)
        if error is None or error[0] is not IncompleteBody:
            raise AssertionError(f"{data[:300]!r} passed for complete: {events} {error}")
