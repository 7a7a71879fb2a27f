"""What a process and those it has started take, as Linux counts it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["family", "open_files", "processor_seconds", "resident_size"]

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def _fields(process: int) -> list[str]:
    """Those of /proc/PID/stat behind the name, which may have spaces in it; none for a process that is gone."""
    try:
        return (_PROC / str(process) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return []


def family(root: int) -> list[int]:
    """`root`, its children, theirs, and so on."""
    parents: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and len(fields := _fields(int(entry.name))) > 1:
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for process in found:
        found.extend(parents.get(process, []))
    return found


def processor_seconds(root: int) -> float:
    """Of all threads of a family, in the kernel and outside."""
    return sum(int(fields[11]) + int(fields[12]) for process in family(root) if len(fields := _fields(process)) > 12) / _TICKS


def resident_size(root: int) -> int:
    """Bytes; what several of them share counts for each."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int(fields[21]) * page for process in family(root) if len(fields := _fields(process)) > 21)


def open_files(root: int) -> int:
    """How many files and sockets a family has."""
    count = 0
    for process in family(root):
        with suppress(OSError):
            count += len(os.listdir(_PROC / str(process) / "fd"))
    return count
