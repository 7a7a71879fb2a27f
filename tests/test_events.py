"""`client.events`: connections that end and are taken up again, those that are not, and what is left behind: nothing."""

from __future__ import annotations

import asyncio
import gc
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import wirebird
from raw_peer import Link, Peer, answer, check_settled, resident, run
from wirebird import HTTPClient, HttpResponse, ServerEvent, Timeouts
from wirebird.client.sse import EventStream, Reconnection
from wirebird.models.message import Request
from wirebird.protocol.codings import CodingLimits

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
LAST = b"0\r\n\r\n"
NO_MORE = answer(status=b"204 No Content").replace(b"Content-Length: 0\r\n", b"")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def stream(*events: bytes, fields: bytes = b"") -> bytes:
    """A whole response, each of `events` in a chunk."""
    return HEAD + fields + b"\r\n" + b"".join(map(chunk, events)) + LAST


class Script:
    """Answers one after the other, over however many connections; the heads of the requests are kept in `heads`."""

    def __init__(self, *answers: bytes | Callable[[Link], Awaitable[None]]) -> None:
        self.answers = iter(answers)
        self.heads: list[bytes] = []
        self.paths: list[str] = []

    async def __call__(self, link: Link) -> None:
        while path := await link.request():
            self.heads.append(link.head)
            self.paths.append(path)
            reply = next(self.answers, NO_MORE)
            if isinstance(reply, bytes):
                await link.send(reply)
            else:
                await reply(link)
                return

    def ids(self) -> list[str | None]:
        """The Last-Event-ID of each request."""
        found = []
        for head in self.heads:
            fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
            value = fields.get(b"Last-Event-ID")
            found.append(None if value is None else value.decode())
        return found


def on(events: EventStream) -> tuple[EventStream, list[float]]:
    """The stream with a clock of its own, and the list of what it waits, the share of chance taken off."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    events.sleep = sleep
    return events, waits


async def all_of(events: EventStream) -> list[str]:
    return [event.data async for event in events]


def near(waits: list[float], *expected: float) -> bool:
    """Whether these were the waits, up to a quarter longer each."""
    return len(waits) == len(expected) and all(one <= wait <= one * 1.25 for wait, one in zip(waits, expected, strict=True))


# -- the stream --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_events(kind: str) -> None:
    async def main() -> None:
        script = Script(stream(b"data: one\n\n", b"event: x\nid: 7\nda", b"ta: two\ndata: three\n\ndata: cut"))
        async with Peer(script) as peer, HTTPClient() as client:
            events, waits = on(client.events(peer.url("/events")))
            found = [event async for event in events]
            assert found == [ServerEvent("message", "one"), ServerEvent("x", "two\nthree", "7")]
            assert (script.paths, script.ids()) == (["/events"] * 2, [None, "7"])
            head = script.heads[0]
            assert head.count(b"\r\nAccept: text/event-stream\r\n") == 1
            assert head.count(b"\r\nCache-Control: no-store\r\n") == 1
            assert near(waits, 3.0)
            assert "closed" in repr(events)
            check_settled(client)

    run(main, kind=kind)


def test_as_a_context_manager_it_is_connected_at_once() -> None:
    async def main() -> None:
        async with Peer(Script(stream(b"id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\n\n"))) as peer, HTTPClient() as client:
            events = client.events(peer.url(), last_event_id="0", reconnect=False)
            assert "not connected" in repr(events)
            assert "secret" not in repr(client.events(peer.url().replace("//", "//user:secret@")))
            async with events as same:
                assert same is events
                assert events.response is not None
                assert events.response.headers["content-type"] == "text/event-stream"
                assert events.last_event_id == "0"
                assert (await anext(events)).id == events.last_event_id == "1"
                assert (await anext(events)).id == "2"
                assert events.last_event_id == "3"  # which has come, with no event to it
                with pytest.raises(StopAsyncIteration):
                    await anext(events)
                assert events.response is None
            assert events.last_event_id == "3"

    run(main)


def test_an_id_counts_once_its_event_was_taken() -> None:
    async def main() -> None:
        async with Peer(Script(stream(*[b"id: %d\ndata: a\n\n" % n for n in range(10)]))) as peer, HTTPClient() as client:
            async with client.events(peer.url(), last_event_id="x") as events:
                for expected in ("x", "0", "1", "2"):
                    assert events.last_event_id == expected
                    await anext(events)
            assert events.last_event_id == "3"
            with pytest.raises(StopAsyncIteration):
                await anext(events)
            check_settled(client)

    run(main)


def test_a_post_ends_with_its_stream_and_keeps_its_connection() -> None:
    async def main() -> None:
        reply = stream(*[b'data: {"n": %d}\n\n' % n for n in range(3)], b"data: [DONE]\n\n")
        script = Script(reply, reply)
        async with Peer(script) as peer, HTTPClient() as client:
            for _ in range(2):
                numbers = []
                async for event in client.events(peer.url("/chat"), "POST", json={"stream": True}):
                    if event.data == "[DONE]":
                        break
                    numbers.append(event.json()["n"])
                assert numbers == [0, 1, 2]
            assert peer.accepted == 1
            assert b"Content-Type: application/json\r\n" in script.heads[0]
            check_settled(client)

    run(main)


def test_headers_of_the_caller_and_keywords_of_request() -> None:
    async def main() -> None:
        script = Script()
        async with Peer(script) as peer, HTTPClient(headers={"Accept": "*/*", "X-Client": "1"}) as client:
            given = {"accept": "text/event-stream, application/json", "X-Mine": "2"}
            assert await all_of(client.events(peer.url(), headers=given, params={"q": "a b"}, auth=("u", "p"))) == []
            head = script.heads[0]
            assert head.lower().count(b"\r\naccept:") == 1
            assert b"text/event-stream, application/json\r\n" in head
            assert b"X-Mine: 2\r\n" in head
            assert b"X-Client: 1\r\n" in head
            assert b"Authorization: Basic " in head
            assert script.paths == ["/?q=a+b"]

    run(main)


def test_gzip_is_read_as_far_as_it_has_come() -> None:
    """Each event is flushed, and the next is not sent before it has arrived."""

    async def main() -> None:
        arrived = asyncio.Event()

        async def reply(link: Link) -> None:
            await link.send(HEAD + b"Content-Encoding: gzip\r\n\r\n")
            compress = zlib.compressobj(wbits=31)
            for number in range(5):
                data = compress.compress(b"data: %d\n\n" % number) + compress.flush(zlib.Z_SYNC_FLUSH)
                await link.send(chunk(data))
                await arrived.wait()
                arrived.clear()
            await link.send(chunk(compress.flush()) + LAST)

        async with Peer(Script(reply)) as peer, HTTPClient() as client:
            found = []
            async for event in client.events(peer.url(), reconnect=False):
                found.append(event.data)
                arrived.set()
            assert found == ["0", "1", "2", "3", "4"]

    run(main)


def test_a_stream_is_not_bound_by_limits_of_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    """It inflates beyond `max_body_size`, and more than tenfold, while the events themselves are small."""
    monkeypatch.setattr("wirebird.protocol.codings.DEFAULT_CODING_LIMITS", CodingLimits(free=100_000))

    async def main() -> None:
        one = b"data: " + b"x" * 1014 + b"\n\n"
        compress = zlib.compressobj(wbits=31)
        body = b"".join([compress.compress(one * 1024) for _ in range(2)]) + compress.flush()
        async with Peer(Script(stream(body, fields=b"Content-Encoding: gzip\r\n"))) as peer:
            async with HTTPClient(max_body_size=1000) as client:
                count = 0
                async for _ in client.events(peer.url(), reconnect=False):
                    count += 1
                assert count == 2 * 1024

    run(main)


# -- taken up again ------------------------------------------------------------------------------------------------------------


def test_it_goes_on_after_the_last_event_that_was_complete() -> None:
    async def main() -> None:
        async def broken(link: Link) -> None:
            await link.send(HEAD + b"\r\n" + chunk(b"id: \xc3\xa4 2\ndata: b\n\nid: 3\ndata: lost\n"))

        async def reset(link: Link) -> None:
            await link.send(HEAD + b"\r\n" + chunk(b"data: c\n\n"))
            await arrived.wait()  # a reset may overtake what was sent
            link.reset()

        arrived = asyncio.Event()
        script = Script(stream(b"id: 1\ndata: a\n\n"), broken, reset, stream(b"data: d\n\nid\n\n"), stream(b"data: e\n\n"))
        async with Peer(script) as peer, HTTPClient() as client:
            events, waits = on(client.events(peer.url()))
            found = []
            async for event in events:
                found.append(event.data)
                if event.data == "c":
                    arrived.set()
            assert found == ["a", "b", "c", "d", "e"]
            assert script.ids() == [None, "1", "ä 2", "ä 2", None, None]
            assert near(waits, *[3.0] * 5)
            check_settled(client)

    run(main)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_every_event_comes_once_wherever_connections_break(kind: str) -> None:
    """Each connection is cut off a byte later than the one before, in the head, between chunks, and within an event."""

    async def main() -> None:
        cuts = 0

        async def script(link: Link) -> None:
            nonlocal cuts
            await link.request()
            after = int(link.head.partition(b"Last-Event-ID: ")[2].partition(b"\r")[0] or 0)
            if after == 3:
                await link.send(NO_MORE)
                return
            wire = stream(*[b"id: %d\ndata: %d\n\n" % (n, n) for n in range(after + 1, 4)])
            await link.send(wire[:cuts] if cuts else stream(b": the first must succeed\n"))
            cuts += 1

        async with Peer(script) as peer, HTTPClient() as client:
            events, waits = on(client.events(peer.url()))
            assert await all_of(events) == ["1", "2", "3"]
            assert len(waits) > 90
            check_settled(client)

    run(main, kind=kind)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK"])
def test_a_stream_that_ends_with_its_connection(head: bytes) -> None:
    async def main() -> None:
        async def reply(link: Link) -> None:
            await link.send(head + b"\r\nContent-Type: text/event-stream\r\n\r\ndata: a\n\ndata: b")

        async with Peer(Script(reply, reply)) as peer, HTTPClient() as client:
            events, waits = on(client.events(peer.url()))
            assert await all_of(events) == ["a", "a"]
            assert near(waits, 3, 3)

    run(main)


def test_the_server_says_how_long_to_wait() -> None:
    async def main() -> None:
        script = Script(
            stream(b"retry: 500\ndata: a\n\n"),
            stream(b"data: b\n\n"),
            stream(b"retry: 9999999\n: too long\n"),
            stream(b"retry: 0\n\n"),
        )
        async with Peer(script) as peer, HTTPClient() as client:
            events, waits = on(client.events(peer.url(), reconnection_time=7, max_wait=20))
            assert await all_of(events) == ["a", "b"]
            assert waits[2] == 20
            assert near(waits, 0.5, 0.5, 20, 0.1)

    run(main)


def test_waits_double_until_something_comes() -> None:
    async def main() -> None:
        nothing = stream()
        busy = answer(b"later", status=b"503 Service Unavailable")
        script = Script(stream(b": hi\n"), nothing, busy, nothing, nothing, stream(b": hi\n"), nothing)
        async with Peer(script) as peer, HTTPClient() as client:
            events, waits = on(client.events(peer.url(), reconnection_time=1, max_wait=10))
            assert await all_of(events) == []
            assert waits[4] == 10
            assert near(waits, 1, 2, 4, 8, 10, 1, 2)

    run(main)


def test_a_server_that_is_busy_says_when_to_come_again() -> None:
    async def main() -> None:
        def busy(after: bytes) -> bytes:
            return answer(b"later", b"Retry-After: " + after, status=b"429 Too Many Requests")

        script = Script(stream(b"data: a\n\n"), busy(b"5"), busy(b"9" * 400), busy(b"soon"), busy(b"0"), stream(b"data: b\n\n"))
        async with Peer(script) as peer, HTTPClient() as client:
            events, waits = on(client.events(peer.url(), reconnection_time=0.5, max_wait=30))
            assert await all_of(events) == ["a", "b"]
            assert near(waits, 0.5, 5, 30, 4, 8, 0.5)

    run(main)


def test_a_server_that_is_gone_for_a_while() -> None:
    async def main() -> None:
        peer = Peer(Script(stream(b"id: 1\ndata: a\n\n"), stream(b"data: b\n\n")))
        async with peer, HTTPClient() as client:
            events, waits = on(client.events(peer.url(), reconnection_time=1))
            assert (await anext(events)).data == "a"
            real, client.perform = client.perform, refused  # type: ignore[method-assign]

            async def sleep(seconds: float) -> None:
                waits.append(seconds)
                if len(waits) == 3:
                    client.perform = real  # type: ignore[method-assign]

            events.sleep = sleep
            assert await all_of(events) == ["b"]
            assert near(waits, 1, 2, 4, 1)

    async def refused(*arguments: Any) -> HttpResponse:
        raise wirebird.ConnectError("nobody there")

    run(main)


def test_no_more_than_so_many_attempts() -> None:
    async def main() -> None:
        nothing = stream()
        script = Script(stream(b"data: a\n\n"), nothing, nothing)
        async with Peer(script) as peer, HTTPClient() as client:
            events, waits = on(client.events(peer.url(), max_reconnects=2))
            assert (await anext(events)).data == "a"
            with pytest.raises(wirebird.ConnectionLost, match="2 times"):
                await anext(events)
            assert len(waits) == 2
            busy = answer(b"later", status=b"503 Service Unavailable")
            script.answers = iter([stream(b"data: a\n\n"), busy, busy])
            events, waits = on(client.events(peer.url(), max_reconnects=2))
            with pytest.raises(wirebird.StatusError) as caught:
                await all_of(events)
            assert await caught.value.response.content() == b"later"
            with pytest.raises(StopAsyncIteration):
                await anext(events)
            check_settled(client)

    run(main)


def test_the_body_of_a_post_is_sent_again_if_that_is_asked_for() -> None:
    async def main() -> None:
        bodies = []

        async def script(link: Link) -> None:
            while await link.request_head():
                bodies.append(await link.reader.readexactly(link.length))
                await link.send(stream(b"data: a\n\n") if len(bodies) == 1 else NO_MORE)

        async with Peer(script) as peer, HTTPClient() as client:
            events, _ = on(client.events(peer.url(), "post", json={"n": 1}, reconnect=True))
            assert await all_of(events) == ["a"]
            assert bodies == [b'{"n": 1}'] * 2

            async def pieces() -> Any:
                yield b"once"

            with pytest.raises(wirebird.UsageError, match="sent once") as caught:
                await anext(client.events(peer.url(), "POST", data=pieces(), reconnect=True))
            assert caught.value.argument == "data"
            assert len(bodies) == 2

    run(main)


# -- what ends it --------------------------------------------------------------------------------------------------------------


def test_no_content_is_the_end() -> None:
    async def main() -> None:
        script = Script(NO_MORE, stream(b"data: a\n\n"), NO_MORE)
        async with Peer(script) as peer, HTTPClient() as client:
            assert await all_of(client.events(peer.url())) == []
            async with client.events(peer.url()) as events:
                events, waits = on(events)
                assert await all_of(events) == ["a"]
                assert len(waits) == 1
            script.answers = iter([NO_MORE])
            async with client.events(peer.url()) as events:
                assert await all_of(events) == []
            check_settled(client)

    run(main)


@pytest.mark.parametrize(
    "status", [b"201 Created", b"301 Moved", b"400 Bad Request", b"404 Not Found", b"503 Service Unavailable"]
)
def test_the_first_answer_must_be_the_stream(status: bytes) -> None:
    async def main() -> None:
        script = Script(answer(b'{"error": "no"}', b"Content-Type: application/json", status=status))
        async with Peer(script) as peer, HTTPClient() as client:
            events = client.events(peer.url())
            with pytest.raises(wirebird.StatusError) as caught:
                async for _ in events:
                    pass
            assert caught.value.status_code == int(status[:3])
            assert caught.value.peer == peer.name
            assert await caught.value.response.json() == {"error": "no"}
            check_settled(client)

    run(main)


def test_a_status_that_means_never_ends_it_later_too() -> None:
    async def main() -> None:
        async with Peer(Script(stream(b"data: a\n\n"), answer(status=b"404 Not Found"))) as peer, HTTPClient() as client:
            events, _ = on(client.events(peer.url()))
            with pytest.raises(wirebird.StatusError, match="404"):
                await all_of(events)

    run(main)


def unending(kind: bytes, data: bytes = b"data: \xc3\xa4\n\n", fields: bytes = b"") -> Callable[[Link], Awaitable[None]]:
    """A stream of that type that begins with `data`, and goes on until the client leaves."""

    async def reply(link: Link) -> None:
        await link.send(HEAD.replace(b"text/event-stream", kind) + fields + b"\r\n" + chunk(data))
        await link.gone()

    return reply


@pytest.mark.parametrize("kind", [b"text/event-stream", b"Text/Event-Stream; charset=latin-1", b"text/event-stream;"])
def test_types_that_are_event_streams(kind: bytes) -> None:
    async def main() -> None:
        async with Peer(Script(unending(kind))) as peer, HTTPClient() as client:
            async for event in client.events(peer.url()):
                assert event.data == "ä"  # whatever the charset
                break

    run(main)


@pytest.mark.parametrize("kind", [b"text/html", b"text/event-streams", b"application/json, text/event-stream", b""])
def test_types_that_are_not(kind: bytes) -> None:
    async def main() -> None:
        async with Peer(Script(unending(kind))) as peer, HTTPClient() as client:
            with pytest.raises(wirebird.InvalidResponse, match="not an event stream") as caught:
                await all_of(client.events(peer.url()))
            assert caught.value.peer == peer.name
            check_settled(client)

    run(main)


def test_a_type_that_changes_ends_it() -> None:
    async def main() -> None:
        async with Peer(Script(stream(b"data: a\n\n"), unending(b"text/html"))) as peer, HTTPClient() as client:
            events, _ = on(client.events(peer.url()))
            with pytest.raises(wirebird.InvalidResponse):
                await all_of(events)
            check_settled(client)

    run(main)


def test_the_first_connection_must_succeed() -> None:
    async def main() -> None:
        async with Peer(Script()) as peer:
            pass
        async with HTTPClient() as client:
            with pytest.raises(wirebird.ConnectError):
                await all_of(client.events(peer.url()))
            with pytest.raises(wirebird.ConnectError):
                async with client.events(peer.url()):
                    pass

    run(main)


def test_without_reconnecting_what_breaks_it_is_raised() -> None:
    async def main() -> None:
        async def cut(link: Link) -> None:
            await link.send(HEAD + b"\r\n" + chunk(b"data: a\n\n"))

        async with Peer(Script(stream(b"data: a\n\n"))) as peer, HTTPClient() as client:
            assert await all_of(client.events(peer.url(), reconnect=False)) == ["a"]
        async with Peer(Script(cut)) as peer, HTTPClient() as client:
            events = client.events(peer.url(), reconnect=False)
            assert (await anext(events)).data == "a"
            with pytest.raises(wirebird.IncompleteBody):
                await anext(events)
            check_settled(client)

    run(main)


@pytest.mark.parametrize("last", ["\x01", "\x7f", "x" * 8193])
def test_an_id_that_cannot_be_sent_back(last: str) -> None:
    """To leave it out would lose events, or repeat them."""

    async def main() -> None:
        script = Script(stream(f"id: {last}\ndata: a\n\n".encode()))
        async with Peer(script) as peer, HTTPClient() as client:
            events, _ = on(client.events(peer.url()))
            assert (await anext(events)).id == last
            with pytest.raises(wirebird.InvalidResponse, match="cannot be sent back"):
                await anext(events)
            assert len(script.heads) == 1

    run(main)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("last_event_id", "a\nb"),
        ("last_event_id", "a\0b"),
        ("last_event_id", 7),
        ("max_reconnects", 0),
        ("max_reconnects", True),
        ("reconnection_time", -1),
        ("reconnection_time", "3"),
        ("max_wait", float("inf")),
        ("heartbeat", 0),
        ("heartbeat", float("nan")),
        ("max_line", 0),
        ("max_event", -1),
        ("method", "CONNECT"),
    ],
)
def test_bad_arguments_are_named_at_once(name: str, value: Any) -> None:
    with pytest.raises(wirebird.UsageError) as caught:
        HTTPClient().events("http://example.org/", **{name: value})
    assert caught.value.argument == name


def test_other_bad_arguments_are_named_when_it_is_used() -> None:
    async def main() -> None:
        async with HTTPClient() as client:
            for name, given in (
                ("url", {"url": "ftp://example.org"}),
                ("headers", {"headers": 7}),
                ("timeouts", {"timeouts": 7}),
            ):
                for reconnect in (True, False):
                    with pytest.raises(wirebird.UsageError) as caught:
                        await anext(client.events(**({"url": "http://127.0.0.1:9/", "reconnect": reconnect} | given)))
                    assert caught.value.argument == name
            with pytest.raises(TypeError):
                client.events("http://example.org/", no_such_keyword=1)

    run(main)


# -- time ----------------------------------------------------------------------------------------------------------------------


def test_silence_ends_a_connection() -> None:
    async def main() -> None:
        script = Script(unending(b"text/event-stream"), NO_MORE)
        async with Peer(script) as peer, HTTPClient(timeouts=Timeouts(sock_read=0.4)) as client:
            events, waits = on(client.events(peer.url()))
            assert await all_of(events) == ["ä"]
            assert near(waits, 3)
        script = Script(unending(b"text/event-stream"))
        async with Peer(script) as peer, HTTPClient() as client:
            events = client.events(peer.url(), heartbeat=0.05, reconnect=False)
            assert (await anext(events)).data == "ä"
            with pytest.raises(wirebird.ReadTimeout, match=r"nothing for 0\.05 s"):
                await anext(events)
            check_settled(client)

    run(main)


def test_silence_is_no_fault_of_the_server() -> None:
    """A stream on which nothing happens is asked for again at the plain reconnection time, and still is counted."""

    async def main() -> None:
        async def silent(link: Link) -> None:
            await link.send(HEAD + b"\r\n")
            await link.gone()

        async with Peer(Script(silent, silent, silent)) as peer, HTTPClient() as client:
            events, waits = on(client.events(peer.url(), heartbeat=0.02, max_reconnects=2))
            with pytest.raises(wirebird.ReadTimeout):
                await all_of(events)
            assert near(waits, 3, 3)

    run(main)


def test_a_heartbeat_may_be_longer_than_sock_read_and_the_stream_than_the_request() -> None:
    async def main() -> None:
        async def reply(link: Link) -> None:
            await link.send(HEAD + b"\r\n" + chunk(b"data: a\n\n"))
            await asyncio.sleep(0.8)  # the silence is what is tested
            await link.send(chunk(b"data: b\n\n") + LAST)

        async with Peer(Script(reply)) as peer:
            async with HTTPClient(timeouts=Timeouts(sock_read=0.4, request_timeout=0.6)) as client:
                assert await all_of(client.events(peer.url(), heartbeat=10, reconnect=False)) == ["a", "b"]

    run(main)


def test_the_head_is_waited_for_as_long_as_ever() -> None:
    async def main() -> None:
        async def late(link: Link) -> None:
            await asyncio.sleep(0.1)  # longer than the heartbeat
            await link.send(stream(b"data: a\n\n"))

        async with Peer(Script(late)) as peer, HTTPClient() as client:
            assert await all_of(client.events(peer.url(), heartbeat=0.01, reconnect=False)) == ["a"]

    run(main)


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_reconnection_times(chance: float) -> None:
    again = Reconnection(2, 30)
    assert again.next_wait(chance) == 2 * (1 + chance / 4)
    again.fruitless = 2
    assert again.next_wait(chance) == 8 * (1 + chance / 4)
    assert again.next_wait(chance, doubled=False) == 2 * (1 + chance / 4)
    assert again.next_wait(chance, at_least=20) == 20 * (1 + chance / 4)
    again.fruitless = 10**6
    assert again.next_wait(chance) == 30
    again.wait = 0
    again.fruitless = 0
    assert again.next_wait(chance) == 0.1 * (1 + chance / 4)
    assert Reconnection(0, 0).next_wait(chance) == 0


# -- nothing is left -----------------------------------------------------------------------------------------------------------


class Watched:
    """An endless stream; `left` is done when the client has closed the connection."""

    def __init__(self) -> None:
        self.left = asyncio.get_running_loop().create_future()
        self.script = Script(self.reply)

    async def reply(self, link: Link) -> None:
        await link.send(HEAD + b"\r\n" + chunk(b"id: 1\ndata: a\n\n"))
        await link.gone()
        self.left.set_result(None)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("how", ["break", "raise", "close", "exit", "return"])
def test_leaving_closes_the_connection(how: str, kind: str) -> None:
    async def main() -> None:
        watched = Watched()
        async with Peer(watched.script) as peer, HTTPClient() as client:
            tasks = asyncio.all_tasks()

            async def leave() -> None:
                if how == "close":
                    events = client.events(peer.url())
                    await anext(events)
                    await events.close()
                    await events.aclose()
                elif how == "exit":
                    async with client.events(peer.url()) as events:
                        await anext(events)
                elif how == "raise":
                    with pytest.raises(KeyError):
                        async for _ in client.events(peer.url()):
                            raise KeyError
                else:
                    async for _ in client.events(peer.url()):
                        if how == "return":
                            return
                        break

            await leave()
            gc.collect()
            check_settled(client)
            assert client.stats()["open"] == 0
            assert len(asyncio.all_tasks() - tasks) <= 1  # the peer's
            await watched.left

    run(main, kind=kind)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("where", ["head", "body", "wait"])
def test_cancellation(where: str, kind: str) -> None:
    async def main() -> None:
        here = asyncio.Event()

        async def reply(link: Link) -> None:
            if where == "head":
                here.set()
            else:
                await link.send(HEAD + b"\r\n" + chunk(b"id: 1\ndata: a\n\n"))
            await link.gone()

        async def sleep(seconds: float) -> None:
            here.set()
            await asyncio.Event().wait()

        async with Peer(Script(stream() if where == "wait" else reply)) as peer, HTTPClient() as client:
            events = client.events(peer.url())
            events.sleep = sleep

            async def read() -> None:
                async for _ in events:
                    if where == "body":
                        asyncio.get_running_loop().call_soon(here.set)

            task = asyncio.create_task(read())
            await here.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            check_settled(client)
            assert client.stats()["open"] == (where == "wait")
            with pytest.raises(wirebird.BodyConsumed, match="cancelled"):
                await anext(events)
            async with client.get(peer.url()) as response:  # the client is as good as before
                assert response.status_code == 204

    run(main, kind=kind)


def test_closing_the_client_ends_it() -> None:
    async def main() -> None:
        watched = Watched()
        async with Peer(watched.script) as peer:
            client = HTTPClient()
            events, waits = on(client.events(peer.url()))
            await anext(events)
            waiting = asyncio.create_task(anext(events))  # type: ignore[arg-type]
            await asyncio.sleep(0)
            await client.close()
            with pytest.raises(wirebird.ConnectionLost, match="client was closed"):
                await waiting
            assert waits == []

    run(main)


def test_closing_the_client_ends_the_wait_for_the_next_connection() -> None:
    async def main() -> None:
        async with Peer(Script(stream(b"retry: 3600000\ndata: a\n\n"))) as peer:
            client = HTTPClient()
            events = client.events(peer.url(), max_wait=3600)
            await anext(events)
            waiting = asyncio.create_task(anext(events))  # type: ignore[arg-type]
            while not client.pauses:
                await asyncio.sleep(0)
            await client.close()
            with pytest.raises(wirebird.ClientClosed):
                await waiting

    run(main)


@pytest.mark.parametrize("reconnect", [True, False])
@pytest.mark.parametrize("where", ["head", "body", "wait"])
def test_closed_by_another_task_it_ends(where: str, reconnect: bool) -> None:
    async def main() -> None:
        asked, closed = asyncio.Event(), asyncio.Event()

        async def reply(link: Link) -> None:
            asked.set()
            if where == "head":
                await closed.wait()
            if reconnect or where != "head":
                await link.send(HEAD + b"\r\n" + chunk(b": alive\n"))
            if where == "body":
                await link.gone()

        async with Peer(Script(reply)) as peer, HTTPClient() as client:
            events = client.events(peer.url(), reconnect=reconnect, reconnection_time=3600, max_wait=3600)
            waiting = asyncio.create_task(all_of(events))
            await asked.wait()
            while (where == "body" and events.response is None) or (where == "wait" and not client.pauses):
                await asyncio.sleep(0)
            await events.close()
            closed.set()
            assert await asyncio.wait_for(waiting, 0.5) == []
            check_settled(client)

    if where != "wait" or reconnect:
        run(main)


def test_one_reader_at_a_time() -> None:
    async def main() -> None:
        async with Peer(Watched().script) as peer, HTTPClient() as client:
            events = client.events(peer.url())
            await anext(events)
            waiting = asyncio.create_task(anext(events))  # type: ignore[arg-type]
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another task"):
                await anext(events)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    run(main)


def test_a_stream_that_was_never_used_leaves_nothing() -> None:
    events = HTTPClient().events("http://127.0.0.1:9/")
    del events
    gc.collect()


# -- bad input -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("piece", "limit"),
    [(b"x" * 65536, "max_line"), (bytes(range(14, 256)) * 256, "max_line"), (b"data: x\n" * 8192, "max_event")],
    ids=["endless line", "noise", "endless event"],
)
def test_what_never_ends_is_refused(piece: bytes, limit: str) -> None:
    async def main() -> None:
        async def reply(link: Link) -> None:
            await link.send(HEAD + b"\r\n" + chunk(b"data: fine\n\n"))
            while True:
                await link.send(chunk(piece))

        async with Peer(Script(reply)) as peer, HTTPClient() as client:
            before = resident()
            events, waits = on(client.events(peer.url(), max_line=1_000_000, max_event=1_000_000))
            assert (await anext(events)).data == "fine"
            with pytest.raises(wirebird.LimitExceeded) as caught:
                await anext(events)
            assert (caught.value.limit, caught.value.maximum, caught.value.peer) == (limit, 1_000_000, peer.name)
            assert caught.value.phase == "reading the body"
            assert resident() - before < 24_000_000
            assert waits == []
            check_settled(client)
            with pytest.raises(StopAsyncIteration):
                await anext(events)

    run(main)


def test_events_in_front_of_what_is_refused_are_given_out() -> None:
    async def main() -> None:
        async with Peer(Script(stream(b"data: a\n\ndata: b\n\n" + b"x" * 100))) as peer, HTTPClient() as client:
            events = client.events(peer.url(), max_line=50)
            assert [(await anext(events)).data for _ in range(2)] == ["a", "b"]
            with pytest.raises(wirebird.LimitExceeded):
                await anext(events)
            check_settled(client)

    run(main)


def test_a_reader_that_is_slow_pauses_the_server() -> None:
    """100 MB are offered, and little of them is taken."""

    async def main() -> None:
        async def reply(link: Link) -> None:
            await link.send(HEAD + b"\r\n")
            while True:
                await link.send(chunk(b"data: x\n\n" * 8192))

        async with Peer(Script(reply)) as peer, HTTPClient() as client:
            async with client.events(peer.url()) as events:
                await anext(events)
                for _ in range(100):
                    await asyncio.sleep(0)
                assert events.response is not None
                assert events.response._incoming is not None
                assert events.response._incoming._buffered < 400_000
                assert len(events._batch) < 40_000

    run(main)


def test_gzip_that_is_none_and_gzip_that_stops() -> None:
    async def main() -> None:
        coded = zlib.compressobj(wbits=31)
        part = coded.compress(b"data: a\n\n") + coded.flush(zlib.Z_SYNC_FLUSH)
        gzip = b"Content-Encoding: gzip\r\n"
        async with Peer(Script(stream(b"data: a\n\n", fields=gzip), stream(part, fields=gzip))) as peer, HTTPClient() as client:
            with pytest.raises(wirebird.DecodingError):
                await all_of(client.events(peer.url()))
            events = client.events(peer.url())
            assert (await anext(events)).data == "a"
            with pytest.raises(wirebird.DecodingError):
                await anext(events)
            check_settled(client)

    run(main)


# -- other parts of the client -------------------------------------------------------------------------------------------------


def test_redirects_are_followed_each_time() -> None:
    async def main() -> None:
        moved = answer(b"", b"Location: /there", status=b"307 Temporary Redirect")
        script = Script(moved, stream(b"id: 1\ndata: a\n\n"), moved, NO_MORE, moved)
        async with Peer(script) as peer, HTTPClient() as client:
            events, _ = on(client.events(peer.url("/here")))
            assert await all_of(events) == ["a"]
            assert script.paths == ["/here", "/there"] * 2
            assert script.ids() == [None, None, "1", "1"]
            with pytest.raises(wirebird.StatusError, match="307") as caught:
                await all_of(client.events(peer.url("/here"), follow=False))
            assert caught.value.status_code == 307

    run(main)


def test_a_client_that_raises_for_status_reconnects_all_the_same() -> None:
    async def main() -> None:
        busy = answer(b"later", status=b"503 Service Unavailable")
        script = Script(stream(b"data: a\n\n"), busy, stream(b"data: b\n\n"))
        async with Peer(script) as peer, HTTPClient(raise_for_status=True) as client:
            events, _ = on(client.events(peer.url()))
            assert await all_of(events) == ["a", "b"]

    run(main)


def test_what_stands_in_for_the_network() -> None:
    class Sender:
        asked: list[Request] = []  # noqa: RUF012

        async def send(self, request: Request) -> HttpResponse:
            self.asked.append(request)
            if len(self.asked) == 3:
                return HttpResponse.make(204, request=request)
            body = b"id: %d\ndata: a\n\n" % len(self.asked)
            return HttpResponse.make(200, {"Content-Type": "text/event-stream"}, body, request=request)

        async def close(self) -> None:
            pass

    async def main() -> None:
        async with HTTPClient(Sender()) as client:
            events, _ = on(client.events("http://example.org/"))
            assert await all_of(events) == ["a", "a"]
            assert [request.headers.get("last-event-id") for request in Sender.asked] == [None, "1", "2"]

    run(main)


def test_many_streams_share_a_client() -> None:
    async def main() -> None:
        async def script(link: Link) -> None:
            while path := await link.request():
                await link.send(stream(*[b"data: %b %d\n\n" % (path.encode(), n) for n in range(20)]))

        async with Peer(script) as peer, HTTPClient() as client:
            streams = [client.events(peer.url(f"/{n}"), reconnect=False) for n in range(50)]
            found = await asyncio.gather(*map(all_of, streams))
            assert found == [[f"/{n} {k}" for k in range(20)] for n in range(50)]
            assert await client.wait_requests(5)
            check_settled(client)

    run(main)
