"""Training of the signal ensemble: honest, repeatable, and safe to interrupt."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ml.arrays import MEMBERS
from ml.ensemble.device import CPU, choose_devices
from ml.ensemble.members import Calibrator, FitPlan, fit_base, predict_base
from ml.ensemble.predictor import EnsemblePredictor
from ml.ensemble.trainer import probability_metrics
from ml.feature_engineering import add_all_features
from ml.labels.barrier import triple_barrier
from ml.sets.compat import read_manifest
from ml.sets.ensemble_files import METADATA_NAME
from ml.sets.loading import load_undisturbed
from ml.sets.stage_files import OUT_OF_FOLD_NAME
from ml.signal.files import check_onnx_agrees
from ml.signal.trainer import SignalDataset, average_uniqueness, build_dataset, train_signal
from ml.train import ordered_stages, train
from novosky.data.synthetic import planted_direction
from novosky.errors import DataError, ModelCompatibilityError, ModelError, StorageError, UsageError
from novosky.market.timeframe import USUAL
from novosky.settings.ml import MlSettings, SignalModel
from tests.helpers.sets.signal_sets import SMALL_MODELS, SmallSet, small_ml_settings, train_small_set
from tests.helpers.small_disk import disk_with_room_for

posix_only = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and limits")


@pytest.fixture(scope="module")
def trained(small_set: SmallSet) -> SmallSet:
    return small_set


@pytest.fixture(scope="module")
def dataset(trained: SmallSet) -> SignalDataset:
    return build_dataset(trained.bars, trained.ml_settings, trained.settings.frame)


@pytest.fixture
def models(trained: SmallSet, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.models_dir, tmp_path / "models"))


def fit_again(dataset: SignalDataset, settings: MlSettings, *, threads: int, seed: int) -> Any:
    return train_signal(dataset, settings, devices=CPU, threads=threads, seed=seed, warm=None, progress=lambda *_: None)


def answers(models: Any, dataset: SignalDataset) -> bytes:
    rows = dataset.features[:500].astype(np.float32)
    members = [models.members[name].predict_proba(rows).tobytes() for name in MEMBERS]
    return b"".join([*members, models.out_of_fold.tobytes()])


def test_every_member_finds_the_planted_edge_on_later_bars(trained: SmallSet) -> None:
    announced = planted_direction(trained.later_bars)[trained.later_rows]
    rows = announced != 0
    assert rows.sum() >= 300
    answer = load_undisturbed(trained.models_dir, trained.ml_settings, EnsemblePredictor).predict_proba(
        trained.later_features[rows]
    )
    says_buy = answer[:, :, 1] > answer[:, :, 2]
    right = (says_buy == (announced[rows] > 0)[:, None]).mean(axis=0)
    assert (right >= 0.85).all(), dict(zip(MEMBERS, right, strict=True))


def test_on_the_null_market_no_side_is_found_on_later_bars(tmp_path: Path, root: Path) -> None:
    null = train_small_set(root, tmp_path / "models", kind="null")
    market = null.later_bars
    atr = add_all_features(market)["atr"].to_numpy()
    labels = triple_barrier(market, atr, spread=0.0, frame=USUAL)
    rows = null.later_rows[labels.valid[null.later_rows]]
    answer = load_undisturbed(null.models_dir, null.ml_settings, EnsemblePredictor).predict_proba(
        null.later_features[rows - null.later_rows[0]]
    )
    measured = probability_metrics(answer.mean(axis=1), labels.side[rows], np.ones(len(rows)))
    # About 1,200 labels without overlap: chance is within 0.05 of a half.
    assert abs(measured["auc_side"] - 0.5) < 0.05


def test_the_number_of_threads_does_not_change_a_byte(trained: SmallSet, dataset: SignalDataset) -> None:
    one, three = (fit_again(dataset, trained.ml_settings, threads=threads, seed=7) for threads in (1, 3))
    assert answers(one, dataset) == answers(three, dataset)


def test_the_same_seed_gives_the_same_files(trained: SmallSet, tmp_path: Path) -> None:
    again = train(trained.bars, trained.ml_settings, trained.settings, tmp_path / "models")
    assert again.train_cutoff == trained.report.train_cutoff
    first, second = read_manifest(trained.models_dir).artifacts, read_manifest(tmp_path / "models").artifacts
    assert {k: v for k, v in first.items() if k != METADATA_NAME} == {
        k: v for k, v in second.items() if k != METADATA_NAME
    }


@pytest.mark.parametrize("name", MEMBERS)
def test_another_seed_gives_another_member(trained: SmallSet, dataset: SignalDataset, name: str) -> None:
    rows = dataset.features.astype(np.float32)
    settings = trained.ml_settings.signal_model
    seven, eight = (
        fit_base(FitPlan(name, 4, seed=seed), settings, rows, dataset.labels, dataset.weights) for seed in (7, 8)
    )
    assert predict_base(name, seven, rows).tobytes() != predict_base(name, eight, rows).tobytes()


def test_the_metadata_state_how_the_set_came_about(trained: SmallSet) -> None:
    metadata = json.loads((trained.models_dir / METADATA_NAME).read_text())
    assert metadata["synthetic"] == "planted"
    assert metadata["seed"] == trained.ml_settings.signal_model.seed
    assert metadata["rows"] == trained.report.rows
    assert metadata["trees"] == {"rf": 16, "xgb": 24, "lgb": 24}
    assert sum(metadata["class_balance"].values()) == pytest.approx(1.0)
    assert set(metadata["out_of_fold"]) == {*MEMBERS, "ensemble"}
    assert metadata["out_of_fold"]["rf"]["log_loss"] > 0
    assert metadata["train_cutoff_date"] == read_manifest(trained.models_dir).train_cutoff_date


def test_the_cutoff_is_the_end_of_the_last_label(trained: SmallSet, dataset: SignalDataset) -> None:
    rule = trained.ml_settings.labeling
    atr = add_all_features(trained.bars)["atr"].to_numpy()
    labels = triple_barrier(trained.bars, atr, horizon_bars=rule.horizon_bars, spread=rule.spread, frame=USUAL)
    assert dataset.cutoff == trained.bars["time"].iloc[int(labels.end_index[dataset.bar_index].max())]


def test_out_of_fold_probabilities_are_kept_for_the_later_stages(trained: SmallSet, dataset: SignalDataset) -> None:
    with np.load(trained.models_dir / OUT_OF_FOLD_NAME) as stored:
        assert stored["probabilities"].shape == (len(dataset.labels), 3, 3)
        assert (stored["label"] == dataset.labels).all()
        assert (stored["time"] == dataset.times.as_unit("s").astype("int64")).all()
        assert np.isfinite(stored["probabilities"]).all()
    assert OUT_OF_FOLD_NAME in read_manifest(trained.models_dir).artifacts


def test_a_warm_start_adds_trees_and_says_so(trained: SmallSet, models: Path) -> None:
    report = train(trained.bars, trained.ml_settings, trained.settings, models)
    assert report.warm_start
    assert report.trees == {"rf": 20, "xgb": 30, "lgb": 30}
    assert "continued from" in report.notes[0]
    load_undisturbed(models, trained.ml_settings, EnsemblePredictor)


def test_a_warm_start_keeps_the_trees_it_continues(trained: SmallSet, dataset: SignalDataset) -> None:
    settings = trained.ml_settings.signal_model
    rows = dataset.features.astype(np.float32)
    first = fit_base(FitPlan("rf", 5, seed=1), settings, rows, dataset.labels, dataset.weights)
    longer = fit_base(FitPlan("rf", 9, seed=1, previous=first), settings, rows, dataset.labels, dataset.weights)
    kept = [tree.tree_.predict(rows[:50]).tobytes() for tree in longer.estimators_[:5]]
    assert kept == [tree.tree_.predict(rows[:50]).tobytes() for tree in first.estimators_]


def test_without_warm_start_training_begins_afresh(trained: SmallSet, models: Path) -> None:
    report = train(trained.bars, trained.ml_settings, trained.settings, models, warm_start=False)
    assert not report.warm_start
    assert report.trees == {"rf": 16, "xgb": 24, "lgb": 24}


def test_changed_features_refuse_a_warm_start_and_keep_the_set(trained: SmallSet, models: Path) -> None:
    before = read_manifest(models)
    fewer = trained.ml_settings.model_copy(update={"features": trained.ml_settings.features[:-1]})
    with pytest.raises(ModelCompatibilityError, match="--no-warmstart"):
        train(trained.bars, fewer, trained.settings, models)
    assert read_manifest(models) == before


def test_changed_hyperparameters_refuse_a_warm_start(trained: SmallSet, models: Path) -> None:
    changed = trained.ml_settings.model_copy(
        update={"signal_model": trained.ml_settings.signal_model.model_copy(update={"embargo_bars": 10})}
    )
    with pytest.raises(ModelCompatibilityError, match="--no-warmstart"):
        train(trained.bars, changed, trained.settings, models)


def test_a_damaged_set_is_trained_afresh_and_named(trained: SmallSet, models: Path) -> None:
    (models / "ensemble_lgb.pkl").write_bytes(b"broken")
    report = train(trained.bars, trained.ml_settings, trained.settings, models)
    assert not report.warm_start
    assert "ensemble_lgb.pkl" in report.notes[0]


def test_a_set_that_has_seen_later_bars_is_not_continued(trained: SmallSet, models: Path) -> None:
    report = train(trained.bars.iloc[:5500], trained.ml_settings, trained.settings, models)
    assert not report.warm_start
    assert "beyond this window" in report.notes[0]
    assert report.train_cutoff <= trained.bars["time"].iloc[5499]


def test_a_feature_nobody_computes_is_named(trained: SmallSet, tmp_path: Path) -> None:
    unknown = trained.ml_settings.model_copy(update={"features": (*trained.ml_settings.features, "moon_phase")})
    with pytest.raises(ModelCompatibilityError, match="moon_phase"):
        train(trained.bars, unknown, trained.settings, tmp_path / "models")


def test_too_few_bars_are_refused(trained: SmallSet, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few labels"):
        train(trained.bars.iloc[:2050], trained.ml_settings, trained.settings, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_stages_are_trained_in_their_order_whatever_the_flags_said() -> None:
    assert ordered_stages(("risk", "signal", "sltp")) == ("signal", "sltp", "risk")
    with pytest.raises(UsageError, match="--ensemble"):
        ordered_stages(())


def test_the_cpu_setting_asks_nothing_of_the_machine() -> None:
    assert choose_devices("cpu") == CPU


def test_uniqueness_is_the_mean_share_of_each_bar() -> None:
    start, end = np.array([0, 1, 5], dtype=np.int64), np.array([1, 2, 6], dtype=np.int64)
    assert average_uniqueness(start, end, 8).tolist() == [0.75, 0.75, 1.0]


def calibration_sample(seed: int = 5) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]:
    """Overconfident probabilities: their log odds are twice those the labels were drawn from."""
    generator = np.random.default_rng(seed)
    logits = generator.standard_normal((20_000, 3)) * 0.7
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (generator.random((len(true), 1)) > true.cumsum(axis=1)).sum(axis=1).astype(np.int8)
    shouted = np.exp(2 * logits) / np.exp(2 * logits).sum(axis=1, keepdims=True)
    return shouted, labels


def test_calibration_undoes_overconfidence() -> None:
    raw, labels = calibration_sample()
    weights = np.ones(len(labels))
    calibrator = Calibrator.fit(raw, labels, weights)
    assert calibrator.side_slope == pytest.approx(0.5, abs=0.05)
    before = probability_metrics(raw, labels, weights)["log_loss"]
    after = probability_metrics(calibrator.apply(raw), labels, weights)["log_loss"]
    assert after < before - 0.05


def test_calibration_never_turns_an_opinion_round() -> None:
    raw, labels = calibration_sample()
    opposite = np.choose(labels, [0, 2, 1]).astype(np.int8)
    calibrator = Calibrator.fit(raw, opposite, np.ones(len(labels)))
    assert calibrator.side_slope == 0.0
    share = calibrator.apply(raw)
    np.testing.assert_allclose(share[:, 1] / (share[:, 1] + share[:, 2]), np.mean(opposite[opposite != 0] == 1))


def test_calibration_survives_classes_told_apart_without_error() -> None:
    labels = np.tile(np.array([0, 1, 2], dtype=np.int8), 50)
    raw = np.where(np.eye(3)[labels] == 1, 1.0, 0.0)
    answer = Calibrator.fit(raw, labels, np.ones(150)).apply(raw)
    assert np.isfinite(answer).all()
    assert (answer.argmax(axis=1) == labels).all()


def test_calibrator_numbers_survive_the_metadata() -> None:
    raw, labels = calibration_sample()
    calibrator = Calibrator.fit(raw, labels, np.ones(len(labels)))
    assert Calibrator.from_dict(json.loads(json.dumps(calibrator.as_dict()))) == calibrator


def test_the_forest_answers_exactly_as_scikit_learn_does(trained: SmallSet, dataset: SignalDataset) -> None:
    rows = dataset.features.astype(np.float32)
    plan = FitPlan("rf", 12, seed=3, threads=2)
    forest = fit_base(plan, trained.ml_settings.signal_model, rows, dataset.labels, dataset.weights)
    assert predict_base("rf", forest, rows).tobytes() == forest.predict_proba(rows).tobytes()


def test_lightgbm_splits_lie_on_float32_values(dataset: SignalDataset) -> None:
    rows = dataset.features.astype(np.float32)
    settings = SignalModel.model_validate(SMALL_MODELS)
    booster = fit_base(FitPlan("lgb", 10, seed=3), settings, rows, dataset.labels, dataset.weights)
    lines = [line for line in booster.model_to_string().splitlines() if line.startswith("threshold=")]
    thresholds = np.array(" ".join(line.removeprefix("threshold=") for line in lines).split(), dtype=np.float64)
    assert len(thresholds) > 100
    assert (thresholds == thresholds.astype(np.float32)).all()


def test_an_export_that_disagrees_is_refused(dataset: SignalDataset, trained: SmallSet) -> None:
    member = pickle.loads((trained.models_dir / "ensemble_lgb_calibrated.pkl").read_bytes())
    foreign = (trained.models_dir / "ensemble_rf.onnx").read_bytes()
    with pytest.raises(ModelError, match="member lgb"):
        check_onnx_agrees(member, foreign, dataset.features[:200].astype(np.float32))


@posix_only
def test_a_disk_that_fills_during_training_leaves_the_old_set_working(trained: SmallSet, models: Path) -> None:
    before = load_undisturbed(models, trained.ml_settings, EnsemblePredictor).fingerprint
    with disk_with_room_for(50_000), pytest.raises(StorageError):
        train(trained.bars, trained.ml_settings, trained.settings, models)
    assert load_undisturbed(models, trained.ml_settings, EnsemblePredictor).fingerprint == before
    assert [path.name for path in models.parent.iterdir() if "staging" in path.name] == []


TRAIN_SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, ".")
from tests.helpers.sets.signal_sets import train_small_set
train_small_set(Path("."), Path(sys.argv[1]))
"""


@posix_only
def test_training_killed_in_the_middle_leaves_the_old_set_working(trained: SmallSet, models: Path, root: Path) -> None:
    before = load_undisturbed(models, trained.ml_settings, EnsemblePredictor).fingerprint
    run = subprocess.Popen([sys.executable, "-c", TRAIN_SCRIPT, str(models)], cwd=root)
    deadline = time.monotonic() + 60
    while not list(models.parent.glob(".models.staging-*/ensemble_xgb.onnx")):
        assert run.poll() is None, "training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    assert load_undisturbed(models, trained.ml_settings, EnsemblePredictor).fingerprint == before
    train(trained.bars, small_ml_settings(), trained.settings, models)
    assert sorted(path.name for path in models.parent.iterdir()) == [".models.lock", "models"]
