"""The program of aiosonic's manual whose body is an iterator: S0-26.

It is in `tests/seed_programs/`, with its import line changed and nothing else.
"""

from __future__ import annotations

from program_origin import ProgramOrigin, echo_of, origin, place


def test_chunked_requests(place: ProgramOrigin, capsys):
    place.run("aiosonic/chunked_requests.py")
    assert echo_of(capsys.readouterr().out)["data"] == "foobar"
    assert place.asked[0].chunked
