"""The same ASGI application on several servers in this loop: ours, uvicorn, hypercorn; and a raw client that reads to the end."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from wirebird.server.asgi import AsgiApp
from wirebird.server.server import Server
from wirebird.server.settings import Settings

__all__ = ["SERVERS", "Serving", "hypercorn", "talk", "uvicorn", "wirebird"]

Serving = Callable[..., Any]


@asynccontextmanager
async def uvicorn(app: Any, *, lifespan: str = "auto", **options: Any) -> AsyncIterator[int]:
    """uvicorn, with httptools and what it takes for WebSockets by itself: its port."""
    import uvicorn

    logging.getLogger("uvicorn").setLevel(logging.CRITICAL + 1)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
    config = uvicorn.Config(
        app,
        port=0,
        http="httptools",
        lifespan=lifespan,
        log_config=None,
        timeout_graceful_shutdown=1,
        **options,  # type: ignore[arg-type]
    )
    server = uvicorn.Server(config)
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            if serving.done():
                raise RuntimeError("uvicorn did not start")
            await asyncio.sleep(0.001)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving
        for one, handler in before.items():
            signal.signal(one, handler)


@asynccontextmanager
async def hypercorn(app: Any, **options: Any) -> AsyncIterator[int]:
    """hypercorn: its port."""
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.errorlog = config.accesslog = None
    config.graceful_timeout = 1.0
    listener = socket.create_server(("127.0.0.1", 0))
    config.bind = [f"fd://{listener.fileno()}"]
    port: int = listener.getsockname()[1]
    enough = asyncio.Event()
    listener.detach()
    serving = asyncio.create_task(serve(app, config, shutdown_trigger=enough.wait))  # type: ignore[arg-type]
    try:
        yield port
    finally:
        enough.set()
        await serving


@asynccontextmanager
async def wirebird(
    app: Any, *, errors: list[BaseException] | None = None, settings: Settings | None = None, **options: Any
) -> AsyncIterator[int]:
    """Ours: its port.  What the application raises goes to `errors`."""
    told = errors if errors is not None else []
    server = Server(AsgiApp(app, **options), settings, on_error=lambda _, error: told.append(error))
    port: int = (await server.listen())[0][1]
    try:
        yield port
    finally:
        await server.close(1.0)


SERVERS = {"uvicorn": uvicorn, "hypercorn": hypercorn, "wirebird": wirebird}


async def talk(port: int, *pieces: bytes | Callable[[asyncio.StreamReader], Awaitable[Any]], timeout: float = 5.0) -> bytes:
    """What comes back for `pieces` until the server closes; a function among them waits for something of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(timeout):
            for piece in pieces:
                if isinstance(piece, bytes):
                    writer.write(piece)
                    await writer.drain()
                else:
                    await piece(reader)
            return await reader.read()
    finally:
        writer.close()
        await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])
