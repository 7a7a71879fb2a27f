"""URLs: what is let through, what is refused, and what of it goes on the wire (T14 to T16)."""

from __future__ import annotations

import math
import time

import pytest
from multidict import MultiDict
from yarl import URL

from wirebird import InvalidURL, UsageError
from wirebird.models.url import destination, extend_params, join_url, parse_url


def target(url: str) -> str:
    return destination(parse_url(url)).target


@pytest.mark.parametrize(
    ("url", "host", "port", "authority", "origin", "wanted"),
    [
        ("http://Example.ORG", "example.org", 80, "example.org", "http://example.org:80", "/"),
        ("HTTP://example.org:80/a", "example.org", 80, "example.org", "http://example.org:80", "/a"),
        ("https://example.org:443/?", "example.org", 443, "example.org", "https://example.org:443", "/"),
        ("https://example.org:80/", "example.org", 80, "example.org:80", "https://example.org:80", "/"),
        ("http://example.org:8080?x=1#top", "example.org", 8080, "example.org:8080", "http://example.org:8080", "/?x=1"),
        ("http://u:p@example.org/a", "example.org", 80, "example.org", "http://example.org:80", "/a"),
        ("http://[::1]:8080/", "::1", 8080, "[::1]:8080", "http://[::1]:8080", "/"),
        ("http://[fe80::1%25lo]/", "fe80::1%25lo", 80, "[fe80::1]", "http://[fe80::1]:80", "/"),
        ("http://127.0.0.1:1/", "127.0.0.1", 1, "127.0.0.1:1", "http://127.0.0.1:1", "/"),
        ("http://straße.de/", "xn--strae-oqa.de", 80, "xn--strae-oqa.de", "http://xn--strae-oqa.de:80", "/"),
        ("http://ｅｘａｍｐｌｅ.org/", "example.org", 80, "example.org", "http://example.org:80", "/"),
        ("ws://example.org/", "example.org", 80, "example.org", "ws://example.org:80", "/"),
        ("wss://example.org/", "example.org", 443, "example.org", "wss://example.org:443", "/"),
        ("http://a_b.example/", "a_b.example", 80, "a_b.example", "http://a_b.example:80", "/"),
    ],
)
def test_destination(url, host, port, authority, origin, wanted):
    where = destination(parse_url(url))
    assert (where.port, where.authority, where.origin, where.target) == (port, authority, origin, wanted)
    assert where.host.replace("%25", "%") == host.replace("%25", "%")
    assert where.secure == url.lower().startswith(("https", "wss"))


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/a b", "/a%20b"),
        ("/ä", "/%C3%A4"),
        ("/%7Ea%30", "/~a0"),
        ("/a%2Fb%2fc", "/a%2Fb%2Fc"),
        ("/%zz", "/%25zz"),
        ("/a/./b/../c", "/a/c"),
        ("/../../a", "/a"),
        ("/!$&'()*+,;=:@", "/!$&'()*+,;=:@"),
        ("/?a b", "/?a+b"),
        ("/?a=%2f%3F&b=%26%3D%2B%23%25", "/?a=/?&b=%26%3D%2B%23%25"),
        ("/?", "/"),
        ("/#f", "/"),
        ("/?x=1#f", "/?x=1"),
        ("//double", "//double"),
    ],
)
def test_canonical_target(path, wanted):
    assert target("http://h" + path) == wanted


def test_encoded_goes_out_byte_for_byte():
    url = URL("http://h/%7e%zz/a%2fb/../c?x=%31&y='", encoded=True)
    assert parse_url(url) is url
    assert destination(url).target == "/%7e%zz/a%2fb/../c?x=%31&y='"


@pytest.mark.parametrize("control", [chr(i) for i in [*range(32), 127, 0xD800, 0xDFFF]])
@pytest.mark.parametrize(
    "form", ["http://h{}/", "http://{}h/", "http://h/a{}b", "http://h/?a{}b", "http://h/{}", "{}http://h/", "ht{}tp://h/"]
)
def test_no_control_anywhere(control, form):
    with pytest.raises(InvalidURL) as caught:
        destination(parse_url(form.format(control)))
    assert caught.value.argument == "url"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/relative",
        "example.org",
        "//example.org/",
        "http://",
        "http:///path",
        "http:/one",
        "http:no",
        "file:///etc/passwd",
        "ftp://example.org/",
        "data:text/plain,x",
        "gopher://example.org/",
        "javascript:alert(1)",
        "unix:///tmp/s",
        " http://example.org/",
        "http://a b/",
        "http://a\\b/",
        "http://exa mple.org/",
        "http://example.org:port/",
        "http://example.org:99999/",
        "http://example.org:0/",
        "http://example.org:+80/",
        "http://example.org:８０/",
        "http://example.org:8_0/",
        "http://example.org:-1/",
        "http://[::1/",
        "http://::1/",
        "http://[::g]/",
        "http://[127.0.0.1]/",
        "http://[v1.x]/",
        "http://[fe80::1%25a/b]/",
        "http://[::1]a/",
        "http://2130706433/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://0x7f.1/",
        "http://017700000001/",
        "http://1.2.3.4.5/",
        "http://256.1.1.1/",
        "http://a..b/",
        "http://.a/",
        "http://-/",
        "http://a,b/",
        "http://a%2fb/",
        "http://a%00b/",
        "http://a;b/",
        "http://a'b/",
        "http://" + "a" * 64 + ".org/",
        "http://" + "a." * 127 + "org/",
        "http://user@/",
        "http://@/",
        "http://:80/",
    ],
)
def test_refused(url):
    with pytest.raises(InvalidURL) as caught:
        destination(parse_url(url))
    assert caught.value.argument == "url"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", [None, 5, b"http://h/", ["http://h/"], object()])
def test_not_a_url_at_all(url):
    with pytest.raises(InvalidURL):
        parse_url(url)


@pytest.mark.parametrize(
    "url", [URL("http://h/a b", encoded=True), URL("http://h/ä", encoded=True), URL("http://h/?a\0b", encoded=True)]
)
def test_encoded_but_not_encoded(url):
    with pytest.raises(InvalidURL):
        destination(url)


def test_no_password_in_messages():
    for url in (
        "http://user:secret@host:99999/",
        "http://user:secret@ho st/",
        "ftp://user:secret@host/",
        "http://user:secret@127.1/",
    ):
        with pytest.raises(InvalidURL) as caught:
            destination(parse_url(url))
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("filler", ["@", "%", ":", "/", "?", "#", ".", "a", "[", "%4"])
def test_long_nonsense_is_refused_or_read_at_once(filler):
    for url in ("http://" + filler * 200_000, "http://h/" + filler * 200_000, "http://h" + filler * 200_000 + "/"):
        start = time.process_time()
        try:
            destination(parse_url(url))
        except InvalidURL as error:
            assert len(str(error)) < 1000
        assert time.process_time() - start < 2


# -- params ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "query"),
    [
        ({"a": "1", "b": 2, "c": 1.5}, "a=1&b=2&c=1.5"),
        ([("a", "1"), ("a", "2")], "a=1&a=2"),
        ((("a", "1"),), "a=1"),
        ({"a": ["1", "2"], "b": ("3",)}, "a=1&a=2&b=3"),
        (MultiDict([("a", "1"), ("b", "2"), ("a", "3")]), "a=1&b=2&a=3"),
        ({"a b": "c d"}, "a+b=c+d"),
        ({"x": "&=;#%+ä"}, "x=%26%3D%3B%23%25%2B%C3%A4"),
        ({"&=;#%+": "1"}, "%26%3D%3B%23%25%2B=1"),
        ({"x": ""}, "x="),
        ({}, ""),
        ([], ""),
        ("", ""),
        ("a=1&b=2", "a=1&b=2"),
        ("?a=1", "a=1"),
        ("a=%31+2", "a=%31+2"),
        ("a=b c&d=ä&e=#&f=%zz", "a=b%20c&d=%C3%A4&e=%23&f=%25zz"),
    ],
)
def test_params(params, query):
    assert destination(extend_params(URL("http://h/p"), params)).target == ("/p?" + query if query else "/p")
    assert destination(extend_params(URL("http://h/p?old=1"), params)).target == "/p?old=1" + ("&" + query if query else "")


def test_params_leave_an_encoded_url_as_it_is():
    url = extend_params(URL("http://h/%7e?x=%31#f", encoded=True), {"a": "b c"})
    assert str(url) == "http://h/%7e?x=%31&a=b+c#f"


@pytest.mark.parametrize(
    "params",
    [
        {"a": True},
        {"a": None},
        {"a": math.nan},
        {"a": math.inf},
        [("a", False)],
        {"a": {"b": 1}},
        {"a": object()},
        5,
        [("a",)],
        ["ab", 5],
    ],
)
def test_bad_params(params):
    with pytest.raises(UsageError) as caught:
        extend_params(URL("http://h/"), params)
    assert caught.value.argument == "params"


def test_params_cannot_break_out():
    url = extend_params(URL("http://h/"), {"a": "1\r\nHost: evil", "b\0": " HTTP/1.1"})
    assert destination(url).target == "/?a=1%0D%0AHost:+evil&b%00=+HTTP/1.1"
    url = extend_params(URL("http://h/"), "a=1\r\nHost: evil")
    assert destination(url).target == "/?a=1%0D%0AHost:%20evil"


# -- references -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "wanted"),
    [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g"),
        ("?y", "http://a/b/c/d?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("#s", "http://a/b/c/d?q#s"),
        ("g#s", "http://a/b/c/g#s"),
        ("", "http://a/b/c/d?q"),
        (".", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../../../g", "http://a/g"),
        ("https://x/y", "https://x/y"),
    ],
)
def test_references_are_resolved(reference, wanted):
    """RFC 3986 5.4."""
    assert str(join_url(URL("http://a/b/c/d?q"), reference)) == str(URL(wanted))
