"""Responses that did not come over the wire: their head, written and read like one that did, and their body."""

from __future__ import annotations

import json as _json
from http import HTTPStatus
from typing import Any

from ..errors import UsageError
from ..models.headers import HeadersLike, HttpHeaders, encode_fields
from ..models.message import ResponseHead
from ..protocol.http1 import response_line

__all__ = ["make_response"]


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
    if reason is None:
        reason = HTTPStatus(status).phrase if status in _KNOWN else ""
    line = response_line(status, reason)
    raw = b"".join((line, encode_fields(fields.items()), b"\r\n"))
    return ResponseHead(status, reason.encode(), 1, raw, len(line), len(body), True), body


_KNOWN = frozenset(status.value for status in HTTPStatus)
