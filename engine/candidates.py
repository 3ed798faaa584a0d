"""From the signal model's probabilities to candidates: the signal decision, vectorised.

The same function serves a whole history and a single bar, so that the side, the votes,
the confidence and the gap of a bar are the same numbers in backtest and bot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from engine.records import Candidate, new_records

CLASS_SIDES = np.array([0, 1, -1], dtype=np.int8)
"""Side of each model class: HOLD, BUY, SELL."""


class MarketColumns(Protocol):
    """What the gates read of each bar besides the model: arrays of shape (n,) by the candidate's field."""

    def columns(self) -> Mapping[str, npt.NDArray[Any]]:
        """Return every column."""
        ...


def mean_of_members(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the ensemble's probabilities, shape (n, 3), of its members', shape (n, members, 3)."""
    members = probabilities.shape[1]
    mean: npt.NDArray[np.float64] = np.zeros((len(probabilities), 3))
    # Summed member by member: a row's mean must not depend on how many rows there are.
    for member in range(members):
        mean = mean + probabilities[:, member, :]
    return np.asarray(mean / members)


def likeliest_sides(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
    """Return the side of the class with the highest mean probability, 0 for HOLD, shape (n,).

    Parameters
    ----------
    probabilities : ndarray, shape (n, members, 3)
    """
    return np.asarray(CLASS_SIDES[mean_of_members(probabilities).argmax(axis=1)])


class NamedSides(NamedTuple):
    """The rows whose likeliest class is a side, and how sure the ensemble is of it; all of shape (k,).

    Attributes
    ----------
    rows : ndarray of int
        Ascending.
    side : ndarray of int8
        1 long, -1 short.
    votes : ndarray of int
        Members whose own first choice it is.
    confidence : ndarray
        Mean probability of the side.
    gap : ndarray
        Its lead over the next class.
    """

    rows: npt.NDArray[np.intp]
    side: npt.NDArray[np.int8]
    votes: npt.NDArray[np.intp]
    confidence: npt.NDArray[np.float64]
    gap: npt.NDArray[np.float64]


def named_sides(probabilities: npt.NDArray[np.float64]) -> NamedSides:
    """Return what the ensemble names in each row where it names a side.

    Parameters
    ----------
    probabilities : ndarray, shape (n, members, 3)
        Of HOLD, BUY, SELL by each ensemble member.
    """
    mean = mean_of_members(probabilities)
    best = mean.argmax(axis=1)
    rows = np.flatnonzero(CLASS_SIDES[best] != 0)
    best = best[rows]
    ranked = np.sort(mean[rows], axis=1)
    votes = (probabilities[rows].argmax(axis=2) == best[:, None]).sum(axis=1)
    return NamedSides(rows, CLASS_SIDES[best], votes, ranked[:, 2], ranked[:, 2] - ranked[:, 1])


def find_candidates(
    probabilities: npt.NDArray[np.float64],
    bars: npt.NDArray[np.int64],
    context: MarketColumns,
    sl_mult: float | npt.NDArray[np.float64],
    tp_mult: float | npt.NDArray[np.float64],
) -> npt.NDArray[Any]:
    """Return a Candidate record for every bar whose likeliest class is a side.

    Parameters
    ----------
    probabilities : ndarray, shape (n, members, 3)
        Calibrated probabilities of HOLD, BUY, SELL by each ensemble member.
    bars : ndarray of int, shape (n,)
        Index of each row's bar in the frame the engine runs over; ascending.
    context : MarketColumns
        Arrays of the same n rows.
    sl_mult, tp_mult : float or ndarray, shape (n,)
        Bracket in ATR multiples.

    Returns
    -------
    ndarray of Candidate
        Side, votes, confidence and gap are those of `named_sides`.
    """
    named = named_sides(probabilities)
    rows = named.rows
    candidates = new_records(Candidate, len(rows))
    candidates["bar"] = bars[rows]
    candidates["side"] = named.side
    candidates["votes"] = named.votes
    candidates["confidence"] = named.confidence
    candidates["gap"] = named.gap
    candidates["sl_mult"] = np.broadcast_to(sl_mult, len(probabilities))[rows]
    candidates["tp_mult"] = np.broadcast_to(tp_mult, len(probabilities))[rows]
    for name, column in context.columns().items():
        candidates[name] = column[rows]
    return candidates
