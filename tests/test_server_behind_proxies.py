"""nginx and haproxy in front: what they hand on, who the client is, and what becomes of it when we fail or end."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import wirebird
from raw_peer import run
from served_site import LARGE, Answer, Site, asks, serving
from wirebird.server import Server, Settings, TrustedProxies

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")

# A client that is no proxy: it has an address of its own.
CLIENT = "127.0.0.2"

_NGINX = """
daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
    upstream behind {{ server 127.0.0.1:{behind}; keepalive 8; }}
    map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
    server {{
        listen 127.0.0.1:{front} ssl;
        ssl_certificate {root}/chain.pem; ssl_certificate_key {root}/chain.pem;
        location / {{
            proxy_pass http://behind;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
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
frontend front
    bind 127.0.0.1:{front} ssl crt {root}/chain.pem
    option forwardfor
    http-request set-header X-Forwarded-Proto https
    default_backend behind
backend behind
    option httpchk GET /health HTTP/1.0
    http-reuse always
    server site 127.0.0.1:{behind} check inter 100ms
"""


def nginx(root: Path, front: int, behind: int) -> list[str]:
    (root / "nginx.conf").write_text(_NGINX.format(root=root, front=front, behind=behind))
    return [str(NGINX), "-p", str(root), "-c", str(root / "nginx.conf"), "-e", str(root / "error.log")]


def haproxy(root: Path, front: int, behind: int) -> list[str]:
    (root / "haproxy.cfg").write_text(_HAPROXY.format(root=root, front=front, behind=behind))
    return [str(HAPROXY), "-db", "-q", "-f", str(root / "haproxy.cfg")]


Proxy = Callable[[Path, int, int], list[str]]

PROXIES = [
    pytest.param(nginx, marks=pytest.mark.skipif(NGINX is None, reason="nginx is not installed")),
    pytest.param(haproxy, marks=pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")),
]


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def is_up(process: subprocess.Popen[bytes], port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            assert process.poll() is None, "the proxy has ended"
            await asyncio.sleep(0.02)
        else:
            writer.close()
            await writer.wait_closed()
            return


@asynccontextmanager
async def behind(proxy: Proxy, root: Path) -> AsyncIterator[tuple[Site, Server, wirebird.HTTPClient]]:
    """The site, its server, and a client of the proxy in front of it."""
    import trustme

    authority = trustme.CA()
    authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(str(root / "chain.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    file = root / "large.bin"
    file.write_bytes(LARGE)
    front = free_port()
    settings = Settings(proxies=TrustedProxies(["127.0.0.1"]))
    async with serving(file, settings) as (site, server, port):
        process = subprocess.Popen(proxy(root, front, port), cwd=root)
        try:
            await is_up(process, front)
            connector = wirebird.TCPConnector(ssl=context, local_addr=(CLIENT, 0))
            async with wirebird.HTTPClient(connector, base_url=f"https://localhost:{front}") as client:
                yield site, server, client
        finally:
            process.kill()
            process.wait(10)


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
def test_the_client_is_who_the_proxy_says(proxy: Proxy, tmp_path: Path) -> None:
    async def main() -> None:
        async with behind(proxy, tmp_path) as (_, _, client):
            headers = {"Host": "shop.example"}
            assert await (await client.get("/client", headers=headers)).json() == [CLIENT, "https", "shop.example"]
            forged = {**headers, "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "gopher"}
            assert await (await client.get("/client", headers=forged)).json() == [CLIENT, "https", "shop.example"]

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
def test_what_was_accepted_is_answered_when_the_server_ends(proxy: Proxy, tmp_path: Path) -> None:
    async def main() -> None:
        async with behind(proxy, tmp_path) as (site, server, client):
            asked = [asyncio.ensure_future(client.get("/slow")) for _ in range(20)]
            while sum(path == "/slow" for path, _ in site.peers) < 20:
                await asyncio.sleep(0.001)
            await server.close(5)
            answers = [(response.status_code, await response.text()) for response in await asyncio.gather(*asked)]
            assert answers == [(200, "at last")] * 20

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
