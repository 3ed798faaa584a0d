"""The words, rows and figures of a replayed day."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from backtest.day.differences import CATEGORIES
from backtest.day.live_day import OPEN, Held
from backtest.day.replay import DayReport
from engine.fills import EXIT_NAMES
from engine.outputs.tables import SIDE_NAMES, utc_text
from novosky.in_sample import MARK, banner

MEANINGS = {
    "signal": "the models said something else",
    "gate": "other gates let it through or held it back",
    "price": "the same decision at another price",
    "cost": "commission and swap",
    "missed": "bars not processed, orders refused",
    "unexplained": "no cause found",
}


def day_name(report: DayReport) -> str:
    """Return the day as "2024-01-31"."""
    return datetime.fromtimestamp(report.day, tz=UTC).strftime("%Y-%m-%d")


def day_summary(report: DayReport) -> str:
    """Return the drift of a day in one line of plain text, for the notes of the daily report."""
    drift = report.live_usd - report.replay_usd
    known = "" if report.in_sample is None else f"; {MARK}: the models learned from this day"
    if not report.differences:
        return f"Replay of {day_name(report)}: no drift, {report.live_usd:+.2f} USD live and replayed{known}"
    parts = [(name, *report.part(name)) for name in CATEGORIES]
    told = [f"{name} {usd:+.2f}" for name, usd, _, count in parts if count]
    return (
        f"Replay of {day_name(report)}: live {report.live_usd:+.2f} USD, replay {report.replay_usd:+.2f}, "
        f"drift {drift:+.2f} ({', '.join(told)}){known}"
    )


def report_json(report: DayReport) -> dict[str, Any]:
    """Return every figure of a day for a JSON file: USD in cents' precision, R as live minus replay."""
    parts = {name: report.part(name) for name in CATEGORIES}
    return {
        "day": day_name(report),
        "start": utc_text(report.start),
        "end": utc_text(report.end),
        "bars": report.bars,
        "bars_missed": report.bars_missed,
        "live_usd": float(report.live_usd),
        "replay_usd": float(report.replay_usd),
        "drift_usd": float(report.live_usd - report.replay_usd),
        "live_r": float(report.live_r),
        "replay_r": float(report.replay_r),
        "drift_r": float(report.live_r - report.replay_r),
        "in_sample": report.in_sample,
        "parts": {name: {"usd": float(usd), "r": float(r), "count": n} for name, (usd, r, n) in parts.items()},
        "differences": [
            {
                "category": each.category,
                "bar": utc_text(each.bar),
                "usd": float(each.usd),
                "r": float(each.r),
                "words": each.words,
            }
            for each in report.differences
        ],
        "live_positions": [_position(held) for held in report.live],
        "replay_positions": [_position(held) for held in report.replay],
    }


def _position(held: Held) -> dict[str, Any]:
    return {
        "decided": utc_text(held.decided),
        "side": SIDE_NAMES[held.side],
        "volume": held.volume,
        "entry_price": held.entry_price,
        "exit_time": None if held.exit_time is None else utc_text(held.exit_time),
        "exit_price": held.exit_price,
        "exit_reason": "open" if held.reason == OPEN else EXIT_NAMES[held.reason],
        "usd": float(held.net),
    }


def print_report(console: Console, report: DayReport) -> None:
    """Print the day: what differed, what each kind of difference cost, and the two results."""
    console.print(
        f"{day_name(report)}: {report.bars} bars until {utc_text(report.end)}, {report.bars_missed} missed; "
        f"{len(report.live)} positions live, {len(report.replay)} in the replay"
    )
    if report.in_sample is not None:
        console.print(banner(report.in_sample), soft_wrap=True)
    if report.differences:
        console.print(_differences(report))
    console.print(_parts(report))


def _differences(report: DayReport) -> Table:
    table = Table(title="Differences, live minus replay")
    for name in ("bar", "category"):
        table.add_column(name, no_wrap=True)
    for name in ("USD", "R"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("what")
    for each in report.differences:
        table.add_row(utc_text(each.bar), each.category, f"{each.usd:+.2f}", f"{float(each.r):+.3f}", each.words)
    return table


def _parts(report: DayReport) -> Table:
    table = Table(title="Result of the day")
    table.add_column("part", no_wrap=True)
    for name in ("USD", "R"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("meaning")
    table.add_row("replay", f"{report.replay_usd:+.2f}", f"{float(report.replay_r):+.3f}", "what the backtest earns")
    for name in CATEGORIES:
        usd, r, count = report.part(name)
        if count:
            table.add_row(name, f"{usd:+.2f}", f"{float(r):+.3f}", f"{MEANINGS[name]} ({count})")
    table.add_section()
    table.add_row("live", f"{report.live_usd:+.2f}", f"{float(report.live_r):+.3f}", "what the bot earned")
    return table
