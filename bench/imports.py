"""What it costs to import a library, and to get a first answer with it."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass

from .cores import pin_to

__all__ = ["ImportCost", "measure_import"]

_MODULES = {"pyreqwest": "pyreqwest.client"}  # its top level imports nothing
_PROGRAM = """
import sys, time
before = len(sys.modules)
started = time.perf_counter()
import {module}
imported = time.perf_counter()
modules = len(sys.modules) - before
import asyncio
from bench.contenders import Setup, load
async def first():
    await load({name!r})(Setup(1, 1, None)).get({url!r})
    answered = time.perf_counter()
    import json, os
    print(json.dumps([imported - started, answered - started, modules]), flush=True)
    os._exit(0)
asyncio.run(first())
"""


@dataclass(frozen=True)
class ImportCost:
    """Medians: seconds to import, seconds from there to the first answer's last byte (import included), modules loaded."""

    seconds: float
    first_answer: float
    modules: int


def measure_import(name: str, url: str, core: int | None, times: int) -> ImportCost | str:
    """Import `name` in `times` fresh interpreters, its files being in the page cache; a string says why that failed."""
    program = _PROGRAM.format(module=_MODULES.get(name, name), name=name, url=url)
    rows = []
    for _ in range(times):
        process = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=pin_to(core)
        )
        try:
            output, complaint = process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            return "no result within 15 s"
        finally:
            process.kill()
            process.wait()
        if not output:
            return (complaint.decode("utf-8", "replace").strip().splitlines() or ["no result"])[-1][:300]
        rows.append(json.loads(output))
    return ImportCost(*(statistics.median(column) for column in zip(*rows, strict=True)))
