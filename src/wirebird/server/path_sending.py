"""A file that an ASGI application names in place of a body (`http.response.pathsend`).

Its calls of the operating system that may wait for a disk happen in a thread.  Where the connection can have the operating system
send a file by itself, it does.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from typing import TYPE_CHECKING, Any, Final

from .asgi_messages import ApplicationError

if TYPE_CHECKING:
    from .asgi_messages import Start
    from .exchange import Exchange

__all__ = ["send_path"]

# Bytes that are read at once.
_CHUNK: Final = 262144

# Not to wait for the other end of a pipe; Windows would translate line ends.
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


async def send_path(exchange: Exchange, start: Start, path: str) -> None:
    """Begin the response, and send the file `path` for its body: as much as its Content-Length says, or all of it.

    Raises `OSError` for what is no file that can be read, before anything is sent, and `ApplicationError` for one that is shorter
    than was promised.
    """
    in_thread = asyncio.get_running_loop().run_in_executor
    working: asyncio.Future[Any] = in_thread(None, _open, path)
    try:
        file, size = await asyncio.shield(working)
    except asyncio.CancelledError:
        working.add_done_callback(_close_opened)
        raise
    try:
        count = size if start.length < 0 else start.length
        if count > size:
            raise ApplicationError(f"the application promised {count} bytes of a file that has {size}")
        await exchange.begin(start.head, count)
        if not exchange.has_body():
            return
        at = await exchange.send_file(file, 0, count)
        while at < count:
            working = in_thread(None, _read, file, at, min(_CHUNK, count - at))
            piece = await asyncio.shield(working)
            if not piece:
                raise ApplicationError("the file became shorter while it was sent")
            await exchange.write(piece)
            at += len(piece)
    finally:
        if working.done():
            os.close(file)
        else:  # a thread is reading still
            working.add_done_callback(lambda _: os.close(file))


def _open(path: str) -> tuple[int, int]:
    file = os.open(path, _FLAGS)
    try:
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EISDIR if stat.S_ISDIR(facts.st_mode) else errno.EINVAL, "no file", path)
    except BaseException:
        os.close(file)
        raise
    return file, facts.st_size


def _close_opened(working: asyncio.Future[tuple[int, int]]) -> None:
    if not working.cancelled() and working.exception() is None:
        os.close(working.result()[0])


def _read(file: int, offset: int, count: int) -> bytes:
    os.lseek(file, offset, os.SEEK_SET)
    return os.read(file, count)
