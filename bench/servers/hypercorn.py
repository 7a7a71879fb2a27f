from __future__ import annotations

import asyncio

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config

from ..loops import new_loop
from .app import asgi

__all__ = ["serve"]


def serve(operation: str, loop: str, port: int) -> None:
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.accesslog = None
    config.errorlog = None
    config.backlog = 2048
    config.keep_alive_max_requests = 1_000_000_000
    with asyncio.Runner(loop_factory=new_loop(loop)) as runner:
        runner.run(hypercorn_serve(asgi, config))  # type: ignore[arg-type]
