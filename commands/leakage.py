"""Prove that features never look ahead."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.shared.options import UtcDate
from novosky.market.timeframe import TIMEFRAMES, TRADED, USUAL

if TYPE_CHECKING:
    import pandas as pd

    from ml.features.leakage import Leak
    from novosky.market.timeframe import Timeframe

_SYNTHETIC_BARS = 6_000


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data", type=click.Path(path_type=Path), help="Bars to check; the embedded synthetic market when left out."
)
@click.option(
    "--timeframe", type=click.Choice(list(TRADED)), default=USUAL.name, show_default=True, help="Of the bars."
)
@click.option("--start", type=UtcDate(), help="First bar's open, UTC.")
@click.option("--end", type=UtcDate(), help="End, UTC, exclusive.")
@click.option("--calendar", type=click.Path(path_type=Path), help="Parquet file or folder of scheduled news.")
@click.option("--rows", type=click.IntRange(min=1), default=20, show_default=True, help="Random rows to examine.")
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Seed of rows and noise.")
def leakage_check(
    data: Path | None,
    timeframe: str,
    start: datetime | None,
    end: datetime | None,
    calendar: Path | None,
    rows: int,
    seed: int,
) -> None:
    """Prove that no feature looks ahead.

    At random rows every feature is computed again with the later bars removed, with the
    later bars replaced by noise, and from the bot's live window alone. Exits 0 when all
    values agree, 1 when a column differs; the columns are named.

    \b
    Examples:
      python scripts/leakage_check.py
      python scripts/leakage_check.py --data data/BTCUSD_M15.parquet --rows 50
      python scripts/leakage_check.py --data data/BTCUSD_H1.parquet --timeframe H1
      python scripts/leakage_check.py --data bars.csv --start 2023-01-01 --end 2024-01-01 --seed 3
    """  # noqa: D301 - click reads the backslash-b as "do not rewrap"
    import numpy as np

    from ml.feature_engineering import add_all_features, live_window_bars
    from ml.features.leakage import find_leaks, random_rows
    from novosky.market.news import load_calendar

    frame = TIMEFRAMES[timeframe]
    bars, source = _bars(data, start, end, seed, frame)
    news = None if calendar is None else load_calendar(calendar)
    generator = np.random.default_rng(seed)
    window = live_window_bars(frame)
    chosen = random_rows(len(bars), rows, window, generator)
    click.echo(f"{source}: {len(bars):,} bars, {len(chosen)} rows, seed {seed}, live window {window:,} bars")
    with click.progressbar(length=len(chosen), label="checking", file=sys.stderr) as bar:
        leaks = find_leaks(
            lambda part: add_all_features(part, news, frame),
            bars,
            chosen,
            generator=generator,
            window=window,
            on_row=lambda _: bar.update(1),
        )
    if leaks:
        click.echo(_table(leaks))
        sys.exit(1)
    click.echo("no leak: every feature is the same without its future and from the live window alone")


def _bars(
    data: Path | None, start: datetime | None, end: datetime | None, seed: int, frame: Timeframe
) -> tuple[pd.DataFrame, str]:
    """Return the bars of the window and what to call them."""
    import pandas as pd

    from novosky.market.bars import slice_bars

    if data is None:
        from novosky.data.synthetic import BAR, synthetic_bars
        from novosky.errors import UsageError

        if frame != BAR:
            raise UsageError(f"the synthetic market has {BAR.name} bars; name a file of {frame.name} bars with --data")
        bars, source = synthetic_bars("planted", _SYNTHETIC_BARS, seed=seed), "synthetic market"
    else:
        from novosky.data.store import load_bars

        bars, source = load_bars(data, seconds=frame.seconds), str(data)
    first, last = (None if day is None else pd.Timestamp(day) for day in (start, end))
    return slice_bars(bars, first, last, source=source), source


def _table(leaks: list[Leak]) -> str:
    """Return one line per column and check: how often it differed, and the first time."""
    lines = [f"{'column':<24} {'check':<26} {'rows':>5}  {'first':<20} {'whole history':>18} {'without':>18}"]
    groups: dict[tuple[str, str], list[Leak]] = {}
    for leak in leaks:
        groups.setdefault((leak.column, leak.check), []).append(leak)
    for (column, check), found in sorted(groups.items()):
        first = found[0]
        when = f"{first.time:%Y-%m-%d %H:%M}"
        lines.append(f"{column:<24} {check:<26} {len(found):>5}  {when:<20} {first.whole:>18.10g} {first.cut:>18.10g}")
    return "\n".join(lines)
