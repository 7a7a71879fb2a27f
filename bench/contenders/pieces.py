"""A file as the pieces that libraries without file uploads are given."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

__all__ = ["async_pieces", "pieces"]

_SIZE = 256 * 1024


def pieces(path: str) -> Iterator[bytes]:
    """The content of the file at `path`."""
    with open(path, "rb") as file:
        while piece := file.read(_SIZE):
            yield piece


async def async_pieces(path: str) -> AsyncIterator[bytes]:
    """The same, for libraries that take asynchronous iterators only."""
    for piece in pieces(path):
        yield piece
