"""The program of aiosonic's reference that uploads a file: S1-66.

It is in `tests/seed_programs/`, with its import line changed and nothing else.
"""

from __future__ import annotations

from pathlib import Path

from program_origin import ProgramOrigin, echo_of, origin, place


def test_upload_file(place: ProgramOrigin, capsys):
    path = Path("path/to/your/file.txt")
    path.parent.mkdir(parents=True)
    path.write_text("the file")
    place.run("aiosonic/upload_file.py", leaves_open=())
    out = capsys.readouterr().out
    assert out.startswith("Response Status: 200\n")
    seen = echo_of(out.partition("Response Body: ")[2])
    assert seen["form"] == {"field1": "value1"}
    assert seen["files"] == {"file.txt": {"field": "file1", "type": "text/plain", "data": "the file"}}
