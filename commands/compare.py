"""Compare two configurations on the same bars."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commands.shared.options import FILE, FOLDER, MOST_DAYS, UtcDate, account_options, data_option, refuse_collisions

if TYPE_CHECKING:
    import pandas as pd

    from backtest.comparison import Comparison
    from backtest.result import BacktestResult
    from engine.inputs.models import Models
    from novosky.market.news import NewsCalendar
    from novosky.settings import MlSettings, Settings
    from novosky.settings.differences import Change

EPILOG = """\b
The interval belongs to the difference of daily returns, from a bootstrap that resamples the
days of both runs together. When it holds zero, the bars cannot tell which one is better,
whatever the scores say.

\b
Exit codes: 0 compared, whichever is better; 2 wrong arguments; 3 a settings file; 4 bars;
5, 6 models missing, damaged, or made for another configuration (give them with --old-models).

\b
Examples:
  python scripts/compare_configs.py --old-config config_backup.json --old-ml ml_config_backup.json
  python scripts/compare_configs.py --old-config config_backup.json --old-ml ml_config.json --oos-only --spread 16.95
  python scripts/compare_configs.py --old-config a.json --old-ml b.json --old-models models_old --json compared.json
"""


@dataclass(frozen=True)
class Side:
    """One of the two: its files, read."""

    name: str
    settings: Settings
    ml_settings: MlSettings
    models: Models


@click.command(epilog=EPILOG)
@click.option("--old-config", type=FILE, required=True, help="Runtime settings of the old side.")
@click.option("--old-ml", type=FILE, required=True, help="Model settings of the old side.")
@click.option(
    "--new-config", "--config", type=FILE, default=Path("config.json"), show_default=True, help="Of the new side."
)
@click.option(
    "--new-ml", "--ml-config", type=FILE, default=Path("ml_config.json"), show_default=True, help="Of the new side."
)
@click.option("--models", type=FOLDER, default=Path("models"), show_default=True, help="Model directory.")
@click.option("--old-models", type=FOLDER, help="Model directory of the old side, where it is another one.")
@data_option()
@click.option("--calendar", type=FILE, help="News calendar (Parquet); without it no event is ever near.")
@click.option("--start", type=UtcDate(), help="First bar's open, UTC.")
@click.option("--end", type=UtcDate(), help="End of the window, UTC, exclusive.")
@click.option(
    "--days", type=click.IntRange(1, MOST_DAYS), default=365, show_default=True, help="Window length without --start."
)
@click.option("--oos-only", is_flag=True, help="Start after the training cutoff of both sides' models.")
@account_options
@click.option("--json", "json_file", type=FILE, help="Write every number as one flat JSON object.")
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Seed of the bootstrap.")
def compare_configs(
    old_config: Path,
    old_ml: Path,
    new_config: Path,
    new_ml: Path,
    models: Path,
    old_models: Path | None,
    data: Path,
    calendar: Path | None,
    start: datetime | None,
    end: datetime | None,
    days: int,
    oos_only: bool,
    json_file: Path | None,
    seed: int,
    **flags: Any,
) -> None:
    """Backtest an old and a new configuration on the same bars and say which is better, if the data can tell."""
    import numpy as np
    from rich.console import Console

    from backtest.comparison import compare
    from backtest.metrics import compute_metrics
    from novosky.data.identity import require_file_of_bars
    from novosky.data.market_bars import load_market_bars, require_bars_of
    from novosky.files import write_json
    from novosky.market.news import load_calendar
    from novosky.market.window import choose_window
    from novosky.measures.statistics import daily_returns
    from novosky.settings.overrides import AccountFlags

    read = {"--old-config": old_config, "--old-ml": old_ml, "--new-config": new_config, "--new-ml": new_ml}
    refuse_collisions({"--json": json_file}, {**read, "--data": data, "--calendar": calendar, "--models": models})
    require_file_of_bars(data)
    account = AccountFlags(**flags)
    old = _read_side("old", old_config, old_ml, old_models or models, account)
    new = _read_side("new", new_config, new_ml, models, account)
    history = load_market_bars(data, old.settings)
    if new.settings.symbol != old.settings.symbol:
        require_bars_of(history, data, new.settings)
    cutoff = max(side.models.signal.train_cutoff for side in (old, new)) if oos_only else None
    window = choose_window(history["time"], start, end, days, cutoff, old.settings.frame)
    news = load_calendar(calendar) if calendar else None
    results = [_run(side, history, window, news, fixed_spread=account.spread is not None) for side in (old, new)]
    metrics = [compute_metrics(result, np.random.default_rng(seed), m1=False) for result in results]
    daily = [daily_returns(result.bars.time, result.equity, result.start_balance) for result in results]
    comparison = compare(metrics[0], metrics[1], daily[0], daily[1], np.random.default_rng(seed))
    changes = _changes(old, new)
    _print(Console(), comparison, changes)
    if json_file is not None:
        changed = "; ".join(map(str, changes))
        write_json(json_file, {**comparison.as_dict(), "changes": changed})


def _read_side(name: str, config: Path, ml_config: Path, models_dir: Path, account: Any) -> Side:
    """Read one side; models that cannot serve it are said with the side and the option that names others."""
    from ml.load_models import load_models
    from novosky.errors import ModelCompatibilityError
    from novosky.settings import load_ml_settings, load_settings
    from novosky.settings.overrides import apply_flags

    settings, ml_settings = apply_flags(load_settings(config), account), load_ml_settings(ml_config)
    try:
        models = load_models(models_dir, settings, ml_settings)
        return Side(name, settings, models.decided(ml_settings), models)
    except ModelCompatibilityError as error:
        option = "--old-models" if name == "old" else "--models"
        raise ModelCompatibilityError(
            f"the models in {models_dir} cannot serve the {name} side ({ml_config}); name the set that was trained for "
            f"it with {option}. {error}"
        ) from error


def _run(
    side: Side,
    history: pd.DataFrame,
    window: tuple[pd.Timestamp | None, pd.Timestamp | None],
    news: NewsCalendar | None,
    *,
    fixed_spread: bool,
) -> BacktestResult:
    from backtest.model_answers import model_answers
    from backtest.run import prepare, simulate
    from commands.backtest import run_labels

    prepared = prepare(
        history,
        side.settings,
        side.ml_settings,
        side.models.signal,
        start=window[0],
        end=window[1],
        news=news,
        fixed_spread=fixed_spread,
        sltp=side.models.sltp,
    )
    answers = model_answers(side.models, prepared, side.settings, side.ml_settings)
    labels = run_labels(prepared, side.settings, history.attrs)
    return simulate(prepared, side.settings, side.ml_settings, answers=answers, labels=labels)


def _changes(old: Side, new: Side) -> list[Change]:
    """Return what differs between the two sides, models included."""
    from novosky.settings.differences import Change, changes_between

    sides = [
        {
            "config": side.settings.model_dump(mode="json", by_alias=True, exclude={"schema_reference"}),
            "ml_config": side.ml_settings.model_dump(
                mode="json", by_alias=True, exclude={"schema_reference", "tuning"}
            ),
        }
        for side in (old, new)
    ]
    changes = changes_between(sides[0], sides[1])
    prints = [side.models.signal.fingerprint[:12] for side in (old, new)]
    return changes + ([Change("models.signal", *prints)] if prints[0] != prints[1] else [])


def _print(console: Any, comparison: Comparison, changes: list[Change]) -> None:
    from rich.table import Table
    from rich.text import Text

    from backtest.comparison import FIGURES, difference_of
    from backtest.report.summary import notices, print_notices, window
    from novosky.settings import Settings
    from novosky.settings.roles import Role, places_with

    console.print(Text(f"Compared  {window(comparison.new)}"), soft_wrap=True)
    print_notices(console, dict.fromkeys(each for run in (comparison.old, comparison.new) for each in notices(run)))
    console.print(Text("What differs: " + ("" if changes else "nothing")), soft_wrap=True)
    for change in changes:
        console.print(Text(f"  {change}"), soft_wrap=True)
    described = tuple(f"config.{place}." for place in places_with(Settings, Role.WORLD))
    world = [change.place for change in changes if f"{change.place}.".startswith(described)]
    if world:
        text = f"Note: account or cost assumptions differ ({', '.join(world)}), so part of the difference is theirs."
        console.print(Text(text, style="yellow"), soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("figure", no_wrap=True)
    for header in ("old", "new", "difference"):
        table.add_column(header, justify="right", no_wrap=True)
    old, new = comparison.old.as_dict(), comparison.new.as_dict()
    for name in FIGURES:
        cells = (old[name], new[name], difference_of(old, new, name))
        table.add_row(name.replace("_", " "), *(_figure(name, cell) for cell in cells))
    console.print()
    console.print(table, crop=False)
    console.print()
    console.print(Text(comparison.words, style="bold"), soft_wrap=True)


_SHARES = ("win_rate", "total_return", "max_drawdown", "exposure")
_COUNTS = ("trades", "longest_losing_run", "candidates", "blocked")


def _figure(name: str, value: Any) -> str:
    from backtest.report.figure_formats import UNKNOWN, number, percent

    if value is None:
        return UNKNOWN
    if name in _SHARES:
        return percent(value, 2)
    return f"{value:,.0f}" if name in _COUNTS else number(value, 2)
