"""aiosonic: one client, its pool as large as the workload asks for and its connections without a limit of requests."""

from __future__ import annotations

import ssl
from typing import Any

from aiosonic import HTTPClient
from aiosonic.connectors import TCPConnector
from aiosonic.pools import PoolConfig

from . import Setup, UnexpectedStatus
from .pieces import pieces

__all__ = ["Client"]


class Client:
    def __init__(self, setup: Setup) -> None:
        self.context = ssl.create_default_context(cafile=setup.authority) if setup.authority else None
        pool = PoolConfig(size=setup.connections, max_conn_requests=None)
        self.client = HTTPClient(TCPConnector(pool_configs={":default": pool}))

    async def get(self, url: str) -> int:
        response = await self.client.get(url, ssl=self.context)
        if response.status_code != 200:
            raise UnexpectedStatus(response.status_code)
        return len(await response.content())

    async def post_json(self, url: str, value: Any) -> Any:
        response = await self.client.post(url, json=value)
        if response.status_code != 200:
            raise UnexpectedStatus(response.status_code)
        return await response.json()

    async def stream(self, url: str) -> int:
        total = 0
        async with self.client.stream("GET", url) as response:
            if response.status_code != 200:
                raise UnexpectedStatus(response.status_code)
            async for chunk in response.iter_bytes():
                total += len(chunk)
        return total

    async def upload(self, url: str, path: str) -> int:
        response = await self.client.post(url, data=pieces(path))
        if response.status_code != 200:
            raise UnexpectedStatus(response.status_code)
        return int((await response.json())["received"])
