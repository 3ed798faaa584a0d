"""What every stage of a training run is given, and what they count alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from ml.arrays import ClassArray, Float64Array
from ml.ensemble.trainer import Progress
from ml.labels.out_of_fold import OutOfFold, OutOfFoldDistances
from ml.sets.stage_files import Stage
from novosky.market.news import NewsCalendar
from novosky.settings import MlSettings, Settings


@dataclass(frozen=True, eq=False)
class TradeSequence:
    """Trades one after another on one account, sized at a multiplier of 1.

    Attributes
    ----------
    states : ndarray, shape (n, 7)
        The account at each trade's decision, in the order of `novosky.settings.equity_state.EQUITY_STATE`.
    returns : ndarray, shape (n,)
        Net result of each trade, all costs included, as a share of the equity before it.
    """

    states: Float64Array
    returns: Float64Array


class TradeHistory(Protocol):
    """Runs the execution rules over the training window; the drivers above give it to the risk stage."""

    def __call__(
        self,
        bars: pd.DataFrame,
        signal: OutOfFold,
        distances: OutOfFoldDistances,
        settings: Settings,
        ml_settings: MlSettings,
        news: NewsCalendar | None,
        seed: int,
    ) -> Sequence[TradeSequence]:
        """Return the completed backtest as the first sequence, then resampled ones of the same trades."""


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
    trade_history : TradeHistory or None
        Needed by the risk stage.
    trained : tuple of str
        The stages of this run; what they build on is in `staging`, otherwise in `models_dir`.
    onnx : bool
        Whether ONNX copies are written.
    """

    bars: pd.DataFrame
    ml_settings: MlSettings
    settings: Settings
    models_dir: Path
    staging: Path
    tell: Progress
    seed: int | None
    news: NewsCalendar | None
    trade_history: TradeHistory | None
    trained: tuple[Stage, ...]
    onnx: bool = True


def thread_count(ml_settings: MlSettings) -> int:
    """Return how many threads training may use: as configured, or every core."""
    from joblib import cpu_count

    return ml_settings.training.threads or int(cpu_count())


def class_balance(labels: ClassArray, names: Sequence[str]) -> dict[str, float]:
    """Return the share of each class among the labels, by name."""
    counts = np.bincount(labels, minlength=len(names))
    return {name: float(count / len(labels)) for name, count in zip(names, counts, strict=True)}
