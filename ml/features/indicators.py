"""The indicators several features share, each computed once and only as far back as it is read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from novosky.compiled import compiled
from novosky.market.bar_arrays import BarArrays, FloatArray, IntArray
from novosky.market.news import NewsCalendar
from novosky.market.sessions import session_mask
from novosky.market.timeframe import Timeframe

from . import memory
from .memory import LONG_BARS
from .recursions import anchored_average, day_first_rows, directional_moves
from .windows import change, log_return, rolling_mean, rolling_std, true_range

# Divisors in price never fall below this share of the close, so that a market that stands
# still gives distances of zero rather than a division by zero. A millionth of the price is
# far below the spread of any instrument the house trades.
LEAST_RANGE_SHARE = 1e-6


@compiled
def ratio_or(numerator: FloatArray, denominator: FloatArray, neutral: float) -> FloatArray:
    """Return numerator / denominator, and the declared `neutral` where the denominator is 0, shape (n,)."""
    n = numerator.shape[0]
    out = np.empty(n)
    for row in range(n):
        out[row] = numerator[row] / denominator[row] if denominator[row] != 0.0 else neutral
    return out


@dataclass(frozen=True, eq=False)
class Indicators:
    """Indicators of the newest `rows` of some bars.

    Every column ends at the newest bar. Unless it says otherwise it has the shape (rows,);
    one that a reader follows further back is longer by so much, as far as there are bars.
    Values are NaN before their warm-up.

    Parameters
    ----------
    bars : BarArrays
        n bars.
    rows : int
        Rows wanted, 1 to n: n for a history, 1 for a bar that has just closed.
    news : NewsCalendar, optional
    """

    bars: BarArrays
    rows: int
    news: NewsCalendar | None = None

    @cached_property
    def frame(self) -> Timeframe:
        """The length of the bars."""
        return self.bars.frame

    def reach(self, further: int) -> int:
        """Return the rows wanted and `further` ones before them, at most all there are."""
        return min(self.rows + further, len(self.bars.times))

    def newest(self, values: FloatArray) -> FloatArray:
        """Return the newest `rows` of a longer column."""
        return values[len(values) - self.rows :]

    def run_in(self, lead: int, rows: int) -> int:
        """Return how many of the newest values the anchored average of the newest `rows` reads."""
        n = len(self.bars.times)
        return min(n, n - int(self.day_first[n - rows]) + lead)

    def exponential(self, values: FloatArray, span: int, lead: int, rows: int) -> FloatArray:
        """Return the EMA of `span` bars (weight 2 / (span + 1)), anchored per UTC day, shape (rows,)."""
        return anchored_average(values, self.day_first, 2.0 / (span + 1.0), lead, rows)

    def wilder(self, values: FloatArray, rows: int) -> FloatArray:
        """Return Wilder's 14-bar average (weight 1 / 14), anchored per UTC day, shape (rows,)."""
        return anchored_average(values, self.day_first, 1.0 / memory.WILDER_PERIOD, memory.SHORT_LEAD, rows)

    @cached_property
    def close(self) -> FloatArray:
        """Closes of the rows, USD."""
        return self.newest(self.bars.close)

    @cached_property
    def high(self) -> FloatArray:
        """Highs of the rows, USD."""
        return self.newest(self.bars.high)

    @cached_property
    def low(self) -> FloatArray:
        """Lows of the rows, USD."""
        return self.newest(self.bars.low)

    @cached_property
    def times(self) -> IntArray:
        """Opens of the rows, seconds since 1970-01-01 UTC."""
        return self.bars.times[len(self.bars.times) - self.rows :]

    @cached_property
    def sessions(self) -> npt.NDArray[np.uint8]:
        """Sessions open at each row's open, as `session_mask` counts them."""
        return session_mask(self.times)

    @cached_property
    def day_first(self) -> IntArray:
        """First row of each bar's UTC day, shape (n,)."""
        return day_first_rows(self.bars.times)

    @cached_property
    def atr(self) -> FloatArray:
        """Wilder's average true range of 14 bars, USD."""
        bars = self.bars
        ranges = true_range(bars.high, bars.low, bars.close, self.run_in(memory.SHORT_LEAD, self.rows))
        return self.wilder(ranges, self.rows)

    @cached_property
    def unit(self) -> FloatArray:
        """ATR, never below a millionth of the close: what distances are counted in, USD."""
        return np.maximum(self.atr, LEAST_RANGE_SHARE * self.close)

    @cached_property
    def ema20(self) -> FloatArray:
        """EMA20 of the close, USD, as far back as its slope is taken: `SLOPE_BARS` rows more."""
        return self.exponential(self.bars.close, memory.FAST_EMA, memory.SHORT_LEAD, self.reach(memory.SLOPE_BARS))

    @cached_property
    def ema50(self) -> FloatArray:
        """EMA50 of the close, USD."""
        return self.exponential(self.bars.close, memory.MIDDLE_EMA, memory.MIDDLE_LEAD, self.rows)

    @cached_property
    def ema200(self) -> FloatArray:
        """EMA200 of the close, USD."""
        return self.exponential(self.bars.close, memory.SLOW_EMA, memory.SLOW_LEAD, self.rows)

    @cached_property
    def macd_line(self) -> FloatArray:
        """EMA12 minus EMA26, USD, as far back as the signal line reads it."""
        rows = self.run_in(memory.SHORT_LEAD, self.rows)
        fast = self.exponential(self.bars.close, memory.MACD_FAST, memory.SHORT_LEAD, rows)
        return fast - self.exponential(self.bars.close, memory.MACD_SLOW, memory.SHORT_LEAD, rows)

    @cached_property
    def macd_signal(self) -> FloatArray:
        """EMA9 of the MACD line, USD."""
        return self.exponential(self.macd_line, memory.MACD_SIGNAL, memory.SHORT_LEAD, self.rows)

    @cached_property
    def rsi(self) -> FloatArray:
        """Wilder's RSI(14), 0 to 100, with `RSI_REACH` rows more; 50 where there was no move at all.

        J. Welles Wilder, New Concepts in Technical Trading Systems (1978).
        """
        rows = self.reach(memory.RSI_REACH)
        moves = change(self.bars.close, 1, self.run_in(memory.SHORT_LEAD, rows))
        # The first bar has no move; what it would have been is forgotten within the run-in.
        if len(moves) == len(self.bars.close):
            moves[0] = 0.0
        gains = self.wilder(np.maximum(moves, 0.0), rows)
        losses = self.wilder(np.maximum(-moves, 0.0), rows)
        return 50.0 + 50.0 * ratio_or(gains - losses, gains + losses, 0.0)

    @cached_property
    def adx(self) -> FloatArray:
        """Wilder's ADX(14), 0 to 100; 0 where there was no directional move."""
        # An average of averages: each of the days in its run-in has a run-in of its own.
        rows = self.run_in(memory.SHORT_LEAD, self.rows)
        plus, minus = directional_moves(self.bars.high, self.bars.low, self.run_in(memory.SHORT_LEAD, rows))
        up, down = self.wilder(plus, rows), self.wilder(minus, rows)
        return self.wilder(100.0 * ratio_or(np.abs(up - down), up + down, 0.0), self.rows)

    @cached_property
    def band_mean(self) -> FloatArray:
        """Mean of the last 20 closes, USD."""
        return rolling_mean(self.bars.close, memory.BAND_BARS, self.rows)

    @cached_property
    def band_deviation(self) -> FloatArray:
        """Population standard deviation of the last 20 closes, USD."""
        return rolling_std(self.bars.close, memory.BAND_BARS, self.rows)

    @cached_property
    def mean_range(self) -> FloatArray:
        """Mean true range of 96 bars, USD."""
        bars = self.bars
        ranges = true_range(bars.high, bars.low, bars.close, self.reach(LONG_BARS - 1))
        return rolling_mean(ranges, LONG_BARS, self.rows)

    @cached_property
    def _returns(self) -> FloatArray:
        return log_return(self.bars.close, 1, self.reach(LONG_BARS - 1))

    @cached_property
    def recent_volatility(self) -> FloatArray:
        """Standard deviation of the last 20 log returns."""
        return rolling_std(self._returns, memory.BAND_BARS, self.rows)

    @cached_property
    def day_volatility(self) -> FloatArray:
        """Standard deviation of 96 log returns."""
        return rolling_std(self._returns, LONG_BARS, self.rows)
