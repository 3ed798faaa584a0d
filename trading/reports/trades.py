"""Closed trades for people: a table within 80 columns, and its totals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from engine.fills import EXIT_NAMES
from engine.outputs.reasons import EXIT_WORDS
from engine.outputs.tables import SIDE_NAMES, utc_text, volume_text
from engine.records import Trade
from trading.reports.performance import LEAST_TRADES

_HEADINGS = ("closed (UTC)", "side", "lots", "entry", "exit", "why", "net USD", "R")
_WIDTHS = (-14, -4, 6, 9, 9, -14, 9, 6)
"""Columns of each cell; negative ones stand on the left."""


def net_of(trade: Trade) -> float:
    """Return a trade's result with all costs, USD."""
    return round(float(trade.profit + trade.commission + trade.swap), 8) + 0.0


def r_of(trade: Trade) -> float | None:
    """Return a trade's result in multiples of what it risked, None where the risk is not known."""
    return net_of(trade) / float(trade.risk) if trade.risk > 0.0 else None


def trade_lines(trades: Sequence[Trade], digits: int) -> list[str]:
    """Return heading, a line for each trade, and totals.

    Parameters
    ----------
    trades : sequence of Trade
        In order of exit.
    digits : int
        Of the symbol's prices.
    """
    rows = [_line(_HEADINGS), *(_line(_cells(trade, digits)) for trade in trades)]
    return [*rows, "", *_totals(trades)]


def trade_values(trade: Trade, digits: int) -> dict[str, Any]:
    """Return a trade as a flat object for programs."""
    result = r_of(trade)
    return {
        "entry_time": utc_text(int(trade.entry_time)),
        "exit_time": utc_text(int(trade.exit_time)),
        "side": SIDE_NAMES[int(trade.side)],
        "volume": float(trade.volume),
        "entry_price": round(float(trade.entry_price), digits),
        "sl": round(float(trade.sl), digits),
        "tp": round(float(trade.tp), digits),
        "exit_price": round(float(trade.exit_price), digits),
        "exit_reason": EXIT_NAMES[int(trade.reason)],
        "profit": round(float(trade.profit), 2),
        "commission": round(float(trade.commission), 2),
        "swap": round(float(trade.swap), 2),
        "net": round(net_of(trade), 2),
        "r_multiple": None if result is None else round(result, 4),
        "balance": round(float(trade.balance), 2),
    }


def _cells(trade: Trade, digits: int) -> tuple[str, ...]:
    result = r_of(trade)
    return (
        f"{datetime.fromtimestamp(int(trade.exit_time), tz=UTC):%y-%m-%d %H:%M}",
        SIDE_NAMES[int(trade.side)],
        volume_text(trade.volume),
        f"{trade.entry_price:.{digits}f}",
        f"{trade.exit_price:.{digits}f}",
        EXIT_WORDS[EXIT_NAMES[int(trade.reason)]],
        f"{round(net_of(trade), 2) + 0.0:+.2f}",
        "" if result is None else f"{result:+.2f}",
    )


def _line(cells: Sequence[str]) -> str:
    parts = (cell.ljust(-width) if width < 0 else cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))
    return " ".join(parts).rstrip()


def _totals(trades: Sequence[Trade]) -> list[str]:
    if not trades:
        return ["no closed trade"]
    net = [net_of(trade) for trade in trades]
    gained, lost = sum(value for value in net if value > 0.0), -sum(value for value in net if value < 0.0)
    wins = sum(value > 0.0 for value in net)
    multiples = [value for value in map(r_of, trades) if value is not None]
    count = f"{len(net)} trade{'' if len(net) == 1 else 's'}, {wins} won ({wins / len(net):.1%})"
    lines = [f"{count}, net {sum(net) + 0.0:+.2f} USD"]
    if len(net) < LEAST_TRADES:
        return [*lines, f"fewer than {LEAST_TRADES} trades say nothing of how good the bot is"]
    factor = "no loss yet" if lost == 0.0 else f"{gained / lost:.2f}"
    average = f", {sum(multiples) / len(multiples):+.2f} R a trade" if multiples else ""
    return [*lines, f"profit factor {factor}, best {max(net):+.2f}, worst {min(net):+.2f} USD{average}"]
