"""What a choice among configurations is worth: overfitting of the choice, and new against old.

Both are pure functions of returns of equal periods (days), fractions, never annualised. The third
piece of evidence, the deflated Sharpe ratio, stands in `novosky.measures.deflated_sharpe`.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from novosky.compiled import compiled
from novosky.measures.statistics import Floats, Ints, stationary_bootstrap

SPLITS = 16
"""Blocks the time is cut into, as the authors of CSCV recommend: 12,870 ways to choose half of them."""
MIN_PERIODS_PER_SPLIT = 2
"""A block with fewer returns says nothing of its own."""

_CHUNK = 1_000_000
"""Elements drawn at once by the bootstrap; bounds its memory."""
_NO_VARIANCE = 1e-24
"""Variance of a return below which a series counts as flat; its Sharpe ratio is 0, that of doing nothing."""


@dataclass(frozen=True)
class Overfitting:
    """How often the best configuration of one half of the time is below the median in the other.

    Attributes
    ----------
    probability : float
        Probability of backtest overfitting. About 1/2 says that choosing found nothing; near 0
        that the best of the past stays above the median.
    combinations : int
        Ways in which the blocks were divided into a half to choose on and a half to judge on.
    splits, configurations : int
    median_logit : float
        Of the chosen configuration's relative rank in the other half; 0 is the median rank.
    probability_of_loss : float
        Share of the combinations in which the chosen one's Sharpe ratio is below 0 in the other half.
    """

    probability: float
    combinations: int
    splits: int
    configurations: int
    median_logit: float
    probability_of_loss: float


def pbo(returns: Floats, *, splits: int = SPLITS) -> Overfitting | None:
    """Return the probability of backtest overfitting by combinatorially symmetric cross-validation.

    The time is cut into `splits` blocks. For every choice of half of them the configuration with
    the best Sharpe ratio there is looked up in the other half: its rank r among N gives the
    logit log(w / (1 - w)) of w = r / (N + 1), and the probability is the share of logits below 0.
    A logit of 0, the median itself, counts half; equal ratios share their mean rank, and of
    equally good ones the earliest is chosen.

    Source: D. H. Bailey, J. M. Borwein, M. Lopez de Prado and Q. J. Zhu, The Probability of
    Backtest Overfitting, Journal of Computational Finance 20 (2017), first circulated 2015.

    Parameters
    ----------
    returns : ndarray, shape (T, N)
        Returns of T periods under N configurations.
    splits : int
        Even.

    Returns
    -------
    Overfitting or None
        None with one configuration or fewer than `MIN_PERIODS_PER_SPLIT` periods per block.

    Raises
    ------
    ValueError
        `splits` is odd or below 2, or a return is not finite.
    """
    if not np.isfinite(returns).all():
        raise ValueError("overfitting is measured on finite returns only")
    if len(returns) < MIN_PERIODS_PER_SPLIT * splits:
        _check_splits(splits)
        return None
    return pbo_of_blocks(*block_sums(np.ascontiguousarray(returns.T), splits))


def block_sums(returns: Floats, splits: int = SPLITS) -> tuple[Floats, Floats, Ints]:
    """Return what `pbo_of_blocks` needs of the returns: sums and sums of squares by block of time.

    Parameters
    ----------
    returns : ndarray, shape (N, T)
        One configuration per row, T at least `splits`.
    splits : int

    Returns
    -------
    (ndarray, ndarray, ndarray of int)
        Sums and sums of squares, each of shape (N, splits), and the periods in each block. Blocks
        differ by at most one period.
    """
    _check_splits(splits)
    periods = returns.shape[1]
    starts = np.arange(splits, dtype=np.int64) * periods // splits
    counts = np.diff(np.append(starts, periods))
    return np.add.reduceat(returns, starts, axis=1), np.add.reduceat(returns**2, starts, axis=1), counts


def pbo_of_blocks(sums: Floats, squares: Floats, counts: Ints) -> Overfitting | None:
    """Return `pbo` from the block sums of every configuration, which is all it takes.

    Parameters
    ----------
    sums, squares : ndarray, shape (N, splits)
    counts : ndarray of int, shape (splits,)

    Returns
    -------
    Overfitting or None
        None with fewer than two configurations or blocks too short.
    """
    configurations, splits = sums.shape
    _check_splits(splits)
    if configurations < 2 or int(counts.min()) < MIN_PERIODS_PER_SPLIT:
        return None
    # Each division of the blocks serves twice: what one half chooses the other judges, and the reverse.
    halves = np.array(
        [half for half in itertools.combinations(range(splits), splits // 2) if half[0] == 0], dtype=np.int64
    )
    ranks, judged = np.empty((len(halves), 2)), np.empty((len(halves), 2))
    _rank_choices(
        np.ascontiguousarray(sums.T), np.ascontiguousarray(squares.T), counts.astype(np.float64), halves, ranks, judged
    )
    # One more than there are ranks, as the authors do: no share is 0 or 1, where the logit is infinite.
    share = ranks.ravel() / (configurations + 1.0)
    logits = np.log(share / (1.0 - share))
    # The mean of 1 below the median, 1/2 at it and 0 above. Compared as ranks, which are exact.
    middle = (configurations + 1.0) / 2.0
    below = np.count_nonzero(ranks < middle) + 0.5 * np.count_nonzero(ranks == middle)
    return Overfitting(
        probability=float(below / ranks.size),
        combinations=int(ranks.size),
        splits=splits,
        configurations=configurations,
        median_logit=float(np.median(logits)),
        probability_of_loss=float(np.mean(judged < 0.0)),
    )


def _check_splits(splits: int) -> None:
    if splits < 2 or splits % 2:
        raise ValueError(f"time is cut into an even number of blocks, at least 2, not {splits}")


@compiled
def _half_ratios(
    sums: npt.NDArray[Any],
    squares: npt.NDArray[Any],
    counts: npt.NDArray[Any],
    chosen: npt.NDArray[Any],
    ratios: npt.NDArray[Any],
    second: npt.NDArray[Any],
) -> None:
    """Write the Sharpe ratio of every configuration over the chosen blocks into `ratios`."""
    periods = 0.0
    ratios[:] = 0.0
    second[:] = 0.0
    for block in range(len(chosen)):
        if chosen[block]:
            periods += counts[block]
            for k in range(len(ratios)):
                ratios[k] += sums[block, k]
                second[k] += squares[block, k]
    for k in range(len(ratios)):
        mean = ratios[k] / periods
        variance = (second[k] - mean * ratios[k]) / (periods - 1.0)
        ratios[k] = mean / math.sqrt(variance) if variance > _NO_VARIANCE else 0.0


@compiled
def _judge(choosing: npt.NDArray[Any], judging: npt.NDArray[Any]) -> tuple[float, float]:
    """Return the mean rank (1 the worst) that the first best of `choosing` has in `judging`, and its value there."""
    best = 0
    for k in range(len(choosing)):
        if choosing[k] > choosing[best]:
            best = k
    value = judging[best]
    below = 0
    equal = 0
    for k in range(len(judging)):
        if judging[k] < value:
            below += 1
        elif judging[k] == value:
            equal += 1
    return below + (equal + 1) / 2.0, value


@compiled
def _rank_choices(
    sums: npt.NDArray[Any],
    squares: npt.NDArray[Any],
    counts: npt.NDArray[Any],
    halves: npt.NDArray[Any],
    ranks: npt.NDArray[Any],
    judged: npt.NDArray[Any],
) -> None:
    """Fill in, for every half and its complement, the rank and ratio of its best in the other; sums are (splits, N)."""
    first, second, work = np.empty(sums.shape[1]), np.empty(sums.shape[1]), np.empty(sums.shape[1])
    for at in range(len(halves)):
        chosen = np.zeros(len(counts), np.bool_)
        for block in halves[at]:
            chosen[block] = True
        _half_ratios(sums, squares, counts, chosen, first, work)
        _half_ratios(sums, squares, counts, ~chosen, second, work)
        ranks[at, 0], judged[at, 0] = _judge(first, second)
        ranks[at, 1], judged[at, 1] = _judge(second, first)


@dataclass(frozen=True)
class PairedBootstrap:
    """New against old on the same days; ratios are per day.

    Attributes
    ----------
    probability : float
        Share of the resampled histories in which new has the higher Sharpe ratio; ties count half.
    difference, low, high : float
        Sharpe ratio of new less that of old, with its 95 % percentile interval.
    mean_difference, mean_low, mean_high : float
        The same of the mean daily return, as a fraction.
    mean_probability : float
        Share in which new has the higher mean return.
    days, resamples : int
    block : float
        Mean length of the resampled blocks in days.
    """

    probability: float
    difference: float
    low: float
    high: float
    mean_difference: float
    mean_low: float
    mean_high: float
    mean_probability: float
    days: int
    resamples: int
    block: float


def paired_bootstrap(
    new_daily: Floats,
    old_daily: Floats,
    rng: np.random.Generator,
    *,
    resamples: int = 2000,
    block: float | None = None,
) -> PairedBootstrap:
    """Return how sure it is that `new_daily` beats `old_daily`, by a paired stationary bootstrap.

    Both series are resampled at the same places, so that what they share, the market's own days,
    cancels; blocks keep what neighbouring days have in common.

    Source of the resampling: D. N. Politis and J. P. Romano, The Stationary Bootstrap, JASA 89
    (1994); of resampling both strategies together: O. Ledoit and M. Wolf, Robust Performance
    Hypothesis Testing with the Sharpe Ratio, Journal of Empirical Finance 15 (2008).

    Parameters
    ----------
    new_daily, old_daily : ndarray, shape (T,)
        Returns of the same T days, fractions.
    rng : numpy.random.Generator
    resamples : int
    block : float or None
        Mean block length in days, at least 1; None takes the cube root of T.

    Raises
    ------
    ValueError
        Series of different lengths, fewer than two days, or values that are not finite.
    """
    days = len(new_daily)
    if days != len(old_daily) or days < 2:
        raise ValueError(f"new and old must cover the same two days or more, not {days} and {len(old_daily)}")
    pair = np.stack((new_daily, old_daily))
    if not np.isfinite(pair).all():
        raise ValueError("new and old are compared on finite returns only")
    length = max(days ** (1.0 / 3.0), 1.0) if block is None else block
    ratios, means = np.empty(resamples), np.empty(resamples)
    step = max(_CHUNK // days, 1)
    for first in range(0, resamples, step):
        size = min(step, resamples - first)
        drawn = pair[:, stationary_bootstrap(days, length, size, rng)]
        ratios[first : first + size] = _sharpe_difference(drawn)
        means[first : first + size] = drawn[0].mean(axis=1) - drawn[1].mean(axis=1)
    low, high = (float(value) for value in np.percentile(ratios, (2.5, 97.5)))
    mean_low, mean_high = (float(value) for value in np.percentile(means, (2.5, 97.5)))
    return PairedBootstrap(
        probability=_share_above(ratios),
        difference=float(_sharpe_difference(pair[:, np.newaxis, :])[0]),
        low=low,
        high=high,
        mean_difference=float(new_daily.mean() - old_daily.mean()),
        mean_low=mean_low,
        mean_high=mean_high,
        mean_probability=_share_above(means),
        days=days,
        resamples=resamples,
        block=length,
    )


def _sharpe_difference(pair: Floats) -> Floats:
    """Return new less old, shape (n,), for n histories of both, shape (2, n, T)."""
    mean, deviation = pair.mean(axis=2), pair.std(axis=2, ddof=1)
    ratios = np.divide(mean, deviation, out=np.zeros_like(mean), where=deviation > math.sqrt(_NO_VARIANCE))
    difference: Floats = ratios[0] - ratios[1]
    return difference


def _share_above(values: Floats) -> float:
    return float(np.mean(values > 0.0) + 0.5 * np.mean(values == 0.0))
