"""`aiohttp.TraceConfig`: signals of what happens to a request, sent to coroutine functions.

A session makes a `Tracer` for each call by `traces_for`, tells it of start, redirects, end and failure, and installs
`trace_observer` among the observers of its client, which hears of connections, look-ups and heads.

    tracer = traces_for(session, trace_configs, trace_request_ctx)       None if nobody traces
    with tracer:                                                         what is sent in here is this tracer's
        await tracer.request_start(method, url, headers)
        body = tracer.traced(body, method, url)                          for on_request_chunk_sent
        …
        await tracer.request_redirect(method, url, headers, response)    for each hop
        await tracer.request_end(method, url, headers, response)         or request_exception(…, exception)
    await tracer.response_chunk_received(method, url, body)              when the caller has read the body whole

**When a signal is sent.**  aiohttp awaits its signals where the thing happens.  These are awaited in the request's flow as well:
start, redirect, end, exception, the pieces of a body.  The others happen where nothing can be awaited, for wirebird's observers
are plain functions.  So a receiver is begun there, at the moment itself, and runs until it first has to wait for something; one
that notes the time, counts or logs is done with that.  What it does after it had to wait comes when the request next awaits its
tracer: before the next of the signals above.  The order of signals stays that of events in any case, since behind a receiver that
waits all others of this request wait too.

What else is different: `on_request_headers_sent` and `on_request_chunk_sent` come right before the bytes are written, not right
after, when the response may be there and end it all; a name that another request is asking for already is a cache hit at once.
What a receiver raises fails the request, as it does with aiohttp, but from within a dial only when the tracer is awaited next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Generator, Sequence
from contextlib import aclosing
from contextvars import ContextVar, Token
from types import SimpleNamespace
from typing import Any, Final

from multidict import CIMultiDict
from yarl import URL

from ...client.exchange import Exchange
from ...models.headers import HttpHeaders
from ...models.message import Body, describe_body, trailers_of
from .signal import Signal
from .trace_params import (
    TraceConnectionCreateEndParams,
    TraceConnectionCreateStartParams,
    TraceConnectionQueuedEndParams,
    TraceConnectionQueuedStartParams,
    TraceConnectionReuseconnParams,
    TraceDnsCacheHitParams,
    TraceDnsCacheMissParams,
    TraceDnsResolveHostEndParams,
    TraceDnsResolveHostStartParams,
    TraceRequestChunkSentParams,
    TraceRequestEndParams,
    TraceRequestExceptionParams,
    TraceRequestHeadersSentParams,
    TraceRequestRedirectParams,
    TraceRequestStartParams,
    TraceResponseChunkReceivedParams,
)

__all__ = [
    "TraceConfig",
    "TraceConnectionCreateEndParams",
    "TraceConnectionCreateStartParams",
    "TraceConnectionQueuedEndParams",
    "TraceConnectionQueuedStartParams",
    "TraceConnectionReuseconnParams",
    "TraceDnsCacheHitParams",
    "TraceDnsCacheMissParams",
    "TraceDnsResolveHostEndParams",
    "TraceDnsResolveHostStartParams",
    "TraceRequestChunkSentParams",
    "TraceRequestEndParams",
    "TraceRequestExceptionParams",
    "TraceRequestHeadersSentParams",
    "TraceRequestRedirectParams",
    "TraceRequestStartParams",
    "TraceResponseChunkReceivedParams",
    "Tracer",
    "trace_observer",
    "traces_for",
]


class TraceConfig:
    """Signals, to be filled before a session is made with it.

    A receiver is a coroutine function `(session, trace_config_ctx, params)`; `trace_config_ctx` is made anew for each request, by
    `trace_config_ctx_factory(trace_request_ctx=…)`.
    """

    def __init__(self, trace_config_ctx_factory: type[SimpleNamespace] = SimpleNamespace) -> None:
        self.on_request_start = Signal(self)
        self.on_request_chunk_sent = Signal(self)
        self.on_response_chunk_received = Signal(self)
        self.on_request_end = Signal(self)
        self.on_request_exception = Signal(self)
        self.on_request_redirect = Signal(self)
        self.on_connection_queued_start = Signal(self)
        self.on_connection_queued_end = Signal(self)
        self.on_connection_create_start = Signal(self)
        self.on_connection_create_end = Signal(self)
        self.on_connection_reuseconn = Signal(self)
        self.on_dns_resolvehost_start = Signal(self)
        self.on_dns_resolvehost_end = Signal(self)
        self.on_dns_cache_hit = Signal(self)
        self.on_dns_cache_miss = Signal(self)
        self.on_request_headers_sent = Signal(self)
        self._trace_config_ctx_factory = trace_config_ctx_factory

    def trace_config_ctx(self, trace_request_ctx: Any = None) -> SimpleNamespace:
        """A context for one request."""
        return self._trace_config_ctx_factory(trace_request_ctx=trace_request_ctx)

    def freeze(self) -> None:
        """Let nothing be added any more, as a session does."""
        for signal in vars(self).values():
            if isinstance(signal, Signal):
                signal.freeze()


_PIECE: Final = 65_536  # bytes that are written before the peer is waited for

_current: ContextVar[Tracer | None] = ContextVar("wirebird.compat.aiohttp.tracer", default=None)


def traces_for(session: Any, trace_configs: Sequence[TraceConfig] | None, trace_request_ctx: Any = None) -> Tracer | None:
    """A tracer for one call, None if there are no `trace_configs`; `trace_request_ctx` is what the call was given as that."""
    if not trace_configs:
        return None
    return Tracer(session, [(config, config.trace_config_ctx(trace_request_ctx)) for config in trace_configs])


class Tracer:
    """Sends the signals of one call.  Entered, it is the one that `trace_observer` tells of what is sent in that context."""

    def __init__(self, session: Any, traces: Sequence[tuple[TraceConfig, SimpleNamespace]]) -> None:
        self._session = session
        self._all = traces
        self._traces: list[tuple[TraceConfig, SimpleNamespace]] = []  # those that were told of the start
        self._late: deque[_Begun | _Waiting] = deque()
        self._one_by_one = asyncio.Lock()
        self._tokens: list[Token[Tracer | None]] = []
        self._dialing = self._queued = self._asking = False

    def __enter__(self) -> Tracer:
        self._tokens.append(_current.set(self))
        return self

    def __exit__(self, *error: object) -> None:
        _current.reset(self._tokens.pop())
        if not self._tokens:
            self.close()

    # -- awaited in the flow of the request ----------------------------------------------------------------------------

    async def request_start(self, method: str, url: URL, headers: CIMultiDict[str]) -> None:
        """The call has begun."""
        for config, context in self._all:
            await config.on_request_start.send(self._session, context, TraceRequestStartParams(method, url, headers))
            self._traces.append((config, context))

    async def request_redirect(self, method: str, url: URL, headers: CIMultiDict[str], response: Any) -> None:
        """A response leads elsewhere, and is followed."""
        await self._send("on_request_redirect", TraceRequestRedirectParams(method, url, headers, response))

    async def request_end(self, method: str, url: URL, headers: CIMultiDict[str], response: Any) -> None:
        """The head of the response that the caller gets is here."""
        await self._send("on_request_end", TraceRequestEndParams(method, url, headers, response))

    async def request_exception(self, method: str, url: URL, headers: CIMultiDict[str], exception: BaseException) -> None:
        """The call has failed.  What earlier receivers raise meanwhile is dropped in favour of that."""
        while self._late:
            try:
                await self.catch_up()
            except Exception:
                continue  # there is a failure to tell of already, and receivers that want to hear of it
        await self._send("on_request_exception", TraceRequestExceptionParams(method, url, headers, exception))

    async def request_chunk_sent(self, method: str, url: URL, chunk: bytes) -> None:
        """A piece of the body is about to be written."""
        await self._send("on_request_chunk_sent", TraceRequestChunkSentParams(method, url, chunk))

    async def response_chunk_received(self, method: str, url: URL, chunk: bytes) -> None:
        """The caller has read the body."""
        await self._send("on_response_chunk_received", TraceResponseChunkReceivedParams(method, url, chunk))

    async def _send(self, signal: str, params: object) -> None:
        await self.catch_up()
        for config, context in self._traces:
            await getattr(config, signal).send(self._session, context, params)

    async def catch_up(self) -> None:
        """Await the receivers that had to wait for something, in their order.  Raises what the first of them raised."""
        if not self._late:
            return
        async with self._one_by_one:  # a body is written in a task of its own
            while self._late:
                try:
                    await self._late[0].finish()
                finally:
                    self._late.popleft()  # not before: what is told meanwhile has to wait behind it

    # -- told by the observer, where nothing can be awaited ------------------------------------------------------------

    def tell(self, signal: str, params: object) -> None:
        """Send a signal now, as far as its receivers get without waiting; the rest comes with `catch_up`."""
        for config, context in self._traces:
            receivers: Signal = getattr(config, signal)
            if not receivers:
                continue
            sending = receivers.send(self._session, context, params)
            if self._late or _without_task():
                self._late.append(_Waiting(sending))
            elif (begun := _begin(sending)) is not None:
                self._late.append(begun)

    def close(self) -> None:
        """Let go of receivers that still wait: nobody will await them."""
        while self._late:
            self._late.popleft().close()

    # -- the body ------------------------------------------------------------------------------------------------------

    def traced(self, body: bytes | Body | None, method: str, url: URL) -> bytes | Body | None:
        """`body`, with `on_request_chunk_sent` for each piece; itself if it is empty or nobody listens."""
        if not body or not any(config.on_request_chunk_sent for config, _ in self._all):
            return body
        return _TracedBody(body, self, method, url)


class _TracedBody:
    """A body each piece of which is told of before it is written."""

    def __init__(self, body: bytes | Body, tracer: Tracer, method: str, url: URL) -> None:
        self._body = body
        self._tracer = tracer
        self._about = method, url
        if hasattr(body, "trailers"):
            self.trailers = lambda: trailers_of(body)

    def describe(self, headers: HttpHeaders) -> None:
        if not isinstance(self._body, bytes):
            describe_body(self._body, headers)

    def size(self) -> int | None:
        return len(self._body) if isinstance(self._body, bytes) else self._body.size()

    def replayable(self) -> bool:
        return isinstance(self._body, bytes) or self._body.replayable()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        if isinstance(self._body, bytes):
            await self._tracer.request_chunk_sent(*self._about, self._body)
            for at in range(0, len(self._body), _PIECE):
                yield self._body[at : at + _PIECE]
            return
        async with aclosing(self._body.pieces()) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                await self._tracer.request_chunk_sent(*self._about, piece)
                yield piece
                del piece  # or it is held while the next is read

    async def close(self) -> None:
        if not isinstance(self._body, bytes):
            await self._body.close()


# -- receivers that are begun where nothing can be awaited ---------------------------------------------------------------------


class _Waiting:
    """A receiver that was not begun."""

    __slots__ = ("_sending",)

    def __init__(self, sending: Coroutine[Any, Any, None]) -> None:
        self._sending = sending

    async def finish(self) -> None:
        await self._sending

    def close(self) -> None:
        self._sending.close()


class _Begun:
    """A receiver that was begun, and waits for `step`; or one that has raised `error`."""

    __slots__ = ("_error", "_sending", "_step")

    def __init__(self, sending: Coroutine[Any, Any, None], step: Any, error: BaseException | None) -> None:
        self._sending = sending
        self._step = step
        self._error = error

    async def finish(self) -> None:
        if self._error is not None:
            raise self._error
        await self

    def __await__(self) -> Generator[Any, Any, None]:
        """The rest of the coroutine, beginning with what it waits for."""
        step = self._step
        while True:
            try:
                value = yield step
            except GeneratorExit:
                self._sending.close()
                raise
            except BaseException as error:
                try:
                    step = self._sending.throw(error)
                except StopIteration:
                    return
            else:
                try:
                    step = self._sending.send(value)
                except StopIteration:
                    return

    def close(self) -> None:
        self._sending.close()


def _begin(sending: Coroutine[Any, Any, None]) -> _Begun | None:
    """Run `sending` until it has to wait; None if it is done without."""
    try:
        step = sending.send(None)
    except StopIteration:
        return None
    except Exception as error:
        return _Begun(sending, None, error)
    return _Begun(sending, step, None)


def _without_task() -> bool:
    """Whether this is no task, where a receiver could not have a time limit."""
    try:
        return asyncio.current_task() is None
    except RuntimeError:
        return True


class _TraceObserver:
    """An observer that tells the tracer of the call that an exchange belongs to."""

    def __call__(self, exchange: Exchange, phase: str) -> None:
        tracer: Tracer | None
        if phase == "started":
            tracer = exchange.notes[self] = _current.get()
            if tracer is not None:
                tracer._dialing = tracer._queued = tracer._asking = False
            return
        tracer = exchange.notes.get(self)
        if tracer is None:
            return
        if phase == "queued":
            if tracer._queued:
                tracer._queued = False
                tracer.tell("on_connection_queued_end", TraceConnectionQueuedEndParams())
            if exchange.connection is None:  # or it has one already
                tracer._dialing = True
                tracer.tell("on_connection_create_start", TraceConnectionCreateStartParams())
        elif phase == "dns" and tracer._asking:
            tracer._asking = False
            tracer.tell("on_dns_resolvehost_end", TraceDnsResolveHostEndParams(_dialled(exchange)))

    def step(self, exchange: Exchange, name: str) -> None:
        """What happens within a phase, see `wirebird.client.exchange.STEPS`."""
        tracer: Tracer | None = exchange.notes.get(self)
        if tracer is None:
            return
        if name == "waiting":
            tracer._queued = True
            tracer.tell("on_connection_queued_start", TraceConnectionQueuedStartParams())
        elif name == "dns_hit":
            tracer.tell("on_dns_cache_hit", TraceDnsCacheHitParams(_dialled(exchange)))
        elif name == "dns_miss":
            tracer.tell("on_dns_cache_miss", TraceDnsCacheMissParams(_dialled(exchange)))
        elif name == "dns_ask":
            tracer._asking = True
            tracer.tell("on_dns_resolvehost_start", TraceDnsResolveHostStartParams(_dialled(exchange)))
        elif name == "ready":
            if tracer._dialing:
                tracer._dialing = False
                tracer.tell("on_connection_create_end", TraceConnectionCreateEndParams())
            else:
                tracer.tell("on_connection_reuseconn", TraceConnectionReuseconnParams())
            request = exchange.request
            tracer.tell("on_request_headers_sent", TraceRequestHeadersSentParams(request.method, request.url, request.headers))


def _dialled(exchange: Exchange) -> str:
    """The host whose name is resolved: the proxy's, if there is one."""
    request = exchange.request
    proxies = getattr(request.options, "proxy", None)
    proxy = proxies.choose(request.destination) if proxies is not None else None
    return proxy.host if proxy is not None else request.destination.host


trace_observer: Final = _TraceObserver()
"""What a session that traces has among the observers of its client."""
