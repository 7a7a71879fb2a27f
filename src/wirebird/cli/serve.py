"""`wirebird serve`: an application, or a folder, until a signal comes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click

from .launch import LOG_LEVELS, complain, read_launch, start_logging
from .loading import LoadError, load, own_traceback, read_target, report

__all__ = ["command"]

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
