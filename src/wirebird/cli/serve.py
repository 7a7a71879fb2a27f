"""`wirebird serve`: an application, or a folder, until a signal comes."""

from __future__ import annotations

import sys
from typing import Any

import click

from . import options as common
from .launch import complain, read_launch, start_logging
from .loading import Interrupted, LoadError, load, own_traceback, read_target, report

__all__ = ["command"]


@click.command("serve")
@common.takes(
    common.TARGET,
    common.HOST,
    common.PORT,
    click.option("--uds", metavar="PATH", help="Listen on a Unix socket in place of a port."),
    click.option("--fd", type=click.IntRange(0), help="Listen on a socket that this process was given."),
    common.SSL_CERT,
    common.SSL_KEY,
    click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="How many processes serve."),
    click.option("--reload", is_flag=True, help="Start anew when a file of the application changes (see also: wirebird dev)."),
    common.access_log("off"),
    click.option(
        "--forwarded-allow",
        multiple=True,
        metavar="NETWORK",
        help="A proxy whose word about clients is taken; may be repeated.",
    ),
    click.option(
        "--forwarded-fields",
        type=click.Choice(["x-forwarded", "forwarded"]),
        default="x-forwarded",
        show_default=True,
        help="Which fields the proxy sets.",
    ),
    common.ROOT_PATH,
    common.LIFESPAN,
    common.LOOP,
    click.option(
        "--keepalive-timeout",
        type=common.SECONDS,
        default=75.0,
        show_default=True,
        help="Of a connection between requests, seconds.",
    ),
    click.option(
        "--shutdown-timeout", type=common.SECONDS, default=30.0, show_default=True, help="Of requests under way, seconds."
    ),
    click.option("--no-listing", is_flag=True, help="Do not show what is in a folder."),
    common.APP_DIR,
    common.LOG_LEVEL,
)
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
    except Interrupted:
        return 0
    except LoadError as error:
        report(error)
        return 1
    except Exception as error:
        print(own_traceback(error), file=sys.stderr, end="")
        complain(f"{target} did not start: {type(error).__name__}: {error}")
        return 1
