"""How far each trade went against and for its owner on the way, in multiples of its initial risk.

Source: J. Sweeney, Maximum Adverse Excursion (Wiley, 1997). Prices are those at which the
position could have been closed: the bid for a long, the ask for a short. Of the bar in which
a trade ended only the exit price counts: what came after it in that bar was not suffered, and
the bar does not say which part came before. Costs other than the spread are not in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backtest.result import BacktestResult
from novosky.measures.statistics import Floats


@dataclass(frozen=True, eq=False)
class Excursions:
    """The worst and the best point of every closed trade.

    Attributes
    ----------
    adverse, favourable : ndarray, shape (n,)
        Multiples of the initial risk, never below 0; NaN where the risk was zero.
    """

    adverse: Floats
    favourable: Floats


def excursions(result: BacktestResult) -> Excursions:
    """Return the excursions of each closed trade, in the order of `result.trades`."""
    trades, bars = result.trades, result.bars
    ask_high, ask_low = bars.high + bars.spread, bars.low + bars.spread
    first = np.searchsorted(bars.time, trades["entry_time"])
    last = np.searchsorted(bars.time, trades["exit_time"])
    adverse, favourable = np.empty(len(trades)), np.empty(len(trades))
    for at, (trade, begin, end) in enumerate(zip(trades, first, last, strict=True)):
        long = trade["side"] > 0
        lows, highs = (bars.low, bars.high) if long else (ask_low, ask_high)
        least = min(float(lows[begin:end].min(initial=np.inf)), float(trade["exit_price"]))
        most = max(float(highs[begin:end].max(initial=-np.inf)), float(trade["exit_price"]))
        entry = float(trade["entry_price"])
        down, up = entry - least, most - entry
        adverse[at], favourable[at] = (down, up) if long else (up, down)
    unit = _r_per_dollar(trades, float(result.params.lot_units))
    return Excursions(np.maximum(adverse, 0.0) * unit, np.maximum(favourable, 0.0) * unit)


def _r_per_dollar(trades: npt.NDArray[Any], lot_units: float) -> Floats:
    """Return what a price move of 1 USD is worth to each trade in its initial risks."""
    risk = np.asarray(trades["risk"], dtype=np.float64)
    unit: Floats = np.divide(trades["volume"] * lot_units, risk, out=np.full(len(trades), np.nan), where=risk > 0.0)
    return unit
