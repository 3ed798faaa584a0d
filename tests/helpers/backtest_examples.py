"""Backtest results to measure: written down by hand, or made by the engine on a seeded random walk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from backtest.result import BacktestResult
from engine.breakers import start_guard
from engine.history import advance
from engine.records import (
    SESSIONS,
    Account,
    Bars,
    Block,
    Candidate,
    Guard,
    Params,
    Rollovers,
    Run,
    Trade,
    Window,
    new_record,
    new_records,
    no_minutes,
)

MONDAY = 1_704_067_200
"""2024-01-01 00:00 UTC, a Monday."""
BAR = 900


def realistic_params(balance: float = 500.0) -> Params:
    """Rules as a small account would use them; BTCUSD, 1 unit per lot."""
    params = new_record(Params)
    params.bar_seconds = BAR
    params.lot_units, params.price_scale, params.money_scale = 1.0, 100.0, 100.0
    params.volume_scale, params.volume_min, params.volume_max = 100.0, 0.01, 10.0
    params.commission_per_lot, params.slippage, params.swap_long, params.swap_short = 2.0, 1.0, -20.0, -5.0
    params.leverage, params.stop_out_level = 500.0, 0.5
    params.risk_fraction, params.max_risk_fraction = 0.01, 0.04
    params.min_votes, params.min_gap, params.min_atr, params.max_spread_atr = 2, 0.1, 15.0, 0.35
    params.confidence[:] = np.full(SESSIONS, 0.6)
    params.news_minutes = 30.0
    params.max_consecutive_losses, params.max_daily_loss = 5, 0.06
    params.max_weekly_drawdown, params.max_total_drawdown = 0.5, 0.9
    params.starting_balance = balance
    return params


def flat_bars(days: float, price: float = 50_000.0, spread: float = 16.95) -> Bars:
    """Bars that never move."""
    count = round(days * 86_400 / BAR)
    prices = np.full(count, price)
    return Bars(MONDAY + BAR * np.arange(count), prices, prices + 10.0, prices - 10.0, prices, np.full(count, spread))


def random_walk(count: int, seed: int = 1) -> tuple[Bars, npt.NDArray[np.float64]]:
    """Bars of a random walk around 50,000 USD, and an ATR for each (NaN for the first 14)."""
    rng = np.random.default_rng(seed)
    closes = np.round(50_000.0 * np.exp(np.cumsum(rng.normal(0.0, 0.003, count))), 2)
    opens = np.concatenate(([50_000.0], closes[:-1]))
    highs = np.round(np.maximum(opens, closes) + rng.exponential(40.0, count), 2)
    lows = np.round(np.minimum(opens, closes) - rng.exponential(40.0, count), 2)
    atr = pd.Series(highs - lows).rolling(14).mean().to_numpy(dtype=np.float64)
    return Bars(MONDAY + BAR * np.arange(count), opens, highs, lows, closes, np.full(count, 16.95)), atr


def candidates_at(rows: npt.NDArray[Any], sides: npt.NDArray[Any], atr: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """Candidates of a confident model at these bars, bracket 1 x 1 ATR."""
    candidates = new_records(Candidate, len(rows))
    candidates["bar"], candidates["side"], candidates["atr"] = rows, sides, atr[rows]
    candidates["votes"], candidates["market_open"] = 3, 1
    candidates["confidence"], candidates["gap"] = 0.7, 0.4
    candidates["sl_mult"], candidates["tp_mult"] = 1.0, 1.0
    candidates["news_minutes"] = np.inf
    return candidates


def nightly(bars: Bars) -> Rollovers:
    """One night at every UTC midnight after the first bar."""
    midnights = np.arange(bars.time[0] // 86_400 * 86_400 + 86_400, bars.time[-1] + 1, 86_400)
    return Rollovers(midnights, np.ones(len(midnights)))


def simulated(
    bars: Bars,
    candidates: npt.NDArray[Any],
    params: Params | None = None,
    *,
    balance: float = 500.0,
    train_cutoff: pd.Timestamp | None = None,
    labels: tuple[str, ...] = (),
) -> BacktestResult:
    """Run the engine and keep everything it leaves."""
    params = realistic_params(balance) if params is None else params
    account, guard, run = new_record(Account), new_record(Guard), new_record(Run)
    account.balance = run.peak = balance
    start_guard(guard, params, int(bars.time[0]), balance)
    trades = new_records(Trade, len(candidates) + 1)
    blocks = new_records(Block, len(candidates))
    equity = np.empty(len(bars.time))
    window = Window(bars, no_minutes(), nightly(bars), trades, blocks, equity)
    advance(account, guard, params, run, candidates, window, 0.0)
    return BacktestResult(
        bars=bars,
        candidates=candidates,
        trades=trades[: account.closed],
        blocks=blocks[: run.blocks],
        equity=equity,
        params=params,
        account=account,
        guard=guard,
        run=run,
        start_balance=balance,
        seconds=0.25,
        train_cutoff=train_cutoff,
        labels=labels,
    )


def coin_flips(count: int = 3000, every: int = 12, seed: int = 2, **keywords: Any) -> BacktestResult:
    """A strategy without a clue: a random side every few bars of a random walk."""
    bars, atr = random_walk(count, seed)
    rows = np.arange(20, count, every)
    sides = np.random.default_rng(seed).choice([-1, 1], len(rows))
    return simulated(bars, candidates_at(rows, sides, atr), **keywords)


def written_down(
    profits: Sequence[float],
    *,
    days: float = 10.0,
    risk: float = 10.0,
    commission: float = 0.0,
    swap: float = 0.0,
    max_drawdown: float = 0.04,
    start_balance: float = 100.0,
    labels: tuple[str, ...] = (),
) -> BacktestResult:
    """A result with these closed trades, one per hour, each held for two bars, on bars that never move.

    Equity follows the booked balance. Every trade is a long of 0.01 lots, closed at its
    target when it gained and at its stop otherwise.
    """
    bars = flat_bars(days)
    trades = new_records(Trade, len(profits))
    equity = np.full(len(bars.time), start_balance)
    balance = start_balance
    for k, profit in enumerate(profits):
        entry = 1 + 4 * k
        balance += profit + commission + swap
        equity[entry + 2 :] = balance
        trade = trades[k]
        trade.entry_time, trade.exit_time = bars.time[entry], bars.time[entry + 2]
        trade.side, trade.reason, trade.volume = 1, 2 if profit > 0 else 1, 0.01
        trade.profit, trade.commission, trade.swap, trade.balance = profit, commission, swap, balance
        trade.risk, trade.spread_cost, trade.slippage_cost = risk, 0.17, 0.02
        trade.entry_price = trade.exit_price = 50_000.0
        trade.sl, trade.tp = 49_000.0, 51_000.0
    account, run = new_record(Account), new_record(Run)
    account.balance, account.closed = balance, len(profits)
    run.max_drawdown, run.bars_in_market = max_drawdown, 2 * len(profits)
    return BacktestResult(
        bars=bars,
        candidates=new_records(Candidate, len(profits)),
        trades=trades,
        blocks=new_records(Block, 0),
        equity=equity,
        params=realistic_params(start_balance),
        account=account,
        guard=new_record(Guard),
        run=run,
        start_balance=start_balance,
        seconds=0.25,
        train_cutoff=None,
        labels=labels,
    )
