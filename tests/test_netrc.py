"""Credentials from netrc files: by host name and nothing else (C24), and what becomes of a file that is none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import wirebird
from origin import Origin, run
from test_auth import drive, refusal, request_for
from wirebird.client.netrc_auth import environment_netrc

FILE = """\
# who we are
machine good.test login me password "my secret"
machine Upper.Test
    login upper
    account ignored
    password case
machine ::1 login six password p
macdef init
    cd /pub

machine only.test password p
"""
ME = "Basic bWU6bXkgc2VjcmV0"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "netrc"
    path.write_text(FILE)
    return path


def sent_to(auth: Any, url: str) -> str | None:
    request = request_for(url)
    [sent] = drive(auth, request)
    assert "authorization" not in request.headers
    return sent.headers.get("authorization")


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://good.test/", ME),
        ("https://good.test:8443/x?y=z", ME),
        ("http://GOOD.test/", ME),
        ("http://upper.test/", "Basic dXBwZXI6Y2FzZQ=="),
        ("http://[::1]:80/", "Basic c2l4OnA="),
        ("http://only.test/", "Basic OnA="),
        ("http://www.good.test/", None),
        ("http://good.test.evil.test/", None),
        ("http://evil.test/good.test", None),
        ("http://evil.test/?@good.test", None),
        ("http://evil.test/#@good.test", None),
        ("http://good.test@evil.test/", None),
        ("http://good.test:@evil.test/", None),
        ("http://good.test:80@evil.test/", None),
        # CVE-2024-47081: the host is good.test, and it is its credentials that go there.
        ("http://evil.test:@good.test/", ME),
        ("http://evil.test:80@good.test/", ME),
    ],
)
def test_the_host_alone_decides(file, url, wanted):
    assert sent_to(wirebird.NetrcAuth(file), url) == wanted


def test_default(tmp_path):
    path = tmp_path / "netrc"
    path.write_text("machine a.test login a password b\ndefault login d password e")
    auth = wirebird.NetrcAuth(str(path))
    assert sent_to(auth, "http://a.test/") == "Basic YTpi"
    assert sent_to(auth, "http://b.test/") == "Basic ZDpl"


def test_which_file(file, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("NETRC", raising=False)
    assert environment_netrc() is None
    with pytest.raises(wirebird.UsageError, match="No such file"):
        drive(wirebird.NetrcAuth(), request_for("http://good.test/"))
    (home / ".netrc").write_text("machine good.test login home password h")
    for auth in (wirebird.NetrcAuth(), environment_netrc()):
        assert sent_to(auth, "http://good.test/") == "Basic aG9tZTpo"
    monkeypatch.setenv("NETRC", str(file))
    for auth in (wirebird.NetrcAuth(), environment_netrc()):
        assert sent_to(auth, "http://good.test/") == ME
    (home / "other").write_text("machine good.test login other password o")
    monkeypatch.setenv("NETRC", "~/other")
    assert sent_to(environment_netrc(), "http://good.test/") == "Basic b3RoZXI6bw=="
    monkeypatch.setenv("NETRC", str(tmp_path / "missing"))
    with pytest.raises(wirebird.UsageError, match="missing"):  # named, so wanted
        drive(environment_netrc(), request_for("http://good.test/"))
    monkeypatch.setenv("NETRC", "")
    assert sent_to(environment_netrc(), "http://good.test/") == "Basic aG9tZTpo"


@pytest.mark.parametrize(
    "content",
    [
        b"machine",
        b"machine a.test login b sesame",
        b"machine a.test login b password sesame oops",
        b"sesame",
        b'machine good.test login "un\x00der" password sesame',
        b"machine good.test login co:lon password sesame",
        b'machine good.test login a password "sesame\nnext"',
        b"\x80\xff" * 10,
        b"x" * 1_100_000,
    ],
)
def test_a_file_that_is_none_is_named(tmp_path, content):
    path = tmp_path / "netrc"
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(wirebird.UsageError) as caught:
            drive(wirebird.NetrcAuth(path), request_for("http://good.test/"))
        assert (str(path) in str(caught.value), caught.value.argument) == (True, "file")
        error: BaseException | None = caught.value
        while error is not None:
            assert "sesame" not in str(error)
            error = error.__cause__


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "missing", tmp_path / "fifo", "nul\0"):
        with pytest.raises(wirebird.UsageError) as caught:
            drive(wirebird.NetrcAuth(path), request_for("http://good.test/"))
        assert caught.value.argument == "file"
    for wrong in (7, b"bytes", ["list"]):
        with pytest.raises(wirebird.UsageError):
            wirebird.NetrcAuth(wrong)  # type: ignore[arg-type]


def test_the_file_is_read_once_and_again_after_it_changed(file, monkeypatch):
    auth = wirebird.NetrcAuth(file)
    url = "http://good.test/"
    assert sent_to(auth, url) == ME
    monkeypatch.setattr("wirebird.client.netrc_auth.netrc", None)  # it would fail
    first, end = drive(auth, request_for(url), refusal())
    assert (first.headers["authorization"], end) == (ME, None)
    monkeypatch.undo()
    file.write_text("machine good.test login me password changed")
    assert sent_to(auth, url) == ME  # nobody refused it
    first, second, end = drive(auth, request_for(url), refusal(), refusal())
    assert [one.headers["authorization"] for one in (first, second)] == [ME, "Basic bWU6Y2hhbmdlZA=="]
    assert end is None
    file.write_text("machine other.test login me password p")
    first, end = drive(auth, request_for(url), refusal())
    assert end is None
    file.unlink()
    first, end = drive(auth, request_for(url), refusal())
    assert end is None


def test_on_the_wire(tmp_path):
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login me password p")

    async def main():
        async with Origin() as origin, wirebird.HTTPClient(auth=wirebird.NetrcAuth(path), follow=True) as client:
            await client.get(origin.url("/echo"))
            await client.get(origin.url("/echo", host="localhost"))
            assert [asked.headers.get("authorization") for asked in origin.asked] == ["Basic bWU6cA==", None]
            broken = wirebird.NetrcAuth(tmp_path)
            with pytest.raises(wirebird.UsageError):
                await client.get(origin.url("/echo"), auth=broken)
            assert len(origin.asked) == 2

    run(main)


def test_a_client_that_trusts_its_environment_reads_netrc(tmp_path, monkeypatch):
    file = tmp_path / "netrc"
    file.write_text("machine 127.0.0.1 login ada password lovelace\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))

    async def main():
        async with Origin() as origin:
            for trusts, auth, expected in ((True, None, "Basic YWRhOmxvdmVsYWNl"), (False, None, None), (True, False, None)):
                async with wirebird.HTTPClient(trust_env=trusts, auth=auth) as client:
                    response = await client.get(origin.url("/echo"))
                    assert (await response.json())["headers"].get("authorization") == expected

    run(main)
