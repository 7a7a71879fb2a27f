"""The program of Aioreq's README that streams: S2-12.

It is in `tests/seed_programs/`, with its import line changed and nothing else.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from program_origin import PICTURE, ProgramOrigin, origin, place


def test_stream(place: ProgramOrigin):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the program leaves its file to the garbage collector
        place.run("aioreq/stream.py")
    assert Path("test").read_bytes() == PICTURE
    assert place.hosts == ["pathtoverybigfile.aioreq"]
    assert "accept-encoding" not in place.asked[0].headers
