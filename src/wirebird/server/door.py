"""The door of a server that is about to end: nobody comes in any more, and whoever is inside already is not thrown out.

A listening socket that is closed resets every connection in its queue, and those whose handshake is under way: the client has
sent its request by then, for as far as it knows it is connected.  Emptying the queue first is not enough, because more come
meanwhile.  So newcomers are kept away before that: on Linux by a filter on the socket that drops the first packet of a handshake
(SYN without ACK, RFC 9293 3.5) and lets all others through.  To its sender the packet is lost; when it is sent again, a second
later, the port is closed, or another process listens.  A Unix socket loses its path.

Where there is neither, the queue is emptied and the socket closed in one step (`Server.close`), which leaves some microseconds.
"""

from __future__ import annotations

import socket as _socket
import struct
import sys
from pathlib import Path
from typing import Final

__all__ = ["shut_door"]

_SO_ATTACH_FILTER: Final = 26

# A program for the classic packet filter: load the byte of flags, keep SYN and ACK, and drop the packet if that is SYN alone.
_PROGRAM: Final = ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))


def shut_door(sock: _socket.socket) -> bool:
    """Keep newcomers away from a listening socket; whether that was possible.

    It holds for whoever else has the socket, and for whoever listens on it later: it is not for one that was only lent, as by a
    service manager that gives it to the next process.
    """
    try:
        if sock.family == getattr(_socket, "AF_UNIX", None):
            path = sock.getsockname()
            if not isinstance(path, str) or not path:
                return False  # a name that is no path
            Path(path).unlink(missing_ok=True)
            return True
        if not sys.platform.startswith("linux"):
            return False
        from ctypes import addressof, create_string_buffer

        steps = create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _PROGRAM))
        sock.setsockopt(_socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_PROGRAM), addressof(steps)))
    except (OSError, ImportError):
        return False
    return True
