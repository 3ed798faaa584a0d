"""The indicators several rooms share, computed once per call."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import memory
from .bar_arrays import BarArrays, FloatArray, IntArray
from .recursions import anchored_average, day_first_rows, directional_moves
from .windows import change, log_return, rolling_mean, rolling_std, true_range

# Divisors in price never fall below this share of the close, so that a market that stands
# still gives distances of zero rather than a division by zero. A millionth of the price is
# far below the spread of any instrument the house trades.
LEAST_RANGE_SHARE = 1e-6


@dataclass(frozen=True, eq=False)
class Indicators:
    """Shared columns, each of shape (n,), NaN before their warm-up.

    Attributes
    ----------
    bars : BarArrays
    day_first : ndarray of int64
        First row of each row's UTC day.
    true_range, atr : ndarray
        Wilder's true range and its 14-bar Wilder average, USD.
    unit : ndarray
        ATR, never below a millionth of the close: what distances are counted in, USD.
    ema20, ema50, ema200 : ndarray
        Exponential averages of the close, USD.
    rsi : ndarray
        Wilder's RSI(14), 0 to 100; 50 where price did not move.
    band_mean, band_deviation : ndarray
        Mean and population standard deviation of the last 20 closes, USD.
    returns : ndarray
        Log return of each bar.
    """

    bars: BarArrays
    day_first: IntArray
    true_range: FloatArray
    atr: FloatArray
    unit: FloatArray
    ema20: FloatArray
    ema50: FloatArray
    ema200: FloatArray
    rsi: FloatArray
    band_mean: FloatArray
    band_deviation: FloatArray
    returns: FloatArray


def ratio_or(numerator: FloatArray, denominator: FloatArray, neutral: float) -> FloatArray:
    """Return numerator / denominator, and the declared `neutral` where the denominator is 0."""
    out = np.full(numerator.shape, neutral)
    np.divide(numerator, denominator, out=out, where=denominator != 0.0)
    return out


def exponential_average(values: FloatArray, day_first: IntArray, span: int, lead: int) -> FloatArray:
    """Return the EMA of `span` bars (weight 2 / (span + 1)), anchored per UTC day."""
    return anchored_average(values, day_first, 2.0 / (span + 1.0), lead)


def wilder_average(values: FloatArray, day_first: IntArray) -> FloatArray:
    """Return Wilder's 14-bar average (weight 1 / 14), anchored per UTC day."""
    return anchored_average(values, day_first, 1.0 / memory.WILDER_PERIOD, memory.SHORT_LEAD)


def relative_strength(close: FloatArray, day_first: IntArray) -> FloatArray:
    """Return Wilder's RSI(14), 0 to 100, shape (n,); 50 where there was no move at all.

    J. Welles Wilder, New Concepts in Technical Trading Systems (1978).
    """
    moves = change(close, 1)
    # The first bar has no move; what it would have been is forgotten within the run-in.
    moves[0] = 0.0
    gains = wilder_average(np.maximum(moves, 0.0), day_first)
    losses = wilder_average(np.maximum(-moves, 0.0), day_first)
    return 50.0 + 50.0 * ratio_or(gains - losses, gains + losses, 0.0)


def directional_index(bars: BarArrays, day_first: IntArray) -> FloatArray:
    """Return Wilder's ADX(14), 0 to 100, shape (n,); 0 where there was no directional move."""
    plus, minus = directional_moves(bars.high, bars.low)
    up, down = wilder_average(plus, day_first), wilder_average(minus, day_first)
    strength = 100.0 * ratio_or(np.abs(up - down), up + down, 0.0)
    return wilder_average(strength, day_first)


def compute_indicators(bars: BarArrays) -> Indicators:
    """Compute the shared indicators of `bars`."""
    day_first = day_first_rows(bars.times)
    ranges = true_range(bars.high, bars.low, bars.close)
    atr = wilder_average(ranges, day_first)
    return Indicators(
        bars=bars,
        day_first=day_first,
        true_range=ranges,
        atr=atr,
        unit=np.maximum(atr, LEAST_RANGE_SHARE * bars.close),
        ema20=exponential_average(bars.close, day_first, memory.FAST_EMA, memory.SHORT_LEAD),
        ema50=exponential_average(bars.close, day_first, memory.MIDDLE_EMA, memory.MIDDLE_LEAD),
        ema200=exponential_average(bars.close, day_first, memory.SLOW_EMA, memory.SLOW_LEAD),
        rsi=relative_strength(bars.close, day_first),
        band_mean=rolling_mean(bars.close, memory.BAND_BARS),
        band_deviation=rolling_std(bars.close, memory.BAND_BARS),
        returns=log_return(bars.close, 1),
    )
