"""How many files a process may have open: 10,000 connections need as many at either end."""

from __future__ import annotations

import resource

__all__ = ["raise_open_files"]


def raise_open_files() -> int:
    """Raise the soft limit to the hard one; return how many files may be open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
