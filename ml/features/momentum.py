"""Momentum: how far and how steadily price has moved."""

from __future__ import annotations

import numpy as np

from . import memory
from .bar_arrays import FloatArray
from .indicators import Indicators
from .windows import change, log_return, range_share, relative_change, run_length


def momentum_features(shared: Indicators) -> dict[str, FloatArray]:
    """Return the momentum columns, each of shape (n,); distances in ATR, returns as logs."""
    bars, unit, rsi = shared.bars, shared.unit, shared.rsi
    close = bars.close
    body = close - bars.open
    direction = np.sign(body)
    period = memory.WILDER_PERIOD
    return {
        "rsi_14": rsi,
        "rsi_slope": change(rsi, memory.SLOPE_BARS) / memory.SLOPE_BARS,
        "rsi_divergence": range_share(close, close, close, period) - range_share(rsi, rsi, rsi, period),
        "hourly_return": log_return(close, 4),
        "return_96": log_return(close, 96),
        "momentum_5": change(close, 5) / unit,
        "momentum_10": change(close, 10) / unit,
        "rate_of_change": relative_change(close, memory.RATE_BARS),
        "close_vs_open": body / unit,
        "candle_direction": direction,
        "consecutive_direction": run_length(direction, memory.RUN_CAP),
    }
