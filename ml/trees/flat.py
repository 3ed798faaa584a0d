"""The trees of one model as arrays, and the compiled walk through them.

Every library asks its own question at a split: scikit-learn `x <= t` with a double t, XGBoost
`x < t` in single precision, LightGBM `x <= t` in double precision. For single-precision inputs
all three are `x <= t` with some single-precision t (`floor_float32`, `below_float32`), so one
walk serves them all. Inputs are finite: predictors refuse NaN before they ask.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from novosky.compiled import compiled

_BLOCK = 64
"""Rows that one tree is walked for before the next: their inputs stay in the nearest cache beside the tree."""


class FlatTrees(NamedTuple):
    """The nodes of all trees of a model, one tree after another, each level by level.

    The two children of a node are neighbours, so that a step is one addition; a leaf is its own
    child with a threshold nothing is above. A walk of `depth` steps then ends in the right leaf
    whichever branch it took, and the processor never has to guess where a branch ends.

    Attributes
    ----------
    root : ndarray of int32, shape (trees,)
        Each tree's first node.
    depth : ndarray of int32, shape (trees,)
        Steps from the root to the deepest leaf.
    feature : ndarray of int32, shape (nodes,)
        Input the node looks at; 0 for a leaf.
    threshold : ndarray of float32 or float64, shape (nodes,)
        Right when the input is above it; infinite for a leaf.
    child : ndarray of int32, shape (nodes,)
        The left child; the right one is the next.
    value : ndarray of float32 or float64, shape (nodes, width)
        What a leaf adds: to one output (width 1), or to every class at once.
    """

    root: npt.NDArray[np.int32]
    depth: npt.NDArray[np.int32]
    feature: npt.NDArray[np.int32]
    threshold: npt.NDArray[Any]
    child: npt.NDArray[np.int32]
    value: npt.NDArray[Any]


def floor_float32(exact: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return the greatest float32 not above each number: for float32 x, `x <= t` and `x <= floor(t)` agree."""
    wide = np.asarray(exact, dtype=np.float64)
    near = wide.astype(np.float32)
    return np.where(near.astype(np.float64) > wide, np.nextafter(near, np.float32(-np.inf)), near)


def below_float32(exact: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return the float32 just below each float32: for float32 x, `x < t` and `x <= below(t)` agree."""
    return np.nextafter(np.asarray(exact, dtype=np.float32), np.float32(-np.inf))


@compiled
def add_leaves(trees: FlatTrees, inputs: npt.NDArray[Any], total: npt.NDArray[Any]) -> None:
    """Add every tree's leaf to `total`, row by row in the order of the trees.

    Each addition happens in the precision of `total` and in the libraries' order, because a
    sum of floats depends on both.

    Parameters
    ----------
    trees : FlatTrees
    inputs : ndarray, shape (n, k)
        Finite, in the precision of the thresholds.
    total : ndarray, shape (n, outputs)
        Tree number t adds to output t modulo outputs, or to all of them where leaves hold one value per class.
    """
    groups = total.shape[1] // trees.value.shape[1]
    for begin in range(0, len(inputs), _BLOCK):
        end = min(begin + _BLOCK, len(inputs))
        for tree in range(len(trees.root)):
            first = (tree % groups) * trees.value.shape[1]
            row = begin
            # Four walks at once hide each other's wait for memory; one by one takes twice as long.
            while row + 4 <= end:
                _add_four(trees, tree, inputs[row : row + 4], total[row : row + 4], first)
                row += 4
            while row < end:
                node = np.uint64(trees.root[tree])
                for _ in range(trees.depth[tree]):
                    node = _step(trees, inputs, row, node)
                _add_leaf(trees, node, total, row, first)
                row += 1


@compiled
def _step(trees: FlatTrees, inputs: npt.NDArray[Any], row: int, node: np.uint64) -> np.uint64:
    # Unsigned places: Numba then leaves out its care for negative indices.
    above = inputs[np.uint64(row), np.uint64(trees.feature[node])] > trees.threshold[node]
    return np.uint64(trees.child[node]) + np.uint64(above)


@compiled
def _add_leaf(trees: FlatTrees, node: np.uint64, total: npt.NDArray[Any], row: int, first: int) -> None:
    for output in range(trees.value.shape[1]):
        total[row, first + output] += trees.value[node, output]


@compiled
def _add_four(trees: FlatTrees, tree: int, inputs: npt.NDArray[Any], total: npt.NDArray[Any], first: int) -> None:
    one = two = three = four = np.uint64(trees.root[tree])
    for _ in range(trees.depth[tree]):
        one = _step(trees, inputs, 0, one)
        two = _step(trees, inputs, 1, two)
        three = _step(trees, inputs, 2, three)
        four = _step(trees, inputs, 3, four)
    _add_leaf(trees, one, total, 0, first)
    _add_leaf(trees, two, total, 1, first)
    _add_leaf(trees, three, total, 2, first)
    _add_leaf(trees, four, total, 3, first)


@compiled
def softmax_single(margins: npt.NDArray[np.float32], answer: npt.NDArray[np.float64]) -> None:
    """Write the softmax of each row of float32 margins as XGBoost computes it.

    Exponentials and quotients are single precision, their sum is double: `common::Softmax` of
    XGBoost's `src/common/math.h`.
    """
    for row in range(len(margins)):
        most = margins[row, 0]
        for at in range(1, margins.shape[1]):
            most = max(most, margins[row, at])
        total = 0.0
        for at in range(margins.shape[1]):
            margins[row, at] = math.exp(margins[row, at] - most)
            total += margins[row, at]
        for at in range(margins.shape[1]):
            answer[row, at] = margins[row, at] / np.float32(total)


@compiled
def softmax_double(margins: npt.NDArray[np.float64], answer: npt.NDArray[np.float64]) -> None:
    """Write the softmax of each row of float64 margins as LightGBM computes it (`Common::Softmax`)."""
    for row in range(len(margins)):
        most = margins[row, 0]
        for at in range(1, margins.shape[1]):
            most = max(most, margins[row, at])
        total = 0.0
        for at in range(margins.shape[1]):
            margins[row, at] = math.exp(margins[row, at] - most)
            total += margins[row, at]
        for at in range(margins.shape[1]):
            answer[row, at] = margins[row, at] / total
