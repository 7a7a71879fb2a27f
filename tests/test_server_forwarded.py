"""What is believed of `Forwarded` and `X-Forwarded-*`, and what never is (S37)."""

from __future__ import annotations

from typing import Any

import pytest

from server_wire import App, Hub, run, settle
from wirebird.errors import InvalidRequest, UsageError
from wirebird.protocol.http1_heads import parse_request_head
from wirebird.server.forwarded import Seen, TrustedProxies
from wirebird.server.settings import Settings

PROXY = "10.0.0.1:4711"
LOCAL = TrustedProxies(["10.0.0.0/8", "fd00::/8"])
RFC = TrustedProxies(["10.0.0.0/8", "fd00::/8"], fields="forwarded")


def look(trusted: TrustedProxies, peer: str, *fields: str) -> Seen | None:
    lines = "".join(f"{field}\r\n" for field in fields)
    return trusted.look(peer, parse_request_head(f"GET / HTTP/1.1\r\nHost: inner\r\n{lines}\r\n".encode("latin-1")))


XFF = "X-Forwarded-For: "


@pytest.mark.parametrize(
    ("peer", "fields", "client"),
    [
        (PROXY, [XFF + "192.0.2.7"], "192.0.2.7"),
        (PROXY, [XFF + "1.1.1.1, 192.0.2.7"], "192.0.2.7"),  # S37: what the client invented stands on the left
        (PROXY, [XFF + "1.1.1.1", XFF + "192.0.2.7"], "192.0.2.7"),  # two lines are one list, in order
        (PROXY, [XFF + "192.0.2.7, 10.0.0.2, 10.0.0.3"], "192.0.2.7"),
        (PROXY, [XFF + "10.0.0.9, 192.0.2.7, 10.0.0.2"], "192.0.2.7"),
        (PROXY, [XFF + "10.0.0.3, 10.0.0.2"], "10.0.0.3"),  # the request is of a proxy's own
        (PROXY, [XFF + "127.0.0.1, 192.0.2.7"], "192.0.2.7"),
        (PROXY, [XFF + "<script>, 192.0.2.7"], "192.0.2.7"),  # not even looked at
        (PROXY, [XFF + "192.0.2.7:1234"], "192.0.2.7:1234"),
        (PROXY, [XFF + "2001:db8::1"], "2001:db8::1"),
        (PROXY, [XFF + "[2001:db8::1]:1234"], "[2001:db8::1]:1234"),
        (PROXY, [XFF + "unknown"], "unknown"),
        (PROXY, [XFF + "192.0.2.7, unknown"], "unknown"),
        ("[fd00::1]:80", [XFF + "192.0.2.7, fd00::2"], "192.0.2.7"),
        ("[::ffff:10.0.0.1]:80", [XFF + "192.0.2.7"], "192.0.2.7"),
        (PROXY, [], None),
        ("192.0.2.99:80", [XFF + "127.0.0.1"], None),  # anybody can send it
        ("192.0.2.99:80", ["X-Forwarded-Proto: https", "X-Forwarded-Host: admin"], None),
        ("unix", [XFF + "127.0.0.1"], None),
    ],
)
def test_x_forwarded_for(peer: str, fields: list[str], client: str | None) -> None:
    seen = look(LOCAL, peer, *fields)
    assert (seen and seen.peer) == client


@pytest.mark.parametrize(
    ("fields", "scheme", "host"),
    [
        (["X-Forwarded-Proto: https"], "https", ""),
        (["X-Forwarded-Proto: HTTPS", "X-Forwarded-Host: example.org"], "https", "example.org"),
        (["X-Forwarded-Proto: wss"], "https", ""),
        (["X-Forwarded-Host: example.org", "X-Forwarded-Port: 8443"], "", "example.org:8443"),
        (["X-Forwarded-Host: example.org:1", "X-Forwarded-Port: 8443"], "", "example.org:1"),
        (["X-Forwarded-Port: 8443"], "", ""),
        # One proxy, which has added to what the client sent: the client's is the left one.
        ([XFF + "1.1.1.1, 192.0.2.7", "X-Forwarded-Proto: https, http", "X-Forwarded-Host: evil, good"], "http", "good"),
        # Two proxies: the outer one says what the client asked for.
        ([XFF + "192.0.2.7, 10.0.0.2", "X-Forwarded-Proto: https, http"], "https", ""),
        ([XFF + "1.1.1.1, 192.0.2.7, 10.0.0.2", "X-Forwarded-Proto: http, https, http"], "https", ""),
        # Two proxies, of which one says it.
        ([XFF + "192.0.2.7, 10.0.0.2", "X-Forwarded-Proto: https"], "https", ""),
    ],
)
def test_x_forwarded_scheme_and_host(fields: list[str], scheme: str, host: str) -> None:
    seen = look(LOCAL, PROXY, *fields)
    assert seen is not None and (seen.scheme, seen.host) == (scheme, host)


@pytest.mark.parametrize(
    ("fields", "seen"),
    [
        (["Forwarded: for=192.0.2.7"], Seen("192.0.2.7", "", "")),
        (['Forwarded: For="[2001:db8:cafe::17]:4711"'], Seen("[2001:db8:cafe::17]:4711", "", "")),
        (["Forwarded: for=192.0.2.60;proto=http;by=203.0.113.43"], Seen("192.0.2.60", "http", "")),
        (["Forwarded: for=1.1.1.1, for=192.0.2.7;proto=https;host=example.org"], Seen("192.0.2.7", "https", "example.org")),
        (["Forwarded: for=1.1.1.1", "Forwarded: for=192.0.2.7"], Seen("192.0.2.7", "", "")),
        (["Forwarded: for=192.0.2.7;proto=https, for=10.0.0.2;proto=http;host=inner"], Seen("192.0.2.7", "https", "")),
        (["Forwarded: for=_hidden;proto=https"], Seen("_hidden", "https", "")),
        (["Forwarded: for=unknown"], Seen("unknown", "", "")),
        (["Forwarded: proto=https"], Seen("unknown", "https", "")),
        (["Forwarded: for = x, for=192.0.2.7"], None),
        (['Forwarded: for="_gazonk"'], Seen("_gazonk", "", "")),
        (['Forwarded: for="192.0.2.7";host="ex\\ample.org:80" , ,'], Seen("192.0.2.7", "", "example.org:80")),
        (['Forwarded: secret="a,b;c=\\"d", for=192.0.2.7'], Seen("192.0.2.7", "", "")),
        # A quote that the client has opened must not swallow what the proxy adds, nor be ignored.
        (['Forwarded: for=", for=192.0.2.7'], None),
        (['Forwarded: for="', "Forwarded: for=192.0.2.7"], Seen("192.0.2.7", "", "")),
        (["Forwarded: for=10.0.0.2;for=192.0.2.7"], None),
        (["Forwarded: for=2001:db8::1"], None),
        (['Forwarded: for="2001:db8::1"'], None),
        (["Forwarded: for=example.org"], None),
        (["Forwarded: for=192.0.2.7;proto=gopher"], None),
        (['Forwarded: for=192.0.2.7;host="a/b"'], None),
        (["Forwarded: for=192.0.2.999"], None),
    ],
)
def test_forwarded(fields: list[str], seen: Seen | None) -> None:
    if seen is None:
        with pytest.raises(InvalidRequest):
            look(RFC, PROXY, *fields)
        assert look(RFC, "192.0.2.99:80", *fields) is None  # and from anybody else it is not even read
    else:
        assert look(RFC, PROXY, *fields) == seen


@pytest.mark.parametrize(
    "field",
    [
        XFF + "not an address",
        XFF + "192.0.2.999",
        XFF + "192.0.2.7 evil",
        XFF + "\xb2.0.0.1",
        XFF + "",
        XFF + "192.0.2.7,",
        "X-Forwarded-Proto: javascript",
        "X-Forwarded-Host: a/b",
        "X-Forwarded-Host: a b",
        "X-Forwarded-Host: a@b",
        "X-Forwarded-Port: 99999",
        "X-Forwarded-Port: \xb2",
    ],
)
def test_what_should_be_believed_and_cannot_be_read(field: str) -> None:
    with pytest.raises(InvalidRequest):
        look(LOCAL, PROXY, field)


def test_one_kind_of_field_is_heeded_and_never_both() -> None:
    assert look(LOCAL, PROXY, "Forwarded: for=127.0.0.1") is None
    assert look(RFC, PROXY, XFF + "127.0.0.1", "X-Forwarded-Proto: https") is None


def test_hops() -> None:
    one, two = TrustedProxies(hops=1), TrustedProxies(hops=2)
    chain = XFF + "1.1.1.1, 192.0.2.7, 198.51.100.2"
    assert look(one, "203.0.113.9:1", chain).peer == "198.51.100.2"  # type: ignore[union-attr]
    assert look(two, "203.0.113.9:1", chain).peer == "192.0.2.7"  # type: ignore[union-attr]
    assert look(TrustedProxies(hops=9), "unix", chain).peer == "1.1.1.1"  # type: ignore[union-attr]
    both = TrustedProxies(["10.0.0.0/8"], hops=1)
    assert look(both, PROXY, XFF + "192.0.2.7, 10.0.0.2").peer == "10.0.0.2"  # type: ignore[union-attr]
    assert look(both, "192.0.2.1:1", XFF + "192.0.2.7") is None
    assert look(TrustedProxies(["unix"]), "unix", XFF + "192.0.2.7").peer == "192.0.2.7"  # type: ignore[union-attr]


def test_what_the_application_sees() -> None:
    async def main() -> None:
        found: list[Any] = []

        async def look_at(exchange: Any) -> None:
            found.append((exchange.remote, exchange.client, exchange.scheme, str(exchange.where.url), exchange.authority))
            exchange.respond(200, b"HTTP/1.1 200 OK\r\n", b"")

        fields = b"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: example.org\r\n"
        data = b"GET /x?y=z HTTP/1.1\r\nHost: inner\r\n" + fields + b"\r\n"
        for settings in (Settings(), Settings(proxies=LOCAL)):
            hub = Hub(App({"/x?y=z": look_at}), settings)
            wire = hub.connect(("10.0.0.1", 4711))
            wire.feed(data)
            await settle()
            wire.feed(data.replace(b"192.0.2.7", b"nonsense"))
            await settle()
            assert wire.statuses == ([200, 400] if settings.proxies else [200, 200])
            wire.leave()
            await settle()
            hub.watch.stop()
        assert found[0] == found[1] == ("10.0.0.1", ("10.0.0.1", 4711), "http", "http://inner/x?y=z", "inner")
        assert found[2:] == [("192.0.2.7", ("192.0.2.7", 0), "https", "https://example.org/x?y=z", "example.org")]

    run(main)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({}, "networks"),
        ({"networks": ["nonsense"]}, "networks"),
        ({"networks": "10.0.0.0/8"}, "networks"),
        ({"networks": [None]}, "networks"),
        ({"hops": 0}, "hops"),
        ({"hops": True}, "hops"),
        ({"hops": 1, "fields": "both"}, "fields"),
    ],
)
def test_mistakes(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError) as caught:
        TrustedProxies(**arguments)
    assert caught.value.argument == named
