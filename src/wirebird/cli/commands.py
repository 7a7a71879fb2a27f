"""The commands, each in a module that is imported when it is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

import click

from .._version import VERSION
from ..errors import UsageError

__all__ = ["COMMANDS", "Commands", "run"]

# name: (module, what it does).  The module has the command under `command`.
COMMANDS: Final = {
    "dev": ("dev.command", "Serve an application while it is being written."),
    "serve": ("serve", "Serve an application, or a folder."),
}


class Commands(click.Group):
    """The table of commands, as click wants it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them."""
        if cmd_name not in COMMANDS:
            return None
        found = import_module(f".{COMMANDS[cmd_name][0]}", __package__).command
        return found if isinstance(found, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List them without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, what) for name, (_, what) in sorted(COMMANDS.items())])


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="wirebird COMMAND --help says more.",
)
@click.version_option(VERSION, "-V", "--version", message="wirebird %(version)s")
def wirebird() -> None:
    """The HTTP library for asyncio, on the command line."""


def run(arguments: Sequence[str] | None) -> int:
    """Run one; its exit code.  What went wrong is said on standard error, in a sentence."""
    try:
        code = wirebird.main(None if arguments is None else list(arguments), "wirebird", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.Abort:
        return 130
    except click.ClickException as error:
        error.show(sys.stderr)
        return error.exit_code
    except UsageError as error:
        print(f"wirebird: {error}", file=sys.stderr)
        return 2
    return code if isinstance(code, int) else 0
