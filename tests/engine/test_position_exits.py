"""What the position model is told of an open trade, and when its word is followed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.exits import (
    VERDICT_ADD,
    VERDICT_EXIT,
    VERDICT_HOLD,
    fill_position_inputs,
    last_bar_open,
    position_inputs,
    position_verdict,
)
from engine.open_position import POSITION_INPUTS, open_trade_inputs
from engine.records import Account, Bars, Params, new_record

BAR = 900
OPEN = 1_704_240_000
"""2024-01-03 00:00 UTC, the open of the entry bar."""


def exit_rule(**overrides: Any) -> Params:
    params = new_record(Params)
    params.bar_seconds, params.lot_units = BAR, 1.0
    params.position_horizon = 96.0
    params.exit_threshold, params.exit_min_gap, params.min_bars_held, params.add_threshold = 0.8, 0.25, 4, 0.65
    for name, value in overrides.items():
        setattr(params, name, value)
    return params


def open_trade(side: int, entry: float = 50_000.0, stop_distance: float = 200.0) -> Account:
    account = new_record(Account)
    account.side, account.volume, account.entry_time, account.entry_price = side, 1.0, OPEN, entry
    account.sl, account.tp = entry - side * stop_distance, entry + side * stop_distance
    return account


def close_after(bars: int) -> int:
    return OPEN + bars * BAR


def test_a_long_is_valued_at_the_bid() -> None:
    inputs = position_inputs(open_trade(1), exit_rule(), close_after(24), 50_100.0, 30.0)
    assert inputs == (0.25, pytest.approx(0.2), pytest.approx(0.5), 1.0)
    assert len(inputs) == len(POSITION_INPUTS)


def test_a_short_is_valued_at_the_ask() -> None:
    inputs = position_inputs(open_trade(-1), exit_rule(), close_after(48), 49_850.0, 50.0)
    assert inputs == (0.5, pytest.approx(0.2), pytest.approx(0.5), -1.0)


def test_a_trade_older_than_any_it_learned_from_counts_as_the_oldest() -> None:
    assert position_inputs(open_trade(1), exit_rule(), close_after(500), 50_000.0, 0.0)[0] == 1.0


def test_an_entry_at_its_stop_has_a_finite_result() -> None:
    assert np.isfinite(open_trade_inputs(1, 50_000.0, 50_000.0, 1.0, 49_990.0, 0.0, 96.0)).all()


@pytest.mark.parametrize(
    ("hold", "leave", "add", "verdict"),
    [
        (0.1, 0.8, 0.1, VERDICT_EXIT),
        (0.1, 0.79, 0.1, VERDICT_HOLD),
        (0.1, 0.1, 0.65, VERDICT_ADD),
        (0.1, 0.8, 0.8, VERDICT_EXIT),
        (0.2, 0.2, 0.6, VERDICT_HOLD),
    ],
)
def test_exit_and_add_need_their_thresholds(hold: float, leave: float, add: float, verdict: int) -> None:
    assert position_verdict(exit_rule(), hold, leave, add) == verdict


def test_exit_needs_a_lead_over_hold() -> None:
    params = exit_rule(exit_threshold=0.5)
    assert position_verdict(params, 0.25, 0.5, 0.2) == VERDICT_EXIT
    assert position_verdict(params, 0.4, 0.55, 0.05) == VERDICT_HOLD


def quiet_bars(count: int) -> Bars:
    time = OPEN + BAR * np.arange(count, dtype=np.int64)
    price = np.full(count, 50_000.0)
    return Bars(time, price.copy(), price + 50.0, price - 50.0, price.copy(), np.full(count, 10.0))


@pytest.mark.parametrize("side", [1, -1])
def test_the_forecast_ends_before_the_bar_that_touches_a_level(side: int) -> None:
    bars = quiet_bars(12)
    (bars.high if side > 0 else bars.low)[7] = 50_000.0 + side * 300.0
    assert last_bar_open(open_trade(side), exit_rule(), bars, 2) == 6
    assert last_bar_open(open_trade(side), exit_rule(), bars, 8) == 11, "nothing comes any more"


def test_inputs_of_many_bars_are_the_bytes_of_one_bar() -> None:
    bars = quiet_bars(30)
    bars.close[:] += np.random.default_rng(1).normal(0, 20, 30)
    account, params = open_trade(-1, entry=50_003.7, stop_distance=123.4), exit_rule()
    rows = np.arange(3, 30)
    many = np.empty((len(rows), 4))
    fill_position_inputs(account, params, bars, rows, many)
    for at, i in enumerate(rows):
        one = position_inputs(account, params, int(bars.time[i]) + BAR, float(bars.close[i]), float(bars.spread[i]))
        assert many[at].tobytes() == np.array(one).tobytes()
