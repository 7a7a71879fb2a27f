"""A file that is its owner's alone, and never half written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["write_private"]


def write_private(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` as UTF-8, with the mode 0600; a file that is there is replaced in one step.

    Blocks for as long as the disk takes.  Raises `OSError` if the folder cannot be written to, and then leaves the old file as it
    was.
    """
    target = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.parent)  # created with 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
