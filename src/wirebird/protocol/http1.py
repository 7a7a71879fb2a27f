"""The writing half of HTTP/1.1: heads as bytes, and the framing of outgoing bodies (RFC 9112 6 and 7, RFC 9110 8.6).

What the caller says of the length and what is sent must agree: a `Writer` never lets more out than was promised, and says so
when less came.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from ..errors import InvalidHeader, UsageError
from ..models.headers import HttpHeaders, check_token, check_value, encode_fields
from ..models.message import CHUNKED, UNTIL_CLOSE
from .http1_heads import is_forbidden_trailer

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LAST_CHUNK", "Writer", "chunk", "encode_trailers", "request_framing", "request_line", "response_line"]

LAST_CHUNK: Final = b"0\r\n\r\n"

# RFC 9110 8.6: these announce a body of length zero, for the server may wait for one.
_EXPECT_CONTENT = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_is_target = re.compile(r"[\x21-\x7e]+").fullmatch
_is_length = re.compile(r"[0-9]{1,18}").fullmatch


@lru_cache(maxsize=1024)
def request_line(method: str, target: str, minor: int = 1) -> bytes:
    """The request line, of HTTP/1.1 or HTTP/1.0.

    Raises `InvalidHeader` for a method that is no token or a target with anything but visible ASCII.
    """
    check_token(method, "method")
    if not _is_target(target):
        raise InvalidHeader(f"a request target must be visible ASCII, not {target!r}", argument="url")
    return f"{method} {target} HTTP/1.{minor}\r\n".encode()


def response_line(status: int, reason: str) -> bytes:
    """The status line.  Raises `UsageError` for a status outside 100 to 999, `InvalidHeader` for a control in the reason."""
    if not 100 <= status <= 999:
        raise UsageError(f"status must be 100 to 999, not {status!r}", argument="status")
    return f"HTTP/1.1 {status} {check_value(reason, 'reason')}\r\n".encode()


def request_framing(method: str, headers: HttpHeaders, size: int | None) -> tuple[int, bytes]:
    """How the body of a request is framed (RFC 9112 6): its length or `CHUNKED`, and the field line that must be added to say so.

    `size` is the length of the body, None if unknown, 0 if there is none.  A `Content-Length` or `Transfer-Encoding` that the
    caller set is checked against it.  Raises `InvalidHeader` for both at once, two of one, or a length that is not the body's.
    """
    lengths = headers.get_list("content-length") if "content-length" in headers else ()
    if "transfer-encoding" in headers:
        codings = headers.get_list("transfer-encoding")
        if lengths:
            raise InvalidHeader("headers hold both Content-Length and Transfer-Encoding", argument="headers")
        if len(codings) > 1 or codings[0].strip(" \t").lower() != "chunked":
            raise InvalidHeader("headers may hold no Transfer-Encoding but one chunked", argument="headers")
        return CHUNKED, b""
    if lengths:
        if len(lengths) > 1 or not _is_length(lengths[0]):
            raise InvalidHeader(f"headers hold a Content-Length that is not one number: {lengths!r}", argument="headers")
        promised = int(lengths[0])
        if size is not None and promised != size:
            raise InvalidHeader(f"headers promise a Content-Length of {promised}, the body has {size}", argument="headers")
        return promised, b""
    if size is None:
        return CHUNKED, b"Transfer-Encoding: chunked\r\n"
    if size or method in _EXPECT_CONTENT:
        return size, b"Content-Length: %d\r\n" % size
    return 0, b""


def chunk(data: bytes) -> bytes:
    """One chunk with its size line and CRLF; nothing for no data, because a chunk of size zero would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def encode_trailers(fields: Mapping[str, str]) -> bytes:
    """Trailer fields as lines.  Raises `InvalidHeader` for what may not stand there (RFC 9110 6.5.1), or anywhere on the wire."""
    block = encode_fields(fields.items(), "trailers")
    for name in fields:
        if is_forbidden_trailer(name):
            raise InvalidHeader(f"{name} may not be sent as a trailer (RFC 9110 6.5.1)", argument="trailers")
    return block


class Writer:
    """The framing of one outgoing body: `length` bytes, `CHUNKED` or `UNTIL_CLOSE`."""

    __slots__ = ("finished", "left", "length")

    def __init__(self, length: int) -> None:
        self.length = length
        self.left = max(length, 0)
        self.finished = False

    def __repr__(self) -> str:
        return f"<Writer length={self.length} left={self.left}{' finished' if self.finished else ''}>"

    def data(self, piece: bytes) -> bytes:
        """The piece as it goes on the wire.  Raises `UsageError` if it is more than was promised; then nothing of it may go."""
        if self.length == CHUNKED:
            return chunk(piece)
        self.check(len(piece))
        self.skip(len(piece))
        return piece

    def check(self, count: int) -> None:
        """Raise `UsageError` if `count` bytes more are more than was promised."""
        if self.length != UNTIL_CLOSE and count > self.left:
            raise UsageError(f"the body is longer than the {self.length} bytes promised for it", argument="data")

    def skip(self, count: int) -> None:
        """`count` bytes of the body, as they are, were put on the wire by somebody else; not for chunks."""
        if self.length != UNTIL_CLOSE:
            self.left -= count

    def end(self, trailers: bytes = b"") -> bytes:
        """What ends the body on the wire; `trailers` are field lines, for which it must be chunked.

        Raises `UsageError` if less came than was promised, or if there is no place for trailers.
        """
        if self.left:
            missing = f"{self.length - self.left} of the {self.length} bytes promised for it"
            raise UsageError(f"the body ended after {missing}", argument="data")
        if trailers and self.length != CHUNKED:
            raise UsageError("there are trailers, and the body is not chunked", argument="trailers")
        self.finished = True
        if self.length != CHUNKED:
            return b""
        return b"0\r\n" + trailers + b"\r\n"
