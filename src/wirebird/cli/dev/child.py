"""The child of a development server: `python -m wirebird.cli.dev.child OPTIONS`, started by `supervisor.py`, serves."""

from __future__ import annotations

import asyncio
import json
import signal
import socket as _socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ...server.exchange import Exchange
from ...server.runner import run
from ...server.server import Served, Server
from ...web.failures import Failure
from ..launch import Launch, loop_factory, read_launch, start_logging
from ..loading import LoadError, Target, load, report
from .app import PREFIX, DevApp
from .failures import failures_of
from .guard import Guard

__all__ = ["main"]

# How long connections on which nothing is being answered are waited for at the end, seconds.
_SILENT: Final = 0.2


def main(arguments: list[str]) -> None:
    """Serve as `arguments` say, one JSON object: see `Child`."""
    options = json.loads(arguments[0])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from a terminal it goes to both, and the parent tells
    launch = read_launch(options["serve"])
    start_logging(options["serve"]["log_level"], bool(launch.access_log))
    target = Target(Path(options["target"][0]), *options["target"][1:])
    control = _socket.socket(fileno=options["control"])
    control.setblocking(False)
    process = DevProcess(options, target, launch, control)
    with asyncio.Runner(loop_factory=loop_factory(launch.loop)) as runner:
        runner.run(process.serve([_socket.socket(fileno=fd) for fd in options["fds"]]))


class DevProcess:
    """What a child does."""

    def __init__(self, options: dict[str, Any], target: Target, launch: Launch, control: _socket.socket) -> None:
        self._options = options
        self._target = target
        self._launch = launch
        self._control = control
        self._heard = b""
        self._app: DevApp | None = None
        self._server: Server
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, socks: list[_socket.socket]) -> None:
        """Serve until the parent says so, or is gone."""
        served = await (self._plain() if self._options["plain"] else self._wrapped())
        self._server = Server(served, self._launch.settings, on_done=self._observer())
        await run(
            self._server,
            [(sock, self._launch.context) for sock in socks],
            grace=self._launch.shutdown_timeout,
            stop=self._listen,
            begun=lambda: self._say({"ready": True, "broken": self._app is not None and bool(self._app.broken)}),
        )

    def _observer(self) -> Callable[[Exchange], None] | None:
        """The access log, without the requests of our own pages."""
        log = self._launch.observer()
        if log is None or self._options["plain"]:
            return log
        return lambda exchange: None if exchange.head.target.startswith(PREFIX.encode()) else log(exchange)

    async def _plain(self) -> Served:
        """The application as it is; without one there is nothing to do but to wait for a change."""
        try:
            return await self._load()
        except LoadError as error:
            report(error)
            raise SystemExit(1) from None

    async def _load(self) -> Served:
        return await load(self._target, self._options["serve"])

    async def _wrapped(self) -> Served:
        """The application with what belongs around it; without one, the reason."""
        guard = Guard([*self._options["allow_host"], *self._options["serve"]["host"]])
        folders = {prefix: Path(path) for prefix, path in self._options["folders"].items()}
        crashed = self._options["crashed"]
        if crashed:
            self._app = DevApp(None, broken=[Failure("No process", crashed, "", [])], guard=guard, folders=folders)
            return self._app
        try:
            served = await self._load()
        except LoadError as error:
            report(error)
            if error.__cause__ is not None:
                broken = failures_of(error.__cause__)
            else:
                broken = [Failure("There is nothing to serve", str(error), "", [])]
            self._app = DevApp(None, broken=broken, guard=guard, folders=folders)
        else:
            self._app = DevApp(served, getattr(served, "application", served), guard=guard, folders=folders)
        return self._app

    # -- the parent ----------------------------------------------------------------------------------------------------

    def _listen(self, end: Callable[[bool], None]) -> None:
        loop = asyncio.get_running_loop()

        def stop() -> None:
            end(False)
            loop.call_later(_SILENT, hurry)

        def hurry() -> None:
            """Nobody is waiting for an answer: those who only keep a connection open are not waited for."""
            if not any(connection.exchange is not None for connection in self._server.connections):
                end(True)

        def heard() -> None:
            try:
                data = self._control.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:  # the parent is gone
                loop.remove_reader(self._control)
                stop()
                return
            *lines, self._heard = (self._heard + data).split(b"\n")
            for line in lines:
                message = json.loads(line)
                if message.get("end"):
                    stop()
                elif self._app is not None:
                    task = loop.create_task(self._app.live.tell(message))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)

        loop.add_signal_handler(signal.SIGTERM, stop)
        loop.add_reader(self._control, heard)

    def _say(self, message: dict[str, Any]) -> None:
        try:
            self._control.send(json.dumps(message).encode() + b"\n")
        except OSError:
            pass  # the parent is gone, which is heard elsewhere


if __name__ == "__main__":
    main(sys.argv[1:])
