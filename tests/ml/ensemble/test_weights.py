"""Weights of the fits: age halves them, balance evens classes out, and calibration sees neither."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.arrays import MEMBERS, Float32Matrix
from ml.ensemble.device import CPU
from ml.ensemble.members import Scaling, predict_base
from ml.ensemble.trainer import Folds, TrainedEnsemble, TrainingRows, train_ensemble
from ml.ensemble.weighting import fit_weights
from ml.labels.splits import PurgedKFold
from novosky.errors import DataError
from novosky.settings.ml import EnsembleModel

DAY = 86_400
SMALL = EnsembleModel.model_validate(
    {
        "rf": {"n_estimators": 8, "max_depth": 4, "min_samples_leaf": 10, "max_samples": 0.8},
        "xgb": {"n_estimators": 8, "min_child_weight": 5, "learning_rate": 0.2},
        "lgb": {"n_estimators": 8, "min_child_samples": 20, "learning_rate": 0.2},
        "calibration_folds": 2,
    }
)


def example_rows(count: int = 600) -> TrainingRows:
    """Rows an hour apart whose first feature tells BUY from SELL, HOLD in seven of ten."""
    random = np.random.default_rng(4)
    features = random.normal(size=(count, 3))
    side = np.where(features[:, 0] > 0.0, 1, 2)
    labels = np.where(random.random(count) < 0.7, 0, side).astype(np.int8)
    return TrainingRows(features, labels, random.uniform(0.5, 1.5, count), 3600 * np.arange(count, dtype=np.int64))


def folds_of(rows: TrainingRows) -> Folds:
    return list(PurgedKFold(2, label_end=np.arange(len(rows.labels)), embargo=5).split(rows.labels))


def fitted(rows: TrainingRows, settings: EnsembleModel) -> TrainedEnsemble:
    return train_ensemble(
        rows, folds_of(rows), settings, devices=CPU, threads=1, seed=7, warm=None, progress=lambda *_: None
    )


def scaled(models: TrainedEnsemble, rows: TrainingRows) -> Float32Matrix:
    return Scaling(models.scaler.mean_, models.scaler.scale_).apply(rows.features)


def answers(models: TrainedEnsemble, rows: TrainingRows) -> dict[str, bytes]:
    return {name: predict_base(name, models.members[name].base, scaled(models, rows)).tobytes() for name in MEMBERS}


def test_without_either_setting_the_weights_are_the_very_ones_given() -> None:
    rows = example_rows()
    assert fit_weights(rows.weights, rows.labels, rows.times, EnsembleModel()) is rows.weights


def test_a_row_one_half_life_older_weighs_half() -> None:
    times = DAY * np.array([0, 5, 10, 20], dtype=np.int64)
    weights = fit_weights(
        np.ones(4), np.array([0, 1, 2, 0], dtype=np.int8), times, EnsembleModel(recency_half_life_days=10)
    )
    assert weights[3] / weights[2] == pytest.approx(2.0)
    assert weights[3] / weights[0] == pytest.approx(4.0)
    assert weights[2] / weights[1] == pytest.approx(2**0.5)


@pytest.mark.parametrize("half_life", [None, 3.0])
def test_balanced_classes_have_equal_totals(half_life: float | None) -> None:
    rows = example_rows()
    model = EnsembleModel(class_weight="balanced", recency_half_life_days=half_life)
    weights = fit_weights(rows.weights, rows.labels, rows.times, model)
    totals = np.bincount(rows.labels, weights=weights)
    assert totals == pytest.approx([rows.weights.sum() / 3] * 3)


@pytest.mark.parametrize("model", [{"class_weight": "balanced"}, {"recency_half_life_days": 2.0}])
def test_the_total_weight_stays(model: dict[str, object]) -> None:
    rows = example_rows()
    weights = fit_weights(rows.weights, rows.labels, rows.times, EnsembleModel.model_validate(model))
    assert weights.sum() == pytest.approx(rows.weights.sum())


def test_rows_of_one_class_keep_their_proportions_when_balanced() -> None:
    rows = example_rows()
    weights = fit_weights(rows.weights, rows.labels, rows.times, EnsembleModel(class_weight="balanced"))
    for label in range(3):
        share = weights[rows.labels == label] / rows.weights[rows.labels == label]
        assert share == pytest.approx(np.full(len(share), share[0]))


def test_a_half_life_that_leaves_a_class_no_weight_is_refused() -> None:
    times = DAY * np.array([0, 5_000, 5_000], dtype=np.int64)
    with pytest.raises(DataError, match="recency_half_life_days"):
        fit_weights(np.ones(3), np.array([0, 1, 2], dtype=np.int8), times, EnsembleModel(recency_half_life_days=1))


@pytest.mark.parametrize("changed", [{"class_weight": "balanced"}, {"recency_half_life_days": 4.0}])
def test_the_settings_reach_every_member(changed: dict[str, object]) -> None:
    rows = example_rows()
    plain, weighted = answers(fitted(rows, SMALL), rows), answers(fitted(rows, SMALL.model_copy(update=changed)), rows)
    assert [name for name in MEMBERS if plain[name] == weighted[name]] == []


def test_times_change_no_byte_while_ages_count_alike() -> None:
    rows = example_rows()
    other = replace(rows, times=rows.times[::-1].copy())
    assert answers(fitted(rows, SMALL), rows) == answers(fitted(other, SMALL), rows)


def test_calibrators_see_the_plain_weights_so_that_probabilities_stay_calibrated() -> None:
    rows = example_rows(3_000)
    models = fitted(rows, SMALL.model_copy(update={"class_weight": "balanced"}))
    share = np.bincount(rows.labels, weights=rows.weights) / rows.weights.sum()
    for name in MEMBERS:
        calibrated = models.members[name].predict_proba(scaled(models, rows))
        raw = predict_base(name, models.members[name].base, scaled(models, rows))
        assert np.average(raw[:, 0], weights=rows.weights) < share[0] - 0.15, "the fit itself saw balanced classes"
        assert np.average(calibrated[:, 0], weights=rows.weights) == pytest.approx(share[0], abs=0.04)
