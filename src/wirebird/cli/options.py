"""Options that commands have in common."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any, Final, TypeVar

import click

__all__ = [
    "APP_DIR",
    "HOST",
    "LIFESPAN",
    "LOG_LEVEL",
    "LOOP",
    "PORT",
    "ROOT_PATH",
    "SECONDS",
    "SSL_CERT",
    "SSL_KEY",
    "TARGET",
    "Option",
    "access_log",
    "file_type",
    "folder_type",
    "takes",
]

_F = TypeVar("_F", bound=Callable[..., Any])

Option = Callable[[Any], Any]
"""What `click.option` gives."""


class _Seconds(click.FloatRange):
    """A number of seconds that comes to an end."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number: float = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value} is no number of seconds.", param, ctx)
        return number


SECONDS: Final = _Seconds(min=0)

file_type: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
folder_type: Final = click.Path(exists=True, file_okay=False, path_type=Path)

TARGET: Final = click.argument("target", default=".")
HOST: Final = click.option("--host", multiple=True, help="Where to listen; may be repeated.  [default: 127.0.0.1]")
PORT: Final = click.option(
    "--port", type=click.IntRange(0, 65535), help="0 for any that is free.  [default: 8080, or 8443 with TLS]"
)
SSL_CERT: Final = click.option("--ssl-cert", type=file_type, help="A certificate chain, PEM.")
SSL_KEY: Final = click.option("--ssl-key", type=file_type, help="Its key, if not in the same file.")
ROOT_PATH: Final = click.option("--root-path", default="", metavar="PATH", help="Where an ASGI application is mounted.")
LIFESPAN: Final = click.option(
    "--lifespan", type=click.Choice(["auto", "on", "off"]), default="auto", show_default=True, help="Of an ASGI application."
)
LOOP: Final = click.option(
    "--loop", type=click.Choice(["auto", "asyncio", "uvloop"]), default="auto", show_default=True, help="The event loop."
)
APP_DIR: Final = click.option("--app-dir", type=folder_type, help="Where to look for the application.")
LOG_LEVEL: Final = click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)


def access_log(default: str) -> Option:
    """The option for the format of an `AccessLog`."""
    return click.option(
        "--access-log",
        type=click.Choice(["short", "common", "combined", "json", "off"]),
        default=default,
        show_default=True,
        help="A line for each request, on standard output.",
    )


def takes(*options: Option) -> Callable[[_F], _F]:
    """Have a command take these, in this order."""

    def add(function: _F) -> _F:
        for option in reversed(options):
            function = option(function)
        return function

    return add
