"""Peers that others made, and ways to reach them: nginx, aiohttp, what curl sees; TLS, Unix sockets, IPv6, resolvers."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import trustme

import wirebird
from origin import FOX, Origin, Wire, pattern, run

BOTH = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])

AUTHORITY = trustme.CA()
STRANGER = trustme.CA()


def server_context(*names: str, authority: trustme.CA = AUTHORITY) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


def trusting(authority: trustme.CA = AUTHORITY) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


# -- TLS ------------------------------------------------------------------------------------------------------------------------


@BOTH
def test_tls(loop):
    async def main():
        async with Origin(tls=server_context("127.0.0.1", "localhost")) as origin:
            async with wirebird.HTTPClient(wirebird.TCPConnector(ssl=trusting())) as client:
                for path in ("/bytes/10", "/bytes/1000000", "/chunked/300000", "/eof/300000"):
                    response = await client.get(origin.url(path))
                    assert await response.content() == pattern(int(path.rpartition("/")[2]))
                assert (await (await client.post(origin.url("/post", host="localhost"), data={"a": "b"})).json())["form"] == {
                    "a": "b"
                }
                assert (await (await client.post(origin.url("/post"), data=pattern(1_000_000))).json())["data"] == pattern(
                    1_000_000
                ).decode()
                assert origin.connections == 3  # one ended with its body, one has another name
            async with wirebird.HTTPClient() as client:
                for _ in range(2):
                    response = await client.get(origin.url("/echo"), ssl=trusting())
                    assert response.ok

    run(main, loop)


@BOTH
def test_bad_certificates(loop):
    async def main():
        async with (
            Origin(tls=server_context("other.example")) as wrong_name,
            Origin(tls=server_context("127.0.0.1", authority=STRANGER)) as unknown,
        ):
            async with wirebird.HTTPClient(wirebird.TCPConnector(ssl=trusting())) as client:
                for origin in (wrong_name, unknown):
                    for _ in range(2):
                        with pytest.raises(wirebird.TLSError) as caught:
                            await client.get(origin.url("/echo"))
                        assert caught.value.peer == origin.address
                        assert "certificate" in str(caught.value)
                assert client.stats()["in_use"] == 0
            assert wrong_name.asked == unknown.asked == []

    run(main, loop)


def test_plain_and_tls_are_not_mistaken_for_each_other():
    async def main():
        async with Origin() as plain, Origin(tls=server_context("127.0.0.1")) as secure:
            async with wirebird.HTTPClient(wirebird.TCPConnector(ssl=trusting())) as client:
                with pytest.raises(wirebird.TLSError):
                    await client.get(plain.url("/echo").replace("http:", "https:"))
                with pytest.raises((wirebird.NetworkError, wirebird.ProtocolError)):
                    await client.get(secure.url("/echo").replace("https:", "http:"))
                assert client.stats()["in_use"] == 0

    run(main)


@BOTH
def test_an_unverified_connection_is_never_used_for_a_verified_request(loop):
    """CVE-2024-35195: what one request waived, another did not."""

    async def main():
        async with Origin(tls=server_context("127.0.0.1")) as origin:
            async with wirebird.HTTPClient() as client:
                for _ in range(2):
                    assert (await client.get(origin.url("/echo"), verify=False)).ok
                    with pytest.raises(wirebird.TLSError):
                        await client.get(origin.url("/echo"))
                    with pytest.raises(wirebird.TLSError):
                        await client.get(origin.url("/echo"), verify=True)
                    assert (await client.get(origin.url("/echo"), ssl=trusting())).ok
                assert {asked.connection for asked in origin.asked[::2]}.isdisjoint(
                    asked.connection for asked in origin.asked[1::2]
                )
            async with wirebird.HTTPClient(verify_ssl=False) as client:
                for _ in range(3):
                    assert (await client.get(origin.url("/echo"))).ok
            context = trusting()
            async with wirebird.HTTPClient(wirebird.TCPConnector(ssl=context)) as client:
                before = origin.connections
                for ssl_context in (None, trusting(), context, None):
                    assert (await client.get(origin.url("/echo"), ssl=ssl_context)).ok
                assert origin.connections - before == 2

    run(main, loop)


@BOTH
def test_client_certificates(loop):
    async def main():
        demanding = server_context("127.0.0.1")
        demanding.verify_mode = ssl.CERT_REQUIRED
        AUTHORITY.configure_trust(demanding)
        known = trusting()
        AUTHORITY.issue_cert("client@example.org").configure_cert(known)
        async with Origin(tls=demanding) as origin:
            async with wirebird.HTTPClient() as client:
                assert (await client.get(origin.url("/echo"), ssl=known)).ok
                with pytest.raises(wirebird.NetworkError):  # at once or, with TLS 1.3, when it is used
                    await client.get(origin.url("/echo"), ssl=trusting())
                assert (await client.get(origin.url("/echo"), ssl=known)).ok
                assert [asked.connection for asked in origin.asked] == [origin.asked[0].connection] * 2
                assert client.stats()["in_use"] == 0

    run(main, loop)


def test_sni_and_verification_keep_the_name(monkeypatch):
    """`connect_to` sends the connection elsewhere; who is asked for, and verified, stays the URL's host."""
    names = []
    context = server_context("example.test")
    context.sni_callback = lambda ssl_object, name, context: names.append(name)

    async def main():
        async with Origin(tls=context) as origin:
            connector = wirebird.TCPConnector(
                ssl=trusting(), connect_to={"example.test:443": origin.address, "other.test:443": origin.address}
            )
            async with wirebird.HTTPClient(connector) as client:
                response = await client.get("https://example.test/echo")
                assert (await response.json())["headers"]["host"] == "example.test"
                with pytest.raises(wirebird.TLSError):
                    await client.get("https://other.test/echo")
        assert names == ["example.test", "other.test"]

    run(main)


def test_key_log(tmp_path):
    """SSLKEYLOGFILE is read when a context is made, so this needs a process of its own."""
    log = tmp_path / "keys"
    code = (
        "import asyncio, sys, wirebird\n"
        "async def main():\n"
        "    async with wirebird.HTTPClient(verify_ssl=False) as client:\n"
        "        print((await client.get(sys.argv[1])).status_code)\n"
        "asyncio.run(main())\n"
    )

    async def main():
        async with Origin(tls=server_context("127.0.0.1")) as origin:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, origin.url("/echo"), env={"SSLKEYLOGFILE": str(log)}, stdout=subprocess.PIPE
            )
            output, _ = await process.communicate()
            assert (output.strip(), process.returncode) == (b"200", 0)

    run(main)
    assert "CLIENT_" in log.read_text()


@BOTH
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("way", ["content", "iter", "late"])
@pytest.mark.parametrize("size", [10, 200_000])
def test_a_body_cut_short_by_whoever_can_cut_a_connection(loop, version, way, size):
    """A body that ends with the connection is complete only after close_notify: its end is easily forged (RFC 9112 9.8)."""
    context = server_context("127.0.0.1")
    context.minimum_version = context.maximum_version = version

    async def main():
        async def cut(asked, wire: Wire):
            await wire.send(b"HTTP/1.1 200 OK\r\n\r\n" + pattern(size))
            with socket.socket(fileno=os.dup(wire.writer.transport.get_extra_info("socket").fileno())) as below:
                below.shutdown(socket.SHUT_WR)
            await origin.release.wait()

        async def whole(asked, wire: Wire):
            await wire.send(b"HTTP/1.1 200 OK\r\n\r\n" + pattern(size))
            wire.close()

        async with Origin(tls=context) as origin, wirebird.HTTPClient(wirebird.TCPConnector(ssl=trusting())) as client:
            origin.on("/cut", cut)
            origin.on("/whole", whole)
            for _ in range(2):
                response = await client.get(origin.url("/whole"))
                if way == "late":
                    await origin.until(lambda: origin.open == 0 or size > 65536)
                if way == "iter":
                    assert b"".join([piece async for piece in response.iter_bytes()]) == pattern(size)
                else:
                    assert await response.content() == pattern(size)
                response = await client.get(origin.url("/cut"))
                if way == "late" and size < 65536:
                    await origin.until(lambda: origin.open == 0)
                with pytest.raises(wirebird.IncompleteBody) as caught:
                    if way == "iter":
                        async for _piece in response.iter_bytes():
                            pass
                    else:
                        await response.content()
                assert (caught.value.expected, caught.value.peer) == (None, origin.address)
                assert caught.value.received == size or way == "iter"  # while reading is paused, uvloop drops what it holds
                assert client.stats()["open"] == 0

    run(main, loop)


# -- ways to get there ----------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("secure", [False, True])
def test_unix_socket(loop, secure, tmp_path):
    async def main():
        path = tmp_path / "s"
        context = server_context("service.test") if secure else None
        connector = wirebird.TCPConnector(uds=path, ssl=trusting() if secure else None)
        async with Origin(uds=str(path), tls=context) as origin, wirebird.HTTPClient(connector) as client:
            scheme = "https" if secure else "http"
            for _ in range(2):
                response = await client.get(f"{scheme}://service.test/bytes/300000")
                assert await response.content() == pattern(300_000)
            assert origin.asked[0].headers["host"] == "service.test"
            assert origin.connections == 1
        async with wirebird.HTTPClient(wirebird.TCPConnector(uds=tmp_path / "missing")) as client:
            with pytest.raises(wirebird.ConnectError):
                await client.get("http://service.test/")

    run(main, loop)


@BOTH
@pytest.mark.parametrize("secure", [False, True])
def test_ipv6(loop, secure):
    async def main():
        try:
            origin = await Origin(host="::1", tls=server_context("::1") if secure else None).__aenter__()
        except OSError as error:
            pytest.skip(f"no IPv6 here: {error}")
        try:
            async with wirebird.HTTPClient(wirebird.TCPConnector(ssl=trusting())) as client:
                for _ in range(2):
                    assert (await client.get(origin.url("/echo"))).ok
                assert origin.asked[0].headers["host"] == f"[::1]:{origin.port}"
                assert origin.connections == 1
        finally:
            await origin.__aexit__()

    run(main, loop)


@BOTH
def test_a_resolver_of_ones_own(loop):
    class Mine:
        asked = 0
        closed = 0

        async def resolve(self, host, port=0, family=socket.AF_INET):
            self.asked += 1
            if host != "service.test":
                raise OSError("never heard of it")
            return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

        async def close(self):
            self.closed += 1

    async def main():
        resolver = Mine()
        async with Origin() as origin:
            async with wirebird.HTTPClient(wirebird.TCPConnector(resolver=resolver)) as client:
                for _ in range(3):
                    response = await client.get(origin.url("/echo", host="service.test"), headers={"Connection": "close"})
                    assert (await response.json())["headers"]["host"] == f"service.test:{origin.port}"
                assert origin.connections == 3
                asked = resolver.asked
                with pytest.raises(wirebird.DNSError) as caught:
                    await client.get("http://unheard.test/")
                assert "unheard.test" in str(caught.value)
            assert asked <= 2  # at most one question for each family, and then the cache
            assert resolver.closed == 0  # it is the caller's
            async with wirebird.HTTPClient(wirebird.TCPConnector(resolver=resolver, use_dns_cache=False)) as client:
                before = resolver.asked
                for _ in range(2):
                    await client.get(origin.url("/echo", host="service.test"), headers={"Connection": "close"})
                assert resolver.asked - before >= 2

    run(main, loop)


def test_from_a_local_address():
    async def main():
        async with Origin() as origin:
            connector = wirebird.TCPConnector(local_addr=("127.0.0.2", 0))
            async with wirebird.HTTPClient(connector) as client:

                async def who(asked, wire):
                    await wire.respond(200, [], wire.writer.get_extra_info("peername")[0].encode())

                origin.on("/who", who)
                assert await (await client.get(origin.url("/who"))).text() == "127.0.0.2"

    run(main)


# -- others' servers ------------------------------------------------------------------------------------------------------------

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

CONFIGURATION = """
daemon off; master_process off; pid {root}/pid; error_log stderr notice;
events {{ worker_connections 64; }}
http {{
    access_log off; client_body_temp_path {root}/a; proxy_temp_path {root}/b; fastcgi_temp_path {root}/c;
    uwsgi_temp_path {root}/d; scgi_temp_path {root}/e; default_type application/octet-stream;
    gzip on; gzip_types application/octet-stream; gzip_min_length 100; gzip_http_version 1.1;
    server {{
        listen 127.0.0.1:{port} ssl; ssl_certificate {root}/chain.pem; ssl_certificate_key {root}/chain.pem;
        root {root}/www; keepalive_requests 1000;
        location /moved {{ return 301 /small; }}
        location /status {{ return 418 "teapot"; }}
        location /plain/ {{ gzip off; alias {root}/www/; }}
    }}
}}
"""


@pytest.fixture(scope="module")
def nginx(tmp_path_factory):
    """The base URL of an nginx with TLS, and its folder of files."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    root = tmp_path_factory.mktemp("nginx")
    www = root / "www"
    www.mkdir()
    root.chmod(0o755)
    AUTHORITY.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(root / "chain.pem")
    (www / "small").write_bytes(b"small file")
    (www / "text").write_bytes(FOX)
    (www / "large").write_bytes(pattern(1 << 20))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (root / "nginx.conf").write_text(CONFIGURATION.format(root=root, port=port))
    process = subprocess.Popen([NGINX, "-p", str(root), "-c", str(root / "nginx.conf")], stderr=subprocess.PIPE, text=True)
    lines = []
    for line in process.stderr:  # its sockets listen before it says which kind of events it uses
        lines.append(line)
        if "event method" in line:
            break
    else:
        pytest.fail("nginx did not start: " + "".join(lines))
    reading = threading.Thread(target=process.stderr.read)
    reading.start()
    yield f"https://127.0.0.1:{port}", port
    process.terminate()
    process.wait(10)
    reading.join()
    process.stderr.close()


class Enough(Exception):
    pass


@BOTH
@pytest.mark.parametrize("path", ["/large", "/plain/large"])
def test_downloads_from_nginx(nginx, loop, path, tmp_path, tmp_path_factory, monkeypatch):
    """Continued, found complete, and begun anew when the file has changed there."""
    monkeypatch.setattr("wirebird.client.progress.EVERY", 0)
    base, _ = nginx
    file = tmp_path_factory.getbasetemp() / "nginx0" / "www" / "large"
    old, new = pattern(1 << 20), pattern(1 << 21)[1 << 20 :]

    def stop(done, total):
        if done > 400_000:
            raise Enough

    async def main():
        async with wirebird.HTTPClient(wirebird.TCPConnector(ssl=trusting()), base_url=base) as client:
            file.write_bytes(old)
            with pytest.raises(Enough):
                await client.download(path, tmp_path, progress=stop)
            done = await client.download(path, tmp_path, digest="sha256")
            assert (done.path, done.status_code) == (tmp_path / "large", 206)
            assert done.resumed_from > 400_000
            assert done.path.read_bytes() == old
            with pytest.raises(Enough):
                await client.download(path, tmp_path, progress=stop, overwrite=True)
            file.write_bytes(new)  # of the same size
            os.utime(file, (1_700_000_000, 1_700_000_000))
            done = await client.download(path, tmp_path, overwrite=True)
            assert (done.status_code, done.resumed_from) == (200, 0)
            assert done.path.read_bytes() == new
            done.path.rename(tmp_path / "large.part")
            with pytest.raises(Enough):
                await client.download(path, tmp_path / "other", progress=stop)
            (tmp_path / "other.part.json").rename(tmp_path / "large.part.json")
            done = await client.download(path, tmp_path)
            assert (done.status_code, done.resumed_from) == (416, 1 << 20)
            assert done.path.read_bytes() == new

    try:
        run(main, loop)
    finally:
        file.write_bytes(old)


@BOTH
def test_nginx(nginx, loop):
    base, _ = nginx

    async def main():
        async with wirebird.HTTPClient(wirebird.TCPConnector(ssl=trusting()), base_url=base) as client:
            for _ in range(20):
                response = await client.get("/plain/small")
                assert (response.status_code, await response.content()) == (200, b"small file")
                assert response.headers["server"].startswith("nginx")
            stats = client.stats()
            assert (stats["opened"], stats["reused"]) == (1, 19)
            assert await (await client.get("/plain/large")).content() == pattern(1 << 20)
            response = await client.get("/large")
            assert (response.headers["content-encoding"], response.chunked) == ("gzip", True)
            assert b"".join([piece async for piece in response.iter_bytes(65536)]) == pattern(1 << 20)
            assert await (await client.get("/text")).text() == FOX.decode()
            response = await client.get("/plain/large", headers={"Range": "bytes=100-199"})
            assert (response.status_code, await response.content()) == (206, pattern(1 << 20)[100:200])
            response = await client.head("/plain/large")
            assert (response.content_length, await response.content()) == (1 << 20, b"")
            etag = response.headers["etag"]
            assert (await client.get("/plain/large", headers={"If-None-Match": etag})).status_code == 304
            response = await client.get("/moved", follow=True)
            assert (response.status_code, len(response.history)) == (200, 1)
            assert (await client.get("/missing")).status_code == 404
            response = await client.get("/status")
            assert (response.status_code, await response.text()) == (418, "teapot")
            assert (await client.post("/plain/small", data=pattern(100_000))).status_code == 405
            bodies = await asyncio.gather(*[client.get("/plain/small") for _ in range(50)])
            assert all(response.ok for response in bodies)
            assert client.stats()["in_use"] == 0

    run(main, loop)


def test_aiohttp_served():
    web = pytest.importorskip("aiohttp.web")

    async def main():
        async def echo(request):
            is_form = request.content_type in ("multipart/form-data", "application/x-www-form-urlencoded")
            form = dict(await request.post()) if is_form else {}
            body = b"" if is_form else await request.read()
            form = {name: value if isinstance(value, str) else value.file.read().decode() for name, value in form.items()}
            seen = {
                "method": request.method,
                "query": dict(request.query),
                "form": form,
                "size": len(body),
                "cookies": dict(request.cookies),
            }
            return web.json_response(seen, headers={"X-Many": "1"})

        async def stream(request):
            response = web.StreamResponse(headers={"Content-Type": "text/plain"})
            response.enable_compression()
            await response.prepare(request)
            for _ in range(50):
                await response.write(FOX)
            return response

        async def moved(request):
            response = web.HTTPFound("/echo")
            response.set_cookie("from", "aiohttp")
            raise response

        app = web.Application(client_max_size=10_000_000)
        app.add_routes([web.route("*", "/echo", echo), web.get("/stream", stream), web.get("/moved", moved)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        base = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        try:
            async with wirebird.HTTPClient(base_url=base, handle_cookies=True) as client:
                for _ in range(3):
                    seen = await (await client.get("/echo", params={"a": "b c", "ü": "&"})).json()
                    assert seen["query"] == {"a": "b c", "ü": "&"}
                seen = await (await client.post("/echo", data={"a": "1", "ü": "&="})).json()
                assert seen["form"] == {"a": "1", "ü": "&="}
                seen = await (await client.post("/echo", data={"a": "1"}, multipart=True)).json()
                assert seen["form"] == {"a": "1"}
                seen = await (await client.put("/echo", files={"f": ("n.txt", b"content")})).json()
                assert seen["form"] == {"f": "content"}
                seen = await (await client.post("/echo", data=iter([b"x" * 1000] * 100))).json()
                assert seen["size"] == 100_000
                seen = await (await client.post("/echo", data=pattern(3_000_000))).json()
                assert seen["size"] == 3_000_000
                response = await client.get("/stream")
                assert response.headers["content-encoding"] in ("gzip", "deflate")
                assert await response.content() == FOX * 50
                seen = await (await client.get("/moved", follow=True)).json()
                assert seen["cookies"] == {"from": "aiohttp"}
                response = await client.post("/echo", data=b"x", headers={"Expect": "100-continue"})
                assert (await response.json())["size"] == 1
                assert (await client.get("/missing")).status_code == 404
                assert client.stats()["in_use"] == 0
        finally:
            await runner.cleanup()

    run(main)


class _Old(http.server.BaseHTTPRequestHandler):
    """An HTTP/1.0 server, of the standard library."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(pattern(100_000))

    def log_message(self, *args):
        pass


def test_http_1_0_served():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Old) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        async def main():
            async with wirebird.HTTPClient() as client:
                for _ in range(3):
                    response = await client.get(f"http://127.0.0.1:{server.server_port}/")
                    assert response.http_version == "1.0"
                    assert await response.content() == pattern(100_000)
                    assert client.stats()["open"] == 0

        run(main)
        server.shutdown()
        thread.join()


# -- the same with curl's eyes --------------------------------------------------------------------------------------------------

SIGHTS = [
    ("GET", "/bytes/0"),
    ("GET", "/bytes/100000"),
    ("GET", "/chunked/100000?size=777"),
    ("GET", "/eof/5000"),
    ("GET", "/coded/gzip"),
    ("GET", "/coded/deflate"),
    ("GET", "/status/204"),
    ("GET", "/status/304"),
    ("GET", "/status/404"),
    ("GET", "/headers?X-A=1&X-A=2&x-b=%20spaced%20&X-Empty="),
    ("GET", "/cookies/set?a=b&c=d"),
    ("HEAD", "/bytes/1000"),
    ("GET", "/early"),
    ("GET", "/status/302?to=/bytes/10"),
]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("follow", [False, True])
def test_what_curl_sees_is_what_we_see(follow):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(headers={"Accept-Encoding": "gzip, deflate"}) as client:
            origin.always(
                "/early",
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            )
            for method, path in SIGHTS:
                arguments = ["--head"] if method == "HEAD" else []
                arguments += ["--location"] if follow else []
                process = await asyncio.create_subprocess_exec(
                    "curl", "-s", "-i", "--compressed", "--noproxy", "*", *arguments, origin.url(path), stdout=subprocess.PIPE
                )
                output, _ = await process.communicate()
                assert process.returncode == 0, path
                status, fields, body = _last_response(output)
                response = await client.request(origin.url(path), method, follow=follow)
                assert response.status_code == status, path
                assert [(name.lower(), value) for name, value in response.headers.items()] == fields, path
                assert await response.content() == body.removesuffix(b"X-Checked: yes\r\n"), path  # curl shows trailers behind it

    run(main)


def _last_response(output: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    """What `curl -i` shows, behind interim responses and redirects."""
    while True:
        head, _, rest = output.partition(b"\r\n\r\n")
        if not rest.startswith(b"HTTP/1.1 "):
            break
        output = rest
    line, *fields = head.decode().split("\r\n")
    pairs = [(name.lower(), value.strip(" ")) for name, _, value in (field.partition(":") for field in fields)]
    return int(line.split(" ")[1]), pairs, rest


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_curl_sends_is_what_we_send(tmp_path):
    """Forms, JSON, uploads: the origin reads the same from both."""
    path = tmp_path / "f.txt"
    path.write_bytes(b"content")

    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:

            def file():
                return Path(path).open("rb")

            url = origin.url("/post")
            for arguments, keywords in (
                (["--data-urlencode", "a=b c&ü", "-d", "x=1"], {"data": {"a": "b c&ü", "x": "1"}}),
                (["-F", "a=1", "-F", f"f=@{path}"], {"data": {"a": "1", "f": file()}}),
                (
                    ["--data-binary", f"@{path}", "-H", "Content-Type: text/x-mine"],
                    {"data": file(), "headers": {"Content-Type": "text/x-mine"}},
                ),
                (["-d", '{"a": [1]}', "-H", "Content-Type: application/json"], {"json": {"a": [1]}}),
            ):
                process = await asyncio.create_subprocess_exec(
                    "curl", "-s", "--noproxy", "*", *arguments, url, stdout=subprocess.PIPE
                )
                output, _ = await process.communicate()
                theirs = json.loads(output)
                ours = await (await client.post(url, **keywords)).json()
                for key in ("method", "url", "args", "form", "files", "json", "data"):
                    assert ours[key] == theirs[key], (key, arguments)

    run(main)
