"""Two backtests on the same bars, head to head: what differs, and whether the days can tell.

They are judged at equal risk, each as an account that has 1 % at stake a trade on average: else the
bolder one would win every comparison of returns, and the more timid one every comparison of scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from backtest.metrics import Metrics, Scalar
from novosky.measures.score import EQUAL_RISK, MIN_TRADES
from novosky.measures.selection import PairedBootstrap, paired_bootstrap
from novosky.measures.statistics import Floats

Verdict = Literal["identical", "new", "old", "undecided", "too short"]

LEAST_DAYS = 30
"""A paired bootstrap over fewer daily differences tells nothing."""
FIGURES = (
    "score",
    "score_at_equal_risk",
    "trades",
    "win_rate",
    "profit_factor",
    "expectancy_r",
    "expectancy_usd",
    "total_return",
    "max_drawdown",
    "max_drawdown_at_1pct",
    "risk_per_trade",
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


@dataclass(frozen=True)
class Comparison:
    """Two backtests on the same bars.

    Attributes
    ----------
    old, new : Metrics
    paired : PairedBootstrap or None
        None where the window is too short for one.
    verdict : Verdict
        Which one earned more per day at equal risk beyond what chance explains; `undecided` when the
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
            "daily_difference": None if paired is None else paired.mean_difference,
            "daily_difference_low": None if paired is None else paired.mean_low,
            "daily_difference_high": None if paired is None else paired.mean_high,
            "share_above_zero": None if paired is None else paired.mean_probability,
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
    old_daily, new_daily = _at_equal_risk(old, old_daily), _at_equal_risk(new, new_daily)
    paired = None if len(new_daily) < LEAST_DAYS else paired_bootstrap(new_daily, old_daily, rng)
    return Comparison(old, new, paired, _verdict(paired, identical=bool(np.array_equal(old_daily, new_daily))))


def _at_equal_risk(metrics: Metrics, daily: Floats) -> Floats:
    risk = metrics.risk_per_trade
    return daily if risk is None else daily * (EQUAL_RISK / risk)


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
    if paired.mean_low > 0.0:
        return "new"
    return "old" if paired.mean_high < 0.0 else "undecided"


def _verdict_words(verdict: Verdict, paired: PairedBootstrap | None) -> str:
    if verdict == "identical":
        return "Both earned the same on every day at equal risk: on these bars nothing tells them apart."
    if paired is None:
        return f"With fewer than {LEAST_DAYS} days the data cannot tell which is better; give a longer window."
    interval = (
        f"{paired.mean_difference:+.4%} a day at 1 % risk a trade, 95 % interval {paired.mean_low:+.4%} to "
        f"{paired.mean_high:+.4%} over {paired.days} days"
    )
    if verdict == "undecided":
        return f"The data cannot tell which is better: new against old is {interval}, which holds zero."
    better, worse = ("new", "old") if verdict == "new" else ("old", "new")
    return f"The {better} one is better, and the data can tell it from the {worse} one: new against old is {interval}."


def _score_words(old: Metrics, new: Metrics) -> list[str]:
    few = [f"the {name} run made {run.trades}" for name, run in (("old", old), ("new", new)) if run.trades < MIN_TRADES]
    if few:
        return [f"Too few trades for a score: {' and '.join(few)} of at least {MIN_TRADES}."]
    before, after = old.score_at_equal_risk, new.score_at_equal_risk
    if before is None or after is None:
        return []
    relation = "equals" if after == before else "is above" if after > before else "is below"
    return [f"At 1 % risk a trade the new score {after:.2f} {relation} the old {before:.2f}."]
