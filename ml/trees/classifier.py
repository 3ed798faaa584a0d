"""Class probabilities of a random forest, XGBoost or LightGBM model from its flat trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ml.arrays import Float32Matrix, Float64Array
from ml.trees.flat import FlatTrees, add_leaves, softmax_double, softmax_single
from ml.trees.readers import read_forest, read_lightgbm, read_xgboost


@dataclass(frozen=True, eq=False)
class FlatClassifier:
    """A fitted classifier as arrays; float32 features (n, width) in, float64 probabilities (n, classes) out.

    Attributes
    ----------
    trees : FlatTrees
    start : ndarray, shape (classes,)
        What stands in the sums before the first tree, in the precision of the sums.
    ending : {"mean", "softmax"}
        How probabilities follow from the sums: a forest's trees are averaged, boosted ones are log odds.
    width : int
        Inputs of the model.
    """

    trees: FlatTrees
    start: npt.NDArray[Any]
    ending: Literal["mean", "softmax"]
    width: int

    def __call__(self, features: Float32Matrix) -> Float64Array:
        """Return the probabilities of rows without NaN; a row's do not depend on the rows beside it."""
        # The compiled walk trusts that every input a tree looks at is there; it is compiled for rows that lie together.
        assert features.shape[1] == self.width
        features = np.ascontiguousarray(features)
        sums = np.empty((len(features), len(self.start)), dtype=self.start.dtype)
        sums[:] = self.start
        add_leaves(self.trees, features, sums)
        if self.ending == "mean":
            sums /= len(self.trees.root)
            return sums
        answer = np.empty(sums.shape)
        if sums.dtype == np.float32:
            softmax_single(sums, answer)
        else:
            softmax_double(sums, answer)
        return answer


def flat_classifier(name: str, base: Any, classes: int, width: int) -> FlatClassifier:
    """Read a fitted member as arrays.

    Parameters
    ----------
    name : {"rf", "xgb", "lgb"}
    base : RandomForestClassifier or xgboost.Booster or lightgbm.Booster
    classes, width : int

    Raises
    ------
    UnreadableTreesError
        It holds what the flat form does not cover.
    """
    if name == "rf":
        return FlatClassifier(read_forest(base, classes, width), np.zeros(classes), "mean", width)
    if name == "xgb":
        trees, start = read_xgboost(base, classes, width)
        return FlatClassifier(trees, start, "softmax", width)
    text = base.model_to_string()
    trees = read_lightgbm(text, classes, width, objectives={"multiclass"}, single_inputs=True)
    return FlatClassifier(trees, np.zeros(classes), "softmax", width)
