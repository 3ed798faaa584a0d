from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from backtest.metrics import Metrics, Scalar, compute_metrics
from backtest.result import BacktestResult
from backtest.trade_results import holding_bars, net_results, r_multiples
from engine.gates import GATE_NAMES
from engine.records import Block, new_records
from novosky.measures.groups import monthly_returns, results_by
from novosky.measures.score import band_of, score_of
from novosky.measures.statistics import (
    calmar_ratio,
    daily_returns,
    drawdowns,
    longest_drawdown_days,
    longest_run,
    percentile_rank,
    profit_factor,
    profit_factor_interval,
    rolling_sharpe,
    sharpe_ratio,
    sortino_ratio,
    stationary_bootstrap,
    wilson_interval,
    worst_drawdowns,
    yearly_growth,
    yearly_volatility,
)
from tests.helpers.backtest_examples import (
    MONDAY,
    candidates_at,
    coin_flips,
    flat_bars,
    random_walk,
    simulated,
    written_down,
)

FOUR = (30.0, -10.0, 20.0, -20.0)
"""On paper: two of four won, 50 gained, 30 lost, 20 earned; 100 grows to 130, 120, 140, 120."""


def measure(result: BacktestResult, seed: int = 7) -> Metrics:
    return compute_metrics(result, np.random.default_rng(seed), m1=False)


def flat(result: BacktestResult) -> dict[str, Scalar]:
    return measure(result).as_dict()


def test_four_trades_on_paper() -> None:
    metrics = measure(written_down(FOUR))
    assert metrics.trades == 4
    assert metrics.win_rate == 0.5
    assert metrics.profit_factor == pytest.approx(50.0 / 30.0)
    assert metrics.expectancy_usd == 5.0
    assert metrics.expectancy_r == pytest.approx((3.0 - 1.0 + 2.0 - 2.0) / 4)
    assert metrics.total_return == pytest.approx(0.20)
    assert metrics.end_balance == 120.0
    assert (metrics.best_trade, metrics.worst_trade) == (30.0, -20.0)
    assert metrics.longest_losing_run == 1


def test_commission_and_swap_are_part_of_the_result() -> None:
    metrics = measure(written_down((3.0, 1.0, -1.0), commission=-1.5, swap=-0.5))
    # Net: 1, -1, -3.
    assert metrics.win_rate == pytest.approx(1 / 3)
    assert metrics.profit_factor == pytest.approx(1.0 / 4.0)
    assert metrics.cost_commission == 4.5
    assert metrics.cost_swap == 1.5


def test_a_result_of_exactly_zero_is_not_a_win() -> None:
    result = written_down((0.3,), commission=-0.1, swap=-0.2)
    assert net_results(result.trades).tolist() == [0.0]
    assert measure(result).win_rate == 0.0


def test_costs_are_summed_by_kind() -> None:
    metrics = measure(written_down(FOUR))
    assert metrics.cost_spread == pytest.approx(0.68)
    assert metrics.cost_slippage == pytest.approx(0.08)
    assert math.copysign(1.0, metrics.cost_swap) == 1.0


def test_score_on_paper() -> None:
    # 12 wins of 2 and 8 losses of 1: win rate 0.6, profit factor 3, drawdown 4 %: 0.6 * 3 / 0.2.
    metrics = measure(written_down((2.0, 2.0, 2.0, -1.0, -1.0) * 4, max_drawdown=0.04))
    assert metrics.score == pytest.approx(9.0)
    assert metrics.score_note is None
    assert metrics.band == "below target"


def test_nineteen_trades_are_too_few_for_a_score() -> None:
    metrics = measure(written_down((2.0,) * 10 + (-1.0,) * 9))
    assert metrics.score is None
    assert metrics.band is None
    assert metrics.score_note == "too few trades"
    assert metrics.profit_factor == pytest.approx(20 / 9)
    assert (metrics.pf_low, metrics.pf_high) == (None, None)


def test_twenty_trades_are_enough() -> None:
    assert measure(written_down((2.0,) * 10 + (-1.0,) * 10)).score is not None


def test_drawdown_is_floored_in_the_score_but_reported_as_it_was() -> None:
    metrics = measure(written_down((1.0,) * 20, max_drawdown=0.0))
    assert metrics.max_drawdown == 0.0
    assert metrics.score == pytest.approx(10.0 / math.sqrt(0.001))


def test_only_winners_cap_the_profit_factor_at_ten() -> None:
    metrics = measure(written_down((1.0,) * 25))
    assert metrics.profit_factor == metrics.pf_low == metrics.pf_high == 10.0
    assert metrics.longest_losing_run == 0


def test_a_profit_factor_above_ten_is_capped() -> None:
    assert profit_factor(np.array([100.0, -1.0])) == 10.0


def test_only_losers_score_zero() -> None:
    metrics = measure(written_down((-1.0,) * 25))
    assert (metrics.win_rate, metrics.profit_factor, metrics.score, metrics.band) == (0.0, 0.0, 0.0, "pause")
    assert metrics.longest_losing_run == 25


def test_without_trades_figures_are_unknown_not_zero() -> None:
    values = flat(written_down(()))
    for key in ("score", "win_rate", "win_rate_low", "profit_factor", "pf_low", "expectancy_r", "expectancy_usd"):
        assert values[key] is None, key
    for key in ("best_trade", "holding_bars_mean", "sharpe", "sortino", "calmar"):
        assert values[key] is None, key
    assert values["trades"] == 0
    assert values["total_return"] == 0.0


@pytest.mark.parametrize(
    ("score", "band"),
    [
        (0.0, "pause"),
        (5.99, "pause"),
        (6.0, "below target"),
        (9.99, "below target"),
        (10.0, "production grade"),
        (15.0, "production grade"),
        (15.01, "excellent"),
    ],
)
def test_bands(score: float, band: str) -> None:
    assert band_of(score) == band


def test_score_formula() -> None:
    assert score_of(0.6, 2.0, 0.04) == pytest.approx(6.0)


def test_an_open_position_counts_in_the_equity_only() -> None:
    bars, atr = random_walk(200)
    result = simulated(bars, candidates_at(np.array([197]), np.array([1]), atr))
    metrics = measure(result)
    assert metrics.open_at_end
    assert metrics.trades == 0
    assert metrics.end_equity == pytest.approx(float(result.equity[-1]))
    assert metrics.end_equity != metrics.end_balance
    assert metrics.total_return == pytest.approx(metrics.end_equity / 500.0 - 1.0)


def test_closed_trades_explain_the_balance_to_the_cent() -> None:
    result = coin_flips()
    metrics = measure(result)
    assert metrics.trades > 100
    # The position still open has paid its entry commission already.
    booked = net_results(result.trades).sum() + float(result.account.commission)
    assert metrics.start_balance + booked == pytest.approx(metrics.end_balance, abs=1e-6)


def test_every_exit_reason_is_counted_once() -> None:
    metrics = measure(coin_flips())
    assert set(metrics.exits) == {"sl", "tp", "so", "model", "halt", "manual"}
    assert sum(metrics.exits.values()) == metrics.trades
    assert metrics.exits["sl"] > 0 < metrics.exits["tp"]


def test_a_block_counts_for_its_first_failing_gate() -> None:
    result = written_down(FOUR)
    blocks = new_records(Block, 3)
    spread, volume = GATE_NAMES.index("spread"), GATE_NAMES.index("volume")
    blocks["gates"] = [1 << spread, 1 << spread | 1 << volume, 1 << volume]
    values = flat(BacktestResult(**{**result.__dict__, "blocks": blocks}))
    assert (values["blocked"], values["blocks_spread"], values["blocks_volume"]) == (3, 2, 1)
    assert sum(values[f"blocks_{name}"] for name in GATE_NAMES) == 3  # type: ignore[misc]


def test_holding_counts_bars_not_hours() -> None:
    result = written_down((1.0,))
    assert holding_bars(result.trades, result.bars.time).tolist() == [2]
    # A weekend between the second and the third bar does not make the trade any longer.
    late = result.bars.time + np.where(np.arange(len(result.bars.time)) >= 2, 172_800, 0)
    result.trades["exit_time"] = late[3]
    assert holding_bars(result.trades, late).tolist() == [2]


def test_a_trade_without_risk_has_no_r_multiple() -> None:
    result = written_down((1.0, 2.0))
    result.trades["risk"] = [0.0, 4.0]
    assert np.isnan(r_multiples(result.trades)[0])
    assert measure(result).expectancy_r == 0.5


def test_exposure_is_the_share_of_bars_with_a_position() -> None:
    assert measure(written_down(FOUR, days=10.0)).exposure == pytest.approx(8 / 960)


def test_window_is_from_first_open_to_last_close() -> None:
    metrics = measure(written_down(FOUR, days=10.0))
    assert (metrics.start, metrics.end) == ("2024-01-01T00:00:00Z", "2024-01-11T00:00:00Z")


@pytest.mark.parametrize(
    ("cutoff", "oos"),
    [(None, None), ("2023-12-31 23:45", True), ("2024-01-01 00:00", False), ("2024-01-05 00:00", False)],
)
def test_out_of_sample_means_after_the_cutoff(cutoff: str | None, oos: bool | None) -> None:
    stamp = None if cutoff is None else pd.Timestamp(cutoff, tz="UTC")
    result = written_down(FOUR)
    assert measure(BacktestResult(**{**result.__dict__, "train_cutoff": stamp})).oos is oos


def test_json_is_one_flat_object_without_nan() -> None:
    for result in (written_down(()), coin_flips(labels=("synthetic", "second"))):
        values = flat(result)
        assert json.loads(json.dumps(values, allow_nan=False)) == values
        assert all(value is None or isinstance(value, (bool, int, float, str)) for value in values.values())
        assert all(key == key.lower() and key.isidentifier() for key in values)
    assert values["labels"] == "synthetic; second"


def test_json_has_the_promised_keys() -> None:
    promised = (
        "score score_note band trades win_rate profit_factor max_drawdown total_return sharpe expectancy_r start end "
        "oos seconds spread commission_per_lot slippage swap_long swap_short leverage m1 exits_sl blocks_hard_halt"
    )
    assert set(promised.split()) <= set(flat(written_down(FOUR)))


def test_an_unlimited_assumption_is_unknown_in_json() -> None:
    result = written_down(FOUR)
    result.params.leverage = np.inf
    assert flat(result)["leverage"] is None


def test_the_same_seed_gives_the_same_interval() -> None:
    result = coin_flips()
    first, again = measure(result, 3), measure(result, 3)
    assert first == again
    assert first.pf_low is not None and first.profit_factor is not None and first.pf_high is not None
    assert first.pf_low < first.profit_factor < first.pf_high


def test_wilson_interval_from_the_textbook() -> None:
    # Newcombe (1998), table I, method 3: 81 of 263 is 0.2553 to 0.3662.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_wilson_interval_stays_a_share_at_the_ends() -> None:
    assert wilson_interval(0, 10)[0] == 0.0
    assert wilson_interval(10, 10)[1] == pytest.approx(1.0)
    assert wilson_interval(10, 10)[1] <= 1.0


def test_wilson_interval_needs_trials() -> None:
    with pytest.raises(ValueError, match="trials"):
        wilson_interval(0, 0)


def test_stationary_bootstrap_keeps_neighbours_together() -> None:
    positions = stationary_bootstrap(100, 10.0, 500, np.random.default_rng(1))
    followed = np.mean((positions[:, 1:] - positions[:, :-1]) % 100 == 1)
    # A block ends with chance 1/10, and a new one starts at the next position with chance 1/100.
    assert followed == pytest.approx(0.9 + 0.1 / 100, abs=0.005)
    assert np.bincount(positions.ravel(), minlength=100).min() > 0


def test_profit_factor_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(100):
        net = np.where(rng.random(200) < 0.5, 1.2, -1.0)
        low, high = profit_factor_interval(net, rng, resamples=300)
        covered += low <= 1.2 <= high
    assert 85 <= covered <= 100


def test_daily_returns_include_days_without_bars() -> None:
    times = MONDAY + np.array([0, 900, 3 * 86_400])
    returns = daily_returns(times, np.array([101.0, 110.0, 99.0]), 100.0)
    assert returns.tolist() == pytest.approx([0.10, 0.0, 0.0, -0.10])


def test_sharpe_and_sortino_on_paper() -> None:
    # 90 days of +2 % and 90 of -1 %: mean 0.5 %, deviation 1.5 % * sqrt(180 / 179), downside 1 % * sqrt(1 / 2).
    returns = np.array([0.02, -0.01] * 90)
    assert sharpe_ratio(returns) == pytest.approx(0.005 / (0.015 * math.sqrt(180 / 179)) * math.sqrt(365))
    assert yearly_volatility(returns) == pytest.approx(0.015 * math.sqrt(180 / 179) * math.sqrt(365))
    assert sortino_ratio(returns) == pytest.approx(0.005 / (0.01 * math.sqrt(0.5)) * math.sqrt(365))


YEARLY = (sharpe_ratio, sortino_ratio, yearly_growth, yearly_volatility, lambda returns: calmar_ratio(returns, 0.1))


@pytest.mark.parametrize("figure", YEARLY)
def test_yearly_figures_need_180_days(figure: Callable[[np.ndarray], float | None]) -> None:
    returns = np.array([0.02, -0.01] * 90)
    assert figure(returns) is not None
    assert figure(returns[:179]) is None


def test_ratios_need_variance() -> None:
    assert sharpe_ratio(np.full(200, 0.001)) is None
    assert sortino_ratio(np.full(200, 0.001)) is None
    assert calmar_ratio(np.full(200, 0.001), 0.0) is None


def test_calmar_is_compound_yearly_growth_over_drawdown() -> None:
    # 219 days are three fifths of a year; growth of 10 % compounds to 1.1^(5/3) - 1.
    returns = np.zeros(219)
    returns[10] = 0.10
    assert yearly_growth(returns) == pytest.approx(1.1 ** (5 / 3) - 1.0)
    assert calmar_ratio(returns, 0.20) == pytest.approx((1.1 ** (5 / 3) - 1.0) / 0.20)


def test_rolling_sharpe_is_that_of_each_window() -> None:
    returns = np.random.default_rng(3).normal(0.001, 0.01, 200)
    found = rolling_sharpe(returns)
    assert found.tolist() == pytest.approx([sharpe_ratio(returns[at : at + 180]) for at in range(21)])
    assert len(rolling_sharpe(returns[:179])) == 0
    assert np.isnan(rolling_sharpe(np.zeros(180))).all()


def test_worst_drawdowns_are_the_deepest_that_do_not_overlap() -> None:
    times = MONDAY + 900 * np.arange(9)
    equity = np.array([110.0, 99.0, 104.5, 110.0, 121.0, 60.5, 121.0, 130.0, 117.0])
    found = worst_drawdowns(times, equity, 100.0)
    assert [round(each.depth, 6) for each in found] == [0.5, 0.1, 0.1]
    assert [(each.peak - MONDAY) // 900 for each in found] == [4, 0, 7]
    assert [(each.trough - MONDAY) // 900 for each in found] == [5, 1, 8]
    assert [None if each.recovered is None else (each.recovered - MONDAY) // 900 for each in found] == [6, 3, None]
    assert worst_drawdowns(times, equity, 100.0, most=1) == found[:1]


def test_an_account_that_only_rises_has_no_drawdown() -> None:
    assert worst_drawdowns(MONDAY + np.arange(3), np.array([100.0, 101.0, 102.0]), 100.0) == []


def test_money_lost_from_the_first_bar_on_counts_from_the_start() -> None:
    (found,) = worst_drawdowns(MONDAY + np.arange(2), np.array([90.0, 95.0]), 100.0)
    assert (round(found.depth, 6), found.peak, found.trough, found.recovered) == (0.1, MONDAY, MONDAY, None)


def test_a_ruined_account_has_no_ratios() -> None:
    equity = np.concatenate((np.full(96 * 100, 100.0), np.full(96 * 100, -5.0)))
    returns = daily_returns(flat_bars(200).time, equity, 100.0)
    assert returns[100] < -1.0
    assert (sharpe_ratio(returns), sortino_ratio(returns), calmar_ratio(returns, 1.05)) == (None, None, None)


def test_drawdowns_start_from_the_starting_balance() -> None:
    assert drawdowns(np.array([90.0, 120.0, 60.0]), 100.0).tolist() == pytest.approx([0.1, 0.0, 0.5])


@pytest.mark.parametrize(
    ("equity", "days"),
    [
        ([100.0, 101.0, 102.0, 103.0, 104.0], 1.0),
        ([100.0, 99.0, 98.0, 101.0, 102.0], 3.0),
        ([100.0, 105.0, 104.0, 103.0, 102.0], 3.0),
        ([99.0, 98.0, 97.0, 96.0, 95.0], 4.0),
    ],
)
def test_longest_drawdown_lasts_from_high_to_high_or_to_the_end(equity: list[float], days: float) -> None:
    times = MONDAY + 86_400 * np.arange(5)
    assert longest_drawdown_days(times, np.array(equity), 100.0) == days


@pytest.mark.parametrize(("flags", "length"), [([], 0), ([0, 0], 0), ([1, 1, 0, 1], 2), ([0, 1, 1, 1], 3)])
def test_longest_run(flags: list[int], length: int) -> None:
    assert longest_run(np.array(flags, dtype=bool)) == length


def test_percentile_rank_counts_ties_half() -> None:
    assert percentile_rank(np.array([1.0, 2.0, 2.0, 3.0]), 2.0) == 50.0


def test_monthly_returns_compound_to_the_whole() -> None:
    bars = flat_bars(70)
    equity = np.linspace(100.0, 130.0, len(bars.time))
    months = monthly_returns(bars.time, equity, 100.0)
    assert [(year, month) for year, month, _ in months] == [(2024, 1), (2024, 2), (2024, 3)]
    assert np.prod([1.0 + change for _, _, change in months]) == pytest.approx(1.30)


def test_groups_take_their_own_trades_only() -> None:
    net, multiples = np.array([2.0, -1.0, 4.0]), np.array([1.0, -0.5, np.nan])
    first, second, third = results_by(np.array([0, 0, 1]), ("a", "b", "c"), net, multiples)
    assert (first.trades, first.win_rate, first.profit_factor, first.expectancy_r, first.net) == (
        2,
        0.5,
        2.0,
        0.25,
        1.0,
    )
    assert (second.trades, second.profit_factor, second.expectancy_r) == (1, math.inf, None)
    assert (third.trades, third.win_rate, third.profit_factor, third.net) == (0, None, None, 0.0)
