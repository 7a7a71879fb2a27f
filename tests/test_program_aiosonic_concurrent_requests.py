"""The program of aiosonic's manual that sends requests at once: S0-25.

It is in `tests/seed_programs/`, with its import line changed and nothing else.
"""

from __future__ import annotations

from program_origin import ProgramOrigin, origin, place


def test_concurrent_requests(place: ProgramOrigin):
    """One is redirected, and not followed; one comes in chunks, and longer than what is read ahead."""
    place.run("aiosonic/concurrent_requests.py")
    assert sorted(place.hosts) == ["linkedin.com", "twitch.tv", "www.facebook.com", "www.google.com"]
