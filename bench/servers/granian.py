"""It runs its worker in a process of its own, whose time and memory are counted."""

from __future__ import annotations

from granian import Granian
from granian.constants import Interfaces, Loops

__all__ = ["serve"]


def serve(operation: str, loop: str, port: int) -> None:
    Granian(
        "bench.servers.app:asgi",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        workers=1,
        loop=Loops(loop),
        backlog=2048,
        log_enabled=False,
        websockets=False,
    ).serve()
