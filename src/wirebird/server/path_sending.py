"""A file that an ASGI application names in place of a body (`http.response.pathsend`).

Its calls of the operating system that may wait for a disk happen in a thread.  Where the connection can have the operating system
send a file by itself, it does.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final

from .asgi_messages import ApplicationError
from .regular_file import close_behind, open_regular, read_at

if TYPE_CHECKING:
    from .asgi_messages import Start
    from .exchange import Exchange

__all__ = ["send_path"]

# Bytes that are read at once.
_CHUNK: Final = 262144


async def send_path(exchange: Exchange, start: Start, path: str) -> None:
    """Begin the response, and send the file `path` for its body: as much as its Content-Length says, or all of it.

    Raises `OSError` for what is no file that can be read, before anything is sent, and `ApplicationError` for one that is shorter
    than was promised.
    """
    in_thread = asyncio.get_running_loop().run_in_executor
    working: asyncio.Future[Any] = in_thread(None, open_regular, path)
    try:
        file, facts = await asyncio.shield(working)
    except asyncio.CancelledError:
        working.add_done_callback(_close_opened)
        raise
    try:
        count = facts.st_size if start.length < 0 else start.length
        if count > facts.st_size:
            raise ApplicationError(f"the application promised {count} bytes of a file that has {facts.st_size}")
        await exchange.begin(start.head, count)
        if not exchange.has_body():
            return
        at = await exchange.send_file(file, 0, count)
        while at < count:
            working = in_thread(None, read_at, file, at, min(_CHUNK, count - at))
            piece = await asyncio.shield(working)
            if not piece:
                raise ApplicationError("the file became shorter while it was sent")
            await exchange.write(piece)
            at += len(piece)
    finally:
        close_behind(working, file)


def _close_opened(working: asyncio.Future[tuple[int, os.stat_result]]) -> None:
    if not working.cancelled() and working.exception() is None:
        os.close(working.result()[0])
