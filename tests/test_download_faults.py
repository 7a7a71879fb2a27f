"""Downloads that do not go well: cuts, files that change, servers that get ranges wrong, full disks, cancellation, kills.

What holds throughout: what is under the final name is one whole state of the file, or nothing is.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import hashlib
import json
import os
import random
import signal
import sys
import threading
from pathlib import Path

import pytest

import wirebird.client.download as download
from origin import pattern
from raw_peer import Peer, answer, check_settled, chunked, run
from shelf import OLD, Shelf, parts
from test_download import BODY, SHA256, left_behind, on_shelf
from wirebird import (
    ClientClosed,
    ConnectError,
    ConnectionLost,
    CorruptBody,
    DecodingError,
    HTTPClient,
    IncompleteBody,
    InvalidResponse,
    StatusError,
    Timeouts,
    UsageError,
    WirebirdError,
)
from wirebird.client import partial

LOOPS = ["asyncio", "uvloop"]
NEW = pattern(600_000)[300_000:]  # as long as BODY, and different everywhere
LARGE = pattern(3_000_000)  # more than is written at once


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """Nobody waits between attempts."""
    monkeypatch.setattr(download, "PAUSES", (0,))


# -- cuts ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_cut_anywhere(tmp_path, framing, kind):
    """At the edges of what is received at once, and everywhere else; what was received is not asked for again."""
    spots = [0, 1, 2, 999, 1000, 1001, 65_535, 65_536, 65_537, 262_144, 299_998, 299_999]
    shelf = Shelf(BODY, spoil=lambda answer: setattr(answer, "framing", framing))

    async def main(client, url):
        for cut in spots:
            shelf.cuts = [cut]
            shelf.asked.clear()
            shelf.reset = bool(cut % 2)
            done = await client.download(url, tmp_path / "here", digest=f"sha256:{SHA256}")
            assert done.resumptions == 1
            assert len(shelf.asked) == 2
            if framing == "length" and not shelf.reset and cut:
                assert shelf.asked[1] == (f"bytes={cut}-", '"one"')
            assert parts(tmp_path) == ["here"]

    on_shelf(shelf, main, kind=kind)


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_cut_while_it_comes_fast(tmp_path, framing, kind, monkeypatch):
    """In large pieces, received in place: what came of the last one is kept too."""
    monkeypatch.setattr(download, "FAST", 1)
    monkeypatch.setattr(download, "FAST_TIME", 60)
    monkeypatch.setattr(download, "PIECE", 50_000)
    shelf = Shelf(BODY, spoil=lambda answer: setattr(answer, "framing", framing))

    async def main(client, url):
        for cut in (200_000, 249_999, 250_001, 299_999):
            shelf.cuts = [cut, 1]
            shelf.asked.clear()
            done = await client.download(url, tmp_path / "here", digest=f"sha256:{SHA256}")
            assert done.path.read_bytes() == BODY
            if framing == "length":
                assert shelf.asked[1:2] == [(f"bytes={cut}-", '"one"')]

    on_shelf(shelf, main, kind=kind)


def test_cut_again_and_again(tmp_path):
    """As often as it likes, as long as something comes each time; beyond the attempts that bring nothing."""
    shelf = Shelf(BODY, cuts=[1] * 40 + [0] * 2)

    async def main(client, url):
        done = await client.download(url, tmp_path / "here", attempts=3)
        assert done.resumptions == 42
        assert done.path.read_bytes() == BODY
        shelf.cuts = [1000] + [0] * 3
        with pytest.raises(IncompleteBody):
            await client.download(url, tmp_path / "there", attempts=3)
        assert (tmp_path / "there.part").read_bytes() == BODY[:1000]
        shelf.cuts = [0]
        with pytest.raises(IncompleteBody):
            await client.download(url, tmp_path / "nothing", attempts=0)
        assert parts(tmp_path) == ["here", "there.part", "there.part.json"]

    on_shelf(shelf, main)


def test_a_server_that_begins_anew_and_is_cut_does_not_go_on_for_ever(tmp_path):
    """Each time the same first half: that is nothing new."""
    shelf = Shelf(BODY, cuts=[1000] * 100, spoil=lambda answer: _whole(answer))

    async def main(client, url):
        with pytest.raises(IncompleteBody):
            await client.download(url, tmp_path / "here", attempts=3)

    on_shelf(shelf, main)
    assert len(shelf.asked) == 4


def _whole(answer):
    answer.status, answer.body = 200, BODY
    answer.fields.pop("Content-Range", None)


def test_the_pauses_grow(monkeypatch, tmp_path):
    monkeypatch.setattr(download, "PAUSES", (0, 0.5, 1))
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    shelf = Shelf(BODY, cuts=[1000, 0, 0, 0, 0, 1, 0])

    async def main(client, url):
        monkeypatch.setattr(download.asyncio, "sleep", sleep)
        await client.download(url, tmp_path / "here")
        monkeypatch.undo()

    on_shelf(shelf, main)
    highest = (0, 0.5, 1, 1, 1, 0, 0.5)
    assert len(slept) == len(highest)
    assert all(most / 2 <= one <= most for one, most in zip(slept, highest, strict=True)), slept


def test_silence_is_a_cut(tmp_path):
    shelf = Shelf(BODY, cuts=[1000], hang=True)

    async def main(client, url):
        done = await client.download(url, tmp_path / "here", timeouts=Timeouts(sock_read=0.05))
        assert (done.resumptions, done.path.read_bytes()) == (1, BODY)

    on_shelf(shelf, main)


def test_a_server_that_is_away_for_a_while(tmp_path):
    """Counts as a cut once there was something; before that it is the error that it is."""
    shelf = Shelf(BODY, cuts=[1000])

    async def main(client, url):
        real, failures = client.transport.send, [ConnectError("no"), ConnectionLost("no")]

        async def send(request):
            if shelf.asked and failures:
                raise failures.pop()
            return await real(request)

        client.transport.send = send
        done = await client.download(url, tmp_path / "here")
        assert (done.resumptions, done.path.read_bytes()) == (3, BODY)

    on_shelf(shelf, main)

    async def nobody(client, url):
        with pytest.raises(ConnectError):
            await client.download("http://127.0.0.1:9/x", tmp_path / "there")
        assert parts(tmp_path) == ["here"]

    on_shelf(shelf, nobody)


# -- another file than before ----------------------------------------------------------------------------------------------


def test_a_file_that_changes_between_cuts(tmp_path):
    shelf = Shelf(BODY, cuts=[1000, None])

    def change():
        shelf.body, shelf.etag = NEW, '"two"'

    shelf.between = change

    async def main(client, url):
        done = await client.download(url, tmp_path / "here")
        assert done.path.read_bytes() == NEW
        assert (done.etag, done.resumptions, done.resumed_from, done.status_code) == ('"two"', 1, 0, 200)

    on_shelf(shelf, main)
    assert shelf.asked == [("", ""), ("bytes=1000-", '"one"')]


def _range(text):
    return lambda answer: answer.fields.update({"Content-Range": text})


def _drop(name):
    return lambda answer: answer.fields.pop(name, None)


def _field(name, value):
    return lambda answer: answer.fields.update({name: value})


def _shifted(answer):
    answer.body = BODY[999:]
    answer.fields["Content-Range"] = "bytes 999-299999/300000"


def _longer(answer):
    answer.body += b"x"


def _shorter(answer):
    answer.body = answer.body[:-1]


WRONG = {
    "no range": _drop("Content-Range"),
    "a range that begins before": _shifted,
    "a range that begins behind": _range("bytes 1001-299999/300000"),
    "a range beyond the end": _range("bytes 1000-300000/300000"),
    "a range that ends before it begins": _range("bytes 1000-999/300000"),
    "another total": _range("bytes 1000-299999/300001"),
    "no total": _range("bytes 1000-299999/*"),
    "no numbers": _range("bytes a-b/c"),
    "no number": _range("bytes */300000"),
    "digits that are none": _range("bytes 1000-299999/٣٠٠٠٠٠"),
    "a huge number": _range("bytes 1000-299999/" + "3" * 40),
    "another unit": _range("lines 1000-299999/300000"),
    "several parts": _field("Content-Type", "multipart/byteranges; boundary=x"),
    "no tag": _drop("ETag"),
    "another tag": _field("ETag", '"two"'),
    "a weak tag": _field("ETag", 'W/"one"'),
    "a longer body": _longer,
    "a shorter body": _shorter,
    "a coding": _field("Content-Encoding", "gzip"),
    "an unknown coding": _field("Content-Encoding", "rot13"),
    "another digest": _field("Repr-Digest", "sha-256=:" + base64.b64encode(bytes(32)).decode() + ":"),
}


def test_a_wrong_part_is_never_appended(tmp_path):
    """The whole is asked for instead.  What the parts hold is of another file, so a mistake would be seen."""
    digest = "sha-256=:" + base64.b64encode(hashlib.sha256(BODY).digest()).decode() + ":"
    wrong = ""

    def spoil(answer):
        if answer.status == 206:
            answer.body = NEW[answer.start :]
            if wrong == "several parts":
                answer.fields.pop("Content-Range")
            WRONG[wrong](answer)

    shelf = Shelf(BODY, spoil=spoil)

    async def main(client, url):
        nonlocal wrong
        for wrong in WRONG:
            shelf.asked.clear()
            left_behind(tmp_path / "here", url, BODY[:1000], digest=digest)
            done = await client.download(url, tmp_path / "here")
            assert done.path.read_bytes() == BODY, wrong
            assert (done.resumed_from, done.resumptions) == (0, 0), wrong
            assert parts(tmp_path) == ["here"]
            assert shelf.asked == [("bytes=1000-", '"one"'), ("", "")], wrong

    on_shelf(shelf, main)


def test_a_part_of_a_file_of_unknown_length(tmp_path):
    """The first answer did not say how long it is; a part that does not either could end anywhere."""
    shelf = Shelf(BODY)

    def spoil(answer):
        if answer.status == 206:
            answer.body = answer.body[:1000]
            answer.fields["Content-Range"] = "bytes 1000-1999/*"

    async def main(client, url):
        for wrong in (spoil, None):
            shelf.spoil = wrong
            left_behind(tmp_path / "here", url, BODY[:1000], size=None)
            done = await client.download(url, tmp_path / "here")
            assert done.path.read_bytes() == BODY
            assert done.resumed_from == (0 if wrong else 1000)

    on_shelf(shelf, main)
    assert len(shelf.asked) == 3


def test_a_part_of_the_part_is_continued(tmp_path):
    """RFC 9110 15.3.7: a server may give less than was asked for."""
    shelf = Shelf(BODY)

    def spoil(answer):
        if answer.status == 206:
            answer.body = answer.body[:50_000]
            answer.fields["Content-Range"] = f"bytes {answer.start}-{answer.start + len(answer.body) - 1}/300000"

    shelf.spoil = spoil

    async def main(client, url):
        left_behind(tmp_path / "here", url, BODY[:1000])
        done = await client.download(url, tmp_path / "here", digest=f"sha256:{SHA256}")
        assert done.path.read_bytes() == BODY
        assert (done.resumed_from, done.resumptions) == (1000, 0)

    on_shelf(shelf, main)
    assert len(shelf.asked) == 6


@pytest.mark.parametrize("more", [True, False])
def test_a_part_in_chunks_of_another_length_than_announced(tmp_path, more):
    shelf = Shelf(BODY)

    def spoil(answer):
        if answer.status == 206:
            answer.framing = "chunked"
            answer.body = answer.body + b"x" if more else answer.body[:-1]

    shelf.spoil = spoil

    async def main(client, url):
        left_behind(tmp_path / "here", url, BODY[:1000])
        with pytest.raises(CorruptBody if more else IncompleteBody) as info:
            await client.download(url, tmp_path / "here", attempts=0)
        assert info.value.phase == "downloading"
        assert not (tmp_path / "here").exists()
        if more:
            assert info.value.path == tmp_path / "here.corrupt"
        else:
            shelf.spoil = None
        done = await client.download(url, tmp_path / "here")
        assert done.path.read_bytes() == BODY

    on_shelf(shelf, main)


NO_VALIDATOR = [
    ("", ""),
    ('W/"one"', ""),
    ('W/"one"', OLD),  # RFC 9110 13.1.5: with a tag of any kind a date may not be used
    ("one", ""),
    ("", "yesterday"),
    ("", "Thu, 01 Aug 2024 00:00:00 GMT"),  # the very second of the answer
    ("", "Fri, 02 Aug 2024 00:00:00 GMT"),
]


def test_without_a_strong_validator_nothing_is_continued(tmp_path):
    shelf = Shelf(BODY)

    async def main(client, url):
        for etag, modified in NO_VALIDATOR:
            shelf.etag, shelf.modified, shelf.cuts = etag, modified, [1000]
            done = await client.download(url, tmp_path / "here")
            assert (done.resumptions, done.etag, done.path.read_bytes()) == (1, "", BODY), (etag, modified)
            shelf.cuts = [1000]
            with pytest.raises(IncompleteBody):
                await client.download(url, tmp_path / "there", attempts=0)
            assert parts(tmp_path) == ["here", "there.part"]

    on_shelf(shelf, main)
    assert set(shelf.asked) == {("", "")}


UNSATISFIED = [
    ({"Content-Range": "bytes */300000"}, 300_000, 300_000, True),
    ({"Content-Range": "bytes */300000", "ETag": '"one"'}, 300_000, None, True),
    ({"Content-Range": "bytes */300000"}, 300_000, None, False),
    ({"Content-Range": "bytes */300000", "ETag": '"two"'}, 300_000, 300_000, False),
    ({"Content-Range": "bytes */1000"}, 1000, 300_000, False),
    ({"Content-Range": "bytes */299999"}, 300_000, 300_000, False),
    ({"Content-Range": "bytes */*"}, 300_000, 300_000, False),
    ({}, 300_000, 300_000, False),
]


def test_nothing_is_missing_or_so_it_says(tmp_path):
    shelf = Shelf(BODY)
    said = {}

    def spoil(answer):
        if answer.status != 200:
            answer.status, answer.fields, answer.body = 416, dict(said), b"no"

    shelf.spoil = spoil

    async def main(client, url):
        nonlocal said
        for case in UNSATISFIED:
            said, there, size, complete = case
            left_behind(tmp_path / "here", url, BODY[:there], size=size)
            done = await client.download(url, tmp_path / "here", digest="sha256")
            assert (done.path.read_bytes(), done.digest) == (BODY, f"sha256:{SHA256}"), case
            assert (done.status_code == 416) is complete, case
            assert parts(tmp_path) == ["here"]

    on_shelf(shelf, main)


def test_never_a_mixed_file(tmp_path):
    """Servers that change the file, cut, and get ranges wrong, in any combination: in the end there is one state, whole."""
    dice = random.Random(7)
    states = [pattern(9000 * (n + 1))[9000 * n :][: 3000 + 100 * (n % 3)] for n in range(6)]
    outcomes = {"complete": 0, "error": 0}
    faults = [fault for name, fault in WRONG.items() if name not in ("a range that begins before", "another digest")]

    async def main(client, url):
        for _ in range(60):
            change()
            shelf.cuts = [dice.choice([None, *range(0, 3000, 61)]) for _ in range(dice.randrange(8))]
            shelf.reset = dice.random() < 0.2
            path = tmp_path / f"file{dice.randrange(3)}"
            path.unlink(missing_ok=True)
            try:
                done = await client.download(url, path, attempts=dice.randrange(4), resume=dice.random() < 0.9)
            except WirebirdError:
                outcomes["error"] += 1
                assert not path.exists()
            else:
                outcomes["complete"] += 1
                assert path.read_bytes() in states
                assert done.size == path.stat().st_size

    def change():
        number = dice.randrange(len(states))
        shelf.body = states[number]
        shelf.etag = dice.choice([f'"{number}"', f'"{number}"', f'W/"{number}"', ""])
        shelf.modified = dice.choice([f"Mon, 0{number + 1} Jan 2024 00:00:00 GMT", ""])

    def between():
        if dice.random() < 0.3:
            change()

    def spoil(answer):
        if dice.random() < 0.2 and answer.status == 206:
            dice.choice(faults)(answer)
        elif dice.random() < 0.1:
            answer.framing = "chunked"
        elif dice.random() < 0.1 and answer.status == 206:  # If-Range is not heeded
            change()
            answer.__dict__.update(vars(shelf.answer(f"bytes={answer.start}-", "")))

    shelf = Shelf(b"", between=between, spoil=spoil)
    on_shelf(shelf, main)
    assert outcomes["complete"] > 15, outcomes
    assert outcomes["error"] > 8, outcomes
    assert sum(wanted != "" for wanted, _ in shelf.asked) > 25


# -- codings ---------------------------------------------------------------------------------------------------------------


def coded(answer):
    answer.fields["Content-Encoding"] = "gzip"
    answer.body = gzip.compress(BODY)
    answer.fields["Content-Digest"] = answer.fields["Repr-Digest"] = "sha-256=:" + "A" * 43 + "=:"  # of other bytes


def test_a_coding_that_was_not_asked_for_is_taken_off(tmp_path):
    """And such a file is not continued, for ranges count other bytes."""
    shelf = Shelf(BODY, cuts=[1000], spoil=coded)

    async def main(client, url):
        done = await client.download(url, tmp_path / "here", digest=f"sha256:{SHA256}", size=len(BODY))
        assert (done.resumptions, done.path.read_bytes()) == (1, BODY)

    on_shelf(shelf, main)
    assert shelf.asked == [("", "")] * 2


def test_a_coding_is_left_on_where_the_client_takes_none_off(tmp_path):
    shelf = Shelf(BODY, spoil=coded)

    async def main(client, url):
        done = await client.download(url, tmp_path / "here")
        assert gzip.decompress(done.path.read_bytes()) == BODY

    on_shelf(shelf, main, auto_decompress=False)


@pytest.mark.parametrize("spoil", [_field("Content-Encoding", "rot13"), _field("Content-Encoding", "gzip")])
def test_a_coding_that_is_not_known_or_not_true(tmp_path, spoil):
    async def main(client, url):
        with pytest.raises(DecodingError):
            await client.download(url, tmp_path / "here")
        assert parts(tmp_path) == []

    on_shelf(Shelf(BODY, spoil=spoil), main)


# -- what comes is not what it should be -----------------------------------------------------------------------------------


def test_another_digest_than_expected(tmp_path):
    shelf = Shelf(BODY)
    path = tmp_path / "here"

    async def main(client, url):
        wrong = hashlib.sha256(NEW).hexdigest()
        with pytest.raises(CorruptBody) as info:
            await client.download(url, path, digest=f"SHA-256:{wrong.upper()}")
        error = info.value
        assert (error.expected, error.actual, error.path) == (wrong, SHA256, tmp_path / "here.corrupt")
        assert error.path.read_bytes() == BODY
        assert parts(tmp_path) == ["here.corrupt"]
        with pytest.raises(CorruptBody):  # from the beginning, and it does not get in its own way
            await client.download(url, path, digest=f"sha256:{wrong}")
        for name in ("sha512", "sha3-256", "blake2b", "md5"):
            done = await client.download(url, path, digest=f"{name}:{hashlib.new(name.replace('-', '_'), BODY).hexdigest()}")
            assert path.read_bytes() == BODY
            assert done.digest.endswith(hashlib.new(name.replace("-", "_"), BODY).hexdigest())
        assert parts(tmp_path) == ["here", "here.corrupt"]

    on_shelf(shelf, main)
    assert shelf.asked == [("", "")] * 6


def test_a_body_without_end_and_a_size(tmp_path):
    async def script(link):
        await link.request()
        await link.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await link.send(b"400\r\n" + b"x" * 1024 + b"\r\n")

    async def main():
        async with Peer(script) as peer, HTTPClient() as client:
            with pytest.raises(CorruptBody, match="longer than the 5000 bytes"):
                await client.download(peer.url("/file"), tmp_path / "here", size=5000)
            assert parts(tmp_path) == ["here.corrupt"]

    run(main)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_another_size_than_expected(tmp_path, framing):
    async def main(client, url):
        with pytest.raises(CorruptBody) as info:
            await client.download(url, tmp_path / "here", size=300_001)
        assert (info.value.expected, info.value.actual) == (300_001, 300_000)
        assert parts(tmp_path) == ([] if framing == "length" else ["here.corrupt"])  # known beforehand, or only in the end

    on_shelf(Shelf(BODY, spoil=lambda answer: setattr(answer, "framing", framing)), main)


@pytest.mark.parametrize("name", ["Content-Digest", "Repr-Digest"])
@pytest.mark.parametrize(("algorithm", "cut"), [("sha-256", None), ("sha-512", 1000)])
def test_digests_that_the_server_sends(tmp_path, name, algorithm, cut):
    """RFC 9530: of the answer and of the file, both also after a cut."""

    def digest(data):
        raw = hashlib.new(algorithm.replace("-", ""), data).digest()
        return f"md5=:AAAA:, {algorithm}=:{base64.b64encode(raw).decode()}:, unixsum=30637"

    def right(answer):
        answer.fields[name] = digest(answer.body if name == "Content-Digest" else BODY)

    def wrong(answer):
        answer.fields[name] = digest(NEW)

    shelf = Shelf(BODY, spoil=right)

    async def main(client, url):
        shelf.cuts = [cut]
        done = await client.download(url, tmp_path / "here")
        assert (done.path.read_bytes(), done.digest) == (BODY, "")
        shelf.spoil = wrong
        shelf.cuts = [cut]
        with pytest.raises(CorruptBody, match=name) as info:
            await client.download(url, tmp_path / "there")
        assert info.value.path.read_bytes() == BODY
        assert parts(tmp_path) == ["here", "there.corrupt"]

    on_shelf(shelf, main)


def test_a_digest_is_remembered_with_the_part(tmp_path):
    """Announced before the cut, checked by the call that ends it; the part is not what it was meanwhile."""
    raw = base64.b64encode(hashlib.sha256(BODY).digest()).decode()

    def first_only(answer):
        if answer.status == 200:
            answer.fields["Repr-Digest"] = f"sha-256=:{raw}:"

    shelf = Shelf(BODY, spoil=first_only, cuts=[1000])

    async def main(client, url):
        with pytest.raises(IncompleteBody):
            await client.download(url, tmp_path / "here", attempts=0)
        (tmp_path / "here.part").write_bytes(b"y" * 1000)
        with pytest.raises(CorruptBody, match="Repr-Digest"):
            await client.download(url, tmp_path / "here")
        assert parts(tmp_path) == ["here.corrupt"]

    on_shelf(shelf, main)


@pytest.mark.parametrize("right", [True, False])
def test_a_digest_that_comes_behind_the_body(tmp_path, right):
    """RFC 9530 lets it be a trailer: what was written is read once more."""
    raw = base64.b64encode(hashlib.sha256(BODY if right else NEW).digest())
    wire = chunked(BODY, fields=b"Trailer: Repr-Digest\r\n")[:-2] + b"Repr-Digest: sha-256=:" + raw + b":\r\n\r\n"

    async def main():
        async def script(link):
            await link.request()
            await link.send(wire)

        async with Peer(script) as peer, HTTPClient() as client:
            if right:
                assert (await client.download(peer.url("/"), tmp_path / "here")).path.read_bytes() == BODY
            else:
                with pytest.raises(CorruptBody, match="Repr-Digest"):
                    await client.download(peer.url("/"), tmp_path / "here")
            check_settled(client)

    run(main)


def test_what_comes_slowly_is_written_soon(tmp_path, monkeypatch):
    """A process that is killed has lost about a second of it, and not a mebibyte."""
    monkeypatch.setattr(download, "LINGER", -1)
    wire = answer(BODY, b'ETag: "one"')

    async def main():
        async def script(link):
            await link.request()
            await link.send(wire[:-1])
            while not part.exists() or part.stat().st_size < len(BODY) - 1:
                await asyncio.sleep(0.002)
            await link.send(wire[-1:])

        part = tmp_path / "here.part"
        async with Peer(script) as peer, HTTPClient() as client:
            assert (await client.download(peer.url("/"), tmp_path / "here")).path.read_bytes() == BODY

    run(main)


def test_digests_that_are_none_are_passed_over(tmp_path):
    shelf = Shelf(BODY)

    async def main(client, url):
        for text in ("sha-256=:AAAA:", "sha-256=AAAA", ":::", "sha-256=:" + "=" * 44 + ":", ",,,"):
            shelf.spoil = _field("Repr-Digest", text)
            done = await client.download(url, tmp_path / "here")
            assert done.path.read_bytes() == BODY, text

    on_shelf(shelf, main)


def test_a_part_that_nobody_asked_for(tmp_path):
    def spoil(answer):
        answer.status = 206
        answer.fields["Content-Range"] = "bytes 0-299999/300000"

    async def main(client, url):
        with pytest.raises(InvalidResponse):
            await client.download(url, tmp_path / "here")
        assert parts(tmp_path) == []

    on_shelf(Shelf(BODY, spoil=spoil), main)


def test_garbage_in_the_body_is_an_error_and_keeps_the_part(tmp_path):
    async def main():
        async def script(link):
            await link.request()
            await link.send(b'HTTP/1.1 200 OK\r\nETag: "one"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzzz\r\n')

        async with Peer(script) as peer, HTTPClient() as client:
            with pytest.raises(InvalidResponse):
                await client.download(peer.url("/"), tmp_path / "here")
            assert not (tmp_path / "here").exists()
            check_settled(client)

    run(main)


# -- the disk --------------------------------------------------------------------------------------------------------------


def test_a_disk_that_is_full(tmp_path):
    """As a limit on the size of files: the error is the system's, what was written stays, and is continued."""
    resource = pytest.importorskip("resource")
    shelf = Shelf(LARGE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def main(client, url):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
        try:
            with pytest.raises(OSError, match="File too large") as info:
                await client.download(url, tmp_path / "here")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not isinstance(info.value, WirebirdError)
        check_settled(client)
        assert (tmp_path / "here.part").read_bytes() == shelf.body[:1_500_000]
        done = await client.download(url, tmp_path / "here")
        assert (done.resumed_from, done.path.read_bytes()) == (1_500_000, shelf.body)

    on_shelf(shelf, main)


def test_nothing_is_written_behind_a_gap(tmp_path, monkeypatch):
    """One write fails, and there is room again for what was received meanwhile: it does not belong there."""
    shelf = Shelf(LARGE)
    real, calls = os.write, []

    def write(handle, data):
        if len(data) > 1000 and len(calls) < 1:
            calls.append(real(handle, data[:777]))
            raise OSError(28, "No space left on device")
        return real(handle, data)

    monkeypatch.setattr(os, "write", write)

    async def main(client, url):
        with pytest.raises(OSError, match="No space left"):
            await client.download(url, tmp_path / "here")
        assert (tmp_path / "here.part").read_bytes() == shelf.body[:777]
        done = await client.download(url, tmp_path / "here")
        assert (done.resumed_from, done.path.read_bytes()) == (777, shelf.body)

    on_shelf(shelf, main)


def test_a_part_in_whose_place_another_file_was_put(tmp_path):
    """By a download of which that is the name, or by anybody: what is checked is what is moved."""
    other = tmp_path / "other"

    def replace():
        other.write_bytes(b"another file")
        other.replace(tmp_path / "here.part")

    async def main(client, url):
        for digest in (SHA256, "0" * 64):
            with pytest.raises(FileNotFoundError, match="moved away"):
                await client.download(url, tmp_path / "here", digest=f"sha256:{digest}", resume=False)
            assert (tmp_path / "here.part").read_bytes() == b"another file"
            assert not (tmp_path / "here").exists()
        shelf.between = None
        await client.download(url, tmp_path / "here")
        assert (tmp_path / "here").read_bytes() == BODY

    shelf = Shelf(BODY, between=replace)
    on_shelf(shelf, main)


def test_a_folder_that_goes_away(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    shelf = Shelf(BODY)

    def between():
        folder.joinpath("here.part").rename(tmp_path / "elsewhere")

    shelf.between = between

    async def main(client, url):
        with pytest.raises(FileNotFoundError):
            await client.download(url, folder / "here")
        shelf.between = None
        await client.download(url, folder / "here")

    on_shelf(shelf, main)


def test_a_slow_disk_holds_up_the_server_and_not_the_loop(tmp_path, monkeypatch):
    """No more than what is being written, what is collected and what the sockets hold is on its way."""
    piece, sent = bytes(1_000_000), [0]
    real, free = os.write, threading.Event()

    def write(handle, data):
        if len(data) > 1000:
            free.wait(10)
        return real(handle, data)

    async def script(link):
        await link.request()
        await link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 60000000\r\n\r\n")
        for _ in range(60):
            await link.send(piece)
            sent[0] += len(piece)

    async def main():
        monkeypatch.setattr(os, "write", write)
        async with Peer(script) as peer, HTTPClient() as client:
            task = asyncio.create_task(client.download(peer.url("/"), tmp_path / "here"))
            before, still = -1, 0
            while still < 20:  # turns of a loop that is free
                still = still + 1 if sent[0] == before and sent[0] else 0
                before = sent[0]
                await asyncio.sleep(0.002)
            assert sent[0] < 30_000_000
            assert not task.done()
            free.set()
            assert (await task).size == 60_000_000
            check_settled(client)

    run(main)


# -- cancellation and kills ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOOPS)
def test_cancelled_at_every_turn(tmp_path, kind):
    """The part is let go of, whatever a thread was doing with it; the next call goes on where this one stopped."""
    shelf = Shelf(LARGE[:1_200_000])
    path = tmp_path / "here"

    async def main(client, url):
        async def get():
            while True:  # cancelled twice, a download does not wait for its thread, which may open the part yet
                try:
                    return await client.download(url, path, digest="sha256")
                except UsageError:
                    await asyncio.sleep(0.001)

        cancelled = 0
        for turn in range(45):
            task = asyncio.create_task(get())
            for _ in range(turn):
                if task.done():
                    break
                await asyncio.sleep(0 if turn % 2 else 0.0002)
            task.cancel()
            if turn % 3 == 0:
                await asyncio.sleep(0)
                task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                cancelled += 1
            if path.exists():
                assert path.read_bytes() == shelf.body
                path.unlink()
        assert cancelled > 15
        done = await get()
        assert path.read_bytes() == shelf.body
        assert parts(tmp_path) == ["here"]
        assert done.size == len(shelf.body)
        assert partial._in_use == set()

    on_shelf(shelf, main, kind=kind)
    assert [name for name in open_files() if name.startswith(str(tmp_path))] == []


def open_files():
    names = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            names.append(str(entry.readlink()))
    return names


def test_cancelled_it_keeps_what_was_received(tmp_path, monkeypatch):
    monkeypatch.setattr("wirebird.client.progress.EVERY", 0)
    shelf = Shelf(BODY, cuts=[123_456], hang=True)

    async def main(client, url):
        received = asyncio.Event()
        task = asyncio.create_task(
            client.download(url, tmp_path / "here", progress=lambda done, total: done == 123_456 and received.set())
        )
        await received.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        done = await client.download(url, tmp_path / "here")
        assert (done.resumed_from, done.path.read_bytes()) == (123_456, BODY)

    on_shelf(shelf, main)


KILLED = """
import asyncio, sys
import wirebird

async def main():
    async with wirebird.HTTPClient() as client:
        await client.download(sys.argv[1], sys.argv[2])

asyncio.run(main())
"""


def test_killed_and_continued_by_another_process(tmp_path):
    body = LARGE
    shelf = Shelf(body, cuts=[2_900_000], hang=True)

    async def main(client, url):
        part = tmp_path / "here.part"
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, url, str(tmp_path / "here"))
        try:
            while not part.exists() or part.stat().st_size < 1_000_000:
                await asyncio.sleep(0.005)
        finally:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        assert json.loads((tmp_path / "here.part.json").read_text())["etag"] == '"one"'
        done = await client.download(url, tmp_path / "here")
        assert done.resumed_from >= 1_000_000
        assert done.path.read_bytes() == body
        assert parts(tmp_path) == ["here"]

    on_shelf(shelf, main)


def test_a_closed_client_ends_a_download(tmp_path):
    shelf = Shelf(BODY, cuts=[1000], hang=True)

    async def main(client, url):
        task = asyncio.create_task(client.download(url, tmp_path / "here"))
        while not shelf.asked:
            await asyncio.sleep(0.001)
        await client.close()
        with pytest.raises(WirebirdError):
            await task
        assert not (tmp_path / "here").exists()

    on_shelf(shelf, main)


def test_a_closed_client_ends_the_wait_for_the_next_attempt(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PAUSES", (3600,))
    shelf = Shelf(BODY, cuts=[1000])

    async def main(client, url):
        task = asyncio.create_task(client.download(url, tmp_path / "here"))
        while not client.pauses:
            await asyncio.sleep(0.001)
        await client.close()
        with pytest.raises(ClientClosed):
            await task
        assert parts(tmp_path) == ["here.part", "here.part.json"]

    on_shelf(shelf, main)


def test_an_error_status_in_the_middle(tmp_path):
    shelf = Shelf(BODY, cuts=[1000])

    def spoil(answer):
        if answer.status == 206:
            answer.status = 403

    shelf.spoil = spoil

    async def main(client, url):
        with pytest.raises(StatusError):
            await client.download(url, tmp_path / "here")
        assert (tmp_path / "here.part").read_bytes() == BODY[:1000]

    on_shelf(shelf, main)
