"""One server in a process of its own: `python -m bench.served NAME OPERATION LOOP PORT`.

It serves until it is terminated, or its standard input ends, so that it cannot outlive the process that started it.  SIGUSR1 has
it collect its garbage.  If it cannot serve, it prints one JSON line with `failed`, the reason.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading

from .limits import raise_open_files
from .servers import serve

__all__ = ["main"]


def main() -> None:
    raise_open_files()
    name, operation, loop, port = sys.argv[1:]
    signal.signal(signal.SIGUSR1, lambda number, frame: gc.collect())
    threading.Thread(target=watch, daemon=True).start()
    try:
        serve(name, operation, loop, int(port))
    except ModuleNotFoundError as error:
        leave(f"not installed: {error}")
    except Exception as error:
        leave(f"{type(error).__name__}: {error}"[:300])


def watch() -> None:
    """Wait for the end of the standard input, then go, with what was started meanwhile."""
    while os.read(0, 1):  # not through `sys.stdin`, whose lock would be held when the interpreter ends
        pass
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def leave(reason: str) -> None:
    print(json.dumps({"failed": reason}), flush=True)
    os._exit(1)


if __name__ == "__main__":
    main()
