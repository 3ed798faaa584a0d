"""From settings to the engine: units, session thresholds, rollovers, spreads and minutes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from engine.gates.signal import ASIAN, LONDON, NEW_YORK
from engine.inputs.columns import bar_columns, minutes_of, window_rows
from engine.inputs.context import market_context
from engine.inputs.parameters import build_params, build_rollovers
from engine.records import Params, dtype_of
from novosky.errors import DataError
from novosky.market.news import NewsCalendar
from novosky.market.timeframe import USUAL
from novosky.settings import MlSettings, Settings

ROOT = Path(__file__).resolve().parents[3]
CONFIG: dict[str, Any] = json.loads((ROOT / "config.json").read_text(encoding="utf-8"))
ML_CONFIG: dict[str, Any] = json.loads((ROOT / "ml_config.json").read_text(encoding="utf-8"))


def settings_with(**sections: Any) -> Settings:
    """The shipped config.json with some keys replaced, section by section."""
    merged = {
        name: {**CONFIG.get(name, {}), **value} if isinstance(value, dict) else value
        for name, value in sections.items()
    }
    return Settings.model_validate({**CONFIG, **merged})


def ml_settings_with(**sections: Any) -> MlSettings:
    """The shipped ml_config.json with some keys replaced, section by section."""
    return MlSettings.model_validate({**ML_CONFIG, **{n: {**ML_CONFIG[n], **v} for n, v in sections.items()}})


def params_with(**sections: Any) -> Params:
    return build_params(settings_with(**sections), ml_settings_with())


def bars_at(*opens: str, **columns: list[float]) -> pd.DataFrame:
    """A bar frame with these opens; flat at 100 unless columns say otherwise."""
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), [100.0] * len(opens))
    times = pd.to_datetime(list(opens), utc=True, format="ISO8601").astype("datetime64[ns, UTC]")
    return pd.DataFrame({"time": times, **prices, **columns})


def epoch(moment: str) -> int:
    return int(pd.Timestamp(moment, tz="UTC").timestamp())


EXCHANGE: dict[str, Any] = {
    "fees": "maker_taker",
    "commission_per_lot": 0.0,
    "maker_fee_pct": -0.05,
    "taker_fee_pct": 0.25,
    "min_fee": 0.75,
    "carry": "funding",
    "swap_long": 0.0,
    "swap_short": 0.0,
    "funding_rate_pct": 0.125,
    "funding_hours_utc": [0, 8, 16],
}
EXCHANGE_PARAMETERS = {"maker_fee": -0.0005, "taker_fee": 0.0025, "min_fee": 0.75, "funding_rate": 0.00125}
# Every parameter that follows from one key: name, value, and the settings that give it.
MAPPINGS: list[tuple[str, float, dict[str, Any]]] = [
    ("risk_fraction", 0.025, {"dynamic_position_sizing": {"risk_percent": 2.5}}),
    ("max_risk_fraction", 0.07, {"dynamic_position_sizing": {"max_risk_per_trade_pct": 7.0}}),
    ("half_kelly", 1, {"ml_active_management": {"enabled": True}}),
    ("min_atr", 22.0, {"risk_management": {"min_atr_threshold": 22.0}}),
    ("max_spread_atr", 0.2, {"risk_management": {"max_spread_atr": 0.2}}),
    ("news_minutes", 45.0, {"news_block_minutes": 45.0}),
    ("news_minutes", -1.0, {"news_block_minutes": 0.0}),
    ("ema_trend", 1, {"enable_ema_trend_filter": True}),
    ("min_adx", 25.0, {"adx_filter": {"enabled": True, "min_adx": 25.0}}),
    ("min_adx", 0.0, {"adx_filter": {"enabled": False, "min_adx": 25.0}}),
    ("max_consecutive_losses", 3, {"max_consecutive_losses": 3}),
    ("max_daily_loss", 0.04, {"max_daily_loss": 4.0}),
    ("max_weekly_drawdown", 0.09, {"max_weekly_drawdown_pct": 9.0}),
    ("max_total_drawdown", 0.25, {"max_total_drawdown_pct": 25.0}),
    ("starting_balance", 900.0, {"risk_profile": {"starting_balance_usd": 900.0}}),
    ("equity_curve", 1, {"equity_curve_filter": {"enabled": True}}),
    ("equity_curve_trades", 12, {"equity_curve_filter": {"lookback_trades": 12}}),
    ("equity_curve_drawdown", 0.05, {"equity_curve_filter": {"max_drawdown_pct": 5.0}}),
    ("equity_curve_pause", 5400, {"equity_curve_filter": {"pause_hours": 1.5}}),
    ("risk_model", 1, {"risk_model": {"enabled": True}}),
    ("commission_per_lot", 3.5, {"costs": {"commission_per_lot": 3.5}}),
    ("slippage", 2.25, {"costs": {"slippage": 2.25}}),
    ("swap_long", -11.0, {"costs": {"swap_long": -11.0}}),
    ("swap_short", 4.0, {"costs": {"swap_short": 4.0}}),
    ("leverage", 30.0, {"account": {"leverage": 30.0}}),
    ("stop_out_level", 0.2, {"account": {"stop_out_level": 20.0}}),
    ("lot_units", 10.0, {"broker": {"contract_size": 10.0}}),
    ("lot_units", 0.1, {"broker": {"contract_size": 10.0}, "account_type": "cent"}),
    ("price_scale", 1000.0, {"broker": {"digits": 3, "point": 0.001}}),
    ("volume_scale", 10.0, {"broker": {"volume_step": 0.1}}),
    ("stops_distance", 2.5, {"broker": {"stops_level": 250.0, "point": 0.01}}),
    # The broker's limits and the person's: whichever is narrower.
    ("volume_min", 0.05, {"dynamic_position_sizing": {"min_lot": 0.05}, "broker": {"volume_min": 0.01}}),
    ("volume_min", 0.1, {"dynamic_position_sizing": {"min_lot": 0.05}, "broker": {"volume_min": 0.1}}),
    ("volume_max", 2.0, {"dynamic_position_sizing": {"max_lot": 2.0}, "broker": {"volume_max": 100.0}}),
    ("volume_max", 1.0, {"dynamic_position_sizing": {"max_lot": 2.0}, "broker": {"volume_max": 1.0}}),
]


@pytest.mark.parametrize(("name", "value", "sections"), MAPPINGS)
def test_each_key_reaches_the_engine_in_its_unit(name: str, value: float, sections: dict[str, Any]) -> None:
    assert getattr(params_with(**sections), name) == pytest.approx(value, rel=1e-12)


def test_each_key_changes_its_own_parameter_only() -> None:
    shipped = params_with()
    for name, _, sections in MAPPINGS:
        other = params_with(**sections)
        differing = {field for field in dtype_of(Params).names or () if np.any(shipped[field] != other[field])}
        # A key may be what already ships; the account type makes the lot, with it the lot's costs, and the
        # unit of booked money smaller.
        costs_of_a_lot = (
            {"commission_per_lot", "swap_long", "swap_short", "money_scale"} if "account_type" in sections else set()
        )
        assert differing <= {name} | costs_of_a_lot, sections


POSITION_PARAMETERS = {
    "position_horizon": 40.0,
    "exit_threshold": 0.71,
    "exit_min_gap": 0.11,
    "min_bars_held": 6,
    "add_threshold": 0.61,
}


def test_no_parameter_was_forgotten() -> None:
    covered = {name for name, _, _ in MAPPINGS}
    from_model_settings = {"confidence", "min_gap", "position_model", *POSITION_PARAMETERS}
    # M15 bars, cents, two votes of three, orders that live for one open, and sizing by risk.
    fixed = {"bar_seconds": 900, "money_scale": 100.0, "min_votes": 2, "entry_valid_seconds": 0, "fixed_volume": 0.0}
    assert covered | from_model_settings | set(EXCHANGE_PARAMETERS) | set(fixed) == set(dtype_of(Params).names or ())
    assert {name: getattr(params_with(), name) for name in fixed} == fixed


def test_an_exchanges_costs_change_their_parameters_and_take_the_brokers_away() -> None:
    plain, exchange = params_with(), params_with(costs=EXCHANGE)
    own = {name: float(getattr(exchange, name)) for name in EXCHANGE_PARAMETERS}
    assert own == pytest.approx(EXCHANGE_PARAMETERS)
    changed = {name for name in dtype_of(Params).names or () if np.any(getattr(plain, name) != getattr(exchange, name))}
    assert changed == {*EXCHANGE_PARAMETERS, "swap_long", "swap_short"}


def test_model_settings_reach_the_engine() -> None:
    params = build_params(
        settings_with(),
        ml_settings_with(prediction={"min_probability_diff": 0.17}, position_model={"enabled": True}),
    )
    assert params.min_gap == 0.17
    assert params.position_model == 1


def test_the_exit_rule_reaches_the_engine() -> None:
    rule = {"exit_threshold": 0.71, "min_prob_diff": 0.11, "min_bars_held": 6, "add_threshold": 0.61}
    params = build_params(
        settings_with(), ml_settings_with(labeling={"horizon_bars": 40}, position_model={"enabled": True, **rule})
    )
    assert {name: getattr(params, name) for name in POSITION_PARAMETERS} == POSITION_PARAMETERS


def thresholds(**sessions: float) -> dict[int, float]:
    """Confidence thresholds by session bits, with 0.6 for sessions without their own."""
    settings = settings_with(session_confidence=sessions)
    by_bits = build_params(settings, ml_settings_with(prediction={"confidence_threshold": 0.6})).confidence
    return dict(enumerate(by_bits.tolist()))


def test_without_overrides_one_threshold_serves_every_session() -> None:
    assert set(thresholds().values()) == {0.6}


def test_a_session_override_replaces_the_threshold_up_or_down() -> None:
    lower, higher = thresholds(london=0.5), thresholds(london=0.7)
    assert (lower[LONDON], higher[LONDON]) == (0.5, 0.7)
    assert lower[0] == lower[NEW_YORK] == lower[ASIAN] == lower[NEW_YORK | ASIAN] == 0.6
    assert lower[LONDON | NEW_YORK] == 0.5, "a session without an override has no say"


def test_where_sessions_with_overrides_overlap_the_highest_applies() -> None:
    found = thresholds(london=0.55, new_york=0.65, asian=0.5)
    assert found[LONDON | NEW_YORK] == 0.65
    assert found[LONDON | ASIAN] == 0.55
    assert found[LONDON | NEW_YORK | ASIAN] == 0.65
    assert found[0] == 0.6


def week_of_nights(**keys: Any) -> dict[str, float]:
    """Nights charged at each server midnight of one week, by the day that ends."""
    settings = settings_with(**keys)
    rollovers = build_rollovers(settings, epoch("2024-06-03 12:00"), epoch("2024-06-10 12:00"))
    ended = pd.to_datetime(rollovers.time - 1, unit="s", utc=True) + pd.Timedelta(hours=3)
    return dict(zip(ended.day_name().str.lower(), rollovers.nights.tolist(), strict=True))


@pytest.mark.parametrize("triple", ["monday", "tuesday", "wednesday", "thursday", "friday"])
def test_a_week_always_has_seven_nights(triple: str) -> None:
    nights = week_of_nights(costs={"triple_swap_day": triple})
    assert sum(nights.values()) == 7.0
    assert nights[triple] == 3.0
    assert nights["saturday"] == nights["sunday"] == 0.0


def test_without_a_triple_day_every_night_counts_once() -> None:
    assert set(week_of_nights(costs={"triple_swap_day": None}).values()) == {1.0}


def test_rollovers_are_the_servers_midnights_after_the_start_and_up_to_the_end() -> None:
    # Winter: the server's midnight is 22:00 UTC; summer: 21:00.
    settings = settings_with(broker={"server_clock": "NewYork+7"})
    winter = build_rollovers(settings, epoch("2024-01-09 22:00"), epoch("2024-01-11 22:00"))
    assert winter.time.tolist() == [epoch("2024-01-10 22:00"), epoch("2024-01-11 22:00")]
    summer = build_rollovers(settings, epoch("2024-07-09 20:00"), epoch("2024-07-10 20:00"))
    assert summer.time.tolist() == [epoch("2024-07-09 21:00")]
    assert len(build_rollovers(settings, epoch("2024-01-09 22:00"), epoch("2024-01-09 22:00")).time) == 0


def test_bar_columns_carry_the_frame() -> None:
    frame = bars_at("2024-01-01", "2024-01-01 00:15", high=[101.0, 102.0], low=[99.0, 98.0], spread=[100.0, 200.0])
    columns = bar_columns(frame, settings_with(costs={"spread": 1.0}), fixed_spread=False)
    assert columns.time.tolist() == [epoch("2024-01-01"), epoch("2024-01-01 00:15")]
    assert columns.high.tolist() == [101.0, 102.0]
    assert columns.low.tolist() == [99.0, 98.0]
    assert columns.spread.tolist() == [1.0, 2.0]


def test_minutes_belong_to_the_bar_they_open_in() -> None:
    frame = bars_at("2024-01-01 00:00", "2024-01-01 00:15", high=[9.0, 9.0], low=[0.1, 0.1])
    m1 = bars_at("2024-01-01 00:00", "2024-01-01 00:14", "2024-01-01 00:15", high=[1.0, 2.0, 3.0], low=[0.1, 0.2, 0.3])
    minutes = minutes_of(frame, m1, USUAL)
    assert minutes.begin.tolist() == [0, 2, 3]
    assert minutes.high.tolist() == [1.0, 2.0, 3.0]
    assert minutes.low.tolist() == [0.1, 0.2, 0.3]


def test_minutes_outside_every_bar_are_left_out() -> None:
    # Before the first bar, in the gap after it, and after the last.
    frame = bars_at("2024-01-01 00:15", "2024-01-01 01:00", high=[9.0, 9.0])
    m1 = bars_at(
        "2024-01-01 00:14",
        "2024-01-01 00:20",
        "2024-01-01 00:30",
        "2024-01-01 00:59",
        "2024-01-01 01:01",
        "2024-01-01 01:15",
        high=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    )
    minutes = minutes_of(frame, m1, USUAL)
    assert minutes.begin.tolist() == [0, 1, 2]
    assert minutes.high.tolist() == [2.0, 5.0]


def test_a_bar_without_minutes_owns_none() -> None:
    frame = bars_at("2024-01-01 00:00", "2024-01-01 00:15", "2024-01-01 00:30")
    minutes = minutes_of(frame, bars_at("2024-01-01 00:31", high=[7.0]), USUAL)
    assert minutes.begin.tolist() == [0, 0, 0, 1]


def test_a_window_is_half_open() -> None:
    frame = bars_at("2024-01-01 00:00", "2024-01-01 00:15", "2024-01-01 00:30")
    at = {minute: pd.Timestamp(f"2024-01-01 00:{minute}", tz="UTC") for minute in ("00", "10", "15", "30")}
    assert window_rows(frame, None, None) == (0, 3)
    assert window_rows(frame, at["15"], at["30"]) == (1, 2)
    assert window_rows(frame, at["10"], None) == (1, 3)
    with pytest.raises(DataError, match=r"no bars between .* the data covers 2024-01-01"):
        window_rows(frame, at["15"], at["15"])


@pytest.mark.parametrize("end", [None, pd.Timestamp("2024-01-01 00:30", tz="UTC")])
def test_a_window_after_the_last_bar_is_said_to_be_one(end: pd.Timestamp | None) -> None:
    frame = bars_at("2024-01-01 00:00", "2024-01-01 00:15")
    with pytest.raises(DataError, match=r"starts at 2030-01-01 .*, after the last bar; the data covers 2024-01-01"):
        window_rows(frame, pd.Timestamp("2030-01-01", tz="UTC"), end)


def context_at(*opens: str, news: NewsCalendar | None = None, **sections: Any) -> Any:
    flat = np.ones(len(opens))
    times = np.array([epoch(moment) for moment in opens])
    return market_context(times, flat, flat, flat, settings_with(**sections), news)


def test_the_gates_see_the_session_at_the_close_of_the_bar() -> None:
    # London opens at 08:00 UTC in winter: the bar that opens at 07:45 closes into it.
    found = context_at("2024-01-10 07:30", "2024-01-10 07:45", "2024-01-10 16:15")
    assert (found.session & LONDON).tolist() == [0, LONDON, 0]


def test_the_gates_see_trading_hours_at_the_close_of_the_bar() -> None:
    broker = {"server_clock": "UTC", "trading_hours": {"wednesday": "01:00-22:00"}}
    found = context_at("2024-01-10 00:30", "2024-01-10 00:45", "2024-01-10 21:30", "2024-01-10 21:45", broker=broker)
    assert found.market_open.tolist() == [False, True, True, False]


def test_the_gates_see_the_minutes_to_the_nearest_news() -> None:
    news = NewsCalendar.from_times(np.array([epoch("2024-01-10 13:30")]))
    found = context_at("2024-01-10 12:45", "2024-01-10 13:15", "2024-01-10 13:45", news=news)
    assert found.news_minutes.tolist() == [30.0, 0.0, 30.0]


def test_without_a_calendar_no_news_is_ever_near() -> None:
    assert np.isinf(context_at("2024-01-10 12:45").news_minutes).all()
