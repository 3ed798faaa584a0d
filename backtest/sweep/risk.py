"""The risk model as plain arrays, asked inside the compiled loop: the same bytes as LightGBM's own answers.

LightGBM adds up the leaves of its trees in their order, in double precision. So does this; the
arrays are compared with the model they were read from before anybody uses them.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml.risk_predictor import RISK_FEATURES, RiskRegressor
from novosky.compiled import compiled
from novosky.errors import ModelError
from novosky.settings.equity_state import LEAST_MULTIPLIER, MOST_MULTIPLIER

_ZERO = 1e-35
"""LightGBM takes a number this near to zero as zero where zeros count as missing."""
_PROBES = 4096
_SEED = 20_240_101


class RiskTrees(NamedTuple):
    """The nodes of all trees, one after another; no trees means a multiplier of 1.0.

    Narrow integers, so that a model of the usual size stays in the processor's nearest cache.

    Attributes
    ----------
    root : ndarray of int, shape (trees,)
        Each tree's first node.
    feature : ndarray of int8, shape (nodes,)
        Input the node splits on, -1 for a leaf.
    threshold : ndarray, shape (nodes,)
        Left when the input is not above it; a leaf's value.
    left, right : ndarray of int32, shape (nodes,)
    zero : ndarray of int8, shape (nodes,) or (0,)
        Where a zero goes: -1 like any number, 0 right, 1 left. Empty when all go like any number.
    mean, scale : ndarray, shape (7,)
        Of the inputs.
    """

    root: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int8]
    threshold: npt.NDArray[np.float64]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    zero: npt.NDArray[np.int8]
    mean: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]


def no_trees() -> RiskTrees:
    """Return the arrays of no model: every trade keeps its size."""
    small, narrow, real = np.empty(0, np.int8), np.empty(0, np.int32), np.empty(0)
    return RiskTrees(np.empty(0, np.int64), small, real, narrow, narrow, small, real, real)


def risk_trees(regressor: RiskRegressor) -> RiskTrees:
    """Return a risk model as arrays.

    Raises
    ------
    ModelError
        The arrays do not give the model's own bytes on thousands of states: another version of
        LightGBM decides differently.
    """
    import lightgbm

    nodes: list[tuple[int, float, int, int, int]] = []
    booster = lightgbm.Booster(model_str=regressor.text)
    roots = [_append(tree["tree_structure"], nodes) for tree in booster.dump_model()["tree_info"]]
    feature, threshold, left, right, zero = (np.array(column) for column in zip(*nodes, strict=True))
    trees = RiskTrees(
        root=np.array(roots, dtype=np.int64),
        feature=feature.astype(np.int8),
        threshold=threshold.astype(np.float64),
        left=left.astype(np.int32),
        right=right.astype(np.int32),
        zero=(zero if (zero >= 0).any() else zero[:0]).astype(np.int8),
        mean=np.array(regressor.mean, dtype=np.float64),
        scale=np.array(regressor.scale, dtype=np.float64),
    )
    states = _probes(trees)
    mine = np.array([tree_multiplier(tuple(state), trees) for state in states.tolist()])
    if mine.tobytes() != regressor.multipliers(states).tobytes():
        raise ModelError(
            "the risk model's trees, read as arrays, answer otherwise than LightGBM; "
            "install the version of LightGBM that requirements.txt names"
        )
    return trees


def _append(node: dict[str, Any], nodes: list[tuple[int, float, int, int, int]]) -> int:
    """Append a node and all below it; return its place."""
    at = len(nodes)
    if "leaf_value" in node:
        nodes.append((-1, float(node["leaf_value"]), -1, -1, -1))
        return at
    if node["decision_type"] != "<=":
        raise ModelError(f"the risk model splits by {node['decision_type']!r}; only numbers are expected")
    zero = int(node["default_left"]) if node["missing_type"] == "Zero" else -1
    nodes.append((int(node["split_feature"]), float(node["threshold"]), -1, -1, zero))
    left, right = _append(node["left_child"], nodes), _append(node["right_child"], nodes)
    nodes[at] = (*nodes[at][:2], left, right, zero)
    return at


def _probes(trees: RiskTrees) -> npt.NDArray[np.float64]:
    """Return account states all over the trees' range, many of them on a threshold itself."""
    rng = np.random.default_rng(_SEED)
    states: npt.NDArray[np.float64] = trees.mean + trees.scale * rng.normal(0.0, 2.0, (_PROBES, len(RISK_FEATURES)))
    splits = np.flatnonzero(trees.feature >= 0)
    for row, node in enumerate(rng.choice(splits, min(_PROBES // 2, 4 * len(splits))) if len(splits) else ()):
        column = trees.feature[node]
        states[row, column] = trees.threshold[node] * trees.scale[column] + trees.mean[column]
    states[-1] = 0.0
    return states


@compiled
def tree_multiplier(state: tuple[float, float, float, float, float, float, float], trees: RiskTrees) -> float:
    """Return the size multiplier for an account state; NaN for a state that is not finite, which no model answers."""
    inputs = np.empty(len(state))
    for column in range(len(state)):
        if not math.isfinite(state[column]):
            return math.nan
        inputs[column] = (state[column] - trees.mean[column]) / trees.scale[column]
    answer = 0.0
    for tree in range(len(trees.root)):
        node = trees.root[tree]
        while trees.feature[node] >= 0:
            value = inputs[trees.feature[node]]
            goes_left = value <= trees.threshold[node]
            if len(trees.zero) > 0 and trees.zero[node] >= 0 and abs(value) <= _ZERO:
                goes_left = trees.zero[node] == 1
            # Both read before the choice: the processor then need not guess which way a state goes.
            left, right = trees.left[node], trees.right[node]
            node = left if goes_left else right
        answer += trees.threshold[node]
    return min(max(answer, LEAST_MULTIPLIER), MOST_MULTIPLIER)
