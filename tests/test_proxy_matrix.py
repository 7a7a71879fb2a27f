"""Every kind of proxy, with every kind of origin, with and without credentials, on new and on reused connections.

{none, http, https, socks5h} × {http, https} × {credentials, none} × {new, reused}, against tinyproxy, Apache httpd and
microsocks, each started once with a configuration generated here, and against our own proxies.  The client cannot resolve a
name, so that whatever arrives at the origin came by way of a proxy that can.
"""

from __future__ import annotations

import contextlib
import shutil
import ssl
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import trustme

import wirebird
from apache import ProxyingApache, is_installed
from daemons import Daemon, free_ports
from origin import Origin, pattern, run
from proxies import HttpProxy, SocksProxy, basic, credentials
from websocket_origin import WebSocketOrigin

AUTH = "wire:b1rd"
AUTHORITY = trustme.CA()
TRUSTING = ssl.create_default_context()
AUTHORITY.configure_trust(TRUSTING)

KINDS = ["none", "http tinyproxy", "http apache", "http ours", "https apache", "https ours", "socks5h microsocks", "socks5h ours"]
BOTH = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
REAL = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "none" and not kind.endswith("ours")])
SCHEMES = pytest.mark.parametrize("scheme", ["http", "https"])


@cache
def server_context(*names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert(*names).configure_cert(context)
    return context


class NoNames:
    """A resolver that knows nothing; `asked` says what it was asked all the same."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[dict[str, Any]]:
        self.asked.append(host)
        raise wirebird.DNSError(f"{host} is not to be looked up")

    async def close(self) -> None:
        pass


class Address:
    """A resolver for the row without a proxy."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[dict[str, Any]]:
        return [{"host": "127.0.0.1", "port": port}]

    async def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("proxies")


def needed(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


@pytest.fixture(scope="module")
def apache() -> Iterator[dict[tuple[str, bool], int]]:
    if not is_installed():
        pytest.skip("apache2 is not installed, or lacks a module")
    # Not in pytest's own folder, which only its user may enter.
    with tempfile.TemporaryDirectory(prefix="wirebird-httpd-") as own:
        pem = Path(own) / "proxy.pem"
        AUTHORITY.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
        with ProxyingApache(Path(own), auth=AUTH, certificate=pem) as running:
            yield running.ports


@pytest.fixture(scope="module")
def tinyproxy(folder: Path) -> Iterator[dict[bool, int]]:
    needed("tinyproxy")
    ports = dict(zip((False, True), free_ports(2), strict=True))
    with contextlib.ExitStack() as stack:
        for wanted, port in ports.items():
            conf = folder / f"tinyproxy-{wanted}.conf"
            conf.write_text(
                f"Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 30\nMaxClients 50\nLogLevel Error\n"
                + (f"BasicAuth {AUTH.replace(':', ' ')}\n" if wanted else "")
            )
            stack.enter_context(Daemon(["tinyproxy", "-d", "-c", str(conf)], [port], folder / "tinyproxy.log"))
        yield ports


@pytest.fixture(scope="module")
def microsocks(folder: Path) -> Iterator[dict[bool, int]]:
    needed("microsocks")
    ports = dict(zip((False, True), free_ports(2), strict=True))
    user, _, password = AUTH.partition(":")
    with contextlib.ExitStack() as stack:
        for wanted, port in ports.items():
            command = ["microsocks", "-i", "127.0.0.1", "-p", str(port), *(["-u", user, "-P", password] if wanted else [])]
            stack.enter_context(Daemon(command, [port], folder / "microsocks.log"))
        yield ports


@contextlib.asynccontextmanager
async def running(kind: str, wanted: bool, request: pytest.FixtureRequest) -> Any:
    """The URL of a proxy of this kind, and the proxy itself if it is ours."""
    scheme, _, whose = kind.partition(" ")
    if whose == "ours":
        auth = AUTH if wanted else None
        if scheme == "socks5h":
            proxy: Any = SocksProxy(auth=auth)
        else:
            proxy = HttpProxy(auth=auth, tls=server_context("127.0.0.1") if scheme == "https" else None)
        async with proxy:
            yield proxy.url, proxy
        return
    ports = request.getfixturevalue(whose)
    yield f"{scheme}://127.0.0.1:{ports[scheme, wanted] if whose == 'apache' else ports[wanted]}", None


def proxy_for(url: str, auth: str | None) -> wirebird.Proxy:
    return wirebird.Proxy(url, auth, ssl=TRUSTING if url.startswith("https") else None)


@BOTH
@pytest.mark.parametrize("connection", ["new", "reused"])
@pytest.mark.parametrize("wanted", [False, True], ids=["open", "auth"])
@SCHEMES
@EVERY_KIND
def test_matrix(kind, scheme, wanted, connection, loop, request):
    async def main():
        resolver = Address() if kind == "none" else NoNames()
        async with Origin(tls=server_context("localhost") if scheme == "https" else None) as origin:
            async with running(kind, wanted, request) if kind != "none" else contextlib.nullcontext((None, None)) as (url, ours):
                connector = wirebird.TCPConnector(resolver=resolver, ssl=TRUSTING)
                proxy = proxy_for(url, AUTH if wanted else None) if url else None
                async with wirebird.HTTPClient(connector, proxy=proxy) as client:
                    for _ in range(1 if connection == "new" else 3):
                        response = await client.put(
                            origin.url("/anything/x?y=1", host="localhost"), data=b"body", headers={"Authorization": "for origin"}
                        )
                        seen = await response.json()
                        assert response.status_code == 200
                        assert (seen["method"], seen["data"], seen["args"]) == ("PUT", "body", {"y": "1"})
                        assert seen["headers"]["authorization"] == "for origin"
                        assert "proxy-authorization" not in seen["headers"]
                        assert seen["headers"]["host"] == f"localhost:{origin.port}"
                        if connection == "reused":
                            response = await client.get(origin.url("/bytes/200000", host="localhost"))
                            assert await response.content() == pattern(200000)
                    check_connections(kind, scheme, connection, client, origin)
                    if ours is not None:
                        check_what_our_proxy_saw(ours, scheme, wanted, connection)
        assert getattr(resolver, "asked", []) == []

    run(main, loop)


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_websocket_in_the_matrix(kind, secure, request):
    async def main():
        resolver = NoNames()
        async with (
            WebSocketOrigin(tls=server_context("localhost") if secure else None) as origin,
            running(kind, True, request) as (url, ours),
            wirebird.HTTPClient(wirebird.TCPConnector(resolver=resolver, ssl=TRUSTING), proxy=proxy_for(url, AUTH)) as client,
        ):
            for _ in range(2):
                async with client.websocket(origin.url().replace("127.0.0.1", "localhost")) as ws:
                    for message in ("text", b"bytes" * 50_000):
                        await ws.send(message)
                        assert (await ws.receive()).data == message
            assert ["proxy-authorization" in head.fields for head in origin.asked] == [False, False]
            assert resolver.asked == []
            await client.close()
            if ours is not None:
                await ours.until(lambda: ours.open == 0)

    run(main)


def check_connections(kind: str, scheme: str, connection: str, client: Any, origin: Origin) -> None:
    stats = client.stats()
    assert stats["in_use"] == 0
    if kind == "http tinyproxy" and scheme == "http":
        return  # it closes behind every response, without saying so: requests are sent again where they may be
    requests = 1 if connection == "new" else 6
    assert (stats["requests"], stats["opened"], stats["reused"]) == (requests, 1, requests - 1)
    if scheme == "https" or kind.startswith("socks"):
        assert origin.connections == 1


def check_what_our_proxy_saw(proxy: Any, scheme: str, wanted: bool, connection: str) -> None:
    assert proxy.connections == 1
    if isinstance(proxy, SocksProxy):
        assert [(kind, host) for kind, host, _ in proxy.asked] == [("name", "localhost")]
        return
    assert len(proxy.asked) == (1 if scheme == "https" or connection == "new" else 6)
    for head in proxy.asked:
        assert credentials(head) == ([basic(AUTH)] if wanted else [])
        assert ("authorization" in head.fields) == (scheme == "http" and head.method == b"PUT")


def refusals(kind: str) -> set[int | None]:
    if kind == "http tinyproxy":
        return {401, 407}  # the first, which is for origins, if they are wrong
    return {None} if kind.startswith("socks") else {407}


@SCHEMES
@REAL
@pytest.mark.parametrize("auth", [None, "wire:wrong"])
def test_credentials_that_are_not_taken(kind, scheme, auth, request):
    """407 is a response where the proxy forwards, and an error where it does not connect; it is asked once."""

    async def main():
        async with Origin(tls=server_context("localhost") if scheme == "https" else None) as origin:
            async with running(kind, True, request) as (url, _):
                connector = wirebird.TCPConnector(resolver=NoNames(), ssl=TRUSTING)
                async with wirebird.HTTPClient(connector, proxy=proxy_for(url, auth)) as client:
                    target = origin.url("/echo", host="localhost")
                    if scheme == "http" and not kind.startswith("socks"):
                        response = await client.get(target)
                        assert response.status_code in refusals(kind)
                        await response.content()
                    else:
                        with pytest.raises(wirebird.ProxyError) as caught:
                            await client.get(target)
                        assert caught.value.status in refusals(kind)
                        assert caught.value.peer == url.partition("://")[2]
                        assert "wrong" not in str(caught.value)
                    assert client.stats()["in_use"] == 0
                    assert client.stats()["opened"] <= 1
            assert origin.asked == []

    run(main)


def test_a_proxy_that_closes_without_saying_so(tinyproxy):
    """What the documentation says of tinyproxy: no connection is used twice, and so a POST is never in doubt."""

    async def main():
        async with Origin() as origin:
            connector = wirebird.TCPConnector(resolver=NoNames(), conn_max_requests=1)
            async with wirebird.HTTPClient(connector, proxy=f"127.0.0.1:{tinyproxy[False]}") as client:
                for _ in range(5):
                    assert (await client.post(origin.url("/post", host="localhost"), data=b"x")).ok
                assert client.stats()["opened"] == 5

    run(main)


@REAL
def test_a_target_that_cannot_be_reached(kind, request):
    async def main():
        (nobody,) = free_ports(1)
        async with running(kind, True, request) as (url, _):
            connector = wirebird.TCPConnector(resolver=NoNames(), ssl=TRUSTING)
            async with wirebird.HTTPClient(connector, proxy=proxy_for(url, AUTH)) as client:
                with pytest.raises(wirebird.ProxyError) as caught:
                    await client.get(f"https://localhost:{nobody}/")
                assert caught.value.status is None if kind.startswith("socks") else caught.value.status >= 500
                stats = client.stats()
                assert (stats["open"], stats["in_use"]) == (0, 0)

    run(main)
