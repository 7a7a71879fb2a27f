"""`wirebird dev`: serve an application while it is being written."""

from __future__ import annotations

import asyncio
import re
import socket as _socket
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import click

from ...web.runner import name_of
from .. import options as common
from ..launch import Launch, complain, read_launch
from ..loading import LoadError, Target, read_target
from ..places import describe_failure
from .app import PREFIX
from .supervisor import Supervisor, missing_watcher

__all__ = ["command", "supervise"]

# What `wirebird serve` can be told and this cannot.
_DEFAULTS: dict[str, Any] = {
    "uds": None,
    "fd": None,
    "workers": 1,
    "forwarded_allow": (),
    "forwarded_fields": "x-forwarded",
    "keepalive_timeout": 75.0,
    "no_listing": False,
}


@click.command("dev")
@common.takes(
    common.TARGET,
    common.HOST,
    common.PORT,
    common.SSL_CERT,
    common.SSL_KEY,
    click.option(
        "--allow-host", multiple=True, metavar="NAME", help="A name, besides localhost, that is answered; may be repeated."
    ),
    click.option(
        "--static",
        multiple=True,
        metavar="PREFIX=FOLDER",
        help="Serve a folder as well, as another server may do in production; may be repeated.",
    ),
    click.option(
        "--watch", multiple=True, type=common.folder_type, help="A folder to watch besides the application's; may be repeated."
    ),
    click.option("--ignore", multiple=True, type=click.Path(path_type=Path), help="A path not to watch; may be repeated."),
    click.option("--also", multiple=True, metavar="SUFFIX", help="Files that the application reads, as .json; may be repeated."),
    common.access_log("short"),
    common.ROOT_PATH,
    common.LIFESPAN,
    common.LOOP,
    common.APP_DIR,
    common.LOG_LEVEL,
)
def command(**options: Any) -> int:
    """Serve TARGET, and start it anew whenever its code changes; pages that are open in a browser follow.

    TARGET is what `wirebird serve` takes.  Exceptions become pages with the code and local variables around them, and
    /__wirebird__/ shows the last requests and the routes; both to browsers on this machine alone.
    """
    try:
        target = read_target(options["target"], options["app_dir"])
    except LoadError as error:
        complain(str(error))
        return 2
    return supervise(target, {**_DEFAULTS, "shutdown_timeout": 1.0, **options}, plain=False)


def supervise(target: Target, options: dict[str, Any], *, plain: bool) -> int:
    """Serve it by way of a `Supervisor`; `plain` serves the application as it is.  The exit code."""
    if (reason := missing_watcher()) is not None:
        complain(reason)
        return 1
    try:
        launch = read_launch(options)
        read_folders(options.get("static", ()))
    except ValueError as error:
        complain(str(error))
        return 2
    socks: list[_socket.socket] = []
    with ExitStack() as opened:
        for place in launch.places:
            try:
                found = place.bind()
            except OSError as error:
                complain(describe_failure(error, place))
                return 1
            for sock in found:
                opened.callback(place.close, sock)
            socks += found
        return asyncio.run(_supervisor(target, options, launch, socks, plain=plain).run())


def _supervisor(
    target: Target, options: dict[str, Any], launch: Launch, socks: Sequence[_socket.socket], *, plain: bool
) -> Supervisor:
    folders = read_folders(options.get("static", ()))
    watched = [*(path.resolve() for path in options.get("watch", ())), *(Path(path) for path in folders.values())]
    roots = list(dict.fromkeys([target.folder, *watched]))
    told: dict[str, Any] = {
        "plain": plain,
        "target": [str(target.folder), target.module, target.name],
        "folders": folders,
        "allow_host": list(options.get("allow_host", ())),
        "serve": {
            name: str(value) if isinstance(value, Path) else value for name, value in options.items() if name not in _PARENTS
        },
    }
    names = [name_of(sock.getsockname(), launch.scheme) for sock in socks]

    def ready() -> None:
        lines = [f"Running on {', '.join(names)}"]
        if not plain and names[0].startswith("http"):
            lines.append(f"Requests and routes: {names[0]}{PREFIX}")
        if not plain and any(is_open(sock) for sock in socks):
            lines.append("Other machines can reach it; exceptions and requests are shown on this one alone")
        lines.append(f"Watching {', '.join(str(root) for root in roots)}\n(Press CTRL+C to quit)")
        print("\n".join(lines), flush=True)

    return Supervisor(
        socks,
        told,
        roots,
        is_folder=target.is_folder,
        ignore=[path.resolve() for path in options.get("ignore", ())],
        also=[suffix.lower() if suffix.startswith(".") else f".{suffix.lower()}" for suffix in options.get("also", ())],
        say=lambda text: print(f"wirebird: {text}", file=sys.stderr, flush=True),
        ready=ready,
    )


def read_folders(given: Iterable[str]) -> dict[str, str]:
    """The folders of `--static`, by their prefix.  Raises `ValueError` for what is none."""
    folders = {}
    for text in given:
        prefix, equals, path = text.partition("=")
        if not equals or not re.fullmatch(r"(?:/[A-Za-z0-9_][A-Za-z0-9._~-]*)+/?", prefix) or not Path(path).is_dir():
            raise ValueError(f"--static {text}: this is not /prefix=folder")
        folders[prefix.rstrip("/")] = str(Path(path).resolve())
    return folders


def is_open(sock: _socket.socket) -> bool:
    """Whether other machines may reach it."""
    address = sock.getsockname()
    return isinstance(address, tuple) and not ip_address(address[0].partition("%")[0]).is_loopback


_PARENTS = frozenset({"target", "app_dir", "watch", "ignore", "also", "static", "allow_host", "reload"})
