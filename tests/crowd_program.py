"""What `test_server_crowd.py` starts as a process: `python crowd_program.py LOOP`.  / is a text, /ws an echo, /events a stream.

It prints its address as JSON when it is ready.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys

import uvloop

from wirebird import web
from wirebird.server import Place, Server, serve

GRACE = 30.0  # much: a busy machine takes ten times as long as a free one


async def text(request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket


async def events(request: web.Request) -> web.EventStreamResponse:
    stream = web.EventStreamResponse()
    await stream.prepare(request)
    await stream.send("first")
    await asyncio.Event().wait()
    return stream


def new_loop() -> asyncio.AbstractEventLoop:
    """Without asyncio's debug mode, a part of `-X dev`: it looks at the stack with each callback, and warns of slow ones."""
    loop = uvloop.new_event_loop() if sys.argv[1] == "uvloop" else asyncio.new_event_loop()
    loop.set_debug(False)
    return loop


def main() -> int:
    logging.basicConfig(level=logging.WARNING)
    app = web.Application()
    app.add_routes([web.get("/", text), web.get("/ws", echo), web.get("/events", events)])
    return serve(
        lambda: Server(app),
        [Place()],
        grace=GRACE,
        loop_factory=new_loop,
        ready=lambda names: print(json.dumps(names), flush=True),
    )


if __name__ == "__main__":
    raise SystemExit(main())
