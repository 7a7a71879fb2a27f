"""Who runs when.  Round after round, every workload on every loop, and within it one contender after the other.

A run is a process of its own on the clients' core.  None outlives its limit, nor this process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .before import environment_for
from .contenders import PURE, WEBSOCKET_PEERS
from .cores import pin_to
from .origin import Origin
from .results import Results
from .servers import SERVERS
from .serving import measure_server
from .workloads import WORKLOADS, Workload

__all__ = ["Turns", "workloads_named"]


@dataclass
class Turns:
    """The plan: `seconds` per measurement after `warm_up`; `deadline` (monotonic) after which no further turn begins.

    `earlier` is where the sources of the contender `before` are.
    """

    origin: Origin
    core: int | None
    workloads: Sequence[Workload]
    loops: Sequence[str]
    contenders: Sequence[str]
    rounds: int
    seconds: float
    warm_up: float
    deadline: float
    say: Callable[[str], None] = lambda text: None
    earlier: Path | None = None

    def play(self, results: Results) -> None:
        """Play all rounds, or as many as there is time for."""
        for round_number in range(self.rounds):
            for workload in self.workloads:
                if round_number >= workload.rounds:
                    continue
                for loop in self.loops:
                    if loop in workload.loops and not self.play_one(round_number, workload, loop, results):
                        return
            results.rounds = round_number + 1

    def play_one(self, round_number: int, workload: Workload, loop: str, results: Results) -> bool:
        """One turn of every contender; the one that begins changes from round to round.  False when time is up."""
        names = [name for name in self.contenders if workload.bare or name != "bare"]
        able = workload.contenders or [name for name in names if name not in (PURE, *WEBSOCKET_PEERS, *SERVERS)]
        names = [name for name in names if name in able]
        for name in names:
            results.cells[workload.name, loop, name]  # the order of the report is that of the plan
        shift = round_number % len(names) if names else 0
        for name in names[shift:] + names[:shift]:
            cell = results.cells[workload.name, loop, name]
            if cell.hopeless:
                continue
            if time.monotonic() > self.deadline:
                self.say("time is up: the remaining turns are left out")
                return False
            outcome = self.run(name, workload, loop)
            if "failed" in outcome:
                cell.failures.append(outcome["failed"])
                cell.hopeless = outcome["failed"].startswith(("not installed", "no result within"))
                self.say(f"{workload.name} {loop} {name}: {outcome['failed']}")
            else:
                cell.runs.append(outcome)
                self.say(f"{workload.name} {loop} {name}: {outcome['requests'] / outcome['seconds']:,.0f}/s")
        return True

    def run(self, name: str, workload: Workload, loop: str) -> dict[str, Any]:
        """One measurement: the line that the child has printed, or why there is none."""
        environment = environment_for(name, self.earlier)
        limit = min(workload.limit, max(5.0, self.deadline + 10 - time.monotonic()))
        if workload.served:
            return measure_server(name, workload, loop, self.seconds, limit, (self.origin.core, self.core), environment)
        task = {
            "contender": name,
            "workload": workload.name,
            "loop": loop,
            "seconds": self.seconds,
            "warm_up": self.warm_up,
            "urls": self.origin.urls,
            "authority": self.origin.authority,
            "upload": self.origin.upload,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.run", json.dumps(task)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            preexec_fn=pin_to(self.core),
        )
        try:
            output, complaint = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            return {"failed": f"no result within {limit:.0f} s"}
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
        try:
            return dict(json.loads(output))
        except ValueError:
            lines = complaint.decode("utf-8", "replace").strip().splitlines()
            return {"failed": f"exit status {process.returncode}: {lines[-1] if lines else 'no output'}"[:300]}


def workloads_named(names: Sequence[str] | None) -> list[Workload]:
    """The workloads called `names`, all of them for `None`; what is no whole name may be the beginning of several, or of none."""
    if names is None:
        return list(WORKLOADS.values())
    return [row for row in WORKLOADS.values() if any(row.name == name or _begins(row, name) for name in names)]


def _begins(workload: Workload, name: str) -> bool:
    return name not in WORKLOADS and workload.name.startswith(name)
