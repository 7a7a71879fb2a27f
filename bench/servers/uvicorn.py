from __future__ import annotations

import asyncio
from typing import Any

import httptools  # noqa: F401 - without it uvicorn would parse in Python
import uvicorn

from ..loops import new_loop
from .app import asgi

__all__ = ["serve", "serve_app"]


def serve_app(app: Any, loop: str, port: int) -> None:
    """Serve an ASGI application."""
    config = uvicorn.Config(
        app, "127.0.0.1", port, http="httptools", access_log=False, log_level="warning", lifespan="on", backlog=2048
    )
    with asyncio.Runner(loop_factory=new_loop(loop)) as runner:
        runner.run(uvicorn.Server(config).serve())


def serve(operation: str, loop: str, port: int) -> None:
    serve_app(asgi, loop, port)
