"""What models said of rows they had not learned from, and the trades that follow from it.

The later stages learn from these only: in sample a model is too sure and too often right,
and whoever is raised on such trades would hold what it should leave.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from engine.candidates import named_sides
from engine.gates.signal import MIN_VOTES
from engine.inputs.selectivity import Selectivity
from ml.arrays import Float64Array
from ml.labels.position import Entries
from novosky.errors import DataError
from novosky.market.bars import epoch_seconds
from novosky.settings.ml import MOST_SHARE, MlSettings

IntArray = npt.NDArray[np.int64]

ENTRY_TIMES = 3.0
"""Entries to learn from for each one that is traded: those alone are too few for a model."""


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What the signal model said of bars it had not learned from.

    Attributes
    ----------
    times : ndarray of int64, shape (n,)
        Bar opens, seconds since 1970-01-01 UTC.
    probabilities : ndarray of float64, shape (n, 3 members, 3 classes)
    """

    times: IntArray
    probabilities: Float64Array

    @classmethod
    def from_bytes(cls, content: bytes) -> OutOfFold:
        """Read `oof_signal.npz`."""
        with np.load(io.BytesIO(content)) as stored:
            return cls(stored["time"].astype(np.int64), stored["probabilities"].astype(np.float64))


@dataclass(frozen=True, eq=False)
class OutOfFoldDistances:
    """Stop and target distances from SLTP models that had not learned from the trades of their bar.

    Attributes
    ----------
    times : ndarray of int64, shape (n,)
        Bar opens, seconds since 1970-01-01 UTC; those of the signal model's `OutOfFold`.
    distances : ndarray of float64, shape (n, 2, 2)
        For a long (0) and a short (1): stop and target in ATR, not clamped.
    """

    times: IntArray
    distances: Float64Array

    @classmethod
    def from_bytes(cls, content: bytes) -> OutOfFoldDistances:
        """Read `oof_sltp.npz`."""
        with np.load(io.BytesIO(content)) as stored:
            return cls(stored["time"].astype(np.int64), stored["distances"].astype(np.float64))

    def to_bytes(self) -> bytes:
        """Return the contents of `oof_sltp.npz`."""
        stream = io.BytesIO()
        np.savez_compressed(stream, time=self.times, distances=self.distances.astype(np.float32))
        return stream.getvalue()


def entry_confidence(ml_settings: MlSettings, out_of_fold: OutOfFold) -> float:
    """Return the least confidence of the entries that the later stages learn from.

    Where the settings state which share of the bars is traded, they are the surest answers at
    `ENTRY_TIMES` as many bars; else `position_model.entry_confidence` is it.
    """
    share = ml_settings.prediction.confidence_share
    if share is None:
        return ml_settings.position_model.entry_confidence
    return Selectivity.of(out_of_fold.probabilities).confidence(min(ENTRY_TIMES * share, MOST_SHARE))


def find_entries(bars: pd.DataFrame, out_of_fold: OutOfFold, confidence: float, gap: float) -> Entries:
    """Return the bars at whose close the signal model names a side, by the signal decision's rule.

    Parameters
    ----------
    bars : pandas.DataFrame
        The bars the signal model was trained on.
    out_of_fold : OutOfFold
    confidence, gap : float
        Least mean probability of the side, and its least lead over the next class.

    Raises
    ------
    DataError
        A row of the out-of-fold probabilities has no bar.
    """
    times = epoch_seconds(bars)
    rows = np.minimum(np.searchsorted(times, out_of_fold.times), len(times) - 1).astype(np.int64)
    strange = np.flatnonzero(times[rows] != out_of_fold.times)
    if len(strange):
        moment = pd.Timestamp(int(out_of_fold.times[strange[0]]), unit="s", tz="UTC")
        raise DataError(
            f"the signal set knows a bar at {moment} that the given bars lack; "
            "give the bars it was trained on, or train both with --ensemble --position"
        )
    named = named_sides(out_of_fold.probabilities)
    chosen = (named.votes >= MIN_VOTES) & (named.confidence >= confidence) & (named.gap >= gap)
    return Entries(rows[named.rows[chosen]], named.side[chosen])
