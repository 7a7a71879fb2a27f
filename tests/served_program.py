"""What `test_server_runner.py` starts as a process: `python served_program.py WORKERS GRACE LOOP [PATH]`,
PATH being that of a Unix socket, or the number of an open socket.

It prints its addresses as JSON when it is ready, and answers with the number of its process.  By path: /slow takes 0.1 s, /stuck
for ever, /die ends the worker, /ws is a WebSocket.  With WIREBIRD_TEST_FAIL it does not start, with WIREBIRD_TEST_HANG it starts
for ever, and says so; with WIREBIRD_TEST_FORK each worker gets SIGTERM in the very moment in which it comes into being, with
WIREBIRD_TEST_NO_FORK the third and the fourth cannot be made.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from typing import Any

import uvloop

from wirebird.server.access_log import AccessLog
from wirebird.server.runner import Place, serve
from wirebird.server.server import Server

TEXT = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class App:
    async def startup(self, server: Server) -> None:
        if os.environ.get("WIREBIRD_TEST_FAIL"):
            raise OSError("it does not start")
        if os.environ.get("WIREBIRD_TEST_HANG"):
            os.write(1, b"[0]\n")  # in one piece: each worker says so
            await asyncio.Event().wait()

    async def shutdown(self, grace: float) -> None:
        print("shut down", flush=True)

    async def serve(self, exchange: Any) -> None:
        target = exchange.head.target
        if target == b"/slow":
            await asyncio.sleep(0.1)
        elif target == b"/stuck":
            await asyncio.Event().wait()
        elif target == b"/die":
            os._exit(3)
        elif target == b"/ws":
            async for _ in exchange.accept_websocket(SWITCH):
                pass
            return
        exchange.respond(200, TEXT, b"%d" % os.getpid())


def fork(real: Any = os.fork) -> int:
    pid = real()
    if not pid:
        os.kill(os.getpid(), signal.SIGTERM)
    return pid  # type: ignore[no-any-return]


forks = 0


def fork_seldom(real: Any = os.fork) -> int:
    global forks
    forks += 1
    if forks in (3, 4):
        raise BlockingIOError("no more processes")
    return real()  # type: ignore[no-any-return]


def main() -> int:
    logging.basicConfig(level=logging.WARNING, format="%(name)s %(levelname)s %(message)s")
    workers, grace, loop, *path = sys.argv[1:]
    if os.environ.get("WIREBIRD_TEST_FORK"):
        os.fork = fork
    if os.environ.get("WIREBIRD_TEST_NO_FORK"):
        os.fork = fork_seldom
    place = Place()
    if path:
        place = Place(sock=socket.socket(fileno=int(path[0]))) if path[0].isdigit() else Place(path=path[0])
    return serve(
        lambda: Server(App(), on_done=AccessLog()),
        [place],
        workers=int(workers),
        grace=float(grace),
        loop_factory=uvloop.new_event_loop if loop == "uvloop" else None,
        ready=lambda names: print(json.dumps(names), flush=True),
    )


if __name__ == "__main__":
    raise SystemExit(main())
