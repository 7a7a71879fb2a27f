"""Cookies of requests, and cookies that responses set: against browsers' rules, `http.cookies`, aiohttp, and our own jar."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from raw_peer import run
from web_wire import ask, request, serving
from wirebird import HTTPClient, web
from wirebird.errors import UsageError
from wirebird.models.cookies import CookieJar
from wirebird.web.cookies import ResponseCookies, read_cookies


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], {}),
        ([""], {}),
        (["a=1"], {"a": "1"}),
        (["a=1; b=2"], {"a": "1", "b": "2"}),
        (["a=1;b=2;"], {"a": "1", "b": "2"}),
        (["a=1", "b=2"], {"a": "1", "b": "2"}),
        (["a=1; a=2", "a=3"], {"a": "1"}),
        ([" \ta \t= \t1 \t"], {"a": "1"}),
        (["a=b=c="], {"a": "b=c="}),
        (["a="], {"a": ""}),
        (["a; b=1"], {"b": "1"}),
        (["=__Host-x=bad; b=1"], {"b": "1"}),
        (["a[1]=x; b:c=y"], {"a[1]": "x", "b:c": "y"}),
        (['a="x y"'], {"a": "x y"}),
        (['a="x\\"y\\\\z\\054\\344"'], {"a": 'x"y\\z,ä'}),
        (['a="x; b=2; c=y"; d=1'], {"a": '"x', "b": "2", "c": 'y"', "d": "1"}),
        (['a="', 'b=""', 'c="x'], {"a": '"', "b": "", "c": '"x'}),
        (['a="x\\012y"'], {"a": '"x\\012y"'}),
        (["$Version=1; a=1; Path=/"], {"$Version": "1", "a": "1", "Path": "/"}),
        (["a=%0d%0a"], {"a": "%0d%0a"}),
        (["ä=ö"], {"ä": "ö"}),
        (["a=1, b=2"], {"a": "1, b=2"}),
    ],
)
def test_what_a_request_brings(fields: list[str], expected: dict[str, str]) -> None:
    assert dict(read_cookies(fields)) == expected


@given(st.text())
def test_nothing_raises(text: str) -> None:
    for name in read_cookies([text]):
        assert name
        assert ";" not in name


@pytest.mark.parametrize("text", ['a="' + "\\" * 1_000_000 + '"', "a=1;" * 300_000, ";" * 1_000_000, "a" + " " * 1_000_000])
def test_reading_takes_linear_time(text: str) -> None:
    began = time.process_time()
    read_cookies([text])
    assert time.process_time() - began < 0.8


def set_one(name: str = "a", value: str = "1", **attributes: Any) -> str:
    cookies = ResponseCookies()
    cookies.set(name, value, **attributes)
    return cookies.lines()[0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "a=1; Path=/"),
        ({"path": None}, "a=1"),
        ({"value": ""}, "a=; Path=/"),
        ({"value": "x/y=z+%20"}, "a=x/y=z+%20; Path=/"),
        ({"value": "x y"}, 'a="x y"; Path=/'),
        ({"value": 'x"y\\z,'}, 'a="x\\"y\\\\z\\054"; Path=/'),
        ({"expires": 0}, "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/"),
        ({"expires": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)}, "a=1; Expires=Wed, 02 Jan 2030 03:04:05 GMT; Path=/"),
        ({"expires": "Wed, 02 Jan 2030 03:04:05 GMT"}, "a=1; Expires=Wed, 02 Jan 2030 03:04:05 GMT; Path=/"),
        ({"max_age": 60}, "a=1; Max-Age=60; Path=/"),
        ({"max_age": "60"}, "a=1; Max-Age=60; Path=/"),
        ({"max_age": 0}, "a=1; Max-Age=0; Path=/"),
        ({"domain": "a.example", "path": "/x"}, "a=1; Domain=a.example; Path=/x"),
        (
            {"secure": True, "httponly": True, "samesite": "lax", "partitioned": True},
            "a=1; Path=/; Secure; HttpOnly; SameSite=Lax; Partitioned",
        ),
        ({"samesite": "None", "secure": True}, "a=1; Path=/; Secure; SameSite=None"),
        ({"name": "__Host-a", "secure": True}, "__Host-a=1; Path=/; Secure"),
        ({"name": "__Secure-a", "secure": True, "domain": "x.y"}, "__Secure-a=1; Domain=x.y; Path=/; Secure"),
    ],
)
def test_what_a_response_sets(options: dict[str, Any], expected: str) -> None:
    assert set_one(**options) == expected


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "a;b"}, "name"),
        ({"name": "a\r\nX: y"}, "name"),
        ({"name": None}, "name"),
        ({"value": "a;b"}, "value"),
        ({"value": "a\r\nX: y"}, "value"),
        ({"value": "a\0"}, "value"),
        ({"value": b"a"}, "value"),
        ({"value": None}, "value"),
        ({"value": "\ud800"}, "value"),
        ({"value": "x" * 4096}, "value"),
        ({"value": '"' * 2100}, "value"),
        ({"path": "/; Domain=evil.example"}, "path"),
        ({"path": "x"}, "path"),
        ({"path": "/\r\n"}, "path"),
        ({"path": "/" + "x" * 1024}, "path"),
        ({"domain": "x; Secure"}, "domain"),
        ({"domain": "x\n"}, "domain"),
        ({"domain": "ä.example"}, "domain"),
        ({"domain": "."}, "domain"),
        ({"max_age": 1.5}, "max_age"),
        ({"max_age": True}, "max_age"),
        ({"max_age": "1; Secure"}, "max_age"),
        ({"expires": "never"}, "expires"),
        ({"expires": "Wed, 02 Jan 2030 03:04:05 GMT; Secure"}, "expires"),
        ({"expires": datetime(2030, 1, 1)}, "expires"),
        ({"expires": float("nan")}, "expires"),
        ({"samesite": "sometimes"}, "samesite"),
        ({"samesite": "lax; Secure"}, "samesite"),
        ({"samesite": "None"}, "samesite"),
        ({"partitioned": True}, "partitioned"),
        ({"secure": "yes"}, "secure"),
        ({"name": "__Host-a"}, "name"),
        ({"name": "__Host-a", "secure": True, "domain": "x.y"}, "name"),
        ({"name": "__host-a", "secure": True, "path": "/x"}, "name"),
        ({"name": "__Secure-a"}, "name"),
    ],
)
def test_what_may_not_be_set(options: dict[str, Any], argument: str) -> None:
    cookies = ResponseCookies()
    with pytest.raises(UsageError) as caught:
        cookies.set(options.pop("name", "a"), options.pop("value", "1"), **options)
    assert caught.value.argument == argument
    assert cookies.lines() == []


@given(st.text(max_size=50))
def test_what_is_set_comes_back(value: str) -> None:
    try:
        text = set_one(value=value)
    except UsageError:
        assert any(character < " " or character in ";\x7f" or "\ud800" <= character <= "\udfff" for character in value)
        return
    jar = CookieJar()
    url = URL("http://a.example/")
    jar.store(url, [text], 0)
    assert read_cookies([jar.header(url, 0) or ""])["a"] == value
    theirs: SimpleCookie = SimpleCookie(text)
    if value.isascii() and value.isprintable():
        assert theirs["a"].value == value


def test_what_http_cookies_sets_is_read() -> None:
    theirs: SimpleCookie = SimpleCookie()
    theirs["a"] = 'x "y" ;,\\ ä'
    assert read_cookies([theirs["a"].OutputString()])["a"] == 'x "y" ;,\\ ä'


def test_the_mapping() -> None:
    cookies = ResponseCookies()
    cookies["a"] = "1"
    cookies.set("b", "2", path="/b")
    cookies.set("a", "3", httponly=True)
    assert list(cookies) == ["a", "b"]
    assert len(cookies) == 2
    one = cookies["a"]
    assert (one.key, one.value, one["path"], one["domain"], one["httponly"]) == ("a", "3", "/", "", True)
    one["max-age"] = 60
    one["max_age"] = 61
    one["SameSite"] = "strict"
    one["httponly"] = False
    assert dict(one) == {"path": "/", "max-age": "61", "samesite": "Strict"}
    assert cookies.lines() == ["a=3; Max-Age=61; Path=/; SameSite=Strict", "b=2; Path=/b"]
    del one["samesite"]
    del cookies["b"]
    assert cookies.lines() == ["a=3; Max-Age=61; Path=/"]
    with pytest.raises(UsageError):
        one["path"] = "/; Domain=evil"
    with pytest.raises(UsageError):
        one["version"] = "1"
    with pytest.raises(UsageError):
        cookies["z"] = one
    one["samesite"] = "None"
    with pytest.raises(UsageError):
        cookies.lines()


def test_deleting() -> None:
    cookies = ResponseCookies()
    cookies.delete("a", path="/x", domain="a.example")
    cookies.delete("__Host-b")
    epoch = "Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0"
    assert cookies.lines() == [f"a=; {epoch}; Domain=a.example; Path=/x", f"__Host-b=; {epoch}; Path=/; Secure"]


def test_over_the_network() -> None:
    async def handler(asked: web.Request) -> web.Response:
        response = web.json_response(dict(asked.cookies))
        response.set_cookie("n", "x y", max_age=60)
        response.cookies["m"] = "1"
        response.del_cookie("gone")
        return response

    async def main() -> None:
        async with serving(handler) as server, HTTPClient(handle_cookies=True) as client:
            first = await client.get(server.url())
            assert await first.json() == {}
            assert first.headers.get_list("set-cookie")[0] == 'n="x y"; Max-Age=60; Path=/'
            assert await (await client.get(server.url(), cookies={"k": "v"})).json() == {"n": "x y", "m": "1", "k": "v"}
            answer = await ask(server, request(b"", "Cookie: a=1; a=2", "Cookie: =x", "Cookie: b"))
            assert answer.body == b'{"a": "1"}'

    run(main)


def test_four_thousand_bad_cookies_are_no_log_record(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(asked: web.Request) -> web.Response:
        return web.Response(text=str(len(asked.cookies)))

    async def main() -> None:
        async with serving(handler) as server:
            assert (await ask(server, request(b"", "Cookie: " + "=x; b; " * 4000))).text == "0"

    with caplog.at_level("DEBUG", "wirebird"):
        run(main)
    assert len(caplog.records) <= 1
