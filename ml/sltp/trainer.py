"""Training of the SLTP model: two quantile regressions on the excursions of entries made unseen.

Every bar the signal model answered for also gets distances out of fold. An entry stands for
the bars up to the next one; held out, it takes them along, so the folds are purged by what
trades decided on any of those bars would have seen, not only those that were entered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.arrays import Float64Array
from ml.ensemble.trainer import Progress
from ml.labels.excursions import Excursions, ExcursionTerms, label_excursions
from ml.labels.out_of_fold import OutOfFold, entry_confidence, find_entries
from ml.labels.splits import PurgedSpanKFold
from ml.signal.trainer import average_uniqueness
from ml.sltp.predictor import SIDE_INPUT, predict_distances
from ml.trees.regressor import BoosterRegression
from novosky.errors import DataError
from novosky.market.bars import epoch_seconds, venue_seams
from novosky.market.news import NewsCalendar
from novosky.settings import MlSettings, Settings
from novosky.settings.ml import LightGbm

IntArray = npt.NDArray[np.int64]

LONG, SHORT = 1, -1


@dataclass(frozen=True, eq=False)
class SltpDataset:
    """The measured entries, and every bar the signal model answered for.

    Attributes
    ----------
    names : tuple of str
        Of the k features.
    entries : Excursions
        m entries.
    features : ndarray of float64, shape (m, k + 1)
        The features of the decision bar, then the side.
    weights : ndarray of float64, shape (m,)
        Average uniqueness of the bars looked at, scaled to mean 1.
    horizon_bars : int
    row_time, row_bar : ndarray of int64, shape (n,)
        Open (seconds since 1970-01-01 UTC) and place of the answered bars, rising.
    row_features : ndarray of float64, shape (n, k)
    cutoff : pandas.Timestamp
        UTC open of the last bar any label looked at.
    """

    names: tuple[str, ...]
    entries: Excursions
    features: Float64Array
    weights: Float64Array
    horizon_bars: int
    row_time: IntArray
    row_bar: IntArray
    row_features: Float64Array
    cutoff: pd.Timestamp


@dataclass(frozen=True, eq=False)
class SltpFold:
    """Entries to learn from, entries held out, and the answered bars that go with those."""

    train: IntArray
    test: IntArray
    rows: IntArray


@dataclass(frozen=True, eq=False)
class TrainedSltp:
    """What training made.

    Attributes
    ----------
    stop, target : lightgbm.Booster
        Fitted on all entries.
    out_of_fold : ndarray of float64, shape (n, 2, 2)
        For a long (0) and a short (1) on every answered bar: stop and target in ATR.
    """

    stop: Any
    target: Any
    out_of_fold: Float64Array


def terms_of(settings: Settings, ml_settings: MlSettings) -> ExcursionTerms:
    """Return how excursions are measured: against the traded stop, over the labels' horizon, at their spread."""
    return ExcursionTerms(
        stop_mult=settings.risk_management.sl_atr_mult,
        horizon_bars=ml_settings.labeling.horizon_bars,
        spread=ml_settings.labeling.spread,
    )


def build_sltp_dataset(
    bars: pd.DataFrame,
    out_of_fold: OutOfFold,
    settings: Settings,
    ml_settings: MlSettings,
    news: NewsCalendar | None = None,
) -> SltpDataset:
    """Measure the out-of-fold entries and describe the bars they were decided on.

    Parameters
    ----------
    bars : pandas.DataFrame
        The bars the signal set was trained on.
    out_of_fold : OutOfFold
    settings : Settings
        For the traded stop.
    ml_settings : MlSettings
    news : NewsCalendar, optional

    Raises
    ------
    DataError
        Too few entries; says how many there are and must be. Or an answered bar lacks a feature.
    """
    from ml.feature_engineering import add_all_features

    model, confidence = ml_settings.position_model, entry_confidence(ml_settings, out_of_fold)
    found = find_entries(bars, out_of_fold, confidence, model.entry_min_gap)
    _check_entries(len(found.bar), confidence, ml_settings)
    frame = add_all_features(bars, news, settings.frame)
    terms = terms_of(settings, ml_settings)
    entries = label_excursions(
        bars,
        frame["atr"].to_numpy(dtype=np.float64),
        found,
        terms,
        venue_seams(bars),
        frame=settings.frame,
        calendar=settings.instrument.calendar,
    )
    _check_entries(len(entries.bar), confidence, ml_settings)
    uniqueness = average_uniqueness(entries.bar + 1, entries.last, len(bars))
    features = frame[list(ml_settings.features)].to_numpy(dtype=np.float64)
    row_bar = np.searchsorted(epoch_seconds(bars), out_of_fold.times).astype(np.int64)
    _check_warm(features[row_bar], out_of_fold, ml_settings)
    return SltpDataset(
        names=ml_settings.features,
        entries=entries,
        features=np.column_stack((features[entries.bar], entries.side.astype(np.float64))),
        weights=uniqueness / uniqueness.mean(),
        horizon_bars=terms.horizon_bars,
        row_time=out_of_fold.times,
        row_bar=row_bar,
        row_features=features[row_bar],
        cutoff=bars["time"].iloc[int(entries.last.max())],
    )


def _check_entries(found: int, confidence: float, ml_settings: MlSettings) -> None:
    model = ml_settings.position_model
    if found < model.min_entries:
        raise DataError(
            f"the signal model's out-of-fold probabilities give {found} entries with a whole horizon, but the sltp "
            f"model needs {model.min_entries} (confidence {confidence:g}, gap {model.entry_min_gap:g}); "
            "train on more bars, or lower position_model.entry_confidence, entry_min_gap or min_entries in "
            "ml_config.json"
        )


def _check_warm(features: Float64Array, out_of_fold: OutOfFold, ml_settings: MlSettings) -> None:
    broken = ~np.isfinite(features)
    if broken.any():
        row, column = (int(place) for place in np.argwhere(broken)[0])
        moment = pd.Timestamp(int(out_of_fold.times[row]), unit="s", tz="UTC")
        raise DataError(
            f"feature {ml_settings.features[column]} of {moment} is {features[row, column]}, but the signal set "
            "answers for that bar; give the bars it was trained on, or train every stage anew"
        )


def sltp_folds(dataset: SltpDataset, n_splits: int, embargo: int) -> list[SltpFold]:
    """Return the folds: every entry and every answered bar is held out once.

    No entry to learn from looked at a bar that a trade decided on a held-out bar would see,
    nor was it decided within `embargo` bars after the last such bar. Bars before the first
    entry go with it, all others with the last entry up to them.

    Raises
    ------
    DataError
        A fold is left without entries to learn from.
    """
    bar = dataset.entries.bar
    # Up to the next entry's bar less one, an entry stands for the bars without one.
    answers_until = np.append(bar[1:] - 1, max(dataset.row_bar[-1], bar[-1]))
    splitter = PurgedSpanKFold(n_splits, first=bar, last=answers_until + dataset.horizon_bars, embargo=embargo)
    splits = list(splitter.split(bar))
    begins = np.array([bar[test[0]] for _, test in splits])
    fold_of = np.maximum(np.searchsorted(begins, dataset.row_bar, side="right") - 1, 0)
    return [
        SltpFold(train, test, np.flatnonzero(fold_of == fold).astype(np.int64))
        for fold, (train, test) in enumerate(splits)
    ]


def train_sltp(dataset: SltpDataset, ml_settings: MlSettings, *, seed: int, progress: Progress) -> TrainedSltp:
    """Fit both regressions on all entries, and on every fold for the bars it holds out.

    One thread, whatever the machine has: the result depends on nothing but rows and seed.

    Parameters
    ----------
    dataset : SltpDataset
    ml_settings : MlSettings
    seed : int
        Same rows, same seed: same bytes.
    progress : Progress

    Raises
    ------
    DataError
        A fold is left without entries to learn from.
    """
    model = ml_settings.ml_sltp
    folds = sltp_folds(dataset, model.folds, model.embargo_bars)
    answers = np.empty((len(dataset.row_bar), 2, 2))
    for done, fold in enumerate(folds):
        stop, target = map(BoosterRegression, _fit_pair(dataset, ml_settings, fold.train, seed))
        for at, side in enumerate((LONG, SHORT)):
            sides = np.full(len(fold.rows), side, dtype=np.int8)
            answers[fold.rows, at] = predict_distances(stop, target, dataset.row_features[fold.rows], sides)
        progress(f"fold {done + 1}", done + 1, len(folds) + 1)
    final = _fit_pair(dataset, ml_settings, np.arange(len(dataset.weights)), seed)
    progress("all entries", len(folds) + 1, len(folds) + 1)
    return TrainedSltp(*final, answers)


def _fit_pair(dataset: SltpDataset, ml_settings: MlSettings, kept: IntArray, seed: int) -> tuple[Any, Any]:
    model, entries = ml_settings.ml_sltp, dataset.entries
    stop = _fit(dataset, entries.stop, model.stop_quantile, model.lgb, kept, seed)
    return stop, _fit(dataset, entries.target, model.target_quantile, model.lgb, kept, seed)


def _fit(
    dataset: SltpDataset, labels: Float64Array, quantile: float, settings: LightGbm, kept: IntArray, seed: int
) -> Any:
    import lightgbm

    shared = {"num_threads": 1, "verbosity": -1, "deterministic": True, "force_row_wise": True, "seed": seed}
    parameters: dict[str, Any] = {
        "objective": "quantile",
        "alpha": quantile,
        "subsample_freq": 1,
        **settings.model_dump(exclude={"n_estimators"}),
        **shared,
    }
    data = lightgbm.Dataset(
        dataset.features[kept],
        label=labels[kept],
        weight=dataset.weights[kept],
        feature_name=[*dataset.names, SIDE_INPUT],
        params=shared,
    )
    return lightgbm.train(parameters, data, settings.n_estimators)


def distance_metrics(dataset: SltpDataset, models: TrainedSltp, ml_settings: MlSettings) -> dict[str, dict[str, float]]:
    """Measure the out-of-fold distances of the entries against their labels, rows weighted.

    Returns
    -------
    dict
        For `stop` and `target`: `pinball` (mean pinball loss, ATR; Koenker and Bassett 1978),
        `pinball_of_constant` (that of the one distance best for all entries, chosen with
        hindsight), `covered` (share of labels not beyond the distance; the quantile asked for
        when calibrated) and `median` (of the distances, ATR).
    """
    entries, model = dataset.entries, ml_settings.ml_sltp
    rows = np.searchsorted(dataset.row_bar, entries.bar)
    predicted = models.out_of_fold[rows, np.where(entries.side == LONG, 0, 1)]
    asked = {"stop": (entries.stop, model.stop_quantile), "target": (entries.target, model.target_quantile)}
    measured = {}
    for at, (name, (labels, quantile)) in enumerate(asked.items()):
        constant = np.full(len(labels), _weighted_quantile(labels, dataset.weights, quantile))
        measured[name] = {
            "pinball": _pinball(labels, predicted[:, at], dataset.weights, quantile),
            "pinball_of_constant": _pinball(labels, constant, dataset.weights, quantile),
            "covered": float(np.average(labels <= predicted[:, at], weights=dataset.weights)),
            "median": float(np.median(predicted[:, at])),
        }
    return measured


def _pinball(labels: Float64Array, predicted: Float64Array, weights: Float64Array, quantile: float) -> float:
    missed = labels - predicted
    return float(np.average(np.maximum(quantile * missed, (quantile - 1.0) * missed), weights=weights))


def _weighted_quantile(values: Float64Array, weights: Float64Array, quantile: float) -> float:
    """Return the value that minimises the weighted pinball loss."""
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(share, quantile * share[-1])])
