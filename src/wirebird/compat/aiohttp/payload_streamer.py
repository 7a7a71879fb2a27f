"""`aiohttp.streamer`: a coroutine function that writes a body.

@aiohttp.streamer
async def parts(writer, count):
    for number in range(count):
        await writer.write(b"%d" % number)

await session.post(url, data=parts(3))
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from .payload import Payload, PayloadWriter, payload_type

__all__ = ["StreamPayload", "StreamWrapperPayload", "streamer"]


class _stream_wrapper:
    """A coroutine function, and what it is to be called with."""

    def __init__(self, coro: Callable[..., Awaitable[None]], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.coro = coro
        self.args = args
        self.kwargs = kwargs

    async def __call__(self, writer: PayloadWriter) -> None:
        await self.coro(writer, *self.args, **self.kwargs)


class streamer:
    """A decorator: what it gives takes the arguments behind the writer, and makes a body."""

    def __init__(self, coro: Callable[..., Awaitable[None]]) -> None:
        self.coro = coro

    def __call__(self, *args: Any, **kwargs: Any) -> _stream_wrapper:
        return _stream_wrapper(self.coro, args, kwargs)


@payload_type(_stream_wrapper)
class StreamWrapperPayload(Payload):
    """What the coroutine function writes.  It is called anew each time it is sent."""

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Raises `TypeError`: what it writes is known when it has."""
        raise TypeError("Unable to decode.")

    async def write(self, writer: PayloadWriter) -> None:
        await self._value(writer)


@payload_type(streamer)
class StreamPayload(StreamWrapperPayload):
    """A decorated function that was not called, and needs no arguments."""

    def __init__(self, value: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(value(), *args, **kwargs)
