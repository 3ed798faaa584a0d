"""Statistics of trades and equity as pure functions: shares are fractions, money is USD, times UTC.

Nothing here knows the engine; each function names the source of its formula. A figure that
the data cannot carry (too few days, no variance, no trades) is None, never zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from novosky.market.timeframe import DAY_SECONDS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

DAYS_PER_YEAR = 365
"""Daily returns of a year on a market that never closes; one that rests at weekends has about 252."""
MIN_DAYS = 180
"""Yearly figures from fewer daily returns are noise: 41 days have shown a Calmar ratio of 5,000."""
PROFIT_FACTOR_CAP = 10.0
Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""

_CHUNK = 1_000_000
"""Elements drawn at once by the bootstrap; bounds its memory."""
_NO_VARIANCE = 1e-12


def wilson_interval(wins: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    """Return the score interval of a proportion, as fractions.

    Source: E. B. Wilson, Probable Inference, the Law of Succession, and Statistical
    Inference, JASA 22 (1927).

    Raises
    ------
    ValueError
        When there are no trials or `wins` is not within them.

    Examples
    --------
    >>> low, high = wilson_interval(5, 10)
    >>> round(low, 4), round(high, 4)
    (0.2366, 0.7634)
    """
    if trials < 1 or not 0 <= wins <= trials:
        raise ValueError(f"a proportion needs 0 <= wins <= trials and trials >= 1, found {wins} of {trials}")
    share = wins / trials
    spread = z * z / trials
    centre = (share + spread / 2.0) / (1.0 + spread)
    half = z * math.sqrt(share * (1.0 - share) / trials + spread / (4.0 * trials)) / (1.0 + spread)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def plain_profit_factor(net: Floats) -> float | None:
    """Return the sum of winning results over that of losing ones, uncapped, for people to read.

    Returns
    -------
    float or None
        0 without a winner, infinity without a loser, None without trades or when all are zero.
    """
    gained, lost = float(net[net > 0.0].sum()), -float(net[net < 0.0].sum())
    if gained == 0.0 and lost == 0.0:
        return None
    return gained / lost if lost > 0.0 else math.inf


def profit_factor(net: Floats) -> float | None:
    """Return the sum of winning results over that of losing ones, capped at `PROFIT_FACTOR_CAP`.

    Parameters
    ----------
    net : ndarray, shape (n,)
        Results after all costs.

    Returns
    -------
    float or None
        0 without a winner, the cap without a loser, None without trades.
    """
    if len(net) == 0:
        return None
    return float(_profit_factors(net[np.newaxis, :])[0])


def _profit_factors(net: Floats) -> Floats:
    gained = np.where(net > 0.0, net, 0.0).sum(axis=1)
    lost = -np.where(net < 0.0, net, 0.0).sum(axis=1)
    ratio = np.divide(gained, lost, out=np.full(len(net), PROFIT_FACTOR_CAP), where=lost > 0.0)
    factors: Floats = np.where(gained > 0.0, np.minimum(ratio, PROFIT_FACTOR_CAP), 0.0)
    return factors


def stationary_bootstrap(count: int, block: float, resamples: int, rng: np.random.Generator) -> Ints:
    """Draw resampled positions in blocks of random length, wrapping around the end.

    Neighbouring trades are not independent; blocks keep their order, and geometric lengths
    keep the resampled series stationary.

    Source: D. N. Politis and J. P. Romano, The Stationary Bootstrap, JASA 89 (1994).

    Parameters
    ----------
    count : int
        Length of the series.
    block : float
        Mean block length, at least 1.
    resamples : int
        Number of resampled series.

    Returns
    -------
    ndarray of int, shape (resamples, count)
        Positions within 0 .. count - 1.
    """
    begins = rng.random((resamples, count)) < 1.0 / block
    begins[:, 0] = True
    starts = rng.integers(count, size=(resamples, count))
    offsets = np.arange(count)
    begun = np.maximum.accumulate(np.where(begins, offsets, 0), axis=1)
    positions: Ints = (np.take_along_axis(starts, begun, axis=1) + offsets - begun) % count
    return positions


def profit_factor_interval(net: Floats, rng: np.random.Generator, *, resamples: int = 1000) -> tuple[float, float]:
    """Return the 95 % percentile interval of the profit factor by stationary bootstrap.

    The mean block length is the cube root of the number of trades, the order that
    minimises the error of the variance (Politis and Romano 1994).

    Raises
    ------
    ValueError
        When there are no trades.
    """
    count = len(net)
    if count == 0:
        raise ValueError("an interval of the profit factor needs trades")
    block = max(count ** (1.0 / 3.0), 1.0)
    factors = np.empty(resamples)
    step = max(_CHUNK // count, 1)
    for first in range(0, resamples, step):
        size = min(step, resamples - first)
        factors[first : first + size] = _profit_factors(net[stationary_bootstrap(count, block, size, rng)])
    low, high = np.percentile(factors, (2.5, 97.5))
    return float(low), float(high)


def daily_returns(times: Ints, equity: Floats, start_balance: float) -> Floats:
    """Return the change of equity over each UTC day, days without bars included as 0.

    Parameters
    ----------
    times : ndarray of int, shape (n,)
        Opens of the bars, epoch seconds; a bar belongs to the day it opens in.
    equity : ndarray, shape (n,)
        Floating equity at each close, USD.
    start_balance : float
        Equity before the first bar, USD.

    Returns
    -------
    ndarray, shape (days,)
        Fractions, from the first bar's day to the last bar's.
    """
    return relative_changes(np.concatenate(([start_balance], equity[day_closes(times)])))


def day_closes(times: Ints) -> Ints:
    """Return the bar whose close ends each UTC day, shape (days,).

    Parameters
    ----------
    times : ndarray of int, shape (n,)
        Opens of the bars, epoch seconds; a bar belongs to the day it opens in.
    """
    day = times // DAY_SECONDS
    last_of_day = np.append(np.flatnonzero(np.diff(day)), len(day) - 1)
    days = np.arange(day[0], day[-1] + 1)
    # The newest close up to the end of each day carries over days on which nothing traded.
    closes: Ints = last_of_day[np.searchsorted(day[last_of_day], days, side="right") - 1]
    return closes


def relative_changes(closing: Floats) -> Floats:
    """Return the relative changes of equity along the last axis, one fewer than there are closings.

    A ruined account has nothing left to earn on and stays at -1.
    """
    before, after = closing[..., :-1], closing[..., 1:]
    ratio: Floats = np.divide(after, before, out=np.zeros(after.shape), where=before > 0.0)
    return ratio - 1.0


def sharpe_ratio(returns: Floats, *, days_per_year: int = DAYS_PER_YEAR) -> float | None:
    """Return the yearly Sharpe ratio of daily returns over a riskless rate of zero.

    Source: W. F. Sharpe, The Sharpe Ratio, Journal of Portfolio Management 21 (1994).
    None for fewer than `MIN_DAYS` days, no variance, or a ruined account.
    """
    if len(returns) < MIN_DAYS or not np.all(returns > -1.0):
        return None
    deviation = float(np.std(returns, ddof=1))
    if deviation < _NO_VARIANCE:
        return None
    return float(np.mean(returns)) / deviation * math.sqrt(days_per_year)


def sortino_ratio(returns: Floats, *, days_per_year: int = DAYS_PER_YEAR) -> float | None:
    """Return the yearly Sortino ratio of daily returns with a target of zero.

    Downside deviation is the root mean square of the losses over all days, gaining days
    counted as zero. Source: F. A. Sortino and L. N. Price, Performance Measurement in a
    Downside Risk Framework, Journal of Investing 3 (1994). None as in `sharpe_ratio`, and
    when no day lost.
    """
    if len(returns) < MIN_DAYS or not np.all(returns > -1.0):
        return None
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    if downside < _NO_VARIANCE:
        return None
    return float(np.mean(returns)) / downside * math.sqrt(days_per_year)


def yearly_growth(returns: Floats, *, days_per_year: int = DAYS_PER_YEAR) -> float | None:
    """Return the compound yearly return of daily returns (CAGR), a fraction.

    None for fewer than `MIN_DAYS` days, a ruined account, or growth beyond a float.
    """
    if len(returns) < MIN_DAYS or not np.all(returns > -1.0):
        return None
    yearly_log = float(np.sum(np.log1p(returns))) * days_per_year / len(returns)
    # exp overflows near 709.
    return math.expm1(yearly_log) if yearly_log < 700.0 else None


def yearly_volatility(returns: Floats, *, days_per_year: int = DAYS_PER_YEAR) -> float | None:
    """Return the standard deviation of daily returns, scaled to a year, a fraction.

    None for fewer than `MIN_DAYS` days or a ruined account.
    """
    if len(returns) < MIN_DAYS or not np.all(returns > -1.0):
        return None
    return float(np.std(returns, ddof=1)) * math.sqrt(days_per_year)


def rolling_sharpe(returns: Floats, days: int = MIN_DAYS, *, days_per_year: int = DAYS_PER_YEAR) -> Floats:
    """Return the yearly Sharpe ratio of every window of `days` daily returns, shape (n - days + 1,).

    Empty for a shorter series; NaN for a window without variance or with a ruined account.
    """
    if len(returns) < days:
        return np.empty(0)
    windows = np.lib.stride_tricks.sliding_window_view(returns, days)
    deviations = windows.std(axis=1, ddof=1)
    usable = (deviations >= _NO_VARIANCE) & (windows > -1.0).all(axis=1)
    ratios: Floats = np.divide(
        windows.mean(axis=1) * math.sqrt(days_per_year), deviations, out=np.full(len(windows), np.nan), where=usable
    )
    return ratios


def calmar_ratio(returns: Floats, max_drawdown: float) -> float | None:
    """Return the compound yearly return over the largest drawdown.

    Source: T. W. Young, Calmar Ratio: A Smoother Tool, Futures (October 1991). None without a
    drawdown, and as in `yearly_growth`.

    Parameters
    ----------
    returns : ndarray, shape (days,)
        Daily returns, fractions.
    max_drawdown : float
        Fraction, above 0 for a result.
    """
    growth = yearly_growth(returns)
    return None if growth is None or max_drawdown <= 0.0 else growth / max_drawdown


def longest_run(flags: Flags) -> int:
    """Return the length of the longest unbroken run of True.

    Examples
    --------
    >>> longest_run(np.array([True, True, False, True]))
    2
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def drawdowns(equity: Floats, start_balance: float) -> Floats:
    """Return how far equity stands below its highest close so far, fractions, shape (n,)."""
    peaks = np.maximum.accumulate(np.concatenate(([start_balance], equity)))[1:]
    below: Floats = 1.0 - equity / peaks
    return below


def longest_drawdown_days(times: Ints, equity: Floats, start_balance: float) -> float:
    """Return the longest time between two closes at the equity's high, in days.

    A drawdown that has not ended counts up to the last bar.

    Parameters
    ----------
    times, equity : ndarray, shape (n,)
        Epoch seconds and USD of each close.
    start_balance : float
        The first peak, standing at the first time.
    """
    at_peak = drawdowns(equity, start_balance) <= 0.0
    marks = np.concatenate((times[:1], times[at_peak], times[-1:]))
    return float(np.diff(marks).max()) / DAY_SECONDS


@dataclass(frozen=True)
class Drawdown:
    """A time below the highest equity at a close.

    Attributes
    ----------
    depth : float
        Fraction of the peak, at the lowest close.
    peak, trough : int
        Epoch seconds of the highest and of the lowest close.
    recovered : int or None
        The first close back at the peak; None when it did not come back.
    """

    depth: float
    peak: int
    trough: int
    recovered: int | None


def worst_drawdowns(times: Ints, equity: Floats, start_balance: float, most: int = 5) -> list[Drawdown]:
    """Return the deepest drawdowns of equity at closes that do not overlap, the deepest first.

    Parameters
    ----------
    times, equity : ndarray, shape (n,)
        Epoch seconds and USD of each close.
    start_balance : float
        The first peak, standing at the first time.
    """
    below = drawdowns(equity, start_balance)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], (below > 0.0).astype(np.int8), [0]))))
    found = []
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        low = begin + int(np.argmax(below[begin:end]))
        recovered = int(times[end]) if end < len(times) else None
        found.append(Drawdown(float(below[low]), int(times[max(begin - 1, 0)]), int(times[low]), recovered))
    return sorted(found, key=lambda drawdown: -drawdown.depth)[:most]


def percentile_rank(values: Floats, score: float) -> float:
    """Return the percentage of `values` below `score`, ties counted half (0 to 100)."""
    below = np.count_nonzero(values < score) + 0.5 * np.count_nonzero(values == score)
    return float(100.0 * below / len(values))


def mean_known(values: Floats) -> float | None:
    """Return the mean of the values that are not NaN, None when there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
