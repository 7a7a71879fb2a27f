"""ASGI applications behind the server: how they are run, what they are told, and what they may get wrong."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
from pathlib import Path
from typing import Any

import pytest

from asgi_servers import talk, wirebird
from asgi_subjects import body, length, start
from origin import run
from wirebird.errors import UsageError
from wirebird.server.asgi import AsgiApp
from wirebird.server.asgi_messages import ApplicationError, read_start
from wirebird.server.forwarded import TrustedProxies
from wirebird.server.server import Server
from wirebird.server.settings import Settings
from wirebird.testing import TestClient, TestServer, ThrowawayTLS

TYPE = (b"content-type", b"text/plain")
OK = start(200, TYPE)
BOTH = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


def get(path: str = "/", *fields: str, method: str = "GET", last: bool = True, data: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: h", *fields, *(["Connection: close"] if last else [])]
    return "\r\n".join([*lines, "", ""]).encode() + data


def post(data: bytes, *fields: str, last: bool = True) -> bytes:
    return get("/", f"Content-Length: {len(data)}", *fields, method="POST", last=last, data=data)


def ask(app: Any, *pieces: Any, errors: list[BaseException] | None = None, loop: str = "asyncio", **options: Any) -> bytes:
    """What comes back on one connection.  The application must not raise, unless it may give `errors`."""

    async def main() -> bytes:
        async with wirebird(app, errors=told, lifespan=False, **options) as port:
            return await talk(port, *pieces)

    told: list[BaseException] = [] if errors is None else errors
    answer = run(main, loop)
    if errors is None:
        assert told == []
    return answer


def answers(*messages: dict[str, Any]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(dict(message))

    return app


async def until(found: Any) -> None:
    async with asyncio.timeout(5):
        while not found():
            await asyncio.sleep(0.001)


# -- how they are run -------------------------------------------------------------------------------------------------------


@BOTH
def test_what_answers_at_once_costs_no_task(loop: str) -> None:
    tasks: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        tasks.append(asyncio.current_task())
        assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
        await send(OK)
        await send(body(b"x"))

    ask(app, get(last=False) * 2 + get(), loop=loop)
    assert len(tasks) == 3
    assert len(set(tasks)) == 1


@BOTH
def test_the_next_request_does_not_wait_for_a_background_task(loop: str) -> None:
    log: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        if path == "/waits":
            await asyncio.sleep(0.001)
        await send(OK)
        await send(body(path.encode()))
        if path != "/last":
            await event.wait()
        else:
            event.set()
        log.append(path)

    async def main() -> None:
        nonlocal event
        event = asyncio.Event()
        async with wirebird(app, lifespan=False) as port:
            for first in ("/at-once", "/waits"):
                event.clear()
                sent = await talk(port, get(first, last=False) + get("/last"))
                assert sent.count(b"HTTP/1.1 200 OK") == 2
                assert sent.index(first.encode()) < sent.index(b"/last")
                await until(lambda: len(log) == 2)
                assert sorted(log) == sorted([first, "/last"])
                log.clear()

    event: asyncio.Event
    run(main, loop)


def test_several_background_tasks_of_one_connection() -> None:
    log: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        number = int(scope["path"][1:])
        if number % 2:
            await asyncio.sleep(0)
        await send(OK)
        await send(body(b"%d" % number))
        where = asyncio.current_task()
        await asyncio.sleep(0.01 * (5 - number))
        log.append(number)
        assert asyncio.current_task() is where

    async def main() -> None:
        async with wirebird(app, errors=errors, lifespan=False) as port:
            await talk(port, b"".join(get(f"/{number}", last=number == 4) for number in range(5)))
            await until(lambda: len(log) == 5)

    errors: list[BaseException] = []
    run(main)
    assert log == [4, 3, 2, 1, 0]
    assert errors == []


@BOTH
@pytest.mark.parametrize("order", ["wbbw", "wbwbb", "bwbwwb", "wwbbiw", "wib", "wbi", "bbb", "wbci"])
def test_handlers_that_wait_or_work_on_in_any_order(order: str, loop: str) -> None:
    """i answers at once, w waits before it answers, b works on behind its answer, c does both; each is one task all the time."""
    log: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        name = scope["path"][1:]
        task = asyncio.current_task()
        if name[0] in "wc":
            async with asyncio.timeout(5):
                await asyncio.sleep(0.002)
        assert asyncio.current_task() is task
        await send(OK)
        await send(body(name.encode()))
        if name[0] in "bc":
            async with asyncio.timeout(5):
                await asyncio.sleep(0.005)
        assert asyncio.current_task() is task
        log.append(name)

    async def main() -> None:
        async with wirebird(app, errors=errors, lifespan=False) as port:
            names = [f"{kind}{number}" for number, kind in enumerate(order)]
            sent = await talk(port, b"".join(get(f"/{name}", last=name is names[-1]) for name in names))
            assert [part.split(b"\r\n\r\n")[1].decode() for part in sent.split(b"HTTP/1.1 200 OK")[1:]] == names
            await until(lambda: len(log) == len(names))

    errors: list[BaseException] = []
    run(main, loop)
    assert errors == []


def test_each_request_has_a_context_of_its_own() -> None:
    seen: list[str] = []
    variable = contextvars.ContextVar("variable", default="nothing")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(variable.get())
        variable.set("something")
        await send(OK)
        await send(body(b"x"))
        await asyncio.sleep(0)
        seen.append(variable.get())

    async def main() -> None:
        async with wirebird(app, lifespan=False) as port:
            await talk(port, get(last=False) + get())
            await until(lambda: len(seen) == 4)

    run(main)
    assert sorted(seen) == ["nothing"] * 2 + ["something"] * 2


def test_the_end_waits_for_background_tasks_and_then_cancels_them() -> None:
    log: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(OK)
        await send(body(b"x"))
        try:
            await asyncio.sleep(0.03 if scope["path"] == "/short" else 30)
            log.append("done")
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    async def main() -> None:
        for path, grace, told in (("/short", 5.0, "done"), ("/long", 0.02, "cancelled"), ("/long", 0.0, "cancelled")):
            log.clear()
            server = Server(AsgiApp(app, lifespan=False))
            port = (await server.listen())[0][1]
            await talk(port, get(path))
            await server.close(grace)
            assert log == [told]
        assert len(asyncio.all_tasks()) == 1

    run(main)


def test_what_a_background_task_raises_is_told() -> None:
    error = RuntimeError("odd")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(OK)
        await send(body(b"x"))
        if scope["path"] == "/later":
            await asyncio.sleep(0)
        raise error

    for path in ("/", "/later"):
        errors: list[BaseException] = []

        async def main(errors: list[BaseException] = errors, path: str = path) -> None:
            async with wirebird(app, errors=errors, lifespan=False) as port:
                sent = await talk(port, get(path, last=False) + get(path))
                assert sent.count(b"200 OK") == 2
                await until(lambda: len(errors) == 2)

        run(main)
        assert errors == [error, error]


def test_a_handler_that_is_parted_with_leaves_nothing_behind() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(OK)
        await send(body(b"x"))
        await asyncio.sleep(0)

    async def main() -> None:
        server = Server(AsgiApp(app, lifespan=False))
        port = (await server.listen())[0][1]
        for _ in range(3):
            await talk(port, get(last=False) * 20 + get())
        await until(lambda: not server.connections)
        assert not server.orphans
        gc.collect()
        assert len(asyncio.all_tasks()) == 1
        await server.close(0)

    run(main)


# -- the scope --------------------------------------------------------------------------------------------------------------


def test_the_scope() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await send(OK)
        await send(body(b""))

    async def main() -> None:
        nonlocal port
        async with wirebird(app, lifespan=False, root_path="/api") as port:
            await talk(port, get("/a%20b/%C3%BC%2Fc?x=1&y=%20", "X-A: \xe9".encode("latin-1").decode("latin-1"), method="get"))

    port = 0
    run(main)
    (scope,) = scopes
    assert scope.pop("client")[0] == "127.0.0.1"
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/api/a b/ü/c",
        "raw_path": b"/api/a%20b/%C3%BC%2Fc",
        "query_string": b"x=1&y=%20",
        "root_path": "/api",
        "headers": [(b"host", b"h"), (b"x-a", "\xe9".encode()), (b"connection", b"close")],
        "server": ("127.0.0.1", port),
        "state": {},
        "extensions": {"http.response.trailers": {}, "http.response.pathsend": {}},
    }


def test_what_an_application_does_to_a_scope_the_next_request_does_not_see() -> None:
    """Though the next is made of the same: the head is the same."""
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append({**scope, **{name: scope[name].copy() for name in ("asgi", "headers", "extensions", "state")}})
        scope["path"] = "/elsewhere"
        scope["headers"].append((b"x", b"y"))
        for name in ("asgi", "extensions", "state"):
            scope[name]["more"] = True
        scope["app"] = app
        await send(OK)
        await send(body(b""))

    ask(app, get(last=False), get(last=False), get())
    assert scopes[0] == scopes[1]
    assert scopes[2]["headers"] == [(b"host", b"h"), (b"connection", b"close")]
    assert "app" not in scopes[1]
    assert all(one["state"] == {} for one in scopes)


def test_the_state_of_the_lifespan() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["list"] = seen
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        scope["state"]["list"].append(sorted(scope["state"]))
        scope["state"]["own"] = 1
        await send(OK)
        await send(body(b""))

    async def main() -> None:
        async with wirebird(app) as port:
            await talk(port, get(last=False) + get())

    run(main)
    assert seen == [["list"], ["list"]]


def test_behind_a_trusted_proxy() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await send(OK)
        await send(body(b""))

    settings = Settings(proxies=TrustedProxies(["127.0.0.1"], fields="forwarded"))
    ask(app, get("/", "Forwarded: for=192.0.2.7;proto=https;host=example.org"), settings=settings)
    (scope,) = scopes
    assert scope["client"][0] == "192.0.2.7"
    assert scope["scheme"] == "https"
    assert scope["server"] == ("example.org", 443)


def test_over_tls() -> None:
    schemes: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        schemes.append(scope["scheme"])
        await receive()
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        else:
            await send(OK)
            await send(body(b"x"))

    async def main() -> None:
        async with TestClient(TestServer(app, ssl=ThrowawayTLS(), lifespan=False)) as client:
            assert await (await client.get("/")).content() == b"x"
            async with client.websocket("/") as ws:
                assert [message async for message in ws] == []

    run(main)
    assert schemes == ["https", "wss"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Unix sockets")
def test_over_a_unix_socket(tmp_path: Path) -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await send(OK)
        await send(body(b""))

    async def main() -> None:
        server = Server(AsgiApp(app, lifespan=False))
        await server.listen(path=tmp_path / "s")
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        writer.write(get())
        await reader.read()
        writer.close()
        await server.close()

    run(main)
    assert scopes[0]["client"] is None
    assert scopes[0]["server"] == (str(tmp_path / "s"), None)


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"root_path": "api"}, "root_path"),
        ({"root_path": "/api/"}, "root_path"),
        ({"lifespan": "on"}, "lifespan"),
        ({"max_message_size": 0}, "max_message_size"),
        ({"heartbeat": 0}, "heartbeat"),
        ({"close_timeout": -1}, "close_timeout"),
        ({"compression": "deflate"}, "compression"),
    ],
)
def test_arguments(options: dict[str, Any], argument: str) -> None:
    with pytest.raises(UsageError) as caught:
        AsgiApp(answers(), **options)
    assert caught.value.argument == argument
    with pytest.raises(UsageError):
        AsgiApp(object())  # type: ignore[arg-type]


# -- what may be received ---------------------------------------------------------------------------------------------------


def test_a_body_comes_as_it_arrives() -> None:
    messages: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            messages.append(await receive())
            more = messages[-1]["more_body"]
            got.set()
        await send(OK)
        await send(body(b""))
        messages.append(await receive())

    async def wait(reader: Any) -> None:
        await got.wait()

    async def main() -> None:
        nonlocal got
        got = asyncio.Event()
        async with wirebird(app, lifespan=False) as port:
            await talk(port, get("/", "Content-Length: 5", method="POST") + b"ab", wait, b"cde")

    got: asyncio.Event
    run(main)
    assert b"".join(message["body"] for message in messages[:-1]) == b"abcde"
    assert messages[0] == {"type": "http.request", "body": b"ab", "more_body": True}
    assert messages[-1] == {"type": "http.disconnect"}


def test_receive_that_is_cancelled_loses_nothing() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        got = b""
        more = True
        while more:
            try:
                async with asyncio.timeout(0.001):
                    message = await receive()
            except TimeoutError:
                waited.set()
                continue
            got += message["body"]
            more = message["more_body"]
        await send(OK)
        await send(body(got))

    async def wait(reader: Any) -> None:
        waited.clear()
        await waited.wait()

    async def main() -> None:
        nonlocal waited
        waited = asyncio.Event()
        async with wirebird(app, lifespan=False) as port:
            sent = await talk(port, get("/", "Content-Length: 6", method="POST"), wait, b"ab", wait, b"cd", wait, b"ef")
            assert sent.endswith(b"\r\n\r\nabcdef")

    waited: asyncio.Event
    run(main)


def test_a_body_that_nobody_reads_is_not_received_for_ever() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        here.set()
        await go_on.wait()
        size = 0
        while (message := await receive())["more_body"]:
            size += len(message["body"])
        await send(OK)
        await send(body(b"%d" % size))

    async def main() -> None:
        nonlocal here, go_on
        here, go_on = asyncio.Event(), asyncio.Event()
        async with wirebird(app, lifespan=False) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(get("/", f"Content-Length: {total}", method="POST"))
            writer.write(bytes(total))
            await here.wait()
            await asyncio.sleep(0.05)
            assert writer.transport.get_write_buffer_size() > total // 2  # it waits
            go_on.set()
            assert (await reader.read()).startswith(b"HTTP/1.1 200")
            writer.close()
            await writer.wait_closed()

    total = 40 * 1024 * 1024
    here: asyncio.Event
    go_on: asyncio.Event
    run(main)


def test_a_client_that_leaves() -> None:
    told: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        told.append(await receive())
        here.set()
        told.append(await receive())
        told.append(await receive())
        try:
            await send(OK)
            while True:  # until that is known: a client that sends no more may still read
                await send(body(b"x", True))
                await asyncio.sleep(0.001)
        except OSError as error:
            told.append(type(error).__name__)
            raise

    async def main() -> None:
        nonlocal here
        here = asyncio.Event()
        async with wirebird(app, errors=errors, lifespan=False) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(get())
            await here.wait()
            writer.transport.abort()
            await until(lambda: len(told) == 4)

    errors: list[BaseException] = []
    here: asyncio.Event
    run(main)
    gone = {"type": "http.disconnect"}
    assert told == [{"type": "http.request", "body": b"", "more_body": False}, gone, gone, "ConnectionLost"]
    assert errors == []  # it is nobody's fault


def test_a_client_that_only_sends_no_more_gets_its_answer() -> None:
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        told.append((await receive())["type"])
        await send(OK)
        await send(body(b"x"))

    async def main() -> None:
        async with wirebird(app, lifespan=False) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(get())
            writer.write_eof()
            assert (await reader.read()).endswith(b"x")
            writer.close()

    run(main)
    assert told == ["http.disconnect"]


def test_a_child_task_that_listens_is_told_when_the_response_is_complete() -> None:
    told: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def listen() -> None:
            while True:
                message = await receive()
                told.append(message["type"])
                if message["type"] == "http.disconnect":
                    return

        task = asyncio.create_task(listen())
        await asyncio.sleep(0)
        await send(OK)
        await send(body(b"x"))
        await task

    assert ask(app, get(last=False) + get()).count(b"200 OK") == 2
    told.clear()
    # The response is complete before the request is.
    assert ask(app, get("/", "Content-Length: 9", method="POST", data=b"a")).count(b"200 OK") == 1
    assert told[-1] == "http.disconnect"


# -- what may be sent -------------------------------------------------------------------------------------------------------


def test_a_client_that_is_slow_to_read_makes_send_wait() -> None:
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send(OK)
        for _ in range(1000):
            await send(body(bytes(65536), True))
            sent += 1
        await send(body())

    async def main() -> None:
        async with wirebird(app, lifespan=False) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=65536)
            writer.write(get())
            await until(lambda: sent > 5)
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.02)
            assert sent < 500
            size = 0
            while piece := await reader.read(1 << 20):
                size += len(piece)
            assert size > 65536000
            writer.close()

    run(main)


@pytest.mark.parametrize(
    ("messages", "lines"),
    [
        ([start(200, TYPE), body(b"abc")], [b"content-type: text/plain", b"Content-Length: 3"]),
        ([start(200), body(b"")], [b"HTTP/1.1 200 OK", b"Content-Length: 0"]),
        ([start(200, TYPE, length(3)), body(b"abc")], [b"content-type: text/plain", b"Content-Length: 3"]),
        ([start(200, (b"date", b"then")), body(b"")], [b"date: then", b"Content-Length: 0"]),
        (
            [{"type": "http.response.start", "status": 201}, {"type": "http.response.body"}],
            [b"HTTP/1.1 201 Created", b"Content-Length: 0"],
        ),
        ([start(299), body(b"")], [b"HTTP/1.1 299 ", b"Content-Length: 0"]),
        (
            [{"type": "http.response.start", "status": 200, "headers": [[b"a", b"b"]]}, body(bytearray(b"x"))],
            [b"a: b", b"Content-Length: 1"],
        ),
        (
            [{"type": "http.response.start", "status": 200, "headers": ((b"a", b"b"),)}, body(memoryview(b"x"))],
            [b"a: b", b"Content-Length: 1"],
        ),
        ([start(205), body(b"")], [b"HTTP/1.1 205 Reset Content", b"Content-Length: 0"]),
    ],
)
def test_heads(messages: list[dict[str, Any]], lines: list[bytes]) -> None:
    for _ in range(2):  # the second time it is known
        found = ask(answers(*messages), get()).split(b"\r\n\r\n")[0].split(b"\r\n")
        assert set(lines) < set(found)
        names = [line.split(b":")[0].lower() for line in found]
        assert names.count(b"date") == names.count(b"server") == names.count(b"connection") == 1


def test_headers_that_can_be_had_once() -> None:
    first = {"type": "http.response.start", "status": 200, "headers": iter([(b"a", b"b")])}
    assert b"\r\na: b\r\n" in ask(answers(first, body(b"x")), get())


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"status": "200"}, "status"),
        ({"status": True}, "status"),
        ({"status": 199}, "status"),
        ({"status": 1000}, "status"),
        ({"status": 200.0}, "status"),
        ({}, "status"),
        ({"status": 200, "headers": 3}, "headers"),
        ({"status": 200, "headers": [("a", "b")]}, "pair of bytes"),
        ({"status": 200, "headers": [(b"a", b"b", b"c")]}, "pair of bytes"),
        ({"status": 200, "headers": [(b"a", {})]}, "pair of bytes"),
        ({"status": 200, "headers": [(b"a\r\nb", b"c")]}, "none"),
        ({"status": 200, "headers": [(b"a", b"b\r\nc: d")]}, "none"),
        ({"status": 200, "headers": [(b"a", b"b\nc: d")]}, "none"),
        ({"status": 200, "headers": [(b"a", b"b\x00")]}, "none"),
        ({"status": 200, "headers": [(b"a b", b"c")]}, "none"),
        ({"status": 200, "headers": [(b"a:b", b"c")]}, "none"),
        ({"status": 200, "headers": [(b"", b"c")]}, "none"),
        ({"status": 200, "headers": [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")]}, "none"),
        ({"status": 200, "headers": [(b"content-length", b"1"), (b"content-length", b"2")]}, "none"),
        ({"status": 200, "headers": [(b"content-length", b"x")]}, "none"),
    ],
)
def test_heads_that_are_none(message: dict[str, Any], said: str) -> None:
    errors: list[BaseException] = []
    for _ in range(2):
        answer = ask(answers({"type": "http.response.start", **message}, body(b"x")), get(), errors=errors)
        assert answer.startswith(b"HTTP/1.1 500 "), answer
    assert all(isinstance(error, ApplicationError) for error in errors)
    assert said in str(errors[0])


def test_what_is_kept_of_heads_is_bounded() -> None:
    from wirebird.server import asgi_messages

    for number in range(1000):
        read_start(start(200, (b"x-number", b"%d" % number)))
    assert len(asgi_messages._starts) <= asgi_messages._KEPT
    known = set(asgi_messages._starts)
    read_start(start(200, (b"set-cookie", b"secret")))
    read_start(start(200, (b"x", b"y" * 5000)))
    assert set(asgi_messages._starts) == known
    again = read_start(start(200, (b"x-number", b"999")))
    assert again is read_start({"type": "http.response.start", "status": 200, "headers": [[b"x-number", b"999"]]})


def test_trailers() -> None:
    trailers = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": True}
    more = {"type": "http.response.trailers", "headers": [(b"x-end", b"2"), (b"content-length", b"9")]}
    answer = ask(answers(start(200, TYPE, trailers=True), body(b"ab"), trailers, more), get())
    assert answer.endswith(b"\r\n\r\n2\r\nab\r\n0\r\nx-sum: 1\r\nx-end: 2\r\n\r\n")
    errors: list[BaseException] = []
    bad = {"type": "http.response.trailers", "headers": [(b"a", b"b\r\nc: d")]}
    assert not ask(answers(start(200, TYPE, trailers=True), body(b"ab"), bad), get(), errors=errors).endswith(b"0\r\n\r\n")
    assert isinstance(errors[0], ApplicationError)


@pytest.mark.parametrize(
    ("messages", "whole"),
    [
        ([body(b"x")], True),
        ([OK, OK], True),
        ([OK, {"type": "http.response.trailers"}], True),
        ([OK, {"type": "http.response.pathsend", "path": 3}], True),
        ([OK, body("text")], True),  # type: ignore[arg-type]
        ([OK, body(b"x"), body(b"y")], None),
        ([OK, body(b"x", True), OK], False),
        ([{"type": "websocket.send"}], True),
        ([{}], True),
    ],
)
def test_what_may_not_be_sent(messages: list[dict[str, Any]], whole: bool | None) -> None:
    """It raises where it was sent, and is told again if it was swallowed there."""

    async def swallows(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            try:
                await send(dict(message))
            except ApplicationError:
                pass

    for app in (answers(*messages), swallows):
        errors: list[BaseException] = []
        answer = ask(app, get(), errors=errors)
        assert [type(error) for error in errors] == [ApplicationError]
        if whole is None:
            assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"x")
        elif whole:
            assert answer.startswith(b"HTTP/1.1 500")
        else:
            assert answer.startswith(b"HTTP/1.1 200") and not answer.endswith(b"0\r\n\r\n")


# -- files by their path ----------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("size", [0, 1, 300_000])
def test_a_file_by_its_path(tmp_path: Path, size: int, loop: str) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    path = tmp_path / "file"
    path.write_bytes(data[:size])
    sends = {"type": "http.response.pathsend", "path": str(path)}
    for first in (start(200, TYPE), start(200, TYPE, length(size))):
        answer = ask(answers(first, sends), get(last=False) + get(), loop=loop)
        (head, rest) = answer.split(b"\r\n\r\n", 1)
        assert b"content-length: %d" % size in head.lower()
        assert rest[:size] == data[:size]
        assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert ask(answers(start(200, TYPE), sends), get(method="HEAD"), loop=loop).endswith(b"\r\n\r\n")
    part = ask(answers(start(200, TYPE, length(size // 2)), sends), get(), loop=loop)
    assert part.split(b"\r\n\r\n", 1)[1] == data[: size // 2]
    chunks = ask(answers(start(200, (b"transfer-encoding", b"chunked")), sends), get(), loop=loop)
    assert len(chunks) > size and chunks.endswith(b"0\r\n\r\n")


def test_what_is_no_file(tmp_path: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(200, TYPE))
        try:
            await send({"type": "http.response.pathsend", "path": paths[scope["path"]]})
        except OSError:
            await send(body(b"no file"))

    paths = {"/none": str(tmp_path / "none"), "/folder": str(tmp_path), "/pipe": str(tmp_path / "pipe")}
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
    for path in paths:
        assert ask(app, get(path)).endswith(b"\r\n\r\nno file")


def test_a_file_that_is_too_short(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    errors: list[BaseException] = []
    sends = {"type": "http.response.pathsend", "path": str(path)}
    answer = ask(answers(start(200, TYPE, length(4)), sends), get(), errors=errors)
    assert answer.startswith(b"HTTP/1.1 500")
    assert isinstance(errors[0], ApplicationError)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="/proc")
def test_no_file_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(50_000_000))

    def opened() -> int:
        return sum(os.path.realpath(one) == str(path.resolve()) for one in Path("/proc/self/fd").iterdir())

    async def main() -> None:
        async with wirebird(
            answers(start(200, TYPE), {"type": "http.response.pathsend", "path": str(path)}), errors=[], lifespan=False
        ) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(get())
            await reader.readexactly(100_000)
            assert opened() >= 1
            writer.transport.abort()
            await until(lambda: not opened())

    run(main)
