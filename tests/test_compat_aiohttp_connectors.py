"""Time limits and connectors of `wirebird.compat.aiohttp`, beside aiohttp's."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

import wirebird
from origin import Asked, Origin, Wire, pattern, run
from wirebird.compat import aiohttp as ours
from wirebird.compat.aiohttp.timeout import read_timeout

LIBRARIES = {"aiohttp": aiohttp, "wirebird": ours}

both = pytest.mark.parametrize("lib", list(LIBRARIES.values()), ids=list(LIBRARIES))


@asynccontextmanager
async def listening(handler: Any) -> AsyncIterator[str]:
    """A server of which `handler(reader, writer)` is all; gives its `host:port`, and ends when every connection has."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
        try:
            await handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    if tasks:
        await asyncio.wait(tasks)


# -- time limits ---------------------------------------------------------------------------------------------------------------


@both
def test_the_whole_of_a_request(lib: Any) -> None:
    async def main() -> None:
        async with Origin() as origin:
            short = lib.ClientTimeout(total=0.05)
            async with lib.ClientSession(timeout=short) as session:
                with pytest.raises(asyncio.TimeoutError) as info:
                    await session.get(origin.url("/silent"))
                assert not isinstance(info.value, lib.ClientError)
                longer = lib.ClientTimeout(total=0.3)
                whole = await session.get(origin.url("/held?first=10"), timeout=longer)
                streamed = await session.get(origin.url("/held?first=10"), timeout=longer)
                assert await streamed.content.read(10) == pattern(10)
                # A body that is streamed has no more time than the rest.
                late = await asyncio.gather(whole.read(), streamed.content.read(10), return_exceptions=True)
                assert [isinstance(error, asyncio.TimeoutError) for error in late] == [True, True]
                streamed.close()
            async with lib.ClientSession() as session:
                for timeout in (short, 0.05):
                    with pytest.raises(asyncio.TimeoutError):
                        await session.get(origin.url("/silent"), timeout=timeout)
                for timeout in (lib.ClientTimeout(total=0), None):
                    async with session.get(origin.url("/anything"), timeout=timeout) as response:
                        assert response.status == 200

    run(main)


@both
def test_the_whole_includes_redirects(lib: Any) -> None:
    async def main() -> None:
        async with Origin() as origin, lib.ClientSession(timeout=lib.ClientTimeout(total=0.3)) as session:

            async def again(asked: Asked, wire: Wire) -> None:
                await asyncio.sleep(0.05)
                await wire.respond(302, [("Location", "/again")])

            origin.on("/again", again)
            with pytest.raises(asyncio.TimeoutError):
                await session.get(origin.url("/again"), max_redirects=100)
            assert 2 <= len(origin.asked) <= 6

    run(main)


@both
def test_silence_of_the_peer(lib: Any) -> None:
    async def main() -> None:
        async with Origin() as origin, lib.ClientSession(timeout=lib.ClientTimeout(sock_read=0.2)) as session:
            with pytest.raises(lib.SocketTimeoutError, match="Timeout on reading data from socket"):
                await session.get(origin.url("/silent"))
            response = await session.get(origin.url("/held?first=10"))
            with pytest.raises(lib.SocketTimeoutError) as info:
                await response.read()
            assert isinstance(info.value, lib.ServerTimeoutError)
            assert isinstance(info.value, TimeoutError)

    run(main)


@both
@pytest.mark.parametrize("limit", ["connect", "sock_connect"])
def test_no_connection_in_time(lib: Any, limit: str) -> None:
    class Forever:
        async def resolve(self, host: str, port: int = 0, family: int = 0) -> Any:
            await asyncio.Event().wait()

        async def close(self) -> None:
            pass

    async def main() -> None:
        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        timeout = lib.ClientTimeout(**{limit: 0.05})
        connector = lib.TCPConnector(resolver=Forever())
        async with listening(say_nothing) as address, lib.ClientSession(timeout=timeout, connector=connector) as session:
            with pytest.raises(lib.ConnectionTimeoutError, match="Connection timeout to host https://127"):
                await session.get(f"https://{address}/")
            if limit == "connect":  # aiohttp's sock_connect does not cover the name
                with pytest.raises(lib.ConnectionTimeoutError):
                    await session.get("http://name.example/")

    run(main)


@both
def test_waiting_for_a_connection_is_connecting(lib: Any) -> None:
    async def main() -> None:
        connector = lib.TCPConnector(limit=1)
        async with Origin() as origin, lib.ClientSession(connector=connector) as session:
            response = await session.get(origin.url("/held"))
            with pytest.raises(lib.ConnectionTimeoutError):
                await session.get(origin.url("/anything"), timeout=lib.ClientTimeout(connect=0.05))
            waiting = asyncio.create_task(session.get(origin.url("/anything"), timeout=lib.ClientTimeout(sock_connect=10)))
            await asyncio.sleep(0)
            assert not waiting.done()
            response.close()
            (await waiting).release()

    run(main)


def test_timeouts_as_wirebird_has_them() -> None:
    assert read_timeout(ours.ClientTimeout()) == wirebird.Timeouts(
        None, None, None, None, connect=None, whole_body=True, ceil_threshold=5
    )
    given = ours.ClientTimeout(total=1, connect=2, sock_read=3, sock_connect=4, ceil_threshold=6)
    assert read_timeout(given) == wirebird.Timeouts(4, 3, None, 1, connect=2, whole_body=True, ceil_threshold=6)
    for field in ("total", "connect", "sock_read", "sock_connect", "ceil_threshold"):
        assert getattr(ours.ClientTimeout(), field) == getattr(aiohttp.ClientTimeout(), field)
    assert ours.ClientTimeout(1, 2, 3, 4, 5).sock_connect == 4
    with pytest.raises(AttributeError):
        ours.ClientTimeout().total = 5  # type: ignore[misc]


def test_deadlines_are_rounded_to_whole_seconds() -> None:
    limits = wirebird.Timeouts(ceil_threshold=5)
    assert limits.after(10.25, 5) == 16.0
    assert limits.after(10.25, 4.5) == 14.75
    assert limits.after(10.25, float("inf")) == float("inf")
    assert wirebird.Timeouts().after(10.25, 5) == 15.25

    given = read_timeout(ours.ClientTimeout(total=5))
    assert given.after(10.25, given.total) == 16.0


# -- connectors ----------------------------------------------------------------------------------------------------------------


@both
def test_the_limit_of_connections(lib: Any) -> None:
    async def main() -> None:
        async with Origin() as origin, Origin() as other:
            connector = lib.TCPConnector(limit=3, limit_per_host=2)
            assert (connector.limit, connector.limit_per_host, connector.force_close) == (3, 2, False)
            async with lib.ClientSession(connector=connector) as session:
                urls = [origin.url("/silent")] * 4 + [other.url("/silent")] * 4
                tasks = [asyncio.create_task(session.get(url)) for url in urls]
                await origin.until(lambda: len(origin.asked) == 2)
                await other.until(lambda: len(other.asked) == 1)
                for _ in range(20):
                    await asyncio.sleep(0)
                assert (origin.connections, other.connections) == (2, 1)
                origin.release.set()
                other.release.set()
                for response in await asyncio.gather(*tasks):
                    assert response.status == 204
                assert origin.connections == 2
            connector = lib.TCPConnector(limit=0)
            assert connector.limit == 0
            await connector.close()
            connector = lib.TCPConnector()
            assert (connector.limit, connector.limit_per_host, connector.use_dns_cache) == (100, 0, True)
            assert connector.family == socket.AF_UNSPEC
            await connector.close()

    run(main)


@both
def test_forced_to_close(lib: Any) -> None:
    async def main() -> None:
        async with Origin() as origin:
            async with lib.ClientSession(connector=lib.TCPConnector(force_close=True)) as session:
                for _ in range(3):
                    async with session.get(origin.url("/anything")) as response:
                        await response.read()
                assert origin.connections == 3
                assert origin.asked[0].headers["connection"] == "close"
            with pytest.raises(ValueError):
                lib.TCPConnector(force_close=True, keepalive_timeout=5)
            async with lib.ClientSession(connector=lib.TCPConnector(keepalive_timeout=0.01)) as session:
                for _ in range(2):
                    async with session.get(origin.url("/anything")) as response:
                        await response.read()
                    await asyncio.sleep(0.05)
                assert origin.connections == 5
            async with lib.ClientSession(connector=lib.TCPConnector(keepalive_timeout=None)) as session:
                for _ in range(2):
                    async with session.get(origin.url("/anything")) as response:
                        await response.read()
                assert origin.connections == 6

    run(main)


class Counting:
    """A resolver that knows one address, and counts."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []
        self.closed = False

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> Any:
        self.asked.append((host, port, family))
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        self.closed = True


@both
def test_names(lib: Any) -> None:
    async def main() -> None:
        async with Origin() as origin:
            resolver = Counting()
            connector = lib.TCPConnector(resolver=resolver, force_close=True)
            async with lib.ClientSession(connector=connector) as session:
                for host in ("a.example", "b.example", "a.example"):
                    async with session.get(origin.url("/anything", host)) as response:
                        assert response.status == 200
                assert [host for host, _, _ in resolver.asked] == ["a.example", "b.example"]
                connector.clear_dns_cache("a.example", origin.port)
                async with session.get(origin.url("/anything", "a.example")):
                    pass
                async with session.get(origin.url("/anything", "b.example")):
                    pass
                assert [host for host, _, _ in resolver.asked][2:] == ["a.example"]
                connector.clear_dns_cache()
                async with session.get(origin.url("/anything", "b.example")):
                    pass
                assert len(resolver.asked) == 4
                with pytest.raises(ValueError):
                    connector.clear_dns_cache("a.example")
            assert not resolver.closed
            resolver = Counting()
            connector = lib.TCPConnector(resolver=resolver, force_close=True, use_dns_cache=False, family=socket.AF_INET)
            async with lib.ClientSession(connector=connector) as session:
                for _ in range(2):
                    async with session.get(origin.url("/anything", "a.example")):
                        pass
            assert resolver.asked == [("a.example", origin.port, socket.AF_INET)] * 2

    run(main)


@both
def test_resolvers(lib: Any) -> None:
    async def main() -> None:
        for make in (lib.ThreadedResolver, lib.DefaultResolver, lib.AsyncResolver):
            resolver = make()
            assert isinstance(resolver, lib.abc.AbstractResolver)
            found = await resolver.resolve("127.0.0.1", 80)
            assert found[0]["host"] == "127.0.0.1"
            await resolver.close()

    run(main)


@both
def test_a_resolver_that_has_nothing_to_close(lib: Any) -> None:
    class Resolver:
        async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[dict[str, Any]]:
            return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    async def main() -> None:
        async with Origin() as origin, lib.ClientSession(connector=lib.TCPConnector(resolver=Resolver())) as session:
            async with session.get(origin.url("/").replace("127.0.0.1", "name.example")) as response:
                assert response.status == 200

    run(main)


@both
def test_over_a_unix_socket(lib: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")

    async def main() -> None:
        async with Origin(uds=path) as origin:
            connector = lib.UnixConnector(path=path)
            assert connector.path == path
            async with lib.ClientSession(connector=connector) as session:
                for _ in range(2):
                    async with session.get("http://example.org/anything") as response:
                        assert (await response.json())["headers"]["host"] == "example.org"
            assert origin.connections == 1

    run(main)


def test_named_pipes_are_of_another_system() -> None:
    with pytest.raises(RuntimeError, match="Named Pipes only available in proactor loop under windows"):
        ours.NamedPipeConnector(path=r"\\.\pipe\x")


@both
def test_http_1_0(lib: Any) -> None:
    async def main() -> None:
        async with Origin() as origin, lib.ClientSession(version=lib.HttpVersion10) as session:
            async with session.get(origin.url("/anything")) as response:
                assert (await response.json())["headers"]["connection"] == "keep-alive"
            assert origin.asked[0].head.version == "1.0"
            assert session.version == lib.HttpVersion10

    run(main)


@both
def test_own_sockets(lib: Any) -> None:
    async def main() -> None:
        made = []

        def make(address: Any) -> socket.socket:
            made.append(address[4][:2])
            family, kind, protocol, _, _ = address
            return socket.socket(family, kind, protocol)

        async with Origin() as origin:
            connector = lib.TCPConnector(
                socket_factory=make, local_addr=("127.0.0.1", 0), happy_eyeballs_delay=None, interleave=2
            )
            async with lib.ClientSession(connector=connector) as session, session.get(origin.url("/anything")) as response:
                assert response.status == 200
            assert made == [("127.0.0.1", origin.port)]

    run(main)


@both
def test_through_a_proxy(lib: Any) -> None:
    async def main() -> None:
        heads = []

        async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while head := await reader.readuntil(b"\r\n\r\n"):
                heads.append(head)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

        async with listening(proxy) as where:
            address = f"http://{where}"
            async with lib.ClientSession(proxy=address) as session:
                async with session.get("http://example.org/a?b=c") as response:
                    assert await response.text() == "hi"
            async with lib.ClientSession() as session:
                credentials = {"Proxy-Authorization": "Basic YTpi"}
                async with session.get("http://example.org/", proxy=address, headers=credentials) as response:
                    assert await response.text() == "hi"
                async with session.get("http://example.org/", proxy=address.replace("//", "//a:b@")) as response:
                    assert await response.text() == "hi"
        assert heads[0].startswith(b"GET http://example.org/a?b=c HTTP/1.1\r\nHost: example.org\r\n")
        for head in heads[1:]:
            assert b"Proxy-Authorization: Basic YTpi\r\n" in head

    run(main)


@both
def test_the_proxy_of_the_environment(lib: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with Origin() as origin:

            async def answer(asked: Asked, wire: Wire) -> None:
                await wire.respond(200, [], asked.target.encode())

            monkeypatch.setenv("http_proxy", origin.url(""))
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            monkeypatch.delenv("NETRC", raising=False)
            origin.on("http://example.org/x", answer)
            async with lib.ClientSession(trust_env=True) as session:
                async with session.get("http://example.org/x") as response:
                    assert await response.text() == "http://example.org/x"
                async with session.get(origin.url("/anything")) as response:
                    assert (await response.json())["url"] == origin.url("/anything")

    run(main)


@both
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_credentials_for_the_proxy_of_the_environment(lib: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password pass\n")

    async def main() -> None:
        async with Origin() as origin:

            async def answer(asked: Asked, wire: Wire) -> None:
                await wire.respond(200, [], asked.headers.get("Proxy-Authorization", "none").encode())

            for scheme in ("http", "https"):
                monkeypatch.delenv(f"{scheme}_proxy", raising=False)
            monkeypatch.delenv("no_proxy", raising=False)
            monkeypatch.setenv("http_proxy", origin.url(""))
            monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
            origin.on("http://example.org/x", answer)
            async with lib.ClientSession(trust_env=True) as session:
                async with session.get("http://example.org/x") as response:
                    assert await response.text() == "Basic dXNlcjpwYXNz"
                with pytest.raises(ValueError, match="proxy_auth must be"):
                    await session.get("http://example.org/x", proxy=origin.url(""), proxy_auth=("a", "b"))

    run(main)


def test_proxy_credentials_go_to_the_proxy() -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def main() -> None:
        heads = []

        async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            heads.append(head)
            port = int(head.split(b" ")[1].rpartition(b":")[2])
            inner, outer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

            async def pass_on(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
                while data := await source.read(65536):
                    to.write(data)
                to.close()

            await asyncio.gather(pass_on(reader, outer), pass_on(inner, writer), return_exceptions=True)

        async with listening(tunnel) as proxy, Origin(tls=server) as origin, ours.ClientSession() as session:
            auth = ours.BasicAuth("a", "b")
            async with session.get(origin.url("/anything"), proxy=f"http://{proxy}", proxy_auth=auth, ssl=trusting) as response:
                seen = await response.json()
            assert "proxy-authorization" not in seen["headers"]
            assert b"Proxy-Authorization: Basic YTpi\r\n" in heads[0]

    run(main)


@both
def test_a_long_reason(lib: Any) -> None:
    """`max_line_size` is for the reason alone."""

    async def main() -> None:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 " + b"x" * 8190 + b"\r\nContent-Length: 0\r\n\r\n")

        async with listening(handler) as there, lib.ClientSession() as session:
            async with session.get(f"http://{there}/") as response:
                assert len(response.reason) == 8190

    run(main)
