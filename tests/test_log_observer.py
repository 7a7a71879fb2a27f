"""`LogObserver`: one record for each exchange, printable whatever the peer and the caller say, and without credentials."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

import wirebird
from origin import Asked, Origin, Wire, run
from raw_peer import Peer
from wirebird import HTTPClient, LogObserver, TCPConnector, UsageError
from wirebird.models.redaction import hidden_field, hidden_params, is_secret, printable, read_hide

FIELDS = {
    *("http_method", "http_url", "http_status", "http_outcome", "http_error", "http_duration", "http_timings", "http_sent"),
    *("http_received", "http_connection", "http_reused", "http_attempt", "http_remote"),
}
WELL_KNOWN = read_hide(True)


class Kept(logging.Handler):
    """Keeps the records, and how they are written."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.lines = io.StringIO()
        self._writer = logging.StreamHandler(self.lines)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self._writer.emit(record)

    def everything(self) -> str:
        """All that is in the records, in any attribute."""
        return self.lines.getvalue() + "".join(repr(vars(record)) for record in self.records)


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept()
    logger = logging.getLogger("test.log_observer")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def observer(**said: Any) -> LogObserver:
    return LogObserver("test.log_observer", **said)


def test_one_record_for_each_exchange(kept: Kept) -> None:
    async def main() -> None:
        async with Origin() as origin, HTTPClient(observers=[observer()], follow=True) as client:
            await (await client.post(origin.url("/chain/1"), data=b"abc")).content()
            first, second = kept.records
            assert (first.levelno, first.name) == (logging.INFO, "test.log_observer")
            assert vars(first).keys() >= FIELDS
            shown = {name: getattr(first, name) for name in FIELDS - {"http_duration", "http_timings", "http_connection"}}
            assert shown == {
                "http_method": "POST",
                "http_url": origin.url("/chain/1"),
                "http_status": 302,
                "http_outcome": "complete",
                "http_error": None,
                "http_sent": 3,
                "http_received": 0,
                "http_reused": False,
                "http_attempt": 1,
                "http_remote": origin.address,
            }
            assert vars(second)["http_reused"] is True
            assert vars(second)["http_connection"] == vars(first)["http_connection"]
            line = kept.lines.getvalue().splitlines()[0]
            assert line.startswith(f"POST {origin.url('/chain/1')} 302 in ")
            assert line.endswith(" ms, 3 bytes sent, 0 received")
            json.dumps({name: getattr(first, name) for name in FIELDS})

    run(main)


def test_failures_have_a_level_of_their_own(kept: Kept) -> None:
    async def gone(link: Any) -> None:
        await link.request()
        link.reset()

    async def main() -> None:
        async with Peer(gone) as peer, HTTPClient(observers=[observer()]) as client:
            with pytest.raises(wirebird.ConnectionLost):
                await client.get(peer.url())
            [record] = kept.records
            assert record.levelno == logging.WARNING
            assert vars(record)["http_outcome"] == "failed"
            assert vars(record)["http_error"].startswith("ConnectionLost: the peer ")
            assert " failed in " in record.getMessage()
            assert record.exc_info is None

    run(main)


def test_what_is_let_go_of_is_no_failure(kept: Kept) -> None:
    async def main() -> None:
        async with Origin() as origin, HTTPClient(observers=[observer()]) as client:
            async with client.get(origin.url("/held?first=10")):
                pass
            [record] = kept.records
            assert record.levelno == logging.INFO
            assert (vars(record)["http_outcome"], vars(record)["http_error"]) == ("closed", None)
            assert " 200 closed in " in record.getMessage()

    run(main)


def test_a_level_that_is_off_costs_no_record(kept: Kept) -> None:
    async def main() -> None:
        async with Origin() as origin, HTTPClient(observers=[observer(level=logging.DEBUG)]) as client:
            await client.get(origin.url("/bytes/1"))
            assert kept.records == []

    run(main)


def test_the_default_logger(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Origin() as origin, HTTPClient(observers=[LogObserver()]) as client:
            await client.get(origin.url("/bytes/1"))

    with caplog.at_level(logging.INFO, "wirebird"):
        run(main)
    assert [record.name for record in caplog.records] == ["wirebird"]


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("logger", {"logger": 7}),
        ("level", {"level": "INFO"}),
        ("failures", {"failures": None}),
        ("hide", {"hide": "token"}),
        ("hide", {"hide": None}),
    ],
)
def test_bad_arguments(argument: str, said: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=argument) as caught:
        LogObserver(**said)
    assert caught.value.argument == argument


# -- secrets ---------------------------------------------------------------------------------------------------------------


def test_no_secret_is_in_any_record(kept: Kept) -> None:
    """In a URL, a query, a field, a cookie, a body, an error that quotes them."""

    async def main() -> None:
        async def set_cookie(asked: Asked, wire: Wire) -> None:
            await wire.respond(302, [("Set-Cookie", "a=hunter2"), ("Location", "/bytes/1?access_token=hunter2")])

        async with Origin() as origin:
            origin.on("/login", set_cookie)
            origin.always("/bad", b"HTTP/1.1 200 OK\r\nSet-Cookie: a=hunter2\x01\r\n\r\n", close=True)
            async with HTTPClient(handle_cookies=True, follow=True, observers=[observer()]) as client:
                where = origin.url("/login").replace("//", "//me:hunter2@")
                said = {"headers": {"X-Api-Key": "hunter2"}, "cookies": {"b": "hunter2"}, "params": {"password": "hunter2"}}
                await client.post(where, data={"password": "hunter2"}, **said)  # type: ignore[arg-type]
                with pytest.raises(wirebird.InvalidResponse, match="hunter2"):
                    await client.get(origin.url("/bad"))
                with pytest.raises(wirebird.InvalidHeader, match="hunter2"):
                    await client.get(origin.url("/bytes/1"), headers={"X-Own": "hunter2\n"})

                async def broken() -> Any:
                    yield b"x"
                    raise ValueError("hunter2")

                with pytest.raises(ValueError, match="hunter2"):
                    await client.post(origin.url("/post"), data=broken())
        assert len(kept.records) == 5
        assert "hunter2" not in kept.everything()
        assert [vars(record)["http_error"] for record in kept.records[2:]] == [
            "InvalidResponse: a malformed header line (while waiting for the response, peer " + origin.address + ")",
            "InvalidHeader (headers['X-Own'])",
            "ValueError",
        ]

    run(main)


@pytest.mark.parametrize(
    ("hide", "shown"),
    [
        (True, "/bytes/1?token=***&Api-Key=***&%70assword=***&user[password]=***&mine=4&x=5"),
        (["Mine"], "/bytes/1?token=***&Api-Key=***&%70assword=***&user[password]=***&mine=***&x=5"),
        (False, "/bytes/1?token=0&Api-Key=1&%70assword=2&user[password]=3&mine=4&x=5"),
    ],
)
def test_which_parameters_are_hidden(hide: Any, shown: str, kept: Kept) -> None:
    async def main() -> None:
        async with Origin() as origin, HTTPClient(observers=[observer(hide=hide)]) as client:
            query = "token=0&Api-Key=1&%70assword=2&user[password]=3&mine=4&x=5"
            await client.get(URL(origin.url(f"/bytes/1?{query}"), encoded=True))
            assert vars(kept.records[0])["http_url"] == origin.url(shown)

    run(main)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("Authorization", True),
        ("Proxy-Authorization", True),
        ("Set-Cookie", True),
        ("X-API-Key", True),
        ("x_auth_token", True),
        ("X-Amz-Signature", True),
        ("accessToken", True),
        ("githubToken", True),
        ("stripe-secret-key", True),
        ("zip_code", False),
        ("filter[user.apiKey]", True),
        ("keyword", False),
        ("tokens_used", False),
        ("monkey", False),
        ("Content-Type", False),
        ("", False),
    ],
)
def test_what_counts_as_a_secret(name: str, secret: bool) -> None:
    assert is_secret(name, WELL_KNOWN) is secret


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("token=a", "token=***"),
        ("a=b&token=c;d=e", "a=b&token=***;d=e"),
        ("token=a=b", "token=***"),
        ("to%6ben=a&%54oken=b", "to%6ben=***&%54oken=***"),
        ("token", "token"),
        ("=token&&", "=token&&"),
        ("", ""),
    ],
)
def test_hidden_parameters(text: str, shown: str) -> None:
    assert hidden_params(text, WELL_KNOWN) == shown


def test_a_url_in_a_field() -> None:
    shown = hidden_field("Location", "https://me:pw@example.org/?code=1&x=2#access_token=3", WELL_KNOWN)
    assert shown == "https://example.org/?code=***&x=2#access_token=***"
    assert hidden_field("Location", "/a//b@c", WELL_KNOWN) == "/a//b@c"
    assert hidden_field("Location", "//me:pw@a.example/", WELL_KNOWN) == "//a.example/"
    assert hidden_field("Via", "a; token=1", WELL_KNOWN) == "a; token=1"


def test_hostile_queries_take_no_time() -> None:
    began = time.perf_counter()
    for text in ("token" * 30_000, "=" * 200_000, "&" * 200_000, "token=" * 30_000, "[" * 200_000 + "=", "%" * 200_000 + "=x"):
        hidden_params(text, WELL_KNOWN)
    assert time.perf_counter() - began < 2


# -- forgery ---------------------------------------------------------------------------------------------------------------


@given(st.text())
def test_shown_text_is_one_printable_line(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    if text.isprintable():
        assert shown == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\nb", "a\\r\\nb"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b31m", "\\x9b31m"),
        ("\u2028\u202e", "\\u2028\\u202e"),
        ("\ud800", "\\ud800"),
        ("ü", "ü"),
        ("x" * 3000, "x" * 2000 + "…"),
    ],
)
def test_how_text_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_nobody_writes_lines_of_his_own(kept: Kept) -> None:
    """S35, rule 10: control characters of a URL stay encoded, those that a peer sends are escaped, and there is one line each."""

    async def main() -> None:
        async with Origin() as origin, HTTPClient(TCPConnector(), observers=[observer()]) as client:
            await client.get(origin.url("/bytes/1?x=%0d%0aERROR%20forged&y=%1b[2J"))
            origin.always("/bad", b"HTTP/1.1 2\x1b[2J00 OK\nERROR forged\r\n\r\n", close=True)
            with pytest.raises(wirebird.InvalidResponse):
                await client.get(origin.url("/bad"))
            lines = kept.lines.getvalue().splitlines()
            assert len(lines) == len(kept.records) == 2
            assert all(line.isprintable() for line in lines)
            assert not any(line.startswith("ERROR") for line in lines)
            assert "%0D%0AERROR" in lines[0]

    run(main)
