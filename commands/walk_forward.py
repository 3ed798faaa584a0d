"""Train and trade fold after fold, out of sample."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from commands.shared.options import FILE, FOLDER, SEED, UtcDate, account_options, data_option
from commands.shared.provenance import provenance

if TYPE_CHECKING:
    from backtest.walk_forward.folds import FoldOutcome, Leg
    from backtest.walk_forward.pooled import Pooled
    from backtest.walk_forward.report import WalkForward
    from backtest.walk_forward.run import WalkPlan

EPILOG = """\b
Examples:
  python scripts/walk_forward.py --data data/BTCUSD_M15.parquet --trials 1
  python scripts/walk_forward.py --start 2021-07-01 --end 2024-07-01 --folds 10 --jobs 2 --json walk.json
  python scripts/walk_forward.py --balance 500 --no-swap --leverage 500 --spread 16.95 --trials 40

A killed run goes on where it was: finished folds are kept in --cache, by a hash of bars,
settings, seed and code. The cache can be deleted at any time.
"""


@click.command(epilog=EPILOG)
@data_option()
@click.option("--start", type=UtcDate(), default="2021-07-01", show_default=True, help="First traded bar's open, UTC.")
@click.option("--end", type=UtcDate(), default="2024-07-01", show_default=True, help="End, UTC, exclusive.")
@click.option("--folds", type=click.IntRange(1, 200), default=10, show_default=True, help="Folds to cut the time into.")
@click.option(
    "--train-days", type=click.IntRange(1, 36_500), default=730, show_default=True, help="Training before each fold."
)
@click.option("--calendar", type=FILE, help="News calendar (Parquet); without it no event is ever near.")
@click.option("--ml-config", type=FILE, default=Path("ml_config.json"), show_default=True, help="Model settings.")
@click.option("--config", type=FILE, default=Path("config.json"), show_default=True, help="Runtime settings.")
@account_options
@click.option(
    "--quantile",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    help="Share of its training predictions that the yardstick does not trade.",
)
@click.option("--signal-only", is_flag=True, help="Leave position, SLTP and risk models out; about half the time.")
@click.option("--random-runs", type=click.IntRange(min=1), default=200, show_default=True, help="Random-entry runs.")
@click.option(
    "--trials", type=click.IntRange(min=1), default=1, show_default=True, help="Configurations ever tried on this data."
)
@click.option(
    "--trial-variance",
    type=click.FloatRange(min=0),
    help="Variance of their daily Sharpe ratios; without it that of worthless trials.",
)
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Folds that run at once.")
@click.option(
    "--cache", type=FOLDER, default=Path("reports/walk_forward"), show_default=True, help="Folder of finished folds."
)
@click.option("--json", "json_file", type=FILE, help="Write every number as JSON.")
@click.option("--report", type=FILE, default=Path("reports/walk_forward.html"), show_default=True, help="HTML report.")
@click.option("--seed", type=SEED, default=7, show_default=True, help="Seed of models and benchmarks.")
def walk_forward(
    data: Path,
    start: datetime,
    end: datetime,
    folds: int,
    train_days: int,
    calendar: Path | None,
    ml_config: Path,
    config: Path,
    quantile: float,
    signal_only: bool,
    random_runs: int,
    trials: int,
    trial_variance: float | None,
    jobs: int,
    cache: Path,
    json_file: Path | None,
    report: Path,
    seed: int,
    **flags: Any,
) -> None:
    """Train on the past, trade what follows, and pool the folds: the honest measure of a configuration.

    Each fold trains all four models on the --train-days before it, less the embargo, and
    trades fresh accounts on bars they have never seen: with the signal models alone, with
    each of the others switched on beside them, and with all four, whatever the settings
    switch on. Beside the signal models, under the same costs and bracket: two plain
    regressions (the yardstick), random entries, and buy and hold.
    """
    import pandas as pd

    from backtest.walk_forward.folds import fold_windows
    from backtest.walk_forward.report import walk_dict, walk_html
    from backtest.walk_forward.run import WalkPlan
    from backtest.walk_forward.run import walk_forward as walk_folds
    from engine.inputs.bar_spreads import bar_spreads
    from novosky.data.market_bars import load_market_bars
    from novosky.errors import UsageError
    from novosky.files import write_json, write_text
    from novosky.market.news import load_calendar
    from novosky.settings import load_ml_settings, load_settings
    from novosky.settings.overrides import AccountFlags, apply_flags

    if end <= start:
        raise UsageError(f"--end {end:%Y-%m-%dT%H:%M} is not after --start {start:%Y-%m-%dT%H:%M}")
    settings = apply_flags(load_settings(config), AccountFlags(**flags))
    ml_settings = load_ml_settings(ml_config)
    plan = WalkPlan(
        history=load_market_bars(data, settings),
        settings=settings,
        ml_settings=ml_settings,
        news=load_calendar(calendar) if calendar else None,
        seed=seed,
        quantile=quantile,
        random_runs=random_runs,
        fixed_spread=flags["spread"] is not None,
        all_models=not signal_only,
    )
    # Costs of another symbol end the run before its folds are trained, not after.
    bar_spreads(plan.history, settings, fixed=plan.fixed_spread)
    embargo = ml_settings.signal_model.embargo_bars
    windows = fold_windows(pd.Timestamp(start), pd.Timestamp(end), folds, train_days, embargo, settings.frame)
    with _FoldProgress(len(windows)) as progress:
        outcomes = walk_folds(plan, windows, cache, jobs=jobs, done=progress.show)
    stated = click.get_current_context().get_parameter_source("trials") is not ParameterSource.DEFAULT
    finished = pool_all(plan, outcomes, trials, trial_variance, stated, data.name)
    print_walk(finished)
    if json_file is not None:
        write_json(json_file, walk_dict(finished) | provenance(settings).as_dict())
    write_text(report, walk_html(finished, provenance(settings)))
    click.echo(f"report: {report}")


def pool_all(
    plan: WalkPlan,
    outcomes: list[FoldOutcome],
    trials: int,
    trial_variance: float | None,
    trials_stated: bool,
    source: str,
) -> WalkForward:
    """Pool every way of trading over the folds and note under which assumptions."""
    from backtest.walk_forward.pooled import pool, pool_random
    from backtest.walk_forward.report import WalkForward
    from engine.inputs.bar_spreads import bar_spreads

    def pooled(legs: list[Leg]) -> Pooled:
        return pool(outcomes, legs, seed=plan.seed, trials=trials, trial_sharpe_variance=trial_variance)

    synthetic = plan.history.attrs.get("synthetic")
    return WalkForward(
        outcomes=tuple(outcomes),
        signal=pooled([outcome.signal for outcome in outcomes]),
        yardstick=pooled([outcome.yardstick for outcome in outcomes]),
        hold=pooled([outcome.hold for outcome in outcomes]),
        random_entry=pool_random(outcomes),
        variants={name: pooled([outcome.variants[name] for outcome in outcomes]) for name in outcomes[0].variants},
        trials=trials,
        trials_stated=trials_stated,
        labels=(
            *(() if synthetic is None else (f"SYNTHETIC DATA ({synthetic} market)",)),
            *bar_spreads(plan.history, plan.settings, fixed=plan.fixed_spread).remarks,
        ),
        assumptions=_assumptions(plan, source),
    )


def _ranges(plan: WalkPlan) -> str:
    from novosky.settings.brackets import bracket_ranges

    stops, targets = ("{:g} to {:g}".format(*limits) for limits in bracket_ranges(plan.settings, plan.ml_settings))
    return f"{stops} ATR" if stops == targets else f"stops {stops}, targets {targets} ATR"


def _assumptions(plan: WalkPlan, source: str) -> tuple[tuple[str, str], ...]:
    costs, model, levels = plan.settings.costs, plan.settings.costs.model, plan.settings.risk_management
    own = "spread" in plan.history.columns and not plan.fixed_spread
    return (
        ("bars", source),
        ("spread", "of the bars" if own else f"{costs.spread} USD"),
        (model.fees.name.lower(), model.fees.text),
        ("slippage", f"{costs.slippage} USD"),
        (model.carry.name.lower(), model.carry.text),
        ("stop and target", f"{levels.sl_atr_mult} and {levels.tp_atr_mult} ATR"),
        ("SLTP range", _ranges(plan)),
        ("balance", f"{plan.settings.risk_profile.starting_balance_usd} USD, fresh in every fold"),
        ("leverage", str(plan.settings.account.leverage)),
        ("embargo", f"{plan.ml_settings.signal_model.embargo_bars} bars"),
        ("yardstick", f"enters above the {plan.quantile} quantile of its training predictions"),
        ("seed", str(plan.seed)),
    )


class _FoldProgress:
    """A bar on stderr and a line per finished fold; standard output carries the result alone."""

    def __init__(self, folds: int) -> None:
        self._folds = folds

    def __enter__(self) -> _FoldProgress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("walking forward"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task("", total=self._folds)
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, outcome: FoldOutcome, known: bool) -> None:
        """Show a finished fold."""
        from backtest.walk_forward.report import day

        window = outcome.window
        how = "found in the cache" if known else f"trained on {outcome.train_rows:,} rows"
        self._bar.console.print(
            f"fold {window.number}: {day(window.test_start)} to {day(window.test_end)}, {how}", highlight=False
        )
        self._bar.advance(self._task)


def print_walk(walk: WalkForward) -> None:
    """Print both tables and the notes."""
    from backtest.walk_forward.report import FOLD_COLUMNS, POOLED_COLUMNS, fold_rows, notes, pooled_rows, window_rows
    from commands.shared.tables import print_table

    print_table("fold windows, UTC", FOLD_COLUMNS[:3], window_rows(walk.outcomes), left=3)
    rows = [(row[0], *row[3:]) for row in fold_rows(walk.outcomes, repeat=True)]
    print_table("folds", (FOLD_COLUMNS[0], *FOLD_COLUMNS[3:]), rows, names=2, left=2)
    print_table("all folds together", POOLED_COLUMNS, pooled_rows(walk))
    for note in notes(walk):
        click.echo(note)
