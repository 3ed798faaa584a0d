"""Higher time frames on the UTC grid, closed bars only: columns are constant within a higher bar.

The names are those of time frames, whatever the bars are: `h1_rsi_norm` of M5 bars is that of H1. Where
a bar is as long as the named one or longer, the column is that of the bars themselves.
"""

from __future__ import annotations

from novosky.market.bar_arrays import FloatArray, IntArray
from novosky.market.timeframe import TIMEFRAMES

from . import memory
from .feature_spec import FeatureSpec, Measure
from .higher_bars import closed_higher_bars, deviation_score, gather, simple_rsi
from .indicators import LEAST_RANGE_SHARE, Indicators

_MINUTES_30, _HOUR, _HOURS_4, _DAY = (TIMEFRAMES[name].seconds for name in ("M30", "H1", "H4", "D1"))
_RSI_BARS = memory.WILDER_PERIOD + 1


def _closed(shared: Indicators, higher_bars: int, seconds: int) -> tuple[FloatArray, IntArray]:
    bars = shared.bars
    # A bar that is longer than the named time frame has closed several of them at once: it stands in for them.
    length = max(seconds, bars.bar_seconds)
    # The oldest higher bar may begin before what is read; its close, the last of its bars, does not.
    seen = shared.reach(memory.HigherWarmUp(higher_bars, seconds).at(shared.frame))
    return closed_higher_bars(bars.times[-seen:], bars.close[-seen:], length, bars.bar_seconds)


def _trend(seconds: int) -> Measure:
    def measure(shared: Indicators) -> FloatArray:
        closes, last_closed = _closed(shared, memory.HIGHER_TREND_BARS, seconds)
        score = deviation_score(closes, memory.HIGHER_TREND_BARS, LEAST_RANGE_SHARE)
        return gather(score, last_closed, shared.rows)

    return measure


def _rsi(seconds: int) -> Measure:
    def measure(shared: Indicators) -> FloatArray:
        closes, last_closed = _closed(shared, _RSI_BARS, seconds)
        return gather(simple_rsi(closes, memory.WILDER_PERIOD), last_closed, shared.rows)

    return measure


HIGHER_TIMEFRAMES: tuple[FeatureSpec, ...] = (
    FeatureSpec(
        33,
        "higher_tf_trend",
        memory.HigherWarmUp(memory.HIGHER_TREND_BARS, _HOUR),
        None,
        "Last closed H1 close in deviations from its 20-bar mean.",
        _trend(_HOUR),
    ),
    FeatureSpec(
        34,
        "m30_trend",
        memory.HigherWarmUp(memory.HIGHER_TREND_BARS, _MINUTES_30),
        None,
        "Last closed M30 close in deviations from its 20-bar mean.",
        _trend(_MINUTES_30),
    ),
    FeatureSpec(
        35,
        "h1_rsi_norm",
        memory.HigherWarmUp(_RSI_BARS, _HOUR),
        0.0,
        "Cutler's RSI(14) of closed H1 bars, -1 to 1.",
        _rsi(_HOUR),
    ),
    FeatureSpec(
        36,
        "h4_rsi_norm",
        memory.HigherWarmUp(_RSI_BARS, _HOURS_4),
        0.0,
        "Cutler's RSI(14) of closed H4 bars, -1 to 1.",
        _rsi(_HOURS_4),
    ),
    FeatureSpec(
        48,
        "h4_trend",
        memory.HigherWarmUp(memory.HIGHER_TREND_BARS, _HOURS_4),
        None,
        "Last closed H4 close in deviations from its 20-bar mean.",
        _trend(_HOURS_4),
    ),
    FeatureSpec(
        49,
        "d1_trend",
        memory.HigherWarmUp(memory.HIGHER_TREND_BARS, _DAY),
        None,
        "Last closed D1 close in deviations from its 20-bar mean.",
        _trend(_DAY),
    ),
)
