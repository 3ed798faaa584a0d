"""What every stage of a training run is given, and what they count alike."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from ml.arrays import ClassArray, Float64Array
from ml.ensemble.trainer import Progress
from ml.labels.out_of_fold import OutOfFold, OutOfFoldDistances
from ml.sets.stage_files import Stage
from ml.stages.report import TrainingReport
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
    warm_start : bool
        Whether the signal stage continues the models in place.
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
    warm_start: bool = True

    def report(
        self,
        stage: Stage,
        bars: pd.DataFrame,
        *,
        rows: int,
        cutoff: pd.Timestamp,
        metrics: Mapping[str, Mapping[str, Any]],
        trees: Mapping[str, int],
        device: str,
        started: float,
        notes: tuple[str, ...],
        balance: Mapping[str, float] | None = None,
        warm_start: bool = False,
    ) -> TrainingReport:
        """Return what a stage did.

        Parameters
        ----------
        stage : str
        bars : pandas.DataFrame
            The bars that it learned from.
        rows, cutoff, metrics, trees, device, notes, warm_start
            See `TrainingReport`.
        started : float
            `time.perf_counter()` at its beginning.
        balance : mapping of str to float, optional
            Share of each class; regressors have none.
        """
        return TrainingReport(
            models_dir=self.models_dir,
            stages=(stage,),
            bars=len(bars),
            rows=rows,
            train_start=bars["time"].iloc[0],
            train_end=bars["time"].iloc[-1],
            train_cutoff=cutoff,
            class_balance=balance or {},
            metrics=metrics,
            trees=trees,
            warm_start=warm_start,
            device=device,
            seconds=time.perf_counter() - started,
            notes=notes,
        )


def thread_count(ml_settings: MlSettings) -> int:
    """Return how many threads training may use: as configured, or every core."""
    from joblib import cpu_count

    return ml_settings.training.threads or int(cpu_count())


def class_balance(labels: ClassArray, names: Sequence[str]) -> dict[str, float]:
    """Return the share of each class among the labels, by name."""
    counts = np.bincount(labels, minlength=len(names))
    return {name: float(count / len(labels)) for name, count in zip(names, counts, strict=True)}
