"""Higher time frames on the UTC grid, closed bars only."""

from __future__ import annotations

from . import memory
from .bar_arrays import FloatArray
from .higher_bars import closed_higher_bars, deviation_score, gather, simple_rsi
from .indicators import LEAST_RANGE_SHARE, Indicators

_MINUTES_30, _HOUR, _HOURS_4, _DAY = 1_800, 3_600, 14_400, 86_400


def higher_timeframe_features(shared: Indicators) -> dict[str, FloatArray]:
    """Return the higher-timeframe columns, each of shape (n,), constant within a higher bar."""
    times, close = shared.bars.times, shared.bars.close
    columns: dict[str, FloatArray] = {}
    for name, seconds, rsi_name in (
        ("m30_trend", _MINUTES_30, None),
        ("higher_tf_trend", _HOUR, "h1_rsi_norm"),
        ("h4_trend", _HOURS_4, "h4_rsi_norm"),
        ("d1_trend", _DAY, None),
    ):
        closes, last_closed = closed_higher_bars(times, close, seconds)
        score = deviation_score(closes, memory.HIGHER_TREND_BARS, LEAST_RANGE_SHARE)
        columns[name] = gather(score, last_closed)
        if rsi_name is not None:
            columns[rsi_name] = gather(simple_rsi(closes, memory.WILDER_PERIOD), last_closed)
    return columns
