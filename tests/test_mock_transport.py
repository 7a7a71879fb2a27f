"""`MockTransport`: no network, requests that are those that would be sent, and responses that behave like real ones."""

from __future__ import annotations

import asyncio
import gc
import gzip
import re
import subprocess
import sys
import weakref
from typing import Any

import pytest

import wirebird
from origin import run
from wirebird import HTTPClient, HttpResponse, Request, Timeouts
from wirebird.testing import MockTransport, UnmatchedRequest

BASE = "https://api.example"


def client_of(mock: MockTransport, **options: Any) -> HTTPClient:
    return HTTPClient(connector=mock, base_url=BASE, **options)


def fetch(mock: MockTransport, *calls: tuple[str, str, dict[str, Any]], **options: Any) -> list[Any]:
    """The status and body of each call in turn."""

    async def main() -> list[Any]:
        async with client_of(mock, **options) as client:
            answers = []
            for method, url, keywords in calls:
                response = await client.request(url, method, **keywords)
                answers.append((response.status_code, await response.content()))
            return answers

    return run(main)


def get(url: str, **keywords: Any) -> tuple[str, str, dict[str, Any]]:
    return "GET", url, keywords


def post(url: str, **keywords: Any) -> tuple[str, str, dict[str, Any]]:
    return "POST", url, keywords


async def gives(*pieces: bytes):
    for piece in pieces:
        yield piece


# -- handlers ---------------------------------------------------------------------------------------------------------------


def test_a_handler_sees_the_request_as_it_would_be_sent() -> None:
    seen: list[Request] = []

    def handler(request: Request) -> HttpResponse:
        seen.append(request)
        return HttpResponse.make(201, json={"ok": True})

    assert fetch(MockTransport(handler), post("/items?a=1", json={"b": 2}, headers={"X-Y": "z"})) == [(201, b'{"ok": true}')]
    (request,) = seen
    assert (request.method, str(request.url), request.body) == ("POST", f"{BASE}/items?a=1", b'{"b": 2}')
    assert request.headers["host"] == "api.example"
    assert request.headers["content-length"] == "8"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-y"] == "z"
    assert request.headers["user-agent"].startswith("wirebird/")


def test_an_async_handler() -> None:
    async def handler(request: Request) -> HttpResponse:
        await asyncio.sleep(0)
        return HttpResponse.make(text=request.method)

    assert fetch(MockTransport(handler), get("/")) == [(200, b"GET")]


@pytest.mark.parametrize("kind", ["bytes", "iterator", "async iterator", "file", "form"])
def test_bodies_are_read_from_their_sources(kind: str, tmp_path: Any) -> None:
    (tmp_path / "file").write_bytes(b"one two")
    mock = MockTransport(lambda request: HttpResponse.make(body=request.body, headers={"X-Kind": "x"}))

    async def main() -> None:
        async with client_of(mock) as client:
            data: Any = {"bytes": b"one two", "iterator": iter([b"one ", b"two"]), "async iterator": gives(b"one ", b"two")}.get(
                kind
            )
            if kind == "file":
                data = (tmp_path / "file").open("rb")
            if kind == "form":
                data = {"a": "one two"}
            response = await client.post("/", data=data)
            assert await response.content() == (b"a=one+two" if kind == "form" else b"one two")
            if kind == "file":
                assert data.closed

    run(main)
    framing = "transfer-encoding" if "iterator" in kind else "content-length"
    assert framing in mock.calls[0].request.headers


def test_a_body_of_another_length_than_promised() -> None:
    mock = MockTransport(lambda request: HttpResponse.make())
    for pieces in ([b"abc"], [b"abcdef"]):
        with pytest.raises(wirebird.UsageError, match="promised"):
            fetch(mock, post("/", data=iter(pieces), headers={"Content-Length": "5"}))
    assert mock.calls == []


def test_what_may_not_be_sent_is_refused_as_ever() -> None:
    mock = MockTransport(lambda request: HttpResponse.make())
    with pytest.raises(wirebird.InvalidHeader):
        fetch(mock, get("/", headers={"X": "a\r\nEvil: 1"}))
    with pytest.raises(wirebird.InvalidHeader):
        fetch(mock, get("/", headers={"Host": "a/b"}))
    with pytest.raises(wirebird.InvalidHeader):
        fetch(mock, post("/", data=b"abc", headers={"Content-Length": "5"}))
    assert mock.calls == []


class OddError(Exception):
    pass


def test_what_a_handler_raises_comes_out_as_it_is() -> None:
    error = OddError("odd")

    def handler(request: Request) -> HttpResponse:
        raise error

    mock = MockTransport(handler)
    with pytest.raises(OddError) as caught:
        fetch(mock, get("/"))
    assert caught.value is error
    assert mock.calls[0].error is error


def test_a_timeout_of_the_handler_itself_is_not_one_of_the_client() -> None:
    async def handler(request: Request) -> HttpResponse:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine") as caught:
        fetch(MockTransport(handler), get("/"))
    assert type(caught.value) is TimeoutError


@pytest.mark.parametrize("answer", [None, "text", b"bytes", {"a": 1}, 204])
def test_a_handler_that_gives_no_response(answer: Any) -> None:
    with pytest.raises(wirebird.UsageError, match="handler must give an HttpResponse"):
        fetch(MockTransport(lambda request: answer), get("/"))


def test_an_interim_response_is_no_answer() -> None:
    with pytest.raises(wirebird.UsageError, match="final"):
        fetch(MockTransport(lambda request: HttpResponse.make(103)), get("/"))


@pytest.mark.parametrize("handler", [5, "x", HttpResponse.make()])
def test_a_handler_that_is_none(handler: Any) -> None:
    with pytest.raises(wirebird.UsageError) as caught:
        MockTransport(handler)
    assert caught.value.argument == "handler"


def test_one_response_for_every_request() -> None:
    constant = HttpResponse.make(json=[1])
    mock = MockTransport(lambda request: constant)

    async def main() -> None:
        async with client_of(mock) as client:
            first, second = await client.get("/a"), await client.get("/b")
            assert [piece async for piece in first.iter_bytes()] == [b"[1]"]
            assert await second.json() == [1]
            assert (str(first.url), str(second.url)) == (f"{BASE}/a", f"{BASE}/b")
            assert first.elapsed >= 0

    run(main)


# -- time -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timeouts", "error"),
    [
        (Timeouts(request_timeout=0.02), wirebird.RequestTimeout),
        (Timeouts(sock_read=0.02), wirebird.ReadTimeout),
    ],
)
def test_a_handler_that_never_answers(timeouts: Timeouts, error: type[Exception]) -> None:
    ended: list[str] = []

    async def handler(request: Request) -> HttpResponse:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")
        return HttpResponse.make()

    with pytest.raises(error) as caught:
        fetch(MockTransport(handler), get("/"), timeouts=timeouts)
    assert ended == ["ended"]
    assert (caught.value.peer, caught.value.phase, caught.value.limit) == ("api.example", "waiting for the response", 0.02)  # type: ignore[attr-defined]


def test_a_body_to_send_that_never_ends() -> None:
    async def endless():
        while True:
            yield b"x"
            await asyncio.sleep(0.001)

    with pytest.raises(wirebird.RequestTimeout):
        fetch(
            MockTransport(lambda request: HttpResponse.make()), post("/", data=endless()), timeouts=Timeouts(request_timeout=0.05)
        )


@pytest.mark.parametrize("collect", [True, False])
def test_a_body_that_stalls(collect: bool) -> None:
    async def stalls():
        yield b"a"
        await asyncio.Event().wait()

    mock = MockTransport(lambda request: HttpResponse.make(body=stalls()))

    async def main() -> None:
        async with client_of(mock) as client:
            timeouts = Timeouts(request_timeout=0.03) if collect else Timeouts(sock_read=0.03)
            response = await client.get("/", timeouts=timeouts)
            with pytest.raises(wirebird.RequestTimeout if collect else wirebird.ReadTimeout) as caught:
                if collect:
                    await response.content()
                else:
                    [piece async for piece in response.iter_bytes()]
            assert caught.value.peer == "api.example"

    run(main)


def test_the_caller_is_cancelled() -> None:
    entered = []

    async def main() -> None:
        started = asyncio.Event()

        async def handler(request: Request) -> HttpResponse:
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                entered.append("cancelled")
                raise
            return HttpResponse.make()

        async with client_of(MockTransport(handler)) as client:
            task = asyncio.create_task(client.get("/"))
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main)
    assert entered == ["cancelled"]


# -- responses behave like real ones ------------------------------------------------------------------------------------------


def test_head_has_no_body() -> None:
    mock = MockTransport(lambda request: HttpResponse.make(json=[1, 2]))

    async def main() -> None:
        async with client_of(mock) as client:
            response = await client.head("/")
            assert response.content_length == 6
            assert await response.content() == b""

    run(main)


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body(status: int) -> None:
    assert fetch(MockTransport(lambda request: HttpResponse.make(status, body=b"body")), get("/")) == [(status, b"")]


@pytest.mark.parametrize("streamed", [False, True])
def test_content_codings_are_taken_off(streamed: bool) -> None:
    coded = gzip.compress(b"hello " * 1000)

    def handler(request: Request) -> HttpResponse:
        body: Any = [coded[at : at + 7] for at in range(0, len(coded), 7)] if streamed else coded
        return HttpResponse.make(body=body, headers={"Content-Encoding": "gzip"})

    assert fetch(MockTransport(handler), get("/")) == [(200, b"hello " * 1000)]
    assert fetch(MockTransport(handler), get("/"), auto_decompress=False) == [(200, coded)]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_body_beyond_the_size_that_the_client_takes(streamed: bool) -> None:
    mock = MockTransport(lambda request: HttpResponse.make(body=[b"x" * 60] * 2 if streamed else b"x" * 120))
    with pytest.raises(wirebird.LimitExceeded):
        fetch(mock, get("/"), max_body_size=100)


def test_an_endless_body_beyond_the_size_that_the_client_takes() -> None:
    def endless():
        while True:
            yield b"x" * 1000

    with pytest.raises(wirebird.LimitExceeded):
        fetch(MockTransport(lambda request: HttpResponse.make(body=endless())), get("/"), max_body_size=100_000)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_body_that_is_cut_short(streamed: bool) -> None:
    body: Any = [b"ab", b"c"] if streamed else b"abc"
    mock = MockTransport(lambda request: HttpResponse.make(body=body, headers={"Content-Length": "10"}))
    with pytest.raises(wirebird.IncompleteBody) as caught:
        fetch(mock, get("/"))
    assert (caught.value.received, caught.value.expected, caught.value.peer) == (3, 10, "api.example")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_body_that_is_longer_than_it_says(streamed: bool) -> None:
    body: Any = [b"ab", b"c"] if streamed else b"abc"
    mock = MockTransport(lambda request: HttpResponse.make(body=body, headers={"Content-Length": "2"}))
    with pytest.raises(wirebird.UsageError, match="Content-Length"):
        fetch(mock, get("/"))


# -- bodies from iterators ----------------------------------------------------------------------------------------------------


def test_a_streamed_body_is_read_as_far_as_it_is_wanted() -> None:
    made: list[int] = []

    async def numbers():
        for number in range(1000):
            made.append(number)
            yield b"x" * 1024

    mock = MockTransport(lambda request: HttpResponse.make(body=numbers()))

    async def main() -> None:
        async with client_of(mock) as client:
            response = await client.get("/")
            assert response.chunked
            assert made == []
            pieces = response.iter_bytes()
            assert await anext(pieces) == b"x" * 1024
            for _ in range(200):
                await asyncio.sleep(0)
            assert 1 < len(made) <= 66  # no further ahead than a connection reads
            assert len(await response.read()) == 999 * 1024
            assert len(made) == 1000

    run(main)


@pytest.mark.parametrize("begun", [False, True])
def test_a_body_that_is_left_early_is_closed(begun: bool) -> None:
    ended: list[str] = []

    class Pieces:
        def __aiter__(self):
            return self

        async def __anext__(self) -> bytes:
            return b"x" * 50_000

        async def aclose(self) -> None:
            await asyncio.sleep(0)
            ended.append("ended")

    mock = MockTransport(lambda request: HttpResponse.make(body=Pieces()))

    async def main() -> None:
        async with client_of(mock) as client:
            async with client.get("/") as response:
                if begun:
                    await anext(response.iter_bytes())
            assert ended == ["ended"]
            with pytest.raises(wirebird.BodyConsumed):
                await response.content()
        assert len(asyncio.all_tasks()) == 1

    run(main)


def test_a_body_that_nobody_refers_to_is_closed() -> None:
    ended: list[str] = []

    async def pieces():
        try:
            while True:
                yield b"x" * 50_000
        finally:
            ended.append("ended")

    async def middleware(request: Request, handler: Any) -> HttpResponse:
        return HttpResponse.make(body=pieces(), request=request)

    async def main() -> None:
        async with HTTPClient(middlewares=[middleware]) as client:
            response = await client.get(BASE)
            await anext(response.iter_bytes())
            del response
            gc.collect()
            for _ in range(5):
                await asyncio.sleep(0)
            assert ended == ["ended"]
            assert len(asyncio.all_tasks()) == 1

    run(main)


class Outcome(BaseException):
    """What `pytest.fail` and `pytest.skip` raise is no Exception."""


@pytest.mark.parametrize("streamed", [False, True])
def test_an_outcome_of_the_test_is_raised_too(streamed: bool) -> None:
    async def breaks():
        yield b"one"
        raise Outcome

    def handler(request: Request) -> HttpResponse:
        if not streamed:
            raise Outcome
        return HttpResponse.make(body=breaks())

    with pytest.raises(Outcome):
        fetch(MockTransport(handler), get("/"))


def test_an_error_of_the_iterator_is_raised_behind_what_came_before() -> None:
    async def breaks():
        yield b"one"
        raise OddError("odd")

    mock = MockTransport(lambda request: HttpResponse.make(body=breaks()))

    async def main() -> None:
        async with client_of(mock) as client:
            response = await client.get("/")
            pieces = response.iter_bytes()
            assert await anext(pieces) == b"one"
            with pytest.raises(OddError):
                await anext(pieces)

    run(main)


def test_two_who_want_the_whole_of_a_streamed_body() -> None:
    mock = MockTransport(lambda request: HttpResponse.make(body=gives(b"[1,", b"2]")))

    async def main() -> None:
        async with client_of(mock) as client:
            response = await client.get("/")
            assert await asyncio.gather(response.json(), response.content()) == [[1, 2], b"[1,2]"]

    run(main)


def test_a_reader_that_is_cancelled_ends_the_body() -> None:
    ended: list[str] = []

    async def main() -> None:
        reading = asyncio.Event()

        async def stalls():
            try:
                yield b"a"
                reading.set()
                await asyncio.Event().wait()
            finally:
                ended.append("ended")

        async with client_of(MockTransport(lambda request: HttpResponse.make(body=stalls()))) as client:
            response = await client.get("/")
            task = asyncio.create_task(response.content())
            await reading.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await response.close()
            for _ in range(3):
                await asyncio.sleep(0)
            assert ended == ["ended"]

    run(main)


@pytest.mark.parametrize("piece", ["text", None, 5])
def test_pieces_that_are_no_bytes(piece: Any) -> None:
    with pytest.raises(wirebird.UsageError, match="body must give bytes"):
        fetch(MockTransport(lambda request: HttpResponse.make(body=iter([b"a", piece]))), get("/"))


@pytest.mark.parametrize("body", ["text", {"a": 1}, 5, None, bytearray(b"x")])
def test_bodies_that_are_none(body: Any) -> None:
    with pytest.raises(wirebird.UsageError) as caught:
        HttpResponse.make(body=body)
    assert caught.value.argument == "body"


def test_a_streamed_response_can_be_made_without_a_loop_and_forgotten() -> None:
    response = HttpResponse.make(body=gives(b"a"))
    reference = weakref.ref(response.head.fields)
    assert response.headers["transfer-encoding"] == "chunked"
    del response
    gc.collect()
    assert reference() is None


# -- routes -------------------------------------------------------------------------------------------------------------------


def test_routes_by_method_and_path() -> None:
    mock = MockTransport()
    mock.get("/items", json=[1])
    mock.post("/items", 201, text="made")
    mock.get("https://other.example/items", text="other")
    assert fetch(mock, get("/items"), post("/items"), get("https://other.example/items")) == [
        (200, b"[1]"),
        (201, b"made"),
        (200, b"[1]"),  # the first that matches
    ]


@pytest.mark.parametrize("verb", ["get", "head", "options", "post", "put", "patch", "delete"])
def test_every_verb_has_its_route(verb: str) -> None:
    mock = MockTransport()
    getattr(mock, verb)("/", 202)
    assert fetch(mock, (verb.upper(), "/", {})) == [(202, b"")]
    mock.check()


@pytest.mark.parametrize(
    ("conditions", "right", "wrong", "why"),
    [
        ({"method": "POST"}, post("/"), get("/"), "method is GET, not POST"),
        ({"url": "/a/{id}/c"}, get("/a/17/c"), get("/a/1/2/c"), r"path is /a/1/2/c, not /a/\{id\}/c"),
        ({"url": "/a/{id}"}, get("/a/x%2Fy"), get("/a/"), "path"),
        (
            {"url": f"{BASE}/a"},
            get("/a?b=1"),
            get("http://api.example/a"),
            "origin is http://api.example, not https://api.example",
        ),
        ({"url": BASE}, get("/"), get("/a"), "path is /a, not /"),
        ({"url": "/a?x=1&y=2"}, get("/a?y=2&x=1"), get("/a?x=1&y=2&z=3"), "query"),
        ({"url": re.compile(r"/a/\d+$")}, get("/a/12"), get("/a/b"), "does not match"),
        ({"params": {"x": 1}}, get("/?y=2&x=1"), get("/?x=2"), "no query parameter x=1"),
        ({"params": {"x": ["1", "1"]}}, get("/?x=1&x=1"), get("/?x=1"), "no query parameter x=1"),
        ({"params": {"x": "a b"}}, get("/?x=a%20b"), get("/?x=ab"), "no query parameter x=a b"),
        ({"headers": {"X-A": "1"}}, get("/", headers={"x-a": "1"}), get("/", headers={"x-a": "2"}), "header X-A is '2', not '1'"),
        ({"headers": {"X-A": "1"}}, get("/", headers={"x-a": "1"}), get("/"), "no header X-A"),
        ({"body": b"abc"}, post("/", data=b"abc"), post("/", data=b"ab"), "body is b'ab', not b'abc'"),
        ({"body": "ü"}, post("/", data="ü"), post("/"), "body is b''"),
        ({"json": {"a": [1]}}, post("/", data=b'{ "a": [1]}'), post("/", json={"a": [2]}), r'json is \{"a": \[2\]\}, not'),
        ({"json": {"a": 1}}, post("/", json={"a": 1}), post("/", data=b"{"), "no JSON"),
        ({"where": lambda request: request.url.path == "/x"}, get("/x"), get("/"), "<lambda> says no"),
    ],
)
def test_what_a_route_may_ask_for(conditions: dict[str, Any], right: Any, wrong: Any, why: str) -> None:
    mock = MockTransport()
    mock.on(**conditions).respond(text="yes")
    assert fetch(mock, right) == [(200, b"yes")]
    with pytest.raises(UnmatchedRequest, match=why) as caught:
        fetch(mock, wrong)
    assert len(caught.value.reasons) == 1
    assert caught.value.request.method == wrong[0]


def test_answers_in_turn() -> None:
    mock = MockTransport()
    route = mock.on("GET", "/").respond(503, times=2).error(wirebird.ConnectionLost("gone")).respond(200, text="ok")
    assert fetch(mock, get("/"), get("/")) == [(503, b""), (503, b"")]
    with pytest.raises(wirebird.ConnectionLost, match="gone") as caught:
        fetch(mock, get("/"))
    assert caught.value.peer == "api.example"
    assert fetch(mock, get("/"), get("/")) == [(200, b"ok"), (200, b"ok")]
    assert len(route.calls) == 5
    assert [call.route for call in mock.calls] == [route] * 5


def test_answers_that_are_used_up() -> None:
    mock = MockTransport()
    mock.get("/", text="one", times=1)
    assert fetch(mock, get("/")) == [(200, b"one")]
    with pytest.raises(UnmatchedRequest, match="used up: it was called 1 times"):
        fetch(mock, get("/"))
    mock.get("/", text="two")
    assert fetch(mock, get("/")) == [(200, b"two")]


def test_an_answer_may_be_computed() -> None:
    mock = MockTransport()
    mock.on("GET", "/").call(lambda request: HttpResponse.make(text=request.url.query["x"]))
    assert fetch(mock, get("/?x=7")) == [(200, b"7")]


def test_an_error_class() -> None:
    mock = MockTransport()
    mock.on().error(OddError)
    with pytest.raises(OddError):
        fetch(mock, get("/"))


def test_streamed_answers_of_a_route() -> None:
    mock = MockTransport()
    mock.get("/list", body=[b"a", b"b"])
    mock.get("/function", body=lambda: gives(b"a", b"b"))
    mock.get("/once", body=gives(b"a", b"b"))
    calls = get("/list"), get("/list"), get("/function"), get("/function"), get("/once")
    assert fetch(mock, *calls) == [(200, b"ab")] * 5
    with pytest.raises(wirebird.UsageError, match="given before"):
        fetch(mock, get("/once"))


def test_an_unmatched_request_says_what_there_is() -> None:
    mock = MockTransport()
    mock.post("/items/far", 201)
    mock.get("/item", 200)
    for number in range(5):
        mock.delete(f"/more/{number}")
    with pytest.raises(UnmatchedRequest) as caught:
        fetch(mock, get("https://user:secret@api.example/items?page=2"))
    lines = str(caught.value).split("\n")
    assert lines[0] == "nothing was prepared for GET https://api.example/items?page=2"
    assert lines[1] == "  <Route GET /item, 0 calls>: path is /items, not /item"
    assert lines[2].startswith("  <Route POST /items/far, 0 calls>: method is GET, not POST; path is")
    assert lines[-1] == "  and 2 more"
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value, AssertionError)
    assert not isinstance(caught.value, wirebird.WirebirdError)


def test_credentials_are_not_shown() -> None:
    mock = MockTransport()
    mock.on(headers={"Authorization": "Bearer hidden-one"}).respond()
    with pytest.raises(UnmatchedRequest, match="header Authorization is …") as caught:
        fetch(mock, get("/", auth=wirebird_bearer("hidden-two")))
    assert "hidden" not in str(caught.value)
    mock.reset()
    mock.on(headers={"X-Api-Key": "hidden-one", "X-Colour": "red"}).respond()
    with pytest.raises(UnmatchedRequest, match="X-Api-Key is …, not the one of the route; header X-Colour is 'blue'") as caught:
        fetch(mock, get("/", headers={"X-Api-Key": "hidden-two", "X-Colour": "blue"}))
    assert "hidden" not in str(caught.value)


def wirebird_bearer(token: str) -> Any:
    def authorize(request: Request) -> None:
        request.headers["Authorization"] = f"Bearer {token}"

    return authorize


def test_an_unmatched_request_that_was_caught_fails_the_test_all_the_same() -> None:
    with pytest.raises(UnmatchedRequest, match="there are no routes"):
        with MockTransport() as mock:
            with pytest.raises(AssertionError):
                fetch(mock, get("/"))


def test_routes_that_are_not_called() -> None:
    with pytest.raises(AssertionError, match="not called: <Route GET /b, 0 calls>"):
        with MockTransport() as mock:
            mock.get("/a")
            mock.get("/b")
            fetch(mock, get("/a"))
    mock.reset()
    mock.check()
    assert (mock.routes, mock.calls) == ([], [])


def test_an_error_of_the_test_itself_is_not_covered_up() -> None:
    with pytest.raises(OddError):
        with MockTransport() as mock:
            mock.get("/never")
            raise OddError


def test_a_handler_behind_the_routes() -> None:
    mock = MockTransport(lambda request: HttpResponse.make(404))
    mock.get("/a")
    assert [status for status, _ in fetch(mock, get("/a"), get("/b"))] == [200, 404]
    mock.check()


def test_calls_are_recorded() -> None:
    mock = MockTransport()
    mock.post("/", 201)
    fetch(mock, post("/", json={"a": 1}))
    (call,) = mock.calls
    assert (call.body, call.json(), call.error) == (b'{"a": 1}', {"a": 1}, None)
    assert call.response is not None
    assert call.response.status_code == 201


@pytest.mark.parametrize(
    ("mistake", "argument"),
    [
        (lambda mock: mock.on("GE T"), "method"),
        (lambda mock: mock.on("GET", "items"), "url"),
        (lambda mock: mock.on("GET", "/", body=b"a", json=1), "json"),
        (lambda mock: mock.on("GET", "/", body=5), "body"),
        (lambda mock: mock.get("/", 99), "status"),
        (lambda mock: mock.get("/", headers={"a b": "c"}), "headers name"),
        (lambda mock: mock.get("/", text="a", json=1), "json"),
        (lambda mock: mock.get("/", times=0), "times"),
        (lambda mock: mock.on().error("x"), "error"),
        (lambda mock: mock.on().call("x"), "handler"),
    ],
)
def test_mistakes_are_told_at_once(mistake: Any, argument: str) -> None:
    with pytest.raises(wirebird.UsageError) as caught:
        mistake(MockTransport())
    assert caught.value.argument == argument


# -- at the end of a real pipeline --------------------------------------------------------------------------------------------


def test_redirects_cookies_auth_and_middlewares_are_real() -> None:
    seen: list[str] = []

    async def middleware(request: Request, handler: Any) -> HttpResponse:
        seen.append(request.method)
        response: HttpResponse = await handler(request)
        return response

    mock = MockTransport()
    mock.post("/login", 303, headers={"Location": "/home", "Set-Cookie": "session=1; Path=/"})
    mock.on("GET", "/home", headers={"Cookie": "session=1", "Authorization": "Basic dTpw"}).respond(text="home")

    async def main() -> None:
        client = client_of(mock, handle_cookies=True, follow=True, auth=("u", "p"), network_middlewares=[middleware])
        async with client:
            response = await client.post("/login", data={"a": "b"})
            assert await response.text() == "home"
            assert [one.status_code for one in response.history] == [303]
            assert client.stats()["opened"] == 0

    run(main)
    assert seen == ["POST", "GET"]


def test_other_loops() -> None:
    mock = MockTransport()
    mock.get("/", body=[b"a", b"b"])
    client = client_of(mock)

    async def main() -> bytes:
        return await (await client.get("/")).content()

    assert run(main) == run(main, "uvloop") == b"ab"


# -- the package --------------------------------------------------------------------------------------------------------------


def test_the_package_loads_what_is_asked_for() -> None:
    program = """
import sys, wirebird.testing
before = {name for name in sys.modules if name.startswith("wirebird.")}
assert before == {"wirebird._version", "wirebird.testing"}, before
assert set(wirebird.testing.__all__) <= set(dir(wirebird.testing))
wirebird.testing.MockTransport
assert "wirebird.testing.server" not in sys.modules
for name in wirebird.testing.__all__: assert getattr(wirebird.testing, name).__name__ == name
try: wirebird.testing.nothing
except AttributeError: print("fine")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "fine\n", done.stderr
