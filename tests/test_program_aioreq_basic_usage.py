"""The session of Aioreq's README that shows its basic usage: S2-3 to S2-9.

It is in `tests/seed_programs/`, with its import line changed and nothing else.
"""

from __future__ import annotations

from program_origin import ProgramOrigin, origin, place


def test_basic_usage(place: ProgramOrigin, capsys):
    names = place.run("aioreq/basic_usage.py", typed=True, leaves_open=("cl", "resp"))
    shown = ["<Response 200 OK>", "200", "'OK'", "<Request GET https://www.google.com>"]
    assert capsys.readouterr().out.splitlines() == shown
    assert dict(names["headers"])["content-type"] == names["headers"]["Content-Type"] == "text/html; charset=ISO-8859-1"
    assert names["body"] == b"<title>Google</title>"
    assert "gzip" in place.asked[0].headers["accept-encoding"]
