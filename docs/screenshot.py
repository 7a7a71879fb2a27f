"""`python docs/screenshot.py`: makes docs/images/dev.png, the page of `wirebird dev` for an exception, with Chromium.

Not run by the tests; `tests/test_dev_browser.py` looks at the same page without keeping a picture of it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from browser import CHROMIUM, Browser  # noqa: E402
from programs import Program, python  # noqa: E402

APP = """from wirebird import web

STOCK = {"kettle": 3, "lamp": 12, "stamp": 0}


def price_of(name, pieces):
    return 30.0 / pieces


async def item(request):
    name = request.match_info["name"]
    pieces = STOCK[name]
    return web.Response(text=f"{name}: {price_of(name, pieces):.2f}")


app = web.Application()
app.add_routes([web.get("/items/{name}", item, name="item")])
"""


async def main(folder: Path, url: str) -> None:
    """Take the picture."""
    async with Browser(folder / "browser") as browser:
        page = await browser.open(url + "/items/stamp", width=960, height=640)
        await page.until("document.querySelector('.failure h1') && document.readyState === 'complete'")
        await page.until("[...document.styleSheets].length > 0")
        (ROOT / "docs" / "images" / "dev.png").write_bytes(await page.picture())


if __name__ == "__main__":
    if CHROMIUM is None:
        sys.exit("chromium is not installed")
    with tempfile.TemporaryDirectory() as made:
        place = Path(made) / "shop"
        place.mkdir()
        (place / "shop.py").write_text(APP)
        with Program(python("-m", "wirebird", "dev", "shop.py", "--port", "0"), place) as program:
            asyncio.run(main(Path(made), program.url()))
