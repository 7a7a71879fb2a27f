"""wrk as the load that a server meets: one thread, keep-alive connections, one request after the other on each."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field

from .cores import pin_to

__all__ = ["Load", "find_wrk", "load", "read_report"]

_requests = re.compile(r"^\s*([0-9]+) requests in ([0-9.]+)(us|ms|s|m),", re.MULTILINE)
_refused = re.compile(r"^\s*Non-2xx or 3xx responses: ([0-9]+)$", re.MULTILINE)
_broken = re.compile(r"^\s*Socket errors: connect ([0-9]+), read ([0-9]+), write ([0-9]+), timeout ([0-9]+)$", re.MULTILINE)
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True)
class Load:
    """What wrk has counted: answers, the seconds that it took, and what went wrong, by kind."""

    requests: int
    seconds: float
    errors: dict[str, int] = field(default_factory=dict)


def find_wrk() -> str | None:
    """The wrk executable."""
    return shutil.which("wrk")


def read_report(text: str) -> Load:
    """The figures of a report of wrk.  `ValueError` if there are none in it."""
    found = _requests.search(text)
    if found is None:
        raise ValueError(f"no report of wrk: {text[:200]!r}")
    errors: dict[str, int] = {}
    if (refused := _refused.search(text)) is not None:
        errors["status other than 2xx or 3xx"] = int(refused[1])
    if (broken := _broken.search(text)) is not None:
        kinds = ("connect", "read", "write", "timeout")
        errors |= {f"{kind} errors": int(count) for kind, count in zip(kinds, broken.groups(), strict=True) if count != "0"}
    return Load(int(found[1]), float(found[2]) * _UNITS[found[3]], errors)


def load(executable: str, url: str, seconds: float, connections: int, core: int | None) -> Load:
    """Ask `url` for so long, in whole seconds, for wrk knows no others.  Raises `ValueError` if it reports nothing."""
    whole = max(1, round(seconds))
    done = subprocess.run(
        [executable, "--threads", "1", "--connections", str(connections), "--duration", f"{whole}s", url],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=whole + 10,
        check=False,
        preexec_fn=pin_to(core),
    )
    return read_report(done.stdout or done.stderr)
