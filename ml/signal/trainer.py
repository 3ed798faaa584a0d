"""Training of the signal ensemble: rows, weights and purged folds.

Purged, embargoed folds give each row probabilities from members that never saw its label's
bars; they also are the entries the later stages learn from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.arrays import CLASS_NAMES, N_CLASSES, ClassArray, Float64Array
from ml.ensemble.device import Devices
from ml.ensemble.trainer import Progress, TrainedEnsemble, TrainingRows, WarmStart, train_ensemble
from novosky.errors import DataError
from novosky.market.instrument import TradingCalendar
from novosky.market.news import NewsCalendar
from novosky.market.timeframe import Timeframe
from novosky.settings.ml import MlSettings

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SignalDataset:
    """The labelled rows of a window, in time order, each array of length n.

    Attributes
    ----------
    bar_index : ndarray of int64
        Row of the bar frame each label belongs to.
    features : ndarray of float64, shape (n, k)
        In the order of ml_config.json, finite.
    labels : ndarray of int8
        0 HOLD, 1 BUY, 2 SELL.
    weights : ndarray of float64
        Average uniqueness of each label, scaled to mean 1.
    label_end : ndarray of int64
        Last row of this dataset whose bar the label still covers.
    times : DatetimeIndex
        UTC opens of the rows' bars.
    cutoff : pandas.Timestamp
        UTC open of the last bar any label looked at.
    """

    bar_index: IntArray
    features: Float64Array
    labels: ClassArray
    weights: Float64Array
    label_end: IntArray
    times: pd.DatetimeIndex
    cutoff: pd.Timestamp


def average_uniqueness(start: IntArray, end: IntArray, n_bars: int) -> Float64Array:
    """Return how much of each label's span it has to itself, averaged over its bars, in (0, 1].

    Labels that overlap tell the same story; weighting by uniqueness counts a story once
    (M. Lopez de Prado, Advances in Financial Machine Learning, 2018, section 4.4).

    Parameters
    ----------
    start, end : ndarray of int64, shape (n,)
        First and last bar of each label's span, inclusive.
    n_bars : int
        Bars in all.

    Examples
    --------
    >>> average_uniqueness(np.array([0, 1, 5]), np.array([1, 2, 6]), 8).tolist()
    [0.75, 0.75, 1.0]
    """
    changes = np.zeros(n_bars + 1)
    np.add.at(changes, start, 1.0)
    np.add.at(changes, end + 1, -1.0)
    concurrent = np.cumsum(changes[:-1])
    # As running sums: the mean over any span is then one subtraction.
    share = np.concatenate(([0.0], np.cumsum(1.0 / np.maximum(concurrent, 1.0))))
    return np.asarray((share[end + 1] - share[start]) / (end - start + 1), dtype=np.float64)


def build_dataset(
    bars: pd.DataFrame,
    ml_settings: MlSettings,
    frame: Timeframe,
    news: NewsCalendar | None = None,
    calendar: TradingCalendar | None = None,
) -> SignalDataset:
    """Compute features and labels and keep the rows that have both.

    Parameters
    ----------
    bars : pandas.DataFrame
        Bar frame of the training window.
    ml_settings : MlSettings
    frame : Timeframe
        Of the bars.
    news : NewsCalendar, optional
    calendar : TradingCalendar, optional
        When the market deals: labels may span hours at which it is closed.

    Raises
    ------
    ModelCompatibilityError
        ml_config.json names features the code does not compute.
    DataError
        Too few labelled rows, or a class that never occurs.
    """
    from ml.feature_engineering import add_all_features, get_feature_names
    from ml.labels.barrier import label_bars
    from ml.labels.splits import label_end_positions
    from ml.sets.compat import check_known_features

    check_known_features(ml_settings.features, get_feature_names())
    featured = add_all_features(bars, news, frame)
    features = featured[list(ml_settings.features)].to_numpy(dtype=np.float64)
    labels = label_bars(bars, featured["atr"].to_numpy(dtype=np.float64), ml_settings.labeling, frame, calendar)
    kept = np.flatnonzero(labels.valid & np.isfinite(features).all(axis=1)).astype(np.int64)
    side = labels.side[kept]
    _check_rows(side, bars, ml_settings)
    end = labels.end_index[kept]
    # The label of bar i is decided from the next bar on, where the trade would be entered.
    uniqueness = average_uniqueness(kept + 1, end, len(bars))
    return SignalDataset(
        bar_index=kept,
        features=features[kept],
        labels=side,
        # A mean of 1, so that limits which count weight mean what they mean for rows.
        weights=uniqueness / uniqueness.mean(),
        label_end=label_end_positions(labels.end_index, kept),
        times=pd.DatetimeIndex(bars["time"].iloc[kept]),
        cutoff=bars["time"].iloc[int(end.max())],
    )


def _check_rows(side: ClassArray, bars: pd.DataFrame, ml_settings: MlSettings) -> None:
    counts = np.bincount(side, minlength=N_CLASSES)
    folds = ml_settings.signal_model.calibration_folds
    # Below this a fold can lose a class altogether, and its probabilities mean nothing.
    least = 10 * folds
    scarce = [f"{name} {count}" for name, count in zip(CLASS_NAMES, counts, strict=True) if count < least]
    if scarce:
        window = f"{bars['time'].iloc[0]} to {bars['time'].iloc[-1]}"
        raise DataError(
            f"the bars from {window} give too few labels ({', '.join(scarce)}; at "
            f"least {least} of each are needed): train on more bars, or correct `labeling` in ml_config.json"
        )


def train_signal(
    dataset: SignalDataset,
    ml_settings: MlSettings,
    *,
    devices: Devices,
    threads: int,
    seed: int,
    warm: WarmStart | None,
    progress: Progress,
) -> TrainedEnsemble:
    """Fit, calibrate and measure the three members.

    Parameters
    ----------
    dataset : SignalDataset
    ml_settings : MlSettings
    devices : Devices
    threads : int
        At least 1. The result does not depend on it.
    seed : int
        Same rows, same seed: same bytes of predictions.
    warm : WarmStart or None
        Continue from these members. The fold members always start afresh, with as many trees
        as the finished ones: a continued one would already know the rows held out.
    progress : Progress

    Returns
    -------
    TrainedEnsemble
    """
    from ml.labels.splits import PurgedKFold

    settings = ml_settings.signal_model
    splitter = PurgedKFold(settings.calibration_folds, label_end=dataset.label_end, embargo=settings.embargo_bars)
    return train_ensemble(
        TrainingRows(dataset.features, dataset.labels, dataset.weights, dataset.times.as_unit("s").asi8),
        list(splitter.split(dataset.features)),
        settings,
        devices=devices,
        threads=threads,
        seed=seed,
        warm=warm,
        progress=progress,
    )
