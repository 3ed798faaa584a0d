"""Trend: where price stands against its averages, and how straight it got there."""

from __future__ import annotations

from . import memory
from .bar_arrays import FloatArray
from .indicators import Indicators, directional_index, exponential_average
from .windows import change, path_efficiency, squashed_mean


def trend_features(shared: Indicators) -> dict[str, FloatArray]:
    """Return the trend columns, each of shape (n,); distances in ATR."""
    close, unit, day_first = shared.bars.close, shared.unit, shared.day_first
    fast = exponential_average(close, day_first, memory.MACD_FAST, memory.SHORT_LEAD)
    slow = exponential_average(close, day_first, memory.MACD_SLOW, memory.SHORT_LEAD)
    macd_line = fast - slow
    macd_signal = exponential_average(macd_line, day_first, memory.MACD_SIGNAL, memory.SHORT_LEAD)
    above_fast = (close - shared.ema20) / unit
    fast_over_middle = (shared.ema20 - shared.ema50) / unit
    return {
        "price_vs_ema20": above_fast,
        "price_vs_ema50": (close - shared.ema50) / unit,
        "price_vs_ema200": (close - shared.ema200) / unit,
        "ema_stack": squashed_mean(above_fast, fast_over_middle, (shared.ema50 - shared.ema200) / unit),
        "ema_crossover": fast_over_middle,
        "ema_slope_5": change(shared.ema20, memory.SLOPE_BARS) / unit,
        "trend_strength": path_efficiency(close, memory.TREND_BARS),
        "macd_line": macd_line / unit,
        "macd_signal": macd_signal / unit,
        "macd_hist": (macd_line - macd_signal) / unit,
        "adx_14": directional_index(shared.bars, day_first),
    }
