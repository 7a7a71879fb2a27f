"""Which core is whose, and what machine this is."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

__all__ = ["describe_machine", "load_average", "pin_to", "share_cores"]


def share_cores() -> tuple[int | None, int | None]:
    """The server's core and the clients' core: the first and the last that this process may use.

    Both are the same number where there is one core, and `None` where the system cannot pin.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]


def pin_to(core: int | None) -> Callable[[], None] | None:
    """What a child runs before its program: what it starts inherits the core."""
    return None if core is None else partial(os.sched_setaffinity, 0, {core})


def load_average() -> float:
    """Of the last minute; 0 where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def describe_machine() -> str:
    """Processor, cores, memory, system and Python; nothing that names the machine."""
    model = platform.machine()
    memory = ""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
        for line in Path("/proc/meminfo").read_text("utf-8").splitlines():
            if line.startswith("MemTotal"):
                memory = f", {round(int(line.split()[1]) / 2**20)} GiB memory"
    except OSError:
        pass
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores{memory}, {sys.platform}, {python}"
