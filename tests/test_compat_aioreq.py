"""`wirebird.compat.aioreq`, row by row of what its README says, and the middlewares of the README that came later.

The programs of the README are in `test_program_aioreq_*.py`, and docs/compat.md says which row is shown where.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import trustme

import wirebird
from origin import FOX, Origin, pattern, run
from raw_peer import OK, Peer
from wirebird.compat import aioreq
from wirebird.compat.aioreq import errors, headers, middlewares
from wirebird.compat.aioreq.http import BaseClient, JsonRequest, Request, Response, UrlEncodedRequest

BOTH = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


def exchange(method: str, *arguments, settings=None, **keywords):
    """One request to the echo: as the origin read it, and the response."""

    async def main():
        async with Origin() as origin, aioreq.Client(**(settings or {})) as client:
            response = await getattr(client, method)(origin.url("/anything/path"), *arguments, **keywords)
            assert response.status == 200
            assert origin.faults == []
            return origin.asked[0], response

    return run(main)


# -- names --------------------------------------------------------------------------------------------------------------------


def test_nothing_is_imported_before_it_is_asked_for():
    program = "import sys; from wirebird.compat import aioreq; print(*[name for name in sys.modules if 'aiosonic' in name])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "\n"


def test_names_are_where_they_were():
    assert aioreq.Client is aioreq.http.Client
    assert issubclass(aioreq.Client, BaseClient)
    assert issubclass(aioreq.StreamClient, BaseClient)
    assert aioreq.Headers is headers.Headers is aioreq.http.Headers
    assert issubclass(JsonRequest, Request)
    assert issubclass(UrlEncodedRequest, Request)
    assert aioreq.Response is Response is aioreq.http.Response
    assert errors.requests.RequestTimeoutError is wirebird.TimeoutError
    assert errors.requests.ConnectionTimeoutError is wirebird.ConnectTimeout
    assert issubclass(errors.base.UnexpectedError, errors.base.AioreqError)
    assert issubclass(errors.response.ClosedConnectionWithoutResponse, errors.base.AioreqError)
    assert issubclass(errors.parser.UrlParsingError, errors.base.AioreqError)


@pytest.mark.parametrize("verb", ["get", "post", "put", "delete", "options", "head", "patch", "link"])
def test_a_verb_makes_a_coroutine_anywhere(verb):
    names = ["self", "url", "content", "headers", "path_parameters", "obj_headers", "timeout", "redirect", "retry"]
    for client_cls in (aioreq.Client, aioreq.StreamClient):
        parameters = inspect.signature(getattr(client_cls, verb)).parameters
        assert list(parameters)[:9] == names
        assert parameters["timeout"].default == 0
    assert inspect.iscoroutinefunction(getattr(aioreq.Client, verb))
    call = getattr(aioreq.Client(), verb)("http://example.test/")
    assert inspect.iscoroutine(call)
    call.close()


def test_one_client_for_one_loop_after_another():
    client = aioreq.Client()

    async def origin():
        async with Origin() as origin:
            ready.set_result(origin.url("/get"))
            await asyncio.Event().wait()

    with asyncio.Runner() as runner:
        ready = runner.get_loop().create_future()
        task = runner.get_loop().create_task(origin())
        url = runner.run(asyncio.wait_for(ready, 5))

        async def serve_while(function):
            return await asyncio.to_thread(function)

        for _ in range(2):
            assert runner.run(serve_while(lambda: asyncio.run(client.get(url)))).status == 200
        response = runner.run(serve_while(lambda: aioreq.get(url, headers={"X-Own": "1"})))
        assert json.loads(response.content)["headers"]["x-own"] == "1"
        with pytest.raises(errors.parser.UrlParsingError):
            aioreq.post("not a url")
        task.cancel()
        asyncio.run(client.close())


# -- requests -----------------------------------------------------------------------------------------------------------------


def test_the_fields_that_are_sent_by_default():
    asked, _ = exchange("get")
    assert {name.lower() for name in asked.headers} == {"host", "user-agent", "accept", "accept-encoding"}
    assert (asked.headers["user-agent"], asked.headers["accept"]) == ("python/aioreq", "*/*")
    assert {"gzip", "deflate"} <= set(asked.headers["accept-encoding"].split(", "))


def test_fields_of_the_client_and_of_the_call():
    """Those of a call win, and do not stay in the client."""

    async def main():
        async with Origin() as origin:
            async with aioreq.Client(headers={"Test": "1", "user-agent": "me"}) as client:
                await client.get(origin.url("/get"), headers={"test": "2", "X-Once": "y"})
                await client.get(origin.url("/get"))
                first, second = origin.asked
                assert (first.headers["test"], first.headers["x-once"]) == ("2", "y")
                assert (second.headers["test"], "x-once" in second.headers) == ("1", False)
                assert second.headers.get_list("user-agent") == ["me"]
            async with aioreq.Client() as client:
                await client.get(origin.url("/get"))
                assert "test" not in origin.asked[-1].headers

    run(main)


def test_header_objects():
    accept = headers.Accept((headers.MimeType.html, 0.6), (headers.MimeType.json, None))
    codings = headers.AcceptEncoding(("gzip", 1))
    asked, _ = exchange("get", obj_headers=[accept, codings])
    assert asked.headers.get_list("accept") == ["text/html; q=0.6, application/json; q=1"]
    assert asked.headers.get_list("accept-encoding") == ["gzip; q=1"]
    assert issubclass(headers.Accept, headers.BaseHeader)
    with pytest.raises(ValueError, match="0 to 1"):
        headers.Accept(("text/html", 2))


@pytest.mark.parametrize(
    ("keywords", "body", "kind"),
    [
        ({"content": "é"}, "é".encode(), None),
        ({"content": b"\0"}, b"\0", None),
        ({"content": bytearray(b"x")}, b"x", None),
        ({"body": "x"}, b"x", None),
        ({"content": ""}, b"", None),
        ({"json": {"a": [1]}}, b'{"a": [1]}', "application/json"),
        ({"json": []}, b"[]", "application/json"),
        ({"urlencoded": {"a": "b c", "d": "é"}}, b"a=b+c&d=%C3%A9", "application/x-www-form-urlencoded"),
        ({"urlencoded": [("a", "1"), ("a", "2")]}, b"a=1&a=2", "application/x-www-form-urlencoded"),
    ],
)
def test_bodies(keywords, body, kind):
    """`Content-Length` counts bytes, where Aioreq counted characters."""
    asked, _ = exchange("post", **keywords)
    assert (asked.body, asked.headers.get("content-type")) == (body, kind)
    assert asked.headers["content-length"] == str(len(body))


def test_two_bodies_or_none_that_can_be_sent_are_value_errors():
    for keywords in ({"content": "x", "json": {}}, {"json": {}, "urlencoded": {"a": "b"}}, {"content": 5}, {"content": ["x"]}):
        with pytest.raises(ValueError, match="content"):
            exchange("post", **keywords)


@pytest.mark.parametrize("name", ["path_parameters", "params"])
def test_parameters_are_encoded_and_extend_the_query(name):
    async def main():
        async with Origin() as origin, aioreq.Client() as client:
            await client.get(origin.url("/get?x=1"), **{name: {"a": "b&c"}})
            await client.get(origin.url("/get"), **{name: [("a", "1"), ("a", "é")]})
            return [asked.args for asked in origin.asked]

    assert run(main) == [[("x", "1"), ("a", "b&c")], [("a", "1"), ("a", "é")]]


def test_parameters_are_those_of_the_readmes_time():
    """S2-22: None stands for the client's, which are 3."""
    names = ["self", "url", "content", "headers", "path_parameters", "obj_headers", "timeout", "redirect", "retry"]
    for verb in (aioreq.Client.get, aioreq.Client.post, aioreq.StreamClient.get):
        parameters = inspect.signature(verb).parameters
        assert list(parameters)[: len(names)] == names
        assert parameters["timeout"].default == 0
    client = aioreq.Client()
    assert (client.redirect, client.retry) == (3, 3)


def test_a_request_in_the_way_of_each_version():
    for request in (
        Request("POST", "https://www.google.com:444", {"a": "b"}, "/path?x=1", content="body"),
        Request(method="post", host="www.google.com:444", headers={"a": "b"}, path="/path?x=1", content="body"),
        Request("https://www.google.com:444/path", method="POST", headers={"a": "b"}, params={"x": "1"}, content="body"),
        Request(url="https://www.google.com:444/path?x=1", method="POST", headers={"a": "b"}, content=b"body"),
    ):
        assert repr(request) == "<Request POST https://www.google.com:444>"
        assert (request.method, request.host, request.path) == ("POST", "www.google.com", "/path")
        assert (str(request.url), request.headers["A"]) == ("https://www.google.com:444/path?x=1", "b")
        assert request.content == request.body == b"body"
        assert request.timeout == 0
    assert repr(Request("https://www.google.com/path?x=1")) == "<Request GET https://www.google.com>"
    assert repr(JsonRequest(url="http://h/", content={})) == "<JsonRequest GET http://h>"
    for arguments in ((), ("GET",), ("not a url",)):
        with pytest.raises(ValueError, match="url"):
            Request(*arguments)


def test_a_request_can_be_changed():
    request = Request("http://h/")
    request.url = "https://other/x"
    request.method = "PUT"
    request.content = "é"
    request.body = "body"
    request.headers["X"] = "y"
    request.timeout = 3
    request.auth = ("a", "b")
    assert repr(request) == "<Request PUT https://other>"
    assert (request.content, request.headers["x"], request.timeout) == (b"body", "y", 3)
    assert "'a'" in repr(request.auth)
    request.auth = request.timeout = None
    assert (request.auth, request.timeout) == (None, 0)


def test_sending_requests():
    async def main():
        async with Origin() as origin, aioreq.Client() as client:
            for kind, content in ((JsonRequest, {"a": 1}), (UrlEncodedRequest, {"a": "1"}), (Request, "text")):
                response = await client.send_request(kind(url=origin.url("/post"), method="POST", content=content))
                assert response.status == 200
            assert [asked.body for asked in origin.asked] == [b'{"a": 1}', b"a=1", b"text"]

    run(main)


# -- responses ----------------------------------------------------------------------------------------------------------------


def test_a_response_has_these_parts():
    async def script(link):
        await link.request()
        fields = b"Content-Type: text/plain\r\nSet-Cookie: a=1\r\nSET-COOKIE: b=2\r\nX-Two: 1\r\nX-Two: 2\r\n"
        await link.send(b"HTTP/1.1 203 Not So Sure\r\n" + fields + b"Content-Length: 4\r\n\r\nbody")

    async def main():
        async with Peer(script) as peer, aioreq.Client() as client:
            response = await client.get(peer.url("/path"))
            assert repr(response) == "<Response 203 Not So Sure>"
            assert (response.status, response.status_message) == (203, "Not So Sure")
            assert response.content == response.body == b"body"
            assert response.headers["CONTENT-TYPE"] == "text/plain"
            assert response.headers["set-cookie"] == ["a=1", "b=2"]
            assert response.headers["x-two"] == "2"
            assert list(response.headers) == ["content-type", "set-cookie", "x-two", "content-length"]
            assert repr(response.request) == f"<Request GET {peer.url('')}>"
            assert response.redirects is None
            response.headers["x"] = "y"  # its own: another response with the same head does not see it
            assert "x" not in response.native.headers

    run(main)


def test_a_response_of_ones_own():
    response = Response(status=404, status_message="Not Here", headers={"X": "y"}, content=b"gone")
    assert repr(response) == "<Response 404 Not Here>"
    assert (response.content, response.headers["x"], response.request) == (b"gone", "y", None)
    assert response == Response(404, "Not Here", {"x": "y"}, b"gone")
    assert response != Response(404, "Not Here", {"x": "z"}, b"gone")
    assert response != 404


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, deflate"])
def test_bodies_are_decoded(coding):
    async def main():
        async with Origin() as origin, aioreq.Client() as client:
            assert (await client.get(origin.url(f"/coded/{coding.replace(' ', '')}"))).content == FOX
            assert (await client.get(origin.url("/chunked/300000"))).content == pattern(300_000)
            assert (await client.get(origin.url("/eof/1000"))).content == pattern(1000)

    run(main)


def test_headers():
    one = headers.Headers({"Accept": "a", "X": "1"})
    one.add_header(headers.Accept((headers.MimeType.json, 1)))
    both = one | {"x": "2"}
    assert (one["x"], both["X"], both.dict()) == ("1", "2", {"accept": "application/json; q=1", "x": "2"})
    assert repr(one) == "Headers:\n accept: application/json; q=1\n x: 1"
    assert (len(one), "ACCEPT" in one, one.get("nothing"), 5 in one) == (2, True, None, False)
    assert one == {"ACCEPT": "application/json; q=1", "x": "1"}
    assert one != "Headers"
    one["Set-Cookie"] = "a=1"
    one["set-cookie"] = "b=2"
    assert one["set-cookie"] == ["a=1", "b=2"]
    assert headers.Headers(one) == one
    del one["Set-Cookie"]
    assert "set-cookie" not in one
    with pytest.raises(KeyError):
        one["set-cookie"]


# -- connections, redirects, retries, time ------------------------------------------------------------------------------------


def test_connections_are_kept_only_when_that_is_asked_for():
    async def main(keep):
        async with Origin() as origin, aioreq.Client(persistent_connections=keep) as client:
            assert client.persistent_connections is keep
            for _ in range(3):
                await client.get(origin.url("/get"))
            return origin.connections

    assert run(lambda: main(False)) == 3
    assert run(lambda: main(True)) == 1


def test_redirects():
    """Three are followed; behind them, the last is the response."""

    async def main():
        async with Origin() as origin, aioreq.Client() as client:
            response = await client.get(origin.url("/chain/3"))
            assert response.status == 200
            assert response.redirects == [origin.url(f"/chain/{n}") for n in (2, 1, 0)]
            assert str(response.request.url) == origin.url("/chain/0")
            response = await client.get(origin.url("/chain/9"))
            assert (response.status, response.headers["location"]) == (302, "/chain/5")
            assert (await client.get(origin.url("/chain/2"), redirect=0)).status == 302
            assert (await client.get(origin.url("/chain/9"), redirect=9)).status == 200
            assert (await client.get(origin.url("/status/302"))).status == 302  # where Aioreq raised KeyError
            async with aioreq.Client(redirect_count=0) as other:
                assert (await other.get(origin.url("/chain/1"))).status == 302
            assert (await client.get(origin.url("/chain/1"))).status == 200  # no setting is shared

    run(main)


def test_credentials_and_cookies_stay_behind_when_the_origin_changes():
    async def main():
        async with Origin() as origin, Origin() as other, aioreq.Client(auth=("a", "b")) as client:

            async def ask(asked, wire):
                await wire.respond(401, [("WWW-Authenticate", 'Basic realm="x"')])

            other.on("/secret", ask)
            to = other.url("/secret")
            response = await client.get(origin.url(f"/status/302?to={to}"), headers={"Authorization": "x", "Cookie": "y=z"})
            assert response.status == 401
            assert [("authorization" in asked.headers, "cookie" in asked.headers) for asked in other.asked] == [(False, False)]

    run(main)


@pytest.mark.parametrize(("method", "retry", "attempts"), [("get", None, 4), ("get", 1, 2), ("put", 0, 1), ("post", 3, 1)])
def test_failures_are_tried_again_where_that_can_do_no_harm(method, retry, attempts):
    """Aioreq tried everything again, a POST as well."""

    async def script(link):
        seen.append(await link.request())
        link.reset()

    async def main():
        async with Peer(script) as peer, aioreq.Client() as client:
            with pytest.raises(errors.response.ClosedConnectionWithoutResponse):
                await getattr(client, method)(peer.url("/"), content="x", retry=retry)

    seen: list[str] = []
    run(main)
    assert len(seen) == attempts


def test_a_try_that_succeeds_is_the_last():
    async def script(link):
        await link.request()
        if link.number < 2:
            link.reset()
        else:
            await link.send(OK)

    async def main():
        async with Peer(script) as peer, aioreq.Client() as client:
            assert (await client.get(peer.url("/"))).content == b"fine"

    run(main)


@BOTH
def test_time_limits(loop):
    """0 is none."""

    async def main():
        async with Origin() as origin:
            url = origin.url("/silent")
            async with aioreq.Client() as client:
                for keywords in ({"timeout": 0.05}, {"timeout": 0.05, "redirect": 0, "retry": 0}):
                    with pytest.raises(errors.requests.RequestTimeoutError):
                        await client.get(url, **keywords)
                with pytest.raises(errors.requests.RequestTimeoutError):
                    await client.get(origin.url("/held?first=10"), timeout=0.05)
                call = asyncio.create_task(client.get(url, timeout=0))
                await origin.until(lambda: origin.asked[-1].target == "/silent")
                origin.release.set()
                assert (await call).status == 204
            origin.release.clear()
            async with aioreq.Client(timeout=0.05, retry_count=0) as client:
                with pytest.raises(errors.requests.RequestTimeoutError):
                    await client.get(url)

    run(main, loop)


def test_a_cancelled_call_leaves_nothing_behind():
    async def main():
        async with Origin() as origin, aioreq.Client() as client:
            call = asyncio.create_task(client.get(origin.url("/silent")))
            await origin.until(lambda: bool(origin.asked))
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert client.native.stats()["in_use"] == 0
            await origin.until(lambda: origin.open == 0)

    run(main)


def test_cookies_are_kept_and_sent():
    async def main():
        async with Origin() as origin, aioreq.Client() as client:
            response = await client.get(origin.url("/cookies/set?a=1&b=2"))
            assert json.loads(response.content)["cookies"] == {"a": "1", "b": "2"}
            assert len(client.cookies) == 2
            async with aioreq.Client(cookies=client.cookies) as other:
                assert json.loads((await other.get(origin.url("/cookies"))).content)["cookies"] == {"a": "1", "b": "2"}

    run(main)


# -- middlewares --------------------------------------------------------------------------------------------------------------


def names_of(client):
    found, one = [], client.middlewares
    while one is not None:
        found.append(type(one).__name__)
        one = one.next_middleware
    return found


def test_the_default_middlewares_are_those_of_the_readme():
    names = ("RetryMiddleWare", "RedirectMiddleWare", "CookiesMiddleWare", "DecodeMiddleWare", "AuthenticationMiddleWare")
    assert middlewares.default_middlewares == names
    client = aioreq.Client()
    assert names_of(client) == [*names, "TimeoutMiddleWare", "RequestMiddleWare"]
    client.middlewares = client.middlewares.next_middleware
    assert type(client.middlewares).__name__ == "RedirectMiddleWare"
    assert names_of(aioreq.Client(middlewares=names[2:])) == names_of(client)[1:]
    assert names_of(aioreq.Client(middlewares=())) == ["TimeoutMiddleWare", "RequestMiddleWare"]
    by_path = aioreq.Client(middlewares=("wirebird.compat.aioreq.middlewares.DecodeMiddleWare",))
    assert names_of(by_path)[0] == "DecodeMiddleWare"
    with pytest.raises(AttributeError):
        aioreq.Client(middlewares=("NoMiddleWare",))


def test_without_a_middleware_nothing_of_it_happens():
    async def main():
        async with Origin() as origin:
            async with aioreq.Client(middlewares=middlewares.default_middlewares[2:]) as client:
                assert (await client.get(origin.url("/chain/1"))).status == 302
            async with aioreq.Client(middlewares=()) as client:
                response = await client.get(origin.url("/coded/gzip"))
                assert response.content != FOX
                assert "accept-encoding" not in origin.asked[-1].headers
                await client.get(origin.url("/cookies/set?a=1"))
                assert len(client.cookies) == 0

    run(main)


class Marking(middlewares.MiddleWare):
    """As the README has it."""

    async def process(self, request, client):
        if request.host == "127.0.0.1":
            request.headers["test_md"] = "test"
        return await self.next_middleware.process(request, client)


class Shouting(middlewares.MiddleWare):
    async def process(self, request, client):
        response = await self.next_middleware.process(request, client)
        response.content = response.content.upper()
        response.status_message = "LOUD"
        return response


class Counting(middlewares.MiddleWare):
    async def process(self, request, client):
        seen.append(str(request.url))
        return await self.next_middleware.process(request, client)


seen: list[str] = []


def test_middlewares_of_ones_own():
    async def main():
        async with Origin() as origin:
            async with aioreq.Client() as client:
                client.middlewares = Marking(next_middleware=client.middlewares)
                response = await client.get(origin.url("/chain/1"))
                assert [asked.headers["test_md"] for asked in origin.asked] == ["test", "test"]
            # Closest to the server: it sees each hop, and what it makes of the response comes through.
            seen.clear()
            own = (*middlewares.default_middlewares, Counting, Shouting)
            async with aioreq.Client(middlewares=own) as client:
                response = await client.get(origin.url("/chain/2"))
                assert seen == [origin.url(f"/chain/{n}") for n in (2, 1, 0)]
                assert response.status_message == "LOUD"
                assert response.content.startswith(b'{"METHOD"')

    run(main)


def test_a_middleware_that_answers_itself():
    class Answering(middlewares.MiddleWare):
        async def process(self, request, client):
            return Response(status=299, status_message="Mine", headers={}, content=b"own", request=request)

    async def main():
        async with aioreq.Client(middlewares=(*middlewares.default_middlewares, Answering)) as client:
            response = await client.get("http://example.test/")
            assert (repr(response), response.content) == ("<Response 299 Mine>", b"own")

    run(main)


def test_an_unexpected_error_is_not_tried_again():
    class Failing(middlewares.MiddleWare):
        async def process(self, request, client):
            seen.append("tried")
            raise errors.base.UnexpectedError("no")

    async def main():
        async with aioreq.Client(middlewares=("RetryMiddleWare", Failing)) as client:
            with pytest.raises(errors.base.AioreqError):
                await client.get("http://example.test/")

    seen.clear()
    run(main)
    assert seen == ["tried"]


def test_the_last_middleware_needs_no_next_and_others_do():
    async def main():
        lonely = middlewares.RetryMiddleWare()
        with pytest.raises(RuntimeError, match="last"):
            await lonely.process(Request("http://h/"), aioreq.Client())

    run(main)


@pytest.mark.parametrize(("user", "status"), [("foo", 200), ("other", 401)])
def test_credentials_are_sent_when_they_are_asked_for(user, status):
    wanted = "Basic " + base64.b64encode(b"foo:bar").decode()

    async def guard(asked, wire):
        if asked.headers.get("authorization") == wanted:
            await wire.respond(200, [])
        else:
            await wire.respond(401, [("WWW-Authenticate", 'Negotiate, Basic realm="x"')])

    async def main():
        async with Origin() as origin:
            origin.on("/basic-auth/foo/bar", guard)
            async with aioreq.Client() as client:
                response = await client.get(origin.url("/basic-auth/foo/bar"), auth=(user, "bar"))
                assert response.status == status
                assert "authorization" not in origin.asked[0].headers
                assert (await client.get(origin.url("/get"), auth=(user, "bar"))).status == 200
                assert "authorization" not in origin.asked[-1].headers

    run(main)


def test_a_password_is_not_sent_where_it_can_be_proved():
    """`nonce`, `response` and the rest are `test_digest_auth.py`'s business."""

    async def guard(asked, wire):
        if asked.headers.get("authorization", "").startswith('Digest username="foo"'):
            await wire.respond(200, [])
        else:
            fields = [("WWW-Authenticate", 'Basic realm="x"'), ("WWW-Authenticate", 'Digest realm="x", nonce="y", qop="auth"')]
            await wire.respond(401, fields)

    async def main():
        async with Origin() as origin:
            origin.on("/guarded", guard)
            async with aioreq.Client() as client:
                assert (await client.get(origin.url("/guarded"), auth=("foo", "bar"))).status == 200
            assert len(origin.asked) == 2

    run(main)


# -- TLS ----------------------------------------------------------------------------------------------------------------------


def test_tls(tmp_path, monkeypatch):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    async def main():
        right, wrong = (ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) for _ in range(2))
        authority.issue_cert("127.0.0.1").configure_cert(right)
        authority.issue_cert("other.test").configure_cert(wrong)
        async with Origin(tls=right) as origin, Origin(tls=wrong) as other, aioreq.Client(retry_count=0) as client:
            with pytest.raises(OSError, match="certificate"):
                await client.get(origin.url("/get"))
            assert (await client.get(origin.url("/get"), verify_mode=False)).status == 200
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
            log = tmp_path / "logs"
            assert (await client.get(origin.url("/get"), verify_mode=True, keylog_filename=str(log))).status == 200
            assert "CLIENT_TRAFFIC_SECRET_0" in log.read_text()
            with pytest.raises(OSError, match="certificate"):
                await client.get(other.url("/get"), verify_mode=True, check_hostname=True)
            assert (await client.get(other.url("/get"), check_hostname=False)).status == 200
            with pytest.raises(OSError, match="certificate"):
                await client.get(other.url("/get"))

    run(main)


# -- streams ------------------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("path", ["/bytes/3000000", "/chunked/300000?size=5000", "/coded/gzip", "/chain/2"])
def test_a_stream_is_iterated(path, loop):
    async def main():
        async with Origin() as origin:
            async with aioreq.StreamClient() as client:
                pieces = [piece async for piece in client.get(origin.url(path))]
                assert all(pieces)
                assert max(map(len, pieces)) < 1_000_000
                body = b"".join(pieces)
            assert "accept-encoding" not in origin.asked[0].headers
            if path.startswith("/coded"):
                assert body == FOX
            elif path.startswith("/chain"):
                assert json.loads(body)["url"] == origin.url("/chain/0")
            else:
                assert body == pattern(len(body))

    run(main, loop)


def test_a_stream_is_an_iterator():
    """What was taken is not given again, and nothing is asked for twice."""

    async def main():
        async with Origin() as origin, aioreq.StreamClient() as client:
            stream = client.get(origin.url("/chunked/300000"))
            assert isinstance(stream, AsyncIterator)
            assert aiter(stream) is stream
            pieces = [await anext(stream)]
            pieces += [piece async for piece in stream]
            assert b"".join(pieces) == pattern(300_000)
            assert [piece async for piece in stream] == []
            await client.get(origin.url("/get")).aclose()
            assert len(origin.asked) == 1

    run(main)


def test_a_stream_as_a_context_manager():
    async def main():
        async with Origin() as origin:
            request = Request(url=origin.url("/bytes/300000"), method="GET")
            async with aioreq.StreamClient(request=request) as response:
                assert (response.status, response.status_message) == (200, "Fine")
                assert repr(response) == "<StreamResponse 200 Fine>"
                assert response.headers["content-length"] == "300000"
                assert response.request is request
                assert b"".join([chunk async for chunk in response.content]) == pattern(300_000)
            async with aioreq.StreamClient(headers={"X": "1"}) as client, client.post(origin.url("/echo"), "body") as response:
                assert json.loads(b"".join([chunk async for chunk in response.content]))["data"] == "body"
            await origin.until(lambda: origin.open == 0)

    run(main)


@BOTH
def test_a_stream_that_is_left_lets_go_of_its_connection(loop):
    async def main():
        async with Origin() as origin, aioreq.StreamClient() as client:
            async for _ in client.get(origin.url("/bytes/3000000")):
                break
            await origin.until(lambda: origin.open == 0)
            stream = client.get(origin.url("/bytes/3000000"))
            assert "GET" in repr(stream)
            assert await anext(stream)
            await stream.aclose()
            await origin.until(lambda: origin.open == 0)
            assert await client.native.wait_requests(5)

    run(main, loop)


def test_a_stream_that_fails_says_so():
    async def script(link):
        await link.request()
        await link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort")

    async def main():
        async with Peer(script) as peer:
            async with aioreq.StreamClient() as client:
                found = b""
                with pytest.raises(errors.response.InvalidResponseData):
                    async for piece in client.get(peer.url("/")):
                        found += piece
                assert found == b"short"
        with pytest.raises(ConnectionError):
            async with aioreq.StreamClient(request=Request(peer.url("/"))):
                pass
        async with Origin() as origin, aioreq.StreamClient(timeout=0.05) as client:
            with pytest.raises(errors.requests.RequestTimeoutError):
                _ = [piece async for piece in client.get(origin.url("/silent"))]
            with pytest.raises(errors.requests.RequestTimeoutError):
                _ = [piece async for piece in client.get(origin.url("/held?first=10"))]

    run(main)
