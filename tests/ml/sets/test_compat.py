"""The manifest says what a set was made for; a set that does not fit is refused, by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml.sets.companions import MANIFEST_NAME
from ml.sets.compat import (
    Manifest,
    damaged_artifacts,
    feature_hash,
    hash_training_settings,
    library_versions,
    read_artifact,
    read_manifest,
    verify_compat,
    write_manifest,
)
from novosky.errors import ModelCompatibilityError, ModelError
from novosky.files import sha256_of, write_text
from novosky.settings.ml import MlSettings
from tests.helpers.sets.signal_sets import small_ml_settings


@pytest.fixture
def settings() -> MlSettings:
    return small_ml_settings()


@pytest.fixture
def manifest(tmp_path: Path, settings: MlSettings) -> Manifest:
    write_text(tmp_path / "a.pkl", "model a")
    written = Manifest(
        features=settings.features,
        feature_hash=feature_hash(settings.features),
        feature_count=len(settings.features),
        artifacts={"a.pkl": sha256_of(tmp_path / "a.pkl")},
        versions=library_versions(),
        train_start="2022-01-01T00:00:00Z",
        train_end="2022-12-31T23:45:00Z",
        train_cutoff_date="2022-12-31T23:45:00Z",
        data_hash="d",
        config_hash=hash_training_settings(settings),
    )
    write_manifest(tmp_path, written)
    return written


def with_features(settings: MlSettings, features: list[str]) -> MlSettings:
    return settings.model_copy(update={"features": tuple(features)})


def edit_manifest(folder: Path, **changes: Any) -> None:
    content = json.loads((folder / MANIFEST_NAME).read_text())
    (folder / MANIFEST_NAME).write_text(json.dumps({**content, **changes}))


def test_a_manifest_reads_back_as_it_was_written(tmp_path: Path, manifest: Manifest) -> None:
    assert read_manifest(tmp_path) == manifest


def test_a_fitting_set_is_accepted(tmp_path: Path, manifest: Manifest, settings: MlSettings) -> None:
    assert verify_compat(tmp_path, settings) == manifest


def test_the_feature_hash_depends_on_the_order(settings: MlSettings) -> None:
    assert feature_hash(settings.features) != feature_hash(settings.features[::-1])


def test_swapped_features_are_named_with_their_position(
    tmp_path: Path, manifest: Manifest, settings: MlSettings
) -> None:
    features = list(settings.features)
    features[3], features[4] = features[4], features[3]
    with pytest.raises(ModelCompatibilityError, match=f"position 4: {features[4]} in the models, {features[3]}"):
        verify_compat(tmp_path, with_features(settings, features))


def test_a_missing_feature_is_named_with_both_counts_and_the_mend(
    tmp_path: Path, manifest: Manifest, settings: MlSettings
) -> None:
    with pytest.raises(ModelCompatibilityError) as caught:
        verify_compat(tmp_path, with_features(settings, list(settings.features[:-1])))
    message = str(caught.value)
    count = len(settings.features)
    assert f"use {count} features, ml_config.json lists {count - 1}" in message
    assert settings.features[-1] in message
    assert "python train_ml_model.py --ensemble --no-warmstart" in message
    assert "python ml/r2_hub.py --pull" in message
    assert caught.value.exit_code == 6


def test_a_configured_feature_the_code_does_not_compute_is_named(
    tmp_path: Path, manifest: Manifest, settings: MlSettings
) -> None:
    with pytest.raises(ModelCompatibilityError, match="moon_phase"):
        verify_compat(tmp_path, with_features(settings, [*settings.features, "moon_phase"]))


def test_another_major_version_of_a_library_is_named(tmp_path: Path, manifest: Manifest, settings: MlSettings) -> None:
    edit_manifest(tmp_path, versions={**manifest.versions, "xgboost": "1.7.6"})
    with pytest.raises(ModelCompatibilityError, match=r"xgboost 1\.7\.6"):
        verify_compat(tmp_path, settings)


def test_a_missing_manifest_names_file_and_command(tmp_path: Path, settings: MlSettings) -> None:
    with pytest.raises(ModelError, match=r"model_compat\.json does not exist.*train_ml_model\.py") as caught:
        verify_compat(tmp_path, settings)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": 1}'])
def test_a_broken_manifest_is_a_model_error(tmp_path: Path, settings: MlSettings, content: str) -> None:
    (tmp_path / MANIFEST_NAME).write_text(content)
    with pytest.raises(ModelError, match=MANIFEST_NAME):
        verify_compat(tmp_path, settings)


def test_a_manifest_whose_list_does_not_match_its_hash_is_refused(
    tmp_path: Path, manifest: Manifest, settings: MlSettings
) -> None:
    edit_manifest(tmp_path, features=list(settings.features[::-1]))
    with pytest.raises(ModelError, match="contradicts itself"):
        verify_compat(tmp_path, settings)


def test_a_manifest_cannot_point_outside_its_directory(tmp_path: Path, manifest: Manifest) -> None:
    write_manifest(tmp_path, replace(manifest, artifacts={"../a.pkl": "0"}))
    with pytest.raises(ModelError, match="outside"):
        read_manifest(tmp_path)


def test_an_intact_artifact_is_returned(tmp_path: Path, manifest: Manifest) -> None:
    assert read_artifact(tmp_path, manifest, "a.pkl") == b"model a"


def test_a_changed_artifact_is_named(tmp_path: Path, manifest: Manifest) -> None:
    write_text(tmp_path / "a.pkl", "model b")
    with pytest.raises(ModelError, match=r"a\.pkl is damaged or foreign"):
        read_artifact(tmp_path, manifest, "a.pkl")
    assert list(damaged_artifacts(tmp_path, manifest)) == ["a.pkl"]


def test_a_file_the_manifest_does_not_list_is_refused(tmp_path: Path, manifest: Manifest) -> None:
    write_text(tmp_path / "b.pkl", "model b")
    with pytest.raises(ModelError, match=r"b\.pkl is not listed"):
        read_artifact(tmp_path, manifest, "b.pkl")


def test_decision_thresholds_and_threads_do_not_change_the_config_hash(settings: MlSettings) -> None:
    other = MlSettings.model_validate(
        {**settings.model_dump(exclude={"schema_reference"}), "prediction": {"confidence_threshold": 0.7}}
    )
    assert hash_training_settings(other) == hash_training_settings(settings)


def test_a_hyperparameter_changes_the_config_hash(settings: MlSettings) -> None:
    content = settings.model_dump(exclude={"schema_reference"})
    content["signal_model"]["seed"] += 1
    assert hash_training_settings(MlSettings.model_validate(content)) != hash_training_settings(settings)
