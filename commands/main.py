"""The console command `novosky` and the way every script runs its command.

The commands are the files beside this one: `walk_forward.py` is `novosky walk-forward`. The first line of a file is
its line of help, and the one click command in it that belongs to no group is what runs. There is no list to keep.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import click

from commands.shared.presentation import HELP, nearest, presentable
from commands.shared.streams import escape_what_cannot_be_shown, shown_error
from novosky.errors import NovoskyError, StorageError
from novosky.installation import as_installed


def commands_in(folder: Path) -> dict[str, str]:
    """Return the commands of a folder with their line of help, without importing any.

    Parameters
    ----------
    folder : Path
        Every file in it is a command, but `__init__.py` and `main.py`; folders are what commands share.

    Examples
    --------
    >>> commands_in(Path("commands"))["walk-forward"]
    'Train and trade fold after fold, out of sample.'
    """
    return {
        file.stem.replace("_", "-"): _first_line(file)
        for file in sorted(folder.glob("*.py"))
        if file.stem not in ("__init__", "main")
    }


def _first_line(file: Path) -> str:
    # Parsing whole files would cost `novosky --help` more than everything else it does.
    with file.open(encoding="utf-8") as stream:
        return stream.readline().strip().strip('"')


COMMANDS: Mapping[str, str] = commands_in(Path(__file__).parent)
"""Every command's name and its line of help."""


def command_of(name: str) -> click.Command:
    """Import a command's file and return the command in it that belongs to no group."""
    module = importlib.import_module(f"commands.{name.replace('-', '_')}")
    defined = [
        value
        for value in vars(module).values()
        if isinstance(value, click.Command)
        and value.callback is not None
        # What a file takes from another one to call it is not its own.
        and value.callback.__module__ == module.__name__
    ]
    inside = [child for group in defined if isinstance(group, click.Group) for child in group.commands.values()]
    (command,) = [value for value in defined if value not in inside]
    return command


INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the command names in alphabetical order."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command, or None when the name is unknown."""
        if cmd_name not in COMMANDS:
            return None
        return presentable(command_of(cmd_name), f"novosky {cmd_name}")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is refused with the names that come near."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"there is no command {args[0]!r}; {nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their lines of help, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])


@click.command(cls=LazyGroup, context_settings=HELP)
@click.version_option(package_name="novosky")
def cli() -> None:
    """NOVOSKY: a machine-learning trading toolkit for MetaTrader 5."""


def run(command: click.Command) -> NoReturn:
    """Run a click command as a program: expected errors become one message and their exit code.

    Exit codes are listed in `novosky.errors`; click's own usage errors exit 2, Ctrl-C 130.
    Anything unexpected keeps its traceback and exits 1. When the reader of the output goes
    away (head, less), click and rich end the run with 1, without words: what would have
    followed was not done.
    """
    escape_what_cannot_be_shown()
    try:
        presentable(command, None).main(standalone_mode=False, **HELP)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except NovoskyError as error:
        click.echo(f"error: {shown_error(as_installed(str(error)))}", err=True)
        sys.exit(error.exit_code)
    except Exception as error:
        if _interrupted(error):
            click.echo("interrupted", err=True)
            sys.exit(INTERRUPTED)
        if not isinstance(error, OSError):
            raise
        if error.filename is None and error.errno is None:
            raise
        storage = StorageError(
            f"{error.filename or 'a file'}: {error.strerror}; check that the disk has room and is writable"
        )
        click.echo(f"error: {storage}", err=True)
        sys.exit(storage.exit_code)
    sys.exit(0)


def _interrupted(error: BaseException | None) -> bool:
    """Tell whether an exception is what became of Ctrl-C: extension modules wrap it when it meets them at work."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def main() -> NoReturn:
    """Entry point of the console command."""
    run(cli)


if __name__ == "__main__":
    main()
