"""The access log: one record for each exchange, in which nobody can write but the server."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest

from server_wire import GET, App, Hub, run, serve, settle
from wirebird.errors import UsageError
from wirebird.server.access_log import AccessLog
from wirebird.server.forwarded import TrustedProxies
from wirebird.server.settings import Settings


def records(caplog: pytest.LogCaptureFixture, *pieces: bytes, format: Any = "combined", **more: Any) -> list[logging.LogRecord]:
    caplog.set_level(logging.INFO, "wirebird.access")
    caplog.clear()
    serve(App(), *pieces, on_done=AccessLog(format), **more)
    return [record for record in caplog.records if record.name == "wirebird.access"]


def get(target: bytes, *fields: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (target, b"".join(field + b"\r\n" for field in fields))


def test_one_record_for_each_exchange(caplog: pytest.LogCaptureFixture) -> None:
    data = GET + get(b"/late") + get(b"/stream") + get(b"/raise")
    found = records(caplog, data)
    assert [(record.http_target, record.http_status, record.http_sent) for record in found] == [  # type: ignore[attr-defined]
        ("/", 200, 5),
        ("/late", 200, 4),
        ("/stream", 200, 3),
        ("/raise", 500, 26),
    ]
    for record in found:
        facts: Any = record
        assert facts.http_remote == "10.0.0.1" and facts.http_method == "GET" and facts.http_version == "1.1"
        assert facts.http_host == "a" and 0 <= facts.http_duration < 5 and facts.http_referer is None


def test_what_was_no_request_is_there_too(caplog: pytest.LogCaptureFixture) -> None:
    (record,) = records(caplog, b"nonsense\r\n\r\n")
    assert re.fullmatch(r'10\.0\.0\.1 - - \[[^\]]+\] "-" 400 \d+ "-" "-"', record.getMessage())
    (record,) = records(caplog, b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n", settings=Settings(max_body_size=9))
    assert '"POST /x HTTP/1.1" 413' in record.getMessage()


def test_a_client_that_left_has_a_record(caplog: pytest.LogCaptureFixture) -> None:
    (record,) = records(caplog, get(b"/late"), turns=2)
    assert record.http_status in (0, 200)  # type: ignore[attr-defined]


FORMATS = {
    "common": r'10\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET / HTTP/1\.1" 200 5',
    "combined": r'10\.0\.0\.1 - - \[.+\] "GET / HTTP/1\.1" 200 5 "http://b/" "agent 1"',
    "short": r"GET / 200 5 B \d+\.\d ms",
}


@pytest.mark.parametrize("format", FORMATS)
def test_formats(format: str, caplog: pytest.LogCaptureFixture) -> None:
    (record,) = records(caplog, get(b"/", b"Referer: http://b/", b"User-Agent: agent 1"), format=format)
    assert re.fullmatch(FORMATS[format], record.getMessage())


def test_json(caplog: pytest.LogCaptureFixture) -> None:
    (record,) = records(caplog, get(b'/?a="b"', b'User-Agent: "x\\\t'), format="json")
    line = record.getMessage()
    assert "\n" not in line
    fields = json.loads(line)
    assert fields["target"] == '/?a="b"' and fields["status"] == 200 and fields["agent"] == '"x\\'
    assert set(fields) == {
        "time",
        "remote",
        "method",
        "target",
        "version",
        "host",
        "status",
        "sent",
        "duration",
        "referer",
        "agent",
    }


@pytest.mark.parametrize("format", [*FORMATS, "json"])
def test_nobody_writes_into_the_log(format: str, caplog: pytest.LogCaptureFixture) -> None:
    """S35 (CVE-2020-7694), CWE-117: escapes, line ends, quotes, and what is not ASCII."""
    odd = [b'User-Agent: "\xe2\x80\xa8\x85\xa0\xff" 200 5 "', b'Referer: \\" \xe2\x80\xae']
    (record,) = records(caplog, get(b'/%1b[2J%0a"x', *odd), format=format)
    line = record.getMessage()
    assert line.isprintable() and len(line.splitlines()) == 1
    if format == "combined":
        assert re.fullmatch(r'\S+ - - \[.+?\] "(?:[^"\\]|\\.)*" 200 5 "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*"', line)
    for record in records(caplog, b"GET /\x1b[2J HTTP/1.1\r\n\r\n", format=format):
        assert record.getMessage().isprintable()


def test_secrets_are_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    fields = [b"Authorization: Basic c2VjcmV0", b"Cookie: sid=secret", b"Referer: http://b/?token=secret"]
    (record,) = records(caplog, get(b"/?token=secret&a=b", *fields))
    assert "secret" not in str(vars(record)) and "c2VjcmV0" not in str(vars(record))
    assert "/?token=***&a=b" in record.getMessage()


def test_the_client_behind_a_proxy(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(proxies=TrustedProxies(["10.0.0.1"]))
    (record,) = records(caplog, get(b"/", b"X-Forwarded-For: 192.0.2.7"), settings=settings)
    assert record.getMessage().startswith("192.0.2.7 ")


def test_a_log_that_nobody_reads_makes_no_record(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AccessLog(level=logging.DEBUG)
    monkeypatch.setattr(log, "_fields", None)
    caplog.set_level(logging.INFO, "wirebird.access")
    _, wire = serve(App(), GET, on_done=log)
    assert wire.statuses == [200] and not caplog.records


def test_a_log_that_fails_does_not_harm_the_connection() -> None:
    def fail(exchange: Any) -> None:
        raise ValueError("the disk is full")

    async def main() -> None:
        problems: list[Any] = []
        import asyncio

        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context["exception"]))
        hub = Hub(App(), on_done=fail)
        wire = hub.connect()
        wire.feed(GET * 2)
        await settle()
        assert wire.statuses == [200, 200] and [str(problem) for problem in problems] == ["the disk is full"] * 2
        wire.leave()
        await settle()
        hub.watch.stop()

    run(main)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"format": "apache"}, "format"), ({"level": "INFO"}, "level"), ({"logger": 3}, "logger"), ({"hide": "token"}, "hide")],
)
def test_mistakes(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError) as caught:
        AccessLog(**arguments)
    assert caught.value.argument == named
