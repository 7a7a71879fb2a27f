"""A server for very large bodies, in a process of its own: `python flood.py` prints its port, and ends with its standard input.

    GET /{mebibytes}    that many blocks of `block_at`, from the `Range` that is asked for, with a strong tag; the connection is
                        cut at each of `?cuts=a,b,…` (offsets in the file) once
    PUT /               the body, in chunks or of known length, is hashed; the answer is its length and SHA-256.  With a
                        Content-Range it goes behind what came before; the connection is cut at each of `?cuts=a,b,…` once
    GET /received       how much has come

Blocks are alike but for their first bytes, so that one out of place would be noticed, and none has to be stored.
"""

from __future__ import annotations

import hashlib
import re
import socket
import sys
import threading
from typing import BinaryIO

__all__ = ["MIB", "block_at"]

MIB = 1024 * 1024

_block = bytes(range(256)) * (MIB // 256)


def block_at(number: int) -> bytes:
    """The `number`-th mebibyte of the file."""
    return number.to_bytes(8, "big") + _block[8:]


class _Server:
    def __init__(self) -> None:
        self.cuts: set[tuple[str, int]] = set()  # those made
        self.digest = hashlib.sha256()  # of what was uploaded
        self.received = 0

    def serve(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb", buffering=MIB) as file:
            while head := _read_head(file):
                try:
                    if head.startswith("PUT"):
                        self._count(sock, file, head)
                    elif head.startswith("GET /received "):
                        _say(sock, str(self.received))
                    elif not self._give(sock, head):
                        return
                except OSError:
                    return

    def _give(self, sock: socket.socket, head: str) -> bool:
        size, _, cuts = head.split(" ", 2)[1][1:].partition("?cuts=")
        total = int(size) * MIB
        found = re.search(r"\r\nrange: bytes=(\d+)-\r\n", head, re.IGNORECASE)
        start = int(found[1]) if found else 0
        if start and '\r\nif-range: "flood"\r\n' not in head.lower():
            return False
        left = [int(cut) for cut in cuts.split(",") if cut and int(cut) > start and (size, int(cut)) not in self.cuts]
        stop = min([*left, total])
        status = f"206 Part\r\nContent-Range: bytes {start}-{total - 1}/{total}" if start else "200 All"
        sock.sendall(f'HTTP/1.1 {status}\r\nETag: "flood"\r\nContent-Length: {total - start}\r\n\r\n'.encode())
        at = start
        view = memoryview(_block)
        while at < stop:
            number, within = divmod(at, MIB)
            upto = min(MIB, within + stop - at)
            if within < 8:
                sock.sendall(block_at(number)[within:upto])
            else:
                sock.sendall(view[within:upto])
            at += upto - within
        if stop < total:
            self.cuts.add((size, stop))
            return False
        return True

    def _count(self, sock: socket.socket, file: BinaryIO, head: str) -> None:
        found = re.search(r"\r\ncontent-range: bytes (\d+)-", head, re.IGNORECASE)
        if not found or found[1] == "0":
            self.digest = hashlib.sha256()
            self.received = 0
        elif int(found[1]) != self.received:
            raise ConnectionError
        cuts = head.split(" ", 2)[1].partition("?cuts=")[2]
        cut = min([int(cut) for cut in cuts.split(",") if cut and int(cut) > self.received], default=-1)
        room = memoryview(bytearray(MIB))

        def take(size: int) -> None:
            while size:
                count = file.readinto(room[: min(size, MIB, cut - self.received if cut >= 0 else MIB)])  # type: ignore[attr-defined]
                if not count:
                    raise ConnectionError
                self.digest.update(room[:count])
                self.received += count
                size -= count
                if self.received == cut:
                    raise ConnectionError

        if found := re.search(r"\r\ncontent-length: (\d+)\r\n", head, re.IGNORECASE):
            take(int(found[1]))
        else:
            while size := int(file.readline(), 16):
                take(size)
                file.readline()
            while file.readline() != b"\r\n":
                pass
        _say(sock, f"{self.received} {self.digest.hexdigest()}")


def _say(sock: socket.socket, text: str) -> None:
    sock.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())


def _read_head(file: BinaryIO) -> str:
    lines = []
    while (line := file.readline()) not in (b"\r\n", b""):
        lines.append(line.decode("latin-1"))
    return "".join(lines)


def main() -> None:
    """Serve until standard input ends."""
    server = _Server()
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(listener.getsockname()[1], flush=True)

    def accept() -> None:
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=server.serve, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
