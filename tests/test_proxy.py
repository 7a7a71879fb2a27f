"""Proxies: the value, the two handshakes as bytes, and what a client sends by way of them."""

from __future__ import annotations

import asyncio
import ssl
from functools import cache
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

import wirebird
from origin import Origin, pattern, run
from proxies import HttpProxy, SocksProxy, basic, credentials
from wirebird.models.limits import Limits
from wirebird.models.url import destination, parse_url
from wirebird.net.proxy_environment import EnvironmentProxies
from wirebird.protocol.connect import Connect
from wirebird.protocol.socks5 import REFUSALS, Socks5

BOTH = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
SECRET = "s3cr3t"
AUTH = f"wire:{SECRET}"

AUTHORITY = trustme.CA()
TRUSTING = ssl.create_default_context()
AUTHORITY.configure_trust(TRUSTING)


@cache
def server_context(*names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert(*names).configure_cert(context)
    return context


def secure_proxy(*names: str, **settings: Any) -> HttpProxy:
    return HttpProxy(tls=server_context(*(names or ("127.0.0.1",))), **settings)


class Names:
    """A resolver with a list of its own; `asked` says what it was asked."""

    def __init__(self, **known: list[str]) -> None:
        self.known = known
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[dict[str, Any]]:
        self.asked.append(host)
        if host not in self.known:
            raise wirebird.DNSError(f"{host} is not known")
        return [{"host": address, "port": port} for address in self.known[host]]

    async def close(self) -> None:
        pass


def client_by(proxy: Any, resolver: Any = None, **settings: Any) -> wirebird.HTTPClient:
    connector = wirebird.TCPConnector(resolver=resolver if resolver is not None else Names(), ssl=TRUSTING)
    return wirebird.HTTPClient(connector, proxy=proxy, **settings)


# -- the value ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "scheme", "name", "port"),
    [
        ("proxy.example:3128", "http", "proxy.example", 3128),
        ("proxy.example", "http", "proxy.example", 80),
        ("http://proxy.example", "http", "proxy.example", 80),
        ("HTTP://Proxy.Example:80/", "http", "proxy.example", 80),
        ("https://proxy.example", "https", "proxy.example", 443),
        ("https://proxy.example:80", "https", "proxy.example", 80),
        ("socks5://proxy.example", "socks5", "proxy.example", 1080),
        ("socks5h://proxy.example:80", "socks5h", "proxy.example", 80),
        ("SOCKS5H://[::1]", "socks5h", "::1", 1080),
        ("[2001:db8::1]:3128", "http", "2001:db8::1", 3128),
        ("10.0.0.1:1", "http", "10.0.0.1", 1),
        ("http://bücher.example:1", "http", "xn--bcher-kva.example", 1),
        (URL("socks5://proxy.example:9"), "socks5", "proxy.example", 9),
    ],
)
def test_hosts(host, scheme, name, port):
    proxy = wirebird.Proxy(host)
    assert (proxy.scheme, proxy.host, proxy.port) == (scheme, name, port)
    assert proxy.credentials is None
    assert proxy == wirebird.Proxy(proxy.url)
    assert hash(proxy) == hash(wirebird.Proxy(proxy.url))
    assert repr(proxy) == f"Proxy({proxy.url!r})"


@pytest.mark.parametrize(
    ("host", "auth", "user", "password"),
    [
        ("http://h:1", "user:word", "user", "word"),
        ("http://user:word@h:1", None, "user", "word"),
        ("user:word@h:1", None, "user", "word"),
        ("http://h", "user:", "user", ""),
        ("http://user@h", None, "user", ""),
        ("http://h", ":word", "", "word"),
        ("http://h", "user:a:b", "user", "a:b"),
        ("http://us%40er:wo%3Ard%2F@h", None, "us@er", "wo:rd/"),
        ("https://h", "ü:π", "ü", "π"),
        ("socks5://us%3Aer:p@h", None, "us:er", "p"),
        ("socks5h://h", f"{'u' * 255}:{'é' * 127}", "u" * 255, "é" * 127),
    ],
)
def test_credentials(host, auth, user, password):
    proxy = wirebird.Proxy(host, auth)
    assert (proxy.user, proxy.password) == (user, password)
    assert proxy.credentials == basic(f"{user}:{password}")
    assert repr(proxy) == f"Proxy({proxy.url!r}, auth=…)"
    assert proxy != wirebird.Proxy(proxy.url)


@pytest.mark.parametrize(
    ("host", "auth", "argument"),
    [
        ("", None, "host"),
        ("http://", None, "host"),
        ("ftp://h", None, "host"),
        ("socks4://h", None, "host"),
        ("socks://h", None, "host"),
        ("://h", None, "host"),
        (f"foo:{SECRET}://h", None, "host"),
        ("http://h/path", None, "host"),
        ("http://h/?q", None, "host"),
        ("http://h#f", None, "host"),
        ("http://h:0", None, "host"),
        ("http://h:65536", None, "host"),
        (f"http://u:{SECRET}@h:port", None, "host"),
        (f"http://u:{SECRET}@", None, "host"),
        (f"http://u:{SECRET}@h/{SECRET}", None, "host"),
        (f"u:{SECRET}/@h", None, "host"),
        ("h:1\r\nX: y", None, "host"),
        ("a b", None, "host"),
        ("h\0", None, "host"),
        ("127.1:80", None, "host"),
        ("a..b", None, "host"),
        ("::1", None, "host"),
        (None, None, "host"),
        (b"h:1", None, "host"),
        (80, None, "host"),
        ("h:1", SECRET, "auth"),
        ("h:1", "", "auth"),
        ("h:1", b"u:p", "auth"),
        ("h:1", ("u", "p"), "auth"),
        ("h:1", f"u:{SECRET}\r\nX: y", "auth"),
        ("h:1", f"u\0:{SECRET}", "auth"),
        ("h:1", f"u:{SECRET}\ud800", "auth"),
        (f"http://u:{SECRET}\udcff@h", None, "host"),
        (f"http://u:{SECRET}%0d%0a@h", None, "auth"),
        (f"http://u%3Av:{SECRET}@h", None, "auth"),
        (f"http://u:{SECRET}@h", "u:p", "auth"),
        ("socks5://h", f"u:{SECRET * 50}", "auth"),
        ("socks5://h", f":{SECRET}", "auth"),
        ("socks5h://h", "u:", "auth"),
        ("socks5h://u@h", None, "auth"),
        ("socks5h://h", f"{'é' * 128}:{SECRET}", "auth"),
    ],
)
def test_what_is_no_proxy(host, auth, argument):
    with pytest.raises(wirebird.UsageError) as caught:
        wirebird.Proxy(host, auth)
    assert caught.value.argument == argument
    assert SECRET not in str(caught.value)
    error = caught.value.__context__  # a traceback does not show it, and what reports errors may
    assert error is None or SECRET not in f"{error}{error.args}"


def test_a_context_is_for_https_proxies():
    assert wirebird.Proxy("https://h", ssl=TRUSTING).ssl is TRUSTING
    for host, context in (("http://h", TRUSTING), ("socks5://h", TRUSTING), ("https://h", True)):
        with pytest.raises(wirebird.UsageError) as caught:
            wirebird.Proxy(host, ssl=context)
        assert caught.value.argument == "ssl"


def test_a_proxy_does_not_change():
    with pytest.raises(AttributeError):
        wirebird.Proxy("h").host = "other"


@pytest.mark.parametrize("proxy", [80, b"h:1", ("h", 1), {"http": "h"}, True, "ftp://h", ""])
def test_clients_and_calls_refuse_what_is_no_proxy(proxy):
    async def main():
        with pytest.raises(wirebird.UsageError):
            wirebird.HTTPClient(proxy=proxy)
        async with wirebird.HTTPClient() as client:
            with pytest.raises(wirebird.UsageError):
                await client.get("http://example.org/", proxy=proxy)

    run(main)


def test_no_proxy_with_a_unix_socket():
    async def main():
        connector = wirebird.TCPConnector(uds="some.sock")
        with pytest.raises(wirebird.UsageError) as caught:
            wirebird.HTTPClient(connector, proxy="h:1")
        assert caught.value.argument == "proxy"
        async with wirebird.HTTPClient(connector) as client:
            with pytest.raises(wirebird.UsageError):
                await client.get("http://example.org/", proxy="h:1")

    run(main)


TEXTS = st.one_of(st.text(max_size=40), st.text("htps:/[]@.1a%*,-\\ \t#?é", max_size=30))


@given(TEXTS, st.one_of(st.none(), TEXTS))
def test_any_text_is_a_proxy_or_a_usage_error(host, auth):
    for text in (host, f"http://{host}", f"socks5h://u:p@{host}", f"https://{host}@h"):
        try:
            proxy = wirebird.Proxy(text, auth)
        except wirebird.UsageError:
            continue
        assert proxy.host.isascii()
        assert 0 < proxy.port < 65536
        assert not set(proxy.url) & set("\r\n\t @\\")
        assert wirebird.Proxy(proxy.url) == wirebird.Proxy(proxy.url)


@given(st.lists(TEXTS, max_size=4))
def test_any_text_is_a_list_of_exceptions_or_a_usage_error(entries):
    try:
        proxies = EnvironmentProxies({"all_proxy": "h:1", "no_proxy": ",".join(entries)})
    except wirebird.UsageError as error:
        assert error.argument == "no_proxy"
        return
    for url in ("http://example.org/", "https://10.0.0.1:8443/", "http://[::1]/"):
        proxies.choose(destination(parse_url(url)))


ANSWER_BYTES = st.one_of(
    st.binary(max_size=30),
    st.lists(st.sampled_from([b"HTTP/1.1 ", b"200", b"100 x", b"407 No", b"\r\n", b"\r\n\r\n", b"X: y", b"x"]), max_size=9).map(
        b"".join
    ),
    st.lists(st.sampled_from([b"\x05", b"\x00", b"\x01", b"\x02", b"\x03", b"\x04", b"\xff", b"\x05\x00"]), max_size=30).map(
        b"".join
    ),
)


@given(ANSWER_BYTES, st.integers(1, 7), st.booleans())
def test_any_answer_means_the_same_however_it_is_cut(data, size, socks):
    def outcome(size: int) -> tuple[Any, ...]:
        handshake: Any = Socks5("example.org", 443, "u", "p") if socks else Connect("example.org:443")
        sent = [handshake.begin()]
        try:
            sent += [handshake.receive(data[at : at + size]) for at in range(0, len(data), size)]
        except wirebird.ProxyError as error:
            return "refused", error.status, handshake.code
        return handshake.done, handshake.rest, b"".join(sent)

    assert outcome(size) == outcome(len(data) or 1)


# -- CONNECT as bytes -----------------------------------------------------------------------------------------------------------


def test_connect_says_what_is_for_the_proxy_and_no_more():
    assert Connect("example.org:443", "Basic x").begin() == (
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n"
        b"User-Agent: wirebird/%b\r\nProxy-Authorization: Basic x\r\n\r\n" % wirebird.__version__.encode()
    )
    assert b"Proxy-Auth" not in Connect("[::1]:443").begin()


@pytest.mark.parametrize(
    ("authority", "value"), [("a\r\nX: y:443", None), ("a b:1", None), ("a\0:1", None), ("é:1", None), ("a:1", "Basic x\r\nX: y")]
)
def test_connect_injects_nothing(authority, value):
    """CVE-2026-1502."""
    with pytest.raises(wirebird.InvalidHeader):
        Connect(authority, value).begin()


GOOD_ANSWERS = [
    b"HTTP/1.1 200 Connection established\r\n\r\n",
    b"HTTP/1.1 200\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nProxy-Agent: x\r\n\r\n",
    b"HTTP/1.1 204 \xe9\r\nContent-Length: 10\r\n\r\n",  # RFC 9110 9.3.6: not heeded
    b"HTTP/1.1 299 x\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * 15 + b"HTTP/1.1 200 OK\r\n\r\n",
]


@pytest.mark.parametrize("answer", GOOD_ANSWERS)
def test_any_2xx_opens_the_tunnel(answer):
    for size in (1, 7, len(answer)):
        connect = Connect("a:1")
        connect.begin()
        for at in range(0, len(answer), size):
            assert not connect.done
            assert connect.receive(answer[at : at + size]) == b""
        assert connect.done
        assert connect.rest == b""
    connect = Connect("a:1")
    connect.receive(answer + b"more")
    assert connect.rest == b"more"


@pytest.mark.parametrize("status", [300, 301, 400, 403, 407, 429, 500, 502, 503, 599])
@pytest.mark.parametrize("body", [b"", b"Content-Length: 5\r\n\r\nno wa", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"])
def test_everything_else_refuses_it(status, body):
    answer = b"HTTP/1.1 %d %b\r\n%b" % (status, b"x" * 500, body or b"\r\n")
    for size in (1, len(answer)):
        with pytest.raises(wirebird.ProxyError) as caught:
            connect = Connect("a:1")
            for at in range(0, len(answer), size):
                connect.receive(answer[at : at + size])
        assert caught.value.status == status
        assert len(str(caught.value)) < 200
        assert ("Proxy(host, auth)" in str(caught.value)) == (status == 407)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 %b\r\n\r\n",
        b"HTTP/1.1 403 no %b\r\n\r\n",
        b"%b\r\n\r\n",
        b"%b",
        b"Proxy-Authorization: %b\r\n\r\n",
        b"HTTP/1.1 200 Open\r\n%b\r\n\r\n",
        b"HTTP/1.1 403 No\r\nContent-Length: %b\r\n\r\n",
    ],
)
def test_credentials_that_come_back_are_not_shown(answer):
    told = f"Basic {basic(AUTH).split()[1]}"
    connect = Connect("a:1", told)
    with pytest.raises(wirebird.ProxyError) as caught:
        connect.receive(answer % told.encode())
        connect.receive(b"x" * 100_000)
    assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, wirebird.LimitExceeded)
    assert told.split()[1][:8] not in f"{caught.value}{caught.value.__cause__}"


def test_a_reason_is_shown_on_one_line():
    with pytest.raises(wirebird.ProxyError) as caught:
        Connect("a:1").receive(b"HTTP/1.1 403 not \x9b31m you\r\n\r\n")
    assert str(caught.value) == r"the proxy refused the tunnel: 403 not \x9b31m you"


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage",
        b"\x05\x00",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 200 OK\n\n",
        b"HTTP/1.1 200 OK\r\nX\r\n\r\n",
        b"HTTP/1.1 403 No\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 100 x\r\n\r\n" * 17,
        b"HTTP/1.1 200 " + b"x" * 9000,
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000,
    ],
)
def test_what_is_no_answer_to_connect(answer):
    for size in (13, len(answer)):
        with pytest.raises(wirebird.ProxyError) as caught:
            connect = Connect("a:1")
            for at in range(0, len(answer), size):
                connect.receive(answer[at : at + size])
        assert caught.value.status is None


def test_the_limits_are_those_of_the_connector():
    with pytest.raises(wirebird.ProxyError, match="1xx"):
        Connect("a:1", limits=Limits(informational=1)).receive(b"HTTP/1.1 100 x\r\n\r\n" * 2)


# -- SOCKS5 as bytes ------------------------------------------------------------------------------------------------------------

NAME = b"\x05\x01\x00\x03\x0bexample.org\x01\xbb"


def converse(socks: Socks5, script: list[tuple[bytes, bytes]], size: int = 1000) -> None:
    """Each step: what the proxy says, and what is answered to that."""
    for said, expected in script:
        answer = b"".join(socks.receive(said[at : at + size]) for at in range(0, len(said), size))
        assert answer == expected


@pytest.mark.parametrize("size", [1, 2, 1000])
@pytest.mark.parametrize("bound", [b"\x01\0\0\0\0\0\0", b"\x04" + b"\1" * 18, b"\x03\x00\1\1", b"\x03\xff" + b"a" * 257])
def test_socks_without_credentials(size, bound):
    socks = Socks5("example.org", 443)
    assert socks.begin() == b"\x05\x01\x00"
    converse(socks, [(b"\x05\x00", NAME), (b"\x05\x00\x00" + bound, b"")], size)
    assert socks.done
    assert socks.rest == b""
    assert socks.receive(b"more") == b""
    assert socks.rest == b"more"


@pytest.mark.parametrize("size", [1, 1000])
def test_socks_with_credentials(size):
    socks = Socks5("example.org", 443, "usér", "p" * 255)
    assert socks.begin() == b"\x05\x02\x00\x02"
    answers = [(b"\x05\x02", b"\x01\x05us\xc3\xa9r\xff" + b"p" * 255), (b"\x01\x00", NAME), (b"\x05\0\0\x01" + b"\0" * 6, b"")]
    converse(socks, answers, size)
    assert socks.done


def test_socks_with_credentials_that_are_not_wanted():
    socks = Socks5("example.org", 443, "user", "word")
    socks.begin()
    converse(socks, [(b"\x05\x00", NAME)])


def test_socks_all_at_once():
    socks = Socks5("10.0.0.1", 80)
    socks.begin()
    assert socks.receive(b"\x05\x00\x05\0\0\x01\0\0\0\0\0\0rest") == b"\x05\x01\x00\x01\x0a\0\0\x01\0\x50"
    assert (socks.done, socks.rest) == (True, b"rest")


def test_socks_addresses_are_addresses():
    for host, expected in (
        ("2001:db8::1", b"\x04\x20\x01\x0d\xb8" + b"\0" * 11 + b"\x01"),
        ("fe80::1%eth0", b"\x04\xfe\x80" + b"\0" * 13 + b"\x01"),
        ("1.2.3.4", b"\x01\x01\x02\x03\x04"),
        ("1.2.3.4.", b"\x03\x081.2.3.4."),
    ):
        assert Socks5(host, 1).receive(b"\x05\x00") == b"\x05\x01\x00" + expected + b"\x00\x01"


@pytest.mark.parametrize("code", [*REFUSALS, 9, 255])
@pytest.mark.parametrize("rest", [b"", b"\0\x01\0\0\0\0\0\0", b"garbage"])
def test_socks_refusals(code, rest):
    socks = Socks5("example.org", 443)
    socks.receive(b"\x05\x00")
    with pytest.raises(wirebird.ProxyError) as caught:
        socks.receive(bytes([5, code]) + rest)
    assert caught.value.status is None
    assert socks.code == code
    assert f"({code})" in str(caught.value)


@pytest.mark.parametrize(
    ("auth", "script"),
    [
        ((), [b"\x05\xff"]),
        ((), [b"\x05\x02"]),
        (("u", "p"), [b"\x05\x01"]),
        (("u", "p"), [b"\x05\xff"]),
        ((), [b"HTTP/1.1 400 Bad Request\r\n\r\n"]),
        ((), [b"\x04\x5a"]),
        ((), [b"\x00"]),
        (("u", SECRET), [b"\x05\x02", b"\x01\x01"]),
        (("u", SECRET), [b"\x05\x02", b"\x05\x00"]),
        (("u", SECRET), [b"\x05\x02", b"\x05\x02\x00\x02\x01\x01u\x06s3cr3t"]),  # an echo
        ((), [b"\x05\x00", b"\x04\x00"]),
        ((), [b"\x05\x00", b"\x05\x00\x00\x02\x00"]),
        ((), [b"\x05\x00", b"\x05\x00\x00\x00\x00\x00"]),
    ],
)
def test_what_is_no_socks(auth, script):
    socks = Socks5("example.org", 443, *auth)
    with pytest.raises(wirebird.ProxyError) as caught:
        for data in script:
            socks.receive(data)
    assert SECRET not in str(caught.value)


# -- what is sent ---------------------------------------------------------------------------------------------------------------


@BOTH
def test_http_by_absolute_url(loop):
    async def main():
        async with Origin() as origin, HttpProxy(auth=AUTH) as proxy:
            names = Names()
            async with client_by(wirebird.Proxy(proxy.url, AUTH), names) as client:
                url = origin.url("/anything/é%2f?a=b c", host="localhost")
                for _ in range(4):  # the first goes the long way, the others take the short cut
                    assert (await client.get(url)).status_code == 200
                await client.get(origin.url("", host="localhost"))
                assert (await client.head(origin.url("/bytes/10", host="localhost"))).headers["content-length"] == "10"
                response = await client.post(origin.url("/post", host="localhost"), data=pattern(300_000))
                assert (await response.json())["data"] == pattern(300_000).decode()
                assert client.stats()["opened"] == proxy.connections == 1
        target = f"http://localhost:{origin.port}/anything/%C3%A9%2Fa?a=b+c".replace("%2Fa", "%2F")
        assert {head.target.decode() for head in proxy.asked[:4]} == {target}
        assert proxy.asked[4].target.decode() == f"http://localhost:{origin.port}/"
        assert all(credentials(head) == [basic(AUTH)] for head in proxy.asked)
        assert all(head.host.decode() == f"localhost:{origin.port}" for head in proxy.asked)
        assert not any("proxy-authorization" in asked.headers for asked in origin.asked)
        assert names.asked == []

    run(main, loop)


@BOTH
@pytest.mark.parametrize("secure", [False, True], ids=["http-proxy", "https-proxy"])
def test_https_through_a_tunnel(loop, secure):
    async def main():
        async with Origin(tls=server_context("localhost")) as origin:
            async with secure_proxy(auth=AUTH) if secure else HttpProxy(auth=AUTH) as proxy:
                by = wirebird.Proxy(proxy.url, AUTH, ssl=TRUSTING if secure else None)
                async with client_by(by, auth=("me", "mine"), headers={"Proxy-Authorization": "own", "X-Own": "y"}) as client:
                    for path in ("/echo", "/bytes/1000000", "/chunked/300000", "/eof/300000"):
                        response = await client.get(origin.url(path, host="localhost"))
                        if path == "/echo":
                            seen = await response.json()
                        else:
                            assert await response.content() == pattern(int(path.rpartition("/")[2]))
                    response = await client.post(origin.url("/post", host="localhost"), data=pattern(3_000_000))
                    assert (await response.json())["data"] == pattern(3_000_000).decode()
                    assert client.stats()["in_use"] == 0
                await proxy.until(lambda: not proxy.open)
            assert len(proxy.asked) == proxy.connections == 2  # one ended with its body
            for head in proxy.asked:
                assert head.target.decode() == f"localhost:{origin.port}"
                assert sorted(head.fields) == ["Host", "Proxy-Authorization", "User-Agent"]
                assert credentials(head) == [basic(AUTH)]
            assert seen["headers"]["authorization"] == basic("me:mine")
            assert seen["headers"]["x-own"] == "y"
            assert not any("proxy-authorization" in asked.headers for asked in origin.asked)

    run(main, loop)


@BOTH
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_socks(loop, secure):
    async def main():
        async with Origin(tls=server_context("localhost") if secure else None) as origin, SocksProxy(auth=AUTH) as proxy:
            names = Names(localhost=["127.0.0.1"])
            for by, host in (("socks5h", "localhost"), ("socks5", "localhost"), ("socks5h", "127.0.0.1")):
                url = proxy.url.replace("socks5h", by)
                async with client_by(wirebird.Proxy(url, AUTH), names, headers={"Proxy-Authorization": "own"}) as client:
                    if host == "127.0.0.1" and secure:
                        with pytest.raises(wirebird.TLSError) as caught:
                            await client.get(origin.url("/echo", host=host))
                        assert caught.value.peer == origin.address
                        continue
                    for _ in range(3):
                        seen = await (await client.get(origin.url("/echo", host=host))).json()
                        assert "proxy-authorization" not in seen["headers"]
                        assert seen["headers"]["host"] == f"{host}:{origin.port}"
                    response = await client.put(origin.url("/put", host=host), data=pattern(2_000_000))
                    assert len((await response.json())["data"]) == 2_000_000
                    assert client.stats()["opened"] == 1
                assert names.asked == ([] if by == "socks5h" and len(proxy.asked) == 1 else ["localhost"])
            assert [asked[:2] for asked in proxy.asked] == [("name", "localhost"), ("ipv4", "127.0.0.1"), ("ipv4", "127.0.0.1")]
            assert all(asked.target[0] == "/" for asked in origin.asked)

    run(main, loop)


def test_socks_tries_an_address_of_the_other_family():
    async def main():
        async with Origin() as origin, SocksProxy() as proxy:
            proxy.hosts = {"2001:db8::1": "no such host", "2001:db8::2": "no such host"}
            names = Names(two=["2001:db8::1", "2001:db8::2", "127.0.0.1"])
            async with client_by(proxy.url.replace("socks5h", "socks5"), names) as client:
                assert (await client.get(origin.url("/echo", host="two"))).ok
                names.known["none"] = ["2001:db8::1"]
                with pytest.raises(wirebird.ProxyError, match="refused"):
                    await client.get(origin.url("/echo", host="none"))
                with pytest.raises(wirebird.DNSError):
                    await client.get(origin.url("/echo", host="unknown"))
                assert client.stats()["in_use"] == 0
            assert [host for _, host, _ in proxy.asked] == ["2001:db8::1", "127.0.0.1", "2001:db8::1"]

    run(main)


def test_ipv6_targets():
    async def main():
        async with HttpProxy() as proxy, SocksProxy() as socks:
            proxy.hosts = socks.hosts = {"::1": "no such host"}
            async with client_by(None) as client:
                for by in (proxy.url, socks.url):
                    with pytest.raises(wirebird.ProxyError):
                        await client.get("https://[::1]:7/", proxy=by)
            assert proxy.asked[0].target == b"[::1]:7"
            assert proxy.asked[0].host == b"[::1]:7"
            assert socks.asked == [("ipv6", "::1", 7)]

    run(main)


# -- whose credentials, and where -----------------------------------------------------------------------------------------------


def test_a_field_of_the_callers_own():
    """It goes to a proxy that forwards, in place of the proxy's own credentials, and nowhere else."""

    async def main():
        own = {"Proxy-Authorization": "Bearer own"}
        async with Origin() as origin, HttpProxy() as proxy, SocksProxy() as socks:
            async with client_by(wirebird.Proxy(proxy.url, AUTH)) as client:
                url = origin.url("/echo", host="localhost")
                await client.get(url, headers=own)
                await client.get(url)
                await client.get(url, headers=own, proxy=proxy.url)
                await client.get(url, headers=own, proxy=socks.url)
                await client.get(origin.url("/echo"), headers=own, proxy=False)
            assert [credentials(head) for head in proxy.asked] == [["Bearer own"], [basic(AUTH)], ["Bearer own"]]
            assert len(origin.asked) == 5
            assert not any("proxy-authorization" in asked.headers for asked in origin.asked)

    run(main)


def test_a_host_field_that_the_proxy_would_replace():
    async def main():
        async with Origin() as origin, HttpProxy() as proxy:
            async with client_by(proxy.url) as client:
                with pytest.raises(wirebird.InvalidHeader):
                    await client.get(origin.url("/echo", host="localhost"), headers={"Host": "other.example"})
                assert proxy.connections == 0
                same = f"LOCALHOST:{origin.port}"
                assert (await client.get(origin.url("/echo", host="localhost"), headers={"Host": same})).ok

    run(main)


def test_a_proxy_for_one_call():
    async def main():
        async with Origin() as origin, HttpProxy(auth=AUTH) as one, HttpProxy() as other:
            async with client_by(wirebird.Proxy(one.url, AUTH)) as client:
                url = origin.url("/echo")
                for call in (client.get(url), client.request(url, "POST", proxy=None), client.get(url, proxy=other.url)):
                    assert (await call).ok
                assert (await client.get(url, proxy=False)).ok
                assert (await client.post(url, proxy=False)).ok
                assert (await client.get(url, proxy=one.url)).status_code == 407
                assert (await client.get(url)).ok
                assert (await client.delete(url, proxy=URL(other.url))).ok
            assert (len(one.asked), len(other.asked), len(origin.asked)) == (4, 2, 7)

    run(main)


def test_connections_are_kept_apart():
    """By proxy, credentials, origin and TLS (C49, C52)."""

    async def main():
        async with Origin(tls=server_context("localhost", "127.0.0.1")) as origin, HttpProxy() as proxy, HttpProxy() as other:
            async with client_by(None) as client:
                urls = [origin.url("/echo", host="localhost"), origin.url("/echo")]
                ways: list[Any] = [
                    proxy.url,
                    other.url,
                    wirebird.Proxy(proxy.url, "a:b"),
                    wirebird.Proxy(proxy.url, "a:c"),
                    wirebird.Proxy(proxy.url, "b:b"),
                    proxy.url.replace("127.0.0.1", "u:p@127.0.0.1"),
                ]
                for _ in range(2):
                    for way in ways:
                        for url in urls:
                            assert (await client.get(url, proxy=way)).ok
                    assert (await client.get(urls[1], proxy=False)).ok
                    assert (await client.get(urls[0], proxy=proxy.url, verify=False, ssl=None)).ok
                # An ssl of the connector stands for both verify=True and False; one of the call does not.
                again = ssl.create_default_context()
                AUTHORITY.configure_trust(again)
                assert (await client.get(urls[0], proxy=proxy.url, ssl=again)).ok
                assert client.stats()["opened"] == 2 * len(ways) + 2
            asked = [(head.target, *credentials(head)) for head in proxy.asked]
            assert len(asked) == len(set(asked)) + 1 == 11
            assert len(other.asked) == 2

    run(main)


def test_pool_keys_hold_no_credentials():
    async def main():
        asked = asyncio.Event()

        async def silent(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            await reader.read()

        async with HttpProxy(misbehave=silent) as proxy:
            connector = wirebird.TCPConnector(pool_size=1, timeouts=wirebird.Timeouts(pool_acquire=0.05))
            async with wirebird.HTTPClient(connector, proxy=wirebird.Proxy(proxy.url, AUTH)) as client:
                first = asyncio.create_task(client.get("http://localhost/"))
                await asked.wait()
                with pytest.raises(wirebird.PoolTimeout) as caught:
                    await client.post("http://localhost/")
                shown = str(caught.value) + repr(client.connector.pool.connections) + repr(client.connector._detours)
                assert proxy.url in shown
                assert SECRET not in shown
                assert basic(AUTH).split()[1] not in shown
                first.cancel()
                await asyncio.wait([first])

    run(main)


# -- redirects ------------------------------------------------------------------------------------------------------------------


def test_the_proxy_is_chosen_for_every_hop(monkeypatch):
    """http by one proxy with credentials, https by another with others, a third place directly (C5, C16, C22, C40, C68, W33)."""

    async def main():
        tls = server_context("localhost")
        async with Origin() as plain, Origin(tls=tls) as secure, Origin() as direct:
            async with HttpProxy(auth="one:first") as one, HttpProxy(auth="two:second") as two:
                for name in ("HTTPS_PROXY", "all_proxy", "ALL_PROXY", "NO_PROXY"):
                    monkeypatch.delenv(name, raising=False)
                monkeypatch.setenv("http_proxy", one.url.replace("://", "://one:first@"))
                monkeypatch.setenv("https_proxy", two.url.replace("://", "://two:second@"))
                monkeypatch.setenv("no_proxy", f"127.0.0.1:{direct.port}")
                secure.always(
                    "/on", b"HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: %b\r\n\r\n" % direct.url("/back").encode()
                )
                back = plain.url("/echo", host="localhost").encode()
                direct.always("/back", b"HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: %b\r\n\r\n" % back)
                connector = wirebird.TCPConnector(ssl=TRUSTING, resolver=Names())
                async with wirebird.HTTPClient(connector, trust_env=True, follow=True) as client:
                    response = await client.get(
                        plain.url("/status/302", host="localhost"),
                        params={"to": secure.url("/on", host="localhost")},
                        headers={"Authorization": "for the first", "Cookie": "a=b"},
                    )
                    assert response.ok
                    assert len(response.history) == 3
            assert [head.method for head in one.asked] == [b"GET", b"GET"]
            assert [credentials(head) for head in one.asked] == [[basic("one:first")]] * 2
            assert [(head.method, *credentials(head)) for head in two.asked] == [(b"CONNECT", basic("two:second"))]
            assert [asked.path for asked in plain.asked] == ["/status/302", "/echo"]
            assert plain.asked[0].headers["authorization"] == "for the first"
            for asked in (*plain.asked, *secure.asked, *direct.asked):
                assert "proxy-authorization" not in asked.headers
                if asked is not plain.asked[0]:
                    assert "authorization" not in asked.headers
                    assert "cookie" not in asked.headers

    run(main)


def test_a_proxy_of_the_call_is_for_all_its_hops():
    async def main():
        async with Origin() as origin, Origin() as other, HttpProxy(auth=AUTH) as proxy:
            async with client_by(None, follow=True) as client:
                url = origin.url("/status/302", host="localhost")
                own = {"Proxy-Authorization": basic(AUTH)}
                target = other.url("/echo", host="localhost")
                by = wirebird.Proxy(proxy.url, AUTH)
                assert (await client.get(url, params={"to": target}, proxy=by)).ok
                # A field of the caller's own is for the first origin, and is not taken along.
                response = await client.get(url, params={"to": target}, proxy=proxy.url, headers=own)
                assert response.status_code == 407
            assert [credentials(head) for head in proxy.asked] == [[basic(AUTH)]] * 3 + [[]]

    run(main)


# -- TLS with the proxy ---------------------------------------------------------------------------------------------------------


@BOTH
def test_the_certificate_of_a_proxy_is_verified_by_its_own_name(loop):
    """C32; and nothing that is said about origins changes it."""

    async def main():
        async with Origin(tls=server_context("localhost")) as secure, Origin() as plain:
            urls = [secure.url("/echo", host="localhost"), plain.url("/echo", host="localhost")]
            async with secure_proxy("localhost") as wrong, secure_proxy() as right:
                lax = ssl.create_default_context()
                lax.check_hostname = False
                lax.verify_mode = ssl.CERT_NONE
                strict = wirebird.Proxy(wrong.url, ssl=TRUSTING)
                for settings, keywords in (({}, {}), ({"verify_ssl": False}, {"verify": False}), ({}, {"ssl": lax})):
                    async with client_by(None, **settings) as client:
                        for url in urls:
                            for by in (strict, right.url):  # a wrong name; an authority that nobody said to trust
                                with pytest.raises(wirebird.TLSError) as caught:
                                    await client.get(url, proxy=by, **keywords)
                                assert caught.value.peer == (wrong if by is strict else right).address
                                assert "certificate" in str(caught.value)
                        assert client.stats()["in_use"] == 0
                async with client_by(wirebird.Proxy(wrong.url, ssl=lax)) as client:
                    for url in urls:
                        assert (await client.get(url)).ok
            assert right.asked == []
            assert len(wrong.asked) == 2

    run(main, loop)


@BOTH
def test_the_origin_is_verified_within_the_tunnel(loop):
    async def main():
        async with Origin(tls=server_context("other.example")) as origin:
            async with HttpProxy() as proxy, secure_proxy() as secure, SocksProxy() as socks:
                for by in (proxy.url, wirebird.Proxy(secure.url, ssl=TRUSTING), socks.url):
                    async with client_by(by) as client:
                        for _ in range(2):
                            with pytest.raises(wirebird.TLSError) as caught:
                                await client.get(origin.url("/echo", host="localhost"))
                            assert caught.value.peer == f"localhost:{origin.port}"
                        assert client.stats()["in_use"] == 0
                        lax = ssl.create_default_context()
                        lax.check_hostname = False
                        lax.verify_mode = ssl.CERT_NONE
                        assert (await client.get(origin.url("/echo", host="localhost"), ssl=lax)).ok
                for one in (proxy, secure, socks):
                    await one.until(lambda one=one: not one.open)
            assert len(origin.asked) == 3

    run(main, loop)


def test_connect_to_is_about_the_proxy():
    async def main():
        async with Origin() as origin, HttpProxy() as proxy:
            connector = wirebird.TCPConnector(connect_to={"proxy.example:3128": proxy.address}, resolver=Names())
            async with wirebird.HTTPClient(connector, proxy="proxy.example:3128") as client:
                assert (await client.get(origin.url("/echo"))).ok
            assert len(proxy.asked) == 1

    run(main)
