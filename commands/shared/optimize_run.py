"""What the weekly run and the loop share: options, plan, progress."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from commands.shared.options import FOLDER, SEED, UtcDate, account_options, data_option, file_options

if TYPE_CHECKING:
    from novosky.choices import ProfileName
    from optimize.driver import Surroundings
    from optimize.state.resumable import Step
    from optimize.state.run import OptimizeRun, Plan

F = TypeVar("F", bound=Callable[..., Any])

SHARED_EPILOG = """
A run works in a folder of its own below --runs; models, config.json and ml_config.json change
once, together, after the decision. A killed run is taken up by the next start with the same
flags. What must be shown before a new set is used stands in ml_config.json under `decision`.
"""


def run_options(function: F) -> F:
    """Add the options that both programs share."""
    for option in (
        account_options,
        file_options,
        click.option("--until", metavar="STEP", help="Stop after this step; the next start goes on behind it."),
        click.option("--fresh", is_flag=True, help="Give an unfinished run up and begin anew."),
        click.option(
            "--runs", type=FOLDER, default=Path("runs"), show_default=True, help="Folder of the runs' folders."
        ),
        click.option("--seed", type=SEED, default=7, show_default=True, help="Seed of search, sweep and bootstrap."),
        click.option("--storage", metavar="URL", help="Optuna storage; without it a file in the run's folder."),
        click.option("--folds", type=click.IntRange(2, 50), default=4, show_default=True, help="Folds of the search."),
        click.option(
            "--train-months", type=click.IntRange(1, 240), default=24, show_default=True, help="Training window."
        ),
        click.option(
            "--oos-days",
            type=click.IntRange(30, 3_650),
            default=120,
            show_default=True,
            help="Newest days that training and search never see.",
        ),
        click.option("--end", type=UtcDate(), help="End of the judged window, UTC, exclusive.  [newest bar]"),
        click.option("--start", type=UtcDate(), help="Begin of the training window, UTC; instead of --train-months."),
        data_option(),
    ):
        function = option(function)
    return function


def plan_of(
    command: str,
    given: dict[str, Any],
    *,
    profile: ProfileName | None,
    configurations: int,
    drop_threshold: float,
    retrain: bool = True,
    explain: bool = True,
    min_improvement: float | None = None,
    iteration: int = 1,
    commit: bool = False,
    push: bool = False,
    download: bool = False,
) -> Plan:
    """Return the plan of a run from what was given on the command line."""
    from novosky.settings import load_settings
    from novosky.settings.overrides import AccountFlags
    from optimize.state.run import Plan

    return Plan(
        command=command,
        profile=profile or load_settings(given["config"]).risk_profile.name,
        data=str(given["data"]),
        calendar=None if given["calendar"] is None else str(given["calendar"]),
        start=_iso(given["start"]),
        end=_iso(given["end"]),
        oos_days=given["oos_days"],
        train_months=given["train_months"],
        trials=given["trials"],
        folds=given["folds"],
        configurations=configurations,
        drop_threshold=drop_threshold,
        retrain=retrain,
        explain=explain,
        min_improvement=min_improvement,
        iteration=iteration,
        commit=commit,
        push=push,
        allow_dirty=given.get("allow_dirty", False),
        download=download,
        storage=given["storage"],
        scheduler=given.get("scheduler"),
        jobs=given.get("jobs", 1),
        seed=given["seed"],
        account=AccountFlags(**{name: given[name] for name in AccountFlags.__dataclass_fields__}),
    )


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def carry_out(steps: Sequence[Step[OptimizeRun]], plan: Plan, given: dict[str, Any]) -> OptimizeRun | None:
    """Run the steps under a progress display; None when stopped by --until."""
    import signal

    from novosky.errors import UsageError
    from optimize.driver import optimize

    names = [step.name for step in steps]
    until: str | None = given["until"]
    if until is not None and until not in names:
        raise UsageError(f"--until {until}: no such step; the steps are {', '.join(names)}")
    # cron and systemd stop a program this way; it ends like Ctrl-C, and the next start goes on.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _Display(len(names)) as display:
        run = optimize(steps, plan, _surroundings(given, display), fresh=given["fresh"], until=until)
    if until is not None and until != names[-1]:
        click.echo(f"stopped after {until}; the next start goes on behind it")
        return None
    return run


def _surroundings(given: dict[str, Any], display: _Display) -> Surroundings:
    from ml.sets.deployment import Deployment
    from novosky.clock import RealClock
    from novosky.environment import ENV_FILE, read_environment
    from optimize.driver import Surroundings

    return Surroundings(
        live=Deployment(given["models"], given["config"], given["ml_config"]),
        runs=given["runs"],
        now=RealClock().now,
        environment=read_environment(ENV_FILE, os.environ),
        progress=display.progress,
        tell=display.tell,
    )


class _Display:
    """Finished steps as lines on stdout, the one at work as a bar on stderr."""

    def __init__(self, steps: int) -> None:
        self._steps, self._done = steps, 0

    def __enter__(self) -> _Display:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description:<44}"), BarColumn(bar_width=20), TimeElapsedColumn())
        console = Console(stderr=True)
        # In a log of cron a bar would only be empty lines.
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=None)
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def tell(self, title: str, note: str) -> None:
        """Show that a step begins, what came out of it, or what becomes of an earlier run."""
        if note and title.startswith("run-"):
            click.echo(f"{title}: {note}")
        elif note:
            self._done += 1
            click.echo(f"[{self._done:2d}/{self._steps}] {title}: {note}")
        else:
            self._bar.update(self._task, description=title, total=None)

    def progress(self, what: str, done: int, total: int) -> None:
        """Show how far the step at work is."""
        self._bar.update(self._task, description=what, completed=done, total=total or None)
