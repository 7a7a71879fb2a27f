"""How a command serves: where, as whom, for how long."""

from __future__ import annotations

import asyncio
import logging
import ssl as _ssl
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Final

from ..server.access_log import AccessLog
from ..server.late import LateApp
from ..server.runner import Place, serve
from ..server.server import Served, Server
from ..server.settings import Settings
from ..web.run import announce
from ..web.runner import GracefulExit
from .places import describe_failure

__all__ = ["LOG_LEVELS", "Launch", "complain", "loop_factory", "start_logging"]

LOG_LEVELS: Final = ("debug", "info", "warning", "error")


@dataclass(frozen=True)
class Launch:
    """How to serve.

    access_log  the format of an `AccessLog`, "" for none
    loop        "asyncio", "uvloop", or "auto" for the faster one that is there
    """

    places: tuple[Place, ...] = (Place(port=8080),)
    context: _ssl.SSLContext | None = None
    settings: Settings = field(default_factory=Settings)
    access_log: str = ""
    shutdown_timeout: float = 30.0
    workers: int = 1
    loop: str = "auto"

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "http" if self.context is None else "https"

    def run(self, make: Callable[[], Awaitable[Served]]) -> int:
        """Serve what `make` makes, within the loop; the exit code.

        Where nobody can listen, it says why.  Raises what `make` and the start of the application raise.
        """
        started = False

        def made() -> Server:
            nonlocal started
            started = True
            return Server(LateApp(make), self.settings, on_done=self.observer())

        try:
            with suppress(GracefulExit, KeyboardInterrupt):
                return serve(
                    made,
                    self.places,
                    workers=self.workers,
                    grace=self.shutdown_timeout,
                    loop_factory=loop_factory(self.loop),
                    ready=lambda addresses: announce(addresses, self.scheme),
                )
        except OSError as error:
            if started:
                raise
            complain(describe_failure(error, self.places[-1]))
            return 1
        return 0

    def observer(self) -> AccessLog | None:
        """What is told of exchanges."""
        return AccessLog(self.access_log) if self.access_log else None  # type: ignore[arg-type]


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the event loop of that name, None for asyncio's own."""
    if name == "uvloop" or (name == "auto" and sys.platform != "win32" and find_spec("uvloop") is not None):
        import uvloop

        return uvloop.new_event_loop
    return None


def start_logging(level: str, access_log: bool) -> None:
    """Have log records go to standard error, and those of requests to standard output."""
    logging.basicConfig(level=getattr(logging, level.upper()), format="%(levelname)s %(name)s: %(message)s")
    if access_log:
        logger = logging.getLogger("wirebird.access")
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False


def complain(message: str) -> None:
    """Say on standard error what is wrong."""
    print(f"wirebird: {message}", file=sys.stderr, flush=True)
