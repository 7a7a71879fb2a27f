"""The heads of responses as a server sends them: from fields that are bytes, framed for the client that asked (RFC 9112 6)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import InvalidHeader
from ..models.message import CHUNKED, TUNNEL, UNTIL_CLOSE, ResponseHead
from .http1 import response_line
from .http1_heads import parse_response_head

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["encode_response", "join_fields", "response_framing"]

_framing_fields = re.compile(rb"^(?:content-length|transfer-encoding):[^\n]*\n", re.IGNORECASE | re.MULTILINE)
_length_field = re.compile(rb"^content-length:[ \t]*([^\r\n]*)\r\n", re.IGNORECASE | re.MULTILINE)


def join_fields(fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The field lines of pairs of bytes.  What they hold is checked by whoever reads them; that they are as many, here.

    Raises `InvalidHeader` for a line break in one of them, or a colon in a name.
    """
    for name, value in fields:
        if b"\n" in value or b"\n" in name or b":" in name:
            raise InvalidHeader(
                f"headers must hold names and values of one line each, not {name!r}: {value!r}", argument="headers"
            )
    return b"".join([b"%b: %b\r\n" % field for field in fields])


def encode_response(status: int, reason: str, fields: Sequence[tuple[bytes, bytes]]) -> ResponseHead:
    """The head of a response as its reader will parse it, from fields that are bytes already.

    Raises `UsageError` for a bad status, `InvalidHeader` for a bad field, `InvalidResponse` for two framings at once.
    """
    return parse_response_head(b"".join((response_line(status, reason), join_fields(fields), b"\r\n")))


def response_framing(head: ResponseHead, method: bytes, minor: int, size: int | None) -> tuple[bytes, int]:
    """How a server frames its response to `method` for a client of HTTP/1.`minor`: the whole field block, and the framing.

    `size` is the length of the body, None if unknown.  What the fields of `head` say is kept; where they say nothing, the length
    is added, or else the chunks; a client of HTTP/1.0 knows none, so its body ends with the connection.  204, 304 and a tunnel
    have neither body nor framing fields (RFC 9110 8.6, RFC 9112 6.1).
    """
    block = head.raw[head.start : -2]
    status = head.status
    if status < 200 or status in (204, 304) or (method == b"CONNECT" and status < 300):
        return _framing_fields.sub(b"", block), TUNNEL if method == b"CONNECT" and status < 300 else 0
    length = head.length
    if length >= 0:
        size = length
        if _length_field.findall(block) == [b"%d" % length]:
            return block, length
    elif length == CHUNKED and minor:
        return block, CHUNKED
    block = _framing_fields.sub(b"", block)  # said twice, or meant for another version
    if size is not None:
        return b"%bContent-Length: %d\r\n" % (block, size), size
    return (block + b"Transfer-Encoding: chunked\r\n", CHUNKED) if minor else (block, UNTIL_CLOSE)
