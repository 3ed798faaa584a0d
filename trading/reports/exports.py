"""The bot's CSV files, made from its journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.outputs.tables import block_row, trade_row, write_blocks, write_trades
from engine.records import Candidate, Trade, from_text
from trading.journal import Journal


def export_trades(journal: Journal, path: Path, digits: int, money_digits: int = 2) -> None:
    """Write the closed trades in order of exit; for the digits see `engine.outputs.tables.trade_row`."""
    write_trades(path, (trade_row(from_text(Trade, content), digits, money_digits) for content in journal.trades()))


def export_blocks(journal: Journal, path: Path, symbol: str, digits: int) -> None:
    """Write the blocked signals in order of time."""

    def rows() -> Iterator[list[str]]:
        for row in journal.blocks():
            candidate = from_text(Candidate, row["candidate"])
            yield block_row(row["bar"], symbol, candidate, row["gates"].split(), row["price"], row["spread"], digits)

    write_blocks(path, rows())
