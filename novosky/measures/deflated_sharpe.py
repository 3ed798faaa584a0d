"""How much of a Sharpe ratio is left once one counts how many configurations were tried.

Source of every formula: D. H. Bailey and M. Lopez de Prado, The Deflated Sharpe Ratio:
Correcting for Selection Bias, Backtest Overfitting and Non-Normality, Journal of Portfolio
Management 40 (2014). Sharpe ratios here are those of the observed period (of a day for daily
returns), never annualised; kurtosis is 3 for a normal distribution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from novosky.measures.statistics import Floats

EULER_GAMMA = 0.5772156649015329
"""The Euler-Mascheroni constant of the extreme value approximation."""
MIN_RETURNS = 30
"""Fewer returns say nothing about skewness and kurtosis."""

_NORMAL = NormalDist()
_NO_VARIANCE = 1e-12


@dataclass(frozen=True)
class DeflatedSharpe:
    """A Sharpe ratio and what selection leaves of it; ratios are per observation.

    Attributes
    ----------
    sharpe : float
    observations : int
    skewness, kurtosis : float
        Of the returns; 0 and 3 for a normal distribution.
    trials : int
        Configurations ever tried, this one included.
    expected_maximum : float
        Sharpe ratio that the best of so many worthless trials shows on average.
    probabilistic : float
        Probability that the true ratio is above 0, as if nothing else had been tried.
    deflated : float
        Probability that the true ratio is above 0 given the number of trials; 0.95 is the usual bar.
    """

    sharpe: float
    observations: int
    skewness: float
    kurtosis: float
    trials: int
    expected_maximum: float
    probabilistic: float
    deflated: float


def probabilistic_sharpe(
    sharpe: float, benchmark: float, observations: int, *, skewness: float = 0.0, kurtosis: float = 3.0
) -> float:
    """Return the probability that the true Sharpe ratio exceeds `benchmark`.

    PSR = Phi((SR - SR0) sqrt(T - 1) / sqrt(1 - skewness SR + (kurtosis - 1) / 4 SR^2)).

    Parameters
    ----------
    sharpe, benchmark : float
        Estimated and compared ratio, per observation.
    observations : int
        Number T of returns behind the estimate.

    Raises
    ------
    ValueError
        Fewer than two observations, or moments that no distribution has.

    Examples
    --------
    >>> probabilistic_sharpe(0.1, 0.1, 100)
    0.5
    """
    spread = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    if observations < 2 or not spread > 0.0:
        raise ValueError(
            f"a probabilistic Sharpe ratio needs 2 observations and possible moments, not {observations} observations, "
            f"skewness {skewness} and kurtosis {kurtosis}"
        )
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt(observations - 1) / math.sqrt(spread))


def expected_maximum_sharpe(trials: int, variance: float) -> float:
    """Return the Sharpe ratio that the best of `trials` independent, worthless trials shows on average.

    E[max] = sqrt(V) ((1 - g) Phi^-1(1 - 1/N) + g Phi^-1(1 - 1/(N e))), g the Euler-Mascheroni
    constant; 0 for a single trial, which selects nothing.

    Parameters
    ----------
    trials : int
        Number N of trials; correlated ones count for less than their number.
    variance : float
        Variance V of the Sharpe ratios across the trials.

    Raises
    ------
    ValueError
        No trial, or a negative variance.

    Examples
    --------
    >>> expected_maximum_sharpe(1, 0.01)
    0.0
    >>> round(expected_maximum_sharpe(100, 0.5 / 250), 4)
    0.1132
    """
    if trials < 1 or not variance >= 0.0:
        raise ValueError(f"selection needs trials >= 1 and a variance >= 0, not {trials} and {variance}")
    # Nothing was selected, and the approximation has no value for one.
    if trials == 1:
        return 0.0
    best = (1.0 - EULER_GAMMA) * _NORMAL.inv_cdf(1.0 - 1.0 / trials)
    best += EULER_GAMMA * _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * best


def deflated_sharpe(returns: Floats, trials: int, trial_sharpe_variance: float | None = None) -> DeflatedSharpe | None:
    """Return the Sharpe ratio of `returns` with what the number of trials leaves of it.

    Parameters
    ----------
    returns : ndarray, shape (T,)
        Returns of equal periods, fractions.
    trials : int
        Configurations ever tried on these data, this one included.
    trial_sharpe_variance : float or None
        Variance of their Sharpe ratios, per observation. None takes 1 / (T - 1), the
        variance that estimates from T normal returns have when no trial is worth anything.

    Returns
    -------
    DeflatedSharpe or None
        None with fewer than `MIN_RETURNS` returns, no variance or a ruined account.

    Raises
    ------
    ValueError
        No trial, or a negative variance.
    """
    count = len(returns)
    if count < MIN_RETURNS or not np.all(returns > -1.0):
        return None
    deviation = float(np.std(returns, ddof=1))
    if deviation < _NO_VARIANCE:
        return None
    centred = returns - returns.mean()
    second = float(np.mean(centred**2))
    skewness = float(np.mean(centred**3)) / second**1.5
    kurtosis = float(np.mean(centred**4)) / second**2
    sharpe = float(returns.mean()) / deviation
    variance = 1.0 / (count - 1) if trial_sharpe_variance is None else trial_sharpe_variance
    best = expected_maximum_sharpe(trials, variance)
    return DeflatedSharpe(
        sharpe=sharpe,
        observations=count,
        skewness=skewness,
        kurtosis=kurtosis,
        trials=trials,
        expected_maximum=best,
        probabilistic=probabilistic_sharpe(sharpe, 0.0, count, skewness=skewness, kurtosis=kurtosis),
        deflated=probabilistic_sharpe(sharpe, best, count, skewness=skewness, kurtosis=kurtosis),
    )
