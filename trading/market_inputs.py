"""From bar frames to the engine's columns: prices, spreads, minutes and windows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from novosky.errors import DataError
from novosky.market.bars import M15_SECONDS, PRICE_COLUMNS, epoch_seconds
from novosky.settings import Settings
from trading.engine.records import Bars, Minutes


def window_rows(history: pd.DataFrame, start: pd.Timestamp | None, end: pd.Timestamp | None) -> tuple[int, int]:
    """Return the half-open row range of the bars that open in [start, end); DataError when empty."""
    times = history["time"]
    first = 0 if start is None else int(times.searchsorted(start))
    last = len(history) if end is None else int(times.searchsorted(end))
    if first >= last:
        raise DataError(f"no bars between {start} and {end}; the data covers {times.iloc[0]} to {times.iloc[-1]}")
    return first, last


def bar_columns(frame: pd.DataFrame, settings: Settings, *, fixed_spread: bool) -> Bars:
    """Return the engine's columns of a bar frame."""
    price = {name: np.array(frame[name], dtype=np.float64) for name in PRICE_COLUMNS}
    return Bars(time=epoch_seconds(frame), spread=spreads_in_usd(frame, settings, fixed=fixed_spread), **price)


def minutes_of(frame: pd.DataFrame, m1: pd.DataFrame) -> Minutes:
    """Sort one-minute bars into the bars they belong to; minutes outside every bar are left out."""
    opens = epoch_seconds(frame)
    stamps = epoch_seconds(m1)
    owner = np.searchsorted(opens, stamps, side="right") - 1
    inside = (owner >= 0) & (stamps - opens[np.maximum(owner, 0)] < M15_SECONDS)
    begin = np.searchsorted(owner[inside], np.arange(len(opens) + 1))
    high, low = (m1[name].to_numpy(dtype=np.float64)[inside] for name in ("high", "low"))
    return Minutes(begin.astype(np.int64), high, low)


def spreads_in_usd(bars: pd.DataFrame, settings: Settings, *, fixed: bool) -> npt.NDArray[np.float64]:
    """Return the spread of each bar in USD, on the price grid, shape (n,).

    Bars that carry their own `spread` (points) are believed unless `fixed`; all others cost
    `costs.spread`.
    """
    scale = 10.0**settings.broker.digits
    if "spread" in bars.columns and not fixed:
        usd = bars["spread"].to_numpy(dtype=np.float64) * settings.broker.point
    else:
        usd = np.full(len(bars), settings.costs.spread)
    return np.floor(usd * scale + 0.5) / scale
