"""pyreqwest: one client, built by its builder."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from pyreqwest.client import ClientBuilder

from . import Setup, UnexpectedStatus
from .pieces import async_pieces

__all__ = ["Client"]


class Client:
    def __init__(self, setup: Setup) -> None:
        builder = (
            ClientBuilder()
            .no_proxy()
            .follow_redirects(False)
            .pool_max_idle_per_host(setup.connections)
            .pool_idle_timeout(datetime.timedelta(seconds=120))
        )
        if setup.callers > setup.connections:
            builder = builder.max_connections(setup.connections)
        if setup.authority:
            builder = builder.add_root_certificate_pem(Path(setup.authority).read_bytes())
        self.client = builder.build()

    async def get(self, url: str) -> int:
        response = await self.client.get(url).build().send()
        if response.status != 200:
            raise UnexpectedStatus(response.status)
        return len(await response.bytes())

    async def post_json(self, url: str, value: Any) -> Any:
        response = await self.client.post(url).body_json(value).build().send()
        if response.status != 200:
            raise UnexpectedStatus(response.status)
        return await response.json()

    async def stream(self, url: str) -> int:
        total = 0
        async with self.client.get(url).build_streamed() as response:
            if response.status != 200:
                raise UnexpectedStatus(response.status)
            while chunk := await response.body_reader.read_chunk():
                total += len(chunk)
        return total

    async def upload(self, url: str, path: str) -> int:
        response = await self.client.post(url).body_stream(async_pieces(path)).build().send()
        if response.status != 200:
            raise UnexpectedStatus(response.status)
        return int((await response.json())["received"])
