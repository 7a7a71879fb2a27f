"""`python -m bench`: measure, print the report, and write it down."""

from __future__ import annotations

import argparse
import datetime
import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from .before import BEFORE, extract
from .contenders import NAMES, PEERS
from .cores import describe_machine, load_average, share_cores
from .imports import measure_import
from .loops import LOOPS
from .origin import Origin
from .report import Circumstances, render
from .results import Results
from .turns import Turns, workloads_named
from .workloads import WORKLOADS

__all__ = ["main"]

_DOCUMENT = Path("docs/benchmarks.md")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status: 0, or 2 for a usage error."""
    options = _parser().parse_args(arguments)
    usual = _parser().parse_args([])
    whole = all(
        value == getattr(usual, name) for name, value in vars(options).items() if name not in ("output", "json", "silent")
    )
    output = options.output or (_DOCUMENT if whole else None)
    contenders = _chosen(options.contenders, NAMES, "contender")
    if options.before is not None:
        contenders.insert(contenders.index("wirebird") + 1 if "wirebird" in contenders else 0, BEFORE)
    loops = _chosen(options.loops, LOOPS, "loop")
    workloads = workloads_named(options.only)
    if options.quick:
        workloads = [row for row in workloads if row.target != "idle"]
    if options.only and not workloads and "import" not in options.only:
        _complain(f"no workload begins with {', '.join(options.only)}; there are {', '.join(WORKLOADS)} and import")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # so that the servers are stopped
    started = time.monotonic()
    server_core, client_core = share_cores()
    load = load_average()
    seconds = options.seconds or (0.2 if options.quick else 0.5)
    rounds = options.rounds or (1 if options.quick else 3)
    results = Results()

    def say(text: str) -> None:
        if not options.silent:
            print(text, file=sys.stderr, flush=True)

    with (
        tempfile.TemporaryDirectory(prefix="wirebird-before-") as folder,
        Origin(server_core, use_nginx=not options.embedded) as origin,
    ):
        try:
            earlier = extract(options.before, Path(folder)) if options.before is not None else None
        except LookupError as error:
            _complain(f"no sources of {options.before}: {error}")
        if options.only is None or "import" in options.only:
            for name in contenders:
                if name in ("wirebird", *PEERS):
                    results.imports[name] = measure_import(name, origin.urls["small"], client_core, 2 if options.quick else 5)
        turns = Turns(
            origin=origin,
            core=client_core,
            workloads=workloads,
            loops=loops,
            contenders=contenders,
            rounds=rounds,
            seconds=seconds,
            warm_up=min(0.15, seconds / 2),
            deadline=started + options.budget,
            say=say,
            earlier=earlier,
        )
        turns.play(results)
        description = origin.description
    circumstances = Circumstances(
        machine=describe_machine(),
        server=description,
        cores=(server_core, client_core),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        command="make bench"
        if whole
        else " ".join(["python -m bench", *_shown(sys.argv[1:] if arguments is None else arguments)]),
        seconds=seconds,
        load=load,
    )
    document = render(results, circumstances)
    print(document)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(document, "utf-8")
    if options.json is not None:
        rows = [{"workload": w, "loop": o, "contender": c, **vars(cell)} for (w, o, c), cell in results.cells.items()]
        options.json.write_text(json.dumps(rows, indent=1), "utf-8")
    say(f"{time.monotonic() - started:.0f} s")
    return 0


def _shown(arguments: Sequence[str]) -> list[str]:
    """The arguments without those that say where results go, which is nobody's business."""
    shown: list[str] = []
    skip = False
    for argument in arguments:
        if not skip and argument.partition("=")[0] not in ("--json", "--output"):
            shown.append(argument)
        skip = not skip and argument in ("--json", "--output")
    return shown


def _chosen(text: str | None, known: Sequence[str], noun: str) -> list[str]:
    """The comma-separated names, all known ones by default, in their own order."""
    if text is None:
        return list(known)
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        _complain(f"no {noun} is called {', '.join(unknown) or 'nothing'}; there are {', '.join(known)}")
    return [name for name in known if name in names]


def _complain(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr)
    sys.exit(2)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench", description="Compare wirebird with its peers and the bare event loop.")
    parser.add_argument("--quick", action="store_true", help="one round of short measurements, without the 10,000 connections")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="import, a workload, or the beginning of some; repeatable"
    )
    parser.add_argument("--contenders", metavar="A,B", help=f"some of {','.join(NAMES)}")
    parser.add_argument("--loops", metavar="A,B", help=f"some of {','.join(LOOPS)}")
    parser.add_argument("--rounds", type=int, help="how often everybody has a turn (3)")
    parser.add_argument("--seconds", type=float, help="length of one measurement (0.5)")
    parser.add_argument("--budget", type=float, default=900.0, help="seconds after which no further turn begins (900)")
    parser.add_argument("--before", metavar="REVISION", help="measure wirebird as it was then, beside today's")
    parser.add_argument("--embedded", action="store_true", help="do without nginx")
    parser.add_argument("--output", type=Path, help=f"where to write the report ({_DOCUMENT}, if nothing is left out)")
    parser.add_argument("--json", type=Path, help="where to write every single run")
    parser.add_argument("--silent", action="store_true", help="no progress on standard error")
    return parser


if __name__ == "__main__":
    sys.exit(main())
