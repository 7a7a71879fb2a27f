"""picows: its core interface, in which a listener is called back.  Texts are decoded, data is copied, as for the others."""

from __future__ import annotations

import asyncio

import picows

from ..phase import Phase
from . import Setup, WrongMessage

__all__ = ["Client"]


class Client:
    def __init__(self, setup: Setup) -> None:
        pass

    async def websocket(self, url: str) -> WebSocket:
        _, listener = await picows.ws_connect(WebSocket, url)
        return listener


class WebSocket(picows.WSListener):
    def __init__(self) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.phase: Phase | None = None
        self.message = b""
        self.kind = picows.WSMsgType.TEXT
        self.count = 0  # of messages that have come back
        self.total = 0  # of characters
        self.left = 0  # messages to send
        self.paused = False

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        kind = frame.msg_type
        if kind is picows.WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif self.phase is None:
            self.total += len(frame.get_payload_as_utf8_text())
        else:
            answer = frame.get_payload_as_utf8_text() if kind is picows.WSMsgType.TEXT else frame.get_payload_as_bytes()
            if kind is not self.kind or len(answer) != len(self.message):
                self.done.set_exception(WrongMessage(answer))
                return
            self.count += 1
            if self.phase.over:
                self.done.set_result(None)
            else:
                transport.send(kind, self.message)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        if not self.done.done():
            if self.phase is None and not self.left:
                self.done.set_result(None)
            else:
                self.done.set_exception(ConnectionError("the server closed the connection"))

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.push()

    def push(self) -> None:
        transport, text = self.transport, picows.WSMsgType.TEXT
        while self.left and not self.paused:
            self.left -= 1
            transport.send(text, self.message)

    async def echo(self, message: str | bytes, phase: Phase) -> int:
        self.done = asyncio.get_running_loop().create_future()
        self.phase = phase
        self.kind = picows.WSMsgType.TEXT if isinstance(message, str) else picows.WSMsgType.BINARY
        self.message = message.encode() if isinstance(message, str) else message
        before = self.count
        self.transport.send(self.kind, self.message)
        await self.done
        return self.count - before

    async def receive(self) -> int:
        await self.done
        return self.total

    async def send(self, message: str, count: int) -> None:
        self.message = message.encode()
        self.left = count
        self.push()
        await self.done
