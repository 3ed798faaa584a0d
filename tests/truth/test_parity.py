"""The backtest is the bot: on the same bars both leave the same files and the same breakers behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from novosky.data.store import load_bars, save_bars
from novosky.data.synthetic import synthetic_bars
from novosky.market.news import NewsCalendar
from novosky.market.server_time import ServerClock
from novosky.market.trading_hours import open_at
from tests.helpers.deployments import ROOT, deploy
from tests.helpers.desk import Desk
from tests.helpers.paper_runs import (
    WARM_UP,
    Outcome,
    Scenario,
    backtest_outcome,
    open_scenario,
    planted_bars,
    replay_outcome,
    session_outcome,
    settings_with,
)

BARS = 400
EXPENSIVE = {
    "spread": 12.5,
    "commission_per_lot": 3.5,
    "slippage": 1.25,
    "swap_long": -21.7,
    "swap_short": 4.3,
    "triple_swap_day": "wednesday",
}


def both(scenario: Scenario, folder: Path) -> Outcome:
    """Run backtest and bot, demand equal bytes, and return what they wrote."""
    expected = backtest_outcome(scenario, folder)
    assert replay_outcome(scenario, folder) == expected
    return expected


def test_planted_market_with_every_cost(tmp_path: Path) -> None:
    settings = settings_with(costs=EXPENSIVE, risk_management={"sl_atr_mult": 2.5, "tp_atr_mult": 3.0})
    outcome = both(Scenario(planted_bars(2_500), settings=settings), tmp_path)
    trades = outcome.trade_rows
    assert len(trades) > 100
    assert {row[1] for row in trades} == {"buy", "sell"}
    assert {row[8] for row in trades} == {"sl", "tp"}
    assert any(float(row[11]) < 0 for row in trades) and any(float(row[11]) > 0 for row in trades), "swap both ways"
    assert all(float(row[10]) < 0 for row in trades), "commission on every trade"


def test_filters(tmp_path: Path) -> None:
    settings = settings_with(
        risk_management={"min_atr_threshold": 160.0, "max_spread_atr": 0.1},
        enable_ema_trend_filter=True,
        adx_filter={"enabled": True, "min_adx": 18},
        session_confidence={"london": 0.7, "asian": 0.8},
    )
    named = gates_named(both(Scenario(planted_bars(BARS), settings=settings), tmp_path))
    assert named >= {"session_conf", "probability_gap", "atr_floor", "spread", "ema_trend", "adx_regime"}


def test_breakers(tmp_path: Path) -> None:
    settings = settings_with(
        max_consecutive_losses=3,
        max_daily_loss=4.0,
        max_weekly_drawdown_pct=8.0,
        equity_curve_filter={"enabled": True, "lookback_trades": 4, "max_drawdown_pct": 0.5, "pause_hours": 3},
        ml_active_management={"enabled": True},
        dynamic_position_sizing={"risk_percent": 6.0, "max_risk_per_trade_pct": 8.0},
    )
    named = gates_named(both(Scenario(planted_bars(1_200), settings=settings), tmp_path))
    assert named >= {"circuit_breaker", "daily_loss", "equity_curve", "weekly_drawdown"}


def gates_named(outcome: Outcome) -> set[str]:
    return {name for row in outcome.block_rows for name in row[6].split()}


def test_hard_halt_closes_the_position_and_stays(tmp_path: Path) -> None:
    settings = settings_with(
        costs={"spread": 30.0},
        max_total_drawdown_pct=3.0,
        max_consecutive_losses=20,
        dynamic_position_sizing={"risk_percent": 4.0},
        risk_management={"sl_atr_mult": 5.0, "tp_atr_mult": 1.0, "max_spread_atr": 1.0},
    )
    outcome = both(Scenario(planted_bars(BARS), settings=settings), tmp_path)
    assert outcome.trade_rows[-1][8] == "halt"
    assert len([row for row in outcome.block_rows if "hard_halt" in row[6]]) > 100


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


def test_bars_with_their_own_spread(tmp_path: Path) -> None:
    bars = planted_bars(BARS)
    bars["spread"] = np.random.default_rng(5).integers(300, 4_000, len(bars)).astype(float)
    settings = settings_with(broker={"stops_level": 12_000})
    outcome = both(Scenario(bars, settings=settings), tmp_path)
    assert len({row[9] for row in outcome.block_rows}) > 20, "the spread differs from bar to bar"
    assert "stops_level" in outcome.reasons


def test_fixed_spread_replaces_the_bars_own(tmp_path: Path) -> None:
    bars = planted_bars(BARS)
    bars["spread"] = 2_500.0
    outcome = both(Scenario(bars, fixed_spread=True), tmp_path)
    assert {row[9] for row in outcome.block_rows} == {"16.95"}


def test_gaps_and_closed_hours(tmp_path: Path) -> None:
    whole = planted_bars(900)
    absent = np.zeros(len(whole), dtype=bool)
    starts = np.random.default_rng(3).integers(WARM_UP, len(whole), 60)
    for start in starts:
        absent[start : start + 1 + start % 9] = True
    bars = whole[~absent].reset_index(drop=True)
    settings = settings_with(broker={"trading_hours": {"saturday": "closed", "friday": "00:00-21:30"}})
    outcome = both(Scenario(bars, first=WARM_UP, settings=settings), tmp_path)
    opens = set(bars["time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    met_a_gap = [row for row in outcome.block_rows if row[6] == "market_closed" and row[0] not in opens]
    closed_hours = [row for row in outcome.block_rows if row[5] == "market_closed" and row[0] in opens]
    assert met_a_gap
    assert closed_hours
    assert len(outcome.trade_rows) > 30


@pytest.mark.parametrize("clock", ["UTC", "NewYork+7"])
def test_sessions_with_a_pause_over_midnight_and_around_a_weekend(tmp_path: Path, clock: str) -> None:
    """The market's bars come round the clock; the hours alone keep entries away."""
    hours = {
        "friday": "00:00-12:00, 13:00-21:30",
        "saturday": "closed",
        "sunday": "22:00-06:00",
        "monday": "08:00-12:00, 12:30-24:00",
        "wednesday": "20:00-03:00",
        "thursday": "03:00-24:00",
    }
    settings = settings_with(broker={"trading_hours": hours, "server_clock": clock})
    outcome = both(Scenario(planted_bars(900), first=WARM_UP, settings=settings), tmp_path)
    closed = [row for row in outcome.block_rows if row[5] == "market_closed"]
    at = np.array([int(pd.Timestamp(row[0]).timestamp()) for row in closed])
    assert len(closed) > 20 and not open_at(at, hours, ServerClock(clock)).any()  # type: ignore[arg-type]
    assert len(outcome.trade_rows) > 20


def test_the_night_on_which_the_servers_clock_is_set_back(tmp_path: Path) -> None:
    """Four bars of the repeated hour would carry the stamps of four others on a server of New York's zone."""
    switch = pd.Timestamp("2022-11-06 06:00", tz="UTC")
    start = switch - (WARM_UP + BARS // 2) * pd.Timedelta(minutes=15)
    bars = synthetic_bars("planted", WARM_UP + BARS, seed=11, start=start.isoformat())
    settings = settings_with(costs=EXPENSIVE, broker={"server_clock": "NewYork+7"})
    outcome = both(Scenario(bars, settings=settings), tmp_path)
    assert len({row[0] for row in outcome.trade_rows if row[0].startswith("2022-11-06")}) > 3


def test_cent_account(tmp_path: Path) -> None:
    settings = settings_with(account_type="cent", costs={"commission_per_lot": 0.07})
    outcome = both(Scenario(planted_bars(BARS), settings=settings), tmp_path)
    assert max(float(row[2]) for row in outcome.trade_rows) > 1.0, "lots of a hundredth"


def test_small_account_blocks_by_volume(tmp_path: Path) -> None:
    settings = settings_with(
        risk_profile={"starting_balance_usd": 60.0}, dynamic_position_sizing={"max_risk_per_trade_pct": 2.0}
    )
    assert "volume" in both(Scenario(planted_bars(BARS), settings=settings), tmp_path).reasons


def test_minutes_decide_bars_that_touch_both_levels(tmp_path: Path) -> None:
    bars = planted_bars(BARS)
    narrow = {"sl_atr_mult": 0.4, "tp_atr_mult": 0.4}
    settings = settings_with(risk_management=narrow, costs={"spread": 2.0})
    with_minutes = both(Scenario(bars, settings=settings, m1=minutes_within(bars)), tmp_path)
    without = backtest_outcome(Scenario(bars, settings=settings), tmp_path)
    assert with_minutes.trades != without.trades


def minutes_within(bars: pd.DataFrame) -> pd.DataFrame:
    """Return M1 bars that walk every other M15 bar high first, the rest low first."""
    pieces = []
    for row, bar in enumerate(bars.iloc[WARM_UP:].itertuples()):
        turns = [bar.open, bar.high, bar.low, bar.close] if row % 2 else [bar.open, bar.low, bar.high, bar.close]
        path = np.interp(np.linspace(0, 3, 16), range(4), turns)
        times = bar.time + pd.to_timedelta(np.arange(15), unit="min")
        first, last = path[:-1], path[1:]
        pieces.append(
            pd.DataFrame(
                {
                    "time": times,
                    "open": first,
                    "high": np.maximum(first, last),
                    "low": np.minimum(first, last),
                    "close": last,
                    "volume": 1.0,
                }
            )
        )
    return pd.concat(pieces, ignore_index=True)


def test_news(tmp_path: Path) -> None:
    bars = planted_bars(BARS)
    events = bars["time"].iloc[WARM_UP + 20 :: 70] + pd.Timedelta(minutes=4)
    calendar = NewsCalendar.from_times(events.astype("int64").to_numpy() // 10**9)
    assert "news_block" in both(Scenario(bars, news=calendar), tmp_path).reasons


def test_history_shorter_than_the_warm_up(tmp_path: Path) -> None:
    outcome = both(Scenario(planted_bars(200), first=0), tmp_path)
    assert outcome.trade_rows, "trading begins as soon as the features are warm"


@pytest.mark.parametrize("extra", range(6))
def test_an_order_on_its_way_when_the_bars_end(tmp_path: Path, extra: int) -> None:
    scenario = Scenario(planted_bars(200), first=WARM_UP + 100)
    entries = [row[0] for row in backtest_outcome(scenario, tmp_path).trade_rows]
    opens = list(scenario.bars["time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    ended = scenario.until(opens.index(entries[extra]))
    outcome = both(ended, tmp_path)
    assert not any("market_closed" in row[6] for row in outcome.block_rows)


def test_a_finished_replay_stays_finished(tmp_path: Path) -> None:
    scenario = Scenario(planted_bars(120))
    expected = replay_outcome(scenario, tmp_path)
    session = open_scenario(scenario, tmp_path / "journal.sqlite")
    assert session.bot.cycle() is False
    assert session_outcome(session, scenario, tmp_path) == expected


def test_the_two_commands_write_the_same_file(desk: Desk, tmp_path: Path) -> None:
    """Trained models, real processes, and not one flag about the window."""
    bars = tmp_path / "bars.parquet"
    save_bars(bars, load_bars(desk.bars).tail(WARM_UP + 300).reset_index(drop=True))
    deployment = deploy(desk, tmp_path, 0, 1)
    flags = ["--config", desk.config, "--ml-config", deployment.ml_config, "--models", desk.models]
    commands = (
        ["backtest_config.py", "--data", bars, "--no-chart", "--trades", "a.csv", "--blocked", "c.csv"],
        ["trading.py", "--paper", "--replay", bars, "--trades", "b.csv", "--blocked", "d.csv"],
    )
    for script, *rest in commands:
        command = [sys.executable, str(ROOT / str(script)), *map(str, [*rest, *flags])]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert (tmp_path / "c.csv").read_bytes() == (tmp_path / "d.csv").read_bytes()
    assert len((tmp_path / "a.csv").read_text().splitlines()) > 10


def real_scenario(file: Path, start: str, end: str, **parts: object) -> Scenario:
    bars = load_bars(file)
    first, last = (int(bars["time"].searchsorted(pd.Timestamp(day, tz="UTC"))) for day in (start, end))
    window = bars.iloc[first - WARM_UP : last].reset_index(drop=True)
    return Scenario(window, **parts)  # type: ignore[arg-type]


def test_a_month_of_real_bars(shared_data: Path, tmp_path: Path) -> None:
    settings = settings_with(costs=EXPENSIVE)
    scenario = real_scenario(shared_data / "BTCUSD_M15.parquet", "2024-05-01", "2024-06-01", settings=settings)
    assert len(both(scenario, tmp_path).trade_rows) > 100


def test_real_minutes(shared_data: Path, tmp_path: Path) -> None:
    minutes = load_bars(shared_data / "BTCUSD_M1.parquet", seconds=60)
    settings = settings_with(risk_management={"sl_atr_mult": 0.6, "tp_atr_mult": 0.6})
    scenario = real_scenario(
        shared_data / "BTCUSD_M15.parquet", "2024-06-24", "2024-07-01", settings=settings, m1=minutes
    )
    assert both(scenario, tmp_path).trade_rows


def test_real_broker_bars_with_closed_nights(shared_data: Path, tmp_path: Path) -> None:
    scenario = real_scenario(shared_data / "BTCUSD_M15_brokerCFD_A.parquet", "2023-12-28", "2024-01-06")
    gaps = np.diff(scenario.bars["time"].astype("int64")) > 900 * 10**9
    assert gaps[scenario.first :].any(), "the window has gaps"
    assert both(scenario, tmp_path).trade_rows
