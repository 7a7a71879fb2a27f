"""Responses that did not come over the wire as they are: made, or made from one that did.

Their heads are written and read like any other, so there is one kind of head, and one validator for what is in it.
"""

from __future__ import annotations

import json as _json
from collections.abc import AsyncIterable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

from ..errors import InvalidHeader, UsageError
from ..models.headers import HeadersLike, HttpHeaders, decode_value, encode_fields
from ..models.message import CHUNKED, UNTIL_CLOSE, Request, ResponseHead
from ..net.incoming import Incoming
from ..protocol.http1 import response_line
from .feed import IteratorFeed

__all__ = ["BodyLike", "make_body", "make_head", "make_response", "replace_head"]

BodyLike: TypeAlias = "bytes | AsyncIterable[bytes] | Iterable[bytes]"

# What is said of the body that was, and not of the one in its place.
_ABOUT_BODY = ("content-encoding", "transfer-encoding", "trailer", "content-md5", "content-digest", "repr-digest", "digest")
# RFC 9110 8.6 and 15.4.5: these have no body, and say nothing of its length.
_BODILESS = frozenset({204, 304})
_KNOWN = frozenset(status.value for status in HTTPStatus)


def make_response(
    status: int,
    headers: HeadersLike | None,
    body: BodyLike,
    text: str | None,
    json: Any,
    reason: str | None,
    request: Request | None,
) -> tuple[ResponseHead, bytes | None, Incoming | None]:
    """The parts of a response, from the arguments of `HttpResponse.make`: its head, and its body or what it comes from."""
    fields = HttpHeaders(headers)
    given = [name for name, value in (("body", body or None), ("text", text), ("json", json)) if value is not None]
    if len(given) > 1:
        raise UsageError(f"{given[0]} and {given[1]} are both given, and a response has one body", argument=given[1])
    if text is not None:
        body = text.encode()
        fields.setdefault("Content-Type", "text/plain; charset=utf-8")
    elif json is not None:
        body = _json.dumps(json).encode()
        fields.setdefault("Content-Type", "application/json")
    if isinstance(body, str | bytearray | memoryview | Mapping) or not isinstance(body, bytes | AsyncIterable | Iterable):
        raise UsageError(f"body must be bytes or an iterator of bytes, not {type(body).__name__}", argument="body")
    if "transfer-encoding" not in fields and "content-length" not in fields and status not in _BODILESS:
        if isinstance(body, bytes):
            fields["Content-Length"] = str(len(body))
        else:
            fields["Transfer-Encoding"] = "chunked"  # as a peer would send what it does not know the length of
    size = len(body) if isinstance(body, bytes) and "transfer-encoding" not in fields else None
    head = make_head(status, fields, reason, size)
    return head, *make_body(head, body, request)


def replace_head(
    old: ResponseHead, status: int | None, headers: HeadersLike | None, body: bytes | None, reason: str | None
) -> ResponseHead:
    """A head like `old`, from the arguments of `HttpResponse.replaced`."""
    if status is None:
        status = old.status
        reason = decode_value(old.reason) if reason is None else reason
    fields = HttpHeaders(old.fields if headers is None else headers)
    length = old.length
    if body is not None:
        if not isinstance(body, bytes):
            raise UsageError(f"body must be bytes, not {type(body).__name__}", argument="body")
        length = len(body)
        for name in _ABOUT_BODY if headers is None else ("transfer-encoding",):
            fields.popall(name, None)
        if status not in _BODILESS:
            fields["Content-Length"] = str(length)
    head = make_head(status, fields, reason, length)
    head.minor, head.keep_alive = old.minor, old.keep_alive
    return head


def make_head(status: int, fields: HttpHeaders, reason: str | None, size: int | None) -> ResponseHead:
    """A head as it would be read off the wire.  `size` is the length of the body, None if only the fields may say it."""
    if reason is None:
        reason = HTTPStatus(status).phrase if status in _KNOWN else ""
    line = response_line(status, reason)
    raw = b"".join((line, encode_fields(fields.items()), b"\r\n"))
    return ResponseHead(status, reason.encode(), 1, raw, len(line), _declared(fields) if size is None else size, True)


def _declared(fields: HttpHeaders) -> int:
    if "transfer-encoding" in fields:
        return CHUNKED
    if "content-length" not in fields:
        return UNTIL_CLOSE
    length = fields["content-length"]
    if not (length.isascii() and length.isdigit()):
        raise InvalidHeader(f"headers hold a Content-Length that is not one number: {length!r}", argument="headers")
    return int(length)


def make_body(head: ResponseHead, body: BodyLike, request: Request | None) -> tuple[bytes | None, Incoming | None]:
    """The body of a response: as it is, or what gives the pieces of an iterator to whoever reads it."""
    if isinstance(body, bytes):
        return body, None
    return None, IteratorFeed(body, head.length, request).body
