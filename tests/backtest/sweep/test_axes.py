"""What a sweep varies: never beyond the profile, never laxer gates, the present configuration first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtest.sweep.axes import KEYS, PRESENT, Axis, Key, axes_for, changed_settings, design, grid_size
from engine.inputs.selectivity import Selectivity
from novosky.errors import UsageError
from novosky.settings import MlSettings, Settings
from novosky.settings.profile_application import apply_profile, labels_of
from novosky.settings.profiles import PROFILES, Profile

CONFIDENCE, GAP = KEYS["confidence_threshold"], KEYS["min_probability_diff"]
SESSIONS = tuple(KEYS[f"confidence_{name}"] for name in ("london", "new_york", "asian"))
MIN_ATR, SPREAD, EMA = KEYS["min_atr_threshold"], KEYS["max_spread_atr"], KEYS["ema_trend_filter"]
ADX = (KEYS["adx_filter"], KEYS["min_adx"])
RISK, STOP, TAKE = KEYS["risk_percent"], KEYS["sl_atr_mult"], KEYS["tp_atr_mult"]
EXIT, HELD = KEYS["exit_threshold"], KEYS["min_bars_held"]


def contents(root: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    config, ml_config = (json.loads((root / name).read_text()) for name in ("config.json", "ml_config.json"))
    del config["$schema"], ml_config["$schema"]
    return config, ml_config


def settings_of(config: dict[str, Any], ml_config: dict[str, Any]) -> tuple[Settings, MlSettings]:
    return Settings.model_validate(config), MlSettings.model_validate(ml_config)


def under(root: Path, profile: Profile, **management: Any) -> tuple[Settings, MlSettings]:
    """The shipped settings under a profile, the bracket's range being the profile's."""
    config, ml_config = contents(root)
    config["risk_management"] |= {"atr_mult_range": None} | management
    ml_config["position_model"]["enabled"] = True
    return settings_of(apply_profile(config, profile, labels_of(ml_config)), ml_config)


def choices(axes: tuple[Axis, ...], key: Key) -> list[Any]:
    (axis,) = (axis for axis in axes if key in axis.keys)
    at = axis.keys.index(key)
    return [values[at] for values in axis.choices]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_no_configuration_leaves_the_profile(root: Path, profile: Profile) -> None:
    axes = axes_for("signal", *under(root, profile))
    for key, limits in (
        (CONFIDENCE, profile.confidence),
        (RISK, profile.risk_percent),
        # The shipped labels are three ATR, and by selectivity a bracket lies within a third of them.
        (STOP, (2.0, 4.0)),
        (TAKE, (2.0, 4.0)),
    ):
        found = choices(axes, key)
        assert (min(found), max(found)) == limits
        assert len(found) >= 3


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_absolute_profiles_bring_their_own_brackets(root: Path, profile: Profile) -> None:
    config, ml_config = contents(root)
    config["risk_profile"]["scale"] = "absolute"
    config["risk_management"]["atr_mult_range"] = None
    axes = axes_for("signal", *settings_of(apply_profile(config, profile), ml_config))
    for key in (STOP, TAKE):
        assert (min(choices(axes, key)), max(choices(axes, key))) == profile.atr_mult


def test_a_stated_bracket_range_overrides_the_profiles(root: Path) -> None:
    axes = axes_for("signal", *under(root, PROFILES[2], atr_mult_range={"least": 2.0, "most": 4.0}))
    assert choices(axes, STOP) == choices(axes, TAKE) == [2.0, 2.5, 3.0, 3.5, 4.0]


def test_the_present_value_is_on_its_axis_where_the_profile_allows_it(root: Path) -> None:
    config, ml_config = contents(root)
    ml_config["prediction"] = {"confidence_threshold": 0.617, "min_probability_diff": 0.22}
    axes = axes_for("signal", *settings_of(config, ml_config))
    assert 0.617 in choices(axes, CONFIDENCE)
    assert 0.22 in choices(axes, GAP)
    ml_config["prediction"]["confidence_threshold"] = 0.5
    assert min(choices(axes_for("signal", *settings_of(config, ml_config)), CONFIDENCE)) == 0.60


def test_gates_only_become_stricter(root: Path) -> None:
    config, ml_config = contents(root)
    axes = axes_for("signal", *settings_of(config, ml_config))
    assert min(choices(axes, MIN_ATR)) == 15.0
    assert max(choices(axes, SPREAD)) == 0.35
    assert choices(axes, EMA) == [False, True]
    assert choices(axes, ADX[0]) == [False, True]
    for session in SESSIONS:
        assert all(value is None or value >= 0.65 for value in choices(axes, session))
    config["enable_ema_trend_filter"] = True
    config["adx_filter"] = {"enabled": True, "min_adx": 30}
    strict = axes_for("signal", *settings_of(config, ml_config))
    assert choices(strict, EMA) == [True]
    assert choices(strict, ADX[0]) == [True]
    assert min(choices(strict, ADX[1])) == 30.0


def test_the_sltp_model_leaves_no_fixed_bracket_to_sweep(root: Path) -> None:
    config, ml_config = contents(root)
    ml_config["ml_sltp"]["enabled"] = True
    keys = {key for axis in axes_for("signal", *settings_of(config, ml_config)) for key in axis.keys}
    assert not keys & {STOP, TAKE}
    assert RISK in keys


def test_targets_sweep_their_own_rules(root: Path) -> None:
    settings, ml_settings = under(root, PROFILES[2])
    keys = {
        target: {key for axis in axes_for(target, settings, ml_settings) for key in axis.keys}
        for target in ("signal", "pos", "both")
    }
    assert keys["both"] == keys["signal"] | keys["pos"]
    assert not keys["signal"] & keys["pos"]
    assert {EXIT, HELD} < keys["pos"]


def test_the_exit_rule_cannot_be_swept_without_its_model(root: Path) -> None:
    settings, ml_settings = settings_of(*contents(root))
    for target in ("pos", "both"):
        with pytest.raises(UsageError, match=r"position_model\.enabled is false"):
            axes_for(target, settings, ml_settings)  # type: ignore[arg-type]


def test_the_first_row_is_the_present_configuration(root: Path) -> None:
    settings, ml_settings = settings_of(*contents(root))
    drawn = design(axes_for("signal", settings, ml_settings), settings, ml_settings, 50, seed=1)
    assert drawn.values(0) == {}
    assert (drawn.picks[0] == PRESENT).all()
    assert (drawn.picks[1:] != PRESENT).all()


def test_a_draw_repeats_no_configuration_and_is_repeatable(root: Path) -> None:
    settings, ml_settings = settings_of(*contents(root))
    axes = axes_for("signal", settings, ml_settings)
    first, again, other = (design(axes, settings, ml_settings, 400, seed=seed) for seed in (1, 1, 2))
    assert len(first) == len(np.unique(first.picks, axis=0)) == 400
    assert first.picks.tobytes() == again.picks.tobytes()
    assert first.picks.tobytes() != other.picks.tobytes()


def test_the_whole_grid_holds_the_present_point_once(root: Path) -> None:
    settings, ml_settings = under(root, PROFILES[2])
    axes = axes_for("pos", settings, ml_settings)
    whole = design(axes, settings, ml_settings, None, seed=1)
    assert len(whole) == grid_size(axes)
    described = {
        tuple(sorted((key.name, value) for key, value in whole.values(row).items())) for row in range(1, len(whole))
    }
    assert len(described) == len(whole) - 1
    present = tuple(sorted((key.name, key.read(settings, ml_settings)) for axis in axes for key in axis.keys))
    assert present not in described


def test_more_configurations_than_the_grid_holds_are_the_grid(root: Path) -> None:
    settings, ml_settings = under(root, PROFILES[2])
    axes = axes_for("pos", settings, ml_settings)
    assert len(design(axes, settings, ml_settings, 10_000, seed=1)) == grid_size(axes)


def test_a_configuration_that_no_file_could_hold_is_refused(root: Path) -> None:
    settings, ml_settings = settings_of(*contents(root))
    with pytest.raises(ValueError, match="risk_percent"):
        changed_settings(settings, ml_settings, {RISK: -1.0})


def test_where_the_models_are_known_thresholds_are_those_of_the_profiles_shares_of_bars(root: Path) -> None:
    settings, ml_settings = under(root, PROFILES[2])
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet([2.0, 3.0, 3.0], (40_000, 1)).repeat(3, axis=1)
    known = Selectivity.of(probabilities)
    (axis,) = [axis for axis in axes_for("signal", settings, ml_settings, known) if CONFIDENCE in axis.keys]
    chosen = [choice[0] for choice in axis.choices if choice[0] != ml_settings.prediction.confidence_threshold]
    shares = [known.share(float(threshold or 0.0)) for threshold in chosen]
    assert shares == pytest.approx(np.linspace(4.0, 2.0, 6), abs=0.01)
    (sessions,) = [axis for axis in axes_for("signal", settings, ml_settings, known) if axis.title == "sessions"]
    assert (None, None, max(chosen)) in sessions.choices, "the stricter Asian session is as strict as the profile goes"
