"""The command line: `wirebird serve`, `wirebird dev`; `python -m wirebird` is the same.

It needs click, which `pip install 'wirebird[cli]'` brings along, and says so where it is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` say, by default those of the process; its exit code.

    0 where all went well, also after SIGINT or SIGTERM, 1 where something failed, 2 for arguments that are none.
    """
    if find_spec("click") is None:
        print("wirebird: the command line needs click, which is not installed: pip install 'wirebird[cli]'", file=sys.stderr)
        return 1
    from .commands import run

    return run(arguments)
