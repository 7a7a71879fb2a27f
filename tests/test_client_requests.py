"""What a call sends: method, URL, params, header fields, defaults; and what of it is refused before a byte leaves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from multidict import CIMultiDict, MultiDict
from yarl import URL

import wirebird
from origin import Origin, run

CONTROLS = ["\r\nX-Evil: 1", "\r", "\n", "\0", "\x0b", "\x7f"]


def echo(path: str = "/echo", method: str = "GET", settings: dict[str, Any] | None = None, **keywords: Any) -> tuple[Any, Any]:
    """The request as the origin read it, and the echo of it."""

    async def main():
        async with Origin() as origin:
            async with wirebird.HTTPClient(**(settings or {})) as client:
                response = await client.request(origin.url(path), method, **keywords)
                seen = await response.json() if method != "HEAD" else None
                assert not origin.faults
                return origin.asked[-1], seen

    return run(main)


def refused(error: type[Exception], argument: str | None, **keywords: Any) -> wirebird.UsageError:
    """The call raises the error, naming the argument, and nothing was even connected."""

    async def main():
        async with Origin() as origin:
            async with wirebird.HTTPClient() as client:
                keywords.setdefault("url", origin.url("/echo"))
                if isinstance(keywords["url"], str):
                    keywords["url"] = keywords["url"].replace("ORIGIN", origin.address)
                with pytest.raises(error) as caught:
                    await client.request(**keywords)
                assert origin.connections == 0
                stats = client.stats()
                assert (stats["open"], stats["in_use"], stats["waiting"]) == (0, 0, 0)
                return caught.value

    raised = run(main)
    if argument is not None:
        assert raised.argument.startswith(argument), raised.argument
        assert str(raised)
        assert "\n" not in str(raised)
    return raised


# -- verbs ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"])
def test_verbs(method):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            url = origin.url("/echo?x=1")
            response = await getattr(client, method.lower())(url)
            assert (response.status_code, response.ok, response.reason, response.http_version) == (200, True, "Fine", "1.1")
            assert response.url == URL(url)
            assert response.request.method == method
            asked = origin.asked[0]
            assert (asked.method, asked.target) == (method, "/echo?x=1")
            assert asked.headers["host"] == origin.address
            assert asked.headers.get("content-length") == ("0" if method in ("POST", "PUT", "PATCH", "DELETE") else None)
            assert "transfer-encoding" not in asked.headers
            if method == "HEAD":
                assert await response.content() == b""
                assert response.content_length > 100
            else:
                assert (await response.json())["method"] == method

    run(main)


def test_other_methods_are_sent_in_upper_case():
    asked, _ = echo(method="propfind")
    assert asked.method == "PROPFIND"
    asked, _ = echo(method="M-SEARCH")
    assert asked.method == "M-SEARCH"


@pytest.mark.parametrize(
    "method", ["", "GE T", "GET\r\nX: y", "GET\0", "GÉT", "GET /x HTTP/1.1\r\n", None, 5, b"GET", "G:T", "(GET)"]
)
def test_bad_methods(method):
    refused(wirebird.InvalidHeader, "method", method=method)


def test_connect_is_no_request():
    refused(wirebird.UsageError, "method", method="CONNECT")


def test_positional_order_of_the_seeds():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            limits = wirebird.Timeouts(sock_read=5)
            await client.get(origin.url("/echo"), {"X-A": "1"}, {"p": "1"}, True, None, limits, False, False)
            await client.post(
                origin.url("/echo"), b"data", {"X-A": "1"}, None, {"p": "1"}, None, False, True, None, limits, False, False
            )
            await client.put(origin.url("/echo"), None, {"X-A": "1"}, {"j": 1}, {"p": "1"})
            await client.request(origin.url("/echo"), "GET", {"X-A": "1"}, {"p": "1"})
            assert [asked.headers["x-a"] for asked in origin.asked] == ["1"] * 4
            assert [asked.query for asked in origin.asked] == ["p=1"] * 4
            assert [asked.body for asked in origin.asked] == [b"", b"data", b'{"j": 1}', b""]

    run(main)


@pytest.mark.parametrize("verb", ["get", "head", "options", "post", "put", "patch", "delete"])
def test_unknown_keywords_are_refused(verb):
    async def main():
        async with wirebird.HTTPClient() as client:
            with pytest.raises(TypeError):
                await getattr(client, verb)("http://127.0.0.1:1/", parms={"a": 1})

    run(main)


def test_a_call_is_awaitable_once_and_a_coroutine_and_a_context_manager():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            url = origin.url("/echo")
            for _ in range(2):  # the second time round it is a repeated plain GET
                call = client.get(url)
                assert asyncio.iscoroutine(call)
                assert (await call).ok
                with pytest.raises(RuntimeError):
                    await call
                assert (await asyncio.create_task(client.get(url))).ok
                assert all(r.ok for r in await asyncio.gather(client.get(url), client.post(url)))
                assert (await asyncio.wait_for(client.get(url), 5)).ok
                async with client.get(url) as response:
                    assert (await response.json())["method"] == "GET"
                async with client.post(url, data=b"x") as response:
                    assert (await response.json())["data"] == "x"
                async with client.stream("PUT", url, data=b"x") as response:
                    assert (await response.json())["method"] == "PUT"
            unused = client.get(url)
            unused.close()
            with pytest.raises(RuntimeError):
                await unused
            client.get(url)  # never awaited, and that is no warning

    run(main)
    with wirebird_client() as client:
        with pytest.raises(wirebird.ConnectError):
            asyncio.run(client.get("http://127.0.0.1:1/"))


class wirebird_client:
    """A client that is used outside of any function that is async."""

    def __enter__(self):
        self.client = wirebird.HTTPClient()
        return self.client

    def __exit__(self, *error):
        asyncio.run(self.client.close())


# -- URLs -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "target"),
    [("/a b?c d", "/a%20b?c+d"), ("/ä/%7E", "/%C3%A4/~"), ("/x#frag", "/x"), ("?q", "/?q"), ("", "/"), ("/a/../b", "/b")],
)
def test_targets(path, target):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            await client.get(origin.url(path))
            await client.get(URL(origin.url(path)))
            assert [asked.target for asked in origin.asked] == [target] * 2

    run(main)


def test_encoded_url_goes_out_byte_for_byte():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            url = URL(origin.url("/%7e/a%2fb/../c?x=%31"), encoded=True)
            for _ in range(2):
                await client.get(url)
            await client.get(url, params={"y": "ä"})
            assert [asked.target for asked in origin.asked] == ["/%7e/a%2fb/../c?x=%31"] * 2 + ["/%7e/a%2fb/../c?x=%31&y=%C3%A4"]

    run(main)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://ORIGIN/",
        "file:///etc/passwd",
        "htp://ORIGIN/",
        "/only/a/path",
        "ORIGIN",
        "http://",
        "http://127.1/",
        "http://a b/",
        None,
        5,
        *[f"http://ORIGIN/{control}" for control in CONTROLS],
        *[f"http://a{control}b/" for control in CONTROLS],
        *[f"{control}http://ORIGIN/" for control in CONTROLS],
    ],
)
def test_bad_urls(url):
    refused(wirebird.InvalidURL, "url", url=url)


def test_userinfo_becomes_basic_auth():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            response = await client.get(f"http://us%40er:p%C3%A4:ss@{origin.address}/echo")
            assert origin.asked[0].headers["authorization"] == "Basic dXNAZXI6cMOkOnNz"
            assert origin.asked[0].headers["host"] == origin.address
            assert response.ok
            await client.get(f"http://user:pw@{origin.address}/echo", headers={"Authorization": "Bearer mine"})
            assert origin.asked[1].headers.get_list("authorization") == ["Bearer mine"]
            response = await client.get(f"http://user:secret@{origin.address}/status/404?x=1&api_key=secret")
            with pytest.raises(wirebird.StatusError) as caught:
                response.raise_for_status()
            assert "secret" not in str(caught.value)
            assert "/status/404?x=1&api_key=***" in str(caught.value)

    run(main)


def test_host_field():
    async def main():
        async with Origin() as origin:
            connector = wirebird.TCPConnector(
                connect_to={"example.org:80": origin.address, "xn--bcher-kva.example:8080": origin.address}
            )
            async with wirebird.HTTPClient(connector) as client:
                await client.get("http://EXAMPLE.org:80/echo")
                await client.get("http://bücher.example:8080/echo")
                await client.get("http://example.org/echo", headers={"host": "other.example"})
                assert [asked.headers.get_list("host") for asked in origin.asked] == [
                    ["example.org"],
                    ["xn--bcher-kva.example:8080"],
                    ["other.example"],
                ]
                with pytest.raises(wirebird.InvalidHeader):
                    await client.get("http://example.org/echo", headers=[("Host", "a"), ("Host", "b")])
                for bad in ("a/b", "a?b", "a#b", "a@b", "a b", "a,b", "a:port", "[::1", ""):
                    with pytest.raises(wirebird.InvalidHeader) as caught:
                        await client.get("http://example.org/echo", headers={"Host": bad})
                    assert caught.value.argument == "headers"
                assert len(origin.asked) == 3

    run(main)


@pytest.mark.parametrize(
    ("params", "query"),
    [
        ({"a": 1, "b": ["x", "y"]}, "a=1&b=x&b=y"),
        ([("a", "1"), ("a", "2")], "a=1&a=2"),
        (MultiDict([("a", "1"), ("a", "2")]), "a=1&a=2"),
        ("x=%31+1&y", "x=%31+1&y"),
        ({"ä &": "=+"}, "%C3%A4+%26=%3D%2B"),
        ({}, ""),
    ],
)
def test_params(params, query):
    asked, _ = echo("/echo?old=1", params=params)
    assert asked.query == "old=1" + ("&" + query if query else "")
    asked, _ = echo("/echo", params=params, method="POST", data=b"x")
    assert asked.query == query


@pytest.mark.parametrize("params", [{"a": True}, {"a": None}, {"a": float("nan")}, 5, [("a",)]])
def test_bad_params(params):
    refused(wirebird.UsageError, "params", params=params)


# -- header fields ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        [("X-A", "1"), ("x-b", "2"), ("X-A", "3")],
        wirebird.HttpHeaders([("X-A", "1"), ("x-b", "2"), ("X-A", "3")]),
        CIMultiDict([("X-A", "1"), ("x-b", "2"), ("X-A", "3")]),
        (("X-A", "1"), ("x-b", "2"), ("X-A", "3")),
    ],
)
def test_repeated_fields_are_sent_as_given(headers):
    asked, _ = echo(headers=headers)
    own = [pair for pair in asked.headers.items() if pair[0].lower() in ("x-a", "x-b")]
    assert own == [("X-A", "1"), ("x-b", "2"), ("X-A", "3")]


def test_header_values_are_utf_8():
    asked, _ = echo(headers={"X-Word": "grüße €"})
    assert asked.headers["x-word"] == "grüße €"


def test_defaults_and_overrides():
    asked, _ = echo()
    assert asked.headers["user-agent"] == f"wirebird/{wirebird.__version__}"
    assert asked.headers["accept"] == "*/*"
    assert "gzip" in asked.headers["accept-encoding"]
    asked, _ = echo(headers={"user-agent": "mine", "ACCEPT": "text/html"})
    assert asked.headers.get_list("user-agent") == ["mine"]
    assert asked.headers.get_list("accept") == ["text/html"]
    settings = {"headers": {"X-Client": "c", "X-Both": "c", "User-Agent": "c"}}
    asked, _ = echo(settings=settings, headers={"x-both": "r"})
    assert (asked.headers["x-client"], asked.headers.get_list("x-both"), asked.headers["user-agent"]) == ("c", ["r"], "c")
    asked, _ = echo(settings={"headers": [("X-Two", "1"), ("X-Two", "2")]})
    assert asked.headers.get_list("x-two") == ["1", "2"]
    asked, _ = echo(settings={"auto_decompress": False})
    assert "accept-encoding" not in asked.headers


def test_a_request_leaves_the_defaults_alone():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(headers={"X": "default"}) as client:
            mine = {"X": "mine", "Y": "mine"}
            await client.get(origin.url("/echo"), headers=mine)
            await client.get(origin.url("/echo"))
            assert mine == {"X": "mine", "Y": "mine"}
            assert origin.asked[1].headers["x"] == "default"
            assert "y" not in origin.asked[1].headers

    run(main)


@pytest.mark.parametrize("control", CONTROLS)
def test_no_injection_through_fields(control):
    refused(wirebird.InvalidHeader, "headers", headers={"X": f"a{control}"})
    refused(wirebird.InvalidHeader, "headers", headers=[("X", "fine"), ("X", f"{control}b")])
    refused(wirebird.InvalidHeader, "headers", headers={f"X{control}": "a"})
    refused(wirebird.InvalidHeader, "headers", headers={"Host": f"a{control}"})
    refused(wirebird.InvalidHeader, "headers", headers={"Content-Type": f"a{control}"}, method="POST", data=b"x")
    refused(wirebird.InvalidHeader, "cookies", cookies={"a": f"b{control}"})
    refused(wirebird.InvalidHeader, "cookies", cookies={f"a{control}": "b"})


@pytest.mark.parametrize(
    "headers",
    [
        "X: y",
        5,
        {"X": 5},
        {"X": None},
        {5: "x"},
        {b"X": "y"},
        [("X",)],
        {"Content-Length": 5},
        {"Host": 5},
        [("a", "b", "c")],
        {"X Y": "z"},
        {"": "x"},
    ],
)
def test_bad_headers(headers):
    refused(wirebird.UsageError, "headers", headers=headers)


@pytest.mark.parametrize("cookies", ["a=b", 5, [("a", "b")], {"a": 5}, {5: "b"}, {"a b": "c"}, {"a": "b;c"}, {"": "b"}])
def test_bad_cookies(cookies):
    refused(wirebird.UsageError, "cookies", cookies=cookies)


def test_a_default_can_be_left_out():
    for headers in (
        {"Accept-Encoding": None, "accept": None, "X": "1"},
        CIMultiDict([("ACCEPT", None), ("Accept-encoding", None)]),
    ):
        asked, _ = echo(settings={"headers": headers})
        assert "accept" not in asked.headers
        assert "accept-encoding" not in asked.headers
        assert asked.headers["user-agent"].startswith("wirebird/")
    asked, _ = echo(settings={"headers": {"Accept": None}}, headers={"Accept": "text/plain"})
    assert asked.headers.get_list("accept") == ["text/plain"]
    for bad in ({5: None}, [("Accept", None)], {"Accept": None, "X": 5}):
        with pytest.raises(wirebird.UsageError):
            wirebird.HTTPClient(headers=bad)


@pytest.mark.parametrize("control", CONTROLS)
def test_no_injection_through_the_defaults(control):
    for keywords in ({"headers": {"X": f"a{control}"}}, {"cookies": {"a": f"b{control}"}}, {"base_url": f"http://h/{control}"}):
        with pytest.raises(wirebird.UsageError) as caught:
            wirebird.HTTPClient(**keywords)
        assert caught.value.argument.startswith(next(iter(keywords)))


# -- the rest of what can be said -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [-1, "5", True, float("nan"), float("inf"), [], b"1"])
@pytest.mark.parametrize("name", ["sock_connect", "sock_read", "pool_acquire", "request_timeout"])
def test_bad_timeouts(name, value):
    with pytest.raises(wirebird.UsageError) as caught:
        wirebird.Timeouts(**{name: value})
    assert caught.value.argument == name


@pytest.mark.parametrize("timeouts", [5, 0, "", {"sock_read": 5}, (1, 2)])
def test_timeouts_must_be_timeouts(timeouts):
    refused(wirebird.UsageError, "timeouts", timeouts=timeouts)
    for make in (wirebird.HTTPClient, wirebird.TCPConnector):
        with pytest.raises(wirebird.UsageError) as caught:
            make(timeouts=timeouts)
        assert caught.value.argument == "timeouts"


@pytest.mark.parametrize(
    "keywords", [{"ssl": True}, {"ssl": "x"}, {"http2": True}, {"max_redirects": "x"}, {"max_redirects": -1}]
)
def test_other_bad_arguments(keywords):
    refused(wirebird.UsageError, next(iter(keywords)), **keywords)


@pytest.mark.parametrize(
    "keywords",
    [
        {"max_redirects": -1},
        {"max_redirects": None},
        {"max_redirects": True},
        {"max_body_size": -1},
        {"max_body_size": "1"},
        {"base_url": "/relative"},
        {"base_url": "ftp://h/"},
        {"headers": "x"},
        {"headers": {"X": 5}},
        {"cookies": "a=b"},
        {"params": {"a": None}},
    ],
)
def test_bad_client_arguments(keywords):
    with pytest.raises(wirebird.UsageError) as caught:
        wirebird.HTTPClient(**keywords)
    assert caught.value.argument.startswith(next(iter(keywords)))


@pytest.mark.parametrize(
    "keywords",
    [
        {"pool_size": 0},
        {"pool_size": None},
        {"pool_size": True},
        {"pool_size_per_host": 0},
        {"conn_max_requests": 0},
        {"keepalive_timeout": -1},
        {"keepalive_timeout": "1"},
        {"ttl_dns_cache": -1},
        {"ttl_dns_cache": "1"},
        {"ssl": True},
        {"connect_to": {"a": "b"}},
        {"connect_to": {"a:1": "b:port"}},
    ],
)
def test_bad_connector_arguments(keywords):
    with pytest.raises(wirebird.UsageError) as caught:
        wirebird.TCPConnector(**keywords)
    assert caught.value.argument == next(iter(keywords))


@pytest.mark.parametrize(
    ("base", "url", "target"),
    [
        ("/api/v1/", "items", "/api/v1/items"),
        ("/api/v1/", "../v2/items", "/api/v2/items"),
        ("/api/v1", "items", "/api/items"),
        ("/api/v1/", "/root", "/root"),
        ("/api/v1/", "?q=1", "/api/v1/?q=1"),
        ("/api/v1/", "", "/api/v1/"),
    ],
)
def test_base_url(base, url, target):
    async def main():
        async with Origin() as origin, Origin() as other:
            async with wirebird.HTTPClient(base_url=origin.url(base)) as client:
                for _ in range(2):
                    await client.get(url)
                await client.post(url)
                await client.get(other.url("/elsewhere"))
                assert [asked.target for asked in origin.asked] == [target] * 3
                assert [asked.target for asked in other.asked] == ["/elsewhere"]

    run(main)


def test_client_params():
    asked, _ = echo("/echo?own=1", settings={"params": {"key": "k"}}, params={"p": "2"})
    assert asked.query == "own=1&key=k&p=2"


def test_raise_for_status():
    async def main():
        async with Origin() as origin:
            async with wirebird.HTTPClient(raise_for_status=True) as client:
                for _ in range(2):
                    assert (await client.get(origin.url("/echo"))).ok
                    assert (await client.get(origin.url("/status/302"))).status_code == 302
                    with pytest.raises(wirebird.StatusError) as caught:
                        await client.get(origin.url("/status/404"))
                    error = caught.value
                    assert (error.status_code, error.response.status_code, error.peer) == (404, 404, origin.address)
                    assert "404" in str(error)
                    assert (await client.get(origin.url("/status/500"), raise_for_status=False)).status_code == 500
            async with wirebird.HTTPClient() as client:
                for _ in range(2):
                    response = await client.get(origin.url("/status/503"))
                    with pytest.raises(wirebird.StatusError):
                        response.raise_for_status()
                    with pytest.raises(wirebird.StatusError):
                        await client.get(origin.url("/status/400"), raise_for_status=True)
                response = await client.get(origin.url("/echo"))
                assert response.raise_for_status() is response

    run(main)


def test_middlewares_are_called_outermost_first():
    async def main():
        order = []

        def named(name):
            async def middleware(request, handler):
                order.append(name)
                request.headers.add("X-Way", name)
                response = await handler(request)
                order.append(name.upper())
                return response

            return middleware

        async with Origin() as origin, wirebird.HTTPClient(middlewares=[named("a"), named("b")]) as client:
            for _ in range(2):
                response = await client.get(origin.url("/chain/1"), follow=True)
                assert (await response.json())["headers"]["x-way"] == "b"
            assert origin.asked[0].headers.get_list("x-way") == ["a", "b"]
            assert order == ["a", "b", "B", "A"] * 2
            assert len(origin.asked) == 4

    run(main)


def test_expect_continue():
    async def main():
        async with Origin() as origin:
            async with wirebird.HTTPClient() as client:
                response = await client.post(origin.url("/echo"), data=iter([b"a", b"b"]), headers={"Expect": "100-continue"})
                assert (await response.json())["data"] == "ab"

            async def no(asked, wire):
                await wire.respond(417, [("Connection", "close")])

            origin.on("/no", no, early=True)
            async with wirebird.HTTPClient() as client:
                sent = []

                def body():
                    sent.append(1)
                    yield b"never"

                response = await client.post(origin.url("/no"), data=body(), headers={"Expect": "100-continue"})
                assert response.status_code == 417
                assert sent == []
                assert client.stats()["in_use"] == 0

    run(main)


def test_connect_errors_are_typed():
    async def main():
        async with wirebird.HTTPClient() as client:
            for _ in range(2):
                with pytest.raises(wirebird.ConnectError) as caught:
                    await client.get("http://127.0.0.1:1/")
                assert caught.value.peer == "127.0.0.1:1"
                assert isinstance(caught.value, OSError)
            with pytest.raises(wirebird.DNSError) as caught:
                await client.get("http://does-not-exist.invalid/")
            assert "does-not-exist.invalid" in str(caught.value)
            assert client.stats()["in_use"] == 0

    run(main)


def test_a_failed_connection_is_the_builtin_error_too():
    for kind in (wirebird.ConnectError, wirebird.ConnectionLost):
        assert issubclass(kind, wirebird.NetworkError)
        assert issubclass(kind, ConnectionError)
        assert str(kind("no", peer="host:1", phase="connecting")) == "no (while connecting, peer host:1)"
