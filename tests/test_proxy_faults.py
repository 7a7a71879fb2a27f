"""Proxies that misbehave, and callers who leave: the right error, the slot given back, no socket left (`run` counts them)."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from functools import cache
from typing import Any

import pytest
import trustme

import wirebird
from daemons import free_ports
from origin import Origin
from proxies import HttpProxy, SocksProxy, basic
from raw_peer import Peer, check_settled, run

BOTH = pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
SECRET = "s3cr3t"
AUTH = f"wire:{SECRET}"

AUTHORITY = trustme.CA()
TRUSTING = ssl.create_default_context()
AUTHORITY.configure_trust(TRUSTING)

OPEN = b"HTTP/1.1 200 Open\r\n\r\n"
REACHED = b"\x05\x00\x00\x01\0\0\0\0\0\0"
# What the client says when it asks SOCKS5 for `origin.example:443` or 80.
METHODS = 4
WISH = 7 + len("origin.example")

# The ways by which a tunnel is opened, and how a proxy of that kind hears the wish for one.
TUNNELS = ["http", "https", "socks5h"]
EVERY_TUNNEL = pytest.mark.parametrize("way", TUNNELS)
FAST = wirebird.Timeouts(sock_connect=0.3)


@cache
def server_context(*names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert(*names).configure_cert(context)
    return context


def peer_for(way: str, script: Any) -> Peer:
    return Peer(script, ssl=server_context("127.0.0.1") if way == "https" else None)


def client_by(way: str, address: str, **settings: Any) -> wirebird.HTTPClient:
    proxy = wirebird.Proxy(f"{way}://{address}", AUTH, ssl=TRUSTING if way == "https" else None)
    return wirebird.HTTPClient(wirebird.TCPConnector(ssl=TRUSTING), proxy=proxy, **settings)


async def hear(way: str, link: Any) -> None:
    """Read what the client wants, and answer what comes before the answer to that."""
    if way == "socks5h":
        assert await link.reader.readexactly(METHODS) == b"\x05\x02\x00\x02"
        await link.send(b"\x05\x00")
        await link.reader.readexactly(WISH)
    else:
        await link.request_head()


def opened(way: str) -> bytes:
    return REACHED if way == "socks5h" else OPEN


async def fails(client: wirebird.HTTPClient, error: type[BaseException], url: str = "https://origin.example/") -> Any:
    with pytest.raises(error) as caught:
        await client.get(url)
    shown = str(caught.value) + repr(caught.value.__cause__)
    assert SECRET not in shown
    assert basic(AUTH).split()[1] not in shown
    check_settled(client)
    assert client.stats()["open"] == 0
    return caught.value


# -- a proxy that is not there --------------------------------------------------------------------------------------------------


@BOTH
@EVERY_TUNNEL
def test_nobody_listens(way, kind):
    (port,) = free_ports(1)

    async def main():
        for url in ("http://origin.example/", "https://origin.example/"):
            async with client_by(way, f"127.0.0.1:{port}") as client:
                error = await fails(client, wirebird.ProxyError, url)
                assert error.peer == f"127.0.0.1:{port}"
                assert error.status is None
                assert isinstance(error.__cause__, wirebird.ConnectError)

    run(main, kind=kind)


@EVERY_TUNNEL
def test_a_name_that_does_not_resolve(way):
    class Nothing:
        async def resolve(self, host, port=0, family=0):
            assert host == "proxy.example"
            raise wirebird.DNSError("no such host")

        async def close(self):
            pass

    async def main():
        for url in ("http://origin.example/", "https://origin.example/"):
            connector = wirebird.TCPConnector(resolver=Nothing())
            async with wirebird.HTTPClient(connector, proxy=f"{way}://{AUTH}@proxy.example:1") as client:
                error = await fails(client, wirebird.ProxyError, url)
                assert error.peer == "proxy.example:1"
                assert isinstance(error.__cause__, wirebird.DNSError)

    run(main)


# -- a proxy that does not open the tunnel --------------------------------------------------------------------------------------

ANSWERS = {
    "closes": b"",
    "garbage": b"\xff\xfe garbage \r\n\r\n",
    "another protocol": b"220 mail.example ESMTP\r\n",
    "half an answer": b"HTTP/1.1 200 O",
    "half a refusal": b"HTTP/1.1 403 Forbidden\r\nX: ",
    "more behind it": OPEN + b"more",
    "two answers": b"HTTP/1.1 100 x\r\n\r\n" + OPEN + OPEN,
}
SOCKS_ANSWERS = {
    "closes": b"",
    "garbage": b"\xff\xfe garbage",
    "another protocol": OPEN,
    "half an answer": b"\x05\x00\x00\x01\0\0",
    "half a refusal": b"\x05\x02",
    "more behind it": REACHED + b"more",
    "two answers": REACHED * 2,
}


@BOTH
@EVERY_TUNNEL
def test_answers_that_open_nothing(way, kind):
    answers = SOCKS_ANSWERS if way == "socks5h" else ANSWERS
    cases = [(name, False) for name in answers]
    cases += [(name, True) for name in answers if name not in ("more behind it", "two answers")]  # later it may be the origin's

    async def script(link):
        name, dripping = cases[link.number]
        await hear(way, link)
        if dripping:
            await link.drip(answers[name])
        else:
            await link.send(answers[name])
        if name == "closes" or name.startswith("half"):
            link.finish() if way != "https" else link.writer.close()
        await link.gone()

    async def main():
        async with peer_for(way, script) as peer, client_by(way, peer.name) as client:
            for number in range(len(cases)):
                error = await fails(client, wirebird.ProxyError)
                assert error.peer == peer.name
                assert error.status is None
                assert peer.accepted == number + 1  # nothing is tried again on its own account

    run(main, kind=kind)


@BOTH
@EVERY_TUNNEL
def test_a_proxy_that_resets(way, kind):
    async def script(link):
        if link.number > 0:
            await hear(way, link)
        if link.number > 1:
            await link.send(opened(way)[:9])
        link.reset()

    async def main():
        async with peer_for(way, script) as peer, client_by(way, peer.name) as client:
            for _ in range(3):
                error = await fails(client, wirebird.NetworkError)
                assert error.peer == peer.name
                assert isinstance(error, wirebird.ProxyError)

    run(main, kind=kind)


@BOTH
@EVERY_TUNNEL
def test_a_proxy_that_speaks_first(way, kind):
    async def script(link):
        await link.send(b"220 Welcome\r\n")
        await link.gone()

    async def main():
        async with peer_for(way, script) as peer, client_by(way, peer.name) as client:
            for url in ("https://origin.example/", "http://origin.example/"):
                error = await fails(client, wirebird.ProxyError, url)
                assert error.peer == peer.name

    run(main, kind=kind)


@pytest.mark.parametrize("way", ["http", "https"])
@pytest.mark.parametrize("piece", [b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", b"y" * 1000])
def test_endless_fields(way, piece):
    async def script(link):
        await link.request_head()
        await link.send(b"HTTP/1.1 200 Open\r\n")
        while True:
            await link.send(piece * 50)

    async def main():
        async with peer_for(way, script) as peer, client_by(way, peer.name) as client:
            error = await fails(client, wirebird.ProxyError)
            assert isinstance(error.__cause__, wirebird.ProtocolError)

    run(main)


@pytest.mark.parametrize("way", ["http", "https"])
def test_endless_interim_responses(way):
    async def script(link):
        await link.request_head()
        while True:
            await link.send(b"HTTP/1.1 102 Wait\r\n\r\n" * 1000)

    async def main():
        async with peer_for(way, script) as peer, client_by(way, peer.name) as client:
            error = await fails(client, wirebird.ProxyError)
            assert isinstance(error.__cause__, wirebird.LimitExceeded)

    run(main)


@pytest.mark.parametrize("way", ["http", "https"])
def test_a_refusal_with_its_status(way):
    """Whatever body it has, an endless one included, is not read.  A redirect of a CONNECT is followed by nobody."""
    statuses = [302, 401, 403, 407, 500, 503]

    async def script(link):
        await link.request_head()
        await link.send(b"HTTP/1.1 %d No\r\nLocation: http://evil.example/\r\n\r\n" % statuses[link.number])
        while True:
            await link.send(b"x" * 65536)

    async def main():
        async with peer_for(way, script) as peer, client_by(way, peer.name, follow=True) as client:
            for status in statuses:
                error = await fails(client, wirebird.ProxyError)
                assert (error.status, error.peer) == (status, peer.name)
            assert peer.accepted == len(statuses)

    run(main)


def test_plain_tls_confusion():
    """An https proxy that speaks plain, and a plain one that is spoken to in TLS."""

    async def script(link):
        await link.reader.read(10)
        await link.send(b"HTTP/1.1 400 Speak plainly\r\n\r\n")
        await link.gone()

    async def main():
        async with Peer(script) as peer, client_by("https", peer.name) as client:
            for url in ("http://origin.example/", "https://origin.example/"):
                error = await fails(client, wirebird.ProxyError, url)
                assert error.peer == peer.name
                assert isinstance(error.__cause__, wirebird.TLSError)
        async with peer_for("https", script) as peer, client_by("http", peer.name) as client:
            error = await fails(client, wirebird.ProxyError)
            assert error.peer == peer.name

    run(main)


# -- time -----------------------------------------------------------------------------------------------------------------------


@BOTH
@EVERY_TUNNEL
def test_silence_ends_at_the_limit_of_the_dial(way, kind):
    steps = ["handshake", "wish", "answer", "tunnel"]

    async def script(link):
        until = steps[link.number % 4]
        if until != "handshake":
            await hear(way, link)
        if until == "answer":
            await link.send(opened(way)[:-3])
        elif until == "tunnel":
            await link.send(opened(way))
        await link.gone()

    async def main():
        async with peer_for(way, script) as peer, client_by(way, peer.name, timeouts=FAST) as client:
            calls = [client.get("https://origin.example/") for _ in steps]
            errors = await asyncio.gather(*calls, return_exceptions=True)
            for error in errors:
                assert isinstance(error, wirebird.ConnectTimeout)
                assert (error.limit, error.peer) == (FAST.sock_connect, peer.name)
                assert SECRET not in str(error)
            assert sum("TLS handshake with origin.example:443" in str(error) for error in errors) == 1
            check_settled(client)
            # The limit of the whole call, where that is the shorter one.
            with pytest.raises(wirebird.RequestTimeout) as caught:
                await client.get("https://origin.example/", timeouts=wirebird.Timeouts(request_timeout=0.05))
            assert caught.value.peer == peer.name
            check_settled(client)

    run(main, kind=kind)


def test_a_proxy_that_drips_ends_at_the_limit_of_the_dial():
    async def script(link):
        await link.request_head()
        await link.send(b"HTTP/1.1 200 Open\r\nX: ")
        while True:
            await link.send(b"y")
            await asyncio.sleep(0.01)

    async def main():
        async with peer_for("http", script) as peer, client_by("http", peer.name, timeouts=FAST) as client:
            await fails(client, wirebird.ConnectTimeout)

    run(main)


def test_a_handshake_with_the_proxy_that_is_not_answered():
    async def script(link):
        await link.gone()

    async def main():
        async with Peer(script) as peer, client_by("https", peer.name, timeouts=FAST) as client:
            for url in ("http://origin.example/", "https://origin.example/"):
                error = await fails(client, wirebird.ConnectTimeout, url)
                assert error.peer == peer.name

    run(main)


# -- within the tunnel ----------------------------------------------------------------------------------------------------------


@BOTH
@EVERY_TUNNEL
def test_a_tunnel_that_leads_nowhere(way, kind):
    async def script(link):
        await hear(way, link)
        await link.send(opened(way))
        if await link.reader.read(1):  # the ClientHello
            if link.number == 0:
                await link.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                await link.gone()
            elif link.number == 1:
                link.reset()

    async def main():
        async with peer_for(way, script) as peer, client_by(way, peer.name) as client:
            for _ in range(3):
                error = await fails(client, wirebird.TLSError)
                assert error.peer == "origin.example:443"

    run(main, kind=kind)


@BOTH
@pytest.mark.parametrize("way", ["http", "https"])
def test_a_body_that_the_proxy_cuts_short(way, kind):
    """A body that ends with the connection ends with close_notify of the origin's TLS; the proxy's own is none of it (N4)."""

    async def main():
        async def endless(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000)
            with contextlib.suppress(OSError):
                await reader.read()
            writer.transport.abort()

        class Cutting(HttpProxy):
            async def _tunnel(self, reader, writer, host, port):
                there, back = await self.connect(host, port)
                writer.write(OPEN)
                up = asyncio.create_task(relay(reader, back))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await relay(there, writer)
                up.cancel()
                back.transport.abort()

        async def relay(reader, writer):
            while data := await reader.read(65536):
                writer.write(data)

        tls = server_context("127.0.0.1") if way == "https" else None
        server = await asyncio.start_server(endless, "127.0.0.1", 0, ssl=server_context("localhost"))
        async with server, Cutting(tls=tls) as proxy, client_by(way, proxy.address) as client:
            response = await client.get(f"https://localhost:{server.sockets[0].getsockname()[1]}/")
            with pytest.raises(wirebird.IncompleteBody):
                await response.content()
            check_settled(client)

    run(main, kind=kind)


def test_a_plain_tunnel_that_speaks_or_closes_before_it_is_asked():
    async def script(link):
        await link.reader.readexactly(METHODS)
        await link.send(b"\x05\x00")
        await link.reader.readexactly(WISH)
        await link.send(REACHED)
        if link.number == 0:
            await link.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await link.gone()

    async def main():
        async with Peer(script) as peer, client_by("socks5h", peer.name) as client:
            for _ in range(2):
                await fails(client, wirebird.NetworkError, "http://origin.example/")

    run(main)


@pytest.mark.parametrize("way", ["http", "https"])
def test_a_forwarding_proxy_that_breaks_off(way):
    """Until a head is there it is the proxy that failed; what comes behind one is the origin's response."""

    async def script(link):
        await link.request()
        if link.number == 1:
            await link.send(b"garbage\r\n\r\n")
        elif link.number == 2:
            await link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        # The end.

    async def main():
        async with peer_for(way, script) as peer, client_by(way, peer.name) as client:
            for error in (wirebird.ConnectionLost, wirebird.InvalidResponse):
                raised = await fails(client, wirebird.ProxyError, "http://origin.example/")
                assert raised.peer == peer.name
                assert raised.status is None
                assert isinstance(raised.__cause__, error)
            response = await client.get("http://origin.example/")
            with pytest.raises(wirebird.IncompleteBody):
                await response.content()
            check_settled(client)

    run(main)


def test_407_is_a_response_and_no_loop():
    async def main():
        async with HttpProxy(auth="other:word") as proxy, client_by("http", proxy.address, follow=True) as client:
            for method in ("GET", "POST"):
                response = await client.request("http://origin.example/", method)
                assert response.status_code == 407
                assert await response.text() == "who?\n"
            assert len(proxy.asked) == 2
            assert proxy.connections == 1

    run(main)


# -- callers who leave ----------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("way", "secure"), [("http", False), ("http", True), ("https", True), ("socks5h", True), ("socks5", False)]
)
def test_cancelled_at_any_await(way, secure, kind):
    async def main():
        socks = way.startswith("socks")
        async with Origin(tls=server_context("localhost") if secure else None) as origin:
            tls = server_context("127.0.0.1") if way == "https" else None
            async with SocksProxy(auth=AUTH) if socks else HttpProxy(auth=AUTH, tls=tls) as proxy:
                turns, finished = 0, 0
                while finished < 2:
                    async with client_by(way, proxy.address) as client:
                        call = asyncio.create_task(client.get(origin.url("/bytes/100000", host="localhost")))
                        for _ in range(turns):
                            await asyncio.sleep(0)
                        call.cancel()
                        await asyncio.wait([call])
                        if not call.cancelled():
                            finished += 1
                            assert len(await call.result().content()) == 100_000
                        if client.connector.peek() is not None:
                            check_settled(client)
                    turns += 1 + turns // 4
                    assert turns < 100_000
                await proxy.until(lambda: not proxy.open)

    run(main, kind=kind)


@BOTH
@EVERY_TUNNEL
def test_a_client_that_is_closed_meanwhile(way, kind):
    async def main():
        asked = asyncio.Event()

        async def script(link):
            await hear(way, link)
            asked.set()
            await link.gone()

        async with peer_for(way, script) as peer, client_by(way, peer.name) as client:
            call = asyncio.create_task(client.get("https://origin.example/"))
            await asked.wait()
            await client.close()
            with pytest.raises(wirebird.ClientClosed):
                await call

    run(main, kind=kind)
