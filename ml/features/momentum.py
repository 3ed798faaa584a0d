"""Momentum: how far and how steadily price has moved."""

from __future__ import annotations

import numpy as np

from novosky.market.bar_arrays import FloatArray

from . import memory
from .feature_spec import FeatureSpec
from .indicators import Indicators
from .memory import LONG_BARS
from .windows import change, log_return, range_share, relative_change, run_length

_ATR = memory.WILDER_WARM_UP


def _run(shared: Indicators) -> FloatArray:
    seen = shared.reach(memory.RUN_CAP - 1)
    bars = shared.bars
    return run_length(np.sign(bars.close[-seen:] - bars.open[-seen:]), memory.RUN_CAP, shared.rows)


def _body(shared: Indicators) -> FloatArray:
    return shared.close - shared.newest(shared.bars.open)


def _divergence(shared: Indicators) -> FloatArray:
    close, rsi, period = shared.bars.close, shared.rsi, memory.WILDER_PERIOD
    placed = range_share(close, close, close, period, shared.rows)
    return placed - range_share(rsi, rsi, rsi, period, shared.rows)


MOMENTUM: tuple[FeatureSpec, ...] = (
    FeatureSpec(13, "rsi_14", _ATR, 50.0, "Wilder's RSI, 0 to 100.", lambda shared: shared.newest(shared.rsi)),
    FeatureSpec(
        14,
        "hourly_return",
        4,
        None,
        "Log return of 4 bars.",
        lambda shared: log_return(shared.bars.close, 4, shared.rows),
    ),
    FeatureSpec(17, "candle_direction", 0, 0.0, "Sign of close minus open.", lambda shared: np.sign(_body(shared))),
    FeatureSpec(
        19,
        "rsi_slope",
        _ATR + memory.SLOPE_BARS,
        0.0,
        "Change of RSI per bar over 5 bars.",
        lambda shared: change(shared.rsi, memory.SLOPE_BARS, shared.rows) / memory.SLOPE_BARS,
    ),
    FeatureSpec(
        20,
        "consecutive_direction",
        memory.RUN_CAP - 1,
        0.0,
        "Bars in a row of this direction, signed, at most 10.",
        _run,
    ),
    FeatureSpec(
        24,
        "rsi_divergence",
        _ATR + (memory.WILDER_PERIOD - 1),
        0.0,
        "Close minus RSI, each placed in its own 14-bar range, -1 to 1.",
        _divergence,
    ),
    FeatureSpec(
        25,
        "momentum_5",
        _ATR,
        None,
        "Change of the close over 5 bars, in ATR.",
        lambda shared: change(shared.bars.close, 5, shared.rows) / shared.unit,
    ),
    FeatureSpec(
        26,
        "momentum_10",
        _ATR,
        None,
        "Change of the close over 10 bars, in ATR.",
        lambda shared: change(shared.bars.close, 10, shared.rows) / shared.unit,
    ),
    FeatureSpec(
        27,
        "rate_of_change",
        memory.RATE_BARS,
        None,
        "Return over 24 bars, fraction.",
        lambda shared: relative_change(shared.bars.close, memory.RATE_BARS, shared.rows),
    ),
    FeatureSpec(
        28, "close_vs_open", _ATR, None, "Body of the bar, in ATR.", lambda shared: _body(shared) / shared.unit
    ),
    FeatureSpec(
        50,
        "return_96",
        LONG_BARS,
        None,
        "Log return of 96 bars.",
        lambda shared: log_return(shared.bars.close, LONG_BARS, shared.rows),
    ),
)
