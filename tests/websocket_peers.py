"""Other implementations of WebSocket, each as a process that listens and connects: websockets, aiohttp, picows, node's ws.

    with Peer("picows") as peer:
        peer.url("/tag", deflate=True)                      where it listens
        peer.connect(url, count=1, deflate=False)           have it connect
        record = await peer.report("/tag")                  how a connection ended there

What a connection does there is told in tests/websocket_peer.py.  `missing(kind)` says why a kind is not here, "" if it is.
"""

from __future__ import annotations

import asyncio
import collections
import importlib.util
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

__all__ = ["KINDS", "Peer", "missing", "peers_as_needed"]

KINDS = ["websockets", "aiohttp", "picows", "ws"]
LIFE = 300  # seconds: more than the tests of a module take together
START_LIMIT = 20

HERE = Path(__file__).parent
# `make test` puts node's modules beside those of Python.
NODE_PATHS = [str(Path(sys.prefix) / "node" / "node_modules"), *filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep))]


def missing(kind: str) -> str:
    """Why this kind cannot be had on this machine."""
    if kind != "ws":
        return "" if importlib.util.find_spec(kind) else f"{kind} is not installed"
    if shutil.which("node") is None:
        return "node is not installed"
    if not any(Path(path, "ws").is_dir() for path in NODE_PATHS):
        return "node's ws is not installed"
    return ""


class Peer:
    """One process.  It ends with the block, and by itself after `life` seconds or when nobody holds its standard input."""

    def __init__(self, kind: str, *, life: float = LIFE) -> None:
        self.kind = kind
        if kind == "ws":
            self._command = ["node", str(HERE / "ws_peer.js"), str(life)]
        else:
            self._command = [sys.executable, str(HERE / "websocket_peer.py"), kind, str(life)]
        self._records: dict[str, collections.deque[dict[str, Any]]] = collections.defaultdict(collections.deque)
        self._waiting: dict[str, collections.deque[asyncio.Future[None]]] = collections.defaultdict(collections.deque)
        self._ended = False
        self._lock = threading.Lock()
        self._started: queue.Queue[dict[str, int]] = queue.Queue()
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Peer:
        environment = {**os.environ, "NODE_PATH": os.pathsep.join(NODE_PATHS)}
        # Other people's programs are not ours to judge: neither by development mode nor by warnings.
        for name in ("PYTHONDEVMODE", "PYTHONWARNINGS", "PYTHONASYNCIODEBUG"):
            environment.pop(name, None)
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self._ports = self._started.get(timeout=START_LIMIT)
        except queue.Empty:
            self.__exit__()
            raise RuntimeError(f"{self.kind} did not start") from None
        if not self._ports:
            self.__exit__()
            raise RuntimeError(f"{self.kind} ended at once")
        return self

    def __exit__(self, *error: object) -> None:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None or self._reader is None:
            return
        try:
            process.stdin.close()  # which ends it
        except OSError:
            pass
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        self._reader.join(5)
        process.stdout.close()

    def kill(self) -> None:
        """End the process at once."""
        assert self._process is not None
        self._process.kill()

    def url(self, path: str, *, deflate: bool) -> str:
        """The URL of `path` here, where permessage-deflate is accepted or where it is not."""
        return f"ws://127.0.0.1:{self._ports['deflate' if deflate else 'plain']}{path}"

    def connect(self, url: str, *, count: int = 1, deflate: bool = False, protocols: tuple[str, ...] = ()) -> None:
        """Have it open `count` connections."""
        assert self._process is not None and self._process.stdin is not None
        order = {"connect": url, "count": count, "deflate": deflate, "protocols": protocols}
        self._process.stdin.write(json.dumps(order) + "\n")

    async def report(self, tag: str) -> dict[str, Any]:
        """The next record of a connection with this tag that has ended; it is waited for as long as the process lives."""
        with self._lock:
            if self._records[tag]:
                return self._records[tag].popleft()
            if self._ended:
                return {"error": f"the process of {self.kind} is gone"}
            future = asyncio.get_running_loop().create_future()
            self._waiting[tag].append(future)
        record: dict[str, Any] = await future
        return record

    # -- its output ----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        for line in self._process.stdout:
            record = json.loads(line)
            if "tag" in record:
                self._deliver(record)
            else:
                self._started.put(record)
        self._started.put({})
        with self._lock:
            self._ended = True
            tags = [tag for tag, waiting in self._waiting.items() for _ in waiting]
        for tag in tags:
            self._deliver({"tag": tag, "error": f"the process of {self.kind} is gone"})

    def _deliver(self, record: dict[str, Any]) -> None:
        tag = record.pop("tag")
        with self._lock:
            if not self._waiting[tag]:
                self._records[tag].append(record)
                return
            future = self._waiting[tag].popleft()

        def resolve() -> None:
            if not future.done():
                future.set_result(record)

        try:
            future.get_loop().call_soon_threadsafe(resolve)
        except RuntimeError:
            pass  # whoever waited is gone, and the loop too


@contextmanager
def peers_as_needed() -> Iterator[dict[str, Peer]]:
    """The processes that were needed so far, by their kind: one that is asked for is started."""
    with ExitStack() as stack:

        class Started(dict[str, Peer]):
            def __missing__(self, kind: str) -> Peer:
                self[kind] = peer = stack.enter_context(Peer(kind))
                return peer

        yield Started()
