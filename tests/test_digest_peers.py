"""Digest with servers that others made, and another client as a judge.

Apache httpd knows MD5 and `auth` (its mod_auth_digest refuses `AuthDigestQop auth-int`), lighttpd SHA-256 and userhash, httpbin
`auth-int`.  aiohttp's client computes what ours computes.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from yarl import URL

import wirebird
from digest_guard import read_answer
from httpd import REALM, apache, httpbin, lighttpd
from origin import run
from proxies import HttpProxy
from raw_peer import check_settled
from test_auth import counts, refusal, request_for

BOTH = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


@pytest.fixture(scope="module")
def httpd() -> Iterator[str]:
    with apache() as base:
        yield base


@pytest.fixture(scope="module")
def bin_url() -> Iterator[str]:
    with httpbin() as base:
        yield base


class Log:
    """A network middleware that keeps what went out and what came back."""

    def __init__(self) -> None:
        self.exchanges: list[tuple[wirebird.Request, int]] = []

    async def __call__(self, request: Any, handler: Any) -> Any:
        response = await handler(request)
        self.exchanges.append((request, response.status_code))
        return response

    def take(self) -> list[int]:
        """The statuses since the last time."""
        found = [status for _, status in self.exchanges]
        self.exchanges.clear()
        return found


# -- Apache httpd -------------------------------------------------------------------------------------------------------------


@BOTH
def test_apache(httpd, loop):
    async def main():
        log = Log()
        auth = wirebird.DigestAuth("user", "secret")
        async with wirebird.HTTPClient(auth=auth, base_url=httpd, network_middlewares=[log]) as client:
            for path in ("/digest/page", "/digest/page?a=b%20c&d", "/digest/page"):
                response = await client.get(path)
                assert (response.status_code, await response.content()) == (200, b"digest")
                assert response.headers["server"].startswith("Apache")
                assert "rspauth" in response.headers["authentication-info"]  # which was right, or there would be an error
            sent = [request for request, status in log.exchanges if status == 200]
            assert [counts(request)[1] for request in sent] == ["00000001", "00000002", "00000003"]
            assert {read_answer(request.headers["authorization"])["realm"] for request in sent} == {REALM}
            assert log.take() == [401, 200, 200, 200]

            assert (await client.head("/digest/page")).status_code == 200
            assert (await client.get("/digest/missing")).status_code == 404
            assert (await client.options("/digest/")).status_code == 200
            assert log.take() == [200, 404, 200]
            assert (client.stats()["opened"], client.stats()["in_use"]) == (1, 0)

            # A nonce that the server does not know (any more): it says stale=true.
            [space] = auth._spaces.values()
            space.nonce = ("y" if space.nonce[0] == "x" else "x") + space.nonce[1:]
            assert (await client.get("/digest/page")).status_code == 200
            assert log.take() == [401, 200]

    run(main, loop)


@BOTH
def test_apache_bodies(httpd, loop, tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"from a file" * 20_000)

    async def pieces():
        yield b"from "
        yield b"a generator"

    async def main():
        log = Log()
        async with wirebird.HTTPClient(base_url=httpd, network_middlewares=[log]) as client:
            for data, content in (
                (lambda: b"bytes", b"bytes"),
                (lambda: path.open("rb"), path.read_bytes()),
                (pieces, b"from a generator"),
            ):
                auth = wirebird.DigestAuth("user", "secret")
                response = await client.put("/digest/new", data=data(), auth=auth)
                if data is pieces:
                    assert (response.status_code, log.take()) == (401, [401])
                    response = await client.put("/digest/new", data=data(), auth=auth)
                    assert log.take() == [response.status_code]
                    # With the expectation, the 401 comes before the body.
                    fresh = wirebird.DigestAuth("user", "secret")
                    expecting = {"Expect": "100-continue"}
                    assert (await client.put("/digest/new", data=data(), auth=fresh, headers=expecting)).ok
                assert response.ok
                assert await (await client.get("/digest/new", auth=auth)).content() == content
                assert (await client.delete("/digest/new", auth=auth)).ok
                log.take()
            check_settled(client)

    run(main, loop)


def test_apache_gives_the_next_nonce(httpd):
    """With a short life of a nonce it sends nextnonce, and counts begin anew."""

    async def main():
        log = Log()
        auth = wirebird.DigestAuth("user", "secret")
        async with wirebird.HTTPClient(auth=auth, base_url=httpd, network_middlewares=[log]) as client:
            nonces = []
            for _ in range(4):
                response = await client.get("/once/page")
                assert (response.status_code, await response.content()) == (200, b"once")
                nonces.append(counts(log.exchanges[-1][0]))
                assert "nextnonce" in response.headers["authentication-info"]
            assert log.take()[:2] == [401, 200]
            assert {count for _, count in nonces} == {"00000001"}
            assert len({nonce for nonce, _ in nonces}) == 4

    run(main)


def test_apache_refuses(httpd):
    async def main():
        log = Log()
        async with wirebird.HTTPClient(base_url=httpd, network_middlewares=[log]) as client:
            for auth, statuses in (
                (wirebird.DigestAuth("user", "wrong"), [401, 401]),
                (wirebird.DigestAuth("nobody", "secret"), [401, 401]),
                (wirebird.BasicAuth("user", "secret"), [401]),
                (False, [401]),
            ):
                for _ in range(2):
                    response = await client.get("/digest/page", auth=auth)
                    assert (response.status_code, log.take()) == (401, statuses)
                    assert b"Unauthorized" in await response.content()
            assert (await client.get("/basic/page", auth=("user", "secret"))).status_code == 200
            assert (await client.get("/basic/page", auth=("user", "wrong"))).status_code == 401
            assert log.take() == [200, 401]
            # Digest credentials never become a Basic password.
            response = await client.get("/basic/page", auth=wirebird.DigestAuth("user", "secret"))
            assert (response.status_code, log.take()) == (401, [401])
            assert client.stats()["opened"] == 1

    run(main)


def test_apache_behind_a_proxy(httpd):
    """A proxy that forwards is asked for the whole URL; the origin sees what is left, and that is the uri (RFC 7616 3.4)."""

    async def main():
        log = Log()
        paths = ("/digest/page", "/digest/page?a=b%20c&d")
        auth = wirebird.DigestAuth("user", "secret")
        async with HttpProxy(auth="wire:b1rd") as proxy:
            settings: dict[str, Any] = {"auth": auth, "base_url": httpd, "network_middlewares": [log]}
            async with wirebird.HTTPClient(proxy=wirebird.Proxy(proxy.url, "wire:b1rd"), **settings) as client:
                for path in paths:
                    response = await client.get(path)
                    assert (response.status_code, await response.content()) == (200, b"digest")
                    assert read_answer(log.exchanges[-1][0].headers["authorization"])["uri"] == path
                assert log.take() == [401, 200, 200]
            assert {head.target.decode() for head in proxy.asked} == {f"{httpd}{path}" for path in paths}

    run(main)


# -- lighttpd -----------------------------------------------------------------------------------------------------------------


def test_lighttpd():
    with lighttpd() as base:

        async def main():
            log = Log()
            async with wirebird.HTTPClient(network_middlewares=[log], base_url=base) as client:
                for place, name in (("hashed", None), ("both", "user")):
                    auth = wirebird.DigestAuth("user", "secret")
                    for path in ("page", "page?q=1", "page"):
                        response = await client.get(f"/{place}/{path}", auth=auth)
                        assert (response.status_code, await response.text()) == (200, place)
                    given = read_answer(log.exchanges[-1][0].headers["authorization"])
                    assert (given["algorithm"], given["nc"]) == ("SHA-256", "00000003")  # the stronger of two
                    assert (given["username"] == name) == (name is not None)
                    assert log.take() == [401, 200, 200, 200]
                    response = await client.get(f"/{place}/page", auth=wirebird.DigestAuth("user", "wrong"))
                    assert (response.status_code, log.take()) == (401, [401, 401])

        run(main)


# -- httpbin ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", ["auth", "auth-int"])
@pytest.mark.parametrize("offered", ["auth", "auth-int", "both"])
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_httpbin(bin_url, algorithm, offered, wanted):
    async def main():
        log = Log()
        auth = wirebird.DigestAuth("user", "secret", qop=wanted)
        async with wirebird.HTTPClient(auth=auth, network_middlewares=[log]) as client:
            for data in (None, b"a body", "text", {"a": "b"}):
                url = f"{bin_url}/digest-auth/{offered}/user/secret/{algorithm}"
                # It forgets what a form holds before it hashes it, so the form is of a kind that it does not know.
                response = await client.get(url, data=data, headers={"Content-Type": "text/x"})
                assert response.status_code == 200
                assert await response.json() == {"authenticated": True, "user": "user"}
            used = {read_answer(request.headers["authorization"])["qop"] for request, status in log.exchanges if status == 200}
            assert used == {wanted if offered == "both" else offered}
            assert log.take() == [401, 200, 200, 200, 200]
            response = await client.get(f"{bin_url}/digest-auth/{offered}/user/other/{algorithm}")
            assert (response.status_code, log.take()) == (401, [401, 401])

    run(main)


def test_httpbin_sees_a_body_that_was_changed(bin_url):
    """So its auth-int is one: what is sent differs from what was hashed."""

    async def main():
        async def meddle(request, handler):
            if request.body and "authorization" in request.headers:
                request = request.copy()
                request.body = b"another body"
            return await handler(request)

        async with wirebird.HTTPClient(network_middlewares=[meddle]) as client:
            for qop, status in (("auth", 200), ("auth-int", 401)):
                auth = wirebird.DigestAuth("user", "secret")
                response = await client.get(f"{bin_url}/digest-auth/{qop}/user/secret", data=b"a body", auth=auth)
                assert response.status_code == status

    run(main)


def test_httpbin_with_nonces_that_grow_old(bin_url):
    async def main():
        log = Log()
        auth = wirebird.DigestAuth("user", "secret")
        async with wirebird.HTTPClient(auth=auth, handle_cookies=True, network_middlewares=[log]) as client:
            for _ in range(6):
                assert (await client.get(f"{bin_url}/digest-auth/auth/user/secret/MD5/2")).status_code == 200
            statuses = log.take()
            assert statuses.count(200) == 6
            assert statuses.count(401) > 1
            response = await client.get(f"{bin_url}/digest-auth/auth/user/secret/MD5/0")  # stale at once, for ever
            assert response.status_code == 401
            assert len(log.take()) <= 3

    run(main)


# -- aiohttp's client, as a judge ---------------------------------------------------------------------------------------------

QOPS = (', qop="auth"', ', qop="auth-int"', ', qop="auth-int,auth"')


@pytest.mark.parametrize(
    ("algorithm", "qop"),  # -sess without qop is left out: aiohttp tells the server no cnonce then, so nobody can check it
    [
        *((algorithm, "") for algorithm in ("MD5", "SHA-256")),
        *((algorithm, qop) for algorithm in ("MD5", "MD5-SESS", "SHA-256", "SHA-256-SESS") for qop in QOPS),
    ],
)
def test_the_same_as_aiohttp(algorithm, qop, monkeypatch):
    """For what both know, the same parameters from the same cnonce."""
    challenge = f'Digest realm="a realm", nonce="abc=", algorithm={algorithm}{qop}, opaque="o/p"'
    url = "http://a.test/x%20y?q=1&r=%C3%BC"

    async def theirs() -> dict[str, str]:
        middleware = aiohttp.DigestAuthMiddleware("Mufasa", "Circle of Life")
        response: Any = SimpleNamespace(status=401, headers={"www-authenticate": challenge}, url=URL(url))
        assert middleware._authenticate(response)
        return read_answer(await middleware._encode("POST", URL(url), b"the body"))

    expected = run(theirs)
    cnonce = expected.get("cnonce", "")
    monkeypatch.setattr("wirebird.client.digest_auth.token_hex", lambda size: cnonce)
    auth = wirebird.DigestAuth("Mufasa", "Circle of Life", qop=expected.get("qop", "auth"))  # it prefers auth-int
    flow = auth.flow(request_for(url, "POST", b"the body"))
    next(flow)
    step = flow.send(refusal(challenge))
    if isinstance(step, wirebird.ReadBody):
        assert step.into is not None
        step.into(b"the body")
        step = next(flow)
    assert read_answer(step.headers["authorization"]) == expected
