"""`client.websocket`: the handshake on its way through the client, what is opened by it, and the end of it."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import websockets.asyncio.server
from yarl import URL

import wirebird
from proxies import HttpProxy, SocksProxy, basic, credentials
from raw_peer import check_settled, require, run
from websocket_origin import WebSocketOrigin, answer
from wirebird import Deflate, HttpResponse, MessageType, Request
from wirebird.errors import (
    ClientClosed,
    InvalidResponse,
    InvalidURL,
    ProxyError,
    StatusError,
    TooManyRedirects,
    UsageError,
    WebSocketClosed,
    WebSocketError,
)
from wirebird.testing import MockTransport

BOTH = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
Contexts = tuple[ssl.SSLContext, ssl.SSLContext]
Handler = Callable[[Request], Awaitable[HttpResponse]]


def field(head: Any, name: str) -> list[str]:
    found: list[str] = head.fields.get_list(name)
    return found


# -- what is opened ----------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
def test_messages_go_both_ways(loop: str, secure: bool, contexts: Contexts) -> None:
    async def main() -> None:
        server, trusting = contexts
        async with (
            WebSocketOrigin(tls=server if secure else None, deflate=Deflate()) as origin,
            wirebird.HTTPClient(wirebird.TCPConnector(ssl=trusting)) as client,
        ):
            async with client.websocket(origin.url("/echo")) as ws:
                await ws.send("text")
                await ws.send(b"binary")
                await ws.send_json({"a": [1, 2]})
                await ws.send("long " * 100_000)
                first, second = await ws.receive(), await ws.receive()
                assert (first.type, first.data, second.type, second.data) == (
                    MessageType.TEXT,
                    "text",
                    MessageType.BINARY,
                    b"binary",
                )
                assert await ws.receive_json() == {"a": [1, 2]}
                assert await ws.receive_text() == "long " * 100_000
                assert ws.compression is not None
                assert ws.response.status_code == 101
                assert str(ws.response.url) == origin.url("/echo", "https" if secure else "http")
                assert client.stats() == {
                    **dict.fromkeys(("open", "idle", "in_use", "waiting", "reused"), 0),
                    "requests": 1,
                    "opened": 1,
                }
                assert await client.wait_requests(0.01)  # a WebSocket is no request
            assert ws.close_code == 1000
            assert origin.sockets[0].close_code == 1000
            check_settled(client)
            assert not client.connector._upgraded

    run(main, kind=loop)


@BOTH
def test_frames_in_the_segment_of_the_101_are_not_lost(loop: str) -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient() as client:
            async with client.websocket(origin.url("/greeting")) as ws:
                assert [await ws.receive_text(), await ws.receive_text()] == ["hello", "again"]
                await ws.send("x")
                assert await ws.receive_text() == "x"

    run(main, kind=loop)


def test_it_can_be_awaited_once_and_by_a_task() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient() as client:
            call = client.websocket(origin.url())
            assert "WebSocketCall" in repr(call) and str(origin.port) in repr(call)
            ws = await asyncio.create_task(call)
            with pytest.raises(RuntimeError, match="awaited before"):
                await call
            async with (entered := client.websocket(origin.url())):
                for use in (lambda: entered.send(None), lambda: entered.throw(KeyError)):
                    with pytest.raises(RuntimeError, match="awaited before"):
                        use()
            entered.close()  # as of any coroutine that has ended
            call.close()
            await ws.close(3001, "bye")
            assert (origin.sockets[0].close_code, origin.sockets[0].close_reason) == (3001, "bye")
            with pytest.raises(WebSocketClosed):
                await ws.send("late")
            one, two = await asyncio.gather(client.websocket(origin.url()), client.websocket(origin.url()))
            await asyncio.gather(one.close(), two.close())
        client.websocket("ws://nowhere.invalid/")  # not awaited, and nothing to complain of

    run(main)


def test_subprotocols_and_compression_are_negotiated() -> None:
    async def main() -> None:
        async with WebSocketOrigin(protocols=["v2", "v1"], deflate=Deflate()) as origin, wirebird.HTTPClient() as client:
            async with client.websocket(origin.url(), protocols=("v1", "v2"), compression=False) as ws:
                assert ws.subprotocol == "v2"
                assert ws.compression is None
            async with client.websocket(origin.url(), compression=Deflate(client_no_context_takeover=True)) as ws:
                assert ws.subprotocol is None
                assert ws.compression is not None and not ws.compression.client_takeover
            async with client.websocket(origin.url(), protocols=["v3"]) as ws:
                assert ws.subprotocol is None
            plain, tuned, _ = origin.asked
            assert field(plain, "sec-websocket-protocol") == ["v1, v2"]
            assert not field(plain, "sec-websocket-extensions")
            assert "client_no_context_takeover" in field(tuned, "sec-websocket-extensions")[0]

    run(main)


def test_the_handshake_on_the_wire() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient(base_url=origin.url("/", "http")) as client:
            url = URL(f"{origin.url('/echo')}?q=%7E", encoded=True)
            async with client.websocket(url, params={"a": "b c"}, headers={"X-One": "1"}, origin="https://page.example"):
                pass
            async with client.websocket("echo"):
                pass
            async with client.websocket(origin.url("/echo", "http"), compression=False):
                pass
            head = origin.asked[0]
            assert head.target == b"/echo?q=%7E&a=b+c"
            assert head.host.decode() == origin.address
            assert [field(head, name) for name in ("upgrade", "connection", "sec-websocket-version", "origin", "x-one")] == [
                ["websocket"],
                ["Upgrade"],
                ["13"],
                ["https://page.example"],
                ["1"],
            ]
            keys = [field(head, "sec-websocket-key")[0] for head in origin.asked]
            assert len({base64.b64decode(key, validate=True) for key in keys}) == 3
            assert not field(origin.asked[1], "origin")
            assert not field(head, "content-length")

    run(main)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"protocols": "chat"}, "protocols"),
        ({"protocols": ("a b",)}, "protocols"),
        ({"protocols": ("a", "a")}, "protocols"),
        ({"protocols": 5}, "protocols"),
        ({"heartbeat": 0}, "heartbeat"),
        ({"heartbeat": "1"}, "heartbeat"),
        ({"compression": "gzip"}, "compression"),
        ({"compression": 1}, "compression"),
        ({"max_size": 0}, "max_size"),
        ({"max_fragments": 0}, "max_fragments"),
        ({"max_queue": None}, "max_queue"),
        ({"close_timeout": -1}, "close_timeout"),
        ({"auto_pong": "no"}, "auto_pong"),
        ({"origin": 5}, "origin"),
        ({"origin": "a\r\nb"}, "origin"),
        ({"reconnect": 3}, "reconnect"),
        ({"headers": {"Sec-WebSocket-Key": "x"}}, "headers"),
        ({"headers": {"upgrade": "h2c"}}, "headers"),
        ({"headers": {"Connection": "close"}}, "headers"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "headers"),
        ({"headers": [1]}, "headers"),
        ({"timeouts": 5}, "timeouts"),
        ({"ssl": True}, "ssl"),
        ({"cookies": "a=b"}, "cookies"),
        ({"auth": 5.5}, "auth"),
        ({"proxy": 5}, "proxy"),
        ({"retries": -1}, "retries"),
        ({"max_redirects": -1}, "max_redirects"),
        ({"params": {"a": None}}, "params"),
        ({"data": b"x"}, "data"),
        ({"json": {}}, "json"),
        ({"files": {}}, "files"),
        ({"raise_for_status": True}, "raise_for_status"),
        ({"http2": True}, "http2"),
    ],
    ids=str,
)
def test_arguments_are_looked_at_when_they_are_given(arguments: dict[str, Any], name: str) -> None:
    client = wirebird.HTTPClient()
    with pytest.raises(UsageError) as caught:
        client.websocket("ws://localhost/", **arguments)
    assert caught.value.argument == name


@pytest.mark.parametrize("url", ["ftp://h/", "ws://", "ws://h:99999/", "/relative", "ws://h/#part", "ws://h/\r\n", 5])
def test_urls_that_cannot_be(url: Any) -> None:
    with pytest.raises(InvalidURL):
        wirebird.HTTPClient().websocket(url)


def test_limits_reach_the_websocket() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient() as client:
            async with client.websocket(origin.url(), max_size=100) as ws:
                await ws.send("x" * 101)
                with pytest.raises(WebSocketError) as caught:
                    await ws.receive()
                assert caught.value.code == 1009
            async with client.websocket(origin.url("/held"), heartbeat=30, close_timeout=3, auto_pong=False, max_queue=5) as ws:
                connection = ws.connection
                assert (connection.heartbeat, connection.close_timeout, connection.max_queue) == (30, 3, 5)
                assert not connection.protocol.auto_pong
            check_settled(client)

    run(main)


# -- the policies of the client ----------------------------------------------------------------------------------------


def test_redirects_are_followed_between_the_schemes() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient() as client:
            for scheme in ("ws", "http"):
                origin.always(f"/{scheme}", answer("302 Found", f"Location: {origin.url('/echo', scheme)}#part"))
            origin.always("/relative", answer("307 Go", "Location: echo"))
            for path in ("/ws", "/http", "/relative"):
                origin.asked.clear()
                async with client.websocket(origin.url(path)) as ws:
                    assert [response.status_code for response in ws.response.history] == [302 if path != "/relative" else 307]
                    assert ws.response.url.path == "/echo"
                keys = [field(head, "sec-websocket-key")[0] for head in origin.asked]
                assert len(set(keys)) == 2  # RFC 6455 4.1: a fresh one for each
            assert origin.connections <= 4  # one that was kept alive is upgraded
            with pytest.raises(StatusError) as caught:
                await client.websocket(origin.url("/ws"), follow=False)
            assert caught.value.status_code == 302
            origin.always("/round", answer("302 Found", "Location: /round"))
            with pytest.raises(TooManyRedirects):
                await client.websocket(origin.url("/round"), max_redirects=2)
            check_settled(client)

    run(main)


def test_a_redirect_from_wss_to_ws_is_refused(contexts: Contexts) -> None:
    async def main() -> None:
        server, trusting = contexts
        async with (
            WebSocketOrigin(tls=server) as origin,
            WebSocketOrigin() as other,
            wirebird.HTTPClient(wirebird.TCPConnector(ssl=trusting)) as client,
        ):
            for scheme in ("ws", "http"):
                origin.always("/down", answer("302 Found", f"Location: {other.url('/echo', scheme)}"))
                with pytest.raises(InvalidResponse, match="wss to ws"):
                    await client.websocket(origin.url("/down"))
            assert not other.asked
            other.always("/up", answer("302 Found", f"Location: {origin.url('/echo')}"))
            async with client.websocket(other.url("/up")) as ws:
                await ws.send("x")
                assert await ws.receive_text() == "x"
            check_settled(client)

    run(main)


def test_nothing_secret_follows_a_redirect_to_another_origin() -> None:
    async def main() -> None:
        secrets = {
            "Authorization": "Bearer top",
            "Cookie": "own=secret",
            "Proxy-Authorization": "Basic secret",
            "X-Api-Key": "secret",
        }
        async with WebSocketOrigin() as origin, WebSocketOrigin() as other:
            origin.always("/away", answer("302 Found", f"Location: {other.url('/echo')}"))
            origin.always("/home", answer("302 Found", "Location: /echo"))
            async with wirebird.HTTPClient(handle_cookies=True) as client:
                for extra in ({"headers": secrets}, {"auth": ("user", "word"), "cookies": {"call": "secret"}}):
                    async with client.websocket(origin.url("/away"), protocols=["chat"], **extra):  # type: ignore[arg-type]
                        pass
                    first, second = origin.asked.pop(), other.asked.pop()
                    assert field(first, "authorization")
                    assert field(first, "cookie")
                    assert not [name for name in (*secrets, "cookie") if field(second, name)]
                    assert b"secret" not in second.raw and b"word" not in second.raw
                    assert field(second, "connection") == ["Upgrade"]
                    assert field(second, "sec-websocket-protocol") == ["chat"]
                    assert field(second, "sec-websocket-key") != field(first, "sec-websocket-key")
                async with client.websocket(origin.url("/home"), auth=("user", "word")):
                    pass
                assert len({tuple(field(head, "authorization")) for head in origin.asked}) == 1

    run(main)


def test_cookies_are_sent_and_taken_from_the_101() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient(handle_cookies=True) as client:
            origin.fields["/echo"] = [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; Path=/")]
            async with client.websocket(origin.url(), cookies={"call": "0"}) as ws:
                assert ws.response.cookies["a"].value == "1"
            async with client.websocket(origin.url()):
                pass
            assert field(origin.asked[0], "cookie") == ["call=0"]
            assert sorted(field(origin.asked[1], "cookie")[0].split("; ")) == ["a=1", "b=2"]

    run(main)


def test_credentials_of_every_kind() -> None:
    async def main() -> None:
        def guard(head: Any) -> bytes | None:
            if field(head, "authorization") == [basic("user:word")]:
                return None
            return answer("401 Who", "WWW-Authenticate: Basic realm=x", body=b"who?")

        async with WebSocketOrigin() as origin, wirebird.HTTPClient() as client:
            origin.first("/echo", guard)
            async with client.websocket(origin.url(), auth=("user", "word")):
                pass
            async with client.websocket(origin.url().replace("://", "://user:word@")) as ws:
                assert "word" not in str(ws.response.url)
            with pytest.raises(StatusError) as caught:
                await client.websocket(origin.url(), auth=("user", "wrong"))
            assert caught.value.status_code == 401
            assert await caught.value.response.content() == b"who?"
            assert "word" not in repr(client.websocket(origin.url().replace("://", "://user:word@")))
            check_settled(client)
        async with (
            WebSocketOrigin() as origin,
            wirebird.HTTPClient(base_url=origin.url("/", "http"), auth=("user", "word")) as client,
        ):
            origin.first("/echo", guard)
            async with client.websocket("/echo"):
                pass

    run(main)


@BOTH
def test_a_challenge_for_digest_is_answered_with_the_same_key(loop: str) -> None:
    async def main() -> None:
        def guard(head: Any) -> bytes | None:
            if field(head, "authorization"):
                return None
            return answer("401 Who", 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256', body=b"who?")

        async with WebSocketOrigin() as origin, wirebird.HTTPClient() as client:
            origin.first("/echo", guard)
            async with client.websocket(origin.url(), auth=wirebird.DigestAuth("user", "word")) as ws:
                await ws.send("x")
                assert await ws.receive_text() == "x"
            bare, proved = origin.asked
            assert field(proved, "authorization")[0].startswith("Digest ")
            assert field(bare, "sec-websocket-key") == field(proved, "sec-websocket-key")
            assert origin.connections == 1  # which was kept alive, and then upgraded

    run(main, kind=loop)


def test_middlewares_and_observers_see_the_handshake() -> None:
    async def main() -> None:
        seen: list[str] = []

        async def outer(request: Request, handler: Handler) -> HttpResponse:
            assert request.headers["Upgrade"] == "websocket"
            assert "sec-websocket-key" not in request.headers
            request.headers["X-Outer"] = "1"
            response = await handler(request)
            seen.append(f"outer {response.status_code} {response.headers['upgrade']}")
            await asyncio.sleep(0.01)  # the peer's greeting arrives meanwhile
            return response.replaced(headers=[*response.headers.items(), ("X-Seen", "1")])

        async def inner(request: Request, handler: Handler) -> HttpResponse:
            assert request.headers["Sec-WebSocket-Key"]
            response = await handler(request)
            seen.append(f"inner {response.status_code}")
            return response

        def observer(exchange: Any, phase: str) -> None:
            if phase == "done":
                seen.append(f"{exchange.outcome} {exchange.response.status_code} {exchange.received}")

        har = wirebird.HarRecorder()
        async with (
            WebSocketOrigin() as origin,
            wirebird.HTTPClient(middlewares=[outer], network_middlewares=[inner], observers=[observer, har]) as client,
        ):
            async with client.websocket(origin.url("/greeting")) as ws:
                assert await ws.receive_text() == "hello"
                assert ws.response.headers["x-seen"] == "1"
            assert field(origin.asked[0], "x-outer") == ["1"]
            assert seen == ["complete 101 0", "inner 101", "outer 101 websocket"]
            check_settled(client)

    run(main)


def test_retries_are_made() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient(retries=wirebird.Retry(2, backoff=0)) as client:
            left = [answer("503 Later", body=b"later")] * 2
            origin.first("/echo", lambda head: left.pop() if left else None)
            async with client.websocket(origin.url()) as ws:
                await ws.send("x")
                assert await ws.receive_text() == "x"
            assert len({field(head, "sec-websocket-key")[0] for head in origin.asked}) == 3

    run(main)


# -- proxies and other ways --------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("kind", ["http", "https", "socks"])
def test_through_proxies(loop: str, secure: bool, kind: str, contexts: Contexts) -> None:
    async def main() -> None:
        server, trusting = contexts
        proxy_kind: Any = SocksProxy if kind == "socks" else HttpProxy
        more = {"tls": server} if kind == "https" else {}
        async with (
            WebSocketOrigin(tls=server if secure else None) as origin,
            proxy_kind(auth="user:word", **more) as proxy,
            wirebird.HTTPClient(wirebird.TCPConnector(ssl=trusting)) as client,
        ):
            through = (
                wirebird.Proxy(proxy.url, "user:word", ssl=trusting)
                if kind == "https"
                else wirebird.Proxy(proxy.url, "user:word")
            )
            async with client.websocket(origin.url(), proxy=through) as ws:
                await ws.send("x")
                assert await ws.receive_text() == "x"
            if kind == "socks":
                assert proxy.asked == [("name", "127.0.0.1", origin.port)] or proxy.asked == [("ipv4", "127.0.0.1", origin.port)]
            else:
                assert [head.method for head in proxy.asked] == [b"CONNECT"]
                assert credentials(proxy.asked[0]) == [basic("user:word")]
            assert not field(origin.asked[0], "proxy-authorization")
            check_settled(client)
            await client.close()
            await proxy.until(lambda: proxy.open == 0)

    run(main, kind=loop)


def test_a_forwarding_proxy_is_asked_for_a_tunnel_and_its_connections_are_kept_apart() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, HttpProxy() as proxy, wirebird.HTTPClient(proxy=proxy.url) as client:
            origin.always("/plain", answer("200 OK", body=b"plain"))
            origin.always("/no", answer("403 No", body=b"no"))
            for _ in range(2):
                assert await (await client.get(origin.url("/plain", "http"))).text() == "plain"
                with pytest.raises(StatusError):
                    await client.websocket(origin.url("/no"))
                async with client.websocket(origin.url()) as ws:
                    await ws.send("x")
                    assert await ws.receive_text() == "x"
            methods = [head.method for head in proxy.asked]
            assert methods == [b"GET", b"CONNECT", b"GET", b"CONNECT"]
            check_settled(client)

    run(main)


def test_a_proxy_that_wants_other_credentials() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, HttpProxy(auth="user:word") as proxy, wirebird.HTTPClient() as client:
            with pytest.raises(ProxyError) as caught:
                await client.websocket(origin.url(), proxy=proxy.url)
            assert caught.value.status == 407
            assert not origin.asked
            check_settled(client)

    run(main)


def test_over_a_unix_socket_and_elsewhere(tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "socket")
        async with WebSocketOrigin(uds=path), wirebird.HTTPClient(wirebird.TCPConnector(uds=path)) as client:
            async with client.websocket("ws://anything/echo") as ws:
                await ws.send("x")
                assert await ws.receive_text() == "x"
        async with WebSocketOrigin() as origin:
            connector = wirebird.TCPConnector(connect_to={"far.example:80": origin.address}, conn_max_requests=1)
            async with wirebird.HTTPClient(connector) as client, client.websocket("ws://far.example/echo") as ws:
                await ws.send("x")
                assert await ws.receive_text() == "x"
                assert origin.asked[0].host == b"far.example"

    run(main)


def test_what_stands_in_for_the_network() -> None:
    async def main() -> None:
        async with wirebird.HTTPClient(MockTransport(lambda request: HttpResponse.make(200))) as client:
            with pytest.raises(UsageError, match="stands in") as caught:
                await client.websocket("ws://localhost/")
            assert caught.value.argument == "connector"
        async with wirebird.HTTPClient(MockTransport(lambda request: HttpResponse.make(403, body=b"no"))) as client:
            with pytest.raises(StatusError) as refused:
                await client.websocket("ws://localhost/")
            assert await refused.value.response.text() == "no"

        class Wrapped:
            """A sender that is a real one, looked at."""

            def __init__(self) -> None:
                self.inner = wirebird.client.transport.Transport(wirebird.TCPConnector())

            async def send(self, request: Request) -> HttpResponse:
                return await self.inner.send(request)

            async def close(self) -> None:
                await self.inner.connector.close()

        async with WebSocketOrigin() as origin, wirebird.HTTPClient(Wrapped()) as client:  # type: ignore[arg-type]
            ws = await client.websocket(origin.url())
            await ws.send("x")
            assert await ws.receive_text() == "x"
            other = await client.websocket(origin.url())
            await other.close()
            await client.close()
            assert ws.closed

            class Kept(Wrapped):
                """One that leaves its connections open."""

                async def send(self, request: Request) -> HttpResponse:
                    response = await super().send(request)
                    await later.close()
                    return response

                async def close(self) -> None:
                    pass

            sender = Kept()
            later = wirebird.HTTPClient(sender)  # type: ignore[arg-type]
            with pytest.raises(ClientClosed):
                await later.websocket(origin.url())
            await sender.inner.connector.close()

    run(main)


# -- the pool and the end ----------------------------------------------------------------------------------------------


@BOTH
def test_many_sockets_and_a_small_pool(loop: str) -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient(wirebird.TCPConnector(pool_size=5)) as client:
            origin.always("/plain", answer("200 OK", body=b"plain"))
            sockets = await asyncio.gather(*(client.websocket(origin.url()) for _ in range(120)))
            for number, ws in enumerate(sockets):
                await ws.send(str(number))
            assert [await ws.receive_text() for ws in sockets] == [str(number) for number in range(120)]
            assert await (await client.get(origin.url("/plain", "http"))).text() == "plain"
            assert client.stats()["in_use"] == 0
            assert len(client.connector._upgraded) == 120
            check_settled(client)
            await client.close()
            assert {ws.connection.protocol.close_sent.code for ws in sockets} == {1001}  # type: ignore[union-attr]
            assert {ws.close_code for ws in sockets} == {1001}
            await origin.until(lambda: origin.open == 0)
            assert {ws.close_code for ws in origin.sockets} == {1001}

    run(main, kind=loop)


def test_a_connection_that_was_kept_alive_is_upgraded() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient() as client:
            origin.always("/plain", answer("200 OK", body=b"plain"))
            await (await client.get(origin.url("/plain", "http"))).content()
            async with client.websocket(origin.url()) as ws:
                await ws.send("x")
                assert await ws.receive_text() == "x"
                assert origin.connections == 1
                assert (client.stats()["open"], client.stats()["reused"]) == (0, 1)
            await (await client.get(origin.url("/plain", "http"))).content()
            assert origin.connections == 2

    run(main)


@BOTH
def test_the_code_says_how_the_block_was_left(loop: str) -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient() as client:
            with pytest.raises(KeyError):
                async with client.websocket(origin.url("/held")):
                    raise KeyError("mine")
            opened = asyncio.Event()

            async def wait() -> None:
                async with client.websocket(origin.url("/held"), close_timeout=30) as ws:
                    opened.set()
                    await ws.receive()

            task = asyncio.create_task(wait())
            await opened.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await origin.until(lambda: origin.open == 0)
            assert [ws.close_code for ws in origin.sockets] == [1011, 1001]
            if going := list(client.connector._upgraded):  # what was cancelled goes on closing by itself
                await asyncio.wait(going, timeout=5)
            assert not client.connector._upgraded

    run(main, kind=loop)


def test_a_client_that_is_closed_opens_nothing() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin:
            client = wirebird.HTTPClient()
            await client.close()
            with pytest.raises(ClientClosed):
                await client.websocket(origin.url())
            assert not origin.asked

    run(main)


def test_retiring_a_connector_leaves_sockets_open() -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, wirebird.HTTPClient() as client:
            async with client.websocket(origin.url()) as ws:
                await client.connector.retire()
                await ws.send("x")
                assert await ws.receive_text() == "x"

    run(main)


# -- another's server --------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_with_the_server_of_websockets(loop: str, compression: str | None) -> None:
    async def main() -> None:
        async def echo(connection: Any) -> None:
            async for message in connection:
                await connection.send(message)

        server = await websockets.asyncio.server.serve(
            echo,
            "127.0.0.1",
            0,
            compression=compression,
            subprotocols=["chat"],
            max_size=None,
            ping_interval=None,
            process_request=lambda connection, request: connection.respond(403, "no\n") if request.path == "/no" else None,
        )
        port = next(iter(server.sockets)).getsockname()[1]
        try:
            async with wirebird.HTTPClient() as client:
                async with client.websocket(f"ws://127.0.0.1:{port}/", protocols=["chat"], max_size=None) as ws:
                    assert ws.subprotocol == "chat"
                    assert (ws.compression is not None) is (compression is not None)
                    for message in ("", "text", "é" * 70_000, b"", bytes(range(256)) * 1000):
                        await ws.send(message)
                        require((await ws.receive()).data == message)
                    assert await ws.ping() < 5
                assert ws.close_code == 1000
                with pytest.raises(StatusError) as caught:
                    await client.websocket(f"ws://127.0.0.1:{port}/no")
                assert (caught.value.status_code, await caught.value.response.text()) == (403, "no\n")
        finally:
            server.close()
            await server.wait_closed()

    run(main, kind=loop)
