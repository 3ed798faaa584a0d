"""Settings, code and models in step: what differs is named with its mend, and only defaults are written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ml.config_sync import missing_defaults, sync_findings
from novosky.errors import SettingsError
from novosky.settings import load_ml_settings, load_settings
from novosky.settings.sync import (
    SyncFinding,
    feature_findings,
    is_strict,
    label_findings,
    profile_findings,
    refuse_drift,
    risk_feature_findings,
    with_defaults,
)
from tests.helpers.command_line import Answer, listing, run_script
from tests.helpers.desk import Desk

ROOT = Path(__file__).resolve().parents[2]
CODE = ["a", "b", "guard", "c"]


def features(configured: list[str]) -> list[tuple[str, str]]:
    return [(finding.code, finding.text) for finding in feature_findings(configured, CODE, ["guard"])]


def test_the_list_of_the_code_is_in_step() -> None:
    assert features(CODE) == []


@pytest.mark.parametrize(
    ("configured", "code", "words"),
    [
        ([*CODE, "x"], "features", "lists x, which ml/feature_engineering.py does not compute"),
        (["a", "b", "guard"], "features", "computes c, which ml_config.json does not list"),
        (["a", "b", "c"], "protected", "leaves out the protected guard"),
        (["b", "a", "guard", "c"], "features", "has b where the code has a"),
    ],
)
def test_each_way_out_of_step_is_named_once(configured: list[str], code: str, words: str) -> None:
    (found,) = features(configured)
    assert found[0] == code and words in found[1]


def test_risk_inputs_are_held_against_the_first_place() -> None:
    places = {"trainer": ["a", "b"], "predictor": ["a", "b"], "ml_config.json": ["b", "a"]}
    (found,) = risk_feature_findings(places)
    assert found.blocks and "ml_config.json is b, a; trainer is a, b" in found.text
    assert risk_feature_findings({"trainer": ["a"], "predictor": ["a"], "ml_config.json": ["a"]}) == []
    assert not risk_feature_findings({"trainer": ["a"], "ml_config.json": None})[0].blocks


def settings_with(**sections: Any) -> Any:
    content = json.loads((ROOT / "config.json").read_text(encoding="utf-8"))
    for name, value in sections.items():
        content[name] = {**content[name], **value} if isinstance(value, dict) else value
    return load_settings_content(content)


def load_settings_content(content: dict[str, Any]) -> Any:
    from novosky.settings import Settings

    return Settings.model_validate(content)


ML = load_ml_settings(ROOT / "ml_config.json")


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"max_weekly_drawdown_pct": 13.0}, "max_weekly_drawdown_pct: 13.0 -> 12.0"),
        ({"max_total_drawdown_pct": 31.0}, "max_total_drawdown_pct: 31.0 -> 30.0"),
        ({"dynamic_position_sizing": {"risk_percent": 3.0}}, "risk_percent: 3.0 -> 2.0"),
        ({"risk_profile": {"starting_balance_usd": 100.0}}, "starting balance 100 USD, at least 500"),
    ],
)
def test_limits_laxer_than_the_profile_are_warned_of(sections: dict[str, Any], words: str) -> None:
    usual = {finding.text for finding in profile_findings(settings_with(), ML)}
    (found,) = [each for each in profile_findings(settings_with(**sections), ML) if each.text not in usual]
    assert found.grade == "warning" and words in found.text


def test_a_tighter_limit_is_nobodys_business() -> None:
    usual = profile_findings(settings_with(), ML)
    assert profile_findings(settings_with(max_weekly_drawdown_pct=5.0), ML) == usual


def test_labels_of_other_trades_are_warned_of() -> None:
    assert label_findings(settings_with(), ML) == []
    other = settings_with(risk_management={"sl_atr_mult": 2.0}, costs={"spread": 20.0})
    assert [finding.text.split(",")[0] for finding in label_findings(other, ML)] == [
        "labels learn a bracket of 3 and 3 ATR",
        "labels pay a spread of 16.95 USD",
    ]


def test_defaults_are_added_and_nothing_is_changed() -> None:
    content = {"b": 1, "inner": {"y": 5}}
    complete = {"a": 0, "b": 2, "inner": {"x": 3, "y": 4}, "absent": None}
    assert with_defaults(content, complete) == {"b": 1, "inner": {"y": 5, "x": 3}, "a": 0}


@pytest.mark.parametrize(("value", "strict"), [(None, False), ("", False), ("0", False), ("1", True), (" 1 ", True)])
def test_strict_is_asked_for_in_the_environment(value: str | None, strict: bool) -> None:
    assert is_strict({} if value is None else {"NOVOSKY_STRICT_CONFIG_SYNC": value}) is strict


def test_a_misspelt_strictness_is_refused() -> None:
    with pytest.raises(SettingsError, match="must be 0 or 1"):
        is_strict({"NOVOSKY_STRICT_CONFIG_SYNC": "yes"})


def test_strictness_stops_at_drift_and_not_at_warnings() -> None:
    warning = SyncFinding("profile", "warning", "lax", "tighten")
    refuse_drift([warning])
    with pytest.raises(SettingsError, match=r"1 place\(s\)[\s\S]*features: gone; mend: retrain"):
        refuse_drift([warning, SyncFinding("features", "drift", "gone", "retrain")])


# On disk, with a trained set.


@pytest.fixture
def copy(desk: Desk, tmp_path: Path) -> Desk:
    """A desk that a test may change."""
    for name in ("config.json", "ml_config.json"):
        shutil.copy(desk.folder / name, tmp_path / name)
    shutil.copytree(desk.models, tmp_path / "models")
    return Desk(tmp_path)


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def blocking(desk: Desk) -> list[SyncFinding]:
    return [finding for finding in sync_findings(desk.config, desk.ml_config, desk.models) if finding.blocks]


def run(desk: Desk, *arguments: object) -> Answer:
    return run_script("scripts/config_sync.py", *arguments, *desk.flags, cwd=desk.folder)


def test_a_trained_desk_is_in_step(desk: Desk) -> None:
    assert blocking(desk) == []


def test_the_checkout_itself_is_in_step_and_has_every_key_written_down() -> None:
    found = sync_findings(ROOT / "config.json", ROOT / "ml_config.json", None)
    assert {finding.grade for finding in found} <= {"warning"}, found


def test_check_says_in_step_and_writes_nothing(desk: Desk) -> None:
    before = listing(desk.folder)
    answer = run(desk, "--check")
    assert answer.code == 0, answer.out
    assert "in step" in answer.out
    assert listing(desk.folder) == before


@pytest.mark.parametrize(
    ("file", "edit", "code", "words"),
    [
        ("ml_config.json", lambda c: c["features"].pop(0), "features", "computes bb_upper"),
        ("ml_config.json", lambda c: c["features"].remove("is_news_near"), "protected", "is_news_near"),
        ("ml_config.json", lambda c: c["labeling"].update(horizon_bars=50), "training_settings", "signal models"),
        ("ml_config.json", lambda c: c["position_model"].update(seed=99), "training_settings", "position model"),
        ("ml_config.json", lambda c: c["ml_sltp"].update(stop_quantile=0.6), "training_settings", "sltp model"),
        ("ml_config.json", lambda c: c["risk_model"].update(seed=99), "training_settings", "risk model"),
        ("ml_config.json", lambda c: c["risk_model"]["features"].reverse(), "risk_features", "ml/risk_trainer.py"),
        ("ml_config.json", lambda c: c.update(featurs=[]), "ml_config", "unknown key"),
        ("config.json", lambda c: c.update(max_daily_los=1), "config", "did you mean 'max_daily_loss'"),
    ],
)
def test_drift_is_found_and_exits_1(
    copy: Desk, file: str, edit: Callable[[dict[str, Any]], object], code: str, words: str
) -> None:
    change(copy.folder / file, edit)
    assert any(finding.code == code and words in finding.text for finding in blocking(copy)), blocking(copy)
    before = listing(copy.folder)
    answer = run(copy, "--check")
    assert answer.code == 1 and "mend:" in answer.out
    assert listing(copy.folder) == before


@pytest.mark.parametrize("name", ["model_compat.json", "ensemble_rf.pkl", "risk_metadata.json", "sltp_sl.txt"])
def test_a_missing_file_of_the_set_is_found(copy: Desk, name: str) -> None:
    (copy.models / name).unlink()
    assert any(finding.grade == "missing" and name in finding.text for finding in blocking(copy))


def test_missing_settings_are_found(copy: Desk) -> None:
    copy.config.unlink()
    assert [finding.code for finding in blocking(copy)] == ["config"]
    assert run(copy, "--check").code == 1


def test_a_model_that_is_switched_on_and_absent_is_found(copy: Desk) -> None:
    change(copy.models / "model_compat.json", lambda c: [c["artifacts"].pop(name) for name in list(c["artifacts"]) if name.startswith("sltp")])  # fmt: skip  # noqa: E501
    assert any("ml_sltp.enabled" in finding.text for finding in blocking(copy))


def test_thresholds_of_decisions_are_no_drift(copy: Desk) -> None:
    change(copy.ml_config, lambda c: c["prediction"].update(confidence_threshold=0.61))
    change(copy.ml_config, lambda c: c["position_model"].update(exit_threshold=0.7))
    assert blocking(copy) == []


def test_left_out_keys_are_shown_then_written_and_change_nothing_in_force(copy: Desk) -> None:
    change(copy.config, lambda c: [c.pop("adx_filter"), c["dynamic_position_sizing"].pop("max_lot")])
    change(copy.ml_config, lambda c: c.pop("training"))
    before = load_settings(copy.config), load_ml_settings(copy.ml_config)
    assert run(copy, "--check").code == 0
    answer = run(copy)
    assert answer.code == 0
    assert "adx_filter" in answer.out and "dynamic_position_sizing.max_lot = 10.0" in answer.out
    assert (load_settings(copy.config), load_ml_settings(copy.ml_config)) == before
    assert missing_defaults(copy.config)[1] == [] == missing_defaults(copy.ml_config)[1]
    again = listing(copy.folder)
    assert run(copy).code == 0
    assert listing(copy.folder) == again


def test_nothing_but_defaults_is_mended(copy: Desk) -> None:
    run(copy)
    change(copy.ml_config, lambda c: c["features"].pop(0))
    change(copy.config, lambda c: c.update(max_total_drawdown_pct=80.0))
    before = listing(copy.folder)
    assert run(copy).code == 1
    assert listing(copy.folder) == before


def test_findings_as_json(copy: Desk) -> None:
    change(copy.ml_config, lambda c: c["labeling"].update(horizon_bars=50))
    assert run(copy, "--check", "--json", copy.folder / "out.json").code == 1
    content = json.loads((copy.folder / "out.json").read_text(encoding="utf-8"))
    assert content["valid"] is False
    assert {"code", "grade", "text", "mend"} == set(content["findings"][0])


def test_a_checkout_without_models_can_be_checked_too(copy: Desk) -> None:
    shutil.rmtree(copy.models)
    assert run(copy, "--check").code == 1
    assert run(copy, "--check", "--no-models").code == 0
