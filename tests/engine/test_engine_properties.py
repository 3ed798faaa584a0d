"""What must hold on every market: accounts that add up, limits kept, breakers obeyed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.breaker_history import BREAKERS, breaker_history
from tests.engine.market import BAR, Market, Play, neutral_params, play
from tests.engine.random_market import random_market
from tests.engine.random_play import balances, on_random_markets, random_play, seeds


@on_random_markets
@given(seeds, balances)
def test_final_balance_is_the_start_plus_every_booked_sum(seed: int, balance: float) -> None:
    done, _ = random_play(seed, balance)
    booked = math.fsum(sum(row) for row in done.trades[["profit", "commission", "swap"]].tolist())
    assert done.account.balance == pytest.approx(balance + booked + done.account.commission, abs=0.001)


@on_random_markets
@given(seeds, balances)
def test_each_profit_is_the_price_difference_to_the_cent(seed: int, balance: float) -> None:
    done, _ = random_play(seed, balance)
    trades = done.trades
    raw = (trades["exit_price"] - trades["entry_price"]) * trades["side"] * trades["volume"]
    np.testing.assert_allclose(trades["profit"], raw, atol=0.005001)
    np.testing.assert_array_equal(trades["profit"], np.round(trades["profit"], 2))
    np.testing.assert_array_equal(done.account.balance, np.round(done.account.balance, 2))


@on_random_markets
@given(seeds, balances)
def test_equity_curve_ends_with_balance_plus_what_floats(seed: int, balance: float) -> None:
    done, market = random_play(seed, balance)
    account, bars = done.account, market.bars
    leaving = bars.close[-1] if account.side > 0 else bars.close[-1] + bars.spread[-1]
    floating = account.side * (leaving - account.entry_price) * account.volume + account.swap if account.side else 0.0
    assert done.equity[-1] == pytest.approx(account.balance + floating, abs=1e-6)
    assert done.guard.equity == done.equity[-1]


@on_random_markets
@given(seeds)
def test_equity_curve_is_the_balance_wherever_flat(seed: int) -> None:
    done, market = random_play(seed)
    held = np.zeros(len(market.bars.time), bool)
    balance = np.full(len(held), 10_000.0)
    for trade in done.trades:
        held |= (market.bars.time >= trade.entry_time) & (market.bars.time < trade.exit_time)
        balance[market.bars.time >= trade.exit_time] = trade.balance
    if done.account.side != 0:
        held |= market.bars.time >= done.account.entry_time
    np.testing.assert_array_equal(done.equity[~held], balance[~held])


@on_random_markets
@given(seeds, balances)
def test_volume_is_a_whole_number_of_steps_within_the_limits(seed: int, balance: float) -> None:
    done, _ = random_play(seed, balance)
    volumes = done.trades["volume"]
    np.testing.assert_allclose(volumes * 100.0, np.round(volumes * 100.0), atol=1e-9)
    assert ((volumes >= done.params.volume_min) & (volumes <= done.params.volume_max)).all()


def decisions(done: Play, market: Market, balance: float) -> list[tuple[Any, int, float]]:
    """Return (trade, bar of its decision, equity at that close), for the closed positions."""
    before = [balance, *done.trades["balance"]][: len(done.trades)]
    bars = np.searchsorted(market.bars.time, done.trades["entry_time"]) - 1
    return list(zip(done.trades, (int(bar) for bar in bars), before, strict=True))


@on_random_markets
@given(seeds, balances)
def test_loss_at_the_stop_stays_within_the_cap(seed: int, balance: float) -> None:
    done, market = random_play(seed, balance)
    params = done.params
    for trade, bar, equity in decisions(done, market, balance):
        quote = market.bars.close[bar] + (market.bars.spread[bar] if trade.side > 0 else 0.0)
        per_lot = abs(quote - trade.sl) + 2 * params.slippage + 2 * params.commission_per_lot
        assert trade.volume * per_lot <= params.max_risk_fraction * equity * (1 + 1e-6)


@on_random_markets
@given(seeds, balances)
def test_margin_fits_the_balance_at_decision_and_fill(seed: int, balance: float) -> None:
    done, market = random_play(seed, balance)
    for trade, bar, equity in decisions(done, market, balance):
        for price, row in ((market.bars.close[bar], bar), (market.bars.open[bar + 1], bar + 1)):
            quote = price + (market.bars.spread[row] if trade.side > 0 else 0.0)
            assert trade.volume * quote / done.params.leverage <= equity + 1e-9


@on_random_markets
@given(seeds)
def test_one_position_at_a_time_and_a_bar_between(seed: int) -> None:
    done, _ = random_play(seed)
    trades = done.trades
    assert (trades["exit_time"] >= trades["entry_time"]).all()
    assert (trades["entry_time"][1:] > trades["exit_time"][:-1]).all()
    if done.account.side != 0 and len(trades):
        assert done.account.entry_time > trades["exit_time"][-1]


@on_random_markets
@given(seeds)
def test_every_entry_follows_its_candidate_without_a_gap(seed: int) -> None:
    done, market = random_play(seed)
    side_at = dict(zip(market.candidates["bar"].tolist(), market.candidates["side"].tolist(), strict=True))
    for trade, bar, _ in decisions(done, market, 10_000.0):
        assert side_at[bar] == trade.side
        assert trade.entry_time == market.bars.time[bar] + BAR


@on_random_markets
@given(seeds, st.sampled_from([60.0, 500.0, 10_000.0]))
def test_breakers_are_those_of_the_written_history(seed: int, balance: float) -> None:
    """No trade is decided under a latched breaker, and each block names exactly the latched ones."""
    done, market = random_play(seed, balance)
    latched = breaker_history(done, market, balance)
    for trade, bar, _ in decisions(done, market, balance):
        assert latched[bar] == 0, (bar, trade)
    for block in done.blocks:
        assert block.gates & BREAKERS == latched[market.candidates[block.candidate].bar]


@on_random_markets
@given(seeds)
def test_costs_only_take(seed: int) -> None:
    """Same trades, dearer market: with fixed sizes and no limits each sum of costs is paid, none is earned."""
    market = random_market(seed)
    free = play(neutral_params(fixed_volume=1.0), market)
    dear = play(neutral_params(fixed_volume=1.0, slippage=1.0, commission_per_lot=2.0, swap_long=-1.0), market)
    assert (dear.trades["slippage_cost"] >= 1.0).all()
    assert (dear.trades["commission"] == -4.0).all()
    assert (dear.trades["swap"] <= 0.0).all()
    np.testing.assert_array_equal(free.trades["exit_time"], dear.trades["exit_time"])
    np.testing.assert_allclose(free.trades["profit"] - dear.trades["slippage_cost"], dear.trades["profit"], atol=1e-6)
