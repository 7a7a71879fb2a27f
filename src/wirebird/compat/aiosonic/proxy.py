"""`aiosonic.proxy`: `Proxy(host, auth=None)`, with `auth` as `user:password`."""

from __future__ import annotations

from ...net.proxy import Proxy

__all__ = ["Proxy"]
