"""Trees of scikit-learn, XGBoost and LightGBM read into `FlatTrees`.

What a reader does not know (categories, linear leaves, missing zeros, trees of another kind) it
refuses with `UnreadableTreesError`; the library then goes on serving.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml.trees.flat import FlatTrees, below_float32, floor_float32

_CATEGORICAL, _MISSING_ZERO = 1, 1
"""Bits of LightGBM's `decision_type`: the lowest says categorical, the third and fourth hold the missing type."""
_TINY = np.float32(1e-35)
"""LightGBM's `kZeroThreshold`: an input no further than this from zero is read as zero."""


class UnreadableTreesError(Exception):
    """A model holds what the flat form does not cover; the library must serve it."""


class _Tree(NamedTuple):
    """One tree with its nodes numbered from 0, the root first; leaves have children -1."""

    feature: npt.NDArray[Any]
    threshold: npt.NDArray[Any]
    left: npt.NDArray[Any]
    right: npt.NDArray[Any]
    value: npt.NDArray[Any]


def read_forest(forest: Any, n_classes: int) -> FlatTrees:
    """Read a scikit-learn random forest whose leaves hold the shares of `n_classes` classes.

    Raises
    ------
    UnreadableTreesError
        Another number of classes or outputs.
    """
    if list(forest.classes_) != list(range(n_classes)) or forest.n_outputs_ != 1:
        raise UnreadableTreesError(f"a forest of the classes {list(forest.classes_)}")
    trees = [
        _Tree(tree.feature, tree.threshold, tree.children_left, tree.children_right, tree.value[:, 0, :])
        for tree in (estimator.tree_ for estimator in forest.estimators_)
    ]
    return _joined(trees, floor_float32, np.float64)


def read_xgboost(booster: Any, n_classes: int) -> tuple[FlatTrees, npt.NDArray[np.float32]]:
    """Read an XGBoost booster of `multi:softprob`; return its trees and each class's margin before the first.

    Raises
    ------
    UnreadableTreesError
        Another objective or kind of booster, categories, or trees in another order.
    """
    learner = json.loads(booster.save_raw("json"))["learner"]
    model = learner["gradient_booster"].get("model", {})
    if learner["objective"]["name"] != "multi:softprob" or learner["gradient_booster"]["name"] != "gbtree":
        raise UnreadableTreesError(f"an XGBoost model of {learner['objective']['name']}")
    if model["tree_info"] != [at % n_classes for at in range(len(model["trees"]))]:
        raise UnreadableTreesError("an XGBoost model whose trees do not take the classes in turn")
    if any(any(tree["split_type"]) for tree in model["trees"]):
        raise UnreadableTreesError("an XGBoost model that splits by category")
    base = np.array(json.loads(learner["learner_model_param"]["base_score"]), dtype=np.float32).reshape(-1)
    trees = [
        _Tree(
            np.array(tree["split_indices"]),
            # In a leaf this number is the leaf's value.
            split := np.array(tree["split_conditions"], dtype=np.float32),
            np.array(tree["left_children"]),
            np.array(tree["right_children"]),
            split[:, None],
        )
        for tree in model["trees"]
    ]
    return _joined(trees, below_float32, np.float32), np.ascontiguousarray(np.broadcast_to(base, n_classes))


def read_lightgbm(text: str, *, single_inputs: bool) -> FlatTrees:
    """Read a LightGBM text model.

    Parameters
    ----------
    text : str
        As `Booster.model_to_string` writes it.
    single_inputs : bool
        The model is asked with float32 inputs, which allows float32 thresholds.

    Raises
    ------
    UnreadableTreesError
        Averaged trees, categories, linear leaves or zeros that count as missing.
    """
    head, *blocks = text.split("end of trees", maxsplit=1)[0].split("\nTree=")
    if "\naverage_output" in head:
        raise UnreadableTreesError("a LightGBM model that averages its trees")
    trees = [_lightgbm_tree(dict(line.split("=", 1) for line in block.splitlines() if "=" in line)) for block in blocks]
    return _joined(trees, lambda exact: _without_tiny(exact, single_inputs), np.float64)


def _lightgbm_tree(entries: dict[str, str]) -> _Tree:
    def numbers(name: str, kind: type) -> npt.NDArray[Any]:
        return np.array(entries.get(name, "").split(), dtype=kind)

    leaves = numbers("leaf_value", np.float64)
    splits = len(leaves) - 1
    decisions = numbers("decision_type", np.int64)[:splits]
    if entries.get("is_linear", "0") != "0" or entries.get("num_cat", "0") != "0" or (decisions & _CATEGORICAL).any():
        raise UnreadableTreesError("a LightGBM model with categories or linear leaves")
    if ((decisions >> 2 & 3) == _MISSING_ZERO).any():
        raise UnreadableTreesError("a LightGBM model that takes zeros as missing")
    # Leaf j stands as ~j among LightGBM's children; here leaves follow the splits.
    left, right = (
        np.where(found < 0, splits + ~found, found)
        for found in (numbers(name, np.int64)[:splits] for name in ("left_child", "right_child"))
    )
    none = np.full(len(leaves), -1)
    return _Tree(
        np.concatenate((numbers("split_feature", np.int64)[:splits], none)),
        np.concatenate((numbers("threshold", np.float64)[:splits], np.zeros(len(leaves)))),
        np.concatenate((left, none)),
        np.concatenate((right, none)),
        np.concatenate((np.zeros(splits), leaves))[:, None],
    )


def _without_tiny(threshold: npt.NDArray[np.float64], single_inputs: bool) -> npt.NDArray[Any]:
    """Return thresholds for inputs as they are, of a library that reads every input within 1e-35 of zero as zero.

    With z = 1e-35: `x <= t` of the cleaned input is `x <= z` for 0 <= t < z, and `x < -z` for -z <= t < 0.
    """
    least = -np.nextafter(_TINY, np.float32(np.inf)) if single_inputs else np.nextafter(-float(_TINY), -np.inf)
    given = floor_float32(threshold) if single_inputs else threshold
    near = np.abs(given) <= _TINY
    return np.where(near, np.where(given >= 0, given.dtype.type(_TINY), given.dtype.type(least)), given)


def _joined(trees: Sequence[_Tree], as_threshold: Callable[..., npt.NDArray[Any]], value_type: Any) -> FlatTrees:
    """Put trees one after another, each level by level, and make every leaf its own child."""
    if not trees:
        raise UnreadableTreesError("a model without trees")
    orders, children, depths = zip(*(_by_level(tree) for tree in trees), strict=True)
    sizes = [len(order) for order in orders]
    roots = np.concatenate(([0], np.cumsum(sizes)[:-1]))

    def ordered(column: int) -> npt.NDArray[Any]:
        return np.concatenate([tree[column][order] for tree, order in zip(trees, orders, strict=True)])

    child = np.concatenate(children) + np.repeat(roots, sizes)
    is_leaf = child == np.arange(len(child))
    threshold = as_threshold(ordered(1))
    return FlatTrees(
        root=roots.astype(np.int32),
        depth=np.array(depths, dtype=np.int32),
        feature=np.where(is_leaf, 0, ordered(0)).astype(np.int32),
        threshold=np.where(is_leaf, threshold.dtype.type(np.inf), threshold),
        child=child.astype(np.int32),
        value=np.ascontiguousarray(ordered(4), dtype=value_type),
    )


def _by_level(tree: _Tree) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """Return a tree's nodes level by level, each one's left child as a place in that order, and the depth."""
    levels, children, placed = [np.array([0])], [], 1
    while True:
        level = levels[-1]
        left, right = tree.left[level], tree.right[level]
        inner = left >= 0
        here = np.arange(placed - len(level), placed)
        # The children of a level's splits follow it in pairs.
        children.append(np.where(inner, placed + 2 * (np.cumsum(inner) - 1), here))
        if not inner.any():
            return np.concatenate(levels), np.concatenate(children), len(levels) - 1
        below = np.stack((left[inner], right[inner]), axis=1).reshape(-1)
        levels.append(below)
        placed += len(below)
