"""The bracket trade in its plainest form, the truth the engine's neutral run is compared with.

No account, no costs, no records: enter at the next open, leave at stop or target, the stop
first when one bar holds both, at the open when the bar begins beyond the level.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from novosky.compiled import compiled

Floats = npt.NDArray[np.float64]


class BracketTrades(NamedTuple):
    """Closed trades, one array per column: side, entry and exit bar, entry and exit price."""

    side: npt.NDArray[np.int64]
    entry_bar: npt.NDArray[np.int64]
    exit_bar: npt.NDArray[np.int64]
    entry_price: Floats
    exit_price: Floats


@compiled
def _follow(
    prices: Floats, signal: npt.NDArray[np.int8], atr: Floats, whole: npt.NDArray[np.int64], price: Floats
) -> int:
    trades = 0
    side = 0
    stop = target = 0.0
    for i in range(1, prices.shape[1]):
        first = prices[0, i]
        if side == 0 and signal[i - 1] != 0:
            side = signal[i - 1]
            stop = prices[3, i - 1] - side * atr[i - 1]
            target = prices[3, i - 1] + side * atr[i - 1]
            whole[0, trades] = side
            whole[1, trades] = i
            price[0, trades] = first
        if side == 0:
            continue
        worst, best = (prices[2, i], prices[1, i]) if side > 0 else (prices[1, i], prices[2, i])
        stopped = side * worst <= side * stop
        won = side * best >= side * target
        if not (stopped or won):
            continue
        # A bar that opens beyond a level has no price at the level.
        if side * first <= side * stop or side * first >= side * target:
            price[1, trades] = first
        else:
            price[1, trades] = stop if stopped else target
        whole[2, trades] = i
        trades += 1
        side = 0
    return trades


def reference_trades(series: pd.DataFrame) -> BracketTrades:
    """Return the closed trades of the bracket benchmark on `series` (see `bench.bracket_series`)."""
    prices = np.array([series[name] for name in ("open", "high", "low", "close")], dtype=np.float64)
    room = int((series["signal"] != 0).sum()) + 1
    whole, price = np.zeros((3, room), dtype=np.int64), np.zeros((2, room))
    count = _follow(
        prices, series["signal"].to_numpy(dtype=np.int8), series["atr"].to_numpy(dtype=np.float64), whole, price
    )
    side, entry_bar, exit_bar = whole[:, :count]
    entry_price, exit_price = price[:, :count]
    return BracketTrades(side, entry_bar, exit_bar, entry_price, exit_price)
