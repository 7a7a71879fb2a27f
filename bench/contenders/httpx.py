"""httpx: one asynchronous client.  Its time limit is 60 s instead of 5, which many callers would only see fail."""

from __future__ import annotations

import os
import ssl
from typing import Any

import httpx

from . import Setup, UnexpectedStatus
from .pieces import async_pieces

__all__ = ["Client"]


class Client:
    def __init__(self, setup: Setup) -> None:
        context = ssl.create_default_context(cafile=setup.authority) if setup.authority else ssl.create_default_context()
        limits = httpx.Limits(
            max_connections=setup.connections, max_keepalive_connections=setup.connections, keepalive_expiry=120.0
        )
        self.client = httpx.AsyncClient(verify=context, limits=limits, timeout=60.0, trust_env=False)

    async def get(self, url: str) -> int:
        response = await self.client.get(url)
        if response.status_code != 200:
            raise UnexpectedStatus(response.status_code)
        return len(response.content)

    async def post_json(self, url: str, value: Any) -> Any:
        response = await self.client.post(url, json=value)
        if response.status_code != 200:
            raise UnexpectedStatus(response.status_code)
        return response.json()

    async def stream(self, url: str) -> int:
        total = 0
        async with self.client.stream("GET", url) as response:
            if response.status_code != 200:
                raise UnexpectedStatus(response.status_code)
            async for chunk in response.aiter_bytes():
                total += len(chunk)
        return total

    async def events(self, url: str) -> int:
        from httpx_sse import aconnect_sse

        count, last = 0, ""
        async with aconnect_sse(self.client, "GET", url) as source:
            if source.response.status_code != 200:
                raise UnexpectedStatus(source.response.status_code)
            async for event in source.aiter_sse():
                count += 1
                last = event.data
        return count if last == "[DONE]" else -1

    async def upload(self, url: str, path: str) -> int:
        headers = {"Content-Length": str(os.path.getsize(path))}
        response = await self.client.post(url, content=async_pieces(path), headers=headers)
        if response.status_code != 200:
            raise UnexpectedStatus(response.status_code)
        return int(response.json()["received"])
