"""The programs of the slides: S4-6, S4-19.

They are in `tests/seed_programs/aiohttp/`, with the import line changed and nothing else; `seed` runs each by the façade and by
aiohttp itself.  Those of the server come with the server.
"""

from __future__ import annotations

import re
import runpy

from aiohttp_seed import AiohttpSeed, origin, place, seed
from program_origin import PROGRAMS


def test_slides_request(seed: AiohttpSeed, capsys):
    names = seed.type("slides_request")
    assert capsys.readouterr().out == "<title>Google</title>\n"
    assert names["response"].closed
    assert seed.place.hosts == ["python.org"]


def test_slides_countasync(capsys):
    """Nothing of aiohttp: what asyncio does by itself, and what a client must not get in the way of."""
    runpy.run_path(str(PROGRAMS / "aiohttp" / "slides_countasync.py"), run_name="__main__")
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines == ["One"] * 3 + ["Two"] * 3
    elapsed = re.search(r"slides_countasync.py executed in ([\d.]+) seconds\.$", last)
    assert elapsed is not None
    assert 1 <= float(elapsed[1]) < 2.9  # three seconds, if one waited for the other
