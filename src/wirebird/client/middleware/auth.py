"""Authentication: the driver of the flows of `client/auth.py`.

What a flow cannot know is looked after here: that responses nobody gets to see are closed, that the cookies of a call stay with
its origin wherever a flow sends a request, and that a body which can be read once is not sent a second time.  Where a server asks
for credentials after such a body was read, its answer is what the caller gets; a body that was not read yet, thanks to `Expect:
100-continue`, is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import aclosing
from inspect import iscoroutine
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

from ...errors import BodyConsumed, UsageError
from ...models.message import Body, Request
from ...pipeline import Handler
from ..auth import ReadBody
from ..response import HttpResponse

if TYPE_CHECKING:
    from ...net.timeouts import Timeouts

__all__ = ["authenticate"]


async def authenticate(request: Request, handler: Handler[Request, HttpResponse]) -> HttpResponse:
    """Send `request` as the flow of its credentials wants it; without credentials, as it is."""
    auth = request.options.auth
    if auth is None:
        return await handler(request)
    body = request.body
    once: _Once | None = None
    if body is not None and not isinstance(body, bytes) and not body.replayable():
        request = request.copy()
        request.body = once = _Once(body)
    flow = auth.flow(request)
    if not isinstance(flow, Generator):
        if iscoroutine(flow):
            flow.close()  # or it is reported as never awaited
        raise UsageError(f"the flow of an auth must be a generator, not {type(flow).__name__}", argument="auth")
    outgoing: Request | None = None
    response: HttpResponse | None = None
    try:
        step = next(flow, None)
        while True:
            if isinstance(step, ReadBody):
                answer: Any = await _read(step, request.options.max_body_size)
            elif isinstance(step, Request):
                if response is not None:
                    if once is not None and once.started and step.body is once and outgoing is not None and outgoing.body is once:
                        return response
                    await response.close()
                    response = None
                if step.destination.origin != request.destination.origin:
                    step.options = step.options.for_another_origin()
                outgoing = step
                answer = response = await handler(step)
            else:
                raise UsageError(f"an auth flow must yield a Request or ReadBody, not {type(step).__name__}", argument="auth")
            try:
                step = flow.send(answer)
            except StopIteration:
                if response is None:
                    raise UsageError("an auth flow must yield a Request", argument="auth") from None
                return response
    except BaseException:
        if response is not None:
            await response.close()  # nobody gets to see it
        raise
    finally:
        flow.close()


async def _read(wish: ReadBody, max_size: int | None) -> bytes | None:
    """The body that is wished for; None if it went elsewhere, piece by piece."""
    message = wish.message
    pieces: list[bytes] = []
    into = pieces.append if wish.into is None else wish.into
    if isinstance(message, HttpResponse):
        if max_size is not None:
            message.limit(max_size)
        into(await message.content())
    elif isinstance(message.body, bytes):
        into(message.body)
    elif message.body is not None:
        if not message.body.replayable():
            raise BodyConsumed(
                "the credentials cover the body, and it can be read only once", argument="data", phase="authenticating"
            )
        await _pass_on(message, message.body, into)
    return b"".join(pieces) if wish.into is None else None


async def _pass_on(request: Request, body: Body, into: Any) -> None:
    """Every piece of `body`, within the total time limit of the request."""
    left = None if request.deadline == inf else request.deadline - monotonic()
    try:
        async with asyncio.timeout(left) as limit, aclosing(body.pieces()) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                into(piece)
    except TimeoutError as error:
        if not limit.expired():
            raise  # the body's own
        timeouts: Timeouts = request.options.timeouts
        raise timeouts.exceeded(total=True, peer=request.destination.authority, phase="authenticating") from error


class _Once:
    """A body that can be read once, and whether that was begun."""

    __slots__ = ("_body", "started")

    def __init__(self, body: Body) -> None:
        self._body = body
        self.started = False

    def size(self) -> int | None:
        return self._body.size()

    async def pieces(self) -> AsyncIterator[bytes]:
        self.started = True
        async with aclosing(self._body.pieces()) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                yield piece

    def replayable(self) -> bool:
        return False

    async def close(self) -> None:
        await self._body.close()
