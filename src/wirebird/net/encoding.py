"""Compression without keeping the loop waiting: what takes longer than the way to a thread and back is done in one."""

from __future__ import annotations

import asyncio
from typing import Final

from ..protocol.codings import Encoder

__all__ = ["encode", "encode_whole"]

_THREAD: Final = 32768  # from so many bytes on


async def encode(encoder: Encoder, piece: bytes) -> bytes:
    """What `encoder` gives for the next piece of a body; often nothing yet."""
    if len(piece) < _THREAD:
        return encoder.encode(piece)
    return await asyncio.get_running_loop().run_in_executor(None, encoder.encode, piece)


async def encode_whole(encoder: Encoder, body: bytes) -> bytes:
    """The whole of a body, which is here, with its coding."""
    if len(body) < _THREAD:
        return encoder.encode(body) + encoder.flush()
    return await asyncio.get_running_loop().run_in_executor(None, lambda: encoder.encode(body) + encoder.flush())
