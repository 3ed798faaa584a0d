"""Volume: always against its own recent mean, for every source counts something else."""

from __future__ import annotations

from novosky.market.bar_arrays import FloatArray

from . import memory
from .feature_spec import FeatureSpec
from .indicators import Indicators, ratio_or
from .windows import rolling_mean

_SHORT_BARS, _LONG_BARS = 10, 50


def _over_usual(shared: Indicators, neutral: float) -> FloatArray:
    usual = rolling_mean(shared.bars.volume, memory.VOLUME_BARS, shared.rows)
    return ratio_or(shared.newest(shared.bars.volume), usual, neutral)


def _delta(shared: Indicators) -> FloatArray:
    # Where the close lies in the bar's range says which side the volume was on.
    close, high, low = shared.close, shared.high, shared.low
    return ratio_or((close - low) - (high - close), high - low, 0.0) * _over_usual(shared, 0.0)


def _trend(shared: Indicators) -> FloatArray:
    short, long = (rolling_mean(shared.bars.volume, bars, shared.rows) for bars in (_SHORT_BARS, _LONG_BARS))
    return ratio_or(short, long, 1.0)


VOLUME: tuple[FeatureSpec, ...] = (
    FeatureSpec(
        10,
        "volume_ratio",
        memory.VOLUME_BARS - 1,
        1.0,
        "Volume over its 20-bar mean.",
        lambda shared: _over_usual(shared, 1.0),
    ),
    FeatureSpec(
        18,
        "volume_delta",
        memory.VOLUME_BARS - 1,
        0.0,
        "Close's place in the bar, -1 to 1, times volume_ratio.",
        _delta,
    ),
    FeatureSpec(32, "volume_trend", _LONG_BARS - 1, 1.0, "10-bar mean volume over 50-bar mean volume.", _trend),
)
