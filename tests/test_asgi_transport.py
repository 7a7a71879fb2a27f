"""`ASGITransport`: ASGI 3 applications in the same process, plain ones and those of frameworks, well-behaved and not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

import wirebird
from origin import run
from wirebird import HTTPClient, HttpResponse, Timeouts
from wirebird.testing import ApplicationError, ASGITransport

BASE = "http://app.example"
OK = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


class OddError(Exception):
    pass


def client_of(app: Any, *, client: dict[str, Any] | None = None, **options: Any) -> HTTPClient:
    options.setdefault("lifespan", False)
    return HTTPClient(connector=ASGITransport(app, **options), base_url=BASE, **(client or {}))


def fetch(
    app: Any, url: str = "/", method: str = "GET", *, options: dict[str, Any] | None = None, **keywords: Any
) -> HttpResponse:
    """The response of one request, its body read."""

    async def main() -> HttpResponse:
        async with client_of(app, **(options or {})) as client:
            response = await client.request(url, method, **keywords)
            await response.content()
        assert len(asyncio.all_tasks()) == 1, asyncio.all_tasks()
        return response

    return run(main)


def content(response: HttpResponse) -> bytes:
    return run(response.content)


def says(*messages: dict[str, Any]) -> Any:
    """An application that sends these, whatever it is asked."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    return app


def body(data: bytes = b"", more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def gives(*pieces: bytes):
    for piece in pieces:
        yield piece


# -- the scope and the request ----------------------------------------------------------------------------------------------


def test_the_scope_is_that_of_the_specification() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await send(OK)
        await send(body())

    fetch(
        app,
        "https://user:pw@app.example:8443/a%20b/%C3%BC%2Fc?x=1&y=%20",
        headers={"X-Ä".encode().decode("ascii", "ignore"): "1"},
    )
    (scope,) = scopes
    headers = dict(scope.pop("headers"))
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": "/a b/ü/c",
        "raw_path": b"/a%20b/%C3%BC%2Fc",
        "query_string": b"x=1&y=%20",
        "root_path": "",
        "client": ("127.0.0.1", 123),
        "server": ("app.example", 8443),
        "state": {},
        "extensions": {"http.response.trailers": {}},
    }
    assert headers[b"host"] == b"app.example:8443"
    assert headers[b"x-"] == b"1"
    assert headers[b"authorization"].startswith(b"Basic ")
    assert all(name == name.lower() for name in headers)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    pieces = []
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        pieces.append(message["body"])
        if not message["more_body"]:
            break
    await send(OK)
    await send(body(repr(pieces).encode()))


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (None, [b""]),
        (b"abc", [b"abc"]),
        ({"a": "b"}, [b"a=b"]),
        (lambda: gives(b"ab", b"", b"c"), [b"ab", b"c", b""]),
        (lambda: iter([b"x"]), [b"x", b""]),
    ],
)
def test_the_body_of_a_request(data: Any, seen: list[bytes]) -> None:
    response = fetch(echo, "/", "POST", data=data() if callable(data) else data)
    assert content(response) == repr(seen).encode()


def test_the_body_of_a_request_is_pulled_as_it_is_received() -> None:
    made: list[int] = []

    async def numbers():
        for number in range(100):
            made.append(number)
            yield b"x"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await receive()
        await send(OK)
        await send(body(str(len(made)).encode()))

    assert content(fetch(app, "/", "POST", data=numbers())) == b"2"
    assert len(made) == 2


def test_a_body_that_breaks() -> None:
    seen: list[str] = []

    async def breaks():
        yield b"a"
        raise OddError("odd")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([(await receive())["type"], (await receive())["type"]])
        await send(OK)

    with pytest.raises(OddError):
        fetch(app, "/", "POST", data=breaks())
    assert seen == ["http.request", "http.disconnect"]


def test_a_task_left_behind_that_receives() -> None:
    left: list[asyncio.Task[Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        left.append(asyncio.create_task(receive()))
        await asyncio.sleep(0)
        await send(OK)
        await send(body(b"done"))

    async def main() -> None:
        async with HTTPClient(connector=ASGITransport(app, lifespan=False)) as client:
            assert await (await client.post("http://app.example/", data=b"x")).content() == b"done"
        assert (await left[0])["type"] in ("http.request", "http.disconnect")

    run(main)


@pytest.mark.parametrize("size", [0, 1])
def test_the_end_of_the_response_is_heard_while_the_body_of_the_request_stalls(size: int) -> None:
    async def stalls():
        for _ in range(size):
            yield b"x"
        await asyncio.Event().wait()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(size):
            await receive()
        listening = asyncio.create_task(receive())
        await asyncio.sleep(0)
        await send(OK)
        await send(body(b"done"))
        heard.append((await listening)["type"])

    heard: list[str] = []

    async def main() -> None:
        transport = ASGITransport(app, lifespan=False)
        async with HTTPClient(connector=transport) as client:
            assert await (await client.post("http://app.example/", data=stalls())).content() == b"done"
            assert await transport.wait_done(5)
        assert heard == ["http.disconnect"]

    run(main)


def test_two_tasks_that_receive() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        both = await asyncio.gather(receive(), receive())
        await send(OK)
        await send(body(b"".join(message["body"] for message in both)))

    assert content(fetch(app, "/", "POST", data=gives(b"a", b"b"))) == b"ab"


# -- the response -------------------------------------------------------------------------------------------------------------


def test_a_response_at_once() -> None:
    response = fetch(says(OK, body(b"hello")))
    assert (response.status_code, response.reason, content(response)) == (200, "OK", b"hello")
    assert response.content_length == 5
    assert response.elapsed >= 0


def test_head_has_no_body() -> None:
    response = fetch(says(OK, body(b"hello")), "/", "HEAD")
    assert (response.content_length, content(response)) == (5, b"")
    response = fetch(says(OK, body(b"hel", True), body(b"lo")), "/", "HEAD")
    assert (response.chunked, content(response)) == (True, b"")


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body(status: int) -> None:
    response = fetch(says({**OK, "status": status}, body(b"hello")))
    assert (content(response), response.content_length, response.chunked) == (b"", None, False)


def test_the_head_comes_before_the_rest_of_the_body() -> None:
    async def main() -> None:
        go_on = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(OK)
            await send(body(b"one", True))
            await go_on.wait()
            await send(body(b"two", False))

        async with client_of(app) as client:
            response = await client.get("/")
            assert response.chunked
            pieces = response.iter_bytes()
            assert await anext(pieces) == b"one"
            go_on.set()
            assert [piece async for piece in pieces] == [b"two"]

    run(main)


def test_the_application_waits_for_a_reader_that_is_behind() -> None:
    sent: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(OK)
        for number in range(100):
            sent.append(number)
            await send(body(b"x" * 16384, number < 99))

    async def main() -> None:
        async with client_of(app) as client:
            response = await client.get("/")
            for _ in range(100):
                await asyncio.sleep(0)
            assert len(sent) <= 5
            assert len(await response.content()) == 100 * 16384
            assert len(sent) == 100

    run(main)


@pytest.mark.parametrize("reads", [False, True])
def test_a_client_that_leaves_early(reads: bool) -> None:
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(OK)
        await send(body(b"x" * 100, True))
        told.append((await receive())["type"])
        try:
            await send(body(b"more", True))
        except OSError as error:
            told.append(type(error).__name__)
            raise

    async def main() -> None:
        transport = ASGITransport(app, lifespan=False)
        async with HTTPClient(connector=transport, base_url=BASE) as client:
            async with client.get("/") as response:
                if reads:
                    await anext(response.iter_bytes())
            assert await transport.wait_done()
            assert told == ["http.disconnect", "ConnectionLost"]
        assert transport.errors == []

    run(main)


def test_an_application_that_is_blocked_in_send_when_the_client_leaves() -> None:
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(OK)
        try:
            while True:
                await send(body(b"x" * 50_000, True))
        except OSError:
            told.append("left")

    async def main() -> None:
        transport = ASGITransport(app, lifespan=False)
        async with HTTPClient(connector=transport, base_url=BASE) as client:
            response = await client.get("/")
            await response.close()
            assert await transport.wait_done()
            assert told == ["left"]

    run(main)


def test_trailers() -> None:
    start = {**OK, "trailers": True}
    ends = [{"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": True}]
    ends.append({"type": "http.response.trailers", "headers": [(b"x-more", b"2"), (b"content-length", b"9")]})
    for messages in ([body(b"ab")], [body(b"a", True), body(b"b")]):
        response = fetch(says(start, *messages, *ends))
        assert content(response) == b"ab"
        assert dict(response.trailers) == {"x-sum": "1", "x-more": "2"}


def test_after_the_response_the_application_hears_that_it_is_over() -> None:
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(OK)
        await send(body(b"x"))
        told.append((await receive())["type"])

    fetch(app)
    assert told == ["http.disconnect"]


# -- what goes wrong ------------------------------------------------------------------------------------------------------------


def test_an_exception_before_the_response() -> None:
    error = OddError("odd")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(OK)  # which has not left, for no body came
        raise error

    with pytest.raises(OddError) as caught:
        fetch(app)
    assert caught.value is error
    response = fetch(app, options={"raise_app_exceptions": False})
    assert (response.status_code, content(response)) == (500, b"Internal Server Error")


def test_an_exception_behind_the_answer_of_a_framework() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            raise OddError("odd")
        except OddError:
            await send({**OK, "status": 500})
            await send(body(b"mine"))
            raise

    with pytest.raises(OddError):
        fetch(app)
    assert content(fetch(app, options={"raise_app_exceptions": False})) == b"mine"


def test_an_exception_in_the_middle_of_the_response() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(OK)
        await send(body(b"one", True))
        raise OddError("odd")

    with pytest.raises(OddError):
        fetch(app)
    with pytest.raises(wirebird.IncompleteBody):
        fetch(app, options={"raise_app_exceptions": False})


def test_an_exception_after_the_response() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(OK)
        await send(body(b"one"))
        await asyncio.sleep(0)
        raise OddError("odd")

    async def main() -> None:
        transport = ASGITransport(app, lifespan=False)
        async with HTTPClient(connector=transport, base_url=BASE) as client:
            assert await (await client.get("/")).content() == b"one"
            with pytest.raises(OddError):
                await transport.wait_done()
            assert len(transport.errors) == 1
        with pytest.raises(OddError):
            async with HTTPClient(connector=transport, base_url=BASE) as client:
                await client.get("/")

    run(main)


class Outcome(BaseException):
    """What `pytest.fail` and `pytest.skip` raise is no Exception."""


@pytest.mark.parametrize("begun", [False, True])
def test_an_outcome_of_the_test_is_raised_too(begun: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if begun:
            await send(OK)
            await send(body(b"one", True))
        raise Outcome

    with pytest.raises(Outcome):
        fetch(app)


START_BAD: list[dict[str, Any]] = [
    {"status": "200"},
    {"status": True},
    {"status": 99},
    {"status": 101},
    {"status": 1000},
    {"headers": [("a", "b")]},
    {"headers": [(b"a",)]},
    {"headers": [(b"a", "b")]},
    {"headers": [b"ab"]},
    {"headers": None},
    {"headers": 5},
    {"headers": [(b"a", b"b\r\nx: y")]},
    {"headers": [(b"a", b"b\nc")]},
    {"headers": [(b"a", b"\0")]},
    {"headers": [(b"a: b", b"c")]},
    {"headers": [(b"", b"c")]},
    {"headers": [(b"a b", b"c")]},
    {"headers": [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")]},
    {"headers": [(b"content-length", b"x")]},
    {"headers": [(b"content-length", b"1"), (b"content-length", b"2")]},
    {"headers": [(b"transfer-encoding", b"gzip")]},
]


@pytest.mark.parametrize("wrong", START_BAD, ids=repr)
def test_a_head_that_is_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(ApplicationError, match="the application sent"):
        fetch(says({**OK, **wrong}, body(b"a")))


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([], "returned without a response"),
        ([OK], "returned without a response"),
        ([OK, body(b"a", True)], "before its response was complete"),
        ([body(b"a")], "'http.response.body' where 'http.response.start' comes first"),
        ([OK, OK], "'http.response.start' where 'http.response.body' comes next"),
        ([OK, body(b"a"), body(b"b")], "the response is complete already"),
        ([OK, body("text")], "a body that is str, not bytes"),  # type: ignore[arg-type]
        ([{"type": "websocket.accept"}], "'websocket.accept'"),
        (["http.response.start"], "None where"),
        ([{**OK, "headers": [(b"content-length", b"5")]}, body(b"abcdef")], "sent too much"),
        ([{**OK, "headers": [(b"content-length", b"5")]}, body(b"abc")], "sent too little"),
        ([{**OK, "headers": [(b"content-length", b"5")]}, body(b"abc", True), body(b"def")], "sent too much"),
        ([{**OK, "headers": [(b"content-length", b"5")]}, body(b"abc", True), body()], "sent too little"),
        ([{**OK, "trailers": True}, body(b"a")], "before its response was complete"),
        ([{**OK, "trailers": True}, body(b"a"), body(b"b")], "'http.response.trailers' comes next"),
        (
            [{**OK, "trailers": True}, body(b"a"), {"type": "http.response.trailers", "headers": [(b"a\n", b"b")]}],
            "trailers that",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_breach_of_the_contract(messages: list[Any], why: str) -> None:
    with pytest.raises(ApplicationError, match=why):
        fetch(says(*messages))


def test_a_breach_that_the_application_swallows() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(Exception):
            await send(body(b"too early"))
        await send(OK)
        await send(body(b"a", True))

    with pytest.raises(ApplicationError, match="comes first"):
        fetch(app)


def test_mistakes_of_the_caller() -> None:
    with pytest.raises(wirebird.UsageError, match="app must be"):
        ASGITransport(5)  # type: ignore[arg-type]
    with pytest.raises(wirebird.UsageError, match="lifespan must be"):
        ASGITransport(echo, lifespan="on")  # type: ignore[arg-type]
    with pytest.raises(wirebird.InvalidHeader):
        fetch(echo, headers={"X": "a\nb"})


# -- time and cancellation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timeouts", "error"),
    [
        (Timeouts(request_timeout=0.02), wirebird.RequestTimeout),
        (Timeouts(sock_read=0.02), wirebird.ReadTimeout),
    ],
)
def test_an_application_that_never_answers(timeouts: Timeouts, error: type[Exception]) -> None:
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    with pytest.raises(error):
        fetch(app, timeouts=timeouts)
    assert told == ["cancelled"]


def test_the_caller_is_cancelled() -> None:
    told: list[str] = []

    async def main() -> None:
        started = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                told.append("cancelled")
                raise

        async with client_of(app) as client:
            task = asyncio.create_task(client.get("/"))
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert told == ["cancelled"]

    run(main)


def test_an_application_that_cancels_itself() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise asyncio.CancelledError

    with pytest.raises(wirebird.ConnectionLost, match="cancelled"):
        fetch(app)


def test_a_client_that_is_closed_with_a_body_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wirebird.testing.asgi_transport.CLOSE_TIME", 0.02)
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(OK)
        await send(body(b"one", True))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    async def main() -> None:
        client = client_of(app)
        response = await client.get("/")
        await client.close()
        await client.close()
        assert told == ["cancelled"]
        with pytest.raises(wirebird.ConnectionLost, match="closed"):
            await response.content()
        assert len(asyncio.all_tasks()) == 1

    run(main)


# -- lifespan -------------------------------------------------------------------------------------------------------------------


def lifespan_app(log: list[str], state: dict[str, Any] | None = None) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            assert (await receive())["type"] == "lifespan.startup"
            scope["state"].update(state or {})
            log.append("startup")
            await send({"type": "lifespan.startup.complete"})
            assert (await receive())["type"] == "lifespan.shutdown"
            log.append("shutdown")
            await send({"type": "lifespan.shutdown.complete"})
            return
        log.append(f"request {scope['state']}")
        scope["state"]["mine"] = 1
        await send(OK)
        await send(body(b"x"))

    return app


@pytest.mark.parametrize("mode", [True, "auto"])
def test_startup_before_the_first_request_and_shutdown_at_the_end(mode: Any) -> None:
    log: list[str] = []

    async def main() -> None:
        async with client_of(lifespan_app(log, {"db": "open"}), lifespan=mode) as client:
            await asyncio.gather(client.get("/"), client.get("/"))
            assert "shutdown" not in log

    run(main)
    assert log == ["startup", "request {'db': 'open'}", "request {'db': 'open'}", "shutdown"]


def test_the_transport_can_be_entered_itself() -> None:
    log: list[str] = []

    async def main() -> None:
        async with ASGITransport(lifespan_app(log), state={"given": 1}) as transport:
            assert log == ["startup"]
            async with HTTPClient(connector=transport, base_url=BASE) as client:
                await client.get("/")
            assert log == ["startup", "request {'given': 1}", "shutdown"]
        assert len(asyncio.all_tasks()) == 1

    run(main)
    assert log[-1] == "shutdown"


def test_another_loop_starts_the_application_again() -> None:
    log: list[str] = []
    client = client_of(lifespan_app(log), lifespan=True)

    async def main() -> int:
        return (await client.get("/")).status_code

    assert run(main) == run(main, "uvloop") == 200
    assert log.count("startup") == 2


async def without_lifespan(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise OddError("only http")
    await send(OK)
    await send(body(b"x"))


async def silent_lifespan(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send(OK)
        await send(body(b"x"))


@pytest.mark.parametrize("app", [without_lifespan, silent_lifespan])
def test_an_application_without_lifespan(app: Any) -> None:
    assert fetch(app, options={"lifespan": "auto"}).status_code == 200
    assert fetch(app, options={"lifespan": False}).status_code == 200
    with pytest.raises(ApplicationError, match=r"only http|no lifespan"):
        fetch(app, options={"lifespan": True})


@pytest.mark.parametrize("how", ["failed", "raises"])
def test_a_startup_that_fails(how: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if how == "failed":
            await send({"type": "lifespan.startup.failed", "message": "no database"})
        else:
            raise OddError("no database")

    async def main() -> None:
        async with client_of(app, lifespan="auto") as client:
            for _ in range(2):
                with pytest.raises(ApplicationError, match="no database"):
                    await client.get("/")

    run(main)


@pytest.mark.parametrize("how", ["failed", "raises", "hangs"])
def test_a_shutdown_that_fails(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wirebird.server.lifespan.SHUTDOWN_TIME", 0.02)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send(OK)
            await send(body())
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if how == "failed":
            await send({"type": "lifespan.shutdown.failed", "message": "stuck"})
        elif how == "raises":
            raise OddError("stuck")
        else:
            await asyncio.Event().wait()

    with pytest.raises(ApplicationError, match=r"stuck|within"):
        fetch(app, options={"lifespan": True})


def test_a_startup_that_hangs_is_bounded_by_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wirebird.server.lifespan.SHUTDOWN_TIME", 0.02)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await asyncio.Event().wait()

    async def main() -> None:
        client = client_of(app, lifespan=True)
        with pytest.raises(wirebird.RequestTimeout):
            await client.get("/", timeouts=Timeouts(request_timeout=0.02))
        with pytest.raises(ApplicationError, match="within"):
            await client.close()
        assert len(asyncio.all_tasks()) == 1

    run(main)


def test_a_wrong_message_in_the_lifespan() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    with pytest.raises(ApplicationError, match="lifespan"):
        fetch(app, options={"lifespan": "auto"})


# -- frameworks -----------------------------------------------------------------------------------------------------------------


def make_starlette(log: list[str]) -> Starlette:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        log.append("startup")
        yield {"db": "open"}
        log.append("shutdown")

    async def show(request: Request) -> JSONResponse:
        return JSONResponse(
            {"body": (await request.body()).decode(), "query": dict(request.query_params), "db": request.state.db}
        )

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(gives(*[b"x" * 20_000] * 20), media_type="text/plain")

    async def background(request: Request) -> PlainTextResponse:
        async def later() -> None:
            await asyncio.sleep(0)
            log.append("background")

        return PlainTextResponse("first", background=BackgroundTask(later))

    async def breaks(request: Request) -> PlainTextResponse:
        raise OddError("odd")

    routes = [Route("/", show, methods=["GET", "POST"]), Route("/stream", stream), Route("/background", background)]
    return Starlette(routes=[*routes, Route("/breaks", breaks)], lifespan=lifespan)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_starlette(loop: str) -> None:
    log: list[str] = []

    async def main() -> None:
        transport = ASGITransport(make_starlette(log), lifespan=True)
        async with HTTPClient(connector=transport, base_url=BASE) as client:
            response = await client.post("/?a=1", json=[1])
            assert await response.json() == {"body": "[1]", "query": {"a": "1"}, "db": "open"}
            assert len(await (await client.get("/stream")).content()) == 400_000
            async with client.get("/stream") as response:
                await anext(response.iter_bytes(10))
            assert await (await client.get("/background")).text() == "first"
            assert await transport.wait_done()
            assert log == ["startup", "background"]
            assert (await client.get("/nowhere")).status_code == 404
            with pytest.raises(OddError):
                await client.get("/breaks")
        assert log[-1] == "shutdown"

    run(main, loop)


def test_fastapi() -> None:
    app = FastAPI()

    @app.get("/items/{number}")
    async def item(number: int, q: str = "") -> dict[str, Any]:
        return {"number": number, "q": q}

    @app.post("/items", status_code=201)
    async def make(data: dict[str, Any]) -> dict[str, Any]:
        return data

    @app.get("/events")
    async def events() -> StreamingResponse:
        return StreamingResponse(gives(b"data: 1\n\n", b"data: 2\n\n"), media_type="text/event-stream")

    async def main() -> None:
        async with client_of(app, lifespan="auto") as client:
            assert await (await client.get("/items/3?q=x")).json() == {"number": 3, "q": "x"}
            assert (await client.get("/items/x")).status_code == 422
            response = await client.post("/items", json={"a": 1})
            assert (response.status_code, await response.json()) == (201, {"a": 1})
            response = await client.get("/events")
            assert response.content_type == "text/event-stream"
            assert [line async for line in response.iter_lines()] == ["data: 1", "", "data: 2", ""]

    run(main)


def test_an_application_that_is_mounted() -> None:
    app = Starlette(routes=[Route("/x", lambda request: PlainTextResponse(str(request.url_for("x"))), name="x")])
    assert content(fetch(app, "/x", options={"root_path": "/api"})) == b"http://app.example/api/x"
