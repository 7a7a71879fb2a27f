"""`HarRecorder`: what it writes is HAR 1.2, says what was on the wire, holds no secrets, and stays within its bounds."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
import stat
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

import wirebird
from effort import examples
from origin import FOX, Asked, Origin, Wire, code, pattern, run
from wirebird import HarRecorder, HTTPClient, HttpResponse, Request, TCPConnector, UsageError
from wirebird.client.har_content import content, params, post_data
from wirebird.testing import MockTransport

# -- the format: every field that HAR 1.2 requires, and its type ---------------------------------------------------------------

_Check = Callable[[Any, str], None]


def text(value: Any, where: str) -> None:
    assert type(value) is str, where


def whole(value: Any, where: str) -> None:
    assert type(value) is int, where


def number(value: Any, where: str) -> None:
    assert type(value) in (int, float) and value >= 0, (where, value)


def number_or_none(value: Any, where: str) -> None:
    assert type(value) in (int, float) and (value >= 0 or value == -1), (where, value)


def yes_or_no(value: Any, where: str) -> None:
    assert type(value) is bool, where


def moment(value: Any, where: str) -> None:
    assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})", value), (
        where
    )
    assert datetime.fromisoformat(value).tzinfo is not None


def address(value: Any, where: str) -> None:
    assert re.fullmatch(r"[0-9.]+|[0-9a-f:]+", value), where


def many(check: _Check) -> _Check:
    def checked(value: Any, where: str) -> None:
        assert type(value) is list, where
        for at, one in enumerate(value):
            check(one, f"{where}[{at}]")

    return checked


def fields(required: dict[str, _Check], optional: dict[str, _Check] | None = None) -> _Check:
    """An object with these fields; others only if their names begin with an underscore, as HAR 1.2 asks of extensions."""
    known = {**required, **(optional or {}), "comment": text}

    def checked(value: Any, where: str) -> None:
        assert type(value) is dict, where
        assert required.keys() <= value.keys(), (where, required.keys() - value.keys())
        for name, one in value.items():
            assert name in known or name[0] == "_", f"{where}.{name}"
            known.get(name, lambda value, where: None)(one, f"{where}.{name}")

    return checked


PAIRS = many(fields({"name": text, "value": text}))
COOKIES = many(
    fields(
        {"name": text, "value": text},
        {"path": text, "domain": text, "expires": moment, "httpOnly": yes_or_no, "secure": yes_or_no, "sameSite": text},
    )
)
REQUEST = fields(
    {
        "method": text,
        "url": text,
        "httpVersion": text,
        "cookies": COOKIES,
        "headers": PAIRS,
        "queryString": PAIRS,
        "headersSize": whole,
        "bodySize": whole,
    },
    {"postData": fields({"mimeType": text}, {"params": PAIRS, "text": text})},
)
RESPONSE = fields(
    {
        "status": whole,
        "statusText": text,
        "httpVersion": text,
        "cookies": COOKIES,
        "headers": PAIRS,
        "redirectURL": text,
        "content": fields({"size": whole, "mimeType": text}, {"compression": whole, "text": text, "encoding": text}),
        "headersSize": whole,
        "bodySize": whole,
    }
)
TIMINGS = fields(
    {"send": number, "wait": number, "receive": number},
    {"blocked": number_or_none, "dns": number_or_none, "connect": number_or_none, "ssl": number_or_none},
)
ENTRY = fields(
    {
        "startedDateTime": moment,
        "time": number,
        "request": REQUEST,
        "response": RESPONSE,
        "cache": fields({}),
        "timings": TIMINGS,
    },
    {"serverIPAddress": address, "connection": text},
)
NAMED = fields({"name": text, "version": text})
HAR = fields(
    {"log": fields({"version": text, "creator": NAMED, "entries": many(ENTRY)}, {"pages": many(text), "browser": NAMED})}
)


def checked(recorder: HarRecorder) -> list[dict[str, Any]]:
    """The entries, as somebody reads them who has the file and the specification."""
    log = json.loads(json.dumps(recorder.to_dict(), allow_nan=False))
    HAR(log, "har")
    assert log["log"]["version"] == "1.2"
    entries: list[dict[str, Any]] = log["log"]["entries"]
    for entry in entries:
        timings = entry["timings"]
        # HAR 1.2: the time is the sum of the timings without -1; ssl is a part of connect.
        total = sum(value for name, value in timings.items() if name != "ssl" and value > 0)
        assert entry["time"] == pytest.approx(total, abs=0.01)
        assert timings.get("ssl", -1) <= timings.get("connect", -1)
        assert entry["request"]["headersSize"] != 0
    return entries


def value(pairs: list[dict[str, str]], name: str) -> str | None:
    return next((pair["value"] for pair in pairs if pair["name"].lower() == name), None)


class Names:
    """A resolver that knows one host."""

    async def resolve(self, host: str, port: int = 0, family: int = 2) -> list[dict[str, Any]]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": family, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Nothing to close."""


async def session(har: HarRecorder) -> None:
    """A bit of everything."""
    authority = trustme.CA()
    server, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("secure.example").configure_cert(server)
    authority.configure_trust(trusting)

    async def set_cookie(asked: Asked, wire: Wire) -> None:
        fields = [
            ("Set-Cookie", "a=b; Path=/; HttpOnly; Secure; SameSite=Lax; Expires=Wed, 21 Oct 2037 07:28:00 GMT"),
            ("Set-Cookie", "c=d; Domain=secure.example; Max-Age=9"),
            ("Location", "/bytes/5"),
        ]
        await wire.respond(302, fields)

    connector = TCPConnector(resolver=Names(), ssl=trusting)
    async with Origin() as plain, Origin(tls=server) as secure:
        secure.on("/login", set_cookie)
        async with HTTPClient(connector, handle_cookies=True, follow=True, observers=[har]) as client:
            await (await client.get(secure.url("/login?x=1&x=2&y=%26", "secure.example"))).content()
            await (await client.get(plain.url("/coded/gzip,br"))).content()
            await (await client.post(plain.url("/post"), data={"a": "b c", "d": "ü"})).json()
            await (await client.post(plain.url("/post"), json={"a": 1})).json()
            await (await client.post(plain.url("/post"), data=iter([b"\xff\xfe", b"x"]))).content()
            await client.head(plain.url("/bytes/10"))
            await client.get(plain.url("/status/204"))
            async with client.get(plain.url("/held?first=10")):
                pass
            with pytest.raises(wirebird.ConnectError):
                await client.get("http://127.0.0.1:9/")
            with pytest.raises(wirebird.InvalidHeader):
                await client.get(plain.url(), headers={"A": "b\n"})


def test_it_is_har_and_says_what_happened() -> None:
    async def main() -> None:
        har = HarRecorder(hide=False)
        await session(har)
        login, landed, coded, form, sent_json, binary, head, nothing, held, refused, bad = checked(har)
        assert login["request"]["queryString"] == [
            {"name": "x", "value": "1"},
            {"name": "x", "value": "2"},
            {"name": "y", "value": "&"},
        ]
        assert login["response"]["status"] == 302
        assert login["response"]["statusText"] == "Fine"
        assert login["response"]["redirectURL"] == "/bytes/5"
        first, second = login["response"]["cookies"]
        assert first == {
            "name": "a",
            "value": "b",
            "path": "/",
            "expires": "2037-10-21T07:28:00.000+00:00",
            "httpOnly": True,
            "secure": True,
            "sameSite": "Lax",
        }
        assert (second["name"], second["domain"]) == ("c", "secure.example")
        assert min(login["timings"].values()) >= 0
        assert login["serverIPAddress"] == "127.0.0.1"
        assert landed["connection"] == login["connection"]
        assert landed["timings"]["connect"] == landed["timings"]["ssl"] == landed["timings"]["dns"] == -1
        assert {"name": "a", "value": "b"} in landed["request"]["cookies"]
        assert base64.b64decode(landed["response"]["content"]["text"]) == pattern(5)
        assert landed["response"]["content"]["encoding"] == "base64"
        shown = coded["response"]["content"]
        assert (shown["text"], shown["size"]) == (FOX.decode(), len(FOX))
        assert coded["response"]["bodySize"] == len(code(code(FOX, "gzip"), "br"))
        assert shown["compression"] == len(FOX) - coded["response"]["bodySize"]
        assert form["request"]["postData"]["params"] == [{"name": "a", "value": "b c"}, {"name": "d", "value": "ü"}]
        assert form["request"]["postData"]["text"] == "a=b+c&d=%C3%BC"
        assert form["request"]["bodySize"] == len("a=b+c&d=%C3%BC")
        assert value(form["request"]["headers"], "content-length") == str(form["request"]["bodySize"])
        assert value(form["request"]["headers"], "host") is not None
        assert sent_json["request"]["postData"] == {"mimeType": "application/json", "text": '{"a": 1}'}
        assert json.loads(sent_json["response"]["content"]["text"])["json"] == {"a": 1}
        assert binary["request"]["postData"]["text"] == base64.b64encode(b"\xff\xfex").decode()
        assert value(binary["request"]["headers"], "transfer-encoding") == "chunked"
        assert (head["response"]["bodySize"], head["response"]["content"]["size"]) == (0, 0)
        assert nothing["response"]["content"] == {"size": 0, "mimeType": "x-unknown"}
        assert held["response"]["_error"] == "BodyConsumed"
        assert "text" not in held["response"]["content"]
        assert (refused["response"]["status"], refused["response"]["_error"]) == (0, "ConnectError")
        assert refused["timings"]["connect"] > 0
        assert "serverIPAddress" not in refused
        assert (bad["response"]["status"], bad["request"]["headersSize"]) == (0, -1)
        assert bad["request"]["url"].startswith("http://127.0.0.1:")

    run(main)


def test_another_reader_takes_it(tmp_path: Path) -> None:
    haralyzer = pytest.importorskip("haralyzer")

    async def main() -> None:
        path = tmp_path / "session.har"
        with HarRecorder(path) as har:
            await session(har)
        pages = haralyzer.HarParser(json.loads(path.read_text("utf-8")))
        entries = [haralyzer.HarEntry(entry) for entry in pages.har_data["entries"]]
        assert [entry.response.status for entry in entries] == [302, 200, 200, 200, 200, 200, 200, 204, 200, 0, 0]
        assert all(entry.startTime.tzinfo is not None for entry in entries)
        assert entries[3].request.method == "POST"
        assert entries[2].response.text == FOX.decode()
        assert entries[1].time > 0
        assert pages.creator["name"] == "wirebird"

    run(main)


def test_a_cookie_without_a_name_is_a_secret_too() -> None:
    har = HarRecorder()

    async def main() -> None:
        answer = MockTransport(lambda request: HttpResponse.make())
        async with HTTPClient(connector=answer, observers=[har]) as client:
            await client.get("http://example.org/", headers={"Cookie": "hidden; a=hidden"})

    run(main)
    assert har.to_dict()["log"]["entries"][0]["request"]["cookies"] == [
        {"name": "", "value": "***"},
        {"name": "a", "value": "***"},
    ]
    assert "hidden" not in json.dumps(har.to_dict())


def test_secrets_are_replaced() -> None:
    async def main() -> None:
        async def login(asked: Asked, wire: Wire) -> None:
            fields = [
                ("Set-Cookie", "a=hunter2"),
                ("Location", "//u:hunter2@x.example/?token=hunter2"),
                ("X-Auth-Token", "hunter2"),
            ]
            await wire.respond(302, fields)

        har, open_har, mine = HarRecorder(), HarRecorder(hide=False), HarRecorder(hide=["X-Mine"])
        async with Origin() as origin:
            origin.on("/login", login)
            async with HTTPClient(observers=[har, open_har, mine], handle_cookies=True) as client:
                where = origin.url("/login?api_key=hunter2&a=b").replace("//", "//me:hunter2@")
                headers = {
                    "Proxy-Authorization": "Basic hunter2",
                    "X-Mine": "hunter3",
                    "Referer": "http://a.example/?sig=hunter2",
                }
                cookies = {"c": "hunter2"}
                await client.post(where, data={"password": "hunter2", "e": "f"}, headers=headers, cookies=cookies)
        [entry] = checked(har)
        shown = json.dumps(entry)
        assert "hunter2" not in shown
        assert "hunter3" in shown
        assert entry["request"]["url"] == origin.url("/login?api_key=***&a=b")
        assert entry["request"]["cookies"] == [{"name": "c", "value": "***"}]
        assert entry["response"]["cookies"][0]["name"] == "a"
        assert entry["request"]["postData"]["text"] == "password=***&e=f"
        assert value(entry["request"]["headers"], "authorization") == "***"
        assert "hunter3" not in json.dumps(mine.to_dict())
        assert "hunter2" not in json.dumps(mine.to_dict())
        opened = json.dumps(checked(open_har))
        assert opened.count("hunter2") > 8
        assert "me:hunter2@" not in opened  # the password became Authorization, which is shown

    run(main)


# -- bodies ----------------------------------------------------------------------------------------------------------------


def test_what_the_caller_does_not_read_is_not_read() -> None:
    async def main() -> None:
        har = HarRecorder()
        async with Origin() as origin, HTTPClient(observers=[har]) as client:
            async with client.get(origin.url("/bytes/1000000")) as response:
                assert await response.read(10) == pattern(10)
            [entry] = checked(har)
            shown = entry["response"]["content"]
            read = base64.b64decode(shown["text"])
            assert pattern(1_000_000).startswith(read)
            assert 10 <= len(read) <= 262_144
            if len(read) == entry["response"]["bodySize"]:
                assert shown["comment"] == "the body did not come to its end"
            else:
                assert shown["comment"] == f"{len(read)} of {entry['response']['bodySize']} bytes were read, or kept"

    run(main)


def test_what_is_read_later_finds_its_entry() -> None:
    async def main() -> None:
        har = HarRecorder()
        async with Origin() as origin, HTTPClient(observers=[har]) as client:
            response = await client.get(origin.url("/chunked/20000"))
            await client.wait_requests()
            [entry] = checked(har)
            assert "text" not in entry["response"]["content"]
            await response.content()
            [entry] = checked(har)
            assert base64.b64decode(entry["response"]["content"]["text"]) == pattern(20_000)
            assert "comment" not in entry["response"]["content"]

    run(main)


def test_without_bodies() -> None:
    async def main() -> None:
        har = HarRecorder(bodies=False)
        async with Origin() as origin, HTTPClient(observers=[har]) as client:
            await (await client.post(origin.url("/post"), data={"a": "b"})).content()
            [entry] = checked(har)
            assert entry["request"]["postData"] == {"mimeType": "application/x-www-form-urlencoded"}
            assert entry["response"]["content"].keys() == {"size", "mimeType"}
            assert entry["response"]["content"]["size"] == entry["response"]["bodySize"] > 0

    run(main)


def test_a_request_that_is_sent_twice_is_kept_once() -> None:
    async def main() -> None:
        har = HarRecorder()

        async def close_at_once(asked: Asked, wire: Wire) -> None:
            if asked.connection == 1:
                wire.abort()
            else:
                await wire.respond(200)

        async with Origin() as origin, HTTPClient(observers=[har]) as client:
            origin.on("/stale", close_at_once)
            await client.get(origin.url("/bytes/1"))
            await client.put(origin.url("/stale"), data=b"abc", headers={"Content-Type": "text/plain"})
            assert checked(har)[1]["request"]["postData"]["text"] == "abc"

    run(main)


def test_something_that_stands_in_for_the_network() -> None:
    class Fake:
        async def send(self, request: Request) -> HttpResponse:
            return HttpResponse.make(200, json={"a": 1}, request=request)

        async def close(self) -> None:
            """Nothing to close."""

    async def main() -> None:
        har = HarRecorder()
        async with HTTPClient(Fake(), observers=[har]) as client:
            await client.get("http://fake.example/?a=b")
        [entry] = checked(har)
        assert entry["response"]["content"]["text"] == '{"a": 1}'
        assert value(entry["request"]["headers"], "host") == "fake.example"
        assert "connection" not in entry

    run(main)


@pytest.mark.parametrize(
    ("body", "kind", "shown"),
    [
        (b"abc", "text/plain", {"text": "abc"}),
        ("gr\u00fc\u00dfe".encode("latin-1"), "text/plain; charset=ISO-8859-1", {"text": "grüße"}),
        ("grüße".encode(), 'text/html; charset="utf-8"; x=y', {"text": "grüße"}),
        (b"\xff\xfe", "text/plain", {"text": "//4=", "encoding": "base64"}),
        (b"abc", "image/png", {"text": "YWJj", "encoding": "base64"}),
        (b"{}", "application/problem+json", {"text": "{}"}),
        (b"abc", "text/plain; charset=no-such", {"text": "abc"}),
        (b"", "text/plain", {}),
    ],
)
def test_content_as_text_or_base64(body: bytes, kind: str, shown: dict[str, str]) -> None:
    found = content(body, [], kind, len(body), 1000)
    assert found == {"size": len(body), "mimeType": kind, **shown}


def test_a_character_that_was_cut_is_no_reason_for_base64() -> None:
    body = "grüße".encode()[:3]
    assert content(body, [], "text/plain", 7, 1000)["text"] == "gr"
    assert post_data(body, "text/plain", 7, frozenset())["text"] == "gr"


def test_a_bomb_is_decoded_no_further_than_a_body_may_be() -> None:
    bomb = code(b"\0" * 10_000_000, "gzip")
    found = content(bomb, ["gzip"], "text/plain", len(bomb), 100_000)
    assert len(found["text"]) <= 100_000
    assert found["comment"] == "not decoded to its end"


@pytest.mark.parametrize("codings", [["gzip"], ["br"], ["unknown"], ["gzip, gzip, gzip, gzip, gzip, gzip, gzip"]])
def test_what_cannot_be_decoded_is_shown_as_it_came(codings: list[str]) -> None:
    found = content(b"plain text", codings, "text/plain", 10, 1000)
    assert found["text"] == "plain text"


@settings(max_examples=examples(50))
@given(st.binary(max_size=50), st.text(max_size=20), st.integers(0, 100), st.sampled_from(["", "gzip", "br", "deflate", "zstd"]))
def test_any_body_can_be_shown(body: bytes, kind: str, received: int, coding: str) -> None:
    json.dumps(content(body, [coding] if coding else [], kind, received, 40))
    json.dumps(post_data(body, kind, received, frozenset()))
    json.dumps(params(body.decode("latin-1"), frozenset()))


# -- bounds ----------------------------------------------------------------------------------------------------------------


def test_the_oldest_entries_go_first() -> None:
    async def main() -> None:
        har = HarRecorder(max_entries=3)
        async with Origin() as origin, HTTPClient(observers=[har]) as client:
            for number in range(5):
                await client.get(origin.url(f"/bytes/{number}"))
            assert [entry["response"]["bodySize"] for entry in checked(har)] == [2, 3, 4]
            assert har.to_dict()["log"]["comment"] == "2 older entries were dropped"
            har.clear()
            assert har.to_dict()["log"]["entries"] == []
            assert "comment" not in har.to_dict()["log"]
            assert "0 bytes" in repr(har)

    run(main)


@pytest.mark.parametrize("path", ["/bytes/5000", "/chunked/5000"])
def test_a_body_and_all_bodies_have_a_limit(path: str) -> None:
    async def main() -> None:
        har = HarRecorder(max_body=1000, max_size=2500)
        async with Origin() as origin, HTTPClient(observers=[har]) as client:
            for _ in range(4):
                await (await client.post(origin.url(path), data=b"x" * 900)).content()
            entries = checked(har)
            kept = [len(base64.b64decode(entry["response"]["content"]["text"])) for entry in entries]
            assert kept == [1000]  # and 900 of the request: a second pair would be more than 2500
            assert har._size == 1900
            assert har.to_dict()["log"]["comment"] == "3 older entries were dropped"

            # Those on their way count too, and one that is dropped takes no more.
            small = HarRecorder(max_size=100)
            async with HTTPClient(observers=[small]) as other:
                responses = [await other.get(origin.url("/chunked/20000")) for _ in range(3)]
                await other.wait_requests()
                small.clear()
                for response in responses:
                    await response.content()
                assert small._size == 0
                await (await other.get(origin.url("/bytes/5000"))).content()
                assert small._size == 100

    run(main)


# -- the file --------------------------------------------------------------------------------------------------------------


def test_the_file_is_private_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.har"
    path.write_text("old")
    path.chmod(0o644)
    har = HarRecorder(path)
    har.save()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    HAR(json.loads(path.read_text("utf-8")), "har")
    har.save(tmp_path / "y.har")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["x.har", "y.har"]
    before = path.read_text("utf-8")
    monkeypatch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        har.save()
    assert path.read_text("utf-8") == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["x.har", "y.har"]
    with pytest.raises(OSError):
        har.save(tmp_path / "no such folder" / "x.har")


def test_a_recorder_without_a_path_says_so() -> None:
    with HarRecorder() as har:
        pass
    with pytest.raises(UsageError, match="path"):
        har.save()


def test_saving_in_a_thread_while_exchanges_end(tmp_path: Path) -> None:
    async def main() -> None:
        har = HarRecorder(tmp_path / "x.har", max_entries=50)
        stop = threading.Event()

        def save() -> int:
            saved = 0
            while not stop.is_set():
                har.save()
                saved += 1
            return saved

        async with Origin() as origin, HTTPClient(observers=[har]) as client:
            saving = asyncio.create_task(asyncio.to_thread(save))
            for _ in range(25):
                await (await client.get(origin.url("/chunked/3000"))).content()
            stop.set()
            assert await saving > 0

    run(main)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("max_entries", {"max_entries": 0}),
        ("max_body", {"max_body": -1}),
        ("max_size", {"max_size": "1"}),
        ("hide", {"hide": "a"}),
    ],
)
def test_bad_arguments(argument: str, said: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=argument) as caught:
        HarRecorder(**said)
    assert caught.value.argument == argument
