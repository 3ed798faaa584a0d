"""Triple-barrier labels with the spread paid.

Entry is the next bar's open. A long pays the ask and leaves on the bid, a short the
reverse; prices of bars are bids, so the ask is the bid plus the spread of that bar. Target
and stop lie multiples of the signal bar's ATR from the entry price, and the time barrier
`horizon_bars` bars on, the entry bar being the first. When one bar touches target and stop,
the stop is taken to have come first.

The method is the triple-barrier labelling of M. Lopez de Prado, Advances in Financial
Machine Learning (2018), chapter 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from engine.touch import STOP_TOUCHED, TARGET_TOUCHED, bracket_touch, touch_price
from novosky.compiled import compiled
from novosky.errors import DataError, UsageError
from novosky.market.bars import epoch_seconds, venue_seams
from novosky.market.instrument import TradingCalendar
from novosky.market.server_time import ServerClock
from novosky.market.timeframe import Timeframe
from novosky.market.trading_hours import open_at
from novosky.settings.ml import Labeling

FloatArray = npt.NDArray[np.float64]

HOLD = 0
BUY = 1
SELL = 2

MOST_GAP_BARS = 4
"""An hour of M15 bars: outages of a venue are shorter, and a market that closes rests for longer."""

_WON = 1
_LOST = 2
_TIMED_OUT = 3


@dataclass(frozen=True, eq=False)
class Labels:
    """One label per bar, each array of shape (n,).

    Attributes
    ----------
    side : ndarray of int8
        `HOLD` (0), `BUY` (1) or `SELL` (2); `HOLD` where not valid.
    end_index : ndarray of int64
        Row of the last bar that was looked at: from its close on the label is known.
        Splits purge by it. Never before the row itself.
    valid : ndarray of bool
        False where the ATR is unknown or zero, where the future ends before both
        outcomes are known, or where the bars looked at span a gap or a seam.
    long_r, short_r : ndarray of float64
        Outcome of a long and of a short after the spread, in multiples of the stop
        distance: about -1 at the stop, +tp/sl at the target, in between at time-out.
        NaN where not valid.
    """

    side: npt.NDArray[np.int8]
    end_index: npt.NDArray[np.int64]
    valid: npt.NDArray[np.bool_]
    long_r: FloatArray
    short_r: FloatArray


@compiled
def _follow(
    row: int,
    side: int,
    last: int,
    prices: FloatArray,
    spread: FloatArray,
    target_distance: float,
    stop_distance: float,
) -> tuple[int, int, float]:
    """Return (outcome, last row looked at, profit in USD) of a trade entered after `row`."""
    long = side > 0
    entry = prices[0, row + 1] + (spread[row + 1] if long else 0.0)
    target = entry + target_distance if long else entry - target_distance
    stop = entry - stop_distance if long else entry + stop_distance
    against, towards = (2, 1) if long else (1, 2)
    for j in range(row + 1, last + 1):
        shift = 0.0 if long else spread[j]
        worst, best = prices[against, j] + shift, prices[towards, j] + shift
        # The worst price given as the open: one bar that touches both barriers is a loss, as documented.
        touch = bracket_touch(side, stop, target, worst, worst, best)
        if touch == STOP_TOUCHED:
            fill = touch_price(side, STOP_TOUCHED, stop, prices[0, j] + shift)
            return _LOST, j, fill - entry if long else entry - fill
        if touch == TARGET_TOUCHED:
            return _WON, j, target_distance
    leave = prices[3, last] + (0.0 if long else spread[last])
    return _TIMED_OUT, last, leave - entry if long else entry - leave


@compiled
def _label_rows(
    prices: FloatArray,
    spread: FloatArray,
    atr: FloatArray,
    unbroken_until: npt.NDArray[np.int64],
    multiples: FloatArray,
    horizon: int,
    side: npt.NDArray[np.int8],
    end_index: npt.NDArray[np.int64],
    valid: npt.NDArray[np.bool_],
    long_r: FloatArray,
    short_r: FloatArray,
) -> None:
    n = atr.shape[0]
    for row in range(n):
        last = min(row + horizon, n - 1)
        end_index[row] = last
        if not atr[row] > 0.0 or row + 1 >= n:
            continue
        target_distance = multiples[0] * atr[row]
        stop_distance = multiples[1] * atr[row]
        long_outcome, long_end, long_profit = _follow(row, 1, last, prices, spread, target_distance, stop_distance)
        short_outcome, short_end, short_profit = _follow(row, -1, last, prices, spread, target_distance, stop_distance)
        # The bars end before the horizon does: what would have come of it nobody knows.
        if last < row + horizon and _TIMED_OUT in (long_outcome, short_outcome):
            continue
        # The label tells of both trades, so it is decided when the later one is.
        end = max(long_end, short_end)
        end_index[row] = end
        if end > unbroken_until[row]:
            continue
        valid[row] = True
        long_r[row] = long_profit / stop_distance
        short_r[row] = short_profit / stop_distance
        # Where both would have won, or neither, there is no side to prefer.
        if long_outcome == _WON and short_outcome != _WON:
            side[row] = BUY
        elif short_outcome == _WON and long_outcome != _WON:
            side[row] = SELL


def unbroken_until(
    times: npt.NDArray[np.int64],
    max_gap_seconds: int,
    seams: npt.NDArray[np.int64] | None,
    calendar: TradingCalendar | None = None,
    seconds: int | None = None,
) -> npt.NDArray[np.int64]:
    """Return for each row the last row that can be reached without crossing a gap or a seam, shape (n,).

    Hours at which the market is closed are no gap: nobody could have traded them, and a position
    that was held over them is a real one.

    Parameters
    ----------
    times : ndarray of int64, shape (n,)
        Bar opens, seconds since 1970-01-01 UTC, rising.
    max_gap_seconds : int
        Neighbouring opens further apart make a gap.
    seams : ndarray of int64 or None
        Moments at which the bars change venue.
    calendar : TradingCalendar or None
        When the market deals; None is always.
    seconds : int, optional
        Length of a bar; needed with a calendar that has hours.
    """
    breaks = np.diff(times) > max_gap_seconds
    if calendar is not None and calendar.hours:
        if seconds is None:
            raise UsageError("bars that lack while a market deals are counted in their length, which was not given")
        for row in np.flatnonzero(breaks):
            absent = np.arange(times[row] + seconds, times[row + 1], seconds, dtype=np.int64)
            lacking = int(np.count_nonzero(open_at(absent, calendar.hours, ServerClock(calendar.server_clock))))
            breaks[row] = (lacking + 1) * seconds > max_gap_seconds
    if seams is not None:
        # A seam at time s lies between the last bar opening before s and the first at or after it.
        rows = np.searchsorted(times, seams, side="left")
        rows = rows[(rows > 0) & (rows < len(times))]
        breaks[rows - 1] = True
    ends = np.append(np.flatnonzero(breaks), len(times) - 1)
    return np.asarray(ends[np.searchsorted(ends, np.arange(len(times)), side="left")], dtype=np.int64)


def _spread_column(spread: float | FloatArray, rows: int) -> FloatArray:
    column = np.full(rows, spread, dtype=np.float64) if np.ndim(spread) == 0 else np.array(spread, dtype=np.float64)
    if column.shape != (rows,):
        raise DataError(
            f"the spread has shape {column.shape} but there are {rows} bars; give one number or one per bar"
        )
    if not (np.isfinite(column).all() and (column >= 0.0).all()):
        row = int(np.flatnonzero(~(np.isfinite(column) & (column >= 0.0)))[0])
        raise DataError(f"the spread of row {row} is {column[row]}; a label needs a known cost in USD, 0 or more")
    return column


def triple_barrier(
    bars: pd.DataFrame,
    atr: FloatArray,
    *,
    tp_mult: float = 1.0,
    sl_mult: float = 1.0,
    horizon_bars: int = 96,
    spread: float | FloatArray,
    frame: Timeframe,
    max_gap_bars: int = MOST_GAP_BARS,
    seams: npt.NDArray[np.int64] | None = None,
    calendar: TradingCalendar | None = None,
) -> Labels:
    """Label every bar by what a long and a short entered at the next open would have done.

    Parameters
    ----------
    bars : pandas.DataFrame
        Bar frame, n rows.
    atr : ndarray, shape (n,)
        ATR of each bar in USD, known at its close; NaN where unknown.
    tp_mult, sl_mult : float
        Distances of target and stop from the entry price, in ATR of the signal bar.
    horizon_bars : int
        Bars after the signal bar within which a barrier must be hit.
    spread : float or ndarray of shape (n,)
        Ask minus bid in USD, of each bar when an array. Always paid, so always stated.
    frame : Timeframe
        Of the bars.
    max_gap_bars : int
        Neighbouring bars whose opens lie further apart, in lengths of a bar, make a gap no label may span.
    seams : ndarray of int64, optional
        Moments (seconds since 1970-01-01 UTC) at which the bars change venue; no label
        may span one either.
    calendar : TradingCalendar, optional
        When the market deals; a label may span hours at which it is closed.

    Returns
    -------
    Labels
        BUY when the long's target is hit before its stop within the horizon and the
        short's is not, SELL the reverse, HOLD otherwise.

    Raises
    ------
    UsageError
        A multiple or the horizon is not above zero.
    DataError
        `atr` or `spread` does not match the bars, or a spread is negative or unknown.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from novosky.market.timeframe import timeframe
    >>> time = pd.date_range("2024-01-01", periods=3, freq="15min", tz="UTC")
    >>> bars = pd.DataFrame({"time": time, "open": 100.0, "high": [101.0, 101.0, 112.0],
    ...                      "low": 99.0, "close": 100.0, "volume": 1.0})
    >>> labels = triple_barrier(bars, np.array([10.0, 10.0, 10.0]), spread=1.0, frame=timeframe("M15"))
    >>> int(labels.side[0]), int(labels.end_index[0]), labels.valid.tolist()
    (1, 2, [True, True, False])
    """
    if not (tp_mult > 0 and sl_mult > 0 and horizon_bars >= 1):
        raise UsageError(
            f"labels need multiples above 0 and a horizon of at least 1 bar, not tp {tp_mult}, sl {sl_mult}, "
            f"horizon {horizon_bars}; correct ml_config.json -> labeling"
        )
    n = len(bars)
    if atr.shape != (n,):
        raise DataError(f"the ATR has shape {atr.shape} but there are {n} bars; compute it on the same bars")
    labels = Labels(
        side=np.full(n, HOLD, dtype=np.int8),
        end_index=np.zeros(n, dtype=np.int64),
        valid=np.zeros(n, dtype=np.bool_),
        long_r=np.full(n, np.nan),
        short_r=np.full(n, np.nan),
    )
    _label_rows(
        np.array([bars[name] for name in ("open", "high", "low", "close")], dtype=np.float64),
        _spread_column(spread, n),
        np.array(atr, dtype=np.float64),
        unbroken_until(epoch_seconds(bars), max_gap_bars * frame.seconds, seams, calendar, frame.seconds),
        np.array([tp_mult, sl_mult], dtype=np.float64),
        horizon_bars,
        labels.side,
        labels.end_index,
        labels.valid,
        labels.long_r,
        labels.short_r,
    )
    return labels


def label_bars(
    bars: pd.DataFrame, atr: FloatArray, rule: Labeling, frame: Timeframe, calendar: TradingCalendar | None = None
) -> Labels:
    """Label every bar by the rule of ml_config.json; what changes venue within the bars is known from them.

    Parameters
    ----------
    bars : pandas.DataFrame
        Bar frame, n rows.
    atr : ndarray, shape (n,)
        USD, NaN where unknown.
    rule : Labeling
    frame : Timeframe
        Of the bars.
    calendar : TradingCalendar, optional
        When the market deals.

    Raises
    ------
    UsageError, DataError
        See `triple_barrier`.
    """
    return triple_barrier(
        bars,
        atr,
        tp_mult=rule.atr_tp_mult,
        sl_mult=rule.atr_sl_mult,
        horizon_bars=rule.horizon_bars,
        spread=rule.spread,
        frame=frame,
        seams=venue_seams(bars),
        calendar=calendar,
    )
