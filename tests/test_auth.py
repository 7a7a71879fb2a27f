"""Credentials: what flows say, what goes on the wire, and where it never goes (C12, C19, C24, C28, C60, C64, C66; T5)."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

import wirebird
from digest_guard import Guard, read_answer
from origin import Origin, run
from raw_peer import Peer, answer, check_settled
from wirebird.client.auth import FunctionAuth, read_auth
from wirebird.client.options import Options
from wirebird.models.headers import HttpHeaders
from wirebird.models.message import Request
from wirebird.models.url import basic_value, check_host, destination, hide_userinfo, parse_url

BOTH = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


def request_for(url: str, method: str = "GET", body: Any = None, **fields: str) -> Request:
    return Request(method, HttpHeaders(fields), body, destination(parse_url(url)), Options(wirebird.Timeouts()), 1e9)


def drive(auth: Any, request: Request, *responses: wirebird.HttpResponse) -> list[Any]:
    """What the flow yields when it is sent these responses: a client without a loop."""
    flow = auth.flow(request)
    yielded = [next(flow)]
    for response in responses:
        response._source = yielded[-1]
        try:
            yielded.append(flow.send(response))
        except StopIteration:
            yielded.append(None)
    return yielded


def fine(information: str | None = None) -> wirebird.HttpResponse:
    return wirebird.HttpResponse.make(200, {"Authentication-Info": information} if information is not None else None)


def refusal(*challenges: str, status: int = 401) -> wirebird.HttpResponse:
    return wirebird.HttpResponse.make(status, [("WWW-Authenticate", value) for value in challenges])


CHALLENGE = 'Digest realm="r", nonce="n1", qop="auth", algorithm=SHA-256'


# -- flows, without a loop --------------------------------------------------------------------------------------------------


def test_basic_and_bearer():
    request = request_for("http://a.test/", authorization="old")
    [sent] = drive(wirebird.BasicAuth("Aladdin", "open sesame"), request)
    assert sent.headers.get_list("authorization") == ["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]
    assert request.headers.get_list("authorization") == ["old"]  # a flow works on copies
    [sent] = drive(wirebird.BasicAuth("jörg", "pä:ss"), request)
    assert sent.headers["authorization"] == "Basic asO2cmc6cMOkOnNz"
    [sent] = drive(wirebird.BearerAuth("abc.def"), request)
    assert sent.headers["authorization"] == "Bearer abc.def"
    for auth in (wirebird.BasicAuth("me", "hidden"), wirebird.BearerAuth("hidden"), wirebird.DigestAuth("me", "hidden")):
        assert isinstance(auth, wirebird.Auth)
        assert "hidden" not in repr(auth)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: wirebird.BasicAuth("a:b", "secret"), "user"),
        (lambda: wirebird.BasicAuth("a\nb", "secret"), "user"),
        (lambda: wirebird.BasicAuth("a", "secret\0"), "password"),
        (lambda: wirebird.BasicAuth("a", "secret\ud800"), "password"),
        (lambda: wirebird.BasicAuth("a", None), "password"),  # type: ignore[arg-type]
        (lambda: wirebird.BearerAuth("secret one"), "token"),
        (lambda: wirebird.BearerAuth(""), "token"),
        (lambda: wirebird.BearerAuth("secret\r\nX: y"), "token"),
        (lambda: wirebird.DigestAuth("a:b", "secret"), "user"),
        (lambda: wirebird.DigestAuth("a", "secret\r"), "password"),
        (lambda: wirebird.DigestAuth("a", "\udfff secret"), "password"),
        (lambda: wirebird.DigestAuth("a", "b", qop="auth-conf"), "qop"),
    ],
)
def test_what_cannot_be_credentials(make, argument):
    with pytest.raises(wirebird.UsageError) as caught:
        make()
    assert caught.value.argument == argument
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None  # what reports errors may look there, too


class Callable:
    async def __call__(self, request):
        return request


async def coroutine_function(request):
    return request


@pytest.mark.parametrize(
    "auth",
    ["user:secret", ("a", "secret", "b"), 7, wirebird.DigestAuth, wirebird.BasicAuth, coroutine_function, Callable(), True],
)
def test_what_is_no_auth(auth):
    for call in (lambda: read_auth(auth), lambda: wirebird.HTTPClient(auth=auth)):
        with pytest.raises(wirebird.UsageError) as caught:
            call()
        assert caught.value.argument == "auth"
        assert "secret" not in str(caught.value)


def test_functions():
    def sign(request):
        request.headers["X-Signed"] = request.method

    request = request_for("http://a.test/")
    [sent] = drive(FunctionAuth(sign), request)
    assert sent.headers["x-signed"] == "GET"
    assert "x-signed" not in request.headers
    other = request_for("http://a.test/other")
    assert drive(FunctionAuth(lambda request: other), request) == [other]
    for wrong in (lambda request: "text", coroutine_function):
        auth = FunctionAuth(lambda request, wrong=wrong: wrong(request))  # a coroutine function in disguise
        with pytest.raises(wirebird.UsageError, match="must give a Request or None"):
            drive(auth, request)


# -- Digest, without a loop ---------------------------------------------------------------------------------------------------


def counts(sent: Request) -> tuple[str, str]:
    given = read_answer(sent.headers["authorization"])
    return given["nonce"], given["nc"]


def test_digest_asks_first_and_then_remembers():
    auth = wirebird.DigestAuth("user", "secret")
    request = request_for("http://a.test/x?y=z")
    first, second, end = drive(auth, request, refusal(CHALLENGE), fine())
    assert "authorization" not in first.headers
    assert counts(second) == ("n1", "00000001")
    assert read_answer(second.headers["authorization"])["uri"] == "/x?y=z"
    assert end is None
    assert "authorization" not in request.headers
    for number in (2, 3):
        sent, end = drive(auth, request, fine())
        assert counts(sent) == ("n1", f"{number:08x}")
    cnonces = {read_answer(drive(auth, request)[0].headers["authorization"])["cnonce"] for _ in range(10)}
    assert len(cnonces) == 10


def test_wrong_credentials_end_after_one_answer():
    auth = wirebird.DigestAuth("user", "wrong")
    for _ in range(2):  # nothing is remembered of it
        first, second, end = drive(
            auth, request_for("http://a.test/"), refusal(CHALLENGE), refusal(CHALLENGE.replace("n1", "n2"))
        )
        assert "authorization" not in first.headers
        assert counts(second) == ("n1", "00000001")
        assert end is None


def test_stale_is_answered_once_more_and_no_more():
    auth = wirebird.DigestAuth("user", "secret")
    stale = [refusal(CHALLENGE.replace("n1", f"n{number}") + ", stale=true") for number in range(2, 9)]
    sent = drive(auth, request_for("http://a.test/"), refusal(CHALLENGE), *stale[:2])
    assert [counts(one) for one in sent[1:3]] == [("n1", "00000001"), ("n2", "00000001")]
    assert sent[3] is None


def test_an_old_nonce_that_was_forgotten():
    """Not every server says stale=true; an answer to the new nonce shows whether it was that."""
    auth = wirebird.DigestAuth("user", "secret")
    request = request_for("http://a.test/")
    drive(auth, request, refusal(CHALLENGE), fine())
    new = CHALLENGE.replace("n1", "n2")
    sent = drive(auth, request, refusal(new), fine())
    assert [counts(one) for one in sent[:2]] == [("n1", "00000002"), ("n2", "00000001")]
    sent = drive(auth, request, refusal(new.replace("n2", "n3")), refusal(new.replace("n2", "n4")))
    assert sent[2] is None
    drive(auth, request, refusal(CHALLENGE), fine())
    sent, end = drive(auth, request, refusal(CHALLENGE))  # the same nonce: then it is the password
    assert end is None
    assert "authorization" not in drive(auth, request)[0].headers


@pytest.mark.parametrize(
    ("status", "challenge"),
    [
        (401, 'Basic realm="r"'),
        (401, ""),
        (401, "Negotiate"),
        (401, "Digest"),
        (401, 'Digest realm="r"'),
        (401, CHALLENGE.replace("SHA-256", "SHA-1")),
        (407, CHALLENGE),
        (403, CHALLENGE),
        (200, CHALLENGE),
    ],
)
@pytest.mark.parametrize("field", ["WWW-Authenticate", "Proxy-Authenticate"])
def test_what_digest_does_not_answer(status, challenge, field):
    """Never Basic, and never a proxy: these credentials are the origin's."""
    auth = wirebird.DigestAuth("user", "secret")
    status = 401 if field == "Proxy-Authenticate" else status
    first, end = drive(auth, request_for("http://a.test/"), wirebird.HttpResponse.make(status, {field: challenge}))
    assert "authorization" not in first.headers
    assert end is None


def test_the_first_request_of_digest_carries_nothing_else():
    sent = drive(
        wirebird.DigestAuth("user", "secret"), request_for("http://a.test/", Authorization="Basic x"), refusal(CHALLENGE)
    )
    assert "authorization" not in sent[0].headers
    assert sent[1].headers.get_list("authorization")[0].startswith("Digest ")


def test_nonces_belong_to_an_origin():
    auth = wirebird.DigestAuth("user", "secret")
    drive(auth, request_for("http://a.test/"), refusal(CHALLENGE), fine())
    for url in ("https://a.test/", "http://a.test:8080/", "http://b.test/", "http://www.a.test/"):
        assert "authorization" not in drive(auth, request_for(url))[0].headers
    assert counts(drive(auth, request_for("http://A.test:80/other"))[0]) == ("n1", "00000002")


def test_domain_is_honoured_within_the_origin():
    auth = wirebird.DigestAuth("user", "secret")

    def learn(url, realm, domain):
        drive(auth, request_for(url), refusal(f'Digest realm="{realm}", nonce="{realm}", qop=auth, domain="{domain}"'), fine())

    def realm_of(url):
        value = drive(auth, request_for(url))[0].headers.get("authorization")
        return value and read_answer(value)["realm"]

    learn("http://a.test/one/x", "one", "/one http://b.test/ http://[bad https://a.test/two")
    assert realm_of("http://a.test/one/y") == "one"
    assert realm_of("http://a.test/two") is None
    assert realm_of("http://b.test/") is None
    learn("http://a.test/", "all", "")
    assert realm_of("http://a.test/one/y") == "one"
    assert realm_of("http://a.test/") == "all"
    learn("http://a.test/one/deep/x", "deep", "http://a.test/one/deep/ /three")
    assert [realm_of(f"http://a.test{path}") for path in ("/one/deep/er", "/three?q", "/one", "/z")] == [
        "deep",
        "deep",
        "one",
        "all",
    ]
    learn("http://c.test/", "elsewhere", "http://d.test/")
    assert realm_of("http://d.test/") is None
    assert realm_of("http://c.test/") == "elsewhere"


def test_what_is_remembered_is_bounded():
    auth = wirebird.DigestAuth("user", "secret")
    for number in range(500):
        challenge = f'Digest realm="{number}", nonce="n", qop=auth, domain="{" /x" * 1000}"'
        drive(auth, request_for("http://a.test/x"), refusal(challenge), fine())
    assert len(auth._spaces) <= 64
    assert all(len(space.uris) <= 20 for space in auth._spaces.values())


def test_nextnonce_takes_the_place_of_the_nonce():
    auth = wirebird.DigestAuth("user", "secret")
    request = request_for("http://a.test/")
    info = fine('nextnonce="next", nc=00000001')
    drive(auth, request, refusal(CHALLENGE), info)
    assert counts(drive(auth, request)[0]) == ("next", "00000001")
    assert counts(drive(auth, request)[0]) == ("next", "00000002")
    for broken in ('nextnonce="', "nextnonce=a, nextnonce=b", 'nextnonce=""', "\xa0" * 60000):
        drive(auth, request, fine(broken))
    assert counts(drive(auth, request)[0]) == ("next", "00000007")


def test_a_late_nextnonce_does_not_undo_a_newer_challenge():
    auth = wirebird.DigestAuth("user", "secret")
    request = request_for("http://a.test/")
    drive(auth, request, refusal(CHALLENGE), fine())
    slow = auth.flow(request)
    sent = next(slow)
    drive(auth, request, refusal(CHALLENGE.replace("n1", "n2") + ", stale=true"), fine())
    late = wirebird.HttpResponse.make(200, {"Authentication-Info": 'nextnonce="late"'}, request=sent)
    with pytest.raises(StopIteration):
        slow.send(late)
    assert counts(drive(auth, request)[0]) == ("n2", "00000002")


def test_session_keys_keep_their_cnonce():
    auth = wirebird.DigestAuth("user", "secret")
    request = request_for("http://a.test/")
    drive(auth, request, refusal(CHALLENGE.replace("SHA-256", "SHA-256-sess")), fine())
    given = [read_answer(drive(auth, request)[0].headers["authorization"]) for _ in range(3)]
    assert len({one["cnonce"] for one in given}) == 1
    assert [one["nc"] for one in given] == ["00000002", "00000003", "00000004"]


@pytest.mark.parametrize(("offer", "wanted", "chosen"), [
    ("auth", "auth", "auth"),
    ("auth, auth-int", "auth", "auth"),
    ("auth-int, auth", "auth", "auth"),
    ("auth-int", "auth", "auth-int"),
    ("auth, auth-int", "auth-int", "auth-int"),
    ("auth", "auth-int", "auth"),
])  # fmt: skip
def test_which_qop(offer, wanted, chosen):
    auth = wirebird.DigestAuth("user", "secret", qop=wanted)
    request = request_for("http://a.test/", "POST", b"data")
    flow = auth.flow(request)
    next(flow)
    step = flow.send(refusal(CHALLENGE.replace('"auth"', f'"{offer}"')))
    if isinstance(step, wirebird.ReadBody):
        assert (step.message.body, step.into is not None) == (b"data", True)
        step.into(b"data")
        step = next(flow)
    assert read_answer(step.headers["authorization"])["qop"] == chosen


def test_a_wrong_rspauth_is_an_error():
    auth = wirebird.DigestAuth("user", "secret")
    request = request_for("http://a.test/")
    for wrong in ("0" * 64, "", "ü"):
        info = fine(f'rspauth="{wrong}"')
        with pytest.raises(wirebird.InvalidResponse, match="rspauth"):
            drive(auth, request, *([refusal(CHALLENGE)] if not auth._spaces else []), info)


# -- Digest on the wire -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loop", "qop"), [("asyncio", None), ("uvloop", "auth"), ("asyncio", "auth-int"), ("uvloop", "auth, auth-int")]
)
@pytest.mark.parametrize("algorithm", [None, "MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256", "SHA-512-256-sess"])
def test_digest_over_the_wire(loop, algorithm, qop, tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"from a file")

    async def main():
        guard = Guard(algorithm, qop)
        auth = wirebird.DigestAuth("user", "secret")
        async with Origin() as origin, wirebird.HTTPClient(auth=auth) as client:
            origin.on("/secret", guard.handle)
            url = origin.url("/secret?a=b%20c")
            assert (await client.get(url)).status_code == 200
            assert (await client.get(url, params={"q": "ü &"})).status_code == 200
            form = wirebird.MultipartForm()
            form.add_file("f", path)
            for data in (b"body", io.BytesIO(b"body" * 50_000), {"a": "b"}, form, path.open("rb")):
                response = await client.post(url, data=data)
                assert (response.status_code, await response.content()) == (200, origin.asked[-1].body)
                assert origin.asked[-1].body
            assert (guard.refused, guard.faults, origin.faults) == (1, [], [])
            assert [int(one["nc"], 16) for one in guard.accepted if "nc" in one] == (list(range(1, 8)) if qop else [])
            assert origin.connections == 1
            assert (await client.get(url, auth=wirebird.DigestAuth("user", "wrong"))).status_code == 401
            assert guard.refused == 3
            check_settled(client)

    run(main, loop)


@BOTH
def test_many_at_once_never_share_a_count(loop):
    async def main():
        guard = Guard("SHA-256", once=False)
        auth = wirebird.DigestAuth("user", "secret")
        connector = wirebird.TCPConnector(pool_size=20)
        async with Origin() as origin, wirebird.HTTPClient(connector, auth=auth) as client:
            origin.on("/secret", guard.handle)
            for _ in range(2):
                responses = await asyncio.gather(*(client.get(origin.url("/secret")) for _ in range(40)))
                assert {response.status_code for response in responses} == {200}
            assert guard.faults == []
            uses = [(one["nonce"], one["nc"]) for one in guard.accepted]
            assert len(set(uses)) == 80
            assert guard.refused <= 40

    run(main, loop)


@pytest.mark.parametrize("known", [False, True])
def test_a_retry_has_a_count_and_a_signature_of_its_own(known):
    """RFC 7616 3.4: nc counts the requests that were sent, and a server may take the same one twice for a replay."""

    async def main():
        guard = Guard("SHA-256")
        auth = wirebird.DigestAuth("user", "secret")
        signed = []
        failures = [0]

        async def handle(asked, wire):
            before = len(guard.accepted)
            if failures[0] and asked.headers.get("authorization"):
                assert guard.fault(asked, read_answer(asked.headers["authorization"])) is None
                failures[0] -= 1
                await wire.respond(503, [], b"later")
                return
            await guard.handle(asked, wire)
            assert len(guard.accepted) - before <= 1

        retries = wirebird.Retry(2, backoff=0)
        async with Origin() as origin, wirebird.HTTPClient(retries=retries) as client:
            origin.on("/secret", handle)
            if known:
                assert (await client.get(origin.url("/secret"), auth=auth)).status_code == 200
            failures[0] = 2
            response = await client.get(origin.url("/secret"), auth=auth)
            assert response.status_code == 200
            assert (guard.faults, guard.refused) == ([], 1)
            assert guard.accepted[-1]["nc"] == ("00000004" if known else "00000003")

            def sign(request):
                signed.append(len(signed))
                request.headers["X-Signature"] = str(signed[-1])

            response = await client.get(origin.url("/status/503"), auth=sign)
            assert (response.status_code, signed) == (503, [0, 1, 2])
            assert [asked.headers["x-signature"] for asked in origin.asked[-3:]] == ["0", "1", "2"]

    run(main)


@pytest.mark.parametrize("tell", [True, False])
@pytest.mark.parametrize("nextnonce", [True, False])
def test_nonces_for_one_use(tell, nextnonce):
    async def main():
        guard = Guard(once=True, tell=tell, nextnonce=nextnonce)
        auth = wirebird.DigestAuth("user", "secret")
        async with Origin() as origin, wirebird.HTTPClient(auth=auth) as client:
            origin.on("/secret", guard.handle)
            for _ in range(6):
                assert (await client.get(origin.url("/secret"))).status_code == 200
            assert guard.refused == (1 if nextnonce else 6)
            results = await asyncio.gather(*(client.get(origin.url("/secret")) for _ in range(12)))
            assert {response.status_code for response in results} <= {200, 401}
            assert guard.faults == []
            if not nextnonce:
                assert {response.status_code for response in results} == {200}

    run(main)


@BOTH
def test_two_realms_and_a_choice_of_schemes(loop):
    async def main():
        one = Guard("SHA-256", realm="one", before='Basic realm="one", ', more=', Digest realm="one", nonce="md5", qop="auth"')
        two = Guard("MD5", realm="two, and more", user="jörg", more=", charset=UTF-8, userhash=true")
        three = Guard("SHA-512-256", realm="three", user="us er", more=", charset=UTF-8")
        async with Origin() as origin, wirebird.HTTPClient() as client:
            for path, guard in (("/one", one), ("/two", two), ("/three", three)):
                origin.on(path, guard.handle)
                auth = wirebird.DigestAuth(guard.user, "secret")
                for _ in range(3):
                    response = await client.get(origin.url(path), auth=auth)
                    assert response.status_code == 200, guard.faults
                assert (guard.refused, guard.faults) == (1, [])
            assert {one["algorithm"] for one in one.accepted} == {"SHA-256"}
            auth = wirebird.DigestAuth("user", "secret")
            four = Guard(realm="four")
            origin.on("/four", four.handle)
            for _ in range(3):
                for path in ("/one", "/four"):
                    assert (await client.get(origin.url(path), auth=auth)).status_code == 200

    run(main, loop)


@pytest.mark.parametrize("kind", ["right", "wrong"])
def test_rspauth_over_the_wire(kind):
    async def main():
        guard = Guard(rspauth=None if kind == "right" else "0" * 32)
        async with Origin() as origin, wirebird.HTTPClient(auth=wirebird.DigestAuth("user", "secret")) as client:
            origin.on("/secret", guard.handle)
            if kind == "right":
                assert (await client.get(origin.url("/secret"))).status_code == 200
            else:
                with pytest.raises(wirebird.InvalidResponse) as caught:
                    await client.get(origin.url("/secret"))
                assert (caught.value.peer, caught.value.phase) == (origin.address, "authenticating")
            check_settled(client)

    run(main)


# -- bodies that can be read once ---------------------------------------------------------------------------------------------


class Once:
    """An async iterator that says how often it was begun."""

    def __init__(self) -> None:
        self.begun = 0

    async def __aiter__(self):
        self.begun += 1
        for _ in range(3):
            yield b"piece"


@BOTH
def test_a_body_that_was_read_is_not_sent_again_and_not_as_nothing(loop):
    async def main():
        guard = Guard()
        async with Origin() as origin, wirebird.HTTPClient(auth=wirebird.DigestAuth("user", "secret")) as client:
            origin.on("/secret", guard.handle)
            body = Once()
            response = await client.post(origin.url("/secret"), data=body)
            assert (response.status_code, await response.content()) == (401, b"who are you?")
            assert (len(origin.asked), body.begun) == (1, 1)
            # But what it said is remembered, so that the next one is sent once, and accepted.
            response = await client.post(origin.url("/secret"), data=Once())
            assert (response.status_code, await response.content()) == (200, b"piece" * 3)
            assert guard.faults == []
            check_settled(client)

    run(main, loop)


@BOTH
@pytest.mark.parametrize("kind", ["once", "bytes"])
def test_a_body_waits_until_it_is_wanted(loop, kind):
    """With Expect: 100-continue the 401 comes before the body, which then is not wasted."""

    async def main():
        guard = Guard()

        async def early(asked, wire):
            if "authorization" not in asked.headers:
                await wire.respond(401, [("WWW-Authenticate", guard.challenge()), ("Connection", "close")])
                wire.close()
                return
            await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = b""
            if kind == "once":
                while size := int(await wire.reader.readline(), 16):
                    body += await wire.reader.readexactly(size)
                    await wire.reader.readline()
            else:
                body = await wire.reader.readexactly(200_000)
            assert read_answer(asked.headers["authorization"])["nc"] == "00000001"
            await wire.respond(200, [("Connection", "close")], body)
            wire.close()

        async with Origin() as origin, wirebird.HTTPClient(auth=wirebird.DigestAuth("user", "secret")) as client:
            origin.on("/up", early, early=True)
            body = Once() if kind == "once" else b"x" * 200_000
            response = await client.post(origin.url("/up"), data=body, headers={"Expect": "100-continue"})
            assert response.status_code == 200
            assert await response.content() == (b"piece" * 3 if kind == "once" else body)
            assert len(origin.asked) == 2
            if isinstance(body, Once):
                assert body.begun == 1
            check_settled(client)

    run(main, loop)


def test_auth_int_needs_a_body_that_can_be_read_twice():
    async def main():
        guard = Guard(qop="auth-int")
        auth = wirebird.DigestAuth("user", "secret")
        async with Origin() as origin, wirebird.HTTPClient(auth=auth) as client:
            origin.on("/secret", guard.handle)
            for _ in range(2):  # asked for by the server, and known beforehand
                body = Once()
                with pytest.raises(wirebird.BodyConsumed, match="qop=auth-int") as caught:
                    await client.post(origin.url("/secret"), data=body)
                assert (caught.value.argument, caught.value.peer) == ("data", origin.address)
            assert body.begun == 0
            assert len(origin.asked) == 1
            assert (await client.post(origin.url("/secret"), data=io.BytesIO(b"twice"))).status_code == 200
            check_settled(client)

    run(main)


def test_a_body_that_hangs_while_it_is_hashed():
    class Body:
        replays = 0

        def size(self):
            return 5

        async def pieces(self):
            self.replays += 1
            yield b"12"
            if self.replays > 1:
                await asyncio.Event().wait()
            yield b"345"

        def replayable(self):
            return True

        async def close(self):
            pass

    async def main():
        async def give_body(request, handler):
            request.body = Body()
            return await handler(request)

        guard = Guard(qop="auth-int")
        timeouts = wirebird.Timeouts(request_timeout=0.3)
        auth = wirebird.DigestAuth("user", "secret")
        async with Origin() as origin, wirebird.HTTPClient(auth=auth, timeouts=timeouts, middlewares=[give_body]) as client:
            origin.on("/secret", guard.handle)
            with pytest.raises(wirebird.RequestTimeout) as caught:
                await client.post(origin.url("/secret"))
            assert (caught.value.phase, caught.value.limit) == ("authenticating", 0.3)
            check_settled(client)

    run(main)


# -- whose credentials count --------------------------------------------------------------------------------------------------


def seen(origin: Origin) -> list[list[str]]:
    return [asked.headers.get_list("authorization") for asked in origin.asked]


def test_the_nearer_credentials_count(tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login from password netrc")
    basic = "Basic Y2FsbDpjYWxs"

    async def main():
        async with Origin() as origin:
            url, with_user = origin.url("/echo"), f"http://url:pw@{origin.address}/echo"
            for auth in (("client", "c"), wirebird.BearerAuth("client"), wirebird.NetrcAuth(netrc)):
                async with wirebird.HTTPClient(auth=auth) as client:
                    for given, wanted in (
                        ({"headers": {"AUTHORIZATION": "mine"}}, ["mine"]),
                        ({"headers": {"authorization": "mine"}, "url": with_user}, ["mine"]),
                        ({"url": with_user}, ["Basic dXJsOnB3"]),
                        ({"auth": ("call", "call")}, [basic]),
                        ({"auth": ("call", "call"), "headers": {"Authorization": "mine"}}, [basic]),
                        ({"auth": ("call", "call"), "url": with_user}, [basic]),
                        ({"auth": False}, []),
                        ({"auth": False, "url": with_user}, []),
                        ({"auth": False, "headers": {"Authorization": "mine"}}, []),
                    ):
                        await client.get(**{"url": url, **given})
                        assert seen(origin)[-1] == wanted, given
            async with wirebird.HTTPClient(headers={"Authorization": "default"}) as client:
                for given, wanted in (({}, ["default"]), ({"auth": False}, []), ({"auth": ("call", "call")}, [basic])):
                    await client.get(url, **given)
                    assert seen(origin)[-1] == wanted
            async with wirebird.HTTPClient(auth=False) as client:
                await client.get(url)
                assert seen(origin)[-1] == []

    run(main)


def test_credentials_of_the_client_belong_to_its_base_url():
    """C64: a password for one server is not sent to every other."""

    async def main():
        async with Origin() as a, Origin() as b:
            for auth in (("u", "p"), wirebird.BearerAuth("t")):
                async with wirebird.HTTPClient(auth=auth, base_url=a.url("/x/")) as client:
                    await client.get("/echo")
                    assert len(seen(a)[-1]) == 1
                    for elsewhere in (b.url("/echo"), a.url("/echo", host="localhost")):
                        await client.get(elsewhere)
                        assert (a if "localhost" in elsewhere else b).asked[-1].headers.get_list("authorization") == []

    run(main)


# -- redirects ----------------------------------------------------------------------------------------------------------------

KINDS = ["basic", "bearer", "digest", "netrc", "function", "userinfo", "header", "HEADER", "two"]


def credentials(kind: str, origin: Origin, tmp_path: Any) -> tuple[str, dict[str, Any]]:
    """The base URL and the keywords of a call with credentials of one kind."""
    base = f"http://{origin.address}"
    if kind == "netrc":
        path = tmp_path / "netrc"
        path.write_text("default login u password p")
    given: dict[str, Any] = {
        "basic": lambda: {"auth": ("u", "p")},
        "bearer": lambda: {"auth": wirebird.BearerAuth("t")},
        "digest": lambda: {"auth": wirebird.DigestAuth("user", "secret")},
        "netrc": lambda: {"auth": wirebird.NetrcAuth(tmp_path / "netrc")},
        "function": lambda: {"auth": lambda request: request.headers.add("Authorization", "mine")},
        "userinfo": dict,
        "header": lambda: {"headers": {"authorization": "mine"}},
        "HEADER": lambda: {"headers": {"AUTHORIZATION": "mine"}},
        "two": lambda: {"headers": [("Authorization", "one"), ("AUTHORIZATION", "two")]},
    }[kind]()
    return (base.replace("//", "//u:p@") if kind == "userinfo" else base), given


@pytest.mark.parametrize("of", ["call", "client"])
@pytest.mark.parametrize("kind", KINDS)
def test_credentials_never_cross_origins(kind, of, tmp_path):
    """a → b → a: they go to a first, then to nobody (C12, C19, C28, C66); a challenge of b is not answered."""
    heads: dict[str, list[str]] = {"a": [], "b": []}

    async def main():
        guard = Guard()

        async def at_a(link):
            while path := await link.request():
                heads["a"].append(link.head.decode())
                if path == "/back":
                    await link.send(answer(b"home"))
                elif kind == "digest" and b"uthorization:" not in link.head:
                    await link.send(answer(b"", b"WWW-Authenticate: " + guard.challenge().encode(), status=b"401 x"))
                else:
                    await link.send(answer(b"", b"Location: " + to["b"].encode(), status=b"302 x"))

        async def at_b(link):
            while path := await link.request():
                heads["b"].append(link.head.decode())
                if path == "/ask":
                    challenges = f"WWW-Authenticate: {guard.challenge()}".encode(), b'WWW-Authenticate: Basic realm="r"'
                    await link.send(answer(b"who?", *challenges, status=b"401 x"))
                else:
                    await link.send(answer(b"", b"Location: " + to["a"].encode(), status=b"307 x"))

        async with Peer(at_a) as a, Peer(at_b) as b:
            a.address = a.name  # type: ignore[attr-defined]
            base, given = credentials(kind, a, tmp_path)  # type: ignore[arg-type]
            settings, keywords = (given, {}) if of == "client" else ({}, given)
            for target, status, count in ((b.url("/on"), 200, 1), (b.url("/ask"), 401, 1)):
                to = {"a": a.url("/back"), "b": target}
                for log in heads.values():
                    log.clear()
                async with wirebird.HTTPClient(follow=True, **settings) as client:
                    response = await client.get(f"{base}/start", **keywords)
                    assert response.status_code == status
                    check_settled(client)
                sent = [head.lower().count("\r\nauthorization:") for head in heads["a"]]
                if target.endswith("/on"):
                    assert sent[-1] == 0
                    sent.pop()
                assert sent[-1] == (2 if kind == "two" else 1)
                assert [head.lower().count("\r\nauthorization:") for head in heads["b"]] == [0] * count

    run(main)


@pytest.mark.parametrize("kind", ["basic", "digest", "netrc", "function", "userinfo", "header"])
def test_credentials_stay_within_the_origin(kind, tmp_path):
    async def main():
        guard = Guard()
        async with Origin() as origin, wirebird.HTTPClient(follow=True) as client:
            origin.on("/secret", guard.handle)
            base, given = credentials(kind, origin, tmp_path)
            response = await client.get(f"{base}/chain/2", **given)
            assert response.status_code == 200
            if kind != "digest":
                assert all(len(values) == 1 for values in seen(origin))
            response = await client.get(f"{base}/status/302?to=/secret", **given)
            assert response.status_code == (200 if kind == "digest" else 401)
            assert len(seen(origin)[-1]) == 1

    run(main)


def test_userinfo_of_a_location_takes_the_place_of_the_calls_credentials():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(follow=True) as client:
            for auth in (("u", "p"), wirebird.BearerAuth("t"), wirebird.DigestAuth("u", "p")):
                to = f"http://new:one@{origin.address}/chain/1"
                response = await client.get(origin.url("/status/302"), params={"to": to}, auth=auth)
                assert seen(origin)[-2:] == [["Basic bmV3Om9uZQ=="]] * 2
                assert "one" not in str(response.url) + repr(response.request)

    run(main)


# -- userinfo -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("userinfo", "pair"),
    [
        ("u:p", "u:p"),
        ("u", "u:"),
        ("u:", "u:"),
        (":p", ":p"),
        ("u%40r:p%3A%2F%20%25", "u@r:p:/ %"),
        ("j%C3%B6rg:ö", "jörg:ö"),
    ],
)
def test_userinfo(userinfo, pair):
    where = destination(parse_url(f"http://{userinfo}@a.test/x"))
    assert where.credentials == basic_value(*pair.split(":", 1))
    assert str(where.url) == "http://a.test/x"
    assert destination(parse_url("http://a.test/x")).credentials == destination(parse_url("http://@a.test/x")).credentials == ""


@pytest.mark.parametrize("userinfo", ["a%3Ab:sesame", "a%0Ab:sesame", "a:sesame%00", "a:sesame%7F"])
def test_userinfo_that_cannot_be_basic(userinfo):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(follow=True) as client:
            with pytest.raises(wirebird.InvalidURL) as caught:
                await client.get(f"http://{userinfo}@{origin.address}/")
            assert "sesame" not in str(caught.value)
            location = f"http://{userinfo}@{origin.address}/"
            origin.always("/to", f"HTTP/1.1 302 x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())
            with pytest.raises(wirebird.InvalidResponse) as answered:
                await client.get(origin.url("/to"))
            assert "sesame" not in str(answered.value)

    run(main)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:sesame@host:99999/",
        "http://user:se/sesame@host/",
        "http://user:se?sesame@host/",
        "http://user:se#sesame@host/x@y",
        "http://user:sesame@\u2100.test/",
        "user:sesame@host/",
        "http:user:sesame@host/",
        "http://a@b:sesame@host:x/",
        "http://user:sesame@ho st/",
        "http://user:sesame@[::1/",
        "ftp://host/?token=sesame",
        "http:///?a=b&api_key=sesame",
    ],
)
def test_no_password_in_messages(url):
    with pytest.raises(wirebird.InvalidURL) as caught:
        destination(parse_url(url))
    error: BaseException | None = caught.value
    while error is not None:
        assert "sesame" not in str(error)
        error = error.__cause__


def test_no_password_in_messages_about_host():
    with pytest.raises(wirebird.InvalidHeader) as caught:
        check_host("user:sesame@a.test")
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["http://hub.test/@user", "https://[::1]:80?a@b", "http://h:1#@", "/@user", "?a@b", "//h/@a", "http://h", "h/@a", "@"],
)
def test_an_at_sign_in_a_path_hides_nothing_else(url):
    assert hide_userinfo(url) == {"//h/@a": "//…@a", "h/@a": "…@a", "@": "…@"}.get(url, url)


def test_no_password_in_what_can_be_seen():
    async def main():
        async with Origin() as origin, wirebird.HTTPClient(follow=True) as client:
            url = f"http://user:sesame@{origin.address}/chain/1"
            response = await client.get(url)
            things = [
                response,
                response.url,
                response.request,
                *response.history,
                response.history[0].url,
                client,
                client.get(url),
            ]
            with pytest.raises(wirebird.TooManyRedirects) as caught:
                await client.get(url, max_redirects=0)
            things += [caught.value, caught.value.url]
            with pytest.raises(wirebird.StatusError) as failed:
                await client.get(f"http://user:sesame@{origin.address}/status/404", raise_for_status=True)
            things.append(failed.value)
            assert not [thing for thing in things if "sesame" in repr(thing) + str(thing)]

    run(main)


# -- flows of one's own -------------------------------------------------------------------------------------------------------


class Refreshing:
    """A token that is asked for when the server wants one, once for each call."""

    def __init__(self, token_url: str) -> None:
        self.token_url = token_url
        self.token = ""

    def flow(self, request):
        response = yield self.with_token(request)
        if response.status_code != 401:
            return
        ask = request.copy()
        ask.method, ask.url, ask.body = "POST", self.token_url, b"grant_type=refresh_token"
        ask.headers = wirebird.HttpHeaders({"Content-Type": "application/x-www-form-urlencoded"})
        response = yield ask
        if response.status_code == 200:
            self.token = json.loads((yield wirebird.ReadBody(response)))["access_token"]
            yield self.with_token(request)

    def with_token(self, request):
        outgoing = request.copy()
        outgoing.headers["Authorization"] = f"Bearer {self.token}"
        return outgoing


@BOTH
def test_a_token_that_is_fetched(loop):
    async def main():
        async with Origin() as origin, Origin() as tokens:

            async def guarded(asked, wire):
                fresh = asked.headers["authorization"] == "Bearer new"
                await wire.respond(200 if fresh else 401, [], asked.body)

            origin.on("/x", guarded)
            tokens.always("/token", b'HTTP/1.1 200 x\r\nContent-Length: 23\r\n\r\n{"access_token": "new"}\n')
            tokens.always("/broken", b"HTTP/1.1 500 x\r\nContent-Length: 3\r\n\r\nno\n")
            auth = Refreshing(tokens.url("/token"))
            async with wirebird.HTTPClient(auth=auth) as client:
                for _ in range(3):
                    response = await client.post(origin.url("/x"), data=b"data", cookies={"own": "call"})
                    assert (response.status_code, await response.content()) == (200, b"data")
                assert len(origin.asked) == 4
                [asked] = tokens.asked
                assert (asked.method, asked.body) == ("POST", b"grant_type=refresh_token")
                assert not {"cookie", "authorization"} & {name.lower() for name in asked.headers}
                check_settled(client)
                failing = Refreshing(tokens.url("/broken"))
                response = await client.get(origin.url("/x"), auth=failing)
                assert response.status_code == 500  # the last response of a flow is that of the call
                once = Refreshing(tokens.url("/token"))
                with pytest.raises(wirebird.BodyConsumed):
                    await client.post(origin.url("/x"), auth=once, data=Once())
                check_settled(client)

    run(main, loop)


def test_flows_that_are_none():
    class Flows:
        def __init__(self, *steps: Any) -> None:
            self.steps = steps

        def flow(self, request) -> Iterator[Any]:
            for step in self.steps:
                yield request if step is Request else step

    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            for steps in ((), ("text",), (Request, "text"), (None,), (wirebird.ReadBody(request_for("http://a.test/")),)):
                with pytest.raises(wirebird.UsageError, match="an auth flow must yield"):
                    await client.get(origin.url("/echo"), auth=Flows(*steps))
                assert client.stats()["in_use"] == 0

            class Coroutine:
                async def flow(self, request):
                    return request

            class Generating:
                async def flow(self, request):
                    yield request

            class Listing:
                def flow(self, request):
                    return [request]

            for auth in (Coroutine(), Generating(), Listing()):
                with pytest.raises(wirebird.UsageError, match="must be a generator"):
                    await client.get(origin.url("/echo"), auth=auth)

            class Failing:
                def flow(self, request):
                    yield request
                    raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                await client.get(origin.url("/bytes/1000000"), auth=Failing())
            check_settled(client)

    run(main)


def test_read_body_of_responses_is_bounded_by_max_body_size():
    class Greedy:
        def flow(self, request):
            response = yield request
            yield wirebird.ReadBody(response)

    async def main():
        async with Origin() as origin, wirebird.HTTPClient(auth=Greedy(), max_body_size=1000) as client:
            assert (await client.get(origin.url("/bytes/1000"))).status_code == 200
            for size in (1001, 60_000, 1_000_000):
                with pytest.raises(wirebird.LimitExceeded):
                    await client.get(origin.url(f"/bytes/{size}"))
            assert client.stats()["in_use"] == 0

    run(main)


def test_read_body_of_requests():
    class Hashing:
        def flow(self, request):
            whole = yield wirebird.ReadBody(request)
            hashed = hashlib.sha256()
            assert (yield wirebird.ReadBody(request, hashed.update)) is None
            outgoing = request.copy()
            outgoing.headers["X-Hash"] = f"{len(whole)} {hashed.hexdigest()}"
            yield outgoing

    async def main():
        async with Origin() as origin, wirebird.HTTPClient(auth=Hashing()) as client:
            for data in (None, b"", b"data", io.BytesIO(b"x" * 300_000)):
                await client.post(origin.url("/echo"), data=data)
                asked = origin.asked[-1]
                assert asked.headers["x-hash"] == f"{len(asked.body)} {hashlib.sha256(asked.body).hexdigest()}"
            body = Once()
            with pytest.raises(wirebird.BodyConsumed):
                await client.post(origin.url("/echo"), data=body)
            assert body.begun == 0

    run(main)


def test_a_cancelled_call_leaves_nothing_open():
    async def main():
        guard = Guard()
        async with Origin() as origin, wirebird.HTTPClient(auth=wirebird.DigestAuth("user", "secret")) as client:

            async def then_silent(asked, wire):
                if "authorization" in asked.headers:
                    await origin.release.wait()
                await guard.handle(asked, wire)

            origin.on("/secret", then_silent)
            task = asyncio.create_task(_get(client, origin.url("/secret")))
            await origin.until(lambda: len(origin.asked) == 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            check_settled(client)
            origin.release.set()
            assert (await client.get(origin.url("/secret"))).status_code == 200
            assert guard.faults == []

    run(main)


async def _get(client: wirebird.HTTPClient, url: str) -> wirebird.HttpResponse:
    return await client.get(url)


def test_a_401_with_a_body_that_never_ends():
    async def main():
        guard = Guard()

        async def script(link):
            while await link.request():
                if b"Authorization" in link.head:
                    await link.send(answer(b"in"))
                    continue
                field = f"WWW-Authenticate: {guard.challenge()}\r\n".encode()
                await link.send(b"HTTP/1.1 401 x\r\n" + field + b"Content-Length: 1000000000\r\n\r\n")
                await link.gone()
                return

        async with Peer(script) as peer, wirebird.HTTPClient(auth=wirebird.DigestAuth("user", "secret")) as client:
            response = await client.get(peer.url("/"))
            assert (response.status_code, peer.accepted) == (200, 2)
            check_settled(client)

    run(main)


def test_many_challenges_take_no_time_and_no_second_request():
    async def main():
        fields = [f"WWW-Authenticate: {text}" for text in ("\xa0" * 60_000, 'Digest realm="' + '\\"' * 20_000, ", " * 30_000)]
        raw = "\r\n".join(["HTTP/1.1 401 x", "Content-Length: 0", "", ""])

        async with Origin() as origin, wirebird.HTTPClient(auth=wirebird.DigestAuth("user", "secret")) as client:
            for field in fields:
                head = raw.replace("\r\nContent", f"\r\n{field[:60_000]}\r\nContent")
                origin.always("/x", head.encode("latin-1"))
                before = len(origin.asked)
                assert (await client.get(origin.url("/x"))).status_code == 401
                assert len(origin.asked) == before + 1

    run(main)


def test_what_is_private_is_not_in_reprs():
    auth = wirebird.DigestAuth("user", "sesame")
    drive(auth, request_for("http://a.test/"), refusal(CHALLENGE), fine())
    for thing in (auth, *auth._spaces.values(), *(space.answering for space in auth._spaces.values())):
        assert not re.search("sesame", repr(thing))
