"""`aiosonic.connection`: the class that `connection_cls` stands for by default."""

from __future__ import annotations

from ...client.chunks import ChunkConnection as Connection

__all__ = ["Connection"]
