"""Figures of single folds and of all folds together.

Every fold trades a fresh account. Pooled trades are those of all folds in order of time;
the pooled equity lets each fold go on with what the one before had left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from backtest.benchmarks import Band, band_of_runs
from backtest.metrics import Scalar
from backtest.walk_forward.folds import FoldOutcome, Leg
from novosky.measures.deflated_sharpe import DeflatedSharpe, deflated_sharpe
from novosky.measures.score import MIN_TRADES, score_of
from novosky.measures.statistics import (
    Floats,
    daily_returns,
    drawdowns,
    mean_known,
    profit_factor,
    profit_factor_interval,
    sharpe_ratio,
    wilson_interval,
)


@dataclass(frozen=True)
class FoldFigures:
    """What one way of trading earned in one fold; shares are fractions, None means unknown.

    Attributes
    ----------
    trades : int
    win_rate, profit_factor, expectancy_r : float or None
        None without trades.
    max_drawdown : float
    score : float or None
        None with fewer than `MIN_TRADES` trades.
    total_return : float
    halted : bool
    """

    trades: int
    win_rate: float | None
    profit_factor: float | None
    expectancy_r: float | None
    max_drawdown: float
    score: float | None
    total_return: float
    halted: bool

    def as_dict(self) -> dict[str, Scalar]:
        """Return the figures by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Pooled:
    """What one way of trading earned in all folds together.

    Attributes
    ----------
    figures : FoldFigures
        Of the pooled trades; drawdown and return are those of the chained equity, the drawdown
        at least that of its worst fold (measured at the worst price of each bar, not at closes).
    win_rate_low, win_rate_high : float or None
        Wilson 95 % interval.
    pf_low, pf_high : float or None
        95 % interval by stationary block bootstrap; None with fewer than `MIN_TRADES` trades.
    sharpe : float or None
        Yearly, on the daily returns of the chained equity.
    deflated : DeflatedSharpe or None
        On the same returns.
    equity : ndarray, shape (bars of all folds,)
        The chained equity at closes, in multiples of the starting balance.
    """

    figures: FoldFigures
    win_rate_low: float | None
    win_rate_high: float | None
    pf_low: float | None
    pf_high: float | None
    sharpe: float | None
    deflated: DeflatedSharpe | None
    equity: Floats

    def as_dict(self, prefix: str) -> dict[str, Scalar]:
        """Return flat JSON keys such as `signal_profit_factor` and `signal_deflated_sharpe`."""
        flat: dict[str, Scalar] = self.figures.as_dict()
        flat |= {name: getattr(self, name) for name in ("win_rate_low", "win_rate_high", "pf_low", "pf_high", "sharpe")}
        deflated = self.deflated
        flat |= {
            "sharpe_per_day": None if deflated is None else deflated.sharpe,
            "sharpe_days": None if deflated is None else deflated.observations,
            "sharpe_skewness": None if deflated is None else deflated.skewness,
            "sharpe_kurtosis": None if deflated is None else deflated.kurtosis,
            "expected_maximum_sharpe": None if deflated is None else deflated.expected_maximum,
            "probabilistic_sharpe": None if deflated is None else deflated.probabilistic,
            "deflated_sharpe": None if deflated is None else deflated.deflated,
        }
        return {f"{prefix}_{name}": value for name, value in flat.items()}


@dataclass(frozen=True)
class PooledRandom:
    """Where the ensemble stands among random entries, run k of every fold pooled into run k.

    Attributes
    ----------
    runs : int
    trades : float
        Median number of trades of a run.
    win_rate, profit_factor, expectancy_r, total_return : Band or None
    """

    runs: int
    trades: float
    win_rate: Band | None
    profit_factor: Band | None
    expectancy_r: Band | None
    total_return: Band | None

    def as_dict(self) -> dict[str, Scalar]:
        """Return flat JSON keys such as `random_profit_factor_median`."""
        flat: dict[str, Scalar] = {"random_runs": self.runs, "random_trades": self.trades}
        for name in ("win_rate", "profit_factor", "expectancy_r", "total_return"):
            band: Band | None = getattr(self, name)
            for part in ("median", "low", "high", "percentile"):
                flat[f"random_{name}_{part}"] = None if band is None else getattr(band, part)
        return flat


def fold_figures(leg: Leg) -> FoldFigures:
    """Measure one way of trading in one fold."""
    return _figures(leg.net, leg.r, leg.max_drawdown, float(leg.equity[-1]) - 1.0, halted=leg.halted)


def _figures(net: Floats, r: Floats, max_drawdown: float, total_return: float, *, halted: bool) -> FoldFigures:
    wins = float(np.mean(net > 0.0)) if len(net) else None
    factor = profit_factor(net)
    score = None
    if wins is not None and factor is not None and len(net) >= MIN_TRADES:
        score = score_of(wins, factor, max_drawdown)
    return FoldFigures(len(net), wins, factor, mean_known(r), max_drawdown, score, total_return, halted)


def chained_equity(legs: Sequence[Leg]) -> Floats:
    """Return the equity of folds that each go on with what the one before had left, in multiples of the start."""
    pieces, level = [], 1.0
    for leg in legs:
        pieces.append(leg.equity * level)
        # A ruined account has nothing to go on with.
        level = max(float(pieces[-1][-1]), 0.0)
    return np.concatenate(pieces)


def pool(
    outcomes: Sequence[FoldOutcome],
    legs: Sequence[Leg],
    *,
    seed: int,
    trials: int,
    trial_sharpe_variance: float | None = None,
) -> Pooled:
    """Measure one way of trading over all folds.

    Parameters
    ----------
    outcomes : sequence of FoldOutcome
        In order of time; their bars date the equity.
    legs : sequence of Leg
        One per outcome.
    seed : int
        Of the bootstrap.
    trials : int
        Configurations ever tried.
    trial_sharpe_variance : float or None
        As in `novosky.measures.deflated_sharpe.deflated_sharpe`.
    """
    net, r = (np.concatenate([getattr(leg, name) for leg in legs]) for name in ("net", "r"))
    equity = chained_equity(legs)
    # Each fold has measured within its bars; across folds only the closes are chained.
    drawdown = max(float(drawdowns(equity, 1.0).max(initial=0.0)), *(leg.max_drawdown for leg in legs))
    returns = daily_returns(np.concatenate([outcome.times for outcome in outcomes]), equity, 1.0)
    figures = _figures(net, r, drawdown, float(equity[-1]) - 1.0, halted=any(leg.halted for leg in legs))
    wilson = wilson_interval(int(np.count_nonzero(net > 0.0)), len(net)) if len(net) else (None, None)
    factors = profit_factor_interval(net, np.random.default_rng(seed)) if len(net) >= MIN_TRADES else (None, None)
    return Pooled(
        figures=figures,
        win_rate_low=wilson[0],
        win_rate_high=wilson[1],
        pf_low=factors[0],
        pf_high=factors[1],
        sharpe=sharpe_ratio(returns),
        deflated=deflated_sharpe(returns, trials, trial_sharpe_variance),
        equity=equity,
    )


def pool_random(outcomes: Sequence[FoldOutcome]) -> PooledRandom | None:
    """Pool the random-entry runs of all folds; None when the ensemble made no trade anywhere."""
    traded = [outcome for outcome in outcomes if len(outcome.random_growth)]
    if not traded:
        return None
    runs = len(traded[0].random_growth)
    run, net, r = (
        np.concatenate([getattr(outcome, name) for outcome in traded])
        for name in ("random_run", "random_net", "random_r")
    )
    growth = np.prod([outcome.random_growth for outcome in traded], axis=0)
    # The drawdown of 1.0 is never read: of a random run no score is shown.
    each = [_figures(net[run == k], r[run == k], 1.0, float(growth[k]) - 1.0, halted=False) for k in range(runs)]
    signal = [outcome.signal for outcome in outcomes]
    own = _figures(
        np.concatenate([leg.net for leg in signal]),
        np.concatenate([leg.r for leg in signal]),
        1.0,
        float(chained_equity(signal)[-1]) - 1.0,
        halted=False,
    )
    bands = {
        name: band_of_runs(
            np.array([getattr(one, name) for one in each], dtype=np.float64),
            float(np.array(getattr(own, name), dtype=np.float64)),
        )
        for name in ("win_rate", "profit_factor", "expectancy_r", "total_return")
    }
    return PooledRandom(runs, float(np.median([one.trades for one in each])), **bands)
