"""Flat trees answer with the bytes of the library they were read from, or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pytest
import xgboost
from sklearn.ensemble import RandomForestClassifier

from ml.ensemble.members import CalibratedMember, Calibrator, FitPlan, fit_base, predict_base
from ml.ensemble.served import ServedMembers, served_member
from ml.trees.classifier import FlatClassifier, flat_classifier
from ml.trees.flat import FlatTrees
from ml.trees.probes import probe_rows
from ml.trees.proof import proved
from ml.trees.readers import UnreadableTreesError, read_lightgbm
from ml.trees.regressor import BoosterRegression, FlatRegression, served_regression
from novosky.settings.ml import EnsembleModel
from tests.helpers.sets.signal_sets import SMALL_MODELS

WIDTH, CLASSES = 12, 3
CALIBRATOR = Calibrator(hold_slope=0.8, hold_offset=0.1, side_slope=1.2, side_offset=-0.2)
NAMES = ("rf", "xgb", "lgb")


def inputs(count: int, seed: int) -> npt.NDArray[np.float64]:
    """Rows of which half the columns hold few values, so that many lie on a split's very edge, zeros among them."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, WIDTH))
    rows[:, ::2] = np.round(rows[:, ::2])
    return rows


@cache
def member(name: str) -> CalibratedMember:
    rows = inputs(4_000, seed=1)
    noise = np.random.default_rng(2).standard_normal(len(rows))
    labels = np.clip(np.round(1.0 + 0.5 * rows[:, 0] - 0.4 * rows[:, 1] + 0.6 * noise), 0, 2).astype(np.int8)
    settings = EnsembleModel.model_validate({name: value for name, value in SMALL_MODELS.items() if name in NAMES})
    base = fit_base(FitPlan(name, 24, 7), settings, rows.astype(np.float32), labels, np.ones(len(rows)))
    return CalibratedMember(name, base, CALIBRATOR)


def library(name: str) -> Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]:
    return partial(predict_base, name, member(name).base)


def flat(name: str) -> FlatClassifier:
    return flat_classifier(name, member(name).base, CLASSES, WIDTH)


def regression(**parameters: Any) -> lightgbm.Booster:
    rows = inputs(4_000, seed=3)
    target = 1.0 + np.abs(rows[:, 0] + 0.3 * rows[:, 5])
    given = {"objective": "quantile", "alpha": 0.7, "num_leaves": 9, "num_threads": 1, "verbosity": -1} | parameters
    categories = given.pop("categories", "auto")
    whole = np.abs(rows) if categories != "auto" else rows
    return lightgbm.train(given, lightgbm.Dataset(whole, target, categorical_feature=categories), 25)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 63, 64, 65, 5_000])
def test_a_classifier_gives_its_librarys_bytes_for_any_number_of_rows(name: str, count: int) -> None:
    rows = inputs(5_000, seed=4).astype(np.float32)[:count]
    expected = library(name)(rows) if count else np.empty((0, CLASSES))
    assert flat(name)(rows).tobytes() == expected.tobytes()


@pytest.mark.parametrize("objective", ["quantile", "regression"])
def test_a_regression_gives_its_librarys_bytes(objective: str) -> None:
    booster = regression(objective=objective)
    served = served_regression(booster, booster.model_to_string(), WIDTH, "model.txt")
    assert isinstance(served, FlatRegression)
    rows = inputs(5_000, seed=5)
    rows[:50] *= 1e-36
    assert served(rows).tobytes() == BoosterRegression(booster)(rows).tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_rows_on_and_beside_every_threshold_give_the_librarys_bytes(name: str) -> None:
    trees = flat(name).trees
    at = np.flatnonzero(trees.child != np.arange(len(trees.child)))
    rows = np.tile(inputs(len(at), seed=6).astype(np.float32), (3, 1))
    threshold = trees.threshold[at].astype(np.float32)
    for part, edge in enumerate((threshold, np.nextafter(threshold, np.inf), np.nextafter(threshold, -np.inf))):
        rows[part * len(at) + np.arange(len(at)), trees.feature[at]] = edge
    assert flat(name)(rows).tobytes() == library(name)(rows).tobytes()


def reached(trees: FlatTrees, rows: npt.NDArray[Any]) -> set[int]:
    """The leaves that the rows end in, walked one step at a time."""
    found = set()
    for root in trees.root:
        node = np.full(len(rows), root)
        while (trees.child[node] != node).any():
            right = rows[np.arange(len(rows)), trees.feature[node]] > trees.threshold[node]
            node = trees.child[node] + right * (trees.child[node] != node)
        found |= set(node.tolist())
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_comparison_reaches_every_leaf_that_can_be_reached(name: str) -> None:
    trees = flat(name).trees
    leaves = set(np.flatnonzero(trees.child == np.arange(len(trees.child))).tolist())
    # A library never makes a split that leaves one side empty.
    assert reached(trees, probe_rows(trees, WIDTH)) == leaves
    some = inputs(100, seed=7).astype(np.float32)
    assert reached(trees, some) < leaves, "random rows reach everything: the test tells nothing"


def raised(trees: FlatTrees) -> FlatTrees:
    up = np.nextafter(trees.threshold, trees.threshold.dtype.type(np.inf))
    return trees._replace(threshold=up)


def lowered(trees: FlatTrees) -> FlatTrees:
    return trees._replace(threshold=np.nextafter(trees.threshold, trees.threshold.dtype.type(-np.inf)))


def one_leaf_changed(trees: FlatTrees) -> FlatTrees:
    value = trees.value.copy()
    value[-1] += value.dtype.type(0.001)
    return trees._replace(value=value)


def two_leaves_exchanged(trees: FlatTrees) -> FlatTrees:
    value = trees.value.copy()
    value[[-1, -2]] = value[[-2, -1]]
    return trees._replace(value=value)


def a_tree_left_out(trees: FlatTrees) -> FlatTrees:
    return trees._replace(root=trees.root[:-1], depth=trees.depth[:-1])


def a_level_left_out(trees: FlatTrees) -> FlatTrees:
    return trees._replace(depth=trees.depth - 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "spoil", [raised, lowered, one_leaf_changed, two_leaves_exchanged, a_tree_left_out, a_level_left_out]
)
def test_a_form_that_differs_anywhere_may_not_serve(name: str, spoil: Callable[[FlatTrees], FlatTrees]) -> None:
    right = flat(name)
    assert proved(lambda: right, library(name)) is right
    with pytest.raises(UnreadableTreesError, match="otherwise than its library"):
        proved(lambda: replace(right, trees=spoil(right.trees)), library(name))


def test_other_margins_before_the_first_tree_may_not_serve() -> None:
    right = flat("xgb")
    other = replace(right, start=right.start + np.array([0, 1e-6, 0], dtype=np.float32))
    with pytest.raises(UnreadableTreesError, match="otherwise than its library"):
        proved(lambda: other, library("xgb"))


def answers_of_the_library_only(served: CalibratedMember, log: pytest.LogCaptureFixture) -> None:
    rows = np.abs(inputs(300, seed=8)).astype(np.float32)
    with log.at_level(logging.WARNING):
        asked = served_member(served, WIDTH, "ensemble_model.pkl")
    assert "ensemble_model.pkl: its library itself answers" in log.text
    assert asked.probabilities(rows).tobytes() == predict_base(served.name, served.base, rows).tobytes()


@pytest.mark.parametrize("parameters", [{"booster": "dart"}, {"objective": "multi:softmax"}, {"num_parallel_tree": 2}])
def test_xgboost_of_another_kind_goes_on_answering_itself(
    parameters: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    rows = inputs(2_000, seed=9)
    labels = np.clip(np.round(1.0 + rows[:, 0]), 0, 2)
    given = {"objective": "multi:softprob", "num_class": 3, "nthread": 1, "max_depth": 3} | parameters
    booster = xgboost.train(given, xgboost.DMatrix(rows, labels), 6)
    with caplog.at_level(logging.WARNING):
        served_member(CalibratedMember("xgb", booster, CALIBRATOR), WIDTH, "ensemble_model.pkl")
    assert "ensemble_model.pkl: its library itself answers" in caplog.text


def test_xgboost_with_categories_goes_on_answering_itself(caplog: pytest.LogCaptureFixture) -> None:
    rows = np.abs(inputs(2_000, seed=9))
    labels = np.clip(rows[:, 0], 0, 2)
    kinds = ["c"] + ["float"] * (WIDTH - 1)
    data = xgboost.DMatrix(rows, labels, feature_types=kinds, enable_categorical=True)
    given = {"objective": "multi:softprob", "num_class": 3, "nthread": 1, "max_depth": 3}
    answers_of_the_library_only(CalibratedMember("xgb", xgboost.train(given, data, 6), CALIBRATOR), caplog)


@pytest.mark.parametrize(
    "parameters", [{"zero_as_missing": True}, {"categories": [0]}, {"linear_tree": True}, {"boosting": "rf"}]
)
def test_lightgbm_of_another_kind_goes_on_answering_itself(
    parameters: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    bagged = {"bagging_fraction": 0.5, "bagging_freq": 1} if parameters.get("boosting") == "rf" else {}
    rows = np.abs(inputs(2_000, seed=9))
    labels = np.clip(rows[:, 0], 0, 2)
    given = {"objective": "multiclass", "num_class": 3, "num_threads": 1, "verbosity": -1, **bagged, **parameters}
    categories = given.pop("categories", "auto")
    data = lightgbm.Dataset(rows, labels, categorical_feature=categories, params=given)
    answers_of_the_library_only(CalibratedMember("lgb", lightgbm.train(given, data, 6), CALIBRATOR), caplog)


@pytest.mark.parametrize("parameters", [{"objective": "poisson"}, {"objective": "regression", "reg_sqrt": True}])
def test_a_regression_that_is_more_than_its_trees_goes_on_answering_itself(
    parameters: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    booster = regression(**parameters)
    with caplog.at_level(logging.WARNING):
        served = served_regression(booster, booster.model_to_string(), WIDTH, "model.txt")
    assert "model.txt: LightGBM itself answers" in caplog.text
    rows = inputs(200, seed=10)
    assert served(rows).tobytes() == booster.predict(rows, num_threads=1).tobytes()


def test_a_forest_of_other_classes_is_not_read() -> None:
    rows = inputs(500, seed=11).astype(np.float32)
    forest = RandomForestClassifier(5, max_depth=3, random_state=1).fit(rows, rows[:, 0] > 0)
    with pytest.raises(UnreadableTreesError, match="forest of the classes"):
        flat_classifier("rf", forest, CLASSES, WIDTH)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_of_more_inputs_is_not_read(name: str) -> None:
    with pytest.raises(UnreadableTreesError, match="more than its 3 inputs"):
        flat_classifier(name, member(name).base, CLASSES, 3)


def test_a_text_that_is_laid_out_otherwise_is_not_served() -> None:
    booster = regression()
    text = booster.model_to_string().replace("left_child=", "left_children=")

    def read() -> FlatRegression:
        return FlatRegression(read_lightgbm(text, 1, WIDTH, objectives={"quantile"}, single_inputs=False), WIDTH)

    with pytest.raises(UnreadableTreesError, match="laid out in a way that is not known"):
        proved(read, BoosterRegression(booster))


def test_members_calibrated_together_give_the_bytes_of_each_alone() -> None:
    rows = inputs(700, seed=12).astype(np.float32)
    members = [
        CalibratedMember(name, member(name).base, replace(CALIBRATOR, hold_slope=0.5 + at, side_offset=0.1 * at))
        for at, name in enumerate(NAMES)
    ]
    together = ServedMembers([served_member(each, WIDTH, each.name) for each in members])
    expected = np.stack([each.predict_proba(rows) for each in members], axis=1)
    assert np.ascontiguousarray(together.probabilities(rows)).tobytes() == expected.tobytes()
    for at in range(20):
        alone = together.probabilities(rows[at : at + 1])
        assert np.ascontiguousarray(alone).tobytes() == expected[at : at + 1].tobytes()


def test_rows_that_do_not_lie_together_give_the_same_bytes() -> None:
    rows = inputs(100, seed=13).astype(np.float32)
    for name in NAMES:
        assert flat(name)(np.asfortranarray(rows)).tobytes() == flat(name)(rows).tobytes()
