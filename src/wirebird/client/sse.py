"""An event stream as its reader sees it: one sequence of events over any number of connections (WHATWG HTML 9.2).

    async for event in client.events(url): ...

`EventStream` is a class of its own and no async generator: one that is left by `break` holds nothing that a task would have to
close.  The events of one read are handed out one by one, and only then is the next read awaited.

What ends for good: 204; with `reconnect` off, the end of the body; and every error but those of the network.  What is taken up
again, after a wait: the end of the body, a broken connection, silence, and the statuses by which servers say "not now".  That
last one is kinder than the standard, which gives up at any status but 200; it is what a reader behind a load balancer needs.
The first connection must succeed: a wrong URL is an error, not a reason to try for ever.

An event that was not complete when its connection ended is dropped, as the standard says: the server sends it again, because
`Last-Event-ID` names the one before.  Unlike there, the id outlives the connection even if the next one names none.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from operator import length_hint
from time import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from ..errors import (
    BodyConsumed,
    ConnectionLost,
    IncompleteBody,
    InvalidHeader,
    InvalidResponse,
    NetworkError,
    ReadTimeout,
    TimeoutError,
    UsageError,
    WirebirdError,
)
from ..models.dates import retry_after
from ..models.headers import HttpHeaders, check_value
from ..models.numbers import check_count, check_number
from ..models.url import hide_userinfo
from ..protocol.codings import CodingLimits
from ..protocol.sse import EventParser, ServerEvent
from .caller import Caller
from .defaults import override
from .response import status_error

if TYPE_CHECKING:
    from yarl import URL

    from .options import Options
    from .response import HttpResponse

__all__ = ["EventStream", "Reconnection"]

_READ: Final = 65536

# Answers to a reconnection that mean "not now" (RFC 9110 15, RFC 6585 4).
_LATER: Final = frozenset({408, 425, 429, 500, 502, 503, 504})

# What ends a connection and not the stream.
_LOST: Final = (NetworkError, TimeoutError, IncompleteBody)

# No server may have its readers come back faster than this, seconds.
_LEAST_WAIT: Final = 0.1

# A server that gives out longer ids would not take them back: no usual one accepts such a field.
_LONGEST_ID: Final = 8192

# A stream goes on for ever and is held to the limits of its events: what it inflates to in all says nothing.
_ENDLESS: Final = CodingLimits(ratio=10**9, free=10**18, members=10**18)


class Reconnection:
    """How long to wait before the next connection; decides, and does not wait.

    `wait` is the reconnection time in seconds, doubled with each of the `fruitless` connections in a row that brought nothing.
    Up to a quarter is added by chance, so that a server's readers do not all come back at once.  It is never more than `longest`.
    """

    __slots__ = ("fruitless", "longest", "wait")

    def __init__(self, wait: float = 3.0, longest: float = 60.0) -> None:
        check_number("reconnection_time", wait, "seconds")
        check_number("max_wait", longest, "seconds")
        self.wait = wait
        self.longest = longest
        self.fruitless = 0

    def next_wait(self, chance: float, *, at_least: float = 0.0, doubled: bool = True) -> float:
        """Seconds to wait.  `chance` is a random number below 1; the server asked for `at_least` so many.  Not `doubled` is the
        plain reconnection time, where a connection was fine but silent."""
        wait = max(self.wait, _LEAST_WAIT)
        if doubled:
            wait *= 2.0 ** min(self.fruitless, 30)
        return min(max(wait, at_least) * (1 + chance / 4), self.longest)


class EventStream:
    """The events of a URL, as `client.events` gives them: an async iterator of `ServerEvent`, and an async context manager.

    Entered, it is connected, and at the end closed.  Only iterated, it connects for the first event, and is closed when the
    stream ends, when it fails, when its reader is cancelled, and when nobody holds it any more.  One reader at a time.

    `response` is the response that is being read, None while there is none.  `reconnection` holds the times that are waited, and
    `sleep`, which waits for so many seconds (`asyncio.sleep`), may be replaced.
    """

    __slots__ = (
        "_batch",
        "_before",
        "_client",
        "_closed",
        "_cut",
        "_given",
        "_heartbeat",
        "_left",
        "_max_reconnects",
        "_opened",
        "_parser",
        "_reading",
        "_reconnect",
        "method",
        "reconnection",
        "response",
        "sleep",
        "url",
    )

    def __init__(
        self,
        client: Caller,
        method: str,
        url: str | URL,
        given: Mapping[str, Any],
        parser: EventParser,
        reconnection: Reconnection,
        *,
        reconnect: bool | None = None,
        max_reconnects: int | None = None,
        heartbeat: float | None = None,
    ) -> None:
        self.response: HttpResponse | None = None
        if max_reconnects is not None:
            check_count("max_reconnects", max_reconnects, 1, "None or a number")
        if heartbeat is not None:
            check_number("heartbeat", heartbeat, "None or seconds", above=True)
        check_value(parser.last_event_id, "last_event_id")
        self.method = method
        self.url = url
        self.reconnection = reconnection
        self.sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep
        self._client = client
        self._given = given
        self._parser = parser
        self._reconnect = method == "GET" if reconnect is None else reconnect
        self._max_reconnects = max_reconnects
        self._heartbeat = heartbeat
        self._batch: list[ServerEvent] = []  # the events of one read
        self._left: Iterator[ServerEvent] = iter(())  # those of them that were not given out yet
        self._before = parser.last_event_id  # the id before the batch
        self._opened = False  # once at least
        self._closed = False
        self._cut = False  # in the middle of a read
        self._reading = False

    def __repr__(self) -> str:
        doing = "closed" if self._closed else "open" if self.response is not None else "not connected"
        return f"<EventStream {self.method} {hide_userinfo(str(self.url))} {doing}>"

    @property
    def last_event_id(self) -> str:
        """The id of the stream as of the event that was given out last: with it another stream can go on from there."""
        left = length_hint(self._left)
        if not left:
            return self._parser.last_event_id
        given = len(self._batch) - left
        return self._batch[given - 1].id if given else self._before

    # -- iteration -----------------------------------------------------------------------------------------------------

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> ServerEvent:
        for event in self._left:
            return event
        return await self._next()

    async def _next(self) -> ServerEvent:
        """The first event of the next read that holds one."""
        if self._cut:
            raise BodyConsumed("the event stream was closed when its reader was cancelled")
        if self._reading:
            raise RuntimeError("the event stream is being read by another task")
        self._reading = True
        try:
            while not self._closed:
                if self.response is None:
                    await self._connect()
                else:
                    await self._read(self.response)
                    for event in self._left:
                        return event
        except BaseException as error:
            self._closed = True
            self._cut = isinstance(error, asyncio.CancelledError)
            self._let_go(at_once=True)
            raise
        finally:
            self._reading = False
        raise StopAsyncIteration

    async def _read(self, response: HttpResponse) -> None:
        """One read: the events in it become the batch."""
        parser = self._parser
        try:
            if parser.error is not None:
                raise parser.error
            self._batch = []
            data = await response.read(_READ)
            if self._closed:
                return  # by another task
            if data:
                self.reconnection.fruitless = 0
                self._before = parser.last_event_id
                self._batch = parser.receive(data)
                self._left = iter(self._batch)
        except WirebirdError as error:
            if self._closed:
                return
            if not isinstance(error, _LOST):
                raise error.locate(response.request.destination.authority, "reading the body")
            await self._lost(error)
        else:
            if parser.retry is not None:
                self.reconnection.wait = parser.retry / 1000
            if not data:
                await self._lost(None)

    # -- connections ---------------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        """Ask for the stream: there is a `response` then, or the end, or the time for another try has come."""
        try:
            response = await self._client.perform(self.method, self.url, self._request())
        except _LOST as error:
            if not self._opened and not self._closed:
                raise
            await self._lost(error)
            return
        if self._closed:  # by another task
            response.abandon(at_once=True)
            return
        if response.status_code == 200:
            self._accept(response)
        elif response.status_code == 204:
            self._closed = True
            await response.close()
        elif self._opened and response.status_code in _LATER:
            await response.close()
            await self._lost(status_error(response), retry_after(response.headers.get_list("retry-after"), time()) or 0.0)
        else:
            raise status_error(response, ", which is no event stream" if response.status_code < 400 else "")

    def _accept(self, response: HttpResponse) -> None:
        """Take `response` for the stream.  Raises `InvalidResponse` unless it is one."""
        self.response = response
        if response.content_type != "text/event-stream":
            kind = response.content_type or "a body of no type"
            peer = response.request.destination.authority
            raise InvalidResponse(f"not an event stream but {kind}", peer=peer, phase="opening the event stream")
        self._opened = True
        request = response.request
        options: Options = request.options
        timeouts = options.timeouts
        if self._heartbeat is not None:
            timeouts = replace(timeouts, sock_read=self._heartbeat)
        # From here on they hold for the body only.
        request.options = replace(options, timeouts=timeouts, coding_limits=_ENDLESS, max_body_size=None)

    def _request(self) -> Mapping[str, Any]:
        """The keywords of the next request."""
        given = self._given
        if not self._opened and self._reconnect:
            body = self._client.prepare(self.method, self.url, given).body
            if body is not None and not isinstance(body, bytes):
                raise UsageError(
                    "data from a file or an iterator can be sent once, and reconnecting takes it again",
                    argument="data",
                )
        headers = HttpHeaders({"Accept": "text/event-stream", "Cache-Control": "no-store"})
        if (own := given.get("headers")) is not None:
            override(headers, own)
        if last := self._parser.last_event_id:
            # To go on without it would be to lose events, or to get them twice.
            if self._opened and not _is_sendable(last):
                raise InvalidResponse(f"an event id that cannot be sent back: {last!r:.80}", phase="reconnecting")
            headers["Last-Event-ID"] = last
        return {**given, "headers": headers, "raise_for_status": False}

    async def _lost(self, error: WirebirdError | None, asked: float = 0.0) -> None:
        """The connection is over, by `error` or in good order: end, or raise, or wait until it is time for another."""
        if self._closed:
            return
        silent = isinstance(error, ReadTimeout) and self.response is not None
        self._let_go(at_once=False)
        if not self._reconnect or self._client.closed:
            if error is not None:
                raise error
            self._closed = True
            return
        again = self.reconnection
        if self._max_reconnects is not None and again.fruitless >= self._max_reconnects:
            raise error or ConnectionLost(
                f"the server ended the event stream {again.fruitless} times in a row without an event", phase="reading the body"
            )
        wait = again.next_wait(random.random(), at_least=asked, doubled=not silent)
        again.fruitless += 1
        parser = self._parser
        self._parser = EventParser(parser.max_line, parser.max_event, parser.last_event_id)
        self._batch, self._left = [], iter(())
        await self._client.pauses.wait(self, self.sleep(wait))

    # -- the end -------------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Close the connection; idempotent.  There are no more events then, also for a task that waits for one.

        Where the stream would end by itself (`reconnect` is off), a little rest is waited for in the background, so that the
        connection can be used again.
        """
        self._closed = True
        self._parser.last_event_id = self.last_event_id  # without that of the events that nobody took
        self._left = iter(())
        self._let_go(at_once=self._reconnect or self._reading)
        if self._reading:
            self._client.pauses.end(self)

    aclose = close  # as contextlib.aclosing has it

    def _let_go(self, *, at_once: bool) -> None:
        response, self.response = self.response, None
        if response is not None:
            response.abandon(at_once=at_once)

    def __del__(self) -> None:
        if self.response is not None:
            self._let_go(at_once=self._reconnect)

    async def __aenter__(self) -> EventStream:
        if self.response is None and not self._closed:
            try:
                await self._connect()
            except BaseException:
                self._closed = True
                self._let_go(at_once=True)
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


def _is_sendable(last: str) -> bool:
    try:
        return len(check_value(last, "Last-Event-ID")) <= _LONGEST_ID
    except InvalidHeader:
        return False
