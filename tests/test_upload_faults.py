"""Uploads that do not go as planned: the peer answers early, leaves, or stops reading; the body fails, lies or hangs."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from time import monotonic

import pytest

import wirebird.client.transport as transport
from raw_peer import OK, Peer, answer, check_settled, resident, run
from wirebird import (
    ConnectionLost,
    HTTPClient,
    IncompleteBody,
    InvalidHeader,
    ReadTimeout,
    RequestTimeout,
    Timeouts,
    UsageError,
)

TOO_LARGE = answer(b"too large", status=b"413 Content Too Large")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LOOPS = ["asyncio", "uvloop"]


class Flow:
    """A body of `count` pieces, that notes how far it came and whether it was closed."""

    def __init__(self, count, piece=b"x" * 65536, wait=None):
        self.count = count
        self.piece = piece
        self.wait = wait  # an event to wait for before the second piece
        self.given = 0
        self.closed = False

    async def pieces(self):
        try:
            while self.given < self.count:
                if self.given == 1 and self.wait is not None:
                    await self.wait.wait()
                self.given += 1
                yield self.piece
        finally:
            await asyncio.sleep(0)
            self.closed = True


def need(kind):
    if kind == "uvloop":
        pytest.importorskip("uvloop")


async def works(client, peer):
    response = await client.post(peer.url("/ok"), data=b"abc")
    assert await response.content() == b"fine"
    check_settled(client)


def serve(upload):
    """A script that answers `/ok`, and gives everything else to `upload(link)` with its head read."""

    async def script(link):
        while path := await link.request_head():
            if path == "/ok":
                await link.reader.readexactly(3)
                await link.send(OK)
            else:
                await upload(link)
                return

    return script


# -- the peer answers early (RFC 9112 9.5) ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("after", ["reads on", "closes", "resets", "half-closes"])
@pytest.mark.parametrize("body", ["bytes", "flow"])
def test_an_early_answer(kind, after, body):
    need(kind)

    async def main():
        async def upload(link):
            await link.reader.readexactly(1000)
            await link.send(TOO_LARGE)
            if after == "reads on":
                await link.gone()
            elif after == "half-closes":
                link.finish()
                await link.gone()
            elif after == "resets":
                await asyncio.sleep(0.02)  # a reset right behind the answer may overtake it
                link.reset()

        async with Peer(serve(upload)) as peer, HTTPClient() as client:
            flow = Flow(1000)
            response = await client.post(peer.url("/"), data=b"x" * 20_000_000 if body == "bytes" else flow.pieces())
            assert response.status_code == 413
            assert await response.content() == b"too large"
            if body == "flow":
                assert flow.closed
                assert flow.given < 1000
            await works(client, peer)
            assert client.stats()["open"] == 1  # the one that was broken off is not used again

    run(main, kind=kind)


@pytest.mark.parametrize("kind", LOOPS)
def test_an_early_answer_that_is_no_refusal(kind):
    """A server that tells how it gets on with an upload while that comes is to have all of it."""
    need(kind)

    async def main():
        async def upload(link):
            await link.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for number in range(100):
                size = int(await link.reader.readuntil(b"\r\n"), 16)
                await link.reader.readexactly(size + 2)
                await link.send(b"3\r\n%02d\n\r\n" % number)
            assert await link.reader.readexactly(5) == b"0\r\n\r\n"
            await link.send(b"0\r\n\r\n")
            await serve(upload)(link)

        async with Peer(serve(upload)) as peer, HTTPClient() as client:
            flow = Flow(100)
            response = await client.post(peer.url("/"), data=flow.pieces())
            assert (await response.content()).count(b"\n") == 100
            assert flow.given == 100
            await works(client, peer)
            assert peer.accepted == 1

        async def endless(link):
            await link.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while await link.reader.read(65536):
                pass

        async with Peer(serve(endless)) as peer, HTTPClient() as client:
            forever = Flow(10**9)  # then the time for the request ends it
            with pytest.raises(RequestTimeout, match=r"not done within .*while sending the request"):
                await client.post(peer.url("/"), data=forever.pieces(), timeouts=Timeouts(request_timeout=0.2))
            assert forever.closed

    run(main, kind=kind)


def test_a_body_that_fails_behind_an_early_answer():
    async def main():
        async def upload(link):
            await link.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            begun.set()
            await link.gone()

        async def pieces():
            yield b"x"
            await begun.wait()
            for _ in range(5):
                await asyncio.sleep(0.001)  # the answer is here
            raise KeyError("mine")

        begun = asyncio.Event()
        async with Peer(serve(upload)) as peer, HTTPClient() as client:
            with pytest.raises(KeyError, match="mine"):
                await client.post(peer.url("/"), data=pieces())
            await works(client, peer)

    run(main)


@pytest.mark.parametrize("kind", LOOPS)
def test_an_early_answer_with_a_long_body(kind):
    """It is read to its end while the upload is broken off."""
    need(kind)

    async def main():
        body = bytes(range(256)) * 2048

        async def upload(link):
            await link.send(answer(body, status=b"413 No"))
            await link.gone()

        async with Peer(serve(upload)) as peer, HTTPClient() as client:
            flow = Flow(1000)
            async with client.post(peer.url("/"), data=flow.pieces()) as response:
                assert flow.closed
                assert b"".join([piece async for piece in response.iter_bytes()]) == body
            await works(client, peer)

    run(main, kind=kind)


@pytest.mark.parametrize("kind", LOOPS)
def test_what_was_said_before_a_broken_write_is_heard(kind):
    """The peer has answered and reset before the client notices either: it learns of the break when it writes."""
    need(kind)

    async def main():
        done = asyncio.Event()

        async def upload(link):
            await link.reader.readexactly(100)
            await link.send(answer(b"no" * 1000, status=b"403 Forbidden"))
            link.writer.close()  # with bytes unread: the system sends RST at the next write
            done.set()

        async with Peer(serve(upload)) as peer, HTTPClient() as client:

            async def pieces():
                yield b"x" * 100
                await done.wait()
                connection = next(iter(client.connector.peek().connections))
                connection.transport.pause_reading()  # so that the write comes first
                for _ in range(10):
                    yield b"y" * 1_000_000
                    await asyncio.sleep(0.01)

            response = await client.post(peer.url("/"), data=pieces())
            assert response.status_code == 403
            assert await response.content() == b"no" * 1000
            await works(client, peer)

    run(main, kind=kind)


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("end", ["close", "reset"])
def test_no_answer_at_all(kind, end):
    need(kind)

    async def main():
        async def upload(link):
            await link.reader.readexactly(100_000)
            if end == "reset":
                link.reset()

        async with Peer(serve(upload)) as peer, HTTPClient() as client:
            for method in ("POST", "PUT"):
                flow = Flow(1000)
                with pytest.raises(ConnectionLost) as info:
                    await client.request(peer.url("/"), method, data=flow.pieces())
                assert (info.value.peer, info.value.phase) == (peer.name, "sending the request")
                assert flow.closed
            assert peer.accepted == 2
            await works(client, peer)

    run(main, kind=kind)


def test_a_truncated_early_answer():
    async def main():
        async def upload(link):
            await link.reader.readexactly(100)
            await link.send(TOO_LARGE[:-3])

        async with Peer(serve(upload)) as peer, HTTPClient() as client:
            with pytest.raises((IncompleteBody, ConnectionLost)):
                response = await client.post(peer.url("/"), data=Flow(1000).pieces())
                await response.content()
            await works(client, peer)

    run(main)


# -- the peer stops reading ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize(
    ("timeouts", "error"),
    [(Timeouts(sock_read=0.1), ReadTimeout), (Timeouts(sock_read=5, request_timeout=0.1), RequestTimeout)],
)
def test_a_peer_that_stops_reading(kind, timeouts, error):
    """The body waits, memory does not grow, and the time limit ends it."""
    need(kind)

    async def main():
        stop = asyncio.Event()

        async def upload(link):
            await stop.wait()

        async with Peer(serve(upload), limit=1024) as peer, HTTPClient(timeouts=timeouts) as client:
            flow = Flow(10_000)
            before = resident()
            began = monotonic()
            with pytest.raises(error) as info:
                await client.post(peer.url("/"), data=flow.pieces())
            assert 0.08 < monotonic() - began < 1
            assert (info.value.peer, info.value.phase) == (peer.name, "sending the request")
            assert flow.closed
            assert flow.given < 300  # what the two sockets hold
            assert resident() - before < 8_000_000
            stop.set()
            await works(client, peer)

    run(main, kind=kind)


@pytest.mark.parametrize("first", [b"", CONTINUE, b"HTTP/1.1 103 Early Hints\r\n\r\n"])
def test_a_slow_body_is_not_the_peers_fault(first):
    """Whether or not the peer has said something meanwhile, the wait for its next bytes begins when it has the body."""

    async def main():
        async def upload(link):
            if first:
                await link.send(first)
            await link.reader.readuntil(b"0\r\n\r\n")
            await link.send(OK)

        async with Peer(serve(upload)) as peer, HTTPClient(timeouts=Timeouts(sock_read=0.05)) as client:
            slow = asyncio.Event()
            asyncio.get_running_loop().call_later(0.2, slow.set)
            response = await client.post(peer.url("/"), data=Flow(2, b"x", slow).pieces())
            assert await response.content() == b"fine"

    run(main)


def test_a_body_that_takes_longer_than_the_request_may():
    async def main():
        async def upload(link):
            await link.gone()

        async with Peer(serve(upload)) as peer, HTTPClient(timeouts=Timeouts(request_timeout=0.1)) as client:
            flow = Flow(2, b"x", asyncio.Event())
            with pytest.raises(RequestTimeout) as info:
                await client.post(peer.url("/"), data=flow.pieces())
            assert info.value.phase == "sending the request"
            assert flow.closed
            await works(client, peer)

    run(main)


# -- the body is at fault --------------------------------------------------------------------------------------------------


class Trouble(Exception):
    pass


class Stopping:
    """Raises what no coroutine may."""

    def __aiter__(self):
        return self

    def __anext__(self):
        raise StopIteration


async def _raises(error):
    yield b"first"
    raise error


async def _gives(*values):
    for value in values:
        yield value


def _raises_in_step(error):
    yield b"first"
    raise error


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (lambda: _raises(Trouble("body")), Trouble),
        (lambda: _raises(ConnectionLost("from another client")), ConnectionLost),
        (lambda: _raises(OSError("disk")), OSError),
        (lambda: _raises_in_step(Trouble("body")), Trouble),
        (lambda: _gives(b"x", "text"), UsageError),
        (lambda: _gives(b"x", None), UsageError),
        (lambda: _gives(b"x", 7), UsageError),
        (lambda: iter([b"x", "text"]), UsageError),
        (Stopping, RuntimeError),
    ],
)
def test_a_body_that_fails(body, error):
    async def main():
        seen = []

        async def upload(link):
            seen.append(await link.gone())

        async with Peer(serve(upload)) as peer, HTTPClient(timeouts=Timeouts(request_timeout=3)) as client:
            with pytest.raises(error) as info:
                await client.post(peer.url("/"), data=body())
            if error is UsageError:
                assert info.value.argument == "data"
            await works(client, peer)
        assert b"0\r\n\r\n" not in seen[0]  # it must not look complete

    run(main)


def test_a_body_that_is_cancelled_from_within():
    """As if the caller had awaited it in person: the call is cancelled, and does not wait for a peer that waits for the body."""

    async def main():
        async def pieces():
            yield b"x"
            inner = asyncio.get_running_loop().create_future()
            inner.cancel()
            await inner

        async def upload(link):
            await link.gone()

        async with Peer(serve(upload)) as peer, HTTPClient() as client:
            began = monotonic()
            with pytest.raises(asyncio.CancelledError):
                await client.post(peer.url("/"), data=pieces())
            assert monotonic() - began < 1
            await works(client, peer)

    run(main)


@pytest.mark.parametrize("length", [5, 50])
def test_a_length_that_the_body_does_not_keep(length):
    async def main():
        seen = []

        async def upload(link):
            seen.append(await link.gone())

        async with Peer(serve(upload)) as peer, HTTPClient() as client:
            with pytest.raises(UsageError) as info:
                await client.post(peer.url("/"), data=_gives(b"four", b"more"), headers={"Content-Length": str(length)})
            assert info.value.argument == "data"
            await works(client, peer)
        assert len(seen[0]) <= length

    run(main)


def test_a_length_that_is_known_to_be_wrong():
    async def main():
        async with Peer(serve(None)) as peer, HTTPClient() as client:
            for length in (2, 4):
                with pytest.raises(InvalidHeader):
                    await client.post(peer.url("/"), data=b"abc", headers={"Content-Length": str(length)})
            assert peer.accepted == 0

    run(main)


def test_a_file_that_shrinks(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 2_000_000)

    async def main():
        async def upload(link):
            await link.reader.readexactly(10)
            with path.open("r+b") as file:
                file.truncate(600_000)
            await link.gone()

        async with Peer(serve(upload), limit=1024) as peer, HTTPClient() as client:
            with pytest.raises(UsageError) as info:
                await client.post(peer.url("/"), data=path.open("rb"))
            assert "shrank" in str(info.value)
            await works(client, peer)

    run(main)


@pytest.mark.parametrize("again", [False, True])
def test_a_cancelled_upload_closes_its_body(again):
    """Also if it is cancelled once more while the body closes."""

    async def main():
        async def upload(link):
            await link.gone()

        async with Peer(serve(upload)) as peer, HTTPClient() as client:
            flow = Flow(2, b"x", asyncio.Event())
            task = asyncio.create_task(client.post(peer.url("/"), data=flow.pieces()))
            while not flow.given:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)
            task.cancel()
            if again:
                await asyncio.sleep(0)
                task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            for _ in range(5):
                await asyncio.sleep(0)
            assert flow.closed
            await works(client, peer)

    run(main)


def test_a_body_that_hangs_in_its_end_while_the_call_is_cancelled_twice():
    """The first cancellation waits for the body to close, the second does not; the slot is free all the same."""

    async def main():
        async def upload(link):
            await link.gone()

        async with Peer(serve(upload)) as peer, HTTPClient() as client:
            begun, closing, end = asyncio.Event(), asyncio.Event(), asyncio.Event()

            async def pieces():
                try:
                    yield b"x"
                    begun.set()
                    await asyncio.Event().wait()
                finally:
                    closing.set()
                    await end.wait()

            task = asyncio.create_task(client.post(peer.url("/"), data=pieces()))
            await begun.wait()
            task.cancel()
            await closing.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert client.stats()["in_use"] == 0
            end.set()
            for _ in range(5):
                await asyncio.sleep(0)
            await works(client, peer)

    run(main)


def test_an_early_answer_while_the_body_hangs_and_the_call_is_cancelled():
    """The response is complete, the upload is being broken off, and then nobody wants either."""

    async def main():
        async def upload(link):
            await link.send(TOO_LARGE)
            await link.gone()

        async with Peer(serve(upload)) as peer, HTTPClient() as client:
            closing, end = asyncio.Event(), asyncio.Event()

            async def pieces():
                try:
                    while True:
                        yield b"x"
                        await asyncio.sleep(0)
                finally:
                    closing.set()
                    await end.wait()

            task = asyncio.create_task(client.post(peer.url("/"), data=pieces()))
            await closing.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert client.stats()["in_use"] == 0
            end.set()
            for _ in range(5):
                await asyncio.sleep(0)
            await works(client, peer)

    run(main)


# -- Expect: 100-continue (RFC 9110 10.1.1) --------------------------------------------------------------------------------

EXPECT = {"Expect": "100-continue"}


def test_continue_is_waited_for():
    async def main():
        async def upload(link):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(link.reader.readexactly(1), 0.05)
            await link.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")  # is no permission
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(link.reader.readexactly(1), 0.05)
            await link.send(CONTINUE)
            await link.reader.readuntil(b"0\r\n\r\n")
            await link.send(OK)

        async with Peer(serve(upload)) as peer, HTTPClient() as client:
            flow = Flow(3, b"x")
            response = await client.post(peer.url("/"), data=flow.pieces(), headers=EXPECT)
            assert await response.content() == b"fine"
            assert (flow.given, flow.closed) == (3, True)
            await works(client, peer)

    run(main)


@pytest.mark.parametrize("split", [False, True])
def test_a_final_answer_in_place_of_continue(split):
    async def main():
        seen = []

        async def upload(link):
            await link.send(TOO_LARGE[:20] if split else TOO_LARGE)
            if split:
                await asyncio.sleep(0.01)
                await link.send(TOO_LARGE[20:])
            seen.append(await link.gone())

        async with Peer(serve(upload)) as peer, HTTPClient() as client:
            flow = Flow(3)
            response = await client.post(peer.url("/"), data=flow.pieces(), headers=EXPECT)
            assert response.status_code == 413
            assert await response.content() == b"too large"
            assert flow.given == 0
            await works(client, peer)
        assert seen == [b""]

    run(main)


def test_silence_in_place_of_continue(monkeypatch):
    monkeypatch.setattr(transport, "CONTINUE_TIME", 0.05)

    async def main():
        async def upload(link):
            await link.reader.readuntil(b"0\r\n\r\n")
            await link.send(OK)

        async with Peer(serve(upload)) as peer, HTTPClient() as client:
            began = monotonic()
            response = await client.post(peer.url("/"), data=Flow(3, b"x").pieces(), headers=EXPECT)
            assert await response.content() == b"fine"
            assert 0.04 < monotonic() - began < 0.5
            await works(client, peer)

    run(main)


def test_a_connection_that_breaks_in_place_of_continue():
    async def main():
        async def upload(link):
            link.reset()

        async with Peer(serve(upload)) as peer, HTTPClient() as client:
            flow = Flow(3)
            with pytest.raises(ConnectionLost):
                await client.post(peer.url("/"), data=flow.pieces(), headers=EXPECT)
            assert flow.given == 0
            await works(client, peer)

    run(main)


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("size", [10, 300_000])
def test_417_is_asked_again_without_the_expectation(kind, size):
    need(kind)

    async def main():
        heads = []

        async def script(link):
            while path := await link.request_head():
                heads.append(link.head.lower())
                if b"expect:" in link.head.lower():
                    await link.send(answer(b"", b"Connection: close", status=b"417 Expectation Failed"))
                    await link.gone()
                    return
                await link.reader.readexactly(link.length)
                await link.send(OK if path == "/ok" else answer(b"%d" % link.length))

        async with Peer(script) as peer, HTTPClient() as client:
            response = await client.post(peer.url("/"), data=b"x" * size, headers=EXPECT)
            assert (response.status_code, await response.content()) == (200, b"%d" % size)
            assert len(heads) == 2
            assert b"content-length: %d" % size in heads[1]
            await works(client, peer)

    run(main, kind=kind)


def test_417_to_what_cannot_be_repeated_is_the_answer():
    async def main():
        refusal = answer(b"", b"Connection: close", status=b"417 Expectation Failed")

        async def upload(link):
            await link.send(refusal)
            await link.gone()

        async with Peer(serve(upload)) as peer, HTTPClient() as client:
            # A body that can be given once; a request that expected nothing.
            for body, headers in ((Flow(3).pieces(), EXPECT), (b"x", {})):
                response = await client.post(peer.url("/"), data=body, headers=headers)
                assert response.status_code == 417
            assert len(peer.requests) == 2
            await works(client, peer)

    run(main)


# -- repeated bodies -------------------------------------------------------------------------------------------------------


def test_a_file_is_rewound_for_a_second_try(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 1000)

    async def main():
        bodies = []

        async def script(link):
            while await link.request_head():
                if link.number == 0 and len(peer.requests) > 1:
                    await link.reader.readexactly(100_000)
                    return
                bodies.append(await link.reader.readexactly(link.length))
                await link.send(OK)

        async with Peer(script) as peer, HTTPClient() as client:
            assert (await client.get(peer.url("/"))).status_code == 200
            response = await client.put(peer.url("/"), data=path.open("rb"))
            assert await response.content() == b"fine"
            assert peer.accepted == 2
            assert bodies[-1] == path.read_bytes()
            check_settled(client)

    run(main)


@pytest.mark.parametrize("kind", LOOPS)
def test_a_body_that_never_waits_notices_that_the_peer_is_gone(kind, caplog):
    """The peer takes as fast as it is given, in a thread of its own, so the loop has no turn: asyncio logs each write."""
    need(kind)

    def serve(listener):
        for _ in range(5):
            sock = listener.accept()[0]
            with sock:
                left = 3_000_000
                while left > 0:
                    left -= len(sock.recv(min(left, 262144)))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset

    async def main(port):
        async with HTTPClient() as client:
            for _ in range(5):
                flow = Flow(20_000)
                with pytest.raises(ConnectionLost):
                    await client.post(f"http://127.0.0.1:{port}/", data=flow.pieces())
                assert flow.closed
                assert flow.given < 20_000
                check_settled(client)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        run(lambda: main(listener.getsockname()[1]), kind=kind)
        thread.join(10)
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
