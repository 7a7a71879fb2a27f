"""An application that is made once the loop runs, as the things that it holds may need one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .exchange import Exchange
    from .server import Served, Server

__all__ = ["LateApp"]


class LateApp:
    """Stands for what `make` makes until the server starts, and then gives it its place."""

    def __init__(self, make: Callable[[], Awaitable[Served]]) -> None:
        self._make = make

    async def startup(self, server: Server) -> None:
        """Make it, and start it.  Raises what either raises."""
        made = await self._make()
        server.app, server.serve = made, made.serve
        await made.startup(server)

    def serve(self, exchange: Exchange) -> Coroutine[Any, Any, None]:
        """Nothing is served before the start."""
        raise RuntimeError("the application was not made yet")

    async def shutdown(self, grace: float) -> None:
        """There is nothing to end."""
