"""Each gate alone: its name, its limit, the side of the limit that passes, and what unknown values do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.gates import GATE_NAMES, failing_gates, gate_names
from engine.records import Guard, Params, new_record
from tests.engine.market import MONDAY, one_candidate, realistic_params

SPREAD = 10.0


def fresh_guard(**fields: Any) -> Guard:
    guard = new_record(Guard)
    guard.time = MONDAY
    for name, value in fields.items():
        setattr(guard, name, value)
    return guard


def failing(
    candidate: Any = None,
    guard: Guard | None = None,
    params: Params | None = None,
    spread: float = SPREAD,
    frozen: int = 0,
) -> list[str]:
    candidate = one_candidate() if candidate is None else candidate
    mask = failing_gates(candidate, guard or fresh_guard(), params or realistic_params(), spread, frozen)
    return gate_names(int(mask))


def test_gate_order_is_the_order_of_block_reasons() -> None:
    documented = (
        *("market_closed", "model_agreement", "session_conf", "probability_gap", "atr_floor", "spread"),
        *("news_block", "ema_trend", "adx_regime", "circuit_breaker", "daily_loss", "equity_curve"),
        *("weekly_drawdown", "hard_halt", "frozen", "stops_level", "volume", "margin"),
    )
    assert documented == GATE_NAMES


def test_first_name_of_a_mask_is_the_reason() -> None:
    assert gate_names(0b10_0000_0000_0000_0110) == ["model_agreement", "session_conf", "margin"]


@pytest.mark.parametrize("side", [1, -1])
def test_good_candidate_passes_every_gate(side: int) -> None:
    assert failing(one_candidate(side)) == []


# The threshold values are those of `realistic_params`: (gate, field, last value that passes, first that does not).
LIMITS = [
    ("market_closed", "market_open", 1, 0),
    ("model_agreement", "votes", 2, 1),
    ("session_conf", "confidence", 0.6, 0.5999),
    ("probability_gap", "gap", 0.1, 0.0999),
    ("atr_floor", "atr", 15.0, 14.99),
    ("news_block", "news_minutes", 15.01, 15.0),
    ("ema_trend", "ema_distance", 1e-9, 0.0),
    ("adx_regime", "adx", 10.0, 9.99),
]


@pytest.mark.parametrize(("gate", "field", "passes", "fails"), LIMITS, ids=[limit[0] for limit in LIMITS])
def test_limit_of_a_candidate_gate(gate: str, field: str, passes: float, fails: float) -> None:
    assert failing(one_candidate(1, **{field: passes}), spread=1.0) == []
    assert failing(one_candidate(1, **{field: fails}), spread=1.0) == [gate]


@pytest.mark.parametrize("field", ["confidence", "gap", "news_minutes", "ema_distance", "adx"])
def test_unknown_value_fails_its_gate(field: str) -> None:
    gate = next(limit[0] for limit in LIMITS if limit[1] == field)
    assert failing(one_candidate(1, **{field: np.nan})) == [gate]


def test_unknown_atr_fails_floor_and_spread() -> None:
    assert failing(one_candidate(atr=np.nan)) == ["atr_floor", "spread"]


def test_unknown_atr_fails_even_without_limits() -> None:
    params = realistic_params(min_atr=0.0, max_spread_atr=np.inf)
    assert failing(one_candidate(atr=np.nan), params=params) == ["atr_floor", "spread"]


def test_spread_is_measured_in_atr() -> None:
    assert failing(one_candidate(atr=20.0), spread=10.0) == []
    assert failing(one_candidate(atr=20.0), spread=10.01) == ["spread"]


@pytest.mark.parametrize("session", range(8))
def test_each_session_has_its_own_confidence(session: int) -> None:
    params = realistic_params(confidence=0.6)
    params.confidence[session] = 0.95
    blocked = [bits for bits in range(8) if failing(one_candidate(session=bits), params=params)]
    assert blocked == [session]


@pytest.mark.parametrize(("side", "distance", "gates"), [(1, -1.0, ["ema_trend"]), (-1, 1.0, ["ema_trend"])])
def test_trend_filter_wants_the_side_of_the_average(side: int, distance: float, gates: list[str]) -> None:
    assert failing(one_candidate(side, ema_distance=distance)) == gates
    assert failing(one_candidate(side, ema_distance=-distance)) == []


@pytest.mark.parametrize(
    ("off", "field", "value"),
    [("ema_trend", "ema_distance", -3.0), ("min_adx", "adx", 0.0), ("min_adx", "adx", np.nan)],
)
def test_filter_that_is_off_blocks_nothing(off: str, field: str, value: float) -> None:
    assert failing(one_candidate(1, **{field: value}), params=realistic_params(**{off: 0})) == []


def test_negative_news_minutes_block_nothing() -> None:
    assert failing(one_candidate(news_minutes=0.0), params=realistic_params(news_minutes=-1.0)) == []


LATCHES = [
    ("circuit_breaker", {"day_losses": 3}),
    ("daily_loss", {"day_blocked": 1}),
    ("equity_curve", {"paused_until": MONDAY + 1}),
    ("weekly_drawdown", {"week_blocked": 1}),
    ("hard_halt", {"halted": 1}),
]


@pytest.mark.parametrize(("gate", "fields"), LATCHES, ids=[latch[0] for latch in LATCHES])
def test_latched_guard_blocks_under_its_own_name(gate: str, fields: dict[str, int]) -> None:
    assert failing(guard=fresh_guard(**fields)) == [gate]


def test_one_loss_less_than_the_breaker_trades() -> None:
    assert failing(guard=fresh_guard(day_losses=2)) == []


def test_pause_ends_at_its_very_second() -> None:
    assert failing(guard=fresh_guard(paused_until=MONDAY)) == []


def test_freeze_flag_blocks() -> None:
    assert failing(frozen=1) == ["frozen"]


def test_all_failing_gates_are_reported_together() -> None:
    candidate = one_candidate(votes=1, confidence=0.1, gap=0.0, atr=1.0, market_open=0, adx=1.0, news_minutes=0.0)
    candidate["ema_distance"] = -1.0
    guard = fresh_guard(day_losses=9, day_blocked=1, week_blocked=1, halted=1, paused_until=MONDAY + 1)
    assert failing(candidate, guard, frozen=1) == list(GATE_NAMES[:15])
