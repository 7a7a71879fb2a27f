"""`web.EventStreamResponse`: what is sent and cannot be sent, readers that leave and come back, and the end of the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wirebird
from origin import run
from web_wire import Line, ask, line
from wirebird import ServerEvent, web
from wirebird.errors import ConnectionLost, UsageError
from wirebird.protocol.sse import EventParser, encode_comment, encode_event
from wirebird.server.server import Server
from wirebird.server.settings import Settings
from wirebird.testing import TestServer

BOTH = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

Tell = Callable[[web.EventStreamResponse], Awaitable[None]]


@asynccontextmanager
async def serving(tell: Tell, *, errors: int = 0, shutdown_timeout: float = 5.0, **options: Any) -> AsyncIterator[TestServer]:
    """An application with a stream over which `tell` sends events."""

    async def handler(request: web.Request) -> web.StreamResponse:
        events = web.EventStreamResponse(**options)
        await events.prepare(request)
        await events.prepare(request)  # once is enough
        await tell(events)
        return events

    app = web.Application()
    app.add_routes([web.get("/", handler)])
    async with TestServer(app, shutdown_timeout=shutdown_timeout) as server:
        yield server
    assert len(server.errors) == errors, server.errors


@asynccontextmanager
async def raw(server: TestServer) -> AsyncIterator[Line]:
    """A connection on which a stream has begun."""
    async with line(server) as wire:
        await wire.send(GET)
        assert b"text/event-stream" in await wire.reader.readuntil(b"\r\n\r\n")
        yield wire


def quiet(caplog: pytest.LogCaptureFixture) -> bool:
    """Whether nobody was told of anything; asyncio complains of slow machines."""
    return not [one for one in caplog.records if one.levelno >= logging.WARNING and one.name.startswith("wirebird")]


# -- the format --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "wire"),
    [
        ({"data": "text"}, b"data: text\n\n"),
        ({"data": ""}, b"data: \n\n"),
        ({"data": " x "}, b"data:  x \n\n"),
        ({"data": "a\nb\r\nc\rd\n"}, b"data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"),
        ({"data": "a\n\nevent: evil\ndata: b"}, b"data: a\ndata: \ndata: event: evil\ndata: data: b\n\n"),
        ({"data": "x", "event": "e", "id": "7", "retry": 0}, b"retry: 0\nevent: e\nid: 7\ndata: x\n\n"),
        ({"data": None, "id": ""}, b"id: \n\n"),
        ({"data": "\x0b\x0c\x85\u2028ü"}, "data: \x0b\x0c\x85\u2028ü\n\n".encode()),
    ],
)
def test_how_events_are_written(event: dict[str, Any], wire: bytes) -> None:
    assert encode_event(**event) == wire


@pytest.mark.parametrize(
    ("event", "argument"),
    [
        ({"data": "x", "event": "a\nb"}, "event"),
        ({"data": "x", "event": "a\rb"}, "event"),
        ({"data": "x", "id": "a\nb"}, "id"),
        ({"data": "x", "id": "a\r"}, "id"),
        ({"data": "x", "id": "a\0"}, "id"),
        ({"data": "x", "id": 7}, "id"),
        ({"data": "x", "retry": -1}, "retry"),
        ({"data": "x", "retry": "5\ndata: y"}, "retry"),
        ({"data": b"x"}, "data"),
        ({"data": "\ud800"}, "data"),
        ({"data": None}, "data"),
    ],
)
def test_what_is_no_event(event: dict[str, Any], argument: str) -> None:
    with pytest.raises(UsageError) as caught:
        encode_event(**event)
    assert caught.value.argument == argument


def test_comments_are_no_events() -> None:
    assert encode_comment() == b":\n"
    assert encode_comment("a\rdata: b\n\nc") == b": a\n: data: b\n:\n: c\n"
    parser = EventParser()
    assert parser.receive(encode_comment("a\n\ndata: b\n\n") + encode_event("c")) == [ServerEvent("message", "c")]
    for wrong in (b"x", "\udfff"):
        with pytest.raises(UsageError):
            encode_comment(wrong)  # type: ignore[arg-type]


_text = st.text(st.characters(exclude_categories=["Cs"]))
_one_line = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"))


@given(st.lists(st.tuples(_text, _one_line, _one_line)))
def test_whatever_is_sent_is_what_a_reader_gets(events: list[tuple[str, str, str]]) -> None:
    parser = EventParser()
    got = parser.receive(b"".join(encode_event(data, event, id) for data, event, id in events))
    expected = [ServerEvent(event or "message", data.replace("\r\n", "\n").replace("\r", "\n"), id) for data, event, id in events]
    assert got == expected


@pytest.mark.parametrize(("argument", "value"), [("heartbeat", 0), ("retry", -1), ("retry", 1.5), ("cancel", 1)])
def test_what_is_no_argument(argument: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        web.EventStreamResponse(**{argument: value})
    assert caught.value.argument == argument


# -- on the wire -------------------------------------------------------------------------------------------------------------


def test_the_head_leaves_at_once() -> None:
    go = asyncio.Event()

    async def tell(events: web.EventStreamResponse) -> None:
        await go.wait()

    async def main() -> None:
        async with serving(tell, retry=500, headers={"X-Own": "1", "Cache-Control": "no-cache"}) as server, line(server) as wire:
            await wire.send(GET)
            head = (await wire.reader.readuntil(b"\r\n\r\n")).decode()
            assert head.startswith("HTTP/1.1 200 OK\r\n")
            for field in ("Content-Type: text/event-stream", "Cache-Control: no-cache", "X-Own: 1", "Transfer-Encoding: chunked"):
                assert f"{field}\r\n" in head
            assert await wire.reader.readuntil(b"\n\n\r\n") == b"c\r\nretry: 500\n\n\r\n"
            go.set()
            assert await wire.reader.readuntil(b"0\r\n\r\n") == b"0\r\n\r\n"

    run(main)


@BOTH
def test_with_our_own_reader_that_comes_back(loop: str) -> None:
    seen: list[str] = []

    async def tell(events: web.EventStreamResponse) -> None:
        seen.append(events.last_event_id)
        first = int(events.last_event_id.removeprefix("№") or 0)
        for number in range(first + 1, first + 3):
            await events.send_json({"n": number}, id=f"№{number}", event="count")
        await events.comment("that is all")

    async def main() -> None:
        async with serving(tell, retry=0) as server, wirebird.HTTPClient() as client:
            events = []
            async with client.events(server.url()) as stream:
                async for event in stream:
                    events.append(event)
                    if len(events) == 5:
                        break
        assert [event.json()["n"] for event in events] == [1, 2, 3, 4, 5]
        assert {event.event for event in events} == {"count"}
        assert seen[:3] == ["", "№2", "№4"]

    run(main, loop)


def test_http_1_0_and_head() -> None:
    ended: list[bool] = []

    async def tell(events: web.EventStreamResponse) -> None:
        ended.append(events.closed)
        await events.send("x")

    async def main() -> None:
        async with serving(tell) as server:
            async with line(server) as wire:
                await wire.send(b"GET / HTTP/1.0\r\n\r\n")
                head, _, body = (await wire.reader.read()).partition(b"\r\n\r\n")
                assert b"chunked" not in head
                assert body == b"data: x\n\n"
            async with line(server) as wire:
                await wire.send(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                head, _, body = (await wire.reader.read()).partition(b"\r\n\r\n")
                assert b"text/event-stream" in head
                assert body == b""

    run(main)
    assert ended == [False, True]


def test_nothing_works_out_of_turn() -> None:
    async def tell(events: web.EventStreamResponse) -> None:
        await events.write_eof()
        assert events.closed
        with pytest.raises(ConnectionLost):
            await events.send("late")

    async def main() -> None:
        events = web.EventStreamResponse()
        with pytest.raises(RuntimeError):
            await events.send("early")
        with pytest.raises(RuntimeError):
            events.enable_compression()
        for call in (events.write(b"x"), events.write_eof(b"x")):
            with pytest.raises(RuntimeError):
                await call
        async with serving(tell) as server, raw(server) as wire:
            assert await wire.reader.readuntil(b"0\r\n\r\n") == b"0\r\n\r\n"

    run(main)


def test_silence_is_filled_with_comments() -> None:
    async def tell(events: web.EventStreamResponse) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        async with serving(tell, heartbeat=0.02) as server, raw(server) as wire:
            for _ in range(3):
                assert await wire.reader.readuntil(b":\n\r\n") == b"2\r\n:\n\r\n"

    run(main)


def test_a_handler_that_raises_leaves_no_timer_behind() -> None:
    async def tell(events: web.EventStreamResponse) -> None:
        raise ValueError

    async def main() -> None:
        async with serving(tell, errors=1, heartbeat=0.01) as server:
            async with raw(server) as wire:
                assert not (await wire.reader.read()).endswith(b"0\r\n\r\n")  # nobody takes it for whole
            loop = asyncio.get_running_loop()
            while any("_beat" in repr(handle) for handle in getattr(loop, "_scheduled", ()) if not handle.cancelled()):
                await asyncio.sleep(0.01)

    run(main)


def test_a_slow_reader_holds_the_handler_up() -> None:
    sent = 0

    async def tell(events: web.EventStreamResponse) -> None:
        nonlocal sent
        for _ in range(1000):
            await events.send("x" * 2**18)
            sent += 1

    async def main() -> None:
        async with serving(tell) as server, raw(server):
            before = -1
            while before != sent or not sent:
                before = sent
                await asyncio.sleep(0.05)
            assert 0 < sent < 200

    run(main)


# -- the end -----------------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("cancel", [True, False])
def test_a_reader_that_leaves(loop: str, cancel: bool, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Any] = []
    over = asyncio.Event()

    async def tell(events: web.EventStreamResponse) -> None:
        await events.send("here")
        try:
            if cancel:
                await asyncio.Event().wait()
            while not events.closed:
                await asyncio.sleep(0)
            await events.send("to nobody")
        except BaseException as error:
            seen.append((type(error), events.closed))
            raise
        finally:
            over.set()

    async def main() -> None:
        async with serving(tell, cancel=cancel) as server:
            async with raw(server) as wire:
                await wire.reader.readuntil(b"here")
                wire.writer.transport.abort()
            await over.wait()

    run(main, loop)
    assert seen == [(asyncio.CancelledError if cancel else ConnectionLost, True)]
    assert quiet(caplog)


def test_a_reader_that_leaves_an_asgi_server(caplog: pytest.LogCaptureFixture) -> None:
    over = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        events = web.EventStreamResponse()
        await events.prepare(request)
        await events.send("here")
        try:
            await asyncio.Event().wait()
        finally:
            over.set()
        return events

    app = web.Application()
    app.add_routes([web.get("/", handler)])

    async def guest(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    async def main() -> None:
        async with TestServer(guest) as server:
            async with raw(server) as wire:
                await wire.reader.readuntil(b"here")
            async with asyncio.timeout(5):
                await over.wait()
        assert server.errors == []

    run(main)
    assert quiet(caplog)


def test_a_handler_is_cancelled_once() -> None:
    """Also where the server cancels those whose client has left: what they put away is not broken off."""
    seen: list[str] = []
    over = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        events = web.EventStreamResponse()
        await events.prepare(request)
        await events.send("here")
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(3):
                await asyncio.sleep(0)
            seen.append("put away")
            over.set()
        return events

    async def main() -> None:
        app = web.Application()
        app.add_routes([web.get("/", handler)])
        server = Server(app, Settings(cancel_on_disconnect=True))
        port = (await server.listen())[0][1]
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            await reader.readuntil(b"here")
            writer.transport.abort()
            async with asyncio.timeout(5):
                await over.wait()
        finally:
            await server.close(1)

    run(main)
    assert seen == ["put away"]


def test_a_client_that_leaves_before_the_stream_begins(caplog: pytest.LogCaptureFixture) -> None:
    begun, left, over = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        begun.set()
        await left.wait()
        try:
            events = web.EventStreamResponse(heartbeat=0.05)
            await events.prepare(request)
            await asyncio.Event().wait()
            return events
        finally:
            over.set()

    async def main() -> None:
        app = web.Application()
        app.add_routes([web.get("/", handler)])
        async with TestServer(app) as server:
            async with line(server) as wire:
                await wire.send(GET)
                await begun.wait()
                wire.writer.transport.abort()
            left.set()
            async with asyncio.timeout(5):
                await over.wait()
        assert server.errors == []

    run(main)
    assert quiet(caplog)


def test_a_reader_that_has_no_more_to_say_is_still_told() -> None:
    async def tell(events: web.EventStreamResponse) -> None:
        await events.send("here")
        await asyncio.sleep(0.15)
        await events.send("still")

    async def main() -> None:
        async with serving(tell) as server, raw(server) as wire:
            wire.writer.write_eof()
            assert (await wire.reader.readuntil(b"0\r\n\r\n")).count(b"data: ") == 2

    run(main)


@BOTH
@pytest.mark.parametrize("cancel", [True, False])
def test_the_server_is_closed(loop: str, cancel: bool, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Any] = []

    async def tell(events: web.EventStreamResponse) -> None:
        await events.send("here")
        try:
            if cancel:
                await asyncio.Event().wait()
            while not events.closed:
                await asyncio.sleep(0.001)
            await events.send("too late")
        except BaseException as error:
            seen.append((type(error), events.closed))
            raise

    async def main() -> None:
        async with serving(tell, cancel=cancel) as server:
            async with raw(server) as one, raw(server) as two:
                for wire in (one, two):
                    await wire.reader.readuntil(b"here")
                closing = asyncio.ensure_future(server.close())
                for wire in (one, two):
                    assert (await wire.reader.read()).endswith(b"\r\n0\r\n\r\n")  # whole, and closed
                    wire.writer.close()
                await closing

    run(main, loop)
    assert seen == [(asyncio.CancelledError if cancel else ConnectionLost, True)] * 2
    assert quiet(caplog)


def test_the_server_is_closed_for_a_client_of_http_1_0() -> None:
    async def tell(events: web.EventStreamResponse) -> None:
        await events.send("here")
        await asyncio.Event().wait()

    async def main() -> None:
        async with serving(tell) as server, line(server) as wire:
            await wire.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
            await wire.reader.readuntil(b"here")
            closing = asyncio.ensure_future(server.close())
            assert await wire.reader.read() == b"\n\n"
            wire.writer.close()
            await closing

    run(main)


def test_the_server_is_closed_while_the_head_is_made(caplog: pytest.LogCaptureFixture) -> None:
    begun = asyncio.Event()
    go = asyncio.Event()

    async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
        begun.set()
        await go.wait()

    async def handler(request: web.Request) -> web.StreamResponse:
        events = web.EventStreamResponse()
        await events.prepare(request)
        await asyncio.Event().wait()
        return events

    async def main() -> None:
        app = web.Application()
        app.on_response_prepare.append(on_prepare)
        app.add_routes([web.get("/", handler)])
        async with TestServer(app) as server, line(server) as wire:
            await wire.send(GET)
            await begun.wait()
            closing = asyncio.ensure_future(server.close())
            for _ in range(10):
                await asyncio.sleep(0)
            go.set()
            assert (await wire.reader.read()).endswith(b"\r\n\r\n0\r\n\r\n")
            wire.writer.close()
            await closing
        assert server.errors == []

    run(main)
    assert quiet(caplog)


def test_a_handler_that_takes_its_time_is_given_it() -> None:
    seen: list[str] = []

    async def tell(events: web.EventStreamResponse) -> None:
        await events.send("here")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.02)
            seen.append("put away")

    async def main() -> None:
        async with serving(tell, shutdown_timeout=15) as server, raw(server) as wire:
            await wire.reader.readuntil(b"here")
            async with asyncio.timeout(8):  # it does not wait for a client that could close its side, and does not
                await server.close()

    run(main)
    assert seen == ["put away"]


def test_a_stream_that_is_asked_for_while_the_server_is_closed() -> None:
    begun = asyncio.Event()
    go = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        begun.set()
        await go.wait()
        events = web.EventStreamResponse()
        await events.prepare(request)
        return events

    async def main() -> None:
        app = web.Application()
        app.add_routes([web.get("/", handler)])
        async with TestServer(app) as server:
            asking = asyncio.ensure_future(ask(server, GET))
            await begun.wait()
            closing = asyncio.ensure_future(server.close())
            for _ in range(5):
                await asyncio.sleep(0)
            go.set()
            answer = await asking
            await closing
        assert answer.status == 503
        assert "Retry-After: 1\r\n" in answer.head

    run(main)


def test_ordinary_requests_are_not_cut_short_when_the_server_is_closed() -> None:
    begun = asyncio.Event()
    go = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        begun.set()
        await go.wait()
        return web.Response(text="whole")

    async def main() -> None:
        app = web.Application()
        app.add_routes([web.get("/", handler)])
        async with TestServer(app) as server:
            asking = asyncio.ensure_future(ask(server, GET))
            await begun.wait()
            closing = asyncio.ensure_future(server.close())
            for _ in range(5):
                await asyncio.sleep(0)
            go.set()
            assert (await asking).body == b"whole"
            await closing

    run(main)


def test_many_streams_at_once() -> None:
    readers: set[asyncio.Queue[str]] = set()

    async def tell(events: web.EventStreamResponse) -> None:
        queue: asyncio.Queue[str] = asyncio.Queue()
        readers.add(queue)
        try:
            while True:
                await events.send(await queue.get())
        finally:
            readers.discard(queue)

    async def main() -> None:
        async with serving(tell) as server:
            wires = [await asyncio.open_connection(server.host, server.port) for _ in range(100)]
            for _, writer in wires:
                writer.write(GET)
            while len(readers) < 100:
                await asyncio.sleep(0)
            for queue in readers:
                queue.put_nowait("news")
            for reader, _ in wires:
                await reader.readuntil(b"data: news\n\n")
            closing = asyncio.ensure_future(server.close())
            for reader, writer in wires:
                assert (await reader.read()).endswith(b"0\r\n\r\n")
                writer.close()
                await writer.wait_closed()
            await closing
        assert not readers

    run(main)
