"""What programs for `aiohttp.web` do, by the façade and by aiohttp itself: S4-29 to S4-36 and S4-41 to S4-44, and the rest.

Where both answer the same, the test says so by asking both, and comparing.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import Any

import pytest

from aiohttp_seed import LIBRARIES
from aiohttp_served import Served, seed
from origin import run
from wirebird import HTTPClient, MultipartForm, WirebirdError
from wirebird.web import sessions

pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use web")

# Each server's own.
UNSTABLE = frozenset({"date", "server", "last-modified", "etag"})


def test_every_name_is_there():
    theirs = pytest.importorskip("aiohttp.web")
    ours = importlib.import_module("wirebird.compat.aiohttp.web")
    assert set(ours.__all__) == set(theirs.__all__)
    assert [name for name in theirs.__all__ if not hasattr(ours, name)] == []


def test_web_is_found_without_an_import_of_its_own():
    from wirebird.compat import aiohttp

    assert aiohttp.web.Application().router is not None
    assert aiohttp.test_utils.unused_port() > 0
    with pytest.raises(AttributeError):
        aiohttp.nothing


# -- the features that the slides name --------------------------------------------------------------------------------------


def test_reverse_urls(seed: Served):
    web = seed.web

    async def handler(request: Any) -> Any:
        url = request.app.router["user-info"].url_for(user="john doe", tail="a/b").with_query({"a": "b"})
        return web.Response(text=str(url))

    app = web.Application()
    app.router.add_resource(r"/users/{user}/{tail:.+}", name="user-info")
    app.add_routes([web.get("/root", handler, name="root")])
    assert str(app.router["root"].url_for()) == "/root"
    assert sorted(app.router.named_resources()) == ["root", "user-info"]
    assert app.router["user-info"].canonical == "/users/{user}/{tail}"
    assert {route.method for route in app.router.routes()} == {"GET", "HEAD"}
    with pytest.raises(KeyError):
        app.router["user-info"].url_for(user="a")

    async def use(client: HTTPClient) -> None:
        assert await (await client.get("/root")).text() == "/users/john%20doe/a/b?a=b"

    seed.ask(app, use)


def test_sessions():
    """`aiohttp_session` is another's library; wirebird's sessions go with the façade's applications."""
    seed = Served("wirebird")

    async def handler(request: Any) -> Any:
        session = await sessions.get_session(request)
        session["visits"] = session.get("visits", 0) + 1
        return seed.web.Response(text=str(session["visits"]))

    app = seed.web.Application()
    sessions.setup(app, sessions.SignedCookieStorage("a secret of at least thirty-two bytes", secure=False))
    app.router.add_get("/", handler)

    async def use(client: HTTPClient) -> None:
        first = await client.get("/")
        assert await first.text() == "1"
        (name,) = first.cookies
        again = await client.get("/", headers={"Cookie": f"{name}={first.cookies[name].value}"})
        assert await again.text() == "2"

    seed.ask(app, use)


def test_forms(seed: Served):
    async def login(request: Any) -> Any:
        data = await request.post()
        assert await request.post() is data
        return seed.web.json_response([*data.items()])

    app = seed.web.Application()
    app.add_routes([seed.web.post("/login", login), seed.web.get("/login", login)])

    async def use(client: HTTPClient) -> None:
        response = await client.post("/login", {"login": "ä b", "password": "&"})
        assert await response.json() == [["login", "ä b"], ["password", "&"]]
        assert await (await client.get("/login")).json() == []
        assert await (await client.post("/login", b"a=b", headers={"Content-Type": "text/plain"})).json() == []

    seed.ask(app, use)


@pytest.mark.parametrize("size", [5, 300_000])
def test_uploads(seed: Served, size):
    async def store(request: Any) -> Any:
        data = await request.post()
        mp3 = data["mp3"]
        assert isinstance(mp3, seed.web.FileField)
        content = mp3.file.read()
        return seed.web.json_response([mp3.name, mp3.filename, mp3.content_type, len(content), data["title"]])

    async def stream(request: Any) -> Any:
        found = []
        async for part in await request.multipart():
            size = 0
            while chunk := await part.read_chunk():
                size += len(chunk)
            found.append([part.name, part.filename, size])
        return seed.web.json_response(found)

    app = seed.web.Application()
    app.add_routes([seed.web.post("/store", store), seed.web.post("/stream", stream)])

    def form() -> MultipartForm:
        made = MultipartForm()
        made.add_field("title", "song")
        made.add_field("mp3", b"m" * size, filename="a.mp3", content_type="audio/mpeg")
        return made

    async def use(client: HTTPClient) -> None:
        assert await (await client.post("/store", form())).json() == ["mp3", "a.mp3", "audio/mpeg", size, "song"]
        assert await (await client.post("/stream", form())).json() == [["title", None, 4], ["mp3", "a.mp3", size]]

    seed.ask(app, use)


def test_a_body_that_is_too_large(seed: Served):
    async def handler(request: Any) -> Any:
        return seed.web.Response(text=str(len(await request.read())))

    async def form(request: Any) -> Any:
        return seed.web.Response(text=str(len(await request.post())))

    app = seed.web.Application(client_max_size=1000)
    app.add_routes([seed.web.post("/", handler), seed.web.post("/form", form)])

    async def use(client: HTTPClient) -> None:
        assert await (await client.post("/", b"a" * 1000)).text() == "1000"
        for path, data in (("/", b"a" * 1001), ("/form", {"a": "b" * 1001})):
            response = await client.post(path, data)
            assert response.status_code == 413
            assert await response.text() == "Maximum request body size 1000 exceeded."

    seed.ask(app, use)


def test_websockets(seed: Served):
    web, heard = seed.web, []

    async def handler(request: Any) -> Any:
        ws = web.WebSocketResponse(protocols=("chat",))
        ready = ws.can_prepare(request)
        if ready:
            assert ready == web.WebSocketReady(True, request.headers.get("Sec-WebSocket-Protocol"))
        await ws.prepare(request)
        async for message in ws:
            heard.append((message.type, message.data))
            if message.type == web.WSMsgType.TEXT and message.data == "close":
                await ws.close(code=4000, message=b"bye")
            elif message.type == web.WSMsgType.TEXT:
                await ws.send_str(message.data + "/answer")
            else:
                await ws.send_bytes(message.data)
        heard.append(ws.close_code)
        return ws

    app = web.Application()
    app.router.add_get("/ws", handler)

    async def use(client: HTTPClient) -> None:
        async with client.websocket("/ws", protocols=("chat",)) as ws:
            assert ws.subprotocol == "chat"
            await ws.send("a")
            assert await ws.receive_text() == "a/answer"
            await ws.send(b"b")
            assert await ws.receive_bytes() == b"b"
            await ws.send("close")
            async for _ in ws:
                raise AssertionError("nothing was to come")
            assert (ws.close_code, ws.close_reason) == (4000, "bye")
        async with client.websocket("/ws") as ws:
            await ws.close(3000)
        assert (await client.get("/ws")).status_code == 400

    seed.ask(app, use)
    text, binary = web.WSMsgType.TEXT, web.WSMsgType.BINARY
    assert heard == [(text, "a"), (binary, b"b"), (text, "close"), 4000, 3000]


def test_a_websocket_is_closed_when_the_application_says_so(seed: Served):
    """As aiohttp's documentation has it: the WebSockets are kept, and closed in `on_shutdown`."""
    web = seed.web

    async def handler(request: Any) -> Any:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        request.app["websockets"].append(ws)
        async for _ in ws:
            pass
        return ws

    async def on_shutdown(app: Any) -> None:
        for ws in app["websockets"]:
            await ws.close(code=seed.aiohttp.WSCloseCode.GOING_AWAY, message="Server shutdown")

    async def main() -> tuple[int | None, str | None]:
        app = web.Application()
        app["websockets"] = []
        app.router.add_get("/", handler)
        app.on_shutdown.append(on_shutdown)
        async with HTTPClient() as client:
            runner = web.AppRunner(app)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            async with client.websocket(f"http://127.0.0.1:{runner.addresses[0][1]}/") as ws:
                ending = asyncio.create_task(runner.cleanup())
                async for _ in ws:
                    raise AssertionError("nothing was to come")
                await ending
                return ws.close_code, ws.close_reason

    assert run(main) == (1001, "Server shutdown")


def test_redirects(seed: Served):
    async def handler(request: Any) -> Any:
        raise seed.web.HTTPFound(request.app.router["target"].url_for())

    async def target(request: Any) -> Any:
        return seed.web.Response(text="here")

    app = seed.web.Application()
    app.add_routes([seed.web.get("/", handler), seed.web.get("/target", target, name="target")])

    async def use(client: HTTPClient) -> None:
        response = await client.get("/")
        assert (response.status_code, response.headers["location"]) == (302, "/target")
        assert await response.text() == "302: Found"
        assert await (await client.get("/", follow=True)).text() == "here"

    seed.ask(app, use)
    with pytest.raises(ValueError, match="location"):
        seed.web.HTTPFound("")


def test_nested_applications(seed: Served):
    web, said = seed.web, []

    def tell(name: str) -> Any:
        @web.middleware
        async def middleware(request: Any, handler: Any) -> Any:
            said.append((name, request.app["name"]))
            return await handler(request)

        return middleware

    async def handler(request: Any) -> Any:
        chain = [request.app["name"], request.config_dict["name"], request.config_dict["above"]]
        return web.json_response([*chain, str(request.app.router["one"].url_for()), request.path])

    app, admin, deep = (web.Application(middlewares=[tell(name)]) for name in ("app", "admin", "deep"))
    for one, name in ((app, "app"), (admin, "admin"), (deep, "deep")):
        one["name"] = name
        one.router.add_get("/one", handler, name="one")
    app["above"] = "set"
    deep.router.add_get("", handler)
    admin.add_subapp("/deep/", deep)
    app.add_subapp("/admin/", admin)
    with pytest.raises((RuntimeError, ValueError)):
        app.add_subapp("", web.Application())

    async def use(client: HTTPClient) -> None:
        assert await (await client.get("/one")).json() == ["app", "app", "set", "/one", "/one"]
        said.clear()
        found = await (await client.get("/admin/deep/one")).json()
        assert found == ["deep", "deep", "set", "/admin/deep/one", "/admin/deep/one"]
        assert said == [("app", "app"), ("admin", "admin"), ("deep", "deep")]
        assert (await client.get("/admin/deep")).status_code == 200
        said.clear()
        assert (await client.get("/admin/nowhere")).status_code == 404
        assert said == [("app", "app"), ("admin", "admin")]

    seed.ask(app, use)


def test_a_domain_of_its_own(seed: Served):
    async def handler(request: Any) -> Any:
        return seed.web.Response(text=request.app["name"])

    app, api = seed.web.Application(), seed.web.Application()
    for one, name in ((app, "app"), (api, "api")):
        one["name"] = name
        one.router.add_get("/", handler)
    app.add_domain("*.api.example", api)

    async def use(client: HTTPClient) -> None:
        for host, name in (("v1.api.example", "api"), ("V1.API.example:80", "api"), ("api.example", "app")):
            assert await (await client.get("/", headers={"Host": host})).text() == name

    seed.ask(app, use)


def test_background_tasks_and_the_order_of_signals(seed: Served):
    web, said = seed.web, []

    async def worker(app: Any) -> None:
        try:
            app["ticks"].set()
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            said.append("cancelled")
            raise

    async def background(app: Any) -> Any:
        said.append("context in")
        app["ticks"] = asyncio.Event()
        task = asyncio.create_task(worker(app))
        await app["ticks"].wait()
        yield
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        said.append("context out")

    def signal(name: str) -> Any:
        async def receiver(app: Any) -> None:
            said.append(name)

        return receiver

    app, below = web.Application(), web.Application()
    app.cleanup_ctx.append(background)
    for name in ("startup", "shutdown", "cleanup"):
        getattr(app, f"on_{name}").append(signal(name))
        getattr(below, f"on_{name}").append(signal(f"below {name}"))
    app.add_subapp("/below", below)

    async def use(client: HTTPClient) -> None:
        said.append("serving")
        assert (await client.get("/")).status_code == 404

    seed.ask(app, use)
    assert said == [
        *("context in", "startup", "below startup", "serving", "shutdown", "below shutdown"),
        *("cancelled", "context out", "cleanup", "below cleanup"),
    ]


def test_a_start_that_fails_is_cleaned_up(seed: Served):
    said = []

    async def context(app: Any) -> Any:
        said.append("in")
        yield
        said.append("out")

    async def fail(app: Any) -> None:
        raise ValueError("no database")

    app = seed.web.Application()
    app.cleanup_ctx.append(context)
    app.on_startup.append(fail)

    async def main() -> None:
        runner = seed.web.AppRunner(app)
        try:
            with pytest.raises(ValueError, match="no database"):
                await runner.setup()
        finally:
            await runner.cleanup()

    run(main)
    # aiohttp leaves it to whoever calls `app.cleanup()`.
    assert said == (["in", "out"] if seed.name == "wirebird" else said)


# -- middlewares ------------------------------------------------------------------------------------------------------------


def test_middlewares_change_requests_and_responses(seed: Served):
    @seed.web.middleware
    async def middleware(request: Any, handler: Any) -> Any:
        request["user"] = "me"
        response = await handler(request)
        response.text = response.text + " wink"
        response.headers["X-Seen"] = "yes"
        return response

    async def handler(request: Any) -> Any:
        return seed.web.Response(text=request["user"])

    app = seed.web.Application(middlewares=[middleware])
    app.router.add_get("/", handler)

    async def use(client: HTTPClient) -> None:
        response = await client.get("/")
        assert await response.text() == "me wink"
        assert response.headers["x-seen"] == "yes"
        assert response.headers["content-length"] == "7"

    seed.ask(app, use)


def test_the_chain_is_applied_in_reverse_order(seed: Served):
    """S4-43: the last is applied to the handler first, so the first is the outermost; errors pass all of them."""
    web, said = seed.web, []

    def make(name: str) -> Any:
        @web.middleware
        async def middleware(request: Any, handler: Any) -> Any:
            said.append(f"{name} in")
            await asyncio.sleep(0)  # S4-44: it may await
            try:
                return await handler(request)
            except web.HTTPException as error:
                said.append(f"{name} {error.status}")
                raise
            finally:
                said.append(f"{name} out")

        return middleware

    async def handler(request: Any) -> Any:
        said.append("handler")
        if "error" in request.query:
            raise web.HTTPForbidden(text="no", reason="Not You", headers={"X-Why": "that"})
        return web.Response()

    app = web.Application(middlewares=[make("1"), make("2")])
    app.router.add_get("/", handler)

    async def use(client: HTTPClient) -> None:
        for path, expected in (
            ("/", ["1 in", "2 in", "handler", "2 out", "1 out"]),
            ("/?error", ["1 in", "2 in", "handler", "2 403", "2 out", "1 403", "1 out"]),
            ("/nowhere", ["1 in", "2 in", "2 404", "2 out", "1 404", "1 out"]),
        ):
            said.clear()
            response = await client.get(path)
            assert said == expected
            if "error" in path:
                assert (response.status_code, response.reason, response.headers["x-why"]) == (403, "Not You", "that")
                assert await response.text() == "no"

    seed.ask(app, use)


def test_a_middleware_that_answers_itself(seed: Served):
    @seed.web.middleware
    async def error_pages(request: Any, handler: Any) -> Any:
        try:
            return await handler(request)
        except seed.web.HTTPException as error:
            return seed.web.json_response({"error": error.reason}, status=error.status)
        except ZeroDivisionError:
            raise seed.web.HTTPInternalServerError(text="divided") from None

    async def handler(request: Any) -> Any:
        return 1 // 0

    app = seed.web.Application(middlewares=[error_pages])
    app.router.add_get("/", handler)

    async def use(client: HTTPClient) -> None:
        response = await client.get("/nowhere")
        assert (response.status_code, await response.json()) == (404, {"error": "Not Found"})
        assert await (await client.get("/")).text() == "divided"

    seed.ask(app, use)


# -- both answer the same ---------------------------------------------------------------------------------------------------


def compare(make: Callable[[Any], Any], *asked: Any) -> list[Any]:
    """What the application that `make(web)` gives answers; aiohttp itself answers the same."""
    if not LIBRARIES:
        return []
    pytest.importorskip("aiohttp")
    answers = []
    for name in LIBRARIES:
        seed = Served(name)

        async def use(client: HTTPClient) -> list[Any]:
            found = []
            for one in asked:
                method, path, *rest = one.split(" ", 2) if isinstance(one, str) else one
                options = rest[0] if rest else {}
                response = await client.request(seed.origin + path, method, **options)
                headers = sorted((key.lower(), value) for key, value in response.headers.items() if key.lower() not in UNSTABLE)
                found.append((method, path, response.status_code, response.reason, headers, await response.content()))
            return found

        answers.append(seed.ask(make(seed.web), use))
    for ours, theirs in zip(*answers, strict=True):
        assert ours == theirs
    return answers[0]


def test_what_a_request_says():
    def make(web: Any) -> Any:
        async def handler(request: Any) -> Any:
            said = {
                name: str(getattr(request, name))
                for name in (
                    *("method", "version", "scheme", "secure", "path", "path_qs", "raw_path", "rel_url", "query_string"),
                    *("content_type", "charset", "content_length", "keep_alive", "body_exists", "can_read_body"),
                    *("if_modified_since", "if_unmodified_since", "if_range", "if_match", "if_none_match"),
                    *("forwarded", "cookies", "remote", "match_info", "host"),
                )
            }
            said["host"] = said["host"].partition(":")[0]
            said["match_info"] = said["match_info"].partition(":")[0]
            said["query"] = str([*request.query.items()])
            said["url"] = str(request.url.with_port(None).with_host("host"))
            try:
                said["range"] = str(request.http_range)
            except ValueError as error:
                said["range"] = str(error)
            said["text"] = await request.text()
            assert isinstance(request, web.Request) and isinstance(request, web.BaseRequest)
            assert request.headers["hOST"] and request.config_dict["key"] == 1
            assert request.transport is not None and request.protocol is not None and request.task is not None
            if not said["text"]:
                copy = request.clone(method="PUT", rel_url="/other?x=1", scheme="https", host="h", remote="1.2.3.4")
                said["clone"] = f"{copy.method} {copy.rel_url} {copy.url} {copy.remote} {copy.path}"
            return web.json_response(said)

        app = web.Application()
        app["key"] = 1
        app.router.add_route("*", "/{tail:.*}", handler)
        return app

    conditions = {
        "If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT",
        "If-Unmodified-Since": "rubbish",
        "If-Match": '"a", W/"b"',
        "If-None-Match": "*",
        "Range": "bytes=2-5",
        "Forwarded": 'for=192.0.2.60;proto=http;by="[2001:db8::1]", for=unknown',
        "Cookie": "a=1; b=2",
    }
    ranges = ("bytes=-5", "bytes=5-", "bytes=-", "lines=1-2", "bytes=5-2")
    compare(
        make,
        "GET /a%20b/c%2Fd?x=%C3%A9&y=1+2&y=3#nothing",
        ("GET", "/", {"headers": conditions}),
        ("POST", "/", {"data": b"abc", "headers": {"Content-Type": 'Text/Plain; charset="latin-1"'}}),
        "DELETE /é",
        *(("GET", "/", {"headers": {"Range": value}}) for value in ranges),
    )


def test_responses():
    def make(web: Any) -> Any:
        async def streamed(request: Any) -> Any:
            response = web.StreamResponse(headers={"Content-Type": "text/csv"})
            response.set_cookie("a", "b c", max_age=10, httponly=True, samesite="Lax")
            response.del_cookie("gone", path="/x")
            await response.prepare(request)
            for piece in (b"a,", b"b", b"\n"):
                await response.write(piece)
            await response.write_eof(b"end")
            return response

        async def pieces() -> Any:
            for piece in (b"1", b"2"):
                yield piece

        answers = {
            "text": lambda: web.Response(text="é", content_type="text/html", charset="latin-1"),
            "bytes": lambda: web.Response(body=b"abc", status=201, reason="Made"),
            "json": lambda: web.json_response({"a": [1, "é"]}, status=202, headers={"X-A": "1"}),
            "generator": lambda: web.Response(body=pieces(), content_type="text/plain"),
            "form": lambda: web.Response(body="text as a payload"),
            "empty": lambda: web.Response(status=204),
            "unchanged": lambda: web.Response(status=304, headers={"ETag": '"x"'}),
            "length": lambda: web.Response(headers={"Content-Length": "0", "Content-Type": "text/plain"}),
            "latin": lambda: web.Response(headers={"Content-Type": "text/plain; charset=utf-16"}, text="a"),
        }

        async def whole(request: Any) -> Any:
            return answers[request.match_info["name"]]()

        async def changed(request: Any) -> Any:
            response = web.Response(text="a")
            response.text = "other"
            response.headers.add("X-A", "1")
            response.headers.add("X-A", "2")
            response.content_type = "text/x"
            response.last_modified = 784111777
            response.etag = "tag"
            response.set_cookie("a", "1")
            response.cookies["a"]["secure"] = True
            response.force_close()
            response.set_status(299, "Odd")
            response["kept"] = 1
            assert response.etag.value == "tag" and response.last_modified.year == 1994
            assert not response.prepared and response.keep_alive is False
            return response

        async def compressed(request: Any) -> Any:
            response = web.Response(text="a" * 5000)
            response.enable_compression(web.ContentCoding[request.query["force"]] if request.query else None)
            return response

        async def chunked(request: Any) -> Any:
            response = web.Response(text="abc")
            response.enable_chunked_encoding()
            return response

        app = web.Application()
        app.add_routes(
            [
                *(web.get("/whole/{name}", whole), web.get("/streamed", streamed), web.get("/changed", changed)),
                *(web.get("/compressed", compressed), web.get("/chunked", chunked)),
            ]
        )
        return app

    names = ("text", "bytes", "json", "generator", "form", "empty", "unchanged", "length", "latin")
    compare(
        make,
        *(f"GET /whole/{name}" for name in names),
        *("HEAD /whole/text", "GET /streamed", "GET /changed", "GET /chunked"),
        *(("GET", "/compressed", {"headers": {"Accept-Encoding": value}}) for value in ("gzip, deflate", "gzip", "br", "")),
        ("GET", "/compressed?force=gzip", {"headers": {"Accept-Encoding": ""}}),
    )


def test_exceptions():
    def make(web: Any) -> Any:
        kinds = {
            "302": lambda: web.HTTPFound("/é?a=b c"),
            "405": lambda: web.HTTPMethodNotAllowed("get", ["POST", "PUT"]),
            "413": lambda: web.HTTPRequestEntityTooLarge(10, 20),
            "451": lambda: web.HTTPUnavailableForLegalReasons("http://law.example/"),
            "204": lambda: web.HTTPNoContent(),
            "401": lambda: web.HTTPUnauthorized(
                headers={"WWW-Authenticate": "Basic"}, text="{}", content_type="application/json"
            ),
            "503": lambda: web.HTTPServiceUnavailable(reason="Later"),
        }

        async def handler(request: Any) -> Any:
            error = kinds[request.match_info["kind"]]()
            error.headers["X-More"] = "1"
            error.set_cookie("a", "b")
            assert isinstance(error, web.HTTPException | web.Response) and error.prepared is False
            raise error

        app = web.Application()
        app.router.add_get("/{kind}", handler)
        return app

    compare(make, *(f"GET /{kind}" for kind in ("302", "405", "413", "451", "204", "401", "503")))
    ours = importlib.import_module("wirebird.compat.aiohttp.web")
    theirs = pytest.importorskip("aiohttp.web")
    for name in theirs.__all__:
        if name.startswith("HTTP"):
            mine, other = getattr(ours, name), getattr(theirs, name)
            assert (mine.status_code, mine.empty_body) == (other.status_code, other.empty_body)
            assert [one.__name__ for one in mine.__mro__ if one.__name__.startswith("HTTP")] == [
                one.__name__ for one in other.__mro__ if one.__name__.startswith("HTTP")
            ]


def test_routes_are_found_as_by_aiohttp():
    def make(web: Any) -> Any:
        def say(name: str) -> Any:
            async def handler(request: Any) -> Any:
                return web.json_response([name, dict(request.match_info), request.match_info.route.resource.canonical])

            return handler

        class Both(web.View):
            async def get(self) -> Any:
                return web.Response(text=f"get {self.request.path}")

            async def post(self) -> Any:
                return web.Response(text="post")

        routes = web.RouteTableDef()

        @routes.get("/table", allow_head=False)
        async def table(request: Any) -> Any:
            return web.Response(text="table")

        @routes.view("/decorated")
        class Decorated(web.View):
            async def delete(self) -> Any:
                return web.Response(text="deleted")

        app = web.Application(middlewares=[web.normalize_path_middleware()])
        app.add_routes(
            [
                web.get("/{tail:.*}", say("all")),
                web.get("/users/{id:[0-9]+}", say("number")),
                web.get("/users/{name}", say("name")),
                web.post("/users/{name}/x", say("post")),
                web.get("/users/me", say("me")),
                web.get(r"/{a}-{b}/{c:x{2}}", say("parts")),
                web.view("/view", Both),
                web.get("/slash/", say("slash")),
                web.route("PROPFIND", "/users/{name}/x", say("propfind")),
            ]
        )
        app.add_routes(routes)
        return app

    compare(
        make,
        *("GET /", "GET /users/1", "GET /users/me", "GET /users/you", "GET /users/a/x", "POST /users/a/x", "PUT /users/a/x"),
        *("PROPFIND /users/a/x", "GET /a-b/xx", "GET /a-b-c/xx", "GET /view", "POST /view", "PUT /view", "HEAD /view"),
        *("GET /table", "HEAD /table", "DELETE /decorated", "GET /decorated", "GET /slash", "GET /users/%C3%A9%2F"),
    )


def test_paths_are_normalized():
    def make(web: Any) -> Any:
        async def handler(request: Any) -> Any:
            return web.Response(text=request.path)

        app = web.Application(middlewares=[web.normalize_path_middleware()])
        app.router.add_get("/slash/", handler)
        app.router.add_get("/a/{b}", handler)
        return app

    compare(make, "GET /slash", "GET /slash?a=b", "GET //a///b", "GET //slash", "GET /nowhere//at/all", "POST /slash")


def test_files():
    def make(web: Any) -> Any:
        folder = importlib.import_module("test_seed_aiohttp_web").__file__.rpartition("/")[0]

        async def handler(request: Any) -> Any:
            return web.FileResponse(f"{folder}/origin.py", headers={"Cache-Control": "no-cache", "Content-Type": "text/x"})

        app = web.Application()
        app.router.add_static("/static/", folder, name="static", append_version=True)
        app.router.add_get("/file", handler)
        url = app.router["static"].url_for(filename="/origin.py", append_version=False)
        assert str(url) == "/static/origin.py"
        return app

    compare(
        make,
        *("GET /file", "HEAD /file", "GET /static", "GET /static/", "POST /static/origin.py"),
        ("GET", "/file", {"headers": {"Range": "bytes=5-9"}}),
    )


def test_what_receivers_of_on_response_prepare_do():
    def make(web: Any) -> Any:
        async def prepare(request: Any, response: Any) -> None:
            response.headers["X-Prepared"] = f"{request.path} {response.status}"
            del response.headers["Server"]

        async def handler(request: Any) -> Any:
            if "stream" in request.query:
                response = web.StreamResponse()
                await response.prepare(request)
                await response.write(b"x")
                return response
            return web.Response(text="x")

        app = web.Application()
        app.on_response_prepare.append(prepare)
        app.router.add_get("/", handler)
        return app

    compare(make, "GET /", "GET /?stream", "GET /nowhere")

    async def use(client: HTTPClient) -> None:
        for path in ("/", "/?stream", "/nowhere"):
            response = await client.get(path)
            assert "server" not in response.headers
            assert "date" in response.headers

    seed = Served("wirebird")
    seed.ask(make(seed.web), use)


def test_what_is_wrong_with_a_handler(seed: Served, caplog):
    web = seed.web

    async def boom(request: Any) -> Any:
        raise RuntimeError("secret")

    async def nothing(request: Any) -> None:
        return None

    async def slow(request: Any) -> Any:
        raise TimeoutError

    async def half(request: Any) -> Any:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        raise RuntimeError("too late")

    app = web.Application()
    app.add_routes([web.get(f"/{one.__name__}", one) for one in (boom, nothing, slow, half)])

    async def use(client: HTTPClient) -> None:
        response = await client.get("/boom")
        assert response.status_code == 500
        assert await response.text() == "500 Internal Server Error\n\nServer got itself in trouble"
        response = await client.get("/nothing")
        assert (response.status_code, await response.text()) == (500, "500: Internal Server Error")
        html = await client.get("/boom", headers={"Accept": "text/html"})
        assert html.content_type == "text/html"
        assert "secret" not in await html.text()
        assert (await client.get("/slow")).status_code == 504
        with pytest.raises(WirebirdError, match="the connection ended after 4 bytes"):
            await (await client.get("/half")).content()

    seed.ask(app, use)
    errors = [record for record in caplog.records if record.name == "aiohttp.server" and record.levelname == "ERROR"]
    assert len(errors) == 5
    assert sum(bool(record.exc_info) for record in errors) >= 4


def test_a_client_that_leaves():
    seed = Served("wirebird")
    web, seen = seed.web, []

    async def handler(request: Any) -> Any:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65536)
        except ConnectionResetError as error:
            seen.append(type(error).__name__)
        return response

    app = web.Application()
    app.router.add_get("/", handler)

    async def use(client: HTTPClient) -> None:
        async with client.get("/") as response:
            await response.read(10)
        while not seen:
            await asyncio.sleep(0.01)

    seed.ask(app, use, shutdown_timeout=0.1)
    assert seen == ["ClientConnectionResetError"]


def test_the_access_log(seed: Served, caplog):
    caplog.set_level("INFO", "aiohttp.access")

    async def handler(request: Any) -> Any:
        return seed.web.Response(text="hello")

    app = seed.web.Application()
    app.router.add_get("/", handler)

    async def use(client: HTTPClient) -> None:
        await (await client.get("/?a=b", headers={"User-Agent": "me", "Referer": "there"})).content()

    seed.ask(app, use, access_log_format='%a "%r" %s "%{Referer}i" "%{User-Agent}i" %{Content-Type}o %{X-None}o')
    said = [record.getMessage() for record in caplog.records if record.name == "aiohttp.access"]
    assert said == ['127.0.0.1 "GET /?a=b HTTP/1.1" 200 "there" "me" text/plain; charset=utf-8 -']


def test_keys_of_an_application(seed: Served):
    web = seed.web
    key = web.AppKey("key", int)
    app = web.Application()
    app[key] = 1
    assert app[key] == 1 and key in app and app.get(web.AppKey("key", int)) is None
    assert [*app] == [key]
    assert repr(key).startswith("<AppKey(") and repr(key).endswith("key, type=int)>")
    app.freeze()
    with pytest.warns(DeprecationWarning, match="Changing state"):
        app[key] = 2
    with pytest.raises(RuntimeError):
        app.router.add_get("/", lambda request: None)
    with pytest.raises(RuntimeError):
        app.on_startup.append(lambda app: None)


def test_a_server_without_an_application(seed: Served):
    async def handler(request: Any) -> Any:
        return seed.web.Response(text=f"{request.method} {request.path}")

    async def main() -> str:
        loop = asyncio.get_running_loop()
        server = seed.web.Server(handler)
        listening = await loop.create_server(server, "127.0.0.1", 0)
        async with HTTPClient() as client:
            port = listening.sockets[0].getsockname()[1]
            text = await (await client.get(f"http://127.0.0.1:{port}/a")).text()
        listening.close()
        await server.shutdown(1)
        await listening.wait_closed()
        return text

    assert run(main) == "GET /a"


def test_test_utils(seed: Served):
    utils = importlib.import_module(f"{LIBRARIES[seed.name]}.test_utils")

    async def handler(request: Any) -> Any:
        return seed.web.Response(text=request.query.get("name", "nobody"))

    app = seed.web.Application()
    app.router.add_get("/", handler)

    async def main() -> None:
        async with utils.TestClient(utils.TestServer(app)) as client:
            response = await client.get("/", params={"name": "me"})
            assert response.status == 200
            assert await response.text() == "me"
            async with client.post("/") as refused:
                assert refused.status == 405
        request = utils.make_mocked_request("GET", "/?name=mock", headers={"X-A": "1"})
        response = await handler(request)
        assert (response.text, request.headers["X-A"], request.match_info) == ("mock", "1", {})

    run(main)


def test_a_facade_s_application_is_one_of_wirebird():
    """So what serves, or tests, those takes it too."""
    from wirebird import web
    from wirebird.testing import TestClient

    seed = Served("wirebird")

    async def handler(request: Any) -> Any:
        return seed.web.Response(text="served")

    app = seed.web.Application()
    app.router.add_get("/", handler)
    assert isinstance(app, web.Application)
    assert app() is app

    async def main() -> str:
        async with TestClient(app) as client:
            return await (await client.get("/")).text()

    assert run(main) == "served"


def test_wirebird_s_pages_about_an_application_know_its_routes():
    from wirebird.cli.dev.route_table import list_routes

    seed = Served("wirebird")

    async def handler(request: Any) -> Any:
        return seed.web.Response()

    app, below = seed.web.Application(), seed.web.Application()
    app.router.add_get("/{name}", handler, name="named")
    below.router.add_post("/x", handler)
    app.add_subapp("/below", below)
    assert [(row.methods, row.path, row.name) for row in list_routes(app)] == [
        *(("HEAD", "/{name}", "named"), ("GET", "/{name}", "named"), ("POST", "/below/x", "")),
    ]
    assert app.router.match("POST", "/below/x", ()).route.resource.canonical == "/below/x"
    assert app.router.match("GET", "/below/x", ()).route is None
