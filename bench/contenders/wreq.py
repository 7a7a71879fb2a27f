"""wreq: one client.  It has no limit of connections, so a semaphore stands in where there are more callers than connections."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from typing import Any

import wreq

from . import Setup, UnexpectedStatus
from .pieces import async_pieces

__all__ = ["Client"]


class Client:
    def __init__(self, setup: Setup) -> None:
        self.client = wreq.Client(
            no_proxy=True,
            http1_only=True,
            pool_idle_timeout=datetime.timedelta(seconds=120),
            tls_verify=Path(setup.authority) if setup.authority else True,
        )
        if setup.callers > setup.connections:
            self.turnstile = asyncio.Semaphore(setup.connections)
            self.get = self.get_in_turn  # type: ignore[method-assign]

    async def get(self, url: str) -> int:
        response = await self.client.get(url)
        if not response.status.is_success():
            raise UnexpectedStatus(response.status)
        return len(await response.bytes())

    async def get_in_turn(self, url: str) -> int:
        async with self.turnstile:
            return await Client.get(self, url)

    async def post_json(self, url: str, value: Any) -> Any:
        response = await self.client.post(url, json=value)
        if not response.status.is_success():
            raise UnexpectedStatus(response.status)
        return await response.json()

    async def stream(self, url: str) -> int:
        total = 0
        async with self.client.get(url) as response:
            if not response.status.is_success():
                raise UnexpectedStatus(response.status)
            async with response.stream() as streamer:
                async for chunk in streamer:
                    total += len(chunk)
        return total

    async def upload(self, url: str, path: str) -> int:
        response = await self.client.post(url, body=async_pieces(path))
        if not response.status.is_success():
            raise UnexpectedStatus(response.status)
        return int((await response.json())["received"])
