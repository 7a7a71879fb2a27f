"""A server's connection, without a socket: what is answered in which order, when it goes on and when it closes, and what of all
that depends on how the bytes come, which is nothing."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import sys
import tracemalloc
from typing import Any

import pytest

from raw_peer import require
from server_wire import GET, App, Hub, Wire, head_of, run, serve, served, settle
from wirebird.errors import ConnectionLost, InvalidRequest, LimitExceeded, UsageError
from wirebird.server.connection import PIPELINE, ServerConnection
from wirebird.server.settings import Settings

TEXT = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def get(path: bytes, *fields: bytes, version: bytes = b"1.1") -> bytes:
    return b"".join([b"GET ", path, b" HTTP/", version, b"\r\nHost: a\r\n", *[field + b"\r\n" for field in fields], b"\r\n"])


def post(path: bytes, body: bytes, *fields: bytes) -> bytes:
    lines = b"".join(field + b"\r\n" for field in (b"Content-Length: %d" % len(body), *fields))
    return b"POST %b HTTP/1.1\r\nHost: a\r\n%b\r\n%b" % (path, lines, body)


def chunked(path: bytes, *pieces: bytes, trailers: bytes = b"", fields: bytes = b"") -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"
    return b"POST %b HTTP/1.1\r\nHost: a\r\n%bTransfer-Encoding: chunked\r\n\r\n%b" % (path, fields, body)


# -- the order of things -----------------------------------------------------------------------------------------------

PIPELINE_OF_ALL = b"".join(
    [
        get(b"/1"),
        post(b"/2", b"two"),
        get(b"/late"),
        chunked(b"/3", b"th", b"ree", trailers=b"X: y\r\n"),
        post(b"/ignore", b"nobody reads this"),
        get(b"/stream"),
        chunked(b"/ignore", b"nor", b"this"),
        post(b"/late", b"nor this while it waits"),
        b"\r\n" + get(b"/4"),
        get(b"/5", b"Connection: close"),
        get(b"/never"),
    ]
)
ANSWERS = [b"hello", b"two", b"late", b"three", b"ignored", b"abc", b"ignored", b"late", b"hello", b"hello"]


def outcome(pieces: list[bytes], **more: Any) -> Any:
    app = App()
    hub, wire = serve(app, *pieces, **more)
    require(not hub.errors and not hub.refusals, hub.errors, hub.refusals)
    return bytes(wire.sent), app.served, app.bodies, wire.half_closed or wire.gone


def test_pipelined_requests_of_all_kinds_are_answered_in_order() -> None:
    sent, paths, bodies, closed = outcome([PIPELINE_OF_ALL], turns=60)
    app = App()
    _, wire = serve(app, PIPELINE_OF_ALL, turns=60)
    assert [response.body for response in wire.responses()] == ANSWERS
    assert paths == ["/1", "/2", "/late", "/3", "/ignore", "/stream", "/ignore", "/late", "/4", "/5"]
    assert bodies == [b"", b"two", b"three", b"", b""]
    assert closed and sent


def test_the_outcome_is_the_same_for_every_cut() -> None:
    whole = outcome([PIPELINE_OF_ALL], turns=60)
    data = PIPELINE_OF_ALL

    async def main() -> None:
        for apart in (False, True):
            for at in range(1, len(data), 1 if not apart else 7):
                app = App()
                _, wire = await served(app, data[:at], data[at:], turns=60, apart=apart)
                require((bytes(wire.sent), app.served, app.bodies) == whole[:3], at, apart, wire.sent)
        for apart in (False, True):
            app = App()
            _, wire = await served(app, *[data[at : at + 1] for at in range(len(data))], turns=60, apart=apart)
            require((bytes(wire.sent), app.served, app.bodies) == whole[:3], apart, wire.sent)

    run(main)


def test_more_requests_than_are_answered_in_one_turn() -> None:
    """S86: hundreds at once, others get their turn between them, and a body that comes between two turns is not lost."""
    app = App()
    first = b"".join(get(b"/%d" % number) for number in range(200))
    body = post(b"/body", b"x" * 1000)

    async def main() -> None:
        hub = Hub(app)
        wire, other = hub.connect(), hub.connect()
        wire.feed(first + body[:300])
        other.feed(GET)
        await asyncio.sleep(0)
        assert 0 < len(app.served) < 100 and "/" in app.served  # the other one was not kept waiting
        wire.feed(body[300:])
        await settle()
        assert app.served[-1] == "/body" and app.bodies[-1] == b"x" * 1000
        assert len(wire.responses()) == 201
        wire.leave()
        other.leave()
        await settle()
        hub.watch.stop()

    run(main)


def test_the_queue_is_bounded_and_the_socket_is_left_alone() -> None:
    """S29: a million requests behind one that takes its time."""
    gate: Any = None

    async def wait(exchange: Any) -> None:
        await gate.wait()
        exchange.respond(200, TEXT, b"at last")

    async def main() -> None:
        nonlocal gate
        gate = asyncio.Event()
        app = App({"/wait": wait})
        hub = Hub(app)
        wire = hub.connect()
        wire.feed(get(b"/wait"))
        many = GET * 2000
        for _ in range(20):
            wire.feed(many)
        await settle()
        assert not wire.reading
        assert PIPELINE < len(wire.connection.parser.leftover) <= PIPELINE + 262144
        assert sum(map(len, wire.waiting)) > 0.5 * 20 * len(many)
        gate.set()
        for _ in range(1000):
            await settle()
            if len(app.served) == 40001:
                break
        assert len(app.served) == 40001 and wire.sent.count(b"HTTP/1.1 200 OK") == 40001
        assert wire.reading
        wire.leave()
        await settle()
        hub.watch.stop()

    run(main)


def test_a_client_that_does_not_read_is_not_served_on() -> None:
    async def big(exchange: Any) -> None:
        exchange.respond(200, TEXT, bytes(50_000))

    async def main() -> None:
        app = App({"/big": big})
        hub = Hub(app)
        wire = hub.connect()
        wire.stuck = True
        wire.feed(get(b"/big") * 20)
        await settle()
        assert len(app.served) == 2
        wire.take()
        await settle()
        assert len(app.served) == 20 and len(wire.responses()) == 20
        wire.leave()
        await settle()
        hub.watch.stop()

    run(main)


# -- the end of what a client says -------------------------------------------------------------------------------------


def test_a_half_closed_client_gets_every_answer() -> None:
    for data in (get(b"/late") * 5, get(b"/late") + post(b"/2", b"two"), get(b"/stream") * 3, GET * 200):
        app = App()
        hub, wire = serve(app, data, eof=True, turns=60)
        assert len(wire.responses()) == data.count(b" HTTP/1.1")
        assert wire.gone and not wire.aborted
        assert not hub.refusals


@pytest.mark.parametrize("before", [b"", GET, get(b"/late")])
def test_the_end_of_the_input_at_every_byte(before: bytes) -> None:
    """A whole request is answered, a part of one is a fault, and nothing at all is just the end."""

    async def main() -> None:
        for data in (get(b"/late"), post(b"/2", b"two"), chunked(b"/3", b"th", b"ree", trailers=b"X: y\r\n")):
            for at in range(len(data) + 1):
                for apart in (False, True):
                    app = App()
                    hub, wire = await served(app, before + data[:at], eof=True, apart=apart)
                    statuses = [200] * bool(before)
                    if at == len(data):
                        statuses.append(200)
                    elif at:
                        statuses.append(400)
                    require(wire.statuses == statuses, data[:at], wire.sent)
                    require(len(hub.refusals) == (400 in statuses), data[:at], hub.refusals)
                    require(wire.gone and not wire.aborted and not hub.errors, data[:at], hub.errors)

    run(main)


@pytest.mark.parametrize("cancel", [False, True])
def test_a_client_that_is_gone_at_every_byte(cancel: bool) -> None:
    ended: list[str] = []

    async def wait(exchange: Any) -> None:
        try:
            await exchange.body.collect(None)
            for _ in range(3):
                await asyncio.sleep(0)
            await exchange.begin(head_of(), None)
            await exchange.write(b"x")
            await exchange.finish()
            ended.append("whole")
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        except ConnectionLost:
            ended.append("lost")
            raise

    async def main() -> None:
        data = chunked(b"/wait", b"th", b"ree") + get(b"/wait")
        for at in range(len(data) + 1):
            for turns in (0, 1, 2, 4, 6):
                ended.clear()
                app = App({"/wait": wait})
                problems: list[Any] = []
                asyncio.get_running_loop().set_exception_handler(
                    lambda loop, context, problems=problems: problems.append(context)
                )
                hub = Hub(app, Settings(cancel_on_disconnect=cancel))
                wire = hub.connect()
                wire.feed(data[:at])
                await settle(turns)
                wire.leave(ConnectionResetError("reset") if at % 2 else None)
                await settle()
                require(len(ended) == len(app.served), at, ended, app.served)
                require(not hub.errors and not hub.refusals and not problems, at, hub.errors, hub.refusals, problems)
                require(not hub.connections and not hub.orphans, hub.orphans)
                require(cancel or "cancelled" not in ended, ended)
                hub.watch.stop()
        assert len(asyncio.all_tasks()) == 1

    run(main)


# -- bodies ------------------------------------------------------------------------------------------------------------


def test_a_body_that_nobody_read_is_no_request() -> None:
    """S33, S82: what looks like a request in an unread body."""
    inner = get(b"/admin")
    for data in (
        post(b"/ignore", inner),
        chunked(b"/ignore", inner),
        post(b"/ignore", inner, b"Connection: Upgrade", b"Upgrade: websocket"),
    ):
        app = App()
        _, wire = serve(app, data, get(b"/next"))
        assert app.served == ["/ignore", "/next"]
        assert wire.statuses == [200, 200]


def test_a_long_body_that_nobody_reads_is_received_so_far_and_no_further() -> None:
    settings = Settings(drain_size=1000)
    app = App()
    data = chunked(b"/ignore", *[bytes(600)] * 3) + GET
    hub, wire = serve(app, data[:100], data[100:500], data[500:1500], data[1500:], settings=settings, apart=True)
    assert wire.statuses == [200] and app.served == ["/ignore"] and wire.half_closed and not hub.refusals
    # What is known to be too long is not waited for, and the answer says so.
    _, wire = serve(App(), post(b"/ignore", bytes(2000))[:500], settings=settings)
    (answer,) = wire.responses()
    assert answer.fields["connection"] == "close" and wire.half_closed


def test_a_fault_in_a_body_that_nobody_reads_is_not_answered_twice() -> None:
    start = b"POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
    app = App()
    hub, wire = serve(app, start, b"no size\r\n" + GET, apart=True)
    assert wire.statuses == [200] and wire.half_closed
    assert len(hub.refusals) == 1 and app.served == ["/ignore"]


def test_the_body_fails_while_the_handler_does_something_else() -> None:
    async def slow(exchange: Any) -> None:
        for _ in range(4):
            await asyncio.sleep(0)
        try:
            await exchange.body.collect(None)
        except InvalidRequest as error:
            exchange.respond(200, TEXT, f"{error.message}".encode())

    start = b"POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    hub, wire = serve(App({"/slow": slow}), start, b"zz\r\n" + GET, apart=True)
    (answer,) = wire.responses()
    assert answer.status == 200 and b"chunk size" in answer.body and answer.fields["connection"] == "close"
    assert len(hub.refusals) == 1 and not hub.errors


def test_a_body_beyond_the_limit() -> None:
    settings = Settings(max_body_size=10)
    cases: list[tuple[list[bytes], list[int]]] = [
        ([post(b"/", bytes(11))], [413]),
        ([post(b"/", bytes(11), b"Expect: 100-continue")[:120]], [413]),
        ([chunked(b"/", bytes(11))], [413]),
        ([chunked(b"/", bytes(6)), chunked(b"/", bytes(6), bytes(6))], [200, 413]),
        ([post(b"/", bytes(10))], [200]),
        ([chunked(b"/", bytes(5), bytes(5))], [200]),
    ]
    for pieces, statuses in cases:
        for cut in (False, True):
            app = App()
            sent = [bytes([byte]) for piece in pieces for byte in piece] if cut else pieces
            hub, wire = serve(app, *sent, settings=settings, turns=30)
            assert wire.statuses == statuses, pieces
            assert len(hub.refusals) == statuses.count(413)
            assert 100 not in wire.statuses
            assert all(isinstance(error, LimitExceeded) for error in app.raised)


# -- 100 (Continue), RFC 9110 10.1.1 -----------------------------------------------------------------------------------


def test_the_100_comes_when_the_body_is_wanted_and_never_else() -> None:
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    _, wire = serve(App(), head % b"/", b"abc", apart=True)
    assert wire.statuses == [100, 200]
    _, wire = serve(App(), head % b"/" + b"abc")  # it is here already
    assert wire.statuses == [200]
    _, wire = serve(App(), head % b"/" + b"a", b"bc", apart=True)  # it has begun
    assert wire.statuses == [200]
    # B4: a final status directly, and then the connection is of no more use, for nobody knows whether the body comes.
    _, wire = serve(App(), head % b"/ignore", GET, apart=True)
    (answer,) = wire.responses()
    assert answer.status == 200 and answer.fields["connection"] == "close" and wire.half_closed
    _, wire = serve(App(), head % b"/raise")
    assert wire.statuses == [500]
    # Nothing is expected where there is no body, and of HTTP/1.0.
    _, wire = serve(App(), b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n" + GET)
    assert wire.statuses == [200, 200]
    _, wire = serve(App(), (head % b"/").replace(b"HTTP/1.1", b"HTTP/1.0"), b"abc", apart=True)
    assert wire.statuses == [200]


def test_no_100_behind_the_beginning_of_the_answer() -> None:
    async def eager(exchange: Any) -> None:
        await exchange.begin(head_of(), None)
        await exchange.write(b"begun ")
        await exchange.write(await exchange.body.collect(None))
        await exchange.finish()

    head = b"POST /eager HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    _, wire = serve(App({"/eager": eager}), head, b"abc", apart=True)
    (answer,) = wire.responses()
    assert answer.body == b"begun abc" and answer.fields["connection"] == "close"


# -- how an answer is framed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [b"/", b"/stream", b"/late"])
def test_b1_head_has_no_body(path: bytes) -> None:
    data = get(path).replace(b"GET", b"HEAD")
    _, wire = serve(App(), data + get(b"/next"))
    first, second = wire.responses(b"HEAD", b"GET")
    assert first.body == b"" and second.body == b"hello"
    assert ("content-length" in first.fields) or path == b"/stream"


def test_b2_a_stream_for_http_1_0_ends_with_the_connection() -> None:
    for fields in ((), (b"Connection: keep-alive",)):
        _, wire = serve(App(), get(b"/stream", *fields, version=b"1.0") + GET)
        (answer,) = wire.responses()
        assert answer.body == b"abc" and answer.fields["connection"] == "close"
        assert wire.half_closed or wire.gone
    _, wire = serve(App(), get(b"/", b"Connection: keep-alive", version=b"1.0") + get(b"/", version=b"1.0") + GET)
    first, second = wire.responses()
    assert first.fields["connection"] == "keep-alive" and second.fields["connection"] == "close"


def test_b3_other_versions_are_answered_in_our_own() -> None:
    _, wire = serve(App(), b"GET / HTTP/2.0\r\nHost: a\r\n\r\n")
    assert wire.sent.startswith(b"HTTP/1.1 505 ")
    _, wire = serve(App(), get(b"/", version=b"1.7"))
    assert wire.statuses == [200]


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(status: int) -> None:
    async def bare(exchange: Any) -> None:
        await exchange.begin(head_of(status), None)
        await exchange.write(b"not to be sent")
        await exchange.finish()

    _, wire = serve(App({"/bare": bare}), get(b"/bare") + GET)
    first, second = wire.responses()
    assert first.status == status and first.body == b"" and second.body == b"hello"
    assert "content-length" not in first.fields and "transfer-encoding" not in first.fields


# -- handlers that go wrong --------------------------------------------------------------------------------------------


async def twice(exchange: Any) -> None:
    exchange.respond(200, TEXT, b"once")
    exchange.respond(200, TEXT, b"twice")


async def behind_the_end(exchange: Any) -> None:
    await exchange.begin(head_of(), 1)
    await exchange.write(b"x")
    await exchange.finish()
    await exchange.write(b"HTTP/1.1 200 OK\r\n\r\n")


async def too_much(exchange: Any) -> None:
    await exchange.begin(head_of(), 1)
    await exchange.write(b"x")
    await exchange.write(b"HTTP/1.1 200 OK\r\n\r\n")


async def too_little(exchange: Any) -> None:
    await exchange.begin(head_of(), 2)
    await exchange.write(b"x")
    await exchange.finish()


async def nothing(exchange: Any) -> None:
    await asyncio.sleep(0)


async def half(exchange: Any) -> None:
    await exchange.begin(head_of(), None)
    await exchange.write(b"x")
    raise ValueError("in the middle")


async def begun_only(exchange: Any) -> None:
    await exchange.begin(head_of(), 5)
    raise ValueError("before a byte has left")


@pytest.mark.parametrize(
    ("handler", "statuses", "aborted"),
    [
        (twice, [200, 200], False),
        (behind_the_end, [200, 200], False),
        (too_much, None, True),
        (too_little, None, True),
        (nothing, [500], False),
        (half, None, True),
        (begun_only, [500], False),
    ],
)
def test_what_a_handler_does_wrong_is_told_once_and_never_passes_for_an_answer(
    handler: Any, statuses: list[int] | None, aborted: bool
) -> None:
    hub, wire = serve(App({"/x": handler}), get(b"/x") + GET)
    assert len(hub.errors) == 1 and not hub.refusals
    assert wire.aborted == aborted
    if statuses is None:
        assert not wire.sent.endswith(b"0\r\n\r\n") and wire.sent.count(b"HTTP/1.1") == 1
    else:
        assert wire.statuses == statuses
    assert not any(word in wire.sent for word in (b"ValueError", b"RuntimeError", b"UsageError", b"Traceback"))


def test_an_exception_is_logged_once_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    _, wire = serve(App(), get(b"/raise") + GET, on_error=None)
    assert wire.statuses == [500] and wire.half_closed
    (record,) = caplog.records
    assert record.exc_info is not None and record.levelno == logging.ERROR and "on purpose" in caplog.text
    assert b"on purpose" not in wire.sent


def test_what_somebody_else_did_to_a_handler_is_not_the_clients_fault() -> None:
    """A handler may be a client too."""
    errors = [
        LimitExceeded("a response of more than 10 bytes", status=400, peer="10.9.9.9:80"),
        ConnectionLost("the upstream is gone", peer="10.9.9.9:80"),
        ConnectionLost("who?"),
        InvalidRequest("not ours", peer="10.9.9.9:80"),
    ]
    for error in errors:

        async def proxy(exchange: Any, error: Exception = error) -> None:
            raise error

        hub, wire = serve(App({"/x": proxy}), get(b"/x"))
        assert wire.statuses == [500] and hub.errors == [error] and not hub.refusals


def test_what_a_handler_refuses_says_its_status() -> None:
    async def refuse(exchange: Any) -> None:
        raise InvalidRequest("of a kind that is not taken", status=415)

    hub, wire = serve(App({"/x": refuse}), get(b"/x") + GET)
    assert wire.statuses == [415] and len(hub.refusals) == 1 and not hub.errors


# -- the driver --------------------------------------------------------------------------------------------------------


async def cancels_itself_and_ends(exchange: Any) -> None:
    asyncio.current_task().cancel()  # type: ignore[union-attr]
    exchange.respond(200, TEXT, b"ended")


async def cancels_itself_and_waits(exchange: Any) -> None:
    inner = asyncio.ensure_future(asyncio.sleep(1000))
    asyncio.current_task().cancel()  # type: ignore[union-attr]
    try:
        await inner
    except asyncio.CancelledError:
        assert inner.cancelled()
        exchange.respond(200, TEXT, b"cancelled")


async def cancels_itself_and_yields(exchange: Any) -> None:
    asyncio.current_task().cancel()  # type: ignore[union-attr]
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        exchange.respond(200, TEXT, b"cancelled")


async def cancels_itself_later(exchange: Any) -> None:
    await asyncio.sleep(0)
    asyncio.current_task().cancel()  # type: ignore[union-attr]
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        exchange.respond(200, TEXT, b"cancelled")


async def times_out(exchange: Any) -> None:
    try:
        async with asyncio.timeout(0):
            await asyncio.sleep(1000)
    except TimeoutError:
        exchange.respond(200, TEXT, b"timeout")


async def times_out_later(exchange: Any) -> None:
    await asyncio.sleep(0)
    await times_out(exchange)


async def in_a_group(exchange: Any) -> None:
    async def fails() -> None:
        raise KeyError("x")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails())
            await asyncio.sleep(1000)
    except* KeyError:
        exchange.respond(200, TEXT, b"group")


ODD = {
    f"/{handler.__name__}": handler
    for handler in (
        cancels_itself_and_ends,
        cancels_itself_and_waits,
        cancels_itself_and_yields,
        cancels_itself_later,
        times_out,
        times_out_later,
        in_a_group,
    )
}


@pytest.mark.parametrize("path", ODD)
@pytest.mark.parametrize("first", [b"", GET, get(b"/late")])
@pytest.mark.parametrize("apart", [False, True])
def test_a_handler_and_its_task(path: str, first: bytes, apart: bool) -> None:
    """A handler that does something to its own task does it to nobody else: those before and behind are served as ever."""
    asked = get(path.encode())
    pieces = [first, asked, asked, get(b"/late"), asked, GET]
    _, wire = serve(App(ODD), *([piece for piece in pieces if piece] if apart else [b"".join(pieces)]), apart=apart, turns=100)
    word = {"ends": b"ended", "out": b"timeout", "later": b"cancelled", "group": b"group"}.get(
        path.rpartition("_")[2], b"cancelled"
    )
    word = b"timeout" if "times" in path else word
    own = [b"late" if b"late" in first else b"hello"] if first else []
    assert [response.body for response in wire.responses()] == [*own, word, word, b"late", word, b"hello"]


def test_the_task_is_the_same_before_and_behind_a_wait() -> None:
    seen: list[Any] = []

    async def look(exchange: Any) -> None:
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())
        exchange.respond(200, TEXT, b"")

    serve(App({"/x": look}), get(b"/x") * 3, turns=40)
    assert len(seen) == 6 and len(set(seen)) == 1 and seen[0] is not None


def test_each_request_has_a_context_of_its_own() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="clean")
    seen: list[str] = []

    async def leave(exchange: Any) -> None:
        seen.append(variable.get())
        variable.set("dirty")
        await asyncio.sleep(0)
        seen.append(variable.get())
        exchange.respond(200, TEXT, b"")

    async def leave_at_once(exchange: Any) -> None:
        seen.append(variable.get())
        variable.set("dirty")
        exchange.respond(200, TEXT, b"")

    serve(App({"/x": leave, "/y": leave_at_once}), (get(b"/x") + get(b"/y")) * 2, turns=40)
    assert seen == ["clean", "dirty", "clean", "clean", "dirty", "clean"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("late", [False, True])
def test_what_ends_the_program_ends_it(kind: type[BaseException], late: bool) -> None:
    async def ends(exchange: Any) -> None:
        if late:
            await asyncio.sleep(0)
        raise kind

    async def main() -> None:
        wire = Hub(App({"/x": ends})).connect()
        wire.feed(get(b"/x"))
        await settle()
        raise AssertionError("it went on")

    with pytest.raises(kind):
        run(main)


def test_a_handler_that_is_cancelled_from_outside_is_told_and_answered() -> None:
    async def main() -> None:
        async def wait(exchange: Any) -> None:
            await asyncio.sleep(1000)

        hub = Hub(App({"/x": wait}))
        wire = hub.connect()
        wire.feed(get(b"/x"))
        await settle()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await settle()
        assert wire.statuses == [500] and len(hub.errors) == 1
        wire.leave()
        await settle()
        hub.watch.stop()
        assert len(asyncio.all_tasks()) == 1

    run(main)


# -- memory ------------------------------------------------------------------------------------------------------------


def test_no_request_leaves_a_circle_behind() -> None:
    async def main() -> None:
        hub = Hub(App())
        wire = hub.connect()
        data = [GET, post(b"/", b"two"), chunked(b"/", b"x"), get(b"/late"), get(b"/stream"), post(b"/ignore", b"x"), GET + GET]
        for piece in data:  # everything is warm
            wire.feed(piece)
            await settle()
        gc.collect()
        gc.disable()
        try:
            for piece in data:
                for at in (len(piece), len(piece) - 1):
                    wire.feed(piece[:at])
                    await settle(2)
                    wire.feed(piece[at:])
                    await settle()
            found = gc.collect()
        finally:
            gc.enable()
        assert found == 0, found
        assert len(wire.responses()) == 3 * len(data) + 3
        wire.leave()
        await settle()
        hub.watch.stop()

    run(main)


def test_a_connection_that_is_gone_is_gone() -> None:
    """Without the collector of circles, too: the next 10,000 should not wait for it."""

    async def main() -> None:
        hub = Hub(App())
        gc.collect()
        gc.disable()
        try:
            for data in (b"", GET, get(b"/late"), b"bad\r\n\r\n", chunked(b"/", b"x")[:-3], get(b"/raise")):
                wire = hub.connect()
                wire.feed(data)
                await settle()
                wire.leave()
                await settle()
                wire.connection = None
                hub.errors.clear()
                hub.app.raised.clear()
                del wire
            kept = sum(isinstance(thing, (ServerConnection, Wire)) for thing in gc.get_objects())
        finally:
            gc.enable()
        hub.watch.stop()
        assert kept == 0, kept

    run(main)


def test_an_idle_connection_is_small() -> None:
    """PERFORMANCE: 6 KiB beyond the transport's own."""
    count = 500

    async def main() -> None:
        hub = Hub(App())
        for warm in (GET, get(b"/late")):
            wire = hub.connect()
            wire.feed(warm)
            await settle()
            wire.leave()
            await settle()
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        wires = [hub.connect() for _ in range(count)]
        for wire in wires:
            wire.feed(get(b"/late", b"User-Agent: " + b"x" * 100, b"Accept: text/html"))
        await settle(30)
        for wire in wires:
            wire.sent = bytearray()
        gc.collect()
        each = (tracemalloc.get_traced_memory()[0] - before) / count
        tracemalloc.stop()
        own = sys.getsizeof(wires[0]) + 1200  # the fake transport
        assert each - own < 6 * 1024, each
        for wire in wires:
            wire.leave()
        await settle(30)
        hub.watch.stop()

    run(main)


def test_long_heads_are_not_kept() -> None:
    async def main() -> None:
        hub = Hub(App())
        wire = hub.connect()
        wire.feed(get(b"/", *[b"X-%d: %b" % (number, b"y" * 1000) for number in range(30)]))
        await settle()
        assert wire.statuses == [200]
        assert wire.connection.parser._known_request is None
        wire.leave()
        await settle()
        hub.watch.stop()

    run(main)


# -- mistakes of the caller --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"keepalive_timeout": -1},
        {"header_timeout": "1"},
        {"min_rate": 0},
        {"min_rate": True},
        {"rate_grace": float("inf")},
        {"max_body_size": -1},
        {"max_connections": 0},
        {"max_websockets": 1.5},
        {"limits": 3},
    ],
)
def test_settings_that_are_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        Settings(**wrong)
    assert caught.value.argument == next(iter(wrong))
