"""Parameters, bars and candidates for the tests of the execution rules, and a way to play them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from engine.bar import DONE, HOLD, NOBODY, close_bar
from engine.breakers import start_guard
from engine.history import advance
from engine.records import (
    FOREVER,
    Account,
    Bars,
    Block,
    Candidate,
    Close,
    Guard,
    Minutes,
    Params,
    Rollovers,
    Run,
    Trade,
    Window,
    new_record,
    new_records,
    no_minutes,
    no_rollovers,
)

BAR = 900
"""Seconds of an M15 bar."""
DAY = 86_400
WEDNESDAY = 1_704_240_000
"""2024-01-03 00:00 UTC."""
FRIDAY = WEDNESDAY + 2 * DAY
MONDAY = WEDNESDAY + 5 * DAY

Answer = Callable[[int, int], float]
"""From (question, bar) to the answer `advance` waits for."""


def neutral_params(**overrides: Any) -> Params:
    """Return parameters without a single cost, limit or rounding: a bare bracket trade of fixed size."""
    params = new_record(Params)
    params.bar_seconds = BAR
    params.lot_units = 1.0
    params.volume_scale = 1.0
    params.volume_min = 1.0
    params.volume_max = 1e9
    params.stops_distance = -np.inf
    params.entry_valid_seconds = FOREVER
    params.leverage = np.inf
    params.fixed_volume = 1000.0
    params.max_spread_atr = np.inf
    params.news_minutes = -1.0
    params.max_consecutive_losses = FOREVER
    params.max_daily_loss = np.inf
    params.max_weekly_drawdown = np.inf
    params.max_total_drawdown = np.inf
    params.starting_balance = 1e6
    return changed(params, **overrides)


def realistic_params(**overrides: Any) -> Params:
    """Return the parameters of a 10,000 USD account on a BTCUSD contract, every rule and cost on."""
    params = neutral_params()
    params.price_scale = params.money_scale = params.volume_scale = 100.0
    params.volume_min = 0.01
    params.volume_max = 5.0
    params.stops_distance = 1.0
    params.entry_valid_seconds = 60
    params.commission_per_lot = 3.5
    params.slippage = 0.75
    params.swap_long = -12.35
    params.swap_short = -3.15
    params.leverage = 50.0
    params.stop_out_level = 0.5
    params.fixed_volume = 0.0
    params.risk_fraction = 0.01
    params.max_risk_fraction = 0.03
    params.min_votes = 2
    params.confidence[:] = 0.6
    params.confidence[1] = 0.65
    params.min_gap = 0.1
    params.min_atr = 15.0
    params.max_spread_atr = 0.5
    params.news_minutes = 15.0
    params.ema_trend = 1
    params.min_adx = 10.0
    params.max_consecutive_losses = 3
    params.max_daily_loss = 0.03
    params.max_weekly_drawdown = 0.08
    params.max_total_drawdown = 0.3
    params.starting_balance = 10_000.0
    params.equity_curve = 1
    params.equity_curve_trades = 10
    params.equity_curve_drawdown = 0.02
    params.equity_curve_pause = 6 * 3600
    return changed(params, **overrides)


def changed(params: Params, **overrides: Any) -> Params:
    """Return `params` with the named fields set; an unknown name is an AttributeError."""
    for name, value in overrides.items():
        if name == "confidence":
            params.confidence[:] = value
        else:
            setattr(params, name, value)
    return params


def candidate_rows(count: int) -> npt.NDArray[Any]:
    """Return `count` candidates that pass every gate of `realistic_params`, side and bar still 0."""
    rows = new_records(Candidate, count)
    rows["votes"] = 3
    rows["market_open"] = 1
    rows["confidence"] = 0.9
    rows["gap"] = 0.8
    rows["atr"] = 100.0
    rows["sl_mult"] = 1.0
    rows["tp_mult"] = 1.0
    rows["adx"] = 40.0
    rows["news_minutes"] = np.inf
    return rows


def one_candidate(side: int = 1, **fields: Any) -> Any:
    """Return a candidate that passes every gate of `realistic_params`, with the named fields set."""
    row = candidate_rows(1)
    row["side"] = side
    row["ema_distance"] = side
    for name, value in fields.items():
        row[name] = value
    return row[0]


class SeenClose(Protocol):
    """What only a live close has, see `tests.engine.cases.case.Seen`."""

    @property
    def bar(self) -> int: ...
    @property
    def late(self) -> int: ...
    @property
    def frozen(self) -> bool: ...
    @property
    def exposed(self) -> bool: ...


def bars_from(rows: Sequence[tuple[float, float, float, float]], times: Sequence[int], spread: float) -> Bars:
    """Return bars from (open, high, low, close) rows and their open times, with one spread in USD."""
    table = np.array(rows, dtype=np.float64).reshape(len(rows), 4)
    first, high, low, close = (np.ascontiguousarray(column) for column in table.T)
    return Bars(np.array(times, np.int64), first, high, low, close, np.full(len(rows), spread))


@dataclass(frozen=True)
class Market:
    """Everything `advance` reads and the bot does not choose."""

    bars: Bars
    candidates: npt.NDArray[Any]
    minutes: Minutes = field(default_factory=no_minutes)
    rollovers: Rollovers = field(default_factory=no_rollovers)

    def until(self, count: int) -> Market:
        """Return the market as it was known after its first `count` bars."""
        time, first, high, low, close, spread = self.bars
        known = Bars(time[:count], first[:count], high[:count], low[:count], close[:count], spread[:count])
        return replace(self, bars=known)


@dataclass
class Play:
    """An account at work on a market: the records `advance` changes, and what it wrote."""

    params: Params
    account: Account
    guard: Guard
    run: Run
    trade_rows: npt.NDArray[Any]
    block_rows: npt.NDArray[Any]
    equity: npt.NDArray[np.float64]

    @property
    def trades(self) -> npt.NDArray[Any]:
        """Closed positions."""
        return self.trade_rows[: self.account.closed]

    @property
    def blocks(self) -> npt.NDArray[Any]:
        """Candidates that were not traded."""
        return self.block_rows[: self.run.blocks]

    def go(self, market: Market, answer: Answer | None = None) -> None:
        """Run to the end of the market, asking `answer` whatever is asked."""
        written = (self.trade_rows, self.block_rows, self.equity)
        window = Window(market.bars, market.minutes, market.rollovers, *written)
        told = (self.account, self.guard, self.params, self.run, market.candidates, window)
        question = advance(*told, 0.0)
        while question != DONE:
            assert answer is not None, f"nobody answers question {question} of bar {self.run.bar}"
            question = advance(*told, float(answer(question, int(self.run.bar))))

    def go_through(self, market: Market, seen: SeenClose, answer: Answer | None = None) -> None:
        """Run to the end of one bar and decide at its close as a live bot that sees it so.

        The loop of history knows no such closes. It brings the account to this one without its
        candidate, as the bot's own look at the account does (`tests/trading/cycle/test_judged_twice.py`).
        """
        bars, rows, i = market.bars, market.candidates, seen.bar
        row = int(np.searchsorted(rows["bar"], i))
        due = row if row < len(rows) and rows[row]["bar"] == i else -1

        def held(question: int, bar: int) -> float:
            # At this close nobody leaves for the model before the live words are heard.
            return HOLD if bar == i or answer is None else answer(question, bar)

        self.go(replace(market.until(i + 1), candidates=rows[:row]), held)
        close_time = int(bars.time[i]) + int(self.params.bar_seconds)
        quote = float(bars.close[i]), float(bars.spread[i]), close_time + seen.late
        close = Close(i, close_time, *quote, due, int(seen.frozen), int(seen.exposed))
        told = (self.account, self.guard, self.params, self.run, rows[due] if due >= 0 else NOBODY[0], close)
        question, mask = close_bar(*told, 0.0)
        while question != DONE:
            assert answer is not None, f"nobody answers question {question} of bar {i}"
            question, mask = close_bar(*told, float(answer(question, i)))
        if mask:
            self.block_rows[self.run.blocks] = (due, mask)
            self.run.blocks += 1


def begin(params: Params, market: Market, balance: float = 10_000.0) -> Play:
    """Return a fresh account before the market's first bar."""
    account, guard, run = new_record(Account), new_record(Guard), new_record(Run)
    account.balance = run.peak = balance
    count = len(market.bars.time)
    start_guard(guard, params, int(market.bars.time[0]) if count else WEDNESDAY, balance)
    rows = len(market.candidates)
    return Play(params, account, guard, run, new_records(Trade, rows + 1), new_records(Block, rows), np.zeros(count))


def play(params: Params, market: Market, balance: float = 10_000.0, answer: Answer | None = None) -> Play:
    """Play a whole market from a fresh account."""
    started = begin(params, market, balance)
    started.go(market, answer)
    return started
