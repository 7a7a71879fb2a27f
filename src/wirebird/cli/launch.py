"""How a command serves: where, as whom, for how long."""

from __future__ import annotations

import asyncio
import logging
import socket as _socket
import ssl as _ssl
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from ..errors import UsageError
from ..server.access_log import AccessLog
from ..server.forwarded import TrustedProxies
from ..server.late import LateApp
from ..server.runner import Place, serve
from ..server.server import Served, Server
from ..server.settings import Settings
from ..web.run import announce
from ..web.runner import GracefulExit
from .places import describe_failure, make_context

__all__ = ["Launch", "complain", "loop_factory", "read_launch", "start_logging"]


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


def read_launch(options: dict[str, Any]) -> Launch:
    """How to serve, of what was said on the command line.  Raises `ValueError` for what does not go together."""
    hosts, uds, fd = options["host"], options["uds"], options["fd"]
    if (uds is not None) + (fd is not None) + bool(hosts or options["port"] is not None) > 1:
        raise ValueError("--uds, --fd, and --host with --port exclude each other")
    context = make_context(options["ssl_cert"], options["ssl_key"])
    port = options["port"] if options["port"] is not None else 8080 if context is None else 8443
    if fd is not None:
        try:
            places = [Place(sock=_socket.socket(fileno=fd), ssl=context)]
        except OSError as error:
            raise ValueError(f"--fd {fd} is no socket: {error.strerror}") from None
    elif uds is not None:
        places = [Place(path=uds, ssl=context)]
    else:
        places = [Place(host, port, ssl=context) for host in hosts or ("127.0.0.1",)]
    if options["loop"] == "uvloop" and find_spec("uvloop") is None:
        raise ValueError("--loop uvloop: it is not installed: pip install 'wirebird[speed]'")
    return Launch(
        places=tuple(places),
        context=context,
        settings=Settings(keepalive_timeout=options["keepalive_timeout"] or None, proxies=_proxies(options)),
        access_log="" if options["access_log"] == "off" else options["access_log"],
        shutdown_timeout=options["shutdown_timeout"],
        workers=options["workers"],
        loop=options["loop"],
    )


def _proxies(options: dict[str, Any]) -> TrustedProxies | None:
    if not options["forwarded_allow"]:
        return None
    networks = [one.strip(" ") for value in options["forwarded_allow"] for one in value.split(",")]
    try:
        return TrustedProxies(networks, fields=options["forwarded_fields"])
    except UsageError as error:
        raise ValueError(f"--forwarded-allow: {error}") from None


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the event loop of that name, None for asyncio's own."""
    if name == "uvloop" or (name == "auto" and sys.platform != "win32" and find_spec("uvloop") is not None):
        import uvloop

        return uvloop.new_event_loop
    return None


def start_logging(level: str, access_log: bool) -> None:
    """Have log records of this library go to standard error, and those of requests to standard output.

    Others are the application's to configure.
    """
    _direct("wirebird", sys.stderr, getattr(logging, level.upper()), "%(levelname)s %(name)s: %(message)s")
    if access_log:
        _direct("wirebird.access", sys.stdout, logging.INFO, "%(message)s")


def _direct(name: str, stream: Any, level: int, pattern: str) -> None:
    logger = logging.getLogger(name)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(pattern))
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False


def complain(message: str) -> None:
    """Say on standard error what is wrong."""
    print(f"wirebird: {message}", file=sys.stderr, flush=True)
