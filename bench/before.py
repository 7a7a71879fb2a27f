"""An earlier state of wirebird, to be measured beside today's in the same run.

The contender `before` is the same harness and the same calls, in a process that finds `wirebird` in another folder first.
"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

__all__ = ["BEFORE", "environment_for", "extract"]

BEFORE = "before"


def extract(revision: str, folder: Path) -> Path:
    """The sources of `revision`, in `folder`; gives what Python has to look in first.  `LookupError` if there is no such one."""
    done = subprocess.run(["git", "archive", "--format=tar", revision, "src"], capture_output=True, check=False)
    if done.returncode:
        raise LookupError(done.stderr.decode("utf-8", "replace").strip() or "git archive failed")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"


def environment_for(contender: str, earlier: Path | None) -> dict[str, str]:
    """The environment of a contender's process."""
    environment = dict(os.environ)
    if contender == BEFORE and earlier is not None:
        environment["PYTHONPATH"] = str(earlier)
    return environment
