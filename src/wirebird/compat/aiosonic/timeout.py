"""`aiosonic.timeout`: the time limits, which are wirebird's by name, meaning and default."""

from __future__ import annotations

from ...net.timeouts import Timeouts

__all__ = ["Timeouts"]
