"""A profile in config.json: its limits hold, what a person has tightened stays, everything else is kept."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.shared.options import PROFILE
from novosky.settings import MlSettings, Settings
from novosky.settings.brackets import bracket_ranges, label_ranges
from novosky.settings.differences import Change, changes_between
from novosky.settings.ml import Labeling
from novosky.settings.profile_application import apply_profile, most_risk_per_trade
from novosky.settings.profiles import PROFILES, Profile, profile_named

ROOT = Path(__file__).resolve().parents[3]
SHIPPED: dict[str, Any] = json.loads((ROOT / "config.json").read_text(encoding="utf-8"))
LIMITS = ("max_weekly_drawdown_pct", "max_total_drawdown_pct")

percent = st.floats(0.01, 10, allow_nan=False)
contents = st.builds(
    lambda name, risk, cap, week, halt, stop, target: {
        **copy.deepcopy(SHIPPED),
        "risk_profile": {"name": name, "starting_balance_usd": 1234.0, "scale": "absolute"},
        "dynamic_position_sizing": {"risk_percent": risk, "max_risk_per_trade_pct": 2 * cap, "max_lot": 3.0},
        "max_weekly_drawdown_pct": 10 * week,
        "max_total_drawdown_pct": 10 * halt,
        "risk_management": {"sl_atr_mult": stop, "tp_atr_mult": target},
    },
    st.sampled_from([profile.name for profile in PROFILES]),
    *[percent] * 6,
)
profiles = st.sampled_from(PROFILES)


def shipped_with(**keys: Any) -> dict[str, Any]:
    return {**copy.deepcopy(SHIPPED), **keys}


@given(contents, profiles)
def test_no_limit_is_laxer_than_the_profile(content: dict[str, Any], profile: Profile) -> None:
    result = apply_profile(content, profile)
    least, most = profile.risk_percent
    assert least <= result["dynamic_position_sizing"]["risk_percent"] <= most
    assert result["dynamic_position_sizing"]["max_risk_per_trade_pct"] <= most_risk_per_trade(profile)
    assert all(result[key] <= getattr(profile, key) for key in LIMITS)
    low, high = profile.atr_mult
    assert all(low <= result["risk_management"][key] <= high for key in ("sl_atr_mult", "tp_atr_mult"))
    assert result["risk_profile"]["name"] == profile.name


@given(contents, profiles, st.floats(0.5, 7), st.floats(0.5, 7))
def test_by_selectivity_stops_and_targets_lie_within_a_third_of_the_labels(
    content: dict[str, Any], profile: Profile, stop: float, target: float
) -> None:
    content["risk_profile"]["scale"] = "selectivity"
    labels = Labeling(atr_sl_mult=stop, atr_tp_mult=target)
    management = apply_profile(content, profile, labels)["risk_management"]
    assert 2 * stop / 3 - 1e-4 <= management["sl_atr_mult"] <= 4 * stop / 3 + 1e-4
    assert 2 * target / 3 - 1e-4 <= management["tp_atr_mult"] <= 4 * target / 3 + 1e-4


def test_by_selectivity_without_labels_the_bracket_stays() -> None:
    content = shipped_with(risk_management={"sl_atr_mult": 7.0, "tp_atr_mult": 0.3})
    assert apply_profile(content, profile_named("balanced"))["risk_management"] == content["risk_management"]


@pytest.mark.parametrize(
    ("scale", "stated", "expected"),
    [
        ("selectivity", None, ((2.0, 4.0), (1.0, 2.0))),
        ("absolute", None, ((0.8, 1.3), (0.8, 1.3))),
        ("selectivity", {"least": 1.0, "most": 5.0}, ((1.0, 5.0), (1.0, 5.0))),
    ],
)
def test_how_far_stops_and_targets_may_lie(scale: str, stated: Any, expected: Any) -> None:
    content = shipped_with(risk_profile={"name": "growth", "scale": scale}, risk_management={"atr_mult_range": stated})
    ml_content = {"features": ["a"], "labeling": {"atr_sl_mult": 3.0, "atr_tp_mult": 1.5}}
    assert bracket_ranges(Settings.model_validate(content), MlSettings.model_validate(ml_content)) == expected


def test_no_range_goes_beyond_what_settings_take() -> None:
    assert label_ranges(Labeling(atr_sl_mult=9.0, atr_tp_mult=10.0)) == ((6.0, 10.0), (6.6667, 10.0))


@given(contents, profiles)
def test_twice_is_once_and_the_given_content_is_untouched(content: dict[str, Any], profile: Profile) -> None:
    before = copy.deepcopy(content)
    once = apply_profile(content, profile)
    assert apply_profile(once, profile) == once
    assert content == before


@given(contents, profiles)
def test_the_result_loads_as_settings(content: dict[str, Any], profile: Profile) -> None:
    Settings.model_validate_json(json.dumps(apply_profile(content, profile)), strict=True)


@given(contents, profiles)
def test_nothing_but_the_profiles_keys_changes(content: dict[str, Any], profile: Profile) -> None:
    touched = {
        "dynamic_position_sizing.risk_percent",
        "dynamic_position_sizing.max_risk_per_trade_pct",
        "risk_profile.name",
        "risk_management.sl_atr_mult",
        "risk_management.tp_atr_mult",
        *LIMITS,
    }
    result = apply_profile(content, profile)
    assert {change.place for change in changes_between(content, result)} <= touched
    assert list(result) == list(content), "keys keep their order"


@pytest.mark.parametrize(("present", "expected"), [(0.1, 1.5), (1.5, 1.5), (1.7, 1.7), (2.0, 2.0), (9.0, 2.0)])
def test_risk_moves_to_the_nearest_value_the_profile_allows(present: float, expected: float) -> None:
    content = shipped_with(dynamic_position_sizing={"risk_percent": present})
    result = apply_profile(content, profile_named("balanced"))
    assert result["dynamic_position_sizing"]["risk_percent"] == expected


def test_a_limit_tightened_under_a_profile_stays_under_it() -> None:
    content = shipped_with(max_weekly_drawdown_pct=5.0, max_total_drawdown_pct=10.0)
    result = apply_profile(content, profile_named("balanced"))
    assert [result[key] for key in LIMITS] == [5.0, 10.0]


def test_another_profile_brings_its_own_limits() -> None:
    content = shipped_with(max_weekly_drawdown_pct=5.0, max_total_drawdown_pct=10.0)
    result = apply_profile(content, profile_named("growth"))
    assert [result[key] for key in LIMITS] == [15.0, 40.0]


def test_the_cap_of_a_trade_is_the_largest_risk_at_the_largest_multiplier() -> None:
    assert [most_risk_per_trade(profile) for profile in PROFILES] == [1.25, 1.875, 2.5, 3.75, 5.0]


def test_a_tighter_cap_of_a_trade_stays() -> None:
    content = shipped_with(dynamic_position_sizing={"max_risk_per_trade_pct": 0.9})
    result = apply_profile(content, profile_named("aggressive"))
    assert result["dynamic_position_sizing"]["max_risk_per_trade_pct"] == 0.9


def test_a_stated_bracket_range_overrides_the_profiles() -> None:
    assert SHIPPED["risk_management"]["atr_mult_range"] is not None
    result = apply_profile(SHIPPED, profile_named("steady_income"))
    assert result["risk_management"] == SHIPPED["risk_management"]


def test_absent_sections_get_what_the_profile_decides() -> None:
    result = apply_profile({"costs": SHIPPED["costs"], "max_daily_loss": 5.0}, profile_named("aggressive"))
    settings = Settings.model_validate(result)
    assert settings.risk_profile.name == "aggressive"
    assert settings.dynamic_position_sizing.risk_percent == 3.0
    assert settings.max_weekly_drawdown_pct == 20.0


def test_changes_name_the_place_and_both_values() -> None:
    old = {"a": 1, "s": {"x": True, "gone": None}, "t": [1]}
    new = {"a": 1, "s": {"x": False}, "t": [1, 2], "n": "new"}
    assert [str(change) for change in changes_between(old, new)] == [
        "s.x: true -> false",
        "s.gone: null -> (absent)",
        "t: [1] -> [1, 2]",
        'n: (absent) -> "new"',
    ]
    assert changes_between(new, new) == []
    assert Change("a", "1", "2") in changes_between({"a": 1}, {"a": 2})


def test_commands_offer_every_profile() -> None:
    assert list(PROFILE.choices) == [profile.name for profile in PROFILES]
