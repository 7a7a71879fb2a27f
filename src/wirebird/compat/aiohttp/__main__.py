"""`python -m wirebird.compat.aiohttp program.py …`: runs a program whose `import aiohttp` is the façade; with `-m` a module."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from .substitution import stand_in

__all__ = ["main"]

_USAGE = "usage: python -m wirebird.compat.aiohttp (program.py | -m module) [argument ...]"


def main() -> None:
    """As `python program.py …` or `python -m module …` would: `sys.argv` and `sys.path` are the program's, and so is its exit."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help") or (arguments[0] == "-m" and len(arguments) < 2):
        sys.exit(_USAGE)
    stand_in()
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        if not sys.flags.safe_path:
            sys.path[0] = str(Path(arguments[0]).resolve().parent)
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()
