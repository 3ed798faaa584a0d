"""From bar frames to the engine's columns: prices, spreads, minutes and windows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from engine.inputs.bar_spreads import bar_spreads
from engine.records import Bars, Minutes
from novosky.errors import DataError
from novosky.market.bars import PRICE_COLUMNS, epoch_seconds
from novosky.market.timeframe import Timeframe
from novosky.settings import Settings

FOREIGN_SHARE = 0.01
"""Minutes this far outside their bar are no rounding or feed difference."""


def window_rows(history: pd.DataFrame, start: pd.Timestamp | None, end: pd.Timestamp | None) -> tuple[int, int]:
    """Return the half-open row range of the bars that open in [start, end); DataError when empty."""
    times = history["time"]
    first = 0 if start is None else int(times.searchsorted(start))
    last = len(history) if end is None else int(times.searchsorted(end))
    if first == len(history):
        raise DataError(
            f"the window starts at {start}, after the last bar; the data covers {times.iloc[0]} to {times.iloc[-1]}"
        )
    if first >= last:
        raise DataError(f"no bars between {start} and {end}; the data covers {times.iloc[0]} to {times.iloc[-1]}")
    return first, last


def bar_columns(frame: pd.DataFrame, settings: Settings, *, fixed_spread: bool) -> Bars:
    """Return the engine's columns of a bar frame; for the spreads and their errors see `engine.inputs.bar_spreads`."""
    price = {name: np.array(frame[name], dtype=np.float64) for name in PRICE_COLUMNS}
    return Bars(time=epoch_seconds(frame), spread=bar_spreads(frame, settings, fixed=fixed_spread).usd, **price)


def minutes_of(frame: pd.DataFrame, m1: pd.DataFrame, length: Timeframe) -> Minutes:
    """Sort one-minute bars into the bars they belong to; minutes outside every bar are left out.

    Parameters
    ----------
    frame, m1 : pandas.DataFrame
        Bar frames.
    length : Timeframe
        Of the bars in `frame`: a minute after a gap belongs to none of them.

    Raises
    ------
    DataError
        When no minute lies inside any bar, or one leaves its bar's range by more than a
        percent: the file belongs to another time or another market.
    """
    opens = epoch_seconds(frame)
    stamps = epoch_seconds(m1)
    owner = np.searchsorted(opens, stamps, side="right") - 1
    # The bar that opened last owns a minute only while it lasts: minutes of a gap belong to no bar.
    inside = (owner >= 0) & (stamps - opens[np.maximum(owner, 0)] < length.seconds)
    if not inside.any():
        raise DataError(
            f"the M1 bars cover {m1['time'].iloc[0]} to {m1['time'].iloc[-1]} and no minute of "
            f"{frame['time'].iloc[0]} to {frame['time'].iloc[-1]}; give the minutes of these bars with --m1"
        )
    # Owners ascend, so one search finds where each bar's minutes begin; a bar without minutes gets an empty range.
    begin = np.searchsorted(owner[inside], np.arange(len(opens) + 1))
    high, low = (m1[name].to_numpy(dtype=np.float64)[inside] for name in ("high", "low"))
    ceiling = np.asarray(frame["high"], dtype=np.float64)[owner[inside]] * (1.0 + FOREIGN_SHARE)
    floor = np.asarray(frame["low"], dtype=np.float64)[owner[inside]] * (1.0 - FOREIGN_SHARE)
    foreign = (high > ceiling) | (low < floor)
    if foreign.any():
        when = m1["time"].iloc[int(np.flatnonzero(inside)[np.argmax(foreign)])]
        raise DataError(f"the M1 bar of {when} lies outside its {length.name} bar: --m1 is the file of another market")
    return Minutes(begin.astype(np.int64), high, low)


def minutes_coverage(minutes: Minutes) -> float:
    """Return the share of bars that own at least one minute, 0.0 without minutes."""
    return float((np.diff(minutes.begin) > 0).mean()) if len(minutes.begin) else 0.0
