"""Programs for `aiohttp.web`, run by wirebird's façade and by aiohttp itself, and asked by a client that is neither's.

Every test runs twice, so that the one run says whether the test is right, and the other whether the façade is.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aiohttp_seed import LIBRARIES
from origin import run
from program_origin import PROGRAMS
from wirebird import HTTPClient

__all__ = ["Served", "seed"]

IMPORT_LINE = "from wirebird.compat.aiohttp import web\n"


class Served:
    """One library: `aiohttp` is its module, `web` its server, `origin` where that is when it runs."""

    origin = ""

    def __init__(self, name: str) -> None:
        self.name = name
        self.aiohttp: Any = importlib.import_module(LIBRARIES[name])
        self.web: Any = importlib.import_module(f"{LIBRARIES[name]}.web")

    def text(self, name: str) -> str:
        text = (PROGRAMS / "aiohttp" / f"{name}.py").read_text("utf-8")
        return text if self.name == "wirebird" else text.replace(IMPORT_LINE, "from aiohttp import web\n")

    def run(self, name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Run a whole program, as `python name.py` would, up to `run_app`: the application that it is given."""
        given: list[Any] = []
        monkeypatch.setattr(self.web, "run_app", given.append)
        exec(compile(self.text(name), f"{name}.py", "exec"), {"__name__": "__main__"})
        (app,) = given
        return app

    def type(self, name: str, **names: Any) -> dict[str, Any]:
        """Type in what is a part of a program, with the `names` that it takes for granted; gives its names."""
        names = {"web": self.web, **names}
        exec(compile(self.text(name), f"{name}.py", "exec"), names)
        return names

    @asynccontextmanager
    async def serve(self, app: Any, **options: Any) -> AsyncIterator[HTTPClient]:
        """Serve an application; a client whose URLs are its paths."""
        asyncio.get_running_loop().set_debug(False)  # which shows tracebacks to clients
        runner = self.web.AppRunner(app, **options)
        await runner.setup()
        try:
            site = self.web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
            async with HTTPClient(base_url=f"{self.origin}/") as client:
                yield client
        finally:
            await runner.cleanup()

    def ask(self, app: Any, use: Callable[[HTTPClient], Awaitable[Any]], **options: Any) -> Any:
        """What `use(client)` gives, while the application is served."""

        async def main() -> Any:
            async with self.serve(app, **options) as client:
                return await use(client)

        return run(main)


@pytest.fixture(params=list(LIBRARIES))
def seed(request: pytest.FixtureRequest) -> Served:
    """The server, by the façade and by aiohttp itself."""
    if request.param == "aiohttp":
        pytest.importorskip("aiohttp")
    return Served(request.param)
