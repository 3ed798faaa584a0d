"""The backtest is the bot over the MetaTrader 5 adapter: the same trades, blocks and breakers, to the byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.mt5.runs import mt5_outcome
from tests.helpers.paper_runs import Outcome, Scenario, backtest_outcome, planted_bars, settings_with

EXPENSIVE = {
    "spread": 12.5,
    "commission_per_lot": 3.5,
    "slippage": 1.25,
    "swap_long": -21.7,
    "swap_short": 4.3,
    "triple_swap_day": "wednesday",
}
BARS = 400


def both(scenario: Scenario, folder: Path) -> Outcome:
    expected = backtest_outcome(scenario, folder)
    assert mt5_outcome(scenario, folder) == expected
    return expected


@pytest.mark.parametrize("account_type", ["standard", "cent"])
def test_planted_market_with_every_cost(tmp_path: Path, account_type: str) -> None:
    settings = settings_with(
        costs=EXPENSIVE, risk_management={"sl_atr_mult": 2.5, "tp_atr_mult": 3.0}, account_type=account_type
    )
    outcome = both(Scenario(planted_bars(500), settings=settings), tmp_path)
    assert len(outcome.trade_rows) > 10
    assert {row[8] for row in outcome.trade_rows} == {"sl", "tp"}


def test_hard_halt_leaves_by_an_order_of_its_own(tmp_path: Path) -> None:
    settings = settings_with(
        costs={"spread": 30.0},
        max_total_drawdown_pct=3.0,
        max_consecutive_losses=20,
        dynamic_position_sizing={"risk_percent": 4.0},
        risk_management={"sl_atr_mult": 5.0, "tp_atr_mult": 1.0, "max_spread_atr": 1.0},
    )
    outcome = both(Scenario(planted_bars(BARS), settings=settings), tmp_path)
    assert outcome.trade_rows[-1][8] == "halt"


def test_stop_out_and_margin(tmp_path: Path) -> None:
    settings = settings_with(
        risk_profile={"starting_balance_usd": 5_000.0},
        costs={"spread": 30.0},
        account={"leverage": 1.0, "stop_out_level": 103.0},
        dynamic_position_sizing={"risk_percent": 3.0},
        risk_management={"sl_atr_mult": 5.0, "tp_atr_mult": 2.0, "max_spread_atr": 1.0},
    )
    outcome = both(Scenario(planted_bars(BARS), settings=settings), tmp_path)
    assert "so" in {row[8] for row in outcome.trade_rows}
    assert "margin" in outcome.reasons


def test_bars_with_their_own_spread_and_a_stops_level(tmp_path: Path) -> None:
    bars = planted_bars(BARS)
    bars["spread"] = np.random.default_rng(5).integers(300, 4_000, len(bars)).astype(float)
    outcome = both(Scenario(bars, settings=settings_with(broker={"stops_level": 12_000})), tmp_path)
    assert "stops_level" in outcome.reasons
