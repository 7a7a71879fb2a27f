"""Trailer fields (RFC 9110 6.5), both ways."""

from __future__ import annotations

import hashlib

import pytest

from raw_peer import OK, Peer, check_settled, chunked, run
from wirebird import HTTPClient, InvalidHeader, InvalidResponse, LimitExceeded, Upload, UsageError
from wirebird.models.headers import decode_fields
from wirebird.models.message import RequestHead
from wirebird.protocol.http1_events import End
from wirebird.protocol.http1_parser import Parser


async def _given(*pieces):
    for piece in pieces:
        yield piece


def sent(data, **keywords):
    """The head, body and trailers of a PUT, as our own parser reads them; and the bytes."""
    raw = []

    async def main():
        async def script(link):
            parser, events = Parser(server=True), []
            while not events or not isinstance(events[-1], End):
                received = await link.reader.read(65536)
                raw.append(received)
                if not received:
                    return
                events += parser.receive(received, len(received))
            await link.send(OK)
            result.append(events)

        async with Peer(script) as peer, HTTPClient() as client:
            response = await client.put(peer.url("/"), data=data, **keywords)
            assert await response.content() == b"fine"
            check_settled(client)

    result = []
    run(main)
    head, *pieces, end = result[0]
    assert isinstance(head, RequestHead)
    return head, b"".join(pieces), decode_fields(end.trailers), b"".join(raw)


# -- behind a request ------------------------------------------------------------------------------------------------------


def test_fields_behind_the_body():
    """Their values are made when the body has ended, their names are announced before, and the body is chunked."""
    digest = hashlib.sha256()

    async def body():
        for number in range(10):
            piece = b"%d" % number * 1000
            digest.update(piece)
            yield piece

    head, data, trailers, raw = sent(Upload(body(), trailers={"X-Digest": lambda: digest.hexdigest(), "X-Fixed": "é"}))
    assert head.fields.get_list("trailer") == ["X-Digest, X-Fixed"]
    assert head.fields["transfer-encoding"] == "chunked"
    assert len(data) == 10_000
    assert dict(trailers) == {"X-Digest": hashlib.sha256(data).hexdigest(), "X-Fixed": "é"}
    assert raw.endswith(f"\r\n0\r\nX-Digest: {digest.hexdigest()}\r\nX-Fixed: é\r\n\r\n".encode())


@pytest.mark.parametrize("data", [b"", b"body", "text", {"a": "b"}])
def test_fields_behind_a_body_of_known_length(data):
    head, body, trailers, _ = sent(Upload(data, trailers={"X-A": "b"}))
    assert "content-length" not in head.fields
    assert body in (b"", b"body", b"text", b"a=b")
    assert dict(trailers) == {"X-A": "b"}


def test_one_function_for_all_of_them():
    head, _, trailers, _ = sent(Upload(b"x", trailers=lambda: {"X-A": "b", "X-C": "d"}), headers={"Trailer": "X-A, X-C"})
    assert head.fields.get_list("trailer") == ["X-A, X-C"]
    assert dict(trailers) == {"X-A": "b", "X-C": "d"}
    head, _, trailers, raw = sent(Upload(b"x", trailers=dict))
    assert "trailer" not in head.fields
    assert raw.endswith(b"0\r\n\r\n")


def test_what_the_caller_announces_is_not_announced_again():
    head, *_ = sent(Upload(b"x", trailers={"X-A": "b", "X-C": "d"}), headers={"Trailer": "x-a"})
    assert head.fields.get_list("trailer") == ["x-a", "X-C"]


FORBIDDEN = """
    Content-Length Transfer-Encoding Host Authorization Proxy-Authorization Cookie Set-Cookie Content-Encoding Content-Type
    Content-Range Trailer TE Connection Expect Cache-Control Max-Forwards cOnTeNt-LeNgTh
"""


@pytest.mark.parametrize("name", FORBIDDEN.split())
def test_fields_that_have_no_place_there(name):
    with pytest.raises(InvalidHeader, match=name) as info:
        Upload(b"x", trailers={"X-A": "b", name: "1"})
    assert info.value.argument == "trailers"


@pytest.mark.parametrize(
    ("name", "value"), [("a b", "c"), ("", "c"), ("a", "b\r\nc: d"), ("a", "\0"), ("a", 7), ("a:b", "c"), ("a\n", "b")]
)
def test_nothing_is_smuggled_behind_the_body(name, value):
    with pytest.raises(InvalidHeader):
        Upload(b"x", trailers={name: value})
    _fails(Upload(b"x", trailers={"X-A": lambda: value} if name == "a" else lambda: {name: value}), InvalidHeader)


def test_a_function_that_fails():
    def fail():
        raise ZeroDivisionError

    _fails(Upload(_given(b"x"), trailers={"X-A": fail}), ZeroDivisionError)
    _fails(Upload(_given(b"x"), trailers=lambda: {"Host": "evil"}), InvalidHeader)


def _fails(data, error):
    """The error is the caller's, and the peer does not see a body that looks complete."""
    seen = []

    async def main():
        async def script(link):
            await link.request_head()
            seen.append(await link.gone())

        async with Peer(script) as peer, HTTPClient() as client:
            with pytest.raises(error):
                await client.put(peer.url("/"), data=data)
            check_settled(client)
            assert client.stats()["open"] == 0

    run(main)
    assert b"\r\n0\r\n" not in seen[0]


def test_a_length_of_the_callers_own():
    async def main():
        async with Peer(None) as peer, HTTPClient() as client:
            with pytest.raises(UsageError) as info:
                await client.put(peer.url("/"), data=Upload(b"x", trailers={"X-A": "b"}), headers={"Content-Length": "1"})
            assert info.value.argument == "trailers"
            assert peer.accepted == 0

    run(main)


def test_a_length_that_a_middleware_adds():
    async def adds(request, handler):
        request.headers["Content-Length"] = "1"
        return await handler(request)

    async def main():
        async def script(link):
            await link.request_head()
            await link.gone()

        async with Peer(script) as peer, HTTPClient(middlewares=[adds]) as client:
            with pytest.raises(UsageError) as info:
                await client.put(peer.url("/"), data=Upload(b"x", trailers={"X-A": "b"}))
            assert info.value.argument == "trailers"
            check_settled(client)

    run(main)


# -- behind a response -----------------------------------------------------------------------------------------------------


def answered(wire, main, **settings):
    async def framed():
        async def script(link):
            while await link.request():
                await link.send(wire)

        async with Peer(script) as peer, HTTPClient(**settings) as client:
            await main(client, peer.url("/"))
            check_settled(client)

    run(framed)


def with_trailers(fields, body=b"x" * 200_000):
    return chunked(*[body] * bool(body), fields=b"Trailer: X-A\r\n")[:-2] + fields + b"\r\n"


@pytest.mark.parametrize("size", [0, 1, 200_000])
def test_fields_behind_a_response(size):
    async def main(client, url):
        async with client.get(url) as response:
            assert not response.trailers or size < 2  # it is here as a whole
            await response.read(10)
            assert not response.trailers or size < 2
            async for _ in response.iter_bytes():
                pass
            assert dict(response.trailers) == {"X-A": "b", "X-C": "dé"}
            assert response.trailers["x-a"] == "b"
            assert "x-a" not in response.headers
        response = await client.get(url)
        await response.content()
        assert response.trailers.get_list("x-c") == ["dé"]
        assert client.stats()["idle"] == 1

    answered(with_trailers("X-A: b\r\nX-C: dé\r\n".encode(), b"x" * size), main)


def test_fields_that_may_not_stand_behind_a_response_are_dropped():
    async def main(client, url):
        response = await client.get(url)
        await response.content()
        assert dict(response.trailers) == {"X-A": "b"}

    forbidden = "".join(f"{name}: 1\r\n" for name in FORBIDDEN.split()).encode()
    answered(with_trailers(forbidden + b"X-A: b\r\n"), main)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        (b"a b: c\r\n", InvalidResponse),
        (b"a: b\n", InvalidResponse),
        (b" a: b\r\n", InvalidResponse),
        (b"".join(b"a%d: b\r\n" % n for n in range(200)), LimitExceeded),
        (b"a: " + b"b" * 70_000 + b"\r\n", LimitExceeded),
    ],
)
def test_bad_trailers(fields, error):
    async def main(client, url):
        response = await client.get(url)
        with pytest.raises(error):
            await response.content()
        assert not response.trailers

    answered(with_trailers(fields), main)
