"""One WebSocket after the other: what `client/reconnect.py` decides is done, in the task of the loop that wants them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from time import time
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ConnectionLost, StatusError, WirebirdError

if TYPE_CHECKING:
    from ..net.websocket import WebSocket
    from .pauses import Pauses
    from .reconnect import Reconnect
    from .retry import Outcome

__all__ = ["Opener", "Reconnecting"]


class Opener(Protocol):
    """What opens the connections, and has them wait."""

    @property
    def closed(self) -> bool:
        """Whether there will be no more."""

    @property
    def pauses(self) -> Pauses:
        """Where to wait for the next one."""

    async def connect(self) -> WebSocket:
        """A new one."""


class Reconnecting:
    """One WebSocket after the other, as `async for ws in client.websocket(url, reconnect=True)` gives them.

    Each is closed when the next is asked for.  The one in use when the loop is left, by `break` or by an exception, is told 1000
    then, without waiting for the answer; `aclose` waits for it.

    `sleep`, which waits for so many seconds (`asyncio.sleep`), may be replaced.
    """

    __slots__ = ("_busy", "_fruitless", "_opener", "_policy", "_since", "_socket", "opened", "sleep")

    def __init__(self, opener: Opener, policy: Reconnect) -> None:
        self._socket: WebSocket | None = None
        self._opener = opener
        self._policy = policy
        self._busy = False
        self._fruitless = 0  # connections in a row that came to nothing
        self._since = 0.0
        self.opened = 0  # how many there were
        self.sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep

    def __repr__(self) -> str:
        return (
            f"<Reconnecting {self._socket!r}, the {self.opened}th>"
            if self._socket is not None
            else "<Reconnecting not connected>"
        )

    def __aiter__(self) -> Reconnecting:
        return self

    async def __anext__(self) -> WebSocket:
        if self._busy:
            raise RuntimeError("another task waits for the next WebSocket")
        self._busy = True
        try:
            return await self._next()
        finally:
            self._busy = False

    async def _next(self) -> WebSocket:
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()
            if not self._opener.closed:
                lasted = socket.connection.ended_at - self._since
                delay = self._delay(_ended(socket), lasted >= self._policy.stable)
                await self._opener.pauses.wait(self, self.sleep(delay))
        while not (self._opener.closed and self.opened):
            try:
                socket = await self._opener.connect()
            except WirebirdError as error:
                if self._opener.closed and self.opened:
                    break
                if not self.opened and not self._policy.at_first:
                    raise
                delay = self._delay(error, False)
            else:
                self.opened += 1
                self._since = socket.connection.heard_at
                self._socket = socket
                return socket
            await self._opener.pauses.wait(self, self.sleep(delay))
        raise StopAsyncIteration

    def _delay(self, outcome: WirebirdError, succeeded: bool) -> float:
        """Seconds to wait before the next connection.  Raises `outcome` if there is none."""
        self._fruitless = 1 if succeeded else self._fruitless + 1
        came: Outcome = outcome
        if isinstance(outcome, StatusError):
            came = (outcome.response.status_code, outcome.response.headers.get_list("retry-after"))
        delay = self._policy.delay(self._fruitless, came, random.random(), time())
        if delay is None:
            if self._fruitless > 1:
                outcome.add_note(f"this was connection {self._fruitless} in a row that came to nothing")
            raise outcome
        return delay

    async def aclose(self) -> None:
        """Close the WebSocket in use, with 1000."""
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    def __del__(self) -> None:
        socket = getattr(self, "_socket", None)
        if socket is not None and not socket.connection.loop.is_closed():
            socket.connection.part(1000)


def _ended(socket: WebSocket) -> WirebirdError:
    """What it comes to if this was the last one."""
    failure = socket.connection.failure
    if failure is not None:
        return ConnectionLost(failure.message, peer=socket.peer, phase=failure.phase)
    return ConnectionLost(f"the WebSocket was closed with {socket.close_code}", peer=socket.peer)
