"""The members of an ensemble: how each is fitted, calibrated, and asked for probabilities.

A member is one of random forest, XGBoost or LightGBM over three classes, of which the first is
HOLD; the other two are BUY and SELL of the signal ensemble, EXIT and ADD of the position ensemble.
Every member sees float32 features, in fitting and in predicting: then a split `x <= t`
decides the same in the library, in ONNX (float32) and on any machine. Prediction uses one
thread and sums trees in their order, so a row's answer does not depend on the rows beside it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml.arrays import N_CLASSES, ClassArray, Float32Matrix, Float64Array
from novosky.settings.ml import EnsembleModel, Forest, LightGbm, XgBoost

# Probabilities are clipped here before their logarithm is taken; ONNX uses the same number.
PROBABILITY_FLOOR = 1e-6
# Weight of the ridge on a calibrator's slope, in rows: no evidence pulls towards the base rate.
_SLOPE_RIDGE = 1.0
_NEWTON_STEPS = 60


@dataclass(frozen=True, eq=False)
class Scaling:
    """Standardisation of features: `(x - mean) / scale`, then float32; arrays of shape (k,)."""

    mean: Float64Array
    scale: Float64Array

    def apply(self, features: Float64Array) -> Float32Matrix:
        """Return scaled float32 features of the same shape (n, k)."""
        return ((features - self.mean) / self.scale).astype(np.float32)


@dataclass(frozen=True)
class Calibrator:
    """Maps a member's raw class probabilities to calibrated ones; four numbers, monotone.

    Two nested Platt scalings (Platt 1999; nested dichotomies: Frank and Kramer 2004): first
    HOLD against a trade, then BUY against SELL given a trade,

        P(HOLD)         = sigmoid(hold_slope * log(h / (b + s)) + hold_offset)
        P(BUY | trade)  = sigmoid(side_slope * log(b / s)       + side_offset)

    HOLD follows from volatility against spread and is easy, the side is hard: one shared
    temperature would leave the side overconfident. Slopes are never negative, so calibration
    cannot turn a member's opinion round.
    """

    hold_slope: float
    hold_offset: float
    side_slope: float
    side_offset: float

    def apply(self, probabilities: Float64Array) -> Float64Array:
        """Return calibrated probabilities, shape (n, 3), of raw ones of the same shape."""
        # One contiguous row per class: numpy's vectorised log then takes the same path for any n.
        by_class = np.ascontiguousarray(probabilities.T)
        return calibrated(by_class, self.hold_slope, self.hold_offset, self.side_slope, self.side_offset).T

    @classmethod
    def fit(cls, probabilities: Float64Array, labels: ClassArray, weights: Float64Array) -> Self:
        """Fit to out-of-fold probabilities (n, 3) by weighted maximum likelihood.

        Parameters
        ----------
        probabilities : ndarray, shape (n, 3)
            Raw probabilities of rows the member was not fitted on.
        labels : ndarray of int8, shape (n,)
            0 HOLD, 1 BUY, 2 SELL; each must occur.
        weights : ndarray, shape (n,)
            Row weights.
        """
        hold_odds, side_odds = _log_odds(np.ascontiguousarray(probabilities.T))
        hold = _fit_platt(hold_odds, labels == 0, weights)
        trade = labels != 0
        side = _fit_platt(side_odds[trade], labels[trade] == 1, weights[trade])
        return cls(hold_slope=hold[0], hold_offset=hold[1], side_slope=side[0], side_offset=side[1])

    def as_dict(self) -> dict[str, float]:
        """Return the four numbers by name, as stored in the metadata."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> Self:
        """Rebuild from `as_dict`; raises `KeyError` when a number is absent."""
        return cls(**{name: float(values[name]) for name in cls.__dataclass_fields__})


Number = float | Float64Array


def calibrated(
    by_class: Float64Array, hold_slope: Number, hold_offset: Number, side_slope: Number, side_offset: Number
) -> Float64Array:
    """Return `Calibrator.apply` for probabilities that stand class by class, shape (3, ...) and contiguous.

    The four numbers may be arrays: several members are then calibrated in one step, each
    element with the bytes it has alone.
    """
    hold_odds, side_odds = _log_odds(by_class)
    answer = np.empty_like(by_class)
    answer[0] = hold = _sigmoid(hold_slope * hold_odds + hold_offset)
    buy = _sigmoid(side_slope * side_odds + side_offset)
    trade = 1.0 - hold
    answer[1] = trade * buy
    answer[2] = trade * (1.0 - buy)
    return answer


def _log_odds(by_class: Float64Array) -> tuple[Float64Array, Float64Array]:
    hold, buy, sell = np.maximum(by_class, PROBABILITY_FLOOR)
    return np.log(hold) - np.log(buy + sell), np.log(buy) - np.log(sell)


def _sigmoid(z: Float64Array) -> Float64Array:
    return 1.0 / (1.0 + np.exp(-z))


def _fit_platt(odds: Float64Array, positive: npt.NDArray[np.bool_], weights: Float64Array) -> tuple[float, float]:
    """Slope >= 0 and offset of a weighted logistic regression on one variable, by Newton steps.

    Sums use numpy's pairwise summation rather than BLAS, whose result depends on its threads.
    """
    target = positive.astype(np.float64)
    base_rate = float(np.sum(weights * target) / np.sum(weights))
    prior = (0.0, math.log(base_rate / (1.0 - base_rate)))

    def loss(slope: float, offset: float) -> float:
        z = slope * odds + offset
        return float(np.sum(weights * (np.logaddexp(0.0, z) - target * z))) + 0.5 * _SLOPE_RIDGE * slope**2

    slope, offset = prior
    current = loss(slope, offset)
    for _ in range(_NEWTON_STEPS):
        probability = _sigmoid(slope * odds + offset)
        error = weights * (probability - target)
        curvature = weights * probability * (1.0 - probability)
        gradient = (float(np.sum(error * odds)) + _SLOPE_RIDGE * slope, float(np.sum(error)))
        a, b, c = (
            float(np.sum(curvature * odds * odds)) + _SLOPE_RIDGE,
            float(np.sum(curvature * odds)),
            float(np.sum(curvature)),
        )
        determinant = a * c - b * b
        if determinant <= 0.0:
            break
        step = ((c * gradient[0] - b * gradient[1]) / determinant, (a * gradient[1] - b * gradient[0]) / determinant)
        scale, tried = 1.0, loss(slope - step[0], offset - step[1])
        while tried > current and scale > 1e-6:
            scale *= 0.5
            tried = loss(slope - scale * step[0], offset - scale * step[1])
        if tried >= current:
            break
        slope, offset, improvement, current = slope - scale * step[0], offset - scale * step[1], current - tried, tried
        if improvement <= 1e-12 * abs(current):
            break
    return prior if slope <= 0.0 else (slope, offset)


@dataclass(frozen=True)
class CalibratedMember:
    """A fitted member with its calibrator: what `ensemble_<member>_calibrated.pkl` holds.

    Attributes
    ----------
    name : str
        `rf`, `xgb` or `lgb`.
    base : RandomForestClassifier or Booster
        The library's own model, fitted on scaled float32 features.
    calibrator : Calibrator
    """

    name: str
    base: Any
    calibrator: Calibrator

    def predict_proba(self, features: Float32Matrix) -> Float64Array:
        """Return calibrated probabilities of HOLD, BUY, SELL, shape (n, 3), for scaled features (n, k)."""
        return self.calibrator.apply(predict_base(self.name, self.base, features))


def predict_base(name: str, base: Any, features: Float32Matrix) -> Float64Array:
    """Return a member's raw probabilities, shape (n, 3), for scaled float32 features (n, k)."""
    if name == "rf":
        return _predict_forest(base, features)
    if name == "xgb":
        return np.asarray(base.inplace_predict(features, validate_features=False), dtype=np.float64)
    return np.asarray(base.predict(features, num_threads=1), dtype=np.float64)


def _predict_forest(forest: Any, features: Float32Matrix) -> Float64Array:
    """Equal to `forest.predict_proba` with one job, without its per-tree dispatch (15 ms a row)."""
    total = np.zeros((len(features), N_CLASSES))
    for tree in forest.estimators_:
        total += tree.tree_.predict(features)
    total /= len(forest.estimators_)
    return total


def tree_count(name: str, base: Any) -> int:
    """Return the number of boosting rounds, or of trees of a forest."""
    if name == "rf":
        return len(base.estimators_)
    return int(base.num_boosted_rounds() if name == "xgb" else base.current_iteration())


@dataclass(frozen=True)
class FitPlan:
    """How one member is to be fitted.

    Attributes
    ----------
    name : str
        `rf`, `xgb` or `lgb`.
    trees : int
        Rounds (or trees) the finished model has in all, those of `previous` included.
    seed : int
    threads : int
        Used by the forest only, whose trees are independent; a booster always takes one
        thread and boosters are fitted side by side, so sums never depend on the count.
    device : str
        `cpu`, or what `ml.ensemble.device` found to work.
    previous : object or None
        The model to continue from.
    """

    name: str
    trees: int
    seed: int
    threads: int = 1
    device: str = "cpu"
    previous: Any = None


def planned_trees(name: str, settings: EnsembleModel) -> int:
    """Return the configured number of rounds or trees of a member."""
    counts = {"rf": settings.rf.n_estimators, "xgb": settings.xgb.n_estimators, "lgb": settings.lgb.n_estimators}
    return counts[name]


def fit_base(
    plan: FitPlan, settings: EnsembleModel, features: Float32Matrix, labels: ClassArray, weights: Float64Array
) -> Any:
    """Fit one member on scaled float32 features.

    Parameters
    ----------
    plan : FitPlan
    settings : SignalModel
        Hyperparameters of all members.
    features : ndarray of float32, shape (n, k)
    labels : ndarray of int8, shape (n,)
        All three classes must occur.
    weights : ndarray, shape (n,)

    Returns
    -------
    RandomForestClassifier or xgboost.Booster or lightgbm.Booster
        Ready for `predict_base`.
    """
    if plan.name == "rf":
        return _fit_forest(plan, settings.rf, features, labels, weights)
    if plan.name == "xgb":
        return _fit_xgboost(plan, settings.xgb, features, labels, weights)
    return _fit_lightgbm(plan, settings.lgb, features, labels, weights)


def _fit_forest(
    plan: FitPlan, settings: Forest, features: Float32Matrix, labels: ClassArray, weights: Float64Array
) -> Any:
    from copy import deepcopy

    from sklearn.ensemble import RandomForestClassifier

    if plan.previous is None:
        forest = RandomForestClassifier(
            n_estimators=plan.trees,
            max_depth=settings.max_depth,
            min_samples_leaf=settings.min_samples_leaf,
            max_features=settings.max_features,
            max_samples=settings.max_samples,
            random_state=plan.seed,
            n_jobs=plan.threads,
        )
    else:
        forest = deepcopy(plan.previous)
        forest.set_params(n_estimators=plan.trees, warm_start=True, n_jobs=plan.threads)
    forest.fit(features, labels, sample_weight=weights)
    # With several jobs scikit-learn sums the trees in the order in which they finish.
    forest.set_params(n_jobs=1, warm_start=False)
    for tree in forest.estimators_:
        _clear_padding(tree.tree_)
    return forest


def _clear_padding(tree: Any) -> None:
    """Zero the bytes between a tree's nodes, which hold whatever lay in memory and would be pickled with them.

    The same seed then gives the same file, and a hash names the same model.
    """
    state = tree.__getstate__()
    nodes = state["nodes"]
    # Not zeros_like, which sets the fields alone.
    clean = np.zeros(nodes.shape, nodes.dtype)
    for field in nodes.dtype.names:
        clean[field] = nodes[field]
    tree.__setstate__({**state, "nodes": clean})


def _fit_xgboost(
    plan: FitPlan, settings: XgBoost, features: Float32Matrix, labels: ClassArray, weights: Float64Array
) -> Any:
    import xgboost

    done = 0 if plan.previous is None else tree_count("xgb", plan.previous)
    parameters: dict[str, Any] = {
        "objective": "multi:softprob",
        "num_class": N_CLASSES,
        "tree_method": "hist",
        "device": plan.device,
        "nthread": 1,
        # A continued run must not draw the rows and columns of its first rounds again.
        "seed": plan.seed + done,
        "verbosity": 0,
        **settings.model_dump(exclude={"n_estimators"}),
    }
    data = xgboost.QuantileDMatrix(features, label=labels, weight=weights, nthread=1)
    booster = xgboost.train(parameters, data, plan.trees - done, xgb_model=plan.previous)
    booster.set_param({"device": "cpu", "nthread": 1})
    return booster


def _fit_lightgbm(
    plan: FitPlan, settings: LightGbm, features: Float32Matrix, labels: ClassArray, weights: Float64Array
) -> Any:
    import lightgbm

    done = 0 if plan.previous is None else tree_count("lgb", plan.previous)
    shared = {"num_threads": 1, "verbosity": -1, "device_type": plan.device, "seed": plan.seed + done}
    if plan.device == "cpu":
        shared |= {"deterministic": True, "force_row_wise": True}
    parameters: dict[str, Any] = {
        "objective": "multiclass",
        "num_class": N_CLASSES,
        "subsample_freq": 1,
        **settings.model_dump(exclude={"n_estimators"}),
        **shared,
    }
    data = lightgbm.Dataset(features, label=labels, weight=weights, params=shared)
    booster = lightgbm.train(parameters, data, plan.trees - done, init_model=plan.previous)
    return lightgbm.Booster(model_str=floor_thresholds(booster.model_to_string()))


def floor_thresholds(model_text: str) -> str:
    """Lower every split of a LightGBM text model to the next float32 at or below it.

    LightGBM splits at float64 midpoints; rounded to float32, as ONNX stores them, a midpoint
    can rise to the very next feature value and send a row the other way. For float32 features
    `x <= t` and `x <= floor32(t)` are the same question, so nothing else changes.
    """

    def floored(match: re.Match[str]) -> str:
        exact = np.array(match.group(1).split(), dtype=np.float64)
        near = exact.astype(np.float32)
        low = np.where(near.astype(np.float64) > exact, np.nextafter(near, np.float32(-np.inf)), near)
        return "threshold=" + " ".join(repr(float(value)) for value in low)

    # The index of tree lengths in bytes no longer holds; without it LightGBM reads tree by tree.
    unindexed = re.sub(r"^tree_sizes=.*\n", "", model_text, count=1, flags=re.MULTILINE)
    return re.sub(r"^threshold=(.+)$", floored, unindexed, flags=re.MULTILINE)
