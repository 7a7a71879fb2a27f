"""wirebird, through its public API."""

from __future__ import annotations

import ssl
from typing import Any

import wirebird

from ..phase import Phase
from . import Setup, UnexpectedStatus, WrongMessage

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

    async def websocket(self, url: str) -> WebSocket:
        return WebSocket(await self.client.websocket(url, compression=False))

    async def upload(self, url: str, path: str) -> int:
        with open(path, "rb") as file:
            response = await self.client.post(url, data=file)
            if response.status_code != 200:
                raise UnexpectedStatus(response.status_code)
            return int((await response.json())["received"])


class WebSocket:
    def __init__(self, socket: wirebird.WebSocket) -> None:
        self.socket = socket

    async def echo(self, message: str | bytes, phase: Phase) -> int:
        socket, kind, size, count = self.socket, type(message), len(message), 0
        while not phase.over:
            await socket.send(message)
            answer = (await socket.receive()).data
            if type(answer) is not kind or len(answer) != size:
                raise WrongMessage(answer)
            count += 1
        return count

    async def receive(self) -> int:
        total = 0
        async for message in self.socket:
            total += len(message.data)
        return total

    async def send(self, message: str, count: int) -> None:
        socket = self.socket
        for _ in range(count):
            await socket.send(message)
        async for _ in socket:
            pass
