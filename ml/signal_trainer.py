"""Training of the signal ensemble: rows, weights, purged folds, calibration, final members.

Every row serves twice. Purged, embargoed folds give each row probabilities from members that
never saw its label's bars; those fit the calibrators, measure the models and feed the later
stages. The members that are kept are then fitted on all rows, the newest included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.device import Devices
from ml.ensemble import (
    CLASS_NAMES,
    MEMBERS,
    N_CLASSES,
    CalibratedMember,
    Calibrator,
    ClassArray,
    FitPlan,
    Float32Matrix,
    Float64Array,
    Scaling,
    fit_base,
    planned_trees,
    predict_base,
    tree_count,
)
from novosky.errors import DataError
from novosky.market.news import NewsCalendar
from novosky.settings.ml import MlSettings

IntArray = npt.NDArray[np.int64]
Progress = Callable[[str, int, int], None]
"""Called with what was just done, the steps done and the steps in all; may come from any thread."""

# A warm start adds this share of the configured trees; at twice the configured number it is
# refused, because a model that only grows gets slower every week and keeps its oldest errors.
WARM_SHARE = 4
WARM_LIMIT = 2


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


@dataclass(frozen=True, eq=False)
class WarmStart:
    """The fitted parts of the set to continue from: its scaling and its raw members."""

    scaling: Scaling
    bases: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class SignalModels:
    """What training made.

    Attributes
    ----------
    scaler : StandardScaler
    members : dict of str to CalibratedMember
    out_of_fold : ndarray, shape (n, 3 members, 3 classes)
        Calibrated probabilities of every row from members and calibrators of other folds.
    fold_of : ndarray of int8, shape (n,)
    """

    scaler: Any
    members: dict[str, CalibratedMember]
    out_of_fold: Float64Array
    fold_of: npt.NDArray[np.int8]


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
    share = np.concatenate(([0.0], np.cumsum(1.0 / np.maximum(concurrent, 1.0))))
    return np.asarray((share[end + 1] - share[start]) / (end - start + 1), dtype=np.float64)


def build_dataset(bars: pd.DataFrame, ml_settings: MlSettings, news: NewsCalendar | None = None) -> SignalDataset:
    """Compute features and labels and keep the rows that have both.

    Parameters
    ----------
    bars : pandas.DataFrame
        Bar frame of the training window.
    ml_settings : MlSettings
    news : NewsCalendar, optional

    Raises
    ------
    ModelCompatibilityError
        ml_config.json names features the code does not compute.
    DataError
        Too few labelled rows, or a class that never occurs.
    """
    from ml.compat import check_known_features
    from ml.feature_engineering import add_all_features, get_feature_names
    from ml.labeling import triple_barrier
    from ml.splits import label_end_positions

    check_known_features(ml_settings.features, get_feature_names())
    frame = add_all_features(bars, news)
    features = frame[list(ml_settings.features)].to_numpy(dtype=np.float64)
    rule = ml_settings.labeling
    labels = triple_barrier(
        bars,
        frame["atr"].to_numpy(dtype=np.float64),
        tp_mult=rule.atr_tp_mult,
        sl_mult=rule.atr_sl_mult,
        horizon_bars=rule.horizon_bars,
        spread=rule.spread,
        # A step between two venues is no move that a trade could have earned.
        seams=np.array(bars.attrs.get("seams", ()), dtype=np.int64),
    )
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


def planned_total(name: str, ml_settings: MlSettings, warm: WarmStart | None) -> int:
    """Return the number of trees the finished member has: the configured, or a warm start's growth."""
    configured = planned_trees(name, ml_settings.signal_model)
    if warm is None:
        return configured
    return tree_count(name, warm.bases[name]) + max(1, configured // WARM_SHARE)


def warm_start_exhausted(bases: Mapping[str, Any], ml_settings: MlSettings) -> bool:
    """Tell whether another warm start would grow a member beyond `WARM_LIMIT` times its configured trees."""
    return any(
        tree_count(name, bases[name]) + max(1, planned_trees(name, ml_settings.signal_model) // WARM_SHARE)
        > WARM_LIMIT * planned_trees(name, ml_settings.signal_model)
        for name in MEMBERS
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
) -> SignalModels:
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
    SignalModels
    """
    from sklearn.preprocessing import StandardScaler

    from ml.splits import PurgedKFold

    scaler = StandardScaler().fit(dataset.features)
    if warm is not None:
        # The kept trees split at values of the old scaling.
        scaler.mean_, scaler.scale_, scaler.var_ = warm.scaling.mean, warm.scaling.scale, warm.scaling.scale**2
    # Trees do not change under a monotone scaling, so one scaler for all folds tells them nothing.
    features = Scaling(scaler.mean_, scaler.scale_).apply(dataset.features)
    settings = ml_settings.signal_model
    splitter = PurgedKFold(settings.calibration_folds, label_end=dataset.label_end, embargo=settings.embargo_bars)
    folds = list(splitter.split(features))
    for fold, (train, _) in enumerate(folds):
        if len(np.unique(dataset.labels[train])) < N_CLASSES:
            raise DataError(f"training rows of fold {fold} lack a class; use fewer calibration_folds or more bars")
    bases, raw = _fit_all(dataset, features, folds, ml_settings, devices, threads, seed, warm, progress)
    fold_of = np.zeros(len(features), dtype=np.int8)
    for fold, (_, test) in enumerate(folds):
        fold_of[test] = fold
    members, calibrated = {}, np.empty_like(raw)
    for at, name in enumerate(MEMBERS):
        calibrator = Calibrator.fit(raw[:, at], dataset.labels, dataset.weights)
        members[name] = CalibratedMember(name, bases[name], calibrator)
        calibrated[:, at] = _cross_calibrated(raw[:, at], dataset, fold_of)
    return SignalModels(scaler, members, calibrated, fold_of)


def _fit_all(
    dataset: SignalDataset,
    features: Float32Matrix,
    folds: list[tuple[IntArray, IntArray]],
    ml_settings: MlSettings,
    devices: Devices,
    threads: int,
    seed: int,
    warm: WarmStart | None,
    progress: Progress,
) -> tuple[dict[str, Any], Float64Array]:
    """Fit every member on all rows and on every fold; return the former and the latter's predictions.

    Forests spread their trees over the threads. Boosters run single-threaded side by side:
    their histogram sums would otherwise depend on the number of threads.
    """
    raw = np.full((len(features), len(MEMBERS), N_CLASSES), np.nan)
    bases: dict[str, Any] = {}
    steps = len(MEMBERS) * (1 + len(folds))
    done = 0

    def fit(name: str, fold: int | None) -> tuple[str, int | None, Any]:
        rows = slice(None) if fold is None else folds[fold][0]
        plan = FitPlan(
            name=name,
            trees=planned_total(name, ml_settings, warm),
            seed=seed,
            threads=threads if name == "rf" else 1,
            device=devices.of(name),
            previous=warm.bases[name] if warm is not None and fold is None else None,
        )
        base = fit_base(plan, ml_settings.signal_model, features[rows], dataset.labels[rows], dataset.weights[rows])
        if fold is None:
            return name, fold, base
        # The fold's member has served once it has answered for its held-out rows.
        return name, fold, predict_base(name, base, features[folds[fold][1]])

    def keep(outcome: tuple[str, int | None, Any]) -> None:
        nonlocal done
        name, fold, result = outcome
        if fold is None:
            bases[name] = result
        else:
            raw[folds[fold][1], MEMBERS.index(name)] = result
        done += 1
        progress(f"{name} {'all rows' if fold is None else f'fold {fold + 1}'}", done, steps)

    which: list[int | None] = [None, *range(len(folds))]
    for fold in which:
        keep(fit("rf", fold))
    # One job at a time on a GPU; on the CPU one per thread.
    workers = threads if (devices.xgb, devices.lgb) == ("cpu", "cpu") else 1
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        for future in as_completed([pool.submit(fit, name, fold) for fold in which for name in ("xgb", "lgb")]):
            keep(future.result())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return bases, raw


def _cross_calibrated(raw: Float64Array, dataset: SignalDataset, fold_of: npt.NDArray[np.int8]) -> Float64Array:
    """Calibrate each fold's raw probabilities with a calibrator fitted on the other folds."""
    calibrated = np.empty_like(raw)
    for fold in range(int(fold_of.max()) + 1):
        held_out = fold_of == fold
        others = ~held_out
        calibrator = Calibrator.fit(raw[others], dataset.labels[others], dataset.weights[others])
        calibrated[held_out] = calibrator.apply(raw[held_out])
    return calibrated


def probability_metrics(probabilities: Float64Array, labels: ClassArray, weights: Float64Array) -> dict[str, Any]:
    """Measure probabilities (n, 3) against labels (n,), rows weighted.

    Returns
    -------
    dict
        `log_loss` (nats), `log_loss_of_base_rates` (what constant class frequencies score),
        `brier` (sum over classes), `auc_side` (BUY against SELL among trades, 0.5 is chance)
        and `reliability`: per side, ten bins of predicted probability with `predicted`,
        `observed` and `weight` share.
    """
    from sklearn.metrics import roc_auc_score

    total = float(weights.sum())
    outcome = np.eye(N_CLASSES)[labels]
    rates = np.maximum((outcome * weights[:, None]).sum(axis=0) / total, 1e-12)
    chosen = np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)
    trade = labels != 0
    side_odds = np.log(np.maximum(probabilities[trade, 1], 1e-12)) - np.log(np.maximum(probabilities[trade, 2], 1e-12))
    return {
        "log_loss": float(-(weights * np.log(chosen)).sum() / total),
        "log_loss_of_base_rates": float(-(rates * np.log(rates)).sum()),
        "brier": float((weights * ((probabilities - outcome) ** 2).sum(axis=1)).sum() / total),
        "auc_side": float(roc_auc_score(labels[trade] == 1, side_odds, sample_weight=weights[trade])),
        "reliability": {
            name: _reliability(probabilities[:, at], outcome[:, at], weights)
            for at, name in enumerate(CLASS_NAMES)
            if at
        },
    }


def _reliability(
    predicted: Float64Array, observed: Float64Array, weights: Float64Array, bins: int = 10
) -> list[dict[str, float]]:
    place = np.minimum((predicted * bins).astype(np.int64), bins - 1)
    rows = []
    for at in np.unique(place):
        inside = place == at
        weight = float(weights[inside].sum())
        rows.append(
            {
                "predicted": float((weights * predicted)[inside].sum() / weight),
                "observed": float((weights * observed)[inside].sum() / weight),
                "weight": weight / float(weights.sum()),
            }
        )
    return rows
