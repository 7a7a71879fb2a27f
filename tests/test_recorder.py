"""`Recorder`: what a real server said, kept in a file without its secrets, and said again with no server."""

from __future__ import annotations

import asyncio
import gzip
import json
import stat
from pathlib import Path
from typing import Any

import pytest

import wirebird
from origin import run
from wirebird import HTTPClient, HttpResponse, Request
from wirebird.testing import MockTransport, Recorder, TestServer, UnmatchedRequest


class OddError(Exception):
    pass


async def gives(*pieces: bytes):
    for piece in pieces:
        yield piece


def counting() -> Any:
    """A handler whose answers say how often it was asked."""
    asked = 0

    def handler(request: Request) -> HttpResponse:
        nonlocal asked
        asked += 1
        return HttpResponse.make(
            200, {"X-Number": str(asked)}, request.method.encode() + b" %d " % asked + bytes(request.body or b"")
        )  # type: ignore[arg-type]

    return handler


def record(path: Path, handler: Any, script: Any, *, replay: bool = True, **options: Any) -> list[Any]:
    """What `script(client)` gives while it is recorded over real sockets, and, if `replay`, replayed with nobody there."""
    results: list[Any] = []

    async def main() -> None:
        async with TestServer(handler) as server:
            with Recorder(path, "record", **options) as recorder:
                async with HTTPClient(base_url=server.url(), network_middlewares=[recorder]) as client:
                    results.append(await script(client))
            url = server.url()
        if replay:
            async with Recorder(path, "replay", **options) as recorder:
                async with HTTPClient(base_url=url, network_middlewares=[recorder]) as client:
                    results.append(await script(client))
                    assert client.stats()["opened"] == 0
            assert recorder.unused == []

    run(main)
    return results


def kept(path: Path) -> Any:
    data = json.loads(path.read_text("utf-8"))
    assert (data["wirebird"], data["version"]) == ("recording", 1)
    return data["exchanges"]


async def shown(response: HttpResponse) -> tuple[int, str, dict[str, str], bytes]:
    return response.status_code, response.reason, dict(response.headers), await response.content()


# -- recorded and replayed alike --------------------------------------------------------------------------------------------


def test_the_same_answers_in_the_same_order(tmp_path: Path) -> None:
    async def script(client: HTTPClient) -> Any:
        return [
            await shown(await client.get("/a")),
            await shown(await client.post("/a", json=[1])),
            await shown(await client.get("/a")),
        ]

    recorded, replayed = record(tmp_path / "r.json", counting(), script)
    assert recorded == replayed
    assert [one[3] for one in replayed] == [b"GET 1 ", b"POST 2 [1]", b"GET 3 "]


@pytest.mark.parametrize(
    "make",
    [
        lambda: HttpResponse.make(404, {"X-A": "ü", "x-a": "b"}, "grün".encode()),
        lambda: HttpResponse.make(200, body=bytes(range(256))),
        lambda: HttpResponse.make(200, {"Content-Encoding": "gzip"}, gzip.compress(b"hello " * 100)),
        lambda: HttpResponse.make(200, {"Content-Encoding": "gzip"}, [gzip.compress(b"hello " * 100)]),
        lambda: HttpResponse.make(200, body=[b"x" * 50_000] * 10),
        lambda: HttpResponse.make(200, body=[]),
        lambda: HttpResponse.make(204),
        lambda: HttpResponse.make(503, reason="Not Just Now"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_answers_of_all_kinds(make: Any, method: str, tmp_path: Path) -> None:
    async def script(client: HTTPClient) -> Any:
        response = await client.request("/", method)
        return response.chunked, await shown(response)

    recorded, replayed = record(tmp_path / "r.json", lambda request: make(), script)
    assert recorded == replayed


@pytest.mark.parametrize(
    "body",
    [
        lambda: {"data": gives(b"one", b"two")},
        lambda: {"data": b"\xff\x00"},
        lambda: {"data": {"a": "b"}},
        lambda: {"files": {"f": ("n.txt", b"content", "text/plain")}},
        lambda: {"json": {"ü": 1}},
    ],
)
def test_requests_of_all_kinds(body: Any, tmp_path: Path) -> None:
    """Of a multipart form the boundary is another one each time."""

    async def script(client: HTTPClient) -> Any:
        response = await client.post("/", **body())
        return response.status_code, await response.content()

    recorded, replayed = record(tmp_path / "r.json", lambda request: HttpResponse.make(text="fine"), script)
    assert recorded == replayed == (200, b"fine")
    assert kept(tmp_path / "r.json")[0]["request"]["complete"]


def test_a_stream_is_passed_on_while_it_is_recorded(tmp_path: Path) -> None:
    async def main() -> None:
        turn = asyncio.Event()

        async def pieces():
            yield b"one"
            await turn.wait()
            yield b"two"

        mock = MockTransport(lambda request: HttpResponse.make(body=pieces()))
        with Recorder(tmp_path / "r.json") as recorder:
            async with HTTPClient(mock, network_middlewares=[recorder]) as client:
                response = await client.get("http://a.example/")
                got = response.iter_bytes()
                assert await anext(got) == b"one"
                turn.set()
                assert [piece async for piece in got] == [b"two"]
        assert kept(tmp_path / "r.json")[0]["response"]["body"] == {"text": "onetwo"}

    run(main)


def test_trailers(tmp_path: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        await send({"type": "http.response.body", "body": b"one"})
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})

    async def script(client: HTTPClient) -> Any:
        response = await client.get("/")
        return await response.content(), dict(response.trailers)

    recorded, replayed = record(tmp_path / "r.json", app, script)
    assert recorded == replayed == (b"one", {"x-sum": "1"})


@pytest.mark.parametrize("reads", [False, True])
def test_a_body_that_is_left_early(reads: bool, tmp_path: Path) -> None:
    async def script(client: HTTPClient) -> Any:
        async with client.get("/") as response:
            return await response.read(1000) if reads else b""

    recorded, replayed = record(tmp_path / "r.json", lambda request: HttpResponse.make(body=[b"x" * 20_000] * 50), script)
    assert recorded == replayed
    assert kept(tmp_path / "r.json")[0]["response"]["complete"] is False

    async def whole() -> None:
        with Recorder(tmp_path / "r.json", match=["path"]) as recorder:
            async with HTTPClient(network_middlewares=[recorder]) as client:
                with pytest.raises(wirebird.IncompleteBody, match="recording ends"):
                    await (await client.get("http://any.example/")).content()

    run(whole)


def test_an_early_answer_during_an_upload(tmp_path: Path) -> None:
    async def refuse(request: Request, handler: Any) -> HttpResponse:
        async for _ in request.body.pieces():  # type: ignore[union-attr]
            break
        return HttpResponse.make(413)

    async def script(client: HTTPClient) -> Any:
        return (await client.post("http://a.example/", data=gives(b"one", b"two"))).status_code

    async def main() -> None:
        with Recorder(tmp_path / "r.json") as recorder:
            async with HTTPClient(network_middlewares=[recorder, refuse]) as client:
                assert await script(client) == 413
        assert kept(tmp_path / "r.json")[0]["request"]["complete"] is False
        with Recorder(tmp_path / "r.json", "replay") as recorder:
            async with HTTPClient(network_middlewares=[recorder]) as client:
                assert await script(client) == 413

    run(main)


def test_redirects_are_recorded_hop_by_hop(tmp_path: Path) -> None:
    def handler(request: Request) -> HttpResponse:
        if request.url.path == "/old":
            return HttpResponse.make(302, {"Location": "/new"})
        return HttpResponse.make(text="new")

    async def script(client: HTTPClient) -> Any:
        response = await client.get("/old", follow=True)
        return await response.text(), len(response.history)

    recorded, replayed = record(tmp_path / "r.json", handler, script)
    assert recorded == replayed == ("new", 1)
    assert len(kept(tmp_path / "r.json")) == 2


def test_requests_at_the_same_time(tmp_path: Path) -> None:
    async def handler(request: Request) -> HttpResponse:
        await asyncio.sleep(0.01 if request.url.path == "/0" else 0)
        return HttpResponse.make(text=request.url.path)

    async def script(client: HTTPClient) -> Any:
        return [await response.text() for response in await asyncio.gather(*[client.get(f"/{number}") for number in range(5)])]

    recorded, replayed = record(tmp_path / "r.json", handler, script)
    assert recorded == replayed == [f"/{number}" for number in range(5)]


# -- secrets ----------------------------------------------------------------------------------------------------------------


def test_secrets_do_not_reach_the_file(tmp_path: Path) -> None:
    seen: list[str] = []

    def handler(request: Request) -> HttpResponse:
        seen.extend(request.headers.values())
        fields = [
            ("Set-Cookie", "session=hush-1"),
            ("Location", "/next?token=hush-2&x=1"),
            ("X-Key", "hush-3"),
            ("X-Open", "yes"),
        ]
        return HttpResponse.make(200, fields, text="fine")

    async def script(client: HTTPClient) -> Any:
        headers = {"Cookie": "a=hush-4", "Proxy-Authorization": "hush-5", "X-Key": "hush-6", "Referer": "http://u:hush-8@a/"}
        headers |= {"X-Api-Key": "hush-9"}
        response = await client.get("/?token=hush-7&y=2", auth=("user", "hush"), headers=headers)
        return response.status_code, response.headers.get("x-open"), "set-cookie" in response.headers

    options: dict[str, Any] = {"hide_headers": ("authorization", "cookie", "set-cookie", "proxy-authorization", "X-KEY")}
    recorded, replayed = record(tmp_path / "r.json", handler, script, hide_query=["token"], **options)
    assert recorded == (200, "yes", True)
    assert replayed == (200, "yes", False)
    assert "a=hush-4" in seen  # the server got them all the same
    text = (tmp_path / "r.json").read_text()
    assert "hush" not in text
    assert "aHVzaA" not in text
    (exchange,) = kept(tmp_path / "r.json")
    assert set(exchange["request"]["hidden"]) - {"proxy-authorization"} == {"authorization", "cookie", "x-key", "x-api-key"}
    assert exchange["request"]["url"].endswith("/?token=hidden&y=2")
    assert ["Location", "/next?token=hidden&x=1"] in exchange["response"]["headers"]


def test_a_secret_in_the_query_under_another_spelling(tmp_path: Path) -> None:
    async def script(client: HTTPClient) -> Any:
        return (await client.get("/?api+key=hush&a%70i%20key=hush&other=1")).status_code

    record(tmp_path / "r.json", counting(), script, hide_query=["api key"])
    assert "hush" not in (tmp_path / "r.json").read_text()


def test_credentials_in_a_url_do_not_reach_the_file(tmp_path: Path) -> None:
    async def main() -> None:
        with Recorder(tmp_path / "r.json") as recorder:
            async with HTTPClient(MockTransport(counting()), network_middlewares=[recorder]) as client:
                await client.get("http://user:hush@a.example/#part")
        assert kept(tmp_path / "r.json")[0]["request"]["url"] == "http://a.example/"
        assert "hush" not in (tmp_path / "r.json").read_text()

    run(main)


def test_the_file_is_its_owners_alone_and_never_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "er" / "r.json"

    async def script(client: HTTPClient) -> Any:
        await client.get("/")

    record(path, counting(), script, replay=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        record(path, counting(), script, replay=False)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


# -- what is not in the file ------------------------------------------------------------------------------------------------


def replay(path: Path, *urls: str, **options: Any) -> list[bytes]:
    async def main() -> list[bytes]:
        with Recorder(path, "replay", **options) as recorder:
            async with HTTPClient(network_middlewares=[recorder]) as client:
                return [await (await client.get(url)).content() for url in urls]

    return run(main)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "r.json"

    async def main() -> None:
        with Recorder(path) as recorder:
            async with HTTPClient(MockTransport(counting()), network_middlewares=[recorder]) as client:
                for url in ("http://a.example/one?x=1&y=2", "http://a.example/two", "http://a.example/two"):
                    await client.get(url)
                await client.post("http://a.example/one", data=b"body")

    run(main)
    return path


def test_a_request_that_is_not_in_the_file(recording: Path) -> None:
    with pytest.raises(UnmatchedRequest) as caught:
        replay(recording, "http://a.example/three")
    lines = str(caught.value).split("\n")
    assert lines[0] == f"{str(recording)!r} has no answer to GET http://a.example/three"
    assert lines[1] == "  GET http://a.example/one?x=1&y=2: url is 'http://a.example/three', not 'http://a.example/one?x=1&y=2'"
    assert lines[-1] == "  record it again with mode='record'"
    assert len(caught.value.reasons) == 4


def test_a_request_that_is_asked_for_once_more(recording: Path) -> None:
    assert replay(recording, *["http://a.example/two"] * 2) == [b"GET 2 ", b"GET 3 "]
    with pytest.raises(UnmatchedRequest, match="recorded 2 times, and is asked for once more"):
        replay(recording, *["http://a.example/two"] * 3)


def test_an_unmatched_request_that_was_caught_fails_the_test_all_the_same(recording: Path) -> None:
    async def main() -> None:
        with Recorder(recording) as recorder:
            async with HTTPClient(network_middlewares=[recorder]) as client:
                with pytest.raises(AssertionError):
                    await client.get("http://a.example/three")

    with pytest.raises(UnmatchedRequest, match="three"):
        run(main)


def test_an_error_of_the_test_itself_is_not_covered_up(recording: Path) -> None:
    async def main() -> None:
        async with Recorder(recording) as recorder, HTTPClient(network_middlewares=[recorder]) as client:
            try:
                await client.get("http://a.example/three")
            except AssertionError:
                raise OddError

    with pytest.raises(OddError):
        run(main)


@pytest.mark.parametrize(
    ("match", "url", "found"),
    [
        (["url"], "http://a.example/one?x=1&y=2", True),
        (["url"], "http://b.example/one?x=1&y=2", False),
        (["path"], "http://b.example/one", True),
        (["path", "query"], "http://b.example/one?y=2&x=1", True),
        (["path", "query"], "http://b.example/one?y=2", False),
        (["method", "path", "headers"], "http://a.example/one", True),
        (["method", "path", "headers"], "http://b.example/one", False),
    ],
)
def test_what_has_to_match(match: list[str], url: str, found: bool, recording: Path) -> None:
    if found:
        assert replay(recording, url, match=match) == [b"GET 1 "]
    else:
        with pytest.raises(UnmatchedRequest):
            replay(recording, url, match=match)


# -- modes, and mistakes ----------------------------------------------------------------------------------------------------


def test_auto_records_what_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "r.json"

    async def main() -> bytes:
        with Recorder(path) as recorder:
            async with HTTPClient(MockTransport(counting()), network_middlewares=[recorder]) as client:
                first = await (await client.get("http://a.example/")).content()
        with Recorder(path) as recorder:
            assert not recorder.recording
            async with HTTPClient(network_middlewares=[recorder]) as client:
                assert await (await client.get("http://a.example/")).content() == first
        with Recorder(path, "record") as recorder:
            assert recorder.recording
        return first

    assert run(main) == b"GET 1 "
    assert kept(path) == []


def test_a_replay_needs_no_with(recording: Path) -> None:
    async def main() -> None:
        async with HTTPClient(network_middlewares=[Recorder(recording)]) as client:
            assert await (await client.get("http://a.example/two")).content() == b"GET 2 "

    run(main)


def test_a_recording_without_with_would_be_lost(tmp_path: Path) -> None:
    async def main() -> None:
        async with HTTPClient(MockTransport(counting()), network_middlewares=[Recorder(tmp_path / "r.json")]) as client:
            await client.get("http://a.example/")

    with pytest.raises(wirebird.UsageError, match="inside of `with recorder:`"):
        run(main)


def test_what_got_no_answer_is_not_kept(tmp_path: Path) -> None:
    mock = MockTransport()
    mock.on().error(wirebird.ConnectionLost("gone")).respond(200)

    async def main() -> None:
        with Recorder(tmp_path / "r.json") as recorder:
            async with HTTPClient(mock, network_middlewares=[recorder]) as client:
                with pytest.raises(wirebird.ConnectionLost):
                    await client.get("http://a.example/")
                await client.get("http://a.example/")

    run(main)
    assert len(kept(tmp_path / "r.json")) == 1


def test_a_recording_that_broke_off_does_not_take_the_place_of_a_good_one(recording: Path) -> None:
    before = recording.read_bytes()

    async def main() -> None:
        with Recorder(recording, "record") as recorder:
            async with HTTPClient(MockTransport(counting()), network_middlewares=[recorder]) as client:
                await client.get("http://a.example/")
                raise OddError

    with pytest.raises(OddError):
        run(main)
    assert recording.read_bytes() == before


def test_there_is_no_file_to_replay(tmp_path: Path) -> None:
    with pytest.raises(wirebird.UsageError, match=r"no recording .*mode='record'"):
        with Recorder(tmp_path / "r.json", "replay"):
            pass


ASKED = {"method": "GET", "url": "http://a.example/", "headers": [], "hidden": [], "complete": True}
ANSWERED = {"status": 200, "reason": "OK", "headers": [], "hidden": [], "complete": True, "trailers": []}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "\xff",
        '{"wirebird": "recording", "version": 2, "exchanges": []}',
        '{"wirebird": "recording", "version": 1, "exchanges": 5}',
        '{"wirebird": "recording", "version": 1, "exchanges": [5]}',
        *[
            json.dumps({"wirebird": "recording", "version": 1, "exchanges": [{"request": asked, "response": answered}]})
            for asked, answered in [
                ({}, ANSWERED),
                ({**ASKED, "method": 5}, ANSWERED),
                ({**ASKED, "headers": [["a"]]}, ANSWERED),
                ({**ASKED, "headers": [["a", 5]]}, ANSWERED),
                ({**ASKED, "body": {"base64": "?"}}, ANSWERED),
                ({**ASKED, "body": {"pickle": "x"}}, ANSWERED),
                ({**ASKED, "body": "x"}, ANSWERED),
                (ASKED, {**ANSWERED, "status": "200"}),
                (ASKED, {**ANSWERED, "status": True}),
                (ASKED, {**ANSWERED, "complete": 1}),
                (ASKED, {**ANSWERED, "trailers": {"a": "b"}}),
            ]
        ],
    ],
)
def test_a_file_that_is_no_recording(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(wirebird.UsageError, match="not a recording") as caught:
        replay(tmp_path / "r.json")
    assert caught.value.argument == "path"


@pytest.mark.parametrize(
    "answered", [{"status": 99}, {"headers": [["a b", "c"]]}, {"headers": [["a", "b\r\nc: d"]]}, {"trailers": [["a", "\n"]]}]
)
def test_a_file_with_an_answer_that_is_none(answered: Any, tmp_path: Path) -> None:
    exchange = {"request": ASKED, "response": {**ANSWERED, **answered}}
    (tmp_path / "r.json").write_text(json.dumps({"wirebird": "recording", "version": 1, "exchanges": [exchange]}))
    with pytest.raises(wirebird.UsageError, match="not a recording"):
        replay(tmp_path / "r.json", "http://a.example/")


@pytest.mark.parametrize(
    ("argument", "value"),
    [("mode", "new"), ("match", ()), ("match", ["methods"]), ("hide_headers", "authorization"), ("hide_query", "token")],
)
def test_mistakes(argument: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(wirebird.UsageError) as caught:
        Recorder(tmp_path / "r.json", **{argument: value})
    assert caught.value.argument == argument
