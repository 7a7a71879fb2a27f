"""The program of Aioreq's README that sends a hundred requests at once: S2-11.

It is in `tests/seed_programs/`, with its import line changed and nothing else.
"""

from __future__ import annotations

from program_origin import ProgramOrigin, origin, place


def test_hundred_requests(place: ProgramOrigin):
    place.run("aioreq/hundred_requests.py")
    assert place.hosts == ["www.google.com"] * 100
    assert place.origins[1].connections == 100  # connections are not kept unless that is asked for
