"""nginx and haproxy in front: what they hand on, who the client is, and what becomes of it when we fail or end."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

import wirebird
from daemons import Daemon, free_ports
from raw_peer import run
from served_site import LARGE, Answer, Site, asks, serving
from wirebird.server import Server, Settings, TrustedProxies

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")

WORKERS = 32  # who ask at once

# A client that is no proxy: it has an address of its own.
CLIENT = "127.0.0.2"

_NGINX = """
daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
    upstream behind {{ {servers} keepalive 8; }}
    map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
    server {{
        listen 127.0.0.1:{front} ssl;
        ssl_certificate {root}/chain.pem; ssl_certificate_key {root}/chain.pem;
        location / {{
            proxy_pass http://behind;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            {forwarding}
        }}
    }}
}}
"""
_HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
    timeout check 20s
    option http-no-delay
frontend front
    bind 127.0.0.1:{front} ssl crt {root}/chain.pem
    {forwarding}
    default_backend behind
backend behind
    option httpchk GET /health HTTP/1.0
    option redispatch
    http-reuse always
    {servers}
"""

# By what the client is told of: the name that it asked for is in Host, in a field of its own, or in Forwarded (RFC 7239).
_NGINX_FORWARDING = {
    "host": """proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;""",
    "x-forwarded": """proxy_set_header Host internal;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host $host;
        proxy_set_header X-Forwarded-Port 8443;""",
    "forwarded": """proxy_set_header Host internal;
        proxy_set_header Forwarded "$http_forwarded, for=\\"$remote_addr:$remote_port\\";proto=$scheme;host=\\"$http_host\\"";""",
}
_HAPROXY_FORWARDING = {
    "host": """option forwardfor
    http-request set-header X-Forwarded-Proto https""",
    "x-forwarded": """option forwardfor
    http-request set-header X-Forwarded-Proto https
    http-request set-header X-Forwarded-Host %[req.hdr(host),field(1,:)]
    http-request set-header X-Forwarded-Port 8443
    http-request set-header Host internal""",
    "forwarded": """http-request add-header Forwarded for=\\"%[src]:%[src_port]\\";proto=https;host=\\"%[req.hdr(host)]\\"
    http-request set-header Host internal""",
}


def nginx(root: Path, front: int, servers: list[int], forwarding: str) -> list[str]:
    text = _NGINX.format(
        root=root,
        front=front,
        servers=" ".join(f"server 127.0.0.1:{port};" for port in servers),
        forwarding=_NGINX_FORWARDING[forwarding],
    )
    (root / "nginx.conf").write_text(text)
    return [str(NGINX), "-p", str(root), "-c", str(root / "nginx.conf"), "-e", str(root / "error.log")]


def haproxy(root: Path, front: int, servers: list[int], forwarding: str) -> list[str]:
    text = _HAPROXY.format(
        root=root,
        front=front,
        servers="\n    ".join(f"server s{port} 127.0.0.1:{port} check inter 100ms" for port in servers),
        forwarding=_HAPROXY_FORWARDING[forwarding],
    )
    (root / "haproxy.cfg").write_text(text)
    return [str(HAPROXY), "-db", "-q", "-f", str(root / "haproxy.cfg")]


Proxy = Callable[[Path, int, list[int], str], list[str]]

PROXIES = [
    pytest.param(nginx, marks=pytest.mark.skipif(NGINX is None, reason="nginx is not installed")),
    pytest.param(haproxy, marks=pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")),
]


@asynccontextmanager
async def in_front(proxy: Proxy, root: Path, servers: list[int], forwarding: str = "host") -> AsyncIterator[wirebird.HTTPClient]:
    """A client of the proxy, which asks these servers."""
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(str(root / "chain.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    (front,) = free_ports(1)
    daemon = Daemon(proxy(root, front, servers, forwarding), [front], root / "said")
    await asyncio.to_thread(daemon.__enter__)  # meanwhile haproxy looks whether the server is well
    try:
        connector = wirebird.TCPConnector(ssl=context, local_addr=(CLIENT, 0))
        async with wirebird.HTTPClient(connector, base_url=f"https://localhost:{front}") as client:
            yield client
    finally:
        await asyncio.to_thread(daemon.__exit__)


@asynccontextmanager
async def behind(proxy: Proxy, root: Path, forwarding: str = "host") -> AsyncIterator[tuple[Site, Server, wirebird.HTTPClient]]:
    """The site, its server, and a client of the proxy in front of it."""
    async with serving(large(root), trusting(forwarding)) as (site, server, port):
        async with in_front(proxy, root, [port], forwarding) as client:
            yield site, server, client


def large(root: Path) -> Path:
    """The file that is served."""
    file = root / "large.bin"
    file.write_bytes(LARGE)
    return file


def trusting(forwarding: str = "host") -> Settings:
    """A server that takes the word of the proxy."""
    fields = "forwarded" if forwarding == "forwarded" else "x-forwarded"
    return Settings(proxies=TrustedProxies(["127.0.0.1"], fields=fields))  # type: ignore[arg-type]


@pytest.mark.parametrize("proxy", PROXIES)
def test_all_that_there_is_comes_through(proxy: Proxy, tmp_path: Path) -> None:
    async def main() -> None:
        async with behind(proxy, tmp_path) as (site, _, client):
            for ask in asks(tmp_path / "large.bin"):

                async def body(whole: bytes | None = ask.body) -> AsyncIterator[bytes]:
                    yield whole or b""

                data = body() if ask.chunked else ask.body
                response = await client.request(ask.path, ask.method, headers=dict(ask.headers), data=data)
                fields = {name.lower(): value for name, value in response.headers.items()}
                if proxy is nginx:
                    ask.says = {name: value for name, value in ask.says.items() if name != "location"}
                Answer(response.status_code, fields, await response.content()).check(ask)
            # Connections are used again: those of failures and of unread bodies are not.
            assert site.connections() < 8

    run(main)


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("forwarding", ["host", "x-forwarded", "forwarded"])
def test_the_client_is_who_the_proxy_says(proxy: Proxy, forwarding: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with behind(proxy, tmp_path, forwarding) as (_, _, client):
            host = "shop.example" if forwarding == "host" else "shop.example:8443"
            forged = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9;proto=http;host=evil"}
            if forwarding != "forwarded":
                forged |= {"X-Forwarded-Proto": "gopher"}
            for more in ({}, forged):
                response = await client.get("/client", headers={"Host": host, **more})
                assert await response.json() == [CLIENT, "https", host]

    run(main)


@pytest.mark.parametrize("proxy", PROXIES)
def test_websockets(proxy: Proxy, tmp_path: Path) -> None:
    async def main() -> None:
        async with behind(proxy, tmp_path) as (_, server, client):
            async with client.websocket("/socket") as socket:
                for message in ("text", b"bytes", "x" * 100_000):
                    await socket.send(message)
                    assert (await socket.receive()).data == message
                # The server goes: the client is told through the proxy.
                closing = asyncio.ensure_future(server.close(5))
                assert [message async for message in socket] == []
                assert socket.close_code == 1001
                await closing

    run(main)


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("path", ["/breaks", "/breaks?sized=1"])
def test_half_a_response_is_not_taken_for_a_whole(proxy: Proxy, path: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with behind(proxy, tmp_path) as (_, _, client):
            try:
                response = await client.get(path)
                await response.content()
            except wirebird.WirebirdError:
                pass
            else:
                assert response.status_code == 502, "the proxy did not notice either"
            assert await (await client.get("/text")).text() == "hello"

    run(main)


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_client_that_does_not_read_holds_the_server_back(proxy: Proxy, tmp_path: Path) -> None:
    size = 240 * len(LARGE)  # 47 MiB: more than the buffers of a proxy and all sockets

    async def main() -> None:
        async with behind(proxy, tmp_path) as (site, _, client):
            async with client.stream("GET", f"/endless?size={size}") as response:
                written = -1
                while written < site.written:
                    written = site.written
                    await asyncio.sleep(0.1)
                assert written < size
                read = 0
                async for piece in response.iter_bytes():
                    read += len(piece)
                assert read == site.written == size

    run(main)


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_body_arrives_while_it_is_being_sent(proxy: Proxy, tmp_path: Path) -> None:
    async def main() -> None:
        async with behind(proxy, tmp_path) as (site, _, client):

            async def pieces() -> AsyncIterator[bytes]:
                for number in range(1, 6):
                    yield b"x" * 1000
                    while site.read < number * 1000:  # there is no more before the handler has this
                        await asyncio.sleep(0.001)

            response = await client.post("/taken", data=pieces())
            assert (response.status_code, await response.text()) == (200, "5000")

    run(main)


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_server_ends_under_load(proxy: Proxy, tmp_path: Path) -> None:
    """One of two.  What a handler has begun is answered, and only once; of the rest the proxy gives to the other what it may.

    It may not repeat a POST that it has sent.  One that crosses the end of an idle connection on its way was never seen here, and
    the proxy answers 502, or closes: haproxy for up to 2 of 600, nginx for none of them.
    """
    file = large(tmp_path)
    statuses: dict[str, int] = {}

    async def main() -> None:
        async with serving(file, trusting()) as (leaving, server, first), serving(file, trusting()) as (staying, _, second):
            async with in_front(proxy, tmp_path, [first, second]) as client:
                ended = asyncio.Event()

                async def load(worker: int) -> None:
                    number = 0
                    while not ended.is_set():
                        path = f"/{'slow' if not number % 8 else 'echo' if number % 2 else 'text'}?{worker}.{number}"
                        number += 1
                        try:
                            response = await client.request(path, "POST" if path.startswith("/echo") else "GET")
                            await response.content()
                            statuses[path] = response.status_code
                        except wirebird.ConnectionLost:
                            statuses[path] = 0

                loads = [asyncio.ensure_future(load(worker)) for worker in range(WORKERS)]
                while min(len(leaving.asked), len(staying.asked)) < 200 or not leaving.asked[-1].startswith("/slow"):
                    await asyncio.sleep(0.001)  # at the end this one at least is under way
                await server.close(5)
                at_the_end = len(staying.asked)
                while len(staying.asked) < at_the_end + 100:
                    await asyncio.sleep(0.001)
                ended.set()
                await asyncio.gather(*loads)
            begun = [path for path in leaving.asked + staying.asked if path != "/health"]
            assert len(begun) == len(set(begun)), "nothing is done twice"
            assert {path: statuses[path] for path in begun} == dict.fromkeys(begun, 200), "what is begun is answered"
            lost = {path: status for path, status in statuses.items() if status != 200}
            assert all(path.startswith("/echo") and status in (0, 502) for path, status in lost.items()), lost
            assert len(lost) <= WORKERS, "one each could be on its way"

    run(main)


@pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
def test_haproxy_finds_it_well(tmp_path: Path) -> None:
    """Its checks are requests of HTTP/1.0 without Host; one that fails would take the server out."""

    async def main() -> None:
        async with behind(haproxy, tmp_path) as (site, _, client):
            while sum(path == "/health" for path, _ in site.peers) < 4:
                await asyncio.sleep(0.02)
            assert await (await client.get("/text")).text() == "hello"

    run(main)
