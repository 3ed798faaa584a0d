"""What is fitted is the same bytes for the same seed, whatever lay in memory before."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from ml.ensemble.members import FitPlan, _clear_padding, fit_base
from novosky.settings.ml import SignalModel
from tests.helpers.sets.signal_sets import SMALL_MODELS


def rows(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.normal(size=(count, 6)).astype(np.float32), rng.integers(0, 3, count).astype(np.int8), np.ones(count)


def dirty(forest: RandomForestClassifier) -> None:
    """Write over the bytes between the nodes, as memory that held something else would."""
    for tree in forest.estimators_:
        state = tree.tree_.__getstate__()
        nodes = state["nodes"]
        raw = np.full((len(nodes), nodes.dtype.itemsize), 171, dtype=np.uint8)
        clean = raw.view(nodes.dtype)[:, 0]
        for field in nodes.dtype.names:
            clean[field] = nodes[field]
        tree.tree_.__setstate__({**state, "nodes": clean})


def test_what_lies_between_the_nodes_of_a_tree_is_not_pickled() -> None:
    features, labels, _ = rows(400)
    forest = RandomForestClassifier(4, random_state=1, max_depth=5).fit(features, labels)
    for tree in forest.estimators_:
        _clear_padding(tree.tree_)
    expected = pickle.dumps(forest, protocol=5)
    answers = forest.predict_proba(features)
    dirty(forest)
    assert pickle.dumps(forest, protocol=5) != expected, "the test can fail"
    for tree in forest.estimators_:
        _clear_padding(tree.tree_)
    assert pickle.dumps(forest, protocol=5) == expected
    np.testing.assert_array_equal(forest.predict_proba(features), answers)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_fitted_forest_holds_nothing_but_itself(threads: int) -> None:
    features, labels, weights = rows(900)
    settings = SignalModel.model_validate(SMALL_MODELS)
    plan = FitPlan(name="rf", trees=8, seed=5, threads=threads, device="cpu", previous=None)
    forest = fit_base(plan, settings, features, labels, weights)
    for tree in forest.estimators_:
        raw = tree.tree_.__getstate__()["nodes"]
        width = max(offset + dtype.itemsize for dtype, offset in raw.dtype.fields.values())
        between = np.frombuffer(raw.tobytes(), np.uint8).reshape(len(raw), raw.dtype.itemsize)[:, width:]
        assert between.shape[1] > 0
        assert not between.any()
