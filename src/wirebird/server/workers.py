"""Several processes that serve the same sockets, and the one that watches over them.

The sockets are bound before the workers are made (pre-fork), so all of them accept from one queue.  A worker that dies is
replaced, and what was waiting in the queue is served by another.  One that dies before all were ready ends everything: it would
do so again; later ones are tried again, ever more slowly.

The parent runs no loop and serves nothing.  It speaks with a worker over a pair of sockets, so that a signal that reaches the
whole group, as from a terminal or a service manager, is not taken for two: `b"r"` says that a worker is ready, `b"e"` asks it to
end, `b"q"` to end at once.  If the parent is gone, so is its end of the pair, and the workers end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import selectors
import signal
import socket as _socket
import sys
import traceback
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, TypeAlias

__all__ = ["Workers"]

# What serves in a worker: it is given how to learn of the end, and whom to tell that it is ready.
Work: TypeAlias = "Callable[[Callable[[Callable[[bool], None]], None], Callable[[], None]], None]"

# A worker that is asked to end has its grace, twice: for requests, and for the application, which has 10 s more; and this.
_LATE: Final = 5.0

# The longest pause before a worker that died is replaced, seconds.
_LONGEST_PAUSE: Final = 30.0

# A worker that lived so long was well, seconds.
_WELL: Final = 10.0

# How long a worker that has ended in good order is not replaced, seconds.
_MOMENT: Final = 0.1

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_log = logging.getLogger("wirebird.server")


class Worker:
    """One process, as its parent knows it."""

    __slots__ = ("began", "link", "number", "pid", "ready")

    def __init__(self, number: int, pid: int, link: _socket.socket) -> None:
        self.number = number
        self.pid = pid
        self.link = link
        self.began = monotonic()
        self.ready = False

    def __repr__(self) -> str:
        return f"<Worker {self.number}, process {self.pid}{', ready' if self.ready else ''}>"

    def tell(self, word: bytes) -> None:
        """Ask it to end; it may have done so."""
        try:
            self.link.send(word)
        except OSError:
            pass


class Workers:
    """`count` processes that do `work`, replaced when they die, until a signal comes."""

    def __init__(self, work: Work, count: int, grace: float, close: Callable[[], None]) -> None:
        self._work = work
        self._count = count
        self._grace = grace
        self._close = close  # the sockets, to newcomers, and here, where nobody accepts from them
        self._workers: dict[int, Worker] = {}  # by number
        self._due: dict[int, float] = {}  # when a worker that died is replaced
        self._ended: set[int] = set()  # those of them that ended in good order
        self._pauses: dict[int, float] = {}
        self._begun = False  # all were ready once
        self._asked = 0  # how often it was asked to end
        self._killed_at = 0.0
        self._failed = False
        self._ready: Callable[[], None] = lambda: None
        self._selector: selectors.BaseSelector
        self._waker: _socket.socket

    def run(self, ready: Callable[[], None]) -> int:
        """Work until a signal comes: the exit code.  `ready` is called when all workers are."""
        self._ready = ready
        handlers: dict[int, Any] = {number: signal.getsignal(number) for number in (*_SIGNALS, signal.SIGCHLD)}
        reader, self._waker = _socket.socketpair()
        with reader, self._waker, selectors.DefaultSelector() as self._selector:
            for end in (reader, self._waker):
                end.setblocking(False)
            self._selector.register(reader, selectors.EVENT_READ)
            old = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
            for number in handlers:
                signal.signal(number, _noted)
            try:
                for number in range(self._count):
                    self._start(number)
                while self._workers or (self._due and not self._asked):
                    self._turn(reader)
            finally:
                self._close()  # if it was not asked to end, but has failed
                for worker in self._workers.values():
                    os.kill(worker.pid, signal.SIGKILL)
                    os.waitpid(worker.pid, 0)
                    worker.link.close()
                signal.set_wakeup_fd(old)
                for number, handler in handlers.items():
                    signal.signal(number, handler)
        return 1 if self._failed else 0

    def _turn(self, reader: _socket.socket) -> None:
        """Wait for something to happen, and do what there is to do."""
        for key, _ in self._selector.select(self._patience()):
            if key.fileobj is reader:
                for number in _read(reader):
                    if number in _SIGNALS:
                        self._end()
            elif key.data.link.fileno() >= 0 and _read(key.data.link):
                self._is_ready(key.data)
        self._bury()
        now = monotonic()
        if self._killed_at and now >= self._killed_at:
            self._killed_at = 0.0
            for worker in self._workers.values():
                _log.warning("%r does not end, and is killed", worker)
                os.kill(worker.pid, signal.SIGKILL)
        for number in [number for number, due in self._due.items() if due <= now and not self._asked]:
            if number in self._ended:
                self._ended.remove(number)
                _log.error("worker %d has ended without being asked by this process, and is replaced", number)
            try:
                self._start(number)
            except OSError as error:  # there are too many processes, or open files, for now
                self._due[number] = now + self._pause(number)
                _log.error("worker %d cannot be replaced yet: %s", number, error)
            else:
                del self._due[number]

    def _patience(self) -> float | None:
        """Seconds until something is due, None for never."""
        moments = [*(() if self._asked else self._due.values()), *((self._killed_at,) if self._killed_at else ())]
        return max(0.0, min(moments) - monotonic()) if moments else None

    def _is_ready(self, worker: Worker) -> None:
        if worker.ready:
            return
        worker.ready = True
        if not self._begun and len(self._workers) == self._count and all(one.ready for one in self._workers.values()):
            self._begun = True
            self._ready()

    def _end(self) -> None:
        """A signal has come, or it did not start."""
        self._asked += 1
        self._close()
        for worker in self._workers.values():
            worker.tell(b"e" if self._asked == 1 else b"q")
        self._killed_at = monotonic() + _LATE + (2 * self._grace + 10.0 if self._asked == 1 else 0.0)

    def _bury(self) -> None:
        """See who has died."""
        for worker in list(self._workers.values()):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if not pid:
                continue
            self._selector.unregister(worker.link)
            worker.link.close()
            del self._workers[worker.number]
            code = os.waitstatus_to_exitcode(status)
            if self._asked:
                continue
            lived = monotonic() - worker.began
            if not worker.ready and not self._begun:
                _log.error("%r did not start (exit code %d)", worker, code)
                self._failed = True
                self._end()
                continue
            if lived >= _WELL:
                self._pauses[worker.number] = pause = 0.0
            else:
                pause = self._pause(worker.number)
            if code == 0:  # as one ends that was told to: the signal that told it may reach this process a moment later
                pause = max(pause, _MOMENT)
                self._ended.add(worker.number)
            else:
                _log.error("%r has died (exit code %d), and is replaced", worker, code)
            self._due[worker.number] = monotonic() + pause

    def _pause(self, number: int) -> float:
        """How long the replacement is waited for: longer each time."""
        pause = self._pauses[number] = min(_LONGEST_PAUSE, 2 * self._pauses.get(number, 0.0) or 0.1)
        return pause

    def _start(self, number: int) -> None:
        ours, theirs = _socket.socketpair()
        _flush()  # or the child would write it once more
        # Until the child is on its own, it would take a signal for its parent's, and write to the parent's wake-up socket.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
        except OSError:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            ours.close()
            theirs.close()
            raise
        if pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            theirs.close()
            ours.setblocking(False)
            worker = self._workers[number] = Worker(number, pid, ours)
            self._selector.register(ours, selectors.EVENT_READ, worker)
            return
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            # What reaches the whole group is for the parent, who tells.
            for one in _SIGNALS:
                signal.signal(one, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            self._selector.close()
            self._waker.close()
            ours.close()
            for worker in self._workers.values():
                worker.link.close()
            self._be_worker(theirs)
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            try:
                logging.shutdown()
                _flush()
            finally:
                os._exit(code)

    def _be_worker(self, link: _socket.socket) -> None:
        link.setblocking(False)

        def listen_for_the_end(end: Callable[[bool], None]) -> None:
            loop = asyncio.get_running_loop()
            # One that is asked directly, and not with the others, ends as gracefully.
            loop.add_signal_handler(signal.SIGTERM, end, False)

            def heard() -> None:
                words = _read(link)
                if not words:
                    loop.remove_reader(link)  # the parent is gone
                end(b"q" in words)

            loop.add_reader(link, heard)

        self._work(listen_for_the_end, lambda: _tell_ready(link))


def _flush() -> None:
    """Write out what was printed, if there is anybody to read it, or anything to print to."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass


def _tell_ready(link: _socket.socket) -> None:
    try:
        link.send(b"r")
    except OSError:
        pass  # the parent is gone, which is heard elsewhere


def _read(link: _socket.socket) -> bytes:
    try:
        return link.recv(4096)
    except OSError:
        return b""


def _noted(number: int, frame: Any) -> None:
    """The number is in the wake-up socket."""
