"""Which proxy an environment asks for: decided from the variables and the destination, with no loop and no look-up."""

from __future__ import annotations

import pytest

import wirebird
from wirebird.models.url import destination, parse_url
from wirebird.net.proxy import Proxy
from wirebird.net.proxy_environment import EnvironmentProxies, read_environment

A, B, C = "http://a.proxy:1", "http://b.proxy:2", "http://c.proxy:3"


def choose(environment: dict[str, str], url: str) -> str | None:
    proxy = EnvironmentProxies(environment).choose(destination(parse_url(url)))
    return None if proxy is None else proxy.url


def is_direct(exceptions: str, url: str) -> bool:
    return choose({"all_proxy": A, "no_proxy": exceptions}, url) is None


@pytest.mark.parametrize(
    ("environment", "plain", "secure"),
    [
        ({}, None, None),
        ({"http_proxy": A}, A, None),
        ({"HTTP_PROXY": A}, None, None),  # httpoxy: anybody who can send a request to a CGI program can set it
        ({"https_proxy": A}, None, A),
        ({"HTTPS_PROXY": A}, None, A),
        ({"https_proxy": A, "HTTPS_PROXY": B}, None, A),
        ({"https_proxy": "", "HTTPS_PROXY": B}, None, B),
        ({"all_proxy": A}, A, A),
        ({"ALL_PROXY": A}, A, A),
        ({"ALL_PROXY": A, "http_proxy": B, "HTTPS_PROXY": C}, B, C),
        ({"all_proxy": A, "HTTP_PROXY": B}, A, A),
        ({"http_proxy": " \t"}, None, None),
        ({"http_proxy": "a.proxy:1"}, A, None),
        ({"HTTP_PROXY": A, "http_proxy": A, "REQUEST_METHOD": "GET"}, None, None),  # Windows: both are one variable
        ({"HTTP_PROXY": f"{A} ", "http_proxy": f"{A} ", "REQUEST_METHOD": "GET"}, None, None),
        ({"HTTP_PROXY": B, "http_proxy": A, "REQUEST_METHOD": "GET"}, A, None),
        ({"HTTP_PROXY": A, "http_proxy": A}, A, None),
    ],
)
def test_variables(environment, plain, secure):
    assert choose(environment, "http://origin.example/") == choose(environment, "ws://origin.example/") == plain
    assert choose(environment, "https://origin.example/") == choose(environment, "wss://origin.example/") == secure
    assert (read_environment(environment) is None) == (plain is secure is None)


@pytest.mark.parametrize("entry", ["example.org", ".example.org", "*.example.org", "EXAMPLE.org", "example.org."])
@pytest.mark.parametrize(
    ("host", "direct"),
    [
        ("example.org", True),
        ("example.org.", True),
        ("EXAMPLE.ORG", True),
        ("www.example.org", True),
        ("a.b.example.org", True),
        ("notexample.org", False),
        ("example.org.evil.test", False),
        ("example.com", False),
        ("org", False),
    ],
)
def test_names_cover_what_is_under_them_and_nothing_else(entry, host, direct):
    for scheme in ("http", "https"):
        assert is_direct(entry, f"{scheme}://{host}/") is direct
        assert is_direct(f"other.test, {entry}", f"{scheme}://{host}:8080/x") is direct


@pytest.mark.parametrize(
    ("exceptions", "url", "direct"),
    [
        ("example.org:8080", "http://example.org:8080/", True),
        ("example.org:8080", "http://www.example.org:8080/", True),
        ("example.org:8080", "http://example.org/", False),
        ("example.org:80", "http://example.org/", True),
        ("example.org:443", "https://example.org/", True),
        ("example.org:443", "http://example.org/", False),
        (".example.org:80", "http://a.example.org/", True),
        ("10.1.2.3", "http://10.1.2.3/", True),
        ("10.1.2.3", "http://10.1.2.30/", False),
        ("10.1.2.3:81", "http://10.1.2.3:81/", True),
        ("10.1.2.3:81", "http://10.1.2.3:82/", False),
        ("10.0.0.0/8", "http://10.255.0.1/", True),
        ("10.0.0.0/8", "http://11.0.0.1/", False),
        ("10.1.2.3/8", "http://10.9.9.9/", True),
        ("0.0.0.0/0", "http://192.0.2.1/", True),
        ("0.0.0.0/0", "http://example.org/", False),  # names are not looked up
        ("0.0.0.0/0", "http://[2001:db8::1]/", False),
        ("10.0.0.0/8", "http://[::ffff:10.1.2.3]/", True),
        ("10.1.2.3", "http://[::ffff:a01:203]/", True),
        ("::1", "http://[::1]/", True),
        ("[::1]", "http://[::1]/", True),
        ("[::1]", "http://[0:0:0:0:0:0:0:1]:81/", True),
        ("[::1]:81", "http://[::1]:81/", True),
        ("[::1]:81", "http://[::1]:82/", False),
        ("2001:DB8::/32", "http://[2001:db8:1::5]/", True),
        ("2001:db8::/32", "http://[2001:db9::5]/", False),
        ("localhost", "http://localhost:9000/", True),
        ("localhost", "http://127.0.0.1:9000/", False),
        ("", "http://localhost/", False),
        (", ,,", "http://localhost/", False),
        ("*", "http://anything.example/", True),
        ("*", "https://[2001:db8::1]:99/", True),
        ("a.test,*", "https://10.0.0.1/", True),
        ("*:8080", "http://anything.example:8080/", True),
        ("*:8080", "http://anything.example/", False),
        ("a.test b.test\tc.test", "http://b.test/", True),
        ("bücher.example", "http://bücher.example/", True),
        ("bücher.example", "http://xn--bcher-kva.example/", True),
        ("xn--bcher-kva.example", "http://www.bücher.example/", True),
    ],
)
def test_exceptions(exceptions, url, direct):
    assert is_direct(exceptions, url) is direct


def test_lower_case_exceptions_come_first():
    environment = {"all_proxy": A, "no_proxy": "a.test", "NO_PROXY": "b.test"}
    assert choose(environment, "http://a.test/") is None
    assert choose(environment, "http://b.test/") == A
    del environment["no_proxy"]
    assert choose(environment, "http://a.test/") == A
    assert choose(environment, "http://b.test/") is None


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "value", ["ftp://x", "http://", "http://h:99999", "h:port", "http://u:secret@h/path", "//", "http://a b"]
)
def test_rubbish_is_named(name, value):
    with pytest.raises(wirebird.UsageError) as caught:
        EnvironmentProxies({name: value})
    assert caught.value.argument == name
    assert name in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
@pytest.mark.parametrize(
    "entry",
    [
        *(
            "10.0.0.0/33",
            "10.0.0.0/x",
            "/8",
            "example.org/24",
            "10.*",
            "*example.org",
            "a..b",
            ".",
            "*.",
            "a:b",
            "a:0",
            "a:65536",
        ),
        *(
            "a:1:2",
            "[::1",
            "::1]",
            "[10.0.0.1]",
            "[a]",
            "10.0.0.256",
            "127.1",
            "1.2.3",
            "http://a.test",
            "user@a.test",
            "a.test?x",
            "a\0b",
        ),
        *("a.test:", "[::1]:", "a.test:1_0", "a.test:１", "[::1]:x"),
    ],
)
def test_rubbish_in_exceptions_is_named(name, entry):
    with pytest.raises(wirebird.UsageError) as caught:
        EnvironmentProxies({"all_proxy": A, name: f"fine.test,{entry}"})
    assert caught.value.argument == name
    assert f"entry 2 of the environment variable {name}" in str(caught.value)


def test_rubbish_in_exceptions_is_not_shown():
    """Whoever mistakes it for the proxy's variable has a password in it."""
    for value in ("http://user:secret@proxy.test:1", "http://user:se,secret@proxy.test", "user:secret@proxy.test"):
        with pytest.raises(wirebird.UsageError) as caught:
            EnvironmentProxies({"no_proxy": value})
        assert "se" not in str(caught.value).replace("entry", "")


def test_the_environment_is_read_when_the_client_is_made(monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("all_proxy", "rubbish://x")
    with pytest.raises(wirebird.UsageError, match="all_proxy"):
        wirebird.HTTPClient(trust_env=True)
    assert wirebird.HTTPClient().settings.proxy is None
    explicit = wirebird.HTTPClient(proxy=B, trust_env=True)
    assert explicit.settings.proxy == Proxy(B)  # an explicit one wins, and the environment is not even read
    monkeypatch.setenv("all_proxy", A)
    client = wirebird.HTTPClient(trust_env=True)
    monkeypatch.setenv("all_proxy", C)
    assert client.settings.proxy.choose(destination(parse_url("http://x.test/"))) == Proxy(A)
    monkeypatch.delenv("all_proxy")
    assert wirebird.HTTPClient(trust_env=True).settings.proxy is None
    monkeypatch.setenv("all_proxy", A)
    assert wirebird.HTTPClient(wirebird.TCPConnector(uds="x.sock"), trust_env=True).settings.proxy is None


def test_nothing_shows_a_password():
    proxies = EnvironmentProxies({"all_proxy": "http://user:secret@a.proxy:1", "https_proxy": "https://user:secret@b.proxy"})
    assert "secret" not in repr(proxies)
    assert "a.proxy" in repr(proxies)
