"""One conversation over a WebSocket."""

from __future__ import annotations

from typing import Any

from .contenders import Contender, WebSocket
from .phase import Phase
from .workloads import BINARY, MESSAGES, Workload, message

__all__ = ["Talk"]


class Talk:
    """One workload with WebSockets of one client: an echo that stays open between turns, or messages in one direction."""

    def __init__(self, workload: Workload, client: Contender, urls: dict[str, str]) -> None:
        self.workload = workload
        self.client = client
        self.url = urls[workload.target]
        self.socket: WebSocket | None = None

    async def turn(self, seconds: float) -> tuple[int, dict[str, int]]:
        """Talk for `seconds`; return the number of messages, and what went wrong.  A stream is always taken to its end."""
        phase = Phase()
        count = 0
        if self.workload.operation == "ws_echo":
            if self.socket is None:
                self.socket = await self.client.websocket(self.url)
            phase.end_in(seconds)
            return await self.socket.echo(BINARY if self.workload.expected == len(BINARY) else message(0), phase), {}
        phase.end_in(seconds)
        errors: dict[str, Any] = {}
        while not phase.over and not errors:
            socket = await self.client.websocket(self.url)
            if self.workload.operation == "ws_send":
                await socket.send(message(0), MESSAGES)
            else:
                got = await socket.receive()
                if got != MESSAGES * len(message(0)):
                    errors[f"{got} characters instead of {MESSAGES * len(message(0))}"] = 1
            count += MESSAGES
        return count, errors
