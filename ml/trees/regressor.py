"""LightGBM regressions: the flat trees where they give the library's own bytes, else the library."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.arrays import Float64Array
from ml.trees.flat import FlatTrees, add_leaves
from ml.trees.proof import proved
from ml.trees.readers import UnreadableTreesError, read_lightgbm

_LOG = logging.getLogger(__name__)

Regression = Callable[[Float64Array], Float64Array]
"""From finite inputs (n, width) to answers (n,); a row's answer does not depend on the rows beside it."""

_PLAIN = frozenset({"regression", "quantile"})
"""Objectives whose answer is the sum of the leaves as it is."""


@dataclass(frozen=True, eq=False)
class BoosterRegression:
    """A LightGBM booster asked on one thread, which sums the trees of a row in their order."""

    booster: Any

    def __call__(self, rows: Float64Array) -> Float64Array:
        """Return the answers of the library."""
        # LightGBM refuses to be asked nothing.
        if len(rows) == 0:
            return np.empty(0)
        return np.asarray(self.booster.predict(rows, num_threads=1), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class FlatRegression:
    """A LightGBM regression as arrays; `width` is the number of its inputs."""

    trees: FlatTrees
    width: int

    def __call__(self, rows: Float64Array) -> Float64Array:
        """Return the sums of the leaves, in the order of the trees."""
        # The compiled walk trusts that every input a tree looks at is there; it is compiled for rows that lie together.
        assert rows.shape[1] == self.width
        sums = np.zeros((len(rows), 1))
        add_leaves(self.trees, np.ascontiguousarray(rows), sums)
        return sums[:, 0]


def served_regression(booster: Any, text: str, width: int, file: str) -> Regression:
    """Return what answers for a booster: its flat form where every bit is the library's, else the booster.

    Parameters
    ----------
    booster : lightgbm.Booster
    text : str
        The same as a LightGBM text model.
    width : int
        Its inputs.
    file : str
        Named in the log when the library has to go on answering.
    """
    library = BoosterRegression(booster)

    def read() -> FlatRegression:
        return FlatRegression(read_lightgbm(text, 1, width, objectives=_PLAIN, single_inputs=False), width)

    try:
        return proved(read, library)
    except UnreadableTreesError as reason:
        _LOG.warning("%s: LightGBM itself answers, which takes longer (%s)", file, reason)
        return library
