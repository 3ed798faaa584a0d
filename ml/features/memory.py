"""How far back each measurement looks. Warm-ups in the rooms' tables are sums of these."""

from __future__ import annotations

from novosky.market.timeframe import USUAL

DAY_SECONDS = 86_400
BARS_PER_DAY = USUAL.bars_per_day

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

# Run-in of the anchored averages, in bars: whole days, long enough that what is forgotten
# weighs less than 1e-8 for EMA200 and less than 1e-14 for the others.
SHORT_LEAD = 5 * BARS_PER_DAY
MIDDLE_LEAD = 10 * BARS_PER_DAY
SLOW_LEAD = 20 * BARS_PER_DAY


def anchored_warm_up(lead: int, bars_per_day: int = BARS_PER_DAY) -> int:
    """Return the rows lost to an anchored average: its run-in and the rest of a whole day."""
    return lead + bars_per_day - 1


def higher_warm_up(higher_bars: int, bars_each: int) -> int:
    """Return the rows lost until `higher_bars` closed bars of `bars_each` bars are surely whole.

    In the worst case the row sits one bar before the end of an unfinished higher bar, so
    ``bars_each - 1`` bars belong to that one and the rest must hold the closed ones.
    """
    return (higher_bars + 1) * bars_each - 2


EMA50_WARM_UP = anchored_warm_up(MIDDLE_LEAD)
EMA200_WARM_UP = anchored_warm_up(SLOW_LEAD)
# True ranges and moves also look at the bar before their own.
WILDER_WARM_UP = anchored_warm_up(SHORT_LEAD) + 1
MACD_WARM_UP = anchored_warm_up(SHORT_LEAD)
MACD_SIGNAL_WARM_UP = MACD_WARM_UP + anchored_warm_up(SHORT_LEAD)
ADX_WARM_UP = WILDER_WARM_UP + anchored_warm_up(SHORT_LEAD)
