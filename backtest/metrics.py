"""The figures by which a backtest is judged, as one flat object.

Score = win rate x profit factor / sqrt(maximum drawdown), all as fractions. A trade's
result is its profit plus commission plus swap; it is a win when that is above zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from backtest.excursions import excursions
from backtest.result import BacktestResult
from backtest.trade_results import holding_bars, net_results, r_multiples, returns_and_risks
from engine.fills import EXIT_NAMES
from engine.gates import GATE_NAMES
from novosky.measures.score import MIN_TRADES, TOO_FEW_TRADES, at_equal_risk, band_of, score_of
from novosky.measures.statistics import (
    Drawdown,
    Floats,
    calmar_ratio,
    daily_returns,
    longest_drawdown_days,
    longest_run,
    mean_known,
    profit_factor,
    profit_factor_interval,
    sharpe_ratio,
    sortino_ratio,
    wilson_interval,
    worst_drawdowns,
    yearly_growth,
    yearly_volatility,
)

Scalar = float | int | bool | str | None


@dataclass(frozen=True)
class Assumptions:
    """The costs and limits a run was simulated under; every output prints them.

    Attributes
    ----------
    spread, spread_min, spread_max : float
        Median, smallest and largest ask minus bid over the bars, USD.
    spread_floored : int
        Bars whose own spread was none or next to none and that pay `costs.spread`.
    commission_per_lot : float
        USD per lot and side.
    slippage : float
        USD by which market and stop fills are worse than the quote.
    swap_long, swap_short : float
        USD per lot and night, negative is paid.
    leverage : float
    maker_fee, taker_fee : float
        Shares of a fill's value, 0.0 where fees are of lots.
    min_fee : float
        USD that a fill pays at least.
    funding_rate : float
        Share of the position's value at each funding moment, 0.0 where nights are charged.
    m1 : bool
        Whether one-minute bars decided bars that touched stop and target.
    """

    spread: float
    spread_min: float
    spread_max: float
    spread_floored: int
    commission_per_lot: float
    slippage: float
    swap_long: float
    swap_short: float
    leverage: float
    m1: bool
    maker_fee: float = 0.0
    taker_fee: float = 0.0
    min_fee: float = 0.0
    funding_rate: float = 0.0


@dataclass(frozen=True)
class Metrics:
    """All figures of one backtest; shares are fractions, money USD, None means unknown.

    Attributes
    ----------
    score : float or None
        None with fewer than `MIN_TRADES` trades.
    score_note : str or None
        Why there is no score.
    band : str or None
        pause, below target, production grade or excellent.
    win_rate, win_rate_low, win_rate_high : float or None
        With its Wilson 95 % interval.
    profit_factor, pf_low, pf_high : float or None
        Capped at 10, with its 95 % interval by stationary bootstrap over trades.
    expectancy_r : float or None
        Mean result in units of the initial risk.
    max_drawdown : float
        Of floating equity at the worst price of each bar.
    risk_per_trade, max_drawdown_at_1pct, score_at_equal_risk : float or None
        What a trade put at stake on average, as a share of the balance; and the drawdown and the score
        of the same trades at 1 % each, by which results are compared: see `novosky.measures.score`.
    sharpe, sortino, calmar, cagr, volatility : float or None
        On daily UTC equity, 365 days a year; None for fewer than 180 days.
    adverse_r_mean, favourable_r_mean : float or None
        How far trades went against and for their owner on the way, mean, in initial risks;
        see `backtest.excursions`.
    drawdowns : tuple of Drawdown
        The five deepest at closes.
    total_return : float
        From floating equity: an open position counts at its last quote.
    exposure : float
        Share of bars with an open position.
    longest_drawdown_days : float
        Between two highs of equity at closes.
    cost_spread, cost_commission, cost_swap, cost_slippage : float
        Paid by closed trades; negative is earned (swap only).
    holding_bars_mean, holding_bars_median : float or None
        Bars from the entry to the exit bar; 0 is an exit inside the entry bar.
    exits, blocks : mapping of str to int
        Closed trades by exit reason; blocked candidates by the gate that gave the reason.
    open_at_end : bool
        A position was still open; it is in the equity but not among the trades.
    halted : bool
        The hard halt was in force after the last bar.
    start, end : str
        Open of the first and close of the last bar, ISO 8601 UTC.
    oos : bool or None
        Every bar opens after the training cutoff; None when no cutoff is known.
    seconds : float
        Wall time of the run.
    labels : tuple of str
        Marks and warnings that every output must carry.
    """

    score: float | None
    score_note: str | None
    band: str | None
    trades: int
    win_rate: float | None
    win_rate_low: float | None
    win_rate_high: float | None
    profit_factor: float | None
    pf_low: float | None
    pf_high: float | None
    expectancy_r: float | None
    expectancy_usd: float | None
    max_drawdown: float
    risk_per_trade: float | None
    max_drawdown_at_1pct: float | None
    score_at_equal_risk: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    cagr: float | None
    volatility: float | None
    adverse_r_mean: float | None
    favourable_r_mean: float | None
    drawdowns: tuple[Drawdown, ...]
    total_return: float
    start_balance: float
    end_balance: float
    end_equity: float
    exposure: float
    longest_losing_run: int
    longest_drawdown_days: float
    best_trade: float | None
    worst_trade: float | None
    holding_bars_mean: float | None
    holding_bars_median: float | None
    long_trades: int
    short_trades: int
    cost_spread: float
    cost_commission: float
    cost_swap: float
    cost_slippage: float
    exits: Mapping[str, int]
    candidates: int
    blocked: int
    blocks: Mapping[str, int]
    open_at_end: bool
    halted: bool
    start: str
    end: str
    bars: int
    oos: bool | None
    train_cutoff: str | None
    seconds: float
    assumptions: Assumptions
    labels: tuple[str, ...]

    def as_dict(self) -> dict[str, Scalar]:
        """Return one flat JSON object: `exits_sl`, `blocks_spread`, assumptions by name, labels joined by ``; ``.

        JSON has no infinity; an infinite assumption (unlimited leverage) is None.
        """
        flat: dict[str, Scalar] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Mapping):
                flat.update({f"{field.name}_{name}": count for name, count in value.items()})
            elif field.name == "drawdowns":
                flat.update(_flat_drawdowns(self.drawdowns))
            elif isinstance(value, Assumptions):
                flat.update({inner.name: getattr(value, inner.name) for inner in fields(value)})
            elif isinstance(value, tuple):
                flat[field.name] = "; ".join(value)
            else:
                flat[field.name] = value
        # JSON knows no infinity: what has no bound is null there.
        unbounded = [key for key, value in flat.items() if isinstance(value, float) and not math.isfinite(value)]
        return flat | dict.fromkeys(unbounded)


def compute_metrics(result: BacktestResult, rng: np.random.Generator, *, m1: bool) -> Metrics:
    """Measure a backtest.

    Parameters
    ----------
    result : BacktestResult
    rng : numpy.random.Generator
        Draws the bootstrap of the profit factor; the same seed gives the same interval.
    m1 : bool
        Whether the run was given one-minute bars.

    Returns
    -------
    Metrics
    """
    bars = result.bars
    of_trades = _figures_of_trades(result, rng)
    max_drawdown = float(result.run.max_drawdown)
    score = None
    if of_trades["trades"] >= MIN_TRADES and None not in (of_trades["win_rate"], of_trades["profit_factor"]):
        score = score_of(of_trades["win_rate"], of_trades["profit_factor"], max_drawdown)
    return Metrics(
        score=score,
        score_note=TOO_FEW_TRADES if score is None else None,
        band=None if score is None else band_of(score),
        max_drawdown=max_drawdown,
        **of_trades,
        **_figures_of_equity(result, max_drawdown),
        exposure=int(result.run.bars_in_market) / len(bars.time),
        candidates=len(result.candidates),
        blocked=len(result.blocks),
        blocks=_blocks_by_gate(result.blocks),
        open_at_end=bool(result.account.side != 0),
        halted=bool(result.guard.halted != 0),
        start=_iso(int(bars.time[0])),
        end=_iso(int(bars.time[-1]) + int(result.params.bar_seconds)),
        bars=len(bars.time),
        oos=_out_of_sample(result),
        train_cutoff=None if result.train_cutoff is None else _iso(int(result.train_cutoff.timestamp())),
        seconds=float(result.seconds),
        assumptions=_assumptions(result, m1),
        labels=result.labels,
    )


def _figures_of_trades(result: BacktestResult, rng: np.random.Generator) -> dict[str, Any]:
    """Return the fields of `Metrics` that the list of trades decides."""
    trades = result.trades
    net = net_results(trades)
    count = len(net)
    win_rate, win_rate_low, win_rate_high = _win_rate(net)
    pf_low, pf_high = profit_factor_interval(net, rng) if count >= MIN_TRADES else (None, None)
    held = holding_bars(trades, result.bars.time)
    way, equal = excursions(result), at_equal_risk(*returns_and_risks(trades))
    return {
        "trades": count,
        "win_rate": win_rate,
        "win_rate_low": win_rate_low,
        "win_rate_high": win_rate_high,
        "profit_factor": profit_factor(net),
        "pf_low": pf_low,
        "pf_high": pf_high,
        "risk_per_trade": None if equal is None else equal.stated_risk,
        "max_drawdown_at_1pct": None if equal is None else equal.max_drawdown,
        "score_at_equal_risk": None if equal is None else equal.score,
        "expectancy_r": mean_known(r_multiples(trades)),
        "expectancy_usd": mean_known(net),
        "adverse_r_mean": mean_known(way.adverse),
        "favourable_r_mean": mean_known(way.favourable),
        "longest_losing_run": longest_run(net < 0.0),
        "best_trade": float(net.max()) if count else None,
        "worst_trade": float(net.min()) if count else None,
        "holding_bars_mean": float(held.mean()) if count else None,
        "holding_bars_median": float(np.median(held)) if count else None,
        "long_trades": int(np.count_nonzero(trades["side"] > 0)),
        "short_trades": int(np.count_nonzero(trades["side"] < 0)),
        **_costs(trades),
        "exits": {name: int(np.count_nonzero(trades["reason"] == k)) for k, name in enumerate(EXIT_NAMES) if name},
    }


def _figures_of_equity(result: BacktestResult, max_drawdown: float) -> dict[str, Any]:
    """Return the fields of `Metrics` that the equity at the closes decides; `max_drawdown` counts within bars too."""
    start, equity = result.start_balance, result.equity
    closes = result.bars.time + int(result.params.bar_seconds)
    # A day's return belongs to the day its bars open in: the close of the last bar of a day is the next midnight.
    returns = daily_returns(result.bars.time, equity, start)
    end_equity = float(equity[-1])
    return {
        "sharpe": sharpe_ratio(returns),
        "sortino": sortino_ratio(returns),
        "calmar": calmar_ratio(returns, max_drawdown),
        "cagr": yearly_growth(returns),
        "volatility": yearly_volatility(returns),
        "drawdowns": tuple(worst_drawdowns(closes, equity, start)),
        "total_return": end_equity / start - 1.0,
        "start_balance": float(start),
        "end_balance": float(result.account.balance),
        "end_equity": end_equity,
        "longest_drawdown_days": longest_drawdown_days(closes, equity, start),
    }


def _flat_drawdowns(found: Sequence[Drawdown]) -> dict[str, Scalar]:
    """Return `drawdown_1_depth` and its like, the deepest first; unknown ends are None."""
    flat: dict[str, Scalar] = {}
    for number, drawdown in enumerate(found, start=1):
        flat[f"drawdown_{number}_depth"] = drawdown.depth
        flat[f"drawdown_{number}_peak"] = _iso(drawdown.peak)
        flat[f"drawdown_{number}_trough"] = _iso(drawdown.trough)
        flat[f"drawdown_{number}_recovered"] = None if drawdown.recovered is None else _iso(drawdown.recovered)
    return flat


def _win_rate(net: Floats) -> tuple[float, float, float] | tuple[None, None, None]:
    if len(net) == 0:
        return None, None, None
    wins = int(np.count_nonzero(net > 0.0))
    return (wins / len(net), *wilson_interval(wins, len(net)))


def _costs(trades: npt.NDArray[Any]) -> dict[str, float]:
    # Adding 0.0 turns the -0.0 of an empty or costless sum into 0.0.
    return {
        "cost_spread": float(trades["spread_cost"].sum()),
        "cost_commission": float(-trades["commission"].sum()) + 0.0,
        "cost_swap": float(-trades["swap"].sum()) + 0.0,
        "cost_slippage": float(trades["slippage_cost"].sum()),
    }


def _blocks_by_gate(blocks: npt.NDArray[Any]) -> dict[str, int]:
    masks = np.asarray(blocks["gates"]).astype(np.int64)
    # Bits stand in the order of the gates: a candidate counts for the first that failed.
    lowest = masks & -masks
    return {name: int(np.count_nonzero(lowest == 1 << bit)) for bit, name in enumerate(GATE_NAMES)}


def _out_of_sample(result: BacktestResult) -> bool | None:
    if result.train_cutoff is None:
        return None
    return bool(int(result.bars.time[0]) > result.train_cutoff.timestamp())


def _assumptions(result: BacktestResult, m1: bool) -> Assumptions:
    params, spread = result.params, result.bars.spread
    return Assumptions(
        spread=float(np.median(spread)),
        spread_min=float(spread.min()),
        spread_max=float(spread.max()),
        spread_floored=result.spread_floored,
        commission_per_lot=float(params.commission_per_lot),
        slippage=float(params.slippage),
        swap_long=float(params.swap_long),
        swap_short=float(params.swap_short),
        leverage=float(params.leverage),
        m1=m1,
        maker_fee=float(params.maker_fee),
        taker_fee=float(params.taker_fee),
        min_fee=float(params.min_fee),
        funding_rate=float(params.funding_rate),
    )


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
