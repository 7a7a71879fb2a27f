"""Server-Sent Events, as a response that a handler prepares and then sends events over (WHATWG HTML 9.2).

    async def ticks(request):
        events = web.EventStreamResponse()
        await events.prepare(request)
        async for tick in clock:
            await events.send(tick.text, id=tick.id)
        return events

A stream ends when its handler returns, when the client leaves, and when the server is closed.  For the last two the handler is
cancelled where it waits, for it most likely waits for something else than the client: what it has to put away belongs into a
`finally`.  A reader comes back by itself, with the id of the last event that it saw (`last_event_id`).

A comment is sent after `heartbeat` seconds of silence: it keeps proxies from giving the connection up, and finds out clients that
are gone without a word.  One that has closed its side may be gone, or may only have no more to say: TCP shows which when
something is written to it twice.  So from then on comments are sent more often, whatever `heartbeat` says.
"""

from __future__ import annotations

import json as _json
from asyncio import AbstractEventLoop, Task, TimerHandle, get_running_loop
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ..errors import ConnectionLost, UsageError
from ..models.headers import HeadersLike
from ..models.numbers import check_count, check_number
from ..protocol.sse import encode_comment, encode_event
from .exceptions import HTTPServiceUnavailable
from .response import StreamResponse

if TYPE_CHECKING:
    from .request import Request

__all__ = ["EventStreamResponse"]

# Seconds between the first two comments to a client that has closed its side, and between the others.
_DOUBT: Final = (0.1, 1.0)

# What readers need none of: caches, and the buffer of nginx.
_FIELDS: Final = (("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"), ("X-Accel-Buffering", "no"))


class EventStreamResponse(StreamResponse):
    """A stream of events: `await events.prepare(request)`, `await events.send("text")`, and it is returned at the end.

    heartbeat  seconds of silence after which a comment is sent, 15; None for none
    retry      milliseconds that a reader waits before it comes back, told at the beginning; None to leave it to the reader
    cancel     cancel the handler where it waits when the client has left or the server is closed; False leaves it to look at
               `closed`, and to meet `ConnectionLost` where it sends
    headers    further fields; `Cache-Control: no-store` and `X-Accel-Buffering: no` if they do not say otherwise

    Raises `UsageError` for a bad argument, naming it.
    """

    def __init__(
        self,
        *,
        heartbeat: float | None = 15.0,
        retry: int | None = None,
        cancel: bool = True,
        headers: HeadersLike | None = None,
    ) -> None:
        super().__init__(headers=headers)
        if heartbeat is not None:
            check_number("heartbeat", heartbeat, "None or seconds", above=True)
        if retry is not None:
            check_count("retry", retry, 0, "None or a number of milliseconds")
        if not isinstance(cancel, bool):
            raise UsageError(f"cancel must be True or False, not {cancel!r}", argument="cancel")
        for name, value in _FIELDS:
            self.headers.setdefault(name, value)
        self.last_event_id = ""
        self._heartbeat = heartbeat
        self._retry = retry
        self._cancel = cancel
        self._closed = False
        self._loop: AbstractEventLoop
        self._left: Callable[[bool], None] | None = None  # who else wanted to hear of that
        self._sent_at = 0.0
        self._timer: TimerHandle | None = None
        self._beating: Task[None] | None = None

    @property
    def closed(self) -> bool:
        """Whether it has ended: the client has left, the server is being closed, or the handler has ended it."""
        return self._closed or self.eof_sent

    async def prepare(self, request: Request) -> None:
        """Send the head; idempotent.  From here on `last_event_id` is what the reader says that it saw last, "" for nothing.

        Raises `HTTPServiceUnavailable` if the server is being closed, so that the reader comes back to another.
        """
        if self.prepared:
            return
        exchange = request.exchange
        if exchange.stopping:
            raise HTTPServiceUnavailable(headers={"Retry-After": "1"})
        self.last_event_id = request.headers.get("last-event-id", "")
        self._loop = get_running_loop()
        self._length = self.coding = None  # whatever a middleware thought
        await super().prepare(request)
        if not exchange.has_body():  # HEAD
            self._closed = True
            await self.write_eof()
            return
        self._left = exchange.left
        exchange.left = self._on_left
        exchange.told = self._on_told
        if request.exchange.stopping:  # since we looked
            self._on_told()
        self._sent_at = self._loop.time()
        if self._heartbeat is not None and not self._closed:
            self._timer = self._loop.call_later(self._heartbeat, self._beat)
        await self._send(b"" if self._retry is None else encode_event(None, retry=self._retry))

    def enable_compression(self, force: str | None = None, *, level: int | None = None) -> NoReturn:
        """Raises `RuntimeError`: an event must not wait for others to be compressed with."""
        raise RuntimeError("an event stream is not compressed")

    async def write(self, data: object) -> NoReturn:
        """Raises `RuntimeError`: use `send`, which keeps events whole."""
        raise RuntimeError("an event stream has events and no other body: use send")

    # -- events --------------------------------------------------------------------------------------------------------

    async def send(self, data: str | None, *, event: str | None = None, id: str | None = None, retry: int | None = None) -> None:
        """Send an event, and wait while the client is slow to take it.

        data   its text, of any number of lines; None for none, so that readers only take note of `id` and `retry`
        event  its type; None for `message`
        id     what the reader names as the last that it saw when it comes back
        retry  milliseconds that it waits before that

        Raises `ConnectionLost` once the stream has ended, `RuntimeError` before `prepare`, and `UsageError` for a type or an id
        of several lines, or what is no text.
        """
        await self._send(encode_event(data, event, id, retry))

    async def send_json(
        self,
        value: Any,
        *,
        event: str | None = None,
        id: str | None = None,
        retry: int | None = None,
        dumps: Callable[[Any], str | bytes] = _json.dumps,
    ) -> None:
        """Send an event whose text is `value` as JSON.  Raises what `dumps` raises, and what `send` raises."""
        text = dumps(value)
        await self.send(text.decode() if isinstance(text, bytes) else text, event=event, id=id, retry=retry)

    async def comment(self, text: str = "") -> None:
        """Send what readers skip.  Raises what `send` raises."""
        await self._send(encode_comment(text))

    async def _send(self, data: bytes) -> None:
        if self._request is None:
            raise RuntimeError("send comes after prepare")
        if self.closed:
            raise ConnectionLost("the event stream has ended", peer=self._request.exchange.peer, phase="sending an event")
        self._sent_at = self._loop.time()
        await self._request.exchange.write(data)

    def _beat(self) -> None:
        """It was silent for a while, or it was not."""
        interval: float = self._heartbeat  # type: ignore[assignment]
        due = self._sent_at + interval
        now = self._loop.time()
        if now >= due:
            self._probe()
            due = now + interval
        self._timer = self._loop.call_at(due, self._beat)

    def _probe(self) -> None:
        if self._beating is None or self._beating.done():  # else the client has not even taken the last one
            self._beating = self._loop.create_task(self._say_something())

    async def _say_something(self) -> None:
        try:
            await self.comment()
        except ConnectionLost:
            self._stop()

    # -- the end -------------------------------------------------------------------------------------------------------

    async def write_eof(self, data: bytes = b"") -> None:
        """End it; idempotent."""
        if self._request is not None and self._request.exchange.finished:  # cut short
            self.eof_sent = True
        if data:
            raise RuntimeError("an event stream has events and no other body: use send")
        try:
            await super().write_eof()
        finally:
            self._stop()

    def _on_left(self, lost: bool) -> None:
        """The client has closed its side, or is gone."""
        if self._left is not None:
            self._left(lost)
        if lost:
            self._leave()
            return
        if self._timer is not None:
            self._timer.cancel()
        again, self._heartbeat = _DOUBT
        self._probe()
        self._timer = self._loop.call_later(again, self._doubt)

    def _doubt(self) -> None:
        self._probe()
        self._timer = self._loop.call_later(_DOUBT[1], self._beat)

    def _on_told(self) -> None:
        """The server is being closed."""
        if not self._request.exchange.finished:  # type: ignore[union-attr]  # else its end is on the way
            self._request.exchange.cut_short()  # type: ignore[union-attr]
            self._leave()

    def _leave(self) -> None:
        self._stop()
        if self._cancel:
            self._request.exchange.cancel()  # type: ignore[union-attr]

    def _stop(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._request is not None:
            exchange = self._request.exchange
            exchange.left, exchange.told, self._left = self._left, None, None
