"""Rows on which a model and its flat form must agree: every leaf of every tree, at the edge of what it covers.

A fault in reading a model (a threshold rounded the wrong way, a branch exchanged, a leaf of
another tree) shows only in a row that meets it. So the rows are made from the model's own
thresholds, the numbers just beside them included, until each leaf that can be reached has
been reached by a row at one end of its range.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ml.trees.flat import FlatTrees
from novosky.compiled import compiled

_DRAWN = 64
_SEED = 20_240_101


def probe_rows(trees: FlatTrees, width: int) -> npt.NDArray[Any]:
    """Return rows that reach every leaf which any row can reach, many of them on a threshold.

    Parameters
    ----------
    trees : FlatTrees
    width : int
        Inputs of the model.

    Returns
    -------
    ndarray, shape (n, width)
        In the precision of the thresholds; without NaN, which predictors refuse. Zeros of both
        signs, numbers too small to divide by and infinities are among them.
    """
    rng = np.random.default_rng(_SEED)
    kind = trees.threshold.dtype.type
    places = [_places(trees, column) for column in range(width)]
    special = [kind(number) for number in (0.0, -0.0, 1e-36, -1e-36, 1.0, -1.0, np.inf, -np.inf)]
    extremes = np.array([[number] * width for number in special], dtype=kind)
    mixed = rng.choice(np.array(special, dtype=kind), (len(special), width))
    drawn = np.empty((_DRAWN, width), dtype=kind)
    for column, found in enumerate(places):
        drawn[:, column] = rng.choice(found, _DRAWN)
    forced, count = _rows_to_leaves(trees, drawn, _parents(trees))
    return np.concatenate((extremes, mixed, drawn, forced[:count]))


def _places(trees: FlatTrees, column: int) -> npt.NDArray[Any]:
    """Return the thresholds at one input, the numbers on either side of each, and zero."""
    is_leaf = trees.child == np.arange(len(trees.child))
    at = np.unique(trees.threshold[(trees.feature == column) & ~is_leaf])
    up, down = at.dtype.type(np.inf), at.dtype.type(-np.inf)
    return np.concatenate((at, np.nextafter(at, up), np.nextafter(at, down), np.zeros(1, at.dtype)))


def _parents(trees: FlatTrees) -> npt.NDArray[np.int32]:
    """Return each node's parent, -1 for a root."""
    parent = np.full(len(trees.child), -1, dtype=np.int32)
    inner = np.flatnonzero(trees.child != np.arange(len(trees.child)))
    parent[trees.child[inner]] = inner
    parent[trees.child[inner] + 1] = inner
    return parent


@compiled
def _rows_to_leaves(
    trees: FlatTrees, drawn: npt.NDArray[Any], parent: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[Any], int]:
    """Return a row for every leaf that neither `drawn` nor an earlier row reaches, and how many there are."""
    nodes = len(trees.child)
    reached = np.zeros(nodes, dtype=np.bool_)
    for at in range(len(drawn)):
        _mark(trees, drawn[at], reached)
    rows = np.empty((nodes, drawn.shape[1]), dtype=drawn.dtype)
    count = 0
    for leaf in range(nodes):
        if trees.child[leaf] == leaf and not reached[leaf]:
            rows[count] = drawn[leaf % len(drawn)]
            # Odd leaves at the upper end of their range, even ones at the lower.
            if _move_into(trees, leaf, parent, rows[count], leaf % 2 == 1):
                _mark(trees, rows[count], reached)
                count += 1
    return rows, count


@compiled
def _mark(trees: FlatTrees, row: npt.NDArray[Any], reached: npt.NDArray[np.bool_]) -> None:
    for tree in range(len(trees.root)):
        node = trees.root[tree]
        for _ in range(trees.depth[tree]):
            node = trees.child[node] + (row[trees.feature[node]] > trees.threshold[node])
        reached[node] = True


@compiled
def _move_into(trees: FlatTrees, leaf: int, parent: npt.NDArray[np.int32], row: npt.NDArray[Any], upper: bool) -> bool:
    """Change `row` so that it ends in the leaf; False when no row does."""
    low = np.full(len(row), -np.inf, dtype=row.dtype)
    high = np.full(len(row), np.inf, dtype=row.dtype)
    node = leaf
    while parent[node] >= 0:
        above = parent[node]
        column, at = trees.feature[above], trees.threshold[above]
        if node == trees.child[above]:
            high[column] = min(high[column], at)
        else:
            low[column] = max(low[column], at)
        node = above
    for column in range(len(row)):
        if low[column] >= high[column]:
            return False
        if high[column] < np.inf and (upper or low[column] == -np.inf):
            row[column] = high[column]
        elif low[column] > -np.inf:
            row[column] = np.nextafter(low[column], high[column])
    return True
