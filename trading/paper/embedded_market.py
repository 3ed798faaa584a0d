"""A live-like market for paper trading without a terminal: the embedded market on today's clock."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ml.feature_engineering import live_window_bars
from novosky.data.synthetic import BAR, synthetic_bars
from novosky.errors import StorageError, UsageError
from novosky.files import write_text
from novosky.market.timeframe import Timeframe
from trading.paper.session import PaperMarket, broker_file

SEED = 20
FUTURE_BARS = 400 * BAR.bars_per_day
"""Four hundred days ahead; after that the account begins anew with --fresh."""


def live_market(journal: Path, now: float, frame: Timeframe) -> PaperMarket:
    """Return the embedded market around the moment this account was opened.

    The first call stores that moment beside the journal; later calls return the very same
    bars, so that a restarted bot finds the market it left.

    Parameters
    ----------
    journal : Path
        The account's journal.
    now : float
        UTC epoch seconds.
    frame : Timeframe
        That the bot trades.

    Raises
    ------
    UsageError
        It is another than that of the embedded market's bars.
    StorageError
        The stored moment is unreadable.
    """
    if frame != BAR:
        raise UsageError(
            f"the embedded market has {BAR.name} bars and config.json trades {frame.name}: follow real prices with "
            "--feed, or replay a file with --replay"
        )
    anchor_file = journal.with_suffix(".anchor")
    history = live_window_bars(frame)
    # The account's files appear one after the other; a bot killed in between finds the first of them.
    if not anchor_file.exists() or not (journal.exists() or broker_file(journal).exists()):
        opened = BAR.floor(now)
        write_text(anchor_file, f"{opened}\n")
    try:
        opened = int(anchor_file.read_text())
        if opened <= 0 or not BAR.is_open(opened):
            raise ValueError(f"{opened} opens no bar")
    except ValueError as error:
        raise StorageError(f"{anchor_file} is damaged; start with --fresh") from error
    start = pd.Timestamp(opened - history * BAR.seconds, unit="s", tz="UTC")
    bars = synthetic_bars("planted", history + FUTURE_BARS, seed=SEED, start=start.isoformat())
    return PaperMarket("embedded market", bars, history, None, fixed_spread=False, repeatable=False)
