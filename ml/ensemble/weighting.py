"""How much each row counts while members are fitted: by class and by age.

Only fits are weighted so. Calibrators and metrics keep the plain weights, which speak of the
market as it is: a member that was shown classes in other proportions is led back by its
calibrator.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ml.arrays import N_CLASSES, ClassArray, Float64Array
from novosky.errors import DataError
from novosky.settings.ml import EnsembleModel

_DAY = 86_400.0


def fit_weights(
    weights: Float64Array, labels: ClassArray, times: npt.NDArray[np.int64], settings: EnsembleModel
) -> Float64Array:
    """Return the weights of the rows of one fit.

    Their sum is that of the plain weights, so that `min_child_weight` keeps its meaning.

    Parameters
    ----------
    weights : ndarray of float64, shape (n,)
        Plain weights.
    labels : ndarray of int8, shape (n,)
    times : ndarray of int64, shape (n,)
        Bar opens of the rows, seconds since 1970-01-01 UTC; the newest row has age 0.
    settings : EnsembleModel
        `recency_half_life_days` is applied first, then `class_weight`.

    Returns
    -------
    ndarray of float64, shape (n,)
        The very array given when neither setting is on.

    Raises
    ------
    DataError
        The half-life leaves a class without weight.

    Examples
    --------
    >>> model = EnsembleModel(class_weight="balanced")
    >>> labels = np.array([0, 0, 1, 2], dtype=np.int8)
    >>> fit_weights(np.ones(4), labels, np.zeros(4, dtype=np.int64), model).round(3).tolist()
    [0.667, 0.667, 1.333, 1.333]
    """
    half_life = settings.recency_half_life_days
    if half_life is None and settings.class_weight == "none":
        return weights
    fitted = weights
    if half_life is not None:
        fitted = weights * 0.5 ** ((times.max() - times) / (_DAY * half_life))
        totals = np.bincount(labels, weights=fitted, minlength=N_CLASSES)
        if not (totals[np.unique(labels)] > 0.0).all():
            raise DataError(
                f"with recency_half_life_days {half_life:g} the rows of a class are all too old to count; "
                "correct it in ml_config.json"
            )
    if settings.class_weight == "balanced":
        fitted = fitted / np.bincount(labels, weights=fitted, minlength=N_CLASSES)[labels]
    # The same sum as before: limits that count weight, as `min_child_weight` does, must not change their meaning.
    return np.asarray(fitted * (weights.sum() / fitted.sum()), dtype=np.float64)
