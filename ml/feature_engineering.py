"""Bars into the 55 features, the same code for training, backtest and bot.

`add_all_features` computes a whole history, `latest_features` the newest row of a live
window. Both run the same kernels, and every measurement looks back over a fixed number of
bars, so the two give the same bytes as soon as the window holds `live_window_bars()` bars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml.features import memory
from ml.features.bar_arrays import BarArrays, FloatArray
from ml.features.catalogue import FEATURES, PROTECTED_FEATURES, FeatureSpec
from ml.features.higher_timeframes import higher_timeframe_features
from ml.features.indicators import compute_indicators
from ml.features.momentum import momentum_features
from ml.features.news_features import news_features
from ml.features.time_of_week import time_features
from ml.features.trend import trend_features
from ml.features.volatility import volatility_features
from ml.features.volume import volume_features
from novosky.errors import DataError
from novosky.market.news import NewsCalendar

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
    "warm_up_bars",
]

# What gates and sizing need beside the features, with the rows each one loses.
_CONTEXT_WARM_UPS: tuple[tuple[str, int], ...] = (
    ("atr", memory.WILDER_WARM_UP),
    ("adx", memory.ADX_WARM_UP),
    ("ema200_distance", memory.EMA200_WARM_UP),
)
CONTEXT_COLUMNS: tuple[str, ...] = tuple(name for name, _ in _CONTEXT_WARM_UPS)


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


def warm_up_bars() -> int:
    """Return the number of rows at the start of a history in which some feature is still NaN."""
    return max(max(spec.warm_up for spec in FEATURES), max(rows for _, rows in _CONTEXT_WARM_UPS))


def live_window_bars() -> int:
    """Return the number of bars whose last row equals that row of any longer history."""
    return warm_up_bars() + 1


def _feature_rows(bars: BarArrays, news: NewsCalendar | None) -> FloatArray:
    """Return features and context as one matrix, shape (55 + 3, n), NaN before each warm-up."""
    shared = compute_indicators(bars)
    columns = {
        **trend_features(shared),
        **momentum_features(shared),
        **volatility_features(shared),
        **volume_features(shared),
        **higher_timeframe_features(shared),
        **time_features(bars.times),
        **news_features(bars.times, news),
    }
    columns |= {"atr": shared.atr, "adx": columns["adx_14"], "ema200_distance": columns["price_vs_ema200"]}
    warm_ups = (*((spec.name, spec.warm_up) for spec in FEATURES), *_CONTEXT_WARM_UPS)
    rows = np.empty((len(warm_ups), len(bars.times)))
    for row, (name, warm_up) in zip(rows, warm_ups, strict=True):
        row[:] = columns[name]
        row[:warm_up] = np.nan
    return rows


def add_all_features(bars: pd.DataFrame, news: NewsCalendar | None = None) -> pd.DataFrame:
    """Add the 55 features and the context columns to a bar frame.

    Parameters
    ----------
    bars : pandas.DataFrame
        M15 bars as `validate_bars` returns them, n rows, closed bars only.
    news : NewsCalendar, optional
        Scheduled releases. Without one, the four news columns hold their declared neutral
        value (see `FeatureSpec.neutral`); so they do where the calendar has no event within a day.

    Returns
    -------
    pandas.DataFrame
        The columns of `bars`, the features in contract order, then `atr` (USD), `adx`
        (0 to 100) and `ema200_distance` (ATR); same index. Rows before a feature's warm-up
        are NaN, no later row is.

    Raises
    ------
    DataError
        When the bars are empty, lack a column, are not rising M15 bars, or already carry a
        column of one of these names.
    """
    names = [*get_feature_names(), *CONTEXT_COLUMNS]
    taken = [name for name in names if name in bars.columns]
    if taken:
        raise DataError(f"the bars already have column(s) {', '.join(taken)}; give the bars without features")
    rows = _feature_rows(BarArrays.from_bars(bars), news)
    frame = pd.concat([bars, pd.DataFrame(rows.T, index=bars.index, columns=names, copy=False)], axis=1)
    # concat drops the labels of the bars (synthetic or not, venue), which must travel on.
    frame.attrs = dict(bars.attrs)
    return frame


def latest_bar(bars: pd.DataFrame, news: NewsCalendar | None = None) -> LatestBar:
    """Compute the features and context of the newest bar from a live window.

    Parameters
    ----------
    bars : pandas.DataFrame
        At least `live_window_bars()` M15 bars, the last one closed.
    news : NewsCalendar, optional
        As in `add_all_features`.

    Raises
    ------
    DataError
        When the window is too short: a half-warm value would differ from the one trained on.
    """
    needed = live_window_bars()
    if len(bars) < needed:
        raise DataError(f"{len(bars)} bars are too few for the features: request at least {needed} closed M15 bars")
    arrays = BarArrays.from_bars(bars.iloc[-needed:])
    newest = _feature_rows(arrays, news)[:, -1]
    count = len(FEATURES)
    atr, adx, ema200_distance = newest[count:].tolist()
    return LatestBar(int(arrays.times[-1]), newest[:count].copy(), atr, adx, ema200_distance)


def latest_features(bars: pd.DataFrame, news: NewsCalendar | None = None) -> FloatArray:
    """Return the newest bar's features in contract order, shape (55,); see `latest_bar`."""
    return latest_bar(bars, news).features
