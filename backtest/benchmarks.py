"""What the same account would have earned without the models: random entries, and buy and hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backtest.metrics import Scalar
from backtest.result import BacktestResult
from backtest.trade_results import net_results, r_multiples
from engine.breakers import start_guard
from engine.gates import failing_gates
from engine.history import advance
from engine.records import (
    Account,
    Block,
    Candidate,
    Guard,
    Minutes,
    Params,
    Rollovers,
    Run,
    Trade,
    Window,
    from_bytes,
    new_record,
    new_records,
    to_bytes,
)
from novosky.compiled import compiled
from novosky.measures.statistics import Floats, Ints, mean_known, percentile_rank, profit_factor


@dataclass(frozen=True)
class Band:
    """Where one figure of the random runs lies, and where the strategy stands among them.

    Attributes
    ----------
    median, low, high : float
        Of the runs: the 50th, 5th and 95th percentile.
    strategy : float
        The figure of the strategy itself.
    percentile : float
        Percentage of runs below the strategy, ties counted half (0 to 100).
    """

    median: float
    low: float
    high: float
    strategy: float
    percentile: float


@dataclass(frozen=True)
class RandomEntry:
    """The distribution of random-entry runs under the strategy's own rules and costs.

    Attributes
    ----------
    runs : int
    trades : float
        Median number of closed trades of a run.
    profit_factor, win_rate, expectancy_r, total_return : Band or None
        None when no run (or not the strategy) has the figure.
    """

    runs: int
    trades: float
    profit_factor: Band | None
    win_rate: Band | None
    expectancy_r: Band | None
    total_return: Band | None

    def as_dict(self) -> dict[str, Scalar]:
        """Return flat JSON keys such as `random_runs` and `random_win_rate_median` (`_low`, `_high`, `_percentile`)."""
        flat: dict[str, Scalar] = {"random_runs": self.runs, "random_trades": self.trades}
        for name in ("profit_factor", "win_rate", "expectancy_r", "total_return"):
            band: Band | None = getattr(self, name)
            for part in ("median", "low", "high", "percentile"):
                flat[f"random_{name}_{part}"] = None if band is None else getattr(band, part)
        return flat


@dataclass(frozen=True)
class BuyAndHold:
    """The starting balance in the market from the first open to the last close.

    Attributes
    ----------
    total_return, max_drawdown : float
        Fractions, bought at the ask and valued at the bid; no swap, no commission.
    """

    total_return: float
    max_drawdown: float

    def as_dict(self) -> dict[str, Scalar]:
        """Return flat JSON keys: `buy_hold_return`, `buy_hold_max_drawdown`."""
        return {"buy_hold_return": self.total_return, "buy_hold_max_drawdown": self.max_drawdown}


def buy_and_hold(result: BacktestResult) -> BuyAndHold:
    """Buy for one times the balance at the first ask; drawdown at each bar's low, as the engine measures it."""
    bars = result.bars
    paid = bars.open[0] + bars.spread[0]
    # The peak before each bar: its own close comes after its low.
    peaks = np.maximum.accumulate(np.concatenate(([paid], bars.close)))[:-1]
    return BuyAndHold(
        total_return=float(bars.close[-1] / paid - 1.0),
        max_drawdown=float(max(np.max(1.0 - bars.low / peaks), 0.0)),
    )


@compiled
def passing_bars(
    template: Candidate, guard: Guard, params: Params, atr: Floats, spread: Floats, passes: npt.NDArray[np.bool_]
) -> None:
    """Mark the bars at whose close `template`, given that bar's ATR, passes every gate of a fresh guard."""
    for i in range(len(atr)):
        template.atr = atr[i]
        passes[i] = failing_gates(template, guard, params, spread[i], 0) == 0


def random_entry_benchmark(
    result: BacktestResult,
    atr: Floats,
    rng: np.random.Generator,
    runs: int = 200,
    *,
    minutes: Minutes,
    rollovers: Rollovers,
) -> RandomEntry | None:
    """Trade the same account many times with entries at random bars.

    Each run moves candidates that the strategy really traded to random bars: sides (and so
    the long share), stop and target multiples and confidence are drawn with replacement
    from them, the ATR is that of the new bar. Bars are those at which the quality gates let
    such a candidate pass, at a density that makes about as many trades as the strategy
    made. Sizing, costs, swap, breakers and halts are the strategy's; a random position
    leaves by its bracket only and is sized without the risk model.

    Parameters
    ----------
    result : BacktestResult
    atr : ndarray, shape (n,)
        ATR(14) in USD at each bar's close, NaN where unknown (no entries there).
    rng : numpy.random.Generator
    runs : int
    minutes, rollovers : Minutes, Rollovers
        Those of the strategy's run; without them swap would be missing.

    Returns
    -------
    RandomEntry or None
        None when the strategy made no trade to compare with.

    Raises
    ------
    ValueError
        When `atr` does not have one value per bar, or `runs` is below 1.
    """
    figures = np.array(
        [
            _figures_of(trades, equity, result.start_balance)
            for trades, equity in random_entry_runs(result, atr, rng, runs, minutes=minutes, rollovers=rollovers)
        ]
    )
    if len(figures) == 0:
        return None
    own = _figures_of(result.trades, float(result.equity[-1]), result.start_balance)
    bands = [band_of_runs(figures[:, column], own[column]) for column in range(1, 5)]
    return RandomEntry(runs, float(np.median(figures[:, 0])), *bands)


def random_entry_runs(
    result: BacktestResult,
    atr: Floats,
    rng: np.random.Generator,
    runs: int = 200,
    *,
    minutes: Minutes,
    rollovers: Rollovers,
) -> Iterator[tuple[npt.NDArray[Any], float]]:
    """Yield the closed trades and the final equity in USD of each run of `random_entry_benchmark`.

    Yields nothing when the strategy made no trade to compare with.

    Raises
    ------
    ValueError
        When `atr` does not have one value per bar, or `runs` is below 1.
    """
    count = len(result.bars.time)
    if len(atr) != count or runs < 1:
        raise ValueError(f"{count} bars need as many ATR values and runs >= 1, found {len(atr)} and {runs}")
    templates = traded_candidates(result)
    if len(templates) == 0 or len(result.trades) == 0:
        return
    params = _bracket_only(result.params)
    passes = np.empty(count, dtype=np.bool_)
    passing_bars(
        templates[0].copy(), _fresh_guard(result, params), params, np.ascontiguousarray(atr), result.bars.spread, passes
    )
    tradable = _tradable_bars(result)
    eligible = np.flatnonzero(passes[:tradable])
    judged = max(int(np.isfinite(atr[:tradable]).sum()), 1)
    # A candidate that falls into an open position is lost, so flat time has to carry them all.
    flat = max(1.0 - int(result.run.bars_in_market) / judged, 1.0 / judged)
    density = min(len(templates) / (flat * max(len(eligible), 1)), 1.0)
    for candidates in _random_candidates(templates, eligible, atr, density, rng, runs):
        yield _trade(result, params, candidates, minutes, rollovers)


def traded_candidates(result: BacktestResult) -> npt.NDArray[Any]:
    """Return the candidates that became positions, the one still open included."""
    times, decided = result.bars.time, result.candidates["bar"]
    followed = decided + 1 < len(times)
    opened = times[np.minimum(decided + 1, len(times) - 1)]
    entries = result.trades["entry_time"]
    if result.account.side != 0:
        entries = np.append(entries, result.account.entry_time)
    traded: npt.NDArray[Any] = result.candidates[followed & np.isin(opened, entries)]
    return traded


def _tradable_bars(result: BacktestResult) -> int:
    """Return how many bars could lead to a trade: up to a hard halt, and never the last bar.

    Random trades in the time after a halt would be measured in a market the strategy never saw.
    """
    if result.guard.halted == 0:
        return len(result.bars.time) - 1
    last_exit = int(result.trades["exit_time"][-1])
    return max(int(np.searchsorted(result.bars.time, last_exit)), 1)


def _bracket_only(params: Params) -> Params:
    copied = from_bytes(Params, to_bytes(params))
    copied.position_model = 0
    copied.risk_model = 0
    return copied


def _fresh_guard(result: BacktestResult, params: Params) -> Guard:
    guard = new_record(Guard)
    start_guard(guard, params, int(result.bars.time[0]), result.start_balance)
    return guard


def _random_candidates(
    templates: npt.NDArray[Any],
    eligible: Ints,
    atr: Floats,
    density: float,
    rng: np.random.Generator,
    runs: int,
) -> Iterator[npt.NDArray[Any]]:
    for _ in range(runs):
        chosen = eligible[rng.random(len(eligible)) < density]
        # The strategy's own sides, brackets and confidences at bars of chance: only the moments differ.
        candidates = templates[rng.integers(len(templates), size=len(chosen))]
        candidates["bar"] = chosen
        candidates["atr"] = atr[chosen]
        yield candidates


def _trade(
    result: BacktestResult,
    params: Params,
    candidates: npt.NDArray[Any],
    minutes: Minutes,
    rollovers: Rollovers,
) -> tuple[npt.NDArray[Any], float]:
    account, guard, run = new_record(Account), _fresh_guard(result, params), new_record(Run)
    account.balance = run.peak = result.start_balance
    trades = new_records(Trade, len(candidates) + 1)
    blocks = new_records(Block, len(candidates))
    window = Window(result.bars, minutes, rollovers, trades, blocks, np.empty(0))
    advance(account, guard, params, run, candidates, window, 0.0)
    return trades[: account.closed], float(guard.equity)


def _figures_of(trades: npt.NDArray[Any], equity: float, start: float) -> tuple[float, float, float, float, float]:
    """Return trades, profit factor, win rate, expectancy in R and total return, NaN where there is none."""
    net = net_results(trades)
    factor, expectancy = profit_factor(net), mean_known(r_multiples(trades))
    return (
        float(len(net)),
        np.nan if factor is None else factor,
        float(np.mean(net > 0.0)) if len(net) else np.nan,
        np.nan if expectancy is None else expectancy,
        equity / start - 1.0,
    )


def band_of_runs(values: Floats, strategy: float) -> Band | None:
    """Return where `strategy` stands among the runs' values, shape (runs,), of which NaN ones are left out.

    None when no run, or not the strategy, has a value.
    """
    known = values[~np.isnan(values)]
    if len(known) == 0 or np.isnan(strategy):
        return None
    low, median, high = np.percentile(known, (5.0, 50.0, 95.0))
    return Band(float(median), float(low), float(high), strategy, percentile_rank(known, strategy))
