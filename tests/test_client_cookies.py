"""Cookies, end to end: from responses into the jar and back (T17); the jar itself is tested in test_cookies.py."""

from __future__ import annotations

from http.cookies import SimpleCookie

import pytest

import wirebird
from origin import Origin, run


async def shown(client: wirebird.HTTPClient, url: str, **keywords):
    response = await client.get(url, **keywords)
    return (await response.json())["cookies"]


def test_cookies_come_back():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(handle_cookies=True) as client:
            response = await client.get(origin.url("/cookies/set"), params={"foo": "bar", "x": "y"}, follow=True)
            assert (await response.json())["cookies"] == {"foo": "bar", "x": "y"}
            assert response.history[0].cookies["foo"].value == "bar"
            for _ in range(2):
                assert await shown(client, origin.url("/cookies")) == {"foo": "bar", "x": "y"}
            assert isinstance(client.cookies_map["127.0.0.1"], SimpleCookie)
            assert client.cookies_map["127.0.0.1"]["foo"].value == "bar"
            assert {cookie.name for cookie in client.cookies} == {"foo", "x"}
            assert origin.asked[-1].headers.get_list("cookie") == ["foo=bar; x=y"]
            await client.post(origin.url("/cookies/raw"), params=[("c", "foo=; Max-Age=0; Path=/")])
            assert await shown(client, origin.url("/cookies")) == {"x": "y"}

    run(main)


def test_no_cookies_unless_asked():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            response = await client.get(origin.url("/cookies/set?foo=bar"), follow=True)
            assert (await response.json())["cookies"] == {}
            assert client.cookies_map == {}
            assert len(client.cookies) == 0
            assert await shown(client, origin.url("/cookies")) == {}

    run(main)


def test_cookies_of_a_call():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(handle_cookies=True) as client:
            url = origin.url("/cookies")
            assert await shown(client, url, cookies={"a": "1"}) == {"a": "1"}
            assert await shown(client, url) == {}
            assert len(client.cookies) == 0
            await client.get(origin.url("/cookies/set?a=jar&b=jar"))
            assert await shown(client, url, cookies={"a": "call"}) == {"a": "call", "b": "jar"}
            assert await shown(client, url) == {"a": "jar", "b": "jar"}
            assert await shown(client, url, headers={"Cookie": "h=1"}) == {"h": "1", "a": "jar", "b": "jar"}
            assert origin.asked[-1].headers.get_list("cookie") == ["h=1; a=jar; b=jar"]
            response = await client.get(origin.url("/chain/2"), cookies={"c": "call"}, follow=True)
            assert "c=call" in (await response.json())["headers"]["cookie"]
        async with Origin() as origin, wirebird.HTTPClient() as client:
            assert await shown(client, origin.url("/cookies"), cookies={"a": "1"}) == {"a": "1"}
            assert await shown(client, origin.url("/cookies")) == {}

    run(main)


def test_cookies_of_the_client():
    async def main():
        async with Origin() as origin:
            async with wirebird.HTTPClient(cookies={"a": "1"}) as client:
                for _ in range(2):
                    assert await shown(client, origin.url("/cookies")) == {"a": "1"}
                assert await shown(client, origin.url("/cookies"), cookies={"a": "2", "b": "3"}) == {"a": "2", "b": "3"}
            async with wirebird.HTTPClient(cookies={"a": "1"}, base_url=origin.url()) as client:
                assert await shown(client, "/cookies") == {"a": "1"}
                assert await shown(client, origin.url("/cookies", host="localhost")) == {}
            jar = wirebird.CookieJar()
            jar.set("j", "1", domain="127.0.0.1")
            async with wirebird.HTTPClient(cookies=jar) as client:
                assert client.cookies is jar
                assert await shown(client, origin.url("/cookies")) == {"j": "1"}
                await client.get(origin.url("/cookies/set?k=2"))
                assert {cookie.name for cookie in jar} == {"j", "k"}

    run(main)


def test_an_empty_jar_is_a_jar():
    async def main():
        jar = wirebird.CookieJar()
        async with Origin() as origin, wirebird.HTTPClient(cookies=jar) as client:
            for _ in range(2):
                await client.get(origin.url("/cookies/set?a=1"))
            assert len(jar) == 1
        async with Origin() as origin, wirebird.HTTPClient() as client:
            await client.get(origin.url("/cookies"))
            client.cookies.set("late", "1", domain="127.0.0.1")
            assert await shown(client, origin.url("/cookies")) == {"late": "1"}

    run(main)


def test_scope():
    """Host-only, domain, path and Secure, over the wire."""

    async def main():
        async with Origin() as origin:
            hosts = ["example.test", "www.example.test", "other.test"]
            connector = wirebird.TCPConnector(connect_to={f"{host}:80": origin.address for host in hosts})
            async with wirebird.HTTPClient(connector, handle_cookies=True) as client:
                await client.get(
                    "http://www.example.test/cookies/raw",
                    params=[
                        ("c", "host=1; Path=/"),
                        ("c", "domain=1; Domain=example.test; Path=/"),
                        ("c", "path=1; Path=/cookies/deep"),
                        ("c", "secure=1; Secure; Path=/"),
                        ("c", "foreign=1; Domain=other.test; Path=/"),
                    ],
                )
                assert await shown(client, "http://www.example.test/cookies") == {"host": "1", "domain": "1"}
                assert await shown(client, "http://www.example.test/cookies/deep") == {"host": "1", "domain": "1", "path": "1"}
                assert await shown(client, "http://www.example.test/cookies/deeper") == {"host": "1", "domain": "1"}
                assert await shown(client, "http://example.test/cookies") == {"domain": "1"}
                assert await shown(client, "http://other.test/cookies") == {}
                assert set(client.cookies_map) == {"www.example.test", "example.test"}

    run(main)


def test_cookies_of_a_redirect_go_where_they_belong():
    """What a sets while redirecting to b is a's (C20), and b gets its own."""

    async def main():
        async with Origin() as origin:
            connector = wirebird.TCPConnector(connect_to={"a.test:80": origin.address, "b.test:80": origin.address})
            origin.always("/a", b"HTTP/1.1 302 x\r\nLocation: http://b.test/b\r\nSet-Cookie: from=a\r\nContent-Length: 0\r\n\r\n")
            origin.always(
                "/b", b"HTTP/1.1 302 x\r\nLocation: http://b.test/cookies\r\nSet-Cookie: from=b\r\nContent-Length: 0\r\n\r\n"
            )
            async with wirebird.HTTPClient(connector, handle_cookies=True, follow=True) as client:
                assert await shown(client, "http://a.test/a") == {"from": "b"}
                assert client.cookies_map["a.test"]["from"].value == "a"
                assert await shown(client, "http://a.test/cookies") == {"from": "a"}
                assert "cookie" not in origin.asked[1].headers

    run(main)


def test_saved_and_loaded(tmp_path):
    path = tmp_path / "cookies.json"

    async def main():
        async with Origin() as origin:
            async with wirebird.HTTPClient(handle_cookies=True) as client:
                await client.get(origin.url("/cookies/raw"), params=[("c", "a=1; Path=/; Max-Age=1000"), ("c", "b=2; Path=/")])
                wirebird.save_cookies(client.cookies, path)
            async with wirebird.HTTPClient(cookies=wirebird.load_cookies(path)) as client:
                assert (await shown(client, origin.url("/cookies")))["a"] == "1"

    run(main)


@pytest.mark.parametrize("cookies", [{"a": "b\r\nX: y"}, {"a\n": "b"}, {"a": "b\0"}, {"a;b": "c"}, {"a": "b;c"}, {"a=b": "c"}])
def test_bad_cookies_are_named(cookies):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            with pytest.raises(wirebird.InvalidHeader) as caught:
                await client.get(origin.url("/"), cookies=cookies)
            assert caught.value.argument.startswith("cookies")
            assert origin.connections == 0

    run(main)


def test_a_middleware_that_tries_again_sends_each_cookie_once():
    async def again(request, handler):
        try:
            return await handler(request)
        except wirebird.ConnectionLost:
            return await handler(request)

    async def main():
        async with Origin() as origin, wirebird.HTTPClient(handle_cookies=True, middlewares=[again]) as client:

            async def first_break(asked, wire):
                if len(origin.asked) == 1:
                    wire.abort()
                else:
                    await wire.respond(200, [], b"fine")

            origin.on("/x", first_break)
            response = await client.post(origin.url("/x"), cookies={"a": "1"}, headers={"Cookie": "own=2"})
            assert await response.content() == b"fine"
            assert [asked.headers.get_list("cookie") for asked in origin.asked] == [["own=2; a=1"], ["own=2; a=1"]]

    run(main)
