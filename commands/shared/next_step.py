"""The line that ends a command: what one would usually run after it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from novosky.installation import as_installed

if TYPE_CHECKING:
    import pandas as pd

UNSEEN_DAYS = 30
"""With fewer days after the training cutoff a backtest of them says nothing yet."""


def say_next(command: str, why: str) -> None:
    """Print what to run next, as it is called here, and why."""
    click.echo(as_installed(f"next    {command}\n        {why}"))


def with_files(command: str, **files: Path) -> str:
    """Return a command with options that name files, such as ``--data``, quoted for a shell.

    Examples
    --------
    >>> with_files("novosky sweep", data=Path("my bars.csv"))
    "novosky sweep --data 'my bars.csv'"
    """
    options = [f"--{name.replace('_', '-')} {shlex.quote(path.as_posix())}" for name, path in files.items()]
    return " ".join([command, *options])


def say_proof(data: Path, models: Path, newest: pd.Timestamp, cutoff: pd.Timestamp) -> None:
    """Say how to prove models whose training knew bars up to `cutoff`: on newer bars, or fold after fold."""
    import pandas as pd

    if newest - cutoff >= pd.Timedelta(days=UNSEEN_DAYS):
        say_next(
            with_files("python backtest_config.py --oos-only", data=data, models=models),
            "trades the bars after the training cutoff, which the models have not seen",
        )
        return
    say_next(
        with_files("python scripts/walk_forward.py", data=data),
        f"{data.name} holds fewer than {UNSEEN_DAYS} days that the models have not seen; this trains on the past and "
        "trades what follows",
    )
