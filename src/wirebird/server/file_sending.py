"""A file, or a part of it, on its way to a socket without passing through this process: sendfile(2), as the socket takes it.

Beside the transport, not through `loop.sendfile`: that one stops reading, so that nobody sees the client leave, knows no time
limit, waits for ever if the transport is aborted meanwhile, and uvloop has none.  The socket is duplicated, for a loop does not
let anybody watch the one of a transport.  The transport's own buffer is empty before the first byte, and nothing is written to
it until the last.

sendfile(2) waits for the disk where a file is not in memory, and the loop would wait with it.  So it is asked first whether the
next bytes are there (`RWF_NOWAIT`, where the system knows that), and if not, a thread has them brought.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..net.stream import Stream

__all__ = ["FileSending", "can_send_files"]

_sendfile = getattr(os, "sendfile", None)

# Bytes of one call: it happens in the loop, and others have their turn in between.
_TURN: Final = 262144

# Bytes that a thread has brought from the disk.
_AHEAD: Final = 1024 * 1024

_IN_MEMORY_ONLY: Final = getattr(os, "RWF_NOWAIT", 0)
_one_byte = bytearray(1)


def can_send_files(transport: asyncio.Transport) -> bool:
    """Whether what goes out by `transport` is what is written to a socket."""
    if _sendfile is None or transport.get_extra_info("sslcontext") is not None:
        return False
    socket = transport.get_extra_info("socket")
    return socket is not None and socket.fileno() >= 0


class FileSending:
    """Sends `count` bytes of `file` from `offset` on, in place of the transport, and lets the connection write again in the end.

    That comes when all is sent, or the file has no more, or cannot be sent this way; `sent` counts what was.  An error of the
    socket aborts the connection.
    """

    __slots__ = ("_brought", "_connection", "_count", "_file", "_offset", "_socket", "_waits_for_disk", "sent")

    def __init__(self, connection: Stream, file: int, offset: int, count: int) -> None:
        self._connection = connection
        self._file = file
        self._offset = offset
        self._brought = offset  # up to there it need not be asked
        self._waits_for_disk = False
        self._count = count
        self.sent = 0
        try:
            self._socket = os.dup(connection.transport.get_extra_info("socket").fileno())  # type: ignore[union-attr]
        except OSError:  # too many are open: the file will be read
            self._socket = -1
            return
        try:
            connection.pause_writing()
            self._proceed()
            if self._socket >= 0 and not self._waits_for_disk:
                connection.loop.add_writer(self._socket, self._proceed)
        except BaseException:
            self.stop()  # or the client would wait for a connection that nobody closes
            raise

    def __repr__(self) -> str:
        return f"<FileSending {self.sent} of {self._count} bytes>"

    def _proceed(self) -> None:
        """The socket takes more."""
        at = self._offset + self.sent
        count = min(self._count - self.sent, _TURN)
        if at >= self._brought and not _is_in_memory(self._file, at + count - 1):
            self._have_brought(at)
            return
        try:
            sent = os.sendfile(self._socket, self._file, at, count)
        except (BlockingIOError, InterruptedError):
            return
        except ConnectionError:
            self._release()
            self._connection.abort()
            return
        except OSError:
            sent = 0  # a file system without it, or a disk that fails: whoever reads the file instead will see
        self.sent += sent
        if not sent or self.sent == self._count:
            self.stop()
        else:
            self._connection.pause_writing()  # it reads: it has its time anew

    def _have_brought(self, at: int) -> None:
        """Wait for the disk, and for nothing else."""
        loop = self._connection.loop
        loop.remove_writer(self._socket)
        self._waits_for_disk = True
        self._brought = at + _AHEAD
        loop.run_in_executor(None, _bring, self._file, at).add_done_callback(self._go_on)

    def _go_on(self, brought: asyncio.Future[None]) -> None:
        self._waits_for_disk = False
        if self._socket >= 0:
            self._connection.loop.add_writer(self._socket, self._proceed)

    def stop(self) -> None:
        """Let go of the socket, and let the connection write; idempotent."""
        if self._release() and self._connection.transport is not None:
            self._connection.resume_writing()

    def _release(self) -> bool:
        socket, self._socket = self._socket, -1
        if socket < 0:
            return False
        self._connection.loop.remove_writer(socket)
        os.close(socket)
        return True


def _is_in_memory(file: int, at: int) -> bool:
    """Whether the byte there can be had at once; yes, where the system does not say."""
    if not _IN_MEMORY_ONLY:
        return True
    try:
        os.preadv(file, [_one_byte], at, _IN_MEMORY_ONLY)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _bring(file: int, at: int) -> None:
    """Have the system read what comes next.  If the file is closed meanwhile, something else is read, for nobody."""
    with suppress(OSError):  # whoever sends it will see
        os.pread(file, _AHEAD, at)
