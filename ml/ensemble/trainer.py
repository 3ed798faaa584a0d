"""Training of an ensemble: its members on all rows, calibrated and measured out of fold.

Every row serves twice. Folds that share nothing with the rows they hold out give each row
probabilities from members that never saw its outcome; those fit the calibrators and measure
the models. The members that are kept are then fitted on all rows, the newest included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.candidates import mean_of_members
from ml.arrays import CLASS_NAMES, MEMBERS, N_CLASSES, ClassArray, Float32Matrix, Float64Array
from ml.ensemble.device import Devices
from ml.ensemble.members import (
    CalibratedMember,
    Calibrator,
    FitPlan,
    Scaling,
    fit_base,
    planned_trees,
    predict_base,
    tree_count,
)
from ml.ensemble.weighting import fit_weights
from novosky.errors import DataError
from novosky.settings.ml import EnsembleModel

IntArray = npt.NDArray[np.int64]
Folds = list[tuple[IntArray, IntArray]]
"""Training and held-out rows of each fold; every row is held out once."""
Progress = Callable[[str, int, int], None]
"""Called with what was just done, the steps done and the steps in all; may come from any thread."""

# A warm start adds this share of the configured trees; at twice the configured number it is
# refused, because a model that only grows gets slower every week and keeps its oldest errors.
WARM_SHARE = 4
WARM_LIMIT = 2


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """What an ensemble learns from, each array of length n.

    Attributes
    ----------
    features : ndarray of float64, shape (n, k)
        Finite.
    labels : ndarray of int8
        0 HOLD, 1 and 2 the two ways to act.
    weights : ndarray of float64
        Of calibration and metrics; `ml.ensemble.weighting` makes those of the fits from them.
    times : ndarray of int64
        Bar opens, seconds since 1970-01-01 UTC.
    """

    features: Float64Array
    labels: ClassArray
    weights: Float64Array
    times: IntArray


@dataclass(frozen=True, eq=False)
class WarmStart:
    """The fitted parts of the set to continue from: its scaling and its raw members."""

    scaling: Scaling
    bases: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class TrainedEnsemble:
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

    @property
    def trees(self) -> dict[str, int]:
        """Boosting rounds, or trees of the forest, of every member."""
        return {name: tree_count(name, member.base) for name, member in self.members.items()}

    def metrics(
        self, labels: ClassArray, weights: Float64Array, class_names: tuple[str, ...] = CLASS_NAMES
    ) -> dict[str, dict[str, Any]]:
        """Return the out-of-fold `probability_metrics` of every member and of their mean, `ensemble`."""
        tables = {name: self.out_of_fold[:, at] for at, name in enumerate(MEMBERS)}
        tables["ensemble"] = mean_of_members(self.out_of_fold)
        return {name: probability_metrics(table, labels, weights, class_names) for name, table in tables.items()}


def planned_total(name: str, settings: EnsembleModel, warm: WarmStart | None) -> int:
    """Return the number of trees the finished member has: the configured, or a warm start's growth."""
    configured = planned_trees(name, settings)
    if warm is None:
        return configured
    return tree_count(name, warm.bases[name]) + max(1, configured // WARM_SHARE)


def warm_start_exhausted(bases: Mapping[str, Any], settings: EnsembleModel) -> bool:
    """Tell whether another warm start would grow a member beyond `WARM_LIMIT` times its configured trees."""
    return any(
        tree_count(name, bases[name]) + max(1, planned_trees(name, settings) // WARM_SHARE)
        > WARM_LIMIT * planned_trees(name, settings)
        for name in MEMBERS
    )


def train_ensemble(
    rows: TrainingRows,
    folds: Folds,
    settings: EnsembleModel,
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
    rows : TrainingRows
    folds : list of (train rows, held-out rows)
    settings : EnsembleModel
    devices : Devices
    threads : int
        At least 1. The result does not depend on it.
    seed : int
        Same rows, same seed: same bytes of predictions.
    warm : WarmStart or None
        Continue from these members. The fold members always start afresh, with as many trees
        as the finished ones: a continued one would already know the rows held out.
    progress : Progress

    Raises
    ------
    DataError
        The training rows of a fold lack a class.
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(rows.features)
    if warm is not None:
        # The kept trees split at values of the old scaling.
        scaler.mean_, scaler.scale_, scaler.var_ = warm.scaling.mean, warm.scaling.scale, warm.scaling.scale**2
    # Trees do not change under a monotone scaling, so one scaler for all folds tells them nothing.
    features = Scaling(scaler.mean_, scaler.scale_).apply(rows.features)
    for fold, (train, _) in enumerate(folds):
        if len(np.unique(rows.labels[train])) < N_CLASSES:
            raise DataError(f"training rows of fold {fold} lack a class; use fewer calibration_folds or more bars")
    bases, raw = _fit_all(rows, features, folds, settings, devices, threads, seed, warm, progress)
    fold_of = np.zeros(len(features), dtype=np.int8)
    for fold, (_, test) in enumerate(folds):
        fold_of[test] = fold
    members, calibrated = {}, np.empty_like(raw)
    for at, name in enumerate(MEMBERS):
        calibrator = Calibrator.fit(raw[:, at], rows.labels, rows.weights)
        members[name] = CalibratedMember(name, bases[name], calibrator)
        # The calibrator that is kept has seen every row; what is measured comes from ones that had not.
        calibrated[:, at] = _cross_calibrated(raw[:, at], rows, fold_of)
    return TrainedEnsemble(scaler, members, calibrated, fold_of)


def _fit_all(
    rows: TrainingRows,
    features: Float32Matrix,
    folds: Folds,
    settings: EnsembleModel,
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
        kept = slice(None) if fold is None else folds[fold][0]
        plan = FitPlan(
            name=name,
            trees=planned_total(name, settings, warm),
            seed=seed,
            threads=threads if name == "rf" else 1,
            device=devices.of(name),
            previous=warm.bases[name] if warm is not None and fold is None else None,
        )
        weights = fit_weights(rows.weights[kept], rows.labels[kept], rows.times[kept], settings)
        base = fit_base(plan, settings, features[kept], rows.labels[kept], weights)
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


def _cross_calibrated(raw: Float64Array, rows: TrainingRows, fold_of: npt.NDArray[np.int8]) -> Float64Array:
    """Calibrate each fold's raw probabilities with a calibrator fitted on the other folds."""
    calibrated = np.empty_like(raw)
    for fold in range(int(fold_of.max()) + 1):
        held_out = fold_of == fold
        others = ~held_out
        calibrator = Calibrator.fit(raw[others], rows.labels[others], rows.weights[others])
        calibrated[held_out] = calibrator.apply(raw[held_out])
    return calibrated


def probability_metrics(
    probabilities: Float64Array,
    labels: ClassArray,
    weights: Float64Array,
    class_names: tuple[str, ...] = CLASS_NAMES,
) -> dict[str, Any]:
    """Measure probabilities (n, 3) against labels (n,), rows weighted.

    Returns
    -------
    dict
        `log_loss` (nats), `log_loss_of_base_rates` (what constant class frequencies score),
        `brier` (sum over classes), `auc_side` (second class against third, 0.5 is chance)
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
            for at, name in enumerate(class_names)
            if at
        },
    }


def _reliability(
    predicted: Float64Array, observed: Float64Array, weights: Float64Array, bins: int = 10
) -> list[dict[str, float]]:
    place = np.minimum((predicted * bins).astype(np.int64), bins - 1)
    bins_found = []
    for at in np.unique(place):
        inside = place == at
        weight = float(weights[inside].sum())
        bins_found.append(
            {
                "predicted": float((weights * predicted)[inside].sum() / weight),
                "observed": float((weights * observed)[inside].sum() / weight),
                "weight": weight / float(weights.sum()),
            }
        )
    return bins_found
