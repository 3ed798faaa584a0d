"""What each trade came to: in money, in multiples of its risk, as a share of the account, in bars."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from backtest.result import BacktestResult
from novosky.market.timeframe import DAY_SECONDS
from novosky.measures.expectation import TradeRecord
from novosky.measures.statistics import Floats


def net_results(trades: npt.NDArray[Any]) -> Floats:
    """Return each Trade's profit plus commission plus swap in USD, shape (n,)."""
    # Cents are summed in binary; without rounding a break-even trade could count as a win.
    net: Floats = np.round(trades["profit"] + trades["commission"] + trades["swap"], 8)
    return net


def r_multiples(trades: npt.NDArray[Any]) -> Floats:
    """Return each Trade's result in units of its initial risk, NaN where the risk was zero."""
    risk = np.asarray(trades["risk"])
    multiples: Floats = np.divide(net_results(trades), risk, out=np.full(len(trades), np.nan), where=risk > 0.0)
    return multiples


def returns_and_risks(trades: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """Return each Trade's net result and what its stop put at stake, both as shares of the balance before it."""
    net = net_results(trades)
    before = np.asarray(trades["balance"], dtype=np.float64) - net
    return net / before, np.asarray(trades["risk"], dtype=np.float64) / before


def holding_bars(trades: npt.NDArray[Any], times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the bars from each Trade's entry bar to its exit bar; closed hours do not count."""
    held: npt.NDArray[np.int64] = np.searchsorted(times, trades["exit_time"]) - np.searchsorted(
        times, trades["entry_time"]
    )
    return held


def out_of_sample_record(result: BacktestResult) -> TradeRecord:
    """Return a run's trades by their day of entry, for who wants to know what to expect.

    A trade without a measured risk has no multiple of it and is left out.
    """
    times, multiples = result.bars.time, r_multiples(result.trades)
    known = np.isfinite(multiples)
    days = np.asarray(result.trades["entry_time"], dtype=np.int64)[known] // DAY_SECONDS
    return TradeRecord(int(times[0]) // DAY_SECONDS, int(times[-1]) // DAY_SECONDS, days, multiples[known])
