"""The parent of a development server: it holds the sockets, watches the files, and has a child serve, another after each change.

While there is no child, connections wait in the queue of the kernel: none is refused.  Parent and child speak JSON, a line each,
over a pair of sockets.  The parent says what has changed and when to end, the child that it is ready, or has nothing to serve.
Each learns of the other's death by the end of that stream, so neither is left behind.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket as _socket
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any, Final

from .live import sort_changes

__all__ = ["Supervisor", "missing_watcher"]

# How long a child may take to end, in which requests under way may end, before it is killed, seconds.
PATIENCE: Final = 5.0

# How long files must be left alone before a change counts, and how long that is waited for, milliseconds.
_STEP: Final = 40
_DEBOUNCE: Final = 400


class Child:
    """One process that serves.  `said` is called with each message of it, and with None at its end."""

    def __init__(self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.process = process
        self.broken = False
        self.ready = False
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls, command: Sequence[str], options: dict[str, Any], fds: Sequence[int]) -> Child:
        """Start one."""
        ours, theirs = _socket.socketpair()
        with theirs:
            arguments = json.dumps({**options, "fds": list(fds), "control": theirs.fileno()}, default=str)
            process = await asyncio.create_subprocess_exec(*command, arguments, pass_fds=[*fds, theirs.fileno()])
        ours.setblocking(False)
        return cls(process, *await asyncio.open_connection(sock=ours, limit=1 << 20))

    async def listen(self, said: Callable[[Child, dict[str, Any] | None], None]) -> None:
        """Hear what it says until it ends, whoever else has its end of the stream by then, as processes that it has forked."""
        ending = asyncio.ensure_future(self.process.wait())
        ending.add_done_callback(lambda _: self._reader.feed_eof())
        try:
            while line := await self._reader.readline():
                said(self, json.loads(line))
        except (OSError, ValueError):
            pass  # it died while it spoke
        finally:
            ending.cancel()
            said(self, None)

    def tell(self, message: dict[str, Any]) -> None:
        """Tell it something, if it is still there."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def end(self) -> int:
        """Have it end, whatever it takes; its exit code."""
        self.tell({"end": True})
        if not self.ready:  # it may not listen for a while yet
            with suppress(ProcessLookupError):
                self.process.terminate()
        try:
            async with asyncio.timeout(PATIENCE):
                await self.process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self.process.kill()
        return await self.bury()

    async def bury(self) -> int:
        """Its exit code; it has ended or is about to."""
        code = await self.process.wait()
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()
        return code


class Supervisor:
    """Has children serve on `socks` until a signal comes.

    options    what a child is told, JSON
    roots      the folders that are watched
    is_folder  whether a folder is served, that has no code
    ignore     paths below them that are not
    also       suffixes of files that need a new process, besides the known ones
    say        what is told to whoever sits in front of the terminal
    ready      called once, when the first child is ready
    """

    def __init__(
        self,
        socks: Sequence[_socket.socket],
        options: dict[str, Any],
        roots: Sequence[Path],
        *,
        is_folder: bool = False,
        ignore: Collection[Path] = (),
        also: Collection[str] = (),
        say: Callable[[str], None],
        ready: Callable[[], None],
    ) -> None:
        self._socks = socks
        self._options = options
        self._roots = roots
        self._is_folder = is_folder
        self._ignore = ignore
        self._also = also
        self._say = say
        self._ready: Callable[[], None] | None = ready
        self._usual: Any = None
        self._child: Child | None = None
        self._began = 0.0
        self._news: asyncio.Queue[tuple[str, Any]]
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Work until a signal comes; the exit code."""
        self._news = asyncio.Queue()
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM)
        for number in numbers:
            loop.add_signal_handler(number, self._on_signal, number)
        watching = asyncio.create_task(self._watch())
        try:
            await self._start()
            while True:
                kind, what = await self._news.get()
                if kind == "signal":
                    return 0
                if kind == "changed":
                    await self._on_change(what)
                elif kind == "ended" and self._child is not None and what is self._child:
                    await self._on_death(self._child)
                elif kind == "failed":
                    self._say(f"files cannot be watched: {what} (WATCHFILES_FORCE_POLLING=1 has them looked at in turn instead)")
                    return 1
        finally:
            watching.cancel()
            if self._child is not None:
                await self._child.end()
            for task in (watching, *self._tasks):
                task.cancel()
            await asyncio.gather(watching, *self._tasks, return_exceptions=True)
            for number in numbers:
                loop.remove_signal_handler(number)

    def _on_signal(self, number: int) -> None:
        asyncio.get_running_loop().remove_signal_handler(number)  # a second one has its usual effect
        self._news.put_nowait(("signal", number))

    async def _watch(self) -> None:
        from watchfiles import awatch

        try:
            async for changes in awatch(
                *self._roots, watch_filter=None, debounce=_DEBOUNCE, step=_STEP, ignore_permission_denied=True
            ):
                if paths := [path for _, path in changes if self.is_watched(path)]:
                    self._news.put_nowait(("changed", paths))
        except Exception as error:
            self._news.put_nowait(("failed", error))

    def is_watched(self, path: str) -> bool:
        """Whether a change of it counts: not that of a path to ignore, nor of what editors and tools keep to themselves."""
        from watchfiles import Change, DefaultFilter

        if self._usual is None:
            self._usual = DefaultFilter()
        place = Path(path)
        if any(place.is_relative_to(one) for one in self._ignore):
            return False
        root = self._root_of(place)
        return bool(self._usual(Change.modified, path if root is None else str(place.relative_to(root))))

    def _root_of(self, place: Path) -> Path | None:
        return next((root for root in self._roots if place.is_relative_to(root)), None)

    # -- children ------------------------------------------------------------------------------------------------------

    async def _start(self, crashed: str = "") -> None:
        command = [sys.executable, "-P", "-m", "wirebird.cli.dev.child"]
        self._began = monotonic()
        fds = [sock.fileno() for sock in self._socks]
        child = self._child = await Child.start(command, {**self._options, "crashed": crashed}, fds)
        child.broken = bool(crashed)
        task = asyncio.create_task(child.listen(self._on_message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_message(self, child: Child, message: dict[str, Any] | None) -> None:
        if message is None:
            self._news.put_nowait(("ended", child))
            return
        child.broken = bool(message.get("broken", child.broken))
        if message.get("ready") and not child.ready:
            child.ready = True
            if self._ready is not None:
                ready, self._ready = self._ready, None
                ready()
            elif not child.broken:
                self._say(f"ready again after {monotonic() - self._began:.2f} s")
            if child.broken:
                self._say("the application cannot be served; waiting for a change")

    async def _on_change(self, paths: list[str]) -> None:
        sorted_ones = sort_changes(paths, is_folder=self._is_folder, also=self._also)
        child = self._child
        if child is None or child.broken or sorted_ones["restart"]:
            reason = sorted_ones["restart"] or sorted_ones["css"] or sorted_ones["reload"]
            if not reason:
                return
            self._say(f"{self._shown(reason)} changed: starting anew")
            if child is not None:
                self._child = None
                await child.end()
            await self._start()
        else:
            for kind in ("css", "reload"):
                if sorted_ones[kind]:
                    self._say(f"{self._shown(sorted_ones[kind])} changed")
                    child.tell({kind: [os.path.basename(path) for path in sorted_ones[kind]]})  # noqa: PTH119 - of any system

    async def _on_death(self, child: Child) -> None:
        """It ended by itself."""
        code = await child.bury()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self._say(f"the process of the application {how}; waiting for a change")
        self._child = None
        # One that says why; unless pages are left alone, where connections wait for a change, too.
        if not self._options["plain"] and (not child.broken or child.ready):
            await self._start(f"The process of the application {how}. The terminal may say more.")

    def _shown(self, paths: Sequence[str]) -> str:
        names = []
        for path in paths[:3]:
            root = self._root_of(Path(path))
            names.append(str(Path(path).relative_to(root)) if root is not None else path)
        return ", ".join(names) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def missing_watcher() -> str | None:
    """What to say where files cannot be watched, None where they can."""
    if sys.platform == "win32":
        return "sockets cannot be handed to another process on this system; use wirebird serve"
    if find_spec("watchfiles") is None:
        return "watching files needs watchfiles, which is not installed: pip install 'wirebird[reload]'"
    return None
