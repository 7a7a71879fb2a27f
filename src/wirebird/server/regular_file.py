"""A file of the disk, by its descriptor: opened if it is a regular one, and read from any place.  That may wait for the disk."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from typing import Any, Final

__all__ = ["NO_LINK", "NotAFile", "close_behind", "open_regular", "read_at"]

# Not to wait for the other end of a pipe that somebody has put there; Windows would translate line ends.
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
"""For `open_regular`: not where it is a symbolic link."""


class NotAFile(OSError):
    """A folder, a device, a pipe."""


def open_regular(path: str, flags: int = 0) -> tuple[int, os.stat_result]:
    """The descriptor, and what the system says of the file.  Raises `NotAFile`, and `OSError` as `os.open` does."""
    file = os.open(path, _FLAGS | flags)
    try:
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode):
            raise NotAFile(errno.EISDIR, "not a regular file", path)
    except BaseException:
        os.close(file)
        raise
    return file, facts


def read_at(file: int, offset: int, count: int) -> bytes:
    """`count` bytes from there, fewer only at the end of the file."""
    pieces = []
    while count:
        if hasattr(os, "pread"):
            piece = os.pread(file, count, offset)
        else:
            os.lseek(file, offset, os.SEEK_SET)
            piece = os.read(file, count)
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
        count -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def close_behind(reading: asyncio.Future[Any] | None, file: int) -> None:
    """Close it, once the thread is done that reads it, if there is one."""
    if reading is None or reading.done():
        os.close(file)
    else:
        reading.add_done_callback(lambda _: os.close(file))
