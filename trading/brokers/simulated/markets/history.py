"""Rates and ticks: what the terminal's chart and tick queries answer about a market."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.structs import Tick
from trading.brokers.simulated.markets.market import RATES_DTYPE, Feed, Rates

TICKS_DTYPE = np.dtype(
    [
        ("time", "<i8"),
        ("bid", "<f8"),
        ("ask", "<f8"),
        ("last", "<f8"),
        ("volume", "<u8"),
        ("time_msc", "<i8"),
        ("flags", "<u4"),
        ("volume_real", "<f8"),
    ]
)
TICK_FLAGS = C.TICK_FLAG_BID | C.TICK_FLAG_ASK | 128
"""Real ticks carry bits the documentation does not name; so do these."""
DAY, WEEK = 86_400, 604_800
_SUNDAY = 3 * DAY
"""1970-01-04, to which weeks are aligned."""
MONTH = -1
"""Stands for the one period that has no length."""
PERIODS: dict[int, int] = {
    **{getattr(C, f"TIMEFRAME_M{n}"): 60 * n for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)},
    **{getattr(C, f"TIMEFRAME_H{n}"): 3_600 * n for n in (1, 2, 3, 4, 6, 8, 12)},
    C.TIMEFRAME_D1: DAY,
    C.TIMEFRAME_W1: WEEK,
    C.TIMEFRAME_MN1: MONTH,
}
"""Seconds of each timeframe. The codes are no minutes: 60 is not an hour."""


def period_of(timeframe: int, feed: Feed) -> int | None:
    """Return the seconds of a timeframe that can be made of the market's bars, else None."""
    period = PERIODS.get(timeframe)
    base = feed.bar_seconds
    return period if period == MONTH or (period is not None and period % base == 0) else None


def rates(feed: Feed, period: int, newest: int) -> Rates:
    """Return at least the `newest` last rows of a period (or all there are), the forming one last."""
    base = feed.bar_seconds
    if period == base and not feed.folded:
        return feed.seen(max(0, feed.closed - newest))
    # One bar more for a period cut off at the beginning, an hour more for a clock set back.
    length = 31 * DAY if period == MONTH else period
    begin = max(0, feed.closed - (newest + 1) * (length // base) - 2 * 3600 // base)
    grouped = aggregated(feed.seen(begin), period)
    return grouped if begin == 0 else grouped[1:]


def aggregated(rows: Rates, period: int) -> Rates:
    """Return rows gathered into periods of the server's clock, ascending and unique in time.

    Bars of the hour that the clock repeats in autumn fall into one, as in a database that
    is keyed by the time.
    """
    if len(rows) == 0:
        return rows
    stamps = period_starts(rows["time"], period)
    order = np.argsort(stamps, kind="stable")
    rows, stamps = rows[order], stamps[order]
    first = np.flatnonzero(np.append(True, np.diff(stamps) > 0))
    last = np.append(first[1:], len(rows)) - 1
    result = np.zeros(len(first), dtype=RATES_DTYPE)
    result["time"] = stamps[first]
    result["open"], result["close"] = rows["open"][first], rows["close"][last]
    result["high"] = np.maximum.reduceat(rows["high"], first)
    result["low"] = np.minimum.reduceat(rows["low"], first)
    result["tick_volume"] = np.add.reduceat(rows["tick_volume"], first)
    result["spread"] = np.minimum.reduceat(rows["spread"], first)
    return result


def period_starts(stamps: npt.NDArray[np.int64], period: int) -> npt.NDArray[np.int64]:
    """Return the beginning of the period each stamp lies in."""
    if period == MONTH:
        months = stamps.astype("datetime64[s]").astype("datetime64[M]")
        return months.astype("datetime64[s]").astype(np.int64)
    anchor = _SUNDAY if period == WEEK else 0
    return stamps - (stamps - anchor) % period


def current_tick(feed: Feed) -> Tick:
    """Return the newest quote as a tick."""
    quote = feed.quote()
    stamp = feed.stamps.seconds(quote.time)
    return Tick((stamp, quote.bid, quote.ask, 0.0, 0, stamp * 1000, TICK_FLAGS, 0.0))


def ticks(feed: Feed, flags: int) -> npt.NDArray[np.void]:
    """Return every tick so far: each bar's open and close, ascending.

    There are quotes only; asking for trades finds none.
    """
    if flags == C.COPY_TICKS_TRADE:
        return np.zeros(0, dtype=TICKS_DTYPE)
    closed, bars = feed.closed, feed.bars
    count = 2 * closed + int(feed.opened)
    result = np.zeros(count, dtype=TICKS_DTYPE)
    begun = (count + 1) // 2
    times = np.zeros(count, dtype=np.int64)
    times[0::2], times[1::2] = bars.time[:begun], bars.time[:closed] + feed.bar_seconds
    result["bid"][0::2], result["bid"][1::2] = bars.open[:begun], bars.close[:closed]
    result["ask"] = result["bid"] + np.repeat(bars.spread[:begun], 2)[:count]
    result["time"] = feed.stamps.of(times)
    result["time_msc"] = result["time"] * 1000
    result["flags"] = TICK_FLAGS
    return result
