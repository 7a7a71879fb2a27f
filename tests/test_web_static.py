"""Folders (`web.static`): what a path may name, what it may not, and what is answered for a folder itself."""

from __future__ import annotations

import asyncio
import contextlib
import html
import os
import re
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effort import examples
from raw_peer import run
from web_ask import get, serving, site
from wirebird import web
from wirebird.errors import UsageError
from wirebird.testing import TestServer
from wirebird.web import static_folder
from wirebird.web.static_folder import safe_names

SECRET = b"secret"
ODD = "ä b#?%.txt"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`site` is served; beside it are files that are not."""
    root = tmp_path / "site"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "bare").mkdir()
    (root / ".git").mkdir()
    (root / ".well-known").mkdir()
    for name in (
        "a.txt",
        "sub/b.txt",
        "sub/deep/c.txt",
        "sub/index.html",
        ".env",
        ".git/config",
        ".well-known/acme",
        "ä b#?%.txt",
    ):
        (root / name).write_bytes(name.encode())
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "site2").mkdir()
    (tmp_path / "site2" / "x").write_bytes(SECRET)
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "out_folder").symlink_to(tmp_path / "site2")
    (root / "in").symlink_to(root / "a.txt")
    (root / "in_folder").symlink_to("sub")
    (root / "loop").symlink_to("loop")
    return root


def check(main: Callable[[TestServer], Awaitable[None]], folder: Path, prefix: str = "/s", **options: Any) -> None:
    async def framed() -> None:
        async with serving(site(web.static(prefix, folder, **options))) as server:
            await main(server)

    run(framed)


# -- files -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["/s", "/s/", "/", "/deep/er", "/with%20space"])
def test_files(prefix: str, folder: Path) -> None:
    base = prefix.rstrip("/")

    async def main(server: TestServer) -> None:
        for path in ("a.txt", "sub/b.txt", "sub/deep/c.txt", "in", "in_folder/b.txt", ".well-known/acme"):
            reply = await get(server, f"{base}/{path}")
            assert reply.status == 200, path
            assert reply.body == {"in": b"a.txt", "in_folder/b.txt": b"sub/b.txt"}.get(path, path.encode())
        for path in ("%61.txt", "a%2Etxt", "a.txt?x=/../..", "a.txt?%00"):
            assert (await get(server, f"{base}/{path}")).body == b"a.txt"
        assert (await get(server, f"{base}/%C3%A4%20b%23%3F%25.txt")).body == "ä b#?%.txt".encode()
        head = await get(server, f"{base}/a.txt", method="HEAD")
        assert (head.status, head.headers["content-length"], head.body) == (200, "5", b"")
        part = await get(server, f"{base}/a.txt", "Range: bytes=2-3")
        assert (part.status, part.body) == (206, b"tx")
        for path in ("none", "a.txt/", "a.txt/b", "sub/none", "loop"):
            assert (await get(server, f"{base}/{path}")).status == 404, path

    check(main, folder, prefix)


def test_other_methods(folder: Path) -> None:
    async def main(server: TestServer) -> None:
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"):
            reply = await get(server, "/s/a.txt", "Content-Length: 0", method=method)
            assert (reply.status, reply.headers["allow"]) == (405, "GET,HEAD")
        assert (await get(server, "/s/../a.txt", "Content-Length: 0", method="POST")).status == 404

    check(main, folder)


def test_routes_beside_a_folder(folder: Path) -> None:
    """A route below the prefix comes first; a folder lets others have what cannot be in it; middlewares see what is not there."""
    seen = []

    async def handler(request: web.Request) -> web.Response:
        return web.Response(text="route")

    async def see(request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as error:  # type: ignore[attr-defined]
            seen.append(error.status)
            raise
        seen.append(response.status)
        return response  # type: ignore[no-any-return]

    app = site(
        web.post("/s/a.txt", handler), web.get("/s/special", handler), web.static("/s", folder, name="s"), middlewares=[see]
    )

    async def main() -> None:
        async with serving(app) as server:
            assert (await get(server, "/s/special")).body == b"route"
            assert (await get(server, "/s/a.txt")).body == b"a.txt"
            assert (await get(server, "/s/a.txt", "Content-Length: 0", method="POST")).body == b"route"
            for path in ("none", "..%2f", "sub", "sub/"):
                await get(server, f"/s/{path}")
        assert seen == [200, 200, 200, 404, 404, 403, 403]

    run(main)


def test_in_an_application_below(folder: Path) -> None:
    sub = site(web.static("/s", folder, name="s", index="index.html"))
    app = web.Application()
    app.add_subapp("/app", sub)

    async def main() -> None:
        async with serving(app) as server:
            assert (await get(server, "/app/s/a.txt")).body == b"a.txt"
            assert (await get(server, "/app/s/sub")).headers["location"] == "/app/s/sub/"
            assert (await get(server, "/s/a.txt")).status == 404
        assert str(sub.router["s"].url_for(filename="a.txt")) == "/app/s/a.txt"

    run(main)


def test_fields_and_siblings(folder: Path) -> None:
    (folder / "a.txt.gz").write_bytes(b"gzip")
    fields = {"Cache-Control": "max-age=60", "X-Content-Type-Options": "nosniff"}

    async def main(server: TestServer) -> None:
        reply = await get(server, "/s/a.txt", "Accept-Encoding: gzip")
        assert (reply.body, reply.headers["content-encoding"], reply.headers["content-type"]) == (b"gzip", "gzip", "text/plain")
        assert {name: reply.headers[name] for name in fields} == fields
        assert "cache-control" not in (await get(server, "/s/none")).headers

    check(main, folder, headers=fields)

    async def plain(server: TestServer) -> None:
        assert (await get(server, "/s/a.txt", "Accept-Encoding: gzip")).body == b"a.txt"

    check(plain, folder, precompressed=False)


# -- what may not be named -------------------------------------------------------------------------------------------------

HOSTILE = [
    *("../secret", "../../secret", "sub/../../secret", "./a.txt", "sub/./b.txt", "sub/../a.txt", "..", ".", "sub/.."),  # S7
    *("%2e%2e/secret", "%2e%2e%2fsecret", ".%2e/secret", "%2E%2E%2Fsecret", "sub%2fb.txt", "sub%2Fb.txt", "%2fetc/passwd"),  # S58
    *("..%5csecret", "..%5Csecret", "%5c..%5csecret", "sub%5cb.txt", "%5C%5Chost%5Cshare", "%5c%5c?%5cC:%5cx"),  # S24, S47
    *("/etc/passwd", "//etc/passwd", "%2f%2fhost/share", "//host/share", "sub//b.txt", "C:", "c:/x", "C:%5cx", "sub/D:x"),
    *("../site2/x", "%2e%2e/site2/x"),  # S41
    *("a.txt%00", "%00", "a.txt%00.png", "sub%00/b.txt", "a%0a.txt", "a%0d%0ax", "%1b[2J", "%7f"),
    *("NUL", "nul", "con.txt", "CON.txt%20", "a/NUL", "aux.", "lpt1.tar.gz", "COM%C2%B9", "sub/prn", "CONIN$", "nul:"),  # S81
    *(".env", ".git/config", ".git", "sub/.hidden", "..a", "...", ".well-known/.x", "sub/.well-known"),
]


@pytest.mark.parametrize("follow", [False, True])
def test_what_may_not_be_named(follow: bool, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """B27: 404, before the file system is asked (S18, S24)."""
    looked = []
    monkeypatch.setattr(static_folder.StaticFolder, "_look", lambda *arguments: looked.append(arguments))

    async def main(server: TestServer) -> None:
        for path in HOSTILE:
            reply = await get(server, f"/s/{path}")
            assert (reply.status, reply.body) == (404, b"404: Not Found"), path
        assert not looked

    check(main, folder, follow_symlinks=follow, show_index=True, index="index.html")


def test_bytes_that_no_request_may_have(folder: Path) -> None:
    async def main(server: TestServer) -> None:
        for path in ("a\\b", "a#b", "%ff", "%C0%AE%C0%AE/secret", "%ed%a0%80"):
            assert (await get(server, f"/s/{path}")).status in (400, 404), path
        assert (await get(server, "/s/..\\secret")).status in (400, 404)

    check(main, folder)


def test_links(folder: Path) -> None:
    """Those that lead out of the folder are not there, unless that was asked for; a compressed sibling never is one (S7, S11)."""
    (folder / "f.gz").symlink_to(folder.parent / "secret")
    (folder / "f").write_bytes(b"f")

    async def inside(server: TestServer) -> None:
        for path in ("out", "out_folder/x", "out_folder/", "out_folder", "f.gz"):
            reply = await get(server, f"/s/{path}")
            assert reply.status == 404, path
            assert SECRET not in reply.body
        assert (await get(server, "/s/f", "Accept-Encoding: gzip")).body == b"f"
        listing = (await get(server, "/s/")).body.decode()
        assert "out" not in listing
        assert "in_folder/" in listing

    async def followed(server: TestServer) -> None:
        for path in ("out", "out_folder/x"):
            assert (await get(server, f"/s/{path}")).body == SECRET
        assert (await get(server, "/s/f", "Accept-Encoding: gzip")).body == b"f"
        assert "out_folder/" in (await get(server, "/s/")).body.decode()

    check(inside, folder, show_index=True)
    check(followed, folder, show_index=True, follow_symlinks=True)


def test_the_type_of_a_link_goes_by_its_name(folder: Path) -> None:
    (folder / "app.js").symlink_to("sub/3f786850")
    (folder / "sub" / "3f786850").write_bytes(b"x")

    async def main(server: TestServer) -> None:
        assert (await get(server, "/s/app.js")).headers["content-type"] == "text/javascript"

    check(main, folder)


def test_a_link_as_the_folder_itself(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(folder)

    async def main(server: TestServer) -> None:
        assert (await get(server, "/s/a.txt")).body == b"a.txt"
        assert (await get(server, "/s/out")).status == 404

    check(main, tmp_path / "current")


def test_a_link_that_comes_when_names_were_looked_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = static_folder.StaticFolder._resolve

    def resolve(self: static_folder.StaticFolder, names: list[str]) -> Path:
        found = real(self, names)
        if found.name == "a.txt" and not found.is_symlink():
            found.unlink()
            found.symlink_to(folder.parent / "secret")
        return found

    monkeypatch.setattr(static_folder.StaticFolder, "_resolve", resolve)

    async def main(server: TestServer) -> None:
        assert (await get(server, "/s/a.txt")).status == 404

    check(main, folder)


def test_hidden(folder: Path) -> None:
    async def main(server: TestServer) -> None:
        assert (await get(server, "/s/.env")).body == b".env"
        assert (await get(server, "/s/.git/config")).body == b".git/config"
        assert (await get(server, "/s/../secret")).status == 404
        assert ".git/" in (await get(server, "/s/")).body.decode()

    check(main, folder, hidden=True, show_index=True)


def test_safe_names() -> None:
    for path in ("", "a", "a/", "a/b.c", "a b", "ä", "ab:c", "common.js", "auxiliary", "nullable.txt", "com.txt", "a..b", "a."):
        assert safe_names(path, hidden=False) == path.split("/"), path
    for path in ("/", "//", "a//", "/a", "a\\b", "\udc2fa", "a\0", "\n"):
        assert safe_names(path, hidden=True) is None, path


PIECES = [
    *("..", ".", "/", "\\", "%", "a.txt", "sub", "out", "out_folder", "in_folder", "x", "secret"),
    *("\0", "\udc2f", "C:", "nul", " ", "~"),
]


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=8))
def test_whatever_is_named_is_in_the_folder(pieces: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        outer = Path(name).resolve()
        root = outer / "site"
        (root / "sub").mkdir(parents=True)
        (outer / "secret").write_bytes(SECRET)
        (root / "out").symlink_to(outer / "secret")
        (root / "out_folder").symlink_to(outer)
        (root / "in_folder").symlink_to("sub")
        folder = web.Application().add_routes([web.static("/", root)])[0]
        names = safe_names("".join(pieces), hidden=True)
        if names is not None:
            with contextlib.suppress(web.HTTPNotFound):  # type: ignore[attr-defined]
                assert folder._resolve(names).is_relative_to(root)


# -- folders ---------------------------------------------------------------------------------------------------------------


def test_folders_without_a_list(folder: Path) -> None:
    async def main(server: TestServer) -> None:
        for path in ("/s", "/s/", "/s/sub", "/s/sub/", "/s/bare"):
            assert (await get(server, path)).status == 403, path
        assert (await get(server, "/s/sub/none/")).status == 404

    check(main, folder)


def test_index(folder: Path) -> None:
    async def main(server: TestServer) -> None:
        reply = await get(server, "/s/sub/")
        assert (reply.status, reply.body, reply.headers["content-type"]) == (200, b"sub/index.html", "text/html")
        assert (await get(server, "/s/sub/", f"If-None-Match: {reply.headers['etag']}")).status == 304
        for path, location in (
            ("/s", "/s/"),
            ("/s/sub", "/s/sub/"),
            ("/s/sub?a=%20&b", "/s/sub/?a=%20&b"),
            ("/s/bare", "/s/bare/"),
        ):
            moved = await get(server, path)
            assert (moved.status, moved.headers["location"]) == (308, location)
        assert (await get(server, "/s/bare/")).status == 403

    check(main, folder, index=["default.htm", "index.html"])


@pytest.mark.parametrize("prefix", ["/", "/s"])
def test_redirects_stay_here(prefix: str, folder: Path) -> None:
    """S1, S76, S87: whatever is asked for, Location is a path of this server."""
    (folder / "evil.com").mkdir()

    async def main(server: TestServer) -> None:
        base = prefix.rstrip("/")
        for path in (
            "//evil.com",
            "/%2fevil.com",
            "/%5cevil.com",
            "//evil.com/..",
            "//evil.com/%2e%2e",
            "///evil.com",
            "/./evil.com",
        ):
            reply = await get(server, base + path)
            assert (reply.status, reply.headers.get("location")) == (404, None), path
        assert (await get(server, f"{base}/evil.com")).headers["location"] == f"{base}/evil.com/"
        assert (await get(server, f"{base}/evil.com?//x")).headers["location"] == f"{base}/evil.com/?//x"

    check(main, folder, prefix, show_index=True)


NAMES = [
    "<img src=x onerror=alert(1)>",
    "\"'><script>alert(1)<",
    "javascript:alert(1)",
    "&amp;",
    "%2e%2e",
    "a?b#c",
    "ünï.txt",
    "http:",
    "..a",
]


def test_listings(folder: Path) -> None:
    """S9: names are text; every link leads to what it names."""
    for name in NAMES:
        (folder / "bare" / name).write_bytes(b"found")
    (folder / "bare" / "<b>").mkdir()
    (folder / "bare" / "nul.txt").write_bytes(b"")
    with (Path(os.fsdecode(os.fsencode(folder) + b"/bare/\xff"))).open("wb"):
        pass

    async def main(server: TestServer) -> None:
        reply = await get(server, "/s/bare/")
        assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert reply.headers["content-security-policy"] == "default-src 'none'"
        page = reply.body.decode()
        assert {*re.findall(r"<(\w+)", page)} == {"html", "head", "meta", "title", "body", "h1", "ul", "li", "a"}
        links = re.findall(r'<li><a href="([^"]*)">([^<]*)</a></li>', page)
        assert page.count("<li>") == len(links)
        shown = [html.unescape(text) for _, text in links]
        assert shown == ["../", "<b>/", *sorted(name for name in NAMES if name != "..a")]
        for (link, _), name in zip(links[1:], shown[1:], strict=True):
            assert link.startswith("./")
            assert unquote(html.unescape(link)) == f"./{name}"
            found = await get(server, f"/s/bare/{html.unescape(link)[2:]}")
            assert (found.status, found.body == b"found") == (200, not name.endswith("/"))
        assert (await get(server, "/s")).headers["location"] == "/s/"
        top = (await get(server, "/s/")).body.decode()
        assert "../" not in top
        assert ".env" not in top
        assert ".git" not in top
        head = await get(server, "/s/bare/", method="HEAD")
        assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(reply.body)))

    check(main, folder, show_index=True)


def test_a_list_has_an_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_folder, "_MOST_LISTED", 3)

    async def main(server: TestServer) -> None:
        assert (await get(server, "/s/")).body.count(b"<li>") == 3

    check(main, folder, show_index=True)


# -- names of routes -------------------------------------------------------------------------------------------------------


def test_url_for(folder: Path) -> None:
    app = site(web.static("/s ü/", folder, name="s"), web.static("/v", folder, name="v", append_version=True))
    plain, versioned = app.router["s"], app.router["v"]
    assert str(plain.url_for(filename="a.txt")) == "/s%20%C3%BC/a.txt"
    assert str(plain.url_for(filename=Path("sub") / "b.txt")) == "/s%20%C3%BC/sub/b.txt"
    assert str(plain.url_for(filename="/ä b#?%.txt")) == "/s%20%C3%BC/%C3%A4%20b%23%3F%25.txt"
    assert str(plain.url_for(filename="none")) == "/s%20%C3%BC/none"
    first = versioned.url_for(filename="a.txt")
    assert re.fullmatch(r"/v/a\.txt\?v=[\w-]{43}", str(first))
    assert versioned.url_for(filename="a.txt") == first == versioned.url_for(filename="in").with_path("/v/a.txt", keep_query=True)
    assert str(versioned.url_for(filename="a.txt", append_version=False)) == "/v/a.txt"
    assert str(versioned.url_for(filename="none")) == "/v/none"
    assert str(versioned.url_for(filename="out")) == "/v/out"
    assert str(versioned.url_for(filename="sub/")) == "/v/sub/"
    assert plain.url_for(filename="a.txt", append_version=True).query == first.query
    (folder / "a.txt").write_bytes(b"another")
    assert versioned.url_for(filename="a.txt") != first
    for name in ("../secret", "a\\b", ".env", "a//b", "nul"):
        with pytest.raises(UsageError) as caught:
            plain.url_for(filename=name)
        assert caught.value.argument == "filename"
    for parts in ({}, {"name": "a"}, {"filename": "a", "other": 1}):
        with pytest.raises(UsageError):
            plain.url_for(**parts)


def test_what_url_for_gives_is_served(folder: Path) -> None:
    app = site(web.static("/s ü", folder, name="s", append_version=True))

    async def main() -> None:
        async with serving(app) as server:
            url = app.router["s"].url_for(filename="ä b#?%.txt")
            assert (await get(server, str(url))).body == "ä b#?%.txt".encode()

    run(main)


@pytest.mark.parametrize(
    ("argument", "options"),
    [
        ("prefix", {"prefix": "s"}),
        ("prefix", {"prefix": "/{s}"}),
        ("path", {"path": "none"}),
        ("path", {"path": __file__}),
        ("index", {"index": "a/b"}),
        ("index", {"index": ["../x"]}),
        ("index", {"index": [""]}),
        ("chunk_size", {"chunk_size": 0}),
        ("headers", {"headers": {"a": "b\r\n"}}),
        ("name", {"name": "not a name"}),
    ],
)
def test_bad_arguments(argument: str, options: dict[str, Any], folder: Path) -> None:
    given = {"prefix": "/s", "path": folder, **options}
    with pytest.raises(UsageError) as caught:
        site(web.static(given.pop("prefix"), given.pop("path"), **given))
    assert (caught.value.argument or "").partition("[")[0] == argument


def test_names_are_taken_once(folder: Path) -> None:
    with pytest.raises(UsageError):
        site(web.static("/s", folder, name="s"), web.static("/t", folder, name="s"))


# -- peers -----------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_sends_paths_as_they_are(folder: Path) -> None:
    async def main(server: TestServer) -> None:
        for path, status in [
            ("/s/a.txt", "200"),
            ("/s/../../secret", "404"),
            ("/s/sub/../../../secret", "404"),
            ("/s/%2e%2e/secret", "404"),
            ("/s/..%2fsecret", "404"),
        ]:
            process = await asyncio.create_subprocess_exec(
                *("curl", "-sS", "--max-time", "10", "--path-as-is", "-o", os.devnull, "-w", "%{http_code}", server.url(path)),
                stdout=asyncio.subprocess.PIPE,
            )
            said, _ = await process.communicate()
            assert said.decode() == status, path

    check(main, folder)
