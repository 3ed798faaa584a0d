"""The mean over markets: what it weighs, that its error is honest where days are shared, and Holm's correction."""

from __future__ import annotations

import numpy as np
import pytest

from novosky.measures.across_markets import MarketTrades, difference_across, holm, mean_across


def trades(days: list[int], r: list[float]) -> MarketTrades:
    return MarketTrades(np.array(days, dtype=np.int64), np.array(r))


def test_markets_weigh_the_same_however_often_they_trade() -> None:
    busy, quiet = trades([*range(100)], [0.1] * 100), trades([3, 7], [0.5, 0.3])
    found = mean_across({"busy": busy, "quiet": quiet})
    assert found.mean == pytest.approx((0.1 + 0.4) / 2)
    assert found.means == pytest.approx({"busy": 0.1, "quiet": 0.4})
    assert (found.trades, found.days) == (102, 100)


def test_one_market_with_a_trade_a_day_is_the_plain_standard_error() -> None:
    r = np.random.default_rng(1).normal(0.1, 1.0, 400)
    found = mean_across({"only": MarketTrades(np.arange(400), r)})
    assert found.error == pytest.approx(r.std() / 20.0)
    assert found.t == pytest.approx(found.mean / found.error)


def test_a_day_of_many_equal_trades_counts_as_one() -> None:
    rng = np.random.default_rng(2)
    of_day = rng.normal(0.0, 1.0, 300)
    once = mean_across({"m": MarketTrades(np.arange(300), of_day)})
    often = mean_across({"m": MarketTrades(np.repeat(np.arange(300), 8), np.repeat(of_day, 8))})
    assert often.error == pytest.approx(once.error), "eight copies of a trade are no evidence"


def test_a_shock_that_markets_share_does_not_average_out() -> None:
    rng = np.random.default_rng(3)
    shared = rng.normal(0.0, 1.0, 500)
    one = mean_across({"a": MarketTrades(np.arange(500), shared)})
    four = mean_across({name: MarketTrades(np.arange(500), shared) for name in "abcd"})
    apart = mean_across({name: MarketTrades(np.arange(500), rng.normal(0.0, 1.0, 500)) for name in "abcd"})
    assert four.error == pytest.approx(one.error)
    assert apart.error < 0.6 * one.error


def test_null_markets_are_called_profitable_as_often_as_stated() -> None:
    rng = np.random.default_rng(4)
    alarms = 0
    for _ in range(600):
        markets = {}
        day_shock = rng.normal(0.0, 0.7, 250)
        for name, count in (("a", 60), ("b", 150), ("c", 25)):
            days = np.sort(rng.integers(0, 250, count))
            markets[name] = MarketTrades(days, day_shock[days] + rng.choice([-1.0, 1.0], count))
        p = mean_across(markets).p_above
        assert p is not None
        alarms += p < 0.05
    assert 0.02 <= alarms / 600 <= 0.09


def test_an_edge_is_found() -> None:
    rng = np.random.default_rng(5)
    days = np.arange(900)
    found = mean_across({name: MarketTrades(days, rng.choice([-1.0, 1.2], 900)) for name in "ab"})
    assert found.p_above is not None and found.p_above < 0.05
    assert found.interval[0] < 0.1 < found.interval[1]
    assert found.p_above + (found.p_below or 0.0) == pytest.approx(1.0)


def test_shared_trades_cancel_in_a_comparison() -> None:
    rng = np.random.default_rng(6)
    r = rng.normal(0.0, 1.0, 300)
    shipped = {"m": MarketTrades(np.arange(300), r)}
    better = {"m": MarketTrades(np.arange(300), r + 0.05 + rng.normal(0.0, 0.01, 300))}
    found = difference_across(better, shipped)
    assert found.mean == pytest.approx(0.05, abs=0.005)
    assert found.t is not None and found.t > 20.0
    assert difference_across(shipped, shipped).mean == 0.0
    assert difference_across(shipped, shipped).t is None
    assert difference_across(shipped, better).mean == pytest.approx(-found.mean)


def test_what_cannot_be_known_is_refused() -> None:
    some = trades([1], [0.5])
    with pytest.raises(ValueError, match="GER40 has no trade"):
        mean_across({"BTCUSD": some, "GER40": trades([], [])})
    with pytest.raises(ValueError, match="needs one"):
        mean_across({})
    with pytest.raises(ValueError, match="EURUSD"):
        difference_across({"BTCUSD": some}, {"BTCUSD": some, "EURUSD": some})
    with pytest.raises(ValueError, match="not known"):
        trades([1], [float("nan")])
    with pytest.raises(ValueError, match="2 days for 1"):
        trades([1, 2], [0.5])


@pytest.mark.parametrize(
    ("p_values", "refuted"),
    [
        ([], ()),
        ([0.05], (True,)),
        ([0.0501], (False,)),
        ([0.02, 0.03, 0.01], (True, True, True)),
        ([0.04, 0.04], (False, False)),
        ([0.024, 0.04], (True, True)),
        ([0.2, 0.001, 0.03], (False, True, False)),
    ],
)
def test_holm(p_values: list[float], refuted: tuple[bool, ...]) -> None:
    assert holm(p_values) == refuted
