"""`wirebird serve`: an application, or a folder, until a signal comes."""

from __future__ import annotations

import socket as _socket
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import click

from ..errors import UsageError
from ..server.forwarded import TrustedProxies
from ..server.runner import Place
from ..server.server import Served
from ..server.settings import Settings
from .launch import LOG_LEVELS, Launch, complain, start_logging
from .loading import LoadError, Target, find_object, make_served, own_traceback, read_target, report
from .places import make_context

__all__ = ["command", "folder_app", "load", "read_launch"]

_LIFESPANS: Final[dict[str, Any]] = {"auto": "auto", "on": True, "off": False}
_NUMBER: Final = click.FloatRange(min=0)


@click.command("serve")
@click.argument("target", default=".")
@click.option("--host", multiple=True, help="Where to listen; may be repeated.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="0 for any that is free.  [default: 8080, or 8443 with TLS]")
@click.option("--uds", metavar="PATH", help="Listen on a Unix socket in place of a port.")
@click.option("--fd", type=click.IntRange(0), help="Listen on a socket that this process was given.")
@click.option("--ssl-cert", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A certificate chain, PEM.")
@click.option("--ssl-key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its key, if not in the same file.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="How many processes serve.")
@click.option("--reload", is_flag=True, help="Start anew when a file of the application changes (see also: wirebird dev).")
@click.option(
    "--access-log",
    type=click.Choice(["short", "common", "combined", "json", "off"]),
    default="off",
    show_default=True,
    help="A line for each request, on standard output.",
)
@click.option(
    "--forwarded-allow",
    multiple=True,
    metavar="NETWORK",
    help="A proxy whose word about clients is taken; may be repeated.",
)
@click.option(
    "--forwarded-fields",
    type=click.Choice(["x-forwarded", "forwarded"]),
    default="x-forwarded",
    show_default=True,
    help="Which fields the proxy sets.",
)
@click.option("--root-path", default="", metavar="PATH", help="Where an ASGI application is mounted.")
@click.option(
    "--lifespan", type=click.Choice(["auto", "on", "off"]), default="auto", show_default=True, help="Of an ASGI application."
)
@click.option(
    "--loop", type=click.Choice(["auto", "asyncio", "uvloop"]), default="auto", show_default=True, help="The event loop."
)
@click.option(
    "--keepalive-timeout", type=_NUMBER, default=75.0, show_default=True, help="Of a connection between requests, seconds."
)
@click.option("--shutdown-timeout", type=_NUMBER, default=30.0, show_default=True, help="Of requests under way, seconds.")
@click.option("--no-listing", is_flag=True, help="Do not show what is in a folder.")
@click.option(
    "--app-dir", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Where to look for the application."
)
@click.option("--log-level", type=click.Choice(LOG_LEVELS), default="info", show_default=True)
def command(**options: Any) -> int:
    """Serve TARGET until SIGINT or SIGTERM comes.

    TARGET is a folder, module:name or file.py:name.  The name is that of a web.Application, of an ASGI application, or of a
    function that makes one; app, application, create_app and make_app are tried if it is left out.  Without TARGET, this folder
    is served.
    """
    try:
        target = read_target(options["target"], options["app_dir"])
        launch = read_launch(options)
    except (LoadError, ValueError) as error:
        complain(str(error))
        return 2
    if options["reload"]:
        if options["workers"] > 1:
            raise click.UsageError("--reload serves with one process: it excludes --workers")
        from .dev.command import supervise

        return supervise(target, options, plain=True)
    start_logging(options["log_level"], bool(launch.access_log))
    try:
        return launch.run(lambda: load(target, options, in_worker=launch.workers > 1))
    except LoadError as error:
        report(error)
        return 1
    except Exception as error:
        print(own_traceback(error), file=sys.stderr, end="")
        complain(f"{target} did not start: {type(error).__name__}: {error}")
        return 1


async def load(target: Target, options: dict[str, Any], *, in_worker: bool = False) -> Served:
    """Find and make what is to be served.  Raises `LoadError`; `in_worker` says what is wrong, and raises `SystemExit`."""
    try:
        if target.is_folder:
            return folder_app(target.folder, listing=not options["no_listing"])
        found = find_object(target)
        return await make_served(found, target, root_path=options["root_path"], lifespan=_LIFESPANS[options["lifespan"]])
    except LoadError as error:
        if not in_worker:
            raise
        report(error)
        raise SystemExit(1) from None


def folder_app(folder: Path, *, listing: bool) -> Served:
    """An application that serves a folder."""
    from .. import web

    app = web.Application()
    app.add_routes([web.static("/", folder, show_index=listing, index="index.html")])
    return app


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
