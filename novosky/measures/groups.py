"""What the trades or bars of a group have earned: of a month, a side, an hour, a way out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from novosky.measures.statistics import Floats, Ints, mean_known, plain_profit_factor, relative_changes


def monthly_returns(times: Ints, equity: Floats, start_balance: float) -> list[tuple[int, int, float]]:
    """Return (year, month, return as a fraction) of every UTC calendar month that has bars.

    Parameters
    ----------
    times : ndarray of int, shape (n,)
        Opens of the bars; a bar belongs to the month it opens in.
    """
    months = times.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
    lasts = np.append(np.flatnonzero(np.diff(months)), len(months) - 1)
    closing = np.concatenate(([start_balance], equity[lasts]))
    return [
        (1970 + int(month) // 12, int(month) % 12 + 1, float(change))
        for month, change in zip(months[lasts], relative_changes(closing), strict=True)
    ]


@dataclass(frozen=True)
class GroupResult:
    """What the trades of one group earned.

    Attributes
    ----------
    name : str
    trades : int
    win_rate, profit_factor, expectancy_r : float or None
        None without trades (or, for the expectancy, without a measured risk); the profit factor
        is infinite without a losing trade.
    net : float
        USD.
    """

    name: str
    trades: int
    win_rate: float | None
    profit_factor: float | None
    expectancy_r: float | None
    net: float


def group_result(name: str, net: Floats, r_multiples: Floats) -> GroupResult:
    """Summarise one group of trades.

    Parameters
    ----------
    net, r_multiples : ndarray, shape (n,)
        USD, and the same in units of the initial risk (NaN where there was none).
    """
    return GroupResult(
        name=name,
        trades=len(net),
        win_rate=float(np.mean(net > 0.0)) if len(net) else None,
        profit_factor=plain_profit_factor(net),
        expectancy_r=mean_known(r_multiples),
        net=float(net.sum()),
    )


def results_by(keys: Ints, names: Sequence[str], net: Floats, r_multiples: Floats) -> list[GroupResult]:
    """Return one `GroupResult` per name; the trades of names[k] are those whose key is k."""
    return [group_result(name, net[keys == key], r_multiples[keys == key]) for key, name in enumerate(names)]
