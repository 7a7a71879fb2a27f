"""The program of Aioreq's README with a context manager: S2-10.

It is in `tests/seed_programs/`, with its import line changed and nothing else.
"""

from __future__ import annotations

from program_origin import ProgramOrigin, origin, place


def test_context_manager(place: ProgramOrigin):
    place.run("aioreq/context_manager.py")
    assert place.hosts == ["google.com"]
