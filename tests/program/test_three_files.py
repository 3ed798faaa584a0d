"""The three-file rules: a feature stands in code, settings and models; the risk inputs are equal in three places."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from engine.open_position import POSITION_INPUTS
from ml.feature_engineering import PROTECTED_FEATURES, get_feature_names
from ml.risk_predictor import RISK_FEATURES as SERVED
from ml.risk_trainer import RISK_FEATURES as TRAINED
from ml.sets.compat import feature_hash, read_manifest
from ml.sets.ensemble_files import POSITION_FILES, SIGNAL_FILES
from ml.sets.stage_files import RISK_METADATA, SLTP_METADATA, STAGE_FILES
from tests.helpers.desk import Desk

ROOT = Path(__file__).resolve().parents[2]
ML_CONFIG = json.loads((ROOT / "ml_config.json").read_text(encoding="utf-8"))


def test_the_contract_lists_what_the_code_computes_in_its_order() -> None:
    assert ML_CONFIG["features"] == get_feature_names()


def test_the_protected_features_are_the_owners_and_in_the_contract() -> None:
    owners = {
        "is_news_near", "news_minutes_away", "news_count_today", "is_news_risk_window",
        "is_london_session", "is_ny_session", "is_asian_session",
    }  # fmt: skip
    assert set(PROTECTED_FEATURES) == owners
    assert owners <= set(ML_CONFIG["features"])


def test_all_four_models_were_made_for_the_contract(desk: Desk) -> None:
    configured = json.loads(desk.ml_config.read_text(encoding="utf-8"))["features"]
    manifest = read_manifest(desk.models)
    assert list(manifest.features) == configured
    assert (manifest.feature_count, manifest.feature_hash) == (len(configured), feature_hash(configured))
    signal = json.loads((desk.models / SIGNAL_FILES.metadata).read_text(encoding="utf-8"))
    position = json.loads((desk.models / POSITION_FILES.metadata).read_text(encoding="utf-8"))
    assert signal["features"] == configured
    assert position["features"] == [*configured, *POSITION_INPUTS]
    sltp = json.loads((desk.models / SLTP_METADATA).read_text(encoding="utf-8"))
    assert sltp["features"][: len(configured)] == configured
    assert set(manifest.artifacts) >= {name for names in STAGE_FILES.values() for name in names}


def test_the_risk_inputs_are_equal_in_their_three_places_and_in_the_model(desk: Desk) -> None:
    assert list(TRAINED) == list(SERVED) == ML_CONFIG["risk_model"]["features"]
    metadata = json.loads((desk.models / RISK_METADATA).read_text(encoding="utf-8"))
    assert metadata["features"] == list(TRAINED)


@pytest.mark.parametrize("place", ["ml/risk_trainer.py", "ml/risk_predictor.py"])
def test_each_place_has_the_name_the_guide_speaks_of(place: str) -> None:
    tree = ast.parse((ROOT / place).read_text(encoding="utf-8"))
    named = [
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    assert "RISK_FEATURES" in named


def test_account_state_and_market_features_share_only_the_one_name_the_owner_gave_both() -> None:
    assert set(TRAINED) & set(get_feature_names()) == {"drawdown_pct"}
