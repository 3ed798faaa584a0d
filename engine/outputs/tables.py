"""The CSV files a trader and an auditor read: closed trades and blocked signals.

Backtest and bot write them through these functions, so equal trades are equal bytes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from engine.fills import EXIT_NAMES
from engine.records import Candidate, Trade
from novosky.files import write_text

TRADE_COLUMNS = (
    "entry_time",
    "side",
    "volume",
    "entry_price",
    "sl",
    "tp",
    "exit_time",
    "exit_price",
    "exit_reason",
    "profit",
    "commission",
    "swap",
    "balance",
)
BLOCK_COLUMNS = ("time", "symbol", "side", "confidence", "gap", "reason", "failing_gates", "price", "atr", "spread")
SIDE_NAMES = {1: "buy", -1: "sell"}


def utc_text(seconds: int) -> str:
    """Return epoch seconds as "2024-01-31T23:45:00Z"."""
    return datetime.fromtimestamp(int(seconds), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def volume_text(volume: float) -> str:
    """Return lots without trailing zeros and never in exponents, e.g. "0.01", "12", "12345.67"."""
    return f"{float(volume):.8f}".rstrip("0").rstrip(".")


def money_text(value: float, digits: int = 2) -> str:
    """Return USD with the decimals they are booked to; a loss below half the last one is "0.00", not "-0.00"."""
    return f"{round(float(value), digits) + 0.0:.{digits}f}"


def trade_row(trade: Trade, digits: int, money_digits: int = 2) -> list[str]:
    """Return one closed trade as text.

    Parameters
    ----------
    digits : int
        Of the symbol's prices.
    money_digits : int
        Of a booked sum in USD, `Settings.money_digits`; never fewer than two are written.
    """
    decimals = max(money_digits, 2)
    money = [money_text(value, decimals) for value in (trade.profit, trade.commission, trade.swap, trade.balance)]
    return [
        utc_text(trade.entry_time),
        SIDE_NAMES[int(trade.side)],
        volume_text(trade.volume),
        f"{trade.entry_price:.{digits}f}",
        f"{trade.sl:.{digits}f}",
        f"{trade.tp:.{digits}f}",
        utc_text(trade.exit_time),
        f"{trade.exit_price:.{digits}f}",
        EXIT_NAMES[int(trade.reason)],
        *money,
    ]


def block_row(
    time: int, symbol: str, candidate: Candidate, failing: Sequence[str], price: float, spread: float, digits: int
) -> list[str]:
    """Return one blocked signal as text; `time` is the decision (the bar's close), UTC epoch seconds.

    `failing` are the names of the failing gates, the block reason first.
    """
    return [
        utc_text(time),
        symbol,
        SIDE_NAMES[int(candidate.side)],
        f"{candidate.confidence:.6f}",
        f"{candidate.gap:.6f}",
        failing[0],
        " ".join(failing),
        f"{price:.{digits}f}",
        f"{candidate.atr:.{digits}f}",
        f"{spread:.{digits}f}",
    ]


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a CSV file's text, lines ended by a single newline on every platform."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return stream.getvalue()


def write_trades(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write closed trades atomically; `rows` from `trade_row`."""
    write_text(path, csv_text(TRADE_COLUMNS, rows))


def write_blocks(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write blocked signals atomically; `rows` from `block_row`."""
    write_text(path, csv_text(BLOCK_COLUMNS, rows))
