"""Training of the position ensemble on the trades the signal model would have entered unseen.

Entries come from the signal model's out-of-fold probabilities only: in sample it is too sure
and too often right, and a position model raised on such trades would hold what it should leave.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.arrays import N_CLASSES, ClassArray, Float64Array
from ml.ensemble.device import Devices
from ml.ensemble.trainer import Folds, Progress, TrainedEnsemble, TrainingRows, train_ensemble
from ml.labels.out_of_fold import OutOfFold, entry_confidence, find_entries
from ml.labels.position import Bracket, PositionLabels, label_positions, thin_rows
from ml.sets.ensemble_files import POSITION_FILES
from ml.signal.trainer import average_uniqueness
from novosky.errors import DataError
from novosky.market.bars import epoch_seconds, venue_seams
from novosky.market.news import NewsCalendar
from novosky.settings import MlSettings, Settings

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PositionDataset:
    """The labelled closes of all trades, each array of length n, trade by trade.

    Attributes
    ----------
    features : ndarray of float64, shape (n, k + 4)
        The features of the bar, then `POSITION_INPUTS`.
    labels : ndarray of int8
        0 HOLD, 1 EXIT, 2 ADD.
    weights : ndarray of float64
        Average uniqueness of the row's trade, scaled to mean 1.
    times : ndarray of int64
        Bar opens of the rows, seconds since 1970-01-01 UTC.
    trade : ndarray of int64
        The row's trade.
    first, last : ndarray of int64, shape (m,)
        Entry and exit bar of every trade.
    cutoff : pandas.Timestamp
        UTC open of the last bar any trade looked at.
    """

    features: Float64Array
    labels: ClassArray
    weights: Float64Array
    times: IntArray
    trade: IntArray
    first: IntArray
    last: IntArray
    cutoff: pd.Timestamp


def bracket_of(settings: Settings, ml_settings: MlSettings) -> Bracket:
    """Return the terms of the labelled trades: the traded bracket, the labels' horizon and spread."""
    levels = settings.risk_management
    return Bracket(
        sl_mult=levels.sl_atr_mult,
        tp_mult=levels.tp_atr_mult,
        horizon_bars=ml_settings.labeling.horizon_bars,
        spread=ml_settings.labeling.spread,
        slippage=settings.costs.slippage,
        margin_r=ml_settings.position_model.exit_margin_r,
    )


def build_position_dataset(
    bars: pd.DataFrame,
    out_of_fold: OutOfFold,
    settings: Settings,
    ml_settings: MlSettings,
    news: NewsCalendar | None = None,
) -> PositionDataset:
    """Follow the out-of-fold entries and describe every close of theirs.

    Parameters
    ----------
    bars : pandas.DataFrame
        The bars the signal set was trained on.
    out_of_fold : OutOfFold
    settings : Settings
        For the traded bracket and the slippage.
    ml_settings : MlSettings
    news : NewsCalendar, optional

    Raises
    ------
    DataError
        Too few entries, or too few closes of a class; says how many there are and must be.
    """
    frame, labels = follow_entries(bars, out_of_fold, settings, ml_settings, news)
    return describe_closes(bars, frame, labels, ml_settings)


def describe_closes(
    bars: pd.DataFrame, frame: pd.DataFrame, labels: PositionLabels, ml_settings: MlSettings
) -> PositionDataset:
    """Describe every `row_every_bars`-th close of the trades that `follow_entries` returned.

    Raises
    ------
    DataError
        Too few closes of a class; says how many there are and must be.
    """
    labels = thin_rows(labels, ml_settings.position_model.row_every_bars)
    _check_classes(labels, ml_settings)
    uniqueness = average_uniqueness(labels.first, labels.last, len(bars))[labels.trade]
    return PositionDataset(
        features=close_features(frame, labels, ml_settings),
        labels=labels.labels,
        weights=uniqueness / uniqueness.mean(),
        times=epoch_seconds(bars)[labels.bar],
        trade=labels.trade,
        first=labels.first,
        last=labels.last,
        cutoff=bars["time"].iloc[int(labels.last.max())],
    )


def follow_entries(
    bars: pd.DataFrame,
    out_of_fold: OutOfFold,
    settings: Settings,
    ml_settings: MlSettings,
    news: NewsCalendar | None = None,
) -> tuple[pd.DataFrame, PositionLabels]:
    """Return the feature frame of the bars and every close of the out-of-fold entries' trades.

    Raises
    ------
    DataError
        Too few entries; says how many there are and must be.
    """
    from ml.feature_engineering import add_all_features

    model, confidence = ml_settings.position_model, entry_confidence(ml_settings, out_of_fold)
    entries = find_entries(bars, out_of_fold, confidence, model.entry_min_gap)
    _check_entries(len(entries.bar), confidence, ml_settings)
    frame = add_all_features(bars, news, settings.frame)
    atr = frame["atr"].to_numpy(dtype=np.float64)
    labels = label_positions(
        bars,
        atr,
        entries,
        bracket_of(settings, ml_settings),
        venue_seams(bars),
        frame=settings.frame,
        calendar=settings.instrument.calendar,
    )
    _check_entries(len(labels.first), confidence, ml_settings)
    return frame, labels


def close_features(frame: pd.DataFrame, labels: PositionLabels, ml_settings: MlSettings) -> Float64Array:
    """Return what the position model is told at each labelled close, shape (n, k + 4)."""
    # Bars with an entry are warm, and no later bar is colder.
    features = frame[list(ml_settings.features)].to_numpy(dtype=np.float64)[labels.bar]
    return np.concatenate((features, labels.inputs), axis=1)


def _check_entries(found: int, confidence: float, ml_settings: MlSettings) -> None:
    model = ml_settings.position_model
    if found < model.min_entries:
        raise DataError(
            f"the signal model's out-of-fold probabilities give {found} entries, but the position model needs "
            f"{model.min_entries} (confidence {confidence:g}, gap {model.entry_min_gap:g}); train on more "
            "bars, or lower position_model.entry_confidence, entry_min_gap or min_entries in ml_config.json"
        )


def _check_classes(labels: PositionLabels, ml_settings: MlSettings) -> None:
    counts = np.bincount(labels.labels, minlength=N_CLASSES)
    least = 10 * ml_settings.position_model.calibration_folds
    scarce = [
        f"{name} {count}" for name, count in zip(POSITION_FILES.class_names, counts, strict=True) if count < least
    ]
    if scarce:
        raise DataError(
            f"the closes of {len(labels.first)} trades give too few labels ({', '.join(scarce)}; at least {least} of "
            "each are needed): train on more bars, or correct position_model.exit_margin_r in ml_config.json"
        )


def trade_folds(dataset: PositionDataset, n_splits: int, embargo: int) -> Folds:
    """Return the training and held-out rows of each fold; the rows of a trade stay together."""
    from ml.labels.splits import PurgedSpanKFold

    splitter = PurgedSpanKFold(n_splits, first=dataset.first, last=dataset.last, embargo=embargo)
    return [
        (np.flatnonzero(np.isin(dataset.trade, train)), np.flatnonzero(np.isin(dataset.trade, test)))
        for train, test in splitter.split(dataset.first)
    ]


def train_position(
    dataset: PositionDataset,
    ml_settings: MlSettings,
    *,
    devices: Devices,
    threads: int,
    seed: int,
    progress: Progress,
) -> TrainedEnsemble:
    """Fit, calibrate and measure the three members, always afresh: their trades are new with every signal set.

    Parameters
    ----------
    dataset : PositionDataset
    ml_settings : MlSettings
    devices : Devices
    threads : int
        At least 1. The result does not depend on it.
    seed : int
    progress : Progress
    """
    settings = ml_settings.position_model
    return train_ensemble(
        TrainingRows(dataset.features, dataset.labels, dataset.weights, dataset.times),
        trade_folds(dataset, settings.calibration_folds, settings.embargo_bars),
        settings,
        devices=devices,
        threads=threads,
        seed=seed,
        warm=None,
        progress=progress,
    )
