"""What the model report says, as values: calibration of two windows, drift, notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ml.arrays import CLASS_NAMES, MEMBERS
from ml.report.drift import Drift
from ml.report.reliability import Calibration, Share

CLASSES = tuple(name.lower() for name in CLASS_NAMES)
MODELS = ("ensemble", *MEMBERS)
"""The ensemble is the members' mean, which decides."""
SIDES = ("both", "buy", "sell")


@dataclass(frozen=True)
class Traded:
    """The rows that pass the signal decision: votes, confidence and gap; no other gate is applied.

    Attributes
    ----------
    predicted : float or None
        Mean confidence in the named side; None without rows.
    realised : Share
        How often the label was the named side: what `predicted` is a probability of.
    won : Share
        How often the label's bracket ended above zero after the spread, time-outs included.
    mean_r : float or None
        Mean result of that bracket after the spread, in multiples of its stop.
    """

    predicted: float | None
    realised: Share
    won: Share
    mean_r: float | None


@dataclass(frozen=True)
class CalibrationReport:
    """One window's calibration.

    Attributes
    ----------
    measured : bool
    reason : str or None
        Why it was not measured.
    start, end : str or None
        UTC opens of the first and last labelled bar.
    rows : int
        Labelled rows.
    effective_rows : float or None
        Labels without overlap that would tell as much.
    base_rates : mapping of str to float
        Share of each class; empty when not measured, like the two below.
    models : mapping of str to Calibration
        `ensemble` (the members' mean, which decides) and every member.
    traded : mapping of str to Traded
        `both` sides, `buy`, `sell`; by the ensemble.
    """

    measured: bool
    reason: str | None
    start: str | None
    end: str | None
    rows: int
    effective_rows: float | None
    base_rates: Mapping[str, float]
    models: Mapping[str, Calibration]
    traded: Mapping[str, Traded]


@dataclass(frozen=True)
class DriftReport:
    """Live rows against training rows.

    Attributes
    ----------
    measured : bool
    reason : str or None
        Why it was not measured.
    training_rows, live_rows : int
        With features; live rows need no label.
    features : tuple of Drift
        The most drifted first.
    predictions : tuple of Drift
        Of the ensemble: the most probable class, and the probability of each class.
    """

    measured: bool
    reason: str | None
    training_rows: int
    live_rows: int
    features: tuple[Drift, ...]
    predictions: tuple[Drift, ...]


@dataclass(frozen=True)
class PositionReport:
    """What is known of the position models.

    Attributes
    ----------
    present : bool
        Whether the set has them.
    training : mapping of str to mapping of str to float
        Out-of-fold figures recorded at training, by model; rows weighted. Empty when absent.
    live_measured : bool
    reason : str
        Why they were not measured live.
    """

    present: bool
    training: Mapping[str, Mapping[str, float]]
    live_measured: bool
    reason: str


@dataclass(frozen=True)
class ModelReport:
    """Everything the report says; `asdict` of it is the JSON.

    Attributes
    ----------
    symbol : str
    synthetic : str or None
        Kind of the embedded market, None for real bars.
    models : str
        SHA-256 that names the predictions.
    train_start, train_end, train_cutoff : str
        UTC opens of the first and last training bar, and of the last bar a label looked at.
    confidence_threshold, min_probability_diff : float
        Of the signal decision.
    labeling : mapping of str to float
        The triple barrier of training and of the live labels.
    training, live : CalibrationReport
    drift : DriftReport
    position : PositionReport
    notes : tuple of str
        What a reader must know beside the figures.
    """

    symbol: str
    synthetic: str | None
    models: str
    train_start: str
    train_end: str
    train_cutoff: str
    confidence_threshold: float
    min_probability_diff: float
    labeling: Mapping[str, float]
    training: CalibrationReport
    live: CalibrationReport
    drift: DriftReport
    position: PositionReport
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values; unknown is None, no number is NaN or infinite."""
        return asdict(self)
