"""Labels of the position model: whether leaving beat the bracket, at every close of a trade.

The trades are the signal model's own out-of-fold entries. Each is filled at the next bar's
open with spread and slippage, its stop and target fixed at the decision from the quote at the
close, as the execution rules do it. A trade that neither level ends within the horizon is
valued at the last close. Swap and commission are left out: leaving a few bars earlier hardly
changes the one and does not change the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from engine.open_position import POSITION_INPUTS, open_trade_inputs
from engine.touch import NOT_TOUCHED, STOP_TOUCHED, TARGET_TOUCHED, bracket_touch, touch_price
from ml.labels.barrier import MOST_GAP_BARS, FloatArray, unbroken_until
from novosky.compiled import compiled
from novosky.errors import UsageError
from novosky.market.bars import PRICE_COLUMNS, epoch_seconds
from novosky.market.instrument import TradingCalendar
from novosky.market.timeframe import Timeframe

IntArray = npt.NDArray[np.int64]

HOLD = 0
EXIT = 1
ADD = 2


@dataclass(frozen=True)
class Bracket:
    """The terms of the labelled trades.

    Attributes
    ----------
    sl_mult, tp_mult : float
        Stop and target in ATR of the decision bar.
    horizon_bars : int
        Bars after which a trade is valued at the close, the entry bar being the first.
    spread, slippage : float
        USD.
    margin_r : float
        By how many multiples of the trade's risk one choice must beat the other.
    """

    sl_mult: float
    tp_mult: float
    horizon_bars: int
    spread: float
    slippage: float
    margin_r: float


@dataclass(frozen=True, eq=False)
class Entries:
    """Decisions to trade, ascending: bar rows and sides (1 long, -1 short), shape (m,)."""

    bar: IntArray
    side: npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class PositionLabels:
    """The labelled closes of all trades, trade by trade.

    Attributes
    ----------
    first, last : ndarray of int64, shape (m,)
        Entry bar and exit bar of each trade that could be followed to its end.
    final_r : ndarray, shape (m,)
        What the bracket made of it, in multiples of its risk.
    trade : ndarray of int64, shape (n,)
        The trade each row belongs to.
    bar : ndarray of int64, shape (n,)
        Bar at whose close the row is.
    inputs : ndarray, shape (n, 4)
        `POSITION_INPUTS` at that close.
    leave_r : ndarray, shape (n,)
        What leaving at the next open makes of the trade, in multiples of its risk.
    labels : ndarray of int8, shape (n,)
        HOLD (0), EXIT (1) or ADD (2). Known from the close of the trade's exit bar on.
    """

    first: IntArray
    last: IntArray
    final_r: FloatArray
    trade: IntArray
    bar: IntArray
    inputs: FloatArray
    leave_r: FloatArray
    labels: npt.NDArray[np.int8]


@compiled
def _follow(
    row: int, side: int, last: int, prices: FloatArray, spread: float, slippage: float, stop: float, target: float
) -> tuple[int, float, bool]:
    """Return (exit bar, exit price, whether a level ended it) of a trade entered after `row`."""
    shift = 0.0 if side > 0 else spread
    against = 2 if side > 0 else 1
    towards = 1 if side > 0 else 2
    for j in range(row + 1, last + 1):
        first, worst, best = prices[0, j] + shift, prices[against, j] + shift, prices[towards, j] + shift
        touch = bracket_touch(side, stop, target, first, worst, best)
        if touch == TARGET_TOUCHED:
            return j, touch_price(side, TARGET_TOUCHED, target, first), True
        if touch != NOT_TOUCHED:
            # Without minutes a bar that reached both levels is a stop, as in the execution rules.
            return j, touch_price(side, STOP_TOUCHED, stop, first) - side * slippage, True
    return last, prices[3, last] + shift - side * slippage, False


@compiled
def _follow_all(
    bar: IntArray,
    side: npt.NDArray[np.int8],
    prices: FloatArray,
    atr: FloatArray,
    unbroken: IntArray,
    terms: FloatArray,
    horizon: int,
    last: IntArray,
    levels: FloatArray,
) -> None:
    """Write each trade's exit bar (-1: not usable), and its entry, stop and exit price into `levels` (m, 3)."""
    n = prices.shape[1]
    sl_mult, tp_mult, spread, slippage = terms[0], terms[1], terms[2], terms[3]
    for k in range(len(bar)):
        row = bar[k]
        way = side[k]
        last[k] = -1
        if not atr[row] > 0.0 or row + 1 >= n:
            continue
        decided = prices[3, row] + (spread if way > 0 else 0.0)
        stop = decided - way * sl_mult * atr[row]
        target = decided + way * tp_mult * atr[row]
        leave_at = prices[0, row + 1] + (0.0 if way > 0 else spread)
        # A broker refuses an order whose levels the first quote has already passed.
        if way * (leave_at - stop) < 0.0 or way * (target - leave_at) < 0.0:
            continue
        until = min(row + horizon, n - 1)
        end, price, ended = _follow(row, way, until, prices, spread, slippage, stop, target)
        if (not ended and until < row + horizon) or end > unbroken[row]:
            continue
        last[k] = end
        levels[k, 0] = prices[0, row + 1] + (spread if way > 0 else 0.0) + way * slippage
        levels[k, 1] = stop
        levels[k, 2] = price


@compiled
def _label_closes(
    first: IntArray,
    last: IntArray,
    side: npt.NDArray[np.int8],
    levels: FloatArray,
    prices: FloatArray,
    times: IntArray,
    terms: FloatArray,
    horizon: int,
    bar_seconds: int,
    trade: IntArray,
    bar: IntArray,
    inputs: FloatArray,
    leave_r: FloatArray,
    final_r: FloatArray,
    labels: npt.NDArray[np.int8],
) -> None:
    spread, slippage, margin = terms[2], terms[3], terms[4]
    at = 0
    for k in range(len(first)):
        entry, stop = levels[k, 0], levels[k, 1]
        way = side[k]
        # The distance the execution rules risk; the same that r_multiple is measured in.
        risk = max(abs(entry - stop), 1e-9 * entry)
        final = way * (levels[k, 2] - entry) / risk
        final_r[k] = final
        # Not at the close of the exit bar: the trade is over by then.
        for i in range(first[k], last[k]):
            held = (times[i] - times[first[k]]) // bar_seconds + 1
            now = open_trade_inputs(way, entry, stop, float(held), prices[3, i], spread, float(horizon))
            inputs[at, 0], inputs[at, 1], inputs[at, 2], inputs[at, 3] = now[0], now[1], now[2], now[3]
            leave_at = prices[0, i + 1] + (0.0 if way > 0 else spread) - way * slippage
            leave = way * (leave_at - entry) / risk
            trade[at], bar[at], leave_r[at] = k, i, leave
            # By a margin: where leaving and staying come to the same, noise would decide the label.
            if leave - final >= margin:
                labels[at] = EXIT
            elif final - leave >= margin and now[2] > 0.0:
                labels[at] = ADD
            at += 1


def label_positions(
    bars: pd.DataFrame,
    atr: FloatArray,
    entries: Entries,
    bracket: Bracket,
    seams: IntArray | None = None,
    *,
    frame: Timeframe,
    max_gap_bars: int = MOST_GAP_BARS,
    calendar: TradingCalendar | None = None,
) -> PositionLabels:
    """Follow every entry to its end and label the closes on the way.

    EXIT where leaving at the next open, costs paid, beats the bracket's outcome by the
    margin; ADD where the outcome beats leaving by the margin and the trade is in profit at
    the close; HOLD otherwise. The close of the exit bar has no row: the trade is over.

    Parameters
    ----------
    bars : pandas.DataFrame
        Bar frame, n rows; prices are bids.
    atr : ndarray, shape (n,)
        USD, NaN where unknown.
    entries : Entries
    bracket : Bracket
    seams : ndarray of int64, optional
        Moments at which the bars change venue; no trade may span one.
    frame : Timeframe
        Of the bars.
    max_gap_bars : int
        No trade may span a gap of more bars either.
    calendar : TradingCalendar, optional
        When the market deals; hours at which it is closed are no gap.

    Raises
    ------
    UsageError
        A multiple or the horizon is not above zero.
    """
    if not (bracket.sl_mult > 0 and bracket.tp_mult > 0 and bracket.horizon_bars >= 1):
        raise UsageError(f"position labels need multiples above 0 and a horizon of at least 1 bar, not {bracket}")
    prices = np.array([bars[name] for name in PRICE_COLUMNS], dtype=np.float64)
    times = epoch_seconds(bars)
    terms = np.array([bracket.sl_mult, bracket.tp_mult, bracket.spread, bracket.slippage, bracket.margin_r])
    last, levels = np.empty(len(entries.bar), dtype=np.int64), np.empty((len(entries.bar), 3))
    unbroken = unbroken_until(times, max_gap_bars * frame.seconds, seams, calendar, frame.seconds)
    values = np.array(atr, dtype=np.float64)
    _follow_all(entries.bar, entries.side, prices, values, unbroken, terms, bracket.horizon_bars, last, levels)
    usable = np.flatnonzero(last >= 0)
    first, last, side, levels = entries.bar[usable] + 1, last[usable], entries.side[usable], levels[usable]
    count = int((last - first).sum())
    labels = PositionLabels(
        first=first,
        last=last,
        final_r=np.empty(len(first)),
        trade=np.empty(count, dtype=np.int64),
        bar=np.empty(count, dtype=np.int64),
        inputs=np.empty((count, len(POSITION_INPUTS))),
        leave_r=np.empty(count),
        labels=np.full(count, HOLD, dtype=np.int8),
    )
    _label_closes(
        first,
        last,
        side,
        levels,
        prices,
        times,
        terms,
        bracket.horizon_bars,
        frame.seconds,
        labels.trade,
        labels.bar,
        labels.inputs,
        labels.leave_r,
        labels.final_r,
        labels.labels,
    )
    return labels


def thin_rows(labels: PositionLabels, every_bars: int) -> PositionLabels:
    """Keep the first close of every trade and each `every_bars`-th one after it."""
    kept = (labels.bar - labels.first[labels.trade]) % every_bars == 0
    return replace(
        labels,
        trade=labels.trade[kept],
        bar=labels.bar[kept],
        inputs=labels.inputs[kept],
        leave_r=labels.leave_r[kept],
        labels=labels.labels[kept],
    )
