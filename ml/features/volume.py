"""Volume: always against its own recent mean, for every source counts something else."""

from __future__ import annotations

from . import memory
from .bar_arrays import FloatArray
from .indicators import Indicators, ratio_or
from .windows import rolling_mean


def volume_features(shared: Indicators) -> dict[str, FloatArray]:
    """Return the volume columns, each of shape (n,), as ratios."""
    bars = shared.bars
    usual = rolling_mean(bars.volume, memory.VOLUME_BARS)
    # Where the close lies in the bar's range says which side the volume was on.
    side = ratio_or((bars.close - bars.low) - (bars.high - bars.close), bars.high - bars.low, 0.0)
    return {
        "volume_ratio": ratio_or(bars.volume, usual, 1.0),
        "volume_delta": side * ratio_or(bars.volume, usual, 0.0),
        "volume_trend": ratio_or(rolling_mean(bars.volume, 10), rolling_mean(bars.volume, 50), 1.0),
    }
