"""A payload as the body of a request: what it writes, in pieces that are asked for.

`Payload.write` pushes and a `Body` is pulled.  The coroutine of `write` is driven here by hand: each step of it either waits for
something of the event loop, which is waited for in its place, or has written a piece, which is given out before it goes on.  So
there is no task and no queue between the two, what is written waits for the peer, and a cancellation arrives where the coroutine
waits, as it would in a task of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Container, Generator
from typing import Any

from ...errors import BodyConsumed, UsageError
from ...models.headers import HttpHeaders
from ...net.step import Step
from .multipart_writer import MultipartWriter
from .payload import Payload, is_plain

__all__ = ["PayloadBody", "body_of", "close_if_sent", "written"]


def body_of(payload: Payload, skip: Container[str] = ()) -> bytes | PayloadBody:
    """The body that `payload` is: bytes where it holds just these and may as well be sent at once, else a `Body`.

    `skip` is as for `PayloadBody`.  The headers are the caller's to add where it gives bytes; a `PayloadBody` adds them itself
    when the request is made.
    """
    if is_plain(payload):
        return bytes(payload._value)
    if type(payload) is MultipartWriter and (whole := payload.whole()) is not None:
        return whole
    return PayloadBody(payload, skip)


async def close_if_sent(payload: Payload) -> None:
    """The request has its response: close what `payload` holds.  If it is still being sent, that closes it at the end."""
    if getattr(payload._writing, "ag_frame", None) is None:
        await payload.close()


class PayloadBody:
    """A `Body` that a payload writes.  Its headers are added to those of the request, but for those in `skip`."""

    def __init__(self, payload: Payload, skip: Container[str] = ()) -> None:
        self.payload = payload
        self._skip = skip

    def __repr__(self) -> str:
        return f"<PayloadBody of {type(self.payload).__name__}>"

    def describe(self, headers: HttpHeaders) -> None:
        """Add the payload's header fields to `headers`, where they are not given already."""
        for name, value in self.payload.headers.items():
            if name not in headers and name not in self._skip:
                headers.add(name, value)

    def size(self) -> int | None:
        return self.payload.size

    def replayable(self) -> bool:
        return not (self.payload._spent or self.payload._once)

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """What the payload writes.  Raises `BodyConsumed` if it was written before and cannot be written again."""
        if self.payload._spent:
            raise BodyConsumed("the payload was sent, and it can be sent only once", argument="data")
        size = self.payload.size
        pieces = self.payload._writing = written(lambda writer: self.payload.write_with_length(writer, size))
        return pieces

    async def close(self) -> None:
        await self.payload.close()


class _Piece:
    """What was written.  Awaiting it gives it to whoever drives the coroutine."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __await__(self) -> Generator[Any, Any, None]:
        yield self


class _Outlet:
    """The writer that a payload is given.  It is for the coroutine that is driven, and not for tasks which that makes."""

    __slots__ = ("driven",)

    def __init__(self) -> None:
        self.driven = False  # whether that coroutine is running right now

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Give `chunk` out; comes back when more is wanted.  Raises `UsageError` in a task of its own, as of `asyncio.gather`."""
        if not self.driven:
            raise UsageError("data must be written by `write` itself, and not from another task", argument="data")
        if not isinstance(chunk, (bytes, bytearray, memoryview)):
            raise UsageError(f"data must write bytes, not {type(chunk).__name__}", argument="data")
        if data := bytes(chunk):
            await _Piece(data)

    async def drain(self) -> None:
        """Nothing is held back."""

    async def write_eof(self, chunk: bytes = b"") -> None:
        """The last piece, if there is one.  The end of the body is the end of the coroutine."""
        await self.write(chunk)


async def written(write: Callable[[Any], Awaitable[object]]) -> AsyncGenerator[bytes, None]:
    """The pieces that `write(writer)` writes, one at a time; raises what it raises.

    If it is closed before the end, the coroutine is cancelled where it writes, and whatever it does then is awaited.
    """

    outlet = _Outlet()

    async def run() -> None:
        await write(outlet)

    coroutine = run()
    error: BaseException | None = None
    left = False
    while True:
        outlet.driven = True
        try:
            step = coroutine.send(None) if error is None else coroutine.throw(error)
        except StopIteration:
            return
        except asyncio.CancelledError:
            if left:
                return
            raise
        finally:
            outlet.driven = False
        error = None
        if type(step) is not _Piece:
            try:
                await Step(step)
            except BaseException as reason:
                error = reason
        elif left:
            error = asyncio.CancelledError()
        else:
            try:
                yield step.data
            except GeneratorExit:
                left = True
                error = asyncio.CancelledError()
