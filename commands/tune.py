"""Search hyperparameters and thresholds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from commands.shared.options import SEED, UtcDate, data_option, file_options

if TYPE_CHECKING:
    import pandas as pd

    from ml.tune.study import SearchOutcome, SearchPlan
    from novosky.market.news import NewsCalendar
    from novosky.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

GROUP_EPILOG = """\b
Examples:
  novosky tune signal --trials 50 --end 2024-01-01
  novosky tune position --trials 50 --dry-run
"""
SHARED_EPILOG = """
The window is what the search may see: test the result out of sample on bars from --end on,
and on no others. The number of trials in the study counts in the deflated Sharpe ratio.

A killed run goes on where it was, trial for trial, as long as bars, features, labels, folds,
costs, library versions and --seed are the same. Several processes may share a study on a
database server; then the trials depend on their timing.
"""
SIGNAL_EPILOG = f"""\b
Examples:
  python ml/tune/hyperparams.py --trials 50
  python ml/tune/hyperparams.py --trials 50 --start 2021-07-01 --end 2024-01-01 --folds 5
  python ml/tune/hyperparams.py --trials 200 --storage postgresql+psycopg://HOST/novosky --dry-run
{SHARED_EPILOG}"""
POSITION_EPILOG = f"""\b
Examples:
  python ml/tune/position.py --trials 50
  python ml/tune/position.py --trials 50 --models models --min-exits 20 --dry-run
{SHARED_EPILOG}"""


def tuning_options(function: F) -> F:
    """Add the options that both searches share."""
    for option in (
        file_options,
        click.option("--dry-run", is_flag=True, help="Print the result and write nothing but the study."),
        click.option("--seed", type=SEED, default=7, show_default=True, help="Seed of the sampler."),
        click.option("--study", help="Name of the study; without it, named after what its trials have in common."),
        click.option(
            "--storage",
            metavar="URL",
            help="Optuna storage, a database URL; without it tuning/studies.sqlite beside --ml-config.",
        ),
        click.option(
            "--folds", type=click.IntRange(2, 50), default=4, show_default=True, help="Folds walked through in time."
        ),
        click.option("--end", type=UtcDate(), help="End of the training window, UTC, exclusive; OOS begins here."),
        click.option("--start", type=UtcDate(), help="First bar's open, UTC."),
        data_option(),
        click.option(
            "--trials",
            type=click.IntRange(min=1),
            default=50,
            show_default=True,
            help="Finished trials the study shall hold, those of earlier runs included.",
        ),
    ):
        function = option(function)
    return function


@click.group(epilog=GROUP_EPILOG)
def tune() -> None:
    """Search hyperparameters and thresholds inside the training window, with Optuna."""


@tune.command("signal", epilog=SIGNAL_EPILOG)
@tuning_options
@click.option(
    "--min-trades", type=click.IntRange(min=2), default=20, show_default=True, help="Trades every fold must have."
)
def tune_signal(min_trades: int, trials: int, dry_run: bool, folds: int, **given: Any) -> None:
    """Search the signal models' hyperparameters and the decision's thresholds.

    Each trial trains on the past of every fold, calibrates as training does, and trades the
    fold: next-bar fills, spread, slippage, one trade at a time. Its value is the lower bound
    (one standard error) of the mean result per trade in R. The present settings are the first
    trial; only a better one is written to --ml-config.
    """
    from ml.tune.search import search_signal

    inputs = _Inputs(min_trades, trials, **given)
    with _SearchProgress(trials) as progress:
        outcome = search_signal(
            inputs.bars,
            inputs.settings,
            inputs.file,
            inputs.plan,
            folds=folds,
            news=inputs.news,
            dry_run=dry_run,
            tell=progress.show,
        )
    _print_outcome(outcome, inputs, dry_run, acted="trades")


@tune.command("position", epilog=POSITION_EPILOG)
@tuning_options
@click.option(
    "--min-exits", type=click.IntRange(min=2), default=10, show_default=True, help="Early exits every fold must have."
)
def tune_position(min_exits: int, trials: int, dry_run: bool, folds: int, **given: Any) -> None:
    """Search the position models' hyperparameters and the rule by which they leave a trade.

    The trades are the out-of-fold entries of the signal set in --models, on the bars that set
    was trained on; --data, --start and --end must hold those. Each trial trains on the trades
    before every fold. Its value is the lower bound (one standard error) of what leaving early
    adds to the bracket, per trade in R. Never leaving is worth 0.
    """
    from ml.tune.search import search_position

    inputs = _Inputs(min_exits, trials, **given)
    with _SearchProgress(trials) as progress:
        outcome = search_position(
            inputs.bars,
            inputs.models,
            inputs.settings,
            inputs.file,
            inputs.plan,
            folds=folds,
            news=inputs.news,
            dry_run=dry_run,
            tell=progress.show,
        )
    _print_outcome(outcome, inputs, dry_run, acted="exits")


class _Inputs:
    """What the options name, loaded; whatever is wrong with them is said before the search begins."""

    bars: pd.DataFrame
    settings: Settings
    news: NewsCalendar | None
    plan: SearchPlan

    def __init__(
        self,
        least: int,
        trials: int,
        *,
        data: Path,
        start: datetime | None,
        end: datetime | None,
        storage: str | None,
        study: str | None,
        seed: int,
        config: Path,
        ml_config: Path,
        models: Path,
        calendar: Path | None,
    ) -> None:
        import pandas as pd

        from ml.tune.storage import parse_storage, require_optuna, sqlite_storage

        require_optuna()
        beside = ml_config.parent / "tuning" / "studies.sqlite"
        url = sqlite_storage(beside) if storage is None else parse_storage(storage)

        from ml.tune.adoption import SettingsFile
        from ml.tune.study import SearchPlan
        from novosky.data.market_bars import load_market_bars
        from novosky.market.bars import slice_bars
        from novosky.market.news import load_calendar
        from novosky.settings import load_settings

        self.models = models
        self.settings, self.file = load_settings(config), SettingsFile.read(ml_config)
        first, last = (None if moment is None else pd.Timestamp(moment) for moment in (start, end))
        self.bars = slice_bars(load_market_bars(data, self.settings), first, last, source=str(data))
        self.news = load_calendar(calendar) if calendar is not None else None
        self.plan = SearchPlan(storage=url, study=study, trials=trials, least=least, seed=seed)
        if "synthetic" in self.bars.attrs:
            click.echo(f"SYNTHETIC DATA: {self.bars.attrs['synthetic']} market", err=True)


class _SearchProgress:
    """A bar on stderr; standard output carries the result alone."""

    def __init__(self, trials: int) -> None:
        self._trials = trials

    def __enter__(self) -> _SearchProgress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description:<48}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("trials"),
            TimeElapsedColumn(),
        )
        self._bar = Progress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task("features and labels", total=self._trials)
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._bar.stop()
        if kind is KeyboardInterrupt:
            click.echo("the finished trials are kept; run the same command again to go on", err=True)

    def show(self, step: str, finished: int) -> None:
        """Show a step; the shape of `ml.tune.study.Tell`."""
        self._bar.update(self._task, description=step, completed=finished)


def _print_outcome(outcome: SearchOutcome, inputs: _Inputs, dry_run: bool, *, acted: str) -> None:
    from commands.shared.tune_report import deflated_line, print_trials

    pruned = sum(trial.pruned for trial in outcome.trials)
    short = sum(not trial.eligible and not trial.pruned for trial in outcome.trials)
    earlier = f", {outcome.earlier} of them from earlier runs" if outcome.earlier else ""
    print_trials(outcome, acted)
    click.echo(f"study     {outcome.study} in {outcome.storage}")
    click.echo(f"trials    {len(outcome.trials)}{earlier}: {pruned} pruned, {short} with too few {acted} in a fold")
    line = deflated_line(outcome)
    if line is not None:
        click.echo(f"deflated  {line}")
    path = inputs.file.path
    if outcome.best is None or not outcome.improved:
        click.echo(f"unchanged {path}: no trial beats {outcome.to_beat:+.4f} R, what it is worth now")
    elif dry_run:
        click.echo(f"dry run   {path} is unchanged; trial {outcome.best.number} would be written")
    else:
        click.echo(f"wrote     {path}: trial {outcome.best.number}, {outcome.best.value:+.4f} R per trade at the bound")
        click.echo("next      train anew (train_ml_model.py --no-warmstart) and test on bars after the window only")
