"""What was measured: every run of every cell, and the medians that the report is made of."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from .imports import ImportCost

__all__ = ["Cell", "Results"]


@dataclass
class Cell:
    """The runs of one contender with one workload on one loop."""

    runs: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    hopeless: bool = False  # it is not installed, or ran out of time: it is not tried again

    def rate(self) -> float | None:
        """Requests per second."""
        return self._median([run["requests"] / run["seconds"] for run in self.runs])

    def cpu(self) -> float | None:
        """Seconds of processor time per request, on the client's side."""
        return self._median([run["cpu"] / run["requests"] for run in self.runs])

    def least_cpu(self) -> float | None:
        """The same of the best run: what else the machine does can only add to it."""
        return min((run["cpu"] / run["requests"] for run in self.runs), default=None)

    def busy(self) -> float | None:
        """The share of its core that the client used."""
        return self._median([run["cpu"] / run["seconds"] for run in self.runs])

    def get(self, name: str) -> float | None:
        """Any other figure."""
        return self._median([run[name] for run in self.runs if name in run])

    def spread(self) -> float | None:
        """Half the distance between the slowest and the fastest run, as a share of the median."""
        rates = [run["requests"] / run["seconds"] for run in self.runs]
        return (max(rates) - min(rates)) / 2 / median(rates) if len(rates) > 1 else None

    def remarks(self) -> str:
        """What went wrong, in one line, empty if nothing did."""
        errors: dict[str, int] = {}
        for run in self.runs:
            for text, count in run["errors"].items():
                errors[text] = errors.get(text, 0) + count
        remarks = [f"{count} × {text}" for text, count in errors.items()]
        if self.failures:
            share = f"{len(self.failures)} of {len(self.failures) + len(self.runs)} runs failed: " if self.runs else "failed: "
            remarks.insert(0, share + self.failures[-1])
        return "; ".join(remarks).replace("|", "\\|").replace("\n", " ")

    @staticmethod
    def _median(values: list[float]) -> float | None:
        return median(values) if values else None


class Results:
    """All cells, and what the imports cost."""

    def __init__(self) -> None:
        self.cells: defaultdict[tuple[str, str, str], Cell] = defaultdict(Cell)
        self.imports: dict[str, ImportCost | str] = {}
        self.rounds = 0

    def cell(self, workload: str, loop: str, contender: str) -> Cell:
        """The cell, empty if nothing was measured; asking for it does not make it one that was tried."""
        return self.cells.get((workload, loop, contender)) or Cell()

    def loops(self, workload: str) -> list[str]:
        """The loops on which the workload was tried."""
        return list(dict.fromkeys(loop for name, loop, _ in self.cells if name == workload))

    def contenders(self, workload: str, loop: str) -> list[str]:
        """Who tried, in the order of the plan."""
        return [contender for name, on, contender in self.cells if name == workload and on == loop]
