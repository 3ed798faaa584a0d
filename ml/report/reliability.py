"""Can probabilities be believed: reliability tables, calibration error, Brier score, log loss.

Labels overlap: the bars after one row are also the bars after the next, so a hundred rows tell
less than a hundred stories. Every interval here is taken at the effective number of rows, the
sum of their average uniqueness (M. Lopez de Prado, Advances in Financial Machine Learning,
2018, section 4.4), and is as wide as the labels deserve.

Sources: G. W. Brier, Verification of forecasts expressed in terms of probability, Monthly
Weather Review 78 (1950); A. H. Murphy, A new vector partition of the probability score,
Journal of Applied Meteorology 12 (1973); M. P. Naeini, G. F. Cooper, M. Hauskrecht, Obtaining
well calibrated probabilities using Bayesian binning, AAAI (2015) for the calibration error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.signal.trainer import average_uniqueness
from novosky.measures.statistics import Z_95

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

BINS = 10
"""Bins of a reliability table, each with as many rows as the next."""
"""Two-sided 95 % quantile of the normal distribution."""
PROBABILITY_FLOOR = 1e-12
"""A probability of zero for what happened would be an infinite loss."""
_MEAN_OF_ABSOLUTE_NORMAL = math.sqrt(2.0 / math.pi)


@dataclass(frozen=True, eq=False)
class Spans:
    """The bars that decided each row's label, first and last inclusive, each of shape (n,)."""

    first: IntArray
    last: IntArray

    def at(self, rows: BoolArray | IntArray) -> Spans:
        """Return the spans of some rows."""
        return Spans(self.first[rows], self.last[rows])

    def effective_rows(self) -> float:
        """Return how many labels without overlap would tell as much, at most n; 0 without rows."""
        if len(self.first) == 0:
            return 0.0
        begin = int(self.first.min())
        bars = int(self.last.max()) - begin + 1
        return float(average_uniqueness(self.first - begin, self.last - begin, bars).sum())


@dataclass(frozen=True)
class Share:
    """How often something happened, with its 95 % interval.

    Attributes
    ----------
    rows : int
    effective_rows : float
        Rows without overlap that would tell as much.
    share, low, high : float or None
        Observed fraction and its Wilson interval at the effective rows; None without rows.
    """

    rows: int
    effective_rows: float
    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows of about the same predicted probability.

    Attributes
    ----------
    predicted : float
        Mean predicted probability.
    observed : Share
        How often the class came.
    """

    predicted: float
    observed: Share

    @property
    def believable(self) -> bool:
        """Whether the prediction lies within the interval of what was observed."""
        low, high = self.observed.low, self.observed.high
        return low is not None and high is not None and low <= self.predicted <= high


@dataclass(frozen=True)
class ClassCalibration:
    """How one class's probabilities compare with what happened.

    Attributes
    ----------
    base_rate, mean_predicted : float
        Share of the class among the rows, and its mean predicted probability.
    brier : float
        Mean squared difference between probability and outcome.
    brier_skill : float or None
        1 - brier / brier of this window's base rate said at every row; below 0 the constant
        is better. None where the class came always or never.
    brier_skill_on_training_rates : float or None
        The same against the base rate of the training window, which could be known before.
    calibration_error : float
        Mean over the rows of |predicted - observed| of their bin.
    calibration_error_by_chance : float
        What perfectly calibrated probabilities would show on so few effective rows.
    bins_missed : int
        Bins whose interval does not contain their prediction; by chance 1 in 20.
    bins : tuple of ReliabilityBin
        Of equal count, in rising order of the prediction.
    """

    base_rate: float
    mean_predicted: float
    brier: float
    brier_skill: float | None
    brier_skill_on_training_rates: float | None
    calibration_error: float
    calibration_error_by_chance: float
    bins_missed: int
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class Calibration:
    """How a model's probabilities compare with what happened.

    Attributes
    ----------
    log_loss : float
        Mean of -log of what was said of the class that came, in nats.
    log_loss_of_base_rates, log_loss_of_training_rates : float
        Of the constant shares of this window and of the training window.
    brier : float
        Mean squared difference between probability and outcome, summed over the classes.
    brier_skill, brier_skill_on_training_rates : float or None
        As in `ClassCalibration`.
    classes : mapping of str to ClassCalibration
    """

    log_loss: float
    log_loss_of_base_rates: float
    log_loss_of_training_rates: float
    brier: float
    brier_skill: float | None
    brier_skill_on_training_rates: float | None
    classes: Mapping[str, ClassCalibration]


def wilson_interval(share: float, trials: float) -> tuple[float, float]:
    """Return the 95 % score interval of a proportion, as fractions.

    Source: E. B. Wilson, Probable Inference, the Law of Succession, and Statistical
    Inference, JASA 22 (1927).

    Parameters
    ----------
    share : float
        Observed fraction, 0 to 1.
    trials : float
        Independent trials, above 0; an effective number need not be whole.

    Examples
    --------
    >>> low, high = wilson_interval(0.5, 10)
    >>> round(low, 4), round(high, 4)
    (0.2366, 0.7634)
    """
    spread = Z_95 * Z_95 / trials
    centre = (share + spread / 2.0) / (1.0 + spread)
    half = Z_95 * math.sqrt(share * (1.0 - share) / trials + spread / (4.0 * trials)) / (1.0 + spread)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def observed_share(happened: BoolArray, spans: Spans) -> Share:
    """Return how often something happened among rows, with its interval at their effective number."""
    if len(happened) == 0:
        return Share(0, 0.0, None, None, None)
    share, effective = float(happened.mean()), spans.effective_rows()
    return Share(len(happened), effective, share, *wilson_interval(share, effective))


def quantile_edges(values: FloatArray, bins: int) -> FloatArray:
    """Return the rising inner edges that part values into bins of equal count.

    Values that tie stay together, so there are fewer edges where many rows have the same
    value. Row x belongs to bin `numpy.searchsorted(edges, x, side="right")`.
    """
    ordered = np.sort(values)
    return np.unique(ordered[np.arange(1, bins) * len(ordered) // bins])


def reliability_table(
    predicted: FloatArray, happened: BoolArray, spans: Spans, bins: int = BINS
) -> tuple[ReliabilityBin, ...]:
    """Compare predicted probabilities with what happened, in bins of equal count.

    Parameters
    ----------
    predicted : ndarray, shape (n,)
    happened : ndarray of bool, shape (n,)
    spans : Spans
    bins : int
        At most; rows of the same prediction share a bin.
    """
    place = np.searchsorted(quantile_edges(predicted, bins), predicted, side="right")
    return tuple(
        ReliabilityBin(float(predicted[inside].mean()), observed_share(happened[inside], spans.at(inside)))
        for inside in (place == at for at in np.unique(place))
    )


def calibration_error(table: Sequence[ReliabilityBin]) -> float:
    """Return the mean over the rows of |predicted - observed| of their bin."""
    rows = sum(one.observed.rows for one in table)
    return sum(one.observed.rows * abs(one.predicted - (one.observed.share or 0.0)) for one in table) / rows


def calibration_error_by_chance(table: Sequence[ReliabilityBin]) -> float:
    """Return the calibration error that perfectly calibrated probabilities would show on these rows.

    The observed share of a bin scatters around its probability p with the standard deviation
    sqrt(p (1 - p) / effective rows), and lies sqrt(2 / pi) of that away on average.
    """
    rows = sum(one.observed.rows for one in table)
    scatter = (
        one.observed.rows * math.sqrt(one.predicted * (1.0 - one.predicted) / one.observed.effective_rows)
        for one in table
    )
    return _MEAN_OF_ABSOLUTE_NORMAL * sum(scatter) / rows


def measure(
    probabilities: FloatArray,
    labels: npt.NDArray[np.int8],
    spans: Spans,
    training_rates: FloatArray,
    class_names: Sequence[str],
) -> Calibration:
    """Measure one model's probabilities against the labels.

    Rows count alike. (The losses that training prints weigh rows by their uniqueness, so they
    differ a little.)

    Parameters
    ----------
    probabilities : ndarray, shape (n, k)
        Each row sums to 1.
    labels : ndarray of int8, shape (n,)
        0 to k - 1; n at least 1.
    spans : Spans
        Of the labels.
    training_rates : ndarray, shape (k,)
        Share of each class in the training window.
    class_names : sequence of str, length k
    """
    outcome = np.eye(len(class_names))[labels]
    rates = outcome.mean(axis=0)
    said = np.maximum(probabilities[np.arange(len(labels)), labels], PROBABILITY_FLOOR)
    squares = ((probabilities - outcome) ** 2).mean(axis=0)
    of_rates = rates * (1.0 - rates)
    of_training = of_rates + (training_rates - rates) ** 2
    return Calibration(
        log_loss=float(-np.log(said).mean()),
        log_loss_of_base_rates=_cross_entropy(rates, rates),
        log_loss_of_training_rates=_cross_entropy(rates, training_rates),
        brier=float(squares.sum()),
        brier_skill=_skill(float(squares.sum()), float(of_rates.sum())),
        brier_skill_on_training_rates=_skill(float(squares.sum()), float(of_training.sum())),
        classes={
            name: _measure_class(
                probabilities[:, at], labels == at, spans, float(of_rates[at]), float(of_training[at]), float(rates[at])
            )
            for at, name in enumerate(class_names)
        },
    )


def _measure_class(
    predicted: FloatArray, happened: BoolArray, spans: Spans, of_rate: float, of_training: float, rate: float
) -> ClassCalibration:
    table = reliability_table(predicted, happened, spans)
    brier = float(((predicted - happened) ** 2).mean())
    return ClassCalibration(
        base_rate=rate,
        mean_predicted=float(predicted.mean()),
        brier=brier,
        brier_skill=_skill(brier, of_rate),
        brier_skill_on_training_rates=_skill(brier, of_training),
        calibration_error=calibration_error(table),
        calibration_error_by_chance=calibration_error_by_chance(table),
        bins_missed=sum(not one.believable for one in table),
        bins=table,
    )


def _cross_entropy(rates: FloatArray, said: FloatArray) -> float:
    came = rates > 0.0
    return float(-(rates[came] * np.log(np.maximum(said[came], PROBABILITY_FLOOR))).sum())


def _skill(score: float, reference: float) -> float | None:
    return 1.0 - score / reference if reference > 0.0 else None
