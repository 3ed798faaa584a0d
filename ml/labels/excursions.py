"""Labels of the SLTP model: how far the price went against an entry, and how far for it.

The entries are the signal model's own out-of-fold decisions. Both distances count from the
quote at the decision (a long's ask, a short's bid), from which the execution rules place stop
and target, to the prices that would trigger them: a long leaves on the bid, a short on the
ask. The fill itself, with its slippage, moves neither level and so enters no label.

Within a bar the open comes first, then the price furthest against the trade, then the one
furthest for it: the same assumption by which both levels in one bar are a stop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.labels.barrier import MOST_GAP_BARS, FloatArray, unbroken_until
from ml.labels.position import Entries
from novosky.compiled import compiled
from novosky.errors import UsageError
from novosky.market.bars import PRICE_COLUMNS, epoch_seconds
from novosky.market.instrument import TradingCalendar
from novosky.market.timeframe import Timeframe

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ExcursionTerms:
    """How the excursions of an entry are measured.

    Attributes
    ----------
    stop_mult : float
        The traded stop in ATR of the decision bar; what comes after it is no target any more.
    horizon_bars : int
        Bars looked at, the entry bar being the first.
    spread : float
        USD.
    """

    stop_mult: float
    horizon_bars: int
    spread: float


@dataclass(frozen=True, eq=False)
class Excursions:
    """The entries that could be followed over the whole horizon, each array of shape (m,).

    Attributes
    ----------
    bar : ndarray of int64
        Decision bar.
    side : ndarray of int8
        1 long, -1 short.
    last : ndarray of int64
        Last bar looked at: from its close on the labels are known.
    stop : ndarray
        Greatest distance against the trade before its best price of the horizon, ATR, at least 0.
    target : ndarray
        Greatest distance for the trade before the traded stop was reached, ATR, at least 0.
    """

    bar: IntArray
    side: npt.NDArray[np.int8]
    last: IntArray
    stop: FloatArray
    target: FloatArray


@compiled
def _measure(
    row: int, way: int, prices: FloatArray, atr: float, stop_mult: float, horizon: int, spread: float
) -> tuple[float, float, bool]:
    """Return (stop label, target label, whether a broker takes the order) of an entry decided at `row`."""
    shift = 0.0 if way > 0 else spread
    decided = prices[3, row] + (spread if way > 0 else 0.0)
    stop = decided - way * stop_mult * atr
    # A broker refuses an order whose stop the first quote has already passed.
    if way * (prices[0, row + 1] + shift - stop) < 0.0:
        return 0.0, 0.0, False
    against = 2 if way > 0 else 1
    towards = 1 if way > 0 else 2
    worst = needed = reached = 0.0
    best = -np.inf
    stopped = False
    for j in range(row + 1, row + horizon + 1):
        for price in (prices[0, j], prices[against, j], prices[towards, j]):
            gain = way * (price + shift - decided)
            worst = max(worst, -gain)
            # How far the price went against the trade before its best point: the stop that would have lived to see it.
            if gain > best:
                best, needed = gain, worst
            stopped = stopped or way * (price + shift - stop) <= 0.0
            # What came after the traded stop nobody would have earned.
            if not stopped:
                reached = max(reached, gain)
    return needed / atr, reached / atr, True


@compiled
def _measure_all(
    bar: IntArray,
    side: npt.NDArray[np.int8],
    prices: FloatArray,
    atr: FloatArray,
    unbroken: IntArray,
    terms: FloatArray,
    horizon: int,
    usable: npt.NDArray[np.bool_],
    stop: FloatArray,
    target: FloatArray,
) -> None:
    for k in range(len(bar)):
        row = bar[k]
        if not atr[row] > 0.0 or row + horizon > unbroken[row]:
            continue
        stop[k], target[k], usable[k] = _measure(row, side[k], prices, atr[row], terms[0], horizon, terms[1])


def label_excursions(
    bars: pd.DataFrame,
    atr: FloatArray,
    entries: Entries,
    terms: ExcursionTerms,
    seams: IntArray | None = None,
    *,
    frame: Timeframe,
    max_gap_bars: int = MOST_GAP_BARS,
    calendar: TradingCalendar | None = None,
) -> Excursions:
    """Measure the excursions of every entry over the horizon.

    The stop label is the room a trade needed to live to its best price; a trade whose best
    price comes early needed little, however it fared afterwards. The target label is what a
    trade with the traded stop could have taken.

    Parameters
    ----------
    bars : pandas.DataFrame
        Bar frame, n rows; prices are bids.
    atr : ndarray, shape (n,)
        USD, NaN where unknown.
    entries : Entries
    terms : ExcursionTerms
    seams : ndarray of int64, optional
        Moments at which the bars change venue. No entry whose horizon spans one is used, nor
        one that spans the end of the bars.
    frame : Timeframe
        Of the bars.
    max_gap_bars : int
        An entry whose horizon spans a gap of more bars is not used either.
    calendar : TradingCalendar, optional
        When the market deals; hours at which it is closed are no gap.

    Raises
    ------
    UsageError
        The stop's multiple or the horizon is not above zero, or the spread is below.

    Examples
    --------
    >>> from novosky.market.timeframe import timeframe
    >>> time = pd.date_range("2024-01-01", periods=3, freq="15min", tz="UTC")
    >>> bars = pd.DataFrame({"time": time, "open": 100.0, "high": [101.0, 101.0, 112.0],
    ...                      "low": [99.0, 96.0, 99.0], "close": 100.0})
    >>> entry = Entries(np.array([0]), np.array([1], dtype=np.int8))
    >>> terms = ExcursionTerms(1.0, 2, 1.0)
    >>> found = label_excursions(bars, np.full(3, 10.0), entry, terms, frame=timeframe("M15"))
    >>> found.stop.tolist(), found.target.tolist()
    ([0.5], [1.1])
    """
    if not (terms.stop_mult > 0 and terms.horizon_bars >= 1 and terms.spread >= 0):
        raise UsageError(f"excursions need a stop above 0, a horizon of at least 1 bar and a spread, not {terms}")
    count = len(entries.bar)
    usable, stop, target = np.zeros(count, dtype=np.bool_), np.empty(count), np.empty(count)
    _measure_all(
        entries.bar,
        entries.side,
        np.array([bars[name] for name in PRICE_COLUMNS], dtype=np.float64),
        np.array(atr, dtype=np.float64),
        unbroken_until(epoch_seconds(bars), max_gap_bars * frame.seconds, seams, calendar, frame.seconds),
        np.array([terms.stop_mult, terms.spread]),
        terms.horizon_bars,
        usable,
        stop,
        target,
    )
    bar = entries.bar[usable]
    return Excursions(bar, entries.side[usable], bar + terms.horizon_bars, stop[usable], target[usable])
