"""`aiosonic.proxy`: `Proxy(host, auth=None)`, with `auth` as `user:password`."""

from __future__ import annotations

from typing import Any

__all__ = ()  # Proxy, as soon as the library has it


def __getattr__(name: str) -> Any:
    if name != "Proxy":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return import_module("wirebird").Proxy
