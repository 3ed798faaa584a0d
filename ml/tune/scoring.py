"""What a trial is worth: the lower bound of its mean result per trade, in multiples of risk.

A mean alone would crown three lucky trades. The bound subtracts the standard error, which
rewards many trades and steady ones, and a trial that does too little in any fold has no
standing at all: it is ranked below every other by how much was missing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.arrays import Float64Array
from ml.labels.position import IntArray

OBJECTIVE_VERSION = 1
"""Raise it when the meaning of a value changes: values of different versions are not comparable."""
BOUND_ERRORS = 1.0
"""Standard errors below the mean at which the bound lies: one sided, about 84 % confidence."""
TOO_FEW = -10.0
"""Values of trials that did too little lie below this; no mean of trades with stops comes near."""


@dataclass(frozen=True, eq=False)
class FoldResult:
    """What a trial did on the test rows of one fold, each array one entry per trade in time order.

    Attributes
    ----------
    gains : ndarray of float64
        What is to be maximised, in R: of a signal trial the trades' results, of a position
        trial what leaving early added to them.
    results : ndarray of float64
        The trades' results in R, costs paid.
    acted : int
        Decisions of the model itself: trades opened, or trades left early.
    """

    gains: Float64Array
    results: Float64Array
    acted: int


@dataclass(frozen=True)
class Summary:
    """Figures of one fold or of all of them; None where too few trades, or no loss, leave them undefined.

    Attributes
    ----------
    trades, acted : int
    mean_gain : float or None
        In R.
    bound : float or None
        Its lower bound, in R.
    mean_r : float or None
        Mean result of a trade in R.
    win_rate, profit_factor : float or None
    """

    trades: int
    acted: int
    mean_gain: float | None
    bound: float | None
    mean_r: float | None
    win_rate: float | None
    profit_factor: float | None


@dataclass(frozen=True)
class Moments:
    """Sharpe ratio per trade, skewness and kurtosis (3 for a normal distribution) of the gains."""

    sharpe: float
    skewness: float
    kurtosis: float


def lower_bound(gains: Float64Array) -> float:
    """Return the mean less `BOUND_ERRORS` standard errors, in R.

    Raises
    ------
    ValueError
        Fewer than two gains have no standard error.

    Examples
    --------
    >>> lower_bound(np.array([1.0, 1.0, -1.0, -1.0, 2.0, 2.0, 0.0, 0.0]))
    0.0773576972678449
    """
    if len(gains) < 2:
        raise ValueError(f"a lower bound needs at least 2 gains, not {len(gains)}")
    return float(gains.mean() - BOUND_ERRORS * gains.std(ddof=1) / math.sqrt(len(gains)))


def summarise(folds: Sequence[FoldResult]) -> Summary:
    """Pool the trades of folds and describe them."""
    gains = np.concatenate([fold.gains for fold in folds])
    results = np.concatenate([fold.results for fold in folds])
    some = len(results) > 0
    lost = -float(results[results < 0.0].sum())
    return Summary(
        trades=len(results),
        acted=sum(fold.acted for fold in folds),
        mean_gain=float(gains.mean()) if some else None,
        bound=lower_bound(gains) if len(gains) >= 2 else None,
        mean_r=float(results.mean()) if some else None,
        win_rate=float((results > 0.0).mean()) if some else None,
        profit_factor=float(results[results > 0.0].sum()) / lost if lost > 0.0 else None,
    )


def first_short_fold(folds: Sequence[FoldResult], least: int) -> int | None:
    """Return the first fold with fewer than `least` decisions of the model, or None."""
    return next((at for at, fold in enumerate(folds) if fold.acted < least), None)


def trial_value(folds: Sequence[FoldResult], n_folds: int, least: int) -> float:
    """Return the value to maximise: the bound of all gains, or how far the trial was from enough decisions.

    Parameters
    ----------
    folds : sequence of FoldResult
        All folds, or those up to the first that is short of decisions.
    n_folds : int
        Folds in all.
    least : int
        Decisions every fold needs.
    """
    short = first_short_fold(folds, least)
    if short is not None:
        return TOO_FEW - (n_folds - short - folds[short].acted / least) / n_folds
    return lower_bound(np.concatenate([fold.gains for fold in folds]))


def moments(folds: Sequence[FoldResult]) -> Moments | None:
    """Return the moments of the pooled gains; None where they do not vary."""
    gains = np.concatenate([fold.gains for fold in folds])
    if len(gains) < 2 or not gains.std() > 0.0:
        return None
    centred = gains - gains.mean()
    second = float(np.mean(centred**2))
    return Moments(
        sharpe=float(gains.mean() / gains.std(ddof=1)),
        skewness=float(np.mean(centred**3)) / second**1.5,
        kurtosis=float(np.mean(centred**4)) / second**2,
    )


def one_at_a_time(first: IntArray, last: IntArray) -> IntArray:
    """Return which trades an account that holds one position would take, in order of entry.

    A bar's fills come before its decision: the close at which a trade ends may already
    decide the next one, which enters a bar later.

    Parameters
    ----------
    first, last : ndarray of int64, shape (n,)
        Entry and exit bar of every trade, `first` rising.

    Examples
    --------
    >>> one_at_a_time(np.array([1, 2, 4, 5]), np.array([3, 9, 6, 7])).tolist()
    [0, 2]
    """
    taken = []
    busy_until = -1
    for trade, (entered, left) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        if entered > busy_until:
            taken.append(trade)
            busy_until = left
    return np.array(taken, dtype=np.int64)
