"""One server in a process of its own: `python -m bench.served NAME OPERATION LOOP PORT`.

It serves until it is terminated.  If it cannot, it prints one JSON line with `failed`, the reason.
"""

from __future__ import annotations

import json
import os
import sys

from .limits import raise_open_files
from .servers import serve

__all__ = ["main"]


def main() -> None:
    raise_open_files()
    name, operation, loop, port = sys.argv[1:]
    try:
        serve(name, operation, loop, int(port))
    except ModuleNotFoundError as error:
        leave(f"not installed: {error}")
    except Exception as error:
        leave(f"{type(error).__name__}: {error}"[:300])


def leave(reason: str) -> None:
    print(json.dumps({"failed": reason}), flush=True)
    os._exit(1)


if __name__ == "__main__":
    main()
