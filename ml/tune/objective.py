"""What every search walks through: folds of the training window, each trained on its past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ml.arrays import N_CLASSES, ClassArray
from ml.ensemble.trainer import Progress
from ml.labels.position import IntArray
from ml.tune.scoring import FoldResult
from ml.tune.search_space import Parameter
from novosky.errors import DataError
from novosky.settings import MlSettings


class Objective(Protocol):
    """Trains on the past of a fold and trades the fold, for settings to be judged."""

    @property
    def space(self) -> tuple[Parameter, ...]:
        """What may be turned."""

    @property
    def folds(self) -> Sequence[tuple[IntArray, IntArray]]:
        """Training and test of every fold, earliest test first; rows for the signal, trades for the position."""

    @property
    def comparable(self) -> Mapping[str, Any]:
        """All that a value depends on but the searched settings, ready for JSON."""

    def run_fold(self, ml_settings: MlSettings, fold: int, progress: Progress) -> FoldResult:
        """Train on the fold's past and decide on its test.

        Parameters
        ----------
        ml_settings : MlSettings
            The settings to be judged.
        fold : int
        progress : Progress
        """


def fixed_settings(section: Mapping[str, Any], searched: Sequence[Parameter], prefix: str) -> dict[str, Any]:
    """Return what a settings section, dumped as JSON, holds beside the searched values."""
    paths = {parameter.path for parameter in searched}
    return {
        key: fixed_settings(value, searched, f"{prefix}.{key}") if isinstance(value, Mapping) else value
        for key, value in section.items()
        if f"{prefix}.{key}" not in paths
    }


def check_past(labels: ClassArray, fold: int, calibration_folds: int) -> None:
    """Refuse a fold whose past is too short to train on, by the rule that training itself applies.

    Parameters
    ----------
    labels : ndarray of int8
        Of the training rows.
    fold : int
    calibration_folds : int

    Raises
    ------
    DataError
        A class is too rare.
    """
    rarest = int(np.bincount(labels, minlength=N_CLASSES).min())
    least = 10 * calibration_folds
    if rarest < least:
        raise DataError(
            f"the past of fold {fold + 1} holds {rarest} labels of its rarest class, but training needs {least}; use "
            "fewer folds or more bars"
        )
