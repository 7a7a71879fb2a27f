"""Programs written for aiosonic, as its manual (0.9.3) and reference have them, run by wirebird under that name.

They are the documents' own, but for misprints; for module paths, which `wirebird.compat` has; and for the Internet: the services
they ask are played by the local origin, over plain HTTP, through `connect_to`.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from http.cookies import SimpleCookie
from urllib.parse import urlparse

import pytest

import wirebird as aiosonic
from origin import Origin, pattern, run

HOSTS = [
    "www.google.com",
    "postman-echo.com",
    "images.dog.ceo",
    "www.facebook.com",
    "twitch.tv",
    "linkedin.com",
    "your-upload-endpoint.com",
]


def client_for(origin: Origin, *arguments, **keywords) -> aiosonic.HTTPClient:
    """The client of the program, with the Internet replaced."""
    connector = aiosonic.TCPConnector(connect_to={f"{host}:80": origin.address for host in HOSTS})
    return aiosonic.HTTPClient(connector, *arguments, **keywords)


async def google(asked, wire) -> None:
    await wire.respond(200, [("Content-Type", "text/html; charset=ISO-8859-1")], b"<title>Google</title>")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_getting_started(loop, capsys):
    """S0-13 to S0-20."""

    async def program(origin: Origin) -> None:
        client = client_for(origin)

        # sample get request
        response = await client.get("http://www.google.com/")
        assert response.status_code == 200
        assert "Google" in (await response.text())

        # post data as a form
        url = "http://postman-echo.com/post"
        posted_data = {"foo": "bar"}
        response = await client.post(url, data=posted_data)
        assert response.status_code == 200
        data = json.loads(await response.content())
        assert data["form"] == posted_data

        # posted as json
        response = await client.post(url, json=posted_data)
        assert response.status_code == 200
        data = json.loads(await response.content())
        assert data["json"] == posted_data

        # sample request + timeout
        from wirebird import Timeouts

        timeouts = Timeouts(sock_read=10, sock_connect=3)
        response = await client.get("http://www.google.com/", timeouts=timeouts)
        assert response.status_code == 200
        assert "Google" in (await response.text())
        await client.shutdown()

        print("success")

    async def main():
        async with Origin() as origin:
            origin.on("/", google)
            await program(origin)
            assert [asked.headers["host"] for asked in origin.asked] == [
                "www.google.com",
                *["postman-echo.com"] * 2,
                "www.google.com",
            ]

    run(main, loop)
    assert capsys.readouterr().out == "success\n"


def test_the_old_way_to_run_a_program():
    """S0-20: `loop.run_until_complete(run())`."""

    async def main():
        async with Origin() as origin:
            origin.on("/", google)
            client = client_for(origin)
            assert (await client.get("http://www.google.com/")).status_code == 200
            await client.shutdown()

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@pytest.mark.parametrize("framing", ["bytes", "chunked"])
@pytest.mark.parametrize("size", [1000, 400_000])
@pytest.mark.parametrize("where", ["inside", "outside"])
def test_download_file(framing, size, where, tmp_path):
    """S0-24: the manual reads the body behind the `async with`, another edition inside.

    Behind it, what was not read ahead is gone with the connection: a longer body says so, and is never cut short in silence.
    """

    async def save(res, path) -> None:
        if res.chunked:
            # write in chunks
            with open(path, "wb") as _file:
                async for chunk in res.read_chunks():
                    _file.write(chunk)
        else:
            # or write all bytes, for chunked this also works
            with open(path, "wb") as _file:
                _file.write(await res.content())

    async def main():
        path = tmp_path / "dog_image.jpg"
        async with Origin() as origin:
            url = f"http://images.dog.ceo/{framing}/{size}"
            async with client_for(origin) as client:
                res = await client.get(url)
                assert res.status_code == 200
                assert res.chunked is (framing == "chunked")
                if where == "inside":
                    await save(res, path)
                else:
                    await client.wait_requests(5 if size < 65536 else 0.05)
            if where == "outside" and size > 65536:
                with pytest.raises(aiosonic.ConnectionLost):
                    await save(res, path)
                return
            if where == "outside":
                await save(res, path)
            assert path.read_bytes() == pattern(size)

    run(main)


def test_concurrent_requests():
    """S0-25."""

    async def program(origin: Origin) -> None:
        urls = ["http://www.facebook.com/", "http://www.google.com/", "http://twitch.tv/", "http://linkedin.com/chunked"]
        async with client_for(origin) as client:
            # asyncio.gather is the key for concurrent requests.
            responses = await asyncio.gather(*[client.get(url) for url in urls])

            # stream/chunked responses doesn't release the connection acquired
            # from the pool until the response has been read, so better to read
            # it.
            for response in responses:
                if response.chunked:
                    await response.text()

            assert all([res.status_code in [200, 301] for res in responses])  # noqa: C419
            assert client.stats()["in_use"] == 0

    async def main():
        async with Origin() as origin:

            async def any_of_them(asked, wire):
                if asked.headers["host"] == "twitch.tv":
                    await wire.respond(301, [("Location", "https://www.twitch.tv/")])
                else:
                    await google(asked, wire)

            async def chunked(asked, wire):
                await origin._chunked(asked, wire, "300000")

            origin.on("/", any_of_them)
            origin.on("/chunked", chunked)
            await program(origin)
            assert origin.connections == 4

    run(main)


def test_chunked_requests(capsys):
    """S0-26."""

    async def program(origin: Origin) -> None:
        async def data():
            yield b"foo"
            yield b"bar"

        async with client_for(origin) as client:
            url = "http://postman-echo.com/post"
            response = await client.post(url, data=data())
            print(json.dumps(await response.json(), indent=10))

    async def main():
        async with Origin() as origin:
            await program(origin)
            assert origin.asked[0].chunked

    run(main)
    assert json.loads(capsys.readouterr().out)["data"] == "foobar"


def test_cookies_handling(capsys):
    """S0-27."""

    async def program(origin: Origin) -> None:
        async with client_for(origin, handle_cookies=True) as client:
            cookies = {"foo1": "bar1", "foo2": "bar2"}
            url = "http://postman-echo.com/cookies/set"
            # server will respond those cookies
            response = await client.get(url, params=cookies, follow=True)
            # client keep cookies in "cookies_map"
            assert isinstance(client.cookies_map["postman-echo.com"], SimpleCookie)
            print(client.cookies_map["postman-echo.com"])
            print(await response.text())

    async def main():
        async with Origin() as origin:
            await program(origin)

    run(main)
    out = capsys.readouterr().out
    assert "Set-Cookie: foo1=bar1" in out
    assert '"cookies": {"foo1": "bar1", "foo2": "bar2"}' in out


def test_resolver_example():
    """S1-56: the resolver is made and passed on; whom it asks is its own tests' business."""
    pytest.importorskip("aiodns")

    async def main():
        resolver = aiosonic.AsyncResolver(nameservers=["127.0.0.1"])
        conn = aiosonic.TCPConnector(resolver=resolver)
        async with Origin() as origin, aiosonic.HTTPClient(conn) as client:
            assert (await client.get(origin.url("/echo"))).status_code == 200  # an address needs no resolver
        await resolver.close()

    run(main)


def test_upload_file(tmp_path, capsys):
    """S1-66."""
    path = tmp_path / "file.txt"
    path.write_text("the file")

    async def upload_file(origin: Origin) -> None:
        client = client_for(origin)
        form = aiosonic.MultipartForm()

        # Add a text field
        form.add_field("field1", "value1")

        # Add a file to upload
        form.add_file("file1", str(path))

        # Make the POST request with MultipartForm directly
        url = "http://your-upload-endpoint.com/anything/upload"
        response = await client.post(url, data=form)
        print("Response Status:", response.status_code)
        response_data = await response.text()
        print("Response Body:", response_data)
        await client.shutdown()

    async def main():
        async with Origin() as origin:
            await upload_file(origin)

    run(main)
    out = capsys.readouterr().out
    assert out.startswith("Response Status: 200\n")
    seen = json.loads(out.partition("Response Body: ")[2])
    assert seen["form"] == {"field1": "value1"}
    assert seen["files"] == {"file.txt": {"field": "file1", "type": "text/plain", "data": "the file"}}


# -- the reference --------------------------------------------------------------------------------------------------------------


def leading(function, *names: str) -> None:
    """The positional parameters begin with these, in this order."""
    parameters = [name for name in inspect.signature(function).parameters if name != "self"]
    assert parameters[: len(names)] == list(names)


def test_signatures():
    leading(
        aiosonic.TCPConnector,
        *(
            "pool_size",
            "timeouts",
            "connection_cls",
            "pool_cls",
            "resolver",
            "ttl_dns_cache",
            "use_dns_cache",
            "conn_max_requests",
        ),
    )
    leading(aiosonic.HTTPClient, "connector", "handle_cookies", "verify_ssl")
    leading(aiosonic.HTTPClient.request, "url", "method", "headers", "params", "data")
    for verb in ("post", "put", "patch", "delete"):
        leading(
            getattr(aiosonic.HTTPClient, verb),
            *("url", "data", "headers", "json", "params", "json_serializer", "multipart"),
            *("verify", "ssl", "timeouts", "follow", "http2"),
        )
    leading(aiosonic.HTTPClient.get, "url", "headers", "params", "verify", "ssl", "timeouts", "follow", "http2")
    leading(aiosonic.Timeouts, "sock_connect", "sock_read", "pool_acquire", "request_timeout")
    for pool in (aiosonic.SmartPool, aiosonic.CyclicQueuePool):
        leading(pool, "connector", "pool_size", "connection_cls")
        leading(pool.acquire, "urlparsed")
    leading(aiosonic.MultipartForm.add_field, "name", "value", "filename")
    leading(aiosonic.MultipartForm.add_file, "name", "file_path", "filename")
    leading(aiosonic.MultipartForm.get_headers, "size")
    leading(aiosonic.ThreadedResolver.resolve, "host", "port", "family")
    assert aiosonic.Timeouts() == aiosonic.Timeouts(5, 30, None, 60)


def test_classes_of_the_reference():
    async def main():
        async with Origin() as origin:
            timeouts = aiosonic.Timeouts(sock_connect=5, sock_read=30, pool_acquire=None, request_timeout=60)
            connector = aiosonic.TCPConnector(
                pool_size=2,
                timeouts=timeouts,
                pool_cls=aiosonic.CyclicQueuePool,
                ttl_dns_cache=10000,
                use_dns_cache=True,
                conn_max_requests=100,
            )
            client = aiosonic.HTTPClient(connector=connector, handle_cookies=False, verify_ssl=True)
            headers = aiosonic.HttpHeaders({"X-Own": "1"})
            response = await client.request(origin.url("/anything"), method="PATCH", headers=headers, data=(("x", "y"),))
            assert (response.ok, response.status_code) == (True, 200)
            assert isinstance(response.cookies, SimpleCookie)
            assert all(isinstance(name, bytes) and isinstance(value, bytes) for name, value in response.raw_headers)
            seen = await response.json(json_decoder=json.loads)
            assert (seen["form"], seen["headers"]["x-own"]) == ({"x": "y"}, "1")
            assert (await client.delete(origin.url("/delete"), b"")).ok
            assert await client.wait_requests(timeout=30) is True
            await client.shutdown()

            pool = aiosonic.TCPConnector().pool
            conn = await pool.acquire(urlparse(origin.url("/")))
            assert (pool.free_conns(), pool.is_all_free()) == (24, False)
            pool.release(conn)
            assert pool.is_all_free()
            await pool.cleanup()

            form = aiosonic.MultipartForm()
            form.add_field("a", "1")
            body, size = await form.get_body_size()
            assert size == len(body) == len(b"".join([piece async for piece in form.get_buffer()]))
            assert form.get_headers(size)["Content-Length"] == str(size)

            resolver = aiosonic.ThreadedResolver()
            found = await resolver.resolve("localhost", 80)
            assert {"host", "port", "family"} <= found[0].keys()
            await resolver.close()

    run(main)
