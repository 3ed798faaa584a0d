"""Volatility: how wide the market swings, and where price stands inside the swing."""

from __future__ import annotations

import math

import numpy as np

from novosky.compiled import compiled
from novosky.market.bar_arrays import FloatArray

from . import memory
from .feature_spec import FeatureSpec
from .indicators import Indicators, ratio_or
from .memory import LONG_BARS
from .windows import day_range_share, range_share, rolling_max

_ATR = memory.WILDER_WARM_UP


@compiled
def round_number_distance(close: FloatArray) -> FloatArray:
    """Return the distance to the nearest round price, in steps, 0 (on it) to 0.5, shape (n,).

    A round price is a multiple of a tenth of the price's power of ten: 1,000 USD at
    62,000 USD, 10 USD at 320 USD; so the column means the same at every price level.
    """
    n = close.shape[0]
    out = np.empty(n)
    for row in range(n):
        # A round price has two digits: a step is 1,000 at 50,000 and 100 at 5,000.
        steps = close[row] / 10.0 ** (math.floor(math.log10(close[row])) - 1.0)
        share = steps - math.floor(steps)
        out[row] = min(share, 1.0 - share)
    return out


def _range_position(shared: Indicators) -> FloatArray:
    bars = shared.bars
    return range_share(bars.close, bars.low, bars.high, memory.RANGE_BARS, shared.rows)


def _day_position(shared: Indicators) -> FloatArray:
    bars = shared.bars
    return day_range_share(bars.close, bars.low, bars.high, shared.day_first, shared.rows)


VOLATILITY: tuple[FeatureSpec, ...] = (
    FeatureSpec(
        0,
        "bb_upper",
        _ATR,
        None,
        "Upper Bollinger band (20, 2) minus close, in ATR.",
        lambda shared: (shared.band_mean + 2.0 * shared.band_deviation - shared.close) / shared.unit,
    ),
    FeatureSpec(
        1,
        "bb_lower",
        _ATR,
        None,
        "Close minus lower Bollinger band (20, 2), in ATR.",
        lambda shared: (shared.close - shared.band_mean + 2.0 * shared.band_deviation) / shared.unit,
    ),
    FeatureSpec(
        2,
        "range_position",
        memory.RANGE_BARS - 1,
        0.5,
        "Close in the 48-bar range: 0 low, 1 high.",
        _range_position,
    ),
    FeatureSpec(4, "atr_14", _ATR, None, "ATR as a fraction of the close.", lambda shared: shared.atr / shared.close),
    FeatureSpec(
        5,
        "drawdown_pct",
        memory.DRAWDOWN_BARS - 1,
        None,
        "Fall of the close from the 960-bar high, fraction.",
        lambda shared: 1.0 - shared.close / rolling_max(shared.bars.high, memory.DRAWDOWN_BARS, shared.rows),
    ),
    FeatureSpec(
        6,
        "bb_width",
        memory.BAND_BARS - 1,
        None,
        "Distance between the bands as a fraction of their mean.",
        lambda shared: 2.0 * (2.0 * shared.band_deviation) / shared.band_mean,
    ),
    FeatureSpec(
        15,
        "daily_range_position",
        memory.WarmUp(days=1),
        0.5,
        "Close in the UTC day's range so far: 0 low, 1 high.",
        _day_position,
    ),
    FeatureSpec(
        29,
        "atr_ratio",
        _ATR,
        1.0,
        "ATR over the 96-bar mean true range.",
        lambda shared: ratio_or(shared.atr, shared.mean_range, 1.0),
    ),
    FeatureSpec(
        30,
        "volatility_20",
        memory.BAND_BARS,
        None,
        "Standard deviation of 20 log returns.",
        lambda shared: shared.recent_volatility,
    ),
    FeatureSpec(
        31,
        "high_low_ratio",
        _ATR,
        None,
        "Range of the bar, in ATR.",
        lambda shared: (shared.high - shared.low) / shared.unit,
    ),
    FeatureSpec(
        51,
        "volatility_96",
        LONG_BARS,
        None,
        "Standard deviation of 96 log returns.",
        lambda shared: shared.day_volatility,
    ),
    FeatureSpec(
        52,
        "volatility_ratio",
        LONG_BARS,
        1.0,
        "volatility_20 over volatility_96.",
        lambda shared: ratio_or(shared.recent_volatility, shared.day_volatility, 1.0),
    ),
    FeatureSpec(
        54,
        "round_distance",
        0,
        None,
        "Distance to the nearest round price, 0 to 0.5 of its step.",
        lambda shared: round_number_distance(shared.close),
    ),
)
