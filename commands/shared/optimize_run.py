"""`scripts/weekly_optimize.py` and `scripts/optimize_loop.py`: options, progress, and what a person reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from commands.shared.options import FOLDER, PROFILE, SEED, UtcDate, account_options, data_option, file_options

if TYPE_CHECKING:
    from novosky.settings.profiles import ProfileName
    from optimize.driver import Surroundings
    from optimize.state.resumable import Step
    from optimize.state.run import OptimizeRun, Plan

F = TypeVar("F", bound=Callable[..., Any])

SHARED_EPILOG = """
A run works in a folder of its own below --runs; models, config.json and ml_config.json change
once, together, after the decision. A killed run is taken up by the next start with the same
flags. What must be shown before a new set is used stands in ml_config.json under `decision`.
"""
WEEKLY_EPILOG = f"""\b
Examples:
  python scripts/weekly_optimize.py --profile balanced --no-commit --no-push
  python scripts/weekly_optimize.py --profile balanced --no-push --data data/BTCUSD_M15.parquet
  python scripts/weekly_optimize.py --profile conservative --skip-retrain --no-commit --no-push
{SHARED_EPILOG}
Without --data the bars are brought up to date from their venue first. Exit code 0: the run came
to a decision, whichever it is.
"""
LOOP_EPILOG = f"""\b
Examples:
  python scripts/optimize_loop.py --iterations 1 --trials 50 --drop-threshold 0.0
  python scripts/optimize_loop.py --iterations 3 --trials 50 --drop-threshold 0.0
  python scripts/optimize_loop.py --analyze-only
  python scripts/optimize_loop.py --retrain-only
{SHARED_EPILOG}
A low SHAP value in training does not mean that a feature is worthless live: use
--drop-threshold 0.0 to drop none. Protected features are never dropped. With
NOVOSKY_STRICT_CONFIG_SYNC=1 settings that have drifted from code and models stop the run.
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


@click.command(epilog=WEEKLY_EPILOG)
@click.option("--profile", type=PROFILE, help="Optimise for this profile.  [as config.json says]")
@click.option("--skip-retrain", is_flag=True, help="Keep the models; look for better settings only.")
@click.option("--no-commit", is_flag=True, help="Do not commit to git.")
@click.option("--no-push", is_flag=True, help="Do not publish to the hub.")
@click.option("--allow-dirty", is_flag=True, help="Commit even where tracked files have other changes.")
@click.option("--download/--no-download", default=None, help="Bring --data up to date first.  [only without --data]")
@click.option("--trials", type=click.IntRange(min=0), default=20, show_default=True, help="Optuna trials per model.")
@click.option(
    "--configs", type=click.IntRange(min=0), default=2_000, show_default=True, help="Configurations of the sweep."
)
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="Processes of the sweep.")
@click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler that sweeps instead.")
@run_options
@click.pass_context
def weekly_optimize(context: click.Context, /, **given: Any) -> None:
    """Retrain, prove it out of sample, and ship it or leave everything as it was; from cron every Sunday."""
    from optimize.pipeline import WEEKLY
    from optimize.steps.ship import report

    named = context.get_parameter_source("data") == ParameterSource.COMMANDLINE
    plan = _plan(
        "weekly_optimize",
        given,
        profile=given["profile"],
        configurations=given["configs"],
        drop_threshold=0.0,
        retrain=not given["skip_retrain"],
        commit=not given["no_commit"],
        push=not given["no_push"],
        download=not named if given["download"] is None else given["download"],
    )
    run = _carry_out(WEEKLY, plan, given)
    if run is not None:
        click.echo(report(run))


@click.command(epilog=LOOP_EPILOG)
@click.option("--iterations", type=click.IntRange(min=1), default=1, show_default=True, help="Cycles to run.")
@click.option("--trials", type=click.IntRange(min=1), default=50, show_default=True, help="Optuna trials per model.")
@click.option(
    "--drop-threshold",
    type=click.FloatRange(min=0, max=1),
    default=0.003,
    show_default=True,
    help="Drop unprotected features with a smaller share of mean |SHAP|; 0.0 drops none.",
)
@click.option(
    "--improvement-threshold",
    type=click.FloatRange(min=0, max=1),
    default=0.02,
    show_default=True,
    help="Share by which the new score must exceed the old one.",
)
@click.option("--local", is_flag=True, help="Accepted for older scripts; the loop always runs on this machine.")
@click.option("--analyze-only", is_flag=True, help="SHAP and baseline backtest; change nothing.")
@click.option("--retrain-only", is_flag=True, help="Leave SHAP out, go straight to search and training.")
@run_options
def optimize_loop(**given: Any) -> None:
    """SHAP, baseline, Optuna, retraining, out-of-sample backtest; keep the new set or put the old one back."""
    from novosky.errors import UsageError
    from optimize import pipeline
    from optimize.state.run import ANALYSIS
    from optimize.steps.ship import report

    if given["analyze_only"] and given["retrain_only"]:
        raise UsageError("--analyze-only changes nothing and --retrain-only analyses nothing; give one of them")
    iteration, iterations = 1, 1 if given["analyze_only"] else given["iterations"]
    while iteration <= iterations:
        plan = _plan(
            ANALYSIS if given["analyze_only"] else "optimize_loop",
            given,
            profile=None,
            configurations=0,
            drop_threshold=given["drop_threshold"],
            explain=not given["retrain_only"],
            min_improvement=given["improvement_threshold"],
            iteration=iteration,
        )
        run = _carry_out(pipeline.ANALYSIS if given["analyze_only"] else pipeline.ITERATION, plan, given)
        if run is None:
            return
        if given["analyze_only"]:
            _print_ranking(run)
        else:
            click.echo(f"iteration {run.plan.iteration} of {iterations}\n{report(run)}")
        # A killed loop goes on with the iteration it was killed in.
        iteration = run.plan.iteration + 1


def _plan(
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


def _carry_out(steps: Sequence[Step[OptimizeRun]], plan: Plan, given: dict[str, Any]) -> OptimizeRun | None:
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


def _print_ranking(run: OptimizeRun) -> None:
    from optimize.steps.judge import BASELINE, Side, figures
    from optimize.steps.prepare import SHAP

    if run.window.synthetic is not None:
        click.echo(f"SYNTHETIC DATA: {run.window.synthetic} market")
    found = run.read(SHAP)
    for name, share in found["ranked_features"][:10]:
        click.echo(f"{share:6.1%}  {name}")
    if found["dropped"]:
        click.echo(f"below {run.plan.drop_threshold:g} and not protected: {', '.join(found['dropped'])}")
    judged = run.read(BASELINE)
    click.echo("baseline: " + ("no models yet" if judged is None else figures(Side.of(judged))))


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
