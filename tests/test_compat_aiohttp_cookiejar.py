"""`wirebird.compat.aiohttp`'s cookie jars: the same assertions for aiohttp's own and for ours, and where ours is stricter."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import pickle
import stat
import time
from http.cookies import CookieError, Morsel, SimpleCookie
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from wirebird.compat.aiohttp import cookiejar as ours
from wirebird.errors import UsageError

theirs = importlib.import_module("aiohttp.cookiejar")
BOTH = [theirs, ours]
needs_list = pytest.mark.skipif(find_spec("publicsuffixlist") is None, reason="publicsuffixlist is not installed")
HOST = URL("https://www.example.com/a/b")


@pytest.fixture(params=BOTH, ids=["aiohttp", "wirebird"])
def module(request: pytest.FixtureRequest) -> Any:
    return request.param


def jar(module: Any, **options: Any) -> Any:
    async def make() -> Any:
        return module.CookieJar(**options)

    return asyncio.run(make())


def to(made: Any, url: str | URL) -> dict[str, str]:
    """What is sent where: names and what stands behind the `=`."""
    return {name: morsel.coded_value for name, morsel in made.filter_cookies(URL(url)).items()}


def morsels(made: Any) -> list[tuple[str, str, str, str]]:
    return sorted((one.key, one.value, one["domain"], one["path"]) for one in made)


# -- what a response sets ------------------------------------------------------------------------------------------------------

SET: list[tuple[str, str, list[str], dict[str, dict[str, str]]]] = [
    ("host only", "https://a.example.com/", ["x=1"], {"https://a.example.com/": {"x": "1"}, "https://b.a.example.com/": {}}),
    (
        "domain",
        "https://a.example.com/",
        ["x=1; Domain=example.com"],
        {"https://example.com/": {"x": "1"}, "https://c.b.example.com/": {"x": "1"}, "https://badexample.com/": {}},
    ),
    ("dotted domain", "https://a.example.com/", ["x=1; Domain=.example.com"], {"https://b.example.com/": {"x": "1"}}),
    (
        "domain of others",
        "https://a.example.com/",
        ["x=1; Domain=b.example.com", "y=1; Domain=example.org"],
        {"https://b.example.com/": {}, "https://example.org/": {}},
    ),
    (
        "path",
        "https://example.com/",
        ["x=1; Path=/a"],
        {"https://example.com/a": {"x": "1"}, "https://example.com/a/b": {"x": "1"}, "https://example.com/ab": {}},
    ),
    ("default path", "https://example.com/a/b", ["x=1"], {"https://example.com/a/c": {"x": "1"}, "https://example.com/": {}}),
    (
        "secure",
        "https://example.com/",
        ["x=1; Secure"],
        {"https://example.com/": {"x": "1"}, "http://example.com/": {}, "wss://example.com/": {"x": "1"}},
    ),
    (
        "deleted",
        "https://example.com/",
        ["x=1", "x=2; Max-Age=0", "y=1", "y=2; Expires=Fri, 01 Jan 1971 00:00:00 GMT"],
        {"https://example.com/": {}},
    ),
    (
        "kept",
        "https://example.com/",
        ["x=1; Max-Age=100", "y=2; Expires=Fri, 01 Jan 2100 00:00:00 GMT"],
        {"https://example.com/": {"x": "1", "y": "2"}},
    ),
    ("quoted", "https://example.com/", ['x="a b"', 'y="1"'], {"https://example.com/": {"x": '"a b"', "y": '"1"'}}),
    (
        "longer path wins",
        "https://example.com/",
        ["x=1; Path=/", "x=2; Path=/a"],
        {"https://example.com/a": {"x": "2"}, "https://example.com/": {"x": "1"}},
    ),
    ("address", "https://127.0.0.1/", ["x=1"], {"https://127.0.0.1/": {}}),
    ("odd name", "https://example.com/", ["a[1]=1"], {"https://example.com/": {"a[1]": "1"}}),
]


@pytest.mark.parametrize(("url", "fields", "expected"), [case[1:] for case in SET], ids=[case[0] for case in SET])
def test_what_a_response_sets(module: Any, url: str, fields: list[str], expected: dict[str, dict[str, str]]) -> None:
    made = jar(module)
    made.update_cookies_from_headers(fields, URL(url))
    assert {target: to(made, target) for target in expected} == expected


def test_an_unsafe_jar_takes_those_of_addresses(module: Any) -> None:
    for url in ("http://127.0.0.1:80/", "http://[::1]/"):
        made = jar(module, unsafe=True)
        assert made.unsafe
        made.update_cookies_from_headers(["x=1"], URL(url))
        made.update_cookies({"y": "2"}, URL(url))
        assert to(made, url) == {"x": "1", "y": "2"}
        assert to(made, "http://127.0.0.2/") == {}


def test_origins_that_count_as_secure(module: Any) -> None:
    made = jar(module, treat_as_secure_origin=["http://dev.example.com:8080/x", URL("http://other.example.com")])
    assert made.treat_as_secure_origin == {URL("http://dev.example.com:8080"), URL("http://other.example.com")}
    made.update_cookies_from_headers(["x=1; Secure"], URL("http://dev.example.com:8080/"))
    assert to(made, "http://dev.example.com:8080/") == {"x": "1"}
    assert to(made, "http://dev.example.com/") == {}
    assert jar(module, treat_as_secure_origin=URL("http://a/b")).treat_as_secure_origin == {URL("http://a")}
    assert jar(module).treat_as_secure_origin == frozenset()


# -- what a caller sets --------------------------------------------------------------------------------------------------------


def given() -> list[Any]:
    cookie = SimpleCookie()
    cookie["x"] = "1"
    return [{"x": "1"}, [("x", "1")], cookie, {"x": cookie["x"]}, [("x", cookie["x"])]]


@pytest.mark.parametrize("number", range(5))
def test_ways_to_give_cookies(module: Any, number: int) -> None:
    made = jar(module)
    made.update_cookies(given()[number], HOST)
    assert to(made, "https://www.example.com/a/") == {"x": "1"}
    assert to(made, "https://example.com/a/") == {}
    assert morsels(made) == [("x", "1", "www.example.com", "/a")]


def test_those_without_a_url_are_for_every_host(module: Any) -> None:
    made = jar(module)
    made.update_cookies({"x": "1", "y": "a b"})
    assert to(made, "http://a.example/") == {"x": "1", "y": '"a b"'}
    assert to(made, "https://b.example/c/d") == {"x": "1", "y": '"a b"'}
    assert len(made) == 2
    made.update_cookies_from_headers(["x=2; Path=/c"], URL("https://b.example/c/d"))
    assert to(made, "https://b.example/c/d")["x"] == "2"
    assert to(made, "http://a.example/")["x"] == "1"
    cookie = SimpleCookie("z=3; Domain=example.com; Path=/")
    made.update_cookies(cookie)
    assert to(made, "https://www.example.com/")["z"] == "3"
    assert "z" not in to(made, "https://example.org/")


def test_values_with_quotes(module: Any) -> None:
    for quote, expected in ((True, '"a b"'), (False, "a b")):
        made = jar(module, quote_cookie=quote)
        assert made.quote_cookie == quote
        made.update_cookies({"x": "a b"}, HOST)
        assert to(made, HOST) == {"x": expected}
        assert made.filter_cookies(HOST)["x"].value == "a b"
        assert [one.value for one in made] == ["a b"]


def test_a_value_that_came_without_quotes_is_sent_without() -> None:
    for quote in (True, False):
        made = jar(ours, quote_cookie=quote)
        made.update_cookies_from_headers(["x=a/b=="], HOST)
        assert to(made, HOST) == {"x": "a/b=="}


def test_a_name_that_may_not_be_one(module: Any) -> None:
    with pytest.raises(CookieError):
        jar(module).update_cookies({"a b": "1"}, HOST)


@pytest.mark.parametrize("text", ["a\r\nX: y", "a\0b", "a;b", "\ud800"])
@pytest.mark.parametrize("place", ["key", "coded_value", "path", "samesite"])
def test_what_could_not_be_sent_is_not_kept(text: str, place: str) -> None:
    morsel: Morsel[str] = Morsel()
    state = {"key": "x", "value": "1", "coded_value": "1"}
    if place in state:
        state[place] = text
    morsel.__setstate__(state)  # type: ignore[attr-defined]
    if place not in state:
        try:
            morsel[place] = f"/{text}"
        except CookieError:
            pytest.skip("http.cookies refuses it")
    for url in (URL(), HOST):
        made = jar(ours)
        made.update_cookies({"x": morsel}, url)
        assert len(made) == 0


def test_what_is_in_quotes_cannot_break_out_of_a_field() -> None:
    made = jar(ours, quote_cookie=False)
    made.update_cookies_from_headers(['x="a\\012b"', 'y="a\\073 z=1"'], HOST)
    assert to(made, HOST) == {"x": '"a\\012b"', "y": '"a\\073 z=1"'}


# -- stricter ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("http://example.com/", "x=1; Secure"),
        ("https://www.example.com/", "__Host-x=1; Secure; Domain=example.com; Path=/"),
        ("https://example.com/", "__Secure-x=1"),
        pytest.param("https://example.co.uk/", "x=1; Domain=co.uk", marks=needs_list),
        ("https://example.com/", "x=1; Domain=com"),
        ("https://example.com/", "=__Host-x"),
        ("https://example.com/", "x=\x01"),
    ],
)
def test_what_a_response_may_not_set(url: str, field: str) -> None:
    made = jar(ours)
    made.update_cookies_from_headers([field], URL(url))
    assert len(made) == 0


def test_a_plain_response_does_not_lay_a_cookie_over_a_secure_one() -> None:
    made = jar(ours)
    made.update_cookies_from_headers(["x=1; Secure"], URL("https://example.com/"))
    made.update_cookies_from_headers(["x=2"], URL("http://example.com/"))
    assert to(made, "https://example.com/") == {"x": "1"}


def test_the_program_may_set_a_secure_cookie_for_a_plain_url(module: Any) -> None:
    made = jar(module)
    cookie = SimpleCookie("x=1; Secure")
    made.update_cookies(cookie, URL("http://example.com/"))
    assert to(made, "https://example.com/") == {"x": "1"}
    assert to(made, "http://example.com/") == {}


def test_the_number_is_bounded() -> None:
    made = jar(ours)
    for number in range(200):
        made.update_cookies_from_headers([f"x{number}=1"], URL("https://example.com/"))
    assert len(made) == 50


def test_hostile_fields_raise_nothing_and_take_no_time() -> None:
    made = jar(ours)
    began = time.process_time()
    made.update_cookies_from_headers(['x="' + "\\" * 60_000, "y" * 100_000, "; " * 50_000, 'z="' + "\\" * 4000 + '"'] * 20, HOST)
    to(made, HOST)
    assert time.process_time() - began < 0.5


# -- the jar as a collection ---------------------------------------------------------------------------------------------------


def filled(module: Any) -> Any:
    made = jar(module)
    made.update_cookies({"shared": "0"})
    made.update_cookies_from_headers(["a=1; Path=/", "b=2; Domain=example.com; Path=/"], URL("https://www.example.com/"))
    made.update_cookies_from_headers(["c=3; Path=/x; HttpOnly; Secure; Max-Age=1000"], URL("https://example.org/"))
    return made


def test_what_is_in_it(module: Any) -> None:
    made = filled(module)
    assert len(made) == 4
    assert bool(made)
    assert not jar(module)
    assert morsels(made) == [
        ("a", "1", "www.example.com", "/"),
        ("b", "2", "example.com", "/"),
        ("c", "3", "example.org", "/x"),
        ("shared", "0", "", "/"),
    ]
    assert set(made.cookies) == {("", ""), ("www.example.com", ""), ("example.com", ""), ("example.org", "/x")}
    assert made.cookies["example.org", "/x"]["c"]["httponly"]
    assert made.host_only_cookies == {("www.example.com", "", "a"), ("example.org", "/x", "c")}
    with pytest.raises(TypeError):
        made.cookies["x"] = 1


def test_clearing(module: Any) -> None:
    made = filled(module)
    made.clear(lambda morsel: morsel["domain"] == "example.org")
    assert [one[0] for one in morsels(made)] == ["a", "b", "shared"]
    made.clear_domain("example.com")
    assert [one[0] for one in morsels(made)] == ["shared"]
    made.clear(lambda morsel: morsel.key == "shared")
    assert len(made) == 0
    made = filled(module)
    made.clear()
    assert len(made) == 0
    assert to(made, "https://www.example.com/") == {}


def test_expired_cookies_go(module: Any) -> None:
    made = jar(module)
    made.update_cookies_from_headers(["x=1; Max-Age=1", "y=1"], HOST)
    later = time.time() + 10
    patch = pytest.MonkeyPatch()
    with patch.context() as patched:
        patched.setattr(time, "time", lambda: later)
        assert [one[0] for one in morsels(made)] == ["y"]
        assert to(made, HOST) == {"y": "1"}


# -- as a file -----------------------------------------------------------------------------------------------------------------


def look(made: Any) -> Any:
    urls = [
        "https://www.example.com/",
        "https://sub.www.example.com/",
        "https://example.com/",
        "https://example.org/x",
        "http://example.org/x",
        "https://other.test/",
    ]
    return morsels(made), [to(made, url) for url in urls], made.host_only_cookies


@pytest.mark.parametrize("writer", BOTH, ids=["from aiohttp", "from wirebird"])
@pytest.mark.parametrize("reader", BOTH, ids=["to aiohttp", "to wirebird"])
def test_files_can_be_read_by_both(writer: Any, reader: Any, tmp_path: Path) -> None:
    path = tmp_path / "cookies.json"
    made = filled(writer)
    made.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    loaded = jar(reader)
    loaded.update_cookies({"gone": "1"})
    loaded.load(str(path))
    assert look(loaded) == look(made)


def test_a_saved_cookie_expires_when_it_would_have(tmp_path: Path) -> None:
    made = filled(ours)
    made.save(tmp_path / "f")
    later = time.time() + 2000
    patch = pytest.MonkeyPatch()
    with patch.context() as patched:
        patched.setattr(time, "time", lambda: later)
        loaded = jar(ours)
        loaded.load(tmp_path / "f")
        assert [one[0] for one in morsels(loaded)] == ["a", "b", "shared"]


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("executed",))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"1",
        b"{",
        b"\xff",
        b'{"a|/": []}',
        b'{"a|/": {"x": {}}}',
        b'{"a|/": {"x": {"key": "x", "value": "1", "coded_value": 1}}}',
        b'{"a|/": {"x": {"key": "x", "value": "1", "coded_value": "1\\r\\n"}}}',
        b'{"a|/": {"x": {"key": "x", "value": "1", "coded_value": "1", "expires_timestamp": "x"}}}',
        b'{"a|/": {"x": {"key": "x", "value": "1", "coded_value": "1", "expires_timestamp": NaN}}}',
        b'{"a|/": {"x": {"key": "x", "value": "1", "coded_value": "1", "path": 1}}}',
        b'{"a|/": ' + b"[" * 5000,
        pickle.dumps({("a", "/"): SimpleCookie("a=b")}),
        pickle.dumps(Evil()),
    ],
)
def test_other_files_are_refused(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "f"
    path.write_bytes(content)
    made = filled(ours)
    before = look(made)
    with pytest.raises(UsageError):
        made.load(path)
    assert look(made) == before
    assert capsys.readouterr().out == ""
    with pytest.raises(FileNotFoundError):
        made.load(tmp_path / "none")


def test_a_file_widens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "f"
    row = {"key": "x", "value": "1", "coded_value": "1"}
    path.write_text(json.dumps({"com|": {"x": row}, "1.2.3.4|": {"y": row | {"key": "y"}}}))
    made = jar(ours)
    made.load(path)
    assert to(made, "https://example.com/") == {}
    assert to(made, "https://1.2.3.4/") == {}


# -- the dummy, and the shape --------------------------------------------------------------------------------------------------


def test_the_dummy_keeps_nothing(module: Any) -> None:
    async def make() -> Any:
        return module.DummyCookieJar()

    made = asyncio.run(make())
    made.update_cookies({"x": "1"})
    made.update_cookies_from_headers(["x=1"], HOST)
    made.clear()
    made.clear_domain("a")
    assert len(made) == 0
    assert list(made) == []
    assert dict(made.filter_cookies(HOST)) == {}
    assert (made.unsafe, made.quote_cookie, dict(made.cookies), made.host_only_cookies) == (False, True, {}, frozenset())


def test_a_jar_of_the_callers_own() -> None:
    class Own(ours.AbstractCookieJar):
        unsafe = quote_cookie = cookies = host_only_cookies = None  # type: ignore[assignment]
        clear = clear_domain = filter_cookies = __iter__ = __len__ = None  # type: ignore[assignment]

        def update_cookies(self, cookies: Any, response_url: URL = URL()) -> None:
            self.got = {name: morsel.value for name, morsel in cookies.items()}, response_url

    made = Own()
    made.update_cookies_from_headers(['x="a b"', "y=1"], HOST)
    assert made.got == ({"x": "a b", "y": "1"}, HOST)


def test_the_cookies_of_a_response_are_without_quotes() -> None:
    found = ours.response_cookies(['x="a b"; Path=/; Secure', "y=1"])
    assert {name: morsel.value for name, morsel in found.items()} == {"x": "a b", "y": "1"}
    assert found["x"].coded_value == '"a b"'
    assert found["x"]["secure"]


def test_a_jar_can_be_made_outside_a_loop() -> None:
    assert len(ours.CookieJar()) == 0
    assert len(ours.DummyCookieJar()) == 0


def test_the_shape_is_that_of_aiohttp() -> None:
    for name in theirs.__all__:
        expected, found = getattr(theirs, name), getattr(ours, name)
        assert [base.__name__ for base in found.__mro__[:2]] == [base.__name__ for base in expected.__mro__[:2]]
        for method, function in inspect.getmembers(expected, inspect.isfunction):
            if not method.startswith("_") or (method == "__init__" and name == "CookieJar"):
                one, other = (inspect.signature(getattr(cls, method)).parameters.values() for cls in (expected, found))
                assert [(p.name, p.kind, p.default) for p in other] == [(p.name, p.kind, p.default) for p in one], (name, method)
    abstract = importlib.import_module("aiohttp.abc").AbstractCookieJar
    assert ours.AbstractCookieJar.__abstractmethods__ == abstract.__abstractmethods__
