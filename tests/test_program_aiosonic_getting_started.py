"""The program of aiosonic's manual that gets started: S0-13 to S0-20.

It is in `tests/seed_programs/`, with its import line changed and nothing else.
"""

from __future__ import annotations

from program_origin import ProgramOrigin, origin, place


def test_getting_started(place: ProgramOrigin, capsys):
    place.run("aiosonic/getting_started.py")
    assert capsys.readouterr().out == "success\n"
    assert place.hosts == ["www.google.com", "postman-echo.com", "postman-echo.com", "www.google.com"]
    assert [asked.headers["content-type"] for asked in place.asked[1:3]] == [
        "application/x-www-form-urlencoded",
        "application/json",
    ]
    assert not any("accept-encoding" in asked.headers for asked in place.asked)
    assert {asked.headers["connection"] for asked in place.asked} == {"keep-alive"}
    assert all(asked.headers["user-agent"].startswith("aioload/") for asked in place.asked)
