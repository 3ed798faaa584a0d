"""The inference chain: checked before it is decoded, the same numbers from every step."""

from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.arrays import MEMBERS
from ml.ensemble.members import Scaling
from ml.ensemble.predictor import CHUNK_ROWS, EnsemblePredictor
from ml.sets.ensemble_files import METADATA_NAME, SCALER_NAME, FileKind, member_file
from ml.sets.loading import load_undisturbed
from novosky.errors import DataError, ModelCompatibilityError, ModelError
from novosky.files import sha256_of
from tests.helpers.sets.signal_sets import SmallSet

KINDS: tuple[FileKind, ...] = ("calibrated", "onnx", "raw")


@pytest.fixture(scope="module")
def trained(small_set: SmallSet) -> SmallSet:
    return small_set


@pytest.fixture
def models(trained: SmallSet, tmp_path: Path) -> Path:
    """A copy of the set to be spoilt."""
    return Path(shutil.copytree(trained.models_dir, tmp_path / "models"))


def served_by(trained: SmallSet, models: Path, kind: FileKind) -> EnsemblePredictor:
    """A predictor that has to answer from the given step of the chain."""
    for earlier in KINDS[: KINDS.index(kind)]:
        for name in MEMBERS:
            (models / member_file(name, earlier)).unlink(missing_ok=True)
    predictor = load_undisturbed(models, trained.ml_settings, EnsemblePredictor)
    assert [predictor.sources[name] for name in MEMBERS] == [member_file(name, kind) for name in MEMBERS]
    return predictor


def test_probabilities_have_one_row_per_member_that_sums_to_one(trained: SmallSet) -> None:
    answer = load_undisturbed(trained.models_dir, trained.ml_settings, EnsemblePredictor).predict_proba(
        trained.later_features
    )
    assert answer.shape == (len(trained.later_features), 3, 3)
    assert answer.dtype == np.float64
    assert ((answer > 0) & (answer < 1)).all()
    np.testing.assert_allclose(answer.sum(axis=2), 1.0, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["onnx", "raw"])
def test_every_step_of_the_chain_agrees_with_the_calibrated_pickle(
    trained: SmallSet, models: Path, kind: FileKind
) -> None:
    rows = trained.later_features
    assert len(rows) >= 5000
    expected = load_undisturbed(trained.models_dir, trained.ml_settings, EnsemblePredictor).predict_proba(rows)
    difference = np.abs(served_by(trained, models, kind).predict_proba(rows) - expected)
    for at, name in enumerate(MEMBERS):
        assert difference[:, at].max() <= 1e-4, name


@pytest.mark.parametrize("kind", ["calibrated", "raw"])
def test_flat_trees_answer_with_the_bytes_of_the_pickled_members(
    trained: SmallSet, models: Path, kind: FileKind, caplog: pytest.LogCaptureFixture
) -> None:
    rows = trained.later_features
    scaler = pickle.loads((models / SCALER_NAME).read_bytes())
    scaled = Scaling(scaler.mean_, scaler.scale_).apply(rows)
    pickled = [pickle.loads((models / member_file(name, "calibrated")).read_bytes()) for name in MEMBERS]
    expected = np.stack([member.predict_proba(scaled) for member in pickled], axis=1)
    with caplog.at_level(logging.WARNING):
        predictor = served_by(trained, models, kind)
    assert "its library itself answers" not in caplog.text
    assert predictor.predict_proba(rows).tobytes() == expected.tobytes()


@pytest.mark.parametrize("spoilt", [0.0, np.nan, np.inf])
def test_a_scaler_that_divides_finite_numbers_into_none_is_passed_over(
    trained: SmallSet, models: Path, spoilt: float, caplog: pytest.LogCaptureFixture
) -> None:
    scaler = pickle.loads((models / SCALER_NAME).read_bytes())
    scaler.scale_[3] = spoilt
    (models / SCALER_NAME).write_bytes(pickle.dumps(scaler))
    manifest = json.loads((models / "model_compat.json").read_text())
    manifest["artifacts"][SCALER_NAME] = sha256_of(models / SCALER_NAME)
    (models / "model_compat.json").write_text(json.dumps(manifest))
    with caplog.at_level(logging.WARNING):
        assert load_undisturbed(models, trained.ml_settings, EnsemblePredictor).sources["scaler"] == METADATA_NAME
    assert "does not hold the scaling of finite numbers" in caplog.text


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_alone_gives_the_same_bytes_as_in_a_batch(trained: SmallSet, models: Path, kind: FileKind) -> None:
    predictor = served_by(trained, models, kind)
    rows = trained.later_features[:300]
    batch = predictor.predict_proba(rows)
    alone = np.concatenate([predictor.predict_proba(rows[i : i + 1]) for i in range(len(rows))])
    assert alone.tobytes() == batch.tobytes()


def test_chunking_does_not_show(trained: SmallSet) -> None:
    predictor = load_undisturbed(trained.models_dir, trained.ml_settings, EnsemblePredictor)
    some = trained.later_features[:5000]
    many = np.concatenate((some, some, some))
    assert len(many) > CHUNK_ROWS
    assert predictor.predict_proba(many).tobytes() == np.concatenate([predictor.predict_proba(some)] * 3).tobytes()


def test_no_rows_give_no_answers(trained: SmallSet) -> None:
    predictor = load_undisturbed(trained.models_dir, trained.ml_settings, EnsemblePredictor)
    assert predictor.predict_proba(trained.later_features[:0]).shape == (0, 3, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_a_number_is_named(trained: SmallSet, value: float) -> None:
    rows = trained.later_features[:10].copy()
    rows[4, 7] = value
    predictor = load_undisturbed(trained.models_dir, trained.ml_settings, EnsemblePredictor)
    with pytest.raises(DataError, match=f"feature {trained.ml_settings.features[7]} of row 4"):
        predictor.predict_proba(rows)


def test_another_number_of_features_is_refused(trained: SmallSet) -> None:
    predictor = load_undisturbed(trained.models_dir, trained.ml_settings, EnsemblePredictor)
    with pytest.raises(DataError, match=rf"\(n, {len(trained.ml_settings.features)}\)"):
        predictor.predict_proba(trained.later_features[:5, :-1])


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_planted_pickle_is_never_decoded(
    trained: SmallSet, models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for file in (member_file("rf", "calibrated"), SCALER_NAME):
        (models / file).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with caplog.at_level(logging.WARNING):
        predictor = load_undisturbed(models, trained.ml_settings, EnsemblePredictor)
    assert not (tmp_path / "sprung").exists()
    assert predictor.sources["rf"] == "ensemble_rf.onnx"
    assert "ensemble_rf_calibrated.pkl is damaged or foreign" in caplog.text
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").exists(), "the trap itself does not work"


def test_a_truncated_file_is_passed_over_with_a_warning(
    trained: SmallSet, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = models / member_file("xgb", "calibrated")
    file.write_bytes(file.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING):
        predictor = load_undisturbed(models, trained.ml_settings, EnsemblePredictor)
    assert predictor.sources["xgb"] == "ensemble_xgb.onnx"
    assert "ensemble_xgb_calibrated.pkl" in caplog.text


def test_swapped_files_are_passed_over(trained: SmallSet, models: Path) -> None:
    first, second = (models / member_file(name, "calibrated") for name in ("xgb", "lgb"))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    predictor = load_undisturbed(models, trained.ml_settings, EnsemblePredictor)
    assert predictor.sources["xgb"] == "ensemble_xgb.onnx"
    assert predictor.sources["lgb"] == "ensemble_lgb.onnx"
    assert predictor.sources["rf"] == "ensemble_rf_calibrated.pkl"


def test_a_listed_file_that_holds_another_member_is_passed_over(trained: SmallSet, models: Path) -> None:
    shutil.copy(models / member_file("xgb", "calibrated"), models / member_file("lgb", "calibrated"))
    manifest = json.loads((models / "model_compat.json").read_text())
    manifest["artifacts"][member_file("lgb", "calibrated")] = sha256_of(models / member_file("lgb", "calibrated"))
    (models / "model_compat.json").write_text(json.dumps(manifest))
    assert load_undisturbed(models, trained.ml_settings, EnsemblePredictor).sources["lgb"] == "ensemble_lgb.onnx"


def test_a_member_with_no_usable_file_is_an_error_that_names_the_files_and_the_command(
    trained: SmallSet, models: Path
) -> None:
    for kind in KINDS:
        (models / member_file("rf", kind)).write_bytes(b"broken")
    with pytest.raises(ModelError) as caught:
        load_undisturbed(models, trained.ml_settings, EnsemblePredictor)
    for kind in KINDS:
        assert member_file("rf", kind) in str(caught.value)
    assert "python train_ml_model.py --ensemble" in str(caught.value)
    assert caught.value.exit_code == 5


def test_the_metadata_stand_in_for_a_lost_scaler(trained: SmallSet, models: Path) -> None:
    (models / SCALER_NAME).unlink()
    predictor = load_undisturbed(models, trained.ml_settings, EnsemblePredictor)
    assert predictor.sources["scaler"] == METADATA_NAME
    rows = trained.later_features[:500]
    expected = load_undisturbed(trained.models_dir, trained.ml_settings, EnsemblePredictor).predict_proba(rows)
    assert predictor.predict_proba(rows).tobytes() == expected.tobytes()


def test_without_metadata_the_raw_pickle_is_not_used_uncalibrated(trained: SmallSet, models: Path) -> None:
    (models / METADATA_NAME).unlink()
    for kind in ("calibrated", "onnx"):
        (models / member_file("lgb", kind)).unlink()
    with pytest.raises(ModelError, match=METADATA_NAME):
        load_undisturbed(models, trained.ml_settings, EnsemblePredictor)


def test_a_set_for_other_features_is_refused(trained: SmallSet) -> None:
    features = trained.ml_settings.features
    other = trained.ml_settings.model_copy(update={"features": features[::-1]})
    with pytest.raises(ModelCompatibilityError):
        load_undisturbed(trained.models_dir, other, EnsemblePredictor)


def test_no_set_is_an_error_that_names_the_file(trained: SmallSet, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model_compat\.json does not exist"):
        load_undisturbed(tmp_path / "nothing", trained.ml_settings, EnsemblePredictor)


def test_other_hyperparameters_are_reported_but_served(trained: SmallSet, caplog: pytest.LogCaptureFixture) -> None:
    other = trained.ml_settings.model_copy(
        update={"labeling": trained.ml_settings.labeling.model_copy(update={"horizon_bars": 50})}
    )
    with caplog.at_level(logging.WARNING):
        load_undisturbed(trained.models_dir, other, EnsemblePredictor)
    assert "--no-warmstart" in caplog.text


def test_the_fingerprint_is_the_manifest_and_changes_with_the_serving_step(trained: SmallSet, models: Path) -> None:
    usual = load_undisturbed(models, trained.ml_settings, EnsemblePredictor).fingerprint
    assert usual == sha256_of(models / "model_compat.json")
    assert served_by(trained, models, "onnx").fingerprint != usual


def test_the_cutoff_is_the_last_bar_a_label_looked_at(trained: SmallSet) -> None:
    predictor = load_undisturbed(trained.models_dir, trained.ml_settings, EnsemblePredictor)
    assert predictor.train_cutoff == trained.report.train_cutoff
    assert str(predictor.train_cutoff.tz) == "UTC"
    assert trained.bars["time"].iloc[-97] <= predictor.train_cutoff <= trained.bars["time"].iloc[-1]
