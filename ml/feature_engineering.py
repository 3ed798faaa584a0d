"""Bars into the 55 features, the same code for training, backtest and bot.

`add_all_features` computes a whole history, `latest_features` the newest row of a live
window. Both ask the same functions and the same kernels, the one for all rows, the other
for one, and each indicator is computed only as far back as that row reads it.

Nothing is carried from bar to bar, and that is on purpose. Every measurement looks back over
a fixed number of bars: windows are summed afresh, averages restart a fixed lead before each
UTC day. So a row is a function of the newest `live_window_bars()` bars and of nothing else: not of
when the bot was started, of a bar that was revised, of a gap, or of how many closes it slept
through. The running bot, the restarted bot and the backtest therefore get the same bytes, and
no state has to be checked against the bars, stored or repaired. What a carried state would
save are the run-ins of the averages, some tens of microseconds a bar.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from ml.features import memory
from ml.features.catalogue import FEATURES, PROTECTED_FEATURES
from ml.features.feature_spec import FeatureSpec, Measure
from ml.features.indicators import Indicators
from novosky.errors import DataError
from novosky.market.bar_arrays import BarArrays, FloatArray
from novosky.market.bars import timeframe_of
from novosky.market.news import NewsCalendar
from novosky.market.timeframe import USUAL, Timeframe

__all__ = [
    "CONTEXT_COLUMNS",
    "FEATURES",
    "PROTECTED_FEATURES",
    "FeatureSpec",
    "LatestBar",
    "add_all_features",
    "get_feature_names",
    "latest_bar",
    "latest_features",
    "live_window_bars",
    "warm",
    "warm_up_bars",
]

# What gates and sizing need beside the features: name, rows lost at the start, measurement.
_CONTEXT: tuple[tuple[str, memory.LostRows, Measure], ...] = (
    ("atr", memory.WILDER_WARM_UP, lambda shared: shared.atr),
    ("adx", memory.ADX_WARM_UP, lambda shared: shared.adx),
    ("ema200_distance", memory.EMA200_WARM_UP, lambda shared: (shared.close - shared.ema200) / shared.unit),
)
_COLUMNS: tuple[tuple[str, memory.LostRows, Measure], ...] = (
    *((spec.name, spec.warm_up, spec.measure) for spec in FEATURES),
    *_CONTEXT,
)
CONTEXT_COLUMNS: tuple[str, ...] = tuple(name for name, _, _ in _CONTEXT)


@dataclass(frozen=True, eq=False)
class LatestBar:
    """The newest closed bar as the models and the gates see it.

    Attributes
    ----------
    time : int
        Open of the bar, seconds since 1970-01-01 UTC.
    features : ndarray of float64, shape (55,)
        In the order of `get_feature_names()`.
    atr : float
        Wilder's ATR(14), USD.
    adx : float
        Wilder's ADX(14), 0 to 100.
    ema200_distance : float
        Close minus EMA200, in ATR.
    """

    time: int
    features: FloatArray
    atr: float
    adx: float
    ema200_distance: float


def get_feature_names() -> list[str]:
    """Return the 55 feature names in their contract order.

    Examples
    --------
    >>> len(get_feature_names())
    55
    """
    return [spec.name for spec in FEATURES]


def warm_up_bars(frame: Timeframe) -> int:
    """Return the number of rows at the start of a history in which some feature is still NaN."""
    return max(_rows_lost(frame))


def live_window_bars(frame: Timeframe) -> int:
    """Return the number of bars whose last row equals that row of any longer history."""
    return warm_up_bars(frame) + 1


@cache
def _rows_lost(frame: Timeframe) -> tuple[int, ...]:
    """Return the rows that each column loses; asked at every bar, so it is worked out once for a time frame."""
    return tuple(memory.rows_lost(warm_up, frame) for _, warm_up, _ in _COLUMNS)


def _feature_rows(bars: BarArrays, rows: int, news: NewsCalendar | None) -> FloatArray:
    """Return features and context of the newest `rows` bars, shape (55 + 3, rows), NaN before each warm-up."""
    shared = Indicators(bars, rows, news)
    missing = len(bars.times) - rows
    columns = np.empty((len(_COLUMNS), rows))
    for column, (_, _, measure), warm_up in zip(columns, _COLUMNS, _rows_lost(shared.frame), strict=True):
        column[:] = measure(shared)
        if warm_up > missing:
            column[: warm_up - missing] = np.nan
    return columns


def add_all_features(
    bars: pd.DataFrame, news: NewsCalendar | None = None, frame: Timeframe | None = None
) -> pd.DataFrame:
    """Add the 55 features and the context columns to a bar frame.

    Parameters
    ----------
    bars : pandas.DataFrame
        Bars as `validate_bars` returns them, n rows, closed bars only.
    news : NewsCalendar, optional
        Scheduled releases. Without one, the four news columns hold their declared neutral
        value (see `FeatureSpec.neutral`); so they do where the calendar has no event within a day.
    frame : Timeframe, optional
        Of the bars; without one, the length that most of them have.

    Returns
    -------
    pandas.DataFrame
        The columns of `bars`, the features in contract order, then `atr` (USD), `adx`
        (0 to 100) and `ema200_distance` (ATR); same index. Rows before a feature's warm-up
        are NaN, no later row is.

    Raises
    ------
    DataError
        When the bars are empty, lack a column, are not rising bars of the time frame, or already carry a
        column of one of these names.
    """
    names = [*get_feature_names(), *CONTEXT_COLUMNS]
    taken = [name for name in names if name in bars.columns]
    if taken:
        raise DataError(f"the bars already have column(s) {', '.join(taken)}; give the bars without features")
    columns = _feature_rows(BarArrays.from_bars(bars, (frame or timeframe_of(bars)).seconds), len(bars), news)
    featured = pd.concat([bars, pd.DataFrame(columns.T, index=bars.index, columns=names, copy=False)], axis=1)
    # concat drops the labels of the bars (synthetic or not, venue), which must travel on.
    featured.attrs = dict(bars.attrs)
    return featured


def latest_bar(
    bars: pd.DataFrame | BarArrays, news: NewsCalendar | None = None, frame: Timeframe | None = None
) -> LatestBar:
    """Compute the features and context of the newest bar from a live window.

    Parameters
    ----------
    bars : BarArrays or pandas.DataFrame
        At least `live_window_bars(frame)` bars, the last one closed. Arrays, as a broker gives
        them at every close, spare the way through a frame.
    news : NewsCalendar, optional
        As in `add_all_features`.
    frame : Timeframe, optional
        Of the bars, as in `add_all_features`; arrays say it themselves.

    Raises
    ------
    DataError
        When the window is too short: a half-warm value would differ from the one trained on.
        When it is not in rising order on the grid.
    """
    frame = bars.frame if isinstance(bars, BarArrays) else frame or timeframe_of(bars)
    needed = live_window_bars(frame)
    if len(bars) < needed:
        raise DataError(
            f"{len(bars)} bars are too few for the features: request at least {needed} closed {frame.name} bars"
        )
    if isinstance(bars, BarArrays):
        window = bars.newest(needed)
        window.check()
    else:
        window = BarArrays.from_bars(bars.iloc[-needed:], frame.seconds)
    newest = _feature_rows(window, 1, news)[:, 0]
    count = len(FEATURES)
    atr, adx, ema200_distance = newest[count:].tolist()
    return LatestBar(int(window.times[-1]), newest[:count].copy(), atr, adx, ema200_distance)


def warm() -> None:
    """Load the compiled kernels, so that the first bar of a bot does not wait for them.

    The shapes are those of a live window: Numba compiles by kind of array, not by length.
    """
    window = live_window_bars(USUAL)
    price = np.full(window, 1.0)
    bars = BarArrays(np.arange(window, dtype=np.int64) * USUAL.seconds, price, price, price, price, price)
    latest_bar(bars, NewsCalendar.from_times(np.zeros(1, dtype=np.int64)))


def latest_features(
    bars: pd.DataFrame | BarArrays, news: NewsCalendar | None = None, frame: Timeframe | None = None
) -> FloatArray:
    """Return the newest bar's features in contract order, shape (55,); see `latest_bar`."""
    return latest_bar(bars, news, frame).features
