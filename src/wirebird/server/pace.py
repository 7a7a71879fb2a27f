"""How fast a client has to be, and what of that it still owes.

A client that sends or takes a byte now and then holds a connection for as long as it likes, if only silence is counted
("slow loris").  So there are rates: `Settings.min_rate` bytes a second, less a grace at the beginning.

* A head: the time from its first byte is `rate_grace` and what its bytes are worth at that rate, at the most `header_timeout`.
* A body: only the time in which somebody waits for it counts.  It is taken from a credit, which begins with `rate_grace` and
  earns what has arrived; it never exceeds `body_timeout`, so that a fast beginning does not pay for an hour of silence.
* What is sent: when the transport's buffer is full, or the connection is about to close, the client must have taken something
  after `write_timeout`, and that at the rate.  What the kernel holds is counted where it can be asked, for its buffer may be
  larger than what a slow but honest client takes in that time.

Time limits are numbers: `deadline` is the earlier of `read_by` and `written_by`, and looked at by the one timer of the server
(`net/timeouts.py`).
"""

from __future__ import annotations

import asyncio
import sys
from math import ceil
from time import monotonic
from typing import Final

from ..net.incoming import WINDOW
from ..net.stream import READ_SIZE, Stream
from ..net.timeouts import NEVER
from .host import Host

if sys.platform != "win32":  # where there is no such thing, the transport's buffer has to do
    from fcntl import ioctl
    from termios import TIOCOUTQ

__all__ = ["PacedStream"]

_INT: Final = 4

# How long a connection that is new may take to send its first request when the server stops, seconds.
_LAST_CALL: Final = 1.0

# Deadlines are met at full parts of a second: ten thousand connections have ten thousand, and each that is met is a look at all.
_PARTS: Final = 16


class PacedStream(Stream):
    """A stream with the deadlines of a server's connection."""

    __slots__ = (
        "_credit",
        "_host",
        "_outstanding",
        "_wait_began",
        "active_at",
        "deadline",
        "head_began",
        "read_by",
        "written_by",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, host: Host) -> None:
        super().__init__(loop, "")
        self._view = self._view[:WINDOW]
        self._host = host
        self._credit = 0.0  # seconds that the body under way may still keep its readers waiting
        self._wait_began = 0.0  # when a reader of the body began to wait, 0 if there is none
        self.active_at = 0.0  # when it was opened, or the last request came, or was answered
        self._outstanding = 0  # bytes that the client had not taken when `written_by` was set
        self.head_began = 0.0  # when the first bytes of a head came that is not complete yet, 0 if there is none
        self.read_by = NEVER
        self.written_by = NEVER
        self.deadline = NEVER

    # -- receiving -----------------------------------------------------------------------------------------------------

    def due(self, seconds: float | None) -> None:
        """From now on the client has so many seconds to send something, whatever is due now."""
        self.due_at(NEVER if seconds is None else monotonic() + seconds)

    def due_at(self, moment: float) -> None:
        """The same, as a moment."""
        if moment != NEVER:
            moment = ceil(moment * _PARTS) / _PARTS
        self.read_by = moment
        written_by = self.written_by
        if written_by < moment:
            moment = written_by
        self.deadline = moment
        watch = self._host.watch
        if moment < watch.next_at:
            watch.arm(moment)

    def idle_begins(self, *, first: bool = False) -> None:
        """From now on a request is waited for, the first one or another.

        A request that is answered at once leaves this deadline alone, and sets `active_at`: see `is_idle_too_long`.
        """
        self.active_at = monotonic()
        settings = self._host.settings
        limits = (settings.keepalive_timeout, settings.header_timeout if first else None, self._last_call(first))
        self.due(min((limit for limit in limits if limit is not None), default=None))

    def is_idle_too_long(self, now: float, *, first: bool) -> bool:
        """Whether the (first) request is waited for too long; if not, there is another deadline for it."""
        settings = self._host.settings
        limit = self._last_call(first) or (settings.header_timeout if first else settings.keepalive_timeout)
        end = NEVER if limit is None else self.active_at + limit
        if end <= now:
            return True
        self.due_at(end)
        return False

    def _last_call(self, first: bool) -> float | None:
        """How long one that is new may take when the server stops."""
        return _LAST_CALL if first and self._host.stopping else None

    def head_goes_on(self, size: int) -> None:
        """There are `size` bytes of a head that is not complete."""
        if not self.head_began:
            self.head_began = monotonic()
            self.due_at(self.head_began + self._head_time(size))

    def is_head_late(self, size: int, now: float) -> bool:
        """Whether a head of which `size` bytes are here takes too long; if not, there is another deadline for it."""
        end = self.head_began + self._head_time(size)
        if end <= now:
            return True
        self.due_at(end)
        return False

    def _head_time(self, size: int) -> float:
        settings = self._host.settings
        limit = NEVER if settings.header_timeout is None else settings.header_timeout
        return limit if settings.min_rate is None else min(limit, settings.rate_grace + size / settings.min_rate)

    def body_begins(self, length: int) -> None:
        """A body is on its way: so many bytes, or `CHUNKED`, which are read a little at a time, as a byte may be a chunk."""
        self._view = memoryview(self._buffer)[: READ_SIZE if length > 0 else WINDOW]
        self._credit = self._host.settings.rate_grace
        self._wait_began = 0.0

    def body_awaited(self) -> None:
        """Somebody waits for more of it."""
        if self._wait_began:
            return
        now = self._wait_began = monotonic()
        settings = self._host.settings
        limit = NEVER if settings.body_timeout is None else settings.body_timeout
        self.due_at(now + (limit if settings.min_rate is None else min(limit, self._credit)))

    def body_arrived(self, size: int) -> None:
        """So much of it has come."""
        settings = self._host.settings
        waited = 0.0
        if self._wait_began:
            waited = monotonic() - self._wait_began
            self._wait_began = 0.0
            self.due_at(NEVER)
        if settings.min_rate is not None:
            most = max(settings.rate_grace, NEVER if settings.body_timeout is None else settings.body_timeout)
            self._credit = max(0.0, min(most, self._credit - waited + size / settings.min_rate))

    # -- sending -------------------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The client is slow to read: from now on there is a limit to that."""
        super().pause_writing()
        self._must_take()

    def resume_writing(self) -> None:
        """It has read."""
        super().resume_writing()
        self.written_by = NEVER
        self.due_at(self.read_by)

    def must_take_the_rest(self) -> None:
        """Nothing more will be written, and what was has a limit of time as well."""
        if self.written_by == NEVER and self.untaken():
            self._must_take()

    def _must_take(self) -> None:
        self._outstanding = self.untaken()
        limit = self._host.settings.write_timeout
        self.written_by = NEVER if limit is None else monotonic() + limit
        self.due_at(self.read_by)

    def untaken(self) -> int:
        """Bytes that the client has not acknowledged, as far as can be known."""
        transport = self.transport
        if transport is None:
            return 0
        size = transport.get_write_buffer_size()
        sock = transport.get_extra_info("socket")
        if sys.platform != "win32" and sock is not None:
            try:
                size += int.from_bytes(ioctl(sock.fileno(), TIOCOUTQ, bytes(_INT)), "little")
            except (OSError, ValueError):
                pass  # closed, or no such thing here
        return size

    def _is_taking(self) -> bool:
        """Whether the client has taken enough since it was last looked at; if so, it has as much time again."""
        settings = self._host.settings
        left = self.untaken()
        taken = self._outstanding - left
        enough = 1.0 if settings.min_rate is None else settings.min_rate * (settings.write_timeout or 0.0)
        if taken < min(enough, self._outstanding):
            return False
        self._must_take()
        return True

    # -- time ----------------------------------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """Something is overdue."""
        if self.written_by <= now:
            self.written_by = NEVER
            if not self._is_taking():
                self.forget_deadlines()
                self.abort()
                return
        if self.read_by <= now:
            self.read_by = NEVER
            self.overdue(now)
        self.deadline = min(self.read_by, self.written_by)

    def overdue(self, now: float) -> None:
        """The client took too long to send something: the role's part."""

    def forget_deadlines(self) -> None:
        """Nothing is due any more."""
        self.read_by = self.written_by = self.deadline = NEVER
