"""What every stage of a training run is given, and what they count alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ml.ensemble import ClassArray
from ml.ensemble_trainer import Progress
from novosky.market.news import NewsCalendar
from novosky.settings import MlSettings, Settings


@dataclass(frozen=True, eq=False)
class StageRun:
    """One training run, as its stages see it.

    Attributes
    ----------
    bars : pandas.DataFrame
        Bar frame of the training window.
    ml_settings : MlSettings
    settings : Settings
    models_dir : Path
        The set in place.
    staging : Path
        Where the new files go.
    tell : callable
        Progress.
    seed : int or None
        Instead of the stage's own.
    news : NewsCalendar or None
    """

    bars: pd.DataFrame
    ml_settings: MlSettings
    settings: Settings
    models_dir: Path
    staging: Path
    tell: Progress
    seed: int | None
    news: NewsCalendar | None


def thread_count(ml_settings: MlSettings) -> int:
    """Return how many threads training may use: as configured, or every core."""
    from joblib import cpu_count

    return ml_settings.training.threads or int(cpu_count())


def class_balance(labels: ClassArray, names: Sequence[str]) -> dict[str, float]:
    """Return the share of each class among the labels, by name."""
    counts = np.bincount(labels, minlength=len(names))
    return {name: float(count / len(labels)) for name, count in zip(names, counts, strict=True)}
