"""What is answered when an application fails: nothing to strangers, and to whoever debugs it everything but secrets."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from origin import run
from web_wire import Answer, ask
from wirebird import web
from wirebird.errors import LimitExceeded, UsageError
from wirebird.testing import TestServer
from wirebird.web.error_page import Section, show_failure
from wirebird.web.failures import Failure, explain, show_value

HTML = "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"
SECRET = "hunter2"


@asynccontextmanager
async def serving(handler: Any, *, debug: bool = True, errors: int = 1, **options: Any) -> AsyncIterator[TestServer]:
    app = web.Application(debug=debug, **options)
    app.add_routes([web.get("/{name:.*}", handler)])
    async with TestServer(app) as server:
        yield server
    assert len(server.errors) == errors, server.errors


def request(*fields: str, target: str = "/x") -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: a", *fields, "", ""]).encode()


def answer_of(handler: Any, *fields: str, target: str = "/x", **options: Any) -> Answer:
    async def main() -> Answer:
        async with serving(handler, **options) as server:
            return await ask(server, request(*fields, target=target))

    return run(main)


async def fails(request: web.Request) -> web.StreamResponse:
    raise ValueError(f"<script>alert(1)</script> password={SECRET}")


# -- strangers ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [(), (HTML,)])
def test_strangers_are_told_nothing(fields: tuple[str, ...], caplog: pytest.LogCaptureFixture) -> None:
    answer = answer_of(fails, *fields, debug=False)
    assert answer.status == 500
    assert answer.body == b"500 Internal Server Error\n"
    assert "text/plain" in answer.head
    assert [record.exc_info is not None for record in caplog.records if record.levelno >= logging.ERROR] == [True]


# -- whoever debugs it -------------------------------------------------------------------------------------------------------


def test_a_page_for_a_browser(caplog: pytest.LogCaptureFixture) -> None:
    answer = answer_of(fails, HTML, "Cookie: session=" + SECRET, "Authorization: Bearer " + SECRET, "X-Odd: <b>")
    assert answer.status == 500
    assert "Content-Type: text/html; charset=utf-8\r\n" in answer.head
    assert "Content-Security-Policy: default-src 'none';" in answer.head
    assert "Cache-Control: no-store\r\n" in answer.head
    assert "X-Content-Type-Options: nosniff\r\n" in answer.head
    text = answer.text
    assert "<h1>ValueError</h1>" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; password=***" in text
    assert "test_web_error_page.py:" in text
    assert "class=now" in text
    assert "&lt;b&gt;" in text
    assert SECRET not in text
    assert "<script" not in text
    assert [record.exc_info is not None for record in caplog.records if record.levelno >= logging.ERROR] == [True]


def test_the_page_is_well_formed() -> None:
    text = answer_of(fails, HTML).text
    opened: list[str] = []
    for slash, name in re.findall(r"<(/?)([a-z0-9]+)[^>]*>", text.partition("</head>")[2].removesuffix("</html>")):
        if slash:
            assert opened.pop() == name
        elif name != "meta":
            opened.append(name)
    assert opened == []


@pytest.mark.parametrize(
    "fields", [(), ("Accept: */*",), ("Accept: application/json",), ("Accept: text/html;q=0",), ("Accept: text/htmlx",)]
)
def test_text_for_others(fields: tuple[str, ...]) -> None:
    answer = answer_of(fails, *fields)
    assert answer.status == 500
    assert "Content-Type: text/plain; charset=utf-8\r\n" in answer.head
    assert answer.text.startswith("Traceback (most recent call last):\n")
    assert answer.text.endswith("ValueError: <script>alert(1)</script> password=***\n")


def test_what_is_secret_in_the_target_is_not_shown() -> None:
    text = answer_of(fails, HTML, f"Referer: https://joe:{SECRET}@b/?token={SECRET}", target=f"/x?api_key={SECRET}&page=2").text
    assert SECRET not in text
    assert "/x?api_key=***&amp;page=2" in text


def test_errors_that_are_not_of_the_handler_alone() -> None:
    async def wrong(request: web.Request) -> Any:
        return "text"

    async def broken(request: web.Request) -> web.StreamResponse:
        return web.Response(headers={"Content-Length": "5"})

    assert "TypeError" in answer_of(wrong, HTML).text
    assert "headers must leave content-length to the server" in answer_of(broken, HTML).text


def test_after_the_head_there_is_no_page() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begun")
        raise ValueError

    async def main() -> None:
        async with serving(handler) as server:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(request(HTML))
            everything = await reader.read()
            assert everything.endswith(b"begun\r\n")  # and no end
            writer.close()
            await writer.wait_closed()

    run(main)


def test_what_a_client_did_wrong_is_no_failure() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        raise LimitExceeded("too much", status=413)

    assert answer_of(handler, HTML, errors=0).status == 413
    assert answer_of(fails, HTML, errors=0, target="/%ff").status == 400


def test_a_path_that_is_none_is_told_to_those_who_listen() -> None:
    told: list[int] = []

    async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
        told.append(response.status)

    async def main() -> None:
        app = web.Application()
        app.on_response_prepare.append(on_prepare)
        async with TestServer(app) as server:
            assert (await ask(server, request(target="/%ff"))).status == 400
        assert server.errors == []

    run(main)
    assert told == [400]


def test_the_same_behind_an_asgi_server() -> None:
    app = web.Application(debug=True)
    app.add_routes([web.get("/x", fails)])

    async def guest(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    async def main() -> None:
        async with TestServer(guest) as server:
            answer = await ask(server, request(HTML))
            assert answer.status == 500
            assert "<h1>ValueError</h1>" in answer.text
        assert [type(error) for error in server.errors] == [ValueError]

    run(main)


def test_a_page_with_more_on_it() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            password, shown = SECRET, {"x": "value"}
            raise ValueError(len(password) + len(shown))
        except ValueError as error:
            return show_failure(request, error, variables=True, more=[Section("Mine", [("<a>", "<b>")])])

    text = answer_of(handler, HTML, errors=0).text
    assert "<h2>Mine</h2><table><tr><th>&lt;a&gt;</th>" in text
    assert '<th>password</th><td class="code">***</td>' in text
    assert "{&#x27;x&#x27;: &#x27;value&#x27;}" in text
    assert SECRET not in text.replace("SECRET = &quot;hunter2&quot;", "")


# -- failures ----------------------------------------------------------------------------------------------------------------


def raised(function: Any) -> list[Failure]:
    try:
        function()
    except BaseException as error:
        return explain(error, variables=True)
    raise AssertionError


def test_chains() -> None:
    def caused() -> None:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error

    def in_context() -> None:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second")

    def suppressed() -> None:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second") from None

    def group() -> None:
        raise ExceptionGroup("several", [KeyError("first"), UsageError("second")])

    def shown(function: Any) -> list[tuple[str, str]]:
        return [(one.kind, one.relation) for one in raised(function)]

    assert shown(caused) == [("KeyError", ""), ("ValueError", "cause")]
    assert shown(in_context) == [("KeyError", ""), ("ValueError", "context")]
    assert shown(suppressed) == [("ValueError", "")]
    assert shown(group) == [("KeyError", ""), ("wirebird.errors.UsageError", ""), ("ExceptionGroup", "group")]


def test_failures_are_bounded() -> None:
    def recursive(depth: int = 0) -> None:
        recursive(depth + 1)

    def chain() -> None:
        error: Exception = ValueError("0")
        for number in range(1, 100):
            later = ValueError(str(number))
            later.__cause__ = error
            error = later
        raise error

    def circle() -> None:
        one, two = ValueError("one"), ValueError("two")
        one.__cause__, two.__cause__ = two, one
        raise one

    assert len(raised(recursive)[-1].frames) == 60
    last = raised(chain)
    assert len(last) == 12
    assert last[-1].message == "99"
    assert [one.message for one in raised(circle)] == ["two", "one"]
    long = raised(lambda: exec("raise ValueError('x' * 10**6)"))
    assert len(long[-1].message) <= 4000


@pytest.fixture
def no_log() -> Iterator[None]:
    """Nothing is logged: what cannot be encoded, no log could hold."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("no_log")
def test_what_an_exception_says_is_not_trusted() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def odd() -> None:
        raise Odd

    def controls() -> None:
        raise ValueError("a\x1b[31m\nb")

    def half() -> None:
        raise ValueError("\ud800")

    assert "cannot be had: RuntimeError" in raised(odd)[-1].message
    assert raised(controls)[-1].text.endswith("ValueError: a\\x1b[31m\nb\n")

    async def handler(request: web.Request) -> web.StreamResponse:
        raise ValueError("\ud800")

    for fields in ((), (HTML,)):
        assert answer_of(handler, *fields).status == 500


def test_syntax_errors_show_where() -> None:
    failure = raised(lambda: compile("x = (\n", "/nowhere/config.py", "exec"))[-1]
    assert failure.kind == "SyntaxError"
    assert failure.frames[-1].file == "/nowhere/config.py"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"password": SECRET, "x": 1}, "{'password': ***, 'x': 1}"),
        ({"a": {"b": [{"api_key": SECRET}]}}, "{'a': {'b': [{'api_key': ***}]}}"),
        ([("Authorization", SECRET), ("Accept", "x")], "[('Authorization', ***), ('Accept', 'x')]"),
        ((b"cookie", SECRET.encode()), "(b'cookie', ***)"),
        (f"postgres://joe:{SECRET}@db/x", "'postgres://db/x'"),
        (f"a=1&token={SECRET}", "'a=1&token=***'"),
        ({}, "{}"),
        (None, "None"),
    ],
)
def test_values_without_secrets(value: object, shown: str) -> None:
    assert show_value(value) == shown


def test_values_are_bounded_and_never_raise() -> None:
    class Bad:
        def __repr__(self) -> str:
            raise RuntimeError

    class Long:
        def __repr__(self) -> str:
            return "x" * 10**6

    assert show_value(Bad()) == "<Bad, whose repr raises RuntimeError>"
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for value in (Long(), "x" * 10**7, list(range(10**5)), {i: i for i in range(10**4)}, b"x" * 10**6, 10**5000, deep):
        assert len(show_value(value)) <= 401
    while deep:  # else its end takes all the stack there is
        deep = deep.pop()
    assert SECRET not in show_value(web.Response(headers={"Set-Cookie": f"session={SECRET}"}).headers)


def test_more_variables_than_anybody_reads() -> None:
    names = {f"v{number}": number for number in range(100)}

    def many() -> None:
        exec("\n".join(f"{name} = {value}" for name, value in names.items()) + "\nraise ValueError", {}, {})

    assert raised(many)[-1].frames[-1].variables[-1] == ("…", "and 60 more")
