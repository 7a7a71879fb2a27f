"""`Request.to_curl`: the real curl, run by a real shell, sends what the client sends."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import example, given, settings
from hypothesis import strategies as st

import wirebird
from effort import examples
from origin import Asked, Origin, pattern, run
from wirebird import Exchange, HTTPClient, HttpHeaders, Request
from wirebird.models.url import destination, parse_url

needs_curl = pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash")


def shell(command: str, given: bytes = b"") -> bytes:
    # `-s` in front of the rest: no progress meter, no other change.
    quiet = command.replace("curl --http1.1", "curl --silent --show-error --max-time 10 --http1.1", 1)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".sh") as script:  # some are too long for an argument
        script.write(quiet)
        script.flush()
        return subprocess.run(["bash", script.name], input=given, capture_output=True, check=True, timeout=20).stdout


def seen(asked: Asked) -> dict[str, Any]:
    fields = sorted((name.lower(), value) for name, value in asked.headers.items())
    return {"method": asked.method, "target": asked.target, "headers": fields, "body": asked.body}


async def compare(origin: Origin, client: HTTPClient, path: str, method: str = "GET", given: bytes = b"", **said: Any) -> str:
    """Ask by the client, then by its request's command, and see that it is the same to the origin; gives the command."""
    response = await client.request(origin.url(path), method, **said)
    command = response.request.to_curl(hide=False)
    before = len(origin.asked)
    await asyncio.to_thread(shell, command, given)
    assert len(origin.asked) == before + 1
    assert origin.faults == []
    assert seen(origin.asked[-1]) == seen(origin.asked[-2]), command
    return command


# -- the real thing --------------------------------------------------------------------------------------------------------


@needs_curl
@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("GET", "/anything", {}),
        ("GET", "/anything/a%20b?x=1&x=2&y=%26", {}),
        ("GET", "/anything/{a,b}[1-3]?q=[1]&r={}", {}),
        (
            "GET",
            "/anything",
            {"headers": {"Quote": 'it\'s "quoted" $HOME `id` \\ !x', "Tab": "a\tb", "Empty": "", "Umlaut": "grüße"}},
        ),
        ("GET", "/anything", {"headers": [("Twice", "a"), ("Twice", "b")]}),
        ("GET", "/anything", {"auth": ("user", "pass:word")}),
        ("GET", "/anything", {"headers": {"Host": "other.example"}}),
        ("GET", "/anything", {"headers": {"Connection": "close"}}),
        ("GET", "/anything", {"data": b"a body"}),
        ("HEAD", "/anything", {}),
        ("OPTIONS", "/anything", {}),
        ("DELETE", "/anything", {}),
        ("PATCH", "/anything", {"json": {"a": [1, None, "ü"]}}),
        ("POST", "/anything", {}),
        ("POST", "/anything", {"data": b""}),
        ("POST", "/anything", {"data": {"a": "b & c", "d": "@e"}}),
        ("POST", "/anything", {"data": b"@/etc/hostname"}),
        ("POST", "/anything", {"data": "one\ntwo\r\n'three'"}),
        ("POST", "/anything", {"data": bytes(range(1, 256))}),
        ("POST", "/anything", {"data": bytes(range(256)) * 3}),
        ("POST", "/anything", {"data": b"%s %d \\n %% \0 '"}),
        ("POST", "/anything", {"data": pattern(100_000)}),
        ("POST", "/anything", {"data": b"a\0b" * 100_000}),
        ("POST", "/anything", {"data": b"abc", "headers": {"Transfer-Encoding": "chunked"}}),
        ("POST", "/anything", {"data": b"abc", "headers": {"Expect": "100-continue"}}),
        ("PUT", "/anything", {"data": b"x" * 1_200_000}),  # for which curl would say Expect
        ("X-ODD'METHOD", "/anything", {}),
    ],
)
def test_curl_sends_the_same(method: str, path: str, said: dict[str, Any]) -> None:
    async def main() -> None:
        async with Origin() as origin, HTTPClient() as client:
            await compare(origin, client, path, method, **said)

    run(main)


@needs_curl
def test_what_an_observer_sees_has_the_cookies() -> None:
    """They are added on the way, and taken off again."""

    async def main() -> None:
        commands: list[str] = []

        def note(exchange: Exchange, phase: str) -> None:
            if phase == "done":
                commands.append(exchange.request.to_curl(hide=False))

        async with Origin() as origin, HTTPClient(observers=[note]) as client:
            await client.get(origin.url("/anything"), cookies={"a": "b", "c": "d"})
            assert "'Cookie: a=b; c=d'" in commands[0]
            await asyncio.to_thread(shell, commands[0])
            assert seen(origin.asked[-1]) == seen(origin.asked[-2])

    run(main)


@needs_curl
def test_a_client_without_its_usual_headers() -> None:
    async def main() -> None:
        async with Origin() as origin, HTTPClient(auto_decompress=False) as client:

            async def bare(request: Request, handler: Any) -> Any:
                del request.headers["User-Agent"], request.headers["Accept"]
                request.headers.popall("Content-Type", None)
                return await handler(request)

            async with HTTPClient(auto_decompress=False, middlewares=[bare]) as bare_client:
                command = await compare(origin, bare_client, "/anything", "POST", data=b"abc")
                assert "--header User-Agent: --header Accept: --header Content-Type: " in command
            assert "--compressed" not in await compare(origin, client, "/anything")

    run(main)


@needs_curl
def test_a_coded_response_is_decoded_by_curl_as_well() -> None:
    async def main() -> None:
        async with Origin() as origin, HTTPClient(headers={"Accept-Encoding": "gzip"}) as client:
            response = await client.get(origin.url("/coded/gzip"))
            command = response.request.to_curl()
            assert "--compressed" in command
            assert await asyncio.to_thread(shell, command) == await response.content()

    run(main)


@needs_curl
@pytest.mark.parametrize("encoded", ["/anything/../b/./c", "/anything//b/.."])
def test_a_path_that_is_sent_as_it_is(encoded: str) -> None:
    async def main() -> None:
        from yarl import URL

        async with Origin() as origin, HTTPClient() as client:
            response = await client.get(URL(origin.url(encoded), encoded=True))
            assert origin.asked[-1].target == encoded
            await asyncio.to_thread(shell, response.request.to_curl())
            assert seen(origin.asked[-1]) == seen(origin.asked[-2])

    run(main)


@needs_curl
def test_a_file_is_read_by_its_name_and_a_stream_from_standard_input(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "it's a file"
        path.write_bytes(pattern(5000))
        async with Origin() as origin, HTTPClient() as client:
            command = await compare(origin, client, "/anything", "POST", data=path.open("rb"))
            assert "--data-binary '@" in command
            command = await compare(origin, client, "/anything", "POST", pattern(3000), data=iter([pattern(3000)]))
            assert "--data-binary @-" in command
            assert "Transfer-Encoding: chunked" in command

    run(main)


@needs_curl
def test_a_certificate_that_is_not_verified() -> None:
    async def main() -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        trustme.CA().issue_cert("elsewhere.example").configure_cert(context)
        async with Origin(tls=context) as origin, HTTPClient() as client:
            command = await compare(origin, client, "/anything", verify=False)
            assert " --insecure " in command

    run(main)


_value = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters="\x7f"), max_size=30).map(
    lambda text: text.strip(" \t")
)
_name = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.!#$%&'*+^`|~", min_size=1, max_size=12).map("X-".__add__)


@needs_curl
@settings(max_examples=examples(12))
@given(st.lists(st.tuples(_name, _value), max_size=6), st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
@example([("X-A", "@file"), ("X-B", ";"), ("X-C", "\u200b\u202e\ufeff")], b"\x1b[2J\x07\r\n")
@example([], b"\xff'\\x41\\n%")
@example([], b"--boundary\r\n\0%s")
def test_any_fields_and_any_body(fields: list[tuple[str, str]], body: bytes) -> None:
    async def main() -> None:
        async with Origin() as origin, HTTPClient() as client:
            await compare(origin, client, "/status/204", "POST", headers=fields, data=body)

    run(main)


# -- what it shows ---------------------------------------------------------------------------------------------------------


def request(url: str = "http://example.org/", method: str = "GET", body: Any = None, **headers: str) -> Request:
    fields = HttpHeaders({name.replace("_", "-"): value for name, value in headers.items()})
    return Request(method, fields, body, destination(parse_url(url)), None, 0.0)


def test_secrets_are_hidden_unless_they_are_asked_for() -> None:
    secret = request(
        "https://user:hunter2@example.org/?api_key=hunter2&x=1#hunter2",
        "POST",
        b"password=hunter2&user=me",
        Authorization="Basic hunter2",
        Cookie="a=hunter2",
        X_Api_Key="hunter2",
        Content_Type="application/x-www-form-urlencoded",
        Referer="https://u:hunter2@example.org/?token=hunter2",
        X_Mine="hunter3",
    )
    hidden = secret.to_curl()
    assert "hunter2" not in hidden
    assert "'Authorization: ***'" in hidden
    assert "'password=***&user=me'" in hidden
    assert "'https://example.org/?api_key=***&x=1'" in hidden
    assert "hunter3" in hidden
    assert "hunter3" not in secret.to_curl(hide=["X-Mine"])
    assert "hunter2" not in secret.to_curl(hide=["X-Mine"])
    shown = secret.to_curl(hide=False)
    assert "'Authorization: Basic hunter2'" in shown
    assert "'https://example.org/?api_key=hunter2&x=1'" in shown  # the user and password became Authorization


@pytest.mark.parametrize("hide", [None, 1, "token", [1]])
def test_a_bad_hide(hide: Any) -> None:
    with pytest.raises(wirebird.UsageError, match="hide"):
        request().to_curl(hide=hide)


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "\u202e", "\u2028", "\x9b", "\r"])
def test_a_command_is_one_printable_line(text: str) -> None:
    command = request("http://example.org/", "POST", text.encode(), X_Field=text if ord(text[0]) > 127 else "\t").to_curl(
        hide=False
    )
    assert command.isprintable()


@pytest.mark.parametrize(("name", "value"), [("@/etc/passwd", "x"), ("A", "b\nC: d"), ("a b", "c"), ("", "x")])
def test_what_may_not_be_sent_is_in_no_command(name: str, value: str) -> None:
    bad = request()
    bad.headers[name] = value
    with pytest.raises(wirebird.InvalidHeader):
        bad.to_curl()
    with pytest.raises(wirebird.InvalidHeader):
        request(method="GET POST").to_curl()


def test_the_short_form() -> None:
    assert request(User_Agent="a", Accept="*/*").to_curl() == (
        "curl --http1.1 --header 'User-Agent: a' --header 'Accept: */*' http://example.org/"
    )
