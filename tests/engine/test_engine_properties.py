"""What must hold on every market: accounts that add up, no look-ahead, limits kept, symmetry."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading.engine.records import Bars, Params, no_minutes, no_rollovers, to_bytes
from trading.engine.step import ASK_MULTIPLIER, ASK_POSITION

from .breaker_history import BREAKERS, breaker_history
from .market import BAR, DAY, Market, Play, begin, candidate_rows, neutral_params, play, realistic_params
from .random_market import fixed_answers, random_bars, random_market

seeds = st.integers(0, 2**32 - 1)
balances = st.sampled_from([0.0, 3.0, 60.0, 500.0, 10_000.0, 1e6])
on_random_markets = settings(
    max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)


def random_params(seed: int, **overrides: Any) -> Params:
    """Return the realistic parameters with limits drawn so that each of them matters on some seed."""
    rng = np.random.default_rng(seed)
    drawn = {
        "risk_fraction": rng.uniform(0.005, 0.06),
        "max_risk_fraction": rng.uniform(0.02, 0.08),
        "leverage": rng.choice([3.0, 20.0, 500.0]),
        "stop_out_level": rng.choice([0.0, 0.5, 1.5]),
        "max_consecutive_losses": int(rng.integers(1, 8)),
        "max_daily_loss": rng.uniform(0.01, 0.15),
        "max_weekly_drawdown": rng.uniform(0.03, 0.3),
        "max_total_drawdown": rng.uniform(0.05, 0.5),
        "equity_curve": int(rng.integers(0, 2)),
        "equity_curve_trades": int(rng.integers(2, 12)),
        "half_kelly": int(rng.integers(0, 2)),
        "position_model": int(rng.integers(0, 2)),
        "risk_model": int(rng.integers(0, 2)),
    }
    return realistic_params(**{**drawn, **overrides})


def random_play(seed: int, balance: float = 10_000.0, **overrides: Any) -> tuple[Play, Market]:
    market = random_market(seed)
    params = random_params(seed, **{"starting_balance": balance, **overrides})
    return play(params, market, balance, fixed_answers(seed)), market


def state_of(done: Play) -> tuple[bytes, ...]:
    """Return the bytes of everything but the place in the loop."""
    return (to_bytes(done.account), to_bytes(done.guard), done.trades.tobytes(), done.blocks.tobytes())


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
@given(seeds, st.integers(1, 399))
def test_past_does_not_know_the_future(seed: int, cut: int) -> None:
    """Everything after bar `cut - 1` is replaced by noise: what was done until then stays as it was."""
    done, market = random_play(seed)
    noise, _ = random_bars(np.random.default_rng(seed + 1), market.bars.time)
    columns = [np.concatenate((old[:cut], new[cut:])) for old, new in zip(market.bars, noise, strict=True)]
    later = market.candidates["bar"] >= cut
    candidates = np.concatenate((market.candidates[~later], random_market(seed + 1).candidates[:0]))
    other = Market(
        Bars(columns[0], columns[1], columns[2], columns[3], columns[4], columns[5]),
        candidates.view(np.recarray),
        market.minutes,
        market.rollovers,
    )
    changed = play(random_params(seed), other, answer=fixed_answers(seed))
    past = market.bars.time[cut - 1]
    assert done.trades[done.trades["exit_time"] <= past].tobytes() == (
        changed.trades[changed.trades["exit_time"] <= past].tobytes()
    )
    np.testing.assert_array_equal(done.equity[:cut], changed.equity[:cut])


@on_random_markets
@given(seeds, balances)
def test_volume_is_a_whole_number_of_steps_within_the_limits(seed: int, balance: float) -> None:
    done, _ = random_play(seed, balance)
    volumes = done.trades["volume"]
    np.testing.assert_allclose(volumes * 100.0, np.round(volumes * 100.0), atol=1e-9)
    assert ((volumes >= done.params.volume_min) & (volumes <= done.params.volume_max)).all()


def decisions(done: Play, market: Market, balance: float) -> list[tuple[Any, int, float]]:
    """Return (trade, bar of its decision, equity at that close), for the closed positions."""
    before = [balance, *done.trades["balance"][:-1]]
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
        for price in (market.bars.close[bar], market.bars.open[bar + 1]):
            row = bar if price == market.bars.close[bar] else bar + 1
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
        if bin(block.gates).count("1") == 1 and block.gates & 1 and market.candidates[block.candidate].market_open:
            continue  # refused at the open of the next bar, for a reason of that bar
        bar = int(market.candidates[block.candidate].bar)
        refused_later = block.gates in (1 << 15, 1 << 17)
        assert block.gates & BREAKERS == latched[bar] or refused_later


@on_random_markets
@given(seeds, st.lists(st.integers(1, 399), min_size=1, max_size=12))
def test_history_in_pieces_is_history_in_one(seed: int, cuts: list[int]) -> None:
    whole, market = random_play(seed)
    pieces = begin(random_params(seed), market)
    for cut in sorted(set(cuts)):
        pieces.go(market.until(cut), fixed_answers(seed))
    pieces.go(market, fixed_answers(seed))
    assert state_of(pieces) == state_of(whole)
    assert to_bytes(pieces.run) == to_bytes(whole.run)


@settings(on_random_markets, max_examples=10)
@given(seeds)
def test_history_bar_by_bar_is_history_in_one(seed: int) -> None:
    """The bot lives like this, its records going through the journal after every bar."""
    whole, market = random_play(seed)
    bot = begin(random_params(seed), market)
    for count in range(1, len(market.bars.time) + 1):
        bot.go(market.until(count), fixed_answers(seed))
    assert state_of(bot) == state_of(whole)


@on_random_markets
@given(seeds)
def test_bars_without_candidates_may_be_skipped(seed: int) -> None:
    """A candidate that never passes, at every bar that has none, defeats the skipping and changes nothing."""
    market = random_market(seed, share=0.03)
    params = random_params(seed)
    whole = play(params, market, answer=fixed_answers(seed))
    empty = np.setdiff1d(np.arange(len(market.bars.time)), market.candidates["bar"])
    dummies = candidate_rows(len(empty))
    dummies["bar"], dummies["side"] = empty, 1
    dummies["market_open"] = 0
    crowd = np.concatenate((market.candidates, dummies))
    crowd = crowd[np.argsort(crowd["bar"], kind="stable")].view(np.recarray)
    crowded = Market(market.bars, crowd, market.minutes, market.rollovers)
    busy = play(random_params(seed), crowded, answer=fixed_answers(seed))
    assert busy.trades.tobytes() == whole.trades.tobytes()
    assert to_bytes(busy.guard) == to_bytes(whole.guard)
    assert to_bytes(busy.account) == to_bytes(whole.account)
    np.testing.assert_array_equal(busy.equity, whole.equity)
    assert (busy.run.max_drawdown, busy.run.bars_in_market) == (whole.run.max_drawdown, whole.run.bars_in_market)


@on_random_markets
@given(seeds)
def test_model_that_always_holds_is_no_model(seed: int) -> None:
    holding, _ = random_play(seed, position_model=0, risk_model=0)
    market = random_market(seed)
    asked: list[int] = []

    def hold(question: int, bar: int) -> float:
        asked.append(bar)
        return 0.0 if question == ASK_POSITION else 1.0

    done = play(random_params(seed, position_model=1, risk_model=1), market, answer=hold)
    assert state_of(done) == state_of(holding)
    assert asked


@on_random_markets
@given(seeds)
def test_multiplier_changes_sizes_and_nothing_else(seed: int) -> None:
    """Without limits that look at money, every answer gives the same trades at other sizes."""
    market = random_market(seed)
    free = {
        "leverage": np.inf,
        "stop_out_level": 0.0,
        "max_daily_loss": np.inf,
        "max_weekly_drawdown": np.inf,
        "max_total_drawdown": np.inf,
        "equity_curve": 0,
        "max_consecutive_losses": 10**9,
        "position_model": 0,
        "volume_min": 1e-4,
        "volume_scale": 1e4,
        "max_risk_fraction": 0.5,
        "half_kelly": 0,
    }
    plain = play(random_params(seed, risk_model=0, **free), market, balance=1e5)
    scaled = play(random_params(seed, risk_model=1, **free), market, balance=1e5, answer=fixed_answers(seed))
    for name in ("entry_time", "exit_time", "side", "reason", "entry_price", "exit_price", "sl", "tp"):
        np.testing.assert_array_equal(plain.trades[name], scaled.trades[name])
    assert plain.blocks.tobytes() == scaled.blocks.tobytes()
    if len(plain.trades):
        assert scaled.trades["volume"][0] != plain.trades["volume"][0]


@on_random_markets
@given(seeds)
def test_position_answers_change_exits_and_nothing_before_them(seed: int) -> None:
    held, market = random_play(seed, position_model=0)
    leave_at: list[int] = []
    answers = fixed_answers(seed)

    def leave(question: int, bar: int) -> float:
        answer = answers(question, bar)
        if question == ASK_POSITION and answer != 0.0:
            leave_at.append(bar)
        return answer

    left = play(random_params(seed, position_model=1), market, answer=leave)
    exits = left.trades[left.trades["reason"] == 4]
    # Out at the very next open, never later, and only where the model said so.
    assert set(exits["exit_time"]) <= {market.bars.time[bar] + BAR for bar in leave_at}
    if leave_at:
        past = market.bars.time[leave_at[0]]
        early = held.trades[held.trades["exit_time"] <= past]
        assert left.trades[left.trades["exit_time"] <= past].tobytes() == early.tobytes()


@on_random_markets
@given(seeds)
def test_multiplier_is_asked_once_per_candidate_and_only_when_flat(seed: int) -> None:
    market = random_market(seed)
    answers = fixed_answers(seed)
    asked: list[int] = []

    def note(question: int, bar: int) -> float:
        if question == ASK_MULTIPLIER:
            asked.append(bar)
        return answers(question, bar)

    done = play(random_params(seed, risk_model=1), market, answer=note)
    assert len(asked) == len(set(asked))
    assert set(asked) <= set(market.candidates["bar"].tolist())
    for trade in done.trades:
        inside = market.bars.time[asked]
        assert not ((inside >= trade.entry_time) & (inside < trade.exit_time)).any()


def mirrored(market: Market) -> Market:
    """Return the market upside down around 50,000, buyers for sellers; there must be no spread."""
    bars = market.bars
    flipped = Bars(bars.time, 1e5 - bars.open, 1e5 - bars.low, 1e5 - bars.high, 1e5 - bars.close, bars.spread)
    candidates = market.candidates.copy()
    candidates["side"] *= -1
    candidates["ema_distance"] *= -1
    return Market(flipped, candidates, no_minutes(), no_rollovers())


@on_random_markets
@given(seeds)
def test_mirrored_market_gives_mirrored_trades(seed: int) -> None:
    """Without costs nothing may favour a side. Prices are whole dollars, so that both are exact."""
    market = random_market(seed)
    first, high, low, close = (np.round(column) for column in market.bars[1:5])
    bars = Bars(market.bars.time, first, high, low, close, np.zeros(len(first)))
    market.candidates["atr"] = np.round(np.nan_to_num(market.candidates["atr"], nan=50.0))
    market.candidates["sl_mult"] = market.candidates["tp_mult"] = 1.0
    flat = Market(bars, market.candidates)
    params = {"fixed_volume": 1.0, "stops_distance": 5.0, "ema_trend": 1, "min_adx": 10.0, "min_votes": 2}
    limits = {"max_consecutive_losses": 3, "max_daily_loss": 0.03, "max_weekly_drawdown": 0.1, "stop_out_level": 0.5}
    up = play(neutral_params(starting_balance=1e4, **params, **limits), flat)
    down = play(neutral_params(starting_balance=1e4, **params, **limits), mirrored(flat))
    for name in ("entry_time", "exit_time", "reason", "volume", "profit", "balance"):
        np.testing.assert_array_equal(up.trades[name], down.trades[name])
    for name in ("entry_price", "exit_price", "sl", "tp"):
        np.testing.assert_array_equal(up.trades[name], 1e5 - down.trades[name])
    np.testing.assert_array_equal(up.trades["side"], -down.trades["side"])
    assert up.blocks.tobytes() == down.blocks.tobytes()
    assert up.run.max_drawdown == down.run.max_drawdown


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


def test_no_bars_and_no_candidates() -> None:
    empty = Market(Bars(np.empty(0, np.int64), *(np.empty(0) for _ in range(5))), candidate_rows(0))
    done = play(realistic_params(), empty)
    assert (done.account.balance, len(done.trades), len(done.blocks), done.run.bar) == (10_000.0, 0, 0, 0)


def test_bars_without_a_candidate_are_judged_to_the_last() -> None:
    market = random_market(3)
    idle = Market(market.bars, candidate_rows(0), market.minutes, market.rollovers)
    done = play(realistic_params(), idle)
    assert done.guard.time == market.bars.time[-1] + BAR
    assert done.guard.next_day == ((market.bars.time[-1] + BAR) // DAY + 1) * DAY
    assert (done.equity == 10_000.0).all()
