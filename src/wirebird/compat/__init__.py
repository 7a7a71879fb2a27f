"""Other libraries' interfaces, for code that was written for them: only its import line changes.

    from wirebird.compat import aiosonic      in place of    import aiosonic
    from wirebird.compat import aioreq        in place of    import aioreq
    from wirebird.compat import aiohttp       in place of    import aiohttp

Each is a façade: names, defaults and module paths are that library's, everything else is wirebird's, with the faults that these
libraries have left out.  docs/compat.md says what is different.  Nothing is imported before it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["aiohttp", "aioreq", "aiosonic"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f".{name}", __name__)
