"""Backtest the configuration over history."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commands.shared.next_step import say_next, say_proof, with_files
from commands.shared.options import (
    FILE,
    MOST_DAYS,
    UtcDate,
    account_options,
    data_option,
    file_options,
    refuse_collisions,
)
from commands.shared.provenance import provenance
from novosky.market.window import choose_window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backtest.metrics import Metrics
    from backtest.result import BacktestResult
    from backtest.run import Prepared
    from novosky.settings import Settings

EPILOG = """\b
Examples:
  python backtest_config.py --balance 500 --no-swap --leverage 500 --spread 16.95 --oos-only --no-chart
  python backtest_config.py --data data/BTCUSD_M15.parquet --start 2024-01-01 --end 2024-07-01 --json out.json
  python backtest_config.py --days 90 --m1 data/BTCUSD_M1.parquet --trades trades.csv --report report.html
"""


@click.command(epilog=EPILOG)
@data_option()
@click.option("--m1", type=FILE, help="M1 bars that decide bars which touch both stop and target.")
@click.option("--start", type=UtcDate(), help="First bar's open, UTC.")
@click.option("--end", type=UtcDate(), help="End of the window, UTC, exclusive.")
@click.option(
    "--days", type=click.IntRange(1, MOST_DAYS), default=365, show_default=True, help="Window length without --start."
)
@click.option("--oos-only", is_flag=True, help="Start after the models' training cutoff.")
@click.option("--oos-end", type=UtcDate(), help="End of the out-of-sample window; like --end.")
@file_options
@account_options
@click.option("--json", "json_file", type=FILE, help="Write every number as one flat JSON object.")
@click.option("--trades", "trades_file", type=FILE, help="Write the closed trades as CSV.")
@click.option("--blocked", "blocked_file", type=FILE, help="Write the blocked signals as CSV.")
@click.option(
    "--report", "report_file", type=FILE, default=Path("reports/backtest.html"), show_default=True, help="HTML report."
)
@click.option("--no-chart", is_flag=True, help="Print and write numbers only, no HTML report.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Seed of the random-entry benchmark."
)
def backtest(
    data: Path,
    m1: Path | None,
    start: datetime | None,
    end: datetime | None,
    days: int,
    oos_only: bool,
    oos_end: datetime | None,
    config: Path,
    ml_config: Path,
    models: Path,
    calendar: Path | None,
    json_file: Path | None,
    trades_file: Path | None,
    blocked_file: Path | None,
    report_file: Path,
    no_chart: bool,
    seed: int,
    **flags: Any,
) -> None:
    """Run the bot's rules over history and report what they would have earned after all costs."""
    from backtest.model_answers import model_answers
    from backtest.run import prepare, simulate
    from ml.load_models import load_models
    from novosky.data.market_bars import load_market_bars
    from novosky.errors import UsageError
    from novosky.market.news import load_calendar
    from novosky.settings import load_ml_settings, load_settings
    from novosky.settings.overrides import AccountFlags, apply_flags

    if end is not None and oos_end is not None:
        raise UsageError("--end and --oos-end say the same; give one of them")
    chart_file = None if no_chart else report_file
    refuse_collisions(
        {"--json": json_file, "--trades": trades_file, "--blocked": blocked_file, "--report": chart_file},
        {"--data": data, "--m1": m1, "--config": config, "--ml-config": ml_config, "--calendar": calendar}
        | {"--models": models},
    )
    settings = apply_flags(load_settings(config), AccountFlags(**flags))
    ml_settings = load_ml_settings(ml_config)
    history = load_market_bars(data, settings)
    served = load_models(models, settings, ml_settings)
    ml_settings = served.decided(ml_settings)
    cutoff = served.signal.train_cutoff if oos_only else None
    window = choose_window(history["time"], start, end or oos_end, days, cutoff, settings.frame)
    prepared = prepare(
        history,
        settings,
        ml_settings,
        served.signal,
        start=window[0],
        end=window[1],
        news=load_calendar(calendar) if calendar else None,
        m1=load_market_bars(m1, settings, seconds=60) if m1 else None,
        fixed_spread=flags["spread"] is not None,
        sltp=served.sltp,
    )
    labels = run_labels(prepared, settings, history.attrs)
    answers = model_answers(served, prepared, settings, ml_settings)
    result = simulate(prepared, settings, ml_settings, answers=answers, labels=labels)
    details = {"Bars": data.name, "Models": served.signal.fingerprint[:12]}
    metrics = _tell(result, prepared, settings, seed, json_file, chart_file, details, m1=m1 is not None)
    write_tables(result, settings.symbol, settings.broker.digits, trades_file, blocked_file, settings.money_digits)
    if metrics.oos is False:
        say_proof(data, models, history["time"].iloc[-1], served.signal.train_cutoff)
    else:
        _say_replay(metrics, data, models)


def _tell(
    result: BacktestResult,
    prepared: Prepared,
    settings: Settings,
    seed: int,
    json_file: Path | None,
    report: Path | None,
    details: Mapping[str, str],
    *,
    m1: bool,
) -> Metrics:
    """Measure a run against its benchmarks, print the summary, and write what was asked for."""
    import numpy as np
    from rich.console import Console

    from backtest.benchmarks import buy_and_hold, random_entry_benchmark
    from backtest.metrics import compute_metrics
    from backtest.report.summary import print_summary
    from novosky.files import write_json

    made = provenance(settings)
    # Each draws from a generator of its own: the figures of one do not depend on what the other has drawn.
    metrics = compute_metrics(result, np.random.default_rng(seed), m1=m1)
    random_entry = random_entry_benchmark(
        result, prepared.atr, np.random.default_rng(seed), minutes=result.minutes, rollovers=result.rollovers
    )
    hold = buy_and_hold(result)
    print_summary(Console(), metrics, random_entry, hold)
    if json_file is not None:
        random_figures = random_entry.as_dict() if random_entry is not None else {}
        write_json(json_file, {**metrics.as_dict(), **random_figures, **hold.as_dict(), **made.as_dict()})
    if report is not None:
        from backtest.report.page import write_report

        write_report(report, result, metrics, random_entry, hold, made=made, details=details)
        click.echo(f"report: {report}")
    return metrics


def _say_replay(metrics: Metrics, data: Path, models: Path) -> None:
    """Name the command that takes the same bars through the bot."""
    command = (
        f"python trading.py --paper --start {_minute(metrics.start)} --end {_minute(metrics.end)} --trades trades.csv"
    )
    say_next(
        with_files(command, replay=data, models=models),
        "takes these bars through the bot itself; under the same flags its trades are the same, byte for byte",
    )


def _minute(iso: str) -> str:
    """Return a moment as the options --start and --end take it."""
    return iso.removesuffix(":00Z")


def run_labels(prepared: Prepared, settings: Settings, marks: Mapping[Any, Any]) -> tuple[str, ...]:
    """Return what every output of this run must say about its bars and its account."""
    from backtest.run import overlap_warning
    from engine.inputs.columns import minutes_coverage
    from engine.inputs.context import calendar_note
    from novosky.market.price_steps import price_step_warnings

    labels = [f"SYNTHETIC DATA ({marks['synthetic']} market)"] if "synthetic" in marks else []
    overlap = overlap_warning(prepared)
    if overlap is not None:
        labels.append(overlap)
    if marks.get("volume") == "none":
        labels.append("No volume: the bars' source publishes none, so features of volume say nothing")
    calendar = calendar_note(prepared.signals.context.news_minutes, settings)
    if calendar is not None:
        labels.append(calendar)
    labels += price_step_warnings(prepared.frame, settings.broker.digits)
    bars, mute = len(prepared.frame), len(prepared.frame) - len(prepared.signals.rows)
    if mute:
        labels.append(f"Warm-up: {mute} of {bars} bars have no features yet and could not trade; give more history")
    labels += () if prepared.spreads is None else prepared.spreads.remarks
    coverage = minutes_coverage(prepared.minutes)
    if 0.0 < coverage < 1.0:
        labels.append(f"M1 bars cover {coverage:.1%} of the bars; elsewhere both legs in one bar count as a stop")
    if settings.account_type == "cent":
        labels.append(f"Cent account: one lot is {settings.lot_units:g} units and pays a hundredth of a lot's costs")
    return tuple(labels)


def write_tables(
    result: BacktestResult,
    symbol: str,
    digits: int,
    trades_file: Path | None,
    blocked_file: Path | None,
    money_digits: int = 2,
) -> None:
    """Write the trades and the blocked signals of a backtest, where files are named."""
    from engine.gates import gate_names
    from engine.outputs.tables import block_row, trade_row, write_blocks, write_trades

    if trades_file is not None:
        write_trades(trades_file, (trade_row(trade, digits, money_digits) for trade in result.trades))
    if blocked_file is not None:
        rows = []
        for block in result.blocks:
            candidate = result.candidates[block.candidate]
            i = candidate.bar
            close = int(result.bars.time[i]) + int(result.params.bar_seconds)
            failing = gate_names(int(block.gates))
            rows.append(
                block_row(close, symbol, candidate, failing, result.bars.close[i], result.bars.spread[i], digits)
            )
        write_blocks(blocked_file, rows)
