"""`web.cors`: who may read, what is answered to a preflight, and what is never said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from origin import run
from web_wire import Answer, ask
from wirebird import web
from wirebird.errors import UsageError
from wirebird.testing import TestServer
from wirebird.web import cors

APP = "https://app.example"


async def text(request: web.Request) -> web.StreamResponse:
    return web.Response(text="text", headers={"X-Own": "1"})


async def streamed(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    return response


async def moved(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/elsewhere")


def app_with(origins: Any = (APP,), **options: Any) -> web.Application:
    app = web.Application()
    cors.setup(app, origins, **options)
    app.add_routes([web.get("/", text), web.put("/", text), web.get("/streamed", streamed), web.get("/moved", moved)])
    return app


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[TestServer]:
    async with TestServer(app) as server:
        yield server
    assert server.errors == []


def request(origin: str | None, *fields: str, method: str = "GET", path: str = "/") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: a", *([f"Origin: {origin}"] if origin is not None else []), *fields]
    return "\r\n".join([*lines, "", ""]).encode()


def preflight(origin: str | None, method: str, *headers: str, path: str = "/", more: tuple[str, ...] = ()) -> bytes:
    fields = [f"Access-Control-Request-Method: {method}"]
    if headers:
        fields.append(f"Access-Control-Request-Headers: {','.join(headers)}")
    return request(origin, *fields, *more, method="OPTIONS", path=path)


def said(answer: Answer) -> dict[str, str]:
    """What an answer says of sharing, and how it varies."""
    fields: dict[str, str] = {}
    for line in answer.head.split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        if name.startswith("Access-Control-") or name == "Vary":
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


# -- answers -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "options", "expected"),
    [
        (APP, {}, {"Access-Control-Allow-Origin": APP, "Vary": "Origin"}),
        (None, {}, {"Vary": "Origin"}),
        ("https://evil.example", {}, {"Vary": "Origin"}),
        ("https://app.example.evil.example", {}, {"Vary": "Origin"}),
        ("https://xapp.example", {}, {"Vary": "Origin"}),
        ("http://app.example", {}, {"Vary": "Origin"}),
        ("https://app.example:8443", {}, {"Vary": "Origin"}),
        ("https://app.example/", {}, {"Vary": "Origin"}),
        ("null", {}, {"Vary": "Origin"}),
        ("*", {}, {"Vary": "Origin"}),
        ("null", {"origins": ["null"]}, {"Access-Control-Allow-Origin": "null", "Vary": "Origin"}),
        (APP, {"origins": ["HTTPS://App.example:443"]}, {"Access-Control-Allow-Origin": APP, "Vary": "Origin"}),
        (
            APP,
            {"credentials": True, "expose": ["X-Own"]},
            {
                "Access-Control-Allow-Origin": APP,
                "Access-Control-Allow-Credentials": "true",
                "Access-Control-Expose-Headers": "X-Own",
                "Vary": "Origin",
            },
        ),
        ("https://evil.example", {"credentials": True, "expose": ["X-Own"]}, {"Vary": "Origin"}),
        (APP, {"origins": "*"}, {"Access-Control-Allow-Origin": "*"}),
        (None, {"origins": "*"}, {}),
    ],
)
def test_who_may_read_an_answer(origin: str | None, options: dict[str, Any], expected: dict[str, str]) -> None:
    async def main() -> None:
        async with serving(app_with(**options)) as server:
            answer = await ask(server, request(origin))
            assert answer.text == "text"
            assert said(answer) == expected

    run(main)


@pytest.mark.parametrize(("path", "status"), [("/streamed", 200), ("/moved", 302), ("/nowhere", 404)])
def test_every_kind_of_answer_says_it(path: str, status: int) -> None:
    async def main() -> None:
        async with serving(app_with()) as server:
            answer = await ask(server, request(APP, path=path))
            assert answer.status == status
            assert said(answer) == {"Access-Control-Allow-Origin": APP, "Vary": "Origin"}

    run(main)


def test_two_origins_are_none() -> None:
    async def main() -> None:
        async with serving(app_with()) as server:
            assert said(await ask(server, request(APP, f"Origin: {APP}"))) == {"Vary": "Origin"}

    run(main)


def test_what_a_handler_says_itself_does_not_count() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(headers={"access-control-allow-origin": "*", "Vary": "Accept, origin"})

    async def main() -> None:
        app = web.Application()
        cors.setup(app, [APP])
        app.add_routes([web.get("/", handler)])
        async with serving(app) as server:
            assert said(await ask(server, request("https://evil.example"))) == {"Vary": "Accept, origin"}
            assert said(await ask(server, request(APP))) == {"Access-Control-Allow-Origin": APP, "Vary": "Accept, origin"}

    run(main)


# -- preflights --------------------------------------------------------------------------------------------------------------


def test_a_preflight() -> None:
    async def main() -> None:
        async with serving(app_with(credentials=True, headers=["Content-Type", "X-Token"], max_age=60)) as server:
            answer = await ask(server, preflight(APP, "PUT", "x-token", "content-type"))
            assert answer.status == 204
            assert answer.body == b""
            assert said(answer) == {
                "Access-Control-Allow-Origin": APP,
                "Access-Control-Allow-Credentials": "true",
                "Access-Control-Allow-Methods": "PUT",
                "Access-Control-Allow-Headers": "x-token, content-type",
                "Access-Control-Max-Age": "60",
                "Vary": "Access-Control-Request-Method, Access-Control-Request-Headers, Origin",
            }
        async with serving(app_with(methods=["GET", "PUT"], max_age=None)) as server:
            fields = said(await ask(server, preflight(APP, "PUT")))
            assert fields["Access-Control-Allow-Methods"] == "GET, PUT"
            assert "Access-Control-Max-Age" not in fields
            assert "Access-Control-Allow-Headers" not in fields

    run(main)


@pytest.mark.parametrize(
    ("options", "data", "status"),
    [
        ({}, preflight("https://evil.example", "PUT"), 403),
        ({}, preflight(None, "PUT"), 403),
        ({}, preflight(APP, "DELETE"), 405),
        ({}, preflight(APP, "put"), 405),
        ({}, preflight(APP, "PUT", path="/nowhere"), 404),
        ({}, preflight(APP, "PUT", "X-Other"), 403),
        ({}, preflight(APP, "PUT", "Content-Type", "Authorization"), 403),
        ({"headers": "*"}, preflight(APP, "PUT", "Authorization"), 403),
        ({"headers": ["Authorization"]}, preflight(APP, "PUT", "Authorization"), 204),
        ({"headers": "*"}, preflight(APP, "PUT", "X-Other"), 204),
        ({"headers": "*"}, preflight(APP, "PUT", "X Other"), 400),
        ({"methods": ["GET"]}, preflight(APP, "PUT"), 403),
        ({}, preflight(APP, "PUT", more=("Access-Control-Request-Private-Network: true",)), 403),
        ({}, request(APP, method="OPTIONS"), 405),
        ({"origins": "*"}, preflight("https://any.example", "PUT"), 204),
    ],
)
def test_what_a_preflight_gets(options: dict[str, Any], data: bytes, status: int) -> None:
    async def main() -> None:
        async with serving(app_with(**options)) as server:
            answer = await ask(server, data)
            assert answer.status == status
            assert ("Access-Control-Allow-Methods" in said(answer)) is (status == 204)
            assert "private-network" not in answer.head.lower()

    run(main)


def test_a_method_that_is_none_is_not_repeated() -> None:
    async def main() -> None:
        app = web.Application()
        cors.setup(app, [APP])
        app.add_routes([web.route("*", "/", text)])
        async with serving(app) as server:
            assert (await ask(server, preflight(APP, "GET, PUT"))).status == 400
            assert (await ask(server, preflight(APP, "ANYTHING"))).status == 204

    run(main)


def test_a_handler_of_options_is_for_other_requests() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text="own")

    async def main() -> None:
        app = app_with()
        app.add_routes([web.options("/own", handler), web.get("/own", text)])
        async with serving(app) as server:
            assert (await ask(server, request(APP, method="OPTIONS", path="/own"))).text == "own"
            assert (await ask(server, preflight(APP, "GET", path="/own"))).status == 204

    run(main)


def test_applications_below() -> None:
    async def main() -> None:
        app, shares, own = app_with(), web.Application(), app_with(["https://other.example"])
        shares.add_routes([web.get("/x", text)])
        app.add_subapp("/shares", shares)
        app.add_subapp("/own", own)
        async with serving(app) as server:
            assert said(await ask(server, request(APP, path="/shares/x")))["Access-Control-Allow-Origin"] == APP
            assert (await ask(server, preflight(APP, "GET", path="/shares/x"))).status == 204
            assert said(await ask(server, request(APP, path="/own/"))) == {"Vary": "Origin"}
            assert (await ask(server, preflight(APP, "GET", path="/own/"))).status == 403
            other = "https://other.example"
            assert said(await ask(server, request(other, path="/own/")))["Access-Control-Allow-Origin"] == other
            assert (await ask(server, preflight(other, "GET", path="/own/"))).status == 204

    run(main)


def test_middlewares_behind_it_are_not_asked_for_a_preflight() -> None:
    async def login(request: web.Request, handler: Any) -> web.StreamResponse:
        raise web.HTTPUnauthorized

    async def main() -> None:
        app = web.Application(middlewares=[login])
        cors.setup(app, [APP])
        app.add_routes([web.get("/", text)])
        async with serving(app) as server:
            assert (await ask(server, preflight(APP, "GET"))).status == 204
            answer = await ask(server, request(APP))
            assert answer.status == 401
            assert said(answer)["Access-Control-Allow-Origin"] == APP

    run(main)


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"origins": "*", "credentials": True}, "credentials"),
        ({"origins": ["null"], "credentials": True}, "credentials"),
        ({"origins": APP}, "origins"),
        ({"origins": ["*"]}, "origins"),
        ({"origins": ["https://*.example"]}, "origins"),
        ({"origins": ["app.example"]}, "origins"),
        ({"origins": ["https://app.example/"]}, "origins"),
        ({"methods": "GET"}, "methods"),
        ({"methods": ["G T"]}, "methods"),
        ({"headers": "X-Own"}, "headers"),
        ({"expose": ["a,b"]}, "expose"),
        ({"max_age": -1}, "max_age"),
        ({"credentials": 1}, "credentials"),
    ],
)
def test_what_is_no_argument(options: dict[str, Any], argument: str) -> None:
    with pytest.raises(UsageError) as caught:
        cors.setup(web.Application(), **{"origins": [APP], **options})
    assert caught.value.argument == argument


def test_one_policy_for_an_application() -> None:
    app = app_with()
    with pytest.raises(UsageError):
        cors.setup(app, [APP])
