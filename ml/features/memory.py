"""How far back each measurement looks. Warm-ups in the rooms' tables are sums of these.

Lengths are counted in bars, whatever the time frame: an EMA of 200 bars is one of 200 bars. What
depends on the frame is how many bars a UTC day has, at whose start averages are anchored, and how
many bars make a higher one.
"""

from __future__ import annotations

from dataclasses import dataclass

from novosky.market.timeframe import Timeframe

LONG_BARS = 96
"""Of `return_96` and its like: a day of M15 bars, and as many of any other."""

FAST_EMA, MIDDLE_EMA, SLOW_EMA = 20, 50, 200
MACD_FAST, MACD_SLOW, MACD_SIGNAL = 12, 26, 9
WILDER_PERIOD = 14
BAND_BARS = 20
VOLUME_BARS = 20
RANGE_BARS = 48
TREND_BARS = 48
RATE_BARS = 24
DRAWDOWN_BARS = 960
RUN_CAP = 10
SLOPE_BARS = 5
HIGHER_TREND_BARS = 20
# Single values that a feature compares with the RSI of its own row: the oldest one it reads.
RSI_REACH = max(SLOPE_BARS, WILDER_PERIOD - 1)

# Run-in of the anchored averages, in bars: long enough that what is forgotten weighs less than
# 1e-8 for EMA200 and less than 1e-14 for the others.
SHORT_LEAD = 5 * LONG_BARS
MIDDLE_LEAD = 10 * LONG_BARS
SLOW_LEAD = 20 * LONG_BARS


@dataclass(frozen=True)
class WarmUp:
    """Rows that are lost at the start of a history: a number of bars, and the rest of so many whole UTC days.

    Attributes
    ----------
    bars : int
    days : int
        Days at whose first bar something begins; each costs at worst all its bars but one.
    """

    bars: int = 0
    days: int = 0

    def at(self, frame: Timeframe) -> int:
        """Return the rows lost with bars of this length."""
        return self.bars + self.days * (frame.bars_per_day - 1)

    def __add__(self, more: WarmUp | int) -> WarmUp:
        """Return what is lost when one measurement reads another that far back."""
        if isinstance(more, int):
            return WarmUp(self.bars + more, self.days)
        return WarmUp(self.bars + more.bars, self.days + more.days)


@dataclass(frozen=True)
class HigherWarmUp:
    """Rows that are lost until so many closed bars of a higher time frame are surely whole.

    Attributes
    ----------
    higher_bars : int
    seconds : int
        Length of a higher bar; where a bar itself is longer, the bar stands in for it.
    """

    higher_bars: int
    seconds: int

    def at(self, frame: Timeframe) -> int:
        """Return the rows lost with bars of this length.

        In the worst case the row sits one bar before the end of an unfinished higher bar, so one
        less than a higher bar's bars belong to that one and the rest must hold the closed ones.
        """
        return (self.higher_bars + 1) * max(self.seconds // frame.seconds, 1) - 2


LostRows = int | WarmUp | HigherWarmUp
"""As the rooms' tables state it; a plain number is one of bars."""


def rows_lost(warm_up: LostRows, frame: Timeframe) -> int:
    """Return how many rows at the start of a history are lost with bars of this length."""
    return warm_up if isinstance(warm_up, int) else warm_up.at(frame)


def anchored_warm_up(lead: int) -> WarmUp:
    """Return the rows lost to an anchored average: its run-in and the rest of a whole day."""
    return WarmUp(lead, 1)


EMA50_WARM_UP = anchored_warm_up(MIDDLE_LEAD)
EMA200_WARM_UP = anchored_warm_up(SLOW_LEAD)
# True ranges and moves also look at the bar before their own.
WILDER_WARM_UP = anchored_warm_up(SHORT_LEAD) + 1
MACD_WARM_UP = anchored_warm_up(SHORT_LEAD)
MACD_SIGNAL_WARM_UP = MACD_WARM_UP + anchored_warm_up(SHORT_LEAD)
ADX_WARM_UP = WILDER_WARM_UP + anchored_warm_up(SHORT_LEAD)
