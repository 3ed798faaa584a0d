"""Trees of scikit-learn, XGBoost and LightGBM read into `FlatTrees`.

What a reader does not know (categories, linear leaves, missing zeros, trees of another kind) it
refuses with `UnreadableTreesError`; the library then goes on serving.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence, Set
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml.trees.flat import FlatTrees, below_float32, floor_float32
from novosky.compiled import compiled

_CATEGORICAL, _MISSING_ZERO = 1, 1
"""Bits of LightGBM's `decision_type`: the lowest says categorical, the third and fourth hold the missing type."""
_TINY = np.float32(1e-35)
"""LightGBM's `kZeroThreshold`: an input no further than this from zero is read as zero."""


class UnreadableTreesError(Exception):
    """A model holds what the flat form does not cover; the library must serve it."""


class _Nodes(NamedTuple):
    """The nodes of all trees in the library's order; places count over all of them, a leaf has children -1."""

    roots: npt.NDArray[Any]
    feature: npt.NDArray[Any]
    threshold: npt.NDArray[Any]
    left: npt.NDArray[Any]
    right: npt.NDArray[Any]
    value: npt.NDArray[Any]


def read_forest(forest: Any, n_classes: int, width: int) -> FlatTrees:
    """Read a scikit-learn random forest of `width` inputs whose leaves hold the shares of `n_classes` classes.

    Raises
    ------
    UnreadableTreesError
        Another number of classes or outputs.
    """
    if list(forest.classes_) != list(range(n_classes)) or forest.n_outputs_ != 1:
        raise UnreadableTreesError(f"a forest of the classes {list(forest.classes_)}")
    trees = [estimator.tree_ for estimator in forest.estimators_]
    roots, shift = _places([tree.node_count for tree in trees])
    left, right = (
        _moved(np.concatenate([getattr(tree, name) for tree in trees]), shift)
        for name in ("children_left", "children_right")
    )
    feature, threshold = (np.concatenate([getattr(tree, name) for tree in trees]) for name in ("feature", "threshold"))
    value = np.concatenate([tree.value[:, 0, :] for tree in trees])
    return _flat(_Nodes(roots, feature, threshold, left, right, value), width, floor_float32, np.float64)


def read_xgboost(booster: Any, n_classes: int, width: int) -> tuple[FlatTrees, npt.NDArray[np.float32]]:
    """Read an XGBoost booster of `multi:softprob`; return its trees and each class's margin before the first.

    Raises
    ------
    UnreadableTreesError
        Another objective or kind of booster, categories, leaves of several values, or trees in another order.
    """
    learner = json.loads(booster.save_raw("json"))["learner"]
    model = learner["gradient_booster"].get("model", {})
    if learner["objective"]["name"] != "multi:softprob" or learner["gradient_booster"]["name"] != "gbtree":
        raise UnreadableTreesError(f"an XGBoost model of {learner['objective']['name']}")
    if model["tree_info"] != [at % n_classes for at in range(len(model["trees"]))]:
        raise UnreadableTreesError("an XGBoost model whose trees do not take the classes in turn")
    if any(any(tree["split_type"]) for tree in model["trees"]):
        raise UnreadableTreesError("an XGBoost model that splits by category")
    if any(int(tree["tree_param"]["size_leaf_vector"]) > 1 for tree in model["trees"]):
        raise UnreadableTreesError("an XGBoost model whose leaves hold several values")
    base = np.array(json.loads(learner["learner_model_param"]["base_score"]), dtype=np.float32).reshape(-1)
    trees = model["trees"]
    roots, shift = _places([len(tree["left_children"]) for tree in trees])
    left, right = (_moved(_chained(trees, name, np.int64), shift) for name in ("left_children", "right_children"))
    # In a leaf this number is the leaf's value.
    split = _chained(trees, "split_conditions", np.float32)
    nodes = _Nodes(roots, _chained(trees, "split_indices", np.int64), split, left, right, split[:, None])
    start = np.ascontiguousarray(np.broadcast_to(base, n_classes))
    return _flat(nodes, width, below_float32, np.float32), start


def _chained(trees: Sequence[dict[str, Any]], name: str, kind: Any) -> npt.NDArray[Any]:
    return np.array(list(itertools.chain.from_iterable(tree[name] for tree in trees)), dtype=kind)


def read_lightgbm(text: str, outputs: int, width: int, *, objectives: Set[str], single_inputs: bool) -> FlatTrees:
    """Read a LightGBM text model.

    Parameters
    ----------
    text : str
        As `Booster.model_to_string` writes it.
    outputs, width : int
        Numbers that it answers, and inputs.
    objectives : set of str
        Those of which the caller knows how an answer follows from the sums of the leaves.
    single_inputs : bool
        The model is asked with float32 inputs, which allows float32 thresholds.

    Raises
    ------
    UnreadableTreesError
        Another objective, averaged trees, categories, linear leaves or zeros that count as missing.
    """
    head, *blocks = text.split("end of trees", maxsplit=1)[0].split("\nTree=")
    said = _entries(head)
    name, *terms = said.get("objective", "none").split()
    if name not in objectives or "sqrt" in terms or said.get("num_tree_per_iteration") != str(outputs):
        raise UnreadableTreesError(f"a LightGBM model of {said.get('objective')}")
    if "\naverage_output" in head:
        raise UnreadableTreesError("a LightGBM model that averages its trees")
    nodes = _lightgbm_nodes([_entries(block) for block in blocks])
    return _flat(nodes, width, lambda exact: _without_tiny(exact, single_inputs), np.float64)


def _entries(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _lightgbm_nodes(trees: Sequence[dict[str, str]]) -> _Nodes:
    def numbers(name: str, kind: type) -> npt.NDArray[Any]:
        return np.array(" ".join(tree.get(name, "") for tree in trees).split(), dtype=kind)

    leaves = numbers("num_leaves", np.int64)
    splits, decisions = leaves - 1, numbers("decision_type", np.int64)
    if any(tree.get("is_linear", "0") != "0" or tree.get("num_cat", "0") != "0" for tree in trees):
        raise UnreadableTreesError("a LightGBM model with categories or linear leaves")
    if (decisions & _CATEGORICAL).any() or ((decisions >> 2 & 3) == _MISSING_ZERO).any():
        raise UnreadableTreesError("a LightGBM model that splits by category or takes zeros as missing")
    roots, shift = _places(leaves + splits)
    # A tree's splits come first, its leaves after them.
    split = np.arange(len(shift)) < np.repeat(roots + splits, leaves + splits)
    feature, left, right = (np.full(len(shift), -1) for _ in range(3))
    threshold, value = np.zeros(len(shift)), np.zeros(len(shift))
    feature[split], threshold[split] = numbers("split_feature", np.int64), numbers("threshold", np.float64)
    value[~split] = numbers("leaf_value", np.float64)
    for side, name in ((left, "left_child"), (right, "right_child")):
        child = numbers(name, np.int64)
        # Leaf j stands as ~j among LightGBM's children.
        side[split] = shift[split] + np.where(child < 0, np.repeat(splits, splits) + ~child, child)
    return _Nodes(roots, feature, threshold, left, right, value[:, None])


def _without_tiny(threshold: npt.NDArray[np.float64], single_inputs: bool) -> npt.NDArray[Any]:
    """Return thresholds for inputs as they are, of a library that reads every input within 1e-35 of zero as zero.

    With z = 1e-35: `x <= t` of the cleaned input is `x <= z` for 0 <= t < z, and `x < -z` for -z <= t < 0.
    """
    least = -np.nextafter(_TINY, np.float32(np.inf)) if single_inputs else np.nextafter(-float(_TINY), -np.inf)
    given = floor_float32(threshold) if single_inputs else threshold
    near = np.abs(given) <= _TINY
    return np.where(near, np.where(given >= 0, given.dtype.type(_TINY), given.dtype.type(least)), given)


def _places(sizes: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return where each tree of so many nodes begins, and for each node where its tree does."""
    roots = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    return roots, np.repeat(roots, sizes)


def _moved(children: npt.NDArray[Any], shift: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.where(children < 0, -1, children + shift)


def _flat(nodes: _Nodes, width: int, as_threshold: Callable[..., npt.NDArray[Any]], value_type: Any) -> FlatTrees:
    """Put each tree level by level, its pairs of children side by side, and make every leaf its own child."""
    if not len(nodes.roots):
        raise UnreadableTreesError("a model without trees")
    order, child, root, depth = _by_level(
        *(np.ascontiguousarray(part, dtype=np.int64) for part in (nodes.roots, nodes.left, nodes.right))
    )
    is_leaf = child == np.arange(len(child))
    feature = np.where(is_leaf, 0, nodes.feature[order])
    # The compiled walk does not look whether an input is there.
    if not ((feature >= 0) & (feature < width)).all():
        raise UnreadableTreesError(f"a model that looks at more than its {width} inputs")
    threshold = as_threshold(nodes.threshold[order])
    return FlatTrees(
        root=root.astype(np.int32),
        depth=depth.astype(np.int32),
        feature=feature.astype(np.int32),
        threshold=np.where(is_leaf, threshold.dtype.type(np.inf), threshold),
        child=child.astype(np.int32),
        value=np.ascontiguousarray(nodes.value[order], dtype=value_type),
    )


@compiled
def _by_level(
    roots: npt.NDArray[np.int64], left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the nodes level by level, each one's left child as a place in that order, and each tree's root and depth.

    Raises `IndexError` where the children are not those of trees: the walk trusts them.
    """
    order, child, level = np.empty_like(left), np.empty_like(left), np.empty_like(left)
    first, depth = np.empty_like(roots), np.empty_like(roots)
    placed = 0
    for tree in range(len(roots)):
        at = placed
        first[tree], depth[tree] = at, 0
        order[placed], level[placed] = roots[tree], 0
        placed += 1
        while at < placed:
            node = order[at]
            if left[node] < 0:
                child[at] = at
                depth[tree] = max(depth[tree], level[at])
            else:
                if placed + 2 > len(order) or max(left[node], right[node]) >= len(left) or right[node] < 0:
                    raise IndexError("children that make no tree")
                child[at] = placed
                order[placed], order[placed + 1] = left[node], right[node]
                level[placed] = level[placed + 1] = level[at] + 1
                placed += 2
            at += 1
    return order[:placed], child[:placed], first, depth
