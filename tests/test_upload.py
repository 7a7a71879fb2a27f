"""`Upload`: progress, compression, and what it leaves as it is; answers that come before a long body has been sent."""

from __future__ import annotations

import asyncio
import io
import threading
from pathlib import Path

import pytest

import wirebird.client.upload as upload_module
from origin import Origin, pattern
from raw_peer import OK, Peer, answer, check_settled, run
from wirebird import HTTPClient, MultipartForm, ProgressBar, Timeouts, Upload, UsageError
from wirebird.protocol.codings import make_decoder

BODY = pattern(300_000)
GIB = 1024 * 1024 * 1024
CODINGS = ["gzip", "deflate", "br", "zstd"]
EXPECT = {"Expect": "100-continue"}


@pytest.fixture
def every(monkeypatch):
    """Progress is told for every piece."""
    monkeypatch.setattr("wirebird.client.progress.EVERY", 0)


async def _given(*pieces):
    for piece in pieces:
        yield piece


def with_origin(main, **settings):
    async def framed():
        async with Origin() as origin, HTTPClient(**settings) as client:
            await main(origin, client)
            assert origin.faults == []
            check_settled(client)

    run(framed)


# -- what may be wrapped ---------------------------------------------------------------------------------------------------


def test_the_same_goes_out_as_without(tmp_path):
    (tmp_path / "file.txt").write_bytes(BODY)

    def form():
        form = MultipartForm()
        form.boundary = "b" * 32
        form.add_field("a", "1")
        form.add_file("f", tmp_path / "file.txt")
        return form

    async def main(origin, client):
        for make in (
            lambda: b"bytes",
            lambda: b"",
            lambda: bytearray(b"array"),
            lambda: "text é",
            lambda: {"a": "1", "b": ["2", "3"]},
            lambda: [("a", "1")],
            lambda: (tmp_path / "file.txt").open("rb"),
            lambda: io.BytesIO(BODY),
            lambda: iter([b"a", b"", b"b"]),
            lambda: _given(b"a", b"", b"b"),
            form,
        ):
            plain, wrapped = make(), make()
            seen = []
            for data in (plain, Upload(wrapped)):
                await client.post(origin.url("/echo"), data=data)
                asked = origin.asked[-1]
                fields = {name: value for name, value in asked.headers.items() if name != "Host"}
                seen.append((asked.body, fields))
            assert seen[0] == seen[1]
            if hasattr(wrapped, "closed"):
                assert wrapped.closed

    with_origin(main)


def test_what_cannot_be_wrapped():
    for given, argument in [
        ({"data": None}, "data"),
        ({"data": Upload(b"x")}, "data"),
        ({"progress": 7}, "progress"),
        ({"compress": "rot13"}, "compress"),
        ({"compress": 7}, "compress"),
        ({"trailers": "x"}, "trailers"),
    ]:
        with pytest.raises(UsageError) as info:
            Upload(**{"data": b"x", **given})
        assert info.value.argument == argument

    async def main(origin, client):
        for data in (Upload(7), Upload(object())):
            with pytest.raises(UsageError) as info:
                await client.post(origin.url("/echo"), data=data)
            assert info.value.argument == "data"
        with pytest.raises(UsageError):
            await client.post(origin.url("/echo"), data=Upload({"a": "b"}), multipart=True)
        await client.get(origin.url("/echo"))

    with_origin(main)
    assert repr(Upload([], progress=print, compress="gzip")) == "<Upload of list with progress, compress>"


def test_a_coding_whose_library_is_missing(monkeypatch):
    monkeypatch.setattr("wirebird.protocol.codings.is_usable", lambda coding: coding == "gzip")
    with pytest.raises(UsageError, match=r"wirebird\[compression\]"):
        Upload(b"x", compress="br")


# -- progress --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "total"),
    [
        (lambda: BODY, 300_000),
        (lambda: io.BytesIO(BODY), 300_000),
        (lambda: _given(BODY[:100_000], BODY[100_000:]), None),
    ],
)
@pytest.mark.parametrize("compress", [None, "gzip"])
def test_progress(make, total, compress, every):
    said = []

    async def main(origin, client):
        await client.put(origin.url("/echo"), data=Upload(make(), progress=lambda *now: said.append(now), compress=compress))

    with_origin(main)
    done = [now for now, _ in said]
    assert {of for _, of in said} == {total}
    assert done[0] == 0
    assert done[-1] == len(BODY)
    assert len(done) >= 2
    assert done == sorted(set(done))


def test_progress_is_of_what_the_connection_has_taken(every):
    """Not of what was read from the data: a peer that does not read stops it."""

    async def main():
        stop = asyncio.Event()

        async def script(link):
            await link.request_head()
            await stop.wait()

        said = []
        async with Peer(script, limit=1024) as peer, HTTPClient(timeouts=Timeouts(sock_read=0.1)) as client:
            with pytest.raises(TimeoutError):
                await client.put(peer.url("/"), data=Upload(bytes(60_000_000), progress=lambda *now: said.append(now)))
            assert said[-1][0] < 30_000_000
            stop.set()
            check_settled(client)

    run(main)


@pytest.mark.parametrize("compress", [None, "gzip"])
def test_a_file_that_grows_while_it_is_sent(tmp_path, compress, every):
    """What was there when the head was written is what is sent, as without `Upload`."""
    (tmp_path / "file").write_bytes(BODY)
    said = []

    async def main(origin, client):
        async def grows(request, handler):
            real = request.body.pieces

            def pieces():
                with (tmp_path / "file").open("ab") as file:
                    file.write(b"more")
                return real()

            request.body.pieces = pieces
            return await handler(request)

        async with HTTPClient(middlewares=[grows]) as other:
            data = Upload((tmp_path / "file").open("rb"), progress=lambda *now: said.append(now), compress=compress)
            await other.put(origin.url("/echo"), data=data)
        body = origin.asked[-1].body
        assert (make_decoder("gzip").decode_whole(body) if compress else body) == BODY
        await client.get(origin.url("/echo"))

    with_origin(main)
    assert said[-1] == (300_000, 300_000)


def test_progress_that_fails_ends_the_request():
    def fail(done, total):
        raise ZeroDivisionError

    async def main(origin, client):
        with pytest.raises(ZeroDivisionError):
            await client.put(origin.url("/echo"), data=Upload(BODY, progress=fail))

    with_origin(main)


def test_a_bar_ends_with_the_request():
    pytest.importorskip("tqdm")
    screen = io.StringIO()
    bar = ProgressBar("up", file=screen, mininterval=0)

    async def main(origin, client):
        await client.put(origin.url("/echo"), data=Upload(BODY, progress=bar))
        with pytest.raises(ZeroDivisionError):
            await client.put(origin.url("/echo"), data=Upload(_failing(), progress=bar))

    with_origin(main)
    assert "up: 100%" in screen.getvalue()
    assert screen.getvalue().count("\n") == 2
    assert bar._bar is None


async def _failing():
    yield b"x"
    raise ZeroDivisionError


# -- compression -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", [*CODINGS, "GZIP"])
def test_compression(coding, tmp_path):
    (tmp_path / "file").write_bytes(BODY)

    async def main(origin, client):
        for data, whole, sized in [
            (b"", b"", True),
            (b"small " * 100, b"small " * 100, True),
            (BODY, BODY, False),
            ((tmp_path / "file").open("rb"), BODY, False),
            (_given(b"a", BODY, b"", b"b"), b"a" + BODY + b"b", False),
            (_given(), b"", False),
        ]:
            await client.post(origin.url("/echo"), data=Upload(data, compress=coding))
            asked = origin.asked[-1]
            assert asked.headers.get_list("content-encoding") == [coding.lower()]
            assert ("content-length" in asked.headers) is sized
            assert asked.headers.get("transfer-encoding") == (None if sized else "chunked")
            decoder = make_decoder(coding)
            assert decoder.decode_whole(asked.body) == whole
            if whole:
                assert len(asked.body) < len(whole) + 20

    with_origin(main)


def test_compression_beside_a_coding_of_the_callers_own():
    async def main(origin, client):
        with pytest.raises(UsageError) as info:
            await client.post(origin.url("/echo"), data=Upload(b"x", compress="gzip"), headers={"Content-Encoding": "br"})
        assert info.value.argument == "compress"
        await client.get(origin.url("/echo"))

    with_origin(main)


def test_large_pieces_are_compressed_in_a_thread(monkeypatch):
    real, threads = upload_module._make_encoder, []

    class Watched:
        def __init__(self, encoder):
            self.flush = encoder.flush
            self._encoder = encoder

        def encode(self, data):
            threads.append((len(data), threading.current_thread() is threading.main_thread()))
            return self._encoder.encode(data)

    monkeypatch.setattr(upload_module, "_make_encoder", lambda coding: Watched(real(coding)))

    async def main(origin, client):
        await client.post(origin.url("/echo"), data=Upload(_given(b"s" * 1000, bytes(600_000)), compress="gzip"))

    with_origin(main)
    assert threads == [(1000, True), (600_000, False)]


def test_an_upload_is_repeated_where_a_redirect_wants_it(every, tmp_path):
    """All of it: compressed anew, counted anew, its trailers evaluated anew."""
    (tmp_path / "file").write_bytes(BODY)
    said, evaluated = [], []

    async def main(origin, client):
        origin.always("/307", b"HTTP/1.1 307 Again\r\nLocation: /echo\r\nContent-Length: 0\r\n\r\n")
        origin.always("/303", b"HTTP/1.1 303 See\r\nLocation: /echo\r\nContent-Length: 0\r\n\r\n")
        for path in ("/307", "/303"):
            data = Upload(
                (tmp_path / "file").open("rb"),
                progress=lambda *now: said.append(now[0]),
                compress="gzip",
                trailers={"X-Sum": lambda: str(evaluated.append(1))},
            )
            await client.post(origin.url(path), data=data, follow=True)
            last = origin.asked[-1]
            if path == "/307":
                assert make_decoder("gzip").decode_whole(last.body) == BODY
                assert last.headers["trailer"] == "X-Sum"
            else:
                assert (last.method, last.body) == ("GET", b"")
                assert not {"trailer", "content-encoding", "content-type"} & set(map(str.lower, last.headers))

    with_origin(main)
    assert said.count(0) == 3
    assert said.count(len(BODY)) == 3
    assert len(evaluated) == 3


def test_one_upload_for_several_requests():
    async def main(origin, client):
        data = Upload(BODY, compress="gzip")
        for _ in range(2):
            await client.put(origin.url("/echo"), data=data)
            assert make_decoder("gzip").decode_whole(origin.asked[-1].body) == BODY

    with_origin(main)


# -- answers before the body was sent (RFC 9112 9.5, RFC 9110 10.1.1) ------------------------------------------------------


class Endless:
    """A body that would be a gibibyte; `given` counts its bytes."""

    def __init__(self):
        self.given = 0
        self.closed = False

    async def pieces(self):
        try:
            while self.given < GIB:
                self.given += 65536
                yield bytes(65536)
        finally:
            self.closed = True


TOO_LARGE = answer(b"too large", status=b"413 Content Too Large")


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("secure", "after"),  # there is no half-closed TLS connection in asyncio
    [(False, "reads on"), (False, "closes"), (False, "half-closes"), (True, "reads on"), (True, "closes")],
)
def test_413_to_a_gibibyte(contexts, secure, after, kind):
    """The answer is delivered, the rest is never produced, and the next request has a connection of its own."""
    if kind == "uvloop":
        pytest.importorskip("uvloop")

    async def main():
        async def script(link):
            if await link.request_head() == "/ok":
                await link.reader.readexactly(2)
                await link.send(OK)
                return
            await link.reader.readexactly(100_000)
            await link.send(TOO_LARGE)
            if after == "half-closes":
                link.finish()
            if after != "closes":
                await link.gone()

        async with Peer(script, ssl=contexts[0] if secure else None) as peer, HTTPClient() as client:
            context = contexts[1] if secure else None
            for headers in ({}, {"Content-Length": str(GIB)}):
                body = Endless()
                response = await client.put(peer.url("/"), data=body.pieces(), headers=headers, ssl=context)
                assert (response.status_code, await response.content()) == (413, b"too large")
                assert body.closed
                assert body.given < 50_000_000
            response = await client.post(peer.url("/ok"), data=b"ab", ssl=context)
            assert await response.content() == b"fine"
            assert await client.wait_requests(2)
            check_settled(client)

    run(main, kind=kind)


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("said", ["100", "final", "417"])
def test_expect_with_and_without_tls(contexts, secure, said):
    async def main():
        seen = []

        async def script(link):
            while await link.request_head():
                expects = b"expect:" in link.head.lower()
                seen.append(expects)
                if expects and said == "final":
                    await link.send(TOO_LARGE)
                elif expects and said == "417":
                    await link.send(answer(b"", status=b"417 Expectation Failed"))
                else:
                    if expects:
                        await link.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                    await link.reader.readexactly(link.length)
                    await link.send(OK)
                    continue
                await link.gone()
                return

        async with Peer(script, ssl=contexts[0] if secure else None) as peer, HTTPClient() as client:
            context = contexts[1] if secure else None
            response = await client.put(peer.url("/"), data=Upload(BODY), headers=EXPECT, ssl=context)
            assert response.status_code == (413 if said == "final" else 200)
            assert seen == ([True, False] if said == "417" else [True])
            await response.content()
            check_settled(client)

    run(main)


def test_the_source_of_a_file_is_closed_after_an_early_answer(tmp_path):
    path = Path(tmp_path / "file")
    path.write_bytes(bytes(20_000_000))

    async def main():
        async def script(link):
            await link.request_head()
            await link.send(TOO_LARGE)
            await link.gone()

        async with Peer(script) as peer, HTTPClient() as client:
            with path.open("rb") as file:
                response = await client.put(peer.url("/"), data=Upload(file, progress=lambda *now: None, compress="gzip"))
                assert response.status_code == 413
                while not file.closed:  # a block of it may still be being read
                    await asyncio.sleep(0.001)
            check_settled(client)

    run(main)
