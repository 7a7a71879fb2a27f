"""How much memory the measuring process holds, in bytes, as Linux counts it; zero elsewhere."""

from __future__ import annotations

from pathlib import Path

__all__ = ["peak_size", "reset_peak", "resident_size"]

_STATUS = Path("/proc/self/status")


def _field(name: str) -> int:
    try:
        for line in _STATUS.read_text("ascii").splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def resident_size() -> int:
    """What is resident now."""
    return _field("VmRSS:")


def reset_peak() -> None:
    """Let the peak start again from what is resident now, where the kernel permits it."""
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    except OSError:
        pass


def peak_size() -> int:
    """The most that was resident since `reset_peak`, or since the start of the process where that is not permitted."""
    return _field("VmHWM:")
