"""aiohttp: one session, cookies off as with wirebird."""

from __future__ import annotations

import ssl
from typing import Any

import aiohttp

from ..phase import Phase
from . import Setup, UnexpectedStatus, WrongMessage

__all__ = ["Client"]


class Client:
    def __init__(self, setup: Setup) -> None:
        context = ssl.create_default_context(cafile=setup.authority) if setup.authority else True
        connector = aiohttp.TCPConnector(limit=setup.connections, ssl=context, keepalive_timeout=120)
        self.session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def get(self, url: str) -> int:
        async with self.session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                raise UnexpectedStatus(response.status)
            return len(await response.read())

    async def post_json(self, url: str, value: Any) -> Any:
        async with self.session.post(url, json=value, allow_redirects=False) as response:
            if response.status != 200:
                raise UnexpectedStatus(response.status)
            return await response.json()

    async def stream(self, url: str) -> int:
        total = 0
        async with self.session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                raise UnexpectedStatus(response.status)
            async for chunk in response.content.iter_chunked(65536):
                total += len(chunk)
        return total

    async def events(self, url: str) -> int:
        count, last = 0, ""
        lines: list[str] = []
        async with self.session.get(url, allow_redirects=False, headers={"Accept": "text/event-stream"}) as response:
            if response.status != 200:
                raise UnexpectedStatus(response.status)
            async for line in response.content:
                if line.startswith(b"data:"):
                    lines.append(line[5:].decode().removeprefix(" ").rstrip("\r\n"))
                elif line in (b"\n", b"\r\n") and lines:
                    last = "\n".join(lines)
                    lines = []
                    count += 1
        return count if last == "[DONE]" else -1

    async def websocket(self, url: str) -> WebSocket:
        return WebSocket(await self.session.ws_connect(url))

    async def upload(self, url: str, path: str) -> int:
        with open(path, "rb") as file:
            async with self.session.post(url, data=file, allow_redirects=False) as response:
                if response.status != 200:
                    raise UnexpectedStatus(response.status)
                return int((await response.json())["received"])


class WebSocket:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def echo(self, message: str | bytes, phase: Phase) -> int:
        socket, kind, size, count = self.socket, type(message), len(message), 0
        while not phase.over:
            if kind is str:
                await socket.send_str(message)
            else:
                await socket.send_bytes(message)
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
            await socket.send_str(message)
        await socket.receive()
