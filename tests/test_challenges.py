"""Challenges: RFC 9110 11.6.1 read back from what it allows, and in linear time from what it does not (C60)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirebird.protocol.challenges import Challenge, parse_challenges, parse_parameters, quote

TOKEN = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def read(*fields: str) -> list[tuple[str, str, dict[str, str]]]:
    return [(one.scheme, one.token68, dict(one.parameters)) for one in parse_challenges(fields)]


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        # RFC 9110 11.6.1
        (
            'Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""',
            [("basic", "", {"realm": "simple"}), ("newauth", "", {"realm": "apps", "type": "1", "title": 'Login to "apps"'})],
        ),
        ("Negotiate", [("negotiate", "", {})]),
        ("Negotiate dG9rZW4=", [("negotiate", "dG9rZW4=", {})]),
        ("Negotiate dG9rZW4==, Basic realm=a", [("negotiate", "dG9rZW4==", {}), ("basic", "", {"realm": "a"})]),
        ("Negotiate, NTLM", [("negotiate", "", {}), ("ntlm", "", {})]),
        ("Negotiate,NTLM,", [("negotiate", "", {}), ("ntlm", "", {})]),
        (",, ,Basic ,realm=a ,,, b=c,\t,Digest\td=e , ", [("basic", "", {"realm": "a", "b": "c"}), ("digest", "", {"d": "e"})]),
        ('Basic realm = "a" , b\t=\tc', [("basic", "", {"realm": "a", "b": "c"})]),
        ("BASIC REALM=A", [("basic", "", {"realm": "A"})]),
        ('Basic realm=""', [("basic", "", {"realm": ""})]),
        ('Basic realm="a, Digest realm=b"', [("basic", "", {"realm": "a, Digest realm=b"})]),
        (r'Basic realm="\\\"\a"', [("basic", "", {"realm": '\\"a'})]),
        ('Basic realm="grün \xff\t"', [("basic", "", {"realm": "grün \xff\t"})]),
        ("Digest nonce=abc/+==,qop=auth", [("digest", "", {"nonce": "abc/+==", "qop": "auth"})]),
        ("Scheme a=b=, c", [("scheme", "", {"a": "b="}), ("c", "", {})]),
        # What is none: the challenge with the fault, and what follows, is ignored.
        ("", []),
        (" , ", []),
        ("a b c", []),
        ("=", []),
        ("realm=a", []),
        ('"Basic"', []),
        ('Basic realm="a', []),
        ('Basic realm="a\\"', []),
        ('Basic realm="a" b="c"', []),
        ("Basic realm=", [("basic", "realm=", {})]),
        ("Basic realm", [("basic", "realm", {})]),
        ("Basic\xa0realm=a", []),
        ("Bäsic realm=a", []),
        ('Basic realm="a", Digest realm="b', [("basic", "", {"realm": "a"})]),
        ('Digest realm="a", nonce=, qop=auth', []),
        ('Digest realm="a", nonce="b" qop=auth, Basic realm=c', []),
        ('Basic realm="a", Digest "b", Bearer', [("basic", "", {"realm": "a"})]),
        # RFC 9110 11.2: a parameter occurs once.
        ('Basic realm=a, REALM=b, Bearer realm="c"', [("bearer", "", {"realm": "c"})]),
    ],
)
def test_what_is_read(field, wanted):
    assert read(field) == wanted


def test_several_fields_are_read_one_by_one():
    assert read('Basic realm="a', "Digest realm=b", "x=y") == [("digest", "", {"realm": "b"})]


def test_limits():
    assert len(read("a, " * 1000)) == 50
    assert len(read(*["a"] * 1000)) == 50
    parameters = [f"p{number}=1" for number in range(51)]
    assert len(read("a " + ", ".join(parameters[:50]))[0][2]) == 50
    assert read("a " + ", ".join(parameters)) == []
    assert parse_parameters(", ".join(parameters[:50])) == dict.fromkeys([one[:-2] for one in parameters[:50]], "1")
    assert parse_parameters(", ".join(parameters)) is None


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("", {}),
        (" ,, ", {}),
        ('nextnonce="a", RSPAUTH=b , qop = auth', {"nextnonce": "a", "rspauth": "b", "qop": "auth"}),
        ("a=b, a=c", None),
        ("a=b, A=c", None),
        ("a", None),
        ("a=", None),
        ('a="', None),
        ("a=b c=d", None),
        ("Digest a=b", None),
    ],
)
def test_parameters(field, wanted):
    assert parse_parameters(field) == wanted


# -- whatever the grammar allows ----------------------------------------------------------------------------------------------

tokens = st.text(TOKEN, min_size=1, max_size=8)
spaces = st.text(" \t", max_size=2)
texts = st.text(st.characters(blacklist_characters="\x7f", blacklist_categories=("Cs", "Cc")) | st.just("\t"), max_size=12)
commas = st.lists(spaces, min_size=1, max_size=3).map(",".join)


@st.composite
def written(draw, scheme, body):
    """One challenge as somebody might write it."""
    kind, value = body
    if kind == "nothing":
        return scheme
    if kind == "token68":
        return f"{scheme}{draw(st.text(' ', min_size=1, max_size=2))}{value}"
    parts = []
    for name, text in value.items():
        if text and set(text) <= set(TOKEN) and draw(st.booleans()):
            shown = text
        else:
            shown = quote(text)
            if text and draw(st.booleans()):  # any character may be escaped
                shown = '"' + "".join("\\" + character for character in text) + '"'
        parts.append(f"{name}{draw(spaces)}={draw(spaces)}{shown}")
    text = parts[0]
    for part in parts[1:]:
        text += f"{draw(spaces)},{draw(commas)}{part}"
    return f"{scheme} {text}"


bodies = st.one_of(
    st.just(("nothing", "")),
    st.tuples(st.just("token68"), st.from_regex(r"[A-Za-z0-9._~+/\-]{1,8}={0,2}", fullmatch=True)),
    st.tuples(st.just("parameters"), st.dictionaries(tokens.map(str.lower), texts, min_size=1, max_size=4)),
)


@given(st.data(), st.lists(st.tuples(tokens, bodies), max_size=4))
def test_whatever_may_be_written_is_read_back(data, challenges):
    shown = [data.draw(written(scheme, body)) for scheme, body in challenges]
    text = data.draw(spaces)
    for one in shown:
        text += f"{one}{data.draw(spaces)},{data.draw(commas)}"
    wanted = [
        Challenge(scheme.lower(), value if kind == "token68" else "", value if kind == "parameters" else {})
        for scheme, (kind, value) in challenges
    ]
    assert parse_challenges([text]) == wanted
    assert parse_challenges([text.rstrip(", \t")]) == wanted
    assert parse_challenges(shown) == wanted


@given(st.text(st.sampled_from('ab=," \\\t\xa0\xffü/;'), max_size=40))
def test_nonsense_is_read_somehow(text):
    for one in parse_challenges([text]):
        assert one.scheme
        assert set(one.scheme) <= set(TOKEN)
        assert not (one.token68 and one.parameters)
    parse_parameters(text)


@given(texts)
def test_quoting_is_undone(text):
    assert parse_parameters(f"a={quote(text)}") == {"a": text}


@pytest.mark.parametrize("before", ["", "Digest ", 'Digest a="', "Digest a=", "x=", 'Digest realm="r", '])
@pytest.mark.parametrize(
    "filler",
    [
        "\xa0",
        '"',
        "\\",
        '\\"',
        '"\\',
        " ",
        "\t",
        ",",
        ", ",
        "a",
        "a ",
        "a,",
        "a=",
        "a=b,",
        "a=b ",
        'a="",',
        'a="',
        "=",
        "Digest a=b ",
    ],
)
def test_64_kib_of_anything_take_no_time(filler, before):
    """C60.  The best of three, for other processes may be in between."""
    text = (before + filler * 65536)[:65536]
    times = []
    for _ in range(3):
        start = time.process_time()
        parse_challenges([text])
        parse_parameters(text)
        times.append(time.process_time() - start)
    assert min(times) < 0.005
