"""The libraries that are compared: one file each, all with the same methods; `events` and `websocket` only those that can.

Each is used as its documentation recommends for speed: one client for all requests, its limit of connections set to what the
workload asks for, the body always read to the end, the status always looked at.  Time limits are each library's own defaults, but
httpx's.  Policies that wirebird leaves off by default (cookies, redirects, proxies of the environment) are off, where there is a
switch.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from ..phase import Phase
from ..servers import SERVERS

__all__ = [
    "NAMES",
    "PEERS",
    "PURE",
    "WEBSOCKET_PEERS",
    "Contender",
    "Setup",
    "UnexpectedStatus",
    "WebSocket",
    "WrongMessage",
    "load",
]

PEERS = ("aiohttp", "aiosonic", "httpx", "wreq", "pyreqwest")
WEBSOCKET_PEERS = ("websockets", "picows")  # that do nothing else
PURE = "pure"  # wirebird where websockets is not installed, whose masking it uses else
NAMES = ("bare", "wirebird", *PEERS, PURE, *WEBSOCKET_PEERS, *SERVERS)


@dataclass(frozen=True)
class Setup:
    """What a client is built for: `connections` at most, and the PEM file of the `authority` to trust (`None` for plain HTTP)."""

    connections: int
    callers: int
    authority: str | None


class UnexpectedStatus(Exception):
    """The answer was not a 200."""


class WrongMessage(Exception):
    """What came through a WebSocket is not what was expected."""


class WebSocket(Protocol):
    """An open WebSocket without compression."""

    async def echo(self, message: str | bytes, phase: Phase) -> int:
        """Send `message` and wait for one of the same type and length, until the phase is over; return how often."""

    async def receive(self) -> int:
        """Read texts until the server closes; return the number of characters."""

    async def send(self, message: str, count: int) -> None:
        """Send `message` so many times, then wait until the server closes."""


class Contender(Protocol):
    """A client, built inside the running loop."""

    def __init__(self, setup: Setup) -> None: ...

    async def get(self, url: str) -> int:
        """Read the whole body into memory; return its length."""

    async def post_json(self, url: str, value: Any) -> Any:
        """Post `value` as JSON; return the decoded answer."""

    async def stream(self, url: str) -> int:
        """Read the body piece by piece; return the sum of their lengths."""

    async def upload(self, url: str, path: str) -> int:
        """Post the file at `path`; return the value of `received` in the JSON answer."""

    async def events(self, url: str) -> int:
        """Read an event stream to its end; return the number of events, or -1 if the last one is not `[DONE]`."""

    async def websocket(self, url: str) -> WebSocket:
        """Open a WebSocket."""


def load(name: str) -> type[Contender]:
    """The contender called `name`; `ImportError` if its library is not installed."""
    if name == PURE:
        sys.modules["websockets"] = None  # type: ignore[assignment]  # whoever imports it finds that it is not there
    name = "wirebird" if name in ("before", PURE) else name  # the same calls; where they lead is the process's affair
    contender: type[Contender] = import_module(f".{name}", __name__).Client
    return contender
