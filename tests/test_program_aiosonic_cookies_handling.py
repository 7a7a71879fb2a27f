"""The program of aiosonic's manual that keeps cookies: S0-27.

It is in `tests/seed_programs/`, with its import line changed and nothing else.
"""

from __future__ import annotations

from program_origin import ProgramOrigin, origin, place


def test_cookies_handling(place: ProgramOrigin, capsys):
    place.run("aiosonic/cookies_handling.py")
    out = capsys.readouterr().out
    assert "Set-Cookie: foo1=bar1" in out
    assert '"cookies": {"foo1": "bar1", "foo2": "bar2"}' in out
    assert [asked.target for asked in place.asked] == ["/cookies/set?foo1=bar1&foo2=bar2", "/cookies"]
