"""The way to a peer in the same process, kept as close to the way over a wire as it can be.

A request is encoded, and read again by the parser that servers use: what could not be sent cannot be handed over either, and the
peer sees every field that goes out.  A response ends where its framing says, and both have the time that the request allows.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from inspect import isawaitable
from time import monotonic
from typing import TypeAlias

from ..client.feed import IteratorFeed
from ..client.raw import answer_to, raw_body, with_body
from ..client.response import HttpResponse
from ..client.transport import encode_head
from ..errors import UsageError
from ..models.headers import HttpHeaders
from ..models.message import Body, Request, trailers_of
from ..net.timeouts import NEVER, Timeouts
from ..protocol.http1 import Writer
from ..protocol.http1_heads import parse_request_head

__all__ = ["Answerer", "answer_within", "as_sent", "ask", "deliver", "send_within", "sent_pieces"]

Answerer: TypeAlias = "Callable[[Request], HttpResponse | Awaitable[HttpResponse]]"


async def as_sent(request: Request) -> Request:
    """`request` as a server reads it: with every field that is sent, and its body as bytes, empty if there is none.

    Raises what sending it would raise before it is answered: `InvalidHeader`, `UsageError`, whatever its body raises, and
    `RequestTimeout` if that takes too long.
    """
    head, length = encode_head(request)
    fields = HttpHeaders(parse_request_head(head).fields)
    async with send_within(request), aclosing(sent_pieces(request.body, length)) as pieces:
        body = b"".join([piece async for piece in pieces])
    return Request(request.method, fields, body, request.destination, request.options, request.deadline)


async def sent_pieces(body: bytes | Body | None, length: int) -> AsyncGenerator[bytes, None]:
    """The pieces of the body of a request, held to the length that its head promises."""
    if body is None or isinstance(body, bytes):
        if body:
            yield body
        return
    writer = Writer(length)
    async with aclosing(body.pieces()) as pieces:  # type: ignore[type-var]
        async for piece in pieces:
            writer.data(piece)
            yield piece
    trailers_of(body)  # they are asked for as if they were sent; nobody here takes them
    writer.end()


async def ask(handler: Answerer, request: Request) -> HttpResponse:
    """What `handler`, a sync or async function, answers.  Raises what it raises, `UsageError` if that is no response."""
    response = handler(request)
    if isawaitable(response):
        response = await response
    if not isinstance(response, HttpResponse):
        raise UsageError(f"handler must give an HttpResponse, not {type(response).__name__}", argument="handler")
    if response.status_code < 200:
        raise UsageError(f"handler must give a final response, not a {response.status_code}", argument="handler")
    return response


async def deliver(request: Request, response: HttpResponse, began: float) -> HttpResponse:
    """`response` as it would arrive: without a body where there is none, and no longer than it says (RFC 9112 6.3).

    Raises `UsageError` for a body longer than its Content-Length.  One that is shorter is cut off, as it is when a peer breaks
    off: whoever reads it meets `IncompleteBody`.
    """
    answer = answer_to(request, response, monotonic() - began)
    if request.method == "HEAD" or answer.status_code in (204, 304):
        await answer.close()
        return with_body(request, answer, None)
    body = raw_body(answer)
    promised = answer.content_length
    if body is None or promised is None or promised == len(body) or "transfer-encoding" in answer.headers:
        return answer
    if promised < len(body):
        message = f"the body of the response has {len(body)} bytes, and its Content-Length promises {promised}"
        raise UsageError(message, argument="body")
    return with_body(request, answer, IteratorFeed([body], promised, request))


# -- time ------------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def send_within(request: Request) -> AsyncIterator[None]:
    """The time that sending may take: what the request has left.  Raises `RequestTimeout`."""
    async with _limit(request, request.deadline, "sending the request"):
        yield


@asynccontextmanager
async def answer_within(request: Request) -> AsyncIterator[None]:
    """The time that the first bytes of the response may take.  Raises `ReadTimeout` or `RequestTimeout`."""
    until = min(monotonic() + request.options.timeouts.read, request.deadline)
    async with _limit(request, until, "waiting for the response"):
        yield


@asynccontextmanager
async def _limit(request: Request, until: float, phase: str) -> AsyncIterator[None]:
    limit = asyncio.timeout(None if until == NEVER else max(0.0, until - monotonic()))
    try:
        async with limit:
            yield
    except builtins.TimeoutError as error:
        if not limit.expired():
            raise  # of whoever answers, not of the limit
        timeouts: Timeouts = request.options.timeouts
        peer = request.destination.authority
        raise timeouts.exceeded(total=until >= request.deadline, peer=peer, phase=phase) from error
