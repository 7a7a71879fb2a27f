"""Digest by the book: the examples of the RFCs, what others compute, and which challenge is answered (RFC 7616, RFC 2617)."""

from __future__ import annotations

import hashlib
import re

import httpx
import pytest

from wirebird.protocol.challenges import parse_challenges
from wirebird.protocol.digest import DigestKey, choose_challenge


def parameters(value: str) -> dict[str, str]:
    """The parameters of an answer, unquoted, by a reader of its own."""
    scheme, _, rest = value.partition(" ")
    assert scheme == "Digest"
    found = re.findall(r'([a-z*0-9]+)=("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)', rest)
    assert ", ".join(f"{name}={text}" for name, text in found) == rest
    return {name: re.sub(r"\\(.)", r"\1", text[1:-1]) if text[0] == '"' else text for name, text in found}


def key_for(field: str, user: str, password: str, cnonce: str = "c") -> DigestKey:
    challenge = choose_challenge([field])
    assert challenge is not None
    return DigestKey(challenge, user, password, cnonce)


# -- the examples of the RFCs ---------------------------------------------------------------------------------------------------

RFC_7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
RFC_7616_CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc_7616_3_9_1(algorithm, response):
    key = key_for(RFC_7616.format(algorithm), "Mufasa", "Circle of Life")
    nonce = key.challenge.nonce
    assert key.challenge.qops == ("auth", "auth-int")
    assert parameters(key.answer("GET", "/dir/index.html", nonce, 1, RFC_7616_CNONCE, "auth")) == {
        "username": "Mufasa",
        "realm": "http-auth@example.org",
        "uri": "/dir/index.html",
        "algorithm": algorithm,
        "nonce": nonce,
        "nc": "00000001",
        "cnonce": RFC_7616_CNONCE,
        "qop": "auth",
        "response": response,
        "opaque": "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
    }


def test_rfc_7616_3_9_2_as_erratum_4897_has_it():
    """What the RFC prints is of another hash than SHA-512/256; the erratum has the values of FIPS 180-4."""
    key = key_for(
        'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, '
        'nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", '
        'opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8, userhash=true',
        "Jäsøn Doe",
        "Secret, or not?",
    )
    value = key.answer("GET", "/doe.json", key.challenge.nonce, 1, "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v", "auth")
    assert parameters(value) == {
        "username": "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b",
        "realm": "api@example.org",
        "uri": "/doe.json",
        "algorithm": "SHA-512-256",
        "nonce": "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        "nc": "00000001",
        "cnonce": "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
        "qop": "auth",
        "response": "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5",
        "opaque": "HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS",
        "userhash": "true",
    }


RFC_2617 = (
    'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
    'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
)


def test_rfc_2617_3_5():
    key = key_for(RFC_2617, "Mufasa", "Circle Of Life")
    value = parameters(key.answer("GET", "/dir/index.html", key.challenge.nonce, 1, "0a4f113b", "auth"))
    assert value["response"] == "6629fae49393a05397450978507c4ef1"
    assert "algorithm" not in value  # the challenge had none
    assert value["opaque"] == "5ccc069c403ebaf9f0171e9517f40e41"


def test_rfc_2069_without_qop():
    """RFC 2069 2.4 prints another value; its erratum 749 has this one."""
    key = key_for('Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"', "Mufasa", "CircleOfLife")
    value = parameters(key.answer("GET", "/dir/index.html", key.challenge.nonce, 1, "unused", None))
    assert value["response"] == "1949323746fe6a43ef61f9606e7febea"
    assert not value.keys() & {"qop", "nc", "cnonce", "opaque", "algorithm"}


# -- what the formulas say, written down once more ------------------------------------------------------------------------------

HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}


def expected(algorithm, session, qop, *, cnonce="cn", nc="00000002", body=b"the body"):
    def h(text):
        return hashlib.new(HASHES[algorithm], text).hexdigest()

    a1 = h(b"user:the realm:pass:word")
    if session:
        a1 = h(f"{a1}:n0:c0".encode())
    a2 = b"PUT:/a?b" + (b":" + h(body).encode() if qop == "auth-int" else b"")
    middle = f"{nc}:{cnonce}:{qop}:" if qop else ""
    return h(f"{a1}:n0:{middle}{h(a2)}".encode())


@pytest.mark.parametrize("qop", [None, "auth", "auth-int"])
@pytest.mark.parametrize("session", [False, True])
@pytest.mark.parametrize("algorithm", HASHES)
def test_every_algorithm_and_qop(algorithm, session, qop):
    spelled = algorithm + ("-sess" if session else "")
    offer = f', qop="{qop}"' if qop else ""
    key = key_for(f'Digest realm="the realm", nonce="n0", algorithm={spelled}{offer}', "user", "pass:word", "c0")
    hashed = key.challenge.hash()
    hashed.update(b"the ")
    hashed.update(b"body")
    value = parameters(key.answer("PUT", "/a?b", "n0", 2, "cn", qop, hashed.hexdigest()))
    assert value["response"] == expected(algorithm, session, qop)
    assert value["algorithm"] == spelled
    assert ("cnonce" in value) == (qop is not None or session)
    assert value.get("qop") == qop


@pytest.mark.parametrize(
    ("algorithm", "offer"),  # -sess without qop is left out: httpx tells the server no cnonce then, so nobody can check it
    [("MD5", ""), ("SHA-256", ""), *((name, ', qop="auth"') for name in ("MD5", "SHA-256", "MD5-sess", "SHA-256-sess"))],
)
def test_the_same_as_httpx(algorithm, offer):
    """Another client's arithmetic, with its own cnonce put into ours."""
    field = f'Digest realm="a \\"realm\\"", nonce="abc", algorithm={algorithm}{offer}, opaque="o"'
    request = httpx.Request("GET", "http://h.test/x%20y?q=1")
    flow = httpx.DigestAuth("Mufasa", "Circle of Life").auth_flow(request)
    next(flow)
    again = flow.send(httpx.Response(401, headers={"www-authenticate": field.replace('\\"', "'")}, request=request))
    theirs = parameters(again.headers["authorization"])
    cnonce = theirs.get("cnonce") or ""
    key = key_for(field.replace('\\"', "'"), "Mufasa", "Circle of Life", cnonce)
    ours = parameters(key.answer("GET", "/x%20y?q=1", "abc", 1, cnonce, "auth" if offer else None))
    assert ours == theirs


def test_rspauth():
    key = key_for(RFC_2617, "Mufasa", "Circle Of Life")

    def h(text):
        return hashlib.md5(text.encode()).hexdigest()

    a1 = h("Mufasa:testrealm@host.com:Circle Of Life")
    good = h(f"{a1}:{key.challenge.nonce}:00000001:0a4f113b:auth:{h(':/dir/index.html')}")
    arguments = ("/dir/index.html", key.challenge.nonce, 1, "0a4f113b")
    assert key.proves(good, *arguments)
    assert key.proves(good.upper(), *arguments)
    for bad in ("", good[:-1], good.replace(good[0], "x"), "ü" * 32):
        assert not key.proves(bad, *arguments)


# -- names ----------------------------------------------------------------------------------------------------------------------


def test_how_a_user_is_written():
    base = 'Digest realm="r", nonce="n", qop="auth"'
    answer = key_for(base, "Jäsøn", "x").answer("GET", "/", "n", 1, "c", "auth")
    assert 'username="Jäsøn"' in answer
    answer = key_for(f"{base}, charset=UTF-8", "Jäsøn (é) Doe", "x").answer("GET", "/", "n", 1, "c", "auth")
    assert "username*=UTF-8''J%C3%A4s%C3%B8n%20%28%C3%A9%29%20Doe, " in answer
    answer = key_for(f"{base}, charset=utf-8", 'a"\\b', "x").answer("GET", "/", "n", 1, "c", "auth")
    assert r'username="a\"\\b"' in answer


def test_normal_form_c_if_the_server_says_utf_8():
    base = 'Digest realm="r", nonce="n", qop="auth", userhash=true'
    for decomposed, composed in (("Ja\u0308n", "J\xe4n"), ("e\u0301", "\xe9")):
        one = key_for(f"{base}, charset=UTF-8", decomposed, decomposed).answer("GET", "/", "n", 1, "c", "auth")
        two = key_for(f"{base}, charset=UTF-8", composed, composed).answer("GET", "/", "n", 1, "c", "auth")
        other = key_for(base, decomposed, decomposed).answer("GET", "/", "n", 1, "c", "auth")
        assert one == two != other


# -- which challenge ------------------------------------------------------------------------------------------------------------


def chosen(*fields: str) -> tuple[str, bool, tuple[str, ...]] | None:
    challenge = choose_challenge(fields)
    return None if challenge is None else (challenge.algorithm, challenge.session, challenge.qops)


MD5 = 'Digest realm="r", nonce="md5", qop="auth", algorithm=MD5'
SHA = 'Digest realm="r", nonce="sha", qop="auth", algorithm=SHA-256'
SHA512 = 'Digest realm="r", nonce="512", qop="auth", algorithm=SHA-512-256'


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ([MD5, SHA], ("SHA-256", False, ("auth",))),
        ([f"{MD5}, {SHA}"], ("SHA-256", False, ("auth",))),
        ([f"{SHA}, {MD5}"], ("SHA-256", False, ("auth",))),
        ([f'Basic realm="r", {MD5}, {SHA512}, Negotiate', SHA], ("SHA-512-256", False, ("auth",))),
        ([MD5.replace("MD5", "md5-SESS")], ("MD5", True, ("auth",))),
        ([MD5.replace("MD5", '"MD5"')], ("MD5", False, ("auth",))),
        ([MD5.replace('"auth"', '" auth-int ,, AUTH "')], ("MD5", False, ("auth", "auth-int"))),
        ([MD5.replace('"auth"', '"auth-conf, auth-int"')], ("MD5", False, ("auth-int",))),
        ([MD5.replace('qop="auth", ', "")], ("MD5", False, ())),
        ([MD5.replace('"auth"', '""')], ("MD5", False, ())),
        ([MD5.replace('"auth"', '"auth-conf"')], None),
        ([MD5.replace('"auth"', '"auth-conf"'), SHA], ("SHA-256", False, ("auth",))),
        ([MD5.replace("MD5", "SHA-3")], None),
        ([MD5.replace("MD5", '"ſha-256"')], None),
        ([MD5.replace("MD5", "token"), MD5], ("MD5", False, ("auth",))),
        ([MD5.replace('realm="r", ', "")], None),
        ([MD5.replace('"md5"', '""')], None),
        (['Basic realm="r"', "Negotiate"], None),
        ([], None),
        ([MD5 + ', realm="again"'], None),
        ([MD5 + ", stale"], ("MD5", False, ("auth",))),
    ],
)
def test_the_strongest_that_is_known(fields, wanted):
    assert chosen(*fields) == wanted


def test_of_equals_the_first():
    first, second = MD5.replace('"md5"', '"one"'), MD5.replace('"md5"', '"two"')
    found = choose_challenge([first, second])
    assert found is not None
    assert found.nonce == "one"


@pytest.mark.parametrize("missing", ["md5", "sha512_256"])
def test_a_hash_that_is_not_there_is_not_answered(monkeypatch, missing):
    real = hashlib.new

    def new(name, *data):
        if name == missing:
            raise ValueError("unsupported hash type")
        return real(name, *data)

    monkeypatch.setattr(hashlib, "new", new)
    assert chosen(MD5) == (None if missing == "md5" else ("MD5", False, ("auth",)))
    assert chosen(SHA512, SHA) == (("SHA-512-256" if missing == "md5" else "SHA-256"), False, ("auth",))


def test_flags():
    found = choose_challenge([f'{MD5}, stale=TRUE, userhash="true", charset="utf-8", domain="/a /b", opaque=""'])
    assert found is not None
    assert (found.stale, found.userhash, found.utf8, found.domain, found.opaque) == (True, True, True, "/a /b", "")
    found = choose_challenge([f"{MD5}, stale=1, userhash=yes, charset=latin-1"])
    assert found is not None
    assert (found.stale, found.userhash, found.utf8, found.domain, found.opaque) == (False, False, False, "", None)


def test_what_is_quoted_is_quoted_again():
    field = r'Digest realm="a \"b\" \\ c", nonce="n\"", qop=auth, opaque="\\"'
    value = key_for(field, "u", "p").answer("GET", '/"?"', 'n"', 1, "c", "auth")
    [back] = parse_challenges([value])
    assert back.parameters["realm"] == r'a "b" \ c'
    assert (back.parameters["nonce"], back.parameters["opaque"], back.parameters["uri"]) == ('n"', "\\", '/"?"')
