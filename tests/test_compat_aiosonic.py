"""`wirebird.compat.aiosonic`, row by row of what aiosonic's two documents say: names, defaults, wire, bodies, errors.

The programs of the documents are in `test_program_aiosonic_*.py`, and docs/compat.md says which row is shown where.
"""

from __future__ import annotations

import asyncio
import gzip
import inspect
import json
import ssl
import subprocess
import sys
from functools import partial
from http.cookies import SimpleCookie
from io import BytesIO
from urllib.parse import urlparse

import pytest
import trustme

import wirebird
from origin import FOX, Origin, pattern, run
from proxies import HttpProxy
from raw_peer import Peer, chunked
from wirebird.compat import aiosonic
from wirebird.compat.aiosonic import exceptions
from wirebird.compat.aiosonic.connection import Connection
from wirebird.compat.aiosonic.connectors import TCPConnector
from wirebird.compat.aiosonic.multipart import MultipartForm
from wirebird.compat.aiosonic.pools import CyclicQueuePool, SmartPool
from wirebird.compat.aiosonic.resolver import AsyncResolver, DefaultResolver, ThreadedResolver
from wirebird.compat.aiosonic.timeout import Timeouts
from wirebird.net.resolver import NameCache

BOTH = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


def exchange(method: str, **keywords):
    """One request to the echo: as the origin read it, and the echo."""

    async def main():
        async with Origin() as origin, aiosonic.HTTPClient() as client:
            response = await client.request(origin.url("/anything"), method, **keywords)
            assert response.status_code == 200
            assert origin.faults == []
            return origin.asked[0], await response.json()

    return run(main)


# -- names, signatures, defaults ---------------------------------------------------------------------------------------------


def loaded_by(statement: str) -> set[str]:
    program = f"import sys; {statement}; print(*[name for name in sys.modules if name.startswith('wirebird')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_nothing_is_imported_before_it_is_asked_for():
    assert loaded_by("import wirebird.compat") == {"wirebird", "wirebird._version", "wirebird.compat"}
    one = loaded_by("from wirebird.compat import aiosonic; aiosonic.timeout, aiosonic.connectors")
    assert "wirebird.compat.aiosonic.client" in one
    assert not {name for name in one if "aioreq" in name}
    assert loaded_by("import wirebird.compat; wirebird.compat.aiosonic") == one
    with pytest.raises(AttributeError):
        wirebird.compat.requests


_BODY = "url data headers json params json_serializer multipart verify ssl timeouts follow http2"


@pytest.mark.parametrize(
    ("function", "names", "defaults"),
    [
        (
            TCPConnector,
            "pool_size timeouts connection_cls pool_cls resolver ttl_dns_cache use_dns_cache conn_max_requests",
            {"pool_size": 25, "timeouts": None, "ttl_dns_cache": 10000, "use_dns_cache": True, "conn_max_requests": 100},
        ),
        (
            aiosonic.HTTPClient,
            "connector handle_cookies verify_ssl proxy",
            {"connector": None, "handle_cookies": False, "verify_ssl": True, "proxy": None},
        ),
        (
            aiosonic.HTTPClient.request,
            "url method headers params data json json_serializer multipart verify ssl timeouts follow http2",
            {"method": "GET", "json_serializer": json.dumps, "multipart": False, "verify": True, "follow": False, "http2": False},
        ),
        (
            aiosonic.HTTPClient.get,
            "url headers params verify ssl timeouts follow http2",
            {"verify": True, "follow": False, "http2": False},
        ),
        (aiosonic.HTTPClient.post, _BODY, {"data": None, "json_serializer": json.dumps}),
        (aiosonic.HTTPClient.put, _BODY, {"data": None}),
        (aiosonic.HTTPClient.patch, _BODY, {"data": None}),
        (aiosonic.HTTPClient.delete, _BODY, {"data": b""}),
        (aiosonic.HTTPClient.wait_requests, "timeout", {"timeout": 30}),
        (aiosonic.HTTPClient.shutdown, "", {}),
        (
            Timeouts,
            "sock_connect sock_read pool_acquire request_timeout connect whole_body ceil_threshold",
            {"sock_connect": 5, "sock_read": 30, "pool_acquire": None, "request_timeout": 60},
        ),
        (aiosonic.HttpHeaders, "data kwargs", {"data": None}),
        (SmartPool, "connector pool_size connection_cls", {}),
        (SmartPool.acquire, "urlparsed", {"urlparsed": None}),
        (CyclicQueuePool, "connector pool_size connection_cls", {}),
        (SmartPool.release, "conn", {}),
        (CyclicQueuePool.acquire, "_urlparsed", {"_urlparsed": None}),
        (CyclicQueuePool.release, "conn", {}),
        (ThreadedResolver.resolve, "hostname port family", {"port": 0}),
        (AsyncResolver.resolve, "host port family", {"port": 0}),
        (MultipartForm.add_field, "name value filename content_type headers", {"filename": None}),
        (MultipartForm.add_file, "name file_path filename content_type", {"filename": None}),
        (MultipartForm.get_headers, "size", {"size": None}),
        (aiosonic.Proxy, "host auth ssl headers", {"auth": None}),
        (aiosonic.HttpResponse.json, "json_decoder", {"json_decoder": json.loads}),
    ],
)
def test_parameters_and_defaults(function, names, defaults):
    parameters = {name: one for name, one in inspect.signature(function).parameters.items() if name != "self"}
    assert list(parameters) == names.split()
    for name, default in defaults.items():
        assert parameters[name].default == default


def test_verbs_are_coroutine_functions():
    for verb in ("get", "post", "put", "patch", "delete", "request", "wait_requests", "shutdown"):
        assert inspect.iscoroutinefunction(getattr(aiosonic.HTTPClient, verb))
    for method in ("content", "text", "json"):
        assert inspect.iscoroutinefunction(getattr(aiosonic.HttpResponse, method))
    assert inspect.isasyncgenfunction(aiosonic.HttpResponse.read_chunks)


def test_names_are_where_they_were():
    assert aiosonic.TCPConnector is aiosonic.connectors.TCPConnector is TCPConnector
    assert aiosonic.HTTPClient is aiosonic.client.HTTPClient is aiosonic.HttpClient
    assert aiosonic.Timeouts is Timeouts
    assert aiosonic.MultipartForm is MultipartForm
    assert DefaultResolver is ThreadedResolver
    connector = TCPConnector()
    assert connector.connection_cls is Connection
    assert connector.pool_cls is SmartPool
    assert connector.timeouts == Timeouts()
    assert wirebird.__version__ == aiosonic.version.VERSION
    for name in ("BodyType", "DataType", "ParamsType", "ParsedBodyType"):
        assert hasattr(aiosonic.types, name)
    with pytest.raises(AttributeError):
        aiosonic.no_such_name


def test_every_name_of_the_index_is_there():
    """S0-83, with what S1 has besides."""
    classes = {
        aiosonic.HTTPClient: "delete get patch post put request shutdown wait_requests cookies_map",
        aiosonic.HttpResponse: "content json read_chunks status_code text ok",
        SmartPool: "acquire cleanup free_conns is_all_free release",
        CyclicQueuePool: "acquire cleanup free_conns is_all_free release",
        MultipartForm: "add_field add_file get_body_size get_buffer get_headers",
        ThreadedResolver: "close resolve",
        AsyncResolver: "close resolve",
    }
    for owner, names in classes.items():
        assert {name for name in names.split() if not hasattr(owner, name)} == set()
    assert aiosonic.pools.SmartPool is SmartPool
    assert aiosonic.client.HttpHeaders is aiosonic.HttpHeaders


# -- requests -----------------------------------------------------------------------------------------------------------------


def test_a_get_says_no_more_than_aiosonic_says():
    asked, _ = exchange("GET")
    assert {name.lower() for name in asked.headers} == {"host", "user-agent", "connection"}
    assert asked.headers["connection"] == "keep-alive"
    assert asked.headers["user-agent"] == f"aioload/{aiosonic.version.VERSION}"


def test_fields_of_the_caller_win():
    for headers in ({"user-agent": "me", "Accept-Encoding": "gzip"}, [("User-Agent", "you"), ("User-Agent", "me")]):
        asked, _ = exchange("GET", headers=headers)
        assert asked.headers.get_list("user-agent") == ["me"]
    asked, _ = exchange("GET", headers=aiosonic.HttpHeaders({"Accept-Encoding": "gzip"}))
    assert asked.headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("method", ["get", "Patch"])
def test_the_method_is_sent_in_upper_case(method):
    assert exchange(method)[0].method == method.upper()


@pytest.mark.parametrize(
    ("params", "args"),
    [
        ({"a": "1", "b": "x y&z"}, {"a": "1", "b": "x y&z"}),
        ([("a", "1"), ("a", "2")], {"a": ["1", "2"]}),
        ((("ü", "%20"),), {"ü": "%20"}),
        ({"a": True, "b": None, "c": 1.5}, {"a": "True", "b": "None", "c": "1.5"}),
        ({}, {}),
    ],
)
def test_params(params, args):
    assert exchange("GET", params=params)[1]["args"] == args


def test_params_extend_a_query():
    """aiosonic made `?x=1a=b` of this."""

    async def main():
        async with Origin() as origin, aiosonic.HTTPClient() as client:
            await client.get(origin.url("/get?x=1"), params={"a": "b"})
            return origin.asked[0].target

    assert run(main) == "/get?x=1&a=b"


@pytest.mark.parametrize(
    ("data", "body", "kind"),
    [
        ("text é", "text é".encode(), "text/plain"),
        (b"\0bytes", b"\0bytes", "text/plain"),
        ({"a": "b c", "d": "é"}, b"a=b+c&d=%C3%A9", "application/x-www-form-urlencoded"),
        ((("a", "1"), ("a", "2")), b"a=1&a=2", "application/x-www-form-urlencoded"),
        ({"a": True}, b"a=True", "application/x-www-form-urlencoded"),
        (b"", b"", None),
        ("", b"", None),
        (None, b"", None),
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_bodies(method, data, body, kind):
    asked, _ = exchange(method, data=data)
    assert (asked.body, asked.headers.get("content-type")) == (body, kind)
    assert asked.headers.get_list("content-length") == [str(len(body))]
    assert not asked.chunked


def test_a_content_type_of_the_caller_stays():
    assert exchange("POST", data="x", headers={"content-type": "text/html"})[0].headers.get_list("content-type") == ["text/html"]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_iterators_are_sent_in_chunks(kind):
    async def slowly():
        for piece in (b"foo", b"", b"bar"):
            yield piece

    asked, _ = exchange("PUT", data=slowly() if kind == "async" else iter([b"foo", b"", b"bar"]))
    assert (asked.chunked, asked.body) == (True, b"foobar")


def test_data_is_ignored_for_get():
    for keywords in ({"data": "x"}, {"data": {"a": "b"}}, {"json": {"a": 1}}, {"data": {"a": "b"}, "multipart": True}):
        asked, _ = exchange("GET", **keywords)
        assert (asked.body, "content-type" in asked.headers, "content-length" in asked.headers) == (b"", False, False)


@pytest.mark.parametrize("value", [{"a": [1, None]}, [1, 2], {}, []])
def test_json(value):
    asked, seen = exchange("POST", json=value)
    assert asked.headers.get_list("content-type") == ["application/json"]
    assert (seen["json"], asked.body) == (value, json.dumps(value).encode())


def test_a_json_serializer_for_one_request():
    for serializer in (lambda value: "[1]", lambda value: b"[1]"):
        assert exchange("POST", json={"x": object()}, json_serializer=serializer)[1]["json"] == [1]
    with pytest.raises(TypeError):  # what `json.dumps` raises
        exchange("POST", json={"x": object()})


@pytest.mark.parametrize("data", ["x", {"a": "b"}, b"x"])
def test_json_and_data_is_a_type_error(data):
    with pytest.raises(TypeError):
        exchange("POST", json={}, data=data)


def test_json_beside_the_default_of_delete():
    assert exchange("DELETE", json={"a": 1}, data=b"")[1]["json"] == {"a": 1}


def test_multipart(tmp_path):
    path = tmp_path / "own.txt"
    path.write_bytes(b"content")
    with path.open("rb") as file:
        asked, seen = exchange("POST", data={"field": "välue", "file": file}, multipart=True)
        assert file.closed
    assert asked.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert seen["form"] == {"field": "välue"}
    assert seen["files"] == {"own.txt": {"field": "file", "type": "text/plain", "data": "content"}}


@pytest.mark.parametrize("data", ["text", None, b"x", [("a", "b")], (("a", "b"),)])
def test_multipart_wants_a_dict(data):
    with pytest.raises(ValueError, match="dict"):
        exchange("POST", data=data, multipart=True)


def test_a_form(tmp_path):
    path = tmp_path / "own.txt"
    path.write_bytes(b"content")
    form = MultipartForm()
    form.add_field("field", "value")
    form.add_file("file", str(path), filename="other.bin")
    given = BytesIO(b"in memory")
    form.add_field("memory", given, "memory.bin")
    asked, seen = exchange("POST", data=form)
    assert given.closed
    assert seen["form"] == {"field": "value"}
    assert {name: file["data"] for name, file in seen["files"].items()} == {"other.bin": "content", "memory.bin": "in memory"}
    assert asked.headers["content-length"] == str(len(asked.body))


def test_a_field_that_is_a_file_has_the_name_of_the_file(tmp_path):
    form = MultipartForm()
    for name in ("one.txt", "two.txt", "three.txt"):
        (tmp_path / name).write_bytes(b"content")
    first, second = (tmp_path / "one.txt").open("rb"), (tmp_path / "two.txt").open("rb")
    form.add_field(name="first", value=first)
    form.add_field("second", second, filename="other.txt")
    form.add_file(name="third", file_path=str(tmp_path / "three.txt"))
    files = exchange("POST", data=form)[1]["files"]
    assert {name: file["field"] for name, file in files.items()} == {
        "one.txt": "first",
        "other.txt": "second",
        "three.txt": "third",
    }
    assert first.closed
    assert second.closed


def test_a_form_by_hand(tmp_path):
    path = tmp_path / "own.txt"
    path.write_bytes(b"content")

    async def main():
        form = MultipartForm()
        form.add_field("field", "value")
        form.add_file("file", str(path))
        body, size = await form.get_body_size()
        assert size == len(body)
        assert b'name="file"; filename="own.txt"' in body
        assert b"".join([piece async for piece in form.get_buffer()]) == body
        assert form.get_headers() == {"Content-Type": f"multipart/form-data; boundary={form.boundary}"}
        assert form.get_headers(size)["Content-Length"] == str(size)

    run(main)
    with pytest.raises(FileNotFoundError):
        MultipartForm().add_file("file", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="control"):
        MultipartForm().add_file("file", str(path), "a\nb", "text/plain\r\nX: y")


@pytest.mark.parametrize("verb", ["post", "put", "patch", "delete"])
def test_verbs(verb):
    async def main():
        async with Origin() as origin, aiosonic.HTTPClient() as client:
            url = origin.url("/anything")
            response = await getattr(client, verb)(url, {"a": "b"}, {"X-Own": "1"}, None, {"q": "2"})
            seen = await response.json()
            assert (seen["method"], seen["form"], seen["args"]) == (verb.upper(), {"a": "b"}, {"q": "2"})
            assert seen["headers"]["x-own"] == "1"
            assert (await client.get(url, {"X-Own": "2"}, {"q": "3"}, http2=True)).ok

    run(main)


def test_bad_urls_are_value_errors():
    for url in ("", "/relative", "ftp://host/", "http://", "http://host:99999/", "http://host/\r\nX: y"):
        with pytest.raises(ValueError, match=r"."):
            asyncio.run(aiosonic.HTTPClient().get(url))


# -- responses ----------------------------------------------------------------------------------------------------------------


def answered(wire: bytes, use, *, method: str = "GET", **settings):
    """What `use` makes of a response that is these bytes."""

    async def script(link):
        while await link.request():
            await link.send(wire)

    async def main():
        async with Peer(script) as peer, aiosonic.HTTPClient(**settings) as client:
            return await use(await client.request(peer.url("/"), method))

    return run(main)


def head(*fields: bytes, body: bytes = b"", status: bytes = b"200 OK") -> bytes:
    lines = b"".join(b"%b\r\n" % field for field in (*fields, b"Content-Length: %d" % len(body)))
    return b"HTTP/1.1 %b\r\n%b\r\n%b" % (status, lines, body)


def test_a_response_has_these_parts():
    async def use(response):
        assert (response.status_code, response.ok, response.chunked) == (201, True, False)
        assert response.headers["CONTENT-TYPE"] == "text/plain"
        assert list(response.headers) == ["Content-Type", "X-TWICE", "Content-Length"]
        assert response.headers["x-twice"] == "second"
        pairs = [(b"Content-Type", b"text/plain"), (b"X-Twice", b"first"), (b"X-TWICE", b"second"), (b"Content-Length", b"4")]
        assert response.raw_headers == pairs
        assert response.cookies is None
        assert await response.content() == await response.content() == b"body"
        assert await response.text() == "body"

    answered(head(b"Content-Type: text/plain", b"X-Twice: first", b"X-TWICE: second", body=b"body", status=b"201 Made"), use)


@pytest.mark.parametrize(("status", "ok"), [(200, True), (299, True), (301, False), (404, False), (500, False)])
def test_ok(status, ok):
    async def use(response):
        return response.status_code, response.ok

    assert answered(head(status=b"%d X" % status), use) == (status, ok)


def test_cookies_of_a_response():
    async def use(response):
        assert isinstance(response.cookies, SimpleCookie)
        assert {name: morsel.value for name, morsel in response.cookies.items()} == {"a": "1", "b": "2"}

    answered(head(b"Set-Cookie: a=1; Path=/", b"Set-Cookie: b=2"), use)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_bodies_are_decompressed_unasked(coding):
    async def main():
        async with Origin() as origin, aiosonic.HTTPClient() as client:
            response = await client.get(origin.url(f"/coded/{coding}"))
            assert await response.content() == FOX
            assert "accept-encoding" not in origin.asked[0].headers

    run(main)


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/html; charset=ISO-8859-1", "é".encode("latin-1"), "é"),
        ("application/json", '"é"'.encode(), '"é"'),
        ("text/html; charset=nonsense", "é".encode(), "é"),
        ("text/html", "é".encode(), "é"),
    ],
)
def test_text(kind, body, text):
    async def use(response):
        return await response.text()

    assert answered(head(b"Content-Type: " + kind.encode(), body=body), use) == text


def test_json_of_a_response():
    async def use(response):
        assert await response.json() == {"a": 1}
        assert await response.json(json_decoder=lambda text: len(text)) == 8

    answered(head(b"Content-Type: text/plain", body=b'{"a": 1}'), use)


def test_a_body_that_is_no_json_is_a_value_error():
    async def use(response):
        with pytest.raises(ValueError, match=r"."):
            await response.json()

    answered(head(b"Content-Type: application/json", body=b"{"), use)


@BOTH
@pytest.mark.parametrize("path", ["/bytes/300000", "/eof/300000"])
def test_a_body_that_is_not_chunked_is_there_at_once(path, loop):
    """Its connection is free, and the client may be gone."""

    async def main():
        async with Origin() as origin:
            async with aiosonic.HTTPClient() as client:
                responses = await asyncio.gather(*[client.get(origin.url(path)) for _ in range(3)])
                assert client.connector.pool.is_all_free()
            for response in responses:
                assert await response.content() == pattern(300_000)
                assert [chunk async for chunk in response.read_chunks()] == [pattern(300_000)]
                assert await response.content() == pattern(300_000)

    run(main, loop)


@BOTH
def test_a_chunked_body_holds_its_connection_until_it_is_read(loop):
    async def main():
        async with Origin() as origin:
            client = aiosonic.HTTPClient(TCPConnector(pool_size=1, timeouts=Timeouts(pool_acquire=0.05)))
            response = await client.get(origin.url("/chunked/300000"))
            assert response.chunked
            assert not client.connector.pool.is_all_free()
            with pytest.raises(exceptions.ConnectionPoolAcquireTimeout):
                await client.get(origin.url("/get"))
            assert await client.wait_requests(timeout=0.01) is False
            assert await response.content() == pattern(300_000)
            assert await client.wait_requests() is True
            assert (await client.get(origin.url("/get"))).ok
            assert origin.connections == 1
            await client.shutdown()
            await client.shutdown()
            with pytest.raises(wirebird.ClientClosed):
                await client.get(origin.url("/get"))

    run(main, loop)


@BOTH
def test_chunked_bodies_may_be_read_when_the_client_was_left(loop):
    """The last of them closes the door behind itself."""

    async def main():
        async with Origin() as origin:
            async with aiosonic.HTTPClient() as client:
                await client.get(origin.url("/get"))
                whole, pieces = await asyncio.gather(*[client.get(origin.url("/chunked/300000")) for _ in range(2)])
            with pytest.raises(wirebird.ClientClosed):
                await client.get(origin.url("/get"))
            assert await whole.text() == pattern(300_000).decode()
            assert client.connector.peek() is not None
            assert b"".join([chunk async for chunk in pieces.read_chunks()]) == pattern(300_000)
            assert client.connector.peek() is None
            assert await whole.content() == pattern(300_000)
            await origin.until(lambda: origin.open == 0)

    run(main, loop)


def test_chunks_are_those_of_the_server_and_not_decompressed():
    coded = gzip.compress(FOX)
    chunks = [coded[:10], coded[10:11], coded[11:]]

    async def use(response):
        assert response.chunked
        assert [chunk async for chunk in response.read_chunks()] == chunks
        for read in (response.content, response.text, response.json):
            with pytest.raises(ConnectionError):
                await read()
        with pytest.raises(ConnectionError):
            await anext(response.read_chunks())

    async def whole(response):
        assert await response.content() == FOX
        assert await response.text() == FOX.decode()
        with pytest.raises(ConnectionError):
            await anext(response.read_chunks())

    wire = chunked(*chunks, fields=b"Content-Encoding: gzip\r\nContent-Type: text/plain\r\n")
    answered(wire, use)
    answered(wire, whole)


@BOTH
def test_leaving_a_chunked_body_lets_go_of_its_connection(loop):
    async def main():
        async with Origin() as origin, aiosonic.HTTPClient() as client:
            response = await client.get(origin.url("/chunked/300000"))
            chunks = response.read_chunks()
            assert await anext(chunks) == pattern(300_000)[:1000]
            await chunks.aclose()
            assert await client.wait_requests(5)
            with pytest.raises(ConnectionError):
                await response.content()
            response = await client.get(origin.url("/chunked/300000"))
            del response
            assert await client.wait_requests(5)

    run(main, loop)


@pytest.mark.parametrize(
    ("method", "wire", "body"),
    [
        ("GET", b"HTTP/1.1 100 Continue\r\n\r\n" + head(body=b"x"), b"x"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n", b"abc"),
    ],
)
def test_faults_of_aiosonic_are_not_copied(method, wire, body):
    async def use(response):
        assert response.status_code in (200, 304)
        return await response.content()

    assert answered(wire, use, method=method) == body


# -- HttpHeaders --------------------------------------------------------------------------------------------------------------


def test_headers_are_a_dict_with_one_value_for_each_name():
    headers = aiosonic.HttpHeaders([("A", "1"), ("b", "2")], c="3")
    headers["a"] = "4"
    assert list(headers.items()) == [("a", "4"), ("b", "2"), ("c", "3")]
    assert (headers["A"], headers.get("B"), headers.get("nothing"), "C" in headers, len(headers)) == ("4", "2", None, True, 3)
    assert headers == {"A": "4", "B": "2", "C": "3"} == headers.copy()
    assert headers != {"A": "4"}
    assert headers != "a: 4"
    del headers["B"]
    assert dict(headers.lower_items()) == {"a": "4", "c": "3"}
    assert repr(headers) == "HttpHeaders({'a': '4', 'c': '3'})"
    assert dict(aiosonic.HttpHeaders()) == {}
    with pytest.raises(KeyError):
        headers["b"]


# -- redirects, cookies -------------------------------------------------------------------------------------------------------


def test_redirects_are_followed_only_when_that_is_asked_for():
    async def main():
        async with Origin() as origin, aiosonic.HTTPClient() as client:
            assert (await client.get(origin.url("/chain/3"))).status_code == 302
            assert (await client.get(origin.url("/chain/3"), follow=True)).status_code == 200
            assert (await client.get(origin.url("/chain/30"), follow=True)).status_code == 200
            with pytest.raises(exceptions.MaxRedirects):
                await client.get(origin.url("/chain/31"), follow=True)
            assert await client.wait_requests(5)

    run(main)


def test_a_redirected_post_becomes_a_get_and_credentials_stay_behind():
    """As in aiosonic 1.0.4 and later; before, they were sent to wherever a server pointed."""

    async def main():
        async with Origin() as origin, Origin() as other, aiosonic.HTTPClient() as client:
            url = origin.url(f"/status/302?to={other.url('/anything')}")
            secrets = {"Authorization": "Basic x", "Cookie": "a=b"}
            response = await client.post(url, data="x", headers=secrets, follow=True)
            seen = await response.json()
            assert (seen["method"], seen["data"]) == ("GET", "")
            assert not {"authorization", "cookie", "content-type"} & set(seen["headers"])

    run(main)


def test_cookies_are_kept_when_that_is_asked_for():
    async def main():
        async with Origin() as origin:
            url = origin.url("/cookies/raw?c=a%3D1%3B+Path%3D/cookies")
            async with aiosonic.HTTPClient() as client:
                await client.get(url)
                assert client.cookies_map == {}
                assert (await (await client.get(origin.url("/cookies"))).json())["cookies"] == {}
            async with aiosonic.HTTPClient(handle_cookies=True) as client:
                await client.get(url)
                assert client.cookies_map["127.0.0.1"]["a"].value == "1"
                assert (await (await client.get(origin.url("/cookies"))).json())["cookies"] == {"a": "1"}
                await client.get(origin.url("/get"))  # the path does not match, which aiosonic did not look at
                assert "cookie" not in origin.asked[-1].headers

    run(main)


# -- TLS, time, errors --------------------------------------------------------------------------------------------------------


def test_verification_needs_the_client_and_the_request():
    async def main():
        authority = trustme.CA()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        async with Origin(tls=context) as origin:
            url = origin.url("/get")
            async with aiosonic.HTTPClient() as client:
                with pytest.raises(OSError, match="certificate"):
                    await client.get(url)
                assert (await client.get(url, verify=False)).ok
                own = ssl.create_default_context()
                authority.configure_trust(own)
                assert (await client.get(url, ssl=own)).ok
                with pytest.raises(OSError, match="certificate"):
                    await client.get(url, verify=True)
            async with aiosonic.HTTPClient(verify_ssl=False) as client:
                assert (await client.get(url)).ok
                assert (await client.get(url, verify=True)).ok

    run(main)


class Silent:
    """A resolver that never answers."""

    async def resolve(self, host, port=0, family=0):
        await asyncio.Event().wait()

    async def close(self):
        pass


@BOTH
def test_time_limits(loop):
    async def main():
        async with Origin() as origin:
            silent = origin.url("/silent")
            connector = TCPConnector(timeouts=Timeouts(sock_read=0.05), resolver=Silent())
            async with aiosonic.HTTPClient(connector) as client:
                with pytest.raises(exceptions.ReadTimeout):
                    await client.get(silent)
                with pytest.raises(exceptions.RequestTimeout):  # in place of the connector's
                    await client.get(silent, timeouts=Timeouts(request_timeout=0.05))
                with pytest.raises(exceptions.ConnectTimeout):
                    await client.get("http://example.test/", timeouts=Timeouts(sock_connect=0.05))
                for kind in (exceptions.BaseTimeout, exceptions.TimeoutException, TimeoutError, asyncio.TimeoutError):
                    with pytest.raises(kind):
                        await client.get(silent)
                assert await client.wait_requests(5)

    run(main, loop)


def test_every_exception_has_its_name():
    timeouts = ("ConnectTimeout", "ReadTimeout", "RequestTimeout", "ConnectionPoolAcquireTimeout")
    for name in timeouts:
        assert issubclass(getattr(exceptions, name), exceptions.BaseTimeout)
    others = ("MissingWriterException", "HttpParsingError", "MaxRedirects", "MissingEvent", "ConnectionDisconnected")
    for name in (*timeouts, *others, "BaseTimeout", "TimeoutException", "MissingReaderException"):
        assert issubclass(getattr(exceptions, name), Exception)
        assert name in exceptions.__all__
    assert exceptions.TimeoutException is asyncio.TimeoutError


def test_faults_of_the_network_are_what_they_were():
    class Nowhere(ThreadedResolver):
        async def resolve(self, hostname, port=0, family=0):
            raise OSError("no such name")

    async def main():
        async with Origin() as origin:
            refused = origin.url("/")
        async with aiosonic.HTTPClient(TCPConnector(resolver=Nowhere())) as client:
            with pytest.raises(ConnectionError):
                await client.get(refused)
            with pytest.raises(OSError, match="example"):
                await client.get("http://example.test/")

        async def script(link):
            await link.request()
            if link.number == 1:
                await link.send(b"garbage\r\n\r\n")

        async with Peer(script) as peer, aiosonic.HTTPClient() as client:
            with pytest.raises(exceptions.ConnectionDisconnected):
                await client.get(peer.url("/"))
            with pytest.raises(exceptions.HttpParsingError):
                await client.get(peer.url("/"))

    run(main)


def test_a_body_that_breaks_off_is_an_error_of_the_call():
    async def script(link):
        await link.request()
        await link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort")

    async def main():
        async with Peer(script) as peer, aiosonic.HTTPClient() as client:
            with pytest.raises(exceptions.HttpParsingError):
                await client.get(peer.url("/"))
            assert client.connector.pool.is_all_free()

    run(main)


def test_a_cancelled_call_leaves_the_pool_usable():
    async def main():
        async with Origin() as origin:
            async with aiosonic.HTTPClient(TCPConnector(pool_size=1)) as client:
                for path in ("/silent", "/held?first=50000"):
                    call = asyncio.create_task(client.get(origin.url(path)))
                    await origin.until(lambda path=path: bool(origin.asked) and origin.asked[-1].target == path)
                    call.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await call
                assert (await client.get(origin.url("/get"))).ok

    run(main)


# -- connector, pools, resolvers ----------------------------------------------------------------------------------------------


def test_a_client_from_before_the_loop_serves_one_loop_after_another():
    client = aiosonic.HTTPClient()

    async def main():
        async with Origin() as origin:
            assert (await client.get(origin.url("/get"))).ok

    run(main)
    run(main, "uvloop")
    run(client.shutdown)


@pytest.mark.parametrize("pool_cls", [SmartPool, CyclicQueuePool])
def test_pools(pool_cls):
    async def main():
        async with Origin() as origin:
            async with aiosonic.HTTPClient(TCPConnector(pool_size=2, pool_cls=pool_cls)) as client:
                for _ in range(4):
                    assert (await client.get(origin.url("/get"))).ok
                assert origin.connections == (1 if pool_cls is SmartPool else 2)
                assert isinstance(client.connector.pool, pool_cls)

            pool = pool_cls(TCPConnector(), 2, Connection)
            conn = await pool.acquire(urlparse(origin.url("/")))
            assert isinstance(conn, Connection)
            assert (pool.free_conns(), pool.is_all_free()) == (1, False)
            released = pool.release(conn)
            if released is not None:
                assert await released is None
            assert (pool.free_conns(), pool.is_all_free()) == (2, True)
            slot = await pool.acquire()
            pool.release(slot)
            await pool.cleanup()
            with pytest.raises(wirebird.ClientClosed):
                await pool.acquire()

    run(main)


@pytest.mark.parametrize("pool_cls", [SmartPool, CyclicQueuePool])
def test_a_pool_and_a_connection_of_ones_own(pool_cls):
    """Derived from the documented ones, with the documented parameters."""
    given_back = []

    class OwnPool(pool_cls):
        def release(self, conn):
            given_back.append(conn)
            return super().release(conn)

    class OwnConnection(Connection):
        pass

    async def main():
        async with Origin() as origin:
            connector = TCPConnector(pool_size=2, pool_cls=OwnPool, connection_cls=OwnConnection)
            async with aiosonic.HTTPClient(connector) as client:
                for path in ("/get", "/chunked/300000", "/get"):
                    await (await client.get(origin.url(path))).content()
                assert {type(conn) for conn in given_back} == {OwnConnection}
                assert len(given_back) == 3
                assert connector.pool.is_all_free()

    run(main)


@pytest.mark.parametrize("cls", [object, dict, "SmartPool", SmartPool.release])
@pytest.mark.parametrize("argument", ["pool_cls", "connection_cls"])
def test_a_class_that_is_none_of_these_is_refused_at_once(argument, cls):
    with pytest.raises(ValueError, match=argument):
        TCPConnector(**{argument: cls})


def test_conn_max_requests():
    async def main():
        async with Origin() as origin, aiosonic.HTTPClient(TCPConnector(conn_max_requests=2)) as client:
            for _ in range(5):
                await client.get(origin.url("/get"))
            assert [asked.connection for asked in origin.asked] == [1, 1, 2, 2, 3]

    run(main)


def test_a_resolver_is_asked_as_often_as_its_answers_live():
    class Counting(ThreadedResolver):
        asked = 0

        async def resolve(self, hostname, port=0, family=0):
            self.asked += 1
            return await super().resolve("127.0.0.1", port, family)

    async def main(use_dns_cache):
        resolver = Counting()
        async with Origin() as origin:
            connector = TCPConnector(resolver=resolver, conn_max_requests=1, use_dns_cache=use_dns_cache)
            async with aiosonic.HTTPClient(connector) as client:
                for _ in range(3):
                    await client.get(origin.url("/get", host="example.test"))
        return resolver.asked

    assert run(lambda: main(True)) == 1
    assert run(lambda: main(False)) == 3


def test_the_time_of_an_answer_is_in_milliseconds(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("wirebird.client.connector.NameCache", partial(NameCache, clock=lambda: clock[0]))

    class Counting(ThreadedResolver):
        asked = 0

        async def resolve(self, hostname, port=0, family=0):
            self.asked += 1
            return await super().resolve("127.0.0.1", port, family)

    async def main():
        resolver = Counting()
        async with Origin() as origin, aiosonic.HTTPClient(TCPConnector(resolver=resolver, conn_max_requests=1)) as client:
            for seconds in (0, 9.9, 0.2):
                clock[0] += seconds
                await client.get(origin.url("/get", host="example.test"))
                asked_so_far.append(resolver.asked)

    asked_so_far = []
    run(main)
    assert asked_so_far == [1, 1, 2]


def test_resolvers():
    async def main():
        resolver = ThreadedResolver()
        found = await resolver.resolve(hostname="127.0.0.1", port=80)
        assert found[0].keys() == {"hostname", "host", "port", "family", "proto", "flags"}
        assert (found[0]["hostname"], found[0]["host"], found[0]["port"]) == ("127.0.0.1", "127.0.0.1", 80)
        await resolver.close()

    run(main)


def test_a_resolver_without_aiodns_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiodns", None)
    with pytest.raises(RuntimeError, match="aiodns"):
        AsyncResolver(nameservers=["8.8.8.8"])


# -- proxies ------------------------------------------------------------------------------------------------------------------


def test_a_proxy():
    """S1-14 and S1-72: a URL and `user:password`, for every request of the client."""
    from wirebird.compat.aiosonic.proxy import Proxy

    assert aiosonic.Proxy is Proxy
    assert list(inspect.signature(Proxy).parameters)[:2] == ["host", "auth"]

    async def main():
        async with Origin() as proxy:

            async def forward(asked, wire):
                await wire.respond(200, [], b"by way of the proxy")

            proxy.on("http://example.test/path", forward)
            async with aiosonic.HTTPClient(proxy=Proxy(proxy.url(""), "user:password")) as client:
                response = await client.get("http://example.test/path")
                assert await response.text() == "by way of the proxy"
            asked = proxy.asked[0]
            assert asked.target == "http://example.test/path"
            assert asked.headers["host"] == "example.test"
            assert asked.headers["proxy-authorization"] == "Basic dXNlcjpwYXNzd29yZA=="

    run(main)


def test_a_proxy_for_https():
    """S1-72: a tunnel, with the credentials for the proxy alone."""

    async def main():
        authority = trustme.CA()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("example.test").configure_cert(context)
        own = ssl.create_default_context()
        authority.configure_trust(own)
        async with Origin(tls=context) as origin, HttpProxy(auth="user:password", hosts={"example.test": "127.0.0.1"}) as proxy:
            url = f"https://example.test:{origin.port}/get"
            async with aiosonic.HTTPClient(proxy=aiosonic.Proxy(proxy.url, "user:password")) as client:
                assert (await client.get(url, ssl=own)).ok
            assert [asked.method for asked in proxy.asked] == [b"CONNECT"]
            assert "proxy-authorization" not in origin.asked[0].headers
            async with aiosonic.HTTPClient(proxy=aiosonic.Proxy(proxy.url, "user:wrong")) as client:
                with pytest.raises(wirebird.ProxyError, match="407"):
                    await client.get(url, ssl=own)
                assert client.connector.pool.is_all_free()

    run(main)
