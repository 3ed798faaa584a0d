"""Two backtests on the same bars, head to head: what differs, and whether the days can tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from backtest.metrics import MIN_TRADES, Metrics, Scalar
from backtest.statistics import MIN_DAYS, Floats, stationary_bootstrap

Verdict = Literal["identical", "new", "old", "undecided", "too short"]

FIGURES = (
    "score",
    "trades",
    "win_rate",
    "profit_factor",
    "expectancy_r",
    "expectancy_usd",
    "total_return",
    "max_drawdown",
    "sharpe",
    "sortino",
    "calmar",
    "exposure",
    "longest_losing_run",
    "longest_drawdown_days",
    "candidates",
    "blocked",
    "cost_spread",
    "cost_commission",
    "cost_swap",
    "cost_slippage",
)
"""What is set side by side, as `Metrics` names it."""

_CHUNK = 1_000_000
"""Days drawn at once by the bootstrap; bounds its memory."""


@dataclass(frozen=True)
class PairedBootstrap:
    """The mean difference of two series of daily returns, new minus old, with its interval.

    Attributes
    ----------
    days : int
    block : float
        Mean length of the resampled blocks, days.
    resamples : int
    difference : float
        Mean daily return of the new less that of the old, a fraction.
    low, high : float
        Ends of its percentile interval at `level`.
    level : float
        A fraction, 0.95 for 95 %.
    share_above_zero : float
        Share of the resampled means above zero, ties counted half.
    """

    days: int
    block: float
    resamples: int
    difference: float
    low: float
    high: float
    level: float
    share_above_zero: float


def paired_bootstrap(
    new_daily: Floats,
    old_daily: Floats,
    rng: np.random.Generator,
    *,
    block: float | None = None,
    resamples: int = 2000,
    level: float = 0.95,
) -> PairedBootstrap | None:
    """Resample the days of two runs together and return the interval of their mean difference.

    Both runs live through the same market, so that a day is drawn for both at once: what the
    market did cancels, and only what the runs did differently remains. Blocks keep
    neighbouring days together. Source: D. N. Politis and J. P. Romano, The Stationary
    Bootstrap, JASA 89 (1994).

    Parameters
    ----------
    new_daily, old_daily : ndarray, shape (days,)
        Returns of the same UTC days, fractions, see `backtest.statistics.daily_returns`.
    rng : numpy.random.Generator
        The same seed gives the same interval.
    block : float or None
        Mean block length in days, at least 1; the cube root of the number of days when None.
    resamples : int
    level : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    PairedBootstrap or None
        None with fewer than `backtest.statistics.MIN_DAYS` days.

    Raises
    ------
    ValueError
        The series differ in length, hold something that is no number, or a setting is out of range.
    """
    if new_daily.shape != old_daily.shape or new_daily.ndim != 1:
        raise ValueError(f"paired days need two series of the same days, not {new_daily.shape} and {old_daily.shape}")
    difference = new_daily - old_daily
    if not np.isfinite(difference).all():
        raise ValueError("a daily return is not a number")
    days = len(difference)
    if (block is not None and block < 1.0) or resamples < 1 or not 0.0 < level < 1.0:
        raise ValueError(f"block >= 1, resamples >= 1 and 0 < level < 1 are needed, not {block}, {resamples}, {level}")
    if days < MIN_DAYS:
        return None
    length = max(days ** (1.0 / 3.0), 1.0) if block is None else block
    means = np.empty(resamples)
    step = max(_CHUNK // days, 1)
    for first in range(0, resamples, step):
        size = min(step, resamples - first)
        means[first : first + size] = difference[stationary_bootstrap(days, length, size, rng)].mean(axis=1)
    low, high = np.percentile(means, (50.0 * (1.0 - level), 50.0 * (1.0 + level)))
    above = np.count_nonzero(means > 0.0) + 0.5 * np.count_nonzero(means == 0.0)
    return PairedBootstrap(
        days=days,
        block=length,
        resamples=resamples,
        difference=float(difference.mean()),
        low=float(low),
        high=float(high),
        level=level,
        share_above_zero=float(above / resamples),
    )


@dataclass(frozen=True)
class Comparison:
    """Two backtests on the same bars.

    Attributes
    ----------
    old, new : Metrics
    paired : PairedBootstrap or None
        None where the window is too short for one.
    verdict : Verdict
        Which one earned more per day beyond what chance explains; `undecided` when the
        interval holds zero.
    """

    old: Metrics
    new: Metrics
    paired: PairedBootstrap | None
    verdict: Verdict

    @property
    def words(self) -> str:
        """Return which is better, and whether the data can tell, in sentences."""
        return " ".join((_verdict_words(self.verdict, self.paired), *_score_words(self.old, self.new)))

    def as_dict(self) -> dict[str, Scalar]:
        """Return one flat JSON object: `old_*`, `new_*`, `difference_*`, the interval, the verdict and its words."""
        old, new = self.old.as_dict(), self.new.as_dict()
        flat: dict[str, Scalar] = {f"old_{name}": value for name, value in old.items()}
        flat |= {f"new_{name}": value for name, value in new.items()}
        flat |= {f"difference_{name}": difference_of(old, new, name) for name in FIGURES}
        paired = self.paired
        return flat | {
            "days": None if paired is None else paired.days,
            "daily_difference": None if paired is None else paired.difference,
            "daily_difference_low": None if paired is None else paired.low,
            "daily_difference_high": None if paired is None else paired.high,
            "share_above_zero": None if paired is None else paired.share_above_zero,
            "verdict": self.verdict,
            "words": self.words,
        }


def compare(old: Metrics, new: Metrics, old_daily: Floats, new_daily: Floats, rng: np.random.Generator) -> Comparison:
    """Judge two backtests over the same bars.

    Parameters
    ----------
    old, new : Metrics
    old_daily, new_daily : ndarray, shape (days,)
        Daily returns of the same days.
    rng : numpy.random.Generator
        Draws the bootstrap.
    """
    paired = paired_bootstrap(new_daily, old_daily, rng)
    return Comparison(old, new, paired, _verdict(paired, identical=bool(np.array_equal(old_daily, new_daily))))


def difference_of(old: Mapping[str, Scalar], new: Mapping[str, Scalar], name: str) -> float | None:
    """Return new minus old of one figure, None where either is unknown."""
    before, after = old[name], new[name]
    if isinstance(before, int | float) and isinstance(after, int | float):
        return after - before
    return None


def _verdict(paired: PairedBootstrap | None, *, identical: bool) -> Verdict:
    if identical:
        return "identical"
    if paired is None:
        return "too short"
    if paired.low > 0.0:
        return "new"
    return "old" if paired.high < 0.0 else "undecided"


def _verdict_words(verdict: Verdict, paired: PairedBootstrap | None) -> str:
    if verdict == "identical":
        return "Both earned the same on every day: on these bars nothing tells them apart."
    if paired is None:
        return f"With fewer than {MIN_DAYS} days the data cannot tell which is better; give a longer window."
    interval = (
        f"{paired.difference:+.4%} a day, {paired.level:.0%} interval {paired.low:+.4%} to {paired.high:+.4%} over "
        f"{paired.days} days"
    )
    if verdict == "undecided":
        return f"The data cannot tell which is better: new against old is {interval}, which holds zero."
    better, worse = ("new", "old") if verdict == "new" else ("old", "new")
    return f"The {better} one is better, and the data can tell it from the {worse} one: new against old is {interval}."


def _score_words(old: Metrics, new: Metrics) -> list[str]:
    few = [f"the {name} run made {run.trades}" for name, run in (("old", old), ("new", new)) if run.trades < MIN_TRADES]
    if few:
        return [f"Too few trades for a score: {' and '.join(few)} of at least {MIN_TRADES}."]
    if old.score is None or new.score is None:
        return []
    relation = "equals" if new.score == old.score else "is above" if new.score > old.score else "is below"
    return [f"The new score {new.score:.2f} {relation} the old {old.score:.2f}."]
