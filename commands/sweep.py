"""Sweep configurations inside the profile's ranges."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commands.shared.next_step import say_next, with_files
from commands.shared.options import (
    FILE,
    FOLDER,
    PROFILE,
    UtcDate,
    account_options,
    data_option,
    file_options,
    refuse_collisions,
)
from commands.shared.provenance import provenance

if TYPE_CHECKING:
    import pandas as pd

    from backtest.run import Prepared
    from backtest.sweep.run import SweepOutcome, SweepPlan
    from engine.inputs.models import Models
    from novosky.settings import MlSettings, Settings

EPILOG = """\b
Examples:
  python scripts/sweep.py --target signal --data data/BTCUSD_M15.parquet
  python scripts/sweep.py --target signal --full --profile balanced --jobs 2 --html reports/sweep.html
  python scripts/sweep.py --target pos --full --oos-end 2024-06-01 --json sweep.json
  python scripts/sweep.py --target both --configs 5000 --scheduler tcp://scheduler:8786

Only bars after the models' training cutoff are used, and of those the first 70 % unless they
are fewer than 90 days: test the choice on the bars after them.

A killed sweep goes on where it was: finished rows are kept in --out, by a hash of bars, models,
settings and code. The table is the same, byte for byte, at any --jobs and on a cluster.
"""


@click.command(epilog=EPILOG)
@click.option(
    "--target",
    type=click.Choice(["signal", "pos", "both"]),
    default="signal",
    show_default=True,
    help="Sweep entries (signal), the position model's exit rule (pos), or both on a thinner grid.",
)
@click.option("--full", is_flag=True, help="The whole grid instead of a sample of it.")
@click.option(
    "--configs",
    type=click.IntRange(1, 2_000_000),
    default=2000,
    show_default=True,
    help="Configurations to draw from the grid, the present one included.",
)
@click.option("--profile", type=PROFILE, help="Profile to sweep; without it the one in --config.")
@data_option()
@click.option("--m1", type=FILE, help="M1 bars that decide bars which touch both stop and target.")
@click.option("--start", type=UtcDate(), help="First bar's open, UTC; never before the training cutoff.")
@click.option("--end", type=UtcDate(), help="End of the out-of-sample window, UTC, exclusive.")
@click.option("--oos-end", type=UtcDate(), help="The same as --end.")
@file_options
@account_options
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Processes that work at once; without it one per core.",
    show_default=False,
)
@click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler whose workers do the work.")
@click.option(
    "--trials",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Configurations tried on this data before.",
)
@click.option(
    "--out",
    type=FOLDER,
    default=Path("reports/sweep"),
    show_default=True,
    help="Folder of finished rows and table.csv.",
)
@click.option("--json", "json_file", type=FILE, help="Write figures, evidence and best settings as JSON.")
@click.option("--html", "html_file", type=FILE, help="Write the table and heatmaps as one HTML page.")
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Seed of the draw.")
def sweep(
    target: Any,
    full: bool,
    configs: int,
    profile: Any,
    data: Path,
    m1: Path | None,
    start: datetime | None,
    end: datetime | None,
    oos_end: datetime | None,
    config: Path,
    ml_config: Path,
    models: Path,
    calendar: Path | None,
    jobs: int | None,
    scheduler: str | None,
    trials: int,
    out: Path,
    json_file: Path | None,
    html_file: Path | None,
    seed: int,
    **flags: Any,
) -> None:
    """Run many configurations over bars the models have not seen and say what the best one is worth.

    The models are asked once; every configuration then runs through the same rules as bot and
    backtest. Confidence, risk, stop and target stay inside the profile's ranges. The best is the
    highest score among those with 30 trades. Nothing is written to the settings.
    """
    from backtest.sweep.report import sweep_csv, sweep_dict, sweep_html
    from backtest.sweep.run import SweepPlan, run_sweep
    from commands.backtest import run_labels
    from novosky.errors import UsageError
    from novosky.files import write_json, write_text
    from novosky.settings import load_ml_settings

    if end is not None and oos_end is not None:
        raise UsageError("--end and --oos-end say the same; give one of them")
    if full and _stated("configs"):
        raise UsageError("--full runs the whole grid and --configs a part of it; give one of them")
    if scheduler is not None and jobs is not None:
        raise UsageError("--scheduler leaves the work to a cluster and --jobs to this machine; give one of them")
    table_file = out / "table.csv"
    refuse_collisions(
        {"--json": json_file, "--html": html_file, "--out": table_file},
        {"--data": data, "--m1": m1, "--config": config, "--ml-config": ml_config, "--calendar": calendar}
        | {"--models": models},
    )
    ml_settings = load_ml_settings(ml_config)
    plan = SweepPlan(
        target=target,
        settings=_settings(config, ml_settings, profile, flags),
        ml_settings=ml_settings,
        configurations=None if full else configs,
        seed=seed,
        earlier_trials=trials,
    )
    history, prepared, served = _prepared(
        plan, data, m1, models, calendar, (start, end or oos_end), fixed_spread=flags["spread"] is not None
    )
    with _SweepProgress() as progress:
        outcome = run_sweep(
            plan,
            prepared,
            served,
            folder=out,
            jobs=jobs or os.cpu_count() or 1,
            scheduler=scheduler,
            labels=run_labels(prepared, plan.settings, history.attrs),
            progress=progress.show,
        )
    write_text(table_file, sweep_csv(outcome))
    if json_file is not None:
        write_json(json_file, sweep_dict(outcome))
    if html_file is not None:
        write_text(html_file, sweep_html(outcome, provenance(plan.settings)))
    print_sweep(outcome)
    click.echo(f"table            {table_file}")
    _say_next(outcome, data, models)


def _say_next(outcome: SweepOutcome, data: Path, models: Path) -> None:
    if outcome.best_row in (None, 0):
        say_next(
            with_files("python scripts/walk_forward.py", data=data),
            "nothing here beats the present settings; this measures them fold after fold",
        )
        return
    unseen = outcome.end.removesuffix(":00Z")
    say_next(
        with_files(f"python backtest_config.py --start {unseen}", data=data, models=models),
        "judges the settings above, once they stand in the settings files, on bars that the sweep has not seen",
    )


def _stated(option: str) -> bool:
    from click.core import ParameterSource

    return click.get_current_context().get_parameter_source(option) is not ParameterSource.DEFAULT


def _settings(config: Path, ml_settings: MlSettings, profile: Any, flags: dict[str, Any]) -> Settings:
    """Return config.json under the profile that is asked for, flags in place."""
    from novosky.settings import Settings, load_settings
    from novosky.settings.overrides import AccountFlags, apply_flags
    from novosky.settings.profile_application import apply_profile
    from novosky.settings.profiles import profile_named

    settings = load_settings(config)
    if profile is not None:
        content = settings.model_dump(mode="json", exclude={"schema_reference"})
        settings = Settings.model_validate(apply_profile(content, profile_named(profile), ml_settings.labeling))
    return apply_flags(settings, AccountFlags(**flags))


def _prepared(
    plan: SweepPlan,
    data: Path,
    m1: Path | None,
    models: Path,
    calendar: Path | None,
    window: tuple[datetime | None, datetime | None],
    *,
    fixed_spread: bool,
) -> tuple[pd.DataFrame, Prepared, Models]:
    """Load bars and models and ask the models about the part of the window that a sweep may see."""
    import pandas as pd

    from backtest.run import prepare
    from backtest.sweep.run import seen_window
    from commands.shared.options import MOST_DAYS
    from ml.load_models import load_models
    from novosky.data.market_bars import load_market_bars
    from novosky.market.news import load_calendar
    from novosky.market.window import choose_window

    history = load_market_bars(data, plan.settings)
    served = load_models(models, plan.settings, plan.ml_settings, selectivity=True)
    times, frame = history["time"], plan.settings.frame
    start, end = choose_window(times, *window, MOST_DAYS, served.signal.train_cutoff, frame)
    assert start is not None and end is not None
    # A share of the bars there are, not of a window that reaches beyond them.
    covered = min(end, times.iloc[-1] + pd.Timedelta(seconds=frame.seconds))
    first, last = seen_window(max(start, times.iloc[0]), covered, frame)
    prepared = prepare(
        history,
        plan.settings,
        plan.ml_settings,
        served.signal,
        start=first,
        end=last,
        news=load_calendar(calendar) if calendar else None,
        m1=load_market_bars(m1, plan.settings, seconds=60) if m1 else None,
        fixed_spread=fixed_spread,
        sltp=served.sltp,
    )
    return history, prepared, served


class _SweepProgress:
    """A bar on stderr; standard output carries the result alone."""

    def __enter__(self) -> _SweepProgress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task("sweep", total=None)
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._bar.stop()
        if kind is KeyboardInterrupt:
            click.echo("the finished rows are kept; run the same command again to go on", err=True)

    def show(self, step: str, done: int, total: int) -> None:
        """Show a step; the shape of `backtest.sweep.Progress`."""
        self._bar.update(self._task, description=step, completed=done, total=total)


def print_sweep(outcome: SweepOutcome) -> None:
    """Print the best rows, the present configuration above them, and the evidence."""
    from backtest.sweep.report import TOP_ROWS, evidence_lines, table_columns, table_row
    from backtest.sweep.run import ranking
    from commands.shared.tables import print_table

    for label in outcome.labels:
        click.echo(label)
    shown = [0, *(row for row in ranking(outcome.table)[:TOP_ROWS].tolist() if row != 0)]
    print_table("best rows", table_columns(outcome), [table_row(outcome, row) for row in shown], left=0)
    for name, text in evidence_lines(outcome):
        click.echo(f"{name:<17}{text}")
    if outcome.best is not None and outcome.best_row != 0:
        for key, value in outcome.best.items():
            click.echo(f"  {key} = {'null' if value is None else value}")
