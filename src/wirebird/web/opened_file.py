"""A file that is open to be sent: what it is called in HTTP, its bytes, and whether it is still the same.

All calls of the operating system that may wait for a disk happen in a thread.  A small file is read where it is opened.

The entity tag is a hash of what the file system says of the file: inode, size, and the times of its content and of its inode,
which nobody can set back.  It is strong (RFC 9110 8.8.1) once both times are two seconds ago: until then the file may be
changed again without any of them changing, for clocks of file systems are coarse.

Beside a file may lie others that are the same compressed: `app.js.br`, `app.js.zst`, `app.js.gz`.  One is taken if the client
likes it better, if it is not older than the file, and if it is a regular file, not a link.
"""

from __future__ import annotations

import asyncio
import errno
import os
from hashlib import blake2b
from time import time
from typing import Final

from ..protocol.negotiation import choose_coding
from ..server.regular_file import NO_LINK, NotAFile, close_behind, open_regular, read_at

__all__ = ["SMALL", "FileChanged", "NotAFile", "OpenedFile", "open_file", "open_in_thread", "status_of"]

SMALL: Final = 65536
"""Bytes up to which a file is read where it is opened."""

# Bytes at the end of a larger one by which it is told whether it only grew.
_END: Final = 4096

# Seconds for which a file has to be as it is, before a tag names its state.
_SETTLED: Final = 2.0

# The first second that HTTP has a date for.
_YEAR_ONE: Final = -62_135_596_800

# The best first: these were made once, whatever that took.
_SIBLINGS: Final = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}


class FileChanged(OSError):
    """The file is not any more what was promised of it: too short, or other bytes."""


class OpenedFile:
    """One file.  `data` is its content if that was read already, `coding` its content coding, None if no variant is acceptable
    (`identity` for the file itself), `varies` whether there are variants."""

    __slots__ = ("_end", "_fd", "_mtime", "_reading", "coding", "data", "etag", "modified", "path", "size", "varies")

    def __init__(self, path: str, fd: int, facts: os.stat_result, clock: float) -> None:
        self._fd = fd  # from here on it is closed with this
        self._reading: asyncio.Future[bytes] | None = None
        self._end = b""
        self._mtime = facts.st_mtime_ns
        self.coding: str | None = "identity"
        self.data: bytes | None = None
        self.path = path
        self.size = facts.st_size
        self.varies = False
        state = f"{facts.st_ino} {facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns}"
        tag = f'"{blake2b(state.encode(), digest_size=12).hexdigest()}"'
        settled = clock - max(facts.st_mtime, facts.st_ctime) > _SETTLED
        self.etag: str | None = tag if settled else f"W/{tag}"
        # RFC 9110 8.8.2.1: never later than the Date of the answer.
        self.modified: int | None = max(int(min(facts.st_mtime, clock) // 1), _YEAR_ONE)

    def __repr__(self) -> str:
        return f"<OpenedFile {self.path} {self.size} bytes{'' if self._fd >= 0 else ', closed'}>"

    def __del__(self) -> None:
        self.close()

    def fileno(self) -> int:
        """What the operating system calls it."""
        return self._fd

    def read_here(self) -> None:
        """Read all of it; blocks.  One that is being changed meanwhile has no name for its state."""
        data = read_at(self._fd, 0, self.size + 1)
        if len(data) > self.size:
            data = read_at(self._fd, 0, SMALL + 1)
            if len(data) > SMALL:
                raise self._changed()
        if len(data) != self.size or self._has_changed(os.fstat(self._fd)):
            self.etag = self.modified = None
        self.data = data
        self.size = len(data)

    def look_at_end(self) -> None:
        """Remember how it ends now; blocks."""
        self._end = self._read_end()

    async def read(self, offset: int, count: int) -> bytes:
        """`count` bytes from `offset` on, fewer where it ends."""
        return await self._in_thread(offset, count, False)

    async def read_last(self, offset: int, count: int) -> bytes:
        """The same for the last bytes that are sent.  Raises `FileChanged` if the file is another by now."""
        return await self._in_thread(offset, count, True)

    async def _in_thread(self, offset: int, count: int, last: bool) -> bytes:
        if self.data is not None:
            return self.data[offset : offset + count]
        reading = self._reading = asyncio.get_running_loop().run_in_executor(None, self._read_and_look, offset, count, last)
        return await asyncio.shield(reading)

    def _read_and_look(self, offset: int, count: int, last: bool) -> bytes:
        data = read_at(self._fd, offset, count)
        if last and (len(data) < count or self._is_other()):
            raise self._changed()
        return data

    def _is_other(self) -> bool:
        """Whether its bytes may be others than when it was opened.  One that has only grown has still the bytes that it had."""
        facts = os.fstat(self._fd)
        if facts.st_size > self.size:
            return self._read_end() != self._end
        return self._has_changed(facts)

    def _read_end(self) -> bytes:
        at = max(self.size - _END, 0)
        return read_at(self._fd, at, self.size - at)

    def _has_changed(self, facts: os.stat_result) -> bool:
        return facts.st_size != self.size or facts.st_mtime_ns != self._mtime

    def _changed(self) -> FileChanged:
        return FileChanged(errno.ESTALE, "the file was changed while it was sent", self.path)

    def close(self) -> None:
        """Close it; idempotent.  What a thread is reading is read first."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            close_behind(self._reading, fd)


_STATUS: Final = {
    **dict.fromkeys([errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP], 404),
    **dict.fromkeys([errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENXIO], 403),
}


def status_of(error: OSError) -> int | None:
    """What an error of `open_file` means to who asked for the file: 404, 403, or None where the server is at fault."""
    return _STATUS.get(error.errno or 0)


def open_file(path: str, accept: list[str] | None, *, follow: bool = True) -> OpenedFile:
    """Open the file, or what lies compressed beside it; blocks.

    `accept` are the values of Accept-Encoding, None to look for nothing beside it; the file itself need not be there, for who
    accepts the other.  Without `follow` it may be no link.  Raises `NotAFile`, and `OSError` as `os.open` does.
    """
    clock = time()
    opened: OpenedFile | None = None
    try:
        opened = _open(path, clock, 0 if follow else NO_LINK)
    except FileNotFoundError:
        if accept is None or (opened := _best(path, None, accept, clock)) is None:
            raise
    else:
        if accept is not None:
            opened = _best(path, opened, accept, clock) or opened
    try:
        if opened.size > SMALL or opened.coding is None:
            opened.look_at_end()
        else:
            opened.read_here()
            opened.close()
    except BaseException:
        opened.close()
        raise
    return opened


async def open_in_thread(path: str, accept: list[str] | None) -> OpenedFile:
    """The same in a thread.  If the caller is cancelled meanwhile, it is closed."""
    opening = asyncio.get_running_loop().run_in_executor(None, open_file, path, accept)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_unwanted)
        raise
    finally:
        del opening  # which keeps what it raised, whose traceback leads here


def _close_unwanted(opening: asyncio.Future[OpenedFile]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _open(path: str, clock: float, flags: int) -> OpenedFile:
    fd, facts = open_regular(path, flags)
    return OpenedFile(path, fd, facts, clock)


def _best(path: str, plain: OpenedFile | None, accept: list[str], clock: float) -> OpenedFile | None:
    """The best of the file, if there is one, and its siblings; the others are closed."""
    offered: dict[str, OpenedFile] = {}
    for coding, ending in _SIBLINGS.items():
        try:
            sibling = _open(path + ending, clock, NO_LINK)
        except (OSError, ValueError):
            continue
        if plain is not None and (sibling.modified or 0) < (plain.modified or 0):
            sibling.close()
        else:
            offered[coding] = sibling
    varies = bool(offered)
    chosen = choose_coding(accept, tuple(offered))
    best = offered.pop(chosen or "", plain)
    if best is not None:
        best.coding, best.varies, best.path = chosen, varies, path
    for other in (*offered.values(), plain):
        if other is not None and other is not best:
            other.close()
    return best
