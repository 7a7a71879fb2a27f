"""Every program of `examples/` starts as its README says, does what it shows, and ends when it is told to."""

from __future__ import annotations

import asyncio
import hashlib
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from origin import pattern, run
from programs import Program, python
from wirebird import HTTPClient, MultipartForm

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
README = (EXAMPLES / "README.md").read_text("utf-8")

Use = Callable[[HTTPClient], Awaitable[Any]]


def used(name: str, use: Use, **environment: str) -> str:
    """What the program has said when it was started, used and ended."""

    async def main(base: str) -> None:
        async with HTTPClient(base_url=base, handle_cookies=True) as client:
            await use(client)

    with Program(python(str(EXAMPLES / name)), EXAMPLES, PORT="0", **environment) as program:
        url = program.url()
        run(lambda: main(url))
        program.signal(signal.SIGTERM)
        assert program.wait() == 0
    assert "Traceback" not in program.said
    return program.said


async def text_of(client: HTTPClient, url: str) -> str:
    response = await client.get(url)
    assert response.status_code == 200
    return await response.text()


def test_the_readme_names_them_all():
    there = {path.name for path in EXAMPLES.glob("*.py")}
    assert set(re.findall(r"^\| \[(\w+\.py)\]\(\1\) \|", README, re.MULTILINE)) == there
    assert set(re.findall(r"used\(\"(\w+\.py)\"", Path(__file__).read_text("utf-8"))) == there


def test_reverse_urls():
    async def use(client: HTTPClient) -> None:
        links = re.findall(r'href="([^"]+)"', await text_of(client, "/"))
        assert links == ["/books/1", "/books/2", "/books/3"]
        page = await text_of(client, links[0])
        assert page == '<h1>Moby Dick</h1><a href="/?seen=Moby+Dick">all books</a>'
        assert (await client.get("/books/4")).status_code == 404
        assert (await client.get("/books/x")).status_code == 404

    used("reverse_urls.py", use)


def test_sessions():
    pytest.importorskip("itsdangerous")

    async def use(client: HTTPClient) -> None:
        for visit in (1, 2):
            assert await text_of(client, "/") == f"<p>Hello, stranger: visit {visit}.</p>"
        await client.post("/login", {"name": "<me>"})
        assert await text_of(client, "/") == "<p>Hello, &lt;me&gt;: visit 1.</p>"
        await client.post("/logout")
        assert await text_of(client, "/") == "<p>Hello, stranger: visit 1.</p>"

    used("sessions.py", use)


def test_forms():
    async def use(client: HTTPClient) -> None:
        assert '<input name="name" value="">' in await text_of(client, "/")
        refused = await client.post("/", {"name": '"><script>', "age": "old"})
        assert refused.status_code == 422
        page = await refused.text()
        assert "A name and a number, please." in page
        assert "<script>" not in page
        response = await client.post("/", {"name": "Ada", "age": "36"}, follow=True)
        assert await response.json() == {"Ada": 36}

    used("forms.py", use)


def test_uploads(tmp_path):
    body = pattern(3_000_000)

    async def pieces() -> Any:
        for at in range(0, len(body), 100_000):
            yield body[at : at + 100_000]

    async def use(client: HTTPClient) -> None:
        assert "multipart/form-data" in await text_of(client, "/")
        form = MultipartForm()
        form.add_field("file", body, filename="../../large.bin")
        form.add_field("file", b"small", filename="small.txt")
        response = await client.post("/", form)
        assert response.status_code == 201
        assert await response.json() == {"large.bin": len(body), "small.txt": 5}
        response = await client.put("/digest", pieces())
        assert await response.json() == {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}

    used("uploads.py", use, FOLDER=str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["large.bin", "small.txt"]
    assert (tmp_path / "large.bin").read_bytes() == body


def test_chat():
    async def use(client: HTTPClient) -> None:
        assert "new WebSocket" in await text_of(client, "/")
        async with client.websocket("/room") as one, client.websocket("/room") as other:
            await other.send("hello")
            assert [await ws.receive_text() for ws in (one, other)] == ["hello", "hello"]
            await one.close()
            await other.send("anybody?")
            assert await other.receive_text() == "anybody?"

    used("chat.py", use)


def test_redirects():
    async def use(client: HTTPClient) -> None:
        made = await client.post("/", b"https://example.org/a?b=c")
        assert made.status_code == 201
        path = await made.text()
        assert path == made.headers["location"]
        found = await client.get(path)
        assert (found.status_code, found.headers["location"]) == (302, "https://example.org/a?b=c")
        assert (await client.post("/", b"javascript:alert(1)")).status_code == 400
        assert (await client.get("/to/nowhere")).status_code == 404
        moved = await client.get("/old")
        assert (moved.status_code, moved.headers["location"]) == (301, "/to/home")

    used("redirects.py", use)


def test_nested_applications():
    async def use(client: HTTPClient) -> None:
        assert await text_of(client, "/") == "admins go to /admin/hits"
        refused = await client.get("/admin/hits")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        response = await client.get("/admin/hits", headers={"Authorization": "Bearer secret"})
        assert await response.json() == {"/": 1, "/admin/hits": 2}

    used("nested_applications.py", use, TOKEN="secret")


def test_background_tasks():
    async def use(client: HTTPClient) -> None:
        for job in (b"one", b"two"):
            assert (await client.post("/jobs", job)).status_code == 202
        while True:
            status = await (await client.get("/")).json()
            if status["done"] == ["ONE", "TWO"] and status["beats"] > 1:
                break
            await asyncio.sleep(0.01)

    said = used("background_tasks.py", use)
    assert "done: ONE, TWO" in said
    assert re.search(r"the heart beat \d+ times", said)
