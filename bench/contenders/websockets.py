"""websockets: its new asyncio client, without compression and without keepalive pings, which the others do not send either."""

from __future__ import annotations

from websockets.asyncio.client import ClientConnection, connect

from ..phase import Phase
from . import Setup, WrongMessage

__all__ = ["Client"]


class Client:
    def __init__(self, setup: Setup) -> None:
        pass

    async def websocket(self, url: str) -> WebSocket:
        return WebSocket(await connect(url, compression=None, ping_interval=None, proxy=None))


class WebSocket:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def echo(self, message: str | bytes, phase: Phase) -> int:
        socket, kind, size, count = self.socket, type(message), len(message), 0
        while not phase.over:
            await socket.send(message)
            answer = await socket.recv()
            if type(answer) is not kind or len(answer) != size:
                raise WrongMessage(answer)
            count += 1
        return count

    async def receive(self) -> int:
        total = 0
        async for message in self.socket:
            total += len(message)
        return total

    async def send(self, message: str, count: int) -> None:
        socket = self.socket
        for _ in range(count):
            await socket.send(message)
        await socket.wait_closed()
