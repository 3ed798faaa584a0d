"""Volatility: how wide the market swings, and where price stands inside the swing."""

from __future__ import annotations

import math

import numpy as np

from novosky.compiled import compiled

from . import memory
from .bar_arrays import BARS_PER_DAY, FloatArray
from .indicators import Indicators, ratio_or
from .windows import day_range_share, range_share, rolling_max, rolling_mean, rolling_std


@compiled
def round_number_distance(close: FloatArray) -> FloatArray:
    """Return the distance to the nearest round price, in steps, 0 (on it) to 0.5, shape (n,).

    A round price is a multiple of a tenth of the price's power of ten: 1,000 USD at
    62,000 USD, 10 USD at 320 USD; so the column means the same at every price level.
    """
    n = close.shape[0]
    out = np.empty(n)
    for row in range(n):
        steps = close[row] / 10.0 ** (math.floor(math.log10(close[row])) - 1.0)
        share = steps - math.floor(steps)
        out[row] = min(share, 1.0 - share)
    return out


def volatility_features(shared: Indicators) -> dict[str, FloatArray]:
    """Return the volatility columns, each of shape (n,); distances in ATR, the rest fractions."""
    bars, unit = shared.bars, shared.unit
    close, high, low = bars.close, bars.high, bars.low
    width = 2.0 * shared.band_deviation
    recent = rolling_std(shared.returns, memory.BAND_BARS)
    daily = rolling_std(shared.returns, BARS_PER_DAY)
    return {
        "bb_upper": (shared.band_mean + width - close) / unit,
        "bb_lower": (close - shared.band_mean + width) / unit,
        "bb_width": 2.0 * width / shared.band_mean,
        "atr_14": shared.atr / close,
        "atr_ratio": ratio_or(shared.atr, rolling_mean(shared.true_range, BARS_PER_DAY), 1.0),
        "high_low_ratio": (high - low) / unit,
        "range_position": range_share(close, low, high, memory.RANGE_BARS),
        "daily_range_position": day_range_share(close, low, high, shared.day_first),
        "drawdown_pct": 1.0 - close / rolling_max(high, memory.DRAWDOWN_BARS),
        "volatility_20": recent,
        "volatility_96": daily,
        "volatility_ratio": ratio_or(recent, daily, 1.0),
        "round_distance": round_number_distance(close),
    }
