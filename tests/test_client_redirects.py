"""Redirects: what is asked next, what of the request may go there, and what is not followed (T4 to T6, B25)."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from yarl import URL

import wirebird
from origin import Origin, run

METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]
CONTENT = {
    "Content-Type": "text/x-mine",
    "Content-Language": "de",
    "Content-Location": "/x",
    "Content-Encoding": "identity",
    "Digest": "x=y",
    "X-Own": "kept",
}


def after(status: int, method: str) -> str:
    """RFC 9110 15.4: the method of the request that follows."""
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        return "GET"
    return method


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", METHODS)
def test_method_matrix(status, method):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            body = None if method in ("GET", "HEAD") else b"body"
            url = origin.url(f"/status/{status}?to=/echo")
            response = await client.request(url, method, data=body, headers=CONTENT, follow=True, params={"first": "only"})
            first, second = origin.asked
            assert first.target == f"/status/{status}?to=/echo&first=only"
            assert second.target == "/echo"
            assert (first.method, second.method) == (method, after(status, method))
            assert response.url == URL(origin.url("/echo"))
            assert [past.status_code for past in response.history] == [status]
            assert response.request.method == second.method
            assert second.headers["x-own"] == "kept"
            if (status == 303 and method != "HEAD") or second.method != method:
                assert second.body == b""
                for name in (
                    "content-type",
                    "content-length",
                    "content-language",
                    "content-location",
                    "content-encoding",
                    "digest",
                ):
                    assert name not in second.headers
            else:
                assert second.body == (body or b"")
                assert second.headers["content-type"] == "text/x-mine"
            assert client.stats()["in_use"] == 0

    run(main)


@pytest.mark.parametrize("status", [300, 304, 305, 306, 310, 399, 200, 201])
def test_what_is_no_redirect(status):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(follow=True) as client:
            response = await client.get(origin.url(f"/status/{status}?to=/echo"))
            assert response.status_code == status
            assert response.history == ()
            assert len(origin.asked) == 1

    run(main)


def test_a_redirect_without_location_is_final():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(follow=True) as client:
            for path in ("/status/302", "/headers?Location="):
                response = await client.get(origin.url(path))
                assert response.history == ()
            origin.always("/empty", b"HTTP/1.1 302 Found\r\nLocation: \r\nContent-Length: 0\r\n\r\n")
            assert (await client.get(origin.url("/empty"))).status_code == 302

    run(main)


def test_followed_only_if_asked():
    async def main():
        async with Origin() as origin:
            async with wirebird.HTTPClient() as client:
                for _ in range(2):
                    assert (await client.get(origin.url("/chain/1"))).status_code == 302
                assert (await client.get(origin.url("/chain/1"), follow=True)).status_code == 200
            async with wirebird.HTTPClient(follow=True) as client:
                for _ in range(2):
                    assert (await client.get(origin.url("/chain/1"))).status_code == 200
                assert (await client.get(origin.url("/chain/1"), follow=False)).status_code == 302

    run(main)


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_a_limit_of_n_follows_n(limit):
    async def main():
        async with Origin() as origin:
            for settings, keywords in (({"max_redirects": limit}, {}), ({}, {"max_redirects": limit})):
                async with wirebird.HTTPClient(follow=True, **settings) as client:
                    response = await client.get(origin.url(f"/chain/{limit}"), **keywords)
                    assert len(response.history) == limit
                    assert [len(past.history) for past in response.history] == list(range(limit))
                    asked = len(origin.asked)
                    with pytest.raises(wirebird.TooManyRedirects) as caught:
                        await client.get(origin.url(f"/chain/{limit + 1}"), **keywords)
                    assert len(origin.asked) - asked == limit + 1
                    assert len(caught.value.history) == limit + 1
                    assert caught.value.url == URL(origin.url("/chain/0"))
                    assert client.stats()["in_use"] == 0

    run(main)


def test_the_default_limit_and_loops():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(follow=True) as client:
            assert len((await client.get(origin.url("/chain/10"))).history) == 10
            with pytest.raises(wirebird.TooManyRedirects):
                await client.get(origin.url("/chain/11"))
            with pytest.raises(wirebird.TooManyRedirects):
                await client.get(origin.url("/status/302?to="), params={"to": "/status/302?to=%2Fstatus%2F302"}, max_redirects=1)
            origin.always("/loop", b"HTTP/1.1 301 x\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n")
            with pytest.raises(wirebird.TooManyRedirects):
                await client.get(origin.url("/loop"))
            assert origin.connections == 1

    run(main)


# -- Location -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("other", "/dir/other"),
        ("/root", "/root"),
        ("../up", "/up"),
        ("?q=1", "/dir/from?q=1"),
        ("/a b", "/a%20b"),
        ("/grüße", "/gr%C3%BC%C3%9Fe"),
        ("/x?ü=ß", "/x?%C3%BC=%C3%9F"),
        ("/%7Ea%2Fb", "/~a%2Fb"),
        ("  /spaced\t", "/spaced"),
        ("//{address}/authority", "/authority"),
        ("{scheme}://{address}/absolute", "/absolute"),
        ("HTTP://{address}", "/"),
        ("/a/./b/../c", "/a/c"),
    ],
)
def test_locations(location, target):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(follow=True) as client:
            text = location.format(address=origin.address, scheme=origin.scheme)
            origin.always("/dir/from", f"HTTP/1.1 302 Found\r\nLocation: {text}\r\nContent-Length: 0\r\n\r\n".encode())
            if target.startswith("/dir/from?"):
                with pytest.raises(wirebird.TooManyRedirects) as caught:
                    await client.get(origin.url("/dir/from"), max_redirects=0)
                assert caught.value.url.raw_path_qs == target
                return
            response = await client.get(origin.url("/dir/from"))
            assert origin.asked[-1].target == target
            assert response.url.raw_path_qs == target

    run(main)


def test_a_latin_1_location_is_read_as_such():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(follow=True) as client:
            origin.always("/from", b"HTTP/1.1 302 Found\r\nLocation: /gr\xfcn\r\nContent-Length: 0\r\n\r\n")
            await client.get(origin.url("/from"))
            assert origin.asked[-1].target == "/gr%C3%BCn"

    run(main)


@pytest.mark.parametrize(
    ("fragment", "location", "final"),
    [("#mine", "/echo", "mine"), ("#mine", "/echo#theirs", "theirs"), ("", "/echo#theirs", "theirs"), ("", "/echo", "")],
)
def test_fragments_are_inherited(fragment, location, final):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(follow=True) as client:
            origin.always("/from", f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())
            response = await client.get(origin.url("/from" + fragment))
            assert response.url.fragment == final
            assert origin.asked[-1].target == "/echo"

    run(main)


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://example.org/",
        "data:text/plain,x",
        "gopher://example.org/",
        "javascript:alert(1)",
        "unix:/tmp/s",
        "mailto:a@b.c",
        "http://",
        "http://a b/",
        "http://127.1/",
        "http://2130706433/",
        "http://[::1/",
        "http://x:99999/",
        "//",
        "http://x\\@evil/",
        "https:///path",
    ],
)
def test_what_cannot_be_followed(location):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(follow=True) as client:
            origin.always("/from", f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 100000\r\n\r\n".encode())
            with pytest.raises(wirebird.InvalidResponse) as caught:
                await client.get(origin.url("/from"))
            assert caught.value.peer == origin.address
            assert len(origin.asked) == 1
            # Nobody can read what the caught error holds, so it holds no connection.
            assert client.stats()["in_use"] == 0

    run(main)


def test_a_huge_location_is_refused():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(follow=True) as client:
            origin.always("/from", b"HTTP/1.1 302 Found\r\nLocation: /" + b"a" * 1_000_000 + b"\r\n\r\n")
            with pytest.raises(wirebird.LimitExceeded):
                await client.get(origin.url("/from"))

    run(main)


# -- credentials ----------------------------------------------------------------------------------------------------------------

SECRETS = [
    ("Authorization", "Bearer one"),
    ("Cookie", "a=1"),
    ("cookie", "b=2"),
    ("Proxy-Authorization", "Basic x"),
    ("X-API-Key", "k"),
    ("Private-Token", "t"),
    ("X-Own", "kept"),
]


def secrets(asked: Any) -> set[str]:
    secret = {"authorization", "cookie", "proxy-authorization", "x-api-key", "private-token"}
    return {name.lower() for name in asked.headers} & secret


@pytest.mark.parametrize("settings", [{}, {"handle_cookies": True}])
@pytest.mark.parametrize("how", ["port", "host", "case"])
def test_credentials_stay_with_their_origin(settings, how):
    async def main():
        async with Origin() as origin, Origin() as other:
            connector = wirebird.TCPConnector(connect_to={f"other.example:{origin.port}": origin.address})
            target = {
                "port": other.url("/echo"),
                "host": origin.url("/echo", host="other.example"),
                "case": origin.url("/echo").replace("http://", "HTTP://"),
            }[how]
            async with wirebird.HTTPClient(connector, follow=True, **settings) as client:
                for method, status in (("GET", 302), ("POST", 307)):
                    url = origin.url(f"/status/{status}")
                    response = await client.request(
                        url, method, params={"to": target}, headers=SECRETS, cookies={"own": "call"}, data=b"x"
                    )
                    seen = (await response.json())["headers"]
                    first = origin.asked[-2 if how != "port" else -1]
                    # There is no proxy: what is for one stays here.
                    assert secrets(first) == {"authorization", "cookie", "x-api-key", "private-token"}
                    last = (other if how == "port" else origin).asked[-1]
                    assert last.headers["x-own"] == "kept"
                    if how == "case":
                        assert secrets(last) == secrets(first)
                        assert "own=call" in seen["cookie"]
                    else:
                        assert secrets(last) == set()
                    assert last.headers["host"] == URL(target).authority if how != "case" else origin.address

    run(main)


def test_credentials_stay_away_once_gone():
    """a → b → a: what was dropped on the way to b does not come back (W30)."""

    async def main():
        async with Origin() as a, Origin() as b, wirebird.HTTPClient(follow=True) as client:
            b.always("/b", f"HTTP/1.1 302 x\r\nLocation: {a.url('/echo')}\r\nContent-Length: 0\r\n\r\n".encode())
            response = await client.get(a.url("/status/302"), params={"to": b.url("/b")}, headers=SECRETS, cookies={"c": "d"})
            assert len(response.history) == 2
            assert secrets(a.asked[0])
            assert secrets(b.asked[0]) == secrets(a.asked[1]) == set()

    run(main)


def test_repeated_credentials_all_stay_behind():
    """Of two fields, the second was forgotten elsewhere (C6).  Our own origin refuses such requests, so this one only listens."""
    heads = []

    async def listen(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 302 x\r\nLocation: http://other.test/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async def main():
        server = await asyncio.start_server(listen, "127.0.0.1", 0)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            connector = wirebird.TCPConnector(connect_to={"a.test:80": address, "other.test:80": address})
            async with wirebird.HTTPClient(connector, follow=True, max_redirects=1) as client:
                with pytest.raises(wirebird.TooManyRedirects):
                    await client.get(
                        "http://a.test/", headers=[("Authorization", "1"), ("AUTHORIZATION", "2"), ("authorization", "3")]
                    )
        assert [head.lower().count(b"authorization:") for head in heads] == [3, 0]

    run(main)


def test_client_defaults_do_not_follow_either():
    async def main():
        async with Origin() as a, Origin() as b:
            async with wirebird.HTTPClient(follow=True, headers={"Authorization": "Bearer client"}, base_url=a.url()) as client:
                await client.get("/status/302", params={"to": b.url("/echo")})
                assert a.asked[0].headers["authorization"] == "Bearer client"
                assert secrets(b.asked[0]) == set()
            async with wirebird.HTTPClient(follow=True, cookies={"c": "d"}) as client:
                await client.get(a.url("/status/302"), params={"to": b.url("/echo")})
                assert a.asked[1].headers["cookie"] == "c=d"
                assert secrets(b.asked[1]) == set()
            async with wirebird.HTTPClient(follow=True, cookies={"c": "d"}, base_url=a.url()) as client:
                await client.get("/status/302", params={"to": b.url("/echo", host="localhost")})
                assert a.asked[2].headers["cookie"] == "c=d"
                assert secrets(b.asked[2]) == set()

    run(main)


def test_userinfo():
    """In the URL it is Basic for that origin; in a Location it is new Basic, for the next one."""

    async def main():
        async with Origin() as a, Origin() as b, wirebird.HTTPClient(follow=True) as client:
            url = f"http://user:pw@{a.address}/status/302"
            await client.get(url, params={"to": "/echo"})
            assert [asked.headers.get("authorization") for asked in a.asked] == ["Basic dXNlcjpwdw=="] * 2
            await client.get(url, params={"to": b.url("/echo")})
            assert "authorization" not in b.asked[-1].headers
            await client.get(url, params={"to": f"http://new:one@{b.address}/echo"})
            assert b.asked[-1].headers.get_list("authorization") == ["Basic bmV3Om9uZQ=="]
            await client.get(a.url("/status/302"), params={"to": f"http://new:one@{a.address}/echo"})
            assert a.asked[-1].headers.get_list("authorization") == ["Basic bmV3Om9uZQ=="]

    run(main)


def test_own_host_field():
    async def main():
        async with Origin() as a, Origin() as b, wirebird.HTTPClient(follow=True) as client:
            await client.get(a.url("/chain/1"), headers={"Host": "mine.example"})
            assert [asked.headers["host"] for asked in a.asked] == ["mine.example"] * 2
            await client.get(a.url("/status/302"), params={"to": b.url("/echo")}, headers={"Host": "mine.example"})
            assert b.asked[-1].headers.get_list("host") == [b.address]

    run(main)


# -- bodies ---------------------------------------------------------------------------------------------------------------------


async def pieces():
    yield b"body"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_bodies_are_replayed_or_refused(status, tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"--body")

    async def main():
        async with Origin() as origin, wirebird.HTTPClient(follow=True) as client:
            url = origin.url(f"/status/{status}?to=/echo")

            def file():
                opened = path.open("rb")
                opened.seek(2)
                return opened

            form = wirebird.MultipartForm()
            form.add_file("f", path)
            for data in (b"body", "body", io.BytesIO(b"body"), file(), {"a": "b"}, form):
                response = await client.put(url, data=data)
                first, second = origin.asked[-2:]
                assert response.ok
                assert second.method == ("GET" if status == 303 else "PUT")
                assert second.body == (b"" if status == 303 else first.body)
                assert first.body
            for data in (iter([b"body"]), pieces(), (piece for piece in (b"body",))):
                if status == 303:
                    assert (await client.put(url, data=data)).ok
                    continue
                asked = len(origin.asked)
                with pytest.raises(wirebird.BodyConsumed) as caught:
                    await client.put(url, data=data)
                assert caught.value.argument == "data"
                assert len(origin.asked) == asked + 1
                assert client.stats()["in_use"] == 0
            form = wirebird.MultipartForm()
            form.add_field("f", pieces())
            if status != 303:
                with pytest.raises(wirebird.BodyConsumed):
                    await client.put(url, data=form)

    run(main)


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 1000000000\r\n", b"", b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n"]
)
def test_the_body_of_a_redirect_is_not_read_for_ever(framing):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(follow=True) as client:

            async def endless(asked, wire):
                await wire.send(b"HTTP/1.1 302 Found\r\nLocation: /echo\r\n" + framing + b"\r\n")
                while True:
                    await wire.send(b"400\r\n" + b"x" * 1024 + b"\r\n")

            origin.on("/endless", endless)
            response = await client.get(origin.url("/endless"))
            assert response.ok
            await response.content()
            assert client.stats()["in_use"] == 0
            assert origin.connections == 2

    run(main)


def test_a_short_body_of_a_redirect_frees_its_connection():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(follow=True) as client:
            origin.always("/from", b"HTTP/1.1 302 Found\r\nLocation: /echo\r\nContent-Length: 5\r\n\r\nmoved")
            response = await client.get(origin.url("/from"))
            assert await response.history[0].text() == "moved"
            assert origin.connections == 1

    run(main)
