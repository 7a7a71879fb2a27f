"""`wirebird.compat.aiohttp`'s small things: credentials, names of fields, media types, versions; beside those of aiohttp."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from multidict import istr
from yarl import URL

from wirebird.compat.aiohttp import hdrs, helpers, http, typedefs
from wirebird.errors import UsageError

theirs = importlib.import_module("aiohttp.helpers")


@pytest.fixture(params=[theirs, helpers], ids=["aiohttp", "wirebird"])
def module(request: pytest.FixtureRequest) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield request.param


def test_basic_auth(module: Any) -> None:
    auth = module.BasicAuth("nkim", "pässword")
    assert auth == ("nkim", "pässword", "latin1")
    assert (auth.login, auth.password, auth.encoding) == auth
    assert auth.encode() == "Basic bmtpbTpw5HNzd29yZA=="
    assert module.BasicAuth.decode(auth.encode()) == auth
    assert module.BasicAuth.decode("basic bmtpbTo=") == ("nkim", "", "latin1")
    assert module.BasicAuth.decode(module.BasicAuth("ä", "b", "utf-8").encode(), "utf-8").login == "ä"
    assert module.encode_basic_auth("a", "ä") == "Basic YTrDpA=="
    assert repr(auth) == "BasicAuth(login='nkim', password='pässword', encoding='latin1')"


@pytest.mark.parametrize("arguments", [(None,), ("a", None), ("a:b",)])
def test_basic_auth_that_cannot_be(module: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"."):
        module.BasicAuth(*arguments)


@pytest.mark.parametrize("value", ["", "Basic", "Bearer abc", "Basic abc", "Basic ???", "Basic YWJj"])
def test_authorization_that_is_none(module: Any, value: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        module.BasicAuth.decode(value)


def test_basic_auth_of_a_url(module: Any) -> None:
    assert module.BasicAuth.from_url(URL("http://a%40b:c%3Ad@x/")) == ("a@b", "c:d", "latin1")
    assert module.BasicAuth.from_url(URL("http://a@x/")) == ("a", "", "latin1")
    assert module.BasicAuth.from_url(URL("http://x/")) is None
    with pytest.raises(TypeError):
        module.BasicAuth.from_url("http://x/")
    with pytest.raises(ValueError, match=":"):
        module.BasicAuth.from_url(URL("http://a%3Ab@x/")).encode()
    assert module.strip_auth_from_url(URL("http://a:b@x/y")) == (URL("http://x/y"), ("a", "b", "latin1"))
    assert module.strip_auth_from_url(URL("http://x/y")) == (URL("http://x/y"), None)


def test_nothing_is_said_to_be_deprecated() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        helpers.BasicAuth("a")


def test_chained_mappings(module: Any) -> None:
    chained = module.ChainMapProxy([{"a": 1}, {"a": 2, "b": 3}])
    assert (chained["a"], chained["b"], chained.get("a"), chained.get("c"), chained.get("c", 5)) == (1, 3, 1, None, 5)
    assert (len(chained), sorted(chained), "b" in chained, "c" in chained) == (2, ["a", "b"], True, False)
    assert bool(chained)
    assert not module.ChainMapProxy([{}, {}])
    assert repr(chained) == "ChainMapProxy({'a': 1}, {'a': 2, 'b': 3})"
    with pytest.raises(KeyError):
        chained["c"]
    with pytest.raises(TypeError):
        type("Derived", (module.ChainMapProxy,), {})


def test_entity_tags(module: Any) -> None:
    assert repr(module.ETag("x")) == "ETag(value='x', is_weak=False)"
    assert module.ETag("x", True) == module.ETag("x", is_weak=True)
    assert hash(module.ETag("x")) == hash(module.ETag("x"))
    with pytest.raises(AttributeError):
        module.ETag("x").value = "y"


@pytest.mark.parametrize(
    "value",
    ["", "*", "text/html", "TEXT/html; Charset=UTF-8", 'a/b+c; x="y z"; x=2;;', "a", "a/b; c", "image/svg+xml", " a / b "],
)
def test_media_types_are_read_as_aiohttp_reads_them(value: str) -> None:
    expected, found = theirs.parse_mimetype(value), helpers.parse_mimetype(value)
    for name in ("type", "subtype", "suffix"):
        assert getattr(found, name) == getattr(expected, name)
    assert list(found.parameters.items()) == list(expected.parameters.items())


@pytest.mark.parametrize("quoted", [True, False])
@pytest.mark.parametrize("value", ["a", "a b", 'a"b\\c', "ä", "a\tb", "a/b", "日本"])
@pytest.mark.parametrize("key", ["name", "filename", "X"])
def test_dispositions_are_written_as_aiohttp_writes_them(quoted: bool, value: str, key: str) -> None:
    arguments: Any = {"quote_fields": quoted, key: value}
    assert helpers.content_disposition_header("form-data", **arguments) == theirs.content_disposition_header(
        "form-data", **arguments
    )


@pytest.mark.parametrize("host", [None, "", "1.2.3.4", "::1", "127.1", "a.b", "1.2.3.4.a", "2130706433"])
def test_addresses(host: str | None) -> None:
    assert helpers.is_ip_address(host) == theirs.is_ip_address(host)


@pytest.mark.parametrize("name", [None, "", "/a/b.txt", "<stdin>", 3, b"x"])
def test_names_of_files(name: Any) -> None:
    value = type("File", (), {"name": name})()
    assert helpers.guess_filename(value, "default") == theirs.guess_filename(value, "default")


def test_the_proxy_of_the_environment(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with pytest.raises(LookupError):
        module.get_env_proxy_for_url(URL("http://example.com/"))
    monkeypatch.setenv("http_proxy", "http://user:pass@proxy.example:3128")
    monkeypatch.setenv("no_proxy", "direct.example,.local")
    proxy, credentials = module.get_env_proxy_for_url(URL("http://example.com/"))
    assert str(proxy).rstrip("/") == "http://proxy.example:3128"
    assert credentials == ("user", "pass", "latin1")
    for url in ("https://example.com/", "http://direct.example/", "http://a.local/"):
        with pytest.raises(LookupError):
            module.get_env_proxy_for_url(URL(url))
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    assert module.get_env_proxy_for_url(URL("http://example.com/"))[1] is None


def test_an_environment_with_rubbish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "ftp://x")
    with pytest.raises(UsageError):
        helpers.get_env_proxy_for_url(URL("http://example.com/"))


def test_the_names_of_methods_and_fields() -> None:
    expected = {name: value for name, value in vars(importlib.import_module("aiohttp.hdrs")).items() if name.isupper()}
    assert {name: getattr(hdrs, name) for name in expected} == expected
    assert {name for name, value in expected.items() if isinstance(value, istr)} == {
        name for name in hdrs.__all__ if isinstance(getattr(hdrs, name), istr)
    }


def test_versions_and_phrases() -> None:
    other = importlib.import_module("aiohttp.http")
    assert http.HttpVersion11 == other.HttpVersion11 == (1, 1)
    assert http.HttpVersion10 < http.HttpVersion11
    assert repr(http.HttpVersion10) == repr(other.HttpVersion10)
    assert dict(http.RESPONSES) == dict(other.RESPONSES)
    assert "wirebird/" in http.SERVER_SOFTWARE


def test_types() -> None:
    other = importlib.import_module("aiohttp.typedefs")
    for name in typedefs.__all__:
        assert hasattr(other, name)
    assert typedefs.DEFAULT_JSON_ENCODER is other.DEFAULT_JSON_ENCODER
