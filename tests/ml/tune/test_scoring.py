"""What a trial is worth: trades one at a time with costs paid, and a bound that luck does not reach."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml.labels.position import Bracket, Entries
from ml.tune.scoring import TOO_FEW, FoldResult, lower_bound, moments, one_at_a_time, summarise, trial_value
from ml.tune.signal_objective import take_trades
from novosky.market.timeframe import USUAL


def flat_bars(opens: list[float], highs: dict[int, float], lows: dict[int, float]) -> pd.DataFrame:
    """Bars that open and close at the same price but for given highs and lows."""
    prices = np.array(opens)
    high, low = prices + 1.0, prices - 1.0
    for at, value in highs.items():
        high[at] = value
    for at, value in lows.items():
        low[at] = value
    time = pd.date_range("2024-01-01", periods=len(prices), freq="15min", tz="UTC")
    return pd.DataFrame({"time": time, "open": prices, "high": high, "low": low, "close": prices, "volume": 1.0})


def test_results_are_in_multiples_of_risk_with_spread_and_slippage_paid() -> None:
    # Long decided at 100: ask 102, stop 92, target 112, filled at 103, risk 11.
    bars = flat_bars([100.0] * 6, highs={2: 113.0}, lows={4: 80.0})
    bracket = Bracket(sl_mult=1.0, tp_mult=1.0, horizon_bars=3, spread=2.0, slippage=1.0, margin_r=0.25)
    atr = np.full(6, 10.0)
    won = take_trades(bars, atr, Entries(np.array([0]), np.array([1], dtype=np.int8)), bracket, USUAL)
    assert won == pytest.approx([9.0 / 11.0]), "a target fills at its price"
    # Stop 92 less slippage.
    lost = take_trades(bars, atr, Entries(np.array([2]), np.array([1], dtype=np.int8)), bracket, USUAL)
    assert lost == pytest.approx([(91.0 - 103.0) / 11.0])


def test_a_trade_that_neither_level_ends_is_valued_at_the_horizon() -> None:
    bars = flat_bars([100.0, 100.0, 100.0, 104.0, 104.0], highs={}, lows={})
    bracket = Bracket(sl_mult=1.0, tp_mult=1.0, horizon_bars=3, spread=2.0, slippage=0.0, margin_r=0.25)
    results = take_trades(bars, np.full(5, 10.0), Entries(np.array([0]), np.array([1], dtype=np.int8)), bracket, USUAL)
    assert results == pytest.approx([(104.0 - 102.0) / 10.0])


def test_trades_are_taken_one_at_a_time() -> None:
    # Entries at every bar; the first trade lasts to bar 2, whose close may decide the next.
    bars = flat_bars([100.0] * 8, highs={2: 113.0, 5: 113.0}, lows={})
    bracket = Bracket(sl_mult=1.0, tp_mult=1.0, horizon_bars=3, spread=2.0, slippage=0.0, margin_r=0.25)
    entries = Entries(np.arange(7), np.ones(7, dtype=np.int8))
    assert take_trades(bars, np.full(8, 10.0), entries, bracket, USUAL) == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize(
    ("first", "last", "taken"),
    [
        ([1, 2, 3], [1, 2, 3], [0, 1, 2]),
        ([1, 2, 3], [2, 2, 3], [0, 2]),
        ([1, 2, 3], [9, 2, 3], [0]),
        ([], [], []),
    ],
)
def test_a_new_trade_waits_for_the_end_of_the_one_before(first: list[int], last: list[int], taken: list[int]) -> None:
    assert one_at_a_time(np.array(first, dtype=np.int64), np.array(last, dtype=np.int64)).tolist() == taken


def fold_of(results: list[float]) -> FoldResult:
    gains = np.array(results, dtype=np.float64)
    return FoldResult(gains, gains, len(gains))


def test_three_lucky_trades_are_worth_less_than_many_good_ones() -> None:
    lucky, steady = np.array([1.0, 1.0, 0.2]), np.array([1.0, -0.3] * 100)
    assert lucky.mean() > steady.mean()
    assert lower_bound(lucky) > lower_bound(steady), "the bound alone does not save us"
    assert trial_value([fold_of(lucky.tolist())], 1, 20) < TOO_FEW < trial_value([fold_of(steady.tolist())], 1, 20)


def test_a_trial_with_more_of_the_trades_it_needs_ranks_higher() -> None:
    enough, none, some = fold_of([0.1] * 20), fold_of([]), fold_of([0.1] * 10)
    values = [trial_value(folds, 3, 20) for folds in ([none], [some], [enough, none], [enough, enough, some])]
    assert values == sorted(values)
    assert len(set(values)) == 4
    assert max(values) < TOO_FEW


def test_figures_of_a_fold() -> None:
    found = summarise([fold_of([1.0, -0.5]), fold_of([2.0])])
    assert (found.trades, found.mean_r, found.win_rate) == (3, pytest.approx(2.5 / 3), pytest.approx(2 / 3))
    assert found.profit_factor == pytest.approx(6.0)
    assert summarise([fold_of([1.0, 1.0])]).profit_factor is None
    assert summarise([fold_of([])]).mean_r is None


def test_moments_are_those_of_the_gains() -> None:
    found = moments([fold_of([1.0, -1.0] * 50), fold_of([1.0] * 10)])
    assert found is not None
    gains = np.array([1.0, -1.0] * 50 + [1.0] * 10)
    assert found.sharpe == pytest.approx(gains.mean() / gains.std(ddof=1))
    assert moments([fold_of([1.0, 1.0])]) is None
