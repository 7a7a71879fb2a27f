"""What a request may say beyond the usual, most of it for `wirebird.compat.aiohttp`: limits of its own, a TLS name, a pinned
certificate, HTTP/1.0; waiting and dialling as one limit, one for a body that is streamed, rounded deadlines; fields for a proxy.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from dataclasses import replace
from time import monotonic
from typing import Any

import pytest
import trustme

import wirebird
from origin import Origin, pattern, run
from wirebird.client.chunks import ChunkConnection, ChunkReader, forget_chunks
from wirebird.net.resolver import NameCache
from wirebird.net.tls import pinned_context
from wirebird.protocol.connect import Connect

BOTH = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])

NONE = wirebird.Timeouts(None, None, None, None)


def saying(**options: Any) -> Any:
    """A middleware that puts these among the options of each request."""

    async def say(request: wirebird.Request, handler: Any) -> wirebird.HttpResponse:
        request.options = replace(request.options, **options)
        return await handler(request)  # type: ignore[no-any-return]

    return say


# -- time limits ---------------------------------------------------------------------------------------------------------------


@BOTH
def test_waiting_and_dialling_are_one_limit(loop: str) -> None:
    async def main() -> None:
        async with Origin() as origin:
            timeouts = replace(NONE, connect=0.05)
            connector = wirebird.TCPConnector(1)
            async with wirebird.HTTPClient(connector, timeouts=timeouts) as client:
                first = await client.get(origin.url("/held"), timeouts=NONE)
                with pytest.raises(wirebird.PoolTimeout, match=r"within 0.05 s") as info:
                    await client.get(origin.url("/anything"))
                assert info.value.limit == 0.05
                await first.close()
                assert (await client.get(origin.url("/anything"), timeouts=NONE)).status_code == 200
                assert client.stats()["waiting"] == 0

            class Never:
                async def resolve(self, host: str, port: int, family: int) -> Any:
                    await asyncio.Event().wait()

                async def close(self) -> None:
                    pass

            async with wirebird.HTTPClient(wirebird.TCPConnector(resolver=Never()), timeouts=timeouts) as client:  # type: ignore[arg-type]
                with pytest.raises(wirebird.ConnectTimeout):
                    await client.get("http://name.example/")
                assert client.stats()["in_use"] == 0
                began = monotonic()
                with pytest.raises(wirebird.ConnectTimeout):
                    await client.get("http://name.example/", timeouts=replace(NONE, connect=5, sock_connect=0.05))
                assert monotonic() - began < 4

    run(main, loop)


@BOTH
def test_the_whole_body_may_be_part_of_the_whole(loop: str) -> None:
    async def main() -> None:
        async with Origin() as origin:
            timeouts = replace(NONE, request_timeout=0.2, whole_body=True)
            async with wirebird.HTTPClient(timeouts=timeouts) as client:
                async with client.get(origin.url("/held?first=10")) as response:
                    assert await response.read(10) == pattern(10)
                    with pytest.raises(wirebird.RequestTimeout):
                        await response.read(10)
                async with client.get(origin.url("/held?first=10")) as response:
                    with pytest.raises(wirebird.RequestTimeout):
                        await response.content()
                assert await (await client.get(origin.url("/bytes/10"))).content() == pattern(10)
            async with wirebird.HTTPClient(timeouts=replace(timeouts, whole_body=False)) as client:
                async with client.get(origin.url("/held?first=10")) as response:
                    assert await response.read(10) == pattern(10)
                    reading = asyncio.create_task(response.read(10))
                    await asyncio.sleep(0.3)
                    assert not reading.done()
                    origin.release.set()
                    assert len(await reading) == 10

    run(main, loop)


def test_deadlines_may_be_rounded_up() -> None:
    timeouts = wirebird.Timeouts(ceil_threshold=2)
    assert timeouts.after(100.3, 1.9) == 102.2
    assert timeouts.after(100.3, 2) == 103
    assert timeouts.after(100.3, float("inf")) == float("inf")
    assert wirebird.Timeouts().after(100.3, 2) == 102.3
    for wrong in ({"connect": -1}, {"whole_body": 1}, {"ceil_threshold": "5"}):
        with pytest.raises(wirebird.UsageError):
            wirebird.Timeouts(**wrong)

    async def main() -> None:
        deadlines = []

        async def note(request: wirebird.Request, handler: Any) -> wirebird.HttpResponse:
            deadlines.append(request.deadline)
            return await handler(request)  # type: ignore[no-any-return]

        async with Origin() as origin:
            rounded = replace(NONE, request_timeout=7.3, ceil_threshold=5)
            async with wirebird.HTTPClient(timeouts=rounded, middlewares=[note]) as client:
                assert (await client.get(origin.url("/anything"))).status_code == 200
                await client.get(origin.url("/anything"), timeouts=replace(rounded, request_timeout=4.3))
            assert deadlines[0] % 1 == 0
            assert monotonic() + 7 < deadlines[0] < monotonic() + 8.4
            assert monotonic() + 4 < deadlines[1] < monotonic() + 4.4

    run(main)


# -- TLS -----------------------------------------------------------------------------------------------------------------------


def test_a_pinned_certificate() -> None:
    certificate = trustme.CA().issue_cert("somewhere.example")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(server)
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())).digest()
    assert pinned_context(digest) is pinned_context(digest)
    for wrong in (b"short", "x" * 32, bytearray(32)):
        with pytest.raises(wirebird.UsageError):
            pinned_context(wrong)  # type: ignore[arg-type]

    async def main() -> None:
        async with Origin(tls=server) as origin, wirebird.HTTPClient() as client:
            url = origin.url("/anything")
            assert (await client.get(url, ssl=pinned_context(digest))).status_code == 200
            with pytest.raises(wirebird.CertificateMismatch) as info:
                await client.get(url, ssl=pinned_context(bytes(32)))
            assert (info.value.expected, info.value.got, info.value.peer) == (bytes(32), digest, origin.address)
            assert isinstance(info.value, wirebird.TLSError)
            with pytest.raises(wirebird.TLSError):
                await client.get(url)  # a connection that was pinned is not for those that verify
            assert len(origin.asked) == 1

    for loop in ("asyncio", "uvloop"):
        run(main, loop)


def test_a_name_of_its_own() -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    names: list[Any] = []
    server.sni_callback = lambda tls, name, context: names.append(name)

    async def main() -> None:
        async with Origin(tls=server) as origin:
            connector = wirebird.TCPConnector(ssl=trusting)
            async with wirebird.HTTPClient(connector, network_middlewares=[saying(server_hostname="localhost")]) as client:
                assert (await client.get(origin.url("/anything"))).status_code == 200
                assert (await client.get(origin.url("/anything"))).status_code == 200
            assert names == ["localhost"]
            assert origin.connections == 1
            async with wirebird.HTTPClient(wirebird.TCPConnector(ssl=trusting)) as client:
                with pytest.raises(wirebird.TLSError):
                    await client.get(origin.url("/anything"))
        options = wirebird.client.options.Options(NONE, server_hostname="localhost")
        assert options.for_another_origin().server_hostname is None

    run(main)


# -- what goes over the wire ---------------------------------------------------------------------------------------------------


def test_http_1_0() -> None:
    async def main() -> None:
        async with Origin() as origin, wirebird.HTTPClient(network_middlewares=[saying(http10=True)]) as client:
            assert (await client.get(origin.url("/anything"))).status_code == 200
            assert origin.asked[0].head.version == "1.0"

            async def pieces() -> Any:
                yield b"x"

            with pytest.raises(wirebird.UsageError, match=r"HTTP/1.0 has no chunks"):
                await client.post(origin.url("/anything"), data=pieces())

    run(main)


def test_limits_of_one_request() -> None:
    async def main() -> None:
        async with Origin() as origin:
            small = wirebird.Limits(head_fields=3)
            path = "/headers?A=1&B=2&C=3"

            async def choose(request: wirebird.Request, handler: Any) -> wirebird.HttpResponse:
                if "x-small" in request.headers:
                    request.options = replace(request.options, limits=small)
                return await handler(request)  # type: ignore[no-any-return]

            async with wirebird.HTTPClient(network_middlewares=[choose]) as client:
                assert (await client.get(origin.url(path))).status_code == 200
                with pytest.raises(wirebird.LimitExceeded):
                    await client.get(origin.url(path), headers={"X-Small": "1"})
                await client.get(origin.url("/status/204"), headers={"X-Small": "1"})
                assert (await client.get(origin.url(path))).status_code == 200
                assert origin.connections == 2

    run(main)


def test_fields_for_a_proxy() -> None:
    proxy = wirebird.Proxy("http://p.example", headers={"X-Proxy": "1", "Proxy-Authorization": "Bearer t"})
    assert proxy.credentials == "Bearer t"
    assert proxy.headers == (("X-Proxy", "1"), ("Proxy-Authorization", "Bearer t"))
    assert "Bearer" not in repr(proxy)
    assert proxy != wirebird.Proxy("http://p.example")
    assert hash(proxy) == hash(wirebird.Proxy("http://p.example", headers=proxy.headers))
    head = Connect("example.org:443", proxy.credentials, headers=[*proxy.headers, ("User-Agent", "me"), ("Host", "evil")]).begin()
    assert head == (
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\nX-Proxy: 1\r\nUser-Agent: me\r\n"
        b"Proxy-Authorization: Bearer t\r\n\r\n"
    )
    for wrong in ({"X": "a\r\nB: c"}, {"X\n": "1"}, 5):
        with pytest.raises(wirebird.UsageError):
            wirebird.Proxy("http://p.example", headers=wrong)  # type: ignore[arg-type]
    with pytest.raises(wirebird.UsageError):
        wirebird.Proxy("socks5://p.example", headers={"X": "1"})


# -- names and sockets ---------------------------------------------------------------------------------------------------------


def test_one_family_of_addresses() -> None:
    class Both:
        def __init__(self) -> None:
            self.asked: list[tuple[str, int]] = []

        async def resolve(self, host: str, port: int, family: int) -> Any:
            self.asked.append((host, family))
            if family == socket.AF_INET6:
                raise NotImplementedError
            return [{"host": "127.0.0.1"}]

        async def close(self) -> None:
            pass

    async def main() -> None:
        resolver = Both()
        names = NameCache(resolver, family=socket.AF_INET)  # type: ignore[arg-type]
        await names.lookup("a.example", 80)
        await names.lookup("b.example", 80)
        names.forget("A.example", 80)
        names.forget("never.example", 80)
        await names.lookup("a.example", 80)
        await names.lookup("b.example", 80)
        assert resolver.asked == [
            ("a.example", socket.AF_INET),
            ("b.example", socket.AF_INET),
            ("a.example", socket.AF_INET),
        ]
        with pytest.raises(wirebird.errors.DNSError):
            await NameCache(resolver, family=socket.AF_INET6).lookup("a.example", 80)  # type: ignore[arg-type]
        assert resolver.asked[-1] == ("a.example", socket.AF_INET6)

    run(main)


def test_own_sockets() -> None:
    async def main() -> None:
        made: list[Any] = []

        def make(address: Any) -> socket.socket:
            made.append(address[4])
            return socket.socket(*address[:3])

        async with Origin() as origin:
            connector = wirebird.TCPConnector(socket_factory=make, interleave=2, max_dns_cache=1)
            async with wirebird.HTTPClient(connector) as client:
                assert (await client.get(origin.url("/anything"))).status_code == 200
            assert made == [("127.0.0.1", origin.port)]
        for wrong in ({"interleave": 0}, {"max_dns_cache": 0}):
            with pytest.raises(wirebird.UsageError):
                wirebird.TCPConnector(**wrong)

    run(main)


# -- chunks --------------------------------------------------------------------------------------------------------------------


def test_ends_of_chunks_beside_the_pieces() -> None:
    async def main() -> None:
        async with Origin() as origin:
            connector = wirebird.TCPConnector(connection_cls=ChunkConnection)
            async with wirebird.HTTPClient(connector) as client:
                response = await client.get(origin.url("/chunked/250000?size=1000"))
                reader = ChunkReader(response)
                seen, data, chunk = 0, b"", 0
                while True:
                    taken = reader.take()
                    if taken is None:
                        await reader.arrival()
                        continue
                    piece, ends = taken
                    if not piece and not ends:
                        break
                    data += piece
                    chunk += len(piece)
                    if ends:
                        assert chunk == 1000
                        seen, chunk = seen + 1, 0
                assert (seen, data) == (250, pattern(250_000))
                incoming = response._incoming
                assert incoming is not None and not incoming.chunk_ends  # nothing is kept of what was read
                response = await client.get(origin.url("/chunked/250000?size=1000"))
                forget_chunks(response)
                assert await response.content() == pattern(250_000)
                assert response._incoming is not None and response._incoming.chunk_ends is None
                assert (await client.get(origin.url("/chunked/10"))).chunked

    run(main)
