"""`python -m demo`: start the server, play the scenes, print the table."""

from __future__ import annotations

import argparse
import asyncio
import platform
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from bench.limits import raise_open_files
from bench.loops import LOOPS, fastest_loop, new_loop

from . import scenes
from .origin import Origin
from .table import Row, render_table

__all__ = ["main"]

REQUESTS = 100_000
MEGABYTES = 200


async def play(origin: Origin, requests: int, megabytes: int) -> list[Row]:
    """Every scene in turn."""
    size = megabytes * 1_000_000
    rows = [
        await scenes.get_crowded(origin, requests),
        await scenes.get_small(origin, requests),
        await scenes.echo_json(origin, max(50, requests // 10)),
    ]
    if origin.https:
        rows.append(await scenes.get_over_tls(origin, max(50, requests // 10)))
    rows.append(await scenes.download(origin, size))
    rows.append(await scenes.download_to_file(origin, size // 2))
    rows.append(await scenes.read_events(origin, max(50, requests)))
    rows.append(await scenes.chat(origin, max(50, requests // 5)))
    rows.append(await scenes.upload_generated(origin, size // 2))
    rows.append(await scenes.upload_file(origin, size // 4))
    rows.append(await scenes.follow_redirects(origin, max(5, requests // 1000)))
    print("\n  What goes wrong in a network, and what the caller gets to see of it:\n", flush=True)
    rows.append(await scenes.show_errors(origin, lambda line: print(line, flush=True)))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser("python -m demo", description="wirebird at work against a server on this machine.")
    parser.add_argument("--requests", type=int, default=REQUESTS, help=f"how many small GETs ({REQUESTS})")
    parser.add_argument("--megabytes", type=int, default=MEGABYTES, help=f"how much is downloaded ({MEGABYTES})")
    parser.add_argument("--loop", choices=LOOPS, default=fastest_loop(), help="the event loop (uvloop if it is installed)")
    options = parser.parse_args(arguments)
    if options.requests < 1 or options.megabytes < 1:
        parser.error("there must be something to do")
    raise_open_files()
    began = time.monotonic()
    loop = options.loop + (f" {version('uvloop')}" if options.loop == "uvloop" else "")
    print(f"\n  wirebird {_version()} on {platform.python_implementation()} {platform.python_version()}, {loop}\n", flush=True)
    with Origin(options.loop) as origin:
        if origin.no_tls:
            print(f"  no TLS: {origin.no_tls}", flush=True)
        with asyncio.Runner(loop_factory=new_loop(options.loop)) as runner:
            rows = runner.run(play(origin, options.requests, options.megabytes))
    print(f"\n{render_table(rows)}\n")
    total = sum(row.requests for row in rows)
    print(f"{total:,} requests, every answer checked, in {time.monotonic() - began:.1f} s.", flush=True)
    return 0


def _version() -> str:
    try:
        return version("wirebird")
    except PackageNotFoundError:
        return "from the source tree"


if __name__ == "__main__":
    sys.exit(main())
