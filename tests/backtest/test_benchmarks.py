from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from backtest.benchmarks import Band, RandomEntry, buy_and_hold, random_entry_benchmark, traded_candidates
from backtest.result import BacktestResult
from engine.records import Bars, no_minutes, no_rollovers
from tests.helpers.backtest_examples import (
    candidates_at,
    coin_flips,
    flat_bars,
    nightly,
    random_walk,
    realistic_params,
    simulated,
    written_down,
)

COUNT = 4000


def chance(result: BacktestResult, atr: npt.NDArray[np.float64], seed: int = 1, runs: int = 60) -> RandomEntry:
    rng = np.random.default_rng(seed)
    found = random_entry_benchmark(result, atr, rng, runs, minutes=no_minutes(), rollovers=nightly(result.bars))
    assert found is not None
    return found


def band(value: Band | None) -> Band:
    assert value is not None
    return value


def strategy(seed: int, insight: float, balance: float = 20_000.0, **changes: Any) -> tuple[BacktestResult, Any]:
    """Trade random bars of a random walk; a share of the sides is taken from the future."""
    bars, atr = random_walk(COUNT, seed)
    rng = np.random.default_rng(seed + 100)
    rows = np.sort(rng.choice(np.arange(20, COUNT - 10), 300, replace=False))
    future = np.where(bars.close[rows + 3] > bars.close[rows], 1, -1)
    sides = np.where(rng.random(len(rows)) < insight, future, rng.choice([-1, 1], len(rows)))
    params = realistic_params(balance)
    for name, value in changes.items():
        setattr(params, name, value)
    return simulated(bars, candidates_at(rows, sides, atr), params, balance=balance), atr


def test_knowing_the_future_stands_above_chance() -> None:
    result, atr = strategy(1, insight=0.9)
    found = chance(result, atr)
    for figure in (found.profit_factor, found.win_rate, found.expectancy_r, found.total_return):
        assert band(figure).percentile == 100.0
        assert band(figure).strategy > band(figure).high


def test_guessing_stands_anywhere_within_chance() -> None:
    ranks = [band(chance(*strategy(seed, insight=0.0)).expectancy_r).percentile for seed in range(16)]
    # Uniform ranks have mean 50 with standard error 28.9 / 4, and spread over the whole range.
    assert 28.0 < np.mean(ranks) < 72.0
    assert min(ranks) < 35.0 and max(ranks) > 65.0


def test_random_runs_make_about_as_many_trades() -> None:
    result, atr = strategy(2, insight=0.0)
    assert chance(result, atr).trades == pytest.approx(len(result.trades), rel=0.08)


def test_random_runs_pay_the_costs() -> None:
    dear, atr = strategy(3, insight=0.0, commission_per_lot=100.0)
    cheap, _ = strategy(3, insight=0.0, commission_per_lot=0.0)
    assert band(chance(dear, atr).expectancy_r).high < band(chance(cheap, atr).expectancy_r).low


def test_random_runs_pay_the_swap() -> None:
    result, atr = strategy(4, insight=0.0, swap_long=-5000.0, swap_short=-5000.0)
    free = random_entry_benchmark(
        result, atr, np.random.default_rng(1), 60, minutes=no_minutes(), rollovers=no_rollovers()
    )
    assert free is not None
    assert band(chance(result, atr).total_return).median < band(free.total_return).median


def test_the_band_is_ordered() -> None:
    found = chance(*strategy(5, insight=0.0))
    for figure in (found.profit_factor, found.win_rate, found.expectancy_r, found.total_return):
        assert band(figure).low < band(figure).median < band(figure).high


def test_the_same_seed_gives_the_same_runs() -> None:
    result, atr = strategy(6, insight=0.0)
    assert chance(result, atr, seed=3) == chance(result, atr, seed=3)
    assert chance(result, atr, seed=3) != chance(result, atr, seed=4)


def test_the_strategy_is_left_as_it_was() -> None:
    result, atr = strategy(7, insight=0.0)
    before = [np.asarray(part).tobytes() for part in (result.params, result.guard, result.account, result.candidates)]
    chance(result, atr)
    after = [np.asarray(part).tobytes() for part in (result.params, result.guard, result.account, result.candidates)]
    assert before == after


def test_a_position_model_is_not_asked() -> None:
    result, atr = strategy(8, insight=0.0)
    plain = chance(result, atr)
    result.params.position_model = result.params.risk_model = 1
    assert chance(result, atr) == plain


def test_nothing_is_entered_after_the_strategy_was_halted() -> None:
    result, atr = strategy(9, insight=0.0, commission_per_lot=40.0, max_total_drawdown=0.1)
    assert result.guard.halted == 1
    rows = np.searchsorted(result.bars.time, result.trades["entry_time"])
    found = chance(result, atr)
    # Spread over the whole window instead, random entries would mostly come after the halt.
    assert rows.max() < COUNT * 0.8
    assert found.trades == pytest.approx(len(result.trades), rel=0.35)


def test_only_traded_candidates_are_moved() -> None:
    result, _ = strategy(10, insight=0.0)
    traded = traded_candidates(result)
    assert len(traded) == len(result.trades) + int(result.account.side != 0)
    assert len(traded) < len(result.candidates)
    assert set(traded["bar"]).isdisjoint(result.candidates["bar"][result.blocks["candidate"]])


def test_without_trades_there_is_nothing_to_compare() -> None:
    result = written_down(())
    atr = np.full(len(result.bars.time), 100.0)
    assert (
        random_entry_benchmark(result, atr, np.random.default_rng(1), minutes=no_minutes(), rollovers=no_rollovers())
        is None
    )


def test_atr_must_fit_the_bars() -> None:
    with pytest.raises(ValueError, match="ATR values"):
        chance(coin_flips(300), np.ones(10))


def test_flat_keys_for_json() -> None:
    values = chance(*strategy(11, insight=0.0), runs=5).as_dict()
    assert values["random_runs"] == 5
    assert values["random_expectancy_r_low"] < values["random_expectancy_r_high"]  # type: ignore[operator]
    assert {"random_profit_factor_percentile", "random_win_rate_median", "random_total_return_low"} <= set(values)


def test_buy_and_hold_on_paper() -> None:
    # Bought at 99 + 1 = 100; highs at closes 120, then a low of 60: half of the peak is gone.
    bars = Bars(
        time=flat_bars(4 / 96).time,
        open=np.array([99.0, 110.0, 118.0, 100.0]),
        high=np.array([110.0, 121.0, 121.0, 111.0]),
        low=np.array([98.0, 109.0, 60.0, 99.0]),
        close=np.array([110.0, 120.0, 100.0, 110.0]),
        spread=np.full(4, 1.0),
    )
    found = buy_and_hold(BacktestResult(**{**written_down(()).__dict__, "bars": bars}))
    assert found.total_return == pytest.approx(0.10)
    assert found.max_drawdown == pytest.approx(0.50)


def test_buy_and_hold_pays_the_spread() -> None:
    result = written_down(())
    found = buy_and_hold(result)
    assert found.total_return == pytest.approx(50_000.0 / 50_016.95 - 1.0)
    assert found.as_dict() == {"buy_hold_return": found.total_return, "buy_hold_max_drawdown": found.max_drawdown}
