"""wirebird, through its public API."""

from __future__ import annotations

import ssl
from typing import Any

import wirebird

from . import Setup, UnexpectedStatus

__all__ = ["Client"]


class Client:
    def __init__(self, setup: Setup) -> None:
        context = ssl.create_default_context(cafile=setup.authority) if setup.authority else None
        connector = wirebird.TCPConnector(
            pool_size=setup.connections, ssl=context, conn_max_requests=None, keepalive_timeout=120.0
        )
        self.client = wirebird.HTTPClient(connector)

    async def get(self, url: str) -> int:
        response = await self.client.get(url)
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
        async with self.client.get(url) as response:
            if response.status_code != 200:
                raise UnexpectedStatus(response.status_code)
            async for chunk in response.iter_bytes(65536):
                total += len(chunk)
        return total

    async def events(self, url: str) -> int:
        count, last = 0, ""
        async for event in self.client.events(url, reconnect=False):
            count += 1
            last = event.data
        return count if last == "[DONE]" else -1

    async def upload(self, url: str, path: str) -> int:
        with open(path, "rb") as file:
            response = await self.client.post(url, data=file)
            if response.status_code != 200:
                raise UnexpectedStatus(response.status_code)
            return int((await response.json())["received"])
