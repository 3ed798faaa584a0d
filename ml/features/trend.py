"""Trend: where price stands against its averages, and how straight it got there."""

from __future__ import annotations

from novosky.market.bar_arrays import FloatArray

from . import memory
from .feature_spec import FeatureSpec
from .indicators import Indicators
from .windows import change, path_efficiency, squashed_mean

_ATR = memory.WILDER_WARM_UP


def _above_fast(shared: Indicators) -> FloatArray:
    return (shared.close - shared.newest(shared.ema20)) / shared.unit


def _fast_over_middle(shared: Indicators) -> FloatArray:
    return (shared.newest(shared.ema20) - shared.ema50) / shared.unit


def _stack(shared: Indicators) -> FloatArray:
    middle_over_slow = (shared.ema50 - shared.ema200) / shared.unit
    return squashed_mean(_above_fast(shared), _fast_over_middle(shared), middle_over_slow)


TREND: tuple[FeatureSpec, ...] = (
    FeatureSpec(
        3,
        "price_vs_ema200",
        memory.EMA200_WARM_UP,
        None,
        "Close minus EMA200, in ATR.",
        lambda shared: (shared.close - shared.ema200) / shared.unit,
    ),
    FeatureSpec(
        7,
        "trend_strength",
        memory.TREND_BARS,
        0.0,
        "Net move over path length, 48 bars, -1 to 1.",
        lambda shared: path_efficiency(shared.bars.close, memory.TREND_BARS, shared.rows),
    ),
    FeatureSpec(
        8,
        "macd_signal",
        memory.MACD_SIGNAL_WARM_UP,
        None,
        "EMA9 of the MACD line, in ATR.",
        lambda shared: shared.macd_signal / shared.unit,
    ),
    FeatureSpec(
        9,
        "macd_line",
        _ATR,
        None,
        "EMA12 minus EMA26, in ATR.",
        lambda shared: shared.newest(shared.macd_line) / shared.unit,
    ),
    FeatureSpec(
        11,
        "price_vs_ema50",
        memory.EMA50_WARM_UP,
        None,
        "Close minus EMA50, in ATR.",
        lambda shared: (shared.close - shared.ema50) / shared.unit,
    ),
    FeatureSpec(12, "price_vs_ema20", _ATR, None, "Close minus EMA20, in ATR.", _above_fast),
    FeatureSpec(
        16,
        "ema_stack",
        memory.EMA200_WARM_UP,
        None,
        "How well close, EMA20, EMA50, EMA200 are stacked, -1 to 1.",
        _stack,
    ),
    FeatureSpec(
        21,
        "macd_hist",
        memory.MACD_SIGNAL_WARM_UP,
        None,
        "MACD line minus its signal, in ATR.",
        lambda shared: (shared.newest(shared.macd_line) - shared.macd_signal) / shared.unit,
    ),
    FeatureSpec(22, "ema_crossover", memory.EMA50_WARM_UP, None, "EMA20 minus EMA50, in ATR.", _fast_over_middle),
    FeatureSpec(
        23,
        "ema_slope_5",
        _ATR + memory.SLOPE_BARS,
        None,
        "Change of EMA20 over 5 bars, in ATR.",
        lambda shared: change(shared.ema20, memory.SLOPE_BARS, shared.rows) / shared.unit,
    ),
    FeatureSpec(53, "adx_14", memory.ADX_WARM_UP, 0.0, "Wilder's ADX, 0 to 100.", lambda shared: shared.adx),
)
