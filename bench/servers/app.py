"""What is served: 12 bytes of text, and the ASGI function that answers with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["BODY", "FIELDS", "asgi"]

BODY = b"Hello, World"
FIELDS = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"12")]

Message = MutableMapping[str, Any]


async def asgi(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    """An ASGI 3 application that takes no other than the shortest way."""
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": FIELDS})
    await send({"type": "http.response.body", "body": BODY})
