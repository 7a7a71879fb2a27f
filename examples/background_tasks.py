"""Tasks that live as long as the application: a context is entered when it starts and left when it ends."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import suppress

from wirebird import web

BEATS = web.AppKey("beats", list[float])
JOBS = web.AppKey("jobs", asyncio.Queue[str])
DONE = web.AppKey("done", list[str])


async def heart(app: web.Application) -> AsyncIterator[None]:
    """Beats ten times a second."""

    async def beat() -> None:
        while True:
            app[BEATS].append(time.monotonic())
            await asyncio.sleep(0.1)

    task = asyncio.create_task(beat())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    print(f"the heart beat {len(app[BEATS])} times")


async def worker(app: web.Application) -> AsyncIterator[None]:
    """Does what requests leave to it, and at the end all that was left."""

    async def work() -> None:
        while True:
            job = await app[JOBS].get()
            app[DONE].append(job.upper())
            app[JOBS].task_done()

    task = asyncio.create_task(work())
    yield
    await app[JOBS].join()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    done = app[DONE]
    print(f"done: {', '.join(done) or 'nothing'}")


async def add_job(request: web.Request) -> web.Response:
    await request.app[JOBS].put(await request.text())
    return web.Response(status=202)


async def status(request: web.Request) -> web.Response:
    return web.json_response({"beats": len(request.app[BEATS]), "done": request.app[DONE]})


app = web.Application()
app[BEATS], app[JOBS], app[DONE] = [], asyncio.Queue(), []
app.cleanup_ctx.extend([heart, worker])
app.add_routes([web.get("/", status), web.post("/jobs", add_job)])

if __name__ == "__main__":
    web.run_app(app, port=int(os.environ.get("PORT", "8080")))
