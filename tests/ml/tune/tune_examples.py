"""A search over arithmetic instead of models, exactly repeatable, for the tests of studies."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.ensemble.trainer import Progress
from ml.tune.scoring import FoldResult
from ml.tune.search_space import Parameter
from ml.tune.storage import sqlite_storage
from ml.tune.study import SearchPlan, run_search
from novosky.settings import MlSettings

FOLDS = 3
TRADES = 40
PEAK = 0.55
"""The confidence at which the arithmetic market pays best."""


@dataclass(frozen=True)
class ArithmeticObjective:
    """Trades that pay the more, the nearer the confidence threshold lies to `PEAK`.

    Attributes
    ----------
    data : str
        Stands for the bars.
    acted : callable
        Decisions of a fold for a threshold.
    before_fold : callable
        Called with how many folds were run before.
    """

    data: str = "bars"
    acted: Callable[[float], int] = lambda threshold: TRADES
    before_fold: Callable[[int], None] = lambda count: None
    runs: list[float] = field(default_factory=list)

    @property
    def space(self) -> tuple[Parameter, ...]:
        return (
            Parameter("prediction.confidence_threshold", 0.3, 0.9),
            Parameter("signal_model.rf.max_depth", 2, 9, whole=True),
        )

    @property
    def folds(self) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        none = np.empty(0, dtype=np.int64)
        return [(none, none)] * FOLDS

    @property
    def comparable(self) -> Mapping[str, Any]:
        return {"search": "signal", "bars": self.data}

    def run_fold(self, ml_settings: MlSettings, fold: int, progress: Progress) -> FoldResult:
        self.before_fold(len(self.runs))
        threshold = ml_settings.prediction.confidence_threshold
        self.runs.append(threshold)
        acted = self.acted(threshold)
        results = np.where(np.arange(acted) % 2 == 0, 1.0, -0.8) - abs(threshold - PEAK)
        return FoldResult(gains=results, results=results, acted=acted)


def arithmetic_settings(threshold: float = 0.45) -> MlSettings:
    """Settings with a threshold away from the peak."""
    return MlSettings.model_validate(
        {"features": ["rsi_14"], "prediction": {"confidence_threshold": threshold, "min_probability_diff": 0.0}}
    )


def arithmetic_plan(
    folder: Path, trials: int, *, least: int = 20, seed: int = 7, study: str | None = None
) -> SearchPlan:
    """A plan whose study lies in a folder."""
    return SearchPlan(sqlite_storage(folder / "studies.sqlite"), study=study, trials=trials, least=least, seed=seed)


def die_after(folds: int) -> Callable[[int], None]:
    """Return what ends the process at once, as a kill does, when so many folds have been run."""

    def check(count: int) -> None:
        if count == folds:
            os._exit(9)

    return check


if __name__ == "__main__":
    run_search(
        ArithmeticObjective(before_fold=die_after(int(sys.argv[2]))),
        arithmetic_settings(),
        arithmetic_plan(Path(sys.argv[1]), 12),
        lambda step, finished: None,
    )
