"""Does the market still look like the one the models learned from: population stability index.

    PSI = sum over bins of (live share - training share) * ln(live share / training share)

The symmetric divergence of J. (Harold) Jeffreys, An invariant form for the prior probability in
estimation problems, Proc. R. Soc. A 186 (1946), known in credit scoring as PSI. Without any
drift it is not zero: two samples of n and m independent rows from one source differ by
(bins - 1) * (1/n + 1/m) on average (B. Yurdakul, Statistical properties of population stability
index, 2018). Bars are not independent, so it is more. How much more is measured, not assumed:
stretches of the training window, each as long as the live one, are compared with the rest of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ml.report.reliability import FloatArray, IntArray, quantile_edges

Kind = Literal["continuous", "discrete", "constant"]
Band = Literal["stable", "moderate", "large"]

BINS = 10
"""Quantile bins of a continuous feature, cut in the training window."""
MOST_LEVELS = 25
"""A feature with no more distinct values than this in training is binned by value."""
EMPTY_BIN_ROWS = 0.5
"""Rows that an empty bin counts as: its logarithm would be infinite."""
MODERATE_PSI, LARGE_PSI = 0.10, 0.25
MIN_STRETCHES = 4
"""Fewer stretches of training than this say nothing about what is usual."""
_UNSEEN = "not in training"


@dataclass(frozen=True, eq=False)
class Binning:
    """How a feature's values are sorted into bins.

    Attributes
    ----------
    kind : str
        `continuous`: by quantile edges. `discrete` and `constant`: by value, and one more bin
        for values that training never had.
    marks : ndarray
        Inner edges of a continuous feature, values of the others; rising. A single value that
        fills whole quantiles lies between two edges of its own.
    """

    kind: Kind
    marks: FloatArray

    @property
    def names(self) -> tuple[str, ...]:
        """What each bin holds."""
        marks = self.marks.tolist()
        words = [f"{mark:.6g}" for mark in marks]
        if self.kind != "continuous":
            return (*words, _UNSEEN)
        between = (
            f"{words[at]} to {words[at + 1]}" if high > np.nextafter(low, np.inf) else words[at]
            for at, (low, high) in enumerate(itertools.pairwise(marks))
        )
        return (f"below {words[0]}", *between, f"{words[-1]} and above")

    def place(self, values: FloatArray) -> IntArray:
        """Return the bin number of each value."""
        if self.kind == "continuous":
            return np.searchsorted(self.marks, values, side="right").astype(np.int64)
        at = np.minimum(np.searchsorted(self.marks, values), len(self.marks) - 1)
        return np.where(self.marks[at] == values, at, len(self.marks)).astype(np.int64)

    def counts(self, values: FloatArray) -> IntArray:
        """Return the number of values in each bin."""
        return np.bincount(self.place(values), minlength=len(self.names))


@dataclass(frozen=True)
class Drift:
    """How far the live rows of one quantity lie from those of the training window.

    Attributes
    ----------
    feature : str
    protected : bool
        Never to be dropped, whatever its importance.
    kind : str
    psi : float
    band : str
        By convention: stable below 0.1, moderate below 0.25, else large.
    psi_by_chance : float
        Expected without drift, were rows independent; they are not, so this is the least.
    psi_typical, psi_largest : float or None
        Median and maximum over stretches of the training window as long as the live one;
        None where the training window holds fewer than 4 of them.
    stretches : int
    beyond_training : bool or None
        Whether `psi` is larger than `psi_largest`.
    bins : tuple of str
        Those with rows in either window.
    training_shares, live_shares : tuple of float
        Fraction of the rows in each of them.
    """

    feature: str
    protected: bool
    kind: Kind
    psi: float
    band: Band
    psi_by_chance: float
    psi_typical: float | None
    psi_largest: float | None
    stretches: int
    beyond_training: bool | None
    bins: tuple[str, ...]
    training_shares: tuple[float, ...]
    live_shares: tuple[float, ...]


def psi(training: npt.ArrayLike, live: npt.ArrayLike) -> float:
    """Return the population stability index of two lists of bin counts.

    A bin empty in one of them counts as half a row there; one empty in both says nothing.

    Examples
    --------
    >>> round(psi([50, 50], [80, 20]), 4)
    0.4159
    >>> psi([30, 70], [3, 7])
    0.0
    """
    first, second = (np.asarray(counts, dtype=np.float64) for counts in (training, live))
    used = (first > 0.0) | (second > 0.0)
    p, q = (np.maximum(counts[used], EMPTY_BIN_ROWS) for counts in (first, second))
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


def psi_by_chance(bins: int, training_rows: int, live_rows: int) -> float:
    """Return the mean PSI of two samples of independent rows from one source."""
    return (bins - 1) * (1.0 / training_rows + 1.0 / live_rows)


def band_of(value: float) -> Band:
    """Return the customary word for a PSI."""
    return "stable" if value < MODERATE_PSI else "moderate" if value < LARGE_PSI else "large"


def binning_of(training: FloatArray, bins: int = BINS) -> Binning:
    """Choose how a feature is binned, by its training values alone."""
    values = np.unique(training)
    if len(values) <= MOST_LEVELS:
        return Binning("constant" if len(values) == 1 else "discrete", values)
    ordered = np.sort(training)
    cuts, times = np.unique(ordered[np.arange(bins) * len(ordered) // bins], return_counts=True)
    # A value that fills whole quantiles (no news for a day, an average that has not moved) must not
    # hide in one bin with the values above it.
    crowded = cuts[times > 1]
    edges = np.union1d(quantile_edges(training, bins), crowded)
    return Binning("continuous", np.union1d(edges, np.nextafter(crowded, np.inf)))


def stretch_psis(places: IntArray, bins: int, length: int) -> FloatArray:
    """Return the PSI of each stretch of a window against the rest of it.

    Parameters
    ----------
    places : ndarray of int64, shape (n,)
        Bin numbers below `bins`, in order of time.
    bins : int
    length : int
        Rows of a stretch; they do not overlap, and what is left over at the beginning is in none.
    """
    count = len(places) // length
    total = np.bincount(places, minlength=bins)
    last = places[len(places) - count * length :].reshape(count, length)
    own = [np.bincount(stretch, minlength=bins) for stretch in last]
    return np.array([psi(total - counts, counts) for counts in own], dtype=np.float64)


def measure_drift(feature: str, training: FloatArray, live: FloatArray, *, protected: bool) -> Drift:
    """Compare one quantity between the two windows.

    Parameters
    ----------
    feature : str
    training, live : ndarray, shapes (n,) and (m,)
        Finite values in order of time; at least one each.
    protected : bool
    """
    binning = binning_of(training)
    places = binning.place(training)
    before, now = (binning.counts(values) for values in (training, live))
    used = np.flatnonzero((before > 0) | (now > 0))
    value = psi(before, now)
    usual = stretch_psis(places, len(before), len(live)) if len(training) // len(live) >= MIN_STRETCHES else None
    largest = None if usual is None else float(usual.max())
    return Drift(
        feature=feature,
        protected=protected,
        kind=binning.kind,
        psi=value,
        band=band_of(value),
        psi_by_chance=psi_by_chance(len(used), len(training), len(live)),
        psi_typical=None if usual is None else float(np.median(usual)),
        psi_largest=largest,
        stretches=0 if usual is None else len(usual),
        beyond_training=None if largest is None else value > largest,
        bins=tuple(binning.names[at] for at in used),
        training_shares=_shares(before[used]),
        live_shares=_shares(now[used]),
    )


def _shares(counts: IntArray) -> tuple[float, ...]:
    shares: list[float] = (counts / counts.sum()).tolist()
    return tuple(shares)


def rank_drifts(
    features: Sequence[str], training: FloatArray, live: FloatArray, protected: Sequence[str]
) -> tuple[Drift, ...]:
    """Compare every feature and rank by PSI, the most drifted first.

    Parameters
    ----------
    features : sequence of str, length k
    training, live : ndarray, shapes (n, k) and (m, k)
        Finite values in order of time.
    protected : sequence of str
    """
    found = [
        measure_drift(name, training[:, at], live[:, at], protected=name in protected)
        for at, name in enumerate(features)
    ]
    return tuple(sorted(found, key=lambda drift: -drift.psi))
