"""What a caller's own middlewares can do: change the request, answer themselves, try again, change the response, raise.

`middlewares` see a call, `network_middlewares` each exchange of it; both are composed once.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import io
from typing import Any

import pytest

import raw_peer
import wirebird
from origin import Asked, Origin, Wire, pattern, run
from raw_peer import Peer, answer, check_settled, chunked
from wirebird import HTTPClient, HttpHeaders, HttpResponse, Request, Retry, Timeouts, UsageError
from wirebird.client.sources import FileSource, IteratorSource

BOTH_PLACES = pytest.mark.parametrize("place", ["middlewares", "network_middlewares"])


def client_with(place: str, *middlewares: Any, **keywords: Any) -> HTTPClient:
    return HTTPClient(**{place: middlewares}, **keywords)


# -- the pipeline ------------------------------------------------------------------------------------------------------------


@BOTH_PLACES
def test_the_first_is_the_outermost(place):
    async def main():
        seen = []

        def named(name):
            async def middleware(request, handler):
                seen.append(f"{name} in")
                response = await handler(request)
                seen.append(f"{name} out")
                return response

            return middleware

        async with Origin() as origin, client_with(place, named("a"), named("b")) as client:
            await client.get(origin.url("/echo"))
            assert seen == ["a in", "b in", "b out", "a out"]

    run(main)


def test_a_pipeline_is_composed_once_for_each_combination():
    async def main():
        async def middleware(request, handler):
            handlers.append(handler)
            return await handler(request)

        handlers = []
        async with Origin() as origin, HTTPClient(middlewares=[middleware], network_middlewares=[middleware]) as client:
            for _ in range(3):
                await client.get(origin.url("/echo"))
                await client.post(origin.url("/echo"), data=b"x")
            assert len(set(map(id, handlers))) == 2  # each place has the one that comes behind it
            assert len(client._handlers) == 1
            before = dict(client._handlers)
            await client.get(origin.url("/echo"), follow=True, retries=1, cookies={"a": "b"}, auth=("u", "p"))
            assert len(client._handlers) == 2
            await client.get(origin.url("/echo"))
            assert all(client._handlers[key] is handler for key, handler in before.items())

    run(main)


def test_who_sees_what():
    async def main():
        calls, exchanges = [], []

        async def outer(request, handler):
            calls.append(request.url.path)
            return await handler(request)

        async def inner(request, handler):
            exchanges.append((request.url.path, "authorization" in request.headers, "cookie" in request.headers))
            return await handler(request)

        keywords = {"follow": True, "handle_cookies": True, "retries": Retry(backoff=0), "auth": ("user", "password")}
        async with Origin() as origin, HTTPClient(middlewares=[outer], network_middlewares=[inner], **keywords) as client:
            turns = []

            async def flaky(asked: Asked, wire: Wire) -> None:
                turns.append(1)
                if len(turns) == 1:
                    await wire.respond(503)
                else:
                    await wire.respond(302, [("Location", "/echo"), ("Set-Cookie", "a=b; Path=/")])

            origin.on("/flaky", flaky)
            assert (await client.get(origin.url("/flaky"))).status_code == 200
            assert calls == ["/flaky"]
            assert exchanges == [("/flaky", True, False), ("/flaky", True, False), ("/echo", True, True)]

    run(main)


def test_they_run_in_the_task_and_context_of_the_caller():
    async def main():
        name = contextvars.ContextVar("name")
        seen = []

        async def middleware(request, handler):
            seen.append((asyncio.current_task(), name.get()))
            name.set("inside")
            return await handler(request)

        async with Origin() as origin, HTTPClient(middlewares=[middleware]) as client:
            name.set("outside")
            await client.get(origin.url("/echo"))
            assert seen == [(asyncio.current_task(), "outside")]
            assert name.get() == "inside"

    run(main)


# -- the request -------------------------------------------------------------------------------------------------------------


@BOTH_PLACES
def test_the_request_can_be_changed(place):
    async def main():
        async def change(request, handler):
            request.method = "PUT"
            request.headers["X-Added"] = "yes"
            del request.headers["x-removed"]
            request.headers["Content-Type"] = "text/plain"
            request.body = b"another body"
            request.url = request.url.with_path("/echo").with_query(page=2)
            return await handler(request)

        async with Origin() as origin, client_with(place, change) as client:
            response = await client.post(origin.url("/nowhere"), json=[1], headers={"X-Removed": "it is"})
            echo = await response.json()
            assert (echo["method"], echo["data"], echo["args"]) == ("PUT", "another body", {"page": "2"})
            assert echo["headers"]["x-added"] == "yes"
            assert "x-removed" not in echo["headers"]
            assert str(response.url) == origin.url("/echo?page=2")
            assert response.request.method == "PUT"
            assert not origin.faults

    run(main)


@BOTH_PLACES
def test_the_request_can_be_sent_elsewhere(place):
    async def main():
        async with Origin() as here, Origin() as there:

            async def route(request, handler):
                request.url = there.url(request.url.path_qs)
                return await handler(request)

            async with client_with(place, route) as client:
                for _ in range(3):
                    echo = await (await client.get(here.url("/echo?a=b"))).json()
                    assert echo["headers"]["host"] == there.address
                assert (len(here.asked), len(there.asked), there.connections) == (0, 3, 1)

            async def lost(request, handler):
                request.url = "/relative"
                return await handler(request)

            async with client_with(place, lost) as client:
                with pytest.raises(wirebird.InvalidURL):
                    await client.get(here.url("/echo"))

    run(main)


def test_credentials_stay_behind_if_a_middleware_wants_that():
    async def main():
        async with Origin() as here, Origin() as there:

            async def route(request, handler):
                request.url = there.url("/echo")
                if careful:
                    request.options = request.options.for_another_origin()
                return await handler(request)

            async with HTTPClient(middlewares=[route]) as client:
                for careful in (False, True):
                    response = await client.get(here.url("/"), auth=("user", "password"), cookies={"a": "b"})
                    sent = (await response.json())["headers"]
                    assert ("authorization" in sent) == ("cookie" in sent) == (not careful)

    run(main)


@pytest.mark.parametrize("body", ["text", 3, ["list"]])
def test_a_body_that_is_none_is_named(body):
    async def main():
        async def change(request, handler):
            request.body = body
            return await handler(request)

        async with Origin() as origin, HTTPClient(middlewares=[change]) as client:
            with pytest.raises(UsageError, match="must be bytes, a Body or None, not") as caught:
                await client.post(origin.url("/echo"), data=b"x")
            assert caught.value.argument == "body"
            assert origin.asked == []

    run(main)


def test_a_deadline_can_be_brought_forward():
    async def main():
        async def hurry(request, handler):
            request.deadline = min(request.deadline, asyncio.get_running_loop().time() + 0.05)
            return await handler(request)

        async with Origin() as origin, HTTPClient(middlewares=[hurry]) as client:
            with pytest.raises(wirebird.RequestTimeout):
                await client.get(origin.url("/silent"))

    run(main)


@BOTH_PLACES
def test_every_body_is_closed(place, tmp_path):
    """The caller's, and the one that a middleware put in its place; whether they were sent or not."""
    (tmp_path / "file").write_bytes(b"from the file")

    async def main():
        closed = []

        async def pieces():
            try:
                yield b"pieces"
            finally:
                closed.append("pieces")

        async def replace(request, handler):
            request.body = FileSource(io.BytesIO(b"replaced"), "data")
            files.append(request.body._file)
            return await handler(request)

        async def on_a_copy(request, handler):
            return await handler(request.copy())

        async def answer_alone(request, handler):
            return HttpResponse.make(204)

        async def fail(request, handler):
            raise ValueError("mine")

        async with Origin() as origin:
            for middleware, sent in ((replace, b"replaced"), (on_a_copy, None), (answer_alone, None), (fail, None)):
                async with client_with(place, middleware) as client:
                    for make in (lambda: (tmp_path / "file").open("rb"), pieces):
                        files, given = [], make()
                        if not isinstance(given, io.IOBase):
                            closed.clear()
                        try:
                            await client.post(origin.url("/echo"), data=given)
                        except ValueError:
                            assert middleware is fail
                        assert all(file.closed for file in files)
                        if isinstance(given, io.IOBase):
                            assert given.closed
                        else:
                            with pytest.raises(StopAsyncIteration):
                                await anext(given)
                        if sent is not None:
                            assert origin.asked[-1].body == sent

    run(main)


# -- an answer of its own ----------------------------------------------------------------------------------------------------


@BOTH_PLACES
def test_a_middleware_can_answer_itself(place):
    async def main():
        async def cached(request, handler):
            return HttpResponse.make(status, {"X-From": "cache"}, text="from the cache")

        status = 200
        async with client_with(place, cached, handle_cookies=True, follow=True, retries=Retry(backoff=0)) as client:
            response = await client.get("http://nobody.test/path?a=b")
            assert (response.status_code, response.reason, response.ok) == (200, "OK", True)
            assert response.headers["x-from"] == "cache"
            assert str(response.url) == "http://nobody.test/path?a=b"
            assert response.request.method == "GET"
            assert await response.text() == await response.text() == "from the cache"
            assert [piece async for piece in (await client.get("http://nobody.test/")).iter_bytes(5)][:2] == [b"from ", b"the c"]
            async with client.get("http://nobody.test/") as response:
                assert await response.read(4) == b"from"
            status = 404
            with pytest.raises(wirebird.StatusError, match=r"GET http://nobody\.test/x was answered with 404 Not Found"):
                await client.get("http://nobody.test/x", raise_for_status=True)
            assert client.stats()["opened"] == 0

    run(main)


def test_what_stands_in_for_the_network_is_checked_as_a_middleware_is():
    class Canned:
        def __init__(self, answer):
            self.answer = answer

        async def send(self, request):
            return self.answer

        async def close(self):
            pass

    async def main():
        async with HTTPClient(Canned(HttpResponse.make(404))) as client:
            response = await client.get("http://nobody.test/x")
            assert str(response.url) == "http://nobody.test/x"
            with pytest.raises(wirebird.StatusError, match=r"GET http://nobody\.test/x was answered with 404 Not Found"):
                response.raise_for_status()
        async with HTTPClient(Canned(None)) as client:
            with pytest.raises(UsageError, match="gave NoneType instead of a response") as caught:
                await client.get("http://nobody.test/x")
            assert caught.value.argument == "connector"

    run(main)


def test_one_answer_may_serve_many_calls():
    async def main():
        canned = HttpResponse.make(200, json={"a": 1})

        async def cached(request, handler):
            return canned

        async with HTTPClient(middlewares=[cached]) as client:
            responses = await asyncio.gather(*[client.get(f"http://nobody.test/{number}") for number in range(5)])
            assert [await response.json() for response in responses] == [{"a": 1}] * 5

    run(main)


def test_what_is_further_out_takes_it_for_an_answer():
    """Cookies are kept, redirects followed, statuses tried again: as if a peer had sent it."""

    async def main():
        seen = []

        async def network(request, handler):
            seen.append(request.url.path)
            if request.url.path == "/a":
                if len(seen) == 1:
                    return HttpResponse.make(503)
                return HttpResponse.make(302, {"Location": "/b", "Set-Cookie": "a=b"})
            return HttpResponse.make(200, text=request.headers.get("cookie", "none"))

        keywords = {"follow": True, "handle_cookies": True, "retries": Retry(backoff=0)}
        async with HTTPClient(network_middlewares=[network], **keywords) as client:
            response = await client.get("http://nobody.test/a")
            assert seen == ["/a", "/a", "/b"]
            assert await response.text() == "a=b"
            assert [one.status_code for one in response.history] == [302]
            assert str(response.history[0].url) == "http://nobody.test/a"

    run(main)


# -- again -------------------------------------------------------------------------------------------------------------------


@BOTH_PLACES
@pytest.mark.parametrize("kind", ["none", "bytes", "file", "form", "iterator"])
def test_a_middleware_can_try_again(place, kind, tmp_path):
    (tmp_path / "file").write_bytes(pattern(100_000))

    async def pieces():
        yield b"once"

    async def main():
        async def again(request, handler):
            response = await handler(request)
            if response.status_code == 401:
                await response.close()
                request.headers["X-Token"] = "new"
                response = await handler(request)
            return response

        async def guarded(asked: Asked, wire: Wire) -> None:
            await wire.respond(200 if "x-token" in asked.headers else 401, [], b"x" * 5000)

        form = wirebird.MultipartForm()
        form.add_file("file", str(tmp_path / "file"))
        data: Any = {
            "none": None,
            "bytes": b"bytes",
            "file": (tmp_path / "file").open("rb") if kind == "file" else None,
            "form": form,
            "iterator": pieces(),
        }[kind]
        async with Origin() as origin, client_with(place, again) as client:
            origin.on("/guarded", guarded)
            if kind == "iterator":
                with pytest.raises(wirebird.BodyConsumed):
                    await client.put(origin.url("/guarded"), data=data)
            else:
                assert (await client.put(origin.url("/guarded"), data=data)).status_code == 200
                assert len({asked.body for asked in origin.asked}) == 1
                assert len(origin.asked) == 2
                assert origin.connections == 1
            if kind == "file":
                assert data.closed
            await client.wait_requests(5)
            check_settled(client)

    run(main)


def test_two_at_once_and_the_faster_wins():
    async def main():
        async def hedge(request, handler):
            slow = asyncio.ensure_future(handler(request))
            other = request.copy()
            other.url = request.url.with_path("/echo")
            fast = asyncio.ensure_future(handler(other))
            done, rest = await asyncio.wait([slow, fast], return_when=asyncio.FIRST_COMPLETED)
            for task in rest:
                task.cancel()
            await asyncio.wait(rest)
            return done.pop().result()

        async with Origin() as origin, HTTPClient(middlewares=[hedge]) as client:
            for _ in range(5):
                response = await client.get(origin.url("/silent"))
                assert str(response.url) == origin.url("/echo")
            check_settled(client)

    run(main)


# -- the response ------------------------------------------------------------------------------------------------------------


@BOTH_PLACES
@pytest.mark.parametrize("path", ["/bytes/500", "/bytes/400000", "/chunked/400000", "/eof/400000", "/coded/gzip"])
def test_head_replaced_and_body_kept(place, path):
    async def main():
        async def rewrite(request, handler):
            response = await handler(request)
            headers = HttpHeaders(response.headers)
            headers["X-Seen"] = "yes"
            headers.add("X-Seen", "twice")
            return response.replaced(418, headers)

        async with Origin() as origin, client_with(place, rewrite) as client, HTTPClient() as plain:
            expected = await (await plain.get(origin.url(path))).content()
            original = await plain.get(origin.url(path))
            for way in ("whole", "pieces", "lines"):
                response = await client.get(origin.url(path))
                gc.collect()  # the response that was replaced is gone, and must not take the body with it
                assert (response.status_code, response.reason) == (418, "I'm a Teapot")
                assert response.headers.get_list("x-seen") == ["yes", "twice"]
                assert (b"X-Seen", b"twice") in response.raw_headers
                assert response.chunked == original.chunked
                assert response.content_length == original.content_length
                assert str(response.url) == origin.url(path)
                assert response.http_version == "1.1"
                if way == "whole":
                    assert await response.content() == expected
                    assert await response.content() == expected
                elif way == "pieces":
                    assert b"".join([piece async for piece in response.iter_bytes(10_000)]) == expected
                else:
                    assert await response.read() == expected
            await client.wait_requests(5)
            check_settled(client)

    run(main)


def test_trailers_history_and_elapsed_are_kept():
    async def script(link):
        while path := await link.request():
            if path == "/a":
                await link.send(answer(b"", b"Location: /b", status=b"302 Found"))
            else:
                head, _, body = chunked(b"x" * 100_000).partition(b"\r\n\r\n")
                await link.send(head + b"\r\n\r\n" + body[:-2] + b"X-Sum: 1\r\n\r\n")

    async def main():
        async def rewrite(request, handler):
            response = await handler(request)
            changed = response.replaced(201, reason="Quite Fine")
            assert (changed.elapsed, changed.history) == (response.elapsed, response.history)
            return changed

        async with Peer(script) as peer, HTTPClient(middlewares=[rewrite], follow=True) as client:
            response = await client.get(peer.url("/a"))
            assert (response.status_code, response.reason, len(response.history)) == (201, "Quite Fine", 1)
            assert len(await response.content()) == 100_000
            assert response.trailers["x-sum"] == "1"

    raw_peer.run(main)


def test_nobody_holds_a_body_whose_last_response_is_gone():
    async def script(link):
        while await link.request():
            await link.send(answer(b"x" * 10_000_000))

    async def main():
        async with Peer(script) as peer, HTTPClient() as client:
            response = await client.get(peer.url())
            await asyncio.sleep(0)  # the turn of the loop in which it arrived holds it too
            changed = response.replaced(201)
            del response
            gc.collect()
            assert client.stats()["in_use"] == 1
            begin = await changed.read(5)  # not in the assertion, which would hold the response
            assert begin == b"xxxxx"
            del changed
            gc.collect()
            assert client.stats()["in_use"] == 0
            check_settled(client)

    raw_peer.run(main)


@BOTH_PLACES
def test_body_replaced(place):
    async def main():
        async def translate(request, handler):
            response = await handler(request)
            if not read:
                return response.replaced(body=b"instead")
            body = await response.content()
            return response.replaced(body=body.replace(b"fox", b"cat"))

        read = False
        async with Origin() as origin, client_with(place, translate, max_body_size=1_000_000) as client:
            response = await client.get(origin.url("/chunked/400000"))
            assert await response.content() == b"instead"
            assert (response.status_code, response.reason) == (200, "OK")
            assert (response.content_length, response.chunked, "transfer-encoding" in response.headers) == (7, False, False)
            await client.wait_requests(5)
            check_settled(client)
            read = True
            response = await client.get(origin.url("/coded/gzip"))
            assert (await response.text()).startswith("the quick brown cat ")
            assert "content-encoding" not in response.headers
            assert b"".join([piece async for piece in response.iter_bytes()]).startswith(b"the quick brown cat ")

    run(main)


def test_replaced_is_checked():
    response = HttpResponse.make(200, {"X-A": "b"}, text="text")
    assert response.replaced().headers == response.headers
    assert response.replaced(201, body=b"").headers["Content-Length"] == "0"
    coded = response.replaced(headers={"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}, body=b"x")
    assert coded.raw_headers == [(b"Content-Encoding", b"gzip"), (b"Content-Length", b"1")]
    assert response.replaced(299).reason == ""
    for keywords, argument in [
        ({"status": 99}, "status"),
        ({"status": 1000}, "status"),
        ({"body": "text"}, "body"),
        ({"headers": {"X-A": "b\r\nX-C: d"}}, "headers['X-A']"),
        ({"headers": {"X A": "b"}}, "headers name"),
        ({"reason": "a\nb"}, "reason"),
    ]:
        with pytest.raises(UsageError) as caught:
            response.replaced(**keywords)
        assert caught.value.argument == argument


def test_a_made_response_is_framed_as_its_fields_say():
    assert HttpResponse.make(headers={"Transfer-Encoding": "chunked"}, body=b"abc").chunked
    assert HttpResponse.make(body=iter([b"abc"])).chunked
    assert not HttpResponse.make(body=b"abc").chunked


def test_the_end_of_a_body_can_be_known():
    async def main():
        async with Origin() as origin, HTTPClient() as client:
            ended = []
            small = await client.get(origin.url("/bytes/10"))
            small.on_end(lambda: ended.append("small"))
            assert ended == ["small"]
            large = await client.get(origin.url("/bytes/400000"))
            large.on_end(lambda: ended.append("one"))
            large.replaced(201).on_end(lambda: ended.append("two"))
            assert ended == ["small"]
            await large.content()
            assert ended == ["small", "one", "two"]
            large.on_end(lambda: ended.append("late"))
            assert ended[3:] == ["late"]
            closed = await client.get(origin.url("/bytes/400000"))
            closed.on_end(lambda: ended.append("closed"))
            await closed.close()
            await closed.close()
            assert ended[4:] == ["closed"]

    run(main)


# -- what goes wrong ---------------------------------------------------------------------------------------------------------


@BOTH_PLACES
def test_what_a_middleware_raises_is_raised(place):
    async def main():
        async def fail(request, handler):
            async with await handler(request):
                raise LookupError("mine")

        async with Origin() as origin, client_with(place, fail, retries=Retry(backoff=0)) as client:
            with pytest.raises(LookupError, match="mine"):
                await client.get(origin.url("/bytes/400000"))
            assert len(origin.asked) == 1
            await client.wait_requests(5)
            check_settled(client)

    run(main)


@BOTH_PLACES
@pytest.mark.parametrize("value", [None, b"bytes", {"status": 200}])
def test_a_forgotten_return_is_named(place, value):
    async def main():
        async def forgets(request, handler):
            await handler(request)
            return value

        async with Origin() as origin, client_with(place, forgets, handle_cookies=True, follow=True) as client:
            with pytest.raises(
                UsageError, match=rf"forgets of {place} gave {type(value).__name__} instead of a response"
            ) as caught:
                await client.get(origin.url("/echo"))
            assert caught.value.argument == place

    run(main)


@BOTH_PLACES
@pytest.mark.parametrize("value", ["name", 3, [None], ["name"], lambda request, handler: None, [HTTPClient]])
def test_what_is_no_middleware_is_named(place, value):
    with pytest.raises(UsageError) as caught:
        HTTPClient(**{place: value})
    assert caught.value.argument == place


@BOTH_PLACES
def test_cancelled_inside(place):
    async def main():
        reached, left = asyncio.Event(), []

        async def slow(request, handler):
            response = await handler(request)
            try:
                reached.set()
                await asyncio.Event().wait()
            finally:
                left.append(1)
                await response.close()
            return response

        async with Origin() as origin, client_with(place, slow) as client:
            task = asyncio.ensure_future(client.get(origin.url("/bytes/400000")))
            await reached.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert left == [1]
            await client.wait_requests(5)
            check_settled(client)

    run(main)


def test_a_time_limit_holds_for_what_a_middleware_reads():
    async def main():
        async def read(request, handler):
            response = await handler(request)
            await response.content()
            return response

        limits = Timeouts(request_timeout=0.1)
        async with Origin() as origin, HTTPClient(middlewares=[read], timeouts=limits) as client:
            with pytest.raises(wirebird.RequestTimeout):
                await client.get(origin.url("/held?first=100"))
            check_settled(client)

    run(main)


def test_an_iterator_is_not_begun_for_nothing():
    async def main():
        begun = []

        async def pieces():
            begun.append(1)
            yield b"x"

        async def look(request: Request, handler: Any) -> HttpResponse:
            assert isinstance(request.body, IteratorSource)
            return HttpResponse.make(413)

        async with HTTPClient(middlewares=[look]) as client:
            assert (await client.post("http://nobody.test/", data=pieces())).status_code == 413
            assert not begun

    run(main)
