"""How a server says no: to what is no request, to what it does not grant, and for what its application could not do.

One plain line for a person, the reason as far as the client is meant to know it, and nothing of the server: no traceback, no
name of a class.  The text may hold bytes of the client's own, so it is never a page (`nosniff`).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from ..errors import (
    ConnectionLost,
    IncompleteBody,
    InvalidRequest,
    LimitExceeded,
    ReadTimeout,
    WebSocketClosed,
    WebSocketError,
)
from ..models.message import RequestHead

if TYPE_CHECKING:
    from .exchange import Exchange

__all__ = ["NOBODY", "is_of_client", "refusal", "status_of", "too_large"]

# The head of what is no request.
NOBODY: Final = RequestHead(b"", b"", 1, b"", 0, 0, False, b"", False, b"")

# What a busy server says of when to come back.
_RETRY_AFTER: Final = b"Retry-After: 1\r\n"


def refusal(status: int, said: str = "") -> tuple[bytes, bytes]:
    """Head and body of an answer with this status, as `Exchange.respond` takes them; `said` for the phrase of the status."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    head = b"HTTP/1.1 %d %b\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"
    head %= status, phrase.encode()
    if status == 503:
        head += _RETRY_AFTER
    return head, f"{status} {said or phrase}\n".encode("utf-8", "replace")


def too_large(limit: int) -> LimitExceeded:
    """What becomes of a request whose body is of more than `limit` bytes."""
    message = f"a request body of more than {limit} bytes"
    return LimitExceeded(message, limit="max_body_size", maximum=limit, status=413)


def status_of(error: BaseException) -> int:
    """The status that a client deserves who did this."""
    status = getattr(error, "status", None)
    return status if isinstance(status, int) else 400


def is_of_client(error: BaseException, exchange: Exchange) -> bool:
    """Whether an error that a handler raises is the fault of its client, under whatever name: its own, or that of a proxy.

    What another peer did to the handler, which may be a client itself, is not.
    """
    if isinstance(error, InvalidRequest | LimitExceeded | ConnectionLost):
        return error.peer in ("", exchange.connection.peer, exchange.peer)
    if isinstance(error, IncompleteBody | ReadTimeout | WebSocketError | WebSocketClosed):
        return error.peer in (exchange.connection.peer, exchange.peer)
    return False
