"""Handing a response on as it came: for what records responses, serves them, or passes those of somebody else on as its own.

What a response gives to its caller has its content codings taken off.  What is handed on keeps them, or its head would lie.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from ..errors import BodyConsumed
from ..models.message import Request
from .feed import Feed, IteratorFeed
from .response import HttpResponse

__all__ = ["answer_to", "raw_body", "raw_pieces", "raw_trailers", "with_body"]


def raw_body(response: HttpResponse) -> bytes | None:
    """The whole body with its codings on, None while it is on its way or after it was given out in pieces."""
    return response._body


def raw_trailers(response: HttpResponse) -> bytes:
    """The trailer fields as bytes, once the body was read."""
    return response._incoming.trailers if response._incoming is not None else b""


async def raw_pieces(response: HttpResponse) -> AsyncGenerator[bytes, None]:
    """The body with its codings on, in pieces as they come; the response is closed at the end.

    Raises `BodyConsumed` if a piece was given out decoded before, and what the body raises.
    """
    if response._streamed:
        raise BodyConsumed("the body, or a part of it, was read in pieces before")
    response._streamed = True
    response._decoder = None  # also for whoever reads what this leaves
    try:
        while piece := await response._raw_piece():
            yield piece
    finally:
        await response.close()


def answer_to(request: Request, response: HttpResponse, elapsed: float = 0.0) -> HttpResponse:
    """The same response as the answer to `request`, whose settings it takes.

    One whose body is here is copied, so that it may be given again; one whose body is on its way is changed, and given once.
    """
    incoming = response._incoming
    if response._body is not None and not response._streamed:
        return HttpResponse(response.head, response._body, request, incoming, elapsed)
    if incoming is None or response._streamed:
        raise BodyConsumed("a response whose body was read in pieces cannot be given again")
    response._source = request
    response.elapsed = elapsed
    if isinstance(incoming._connection, Feed):
        incoming._connection.answer(request)
    return response


def with_body(request: Request, response: HttpResponse, feed: IteratorFeed | Feed | None) -> HttpResponse:
    """The head of `response`, as the answer to `request`, with another body; None for an empty one."""
    if feed is None:
        return HttpResponse(response.head, b"", request, None, response.elapsed)
    return HttpResponse(response.head, None, request, feed.body, response.elapsed)
