"""The cookie jar beyond the shared vectors: limits, what a caller may set, JSON, files, and the published cookie advisories."""

from __future__ import annotations

import datetime
import json
import logging
import os
import pickle
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from effort import examples
from wirebird.errors import InvalidHeader, UsageError
from wirebird.models import cookies as cookies_module
from wirebird.models.cookie_parsing import (
    parse_cookie_date,
    parse_response_cookies,
    parse_set_cookie,
)
from wirebird.models.cookies import MAX_COOKIES, MAX_PER_DOMAIN, Cookie, CookieJar, check_cookie, host_matches, path_matches
from wirebird.models.dates import format_http_date
from wirebird.net.cookie_file import load_cookies, save_cookies

NOW = 1_750_000_000.0
A = URL("http://a.test/")
SECURE_A = URL("https://a.test/")


def plain_list(domain: str) -> bool:
    return domain in ("co.uk", "github.io")


def jar_of(*set_cookie: str, url: URL = A, now: float = NOW) -> CookieJar:
    jar = CookieJar(public_suffix=plain_list)
    jar.store(url, set_cookie, now)
    return jar


def sent(jar: CookieJar, url: URL | str, now: float = NOW) -> str | None:
    return jar.header(URL(url), now)


def best_of(runs: int, call: Any) -> float:
    """Seconds of processor time: a busy machine does not count."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


# --- SECURITY.md ---


def test_s22_bad_cookies_log_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bad = ["", "=", "=x", "noequals", "a=\x01", "\x00", "a=b\x7f", "x" * 5000 + "=1", "a=1; Domain=evil.test", "\ud800=1"] * 400
    assert len(bad) == 4000
    jar = jar_of(*bad)
    assert len(jar) == 0 and len(parse_response_cookies(bad)) == 1  # only the one whose Domain is the jar's business
    assert caplog.records == []


@pytest.mark.parametrize("text", ["=__Host-x=bad", "=", "=x", " =x", "__Host-x", "\t=\t__Secure-x=1", ";a=b", "==a=b"])
def test_s77_nameless_cookie_is_ignored(text: str) -> None:
    jar = jar_of(text, url=SECURE_A)
    assert len(jar) == 0 and sent(jar, SECURE_A) is None
    assert parse_set_cookie(text) is None


@pytest.mark.parametrize("text", ['x="' + "\\" * 65536 + '"', 'x="' + "\\1" * 32768], ids=["backslashes", "escapes"])
def test_s89_quoted_backslashes_take_no_time(text: str) -> None:
    assert best_of(5, lambda: parse_set_cookie(text)) < 0.005
    assert best_of(5, lambda: parse_response_cookies([text])) < 0.005


@pytest.mark.parametrize(
    "text",
    [
        "x=1; expires=junk; max-age=1x; samesite=?" * 1600,
        "x=1" + "; Expires=Thu, 01 Jan 1970 00:00:00 GMT" * 1600,
        "x=1" + ";" * 65536,
        "x=1" + "; " * 32768,
        "x=1;" + " " * 65536 + "secure",
        "x=1; expires=" + "1 " * 32768,
        "x=1; path=" + "/" * 65536,
        "x" * 65536,
        "=" * 65536,
        " " * 65536 + "=1",
    ],
    ids=lambda text: text[:14],
)
def test_s89_hostile_text_takes_linear_time(text: str) -> None:
    assert best_of(3, lambda: parse_set_cookie(text)) < 0.05  # 64 KiB; quadratic time would be seconds


@pytest.mark.parametrize("path", ["/; Domain=x", "/\r\nSet-Cookie: a=b", "/\n", "/\0", "/\t", "relative", "", "/\ud800", None])
def test_s94_set_refuses_injection_through_path(path: Any) -> None:
    with pytest.raises(InvalidHeader) as caught:
        CookieJar().set("a", "b", domain="a.test", path=path)
    assert caught.value.argument == "path"


@pytest.mark.parametrize("domain", ["a.test; Path=/", "a.test\r\nX: y", "a test", ".a.test", "", "a..test", "1.2.3", None, 5])
def test_s94_set_refuses_injection_through_domain(domain: Any) -> None:
    with pytest.raises(InvalidHeader) as caught:
        CookieJar().set("a", "b", domain=domain)
    assert caught.value.argument == "domain"


@pytest.mark.parametrize("same_site", ["Strict; Domain=x", "lax\r\n", "sometimes", "", 1])
def test_s94_set_refuses_injection_through_same_site(same_site: Any) -> None:
    with pytest.raises(InvalidHeader) as caught:
        CookieJar().set("a", "b", domain="a.test", same_site=same_site)
    assert caught.value.argument == "same_site"


def test_c8_jar_is_json_only(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "owned"),))

    file = tmp_path / "jar"
    file.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UsageError) as caught:
        load_cookies(file)
    assert caught.value.argument == "path" and str(file) in str(caught.value)
    assert not (tmp_path / "owned").exists()


def test_c13_host_only_survives_save_and_load(tmp_path: Path) -> None:
    save_cookies(jar_of("host=1", "wide=2; Domain=a.test"), tmp_path / "jar")
    jar = load_cookies(tmp_path / "jar")
    assert sent(jar, "http://sub.a.test/") == "wide=2"
    assert sent(jar, "http://a.test/") == "host=1; wide=2"


def test_c20_cookie_set_on_a_redirect_stays_with_the_host_that_set_it() -> None:
    jar = jar_of("sid=fixed")  # on the 302 from a.test to b.test
    assert sent(jar, "http://b.test/") is None
    assert sent(jar, "http://a.test/") == "sid=fixed"


def test_c56_cookies_of_one_request_are_not_kept() -> None:
    jar = CookieJar()
    assert jar.header(A, NOW, {"token": "secret"}) == "token=secret"
    assert sent(jar, "http://a.test/") is None and sent(jar, "http://b.test/") is None and len(jar) == 0


def test_c65_public_suffix_is_refused() -> None:
    jar = jar_of("x=1; Domain=co.uk", "y=1; Domain=.co.uk", "z=1; Domain=uk", url=URL("http://www.example.co.uk/"))
    assert len(jar) == 0
    jar.store(URL("http://co.uk/"), ["own=1; Domain=co.uk"], NOW)  # RFC 6265 5.3, step 5: the suffix itself, for itself
    assert [cookie.host_only for cookie in jar] == [True]
    assert sent(jar, "http://example.co.uk/") is None
    with pytest.raises(InvalidHeader):
        jar.set("x", "1", domain="co.uk", host_only=False)


def test_c65_the_installed_list_is_the_default() -> None:
    pytest.importorskip("publicsuffixlist")
    jar = CookieJar()
    jar.store(URL("http://me.github.io/"), ["x=1; Domain=github.io", "y=1; Domain=me.github.io"], NOW)
    assert [cookie.name for cookie in jar] == ["y"]


def test_c65_without_a_list_single_labels_are_still_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "publicsuffixlist", None)
    cookies_module._listed_suffixes.cache_clear()
    try:
        jar = CookieJar()
        jar.store(URL("http://www.example.com/"), ["x=1; Domain=com", "y=1; Domain=.com", "z=1; Domain=example.com"], NOW)
        assert [cookie.name for cookie in jar] == ["z"]
    finally:
        cookies_module._listed_suffixes.cache_clear()


def test_c65_a_trailing_dot_is_no_way_round_the_list() -> None:
    jar = jar_of("x=1; Domain=com.", "y=1; Domain=co.uk.", "z=1; Domain=a.co.uk.", url=URL("http://a.co.uk./"))
    assert len(jar) == 0


@pytest.mark.parametrize("code", [c for c in (*range(32), 127) if c not in (0, 9, 10, 13)])
def test_c74_control_characters_void_the_cookie(code: int) -> None:
    control = chr(code)
    for text in (f"x=a{control}b", f"x{control}=1", f"x=1; Path=/{control}", f"x=1; {control}", f"{control}x=1", f"x=1{control}"):
        assert len(jar_of(text)) == 0
        assert len(parse_response_cookies([text])) == 0


@pytest.mark.parametrize("control", ["\r", "\n", "\0", "\r\n", "\n\r\0"])
def test_c74_line_ends_end_the_pair_and_lose_no_attribute(control: str) -> None:
    (cookie,) = jar_of(f"x=a{control}Set-Cookie: y=1; Secure; HttpOnly", url=SECURE_A)
    assert (cookie.name, cookie.value, cookie.secure, cookie.http_only) == ("x", "a", True, True)
    assert len(jar_of(f"x=1; Path=/{control}a")) == 0
    assert len(jar_of(f"x{control}=1")) == 0
    assert parse_response_cookies([f"x=a{control}b"])["x"].value == "a"


def test_w25_values_are_never_decoded() -> None:
    for value in ("a%0d%0ab", "%00", '"a\\"b"', '"a\\015\\012b"', "a+b", "&#10", '"', "\\u000d"):
        jar = jar_of(f"x={value}")
        assert sent(jar, A) == f"x={value}"
        assert parse_response_cookies([f"x={value}"])["x"].value == value


def test_w25_unknown_same_site_is_ignored() -> None:
    jar = jar_of(
        "a=1; SameSite=StrictLax",
        "b=1; SameSite=strict; SameSite=sometimes",
        "c=1; SAMESITE=LAX",
        "d=1; SameSite=ſtrict",
        "e=1; SameSite",
    )
    assert [cookie.same_site for cookie in jar] == [None, "Strict", "Lax", None, None]


def test_limits_50_of_a_domain() -> None:
    jar = jar_of(*(f"c{i}=1" for i in range(MAX_PER_DOMAIN + 5)))
    assert len(jar) == MAX_PER_DOMAIN == 50
    assert [cookie.name for cookie in jar] == [f"c{i}" for i in range(5, 55)]
    jar.store(A, ["c5=again", "last=1"], NOW)  # a new value does not make a cookie younger
    assert [cookie.name for cookie in jar][:2] == ["c6", "c7"]
    jar.store(URL("http://b.test/"), ["other=1"], NOW)
    assert len(jar) == 51


def test_limits_expired_cookies_go_first() -> None:
    jar = jar_of("old=1", *(f"c{i}=1; Max-Age=10" for i in range(49)))
    jar.store(A, ["new=1"], NOW + 11)
    assert [cookie.name for cookie in jar] == ["old", "new"]


def test_limits_plain_cookies_do_not_push_out_secure_ones() -> None:
    jar = jar_of(*(f"s{i}=1; Secure" for i in range(10)), url=SECURE_A)
    jar.store(A, [f"c{i}=1" for i in range(200)], NOW)
    assert len(jar) == 50 and sum(cookie.secure for cookie in jar) == 10


def test_limits_3000_in_all() -> None:
    jar = CookieJar()
    for i in range(MAX_COOKIES // 50 + 2):
        jar.store(URL(f"http://h{i}.test/"), [f"c{j}=1" for j in range(50)], NOW)
    assert len(jar) == MAX_COOKIES == 3000
    assert sent(jar, "http://h1.test/") is None
    assert str(sent(jar, "http://h2.test/")).startswith("c0=1; c1=1")
    assert best_of(3, lambda: jar.store(URL("http://x.test/"), [f"y{j}=1" for j in range(50)], NOW)) < 0.05


def test_limits_4096_octets() -> None:
    assert len(jar_of("x=" + "a" * 4095)) == 1
    assert len(jar_of("x=" + "a" * 4096)) == 0
    assert len(jar_of("x=" + "é" * 2047)) == 1
    assert len(jar_of("x=" + "é" * 2048)) == 0  # octets, not characters
    assert len(jar_of("x" * 4096 + "=")) == 1
    assert len(jar_of("x=1; junk=" + "a" * 60000)) == 1


def test_limits_1024_octets_of_an_attribute() -> None:
    (fits,) = jar_of("x=1; Path=/" + "p" * 1023)
    assert len(fits.path) == 1024
    (cookie,) = jar_of("x=1; Path=/keep; Path=/" + "p" * 1024)
    assert cookie.path == "/keep"
    (cookie,) = jar_of("x=1; Path=/" + "é" * 512)
    assert cookie.path == "/"


# --- SEMANTICS.md, T17 ---


def test_t17_one_leading_dot_is_stripped_and_a_trailing_one_refused() -> None:
    www = URL("http://www.a.test/")
    assert [cookie.domain for cookie in jar_of("x=1; Domain=.a.test", url=www)] == ["a.test"]
    for domain in ("..a.test", "a.test.", ".a.test.", ".", "..", "a.test:80", "b.test", "w.a.test", ".test", "xa.test"):
        assert len(jar_of(f"x=1; Domain={domain}", url=www)) == 0, domain


def test_t17_letters_beyond_ascii_are_never_folded_into_ascii() -> None:
    kelvin, long_s = "\u212a", "\u017f"  # lower() and IGNORECASE would make them k and s
    assert len(jar_of(f"x=1; Domain={kelvin}.test", url=URL("http://www.k.test/"))) == 0
    (cookie,) = jar_of(f"x=1; {long_s}ecure; {long_s}amesite=lax", url=SECURE_A)
    assert not cookie.secure and cookie.same_site is None


def test_t17_domain_matches_on_a_label_boundary() -> None:
    assert host_matches("www.a.test", "a.test") and host_matches("a.test", "a.test")
    for host, domain in (("ba.test", "a.test"), ("a.test", "www.a.test"), ("a.test", ""), ("a.testx", "a.test"), ("", "a.test")):
        assert not host_matches(host, domain)


def test_t17_addresses_take_host_only_cookies() -> None:
    for host in ("127.0.0.1", "[::1]", "[fe80::1]"):
        url = URL(f"http://{host}/")
        jar = jar_of(
            "x=1", f"y=1; Domain={url.raw_host}", "z=1; Domain=0.0.1", "w=1; Domain=.127.0.0.1", "v=1; Domain=1", url=url
        )
        assert [(cookie.name, cookie.host_only) for cookie in jar] == [("x", True), ("y", True)]
        assert sent(jar, url) == "x=1; y=1"
    with pytest.raises(InvalidHeader):
        CookieJar().set("x", "1", domain="127.0.0.1", host_only=False)


def test_t17_an_address_is_below_no_domain() -> None:
    jar = jar_of("x=1; Domain=3.4", url=URL.build(scheme="http", host="x.3.4"))
    assert len(jar) == 0
    for domain in ("3.4", "1.2.3.4"):
        with pytest.raises(InvalidHeader):
            jar.set("x", "1", domain=domain, host_only=False)


def test_t17_default_path_is_the_folder_of_the_request() -> None:
    for path, default in (("", "/"), ("/", "/"), ("/a", "/"), ("/a/", "/a"), ("/a/b", "/a"), ("/a/b/?q=/c/d", "/a/b")):
        (cookie,) = jar_of("x=1", url=URL(f"http://a.test{path}"))
        assert cookie.path == default


def test_t17_path_matches_on_a_slash() -> None:
    for path in ("/x", "/x/", "/x/y"):
        assert path_matches(path, "/x") and path_matches(path, "/")
    for path in ("/xx", "/", "/X"):
        assert not path_matches(path, "/x")
    assert not path_matches("/x", "/x/")


def test_t17_max_age_beats_expires_and_deletes_at_zero() -> None:
    past, future = "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01 Jan 2099 00:00:00 GMT"
    (cookie,) = jar_of(f"x=1; Max-Age=60; Expires={past}")
    assert cookie.expires == NOW + 60
    for text in ("0", "-1", "-0", "-" + "9" * 500):
        jar = jar_of("x=1")
        jar.store(A, [f"x=2; Expires={future}; Max-Age={text}"], NOW)
        assert len(jar) == 0, text
    for text in ("", "-", "1x", "+5", "1_0", " 1 0", "٣", "0x1", "1.5", "--1"):
        (cookie,) = jar_of(f"x=1; Max-Age={text}")
        assert cookie.expires is None, text
    (cookie,) = jar_of("x=1; Max-Age=" + "9" * 1000)
    assert cookie.expires == 253402300799.0


def test_t17_secure_is_sent_over_tls_only_and_set_from_there_only() -> None:
    for scheme in ("https", "wss"):
        jar = jar_of("x=1; Secure", "y=2", url=URL(f"{scheme}://a.test/"))
        assert sent(jar, "https://a.test/") == sent(jar, "wss://a.test/") == "x=1; y=2"
        assert sent(jar, "http://a.test/") == sent(jar, "ws://a.test/") == "y=2"
    assert len(jar_of("x=1; Secure")) == 0


def test_t17_http_may_not_lay_a_cookie_over_a_secure_one() -> None:
    jar = jar_of("x=sec; Secure; Domain=a.test; Path=/login", url=URL("https://www.a.test/"))
    for url, text in (
        ("http://a.test/", "x=1; Path=/login"),
        ("http://www.a.test/", "x=1; Path=/login/deep"),
        ("http://a.test/", "x=1; Path=/login; Domain=a.test"),
        ("http://a.test/", "x=; Path=/login; Max-Age=0; Domain=a.test"),
    ):
        jar.store(URL(url), [text], NOW)
        assert [cookie.value for cookie in jar] == ["sec"], text
    jar.store(A, ["x=elsewhere; Path=/", "y=1; Path=/login"], NOW)
    assert sent(jar, "http://a.test/") == "x=elsewhere"
    sub = jar_of("x=sec; Secure", url=URL("https://www.a.test/"))
    sub.store(URL("http://b.a.test/"), ["x=over; Domain=a.test"], NOW)  # would reach www.a.test, and so lies over its cookie
    assert [cookie.value for cookie in sub] == ["sec"]
    sub.remove("x", domain="www.a.test")
    sub.store(URL("http://b.a.test/"), ["x=over; Domain=a.test"], NOW)
    assert [cookie.value for cookie in sub] == ["over"]


def test_t17_same_name_domain_and_path_overwrites_in_place() -> None:
    again = jar_of("x=1; Secure", "x=2; Secure", "x=3", url=SECURE_A)
    assert [cookie.value for cookie in again] == ["3"] and again._secure_names == {}
    jar = jar_of("x=1", "y=2", "x=3", "x=4; Path=/p")
    assert [(cookie.name, cookie.value, cookie.path) for cookie in jar] == [("x", "3", "/"), ("y", "2", "/"), ("x", "4", "/p")]
    assert sent(jar, "http://a.test/p") == "x=4; x=3; y=2"


def test_t17_duplicates_with_different_paths_are_both_stored_though_one_is_shown() -> None:
    fields = ["x=1; Path=/", "x=2; Path=/p"]
    assert len(jar_of(*fields)) == 2
    shown = parse_response_cookies(fields)
    assert (len(shown), shown["x"].value, shown["x"]["path"]) == (1, "2", "/p")


def test_t17_longer_paths_first_then_older_ones_over_all_domains() -> None:
    jar = jar_of("a=1; Domain=a.test", "b=2", "c=3; Path=/long; Domain=a.test", "d=4; Path=/long", url=URL("http://www.a.test/"))
    jar.store(URL("http://a.test/"), ["e=5; Domain=a.test", "no=1"], NOW)
    assert sent(jar, "http://www.a.test/long") == "c=3; d=4; a=1; b=2; e=5"


def test_t17_cookies_of_one_request_override_those_of_the_jar() -> None:
    jar = jar_of("a=1", "b=2", "c=3")
    assert jar.header(A, NOW, {"b": "mine", "d": "4"}) == "a=1; c=3; b=mine; d=4"
    assert jar.header(A, NOW, {}) == "a=1; b=2; c=3" == sent(jar, A)


@pytest.mark.parametrize(
    ("extra", "argument"),
    [
        ({"a": "x\r\ny"}, "cookies"),
        ({"a": "x;y"}, "cookies"),
        ({"a b": "1"}, "cookies name"),
        ({"": "1"}, "cookies name"),
        ({"a": 1}, "cookies"),
    ],
)
def test_t17_cookies_of_one_request_are_checked(extra: Any, argument: str) -> None:
    with pytest.raises(InvalidHeader) as caught:
        CookieJar().header(A, NOW, extra)
    assert caught.value.argument == argument


def test_t17_quotes_stay_as_received() -> None:
    assert sent(jar_of('x="a b, c"', "y='1'", 'z="'), A) == 'x="a b, c"; y=\'1\'; z="'


# --- names with a prefix (RFC 6265bis 4.1.3) ---


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("__Host-x=1; Secure; Path=/", True),
        ("__Host-x=1; Secure", False),
        ("__Host-x=1; Secure; Path=/; Domain=a.test", False),
        ("__Host-x=1; Secure; Path=/p", False),
        ("__HOST-x=1; Path=/", False),
        ("__Secure-x=1; Secure; Domain=a.test", True),
        ("__sEcUrE-x=1", False),
        ("__Hos=1", True),
        ("__Secure=1", True),
    ],
)
def test_prefixed_names(text: str, kept: bool) -> None:
    assert len(jar_of(text, url=SECURE_A)) == kept
    assert not text.startswith("__H") or "Secure" not in text or len(jar_of(text)) == 0


def test_prefixed_names_of_a_caller() -> None:
    jar = CookieJar(public_suffix=plain_list)
    jar.set("__Host-x", "1", domain="a.test", secure=True)
    for arguments in ({}, {"secure": True, "path": "/p"}, {"secure": True, "host_only": False}):
        with pytest.raises(InvalidHeader) as caught:
            jar.set("__host-x", "1", domain="a.test", **arguments)
        assert caught.value.argument == "name"


# --- what a caller sets ---


def test_set_and_send() -> None:
    jar = CookieJar(public_suffix=plain_list)
    cookie = jar.set("a", "1", domain="A.Test", path="/p", expires=NOW + 5, secure=True, http_only=True, same_site="lax")
    assert cookie == Cookie("a", "1", "a.test", "/p", NOW + 5, True, True, "Lax", True)
    jar.set("b", 'é "x"', domain="bücher.test", host_only=False)
    assert sent(jar, "http://www.bücher.test/") == 'b=é "x"'
    assert sent(jar, "https://a.test/p") == "a=1" and sent(jar, "https://a.test/p", NOW + 5) is None
    assert next(iter(jar)) == cookie


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a;b", "a\r\n", "é", "a\x00", None, b"a"])
def test_set_refuses_names(name: Any) -> None:
    with pytest.raises(InvalidHeader) as caught:
        CookieJar().set(name, "1", domain="a.test")
    assert caught.value.argument == "name"


@pytest.mark.parametrize(
    "value", ["a;b", "a\rb", "a\nb", "a\0b", "a\tb", "\x7f", "\x1f", "a" * 4096, "é" * 2048, "\ud800", None, b"a", 1]
)
def test_set_refuses_values(value: Any) -> None:
    with pytest.raises(InvalidHeader) as caught:
        CookieJar().set("x", value, domain="a.test")
    assert caught.value.argument == "value"
    with pytest.raises(InvalidHeader):
        check_cookie("x", value)


@pytest.mark.parametrize("expires", [float("nan"), float("inf"), True, "1", 10**400])
def test_set_refuses_times(expires: Any) -> None:
    with pytest.raises(InvalidHeader) as caught:
        CookieJar().set("x", "1", domain="a.test", expires=expires)
    assert caught.value.argument == "expires"


def test_one_str_is_not_a_list_of_fields() -> None:
    with pytest.raises(UsageError) as caught:
        CookieJar().store(A, "a=1", NOW)
    assert caught.value.argument == "set_cookie_values"
    with pytest.raises(UsageError):
        parse_response_cookies("a=1")


# --- the collection ---


def test_collection() -> None:
    jar = jar_of("a=1; Domain=a.test", "b=2; Path=/p", url=URL("http://www.a.test/"))
    jar.store(URL("http://ba.test/"), ["c=3"], NOW)
    assert len(jar) == 3 and [cookie.name for cookie in jar] == ["a", "b", "c"]
    for cookie in jar:  # removing while iterating
        assert cookie.name != "b" or jar.remove("b", domain="www.a.test", path="/p")
    assert not jar.remove("b", domain="www.a.test", path="/p")
    jar.clear("A.test")
    assert [cookie.name for cookie in jar] == ["c"]
    jar.clear()
    assert len(jar) == 0 and jar and sent(jar, "http://a.test/") is None


def test_discard_expired() -> None:
    jar = jar_of("a=1; Max-Age=10", "b=2; Max-Age=20", "c=3")
    jar.discard_expired(NOW + 9)
    assert len(jar) == 3
    assert sent(jar, A, NOW + 10) == "b=2; c=3" and len(jar) == 3
    jar.discard_expired(NOW + 10)
    assert [cookie.name for cookie in jar] == ["b", "c"]
    jar.discard_expired(NOW + 20)
    assert [cookie.name for cookie in jar] == ["c"]


def test_repr_shows_no_value() -> None:
    jar = jar_of("sid=s3cret; Secure; HttpOnly; SameSite=Lax; Max-Age=60; Domain=a.test", url=SECURE_A)
    assert repr(jar) == "<CookieJar 1 cookies: a.test 1>"
    assert repr(*jar) == "<Cookie sid=(6 characters) *.a.test/ secure http_only same_site=Lax expires=1750000060>"
    assert repr(CookieJar()) == "<CookieJar 0 cookies>"


def test_cookies_are_values() -> None:
    (cookie,) = jar_of("a=1")
    with pytest.raises(AttributeError):
        cookie.value = "2"  # type: ignore[misc]
    assert not hasattr(cookie, "__dict__")


def test_urls_without_cookies() -> None:
    jar = jar_of("a=1; Domain=a.test")
    for url in ("/relative", "ftp://a.test/", "file:///a.test", "http://" + "a." * 40000 + "test/", "ws://b.test"):
        jar.store(URL(url), ["x=1; Domain=test"] if "b.test" in url else ["x=1"], NOW)
        assert sent(jar, url) is None
    assert len(jar) == 1
    jar.store(URL("http://a.test/\ud800/", encoded=True), ["x=1"], NOW)
    jar.store(URL("http://a.test/\x01/", encoded=True), ["x=1"], NOW)
    assert len(jar) == 1


# --- http.cookies ---


def test_by_host() -> None:
    jar = jar_of(
        "foo=bar; Secure; HttpOnly; SameSite=Strict; Path=/p; Max-Age=60",
        "a[1]=2",
        'q="x y"',
        url=URL("https://postman-echo.com/p"),
    )
    jar.store(URL("https://www.postman-echo.com/"), ["wide=1; Domain=postman-echo.com"], NOW)
    hosts = jar.by_host()
    assert list(hosts) == ["postman-echo.com"]
    foo = hosts["postman-echo.com"]["foo"]
    assert (foo.value, foo["path"], foo["secure"], foo["httponly"], foo["samesite"]) == ("bar", "/p", True, True, "Strict")
    assert foo["expires"] == "Sun, 15 Jun 2025 15:07:40 GMT" and foo["domain"] == ""
    assert hosts["postman-echo.com"]["a[1]"].value == "2" and hosts["postman-echo.com"]["q"].value == '"x y"'
    assert hosts["postman-echo.com"]["wide"]["domain"] == "postman-echo.com"
    hosts.clear()
    assert len(jar) == 4


def test_parse_response_cookies() -> None:
    cookies = parse_response_cookies(
        [
            "a=1; Path=/x; Max-Age=5; Expires=Wed, 01 Jan 2020 00:00:00 GMT; Domain=.a.test",
            "bad",
            "path=2; secure",
            "b=;HttpOnly",
            "c d=4",
            "a=9",
        ]
    )
    assert {name: morsel.value for name, morsel in cookies.items()} == {"a": "9", "path": "2", "b": "", "c d": "4"}
    assert cookies["path"]["secure"] is True and cookies["b"]["httponly"] is True and cookies["b"]["secure"] == ""
    first = parse_response_cookies(["a=1; Path=/x; Max-Age=5; Expires=Wed, 01 Jan 2020 00:00:00 GMT; Domain=.a.test"])["a"]
    assert first.OutputString() == "a=1; Domain=.a.test; expires=Wed, 01 Jan 2020 00:00:00 GMT; Max-Age=5; Path=/x"
    assert len(parse_response_cookies([])) == 0


def test_the_library_does_not_load_http_cookies() -> None:
    code = "import sys, wirebird.models.cookies; sys.exit('http.cookies' in sys.modules or 'publicsuffixlist' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0


# --- JSON ---


def full_jar() -> CookieJar:
    return jar_of(
        "a=1",
        "a[1]=\té ",
        "b=2; Domain=a.test; Path=/p; Secure; HttpOnly; SameSite=None; Max-Age=60",
        "__Host-c=3; Secure; Path=/",
        url=SECURE_A,
    )


def test_json_keeps_everything() -> None:
    jar = full_jar()
    again = CookieJar.from_json(jar.to_json(), public_suffix=plain_list)
    assert list(again) == list(jar) and len(jar) == 4
    assert [cookie.created for cookie in again] == [1, 2, 3, 4]
    assert again.to_json() == jar.to_json()
    assert CookieJar.from_json(CookieJar().to_json()).to_json() == CookieJar().to_json()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        "{",
        '{"format": "other", "cookies": []}',
        '{"format": "wirebird-cookies-1"}',
        '{"format": "wirebird-cookies-1", "cookies": {}}',
        '{"format": "wirebird-cookies-1", "cookies": [1]}',
        '{"format": "wirebird-cookies-1", "cookies": [{}]}',
        "[" * 100_000,
        None,
        5,
    ],
    ids=lambda text: str(text)[:60],
)
def test_json_that_is_no_jar(text: Any) -> None:
    with pytest.raises(UsageError) as caught:
        CookieJar.from_json(text)
    assert caught.value.argument == "text"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "a=b"),
        ("name", "a\r\nb"),
        ("name", 1),
        ("name", "\ud800"),
        ("value", "a;b"),
        ("value", "a\nb"),
        ("value", "a" * 4096),
        ("value", None),
        ("domain", ""),
        ("domain", "A.test"),
        ("domain", ".a.test"),
        ("domain", "a.test/x"),
        ("domain", None),
        ("path", "x"),
        ("path", "/\0"),
        ("path", None),
        ("expires", "soon"),
        ("expires", True),
        ("expires", float("nan")),
        ("expires", float("inf")),
        ("expires", 10**400),
        ("secure", 1),
        ("http_only", None),
        ("host_only", "yes"),
        ("same_site", "strict"),
        ("same_site", []),
        ("extra", 1),
        ("created", 1),
    ],
)
def test_json_with_one_bad_field(field: str, value: Any) -> None:
    data = json.loads(full_jar().to_json())
    data["cookies"][1][field] = value
    with pytest.raises(UsageError) as caught:
        CookieJar.from_json(json.dumps(data))
    assert caught.value.argument == "text" and "1" in str(caught.value)


def test_json_with_a_broken_promise() -> None:
    data = json.loads(full_jar().to_json())
    data["cookies"][3]["secure"] = False  # __Host-c
    with pytest.raises(UsageError):
        CookieJar.from_json(json.dumps(data))
    data = json.loads(full_jar().to_json())
    data["cookies"][0].update(domain="1.2.3.4", host_only=False)
    with pytest.raises(UsageError):
        CookieJar.from_json(json.dumps(data))


def test_json_of_a_domain_that_became_public_leaves_that_cookie_out() -> None:
    text = full_jar().to_json()
    again = CookieJar.from_json(text, public_suffix=lambda domain: domain == "a.test")
    assert [cookie.name for cookie in again] == ["a", "a[1]", "__Host-c"]


def test_json_over_the_limits_is_cut() -> None:
    data = json.loads(jar_of("x=1").to_json())
    row = data["cookies"][0]
    data["cookies"] = [{**row, "name": f"c{i}"} for i in range(60)]
    assert len(CookieJar.from_json(json.dumps(data))) == 50


# --- files ---


def test_file_is_private_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "jar.json"
    path.write_text("old")
    path.chmod(0o644)
    save_cookies(full_jar(), path)
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(load_cookies(str(path))) == list(full_jar())
    assert list(tmp_path.iterdir()) == [path]


def test_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "jar").mkdir()
    with pytest.raises(OSError):
        save_cookies(full_jar(), tmp_path / "jar")
    assert list(tmp_path.iterdir()) == [tmp_path / "jar"]
    with pytest.raises(OSError):
        save_cookies(full_jar(), tmp_path / "missing" / "jar")
    with pytest.raises(OSError):
        load_cookies(tmp_path / "missing")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"# Netscape HTTP Cookie File", b"null"])
def test_file_that_is_no_jar(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "jar").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        load_cookies(tmp_path / "jar")
    assert caught.value.argument == "path"


# --- dates ---


@given(st.datetimes(datetime.datetime(1601, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59)))
def test_dates_round_trip(moment: datetime.datetime) -> None:
    moment = moment.replace(microsecond=0, tzinfo=datetime.UTC)
    seconds = (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)).total_seconds()
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    text = f"{days[moment.weekday()]}, {moment.day:02} {months[moment.month - 1]} {moment.year:04} {moment:%H:%M:%S} GMT"
    assert format_http_date(seconds) == text
    assert parse_cookie_date(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "30 Feb 2020 00:00:00",
        "29 Feb 2021 00:00:00",
        "29 Feb 1900 00:00:00",
        "31 Apr 2020 00:00:00",
        "00 Jan 2020 00:00:00",
        "1 Jan 1600 00:00:00",
        "1 Jan 2020 24:00:00",
        "1 Jan 2020 00:60:00",
        "1 Jan 2020 00:00:60",
        "1 Jan 2020 00:00:001",
        "١ Jan 2020 00:00:00",
        "1 Jan 2020 ٠0:00:00",
        "1 Jan ２０２０ 00:00:00",
        "Jan 2020 00:00:00",
        "1 2020 00:00:00",
        "1 Jan 00:00:00",
        "1 Jan 2020",
        "",
    ],
)
def test_dates_that_are_none(text: str) -> None:
    assert parse_cookie_date(text) is None


def test_dates_with_short_years() -> None:
    for year, full in (("69", 2069), ("70", 1970), ("99", 1999), ("00", 2000), ("017", 2017)):
        assert parse_cookie_date(f"1 Jan {year} 00:00:00") == parse_cookie_date(f"1 Jan {full} 00:00:00") is not None
    assert parse_cookie_date("29 Feb 2000 00:00:00") == 951782400.0


# --- whatever a peer sends ---

_WORDS = "a b = = ; ; , __Host- __secure- Path= / Domain= a.test .test Max-Age= 9 - Expires= Secure HttpOnly SameSite=Lax %0d é"
_pieces = st.sampled_from([*_WORDS.split(" "), *' \t\r\n\0\x7f"\\\ud800', "1 Jan 2099 00:00:00"])
_fields = st.lists(st.one_of(st.text(), st.lists(_pieces, max_size=16).map("".join)), max_size=6)
_urls = st.sampled_from(
    [A, SECURE_A, URL("https://www.a.test/x/y"), URL("wss://[::1]:8/"), URL("http://127.0.0.1/p/"), URL("http://test./")]
)


@settings(deadline=None, max_examples=examples(400))
@given(st.lists(st.tuples(_urls, _fields), max_size=4), st.floats(min_value=-1e12, max_value=1e12))
def test_any_text_is_taken_or_ignored(responses: list[tuple[URL, list[str]]], now: float) -> None:
    jar = CookieJar(public_suffix=plain_list)
    for url, fields in responses:
        jar.store(url, fields, now)
        parse_response_cookies(fields)
        for seen in (url, A, SECURE_A):
            header = jar.header(seen, now)
            if header is not None:
                header.encode()
                assert not set(header) & {"\r", "\n", "\0", "\x7f"} and header.count("; ") >= header.count(";")
    jar.by_host()
    again = CookieJar.from_json(jar.to_json(), public_suffix=plain_list)
    assert list(again) == list(jar)
    assert all(again.header(url, now) == jar.header(url, now) for url, _ in responses)
    assert sum(cookie.secure for cookie in jar) == sum(jar._secure_names.values())
    assert list(jar) == sorted(jar, key=lambda cookie: cookie.created)
    jar.clear()
    assert not jar._domains and not jar._secure_names


@settings(deadline=None)
@given(st.text(), st.text())
def test_any_text_of_a_caller_is_sent_as_it_is_or_refused(name: str, value: str) -> None:
    jar = CookieJar()
    try:
        jar.set(name, value, domain="a.test", secure=True)
    except InvalidHeader:
        with pytest.raises(InvalidHeader):
            jar.header(SECURE_A, NOW, {name: value})
    else:
        assert jar.header(SECURE_A, NOW) == f"{name}={value}" == CookieJar().header(SECURE_A, NOW, {name: value})


@settings(deadline=None, max_examples=examples(200))
@given(st.text())
def test_any_text_is_a_jar_or_a_usage_error(text: str) -> None:
    try:
        CookieJar.from_json(text)
    except UsageError as error:
        assert error.argument == "text"
