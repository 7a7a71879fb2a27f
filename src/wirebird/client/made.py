"""Responses that did not come over the wire as they are: made, or made from one that did.

Their heads are written and read like any other, so there is one kind of head, and one validator for what is in it.
"""

from __future__ import annotations

import json as _json
from http import HTTPStatus
from typing import Any

from ..errors import UsageError
from ..models.headers import HeadersLike, HttpHeaders, decode_value, encode_fields
from ..models.message import ResponseHead
from ..protocol.http1 import response_line

__all__ = ["make_response", "replace_head"]

# What is said of the body that was, and not of the one in its place.
_ABOUT_BODY = ("content-encoding", "transfer-encoding", "trailer", "content-md5", "content-digest", "repr-digest", "digest")


def make_response(
    status: int, headers: HeadersLike | None, body: bytes, text: str | None, json: Any, reason: str | None
) -> tuple[ResponseHead, bytes]:
    """The parts of a response, from the arguments of `HttpResponse.make`."""
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
    if not isinstance(body, bytes):
        raise UsageError(f"body must be bytes, not {type(body).__name__}", argument="body")
    if "transfer-encoding" not in fields and status not in (204, 304):
        fields.setdefault("Content-Length", str(len(body)))
    return _head(status, reason, fields, len(body)), body


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
        if status not in (204, 304):
            fields["Content-Length"] = str(length)
    head = _head(status, reason, fields, length)
    head.minor, head.keep_alive = old.minor, old.keep_alive
    return head


def _head(status: int, reason: str | None, fields: HttpHeaders, length: int) -> ResponseHead:
    if reason is None:
        reason = HTTPStatus(status).phrase if status in _KNOWN else ""
    line = response_line(status, reason)
    raw = b"".join((line, encode_fields(fields.items()), b"\r\n"))
    return ResponseHead(status, reason.encode(), 1, raw, len(line), length, True)


_KNOWN = frozenset(status.value for status in HTTPStatus)
