"""Sequential test of whether a bot has become worse than the evidence it was approved on; any look is allowed.

What is watched is each trade's result in multiples of its risk (R). The claim on trial: the mean
R is at least a reference, the lower confidence bound of the out-of-sample trades the set was
approved with, or 0 (breakeven) where there is none. Someone who does not believe it bets against
it, trade by trade; as long as the claim holds nobody can expect to gain, and by Ville's inequality
the chance that his wealth ever reaches 1/a is at most a, however often it is looked at and
whenever one stops. The wealth is the average over several stakes.

By simulation of brackets that pay 1.2 R or cost 1.05 R: 3 % of good sets fail within 600 trades; sets
that earn 0.5, 0.3 and 0.2 R a trade less than claimed are found within 65, 145 and 320 trades, four
times out of five.

Source: I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by betting",
Journal of the Royal Statistical Society B 86 (2024), sections 4 and 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from novosky.measures.statistics import stationary_bootstrap

Floats = npt.NDArray[np.float64]

FALSE_ALARMS = 0.05
"""At most this share of sets that are as good as their reference are ever called degraded."""
MOST_R = 5.0
"""No trade is reckoned with more than this: brackets of this house pay at most a few times their risk."""
STAKES = 4
LEAST_STAKE = 0.3
"""Share of the largest stake that is admissible."""
CONFIDENCE = 0.05
"""One-sided level of the reference's lower bound."""
SEED = 7
_MOST_LOG = 700.0
"""Beyond it a number of this size is none."""


@dataclass(frozen=True)
class Reference:
    """What a set was approved with.

    Attributes
    ----------
    least_r : float
        Mean R that is claimed: the lower bound.
    mean_r : float or None
        Mean of the trades it was approved with.
    trades : int or None
        How many there were.
    since : float
        From when on its trades count, UTC epoch seconds; 0 for all.
    source : str
        Where this was found, in words.
    """

    least_r: float
    mean_r: float | None
    trades: int | None
    since: float
    source: str


BREAKEVEN = Reference(0.0, None, None, 0.0, "")
"""What is claimed where nothing was approved."""


@dataclass(frozen=True)
class Trial:
    """How the claim stands.

    Attributes
    ----------
    reference : Reference
    trades : int
        Trades with a known R that were looked at.
    mean_r : float or None
        Their mean.
    evidence : float
        The wealth by now: 1 at the beginning, below it where the trades speak for the claim.
    highest : float
        The most it ever was.
    """

    reference: Reference
    trades: int
    mean_r: float | None
    evidence: float
    highest: float

    @property
    def failed(self) -> bool:
        """True once the evidence against the claim was enough."""
        return self.highest >= 1.0 / FALSE_ALARMS


def wealth(results: Floats, least_r: float) -> Floats:
    """Return the wealth of whoever bets that the mean lies below `least_r`, after each trade, shape (n,).

    Parameters
    ----------
    results : ndarray of float, shape (n,)
        R of each trade, in order.
    least_r : float
        Below `MOST_R`.
    """
    largest = 1.0 / (MOST_R - least_r)
    stakes = largest * np.geomspace(LEAST_STAKE, 0.99, STAKES)
    gains = least_r - np.minimum(results, MOST_R)
    # As logarithms: thousands of factors would run over.
    paths = np.cumsum(np.log1p(np.outer(stakes, gains)), axis=1)
    averaged: Floats = np.exp(np.minimum(np.logaddexp.reduce(paths, axis=0) - np.log(STAKES), _MOST_LOG))
    return averaged


def trial_of(results: Sequence[float], reference: Reference) -> Trial:
    """Put the claim of a reference on trial with the trades' R, in order."""
    if not results:
        return Trial(reference, 0, None, 1.0, 1.0)
    values = np.asarray(results, dtype=np.float64)
    path = wealth(values, reference.least_r)
    return Trial(reference, len(values), float(values.mean()), float(path[-1]), float(max(1.0, path.max())))


def lower_bound(results: Floats, *, resamples: int = 2_000) -> float:
    """Return the one-sided 95 % lower bound of the mean R by stationary bootstrap; trades follow one another.

    Raises
    ------
    ValueError
        There are no trades.
    """
    count = len(results)
    if count == 0:
        raise ValueError("a lower bound needs trades")
    rng = np.random.default_rng(SEED)
    block = max(count ** (1.0 / 3.0), 1.0)
    means = [float(results[stationary_bootstrap(count, block, 1, rng)].mean()) for _ in range(resamples)]
    return float(np.percentile(means, 100.0 * CONFIDENCE))
