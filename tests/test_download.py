"""Downloads that go well: names, resumption, checks, progress, and what is refused before anything is asked for."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import sys

import pytest

from origin import Origin, pattern
from raw_peer import Peer, answer, check_settled, run
from shelf import OLD, Shelf, parts
from wirebird import HTTPClient, HttpResponse, IncompleteBody, InvalidResponse, ProgressBar, StatusError, Timeouts, UsageError
from wirebird.client.progress import EVERY, Meter

LOOPS = ["asyncio", "uvloop"]
BODY = pattern(300_000)
CHANGED = BODY[::-1]
SHA256 = hashlib.sha256(BODY).hexdigest()


def on_shelf(shelf, main, *, kind="asyncio", **settings):
    """Run `main(client, url)` with a client and the URL of the file on the shelf."""
    if kind == "uvloop":
        pytest.importorskip("uvloop")

    async def framed():
        async with Peer(shelf.serve) as peer, HTTPClient(**settings) as client:
            await main(client, peer.url("/file.bin"))
            if client.connector.peek() is not None:
                check_settled(client)

    run(framed, kind=kind)


def left_behind(path, url, body, size=len(BODY), **version):
    """A part and its record, as a process that ended early leaves them."""
    source = hashlib.sha256(url.encode()).hexdigest()
    record = {"source": source, "etag": '"one"', "last_modified": "", "size": size, "digest": ""}
    path.with_name(path.name + ".part").write_bytes(body)
    path.with_name(path.name + ".part.json").write_text(json.dumps(record | version))


# -- whole -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOOPS)
def test_a_file(tmp_path, kind):
    shelf = Shelf(BODY)
    path = tmp_path / "here"

    async def main(client, url):
        done = await client.download(url, path)
        assert path.read_bytes() == BODY
        assert (done.path, done.size, done.etag, done.digest) == (path, len(BODY), '"one"', "")
        assert (done.resumed_from, done.resumptions, done.status_code, done.response.status_code) == (0, 0, 200, 200)
        assert parts(tmp_path) == ["here"]
        assert client.stats()["idle"] == 1
        again = await client.download(url, str(path))  # is replaced, not resumed
        assert again.size == len(BODY)

    on_shelf(shelf, main, kind=kind)
    assert shelf.asked == [("", "")] * 2
    assert "\r\nAccept-Encoding: identity\r\n" in shelf.heads[0]


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_any_size_and_framing(tmp_path, framing):
    shelf = Shelf(b"", spoil=lambda answer: setattr(answer, "framing", framing))

    async def main(client, url):
        for size in (0, 1, 3_000_000):
            shelf.body = pattern(size)
            done = await client.download(url, tmp_path / "here", digest="sha256", size=size)
            assert (tmp_path / "here").read_bytes() == shelf.body
            assert done.digest == f"sha256:{hashlib.sha256(shelf.body).hexdigest()}"
            assert parts(tmp_path) == ["here"]

    on_shelf(shelf, main)


def test_a_new_file_has_the_mode_of_any_new_file(tmp_path):
    async def main(client, url):
        old = os.umask(0o027)
        try:
            await client.download(url, tmp_path / "here", fsync=True)
        finally:
            os.umask(old)
        assert (tmp_path / "here").stat().st_mode & 0o777 == 0o640

    on_shelf(Shelf(BODY), main)


def test_request_timeout_does_not_bound_the_body(tmp_path):
    async def main():
        async def script(link):
            await link.request()
            whole = answer(b"x" * 100_000)
            await link.send(whole[:-1])
            await asyncio.sleep(0.3)
            await link.send(whole[-1:])

        async with Peer(script) as peer, HTTPClient() as client:
            await client.download(peer.url("/"), tmp_path / "here", timeouts=Timeouts(request_timeout=0.2))
            assert (tmp_path / "here").stat().st_size == 100_000

    run(main)


def test_a_download_goes_the_way_of_every_request(tmp_path):
    """Middlewares, redirects, base URL, parameters, headers, credentials; and answers that no peer sent."""

    async def main():
        seen = []

        async def watch(request, handler):
            seen.append((str(request.url.path_qs), request.headers.get("x-a"), request.headers["accept-encoding"]))
            if request.url.path == "/made":
                return HttpResponse.make(200, body=b"made")
            return await handler(request)

        async with Origin() as origin:
            origin.always("/old", b"HTTP/1.1 302 Found\r\nLocation: /bytes/1000\r\nContent-Length: 0\r\n\r\n")
            async with HTTPClient(base_url=origin.url("/"), middlewares=[watch]) as client:
                done = await client.download(
                    "old", tmp_path, follow=True, params={"p": "1"}, headers={"X-A": "b"}, auth=("u", "p")
                )
                assert done.path == tmp_path / "old"
                assert done.path.read_bytes() == pattern(1000)
                assert done.response.url.path == "/bytes/1000"
                done = await client.download("made", tmp_path)
                assert done.path.read_bytes() == b"made"
        assert seen == [("/old?p=1", "b", "identity"), ("/made", None, "identity")]

    run(main)


# -- where it goes ---------------------------------------------------------------------------------------------------------


def test_a_folder_takes_the_name_in_the_url(tmp_path):
    """Not the one of `Content-Disposition`, nor that of a redirect's target (CVE-2019-10751)."""
    names = {"/a/photo.jpg": "photo.jpg", "/a%20b.txt?x=/y": "a b.txt", "/%E4%BD%A0.txt#f": "你.txt", "/a/b:c": "b:c"}

    async def main():
        async def script(link):
            while path := await link.request():
                if path == "/.bashrc":
                    await link.send(answer(b"data", b'Content-Disposition: attachment; filename="../../evil"'))
                else:
                    await link.send(answer(b"", b"Location: /.bashrc", status=b"302 Found"))

        async with Peer(script) as peer, HTTPClient(follow=True) as client:
            for target, name in names.items():
                done = await client.download(peer.url(target), tmp_path)
                assert done.path == tmp_path / name
            assert parts(tmp_path) == sorted(names.values())

    run(main)


def test_a_folder_and_no_name_for_a_file(tmp_path):
    async def main():
        async with Peer(None) as peer, HTTPClient() as client:
            for target in ("/", "/a/", "/.bashrc", "/a%2Fb", "/a%5Cb", "/%2E%2E", "/a%00b", "/a%0Ab", "/..%2f..%2fetc"):
                with pytest.raises(UsageError) as info:
                    await client.download(peer.url(target), tmp_path)
                assert info.value.argument in ("path", "url"), target
            assert peer.accepted == 0
            assert parts(tmp_path) == []

    run(main)


@pytest.mark.parametrize(
    ("into", "overwrite", "replaced"),
    [("file", None, True), ("file", True, True), ("file", False, False), ("", None, False), ("", True, True), ("", False, False)],
)
def test_a_file_that_is_there(tmp_path, into, overwrite, replaced):
    """One that the caller named is replaced; one whose name came with the URL is not, unless the caller says so."""
    path = tmp_path / (into or "file.bin")
    path.write_bytes(b"old")
    shelf = Shelf(BODY)

    async def main(client, url):
        if replaced:
            await client.download(url, tmp_path / into, overwrite=overwrite)
        else:
            with pytest.raises(FileExistsError):
                await client.download(url, tmp_path / into, overwrite=overwrite)
            assert shelf.asked == []
        assert path.read_bytes() == (BODY if replaced else b"old")
        assert parts(tmp_path) == [path.name]

    on_shelf(shelf, main)


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile(tmp_path, links, monkeypatch):
    path = tmp_path / "here"
    shelf = Shelf(BODY, between=lambda: path.write_bytes(b"other"))
    if not links:
        monkeypatch.setattr(os, "link", _refuse)

    async def main(client, url):
        with pytest.raises(FileExistsError):
            await client.download(url, path, overwrite=False)
        assert path.read_bytes() == b"other"
        assert (tmp_path / "here.part").read_bytes() == BODY
        path.unlink()
        shelf.between = None
        done = await client.download(url, path, overwrite=False)  # nothing is missing
        assert (done.status_code, done.resumed_from) == (416, len(BODY))
        assert path.read_bytes() == BODY
        assert parts(tmp_path) == ["here"]

    on_shelf(shelf, main)


def _refuse(*arguments, **more):
    raise PermissionError


def test_a_path_that_is_no_file(tmp_path):
    async def main(client, url):
        os.mkfifo(tmp_path / "pipe")
        os.mkfifo(tmp_path / "other.part")
        (tmp_path / "victim").write_bytes(b"victim")
        (tmp_path / "link.part").symlink_to(tmp_path / "victim")
        (tmp_path / "note.part.json").symlink_to(tmp_path / "victim")
        for path, error in [
            ("/dev/null", UsageError),
            (tmp_path / "pipe", UsageError),
            (tmp_path / "other", UsageError),
            (tmp_path / "link", OSError),
            (tmp_path / "no" / "folder", FileNotFoundError),
        ]:
            with pytest.raises(error):
                await client.download(url, path)
        await client.download(url, tmp_path / "note")
        assert (tmp_path / "victim").read_bytes() == b"victim"
        assert parts(tmp_path) == ["link.part", "note", "other.part", "pipe", "victim"]

    on_shelf(Shelf(BODY), main)


def test_a_link_is_replaced_and_not_followed(tmp_path):
    async def main(client, url):
        (tmp_path / "victim").write_bytes(b"victim")
        (tmp_path / "here").symlink_to(tmp_path / "victim")
        await client.download(url, tmp_path / "here")
        assert (tmp_path / "victim").read_bytes() == b"victim"
        assert (tmp_path / "here").read_bytes() == BODY

    on_shelf(Shelf(BODY), main)


def test_a_part_that_is_another_file_too_is_not_written_to(tmp_path):
    """As it is left behind by a process that was killed between the link and the removal of the other name."""

    async def main(client, url):
        here = tmp_path / "here"
        left_behind(here, url, BODY)
        os.link(tmp_path / "here.part", here)
        shelf.cuts = [1000]
        with pytest.raises(IncompleteBody):
            await client.download(url, here, overwrite=True, attempts=0)
        assert here.read_bytes() == BODY
        assert (tmp_path / "here.part").read_bytes() == CHANGED[:1000]
        done = await client.download(url, here)
        assert done.path.read_bytes() == CHANGED
        assert parts(tmp_path) == ["here"]

    shelf = Shelf(CHANGED, etag='"two"')
    on_shelf(shelf, main)


def test_the_working_directory_may_change(tmp_path, monkeypatch):
    async def main(client, url):
        done = await client.download(url, "here")
        assert done.path == tmp_path / "here"
        assert done.path.read_bytes() == BODY
        assert parts(tmp_path) == ["elsewhere", "here"]
        assert parts(tmp_path / "elsewhere") == []

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    on_shelf(Shelf(BODY, spoil=lambda answer: os.chdir(tmp_path / "elsewhere")), main)


# -- what is refused -------------------------------------------------------------------------------------------------------


BAD = [
    ({"path": b"bytes"}, "path"),
    ({"path": ""}, "path"),
    ({"path": None}, "path"),
    ({"size": -1}, "size"),
    ({"size": True}, "size"),
    ({"attempts": 1.5}, "attempts"),
    ({"digest": "sha256:abc"}, "digest"),
    ({"digest": "sha256:" + "g" * 64}, "digest"),
    ({"digest": "shake_128:00"}, "digest"),
    ({"digest": "crc32"}, "digest"),
    ({"digest": 7}, "digest"),
    ({"progress": 7}, "progress"),
    ({"progress": asyncio.sleep}, "progress"),
    ({"headers": {"Range": "bytes=1-"}}, "headers"),
    ({"headers": {"if-range": '"a"'}}, "headers"),
    ({"headers": {"a": "b\n"}}, "headers"),
    ({"headers": 7}, "headers"),
    ({"data": b"x"}, "data"),
    ({"json": [1]}, "json"),
    ({"http2": True}, "http2"),
    ({"url": "ftp://example.org/x"}, "url"),
    ({"url": "/relative"}, "url"),
]


def test_bad_arguments(tmp_path):
    async def main():
        async with Peer(None) as peer, HTTPClient() as client:
            for keywords, argument in BAD:
                given = {"url": peer.url("/x"), "path": tmp_path / "here", **keywords}
                with pytest.raises(UsageError) as info:
                    await client.download(**given)
                assert info.value.argument.partition("[")[0] == argument, keywords
            assert peer.accepted == 0
            assert parts(tmp_path) == []

    run(main)


def test_any_status_but_success(tmp_path):
    shelf = Shelf(b"sorry")

    async def main(client, url):
        for status in (302, 304, 404, 500, 206):
            shelf.spoil = lambda answer, status=status: setattr(answer, "status", status)
            shelf.body = b"" if status == 304 else b"sorry"
            with pytest.raises(StatusError if status != 206 else InvalidResponse) as info:
                await client.download(url, tmp_path / "here", raise_for_status=True)
            if status != 206:
                assert url in str(info.value)
                assert info.value.status_code == status
                assert await info.value.response.content() == shelf.body
            assert parts(tmp_path) == []

    on_shelf(shelf, main)


def test_an_error_keeps_the_part_of_an_earlier_call(tmp_path):
    shelf = Shelf(BODY, spoil=lambda answer: setattr(answer, "status", 503))

    async def main(client, url):
        left_behind(tmp_path / "here", url, BODY[:1000])
        left_behind(tmp_path / "there", "http://other/", BODY[:1000])
        for name in ("here", "there"):
            with pytest.raises(StatusError):
                await client.download(url, tmp_path / name)
        assert parts(tmp_path) == ["here.part", "here.part.json", "there.part", "there.part.json"]
        shelf.spoil = None
        done = await client.download(url, tmp_path / "here")
        assert done.resumed_from == 1000
        assert done.path.read_bytes() == BODY

    on_shelf(shelf, main, raise_for_status=True)


# -- resumption ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOOPS)
def test_what_an_earlier_call_left_is_continued(tmp_path, kind):
    shelf = Shelf(BODY, cuts=[100_000])
    path = tmp_path / "here"

    async def main(client, url):
        with pytest.raises(Exception, match="100000 of 300000"):
            await client.download(url, path, attempts=0)
        assert parts(tmp_path) == ["here.part", "here.part.json"]
        assert (tmp_path / "here.part").read_bytes() == BODY[:100_000]
        assert url not in (tmp_path / "here.part.json").read_text()
        said = []
        async with HTTPClient() as other:
            done = await other.download(url, path, digest=f"sha256:{SHA256}", progress=lambda *now: said.append(now))
        assert (done.resumed_from, done.resumptions, done.status_code) == (100_000, 0, 206)
        assert path.read_bytes() == BODY
        assert parts(tmp_path) == ["here"]
        assert said[0] == (100_000, len(BODY))
        assert said[-1] == (len(BODY), len(BODY))

    on_shelf(shelf, main, kind=kind)
    assert shelf.asked == [("", ""), ("bytes=100000-", '"one"')]


def test_a_date_stands_in_for_a_tag(tmp_path):
    shelf = Shelf(BODY, etag="", modified=OLD, cuts=[1000])

    async def main(client, url):
        done = await client.download(url, tmp_path / "here")
        assert (done.resumptions, done.etag) == (1, "")
        assert done.path.read_bytes() == BODY

    on_shelf(shelf, main)
    assert shelf.asked[1] == ("bytes=1000-", OLD)


UNTRUSTED = [
    lambda path: path.with_name("here.part.json").unlink(),
    lambda path: path.with_name("here.part.json").write_bytes(b"\xff\x00"),
    lambda path: path.with_name("here.part.json").write_text("[" * 5000),
    lambda path: path.with_name("here.part.json").write_text("[]"),
    lambda path: left_behind(path, "http://other/", BODY[:1000]),
    lambda path: path.with_name("here.part").write_bytes(b""),
    lambda path: path.with_name("here.part").write_bytes(b"x" * 300_001),
    lambda path: _edit(path, etag='W/"one"'),
    lambda path: _edit(path, etag='"one"\r\nX: y'),
    lambda path: _edit(path, etag=""),
    lambda path: _edit(path, etag=7),
    lambda path: _edit(path, size=-1),
    lambda path: _edit(path, size="300000"),
    lambda path: _edit(path, size=True),
    lambda path: _edit(path, last_modified="yesterday", etag=""),
    lambda path: _edit(path, digest=None),
]


def test_a_part_that_cannot_be_trusted_is_begun_anew(tmp_path):
    shelf = Shelf(BODY)
    path = tmp_path / "here"

    async def main(client, url):
        for number, spoil in enumerate(UNTRUSTED):
            left_behind(path, url, b"y" * 1000)
            spoil(path)
            done = await client.download(url, path)
            assert done.resumed_from == 0, number
            assert path.read_bytes() == BODY, number
            assert parts(tmp_path) == ["here"]

    on_shelf(shelf, main)
    assert set(shelf.asked) == {("", "")}


def _edit(path, **changes):
    record = path.with_name("here.part.json")
    record.write_text(json.dumps(json.loads(record.read_text()) | changes))


@pytest.mark.parametrize("keywords", [{"resume": False}, {"size": 5}])
def test_a_part_that_is_not_wanted(tmp_path, keywords):
    shelf = Shelf(b"short")

    async def main(client, url):
        left_behind(tmp_path / "here", url, b"y" * 1000)
        done = await client.download(url, tmp_path / "here", **keywords)
        assert (done.resumed_from, done.path.read_bytes()) == (0, b"short")
        assert parts(tmp_path) == ["here"]

    on_shelf(shelf, main)
    assert shelf.asked == [("", "")]


def test_parameters_are_part_of_what_is_asked_for(tmp_path):
    shelf = Shelf(BODY)

    async def main(client, url):
        left_behind(tmp_path / "here", url, b"y" * 1000)
        await client.download(url, tmp_path / "here", params={"page": 2})
        left_behind(tmp_path / "here", url + "?page=2", BODY[:1000])
        await client.download(url + "#fragment", tmp_path / "here", params={"page": 2})
        assert (tmp_path / "here").read_bytes() == BODY

    on_shelf(shelf, main)
    assert shelf.asked == [("", ""), ("bytes=1000-", '"one"')]


# -- one at a time ---------------------------------------------------------------------------------------------------------


def test_two_downloads_to_the_same_place(tmp_path):
    shelf = Shelf(BODY, cuts=[1000], hang=True)

    async def main(client, url):
        first = asyncio.create_task(client.download(url, tmp_path / "here"))
        while not shelf.asked:
            await asyncio.sleep(0.001)
        (tmp_path / "folder").symlink_to(tmp_path)
        for path in (tmp_path / "here", tmp_path / "folder" / "here"):
            with pytest.raises(UsageError, match="already") as info:
                await client.download(url, path)
            assert info.value.argument == "path"
        await client.download(url, tmp_path / "there")
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        done = await client.download(url, tmp_path / "here")
        assert (done.resumed_from, done.path.read_bytes()) == (1000, BODY)

    on_shelf(shelf, main)


@pytest.mark.parametrize("content", [b"", b"theirs"])
def test_a_download_of_another_process(tmp_path, content):
    fcntl = pytest.importorskip("fcntl")

    async def main(client, url):
        part = tmp_path / "here.part"
        with part.open("wb", buffering=0) as theirs:
            theirs.write(content)
            fcntl.flock(theirs, fcntl.LOCK_EX)
            with pytest.raises(UsageError, match="already"):
                await client.download(url, tmp_path / "here")
            assert part.read_bytes() == content  # also an empty one is theirs
        await client.download(url, tmp_path / "here")
        assert parts(tmp_path) == ["here"]

    on_shelf(Shelf(BODY), main)


# -- progress --------------------------------------------------------------------------------------------------------------


def test_progress_is_told_now_and_then(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("wirebird.client.progress.monotonic", lambda: clock[0])
    said = []
    meter = Meter(lambda *now: said.append(now))
    for done in range(100):
        meter.report(done, 100)
        clock[0] += EVERY / 20
    meter.tell(100, 100)
    meter.tell(100, 100)
    assert [done for done, _ in said] == pytest.approx([0, 20, 40, 60, 80, 100], abs=5)


def test_progress_of_a_file_of_unknown_length(tmp_path):
    said = []
    shelf = Shelf(BODY, spoil=lambda answer: setattr(answer, "framing", "chunked"))

    async def main(client, url):
        await client.download(url, tmp_path / "here", progress=lambda *now: said.append(now))

    on_shelf(shelf, main)
    assert said[0] == (0, None)
    assert said[-1] == (len(BODY), len(BODY))


def test_progress_that_fails_ends_the_download(tmp_path):
    def fail(done, total):
        raise ZeroDivisionError

    async def main(client, url):
        with pytest.raises(ZeroDivisionError):
            await client.download(url, tmp_path / "here", progress=fail)
        assert parts(tmp_path) == []
        await client.download(url, tmp_path / "here")

    on_shelf(Shelf(BODY), main)


def test_a_progress_bar(tmp_path):
    pytest.importorskip("tqdm")
    screen = io.StringIO()
    bar = ProgressBar("file", file=screen, mininterval=0)

    async def main(client, url):
        for _ in range(2):  # it can be used again
            await client.download(url, tmp_path / "here", progress=bar)

    on_shelf(Shelf(BODY, cuts=[1000]), main)
    shown = screen.getvalue()
    assert "file: 100%" in shown
    assert "293k/293k" in shown
    assert shown.count("\n") == 2
    assert repr(bar) == "<ProgressBar not shown>"


def test_a_bar_goes_back_where_a_transfer_begins_anew():
    pytest.importorskip("tqdm")
    bar = ProgressBar(file=io.StringIO())
    for done, total in [(50, 100), (0, 80), (80, 80)]:
        bar(done, total)
        assert (bar._bar.n, bar._bar.total) == (done, total)
    bar.close()
    bar.close()


def test_true_is_a_bar_on_the_terminal(tmp_path, capsys):
    pytest.importorskip("tqdm")

    async def main(client, url):
        await client.download(url, tmp_path / "here", progress=True)
        await client.download(url, tmp_path / "here", progress=False)

    on_shelf(Shelf(BODY), main)
    assert capsys.readouterr().err.count("100%") == 1


def test_without_tqdm_a_bar_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)

    async def main(client, url):
        for use in (lambda: client.download(url, tmp_path / "here", progress=True), ProgressBar):
            with pytest.raises(UsageError, match=r"wirebird\[cli\]") as info:
                await use()
            assert info.value.argument == "progress"

    on_shelf(Shelf(BODY), main)
