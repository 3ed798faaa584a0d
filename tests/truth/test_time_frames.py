"""The backtest is the bot at every time frame that is traded, also where the market closes, and whenever it begins."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ml.feature_engineering import live_window_bars
from novosky.errors import UsageError
from novosky.market.timeframe import TIMEFRAMES, TRADED, USUAL, timeframe
from tests.helpers.paper_runs import Scenario, backtest_outcome, replay_outcome, settings_with
from tests.ml.features.test_time_frames import walk
from trading.paper.embedded_market import live_market

BARS = 400
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")
HOURS = {**dict.fromkeys(WEEKDAYS, "01:00-21:00"), "saturday": "closed", "sunday": "closed"}


def scenario_of(name: str, *, closes: bool, bars: int = BARS) -> Scenario:
    frame = timeframe(name)
    needed = live_window_bars(frame)
    broker = {"server_clock": "UTC", "trading_hours": HOURS if closes else {}}
    costs = {"spread": 1.5, "slippage": 0.2, "swap_long": -2.0, "swap_short": 0.5}
    # A walk of tenths of a percent a bar around 15,000: brackets of some tens of dollars.
    levels = {"min_atr_threshold": 1.0}
    settings = settings_with(timeframe=name, broker=broker, costs=costs, risk_management=levels)
    return Scenario(walk(frame, needed + bars, closes=closes), first=needed, settings=settings)


@pytest.mark.parametrize("closes", [False, True], ids=["open", "closes"])
@pytest.mark.parametrize("name", TRADED)
def test_backtest_and_bot_leave_the_same_bytes(name: str, closes: bool, tmp_path: Path) -> None:
    scenario = scenario_of(name, closes=closes)
    expected = backtest_outcome(scenario, tmp_path)
    assert replay_outcome(scenario, tmp_path) == expected
    assert len(expected.trade_rows) > 10
    if closes and name not in ("M1", "M5"):
        # Shorter bars do not reach a night within this window.
        assert "market_closed" in expected.reasons


@pytest.mark.parametrize("name", ["M15", "H1"])
def test_an_account_may_begin_after_a_holiday(name: str, tmp_path: Path) -> None:
    """Two days without a bar before the first one: what the account was opened with is in its history all the same."""
    scenario = scenario_of(name, closes=False)
    late = scenario.bars["time"].iloc[scenario.first :] + pd.Timedelta(days=2)
    bars = scenario.bars.copy()
    bars.loc[bars.index[scenario.first :], "time"] = late
    moved = Scenario(bars, first=scenario.first, settings=scenario.settings)
    expected = backtest_outcome(moved, tmp_path)
    replayed = replay_outcome(moved, tmp_path)
    assert replayed.trades == expected.trades
    assert len(expected.trade_rows) > 10


def test_the_invented_market_is_refused_for_another_time_frame(tmp_path: Path) -> None:
    live_market(tmp_path / "paper.sqlite", 1_700_000_000.0, USUAL)
    with pytest.raises(UsageError, match=r"has M15 bars and config\.json trades H1"):
        live_market(tmp_path / "paper.sqlite", 1_700_000_000.0, TIMEFRAMES["H1"])
