"""`wirebird dev` in Chromium: a page that is open shows each change of the code, a template, and a style sheet."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from browser import CHROMIUM, Browser
from programs import Program, python

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.timeout(60),
]

APP = """
import asyncio
from pathlib import Path
from wirebird import web

FOLDER = Path(__file__).parent
TEMPLATE = (FOLDER / "templates" / "page.html").read_text()

async def page(request):
    word = "first"
    return web.Response(text=TEMPLATE.replace("{{ word }}", word), content_type="text/html")

app = web.Application()
app.add_routes([web.get("/", page), web.static("/static", FOLDER / "static")])
"""

PAGE = """<!doctype html><title>Page</title><link rel="stylesheet" href="/static/style.css">
<script src="/static/script.js"></script><h1>A template</h1><p id="word">{{ word }}</p>"""

FILES = {
    "app.py": APP,
    "templates/page.html": PAGE,
    "static/style.css": "@import url(more.css); p { color: rgb(1, 2, 3) }",
    "static/more.css": "h1 { color: rgb(1, 2, 3) }",
    "static/script.js": "window.script = 'old'",
}

# Has the page's script run as if it were there anew, over a connection that this test speaks on.
AGAIN = """
  window.WebSocket = class { addEventListener(name, hear) { if (name === 'message') window.say = hear; } };
  window.__wirebird__ = false;
  document.body.append(Object.assign(document.createElement('script'), {src: '/__wirebird__/live.js'}));
"""
AT_ONCE = """for (let count = 0; count < 3; count++) window.say({data: '{"css": ["style.css"]}'})"""


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_page_shows_each_change(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        os.utime(folder / name, (1_600_000_000, 1_600_000_000))  # what has been the same for so long, browsers keep

    async def main(program: Program, url: str) -> None:
        async with Browser(tmp_path / "browser") as browser:
            page = await browser.open(url)
            color = "getComputedStyle(document.querySelector('p')).color"
            assert await page.until("document.querySelector('#word')?.textContent") == "first"
            await page.until(f"{color} === 'rgb(1, 2, 3)'")

            # A style sheet is exchanged: what was done in the page is still there.
            await page.until("window.mark = 'the same document'")
            change(folder / "static/style.css", "rgb(1, 2, 3)", "rgb(4, 5, 6)")
            await page.until(f"{color} === 'rgb(4, 5, 6)'")
            assert await page.value("window.mark") == "the same document"
            assert await page.until("document.querySelectorAll('link').length === 1")
            # One that another imports, too.
            heading = "getComputedStyle(document.querySelector('h1')).color"
            assert await page.value(heading) == "rgb(1, 2, 3)"
            change(folder / "static/more.css", "rgb(1, 2, 3)", "rgb(4, 5, 6)")
            await page.until(f"{heading} === 'rgb(4, 5, 6)'")
            assert await page.value("window.mark") == "the same document"

            # A script has the page loaded anew, and is loaded itself.
            assert await page.value("window.script") == "old"
            change(folder / "static/script.js", "old", "new")
            await page.until("window.script === 'new'")
            assert await page.value("window.mark") is None

            # However often a style sheet is exchanged, there is one in the end.
            await page.value(AGAIN)
            await page.until("!!window.say")
            await page.value(AT_ONCE)
            await page.until("document.querySelectorAll('link').length === 1")
            await page.call("Page.reload")
            await page.until("!window.say && document.querySelectorAll('#word').length")

            # Code and templates need a new process, and the page follows it.
            change(folder / "app.py", '"first"', '"second"')
            await page.until("document.querySelector('#word')?.textContent === 'second'")
            assert await page.value("window.mark") is None
            change(folder / "templates/page.html", "A template", "Another template")
            await page.until("document.querySelector('h1')?.textContent === 'Another template'")

            # What cannot be imported, and what raises, is shown, until it is put right.
            change(folder / "app.py", "word = ", "word == ")
            await page.until("document.querySelector('.failure h1')?.textContent === 'NameError'")
            assert "page" in await page.value("document.querySelector('details[open] summary').textContent")
            change(folder / "app.py", "from wirebird import web", "from wirebird import wub")
            await page.until("document.querySelector('.failure h1')?.textContent === 'ImportError'")
            change(folder / "app.py", "word == ", "word = ")
            change(folder / "app.py", "from wirebird import wub", "from wirebird import web")
            await page.until("document.querySelector('#word')?.textContent === 'second'")

    with Program(python("-m", "wirebird", "dev", "app.py", "--port", "0"), folder) as program:
        url = program.url()
        asyncio.run(main(program, url))
        program.signal()
        assert program.wait() == 0
    assert "Traceback" in program.said
