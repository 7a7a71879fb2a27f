"""Where a payload of aiohttp's, or of the façade, is written to in a test."""

from __future__ import annotations

__all__ = ["Sink"]


class Sink:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.data = b""

    async def write(self, chunk: bytes) -> None:
        self.data += bytes(chunk)
