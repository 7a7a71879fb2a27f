"""The program of aiosonic's manual that downloads a file: S0-24.

It is in `tests/seed_programs/`, with its import line changed and nothing else.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from program_origin import PICTURE, ProgramOrigin, origin, place


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("program", ["download_file.py", "download_file_behind_the_block.py"])
def test_download_file(program: str, chunked: bool, place: ProgramOrigin):
    """The manual reads the body inside the `async with` in one edition, and behind it in another."""
    place.chunked = chunked
    place.run(f"aiosonic/{program}")
    assert Path("dog_image.jpg").read_bytes() == PICTURE
    assert place.hosts == ["images.dog.ceo"]
