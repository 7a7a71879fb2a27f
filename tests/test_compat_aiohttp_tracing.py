"""`wirebird.compat.aiohttp`'s tracing: which signals are sent, in which order and when; beside those of aiohttp."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
import aiosignal
import pytest
from multidict import CIMultiDict
from yarl import URL

from origin import Asked, Origin, Wire, run
from proxies import HttpProxy
from wirebird import HTTPClient, Request, TCPConnector, Timeouts, WirebirdError
from wirebird.compat.aiohttp import tracing as ours
from wirebird.compat.aiohttp.signal import Signal
from wirebird.testing import ThrowawayTLS

theirs = importlib.import_module("aiohttp.tracing")
SIGNALS = [name for name in vars(theirs.TraceConfig) if name.startswith("on_")]


def config(module: Any, told: list[Any], after: Callable[[str], Any] | None = None) -> Any:
    """A `TraceConfig` each receiver of which notes what it is told; and then awaits `after(name)`."""
    made = module.TraceConfig()
    for name in SIGNALS:

        async def note(session: Any, context: SimpleNamespace, params: Any, name: str = name) -> None:
            facts = {field: getattr(params, field) for field in params.__slots__ if field[:2] != "__"}
            for field in ("response", "exception", "headers"):
                if field in facts:
                    facts[field] = isinstance(facts[field], CIMultiDict) if field == "headers" else True
            told.append((name[3:], facts, context.trace_request_ctx))
            if after is not None:
                await after(name[3:])

        getattr(made, name).append(note)
    made.freeze()
    return made


class Session:
    """As little of a session as tracing needs: calls over wirebird's client, redirects followed."""

    def __init__(self, configs: list[Any], **options: Any) -> None:
        self.configs = configs
        self.client = HTTPClient(
            connector=TCPConnector(**options), observers=[ours.trace_observer], network_middlewares=[self._put_body]
        )
        self.body: Any = None

    async def _put_body(self, request: Request, handler: Any) -> Any:
        if self.body is not None:
            request.body = self.body
        return await handler(request)

    async def request(self, method: str, url: str, data: Any = None, context: Any = None, **options: Any) -> bytes:
        tracer = ours.traces_for(self, self.configs, context)
        assert tracer is not None
        headers: CIMultiDict[str] = CIMultiDict()
        with tracer:
            try:
                await tracer.request_start(method, URL(url), headers)
                while True:
                    self.body = tracer.traced(data, method, URL(url))
                    response = await self.client.request(url, method, **options)
                    if response.status_code not in (301, 302):
                        break
                    await tracer.request_redirect(method, URL(url), headers, response)
                    await response.content()
                    url = str(URL(url).join(URL(response.headers["location"])))
                await tracer.request_end(method, URL(url), headers, response)
            except BaseException as error:
                await tracer.request_exception(method, URL(url), headers, error)
                raise
            body = await response.content()
            await tracer.response_chunk_received(method, URL(url), body)
            return body


@asynccontextmanager
async def session(module: Any, told: list[Any], limit: int = 10, after: Any = None) -> AsyncIterator[Any]:
    """A function `(method, url, data, context)` that makes a call, and reads the body."""
    made = config(module, told, after)
    if module is ours:
        one = Session([made], pool_size=limit)
        async with one.client:
            yield one.request
        return

    async with aiohttp.ClientSession(trace_configs=[made], connector=aiohttp.TCPConnector(limit=limit)) as other:

        async def request(method: str, url: str, data: Any = None, context: Any = None) -> bytes:
            async with other.request(method, url, data=data, trace_request_ctx=context) as response:
                return await response.read()

        yield request


# -- beside aiohttp ------------------------------------------------------------------------------------------------------------


async def one_get(origin: Origin, request: Any) -> None:
    await request("GET", origin.url("/bytes/3"), None, {"id": 1})


async def named(origin: Origin, request: Any) -> None:
    await request("GET", origin.url("/bytes/3", host="localhost"))


async def again(origin: Origin, request: Any) -> None:
    for _ in range(2):
        await request("GET", origin.url("/bytes/3", host="localhost"))


async def cached(origin: Origin, request: Any) -> None:
    origin.on("/close", lambda asked, wire: wire.respond(200, [("Connection", "close")], b"1"))
    for _ in range(2):
        await request("GET", origin.url("/close", host="localhost"))


async def redirected(origin: Origin, request: Any) -> None:
    await request("GET", origin.url("/status/302?to=/bytes/3"))


async def uploaded(origin: Origin, request: Any) -> None:
    await request("POST", origin.url("/bytes/3"), b"data")


async def refused(origin: Origin, request: Any) -> None:
    with pytest.raises((aiohttp.ClientError, WirebirdError)):
        await request("GET", "http://127.0.0.1:1/")


CALLS = [one_get, named, again, cached, redirected, uploaded, refused]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("waits", [False, True])
def test_the_signals_are_those_of_aiohttp(call: Any, loop: str, waits: bool) -> None:
    """Also where every receiver waits."""

    async def after(name: str) -> None:
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)

    async def main() -> None:
        lists: list[list[Any]] = [[], []]
        async with Origin() as origin:
            for module, told in zip((theirs, ours), lists, strict=True):
                async with session(module, told, after=after if waits else None) as request:
                    await call(origin, request)
        assert lists[0]
        assert lists[1] == lists[0]

    run(main, loop)


@pytest.mark.parametrize("module", [theirs, ours], ids=["aiohttp", "wirebird"])
def test_a_wait_for_a_slot(module: Any) -> None:
    async def main() -> None:
        told: list[Any] = []
        async with Origin() as origin, session(module, told, limit=1) as request:
            first = asyncio.create_task(request("GET", origin.url("/silent"), None, "first"))
            while not origin.asked:
                await asyncio.sleep(0)
            second = asyncio.create_task(request("GET", origin.url("/bytes/3"), None, "second"))
            while not any(name == "connection_queued_start" for name, _, _ in told):
                await asyncio.sleep(0)
            origin.release.set()
            await asyncio.gather(first, second)
        assert [name for name, _, context in told if context == "second"] == [
            "request_start",
            "connection_queued_start",
            "connection_queued_end",
            "connection_reuseconn",
            "request_headers_sent",
            "request_end",
            "response_chunk_received",
        ]

    run(main)


def test_pieces_of_a_body() -> None:
    async def main() -> None:
        told: list[Any] = []
        body = _Pieces([b"one", b"two" * 100_000])
        async with Origin() as origin, session(ours, told) as request:
            await request("POST", origin.url("/bytes/3"), body)
        assert body.closed
        assert [facts["chunk"] for name, facts, _ in told if name == "request_chunk_sent"] == [b"one", b"two" * 100_000]
        assert [name for name, _, _ in told][:6] == [
            "request_start",
            "connection_create_start",
            "connection_create_end",
            "request_headers_sent",
            "request_chunk_sent",
            "request_chunk_sent",
        ]

    run(main)


class _Pieces:
    """A body of several pieces."""

    closed = False

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def size(self) -> int | None:
        return None

    def replayable(self) -> bool:
        return True

    async def pieces(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece

    async def close(self) -> None:
        self.closed = True


def test_a_body_that_nobody_listens_to_stays_what_it_is() -> None:
    made = ours.TraceConfig()
    made.freeze()
    tracer = ours.Tracer(None, [(made, made.trace_config_ctx())])
    body = _Pieces([])
    assert tracer.traced(body, "POST", URL()) is body
    made = config(ours, [])
    tracer = ours.Tracer(None, [(made, made.trace_config_ctx())])
    assert tracer.traced(b"", "POST", URL()) == b""
    assert tracer.traced(None, "POST", URL()) is None
    for given, size in ((b"12", 2), (body, None)):
        traced: Any = tracer.traced(given, "POST", URL())
        assert (traced.size(), traced.replayable()) == (size, True)


# -- when ----------------------------------------------------------------------------------------------------------------------


def test_receivers_run_where_the_thing_happens() -> None:
    async def main() -> None:
        seen: dict[str, tuple[int, int]] = {}

        async with Origin() as origin:

            async def after(name: str) -> None:
                seen[name] = origin.connections, len(origin.asked)

            async with session(ours, [], after=after) as request:
                await request("GET", origin.url("/bytes/3"))
        assert seen["connection_create_start"] == (0, 0)
        assert seen["request_headers_sent"][1] == 0
        assert seen["request_end"] == (1, 1)

    run(main)


def test_a_receiver_that_waits_ends_before_the_next_signal_that_is_awaited() -> None:
    async def main() -> None:
        steps: list[str] = []
        gate = asyncio.Event()

        async def after(name: str) -> None:
            steps.append(f"{name} begins")
            if name == "connection_create_start":
                await gate.wait()
            steps.append(f"{name} ends")

        async with Origin() as origin, session(ours, [], after=after) as request:
            task = asyncio.create_task(request("GET", origin.url("/bytes/3")))
            while not origin.asked:
                await asyncio.sleep(0)
            assert steps[2:] == ["connection_create_start begins"]
            gate.set()
            await task
        names = ["request_start", "connection_create_start", "connection_create_end", "request_headers_sent", "request_end"]
        assert steps[:10] == [f"{name} {step}" for name in names for step in ("begins", "ends")]

    run(main)


@pytest.mark.parametrize("signal", ["request_start", "connection_create_start", "request_headers_sent", "request_end"])
@pytest.mark.parametrize("waits", [False, True])
def test_what_a_receiver_raises_fails_the_request(signal: str, waits: bool) -> None:
    async def main() -> None:
        told: list[Any] = []

        async def after(name: str) -> None:
            if name == signal:
                if waits:
                    await asyncio.sleep(0)
                raise KeyError(name)

        async with Origin() as origin, session(ours, told, after=after) as request:
            with pytest.raises(KeyError):
                await request("GET", origin.url("/bytes/3"))
        names = [name for name, _, _ in told]
        if signal != "request_start":  # who did not hear of the start does not hear of the end
            assert names[-1] == "request_exception"

    run(main)


def test_a_request_that_is_cancelled_is_told_of() -> None:
    async def main() -> None:
        told: list[Any] = []

        async def after(name: str) -> None:
            if name == "connection_create_start":
                await asyncio.sleep(0)

        async with Origin() as origin, session(ours, told, after=after) as request:
            task = asyncio.create_task(request("GET", origin.url("/silent")))
            while not origin.asked:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert [name for name, _, _ in told] == [
                "request_start",
                "connection_create_start",
                "connection_create_end",
                "request_headers_sent",
                "request_exception",
            ]

    run(main)


def test_a_tracer_that_is_left_lets_go_of_what_waits() -> None:
    async def main() -> None:
        seen: list[str] = []

        async def wait(*_: Any) -> None:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                seen.append("over")

        made = ours.TraceConfig()
        made.on_connection_create_start.append(wait)
        made.on_request_start.append(_nothing)
        made.freeze()
        tracer = ours.traces_for(None, [made])
        assert tracer is not None
        with tracer:
            await tracer.request_start("GET", URL(), CIMultiDict())
            tracer.tell("on_connection_create_start", ours.TraceConnectionCreateStartParams())
            tracer.tell("on_connection_create_start", ours.TraceConnectionCreateStartParams())
        assert seen == ["over"]

    run(main)


async def _nothing(*_: Any) -> None:
    pass


def test_calls_within_calls_have_their_own_tracer() -> None:
    async def main() -> None:
        told: list[Any] = []
        async with Origin() as origin:
            inner = Session([config(ours, told)])

            async def call(*_: Any) -> None:
                await inner.request("GET", origin.url("/bytes/3"), context="inner")

            made = config(ours, told)
            outer = ours.TraceConfig()
            outer.on_request_start.append(call)
            outer.freeze()
            one = Session([outer, made])
            async with inner.client, one.client:
                await one.request("GET", origin.url("/bytes/3"), context="outer")
        names = {
            context: [name for name, _, about in told if about == context].count("request_headers_sent")
            for context in ("inner", "outer")
        }
        assert names == {"inner": 1, "outer": 1}

    run(main)


@pytest.mark.parametrize("through", ["plain", "tunnel"])
def test_by_way_of_a_proxy_its_name_is_what_is_resolved(through: str) -> None:
    async def main() -> None:
        told: list[Any] = []
        certificates = ThrowawayTLS()
        tls = certificates.server if through == "tunnel" else None
        async with Origin(tls=tls) as origin, HttpProxy() as proxy:
            one = Session([config(ours, told)], ssl=certificates.client)
            async with one.client:
                url = origin.url("/bytes/3", host="127.0.0.1" if through == "plain" else "localhost")
                await one.request("GET", url, proxy=f"http://localhost:{proxy.port}")
        assert [(name, facts.get("host")) for name, facts, _ in told][1:-2] == [
            ("connection_create_start", None),
            ("dns_cache_miss", "localhost"),
            ("dns_resolvehost_start", "localhost"),
            ("dns_resolvehost_end", "localhost"),
            ("connection_create_end", None),
            ("request_headers_sent", None),
        ]

    run(main)


def test_without_configs_there_is_no_tracer() -> None:
    assert ours.traces_for(None, None) is None
    assert ours.traces_for(None, []) is None


def test_exchanges_that_nobody_traces_are_let_be() -> None:
    async def main() -> None:
        async with Origin() as origin, HTTPClient(observers=[ours.trace_observer]) as client:
            response = await client.get(origin.url("/bytes/3"))
            assert len(await response.content()) == 3

    run(main)


# -- steps, which wirebird's own observers may have ----------------------------------------------------------------------------


class Steps:
    def __init__(self) -> None:
        self.told: list[str] = []

    def __call__(self, exchange: Any, phase: str) -> None:
        self.told.append(phase)

    def step(self, exchange: Any, name: str) -> None:
        assert name != "ready" or (exchange.connection is not None and exchange.head.startswith(b"GET "))
        self.told.append(f"({name})")


@pytest.mark.parametrize(
    ("options", "dns"), [({}, ["(dns_miss)", "(dns_ask)"]), ({"use_dns_cache": False}, ["(dns_ask)"])], ids=["cache", "no cache"]
)
def test_the_steps_of_an_observer(options: dict[str, Any], dns: list[str]) -> None:
    async def close(asked: Asked, wire: Wire) -> None:
        await wire.respond(200, [("Connection", "close")], b"1")

    async def main() -> None:
        steps = Steps()
        async with Origin() as origin, HTTPClient(connector=TCPConnector(**options), observers=[steps]) as client:
            origin.on("/close", close)
            begin, end = ["started", "queued"], ["dns", "connect", "(ready)", "sent", "first_byte", "done"]
            for look_up in (dns, ["(dns_hit)"] if not options else dns):
                steps.told.clear()
                await (await client.get(origin.url("/close", host="localhost"))).content()
                assert steps.told == [*begin, *look_up, *end]
                steps.told.clear()

    run(main)


def test_the_step_before_a_wait() -> None:
    async def main() -> None:
        steps = Steps()
        connector = TCPConnector(pool_size=1, timeouts=Timeouts(pool_acquire=5))
        async with Origin() as origin, HTTPClient(connector=connector, observers=[steps]) as client:
            first = asyncio.create_task(_read(client, origin.url("/silent")))
            while not origin.asked:
                await asyncio.sleep(0)
            steps.told.clear()
            second = asyncio.create_task(_read(client, origin.url("/bytes/3")))
            while "(waiting)" not in steps.told:
                await asyncio.sleep(0)
            assert steps.told == ["started", "(waiting)"]
            origin.release.set()
            await asyncio.gather(first, second)
            assert steps.told.count("(ready)") == 1

    run(main)


async def _read(client: HTTPClient, url: str) -> bytes:
    return await (await client.get(url)).content()


# -- signals, and the shape ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [aiosignal.Signal, Signal], ids=["aiosignal", "wirebird"])
def test_a_signal(cls: Any) -> None:
    async def main() -> None:
        told: list[Any] = []
        signal = cls("owner")

        @signal
        async def first(*args: Any, **kwargs: Any) -> None:
            told.append((args, kwargs))

        async def second(*args: Any, **kwargs: Any) -> None:
            told.append("second")

        signal.append(second)
        with pytest.raises(RuntimeError):
            await signal.send()
        assert not signal.frozen
        assert list(signal) == [first, second]
        signal.remove(second)
        signal.insert(0, second)
        signal += [second]
        del signal[0]
        signal[1] = second
        assert signal == [first, second]
        assert repr(signal).startswith("<Signal owner=owner, frozen=False, ")
        signal.freeze()
        assert signal.frozen
        await signal.send(1, a=2)
        assert told == [((1,), {"a": 2}), "second"]
        for change in (lambda: signal.append(first), lambda: signal.clear(), lambda: signal.__setitem__(0, first)):
            with pytest.raises(RuntimeError):
                change()

    run(main)


def test_the_shape_is_that_of_aiohttp() -> None:
    assert set(theirs.__all__) <= set(ours.__all__)
    for name in theirs.__all__:
        expected, found = getattr(theirs, name), getattr(ours, name)
        one, other = (inspect.signature(cls).parameters.values() for cls in (expected, found))
        assert [(p.name, p.kind, p.default) for p in other] == [(p.name, p.kind, p.default) for p in one]
        if name == "TraceConfig":
            assert all(hasattr(found(), signal) for signal in SIGNALS)
            continue
        values = range(len(one))
        assert repr(found(*values)) == repr(expected(*values))
        assert found(*values) == found(*values)
        for field in found.__slots__:
            with pytest.raises(AttributeError):
                setattr(found(*values), field, 1)


@pytest.mark.parametrize("lib", ["aiohttp", "wirebird.compat.aiohttp"])
def test_those_who_heard_of_the_start_hear_of_the_end(lib: str) -> None:
    """Though the start of another failed, which has heard nothing then."""
    library = importlib.import_module(lib)
    heard: list[str] = []

    def traced(name: str, fault: Exception | None) -> Any:
        async def start(session: Any, context: Any, params: Any) -> None:
            heard.append(f"{name} start")
            if fault is not None:
                raise fault

        async def failed(session: Any, context: Any, params: Any) -> None:
            heard.append(f"{name} {params.exception!r}")

        made = library.TraceConfig()
        made.on_request_start.append(start)
        made.on_request_exception.append(failed)
        return made

    async def main() -> None:
        configs = [traced("good", None), traced("bad", RuntimeError("no")), traced("third", None)]
        async with library.ClientSession(trace_configs=configs) as session:
            with pytest.raises(RuntimeError, match="no"):
                await session.get("http://127.0.0.1:1/")
        assert heard == ["good start", "bad start", "good RuntimeError('no')"]

    run(main)
