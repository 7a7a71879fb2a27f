"""`web.sessions`: what is kept, what of a cookie is believed, and when it is saved."""

from __future__ import annotations

import base64
import json
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wirebird
from effort import examples
from origin import run
from web_wire import ask
from wirebird import web
from wirebird.errors import UsageError
from wirebird.testing import TestServer
from wirebird.web import sessions

SECRET = "0123456789abcdef0123456789abcdef"
KEY = base64.urlsafe_b64encode(SECRET.encode())
_numbers = count()

Make = Callable[..., sessions.Storage]


def memory(**options: Any) -> sessions.Storage:
    return sessions.MemoryStorage(**options)


def signed(**options: Any) -> sessions.Storage:
    return sessions.SignedCookieStorage(SECRET, **options)


def encrypted(**options: Any) -> sessions.Storage:
    return sessions.EncryptedCookieStorage(KEY, **options)


ALL = pytest.mark.parametrize("make", [memory, signed, encrypted])
IN_COOKIES = pytest.mark.parametrize("make", [signed, encrypted])


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


Do = Callable[[web.Request, sessions.Session], Awaitable[web.StreamResponse | None] | web.StreamResponse | None]


@asynccontextmanager
async def serving(storage: sessions.Storage, *, errors: int = 0, **paths: Do) -> AsyncIterator[TestServer]:
    """An application where `/name` gets the session and does what `name` says; what it gives back is the response."""
    app = web.Application()
    sessions.setup(app, storage)

    def handler_for(do: Do) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handler(request: web.Request) -> web.StreamResponse:
            done = do(request, await sessions.get_session(request))
            response = await done if isinstance(done, Awaitable) else done
            return response if response is not None else web.Response(text="done")

        return handler

    async def untouched(request: web.Request) -> web.StreamResponse:
        return web.Response()

    app.add_routes([web.get(f"/{name}", handler_for(do)) for name, do in paths.items()] + [web.get("/untouched", untouched)])
    async with TestServer(app) as server:
        yield server
    assert len(server.errors) == errors, server.errors


class Browser:
    """A client that keeps cookies as they are, and shows them."""

    def __init__(self, server: TestServer, cookie: str | None = None) -> None:
        self.server = server
        self.cookie = cookie
        self.set_cookie = ""
        self.head = ""

    async def get(self, name: str) -> str:
        fields = f"Cookie: session={self.cookie}\r\n" if self.cookie else ""
        answer = await ask(self.server, f"GET /{name} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode())
        self.head = answer.head
        lines = [line for line in answer.head.split("\r\n") if line.startswith("Set-Cookie: session=")]
        self.set_cookie = lines[0].removeprefix("Set-Cookie: ") if lines else ""
        if lines:
            self.cookie = self.set_cookie.partition(";")[0].partition("=")[2] or None
        return answer.text


def visit(request: web.Request, session: sessions.Session) -> web.Response:
    session["visits"] = session.get("visits", 0) + 1
    return web.Response(text=f"{session['visits']} {session.new}")


def look(request: web.Request, session: sessions.Session) -> web.Response:
    return web.Response(text=json.dumps(dict(session)))


def end(request: web.Request, session: sessions.Session) -> None:
    session.invalidate()


# -- from request to request -------------------------------------------------------------------------------------------------


@ALL
def test_what_is_kept(make: Make) -> None:
    def put(request: web.Request, session: sessions.Session) -> None:
        session["text"] = "ü\0;,\"'"
        session["deep"] = {"list": [1, None, True, 1.5]}

    async def main() -> None:
        async with serving(make(), put=put, look=look, visit=visit) as server:
            browser = Browser(server)
            assert await browser.get("look") == "{}"
            assert browser.set_cookie == ""
            await browser.get("put")
            assert json.loads(await browser.get("look")) == {"text": "ü\0;,\"'", "deep": {"list": [1, None, True, 1.5]}}
            assert browser.set_cookie == ""  # nothing has changed
            other = Browser(server)
            assert [await other.get("visit") for _ in range(3)] == ["1 True", "2 False", "3 False"]

    run(main)


@ALL
def test_attributes_of_the_cookie(make: Make) -> None:
    async def main() -> None:
        async with serving(make(), visit=visit) as server:
            browser = Browser(server)
            await browser.get("visit")
            attributes = browser.set_cookie.split("; ")[1:]
            assert attributes == ["Path=/", "HttpOnly", "SameSite=Lax"]
        storage = make(max_age=60, domain="a.example", path="/x", secure=True, httponly=False, samesite="Strict")
        async with serving(storage, visit=visit) as server:
            browser = Browser(server)
            await browser.get("visit")
            attributes = browser.set_cookie.split("; ")[1:]
            assert attributes == ["Max-Age=60", "Domain=a.example", "Path=/x", "Secure", "SameSite=Strict"]

    run(main)


def test_secure_where_the_request_came_by_tls() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return visit(request, await sessions.get_session(request))

    async def main() -> None:
        app = web.Application()
        app.add_routes([web.get("/", handler)])
        sessions.setup(app, memory(cookie_name="__Host-session"))
        async with (
            TestServer(app, ssl=wirebird.testing.ThrowawayTLS()) as server,
            wirebird.HTTPClient(handle_cookies=True) as client,
        ):
            for number in (1, 2):
                response = await client.get(server.url(), ssl=server.tls.client)  # type: ignore[union-attr]
                assert await response.text() == f"{number} {number == 1}"
            assert "Secure" in response.headers["set-cookie"]

    run(main)


@ALL
def test_changes_within_a_value_are_seen(make: Make) -> None:
    def put(request: web.Request, session: sessions.Session) -> None:
        session.setdefault("cart", [])
        session["cart"].append("first")

    def more(request: web.Request, session: sessions.Session) -> None:
        session["cart"].append("second")

    async def main() -> None:
        async with serving(make(), put=put, more=more, look=look) as server:
            browser = Browser(server)
            await browser.get("put")
            await browser.get("more")
            assert json.loads(await browser.get("look")) == {"cart": ["first", "second"]}

    run(main)


@ALL
def test_one_session_for_a_request(make: Make) -> None:
    async def twice(request: web.Request, session: sessions.Session) -> None:
        assert await sessions.get_session(request) is session
        fresh = await sessions.new_session(request)
        assert fresh is not session
        assert await sessions.get_session(request) is fresh
        fresh["is"] = "fresh"

    async def main() -> None:
        async with serving(make(), visit=visit, twice=twice, look=look) as server:
            browser = Browser(server)
            await browser.get("visit")
            await browser.get("twice")
            assert json.loads(await browser.get("look")) == {"is": "fresh"}

    run(main)


@ALL
def test_invalidate(make: Make) -> None:
    async def main() -> None:
        async with serving(make(), visit=visit, end=end, look=look) as server:
            browser = Browser(server)
            await browser.get("end")
            assert browser.set_cookie == ""  # there was none
            await browser.get("visit")
            await browser.get("end")
            assert browser.set_cookie.startswith("session=; ")
            assert "Max-Age=0" in browser.set_cookie
            assert await browser.get("visit") == "1 True"

    run(main)


def test_what_is_invalidated_is_gone_for_requests_under_way_too() -> None:
    async def while_it_is_ended(request: web.Request, session: sessions.Session) -> None:
        browser = Browser(request.app["server"], request.cookies["session"])
        await browser.get("end")
        session["late"] = True

    async def main() -> None:
        storage = sessions.MemoryStorage()
        async with serving(storage, visit=visit, end=end, slow=while_it_is_ended) as server:
            server_of(server)["server"] = server
            browser = Browser(server)
            await browser.get("visit")
            token = browser.cookie
            await browser.get("slow")
            assert len(storage) == 0
            assert browser.set_cookie.startswith("session=; ")
            assert await Browser(server, token).get("visit") == "1 True"

    def server_of(server: TestServer) -> Any:
        app = server._guest.startup.__self__  # type: ignore[union-attr]
        app._frozen = False
        return app

    run(main)


# -- what is believed --------------------------------------------------------------------------------------------------------


def test_a_name_that_was_not_given_out_is_not_taken_over() -> None:
    async def main() -> None:
        async with serving(memory(), visit=visit, look=look) as server:
            browser = Browser(server, "chosen-by-an-attacker")
            assert await browser.get("visit") == "1 True"
            assert browser.cookie != "chosen-by-an-attacker"
            assert await Browser(server, "chosen-by-an-attacker").get("look") == "{}"

    run(main)


@pytest.mark.parametrize("how", ["renew", "new_session"])
def test_a_session_that_was_planted_is_not_the_one_after_the_login(how: str) -> None:
    async def login(request: web.Request, session: sessions.Session) -> None:
        if how == "renew":
            session.renew()
        else:
            session = await sessions.new_session(request)
        session["user"] = "victim"

    async def main() -> None:
        storage = sessions.MemoryStorage()
        async with serving(storage, visit=visit, login=login, look=look) as server:
            attacker = Browser(server)
            await attacker.get("visit")
            planted = attacker.cookie
            victim = Browser(server, planted)
            await victim.get("login")
            assert victim.cookie != planted
            assert json.loads(await victim.get("look"))["user"] == "victim"
            assert ("visits" in json.loads(await victim.get("look"))) is (how == "renew")
            assert await Browser(server, planted).get("look") == "{}"
            assert len(storage) == 1

    run(main)


@IN_COOKIES
def test_a_cookie_that_was_changed_is_not_believed(make: Make) -> None:
    async def main() -> None:
        async with serving(make(), visit=visit, look=look) as server:
            browser = Browser(server)
            await browser.get("visit")
            good = browser.cookie or ""
            assert json.loads(await browser.get("look")) == {"visits": 1}
            for at in range(0, len(good) - 2, 7):
                bad = good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :]
                assert await Browser(server, bad).get("look") == "{}", at
            for bad in (good[:-4], "", ".", "..", "a.b.c", "." + good):
                assert await Browser(server, bad).get("look") == "{}"

    run(main)


@pytest.mark.parametrize("make", [memory, signed, encrypted])
def test_no_cookie_makes_trouble(make: Make) -> None:
    storage = make()

    @settings(max_examples=examples(20))
    @given(st.lists(st.text(max_size=60), max_size=20))
    def check(tokens: list[str]) -> None:
        for token in tokens:
            with pytest.raises(StopIteration) as ended:
                storage.read(token).send(None)  # it waits for nothing
            assert ended.value.value is None

    check()


@IN_COOKIES
def test_a_cookie_of_another_name_or_secret_is_not_believed(make: Make) -> None:
    async def main() -> None:
        async with serving(make(cookie_name="other"), visit=visit) as server:
            answer = await ask(server, b"GET /visit HTTP/1.1\r\nHost: a\r\n\r\n")
            token = answer.head.partition("Set-Cookie: other=")[2].partition(";")[0]
            assert token
        async with serving(make(), look=look) as server:
            assert await Browser(server, token).get("look") == "{}"

    run(main)


def test_secrets_can_be_changed() -> None:
    async def main() -> None:
        old, new = "o" * 32, "n" * 32
        for kind, keys in (
            (sessions.SignedCookieStorage, (old, new)),
            (sessions.EncryptedCookieStorage, (old.encode(), new.encode())),
        ):
            async with serving(kind(keys[0]), visit=visit) as server:
                browser = Browser(server)
                await browser.get("visit")
                token = browser.cookie
            async with serving(kind([keys[1], keys[0]]), visit=visit) as server:
                browser = Browser(server, token)
                assert await browser.get("visit") == "2 False"
                renewed = browser.cookie
            async with serving(kind(keys[1]), visit=visit) as server:
                assert await Browser(server, token).get("visit") == "1 True"
                assert await Browser(server, renewed).get("visit") == "3 False"

    run(main)


@ALL
@pytest.mark.parametrize(("max_age", "limit"), [(None, sessions.LIFETIME), (60, 60)])
def test_an_old_cookie_is_not_believed(make: Make, max_age: int | None, limit: int) -> None:
    async def main() -> None:
        clock = Clock()
        async with serving(make(max_age=max_age, clock=clock), visit=visit, look=look) as server:
            browser = Browser(server)
            await browser.get("visit")
            assert ("Max-Age=60" in browser.set_cookie) is (max_age == 60)
            clock.now += limit - 1
            assert await browser.get("look") == '{"visits": 1}'
            clock.now += 2
            assert await browser.get("look") == "{}"
            clock.now -= limit + 1 + 3600  # made in the future
            if make is not memory:
                assert await browser.get("look") == "{}"

    run(main)


@ALL
def test_a_session_may_have_a_time_of_its_own(make: Make) -> None:
    def short(request: web.Request, session: sessions.Session) -> None:
        session["x"] = 1
        session.max_age = 10

    def touch(request: web.Request, session: sessions.Session) -> web.Response:
        session.changed()
        return web.Response(text=f"{session.max_age} {session.created}")

    async def main() -> None:
        clock = Clock()
        began = int(clock.now)
        async with serving(make(max_age=1000, clock=clock), short=short, touch=touch, look=look) as server:
            browser = Browser(server)
            await browser.get("short")
            assert "Max-Age=10;" in browser.set_cookie
            clock.now += 9
            assert await browser.get("touch") == f"10 {began}"
            clock.now += 9
            assert await browser.get("look") == '{"x": 1}'
            clock.now += 2
            assert await browser.get("look") == "{}"

    run(main)


def test_what_a_signed_cookie_shows_and_an_encrypted_one_does_not() -> None:
    def put(request: web.Request, session: sessions.Session) -> None:
        session["word"] = "visible"

    async def main() -> None:
        for make, shown in ((signed, True), (encrypted, False)):
            async with serving(make(), put=put) as server:
                browser = Browser(server)
                await browser.get("put")
                payload = base64.urlsafe_b64decode((browser.cookie or "").removeprefix(".").partition(".")[0] + "==")
                assert (b"visible" in (zlib.decompress(payload) if (browser.cookie or "")[0] == "." else payload)) is shown

    run(main)


# -- when it is saved --------------------------------------------------------------------------------------------------------


@ALL
def test_one_that_is_first_asked_for_too_late_cannot_be_changed(make: Make) -> None:
    """Nobody saves it any more: a change would be lost without a word."""

    async def late(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if "new" in request.query:
            with pytest.raises(RuntimeError, match="the head of the response was sent"):
                await sessions.new_session(request)
        session = await sessions.get_session(request)
        with pytest.raises(RuntimeError, match="the head of the response was sent"):
            session["late"] = True
        await response.write(b"held")
        return response

    async def main() -> None:
        app = web.Application()
        app.add_routes([web.get("/", late)])
        sessions.setup(app, make())
        async with TestServer(app) as server, wirebird.HTTPClient() as client:
            for target in ("/", "/?new=1"):
                response = await client.get(server.url(target))
                assert await response.content() == b"held"

    run(main)


@ALL
def test_every_kind_of_response_saves_it(make: Make) -> None:
    async def streamed(request: web.Request, session: sessions.Session) -> web.StreamResponse:
        visit(request, session)
        response = web.StreamResponse()
        await response.prepare(request)
        with pytest.raises(RuntimeError):
            session["late"] = True
        with pytest.raises(RuntimeError):
            del session["visits"]
        return response

    def raised(request: web.Request, session: sessions.Session) -> None:
        visit(request, session)
        raise web.HTTPFound("/look")

    def failed(request: web.Request, session: sessions.Session) -> None:
        visit(request, session)
        raise ValueError

    async def events(request: web.Request, session: sessions.Session) -> web.StreamResponse:
        visit(request, session)
        response = web.EventStreamResponse()
        await response.prepare(request)
        return response

    async def main() -> None:
        storage = make()
        async with serving(storage, errors=1, streamed=streamed, raised=raised, failed=failed, events=events) as server:
            for name, saved in (("streamed", True), ("raised", True), ("events", True), ("failed", False)):
                browser = Browser(server)
                await browser.get(name)
                assert (browser.cookie is not None) is saved, name

    run(main)


def test_a_websocket_saves_it() -> None:
    async def socket(request: web.Request, session: sessions.Session) -> web.StreamResponse:
        visit(request, session)
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.send_str(str(session["visits"]))
        return ws

    async def main() -> None:
        async with serving(signed(), socket=socket) as server, wirebird.HTTPClient(handle_cookies=True) as client:
            for number in "12":
                async with client.websocket(server.url("/socket")) as ws:
                    assert await ws.receive_text() == number

    run(main)


def test_applications_below_have_it_too_or_their_own() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return visit(request, await sessions.get_session(request))

    async def main() -> None:
        app, shares, own = web.Application(), web.Application(), web.Application()
        for one in (app, shares, own):
            one.add_routes([web.get("/x", handler)])
        sessions.setup(app, memory())
        sessions.setup(own, memory(cookie_name="own"))
        app.add_subapp("/shares", shares)
        app.add_subapp("/own", own)
        async with TestServer(app) as server, wirebird.HTTPClient(handle_cookies=True) as client:
            texts = [await (await client.get(server.url(path))).text() for path in ("/x", "/shares/x", "/own/x", "/own/x")]
        assert texts == ["1 True", "2 False", "1 True", "2 False"]
        assert server.errors == []

    run(main)


def test_caches_are_told() -> None:
    def cached(request: web.Request, session: sessions.Session) -> web.Response:
        return web.Response(headers={"Cache-Control": "public, max-age=60", "Vary": "Accept"})

    def careless(request: web.Request, session: sessions.Session) -> web.Response:
        visit(request, session)
        return cached(request, session)

    def careful(request: web.Request, session: sessions.Session) -> web.Response:
        visit(request, session)
        return web.Response(headers={"Cache-Control": "private, max-age=60", "Vary": "accept, cookie"})

    async def main() -> None:
        async with serving(memory(), cached=cached, careless=careless, careful=careful, visit=visit) as server:
            browser = Browser(server)
            await browser.get("untouched")
            assert "Vary" not in browser.head
            await browser.get("cached")
            varies = [one.partition(": ")[2] for one in browser.head.split("\r\n") if one.startswith("Vary: ")]
            assert ", ".join(varies) == "Accept, Cookie"
            assert "Cache-Control: public, max-age=60\r\n" in browser.head
            await browser.get("careless")
            assert "Cache-Control: no-store\r\n" in browser.head
            assert "public" not in browser.head
            await browser.get("careful")
            assert "Cache-Control: private, max-age=60\r\n" in browser.head
            assert "Vary: accept, cookie\r\n" in browser.head
            assert "Vary: Cookie" not in browser.head
            await browser.get("visit")
            assert "Cache-Control: no-store\r\n" in browser.head
            assert "Vary: Cookie\r\n" in browser.head

    run(main)


# -- limits and mistakes -----------------------------------------------------------------------------------------------------


@ALL
def test_what_does_not_fit(make: Make) -> None:
    def big(request: web.Request, session: sessions.Session) -> None:
        session["x"] = "".join(chr(33 + hash((i, "x")) % 90) for i in range(70_000))

    def odd(request: web.Request, session: sessions.Session) -> None:
        session["x"] = object()

    async def main() -> None:
        async with serving(make(), errors=2, big=big, odd=odd) as server:
            browser = Browser(server)
            assert await browser.get("big") == "500 Internal Server Error\n"
            assert await browser.get("odd") == "500 Internal Server Error\n"
        assert all(isinstance(error, UsageError) and error.argument == "session" for error in server.errors)
        assert "bytes" in str(server.errors[0])

    run(main)


def test_only_so_many_are_kept() -> None:
    async def main() -> None:
        clock = Clock()
        storage = sessions.MemoryStorage(max_sessions=3, max_age=100, clock=clock)
        async with serving(storage, visit=visit, look=look) as server:
            browsers = [Browser(server) for _ in range(4)]
            for browser in browsers[:3]:
                await browser.get("visit")
            await browsers[0].get("look")  # used
            await browsers[3].get("visit")
            assert len(storage) == 3
            assert [await browser.get("look") != "{}" for browser in browsers] == [True, False, True, True]
            clock.now += 101
            await browsers[0].get("visit")
            assert len(storage) <= 3

    run(main)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: memory(max_age=0), "max_age"),
        (lambda: memory(cookie_name="a b"), "name"),
        (lambda: memory(path="x; Domain=evil"), "path"),
        (lambda: memory(samesite="Sometimes"), "samesite"),
        (lambda: memory(samesite="None", secure=False), "samesite"),
        (lambda: memory(max_sessions=0), "max_sessions"),
        (lambda: memory(max_size=0), "max_size"),
        (lambda: sessions.SignedCookieStorage(""), "secret"),
        (lambda: sessions.SignedCookieStorage([]), "secret"),
        (lambda: sessions.SignedCookieStorage([SECRET, None]), "secret"),
        (lambda: sessions.EncryptedCookieStorage("short"), "key"),
        (lambda: sessions.EncryptedCookieStorage([]), "key"),
        (lambda: sessions.setup(web.Application(), object()), "storage"),
    ],
)
def test_what_is_no_argument(make: Callable[[], Any], argument: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert caught.value.argument == argument


def test_setup_happens_once_and_in_time() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        await sessions.get_session(request)
        return web.Response()

    async def main() -> None:
        app = web.Application()
        sessions.setup(app, memory())
        with pytest.raises(UsageError):
            sessions.setup(app, memory())
        bare = web.Application()
        bare.add_routes([web.get("/", handler)])
        async with TestServer(bare) as server:
            with pytest.raises(RuntimeError):
                sessions.setup(bare, memory())
            assert (await ask(server, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).status == 500
        assert "sessions.setup" in str(server.errors[0])

    run(main)


def test_a_session_is_careful_with_what_it_shows_and_takes() -> None:
    session = sessions.Session({"secret": "x"}, created=0)
    assert "secret" not in repr(session)
    with pytest.raises(UsageError):
        session[1] = "x"  # type: ignore[index]
    for wrong in (0, -1, 1.5, "10"):
        with pytest.raises(UsageError):
            session.max_age = wrong  # type: ignore[assignment]
    assert not session.is_changed
    assert session == session
    assert session != sessions.Session({"secret": "x"}, created=0)


@pytest.mark.parametrize("kind", [sessions.SignedCookieStorage, sessions.EncryptedCookieStorage])
def test_a_missing_extra_is_named(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("itsdangerous", "cryptography", "cryptography.fernet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"wirebird\[sessions\]"):
        kind(SECRET)


def test_a_storage_of_ones_own() -> None:
    class Shelf(sessions.Storage):
        def __init__(self) -> None:
            super().__init__()
            self.kept: dict[str, str] = {}

        async def read(self, token: str) -> str | None:
            return self.kept.get(token)

        async def write(self, token: str | None, record: str, seconds: int) -> str:
            token = token or f"t{next(_numbers)}"
            self.kept[token] = record
            return token

        async def forget(self, token: str) -> None:
            self.kept.pop(token, None)

    async def main() -> None:
        shelf = Shelf()
        async with serving(shelf, visit=visit, end=end) as server:
            browser = Browser(server)
            assert [await browser.get("visit") for _ in range(2)] == ["1 True", "2 False"]
            assert list(shelf.kept) == [browser.cookie]
            for garbage in ("", "[]", "{}", "null", '{"name":"session"}', '{"name":"session","values":[]}', "[" * 10_000):
                shelf.kept[browser.cookie or ""] = garbage
                assert await Browser(server, browser.cookie).get("visit") == "1 True"
            await browser.get("end")

    run(main)
