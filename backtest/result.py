"""What a backtest leaves behind, before anything is measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt
import pandas as pd

from engine.records import Account, Bars, Guard, Minutes, Params, Rollovers, Run, no_minutes, no_rollovers


@dataclass(frozen=True)
class BacktestResult:
    """The records and arrays of one run of the engine.

    Attributes
    ----------
    bars : Bars
        The bars that were traded, each column of shape (n,).
    candidates : ndarray of Candidate
        Every bar at which the signal model named a side.
    trades : ndarray of Trade
        Closed positions in order of exit.
    blocks : ndarray of Block
        Candidates that were not traded, with the mask of failing gates.
    equity : ndarray of float, shape (n,)
        Floating equity in USD at each close.
    params, account, guard, run : records
        The rules as used, and the state after the last bar.
    start_balance : float
        USD.
    seconds : float
        Wall time of the run, bars to result.
    train_cutoff : pandas.Timestamp or None
        The last bar whose information entered training, UTC.
    labels : tuple of str
        Warnings and marks that every output must carry (synthetic data, in-sample overlap).
    minutes, rollovers : Minutes, Rollovers
        One-minute bars (empty without) and server midnights of the run.
    spread_floored : int
        Bars that pay `costs.spread` instead of their own, see `engine.inputs.bar_spreads`.
    """

    bars: Bars
    candidates: npt.NDArray[Any]
    trades: npt.NDArray[Any]
    blocks: npt.NDArray[Any]
    equity: npt.NDArray[Any]
    params: Params
    account: Account
    guard: Guard
    run: Run
    start_balance: float
    seconds: float
    train_cutoff: pd.Timestamp | None
    labels: tuple[str, ...] = ()
    minutes: Minutes = field(default_factory=no_minutes)
    rollovers: Rollovers = field(default_factory=no_rollovers)
    spread_floored: int = 0
