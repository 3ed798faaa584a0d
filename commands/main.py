"""The console command `novosky` and the way every script runs its command."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

import click

from commands.shared.presentation import HELP, nearest, presentable
from commands.shared.streams import escape_what_cannot_be_shown, shown_error
from novosky.errors import NovoskyError, StorageError
from novosky.installation import as_installed

# name: (module, attribute, one line of help). Modules are imported only when their command runs.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "backtest": ("commands.backtest", "backtest", "Backtest the configuration over history."),
    "bridge": ("commands.bridge", "bridge", "Reach a MetaTrader 5 terminal on another machine."),
    "calendar": ("commands.calendar", "download_calendar", "Collect the weekly news calendar."),
    "compare": ("commands.compare", "compare_configs", "Compare two configurations on the same bars."),
    "config-sync": ("commands.config_sync", "config_sync", "Check that settings, code and models agree."),
    "data": ("commands.data", "download_data", "Import or download bars."),
    "demo": ("commands.demo", "demo", "Train, backtest and paper-trade on the embedded market."),
    "doctor": ("commands.doctor", "doctor", "Check whether this machine is fit to trade."),
    "hub": ("commands.hub", "hub", "Publish and pull models with their settings."),
    "journal": ("commands.journal", "journal", "Look at the journal, or bring it up to its account."),
    "leakage": ("commands.leakage", "leakage_check", "Prove that features never look ahead."),
    "model-report": ("commands.model_report", "model_report", "Report calibration and drift of the models."),
    "models": ("commands.models", "models", "Get a first set of models onto this machine."),
    "monitor": ("commands.monitor", "performance_monitor", "Judge the newest live trades."),
    "optimize-loop": ("commands.shared.optimize_run", "optimize_loop", "Search, retrain, judge; keep or put back."),
    "onboarding": ("commands.onboarding", "onboarding", "Choose a profile and set this machine up."),
    "replay-day": ("commands.replay_day", "replay_day", "Replay a live day and split the difference."),
    "schema": ("commands.schema", "schema", "Write the JSON Schemas of both settings files."),
    "status": ("commands.status", "status", "Show where the bot stands today."),
    "sweep": ("commands.sweep", "sweep", "Sweep configurations inside the profile's ranges."),
    "trade": ("commands.trade", "trade", "Run the bot."),
    "trades": ("commands.trades", "trades", "Show the closed trades of the bot."),
    "train": ("commands.train", "train", "Train the models."),
    "tune": ("commands.tune", "tune", "Search hyperparameters and thresholds."),
    "weekly-optimize": (
        "commands.shared.optimize_run",
        "weekly_optimize",
        "The weekly run: retrain, prove, ship or keep.",
    ),
    "walk-forward": ("commands.walk_forward", "walk_forward", "Train and trade fold after fold, out of sample."),
}

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
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return presentable(command, f"novosky {cmd_name}")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is refused with the names that come near."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"there is no command {args[0]!r}; {nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table above, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][2]) for name in self.list_commands(ctx)])


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
