"""What a peer can do wrong: the caller gets the right error in time, that connection dies, and nothing else is harmed.

Every fault is played while another request of the same client is half way on a connection of its own, and afterwards that one
must complete, the pool must be settled, and the next request must work.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
import random
import zlib
from time import monotonic

import pytest

import wirebird
from raw_peer import OK, Peer, answer, check_settled, chunked, resident, run
from wirebird import (
    ConnectionLost,
    DecodingError,
    HTTPClient,
    IncompleteBody,
    InvalidResponse,
    LimitExceeded,
    ReadTimeout,
    RequestTimeout,
    TCPConnector,
    Timeouts,
)
from wirebird.models.limits import Limits
from wirebird.net.landing import _Room
from wirebird.net.pool import SmartPool

WAITING = "waiting for the response"
READING = "reading the body"

# What ends a script: closing, resetting, or saying nothing more until the client leaves.
CLOSE, RESET, SILENCE = "close", "reset", "silence"


class Stage:
    """A peer that plays one fault at `/fault`, keeps `/hold` waiting in the middle of its body, and answers everything else."""

    def __init__(self, *acts):
        self.acts = acts
        self.holding = asyncio.Event()
        self.release = asyncio.Event()
        self.faulted = asyncio.Event()  # the client has closed the connection of the fault

    async def __call__(self, link):
        while path := await link.request():
            if path == "/fault":
                for act in self.acts:
                    if act == RESET:
                        link.reset()
                        return
                    if act == CLOSE:
                        return
                    if act == SILENCE:
                        break
                    await link.send(act)
                await link.gone()
                self.faulted.set()
                return
            if path == "/hold":
                await link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
                self.holding.set()
                await self.release.wait()
                await link.send(b"done")
            else:
                await link.send(OK)


async def fetch(client, url, **keywords):
    response = await client.get(url, **keywords)
    return await response.content()


def play(*acts, error, phase, **keywords):
    """Play a fault; the error is given back."""
    caught = []

    async def main():
        stage = Stage(*acts)
        async with Peer(stage) as peer, HTTPClient() as user:
            held = asyncio.create_task(fetch(user, peer.url("/hold")))
            await stage.holding.wait()
            with pytest.raises(error) as info:
                await fetch(user, peer.url("/fault"), **keywords)
            caught.append(info.value)
            assert type(info.value) is error
            assert (info.value.peer, info.value.phase) == (peer.name, phase)
            if acts[-1] not in (CLOSE, RESET):
                await asyncio.wait_for(stage.faulted.wait(), 3)
            assert user.stats()["in_use"] == 1
            stage.release.set()
            assert await held == b"halfdone"
            assert await fetch(user, peer.url("/")) == b"fine"
            check_settled(user)

    run(main)
    return caught[0]


HEAD = b"HTTP/1.1 200 OK\r\n"

FAULTS = {
    "garbage": ([b"\x00\x01\x02\xff garbage \r\n\r\n"], InvalidResponse, WAITING),
    "garbage without a line end": ([b"SSH-2.0-OpenSSH_9.2"], InvalidResponse, WAITING),
    "a request": ([b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"], InvalidResponse, WAITING),
    "HTTP/2": ([b"HTTP/2.0 200 OK\r\n\r\n"], InvalidResponse, WAITING),
    "an HTTP/2 frame": ([b"\x00\x00\x12\x04\x00\x00\x00\x00\x00"], InvalidResponse, WAITING),
    "no status": ([b"HTTP/1.1 \r\n\r\n"], InvalidResponse, WAITING),
    "a bad field": ([HEAD + b"No colon\r\n\r\n"], InvalidResponse, WAITING),
    "NUL in a value": ([HEAD + b"A: \x00\r\nContent-Length: 0\r\n\r\n"], InvalidResponse, WAITING),
    "EOF before a byte": ([CLOSE], ConnectionLost, WAITING),
    "EOF within the head": ([HEAD + b"Content-Le", CLOSE], ConnectionLost, WAITING),
    "EOF after a 1xx": ([b"HTTP/1.1 100 Continue\r\n\r\n", CLOSE], ConnectionLost, WAITING),
    "EOF within a sized body": ([HEAD + b"Content-Length: 10\r\n\r\n12345", CLOSE], IncompleteBody, READING),
    "EOF before a sized body": ([HEAD + b"Content-Length: 10\r\n\r\n", CLOSE], IncompleteBody, READING),
    "EOF within a chunk": ([HEAD + b"Transfer-Encoding: chunked\r\n\r\na\r\n123", CLOSE], IncompleteBody, READING),
    "EOF within the trailers": ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n", CLOSE], IncompleteBody, READING),
    "reset before a byte": ([RESET], ConnectionLost, WAITING),
    "silence": ([SILENCE], ReadTimeout, WAITING),
    "silence within the head": ([HEAD, SILENCE], ReadTimeout, WAITING),
    "silence within the body": ([HEAD + b"Content-Length: 10\r\n\r\n1", SILENCE], ReadTimeout, READING),
    "a length and chunks": (
        [HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"],
        InvalidResponse,
        WAITING,
    ),
    "two lengths": ([HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"], InvalidResponse, WAITING),
    "two lengths in a list": ([HEAD + b"Content-Length: 5, 6\r\n\r\nhello!"], InvalidResponse, WAITING),
    "a signed length": ([HEAD + b"Content-Length: +5\r\n\r\nhello"], InvalidResponse, WAITING),
    "a length beyond any": ([HEAD + b"Content-Length: %d\r\n\r\nhello" % 10**30], InvalidResponse, WAITING),
    "chunked twice": ([HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"], InvalidResponse, WAITING),
    "a bad chunk size": ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n-1\r\n"], InvalidResponse, None),
    "a chunk without its end": (
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello!\r\n0\r\n\r\n"],
        InvalidResponse,
        None,
    ),
    "an endless status line": ([b"HTTP/1.1 200 " + b"O" * 20_000], LimitExceeded, WAITING),
    "an endless field": ([HEAD + b"A: " + b"a" * 100_000], LimitExceeded, WAITING),
    "endless fields": ([HEAD + b"A: b\r\n" * 20_000], LimitExceeded, WAITING),
    "endless 1xx": ([b"HTTP/1.1 102 Processing\r\n\r\n" * 100], LimitExceeded, WAITING),
    "endless chunk extensions": ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 1000], LimitExceeded, None),
    "endless trailers": ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 20_000], LimitExceeded, None),
    "101 that nobody asked for": ([b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"], InvalidResponse, WAITING),
    "not gzip": ([answer(b"not gzip", b"Content-Encoding: gzip")], DecodingError, READING),
    "half of a gzip": ([answer(gzip.compress(b"x" * 5000)[:-9], b"Content-Encoding: gzip")], DecodingError, READING),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault(name):
    acts, error, phase = FAULTS[name]
    keywords = {"timeouts": Timeouts(sock_read=0.05)} if error is ReadTimeout else {}
    if phase is None:  # the head may come alone, or with the fault behind it
        caught = []

        async def main():
            async with Peer(Stage(*acts)) as peer, HTTPClient() as client:
                with pytest.raises(error) as info:
                    await fetch(client, peer.url("/fault"))
                caught.append(info.value)
                assert info.value.peer == peer.name
                assert info.value.phase in (WAITING, READING)
                assert await fetch(client, peer.url("/")) == b"fine"
                check_settled(client)

        run(main)
        return
    if error is DecodingError:  # the framing is sound, so the connection lives; what matters is the error
        acts = [*acts, CLOSE]
    play(*acts, error=error, phase=phase, **keywords)


def test_what_the_errors_carry():
    error = play(*FAULTS["EOF within a sized body"][0], error=IncompleteBody, phase=READING)
    assert (error.received, error.expected) == (5, 10)
    error = play(HEAD + b"Content-Length: 10\r\n\r\n12345", RESET, error=IncompleteBody, phase=READING)
    assert error.expected == 10
    error = play(*FAULTS["endless 1xx"][0], error=LimitExceeded, phase=WAITING)
    assert (error.limit, error.maximum) == ("informational", 16)
    error = play(SILENCE, error=ReadTimeout, phase=WAITING, timeouts=Timeouts(sock_read=0.05))
    assert error.limit == 0.05


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("end", [CLOSE, RESET])
def test_truncation_at_every_byte(kind, end):
    """Of a sized and of a chunked response; through the pipeline and through the short cut."""
    if kind == "uvloop":
        pytest.importorskip("uvloop")
    responses = [answer(b"0123456789", b"A: b"), chunked(b"01234", b"56789")]

    async def main():
        cuts = [(data, size) for data in responses for size in range(len(data))]
        wanted = iter([])

        async def script(link):
            while path := await link.request():
                if path != "/":
                    await link.send(answer(b"", b"Connection: close"))
                    return
                data, size = next(wanted)
                await link.send(data[:size])
                if end == RESET:
                    link.reset()
                return

        async with Peer(script) as peer, HTTPClient() as client:
            for keywords in ({}, {"headers": {"A": "b"}}):
                wanted = iter(cuts)
                for data, size in cuts:
                    whole_head = size >= data.index(b"\r\n\r\n") + 4
                    # A reset may overtake what was sent before it.
                    expected = IncompleteBody if whole_head else ConnectionLost
                    with pytest.raises((expected, ConnectionLost) if end == RESET else expected) as info:
                        await fetch(client, peer.url("/"), **keywords)
                    assert info.value.peer == peer.name
                    assert info.value.phase in (WAITING, READING)
                    pool = client.connector.peek()
                    assert (pool.in_use, len(pool.connections)) == (0, 0)
            assert await fetch(client, peer.url("/other")) == b""
            check_settled(client)

    run(main, kind=kind)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_reset_leaves_nothing_of_what_was_received_in_place(kind):
    """Found in a cycle by the garbage collector, a BytesIO that is still being looked at takes Python 3.12 down with it."""

    async def script(link):
        await link.request()
        await link.send(answer(b"x" * 300_000)[:200_000])
        await link.peer.begun.wait()
        link.reset()

    async def main():
        async with Peer(script) as peer, HTTPClient() as client:
            peer.begun = asyncio.Event()
            response = await client.get(peer.url())
            reading = asyncio.ensure_future(response.content())
            await asyncio.sleep(0)  # it has made room for the whole
            peer.begun.set()
            with pytest.raises(IncompleteBody) as caught:
                await reading
            cause = caught.value.__cause__
            assert cause is None or cause.__traceback__ is None
            del caught, cause, reading, response
            await asyncio.sleep(0)
            assert [one for one in gc.get_objects() if type(one) is _Room] == []

    gc.collect()
    gc.disable()
    try:
        run(main, kind=kind)
    finally:
        gc.enable()


def test_truncation_of_the_short_cut():
    """Once a URL has its plan, the same faults end in the same errors, on a connection that was not used before."""

    async def main():
        whole = answer(b"0123456789", b"Connection: close")
        cut = len(whole)

        async def script(link):
            while await link.request():
                await link.send(whole[:cut])
                return

        async with Peer(script) as peer, HTTPClient() as client:
            assert await fetch(client, peer.url("/")) == b"0123456789"
            for cut in range(len(whole)):
                with pytest.raises(IncompleteBody if cut >= len(whole) - 10 else ConnectionLost):
                    await fetch(client, peer.url("/"))
                assert client.stats()["open"] == 0
            check_settled(client)

    run(main)


# -- bombs -----------------------------------------------------------------------------------------------------------------


def _bomb(coding, size):
    data = b"\0" * 1_000_000
    if coding == "br":
        brotli = pytest.importorskip("brotli")
        squeeze = brotli.Compressor(quality=3)
        return b"".join(squeeze.process(data) for _ in range(size // len(data))) + squeeze.finish()
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31 if coding == "gzip" else 15)
    return b"".join(squeeze.compress(data) for _ in range(size // len(data))) + squeeze.flush()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_bomb(coding, streamed):
    bomb = _bomb(coding, 60_000_000)

    async def read(client, url):
        if not streamed:
            return await fetch(client, url)
        async with client.get(url) as response:
            async for _ in response.iter_bytes():
                pass
        return None

    async def main():
        stage = Stage(answer(bomb, b"Content-Encoding: " + coding.encode()), CLOSE)
        async with Peer(stage) as peer, HTTPClient(max_body_size=3_000_000) as client:
            before = resident()
            with pytest.raises(LimitExceeded) as info:
                await read(client, peer.url("/fault"))
            assert resident() - before < 24_000_000
            assert info.value.maximum == 3_000_000
            assert (info.value.peer, info.value.phase) == (peer.name, READING)
            assert await fetch(client, peer.url("/")) == b"fine"
            check_settled(client)

    run(main)


@pytest.mark.parametrize("framing", ["sized, at once", "sized, late", "chunked, at once", "chunked, late", "chunked, large"])
def test_a_body_beyond_the_size_that_the_client_takes(framing):
    body = b"x" * (2_000_000 if "large" in framing else 1000)
    data = answer(body) if "sized" in framing else chunked(*[body[at : at + 500] for at in range(0, len(body), 500)])
    head, _, rest = data.partition(b"\r\n\r\n")

    async def main():
        async def script(link):
            while path := await link.request():
                if path == "/":
                    await link.send(OK)
                elif "at once" in framing:
                    await link.send(data)
                else:
                    await link.send(head + b"\r\n\r\n")
                    await asyncio.sleep(0)
                    await link.send(rest)

        async with Peer(script) as peer, HTTPClient(max_body_size=999) as client:
            with pytest.raises(LimitExceeded) as info:
                await fetch(client, peer.url("/big"))
            assert (info.value.limit, info.value.maximum, info.value.peer) == ("max_body_size", 999, peer.name)
            assert await fetch(client, peer.url("/")) == b"fine"
            check_settled(client)

    run(main)


# -- slow peers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("data", [OK, chunked(b"abc", b"def")])
def test_a_slow_drip_ends_at_the_total_deadline(warm, data):
    """Each byte comes in time, and so no wait for one is too long; the whole is."""

    async def main():
        dripping = asyncio.Event()

        async def script(link):
            while await link.request():
                if not dripping.is_set():
                    await link.send(OK)
                    continue
                for at in range(len(data) - 3):
                    await link.send(data[at : at + 1])
                    await asyncio.sleep(0.01)
                await link.gone()

        timeouts = Timeouts(sock_read=0.2, request_timeout=0.25)
        async with Peer(script) as peer, HTTPClient(timeouts=timeouts) as client:
            if warm:
                await fetch(client, peer.url("/"))
            dripping.set()
            began = monotonic()
            with pytest.raises(RequestTimeout) as info:
                await fetch(client, peer.url("/"))
            assert 0.2 < monotonic() - began < 0.6
            assert (info.value.limit, info.value.peer) == (0.25, peer.name)
            check_settled(client)
            dripping.clear()
            assert await fetch(client, peer.url("/")) == b"fine"

    run(main)


def test_a_drip_into_content_is_bounded_and_into_a_stream_is_not():
    async def main():
        async def script(link):
            while await link.request():
                await link.send(HEAD + b"Content-Length: 30\r\n\r\n")
                for _ in range(30):
                    await asyncio.sleep(0.01)
                    await link.send(b"x")

        timeouts = Timeouts(sock_read=5, request_timeout=0.15)
        async with Peer(script) as peer, HTTPClient(timeouts=timeouts) as client:
            response = await client.get(peer.url("/"))
            with pytest.raises(RequestTimeout) as info:
                await response.content()
            assert info.value.phase == READING
            check_settled(client)
            async with client.get(peer.url("/")) as response:
                assert b"".join([piece async for piece in response.iter_bytes()]) == b"x" * 30
            check_settled(client)

    run(main)


def test_a_slow_reader_is_not_the_peers_fault():
    """The body is paused for longer than the peer may be silent, then read to its end."""

    async def main():
        body = bytes(range(256)) * 8192

        async def script(link):
            while await link.request():
                await link.send(answer(body))

        async with Peer(script) as peer, HTTPClient(timeouts=Timeouts(sock_read=0.05)) as client:
            async with client.get(peer.url("/")) as response:
                parts = [await response.read(10)]
                await asyncio.sleep(0.2)
                parts.extend([piece async for piece in response.iter_bytes()])
            assert b"".join(parts) == body
            check_settled(client)

    run(main)


# -- bytes where none belong -----------------------------------------------------------------------------------------------

STRAY = {
    "after a sized body": (answer(b"fine") + OK, "GET", b"fine"),
    "after chunks": (chunked(b"fine") + b"HTTP/1.1 200 OK\r\n", "GET", b"fine"),
    "after a 204": (b"HTTP/1.1 204 No Content\r\n\r\nbody", "GET", b""),
    "after a 304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nbody", "GET", b""),
    "after a HEAD": (answer(b"body"), "HEAD", b""),
    "after an empty body": (answer(b"") + b"\r\n", "GET", b""),
}


@pytest.mark.parametrize("name", STRAY)
@pytest.mark.parametrize("split", [False, True])
def test_bytes_after_the_response(name, split):
    """They come with the response or behind it: the connection is not used again, and they answer nothing."""
    data, method, body = STRAY[name]

    async def main():
        async def script(link):
            while path := await link.request():
                if path == "/":
                    await link.send(OK)
                    continue
                if split:
                    at = data.index(b"\r\n\r\n") + 4 + (len(body) if b"chunked" not in data else 14)
                    await link.send(data[:at])
                    await asyncio.sleep(0.01)
                    await link.send(data[at:])
                else:
                    await link.send(data)
                await link.gone()
                left.set()

        left = asyncio.Event()
        async with Peer(script) as peer, HTTPClient() as client:
            response = await client.request(peer.url("/stray"), method)
            assert await response.content() == body
            await left.wait()
            assert client.stats()["open"] == 0
            assert await fetch(client, peer.url("/")) == b"fine"
            assert peer.accepted == 2
            check_settled(client)

    run(main)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("act", [b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", b"\0", CLOSE, RESET, "half-close"])
def test_an_idle_connection_that_speaks_or_ends(act, kind):
    if kind == "uvloop":
        pytest.importorskip("uvloop")

    async def main():
        act_now, acted = asyncio.Event(), asyncio.Event()

        async def script(link):
            while await link.request():
                await link.send(OK)
                if link.number == 0:
                    await act_now.wait()
                    if act == RESET:
                        link.reset()
                    elif act == "half-close":
                        link.finish()
                        await link.gone()
                    elif act != CLOSE:
                        await link.send(act)
                        await link.gone()
                    acted.set()
                    return

        async with Peer(script) as peer, HTTPClient() as client:
            assert await fetch(client, peer.url("/")) == b"fine"
            idle = next(iter(client.connector.peek().connections))
            gone = idle.when_gone()
            act_now.set()
            await acted.wait()
            await gone
            assert client.stats()["open"] == 0
            response = await client.post(peer.url("/"), data=b"x")  # would not be repeated
            assert await response.content() == b"fine"
            check_settled(client)

    run(main, kind=kind)


# -- large claims, small pieces --------------------------------------------------------------------------------------------


def test_a_terabyte_that_is_only_claimed():
    async def main():
        stage = Stage(HEAD + b"Content-Length: 1000000000000\r\n\r\n0123456789", CLOSE)
        async with Peer(stage) as peer, HTTPClient() as client:
            await fetch(client, peer.url("/"))
            before = resident()
            with pytest.raises(IncompleteBody) as info:
                await fetch(client, peer.url("/fault"))
            assert (info.value.received, info.value.expected) == (10, 10**12)
            async with client.get(peer.url("/fault")) as response:
                with pytest.raises(IncompleteBody):
                    await response.read()
            assert resident() - before < 6_000_000
            check_settled(client)

    run(main)


def test_ten_thousand_chunks_of_one_byte():
    async def main():
        body = bytes(range(250)) * 40
        data = chunked(*[body[at : at + 1] for at in range(len(body))])

        async def script(link):
            while path := await link.request():
                await (link.drip(data, 1000) if path == "/slow" else link.send(data))

        async with Peer(script) as peer, HTTPClient() as client:
            for path in ("/", "/slow"):
                began = monotonic()
                assert await fetch(client, peer.url(path)) == body
                assert monotonic() - began < 1
                async with client.get(peer.url(path)) as response:
                    assert await response.read() == body
            check_settled(client)

    run(main)


# -- limits are the connector's --------------------------------------------------------------------------------------------


def test_limits_can_be_set():
    async def main():
        async with Peer(Stage(answer(b"", b"A: b", b"C: d"), CLOSE)) as peer:
            async with HTTPClient(TCPConnector(limits=Limits(head_fields=2))) as client:
                with pytest.raises(LimitExceeded) as info:
                    await fetch(client, peer.url("/fault"))
                assert info.value.maximum == 2
            async with HTTPClient() as client:
                assert await fetch(client, peer.url("/fault")) == b""

    run(main)


# -- TLS -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize(
    "acts",
    [
        [HEAD + b"Content-Length: 10\r\n\r\n12345", RESET],
        [HEAD + b"Content-Length: 10\r\n\r\n12345", CLOSE],
        [HEAD + b"Connection: close\r\n\r\n12345", RESET],
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", RESET],
        [RESET],
        [CLOSE],
        [b"garbage"],
    ],
)
def test_faults_within_tls(contexts, acts, kind):
    """A body that ends with the connection is cut short if the connection does not end with close_notify (RFC 9112 9.8)."""
    if kind == "uvloop":
        pytest.importorskip("uvloop")
    server, trusting = contexts

    async def main():
        stage = Stage(*acts)
        async with Peer(stage, ssl=server) as peer, HTTPClient(TCPConnector(ssl=trusting)) as client:
            assert await fetch(client, peer.url("/")) == b"fine"
            with pytest.raises((ConnectionLost, IncompleteBody, InvalidResponse)) as info:
                await fetch(client, peer.url("/fault"), headers={"A": "b"})
            assert info.value.peer == peer.name
            assert info.value.phase
            assert await fetch(client, peer.url("/")) == b"fine"
            check_settled(client)

    run(main, kind=kind)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("size", [None, 50_000, "whole"])
def test_bodies_within_tls_arrive_as_they_were_sent(contexts, kind, size):
    """Many at once, so that one read of the loop has several TLS records: each ends up in its place."""
    if kind == "uvloop":
        pytest.importorskip("uvloop")
    server, trusting = contexts
    body = random.Random(1).randbytes(300_000)

    async def main():
        async def script(link):
            while await link.request():
                await link.send(answer(body))

        async with Peer(script, ssl=server) as peer, HTTPClient(TCPConnector(ssl=trusting, pool_size=10)) as client:

            async def download():
                async with client.get(peer.url("/")) as response:
                    if size == "whole":
                        return await response.content()
                    return b"".join([piece async for piece in response.iter_bytes(size)])

            for _ in range(2):
                assert all(got == body for got in await asyncio.gather(*[download() for _ in range(15)]))
            check_settled(client)

    run(main, kind=kind)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("act", [b"220 mail.example ESMTP\r\n", CLOSE, RESET])
def test_a_peer_that_acts_before_it_is_asked(contexts, secure, act, kind):
    """It speaks, or leaves, as soon as it has accepted: a typed error, and no slot lost."""
    if kind == "uvloop":
        pytest.importorskip("uvloop")
    server, trusting = contexts

    async def main():
        async def script(link):
            if act == RESET:
                link.reset()
            elif act != CLOSE:
                await link.send(act)
                await link.gone()

        async with Peer(script, ssl=server if secure else None) as peer:
            connector = TCPConnector(pool_size=2, ssl=trusting)
            async with HTTPClient(connector, timeouts=Timeouts(pool_acquire=1, sock_read=2)) as client:
                for _ in range(6):
                    with pytest.raises((ConnectionLost, InvalidResponse, wirebird.TLSError, wirebird.ConnectError)) as info:
                        await client.get(peer.url("/"))
                    assert info.value.peer == peer.name
                    assert info.value.phase
                check_settled(client)

    run(main, kind=kind)


# -- what is repeated (SEMANTICS T7) ---------------------------------------------------------------------------------------


def stale(act, *, fail=1):
    """A peer that answers the first request of a connection, and at the second acts; on the first `fail` connections."""

    async def script(link):
        first = True
        while await link.request():
            if first or link.number >= fail:
                await link.send(OK)
                first = False
                continue
            if act == RESET:
                link.reset()
            elif act != CLOSE:
                await link.send(act)
            return

    return script


class Once:
    """A body that can be given once."""

    def __init__(self):
        self.given = 0

    def __aiter__(self):
        return self

    async def __anext__(self):
        self.given += 1
        if self.given > 1:
            raise StopAsyncIteration
        return b"piece"


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("act", [CLOSE, RESET])
@pytest.mark.parametrize(
    ("method", "keywords", "repeated"),
    [
        ("GET", {}, True),
        ("GET", {"headers": {"A": "b"}}, True),
        ("HEAD", {}, True),
        ("OPTIONS", {}, True),
        ("DELETE", {}, True),
        ("PUT", {"data": b"bytes"}, True),
        ("PUT", {"data": b"x" * 300_000}, True),
        ("PUT", {"data": Once}, False),
        ("POST", {"data": b"bytes"}, False),
        ("PATCH", {"data": b"bytes"}, False),
    ],
)
def test_a_stale_connection(kind, act, method, keywords, repeated):
    if kind == "uvloop":
        pytest.importorskip("uvloop")

    async def main():
        given = {name: value() if value is Once else value for name, value in keywords.items()}
        async with Peer(stale(act)) as peer, HTTPClient() as client:
            await fetch(client, peer.url("/"))
            if repeated:
                response = await client.request(peer.url("/"), method, **given)
                assert await response.content() == (b"" if method == "HEAD" else b"fine")
                assert (peer.accepted, len(peer.requests)) == (2, 3)
            else:
                with pytest.raises(ConnectionLost):
                    await client.request(peer.url("/"), method, **given)
                assert (peer.accepted, len(peer.requests)) == (1, 2)
            check_settled(client)
            assert await fetch(client, peer.url("/")) == b"fine"

    run(main, kind=kind)


@pytest.mark.parametrize("keywords", [{}, {"headers": {"A": "b"}}])
def test_what_is_not_repeated(keywords):
    async def once(peer, client):
        await fetch(client, peer.url("/"))
        return await fetch(client, peer.url("/"), **keywords)

    async def main():
        # A byte of the response has arrived.
        async with Peer(stale(b"H")) as peer, HTTPClient() as client:
            with pytest.raises(ConnectionLost):
                await once(peer, client)
            assert len(peer.requests) == 2
        # So has a 1xx.
        async with Peer(stale(b"HTTP/1.1 103 Early Hints\r\n\r\n")) as peer, HTTPClient() as client:
            with pytest.raises(ConnectionLost):
                await once(peer, client)
            assert len(peer.requests) == 2

        async def deaf(link):
            if link.number == 0 and await link.request():
                await link.send(OK)
                await link.request()
            # and of the next connection not even the request is read

        # The connection that replaces the stale one fails too: once is enough.
        async with Peer(deaf) as peer, HTTPClient() as client:
            with pytest.raises(ConnectionLost):
                await once(peer, client)
            assert peer.accepted == 2
            check_settled(client)

        async def silent(link):
            while await link.request():
                if link.number or len(peer.requests) > 1:
                    await link.gone()
                    return
                await link.send(OK)

        # Silence is no sign of staleness.
        async with Peer(silent) as peer, HTTPClient(timeouts=Timeouts(sock_read=0.05)) as client:
            with pytest.raises(ReadTimeout):
                await once(peer, client)
            assert (peer.accepted, len(peer.requests)) == (1, 2)
            check_settled(client)

    run(main)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_dies_before_it_is_written_to(method):
    """Between being handed over and being used: nothing was sent, so that even a POST takes another one."""

    async def main():
        class Dying(SmartPool):
            def release(self, conn):
                waiting = self.waiting
                super().release(conn)
                if waiting:
                    conn.abort()

        async def script(link):
            while await link.request():
                await link.send(OK)

        connector = TCPConnector(pool_size=1, pool_cls=Dying)
        async with Peer(script) as peer, HTTPClient(connector, timeouts=Timeouts(pool_acquire=2)) as client:
            await fetch(client, peer.url("/"))
            first = asyncio.create_task(client.post(peer.url("/"), data=b"x"))
            while not client.stats()["in_use"]:
                await asyncio.sleep(0)
            second = asyncio.create_task(client.request(peer.url("/"), method, headers={"A": "b"}))
            assert await (await first).content() == b"fine"
            assert await (await second).content() == b"fine"
            assert (peer.accepted, len(peer.requests)) == (2, 3)
            check_settled(client)

    run(main)


def test_many_stale_connections_at_once():
    """A server that was restarted: every idle connection is dead, and no request notices."""

    async def main():
        round_of_first = asyncio.Barrier(10)

        async def script(link):
            await link.request()
            if link.number < 10:
                await round_of_first.wait()
                await link.send(OK)
                await link.request()
                link.reset()
                return
            await link.send(OK)
            while await link.request():
                await link.send(OK)

        async with Peer(script) as peer, HTTPClient(TCPConnector(pool_size=10)) as client:
            assert await asyncio.gather(*[fetch(client, peer.url("/")) for _ in range(10)]) == [b"fine"] * 10
            assert client.stats()["open"] == 10
            calls = [fetch(client, peer.url("/"), **({} if n % 2 else {"headers": {"A": "b"}})) for n in range(30)]
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert all(result == b"fine" for result in results), results
            check_settled(client)

    run(main)
