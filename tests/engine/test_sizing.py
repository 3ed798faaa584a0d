"""Lots from risk, the caps on them, the bracket, and the broker's limits on the order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.fills import rounded
from engine.records import Account, Params, new_record
from engine.sizing import BAD_STOPS, BAD_VOLUME, FITS, NO_MARGIN, bracket, half_kelly, lot_size, plan_order
from tests.engine.market import one_candidate, realistic_params

PRICE = 50_000.0
"""The quote."""


def free_params(**overrides: Any) -> Params:
    """Return realistic parameters without commission and slippage, so that sums stay round."""
    return realistic_params(**{"commission_per_lot": 0.0, "slippage": 0.0, **overrides})


def lots(equity: float, distance: float, multiplier: float = 1.0, candidate: Any = None, **overrides: Any) -> float:
    row = one_candidate() if candidate is None else candidate
    return float(lot_size(row, free_params(**overrides), equity, distance, multiplier, PRICE))


def plan(balance: float, candidate: Any, spread: float = 10.0, **overrides: Any) -> tuple[int, float, float, float]:
    account = new_record(Account)
    account.balance = balance
    verdict, volume, sl, tp = plan_order(candidate, account, free_params(**overrides), 50_000.0, spread, 1.0)
    return int(verdict), float(volume), float(sl), float(tp)


def test_lots_are_risk_over_the_value_of_the_stop() -> None:
    # One percent of 10,000 is 100 USD; 250 USD of distance lose 250 USD a lot.
    assert lots(10_000.0, 250.0) == 0.4


def test_contract_size_divides_the_lots() -> None:
    assert lots(10_000.0, 250.0, lot_units=10.0) == 0.04


def test_lots_are_rounded_down_to_the_step() -> None:
    assert lots(10_000.0, 270.0) == 0.37
    assert lots(10_000.0, 270.0, volume_scale=10.0, volume_min=0.1) == 0.3


@pytest.mark.parametrize("steps", [3, 29, 57, 58, 113, 115])
def test_whole_number_of_steps_loses_none_to_binary_fractions(steps: int) -> None:
    assert lots(steps * 100.0, 100.0) == steps / 100.0


@pytest.mark.parametrize("steps", [7, 14, 28, 55, 57, 29, 58])
def test_exact_fit_under_the_cap_is_not_refused(steps: int) -> None:
    """0.07 lots at 100 USD lose 7.000000000000001 in binary; the cap of 7 USD still admits them."""
    assert lots(steps * 100.0, 100.0, risk_fraction=0.01, max_risk_fraction=0.01) == steps / 100.0


def test_small_account_trades_the_smallest_lot_within_the_cap() -> None:
    # One percent of 100 USD buys 0.004 lots; 0.01 lots risk 2.50, under the cap of 3 %.
    assert lots(100.0, 250.0) == 0.01


def test_smallest_lot_beyond_the_cap_is_no_trade() -> None:
    assert lots(80.0, 250.0) == 0.0


def test_cap_limits_a_large_risk() -> None:
    assert lots(10_000.0, 250.0, risk_fraction=0.5) == 1.2


def test_cap_counts_both_commissions_and_both_slips() -> None:
    costs = {"commission_per_lot": 20.0, "slippage": 5.0, "risk_fraction": 0.5}
    # 300 USD over 250 + 2 * 5 + 2 * 20 USD a lot.
    assert lots(10_000.0, 250.0, **costs) == 1.0


def test_largest_lot_limits() -> None:
    assert lots(1e7, 250.0) == 5.0


@pytest.mark.parametrize(("multiplier", "expected"), [(0.1, 0.04), (0.5, 0.2), (1.25, 0.5)])
def test_multiplier_scales_the_risk(multiplier: float, expected: float) -> None:
    assert lots(10_000.0, 250.0, multiplier) == expected


def test_multiplier_never_takes_the_trade_away() -> None:
    assert lots(1_000.0, 250.0, 0.1) == 0.01


@pytest.mark.parametrize("multiplier", [0.0, np.nan])
def test_no_multiplier_no_trade(multiplier: float) -> None:
    assert lots(10_000.0, 250.0, multiplier) == 0.0


@pytest.mark.parametrize("equity", [0.0, -1.0, -1e6])
def test_no_equity_no_trade(equity: float) -> None:
    assert lots(equity, 250.0) == 0.0


@pytest.mark.parametrize("distance", [0.0, np.nan, np.inf])
def test_no_distance_no_trade(distance: float) -> None:
    assert lots(10_000.0, distance) == 0.0


def test_fixed_volume_overrides_risk() -> None:
    assert lots(10.0, 250.0, fixed_volume=1.5) == 1.5


@pytest.mark.parametrize(
    ("confidence", "payoff", "expected"),
    [(0.6, 1.0, 0.1), (0.6, 2.0, 0.2), (0.5, 1.0, 0.0), (0.3, 1.0, 0.0), (1.0, 1.0, 0.5), (0.6, 0.0, 0.0)],
)
def test_half_kelly(confidence: float, payoff: float, expected: float) -> None:
    assert half_kelly(confidence, payoff) == pytest.approx(expected)


@pytest.mark.parametrize(("confidence", "payoff"), [(np.nan, 1.0), (0.6, np.nan)])
def test_half_kelly_of_the_unknown_is_nothing(confidence: float, payoff: float) -> None:
    assert half_kelly(confidence, payoff) == 0.0


def test_half_kelly_scales_the_risk_when_on() -> None:
    row = one_candidate(confidence=0.7, sl_mult=1.0, tp_mult=1.0)
    assert lots(100_000.0, 250.0, candidate=row, half_kelly=1) == pytest.approx(0.8)
    assert lots(100_000.0, 250.0, candidate=row, half_kelly=0) == pytest.approx(4.0)


@pytest.mark.parametrize(("sl_mult", "tp_mult"), [(0.0, 1.0), (1.0, 0.0)])
def test_half_kelly_without_a_leg_is_no_trade(sl_mult: float, tp_mult: float) -> None:
    row = one_candidate(sl_mult=sl_mult, tp_mult=tp_mult)
    assert lots(100_000.0, 250.0, candidate=row, half_kelly=1) == 0.0


@pytest.mark.parametrize(("side", "sl", "tp"), [(1, 49_930.01, 50_129.99), (-1, 50_079.99, 49_880.01)])
def test_bracket_hangs_on_the_quote_of_the_entry_side(side: int, sl: float, tp: float) -> None:
    row = one_candidate(side, atr=79.99, sl_mult=1.0, tp_mult=119.99 / 79.99)
    assert bracket(row, free_params(), 50_000.0, 10.0) == (sl, tp)


def test_levels_are_rounded_to_the_point() -> None:
    row = one_candidate(1, atr=100.123, sl_mult=1.0, tp_mult=1.0)
    assert bracket(row, free_params(), 50_000.0, 10.0) == (49_909.88, 50_110.12)


def test_plan_of_a_good_candidate() -> None:
    assert plan(10_000.0, one_candidate(atr=250.0)) == (FITS, 0.4, 49_760.0, 50_260.0)


def test_risk_counts_from_the_quote_to_the_rounded_stop() -> None:
    verdict, volume, sl, _ = plan(10_000.0, one_candidate(atr=33.337))
    assert (verdict, sl) == (FITS, 49_976.66)
    # 100 USD over the 33.34 USD that the order will really risk.
    assert volume == 2.99


def test_margin_is_checked_at_the_quote() -> None:
    # 0.4 lots at 50,010 over leverage 2 bind 10,002.
    assert plan(10_000.0, one_candidate(atr=250.0), leverage=2.0)[0] == NO_MARGIN
    assert plan(10_002.0, one_candidate(atr=250.0), leverage=2.0)[0] == FITS


def test_infinite_leverage_binds_nothing() -> None:
    assert plan(10_000.0, one_candidate(atr=250.0), leverage=np.inf)[0] == FITS


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("atr", "verdict"), [(11.0, FITS), (10.99, BAD_STOPS)])
def test_stop_keeps_the_brokers_distance_from_the_leaving_side(side: int, atr: float, verdict: int) -> None:
    """The position leaves across the spread, so 10 of the stop's 11 USD are gone before the first move."""
    assert plan(10_000.0, one_candidate(side, atr=atr, tp_mult=3.0))[0] == verdict


@pytest.mark.parametrize("side", [1, -1])
def test_target_gains_the_spread(side: int) -> None:
    # A long's target is measured from the bid, 10 below the ask it hangs on; a short's from the ask.
    assert plan(10_000.0, one_candidate(side, atr=100.0, tp_mult=0.0))[0] == FITS
    assert plan(10_000.0, one_candidate(side, atr=100.0, tp_mult=0.0), spread=0.99)[0] == BAD_STOPS


def test_every_limit_that_fails_is_reported() -> None:
    row = one_candidate(1, atr=5.0)
    assert plan(-50.0, row)[:2] == (BAD_STOPS + BAD_VOLUME + NO_MARGIN, 0.0)


def test_unknown_atr_is_refused_not_traded() -> None:
    verdict, volume, _, _ = plan(10_000.0, one_candidate(atr=np.nan))
    assert (verdict, volume) == (BAD_STOPS + BAD_VOLUME, 0.0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.125, 0.13),
        (-0.125, -0.13),
        (1.004, 1.0),
        (1.006, 1.01),
        (-1.006, -1.01),
        (0.0, 0.0),
        (50_016.949999999997, 50_016.95),
    ],
)
def test_rounding_to_cents_is_half_away_from_zero(value: float, expected: float) -> None:
    assert rounded(value, 100.0) == expected


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_rounding_keeps_infinity(value: float) -> None:
    assert rounded(value, 100.0) == value


def test_rounding_keeps_the_unknown() -> None:
    assert np.isnan(rounded(np.nan, 100.0))


def test_rounding_by_nothing_is_nothing() -> None:
    assert rounded(1.23456789, 0.0) == 1.23456789


def test_shares_of_the_value_are_part_of_the_loss_at_the_stop() -> None:
    """0.05 % of 50,000 and of 50,250 are 50.125 USD a lot beside the 250 of the distance: 3 % of 10,000 buy 0.99."""
    most = {"risk_fraction": 1.0, "max_risk_fraction": 0.03, "taker_fee": 0.0005}
    assert lots(10_000.0, 250.0, **most) == 0.99
    assert lots(10_000.0, 250.0, **{**most, "taker_fee": 0.0}) == 1.2


def test_the_least_fee_is_paid_before_lots_are_counted() -> None:
    """300 USD may be lost, 2 x 25 of them are the least fees of both fills."""
    most = {"risk_fraction": 1.0, "max_risk_fraction": 0.03, "min_fee": 25.0}
    assert lots(10_000.0, 250.0, **most) == 1.0
    assert lots(10_000.0, 250.0, **{**most, "min_fee": 200.0}) == 0.0
