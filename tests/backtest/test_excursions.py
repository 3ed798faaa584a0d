"""How far trades went on their way, from bars and trades written down by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backtest.excursions import excursions
from backtest.metrics import compute_metrics
from backtest.result import BacktestResult
from backtest.trade_results import r_multiples
from engine.records import Bars, Trade, new_records
from tests.helpers.backtest_examples import BAR, MONDAY, coin_flips, written_down

TIMES = MONDAY + BAR * np.arange(4)
OPENS = np.array([100.0, 101.0, 103.0, 102.0])
BARS = Bars(
    TIMES,
    OPENS,
    np.array([101.5, 104.0, 109.0, 103.0]),
    np.array([97.0, 99.0, 90.0, 101.0]),
    OPENS,
    np.array([1.0, 2.0, 3.0, 1.0]),
)


def held(side: int, entry: float, exit_price: float, *, bars: int, risk: float = 10.0) -> BacktestResult:
    trades = new_records(Trade, 1)
    trades["side"], trades["volume"], trades["risk"] = side, 2.0, risk
    trades["entry_time"], trades["exit_time"] = TIMES[0], TIMES[bars]
    trades["entry_price"], trades["exit_price"] = entry, exit_price
    result = written_down((0.0,))
    return replace(result, bars=BARS, trades=trades)


@pytest.mark.parametrize(
    ("side", "entry", "exit_price", "bars", "adverse", "favourable"),
    [
        # A long sees bids: lows 97, 99 and highs 101.5, 104 before it leaves at 103 in the third bar.
        (1, 101.0, 103.0, 2, 4.0, 3.0),
        # The wild third bar is its last: only the exit price counts there.
        (1, 101.0, 90.0, 2, 11.0, 3.0),
        (1, 101.0, 109.0, 2, 4.0, 8.0),
        # A short sees asks: highs 102.5 and 106, lows 98 and 101.
        (-1, 100.0, 106.0, 2, 6.0, 2.0),
        # In and out within one bar there is nothing but the exit.
        (1, 101.0, 97.0, 0, 4.0, 0.0),
        (-1, 100.0, 98.0, 0, 0.0, 2.0),
    ],
)
def test_the_furthest_prices_on_the_way(
    side: int, entry: float, exit_price: float, bars: int, adverse: float, favourable: float
) -> None:
    way = excursions(held(side, entry, exit_price, bars=bars))
    # Two lots of one unit risk 10 USD: a move of 5 USD is one R.
    units = float(held(side, entry, exit_price, bars=bars).params.lot_units)
    assert way.adverse.tolist() == pytest.approx([adverse * 2.0 * units / 10.0])
    assert way.favourable.tolist() == pytest.approx([favourable * 2.0 * units / 10.0])


def test_a_trade_without_a_risk_has_no_multiple() -> None:
    way = excursions(held(1, 101.0, 103.0, bars=2, risk=0.0))
    assert np.isnan(way.adverse).all()
    assert np.isnan(way.favourable).all()


def test_a_result_lies_between_its_worst_and_its_best_point() -> None:
    result = coin_flips()
    way, ended = excursions(result), r_multiples(result.trades)
    trades, units = result.trades, float(result.params.lot_units)
    # Prices only: without commission and swap, which the excursions leave out.
    price_r = (
        trades["side"] * (trades["exit_price"] - trades["entry_price"]) * trades["volume"] * units / trades["risk"]
    )
    assert len(ended) > 50
    assert (price_r <= way.favourable + 1e-9).all()
    assert (price_r >= -way.adverse - 1e-9).all()
    metrics = compute_metrics(result, np.random.default_rng(1), m1=False)
    assert metrics.adverse_r_mean == pytest.approx(float(np.nanmean(way.adverse)))
    assert metrics.favourable_r_mean == pytest.approx(float(np.nanmean(way.favourable)))
